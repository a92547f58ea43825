//! C4: disconnecting in the middle, and connecting again.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::Epoch;
use e2e::{Tenant, assert_mirrored, object, shared, store_of};
use serde_json::json;

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

#[tokio::test]
async fn disconnect_stops_everything_and_connect_goes_on() {
    const CONTACTS: u64 = 6_000;
    let size = json!({
        "contacts": CONTACTS, "companies": 3_000, "deals": 3_000, "lists": 4,
        "limits": "off", "latency_ms": 200,
    });
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant.wait_for_contacts(500, Duration::from_secs(60)).await;

    let reply = tenant
        .api
        .call(&tenant.id(), "disconnect", Some(json!({})))
        .await
        .unwrap();
    let answered = now_ms();
    let began = Instant::now();
    assert_eq!(reply.status, 200, "{}", reply.text);
    let status = tenant
        .wait_for_phase("disconnected", Duration::from_secs(10))
        .await;
    assert!(began.elapsed() < Duration::from_secs(10));
    let kept = object(&status, "contacts")["stored"].as_u64().unwrap();
    assert!(
        (500..CONTACTS).contains(&kept),
        "{kept} contacts are stored"
    );

    // Tokens are gone here, and revoked there.
    let store = store_of(tenant.api.addresses()).await;
    for epoch in 0..5 {
        assert!(
            store
                .tokens(tenant.workspace, Epoch::new(epoch))
                .await
                .unwrap()
                .is_none()
        );
    }
    assert!(
        store
            .token_to_revoke(tenant.workspace)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(tenant.control("GET", "", None).await["refresh_tokens"], 0);

    // Besides the revocation itself, nothing arrived later than a second after the answer.
    let late: Vec<_> = tenant
        .requests()
        .await
        .into_iter()
        .filter(|r| !r["path"].as_str().unwrap().ends_with("/token/revoke"))
        .filter(|r| r["at_ms"].as_i64().unwrap() > answered + 1_000)
        .collect();
    assert!(late.is_empty(), "{late:?}");

    // A second disconnect and a resync are refused, and change nothing.
    let again = tenant
        .api
        .call(&tenant.id(), "disconnect", Some(json!({})))
        .await
        .unwrap();
    assert_eq!(again.json().unwrap()["code"], "HS-1003");
    let resync = tenant
        .api
        .call(&tenant.id(), "resync", Some(json!({})))
        .await
        .unwrap();
    assert_eq!(resync.json().unwrap()["code"], "HS-2001");

    // Connecting again goes on where it was: the first pages are not read again.
    let before = tenant.requests().await.last().unwrap()["seq"]
        .as_u64()
        .unwrap();
    tenant
        .control("PATCH", "", Some(json!({"latency_ms": 0})))
        .await;
    tenant.connect().await;
    let status = tenant
        .wait_for_phase("syncing", Duration::from_secs(120))
        .await;
    assert_eq!(object(&status, "contacts")["stored"], CONTACTS);
    assert_mirrored(&tenant, &store).await;
    let from_the_start = tenant
        .requests()
        .await
        .into_iter()
        .filter(|r| r["seq"].as_u64().unwrap() > before)
        .filter(|r| {
            r["path"]
                .as_str()
                .unwrap()
                .ends_with("/objects/2026-09/contacts")
        })
        .filter(|r| !r["query"].as_str().unwrap().contains("after="))
        .count();
    assert_eq!(
        from_the_start, 0,
        "the contacts were read from the start again"
    );
}
