//! Recent engagements of other reps (I10).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{HubSpotObjectId, HubSpotOwnerId, ObjectType, app::MemberId};

/// An engagement of somebody else's with a person. With its text only where the workspace reads them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TouchAnswer {
    /// Which engagement; unique within its kind.
    pub engagement: HubSpotObjectId,
    /// Which kind.
    pub kind: ObjectType,
    /// When it took place, or is to: of a task when it is due.
    pub at: DateTime<Utc>,
    /// Its owner; null where HubSpot names none.
    pub owner: Option<HubSpotOwnerId>,
    /// The team member who stands for the owner, or whom the owner's records are routed to.
    pub member: Option<MemberId>,
    /// Its title or subject; null where it has none, or HubSpot does not tell it.
    pub title: Option<String>,
    /// The words of its text; null where the workspace does not read them, where HubSpot does not tell it,
    /// and where there is none.
    #[serde(default)]
    pub body: Option<String>,
    /// Whether HubSpot keeps back what the e-mail says, as the app may not read it (`sales-email-read`): what
    /// is null then is not empty.
    #[serde(default)]
    pub redacted: bool,
    /// The person's contacts that it is with.
    pub contacts: Vec<HubSpotObjectId>,
}

impl std::fmt::Debug for TouchAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TouchAnswer")
            .field("kind", &self.kind)
            .field("engagement", &self.engagement)
            .finish_non_exhaustive()
    }
}
