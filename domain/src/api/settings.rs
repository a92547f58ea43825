//! Settings and owners.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    HubSpotOwnerId,
    app::MemberId,
    settings::{Settings, SettingsProblem, SettingsRevision},
};

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingsAnswer {
    /// Which revision; 0: none was saved, these are the defaults for the portal.
    pub revision: SettingsRevision,
    /// When it was saved.
    pub saved_at: Option<DateTime<Utc>>,
    /// The document.
    pub settings: Settings,
    /// What is wrong with it by now: rows that went bad since it was saved.
    pub problems: Vec<SettingsProblem>,
}

/// Saves settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsPut {
    /// The revision that the change was made from; 0 for the first.
    pub expected_revision: SettingsRevision,
    /// The whole document; an older schema is migrated.
    #[schema(value_type = Settings)]
    pub settings: serde_json::Value,
}

/// Checks settings without saving them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsCheck {
    /// The whole document; an older schema is migrated.
    #[schema(value_type = Settings)]
    pub settings: serde_json::Value,
}

/// The answer to a check (status 200, whatever was found).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingsCheckAnswer {
    /// Whether they could be saved: no problem is an error.
    pub acceptable: bool,
    /// What was found.
    pub problems: Vec<SettingsProblem>,
}

impl SettingsCheckAnswer {
    /// The answer for what was found.
    pub fn new(problems: Vec<SettingsProblem>) -> Self {
        Self {
            acceptable: crate::settings::acceptable(&problems),
            problems,
        }
    }
}

/// How an owner came to a member (E6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnerMapping {
    /// By the same e-mail.
    Email,
    /// By hand.
    Hand,
    /// Nobody stands for the owner: their records go to the fallback owner or the chosen member.
    None,
}

/// An owner of the portal, and who stands for them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnerAnswer {
    /// Which owner.
    pub owner: HubSpotOwnerId,
    /// Their address, as HubSpot has it.
    pub email: Option<String>,
    /// Their name, as HubSpot has it.
    pub name: Option<String>,
    /// Whether they were deactivated in HubSpot.
    pub archived: bool,
    /// How the owner came to a member.
    pub mapping: OwnerMapping,
    /// Who gets the imported records of this owner; null: nobody.
    pub member: Option<MemberId>,
    /// Members whose exports get this owner.
    pub writes_for: Vec<MemberId>,
    /// Whether exports of unmapped members get this owner.
    pub fallback: bool,
}

impl std::fmt::Debug for OwnerAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnerAnswer")
            .field("owner", &self.owner)
            .field("mapping", &self.mapping)
            .field("member", &self.member)
            .finish_non_exhaustive()
    }
}
