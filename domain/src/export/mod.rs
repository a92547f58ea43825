//! Export: who qualifies, and what became of requests.

pub mod policy;
pub mod request;

pub use policy::{Automatic, ExportCause, Qualification, automatic, qualify};
pub use request::{
    FailReason, RequestId, RequestKind, RequestOutcome, RequestState, SkipReason, WaitReason,
};
