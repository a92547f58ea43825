//! The activity of `BulkExport`. What it promises is said at its declaration.

mod batch;
mod checks;
mod doubts;
mod firms;
mod preview;
mod timelines;
mod writes;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use domain::{
    Epoch, PortalId, SyncType, Urgency, WorkspaceId,
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

use self::{
    batch::{Batching, Report},
    checks::AllUnchecked,
};
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
/// How long whoever takes those who are due has for them: longer than a slice.
const LEASE: Duration = Duration::from_secs(60);

/// The activity of `BulkExport`.
pub struct BulkExporting {
    deps: Arc<Deps>,
}

/// Whom batches are taken from.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// Those of a run, who have requests once they are taken.
    Run(&'a BulkRow),
    /// Whoever is due in the workspace.
    Due,
}

/// People who were taken.
#[derive(Default)]
struct Taken {
    people: Vec<PersonId>,
    /// Their requests, where those are the run's.
    requests: Vec<(RequestId, PersonId)>,
    /// Whether somebody was taken, be it that nothing is left to do for them.
    some: bool,
}

impl Taken {
    fn of_run(requests: Vec<(RequestId, PersonId)>, some: bool) -> Self {
        Self {
            people: requests.iter().map(|(_, person)| person.clone()).collect(),
            requests,
            some,
        }
    }
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
        taken: &AtomicU64,
    ) -> Result<BulkTurn, ActivityError> {
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let pass = Pass {
            ctx,
            began: Instant::now(),
            done,
            taken,
            ended: AtomicU64::new(0),
            epoch: OnceLock::new(),
            unchecked: AllUnchecked::default(),
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
        let Some(bulk) = input.bulk else {
            // They are due again in a while.
            return Ok(());
        };
        let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1));
        let until = self.deps.store.clock().await? + wait;
        let store = &self.deps.store;
        store.put_off_bulk(input.workspace, bulk, until).await
    }

    /// Goes on with a run where it is, or with those who are due. None: there is more to do.
    async fn go_on(&self, input: BulkInput, pass: &Pass<'_>) -> Result<Option<Halt>, Stop> {
        let Some(bulk) = input.bulk else {
            return self.take_due(input, pass).await;
        };
        let store = &self.deps.store;
        let Some(row) = store.bulk(input.workspace, bulk).await? else {
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
        let companies = Mutex::new(());
        let batching = self.batching(&ground, &companies, pass).await?;
        if row.state == BulkState::Running {
            let begun = self.begin(&batching, Source::Run(&row), pass).await?;
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

    /// Exports whoever is due in the workspace.
    async fn take_due(&self, input: BulkInput, pass: &Pass<'_>) -> Result<Option<Halt>, Stop> {
        let ground = Ground::with_urgency(&self.deps, input.workspace, URGENCY).await?;
        let Some(ground) = ground.filter(|ground| ground.portal == input.portal) else {
            return Ok(Some(Halt::PutOff));
        };
        pass.epoch.get_or_init(|| ground.epoch);
        let companies = Mutex::new(());
        let batching = Batching {
            by_time: true,
            ..self.batching(&ground, &companies, pass).await?
        };
        let begun = self.begin(&batching, Source::Due, pass).await?;
        // Those who are left for later are due again in a while.
        let over = begun.nobody_left.then_some(Halt::Over);
        Ok(begun.halt.or(over))
    }

    async fn batching<'a>(
        &'a self,
        ground: &'a Ground,
        companies: &'a Mutex<()>,
        pass: &'a Pass<'_>,
    ) -> Result<Batching<'a>, Stop> {
        let store = &self.deps.store;
        let read = store.last_read_began(ground.workspace, ground.portal, SyncType::Companies);
        Ok(Batching {
            deps: &self.deps,
            ground,
            done: pass.done,
            again: false,
            by_time: false,
            companies,
            mirror_is_whole: read.await?.is_some(),
            unchecked: &pass.unchecked,
        })
    }

    /// Begins with people, some batches at a time, until the slice's time is over or nobody is left.
    async fn begin(
        &self,
        batching: &Batching<'_>,
        source: Source<'_>,
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
            lines.push(self.line(batching, source, pass, &stop));
        }
        let mut begun = Begun::default();
        let (mut held, mut failed) = (false, None);
        let ended = join_all(lines).await;
        self.check(batching, true).await?;
        for ended in ended {
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
        let waits = held && begun.halt.is_none();
        if let (true, Source::Run(row)) = (waits, source) {
            begun.halt = Some(self.until_tomorrow(batching.ground, row).await?);
        }
        Ok(begun)
    }

    /// One batch after the other, beside other lines of them.
    async fn line(
        &self,
        batching: &Batching<'_>,
        source: Source<'_>,
        pass: &Pass<'_>,
        stop: &AtomicBool,
    ) -> Result<Line, Stop> {
        let mut line = Line::default();
        while !stop.load(Ordering::Relaxed) && !pass.is_over() {
            let taken = self.take(batching.ground, source).await?;
            if !taken.some {
                line.nobody_left = true;
                break;
            }
            let outcome = self.batch(batching, taken, pass).await;
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

    async fn take(&self, ground: &Ground, source: Source<'_>) -> Result<Taken, Stop> {
        let store = &self.deps.store;
        match source {
            Source::Run(row) => {
                let id = |_| RequestId::new(Uuid::now_v7());
                let ids: Vec<RequestId> = (0..BATCH).map(id).collect();
                let taken = store.take_bulk_people(row, &ids, Utc::now()).await?;
                let taken = taken.unwrap_or_default();
                Ok(Taken::of_run(taken.going_on, taken.taken > 0))
            }
            Source::Due => {
                let most = u32::try_from(BATCH).unwrap_or(u32::MAX);
                let people = store.take_due(ground.workspace, most, LEASE).await?;
                Ok(Taken {
                    some: !people.is_empty(),
                    people,
                    requests: Vec::new(),
                })
            }
        }
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
        let mut halt = None;
        while halt.is_none() && !pass.is_over() {
            let rest = self.deps.store.bulk_rest(row.bulk, after, most).await?;
            let Some((last, _)) = rest.last() else {
                break;
            };
            after = Some(*last);
            let report = self
                .batch(batching, Taken::of_run(rest, true), pass)
                .await?;
            halt = report.trouble.map(Halt::Trouble);
            if halt.is_none() && report.held > 0 {
                halt = Some(self.until_tomorrow(batching.ground, row).await?);
            }
        }
        self.check(batching, true).await?;
        Ok(halt)
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
        taken: Taken,
        pass: &Pass<'_>,
    ) -> Result<Report, Stop> {
        let Taken {
            people, requests, ..
        } = taken;
        pass.taken.fetch_add(people.len() as u64, Ordering::Relaxed);
        let report = match batching.run(&people).await {
            Err(Stop::HubSpot(error))
                if matches!(
                    error.class(),
                    ErrorClass::ScopeMissing | ErrorClass::Forbidden
                ) =>
            {
                batching.fail(&requests, &error).await?;
                Report {
                    ended: people.len(),
                    // What is due without a run says by itself why it fails.
                    alone: people.into_iter().filter(|_| batching.by_time).collect(),
                    ..Report::default()
                }
            }
            other => other?,
        };
        pass.ended.fetch_add(report.ended as u64, Ordering::Relaxed);
        let handed_over: Vec<RequestId> = requests
            .iter()
            .filter(|(_, person)| report.alone.contains(person))
            .map(|(request, _)| *request)
            .collect();
        if !handed_over.is_empty() {
            let workspace = batching.ground.workspace;
            self.deps
                .store
                .hand_over_requests(workspace, &handed_over)
                .await?;
        }
        let mut alone = report.alone.clone();
        if report.trouble.is_none() {
            // Else HubSpot would do no more for them: they are due all the same.
            alone.extend(report.left.iter().cloned());
        }
        self.leave_alone(batching.ground, alone).await;
        self.check(batching, false).await?;
        Ok(report)
    }

    /// Looks at engagements that were made.
    async fn check(&self, batching: &Batching<'_>, whatever: bool) -> Result<(), Stop> {
        let left = batching.check(whatever).await?;
        self.leave_alone(batching.ground, left).await;
        Ok(())
    }

    /// Starts exports of people who go on by themselves.
    async fn leave_alone(&self, ground: &Ground, people: BTreeSet<PersonId>) {
        let due: Vec<DueExport> = people
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
    /// People who were taken.
    taken: &'a AtomicU64,
    /// People who came to an end.
    ended: AtomicU64,
    /// The connection's epoch when it began.
    epoch: OnceLock<Epoch>,
    /// Engagements that were made and are to be looked at.
    unchecked: AllUnchecked,
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
        let taken = AtomicU64::new(0);
        let turn = alive(&ctx, &done, self.slice(&ctx, input, &done, &taken)).await?;
        let taken = taken.into_inner();
        let Some(bulk) = input.bulk else {
            let requests = done.load(Ordering::Relaxed);
            tracing::info!(workspace = %input.workspace, taken, requests, "those who were due");
            return Ok(BulkReport {
                turn,
                state: match turn {
                    BulkTurn::Again => BulkState::Running,
                    BulkTurn::Stop => BulkState::Done,
                },
                people: taken,
                begun: taken,
                ..BulkReport::gone()
            });
        };
        let store = &self.deps.store;
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let row = store.bulk(input.workspace, bulk).await;
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
            %bulk,
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
    let input = BulkInput {
        workspace: due.workspace,
        portal: due.portal,
        bulk: Some(due.bulk),
    };
    start_one(deps, input).await
}

/// Starts to export those who are due in a workspace, of whom there are many. `false` where that goes on
/// already.
pub(crate) async fn start_due(
    deps: &Deps,
    workspace: WorkspaceId,
    portal: PortalId,
) -> Result<bool, WorkflowStartError> {
    let input = BulkInput {
        workspace,
        portal,
        bulk: None,
    };
    start_one(deps, input).await
}

async fn start_one(deps: &Deps, input: BulkInput) -> Result<bool, WorkflowStartError> {
    let (id, what) = match input.bulk {
        Some(bulk) => (names::bulk_export_id(input.workspace, bulk), "bulk export"),
        None => (
            names::due_in_bulk_id(input.workspace),
            "exports that are due",
        ),
    };
    let options = WorkflowStartOptions::new(TaskQueue::Main.name(), id)
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .search_attributes(names::of_portal(input.workspace, input.portal))
        .static_summary(format!("{what} to portal {}", input.portal))
        .priority(names::priority(URGENCY, Some(input.portal)))
        .build();
    started(
        deps.temporal
            .start_workflow(BulkExport::run, input, options)
            .await,
    )
}
