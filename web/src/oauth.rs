//! `/oauth/hubspot/start` and `/oauth/hubspot/callback` (C1).

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::Utc;
use domain::{PortalId, SyncRunId, scopes};
use hubspot::oauth::OAuthError;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use store::{AuthKind, NewConnection, NewOAuthState, NewTokens, RefusedConnect, StateRefused};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::{
    api::{GOOD_FOR, Ticket},
    pages::Outcome,
    seal::{SealError, digest},
    state::{App, Wake},
};

/// Binds a consent to the browser that began it.
const COOKIE: &str = "hubspot_sync_connect";

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/oauth/hubspot/start", get(start))
        .route("/oauth/hubspot/callback", get(callback))
}

#[derive(Deserialize)]
struct StartQuery {
    #[serde(default)]
    ticket: String,
}

/// What a state says. The browser's hash is in it too, so that a callback in the wrong browser is
/// refused without using the state up.
#[derive(Serialize, Deserialize)]
struct Nonce {
    nonce: String,
    browser: [u8; 32],
}

/// 128 random bits, as text.
fn random_text() -> String {
    Uuid::new_v4().simple().to_string()
}

impl From<SealError> for Outcome {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Broken => Self::BrokenState,
            SealError::Expired => Self::ExpiredState,
        }
    }
}

impl From<store::StoreError> for Outcome {
    fn from(error: store::StoreError) -> Self {
        tracing::warn!(code = error.code(), error = %error, "the store failed");
        Self::TryAgain(error.code())
    }
}

async fn start(
    State(app): State<App>,
    Query(query): Query<StartQuery>,
) -> Result<Response, Outcome> {
    let now = Utc::now();
    let ticket: Ticket = app.sealer.open("ticket", &query.ticket, now)?;
    let oauth = app.oauth.as_ref().ok_or(Outcome::Misconfigured)?;
    let parts = app.parts().map_err(|_| Outcome::TryAgain("HS-5007"))?;
    let nonce = random_text();
    let browser = random_text();
    let state = NewOAuthState {
        nonce_hash: digest(&nonce),
        workspace: ticket.workspace,
        admin: ticket.admin,
        browser_hash: digest(&browser),
        expires_at: now + GOOD_FOR,
    };
    parts.store.create_oauth_state(&state, now).await?;
    let sealed = app
        .sealer
        .seal(
            "state",
            Nonce {
                nonce,
                browser: digest(&browser),
            },
            now + GOOD_FOR,
        )
        .ok_or(Outcome::Misconfigured)?;
    let url = oauth.authorize_url(
        &app.redirect_uri(),
        scopes::REQUIRED,
        scopes::OPTIONAL,
        &sealed,
    );
    let secure = if app.public_url.scheme() == "https" {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{COOKIE}={browser}; Path=/oauth/hubspot; HttpOnly; SameSite=Lax; Max-Age={}{secure}",
        GOOD_FOR.num_seconds()
    );
    Ok((
        StatusCode::FOUND,
        [
            (header::LOCATION, String::from(url)),
            (header::SET_COOKIE, cookie),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ],
    )
        .into_response())
}

#[derive(Deserialize)]
struct CallbackQuery {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
    #[serde(default)]
    error_description: String,
}

async fn callback(
    State(app): State<App>,
    Query(query): Query<CallbackQuery>,
    headers: HeaderMap,
) -> Outcome {
    finish(&app, query, &headers)
        .await
        .unwrap_or_else(|outcome| outcome)
}

fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

async fn finish(app: &App, query: CallbackQuery, headers: &HeaderMap) -> Result<Outcome, Outcome> {
    let now = Utc::now();
    let Nonce { nonce, browser } = app.sealer.open("state", &query.state, now)?;
    let given = digest(cookie_of(headers).ok_or(Outcome::BrokenState)?);
    if !bool::from(browser.ct_eq(&given)) {
        return Err(Outcome::BrokenState);
    }
    let parts = app.parts().map_err(|_| Outcome::TryAgain("HS-5007"))?;
    let consumed = parts
        .store
        .consume_oauth_state(digest(&nonce), now)
        .await?
        .map_err(|refused| match refused {
            StateRefused::Unknown => Outcome::BrokenState,
            StateRefused::Used => Outcome::UsedState,
            StateRefused::Expired => Outcome::ExpiredState,
        })?;
    if consumed.browser_hash != browser {
        return Err(Outcome::BrokenState);
    }
    if query.error.is_some() {
        // HubSpot tells the two apart only in its text.
        let no_right = query.error_description.contains("permission");
        return Err(if no_right {
            Outcome::NoPermission
        } else {
            Outcome::Refused
        });
    }
    let code = SecretString::from(query.code.ok_or(Outcome::BrokenState)?);
    let oauth = app.oauth.as_ref().ok_or(Outcome::Misconfigured)?;
    let grant = oauth
        .exchange_code(&code, &app.redirect_uri())
        .await
        .map_err(|error| {
            tracing::warn!(error = %error, "the code was not exchanged");
            match error {
                OAuthError::Misconfigured(_) => Outcome::Misconfigured,
                OAuthError::BadCode | OAuthError::Revoked | OAuthError::Transient { .. } => {
                    Outcome::HubSpotUnavailable
                }
            }
        })?;
    // What was really granted, and to which portal: from the answer, else asked for.
    let (portal, granted) = match (grant.portal, grant.scopes.is_empty()) {
        (Some(portal), false) => (Some(portal), grant.scopes),
        (portal, _) => {
            let said = oauth
                .introspect(&grant.access_token)
                .await
                .map_err(|_| Outcome::HubSpotUnavailable)?;
            (portal.or(said.portal), said.scopes)
        }
    };
    let portal = portal
        .and_then(|p| i64::try_from(p.get()).ok())
        .and_then(|id| PortalId::new(id).ok())
        .ok_or(Outcome::HubSpotUnavailable)?;
    let missing_scopes = scopes::missing(granted.iter().map(String::as_str));
    let new = NewConnection {
        workspace: consumed.workspace,
        portal,
        auth_kind: AuthKind::OAuth,
        tokens: NewTokens {
            access: grant.access_token,
            refresh: grant.refresh_token,
            expires_at: Some(now + grant.expires_in),
        },
        scopes: granted,
        admin: consumed.admin,
        run: SyncRunId::new(Uuid::now_v7()),
    };
    match parts.store.connect_workspace(&new, now).await? {
        Ok(_) => {}
        Err(RefusedConnect::AlreadyConnected(_)) => return Err(Outcome::AlreadyConnected),
        Err(RefusedConnect::Disconnecting) => return Err(Outcome::Disconnecting),
    }
    tracing::info!(workspace = %consumed.workspace, portal = %portal, "connected");
    parts
        .wake(consumed.workspace, portal, Wake::SettingsChanged)
        .await;
    Ok(Outcome::Connected { missing_scopes })
}
