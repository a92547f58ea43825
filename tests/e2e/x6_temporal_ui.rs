//! X6: Temporal UI tells the story.

use std::{process::Command, time::Duration};

use e2e::{Tenant, shared};
use serde_json::json;

fn dump(url: &str) -> String {
    let chromium = std::env::var_os("HUBSPOT_SYNC_CHROMIUM")
        .expect("HUBSPOT_SYNC_CHROMIUM is not set: run the tests with `cargo dev test`");
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn workflows_are_found_by_workspace_and_show_their_progress() {
    let tenant = Tenant::new(
        &shared(),
        json!({"contacts": 300, "companies": 30, "limits": "off"}),
    )
    .await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    let ui = &tenant.api.addresses().temporal_ui;
    let backfill = format!("hubspot/{}/backfill", tenant.workspace);
    let query = format!("HubSpotWorkspace%3D%22{}%22", tenant.workspace);
    // Visibility lags a little behind.
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let page = dump(&format!("{ui}/namespaces/default/workflows?query={query}"));
        if page.contains(&backfill) && page.contains("Connection") {
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the UI does not list {backfill}"
        );
    }
    // The details and search attributes that the page of a workflow shows, from their source.
    let described = Command::new(dev::provision::temporal().unwrap())
        .args([
            "workflow",
            "describe",
            "--workflow-id",
            &format!("hubspot/{}/connection", tenant.workspace),
            "-o",
            "json",
        ])
        .args(["--address", &tenant.api.addresses().temporal])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&described.stdout).into_owned();
    for wanted in ["HubSpotWorkspace", "HubSpotPortal", "SyncPhase"] {
        assert!(text.contains(wanted), "{wanted} is missing: {text}");
    }
}
