//! What a person sees whose request the settings pages refuse.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::entry::EntryRefused;
use maud::html;

use crate::{
    pages::{
        Framing, Page,
        parts::{Tone, icon, pill},
        routes,
    },
    problem::Refusal,
};

/// Why a page is not shown, or a form not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no session, or it ended.
    NoSession,
    /// The token of the main app does not open the pages.
    Entry(EntryRefused),
    /// The installation takes no tokens.
    EntryNotConfigured,
    /// A form that did not come from a page of this session.
    OtherSession,
    /// A member wanted what admins may.
    AdminsOnly,
    NotFound,
    MethodNotAllowed,
    /// What the API would say too.
    Said(Refusal),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Said(refusal)
    }
}

impl From<store::StoreError> for Refused {
    fn from(error: store::StoreError) -> Self {
        Self::Said(error.into())
    }
}

impl From<EntryRefused> for Refused {
    fn from(refused: EntryRefused) -> Self {
        Self::Entry(refused)
    }
}

/// What is shown: status, code, heading, text.
type Text = (StatusCode, String, String, String);

impl Refused {
    fn text(&self) -> Text {
        let (status, code, title, text) = match self {
            Self::NoSession => (
                StatusCode::FORBIDDEN,
                "HS-1017",
                "Open this page from the app",
                "The settings are shown to people who come from the app, for eight hours at a time. Nothing was changed. Open Settings → Integrations → HubSpot there again.",
            ),
            Self::Entry(EntryRefused::Used) => (
                StatusCode::FORBIDDEN,
                "HS-1019",
                "This link was used before",
                "Each link from the app opens the settings once. Nothing was changed. Open Settings → Integrations → HubSpot in the app again.",
            ),
            Self::Entry(EntryRefused::Expired) => (
                StatusCode::FORBIDDEN,
                "HS-1020",
                "This link is too old",
                "A link from the app is good for minutes. Nothing was changed. Open Settings → Integrations → HubSpot in the app again.",
            ),
            Self::Entry(EntryRefused::Broken | EntryRefused::Audience | EntryRefused::Times) => (
                StatusCode::FORBIDDEN,
                "HS-1018",
                "This link is not valid",
                "The link was not made by the app, was changed on its way, or is made out for another time or place. Nothing was changed. If it happens again, tell support this code.",
            ),
            Self::EntryNotConfigured => (
                StatusCode::SERVICE_UNAVAILABLE,
                "HS-1021",
                "The settings pages are not set up",
                "This installation has no key by which the app could open them. Nothing was changed. Please tell support this code.",
            ),
            Self::OtherSession => (
                StatusCode::FORBIDDEN,
                "HS-1022",
                "This form is of another session",
                "You opened the settings again since, or for another workspace. Nothing was changed. Load the page again, and send the form from there.",
            ),
            Self::AdminsOnly => (
                StatusCode::FORBIDDEN,
                "HS-1023",
                "Only admins change this",
                "You can look at these settings. Nothing was changed. Ask an admin of your workspace.",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "HS-4003",
                "There is nothing here",
                "This address shows nothing, or nothing of your workspace.",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "HS-4004",
                "There is nothing here",
                "This address takes another kind of request.",
            ),
            Self::Said(refusal) => {
                let problem = refusal.problem();
                let status = StatusCode::from_u16(problem.status)
                    .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return (status, problem.code, problem.title, problem.detail);
            }
        };
        (status, code.to_owned(), title.to_owned(), text.to_owned())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, code, title, text) = self.text();
        let inside = matches!(
            self,
            Self::OtherSession | Self::AdminsOnly | Self::NotFound | Self::Said(_)
        );
        let content = html! {
            div .card {
                div .empty {
                    (pill(Tone::Warn, icon::WARN, "Not done"))
                    h1 { (title) }
                    p { (text) }
                    @if inside {
                        div .row { a .btn .primary href=(routes::OVERVIEW) { "To the overview" } }
                    }
                }
                p .foot { "If you write to support, quote " code { (code) } "." }
            }
        };
        Page {
            status,
            code: &code,
            title: &title,
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
        for refused in [
            Refused::NoSession,
            Refused::Entry(EntryRefused::Used),
            Refused::Entry(EntryRefused::Expired),
            Refused::Entry(EntryRefused::Broken),
            Refused::EntryNotConfigured,
            Refused::OtherSession,
            Refused::AdminsOnly,
            Refused::NotFound,
            Refused::MethodNotAllowed,
            Refused::Said(Refusal::NotReady),
        ] {
            let (_, code, ..) = refused.text();
            assert!(
                errors.contains(&format!("## {code}")),
                "{code} is not in docs/errors.md"
            );
        }
    }
}
