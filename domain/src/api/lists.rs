//! HubSpot's lists, and who is on them (I6).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{HubSpotObjectId, app::PersonId, portal::ListId, settings::ListUse};

/// What a list is a list of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListOf {
    /// Contacts.
    Contacts,
    /// Companies: their contacts count.
    Companies,
    /// Something that is not read.
    Other,
}

/// A list of the portal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAnswer {
    /// Which one.
    pub list: ListId,
    /// Its name.
    pub name: String,
    /// What it is a list of.
    pub of: ListOf,
    /// `MANUAL`, `DYNAMIC` or `SNAPSHOT`.
    pub processing_type: String,
    /// Whether HubSpot was computing it when it was last seen: who is missing then proves nothing.
    pub processing: bool,
    /// Members, as HubSpot counts them.
    pub size: Option<u64>,
    /// What it is used for; null where it is not followed, and its members are not read.
    #[serde(rename = "use")]
    pub list_use: Option<ListUse>,
    /// When a whole reading of its members last began.
    pub members_read_at: Option<DateTime<Utc>>,
    /// Since when HubSpot has it no more; whoever was on it stays on it here.
    pub gone_at: Option<DateTime<Utc>>,
}

/// A member of a list, with whoever counts by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListMemberAnswer {
    /// The contact or company that is on the list.
    pub member: HubSpotObjectId,
    /// The contacts that count: itself, or those of the company.
    pub contacts: Vec<HubSpotObjectId>,
    /// The app's people who have an address of one of these.
    pub people: Vec<PersonId>,
}
