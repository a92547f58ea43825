//! What the overview says in each state of the connection.

use domain::{
    BudgetBucket, PauseReason, SyncType, TypeOutcome,
    api::{ExportSummary, ObjectStatus, PauseStatus},
    entry::PageEvent,
};
use maud::{Markup, html};

use crate::{
    pages::{
        guard::Visit,
        head::{Head, Standing, is_behind, type_name},
        outcome::feature_of,
        parts::{Tone, icon, meter, notice, number, section, span, stat, when},
        problems::of_state,
        refused::Refused,
        routes,
    },
    state::App,
};

/// How many of the last events are looked through for who disconnected.
const LOOKED_THROUGH: u32 = 20;

fn stored(head: &Head, sync_type: SyncType) -> u64 {
    let object = head
        .status
        .objects
        .iter()
        .find(|o| o.object_type == sync_type);
    object.map_or(0, |o| o.stored)
}

/// What is not as it should be, each with what it means.
pub(super) fn notices(head: &Head) -> Markup {
    let refused: Vec<&ObjectStatus> = head
        .status
        .objects
        .iter()
        .filter(|o| matches!(o.outcome, TypeOutcome::Refused))
        .collect();
    html! {
        @for pause in &head.status.pauses { (paused(pause, head)) }
        @for object in head.status.objects.iter().filter(|o| is_behind(o)) { (behind(object, head)) }
        @if let Some(minutes) = head.status.no_progress_minutes {
            (notice(Tone::Warn, icon::CLOCK, &html! { p {
                b { "Reading has not got on for " (number(minutes)) " minutes." }
                " It is tried again by itself; nothing is lost."
            } }, None))
        }
        @if !head.status.missing_scopes.is_empty() {
            (notice(Tone::Warn, icon::WARN, &html! {
                p { b { "HubSpot does not allow all that is asked for." } " These stay off until somebody connects again and allows them:" }
                ul { @for scope in &head.status.missing_scopes { li { (feature_of(scope)) ": " code { (scope) } } } }
            }, None))
        }
        @if !refused.is_empty() {
            (notice(Tone::Warn, icon::WARN, &html! { p {
                b { "HubSpot refused to give some of it: " }
                @for (n, object) in refused.iter().enumerate() { @if n > 0 { ", " } (type_name(object.object_type)) }
                ". It is asked again at every sync."
            } }, None))
        }
        @if head.standing == Standing::ImportOff {
            (notice(Tone::Info, icon::STOP, &html! { p {
                b { "The import is switched off." }
                " Contacts, companies, deals and lists stay as they were; verdicts show their age. "
                a href=(routes::BASIC_SYNC) { "Switch it on" } " to have them come in again."
            } }, None))
        }
    }
}

fn paused(pause: &PauseStatus, head: &Head) -> Markup {
    let which = match pause.bucket {
        BudgetBucket::General => "The requests that HubSpot allows per ten seconds are used up.",
        BudgetBucket::Search => "The searches that HubSpot allows per second are used up.",
        BudgetBucket::Associations => "HubSpot's limit for associations is used up.",
    };
    let why = match pause.reason {
        // Search answers do not say whose requests they were.
        PauseReason::RateLimited => {
            "Ours were within it, so other apps of this portal probably used the rest."
        }
        PauseReason::DailyLimit => {
            "These are the requests of the whole day, of all apps of this account."
        }
    };
    notice(
        Tone::Warn,
        icon::SLOW,
        &html! { p { b { (which) } " " (why) " It goes on " (when(pause.until, head.now)) ". Nothing is lost." } },
        None,
    )
}

fn behind(object: &ObjectStatus, head: &Head) -> Markup {
    notice(
        Tone::Warn,
        icon::CLOCK,
        &html! {
            p {
                b { (type_name(object.object_type)) " are behind." } " "
                @if let Some(fresh) = &object.freshness {
                    "What changed in HubSpot is known up to " (when(fresh.as_of, head.now)) ". "
                }
                @if let Some(trouble) = &object.trouble {
                    "Since " (when(trouble.since, head.now)) " it fails with " code { (trouble.code.to_string()) } ". "
                }
                "Verdicts show their age until then."
            }
        },
        None,
    )
}

/// A row for each type: how far it is.
pub(super) fn reading(head: &Head) -> Markup {
    let first = matches!(head.standing, Standing::Importing(_));
    let rows = html! {
        div .card {
            div .stack #import-rows {
                @for object in &head.status.objects { (row(object)) }
            }
        }
    };
    section(
        "import",
        if first {
            "First import"
        } else {
            "Reading again"
        },
        "You can leave this page; it goes on. Nothing is written to HubSpot by it.",
        &rows,
    )
}

fn row(object: &ObjectStatus) -> Markup {
    let done = number(object.done);
    let so_far = match object.total {
        Some(total) => format!("{done} of {}", number(total.max(object.done))),
        None => done,
    };
    let value = match object.outcome {
        TypeOutcome::Waiting => "Waits for its turn".to_owned(),
        TypeOutcome::Reading => {
            let rate = object.rate_per_second;
            let rate = if rate >= 1.0 {
                format!(" · {rate:.0}/s")
            } else {
                String::new()
            };
            let left = object.eta_seconds.map(|s| format!(" · {} left", span(s)));
            format!("{so_far}{rate}{}", left.unwrap_or_default())
        }
        TypeOutcome::Finished => format!("{so_far} · done"),
        TypeOutcome::FinishedWithRefusals => format!("{so_far} · done in part"),
        TypeOutcome::Incomplete => format!("{so_far} · HubSpot did not answer all; asked again"),
        TypeOutcome::Skipped => "Left out: HubSpot does not allow it".to_owned(),
        TypeOutcome::Refused => "HubSpot refused it; asked again".to_owned(),
    };
    let tone = match object.outcome {
        TypeOutcome::Finished => Tone::Ok,
        TypeOutcome::Waiting | TypeOutcome::Reading => Tone::Info,
        _ => Tone::Warn,
    };
    let (shown, total) = match object.outcome {
        TypeOutcome::Finished => (1, Some(1)),
        _ => (object.done, object.total),
    };
    let note = (object.quarantined > 0).then(|| {
        html! { a href=(routes::PROBLEMS) { (number(object.quarantined)) " set aside" } ": they could not be read; the rest goes on" }
    });
    meter(
        type_name(object.object_type),
        tone,
        shown,
        total,
        value,
        note,
    )
}

/// HubSpot takes our tokens no more.
pub(super) fn reconnect(head: &Head, summary: Option<&ExportSummary>) -> Markup {
    let waiting = summary.map_or(0, |s| s.waiting.values().sum::<u64>() + s.accepted);
    let kept = html! {
        dl .card .stats {
            (stat("Wait for export", None, waiting, Some(&of_state("waiting")), "Exported after reconnecting"))
            (stat("Kept", None, stored(head, SyncType::Contacts), None, "Contacts, with companies, deals, lists and settings"))
        }
    };
    html! {
        (notice(Tone::Error, icon::KEY, &html! { p {
            b { "HubSpot no longer accepts our access" }
            @if let Some(portal) = &head.portal { ", since " (when(portal.changed_at, head.now)) }
            ". Somebody removed the app in HubSpot, or whoever connected it lost access."
        } }, None))
        (section("keeps", "Until you reconnect", "", &kept))
        (section("dnc-age", "Do not contact still works", "", &html! {
            div .card { div { p { "Verdicts stand as of the last sync and are marked stale. Whoever has no verdict is not contacted." } } }
        }))
    }
}

/// Nothing goes to HubSpot any more.
pub(super) async fn disconnected(
    app: &App,
    visit: &Visit,
    head: &Head,
    summary: Option<&ExportSummary>,
) -> Result<Markup, Refused> {
    let events = app
        .parts()?
        .store
        .page_events(visit.workspace(), LOOKED_THROUGH)
        .await?;
    let by = events
        .into_iter()
        .find(|e| {
            e.event == PageEvent::Disconnected
                && head.portal.as_ref().is_some_and(|p| e.at >= p.connected_at)
        })
        .and_then(|e| e.user_name);
    let waiting = summary.map_or(0, |s| s.waiting.values().sum::<u64>() + s.accepted);
    let places = html! {
        dl .card .stats {
            (stat("Stays here", None, stored(head, SyncType::Contacts), None, "Imported contacts, with companies, deals, lists, settings and links"))
            (stat("Waits", None, waiting, Some(&of_state("waiting")), "Exports; they go on if you connect the same portal again"))
        }
    };
    Ok(html! {
        (notice(Tone::Plain, icon::STOP, &html! { p {
            @if head.standing == Standing::Disconnecting { "The connection is being taken down" }
            @else { "Disconnected" }
            @if let Some(portal) = &head.portal { " " (when(portal.changed_at, head.now)) }
            @if let Some(name) = by { " by " bdi { (name) } }
            ". Nothing is read from or written to HubSpot."
        } }, None))
        (section("after", "What is where", "", &places))
    })
}
