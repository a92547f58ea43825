//! Previews that somebody asked for (E9): a row until it is fetched, so that nothing personal goes
//! through Temporal.

use chrono::{DateTime, Utc};
use domain::{PreviewId, WorkspaceId, api::ExportPreview, app::PersonId};

use crate::{Store, StoreError, erasure};

impl Store {
    /// Notes that a preview is wanted. `false`, and no row, when the person is not known.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a workspace that is not known.
    pub async fn ask_preview(
        &self,
        workspace: WorkspaceId,
        preview: PreviewId,
        person: &PersonId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        erasure::must_exist(&mut tx, workspace).await?;
        let done = sqlx::query!(
            "insert into export_preview (id, workspace_id, person_id, asked_at)
             select $2, workspace_id, person_id, $4 from app_person
             where workspace_id = $1 and person_id = $3",
            workspace.as_uuid(),
            preview.as_uuid(),
            person.as_str(),
            now
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Whom a preview is about; none when nobody waits for it any more.
    pub async fn preview_of(
        &self,
        workspace: WorkspaceId,
        preview: PreviewId,
    ) -> Result<Option<PersonId>, StoreError> {
        sqlx::query_scalar!(
            "select person_id from export_preview where workspace_id = $1 and id = $2",
            workspace.as_uuid(),
            preview.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?
        .map(|id| id.parse().map_err(|_| StoreError::Corrupt("preview")))
        .transpose()
    }

    /// Answers a preview. `false` when nobody waits for it any more: it was fetched, was too old, or the
    /// person was erased.
    pub async fn answer_preview(
        &self,
        workspace: WorkspaceId,
        preview: PreviewId,
        answer: &ExportPreview,
    ) -> Result<bool, StoreError> {
        let answer = serde_json::to_string(answer).map_err(|_| StoreError::Corrupt("preview"))?;
        let done = sqlx::query!(
            "update export_preview set answer = $3::text::jsonb where workspace_id = $1 and id = $2",
            workspace.as_uuid(),
            preview.as_uuid(),
            answer
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Fetches a preview and removes it, answered or not.
    pub async fn take_preview(
        &self,
        workspace: WorkspaceId,
        preview: PreviewId,
    ) -> Result<Option<ExportPreview>, StoreError> {
        let answer = sqlx::query_scalar!(
            "delete from export_preview where workspace_id = $1 and id = $2 returning answer::text",
            workspace.as_uuid(),
            preview.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        answer
            .flatten()
            .map(|text| serde_json::from_str(&text).map_err(|_| StoreError::Unreadable("preview")))
            .transpose()
    }

    /// Removes previews that were asked for before a moment, `limit` at most. Says how many.
    pub async fn prune_previews(
        &self,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "delete from export_preview where id = any(array(
               select id from export_preview where asked_at < $1 order by asked_at limit $2))",
            before,
            i64::from(limit)
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}
