#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod account;
pub mod associations;
mod batch;
pub mod budget;
mod client;
pub mod companies;
pub mod contacts;
pub mod engagements;
mod error;
mod ids;
pub mod lists;
pub mod oauth;
pub mod objects;
pub mod owners;
mod page;
pub mod pipelines;
pub mod properties;
pub mod search;
mod time;
mod token;
pub mod validations;
pub mod webhooks;

pub use batch::{BatchOutcome, InputOutcome};
pub use budget::{
    Bucket, BudgetRefused, BudgetRequest, InProcessBudget, Permit, RateBudget, RequestClass,
    RequestTally, ResponseObservation, Unlimited,
};
pub use client::{API_VERSION, Client, ClientConfig, Timeouts};
pub use error::{Detail, Error, ErrorClass, FieldCode, FieldProblem, RatePolicy, RequestProblem};
pub use ids::{ListId, ObjectType, OwnerId, PortalId, RecordId};
pub use page::{BadRecord, BadRecordProblem, Cursor, Page, PagingGuard, Times};
pub use time::time_of;
pub use token::{AccessToken, AccessTokenSource, StaticToken, TokenError};

/// How many cases a property test runs: few, or with `SOAK=full` many.
#[cfg(test)]
fn test_cases() -> u32 {
    if std::env::var("SOAK").is_ok_and(|s| s == "full") {
        20_000
    } else {
        256
    }
}
