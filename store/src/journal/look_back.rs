//! What plans stand on: entries that somebody left open, and those about a person or a company.

use std::collections::BTreeMap;

use domain::{
    HubSpotObjectId, ObjectType, PortalId, WorkspaceId,
    app::PersonId,
    export::journal::{Entry, Subject},
};

use super::row::{self, EntryRow, JournalRow};
use crate::{Store, StoreError, ToldRecord};

/// Entries about one person or company that later plans look back on, at most.
const LOOK_BACK: i64 = 200;

impl Store {
    /// Entries that somebody left open in exports of these people to a portal, but for those about
    /// activities, oldest first; [`StoreError::Unreadable`] in the place of those of a person with one that
    /// cannot be read. What was sent to another portal is no business of this one's (C6).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_entries_of(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        people: &[PersonId],
    ) -> Result<BTreeMap<PersonId, Result<Vec<Entry>, StoreError>>, StoreError> {
        let ids: Vec<&str> = people.iter().map(PersonId::as_str).collect();
        let rows = sqlx::query_as!(
            EntryRow,
            "select j.entry_id as \"entry_id!\", j.portal_id as \"portal_id!\", j.person_id as \"person_id!\",
               j.subject_kind as \"subject_kind!\", j.subject_id as \"subject_id!\", j.cause::text as \"cause!\",
               j.operation::text as \"operation!\", j.object_id, j.written::text as \"written!\",
               j.state as \"state!\", j.error_code, j.opened_at as \"opened_at!\", j.sent_at, j.closed_at
             from unnest($2::text[]) as t (id)
             cross join lateral (select * from export_journal j
               where j.workspace_id = $1 and j.person_id = t.id and j.portal_id = $3
                 and j.state = 'open' and j.subject_kind <> 'activity' offset 0) j
             order by j.entry_id",
            workspace.as_uuid(),
            &ids as &[&str],
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        let mut by_person: BTreeMap<String, Vec<EntryRow>> = BTreeMap::new();
        for row in rows {
            by_person
                .entry(row.person_id.clone())
                .or_default()
                .push(row);
        }
        Ok(people
            .iter()
            .filter_map(|person| {
                Some((person.clone(), read_all(by_person.remove(person.as_str())?)))
            })
            .collect())
    }

    /// The same of one person.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for one that cannot be read: nothing is written before it can.
    pub async fn open_entries(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        person: &PersonId,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut open = self
            .open_entries_of(workspace, portal, std::slice::from_ref(person))
            .await?;
        open.remove(person).unwrap_or_else(|| Ok(Vec::new()))
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

fn read_all(rows: Vec<EntryRow>) -> Result<Vec<Entry>, StoreError> {
    rows.into_iter()
        .map(|row| JournalRow::try_from(row).map(|row| row.entry))
        .collect()
}
