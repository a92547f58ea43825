//! The activity of `Sweep`. What it promises is said at its declaration.
//!
//! Its parts go on beside each other, and so do the rows of a part: what fails or takes long holds up
//! nothing else, and is looked at again by the next sweep.

mod follow;
mod mend;
mod retention;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::WorkspaceId;
use futures::{StreamExt as _, join, stream};
use store::{StoreError, Swept};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::activities::{SweepReport, declared};

use crate::{Deps, schedules, slices::alive};

/// Rows younger than this are left to their own signal.
const GRACE: TimeDelta = TimeDelta::seconds(10);
const PAGE: u32 = 500;
/// Rows of one part that are handled at a time.
const AT_ONCE: usize = 8;

/// The activity of `Sweep`.
pub struct Sweeping {
    deps: Arc<Deps>,
    /// When this process last applied it.
    retention: Mutex<Option<Instant>>,
    /// Up to which moment this process has taken values out of a workspace's journal.
    forgotten: Mutex<BTreeMap<WorkspaceId, DateTime<Utc>>>,
}

impl Sweeping {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self {
            deps,
            retention: Mutex::new(None),
            forgotten: Mutex::default(),
        }
    }

    async fn sweep(&self, tally: &Tally) {
        let (
            mended,
            purges,
            reconciles,
            told,
            again,
            mapped,
            profiles,
            verdicts,
            exports,
            bulks,
            rechecks,
        ) = join!(
            self.mend(tally),
            self.start_purges(tally),
            self.start_reconciles(tally),
            self.start_webhook_reads(tally),
            self.start_again(tally),
            self.read_mapped(tally),
            self.follow_profiles(tally),
            self.start_verdicts(tally),
            self.start_exports(tally),
            self.start_bulk_exports(tally),
            self.start_rechecks(tally),
        );
        for ended in [
            mended, purges, reconciles, told, again, mapped, profiles, verdicts, exports, bulks,
            rechecks,
        ] {
            if let Err(error) = ended {
                tally.part(&error);
            }
        }
    }
}

/// What was done about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    Nothing,
    StartedConnection,
    WokeConnection,
    StartedBackfill,
    MendedSchedule,
    StartedPurge,
    StartedReconcile,
    StartedWebhookRead,
    AskedAgain,
    StartedProfiles,
    StartedVerdicts,
    StartedExport,
    StartedBulkExport,
    StartedRecheck,
}

impl Did {
    fn so(self, done: bool) -> Self {
        if done { self } else { Self::Nothing }
    }
}

/// Counts what a sweep does.
#[derive(Default)]
struct Tally {
    report: Mutex<SweepReport>,
    rows: AtomicU64,
}

impl Tally {
    fn report(&self) -> SweepReport {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what became of a row; what failed is said in the log.
    fn row(&self, workspace: WorkspaceId, outcome: Result<Did, Unmended>) -> Did {
        self.rows.fetch_add(1, Ordering::Relaxed);
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let did = outcome.unwrap_or_else(|error| {
            let (code, workspace) = (error.code(), workspace.to_string());
            tracing::warn!(code, workspace, error = %error, "a row was not mended");
            report.failed += 1;
            Did::Nothing
        });
        let count = match did {
            Did::Nothing => return did,
            Did::StartedConnection => &mut report.connections_started,
            Did::WokeConnection => &mut report.connections_woken,
            Did::StartedBackfill => &mut report.backfills_started,
            Did::MendedSchedule => &mut report.schedules_mended,
            Did::StartedPurge => &mut report.purges_started,
            Did::StartedReconcile => &mut report.reconciles_started,
            Did::StartedWebhookRead => &mut report.webhook_reads_started,
            Did::AskedAgain => &mut report.asked_again,
            Did::StartedProfiles => &mut report.profiles_started,
            Did::StartedVerdicts => &mut report.verdicts_started,
            Did::StartedExport => &mut report.exports_started,
            Did::StartedBulkExport => &mut report.bulk_exports_started,
            Did::StartedRecheck => &mut report.rechecks_started,
        };
        *count += 1;
        did
    }

    /// Counts a part that was given up.
    fn part(&self, error: &Unmended) {
        tracing::warn!(code = error.code(), error = %error, "a part of a sweep was given up");
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.failed += 1;
    }

    /// Handles rows, some at a time. Says what was done, in no order.
    async fn each<T, F>(
        &self,
        rows: impl IntoIterator<Item = T>,
        handle: impl Fn(T) -> F,
    ) -> Vec<(WorkspaceId, Did)>
    where
        F: Future<Output = (WorkspaceId, Result<Did, Unmended>)>,
    {
        stream::iter(rows)
            .map(handle)
            .buffer_unordered(AT_ONCE)
            .map(|(workspace, outcome)| (workspace, self.row(workspace, outcome)))
            .collect()
            .await
    }

    /// Handles the rows of all pages, each by itself.
    async fn pages<T, P, F>(
        &self,
        page: impl Fn(Option<WorkspaceId>) -> P,
        handle: impl Fn(Swept<T>) -> F,
    ) -> Result<(), Unmended>
    where
        P: Future<Output = Result<Vec<Swept<T>>, StoreError>>,
        F: Future<Output = (WorkspaceId, Result<Did, Unmended>)>,
    {
        let mut after = None;
        loop {
            let rows = page(after).await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = Some(last.workspace);
            self.each(rows, &handle).await;
        }
    }
}

/// Why a row was not mended, or a part given up. The others are.
#[derive(Debug, thiserror::Error)]
enum Unmended {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("Temporal did not do it: {0}")]
    Temporal(&'static str),
}

impl Unmended {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Temporal(_) => "HS-5007",
        }
    }
}

impl From<schedules::Unkept> for Unmended {
    fn from(error: schedules::Unkept) -> Self {
        match error {
            schedules::Unkept::Store(error) => Self::Store(error),
            _ => Self::Temporal("a schedule could not be kept"),
        }
    }
}

#[activities]
impl Sweeping {
    #[activity(definition = declared::SweepOnce)]
    pub async fn sweep_once(
        self: Arc<Self>,
        ctx: ActivityContext,
    ) -> Result<SweepReport, ActivityError> {
        // Not counted as work in flight: it would make an idle look of what is stuck.
        let tally = Tally::default();
        alive(&ctx, &tally.rows, async {
            self.sweep(&tally).await;
            self.apply_retention_if_due().await;
            self.prune_previews().await;
        })
        .await;
        Ok(tally.report())
    }
}
