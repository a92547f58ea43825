//! What `Sweep` compares with what runs, in pages, each row by itself: one that cannot be read stops
//! no other.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{ConnectionState, Epoch, PortalId, SyncRunId, WorkspaceId};
use uuid::Uuid;

use crate::{
    RunState, Store, StoreError,
    connections::{portal_of, state_of},
};

/// A connection whose `Connection` workflow ought to run, and what it ought to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweptConnection {
    pub workspace: WorkspaceId,
    pub portal: PortalId,
    pub state: ConnectionState,
    pub epoch: Epoch,
    /// Whether the row is as old as was asked for: a younger one is left to its own signal.
    pub settled: bool,
}

/// The run of a connected workspace that is to be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweptRun {
    pub workspace: WorkspaceId,
    pub run: SyncRunId,
    /// Where it stands.
    pub state: RunState,
    /// When it began to be read.
    pub begun_at: Option<DateTime<Utc>>,
    /// The epoch of the connection.
    pub epoch: Epoch,
}

/// A row of a page: the workspace is known even where the rest cannot be read.
#[derive(Debug)]
pub struct Swept<T> {
    pub workspace: WorkspaceId,
    pub row: Result<T, StoreError>,
}

impl Swept<PortalId> {
    pub(crate) fn with_portal(workspace: Uuid, portal: i64) -> Self {
        Self {
            workspace: WorkspaceId::new(workspace),
            row: portal_of(portal),
        }
    }
}

impl Store {
    /// Connections that are not disconnected, in pages by workspace. `settled_for` is how old a
    /// change has to be to count as settled.
    pub async fn connections_to_sweep(
        &self,
        after: Option<WorkspaceId>,
        settled_for: TimeDelta,
        limit: u32,
    ) -> Result<Vec<Swept<SweptConnection>>, StoreError> {
        let rows = sqlx::query!(
            "select workspace_id, portal_id, state, epoch,
                    changed_at < now() - make_interval(secs => $3) as \"settled!\"
             from connection
             where state <> 'disconnected' and ($1::uuid is null or workspace_id > $1)
             order by workspace_id limit $2",
            after.map(|w| w.as_uuid()),
            i64::from(limit),
            settled_for.as_seconds_f64()
        )
        .fetch_all(&self.control)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let workspace = WorkspaceId::new(row.workspace_id);
                let read = || {
                    Ok(SweptConnection {
                        workspace,
                        portal: portal_of(row.portal_id)?,
                        state: state_of(&row.state)?,
                        epoch: Epoch::new(row.epoch),
                        settled: row.settled,
                    })
                };
                Swept {
                    workspace,
                    row: read(),
                }
            })
            .collect())
    }

    /// For each connected workspace the run that is to be read now, unless it was asked for or begun
    /// within `settled_for`; in pages by workspace.
    pub async fn runs_to_sweep(
        &self,
        after: Option<WorkspaceId>,
        settled_for: TimeDelta,
        limit: u32,
    ) -> Result<Vec<Swept<SweptRun>>, StoreError> {
        let rows = sqlx::query!(
            "select workspace_id, id, state, begun_at, epoch from (
               select distinct on (r.workspace_id)
                 r.workspace_id, r.id, r.state, r.requested_at, r.begun_at, c.epoch
               from sync_run r join connection c
                 on c.workspace_id = r.workspace_id and c.portal_id = r.portal_id
                and c.state = 'connected'
               where r.state in ('queued', 'running', 'paused')
                 and ($1::uuid is null or r.workspace_id > $1)
               order by r.workspace_id, (r.state = 'running') desc, r.requested_at) next
             where requested_at < now() - make_interval(secs => $3)
               and (state <> 'running'
                 or coalesce(begun_at, requested_at) < now() - make_interval(secs => $3))
             order by workspace_id limit $2",
            after.map(|w| w.as_uuid()),
            i64::from(limit),
            settled_for.as_seconds_f64()
        )
        .fetch_all(&self.control)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let workspace = WorkspaceId::new(row.workspace_id);
                Swept {
                    workspace,
                    row: RunState::parse(&row.state).map(|state| SweptRun {
                        workspace,
                        run: SyncRunId::new(row.id),
                        state,
                        begun_at: row.begun_at,
                        epoch: Epoch::new(row.epoch),
                    }),
                }
            })
            .collect())
    }

    /// Removes runs that ended more than `older_than` ago, but never the newest `keep` of a
    /// workspace, and none that a place of reading still refers to. Says how many.
    pub async fn prune_runs(
        &self,
        older_than: TimeDelta,
        keep: u32,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let pruned = sqlx::query!(
            "delete from sync_run where id in (
               select r.id from sync_run r
               where r.state in ('finished', 'cancelled')
                 and r.finished_at < now() - make_interval(secs => $1)
                 and (select count(*) from sync_run newer
                      where newer.workspace_id = r.workspace_id
                        and newer.requested_at > r.requested_at) >= $2
                 and not exists (select 1 from sync_cursor c where c.run_id = r.id)
               order by r.finished_at limit $3)",
            older_than.as_seconds_f64(),
            i64::from(keep),
            i64::from(limit)
        )
        .execute(&self.control)
        .await?;
        Ok(pruned.rows_affected())
    }
}
