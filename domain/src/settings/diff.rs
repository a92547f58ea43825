//! What is different between two documents: what the second of two writers is told.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Settings, SettingsPath};

/// How a place changed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has another value.
    Changed,
}

/// One place that is different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingsChange {
    /// Where: in the newer document, or in the older one where it was removed.
    pub path: SettingsPath,
    /// How.
    pub change: ChangeKind,
    /// What the row is about, where the place is a row: `job_title`, `contacted`, an owner's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
}

/// What is different in `new`, seen from `old`. Rows are recognised by what they are about, not by
/// their place, so that a row that was put in front of others is one change.
pub fn changes(old: &Settings, new: &Settings) -> Vec<SettingsChange> {
    let mut found = Vec::new();
    // A settings document is plain data: it always becomes JSON.
    let (Ok(old), Ok(new)) = (serde_json::to_value(old), serde_json::to_value(new)) else {
        return found;
    };
    compare(&SettingsPath::new(""), &old, &new, &mut found);
    found
}

/// The fields that say what a row is about, in the order in which they are looked for.
const KEYS: [&str; 7] = [
    "app_field",
    "owner",
    "status",
    "list",
    "pipeline",
    "member",
    "property",
];

/// What a row is about. Rows of the tab Activity are about a kind and a field, writing owners about
/// their member.
fn about(row: &Value, place: &SettingsPath) -> Option<String> {
    let text = |key: &str| {
        row.get(key).map(|v| match v {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    };
    if place.as_str() == "/owners/writing" {
        return text("member");
    }
    let main = KEYS.iter().find_map(|key| text(key))?;
    Some(match text("kind") {
        Some(kind) => format!("{kind} {main}"),
        None => main,
    })
}

fn compare(place: &SettingsPath, old: &Value, new: &Value, found: &mut Vec<SettingsChange>) {
    let changed = |found: &mut Vec<SettingsChange>| {
        found.push(SettingsChange {
            path: place.clone(),
            change: ChangeKind::Changed,
            row: None,
        });
    };
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in after {
                match before.get(key) {
                    Some(earlier) => compare(&place.at(key), earlier, value, found),
                    None => found.push(SettingsChange {
                        path: place.at(key),
                        change: ChangeKind::Added,
                        row: None,
                    }),
                }
            }
            for key in before.keys().filter(|key| !after.contains_key(*key)) {
                found.push(SettingsChange {
                    path: place.at(key),
                    change: ChangeKind::Removed,
                    row: None,
                });
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            // A row that is about the same as an earlier one is the second of its kind, and so on.
            let keyed = |rows: &[Value]| -> Option<Vec<(String, usize)>> {
                let mut keys: Vec<(String, usize)> = Vec::with_capacity(rows.len());
                for row in rows {
                    let key = about(row, place)?;
                    let earlier = keys.iter().filter(|(k, _)| *k == key).count();
                    keys.push((key, earlier));
                }
                Some(keys)
            };
            let (Some(old_keys), Some(new_keys)) = (keyed(before), keyed(after)) else {
                if before != after {
                    changed(found);
                }
                return;
            };
            let start = found.len();
            for (n, (key, row)) in new_keys.iter().zip(after).enumerate() {
                let earlier = old_keys.iter().position(|k| k == key).map(|at| &before[at]);
                let change = match earlier {
                    None => ChangeKind::Added,
                    Some(earlier) if earlier != row => ChangeKind::Changed,
                    Some(_) => continue,
                };
                found.push(SettingsChange {
                    path: place.at(n),
                    change,
                    row: Some(key.0.clone()),
                });
            }
            for (n, key) in old_keys.iter().enumerate() {
                if !new_keys.contains(key) {
                    found.push(SettingsChange {
                        path: place.at(n),
                        change: ChangeKind::Removed,
                        row: Some(key.0.clone()),
                    });
                }
            }
            if found.len() == start && before != after {
                // The same rows in another order.
                changed(found);
            }
        }
        _ if old != new => changed(found),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::*, *};

    fn row(field: &str, property: &str) -> MappingRow {
        MappingRow {
            app_field: field.parse().unwrap(),
            property: property.to_owned(),
            import_priority: ImportPriority::Crm,
            export: ExportBehavior::FillIfEmpty,
            options: Default::default(),
        }
    }

    fn told(old: &Settings, new: &Settings) -> Vec<String> {
        changes(old, new)
            .into_iter()
            .map(|c| format!("{:?} {} {}", c.change, c.path, c.row.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn rows_are_recognised_by_what_they_are_about() {
        let mut old = Settings::empty();
        old.contacts = vec![row("first_name", "firstname"), row("city", "city")];
        let mut new = old.clone();
        new.contacts.insert(0, row("phone", "phone"));
        new.contacts.pop();
        new.contacts[1].export = ExportBehavior::Overwrite;
        new.import.interval_minutes = 5;
        new.contact_source = Some(FixedValue {
            property: "lead_source".to_owned(),
            value: "Artisan".to_owned(),
            behavior: StampBehavior::FillIfEmpty,
        });
        assert_eq!(
            told(&old, &new),
            [
                "Changed /contact_source ",
                "Added /contacts/0 phone",
                "Changed /contacts/1 first_name",
                "Removed /contacts/1 city",
                "Changed /import/interval_minutes ",
            ]
        );
        assert_eq!(told(&new, &new), Vec::<String>::new());
    }

    #[test]
    fn a_row_that_is_there_twice_is_compared_with_its_like() {
        let mut old = Settings::empty();
        old.contacts = vec![row("city", "a"), row("city", "b")];
        assert_eq!(told(&old, &old.clone()), Vec::<String>::new());
        let mut new = old.clone();
        new.contacts[1].property = "c".to_owned();
        assert_eq!(told(&old, &new), ["Changed /contacts/1 city"]);
        new.contacts.remove(1);
        assert_eq!(told(&old, &new), ["Removed /contacts/1 city"]);
    }

    #[test]
    fn activity_rows_lists_owners_and_statuses() {
        let mut old = Settings::empty();
        let activity = |kind| ActivityRow {
            kind,
            app_field: "subject".parse().unwrap(),
            property: "x".to_owned(),
            export: true,
        };
        old.activity_properties = vec![activity(ActivityKind::Email), activity(ActivityKind::Call)];
        old.lists = vec![FollowedList {
            list: crate::portal::ListId::new(7),
            list_use: ListUse::Audience,
        }];
        let mut new = old.clone();
        new.activity_properties[1].export = false;
        new.lists[0].list_use = ListUse::Suppression;
        new.owners.rows.push(OwnerRow {
            owner: "5".parse().unwrap(),
            member: None,
        });
        assert_eq!(
            told(&old, &new),
            [
                "Changed /activity_properties/1 call subject",
                "Changed /lists/0 7",
                "Added /owners/rows/0 5",
            ]
        );
        new = old.clone();
        new.activity_properties.swap(0, 1);
        assert_eq!(told(&old, &new), ["Changed /activity_properties "]);
    }

    proptest! {
        #[test]
        fn nothing_is_told_exactly_where_nothing_changed(
            a in proptest::collection::vec((0u8..3, 0u8..3), 0..4),
            b in proptest::collection::vec((0u8..3, 0u8..3), 0..4),
        ) {
            let settings = |rows: &[(u8, u8)]| {
                let mut s = Settings::empty();
                s.contacts = rows.iter().map(|(f, p)| row(&format!("f{f}"), &format!("p{p}"))).collect();
                s
            };
            let (a, b) = (settings(&a), settings(&b));
            prop_assert_eq!(changes(&a, &b).is_empty(), a == b);
        }
    }
}
