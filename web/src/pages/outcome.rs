//! What a person sees whose consent ended without a connection, or did not even begin.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use maud::html;

use crate::pages::{Framing, Page, parts::icon, routes};

/// How a consent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With the link, as long as it is good.
    Refused(Option<LinkToHandOn>),
    /// With the link, as long as it is good: it may be handed on.
    NoPermission(Option<LinkToHandOn>),
    /// With the scopes, where HubSpot names them.
    LacksScopes(Vec<String>),
    BrokenState,
    UsedState,
    ExpiredState,
    AlreadyConnected,
    Disconnecting,
    HubSpotUnavailable,
    /// HubSpot did not take the code that came back.
    CodeRefused,
    Misconfigured,
    ConfirmRefused,
    ConfirmExpired,
    NoSession,
    TryAgain(&'static str),
}

/// A link that is still good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkToHandOn {
    pub(crate) url: String,
    pub(crate) until: DateTime<Utc>,
}

impl From<store::StoreError> for Outcome {
    fn from(error: store::StoreError) -> Self {
        tracing::warn!(code = error.code(), error = %error, "the store failed");
        Self::TryAgain(error.code())
    }
}

impl Outcome {
    /// Whether it can be begun again from the settings. Whoever has no session of theirs is told there how
    /// to come by one.
    const fn leads_back(&self) -> bool {
        !matches!(
            self,
            Self::AlreadyConnected | Self::Misconfigured | Self::NoSession
        )
    }

    /// Status, code, heading, text.
    const fn text(&self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::Refused(_) => (
                StatusCode::FORBIDDEN,
                "HS-1004",
                "HubSpot was not connected",
                "The connection was cancelled in HubSpot. Nothing was changed. To connect, open the link again while it is good, or start again in the app.",
            ),
            Self::NoPermission(_) => (
                StatusCode::FORBIDDEN,
                "HS-1005",
                "You may not install apps in this HubSpot account",
                "HubSpot asks for a person with the right to install apps. Ask a Super Admin of your HubSpot account to connect, or to give you that right. Nothing was changed.",
            ),
            Self::BrokenState => (
                StatusCode::BAD_REQUEST,
                "HS-1006",
                "This link is not valid",
                "The link was changed on its way, or was begun in another browser. Nothing was changed. Start again in the app.",
            ),
            Self::UsedState => (
                StatusCode::BAD_REQUEST,
                "HS-1007",
                "This link was used before",
                "Each link connects once. Nothing was changed. If HubSpot is not connected, start again in the app.",
            ),
            Self::ExpiredState => (
                StatusCode::BAD_REQUEST,
                "HS-1008",
                "This link is too old",
                "A link is good for ten minutes. Nothing was changed. Start again in the app.",
            ),
            Self::AlreadyConnected => (
                StatusCode::CONFLICT,
                "HS-1002",
                "HubSpot is connected already",
                "Nothing was changed. To connect another HubSpot account, disconnect this one first.",
            ),
            Self::Disconnecting => (
                StatusCode::CONFLICT,
                "HS-1012",
                "The last connection is still being taken down",
                "Nothing was changed. Try again in a few seconds.",
            ),
            Self::HubSpotUnavailable => (
                StatusCode::BAD_GATEWAY,
                "HS-1009",
                "HubSpot did not answer",
                "Nothing was changed. Start again in the app in a minute.",
            ),
            Self::CodeRefused => (
                StatusCode::BAD_REQUEST,
                "HS-1009",
                "HubSpot did not take the answer that came back",
                "The address was changed on its way, or was opened too late. Nothing was changed. Open the link again while it is good, or start again in the app.",
            ),
            Self::Misconfigured => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "HS-1010",
                "The connection to HubSpot is not set up rightly",
                "This is a fault of our configuration. Nothing was changed. Please tell support this code.",
            ),
            Self::ConfirmExpired => (
                StatusCode::GONE,
                "HS-1013",
                "Nobody confirmed in time",
                "A consent waits ten minutes to be confirmed. Nothing was connected, and HubSpot gets its access back. Start again in the app.",
            ),
            Self::ConfirmRefused => (
                StatusCode::OK,
                "HS-1014",
                "HubSpot was not connected",
                "You chose not to connect. Nothing was stored, and HubSpot gets its access back. To connect after all, start again in the app.",
            ),
            Self::LacksScopes(_) => (
                StatusCode::FORBIDDEN,
                "HS-1015",
                "This HubSpot account lacks something that the connection needs",
                "HubSpot says that the account, by its plan or its settings, does not have the rights that are needed. Nothing was changed. Show this page to a Super Admin of your HubSpot account, or choose another account.",
            ),
            Self::NoSession => (
                StatusCode::FORBIDDEN,
                "HS-1016",
                "There is nothing to confirm in this browser",
                "The page belongs to the browser that came back from HubSpot, and to one hour. Nothing was changed. If HubSpot is not connected, start again in the app.",
            ),
            Self::TryAgain(code) => (
                StatusCode::SERVICE_UNAVAILABLE,
                code,
                "That did not work just now",
                "Nothing was changed. Start again in the app in a minute.",
            ),
        }
    }
}

/// What each scope is for, in plain words.
pub(crate) fn feature_of(scope: &str) -> &'static str {
    match scope {
        s if s.starts_with("crm.schemas") => "properties",
        s if s.contains("contacts") => "contacts",
        s if s.contains("companies") => "companies",
        s if s.contains("deals") => "deals",
        s if s.contains("owners") => "owners",
        s if s.contains("lists") => "lists",
        s if s.contains("email") => "e-mail activity",
        _ => "the connection itself",
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        let (status, code, title, text) = self.text();
        let content = html! {
            div .card {
                div .stack .tight {
                    p { span .pill .warn { (icon::draw(icon::WARN)) "Not connected" } }
                    h1 { (title) }
                    p { (text) }
                }
                @match &self {
                    Self::NoPermission(Some(link)) => {
                        div .stack .tight {
                            h2 { "A text to send on" }
                            p { "“Please connect our HubSpot account: open this link and approve. It is good until "
                                time datetime=(link.until.to_rfc3339()) { (link.until.format("%H:%M UTC")) } ": "
                                a href=(link.url) { (link.url) } "”" }
                        }
                    }
                    Self::LacksScopes(scopes) if !scopes.is_empty() => {
                        div .stack .tight {
                            h2 { "What HubSpot does not give" }
                            ul { @for scope in scopes { li { (feature_of(scope)) ": " code { (scope) } } } }
                        }
                    }
                    _ => {}
                }
                @if self.leads_back() {
                    div { div .row {
                        @if let Self::Refused(Some(link)) | Self::NoPermission(Some(link)) = &self {
                            a .btn .primary href=(link.url) { "Try again" }
                        }
                        a .btn href=(routes::OVERVIEW) { "To the settings" }
                    } }
                }
                p .foot { "If you write to support, quote " code { (code) } "." }
            }
        };
        Page {
            status,
            code,
            title,
            framing: Framing::AsConfigured,
            content,
        }
        .into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_paragraph() {
        let errors = include_str!("../../../docs/errors.md");
        for outcome in [
            Outcome::Refused(None),
            Outcome::NoPermission(None),
            Outcome::LacksScopes(Vec::new()),
            Outcome::BrokenState,
            Outcome::UsedState,
            Outcome::ExpiredState,
            Outcome::AlreadyConnected,
            Outcome::Disconnecting,
            Outcome::HubSpotUnavailable,
            Outcome::CodeRefused,
            Outcome::Misconfigured,
            Outcome::ConfirmRefused,
            Outcome::ConfirmExpired,
            Outcome::NoSession,
            Outcome::TryAgain("HS-5001"),
        ] {
            let (_, code, ..) = outcome.text();
            assert!(
                errors.contains(&format!("## {code}")),
                "{code} is not in docs/errors.md"
            );
        }
    }
}
