//! Which property receives the lead status (E7).

use std::collections::BTreeSet;

use super::{
    Checker, Target,
    rows::{MAX_NAME, shown, there, writable},
    stamps::{MAX_VALUE, fixed},
};
use crate::{
    app::LeadStatus,
    portal::{PropertyDefinition, PropertyType},
    settings::{Settings, SettingsCode, SettingsPath},
};

pub(super) fn check(settings: &Settings, c: &mut Checker<'_>) {
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
