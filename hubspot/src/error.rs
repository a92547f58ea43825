//! Errors, classified once, here.

use std::{fmt, time::Duration};

use serde::Deserialize;

use crate::{ids::RecordId, token::TokenError};

/// HubSpot's own text. It may quote e-mails and values: neither `Display` nor `Debug` show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Detail {
    text: String,
    /// HubSpot's id of the request, for its support.
    pub correlation_id: Option<String>,
}

impl Detail {
    /// The text, for a store that may hold personal data.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detail")
            .field("correlation_id", &self.correlation_id)
            .finish_non_exhaustive()
    }
}

/// A property that HubSpot refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// Which property, when HubSpot says so.
    pub property: Option<String>,
    /// HubSpot's code, such as `INVALID_OPTION`.
    pub code: String,
}

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Try again.
    Transient,
    /// Try again later.
    RateLimited,
    /// Somebody has to connect again.
    AuthRevoked,
    /// A scope was not granted.
    ScopeMissing,
    /// The request itself is wrong.
    Invalid,
    /// No such record.
    NotFound,
    /// There is one already.
    Conflict,
    /// A write may or may not have happened: read back first.
    OutcomeUnknown,
    /// The budget did not let it leave.
    Refused,
    /// Client id, secret or address are wrong.
    Misconfigured,
}

impl ErrorClass {
    /// A stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::RateLimited => "rate_limited",
            Self::AuthRevoked => "auth_revoked",
            Self::ScopeMissing => "scope_missing",
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Refused => "refused",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Network trouble or a 5xx, and nothing was written.
    #[error("HubSpot could not answer{}", status_text(*.status))]
    Transient {
        /// The status, if there was an answer.
        status: Option<u16>,
        /// When HubSpot asks to come back.
        retry_after: Option<Duration>,
    },
    /// A 429, also after waiting for the budget.
    #[error("HubSpot's rate limit was hit")]
    RateLimited {
        /// When to come back, if HubSpot says so.
        retry_after: Option<Duration>,
        /// Such as `TEN_SECONDLY_ROLLING` or `DAILY`.
        policy: Option<String>,
    },
    /// The tokens are refused for good.
    #[error("HubSpot has revoked the connection")]
    AuthRevoked,
    /// The access token is refused, and a fresh one too.
    #[error("HubSpot refuses the access token")]
    Unauthorized(Detail),
    /// A scope is missing.
    #[error("a scope was not granted: {}", .scopes.join(" or "))]
    ScopeMissing {
        /// Any one of these would do.
        scopes: Vec<String>,
    },
    /// The request is refused.
    #[error("HubSpot refused the request ({status})")]
    Invalid {
        /// The status.
        status: u16,
        /// The properties that are wrong.
        problems: Vec<FieldProblem>,
        /// HubSpot's text.
        detail: Detail,
    },
    /// No such record.
    #[error("HubSpot knows no such record")]
    NotFound,
    /// There is one already.
    #[error("HubSpot has such a record already")]
    Conflict {
        /// Which, when HubSpot says so.
        existing: Option<RecordId>,
    },
    /// A write that may or may not have happened.
    #[error("it is not known whether HubSpot did it")]
    OutcomeUnknown,
    /// The budget says no for good: the connection is fenced off.
    #[error("the connection is fenced off")]
    Fenced,
    /// The budget is used up for longer than the caller waits.
    #[error("the budget is used up for at least {at_least:?}")]
    BudgetWait {
        /// At least this long.
        at_least: Duration,
    },
    /// An answer that is not of the documented shape.
    #[error("HubSpot's answer is not of the documented shape ({context})")]
    UnexpectedResponse {
        /// Which answer.
        context: &'static str,
    },
    /// Client id, secret or address are wrong.
    #[error("the HubSpot app is not configured rightly: {0}")]
    Misconfigured(&'static str),
    /// There was no token to be had for now.
    #[error("no access token could be had")]
    TokenUnavailable,
}

fn status_text(status: Option<u16>) -> String {
    status.map_or_else(String::new, |s| format!(" ({s})"))
}

impl Error {
    /// What can be done about it.
    pub const fn class(&self) -> ErrorClass {
        match self {
            // A fresh token that is refused is odd, but only the token endpoint can say that a
            // connection is gone.
            Self::Transient { .. }
            | Self::UnexpectedResponse { .. }
            | Self::TokenUnavailable
            | Self::Unauthorized(_) => ErrorClass::Transient,
            Self::RateLimited { .. } | Self::BudgetWait { .. } => ErrorClass::RateLimited,
            Self::AuthRevoked => ErrorClass::AuthRevoked,
            Self::ScopeMissing { .. } => ErrorClass::ScopeMissing,
            Self::Invalid { .. } => ErrorClass::Invalid,
            Self::NotFound => ErrorClass::NotFound,
            Self::Conflict { .. } => ErrorClass::Conflict,
            Self::OutcomeUnknown => ErrorClass::OutcomeUnknown,
            Self::Fenced => ErrorClass::Refused,
            Self::Misconfigured(_) => ErrorClass::Misconfigured,
        }
    }

    /// HubSpot's own text, for a store that may hold personal data.
    pub const fn detail(&self) -> Option<&Detail> {
        match self {
            Self::Invalid { detail, .. } | Self::Unauthorized(detail) => Some(detail),
            _ => None,
        }
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Revoked => Self::AuthRevoked,
            TokenError::Fenced => Self::Fenced,
            TokenError::Misconfigured(what) => Self::Misconfigured(what),
            TokenError::Unavailable => Self::TokenUnavailable,
        }
    }
}

/// HubSpot's error body; every field is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ErrorBody {
    message: String,
    correlation_id: Option<String>,
    category: Option<String>,
    policy_name: Option<String>,
    error_type: Option<String>,
    errors: Vec<ErrorItem>,
    context: ErrorContext,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ErrorItem {
    code: Option<String>,
    context: ErrorContext,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ErrorContext {
    property_name: Vec<String>,
    required_granular_scopes: Vec<String>,
    existing_id: Vec<String>,
}

/// Classifies an answer that is not 2xx. `write` says whether the request may have changed something.
pub(crate) fn classify(
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    write: bool,
) -> Error {
    let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
    let detail = Detail {
        text: body.message.clone(),
        correlation_id: body.correlation_id.clone(),
    };
    match status {
        401 => Error::Unauthorized(detail),
        403 if body.category.as_deref() == Some("MISSING_SCOPES") => Error::ScopeMissing {
            scopes: body
                .errors
                .iter()
                .map(|e| &e.context)
                .chain([&body.context])
                .flat_map(|c| c.required_granular_scopes.clone())
                .collect(),
        },
        404 => Error::NotFound,
        409 => Error::Conflict {
            existing: body
                .context
                .existing_id
                .first()
                .map(String::as_str)
                .or_else(|| existing_id_of(&body.message))
                .and_then(|id| id.parse().ok()),
        },
        429 => Error::RateLimited {
            retry_after,
            policy: body.policy_name.or(body.error_type),
        },
        // Locked, or being moved to another data centre: certainly not applied.
        423 | 477 => Error::Transient {
            status: Some(status),
            retry_after,
        },
        408 | 500..=599 if write => Error::OutcomeUnknown,
        408 | 500..=599 => Error::Transient {
            status: Some(status),
            retry_after,
        },
        _ => Error::Invalid {
            status,
            problems: body
                .errors
                .into_iter()
                .filter_map(|e| {
                    Some(FieldProblem {
                        code: e.code?,
                        property: e.context.property_name.into_iter().next(),
                    })
                })
                .collect(),
            detail,
        },
    }
}

/// `Contact already exists. Existing ID: 37765128953`: the only place that holds the id when there
/// is no context (`hubspot-api.md` §7).
fn existing_id_of(message: &str) -> Option<&str> {
    let (_, id) = message.rsplit_once("Existing ID: ")?;
    Some(id.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let table: Vec<(u16, &str, bool, ErrorClass)> = vec![
            (500, "<html>", false, ErrorClass::Transient),
            (502, "<html>", true, ErrorClass::OutcomeUnknown),
            (423, "{}", true, ErrorClass::Transient),
            (
                404,
                r#"{"message":"resource not found"}"#,
                false,
                ErrorClass::NotFound,
            ),
            (401, "{}", false, ErrorClass::Transient),
            (
                403,
                r#"{"category":"MISSING_SCOPES"}"#,
                false,
                ErrorClass::ScopeMissing,
            ),
            (403, "{}", false, ErrorClass::Invalid),
            (
                429,
                r#"{"errorType":"RATE_LIMIT"}"#,
                true,
                ErrorClass::RateLimited,
            ),
            (400, "not json", false, ErrorClass::Invalid),
        ];
        for (status, body, write, class) in table {
            assert_eq!(
                classify(status, None, body.as_bytes(), write).class(),
                class
            );
        }
    }

    #[test]
    fn a_conflict_names_the_record_that_is_there() {
        for body in [
            r#"{"message":"Contact already exists. Existing ID: 37765128953","category":"CONFLICT"}"#,
            r#"{"context":{"existingId":["37765128953"]}}"#,
        ] {
            let Error::Conflict { existing } = classify(409, None, body.as_bytes(), true) else {
                panic!("not a conflict");
            };
            assert_eq!(existing, Some(RecordId::new(37_765_128_953)));
        }
    }

    #[test]
    fn hubspots_text_is_shown_nowhere() {
        let body = r#"{"message":"Email address a@b.bad is invalid","correlationId":"c-1"}"#;
        let error = classify(400, None, body.as_bytes(), true);
        assert!(!format!("{error} {error:?}").contains("a@b.bad"));
        assert_eq!(
            error.detail().unwrap().expose(),
            "Email address a@b.bad is invalid"
        );
    }
}
