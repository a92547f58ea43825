//! What the portal requires of new records (E4).

use super::{Checker, Target};
use crate::settings::{RecordCreation, Settings, SettingsCode, SettingsPath};

/// What each new record has, whatever the settings say.
const fn always(target: Target) -> &'static [&'static str] {
    match target {
        Target::Contact => &["email"],
        Target::Company => &["name", "domain"],
    }
}

/// What is required of new records of a kind and nothing writes; of records that are never made nothing
/// is.
pub(super) fn lacking(settings: &Settings, c: &Checker<'_>, target: Target) -> Vec<String> {
    let (rules, creation) = match target {
        Target::Contact => (&c.facts.contact_rules, settings.export.contacts),
        Target::Company => (&c.facts.company_rules, settings.export.companies),
    };
    if creation == RecordCreation::UpdateOnly {
        return Vec::new();
    }
    let required = rules.iter().filter(|rule| rule.when.is_none());
    let names = required.map(|rule| rule.property.clone());
    names
        .filter(|property| {
            let written = c.writers.contains_key(&(target, property.clone()));
            !written && !always(target).contains(&property.as_str())
        })
        .collect()
}

pub(super) fn check(settings: &Settings, c: &mut Checker<'_>) {
    for (target, path, noun) in [
        (Target::Contact, "/contacts", "contacts"),
        (Target::Company, "/companies", "companies"),
    ] {
        for property in lacking(settings, c, target) {
            let message = format!(
                "the portal requires {property} of new {noun}, and nothing writes it: map a field to it, or give it a fixed value"
            );
            c.warn(
                SettingsPath::new(path),
                SettingsCode::RequiredNotWritten,
                message,
            );
        }
    }
}
