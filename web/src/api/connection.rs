//! Connect, status, resync, disconnect.

use axum::{Json, body::Bytes, extract::State};
use chrono::{DateTime, Utc};
use domain::{
    AdminId, AppKey, ConnectionPhase, ConnectionState, Progress, Rate, ReadOutcome, ResyncOutcome,
    ResyncRequest, SyncRunId, SyncType, TypeOutcome, WorkspaceId,
    api::{
        ConnectAnswer, ConnectRequest, DisconnectAnswer, FreshnessStatus, NoneFoundStatus,
        ObjectStatus, PauseStatus, RefusalStatus, ResyncAnswer, RunStatus, StatusAnswer,
        TroubleStatus,
    },
    periodic,
    progress::no_progress_minutes,
    reconcile::measured,
    scopes,
};
use hubspot::{Client, StaticToken, Unlimited};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use store::{
    AuthKind, ConnectLink, ConnectNames, ConnectionRow, NewConnection, NewTokens, PortalName,
    RefusedConnect, RunState, TypeStatus,
};
use uuid::Uuid;

use crate::{
    api::{
        GOOD_FOR,
        extract::{Ids, In, body_of},
        idempotency::CallIds,
    },
    counts::Moment,
    problem::Refusal,
    state::App,
};

/// What a ticket says: which link was opened.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) link: Uuid,
}

impl Ticket {
    /// The address that begins to connect.
    pub(crate) fn url(&self, app: &App, until: chrono::DateTime<Utc>) -> Option<url::Url> {
        let ticket = app.sealer.seal("ticket", self, until)?;
        let mut url = app.public_url.clone();
        url.set_path("/oauth/hubspot/start");
        url.query_pairs_mut().append_pair("ticket", &ticket);
        Some(url)
    }
}

/// Begins to connect the workspace to a HubSpot portal
#[utoipa::path(
    post, path = "/workspaces/{workspace}/hubspot/connect", tag = "connection", operation_id = "connect",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = ConnectRequest,
    responses(
        (status = 200, description = "Where to send the admin, or connected by service key", body = ConnectAnswer),
        (status = 500, description = "The HubSpot app is not configured on this server (HS-1010)", content_type = "application/problem+json", body = domain::api::Problem),
        (status = 502, description = "HubSpot did not answer; it can be sent again (HS-1009)", content_type = "application/problem+json", body = domain::api::Problem),
    )
)]
pub(crate) async fn connect(
    State(app): State<App>,
    ids: Ids,
    body: Bytes,
) -> Result<Json<ConnectAnswer>, Refusal> {
    let workspace: WorkspaceId = ids.get("workspace")?;
    begin(&app, workspace, body_of(&body)?).await.map(Json)
}

/// Begins to connect, or connects at once by service key.
pub(crate) async fn begin(
    app: &App,
    workspace: WorkspaceId,
    request: ConnectRequest,
) -> Result<ConnectAnswer, Refusal> {
    let store = &app.parts()?.store;
    let state = store.connection(workspace).await?.map(|c| c.state);
    match state {
        Some(ConnectionState::Connected) => return Err(Refusal::AlreadyConnected),
        Some(ConnectionState::Disconnecting) => return Err(Refusal::Disconnecting),
        _ => {}
    }
    let now = Utc::now();
    if let Some(token) = request.access_token {
        return connect_by_key(app, workspace, request.admin, token.into()).await;
    }
    if app.oauth.is_none() {
        return Err(Refusal::AppMisconfigured("HUBSPOT_CLIENT_ID"));
    }
    store.ensure_workspace(workspace, now).await?;
    let link = ConnectLink {
        id: Uuid::new_v4(),
        workspace,
        admin: request.admin,
        names: ConnectNames {
            workspace: request.workspace_name.map(String::from),
            admin: request.admin_name.map(String::from),
        },
        expires_at: now + GOOD_FOR,
    };
    store.create_connect_link(&link, now).await?;
    let url = Ticket { link: link.id }
        .url(app, link.expires_at)
        .ok_or(Refusal::AppMisconfigured("WEB_SIGNING_KEY"))?;
    Ok(ConnectAnswer::Authorize { url: url.into() })
}

/// Whether a header can carry it. HubSpot need not be asked about the rest.
fn may_be_a_key(key: &SecretString) -> bool {
    let key = key.expose_secret();
    (1..=1_000).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
}

/// A service key tells its portal, and not its scopes: a missing one shows when it is needed.
async fn connect_by_key(
    app: &App,
    workspace: WorkspaceId,
    admin: AdminId,
    key: SecretString,
) -> Result<ConnectAnswer, Refusal> {
    if !may_be_a_key(&key) {
        return Err(Refusal::AccessTokenRefused);
    }
    let client = Client::new(
        app.hubspot.clone(),
        std::sync::Arc::new(StaticToken::new(key.clone())),
        std::sync::Arc::new(Unlimited),
    )
    .map_err(|_| Refusal::AppMisconfigured("TLS"))?;
    let details = client.account().details().await.map_err(|e| match e {
        hubspot::Error::AuthRevoked
        | hubspot::Error::Unauthorized(_)
        | hubspot::Error::TokenDoubted { .. } => Refusal::AccessTokenRefused,
        _ => Refusal::HubSpotUnavailable,
    })?;
    let portal = i64::try_from(details.portal_id.get())
        .ok()
        .and_then(|id| domain::PortalId::new(id).ok())
        .ok_or(Refusal::HubSpotUnavailable)?;
    let parts = app.parts()?;
    let now = Utc::now();
    parts.store.ensure_workspace(workspace, now).await?;
    // Its requests of the day are counted until the account's midnight.
    if let Some(offset) = details.utc_offset_milliseconds {
        parts
            .store
            .note_utc_offset(&AppKey::service_key(), portal, offset / 1_000)
            .await?;
    }
    let new = NewConnection {
        workspace,
        portal,
        auth_kind: AuthKind::Static,
        tokens: NewTokens {
            access: key,
            refresh: None,
            lifetime: None,
        },
        scopes: Vec::new(),
        admin,
        run: SyncRunId::new(Uuid::now_v7()),
    };
    match parts.store.connect_workspace(&new, now).await? {
        Ok(_) => {
            let name = PortalName {
                hub_domain: None,
                ui_domain: details.ui_domain,
            };
            parts
                .store
                .note_portal_name(workspace, portal, &name)
                .await?;
            parts.wake(workspace, portal).await;
            Ok(ConnectAnswer::Connected { portal })
        }
        Err(RefusedConnect::AlreadyConnected(_)) => Err(Refusal::AlreadyConnected),
        Err(RefusedConnect::Disconnecting) => Err(Refusal::Disconnecting),
    }
}

/// The state of the connection, and how far reading is
#[utoipa::path(
    get, path = "/workspaces/{workspace}/hubspot/status", tag = "connection", operation_id = "getStatus",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    responses((status = 200, description = "The state", body = StatusAnswer))
)]
pub(crate) async fn status(
    State(app): State<App>,
    In(workspace): In,
) -> Result<Json<StatusAnswer>, Refusal> {
    status_of(&app, workspace).await.map(Json)
}

/// How the connection stands, of a workspace that may be unknown too.
pub(crate) async fn status_of(app: &App, workspace: WorkspaceId) -> Result<StatusAnswer, Refusal> {
    let store = &app.parts()?.store;
    let Some(connection) = store.connection(workspace).await? else {
        return Ok(StatusAnswer {
            workspace,
            portal: None,
            state: None,
            phase: ConnectionPhase::Disconnected,
            missing_scopes: Vec::new(),
            pauses: Vec::new(),
            no_progress_minutes: None,
            import_enabled: true,
            reconcile: None,
            run: None,
            objects: Vec::new(),
        });
    };
    let portal = connection.portal;
    let run = store.run_to_show(workspace, portal).await?;
    let shown = store.portal_status(workspace, portal).await?;
    let moment = Moment {
        portal,
        run: run.as_ref().map(|run| (run.run, run.state)),
    };
    let stats = app.counts.of(store, workspace, moment).await?;
    let active = run
        .as_ref()
        .is_some_and(|r| matches!(r.state, RunState::Queued | RunState::Running));
    let is_running = run.as_ref().is_some_and(|r| r.state == RunState::Running);
    let ever_finished = store.any_run_finished(workspace, portal).await?;
    let now = shown.now;
    let freshness = store.freshness(workspace, portal).await?;
    let none_found = store.none_found(workspace, portal).await?;
    let settings = store
        .settings(workspace)
        .await?
        .and_then(|row| domain::settings::read(row.document).ok())
        .unwrap_or_else(domain::settings::Settings::empty);
    let import_enabled = settings.import.enabled;
    let with_engagements = settings.activity_context.engagements;
    let objects = SyncType::ALL
        .into_iter()
        .filter(|t| *t != SyncType::Engagements || with_engagements)
        .map(|object_type| {
            // Of a run under way that has yet to begin a type, what was read before is not shown.
            let waits = |t: &&TypeStatus| {
                active
                    && run
                        .as_ref()
                        .is_some_and(|r| t.run != Some(r.run) && r.types.contains(&object_type))
            };
            let begun = shown
                .types
                .iter()
                .find(|t| t.progress.object_type == object_type)
                .filter(|t| !waits(t));
            let progress =
                begun.map_or_else(|| Progress::none(object_type), |t| t.progress.clone());
            let until = match begun {
                Some(t) if t.progress.finished => t.last_commit_at.unwrap_or(now),
                _ => now,
            };
            // Only what a run under way reads can stand still.
            let no_progress_minutes = begun
                .filter(|t| is_running && t.outcome == ReadOutcome::Reading)
                .and_then(|t| {
                    let moved_at = t.last_commit_at.map_or(t.began_at, |at| at.max(t.began_at));
                    no_progress_minutes(moved_at, now)
                });
            let rate = Rate::of(&progress, begun.map(|t| t.began_at), until);
            let stat = stats.iter().find(|s| s.sync_type == object_type);
            let fresh = freshness.iter().find(|f| f.sync_type == object_type);
            let no_progress_minutes = no_progress_minutes.or_else(|| {
                fresh
                    .filter(|f| f.outcome == Some(ReadOutcome::Reading))
                    // Between two runs nothing moves, either.
                    .filter(|f| f.moved.is_some_and(|m| m.to_std().ok() > f.every))
                    .and_then(|f| domain::progress::no_progress_minutes(now - f.moved?, now))
            });
            ObjectStatus {
                object_type,
                done: progress.done,
                total: progress.total,
                rate_per_second: rate.per_second,
                eta_seconds: rate.eta_seconds,
                // No run has anything to do for engagements.
                finished: progress.finished || object_type == SyncType::Engagements,
                outcome: match (begun, fresh) {
                    (Some(t), _) => TypeOutcome::of(t.outcome, !t.refusals.is_empty()),
                    (None, Some(fresh)) if object_type == SyncType::Engagements => {
                        freshness_status(fresh).last
                    }
                    (None, _) => TypeOutcome::Waiting,
                },
                refusals: begun.map_or_else(Vec::new, |t| t.refusals.iter().map(refusal).collect()),
                unanswered: begun.map_or(0, |t| t.unanswered),
                trouble: shown
                    .troubles
                    .iter()
                    .find(|(of, _)| *of == object_type)
                    .map(|(_, t)| trouble(t)),
                no_progress_minutes,
                none_found: none_found
                    .iter()
                    .find(|found| found.sync_type == object_type)
                    .map(|found| NoneFoundStatus {
                        code: domain::ErrorCode::nothing_read(),
                        known: found.known,
                        since: found.since,
                    }),
                freshness: fresh.map(freshness_status),
                quarantined: stat.map_or(0, |s| s.quarantined),
                stored: stat.map_or(0, |s| s.stored),
            }
        })
        .collect();
    let compared = store.reconcile_state(workspace, portal).await?;
    let reconcile = measured(&compared.types, settings.import.reconcile_hours, |of| {
        let stat = stats.iter().find(|s| s.sync_type.object_type() == Some(of));
        stat.map_or(0, |s| s.stored)
    });
    let missing_scopes = missing_scopes(&connection, &shown.types);
    let of_service_key = connection.auth_kind == AuthKind::Static;
    let pauses = store
        .paused_budgets(portal)
        .await?
        .into_iter()
        .filter(|pause| pause.of_service_key == of_service_key)
        .map(|pause| PauseStatus {
            bucket: pause.bucket,
            reason: pause.reason,
            until: pause.until,
        })
        .collect();
    Ok(StatusAnswer {
        workspace,
        portal: Some(portal),
        state: Some(connection.state),
        phase: ConnectionPhase::of(connection.state, active, ever_finished),
        missing_scopes,
        pauses,
        no_progress_minutes: run
            .as_ref()
            .filter(|r| r.state == RunState::Running)
            .and_then(|r| {
                let begun = r.begun_at.unwrap_or(r.requested_at);
                let of_run = shown.types.iter().filter(|t| t.run == Some(r.run));
                let moved = of_run.flat_map(|t| [Some(t.began_at), t.last_commit_at]);
                no_progress_minutes(moved.flatten().fold(begun, DateTime::max), now)
            }),
        import_enabled,
        reconcile: Some(reconcile),
        run: run.map(|run| RunStatus {
            run: run.run,
            kind: run.kind,
            state: match run.state {
                RunState::Finished if run.refusals => "finished_with_refusals".to_owned(),
                state => state.as_str().to_owned(),
            },
            requested_at: run.requested_at,
            finished_at: run.finished_at,
        }),
        objects,
    })
}

/// The scopes that are missing: of an app those that it asks for and were not granted; besides, and of
/// a service key, whose scopes HubSpot does not tell, those that a refusal named.
fn missing_scopes(connection: &ConnectionRow, types: &[TypeStatus]) -> Vec<String> {
    let mut missing: Vec<String> = match connection.auth_kind {
        AuthKind::OAuth => scopes::missing(connection.scopes.iter().map(String::as_str))
            .into_iter()
            .map(str::to_owned)
            .collect(),
        AuthKind::Static => Vec::new(),
    };
    for scope in types
        .iter()
        .flat_map(|t| &t.refusals)
        .flat_map(|r| &r.scopes)
    {
        if !missing.contains(scope) && !connection.scopes.contains(scope) {
            missing.push(scope.clone());
        }
    }
    missing
}

fn refusal(refusal: &store::Refusal) -> RefusalStatus {
    RefusalStatus {
        part: refusal.part,
        code: refusal.code.clone(),
        scopes: refusal.scopes.clone(),
        field: refusal.field.clone(),
    }
}

fn freshness_status(fresh: &store::Freshness) -> FreshnessStatus {
    let stale = fresh
        .every
        .is_some_and(|every| periodic::is_stale(fresh.age, every));
    FreshnessStatus {
        as_of: fresh.fresh_to,
        age_seconds: u64::try_from(fresh.age.num_seconds()).unwrap_or(0),
        every_seconds: fresh.every.map(|every| every.as_secs()),
        alarm: stale.then(domain::ErrorCode::stale),
        last: fresh.outcome.map_or(TypeOutcome::Waiting, |outcome| {
            TypeOutcome::of(outcome, !fresh.refusals.is_empty())
        }),
        refusals: fresh.refusals.iter().map(refusal).collect(),
        unanswered: fresh.unanswered,
    }
}

fn trouble(trouble: &store::Trouble) -> TroubleStatus {
    TroubleStatus {
        code: trouble.code.clone(),
        since: trouble.since,
        last_at: trouble.last_at,
        times: trouble.times,
    }
}

/// Reads again: everything or chosen types
#[utoipa::path(
    post, path = "/workspaces/{workspace}/hubspot/resync", tag = "connection", operation_id = "resync",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = ResyncRequest,
    responses((status = 200, description = "What came of it", body = ResyncAnswer))
)]
pub(crate) async fn resync(
    State(app): State<App>,
    In(workspace): In,
    ids: CallIds,
    body: Bytes,
) -> Result<Json<ResyncAnswer>, Refusal> {
    let request: ResyncRequest = body_of(&body)?;
    read_again(&app, workspace, &request, SyncRunId::new(ids.nth(0)))
        .await
        .map(Json)
}

/// Has records read again; `id` is that of the run, if one has to be made.
pub(crate) async fn read_again(
    app: &App,
    workspace: WorkspaceId,
    request: &ResyncRequest,
    id: SyncRunId,
) -> Result<ResyncAnswer, Refusal> {
    let parts = app.parts()?;
    let requested = parts
        .store
        .request_resync(workspace, request, id, Utc::now())
        .await;
    let requested = match requested {
        Err(store::StoreError::NotFound(_)) => return Err(Refusal::ResyncNotConnected),
        other => other?,
    };
    let names: Vec<&str> = requested.types.iter().map(SyncType::as_str).collect();
    let message = match requested.outcome {
        ResyncOutcome::Started => "The resync starts now.".to_owned(),
        ResyncOutcome::AlreadyRunning => {
            "A run is under way that has yet to read all of this; nothing new was started."
                .to_owned()
        }
        ResyncOutcome::Queued => format!(
            "A run is under way that has begun some of this already, or does not read it: a new one \
             follows it and reads {}.",
            names.join(", ")
        ),
        ResyncOutcome::NotConnected => return Err(Refusal::ResyncNotConnected),
    };
    if requested.run.is_some()
        && let Some(connection) = parts.store.connection(workspace).await?
    {
        parts.wake(workspace, connection.portal).await;
    }
    Ok(ResyncAnswer {
        outcome: requested.outcome,
        run: requested.run,
        types: requested.types,
        message,
    })
}

/// Disconnects; the fence is up when the answer comes
#[utoipa::path(
    post, path = "/workspaces/{workspace}/hubspot/disconnect", tag = "connection", operation_id = "disconnect",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    responses((status = 200, description = "The state from now on", body = DisconnectAnswer))
)]
pub(crate) async fn disconnect(
    State(app): State<App>,
    In(workspace): In,
    ids: CallIds,
) -> Result<Json<DisconnectAnswer>, Refusal> {
    let parts = app.parts()?;
    // A call that died before it was answered did its work: what was connected since stays.
    if let Some(first_at) = ids.died_before(Utc::now())
        && let Some(connection) = parts.store.connection(workspace).await?
        && connection.connected_at > first_at
    {
        return Err(Refusal::NotConnected);
    }
    take_down(&app, workspace).await.map(Json)
}

/// Raises the fence.
pub(crate) async fn take_down(
    app: &App,
    workspace: WorkspaceId,
) -> Result<DisconnectAnswer, Refusal> {
    let parts = app.parts()?;
    let raised = parts
        .store
        .raise_fence(workspace, Utc::now())
        .await?
        .ok_or(Refusal::NotConnected)?;
    if raised.state == ConnectionState::Disconnected {
        return Err(Refusal::NotConnected);
    }
    parts.wake(workspace, raised.portal).await;
    Ok(DisconnectAnswer {
        state: raised.state,
        message: "The fence is up: no request goes to HubSpot any more. Tokens are being revoked and erased; imported data stays.".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_header_can_carry_is_no_key() {
        let long = "x".repeat(1_001);
        for (text, good) in [
            ("pat-na1-0000", true),
            ("", false),
            ("a b", false),
            ("a\n", false),
            ("é", false),
            (&long, false),
        ] {
            assert_eq!(may_be_a_key(&text.into()), good, "{text:?}");
        }
    }
}
