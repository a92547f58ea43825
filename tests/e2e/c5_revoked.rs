//! C5: revoked in HubSpot.

use std::time::Duration;

use e2e::{Tenant, assert_mirrored, shared, store_of};
use serde_json::json;

#[tokio::test]
async fn a_revoked_connection_waits_for_somebody_to_connect_again() {
    let size = json!({"contacts": 3_000, "companies": 1_000, "limits": "off", "latency_ms": 200});
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant.wait_for_contacts(300, Duration::from_secs(60)).await;
    tenant.control("POST", "uninstall", None).await;
    tenant.control("POST", "expire-tokens", None).await;
    tenant
        .wait_for_phase("needs_reconnect", Duration::from_secs(30))
        .await;

    // Nothing hot-loops: once everybody has noticed, no request arrives any more.
    let seen = |requests: Vec<serde_json::Value>| requests.len();
    let quiet = seen(tenant.requests().await);
    tenant
        .wait_for_phase("needs_reconnect", Duration::from_secs(1))
        .await;
    let deadline = std::time::Instant::now() + Duration::from_secs(3);
    while std::time::Instant::now() < deadline {
        assert!(seen(tenant.requests().await) <= quiet + 4, "requests go on");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    tenant
        .control("PATCH", "", Some(json!({"latency_ms": 0})))
        .await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(120))
        .await;
    let store = store_of(tenant.api.addresses()).await;
    assert_mirrored(&tenant, &store).await;
}
