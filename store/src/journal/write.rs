//! Writing entries: committed before the write that they are about, closed after it together with what
//! it brought (design §4.2).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    Epoch, HubSpotObjectId, ObjectType, PortalId, Purpose, SyncType, WorkspaceId,
    app::{LeadStatus, PersonId, RecordKind},
    export::{
        RequestId, RequestOutcome,
        journal::{Entry, EntryId, Operation, Subject},
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

/// The end of an export that HubSpot has.
#[derive(Debug)]
pub struct ExportEnd {
    /// Whose.
    pub person: PersonId,
    /// The contact.
    pub contact: HubSpotObjectId,
    /// The status that HubSpot knows of.
    pub status_said: Option<LeadStatus>,
    /// The company to look for again, and in how long.
    pub look_again: Option<(HubSpotObjectId, std::time::Duration)>,
    /// The requests that end by it.
    pub requests: Vec<RequestId>,
    /// What is said besides.
    pub end: RequestsEnd,
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
        let mut tx = self.pool.begin().await?;
        // Whoever is erased meanwhile waits for this, or this finds the person gone.
        erasure::hold_shared(&mut tx, hold.workspace).await?;
        if !is_open(&mut tx, hold.workspace, portal, epoch).await? {
            return Ok(Opened::Fenced);
        }
        if renew_in(&mut tx, hold.workspace, &[hold]).await?.is_empty() {
            return Ok(Opened::Lost);
        }
        let new = NewEntry { hold, entry, guard };
        let opened = open_in(&mut tx, portal, &new).await?;
        if opened == Opened::Open {
            tx.commit().await?;
        }
        Ok(opened)
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
        let step = step_of(close);
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

    /// Closes entries of one kind of record as done, all in one transaction where that goes. What HubSpot made
    /// of one record's values and cannot be stored keeps no other from being closed.
    ///
    /// # Errors
    /// When the database fails; entries that are not closed stay open then.
    pub async fn close_entries_done(&self, close: Vec<CloseEntry>) -> Result<(), StoreError> {
        if close.is_empty() {
            return Ok(());
        }
        match self.try_close_all(&close).await {
            Err(error) if error.is_bad_value() => {
                for one in close {
                    self.close_entry_done(one).await?;
                }
                Ok(())
            }
            other => other,
        }
    }

    async fn try_close_all(&self, close: &[CloseEntry]) -> Result<(), StoreError> {
        let Some(first) = close.first() else {
            return Ok(());
        };
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, first.workspace).await?;
        let ids: Vec<uuid::Uuid> = close.iter().map(|c| c.entry.as_uuid()).collect();
        let records: Vec<i64> = close.iter().map(|c| c.record.get()).collect();
        let closed = sqlx::query!(
            "update export_journal j set state = 'done', object_id = t.record, closed_at = clock_timestamp()
             from unnest($2::uuid[], $3::bigint[]) as t (id, record)
             where j.workspace_id = $1 and j.entry_id = t.id and j.state = 'open'
             returning j.operation ?| array['associate', 'empty'] as \"uncounted!\"",
            first.workspace.as_uuid(),
            &ids,
            &records
        )
        .fetch_all(&mut *tx)
        .await?;
        let counted = closed.iter().filter(|row| !row.uncounted).count();
        if counted > 0 {
            sqlx::query!(
                "insert into export_day as d (workspace_id, portal_id, day, records) values ($1, $2, $3, $4)
                 on conflict (workspace_id, portal_id, day) do update set records = d.records + excluded.records",
                first.workspace.as_uuid(),
                first.portal.get(),
                first.day,
                i64::try_from(counted).unwrap_or(i64::MAX)
            )
            .execute(&mut *tx)
            .await?;
        }
        let step = step_of(first);
        for one in close {
            if one
                .mirror
                .as_ref()
                .is_some_and(|(of, _)| *of == ObjectType::Company)
            {
                company_claims::end_making(
                    &mut tx,
                    one.portal,
                    one.workspace,
                    one.entry.as_uuid(),
                    Some(one.record),
                )
                .await?;
            }
        }
        let mirrored: Vec<&(ObjectType, MirrorRow)> =
            close.iter().filter_map(|c| c.mirror.as_ref()).collect();
        // The earliest, so that nothing which was read meanwhile counts as older than it is.
        let read_at = close
            .iter()
            .map(|c| c.read_at)
            .min()
            .unwrap_or(first.read_at);
        if let Some((object_type, _)) = mirrored.first() {
            let mut records = RecordRows::none(*object_type);
            records.found_by = FoundBy::Direct;
            records.rows = mirrored.iter().map(|(_, row)| row.clone()).collect();
            records.rows.sort_by_key(|row| row.id);
            records.rows.dedup_by_key(|row| row.id);
            let mut batch = Batch::new(read_at, Rows::Records(records), Vec::new());
            erasure::take_out_erased(&mut tx, &self.identities, &step, &mut batch).await?;
            if let Rows::Records(records) = &mut batch.rows {
                mirror::write_records(&mut tx, &self.identities, &step, records, read_at).await?;
            }
        }
        for made in close.iter().filter_map(|c| c.associated) {
            mirror::add_company(&mut tx, &step, made, read_at).await?;
        }
        for link in close.iter().filter_map(|c| c.link.as_ref()) {
            put_link(&mut tx, first.workspace, first.portal, link).await?;
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

    /// The same for the people of a batch, in one transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_exported_together(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        ends: &[ExportEnd],
    ) -> Result<(), StoreError> {
        if ends.is_empty() {
            return Ok(());
        }
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        let people: Vec<&str> = ends.iter().map(|end| end.person.as_str()).collect();
        let contacts: Vec<i64> = ends.iter().map(|end| end.contact.get()).collect();
        let said: Vec<Option<&str>> = ends
            .iter()
            .map(|end| end.status_said.map(|s| s.as_str()))
            .collect();
        sqlx::query!(
            "insert into exported_person as e
               (workspace_id, portal_id, person_id, contact_id, status_said, exported_at, last_exported_at)
             select $1, $2, p.person_id, t.contact, t.said, clock_timestamp(), clock_timestamp()
             from unnest($3::text[], $4::bigint[], $5::text[]) as t (id, contact, said)
             cross join lateral (select person_id from app_person
               where workspace_id = $1 and person_id = t.id limit 1) p
             on conflict (workspace_id, portal_id, person_id) do update set
               contact_id = excluded.contact_id, status_said = excluded.status_said,
               last_exported_at = excluded.last_exported_at",
            workspace.as_uuid(),
            portal.get(),
            &people as &[&str],
            &contacts,
            &said as &[Option<&str>]
        )
        .execute(&mut *tx)
        .await?;
        let again: Vec<&ExportEnd> = ends.iter().filter(|end| end.look_again.is_some()).collect();
        let people: Vec<&str> = again.iter().map(|end| end.person.as_str()).collect();
        let contacts: Vec<i64> = again.iter().map(|end| end.contact.get()).collect();
        let look = |end: &&ExportEnd| end.look_again;
        let companies: Vec<i64> = again
            .iter()
            .filter_map(look)
            .map(|(c, _)| c.get())
            .collect();
        let waits: Vec<f64> = again
            .iter()
            .filter_map(look)
            .map(|(_, w)| w.as_secs_f64())
            .collect();
        sqlx::query!(
            "insert into export_recheck
               (workspace_id, portal_id, person_id, contact_id, company_id, was_primary, due_at)
             select $1, $2, p.person_id, t.contact, t.company, true,
               clock_timestamp() + make_interval(secs => t.wait)
             from unnest($3::text[], $4::bigint[], $5::bigint[], $6::float8[]) as t (id, contact, company, wait)
             cross join lateral (select person_id from app_person
               where workspace_id = $1 and person_id = t.id limit 1) p
             on conflict (workspace_id, portal_id, contact_id) do nothing",
            workspace.as_uuid(),
            portal.get(),
            &people as &[&str],
            &contacts,
            &companies,
            &waits
        )
        .execute(&mut *tx)
        .await?;
        let mut requests: Vec<uuid::Uuid> = Vec::new();
        let mut of: Vec<i64> = Vec::new();
        let mut codes: Vec<Option<&str>> = Vec::new();
        let mut properties: Vec<Option<String>> = Vec::new();
        for end in ends {
            for request in &end.requests {
                requests.push(request.as_uuid());
                of.push(end.contact.get());
                codes.push(end.end.error_code);
                let names = Some(&end.end.properties).filter(|names| !names.is_empty());
                properties.push(names.map(|names| names.join(",")));
            }
        }
        sqlx::query!(
            "update export_request r set state = 'exported', reason = null, due_at = null, hubspot_id = t.contact,
               error_code = t.code, properties = string_to_array(t.properties, ','), attempts = 0,
               changed_at = clock_timestamp()
             from unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[]) as t (id, contact, code, properties)
             where r.workspace_id = $1 and r.id = t.id and r.state in ('accepted', 'waiting')",
            workspace.as_uuid(),
            &requests,
            &of,
            &codes as &[Option<&str>],
            &properties as &[Option<String>]
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Entries that somebody left open in exports of these people, but for those about activities, oldest
    /// first.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for one that cannot be read.
    pub async fn open_entries_of(
        &self,
        workspace: WorkspaceId,
        people: &[PersonId],
    ) -> Result<BTreeMap<PersonId, Vec<Entry>>, StoreError> {
        let ids: Vec<&str> = people.iter().map(PersonId::as_str).collect();
        let rows = sqlx::query_as!(
            EntryRow,
            "select j.entry_id as \"entry_id!\", j.portal_id as \"portal_id!\", j.person_id as \"person_id!\",
               j.subject_kind as \"subject_kind!\", j.subject_id as \"subject_id!\", j.cause::text as \"cause!\",
               j.operation::text as \"operation!\", j.object_id, j.written::text as \"written!\",
               j.state as \"state!\", j.error_code, j.opened_at as \"opened_at!\", j.sent_at, j.closed_at
             from unnest($2::text[]) as t (id)
             cross join lateral (select * from export_journal j
               where j.workspace_id = $1 and j.person_id = t.id and j.state = 'open'
                 and j.subject_kind <> 'activity' offset 0) j
             order by j.entry_id",
            workspace.as_uuid(),
            &ids as &[&str]
        )
        .fetch_all(&self.pool)
        .await?;
        let mut open: BTreeMap<PersonId, Vec<Entry>> = BTreeMap::new();
        for row in rows {
            let row = JournalRow::try_from(row)?;
            if let Some(person) = row.person {
                open.entry(person).or_default().push(row.entry);
            }
        }
        Ok(open)
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

/// The step as which what is closed is written to the mirror.
fn step_of(close: &CloseEntry) -> Step {
    let of = close.mirror.as_ref().map(|(of, _)| *of);
    Step {
        workspace: close.workspace,
        portal: close.portal,
        epoch: close.epoch,
        run: None,
        sync_type: sync_type_of(of.unwrap_or(ObjectType::Contact)),
        purpose: Purpose::Run,
        range: None,
        expected_version: 0,
        position: None,
        finished: false,
        newest: None,
        served_at: None,
    }
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
