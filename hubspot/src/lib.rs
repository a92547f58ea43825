#![doc = include_str!("../README.md")]

pub mod account;
pub mod associations;
pub mod budget;
mod client;
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
mod token;

pub use budget::{
    Bucket, BudgetRefused, BudgetRequest, InProcessBudget, RateBudget, RequestClass,
    ResponseObservation, Unlimited,
};
pub use client::{API_VERSION, Client, ClientConfig};
pub use error::{Detail, Error, ErrorClass, FieldProblem};
pub use ids::{ListId, ObjectType, OwnerId, PortalId, RecordId};
pub use page::{BadRecord, BadRecordProblem, Cursor, Page};
pub use token::{AccessToken, AccessTokenSource, StaticToken, TokenError};
