//! What exports of a workspace are judged by (E1).

use chrono::{DateTime, Utc};
use domain::{
    ConnectionState, PortalId, WorkspaceId,
    app::Fields,
    export::{Intake, intake::in_force_since},
    settings::Settings,
};
use sqlx::PgConnection;

use crate::{
    ConnectionRow, Store, StoreError,
    connections::{portal_of, state_of},
};

/// What exports of a workspace are judged by.
#[derive(Debug, Clone)]
pub struct ExportStanding {
    /// Whether an admin has saved the settings once.
    pub settings_saved: bool,
    /// The settings in force: the defaults before any were saved.
    pub settings: Settings,
    /// Since when the policy acts; none as long as no portal was ever connected.
    pub in_force_since: Option<DateTime<Utc>>,
    /// The workspace's fields.
    pub fields: Fields,
    /// The connection, if there ever was one.
    pub connection: Option<ConnectionRow>,
}

/// The part of it that a transaction reads in one statement.
pub(crate) struct Grounds {
    saved: Option<serde_json::Value>,
    in_force_since: Option<DateTime<Utc>>,
    /// The connection's portal and state.
    pub(crate) connection: Option<(PortalId, ConnectionState)>,
}

impl Grounds {
    pub(crate) async fn read(
        tx: &mut PgConnection,
        workspace: WorkspaceId,
    ) -> Result<Self, StoreError> {
        let row = sqlx::query!(
            "select s.document as \"document?\", s.policy_since as \"policy_since?\", c.portal_id as \"portal_id?\",
               c.state as \"state?\", coalesce(p.first_at, c.connected_at) as first_connected
             from (select 1) one
             left join lateral (
               select document, coalesce(policy_since, saved_at) as policy_since from settings_version
               where workspace_id = $1 order by version desc limit 1) s on true
             left join lateral (
               select portal_id, state, connected_at from connection where workspace_id = $1 limit 1) c on true
             left join lateral (
               select first_at from connected_portal
               where workspace_id = $1 and portal_id = c.portal_id limit 1) p on true",
            workspace.as_uuid()
        )
        .fetch_one(tx)
        .await?;
        let connection = row
            .portal_id
            .zip(row.state)
            .map(|(portal, state)| Ok::<_, StoreError>((portal_of(portal)?, state_of(&state)?)))
            .transpose()?;
        Ok(Self {
            saved: row.document,
            in_force_since: in_force_since(row.policy_since, row.first_connected),
            connection,
        })
    }

    fn settings(self) -> Result<Option<Settings>, StoreError> {
        self.saved
            .map(|document| {
                domain::settings::read(document).map_err(|_| StoreError::Unreadable("settings"))
            })
            .transpose()
    }

    /// By which changes are judged, and the connection's portal; none where they make no requests.
    pub(crate) fn intake(self, workspace: WorkspaceId) -> Option<(Intake, PortalId)> {
        let (in_force_since, (portal, _)) = (self.in_force_since, self.connection?);
        match self.settings() {
            Ok(saved) => Some((Intake::of(saved.as_ref(), in_force_since)?, portal)),
            // What the app says goes in all the same; the summary counts whom a request would be about.
            Err(_) => {
                tracing::error!(code = "HS-2217", %workspace, "stored settings cannot be read");
                None
            }
        }
    }
}

impl Store {
    /// A mark of what all exports of a workspace stand on: another one as soon as settings, fields, team,
    /// the portal's definitions, owners, pipelines or rules, or its connection are others. Cheap to ask for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn export_mark(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<String, StoreError> {
        Ok(sqlx::query_scalar!(
            "select export_mark($1, $2) as \"mark!\"",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// What exports of a workspace are judged by.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for settings that cannot be read; else when the database fails.
    pub async fn export_standing(
        &self,
        workspace: WorkspaceId,
    ) -> Result<ExportStanding, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let grounds = Grounds::read(&mut connection, workspace).await?;
        drop(connection);
        let in_force_since = grounds.in_force_since;
        let saved = grounds.settings()?;
        let settings_saved = saved.is_some();
        let settings = match saved {
            Some(settings) => settings,
            None => Settings::defaults(&self.portal_facts(workspace).await?),
        };
        Ok(ExportStanding {
            settings_saved,
            settings,
            in_force_since,
            fields: Fields::new(&self.custom_fields(workspace).await?),
            connection: self.connection(workspace).await?,
        })
    }
}
