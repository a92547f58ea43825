//! `/oauth/hubspot/start` and `/oauth/hubspot/callback` (C1).
//!
//! A link may be opened many times and handed on; the consent that comes back uses it up. The
//! tokens that it brings wait, encrypted, until [`crate::pages::consent`] was answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
    routing::get,
};
use chrono::{TimeDelta, Utc};
use domain::{ConnectionState, ConsentId, PortalId, entry::PageEvent, scopes};
use hubspot::{
    Client, StaticToken, Unlimited,
    oauth::{ConsentRefused, OAuth, OAuthError, TokenGrant},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use store::{CameBack, ConsumedState, NewConsent, NewOAuthState, NewTokens, StateRefused};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::{
    api::{GOOD_FOR, Ticket},
    consents::note_of,
    pages::{
        consent::{self, Consenter},
        guard::Address,
        outcome::{LinkToHandOn, Outcome},
        session::{Cookie, Session, cookie},
    },
    seal::{SealError, digest},
    state::{App, Parts},
};

/// Binds a consent to the browser that began it.
const COOKIE: &str = "hubspot_sync_connect";
/// How long the browser that came back may look at what became of its consent.
const SHOWN_FOR: TimeDelta = TimeDelta::hours(1);
/// The portal's own name is worth so much waiting, and no consent is lost for it.
const NAME_WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/oauth/hubspot/start", get(start))
        .route("/oauth/hubspot/callback", get(callback))
}

#[derive(Default, Deserialize)]
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

impl From<StateRefused> for Outcome {
    fn from(refused: StateRefused) -> Self {
        match refused {
            StateRefused::Unknown => Self::BrokenState,
            StateRefused::Used => Self::UsedState,
            StateRefused::Expired => Self::ExpiredState,
        }
    }
}

fn browser_cookie(
    app: &App,
    value: String,
    seconds: i64,
) -> Result<axum::http::HeaderValue, Outcome> {
    Cookie {
        name: COOKIE,
        path: "/oauth/hubspot",
        value,
        seconds,
    }
    .header(app)
    .ok_or(Outcome::Misconfigured)
}

async fn start(
    State(app): State<App>,
    Address(query): Address<StartQuery>,
    headers: HeaderMap,
) -> Result<Response, Outcome> {
    let now = Utc::now();
    let ticket: Ticket = app.sealer.open("ticket", &query.ticket, now)?;
    let oauth = app.oauth.as_ref().ok_or(Outcome::Misconfigured)?;
    let parts = app.parts().map_err(|_| Outcome::TryAgain("HS-5007"))?;
    let link = parts.store.connect_link(ticket.link, now).await??;
    let nonce = random_text();
    // A second tab of the same browser does not spoil the first one.
    let browser = match cookie(&headers, COOKIE).map(Uuid::try_parse) {
        Some(Ok(known)) => known.simple().to_string(),
        _ => random_text(),
    };
    let state = NewOAuthState {
        nonce_hash: digest(&nonce),
        link: link.id,
        workspace: link.workspace,
        admin: link.admin,
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
    Ok((
        StatusCode::FOUND,
        AppendHeaders([(
            header::SET_COOKIE,
            browser_cookie(&app, browser, GOOD_FOR.num_seconds())?,
        )]),
        [(header::LOCATION, String::from(url))],
    )
        .into_response())
}

#[derive(Default, Deserialize)]
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
    Address(query): Address<CallbackQuery>,
    headers: HeaderMap,
) -> Response {
    let detached = app.clone();
    // Once the code is exchanged there are tokens, which must not be lost with the browser.
    app.finish(async move { came_back(&detached, query, &headers).await })
        .await
        .unwrap_or(Err(Outcome::TryAgain("HS-5099")))
        .unwrap_or_else(IntoResponse::into_response)
}

async fn came_back(
    app: &App,
    query: CallbackQuery,
    headers: &HeaderMap,
) -> Result<Response, Outcome> {
    let now = Utc::now();
    let Nonce { nonce, browser } = app.sealer.open("state", &query.state, now)?;
    let given = digest(cookie(headers, COOKIE).ok_or(Outcome::BrokenState)?);
    if !bool::from(browser.ct_eq(&given)) {
        return Err(Outcome::BrokenState);
    }
    let parts = app.parts().map_err(|_| Outcome::TryAgain("HS-5007"))?;
    let refused = query
        .error
        .map(|error| ConsentRefused::of(&error, &query.error_description));
    let came_back = match refused {
        Some(_) => CameBack::Refused,
        None => CameBack::Approved,
    };
    let consumed = parts
        .store
        .consume_oauth_state(digest(&nonce), came_back, now)
        .await?;
    let consumed = match consumed {
        Ok(consumed) => consumed,
        // The back button, or a page loaded again: this browser finds its consent as it stands.
        Err(StateRefused::Used) if Session::<Consenter>::of(app, headers).is_some() => {
            return Ok(see_consent());
        }
        Err(refused) => return Err(refused.into()),
    };
    if consumed.browser_hash != browser {
        return Err(Outcome::BrokenState);
    }
    if refused.is_some() {
        let event = PageEvent::ConsentRefused;
        note_of(
            parts,
            consumed.workspace,
            consumed.admin,
            &consumed.names,
            event,
        )
        .await;
    }
    match refused {
        Some(ConsentRefused::ByPerson) => {
            return Err(Outcome::Refused(hand_on(app, parts, &consumed).await?));
        }
        Some(ConsentRefused::NoPermission) => {
            return Err(Outcome::NoPermission(hand_on(app, parts, &consumed).await?));
        }
        Some(ConsentRefused::LacksScopes(scopes)) => return Err(Outcome::LacksScopes(scopes)),
        None => {}
    }
    let code = SecretString::from(query.code.ok_or(Outcome::BrokenState)?);
    let held = hold(app, parts, &consumed, &code).await;
    let id = match held {
        Ok(id) => id,
        Err(outcome) => {
            // What was not the person's doing does not use the link up.
            if let (
                Outcome::HubSpotUnavailable | Outcome::CodeRefused | Outcome::Disconnecting,
                Some(link),
            ) = (&outcome, consumed.link)
            {
                parts.store.release_connect_link(link).await?;
            }
            return Err(outcome);
        }
    };
    let consenter = Consenter {
        workspace: consumed.workspace,
        consent: id,
    };
    let session = Session::begin(app, &consenter, now + SHOWN_FOR)?
        .header(app)
        .ok_or(Outcome::Misconfigured)?;
    Ok((
        AppendHeaders([(header::SET_COOKIE, session)]),
        see_consent(),
    )
        .into_response())
}

fn see_consent() -> Response {
    axum::response::Redirect::to(consent::PATH).into_response()
}

/// The link for somebody who may install apps, as long as it is good.
async fn hand_on(
    app: &App,
    parts: &Parts,
    consumed: &ConsumedState,
) -> Result<Option<LinkToHandOn>, Outcome> {
    let Some(link) = consumed.link else {
        return Ok(None);
    };
    let Ok(link) = parts.store.connect_link(link, Utc::now()).await? else {
        return Ok(None);
    };
    let until = link.expires_at;
    Ok(Ticket { link: link.id }
        .url(app, until)
        .map(|url| LinkToHandOn {
            url: url.into(),
            until,
        }))
}

/// Exchanges the code, and keeps what it brought until somebody confirms it.
async fn hold(
    app: &App,
    parts: &Parts,
    consumed: &ConsumedState,
    code: &SecretString,
) -> Result<ConsentId, Outcome> {
    match parts
        .store
        .connection(consumed.workspace)
        .await?
        .map(|c| c.state)
    {
        Some(ConnectionState::Connected) => return Err(Outcome::AlreadyConnected),
        Some(ConnectionState::Disconnecting) => return Err(Outcome::Disconnecting),
        _ => {}
    }
    let oauth = app.oauth.as_ref().ok_or(Outcome::Misconfigured)?;
    let asked_at = Instant::now();
    let grant = oauth
        .exchange_code(code, &app.redirect_uri())
        .await
        .map_err(|error| {
            tracing::warn!(error = %error, "the code was not exchanged");
            match error {
                OAuthError::Misconfigured(_) => Outcome::Misconfigured,
                OAuthError::BadCode => Outcome::CodeRefused,
                OAuthError::Revoked | OAuthError::Transient { .. } => Outcome::HubSpotUnavailable,
            }
        })?;
    let granted = granted(app, oauth, &grant).await?;
    let left = grant.expires_in.saturating_sub(asked_at.elapsed());
    let id = ConsentId::new(Uuid::new_v4());
    let new = NewConsent {
        id,
        workspace: consumed.workspace,
        portal: granted.portal,
        hub_domain: granted.hub_domain,
        ui_domain: granted.ui_domain,
        admin: consumed.admin,
        names: consumed.names.clone(),
        scopes: granted.scopes,
        tokens: NewTokens {
            access: grant.access_token,
            refresh: grant.refresh_token,
            lifetime: TimeDelta::from_std(left).ok(),
        },
        expires_at: Utc::now() + GOOD_FOR,
    };
    parts.store.hold_consent(&new, Utc::now()).await?;
    tracing::info!(workspace = %consumed.workspace, portal = %granted.portal, "a consent waits to be confirmed");
    Ok(id)
}

struct Granted {
    portal: PortalId,
    scopes: Vec<String>,
    hub_domain: Option<String>,
    ui_domain: Option<String>,
}

/// What was really granted, and by which portal: from the answer, else asked for. The portal's own
/// name is asked for besides; without it there is the number.
async fn granted(app: &App, oauth: &OAuth, grant: &TokenGrant) -> Result<Granted, Outcome> {
    let complete = grant.portal.is_some() && !grant.scopes.is_empty();
    let (said, ui_domain) = tokio::join!(
        async {
            let asked = oauth.introspect(&grant.access_token);
            if complete {
                tokio::time::timeout(NAME_WITHIN, asked).await.ok()?.ok()
            } else {
                asked.await.ok()
            }
        },
        ui_domain(app, &grant.access_token)
    );
    let (portal, scopes) = match &said {
        _ if complete => (grant.portal, grant.scopes.clone()),
        Some(said) => (grant.portal.or(said.portal), said.scopes.clone()),
        None => return Err(Outcome::HubSpotUnavailable),
    };
    let portal = portal
        .and_then(|p| i64::try_from(p.get()).ok())
        .and_then(|id| PortalId::new(id).ok())
        .ok_or(Outcome::HubSpotUnavailable)?;
    Ok(Granted {
        portal,
        scopes,
        hub_domain: said.and_then(|s| s.hub_domain),
        ui_domain,
    })
}

async fn ui_domain(app: &App, token: &SecretString) -> Option<String> {
    let client = Client::new(
        app.hubspot.clone(),
        Arc::new(StaticToken::new(token.clone())),
        Arc::new(Unlimited),
    )
    .ok()?;
    let asked = tokio::time::timeout(NAME_WITHIN, client.account().details()).await;
    asked.ok()?.ok()?.ui_domain
}
