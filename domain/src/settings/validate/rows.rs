//! Rows that write properties: the three tabs, the contact source, the status.

use std::collections::BTreeSet;

use super::{Checker, Target};
use crate::{
    app::{FieldType, LeadStatus, RecordKind},
    export::{ConvertError, convert},
    portal::{Properties, PropertyDefinition, PropertyType, Reference},
    settings::{
        ExportBehavior, MappingRow, RESERVED_ENGAGEMENT_PROPERTIES, Settings, SettingsCode,
        SettingsPath, activity_field,
    },
};

/// Properties of contacts and companies that identify a record or are written with it, and so are
/// no targets of a row.
const RESERVED: &[&str] = &[
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
const MAX_NAME: usize = 100;
/// The longest fixed value, in characters.
const MAX_VALUE: usize = 500;

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
    source(settings, c);
    status(settings, c);
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
            fits(c, field_type, definition, &path, &words);
        }
    }
}

/// Names come from a document: what is shown of them is bounded.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME)
        .collect()
}

fn there<'p>(
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

fn writable(
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
    definition: &PropertyDefinition,
    path: &SettingsPath,
    words: &str,
) {
    if !convert::fits(field_type, definition) {
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
        match facts.engagement_properties.get(&engagement) {
            Some(properties) => {
                if let Some(definition) = there(c, properties, &row.property, &at_property, &words)
                    && writable(c, definition, &at_property, &words)
                    && let Some(field) = field
                {
                    fits(c, field.field_type, definition, &path, &words);
                }
            }
            // HubSpot's own properties are in every portal.
            None if field.is_some_and(|f| f.standard_property == Some(&row.property)) => {}
            None => c.not_read(&tab, "engagement properties"),
        }
    }
}

fn source(settings: &Settings, c: &mut Checker<'_>) {
    let Some(source) = &settings.contact_source else {
        return;
    };
    let path = SettingsPath::new("/contact_source");
    let (at_property, at_value) = (path.at("property"), path.at("value"));
    let words = format!("contact source ({})", shown(&source.property));
    let named = c.text(
        at_property.clone(),
        &words,
        "name of the property",
        &source.property,
        MAX_NAME,
    );
    let valued = c.text(at_value.clone(), &words, "value", &source.value, MAX_VALUE);
    if !named || !valued {
        return;
    }
    if source.property == "email" {
        c.error(
            at_property,
            SettingsCode::EmailTarget,
            format!("{words}: the e-mail is who a contact is"),
        );
        return;
    }
    if RESERVED.contains(&source.property.as_str()) {
        c.error(
            at_property,
            SettingsCode::ReservedProperty,
            format!("{words}: the property identifies the record, or HubSpot writes it"),
        );
        return;
    }
    c.writes(
        Target::Contact,
        &source.property,
        &path,
        "the contact source".to_owned(),
    );
    let facts = c.facts;
    let Some(properties) = facts.contact_properties.as_ref() else {
        c.not_read(&path, "contact properties");
        return;
    };
    let Some(definition) = there(c, properties, &source.property, &at_property, &words) else {
        return;
    };
    if !writable(c, definition, &at_property, &words) {
        return;
    }
    fixed(c, &source.value, definition, &at_value, &words);
}

/// Whether a fixed value can be written to a property.
fn fixed(
    c: &mut Checker<'_>,
    value: &str,
    definition: &PropertyDefinition,
    path: &SettingsPath,
    words: &str,
) {
    let external = c.facts.external();
    let (code, why) = match convert::fixed(value, definition, &external) {
        Ok(_) => {
            match definition.reference() {
                Some(Reference::Owner) if external.owners.is_none() => c.not_read(path, "owners"),
                Some(Reference::Pipeline | Reference::Stage) if external.pipelines.is_none() => {
                    c.not_read(path, "pipelines");
                }
                _ => {}
            }
            return;
        }
        Err(ConvertError::NoOption) => (
            SettingsCode::OptionUnknown,
            format!("the value is none of the options: {}", options(definition)),
        ),
        Err(ConvertError::NotThere(reference)) => (
            match reference {
                Reference::Owner => SettingsCode::OwnerUnknown,
                Reference::Pipeline => SettingsCode::PipelineUnknown,
                Reference::Stage => SettingsCode::StageUnknown,
                Reference::Elsewhere => SettingsCode::OptionUnknown,
            },
            format!(
                "the property takes the id of {}, and the portal has no active one of this id; give the id, not the name",
                match reference {
                    Reference::Owner => "an owner",
                    Reference::Pipeline => "a pipeline",
                    Reference::Stage => "a pipeline's stage",
                    Reference::Elsewhere => "an option",
                }
            ),
        ),
        Err(_) => (
            SettingsCode::TypeMismatch,
            format!(
                "the value does not fit a property of the type {}",
                definition.property_type.as_str()
            ),
        ),
    };
    c.error(path.clone(), code, format!("{words}: {why}"));
}

/// The first options, by value.
fn options(definition: &PropertyDefinition) -> String {
    const SHOWN: usize = 20;
    let mut text = definition
        .options
        .iter()
        .take(SHOWN)
        .map(|o| o.value.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    if definition.options.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

fn status(settings: &Settings, c: &mut Checker<'_>) {
    let Some(status) = &settings.status else {
        return;
    };
    let path = SettingsPath::new("/status");
    let at_property = path.at("property");
    let at_rows = path.at("rows");
    let words = format!("status ({})", shown(&status.property));
    let mut seen = BTreeSet::new();
    if !c.length(at_rows.clone(), status.rows.len(), 100) {
        return;
    }
    for (n, row) in status.rows.iter().enumerate() {
        let words = format!("status row {} ({})", n + 1, row.status);
        if !seen.insert(row.status) {
            c.error(
                at_rows.at(n),
                SettingsCode::DuplicateRow,
                format!("{words}: an earlier row is about the same status"),
            );
        }
        c.text(
            at_rows.at(n).at("value"),
            &words,
            "value",
            &row.value,
            MAX_VALUE,
        );
    }
    if !c.text(
        at_property.clone(),
        &words,
        "name of the property",
        &status.property,
        MAX_NAME,
    ) {
        return;
    }
    c.writes(
        Target::Contact,
        &status.property,
        &at_property,
        "the status mapping".to_owned(),
    );
    let facts = c.facts;
    let Some(properties) = facts.contact_properties.as_ref() else {
        c.not_read(&path, "contact properties");
        return;
    };
    let Some(definition) = there(c, properties, &status.property, &at_property, &words) else {
        return;
    };
    if !writable(c, definition, &at_property, &words) {
        return;
    }
    if definition.property_type != PropertyType::Enumeration || definition.takes_several() {
        c.error(
            at_property,
            SettingsCode::StatusProperty,
            format!("{words}: only an enumeration of one option can receive the status"),
        );
        return;
    }
    for (n, row) in status.rows.iter().enumerate() {
        if !row.value.trim().is_empty() {
            let words = format!("status row {} ({})", n + 1, row.status);
            fixed(
                c,
                &row.value,
                definition,
                &at_rows.at(n).at("value"),
                &words,
            );
        }
    }
    if status.property == "lifecyclestage" && !status.allow_backward {
        lifecycle(settings, c, definition);
    }
}

/// How far a lead has come; a status says no more than that about another of the same rank.
const fn rank(status: LeadStatus) -> u8 {
    match status {
        LeadStatus::Queued => 0,
        LeadStatus::Contacted => 1,
        LeadStatus::Replied
        | LeadStatus::NotInterested
        | LeadStatus::Unsubscribed
        | LeadStatus::OutOfOffice
        | LeadStatus::WrongPerson
        | LeadStatus::FollowUpLater
        | LeadStatus::Bounced
        | LeadStatus::FinishedWithoutReply => 2,
        LeadStatus::Interested => 3,
        LeadStatus::MeetingBooked => 4,
    }
}

/// A stage that is earlier than that of a status that comes before would never be reached: stages
/// only move forward (E7). HubSpot's order of the options is the order of the stages.
fn lifecycle(settings: &Settings, c: &mut Checker<'_>, definition: &PropertyDefinition) {
    let Some(status) = &settings.status else {
        return;
    };
    let stage = |value: &str| definition.options.iter().position(|o| o.value == value);
    for (n, row) in status.rows.iter().enumerate() {
        let Some(own) = stage(&row.value) else {
            continue;
        };
        let earlier = status
            .rows
            .iter()
            .filter(|other| rank(other.status) < rank(row.status))
            .filter_map(|other| stage(&other.value).map(|at| (at, other)))
            .max_by_key(|(at, _)| *at);
        if let Some((at, other)) = earlier
            && own < at
        {
            c.warn(
                SettingsPath::new("/status/rows").at(n),
                SettingsCode::LifecycleBackward,
                format!(
                    "status row {} ({} → {}): {} is mapped to the later stage {}, and stages only move forward",
                    n + 1,
                    row.status,
                    row.value,
                    other.status,
                    other.value
                ),
            );
        }
    }
}
