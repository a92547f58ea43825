//! Export: who qualifies, what an export would write and why, in which order, and what became of it.

pub mod address;
pub mod ask;
pub mod association;
pub mod bulk;
pub mod ceiling;
pub mod change;
pub mod coalesce;
pub mod company;
pub mod compare;
pub mod contact;
pub mod convert;
pub mod domains;
pub mod example;
pub mod history;
pub mod intake;
pub mod journal;
mod lifecycle;
pub mod policy;
pub mod portal_rules;
pub mod record;
pub mod request;
pub mod revert;
pub mod sameness;
mod sheet;
pub mod steps;

#[cfg(test)]
mod tests;

pub use ask::RevertState;
pub use association::{AssociationKind, ContactCompany};
pub use bulk::BulkState;
pub use change::{Change, LeftOut, Rule, Why, Write};
pub use company::{CompanyFacts, CompanyPlan, NoCompany};
pub use contact::{ContactFacts, ContactPlan, Decision, Found, LinkChange, Skip, Workspace};
pub use convert::{ConvertError, HubSpotValue, fits, fixed, to_hubspot};
pub use domains::{CompanyDomain, CompanyDomains, NoDomain};
pub use example::{Example, example};
pub use history::{History, Resumed};
pub use intake::Intake;
pub use policy::{
    Automatic, ExportCause, Qualification, Qualified, Standing, Whereabouts, automatic, qualify,
    requalify, whereabouts,
};
pub use portal_rules::{RequiredProperty, RequiredWhen};
pub use record::RecordRead;
pub use request::{
    FailReason, RequestId, RequestKind, RequestOutcome, RequestState, SkipReason, WaitReason,
};
pub use sheet::PortalSide;
pub use steps::ExportStep;
