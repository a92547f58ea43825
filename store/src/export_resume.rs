//! Rows that were paused, because another system sets our value back or somebody reverted it, and that
//! somebody lets go on (E4).

use chrono::{DateTime, Utc};
use domain::{
    ObjectType, PortalId, WorkspaceId,
    app::{PersonId, RecordKind},
    export::{History, RequestId, RequestKind, Resumed, journal::Subject, sameness::Definitions},
};

use crate::{ExportRow, NewExports, Store, StoreError, erasure, journal::subject_columns};

/// A row that is to go on.
#[derive(Debug, Clone, Copy)]
pub struct NewResume<'a> {
    /// The id of the request that it makes.
    pub request: RequestId,
    /// In which workspace.
    pub workspace: WorkspaceId,
    /// In whose exports it is paused.
    pub person: &'a PersonId,
    /// Whether it is a row of the person or of the person's company.
    pub record: RecordKind,
    /// The property that it writes.
    pub property: &'a str,
}

/// Why no row goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefusedResume {
    /// The workspace has no such person.
    #[error("no such person")]
    UnknownPerson,
    /// The journal has nothing that would hold the row up.
    #[error("nothing holds the row up")]
    NothingHeld,
}

impl Store {
    /// When somebody let rows of one person or company go on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resumed(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        subject: &Subject,
    ) -> Result<Resumed, StoreError> {
        let (kind, id) = subject_columns(subject);
        let rows = sqlx::query!(
            "select property, resumed_at from export_resumed
             where workspace_id = $1 and portal_id = $2 and subject_kind = $3 and subject_id = $4",
            workspace.as_uuid(),
            portal.get(),
            kind,
            id
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.property, row.resumed_at))
            .collect())
    }

    /// Lets a paused row go on, and makes a request that writes it, in one transaction. A request of the
    /// same id that is there already is the answer.
    ///
    /// # Errors
    /// The outer one when the database fails, the inner one when nothing was written.
    pub async fn resume_row(
        &self,
        new: &NewResume<'_>,
        now: DateTime<Utc>,
    ) -> Result<Result<ExportRow, RefusedResume>, StoreError> {
        if let Some(there) = self.export_request(new.workspace, new.request).await? {
            return Ok(Ok(there));
        }
        let Some(person) = self.person(new.workspace, new.person).await? else {
            return Ok(Err(RefusedResume::UnknownPerson));
        };
        let Some(connection) = self.connection(new.workspace).await? else {
            return Ok(Err(RefusedResume::NothingHeld));
        };
        let (subject, object_type) = match (new.record, &person.company) {
            (RecordKind::Person, _) => (Subject::Person(person.id.clone()), ObjectType::Contact),
            (RecordKind::Company, Some(company)) => {
                (Subject::Company(company.clone()), ObjectType::Company)
            }
            (RecordKind::Company, None) => {
                (Subject::CompanyOf(person.id.clone()), ObjectType::Company)
            }
        };
        let portal = connection.portal;
        let entries = self.entries_about(new.workspace, portal, &subject).await?;
        let resumed = self.resumed(new.workspace, portal, &subject).await?;
        let definitions = self
            .property_definitions(new.workspace, portal, object_type)
            .await?;
        let history = History::of(&entries, &resumed);
        if !history.may_hold(new.property, Definitions(&definitions)) {
            return Ok(Err(RefusedResume::NothingHeld));
        }
        let (kind, id) = subject_columns(&subject);
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, new.workspace).await?;
        // Of whoever was erased meanwhile nothing is written down.
        sqlx::query!(
            "insert into export_resumed
               (workspace_id, portal_id, subject_kind, subject_id, property, resumed_at)
             select $1, $2, $3, $4, $5, clock_timestamp() from app_person
             where workspace_id = $1 and person_id = $6
             on conflict (workspace_id, portal_id, subject_kind, subject_id, property) do update set
               resumed_at = excluded.resumed_at",
            new.workspace.as_uuid(),
            portal.get(),
            kind,
            id,
            new.property,
            new.person.as_str()
        )
        .execute(&mut *tx)
        .await?;
        let people = [(new.request, new.person.clone())];
        let request = NewExports {
            workspace: new.workspace,
            kind: RequestKind::FieldChange,
            people: &people,
            include_earlier: false,
            anew: false,
            bulk: None,
        };
        let mut rows = self.request_in(&mut tx, &request, now).await?;
        tx.commit().await?;
        rows.pop()
            .map(Ok)
            .ok_or(StoreError::Corrupt("export request"))
    }
}
