//! What the portal requires of new records (E4).

use super::{Checker, Target};
use crate::settings::{RecordCreation, Settings, SettingsCode, SettingsPath};

/// What each new record has, whatever the settings say.
const ALWAYS: [(Target, &[&str]); 2] = [
    (Target::Contact, &["email"]),
    (Target::Company, &["name", "domain"]),
];

pub(super) fn check(settings: &Settings, c: &mut Checker<'_>) {
    let facts = c.facts;
    for (target, always) in ALWAYS {
        let (rules, creation, path, noun) = match target {
            Target::Contact => (
                &facts.contact_rules,
                settings.export.contacts,
                "/contacts",
                "contacts",
            ),
            Target::Company => (
                &facts.company_rules,
                settings.export.companies,
                "/companies",
                "companies",
            ),
        };
        if creation == RecordCreation::UpdateOnly {
            continue;
        }
        for rule in rules.iter().filter(|rule| rule.when.is_none()) {
            let property = &rule.property;
            let written = always.contains(&property.as_str())
                || c.writers.contains_key(&(target, property.clone()));
            if !written {
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
}
