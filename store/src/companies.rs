//! Companies of the app's side.

use chrono::{DateTime, Utc};
use domain::{
    WorkspaceId,
    app::{AppCompanyId, Company, CompanyUpsert, SlotVersions},
};
use sqlx::PgConnection;

use crate::{
    Store, StoreError, intake,
    records::{Listed, Record, RowToWrite, StoredRow, Upserted, Written, listed, record_of},
};

impl Record for Company {
    const NAME: &'static str = "company";

    fn id_of(upsert: &CompanyUpsert) -> &str {
        upsert.id.as_str()
    }

    fn slots(&self) -> &SlotVersions {
        &self.slots
    }

    fn set_slots(&mut self, slots: SlotVersions) {
        self.slots = slots;
    }

    async fn load(
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        ids: &[&str],
    ) -> Result<Vec<StoredRow>, sqlx::Error> {
        sqlx::query_as!(
            StoredRow,
            "select company_id as id, revision, document::text as \"document!\", slots::text as \"slots!\"
             from app_company where workspace_id = $1 and company_id = any($2)",
            workspace.as_uuid(),
            ids as &[&str]
        )
        .fetch_all(tx)
        .await
    }

    async fn save(
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        rows: &[RowToWrite<'_, Self>],
        now: DateTime<Utc>,
    ) -> Result<u64, sqlx::Error> {
        let ids: Vec<&str> = rows.iter().map(|r| r.id).collect();
        let expected: Vec<Option<i64>> = rows.iter().map(|r| r.expected).collect();
        let versions: Vec<i64> = rows
            .iter()
            .map(|r| r.record.version.get().cast_signed())
            .collect();
        let documents: Vec<&str> = rows.iter().map(|r| r.document.as_str()).collect();
        let slots: Vec<&str> = rows.iter().map(|r| r.slots.as_str()).collect();
        let done = sqlx::query!(
            "insert into app_company as r
               (workspace_id, company_id, version, revision, document, slots, created_at, changed_at, changed)
             select $1, id, version, coalesce(expected, 0) + 1, document::json, slots::json, $2, $2, (select mirror_change())
             from unnest($3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[])
               as t (id, expected, version, document, slots)
             on conflict (workspace_id, company_id) do update set
               version = excluded.version, revision = excluded.revision, document = excluded.document,
               slots = excluded.slots, changed_at = excluded.changed_at, changed = excluded.changed
             where r.revision = excluded.revision - 1",
            workspace.as_uuid(),
            now,
            &ids as &[&str],
            &expected as &[Option<i64>],
            &versions,
            &documents as &[&str],
            &slots as &[&str]
        )
        .execute(tx)
        .await?;
        Ok(done.rows_affected())
    }

    async fn follow(
        store: &Store,
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        written: &[Written<'_, Self>],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        intake::companies_changed(store, tx, workspace, written, now).await
    }
}

impl Store {
    /// Applies versioned updates of companies, in the order given: newer versions win, and rows that do
    /// not change are not written. A change that exports write makes a request for somebody of the
    /// company (E1).
    ///
    /// # Errors
    /// When the database fails, nothing of the bulk is written then;
    /// [`StoreError::NotFound`] for a workspace that is not known.
    pub async fn upsert_companies(
        &self,
        workspace: WorkspaceId,
        upserts: &[CompanyUpsert],
        now: DateTime<Utc>,
    ) -> Result<Vec<Upserted>, StoreError> {
        self.upsert_records::<Company>(workspace, upserts, now)
            .await
    }

    /// One company.
    pub async fn company(
        &self,
        workspace: WorkspaceId,
        id: &AppCompanyId,
    ) -> Result<Option<Company>, StoreError> {
        let row = sqlx::query!(
            "select document::text as \"document!\", slots::text as \"slots!\" from app_company
             where workspace_id = $1 and company_id = $2",
            workspace.as_uuid(),
            id.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| record_of(&row.document, &row.slots))
            .transpose()
    }

    /// Companies in the order of their ids.
    pub async fn companies_after(
        &self,
        workspace: WorkspaceId,
        after: Option<&AppCompanyId>,
        limit: u32,
    ) -> Result<Vec<Listed<Company>>, StoreError> {
        let rows = sqlx::query!(
            "select company_id, document::text as \"document!\", slots::text as \"slots!\" from app_company
             where workspace_id = $1 and company_id > $2 order by company_id limit $3",
            workspace.as_uuid(),
            after.map_or("", |a| a.as_str()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| listed(workspace, &row.company_id, &row.document, &row.slots))
            .collect())
    }
}
