//! Export: who qualifies, and what became of requests.

pub mod convert;
pub mod policy;
pub mod request;

pub use convert::{ConvertError, HubSpotValue, fits, fixed, to_hubspot};
pub use policy::{Automatic, ExportCause, Qualification, automatic, qualify};
pub use request::{
    FailReason, RequestId, RequestKind, RequestOutcome, RequestState, SkipReason, WaitReason,
};
