//! C3, C5: tokens while HubSpot's token endpoint or HubSpot itself is unwell.

use std::time::{Duration, Instant};

use dev::demo::ADMIN;
use e2e::{Tenant, object, shared, store_of};
use serde_json::{Value, json};

/// Until the phase has been another one, or the time is over.
async fn stays(tenant: &Tenant, other_than: &str, during: Duration) {
    let until = Instant::now() + during;
    while Instant::now() < until {
        let status = tenant.status().await;
        assert_ne!(status["phase"], other_than, "{status:#}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// The token endpoint hangs while twenty connections refresh: it delays them, and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_brown_out_of_the_token_endpoint_delays_only_those_whose_tokens_ran_out() {
    const TENANTS: usize = 20;
    let api = shared();
    let size = json!({
        "contacts": 1_500, "limits": "off", "latency_ms": 300, "token_ttl_seconds": 4,
    });
    let hang = json!({"path": "/oauth/*/token$", "effect": {"hang": {"ms": 20_000}}});
    let mut tenants = Vec::new();
    for _ in 0..TENANTS {
        tenants.push(Tenant::new(&api, size.clone()).await);
    }
    for tenant in &tenants {
        tenant.connect().await;
        tenant.control("POST", "faults", Some(hang.clone())).await;
    }
    // Their tokens are over by now, or will be in a moment.
    tokio::time::sleep(Duration::from_secs(5)).await;

    let other = json!({"contacts": 600, "companies": 50, "limits": "off"});
    let other = Tenant::new(&api, other).await;
    let began = Instant::now();
    other.connect().await;
    let status = other
        .wait_for_phase("syncing", Duration::from_secs(20))
        .await;
    assert_eq!(object(&status, "contacts")["stored"], 600);
    assert!(began.elapsed() < Duration::from_secs(20));

    for tenant in &tenants {
        tenant.control("DELETE", "faults", None).await;
    }
    for tenant in &tenants {
        let status = tenant
            .wait_for_phase("syncing", Duration::from_secs(240))
            .await;
        assert_eq!(object(&status, "contacts")["stored"], 1_500);
        // Each rotation was stored, whatever became of the answers that hung.
        let tokens = tenant.control("GET", "", None).await["refresh_tokens"].clone();
        assert_eq!(tokens, 1);
    }
}

#[tokio::test]
async fn a_service_key_that_is_refused_for_a_while_is_not_gone() {
    let size = json!({"contacts": 2_000, "limits": "off", "latency_ms": 200});
    let tenant = Tenant::new(&shared(), size).await;
    connect_by_key(&tenant).await;
    tenant.wait_for_contacts(100, Duration::from_secs(60)).await;
    let refuse = json!({"path": "/crm/", "effect": {"answer": {"name": "unauthenticated"}}});
    tenant.control("POST", "faults", Some(refuse)).await;
    stays(&tenant, "needs_reconnect", Duration::from_secs(15)).await;
    // Asked now and then, not all the time.
    let refused = tenant.requests().await;
    let refused = refused.iter().filter(|r| r["status"] == 401).count();
    assert!(
        (1..40).contains(&refused),
        "{refused} requests were refused"
    );
    tenant.control("DELETE", "faults", None).await;
    let status = tenant
        .wait_for_phase("syncing", Duration::from_secs(120))
        .await;
    assert_eq!(object(&status, "contacts")["stored"], 2_000);
    // What was noted of it is forgotten.
    let store = store_of(tenant.api.addresses()).await;
    let epoch = store.fence_state(tenant.workspace).await.unwrap().unwrap();
    let tokens = store.tokens(tenant.workspace, epoch.epoch).await;
    assert!(!tokens.unwrap().unwrap().refused);
}

#[tokio::test]
async fn a_service_key_that_stays_refused_needs_reconnecting_after_a_minute() {
    let size = json!({"contacts": 1_000, "limits": "off", "latency_ms": 200});
    let tenant = Tenant::new(&shared(), size).await;
    connect_by_key(&tenant).await;
    tenant.wait_for_contacts(100, Duration::from_secs(60)).await;
    let refuse = json!({"path": "/crm/", "effect": {"answer": {"name": "unauthenticated"}}});
    tenant.control("POST", "faults", Some(refuse)).await;
    let began = Instant::now();
    tenant
        .wait_for_phase("needs_reconnect", Duration::from_secs(150))
        .await;
    assert!(began.elapsed() > Duration::from_secs(55), "too soon");
}

pub(crate) async fn connect_by_key(tenant: &Tenant) {
    let key = tenant.control("POST", "service-keys", None).await;
    let body: Value = json!({"admin": ADMIN, "access_token": key["token"]});
    let reply = tenant.api.call(&tenant.id(), "connect", Some(body)).await;
    let reply = reply.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
}
