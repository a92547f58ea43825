//! C4, C5: a row that turned and a workflow that never heard of it.

use std::time::{Duration, Instant};

use chrono::{TimeZone as _, Utc};
use domain::{ResyncMode, ResyncRequest};
use e2e::{Tenant, shared, store_of};
use serde_json::{Value, json};

/// Beyond the grace of the sweep, its interval, and a turn.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

async fn connected() -> Tenant {
    let size = json!({"contacts": 120, "companies": 10, "limits": "off"});
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    tenant
}

/// What the workflow itself answers; null while none runs.
async fn workflow_status(tenant: &Tenant) -> Value {
    let addresses = tenant.api.addresses();
    let output = tokio::process::Command::new(e2e::binaries().join("hubspot-sync"))
        .args(["status", "--via-temporal", "--json"])
        .env_clear()
        .env("HUBSPOT_SYNC_WORKSPACE", tenant.id())
        .env("TEMPORAL_ADDRESS", &addresses.temporal)
        .output()
        .await
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

async fn until_the_workflow_shows(tenant: &Tenant, phase: &str) {
    let deadline = Instant::now() + HEALED_WITHIN;
    loop {
        let status = workflow_status(tenant).await;
        if status["phase"] == phase {
            return;
        }
        assert!(Instant::now() < deadline, "not {phase} but {status:#}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The front door commits the fence and dies before it can signal: to the store this looks as here.
#[tokio::test]
async fn a_disconnect_whose_signal_was_lost_erases_the_tokens_and_reconnecting_works() {
    let tenant = connected().await;
    let store = store_of(tenant.api.addresses()).await;
    store
        .raise_fence(tenant.workspace, Utc::now())
        .await
        .unwrap();
    tenant.wait_for_phase("disconnected", HEALED_WITHIN).await;
    assert_eq!(tenant.control("GET", "", None).await["refresh_tokens"], 0);
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
}

#[tokio::test]
async fn a_revocation_whose_signal_was_lost_reaches_the_workflow() {
    let tenant = connected().await;
    until_the_workflow_shows(&tenant, "syncing").await;
    let store = store_of(tenant.api.addresses()).await;
    let fence = store.fence_state(tenant.workspace).await.unwrap().unwrap();
    let turned = store
        .mark_needs_reconnect(tenant.workspace, fence.epoch, Utc::now())
        .await
        .unwrap();
    assert!(turned);
    until_the_workflow_shows(&tenant, "needs_reconnect").await;
    tenant.connect().await;
    until_the_workflow_shows(&tenant, "syncing").await;
}

/// Somebody connects again in the moment in which the tokens were erased and the workflow has not
/// ended yet: the wake must not be lost with it.
#[tokio::test]
async fn connecting_again_at_once_after_a_disconnect_starts_at_once() {
    let tenant = connected().await;
    for _ in 0..3 {
        let id = tenant.id();
        let reply = tenant.api.call(&id, "disconnect", Some(json!({})));
        assert_eq!(reply.await.unwrap().status, 200);
        let deadline = Instant::now() + Duration::from_secs(20);
        while tenant.status().await["phase"] != "disconnected" {
            assert!(Instant::now() < deadline);
            tokio::task::yield_now().await;
        }
        tenant.connect().await;
        let began = Instant::now();
        tenant
            .wait_for_phase("syncing", Duration::from_secs(60))
            .await;
        assert!(
            began.elapsed() < Duration::from_secs(9),
            "{:?}",
            began.elapsed()
        );
    }
}

/// What stands in the way of one connection stands in nobody else's.
#[tokio::test]
async fn one_row_that_cannot_be_read_stops_no_other() {
    let (broken, tenant) = (connected().await, connected().await);
    let addresses = tenant.api.addresses();
    let (client, connection) =
        tokio_postgres::connect(&addresses.database_url, tokio_postgres::NoTls)
            .await
            .unwrap();
    tokio::spawn(connection);
    let break_row =
        "update connection set portal_id = -portal_id where workspace_id = $1::text::uuid";
    client.execute(break_row, &[&broken.id()]).await.unwrap();
    let store = store_of(addresses).await;
    store
        .raise_fence(tenant.workspace, Utc::now())
        .await
        .unwrap();
    // Mended before anything is said of the other: no other test may stumble over it.
    let told = tokio::time::timeout(HEALED_WITHIN, async {
        while tenant.status().await["phase"] != "disconnected" {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    client.execute(break_row, &[&broken.id()]).await.unwrap();
    told.expect("the other connection is looked after all the same");
}

/// X7, X8: by signal comes whatever anybody sends; it is dropped and shown, and what follows is done.
#[tokio::test]
async fn a_resync_that_the_store_cannot_hold_stops_nothing_behind_it() {
    let tenant = connected().await;
    until_the_workflow_shows(&tenant, "syncing").await;
    let frontend = format!("http://{}", tenant.api.addresses().temporal);
    let signals = client::Signals::connect(frontend.parse().unwrap(), "default").await;
    let before_postgres = Utc.with_ymd_and_hms(-5_000, 1, 1, 0, 0, 0).unwrap();
    let request = ResyncRequest {
        types: Vec::new(),
        mode: ResyncMode::Since {
            since: before_postgres,
        },
    };
    signals
        .unwrap()
        .signal_resync(tenant.workspace, request)
        .await
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while workflow_status(&tenant).await["signals_not_understood"] != 1 {
        assert!(
            Instant::now() < deadline,
            "{:#}",
            workflow_status(&tenant).await
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let id = tenant.id();
    let reply = tenant.api.call(&id, "disconnect", Some(json!({})));
    assert_eq!(reply.await.unwrap().status, 200);
    tenant
        .wait_for_phase("disconnected", Duration::from_secs(20))
        .await;
}
