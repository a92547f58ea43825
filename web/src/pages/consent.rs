//! The page that asks once, after HubSpot's consent, whether the right two meet (C1).

use axum::{
    Form, Router,
    extract::{State, rejection::FormRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use chrono::Utc;
use domain::{ConnectionState, ConsentId, WorkspaceId, export::RequestState, scopes};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use store::{Confirmed, ConsentRow, ConsentState, RefusedConnect};

use crate::{
    consents,
    pages::{
        Framing, Page,
        guard::Visitor,
        outcome::{Outcome, feature_of},
        parts::{counted, icon},
        reasons, routes,
        session::{Caller, Session},
    },
    state::App,
};

/// Where it is.
pub(crate) const PATH: &str = "/oauth/hubspot/confirm";

/// The browser that came back from HubSpot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Consenter {
    pub(crate) workspace: WorkspaceId,
    pub(crate) consent: ConsentId,
}

impl Caller for Consenter {
    const COOKIE: &'static str = "hubspot_sync_consent";
    const PATH: &'static str = "/oauth/hubspot";
}

pub(crate) fn router() -> Router<App> {
    Router::new().route(PATH, get(show).post(decide))
}

/// Shows how the consent stands: the question, or its answer, however often it is looked at.
async fn show(
    State(app): State<App>,
    headers: HeaderMap,
    session: Session<Consenter>,
) -> Result<Response, Outcome> {
    let parts = app.parts().map_err(|_| Outcome::TryAgain("HS-5007"))?;
    let Consenter { workspace, consent } = session.caller;
    let row = parts.store.consent(workspace, consent, Utc::now()).await?;
    let row = row.ok_or(Outcome::ConfirmExpired)?;
    Ok(match row.state {
        ConsentState::Waiting => {
            let before = parts.store.connection(workspace).await?;
            if before
                .as_ref()
                .is_some_and(|c| c.state == ConnectionState::Connected)
            {
                return Ok(Outcome::AlreadyConnected.into_response());
            }
            let before = before.map(|c| c.portal).filter(|p| *p != row.portal);
            let standing = parts.store.export_standing(workspace).await?;
            let waiting = if standing.settings_saved {
                let reasons = reasons::of_state(RequestState::Waiting);
                let waiting = parts.store.count_reasons(workspace, &reasons, None).await?;
                Some(waiting.iter().map(|c| c.requests).sum())
            } else {
                None
            };
            question(&row, before, waiting, session.csrf()).into_response()
        }
        ConsentState::Confirmed => {
            let has_session = Session::<Visitor>::of(&app, &headers).is_some();
            connected(&row, has_session).into_response()
        }
        ConsentState::Refused => Outcome::ConfirmRefused.into_response(),
        ConsentState::Expired => Outcome::ConfirmExpired.into_response(),
    })
}

#[derive(Deserialize)]
struct Answer {
    csrf: String,
    decision: Decision,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Connect,
    Refuse,
}

/// Sent twice, the second one finds it decided.
async fn decide(
    State(app): State<App>,
    session: Session<Consenter>,
    form: Result<Form<Answer>, FormRejection>,
) -> Result<Response, Outcome> {
    let Form(answer) = form.map_err(|_| Outcome::NoSession)?;
    if !session.sent(&answer.csrf) {
        return Err(Outcome::NoSession);
    }
    let Consenter { workspace, consent } = session.caller;
    let decided = match answer.decision {
        Decision::Connect => consents::confirm(&app, workspace, consent).await.map(Some),
        Decision::Refuse => consents::refuse(&app, workspace, consent)
            .await
            .map(|_| None),
    };
    match decided {
        Ok(Some(Confirmed::NotConnected(RefusedConnect::AlreadyConnected(_)))) => {
            Err(Outcome::AlreadyConnected)
        }
        Ok(Some(Confirmed::NotConnected(RefusedConnect::Disconnecting))) => {
            Err(Outcome::Disconnecting)
        }
        // The page that shows how it stands can be looked at again without sending anything.
        Ok(_) => Ok(Redirect::to(PATH).into_response()),
        Err(store::StoreError::NotFound(_)) => Err(Outcome::ConfirmExpired),
        Err(error) => Err(error.into()),
    }
}

/// A name as it was given, which cannot turn the text around it.
fn name(text: &str) -> Markup {
    html! { bdi { b { (text) } } }
}

/// `waiting`: how many exports wait, where the settings were saved.
fn question(
    row: &ConsentRow,
    before: Option<domain::PortalId>,
    waiting: Option<u64>,
    csrf: &str,
) -> Page<'static> {
    let missing = missing(row);
    let content = html! {
        div .section { header { div {
            h1 { "Connect this HubSpot account to this workspace?" }
            p { "HubSpot has approved. Asked once, so that the right two meet." }
        } } }
        div .card {
            dl .facts {
                dt { "HubSpot account" }
                dd {
                    b id="portal" { (row.portal) }
                    @if let Some(domain) = &row.hub_domain { " · " bdi { (domain) } }
                    @if let Some(domain) = &row.ui_domain { br; span .muted .small { (domain) } }
                }
                dt { "Workspace" }
                dd {
                    @match &row.names.workspace {
                        Some(text) => { span id="workspace" { (name(text)) } br; span .muted .small { (row.workspace) } }
                        None => {
                            b id="workspace" { (row.workspace) } br;
                            span .muted .small { "The app gave no name of it. Compare this number with that of your workspace." }
                        }
                    }
                }
                dt { "Asked for by" }
                dd {
                    @match &row.names.admin {
                        Some(text) => { span id="admin" { (name(text)) } }
                        None => { span id="admin" .muted { "user " (row.admin) } }
                    }
                }
                @if let Some(portal) = before {
                    dt { "Until now" }
                    dd { "HubSpot account " b { (portal) } ". What was imported from it stays." }
                }
                dt { "Allowed" }
                dd {
                    @if missing.is_empty() { "All that is needed." }
                    @else { "Not all that is needed: " (missing.join(", ")) " stay off." }
                }
            }
            div {
                h2 { "What happens next" }
                p .muted { "The workspace imports contacts, companies, deals, owners and lists of this account. Whoever belongs to the workspace can see them there. "
                    @match waiting {
                        None => { "Nothing is written to HubSpot before the export settings were saved once." }
                        Some(waiting) if before.is_none() => {
                            "The export settings were saved, so exports go on at once; " (counted(waiting, "waits", "wait")) "."
                        }
                        Some(_) => { "The export settings were saved, so exports go on at once." }
                    }
                }
            }
        }
        form method="post" action=(PATH) .row {
            input type="hidden" name="csrf" value=(csrf);
            button #connect .btn .primary name="decision" value="connect" { "Connect and import" }
            button #refuse .btn name="decision" value="refuse" { "Do not connect" }
        }
        p .hint {
            "Do you not know this workspace, or who asked? Then do not connect. “Do not connect” gives the access back to HubSpot at once. This page is good until "
            time datetime=(row.expires_at.to_rfc3339()) { (row.expires_at.format("%H:%M UTC")) } "."
        }
    };
    Page {
        status: StatusCode::OK,
        code: "",
        title: "Confirm the connection",
        framing: Framing::Never,
        content,
    }
}

/// The features that stay off, each once.
fn missing(row: &ConsentRow) -> Vec<&'static str> {
    let mut features: Vec<_> = scopes::missing(row.scopes.iter().map(String::as_str))
        .into_iter()
        .map(feature_of)
        .collect();
    features.dedup();
    features
}

fn connected(row: &ConsentRow, has_session: bool) -> Page<'static> {
    let missing = scopes::missing(row.scopes.iter().map(String::as_str));
    let content = html! {
        div .card {
            div .stack .tight {
                p { span .pill .ok { (icon::draw(icon::CHECK)) "Connected" } }
                h1 { "HubSpot is connected" }
                p { "The records of HubSpot account " b { (row.portal) } " are being read now. You can close this page." }
                @if has_session { p { a #settings .btn .primary href=(routes::OVERVIEW) { "To the settings" } } }
            }
            @if !missing.is_empty() {
                div .stack .tight {
                    p { "These stay off until the right is granted:" }
                    ul {
                        @for scope in &missing {
                            li { (feature_of(scope)) ": " code { (scope) } " was not granted" }
                        }
                    }
                }
            }
        }
    };
    Page {
        status: StatusCode::OK,
        code: "",
        title: "HubSpot is connected",
        framing: Framing::AsConfigured,
        content,
    }
}
