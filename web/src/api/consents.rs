//! Consents that wait to be confirmed: the main app may decide instead of the page (C1).

use axum::{Json, extract::State};
use chrono::Utc;
use domain::{
    ConsentId, PortalId, WorkspaceId,
    api::{ConsentAnswer, ConsentDecided, ConsentOutcome},
    scopes,
};
use store::{Confirmed, ConsentRow, ConsentState, RefusedConnect, StoreError};

use crate::{
    api::extract::{Ids, In},
    consents,
    problem::Refusal,
    state::App,
};

fn shown(row: ConsentRow) -> ConsentAnswer {
    let missing = scopes::missing(row.scopes.iter().map(String::as_str));
    ConsentAnswer {
        consent: row.id,
        portal: row.portal,
        hub_domain: row.hub_domain,
        admin: row.admin,
        missing_scopes: missing.into_iter().map(str::to_owned).collect(),
        created_at: row.created_at,
        expires_at: row.expires_at,
    }
}

fn refusal(error: StoreError) -> Refusal {
    match error {
        StoreError::NotFound("store") => Refusal::NotReady,
        StoreError::NotFound("workspace") => Refusal::UnknownWorkspace,
        StoreError::NotFound(_) => Refusal::UnknownRecord("consent"),
        other => other.into(),
    }
}

/// Lists consents that wait to be confirmed
///
/// Such as a main app that asks in a page of its own wants them. Nothing of the portal is read
/// before.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/hubspot/consents", tag = "connection", operation_id = "listConsents",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    responses((status = 200, description = "Those that wait, oldest first; usually none or one", body = Vec<ConsentAnswer>))
)]
pub(crate) async fn list_consents(
    State(app): State<App>,
    In(workspace): In,
) -> Result<Json<Vec<ConsentAnswer>>, Refusal> {
    let store = &app.parts()?.store;
    let rows = store.waiting_consents(workspace, Utc::now()).await?;
    Ok(Json(rows.into_iter().map(shown).collect()))
}

/// Confirms a consent: the workspace is connected
///
/// Only when the main app knows that portal and workspace belong together. Again, the answer is the
/// same.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/hubspot/consents/{consent}/confirm", tag = "connection", operation_id = "confirmConsent",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("consent" = ConsentId, Path, description = "The consent"),
    ),
    responses((status = 200, description = "Connected", body = ConsentDecided))
)]
pub(crate) async fn confirm_consent(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<ConsentDecided>, Refusal> {
    let consent: ConsentId = ids.get("consent")?;
    let confirmed = consents::confirm(&app, workspace, consent)
        .await
        .map_err(refusal)?;
    match confirmed {
        Confirmed::Now(portal) | Confirmed::Before(portal) => {
            Ok(decided(consent, portal, ConsentOutcome::Connected))
        }
        Confirmed::Refused => Err(Refusal::ConsentRefused),
        Confirmed::Expired => Err(Refusal::ConsentExpired),
        Confirmed::NotConnected(RefusedConnect::AlreadyConnected(_)) => {
            Err(Refusal::AlreadyConnected)
        }
        Confirmed::NotConnected(RefusedConnect::Disconnecting) => Err(Refusal::Disconnecting),
    }
}

/// Refuses a consent: nothing is connected, and HubSpot gets its access back
#[utoipa::path(
    post, path = "/workspaces/{workspace}/hubspot/consents/{consent}/refuse", tag = "connection", operation_id = "refuseConsent",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("consent" = ConsentId, Path, description = "The consent"),
    ),
    responses((status = 200, description = "Refused", body = ConsentDecided))
)]
pub(crate) async fn refuse_consent(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<ConsentDecided>, Refusal> {
    let consent: ConsentId = ids.get("consent")?;
    let row = consents::refuse(&app, workspace, consent)
        .await
        .map_err(refusal)?;
    match row.state {
        ConsentState::Confirmed => Err(Refusal::AlreadyConnected),
        ConsentState::Expired => Err(Refusal::ConsentExpired),
        ConsentState::Refused | ConsentState::Waiting => {
            Ok(decided(consent, row.portal, ConsentOutcome::Refused))
        }
    }
}

fn decided(consent: ConsentId, portal: PortalId, outcome: ConsentOutcome) -> Json<ConsentDecided> {
    Json(ConsentDecided {
        consent,
        portal,
        outcome,
    })
}
