//! Connections, schedules, runs, purges and reconciliations that lost their workflow or their signal.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use chrono::SecondsFormat;
use domain::{
    ConnectionPhase, ConnectionState, Epoch, PortalId, Urgency, WorkspaceId,
    sweep::{ShownConnection, restart_backfill_after},
};
use futures::{StreamExt as _, join};
use store::{RunState, StoreError, Swept, SweptConnection, SweptRun};
use temporalio_client::{WorkflowIdConflictPolicy, WorkflowListOptions, WorkflowStartOptions};
use workflows::{
    Backfill, Connection,
    backfill::BackfillInput,
    connection::{Carried, ConnectionInput},
    names::{self, TaskQueue},
};

use super::{Did, GRACE, PAGE, Sweeping, Tally, Unmended};
use crate::{purge, reconcile, schedules, slices::started};

/// Ended backfills of one run that are counted; beyond, the wait between two starts is the longest.
const ENDS_LOOKED_AT: usize = 12;

/// What runs, as those see it who list it.
struct Seen {
    connections: BTreeMap<String, ShownConnection>,
    backfills: BTreeMap<String, ShownConnection>,
    /// None where they could not be listed.
    schedules: Option<BTreeMap<WorkspaceId, schedules::Shown>>,
}

impl Sweeping {
    /// Connections, their schedules, and runs.
    pub(super) async fn mend(&self, tally: &Tally) -> Result<(), Unmended> {
        let (connections, backfills, schedules) = join!(
            self.running("Connection"),
            self.running("Backfill"),
            schedules::shown(&self.deps.temporal),
        );
        let mut seen = Seen {
            connections: connections?,
            backfills: backfills?,
            schedules: schedules
                .map(|listed| listed.into_iter().collect())
                .map_err(|error| tally.part(&error.into()))
                .ok(),
        };
        let woken = self.mend_connections(tally, &mut seen).await?;
        self.mend_runs(tally, &seen, &woken).await
    }

    /// Each row by itself; says which connections were woken.
    async fn mend_connections(
        &self,
        tally: &Tally,
        seen: &mut Seen,
    ) -> Result<BTreeSet<WorkspaceId>, Unmended> {
        let store = &self.deps.store;
        let mut woken = BTreeSet::new();
        let mut after = None;
        loop {
            let rows = store.connections_to_sweep(after, GRACE, PAGE).await?;
            let Some(last) = rows.last() else {
                break;
            };
            after = Some(last.workspace);
            let (mut scheduled, mut connected) = (Vec::new(), Vec::new());
            for Swept { workspace, row } in rows {
                if let (Some(shown), Ok(row)) = (&mut seen.schedules, &row) {
                    scheduled.push((*row, shown.remove(&workspace)));
                }
                let shown = seen.connections.remove(&names::connection_id(workspace));
                connected.push((workspace, row, shown));
            }
            tally
                .each(scheduled, async |(row, shown)| {
                    (row.workspace, self.mend_schedule(&row, shown).await)
                })
                .await;
            let did = tally
                .each(connected, async |(workspace, row, shown)| {
                    (workspace, self.mend_connection(row, shown).await)
                })
                .await;
            woken.extend(
                did.into_iter()
                    .filter(|(_, did)| *did == Did::WokeConnection)
                    .map(|(workspace, _)| workspace),
            );
        }
        // Workflows without such a row: it is disconnected, and they have not heard of it.
        let deaf = std::mem::take(&mut seen.connections).into_keys();
        let deaf = deaf.filter_map(|id| names::workspace_of_connection(&id));
        tally
            .each(deaf, async |workspace| {
                (workspace, self.mend_disconnected(workspace).await)
            })
            .await;
        // Schedules of workspaces without such a row are left over.
        let left_over = seen.schedules.take().into_iter().flatten();
        tally
            .each(left_over, async |(workspace, _)| {
                let kept = schedules::keep(&self.deps, workspace).await;
                (
                    workspace,
                    kept.map(|_| Did::MendedSchedule).map_err(Unmended::from),
                )
            })
            .await;
        Ok(woken)
    }

    /// `woken` were woken by this sweep already.
    async fn mend_runs(
        &self,
        tally: &Tally,
        seen: &Seen,
        woken: &BTreeSet<WorkspaceId>,
    ) -> Result<(), Unmended> {
        tally
            .pages(
                |after| self.deps.store.runs_to_sweep(after, GRACE, PAGE),
                async |Swept { workspace, row }| {
                    let runs = seen.backfills.contains_key(&names::backfill_id(workspace));
                    let did = if runs {
                        Ok(Did::Nothing)
                    } else {
                        self.mend_run(row, !woken.contains(&workspace)).await
                    };
                    (workspace, did)
                },
            )
            .await
    }

    pub(super) async fn start_purges(&self, tally: &Tally) -> Result<(), Unmended> {
        let mut after = None;
        loop {
            let purges = self.deps.store.purges_after(after, PAGE).await?;
            let Some(last) = purges.last() else {
                return Ok(());
            };
            after = Some(*last);
            tally
                .each(purges, async |workspace| {
                    let started = purge::start(&self.deps, workspace).await;
                    let did = started
                        .map(|done| Did::StartedPurge.so(done))
                        .map_err(|_| Unmended::Temporal("a purge could not be started"));
                    (workspace, did)
                })
                .await;
        }
    }

    pub(super) async fn start_reconciles(&self, tally: &Tally) -> Result<(), Unmended> {
        tally
            .pages(
                |after| self.deps.store.reconciles_due(after, PAGE),
                async |Swept { workspace, row }| {
                    (workspace, self.mend_reconcile(workspace, row).await)
                },
            )
            .await
    }

    async fn mend_reconcile(
        &self,
        workspace: WorkspaceId,
        portal: Result<PortalId, StoreError>,
    ) -> Result<Did, Unmended> {
        reconcile::start(&self.deps, workspace, portal?)
            .await
            .map(|done| Did::StartedReconcile.so(done))
            .map_err(|_| Unmended::Temporal("a reconciliation could not be started"))
    }

    /// What runs, by visibility. It lags a little: what was started a moment ago may be missing, and
    /// starting it again is refused by its id.
    async fn running(
        &self,
        workflow_type: &str,
    ) -> Result<BTreeMap<String, ShownConnection>, Unmended> {
        let query = format!("WorkflowType = '{workflow_type}' AND ExecutionStatus = 'Running'");
        let mut listed = self
            .deps
            .temporal
            .list_workflows(query, WorkflowListOptions::default());
        let mut running = BTreeMap::new();
        while let Some(workflow) = listed.next().await {
            let workflow =
                workflow.map_err(|_| Unmended::Temporal("workflows could not be listed"))?;
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

    pub(super) async fn wake(&self, workspace: WorkspaceId) -> Result<(), Unmended> {
        self.deps
            .temporal
            .get_workflow_handle::<Connection>(names::connection_id(workspace))
            .signal(Connection::settings_changed, (), Default::default())
            .await
            .map_err(|_| Unmended::Temporal("a connection could not be woken"))
    }

    async fn mend_connection(
        &self,
        row: Result<SweptConnection, StoreError>,
        shown: Option<ShownConnection>,
    ) -> Result<Did, Unmended> {
        let row = row?;
        match shown {
            None if self.start_connection(&row).await? => Ok(Did::StartedConnection),
            Some(shown) if row.settled && !shown.knows(row.state, row.epoch) => {
                self.wake(row.workspace).await?;
                Ok(Did::WokeConnection)
            }
            _ => Ok(Did::Nothing),
        }
    }

    /// A schedule that is lost, or that somebody paused, starts nothing, and nothing else would say so.
    /// A change of the connection that is young is left to its own turn.
    async fn mend_schedule(
        &self,
        row: &SweptConnection,
        shown: Option<schedules::Shown>,
    ) -> Result<Did, Unmended> {
        let as_wanted = match row.state {
            ConnectionState::Connected => shown.is_some_and(|s| !s.paused),
            ConnectionState::NeedsReconnect => shown.is_none_or(|s| s.paused),
            // Its `Connection` takes it down.
            ConnectionState::Disconnecting | ConnectionState::Disconnected => true,
        };
        if as_wanted || !row.settled {
            return Ok(Did::Nothing);
        }
        schedules::keep(&self.deps, row.workspace).await?;
        Ok(Did::MendedSchedule)
    }

    async fn mend_disconnected(&self, workspace: WorkspaceId) -> Result<Did, Unmended> {
        let row = self.deps.store.connection(workspace).await?;
        let over = row.is_some_and(|row| row.state == ConnectionState::Disconnected);
        if over {
            self.wake(workspace).await?;
        }
        Ok(Did::WokeConnection.so(over))
    }

    /// `may_wake` is false when this sweep has woken the `Connection` already.
    async fn mend_run(
        &self,
        row: Result<SweptRun, StoreError>,
        may_wake: bool,
    ) -> Result<Did, Unmended> {
        let row = row?;
        match row.state {
            RunState::Running if self.start_backfill(&row).await? => Ok(Did::StartedBackfill),
            RunState::Queued | RunState::Paused if may_wake => {
                self.wake(row.workspace).await?;
                Ok(Did::WokeConnection)
            }
            _ => Ok(Did::Nothing),
        }
    }
}
