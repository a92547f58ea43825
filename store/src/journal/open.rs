//! Opening entries: committed before the write that they are about (design §4.2).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{
    Epoch, HubSpotObjectId, PortalId, WorkspaceId,
    app::ActivityId,
    export::journal::{Entry, EntryId, Operation, Subject},
};
use sqlx::PgConnection;

use super::row;
use crate::{
    ClaimHold, Store, StoreError, WriterHold, company_claims, erasure, person_writer::WRITER_HOLD,
};

/// What came of committing an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// It is there, and counts as sent from now on.
    Open,
    /// The connection is another one: nothing is sent.
    Fenced,
    /// Somebody else writes about the person, or makes the company.
    Lost,
    /// Somebody else writes the record now.
    Busy,
    /// The record was written since it was read, or the engagement was made: what was planned is planned again.
    Changed,
}

/// What an entry stands on besides the hold on its person.
#[derive(Debug, Clone, Copy)]
pub enum Guard<'h> {
    /// The claim of the company that it makes.
    Making(&'h ClaimHold),
    /// The moment, by the database's clock, before the record that it updates was read: whoever shares the
    /// record with others writes only what nobody else of ours wrote meanwhile.
    AsOf(DateTime<Utc>),
}

/// An entry to commit before its write is sent.
#[derive(Debug, Clone, Copy)]
pub struct NewEntry<'h> {
    /// The hold on the person in whose export it is made.
    pub hold: &'h WriterHold,
    /// The entry.
    pub entry: &'h Entry,
    /// What it stands on besides.
    pub guard: Option<Guard<'h>>,
}

/// How long an open entry keeps others from the record; one that is older has landed or never will.
const WRITES_FOR: std::time::Duration = std::time::Duration::from_secs(300);

impl Store {
    /// Commits an entry before its write is sent, and renews the hold on the person. The entry counts as
    /// sent from now on: nobody writes the same again before it had time to land.
    ///
    /// # Errors
    /// When the database fails; nothing may be sent then.
    pub async fn open_entry(
        &self,
        hold: &WriterHold,
        portal: PortalId,
        epoch: Epoch,
        entry: &Entry,
        guard: Option<Guard<'_>>,
    ) -> Result<Opened, StoreError> {
        let new = NewEntry { hold, entry, guard };
        let mut opened = self
            .open_entries_together(hold.workspace, portal, epoch, &[new])
            .await?;
        Ok(opened.pop().unwrap_or(Opened::Lost))
    }

    /// The same for the writes of a batch, in one transaction: each entry is there, or is not and says why.
    /// In the order given.
    ///
    /// # Errors
    /// When the database fails; nothing may be sent then.
    pub async fn open_entries_together(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        epoch: Epoch,
        entries: &[NewEntry<'_>],
    ) -> Result<Vec<Opened>, StoreError> {
        let mut tx = self.pool.begin().await?;
        // Whoever is erased meanwhile waits for this, or this finds the person gone.
        erasure::hold_shared(&mut tx, workspace).await?;
        if !is_open(&mut tx, workspace, portal, epoch).await? {
            return Ok(vec![Opened::Fenced; entries.len()]);
        }
        let holds: Vec<&WriterHold> = entries.iter().map(|new| new.hold).collect();
        let held = renew_in(&mut tx, workspace, &holds).await?;
        let mut order: Vec<(usize, &NewEntry<'_>)> = entries.iter().enumerate().collect();
        order.retain(|(_, new)| held.contains(new.hold.person.as_str()));
        // Records are held until the end.
        order.sort_by_key(|(_, new)| updated(&new.entry.operation));
        let mut opened = vec![Opened::Lost; entries.len()];
        for (place, new) in order {
            let outcome = open_in(&mut tx, portal, new).await?;
            if let Some(at) = opened.get_mut(place) {
                *at = outcome;
            }
        }
        tx.commit().await?;
        Ok(opened)
    }

    /// The outcome of an open entry's write is unknown: it may have left as late as now, since whoever
    /// sends waits for the budget before. What it takes to land counts from here.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sent_until_now(
        &self,
        workspace: WorkspaceId,
        entry: EntryId,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update export_journal set sent_at = clock_timestamp()
             where workspace_id = $1 and entry_id = $2 and state = 'open'",
            workspace.as_uuid(),
            entry.as_uuid()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// The record that an operation updates.
const fn updated(operation: &Operation) -> Option<HubSpotObjectId> {
    match operation {
        Operation::Update(_, record) => Some(*record),
        _ => None,
    }
}

/// Whether the connection is the one that a write was planned for.
async fn is_open(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portal: PortalId,
    epoch: Epoch,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        "select exists (select 1 from connection
           where workspace_id = $1 and epoch = $2 and portal_id = $3 and state = 'connected') as \"open!\"",
        workspace.as_uuid(),
        epoch.get(),
        portal.get()
    )
    .fetch_one(tx)
    .await
}

/// Renews holds on people whom the app still has, in one order, so that nobody waits crosswise. Says whose.
async fn renew_in(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    holds: &[&WriterHold],
) -> Result<BTreeSet<String>, sqlx::Error> {
    let people: Vec<&str> = holds.iter().map(|hold| hold.person.as_str()).collect();
    let generations: Vec<i64> = holds.iter().map(|hold| hold.generation).collect();
    let held = sqlx::query_scalar!(
        "update person_writer w set held_until = clock_timestamp() + make_interval(secs => $4)
         from (select p.person_id from (select distinct id, generation
               from unnest($2::text[], $3::bigint[]) as u (id, generation)) t
           cross join lateral (select p.person_id from person_writer p
             where p.workspace_id = $1 and p.person_id = t.id and p.generation = t.generation
               and exists (select 1 from app_person a where a.workspace_id = $1 and a.person_id = t.id)
             limit 1) p
           order by p.person_id) held
         where w.workspace_id = $1 and w.person_id = held.person_id
         returning w.person_id",
        workspace.as_uuid(),
        &people as &[&str],
        &generations,
        WRITER_HOLD.as_secs_f64()
    )
    .fetch_all(tx)
    .await?;
    Ok(held.into_iter().collect())
}

/// Writes an entry of a person who is held, where its record may be written.
async fn open_in(
    tx: &mut PgConnection,
    portal: PortalId,
    new: &NewEntry<'_>,
) -> Result<Opened, StoreError> {
    let columns = row::columns(new.entry)?;
    match (new.guard, columns.object_id) {
        (Some(Guard::Making(claim)), _) => {
            let entry = columns.entry_id;
            if !company_claims::begin_making(tx, claim, new.hold.workspace, entry).await? {
                return Ok(Opened::Lost);
            }
        }
        (Some(Guard::AsOf(read_at)), Some(record)) => {
            let object = (columns.object_type, record);
            if let Some(other) = written_since(tx, portal, object, read_at).await? {
                return Ok(other);
            }
        }
        (Some(Guard::AsOf(_)) | None, _) => {}
    }
    if let (Subject::Activity(activity), Operation::Create(_)) =
        (&new.entry.subject, &new.entry.operation)
        && may_be_made(tx, new.hold.workspace, portal, activity).await?
    {
        return Ok(Opened::Changed);
    }
    sqlx::query!(
        "insert into export_journal
           (workspace_id, entry_id, portal_id, person_id, subject_kind, subject_id, cause, operation,
            object_type, object_id, written, state, opened_at, sent_at)
         values ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8::text::jsonb, $9, $10, $11::text::jsonb, 'open',
            clock_timestamp(), clock_timestamp())",
        new.hold.workspace.as_uuid(),
        columns.entry_id,
        portal.get(),
        new.hold.person.as_str(),
        columns.subject_kind,
        columns.subject_id,
        columns.cause,
        columns.operation,
        columns.object_type,
        columns.object_id,
        columns.written
    )
    .execute(&mut *tx)
    .await?;
    Ok(Opened::Open)
}

/// Whether the portal has an engagement of an activity already, or may have: whoever had the person before
/// notes what came of its writes also when others have them. One that is noted is no longer open, so both
/// are asked at once.
async fn may_be_made(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portal: PortalId,
    activity: &ActivityId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        "select exists (select 1 from logged_activity l
             where l.workspace_id = $1 and l.portal_id = $2 and l.activity_id = $3)
           or exists (select 1 from export_journal j
             where j.workspace_id = $1 and j.portal_id = $2 and j.subject_kind = 'activity'
               and j.subject_id = $3 and j.state = 'open') as \"may_be!\"",
        workspace.as_uuid(),
        portal.get(),
        activity.as_str()
    )
    .fetch_one(tx)
    .await
}

/// What keeps a record of the portal from being written by what was read at that moment: others who
/// write it now, or did since. Until the transaction ends nobody else gets an answer.
async fn written_since(
    tx: &mut PgConnection,
    portal: PortalId,
    (object_type, record): (i16, i64),
    read_at: DateTime<Utc>,
) -> Result<Option<Opened>, sqlx::Error> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended(format('write %s %s %s', $1::bigint, $2::smallint, $3::bigint), 0))",
        portal.get(),
        object_type,
        record
    )
    .execute(&mut *tx)
    .await?;
    let others = sqlx::query!(
        "select coalesce(bool_or(w.state = 'open'), false) as \"open!\", count(*) > 0 as \"any!\"
         from connection c cross join lateral (
           select j.state from export_journal j
           where j.workspace_id = c.workspace_id and j.portal_id = $1 and j.object_type = $2 and j.object_id = $3
             and (j.state = 'open' and j.sent_at > clock_timestamp() - make_interval(secs => $5)
               or j.state = 'done' and j.closed_at >= $4)
           offset 0) w
         where c.portal_id = $1",
        portal.get(),
        object_type,
        record,
        read_at,
        WRITES_FOR.as_secs_f64()
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(match (others.open, others.any) {
        (true, _) => Some(Opened::Busy),
        (false, true) => Some(Opened::Changed),
        (false, false) => None,
    })
}
