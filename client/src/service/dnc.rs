//! Whether people may be contacted (I8).

use domain::{
    WorkspaceId,
    api::{DncAnswer, DncCheck, DncCheckAnswer},
    app::PersonId,
};

use super::{Error, HubSpotSync};

impl HubSpotSync {
    /// Whether a person may be contacted, and if not, every reason with the record it comes from. A
    /// call that fails says nothing: who cannot be judged is not to be contacted.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where the app has no such person, and with HS-1003 where the
    /// workspace was never connected.
    pub async fn get_verdict(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
    ) -> Result<DncAnswer, Error> {
        self.get(workspace, &["people", person.as_str(), "dnc"])
            .answer()
            .await
    }

    /// The same for a whole campaign: up to 10,000 people and e-mail addresses in one call.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-1003 where the workspace was never connected.
    pub async fn check_verdicts(
        &self,
        workspace: WorkspaceId,
        check: &DncCheck,
    ) -> Result<DncCheckAnswer, Error> {
        self.post(workspace, &["dnc"])
            .body(check)
            .large()
            .answer()
            .await
    }
}
