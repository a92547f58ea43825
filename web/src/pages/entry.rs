//! The way in: the main app sends a person here with a signed token, which begins one session.
//!
//! The token is a JWT signed with HMAC-SHA-256, as every language makes it. Nothing else that its
//! header may say is taken.

use axum::{
    Router,
    extract::State,
    http::header,
    response::{AppendHeaders, IntoResponse as _, Redirect, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use domain::entry::{EntryClaims, EntryRefused};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use store::{NewPageSession, PageVisitor};
use uuid::Uuid;

use crate::{
    pages::{
        guard::{self, Address, Sent, Visitor},
        refused::Refused,
        routes,
        session::Session,
    },
    state::App,
};

/// How long a person stays signed in.
const STAYS: TimeDelta = TimeDelta::hours(8);
/// Longer than any token is.
const LONGEST: usize = 4_096;

/// The keys that tokens are signed with: one, or two while one takes the other's place.
pub(crate) struct EntryKeys(pub(crate) Vec<SecretBox<[u8; 32]>>);

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// What one has to understand before one may take the token; we understand none of it.
    crit: Option<serde_json::Value>,
}

impl EntryKeys {
    /// What a token says that is ours and good now.
    ///
    /// # Errors
    /// Why it is not.
    fn open(&self, token: &str, now: DateTime<Utc>) -> Result<EntryClaims, EntryRefused> {
        if token.len() > LONGEST {
            return Err(EntryRefused::Broken);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(EntryRefused::Broken)?;
        let signature = decoded(signature)?;
        let is_ours = |key: &SecretBox<[u8; 32]>| {
            Hmac::<Sha256>::new_from_slice(key.expose_secret()).is_ok_and(|mut mac| {
                mac.update(signed.as_bytes());
                mac.verify_slice(&signature).is_ok()
            })
        };
        if !self.0.iter().any(is_ours) {
            return Err(EntryRefused::Broken);
        }
        let (head, claims) = signed.split_once('.').ok_or(EntryRefused::Broken)?;
        let head: Header =
            serde_json::from_slice(&decoded(head)?).map_err(|_| EntryRefused::Broken)?;
        if head.alg != "HS256" || head.crit.is_some() {
            return Err(EntryRefused::Broken);
        }
        let claims: EntryClaims =
            serde_json::from_slice(&decoded(claims)?).map_err(|_| EntryRefused::Broken)?;
        claims.check(now)?;
        Ok(claims)
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, EntryRefused> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| EntryRefused::Broken)
}

/// What is stored of a token: another workspace may have one of the same name.
fn used_hash(claims: &EntryClaims) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(claims.workspace.as_uuid().as_bytes());
    hash.update(claims.jti.as_str().as_bytes());
    hash.finalize().into()
}

pub(crate) fn router() -> Router<App> {
    Router::new().route(routes::ENTER, get(by_link).post(by_form))
}

#[derive(Default, Deserialize)]
struct Link {
    #[serde(default)]
    token: String,
    #[serde(default)]
    to: String,
}

async fn by_link(
    State(app): State<App>,
    Address(link): Address<Link>,
) -> Result<Response, Refused> {
    enter(&app, &link.token, &link.to).await
}

async fn by_form(State(app): State<App>, sent: Sent) -> Result<Response, Refused> {
    enter(&app, sent.text("token"), sent.text("to")).await
}

async fn enter(app: &App, token: &str, to: &str) -> Result<Response, Refused> {
    let keys = app.entry_keys.as_ref().ok_or(Refused::EntryNotConfigured)?;
    let now = Utc::now();
    let claims = keys.open(token, now)?;
    let store = &app.parts()?.store;
    store.ensure_workspace(claims.workspace, now).await?;
    let until = now + STAYS;
    let new = NewPageSession {
        id: Uuid::new_v4(),
        token_hash: used_hash(&claims),
        visitor: PageVisitor {
            workspace: claims.workspace,
            user: claims.user,
            role: claims.role,
            user_name: claims.user_name.map(String::from),
            workspace_name: claims.workspace_name.map(String::from),
        },
        expires_at: until,
    };
    if !store.begin_page_session(&new, now).await? {
        return Err(EntryRefused::Used.into());
    }
    tracing::info!(workspace = %new.visitor.workspace, role = %new.visitor.role, "the settings pages were opened");
    let visitor = Visitor { session: new.id };
    let cookie = Session::begin(app, &visitor, until)
        .ok()
        .and_then(|cookie| cookie.header(app))
        .ok_or(Refused::EntryNotConfigured)?;
    Ok((
        AppendHeaders([(header::SET_COOKIE, cookie)]),
        Redirect::to(page_of(to)),
    )
        .into_response())
}

/// Where to: a page of ours that needs nothing more, else the overview. Nothing that was given is
/// ever an address.
pub(crate) fn page_of(to: &str) -> &'static str {
    routes::ROUTES
        .iter()
        .filter(|r| r.method == "GET" && r.path != routes::ENTER && !r.path.contains('{'))
        .find(|r| r.path == to)
        .map_or(routes::OVERVIEW, |r| r.path)
}

/// The front door's own address: leads to the settings where there is a session.
pub(crate) async fn front(
    State(app): State<App>,
    headers: axum::http::HeaderMap,
) -> Result<Redirect, Refused> {
    match guard::visit(&app, &headers).await? {
        Some(_) => Ok(Redirect::to(routes::OVERVIEW)),
        None => Err(Refused::NoSession),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(of: &[u8]) -> EntryKeys {
        let boxed = of.iter().map(|b| SecretBox::new(Box::new([*b; 32])));
        EntryKeys(boxed.collect())
    }

    fn made(key: u8, head: &serde_json::Value, claims: &serde_json::Value) -> String {
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(head), part(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(&[key; 32]).unwrap();
        mac.update(signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    fn claims(now: DateTime<Utc>) -> serde_json::Value {
        json!({
            "aud": domain::entry::AUDIENCE, "jti": "01890a5d-ac96-774b-bcce-b302099a8057",
            "exp": now.timestamp() + 60, "role": "member",
            "workspace": "0d3f0000-0000-4000-8000-000000000001",
            "user": "0d3f0000-0000-4000-8000-00000000000a",
        })
    }

    #[test]
    fn only_what_is_signed_so_and_with_our_keys_opens() {
        let now = Utc::now();
        let (ours, said) = (keys(&[1, 2]), claims(now));
        let hs256 = json!({"alg": "HS256", "typ": "JWT"});
        for key in [1, 2] {
            assert!(ours.open(&made(key, &hs256, &said), now).is_ok());
        }
        let good = made(1, &hs256, &said);
        let none = made(1, &json!({"alg": "none"}), &said);
        for bad in [
            made(3, &hs256, &said),
            none.clone(),
            format!("{}.", none.rsplit_once('.').unwrap().0),
            made(1, &json!({"alg": "HS512"}), &said),
            made(1, &json!({"alg": "HS256", "crit": ["x"]}), &said),
            made(1, &hs256, &json!({"role": "admin"})),
            good.replacen('.', "", 1),
            format!("{good}A"),
            "x".repeat(LONGEST + 1),
            String::new(),
        ] {
            assert_eq!(ours.open(&bad, now), Err(EntryRefused::Broken), "{bad}");
        }
        let later = now + TimeDelta::seconds(61);
        assert_eq!(ours.open(&good, later), Err(EntryRefused::Expired));
        // A role that was changed is a signature that does not fit.
        let raised = said.to_string().replace("member", "admin");
        let mut parts: Vec<&str> = good.split('.').collect();
        let raised = URL_SAFE_NO_PAD.encode(raised);
        parts[1] = &raised;
        assert_eq!(ours.open(&parts.join("."), now), Err(EntryRefused::Broken));
    }

    #[test]
    fn nobody_is_sent_to_another_place() {
        for (to, want) in [
            (routes::PROBLEMS, routes::PROBLEMS),
            ("https://example.com/", routes::OVERVIEW),
            ("//example.com", routes::OVERVIEW),
            ("/settings/hubspot/../../x", routes::OVERVIEW),
            ("/settings/hubspot@example.com", routes::OVERVIEW),
            ("/settings/hubspot//example.com/", routes::OVERVIEW),
            ("/settings/hubspot\r\nSet-Cookie: a=b", routes::OVERVIEW),
            (routes::PERSON, routes::OVERVIEW),
            (routes::ENTER, routes::OVERVIEW),
            ("", routes::OVERVIEW),
        ] {
            assert_eq!(page_of(to), want, "{to}");
        }
    }
}
