//! `/api/v1`: what connect, status, resync and disconnect need.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::header,
    middleware::Next,
    response::Response,
    routing::{get, post},
};
use chrono::{TimeDelta, Utc};
use domain::{
    AdminId, ConnectionPhase, ConnectionState, Progress, Rate, ResyncOutcome, ResyncRequest,
    SyncRunId, SyncType, WorkspaceId,
    api::{
        ConnectAnswer, ConnectRequest, DisconnectAnswer, ObjectStatus, ResyncAnswer, RunStatus,
        StatusAnswer,
    },
    scopes,
};
use hubspot::{Client, StaticToken, Unlimited};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use store::{AuthKind, NewConnection, NewTokens, RefusedConnect, RunState};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::{
    problem::Refusal,
    state::{App, Wake},
};

/// How long a link and a state are good (C1).
pub(crate) const GOOD_FOR: TimeDelta = TimeDelta::minutes(10);

/// What a ticket says: who may begin to connect what.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) workspace: WorkspaceId,
    pub(crate) admin: AdminId,
}

pub(crate) fn router(app: App) -> Router<App> {
    let hubspot = "/workspaces/{workspace}/hubspot";
    Router::new()
        .route(&format!("{hubspot}/connect"), post(connect))
        .route(&format!("{hubspot}/status"), get(status))
        .route(&format!("{hubspot}/resync"), post(resync))
        .route(&format!("{hubspot}/disconnect"), post(disconnect))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(axum::middleware::from_fn_with_state(app, authorize))
}

async fn authorize(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "))
        .unwrap_or_default();
    let good = given
        .as_bytes()
        .ct_eq(app.api_token.expose_secret().as_bytes());
    if bool::from(good) {
        Ok(next.run(request).await)
    } else {
        Err(Refusal::Unauthorized)
    }
}

fn workspace_of(text: &str) -> Result<WorkspaceId, Refusal> {
    text.parse()
        .map_err(|e| Refusal::Malformed(format!("workspace: {e}")))
}

/// A body; an empty one stands for `{}`.
fn body_of<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Refusal> {
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    // Of what serde says only the place and the kind are repeated: values may be secrets.
    serde_json::from_slice(bytes).map_err(|e| {
        let what = match e.classify() {
            serde_json::error::Category::Data => field_of(&e.to_string()),
            _ => "the body is not valid JSON".to_owned(),
        };
        Refusal::Malformed(format!("{what} (line {}, column {})", e.line(), e.column()))
    })
}

/// Names the field of serde's message without its value.
fn field_of(message: &str) -> String {
    for start in [
        "missing field `",
        "unknown field `",
        "duplicate field `",
        "unknown variant `",
    ] {
        if let Some(rest) = message.strip_prefix(start) {
            let kind = start.trim_end_matches('`').trim();
            let expected = rest
                .split_once("expected ")
                .map(|(_, e)| e.split(" at line").next().unwrap_or_default())
                .map_or_else(String::new, |e| format!("; expected {e}"));
            let name = if start.contains("variant") {
                String::new()
            } else {
                format!(" {}", rest.split('`').next().unwrap_or_default())
            };
            return format!("{kind}{name}{expected}");
        }
    }
    "a field has a value of the wrong kind".to_owned()
}

async fn known(app: &App, workspace: WorkspaceId) -> Result<(), Refusal> {
    if app.parts()?.store.workspace_exists(workspace).await? {
        Ok(())
    } else {
        Err(Refusal::UnknownWorkspace)
    }
}

async fn connect(
    State(app): State<App>,
    Path(workspace): Path<String>,
    body: Bytes,
) -> Result<Json<ConnectAnswer>, Refusal> {
    let workspace = workspace_of(&workspace)?;
    let request: ConnectRequest = body_of(&body)?;
    let store = &app.parts()?.store;
    let state = store.connection(workspace).await?.map(|c| c.state);
    match state {
        Some(ConnectionState::Connected) => return Err(Refusal::AlreadyConnected),
        Some(ConnectionState::Disconnecting) => return Err(Refusal::Disconnecting),
        _ => {}
    }
    let now = Utc::now();
    if let Some(token) = request.access_token {
        return connect_by_key(&app, workspace, request.admin, token.into())
            .await
            .map(Json);
    }
    if app.oauth.is_none() {
        return Err(Refusal::AppMisconfigured("HUBSPOT_CLIENT_ID"));
    }
    store.ensure_workspace(workspace, now).await?;
    let ticket = Ticket {
        workspace,
        admin: request.admin,
    };
    let ticket = app
        .sealer
        .seal("ticket", ticket, now + GOOD_FOR)
        .ok_or(Refusal::AppMisconfigured("WEB_SIGNING_KEY"))?;
    let mut url = app.public_url.clone();
    url.set_path("/oauth/hubspot/start");
    url.query_pairs_mut().append_pair("ticket", &ticket);
    Ok(Json(ConnectAnswer::Authorize { url: url.into() }))
}

/// A service key tells its portal, and not its scopes: a missing one shows when it is needed.
async fn connect_by_key(
    app: &App,
    workspace: WorkspaceId,
    admin: AdminId,
    key: SecretString,
) -> Result<ConnectAnswer, Refusal> {
    let client = Client::new(
        app.hubspot.clone(),
        std::sync::Arc::new(StaticToken::new(key.clone())),
        std::sync::Arc::new(Unlimited),
    )
    .map_err(|_| Refusal::AppMisconfigured("TLS"))?;
    let details = client.account().details().await.map_err(|e| match e {
        hubspot::Error::AuthRevoked | hubspot::Error::Unauthorized(_) => {
            Refusal::AccessTokenRefused
        }
        _ => Refusal::HubSpotUnavailable,
    })?;
    let portal = i64::try_from(details.portal_id.get())
        .ok()
        .and_then(|id| domain::PortalId::new(id).ok())
        .ok_or(Refusal::HubSpotUnavailable)?;
    let parts = app.parts()?;
    let now = Utc::now();
    parts.store.ensure_workspace(workspace, now).await?;
    let new = NewConnection {
        workspace,
        portal,
        auth_kind: AuthKind::Static,
        tokens: NewTokens {
            access: key,
            refresh: None,
            expires_at: None,
        },
        scopes: Vec::new(),
        admin,
        run: SyncRunId::new(Uuid::now_v7()),
    };
    match parts.store.connect_workspace(&new, now).await? {
        Ok(_) => {
            parts.wake(workspace, portal, Wake::SettingsChanged).await;
            Ok(ConnectAnswer::Connected { portal })
        }
        Err(RefusedConnect::AlreadyConnected(_)) => Err(Refusal::AlreadyConnected),
        Err(RefusedConnect::Disconnecting) => Err(Refusal::Disconnecting),
    }
}

async fn status(
    State(app): State<App>,
    Path(workspace): Path<String>,
) -> Result<Json<StatusAnswer>, Refusal> {
    let workspace = workspace_of(&workspace)?;
    known(&app, workspace).await?;
    let store = &app.parts()?.store;
    let Some(connection) = store.connection(workspace).await? else {
        return Ok(Json(StatusAnswer {
            workspace,
            portal: None,
            state: None,
            phase: ConnectionPhase::Disconnected,
            missing_scopes: Vec::new(),
            run: None,
            objects: Vec::new(),
        }));
    };
    let portal = connection.portal;
    let run = store.run_to_show(workspace, portal).await?;
    let types = match &run {
        Some(run) => store.run_status(run.run).await?,
        None => Vec::new(),
    };
    let stats = store.mirror_stats(workspace, portal).await?;
    let active = run
        .as_ref()
        .is_some_and(|r| matches!(r.state, RunState::Queued | RunState::Running));
    let ever_finished = store.any_run_finished(workspace, portal).await?;
    let now = Utc::now();
    let objects = SyncType::ALL
        .into_iter()
        .map(|object_type| {
            let begun = types.iter().find(|t| t.progress.object_type == object_type);
            let progress =
                begun.map_or_else(|| Progress::none(object_type), |t| t.progress.clone());
            let until = match begun {
                Some(t) if t.progress.finished => t.last_commit_at.unwrap_or(now),
                _ => now,
            };
            let rate = Rate::of(&progress, begun.map(|t| t.began_at), until);
            let stat = stats.iter().find(|s| s.sync_type == object_type);
            ObjectStatus {
                object_type,
                done: progress.done,
                total: progress.total,
                rate_per_second: rate.per_second,
                eta_seconds: rate.eta_seconds,
                finished: progress.finished,
                quarantined: stat.map_or(0, |s| s.quarantined),
                stored: stat.map_or(0, |s| s.stored),
            }
        })
        .collect();
    let missing_scopes = match connection.auth_kind {
        AuthKind::OAuth => scopes::missing(connection.scopes.iter().map(String::as_str))
            .into_iter()
            .map(str::to_owned)
            .collect(),
        AuthKind::Static => Vec::new(),
    };
    Ok(Json(StatusAnswer {
        workspace,
        portal: Some(portal),
        state: Some(connection.state),
        phase: ConnectionPhase::of(connection.state, active, ever_finished),
        missing_scopes,
        run: run.map(|run| RunStatus {
            run: run.run,
            kind: run.kind,
            state: run.state.as_str().to_owned(),
            requested_at: run.requested_at,
            finished_at: run.finished_at,
        }),
        objects,
    }))
}

async fn resync(
    State(app): State<App>,
    Path(workspace): Path<String>,
    body: Bytes,
) -> Result<Json<ResyncAnswer>, Refusal> {
    let workspace = workspace_of(&workspace)?;
    let request: ResyncRequest = body_of(&body)?;
    known(&app, workspace).await?;
    let parts = app.parts()?;
    let id = SyncRunId::new(Uuid::now_v7());
    let requested = parts
        .store
        .request_resync(workspace, &request, id, Utc::now())
        .await;
    let requested = match requested {
        Err(store::StoreError::NotFound(_)) => return Err(Refusal::ResyncNotConnected),
        other => other?,
    };
    let message = match requested.outcome {
        ResyncOutcome::Started => "The resync starts now.",
        ResyncOutcome::AlreadyRunning => {
            "A run is under way that reads all of this; nothing new was started."
        }
        ResyncOutcome::Queued => {
            "A run is under way that does not cover this; the resync follows it."
        }
        ResyncOutcome::NotConnected => return Err(Refusal::ResyncNotConnected),
    };
    if requested.run.is_some()
        && let Some(connection) = parts.store.connection(workspace).await?
    {
        parts
            .wake(workspace, connection.portal, Wake::SettingsChanged)
            .await;
    }
    Ok(Json(ResyncAnswer {
        outcome: requested.outcome,
        run: requested.run,
        message: message.to_owned(),
    }))
}

async fn disconnect(
    State(app): State<App>,
    Path(workspace): Path<String>,
) -> Result<Json<DisconnectAnswer>, Refusal> {
    let workspace = workspace_of(&workspace)?;
    known(&app, workspace).await?;
    let parts = app.parts()?;
    let raised = parts
        .store
        .raise_fence(workspace, Utc::now())
        .await?
        .ok_or(Refusal::NotConnected)?;
    if raised.state == ConnectionState::Disconnected {
        return Err(Refusal::NotConnected);
    }
    parts.wake(workspace, raised.portal, Wake::Disconnect).await;
    Ok(Json(DisconnectAnswer {
        state: raised.state,
        message: "The fence is up: no request goes to HubSpot any more. Tokens are being revoked and erased; imported data stays.".to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_bodies_name_the_field_and_not_the_value() {
        let table = [
            (r#"{"admin":"sekret"}"#, "wrong kind"),
            ("{}", "missing field admin"),
            (
                r#"{"admin":"00000000-0000-0000-0000-000000000000","sekret":1}"#,
                "unknown field",
            ),
            ("{", "not valid JSON"),
        ];
        for (body, want) in table {
            let refused = body_of::<ConnectRequest>(&Bytes::from(body)).unwrap_err();
            let detail = refused.problem().detail;
            assert!(detail.contains(want), "{detail}");
        }
        let refused =
            body_of::<ResyncRequest>(&Bytes::from(r#"{"types":["sekret"]}"#)).unwrap_err();
        let detail = refused.problem().detail;
        assert!(
            detail.contains("contacts") && !detail.contains("sekret"),
            "{detail}"
        );
    }
}
