//! One bulk export: whom it takes, the confirmation, how far it is, what became of it (E1, E9).

use std::collections::BTreeMap;

use axum::{
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, request::Parts},
    response::{IntoResponse as _, Redirect, Response},
};
use domain::{
    BulkId,
    api::{BulkAnswer, RetryReason},
    app::{Person, PersonId},
    entry::PageEvent,
    export::{BulkState, FailReason, SkipReason, WaitReason},
};
use maud::{Markup, html};

use super::{address, state_pill, whom_text};
use crate::{
    api::bulk,
    pages::{
        basic_sync::policy_name,
        frame::SettingsPage,
        guard::Visit,
        head::Head,
        live::{Following, Shown, follow},
        parts::{
            Tone, action, counted, empty, fold, icon, meter, notice, number, section, span, stat,
            when, wide_heading,
        },
        people::name_of,
        person::{labels::Labels, preview::previewed},
        reasons,
        refused::Refused,
        routes,
    },
    state::App,
};

/// Which one an address is about. What cannot be an id leads to none.
pub(super) struct Which(BulkId);

impl FromRequestParts<App> for Which {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let text = Path::<String>::from_request_parts(parts, app).await;
        let id = text.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or(Refused::NotFound)
    }
}

pub(super) async fn show(
    State(app): State<App>,
    visit: Visit,
    Which(id): Which,
) -> Result<Response, Refused> {
    let shown = shown(app, visit.clone(), id).await?;
    Ok(SettingsPage {
        following: shown.following,
        ..SettingsPage::new(
            &visit,
            &shown.head,
            routes::OVERVIEW,
            "Bulk export",
            shown.content,
        )
    }
    .into_response())
}

pub(super) async fn live(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Which(id): Which,
) -> Result<Response, Refused> {
    let render = move |app, visit| shown(app, visit, id);
    follow(app, visit, headers, render).await
}

async fn shown(app: App, visit: Visit, id: BulkId) -> Result<Shown, Refused> {
    let (store, workspace) = (&app.parts()?.store, visit.workspace());
    let row = store.bulk(workspace, id).await?.ok_or(Refused::NotFound)?;
    let head = Head::of(&app, workspace).await?;
    let policy = store
        .export_standing(workspace)
        .await?
        .settings
        .export
        .policy;
    let whom = whom_text(&row.whom);
    let run = bulk::shown(store, row).await?;
    let sampled: Vec<PersonId> = run.sample.iter().map(|s| s.person.clone()).collect();
    let people = store.people_among(workspace, &sampled).await?;
    let previews = run.sample.iter().map(|one| &one.preview);
    let labels = Labels::of_previews(&app, &visit, head.status.portal, previews).await?;
    let stop = if visit.may_change() && !run.state.is_final() {
        let (class, label) = match run.state {
            BulkState::Running | BulkState::Cancelling => ("danger", "Stop"),
            _ => ("", "Do not export"),
        };
        action(&visit, &format!("{}/stop", address(id)), class, label, &[])
    } else {
        Markup::default()
    };
    let lead = html! {
        (whom) ", asked for " (when(run.requested_at, head.now)) ". "
        @if !run.state.is_final() { "You can leave this page." }
    };
    let body = match run.state {
        BulkState::Previewing => looked_through(&run),
        BulkState::WaitingForConfirmation => html! {
            p .muted { "By the policy “" (policy_name(policy)) "”. Nothing has been written yet." }
            (would_take(&visit, &run, &people, &labels))
        },
        BulkState::Running | BulkState::Cancelling | BulkState::Cancelled | BulkState::Done => {
            progress(&head, &run)
        }
    };
    let content = html! {
        p { a href=(routes::BULK) { "Bulk exports" } }
        (wide_heading(html! { "Bulk export " (state_pill(run.state, run.people)) }, lead, &stop))
        (body)
    };
    let said = match run.state {
        BulkState::Previewing => Some("Looking through the people".to_owned()),
        BulkState::Running | BulkState::Cancelling => Some(format!(
            "{} of {} came to an end",
            number(run.counts.ended()),
            number(run.people)
        )),
        BulkState::WaitingForConfirmation | BulkState::Cancelled | BulkState::Done => None,
    };
    let following = said.map(|said| Following {
        address: routes::BULK_LIVE.replace("{bulk}", &id.to_string()),
        said,
    });
    Ok(Shown {
        head,
        content,
        following,
    })
}

/// It is being found out whom it takes.
fn looked_through(run: &BulkAnswer) -> Markup {
    let planned =
        run.preview.create + run.preview.update + run.preview.skipped.values().sum::<u64>();
    html! {
        div .card {
            div .stack #bulk {
                (meter("Looked through", Tone::Info, planned, (run.people > 0).then_some(run.people),
                    format!("{} of {}", number(planned), number(run.people)), None))
            }
            p .foot { "It is found out whom the export would take. Nothing is written." }
        }
    }
}

/// Whom it would take, for whoever confirms.
fn would_take(
    visit: &Visit,
    run: &BulkAnswer,
    people: &BTreeMap<PersonId, Person>,
    labels: &Labels,
) -> Markup {
    let preview = &run.preview;
    let written = preview.create + preview.update;
    let skipped: u64 = preview.skipped.values().sum();
    let stats = html! {
        dl .card .stats {
            (stat("Would be exported", None, written, None, html! { "Of " (counted(run.people, "person", "people")) }))
            (stat("New contacts", None, preview.create, None, "HubSpot has nobody with their e-mail"))
            (stat("Known contacts", None, preview.update, None, "Written only where something differs; else nothing changes"))
            (stat("Left out", None, skipped, None, "Each with its reason"))
        }
    };
    let sample = html! {
        div .stack {
            @for one in &run.sample {
                @let name = people.get(&one.person).map_or_else(|| one.person.to_string(), name_of);
                (fold(false, html! { bdi { (name) } }, &html! {
                    p { a href={ (routes::PEOPLE) "/" (one.person) } { "To the person" } }
                    (previewed(&one.preview, labels))
                }))
            }
        }
    };
    html! {
        @if written == 0 {
            (empty(None, if run.people == 0 { "Nobody is meant by this: nothing waits, and nothing will be written." } else { "Nobody would be exported." }, Some(html! { a .btn href=(routes::BULK) { "Choose others" } })))
        }
        (stats)
        @if skipped > 0 { (left_out(&preview.skipped)) }
        @if !run.sample.is_empty() {
            (section("sample", "Some of them in full", "As HubSpot has them now.", &sample))
        }
        @if preview.create > 0 {
            (notice(Tone::Info, icon::WARN, &html! { p {
                "Whether a new contact counts as a marketing contact, for which HubSpot may charge, is decided by a setting of the portal."
            } }, None))
        }
        @if written > 0 && visit.may_change() {
            div .row {
                (action(visit, &format!("{}/confirm", address(run.bulk)), "primary", html! { "Export " (counted(written, "person", "people")) }, &[]))
                span .hint { "Each is planned again when its turn comes." }
            }
        }
    }
}

/// How many were left out, by the reason.
fn left_out(skipped: &BTreeMap<SkipReason, u64>) -> Markup {
    let rows = skipped
        .iter()
        .map(|(reason, n)| (RetryReason::Skipped(*reason), *n));
    // Nothing was asked for yet, so no page lists them.
    reasons_table("left-out", "Left out", rows.collect(), false)
}

fn reasons_table(id: &str, title: &str, rows: Vec<(RetryReason, u64)>, doors: bool) -> Markup {
    let table = html! {
        table .table {
            caption .sr { (title) }
            thead { tr { th scope="col" { "Reason" } th scope="col" .n { "People" } th scope="col" { "What to do" } } }
            tbody { @for (reason, n) in &rows {
                @let words = reasons::of(*reason);
                tr {
                    th scope="row" {
                        @if doors { a href={ (routes::PROBLEMS) "?reason=" (reason.as_str()) } { (words.title) } }
                        @else { (words.title) }
                    }
                    td .n data-l="People" { (number(*n)) }
                    td data-l="What to do" { (words.way_out) }
                }
            } }
        }
    };
    section(id, title, "", &table)
}

/// How far it is, and what became of those it began with.
fn progress(head: &Head, run: &BulkAnswer) -> Markup {
    let counts = &run.counts;
    let waiting: u64 = counts.waiting.values().sum();
    let failed: u64 = counts.failed.values().sum();
    let skipped: u64 = counts.skipped.values().sum();
    let ended = counts.ended();
    let left = run.seconds_left.map(|s| format!(" · {} left", span(s)));
    let value = format!(
        "{} of {}{}",
        number(ended),
        number(run.people),
        left.unwrap_or_default()
    );
    let tone = if run.state == BulkState::Done {
        Tone::Ok
    } else {
        Tone::Info
    };
    let reasons: Vec<(RetryReason, u64)> = {
        let failed = counts.failed.iter();
        let failed = failed.map(|(r, n): (&FailReason, _)| (RetryReason::Failed(*r), *n));
        let waiting = counts.waiting.iter();
        let waiting = waiting.map(|(r, n): (&WaitReason, _)| (RetryReason::Waiting(*r), *n));
        let skipped = counts.skipped.iter();
        let skipped = skipped.map(|(r, n)| (RetryReason::Skipped(*r), *n));
        failed.chain(waiting).chain(skipped).collect()
    };
    html! {
        @if let Some(until) = run.waits_until {
            (notice(Tone::Info, icon::CLOCK, &html! { p { "It waits, and goes on " (when(until, head.now)) "." } }, None))
        }
        div .card {
            div .stack #bulk { (meter("Come to an end", tone, ended, Some(run.people), value, None)) }
            p .foot {
                @match run.state {
                    BulkState::Done => { "Everybody was taken in hand" @if let Some(at) = run.ended_at { " " (when(at, head.now)) } "." }
                    BulkState::Cancelled => { "Stopped: nobody else is begun with." }
                    BulkState::Cancelling => { "Stopping: what was begun comes to its end." }
                    _ => { "Single exports go first; this one takes what is left of HubSpot’s limits." }
                }
            }
        }
        dl .card .stats {
            (stat("Exported", None, counts.exported, None, "In HubSpot, as their rules want it"))
            (stat("Failed", None, failed, Some(routes::PROBLEMS), "Can be tried again"))
            (stat("Left out", None, skipped, None, "Each with its reason"))
            (stat("To go", None, counts.not_begun + counts.going_on + waiting, None, html! {
                @if run.state == BulkState::Cancelled { "Not begun with" } @else { "If you stop, nothing happens about whoever was not begun with" }
            }))
        }
        @if !reasons.is_empty() { (reasons_table("why", "Not exported, by the reason", reasons, true)) }
    }
}

pub(super) async fn confirm(
    State(app): State<App>,
    visit: Visit,
    Which(id): Which,
) -> Result<Redirect, Refused> {
    bulk::confirm(&app, visit.workspace(), id).await?;
    visit.note(&app, PageEvent::ConfirmedBulk, None).await;
    Ok(Redirect::to(&address(id)))
}

pub(super) async fn stop(
    State(app): State<App>,
    visit: Visit,
    Which(id): Which,
) -> Result<Redirect, Refused> {
    bulk::cancel(&app, visit.workspace(), id).await?;
    visit.note(&app, PageEvent::StoppedBulk, None).await;
    Ok(Redirect::to(&address(id)))
}
