//! E4, E10: every export behavior on every state of HubSpot's value, whatever the import priority; again
//! writes nothing; a preview shows what is written then; and the journal, replayed over the first state, gives
//! the last one.

use std::collections::BTreeMap;

use e2e::{
    exports::{live, writes},
    journals::{Values, journal, replayed, values_of},
    planted::{Planted, change_settings},
    previews::export_as_previewed,
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

async fn values(p: &Planted) -> BTreeMap<String, Values> {
    let contacts = live(p, "contacts").await;
    let by_email = contacts.iter().map(|contact| {
        let email = contact["properties"]["email"].as_str().unwrap();
        (email.to_owned(), values_of(contact))
    });
    by_email.collect()
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
        let done = export_as_previewed(&door, state).await;
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
        let journal = journal(&door, &[state.to_owned()]).await;
        let of_contact = journal
            .iter()
            .filter(|entry| entry["state"] == "done" && entry["record_type"] == "contact");
        let start = first.get(&email).cloned().unwrap_or_default();
        let told = replayed(start, of_contact);
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
        export_as_previewed(&door, state).await;
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
