//! Settings: every version that was saved (E4 to E8, I6, I8).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{
    SyncRunId, WorkspaceId,
    backfill::lists_with_use,
    portal::ListId,
    settings::{ListUse, Settings, SettingsRevision},
};
use sqlx::PgConnection;

use crate::{
    Store, StoreError,
    cursors::{count, signed},
    erasure, runs,
};

/// A version of a workspace's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsRow {
    pub revision: SettingsRevision,
    /// The document as it was saved: its schema may be an older one.
    pub document: serde_json::Value,
    pub saved_at: DateTime<Utc>,
}

/// What came of saving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingsSaved {
    /// Saved, as this revision.
    Saved(SettingsRevision),
    /// Somebody saved since the expected revision; nothing was changed.
    Changed {
        /// The revision that is in force.
        current: SettingsRevision,
    },
}

impl Store {
    /// The settings in force; none before any were saved.
    pub async fn settings(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<SettingsRow>, StoreError> {
        let row = sqlx::query!(
            "select version, document, saved_at from settings_version
             where workspace_id = $1 order by version desc limit 1",
            workspace.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| SettingsRow {
            revision: SettingsRevision::new(count(row.version)),
            document: row.document,
            saved_at: row.saved_at,
        }))
    }

    /// An earlier version of the settings.
    pub async fn settings_at(
        &self,
        workspace: WorkspaceId,
        revision: SettingsRevision,
    ) -> Result<Option<SettingsRow>, StoreError> {
        let row = sqlx::query!(
            "select document, saved_at from settings_version where workspace_id = $1 and version = $2",
            workspace.as_uuid(),
            signed(revision.get())
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| SettingsRow {
            revision,
            document: row.document,
            saved_at: row.saved_at,
        }))
    }

    /// Saves settings if the revision in force is still the expected one. Of many writers that
    /// expect one revision exactly one succeeds. In the same transaction runs are queued: `new_run` for
    /// what is imported again and was never read, and for members of lists that are given a use;
    /// `mapping_run` for records that lack properties which are mapped now.
    ///
    /// # Errors
    /// When the database fails; [`StoreError::NotFound`] for a workspace that is not known.
    pub async fn save_settings(
        &self,
        workspace: WorkspaceId,
        expected: SettingsRevision,
        settings: &Settings,
        new_run: SyncRunId,
        mapping_run: SyncRunId,
        now: DateTime<Utc>,
    ) -> Result<SettingsSaved, StoreError> {
        let document =
            serde_json::to_value(settings).map_err(|_| StoreError::Corrupt("settings"))?;
        let wanted = self.mapped_of(workspace, settings).await?;
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        erasure::must_exist(&mut tx, workspace).await?;
        let saved = sqlx::query!(
            "insert into settings_version (workspace_id, version, document, saved_at, policy_since)
             select $1, $2::bigint + 1, $3, $4, coalesce(
               (select coalesce(policy_since, saved_at) from settings_version
                where workspace_id = $1 and version = $2 and document -> 'export' ->> 'policy' = $5), $4)
             where (select coalesce(max(version), 0) from settings_version where workspace_id = $1) = $2
             on conflict do nothing
             returning version",
            workspace.as_uuid(),
            signed(expected.get()),
            document,
            now,
            settings.export.policy.as_str()
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = saved {
            let before = sqlx::query!(
                "select document from settings_version where workspace_id = $1 and version = $2",
                workspace.as_uuid(),
                signed(expected.get())
            )
            .fetch_optional(&mut *tx)
            .await?;
            // A document that cannot be read any more gave no list a use, and imported.
            let before = before
                .and_then(|row| domain::settings::read(row.document).ok())
                .unwrap_or_else(Settings::empty);
            let on_again = settings.import.enabled && !before.import.enabled;
            let reads = on_again && runs::queue_import(&mut tx, workspace, new_run, now).await?;
            let given = &lists_with_use(settings) - &lists_with_use(&before);
            // A run for the lists reads their members, too; else the next periodic sync does.
            if !reads {
                runs::queue_members(&mut tx, workspace, &given, new_run, now).await?;
            }
            runs::queue_mapping(&mut tx, workspace, &wanted, mapping_run, now).await?;
            uses_changed(&mut tx, workspace, settings, &before).await?;
            tx.commit().await?;
            return Ok(SettingsSaved::Saved(SettingsRevision::new(count(
                row.version,
            ))));
        }
        let current = sqlx::query!(
            "select coalesce(max(version), 0) as \"version!\" from settings_version where workspace_id = $1",
            workspace.as_uuid()
        )
        .fetch_one(&mut *tx)
        .await?;
        Ok(SettingsSaved::Changed {
            current: SettingsRevision::new(count(current.version)),
        })
    }
}

/// A list that is used for something else has changed, for whoever reads changes.
async fn uses_changed(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    now: &Settings,
    before: &Settings,
) -> Result<(), sqlx::Error> {
    let uses = |settings: &Settings| -> BTreeSet<(ListId, ListUse)> {
        let lists = settings.lists.iter();
        lists.map(|used| (used.list, used.list_use)).collect()
    };
    let mut lists: Vec<i64> = uses(now)
        .symmetric_difference(&uses(before))
        .map(|(list, _)| list.get())
        .collect();
    lists.dedup();
    if lists.is_empty() {
        return Ok(());
    }
    // In the order in which pages of lists are written.
    sqlx::query!(
        "with used as (
           select l.list_id from hubspot_list l
           where l.workspace_id = $1 and l.list_id = any($2)
             and l.portal_id = (select portal_id from connection where workspace_id = $1)
           order by l.list_id for update)
         update hubspot_list l set changed = mirror_change() from used
         where l.workspace_id = $1 and l.list_id = used.list_id and l.list_id = any($2)
           and l.portal_id = (select portal_id from connection where workspace_id = $1)",
        workspace.as_uuid(),
        &lists
    )
    .execute(tx)
    .await?;
    Ok(())
}
