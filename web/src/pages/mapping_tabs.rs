//! The tabs of the mapping: whose rows they are, and the fields that these can be about.

use domain::{
    app::{COMPANY_FIELDS, CatalogueField, FieldKey, FieldType, PERSON_FIELDS, RecordKind},
    portal::Properties,
    settings::{FixedValue, MappingRow, Settings},
};
use maud::{Markup, html};

use crate::pages::{properties::Of, routes, settings_form::Known};

/// A tab: whose rows they are.
pub(super) trait Tab: Send + Sync + 'static {
    const PATH: &'static str;
    const LIST: &'static str;
    const RECORD: RecordKind;
    const OF: Of;
    const FIELDS: &'static [CatalogueField];
    fn rows(settings: &Settings) -> &Vec<MappingRow>;
    fn rows_mut(settings: &mut Settings) -> &mut Vec<MappingRow>;
    fn properties(known: &Known) -> Option<&Properties>;
    /// What people call its records.
    const NOUN: &'static str;
    /// Where fixed values stand in the settings.
    const FIXED: &'static str;
    fn fixed(settings: &Settings) -> &Vec<FixedValue>;
    fn fixed_mut(settings: &mut Settings) -> &mut Vec<FixedValue>;
}

pub(super) struct Contacts;

impl Tab for Contacts {
    const PATH: &'static str = routes::MAPPING_CONTACTS;
    const LIST: &'static str = "/contacts";
    const RECORD: RecordKind = RecordKind::Person;
    const OF: Of = Of::Contacts;
    const FIELDS: &'static [CatalogueField] = PERSON_FIELDS;

    fn rows(settings: &Settings) -> &Vec<MappingRow> {
        &settings.contacts
    }

    fn rows_mut(settings: &mut Settings) -> &mut Vec<MappingRow> {
        &mut settings.contacts
    }

    fn properties(known: &Known) -> Option<&Properties> {
        known.facts.contact_properties.as_ref()
    }

    const NOUN: &'static str = "contacts";

    const FIXED: &'static str = "/contact_values";

    fn fixed(settings: &Settings) -> &Vec<FixedValue> {
        &settings.contact_values
    }

    fn fixed_mut(settings: &mut Settings) -> &mut Vec<FixedValue> {
        &mut settings.contact_values
    }
}

pub(super) struct Companies;

impl Tab for Companies {
    const PATH: &'static str = routes::MAPPING_COMPANIES;
    const LIST: &'static str = "/companies";
    const RECORD: RecordKind = RecordKind::Company;
    const OF: Of = Of::Companies;
    const FIELDS: &'static [CatalogueField] = COMPANY_FIELDS;

    fn rows(settings: &Settings) -> &Vec<MappingRow> {
        &settings.companies
    }

    fn rows_mut(settings: &mut Settings) -> &mut Vec<MappingRow> {
        &mut settings.companies
    }

    fn properties(known: &Known) -> Option<&Properties> {
        known.facts.company_properties.as_ref()
    }

    const NOUN: &'static str = "companies";

    const FIXED: &'static str = "/company_values";

    fn fixed(settings: &Settings) -> &Vec<FixedValue> {
        &settings.company_values
    }

    fn fixed_mut(settings: &mut Settings) -> &mut Vec<FixedValue> {
        &mut settings.company_values
    }
}

/// A field of the app.
pub(super) struct Field {
    pub(super) key: FieldKey,
    pub(super) label: String,
    /// None of one that neither the catalogue nor the workspace has (any more).
    pub(super) field_type: Option<FieldType>,
}

/// The tabs of the mapping, with the one that is open.
pub(crate) fn tabs(open: &str) -> Markup {
    let all = [
        (routes::MAPPING_CONTACTS, "Contacts"),
        (routes::MAPPING_COMPANIES, "Companies"),
        (routes::MAPPING_ACTIVITY, "Activity"),
    ];
    html! {
        nav .tabs aria-label="Tabs" { ul {
            @for (path, name) in all {
                li { a href=(path) aria-current=[(path == open).then_some("page")] { (name) } }
            }
        } }
    }
}

/// Those of the app, and those that rows are about.
pub(super) fn fields_of<T: Tab>(known: &Known) -> Vec<Field> {
    let catalogue = T::FIELDS.iter().filter_map(|field| {
        Some(Field {
            key: FieldKey::parse(field.key).ok()?,
            label: field.label.to_owned(),
            field_type: Some(field.field_type),
        })
    });
    let own = known.facts.custom_fields.iter();
    let own = own.filter(|f| f.record == T::RECORD).map(|f| Field {
        key: f.key.clone(),
        label: f.label.clone(),
        field_type: Some(f.field_type),
    });
    let mut all: Vec<Field> = catalogue.chain(own).collect();
    for row in T::rows(&known.settings) {
        if !all.iter().any(|f| f.key == row.app_field) {
            all.push(Field {
                key: row.app_field.clone(),
                label: row.app_field.to_string(),
                field_type: None,
            });
        }
    }
    all
}
