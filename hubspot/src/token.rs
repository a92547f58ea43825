//! Where access tokens come from.

use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

/// An access token. `version` tells it from the one that replaces it.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token.
    pub secret: SecretString,
    /// Which one it is.
    pub version: i64,
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Refused for good: somebody has to connect again.
    #[error("the refresh token was revoked")]
    Revoked,
    /// The connection is fenced off.
    #[error("the connection is fenced off")]
    Fenced,
    /// Client id or secret are wrong: a fault of configuration, never a revocation.
    #[error("the HubSpot app is not configured rightly: {0}")]
    Misconfigured(&'static str),
    /// Not now.
    #[error("no token could be had for now")]
    Unavailable {
        /// When to come back, if that is known.
        retry_after: Option<Duration>,
    },
    /// HubSpot refused a token that cannot be renewed, and it is too early to say that it is gone.
    #[error("the access token is refused for now")]
    Doubted {
        /// When to ask with it again.
        retry_after: Duration,
    },
}

/// Gives access tokens, refreshed before they expire. Implementations refresh once, however many
/// callers and processes ask.
#[async_trait]
pub trait AccessTokenSource: Send + Sync {
    /// A token that is good for a while.
    async fn access_token(&self) -> Result<AccessToken, TokenError>;

    /// HubSpot refused this one with a 401. `Ok` when the next call to
    /// [`access_token`](Self::access_token) brings another; a token that cannot be renewed is
    /// [`TokenError::Doubted`] before it is [`TokenError::Revoked`].
    async fn expired(&self, token: &AccessToken) -> Result<(), TokenError>;

    /// HubSpot took this one: what was doubted of it is over.
    fn accepted(&self, _token: &AccessToken) {}
}

/// How soon a key that was refused is asked with again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// A service key: does not expire by itself. One that is refused is never more than doubted here: a
/// 401 may be a hiccup of HubSpot's, and whether the key is gone only somebody can say who counts
/// refusals, over all processes that use it.
#[derive(Debug)]
pub struct StaticToken(SecretString);

impl StaticToken {
    /// Wraps a key.
    pub const fn new(key: SecretString) -> Self {
        Self(key)
    }
}

#[async_trait]
impl AccessTokenSource for StaticToken {
    async fn access_token(&self) -> Result<AccessToken, TokenError> {
        Ok(AccessToken {
            secret: self.0.clone(),
            version: 0,
        })
    }

    async fn expired(&self, _token: &AccessToken) -> Result<(), TokenError> {
        // There is no way to renew it.
        Err(TokenError::Doubted {
            retry_after: ASK_AGAIN_AFTER,
        })
    }
}
