//! The client: one request at a time through budget, token and classification.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{Method, header};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use url::Url;

use crate::{
    budget::{Bucket, BudgetRefused, BudgetRequest, RateBudget, RequestClass, ResponseObservation},
    error::{Error, RatePolicy, classify},
    page::Cursor,
    token::AccessTokenSource,
};

/// The version of all paths. HubSpot supports a version for 18 months (`hubspot-api.md` §3).
pub const API_VERSION: &str = "2026-09";

/// Longest query in bytes; beyond it properties go into the body of a batch read. HubSpot answers
/// 414 somewhere near 16 kB.
pub(crate) const MAX_QUERY: usize = 10_000;

/// How often a 429 is waited out.
const RATE_LIMIT_ATTEMPTS: u32 = 3;

/// Where HubSpot is, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The API (`HUBSPOT_API_URL`).
    pub api_url: Url,
    /// The app, with its consent page (`HUBSPOT_APP_URL`).
    pub app_url: Url,
    /// Longest wait for one answer.
    pub request_timeout: Duration,
    /// The clock; tests give another.
    pub now: fn() -> DateTime<Utc>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            api_url: Url::parse("https://api.hubapi.com").expect("a constant address"),
            app_url: Url::parse("https://app.hubspot.com").expect("a constant address"),
            request_timeout: Duration::from_secs(20),
            now: Utc::now,
        }
    }
}

/// A client for one portal. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    config: Arc<ClientConfig>,
    auth: Arc<dyn AccessTokenSource>,
    budget: Arc<dyn RateBudget>,
    class: RequestClass,
    max_wait: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("api", &self.config.api_url.as_str())
            .finish_non_exhaustive()
    }
}

/// What came back, with its times.
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    pub(crate) sent_at: DateTime<Utc>,
    pub(crate) served_at: Option<DateTime<Utc>>,
}

/// A request, as often as it is sent.
pub(crate) struct Call<'a, B: Serialize + ?Sized> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'static str, String)],
    pub(crate) body: Option<&'a B>,
    pub(crate) bucket: Bucket,
    pub(crate) write: bool,
}

/// An HTTP client with TLS by ring, as the rest of the program has it.
pub(crate) fn http_client(timeout: Duration) -> Result<reqwest::Client, Error> {
    // Fails when one is installed already, which is as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(timeout)
        .connect_timeout(Duration::from_secs(10))
        .user_agent(concat!("hubspot-sync/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|_| Error::Misconfigured("the HTTP client could not be built"))
}

impl Client {
    /// A client for the portal that the tokens belong to.
    ///
    /// # Errors
    /// When TLS is not to be had on this machine.
    pub fn new(
        config: ClientConfig,
        auth: Arc<dyn AccessTokenSource>,
        budget: Arc<dyn RateBudget>,
    ) -> Result<Self, Error> {
        Ok(Self {
            http: http_client(config.request_timeout)?,
            config: Arc::new(config),
            auth,
            budget,
            class: RequestClass::Interactive,
            max_wait: Duration::from_secs(30),
        })
    }

    /// The same with tokens and budget of another portal; connections are shared.
    #[must_use]
    pub fn for_portal(
        &self,
        auth: Arc<dyn AccessTokenSource>,
        budget: Arc<dyn RateBudget>,
    ) -> Self {
        Self {
            auth,
            budget,
            ..self.clone()
        }
    }

    /// What the requests are for.
    #[must_use]
    pub fn with_class(mut self, class: RequestClass) -> Self {
        self.class = class;
        self
    }

    /// How long to wait for the budget before giving up with [`Error::BudgetWait`].
    #[must_use]
    pub fn with_max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.config.now)()
    }

    pub(crate) async fn get(
        &self,
        path: &str,
        query: &[(&'static str, String)],
    ) -> Result<Answer, Error> {
        self.send(&Call::<()> {
            method: Method::GET,
            path,
            query,
            body: None,
            bucket: Bucket::General,
            write: false,
        })
        .await
    }

    pub(crate) async fn post<B: Serialize>(
        &self,
        path: &str,
        body: &B,
        bucket: Bucket,
        write: bool,
    ) -> Result<Answer, Error> {
        self.send(&Call {
            method: Method::POST,
            path,
            query: &[],
            body: Some(body),
            bucket,
            write,
        })
        .await
    }

    pub(crate) async fn delete(&self, path: &str, bucket: Bucket) -> Result<(), Error> {
        self.send(&Call::<()> {
            method: Method::DELETE,
            path,
            query: &[],
            body: None,
            bucket,
            write: true,
        })
        .await
        .map(drop)
    }

    /// Sends a request. The retry rule is in the README.
    pub(crate) async fn send<B: Serialize + ?Sized>(
        &self,
        call: &Call<'_, B>,
    ) -> Result<Answer, Error> {
        let mut refreshed = false;
        let mut limited = 0;
        loop {
            // The token first: a refresh may take a while, and what the budget says of leaving has to
            // be fresh when the request leaves.
            let token = self.auth.access_token().await?;
            let request = BudgetRequest {
                bucket: call.bucket,
                class: self.class,
                max_wait: self.max_wait,
            };
            let permit = self.budget.acquire(&request).await.map_err(|r| match r {
                BudgetRefused::Fenced => Error::Fenced,
                BudgetRefused::DailyLimit { at_least } => Error::DailyLimit { at_least },
                BudgetRefused::WouldWait { at_least } => Error::BudgetWait { at_least },
                BudgetRefused::Unavailable => Error::Transient {
                    status: None,
                    retry_after: None,
                },
            })?;
            let mut url = self.config.api_url.clone();
            url.set_path(call.path);
            let mut builder = self
                .http
                .request(call.method.clone(), url)
                .bearer_auth(token.secret.expose_secret());
            if !call.query.is_empty() {
                builder = builder.query(call.query);
            }
            if let Some(body) = call.body {
                builder = builder.json(body);
            }
            let sent_at = self.now();
            // Whatever went wrong is dropped with its URL; all that matters is whether HubSpot may
            // have acted.
            let response = builder.send().await.map_err(|e| {
                if call.write && !e.is_connect() && !e.is_builder() {
                    Error::OutcomeUnknown
                } else {
                    Error::Transient {
                        status: None,
                        retry_after: None,
                    }
                }
            })?;
            let status = response.status().as_u16();
            let retry_after = header_u64(response.headers(), header::RETRY_AFTER.as_str())
                .map(Duration::from_secs);
            let mut observation = ResponseObservation {
                status,
                limit: header_u64(response.headers(), "x-hubspot-ratelimit-max"),
                remaining: header_u64(response.headers(), "x-hubspot-ratelimit-remaining"),
                interval: header_u64(
                    response.headers(),
                    "x-hubspot-ratelimit-interval-milliseconds",
                )
                .map(Duration::from_millis),
                retry_after,
                daily_remaining: header_u64(
                    response.headers(),
                    "x-hubspot-ratelimit-daily-remaining",
                ),
                daily: false,
            };
            // The body of a 429 says which limit it is about.
            if status != 429 {
                self.budget.observe(&request, permit, &observation);
            }
            let served_at = response
                .headers()
                .get(header::DATE)
                .and_then(|v| v.to_str().ok())
                .and_then(|v| DateTime::parse_from_rfc2822(v).ok())
                .map(|d| d.to_utc());
            let ok = response.status().is_success();
            let body = response.bytes().await;
            if status == 429 {
                observation.daily = body.as_ref().is_ok_and(|body| {
                    let error = classify(status, retry_after, body, call.write);
                    matches!(&error, Error::RateLimited { policy, .. } if *policy == RatePolicy::Daily)
                });
                self.budget.observe(&request, permit, &observation);
            }
            let body = match body {
                Ok(body) => body.to_vec(),
                // The answer had begun: HubSpot acted.
                Err(_) if call.write => return Err(Error::OutcomeUnknown),
                Err(_) => {
                    return Err(Error::Transient {
                        status: Some(status),
                        retry_after,
                    });
                }
            };
            if ok {
                return Ok(Answer {
                    body,
                    sent_at,
                    served_at,
                });
            }
            // Expired, or refused for a reason that only the token endpoint can tell: one more try with
            // a fresh token says whether the connection is gone.
            if status == 401 && !refreshed {
                refreshed = true;
                self.auth.expired(&token).await?;
                continue;
            }
            let error = classify(status, retry_after, &body, call.write);
            // The daily limit ends at midnight: nobody waits for that here.
            let soon =
                matches!(&error, Error::RateLimited { policy, .. } if *policy != RatePolicy::Daily);
            if soon && limited < RATE_LIMIT_ATTEMPTS {
                limited += 1;
                continue;
            }
            return Err(error);
        }
    }
}

/// Pages of anything that is listed with `limit` and `after`.
pub(crate) fn paged(limit: u32, after: Option<&Cursor>) -> Vec<(&'static str, String)> {
    let mut query = vec![("limit", limit.to_string())];
    if let Some(after) = after {
        query.push(("after", after.as_str().to_owned()));
    }
    query
}

fn header_u64(headers: &header::HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}
