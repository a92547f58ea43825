//! E5: one click makes our group of properties, and maps it.

use e2e::{
    command_line::CommandLine,
    exports::{export, live},
    planted::{Planted, change_settings},
};
use serde_json::{Value, json};

const PROPERTIES: &str = "/crm/properties/2026-09/contacts";

/// What came of each, in order: name, outcome, whether it is mapped.
fn each(answer: &Value) -> Vec<(String, String, bool)> {
    let properties = answer["properties"].as_array().unwrap();
    properties
        .iter()
        .map(|own| {
            let text = |name: &str| own[name].as_str().unwrap().to_owned();
            (
                text("property"),
                text("outcome"),
                own["mapped"] == json!(true),
            )
        })
        .collect()
}

fn all(outcome: &str) -> Vec<(String, String, bool)> {
    ["last_campaign", "last_contacted", "last_reply", "sentiment"]
        .map(|name| (format!("artisan_{name}"), outcome.to_owned(), true))
        .to_vec()
}

#[tokio::test]
async fn our_properties_are_made_once_and_exports_write_them() {
    let p = Planted::new().await;
    let door = p.connect().await;
    let call = || door.ok("POST", "/own-properties", None);
    // Whoever clicks twice at once has them made once.
    let (first, second) = tokio::join!(call(), call());
    for answer in [first, second] {
        assert_eq!(answer["group"], "artisan");
        assert_eq!(answer["revision"], 0, "nothing was saved for anybody");
        assert!(
            each(&answer).iter().all(|(_, _, mapped)| *mapped),
            "{answer}"
        );
    }
    let again = door.ok("POST", "/own-properties", None).await;
    assert_eq!(each(&again), all("there"));
    let made = p
        .hubspot("GET", &format!("{PROPERTIES}/artisan_sentiment"), None)
        .await;
    assert_eq!(made["groupName"], "artisan");
    let at = "2026-11-02T08:30:00Z";
    door.people(
        json!([{"id": "lead", "version": 1, "email": "lead@own-e5.com", "fields": {
            "campaign": "Autumn", "last_contacted_at": at, "sentiment": "positive"}}]),
    )
    .await;
    let done = export(&door, "lead").await;
    assert_eq!(done["state"], "exported", "{done}");
    let values = live(&p, "contacts").await[0]["properties"].clone();
    assert_eq!(values["artisan_last_campaign"], "Autumn");
    assert_eq!(values["artisan_sentiment"], "positive");
    let written = values["artisan_last_contacted"].as_str().unwrap();
    assert!(written.starts_with("2026-11-02T08:30:00"), "{written}");
    // The newest holds.
    door.people(json!([{"id": "lead", "version": 2, "fields": {"campaign": "Winter"}}]))
        .await;
    export(&door, "lead").await;
    let values = live(&p, "contacts").await[0]["properties"].clone();
    assert_eq!(values["artisan_last_campaign"], "Winter");
}

#[tokio::test]
async fn a_name_that_is_taken_is_told_and_saved_settings_get_the_rows() {
    let p = Planted::new().await;
    let theirs = json!({"name": "artisan_sentiment", "label": "Theirs", "groupName": "contactinformation",
        "type": "number", "fieldType": "number"});
    p.hubspot("POST", PROPERTIES, Some(theirs)).await;
    let group = json!({"name": "artisan", "label": "Theirs too"});
    p.hubspot("POST", &format!("{PROPERTIES}/groups"), Some(group))
        .await;
    let door = p.connect().await;
    change_settings(&door, |_| {}).await;
    let line = CommandLine::new(&p.tenant, &door);
    let made = line.run(&["settings", "own-properties", "--json"]).await;
    assert_eq!(made.code, 0, "{made:?}");
    let made = made.json();
    let mut wanted = all("made");
    wanted[3].1 = "taken".to_owned();
    wanted[3].2 = false;
    assert_eq!(each(&made), wanted);
    assert_eq!(made["properties"][3]["code"], "HS-3021");
    assert_eq!(made["revision"], 2);
    let settings = door.ok("GET", "/settings", None).await;
    assert_eq!(settings["revision"], 2);
    let rows = settings["settings"]["contacts"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["property"] == "artisan_last_campaign")
        .unwrap();
    assert_eq!(row["export"], "overwrite");
    // Again, nothing changes.
    let again = door.ok("POST", "/own-properties", None).await;
    assert_eq!(again["revision"], 2, "{again}");
    let text = line.run(&["settings", "own-properties"]).await;
    assert!(
        text.out
            .contains("artisan_last_reply\tthere already, mapped to last_replied_at"),
        "{text:?}"
    );
    assert!(
        text.out
            .contains("taken by another property (HS-3021), not mapped"),
        "{text:?}"
    );
}

#[tokio::test]
async fn without_the_scope_or_a_connection_nothing_is_made() {
    let p = Planted::new().await;
    let scopes = json!({"denied_scopes": ["crm.schemas.contacts.write"]});
    p.tenant.control("PATCH", "", Some(scopes)).await;
    let none = e2e::door::Door::of_installation(&p.tenant);
    let refused = none.call("POST", "/own-properties", None).await;
    assert_eq!(refused.code(), "HS-1001", "{}", refused.body);
    let door = p.connect().await;
    let refused = door.call("POST", "/own-properties", None).await;
    assert_eq!(refused.code(), "HS-3004", "{}", refused.body);
}
