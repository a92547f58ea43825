//! I1: what HubSpot answers late is awaited, what it does not answer at all stays as it is stored.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use domain::{HubSpotObjectId, ObjectType, ReadOutcome, SyncType};
use e2e::{Tenant, assert_mirrored, shared, store_of};
use serde_json::{Value, json};
use store::{Store, TypeStatus};

const MINUTE: Duration = Duration::from_secs(60);

async fn fault(tenant: &Tenant, rule: Value) {
    tenant.control("POST", "faults", Some(rule)).await;
}

async fn status_of(tenant: &Tenant, store: &Store, sync_type: SyncType) -> TypeStatus {
    let status = store
        .portal_status(tenant.workspace, tenant.portal)
        .await
        .unwrap();
    let mut all = status.types.into_iter();
    all.find(|t| t.progress.object_type == sync_type).unwrap()
}

/// Reads all contacts again, and waits for the end of that run.
async fn read_again(tenant: &Tenant) {
    let body = json!({"types": ["contacts"], "mode": {"mode": "from_scratch"}});
    let reply = tenant.api.call(&tenant.id(), "resync", Some(body)).await;
    let answer: Value = reply.unwrap().json().unwrap();
    assert_eq!(answer["outcome"], "started", "{answer}");
    let deadline = Instant::now() + 3 * MINUTE;
    loop {
        let status = tenant.status().await;
        let ended = ["finished", "finished_with_refusals"]
            .iter()
            .any(|state| status["run"]["state"] == *state);
        if status["run"]["run"] == answer["run"] && ended {
            return;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn contacts(tenant: &Tenant, store: &Store) -> BTreeMap<HubSpotObjectId, Value> {
    let (workspace, portal) = (tenant.workspace, tenant.portal);
    store
        .objects_after(workspace, portal, ObjectType::Contact, None, 20_000)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.id, row.properties))
        .collect()
}

/// A page of a listing, and one of associations, of which HubSpot was seen to take so long.
#[tokio::test]
async fn a_page_that_takes_forty_seconds_is_awaited_and_asked_for_once() {
    let size = json!({
        "contacts": 350, "companies": 60, "deals": 150, "lists": 0, "owners": 2, "limits": "off",
        "inline_association_page": 1,
    });
    let tenant = Tenant::new(&shared(), size).await;
    let slow = |id: &str, method: &str, path: &str, query: &str| {
        json!({
            "id": id, "method": method, "path": path, "query": query, "nth": 1,
            "effect": {"delay": {"ms": 40_000}},
        })
    };
    let listing = slow("listing", "GET", "/objects/2026-09/contacts$", "after");
    fault(&tenant, listing).await;
    let associations = slow("associations", "POST", "/associations/2026-09/deals/", "");
    fault(&tenant, associations).await;
    let began = Instant::now();
    tenant.connect().await;
    tenant.wait_for_phase("syncing", 3 * MINUTE).await;
    assert!(began.elapsed() > Duration::from_secs(40));

    let requests = tenant.requests().await;
    let of = |request: &Value| {
        ["method", "path", "query", "body_digest"].map(|name| request[name].clone())
    };
    for rule in ["listing", "associations"] {
        let slow: Vec<_> = requests.iter().filter(|r| r["fault"] == rule).collect();
        assert_eq!(slow.len(), 1, "{rule}: {slow:?}");
        assert_eq!(slow[0]["status"], 200, "{rule}");
        let same = requests.iter().filter(|r| of(r) == of(slow[0])).count();
        assert_eq!(same, 1, "{rule} was asked for {same} times");
    }
    let store = store_of(tenant.api.addresses()).await;
    for sync_type in [SyncType::Contacts, SyncType::Deals] {
        let status = status_of(&tenant, &store, sync_type).await;
        assert_eq!(status.outcome, ReadOutcome::Finished, "{sync_type}");
        assert_eq!(status.unanswered, 0);
    }
    let whole = json!({"inline_association_page": 10_000});
    tenant.control("PATCH", "", Some(whole)).await;
    assert_eq!(assert_mirrored(&tenant, &store).await, 560);
}

/// Search helps with a big type, and what its index did not know is read by id; there HubSpot gives no
/// answer.
#[tokio::test]
async fn records_that_are_not_answered_by_id_stay_as_they_are_and_leave_the_type_incomplete() {
    const CONTACTS: usize = 12_000;
    const CHANGED: &str = "changed behind the index";
    let size = json!({
        "contacts": CONTACTS, "companies": 0, "deals": 0, "lists": 0, "owners": 1,
        "limits": "off", "latency_ms": 50, "auto_companies": false,
    });
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant.wait_for_phase("syncing", 2 * MINUTE).await;
    let store = store_of(tenant.api.addresses()).await;
    let before = contacts(&tenant, &store).await;
    assert_eq!(before.len(), CONTACTS);
    let last_read = || store.last_read_began(tenant.workspace, tenant.portal, SyncType::Contacts);
    let watermark = last_read().await.unwrap();

    // From now on the index learns nothing any more.
    let day_ms = 24 * 60 * 60 * 1_000;
    let frozen = json!({"search_lag_ms": day_ms});
    tenant.control("PATCH", "", Some(frozen)).await;
    let key = tenant.control("POST", "service-keys", None).await;
    let http = dev::http().unwrap();
    let changed: Vec<HubSpotObjectId> = before.keys().copied().step_by(200).collect();
    for id in &changed {
        let answer = http
            .patch(format!(
                "{}/crm/objects/2026-09/contacts/{id}",
                tenant.api.addresses().simulator
            ))
            .bearer_auth(key["token"].as_str().unwrap())
            .json(&json!({"properties": {"jobtitle": CHANGED}}))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
    for (method, path) in [
        ("POST", "/objects/2026-09/contacts/batch/read"),
        ("GET", "/objects/2026-09/contacts/*"),
    ] {
        let effect = match method {
            "POST" => json!("empty"),
            _ => {
                json!({"status": {"status": 400, "category": "VALIDATION_ERROR", "message": "no"}})
            }
        };
        let rule = json!({"id": method, "method": method, "path": path, "effect": effect});
        fault(&tenant, rule).await;
    }
    let asked_before = tenant.requests().await.last().unwrap()["seq"].clone();
    read_again(&tenant).await;

    let after = contacts(&tenant, &store).await;
    assert_eq!(after.len(), CONTACTS, "nothing is removed");
    let (new, kept): (Vec<&HubSpotObjectId>, Vec<&HubSpotObjectId>) = changed
        .iter()
        .partition(|id| after[*id]["jobtitle"] == CHANGED);
    assert!(!new.is_empty(), "the list endpoint brought none");
    assert!(!kept.is_empty(), "none was read by id");
    for id in &kept {
        assert_eq!(after[*id], before[*id], "{id}");
    }
    let status = status_of(&tenant, &store, SyncType::Contacts).await;
    assert_eq!(status.outcome, ReadOutcome::Incomplete);
    assert_eq!(status.unanswered, kept.len() as u64);
    assert_eq!(last_read().await.unwrap(), watermark);
    // Asked for once more after the last page: all of them in one request, as no page had them.
    let requests: Vec<Value> = tenant
        .requests()
        .await
        .into_iter()
        .filter(|r| r["seq"].as_u64() > asked_before.as_u64())
        .collect();
    let listed = |r: &Value| r["path"].as_str().unwrap().ends_with("/contacts");
    let last_page = requests.iter().rposition(listed).unwrap();
    let at_the_end = requests[last_page..]
        .iter()
        .filter(|r| r["fault"] == "POST")
        .count();
    assert!(
        at_the_end >= 1,
        "not asked for again at the end of the type"
    );

    // Answered again, it is whole.
    tenant.control("DELETE", "faults", None).await;
    read_again(&tenant).await;
    let status = status_of(&tenant, &store, SyncType::Contacts).await;
    assert_eq!(
        (status.outcome, status.unanswered),
        (ReadOutcome::Finished, 0)
    );
    assert!(last_read().await.unwrap() > watermark);
    assert_eq!(assert_mirrored(&tenant, &store).await, CONTACTS as u64);
}

/// HS-3018: a whole read that brings nothing, though records are known.
#[tokio::test]
async fn an_empty_listing_of_known_records_removes_nothing_and_says_so() {
    let size = json!({
        "contacts": 150, "companies": 5, "deals": 5, "lists": 0, "owners": 1, "limits": "off",
    });
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant.wait_for_phase("syncing", MINUTE).await;
    let store = store_of(tenant.api.addresses()).await;
    let before = contacts(&tenant, &store).await;
    assert_eq!(before.len(), 150);
    let last_read = || store.last_read_began(tenant.workspace, tenant.portal, SyncType::Contacts);
    let watermark = last_read().await.unwrap();
    let listing = json!({
        "method": "GET", "path": "/objects/2026-09/contacts$", "effect": "empty",
    });
    fault(&tenant, listing).await;
    read_again(&tenant).await;
    assert_eq!(contacts(&tenant, &store).await, before);
    let status = status_of(&tenant, &store, SyncType::Contacts).await;
    assert_eq!(status.outcome, ReadOutcome::Incomplete);
    assert_eq!(status.unanswered, 150);
    assert_eq!(last_read().await.unwrap(), watermark);
    let shown = tenant.status().await;
    assert!(shown.to_string().contains("HS-3018"), "{shown:#}");
    tenant.control("DELETE", "faults", None).await;
    read_again(&tenant).await;
    let status = status_of(&tenant, &store, SyncType::Contacts).await;
    assert_eq!(
        (status.outcome, status.unanswered),
        (ReadOutcome::Finished, 0)
    );
}
