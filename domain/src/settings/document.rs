//! The document itself.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ActivityContext, ActivityRow, ActivitySettings, DncRules, ExportSettings, FixedValue,
    FollowedList, ImportSettings, MappingRow, OwnerSettings, RetentionSettings, StatusMapping,
};
use crate::ObjectType;

/// The schema that this version writes.
pub const SCHEMA_VERSION: u32 = 2;

/// How a workspace and its portal meet. Unknown fields are refused, so that a misspelt one is
/// noticed; missing ones have their defaults, except `schema_version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The schema of this document. Documents of an older one have other fields, and are migrated
    /// when they are read.
    #[schema(minimum = 2, maximum = 2)]
    pub schema_version: u32,
    /// Reading from HubSpot (I2, I4).
    #[serde(default)]
    pub import: ImportSettings,
    /// Who is exported (E1).
    #[serde(default)]
    pub export: ExportSettings,
    /// What is stamped on exported contacts (E5).
    #[serde(default)]
    pub contact_source: Option<FixedValue>,
    /// What else is stamped on exported contacts (E5).
    #[serde(default)]
    #[schema(max_items = 100)]
    pub contact_values: Vec<FixedValue>,
    /// What is stamped on exported companies (E5).
    #[serde(default)]
    #[schema(max_items = 100)]
    pub company_values: Vec<FixedValue>,
    /// The tab Contacts of the property mapping (E4).
    #[serde(default)]
    #[schema(max_items = 500)]
    pub contacts: Vec<MappingRow>,
    /// The tab Companies of the property mapping (E4).
    #[serde(default)]
    #[schema(max_items = 500)]
    pub companies: Vec<MappingRow>,
    /// The tab Activity of the property mapping (E4).
    #[serde(default)]
    #[schema(max_items = 500)]
    pub activity_properties: Vec<ActivityRow>,
    /// Owners and team members (E6).
    #[serde(default)]
    pub owners: OwnerSettings,
    /// Which property receives the lead status (E7); none: statuses are not written.
    #[serde(default)]
    pub status: Option<StatusMapping>,
    /// Which activities are logged, and how (E8).
    #[serde(default)]
    pub activities: ActivitySettings,
    /// Followed lists (I6).
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub lists: Vec<FollowedList>,
    /// When a person must not be contacted (I8).
    #[serde(default)]
    pub dnc: DncRules,
    /// What comes in of past touches (I10).
    #[serde(default)]
    pub activity_context: ActivityContext,
    /// How long journal and quarantine are kept (C7).
    #[serde(default)]
    pub retention: RetentionSettings,
}

impl Settings {
    /// The properties of a type that the settings speak of, for import and export: they are read with
    /// each record, beside those that are always needed (design §4.13).
    pub fn mapped_properties(&self, object_type: ObjectType) -> BTreeSet<&str> {
        let (rows, values) = match object_type {
            ObjectType::Contact => (&self.contacts, &self.contact_values),
            ObjectType::Company => (&self.companies, &self.company_values),
            _ => return BTreeSet::new(),
        };
        let mut names: BTreeSet<&str> = rows.iter().map(|r| r.property.as_str()).collect();
        names.extend(values.iter().map(|v| v.property.as_str()));
        if object_type == ObjectType::Contact {
            names.extend(self.contact_source.as_ref().map(|s| s.property.as_str()));
            names.extend(self.status.as_ref().map(|s| s.property.as_str()));
        }
        names
    }

    /// A document with every default and no rows.
    pub fn empty() -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            import: ImportSettings::default(),
            export: ExportSettings::default(),
            contact_source: None,
            contact_values: Vec::new(),
            company_values: Vec::new(),
            contacts: Vec::new(),
            companies: Vec::new(),
            activity_properties: Vec::new(),
            owners: OwnerSettings::default(),
            status: None,
            activities: ActivitySettings::default(),
            lists: Vec::new(),
            dnc: DncRules::default(),
            activity_context: ActivityContext::default(),
            retention: RetentionSettings::default(),
        }
    }
}

/// Counts the saved versions of a workspace's settings: 0 before the first was saved.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(transparent)]
#[schema(value_type = i64, minimum = 0)]
pub struct SettingsRevision(u64);

impl SettingsRevision {
    /// Before anything was saved: the defaults are in force.
    pub const NONE: Self = Self(0);

    /// Wraps the number that the store keeps.
    pub const fn new(revision: u64) -> Self {
        Self(revision)
    }

    pub const fn get(&self) -> u64 {
        self.0
    }

    /// The revision after this one.
    #[must_use]
    pub const fn next(&self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for SettingsRevision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_that_is_spoken_of_is_read() {
        let sample = include_str!("../../samples/settings/v2.json");
        let settings = super::super::read(serde_json::from_str(sample).unwrap()).unwrap();
        let names = |t| {
            settings
                .mapped_properties(t)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(ObjectType::Contact),
            [
                "email",
                "hs_analytics_source_data_1",
                "hs_lead_status",
                "industry",
                "jobtitle",
                "lead_source"
            ]
        );
        assert_eq!(names(ObjectType::Company), ["domain", "type"]);
        assert!(names(ObjectType::Deal).is_empty());
    }
}
