//! The activity of `BulkExport`. What it promises is said at its declaration.

mod batch;
mod firms;
mod preview;
mod writes;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use domain::{
    Epoch, SyncType, Urgency,
    app::PersonId,
    export::{BulkState, RequestId, bulk::BATCH, ceiling},
};
use futures::future::join_all;
use hubspot::ErrorClass;
use store::{BulkRow, DueBulk, DueExport};
use temporalio_client::{
    WorkflowIdConflictPolicy, WorkflowStartOptions, errors::WorkflowStartError,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::sync::Mutex;
use uuid::Uuid;
use workflows::{
    BulkExport,
    activities::{BulkInput, BulkReport, BulkTurn, declared},
    names::{self, TaskQueue},
};

use self::batch::{Batching, Report};
use super::{FIRST_LOOK, LONGEST, SHORT, ground::Ground, stop::Stop};
use crate::{
    Deps, failure, revoked,
    slices::{alive, started},
};

/// A slice ends after this long.
const SLICE: Duration = Duration::from_secs(30);
/// Batches at the same time: while one waits for HubSpot, another one reads the store.
const WINDOW: usize = 3;
/// Behind whatever somebody waits for, and behind single activities.
const URGENCY: Urgency = Urgency::Sync;
/// Single exports that are started at a time.
const STARTS: usize = 8;

/// The activity of `BulkExport`.
pub struct BulkExporting {
    deps: Arc<Deps>,
}

/// Why a slice stops before its time is over.
enum Halt {
    /// Nothing is left to do for now.
    Over,
    /// The run goes on at its due time, or when it is connected again.
    PutOff,
    /// HubSpot does not get on with it; the next slice tries again.
    Trouble(hubspot::Error),
}

impl BulkExporting {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn slice(
        &self,
        ctx: &ActivityContext,
        input: BulkInput,
        done: &AtomicU64,
    ) -> Result<BulkTurn, ActivityError> {
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let pass = Pass {
            ctx,
            began: Instant::now(),
            done,
            ended: AtomicU64::new(0),
            epoch: OnceLock::new(),
        };
        while !pass.is_over() {
            let halt = match self.go_on(input, &pass).await {
                Ok(None) => continue,
                Ok(Some(halt)) => halt,
                Err(Stop::Store(error)) => return Err(of_store(error)),
                // The row stays due: whoever connects again goes on with it.
                Err(Stop::Fenced | Stop::Lost | Stop::Redefined) => Halt::PutOff,
                Err(Stop::HubSpot(error)) => Halt::Trouble(error),
                Err(Stop::Waits(_, wait)) => {
                    self.put_off(input, wait).await.map_err(of_store)?;
                    Halt::PutOff
                }
                Err(Stop::Skips(_) | Stop::Fails(..)) => {
                    return Err(failure::defect("a batch ended as one person does"));
                }
            };
            return match halt {
                Halt::Over | Halt::PutOff => Ok(BulkTurn::Stop),
                Halt::Trouble(error) => self.in_trouble(input, error, &pass).await,
            };
        }
        Ok(BulkTurn::Again)
    }

    /// What HubSpot does not do now is tried again: at once where something came to its end meanwhile, ever
    /// more slowly else, and later where HubSpot says so.
    async fn in_trouble(
        &self,
        input: BulkInput,
        error: hubspot::Error,
        pass: &Pass<'_>,
    ) -> Result<BulkTurn, ActivityError> {
        if error.class() == ErrorClass::AuthRevoked {
            if let Some(epoch) = pass.epoch.get() {
                revoked::tell(&self.deps, input.workspace, *epoch).await?;
            }
            return Ok(BulkTurn::Stop);
        }
        let wait = error.retry_after().unwrap_or(FIRST_LOOK);
        if wait > SHORT {
            let put_off = self.put_off(input, wait.min(LONGEST)).await;
            put_off.map_err(|e| failure::of_store(&e))?;
            return Ok(BulkTurn::Stop);
        }
        if pass.ended.load(Ordering::Relaxed) == 0 {
            return Err(failure::of_hubspot(&error));
        }
        tracing::warn!(
            code = failure::code_of(&error),
            "HubSpot did not do a batch"
        );
        tokio::time::sleep(wait.min(FIRST_LOOK)).await;
        Ok(BulkTurn::Again)
    }

    async fn put_off(&self, input: BulkInput, wait: Duration) -> Result<(), store::StoreError> {
        let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1));
        let until = self.deps.store.clock().await? + wait;
        let store = &self.deps.store;
        store.put_off_bulk(input.workspace, input.bulk, until).await
    }

    /// Goes on with a run where it is. None: there is more to do.
    async fn go_on(&self, input: BulkInput, pass: &Pass<'_>) -> Result<Option<Halt>, Stop> {
        let store = &self.deps.store;
        let Some(row) = store.bulk(input.workspace, input.bulk).await? else {
            return Ok(Some(Halt::Over));
        };
        if row.state.is_final() || row.state == BulkState::WaitingForConfirmation {
            return Ok(Some(Halt::Over));
        }
        let ground = Ground::with_urgency(&self.deps, input.workspace, URGENCY).await?;
        let Some(ground) = ground.filter(|ground| ground.portal == row.portal) else {
            return Ok(Some(Halt::PutOff));
        };
        pass.epoch.get_or_init(|| ground.epoch);
        if row.state == BulkState::Previewing {
            self.preview_page(&ground, &row).await?;
            return Ok(None);
        }
        let read = store.last_read_began(row.workspace, row.portal, SyncType::Companies);
        let mirror_is_whole = read.await?.is_some();
        let companies = Mutex::new(());
        let batching = Batching {
            deps: &self.deps,
            ground: &ground,
            done: pass.done,
            again: false,
            companies: &companies,
            mirror_is_whole,
        };
        if row.state == BulkState::Running {
            let begun = self.begin(&batching, &row, pass).await?;
            if begun.halt.is_some() || !begun.nobody_left {
                return Ok(begun.halt);
            }
            if begun.later {
                // Most of what is late lands soon.
                tokio::time::sleep(FIRST_LOOK).await;
            }
        }
        let again = Batching {
            again: true,
            ..batching
        };
        if let Some(halt) = self.rest(&again, &row, pass).await? {
            return Ok(Some(halt));
        }
        let over = store.end_bulk(&row, Utc::now()).await?;
        Ok(over.then_some(Halt::Over))
    }

    /// Begins with people, some batches at a time, until the slice's time is over or nobody is left.
    async fn begin(
        &self,
        batching: &Batching<'_>,
        row: &BulkRow,
        pass: &Pass<'_>,
    ) -> Result<Begun, Stop> {
        // With a ceiling each batch counts what the one before wrote.
        let window = if batching
            .ground
            .known
            .settings
            .export
            .daily_ceiling
            .is_some()
        {
            1
        } else {
            WINDOW
        };
        let stop = AtomicBool::new(false);
        let mut lines = Vec::new();
        for _ in 0..window {
            lines.push(self.line(batching, row, pass, &stop));
        }
        let mut begun = Begun::default();
        let (mut held, mut failed) = (false, None);
        for ended in join_all(lines).await {
            match ended {
                Ok(line) => {
                    begun.later |= line.later;
                    begun.nobody_left |= line.nobody_left;
                    held |= line.held;
                    begun.halt = begun.halt.or(line.trouble.map(Halt::Trouble));
                }
                Err(stop) => failed = Some(stop),
            }
        }
        if let Some(stop) = failed {
            return Err(stop);
        }
        if held && begun.halt.is_none() {
            begun.halt = Some(self.until_tomorrow(batching.ground, row).await?);
        }
        Ok(begun)
    }

    /// One batch after the other, beside other lines of them.
    async fn line(
        &self,
        batching: &Batching<'_>,
        row: &BulkRow,
        pass: &Pass<'_>,
        stop: &AtomicBool,
    ) -> Result<Line, Stop> {
        let mut line = Line::default();
        while !stop.load(Ordering::Relaxed) && !pass.is_over() {
            let ids: Vec<RequestId> = (0..BATCH).map(|_| RequestId::new(Uuid::now_v7())).collect();
            let store = &self.deps.store;
            let taken = store.take_bulk_people(row, &ids, Utc::now()).await?;
            let Some(taken) = taken.filter(|taken| taken.taken > 0) else {
                line.nobody_left = true;
                break;
            };
            let outcome = self.batch(batching, &taken.going_on, pass).await;
            let goes_on =
                matches!(&outcome, Ok(report) if report.trouble.is_none() && report.held == 0);
            if !goes_on {
                stop.store(true, Ordering::Relaxed);
            }
            let report = outcome?;
            line.later |= report.later > 0;
            line.held |= report.held > 0;
            line.trouble = report.trouble;
        }
        Ok(line)
    }

    /// Takes those in hand again who were left for later, and leaves those to exports of their own who are
    /// again.
    async fn rest(
        &self,
        batching: &Batching<'_>,
        row: &BulkRow,
        pass: &Pass<'_>,
    ) -> Result<Option<Halt>, Stop> {
        let most = u32::try_from(BATCH).unwrap_or(u32::MAX);
        let mut after = None;
        loop {
            let rest = self.deps.store.bulk_rest(row.bulk, after, most).await?;
            let Some((last, _)) = rest.last() else {
                return Ok(None);
            };
            after = Some(*last);
            let report = self.batch(batching, &rest, pass).await?;
            if let Some(error) = report.trouble {
                return Ok(Some(Halt::Trouble(error)));
            }
            if report.held > 0 {
                return Ok(Some(self.until_tomorrow(batching.ground, row).await?));
            }
            if pass.is_over() {
                return Ok(None);
            }
        }
    }

    /// The day's ceiling is reached.
    async fn until_tomorrow(&self, ground: &Ground, row: &BulkRow) -> Result<Halt, Stop> {
        let store = &self.deps.store;
        let until = ceiling::next_day(store.clock().await?, ground.known.zone);
        store.put_off_bulk(row.workspace, row.bulk, until).await?;
        Ok(Halt::PutOff)
    }

    async fn batch(
        &self,
        batching: &Batching<'_>,
        taken: &[(RequestId, PersonId)],
        pass: &Pass<'_>,
    ) -> Result<Report, Stop> {
        let report = match batching.run(taken).await {
            Err(Stop::HubSpot(error))
                if matches!(
                    error.class(),
                    ErrorClass::ScopeMissing | ErrorClass::Forbidden
                ) =>
            {
                batching.fail(taken, &error).await?;
                Report {
                    ended: taken.len(),
                    ..Report::default()
                }
            }
            other => other?,
        };
        pass.ended.fetch_add(report.ended as u64, Ordering::Relaxed);
        let ground = batching.ground;
        let store = &self.deps.store;
        let mut wake = store
            .people_with_waiting_activities(ground.workspace, &report.exported)
            .await?;
        wake.extend(report.alone.iter().cloned());
        wake.sort_unstable();
        wake.dedup();
        let due: Vec<DueExport> = wake
            .into_iter()
            .map(|person| DueExport {
                workspace: ground.workspace,
                person,
                portal: ground.portal,
            })
            .collect();
        let mut failed = 0;
        for some in due.chunks(STARTS) {
            let starts = some.iter().map(|due| super::start(&self.deps, due));
            let started = join_all(starts).await;
            failed += started.iter().filter(|started| started.is_err()).count();
        }
        if failed > 0 {
            // `Sweep` sees the rows.
            tracing::warn!(failed, "exports could not be started");
        }
        Ok(report)
    }
}

/// What came of beginning with people.
#[derive(Default)]
struct Begun {
    halt: Option<Halt>,
    nobody_left: bool,
    /// Whether somebody was left for later.
    later: bool,
}

/// What came of one line of batches.
#[derive(Default)]
struct Line {
    nobody_left: bool,
    later: bool,
    held: bool,
    trouble: Option<hubspot::Error>,
}

/// A slice.
struct Pass<'a> {
    ctx: &'a ActivityContext,
    began: Instant,
    /// Requests to HubSpot, for the heartbeat.
    done: &'a AtomicU64,
    /// People who came to an end.
    ended: AtomicU64,
    /// The connection's epoch when it began.
    epoch: OnceLock<Epoch>,
}

impl Pass<'_> {
    fn is_over(&self) -> bool {
        self.ctx.is_cancelled() || self.began.elapsed() >= SLICE
    }
}

#[activities]
impl BulkExporting {
    #[activity(definition = declared::BulkSlice)]
    pub async fn bulk_slice(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: BulkInput,
    ) -> Result<BulkReport, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let done = AtomicU64::new(0);
        let turn = alive(&ctx, &done, self.slice(&ctx, input, &done)).await?;
        let store = &self.deps.store;
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let row = store.bulk(input.workspace, input.bulk).await;
        let Some(row) = row.map_err(of_store)? else {
            return Ok(BulkReport::gone());
        };
        let counts = store.bulk_counts(&row).await.map_err(of_store)?;
        let slice = BulkReport {
            turn,
            state: row.state,
            people: row.people,
            begun: row.begun,
            exported: counts.exported,
            skipped: counts.skipped.values().sum(),
            failed: counts.failed.values().sum(),
        };
        tracing::info!(
            workspace = %input.workspace,
            bulk = %input.bulk,
            state = %slice.state,
            people = slice.people,
            begun = slice.begun,
            exported = slice.exported,
            skipped = slice.skipped,
            failed = slice.failed,
            requests = done.load(Ordering::Relaxed),
            "a slice of a bulk export"
        );
        Ok(slice)
    }
}

/// Starts a bulk export that lost its start. `false` where it runs already.
pub(crate) async fn start(deps: &Deps, due: DueBulk) -> Result<bool, WorkflowStartError> {
    let id = names::bulk_export_id(due.workspace, due.bulk);
    let options = WorkflowStartOptions::new(TaskQueue::Main.name(), id)
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .search_attributes(names::of_portal(due.workspace, due.portal))
        .static_summary(format!("bulk export to portal {}", due.portal))
        .priority(names::priority(URGENCY, Some(due.portal)))
        .build();
    let input = BulkInput {
        workspace: due.workspace,
        portal: due.portal,
        bulk: due.bulk,
    };
    started(
        deps.temporal
            .start_workflow(BulkExport::run, input, options)
            .await,
    )
}
