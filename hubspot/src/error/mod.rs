//! Errors, classified once, here.

mod body;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

pub(crate) use body::{ErrorBody, ItemError, classify, each, lenient, texts};

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
    /// An address whose contact was erased (GDPR), and which HubSpot takes no more.
    ErasedAddress,
    /// `INVALID_INTEGER` and `INVALID_LONG`
    InvalidNumber,
    /// `INVALID_DATE`
    InvalidDate,
    /// `CONFLICTING_UNIQUE_VALUE`
    ConflictingUniqueValue,
    /// `MISSING_REQUIRED_PROPERTY`: the portal asks for a value.
    MissingRequired,
    /// `MISSING_CONDITIONAL_REQUIRED_PROPERTY`: the portal asks for a value because of another one.
    MissingConditionalRequired,
    /// Any other, as HubSpot wrote it.
    Other(String),
}

impl FieldCode {
    fn parse(code: &str) -> Self {
        match code {
            "PROPERTY_DOESNT_EXIST" => Self::PropertyDoesntExist,
            "READ_ONLY_VALUE" => Self::ReadOnlyValue,
            "INVALID_OPTION" => Self::InvalidOption,
            "INVALID_EMAIL" => Self::InvalidEmail,
            "INVALID_INTEGER" | "INVALID_LONG" => Self::InvalidNumber,
            "INVALID_DATE" => Self::InvalidDate,
            "CONFLICTING_UNIQUE_VALUE" => Self::ConflictingUniqueValue,
            "MISSING_REQUIRED_PROPERTY" => Self::MissingRequired,
            "MISSING_CONDITIONAL_REQUIRED_PROPERTY" => Self::MissingConditionalRequired,
            _ => Self::Other(code.to_owned()),
        }
    }

    /// Whether it is a rule that the portal's admins made (`hubspot-api.md` §15.2).
    pub const fn is_portal_rule(&self) -> bool {
        matches!(
            self,
            Self::MissingRequired | Self::MissingConditionalRequired
        )
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ErrorClass {
    /// Try again.
    Transient,
    /// Try again later.
    RateLimited,
    /// Somebody has to connect again.
    AuthRevoked,
    /// A scope was not granted.
    ScopeMissing,
    /// The portal does not let us, and names no scope: asking again changes nothing.
    Forbidden,
    /// The request itself is wrong.
    Invalid,
    /// A rule of the portal asks for more values: somebody has to give them, or change the rule.
    PortalRule,
    /// No such record.
    NotFound,
    /// There is one already.
    Conflict,
    /// A write may or may not have happened: read back first.
    OutcomeUnknown,
    /// The connection is fenced off.
    Refused,
    /// A listing does not come to its end: asking again brings the same.
    PagingStuck,
    /// Client id, secret or address are wrong.
    Misconfigured,
}

impl ErrorClass {
    /// A stable name.
    pub fn as_str(self) -> &'static str {
        self.into()
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
    /// A service key is refused, and it is too early to say that it is gone.
    #[error("HubSpot refuses the service key for now")]
    TokenDoubted {
        /// When to ask again.
        retry_after: Duration,
    },
    /// A scope is missing.
    #[error("a scope was not granted: {}", .scopes.join(" or "))]
    ScopeMissing {
        /// Any one of these would do.
        scopes: Vec<String>,
    },
    /// A 403 that names no scope: the plan, a setting or a permission of the portal.
    #[error("HubSpot does not allow it in this portal")]
    Forbidden {
        /// HubSpot's text.
        detail: Detail,
    },
    /// A rule of the portal's asks for values that are missing (`hubspot-api.md` §15.2).
    #[error("a rule of the portal asks for more values: {}", property_names(.problems))]
    PortalRule {
        /// The properties that want a value.
        problems: Vec<FieldProblem>,
        /// The properties whose values make it ask for them, where HubSpot says so.
        because_of: Vec<String>,
        /// HubSpot's text.
        detail: Detail,
    },
    /// The request is refused.
    #[error("HubSpot refused the request ({status})")]
    Invalid {
        /// The status; 437 says that a limit of the portal is reached.
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
    /// A batch of writes was answered, and the answer does not mention this input. So it is with ids
    /// that were merged away.
    #[error("HubSpot's answer does not mention it")]
    NotInAnswer,
    /// A read was answered, and no answer spoke of this input, also when it was asked for again:
    /// nothing is known of it, least of all that it is not there.
    #[error("HubSpot's answers do not speak of it")]
    Unanswered,
    /// A listing goes round in circles, or stands still ([`crate::PagingGuard`]).
    #[error("HubSpot's pages do not come to an end ({context})")]
    PagingStuck {
        /// Which listing.
        context: &'static str,
    },
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
    TokenUnavailable {
        /// When to come back, if that is known.
        retry_after: Option<Duration>,
    },
}

/// Names of properties hold no personal data.
fn property_names(problems: &[FieldProblem]) -> String {
    let names: Vec<&str> = problems
        .iter()
        .filter_map(|p| p.property.as_deref())
        .collect();
    names.join(", ")
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
            | Self::TokenUnavailable { .. }
            | Self::TokenDoubted { .. }
            | Self::Unanswered
            | Self::Unauthorized(_) => ErrorClass::Transient,
            Self::RateLimited { .. } | Self::BudgetWait { .. } | Self::DailyLimit { .. } => {
                ErrorClass::RateLimited
            }
            Self::AuthRevoked => ErrorClass::AuthRevoked,
            Self::ScopeMissing { .. } => ErrorClass::ScopeMissing,
            Self::Forbidden { .. } => ErrorClass::Forbidden,
            Self::PortalRule { .. } => ErrorClass::PortalRule,
            Self::PagingStuck { .. } => ErrorClass::PagingStuck,
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
            Self::Invalid { detail, .. }
            | Self::Forbidden { detail }
            | Self::PortalRule { detail, .. }
            | Self::Unauthorized(detail) => Some(detail),
            _ => None,
        }
    }

    /// When to come back at the earliest, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transient { retry_after, .. }
            | Self::RateLimited { retry_after, .. }
            | Self::TokenUnavailable { retry_after } => *retry_after,
            Self::TokenDoubted { retry_after } => Some(*retry_after),
            Self::BudgetWait { at_least } | Self::DailyLimit { at_least } => Some(*at_least),
            _ => None,
        }
    }

    /// Whether HubSpot has certainly not looked at what was asked: it concerns every request alike,
    /// and not this one.
    pub(crate) const fn concerns_every_request(&self) -> bool {
        matches!(
            self.class(),
            ErrorClass::RateLimited
                | ErrorClass::AuthRevoked
                | ErrorClass::ScopeMissing
                | ErrorClass::Forbidden
                | ErrorClass::Refused
                | ErrorClass::Misconfigured
        )
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Revoked => Self::AuthRevoked,
            TokenError::Fenced => Self::Fenced,
            TokenError::Misconfigured(what) => Self::Misconfigured(what),
            TokenError::Unavailable { retry_after } => Self::TokenUnavailable { retry_after },
            TokenError::Doubted { retry_after } => Self::TokenDoubted { retry_after },
        }
    }
}
