//! I2: the periodic sync brings what changed, misses nothing, and costs little.

use std::time::{Duration, Instant};

use dev::demo::Api;
use domain::{ObjectType, SyncType, api::ChangeKind};
use e2e::{
    Tenant, assert_mirrored,
    door::Door,
    heard::{Heard, end_of, sync_of},
    object,
    periodic::{paused, result, schedule, sync, trigger, wait_for_schedule},
    shared,
    stacks::OwnStack,
    store_of,
};
use serde_json::{Value, json};
use store::{CursorKey, Store};

fn full() -> bool {
    matches!(std::env::var("SOAK").as_deref(), Ok("full"))
}

/// A portal whose backfill is over.
async fn read_once(api: &Api, mut size: Value) -> (Tenant, Store) {
    size["limits"] = json!("off");
    let tenant = Tenant::new(api, size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(120))
        .await;
    let store = store_of(tenant.api.addresses()).await;
    (tenant, store)
}

/// Ids of stored records, the lowest first.
async fn ids(tenant: &Tenant, store: &Store, of: ObjectType, most: u32) -> Vec<String> {
    let rows = store.objects_after(tenant.workspace, tenant.portal, of, None, most);
    rows.await
        .unwrap()
        .iter()
        .map(|r| r.id.to_string())
        .collect()
}

/// What the mirror has of a property of a record.
async fn stored(tenant: &Tenant, store: &Store, of: ObjectType, id: &str, name: &str) -> Value {
    let before = domain::HubSpotObjectId::new(id.parse::<i64>().unwrap() - 1).ok();
    let rows = store.objects_after(tenant.workspace, tenant.portal, of, before, 1);
    let row = rows.await.unwrap().remove(0);
    assert_eq!(row.id.to_string(), id);
    row.properties[name].clone()
}

/// Somebody edits records in HubSpot's pages.
async fn edit(tenant: &Tenant, plural: &str, id: &str, properties: Value) {
    let path = format!("records/{plural}/{id}");
    let body = json!({"properties": properties});
    tenant.control("PATCH", &path, Some(body)).await;
}

/// Edits records in batches of a hundred, all of a batch at one moment.
async fn edit_all(tenant: &Tenant, plural: &str, ids: &[String], name: &str, value: &str) {
    let key = tenant.control("POST", "service-keys", None).await["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let simulator = &tenant.api.addresses().simulator;
    let url = format!("{simulator}/crm/v3/objects/{plural}/batch/update");
    let http = dev::http().unwrap();
    for batch in ids.chunks(100) {
        let inputs: Vec<Value> = batch
            .iter()
            .map(|id| json!({"id": id, "properties": {name: value}}))
            .collect();
        let answer = http
            .post(&url)
            .bearer_auth(&key)
            .json(&json!({"inputs": inputs}))
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}

async fn last_seq(tenant: &Tenant) -> u64 {
    let requests = tenant.requests().await;
    requests.last().map_or(0, |r| r["seq"].as_u64().unwrap())
}

/// The requests since then, apart from those of the tests and for tokens.
async fn requests_since(tenant: &Tenant, seq: u64) -> Vec<String> {
    tenant
        .requests()
        .await
        .into_iter()
        .filter(|r| r["seq"].as_u64() > Some(seq))
        .map(|r| {
            let text = |name: &str| r[name].as_str().unwrap_or_default().to_owned();
            format!("{} {}?{}", text("method"), text("path"), text("query"))
        })
        .filter(|r| !r.contains("/oauth/"))
        .collect()
}

/// Where Postgres keeps the rows of the mirror: another place for each row that was written.
async fn row_versions(tenant: &Tenant) -> Vec<String> {
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut all = Vec::new();
    for table in [
        "hubspot_object",
        "hubspot_association",
        "hubspot_owner",
        "hubspot_property",
        "hubspot_pipeline",
        "hubspot_list",
    ] {
        let statement = format!(
            "select coalesce(string_agg(xmin::text || ctid::text, ' ' order by xmin::text, ctid), '')
             from {table} where workspace_id = $1::text::uuid"
        );
        let row = client.query_one(&statement, &[&tenant.id()]).await.unwrap();
        all.push(row.get(0));
    }
    all
}

#[tokio::test]
async fn edits_arrive_without_any_resync() {
    let size = json!({"contacts": 300, "companies": 40, "deals": 30, "lists": 3, "owners": 5, "auto_companies": false,
        "search_lag_ms": {"min": 0, "max": 1_500}, "search_flapping": true});
    let (tenant, store) = read_once(&shared(), size).await;
    let contact = ids(&tenant, &store, ObjectType::Contact, 1).await.remove(0);
    let company = ids(&tenant, &store, ObjectType::Company, 1).await.remove(0);
    let deal = ids(&tenant, &store, ObjectType::Deal, 1).await.remove(0);
    edit(&tenant, "contacts", &contact, json!({"city": "Reykjavík"})).await;
    edit(&tenant, "companies", &company, json!({"city": "Akureyri"})).await;
    edit(&tenant, "deals", &deal, json!({"dealname": "Renewal"})).await;
    let new = json!({"properties": {"email": "new.one@mail.example.org", "firstname": "New"}});
    tenant.control("POST", "records/contacts", Some(new)).await;

    // Whatever the index shows at once: what it shows later is within the next window.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = sync(&tenant).await;
        let there = stored(&tenant, &store, ObjectType::Contact, &contact, "city").await
            == "Reykjavík"
            && stored(&tenant, &store, ObjectType::Company, &company, "city").await == "Akureyri"
            && stored(&tenant, &store, ObjectType::Deal, &deal, "dealname").await == "Renewal"
            && ids(&tenant, &store, ObjectType::Contact, 1_000).await.len() == 301;
        if there {
            break;
        }
        assert!(Instant::now() < deadline, "{status:?}");
    }
    assert_mirrored(&tenant, &store).await;
    assert_eq!(tenant.status().await["run"]["kind"], "initial");
}

#[tokio::test]
async fn a_run_with_no_change_costs_at_most_one_request_per_type() {
    let size = json!({"contacts": 500, "companies": 60, "deals": 50, "lists": 3, "owners": 5});
    let (tenant, _) = read_once(&shared(), size).await;
    sync(&tenant).await;
    let before = row_versions(&tenant).await;
    for _ in 0..3 {
        let seq = last_seq(&tenant).await;
        sync(&tenant).await;
        let requests = requests_since(&tenant, seq).await;
        for part in [
            "contacts/search",
            "companies/search",
            "deals/search",
            "owners",
            "properties",
            "pipelines",
            "lists",
        ] {
            let n = requests.iter().filter(|r| r.contains(part)).count();
            assert!(n <= 1, "{part}: {n} requests in {requests:#?}");
        }
        assert!(requests.len() <= 7, "{requests:#?}");
        assert!(
            requests.iter().any(|r| r.contains("contacts/search")),
            "{requests:#?}"
        );
    }
    assert_eq!(row_versions(&tenant).await, before, "rows were written");
}

#[tokio::test]
async fn many_changes_many_of_them_with_one_timestamp_all_arrive() {
    let (changed, tied) = if full() {
        (25_000, 12_000)
    } else {
        (1_500, 700)
    };
    let size = json!({"contacts": changed, "companies": 50, "auto_companies": false,
        "search_lag_ms": {"min": 0, "max": 1_000}, "search_flapping": true});
    let (tenant, store) = read_once(&shared(), size).await;
    let all = ids(&tenant, &store, ObjectType::Contact, changed).await;
    assert_eq!(all.len() as u32, changed);
    edit_all(&tenant, "contacts", &all, "city", "Reykjavík").await;
    let now = chrono::Utc::now().timestamp_millis();
    for n in 0..tied {
        let new = json!({
            "properties": {"email": format!("tied.{n}@mail.example.org"), "firstname": "Tied"},
            "created_at_ms": now, "updated_at_ms": now,
        });
        tenant.control("POST", "records/contacts", Some(new)).await;
    }
    let deadline = Instant::now() + Duration::from_secs(240);
    while ids(&tenant, &store, ObjectType::Contact, 100_000)
        .await
        .len() as u32
        != changed + tied
        || !all_are(&tenant, &store, "Reykjavík", changed).await
    {
        assert!(Instant::now() < deadline);
        sync(&tenant).await;
    }
    assert_mirrored(&tenant, &store).await;
}

async fn all_are(tenant: &Tenant, store: &Store, city: &str, n: u32) -> bool {
    let rows = store.objects_after(
        tenant.workspace,
        tenant.portal,
        ObjectType::Contact,
        None,
        100_000,
    );
    let rows = rows.await.unwrap();
    rows.iter().filter(|r| r.properties["city"] == city).count() as u32 == n
}

#[tokio::test]
async fn under_constant_edits_and_a_late_index_nothing_is_missing_two_runs_later() {
    let most = if full() { 30_000 } else { 4_000 };
    let size = json!({"contacts": 400, "companies": 50, "deals": 40, "auto_companies": false,
        "search_lag_ms": {"min": 0, "max": most}, "search_flapping": true});
    let (tenant, store) = read_once(&shared(), size).await;
    let all = ids(&tenant, &store, ObjectType::Contact, 400).await;
    let deals = ids(&tenant, &store, ObjectType::Deal, 40).await;
    let editing = async {
        for (n, id) in all.iter().enumerate() {
            edit(
                &tenant,
                "contacts",
                id,
                json!({"city": format!("Town {n}")}),
            )
            .await;
            if n % 10 == 0 {
                let deal = &deals[n / 10];
                edit(
                    &tenant,
                    "deals",
                    deal,
                    json!({"dealname": format!("Deal {n}")}),
                )
                .await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let syncing = async {
        for _ in 0..6 {
            sync(&tenant).await;
        }
    };
    tokio::join!(editing, syncing);
    sync(&tenant).await;
    // The index shows everything by then.
    tokio::time::sleep(Duration::from_millis(most + 1_500)).await;
    sync(&tenant).await;
    assert_mirrored(&tenant, &store).await;
}

#[tokio::test]
async fn edits_behind_the_list_reader_of_the_backfill_arrive() {
    let size = json!({"contacts": 5_000, "companies": 50, "deals": 20, "limits": "off",
        "latency_ms": 150, "auto_companies": false,
        "search_lag_ms": {"min": 0, "max": 1_000}});
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant.wait_for_contacts(300, Duration::from_secs(60)).await;
    let store = store_of(tenant.api.addresses()).await;
    let passed = ids(&tenant, &store, ObjectType::Contact, 100).await;
    for id in &passed {
        edit(&tenant, "contacts", id, json!({"city": "Reykjavík"})).await;
    }
    let status = tenant.status().await;
    assert!(
        object(&status, "contacts")["done"].as_u64() < Some(5_000),
        "the backfill was over: {status:#}"
    );
    tenant
        .control("PATCH", "", Some(json!({"latency_ms": 0})))
        .await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(120))
        .await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    sync(&tenant).await;
    assert!(all_are_of(&tenant, &store, &passed).await);
    assert_mirrored(&tenant, &store).await;
}

async fn all_are_of(tenant: &Tenant, store: &Store, ids: &[String]) -> bool {
    for id in ids {
        if stored(tenant, store, ObjectType::Contact, id, "city").await != "Reykjavík" {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn types_are_handed_over_one_by_one() {
    let size = json!({"contacts": 8_000, "companies": 40, "deals": 20, "limits": "off",
        "latency_ms": 250, "auto_companies": false});
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    let store = store_of(tenant.api.addresses()).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let status = tenant.status().await;
        assert_ne!(object(&status, "contacts")["finished"], true, "too fast");
        if object(&status, "companies")["freshness"].is_object() {
            break;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let company = ids(&tenant, &store, ObjectType::Company, 1).await.remove(0);
    edit(&tenant, "companies", &company, json!({"city": "Akureyri"})).await;
    sync(&tenant).await;
    assert_eq!(
        stored(&tenant, &store, ObjectType::Company, &company, "city").await,
        "Akureyri"
    );
    // What the backfill reads is left to it.
    let status = tenant.status().await;
    assert_ne!(object(&status, "contacts")["finished"], true, "too fast");
    assert!(object(&status, "contacts")["freshness"].is_null());
    let key = |sync_type| CursorKey::periodic(tenant.workspace, tenant.portal, sync_type);
    let of = async |sync_type| store.cursor(&key(sync_type)).await.unwrap();
    assert!(of(SyncType::Companies).await.is_some());
    assert_eq!(of(SyncType::Contacts).await, None);
}

#[tokio::test]
async fn a_revoked_connection_pauses_its_schedule_and_catches_up_after_reconnecting() {
    let size = json!({"contacts": 300, "companies": 30, "auto_companies": false});
    let (tenant, store) = read_once(&shared(), size).await;
    sync(&tenant).await;
    tenant.control("POST", "uninstall", None).await;
    tenant.control("POST", "expire-tokens", None).await;
    // The sync meets the refusal.
    let workflow = trigger(&tenant).await;
    let ended = result(&tenant, &workflow, Duration::from_secs(60)).await;
    assert_ne!(ended.end, workflows::activities::SyncEnd::Finished);
    tenant
        .wait_for_phase("needs_reconnect", Duration::from_secs(30))
        .await;
    wait_for_schedule(&tenant, Some(true), Duration::from_secs(30)).await;
    let described = schedule(&tenant).await.describe(Default::default()).await;
    assert!(described.unwrap().note().unwrap().contains("connect again"));

    let all = ids(&tenant, &store, ObjectType::Contact, 150).await;
    edit_all(&tenant, "contacts", &all, "city", "Reykjavík").await;
    tenant.connect().await;
    // By itself: nobody triggers anything.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !all_are(&tenant, &store, "Reykjavík", 150).await {
        assert!(Instant::now() < deadline, "{:#}", tenant.status().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    wait_for_schedule(&tenant, Some(false), Duration::from_secs(30)).await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    edit_all(&tenant, "contacts", &all, "city", "Akureyri").await;
    sync(&tenant).await;
    assert!(all_are(&tenant, &store, "Akureyri", 150).await);
}

#[tokio::test]
async fn an_unauthorized_answer_in_the_middle_is_no_revocation() {
    let size = json!({"contacts": 600, "companies": 30, "auto_companies": false});
    let (tenant, store) = read_once(&shared(), size).await;
    let all = ids(&tenant, &store, ObjectType::Contact, 600).await;
    edit_all(&tenant, "contacts", &all, "city", "Reykjavík").await;
    let refused = json!({"path": "/objects/*/contacts/search", "skip": 1, "times": 1,
        "effect": {"answer": {"name": "expired"}}});
    tenant.control("POST", "faults", Some(refused)).await;
    sync(&tenant).await;
    assert!(all_are(&tenant, &store, "Reykjavík", 600).await);
    assert_eq!(tenant.status().await["phase"], "syncing");
    assert_mirrored(&tenant, &store).await;
}

#[tokio::test]
async fn a_schedule_that_is_lost_or_paused_is_mended_and_a_disconnect_removes_it() {
    let (tenant, _) = read_once(&shared(), json!({"contacts": 50})).await;
    wait_for_schedule(&tenant, Some(false), Duration::from_secs(30)).await;
    let schedule = schedule(&tenant).await;
    schedule
        .pause(Some("by somebody"), Default::default())
        .await
        .unwrap();
    assert_eq!(paused(&schedule).await, Some(true));
    wait_for_schedule(&tenant, Some(false), Duration::from_secs(60)).await;
    schedule.delete(Default::default()).await.unwrap();
    wait_for_schedule(&tenant, Some(false), Duration::from_secs(60)).await;
    sync(&tenant).await;

    let id = tenant.id();
    let reply = tenant.api.call(&id, "disconnect", Some(json!({})));
    assert_eq!(reply.await.unwrap().status, 200);
    wait_for_schedule(&tenant, None, Duration::from_secs(30)).await;
}

/// I6: of lists with a use the members are followed.
#[tokio::test]
async fn members_of_a_list_with_a_use_follow() {
    let size = json!({"contacts": 120, "lists": 1, "auto_companies": false});
    let (tenant, store) = read_once(&shared(), size).await;
    let lists = store.lists(tenant.workspace, tenant.portal).await.unwrap();
    let list = lists[0].id;
    let members = async || {
        let members = store.list_members(tenant.workspace, tenant.portal, list);
        members.await.unwrap()
    };
    let door = Door::of_installation(&tenant);
    let now = door.ok("GET", "/settings", None).await;
    let mut settings = now["settings"].clone();
    settings["lists"] = json!([{"list": list, "use": "audience"}]);
    let body = json!({"expected_revision": now["revision"], "settings": settings});
    let saved = door.call("PUT", "/settings", Some(body)).await;
    assert_eq!(saved.status, 200, "{}", saved.body);
    let deadline = Instant::now() + Duration::from_secs(60);
    while members().await.len() as u64 != lists[0].size.unwrap() {
        assert!(Instant::now() < deadline, "the members were not read");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let before = members().await;
    let all = ids(&tenant, &store, ObjectType::Contact, 120).await;
    let joins: Vec<&String> = all
        .iter()
        .filter(|id| before.iter().all(|m| m.to_string() != **id))
        .take(3)
        .collect();
    assert_eq!(joins.len(), 3);
    let key = tenant.control("POST", "service-keys", None).await["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let simulator = &tenant.api.addresses().simulator;
    let added = dev::http()
        .unwrap()
        .put(format!("{simulator}/crm/v3/lists/{list}/memberships/add"))
        .bearer_auth(&key)
        .json(&joins)
        .send()
        .await
        .unwrap();
    assert!(added.status().is_success(), "{}", added.status());
    sync(&tenant).await;
    let after = members().await;
    assert_eq!(after.len(), before.len() + 3);
    for id in joins {
        assert!(
            after.iter().any(|m| m.to_string() == *id),
            "{id} is missing"
        );
    }
    // A size that does not move costs no reading of members.
    let seq = last_seq(&tenant).await;
    sync(&tenant).await;
    let requests = requests_since(&tenant, seq).await;
    assert!(
        !requests.iter().any(|r| r.contains("memberships")),
        "{requests:#?}"
    );
}

/// Bounds of readings are HubSpot's own times, ages are by one clock.
#[tokio::test]
async fn a_clock_that_is_minutes_off_hides_nothing() {
    for offset in [-420_000_i64, 420_000] {
        let size = json!({"contacts": 20, "companies": 2, "deals": 2, "lists": 0, "limits": "off",
            "auto_companies": false, "search_lag_ms": 0});
        let tenant = Tenant::new(&shared(), size).await;
        let skew = json!({"offset_ms": offset});
        tenant.control("POST", "clock", Some(skew)).await;
        tenant.connect().await;
        tenant
            .wait_for_phase("syncing", Duration::from_secs(120))
            .await;
        let store = store_of(tenant.api.addresses()).await;
        let contact = ids(&tenant, &store, ObjectType::Contact, 1).await.remove(0);
        for n in 0..3 {
            let city = format!("Town {n}");
            edit(&tenant, "contacts", &contact, json!({"city": city})).await;
            let new = json!({"properties": {"email": format!("new.{n}@mail.example.org")}});
            tenant.control("POST", "records/contacts", Some(new)).await;
            sync(&tenant).await;
            assert_eq!(
                stored(&tenant, &store, ObjectType::Contact, &contact, "city").await,
                city,
                "{offset}"
            );
            assert_mirrored(&tenant, &store).await;
        }
        let status = tenant.status().await;
        let contacts = object(&status, "contacts");
        assert!(
            contacts["freshness"]["alarm"].is_null(),
            "{offset}: {contacts:#}"
        );
        assert!(contacts["none_found"].is_null(), "{contacts:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_in_the_middle_of_syncs_and_three_days_of_silence_lose_nothing() {
    let (kills, contacts) = if full() { (20, 6_000) } else { (4, 1_200) };
    let mut stack = OwnStack::start(1, &[("SLICE_SECONDS", "2"), ("SYNC_SECONDS", "3")]).await;
    let api = Api::new(stack.addresses()).unwrap();
    let size = json!({"contacts": contacts, "companies": 200, "deals": 100, "auto_companies": false,
        "search_lag_ms": {"min": 0, "max": 1_000}, "search_flapping": true});
    let (tenant, store) = read_once(&api, size).await;
    let all = ids(&tenant, &store, ObjectType::Contact, contacts).await;
    let sync = sync_of(&tenant);
    let heard = Heard::follow(
        &sync,
        &tenant,
        end_of(&sync, &tenant, contacts as usize).await,
    );
    tenant
        .control("PATCH", "", Some(json!({"latency_ms": 100})))
        .await;

    for n in 0..kills {
        let seq = last_seq(&tenant).await;
        edit_all(&tenant, "contacts", &all, "city", &format!("Town {n}")).await;
        // In the middle: some pages were read, at another place each time. A slice that is killed again and
        // again backs off up to a minute, after its heartbeat was missed.
        let deadline = Instant::now() + Duration::from_secs(120);
        let pages = async || {
            let requests = requests_since(&tenant, seq).await;
            let of = |r: &&String| r.contains("contacts/search");
            requests.iter().filter(of).count()
        };
        while pages().await < 1 + n % 4 {
            assert!(Instant::now() < deadline, "no sync came");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stack.kill_hard("worker-0").unwrap();
        if n + 1 == kills {
            // Three days without a worker, in which everybody works.
            let days = json!({"advance_ms": 3 * 24 * 3_600_000_i64});
            tenant.control("POST", "clock", Some(days)).await;
            edit_all(&tenant, "contacts", &all[..600], "jobtitle", "Captain").await;
        }
        stack.start_worker(0).unwrap();
        stack.wait_worker(0).await.unwrap();
    }
    let last = format!("Town {}", kills - 1);
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let captains = store
            .objects_after(
                tenant.workspace,
                tenant.portal,
                ObjectType::Contact,
                None,
                contacts,
            )
            .await
            .unwrap()
            .iter()
            .filter(|r| r.properties["jobtitle"] == "Captain")
            .count();
        if captains == 600 && all_are(&tenant, &store, &last, contacts).await {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{captains}, {:#}",
            tenant.status().await
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_mirrored(&tenant, &store).await;
    // Each edit is told once at most, whatever was read how often; some follow each other within one sync.
    let mut told: std::collections::BTreeMap<String, usize> = Default::default();
    let deadline = Instant::now() + Duration::from_secs(30);
    while all.iter().any(|id| !told.contains_key(id)) {
        assert!(Instant::now() < deadline, "{} of {contacts}", told.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
        told.clear();
        for (kind, id, _) in heard.all() {
            if kind == ChangeKind::Contact {
                *told.entry(id.to_string()).or_default() += 1;
            }
        }
    }
    for (n, id) in all.iter().enumerate() {
        let edits = kills + usize::from(n < 600);
        assert!(told[id] <= edits, "{id}: {} times, {edits} edits", told[id]);
    }
}
