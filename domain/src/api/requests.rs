//! Requests to export, and what became of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ErrorCode, IdError,
    app::PersonId,
    export::{
        FailReason, RequestId, RequestKind, RequestOutcome, RequestState, SkipReason, WaitReason,
    },
    settings::ExportPolicy,
};

/// Exports one lead, whatever the policy says (E1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManualExport {
    /// Whom.
    pub person: PersonId,
    /// Whether a contact is made again that was archived in HubSpot (E2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
}

/// Exports many people, by the policy (E1); who is left out is said, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkExport {
    /// Whom; each once.
    #[schema(min_items = 1, max_items = 1000)]
    pub people: Vec<PersonId>,
    /// Whether people who qualified before the policy was in force are taken too. An admin confirms
    /// this.
    #[serde(default)]
    pub include_earlier: bool,
}

/// A request and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestAnswer {
    /// Which request.
    pub request: RequestId,
    /// Why it exists.
    pub kind: RequestKind,
    /// About whom; missing once the person was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// When it was accepted.
    pub requested_at: DateTime<Utc>,
    /// When its state last changed.
    pub changed_at: DateTime<Utc>,
    /// What became of it so far.
    pub outcome: RequestOutcome,
    /// What says more of it, of an exported one too: the paragraph about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// The properties that the code is about: of an exported one those that HubSpot refused, while the
    /// rest was written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<String>,
}

/// The answer to a request to export (status 202): a row each, in the order of the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportAnswer {
    /// The rows.
    pub requests: Vec<RequestAnswer>,
}

/// The reason of requests that are to go on again: why they wait, were left out, or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum RetryReason {
    /// Why they wait.
    Waiting(WaitReason),
    /// Why they were left out.
    Skipped(SkipReason),
    /// Why they failed.
    Failed(FailReason),
}

impl RetryReason {
    /// All of them, in the order in which they are shown.
    pub fn all() -> impl Iterator<Item = Self> {
        let waiting = WaitReason::ALL.into_iter().map(Self::Waiting);
        let skipped = SkipReason::ALL.into_iter().map(Self::Skipped);
        let failed = FailReason::ALL.into_iter().map(Self::Failed);
        waiting.chain(skipped).chain(failed)
    }

    /// The name, which no other reason has.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting(reason) => reason.as_str(),
            Self::Skipped(reason) => reason.as_str(),
            Self::Failed(reason) => reason.as_str(),
        }
    }

    /// The state of requests with this reason.
    pub const fn state(&self) -> RequestState {
        match self {
            Self::Waiting(_) => RequestState::Waiting,
            Self::Skipped(_) => RequestState::Skipped,
            Self::Failed(_) => RequestState::Failed,
        }
    }
}

impl std::str::FromStr for RetryReason {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::all()
            .find(|reason| reason.as_str() == text)
            .ok_or(IdError::Malformed {
                kind: "reason",
                expected: "a reason as the list of requests has it, such as no_email",
            })
    }
}

/// Lets many requests go on again (X1).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryExports {
    /// Those with this reason; missing: all that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RetryReason>,
}

/// What came of letting many go on again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetryAnswer {
    /// How many go on, or wait for the connection alone.
    pub retried: u64,
    /// Whether there are more, for another call.
    pub more: bool,
}

/// People who qualify for an export and were not exported (E1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QualifyingCounts {
    /// How many.
    pub people: u64,
    /// Of them, those who qualified before the policy was in force: only a bulk export takes them.
    pub qualified_earlier: u64,
    /// Whether there are more than were counted.
    pub more: bool,
}

/// How exports stand (E1, X10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportSummary {
    /// Whether an admin has saved the settings once; nothing is exported by itself before.
    pub settings_saved: bool,
    /// The policy in force.
    pub policy: ExportPolicy,
    /// Since when it acts; null before it does.
    pub in_force_since: Option<DateTime<Utc>>,
    /// Who qualifies now.
    pub qualifying: QualifyingCounts,
    /// Requests that go on.
    pub accepted: u64,
    /// Requests that wait, by their reason.
    pub waiting: BTreeMap<WaitReason, u64>,
    /// Requests that failed, by their reason.
    pub failed: BTreeMap<FailReason, u64>,
    /// Requests that were left out in the last 30 days, by their reason.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// When the oldest request was made that ought to be in HubSpot and is not; null: there is none.
    pub oldest_pending: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_its_state_and_reads_back() {
        let mut names = std::collections::BTreeSet::new();
        for reason in RetryReason::all() {
            assert!(names.insert(reason.as_str()), "{reason:?}");
            assert_eq!(reason.as_str().parse::<RetryReason>().unwrap(), reason);
            let json = serde_json::to_value(reason).unwrap();
            assert_eq!(json, reason.as_str());
            assert_eq!(serde_json::from_value::<RetryReason>(json).unwrap(), reason);
        }
        assert!("exported".parse::<RetryReason>().is_err());
    }
}
