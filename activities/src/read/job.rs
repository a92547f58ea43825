//! What a reader works for, and why it stops.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use chrono::Utc;
use domain::{Epoch, PortalId, SyncRunId, SyncType, WorkspaceId};
use hubspot::Client;
use store::{Batch, CursorKey, PageOutcome, Step};

use crate::Deps;

/// Why a reader stops before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// HubSpot did not do it.
    HubSpot(hubspot::Error),
    /// The store did not do it.
    Store(store::StoreError),
    /// No attempt mends it.
    Defect(&'static str),
    /// The connection is no longer in its epoch.
    Fenced,
    /// Another attempt is at work, from the place that is in the store.
    Lost,
    /// The source does not go by id, so that ranges of ids mean nothing.
    NotById,
}

impl From<hubspot::Error> for Stop {
    fn from(error: hubspot::Error) -> Self {
        match error {
            hubspot::Error::Fenced => Self::Fenced,
            error => Self::HubSpot(error),
        }
    }
}

impl From<store::StoreError> for Stop {
    fn from(error: store::StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a reader works for: one type of one run, in one epoch.
pub(crate) struct Job<'a> {
    pub(crate) deps: &'a Deps,
    pub(crate) client: Client,
    pub(crate) workspace: WorkspaceId,
    pub(crate) portal: PortalId,
    pub(crate) epoch: Epoch,
    pub(crate) run: SyncRunId,
    pub(crate) sync_type: SyncType,
    /// Whether the time is over, or somebody wants it to end.
    pub(crate) over: &'a (dyn Fn() -> bool + Send + Sync),
    /// Records done, for whoever looks.
    pub(crate) done: &'a AtomicU64,
}

impl Job<'_> {
    /// The cursor that it moves.
    pub(crate) const fn key(&self) -> CursorKey {
        CursorKey::of_run(self.workspace, self.portal, self.run, self.sync_type)
    }

    /// Whether the time is over, or somebody wants it to end.
    pub(crate) fn is_over(&self) -> bool {
        (self.over)()
    }

    /// Commits what a page brought with the step that it is: the reader's version from now on; none
    /// when a listing shrank, and nothing was written.
    pub(super) async fn commit(&self, step: &Step, batch: Batch) -> Result<Option<i64>, Stop> {
        let began = Instant::now();
        let records = batch.rows.count();
        let quarantined: Vec<_> = batch.quarantine.iter().map(|q| q.reason).collect();
        match self.deps.store.commit(step, batch, Utc::now()).await? {
            PageOutcome::Committed { version, .. } => {
                self.deps.pulse.progress();
                self.deps
                    .metrics
                    .page(self.sync_type, records, began.elapsed().as_secs_f64());
                for reason in quarantined {
                    self.deps.metrics.quarantined(self.sync_type, reason);
                }
                self.done.fetch_add(records, Ordering::Relaxed);
                Ok(Some(version))
            }
            PageOutcome::Shrunk {
                known,
                brought,
                said,
            } => {
                tracing::warn!(
                    workspace = %self.workspace,
                    object_type = %self.sync_type,
                    known,
                    brought,
                    said,
                    "a listing shrank"
                );
                Ok(None)
            }
            PageOutcome::Fenced => Err(Stop::Fenced),
            PageOutcome::LostCursor => Err(Stop::Lost),
        }
    }
}
