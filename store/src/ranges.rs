//! Ranges: how the readers of one big object type share its ids. Each has a place of its own.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, IdRange, ObjectType, PortalId, RangeNo, RangeReader, WorkspaceId,
    ranges::SplitAt,
};
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{
    CursorKey, Store, StoreError,
    cursors::{count, reached_the_end, signed},
    mirror::type_number,
    steps::{Counted, Step},
};

/// A range as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeRow {
    /// Which range of its type.
    pub no: RangeNo,
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
    step: &Step,
    range: &RangeStep,
    counted: Counted,
) -> Result<bool, sqlx::Error> {
    let key = step.cursor();
    let moved = sqlx::query!(
        "update sync_range r set version = r.version + 1, position = $8,
            finished = $9 and $10::text is null,
            reader = case when $9 then coalesce($10, reader) else reader end,
            expected = case when $9 and $10 is not null then seen + $11 else expected end,
            seen = case when $9 and $10 is not null then 0 else seen + $11 end,
            done = r.done + $12, quarantined = r.quarantined + $13, last_commit_at = clock_timestamp()
         from sync_cursor c
         where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
           and c.part = $5 and c.run_id is not distinct from $6 and c.outcome = 'reading'
           and r.cursor_id = c.id and r.range_no = $7 and r.version = $14 and not r.finished
           and exists (select 1 from connection
             where workspace_id = $1 and epoch = $15 and portal_id = $2 and state = 'connected')
         returning r.version",
        key.workspace.as_uuid(),
        key.portal.get(),
        key.sync_type.as_str(),
        key.purpose.as_str(),
        key.part(),
        key.run_uuid(),
        number(range.no),
        step.position,
        step.finished,
        range.next_reader.map(|r| r.as_str()),
        signed(range.seen),
        signed(counted.done),
        signed(counted.quarantined),
        step.expected_version,
        step.epoch.get()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(moved.is_some())
}

/// The ranges of a type hold still, and so does their number: the id of the reading.
async fn lock_cursor(tx: &mut PgConnection, key: &CursorKey) -> Result<i64, StoreError> {
    sqlx::query!(
        "select id from sync_cursor
         where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = $4 and part = $5
           and run_id is not distinct from $6
         for update",
        key.workspace.as_uuid(),
        key.portal.get(),
        key.sync_type.as_str(),
        key.purpose.as_str(),
        key.part(),
        key.run_uuid()
    )
    .fetch_optional(tx)
    .await?
    .map(|row| row.id)
    .ok_or(StoreError::NotFound("cursor"))
}

impl Store {
    /// The ranges of a type, in the order of their numbers. A type that has none gets the first one:
    /// all ids, from where its cursor stands.
    ///
    /// # Errors
    /// When the database fails; [`StoreError::NotFound`] for a type that was not begun.
    pub async fn begin_ranges(&self, key: &CursorKey) -> Result<Vec<RangeRow>, StoreError> {
        let ranges = self.ranges(key).await?;
        if !ranges.is_empty() {
            return Ok(ranges);
        }
        sqlx::query!(
            "insert into sync_range (cursor_id, range_no, reader, position, expected)
             select id, 0, 'list', position, greatest(total - done, 0) from sync_cursor
             where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = $4 and part = $5
               and run_id is not distinct from $6
             on conflict do nothing",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid()
        )
        .execute(&self.pool)
        .await?;
        let ranges = self.ranges(key).await?;
        if ranges.is_empty() {
            return Err(StoreError::NotFound("cursor"));
        }
        Ok(ranges)
    }

    /// The ranges of a type, in the order of their numbers.
    pub async fn ranges(&self, key: &CursorKey) -> Result<Vec<RangeRow>, StoreError> {
        sqlx::query_as!(
            RawRange,
            "select r.range_no, r.reader, r.after_id, r.upto_id, r.position, r.version, r.expected, r.seen,
               r.finished
             from sync_range r join sync_cursor c on c.id = r.cursor_id
             where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
               and c.part = $5 and c.run_id is not distinct from $6
             order by r.range_no",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid()
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
    /// When the database fails; [`StoreError::NotFound`] for a type that another run reads.
    pub async fn split_range(
        &self,
        key: &CursorKey,
        range: &RangeRow,
        at: SplitAt,
        upper_reader: RangeReader,
    ) -> Result<Option<(RangeRow, RangeRow)>, StoreError> {
        let Some((lower, upper)) = range.ids.split(at.at) else {
            return Ok(None);
        };
        let mut tx = self.pool.begin().await?;
        let cursor = lock_cursor(&mut tx, key).await?;
        let below = sqlx::query_as!(
            RawRange,
            "update sync_range set upto_id = $4, version = version + 1, expected = seen + $5
             where cursor_id = $1 and range_no = $2 and version = $3 and not finished
             returning range_no, reader, after_id, upto_id, position, version, expected, seen, finished",
            cursor,
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
            "insert into sync_range (cursor_id, range_no, reader, after_id, upto_id, expected)
             select $1, max(range_no) + 1, $2, $3, $4, $5 from sync_range where cursor_id = $1
             returning range_no, reader, after_id, upto_id, position, version, expected, seen, finished",
            cursor,
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
    pub async fn turn_range(
        &self,
        key: &CursorKey,
        range: &RangeRow,
        reader: RangeReader,
    ) -> Result<Option<RangeRow>, StoreError> {
        sqlx::query_as!(
            RawRange,
            "update sync_range r set reader = $9, version = r.version + 1 from sync_cursor c
             where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
               and c.part = $5 and c.run_id is not distinct from $6
               and r.cursor_id = c.id and r.range_no = $7 and r.version = $8
               and r.position is null and not r.finished
             returning r.range_no, r.reader, r.after_id, r.upto_id, r.position, r.version, r.expected,
               r.seen, r.finished",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid(),
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
    /// When the database fails; [`StoreError::NotFound`] for a type that another run reads.
    pub async fn read_alone(&self, key: &CursorKey) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let cursor = lock_cursor(&mut tx, key).await?;
        sqlx::query!(
            "update sync_cursor set alone = true, position = null where id = $1 and outcome = 'reading'",
            cursor
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("delete from sync_range where cursor_id = $1", cursor)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends a type if all of its ranges are read ([`Store::finish_type`]). Says whether they are.
    ///
    /// # Errors
    /// When the database fails; [`StoreError::NotFound`] for a type that another run reads.
    pub async fn finish_ranges(&self, key: &CursorKey) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        let cursor = lock_cursor(&mut tx, key).await?;
        let all_read = sqlx::query!(
            "select coalesce(bool_and(finished), false) as \"all_read!\" from sync_range
             where cursor_id = $1",
            cursor
        )
        .fetch_one(&mut *tx)
        .await?
        .all_read;
        if all_read {
            reached_the_end(&mut tx, key).await?;
        }
        tx.commit().await?;
        Ok(all_read)
    }

    /// Of records that were listed with their last-modified, those that are not in the mirror as new
    /// as that and read since `since`.
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
                 and o.modified_at >= t.modified and o.read_at >= $6 offset 0)
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
