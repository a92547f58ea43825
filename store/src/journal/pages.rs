//! Reading the journal: of a person, of a record, one entry.

use domain::{
    HubSpotObjectId, ObjectType, PortalId, WorkspaceId, app::PersonId, export::journal::EntryId,
};
use sqlx::PgConnection;

use super::row::{EntryRow, JournalRow, NAME};
use crate::{Listed, Store, StoreError, mirror::type_number};

impl Store {
    /// Entries of a person's exports, newest first: what was written about the person, and about
    /// companies for the person's sake.
    pub async fn journal_of_person(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
        after: Option<EntryId>,
        limit: u32,
    ) -> Result<Vec<Listed<JournalRow>>, StoreError> {
        let rows = sqlx::query_as!(
            EntryRow,
            "select entry_id, portal_id, person_id, subject_kind, subject_id, cause::text as \"cause!\",
               operation::text as \"operation!\", object_id, written::text as \"written!\", state,
               error_code, opened_at, sent_at, closed_at
             from (select * from export_journal
               where workspace_id = $1 and person_id = $2 and ($3::uuid is null or entry_id < $3)
               offset 0) mine
             order by entry_id desc limit $4",
            workspace.as_uuid(),
            person.as_str(),
            after.map(|a| a.as_uuid()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| row.listed(workspace)).collect())
    }

    /// Entries that wrote a record of HubSpot's, newest first. One of a new record is among them once
    /// it is known which one that is.
    pub async fn journal_of_record(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
        record: HubSpotObjectId,
        after: Option<EntryId>,
        limit: u32,
    ) -> Result<Vec<Listed<JournalRow>>, StoreError> {
        let rows = sqlx::query_as!(
            EntryRow,
            "select entry_id, portal_id, person_id, subject_kind, subject_id, cause::text as \"cause!\",
               operation::text as \"operation!\", object_id, written::text as \"written!\", state,
               error_code, opened_at, sent_at, closed_at
             from (select * from export_journal
               where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = $4
                 and ($5::uuid is null or entry_id < $5)
               offset 0) its
             order by entry_id desc limit $6",
            workspace.as_uuid(),
            portal.get(),
            type_number(object_type),
            record.get(),
            after.map(|a| a.as_uuid()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| row.listed(workspace)).collect())
    }

    /// One entry.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when it is there and cannot be read.
    pub async fn journal_entry(
        &self,
        workspace: WorkspaceId,
        entry: EntryId,
    ) -> Result<Option<JournalRow>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        self.entry_in(&mut connection, workspace, entry).await
    }

    /// The same, in a transaction.
    pub(crate) async fn entry_in(
        &self,
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        entry: EntryId,
    ) -> Result<Option<JournalRow>, StoreError> {
        sqlx::query_as!(
            EntryRow,
            "select entry_id, portal_id, person_id, subject_kind, subject_id, cause::text as \"cause!\",
               operation::text as \"operation!\", object_id, written::text as \"written!\", state,
               error_code, opened_at, sent_at, closed_at
             from export_journal where workspace_id = $1 and entry_id = $2",
            workspace.as_uuid(),
            entry.as_uuid()
        )
        .fetch_optional(tx)
        .await?
        .map(|row| row.listed(workspace))
        .transpose()
        .map_err(|_| StoreError::Unreadable(NAME))
    }
}
