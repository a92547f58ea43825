//! X8: whatever Postgres would refuse of an input is refused at the border, with its field; nothing is
//! changed, and nothing answers "the database did not do it".

use e2e::{Tenant, door::Door, shared};
use serde_json::{Value, json};

/// A call whose input is odd, and what the refusal names.
struct Odd {
    method: &'static str,
    path: &'static str,
    body: Option<String>,
    names: &'static str,
}

fn call(method: &'static str, path: &'static str, names: &'static str, body: Value) -> Odd {
    Odd {
        method,
        path,
        body: Some(body.to_string()),
        names,
    }
}

fn raw(path: &'static str, names: &'static str, body: &str) -> Odd {
    Odd {
        method: "POST",
        path,
        body: Some(body.to_owned()),
        names,
    }
}

fn get(path: &'static str, names: &'static str) -> Odd {
    Odd {
        method: "GET",
        path,
        body: None,
        names,
    }
}

const NUL: &str = "a\0b";

/// Times that no call means.
const TIMES: [&str; 6] = [
    "-5000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "1899-12-31T23:59:59Z",
    "2201-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "+262142-12-31T23:59:59Z",
];

fn calls() -> Vec<Odd> {
    let settings = |change: Value| {
        let mut settings = json!({"schema_version": 2});
        settings
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        json!({"expected_revision": 0, "settings": settings})
    };
    let mut all: Vec<Odd> = TIMES
        .iter()
        .map(|since| {
            call(
                "POST",
                "/hubspot/resync",
                "1900 to 2200",
                json!({"mode": {"mode": "since", "since": since}}),
            )
        })
        .collect();
    all.extend([
        call(
            "POST",
            "/hubspot/resync",
            "mode",
            json!({"mode": {"mode": "since", "since": 1}}),
        ),
        call("POST", "/hubspot/resync", "types", json!({"types": [NUL]})),
        call("POST", "/hubspot/connect", "admin", json!({"admin": NUL})),
        call(
            "POST",
            "/hubspot/connect",
            "access_token",
            json!({"admin": dev::demo::ADMIN, "access_token": NUL}),
        ),
        call("POST", "/exports", "person", json!({"person": NUL})),
        call("POST", "/bulk-exports", "people", json!({"people": [NUL]})),
        call("POST", "/erasures", "person", json!({"person": NUL})),
        call(
            "POST",
            "/erasures",
            "email",
            json!({"email": "İSMAİL@firma.com.tr"}),
        ),
        call(
            "POST",
            "/erasures",
            "email",
            json!({"email": "a\0@b.example"}),
        ),
        call(
            "PUT",
            "/settings",
            "expected_revision",
            json!({"expected_revision": -1, "settings": {"schema_version": 2}}),
        ),
        call(
            "PUT",
            "/settings",
            "contacts",
            settings(json!({"contacts": [{"app_field": "city", "property": NUL}]})),
        ),
        call(
            "PUT",
            "/settings",
            "fallback_owner",
            settings(json!({"owners": {"fallback_owner": -1}})),
        ),
        call(
            "PUT",
            "/settings",
            "interval_minutes",
            settings(json!({"import": {"interval_minutes": 4_294_967_296_u64}})),
        ),
        call(
            "PUT",
            "/settings",
            "label",
            settings(json!({"activities": {"label": NUL}})),
        ),
        call(
            "PUT",
            "/settings",
            "pipeline",
            settings(
                json!({"dnc": {"open_deal": {"pipelines": [{"pipeline": NUL, "stages": []}]}}}),
            ),
        ),
        raw(
            "/people",
            "version",
            r#"{"items":[{"id":"a","version":9223372036854775808}]}"#,
        ),
        raw(
            "/people",
            "version",
            r#"{"items":[{"id":"a","version":-1}]}"#,
        ),
        raw(
            "/people",
            "version",
            r#"{"items":[{"id":"a","version":1e30}]}"#,
        ),
        raw(
            "/people",
            "fields.lead_score",
            r#"{"items":[{"id":"a","version":1,"fields":{"lead_score":"NaN"}}]}"#,
        ),
        get("/people?limit=0", "limit"),
        get("/people?limit=99999999999", "limit"),
        get("/people?limit=-1", "limit"),
        get("/people?after=%00", "after"),
        get("/people?after=%F0%9F%98%80", "after"),
        get("/people?after=a%20b", "after"),
        get("/companies?after=%00", "after"),
        get("/members?after=%00", "after"),
        get("/owners?after=-5", "after"),
        get("/owners?after=99999999999999999999", "after"),
        get("/exports?after=1", "after"),
        get("/exports?person=%00", "person"),
        get("/exports?state=%00", "state"),
        get("/people/%00", "person"),
        get("/people/a%00b", "person"),
        get("/companies/%00", "company"),
        get("/members/%00", "member"),
        get("/exports/%00", "request"),
    ]);
    all
}

/// Items of a bulk call that are refused alone, and the field that the refusal names.
fn items() -> Vec<(&'static str, Value, &'static str)> {
    let mut all = vec![
        ("/people", json!({"id": NUL, "version": 1}), "id"),
        (
            "/people",
            json!({"id": "a", "version": 1, "email": "a\0@b.example"}),
            "email",
        ),
        (
            "/people",
            json!({"id": "a", "version": 1, "email": "İSMAİL@firma.com.tr"}),
            "email",
        ),
        (
            "/people",
            json!({"id": "a", "version": 1, "company": NUL}),
            "company",
        ),
        (
            "/people",
            json!({"id": "a", "version": 1, "owner": NUL}),
            "owner",
        ),
        (
            "/people",
            json!({"id": "a", "version": 1, "status": NUL}),
            "status",
        ),
        (
            "/people",
            json!({"id": "a", "version": 1, "fields": {"city": NUL}}),
            "fields.city",
        ),
        (
            "/people",
            json!({"id": "a", "version": 1, "fields": {"tags": [NUL]}}),
            "fields.tags",
        ),
        ("/companies", json!({"id": NUL, "version": 1}), "id"),
        (
            "/companies",
            json!({"id": "a", "version": 1, "fields": {"name": NUL}}),
            "fields.name",
        ),
        ("/members", json!({"id": NUL, "version": 1}), "id"),
        (
            "/members",
            json!({"id": "a", "version": 1, "name": NUL}),
            "name",
        ),
        (
            "/members",
            json!({"id": "a", "version": 1, "email": NUL}),
            "email",
        ),
        (
            "/statuses",
            json!({"id": NUL, "version": 1, "status": "replied"}),
            "id",
        ),
        ("/outreach", json!({"id": NUL, "version": 1}), "id"),
    ];
    for at in [
        "-5000-01-01T00:00:00Z",
        "+262142-12-31T23:59:59Z",
        "+10000-01-01T00:00:00Z",
    ] {
        all.push((
            "/outreach",
            json!({"id": "a", "version": 1, "contacted_at": at}),
            "contacted_at",
        ));
        all.push((
            "/people",
            json!({"id": "a", "version": 1, "replied_at": at}),
            "replied_at",
        ));
    }
    all
}

#[tokio::test]
async fn odd_input_is_refused_at_the_border_with_its_field() {
    let tenant = Tenant::new(&shared(), json!({"contacts": 1, "limits": "off"})).await;
    let door = Door::of(&tenant).await;
    let of_installation = Door::of_installation(&tenant);
    let before = door.ok("GET", "/people", None).await;
    for odd in calls() {
        let path = format!("/workspaces/{}{}", tenant.id(), odd.path);
        let answer = door.raw(odd.method, &path, odd.body.clone(), None).await;
        let shown = format!(
            "{} {} {:?}: {} {}",
            odd.method, odd.path, odd.body, answer.status, answer.body
        );
        // A bulk call refuses its item, and is answered.
        let refused = answer.status == 200 && answer.body["items"][0]["outcome"] == "refused";
        assert!(refused || (400..500).contains(&answer.status), "{shown}");
        assert!(answer.body.to_string().contains(odd.names), "{shown}");
    }
    for (path, item, field) in items() {
        let body = json!({"items": [item, {"id": "fine", "version": 1, "status": "replied"}]});
        let answer = door.call("POST", path, Some(body)).await;
        let shown = format!("{path} {item}: {} {}", answer.status, answer.body);
        let problem = &answer.body["items"][0]["problem"];
        assert!(answer.status == 200 || answer.status == 422, "{shown}");
        if answer.status == 200 {
            assert_eq!(problem["field"], field, "{shown}");
        } else {
            assert!(answer.body.to_string().contains(field), "{shown}");
        }
    }
    let name = json!({"name": NUL});
    let token = of_installation.call("POST", "/tokens", Some(name)).await;
    assert_eq!(
        (token.status, token.body.to_string().contains("name")),
        (422, true)
    );
    let fields = json!({"items": [{"record": "person", "key": "custom.x", "label": NUL, "field_type": "text"}]});
    let answer = door.call("POST", "/custom-fields", Some(fields)).await;
    assert_eq!(
        answer.body["items"][0]["problem"]["code"], "HS-2210",
        "{}",
        answer.body
    );
    // Nothing of it is there, and the database was not even asked.
    let after = door.ok("GET", "/people", None).await;
    let ids = |page: &Value| {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["id"].to_string())
            .collect::<Vec<_>>()
    };
    assert!(
        ids(&after)
            .iter()
            .all(|id| id == "\"fine\"" || ids(&before).contains(id)),
        "{after}"
    );
    door.ok("GET", "/settings", None).await;
}
