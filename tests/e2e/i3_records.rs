//! I3: archived, restored, merged and erased records reach the mirror, by reading everything again and
//! by reconciliation. Nothing of it moves last-modified.

use std::time::{Duration, Instant};

use domain::{HubSpotObjectId, ObjectType};
use e2e::{Tenant, assert_mirrored};
use serde_json::json;
use store::{Fate, Store};

use crate::i3_support::{
    MINUTE, Somebody, Way, archive, begin_resync, fate, ids, merge, reconcile, wait_for_run, world,
};

/// Every value of the mirror that is stored of a contact.
async fn stored_of(tenant: &Tenant, id: HubSpotObjectId) -> String {
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let sql = "select coalesce(string_agg(t, ' '), '') from (
        select properties::text as t from hubspot_object where portal_id = $1 and object_id = $2
        union all select key from hubspot_object_key where portal_id = $1 and object_id = $2
        union all select 'association' from hubspot_association
          where portal_id = $1 and (from_id = $2 or to_id = $2)) as x";
    let row = client
        .query_one(sql, &[&tenant.portal.get(), &id.get()])
        .await
        .unwrap();
    row.get(0)
}

async fn email_of(tenant: &Tenant, store: &Store, id: HubSpotObjectId) -> String {
    let before = HubSpotObjectId::new(id.get() - 1).ok();
    let row = store
        .objects_after(
            tenant.workspace,
            tenant.portal,
            ObjectType::Contact,
            before,
            1,
        )
        .await
        .unwrap();
    row[0].properties["email"].as_str().unwrap().to_owned()
}

async fn everything_arrives(way: Way, keeps_primary: bool) {
    let size = json!({
        "contacts": 250, "companies": 40, "deals": 80, "lists": 0, "owners": 2,
        "merge_keeps_primary_id": keeps_primary,
    });
    let (tenant, store) = world(size).await;
    let contacts = ids(&tenant, &store, ObjectType::Contact).await;
    let companies = ids(&tenant, &store, ObjectType::Company).await;
    let deals = ids(&tenant, &store, ObjectType::Deal).await;
    let of = |id| fate(&tenant, &store, ObjectType::Contact, id);

    // Far apart, so that they are on several pages; the first and the last ones as well.
    archive(&tenant, "contacts", contacts[0]).await;
    archive(&tenant, "contacts", contacts[120]).await;
    archive(&tenant, "contacts", contacts[249]).await;
    archive(&tenant, "companies", companies[7]).await;
    archive(&tenant, "deals", deals[9]).await;
    let one = merge(&tenant, "contacts", contacts[10], contacts[20]).await;
    let company = merge(&tenant, "companies", companies[1], companies[2]).await;
    let deal = merge(&tenant, "deals", deals[1], deals[2]).await;
    // A → B → C.
    let first = merge(&tenant, "contacts", contacts[30], contacts[31]).await;
    let last = merge(&tenant, "contacts", contacts[32], first).await;
    assert_eq!(one == contacts[10], keeps_primary);
    let erased = contacts[40];
    let email = email_of(&tenant, &store, erased).await;
    tenant
        .control("POST", &format!("records/contacts/{erased}/erase"), None)
        .await;

    way.bring(&tenant).await;
    assert_mirrored(&tenant, &store).await;
    for id in [contacts[0], contacts[120], contacts[249]] {
        assert_eq!(of(id).await, Some(Fate::Archived), "{id}");
    }
    let of_company = |id| fate(&tenant, &store, ObjectType::Company, id);
    assert_eq!(of_company(companies[7]).await, Some(Fate::Archived));
    assert_eq!(of_company(companies[2]).await, Some(Fate::Merged(company)));
    let of_deal = |id| fate(&tenant, &store, ObjectType::Deal, id);
    assert_eq!(of_deal(deals[9]).await, Some(Fate::Archived));
    assert_eq!(of_deal(deals[2]).await, Some(Fate::Merged(deal)));
    assert_eq!(of(contacts[20]).await, Some(Fate::Merged(one)));
    for old in [contacts[30], contacts[31], first] {
        if old != last {
            let led = store
                .living_ids(tenant.workspace, tenant.portal, ObjectType::Contact, &[old])
                .await
                .unwrap();
            assert_eq!(led.get(&old), Some(&last), "{old}");
        }
    }
    assert_eq!(of(contacts[31]).await, Some(Fate::Merged(last)));
    assert_eq!(of(last).await, Some(Fate::Alive));
    // Named as unknown once: it is no contact any more, but its values wait for a second word.
    assert_eq!(of(erased).await, Some(Fate::Missing));
    assert!(stored_of(&tenant, erased).await.contains(&email));

    // Somebody fetches one out of the recycle bin.
    tenant
        .control(
            "POST",
            &format!("records/contacts/{}/restore", contacts[120]),
            None,
        )
        .await;
    way.bring(&tenant).await;
    assert_mirrored(&tenant, &store).await;
    assert_eq!(of(contacts[120]).await, Some(Fate::Alive));
    assert_eq!(of(contacts[0]).await, Some(Fate::Archived));
    assert_eq!(of(erased).await, Some(Fate::Gone));
    assert_eq!(stored_of(&tenant, erased).await, "{}");
    // What is alive was not touched by any of it.
    assert_eq!(of(contacts[41]).await, Some(Fate::Alive));
}

#[tokio::test]
async fn a_reading_from_scratch_finds_what_was_archived_merged_and_erased() {
    everything_arrives(Way::FromScratch, false).await;
}

#[tokio::test]
async fn a_reading_from_scratch_finds_merges_that_keep_the_primary_id() {
    everything_arrives(Way::FromScratch, true).await;
}

#[tokio::test]
async fn a_reconciliation_finds_what_was_archived_merged_and_erased() {
    everything_arrives(Way::Reconcile, false).await;
}

#[tokio::test]
async fn a_reconciliation_finds_merges_that_keep_the_primary_id() {
    everything_arrives(Way::Reconcile, true).await;
}

#[tokio::test]
async fn answers_that_do_not_speak_of_a_record_remove_nothing() {
    let (tenant, store) =
        world(json!({"contacts": 130, "companies": 0, "deals": 0, "lists": 0})).await;
    let contacts = ids(&tenant, &store, ObjectType::Contact).await;
    let of = |id| fate(&tenant, &store, ObjectType::Contact, id);
    let fault = async |rule| drop(tenant.control("POST", "faults", Some(rule)).await);
    let lost: Vec<String> = contacts[50..60].iter().map(ToString::to_string).collect();
    let unlisted = json!({
        "method": "GET", "path": "/objects/2026-09/contacts$", "effect": {"leave_out": {"ids": lost}},
    });
    let archived = contacts[55];
    archive(&tenant, "contacts", archived).await;

    // Listings that leave records out: they are asked for by themselves, and are there.
    fault(unlisted.clone()).await;
    Way::FromScratch.bring(&tenant).await;
    assert_mirrored(&tenant, &store).await;
    assert_eq!(of(contacts[50]).await, Some(Fate::Alive));
    assert_eq!(of(archived).await, Some(Fate::Archived));
    tenant.control("DELETE", "faults", None).await;

    // Nobody answers for them either: everything stays as it was, and the type does not count as read.
    for effect in [
        json!("empty_batch"),
        json!({"error_per_input": {"category": "RATE_LIMITS"}}),
        json!({"error_per_input": {"category": "INTERNAL_ERROR", "unnamed": true}}),
    ] {
        fault(unlisted.clone()).await;
        fault(json!({"path": "/contacts/batch/read", "effect": effect})).await;
        fault(json!({
            "method": "GET", "path": "/objects/2026-09/contacts/", "effect": {"answer": {"name": "internal"}},
        }))
        .await;
        // A walk that is told nothing of anybody takes its time: one of the three is enough.
        let walks = effect == "empty_batch";
        for way in Way::BOTH {
            if way == Way::Reconcile && !walks {
                continue;
            }
            way.bring(&tenant).await;
            for id in &contacts {
                let want = if *id == archived {
                    Fate::Archived
                } else {
                    Fate::Alive
                };
                assert_eq!(of(*id).await, Some(want), "{effect} {way:?} {id}");
            }
        }
        let status = store
            .portal_status(tenant.workspace, tenant.portal)
            .await
            .unwrap();
        let of_contacts = status
            .types
            .iter()
            .find(|t| t.progress.object_type == domain::SyncType::Contacts)
            .unwrap();
        assert_eq!(of_contacts.outcome, domain::ReadOutcome::Incomplete);
        assert_eq!(of_contacts.unanswered, 10, "{effect}");
        tenant.control("DELETE", "faults", None).await;
    }
    // When HubSpot answers again, all is well.
    Way::FromScratch.bring(&tenant).await;
    assert_mirrored(&tenant, &store).await;
}

#[tokio::test]
async fn a_page_that_was_sent_before_brings_no_older_state_back() {
    let size = json!({
        "contacts": 150, "companies": 20, "deals": 0, "lists": 0, "merge_keeps_primary_id": false,
    });
    let (tenant, store) = world(size).await;
    let contacts = ids(&tenant, &store, ObjectType::Contact).await;
    let somebody = Somebody::of(&tenant).await;
    let of = |id| fate(&tenant, &store, ObjectType::Contact, id);

    // The first page is made now and arrives slowly.
    tenant
        .control(
            "POST",
            "faults",
            Some(json!({
                "method": "GET", "path": "/objects/2026-09/contacts$", "times": 1,
                "effect": {"dribble": {"ms": 15_000}},
            })),
        )
        .await;
    let body = json!({"types": ["contacts"], "mode": {"mode": "from_scratch"}});
    let run = begin_resync(&tenant, body).await;
    let deadline = Instant::now() + MINUTE;
    loop {
        let struck = tenant.control("GET", "faults", None).await.to_string();
        if struck.contains("\"struck\":1") {
            break;
        }
        assert!(Instant::now() < deadline, "{struck}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let path = format!("/crm/objects/2026-09/contacts/{}", contacts[1]);
    let values = json!({"properties": {"city": "Reykjavík"}});
    somebody.call(reqwest::Method::PATCH, &path, values).await;
    archive(&tenant, "contacts", contacts[2]).await;
    let merged = merge(&tenant, "contacts", contacts[3], contacts[4]).await;
    // By another way the new state comes first.
    reconcile(&tenant).await;
    let newest = async || {
        assert_mirrored(&tenant, &store).await;
        assert_eq!(of(contacts[2]).await, Some(Fate::Archived));
        assert_eq!(of(contacts[3]).await, Some(Fate::Merged(merged)));
        assert_eq!(of(contacts[4]).await, Some(Fate::Merged(merged)));
    };
    newest().await;
    let status = tenant.status().await;
    assert_eq!(
        status["run"]["state"], "running",
        "the page came too early: {status:#}"
    );
    wait_for_run(&tenant, &run).await;
    newest().await;
}

#[tokio::test]
async fn a_reconciliation_that_is_due_is_started_by_itself_and_plans_the_next_one() {
    let (tenant, store) =
        world(json!({"contacts": 120, "companies": 3, "deals": 3, "lists": 0})).await;
    let contacts = ids(&tenant, &store, ObjectType::Contact).await;
    archive(&tenant, "contacts", contacts[7]).await;
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let (workspace, portal) = (tenant.workspace.as_uuid().to_string(), tenant.portal.get());
    // A week goes by: what happened in the database happened then.
    for sql in [
        "update reconcile_plan set due_at = due_at - interval '8 days' where workspace_id = $1::text::uuid",
        "update sync_cursor set began_at = began_at - interval '8 days' where workspace_id = $1::text::uuid",
    ] {
        assert!(client.execute(sql, &[&workspace]).await.unwrap() > 0);
    }
    let deadline = Instant::now() + 2 * MINUTE;
    loop {
        let now = fate(&tenant, &store, ObjectType::Contact, contacts[7]).await;
        if now == Some(Fate::Archived) {
            break;
        }
        assert!(Instant::now() < deadline, "{now:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // It ends, and is due when the walk's first hundred are: a part of the week for so few.
    let due = "select extract(epoch from due_at - now())::float8 from reconcile_plan where portal_id = $1";
    loop {
        let seconds: f64 = client.query_one(due, &[&portal]).await.unwrap().get(0);
        if seconds > 3_600.0 {
            assert!(
                seconds <= 24.0 * 3_600.0,
                "the recycle bin is listed once a day"
            );
            break;
        }
        assert!(Instant::now() < deadline, "due in {seconds} s");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
