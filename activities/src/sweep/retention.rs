//! What is kept for a while only (C7).

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    WorkspaceId,
    settings::{ActivityContext, RetentionSettings},
};
use store::StoreError;

use super::Sweeping;

/// How often it is looked at.
const RETENTION_EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows that one statement removes.
const RETENTION_BATCH: u32 = 10_000;
/// Statements of one look for each workspace; the rest goes at the next.
const RETENTION_ROUNDS: u32 = 20;
/// How long what is gone stays known to those who follow the changes.
const TOMBSTONES_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a preview waits for whoever asked for it.
const PREVIEWS_KEPT: TimeDelta = TimeDelta::minutes(10);
/// Runs that ended are kept for so long,
const RUNS_KEPT: TimeDelta = TimeDelta::days(90);
/// and the newest of each workspace for ever.
const NEWEST_RUNS_KEPT: u32 = 20;

impl Sweeping {
    /// Removes what is older than its workspace keeps it. Of no consequence for the sweep: what
    /// fails is tried again with the next one.
    pub(super) async fn apply_retention_if_due(&self) {
        let due = self
            .retention
            .lock()
            .is_ok_and(|last| last.is_none_or(|t| t.elapsed() >= RETENTION_EVERY));
        if !due {
            return;
        }
        match self.apply_retention().await {
            Ok(removed) => {
                if let Ok(mut last) = self.retention.lock() {
                    *last = Some(Instant::now());
                }
                if removed > 0 {
                    tracing::info!(removed, "retention applied");
                }
            }
            Err(error) => {
                tracing::warn!(code = error.code(), "retention could not be applied");
            }
        }
    }

    async fn apply_retention(&self) -> Result<u64, StoreError> {
        let store = &self.deps.store;
        let now = Utc::now();
        let mut removed = store.forget_calls(now, RETENTION_BATCH).await?;
        removed += store
            .prune_runs(RUNS_KEPT, NEWEST_RUNS_KEPT, RETENTION_BATCH)
            .await?;
        removed += store
            .prune_tombstones(TOMBSTONES_KEPT, RETENTION_BATCH)
            .await?;
        for workspace in store.workspaces_with_quarantine().await? {
            let kept = self.retention_of(workspace).await?;
            let before = now - TimeDelta::days(i64::from(kept.quarantine_days));
            for _ in 0..RETENTION_ROUNDS {
                let gone = store
                    .empty_quarantine(workspace, before, RETENTION_BATCH)
                    .await?;
                removed += gone;
                if gone < u64::from(RETENTION_BATCH) {
                    break;
                }
            }
        }
        for workspace in store.workspaces_with_touches().await? {
            removed += self.forget_touches(workspace).await?;
        }
        for workspace in store.workspaces_with_journal().await? {
            let kept = self.retention_of(workspace).await?;
            let before = now - TimeDelta::days(i64::from(kept.journal_days));
            removed += self.forget_written(workspace, before).await?;
        }
        Ok(removed)
    }

    /// Engagements of other reps leave with their window; all of them, or their texts, where the workspace
    /// does not read them any more (I10).
    async fn forget_touches(&self, workspace: WorkspaceId) -> Result<u64, StoreError> {
        let store = &self.deps.store;
        let context = match store.settings(workspace).await? {
            Some(row) => match domain::settings::read(row.document) {
                Ok(settings) => settings.activity_context,
                // What cannot be read confirms nothing.
                Err(_) => return Ok(0),
            },
            None => ActivityContext::default(),
        };
        let mut removed = 0;
        for _ in 0..RETENTION_ROUNDS {
            let gone = if context.engagements {
                store
                    .prune_touches(workspace, context.days, RETENTION_BATCH)
                    .await?
            } else {
                store.remove_touches(workspace, RETENTION_BATCH).await?
            };
            removed += gone;
            if gone == 0 {
                break;
            }
        }
        if context.engagements && !context.bodies {
            for _ in 0..RETENTION_ROUNDS {
                let gone = store.remove_touch_texts(workspace, RETENTION_BATCH).await?;
                removed += gone;
                if gone == 0 {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// What this process has looked at before is not looked at again: entries only come at the end.
    async fn forget_written(
        &self,
        workspace: WorkspaceId,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let from = self
            .forgotten
            .lock()
            .ok()
            .and_then(|all| all.get(&workspace).copied());
        let mut forgotten = 0;
        for _ in 0..RETENTION_ROUNDS {
            let some = self
                .deps
                .store
                .forget_written(workspace, from, before, RETENTION_BATCH)
                .await?;
            forgotten += some;
            if some < u64::from(RETENTION_BATCH) {
                if let Ok(mut all) = self.forgotten.lock() {
                    all.insert(workspace, before);
                }
                break;
            }
        }
        Ok(forgotten)
    }

    async fn retention_of(&self, workspace: WorkspaceId) -> Result<RetentionSettings, StoreError> {
        match self.deps.store.settings(workspace).await? {
            Some(row) => domain::settings::read(row.document)
                .map(|settings| settings.retention)
                .map_err(|_| StoreError::Corrupt("settings")),
            None => Ok(RetentionSettings::default()),
        }
    }

    /// Previews that nobody fetched have values of people in them.
    pub(super) async fn prune_previews(&self) {
        let before = Utc::now() - PREVIEWS_KEPT;
        let pruned = self
            .deps
            .store
            .prune_previews(before, RETENTION_BATCH)
            .await;
        if let Err(error) = pruned {
            tracing::warn!(code = error.code(), "old previews could not be removed");
        }
    }
}
