//! X8: whatever is sent to `/api/v1`, what comes back is documented, and nobody gets at what is not
//! theirs. Schemathesis makes up the requests, from the OpenAPI document.

use std::time::Duration;

use e2e::{
    Tenant,
    door::Door,
    exports::is_final,
    profiles::until,
    script::Script,
    seen::{everything, logged},
    shared,
};
use serde_json::json;

/// Requests of the usual run, and of the long one.
const AT_LEAST: usize = 1_000;
const AT_LEAST_IN_SOAK: usize = 10_000;

async fn tenant() -> (Tenant, Door) {
    let size = json!({"contacts": 30, "companies": 10, "deals": 5, "owners": 3, "lists": 1, "limits": "off"});
    let tenant = Tenant::new(&shared(), size).await;
    let door = Door::of(&tenant).await;
    let people = json!([
        {"id": "p1", "version": 1, "email": "ann@mail.example.org", "status": "replied", "fields": {"first_name": "Ann"}},
        {"id": "p2", "version": 1, "company": "c1", "owner": "m1"},
    ]);
    assert_eq!(door.people(people).await, ["created", "created"]);
    for (path, item) in [
        (
            "/companies",
            json!({"id": "c1", "version": 1, "fields": {"name": "Acme"}}),
        ),
        ("/members", json!({"id": "m1", "version": 1, "name": "May"})),
    ] {
        door.ok("POST", path, Some(json!({"items": [item]}))).await;
    }
    door.ok("POST", "/exports", Some(json!({"person": "p1"})))
        .await;
    (tenant, door)
}

#[tokio::test]
async fn whatever_is_sent_the_answer_is_documented_and_others_are_untouched() {
    let (connected, door) = tenant().await;
    connected.connect().await;
    let (unconnected, unconnected_door) = tenant().await;
    let (theirs, their_door) = tenant().await;
    theirs.connect().await;
    for tenant in [&connected, &theirs] {
        tenant
            .wait_for_phase("syncing", Duration::from_secs(60))
            .await;
    }
    // What was asked for before they were connected goes on by itself.
    until("their exports end", async || {
        let listed = their_door.ok("GET", "/exports", None).await;
        let all = listed["items"].as_array().unwrap();
        all.iter().all(|row| is_final(&row["outcome"]))
    })
    .await;
    let before = everything(&their_door).await;
    let requests = logged(&theirs, "request");
    let said = Script::python("fuzz/fuzz.py")
        .env("FUZZ_CONNECTED", connected.id())
        .env("FUZZ_TOKEN", door.token())
        .env("FUZZ_UNCONNECTED", unconnected.id())
        .env("FUZZ_UNCONNECTED_TOKEN", unconnected_door.token())
        .env("FUZZ_THEIRS", theirs.id())
        .passes()
        .await;
    println!("{said}");
    let counted: usize = said
        .lines()
        .rev()
        .find_map(|line| line.strip_suffix(" requests"))
        .and_then(|line| line.split(' ').next_back())
        .unwrap()
        .parse()
        .unwrap();
    let soak = std::env::var("SOAK").is_ok_and(|soak| soak == "full");
    let wanted = if soak { AT_LEAST_IN_SOAK } else { AT_LEAST };
    assert!(counted >= wanted, "{counted} requests, not {wanted}");
    // The front door saw them, did not panic, and still serves; others' data is as it was.
    assert!(logged(&theirs, "request") - requests >= counted);
    assert_eq!(logged(&theirs, "panicked"), 0);
    assert_eq!(logged(&theirs, "shutting down"), 0);
    assert_eq!(everything(&their_door).await, before);
    assert!(everything(&door).await[0]["items"].is_array());
}
