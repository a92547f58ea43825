//! Overview: how the connection stands, what came in, what went out, and the one thing to do.

mod never;
pub(in crate::pages) mod set_up;
mod states;

use axum::{
    Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use domain::{
    SyncType, TypeOutcome,
    api::{ExportSummary, ObjectStatus},
    export::ceiling::zone_of,
};
use maud::{Markup, html};

use crate::{
    api::exports::summary_of,
    pages::{
        frame::{AfterDone, SettingsPage},
        guard::{Address, Visit},
        head::{Head, Standing, is_behind, type_name},
        live::{Following, Shown, follow},
        parts::{Tone, bare_pill, count, counted, icon, notice, number, section, stat, when},
        problems::of_state,
        refused::Refused,
        routes,
    },
    state::App,
};

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route(routes::OVERVIEW, get(show))
        .route(routes::LIVE, get(live))
        .route(routes::SET_UP_AWAY, post(set_up::put_away))
}

async fn show(
    State(app): State<App>,
    visit: Visit,
    Address(after): Address<AfterDone>,
) -> Result<Response, Refused> {
    let shown = shown(app, visit.clone()).await?;
    Ok(SettingsPage {
        done: after.done,
        following: shown.following,
        ..SettingsPage::new(
            &visit,
            &shown.head,
            routes::OVERVIEW,
            "Overview",
            shown.content,
        )
    }
    .into_response())
}

async fn live(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    follow(app, visit, headers, shown).await
}

async fn shown(app: App, visit: Visit) -> Result<Shown, Refused> {
    let head = Head::of(&app, visit.workspace()).await?;
    let summary = match head.standing {
        Standing::Never => None,
        _ => Some(summary_of(&app, visit.workspace()).await),
    };
    let exported = match &summary {
        Some(Ok(summary)) => {
            let written = written_today(&app, &visit, &head).await?;
            exported(summary, &head, written)
        }
        Some(Err(refusal)) => notice(
            Tone::Error,
            icon::WARN,
            &html! { p { "How exports stand cannot be said: " (refusal.problem().detail) } },
            None,
        ),
        None => Markup::default(),
    };
    let summary = summary.and_then(Result::ok);
    let content = match head.standing {
        Standing::Never => never::content(&visit, app.oauth.is_some()),
        Standing::Importing(_) | Standing::Rereading(_) => html! {
            h1 .sr { "Overview" }
            (states::notices(&head))
            (states::reading(&head))
            (set_up::shown(&app, &visit, &head).await?)
            (exported)
            (danger(&visit, &head))
        },
        Standing::Reconnect => html! {
            h1 .sr { "Overview" }
            (states::reconnect(&head, summary.as_ref()))
            (danger(&visit, &head))
        },
        Standing::Disconnecting | Standing::Disconnected => html! {
            h1 .sr { "Overview" }
            (states::disconnected(&app, &visit, &head, summary.as_ref()).await?)
        },
        _ => html! {
            h1 .sr { "Overview" }
            (states::notices(&head))
            (set_up::shown(&app, &visit, &head).await?)
            (imported(&head))
            (exported)
            (danger(&visit, &head))
        },
    };
    let said = match head.standing {
        Standing::Importing(percent) => Some(format!("Importing, {percent} percent")),
        Standing::Rereading(percent) => Some(format!("Reading again, {percent} percent")),
        Standing::Disconnecting => Some("Disconnecting".to_owned()),
        _ => None,
    };
    let following = said.map(|said| Following {
        address: routes::LIVE.to_owned(),
        said,
    });
    Ok(Shown {
        head,
        content,
        following,
    })
}

/// What is stored of each type, and how fresh it is.
fn imported(head: &Head) -> Markup {
    let shown = [
        SyncType::Contacts,
        SyncType::Companies,
        SyncType::Deals,
        SyncType::Lists,
        SyncType::Owners,
    ];
    let stats = html! {
        dl .card .stats {
            @for sync_type in shown {
                @if let Some(object) = head.status.objects.iter().find(|o| o.object_type == sync_type) {
                    (stat(type_name(sync_type), Some(freshness(object, head.status.import_enabled)), object.stored, door(head, sync_type).as_deref(), html! {
                        @match &object.freshness {
                            Some(fresh) => { "Read up to " (when(fresh.as_of, head.now)) }
                            None => { "Not kept up to date yet" }
                        }
                        @if object.quarantined > 0 {
                            " · " a href=(routes::PROBLEMS) { (number(object.quarantined)) " set aside" }
                        }
                    }))
                }
            }
        }
    };
    section("imported", "Imported from HubSpot", "", &stats)
}

/// Where the records of a type can be looked at: here, or in HubSpot, whose they are.
fn door(head: &Head, sync_type: SyncType) -> Option<String> {
    let in_portal = |type_id: &str| head.in_portal(&format!("/objects/{type_id}/views/all/list"));
    match sync_type {
        SyncType::Contacts => in_portal("0-1"),
        SyncType::Companies => in_portal("0-2"),
        SyncType::Deals => in_portal("0-3"),
        SyncType::Lists => Some(routes::LISTS.to_owned()),
        SyncType::Owners => Some(routes::OWNERS.to_owned()),
        _ => None,
    }
}

/// Owners are read while the import is off, too; what is read for the first time has no rhythm before its
/// schedule is there.
fn freshness(object: &ObjectStatus, import_enabled: bool) -> Markup {
    let last = object.freshness.as_ref().map_or(object.outcome, |f| f.last);
    let every = object.freshness.as_ref().and_then(|f| f.every_seconds);
    if is_behind(object) {
        return bare_pill(Tone::Warn, icon::CLOCK, "Behind");
    }
    match last {
        TypeOutcome::Refused | TypeOutcome::Skipped => {
            bare_pill(Tone::Warn, icon::WARN, "Not allowed")
        }
        TypeOutcome::FinishedWithRefusals | TypeOutcome::Incomplete => {
            bare_pill(Tone::Warn, icon::WARN, "In part")
        }
        _ if every.is_none() && !import_enabled => bare_pill(Tone::Plain, icon::STOP, "Off"),
        _ if object.freshness.is_none() => bare_pill(Tone::Plain, icon::CLOCK, "Not yet"),
        _ => bare_pill(Tone::Ok, icon::CHECK, "Fresh"),
    }
}

/// Records that exports wrote since the portal's midnight.
async fn written_today(app: &App, visit: &Visit, head: &Head) -> Result<u32, Refused> {
    let (store, workspace) = (&app.parts()?.store, visit.workspace());
    let Some(portal) = head.status.portal else {
        return Ok(0);
    };
    let zone = zone_of(store.portal_zone(workspace, portal).await?.as_deref());
    let day = head.now.with_timezone(&zone).date_naive();
    Ok(store.written_on(workspace, portal, day).await?)
}

/// What becomes of requests to export.
fn exported(summary: &ExportSummary, head: &Head, written: u32) -> Markup {
    let waiting = summary.waiting.values().sum();
    let failed = summary.failed.values().sum();
    let skipped = summary.skipped.values().sum();
    let qualifying = &summary.qualifying;
    let stats = html! {
        @if !summary.settings_saved {
            (notice(Tone::Info, icon::WARN, &html! { p {
                "Nothing is exported by itself before the settings were saved once: "
                a href=(routes::BASIC_SYNC) { "choose who is exported" } "."
            } }, None))
        }
        dl .card .stats {
            (stat("Written today", None, u64::from(written), None, "Contacts and companies, since midnight of the portal"))
            (stat("Waiting", None, waiting, Some(&of_state("waiting")), html! {
                @match summary.oldest_pending {
                    Some(oldest) => { "Oldest since " (when(oldest, head.now)) }
                    None => { "Nobody waits for their turn" }
                }
                @if summary.accepted > 0 { "; " (number(summary.accepted)) " more on their way" }
            }))
            (stat("Failed", None, failed, Some(&of_state("failed")), "Can be tried again"))
            (stat("Left out", None, skipped, Some(&of_state("left-out")), "In the last 30 days, each with its reason"))
            (stat("Ready to export", None, qualifying.people, Some(routes::BULK), html! {
                @if qualifying.more { "At least; not exported yet" } @else { "Not exported yet" }
                @if qualifying.qualified_earlier > 0 {
                    ", " (count(qualifying.qualified_earlier, qualifying.more)) " of them from before the policy"
                }
            }))
        }
    };
    let lead = html! { a href=(routes::BULK) { "Bulk export" } " of many people at once, after a preview." };
    section("exported", "Exported to HubSpot", lead, &stats)
}

/// What is hard to undo, each with its numbers; only what fits the state.
fn danger(visit: &Visit, head: &Head) -> Markup {
    if !visit.may_change() {
        return Markup::default();
    }
    let stored = |t: SyncType| {
        let object = head.status.objects.iter().find(|o| o.object_type == t);
        object.map_or(0, |o| o.stored)
    };
    let records = html! {
        (counted(stored(SyncType::Contacts), "contact", "contacts")) ", "
        (counted(stored(SyncType::Companies), "company", "companies")) ", "
        (counted(stored(SyncType::Deals), "deal", "deals")) ", "
        (counted(stored(SyncType::Lists), "list", "lists"))
    };
    let rows = html! {
        div .card .danger {
            @if head.standing.is_connected() {
                div {
                    div { h3 { "Resync" } p .hint { "Reads HubSpot again: " (records) ". Writes nothing to HubSpot." } }
                    a .btn href=(routes::RESYNC) { "Resync…" }
                }
            }
            div {
                div { h3 { "Disconnect" } p .hint { "Stops importing and exporting within a second. What was imported stays: " (records) ". Exports that wait go on after a reconnect to the same portal." } }
                a .btn .danger href=(routes::DISCONNECT) { "Disconnect…" }
            }
        }
    };
    section("danger", "Danger zone", "", &rows)
}
