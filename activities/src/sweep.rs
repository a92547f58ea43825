//! The activity of `Sweep`. What it promises is said at its declaration.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use chrono::{SecondsFormat, TimeDelta, Utc};
use domain::{
    ConnectionPhase, ConnectionState, Epoch, PortalId, SyncRunId, Urgency, WorkspaceId,
    settings::RetentionSettings,
    sweep::{ShownConnection, restart_backfill_after},
};
use futures::StreamExt as _;
use store::{RunState, StoreError, Swept, SweptConnection, SweptRun};
use temporalio_client::{WorkflowIdConflictPolicy, WorkflowListOptions, WorkflowStartOptions};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use uuid::Uuid;
use workflows::{
    Backfill, Connection,
    activities::{SweepReport, declared},
    backfill::BackfillInput,
    connection::{Carried, ConnectionInput},
    names::{self, TaskQueue},
};

use crate::{
    Deps, failure, profiles, purge, reconcile, schedules, slices::started, verdicts, webhooks,
};

/// How often what is kept for a while only is looked at (C7).
const RETENTION_EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows that one statement removes.
const RETENTION_BATCH: u32 = 10_000;
/// Statements of one look for each workspace; the rest goes at the next.
const RETENTION_ROUNDS: u32 = 20;
/// How long what is gone stays known to those who follow the changes.
const TOMBSTONES_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A record that webhooks told of and that is due for longer than this has lost its reader.
const TOLD_OVERDUE: Duration = Duration::from_secs(10);
/// Rows younger than this are left to their own signal.
const GRACE: TimeDelta = TimeDelta::seconds(10);
const PAGE: u32 = 500;
/// Ended backfills of one run that are counted; beyond, the wait between two starts is the longest.
const ENDS_LOOKED_AT: usize = 12;
/// Runs that ended are kept for so long,
const RUNS_KEPT: TimeDelta = TimeDelta::days(90);
/// and the newest of each workspace for ever.
const NEWEST_RUNS_KEPT: u32 = 20;

/// The activity of `Sweep`.
pub struct Sweeping {
    deps: Arc<Deps>,
    /// When this process last applied it.
    retention: Mutex<Option<Instant>>,
}

impl Sweeping {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self {
            deps,
            retention: Mutex::new(None),
        }
    }

    /// Removes what is older than its workspace keeps it. Of no consequence for the sweep: what
    /// fails is tried again with the next one.
    async fn apply_retention_if_due(&self) {
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

    /// What runs, by visibility. It lags a little: what was started a moment ago may be missing, and
    /// starting it again is refused by its id.
    async fn running(
        &self,
        workflow_type: &str,
    ) -> Result<BTreeMap<String, ShownConnection>, ActivityError> {
        let query = format!("WorkflowType = '{workflow_type}' AND ExecutionStatus = 'Running'");
        let mut listed = self
            .deps
            .temporal
            .list_workflows(query, WorkflowListOptions::default());
        let mut running = BTreeMap::new();
        while let Some(workflow) = listed.next().await {
            let workflow =
                workflow.map_err(|_| failure::of_temporal("workflows could not be listed"))?;
            let epoch = workflow.memo().get::<i64>(names::EPOCH_MEMO).ok().flatten();
            let shown = ShownConnection {
                phase: workflow.search_attributes().get(&names::PHASE),
                epoch: epoch.map(Epoch::new),
            };
            running.insert(workflow.id().to_owned(), shown);
        }
        Ok(running)
    }

    async fn start_connection(&self, row: &SweptConnection) -> Result<bool, Unmended> {
        let options =
            WorkflowStartOptions::new(TaskQueue::Main.name(), names::connection_id(row.workspace))
                .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
                .search_attributes(names::search_attributes(
                    row.workspace,
                    row.portal,
                    ConnectionPhase::of(row.state, false, false),
                ))
                .static_summary(format!("HubSpot portal {}", row.portal))
                .priority(names::priority(Urgency::Interactive, Some(row.portal)))
                .build();
        let input = ConnectionInput {
            workspace: row.workspace,
            portal: row.portal,
            carried: Carried::default(),
        };
        let outcome = self
            .deps
            .temporal
            .start_workflow(Connection::run, input, options)
            .await;
        started(outcome).map_err(|_| Unmended::Temporal("a connection could not be started"))
    }

    /// Starts the backfill of a run that lost it, unless it ended before its end a moment ago: then
    /// its `Connection` starts it, ever more slowly, and so does this.
    async fn start_backfill(&self, row: &SweptRun) -> Result<bool, Unmended> {
        if !self.may_start_backfill(row).await? {
            return Ok(false);
        }
        let run = self.deps.store.run(row.run).await?;
        let run = run.ok_or(StoreError::NotFound("run"))?;
        let options =
            WorkflowStartOptions::new(TaskQueue::Main.name(), names::backfill_id(run.workspace))
                .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
                .search_attributes(names::search_attributes(
                    run.workspace,
                    run.portal,
                    ConnectionPhase::Backfilling,
                ))
                .static_summary(format!("{} of portal {}", run.kind.noun(), run.portal))
                .priority(names::priority(Urgency::Backfill, Some(run.portal)))
                .build();
        let input = BackfillInput {
            workspace: run.workspace,
            portal: run.portal,
            epoch: row.epoch,
            run: run.run,
            kind: run.kind,
            types: run.types,
            progress: Vec::new(),
        };
        let outcome = self
            .deps
            .temporal
            .start_workflow(Backfill::run, input, options)
            .await;
        started(outcome).map_err(|_| Unmended::Temporal("a backfill could not be started"))
    }

    async fn may_start_backfill(&self, row: &SweptRun) -> Result<bool, Unmended> {
        let Some(begun_at) = row.begun_at else {
            return Ok(true);
        };
        let query = format!(
            "WorkflowId = '{}' AND CloseTime >= '{}' AND ExecutionStatus IN \
             ('Completed', 'Failed', 'TimedOut', 'Terminated', 'Canceled')",
            names::backfill_id(row.workspace),
            begun_at.to_rfc3339_opts(SecondsFormat::Millis, true)
        );
        let options = WorkflowListOptions::builder().limit(ENDS_LOOKED_AT).build();
        let mut ended = self.deps.temporal.list_workflows(query, options);
        let mut ends = 0;
        let mut last = None;
        while let Some(workflow) = ended.next().await {
            let workflow =
                workflow.map_err(|_| Unmended::Temporal("ended backfills could not be listed"))?;
            ends += 1;
            last = last.max(workflow.close_time());
        }
        let since_the_last = last.and_then(|at| SystemTime::now().duration_since(at).ok());
        let wait = restart_backfill_after(ends).to_std().unwrap_or_default();
        Ok(since_the_last.is_none_or(|since| since >= wait))
    }

    async fn wake(&self, workspace: WorkspaceId) -> Result<(), Unmended> {
        self.deps
            .temporal
            .get_workflow_handle::<Connection>(names::connection_id(workspace))
            .signal(Connection::settings_changed, (), Default::default())
            .await
            .map_err(|_| Unmended::Temporal("a connection could not be woken"))
    }

    async fn sweep(&self) -> Result<SweepReport, ActivityError> {
        let mut report = SweepReport::default();
        let mut connections = self.running("Connection").await?;
        let backfills = self.running("Backfill").await?;
        let listed = schedules::shown(&self.deps.temporal).await;
        let mut shown: Option<BTreeMap<WorkspaceId, schedules::Shown>> = match listed {
            Ok(listed) => Some(listed.into_iter().collect()),
            Err(error) => {
                tracing::warn!(error = %error, "schedules could not be listed");
                report.failed += 1;
                None
            }
        };
        let mut woken = BTreeSet::new();
        let store = &self.deps.store;
        let mut after = None;
        loop {
            let rows = store
                .connections_to_sweep(after, GRACE, PAGE)
                .await
                .map_err(|e| failure::of_store(&e))?;
            let Some(last) = rows.last() else {
                break;
            };
            after = Some(last.workspace);
            for Swept { workspace, row } in rows {
                if let Some(shown) = &mut shown
                    && let Ok(row) = &row
                {
                    let shown = shown.remove(&workspace);
                    match self.mend_schedule(row, shown).await {
                        Ok(true) => report.schedules_mended += 1,
                        Ok(false) => {}
                        Err(error) => report.failed += error.told(workspace),
                    }
                }
                let shown = connections.remove(&names::connection_id(workspace));
                match self.mend_connection(row, shown).await {
                    Ok(Mended::Nothing) => {}
                    Ok(Mended::Started) => report.connections_started += 1,
                    Ok(Mended::Woken) => {
                        woken.insert(workspace);
                        report.connections_woken += 1;
                    }
                    Err(error) => report.failed += error.told(workspace),
                }
            }
        }
        // Workflows without such a row: it is disconnected, and they have not heard of it.
        for id in connections.into_keys() {
            let Some(workspace) = names::workspace_of_connection(&id) else {
                continue;
            };
            match self.mend_disconnected(workspace).await {
                Ok(true) => report.connections_woken += 1,
                Ok(false) => {}
                Err(error) => report.failed += error.told(workspace),
            }
        }
        // Schedules of workspaces without such a row are left over.
        for workspace in shown.into_iter().flatten().map(|(workspace, _)| workspace) {
            match schedules::keep(&self.deps, workspace).await {
                Ok(_) => report.schedules_mended += 1,
                Err(error) => report.failed += Unmended::from(error).told(workspace),
            }
        }
        let mut after = None;
        loop {
            let purges = store
                .purges_after(after, PAGE)
                .await
                .map_err(|e| failure::of_store(&e))?;
            let Some(last) = purges.last() else {
                break;
            };
            after = Some(*last);
            for workspace in purges {
                match purge::start(&self.deps, workspace).await {
                    Ok(true) => report.purges_started += 1,
                    Ok(false) => {}
                    Err(_) => {
                        let error = Unmended::Temporal("a purge could not be started");
                        report.failed += error.told(workspace);
                    }
                }
            }
        }
        self.start_webhook_reads(&mut report).await?;
        self.read_mapped(&mut report).await?;
        self.follow_profiles(&mut report).await?;
        self.start_verdicts(&mut report).await?;
        let mut after = None;
        loop {
            let rows = store
                .runs_to_sweep(after, GRACE, PAGE)
                .await
                .map_err(|e| failure::of_store(&e))?;
            let Some(last) = rows.last() else {
                break;
            };
            after = Some(last.workspace);
            for Swept { workspace, row } in rows {
                if backfills.contains_key(&names::backfill_id(workspace)) {
                    continue;
                }
                match self.mend_run(row, !woken.contains(&workspace)).await {
                    Ok(Mended::Nothing) => {}
                    Ok(Mended::Started) => report.backfills_started += 1,
                    Ok(Mended::Woken) => report.connections_woken += 1,
                    Err(error) => report.failed += error.told(workspace),
                }
            }
        }
        let mut after = None;
        loop {
            let due = store
                .reconciles_due(after, PAGE)
                .await
                .map_err(|e| failure::of_store(&e))?;
            let Some(last) = due.last() else {
                break;
            };
            after = Some(last.workspace);
            for Swept { workspace, row } in due {
                match self.mend_reconcile(workspace, row).await {
                    Ok(true) => report.reconciles_started += 1,
                    Ok(false) => {}
                    Err(error) => report.failed += error.told(workspace),
                }
            }
        }
        Ok(report)
    }

    async fn mend_reconcile(
        &self,
        workspace: WorkspaceId,
        portal: Result<PortalId, StoreError>,
    ) -> Result<bool, Unmended> {
        reconcile::start(&self.deps, workspace, portal?)
            .await
            .map_err(|_| Unmended::Temporal("a reconciliation could not be started"))
    }

    /// A reader is woken by whoever stores what a webhook told; here by what waits all the same.
    async fn start_webhook_reads(&self, report: &mut SweepReport) -> Result<(), ActivityError> {
        let mut after = None;
        loop {
            let due = self
                .deps
                .store
                .told_to_sweep(after, TOLD_OVERDUE, PAGE)
                .await
                .map_err(|e| failure::of_store(&e))?;
            let Some(last) = due.last() else {
                return Ok(());
            };
            after = Some(last.workspace);
            for one in due {
                match webhooks::start(&self.deps, one).await {
                    Ok(true) => report.webhook_reads_started += 1,
                    Ok(false) => {}
                    Err(_) => {
                        let error = Unmended::Temporal("WebhookRead could not be started");
                        report.failed += error.told(one.workspace);
                    }
                }
            }
        }
    }

    /// Of readings of which it is not known what they asked for, what is mapped may lack.
    async fn read_mapped(&self, report: &mut SweepReport) -> Result<(), ActivityError> {
        let store = &self.deps.store;
        let unknown = store
            .mapping_to_check(PAGE)
            .await
            .map_err(|e| failure::of_store(&e))?;
        for workspace in unknown {
            let run = SyncRunId::new(Uuid::now_v7());
            match store.check_mapping(workspace, run, Utc::now()).await {
                Ok(true) => match self.wake(workspace).await {
                    Ok(()) => report.connections_woken += 1,
                    Err(error) => report.failed += error.told(workspace),
                },
                Ok(false) => {}
                Err(error) => report.failed += Unmended::from(error).told(workspace),
            }
        }
        Ok(())
    }

    /// Links and profiles that are behind are brought up to date.
    async fn follow_profiles(&self, report: &mut SweepReport) -> Result<(), ActivityError> {
        let store = &self.deps.store;
        let mut after = None;
        loop {
            let rows = store
                .projections_due(after, PAGE)
                .await
                .map_err(|e| failure::of_store(&e))?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = Some(last.workspace);
            for Swept { workspace, row } in rows {
                let started = match row {
                    Ok(None) => Ok(false),
                    Ok(Some(due)) => profiles::start(&self.deps, due)
                        .await
                        .map_err(|_| Unmended::Temporal("profiles could not be started")),
                    Err(error) => Err(error.into()),
                };
                match started {
                    Ok(true) => report.profiles_started += 1,
                    Ok(false) => {}
                    Err(error) => report.failed += error.told(workspace),
                }
            }
        }
    }

    /// Starts to judge where there is something newer to judge by.
    async fn start_verdicts(&self, report: &mut SweepReport) -> Result<(), ActivityError> {
        let mut after = None;
        loop {
            let due = self
                .deps
                .store
                .verdicts_due(after, PAGE)
                .await
                .map_err(|e| failure::of_store(&e))?;
            let Some((last, _)) = due.last() else {
                return Ok(());
            };
            after = Some(*last);
            for (workspace, portal) in due {
                match verdicts::start(&self.deps, workspace, portal).await {
                    Ok(true) => report.verdicts_started += 1,
                    Ok(false) => {}
                    Err(_) => {
                        let error = Unmended::Temporal("verdicts could not be started");
                        report.failed += error.told(workspace);
                    }
                }
            }
        }
    }

    async fn mend_connection(
        &self,
        row: Result<SweptConnection, StoreError>,
        shown: Option<ShownConnection>,
    ) -> Result<Mended, Unmended> {
        let row = row?;
        match shown {
            None if self.start_connection(&row).await? => Ok(Mended::Started),
            Some(shown) if row.settled && !shown.knows(row.state, row.epoch) => {
                self.wake(row.workspace).await?;
                Ok(Mended::Woken)
            }
            _ => Ok(Mended::Nothing),
        }
    }

    /// A schedule that is lost, or that somebody paused, starts nothing, and nothing else would say so.
    /// A change of the connection that is young is left to its own turn.
    async fn mend_schedule(
        &self,
        row: &SweptConnection,
        shown: Option<schedules::Shown>,
    ) -> Result<bool, Unmended> {
        let as_wanted = match row.state {
            ConnectionState::Connected => shown.is_some_and(|s| !s.paused),
            ConnectionState::NeedsReconnect => shown.is_none_or(|s| s.paused),
            // Its `Connection` takes it down.
            ConnectionState::Disconnecting | ConnectionState::Disconnected => true,
        };
        if as_wanted || !row.settled {
            return Ok(false);
        }
        schedules::keep(&self.deps, row.workspace).await?;
        Ok(true)
    }

    async fn mend_disconnected(&self, workspace: WorkspaceId) -> Result<bool, Unmended> {
        let row = self.deps.store.connection(workspace).await?;
        let over = row.is_some_and(|row| row.state == ConnectionState::Disconnected);
        if over {
            self.wake(workspace).await?;
        }
        Ok(over)
    }

    /// `may_wake` is false when this sweep has woken the `Connection` already.
    async fn mend_run(
        &self,
        row: Result<SweptRun, StoreError>,
        may_wake: bool,
    ) -> Result<Mended, Unmended> {
        let row = row?;
        match row.state {
            RunState::Running if self.start_backfill(&row).await? => Ok(Mended::Started),
            RunState::Queued | RunState::Paused if may_wake => {
                self.wake(row.workspace).await?;
                Ok(Mended::Woken)
            }
            _ => Ok(Mended::Nothing),
        }
    }
}

/// What a row needed.
enum Mended {
    Nothing,
    Started,
    Woken,
}

/// Why a row was not mended. The others are.
enum Unmended {
    Store(StoreError),
    Temporal(&'static str),
}

impl From<schedules::Unkept> for Unmended {
    fn from(error: schedules::Unkept) -> Self {
        match error {
            schedules::Unkept::Store(error) => Self::Store(error),
            _ => Self::Temporal("a schedule could not be kept"),
        }
    }
}

impl From<StoreError> for Unmended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Unmended {
    /// Says it in the log; one failure, for the report.
    fn told(&self, workspace: WorkspaceId) -> u32 {
        match self {
            Self::Store(error) => {
                tracing::warn!(code = error.code(), workspace = %workspace, error = %error, "a row was not mended");
            }
            Self::Temporal(what) => {
                tracing::warn!(code = "HS-5007", workspace = %workspace, what, "a row was not mended");
            }
        }
        1
    }
}

#[activities]
impl Sweeping {
    #[activity(definition = declared::SweepOnce)]
    pub async fn sweep_once(
        self: Arc<Self>,
        _ctx: ActivityContext,
    ) -> Result<SweepReport, ActivityError> {
        // Not counted as work in flight: it would make an idle look of what is stuck.
        let report = self.sweep().await?;
        self.apply_retention_if_due().await;
        Ok(report)
    }
}
