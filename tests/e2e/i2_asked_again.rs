//! I2: what a periodic sync was not answered is asked again before the schedule does.

use std::time::{Duration, Instant};

use e2e::{Tenant, object, periodic::sync, shared};
use serde_json::json;

#[tokio::test]
async fn a_sync_that_was_not_answered_is_asked_again_soon() {
    let size = json!({"contacts": 20, "companies": 5, "deals": 10, "lists": 0, "limits": "off",
        "search_lag_ms": 0});
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    sync(&tenant).await;
    let silent = json!({"id": "silent", "path": "/associations/2026-09/deals/", "effect": "empty"});
    tenant.control("POST", "faults", Some(silent)).await;
    let alone = json!({"id": "alone", "method": "GET", "path": "/associations/",
        "effect": {"answer": {"name": "internal"}}});
    tenant.control("POST", "faults", Some(alone)).await;
    let page = tenant.control("GET", "records/deals?limit=1", None).await;
    let path = format!(
        "records/deals/{}",
        page["results"][0]["id"].as_str().unwrap()
    );
    let edit = json!({"properties": {"dealname": "Edited"}});
    tenant.control("PATCH", &path, Some(edit)).await;
    sync(&tenant).await;
    let last = async || {
        let status = tenant.status().await;
        object(&status, "deals")["freshness"].clone()
    };
    assert_eq!(last().await["last"], "incomplete", "{}", last().await);
    let every = last().await["every_seconds"].as_u64().unwrap();
    assert!(
        every >= 300,
        "the schedule is slower than this test: {every}"
    );
    for rule in ["faults/silent", "faults/alone"] {
        tenant.control("DELETE", rule, None).await;
    }
    let deadline = Instant::now() + Duration::from_secs(150);
    while last().await["last"] != "finished" {
        assert!(Instant::now() < deadline, "{}", last().await);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(last().await["unanswered"], 0);
}
