//! Idempotency keys of HTTP calls: a repeated call gets the answer of the first one.

use chrono::{DateTime, TimeDelta, Utc};
use domain::WorkspaceId;

use crate::{Store, StoreError};

/// How long a key is remembered.
const REMEMBERED: TimeDelta = TimeDelta::hours(24);
/// A call without an answer after so long has died; the same call may try again.
const DEAD_AFTER: TimeDelta = TimeDelta::seconds(60);

/// A call that carries a key.
#[derive(Debug, Clone, Copy)]
pub struct KeyedCall<'a> {
    /// Keys of two workspaces never meet.
    pub workspace: WorkspaceId,
    /// The caller's key.
    pub key: &'a str,
    /// Tells whether it is the same call.
    pub request_hash: [u8; 32],
}

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    pub status: u16,
    /// The media type of the body.
    pub content_type: String,
    pub body: Vec<u8>,
}

/// What a key says about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallBegun {
    /// To be done now: go on, and finish or give up afterwards.
    New {
        /// When this call first began. Another moment than now when an earlier attempt died before
        /// its answer was kept: what it made is made again under the same ids, derived from this.
        first_at: DateTime<Utc>,
    },
    /// Done before, with this answer.
    Answered(KeptAnswer),
    /// The same call is under way elsewhere.
    UnderWay,
    /// The key belongs to another call.
    OtherCall,
}

impl Store {
    /// Begins a call with a key. Of many equal calls at once exactly one is new.
    pub async fn begin_call(
        &self,
        call: KeyedCall<'_>,
        now: DateTime<Utc>,
    ) -> Result<CallBegun, StoreError> {
        let begun = sqlx::query!(
            "insert into idempotency_key as k
               (workspace_id, idempotency_key, request_hash, created_at, taken_at, expires_at)
             values ($1, $2, $3, $4, $4, $5)
             on conflict (workspace_id, idempotency_key) do update set
               request_hash = excluded.request_hash, status = null, content_type = null, answer = null,
               created_at = case when k.expires_at <= excluded.taken_at then excluded.created_at
                 else k.created_at end,
               taken_at = excluded.taken_at, expires_at = excluded.expires_at
             where k.expires_at <= excluded.taken_at
                or (k.status is null and k.request_hash = excluded.request_hash
                  and coalesce(k.taken_at, k.created_at) < $6)
             returning created_at",
            call.workspace.as_uuid(),
            call.key,
            &call.request_hash[..],
            now,
            now + REMEMBERED,
            now - DEAD_AFTER
        )
        .fetch_optional(&self.pool)
        .await?;
        if let Some(row) = begun {
            return Ok(CallBegun::New {
                first_at: row.created_at,
            });
        }
        let row = sqlx::query!(
            "select request_hash, status, content_type, answer from idempotency_key
             where workspace_id = $1 and idempotency_key = $2",
            call.workspace.as_uuid(),
            call.key
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(match row {
            Some(row) if row.request_hash != call.request_hash => CallBegun::OtherCall,
            Some(row) => match (row.status, row.content_type, row.answer) {
                (Some(status), Some(content_type), Some(body)) => CallBegun::Answered(KeptAnswer {
                    status: u16::try_from(status)
                        .map_err(|_| StoreError::Corrupt("status of an answer"))?,
                    content_type,
                    body,
                }),
                _ => CallBegun::UnderWay,
            },
            // Given up between the two statements.
            None => CallBegun::UnderWay,
        })
    }

    /// Keeps the answer of a call that began as new, and forgets two that are over: at any rate of
    /// calls more keys go than come.
    pub async fn finish_call(
        &self,
        call: KeyedCall<'_>,
        answer: &KeptAnswer,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "with over as (
               delete from idempotency_key where ctid = any(array(
                 select ctid from idempotency_key where expires_at <= $7
                 order by expires_at limit 2 for update skip locked)))
             update idempotency_key set status = $4, content_type = $5, answer = $6
             where workspace_id = $1 and idempotency_key = $2 and request_hash = $3 and expires_at > $7",
            call.workspace.as_uuid(),
            call.key,
            &call.request_hash[..],
            i16::try_from(answer.status).map_err(|_| StoreError::Corrupt("status of an answer"))?,
            answer.content_type,
            answer.body,
            now
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets a call that began as new and did nothing, so that it may be sent again.
    pub async fn give_up_call(&self, call: KeyedCall<'_>) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from idempotency_key
             where workspace_id = $1 and idempotency_key = $2 and request_hash = $3 and status is null",
            call.workspace.as_uuid(),
            call.key,
            &call.request_hash[..]
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
