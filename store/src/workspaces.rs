//! Workspaces: customers of the app.

use chrono::{DateTime, Utc};
use domain::WorkspaceId;

use crate::{Store, StoreError};

impl Store {
    /// Makes sure that the workspace is known.
    pub async fn ensure_workspace(
        &self,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into workspace (id, created_at) values ($1, $2) on conflict do nothing",
            workspace.as_uuid(),
            now
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Whether the workspace is known.
    pub async fn workspace_exists(&self, workspace: WorkspaceId) -> Result<bool, StoreError> {
        let row = sqlx::query!(
            "select 1 as one from workspace where id = $1",
            workspace.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.is_some())
    }
}
