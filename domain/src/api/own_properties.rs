//! Properties of our own in a portal (E5).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ErrorCode, app::FieldKey, own_properties::OwnOutcome, settings::SettingsRevision};

/// One of our properties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnPropertyAnswer {
    /// Its name in HubSpot.
    pub property: String,
    /// The app's field that it is for.
    pub app_field: FieldKey,
    /// What came of it.
    pub outcome: OwnOutcome,
    /// Where it is not to be had: the paragraph about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// Whether the settings in force map the field to it.
    pub mapped: bool,
}

/// The group of our properties, and what came of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnPropertiesAnswer {
    /// The group's name in HubSpot.
    pub group: String,
    /// The properties.
    pub properties: Vec<OwnPropertyAnswer>,
    /// The revision of the settings in force; rows that were added are in it.
    pub revision: SettingsRevision,
}
