//! The bulk exports of a workspace, for people to look at.

use domain::WorkspaceId;

use super::{BulkRow, Raw};
use crate::{Store, StoreError};

impl Store {
    /// The last bulk exports, newest first; one that cannot be read is left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn latest_bulks(
        &self,
        workspace: WorkspaceId,
        limit: u32,
    ) -> Result<Vec<BulkRow>, StoreError> {
        let rows = sqlx::query_as!(
            Raw,
            "select id, workspace_id, portal_id, state, whom::text as \"whom!\", include_earlier, people, begun,
               planned_to, preview::text as \"preview!\", null::text as sample, requested_at, confirmed_at,
               ended_at, due_at, clock_timestamp() as \"now!\"
             from bulk_export where workspace_id = $1 order by id desc limit $2",
            workspace.as_uuid(),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        let read = rows.into_iter().map(BulkRow::try_from);
        Ok(read.filter_map(Result::ok).collect())
    }
}
