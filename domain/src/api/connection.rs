//! Connect, status, resync, disconnect.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    AdminId, BudgetBucket, ConnectionPhase, ConnectionState, ConsentId, ErrorCode, IdError,
    PauseReason, PortalId, ReadPart, ResyncOutcome, RunKind, SyncRunId, SyncType, TypeOutcome,
    WorkspaceId, reconcile::ReconcileCost,
};

/// `POST /api/v1/workspaces/{workspace}/hubspot/connect`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectRequest {
    /// Who connects; `state` is bound to this person (C1).
    pub admin: AdminId,
    /// What people call the workspace. The page that asks once more, after HubSpot's consent, shows
    /// it: without it only the workspace's id can be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    pub workspace_name: Option<ShownName>,
    /// What people call the one who connects; shown in the same place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    pub admin_name: Option<ShownName>,
    /// A service key of HubSpot's, to connect without an app. Without it the answer is a URL to
    /// open in a browser. Never logged; readers move it into a secret type at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1000, pattern = "^[!-~]+$")]
    pub access_token: Option<String>,
}

impl std::fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("admin", &self.admin)
            .finish_non_exhaustive()
    }
}

/// A name that people read: 1 to 200 characters, without the white space around it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShownName(String);

impl ShownName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ShownName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShownName(..)")
    }
}

impl TryFrom<String> for ShownName {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        let name = text.trim();
        let good = (1..=200).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if good {
            Ok(Self(name.to_owned()))
        } else {
            Err(IdError::Malformed {
                kind: "name",
                expected: "1 to 200 characters that can be shown",
            })
        }
    }
}

impl From<ShownName> for String {
    fn from(name: ShownName) -> Self {
        name.0
    }
}

/// A consent that came back from HubSpot and waits to be confirmed: by the person who gave it, on
/// the page that asks, or by the main app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsentAnswer {
    /// Which consent.
    pub consent: ConsentId,
    /// The portal that would be connected.
    pub portal: PortalId,
    /// The portal's own domain, where HubSpot names it.
    pub hub_domain: Option<String>,
    /// Who began to connect.
    pub admin: AdminId,
    /// Scopes that were not granted; features that need them stay off (C2).
    pub missing_scopes: Vec<String>,
    /// When the consent came back.
    pub created_at: DateTime<Utc>,
    /// Until when it can be confirmed.
    pub expires_at: DateTime<Utc>,
}

/// How a consent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentOutcome {
    /// The workspace is connected, and the backfill starts.
    Connected,
    /// Nothing was connected; HubSpot gets its access back.
    Refused,
}

/// The answer to a decision about a consent. The same decision again gets the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsentDecided {
    /// Which consent.
    pub consent: ConsentId,
    /// The portal.
    pub portal: PortalId,
    /// How it ended.
    pub outcome: ConsentOutcome,
}

/// The answer to [`ConnectRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum ConnectAnswer {
    /// Open this address in a browser; it leads to HubSpot's consent page. Good for 10 minutes.
    Authorize {
        /// Where to go.
        url: String,
    },
    /// Connected by service key; the backfill starts.
    Connected {
        /// The portal that the key belongs to.
        portal: PortalId,
    },
}

/// How far one object type is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ObjectStatus {
    /// What is read.
    pub object_type: SyncType,
    /// Records committed by the run that read it last.
    pub done: u64,
    /// Records to expect, when known; grows with `done`.
    pub total: Option<u64>,
    /// Records per second since this type began.
    pub rate_per_second: f64,
    /// Seconds until the end at this rate.
    pub eta_seconds: Option<u64>,
    /// Whether this run has nothing left to do for it; `outcome` says how that ended.
    pub finished: bool,
    /// How it stands.
    #[serde(default)]
    pub outcome: TypeOutcome,
    /// What HubSpot refused: with `skipped` and `refused` the type itself, else parts of it. Usually
    /// nothing.
    #[serde(default)]
    pub refusals: Vec<RefusalStatus>,
    /// Records of which HubSpot's answers did not speak, though asked again. They keep what is stored.
    #[serde(default)]
    pub unanswered: u64,
    /// What goes wrong now, and is tried again; usually nothing.
    #[serde(default)]
    pub trouble: Option<TroubleStatus>,
    /// For how many minutes it has not moved though it is under way; none below ten.
    #[serde(default)]
    pub no_progress_minutes: Option<u64>,
    /// That readings find none of the records that are known; usually nothing.
    #[serde(default)]
    pub none_found: Option<NoneFoundStatus>,
    /// How far it is behind HubSpot; none before it was read once.
    #[serde(default)]
    pub freshness: Option<FreshnessStatus>,
    /// Records of this type that wait in quarantine.
    pub quarantined: u64,
    /// Records in the mirror; of large mirrors as counted within the last minute.
    pub stored: u64,
}

/// How far a type is behind HubSpot (X10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FreshnessStatus {
    /// What was modified in HubSpot before this moment, by HubSpot's clock, is here: when the newest
    /// reading that came to its end had begun.
    pub as_of: DateTime<Utc>,
    /// How long ago that was.
    pub age_seconds: u64,
    /// How often it is read; none while the import is off (I4).
    pub every_seconds: Option<u64>,
    /// The code of the alarm when it is older than three times that; usually none.
    pub alarm: Option<ErrorCode>,
    /// How the newest reading of the periodic sync stands.
    pub last: TypeOutcome,
    /// What HubSpot refused of that reading; usually nothing.
    pub refusals: Vec<RefusalStatus>,
    /// Records of which its answers did not speak. They are asked for again by each run.
    pub unanswered: u64,
}

/// Readings find none of the records of a type that are known. Nothing is removed because of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoneFoundStatus {
    /// The code of the alarm, see the errors page.
    pub code: ErrorCode,
    /// How many are known that should have been found.
    pub known: u64,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// A read that HubSpot refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalStatus {
    /// Which of the reads that the type consists of.
    pub part: ReadPart,
    /// Why, see the errors page.
    pub code: ErrorCode,
    /// The scopes that are missing, any one of which would do; empty where it was no scope.
    pub scopes: Vec<String>,
    /// The property or parameter that HubSpot named.
    pub field: Option<String>,
}

/// What goes wrong now, and is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TroubleStatus {
    /// Why, see the errors page.
    pub code: ErrorCode,
    /// Since when it is this.
    pub since: DateTime<Utc>,
    /// When it was met last.
    pub last_at: DateTime<Utc>,
    /// How often, since then.
    pub times: u64,
}

/// The newest run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunStatus {
    /// Which run.
    pub run: SyncRunId,
    /// Why it exists.
    pub kind: RunKind,
    /// `queued`, `running`, `paused`, `finished`, `finished_with_refusals` (some of it was refused,
    /// skipped or not answered: see the types) or `cancelled`.
    pub state: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// That no request of one kind goes to HubSpot for a while (X3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PauseStatus {
    /// Which of HubSpot's limits.
    pub bucket: BudgetBucket,
    /// Why.
    pub reason: PauseReason,
    /// Until when; requests go on by themselves then.
    pub until: DateTime<Utc>,
}

/// `GET /api/v1/workspaces/{workspace}/hubspot/status`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusAnswer {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// The portal, once connected.
    pub portal: Option<PortalId>,
    /// What the store knows; none for a workspace that never connected.
    pub state: Option<ConnectionState>,
    /// What is going on.
    pub phase: ConnectionPhase,
    /// Scopes that were not granted; features that need them are off (C2).
    pub missing_scopes: Vec<String>,
    /// What stands still because HubSpot's limits were reached; usually nothing.
    #[serde(default)]
    pub pauses: Vec<PauseStatus>,
    /// For how many minutes nothing of the run has moved though it is under way; none below ten.
    #[serde(default)]
    pub no_progress_minutes: Option<u64>,
    /// Whether records and lists are imported (I4).
    #[serde(default = "yes")]
    pub import_enabled: bool,
    /// What it costs to compare every record with HubSpot now and then; none before it connected.
    #[serde(default)]
    pub reconcile: Option<ReconcileCost>,
    /// The newest run.
    pub run: Option<RunStatus>,
    /// How far each object type is.
    pub objects: Vec<ObjectStatus>,
}

const fn yes() -> bool {
    true
}

/// The answer to a resync (`POST …/hubspot/resync`, whose body is a `ResyncRequest`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResyncAnswer {
    /// What came of it.
    pub outcome: ResyncOutcome,
    /// The run that was made, if one was.
    pub run: Option<SyncRunId>,
    /// What that run reads; the rest is read by a run that has yet to begin it.
    #[serde(default)]
    pub types: Vec<SyncType>,
    /// The same in a sentence.
    pub message: String,
}

/// The answer to a disconnect (`POST …/hubspot/disconnect`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DisconnectAnswer {
    /// The state from now on.
    pub state: ConnectionState,
    /// The same in a sentence.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_can_be_shown() {
        let long = "ü".repeat(200);
        for (text, want) in [
            (" Brightwater Sales ", Some("Brightwater Sales")),
            (long.as_str(), Some(long.as_str())),
            (&"x".repeat(201), None),
            (" ", None),
            ("a\nb", None),
            ("a\0b", None),
        ] {
            let name = ShownName::try_from(text.to_owned()).ok();
            assert_eq!(name.as_ref().map(ShownName::as_str), want, "{text:?}");
        }
    }
}
