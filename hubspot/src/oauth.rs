//! OAuth 2.0: authorize URL, codes, refresh, introspection, revocation.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::time::MissedTickBehavior;
use url::Url;

use crate::{
    client::{API_VERSION, ClientConfig, Timeouts, http_client},
    error::Error,
    ids::PortalId,
};

/// Beyond every time-out of ours: that of the HTTP client looks at the clock before it looks for an
/// answer ([`awake`]).
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The parts in which waiting is counted.
const TICKS: u32 = 40;

/// A HubSpot app.
#[derive(Debug, Clone)]
pub struct OAuthApp {
    /// Its client id.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: SecretString,
}

/// Tokens as HubSpot gives them.
#[derive(Debug)]
pub struct TokenGrant {
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token. A refresh may bring another one, which replaces the old.
    pub refresh_token: Option<SecretString>,
    /// How long the access token is good.
    pub expires_in: Duration,
    /// The portal, where the answer names it.
    pub portal: Option<PortalId>,
    /// What was granted, where the answer names it.
    pub scopes: Vec<String>,
}

/// Why there are no tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OAuthError {
    /// `BAD_REFRESH_TOKEN`: revoked or uninstalled. Nothing else means that.
    #[error("the refresh token was revoked")]
    Revoked,
    /// The code is unknown, used or too old.
    #[error("the authorization code is not good")]
    BadCode,
    /// Client id, secret or redirect address are wrong.
    #[error("the HubSpot app is not configured rightly: {0}")]
    Misconfigured(&'static str),
    /// A 429, a 5xx or network trouble: a delay, never a revocation.
    #[error("HubSpot's token endpoint could not answer")]
    Transient {
        /// When to come back, if HubSpot says so.
        retry_after: Option<Duration>,
    },
}

/// Why HubSpot did not let a person consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsentRefused {
    /// The person chose so, or nobody knows.
    ByPerson,
    /// The person may not connect apps.
    NoPermission,
    /// The account does not have these required scopes, as its plan lacks what they are for; empty
    /// when they are not named.
    LacksScopes(Vec<String>),
}

impl ConsentRefused {
    /// Out of the query with which HubSpot leads back: `error` and `error_description`.
    ///
    /// This is the one place where HubSpot's text decides: for a lack of scopes and of permission no
    /// code is known, and each has a way out of its own. A text that is not known tells no more than
    /// that it was refused.
    pub fn of(error: &str, description: &str) -> Self {
        let text = description.to_ascii_lowercase();
        let of_scopes = matches!(error, "invalid_scope" | "insufficient_scope")
            || text.contains("required scope");
        if of_scopes {
            Self::LacksScopes(named_scopes(description))
        } else if text.contains("permission") {
            Self::NoPermission
        } else {
            Self::ByPerson
        }
    }
}

/// What stands between brackets, as far as it can be scopes: anybody may write the query.
fn named_scopes(description: &str) -> Vec<String> {
    let named = description
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("", |(inside, _)| inside);
    let is_scope = |text: &&str| {
        (2..=100).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    named
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(is_scope)
        .take(50)
        .map(str::to_owned)
        .collect()
}

#[derive(Deserialize)]
struct RawGrant {
    access_token: String,
    #[serde(default)]
    refresh_token: Option<String>,
    expires_in: u64,
    #[serde(default)]
    hub_id: Option<PortalId>,
    #[serde(default)]
    scopes: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawRefusal {
    status: String,
    error: String,
}

#[derive(Deserialize)]
struct RawIntrospection {
    active: bool,
    #[serde(default)]
    hub_id: Option<PortalId>,
    #[serde(default)]
    hub_domain: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
}

/// What HubSpot says of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// Whether it is good.
    pub active: bool,
    /// The portal.
    pub portal: Option<PortalId>,
    /// The portal's own domain, where the answer names it.
    pub hub_domain: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
}

/// The OAuth endpoints for one app.
#[derive(Debug, Clone)]
pub struct OAuth {
    http: reqwest::Client,
    config: ClientConfig,
    app: OAuthApp,
}

impl OAuth {
    /// For an app.
    ///
    /// # Errors
    /// When TLS is not to be had on this machine.
    pub fn new(config: ClientConfig, app: OAuthApp) -> Result<Self, Error> {
        // No time-out by the clock: `awake` gives up, by the time in which this process ran.
        let timeouts = Timeouts {
            idle: LONGEST,
            ..config.timeouts
        };
        Ok(Self {
            http: http_client(&timeouts)?,
            config,
            app,
        })
    }

    /// Where a person approves.
    pub fn authorize_url(
        &self,
        redirect_uri: &Url,
        scopes: &[&str],
        optional_scopes: &[&str],
        state: &str,
    ) -> Url {
        let mut url = self.config.app_url.clone();
        url.set_path("/oauth/authorize");
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("client_id", &self.app.client_id)
                .append_pair("redirect_uri", redirect_uri.as_str())
                .append_pair("scope", &scopes.join(" "));
            if !optional_scopes.is_empty() {
                query.append_pair("optional_scope", &optional_scopes.join(" "));
            }
            query.append_pair("state", state);
        }
        url
    }

    /// Turns a code into tokens.
    ///
    /// # Errors
    /// See [`OAuthError`].
    pub async fn exchange_code(
        &self,
        code: &SecretString,
        redirect_uri: &Url,
    ) -> Result<TokenGrant, OAuthError> {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", redirect_uri.as_str()),
        ])
        .await
    }

    /// Fresh tokens for a refresh token.
    ///
    /// # Errors
    /// See [`OAuthError`].
    pub async fn refresh(&self, refresh_token: &SecretString) -> Result<TokenGrant, OAuthError> {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose_secret()),
        ])
        .await
    }

    /// What HubSpot says of an access token; also the scopes that were really granted.
    ///
    /// # Errors
    /// See [`OAuthError`].
    pub async fn introspect(
        &self,
        access_token: &SecretString,
    ) -> Result<Introspection, OAuthError> {
        let raw: RawIntrospection = self
            .form(
                "token/introspect",
                &[
                    ("token", access_token.expose_secret()),
                    ("token_type_hint", "access_token"),
                ],
            )
            .await
            .and_then(|body| {
                serde_json::from_slice(&body)
                    .map_err(|_| OAuthError::Transient { retry_after: None })
            })?;
        Ok(Introspection {
            active: raw.active,
            portal: raw.hub_id,
            hub_domain: raw.hub_domain,
            scopes: raw.scopes,
        })
    }

    /// Revokes a refresh token. Access tokens that were issued stay good until they expire. A token
    /// that is revoked already counts as revoked.
    ///
    /// # Errors
    /// See [`OAuthError`].
    pub async fn revoke(&self, refresh_token: &SecretString) -> Result<(), OAuthError> {
        let revoked = self
            .form(
                "token/revoke",
                &[
                    ("token", refresh_token.expose_secret()),
                    ("token_type_hint", "refresh_token"),
                ],
            )
            .await;
        match revoked {
            Ok(_) | Err(OAuthError::Revoked) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn token(&self, form: &[(&str, &str)]) -> Result<TokenGrant, OAuthError> {
        let body = self.form("token", form).await?;
        let raw: RawGrant = serde_json::from_slice(&body)
            .map_err(|_| OAuthError::Transient { retry_after: None })?;
        Ok(TokenGrant {
            access_token: raw.access_token.into(),
            refresh_token: raw.refresh_token.map(SecretString::from),
            expires_in: Duration::from_secs(raw.expires_in),
            portal: raw.hub_id,
            scopes: raw.scopes,
        })
    }

    async fn form(&self, path: &str, form: &[(&str, &str)]) -> Result<Vec<u8>, OAuthError> {
        let mut all = vec![
            ("client_id", self.app.client_id.as_str()),
            ("client_secret", self.app.client_secret.expose_secret()),
        ];
        all.extend_from_slice(form);
        let mut url = self.config.api_url.clone();
        url.set_path(&format!("/oauth/{API_VERSION}/{path}"));
        let transient = || OAuthError::Transient { retry_after: None };
        let request = self.http.post(url).timeout(LONGEST).form(&all);
        let answer = async {
            let response = request.send().await?;
            let status = response.status();
            let retry_after = response
                .headers()
                .get("retry-after")
                .and_then(|v| v.to_str().ok()?.parse().ok())
                .map(Duration::from_secs);
            Ok::<_, reqwest::Error>((status, retry_after, response.bytes().await?))
        };
        let (status, retry_after, body) = awake(self.config.timeouts.token, answer)
            .await
            .ok_or_else(transient)?
            .map_err(|_| transient())?;
        if status.is_success() {
            return Ok(body.to_vec());
        }
        if status.as_u16() == 429 || status.is_server_error() {
            return Err(OAuthError::Transient { retry_after });
        }
        let refusal: RawRefusal = serde_json::from_slice(&body).unwrap_or_default();
        Err(refused(&refusal))
    }
}

/// Gives up on what takes longer than this of the time in which the process was awake. A process that
/// was frozen, and finds answer and time-out together when it goes on, has to read the answer: with
/// it HubSpot may have replaced the refresh token.
async fn awake<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut ticks = tokio::time::interval(limit / TICKS);
    // What was slept through is one tick, however long it was.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut work = std::pin::pin!(work);
    for _ in 0..TICKS {
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            _ = ticks.tick() => {}
        }
    }
    None
}

/// Only `BAD_REFRESH_TOKEN` means revoked (`hubspot-api.md` §11). What nobody knows is a delay: to
/// take it for a revocation would cost the customer the connection.
fn refused(refusal: &RawRefusal) -> OAuthError {
    match refusal.status.as_str() {
        "BAD_REFRESH_TOKEN" => OAuthError::Revoked,
        "BAD_AUTH_CODE" => OAuthError::BadCode,
        "BAD_CLIENT_ID" => OAuthError::Misconfigured("HUBSPOT_CLIENT_ID"),
        "BAD_CLIENT_SECRET" => OAuthError::Misconfigured("HUBSPOT_CLIENT_SECRET"),
        "BAD_REDIRECT_URI" => OAuthError::Misconfigured("PUBLIC_URL"),
        _ if refusal.error == "invalid_client" => {
            OAuthError::Misconfigured("HUBSPOT_CLIENT_SECRET")
        }
        _ => OAuthError::Transient { retry_after: None },
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// A server in a thread of its own, which answers after a while whatever becomes of us.
    fn server_that_answers_after(wait: Duration) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4_096];
            let _request = stream.read(&mut buffer).unwrap();
            thread::sleep(wait);
            let body = r#"{"access_token":"a2","refresh_token":"r2","expires_in":1800}"#;
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            )
            .unwrap();
        });
        Url::parse(&address).unwrap()
    }

    fn oauth(api_url: Url, timeout: Duration) -> OAuth {
        let config = ClientConfig {
            api_url,
            timeouts: Timeouts::all(timeout),
            ..ClientConfig::default()
        };
        let app = OAuthApp {
            client_id: "id".to_owned(),
            client_secret: SecretString::from("secret"),
        };
        OAuth::new(config, app).unwrap()
    }

    /// SIGSTOP in the middle of a refresh: the answer came, and so did the end of the time-out.
    #[tokio::test]
    async fn an_answer_that_came_while_the_process_was_frozen_is_read() {
        let server = server_that_answers_after(Duration::from_millis(300));
        let oauth = oauth(server, Duration::from_millis(1_000));
        let refresh = tokio::spawn(async move { oauth.refresh(&SecretString::from("r1")).await });
        tokio::time::sleep(Duration::from_millis(150)).await;
        // Nothing of this runtime runs meanwhile.
        thread::sleep(Duration::from_millis(2_500));
        let grant = refresh.await.unwrap().unwrap();
        assert_eq!(grant.refresh_token.unwrap().expose_secret(), "r2");
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_given_up() {
        let server = server_that_answers_after(Duration::from_secs(30));
        let oauth = oauth(server, Duration::from_millis(400));
        let began = std::time::Instant::now();
        let refused = oauth.refresh(&SecretString::from("r1")).await.unwrap_err();
        assert_eq!(refused, OAuthError::Transient { retry_after: None });
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_consent_that_was_refused_says_why() {
        let lacking = |scopes: &[&str]| {
            ConsentRefused::LacksScopes(scopes.iter().map(|s| (*s).to_owned()).collect())
        };
        for (error, description, want) in [
            (
                "access_denied",
                "The account lacks access to the required scopes [crm.lists.read, sales-email-read]",
                lacking(&["crm.lists.read", "sales-email-read"]),
            ),
            (
                "error",
                "account lacks access to the required scopes [<b>x</b>, crm.lists.read]. Ask.",
                lacking(&["crm.lists.read"]),
            ),
            ("invalid_scope", "", lacking(&[])),
            (
                "access_denied",
                "lacks access to required scopes",
                lacking(&[]),
            ),
            (
                "access_denied",
                "You do not have permission to connect apps",
                ConsentRefused::NoPermission,
            ),
            ("access_denied", "the user denied", ConsentRefused::ByPerson),
            ("server_error", "", ConsentRefused::ByPerson),
        ] {
            assert_eq!(
                ConsentRefused::of(error, description),
                want,
                "{description}"
            );
        }
    }

    #[test]
    fn only_bad_refresh_token_is_a_revocation() {
        let table = [
            (
                r#"{"status":"BAD_REFRESH_TOKEN","error":"invalid_grant"}"#,
                OAuthError::Revoked,
            ),
            (r#"{"status":"BAD_AUTH_CODE"}"#, OAuthError::BadCode),
            (
                r#"{"status":"BAD_CLIENT_SECRET"}"#,
                OAuthError::Misconfigured("HUBSPOT_CLIENT_SECRET"),
            ),
            (
                r#"{"error":"invalid_grant"}"#,
                OAuthError::Transient { retry_after: None },
            ),
            ("{}", OAuthError::Transient { retry_after: None }),
        ];
        for (body, want) in table {
            assert_eq!(refused(&serde_json::from_str(body).unwrap()), want);
        }
    }
}
