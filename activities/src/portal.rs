//! A HubSpot client for one connection: tokens from the store, refreshed once; budget of the
//! portal, behind the fence of the connection's epoch.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{Epoch, PortalId, WorkspaceId};
use hubspot::{
    AccessToken, AccessTokenSource, Client, ClientConfig, RateBudget, TokenError, Unlimited,
    oauth::{OAuth, OAuthApp, OAuthError},
};
use secrecy::SecretString;
use store::{NewTokens, RefreshOutcome, Store, Tokens};

use crate::{
    SharedBudgets,
    fence::{Fenced, Gate},
};

/// Tokens are refreshed this long before they expire, or in the last sixth of a short life.
const REFRESH_BEFORE: TimeDelta = TimeDelta::minutes(5);

/// Makes clients for connections.
#[derive(Clone)]
pub(crate) struct Portals {
    store: Store,
    base: Client,
    oauth: Option<OAuth>,
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
        Ok(Self {
            store,
            base: Client::new(config.clone(), nobody, Arc::new(Unlimited))?,
            oauth: app.map(|app| OAuth::new(config, app)).transpose()?,
            budgets,
        })
    }

    /// A client that works as long as the connection is in this epoch.
    pub(crate) fn client(&self, workspace: WorkspaceId, portal: PortalId, epoch: Epoch) -> Client {
        let tokens = StoredTokens {
            store: self.store.clone(),
            oauth: self.oauth.clone(),
            workspace,
            epoch,
            current: tokio::sync::Mutex::new(None),
        };
        let budget: Arc<dyn RateBudget> = match &self.budgets {
            // Two workspaces on one portal share its budget (C6).
            Some(budgets) => budgets.of(workspace, portal, epoch),
            None => Arc::new(Fenced::new(
                Arc::new(Unlimited),
                Gate::new(self.store.clone(), workspace, epoch),
            )),
        };
        self.base.for_portal(Arc::new(tokens), budget)
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

/// Tokens of one connection in one epoch.
struct StoredTokens {
    store: Store,
    oauth: Option<OAuth>,
    workspace: WorkspaceId,
    epoch: Epoch,
    /// Held while a token is fetched or refreshed, so that this process asks once.
    current: tokio::sync::Mutex<Option<Held>>,
}

/// Tokens in memory, and when to renew them.
struct Held {
    tokens: Tokens,
    refresh_at: Option<DateTime<Utc>>,
}

impl Held {
    /// What is left of a token's life decides, so that tokens of any lifetime are renewed in time
    /// and not with each request.
    fn new(tokens: Tokens, now: DateTime<Utc>) -> Self {
        let refresh_at = tokens
            .expires_at
            .map(|at| at - REFRESH_BEFORE.min((at - now).max(TimeDelta::zero()) / 6));
        Self { tokens, refresh_at }
    }

    fn wants_refresh(&self, now: DateTime<Utc>) -> bool {
        self.refresh_at.is_some_and(|at| now >= at)
    }

    fn is_good(&self, now: DateTime<Utc>) -> bool {
        self.tokens.expires_at.is_none_or(|at| now < at)
    }
}

impl StoredTokens {
    async fn load(&self) -> Result<Tokens, TokenError> {
        match self.store.tokens(self.workspace, self.epoch).await {
            Ok(Some(tokens)) => Ok(tokens),
            Ok(None) => Err(TokenError::Fenced),
            Err(error) => {
                tracing::warn!(code = error.code(), error = %error, "tokens could not be read");
                Err(TokenError::Unavailable { retry_after: None })
            }
        }
    }

    async fn refresh(&self, seen_version: i64) -> Result<Tokens, TokenError> {
        let Some(oauth) = &self.oauth else {
            return Err(TokenError::Misconfigured("HUBSPOT_CLIENT_ID"));
        };
        let refreshed = self
            .store
            .refresh_tokens(self.workspace, self.epoch, seen_version, |old| async move {
                let grant = oauth.refresh(&old).await?;
                Ok(NewTokens {
                    access: grant.access_token,
                    refresh: grant.refresh_token,
                    expires_at: Some(Utc::now() + grant.expires_in),
                })
            })
            .await;
        match refreshed {
            Ok(RefreshOutcome::Fresh(tokens)) => Ok(tokens),
            Ok(RefreshOutcome::Fenced) => Err(TokenError::Fenced),
            Ok(RefreshOutcome::Failed(OAuthError::Revoked)) => Err(TokenError::Revoked),
            Ok(RefreshOutcome::Failed(OAuthError::Misconfigured(what))) => {
                Err(TokenError::Misconfigured(what))
            }
            Ok(RefreshOutcome::Failed(OAuthError::Transient { retry_after })) => {
                Err(TokenError::Unavailable { retry_after })
            }
            Ok(RefreshOutcome::Failed(OAuthError::BadCode)) => {
                Err(TokenError::Unavailable { retry_after: None })
            }
            Err(error) => {
                tracing::warn!(code = error.code(), error = %error, "tokens could not be stored");
                Err(TokenError::Unavailable { retry_after: None })
            }
        }
    }
}

fn access(tokens: &Tokens) -> AccessToken {
    AccessToken {
        secret: tokens.access.clone(),
        version: tokens.version,
    }
}

#[async_trait]
impl AccessTokenSource for StoredTokens {
    async fn access_token(&self) -> Result<AccessToken, TokenError> {
        let mut current = self.current.lock().await;
        let now = Utc::now();
        let held = match current.take() {
            Some(held) => held,
            None => Held::new(self.load().await?, now),
        };
        let held = if held.wants_refresh(now) {
            match self.refresh(held.tokens.version).await {
                Ok(fresh) => Held::new(fresh, Utc::now()),
                // The token endpoint is away: what is still good may be used to its end.
                Err(TokenError::Unavailable { .. }) if held.is_good(now) => held,
                Err(error) => return Err(error),
            }
        } else {
            held
        };
        Ok(access(&current.insert(held).tokens))
    }

    async fn expired(&self, token: &AccessToken) -> Result<(), TokenError> {
        let mut current = self.current.lock().await;
        if current
            .as_ref()
            .is_some_and(|c| c.tokens.version != token.version)
        {
            return Ok(());
        }
        // A service key cannot be renewed: refused is gone.
        if current.as_ref().is_some_and(|c| c.tokens.refresh.is_none()) {
            return Err(TokenError::Revoked);
        }
        *current = Some(Held::new(self.refresh(token.version).await?, Utc::now()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    fn expiring(at: i64) -> Tokens {
        Tokens {
            version: 1,
            access: SecretString::from("a"),
            refresh: None,
            expires_at: Utc.timestamp_opt(at, 0).single(),
        }
    }

    #[test]
    fn refreshed_before_the_end_and_not_all_the_time() {
        let now = |s| Utc.timestamp_opt(s, 0).unwrap();
        let long = Held::new(expiring(10_000), now(8_200));
        assert!(!long.wants_refresh(now(9_699)));
        assert!(long.wants_refresh(now(9_700)));
        assert!(long.is_good(now(9_999)));
        assert!(!long.is_good(now(10_000)));
        // A life of a minute: renewed in its last ten seconds.
        let short = Held::new(expiring(10_000), now(9_940));
        assert!(!short.wants_refresh(now(9_989)));
        assert!(short.wants_refresh(now(9_990)));
        let over = Held::new(expiring(10_000), now(10_001));
        assert!(over.wants_refresh(now(10_001)));
    }
}
