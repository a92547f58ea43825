//! Runs: rows first, then signals. What is to be read is known here, whatever happens to Temporal.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use domain::{
    Epoch, PortalId, ResyncMode, ResyncOutcome, ResyncRequest, RunKind, SyncRunId, SyncType,
    WorkspaceId,
    resync::{UnfinishedRun, decide},
};

use crate::{
    Store, StoreError,
    connections::{portal_of, state_of},
};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Waits for its turn.
    Queued,
    /// Is being read.
    Running,
    /// Interrupted by a disconnect or a revocation; goes on after reconnecting.
    Paused,
    /// Read to the end.
    Finished,
    /// Given up, because the workspace connected another portal.
    Cancelled,
}

impl RunState {
    const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Paused,
        Self::Finished,
        Self::Cancelled,
    ];

    /// The name in the store and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or(StoreError::Corrupt("state of a run"))
    }
}

/// A run as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Which run.
    pub run: SyncRunId,
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// And portal.
    pub portal: PortalId,
    /// Why it exists.
    pub kind: RunKind,
    /// How much it reads of each type.
    pub mode: ResyncMode,
    /// What it reads.
    pub types: Vec<SyncType>,
    /// Where it stands.
    pub state: RunState,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it began.
    pub begun_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A run that was claimed: it may be read now, in this epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlan {
    /// The run.
    pub run: RunRow,
    /// The epoch of the connection.
    pub epoch: Epoch,
}

/// What came of a resync request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestedResync {
    /// The decision (`domain::resync`).
    pub outcome: ResyncOutcome,
    /// The run that was made, if one was.
    pub run: Option<SyncRunId>,
}

/// A workspace with runs that have not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepRow {
    /// The run.
    pub run: RunRow,
    /// The epoch of its connection.
    pub epoch: Epoch,
}

#[derive(Debug)]
struct RawRun {
    id: uuid::Uuid,
    workspace_id: uuid::Uuid,
    portal_id: i64,
    kind: String,
    mode: String,
    since: Option<DateTime<Utc>>,
    types: Vec<String>,
    state: String,
    requested_at: DateTime<Utc>,
    begun_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<RawRun> for RunRow {
    type Error = StoreError;

    fn try_from(raw: RawRun) -> Result<Self, StoreError> {
        let kind = match raw.kind.as_str() {
            "initial" => RunKind::Initial,
            "resync" => RunKind::Resync,
            _ => return Err(StoreError::Corrupt("kind of a run")),
        };
        let mode = match (raw.mode.as_str(), raw.since) {
            ("catch_up", _) => ResyncMode::CatchUp,
            ("since", Some(since)) => ResyncMode::Since { since },
            ("from_scratch", _) => ResyncMode::FromScratch,
            _ => return Err(StoreError::Corrupt("mode of a run")),
        };
        let types = raw
            .types
            .iter()
            .map(|t| SyncType::from_str(t))
            .collect::<Result<_, _>>()
            .map_err(|_| StoreError::Corrupt("types of a run"))?;
        Ok(Self {
            run: SyncRunId::new(raw.id),
            workspace: WorkspaceId::new(raw.workspace_id),
            portal: portal_of(raw.portal_id)?,
            kind,
            mode,
            types,
            state: RunState::parse(&raw.state)?,
            requested_at: raw.requested_at,
            begun_at: raw.begun_at,
            finished_at: raw.finished_at,
        })
    }
}

const fn mode_columns(mode: ResyncMode) -> (&'static str, Option<DateTime<Utc>>) {
    match mode {
        ResyncMode::CatchUp => ("catch_up", None),
        ResyncMode::Since { since } => ("since", Some(since)),
        ResyncMode::FromScratch => ("from_scratch", None),
    }
}

impl Store {
    /// Writes a resync request down if the rule says so. Asking twice with one id makes one run.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a workspace that never connected; else when the database fails.
    pub async fn request_resync(
        &self,
        workspace: WorkspaceId,
        request: &ResyncRequest,
        new_id: SyncRunId,
        now: DateTime<Utc>,
    ) -> Result<RequestedResync, StoreError> {
        let mut tx = self.pool.begin().await?;
        let connection = sqlx::query!(
            "select portal_id, state from connection where workspace_id = $1 for update",
            workspace.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(StoreError::NotFound("connection"))?;
        let unfinished = sqlx::query_as!(
            RawRun,
            "select id, workspace_id, portal_id, kind, mode, since, types, state, requested_at, begun_at, finished_at
             from sync_run where workspace_id = $1 and portal_id = $2 and state in ('queued', 'running', 'paused')",
            workspace.as_uuid(),
            connection.portal_id
        )
        .fetch_all(&mut *tx)
        .await?;
        let unfinished = unfinished
            .into_iter()
            .map(RunRow::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        if unfinished.iter().any(|run| run.run == new_id) {
            let outcome = if unfinished.len() == 1 {
                ResyncOutcome::Started
            } else {
                ResyncOutcome::Queued
            };
            return Ok(RequestedResync {
                outcome,
                run: Some(new_id),
            });
        }
        let known: Vec<UnfinishedRun> = unfinished
            .into_iter()
            .map(|run| UnfinishedRun {
                types: run.types,
                mode: run.mode,
                begun: run.begun_at.is_some(),
            })
            .collect();
        let outcome = decide(request, state_of(&connection.state)?, &known);
        let run = match outcome {
            ResyncOutcome::Started | ResyncOutcome::Queued => {
                let (mode, since) = mode_columns(request.mode);
                let types: Vec<String> = request
                    .wanted_types()
                    .iter()
                    .map(|t| t.as_str().to_owned())
                    .collect();
                sqlx::query!(
                    "insert into sync_run (id, workspace_id, portal_id, kind, mode, since, types, state, requested_at)
                     values ($1, $2, $3, 'resync', $4, $5, $6, 'queued', $7)
                     on conflict (id) do nothing",
                    new_id.as_uuid(),
                    workspace.as_uuid(),
                    connection.portal_id,
                    mode,
                    since,
                    &types,
                    now
                )
                .execute(&mut *tx)
                .await?;
                Some(new_id)
            }
            ResyncOutcome::AlreadyRunning | ResyncOutcome::NotConnected => None,
        };
        tx.commit().await?;
        Ok(RequestedResync { outcome, run })
    }

    /// The run to read now: the one that runs, else the oldest that waits, which is thereby marked
    /// as running. `None` when nothing waits or the connection is not connected.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_run(
        &self,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<Option<RunPlan>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let Some(connection) = sqlx::query!(
            "select portal_id, epoch from connection
             where workspace_id = $1 and state = 'connected' for update",
            workspace.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?
        else {
            return Ok(None);
        };
        let claimed = sqlx::query_as!(
            RawRun,
            "update sync_run set state = 'running', begun_at = coalesce(begun_at, $3)
             where id = (
               select id from sync_run
               where workspace_id = $1 and portal_id = $2 and state in ('queued', 'running', 'paused')
               order by state = 'running' desc, requested_at limit 1)
             returning id, workspace_id, portal_id, kind, mode, since, types, state, requested_at, begun_at, finished_at",
            workspace.as_uuid(),
            connection.portal_id,
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        claimed
            .map(|raw| {
                Ok(RunPlan {
                    run: raw.try_into()?,
                    epoch: Epoch::new(connection.epoch),
                })
            })
            .transpose()
    }

    /// One run.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run(&self, run: SyncRunId) -> Result<Option<RunRow>, StoreError> {
        sqlx::query_as!(
            RawRun,
            "select id, workspace_id, portal_id, kind, mode, since, types, state, requested_at, begun_at, finished_at
             from sync_run where id = $1",
            run.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?
        .map(RunRow::try_from)
        .transpose()
    }

    /// The run to show: the one under way, else the newest.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_to_show(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Option<RunRow>, StoreError> {
        sqlx::query_as!(
            RawRun,
            "select id, workspace_id, portal_id, kind, mode, since, types, state, requested_at, begun_at, finished_at
             from sync_run where workspace_id = $1 and portal_id = $2
             order by state in ('running', 'paused') desc, requested_at desc limit 1",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_optional(&self.pool)
        .await?
        .map(RunRow::try_from)
        .transpose()
    }

    /// Whether any run of this workspace and portal ever finished.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn any_run_finished(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query!(
            "select exists(select 1 from sync_run
               where workspace_id = $1 and portal_id = $2 and state = 'finished') as \"any!\"",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.any)
    }

    /// Marks a run as finished and remembers, for each type that it read to the end, when that read
    /// had begun; unless it read from a bound on that lies behind the last read: the next catch-up has
    /// to close that gap. Idempotent. A run that is paused or cancelled stays so.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish_run(&self, run: SyncRunId, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let finished = sqlx::query!(
            "update sync_run set state = 'finished', finished_at = $2
             where id = $1 and state = 'running' returning workspace_id, portal_id",
            run.as_uuid(),
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = finished {
            sqlx::query!(
                "insert into last_read (workspace_id, portal_id, sync_type, read_began_at)
                 select $2, $3, sync_type, read_began_at from sync_cursor c
                 where run_id = $1 and finished and not skipped
                   and (since is null or exists (select 1 from last_read l
                     where l.workspace_id = $2 and l.portal_id = $3 and l.sync_type = c.sync_type
                       and l.read_began_at >= c.since))
                 on conflict (workspace_id, portal_id, sync_type) do update
                 set read_began_at = greatest(last_read.read_began_at, excluded.read_began_at)",
                run.as_uuid(),
                row.workspace_id,
                row.portal_id
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Runs of connected workspaces that have not ended and were asked for before `older_than`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs_for_sweep(
        &self,
        older_than: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<SweepRow>, StoreError> {
        let rows = sqlx::query!(
            "select r.id, r.workspace_id, r.portal_id, r.kind, r.mode, r.since, r.types, r.state,
                    r.requested_at, r.begun_at, r.finished_at, c.epoch
             from sync_run r join connection c
               on c.workspace_id = r.workspace_id and c.portal_id = r.portal_id and c.state = 'connected'
             where r.state in ('queued', 'running', 'paused') and r.requested_at < $1
             order by r.requested_at limit $2",
            older_than,
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(SweepRow {
                    epoch: Epoch::new(row.epoch),
                    run: RawRun {
                        id: row.id,
                        workspace_id: row.workspace_id,
                        portal_id: row.portal_id,
                        kind: row.kind,
                        mode: row.mode,
                        since: row.since,
                        types: row.types,
                        state: row.state,
                        requested_at: row.requested_at,
                        begun_at: row.begun_at,
                        finished_at: row.finished_at,
                    }
                    .try_into()?,
                })
            })
            .collect()
    }
}
