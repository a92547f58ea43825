//! `/api/v1`, typed.

use std::{fmt, time::Duration};

use domain::{
    ResyncRequest, WorkspaceId,
    api::{ConnectAnswer, ConnectRequest, DisconnectAnswer, Problem, ResyncAnswer, StatusAnswer},
};
use reqwest::{Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use crate::Cause;

/// Longest wait for one answer unless the builder says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Far above every answer of `/api/v1`; keeps a wrong address from filling the memory.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// RFC 9457
const PROBLEM_JSON: &str = "application/problem+json";

// ---- errors ----------------------------------------------------------------------------------

/// Why a call of `/api/v1` failed. Carries no address and no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There was no answer. Whether the call had an effect, says [`Cause::had_no_effect`].
    #[error("the HubSpot sync service could not be reached: {cause}")]
    Unreachable {
        /// Why.
        cause: Cause,
        /// The error underneath, stripped of its address.
        #[source]
        source: reqwest::Error,
    },
    /// The service said no (RFC 9457); nothing was changed.
    #[error("{code} {title}: {detail}")]
    Problem {
        /// The service's code, such as `HS-1003`; `docs/errors.md` has a paragraph on each.
        code: String,
        /// The same for every problem of this code.
        title: String,
        /// What happened here and the way out.
        detail: String,
        /// HTTP status.
        status: u16,
    },
    /// Something answered that does not speak this API, or another version of it.
    #[error("HTTP status {status}: {reason}")]
    UnexpectedAnswer {
        /// HTTP status.
        status: u16,
        /// What is wrong with the answer.
        reason: Unexpected,
    },
}

impl Error {
    /// Whether asking the same again later may succeed: nobody there, or an error of the server's.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem { status, .. } | Self::UnexpectedAnswer { status, .. } => *status >= 500,
        }
    }
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unexpected {
    /// A success whose body is not the JSON that this call is answered with.
    Body,
    /// No success, and no problem document either.
    NoProblem,
    /// A redirect. It is not followed, for the token is meant for the given address only.
    Redirect,
    /// More than 1 MiB.
    TooLarge,
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Body => {
                "the body is not what this version of the client expects; is the base URL that of \
                 the HubSpot sync service, and of the same version?"
            }
            Self::NoProblem => {
                "an error without a problem document; is the base URL that of the HubSpot sync \
                 service, or of something in front of it?"
            }
            Self::Redirect => {
                "a redirect, which is not followed; give the base URL that it leads to"
            }
            Self::TooLarge => "the body is larger than 1 MiB; is the base URL right?",
        })
    }
}

/// Why no client could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The base URL is not usable. It is not repeated: it may contain a password.
    #[error(
        "the base URL is not an http(s) address without user, query and fragment, such as \
         https://sync.example.com"
    )]
    BaseUrl,
    /// The token is empty or has characters that no HTTP header can carry.
    #[error("the bearer token is empty or has characters that an HTTP header cannot carry")]
    Token,
    /// There is no TLS on this machine.
    #[error("the HTTP client could not be built")]
    Http,
}

// ---- client ----------------------------------------------------------------------------------

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
/// Nothing is retried: whoever calls knows whether asking twice does harm.
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
        self.call(Method::POST, workspace, "connect", Some(request))
            .await
    }

    /// Where the connection stands and how far each object type is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn status(&self, workspace: WorkspaceId) -> Result<StatusAnswer, Error> {
        self.call(Method::GET, workspace, "status", None::<&()>)
            .await
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
        self.call(Method::POST, workspace, "resync", Some(request))
            .await
    }

    /// Takes the connection down (C4): from the answer on, no request goes to HubSpot. Imported
    /// data stays.
    ///
    /// # Errors
    /// [`Error::Problem`] when the workspace is unknown or not connected.
    pub async fn disconnect(&self, workspace: WorkspaceId) -> Result<DisconnectAnswer, Error> {
        self.call(Method::POST, workspace, "disconnect", None::<&()>)
            .await
    }

    async fn call<B: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        workspace: WorkspaceId,
        verb: &str,
        body: Option<&B>,
    ) -> Result<A, Error> {
        let mut request = self
            .http
            .request(method, self.address(workspace, verb))
            .header(header::ACCEPT, "application/json, application/problem+json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(unreachable)?;
        read(response).await
    }

    fn address(&self, workspace: WorkspaceId, verb: &str) -> Url {
        let mut address = self.base.clone();
        if let Ok(mut path) = address.path_segments_mut() {
            path.pop_if_empty().extend([
                "api",
                "v1",
                "workspaces",
                &workspace.to_string(),
                "hubspot",
                verb,
            ]);
        }
        address
    }
}

fn unreachable(error: reqwest::Error) -> Error {
    let fallback = if error.is_timeout() {
        Cause::TimedOut
    } else if error.is_connect() {
        Cause::NoConnection
    } else {
        Cause::Broken
    };
    Error::Unreachable {
        cause: Cause::of(&error, fallback),
        source: error.without_url(),
    }
}

async fn read<A: DeserializeOwned>(mut response: reqwest::Response) -> Result<A, Error> {
    let status = response.status();
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(PROBLEM_JSON));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(unexpected(status, Unexpected::TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|_| unexpected(status, Unexpected::Body));
    }
    if status.is_redirection() {
        return Err(unexpected(status, Unexpected::Redirect));
    }
    if !is_problem {
        return Err(unexpected(status, Unexpected::NoProblem));
    }
    let problem: Problem =
        serde_json::from_slice(&body).map_err(|_| unexpected(status, Unexpected::NoProblem))?;
    Err(Error::Problem {
        code: problem.code,
        title: problem.title,
        detail: problem.detail,
        status: status.as_u16(),
    })
}

fn unexpected(status: StatusCode, reason: Unexpected) -> Error {
    Error::UnexpectedAnswer {
        status: status.as_u16(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> WorkspaceId {
        "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
    }

    #[test]
    fn a_path_in_the_base_url_is_kept() {
        for base in [
            "https://sync.example.com/front",
            "https://sync.example.com/front/",
        ] {
            let client = HubSpotSync::builder(base.parse().unwrap()).build().unwrap();
            assert_eq!(
                client.address(workspace(), "status").as_str(),
                "https://sync.example.com/front/api/v1/workspaces/\
                 01890a5d-ac96-774b-bcce-b302099a8057/hubspot/status"
            );
        }
    }

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
