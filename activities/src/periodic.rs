//! The activity of `PeriodicSync`. What it promises is said at its declaration.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use domain::{
    ConnectionState, Epoch, HubSpotObjectId, ObjectType, PageSize, PortalId, ReadOutcome, ReadPart,
    ReadPlan, SyncType, Urgency, WorkspaceId,
    backfill::stages,
    periodic::{self, MembersDue, Seen},
    touches,
};
use futures::future::join_all;
use store::{CursorKey, CursorRow, NewPeriodic, PeriodicType};
use temporalio_client::{
    WorkflowIdConflictPolicy, WorkflowStartOptions, errors::WorkflowStartError,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::{
    PeriodicSync,
    activities::{SyncEnd, SyncReport, SyncSliceInput, declared},
    names::{self, TaskQueue},
    periodic_sync::PeriodicSyncInput,
};

use crate::{
    Deps,
    convert::request_class,
    failure,
    read::{
        Job, Order, Source, Stop, Touches, ask_again,
        driver::{self, Alone, Read, Reader},
        is_refusal, refusal_of,
    },
    revoked, schedules,
    slices::{MAX_BUDGET_WAIT, alive, started},
};

/// How long one that lost its cursor to another attempt waits before it looks again.
const LOST_FOR: Duration = Duration::from_secs(1);

/// How the periodic sync goes, where a process is told otherwise than the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodicConfig {
    /// The time between two runs, of every workspace: for tests and demos.
    pub interval: Option<Duration>,
    /// The time between two readings of a type over the long window.
    pub sweep_every: Duration,
}

impl Default for PeriodicConfig {
    fn default() -> Self {
        Self {
            interval: None,
            sweep_every: periodic::SLOW_SWEEP_EVERY
                .to_std()
                .unwrap_or(Duration::from_secs(3_600)),
        }
    }
}

/// The activity of `PeriodicSync`.
pub struct Syncing {
    deps: Arc<Deps>,
}

/// How far one type came within a slice.
enum Came {
    /// It is read.
    ToTheEnd,
    /// There is more to read.
    InPart,
    /// Not now; whoever asks again may have more luck.
    Failed(hubspot::Error),
    /// The connection is no longer in its epoch.
    Fenced,
}

/// What the types of a slice share.
struct Slice<'a> {
    deps: &'a Deps,
    workspace: WorkspaceId,
    portal: PortalId,
    epoch: Epoch,
    over: &'a (dyn Fn() -> bool + Send + Sync),
    done: &'a AtomicU64,
    /// What is read of engagements.
    context: domain::settings::ActivityContext,
    /// Whether HubSpot keeps back what e-mails say.
    redacted: bool,
    /// When it began, by the database's clock.
    now: DateTime<Utc>,
}

/// Engagements are handed over by no run: their first reading is of the whole window.
const fn never_read(from: DateTime<Utc>) -> PeriodicType {
    PeriodicType {
        sync_type: SyncType::Engagements,
        fresh_to: from,
        seen_to: None,
        sweep_due: false,
        busy: false,
    }
}

impl Syncing {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn slice(
        &self,
        ctx: &ActivityContext,
        input: &SyncSliceInput,
        done: &AtomicU64,
    ) -> Result<SyncReport, ActivityError> {
        let began = Instant::now();
        let store = &self.deps.store;
        let SyncSliceInput {
            workspace, portal, ..
        } = *input;
        let connection = store
            .connection(workspace)
            .await
            .map_err(|e| failure::of_store(&e))?
            .filter(|c| c.state == ConnectionState::Connected && c.portal == portal);
        let Some(connection) = connection else {
            return Ok(SyncReport::ended(SyncEnd::NotConnected));
        };
        let (import, context) = schedules::reading_settings(&self.deps, workspace)
            .await
            .map_err(|e| failure::of_store(&e))?;
        let mut known = store
            .periodic_types(workspace, portal, self.deps.periodic.sweep_every)
            .await
            .map_err(|e| failure::of_store(&e))?;
        let now = store.clock().await.map_err(|e| failure::of_store(&e))?;
        if known.iter().all(|k| k.sync_type != SyncType::Engagements) {
            known.push(never_read(touches::window(&context, now)));
        }
        let interval = schedules::interval(&self.deps, &import);
        let wanted = periodic::types(&import, &context);
        let every: Vec<_> = wanted
            .iter()
            .map(|t| (*t, periodic::every(*t, interval)))
            .collect();
        store
            .note_intervals(workspace, portal, &every)
            .await
            .map_err(|e| failure::of_store(&e))?;
        let mut left: Vec<SyncType> = wanted
            .into_iter()
            .filter(|t| input.left.as_ref().is_none_or(|left| left.contains(t)))
            .filter(|t| known.iter().any(|k| k.sync_type == *t && !k.busy))
            .collect();
        let over = || ctx.is_cancelled() || began.elapsed() >= self.deps.slice;
        let slice = Slice {
            deps: &self.deps,
            workspace,
            portal,
            epoch: connection.epoch,
            over: &over,
            done,
            context,
            // Where it is not known what was granted, nothing is said of it.
            redacted: !connection.scopes.is_empty()
                && !connection.scopes.iter().any(|s| s == touches::EMAIL_SCOPE),
            now,
        };
        let moved = AtomicBool::new(false);
        let mut ended = Vec::new();
        let mut failed = None;
        for stage in stages(&left) {
            let (slice, moved, known) = (&slice, &moved, &known);
            let reading = stage.iter().filter_map(|sync_type| {
                let sync_type = *sync_type;
                let known = known.iter().find(|k| k.sync_type == sync_type)?;
                Some(async move { (sync_type, slice.read_type(known, moved).await) })
            });
            for (sync_type, came) in join_all(reading).await {
                match came? {
                    Came::ToTheEnd => {
                        ended.push(sync_type);
                        left.retain(|t| *t != sync_type);
                    }
                    Came::InPart => {}
                    Came::Failed(error) => failed = failed.or(Some(error)),
                    Came::Fenced => return Ok(SyncReport::ended(SyncEnd::Fenced)),
                }
            }
            if over() {
                break;
            }
        }
        let some = !ended.is_empty() || moved.load(Ordering::Relaxed);
        if !ended.is_empty() {
            // `Sweep` starts what is asked again.
            let again = store
                .note_again(workspace, portal, &ended, |times| {
                    periodic::again_after(times, interval)
                })
                .await
                .map_err(|e| failure::of_store(&e))?;
            for sync_type in again {
                tracing::info!(%workspace, object_type = %sync_type, "what was not answered is asked again soon");
            }
        }
        if let Some(error) = failed
            && !some
        {
            return Err(failure::of_hubspot(&error));
        }
        Ok(SyncReport {
            end: if left.is_empty() {
                SyncEnd::Finished
            } else {
                SyncEnd::More
            },
            left,
            changed: done.load(Ordering::Relaxed),
        })
    }
}

impl Slice<'_> {
    fn job<'a>(&'a self, key: CursorKey, moved: &'a AtomicBool) -> Job<'a> {
        Job {
            deps: self.deps,
            client: self
                .deps
                .portals
                .client(self.workspace, self.portal, self.epoch)
                .with_class(request_class(Urgency::Sync))
                .with_max_wait(MAX_BUDGET_WAIT),
            key,
            epoch: self.epoch,
            over: self.over,
            done: self.done,
            moved,
            size: Mutex::new(PageSize::new(None)),
            mapped: Mutex::new(Vec::new()),
        }
    }

    /// Reads a type. What goes wrong with it stops no other: trouble and refusals are noted, and the
    /// next run tries again.
    async fn read_type(
        &self,
        known: &PeriodicType,
        moved: &AtomicBool,
    ) -> Result<Came, ActivityError> {
        let key = CursorKey::periodic(self.workspace, self.portal, known.sync_type);
        // Trouble is over when this type moves, whatever the others do.
        let moved_here = AtomicBool::new(false);
        let job = self.job(key, &moved_here);
        let read = read(&job, known, self).await;
        if moved_here.load(Ordering::Relaxed) {
            moved.store(true, Ordering::Relaxed);
        }
        let error = match read {
            Ok(true) => return Ok(Came::ToTheEnd),
            Ok(false) => return Ok(Came::InPart),
            Err(Stop::Lost) => {
                // Another attempt is at work, and ends soon.
                tokio::time::sleep(LOST_FOR).await;
                return Ok(Came::InPart);
            }
            Err(Stop::Fenced) => return Ok(Came::Fenced),
            Err(Stop::HubSpot(hubspot::Error::AuthRevoked)) => {
                revoked::tell(self.deps, self.workspace, self.epoch).await?;
                return Ok(Came::Fenced);
            }
            Err(Stop::HubSpot(error)) => error,
            Err(Stop::Store(error)) => return Err(failure::of_store(&error)),
            Err(Stop::Defect(what)) => {
                tracing::error!(object_type = %known.sync_type, what, "a type cannot be read");
                job.note_code(failure::DEFECT).await.map_err(ended_badly)?;
                return Ok(Came::ToTheEnd);
            }
            Err(Stop::NotById) => return Err(failure::defect("a cursor is no range")),
        };
        if is_refusal(&error) {
            self.refuse(&job, &error).await.map_err(ended_badly)?;
            return Ok(Came::ToTheEnd);
        }
        // Waiting for the budget is shown as a pause, and is no trouble.
        if error.class() != hubspot::ErrorClass::RateLimited {
            job.note_trouble(&error).await.map_err(ended_badly)?;
        }
        Ok(Came::Failed(error))
    }

    /// HubSpot refuses the type: this run leaves it, and it is as fresh as it was.
    async fn refuse(&self, job: &Job<'_>, error: &hubspot::Error) -> Result<(), Stop> {
        let store = &self.deps.store;
        let refusal = refusal_of(ReadPart::Whole, error)?;
        tracing::warn!(
            object_type = %job.sync_type(), code = refusal.code.as_str(), "HubSpot refuses a type"
        );
        if matches!(error, hubspot::Error::ScopeMissing { .. }) {
            let scopes = &refusal.scopes;
            store.skip_type(&job.key, &refusal.code, scopes).await?;
        } else {
            store.refuse_type(&job.key, &refusal).await?;
        }
        Ok(())
    }
}

/// What stops a slice while it ends.
fn ended_badly(stop: Stop) -> ActivityError {
    match stop {
        Stop::Store(error) => failure::of_store(&error),
        Stop::HubSpot(error) => failure::of_hubspot(&error),
        _ => failure::defect("a slice did not end"),
    }
}

/// What reads a type: of a reading over the long window, all there is to it.
fn source_of(sync_type: SyncType, cursor: &CursorRow, slice: &Slice<'_>) -> Source {
    match (sync_type, cursor.plan) {
        (SyncType::Engagements, ReadPlan::ModifiedSince { since }) => Source::Touches(Touches {
            since,
            days: slice.context.days,
            now: slice.now,
            bodies: slice.context.bodies,
            slow: cursor.slow,
            redacted: slice.redacted,
        }),
        (_, ReadPlan::ModifiedSince { since }) => match sync_type.object_type() {
            Some(object_type) => Source::News { object_type, since },
            None => Source::of_type(sync_type, cursor.plan),
        },
        (SyncType::Owners, _) if !cursor.slow => Source::ActiveOwners,
        (SyncType::Lists, _) if !cursor.slow => Source::ListsInPassing,
        (SyncType::Properties, _) if !cursor.slow => {
            let turn = cursor.version.unsigned_abs();
            Source::DefinitionsOf(periodic::definitions_turn(turn))
        }
        _ => Source::of_type(sync_type, cursor.plan),
    }
}

/// Reads a type to its end, or until the time is over. Says whether it came to the end.
async fn read(job: &Job<'_>, known: &PeriodicType, slice: &Slice<'_>) -> Result<bool, Stop> {
    let store = &job.deps.store;
    let under_way = store
        .cursor(&job.key)
        .await?
        .filter(|cursor| cursor.outcome == ReadOutcome::Reading);
    let cursor = match under_way {
        Some(cursor) => cursor,
        None => {
            let since = periodic::read_from(known.fresh_to, known.seen_to, known.sweep_due);
            let by_time =
                known.sync_type.object_type().is_some() || known.sync_type == SyncType::Engagements;
            let new = NewPeriodic {
                key: job.key,
                plan: ReadPlan::from_bound(by_time.then_some(since)),
                read_began_at: known.fresh_to,
                slow: known.sweep_due,
            };
            store.begin_periodic(&new).await?.ok_or(Stop::Lost)?
        }
    };
    job.remember(cursor.page_size);
    job.ask_for(&cursor.properties);
    let source = source_of(known.sync_type, &cursor, slice);
    let to_the_end = drive(job, source, &cursor).await?;
    if !to_the_end {
        return Ok(false);
    }
    if let Some(object_type) = known.sync_type.object_type() {
        return records_end(job, object_type).await;
    }
    if known.sync_type == SyncType::Lists {
        return members(job, known).await;
    }
    Ok(true)
}

async fn drive(job: &Job<'_>, source: Source, cursor: &CursorRow) -> Result<bool, Stop> {
    let reader = Reader::of_cursor(cursor);
    let read = driver::drive(job, source, reader, &Alone(job)).await?;
    Ok(matches!(read, Read::ToTheEnd(_)))
}

/// Whether a reading found none of the records that it should have found: how many. It shows until some are
/// found, and removes nothing (X10).
async fn look(job: &Job<'_>) -> Result<Option<u64>, Stop> {
    let store = &job.deps.store;
    let CursorKey {
        workspace,
        portal,
        sync_type,
        ..
    } = job.key;
    match periodic::seen(&store.sight(&job.key).await?) {
        Seen::Some => {
            store.note_some_found(workspace, portal, sync_type).await?;
            Ok(None)
        }
        Seen::NoneOf(known) => {
            tracing::warn!(%workspace, object_type = %sync_type, known, "none of the known records is found");
            store
                .note_none_found(workspace, portal, sync_type, known)
                .await?;
            Ok(Some(known))
        }
        Seen::Unknown => Ok(None),
    }
}

/// Asks again for what was not answered, now and in earlier readings; what stays open is asked for by
/// the next run.
async fn records_end(job: &Job<'_>, object_type: ObjectType) -> Result<bool, Stop> {
    if !ask_again(job, object_type).await? {
        return Ok(false);
    }
    let store = &job.deps.store;
    let none_of = look(job).await?;
    if none_of.is_some() {
        // It does not count, and is asked again.
        store.note_unanswered(&job.key, 1).await?;
    }
    store.finish_type(&job.key).await?;
    if none_of.is_some() {
        job.note_code(failure::NOTHING_READ).await?;
    }
    Ok(true)
}

/// Reads the members of the lists with a use whose size moved, or that were not read for long. A list
/// that fails stops no other.
async fn members(job: &Job<'_>, known: &PeriodicType) -> Result<bool, Stop> {
    let store = &job.deps.store;
    let followed = store
        .followed_members(job.key.workspace, job.key.portal)
        .await?;
    let mut trouble = None;
    for list in followed {
        let due = match periodic::members_due(&list.known) {
            MembersDue::Nothing if list.reading => MembersDue::Whole,
            due => due,
        };
        // While HubSpot computes it, what it gives is no membership: what is stored stays.
        let (true, false, Ok(id)) = (
            due != MembersDue::Nothing,
            list.processing,
            HubSpotObjectId::new(list.list.get()),
        ) else {
            continue;
        };
        let key = job.key.members_of(list.list);
        let read = async {
            let cursor = match store.cursor(&key).await? {
                Some(cursor) if cursor.outcome == ReadOutcome::Reading => Some(cursor),
                _ => {
                    let new = NewPeriodic {
                        key,
                        plan: ReadPlan::List,
                        read_began_at: known.fresh_to,
                        // Of members: whether only who joined since is read.
                        slow: due == MembersDue::Tail,
                    };
                    store.begin_periodic(&new).await?
                }
            };
            // A run reads them.
            let Some(cursor) = cursor else {
                return Ok(true);
            };
            let job = job.of(key, cursor.page_size);
            let mut reader = Reader::of_cursor(&cursor);
            let order = match &mut reader {
                Reader::Cursor { position, .. } if cursor.slow => {
                    *position = position.take().or(list.tail);
                    Order::Tail
                }
                _ => Order::of_whole(
                    cursor.position.as_deref(),
                    periodic::is_huge(list.known.size),
                ),
            };
            let source = Source::Members(id, order);
            match driver::drive(&job, source, reader, &Alone(&job)).await {
                // The place is no good any more: all are read when they are due.
                Err(Stop::HubSpot(error)) if order == Order::Tail && is_refusal(&error) => {
                    store.forget_tail(&key).await?;
                    store.finish_type(&key).await?;
                    Ok(true)
                }
                read => Ok::<bool, Stop>(matches!(read?, Read::ToTheEnd(_))),
            }
        };
        match read.await {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(Stop::HubSpot(error)) if is_refusal(&error) => {
                let refusal = refusal_of(ReadPart::Members, &error)?;
                store.refuse_type(&key, &refusal).await?;
            }
            Err(Stop::HubSpot(error @ hubspot::Error::Transient { .. })) => {
                job.note_trouble(&error).await?;
                trouble = Some(error);
            }
            Err(stop) => return Err(stop),
        }
    }
    match trouble {
        Some(error) => Err(error.into()),
        None => Ok(true),
    }
}

#[activities]
impl Syncing {
    #[activity(definition = declared::SyncSlice)]
    pub async fn sync_slice(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: SyncSliceInput,
    ) -> Result<SyncReport, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let done = AtomicU64::new(0);
        let report = alive(&ctx, &done, self.slice(&ctx, &input, &done)).await?;
        let left: BTreeSet<&str> = report.left.iter().map(|t| t.as_str()).collect();
        tracing::info!(
            workspace = %input.workspace,
            changed = report.changed,
            end = report.end.as_str(),
            left = ?left,
            "periodic sync"
        );
        Ok(report)
    }
}

/// Asks again, before the schedule does, for what was not answered. `false` where that runs already.
pub(crate) async fn start_again(
    deps: &Deps,
    workspace: WorkspaceId,
    due: &store::DueAgain,
) -> Result<bool, WorkflowStartError> {
    let id = names::periodic_again_id(workspace);
    let options = WorkflowStartOptions::new(TaskQueue::Main.name(), id)
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .search_attributes(names::search_attributes(
            workspace,
            due.portal,
            domain::ConnectionPhase::Syncing,
        ))
        .static_summary(format!(
            "what portal {} did not answer, asked again",
            due.portal
        ))
        .priority(names::priority(Urgency::Sync, Some(due.portal)))
        .build();
    let input = PeriodicSyncInput {
        workspace,
        portal: due.portal,
        left: Some(due.types.clone()),
    };
    started(
        deps.temporal
            .start_workflow(PeriodicSync::run, input, options)
            .await,
    )
}
