//! The settings of a fresh connection.

use std::collections::BTreeMap;

use super::{ExportBehavior, ImportPriority, MappingRow, Settings, activity};
use crate::{
    app::{COMPANY_FIELDS, CatalogueField, FieldKey, PERSON_FIELDS},
    export::convert,
    own_properties::OWN_PROPERTIES,
    portal::{PortalFacts, Properties},
};

impl Settings {
    /// Sane settings for a portal that was just connected.
    ///
    /// Rows are chosen only for properties that exist and whose type fits; where a property cannot
    /// be written the row is for import alone. The contact source and the status mapping stay off:
    /// which property of the customer's they may write is the customer's to say. Why the policy
    /// begins with people who replied is in `docs/decisions/0014-settings.md`.
    pub fn defaults(facts: &PortalFacts) -> Self {
        Self {
            contacts: rows(PERSON_FIELDS, facts.contact_properties.as_ref()),
            companies: rows(COMPANY_FIELDS, facts.company_properties.as_ref()),
            activity_properties: activity::default_rows(),
            ..Self::empty()
        }
    }
}

fn rows(fields: &[CatalogueField], properties: Option<&Properties>) -> Vec<MappingRow> {
    let Some(properties) = properties else {
        return Vec::new();
    };
    fields
        .iter()
        .filter_map(|field| {
            let definition = properties.get(field.default_property?)?;
            if definition.archived || !convert::fits(field.field_type, definition) {
                return None;
            }
            if let Some(own) = OWN_PROPERTIES
                .iter()
                .find(|own| own.name == definition.name)
            {
                return own.is(definition).then(|| own.row());
            }
            Some(MappingRow {
                app_field: FieldKey::of_catalogue(field.key),
                property: definition.name.clone(),
                import_priority: ImportPriority::Crm,
                export: if definition.writable() {
                    ExportBehavior::FillIfEmpty
                } else {
                    ExportBehavior::DoNotExport
                },
                options: BTreeMap::new(),
            })
        })
        .collect()
}
