#![doc = include_str!("../README.md")]

pub mod activities;
pub mod aliases;
pub mod api;
pub mod app;
pub mod backfill;
pub mod company_domain;
pub mod connection;
pub mod deals;
pub mod dnc;
pub mod entry;
pub mod export;
pub mod ids;
pub mod linking;
pub mod listing;
mod named;
pub mod outcome;
pub mod own_properties;
pub mod owner_suggestions;
pub mod owners;
pub mod page_size;
pub mod people_file;
pub mod periodic;
pub mod portal;
pub mod profile;
pub mod profiles;
pub mod progress;
pub mod quarantine;
pub mod ranges;
pub mod rate_budget;
pub mod reconcile;
pub mod resync;
pub mod scopes;
pub mod settings;
pub mod sweep;
pub mod times;
pub mod tokens;
pub mod touches;
pub mod urgency;
pub mod webhooks;

pub use backfill::{ReadPlan, RunKind, SLICE, SLICE_MAX};
pub use connection::{ConnectionPhase, ConnectionState, DisconnectReason};
pub use ids::{
    AdminId, BulkId, ConsentId, Epoch, HubSpotObjectId, HubSpotOwnerId, IdError, ObjectType,
    PortalId, PreviewId, RevertId, SyncRunId, SyncType, WorkspaceId,
};
pub use outcome::{ErrorCode, Purpose, ReadOutcome, ReadPart, TypeOutcome};
pub use page_size::PageSize;
pub use progress::{Progress, Rate};
pub use quarantine::QuarantineReason;
pub use ranges::{IdRange, RangeNo, RangeReader, Sharing};
pub use rate_budget::{AppKey, BudgetBucket, PauseReason};
pub use resync::{ResyncMode, ResyncOutcome, ResyncRequest};
pub use urgency::Urgency;
