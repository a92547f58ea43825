//! I4: the toggle "Import your HubSpot data".

use std::time::{Duration, Instant};

use domain::ObjectType;
use e2e::{Tenant, assert_mirrored, door::Door, object, periodic::sync, shared, store_of};
use serde_json::json;

/// Turns the import on or off.
async fn import(tenant: &Tenant, enabled: bool) {
    let door = Door::of_installation(tenant);
    let now = door.ok("GET", "/settings", None).await;
    let mut settings = now["settings"].clone();
    settings["import"]["enabled"] = json!(enabled);
    let body = json!({"expected_revision": now["revision"], "settings": settings});
    let saved = door.call("PUT", "/settings", Some(body)).await;
    assert_eq!(saved.status, 200, "{}", saved.body);
}

async fn cities(tenant: &Tenant, store: &store::Store) -> usize {
    let rows = store.objects_after(
        tenant.workspace,
        tenant.portal,
        ObjectType::Contact,
        None,
        1_000,
    );
    let rows = rows.await.unwrap();
    rows.iter()
        .filter(|r| r.properties["city"] == "Reykjavík")
        .count()
}

async fn edit_some(tenant: &Tenant, store: &store::Store) {
    let rows = store.objects_after(
        tenant.workspace,
        tenant.portal,
        ObjectType::Contact,
        None,
        20,
    );
    for row in rows.await.unwrap() {
        let body = json!({"properties": {"city": "Reykjavík"}});
        let path = format!("records/contacts/{}", row.id);
        tenant.control("PATCH", &path, Some(body)).await;
    }
}

#[tokio::test]
async fn off_stops_records_and_keeps_definitions_and_on_again_catches_up() {
    let size = json!({"contacts": 200, "companies": 20, "deals": 10, "lists": 2, "owners": 3,
        "limits": "off", "auto_companies": false});
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    let store = store_of(tenant.api.addresses()).await;
    sync(&tenant).await;
    import(&tenant, false).await;
    edit_some(&tenant, &store).await;
    tenant.control("POST", "pipelines/second", None).await;
    let log = tenant.requests().await.len();
    sync(&tenant).await;
    assert_eq!(cities(&tenant, &store).await, 0);
    let status = tenant.status().await;
    assert_eq!(status["import_enabled"], false);
    assert_eq!(object(&status, "pipelines")["stored"], 2, "{status:#}");
    assert!(object(&status, "contacts")["freshness"]["every_seconds"].is_null());
    assert!(object(&status, "owners")["freshness"]["every_seconds"].is_u64());
    let asked: Vec<String> = tenant.requests().await[log..]
        .iter()
        .map(|r| r["path"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        !asked.iter().any(|p| p.contains("/search")),
        "records or lists were read: {asked:#?}"
    );

    import(&tenant, true).await;
    sync(&tenant).await;
    assert_eq!(cities(&tenant, &store).await, 20);
    assert_mirrored(&tenant, &store).await;
    // Everything was handed over already: no run was needed.
    assert_eq!(tenant.status().await["run"]["kind"], "initial");
}

#[tokio::test]
async fn off_from_the_start_reads_definitions_only_and_on_runs_the_backfill() {
    let size = json!({"contacts": 150, "companies": 20, "deals": 10, "lists": 2, "owners": 3,
        "limits": "off", "auto_companies": false});
    let tenant = Tenant::new(&shared(), size).await;
    let store = store_of(tenant.api.addresses()).await;
    // A workspace is known once somebody began to connect it.
    tenant.api.begin(&tenant.id()).await.unwrap();
    import(&tenant, false).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    let status = tenant.status().await;
    for (name, stored) in [
        ("contacts", 0),
        ("companies", 0),
        ("deals", 0),
        ("lists", 0),
        ("owners", 3),
    ] {
        assert_eq!(
            object(&status, name)["stored"],
            stored,
            "{name}: {status:#}"
        );
    }
    sync(&tenant).await;
    assert_eq!(object(&tenant.status().await, "contacts")["stored"], 0);

    import(&tenant, true).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let status = tenant.status().await;
        if object(&status, "contacts")["stored"] == 150 && status["phase"] == "syncing" {
            break;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_mirrored(&tenant, &store).await;
    edit_some(&tenant, &store).await;
    sync(&tenant).await;
    assert_eq!(cities(&tenant, &store).await, 20);
}
