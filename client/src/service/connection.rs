//! Connect, status, resync, disconnect.

use domain::{
    ResyncRequest, WorkspaceId,
    api::{ConnectAnswer, ConnectRequest, DisconnectAnswer, ResyncAnswer, StatusAnswer},
};

use super::{Error, HubSpotSync};

impl HubSpotSync {
    /// Connects a workspace to a HubSpot portal (C1): at once with a service key, or by an address
    /// that an admin opens in a browser.
    ///
    /// # Errors
    /// [`Error::Problem`] when the workspace is connected already or the key is refused.
    pub async fn connect(
        &self,
        workspace: WorkspaceId,
        request: &ConnectRequest,
    ) -> Result<ConnectAnswer, Error> {
        self.post(workspace, &["hubspot", "connect"])
            .body(request)
            .answer()
            .await
    }

    /// Where the connection stands and how far each object type is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn status(&self, workspace: WorkspaceId) -> Result<StatusAnswer, Error> {
        self.get(workspace, &["hubspot", "status"]).answer().await
    }

    /// Reads again (X7). The answer says what happens: a new run, or none because one is under way.
    ///
    /// # Errors
    /// [`Error::Problem`] when the workspace is unknown or not connected.
    pub async fn resync(
        &self,
        workspace: WorkspaceId,
        request: &ResyncRequest,
    ) -> Result<ResyncAnswer, Error> {
        self.post(workspace, &["hubspot", "resync"])
            .body(request)
            .answer()
            .await
    }

    /// Takes the connection down (C4): from the answer on, no request goes to HubSpot. Imported
    /// data stays.
    ///
    /// # Errors
    /// [`Error::Problem`] when the workspace is unknown or not connected.
    pub async fn disconnect(&self, workspace: WorkspaceId) -> Result<DisconnectAnswer, Error> {
        self.post(workspace, &["hubspot", "disconnect"])
            .answer()
            .await
    }
}
