//! From errors to Temporal failures: classified once here, with codes and ids only (X5).

use std::time::Duration;

use temporalio_common::ActivityError;
use temporalio_sdk::ApplicationFailure;
use workflows::ops::FAILURE_DEFECT;

/// The code of what needs a scope that was not granted.
pub(crate) const SCOPE_MISSING: &str = "HS-3004";
/// The code of a search that counts more than it gives, also when asked again.
pub(crate) const INDEX_BEHIND: &str = "HS-3017";
/// The code of a type of which nothing was read although there are records.
pub(crate) const NOTHING_READ: &str = "HS-3018";
/// The code of a defect.
pub(crate) const DEFECT: &str = "HS-5099";

/// A failure's message: our code, and what kind of trouble it is. Never text of HubSpot's.
#[derive(Debug, thiserror::Error)]
#[error("{code} {what}")]
struct Coded {
    code: &'static str,
    what: String,
}

fn failure(
    code: &'static str,
    what: impl std::fmt::Display,
    class: &str,
    retryable: bool,
    delay: Option<Duration>,
) -> ActivityError {
    let coded = Coded {
        code,
        what: what.to_string(),
    };
    ActivityError::application(
        ApplicationFailure::builder(anyhow::Error::new(coded))
            .type_name(class.to_owned())
            .non_retryable(!retryable)
            .maybe_next_retry_delay(delay)
            .build(),
    )
}

/// Trouble with the store. The database being away is worth any number of attempts.
pub(crate) fn of_store(error: &store::StoreError) -> ActivityError {
    tracing::warn!(code = error.code(), error = %error, "the store failed");
    if error.is_transient() {
        failure(error.code(), error, "transient", true, None)
    } else {
        // Retried all the same, slowly: an operator who mends a key or a row needs no other step.
        failure(
            error.code(),
            error,
            "store",
            true,
            Some(Duration::from_secs(60)),
        )
    }
}

/// Our code for trouble with HubSpot.
pub(crate) fn code_of(error: &hubspot::Error) -> &'static str {
    use hubspot::{Error, ErrorClass};
    match error.class() {
        ErrorClass::Transient if matches!(error, Error::TokenUnavailable { .. }) => "HS-3012",
        ErrorClass::Transient if matches!(error, Error::TokenDoubted { .. }) => "HS-3013",
        ErrorClass::Transient => "HS-3001",
        ErrorClass::RateLimited if is_of_the_day(error) => "HS-3011",
        ErrorClass::RateLimited => "HS-3002",
        ErrorClass::AuthRevoked => "HS-3003",
        ErrorClass::ScopeMissing => SCOPE_MISSING,
        ErrorClass::Invalid => "HS-3005",
        ErrorClass::NotFound => "HS-3006",
        ErrorClass::Conflict => "HS-3007",
        ErrorClass::OutcomeUnknown => "HS-3008",
        ErrorClass::Refused => "HS-3009",
        ErrorClass::Misconfigured => "HS-3010",
        ErrorClass::Forbidden => "HS-3014",
        ErrorClass::PortalRule => "HS-3015",
        ErrorClass::PagingStuck => "HS-3016",
    }
}

/// Trouble with HubSpot.
pub(crate) fn of_hubspot(error: &hubspot::Error) -> ActivityError {
    let (code, class) = (code_of(error), error.class());
    tracing::warn!(code, class = class.as_str(), error = %error, "HubSpot did not do it");
    failure(code, error, class.as_str(), true, error.retry_after())
}

/// Whether the account's requests of the day are used up.
fn is_of_the_day(error: &hubspot::Error) -> bool {
    use hubspot::{Error, RatePolicy};
    match error {
        Error::DailyLimit { .. } => true,
        Error::RateLimited { policy, .. } => *policy == RatePolicy::Daily,
        _ => false,
    }
}

/// Somebody else is at it: asked again after a while.
pub(crate) fn busy(wait: Duration) -> ActivityError {
    failure(
        "HS-3019",
        "somebody else writes now",
        "busy",
        true,
        Some(wait),
    )
}

/// What waits for so short a time that the next attempt waits for it.
pub(crate) fn waits(reason: &'static str, wait: Duration) -> ActivityError {
    failure("HS-3020", reason, "waits", true, Some(wait))
}

/// A defect: what no attempt mends.
pub(crate) fn defect(what: &'static str) -> ActivityError {
    failure(DEFECT, what, FAILURE_DEFECT, false, None)
}
