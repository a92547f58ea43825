//! Writing entries: committed before the write that they are about, closed after it together with what
//! it brought (design §4.2).

use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    Epoch, HubSpotObjectId, ObjectType, PortalId, Purpose, SyncType, WorkspaceId,
    app::{LeadStatus, PersonId, RecordKind},
    export::{
        RequestId, RequestOutcome,
        journal::{Entry, EntryId, Subject},
    },
    linking::LinkOrigin,
};
use sqlx::PgConnection;

use super::row::{self, EntryRow, JournalRow};
use crate::{
    Associated, ClaimHold, FoundBy, MirrorRow, Store, StoreError, ToldRecord, WriterHold,
    batches::{Batch, RecordRows, Rows},
    company_claims, erasure,
    export_drain::{self, RequestsEnd},
    links::Of,
    mirror,
    person_writer::WRITER_HOLD,
    relink,
    steps::Step,
};

/// Entries about one person or company that later plans look back on, at most.
const LOOK_BACK: i64 = 200;

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
    /// The record was written since it was read: what was planned is planned again.
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

/// How long an open entry keeps others from the record; one that is older has landed or never will.
const WRITES_FOR: std::time::Duration = std::time::Duration::from_secs(300);

/// A record of the app that is linked.
#[derive(Debug, Clone)]
pub struct LinkWrite {
    /// Of which kind it is.
    pub record: RecordKind,
    /// The app's id.
    pub id: String,
    /// To this record.
    pub to: HubSpotObjectId,
    /// How it was found.
    pub origin: LinkOrigin,
}

/// An entry that is done, with all that follows from it.
#[derive(Debug)]
pub struct CloseEntry {
    /// Whose entry.
    pub workspace: WorkspaceId,
    /// Of which portal.
    pub portal: PortalId,
    /// In which epoch the write was sent.
    pub epoch: Epoch,
    /// Which entry.
    pub entry: EntryId,
    /// The record that was written.
    pub record: HubSpotObjectId,
    /// The record as HubSpot answered.
    pub mirror: Option<(ObjectType, MirrorRow)>,
    /// The company that a contact was associated with by it.
    pub associated: Option<Associated>,
    /// A moment before the write, by the database's clock.
    pub read_at: DateTime<Utc>,
    /// What is linked by it.
    pub link: Option<LinkWrite>,
    /// The day that it counts for, in the portal's time zone.
    pub day: NaiveDate,
}

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
        let columns = row::columns(entry)?;
        let mut tx = self.pool.begin().await?;
        // Whoever is erased meanwhile waits for this, or this finds the person gone.
        erasure::hold_shared(&mut tx, hold.workspace).await?;
        let open = sqlx::query_scalar!(
            "select exists (select 1 from connection
               where workspace_id = $1 and epoch = $2 and portal_id = $3 and state = 'connected') as \"open!\"",
            hold.workspace.as_uuid(),
            epoch.get(),
            portal.get()
        )
        .fetch_one(&mut *tx)
        .await?;
        if !open {
            return Ok(Opened::Fenced);
        }
        let held = sqlx::query!(
            "update person_writer w set held_until = clock_timestamp() + make_interval(secs => $4)
             where w.workspace_id = $1 and w.person_id = $2 and w.generation = $3
               and exists (select 1 from app_person p where p.workspace_id = $1 and p.person_id = $2)",
            hold.workspace.as_uuid(),
            hold.person.as_str(),
            hold.generation,
            WRITER_HOLD.as_secs_f64()
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if held == 0 {
            return Ok(Opened::Lost);
        }
        match (guard, columns.object_id) {
            (Some(Guard::Making(claim)), _) => {
                let entry = columns.entry_id;
                if !company_claims::begin_making(&mut tx, claim, hold.workspace, entry).await? {
                    return Ok(Opened::Lost);
                }
            }
            (Some(Guard::AsOf(read_at)), Some(record)) => {
                let object = (columns.object_type, record);
                if let Some(other) = written_since(&mut tx, portal, object, read_at).await? {
                    return Ok(other);
                }
            }
            (Some(Guard::AsOf(_)) | None, _) => {}
        }
        sqlx::query!(
            "insert into export_journal
               (workspace_id, entry_id, portal_id, person_id, subject_kind, subject_id, cause, operation,
                object_type, object_id, written, state, opened_at, sent_at)
             values ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8::text::jsonb, $9, $10, $11::text::jsonb, 'open',
                clock_timestamp(), clock_timestamp())",
            hold.workspace.as_uuid(),
            columns.entry_id,
            portal.get(),
            hold.person.as_str(),
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
        tx.commit().await?;
        Ok(Opened::Open)
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

    /// Closes an entry as done, and writes what follows from it in the same transaction: the mirror, the
    /// link, the claim, the day's count. One that is closed already stays as it is.
    ///
    /// # Errors
    /// When the database fails; the entry stays open then.
    pub async fn close_entry_done(&self, close: CloseEntry) -> Result<(), StoreError> {
        match self.try_close(&close, true).await {
            // What HubSpot made of the values cannot be stored: the next reading says why.
            Err(error) if error.is_bad_value() => self.try_close(&close, false).await,
            other => other,
        }
    }

    async fn try_close(&self, close: &CloseEntry, with_mirror: bool) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, close.workspace).await?;
        let closed = sqlx::query_scalar!(
            "update export_journal set state = 'done', object_id = $3, closed_at = clock_timestamp()
             where workspace_id = $1 and entry_id = $2 and state = 'open'
             returning operation ?| array['associate', 'empty'] as \"uncounted!\"",
            close.workspace.as_uuid(),
            close.entry.as_uuid(),
            close.record.get()
        )
        .fetch_optional(&mut *tx)
        .await?;
        company_claims::end_making(
            &mut tx,
            close.portal,
            close.workspace,
            close.entry.as_uuid(),
            Some(close.record),
        )
        .await?;
        let step = Step {
            workspace: close.workspace,
            portal: close.portal,
            epoch: close.epoch,
            run: None,
            sync_type: sync_type_of(
                close
                    .mirror
                    .as_ref()
                    .map_or(ObjectType::Contact, |(of, _)| *of),
            ),
            purpose: Purpose::Run,
            range: None,
            expected_version: 0,
            position: None,
            finished: false,
            newest: None,
            served_at: None,
        };
        if closed == Some(false) {
            sqlx::query!(
                "insert into export_day as d (workspace_id, portal_id, day, records) values ($1, $2, $3, 1)
                 on conflict (workspace_id, portal_id, day) do update set records = d.records + 1",
                close.workspace.as_uuid(),
                close.portal.get(),
                close.day
            )
            .execute(&mut *tx)
            .await?;
        }
        if let Some((object_type, mirrored)) = close.mirror.as_ref().filter(|_| with_mirror) {
            let mut records = RecordRows::none(*object_type);
            records.found_by = FoundBy::Direct;
            records.rows.push(mirrored.clone());
            let mut batch = Batch::new(close.read_at, Rows::Records(records), Vec::new());
            erasure::take_out_erased(&mut tx, &self.identities, &step, &mut batch).await?;
            if let Rows::Records(records) = &mut batch.rows {
                mirror::write_records(&mut tx, &self.identities, &step, records, close.read_at)
                    .await?;
            }
        }
        if let Some(made) = close.associated.filter(|_| with_mirror) {
            mirror::add_company(&mut tx, &step, made, close.read_at).await?;
        }
        if let Some(link) = &close.link {
            put_link(&mut tx, close.workspace, close.portal, link).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Closes an entry of another workspace of the portal, which made a company.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn close_foreign_entry(
        &self,
        workspace: WorkspaceId,
        entry: EntryId,
        record: HubSpotObjectId,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let portal = sqlx::query_scalar!(
            "update export_journal set state = 'done', object_id = $3, closed_at = clock_timestamp()
             where workspace_id = $1 and entry_id = $2 and state = 'open' returning portal_id",
            workspace.as_uuid(),
            entry.as_uuid(),
            record.get()
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(portal) = portal {
            let portal = PortalId::new(portal).map_err(|_| StoreError::Corrupt("portal"))?;
            let id = entry.as_uuid();
            company_claims::end_making(&mut tx, portal, workspace, id, Some(record)).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Closes an entry that HubSpot refused.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refuse_entry(
        &self,
        workspace: WorkspaceId,
        entry: EntryId,
        code: &'static str,
    ) -> Result<(), StoreError> {
        self.end_entry(workspace, entry, "refused", Some(code))
            .await
    }

    /// Closes an entry that was certainly not acted on, or had its time and did not land.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_entry(
        &self,
        workspace: WorkspaceId,
        entry: EntryId,
    ) -> Result<(), StoreError> {
        self.end_entry(workspace, entry, "dropped", None).await
    }

    async fn end_entry(
        &self,
        workspace: WorkspaceId,
        entry: EntryId,
        state: &'static str,
        code: Option<&'static str>,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let portal = sqlx::query_scalar!(
            "update export_journal set state = $3, error_code = $4, closed_at = clock_timestamp()
             where workspace_id = $1 and entry_id = $2 and state = 'open' returning portal_id",
            workspace.as_uuid(),
            entry.as_uuid(),
            state,
            code
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(portal) = portal {
            let portal = PortalId::new(portal).map_err(|_| StoreError::Corrupt("portal"))?;
            company_claims::end_making(&mut tx, portal, workspace, entry.as_uuid(), None).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Links a record of ours to which nothing had to be written.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn write_link(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        link: &LinkWrite,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        put_link(&mut tx, workspace, portal, link).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends the requests of an export that HubSpot has, and notes what it has.
    ///
    /// # Errors
    /// When the database fails.
    #[expect(
        clippy::too_many_arguments,
        reason = "what is known at the end of an export"
    )]
    pub async fn end_exported(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        person: &PersonId,
        contact: HubSpotObjectId,
        status_said: Option<LeadStatus>,
        look_again: Option<(HubSpotObjectId, std::time::Duration)>,
        requests: &[RequestId],
        end: &RequestsEnd,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        let known = sqlx::query!(
            "insert into exported_person as e
               (workspace_id, portal_id, person_id, contact_id, status_said, exported_at, last_exported_at)
             select $1, $2, person_id, $4, $5, clock_timestamp(), clock_timestamp()
             from app_person where workspace_id = $1 and person_id = $3
             on conflict (workspace_id, portal_id, person_id) do update set
               contact_id = excluded.contact_id, status_said = excluded.status_said,
               last_exported_at = excluded.last_exported_at",
            workspace.as_uuid(),
            portal.get(),
            person.as_str(),
            contact.get(),
            status_said.map(|s| s.as_str())
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if let Some((company, wait)) = look_again.filter(|_| known > 0) {
            sqlx::query!(
                "insert into export_recheck
                   (workspace_id, portal_id, person_id, contact_id, company_id, was_primary, due_at)
                 values ($1, $2, $3, $4, $5, true, clock_timestamp() + make_interval(secs => $6))
                 on conflict (workspace_id, portal_id, contact_id) do nothing",
                workspace.as_uuid(),
                portal.get(),
                person.as_str(),
                contact.get(),
                company.get(),
                wait.as_secs_f64()
            )
            .execute(&mut *tx)
            .await?;
        }
        let outcome = RequestOutcome::Exported {
            hubspot_id: contact,
        };
        export_drain::turn(&mut tx, workspace, requests, outcome, end).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Entries of a person's exports that somebody left open, but for those about activities, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for one that cannot be read: nothing is written before it can.
    pub async fn open_entries(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query_as!(
            EntryRow,
            "select entry_id, portal_id, person_id, subject_kind, subject_id, cause::text as \"cause!\",
               operation::text as \"operation!\", object_id, written::text as \"written!\", state, error_code,
               opened_at, sent_at, closed_at
             from export_journal where workspace_id = $1 and person_id = $2 and state = 'open'
               and subject_kind <> 'activity'
             order by entry_id",
            workspace.as_uuid(),
            person.as_str()
        )
        .fetch_all(&self.pool)
        .await?;
        read_all(rows)
    }

    /// What was written about a person or company of the app, oldest first: the last of it.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for an entry that cannot be read.
    pub async fn entries_about(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        subject: &Subject,
    ) -> Result<Vec<Entry>, StoreError> {
        let (kind, id) = row::subject_columns(subject);
        let mut rows = sqlx::query_as!(
            EntryRow,
            "select entry_id, portal_id, person_id, subject_kind, subject_id, cause::text as \"cause!\",
               operation::text as \"operation!\", object_id, written::text as \"written!\", state, error_code,
               opened_at, sent_at, closed_at
             from export_journal
             where workspace_id = $1 and portal_id = $2 and subject_kind = $3 and subject_id = $4
             order by entry_id desc limit $5",
            workspace.as_uuid(),
            portal.get(),
            kind,
            id,
            LOOK_BACK
        )
        .fetch_all(&self.pool)
        .await?;
        rows.reverse();
        read_all(rows)
    }

    /// HubSpot did not know a company that the mirror has: what became of it is read as what webhooks tell
    /// of.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn doubt_company(
        &self,
        portal: PortalId,
        company: HubSpotObjectId,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update company_claim set company_id = null where portal_id = $1 and company_id = $2",
            portal.get(),
            company.get()
        )
        .execute(&self.pool)
        .await?;
        let told = ToldRecord {
            portal,
            object_type: ObjectType::Company,
            id: company,
            privacy: false,
        };
        self.note_told(&[told], std::time::Duration::ZERO).await?;
        Ok(())
    }
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

fn read_all(rows: Vec<EntryRow>) -> Result<Vec<Entry>, StoreError> {
    rows.into_iter()
        .map(|row| JournalRow::try_from(row).map(|row| row.entry))
        .collect()
}

const fn sync_type_of(object_type: ObjectType) -> SyncType {
    match object_type {
        ObjectType::Company => SyncType::Companies,
        _ => SyncType::Contacts,
    }
}

async fn put_link(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portal: PortalId,
    link: &LinkWrite,
) -> Result<(), StoreError> {
    // Of whom was erased meanwhile nothing is kept.
    if link.record == RecordKind::Person {
        let known = sqlx::query_scalar!(
            "select exists (select 1 from app_person where workspace_id = $1 and person_id = $2) as \"known!\"",
            workspace.as_uuid(),
            link.id
        )
        .fetch_one(&mut *tx)
        .await?;
        if !known {
            return Ok(());
        }
    }
    let of = Of {
        workspace,
        portal,
        record: link.record,
    };
    relink::write_links(
        tx,
        of,
        std::slice::from_ref(&link.id),
        &[link.to.get()],
        &[link.origin.as_str().to_owned()],
    )
    .await
}
