//! Ranges: how the readers of one big object type share its ids. Each has a place of its own.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, IdRange, ObjectType, PortalId, RangeNo, RangeReader, SyncRunId, SyncType,
    WorkspaceId, ranges::SplitAt,
};
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{
    CommitPage, Store, StoreError,
    cursors::{count, signed},
    mirror::type_number,
};

/// A range as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeRow {
    /// Which range of its type.
    pub no: RangeNo,
    /// Its ids.
    pub ids: IdRange,
    /// What reads it.
    pub reader: RangeReader,
    /// The place to go on from, as HubSpot gave it; none at the beginning.
    pub position: Option<String>,
    /// What the next page, split or change of readers has to compare and set.
    pub version: i64,
    /// Records in it, when counted.
    pub expected: Option<u64>,
    /// Records that its present reader has passed.
    pub seen: u64,
    /// Whether it is read.
    pub finished: bool,
}

impl RangeRow {
    /// Records that its reader has left, by the last count.
    pub fn left(&self) -> Option<u64> {
        self.expected.map(|all| all.saturating_sub(self.seen))
    }
}

/// What a page does to its range, besides moving the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeStep {
    /// Which range.
    pub no: RangeNo,
    /// Records of the range that the page brought, stored or not.
    pub seen: u64,
    /// What reads the range from its beginning after a page that was the reader's last; none when
    /// the range is read then.
    pub next_reader: Option<RangeReader>,
}

/// The columns of a range.
#[derive(Debug)]
struct RawRange {
    range_no: i32,
    reader: String,
    after_id: Option<i64>,
    upto_id: Option<i64>,
    position: Option<String>,
    version: i64,
    expected: Option<i64>,
    seen: i64,
    finished: bool,
}

fn object_id(id: Option<i64>) -> Result<Option<HubSpotObjectId>, StoreError> {
    id.map(HubSpotObjectId::new)
        .transpose()
        .map_err(|_| StoreError::Corrupt("bound of a range"))
}

const fn number(no: RangeNo) -> i32 {
    no.get().cast_signed()
}

impl TryFrom<RawRange> for RangeRow {
    type Error = StoreError;

    fn try_from(raw: RawRange) -> Result<Self, StoreError> {
        Ok(Self {
            no: RangeNo::new(raw.range_no.cast_unsigned()),
            ids: IdRange::new(object_id(raw.after_id)?, object_id(raw.upto_id)?)
                .ok_or(StoreError::Corrupt("bounds of a range"))?,
            reader: RangeReader::from_str(&raw.reader)
                .map_err(|_| StoreError::Corrupt("reader of a range"))?,
            position: raw.position,
            version: raw.version,
            expected: raw.expected.map(count),
            seen: count(raw.seen),
            finished: raw.finished,
        })
    }
}

/// Moves the place of a range if it stands where the page was read from and the connection is in its
/// epoch. `false` when it does not.
pub(crate) async fn move_range(
    tx: &mut Transaction<'static, Postgres>,
    page: &CommitPage,
    step: &RangeStep,
    read: u64,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query!(
        "update sync_range set version = version + 1, position = $5,
            finished = $6 and $7::text is null,
            reader = case when $6 then coalesce($7, reader) else reader end,
            expected = case when $6 and $7 is not null then seen + $8 else expected end,
            seen = case when $6 and $7 is not null then 0 else seen + $8 end,
            done = done + $9, quarantined = quarantined + $10, last_commit_at = $11
         where run_id = $1 and sync_type = $2 and range_no = $3 and version = $4 and not finished
           and exists (select 1 from connection
             where workspace_id = $12 and epoch = $13 and portal_id = $14 and state = 'connected')
         returning version",
        page.run.as_uuid(),
        page.sync_type.as_str(),
        number(step.no),
        page.expected_version,
        page.position,
        page.finished,
        step.next_reader.map(|r| r.as_str()),
        signed(step.seen),
        signed(read),
        signed(page.quarantine.len() as u64),
        now,
        page.workspace.as_uuid(),
        page.epoch.get(),
        page.portal.get()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(moved.is_some())
}

/// The ranges of a type hold still, and so does their number.
async fn lock_cursor(
    tx: &mut PgConnection,
    run: SyncRunId,
    sync_type: SyncType,
) -> Result<(), StoreError> {
    sqlx::query!(
        "select 1 as one from sync_cursor where run_id = $1 and sync_type = $2 for update",
        run.as_uuid(),
        sync_type.as_str()
    )
    .fetch_optional(tx)
    .await?
    .map(|_| ())
    .ok_or(StoreError::NotFound("cursor"))
}

impl Store {
    /// The ranges of a type, in the order of their numbers. A type that has none gets the first one:
    /// all ids, from where its cursor stands.
    ///
    /// # Errors
    /// When the database fails; [`StoreError::NotFound`] for a type that was not begun.
    pub async fn begin_ranges(
        &self,
        run: SyncRunId,
        sync_type: SyncType,
    ) -> Result<Vec<RangeRow>, StoreError> {
        let ranges = self.ranges(run, sync_type).await?;
        if !ranges.is_empty() {
            return Ok(ranges);
        }
        sqlx::query!(
            "insert into sync_range (run_id, sync_type, range_no, reader, position, expected)
             select run_id, sync_type, 0, 'list', position, greatest(total - done, 0)
             from sync_cursor where run_id = $1 and sync_type = $2
             on conflict do nothing",
            run.as_uuid(),
            sync_type.as_str()
        )
        .execute(&self.pool)
        .await?;
        let ranges = self.ranges(run, sync_type).await?;
        if ranges.is_empty() {
            return Err(StoreError::NotFound("cursor"));
        }
        Ok(ranges)
    }

    /// The ranges of a type, in the order of their numbers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ranges(
        &self,
        run: SyncRunId,
        sync_type: SyncType,
    ) -> Result<Vec<RangeRow>, StoreError> {
        sqlx::query_as!(
            RawRange,
            "select range_no, reader, after_id, upto_id, position, version, expected, seen, finished
             from sync_range where run_id = $1 and sync_type = $2 order by range_no",
            run.as_uuid(),
            sync_type.as_str()
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(RangeRow::try_from)
        .collect()
    }

    /// Gives the upper part of a range to another reader, in one transaction: the lower and the upper
    /// range as they stand then. `None` when the range is no longer as `range` says, or cannot be
    /// split there; nothing was changed then. The caller sees to it that nothing beyond `at` was
    /// committed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn split_range(
        &self,
        run: SyncRunId,
        sync_type: SyncType,
        range: &RangeRow,
        at: SplitAt,
        upper_reader: RangeReader,
    ) -> Result<Option<(RangeRow, RangeRow)>, StoreError> {
        let Some((lower, upper)) = range.ids.split(at.at) else {
            return Ok(None);
        };
        let mut tx = self.pool.begin().await?;
        lock_cursor(&mut tx, run, sync_type).await?;
        let below = sqlx::query_as!(
            RawRange,
            "update sync_range set upto_id = $5, version = version + 1, expected = seen + $6
             where run_id = $1 and sync_type = $2 and range_no = $3 and version = $4 and not finished
             returning range_no, reader, after_id, upto_id, position, version, expected, seen, finished",
            run.as_uuid(),
            sync_type.as_str(),
            number(range.no),
            range.version,
            lower.upto().map(|id| id.get()),
            signed(at.lower)
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(below) = below else {
            return Ok(None);
        };
        let above = sqlx::query_as!(
            RawRange,
            "insert into sync_range (run_id, sync_type, range_no, reader, after_id, upto_id, expected)
             select $1, $2, max(range_no) + 1, $3, $4, $5, $6
             from sync_range where run_id = $1 and sync_type = $2
             returning range_no, reader, after_id, upto_id, position, version, expected, seen, finished",
            run.as_uuid(),
            sync_type.as_str(),
            upper_reader.as_str(),
            upper.after().map(|id| id.get()),
            upper.upto().map(|id| id.get()),
            signed(at.upper)
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Some((below.try_into()?, above.try_into()?)))
    }

    /// Gives a range of which nothing was read to another kind of reader: the range as it stands
    /// then. `None` when it is no longer as `range` says.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn turn_range(
        &self,
        run: SyncRunId,
        sync_type: SyncType,
        range: &RangeRow,
        reader: RangeReader,
    ) -> Result<Option<RangeRow>, StoreError> {
        sqlx::query_as!(
            RawRange,
            "update sync_range set reader = $5, version = version + 1
             where run_id = $1 and sync_type = $2 and range_no = $3 and version = $4
               and position is null and not finished
             returning range_no, reader, after_id, upto_id, position, version, expected, seen, finished",
            run.as_uuid(),
            sync_type.as_str(),
            number(range.no),
            range.version,
            reader.as_str()
        )
        .fetch_optional(&self.pool)
        .await?
        .map(RangeRow::try_from)
        .transpose()
    }

    /// Gives a type to one reader who walks alone from the beginning: for a list endpoint that does
    /// not go by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read_alone(&self, run: SyncRunId, sync_type: SyncType) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "update sync_cursor set alone = true, position = null
             where run_id = $1 and sync_type = $2 and not finished",
            run.as_uuid(),
            sync_type.as_str()
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from sync_range where run_id = $1 and sync_type = $2",
            run.as_uuid(),
            sync_type.as_str()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Marks a type as read if all of its ranges are. Says whether it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish_ranges(
        &self,
        run: SyncRunId,
        sync_type: SyncType,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        lock_cursor(&mut tx, run, sync_type).await?;
        let finished = sqlx::query!(
            "update sync_cursor set finished = true
             where run_id = $1 and sync_type = $2
               and exists (select 1 from sync_range r where r.run_id = $1 and r.sync_type = $2)
               and not exists (select 1 from sync_range r
                 where r.run_id = $1 and r.sync_type = $2 and not r.finished)
             returning 1 as one",
            run.as_uuid(),
            sync_type.as_str()
        )
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(finished.is_some())
    }

    /// Of records that were listed with their last-modified, those that are not in the mirror as new
    /// as that and read since `since`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unread(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
        listed: &[(HubSpotObjectId, DateTime<Utc>)],
        since: DateTime<Utc>,
    ) -> Result<Vec<HubSpotObjectId>, StoreError> {
        let ids: Vec<i64> = listed.iter().map(|(id, _)| id.get()).collect();
        let modified: Vec<DateTime<Utc>> = listed.iter().map(|(_, at)| *at).collect();
        let rows = sqlx::query!(
            "select t.id as \"id!\" from unnest($4::bigint[], $5::timestamptz[]) as t (id, modified)
             where not exists (select 1 from hubspot_object o
               where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = $3 and o.object_id = t.id
                 and o.modified_at >= t.modified and o.read_at >= $6)
             order by t.id",
            workspace.as_uuid(),
            portal.get(),
            type_number(object_type),
            &ids,
            &modified,
            since
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| HubSpotObjectId::new(row.id).map_err(|_| StoreError::Corrupt("record id")))
            .collect()
    }
}
