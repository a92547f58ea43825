//! The rule engine.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{CONTACTS, Sim, until};

async fn rule(sim: &Sim, rule: Value) {
    let made = sim.control("POST", "faults", rule).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

async fn count(sim: &Sim) -> u64 {
    let portal = sim.control("GET", "", Value::Null).await.json();
    portal["objects"]["contacts"]["live"].as_u64().unwrap()
}

fn new(email: &str) -> Option<Value> {
    Some(json!({"properties": {"email": email}}))
}

#[tokio::test]
async fn before_nothing_is_done_and_after_nobody_hears() {
    let sim = Sim::new(json!({})).await;
    rule(
        &sim,
        json!({"method": "POST", "times": 1, "effect": {"answer": {"name": "bad_gateway"}}}),
    )
    .await;
    let answer = sim.call("POST", CONTACTS, new("a@example.com")).await;
    assert_eq!(answer.status, 502);
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert_eq!(count(&sim).await, 0);
    rule(
        &sim,
        json!({"method": "POST", "times": 1, "when": "after", "effect": "drop"}),
    )
    .await;
    let answer = sim
        .try_call("POST", CONTACTS, &sim.token, new("a@example.com"))
        .await;
    assert!(answer.is_err());
    assert_eq!(count(&sim).await, 1);
    rule(&sim, json!({"times": 1, "effect": "cut"})).await;
    assert!(
        sim.try_call("GET", CONTACTS, &sim.token, None)
            .await
            .is_err()
    );
    let log = sim.control("GET", "requests", Value::Null).await.json();
    let faults: Vec<_> = log["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["fault"].clone())
        .collect();
    assert_eq!(faults, ["rule-1", "rule-2", "rule-3"]);
}

#[tokio::test]
async fn dropped_now_and_written_later() {
    let sim = Sim::new(json!({})).await;
    rule(
        &sim,
        json!({"method": "POST", "times": 1, "when": {"later_ms": 300}, "effect": "drop"}),
    )
    .await;
    let begin = Instant::now();
    let answer = sim
        .try_call("POST", CONTACTS, &sim.token, new("a@example.com"))
        .await;
    assert!(answer.is_err());
    assert_eq!(count(&sim).await, 0, "{:?}", begin.elapsed());
    until("the write lands", || async { count(&sim).await == 1 }).await;
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_hang_is_closed_and_a_delay_is_not() {
    let sim = Sim::new(json!({})).await;
    rule(&sim, json!({"times": 1, "effect": {"hang": {"ms": 200}}})).await;
    let begin = Instant::now();
    assert!(
        sim.try_call("GET", CONTACTS, &sim.token, None)
            .await
            .is_err()
    );
    assert!(begin.elapsed() >= Duration::from_millis(200));
    rule(&sim, json!({"times": 1, "effect": {"delay": {"ms": 200}}})).await;
    let begin = Instant::now();
    assert_eq!(sim.get(CONTACTS).await.status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn answers_by_name() {
    let sim = Sim::new(json!({})).await;
    let html = "text/html;charset=utf-8";
    let json_type = "application/json;charset=utf-8";
    for (name, status, content) in [
        ("ten_secondly", 429, json_type),
        ("secondly", 429, json_type),
        ("daily", 429, json_type),
        ("rate_limits", 429, json_type),
        ("expired", 401, json_type),
        ("unauthenticated", 401, json_type),
        ("missing_scopes", 403, json_type),
        ("locked", 423, json_type),
        ("migration", 477, json_type),
        ("internal", 500, json_type),
        ("bad_gateway", 502, html),
        ("unavailable", 503, html),
        ("gateway_timeout", 504, html),
        ("cloudflare_521", 521, html),
        ("cloudflare_526", 526, html),
    ] {
        rule(
            &sim,
            json!({"times": 1, "effect": {"answer": {"name": name}}}),
        )
        .await;
        let answer = sim.get(CONTACTS).await;
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(answer.header("content-type"), Some(content), "{name}");
        if content == json_type {
            assert_eq!(answer.json()["status"], "error", "{name}");
        }
    }
    rule(
        &sim,
        json!({"times": 1, "effect": {"answer": {"name": "migration", "retry_after": 86400}}}),
    )
    .await;
    assert_eq!(sim.get(CONTACTS).await.header("Retry-After"), Some("86400"));
    rule(
        &sim,
        json!({"times": 1, "when": "after", "effect": "empty_batch"}),
    )
    .await;
    let body = json!({"inputs": [{"properties": {"email": "a@example.com"}}]});
    let answer = sim.post(&format!("{CONTACTS}/batch/create"), body).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["results"]),
        (200, &json!([]))
    );
    assert_eq!(count(&sim).await, 1);
}

#[tokio::test]
async fn rules_choose_by_method_path_body_and_number() {
    let sim = Sim::new(json!({})).await;
    rule(
        &sim,
        json!({"method": "POST", "path": "/objects/*/contacts", "body": "b@example.com", "nth": 2,
        "effect": {"status": {"status": 503}}}),
    )
    .await;
    for (email, expected) in [
        ("a@example.com", 201),
        ("b@example.com", 201),
        ("bb@example.com", 503),
        ("bb@example.com", 201),
    ] {
        assert_eq!(
            sim.call("POST", CONTACTS, new(email)).await.status,
            expected,
            "{email}"
        );
    }
    let faults = sim.control("GET", "faults", Value::Null).await.json();
    assert_eq!(faults["faults"][0]["struck"], 1);
    sim.control("DELETE", "faults/rule-1", Value::Null).await;
    let faults = sim.control("GET", "faults", Value::Null).await.json();
    assert_eq!(faults["faults"], json!([]));
}

#[tokio::test]
async fn the_token_endpoint_is_struck_for_one_portal() {
    let sim = Sim::new(json!({})).await;
    let other = sim.control_at("POST", "portals", json!({})).await.json()["portal_id"].clone();
    let path = format!("portals/{other}/tokens");
    let of_other = sim.control_at("POST", &path, json!({})).await.json();
    let of_this = sim.control("POST", "tokens", json!({})).await.json();
    rule(
        &sim,
        json!({"path": "/oauth/", "times": 1, "effect": {"status": {"status": 503}}}),
    )
    .await;
    let refresh = |token: &Value| {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "simulator-client-id"),
            ("client_secret", "simulator-client-secret"),
            ("refresh_token", token["refresh_token"].as_str().unwrap()),
        ];
        Sim::read(sim.client.post(sim.url("/oauth/2026-09/token")).form(&form))
    };
    assert_eq!(refresh(&of_other).await.unwrap().status, 200);
    assert_eq!(refresh(&of_this).await.unwrap().status, 503);
    // The token is as good as before.
    assert_eq!(refresh(&of_this).await.unwrap().status, 200);
    // After the effect: a new refresh token is out, and the old one is not known any more.
    let of_this = sim.control("POST", "tokens", json!({})).await.json();
    rule(
        &sim,
        json!({"path": "/oauth/", "times": 1, "when": "after", "effect": "drop"}),
    )
    .await;
    assert!(refresh(&of_this).await.is_err());
    let refused = refresh(&of_this).await.unwrap();
    assert_eq!(refused.json()["status"], "BAD_REFRESH_TOKEN");
}

#[tokio::test]
async fn unknown_rules_are_refused_with_what_there_is() {
    let sim = Sim::new(json!({})).await;
    for bad in [
        json!({"effect": "drop", "colour": "red"}),
        json!({"effect": "explode"}),
        json!({"effect": {"hang": {"ms": 1, "seconds": 2}}}),
        json!({"effect": {"answer": {"name": "teapot"}}}),
        json!({"when": "sometimes", "effect": "drop"}),
        json!([]),
    ] {
        let answer = sim.control("POST", "faults", bad.clone()).await;
        assert_eq!(answer.status, 400, "{bad}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(
            error.contains("probability") && error.contains("empty_batch"),
            "{error}"
        );
    }
    let answer = sim.control("PATCH", "", json!({"colour": "red"})).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("search_lag_ms"), "{}", answer.text);
    let answer = sim
        .control("PATCH", "", json!({"limits": {"hourly": 1}}))
        .await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text.contains("associations_daily"),
        "{}",
        answer.text
    );
}
