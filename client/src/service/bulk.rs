//! Bulk exports: who would be taken, the confirmation, how far it is (E1).

use domain::{
    BulkId, WorkspaceId,
    api::{BulkAnswer, BulkStart, IdempotencyKey},
};

use super::{Error, HubSpotSync};

impl HubSpotSync {
    /// Begins a bulk export: it is found out who would be taken. Nothing is written before
    /// [`Self::confirm_bulk_export`].
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-1003 where the workspace is not connected.
    pub async fn start_bulk_export(
        &self,
        workspace: WorkspaceId,
        start: &BulkStart,
        key: Option<&IdempotencyKey>,
    ) -> Result<BulkAnswer, Error> {
        self.post(workspace, &["bulk-runs"])
            .body(start)
            .key(key)
            .answer()
            .await
    }

    /// How a bulk export stands.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id.
    pub async fn get_bulk_export(
        &self,
        workspace: WorkspaceId,
        bulk: BulkId,
    ) -> Result<BulkAnswer, Error> {
        self.get(workspace, &["bulk-runs", &bulk.to_string()])
            .large()
            .answer()
            .await
    }

    /// Confirms a bulk export: people are exported from now on.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id, HS-2451 where there is nothing to
    /// confirm yet or any more.
    pub async fn confirm_bulk_export(
        &self,
        workspace: WorkspaceId,
        bulk: BulkId,
    ) -> Result<BulkAnswer, Error> {
        self.post(workspace, &["bulk-runs", &bulk.to_string(), "confirm"])
            .answer()
            .await
    }

    /// Cancels a bulk export: nobody is begun with any more, and what was begun comes to its end.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id.
    pub async fn cancel_bulk_export(
        &self,
        workspace: WorkspaceId,
        bulk: BulkId,
    ) -> Result<BulkAnswer, Error> {
        self.post(workspace, &["bulk-runs", &bulk.to_string(), "cancel"])
            .answer()
            .await
    }
}
