//! X10: no silent staleness.

use std::time::{Duration, Instant};

use e2e::{Tenant, object, periodic::sync, planted::Planted, shared};
use serde_json::json;

use crate::i3_support::reconcile;

async fn sql(tenant: &Tenant, statement: &str) {
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client.execute(statement, &[&tenant.id()]).await.unwrap();
}

#[tokio::test]
async fn a_type_that_is_not_brought_up_to_date_says_so_until_it_is() {
    let size = json!({"contacts": 50, "companies": 5, "limits": "off"});
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    sync(&tenant).await;
    let fresh = object(&tenant.status().await, "contacts")["freshness"].clone();
    assert!(fresh["age_seconds"].as_u64() < Some(60), "{fresh}");
    assert_eq!(fresh["last"], "finished", "{fresh}");
    assert!(fresh["alarm"].is_null(), "{fresh}");

    // As if nothing had come for four intervals.
    sql(
        &tenant,
        "update sync_freshness set read_at = read_at - make_interval(secs => 4 * every_seconds)
         where workspace_id = $1::text::uuid and sync_type = 'contacts'",
    )
    .await;
    let status = tenant.status().await;
    assert_eq!(object(&status, "contacts")["freshness"]["alarm"], "HS-3030");
    assert!(object(&status, "companies")["freshness"]["alarm"].is_null());
    let addresses = tenant.api.addresses();
    let output = tokio::process::Command::new(e2e::binaries().join("hubspot-sync"))
        .arg("status")
        .env_clear()
        .env("HUBSPOT_SYNC_WORKSPACE", tenant.id())
        .env("HUBSPOT_SYNC_URL", &addresses.web)
        .env("HUBSPOT_SYNC_TOKEN", &addresses.api_token)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("contacts: not brought up to date for") && text.contains("HS-3030"),
        "{text}"
    );
    let metrics = dev::http().unwrap();
    let url = format!("{}/metrics", addresses.workers[0]);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = metrics
            .get(&url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let stale = text.lines().any(|line| {
            line.strip_prefix("hubspot_sync_types_stale{object_type=\"contacts\"} ")
                .is_some_and(|n| n.parse::<u64>().unwrap() >= 1)
        });
        if stale {
            assert!(!text.contains(&tenant.id()), "a metric names a workspace");
            break;
        }
        assert!(Instant::now() < deadline, "the metric does not say so");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    sync(&tenant).await;
    let fresh = object(&tenant.status().await, "contacts")["freshness"].clone();
    assert!(fresh["alarm"].is_null(), "{fresh}");
}

#[tokio::test]
async fn what_hubspot_refuses_of_a_sync_shows_and_is_over_when_it_allows_it() {
    let size = json!({"contacts": 50, "deals": 5, "limits": "off"});
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    sync(&tenant).await;
    let as_of = object(&tenant.status().await, "deals")["freshness"]["as_of"].clone();
    let refused = json!({"id": "no", "path": "/objects/*/deals/search",
        "effect": {"status": {"status": 403, "category": "FORBIDDEN", "message": "no"}}});
    tenant.control("POST", "faults", Some(refused)).await;
    sync(&tenant).await;
    let status = tenant.status().await;
    let deals = &object(&status, "deals")["freshness"];
    assert_eq!(deals["last"], "refused", "{status:#}");
    assert_eq!(deals["as_of"], as_of, "it is as fresh as it was");
    assert!(deals["refusals"][0]["code"].is_string(), "{deals}");
    assert_eq!(object(&status, "contacts")["freshness"]["last"], "finished");

    tenant.control("DELETE", "faults/no", None).await;
    sync(&tenant).await;
    let status = tenant.status().await;
    let deals = &object(&status, "deals")["freshness"];
    assert_eq!(deals["last"], "finished", "{status:#}");
    assert_eq!(deals["refusals"], json!([]));
}

/// What a search that forgot everything, and a portal that names all records as unknown, mean: an alarm,
/// and nothing else.
#[tokio::test]
async fn none_of_the_known_records_is_an_alarm_and_removes_nothing() {
    let size = json!({"contacts": 0, "companies": 0, "deals": 0, "lists": 0, "limits": "off",
        "auto_companies": false, "search_lag_ms": 0});
    let p = Planted::on(&shared(), size).await;
    let tenant = &p.tenant;
    let mut planted = Vec::new();
    for n in 0..12 {
        let contact = json!({"email": format!("a{n}@x10-none.com")});
        planted.push(p.record("contacts", contact, &[]).await);
    }
    // Long enough ago that an index is no excuse.
    let later = json!({"advance_ms": 10 * 60 * 1_000});
    tenant.control("POST", "clock", Some(later)).await;
    let door = p.connect().await;
    let forgets = json!({"id": "forgets", "path": "/contacts/search", "effect": "empty"});
    tenant.control("POST", "faults", Some(forgets)).await;
    let long_window = async || {
        sql(
            tenant,
            "update sync_freshness set swept_at = '-infinity'
             where workspace_id = $1::text::uuid and sync_type = 'contacts'",
        )
        .await;
        sync(tenant).await;
        object(&tenant.status().await, "contacts").clone()
    };
    let contacts = long_window().await;
    assert_eq!(
        (
            &contacts["none_found"]["code"],
            &contacts["none_found"]["known"]
        ),
        (&json!("HS-3018"), &json!(12)),
        "{contacts:#}"
    );
    assert_eq!(contacts["freshness"]["last"], "incomplete");
    assert_eq!(contacts["stored"], 12);
    let in_feed = async || {
        let page = door.ok("GET", "/changes?limit=1000", None).await;
        let items = page["items"].as_array().unwrap().clone();
        items.into_iter().find(|item| item["kind"] == "type")
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while in_feed().await.is_none() {
        assert!(Instant::now() < deadline, "the feed does not say so");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(
        in_feed().await,
        Some(json!({"kind": "type", "id": "contacts", "change": "changed"}))
    );
    let metrics = dev::http().unwrap();
    let url = format!("{}/metrics", tenant.api.addresses().workers[0]);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let text = metrics
            .get(&url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let name = "hubspot_sync_types_finding_nothing{object_type=\"contacts\"} ";
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        if found.is_some_and(|n| n.parse::<u64>().unwrap() >= 1) {
            break;
        }
        assert!(Instant::now() < deadline, "the metric does not say so");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    tenant.control("DELETE", "faults/forgets", None).await;
    let contacts = long_window().await;
    assert!(contacts["none_found"].is_null(), "{contacts:#}");
    assert_eq!(contacts["freshness"]["last"], "finished");
    // The reconciliation is told that there is none of them, and search counts none.
    for id in &planted {
        let path = format!("records/contacts/{id}/erase");
        tenant.control("POST", &path, None).await;
    }
    reconcile(tenant).await;
    let contacts = object(&tenant.status().await, "contacts").clone();
    assert_eq!(contacts["none_found"]["known"], 12, "{contacts:#}");
    assert_eq!(contacts["stored"], 12);
    // Where HubSpot has any, it is believed.
    p.record("contacts", json!({"email": "new@x10-none.com"}), &[])
        .await;
    sync(tenant).await;
    let contacts = object(&tenant.status().await, "contacts").clone();
    assert!(contacts["none_found"].is_null(), "{contacts:#}");
    reconcile(tenant).await;
    assert_eq!(object(&tenant.status().await, "contacts")["stored"], 1);
}
