//! Limits (`hubspot-api.md` §4).

use futures::future::join_all;
use serde_json::{Value, json};

use crate::{CONTACTS, Sim};

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_counted_exactly() {
    let sim = Sim::new(json!({"contacts": 5, "limits": {"ten_secondly": 150}})).await;
    let path = format!("{CONTACTS}?limit=1");
    let storm = (0..64).map(|_| async {
        let mut statuses = Vec::new();
        for _ in 0..10 {
            statuses.push(sim.get(&path).await.status.as_u16());
        }
        statuses
    });
    let statuses: Vec<u16> = join_all(storm).await.into_iter().flatten().collect();
    let log = sim
        .control("GET", "requests?path=contacts", Value::Null)
        .await;
    let log = log.json();
    let log = log["requests"].as_array().unwrap();
    assert_eq!(log.len(), statuses.len());
    let accepted: Vec<i64> = log
        .iter()
        .filter(|r| r["status"] == 200)
        .map(|r| r["at_ms"].as_i64().unwrap())
        .collect();
    assert_eq!(
        accepted.len(),
        statuses.iter().filter(|s| **s == 200).count()
    );
    // Whoever was refused found the window full; whoever was let in found room.
    for request in log {
        let at = request["at_ms"].as_i64().unwrap();
        let within = accepted
            .iter()
            .filter(|a| **a > at - 10_000 && **a <= at)
            .count();
        assert!(within <= 150, "{within} in ten seconds");
        assert!(
            request["status"] == 200 || within == 150,
            "{request} {within}"
        );
    }
    let counters = sim.control("GET", "counters", Value::Null).await.json();
    let app = &counters["apps"]["simulator-client-id"]["general"];
    assert_eq!(counters["peak_ten_seconds"], 150);
    assert_eq!(app["peak_ten_seconds"], 150);
    assert_eq!(app["accepted"], accepted.len());
    assert_eq!(app["refused"], statuses.len() - accepted.len());
}

#[tokio::test]
async fn the_body_and_the_headers_of_a_refusal() {
    let sim = Sim::new(json!({"limits": {"ten_secondly": 2}})).await;
    let first = sim.get(CONTACTS).await;
    assert_eq!(first.header("X-HubSpot-RateLimit-Max"), Some("2"));
    assert_eq!(first.header("X-HubSpot-RateLimit-Remaining"), Some("1"));
    assert_eq!(
        first.header("X-HubSpot-RateLimit-Interval-Milliseconds"),
        Some("10000")
    );
    assert_eq!(first.header("X-HubSpot-RateLimit-Daily"), None);
    sim.get(CONTACTS).await;
    let refused = sim.get(CONTACTS).await;
    assert_eq!(refused.status, 429);
    let body = refused.json();
    assert_eq!(body["policyName"], "TEN_SECONDLY_ROLLING");
    assert_eq!(body["errorType"], "RATE_LIMIT");
    assert_eq!(body["status"], "error");
    assert_eq!(
        body["message"],
        "You have reached your ten_secondly_rolling limit."
    );
    assert!(body.get("category").is_none());
    assert_eq!(refused.header("Retry-After"), None);

    let limits = json!({"limits": {"ten_secondly": 0, "retry_after": true}});
    sim.control("PATCH", "", limits).await;
    let refused = sim.get(CONTACTS).await;
    let seconds: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds));
}

#[tokio::test]
async fn search_is_counted_for_the_account_and_says_nothing() {
    let sim = Sim::new(json!({"contacts": 1})).await;
    sim.control_at(
        "POST",
        "apps",
        json!({"client_id": "foreign", "client_secret": "x"}),
    )
    .await;
    let foreign = sim
        .control("POST", "tokens", json!({"client_id": "foreign"}))
        .await
        .json();
    let foreign = foreign["access_token"].as_str().unwrap();
    let path = format!("{CONTACTS}/search");
    let searches = (0..12).map(|n| {
        let token = if n % 2 == 0 {
            foreign
        } else {
            sim.token.as_str()
        };
        sim.try_call("POST", &path, token, Some(json!({})))
    });
    let answers: Vec<_> = join_all(searches)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(
        answers
            .iter()
            .all(|a| a.header("X-HubSpot-RateLimit-Max").is_none())
    );
    let refused: Vec<_> = answers.iter().filter(|a| a.status == 429).collect();
    // Twelve at once: five in one second, ten if the second turned between them.
    assert!(
        refused.len() == 7 || refused.len() == 2,
        "{}",
        refused.len()
    );
    assert_eq!(refused[0].json()["policyName"], "SECONDLY");
    assert_eq!(
        refused[0].json()["message"],
        "You have reached your secondly limit."
    );
    // The ten seconds of neither app were touched.
    let answer = sim.get(CONTACTS).await;
    assert_eq!(answer.header("X-HubSpot-RateLimit-Remaining"), Some("109"));
    let usage = sim.control("GET", "usage", Value::Null).await.json();
    assert!(usage["apps"]["foreign"]["search"]["accepted"].as_u64() > Some(0));
}

#[tokio::test]
async fn another_app_has_ten_seconds_of_its_own() {
    let sim = Sim::new(json!({"limits": {"ten_secondly": 1}})).await;
    sim.control_at(
        "POST",
        "apps",
        json!({"client_id": "foreign", "client_secret": "x"}),
    )
    .await;
    let foreign = sim
        .control("POST", "tokens", json!({"client_id": "foreign"}))
        .await
        .json();
    let foreign = foreign["access_token"].as_str().unwrap();
    assert_eq!(sim.get(CONTACTS).await.status, 200);
    assert_eq!(sim.get(CONTACTS).await.status, 429);
    let answer = sim.try_call("GET", CONTACTS, foreign, None).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn associations_are_counted_apart() {
    let limits = json!({"limits": {"ten_secondly": 1, "associations_ten_secondly": 2}});
    let sim = Sim::new(limits).await;
    let path = "/crm/associations/2026-09/contacts/companies/batch/read";
    for expected in [207, 207, 429] {
        let answer = sim.post(path, json!({"inputs": [{"id": "1"}]})).await;
        assert_eq!(answer.status, expected, "{}", answer.text);
        assert_eq!(answer.header("X-HubSpot-RateLimit-Max"), None);
    }
    assert_eq!(sim.get(CONTACTS).await.status, 200);
}

#[tokio::test]
async fn service_keys_share_a_day_that_turns_by_the_clock() {
    let sim = Sim::new(json!({"limits": {"daily": 3, "retry_after": true}})).await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let key = sim.control("POST", "service-keys", json!({})).await.json();
        keys.push(key["token"].as_str().unwrap().to_owned());
    }
    let call = |key: usize| sim.try_call("GET", CONTACTS, &keys[key], None);
    let first = call(0).await.unwrap();
    assert_eq!(first.header("X-HubSpot-RateLimit-Daily"), Some("3"));
    assert_eq!(
        first.header("X-HubSpot-RateLimit-Daily-Remaining"),
        Some("2")
    );
    call(1).await.unwrap();
    call(0).await.unwrap();
    let refused = call(1).await.unwrap();
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["policyName"], "DAILY");
    assert_eq!(
        refused.json()["message"],
        "You have reached your daily limit."
    );
    assert!(
        refused
            .header("Retry-After")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            <= 86_400
    );
    // An OAuth app goes on.
    assert_eq!(sim.get(CONTACTS).await.status, 200);

    sim.control("POST", "daily", json!({"resets_in_ms": 60_000}))
        .await;
    sim.control("POST", "clock", json!({"advance_ms": 59_000}))
        .await;
    assert_eq!(call(0).await.unwrap().status, 429);
    sim.control("POST", "clock", json!({"advance_ms": 1_001}))
        .await;
    assert_eq!(call(0).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_token_endpoint_can_be_limited_too() {
    let sim =
        Sim::new(json!({"limits": {"token_ten_secondly": 1}, "rotate_refresh_tokens": false}))
            .await;
    let installed = sim.control("POST", "tokens", json!({})).await.json();
    let refresh = || {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "simulator-client-id"),
            ("client_secret", "simulator-client-secret"),
            (
                "refresh_token",
                installed["refresh_token"].as_str().unwrap(),
            ),
        ];
        let request = sim.client.post(sim.url("/oauth/2026-09/token")).form(&form);
        Sim::read(request)
    };
    assert_eq!(refresh().await.unwrap().status, 200);
    let refused = refresh().await.unwrap();
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["errorType"], "RATE_LIMIT");
}

#[tokio::test]
async fn a_share_is_told_for_a_span() {
    let sim = Sim::new(json!({})).await;
    for _ in 0..11 {
        sim.get(CONTACTS).await;
    }
    let log = sim.control("GET", "requests", Value::Null).await.json();
    let first = log["requests"][0]["at_ms"].as_i64().unwrap() / 100 * 100;
    let path = format!("usage?from_ms={first}&to_ms={}", first + 10_000);
    let usage = sim.control("GET", &path, Value::Null).await.json();
    let general = &usage["apps"]["simulator-client-id"]["general"];
    assert_eq!(general["accepted_in_span"], 11);
    assert_eq!(general["share"], 0.1);
    let status = sim.control("DELETE", "counters", Value::Null).await.status;
    assert_eq!(status, 204);
    let usage = sim.control("GET", "usage", Value::Null).await.json();
    assert_eq!(usage["apps"], json!({}));
}

#[tokio::test]
async fn tokens_expire_by_the_clock_of_their_portal() {
    let sim = Sim::new(json!({})).await;
    let date = |answer: &crate::Reply| {
        let date = answer.header("date").unwrap();
        chrono::DateTime::parse_from_rfc2822(date)
            .unwrap()
            .timestamp()
    };
    let before = sim.get(CONTACTS).await;
    sim.control("POST", "clock", json!({"advance_ms": 1_700_000}))
        .await;
    let ahead = date(&sim.get(CONTACTS).await) - date(&before);
    assert!((1_700..1_730).contains(&ahead), "{ahead}");
    sim.control("POST", "clock", json!({"advance_ms": 100_000}))
        .await;
    let expired = sim.get(CONTACTS).await;
    assert_eq!(expired.status, 401);
    assert_eq!(expired.json()["category"], "EXPIRED_AUTHENTICATION");
    sim.control("POST", "clock", json!({"offset_ms": 0})).await;
    assert_eq!(sim.get(CONTACTS).await.status, 200);
}
