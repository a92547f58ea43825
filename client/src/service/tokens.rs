//! Service tokens of a workspace. All calls need the token of the installation (HS-4006).

use domain::{
    WorkspaceId,
    api::{TokenAnswer, TokenCreate, TokenCreated, TokenId},
};
use reqwest::Method;

use super::{Error, HubSpotSync};

impl HubSpotSync {
    /// Makes a service token. The answer is the only time that it is seen: move it into a secret type
    /// at once. The workspace becomes known by it, if it was not.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_token(
        &self,
        workspace: WorkspaceId,
        token: &TokenCreate,
    ) -> Result<TokenCreated, Error> {
        self.post(workspace, &["tokens"]).body(token).answer().await
    }

    /// All service tokens, revoked ones too, oldest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_tokens(&self, workspace: WorkspaceId) -> Result<Vec<TokenAnswer>, Error> {
        self.get(workspace, &["tokens"]).large().answer().await
    }

    /// Revokes a service token: from the next call on it opens nothing.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id.
    pub async fn revoke_token(&self, workspace: WorkspaceId, token: TokenId) -> Result<(), Error> {
        self.call(Method::DELETE, workspace, &["tokens", &token.to_string()])
            .done()
            .await
    }
}
