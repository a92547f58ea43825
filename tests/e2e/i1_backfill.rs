//! I1, I7: the backfill, its odd records, and a portal of real companies and deals.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

use domain::{ObjectType, QuarantineReason, RangeReader, SyncType};
use e2e::{
    Tenant, assert_mirrored,
    data::{self, DataSet},
    door::Door,
    object, shared, store_of,
};
use serde_json::json;
use store::{ListRow, Store};

async fn members(tenant: &Tenant, store: &Store, lists: &[ListRow]) -> u64 {
    let mut members = 0;
    for list in lists {
        members += store
            .list_members(tenant.workspace, tenant.portal, list.id)
            .await
            .unwrap()
            .len() as u64;
    }
    members
}

#[tokio::test]
async fn everything_arrives_once_and_equal() {
    let size = json!({
        "contacts": 1_500, "companies": 300, "deals": 400, "lists": 7, "owners": 9,
        "limits": "off", "inline_association_page": 1,
    });
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    let status = tenant
        .wait_for_phase("syncing", Duration::from_secs(120))
        .await;
    let portal = tenant.control("GET", "", None).await;
    for (name, ours, theirs) in dev::demo::compare(&status, &portal) {
        assert_eq!(ours, theirs, "{name}");
    }
    for name in ["contacts", "companies", "deals"] {
        let o = object(&status, name);
        assert_eq!(
            o["done"], o["total"],
            "{name}: the total was known beforehand"
        );
        assert_eq!(o["finished"], true);
    }
    // What the simulator shows of itself has pages as well.
    let whole = json!({"inline_association_page": 10_000});
    tenant.control("PATCH", "", Some(whole)).await;
    let store = store_of(tenant.api.addresses()).await;
    assert_eq!(assert_mirrored(&tenant, &store).await, 2_200);
    // Of lists, names and sizes; members when a list is given a use (I6).
    let lists = store.lists(tenant.workspace, tenant.portal).await.unwrap();
    assert_eq!(lists.len(), 7);
    assert!(lists.iter().all(|list| list.size.is_some()));
    assert_eq!(members(&tenant, &store, &lists).await, 0);
    let used: Vec<ListRow> = lists
        .into_iter()
        .filter(|list| list.object_type_id == "0-1")
        .collect();
    let door = Door::of(&tenant).await;
    let mut settings = door.ok("GET", "/settings", None).await["settings"].clone();
    settings["lists"] = used
        .iter()
        .map(|list| json!({"list": list.id, "use": "audience"}))
        .collect();
    let body = json!({"expected_revision": 0, "settings": settings});
    let saved = door.call("PUT", "/settings", Some(body)).await;
    assert_eq!(saved.status, 200, "{}", saved.body);
    let wanted: u64 = used.iter().filter_map(|list| list.size).sum();
    assert!(wanted > 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let read = members(&tenant, &store, &used).await;
        if read == wanted {
            break;
        }
        assert!(Instant::now() < deadline, "{read} of {wanted} members");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Archived owners are among the others.
    let owners = store.owners(tenant.workspace, tenant.portal).await.unwrap();
    assert_eq!(owners.iter().filter(|o| o.archived).count(), 1);
}

#[tokio::test]
async fn a_record_that_cannot_be_stored_is_quarantined_and_the_rest_goes_on() {
    let tenant = Tenant::new(&shared(), json!({"contacts": 250, "limits": "off"})).await;
    let odd = [
        json!({"id": "40000000999999", "properties": {"firstname": "a\u{0}b"}, "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z", "archived": false}),
        json!({"id": "not-a-number", "properties": {}, "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z", "archived": false}),
        json!({"id": "40000000999998", "properties": {}, "updatedAt": "yesterday"}),
    ];
    for record in odd {
        tenant
            .control("POST", "raw-records/contacts", Some(record))
            .await;
    }
    tenant.connect().await;
    let status = tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    assert_eq!(object(&status, "contacts")["stored"], 250);
    assert_eq!(object(&status, "contacts")["quarantined"], 3);
    let store = store_of(tenant.api.addresses()).await;
    let reasons: BTreeMap<String, QuarantineReason> = store
        .quarantined(tenant.workspace, tenant.portal, SyncType::Contacts)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.key, row.reason))
        .collect();
    assert_eq!(reasons["40000000999999"], QuarantineReason::NulCharacter);
    assert_eq!(reasons["not-a-number"], QuarantineReason::IdNotANumber);
    assert_eq!(reasons["40000000999998"], QuarantineReason::Malformed);
}

/// Search helps with a big type, and its index may be behind or not know a record at all.
#[tokio::test]
async fn what_the_search_index_does_not_know_arrives_all_the_same() {
    const CONTACTS: u64 = 12_000;
    let tenant = Tenant::new(
        &shared(),
        json!({
            "contacts": CONTACTS, "companies": 0, "deals": 0, "lists": 0, "owners": 1,
            "limits": "off", "latency_ms": 50, "auto_companies": false,
        }),
    )
    .await;
    // From now on the index learns nothing any more: HubSpot promises no lag.
    let day_ms = 24 * 60 * 60 * 1_000;
    tenant
        .control("PATCH", "", Some(json!({"search_lag_ms": day_ms})))
        .await;
    let page = tenant
        .control("GET", "records/contacts?limit=10000", None)
        .await;
    let ids: Vec<&str> = page["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["id"].as_str().unwrap())
        .collect();
    let key = tenant.control("POST", "service-keys", None).await;
    let token = key["token"].as_str().unwrap();
    let objects = format!(
        "{}/crm/v3/objects/contacts",
        tenant.api.addresses().simulator
    );
    let http = dev::http().unwrap();
    // Search takes the upper part; what is new has the highest ids.
    for id in [ids[6_500], ids[8_000], ids[9_000], ids[9_999]] {
        let changed = http
            .patch(format!("{objects}/{id}"))
            .bearer_auth(token)
            .json(&json!({"properties": {"jobtitle": "changed behind the index"}}))
            .send()
            .await
            .unwrap();
        assert_eq!(changed.status(), 200);
    }
    for n in 0..3 {
        let created = http
            .post(&objects)
            .bearer_auth(token)
            .json(&json!({"properties": {"email": format!("unknown{n}@acme.com")}}))
            .send()
            .await
            .unwrap();
        assert_eq!(created.status(), 201);
    }
    tenant.connect().await;
    let status = tenant
        .wait_for_phase("syncing", Duration::from_secs(120))
        .await;
    assert_eq!(object(&status, "contacts")["stored"], CONTACTS + 3);
    let store = store_of(tenant.api.addresses()).await;
    assert_eq!(assert_mirrored(&tenant, &store).await, CONTACTS + 3);
    // Search did take part, and what it did not know was read by id.
    let run = store
        .run_to_show(tenant.workspace, tenant.portal)
        .await
        .unwrap()
        .unwrap()
        .run;
    let key = store::CursorKey::of_run(tenant.workspace, tenant.portal, run, SyncType::Contacts);
    let ranges = store.ranges(&key).await.unwrap();
    assert!(ranges.iter().any(|r| r.reader == RangeReader::Relist));
    let by_id = tenant
        .requests()
        .await
        .iter()
        .filter(|r| {
            r["path"]
                .as_str()
                .unwrap()
                .ends_with("/contacts/batch/read")
        })
        .count();
    assert!(by_id > 0, "nothing was read by id");
}

fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path)
        .unwrap()
        .deserialize()
        .map(Result::unwrap)
        .collect()
}

/// Companies and deals of files, against the files.
#[tokio::test]
async fn companies_and_deals_arrive_as_they_are_in_the_files() {
    arrive_as_they_are(&data::sample()).await;
}

/// 500 real companies, and a pipeline of 8,800 deals, of which the numbers are known.
#[tokio::test]
async fn real_companies_and_deals_arrive_as_they_are_in_the_source() {
    let Some(outside) = data::outside() else {
        return;
    };
    let counted = arrive_as_they_are(&outside).await;
    let known = Counted {
        companies: 585,
        deals: 8_800,
        owners: 35,
        deals_without_account: 1_425,
        deals_without_amount: 2_089,
        selling: 30,
    };
    assert_eq!(counted, known);
}

/// What files hold.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    companies: usize,
    deals: usize,
    owners: usize,
    deals_without_account: usize,
    deals_without_amount: usize,
    selling: usize,
}

async fn arrive_as_they_are(set: &DataSet) -> Counted {
    let companies = rows(&set.dir.join("companies.csv"));
    let accounts = rows(&set.dir.join("crm-sales/accounts.csv"));
    let agents = rows(&set.dir.join("crm-sales/sales_teams.csv"));
    let source = rows(&set.dir.join("crm-sales/sales_pipeline.csv"));
    let blank = |field: &str| source.iter().filter(|row| row[field].is_empty()).count();
    let selling: BTreeSet<&str> = source
        .iter()
        .map(|row| row["sales_agent"].as_str())
        .collect();
    let counted = Counted {
        companies: companies.len() + accounts.len(),
        deals: source.len(),
        owners: agents.len(),
        deals_without_account: blank("account"),
        deals_without_amount: blank("close_value"),
        selling: selling.len(),
    };
    let tenant = Tenant::new(
        &shared(),
        json!({"dir": set.dir, "limits": "off", "contacts_per_company": 2}),
    )
    .await;
    tenant.connect().await;
    let status = tenant
        .wait_for_phase("syncing", Duration::from_secs(300))
        .await;
    for (name, stored) in [
        ("companies", counted.companies),
        ("deals", counted.deals),
        ("owners", counted.owners),
    ] {
        assert_eq!(
            object(&status, name)["stored"],
            stored,
            "{name} of {}",
            set.name
        );
    }
    let store = store_of(tenant.api.addresses()).await;
    assert_mirrored(&tenant, &store).await;

    // Against the files themselves, not only against the simulator.
    let owners: BTreeMap<String, String> = store
        .owners(tenant.workspace, tenant.portal)
        .await
        .unwrap()
        .into_iter()
        .map(|o| {
            (
                format!("{} {}", o.first_name.unwrap(), o.last_name.unwrap()),
                o.id.to_string(),
            )
        })
        .collect();
    let all = |object_type| {
        let (store, tenant) = (store.clone(), tenant.clone());
        async move {
            store
                .objects_after(tenant.workspace, tenant.portal, object_type, None, 20_000)
                .await
                .unwrap()
        }
    };
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let names: BTreeMap<i64, String> = all(ObjectType::Company)
        .await
        .into_iter()
        .map(|c| (c.id.get(), text(&c.properties["name"])))
        .collect();
    let company_of: BTreeMap<i64, i64> = store
        .associations_from(tenant.workspace, tenant.portal, ObjectType::Deal)
        .await
        .unwrap()
        .into_iter()
        .filter(|a| a.to_type == ObjectType::Company)
        .map(|a| (a.from.get(), a.to.get()))
        .collect();
    let deals: BTreeMap<String, _> = all(ObjectType::Deal)
        .await
        .into_iter()
        .map(|d| {
            let name = text(&d.properties["dealname"]);
            (name.rsplit(' ').next().unwrap().to_owned(), d)
        })
        .collect();
    for row in &source {
        let deal = &deals[&row["opportunity_id"]];
        let p = &deal.properties;
        assert_eq!(text(&p["dealstage"]), row["deal_stage"].to_lowercase());
        assert_eq!(text(&p["amount"]), row["close_value"]);
        assert_eq!(text(&p["hubspot_owner_id"]), owners[&row["sales_agent"]]);
        let company = company_of.get(&deal.id.get()).map(|id| names[id].clone());
        assert_eq!(company.unwrap_or_default(), row["account"]);
    }
    let names: BTreeSet<String> = names.into_values().collect();
    for row in &companies {
        assert!(
            names.contains(row["company_name"].trim()),
            "{}",
            row["company_name"]
        );
    }
    counted
}
