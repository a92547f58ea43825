//! Rows that write properties: the three tabs.

use std::collections::BTreeSet;

use super::{
    Checker, Target,
    stamps::{self, MAX_VALUE},
};
use crate::{
    app::{FieldType, RecordKind},
    export::convert,
    portal::{Properties, PropertyDefinition, PropertyType},
    settings::{
        ExportBehavior, MappingRow, RESERVED_ENGAGEMENT_PROPERTIES, Settings, SettingsCode,
        SettingsPath, activity_field,
    },
};

/// Properties of contacts and companies that identify a record or are written with it, and so are
/// no targets of a row.
pub(crate) const RESERVED: &[&str] = &[
    "hs_object_id",
    "hs_additional_emails",
    "hs_additional_domains",
    "hs_merged_object_ids",
    "associatedcompanyid",
    "createdate",
    "lastmodifieddate",
    "hs_lastmodifieddate",
];

/// The longest name of a property, in characters.
pub(super) const MAX_NAME: usize = 100;

pub(super) fn check(settings: &Settings, c: &mut Checker<'_>) {
    // The owner is always written by its own rule (E6).
    for target in [Target::Contact, Target::Company] {
        c.writers.insert(
            (target, "hubspot_owner_id".to_owned()),
            "the owner mapping".to_owned(),
        );
    }
    let facts = c.facts;
    tab(
        c,
        Tab {
            path: SettingsPath::new("/contacts"),
            name: "contacts",
            target: Target::Contact,
            record: RecordKind::Person,
            properties: facts.contact_properties.as_ref(),
            unread: "contact properties",
        },
        &settings.contacts,
    );
    tab(
        c,
        Tab {
            path: SettingsPath::new("/companies"),
            name: "companies",
            target: Target::Company,
            record: RecordKind::Company,
            properties: facts.company_properties.as_ref(),
            unread: "company properties",
        },
        &settings.companies,
    );
    activity(settings, c);
}

struct Tab<'a> {
    path: SettingsPath,
    name: &'static str,
    target: Target,
    record: RecordKind,
    properties: Option<&'a Properties>,
    unread: &'static str,
}

fn tab(c: &mut Checker<'_>, tab: Tab<'_>, rows: &[MappingRow]) {
    if !c.length(tab.path.clone(), rows.len(), 500) {
        return;
    }
    let mut seen = BTreeSet::new();
    for (n, row) in rows.iter().enumerate() {
        let path = tab.path.at(n);
        let at_property = path.at("property");
        let words = format!(
            "{} row {} ({} → {})",
            tab.name,
            n + 1,
            row.app_field,
            shown(&row.property)
        );
        if !seen.insert(&row.app_field) {
            c.error(
                path.clone(),
                SettingsCode::DuplicateRow,
                format!("{words}: an earlier row is about the same field; a field has one row, and so one winning value"),
            );
        }
        let field_type = c
            .fields
            .get(tab.record, row.app_field.as_str())
            .map(|f| f.field_type);
        let about_email = row.property == "email" || row.app_field.as_str() == "email";
        let email_misplaced = match tab.target {
            Target::Contact => row.property == "email" && row.app_field.as_str() != "email",
            _ => about_email,
        };
        if email_misplaced {
            c.error(
                path.clone(),
                SettingsCode::EmailTarget,
                format!("{words}: the e-mail is who a contact is; only `email` of contacts takes it, and nothing else"),
            );
        } else if field_type.is_none() {
            c.error(
                path.at("app_field"),
                SettingsCode::FieldUnknown,
                format!("{words}: there is no such field; choose one of the catalogue, or create the custom field first"),
            );
        }
        if !c.text(
            at_property.clone(),
            &words,
            "name of the property",
            &row.property,
            MAX_NAME,
        ) {
            continue;
        }
        let writes = row.export != ExportBehavior::DoNotExport;
        if writes {
            if RESERVED.contains(&row.property.as_str()) {
                c.error(
                    at_property.clone(),
                    SettingsCode::ReservedProperty,
                    format!("{words}: the property identifies the record, or HubSpot writes it"),
                );
                continue;
            }
            c.writes(tab.target, &row.property, &path, words.clone());
        }
        let Some(properties) = tab.properties else {
            c.not_read(&tab.path, tab.unread);
            continue;
        };
        let Some(definition) = there(c, properties, &row.property, &at_property, &words) else {
            continue;
        };
        if writes
            && writable(c, definition, &at_property, &words)
            && let Some(field_type) = field_type.filter(|_| !email_misplaced)
        {
            fits(
                c,
                field_type,
                !row.options.is_empty(),
                definition,
                &path,
                &words,
            );
            if row.export == ExportBehavior::Append && !definition.takes_several() {
                c.error(
                    path.at("export"),
                    SettingsCode::TypeMismatch,
                    format!("{words}: only a property of several options can be appended to"),
                );
            }
            options(c, row, definition, &path, &words);
        }
    }
}

/// The row's table of options.
fn options(
    c: &mut Checker<'_>,
    row: &MappingRow,
    definition: &PropertyDefinition,
    path: &SettingsPath,
    words: &str,
) {
    let at = path.at("options");
    if row.options.is_empty() || !c.length(at.clone(), row.options.len(), 500) {
        return;
    }
    if definition.property_type != PropertyType::Enumeration {
        c.error(
            at,
            SettingsCode::TypeMismatch,
            format!("{words}: only an enumeration has options to map values to"),
        );
        return;
    }
    for (n, (value, option)) in row.options.iter().enumerate() {
        let words = format!("{words}, value {}", n + 1);
        let at = at.at(value);
        if c.text(at.clone(), &words, "value of the app", value, MAX_VALUE)
            && c.text(at.clone(), &words, "option", option, MAX_VALUE)
        {
            stamps::fixed(c, option, definition, &at, &words);
        }
    }
}

/// Names come from a document: what is shown of them is bounded.
pub(super) fn shown(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME)
        .collect()
}

pub(super) fn there<'p>(
    c: &mut Checker<'_>,
    properties: &'p Properties,
    name: &str,
    path: &SettingsPath,
    words: &str,
) -> Option<&'p PropertyDefinition> {
    let found = properties.get(name);
    match found {
        None => c.error(
            path.clone(),
            SettingsCode::PropertyUnknown,
            format!("{words}: the portal has no property of this name; use the internal name, not the label"),
        ),
        Some(definition) if definition.archived => c.error(
            path.clone(),
            SettingsCode::PropertyArchived,
            format!("{words}: the property is archived; restore it in HubSpot, or choose another"),
        ),
        Some(_) => {}
    }
    found
}

pub(super) fn writable(
    c: &mut Checker<'_>,
    definition: &PropertyDefinition,
    path: &SettingsPath,
    words: &str,
) -> bool {
    if definition.calculated {
        c.error(
            path.clone(),
            SettingsCode::PropertyCalculated,
            format!("{words}: HubSpot computes the property; set the row to do_not_export, or choose another"),
        );
    } else if definition.read_only {
        c.error(
            path.clone(),
            SettingsCode::PropertyReadOnly,
            format!("{words}: the property is read-only; set the row to do_not_export, or choose another"),
        );
    }
    definition.writable()
}

fn fits(
    c: &mut Checker<'_>,
    field_type: FieldType,
    has_table: bool,
    definition: &PropertyDefinition,
    path: &SettingsPath,
    words: &str,
) {
    if !convert::row_fits(field_type, has_table, definition) {
        let several = if definition.takes_several() {
            " of several options"
        } else {
            ""
        };
        c.error(
            path.clone(),
            SettingsCode::TypeMismatch,
            format!(
                "{words}: values of the type {field_type} do not fit a property of the type {}{several}",
                definition.property_type.as_str()
            ),
        );
    }
}

fn activity(settings: &Settings, c: &mut Checker<'_>) {
    let tab = SettingsPath::new("/activity_properties");
    if !c.length(tab.clone(), settings.activity_properties.len(), 500) {
        return;
    }
    let mut seen = BTreeSet::new();
    // Two kinds may become one type of engagement; each record is of one kind, so that only rows of
    // one kind are in each other's way.
    let mut written = BTreeSet::new();
    for (n, row) in settings.activity_properties.iter().enumerate() {
        let path = tab.at(n);
        let at_property = path.at("property");
        let words = format!(
            "activity row {} ({} {} → {})",
            n + 1,
            row.kind,
            row.app_field,
            shown(&row.property)
        );
        if !seen.insert((row.kind, &row.app_field)) {
            c.error(
                path.clone(),
                SettingsCode::DuplicateRow,
                format!("{words}: an earlier row is about the same field of this kind"),
            );
        }
        let field = activity_field(row.kind, row.app_field.as_str());
        if field.is_none() {
            c.error(
                path.at("app_field"),
                SettingsCode::FieldUnknown,
                format!("{words}: activities of this kind have no such field"),
            );
        }
        if !c.text(
            at_property.clone(),
            &words,
            "name of the property",
            &row.property,
            MAX_NAME,
        ) || !row.export
        {
            continue;
        }
        if RESERVED_ENGAGEMENT_PROPERTIES.contains(&row.property.as_str()) {
            c.error(
                at_property,
                SettingsCode::ReservedProperty,
                format!("{words}: the export writes this property by itself"),
            );
            continue;
        }
        if !written.insert((row.kind, &row.property)) {
            c.error(
                path.clone(),
                SettingsCode::WrittenTwice,
                format!("{words}: an earlier row writes the same property"),
            );
        }
        let facts = c.facts;
        let engagement = row.kind.engagement();
        // HubSpot's own properties are in every portal, whether its listing shows them or not.
        let standard = field.is_some_and(|f| f.standard_property == Some(&row.property));
        match facts.engagement_properties.get(&engagement) {
            Some(properties) if !standard || properties.contains_key(&row.property) => {
                if let Some(definition) = there(c, properties, &row.property, &at_property, &words)
                    && writable(c, definition, &at_property, &words)
                    && let Some(field) = field
                {
                    fits(c, field.field_type, false, definition, &path, &words);
                }
            }
            _ if standard => {}
            _ => c.not_read(&tab, "engagement properties"),
        }
    }
}
