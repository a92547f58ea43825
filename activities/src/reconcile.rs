//! The activities of `Reconcile`. What each promises is said at its declaration.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use chrono::TimeDelta;
use domain::{
    ConnectionState, PageSize, ReadPart, Urgency,
    backfill::slice_is_over,
    reconcile::{Cadence, Cost, LOOK_AGAIN, Next, PassKind, cost, next},
};
use hubspot::RequestTally;
use store::{ConnectionRow, CursorKey, StoreError};
use temporalio_client::{
    WorkflowIdConflictPolicy, WorkflowStartOptions, errors::WorkflowStartError,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::{
    Reconcile,
    activities::{ReconcileEnd, ReconcileSlice, WorkspaceInput, declared},
    names::{self, TaskQueue},
    reconcile::ReconcileInput,
};

use crate::{
    Deps,
    backfill::ended_badly,
    convert::request_class,
    failure,
    read::{
        Job, Source, Stop, ask_again,
        driver::{self, Borders, Read, Reader},
        is_refusal, refusal_of,
    },
    revoked, schedules,
    slices::{MAX_BUDGET_WAIT, alive, started},
};

/// The activities of `Reconcile`.
pub struct Reconciling {
    deps: Arc<Deps>,
}

/// How a step of a slice ended, if not for good.
enum Step {
    /// What comes next is to be decided anew.
    Next,
    End(ReconcileEnd),
}

/// Goes on until enough of what is due was passed.
struct Paced<'a, 'b> {
    job: &'a Job<'b>,
    upto: Option<u64>,
}

impl Borders for Paced<'_, '_> {
    async fn before(&self, reader: Reader) -> Result<Reader, Stop> {
        Ok(reader)
    }

    fn passed(&self, _reader: &Reader, _reached: Option<domain::HubSpotObjectId>) {}

    fn is_over(&self) -> bool {
        // The page that is being read counts as passed.
        let passed = self.job.done.load(Ordering::Relaxed) + domain::reconcile::BATCH;
        self.job.is_over() || self.upto.is_some_and(|upto| passed >= upto)
    }
}

impl Reconciling {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn slice(
        &self,
        ctx: &ActivityContext,
        input: &WorkspaceInput,
        read: &AtomicU64,
    ) -> Result<ReconcileSlice, ActivityError> {
        let began = Instant::now();
        let over = || {
            let others_may_wait = self.deps.pulse.in_flight() >= self.deps.slots;
            ctx.is_cancelled() || slice_is_over(began.elapsed(), self.deps.slice, others_may_wait)
        };
        let of_store = |error: StoreError| failure::of_store(&error);
        let store = &self.deps.store;
        let ended = |end| ReconcileSlice {
            end,
            read: read.load(Ordering::Relaxed),
            ..ReconcileSlice::default()
        };
        let connection = store.connection(input.workspace).await.map_err(of_store)?;
        let Some(connection) = connection.filter(|c| c.state == ConnectionState::Connected) else {
            return Ok(ended(ReconcileEnd::Fenced));
        };
        let (workspace, portal) = (connection.workspace, connection.portal);
        // Whatever becomes of this slice, it is not started again in a circle.
        store
            .plan_reconcile(workspace, portal, LOOK_AGAIN)
            .await
            .map_err(of_store)?;
        let settings = schedules::import_settings(&self.deps, workspace)
            .await
            .map_err(of_store)?;
        let cadence = Cadence::of(&settings);
        let moved = AtomicBool::new(false);
        loop {
            let state = store
                .reconcile_state(workspace, portal)
                .await
                .map_err(of_store)?;
            let due = if settings.enabled {
                next(&state.types, cadence, state.asked_at, state.now)
            } else {
                Next::Wait(state.now + cadence.every(PassKind::Archived))
            };
            let (kind, object_type, begin, upto) = match due {
                Next::Read {
                    kind,
                    object_type,
                    begin,
                    upto,
                } => (kind, object_type, begin, upto),
                Next::Wait(until) => {
                    let due_in = (until - state.now).max(TimeDelta::zero());
                    if let Some(asked_at) = state.asked_at {
                        store
                            .answer_reconcile(workspace, portal, asked_at)
                            .await
                            .map_err(of_store)?;
                    }
                    store
                        .plan_reconcile(workspace, portal, due_in)
                        .await
                        .map_err(of_store)?;
                    return Ok(ReconcileSlice {
                        due_in_seconds: due_in.num_seconds().unsigned_abs(),
                        cost: cost(&state.types),
                        every_hours: settings.reconcile_hours,
                        ..ended(ReconcileEnd::Done)
                    });
                }
            };
            if over() {
                return Ok(ended(ReconcileEnd::More));
            }
            let mapped = store
                .mapped_to_read(workspace, object_type)
                .await
                .map_err(of_store)?;
            let done = AtomicU64::new(0);
            let tally = Arc::new(RequestTally::default());
            let job = Job {
                deps: &self.deps,
                client: self
                    .deps
                    .portals
                    .client(workspace, portal, connection.epoch)
                    .with_class(request_class(Urgency::Backfill))
                    .with_max_wait(MAX_BUDGET_WAIT)
                    .with_tally(tally.clone()),
                key: CursorKey::of_pass(workspace, portal, object_type, kind),
                epoch: connection.epoch,
                over: &over,
                done: &done,
                moved: &moved,
                size: Mutex::new(PageSize::new(None)),
                mapped: Mutex::new(mapped),
            };
            let passed = pass(&job, kind, object_type, begin, upto, read).await;
            let spent = Cost {
                general: tally.others(),
                associations: tally.associations(),
            };
            if spent != Cost::default() {
                store
                    .count_requests(&job.key, spent)
                    .await
                    .map_err(of_store)?;
            }
            match self.end(&job, &connection, passed).await? {
                Step::Next => {}
                Step::End(end) => return Ok(ended(end)),
            }
        }
    }

    /// As with a slice of a backfill: one that made progress ends well, and what HubSpot refuses ends
    /// the pass, which is tried again when the next one is due.
    async fn end(
        &self,
        job: &Job<'_>,
        connection: &ConnectionRow,
        passed: Result<(), Stop>,
    ) -> Result<Step, ActivityError> {
        let error = match passed {
            Ok(()) => return Ok(Step::Next),
            Err(Stop::Fenced) => return Ok(Step::End(ReconcileEnd::Fenced)),
            Err(Stop::Lost) => return Ok(Step::End(ReconcileEnd::More)),
            Err(Stop::HubSpot(hubspot::Error::AuthRevoked)) => {
                revoked::tell(&self.deps, connection.workspace, connection.epoch).await?;
                return Ok(Step::End(ReconcileEnd::Fenced));
            }
            Err(Stop::HubSpot(error)) => error,
            Err(stop) => return Err(ended_badly(stop)),
        };
        if is_refusal(&error) {
            let refusal = refusal_of(ReadPart::Whole, &error).map_err(ended_badly)?;
            tracing::warn!(
                workspace = %connection.workspace, object_type = %job.sync_type(),
                purpose = job.key.purpose.as_str(), code = refusal.code.as_str(),
                "HubSpot refuses a pass of a reconciliation"
            );
            self.deps
                .store
                .refuse_type(&job.key, &refusal)
                .await
                .map_err(|e| failure::of_store(&e))?;
            return Ok(Step::Next);
        }
        if error.class() != hubspot::ErrorClass::RateLimited {
            job.note_trouble(&error).await.map_err(ended_badly)?;
        }
        if job.moved.load(Ordering::Relaxed) {
            return Ok(Step::End(ReconcileEnd::More));
        }
        Err(failure::of_hubspot(&error))
    }
}

/// Goes on with a pass, and ends it where it came to its end.
async fn pass(
    job: &Job<'_>,
    kind: PassKind,
    object_type: domain::ObjectType,
    begin: bool,
    upto: Option<u64>,
    read: &AtomicU64,
) -> Result<(), Stop> {
    let store = &job.deps.store;
    if begin {
        // How much of it is due is decided next.
        store.begin_pass(&job.key).await?;
        return Ok(());
    }
    let Some(cursor) = store.cursor(&job.key).await? else {
        return Err(Stop::Lost);
    };
    job.done.store(cursor.done, Ordering::Relaxed);
    job.remember(cursor.page_size);
    let source = match kind {
        PassKind::Reread => Source::Waiting(object_type),
        PassKind::Archived => Source::Archived(object_type),
        PassKind::Walk => Source::Known(object_type),
    };
    let reader = Reader::of_cursor(&cursor);
    let came = driver::drive(job, source, reader, &Paced { job, upto }).await;
    let passed = job.done.load(Ordering::Relaxed).saturating_sub(cursor.done);
    read.fetch_add(passed, Ordering::Relaxed);
    if matches!(came?, Read::ToTheEnd(_)) && ask_again(job, object_type).await? {
        job.deps.store.give_up_unanswered(&job.key).await?;
        store.finish_type(&job.key).await?;
        tracing::info!(
            workspace = %job.key.workspace, object_type = %job.sync_type(),
            purpose = kind.as_str(), "a pass of a reconciliation ended"
        );
    }
    Ok(())
}

#[activities]
impl Reconciling {
    #[activity(definition = declared::AskReconcile)]
    pub async fn ask_reconcile(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: WorkspaceInput,
    ) -> Result<(), ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let store = &self.deps.store;
        let of_store = |error: StoreError| failure::of_store(&error);
        if let Some(row) = store.connection(input.workspace).await.map_err(of_store)? {
            store
                .ask_reconcile(row.workspace, row.portal)
                .await
                .map_err(of_store)?;
        }
        Ok(())
    }

    #[activity(definition = declared::ReconcileOnce)]
    pub async fn reconcile_once(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: WorkspaceInput,
    ) -> Result<ReconcileSlice, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let read = AtomicU64::new(0);
        let slice = alive(&ctx, &read, self.slice(&ctx, &input, &read)).await?;
        tracing::info!(
            workspace = %input.workspace, read = slice.read, due_in_seconds = slice.due_in_seconds,
            "reconciliation"
        );
        Ok(slice)
    }
}

/// Starts the reconciliation of a workspace that is due. `false` where it runs already.
pub(crate) async fn start(
    deps: &Deps,
    workspace: domain::WorkspaceId,
    portal: domain::PortalId,
) -> Result<bool, WorkflowStartError> {
    let options = WorkflowStartOptions::new(TaskQueue::Main.name(), names::reconcile_id(workspace))
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .search_attributes(names::search_attributes(
            workspace,
            portal,
            domain::ConnectionPhase::Syncing,
        ))
        .static_summary(format!("reconciliation of portal {portal}"))
        .priority(names::priority(Urgency::Backfill, Some(portal)))
        .build();
    let input = ReconcileInput {
        workspace,
        everything: false,
    };
    started(
        deps.temporal
            .start_workflow(Reconcile::run, input, options)
            .await,
    )
}
