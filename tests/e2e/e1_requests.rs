//! E1, E7: facts that come in over the door become requests to export by themselves; who qualified
//! earlier is counted, and what did not end well is asked for again.

use e2e::{
    Tenant,
    command_line::CommandLine,
    door::Door,
    planted::{Planted, change_settings},
    shared,
};
use serde_json::{Value, json};

/// Kinds and people of all requests, sorted.
async fn requests(door: &Door) -> Vec<String> {
    let listed = door.ok("GET", "/exports?limit=1000", None).await;
    let mut all: Vec<String> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            let text = |key: &str| r[key].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("kind"), text("person"))
        })
        .collect();
    all.sort();
    all
}

fn said(id: &str, version: u64, more: Value) -> Value {
    let mut item = json!({"id": id, "version": version, "email": format!("{id}@example.com")});
    for (key, value) in more.as_object().unwrap() {
        item[key] = value.clone();
    }
    item
}

#[tokio::test]
async fn facts_become_requests_from_the_moment_the_policy_is_in_force() {
    let portal = Planted::new().await;
    let door = portal.connect().await;
    let then = chrono::Utc::now();
    let early = json!({"replied_at": then, "status": "interested"});
    door.people(json!([said("early", 1, early.clone())])).await;
    assert_eq!(requests(&door).await, [""; 0]);
    let summary = door.ok("GET", "/exports/summary", None).await;
    assert_eq!(summary["settings_saved"], false);
    assert_eq!(summary["in_force_since"], Value::Null);
    let one = json!({"people": 1, "qualified_earlier": 1, "more": false});
    assert_eq!(summary["qualifying"], one);

    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!("replied");
        settings["status"] = json!({
            "property": "hs_lead_status", "rows": [{"status": "interested", "value": "OPEN"}],
        });
    })
    .await;
    // Saving exports nobody, nor does another fact about somebody who qualified earlier.
    let more =
        json!({"fields": {"job_title": "Head"}, "replied_positively_at": chrono::Utc::now()});
    door.people(json!([said("early", 2, more)])).await;
    assert_eq!(requests(&door).await, [""; 0]);

    let now = chrono::Utc::now();
    let items = json!([
        said("contacted", 1, json!({"contacted_at": now})),
        said(
            "replied",
            1,
            json!({"replied_at": now, "status": "interested"})
        ),
        said("noted", 1, json!({"status": "interested"})),
        said("silent", 1, json!({"status": "contacted"})),
    ]);
    door.people(items.clone()).await;
    let want = ["policy replied", "status noted", "status replied"];
    assert_eq!(requests(&door).await, want);
    door.people(items).await;
    assert_eq!(requests(&door).await, want);
    let outreach = json!({"items": [{"id": "contacted", "version": 2, "replied_at": now}]});
    door.ok("POST", "/outreach", Some(outreach)).await;
    let mut want: Vec<&str> = want.into();
    want.insert(0, "policy contacted");
    assert_eq!(requests(&door).await, want);

    let summary = door.ok("GET", "/exports/summary", None).await;
    assert_eq!(summary["settings_saved"], true);
    assert_eq!(summary["policy"], "replied");
    let three = json!({"people": 3, "qualified_earlier": 1, "more": false});
    assert_eq!(summary["qualifying"], three);
}

#[tokio::test]
async fn a_request_that_cannot_go_on_is_listed_and_asked_for_again() {
    let tenant = Tenant::new(&shared(), json!({"contacts": 0, "limits": "off"})).await;
    let door = Door::of(&tenant).await;
    door.people(json!([said("p1", 1, json!({}))])).await;
    let unknown = json!({"people": ["p2"]});
    let bulk = door.ok("POST", "/bulk-exports", Some(unknown)).await;
    let id = bulk["requests"][0]["request"].as_str().unwrap().to_owned();
    let retry = format!("/exports/{id}/retry");
    let skipped = json!({"state": "skipped", "reason": "unknown_person"});
    let again = door.ok("POST", &retry, None).await;
    assert_eq!(again["outcome"], skipped);
    let many = json!({"reason": "unknown_person"});
    let none = json!({"retried": 0, "more": false});
    let done = door.ok("POST", "/exports/retry", Some(many.clone())).await;
    assert_eq!(done, none);
    // They are known now.
    door.people(json!([said("p2", 1, json!({}))])).await;
    let done = door.ok("POST", "/exports/retry", Some(many.clone())).await;
    assert_eq!(done, json!({"retried": 1, "more": false}));
    assert_eq!(door.ok("POST", "/exports/retry", Some(many)).await, none);
    let waits = json!({"state": "waiting", "reason": "not_connected", "due": null});
    let one = door.ok("GET", &format!("/exports/{id}"), None).await;
    assert_eq!(one["outcome"], waits);
    assert_eq!(door.ok("POST", &retry, None).await["outcome"], waits);

    for (method, path, body, status, code) in [
        (
            "POST",
            "/exports/retry",
            json!({"reason": "exported"}),
            422,
            "HS-4001",
        ),
        (
            "POST",
            "/exports/retry",
            json!({"all": true}),
            422,
            "HS-4001",
        ),
        (
            "POST",
            "/exports/nonsense/retry",
            Value::Null,
            422,
            "HS-4001",
        ),
        (
            "POST",
            "/exports/01890a5d-ac96-774b-bcce-b302099a8057/retry",
            Value::Null,
            404,
            "HS-4009",
        ),
    ] {
        let body = (!body.is_null()).then_some(body);
        let refused = door.call(method, path, body).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{path}");
    }

    let terminal = CommandLine::new(&tenant, &door);
    let listed = terminal.run(&["exports", "list", "--person", "p2"]).await;
    assert_eq!(listed.code, 0, "{listed:?}");
    let line = listed.out.lines().nth(1).unwrap();
    assert!(
        line.starts_with(&id) && line.contains("\tbulk\tp2\twaiting\tnot_connected\t"),
        "{line}"
    );
    let retried = terminal.run(&["exports", "retry", &id]).await;
    assert_eq!(retried.code, 0, "{retried:?}");
    assert_eq!(retried.out.lines().nth(1).unwrap(), line);
    let retried = terminal.run(&["exports", "retry"]).await;
    assert_eq!(retried.out, "0 requests go on again\n");
    let wrong = terminal.run(&["exports", "retry", "--reason", "why"]).await;
    assert_eq!(wrong.code, 2, "{wrong:?}");
    let summary = terminal.run(&["exports", "summary"]).await;
    assert!(
        summary.out.contains("waiting\tnot_connected\t1"),
        "{summary:?}"
    );
}
