//! The activity of `Sweep`. What it promises is said at its declaration.
#![allow(
    missing_docs,
    reason = "the macros make constants without the documentation of the functions"
)]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use domain::{ConnectionPhase, Urgency, settings::RetentionSettings};
use futures::StreamExt as _;
use store::{ConnectionRow, RunState, StoreError, SweepRow};
use temporalio_client::{
    WorkflowIdConflictPolicy, WorkflowListOptions, WorkflowStartOptions, errors::WorkflowStartError,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::{
    Backfill, Connection,
    activities::{SweepReport, declared},
    backfill::BackfillInput,
    connection::{Carried, ConnectionInput},
    names::{self, TaskQueue},
};

use crate::{Deps, failure, purge};

/// How often what is kept for a while only is looked at (C7).
const RETENTION_EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows that one statement removes.
const RETENTION_BATCH: u32 = 10_000;
/// Statements of one look for each workspace; the rest goes at the next.
const RETENTION_ROUNDS: u32 = 20;
/// Rows younger than this are left to their own signal.
const GRACE: TimeDelta = TimeDelta::seconds(10);
const PAGE: u32 = 500;

/// The activity of `Sweep`.
pub struct Sweeping {
    deps: Arc<Deps>,
    /// When this process last saw to retention.
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
    async fn see_to_retention(&self) {
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

    /// Ids of what runs, by visibility. It lags a little: what was started a moment ago may be
    /// missing, and starting it again is refused by its id.
    async fn running(&self, workflow_type: &str) -> Result<BTreeSet<String>, ActivityError> {
        let query = format!("WorkflowType = '{workflow_type}' AND ExecutionStatus = 'Running'");
        let mut listed = self
            .deps
            .temporal
            .list_workflows(query, WorkflowListOptions::default());
        let mut ids = BTreeSet::new();
        while let Some(workflow) = listed.next().await {
            let workflow =
                workflow.map_err(|_| failure::of_temporal("workflows could not be listed"))?;
            ids.insert(workflow.id().to_owned());
        }
        Ok(ids)
    }

    async fn start_connection(&self, row: &ConnectionRow) -> Result<bool, ActivityError> {
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
        match self
            .deps
            .temporal
            .start_workflow(Connection::run, input, options)
            .await
        {
            Ok(_) => Ok(true),
            Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(false),
            Err(_) => Err(failure::of_temporal("a connection could not be started")),
        }
    }

    async fn start_backfill(&self, row: &SweepRow) -> Result<bool, ActivityError> {
        let run = &row.run;
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
            types: run.types.clone(),
            progress: Vec::new(),
        };
        match self
            .deps
            .temporal
            .start_workflow(Backfill::run, input, options)
            .await
        {
            Ok(_) => Ok(true),
            Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(false),
            Err(_) => Err(failure::of_temporal("a backfill could not be started")),
        }
    }

    async fn wake(&self, row: &SweepRow) -> Result<(), ActivityError> {
        self.deps
            .temporal
            .get_workflow_handle::<Connection>(names::connection_id(row.run.workspace))
            .signal(Connection::settings_changed, (), Default::default())
            .await
            .map_err(|_| failure::of_temporal("a connection could not be woken"))
    }

    async fn sweep(&self) -> Result<SweepReport, ActivityError> {
        let mut report = SweepReport::default();
        let store = &self.deps.store;
        let connections = self.running("Connection").await?;
        let backfills = self.running("Backfill").await?;
        let mut after = None;
        loop {
            let rows = store
                .connections_that_want_a_workflow(after, PAGE)
                .await
                .map_err(|e| failure::of_store(&e))?;
            let Some(last) = rows.last() else {
                break;
            };
            after = Some(last.workspace);
            for row in &rows {
                if !connections.contains(&names::connection_id(row.workspace))
                    && self.start_connection(row).await?
                {
                    report.connections_started += 1;
                }
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
                if purge::start(&self.deps, workspace).await? {
                    report.purges_started += 1;
                }
            }
        }
        let rows = store
            .runs_for_sweep(Utc::now() - GRACE, PAGE)
            .await
            .map_err(|e| failure::of_store(&e))?;
        let mut woken = BTreeSet::new();
        for row in &rows {
            if backfills.contains(&names::backfill_id(row.run.workspace)) {
                continue;
            }
            match row.run.state {
                RunState::Running => {
                    if self.start_backfill(row).await? {
                        report.backfills_started += 1;
                    }
                }
                RunState::Queued | RunState::Paused => {
                    if woken.insert(row.run.workspace)
                        && connections.contains(&names::connection_id(row.run.workspace))
                    {
                        self.wake(row).await?;
                        report.connections_woken += 1;
                    }
                }
                RunState::Finished | RunState::Cancelled => {}
            }
        }
        Ok(report)
    }
}

#[activities]
impl Sweeping {
    /// See the declaration.
    #[activity(definition = declared::SweepOnce)]
    pub async fn sweep_once(
        self: Arc<Self>,
        _ctx: ActivityContext,
    ) -> Result<SweepReport, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let report = self.sweep().await?;
        self.see_to_retention().await;
        Ok(report)
    }
}
