//! What is wrong with settings: a pure function of the settings and the facts of the portal.

mod owners;
mod required;
mod rows;
mod rules;
mod stamps;
mod status;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use serde_json::Value;

pub(crate) use rows::RESERVED as RESERVED_PROPERTIES;

use super::{Settings, SettingsCode, SettingsPath, SettingsProblem, Severity};
use crate::{
    app::{Fields, RecordKind},
    portal::PortalFacts,
};

/// Checks settings against the facts of the portal.
///
/// `saved` is what is in force now: a row that stands there too, and went bad only because the
/// portal or the team changed, is a warning and not an error. So an unrelated change can still be
/// saved, and an export skips the row and goes on (E4).
pub fn validate(
    settings: &Settings,
    facts: &PortalFacts,
    saved: Option<&Settings>,
) -> Vec<SettingsProblem> {
    let mut checker = checked(settings, facts);
    required::check(settings, &mut checker);
    let mut problems = checker.problems;
    if let Some(saved) = saved {
        soften(&mut problems, settings, saved);
    }
    problems
}

/// Looks at every row and rule by itself.
fn checked<'a>(settings: &Settings, facts: &'a PortalFacts) -> Checker<'a> {
    let mut checker = Checker {
        facts,
        fields: Fields::new(&facts.custom_fields),
        problems: Vec::new(),
        writers: BTreeMap::new(),
        unread: BTreeSet::new(),
    };
    rows::check(settings, &mut checker);
    stamps::check(settings, &mut checker);
    status::check(settings, &mut checker);
    owners::check(settings, &mut checker);
    rules::check(settings, &mut checker);
    checker
}

/// What the portal requires of new records and nothing in these settings writes, by name.
pub fn required_not_written(
    settings: &Settings,
    facts: &PortalFacts,
    record: RecordKind,
) -> Vec<String> {
    let target = match record {
        RecordKind::Person => Target::Contact,
        RecordKind::Company => Target::Company,
    };
    required::lacking(settings, &checked(settings, facts), target)
}

/// The rows that an export leaves out because of these problems: they went bad since they were
/// saved.
pub fn skipped_rows(problems: &[SettingsProblem]) -> BTreeSet<SettingsPath> {
    problems
        .iter()
        .filter(|p| p.code.may_come_later())
        .map(|p| row_of(&p.path))
        .collect()
}

/// Which objects a property belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Contact,
    Company,
}

struct Checker<'a> {
    facts: &'a PortalFacts,
    fields: Fields,
    problems: Vec<SettingsProblem>,
    /// Which rule writes a property, in words.
    writers: BTreeMap<(Target, String), String>,
    /// What was found to be unread, once each.
    unread: BTreeSet<&'static str>,
}

impl Checker<'_> {
    fn add(
        &mut self,
        severity: Severity,
        path: SettingsPath,
        code: SettingsCode,
        message: impl Display,
    ) {
        self.problems.push(SettingsProblem {
            path,
            code,
            severity,
            message: message.to_string(),
        });
    }

    fn error(&mut self, path: SettingsPath, code: SettingsCode, message: impl Display) {
        self.add(Severity::Error, path, code, message);
    }

    fn warn(&mut self, path: SettingsPath, code: SettingsCode, message: impl Display) {
        self.add(Severity::Warning, path, code, message);
    }

    /// Says once that something was not read yet.
    fn not_read(&mut self, path: &SettingsPath, what: &'static str) {
        if self.unread.insert(what) {
            self.warn(
                path.clone(),
                SettingsCode::NotChecked,
                format!("the portal's {what} were not read yet; this is checked when they were"),
            );
        }
    }

    /// Notes that a rule writes a property; at most one may.
    fn writes(&mut self, target: Target, property: &str, path: &SettingsPath, rule: String) {
        match self.writers.entry((target, property.to_owned())) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(rule);
            }
            std::collections::btree_map::Entry::Occupied(taken) => {
                let message = format!(
                    "{rule}: the property {property} is written by {} already; leave one of them",
                    taken.get()
                );
                self.error(path.clone(), SettingsCode::WrittenTwice, message);
            }
        }
    }

    /// Whether a list of rows is of a bearable length; the rows of one that is not are not looked at.
    fn length(&mut self, path: SettingsPath, rows: usize, max: usize) -> bool {
        if rows > max {
            self.error(
                path,
                SettingsCode::TooManyRows,
                format!("{rows} rows; at most {max} are allowed"),
            );
        }
        rows <= max
    }

    /// Whether a text may be a name or value at HubSpot.
    fn text(&mut self, path: SettingsPath, row: &str, what: &str, text: &str, max: usize) -> bool {
        let good = !text.trim().is_empty()
            && text.chars().count() <= max
            && !text.contains(char::is_control);
        if !good {
            self.error(
                path,
                SettingsCode::TextNotValid,
                format!("{row}: the {what} needs 1 to {max} characters, and no control characters"),
            );
        }
        good
    }
}

/// The row that a place belongs to: what is skipped or compared as a whole.
fn row_of(path: &SettingsPath) -> SettingsPath {
    let mut parts = path.as_str().split('/').skip(1);
    let mut row = SettingsPath::new("");
    for part in parts.by_ref() {
        row = row.at(part.replace("~1", "/").replace("~0", "~"));
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() {
            // A pipeline's stages belong to their pipeline.
            break;
        }
        if part == "contact_source" {
            break;
        }
    }
    row
}

/// Turns errors of rows that were saved before into warnings.
fn soften(problems: &mut [SettingsProblem], settings: &Settings, saved: &Settings) {
    let (Ok(new), Ok(old)) = (serde_json::to_value(settings), serde_json::to_value(saved)) else {
        return;
    };
    for problem in problems
        .iter_mut()
        .filter(|p| p.severity == Severity::Error && p.code.may_come_later())
    {
        if was_saved(&row_of(&problem.path), &new, &old) {
            problem.severity = Severity::Warning;
        }
    }
}

/// Whether the row at a place of the new document stands in the old one, wherever it stood.
fn was_saved(row: &SettingsPath, new: &Value, old: &Value) -> bool {
    let pointer = row.as_str();
    let Some(value) = new.pointer(pointer) else {
        return false;
    };
    // A row of the status table means something only together with its property.
    if pointer.starts_with("/status")
        && new.pointer("/status/property") != old.pointer("/status/property")
    {
        return false;
    }
    let in_list = pointer
        .rsplit_once('/')
        .filter(|(_, last)| last.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|(list, _)| old.pointer(list))
        .and_then(Value::as_array);
    match in_list {
        Some(rows) => rows.contains(value),
        None => old.pointer(pointer) == Some(value),
    }
}
