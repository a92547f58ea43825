//! Activities in bulk, and how each stands in HubSpot (E8).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    HubSpotObjectId,
    activities::{Activity, ActivityInput},
    app::{ActivityId, PersonId, RecordVersion},
    export::RequestOutcome,
    outcome::ErrorCode,
    settings::ActivityKind,
};

/// Takes in activities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivityUpserts {
    /// The activities; they apply in this order.
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<ActivityInput>,
}

/// An activity and how it stands in HubSpot. What it says is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivityAnswer {
    /// The app's id.
    pub id: ActivityId,
    /// The version that was sent last.
    pub version: RecordVersion,
    /// About whom.
    pub person: PersonId,
    /// Which kind; missing where it was deleted before anybody said what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ActivityKind>,
    /// When it happened; missing where the app deleted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// Whether the app deleted it.
    pub deleted: bool,
    /// How it stands: `exported` names the engagement.
    pub outcome: RequestOutcome,
    /// Why it was left out, failed, or was not written whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// The engagement that HubSpot has of it, whatever became of the newest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engagement: Option<HubSpotObjectId>,
    /// When the state last changed.
    pub changed_at: DateTime<Utc>,
}

impl ActivityAnswer {
    /// How an activity stands.
    pub fn new(
        activity: &Activity,
        outcome: RequestOutcome,
        code: Option<ErrorCode>,
        engagement: Option<HubSpotObjectId>,
        changed_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: activity.id.clone(),
            version: activity.version,
            person: activity.person.clone(),
            kind: activity.kind,
            at: activity.happened.as_ref().map(|h| h.at),
            deleted: activity.happened.is_none(),
            outcome,
            code,
            engagement,
            changed_at,
        }
    }
}
