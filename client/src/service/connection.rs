//! Connect, status, resync, disconnect.

use domain::{
    ConsentId, ResyncRequest, WorkspaceId,
    api::{
        ConnectAnswer, ConnectRequest, ConsentAnswer, ConsentDecided, DisconnectAnswer,
        ResyncAnswer, StatusAnswer,
    },
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

    /// Consents that came back from HubSpot and wait to be confirmed; usually none or one.
    ///
    /// # Errors
    /// [`Error::Problem`] when the workspace is unknown.
    pub async fn consents(&self, workspace: WorkspaceId) -> Result<Vec<ConsentAnswer>, Error> {
        self.get(workspace, &["hubspot", "consents"]).answer().await
    }

    /// Confirms a consent instead of the page that asks: only when the main app knows that portal and
    /// workspace belong together. Again, the answer is the same.
    ///
    /// # Errors
    /// [`Error::Problem`] when it was refused, is over, or the workspace is connected otherwise.
    pub async fn confirm_consent(
        &self,
        workspace: WorkspaceId,
        consent: ConsentId,
    ) -> Result<ConsentDecided, Error> {
        let id = consent.to_string();
        self.post(workspace, &["hubspot", "consents", &id, "confirm"])
            .answer()
            .await
    }

    /// Refuses a consent: nothing is connected, and HubSpot gets its access back.
    ///
    /// # Errors
    /// [`Error::Problem`] when it was confirmed, or is over.
    pub async fn refuse_consent(
        &self,
        workspace: WorkspaceId,
        consent: ConsentId,
    ) -> Result<ConsentDecided, Error> {
        let id = consent.to_string();
        self.post(workspace, &["hubspot", "consents", &id, "refuse"])
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
