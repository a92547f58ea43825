//! C1, C2, C3: connecting.

use std::time::Duration;

use dev::demo::{Confirm, Consent};
use e2e::{Tenant, object, pages::Pages, shared, store_of};
use serde_json::json;

const SMALL: u64 = 150;

async fn small() -> Tenant {
    let size =
        json!({"contacts": SMALL, "companies": 20, "deals": 10, "lists": 3, "limits": "off"});
    Tenant::new(&shared(), size).await
}

fn portal(tenant: &Tenant) -> u64 {
    tenant.portal.get().cast_unsigned()
}

#[tokio::test]
async fn a_refusal_says_so_in_plain_words_and_changes_nothing() {
    let tenant = small().await;
    for (consent, code) in [
        (Consent::Refuse, "HS-1004"),
        (Consent::NoPermission, "HS-1005"),
    ] {
        let reply = tenant
            .api
            .connect(&tenant.id(), portal(&tenant), consent)
            .await
            .unwrap();
        assert_eq!(reply.status, 403);
        assert!(reply.text.contains(code), "{}", reply.text);
        for shown in [">To the settings<", "href=\"/settings/hubspot\""] {
            assert!(reply.text.contains(shown), "no {shown} in {}", reply.text);
        }
    }
    let pages = Pages::open(&tenant, "member").await;
    let told = pages.get("/settings/hubspot/history").await;
    let refused = told.text.matches("Did not connect: consent was refused");
    assert_eq!(refused.count(), 2, "{}", told.text);
    let store = store_of(tenant.api.addresses()).await;
    assert_eq!(store.connection(tenant.workspace).await.unwrap(), None);
    assert_eq!(tenant.status().await["phase"], "disconnected");
    tenant.connect().await;
    let told = pages.get("/settings/hubspot/history").await;
    assert!(told.text.contains(">Connected</th>"), "{}", told.text);
}

#[tokio::test]
async fn a_state_is_good_once_untouched_and_in_its_own_browser() {
    let tenant = small().await;
    let (page, cookie) = tenant.api.begin(&tenant.id()).await.unwrap();
    let back = tenant
        .api
        .decide(&page, portal(&tenant), Consent::Approve)
        .await
        .unwrap();

    let other = tenant
        .api
        .come_back(&back, "hubspot_sync_connect=somebody-else")
        .await
        .unwrap();
    assert!(other.text.contains("HS-1006"), "{}", other.text);

    let tampered = back.replacen("state=e", "state=f", 1);
    assert_ne!(tampered, back);
    let reply = tenant.api.come_back(&tampered, &cookie).await.unwrap();
    assert!(reply.text.contains("HS-1006"), "{}", reply.text);

    // Neither of the two used it up.
    let good = tenant.api.come_back(&back, &cookie).await.unwrap();
    assert_eq!(good.status, 303, "{}", good.text);
    let again = tenant.api.come_back(&back, &cookie).await.unwrap();
    assert!(again.text.contains("HS-1007"), "{}", again.text);
    let question = tenant.api.question(&good).await.unwrap();
    let confirmed = tenant.api.confirm(&question, Confirm::Connect).await;
    assert_eq!(confirmed.unwrap().status, 200);
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
}

#[tokio::test]
async fn connecting_twice_is_refused() {
    let tenant = small().await;
    tenant.connect().await;
    let reply = tenant
        .api
        .call(
            &tenant.id(),
            "connect",
            Some(json!({"admin": dev::demo::ADMIN})),
        )
        .await
        .unwrap();
    assert_eq!(
        (reply.status, reply.json().unwrap()["code"].as_str()),
        (409, Some("HS-1002"))
    );
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
}

#[tokio::test]
async fn unknown_workspaces_and_bad_requests_are_refused() {
    let api = shared();
    let unknown = uuid::Uuid::new_v4().to_string();
    let table = [
        (unknown.as_str(), "status", None, 404, "HS-1001"),
        (unknown.as_str(), "resync", Some(json!({})), 404, "HS-1001"),
        (
            unknown.as_str(),
            "disconnect",
            Some(json!({})),
            404,
            "HS-1001",
        ),
        ("no-uuid", "status", None, 422, "HS-4001"),
        (
            unknown.as_str(),
            "connect",
            Some(json!({"admin": "x"})),
            422,
            "HS-4001",
        ),
        (unknown.as_str(), "nothing", None, 404, "HS-4003"),
        (unknown.as_str(), "resync", None, 405, "HS-4004"),
        (
            unknown.as_str(),
            "connect",
            Some(json!({"admin": "x".repeat(2_000_000)})),
            413,
            "HS-4005",
        ),
    ];
    for (workspace, what, body, status, code) in table {
        let reply = api.call(workspace, what, body).await.unwrap();
        let problem = reply.json().unwrap();
        assert_eq!(
            (reply.status, problem["code"].as_str()),
            (status, Some(code)),
            "{what}: {problem}"
        );
        assert!(problem["detail"].as_str().is_some_and(|d| !d.is_empty()));
    }
    let mut addresses = api.addresses().clone();
    addresses.api_token = "a wrong token".to_owned();
    let stranger = dev::demo::Api::new(addresses).unwrap();
    let reply = stranger.call(&unknown, "status", None).await.unwrap();
    assert_eq!(
        (reply.status, reply.json().unwrap()["code"].as_str()),
        (401, Some("HS-4002"))
    );
}

#[tokio::test]
async fn a_service_key_connects_without_an_app() {
    let tenant = small().await;
    let bad = json!({"admin": dev::demo::ADMIN, "access_token": "no-such-key"});
    let reply = tenant
        .api
        .call(&tenant.id(), "connect", Some(bad))
        .await
        .unwrap();
    assert_eq!(reply.json().unwrap()["code"], "HS-1011");

    let key = tenant.control("POST", "service-keys", None).await;
    let good = json!({"admin": dev::demo::ADMIN, "access_token": key["token"]});
    let reply = tenant
        .api
        .call(&tenant.id(), "connect", Some(good))
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json().unwrap()["portal"], tenant.portal.get());
    let status = tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    assert_eq!(object(&status, "contacts")["stored"], SMALL);
}

#[tokio::test]
async fn a_missing_scope_switches_off_only_what_needs_it() {
    let tenant = small().await;
    tenant
        .control(
            "PATCH",
            "",
            Some(json!({"denied_scopes": ["crm.lists.read"]})),
        )
        .await;
    let reply = tenant
        .api
        .connect(&tenant.id(), portal(&tenant), Consent::Approve)
        .await
        .unwrap();
    assert!(reply.text.contains("crm.lists.read"), "{}", reply.text);
    let status = tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    assert_eq!(status["missing_scopes"], json!(["crm.lists.read"]));
    assert_eq!(object(&status, "lists")["stored"], 0);
    assert_eq!(object(&status, "contacts")["stored"], SMALL);
    // It does not look finished.
    assert_eq!(status["run"]["state"], "finished_with_refusals");
    let lists = object(&status, "lists");
    assert_eq!(lists["outcome"], "skipped", "{lists}");
    assert_eq!(
        lists["refusals"],
        json!([{"part": "whole", "code": "HS-3004", "scopes": ["crm.lists.read"], "field": null}])
    );
    assert_eq!(object(&status, "contacts")["outcome"], "finished");

    // Granted at the next connect, it is read.
    let reply = tenant
        .api
        .call(&tenant.id(), "disconnect", Some(json!({})))
        .await;
    assert_eq!(reply.unwrap().status, 200);
    tenant
        .wait_for_phase("disconnected", Duration::from_secs(60))
        .await;
    tenant
        .control("PATCH", "", Some(json!({"denied_scopes": []})))
        .await;
    tenant.connect().await;
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let status = loop {
        let status = tenant.status().await;
        if object(&status, "lists")["outcome"] == "finished" && status["phase"] == "syncing" {
            break status;
        }
        assert!(std::time::Instant::now() < deadline, "{status:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(status["missing_scopes"], json!([]));
    assert_eq!(status["run"]["state"], "finished");
}

/// HubSpot does not tell the scopes of a service key: a refusal does.
#[tokio::test]
async fn the_missing_scope_of_a_service_key_is_shown() {
    let tenant = small().await;
    tenant
        .control(
            "POST",
            "faults",
            Some(json!({"path": "/lists/", "effect": {"answer": {"name": "missing_scopes", "scopes": ["crm.lists.read"]}}})),
        )
        .await;
    let key = tenant.control("POST", "service-keys", None).await["token"].clone();
    let reply = tenant
        .api
        .call(
            &tenant.id(),
            "connect",
            Some(json!({"admin": dev::demo::ADMIN, "access_token": key})),
        )
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    let status = tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    assert_eq!(object(&status, "lists")["outcome"], "skipped", "{status:#}");
    assert_eq!(status["missing_scopes"], json!(["crm.lists.read"]));
    assert_eq!(status["run"]["state"], "finished_with_refusals");
}

/// C3: tokens that live for seconds, a token endpoint that fails now and then, rotation.
#[tokio::test]
async fn tokens_are_refreshed_before_they_expire() {
    let size =
        json!({"contacts": 4_000, "limits": "off", "latency_ms": 250, "token_ttl_seconds": 8});
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    let requests = tenant.requests().await;
    let refreshes = requests
        .iter()
        .filter(|r| r["path"].as_str().is_some_and(|p| p.ends_with("/token")))
        .count();
    assert!(refreshes >= 2, "only {refreshes} token requests");
    // Refreshed before the end, so that no request met an expired token.
    let refused: Vec<_> = requests.iter().filter(|r| r["status"] == 401).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    // One refresh token is alive: each rotation was stored, none was asked for twice.
    assert_eq!(tenant.control("GET", "", None).await["refresh_tokens"], 1);
}
