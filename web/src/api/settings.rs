//! The settings of a workspace: get, save, check, defaults.

use axum::{Json, body::Bytes, extract::State};
use chrono::{DateTime, Utc};
use domain::{
    ConnectionState, SyncRunId, WorkspaceId,
    api::{SettingsAnswer, SettingsCheck, SettingsCheckAnswer, SettingsPut},
    portal::PortalFacts,
    settings::{Settings, SettingsRevision, acceptable, changes, read, validate},
};
use store::{SettingsRow, SettingsSaved, Store};
use uuid::Uuid;

use crate::{
    api::{
        extract::{In, body_of},
        now,
    },
    problem::Refusal,
    state::App,
};

/// A saved document, brought to the newest schema.
fn saved(row: SettingsRow) -> Result<Settings, Refusal> {
    let revision = row.revision;
    read(row.document).map_err(|_| {
        tracing::error!(code = "HS-2217", %revision, "stored settings cannot be read");
        Refusal::StoredSettingsNotReadable(revision)
    })
}

fn given(document: serde_json::Value) -> Result<Settings, Refusal> {
    read(document).map_err(|e| Refusal::SettingsNotReadable(e.to_string()))
}

/// What is in force.
pub(crate) struct InForce {
    pub(crate) revision: SettingsRevision,
    pub(crate) saved_at: Option<DateTime<Utc>>,
    /// None before anything was saved.
    saved: Option<Result<Settings, Refusal>>,
}

impl InForce {
    pub(crate) async fn of(store: &Store, workspace: WorkspaceId) -> Result<Self, Refusal> {
        Ok(match store.settings(workspace).await? {
            None => Self {
                revision: SettingsRevision::NONE,
                saved_at: None,
                saved: None,
            },
            Some(row) => Self {
                revision: row.revision,
                saved_at: Some(row.saved_at),
                saved: Some(saved(row)),
            },
        })
    }

    /// What was saved, to compare with; what cannot be read can be replaced all the same.
    fn readable(&self) -> Option<&Settings> {
        self.saved.as_ref().and_then(|saved| saved.as_ref().ok())
    }

    pub(crate) fn answer(self, facts: &PortalFacts) -> Result<SettingsAnswer, Refusal> {
        let settings = self
            .saved
            .unwrap_or_else(|| Ok(Settings::defaults(facts)))?;
        Ok(SettingsAnswer {
            revision: self.revision,
            saved_at: self.saved_at,
            problems: validate(&settings, facts, Some(&settings)),
            settings,
        })
    }
}

/// The settings in force
///
/// Before any were saved these are the defaults for the portal, with revision 0. `problems` names
/// rows that went bad since they were saved.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/settings", tag = "settings", operation_id = "getSettings",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    responses((status = 200, description = "The settings", body = SettingsAnswer))
)]
pub(crate) async fn get_settings(
    State(app): State<App>,
    In(workspace): In,
) -> Result<Json<SettingsAnswer>, Refusal> {
    let store = &app.parts()?.store;
    let facts = store.portal_facts(workspace).await?;
    Ok(Json(InForce::of(store, workspace).await?.answer(&facts)?))
}

/// The defaults for the portal as it is known now
#[utoipa::path(
    get, path = "/workspaces/{workspace}/settings/defaults", tag = "settings", operation_id = "getDefaultSettings",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    responses((status = 200, description = "The defaults, as revision 0", body = SettingsAnswer))
)]
pub(crate) async fn default_settings(
    State(app): State<App>,
    In(workspace): In,
) -> Result<Json<SettingsAnswer>, Refusal> {
    let facts = app.parts()?.store.portal_facts(workspace).await?;
    let nothing = InForce {
        revision: SettingsRevision::NONE,
        saved_at: None,
        saved: None,
    };
    Ok(Json(nothing.answer(&facts)?))
}

/// Checks settings without saving them
#[utoipa::path(
    post, path = "/workspaces/{workspace}/settings/check", tag = "settings", operation_id = "checkSettings",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = SettingsCheck,
    responses((status = 200, description = "What was found, whatever it is", body = SettingsCheckAnswer))
)]
pub(crate) async fn check_settings(
    State(app): State<App>,
    In(workspace): In,
    body: Bytes,
) -> Result<Json<SettingsCheckAnswer>, Refusal> {
    let asked: SettingsCheck = body_of(&body)?;
    let settings = given(asked.settings)?;
    let store = &app.parts()?.store;
    let facts = store.portal_facts(workspace).await?;
    let in_force = InForce::of(store, workspace).await?;
    let problems = validate(&settings, &facts, in_force.readable());
    Ok(Json(SettingsCheckAnswer::new(problems)))
}

/// Saves settings
///
/// Only if the revision in force is still the expected one: of two writers the second is told what
/// the first changed (HS-2191). Refused as a whole when a row is wrong (HS-2190).
#[utoipa::path(
    put, path = "/workspaces/{workspace}/settings", tag = "settings", operation_id = "putSettings",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = SettingsPut,
    responses(
        (status = 200, description = "Saved", body = SettingsAnswer),
        (status = 409, description = "Somebody saved since: what they changed", content_type = "application/problem+json", body = domain::api::SettingsConflict),
        (status = 422, description = "Rows are wrong: which, and why", content_type = "application/problem+json", body = domain::api::SettingsRefused),
    )
)]
pub(crate) async fn put_settings(
    State(app): State<App>,
    In(workspace): In,
    body: Bytes,
) -> Result<Json<SettingsAnswer>, Refusal> {
    let asked: SettingsPut = body_of(&body)?;
    save(
        &app,
        workspace,
        asked.expected_revision,
        given(asked.settings)?,
    )
    .await
    .map(Json)
}

/// Saves settings that were made from the revision `expected`.
pub(crate) async fn save(
    app: &App,
    workspace: WorkspaceId,
    expected: SettingsRevision,
    settings: Settings,
) -> Result<SettingsAnswer, Refusal> {
    let parts = app.parts()?;
    let store = &parts.store;
    let facts = store.portal_facts(workspace).await?;
    let in_force = InForce::of(store, workspace).await?;
    if in_force.revision != expected {
        return Err(conflict(store, workspace, expected, &facts).await?);
    }
    let problems = validate(&settings, &facts, in_force.readable());
    if !acceptable(&problems) {
        return Err(Refusal::SettingsRefused(problems));
    }
    let saved_at = now();
    let revision = match store
        .save_settings(
            workspace,
            expected,
            &settings,
            SyncRunId::new(Uuid::now_v7()),
            SyncRunId::new(Uuid::now_v7()),
            saved_at,
        )
        .await?
    {
        SettingsSaved::Saved(revision) => revision,
        SettingsSaved::Changed { .. } => {
            return Err(conflict(store, workspace, expected, &facts).await?);
        }
    };
    if let Some(connection) = store.connection(workspace).await?
        && connection.state == ConnectionState::Connected
    {
        parts.wake(workspace, connection.portal).await;
    }
    Ok(SettingsAnswer {
        revision,
        saved_at: Some(saved_at),
        settings,
        problems,
    })
}

/// What was changed since the revision that a writer began from.
async fn conflict(
    store: &Store,
    workspace: WorkspaceId,
    expected: SettingsRevision,
    facts: &PortalFacts,
) -> Result<Refusal, Refusal> {
    let in_force = InForce::of(store, workspace).await?;
    let base = match store.settings_at(workspace, expected).await? {
        Some(row) => saved(row),
        None => Ok(Settings::defaults(facts)),
    };
    let now = in_force
        .saved
        .unwrap_or_else(|| Ok(Settings::defaults(facts)));
    Ok(Refusal::SettingsChanged {
        revision: in_force.revision,
        // Where one of the two cannot be read, the revision is all that can be said.
        changes: match (base, now) {
            (Ok(base), Ok(now)) => changes(&base, &now),
            _ => Vec::new(),
        },
    })
}
