//! Requests to export, and what became of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::PersonId,
    export::{RequestId, RequestKind, RequestOutcome},
};

/// Exports one lead, whatever the policy says (E1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManualExport {
    /// Whom.
    pub person: PersonId,
    /// Whether a contact is made again that was archived in HubSpot (E2).
    #[serde(default)]
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
}

/// The answer to a request to export (status 202): a row each, in the order of the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportAnswer {
    /// The rows.
    pub requests: Vec<RequestAnswer>,
}
