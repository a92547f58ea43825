//! I1: a backfill that ends before its end is started again, ever more slowly.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use e2e::{Tenant, shared};
use serde_json::{Value, json};

/// A sweep every two seconds, and what a loaded machine takes.
const LATE: f64 = 20.0;

async fn temporal(tenant: &Tenant, words: &[&str]) -> Vec<u8> {
    let output = tokio::process::Command::new(dev::provision::temporal().unwrap())
        .args(words)
        .args(["--address", &tenant.api.addresses().temporal])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    output.stdout
}

/// Backfills of the tenant as Temporal lists them, the first one first: when each began, and when it
/// ended.
async fn backfills(tenant: &Tenant) -> Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> {
    let query = format!("WorkflowId = 'hubspot/{}/backfill'", tenant.workspace);
    let words = ["workflow", "list", "--query", &query, "-o", "json"];
    let listed: Value = serde_json::from_slice(&temporal(tenant, &words).await).unwrap();
    let time = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    let mut all: Vec<_> = listed
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| (time(&one["startTime"]).unwrap(), time(&one["closeTime"])))
        .collect();
    all.sort();
    all
}

async fn until_the_nth_runs(tenant: &Tenant, n: usize, within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let all = backfills(tenant).await;
        if all.len() == n && all[n - 1].1.is_none() {
            return;
        }
        assert!(all.len() <= n, "{all:?}");
        assert!(Instant::now() < deadline, "no {n}. backfill: {all:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Nobody tells `Connection` of a backfill that was terminated: it is the sweep that starts the next.
#[tokio::test]
async fn what_ends_before_its_end_again_and_again_is_started_ever_later() {
    let size = json!({
        "contacts": 120, "companies": 5, "deals": 5, "lists": 0, "owners": 1, "limits": "off",
    });
    let tenant = Tenant::new(&shared(), size).await;
    let away = json!({
        "method": "GET", "path": "/objects/2026-09/contacts",
        "effect": {"answer": {"name": "internal"}},
    });
    tenant.control("POST", "faults", Some(away)).await;
    tenant.connect().await;
    let id = format!("hubspot/{}/backfill", tenant.workspace);
    let words = [
        "workflow",
        "terminate",
        "--workflow-id",
        &id,
        "--reason",
        "x",
    ];
    for n in 1..=3 {
        until_the_nth_runs(&tenant, n, Duration::from_secs(120)).await;
        if n < 3 {
            temporal(&tenant, &words).await;
        }
    }
    let all = backfills(&tenant).await;
    for (n, wait) in [(1, 30.0), (2, 60.0)] {
        let ended = all[n - 1].1.unwrap();
        let stood = (all[n].0 - ended).as_seconds_f64();
        assert!(
            (wait..wait + LATE).contains(&stood),
            "after {n} ends it was started again after {stood} s"
        );
    }
    // What kept it is over: the third one ends well.
    tenant.control("DELETE", "faults", None).await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(120))
        .await;
    assert_eq!(backfills(&tenant).await.len(), 3);
}
