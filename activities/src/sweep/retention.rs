//! What is kept for a while only (C7).

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use domain::settings::RetentionSettings;
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
            let kept = match store.settings(workspace).await? {
                Some(row) => {
                    domain::settings::read(row.document)
                        .map_err(|_| StoreError::Corrupt("settings"))?
                        .retention
                }
                None => RetentionSettings::default(),
            };
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
        Ok(removed)
    }
}
