//! X8: the door for data: who may do what, keys that make a repetition harmless, the document.

use e2e::{
    Tenant,
    door::{Answer, Door},
    shared,
};
use serde_json::{Value, json};

async fn tenant(people: &[&str]) -> (Tenant, Door) {
    let tenant = Tenant::new(&shared(), json!({"contacts": 1, "limits": "off"})).await;
    let door = Door::of(&tenant).await;
    let items: Vec<_> = people
        .iter()
        .map(|id| json!({"id": id, "version": 1}))
        .collect();
    if !items.is_empty() {
        door.people(json!(items)).await;
    }
    (tenant, door)
}

struct Operation {
    method: String,
    path: String,
    has_body: bool,
}

/// All operations of the OpenAPI document.
async fn operations(door: &Door) -> Vec<Operation> {
    let doc = door.raw("GET", "/openapi.json", None, None).await.body;
    assert_eq!(doc["openapi"], "3.1.0");
    let mut all = Vec::new();
    for (path, item) in doc["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if ["get", "put", "post", "delete"].contains(&method.as_str()) {
                all.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    has_body: !operation["requestBody"].is_null(),
                });
            }
        }
    }
    assert!(all.len() >= 25, "{}", all.len());
    all
}

/// A body that would do something.
fn body_for(path: &str) -> Value {
    let item = json!({"id": "intruder", "version": 9});
    match path.rsplit('/').next().unwrap() {
        "people" | "companies" | "members" => json!({"items": [item]}),
        "activities" => json!({"items": [{"id": "intruder", "version": 9, "person": "theirs",
            "at": "2026-01-01T00:00:00Z", "content": {"note": {"text": "x"}}}]}),
        "statuses" => json!({"items": [{"id": "theirs", "version": 9, "status": "replied"}]}),
        "outreach" => {
            json!({"items": [{"id": "theirs", "version": 9, "contacted_at": "2026-01-01T00:00:00Z"}]})
        }
        "custom-fields" => {
            json!({"items": [{"record": "person", "key": "custom.x", "label": "X", "field_type": "text"}]})
        }
        "settings" => json!({"expected_revision": 0, "settings": {"schema_version": 2}}),
        "check" => json!({"settings": {"schema_version": 2}}),
        "exports" | "preview" => json!({"person": "theirs"}),
        "revert" => json!({"property": "city"}),
        "bulk" => json!({"whom": {"select": "people", "people": ["theirs"]}}),
        "bulk-exports" => json!({"people": ["theirs"]}),
        "erasures" => json!({"person": "theirs"}),
        "tokens" => json!({"name": "stolen"}),
        "connect" => json!({"admin": dev::demo::ADMIN}),
        _ => json!({}),
    }
}

/// Everything that can be seen of a workspace.
async fn everything(door: &Door) -> Vec<Value> {
    let mut all = Vec::new();
    for path in [
        "/people",
        "/companies",
        "/members",
        "/exports",
        "/fields",
        "/settings",
    ] {
        all.push(door.ok("GET", path, None).await);
    }
    let status = door.ok("GET", "/hubspot/status", None).await;
    all.push(status["state"].clone());
    all
}

fn told(answer: &Answer) -> (u16, Value) {
    (answer.status, answer.body.clone())
}

#[tokio::test]
async fn another_workspace_does_not_exist_whatever_is_tried() {
    let (_mine, my_door) = tenant(&["mine"]).await;
    let (theirs, their_door) = tenant(&["theirs"]).await;
    let request = their_door
        .ok("POST", "/exports", Some(json!({"person": "theirs"})))
        .await["requests"][0]["request"]
        .as_str()
        .unwrap()
        .to_owned();
    let tokens = Door::of_installation(&theirs)
        .ok("GET", "/tokens", None)
        .await;
    let token = tokens[0]["id"].as_str().unwrap().to_owned();
    let before = everything(&their_door).await;
    let unknown = uuid::Uuid::new_v4().to_string();
    for operation in operations(&my_door).await {
        let path = operation
            .path
            .trim_start_matches("/workspaces/{workspace}")
            .replace("{person}", "theirs")
            .replace("{company}", "theirs")
            .replace("{member}", "theirs")
            .replace("{request}", &request)
            .replace("{consent}", &request)
            .replace("{entry}", &request)
            .replace("{revert}", &request)
            .replace("{bulk}", &request)
            .replace("{list}", "1")
            .replace("{token}", &token);
        assert!(
            !path.contains('{'),
            "{path}: an id that this test does not know"
        );
        let body = operation.has_body.then(|| body_for(&operation.path));
        let method = operation.method.as_str();
        let at_theirs = my_door
            .at(&theirs.id())
            .call(method, &path, body.clone())
            .await;
        let nowhere = my_door.at(&unknown).call(method, &path, body.clone()).await;
        assert_eq!(
            (at_theirs.status, at_theirs.code()),
            (404, "HS-1001"),
            "{method} {path}"
        );
        assert_eq!(told(&at_theirs), told(&nowhere), "{method} {path}");
        // Their ids are unknown in one's own workspace, too.
        if path.contains("theirs") || path.contains(&request) {
            let at_mine = my_door.call(method, &path, body.clone()).await;
            // What stands on HubSpot's records is asked of a workspace that was connected once.
            let of_hubspot = path.ends_with("/dnc") || path.ends_with("/deals");
            let told = (at_mine.status, at_mine.code());
            assert!(
                told == (404, "HS-4009") || (of_hubspot && told == (409, "HS-1003")),
                "{method} {path}: {told:?}"
            );
        }
        // And without a token, or with one that is none, there is nothing at all.
        for bad in ["", "hst_0123456789", "nonsense"] {
            let refused = their_door
                .with_token(bad)
                .call(method, &path, body.clone())
                .await;
            assert_eq!(
                (refused.status, refused.code()),
                (401, "HS-4002"),
                "{method} {path}"
            );
        }
    }
    assert_eq!(everything(&their_door).await, before);
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked_by_the_installation_only() {
    let (tenant, door) = tenant(&[]).await;
    for (method, path, body) in [
        ("POST", "/tokens", Some(json!({"name": "more"}))),
        ("GET", "/tokens", None),
        (
            "DELETE",
            "/tokens/01890a5d-ac96-774b-bcce-b302099a8057",
            None,
        ),
        ("POST", "/purge", None),
    ] {
        let refused = door.call(method, path, body).await;
        assert_eq!((refused.status, refused.code()), (403, "HS-4006"), "{path}");
    }
    let installation = Door::of_installation(&tenant);
    let listed = installation.ok("GET", "/tokens", None).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert!(!listed.to_string().contains(door.token()));
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(door.call("GET", "/people", None).await.status, 200);
    let revoked = installation
        .call("DELETE", &format!("/tokens/{id}"), None)
        .await;
    assert_eq!(revoked.status, 204);
    let refused = door.call("GET", "/people", None).await;
    assert_eq!((refused.status, refused.code()), (401, "HS-4002"));
}

#[tokio::test]
async fn a_repeated_call_gets_the_first_answer_and_does_nothing() {
    let (_tenant, door) = tenant(&["p1"]).await;
    let body = json!({"person": "p1"});
    let first = door
        .keyed("POST", "/exports", Some(body.clone()), Some("key-1"))
        .await;
    assert_eq!((first.status, first.replayed), (202, false));
    let again = door
        .keyed("POST", "/exports", Some(body.clone()), Some("key-1"))
        .await;
    assert_eq!((again.status, again.replayed), (202, true));
    assert_eq!(again.body, first.body);
    let other = door
        .keyed(
            "POST",
            "/exports",
            Some(json!({"person": "p2"})),
            Some("key-1"),
        )
        .await;
    assert_eq!((other.status, other.code()), (422, "HS-4008"));
    let listed = door.ok("GET", "/exports", None).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);

    // Many at once: done once, and everybody gets that answer or is told to wait for it.
    let all: Vec<_> = (0..8)
        .map(|_| {
            let (door, body) = (door.clone(), body.clone());
            tokio::spawn(async move {
                door.keyed("POST", "/exports", Some(body), Some("key-2"))
                    .await
            })
        })
        .collect();
    for one in all {
        let answer = one.await.unwrap();
        assert!(
            answer.status == 202 || answer.code() == "HS-4007",
            "{answer:?}"
        );
    }
    let listed = door.ok("GET", "/exports", None).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let bad = door
        .keyed("POST", "/exports", Some(body), Some("a key with spaces"))
        .await;
    assert_eq!((bad.status, bad.code()), (422, "HS-4001"));
}

/// The front door dies after the effect of a call and before its answer is kept: the row of the key
/// is as the dead one left it, a minute later.
async fn answer_is_lost(tenant: &Tenant, key: &str) {
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let changed = client
        .execute(
            "update idempotency_key
             set status = null, content_type = null, answer = null, taken_at = now() - interval '61 seconds'
             where workspace_id::text = $1 and idempotency_key = $2",
            &[&tenant.id(), &key],
        )
        .await
        .unwrap();
    assert_eq!(changed, 1);
}

#[tokio::test]
async fn a_call_that_died_before_its_answer_was_kept_has_one_effect_when_sent_again() {
    let (tenant, door) = tenant(&["p1", "p2", "p3"]).await;
    let body = json!({"people": ["p3", "p1", "nobody", "p2"]});
    let calls = [
        ("/bulk-exports", body, "bulk"),
        ("/exports", json!({"person": "p1"}), "one"),
    ];
    for (path, body, key) in calls {
        let first = door
            .keyed("POST", path, Some(body.clone()), Some(key))
            .await;
        assert_eq!((first.status, first.replayed), (202, false));
        answer_is_lost(&tenant, key).await;
        let again = door.keyed("POST", path, Some(body), Some(key)).await;
        assert_eq!((again.status, again.replayed), (202, false));
        assert_eq!(again.body, first.body);
    }
    let listed = door.ok("GET", "/exports", None).await;
    let people: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["person"].as_str().unwrap())
        .collect();
    assert_eq!(people, ["p3", "p1", "nobody", "p2", "p1"]);
}

#[tokio::test]
async fn what_is_wrong_is_named_without_its_value() {
    let (tenant, door) = tenant(&[]).await;
    for (method, path, body, status, code, named) in [
        ("POST", "/exports", "{", 422, "HS-4001", "JSON"),
        (
            "POST",
            "/exports",
            r#"{"person":"sekret@example.com"}"#,
            422,
            "HS-4001",
            "person",
        ),
        ("POST", "/erasures", "{}", 422, "HS-4001", "person"),
        (
            "POST",
            "/erasures",
            r#"{"email":"sekret"}"#,
            422,
            "HS-4001",
            "email",
        ),
        (
            "POST",
            "/people",
            r#"{"people":[]}"#,
            422,
            "HS-4001",
            "people",
        ),
        ("PUT", "/people", "{}", 405, "HS-4004", "method"),
        ("GET", "/nothing", "", 404, "HS-4003", "nothing"),
        (
            "GET",
            "/people/sekret%40example.com",
            "",
            422,
            "HS-4001",
            "person",
        ),
        ("GET", "/people/%FF%FE", "", 422, "HS-4001", ""),
        ("GET", "/exports/sekret", "", 422, "HS-4001", "request"),
    ] {
        let answer = door
            .raw(
                method,
                &format!("/workspaces/{}{path}", tenant.id()),
                (!body.is_empty()).then(|| body.to_owned()),
                None,
            )
            .await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{method} {path}: {}",
            answer.body
        );
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(named), "{path}: {detail}");
        assert!(!detail.contains("sekret"), "{path}: {detail}");
    }
}
