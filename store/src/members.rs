//! Team members of the app's side.

use chrono::{DateTime, Utc};
use domain::{
    WorkspaceId,
    app::{Member, MemberId, MemberUpsert, RecordVersion, SlotVersions},
};
use sqlx::PgConnection;

use crate::{
    Store, StoreError,
    records::{Listed, Record, RowToWrite, StoredRow, Upserted, listed, record_of},
};

impl Record for Member {
    const NAME: &'static str = "member";

    fn id_of(upsert: &MemberUpsert) -> &str {
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
            "select member_id as id, revision, document::text as \"document!\", slots::text as \"slots!\"
             from app_member where workspace_id = $1 and member_id = any($2)",
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
        let emails: Vec<Option<&str>> = rows
            .iter()
            .map(|r| r.record.email.as_ref().map(|e| e.as_str()))
            .collect();
        let done = sqlx::query!(
            "insert into app_member as r
               (workspace_id, member_id, version, revision, document, slots, created_at, changed_at, email)
             select $1, id, version, coalesce(expected, 0) + 1, document::json, slots::json, $2, $2, email
             from unnest($3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[])
               as t (id, expected, version, document, slots, email)
             on conflict (workspace_id, member_id) do update set
               version = excluded.version, revision = excluded.revision, document = excluded.document,
               slots = excluded.slots, changed_at = excluded.changed_at, email = excluded.email
             where r.revision = excluded.revision - 1",
            workspace.as_uuid(),
            now,
            &ids as &[&str],
            &expected as &[Option<i64>],
            &versions,
            &documents as &[&str],
            &slots as &[&str],
            &emails as &[Option<&str>]
        )
        .execute(tx)
        .await?;
        Ok(done.rows_affected())
    }
}

impl Store {
    /// Applies versioned updates of members, in the order given: newer versions win, and rows that do
    /// not change are not written.
    ///
    /// # Errors
    /// When the database fails, nothing of the bulk is written then;
    /// [`StoreError::NotFound`] for a workspace that is not known.
    pub async fn upsert_members(
        &self,
        workspace: WorkspaceId,
        upserts: &[MemberUpsert],
        now: DateTime<Utc>,
    ) -> Result<Vec<Upserted>, StoreError> {
        self.upsert_records::<Member>(workspace, upserts, now).await
    }

    /// One member.
    pub async fn member(
        &self,
        workspace: WorkspaceId,
        id: &MemberId,
    ) -> Result<Option<Member>, StoreError> {
        let row = sqlx::query!(
            "select document::text as \"document!\", slots::text as \"slots!\" from app_member
             where workspace_id = $1 and member_id = $2",
            workspace.as_uuid(),
            id.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| record_of(&row.document, &row.slots))
            .transpose()
    }

    /// Members in the order of their ids.
    pub async fn members_after(
        &self,
        workspace: WorkspaceId,
        after: Option<&MemberId>,
        limit: u32,
    ) -> Result<Vec<Listed<Member>>, StoreError> {
        let rows = sqlx::query!(
            "select member_id, document::text as \"document!\", slots::text as \"slots!\" from app_member
             where workspace_id = $1 and member_id > $2 order by member_id limit $3",
            workspace.as_uuid(),
            after.map_or("", |a| a.as_str()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| listed(workspace, &row.member_id, &row.document, &row.slots))
            .collect())
    }

    /// The whole team. Of a member that cannot be read (HS-2217) only that they are there is known.
    pub async fn all_members(&self, workspace: WorkspaceId) -> Result<Vec<Member>, StoreError> {
        let rows = sqlx::query!(
            "select member_id, version, document::text as \"document!\", slots::text as \"slots!\" from app_member
             where workspace_id = $1 order by member_id",
            workspace.as_uuid()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let read = listed(workspace, &row.member_id, &row.document, &row.slots);
                read.ok().or_else(|| {
                    Some(Member {
                        id: row.member_id.parse().ok()?,
                        version: RecordVersion::new(row.version.unsigned_abs()).ok()?,
                        email: None,
                        name: None,
                        active: None,
                        slots: SlotVersions::default(),
                    })
                })
            })
            .collect())
    }
}
