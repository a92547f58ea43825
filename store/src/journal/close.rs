//! Closing entries: after the write, together with what it brought (design §4.2).

use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    Epoch, HubSpotObjectId, ObjectType, PortalId, Purpose, SyncType, WorkspaceId,
    export::journal::{EntryId, Written},
};

use sqlx::PgConnection;

use super::{LinkWrite, end::put_link, row::json_of};
use crate::{
    Associated, FoundBy, MirrorRow, Store, StoreError,
    batches::{Batch, RecordRows, Rows},
    company_claims, erasure, mirror,
    steps::Step,
};

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
    /// What was written, where HubSpot made something else of it than the entry says.
    pub written: Option<Vec<Written>>,
}

impl Store {
    /// Closes an entry as done, and writes what follows from it in the same transaction: the mirror, the
    /// link, the claim, the day's count. One that is closed already stays as it is.
    ///
    /// # Errors
    /// When the database fails; the entry stays open then.
    pub async fn close_entry_done(&self, close: CloseEntry) -> Result<(), StoreError> {
        let close = std::slice::from_ref(&close);
        match self.try_close(close, true).await {
            // What HubSpot made of the values cannot be stored: the next reading says why.
            Err(error) if error.is_bad_value() => self.try_close(close, false).await,
            other => other,
        }
    }

    /// Closes entries of one kind of record as done, all in one transaction where that goes. What HubSpot made
    /// of one record's values and cannot be stored keeps no other from being closed.
    ///
    /// # Errors
    /// When the database fails; entries that are not closed stay open then.
    pub async fn close_entries_done(&self, close: Vec<CloseEntry>) -> Result<(), StoreError> {
        match self.try_close(&close, true).await {
            Err(error) if error.is_bad_value() => {
                for one in close {
                    self.close_entry_done(one).await?;
                }
                Ok(())
            }
            other => other,
        }
    }

    async fn try_close(&self, close: &[CloseEntry], with_mirror: bool) -> Result<(), StoreError> {
        let Some(first) = close.first() else {
            return Ok(());
        };
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, first.workspace).await?;
        // Whose company a domain is belongs to the portal, and is noted also when the workspace is purged.
        let with_rows = erasure::stays(&mut tx, first.workspace).await?;
        let with_mirror = with_mirror && with_rows;
        let ids: Vec<uuid::Uuid> = close.iter().map(|c| c.entry.as_uuid()).collect();
        let records: Vec<i64> = close.iter().map(|c| c.record.get()).collect();
        let written: Vec<Option<String>> = close
            .iter()
            .map(|c| c.written.as_ref().map(json_of).transpose())
            .collect::<Result<_, StoreError>>()?;
        let closed = sqlx::query!(
            "update export_journal j set state = 'done', object_id = t.record, closed_at = clock_timestamp(),
               written = coalesce(t.written::jsonb, j.written)
             from unnest($2::uuid[], $3::bigint[], $4::text[]) as t (id, record, written)
             where j.workspace_id = $1 and j.entry_id = t.id and j.state = 'open'
             returning j.entry_id, j.operation ?| array['associate', 'empty'] as \"uncounted!\",
               jsonb_path_exists(j.written, '$[*].rule ? (@.rule == \"status\")') as \"tells_status!\"",
            first.workspace.as_uuid(),
            &ids,
            &records,
            &written as &[Option<String>]
        )
        .fetch_all(&mut *tx)
        .await?;
        let told: Vec<uuid::Uuid> = closed
            .iter()
            .filter(|row| row.tells_status)
            .map(|row| row.entry_id)
            .collect();
        if !told.is_empty() {
            note_status(&mut tx, first.workspace, first.portal, &told).await?;
        }
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
        let mirrored: Vec<&(ObjectType, MirrorRow)> = close
            .iter()
            .filter_map(|c| c.mirror.as_ref())
            .filter(|_| with_mirror)
            .collect();
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
        let associated = close.iter().filter_map(|c| c.associated);
        for made in associated.filter(|_| with_mirror) {
            mirror::add_company(&mut tx, &step, made, read_at).await?;
        }
        let links = close.iter().filter_map(|c| c.link.as_ref());
        for link in links.filter(|_| with_rows) {
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

/// What HubSpot was told of a status stands with the write that told it: whoever asked for that may have been
/// superseded before they heard of it. An emptied one was not told. Of whom HubSpot did not have before, the end
/// of the export says it.
async fn note_status(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portal: PortalId,
    entries: &[uuid::Uuid],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update exported_person e set status_said = t.said
         from (select distinct on (j.person_id) j.person_id,
                 case when j.operation ? 'empty' then null else w.status end as said
               from export_journal j
               cross join lateral (select one -> 'rule' ->> 'about' as status
                 from jsonb_array_elements(j.written) one where one -> 'rule' ->> 'rule' = 'status') w
               where j.workspace_id = $1 and j.entry_id = any($3)
               order by j.person_id, j.entry_id desc) t
         where e.workspace_id = $1 and e.portal_id = $2 and e.person_id = t.person_id
           and e.status_said is distinct from t.said",
        workspace.as_uuid(),
        portal.get(),
        entries
    )
    .execute(tx)
    .await?;
    Ok(())
}
