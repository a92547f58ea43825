//! Where access tokens come from.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

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
    /// [`TokenError::Doubted`] before it is [`TokenError::Revoked`] (see [`KeyDoubt`]).
    async fn expired(&self, token: &AccessToken) -> Result<(), TokenError>;

    /// HubSpot took this one: what was doubted of it is over.
    fn accepted(&self, _token: &AccessToken) {}
}

/// A key counts as gone when it was refused again and again for so long.
const GONE_AFTER: Duration = Duration::from_secs(60);
/// And so often.
const GONE_AFTER_TIMES: u32 = 3;
/// What was refused before a silence of so long is of another day.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5 * 60);
/// So long after the first refusal it is asked again at short intervals.
const HOPEFUL: Duration = Duration::from_secs(5);

/// Decides when a key that cannot be renewed is gone: one 401 may be a hiccup of HubSpot's, so it is
/// asked with again for at least a minute.
#[derive(Debug, Default)]
pub struct KeyDoubt(Mutex<Option<Refusals>>);

#[derive(Debug, Clone, Copy)]
struct Refusals {
    first: Instant,
    last: Instant,
    times: u32,
}

impl KeyDoubt {
    /// The key was refused: [`TokenError::Doubted`] or [`TokenError::Revoked`].
    pub fn refused(&self, now: Instant) -> TokenError {
        let mut doubt = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Refusals {
            first: now,
            last: now,
            times: 0,
        };
        let mut refusals = doubt
            .filter(|d| now.saturating_duration_since(d.last) <= FORGOTTEN_AFTER)
            .unwrap_or(fresh);
        refusals.last = now;
        refusals.times = refusals.times.saturating_add(1);
        *doubt = Some(refusals);
        let since = now.saturating_duration_since(refusals.first);
        if since >= GONE_AFTER && refusals.times >= GONE_AFTER_TIMES {
            return TokenError::Revoked;
        }
        TokenError::Doubted {
            retry_after: Duration::from_secs(if since < HOPEFUL { 2 } else { 20 }),
        }
    }

    /// The key was taken.
    pub fn accepted(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A service key: does not expire by itself.
#[derive(Debug)]
pub struct StaticToken {
    key: SecretString,
    doubt: KeyDoubt,
}

impl StaticToken {
    /// Wraps a key.
    pub fn new(key: SecretString) -> Self {
        Self {
            key,
            doubt: KeyDoubt::default(),
        }
    }
}

#[async_trait]
impl AccessTokenSource for StaticToken {
    async fn access_token(&self) -> Result<AccessToken, TokenError> {
        Ok(AccessToken {
            secret: self.key.clone(),
            version: 0,
        })
    }

    async fn expired(&self, _token: &AccessToken) -> Result<(), TokenError> {
        // There is no way to renew it.
        Err(self.doubt.refused(Instant::now()))
    }

    fn accepted(&self, _token: &AccessToken) {
        self.doubt.accepted();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_is_no_revocation() {
        let begin = Instant::now();
        let at = |s| begin + Duration::from_secs(s);
        let doubt = KeyDoubt::default();
        for second in [0, 0, 0, 2, 4, 24, 44, 59] {
            assert!(
                matches!(doubt.refused(at(second)), TokenError::Doubted { .. }),
                "after {second} s"
            );
        }
        assert_eq!(doubt.refused(at(60)), TokenError::Revoked);
        // It was taken in between.
        doubt.accepted();
        assert!(matches!(doubt.refused(at(61)), TokenError::Doubted { .. }));
        // Two refusals, a day apart, are two hiccups.
        assert!(matches!(
            doubt.refused(at(86_400)),
            TokenError::Doubted { .. }
        ));
    }
}
