//! The activity of `Purge`. What it promises is said at its declaration.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::Utc;
use domain::{Urgency, WorkspaceId};
use store::{PurgeStep, StoreError};
use temporalio_client::{
    WorkflowIdConflictPolicy, WorkflowStartOptions, errors::WorkflowStartError,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::{
    Purge,
    activities::{WorkspaceInput, declared},
    names::{self, TaskQueue},
    purge::{PurgeInput, PurgeProgress},
};

use crate::{
    Deps, failure,
    slices::{alive, started},
};

/// A slice ends after this long.
const SLICE: Duration = Duration::from_secs(20);
/// The activity of `Purge`.
pub struct Purging {
    deps: Arc<Deps>,
}

impl Purging {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn slice(
        &self,
        ctx: &ActivityContext,
        workspace: WorkspaceId,
        removed: &AtomicU64,
    ) -> Result<bool, StoreError> {
        let began = Instant::now();
        let mut emptied = 0;
        while began.elapsed() < SLICE && !ctx.is_cancelled() {
            let Some(step) = self
                .deps
                .store
                .purge_step(workspace, PurgeStep::LARGEST, emptied, Utc::now())
                .await?
            else {
                return Ok(true);
            };
            self.deps.pulse.progress();
            removed.fetch_add(step.removed, Ordering::Relaxed);
            emptied = step.emptied;
            if step.done {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[activities]
impl Purging {
    #[activity(definition = declared::PurgeSlice)]
    pub async fn purge_slice(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: WorkspaceInput,
    ) -> Result<PurgeProgress, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let removed = AtomicU64::new(0);
        let done = alive(&ctx, &removed, self.slice(&ctx, input.workspace, &removed))
            .await
            .map_err(|e| failure::of_store(&e))?;
        let removed = removed.load(Ordering::Relaxed);
        tracing::info!(workspace = %input.workspace, removed, done, "purge");
        Ok(PurgeProgress { removed, done })
    }
}

/// Starts a purge that lost its start. `false` where it runs already.
pub(crate) async fn start(deps: &Deps, workspace: WorkspaceId) -> Result<bool, WorkflowStartError> {
    let options = WorkflowStartOptions::new(TaskQueue::Main.name(), names::purge_id(workspace))
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .static_summary("purge of a workspace")
        .priority(names::priority(Urgency::Backfill, None))
        .build();
    let input = PurgeInput {
        workspace,
        removed: 0,
    };
    started(
        deps.temporal
            .start_workflow(Purge::run, input, options)
            .await,
    )
}
