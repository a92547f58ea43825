//! Definitions as comparisons need them: of a property that is not known, values are compared as texts.

use super::compare;
use crate::portal::{Properties, PropertyDefinition, PropertyType};

/// The definitions of one type of record.
#[derive(Debug, Clone, Copy)]
pub struct Definitions<'a>(pub &'a Properties);

impl Definitions<'_> {
    /// Whether two values of a property are the same to HubSpot.
    pub fn same(&self, property: &str, stored: &str, wanted: &str) -> bool {
        match self.0.get(property) {
            Some(definition) => compare::same(stored, wanted, definition),
            None => compare::same(stored, wanted, &as_text(property)),
        }
    }
}

/// A text property of this name, for what is in every portal.
pub(super) fn as_text(name: &str) -> PropertyDefinition {
    PropertyDefinition {
        name: name.to_owned(),
        label: name.to_owned(),
        property_type: PropertyType::String,
        field_type: "text".to_owned(),
        options: Vec::new(),
        external_options: false,
        referenced_object_type: None,
        read_only: false,
        calculated: false,
        archived: false,
    }
}
