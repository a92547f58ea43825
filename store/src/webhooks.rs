//! Records that HubSpot's webhooks told us to read (I9): stored once each, however often they are
//! told, and removed by the read that came after the last telling.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{Epoch, HubSpotObjectId, ObjectType, PortalId, SyncType, WorkspaceId};
use sqlx::{Postgres, Transaction};

use crate::{
    Store, StoreError, Swept,
    batches::{Batch, Rows},
    connections::portal_of,
    cursors::count,
    erasure,
    error::is_data_error,
    mirror,
    mirror::{object_id, type_number, type_of_number},
    steps::Step,
    tombstones,
};

/// A record of a portal of which a webhook told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ToldRecord {
    /// Which portal.
    pub portal: PortalId,
    /// Of which type.
    pub object_type: ObjectType,
    /// Which record.
    pub id: HubSpotObjectId,
    /// Whether it was told that the contact was deleted for privacy (GDPR).
    pub privacy: bool,
}

/// What came of a delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Rows that were written: one for each record and workspace.
    pub records: u64,
    /// The portals of the delivery that no connected workspace has.
    pub unknown: u64,
    /// Workspaces whose reader is to be woken: of the others somebody was woken and has not begun.
    pub wake: Vec<(WorkspaceId, PortalId)>,
}

/// A record that is due, as it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueRecord {
    /// Which record.
    pub id: HubSpotObjectId,
    /// The newest event's number: what is told later has a greater one.
    pub seq: i64,
    /// How often it was read in vain.
    pub attempts: u32,
    /// Whether any event told that the contact was deleted for privacy (GDPR).
    pub privacy: bool,
}

/// Whose records are read: a connection in an epoch, and a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldReader {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which portal.
    pub portal: PortalId,
    /// The epoch of the connection in which the read began.
    pub epoch: Epoch,
    /// Of which type.
    pub object_type: ObjectType,
    /// The same, as what is read.
    pub sync_type: SyncType,
}

/// What came of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldCommitted {
    /// It is stored.
    Done,
    /// The connection is no longer in this epoch; nothing was written.
    Fenced,
}

/// Workspaces of which a record is due and waits, for `Sweep`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueWorkspace {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which portal.
    pub portal: PortalId,
}

impl ToldReader {
    /// A step that moves no cursor: the rows that it removes are its place.
    const fn step(&self) -> Step {
        Step {
            workspace: self.workspace,
            portal: self.portal,
            epoch: self.epoch,
            run: None,
            sync_type: self.sync_type,
            purpose: domain::Purpose::Run,
            range: None,
            expected_version: 0,
            position: None,
            finished: false,
            newest: None,
            served_at: None,
        }
    }
}

impl Store {
    /// Stores what a delivery told, in one statement: for each workspace that is connected to the
    /// portal. A record is due after `gather`, as more is often told of it right away; one that waits
    /// already gets a new number and keeps its place.
    ///
    /// # Errors
    /// When the database fails; nothing is stored then.
    pub async fn note_told(
        &self,
        told: &[ToldRecord],
        gather: Duration,
    ) -> Result<Told, StoreError> {
        let mut told = told.to_vec();
        told.sort_unstable();
        told.dedup();
        let portals: Vec<i64> = told.iter().map(|t| t.portal.get()).collect();
        let types: Vec<i16> = told.iter().map(|t| type_number(t.object_type)).collect();
        let ids: Vec<i64> = told.iter().map(|t| t.id.get()).collect();
        let privacy: Vec<bool> = told.iter().map(|t| t.privacy).collect();
        // In one order, so that two deliveries of the same records wait for each other instead of
        // blocking each other. The wake-up row is locked for as long as this takes: whoever removes it
        // sees what was stored beside it.
        let rows = sqlx::query!(
            "with told as (
               select c.workspace_id, t.portal, t.type, t.id, bool_or(t.privacy) as privacy
               from unnest($1::bigint[], $2::smallint[], $3::bigint[], $5::boolean[]) as t (portal, type, id, privacy)
               join connection c on c.portal_id = t.portal and c.state = 'connected'
               group by c.workspace_id, t.portal, t.type, t.id),
             whose as (select distinct workspace_id, portal from told),
             awake as (
               select w.workspace_id from webhook_wake w
               where w.workspace_id in (select workspace_id from whose) for share),
             woken as (
               insert into webhook_wake (workspace_id)
               select workspace_id from whose where workspace_id not in (select workspace_id from awake)
               order by workspace_id on conflict do nothing),
             stored as (
               insert into webhook_record as r (workspace_id, portal_id, object_type, object_id, due_at, privacy)
               select workspace_id, portal, type, id, clock_timestamp() + make_interval(secs => $4), privacy
               from told order by workspace_id, portal, type, id
               on conflict (workspace_id, portal_id, object_type, object_id) do update set
                 seq = excluded.seq, privacy = r.privacy or excluded.privacy
               returning workspace_id)
             select whose.workspace_id, whose.portal as \"portal!\",
               (select count(*) from stored s where s.workspace_id = whose.workspace_id) as \"records!\",
               exists (select 1 from awake a where a.workspace_id = whose.workspace_id) as \"awake!\"
             from whose",
            &portals,
            &types,
            &ids,
            gather.as_secs_f64(),
            &privacy
        )
        .fetch_all(&self.pool)
        .await?;
        let mut known: Vec<i64> = rows.iter().map(|row| row.portal).collect();
        known.sort_unstable();
        let mut unknown: Vec<i64> = portals;
        unknown.dedup();
        unknown.retain(|portal| known.binary_search(portal).is_err());
        let mut out = Told {
            unknown: unknown.len() as u64,
            ..Told::default()
        };
        for row in rows {
            out.records += count(row.records);
            if !row.awake {
                out.wake
                    .push((WorkspaceId::new(row.workspace_id), portal_of(row.portal)?));
            }
        }
        Ok(out)
    }

    /// A reader begins: what is told from now on has to wake somebody again. Rows of portals that the
    /// workspace is no longer connected to go.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_told(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<(), StoreError> {
        // A statement of its own, committed before any row is looked at.
        sqlx::query!(
            "delete from webhook_wake where workspace_id = $1",
            workspace.as_uuid()
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "delete from webhook_record where workspace_id = $1 and portal_id <> $2",
            workspace.as_uuid(),
            portal.get()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Records that are due, of the type of the one that waits longest. Nothing is locked: taken twice
    /// they are read twice.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due_told(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        limit: u32,
    ) -> Result<Option<(ObjectType, Vec<DueRecord>)>, StoreError> {
        let rows = sqlx::query!(
            "select object_type, object_id, seq, attempts, privacy from webhook_record
             where workspace_id = $1 and portal_id = $2 and due_at <= clock_timestamp()
               and object_type = (select object_type from webhook_record
                 where workspace_id = $1 and portal_id = $2 and due_at <= clock_timestamp()
                 order by due_at limit 1)
             order by due_at, object_id limit $3",
            workspace.as_uuid(),
            portal.get(),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let object_type = type_of_number(first.object_type)?;
        let due = rows
            .iter()
            .map(|row| {
                Ok(DueRecord {
                    id: object_id(row.object_id)?,
                    seq: row.seq,
                    attempts: u32::try_from(row.attempts).unwrap_or(0),
                    privacy: row.privacy,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Some((object_type, due)))
    }

    /// In how long the next record is due; none where none waits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_told_in(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Option<Duration>, StoreError> {
        let seconds = sqlx::query_scalar!(
            "select extract(epoch from min(due_at) - clock_timestamp())::float8 from webhook_record
             where workspace_id = $1 and portal_id = $2",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(seconds.map(|s| Duration::try_from_secs_f64(s.max(0.0)).unwrap_or(Duration::MAX)))
    }

    /// Commits what a read brought, and removes the records that it was answered about, in one
    /// transaction and only in the connection's epoch: those alone of which nothing was told since.
    /// `erased` are contacts that HubSpot told to be deleted for privacy and named as unknown in every way:
    /// they are gone, and forgotten.
    ///
    /// # Errors
    /// When the database fails; nothing is written then.
    pub async fn commit_told(
        &self,
        reader: &ToldReader,
        mut batch: Batch,
        answered: &[DueRecord],
        erased: &[HubSpotObjectId],
        now: DateTime<Utc>,
    ) -> Result<ToldCommitted, StoreError> {
        match self
            .try_commit_told(reader, &mut batch, answered, erased, now)
            .await
        {
            Err(error) if is_data_error(&error) => {
                self.quarantine_refused(&mut batch).await?;
                Ok(self
                    .try_commit_told(reader, &mut batch, answered, erased, now)
                    .await?)
            }
            other => Ok(other?),
        }
    }

    async fn try_commit_told(
        &self,
        reader: &ToldReader,
        batch: &mut Batch,
        answered: &[DueRecord],
        erased: &[HubSpotObjectId],
        now: DateTime<Utc>,
    ) -> Result<ToldCommitted, sqlx::Error> {
        let step = reader.step();
        let mut tx = self.pages.begin().await?;
        erasure::hold_shared(&mut tx, reader.workspace).await?;
        let open = sqlx::query!(
            "select 1 as one from connection
             where workspace_id = $1 and epoch = $2 and portal_id = $3 and state = 'connected'",
            reader.workspace.as_uuid(),
            reader.epoch.get(),
            reader.portal.get()
        )
        .fetch_optional(&mut *tx)
        .await?;
        if open.is_none() {
            return Ok(ToldCommitted::Fenced);
        }
        erasure::take_out_erased(&mut tx, &self.identities, &step, batch).await?;
        let read_at = batch.read_at;
        if let Rows::Records(records) = &mut batch.rows {
            mirror::write_records(&mut tx, &self.identities, &step, records, read_at).await?;
        }
        tombstones::write_erased(&mut tx, &self.identities, &step, erased, read_at).await?;
        crate::batches::settle_quarantine(&mut tx, &step, batch, now).await?;
        remove(&mut tx, reader, answered).await?;
        tx.commit().await?;
        Ok(ToldCommitted::Done)
    }

    /// Puts off records that no answer spoke of. Those of which something was told since are due as
    /// before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_off_told(
        &self,
        reader: &ToldReader,
        open: &[(DueRecord, Duration)],
    ) -> Result<(), StoreError> {
        let ids: Vec<i64> = open.iter().map(|(due, _)| due.id.get()).collect();
        let seqs: Vec<i64> = open.iter().map(|(due, _)| due.seq).collect();
        let seconds: Vec<f64> = open.iter().map(|(_, wait)| wait.as_secs_f64()).collect();
        sqlx::query!(
            "update webhook_record w
             set attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => t.wait)
             from unnest($4::bigint[], $5::bigint[], $6::float8[]) as t (id, seq, wait)
             where w.workspace_id = $1 and w.portal_id = $2 and w.object_type = $3
               and w.object_id = t.id and w.object_id = any($4) and w.seq = t.seq",
            reader.workspace.as_uuid(),
            reader.portal.get(),
            type_number(reader.object_type),
            &ids,
            &seqs,
            &seconds
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Removes records that nobody will read: HubSpot refuses them, or they were asked for in vain for
    /// too long. The periodic sync and the reconciliation stay.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_told(
        &self,
        reader: &ToldReader,
        given_up: &[DueRecord],
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        remove(&mut tx, reader, given_up).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Removes everything that waits of a workspace. Says how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_all_told(&self, workspace: WorkspaceId) -> Result<u64, StoreError> {
        let gone = sqlx::query!(
            "delete from webhook_record where workspace_id = $1",
            workspace.as_uuid()
        )
        .execute(&self.pool)
        .await?;
        Ok(gone.rows_affected())
    }

    /// Connected workspaces of which a record has been due for `overdue_for`; in pages by workspace.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn told_to_sweep(
        &self,
        after: Option<WorkspaceId>,
        overdue_for: Duration,
        limit: u32,
    ) -> Result<Vec<Swept<DueWorkspace>>, StoreError> {
        let rows = sqlx::query!(
            "select c.workspace_id, c.portal_id from connection c
             where c.state = 'connected' and ($1::uuid is null or c.workspace_id > $1)
               and exists (select 1 from webhook_record r
                 where r.workspace_id = c.workspace_id and r.portal_id = c.portal_id
                   and r.due_at < clock_timestamp() - make_interval(secs => $3))
             order by c.workspace_id limit $2",
            after.map(|w| w.as_uuid()),
            i64::from(limit),
            overdue_for.as_secs_f64()
        )
        .fetch_all(&self.control)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let workspace = WorkspaceId::new(row.workspace_id);
                let due = portal_of(row.portal_id).map(|portal| DueWorkspace { workspace, portal });
                Swept {
                    workspace,
                    row: due,
                }
            })
            .collect())
    }

    /// How many records wait over all workspaces, and for how long the oldest of them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn told_waiting(&self) -> Result<(u64, Duration), StoreError> {
        let row = sqlx::query!(
            "select count(*) as \"n!\",
               coalesce(extract(epoch from clock_timestamp() - min(r.first_at)), 0)::float8 as \"oldest!\"
             from webhook_record r
             join connection c on c.workspace_id = r.workspace_id and c.portal_id = r.portal_id
               and c.state = 'connected'"
        )
        .fetch_one(&self.control)
        .await?;
        let oldest = Duration::try_from_secs_f64(row.oldest.max(0.0)).unwrap_or_default();
        Ok((count(row.n), oldest))
    }
}

/// Removes records of which nothing was told since they were taken, in one order.
async fn remove(
    tx: &mut Transaction<'static, Postgres>,
    reader: &ToldReader,
    taken: &[DueRecord],
) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = taken.iter().map(|due| due.id.get()).collect();
    let seqs: Vec<i64> = taken.iter().map(|due| due.seq).collect();
    sqlx::query!(
        "delete from webhook_record where ctid = any(array(
           select w.ctid from webhook_record w
           join unnest($4::bigint[], $5::bigint[]) as t (id, seq) on t.id = w.object_id and t.seq = w.seq
           where w.workspace_id = $1 and w.portal_id = $2 and w.object_type = $3 and w.object_id = any($4)
           order by w.object_id for update of w))",
        reader.workspace.as_uuid(),
        reader.portal.get(),
        type_number(reader.object_type),
        &ids,
        &seqs
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
