//! Connect, sync now, resync, disconnect: forms over what the API does.

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use domain::{
    ResyncMode, ResyncOutcome, ResyncRequest, SyncRunId, SyncType,
    api::{ConnectAnswer, ConnectRequest},
    entry::PageEvent,
};
use maud::{Markup, html};
use uuid::Uuid;

use crate::{
    api::{connection, exports::summary_of},
    pages::{
        frame::{SettingsPage, Width},
        guard::{Sent, Visit},
        head::{Head, type_name},
        parts::{Choice, choices, counted, csrf, heading, icon, number, undone_summary},
        refused::Refused,
        routes,
    },
    problem::Refusal,
    state::App,
};

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route(routes::CONNECT, post(connect))
        .route(routes::SYNC_NOW, post(sync_now))
        .route(routes::RESYNC, get(ask_resync).post(resync))
        .route(routes::DISCONNECT, get(ask_disconnect).post(disconnect))
}

/// To HubSpot's consent page, by a link like that of the API.
async fn connect(State(app): State<App>, visit: Visit) -> Result<Redirect, Refused> {
    // A name that was shown once can be shown again.
    let name = |text: &Option<String>| text.clone().and_then(|text| text.try_into().ok());
    let request = ConnectRequest {
        admin: visit.visitor.user,
        workspace_name: name(&visit.visitor.workspace_name),
        admin_name: name(&visit.visitor.user_name),
        access_token: None,
    };
    match connection::begin(&app, visit.workspace(), request).await? {
        ConnectAnswer::Authorize { url } => {
            visit.note(&app, PageEvent::WentToConnect, None).await;
            Ok(Redirect::to(&url))
        }
        ConnectAnswer::Connected { .. } => Ok(Redirect::to(routes::OVERVIEW)),
    }
}

async fn read_again(
    app: &App,
    visit: &Visit,
    request: &ResyncRequest,
    event: PageEvent,
) -> Result<Redirect, Refused> {
    let id = SyncRunId::new(Uuid::now_v7());
    let answer = connection::read_again(app, visit.workspace(), request, id).await?;
    visit.note(app, event, None).await;
    let done = match answer.outcome {
        ResyncOutcome::Started => "started",
        ResyncOutcome::AlreadyRunning => "already-running",
        ResyncOutcome::Queued => "queued",
        ResyncOutcome::NotConnected => return Err(Refusal::ResyncNotConnected.into()),
    };
    Ok(Redirect::to(&format!("{}?done={done}", routes::OVERVIEW)))
}

async fn sync_now(State(app): State<App>, visit: Visit) -> Result<Redirect, Refused> {
    read_again(&app, &visit, &ResyncRequest::all(), PageEvent::SyncedNow).await
}

async fn ask_resync(State(app): State<App>, visit: Visit) -> Result<Response, Refused> {
    let head = Head::of(&app, visit.workspace()).await?;
    Ok(resync_page(&visit, &head, StatusCode::OK, &[]).into_response())
}

fn resync_page<'a>(
    visit: &'a Visit,
    head: &'a Head,
    status: StatusCode,
    errors: &[(String, String)],
) -> SettingsPage<'a> {
    let hint = |text: &str| html! { (text) };
    let modes = vec![
        Choice {
            value: "catch_up",
            title: "What changed",
            hint: hint("Since it was read last; quick"),
        },
        Choice {
            value: "from_scratch",
            title: "Everything",
            hint: hint("From scratch: also finds what no change tells of"),
        },
    ];
    let content = html! {
        (heading("Resync from HubSpot", "Reads records again and repairs what differs here. Writes nothing to HubSpot."))
        (undone_summary(errors))
        form method="post" action=(routes::RESYNC) .stack {
            (csrf(visit))
            fieldset .card {
                legend .sr { "What to read" }
                div .stack .tight #types {
                    @for object in head.status.objects.iter().filter(|o| of_runs(o.object_type)) {
                        label .row {
                            input type="checkbox" name="type" value=(object.object_type.as_str()) checked;
                            span { (type_name(object.object_type)) " " span .muted { (number(object.stored)) } }
                        }
                    }
                }
            }
            (choices("mode", "From when", false, "catch_up", modes))
            div .row {
                button .btn .primary { "Start resync" }
                a .btn href=(routes::OVERVIEW) { "Cancel" }
            }
        }
    };
    SettingsPage {
        status,
        width: Width::Narrow,
        ..SettingsPage::new(visit, head, routes::OVERVIEW, "Resync", content)
    }
}

/// Whether a run reads a type: what no run reads is not offered.
fn of_runs(sync_type: SyncType) -> bool {
    SyncType::OF_RUNS.contains(&sync_type)
}

async fn resync(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Response, Refused> {
    let types = sent.all("type").filter_map(|t| t.parse().ok());
    let types: Vec<SyncType> = types.filter(|t| of_runs(*t)).collect();
    if types.is_empty() {
        // No type at all would mean all of them.
        let head = Head::of(&app, visit.workspace()).await?;
        let errors = [(
            "types".to_owned(),
            "Choose at least one kind of record.".to_owned(),
        )];
        let page = resync_page(&visit, &head, StatusCode::UNPROCESSABLE_ENTITY, &errors);
        return Ok(page.into_response());
    }
    let mode = match sent.text("mode") {
        "from_scratch" => ResyncMode::FromScratch,
        _ => ResyncMode::CatchUp,
    };
    let request = ResyncRequest { types, mode };
    read_again(&app, &visit, &request, PageEvent::Resynced)
        .await
        .map(|to| to.into_response())
}

async fn ask_disconnect(State(app): State<App>, visit: Visit) -> Result<Response, Refused> {
    let head = Head::of(&app, visit.workspace()).await?;
    disconnect_page(&visit, &head, not_done(&app, &visit).await?, "", None)
        .map(|page| page.into_response())
}

/// Exports that are not done.
async fn not_done(app: &App, visit: &Visit) -> Result<u64, Refused> {
    let summary = summary_of(app, visit.workspace()).await?;
    Ok(summary.waiting.values().sum::<u64>() + summary.accepted)
}

fn disconnect_page<'a>(
    visit: &'a Visit,
    head: &'a Head,
    waiting: u64,
    typed: &str,
    error: Option<&str>,
) -> Result<SettingsPage<'a>, Refused> {
    let name = head.portal_name().ok_or(Refusal::NotConnected)?;
    let stored = |t: SyncType| {
        let object = head.status.objects.iter().find(|o| o.object_type == t);
        object.map_or(0, |o| o.stored)
    };
    let content = html! {
        (heading(html! { "Disconnect " bdi { (name) } "?" }, ""))
        (error.map_or_else(Markup::default, |e| undone_summary(&[("name".to_owned(), e.to_owned())])))
        div .card { dl .facts {
            dt { "Stops" } dd { "Import and exports, within a second" }
            dt { "Stays" } dd {
                (counted(stored(SyncType::Contacts), "contact", "contacts")) ", "
                (counted(stored(SyncType::Companies), "company", "companies")) ", "
                (counted(stored(SyncType::Deals), "deal", "deals")) ", "
                (counted(stored(SyncType::Lists), "list", "lists")) ", all settings; everything in HubSpot"
            }
            dt { "Waits" } dd {
                @if waiting == 0 { "Nothing: every export came to its end" }
                @else { (counted(waiting, "export", "exports")) " that are not done; they go on if you connect the same portal again" }
            }
            dt { "Do not contact" } dd { "Verdicts stand as of now and are marked stale" }
        } }
        form method="post" action=(routes::DISCONNECT) .stack {
            (csrf(visit))
            div .field {
                label for="name" { "Type the portal’s name to go on" }
                input .input #name name="name" required autocomplete="off" autocapitalize="off" spellcheck="false"
                    value=(typed) data-must-equal=(name)
                    aria-describedby=(if error.is_some() { "name-error name-hint" } else { "name-hint" })
                    aria-invalid=[error.map(|_| "true")];
                @if let Some(error) = error { p .error-text #name-error { (icon::draw(icon::WARN)) span { (error) } } }
                p .hint #name-hint { bdi { (name) } }
            }
            div .row {
                button .btn .danger #disconnect { "Disconnect" }
                a .btn href=(routes::OVERVIEW) { "Keep connected" }
            }
        }
    };
    Ok(SettingsPage {
        status: match error {
            Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
            None => StatusCode::OK,
        },
        width: Width::Narrow,
        ..SettingsPage::new(visit, head, routes::OVERVIEW, "Disconnect", content)
    })
}

async fn disconnect(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Response, Refused> {
    let head = Head::of(&app, visit.workspace()).await?;
    let name = head.portal_name().ok_or(Refusal::NotConnected)?;
    let typed = sent.text("name");
    if typed.trim() != name {
        let error = "This is not the portal’s name. Nothing was changed.";
        let waiting = not_done(&app, &visit).await?;
        return disconnect_page(&visit, &head, waiting, typed, Some(error))
            .map(|p| p.into_response());
    }
    connection::take_down(&app, visit.workspace()).await?;
    visit.note(&app, PageEvent::Disconnected, None).await;
    let to = format!("{}?done=disconnected", routes::OVERVIEW);
    Ok(Redirect::to(&to).into_response())
}
