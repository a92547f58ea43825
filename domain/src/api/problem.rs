//! RFC 9457: how `/api/v1` says no.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::settings::{SettingsChange, SettingsProblem, SettingsRevision};

/// RFC 9457: how `/api/v1` says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Address of the paragraph in `docs/errors.md`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every problem of this code.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened here and the way out. No personal data.
    pub detail: String,
    /// Our code, such as `HS-1003`.
    pub code: String,
}

/// Settings that were refused: which row, and why (status 422, HS-2190).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingsRefused {
    /// The problem as a whole.
    #[serde(flatten)]
    pub problem: Problem,
    /// Every problem of every row; at least one is an error.
    pub problems: Vec<SettingsProblem>,
}

/// Settings that somebody else changed meanwhile (status 409, HS-2191): what they changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingsConflict {
    /// The problem as a whole.
    #[serde(flatten)]
    pub problem: Problem,
    /// The revision that is in force now.
    pub revision: SettingsRevision,
    /// What is different from the revision that was expected.
    pub changes: Vec<SettingsChange>,
}
