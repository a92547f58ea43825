//! The activity of `Verdicts`. What it promises is said at its declaration.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::{PortalId, Urgency, WorkspaceId};
use store::{StoreError, VerdictPass};
use temporalio_client::{
    WorkflowIdConflictPolicy, WorkflowStartOptions, errors::WorkflowStartError,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::{
    Verdicts,
    activities::{WorkspaceInput, declared},
    names::{self, TaskQueue},
    verdicts::{VerdictsInput, VerdictsProgress},
};

use crate::{
    Deps, failure,
    slices::{alive, started},
};

/// A slice ends after this long.
const SLICE: Duration = Duration::from_secs(20);

/// The activity of `Verdicts`.
pub struct Judging {
    deps: Arc<Deps>,
}

impl Judging {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn slice(
        &self,
        ctx: &ActivityContext,
        workspace: WorkspaceId,
        judged: &AtomicU64,
    ) -> Result<VerdictsProgress, StoreError> {
        let began = Instant::now();
        let mut pass = VerdictPass::default();
        let mut progress = VerdictsProgress::default();
        while began.elapsed() < SLICE && !ctx.is_cancelled() {
            let step = match self.deps.store.verdict_step(workspace, &mut pass).await {
                // Purged meanwhile: nobody is left to be judged.
                Err(StoreError::NotFound(_)) => {
                    progress.done = true;
                    break;
                }
                step => step?,
            };
            self.deps.pulse.progress();
            progress.judged += step.judged;
            progress.written += step.written;
            judged.store(progress.judged, Ordering::Relaxed);
            if step.done {
                progress.done = true;
                break;
            }
        }
        Ok(progress)
    }
}

#[activities]
impl Judging {
    #[activity(definition = declared::JudgeSlice)]
    pub async fn judge_slice(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: WorkspaceInput,
    ) -> Result<VerdictsProgress, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let judged = AtomicU64::new(0);
        let progress = alive(&ctx, &judged, self.slice(&ctx, input.workspace, &judged))
            .await
            .map_err(|e| failure::of_store(&e))?;
        tracing::info!(
            workspace = %input.workspace, judged = progress.judged, written = progress.written,
            done = progress.done, "verdicts"
        );
        Ok(progress)
    }
}

/// Starts to judge what is newer. `false` where that goes on already.
pub(crate) async fn start(
    deps: &Deps,
    workspace: WorkspaceId,
    portal: PortalId,
) -> Result<bool, WorkflowStartError> {
    let options = WorkflowStartOptions::new(TaskQueue::Main.name(), names::verdicts_id(workspace))
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .search_attributes(names::of_portal(workspace, portal))
        .static_summary(format!("verdicts by portal {portal}"))
        .priority(names::priority(Urgency::Sync, Some(portal)))
        .build();
    let input = VerdictsInput {
        workspace,
        portal,
        progress: VerdictsProgress::default(),
    };
    started(
        deps.temporal
            .start_workflow(Verdicts::run, input, options)
            .await,
    )
}
