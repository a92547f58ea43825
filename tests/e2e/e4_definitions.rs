//! E4: properties that changed in HubSpot since they were read, and rows that another system fights.

use e2e::{
    command_line::CommandLine,
    door::Door,
    exports::{ended, live, writes},
    planted::{Planted, change_settings},
    profiles::until,
};
use serde_json::{Value, json};

const PROPERTIES: &str = "/crm/properties/2026-09/contacts";

/// Exports a person, and says what the request says at its end.
async fn request(door: &Door, person: &str) -> Value {
    let body = json!({"person": person});
    let asked = door.ok("POST", "/exports", Some(body)).await;
    let id = asked["requests"][0]["request"].as_str().unwrap().to_owned();
    ended(door, &id).await;
    door.ok("GET", &format!("/exports/{id}"), None).await
}

async fn values_of(p: &Planted, email: &str) -> Value {
    let contacts = live(p, "contacts").await;
    let contact = contacts
        .iter()
        .find(|contact| contact["properties"]["email"] == email);
    contact.unwrap()["properties"].clone()
}

/// How often HubSpot was asked for one definition.
async fn definitions_read(p: &Planted) -> usize {
    let all = p.tenant.requests().await;
    let one = |r: &&Value| {
        let path = r["path"].as_str().unwrap_or_default();
        r["method"] == "GET" && path.starts_with(&format!("{PROPERTIES}/"))
    };
    all.iter().filter(one).count()
}

fn options(options: &[(&str, &str)]) -> Value {
    let options: Vec<Value> = options
        .iter()
        .map(|(value, label)| json!({"value": value, "label": label}))
        .collect();
    json!({"options": options})
}

#[tokio::test]
async fn options_are_read_again_when_hubspot_refuses_one_and_what_is_gone_is_left_out() {
    let p = Planted::new().await;
    let mut segment = options(&[("small", "Small"), ("large", "Large")]);
    for (name, value) in [
        ("name", "segment"),
        ("label", "Segment"),
        ("groupName", "contactinformation"),
        ("type", "enumeration"),
        ("fieldType", "select"),
    ] {
        segment[name] = json!(value);
    }
    p.hubspot("POST", PROPERTIES, Some(segment)).await;
    let doomed = json!({"name": "doomed", "label": "Doomed", "groupName": "contactinformation",
        "type": "string", "fieldType": "text"});
    p.hubspot("POST", PROPERTIES, Some(doomed)).await;
    let door = p.connect().await;
    change_settings(&door, |settings| {
        let rows = settings["contacts"].as_array_mut().unwrap();
        for (field, property) in [("seniority", "segment"), ("department", "doomed")] {
            rows.push(json!({"app_field": field, "property": property, "export": "overwrite"}));
        }
    })
    .await;
    let person = |id: &str, segment: &str, department: Option<&str>| {
        json!({"id": id, "version": 1, "email": format!("{id}@options-e4.com"),
            "fields": {"seniority": segment, "department": department, "first_name": "Ann"}})
    };
    door.people(json!([
        person("renamed", "Large", None),
        person("added", "Medium", None),
        person("removed", "large", None),
        person("vanished", "small", Some("Sales")),
        person("after", "small", Some("Sales")),
    ]))
    .await;
    let path = format!("{PROPERTIES}/segment");
    let changed = options(&[("small", "Small"), ("l", "Large"), ("m", "Medium")]);
    p.hubspot("PATCH", &path, Some(changed)).await;
    let done = request(&door, "renamed").await;
    assert_eq!(done["outcome"]["state"], "exported", "{done}");
    assert_eq!(done["properties"], Value::Null, "{done}");
    let values = values_of(&p, "renamed@options-e4.com").await;
    assert_eq!(values["segment"], "l");
    // What one export found out holds for the others.
    let (reads, before) = (definitions_read(&p).await, writes(&p).await);
    assert_eq!(reads, 1);
    let done = request(&door, "added").await;
    assert_eq!(done["outcome"]["state"], "exported", "{done}");
    let values = values_of(&p, "added@options-e4.com").await;
    assert_eq!(values["segment"], "m");
    assert_eq!(writes(&p).await, before + 1);
    // An option that is gone: its row is left out and shown, the rest is written.
    p.hubspot("PATCH", &path, Some(options(&[("small", "Small")])))
        .await;
    let done = request(&door, "removed").await;
    assert_eq!(done["outcome"]["state"], "exported", "{done}");
    assert_eq!(done["properties"], json!(["segment"]), "{done}");
    assert_eq!(done["code"], "HS-2301", "{done}");
    let values = values_of(&p, "removed@options-e4.com").await;
    assert_eq!(
        (&values["firstname"], &values["segment"]),
        (&json!("Ann"), &Value::Null)
    );
    // A property that is gone.
    p.hubspot("DELETE", &format!("{PROPERTIES}/doomed"), None)
        .await;
    let done = request(&door, "vanished").await;
    assert_eq!(done["outcome"]["state"], "exported", "{done}");
    assert_eq!(done["properties"], json!(["doomed"]), "{done}");
    assert_eq!(done["code"], "HS-2101", "{done}");
    let values = values_of(&p, "vanished@options-e4.com").await;
    assert_eq!(
        (&values["firstname"], &values["segment"]),
        (&json!("Ann"), &json!("small"))
    );
    assert_eq!(definitions_read(&p).await, reads + 2);
    let before = writes(&p).await;
    let done = request(&door, "after").await;
    assert_eq!(done["outcome"]["state"], "exported", "{done}");
    assert_eq!(writes(&p).await, before + 1, "nothing is tried in vain");
}

#[tokio::test]
async fn a_row_that_is_fought_over_is_paused_and_goes_on_when_somebody_says_so() {
    let p = Planted::new().await;
    let there = json!({"email": "fought@pause-e4.com", "jobtitle": "Theirs"});
    let contact = p.record("contacts", there, &[]).await;
    let door = p.connect().await;
    change_settings(&door, |settings| {
        for row in settings["contacts"].as_array_mut().unwrap() {
            if row["property"] == "jobtitle" {
                row["export"] = json!("overwrite");
            }
        }
    })
    .await;
    door.people(
        json!([{"id": "fought", "version": 1, "email": "fought@pause-e4.com",
        "fields": {"job_title": "Ours"}}]),
    )
    .await;
    let resume = json!({"person": "fought", "property": "jobtitle"});
    let title = async || values_of(&p, "fought@pause-e4.com").await["jobtitle"].clone();
    for _ in 0..3 {
        let refused = door
            .call("POST", "/exports/resume", Some(resume.clone()))
            .await;
        assert_eq!(refused.code(), "HS-2428", "{}", refused.body);
        let done = request(&door, "fought").await;
        assert_eq!(done["outcome"]["state"], "exported", "{done}");
        assert_eq!(title().await, "Ours");
        p.set("contacts", contact, json!({"jobtitle": "Theirs"}))
            .await;
    }
    let done = request(&door, "fought").await;
    assert_eq!(done["outcome"]["state"], "exported", "{done}");
    assert_eq!(done["properties"], json!(["jobtitle"]), "{done}");
    assert_eq!(done["code"], "HS-2426", "{done}");
    assert_eq!(title().await, "Theirs");
    let nobody = json!({"person": "nobody", "property": "jobtitle"});
    let refused = door.call("POST", "/exports/resume", Some(nobody)).await;
    assert_eq!(refused.code(), "HS-4009", "{}", refused.body);
    let line = CommandLine::new(&p.tenant, &door);
    let resumed = line.run(&["exports", "resume", "fought", "jobtitle"]).await;
    assert_eq!(resumed.code, 0, "{resumed:?}");
    until("the row goes on", async || title().await == "Ours").await;
    let again = line.run(&["exports", "resume", "fought", "jobtitle"]).await;
    assert!(
        again.code != 0 && again.err.contains("HS-2428"),
        "{again:?}"
    );
}
