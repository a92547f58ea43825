//! Erasing people, purging workspaces (C7).

use domain::{
    WorkspaceId,
    api::{EraseAnswer, EraseRequest, IdempotencyKey, PurgeAnswer},
};

use super::{Error, HubSpotSync};

impl HubSpotSync {
    /// Removes a person's values everywhere, and keeps only a keyed hash that stops them from coming
    /// in again. Nothing is deleted in HubSpot.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4001 where neither an id nor an address is given.
    pub async fn erase_person(
        &self,
        workspace: WorkspaceId,
        whom: &EraseRequest,
        key: Option<&IdempotencyKey>,
    ) -> Result<EraseAnswer, Error> {
        self.post(workspace, &["erasures"])
            .body(whom)
            .key(key)
            .answer()
            .await
    }

    /// Begins to remove everything of a disconnected workspace, which takes a while, and says how far
    /// that is. Needs the token of the installation. To be sent again until the workspace is not known
    /// any more (HS-1001): then nothing is left.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4011 where the workspace is still connected, with HS-4006 where
    /// the token is that of a workspace.
    pub async fn purge_workspace(&self, workspace: WorkspaceId) -> Result<PurgeAnswer, Error> {
        self.post(workspace, &["purge"]).answer().await
    }
}
