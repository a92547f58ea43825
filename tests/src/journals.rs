//! The journal beside what HubSpot has: replayed over the first state it gives the last one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{door::Door, exports::live, mirrored, planted::Planted};

/// Values of a record; what has none is left out.
pub type Values = BTreeMap<String, String>;

/// Live contacts and companies, by type and id.
pub type State = BTreeMap<(String, i64), Values>;

/// The values of a record as the portal gives it.
pub fn values_of(record: &Value) -> Values {
    let all = record["properties"].as_object();
    all.into_iter()
        .flatten()
        .filter_map(|(name, value)| {
            let text = value.as_str().filter(|text| !text.is_empty())?;
            Some((name.clone(), text.to_owned()))
        })
        .collect()
}

/// What the portal has now.
///
/// # Panics
/// When a record has no id.
pub async fn state(p: &Planted) -> State {
    let mut all = State::new();
    for (name, plural) in [("contact", "contacts"), ("company", "companies")] {
        for record in live(p, plural).await {
            let id = crate::planted::number(&record["id"]);
            all.insert((name.to_owned(), id), values_of(&record));
        }
    }
    all
}

/// The entries about these people and their companies, oldest first.
///
/// # Panics
/// When the door refuses.
pub async fn journal(door: &Door, people: &[String]) -> Vec<Value> {
    let mut all = Vec::new();
    for person in people {
        let path = format!("/people/{person}/journal?limit=1000");
        let page = door.ok("GET", &path, None).await;
        all.extend(page["items"].as_array().into_iter().flatten().cloned());
    }
    all.sort_by_key(|entry| entry["entry"].as_str().expect("an id").to_owned());
    all
}

/// Applies entries, oldest first, to what was there. Says what became of each property that was written.
///
/// # Panics
/// Where an entry says that something else was there.
pub fn replayed<'e>(mut values: Values, journal: impl IntoIterator<Item = &'e Value>) -> Values {
    let mut written_names = Vec::new();
    for entry in journal {
        for written in entry["properties"].as_array().into_iter().flatten() {
            let name = written["property"].as_str().expect("a name").to_owned();
            let old = written["old"].as_str().map(str::to_owned);
            assert_eq!(values.get(&name).cloned(), old, "{entry}");
            written_names.push(name.clone());
            // Emptied for the write that follows, whose entry says what stood there before.
            if entry["operation"] != "empty" {
                values.insert(name, written["new"].as_str().expect("a value").to_owned());
            }
        }
    }
    values.retain(|name, _| written_names.contains(name));
    values
}

/// Checks that no entry is open, that the entries which are done give the last state out of the first, and
/// that each association which was written is there.
///
/// # Panics
/// Where the journal does not tell the truth.
pub async fn assert_true(p: &Planted, door: &Door, people: &[String], first: &State) {
    let last = state(p).await;
    let all = journal(door, people).await;
    let mut by_record: BTreeMap<(String, i64), Vec<&Value>> = BTreeMap::new();
    let contacts = live(p, "contacts").await;
    for entry in &all {
        assert_ne!(entry["state"], "open", "{entry}");
        if entry["state"] != "done" {
            continue;
        }
        let id = entry["hubspot_id"].as_i64().expect("a record");
        if entry["operation"] == "associate" {
            let contact = contacts
                .iter()
                .find(|c| crate::planted::number(&c["id"]) == id);
            let company = entry["company"].to_string();
            let ties = contact.map(mirrored::ties_of).unwrap_or_default();
            assert!(ties.iter().any(|(_, to, _)| *to == company), "{entry}");
            continue;
        }
        let of = entry["record_type"].as_str().expect("a type").to_owned();
        by_record.entry((of, id)).or_default().push(entry);
    }
    for (record, entries) in by_record {
        let makes = entries
            .iter()
            .filter(|e| e["operation"] == "create")
            .count();
        let was = first.get(&record).cloned();
        assert_eq!(makes, usize::from(was.is_none()), "{record:?}: {entries:?}");
        let told = replayed(was.unwrap_or_default(), entries);
        let now = last.get(&record);
        let now = now.unwrap_or_else(|| panic!("{record:?} is not there"));
        for (name, value) in told {
            assert_eq!(now.get(&name), Some(&value), "{record:?} {name}");
        }
    }
    // Whatever was not there before, and is not of HubSpot's own making, is in the journal.
    for (record, values) in last {
        let by_hubspot = values
            .get("hs_object_source")
            .is_some_and(|by| by == "CRM_SETTING");
        if by_hubspot || first.contains_key(&record) {
            continue;
        }
        let made = all.iter().any(|entry| {
            entry["state"] == "done"
                && entry["operation"] == "create"
                && entry["record_type"] == record.0.as_str()
                && entry["hubspot_id"].as_i64() == Some(record.1)
        });
        assert!(made, "{record:?} is not in the journal");
    }
}
