//! The client: one request at a time through budget, token and classification.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{Method, header};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use url::Url;

use crate::{
    budget::{
        Bucket, BudgetRefused, BudgetRequest, RateBudget, RequestClass, RequestTally,
        ResponseObservation,
    },
    error::{Error, RatePolicy, classify},
    page::Cursor,
    token::{AccessToken, AccessTokenSource, TokenError},
};

/// The version of all paths. HubSpot supports a version for 18 months (`hubspot-api.md` §3).
pub const API_VERSION: &str = "2026-09";

/// Longest query in bytes; beyond it properties go into the body of a batch read. HubSpot answers
/// 414 somewhere near 16 kB.
pub(crate) const MAX_QUERY: usize = 10_000;

/// How often a 429 is waited out.
const RATE_LIMIT_ATTEMPTS: u32 = 3;
/// How often a read is sent, at most, when HubSpot cannot answer.
const READ_ATTEMPTS: u32 = 4;
/// How often a read that took too long is sent. The second time it has twice the time.
const SLOW_ATTEMPTS: u32 = 2;
/// The wait before the second attempt; each one after is three times as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait here; who is told to wait longer hands that up.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often a key that is refused is asked with again before that is handed up.
const DOUBT_ATTEMPTS: u32 = 2;

/// How long the kinds of calls may take, from sending to the last byte of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection is made.
    pub connect: Duration,
    /// Without a byte of an answer that is awaited.
    pub idle: Duration,
    /// A read of one record or of one definition.
    pub read: Duration,
    /// A page of a listing or of a search.
    pub page: Duration,
    /// A batch read, and associations, of which HubSpot was seen to take 40 s.
    pub batch: Duration,
    /// A write. Longer is better than not to know what became of it.
    pub write: Duration,
    /// A call to the token endpoint.
    pub token: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(90),
            read: Duration::from_secs(20),
            page: Duration::from_secs(60),
            batch: Duration::from_secs(120),
            write: Duration::from_secs(60),
            token: Duration::from_secs(20),
        }
    }
}

impl Timeouts {
    /// The same for every kind.
    pub const fn all(timeout: Duration) -> Self {
        Self {
            connect: timeout,
            idle: timeout,
            read: timeout,
            page: timeout,
            batch: timeout,
            write: timeout,
            token: timeout,
        }
    }

    const fn of(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Read => self.read,
            Kind::Page => self.page,
            Kind::Batch => self.batch,
            Kind::Write => self.write,
        }
    }
}

/// Where HubSpot is, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The API (`HUBSPOT_API_URL`).
    pub api_url: Url,
    /// The app, with its consent page (`HUBSPOT_APP_URL`).
    pub app_url: Url,
    /// Longest waits for one answer.
    pub timeouts: Timeouts,
    /// The clock, for requests whose permit brings no time; tests give another.
    pub now: fn() -> DateTime<Utc>,
    /// From 0 to 1: so that those who failed together do not come back together.
    pub random: fn() -> f64,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            api_url: Url::parse("https://api.hubapi.com").expect("a constant address"),
            app_url: Url::parse("https://app.hubspot.com").expect("a constant address"),
            timeouts: Timeouts::default(),
            now: Utc::now,
            random: rand::random,
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
    tally: Option<Arc<RequestTally>>,
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

/// What a call is: how long it may take, and whether it may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads one thing.
    Read,
    /// Reads a page.
    Page,
    /// Reads many records, or associations.
    Batch,
    /// Changes something.
    Write,
}

/// A request, as often as it is sent.
pub(crate) struct Call<'a, B: Serialize + ?Sized> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'static str, String)],
    pub(crate) body: Option<&'a B>,
    pub(crate) bucket: Bucket,
    pub(crate) kind: Kind,
}

/// An HTTP client with TLS by ring, as the rest of the program has it.
pub(crate) fn http_client(timeouts: &Timeouts) -> Result<reqwest::Client, Error> {
    // Fails when one is installed already, which is as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .read_timeout(timeouts.idle)
        .connect_timeout(timeouts.connect)
        .user_agent(concat!("hubspot-sync/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|_| Error::Misconfigured("the HTTP client could not be built"))
}

/// What came of sending a request once.
enum Sent {
    Answered(Answer),
    Refused { error: Error, timed_out: bool },
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
            http: http_client(&config.timeouts)?,
            config: Arc::new(config),
            auth,
            budget,
            class: RequestClass::Interactive,
            max_wait: Duration::from_secs(30),
            tally: None,
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

    /// Counts the requests that leave, here.
    #[must_use]
    pub fn with_tally(mut self, tally: Arc<RequestTally>) -> Self {
        self.tally = Some(tally);
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

    pub(crate) fn random(&self) -> f64 {
        (self.config.random)()
    }

    /// Before what was not answered is asked again.
    pub(crate) async fn pause_before_asking_again(&self) {
        tokio::time::sleep(FIRST_WAIT.mul_f64(0.75 + self.random() / 2.0)).await;
    }

    pub(crate) async fn get(
        &self,
        path: &str,
        query: &[(&'static str, String)],
        kind: Kind,
    ) -> Result<Answer, Error> {
        self.send(&Call::<()> {
            method: Method::GET,
            path,
            query,
            body: None,
            bucket: Bucket::General,
            kind,
        })
        .await
    }

    pub(crate) async fn post<B: Serialize>(
        &self,
        path: &str,
        body: &B,
        bucket: Bucket,
        kind: Kind,
    ) -> Result<Answer, Error> {
        self.send(&Call {
            method: Method::POST,
            path,
            query: &[],
            body: Some(body),
            bucket,
            kind,
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
            kind: Kind::Write,
        })
        .await
        .map(drop)
    }

    /// Sends a request, reads repeatedly. The retry rule is in the README.
    pub(crate) async fn send<B: Serialize + ?Sized>(
        &self,
        call: &Call<'_, B>,
    ) -> Result<Answer, Error> {
        let somebody_waits = self.class == RequestClass::Interactive;
        let mut refreshed = false;
        let (mut limited, mut doubted, mut failed, mut slow) = (0, 0, 0, 0);
        loop {
            // The token first: a refresh may take a while, and what the budget says of leaving has to
            // be fresh when the request leaves.
            let token = self.auth.access_token().await?;
            let (error, timed_out) = match self.send_once(call, &token, slow + 1).await? {
                Sent::Answered(answer) => return Ok(answer),
                Sent::Refused { error, timed_out } => (error, timed_out),
            };
            match &error {
                // Expired, or refused for a reason that only the token endpoint can tell: one more
                // try with a fresh token says whether the connection is gone.
                Error::Unauthorized(_) if !refreshed => {
                    match self.auth.expired(&token).await {
                        Ok(()) => refreshed = true,
                        // It was not done: also a write may be sent again.
                        Err(TokenError::Doubted { retry_after })
                            if !somebody_waits
                                && doubted < DOUBT_ATTEMPTS
                                && retry_after <= LONGEST_WAIT =>
                        {
                            doubted += 1;
                            tokio::time::sleep(retry_after).await;
                        }
                        Err(refused) => return Err(refused.into()),
                    }
                }
                // The daily limit ends at midnight: nobody waits for that here.
                Error::RateLimited { policy, .. }
                    if *policy != RatePolicy::Daily && limited < RATE_LIMIT_ATTEMPTS =>
                {
                    limited += 1;
                }
                Error::Transient { retry_after, .. } if call.kind != Kind::Write => {
                    failed += 1;
                    slow += u32::from(timed_out);
                    let wait = self.wait(failed, *retry_after);
                    let enough = failed >= READ_ATTEMPTS
                        || slow >= SLOW_ATTEMPTS
                        || (timed_out && somebody_waits);
                    if enough || wait > LONGEST_WAIT {
                        return Err(error);
                    }
                    tokio::time::sleep(wait).await;
                }
                // A gateway's page.
                Error::UnexpectedResponse { .. } if call.kind != Kind::Write => {
                    failed += 1;
                    if failed >= READ_ATTEMPTS {
                        return Err(error);
                    }
                    tokio::time::sleep(self.wait(failed, None)).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// The wait after so many failures.
    fn wait(&self, failed: u32, retry_after: Option<Duration>) -> Duration {
        let usual = FIRST_WAIT * 3_u32.saturating_pow(failed.saturating_sub(1));
        let usual = usual.mul_f64(0.75 + self.random() / 2.0);
        retry_after.map_or(usual, |asked| asked.max(usual))
    }

    /// Sends a request. `patience` is how many times its usual time it has.
    async fn send_once<B: Serialize + ?Sized>(
        &self,
        call: &Call<'_, B>,
        token: &AccessToken,
        patience: u32,
    ) -> Result<Sent, Error> {
        let write = call.kind == Kind::Write;
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
        if let Some(tally) = &self.tally {
            tally.count(call.bucket);
        }
        let mut url = self.config.api_url.clone();
        url.set_path(call.path);
        if !call.query.is_empty() {
            url.set_query(Some(&query_text(call.query)));
        }
        let mut builder = self
            .http
            .request(call.method.clone(), url)
            .timeout(self.config.timeouts.of(call.kind) * patience)
            .bearer_auth(token.secret.expose_secret());
        if let Some(body) = call.body {
            builder = builder.json(body);
        }
        let sent_at = permit.at.unwrap_or_else(|| self.now());
        // Whatever went wrong is dropped with its URL; all that matters is whether HubSpot may
        // have acted.
        let response = match builder.send().await {
            Ok(response) => response,
            Err(e) => {
                return Ok(Sent::Refused {
                    error: if write && !e.is_connect() && !e.is_builder() {
                        Error::OutcomeUnknown
                    } else {
                        Error::Transient {
                            status: None,
                            retry_after: None,
                        }
                    },
                    timed_out: e.is_timeout() && !e.is_connect(),
                });
            }
        };
        let status = response.status().as_u16();
        let retry_after =
            header_u64(response.headers(), header::RETRY_AFTER.as_str()).map(Duration::from_secs);
        let mut observation = observed(status, retry_after, response.headers());
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
                let error = classify(status, retry_after, body, write);
                matches!(&error, Error::RateLimited { policy, .. } if *policy == RatePolicy::Daily)
            });
            self.budget.observe(&request, permit, &observation);
        }
        let body = match body {
            Ok(body) => body.to_vec(),
            Err(e) => {
                return Ok(Sent::Refused {
                    // The answer had begun: HubSpot acted.
                    error: if write {
                        Error::OutcomeUnknown
                    } else {
                        Error::Transient {
                            status: Some(status),
                            retry_after,
                        }
                    },
                    timed_out: e.is_timeout(),
                });
            }
        };
        let refused = |error| {
            Ok(Sent::Refused {
                error,
                timed_out: false,
            })
        };
        if !ok {
            let error = classify(status, retry_after, &body, write);
            // Whoever refuses for another reason has taken the token; a gateway did not look at it.
            let taken = !matches!(
                error,
                Error::Unauthorized(_)
                    | Error::Transient { .. }
                    | Error::OutcomeUnknown
                    | Error::UnexpectedResponse { .. }
            );
            if taken {
                self.auth.accepted(token);
            }
            return refused(error);
        }
        if !write && !looks_like_json(&body) {
            return refused(Error::UnexpectedResponse {
                context: "an answer that is not JSON",
            });
        }
        self.auth.accepted(token);
        Ok(Sent::Answered(Answer {
            body,
            sent_at,
            served_at,
        }))
    }
}

/// What a status and its headers tell of the limits.
fn observed(
    status: u16,
    retry_after: Option<Duration>,
    headers: &header::HeaderMap,
) -> ResponseObservation {
    ResponseObservation {
        status,
        limit: header_u64(headers, "x-hubspot-ratelimit-max"),
        remaining: header_u64(headers, "x-hubspot-ratelimit-remaining"),
        interval: header_u64(headers, "x-hubspot-ratelimit-interval-milliseconds")
            .map(Duration::from_millis),
        retry_after,
        daily_remaining: header_u64(headers, "x-hubspot-ratelimit-daily-remaining"),
        daily: false,
    }
}

/// Whether it is HubSpot's, and not a page of something on the way.
fn looks_like_json(body: &[u8]) -> bool {
    let text = body.trim_ascii();
    matches!(
        (text.first(), text.last()),
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
    )
}

/// A query. What HubSpot gave as a cursor is sent back as it came: some are percent-encoded already
/// (`hubspot-api.md` §15.19).
fn query_text(query: &[(&'static str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in query {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        if *name == AFTER {
            push_as_it_came(&mut text, value);
        } else {
            text.extend(url::form_urlencoded::byte_serialize(value.as_bytes()));
        }
    }
    text
}

fn push_as_it_came(text: &mut String, cursor: &str) {
    let bytes = cursor.as_bytes();
    for (place, byte) in bytes.iter().enumerate() {
        let encoded_already = *byte == b'%'
            && bytes.len() > place + 2
            && bytes[place + 1..place + 3]
                .iter()
                .all(u8::is_ascii_hexdigit);
        if encoded_already || byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

const AFTER: &str = "after";

/// Pages of anything that is listed with `limit` and `after`.
pub(crate) fn paged(limit: u32, after: Option<&Cursor>) -> Vec<(&'static str, String)> {
    let mut query = vec![("limit", limit.to_string())];
    if let Some(after) = after {
        query.push((AFTER, after.as_str().to_owned()));
    }
    query
}

fn header_u64(headers: &header::HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_sent_as_it_came() {
        for (cursor, sent) in [
            ("MC0yLTc1MDI%3D", "MC0yLTc1MDI%3D"),
            ("MC0yLTc1MDI=", "MC0yLTc1MDI%3D"),
            ("40000000002", "40000000002"),
            ("a b+c&d%", "a%20b%2Bc%26d%25"),
            ("%zz", "%25zz"),
        ] {
            let query = paged(100, Some(&Cursor::new(cursor)));
            assert_eq!(query_text(&query), format!("limit=100&after={sent}"));
        }
        let query = [("properties", "email,na me".to_owned())];
        assert_eq!(query_text(&query), "properties=email%2Cna+me");
    }
}
