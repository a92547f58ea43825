//! X7: resync.

use std::time::Duration;

use domain::ObjectType;
use e2e::{Tenant, assert_mirrored, object, shared, store_of};
use serde_json::{Value, json};

async fn resync(tenant: &Tenant, body: Value) -> Value {
    let reply = tenant
        .api
        .call(&tenant.id(), "resync", Some(body))
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json().unwrap()
}

#[tokio::test]
async fn a_resync_during_a_backfill_is_queued_for_what_was_begun_and_starts_no_second_one() {
    let size = json!({"contacts": 2_000, "companies": 200, "limits": "off", "latency_ms": 150});
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant.wait_for_contacts(200, Duration::from_secs(60)).await;
    let running = tenant.status().await["run"]["run"].clone();

    // Contacts that the run has passed are changed; whoever asks for a resync then wants to see it.
    let store = store_of(tenant.api.addresses()).await;
    let (workspace, portal) = (tenant.workspace, tenant.portal);
    let passed = store
        .objects_after(workspace, portal, ObjectType::Contact, None, 1)
        .await
        .unwrap();
    let key = tenant.control("POST", "service-keys", None).await["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let contacts = format!(
        "{}/crm/objects/2026-09/contacts",
        tenant.api.addresses().simulator
    );
    let changed = dev::http()
        .unwrap()
        .patch(format!("{contacts}/{}", passed[0].id))
        .bearer_auth(&key)
        .json(&json!({"properties": {"city": "Reykjavík"}}))
        .send()
        .await
        .unwrap();
    assert!(changed.status().is_success());

    let answer = resync(&tenant, json!({"types": ["contacts"]})).await;
    assert_eq!(answer["outcome"], "queued", "{answer}");
    assert_eq!(answer["types"], json!(["contacts"]), "{answer}");
    assert!(answer["run"].is_string(), "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("contacts"));
    // Once more: the queued one has yet to begin.
    let again = resync(&tenant, json!({"types": ["contacts"]})).await;
    assert_eq!(again["outcome"], "already_running", "{again}");
    assert_eq!(
        (&again["run"], &again["types"]),
        (&Value::Null, &json!([])),
        "{again}"
    );
    assert!(again["message"].as_str().unwrap().contains("nothing new"));
    assert_eq!(tenant.status().await["run"]["run"], running);

    tenant
        .control("PATCH", "", Some(json!({"latency_ms": 0})))
        .await;
    let deadline = std::time::Instant::now() + Duration::from_secs(90);
    loop {
        let status = tenant.status().await;
        if status["run"]["run"] == answer["run"] && status["run"]["state"] == "finished" {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{status:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let now = store
        .objects_after(workspace, portal, ObjectType::Contact, None, 1)
        .await
        .unwrap();
    assert_eq!(now[0].properties["city"], "Reykjavík");
    let reads = tenant
        .requests()
        .await
        .into_iter()
        .filter(|r| {
            r["path"]
                .as_str()
                .unwrap()
                .ends_with("/objects/2026-09/contacts")
                && !r["query"].as_str().unwrap().contains("after=")
        })
        .count();
    assert_eq!(reads, 1, "the contacts were begun {reads} times");
}

#[tokio::test]
async fn catching_up_brings_what_changed_and_no_more() {
    // HubSpot would make a company for the new contact, which a resync of contacts does not read.
    let size = json!({
        "contacts": 1_200, "companies": 100, "deals": 100, "lists": 2, "limits": "off",
        "auto_companies": false,
    });
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    let store = store_of(tenant.api.addresses()).await;

    // Somebody works in HubSpot.
    let key = tenant.control("POST", "service-keys", None).await["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let page = store
        .objects_after(
            tenant.workspace,
            tenant.portal,
            ObjectType::Contact,
            None,
            3,
        )
        .await
        .unwrap();
    let client = dev::http().unwrap();
    let base = format!(
        "{}/crm/objects/2026-09/contacts",
        tenant.api.addresses().simulator
    );
    for row in &page {
        let changed = client
            .patch(format!("{base}/{}", row.id))
            .bearer_auth(&key)
            .json(&json!({"properties": {"city": "Reykjavík"}}))
            .send()
            .await
            .unwrap();
        assert!(changed.status().is_success());
    }
    let created = client
        .post(&base)
        .bearer_auth(&key)
        .json(&json!({"properties": {"email": "new@mail.example.org", "firstname": "New"}}))
        .send()
        .await
        .unwrap();
    assert_eq!(created.status().as_u16(), 201);

    let before = tenant.requests().await.last().unwrap()["seq"]
        .as_u64()
        .unwrap();
    let answer = resync(&tenant, json!({"types": ["contacts"]})).await;
    assert_eq!(answer["outcome"], "started", "{answer}");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let status = tenant.status().await;
        if status["run"]["run"] == answer["run"] && status["run"]["state"] == "finished" {
            assert_eq!(object(&status, "contacts")["done"], 4);
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{status:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_mirrored(&tenant, &store).await;
    let listed = tenant
        .requests()
        .await
        .into_iter()
        .filter(|r| {
            r["seq"].as_u64().unwrap() > before
                && r["bucket"] == "general"
                && r["path"]
                    .as_str()
                    .unwrap()
                    .ends_with("/objects/2026-09/contacts")
        })
        .filter(|r| r["method"] == "GET")
        .count();
    assert_eq!(listed, 0, "what had not changed was read again");
}
