//! A HubSpot client for one connection: tokens of the process's cache; budget of the portal, behind
//! the fence of the connection's epoch.

use std::{sync::Arc, time::Duration};

use domain::{Epoch, PortalId, WorkspaceId};
use hubspot::{
    Client, ClientConfig, RateBudget, Unlimited,
    oauth::{OAuth, OAuthApp},
};
use secrecy::SecretString;
use store::Store;

use crate::{
    SharedBudgets,
    fence::{Fenced, Gate},
    tokens::TokenCache,
};

/// Makes clients for connections.
#[derive(Clone)]
pub(crate) struct Portals {
    store: Store,
    base: Client,
    oauth: Option<OAuth>,
    tokens: TokenCache,
    /// None lets requests leave as they come, behind the fence.
    budgets: Option<SharedBudgets>,
}

impl Portals {
    pub(crate) fn new(
        store: Store,
        config: ClientConfig,
        app: Option<OAuthApp>,
        budgets: Option<SharedBudgets>,
    ) -> Result<Self, hubspot::Error> {
        let nobody = Arc::new(hubspot::StaticToken::new(SecretString::from("")));
        let base = Client::new(config.clone(), nobody, Arc::new(Unlimited))?;
        let oauth = app.map(|app| OAuth::new(config, app)).transpose()?;
        Ok(Self {
            tokens: TokenCache::new(store.clone(), oauth.clone()),
            store,
            base,
            oauth,
            budgets,
        })
    }

    /// A client that works as long as the connection is in this epoch.
    pub(crate) fn client(&self, workspace: WorkspaceId, portal: PortalId, epoch: Epoch) -> Client {
        let budget: Arc<dyn RateBudget> = match &self.budgets {
            // Two workspaces on one portal share its budget (C6).
            Some(budgets) => budgets.of(workspace, portal, epoch),
            None => Arc::new(Fenced::new(
                Arc::new(Unlimited),
                Gate::new(self.store.clone(), workspace, epoch),
            )),
        };
        self.base
            .for_portal(self.tokens.of(workspace, epoch), budget)
    }

    /// Waits for the token refreshes under way. `false` when some are not over in time.
    pub(crate) async fn settle(&self, within: Duration) -> bool {
        self.tokens.settle(within).await
    }

    /// Revokes what is left of a connection whose fence is up. `true` when HubSpot confirmed it.
    pub(crate) async fn revoke(&self, workspace: WorkspaceId) -> Result<bool, store::StoreError> {
        let Some(token) = self.store.token_to_revoke(workspace).await? else {
            return Ok(false);
        };
        let Some(oauth) = &self.oauth else {
            return Ok(false);
        };
        let revoked = tokio::time::timeout(Duration::from_secs(5), oauth.revoke(&token)).await;
        Ok(matches!(revoked, Ok(Ok(()))))
    }
}
