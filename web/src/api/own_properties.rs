//! Our group of properties in a portal (E5).

use axum::{Json, extract::State};
use domain::{
    ConnectionState, SyncRunId, WorkspaceId,
    api::{OwnPropertiesAnswer, OwnPropertyAnswer},
    own_properties::{GROUP, OWN_PROPERTIES, OwnProperty, with_rows},
    portal::PortalFacts,
    settings::{Settings, SettingsRevision, acceptable, read, validate},
};
use store::{SettingsSaved, Store};
use uuid::Uuid;
use workflows::own_properties::{OwnPropertiesEnd, OwnPropertiesHow, OwnPropertyMade};

use crate::{
    api::{extract::In, now},
    problem::Refusal,
    state::App,
};

/// Of those who save settings at once, one is the last.
const TRIES: u32 = 5;

/// Makes our group of properties in the portal, and maps them
///
/// Those that are there are taken as they are, so that asking again changes nothing. Where settings were
/// saved, a row is added for each that has none; before that the defaults have them.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/own-properties", tag = "settings", operation_id = "makeOwnProperties",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    responses((status = 200, description = "What came of each property", body = OwnPropertiesAnswer))
)]
pub(crate) async fn make_own_properties(
    State(app): State<App>,
    In(workspace): In,
) -> Result<Json<OwnPropertiesAnswer>, Refusal> {
    Ok(Json(make(&app, workspace).await?))
}

/// Makes our group of properties, and maps them.
pub(crate) async fn make(
    app: &App,
    workspace: WorkspaceId,
) -> Result<OwnPropertiesAnswer, Refusal> {
    let parts = app.parts()?;
    let Some(connection) = parts.store.connection(workspace).await? else {
        return Err(Refusal::NotConnected);
    };
    match connection.state {
        ConnectionState::Connected => {}
        ConnectionState::NeedsReconnect => return Err(Refusal::NeedsReconnect),
        ConnectionState::Disconnecting | ConnectionState::Disconnected => {
            return Err(Refusal::NotConnected);
        }
    }
    let end = parts.own_properties(workspace, connection.portal).await;
    let Some(OwnPropertiesEnd { how, properties }) = end else {
        return Err(Refusal::HubSpotUnavailable);
    };
    match how {
        OwnPropertiesHow::Done => {}
        OwnPropertiesHow::NotConnected => return Err(Refusal::NotConnected),
        OwnPropertiesHow::NeedsReconnect => return Err(Refusal::NeedsReconnect),
        OwnPropertiesHow::ScopeMissing => return Err(Refusal::ScopeMissing),
        OwnPropertiesHow::NoAnswer | OwnPropertiesHow::Other => {
            return Err(Refusal::HubSpotUnavailable);
        }
    }
    let ready: Vec<&OwnProperty> = OWN_PROPERTIES
        .iter()
        .filter(|own| {
            let made = properties.iter().find(|made| made.property == own.name);
            made.is_some_and(|made| made.outcome.is_ready())
        })
        .collect();
    let in_force = map(&parts.store, workspace, &ready).await?;
    parts.wake(workspace, connection.portal).await;
    Ok(OwnPropertiesAnswer {
        group: GROUP.to_owned(),
        properties: properties
            .into_iter()
            .filter_map(|made| shown(made, &in_force.settings))
            .collect(),
        revision: in_force.revision,
    })
}

fn shown(made: OwnPropertyMade, settings: &Settings) -> Option<OwnPropertyAnswer> {
    let own = OWN_PROPERTIES
        .iter()
        .find(|own| own.name == made.property)?;
    Some(OwnPropertyAnswer {
        app_field: own.row().app_field,
        mapped: made.outcome.is_ready() && own.is_mapped(settings),
        property: made.property,
        outcome: made.outcome,
        code: made.code.and_then(|code| code.parse().ok()),
    })
}

struct InForce {
    revision: SettingsRevision,
    settings: Settings,
}

/// Adds the rows that are lacking to settings that were saved. Rows that the portal's definitions do not
/// bear out yet are left for another call.
async fn map(
    store: &Store,
    workspace: WorkspaceId,
    ready: &[&OwnProperty],
) -> Result<InForce, Refusal> {
    for _ in 0..TRIES {
        let facts: PortalFacts = store.portal_facts(workspace).await?;
        let Some(row) = store.settings(workspace).await? else {
            return Ok(InForce {
                revision: SettingsRevision::NONE,
                settings: Settings::defaults(&facts),
            });
        };
        let revision = row.revision;
        let settings =
            read(row.document).map_err(|_| Refusal::StoredSettingsNotReadable(revision))?;
        let more = with_rows(&settings, ready)
            .filter(|more| acceptable(&validate(more, &facts, Some(&settings))));
        let Some(more) = more else {
            return Ok(InForce { revision, settings });
        };
        let saved = store
            .save_settings(
                workspace,
                revision,
                &more,
                SyncRunId::new(Uuid::now_v7()),
                SyncRunId::new(Uuid::now_v7()),
                now(),
            )
            .await?;
        if let SettingsSaved::Saved(revision) = saved {
            return Ok(InForce {
                revision,
                settings: more,
            });
        }
    }
    Err(Refusal::Store("HS-5001"))
}
