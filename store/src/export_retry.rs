//! Requests that go on again: because somebody asks for it, or because the connection is there again
//! (C4, C5, X1).

use chrono::{DateTime, Utc};
use domain::{
    ConnectionState, WorkspaceId,
    api::RetryReason,
    export::{RequestId, RequestOutcome, RequestState},
};
use sqlx::PgConnection;

use crate::{ExportRow, Store, StoreError, connections::state_of, erasure};

/// What came of asking for many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retried {
    /// Requests that go on again.
    pub requests: u64,
    /// Whether more are left, for another call.
    pub more: bool,
}

/// What one page of putting requests right did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requeued {
    /// Requests that go on, as the workspace is connected.
    pub go_on: u64,
    /// Requests that wait, as it is not.
    pub wait: u64,
    /// Whether nothing is left to put right.
    pub done: bool,
}

/// How the workspace is connected, held until the commit.
async fn held_state(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
) -> Result<Option<ConnectionState>, StoreError> {
    sqlx::query!(
        "select state from connection where workspace_id = $1 for share",
        workspace.as_uuid()
    )
    .fetch_optional(tx)
    .await?
    .map(|row| state_of(&row.state))
    .transpose()
}

impl Store {
    /// Lets a request that failed, was left out or waits go on now, as if it was new; one that goes on
    /// already or was exported stays as it is, and so does one about somebody who is not known or was
    /// erased. None: there is no request of this id.
    ///
    /// # Errors
    /// When the database fails; [`StoreError::NotFound`] for a workspace that is not known.
    pub async fn retry_export(
        &self,
        workspace: WorkspaceId,
        request: RequestId,
        now: DateTime<Utc>,
    ) -> Result<Option<ExportRow>, StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        erasure::must_exist(&mut tx, workspace).await?;
        let outcome = RequestOutcome::to_go_on(held_state(&mut tx, workspace).await?);
        sqlx::query!(
            "update export_request r set state = $3, reason = $4, due_at = $5, attempts = 0, error_code = null,
               properties = null, changed_at = $6
             where r.workspace_id = $1 and r.id = $2 and r.state in ('failed', 'skipped', 'waiting')
               and (r.state, r.reason) is distinct from ($3, $4)
               and exists (select 1 from app_person p
                 where p.workspace_id = $1 and p.person_id = r.person_id offset 0)",
            workspace.as_uuid(),
            request.as_uuid(),
            outcome.state().as_str(),
            outcome.reason(),
            (outcome == RequestOutcome::Accepted).then_some(now),
            now
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.export_request(workspace, request).await
    }

    /// The same for `limit` requests at most: those that failed, or those with this reason.
    ///
    /// # Errors
    /// When the database fails; [`StoreError::NotFound`] for a workspace that is not known.
    pub async fn retry_exports(
        &self,
        workspace: WorkspaceId,
        reason: Option<RetryReason>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Retried, StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        erasure::must_exist(&mut tx, workspace).await?;
        let outcome = RequestOutcome::to_go_on(held_state(&mut tx, workspace).await?);
        let from = reason.map_or(RequestState::Failed, |reason| reason.state());
        let picked = sqlx::query_scalar!(
            "select r.id from export_request r
             where r.workspace_id = $1 and r.state = $2 and ($3::text is null or r.reason = $3)
               and (r.state, r.reason) is distinct from ($4, $5)
               and exists (select 1 from app_person p
                 where p.workspace_id = $1 and p.person_id = r.person_id offset 0)
             limit $6 for update of r skip locked",
            workspace.as_uuid(),
            from.as_str(),
            reason.map(|reason| reason.as_str()),
            outcome.state().as_str(),
            outcome.reason(),
            i64::from(limit) + 1
        )
        .fetch_all(&mut *tx)
        .await?;
        let more = picked.len() > limit as usize;
        let some = &picked[..picked.len().min(limit as usize)];
        let done = sqlx::query!(
            "update export_request set state = $3, reason = $4, due_at = $5, attempts = 0, error_code = null,
               properties = null, changed_at = $6
             where workspace_id = $1 and id = any($2)",
            workspace.as_uuid(),
            some,
            outcome.state().as_str(),
            outcome.reason(),
            (outcome == RequestOutcome::Accepted).then_some(now),
            now
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Retried {
            requests: done.rows_affected(),
            more,
        })
    }

    /// Puts requests right that wait for a connection that is there again, and those that go on without
    /// one: `limit` of each at most. A request that the next page would find again is not left behind.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn requeue_exports(
        &self,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Requeued, StoreError> {
        let go_on = sqlx::query!(
            "with picked as (
               select r.id, r.workspace_id from connection c
               cross join unnest(array['not_connected', 'needs_reconnect']) as w (reason)
               cross join lateral (
                 select r.id, r.workspace_id from export_request r
                 where r.workspace_id = c.workspace_id and r.state = 'waiting' and r.reason = w.reason
                   and r.due_at is null
                 limit $1 for update skip locked) r
               where c.state = 'connected' limit $1)
             update export_request r set state = 'accepted', reason = null, due_at = $2, changed_at = $2
             from picked where r.id = picked.id",
            i64::from(limit),
            now
        )
        .execute(&self.pool)
        .await?
        .rows_affected();
        let wait = sqlx::query!(
            "with picked as (
               select r.id, c.state from connection c
               cross join lateral (
                 select r.id from export_request r
                 where r.workspace_id = c.workspace_id and r.state = 'accepted'
                 limit $1 for update skip locked) r
               where c.state <> 'connected' limit $1)
             update export_request r set state = 'waiting', due_at = null, changed_at = $2,
               reason = case when picked.state = 'needs_reconnect' then 'needs_reconnect' else 'not_connected' end
             from picked where r.id = picked.id",
            i64::from(limit),
            now
        )
        .execute(&self.pool)
        .await?
        .rows_affected();
        Ok(Requeued {
            go_on,
            wait,
            done: go_on < u64::from(limit) && wait < u64::from(limit),
        })
    }
}
