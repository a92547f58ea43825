//! E4, E10: every export behavior on every state of HubSpot's value, whatever the import priority; again
//! writes nothing; and the journal, replayed over the first state, gives the last one.

use std::collections::BTreeMap;

use e2e::{
    exports::{entries, export, live, writes},
    planted::{Planted, change_settings},
};
use serde_json::{Value, json};

/// Field, property, and behavior.
const ROWS: [(&str, &str, &str); 4] = [
    ("first_name", "firstname", "fill_if_empty"),
    ("last_name", "lastname", "overwrite"),
    ("job_title", "jobtitle", "create_only"),
    ("city", "city", "do_not_export"),
];

/// What HubSpot has of each property before; nothing of a contact that is not there.
const STATES: [(&str, Option<&str>); 5] = [
    ("new", None),
    ("empty", Some("")),
    ("other", Some("Theirs")),
    ("same", Some("Ours")),
    ("normalised", Some(" Ours ")),
];

/// What HubSpot has afterwards, by `product.md` alone; the app has `Ours`.
fn wanted(behavior: &str, state: &str, before: Option<&str>) -> Option<String> {
    let before = before.filter(|text| !text.is_empty());
    let writes = match (behavior, state) {
        ("do_not_export", _) => false,
        (_, "new") => true,
        ("create_only", _) => false,
        (_, "empty") => true,
        ("overwrite", "other") => true,
        _ => false,
    };
    if writes {
        Some("Ours".to_owned())
    } else {
        before.map(str::to_owned)
    }
}

type Values = BTreeMap<String, String>;

async fn values(p: &Planted) -> BTreeMap<String, Values> {
    live(p, "contacts")
        .await
        .iter()
        .map(|contact| {
            let all = contact["properties"].as_object().unwrap();
            let texts = all.iter().filter_map(|(name, value)| {
                let text = value.as_str().filter(|text| !text.is_empty())?;
                Some((name.clone(), text.to_owned()))
            });
            let email = contact["properties"]["email"].as_str().unwrap();
            (email.to_owned(), texts.collect())
        })
        .collect()
}

/// Applies the journal's entries, oldest first, to what was there. Says what became of each property that
/// was written.
fn replayed(mut values: Values, mut journal: Vec<Value>) -> Values {
    let mut written_names = Vec::new();
    journal.sort_by_key(|entry| entry["entry"].as_str().unwrap().to_owned());
    for entry in journal {
        for written in entry["properties"].as_array().unwrap() {
            let name = written["property"].as_str().unwrap().to_owned();
            let old = written["old"].as_str().map(str::to_owned);
            assert_eq!(values.get(&name).cloned(), old, "{entry}");
            written_names.push(name.clone());
            // Emptied for the write that follows, whose entry says what stood there before.
            if entry["operation"] != "empty" {
                values.insert(name, written["new"].as_str().unwrap().to_owned());
            }
        }
    }
    values.retain(|name, _| written_names.contains(name));
    values
}

async fn with_priority(priority: &str) {
    let p = Planted::new().await;
    for (state, before) in STATES {
        if let Some(before) = before {
            let mut properties = json!({"email": format!("{state}@behave-e4.com")});
            for (_, property, _) in ROWS {
                properties[property] = json!(before);
            }
            p.record("contacts", properties, &[]).await;
        }
    }
    let door = p.connect().await;
    change_settings(&door, |settings| {
        let rows = ROWS.map(|(field, property, behavior)| {
            json!({"app_field": field, "property": property, "import_priority": priority, "export": behavior})
        });
        let email = json!({"app_field": "email", "property": "email", "import_priority": priority,
            "export": "fill_if_empty"});
        settings["contacts"] = json!(rows.into_iter().chain([email]).collect::<Vec<_>>());
    })
    .await;
    let people: Vec<Value> = STATES
        .iter()
        .map(|(state, _)| {
            let mut fields = json!({});
            for (field, ..) in ROWS {
                fields[field] = json!("Ours");
            }
            json!({"id": state, "version": 1, "email": format!("{state}@behave-e4.com"), "fields": fields})
        })
        .collect();
    door.people(json!(people)).await;
    let first = values(&p).await;
    for (state, _) in STATES {
        let done = export(&door, state).await;
        assert_eq!(done["state"], "exported", "{state}: {done}");
    }
    let last = values(&p).await;
    for (state, before) in STATES {
        let email = format!("{state}@behave-e4.com");
        for (_, property, behavior) in ROWS {
            // HubSpot keeps what it was given; spaces around it do not count.
            let has = last[&email].get(property).cloned();
            assert_eq!(
                has,
                wanted(behavior, state, before),
                "{priority} {behavior} {state}"
            );
        }
        let journal = entries(&door, state, "done").await;
        let contact_entries: Vec<Value> = journal
            .into_iter()
            .filter(|entry| entry["record_type"] == "contact")
            .collect();
        let start = first.get(&email).cloned().unwrap_or_default();
        let told = replayed(start, contact_entries);
        assert!(
            !told.is_empty() || state == "same" || state == "normalised",
            "{state}"
        );
        for (name, value) in told {
            assert_eq!(last[&email].get(&name), Some(&value), "{state} {name}");
        }
    }
    let before = writes(&p).await;
    for (state, _) in STATES {
        export(&door, state).await;
    }
    assert_eq!(
        writes(&p).await,
        before,
        "{priority}: again nothing is written"
    );
}

#[tokio::test]
async fn each_behavior_writes_what_it_says_and_the_journal_tells_it() {
    futures::future::join_all([with_priority("crm"), with_priority("artisan")]).await;
}
