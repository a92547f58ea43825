//! E1: the app's people come in by HTTP, and requests to export them become rows.

use e2e::{Tenant, door::Door, shared};
use serde_json::json;

async fn tenant() -> (Tenant, Door) {
    let tenant = Tenant::new(&shared(), json!({"contacts": 5, "limits": "off"})).await;
    let door = Door::of(&tenant).await;
    (tenant, door)
}

#[tokio::test]
async fn a_bulk_has_an_outcome_for_each_item_and_the_good_ones_go_in() {
    let (_tenant, door) = tenant().await;
    let items = json!([
        {"id": "p1", "version": 1, "email": " Ann@Example.COM ", "fields": {"first_name": "Ann", "lead_score": 7}},
        {"id": "p2", "version": 1, "email": "no address"},
        {"id": "who@example.com", "version": 1},
        {"id": "p3", "version": 1, "fields": {"shoe_size": 44}},
        {"id": "p4", "version": "one"},
        {"id": "p5", "version": 1, "status": "in_love"},
        {"id": "p6", "version": 1},
    ]);
    let answer = door
        .ok("POST", "/people", Some(json!({"items": items})))
        .await;
    assert_eq!(
        answer["counts"],
        json!({"created": 2, "updated": 0, "unchanged": 0, "stale": 0, "refused": 5, "erased": 0})
    );
    let codes: Vec<&str> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["problem"]["code"].as_str().unwrap_or("-"))
        .collect();
    assert_eq!(
        codes,
        [
            "-", "HS-2202", "HS-2201", "HS-2203", "HS-2216", "HS-2206", "-"
        ]
    );
    let ann = door.ok("GET", "/people/p1", None).await;
    assert_eq!(ann["email"], "ann@example.com");
    assert_eq!(ann["fields"]["lead_score"], 7);
    let missing = door.call("GET", "/people/p2", None).await;
    assert_eq!((missing.status, missing.code()), (404, "HS-4009"));
}

#[tokio::test]
async fn older_versions_never_overwrite_newer_ones_and_parts_add_up() {
    let (_tenant, door) = tenant().await;
    let put = |version: u64, title: &str| json!([{"id": "p1", "version": version, "fields": {"job_title": title}}]);
    assert_eq!(door.people(put(5, "Head")).await, ["created"]);
    assert_eq!(door.people(put(5, "Head")).await, ["unchanged"]);
    assert_eq!(door.people(put(4, "Assistant")).await, ["stale"]);
    assert_eq!(door.people(put(5, "Chief")).await, ["refused"]);
    assert_eq!(door.people(put(6, "Chief")).await, ["updated"]);
    let status = json!({"items": [{"id": "p1", "version": 7, "status": "replied"}]});
    let outreach =
        json!({"items": [{"id": "p1", "version": 2, "replied_at": "2026-11-20T10:00:00Z"}]});
    let done = door.ok("POST", "/statuses", Some(status)).await;
    assert_eq!(done["counts"]["updated"], 1);
    // Older than the rest, but the first that says anything of this fact.
    let done = door.ok("POST", "/outreach", Some(outreach)).await;
    assert_eq!(done["counts"]["updated"], 1);
    let person = door.ok("GET", "/people/p1", None).await;
    assert_eq!(
        (
            &person["status"],
            &person["fields"]["job_title"],
            &person["version"]
        ),
        (&json!("replied"), &json!("Chief"), &json!(7))
    );
    assert!(
        person["replied_at"]
            .as_str()
            .unwrap()
            .starts_with("2026-11-20")
    );
}

#[tokio::test]
async fn listings_come_in_pages_that_miss_nobody() {
    let (_tenant, door) = tenant().await;
    let items: Vec<_> = (0..25)
        .map(|n| json!({"id": format!("p{n:02}"), "version": 1}))
        .collect();
    door.people(json!(items)).await;
    let mut seen = Vec::new();
    let mut path = "/people?limit=10".to_owned();
    loop {
        let page = door.ok("GET", &path, None).await;
        for person in page["items"].as_array().unwrap() {
            seen.push(person["id"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/people?limit=10&after={next}"),
            None => break,
        }
    }
    let all: Vec<String> = (0..25).map(|n| format!("p{n:02}")).collect();
    assert_eq!(seen, all);
    for bad in [
        "/people?limit=0",
        "/people?limit=1001",
        "/people?page=2",
        "/people?after=a%20b",
    ] {
        let refused = door.call("GET", bad, None).await;
        assert_eq!((refused.status, refused.code()), (422, "HS-4001"), "{bad}");
    }
}

#[tokio::test]
async fn too_much_at_once_is_refused_whole() {
    let (_tenant, door) = tenant().await;
    let items: Vec<_> = (0..1_001)
        .map(|n| json!({"id": format!("p{n}"), "version": 1}))
        .collect();
    let refused = door
        .call("POST", "/people", Some(json!({"items": items})))
        .await;
    assert_eq!((refused.status, refused.code()), (422, "HS-4010"));
    let big = json!({"items": [{"id": "p1", "version": 1, "fields": {"headline": "x".repeat(9_000_000)}}]});
    let refused = door.call("POST", "/people", Some(big)).await;
    assert_eq!((refused.status, refused.code()), (413, "HS-4005"));
    let nothing = door
        .call("POST", "/people", Some(json!({"items": []})))
        .await;
    assert_eq!((nothing.status, nothing.code()), (422, "HS-4001"));
    assert_eq!(door.ok("GET", "/people", None).await["items"], json!([]));
}

#[tokio::test]
async fn own_fields_are_made_once_and_hold_their_type() {
    let (_tenant, door) = tenant().await;
    let field = |kind: &str| json!({"items": [{"record": "person", "key": "custom.tool", "label": "Tool", "field_type": kind}]});
    let made = door.ok("POST", "/custom-fields", Some(field("list"))).await;
    assert_eq!(made["items"][0]["outcome"], "created");
    let other = door.ok("POST", "/custom-fields", Some(field("text"))).await;
    assert_eq!(other["items"][0]["problem"]["code"], "HS-2210");
    let fields = door.ok("GET", "/fields", None).await;
    assert!(
        fields["fields"]
            .as_array()
            .unwrap()
            .iter()
            .any(|f| f["key"] == "custom.tool" && f["field_type"] == "list")
    );
    assert_eq!(fields["statuses"].as_array().unwrap().len(), 12);
    let items = json!([
        {"id": "p1", "version": 1, "fields": {"custom.tool": ["b", "a", "b"]}},
        {"id": "p2", "version": 1, "fields": {"custom.tool": "a"}},
    ]);
    assert_eq!(door.people(items).await, ["created", "refused"]);
    let person = door.ok("GET", "/people/p1", None).await;
    assert_eq!(person["fields"]["custom.tool"], json!(["a", "b"]));
}

/// X1: a request is a row with its state from the first moment. What drains the rows is not built
/// yet, so they stay.
#[tokio::test]
async fn requests_to_export_are_rows() {
    let (tenant, door) = tenant().await;
    door.people(json!([{"id": "p1", "version": 1, "email": "p1@example.com"}]))
        .await;
    let unknown = door
        .call("POST", "/exports", Some(json!({"person": "nobody"})))
        .await;
    assert_eq!((unknown.status, unknown.code()), (404, "HS-4009"));
    let early = door
        .call("POST", "/exports", Some(json!({"person": "p1"})))
        .await;
    assert_eq!(early.status, 202);
    assert_eq!(
        early.body["requests"][0]["outcome"],
        json!({"state": "waiting", "reason": "not_connected", "due": null})
    );
    tenant.connect().await;
    let many = json!({"people": ["p1", "p9"], "include_earlier": true});
    let bulk = door.ok("POST", "/bulk-exports", Some(many)).await;
    assert_eq!(bulk["requests"][0]["outcome"], json!({"state": "accepted"}));
    assert_eq!(
        bulk["requests"][1]["outcome"],
        json!({"state": "skipped", "reason": "unknown_person"})
    );
    let listed = door.ok("GET", "/exports?person=p1", None).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let id = bulk["requests"][0]["request"].as_str().unwrap();
    let one = door.ok("GET", &format!("/exports/{id}"), None).await;
    assert_eq!(one, bulk["requests"][0]);
    let twice = json!({"people": ["p1", "p1"]});
    let refused = door.call("POST", "/bulk-exports", Some(twice)).await;
    assert_eq!((refused.status, refused.code()), (422, "HS-4001"));
}
