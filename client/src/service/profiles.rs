//! Profiles: what both sides say, and which of it wins.

use domain::{
    WorkspaceId,
    api::{ProfileAnswer, ProfilesAnswer, ProfilesRequest},
    app::{AppCompanyId, PersonId},
};

use super::{Error, HubSpotSync};

impl HubSpotSync {
    /// The profile of a person (I5).
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id.
    pub async fn person_profile(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
    ) -> Result<ProfileAnswer, Error> {
        self.get(workspace, &["people", person.as_str(), "profile"])
            .answer()
            .await
    }

    /// The profile of a company (I5).
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id.
    pub async fn company_profile(
        &self,
        workspace: WorkspaceId,
        company: &AppCompanyId,
    ) -> Result<ProfileAnswer, Error> {
        self.get(workspace, &["companies", company.as_str(), "profile"])
            .answer()
            .await
    }

    /// The profiles of up to 1,000 people and companies.
    ///
    /// # Errors
    /// See [`Error`]. What is not known is no error of the call: it is named.
    pub async fn profiles(
        &self,
        workspace: WorkspaceId,
        request: &ProfilesRequest,
    ) -> Result<ProfilesAnswer, Error> {
        self.post(workspace, &["profiles"])
            .body(request)
            .large()
            .answer()
            .await
    }
}
