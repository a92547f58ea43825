//! What is kept for a while only (C7).

use chrono::{DateTime, Utc};
use domain::WorkspaceId;

use crate::{Store, StoreError};

impl Store {
    /// Workspaces that have something in quarantine.
    pub async fn workspaces_with_quarantine(&self) -> Result<Vec<WorkspaceId>, StoreError> {
        let rows = sqlx::query!("select distinct workspace_id from quarantine")
            .fetch_all(&self.pool)
            .await?;
        Ok(rows
            .into_iter()
            .map(|r| WorkspaceId::new(r.workspace_id))
            .collect())
    }

    /// Removes what was last seen in quarantine before this moment, `limit` rows at most. Says how
    /// many.
    pub async fn empty_quarantine(
        &self,
        workspace: WorkspaceId,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "delete from quarantine where ctid = any(array(
               select ctid from quarantine where workspace_id = $1 and last_seen < $2 limit $3))",
            workspace.as_uuid(),
            before,
            i64::from(limit)
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// Removes idempotency keys that are over, `limit` rows at most. Says how many.
    pub async fn forget_calls(&self, now: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "delete from idempotency_key where ctid = any(array(
               select ctid from idempotency_key where expires_at <= $1 limit $2))",
            now,
            i64::from(limit)
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}
