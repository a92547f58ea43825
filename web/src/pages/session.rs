//! Who looks at a page: a signed cookie that says so, for a while.
//!
//! A session begins where something single-use was used up: a consent that came back today, a
//! ticket of the main app's tomorrow. What the cookie says is a type of its own for each kind of
//! caller, so that one who may confirm a consent can do nothing else.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use subtle::ConstantTimeEq as _;

use crate::{pages::outcome::Outcome, state::App};

/// What a cookie can say.
pub(crate) trait Caller: Serialize + DeserializeOwned + Send {
    /// The cookie, which also tells one kind of caller from another.
    const COOKIE: &'static str;
    /// The pages that it is sent to.
    const PATH: &'static str;
}

/// A request with a cookie that is ours and still good.
pub(crate) struct Session<C> {
    pub(crate) caller: C,
    csrf: String,
}

impl<C: Caller> Session<C> {
    /// The cookie of a session that begins.
    pub(crate) fn begin(app: &App, caller: &C, until: DateTime<Utc>) -> Result<Cookie, Outcome> {
        let sealed = app
            .sealer
            .seal(C::COOKIE, caller, until)
            .ok_or(Outcome::Misconfigured)?;
        Ok(Cookie {
            name: C::COOKIE,
            path: C::PATH,
            value: sealed,
            seconds: (until - Utc::now()).num_seconds().max(0),
        })
    }

    pub(crate) fn of(app: &App, headers: &HeaderMap) -> Option<Self> {
        let sealed = cookie(headers, C::COOKIE)?;
        let caller = app.sealer.open(C::COOKIE, sealed, Utc::now()).ok()?;
        // Whoever does not have the cookie cannot know this.
        let csrf = app.sealer.tag("csrf", sealed)?;
        Some(Self { caller, csrf })
    }

    /// What a form of this session has to bring along.
    pub(crate) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Whether a form came from a page of this session.
    pub(crate) fn sent(&self, csrf: &str) -> bool {
        self.csrf.as_bytes().ct_eq(csrf.as_bytes()).into()
    }
}

impl<C: Caller> FromRequestParts<App> for Session<C> {
    type Rejection = Outcome;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Outcome> {
        Self::of(app, &parts.headers).ok_or(Outcome::NoSession)
    }
}

/// A cookie to be set.
pub(crate) struct Cookie {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) value: String,
    pub(crate) seconds: i64,
}

impl Cookie {
    /// The header `Set-Cookie`.
    pub(crate) fn header(&self, app: &App) -> Option<HeaderValue> {
        let secure = if app.public_url.scheme() == "https" {
            "; Secure"
        } else {
            ""
        };
        let Self {
            name,
            path,
            value,
            seconds,
        } = self;
        HeaderValue::from_str(&format!(
            "{name}={value}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}"
        ))
        .ok()
    }
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}
