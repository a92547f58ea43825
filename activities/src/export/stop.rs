//! Why an export stops before its end.

use std::time::Duration;

use domain::export::{FailReason, WaitReason, contact::Skip};
use hubspot::ErrorClass;
use store::StoreError;

/// Why an export stops before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The database.
    Store(StoreError),
    /// HubSpot; nothing was written by what it answered to.
    HubSpot(hubspot::Error),
    /// Somebody else writes about the person by now.
    Lost,
    /// The connection is another one.
    Fenced,
    /// A definition that the plan stood on is another one by now: planned again from it.
    Redefined,
    /// The requests wait.
    Waits(WaitReason, Duration),
    /// The requests end.
    Skips(Skip),
    /// The requests end, and can be retried.
    Fails(FailReason, Vec<String>),
}

impl Stop {
    /// Whether HubSpot did not do it, or a limit did not let it through, for a minute at most.
    pub(super) fn passes_soon(&self) -> bool {
        let Self::HubSpot(error) = self else {
            return false;
        };
        let trouble = matches!(
            error.class(),
            ErrorClass::Transient | ErrorClass::RateLimited
        );
        trouble && error.retry_after().is_none_or(|wait| wait <= super::SHORT)
    }

    /// What it is called in logs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::HubSpot(error) => crate::failure::code_of(error),
            Self::Lost => "lost",
            Self::Fenced => "fenced",
            Self::Redefined => "redefined",
            Self::Waits(reason, _) => reason.as_str(),
            Self::Skips(skip) => skip.reason.as_str(),
            Self::Fails(reason, _) => reason.as_str(),
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<hubspot::Error> for Stop {
    fn from(error: hubspot::Error) -> Self {
        match error {
            hubspot::Error::Fenced => Self::Fenced,
            error => Self::HubSpot(error),
        }
    }
}
