//! Where access tokens come from.

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
    Unavailable,
}

/// Gives access tokens, refreshed before they expire. Implementations refresh once, however many
/// callers and processes ask.
#[async_trait]
pub trait AccessTokenSource: Send + Sync {
    /// A token that is good for a while.
    async fn access_token(&self) -> Result<AccessToken, TokenError>;

    /// HubSpot said that this one expired; the next call has to bring another.
    async fn expired(&self, token: &AccessToken) -> Result<(), TokenError>;
}

/// A service key: does not expire by itself.
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
        // A key that expired is as good as revoked: there is no way to renew it.
        Err(TokenError::Revoked)
    }
}
