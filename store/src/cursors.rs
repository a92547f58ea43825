//! Cursors: where each reader of a run is. The place to resume is here and nowhere else.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, PortalId, Progress, ReadPlan, SyncRunId, SyncType, WorkspaceId};

use crate::{Store, StoreError};

/// A reader that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewCursor {
    /// Of which run.
    pub run: SyncRunId,
    /// What it reads.
    pub sync_type: SyncType,
    /// With which reader.
    pub plan: ReadPlan,
    /// Records to expect, when HubSpot said so.
    pub total: Option<u64>,
    /// The highest id that search knows, when asked.
    pub last_id: Option<HubSpotObjectId>,
    /// When the first request was answered, by HubSpot's clock.
    pub read_began_at: DateTime<Utc>,
}

/// A reader as it stands; of a type that is read by ranges, the sum over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorRow {
    /// With which reader.
    pub plan: ReadPlan,
    /// The place to go on from, in the reader's own form; none at the beginning.
    pub position: Option<String>,
    /// What the next page has to compare and set.
    pub version: i64,
    /// How far it is.
    pub done: u64,
    /// Records to expect.
    pub total: Option<u64>,
    /// Records quarantined by this reader.
    pub quarantined: u64,
    /// Whether it reached the end.
    pub finished: bool,
    /// Whether it was left out, because a scope is missing.
    pub skipped: bool,
    /// When it began, by our clock.
    pub began_at: DateTime<Utc>,
    /// The highest id that search knew then.
    pub last_id: Option<HubSpotObjectId>,
    /// Whether its list endpoint turned out not to go by id, so that one reader walks alone.
    pub alone: bool,
}

impl CursorRow {
    /// The same as progress.
    pub const fn progress(&self, object_type: SyncType) -> Progress {
        Progress {
            object_type,
            done: self.done,
            total: self.total,
            quarantined: self.quarantined,
            finished: self.finished,
        }
    }
}

/// A reader with its times, for a status.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeStatus {
    /// How far it is.
    pub progress: Progress,
    /// When it began, by our clock.
    pub began_at: DateTime<Utc>,
    /// When it last committed.
    pub last_commit_at: Option<DateTime<Utc>>,
    /// Whether it was left out, because a scope is missing.
    pub skipped: bool,
}

pub(crate) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Store {
    /// Begins a reader, unless it has begun. Says how it stands.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_cursor(
        &self,
        new: &NewCursor,
        now: DateTime<Utc>,
    ) -> Result<CursorRow, StoreError> {
        let since = match new.plan {
            ReadPlan::List => None,
            ReadPlan::ModifiedSince { since } => Some(since),
        };
        sqlx::query!(
            "insert into sync_cursor (run_id, sync_type, since, total, began_at, read_began_at, last_id)
             values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
            new.run.as_uuid(),
            new.sync_type.as_str(),
            since,
            new.total.map(signed),
            now,
            new.read_began_at,
            new.last_id.map(|id| id.get())
        )
        .execute(&self.pool)
        .await?;
        self.cursor(new.run, new.sync_type)
            .await?
            .ok_or(StoreError::NotFound("cursor"))
    }

    /// A reader, if it has begun.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cursor(
        &self,
        run: SyncRunId,
        sync_type: SyncType,
    ) -> Result<Option<CursorRow>, StoreError> {
        let row = sqlx::query!(
            "select c.since, c.position, c.version, c.total, c.finished, c.skipped, c.began_at, c.last_id, c.alone,
               c.done + (select coalesce(sum(r.done), 0)::bigint from sync_range r
                 where r.run_id = c.run_id and r.sync_type = c.sync_type) as \"done!\",
               c.quarantined + (select coalesce(sum(r.quarantined), 0)::bigint from sync_range r
                 where r.run_id = c.run_id and r.sync_type = c.sync_type) as \"quarantined!\"
             from sync_cursor c where c.run_id = $1 and c.sync_type = $2",
            run.as_uuid(),
            sync_type.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(CursorRow {
                plan: ReadPlan::from_bound(row.since),
                position: row.position,
                version: row.version,
                done: count(row.done),
                total: row.total.map(count),
                quarantined: count(row.quarantined),
                finished: row.finished,
                skipped: row.skipped,
                began_at: row.began_at,
                last_id: row
                    .last_id
                    .map(HubSpotObjectId::new)
                    .transpose()
                    .map_err(|_| StoreError::Corrupt("last id of a cursor"))?,
                alone: row.alone,
            })
        })
        .transpose()
    }

    /// Leaves a type out of a run, because a scope is missing (C2).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn skip_type(
        &self,
        run: SyncRunId,
        sync_type: SyncType,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into sync_cursor (run_id, sync_type, began_at, read_began_at, finished, skipped)
             values ($1, $2, $3, $3, true, true)
             on conflict (run_id, sync_type) do update set finished = true, skipped = true",
            run.as_uuid(),
            sync_type.as_str(),
            now
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// All readers of a run that have begun.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_status(&self, run: SyncRunId) -> Result<Vec<TypeStatus>, StoreError> {
        let rows = sqlx::query!(
            "select c.sync_type, c.total, c.finished, c.skipped, c.began_at,
               c.done + coalesce(r.done, 0) as \"done!\",
               c.quarantined + coalesce(r.quarantined, 0) as \"quarantined!\",
               greatest(c.last_commit_at, r.last_commit_at) as last_commit_at
             from sync_cursor c left join lateral (
               select sum(done)::bigint as done, sum(quarantined)::bigint as quarantined,
                 max(last_commit_at) as last_commit_at
               from sync_range r where r.run_id = c.run_id and r.sync_type = c.sync_type) r on true
             where c.run_id = $1",
            run.as_uuid()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(TypeStatus {
                    progress: Progress {
                        object_type: SyncType::from_str(&row.sync_type)
                            .map_err(|_| StoreError::Corrupt("type of a cursor"))?,
                        done: count(row.done),
                        total: row.total.map(count),
                        quarantined: count(row.quarantined),
                        finished: row.finished,
                    },
                    began_at: row.began_at,
                    last_commit_at: row.last_commit_at,
                    skipped: row.skipped,
                })
            })
            .collect()
    }

    /// When the last finished read of a type had begun, by HubSpot's clock.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_read_began(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        sync_type: SyncType,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let row = sqlx::query!(
            "select read_began_at from last_read
             where workspace_id = $1 and portal_id = $2 and sync_type = $3",
            workspace.as_uuid(),
            portal.get(),
            sync_type.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| row.read_began_at))
    }
}
