//! `/api/v1`, typed: one file for each kind of thing.

mod activities;
mod bulk;
mod call;
mod changes;
mod companies;
mod connection;
mod dnc;
mod erasure;
mod error;
mod exports;
mod fields;
mod journal;
mod lists;
mod members;
mod paging;
mod people;
mod profiles;
mod settings;
mod tokens;
mod touches;

use std::{fmt, time::Duration};

use reqwest::header;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

pub use error::{BuildError, Error, Unexpected};
pub use exports::ExportFilter;

/// Longest wait for one answer unless the builder says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The service closes a connection that idles for thirty seconds: a call on one that is being closed would
/// fail.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach the service. See [`HubSpotSync::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    base: Url,
    token: Option<SecretString>,
    timeout: Duration,
}

impl Builder {
    /// The service token, sent as `Authorization: Bearer`. Without it no such header is sent.
    #[must_use]
    pub fn bearer_token(mut self, token: SecretString) -> Self {
        self.token = Some(token);
        self
    }

    /// Longest wait for one answer; 30 seconds unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`BuildError`] names what cannot be used.
    pub fn build(self) -> Result<HubSpotSync, BuildError> {
        let base = &self.base;
        let usable = matches!(base.scheme(), "http" | "https")
            && base.has_host()
            && base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        if !usable {
            return Err(BuildError::BaseUrl);
        }
        if let Some(token) = &self.token {
            let token = token.expose_secret();
            if token.is_empty() || header::HeaderValue::from_str(token).is_err() {
                return Err(BuildError::Token);
            }
        }
        // Fails when one is installed already, which is as good.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(self.timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(self.timeout))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("hubspot-sync-client/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| BuildError::Http)?;
        Ok(HubSpotSync {
            http,
            base: self.base,
            token: self.token,
        })
    }
}

/// A client of `/api/v1`. Cheap to clone; connections are kept and shared by the clones.
///
/// Nothing is retried: whoever calls knows whether asking twice does harm. Calls that take an
/// [`IdempotencyKey`](domain::api::IdempotencyKey) can be sent again with the same key: within a day
/// the answer of the first one comes back.
///
/// All calls fail with [`Error::Problem`] where the token is wrong (HS-4002) or the workspace is not
/// known (HS-1001).
#[derive(Clone)]
pub struct HubSpotSync {
    http: reqwest::Client,
    base: Url,
    token: Option<SecretString>,
}

impl fmt::Debug for HubSpotSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubSpotSync")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

impl HubSpotSync {
    /// A client of the service at this address; a path in it is kept as a prefix.
    pub fn builder(base: Url) -> Builder {
        Builder {
            base,
            token: None,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_refused_without_being_repeated() {
        for base in [
            "ftp://sync.example.com",
            "https://me:sekret@sync.example.com",
            "https://sync.example.com?token=sekret",
            "https://sync.example.com#sekret",
            "data:sekret",
        ] {
            let error = HubSpotSync::builder(base.parse().unwrap())
                .build()
                .unwrap_err();
            assert_eq!(error, BuildError::BaseUrl, "{base}");
            assert!(!error.to_string().contains("sekret"));
        }
        for token in ["", "sekret\n"] {
            let error = HubSpotSync::builder("http://localhost".parse().unwrap())
                .bearer_token(token.into())
                .build()
                .unwrap_err();
            assert_eq!(error, BuildError::Token);
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let builder =
            HubSpotSync::builder("http://localhost".parse().unwrap()).bearer_token("sekret".into());
        assert!(!format!("{builder:?}").contains("sekret"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("sekret"));
    }
}
