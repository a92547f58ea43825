//! What a person sees on coming back from HubSpot.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// How a consent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Connected { missing_scopes: Vec<&'static str> },
    Refused,
    NoPermission,
    BrokenState,
    UsedState,
    ExpiredState,
    AlreadyConnected,
    Disconnecting,
    HubSpotUnavailable,
    Misconfigured,
    TryAgain(&'static str),
}

impl Outcome {
    const fn text(&self) -> (u16, &'static str, &'static str, &'static str) {
        match self {
            Self::Connected { .. } => (
                200,
                "",
                "HubSpot is connected",
                "Your records are being read now. You can close this page.",
            ),
            Self::Refused => (
                403,
                "HS-1004",
                "HubSpot was not connected",
                "The connection was cancelled in HubSpot. Nothing was changed. To connect, start again in the app.",
            ),
            Self::NoPermission => (
                403,
                "HS-1005",
                "You may not install apps in this HubSpot account",
                "HubSpot asks for a person with the right to install apps. Ask a super admin of your HubSpot account to connect, or to give you that right. Nothing was changed.",
            ),
            Self::BrokenState => (
                400,
                "HS-1006",
                "This link is not valid",
                "The link was changed on its way, or was begun in another browser. Nothing was changed. Start again in the app.",
            ),
            Self::UsedState => (
                400,
                "HS-1007",
                "This link was used before",
                "Each link connects once. Nothing was changed. If HubSpot is not connected, start again in the app.",
            ),
            Self::ExpiredState => (
                400,
                "HS-1008",
                "This link is too old",
                "A link is good for ten minutes. Nothing was changed. Start again in the app.",
            ),
            Self::AlreadyConnected => (
                409,
                "HS-1002",
                "HubSpot is connected already",
                "Nothing was changed. To connect another HubSpot account, disconnect this one first.",
            ),
            Self::Disconnecting => (
                409,
                "HS-1012",
                "The last connection is still being taken down",
                "Nothing was changed. Try again in a few seconds.",
            ),
            Self::HubSpotUnavailable => (
                502,
                "HS-1009",
                "HubSpot did not answer",
                "Nothing was changed. Start again in the app in a minute.",
            ),
            Self::Misconfigured => (
                500,
                "HS-1010",
                "The connection to HubSpot is not set up rightly",
                "This is a fault of our configuration. Nothing was changed. Please tell support this code.",
            ),
            Self::TryAgain(code) => (
                503,
                code,
                "That did not work just now",
                "Nothing was changed. Start again in the app in a minute.",
            ),
        }
    }
}

/// What each scope is for, in plain words.
fn feature_of(scope: &str) -> &'static str {
    match scope {
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
        let missing = match &self {
            Self::Connected { missing_scopes } if !missing_scopes.is_empty() => {
                let items: String = missing_scopes
                    .iter()
                    .map(|s| {
                        format!(
                            "<li>{}: <code>{s}</code> was not granted</li>",
                            feature_of(s)
                        )
                    })
                    .collect();
                format!("<p>These stay off until the right is granted:</p><ul>{items}</ul>")
            }
            _ => String::new(),
        };
        let code_line = if code.is_empty() {
            String::new()
        } else {
            format!("<p class=\"code\">{code}</p>")
        };
        let html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
             <style>body{{font:17px/1.6 system-ui,sans-serif;color:#1c2733;background:#f5f7fa;margin:0}}\
             main{{max-width:34rem;margin:12vh auto;background:#fff;padding:2rem 2.5rem;border-radius:12px;\
             box-shadow:0 2px 12px #1c273314}}h1{{font-size:1.4rem;margin-top:0}}.code{{color:#5c6b7a;font-size:.85rem}}</style>\
             </head><body><main id=\"outcome\" data-code=\"{code}\"><h1>{title}</h1><p>{text}</p>{missing}{code_line}</main></body></html>"
        );
        (
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            [
                (header::CONTENT_TYPE, "text/html;charset=utf-8"),
                (
                    header::CONTENT_SECURITY_POLICY,
                    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
                ),
                (header::REFERRER_POLICY, "no-referrer"),
                (header::CACHE_CONTROL, "no-store"),
            ],
            html,
        )
            .into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_paragraph() {
        let errors = include_str!("../../docs/errors.md");
        for outcome in [
            Outcome::Refused,
            Outcome::NoPermission,
            Outcome::BrokenState,
            Outcome::UsedState,
            Outcome::ExpiredState,
            Outcome::AlreadyConnected,
            Outcome::Disconnecting,
            Outcome::HubSpotUnavailable,
            Outcome::Misconfigured,
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
