//! Reading documents of any schema: each step is a pure function from one schema to the next.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    ActivityKind, ActivitySetting, ActivitySettings, ContactSource, ExportBehavior, ExportPolicy,
    ExportSettings, FollowedList, ImportPriority, ImportSettings, ListUse, MappingRow, OwnerRow,
    OwnerSettings, SCHEMA_VERSION, Settings, SettingsPath, StampBehavior, StatusMapping, StatusRow,
};
use crate::{
    HubSpotOwnerId,
    app::{FieldKey, LeadStatus, MemberId},
    portal::ListId,
};

/// Why a document cannot be read (HS-2192).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A field is unknown, missing, or of another type than expected.
    #[error("settings of schema {schema} at \"{path}\": {message}{hint}")]
    Field {
        /// The schema that the document says it has.
        schema: u32,
        /// Where.
        path: SettingsPath,
        /// What is wrong.
        message: String,
        /// What may be meant.
        hint: &'static str,
    },
    /// The document was written by a newer program.
    #[error(
        "settings of schema {schema} are newer than this program, which knows schemas up to {SCHEMA_VERSION}; upgrade it"
    )]
    Newer {
        /// The schema that the document says it has.
        schema: u64,
    },
    /// `schema_version` is no whole number.
    #[error("`schema_version` is a whole number; the newest is {SCHEMA_VERSION}")]
    SchemaVersion,
    /// Not an object at all.
    #[error("settings are a JSON object")]
    NoObject,
}

/// Reads a document of any known schema. One without `schema_version` is of schema 0.
///
/// # Errors
/// [`ReadError`] names the place.
pub fn read(document: Value) -> Result<Settings, ReadError> {
    let Value::Object(fields) = &document else {
        return Err(ReadError::NoObject);
    };
    let schema = match fields.get("schema_version") {
        None => 0,
        Some(version) => version.as_u64().ok_or(ReadError::SchemaVersion)?,
    };
    match schema {
        0 => {
            let hint = if fields.contains_key("schema_version") {
                ""
            } else {
                "; a document without schema_version is read as schema 0, and the newest is schema_version 2"
            };
            typed::<V0>(0, document, hint)
                .map(V0::migrate)
                .map(V1::migrate)
        }
        1 => typed::<V1>(1, document, "").map(V1::migrate),
        2 => typed(2, document, ""),
        _ => Err(ReadError::Newer { schema }),
    }
}

fn typed<T: DeserializeOwned>(
    schema: u32,
    document: Value,
    hint: &'static str,
) -> Result<T, ReadError> {
    serde_path_to_error::deserialize(document).map_err(|e| {
        use serde_path_to_error::Segment;
        let path = e
            .path()
            .iter()
            .fold(SettingsPath::new(""), |path, segment| match segment {
                Segment::Seq { index } => path.at(index),
                Segment::Map { key } => path.at(key),
                Segment::Enum { variant } => path.at(variant),
                Segment::Unknown => path,
            });
        ReadError::Field {
            schema,
            path,
            message: e.into_inner().to_string(),
            hint,
        }
    })
}

/// Schema 0: one flat object, contacts only, one direction for each row.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct V0 {
    #[serde(default, rename = "schema_version")]
    _schema_version: u32,
    #[serde(default = "yes")]
    import_enabled: bool,
    #[serde(default)]
    sync_interval_minutes: Option<u32>,
    #[serde(default)]
    export_policy: V0Policy,
    #[serde(default)]
    contact_mapping: Vec<V0Row>,
    #[serde(default)]
    owner_map: BTreeMap<String, MemberId>,
    #[serde(default)]
    default_owner: Option<HubSpotOwnerId>,
    #[serde(default)]
    status_property: Option<String>,
    #[serde(default)]
    status_map: BTreeMap<LeadStatus, String>,
    #[serde(default = "yes")]
    log_activities: bool,
    #[serde(default)]
    activity_label: Option<String>,
    #[serde(default)]
    suppression_lists: Vec<ListId>,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum V0Policy {
    All,
    #[default]
    Replied,
    Positive,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct V0Row {
    field: FieldKey,
    property: String,
    #[serde(default)]
    direction: V0Direction,
    #[serde(default)]
    overwrite: bool,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum V0Direction {
    #[default]
    Both,
    Import,
    Export,
}

impl V0 {
    /// 0 → 1. What was exported only had the app's value on the profile, the rest HubSpot's.
    fn migrate(self) -> V1 {
        let row = |row: V0Row| MappingRow {
            app_field: row.field,
            property: row.property,
            import_priority: match row.direction {
                V0Direction::Export => ImportPriority::Artisan,
                V0Direction::Both | V0Direction::Import => ImportPriority::Crm,
            },
            export: match (row.direction, row.overwrite) {
                (V0Direction::Import, _) => ExportBehavior::DoNotExport,
                (_, true) => ExportBehavior::Overwrite,
                (_, false) => ExportBehavior::FillIfEmpty,
            },
        };
        V1 {
            _schema_version: 1,
            import: ImportSettings {
                enabled: self.import_enabled,
                interval_minutes: self
                    .sync_interval_minutes
                    .unwrap_or(ImportSettings::default().interval_minutes),
            },
            export_policy: match self.export_policy {
                V0Policy::All => ExportPolicy::AllContacted,
                V0Policy::Replied => ExportPolicy::Replied,
                V0Policy::Positive => ExportPolicy::RepliedPositively,
            },
            contact_source: None,
            mapping: V1Mapping {
                contacts: self.contact_mapping.into_iter().map(row).collect(),
                companies: Vec::new(),
            },
            owners: V1Owners {
                // Schema 0 knew owners by hand only.
                automatic: false,
                rows: self
                    .owner_map
                    .into_iter()
                    .filter_map(|(owner, member)| {
                        // A key that is no id never matched an owner.
                        owner.parse().ok().map(|owner| OwnerRow {
                            owner,
                            member: Some(member),
                        })
                    })
                    .collect(),
                fallback_owner: self.default_owner,
            },
            status: self.status_property.map(|property| V1Status {
                property,
                values: self.status_map,
            }),
            activities: V1Activities {
                label: self
                    .activity_label
                    .unwrap_or_else(|| ActivitySettings::default().label),
                off: if self.log_activities {
                    Vec::new()
                } else {
                    ActivityKind::ALL.to_vec()
                },
            },
            lists: self
                .suppression_lists
                .into_iter()
                .map(|list| FollowedList {
                    list,
                    list_use: ListUse::Suppression,
                })
                .collect(),
        }
    }
}

/// Schema 1: grouped, with companies; no rows for activities, no DNC rules, no retention.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct V1 {
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    #[serde(default)]
    import: ImportSettings,
    #[serde(default)]
    export_policy: ExportPolicy,
    #[serde(default)]
    contact_source: Option<V1Source>,
    #[serde(default)]
    mapping: V1Mapping,
    #[serde(default)]
    owners: V1Owners,
    #[serde(default)]
    status: Option<V1Status>,
    #[serde(default)]
    activities: V1Activities,
    #[serde(default)]
    lists: Vec<FollowedList>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct V1Source {
    property: String,
    value: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct V1Mapping {
    #[serde(default)]
    contacts: Vec<MappingRow>,
    #[serde(default)]
    companies: Vec<MappingRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct V1Owners {
    #[serde(default = "yes")]
    automatic: bool,
    #[serde(default)]
    rows: Vec<OwnerRow>,
    #[serde(default)]
    fallback_owner: Option<HubSpotOwnerId>,
}

impl Default for V1Owners {
    fn default() -> Self {
        Self {
            automatic: true,
            rows: Vec::new(),
            fallback_owner: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct V1Status {
    property: String,
    #[serde(default)]
    values: BTreeMap<LeadStatus, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct V1Activities {
    #[serde(default = "label")]
    label: String,
    #[serde(default)]
    off: Vec<ActivityKind>,
}

fn label() -> String {
    ActivitySettings::default().label
}

impl Default for V1Activities {
    fn default() -> Self {
        Self {
            label: label(),
            off: Vec::new(),
        }
    }
}

impl V1 {
    /// 1 → 2. What schema 1 did not know has its default.
    fn migrate(self) -> Settings {
        Settings {
            import: self.import,
            export: ExportSettings {
                policy: self.export_policy,
            },
            contact_source: self.contact_source.map(|source| ContactSource {
                property: source.property,
                value: source.value,
                behavior: StampBehavior::FillIfEmpty,
            }),
            contacts: self.mapping.contacts,
            companies: self.mapping.companies,
            activity_properties: super::activity::default_rows(&BTreeMap::new()),
            owners: OwnerSettings {
                automatic: self.owners.automatic,
                rows: self.owners.rows,
                fallback_owner: self.owners.fallback_owner,
                ..OwnerSettings::default()
            },
            status: self.status.map(|status| StatusMapping {
                property: status.property,
                rows: status
                    .values
                    .into_iter()
                    .map(|(status, value)| StatusRow { status, value })
                    .collect(),
                allow_backward: false,
            }),
            activities: ActivitySettings {
                label: self.activities.label,
                kinds: self
                    .activities
                    .off
                    .into_iter()
                    .map(|kind| {
                        (
                            kind,
                            ActivitySetting {
                                log: false,
                                label: None,
                            },
                        )
                    })
                    .collect(),
                associate_open_deals: false,
            },
            lists: self.lists,
            ..Settings::empty()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    const V0_JSON: &str = include_str!("../../samples/settings/v0.json");
    const V1_JSON: &str = include_str!("../../samples/settings/v1.json");
    const V2_JSON: &str = include_str!("../../samples/settings/v2.json");

    #[test]
    fn the_older_samples_become_what_is_written_beside_them() {
        for (older, newer) in [
            (
                V0_JSON,
                include_str!("../../samples/settings/v0-as-v2.json"),
            ),
            (
                V1_JSON,
                include_str!("../../samples/settings/v1-as-v2.json"),
            ),
        ] {
            let migrated = read(sample(older)).unwrap();
            assert_eq!(serde_json::to_value(&migrated).unwrap(), sample(newer));
            assert_eq!(read(sample(newer)).unwrap(), migrated);
        }
    }

    #[test]
    fn the_current_sample_names_every_field_and_reads_back_the_same() {
        let settings = read(sample(V2_JSON)).unwrap();
        assert_eq!(serde_json::to_value(&settings).unwrap(), sample(V2_JSON));
        let keys = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        let empty = serde_json::to_value(Settings::empty()).unwrap();
        assert_eq!(keys(&sample(V2_JSON)), keys(&empty));
    }

    #[test]
    fn the_smallest_document_of_each_schema_has_the_defaults() {
        assert_eq!(
            read(sample(r#"{"schema_version":2}"#)).unwrap(),
            Settings::empty()
        );
        let activity_properties = super::super::activity::default_rows(&BTreeMap::new());
        let one = read(sample(r#"{"schema_version":1}"#)).unwrap();
        assert_eq!(
            one,
            Settings {
                activity_properties: activity_properties.clone(),
                ..Settings::empty()
            }
        );
        let zero = read(sample("{}")).unwrap();
        let owners = OwnerSettings {
            automatic: false,
            ..OwnerSettings::default()
        };
        assert_eq!(
            zero,
            Settings {
                activity_properties,
                owners,
                ..Settings::empty()
            }
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (document, place, text) in [
            (
                r#"{"schema_version":2,"typo":1}"#,
                "/typo",
                "unknown field `typo`",
            ),
            (
                r#"{"schema_version":2,"contacts":[{"app_field":"city","property":"city"},{"app_field":"City","property":"city"}]}"#,
                "/contacts/1/app_field",
                "field key",
            ),
            (
                r#"{"schema_version":2,"import":{"interval_minutes":-1}}"#,
                "/import/interval_minutes",
                "u32",
            ),
            (
                r#"{"schema_version":2,"status":{"property":"x","rows":[{"status":"nope","value":"y"}]}}"#,
                "/status/rows/0/status",
                "unknown variant",
            ),
            (
                r#"{"schema_version":2,"owners":{"unmapped":{"to":"member","member":"a@b"}}}"#,
                "/owners/unmapped",
                "member id",
            ),
            (r#"{"contacts":[]}"#, "/contacts", "read as schema 0"),
            (r#"{"schema_version":3}"#, "", "newer than this program"),
            (r#"{"schema_version":"2"}"#, "", "whole number"),
            (r#"{"schema_version":-1}"#, "", "whole number"),
            ("[]", "", "JSON object"),
            ("null", "", "JSON object"),
        ] {
            let error = read(sample(document)).unwrap_err().to_string();
            assert!(
                error.contains(place) && error.contains(text),
                "{document}: {error}"
            );
        }
    }
}
