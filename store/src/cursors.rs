//! Cursors: where the reading of each type is, and how it ended. The place to resume is here and
//! nowhere else. Moments are by this database's clock, whoever the worker is.

use std::{collections::BTreeSet, str::FromStr as _};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    ErrorCode, HubSpotObjectId, PortalId, Progress, Purpose, ReadOutcome, ReadPart, ReadPlan,
    RunKind, SyncRunId, SyncType, WorkspaceId,
    portal::ListId,
    progress::{NO_PROGRESS_AFTER, total_as_shown},
};
use sqlx::PgConnection;

use crate::{Store, StoreError};

/// Which cursor, and whose reading. A page of another run than the one that reads now finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorKey {
    pub workspace: WorkspaceId,
    pub portal: PortalId,
    /// What is read.
    pub sync_type: SyncType,
    /// What for.
    pub purpose: Purpose,
    /// The run that reads; none for what is read without one.
    pub run: Option<SyncRunId>,
}

impl CursorKey {
    /// The cursor of a run.
    pub const fn of_run(
        workspace: WorkspaceId,
        portal: PortalId,
        run: SyncRunId,
        sync_type: SyncType,
    ) -> Self {
        Self {
            workspace,
            portal,
            sync_type,
            purpose: Purpose::Run,
            run: Some(run),
        }
    }

    /// The cursor of the periodic sync.
    pub const fn periodic(workspace: WorkspaceId, portal: PortalId, sync_type: SyncType) -> Self {
        Self {
            workspace,
            portal,
            sync_type,
            purpose: Purpose::Periodic,
            run: None,
        }
    }

    /// The cursor for the members of one list in the same run.
    #[must_use]
    pub const fn members_of(self, list: ListId) -> Self {
        Self {
            sync_type: SyncType::Lists,
            purpose: Purpose::Members(list),
            ..self
        }
    }

    pub(crate) fn part(&self) -> i64 {
        self.purpose.list().map_or(0, |list| list.get())
    }

    pub(crate) fn run_uuid(&self) -> Option<uuid::Uuid> {
        self.run.map(|run| run.as_uuid())
    }
}

/// A reader that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewCursor {
    pub key: CursorKey,
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
    /// Inputs that HubSpot's answers did not speak of.
    pub unanswered: u64,
    /// How it stands.
    pub outcome: ReadOutcome,
    /// Records a page, where less than usual are asked for.
    pub page_size: Option<u32>,
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// The highest id that search knew then.
    pub last_id: Option<HubSpotObjectId>,
    /// Whether its list endpoint turned out not to go by id, so that one reader walks alone.
    pub alone: bool,
    /// The properties that it asks for beside those that are always needed.
    pub properties: Vec<String>,
    /// Of the periodic sync: whether it reads over the long window.
    pub slow: bool,
}

impl CursorRow {
    /// The same as progress.
    pub const fn progress(&self, object_type: SyncType) -> Progress {
        Progress {
            object_type,
            done: self.done,
            total: total_as_shown(self.done, self.total),
            quarantined: self.quarantined,
            finished: self.outcome.has_ended(),
        }
    }
}

/// What HubSpot refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of the reads that a type consists of, which.
    pub part: ReadPart,
    /// Our code.
    pub code: ErrorCode,
    /// The scopes that are missing, any one of which would do; empty where it was no scope.
    pub scopes: Vec<String>,
    /// The property or parameter that HubSpot named.
    pub field: Option<String>,
}

/// What goes wrong with a type now, and is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Our code.
    pub code: ErrorCode,
    /// Since when it is this code.
    pub since: DateTime<Utc>,
    /// When it was met last.
    pub last_at: DateTime<Utc>,
    /// How often, since then.
    pub times: u64,
}

/// How a type of a portal stands, for a status.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeStatus {
    /// The run whose reading it is; none where that was pruned.
    pub run: Option<SyncRunId>,
    /// How far it is.
    pub progress: Progress,
    /// How it stands. Of lists, with the members that are read.
    pub outcome: ReadOutcome,
    /// Inputs that HubSpot's answers did not speak of.
    pub unanswered: u64,
    /// What HubSpot refused; of a skipped type the scope.
    pub refusals: Vec<Refusal>,
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// When it last committed.
    pub last_commit_at: Option<DateTime<Utc>>,
}

/// All that is shown of the types of a portal, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct PortalStatus {
    /// The moment.
    pub now: DateTime<Utc>,
    /// Types that were ever begun.
    pub types: Vec<TypeStatus>,
    /// What goes wrong now.
    pub troubles: Vec<(SyncType, Trouble)>,
}

/// Counts over all workspaces, for metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watched {
    /// Readings under way that have not moved for [`NO_PROGRESS_AFTER`], by type.
    pub without_progress: Vec<(SyncType, u64)>,
    /// Types with which something goes wrong now, by code.
    pub in_trouble: Vec<(SyncType, ErrorCode, u64)>,
    /// Of each type that is kept up to date anywhere: in how many workspaces it is stale, and the
    /// greatest age.
    pub freshness: Vec<(SyncType, u64, TimeDelta)>,
    /// In how many workspaces none of the known records of a type is found.
    pub none_found: Vec<(SyncType, u64)>,
}

pub(crate) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The lists with a use of a document as it was saved.
pub(crate) fn used_lists(document: serde_json::Value) -> Result<BTreeSet<ListId>, StoreError> {
    domain::settings::read(document)
        .map(|settings| domain::backfill::lists_with_use(&settings))
        .map_err(|_| StoreError::Corrupt("settings"))
}

pub(crate) fn outcome_of(text: &str) -> Result<ReadOutcome, StoreError> {
    ReadOutcome::from_str(text).map_err(|_| StoreError::Corrupt("outcome of a cursor"))
}

fn code_of(text: &str) -> Result<ErrorCode, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt("code"))
}

pub(crate) fn type_of(text: &str) -> Result<SyncType, StoreError> {
    SyncType::from_str(text).map_err(|_| StoreError::Corrupt("type of a cursor"))
}

/// Makes room for another reading than the one that is there, unless that belongs to a run under way.
/// The size of its pages is worth knowing.
async fn make_room(tx: &mut PgConnection, key: &CursorKey) -> Result<Option<i32>, StoreError> {
    let removed = sqlx::query!(
        "delete from sync_cursor c
         where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = $4 and part = $5
           and run_id is distinct from $6
           and not exists (select 1 from sync_run r where r.id = c.run_id and r.state = 'running')
         returning page_size",
        key.workspace.as_uuid(),
        key.portal.get(),
        key.sync_type.as_str(),
        key.purpose.as_str(),
        key.part(),
        key.run_uuid()
    )
    .fetch_optional(tx)
    .await?;
    Ok(removed.and_then(|row| row.page_size))
}

/// Ends a reading that came to its end, and moves the type's catch-up point at once: unless something
/// was not answered, or it read from a bound on that lies behind the last read, for the next catch-up
/// has to close that gap. The type is as fresh as the reading then. The periodic sync asks again for each
/// record that was not answered, so that these keep nothing else from being fresh.
pub(crate) async fn reached_the_end(
    tx: &mut PgConnection,
    key: &CursorKey,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with ended as (
           update sync_cursor c set outcome = case
               when unanswered = 0 and not exists (select 1 from sync_unanswered u where u.cursor_id = c.id)
               then 'finished' else 'incomplete' end
           where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = $4 and part = $5
             and run_id is not distinct from $6 and outcome = 'reading'
           returning purpose, outcome, since, read_began_at, began_at, seen_to, slow, unanswered, sync_type, properties),
         quiet as (
           delete from sync_trouble where workspace_id = $1 and portal_id = $2 and sync_type = $3
             and exists (select 1 from ended)),
         fresh as (
           insert into sync_freshness as f
             (workspace_id, portal_id, sync_type, fresh_to, read_at, seen_to, swept_at)
           select $1, $2::bigint, $3, read_began_at, began_at, seen_to,
             case when slow or (purpose = 'run' and since is null) then began_at else '-infinity' end
           from ended e
           where (purpose = 'run' and (since is null
               or (outcome = 'finished' and exists (select 1 from sync_freshness k
                 where k.workspace_id = $1 and k.portal_id = $2 and k.sync_type = $3
                   and k.fresh_to >= e.since))))
             or (purpose = 'periodic' and unanswered = 0 and (slow or sync_type <> 'properties'))
           on conflict (workspace_id, portal_id, sync_type) do update set
             fresh_to = greatest(f.fresh_to, excluded.fresh_to),
             read_at = greatest(f.read_at, excluded.read_at),
             seen_to = greatest(f.seen_to, excluded.seen_to),
             swept_at = greatest(f.swept_at, excluded.swept_at))
         insert into last_read (workspace_id, portal_id, sync_type, read_began_at, properties)
         select $1, $2::bigint, $3, read_began_at, coalesce(properties, '{}') from ended e
         where purpose in ('run', 'periodic') and outcome = 'finished'
           and (purpose = 'run' or slow or sync_type not in ('owners', 'properties'))
           and (since is null or exists (select 1 from last_read l
             where l.workspace_id = $1 and l.portal_id = $2 and l.sync_type = $3
               and l.read_began_at >= e.since))
         on conflict (workspace_id, portal_id, sync_type) do update
         set read_began_at = greatest(last_read.read_began_at, excluded.read_began_at),
           properties = case
             when (select since from ended) is null then excluded.properties
             -- What it did not ask for may have changed of the records that it brought.
             when last_read.properties is not null then array(
               select p from unnest(last_read.properties) as p where p = any(excluded.properties))
           end",
        key.workspace.as_uuid(),
        key.portal.get(),
        key.sync_type.as_str(),
        key.purpose.as_str(),
        key.part(),
        key.run_uuid()
    )
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// Begins a reader, unless it has begun. Says how it stands. What another run read before is
    /// known no more, but for the size of its pages.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when another run is under way that reads this; else when the database
    /// fails.
    pub async fn begin_cursor(&self, new: &NewCursor) -> Result<CursorRow, StoreError> {
        let since = match new.plan {
            ReadPlan::List => None,
            ReadPlan::ModifiedSince { since } => Some(since),
        };
        let key = &new.key;
        let properties = match key.sync_type.object_type() {
            Some(object_type) => self.mapped_to_read(key.workspace, object_type).await?,
            None => Vec::new(),
        };
        let mut tx = self.pool.begin().await?;
        let page_size = make_room(&mut tx, key).await?;
        sqlx::query!(
            "insert into sync_cursor
               (workspace_id, portal_id, sync_type, purpose, part, run_id, since, total, began_at,
                read_began_at, last_id, page_size, properties)
             values ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp(), $9, $10, $11, $12)
             on conflict (workspace_id, portal_id, sync_type, purpose, part) do nothing",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid(),
            since,
            new.total.map(signed),
            new.read_began_at,
            new.last_id.map(|id| id.get()),
            page_size,
            &properties
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.cursor(key)
            .await?
            .ok_or(StoreError::NotFound("cursor"))
    }

    /// A reader, if it has begun.
    pub async fn cursor(&self, key: &CursorKey) -> Result<Option<CursorRow>, StoreError> {
        let row = sqlx::query!(
            "select c.since, c.position, c.version, c.total, c.outcome, c.unanswered, c.page_size,
               c.began_at, c.last_id, c.alone, c.properties, c.slow,
               c.done + coalesce(r.done, 0) as \"done!\",
               c.quarantined + coalesce(r.quarantined, 0) as \"quarantined!\"
             from sync_cursor c left join lateral (
               select sum(done)::bigint as done, sum(quarantined)::bigint as quarantined
               from sync_range r where r.cursor_id = c.id) r on true
             where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
               and c.part = $5 and c.run_id is not distinct from $6",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid()
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
                unanswered: count(row.unanswered),
                outcome: outcome_of(&row.outcome)?,
                page_size: row.page_size.and_then(|size| u32::try_from(size).ok()),
                began_at: row.began_at,
                last_id: row
                    .last_id
                    .map(HubSpotObjectId::new)
                    .transpose()
                    .map_err(|_| StoreError::Corrupt("last id of a cursor"))?,
                alone: row.alone,
                properties: row.properties.unwrap_or_default(),
                slow: row.slow,
            })
        })
        .transpose()
    }

    /// Ends a type that its readers have read: what was not answered leaves it incomplete. Its
    /// catch-up point moves at once. Idempotent. Pages that say that they are the last do this in
    /// their own transaction; so does the last range.
    pub async fn finish_type(&self, key: &CursorKey) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        reached_the_end(&mut tx, key).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Leaves a type out of a run, because a scope is missing (C2). Any one of the scopes would do.
    pub async fn skip_type(
        &self,
        key: &CursorKey,
        code: &ErrorCode,
        scopes: &[String],
    ) -> Result<(), StoreError> {
        let refusal = Refusal {
            part: ReadPart::Whole,
            code: code.clone(),
            scopes: scopes.to_vec(),
            field: None,
        };
        self.end_refused(key, ReadOutcome::Skipped, &refusal).await
    }

    /// Ends a type that HubSpot refuses, whatever was read of it before. Tried again by the next run.
    pub async fn refuse_type(&self, key: &CursorKey, refusal: &Refusal) -> Result<(), StoreError> {
        self.end_refused(key, ReadOutcome::Refused, refusal).await
    }

    async fn end_refused(
        &self,
        key: &CursorKey,
        outcome: ReadOutcome,
        refusal: &Refusal,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let page_size = make_room(&mut tx, key).await?;
        sqlx::query!(
            "insert into sync_cursor
               (workspace_id, portal_id, sync_type, purpose, part, run_id, outcome, began_at,
                read_began_at, page_size)
             values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp(), clock_timestamp(), $8)
             on conflict (workspace_id, portal_id, sync_type, purpose, part) do update
             set outcome = excluded.outcome
             where sync_cursor.run_id is not distinct from excluded.run_id
               and sync_cursor.outcome = 'reading'",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid(),
            outcome.as_str(),
            page_size
        )
        .execute(&mut *tx)
        .await?;
        put_refusal(&mut tx, key, refusal).await?;
        sqlx::query!(
            "delete from sync_trouble where workspace_id = $1 and portal_id = $2 and sync_type = $3",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Notes that one of the reads of a type was refused, while the rest goes on. Again: the newer
    /// reason stays.
    pub async fn note_refusal(&self, key: &CursorKey, refusal: &Refusal) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        put_refusal(&mut tx, key, refusal).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What was refused of a reading so far.
    pub async fn refusals(&self, key: &CursorKey) -> Result<Vec<Refusal>, StoreError> {
        let rows = sqlx::query!(
            "select f.part, f.code, f.scopes, f.field from sync_refusal f
             join sync_cursor c on c.id = f.cursor_id
             where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
               and c.part = $5 and c.run_id is not distinct from $6
             order by f.part",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| refusal_of(&row.part, &row.code, row.scopes, row.field))
            .collect()
    }

    /// Notes that HubSpot's answers did not speak of so many inputs, though asked again. The type
    /// ends incomplete.
    pub async fn note_unanswered(&self, key: &CursorKey, inputs: u64) -> Result<(), StoreError> {
        sqlx::query!(
            "update sync_cursor set unanswered = unanswered + $7
             where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = $4 and part = $5
               and run_id is not distinct from $6 and outcome = 'reading'",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid(),
            signed(inputs)
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Begins the members of the lists that a run reads them of: of those with a use by the settings in
    /// force, or of its own, where it is a run for members. Idempotent. To be called when the
    /// definitions were read. What is known of lists without a use is forgotten.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a key without a run; else when the database fails.
    pub async fn begin_members(&self, key: &CursorKey) -> Result<Vec<ListId>, StoreError> {
        let run = match key.run {
            Some(run) => self.run(run).await?,
            None => None,
        }
        .ok_or(StoreError::NotFound("run"))?;
        let used = self.lists_with_use(key.workspace).await?;
        let lists: Vec<ListId> = if run.kind == RunKind::Members {
            run.lists
        } else {
            used.iter().copied().collect()
        };
        let used: Vec<i64> = used.iter().map(ListId::get).collect();
        let mut tx = self.pool.begin().await?;
        if run.kind != RunKind::Members {
            sqlx::query!(
                "delete from sync_cursor where workspace_id = $1 and portal_id = $2
                   and sync_type = 'lists' and purpose = 'members' and part <> all($3)",
                key.workspace.as_uuid(),
                key.portal.get(),
                &used
            )
            .execute(&mut *tx)
            .await?;
        }
        for list in &lists {
            let key = key.members_of(*list);
            let page_size = make_room(&mut tx, &key).await?;
            sqlx::query!(
                "insert into sync_cursor
                   (workspace_id, portal_id, sync_type, purpose, part, run_id, began_at, read_began_at, page_size)
                 values ($1, $2, 'lists', 'members', $3, $4, clock_timestamp(), clock_timestamp(), $5)
                 on conflict (workspace_id, portal_id, sync_type, purpose, part) do nothing",
                key.workspace.as_uuid(),
                key.portal.get(),
                key.part(),
                key.run_uuid(),
                page_size
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(lists)
    }

    /// The lists whose members a run has yet to read to their end, by id.
    pub async fn members_to_read(&self, key: &CursorKey) -> Result<Vec<ListId>, StoreError> {
        let rows = sqlx::query!(
            "select part from sync_cursor
             where workspace_id = $1 and portal_id = $2 and sync_type = 'lists' and purpose = 'members'
               and run_id is not distinct from $3 and outcome = 'reading'
             order by part",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.run_uuid()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| ListId::new(row.part)).collect())
    }

    /// The lists that the settings in force give a use: audiences and suppression lists (I6).
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for settings that cannot be read; else when the database fails.
    pub async fn lists_with_use(
        &self,
        workspace: WorkspaceId,
    ) -> Result<BTreeSet<ListId>, StoreError> {
        match self.settings(workspace).await? {
            Some(row) => used_lists(row.document),
            None => Ok(BTreeSet::new()),
        }
    }

    /// Remembers how many records a page are asked for; none asks for as many as usual. It outlives
    /// the reading.
    pub async fn set_page_size(
        &self,
        key: &CursorKey,
        page_size: Option<u32>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update sync_cursor set page_size = $7
             where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = $4 and part = $5
               and run_id is not distinct from $6",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid(),
            page_size.and_then(|size| i32::try_from(size).ok())
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes that something goes wrong with a type and is tried again.
    pub async fn note_trouble(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        sync_type: SyncType,
        code: &ErrorCode,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into sync_trouble as t (workspace_id, portal_id, sync_type, code, since, last_at, times)
             values ($1, $2, $3, $4, clock_timestamp(), clock_timestamp(), 1)
             on conflict (workspace_id, portal_id, sync_type) do update set
               since = case when t.code = excluded.code then t.since else excluded.since end,
               times = case when t.code = excluded.code then t.times + 1 else 1 end,
               code = excluded.code, last_at = excluded.last_at",
            workspace.as_uuid(),
            portal.get(),
            sync_type.as_str(),
            code.as_str()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes that a type moves again. Of a type without trouble nothing is written.
    pub async fn clear_trouble(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        sync_type: SyncType,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from sync_trouble where workspace_id = $1 and portal_id = $2 and sync_type = $3",
            workspace.as_uuid(),
            portal.get(),
            sync_type.as_str()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// How all types of a portal stand, each by its newest reading. Lists that are being read for
    /// their members are not at their end, and tell what is not well with the members.
    pub async fn portal_status(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<PortalStatus, StoreError> {
        let now = sqlx::query!("select clock_timestamp() as \"now!\"")
            .fetch_one(&self.pool)
            .await?
            .now;
        let rows = sqlx::query!(
            "select c.id, c.sync_type, c.purpose, c.run_id, c.total, c.outcome, c.unanswered, c.began_at,
               c.done + coalesce(r.done, 0) as \"done!\",
               c.quarantined + coalesce(r.quarantined, 0) as \"quarantined!\",
               greatest(c.last_commit_at, r.last_commit_at) as last_commit_at
             from sync_cursor c left join lateral (
               select sum(done)::bigint as done, sum(quarantined)::bigint as quarantined,
                 max(last_commit_at) as last_commit_at
               from sync_range r where r.cursor_id = c.id) r on true
             where c.workspace_id = $1 and c.portal_id = $2
               and c.purpose not in ('periodic', 'reread', 'archived', 'walk')
             order by c.purpose desc, c.id",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        let refused = sqlx::query!(
            "select c.sync_type, f.part, f.code, f.scopes, f.field
             from sync_refusal f join sync_cursor c on c.id = f.cursor_id
             where c.workspace_id = $1 and c.portal_id = $2
               and c.purpose not in ('periodic', 'reread', 'archived', 'walk')
             order by c.purpose desc, f.part, f.cursor_id",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        let mut types: Vec<TypeStatus> = Vec::new();
        for row in rows {
            let object_type = type_of(&row.sync_type)?;
            let outcome = outcome_of(&row.outcome)?;
            let known = types
                .iter_mut()
                .find(|t| t.progress.object_type == object_type);
            // Definitions come first, by the order of the purposes.
            if let (Some(known), "members") = (known, row.purpose.as_str()) {
                known.outcome = worse(known.outcome, outcome);
                known.progress.finished &= outcome.has_ended();
                known.unanswered += count(row.unanswered);
                known.last_commit_at = known.last_commit_at.max(row.last_commit_at);
                continue;
            }
            types.push(TypeStatus {
                run: row.run_id.map(SyncRunId::new),
                progress: Progress {
                    object_type,
                    done: if row.purpose == "members" {
                        0
                    } else {
                        count(row.done)
                    },
                    total: total_as_shown(
                        count(row.done),
                        row.total.map(count).filter(|_| row.purpose != "members"),
                    ),
                    quarantined: count(row.quarantined),
                    finished: outcome.has_ended(),
                },
                outcome,
                unanswered: count(row.unanswered),
                refusals: Vec::new(),
                began_at: row.began_at,
                last_commit_at: row.last_commit_at,
            });
        }
        for row in refused {
            let refusal = refusal_of(&row.part, &row.code, row.scopes, row.field)?;
            let sync_type = type_of(&row.sync_type)?;
            if let Some(of) = types
                .iter_mut()
                .find(|t| t.progress.object_type == sync_type)
                && !of.refusals.contains(&refusal)
            {
                of.refusals.push(refusal);
            }
        }
        let troubles = sqlx::query!(
            "select sync_type, code, since, last_at, times from sync_trouble
             where workspace_id = $1 and portal_id = $2 order by sync_type",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|row| {
            Ok((
                type_of(&row.sync_type)?,
                Trouble {
                    code: code_of(&row.code)?,
                    since: row.since,
                    last_at: row.last_at,
                    times: count(row.times),
                },
            ))
        })
        .collect::<Result<_, StoreError>>()?;
        Ok(PortalStatus {
            now,
            types,
            troubles,
        })
    }

    /// What is to be watched over all workspaces, by counts only.
    pub async fn watched(&self) -> Result<Watched, StoreError> {
        let still = sqlx::query!(
            "select c.sync_type, count(*) as \"n!\"
             from sync_cursor c join sync_run r on r.id = c.run_id and r.state = 'running'
             where c.outcome = 'reading'
               and greatest(c.began_at, c.last_commit_at,
                 (select max(last_commit_at) from sync_range g where g.cursor_id = c.id))
                 < clock_timestamp() - make_interval(secs => $1)
             group by c.sync_type",
            NO_PROGRESS_AFTER.as_seconds_f64()
        )
        .fetch_all(&self.pool)
        .await?;
        let troubled = sqlx::query!(
            "select sync_type, code, count(*) as \"n!\" from sync_trouble group by sync_type, code"
        )
        .fetch_all(&self.pool)
        .await?;
        let freshness = self.freshness_of_all().await?;
        let none_found = self.none_found_of_all().await?;
        Ok(Watched {
            freshness,
            none_found,
            without_progress: still
                .into_iter()
                .map(|row| Ok((type_of(&row.sync_type)?, count(row.n))))
                .collect::<Result<_, StoreError>>()?,
            in_trouble: troubled
                .into_iter()
                .map(|row| Ok((type_of(&row.sync_type)?, code_of(&row.code)?, count(row.n))))
                .collect::<Result<_, StoreError>>()?,
        })
    }

    /// When the last finished read of a type had begun, by HubSpot's clock.
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

/// What two readings of one type amount to: the one under way decides, then the one that ended worse.
fn worse(a: ReadOutcome, b: ReadOutcome) -> ReadOutcome {
    const RANK: [ReadOutcome; 5] = [
        ReadOutcome::Finished,
        ReadOutcome::Incomplete,
        ReadOutcome::Skipped,
        ReadOutcome::Refused,
        ReadOutcome::Reading,
    ];
    let rank = |o| RANK.iter().position(|r| *r == o);
    if rank(b) > rank(a) { b } else { a }
}

pub(crate) fn refusal_of(
    part: &str,
    code: &str,
    scopes: Vec<String>,
    field: Option<String>,
) -> Result<Refusal, StoreError> {
    Ok(Refusal {
        part: part
            .parse()
            .map_err(|_| StoreError::Corrupt("part of a refusal"))?,
        code: code_of(code)?,
        scopes,
        field,
    })
}

async fn put_refusal(
    tx: &mut PgConnection,
    key: &CursorKey,
    refusal: &Refusal,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into sync_refusal (cursor_id, part, code, scopes, field, refused_at)
         select id, $7, $8, $9, $10, clock_timestamp() from sync_cursor
         where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = $4 and part = $5
           and run_id is not distinct from $6
         on conflict (cursor_id, part) do update set
           code = excluded.code, scopes = excluded.scopes, field = excluded.field,
           refused_at = excluded.refused_at",
        key.workspace.as_uuid(),
        key.portal.get(),
        key.sync_type.as_str(),
        key.purpose.as_str(),
        key.part(),
        key.run_uuid(),
        refusal.part.to_string(),
        refusal.code.as_str(),
        &refusal.scopes,
        refusal.field
    )
    .execute(tx)
    .await?;
    Ok(())
}
