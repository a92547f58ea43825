//! Properties of our own: one click makes them in a portal, in a group of their own, and maps them (E5).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::FieldKey,
    export::convert,
    portal::{PropertyDefinition, PropertyType},
    settings::{ExportBehavior, ImportPriority, MappingRow, Settings},
};

/// The name of the group.
pub const GROUP: &str = "artisan";

/// What people read of it.
pub const GROUP_LABEL: &str = "Artisan";

/// A property of ours on contacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnProperty {
    /// Its name.
    pub name: &'static str,
    /// What people read.
    pub label: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// What it holds.
    pub property_type: PropertyType,
    /// HubSpot's `fieldType`.
    pub field_type: &'static str,
    /// The options of an enumeration: what is written, and what people read.
    pub options: &'static [(&'static str, &'static str)],
    /// The app's field that is mapped to it.
    pub field: &'static str,
}

/// All of them.
pub const OWN_PROPERTIES: &[OwnProperty] = &[
    OwnProperty {
        name: "artisan_last_campaign",
        label: "Last campaign",
        description: "The campaign that last contacted this person.",
        property_type: PropertyType::String,
        field_type: "text",
        options: &[],
        field: "campaign",
    },
    OwnProperty {
        name: "artisan_last_contacted",
        label: "Last contacted by a campaign",
        description: "When a campaign last contacted this person.",
        property_type: PropertyType::Datetime,
        field_type: "date",
        options: &[],
        field: "last_contacted_at",
    },
    OwnProperty {
        name: "artisan_last_reply",
        label: "Last reply to a campaign",
        description: "When this person last replied to a campaign.",
        property_type: PropertyType::Datetime,
        field_type: "date",
        options: &[],
        field: "last_replied_at",
    },
    OwnProperty {
        name: "artisan_sentiment",
        label: "Sentiment of the last reply",
        description: "How this person's last reply to a campaign reads.",
        property_type: PropertyType::Enumeration,
        field_type: "select",
        options: &[
            ("positive", "Positive"),
            ("neutral", "Neutral"),
            ("negative", "Negative"),
        ],
        field: "sentiment",
    },
];

/// What came of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnOutcome {
    /// It was made.
    Made,
    /// It was there already.
    There,
    /// Somebody has a property of this name that holds something else, or that cannot be set.
    Taken,
    /// HubSpot did not make it.
    Refused,
}

impl OwnOutcome {
    /// Whether the property is there to be mapped.
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Made | Self::There)
    }
}

impl OwnProperty {
    /// Whether what a portal has under the name is the property.
    pub fn is(&self, there: &PropertyDefinition) -> bool {
        there.property_type == self.property_type && convert::writable(there).is_ok()
    }

    /// The row that maps it: what it says is the app's alone, and the newest holds.
    pub fn row(&self) -> MappingRow {
        MappingRow {
            app_field: FieldKey::of_catalogue(self.field),
            property: self.name.to_owned(),
            import_priority: ImportPriority::Artisan,
            export: ExportBehavior::Overwrite,
            options: Default::default(),
        }
    }

    /// Whether settings map it.
    pub fn is_mapped(&self, settings: &Settings) -> bool {
        let mut rows = settings.contacts.iter();
        rows.any(|row| row.property == self.name && row.app_field.as_str() == self.field)
    }
}

/// The settings with a row for each of these that has none. A field that is mapped elsewhere, and a
/// property that another rule writes, stay as they are. None where nothing changes.
pub fn with_rows(settings: &Settings, ready: &[&OwnProperty]) -> Option<Settings> {
    let mut more = settings.clone();
    for own in ready {
        let stamps = more.contact_source.iter().chain(&more.contact_values);
        let written = stamps
            .map(|stamp| stamp.property.as_str())
            .chain(more.status.iter().map(|status| status.property.as_str()))
            .any(|property| property == own.name);
        let mapped = more
            .contacts
            .iter()
            .any(|row| row.property == own.name || row.app_field.as_str() == own.field);
        if !written && !mapped {
            more.contacts.push(own.row());
        }
    }
    (more != *settings).then_some(more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::PERSON_FIELDS;

    #[test]
    fn each_has_a_field_whose_values_become_its_own() {
        for own in OWN_PROPERTIES {
            let field = PERSON_FIELDS.iter().find(|f| f.key == own.field).unwrap();
            assert_eq!(field.default_property, Some(own.name));
            assert!(convert::fits(field.field_type, &definition(own)));
            assert!(own.is(&definition(own)));
        }
    }

    fn definition(own: &OwnProperty) -> PropertyDefinition {
        let options: Vec<_> = own
            .options
            .iter()
            .map(|(value, label)| serde_json::json!({"value": value, "label": label}))
            .collect();
        let json = serde_json::json!({"name": own.name, "label": own.label,
            "type": own.property_type.as_str(), "fieldType": own.field_type, "options": options});
        PropertyDefinition::from_hubspot(&json.to_string()).unwrap()
    }

    #[test]
    fn a_property_of_another_kind_is_not_ours() {
        let own = &OWN_PROPERTIES[1];
        let mut there = definition(own);
        there.property_type = PropertyType::String;
        assert!(!own.is(&there));
        let mut there = definition(own);
        there.read_only = true;
        assert!(!own.is(&there));
    }

    #[test]
    fn rows_are_added_where_nothing_else_maps_them() {
        let all: Vec<&OwnProperty> = OWN_PROPERTIES.iter().collect();
        let mut settings = Settings::empty();
        settings.contacts.push(MappingRow {
            property: "their_campaign".to_owned(),
            ..OWN_PROPERTIES[0].row()
        });
        settings.contacts.push(MappingRow {
            app_field: FieldKey::of_catalogue("headline"),
            ..OWN_PROPERTIES[3].row()
        });
        let more = with_rows(&settings, &all).unwrap();
        assert_eq!(more.contacts.len(), 4);
        let mapped: Vec<bool> = all.iter().map(|own| own.is_mapped(&more)).collect();
        assert_eq!(mapped, [false, true, true, false]);
        assert_eq!(with_rows(&more, &all), None);
        assert_eq!(with_rows(&settings, &[]), None);
    }
}
