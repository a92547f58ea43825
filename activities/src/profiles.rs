//! The activity of `Profiles`. What it promises is said at its declaration.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::{ConnectionPhase, Urgency};
use store::{ProjectionDue, StoreError};
use temporalio_client::{
    WorkflowIdConflictPolicy, WorkflowStartOptions, errors::WorkflowStartError,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::{
    Profiles,
    activities::declared,
    names::{self, TaskQueue},
    profiles::{ProfilesInput, ProfilesProgress},
};

use crate::{
    Deps, failure,
    slices::{alive, started},
};

/// A slice ends after this long.
const SLICE: Duration = Duration::from_secs(20);

/// The activity of `Profiles`.
pub struct Profiling {
    deps: Arc<Deps>,
}

impl Profiling {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn slice(
        &self,
        ctx: &ActivityContext,
        due: ProjectionDue,
        changed: &AtomicU64,
    ) -> Result<ProfilesProgress, StoreError> {
        let began = Instant::now();
        let store = &self.deps.store;
        let (basis, mark) = store.projection_basis(due.workspace, due.portal).await?;
        let mut progress = ProfilesProgress::default();
        while began.elapsed() < SLICE && !ctx.is_cancelled() {
            let batch = store.project_profiles(due, &basis, &mark).await?;
            self.deps.pulse.progress();
            progress.changed += batch.changed;
            progress.made += batch.made;
            changed.store(progress.changed, Ordering::Relaxed);
            if batch.done {
                progress.done = true;
                break;
            }
        }
        Ok(progress)
    }
}

#[activities]
impl Profiling {
    #[activity(definition = declared::ProfileSlice)]
    pub async fn profile_slice(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ProfilesInput,
    ) -> Result<ProfilesProgress, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let due = ProjectionDue {
            workspace: input.workspace,
            portal: input.portal,
        };
        let changed = AtomicU64::new(0);
        let progress = match alive(&ctx, &changed, self.slice(&ctx, due, &changed)).await {
            // It is being purged.
            Err(StoreError::NotFound(_)) => ProfilesProgress {
                done: true,
                ..Default::default()
            },
            progress => progress.map_err(|e| failure::of_store(&e))?,
        };
        tracing::info!(
            workspace = %input.workspace,
            changed = progress.changed,
            made = progress.made,
            done = progress.done,
            "profiles"
        );
        Ok(progress)
    }
}

/// Starts bringing profiles up to date. `false` where that is under way.
pub(crate) async fn start(deps: &Deps, due: ProjectionDue) -> Result<bool, WorkflowStartError> {
    let options =
        WorkflowStartOptions::new(TaskQueue::Main.name(), names::profiles_id(due.workspace))
            .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
            .search_attributes(names::search_attributes(
                due.workspace,
                due.portal,
                ConnectionPhase::Syncing,
            ))
            .static_summary("links and profiles of a workspace")
            .priority(names::priority(Urgency::Sync, Some(due.portal)))
            .build();
    let input = ProfilesInput {
        workspace: due.workspace,
        portal: due.portal,
    };
    started(
        deps.temporal
            .start_workflow(Profiles::run, input, options)
            .await,
    )
}
