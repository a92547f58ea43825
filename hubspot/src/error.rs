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

/// HubSpot's code for what is wrong with a value (`hubspot-api.md` §7).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldCode {
    /// `PROPERTY_DOESNT_EXIST`
    PropertyDoesntExist,
    /// `READ_ONLY_VALUE`
    ReadOnlyValue,
    /// `INVALID_OPTION`
    InvalidOption,
    /// `INVALID_EMAIL`
    InvalidEmail,
    /// `INVALID_INTEGER` and `INVALID_LONG`
    InvalidNumber,
    /// `INVALID_DATE`
    InvalidDate,
    /// `CONFLICTING_UNIQUE_VALUE`
    ConflictingUniqueValue,
    /// `MISSING_REQUIRED_PROPERTY` and `MISSING_CONDITIONAL_REQUIRED_PROPERTY`
    MissingRequired,
    /// Any other, as HubSpot wrote it.
    Other(String),
}

impl FieldCode {
    fn parse(code: String) -> Self {
        match code.as_str() {
            "PROPERTY_DOESNT_EXIST" => Self::PropertyDoesntExist,
            "READ_ONLY_VALUE" => Self::ReadOnlyValue,
            "INVALID_OPTION" => Self::InvalidOption,
            "INVALID_EMAIL" => Self::InvalidEmail,
            "INVALID_INTEGER" | "INVALID_LONG" => Self::InvalidNumber,
            "INVALID_DATE" => Self::InvalidDate,
            "CONFLICTING_UNIQUE_VALUE" => Self::ConflictingUniqueValue,
            "MISSING_REQUIRED_PROPERTY" | "MISSING_CONDITIONAL_REQUIRED_PROPERTY" => {
                Self::MissingRequired
            }
            _ => Self::Other(code),
        }
    }

    /// Whether any value of the property would be refused the same.
    pub const fn concerns_the_property(&self) -> bool {
        matches!(self, Self::PropertyDoesntExist | Self::ReadOnlyValue)
    }
}

/// A property that HubSpot refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldProblem {
    /// Which property, when HubSpot says so.
    pub property: Option<String>,
    /// What is wrong.
    pub code: FieldCode,
}

/// Which limit a 429 is about, by its `policyName`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RatePolicy {
    /// `TEN_SECONDLY_ROLLING`: over within ten seconds.
    TenSecondly,
    /// `SECONDLY`: over within a second (search).
    Secondly,
    /// `DAILY`: over at the account's midnight; the client does not wait for it.
    Daily,
    /// Another, as HubSpot wrote it; none where it names none.
    Other(Option<String>),
}

impl RatePolicy {
    fn parse(name: Option<String>) -> Self {
        match name.as_deref() {
            Some(n) if n.starts_with("TEN_SECONDLY") => Self::TenSecondly,
            Some(n) if n.starts_with("SECONDLY") => Self::Secondly,
            Some("DAILY") => Self::Daily,
            _ => Self::Other(name),
        }
    }
}

/// A request that HubSpot would refuse by its documented limits, and which is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestProblem {
    /// Too many filter groups.
    #[error("{given} filter groups; a search takes {most}: split it into several searches")]
    FilterGroups {
        /// How many there are.
        given: usize,
        /// How many may be.
        most: usize,
    },
    /// Too many filters in a group, the keyset's own counted in.
    #[error("{given} filters in one group; a group takes {most}: split it into several searches")]
    FiltersInGroup {
        /// How many there are.
        given: usize,
        /// How many may be.
        most: usize,
    },
    /// Too many filters in all, the keyset's own counted in.
    #[error("{given} filters in all; a search takes {most}: split it into several searches")]
    Filters {
        /// How many there are.
        given: usize,
        /// How many may be.
        most: usize,
    },
    /// A filter with a list of values has none.
    #[error("the filter on {property} has no values: give at least one")]
    NoValues {
        /// The property that is filtered.
        property: String,
    },
    /// The page is empty or too large.
    #[error("a page of {given}; 1 to {most} are possible")]
    PageSize {
        /// How many are asked for.
        given: u32,
        /// How many may be.
        most: u32,
    },
    /// Beyond what a search gives.
    #[error("result {end} of a search; HubSpot gives {most}: page by id (`Search::pages`) instead")]
    BeyondCap {
        /// The last result that is asked for.
        end: u32,
        /// The last one that may be.
        most: u32,
    },
    /// The body is too long even without properties.
    #[error("a search of {chars} characters; HubSpot takes {most}: use fewer or shorter values")]
    TooLong {
        /// How long it is.
        chars: usize,
        /// How long it may be.
        most: usize,
    },
    /// A type that this call is not made for.
    #[error("not possible for {object_type}")]
    ObjectType {
        /// The type, as in paths.
        object_type: &'static str,
    },
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
        /// Which limit.
        policy: RatePolicy,
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
        /// The unique property whose value is taken; none for a contact's e-mail.
        property: Option<String>,
    },
    /// A batch was answered, and the answer does not mention this input. So it is with ids that were
    /// merged away.
    #[error("HubSpot's answer does not mention it")]
    NotInAnswer,
    /// Not sent, because HubSpot would refuse it.
    #[error("not sent: {0}")]
    NotSendable(#[from] RequestProblem),
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
    /// The account's requests of the day are used up.
    #[error(
        "the account's requests of the day are used up; tried again in {at_least:?} at the earliest"
    )]
    DailyLimit {
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
            Self::RateLimited { .. } | Self::BudgetWait { .. } | Self::DailyLimit { .. } => {
                ErrorClass::RateLimited
            }
            Self::AuthRevoked => ErrorClass::AuthRevoked,
            Self::ScopeMissing { .. } => ErrorClass::ScopeMissing,
            Self::Invalid { .. } | Self::NotSendable(_) => ErrorClass::Invalid,
            Self::NotFound | Self::NotInAnswer => ErrorClass::NotFound,
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

/// HubSpot's error body, and an item of a multi-status answer; every field is optional, and one that
/// is not of the documented type counts as missing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ErrorBody {
    #[serde(deserialize_with = "lenient")]
    message: String,
    #[serde(deserialize_with = "lenient")]
    correlation_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    category: Option<String>,
    #[serde(deserialize_with = "lenient")]
    policy_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    error_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    errors: Vec<ErrorItem>,
    #[serde(deserialize_with = "lenient")]
    context: ErrorContext,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ErrorItem {
    #[serde(deserialize_with = "lenient")]
    code: Option<String>,
    #[serde(deserialize_with = "lenient")]
    context: ErrorContext,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ErrorContext {
    #[serde(deserialize_with = "lenient")]
    property_name: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    required_granular_scopes: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    existing_id: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    object_write_trace_id: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    ids: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    id: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    from_object_id: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    to_object_id: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    name: Vec<String>,
}

fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned + Default,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// An error of a multi-status answer, with what it says of the inputs it is about.
#[derive(Debug, Clone)]
pub(crate) struct ItemError {
    pub(crate) error: Error,
    /// `objectWriteTraceId`s of the inputs.
    pub(crate) traces: Vec<String>,
    /// Ids of the inputs.
    pub(crate) ids: Vec<String>,
    /// For associations: the other ends.
    pub(crate) to_ids: Vec<String>,
    /// For property definitions: their names.
    pub(crate) names: Vec<String>,
}

impl ErrorBody {
    fn detail(&self) -> Detail {
        Detail {
            text: self.message.clone(),
            correlation_id: self.correlation_id.clone(),
        }
    }

    fn problems(&self) -> Vec<FieldProblem> {
        let mut problems: Vec<FieldProblem> = self
            .errors
            .iter()
            .filter_map(|e| {
                Some(FieldProblem {
                    code: FieldCode::parse(e.code.clone()?),
                    property: e.context.property_name.first().cloned(),
                })
            })
            .collect();
        if problems.is_empty() {
            problems = message::problems(&self.message);
        }
        problems.sort();
        problems.dedup();
        problems
    }

    fn scopes(&self) -> Vec<String> {
        self.errors
            .iter()
            .map(|e| &e.context)
            .chain([&self.context])
            .flat_map(|c| c.required_granular_scopes.clone())
            .collect()
    }

    fn conflict(&self) -> Error {
        Error::Conflict {
            existing: self
                .context
                .existing_id
                .first()
                .map(String::as_str)
                .or_else(|| message::existing_id(&self.message))
                .and_then(|id| id.parse().ok()),
            property: None,
        }
    }

    /// A refusal for what the request says. A taken unique value alone is a conflict; with other
    /// problems beside it the request is wrong in itself.
    fn refusal(&self, status: u16) -> Error {
        let problems = self.problems();
        match problems.as_slice() {
            [
                FieldProblem {
                    property,
                    code: FieldCode::ConflictingUniqueValue,
                },
            ] => Error::Conflict {
                existing: self
                    .context
                    .existing_id
                    .first()
                    .and_then(|id| id.parse().ok()),
                property: property.clone(),
            },
            _ => Error::Invalid {
                status,
                problems,
                detail: self.detail(),
            },
        }
    }

    /// Classifies an item of a multi-status answer: it has no status of its own, only a category.
    pub(crate) fn into_item(self) -> ItemError {
        let error = match self.category.as_deref() {
            Some("CONFLICT" | "OBJECT_ALREADY_EXISTS") => self.conflict(),
            Some("OBJECT_NOT_FOUND") => Error::NotFound,
            Some("MISSING_SCOPES") => Error::ScopeMissing {
                scopes: self.scopes(),
            },
            Some("RATE_LIMITS") => Error::RateLimited {
                retry_after: None,
                policy: RatePolicy::parse(self.policy_name.clone()),
            },
            _ => self.refusal(207),
        };
        let context = self.context;
        ItemError {
            error,
            traces: context.object_write_trace_id,
            ids: [context.ids, context.id, context.from_object_id].concat(),
            to_ids: context.to_object_id,
            names: [context.name, context.property_name].concat(),
        }
    }
}

/// Classifies an answer that is not 2xx. `write` says whether the request may have changed something.
pub(crate) fn classify(
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    write: bool,
) -> Error {
    let parsed = serde_json::from_slice::<ErrorBody>(body).ok();
    // HubSpot's own refusals are JSON, or empty. Anything else is a gateway's: what it says about
    // the request, or that there is no such record, is not to be believed.
    let by_hubspot = parsed.is_some() || body.iter().all(u8::is_ascii_whitespace);
    let body = parsed.unwrap_or_default();
    match status {
        401 => Error::Unauthorized(body.detail()),
        429 => Error::RateLimited {
            retry_after,
            policy: RatePolicy::parse(body.policy_name.clone().or(body.error_type.clone())),
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
        300..=399 => Error::UnexpectedResponse {
            context: "redirect",
        },
        403 | 404 | 409 if !by_hubspot => Error::UnexpectedResponse {
            context: "refusal that is not HubSpot's",
        },
        403 if body.category.as_deref() == Some("MISSING_SCOPES") => Error::ScopeMissing {
            scopes: body.scopes(),
        },
        404 => Error::NotFound,
        409 => body.conflict(),
        _ => body.refusal(status),
    }
}

/// Data that HubSpot gives in its text only (`hubspot-api.md` §7). Nothing is classified by it: the
/// text is read only for a value that no field holds.
mod message {
    use serde::Deserialize;

    use super::{FieldCode, FieldProblem};

    /// `Contact already exists. Existing ID: 37765128953`: single creates have no `context`.
    pub(super) fn existing_id(message: &str) -> Option<&str> {
        let (_, id) = message.rsplit_once("Existing ID: ")?;
        Some(id.trim())
    }

    /// `Property values were not valid: [{"error": "INVALID_EMAIL", "name": "email", …}]`: some
    /// answers have no `errors`.
    pub(super) fn problems(message: &str) -> Vec<FieldProblem> {
        #[derive(Deserialize)]
        struct Item {
            error: String,
            #[serde(default)]
            name: Option<String>,
        }
        let Some((_, list)) = message.split_once("Property values were not valid: ") else {
            return Vec::new();
        };
        serde_json::from_str::<Vec<Item>>(list)
            .unwrap_or_default()
            .into_iter()
            .map(|item| FieldProblem {
                property: item.name,
                code: FieldCode::parse(item.error),
            })
            .collect()
    }
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
            (400, "not json", true, ErrorClass::Invalid),
            (414, "<html>URI too long", false, ErrorClass::Invalid),
            (477, "{}", true, ErrorClass::Transient),
            (408, "", true, ErrorClass::OutcomeUnknown),
            (521, "<html>", false, ErrorClass::Transient),
            (524, "<html>", true, ErrorClass::OutcomeUnknown),
            (302, "", false, ErrorClass::Transient),
            // Only HubSpot can say that there is no such record.
            (404, "", false, ErrorClass::NotFound),
            (404, "<html>not here", false, ErrorClass::Transient),
            (403, "<html>blocked", false, ErrorClass::Transient),
            (
                409,
                r#"{"category":"CONFLICT"}"#,
                true,
                ErrorClass::Conflict,
            ),
            (
                400,
                r#"{"errors":[{"code":"CONFLICTING_UNIQUE_VALUE","context":{"propertyName":["key"]}}]}"#,
                true,
                ErrorClass::Conflict,
            ),
            (
                400,
                r#"{"errors":[{"code":"CONFLICTING_UNIQUE_VALUE"},{"code":"INVALID_OPTION"}]}"#,
                true,
                ErrorClass::Invalid,
            ),
        ];
        for (status, body, write, class) in table {
            assert_eq!(
                classify(status, None, body.as_bytes(), write).class(),
                class,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn a_429_names_its_limit() {
        let table = [
            (
                r#"{"policyName":"TEN_SECONDLY_ROLLING"}"#,
                RatePolicy::TenSecondly,
            ),
            (r#"{"policyName":"SECONDLY"}"#, RatePolicy::Secondly),
            (r#"{"policyName":"DAILY"}"#, RatePolicy::Daily),
            (
                r#"{"errorType":"RATE_LIMIT"}"#,
                RatePolicy::Other(Some("RATE_LIMIT".to_owned())),
            ),
            ("<html>", RatePolicy::Other(None)),
        ];
        for (body, want) in table {
            let after = Some(Duration::from_secs(3));
            let Error::RateLimited {
                policy,
                retry_after,
            } = classify(429, after, body.as_bytes(), true)
            else {
                panic!("not a rate limit: {body}");
            };
            assert_eq!((policy, retry_after), (want, after));
        }
    }

    #[test]
    fn a_477_says_when_to_come_back() {
        let after = Some(Duration::from_secs(86_400));
        let error = classify(477, after, b"{}", true);
        assert!(matches!(error, Error::Transient { retry_after, .. } if retry_after == after));
    }

    #[test]
    fn a_refusal_names_properties_and_codes() {
        let with_errors = r#"{"category":"VALIDATION_ERROR","errors":[
            {"code":"INVALID_OPTION","context":{"propertyName":["hs_lead_status"]}},
            {"code":"NEW_CODE"}]}"#;
        let in_text = r#"{"message":"Property values were not valid: [{\"isValid\":false,\"error\":\"INVALID_EMAIL\",\"name\":\"email\"}]"}"#;
        for (body, want) in [
            (
                with_errors,
                vec![
                    FieldProblem {
                        property: None,
                        code: FieldCode::Other("NEW_CODE".to_owned()),
                    },
                    FieldProblem {
                        property: Some("hs_lead_status".to_owned()),
                        code: FieldCode::InvalidOption,
                    },
                ],
            ),
            (
                in_text,
                vec![FieldProblem {
                    property: Some("email".to_owned()),
                    code: FieldCode::InvalidEmail,
                }],
            ),
        ] {
            let Error::Invalid { problems, .. } = classify(400, None, body.as_bytes(), true) else {
                panic!("not refused");
            };
            assert_eq!(problems, want);
        }
    }

    #[test]
    fn a_conflict_names_the_record_that_is_there() {
        for body in [
            r#"{"message":"Contact already exists. Existing ID: 37765128953","category":"CONFLICT"}"#,
            r#"{"context":{"existingId":["37765128953"]}}"#,
        ] {
            let Error::Conflict { existing, .. } = classify(409, None, body.as_bytes(), true)
            else {
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
