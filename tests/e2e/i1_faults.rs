//! I1, X1: what HubSpot does not answer, refuses, or answers wrongly, costs nothing that is stored, and
//! shows.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use domain::{ObjectType, ReadOutcome, ReadPart, SyncType};
use e2e::{Tenant, assert_mirrored, object, shared, store_of};
use serde_json::{Value, json};
use store::{PortalStatus, Store, TypeStatus};

const MINUTE: Duration = Duration::from_secs(60);

async fn fault(tenant: &Tenant, rule: Value) {
    tenant.control("POST", "faults", Some(rule)).await;
}

/// Reads these types again, and waits for the end of that run.
async fn resync(tenant: &Tenant, body: Value, within: Duration) {
    let reply = tenant
        .api
        .call(&tenant.id(), "resync", Some(body))
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    let answer: Value = reply.json().unwrap();
    assert_eq!(answer["outcome"], "started", "{answer}");
    let deadline = Instant::now() + within;
    loop {
        let status = tenant.status().await;
        let ended = ["finished", "finished_with_refusals"]
            .iter()
            .any(|state| status["run"]["state"] == *state);
        if status["run"]["run"] == answer["run"] && ended {
            return;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn types(tenant: &Tenant, store: &Store) -> PortalStatus {
    store
        .portal_status(tenant.workspace, tenant.portal)
        .await
        .unwrap()
}

fn of(status: &PortalStatus, sync_type: SyncType) -> &TypeStatus {
    status
        .types
        .iter()
        .find(|t| t.progress.object_type == sync_type)
        .unwrap()
}

async fn associations(tenant: &Tenant, store: &Store) -> usize {
    let mut sum = 0;
    for from in ObjectType::MIRRORED {
        sum += store
            .associations_from(tenant.workspace, tenant.portal, from)
            .await
            .unwrap()
            .len();
    }
    sum
}

/// Fault 1: the answer that does not speak of a record.
#[tokio::test]
async fn associations_that_are_not_answered_stay_and_leave_the_type_incomplete() {
    let size = json!({
        "contacts": 300, "companies": 60, "deals": 150, "lists": 0, "owners": 2, "limits": "off",
    });
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant.wait_for_phase("syncing", MINUTE).await;
    let store = store_of(tenant.api.addresses()).await;
    let before = associations(&tenant, &store).await;
    assert!(before > 100, "{before}");
    let watermark = store
        .last_read_began(tenant.workspace, tenant.portal, SyncType::Deals)
        .await
        .unwrap();
    let again = json!({
        "types": ["deals"], "mode": {"mode": "since", "since": "2000-01-01T00:00:00Z"},
    });
    for effect in [
        json!("empty"),
        json!({"error_per_input": {"category": "RATE_LIMITS"}}),
        json!({"error_per_input": {"category": "INTERNAL_ERROR"}}),
    ] {
        fault(
            &tenant,
            json!({"path": "/associations/2026-09/deals/", "effect": effect.clone()}),
        )
        .await;
        // Nor does anybody answer for one deal alone.
        fault(
            &tenant,
            json!({"method": "GET", "path": "/associations/", "effect": {"answer": {"name": "internal"}}}),
        )
        .await;
        resync(&tenant, again.clone(), 2 * MINUTE).await;
        assert_eq!(associations(&tenant, &store).await, before, "{effect}");
        let status = types(&tenant, &store).await;
        let deals = of(&status, SyncType::Deals);
        assert_eq!(deals.outcome, ReadOutcome::Incomplete, "{effect}");
        assert!(deals.unanswered > 0, "{effect}");
        tenant.control("DELETE", "faults", None).await;
    }
    let now = store
        .last_read_began(tenant.workspace, tenant.portal, SyncType::Deals)
        .await
        .unwrap();
    assert_eq!(now, watermark, "what is incomplete moves no watermark");
    // Answered again, it is whole.
    resync(&tenant, again, MINUTE).await;
    let status = types(&tenant, &store).await;
    assert_eq!(of(&status, SyncType::Deals).outcome, ReadOutcome::Finished);
    assert_eq!(associations(&tenant, &store).await, before);
}

/// Fault 2: faults at random cost their request, not half a minute.
#[tokio::test]
async fn faults_at_random_hardly_slow_a_backfill() {
    let size = json!({
        "contacts": 6_000, "companies": 200, "deals": 200, "lists": 0, "owners": 2, "limits": "off",
        "latency_ms": 20,
    });
    let tenant = Tenant::new(&shared(), size).await;
    fault(
        &tenant,
        json!({"probability": 0.02, "seed": 1, "effect": {"answer": {"name": "bad_gateway"}}}),
    )
    .await;
    fault(
        &tenant,
        json!({"every": 25, "effect": {"status": {"status": 502, "html": true}}}),
    )
    .await;
    tenant.connect().await;
    tenant.wait_for_phase("syncing", 2 * MINUTE).await;
    let store = store_of(tenant.api.addresses()).await;
    tenant.control("DELETE", "faults", None).await;
    assert_eq!(assert_mirrored(&tenant, &store).await, 6_400);
}

/// Fault 21: a page that fails at its size.
#[tokio::test]
async fn a_page_that_fails_at_its_size_is_halved_and_the_size_remembered() {
    let size = json!({
        "contacts": 800, "companies": 10, "deals": 10, "lists": 0, "owners": 1, "limits": "off",
    });
    let tenant = Tenant::new(&shared(), size).await;
    fault(
        &tenant,
        json!({"method": "GET", "path": "/objects/2026-09/contacts", "limit_over": 30, "effect": {"answer": {"name": "internal"}}}),
    )
    .await;
    tenant.connect().await;
    tenant.wait_for_phase("syncing", 2 * MINUTE).await;
    let store = store_of(tenant.api.addresses()).await;
    assert_eq!(assert_mirrored(&tenant, &store).await, 820);
}

/// Fault 17: pages that come to no end.
#[tokio::test]
async fn a_listing_that_stands_still_ends_its_type_with_a_reason_and_stops_no_other() {
    for effect in ["same_cursor", "ignore_after", "fresh_cursor"] {
        let size = json!({
            "contacts": 250, "companies": 20, "deals": 20, "lists": 0, "owners": 250, "limits": "off",
        });
        let tenant = Tenant::new(&shared(), size).await;
        fault(&tenant, json!({"path": "/crm/owners/", "effect": effect})).await;
        tenant.connect().await;
        let status = tenant.wait_for_phase("syncing", 2 * MINUTE).await;
        assert_eq!(object(&status, "contacts")["stored"], 250, "{effect}");
        let store = store_of(tenant.api.addresses()).await;
        let status = types(&tenant, &store).await;
        let owners = of(&status, SyncType::Owners);
        assert_eq!(owners.outcome, ReadOutcome::Refused, "{effect}");
        assert_eq!(owners.refusals[0].code.as_str(), "HS-3016", "{effect}");
        let asked = tenant
            .requests()
            .await
            .into_iter()
            .filter(|r| r["path"].as_str().unwrap().contains("/owners/"))
            .count();
        assert!(asked < 40, "{effect}: asked {asked} times");
    }
}

/// Fault 18: only the refused read is left out.
#[tokio::test]
async fn a_refusal_leaves_out_its_own_read_and_is_named() {
    let size = json!({
        "contacts": 200, "companies": 40, "deals": 150, "lists": 3, "owners": 2, "limits": "off",
        "inline_association_page": 1,
    });
    let tenant = Tenant::new(&shared(), size).await;
    let missing = |scope: &str| json!({"answer": {"name": "missing_scopes", "scopes": [scope]}});
    fault(
        &tenant,
        json!({"path": "/associations/2026-09/deals/", "effect": missing("crm.objects.deals.read")}),
    )
    .await;
    fault(
        &tenant,
        json!({"path": "/properties/2026-09/companies", "effect": missing("crm.schemas.companies.read")}),
    )
    .await;
    fault(
        &tenant,
        json!({"path": "/crm/pipelines/", "effect": {"status": {"status": 400, "category": "VALIDATION_ERROR", "message": "no"}}}),
    )
    .await;
    tenant.connect().await;
    let shown = tenant.wait_for_phase("syncing", 2 * MINUTE).await;
    assert_eq!(object(&shown, "deals")["stored"], 150);
    let store = store_of(tenant.api.addresses()).await;
    let status = types(&tenant, &store).await;
    let properties = of(&status, SyncType::Properties);
    assert_eq!(properties.outcome, ReadOutcome::Finished);
    assert_eq!(
        properties.refusals[0].part,
        ReadPart::DefinitionsOf(ObjectType::Company)
    );
    assert_eq!(
        properties.refusals[0].scopes,
        ["crm.schemas.companies.read"]
    );
    let pipelines = of(&status, SyncType::Pipelines);
    assert_eq!(pipelines.outcome, ReadOutcome::Refused);
    assert_eq!(pipelines.refusals[0].code.as_str(), "HS-3005");
    let parts: BTreeSet<ReadPart> = of(&status, SyncType::Deals)
        .refusals
        .iter()
        .map(|r| r.part)
        .collect();
    assert!(
        parts.contains(&ReadPart::AssociationsWith(ObjectType::Contact)),
        "{parts:?}"
    );
}

/// Fault 22: search counts what it does not give.
#[tokio::test]
async fn a_search_that_contradicts_its_total_moves_no_watermark() {
    let size = json!({
        "contacts": 120, "companies": 5, "deals": 5, "lists": 0, "owners": 1, "limits": "off",
        "auto_companies": false,
    });
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant.wait_for_phase("syncing", MINUTE).await;
    let store = store_of(tenant.api.addresses()).await;
    let watermark = store
        .last_read_began(tenant.workspace, tenant.portal, SyncType::Contacts)
        .await
        .unwrap();
    let key = tenant.control("POST", "service-keys", None).await["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let created = dev::http()
        .unwrap()
        .post(format!(
            "{}/crm/objects/2026-09/contacts",
            tenant.api.addresses().simulator
        ))
        .bearer_auth(&key)
        .json(&json!({"properties": {"email": "late@mail.example.org", "firstname": "Late"}}))
        .send()
        .await
        .unwrap();
    assert_eq!(created.status().as_u16(), 201);
    fault(
        &tenant,
        json!({"path": "/objects/2026-09/contacts/search", "effect": "empty_with_total"}),
    )
    .await;
    resync(&tenant, json!({"types": ["contacts"]}), MINUTE).await;
    let status = types(&tenant, &store).await;
    assert_eq!(
        of(&status, SyncType::Contacts).outcome,
        ReadOutcome::Incomplete
    );
    let now = store
        .last_read_began(tenant.workspace, tenant.portal, SyncType::Contacts)
        .await
        .unwrap();
    assert_eq!(now, watermark);
    tenant.control("DELETE", "faults", None).await;
    resync(&tenant, json!({"types": ["contacts"]}), MINUTE).await;
    let status = types(&tenant, &store).await;
    assert_eq!(
        of(&status, SyncType::Contacts).outcome,
        ReadOutcome::Finished
    );
    assert_mirrored(&tenant, &store).await;
}
