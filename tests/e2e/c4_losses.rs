//! C3, C4: what a process leaves behind that dies or freezes at the worst moment.

use std::time::{Duration, Instant};

use dev::demo::Api;
use e2e::{
    Tenant, assert_mirrored, object,
    stacks::{OwnStack, until_within},
    store_of,
};
use serde_json::json;

/// How long a worker stays frozen in the middle of a refresh; a minute with `SOAK=full`.
fn frozen_for() -> Duration {
    match std::env::var("SOAK").as_deref() {
        Ok("full") => Duration::from_secs(60),
        _ => Duration::from_secs(15),
    }
}

/// The front door commits the fence, cannot signal as Temporal does not answer, and is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_front_door_killed_between_commit_and_signal_leaves_nothing_undone() {
    let mut stack = OwnStack::start(2, &[("SLICE_SECONDS", "5")]).await;
    let api = Api::new(stack.addresses()).unwrap();
    let tenant = Tenant::new(&api, json!({"contacts": 200, "limits": "off"})).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;

    stack.signal("temporal", "-STOP");
    let asking = tokio::spawn({
        let tenant = tenant.clone();
        async move {
            let body = Some(json!({}));
            tenant.api.call(&tenant.id(), "disconnect", body).await
        }
    });
    let store = store_of(api.addresses()).await;
    until_within("the fence is up", Duration::from_secs(20), async || {
        let fence = store.fence_state(tenant.workspace).await.unwrap().unwrap();
        !fence.state.may_call_hubspot()
    })
    .await;
    stack.kill_hard("web").unwrap();
    stack.signal("temporal", "-CONT");
    // Whatever the caller heard, it was no answer of success for the whole of it.
    let _cut_off = asking.await.unwrap();
    stack.start_web().unwrap();
    stack.wait_ready().await.unwrap();

    tenant
        .wait_for_phase("disconnected", Duration::from_secs(90))
        .await;
    assert_eq!(tenant.control("GET", "", None).await["refresh_tokens"], 0);
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    assert_mirrored(&tenant, &store).await;
}

/// A worker stands still in the middle of a refresh, long enough for its slices to be taken by another,
/// and wakes up again: the tokens stay good, nothing is lost, the other goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_frozen_in_a_refresh_loses_no_token_and_holds_nobody_up() {
    let mut stack = OwnStack::start(2, &[("SLICE_SECONDS", "5")]).await;
    // Whoever refreshes is the first one.
    stack.kill_hard("worker-1").unwrap();
    let api = Api::new(stack.addresses()).unwrap();
    let size = json!({
        "contacts": 3_000, "limits": "off", "latency_ms": 300, "token_ttl_seconds": 8,
    });
    let tenant = Tenant::new(&api, size).await;
    // Long enough to be caught in it.
    let slow = json!({"path": "/oauth/*/token$", "skip": 1, "times": 1, "effect": {"delay": {"ms": 4_000}}});
    tenant.control("POST", "faults", Some(slow)).await;
    tenant.connect().await;
    let struck = async || {
        let rules = tenant.control("GET", "faults", None).await;
        rules["faults"][0]["struck"].as_u64() >= Some(1)
    };
    until_within("a refresh is on its way", Duration::from_secs(60), struck).await;
    stack.signal("worker-0", "-STOP");
    stack.start_worker(1).unwrap();
    stack.wait_worker(1).await.unwrap();

    // Another workspace is nobody's hostage meanwhile.
    let other = Tenant::new(&api, json!({"contacts": 400, "limits": "off"})).await;
    let began = Instant::now();
    other.connect().await;
    other
        // What the frozen one took times out, one thing after the other.
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    tokio::time::sleep(frozen_for().saturating_sub(began.elapsed())).await;
    stack.signal("worker-0", "-CONT");

    let status = tenant
        .wait_for_phase("syncing", Duration::from_secs(300))
        .await;
    assert_eq!(object(&status, "contacts")["stored"], 3_000);
    let store = store_of(api.addresses()).await;
    assert_mirrored(&tenant, &store).await;
    assert_eq!(tenant.control("GET", "", None).await["refresh_tokens"], 1);
}
