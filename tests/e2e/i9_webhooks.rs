//! I9: what people change in HubSpot is here, and in the feed, within seconds. No periodic sync runs in
//! these tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::{Duration, Instant},
};

use chrono::Utc;
use dev::demo::Api;
use domain::{
    HubSpotObjectId, ObjectType,
    api::{ChangeKind, ChangeWhat},
};
use e2e::{
    Tenant, assert_mirrored,
    heard::{Heard, end_of, sync_of},
    hooks::{Hooks, SECRET, event},
    shared,
    stacks::OwnStack,
    store_of,
};
use serde_json::{Value, json};

/// Seconds of a storm.
fn storm() -> u64 {
    match std::env::var("SOAK").as_deref() {
        Ok("full") => 10,
        _ => 3,
    }
}

async fn ids(tenant: &Tenant, kind: &str) -> Vec<i64> {
    let page = tenant
        .control("GET", &format!("records/{kind}?limit=10000"), None)
        .await;
    let results = page["results"].as_array().unwrap().iter();
    results
        .map(|r| r["id"].as_str().unwrap().parse().unwrap())
        .collect()
}

async fn stored(tenant: &Tenant, kind: ObjectType, id: i64) -> Option<store::StoredObject> {
    let store = store_of(tenant.api.addresses()).await;
    let before = HubSpotObjectId::new(id - 1).ok();
    let rows = store
        .objects_after(tenant.workspace, tenant.portal, kind, before, 1)
        .await
        .unwrap();
    rows.into_iter().find(|row| row.id.get() == id)
}

async fn waiting(tenant: &Tenant) -> i64 {
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let sql = "select count(*) from webhook_record where workspace_id = $1";
    let id = tenant.workspace.as_uuid().to_string();
    let row = client
        .query_one(&sql.replace("$1", &format!("'{id}'")), &[])
        .await
        .unwrap();
    row.get(0)
}

async fn until_read(tenant: &Tenant, within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let rows = waiting(tenant).await;
        if rows == 0 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{rows} rows wait after {within:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn connected(size: Value) -> Tenant {
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    tenant
}

const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn what_people_do_in_hubspot_reaches_a_follower_within_seconds() {
    use ChangeKind::{Company, Contact, Deal};
    use ChangeWhat::{Archived, Changed, Erased};
    let tenant =
        connected(json!({"contacts": 20, "companies": 5, "deals": 6, "limits": "off"})).await;
    let hooks = Hooks::of(&tenant);
    hooks
        .subscribe(
            &tenant,
            true,
            json!({"duplicates": 0.7, "reorder": true, "batch": 3}),
        )
        .await;
    let sync = sync_of(&tenant);
    let heard = Heard::follow(&sync, &tenant, end_of(&sync, &tenant, 31).await);
    let contacts = ids(&tenant, "contacts").await;
    let deals = ids(&tenant, "deals").await;

    let mut took = Vec::new();
    for (n, id) in contacts[..5].iter().enumerate() {
        let name = format!("Edited {n}");
        let path = format!("records/contacts/{id}");
        let edit = json!({"properties": {"firstname": name, "jobtitle": name}});
        tenant.control("PATCH", &path, Some(edit)).await;
        took.push(heard.until((Contact, *id, Changed), SOON).await);
        let row = stored(&tenant, ObjectType::Contact, *id).await.unwrap();
        assert_eq!(row.properties["firstname"], name);
    }
    took.sort();
    println!("from an edit to the follower: {took:?}");
    assert!(took[2] < Duration::from_secs(3), "{took:?}");

    // Into the recycle bin, and out of it.
    let deal = deals[0];
    tenant
        .control("DELETE", &format!("records/deals/{deal}"), None)
        .await;
    heard.until((Deal, deal, Archived), SOON).await;
    assert!(
        stored(&tenant, ObjectType::Deal, deal)
            .await
            .unwrap()
            .archived
    );
    tenant
        .control("POST", &format!("records/deals/{deal}/restore"), None)
        .await;
    heard.until((Deal, deal, Changed), SOON).await;

    // A new record.
    let token = tenant.control("POST", "tokens", Some(json!({}))).await;
    let token = token["access_token"].as_str().unwrap();
    let other_app = async |method: &str, path: &str, body: Value| -> Value {
        let url = format!("{}{path}", tenant.api.addresses().simulator);
        let request = dev::http()
            .unwrap()
            .request(method.parse().unwrap(), url)
            .bearer_auth(token)
            .json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap_or_default()
    };
    let made = json!({"properties": {"name": "Made", "domain": "made.example.com"}});
    let made = other_app("POST", "/crm/v3/objects/companies", made).await;
    let made: i64 = made["id"].as_str().unwrap().parse().unwrap();
    heard.until((Company, made, Changed), SOON).await;

    // An association, which moves no last-modified.
    let contact = contacts[6];
    let modified = stored(&tenant, ObjectType::Contact, contact)
        .await
        .unwrap()
        .modified_at;
    let path = format!("/crm/v4/objects/contacts/{contact}/associations/default/companies/{made}");
    other_app("PUT", &path, json!({})).await;
    heard.until((Contact, contact, Changed), SOON).await;
    let row = stored(&tenant, ObjectType::Contact, contact).await.unwrap();
    assert_eq!(row.modified_at, modified);

    // Erased for good: HubSpot tells of it, and does not know it when it is asked.
    let erased = contacts[7];
    tenant
        .control("POST", &format!("records/contacts/{erased}/erase"), None)
        .await;
    heard.until((Contact, erased, Erased), SOON).await;
    let row = stored(&tenant, ObjectType::Contact, erased).await.unwrap();
    assert_eq!(row.properties, json!({}));
    // Two become one.
    let merged = tenant
        .control(
            "POST",
            "merges",
            Some(json!({"type": "contacts", "primary": contacts[8], "other": contacts[9]})),
        )
        .await;
    let survivor: i64 = match &merged["id"] {
        Value::String(text) => text.parse().unwrap(),
        number => number.as_i64().unwrap(),
    };
    heard.until((Contact, survivor, Changed), SOON).await;
    until_read(&tenant, SOON).await;

    // Nothing of this came by search, and reading again what did not change is no news.
    let searched = tenant
        .requests()
        .await
        .into_iter()
        .filter(|r| r["path"].as_str().unwrap().ends_with("/contacts/search"));
    let before = searched.count();
    heard.forget();
    let events: Vec<Value> = contacts[..5]
        .iter()
        .map(|id| event(tenant.portal.get(), "contact.propertyChange", *id))
        .collect();
    assert_eq!(hooks.deliver(&events).await.status, 204);
    let path = format!("records/contacts/{}", contacts[10]);
    let edit = json!({"properties": {"firstname": "Last"}});
    tenant.control("PATCH", &path, Some(edit)).await;
    heard.until((Contact, contacts[10], Changed), SOON).await;
    until_read(&tenant, SOON).await;
    // Whatever was associated with the two that became one may still be read again.
    let of_contacts: Vec<_> = heard
        .all()
        .into_iter()
        .filter(|one| one.0 == Contact)
        .collect();
    assert_eq!(of_contacts, [(Contact, contacts[10], Changed)]);
    let searched = tenant
        .requests()
        .await
        .into_iter()
        .filter(|r| r["path"].as_str().unwrap().ends_with("/contacts/search"));
    assert_eq!(searched.count(), before);
}

#[tokio::test]
async fn what_is_not_hubspots_is_refused_and_what_is_gets_in() {
    let tenant = connected(json!({"contacts": 100, "limits": "off"})).await;
    let hooks = Hooks::of(&tenant);
    let portal = tenant.portal.get();
    let contacts = ids(&tenant, "contacts").await;
    // So that the rows can be looked at: HubSpot does not give the records.
    let rule = json!({"path": "/contacts/batch/read", "effect": {"status": {"status": 503}}});
    tenant.control("POST", "faults", Some(rule)).await;
    let events: Vec<Value> = contacts
        .iter()
        .map(|id| event(portal, "contact.propertyChange", *id))
        .collect();
    assert_eq!(events.len(), 100);
    let body = Value::from(events.clone()).to_string();
    let now = Utc::now().timestamp_millis();
    let minutes = |n: i64| now + n * 60_000;

    let spaced = body.replacen(':', ": ", 1);
    let other_body = hooks.signature(&body, &now.to_string(), SECRET);
    let fitting = hooks.signature(&body, "now", SECRET);
    let time = now.to_string();
    let (at, signed) = ("X-HubSpot-Request-Timestamp", "X-HubSpot-Signature-v3");
    let many: Vec<Value> = events.iter().chain(&events[..1]).cloned().collect();
    let refused = [
        (
            "another secret",
            hooks.send(body.clone(), now, "other").await,
            401,
            "HS-4031",
        ),
        (
            "no headers",
            hooks.request(body.clone(), &[]).await,
            401,
            "HS-4031",
        ),
        (
            "written anew",
            hooks
                .request(spaced, &[(at, &time), (signed, &other_body)])
                .await,
            401,
            "HS-4031",
        ),
        (
            "no time",
            hooks
                .request(body.clone(), &[(at, "now"), (signed, &fitting)])
                .await,
            401,
            "HS-4031",
        ),
        (
            "old",
            hooks.send(body.clone(), minutes(-6), SECRET).await,
            401,
            "HS-4032",
        ),
        (
            "from the future",
            hooks.send(body.clone(), minutes(6), SECRET).await,
            401,
            "HS-4032",
        ),
        (
            "no JSON",
            hooks.send("[{".to_owned(), now, SECRET).await,
            422,
            "HS-4001",
        ),
        (
            "no array",
            hooks.send("{}".to_owned(), now, SECRET).await,
            422,
            "HS-4001",
        ),
        ("101 events", hooks.deliver(&many).await, 422, "HS-4001"),
    ];
    for (what, answer, status, code) in refused {
        assert_eq!((answer.status, answer.code()), (status, code), "{what}");
    }
    assert_eq!(waiting(&tenant).await, 0);

    // Nobody's portal, types that are not imported, and nothing at all: taken, and nothing comes of it.
    let stranger = event(1_999_999_999, "contact.creation", 1);
    let ticket = event(portal, "ticket.creation", 1);
    assert_eq!(hooks.deliver(&[stranger.clone(), ticket]).await.status, 204);
    assert_eq!(hooks.deliver(&[]).await.status, 204);
    assert_eq!(waiting(&tenant).await, 0);

    // A hundred at once, four minutes late; among others one that nobody can read.
    let mut mixed = events[..97].to_vec();
    mixed.extend([stranger, json!({"portalId": "x"}), json!(7)]);
    let body = Value::from(mixed).to_string();
    let began = Instant::now();
    let taken = hooks.send(body, minutes(-4), SECRET).await;
    assert_eq!((taken.status, taken.body), (204, Value::Null));
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(waiting(&tenant).await, 97);
    assert_eq!(hooks.deliver(&events).await.status, 204);
    assert_eq!(waiting(&tenant).await, 100);

    // Once HubSpot gives them, all are read.
    tenant.control("DELETE", "faults", None).await;
    until_read(&tenant, Duration::from_secs(90)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_answered_at_once_and_read_seldom() {
    const A_SECOND: u64 = 1_000;
    const EACH: usize = 50;
    let tenant = connected(json!({"contacts": 40, "limits": "off", "latency_ms": 20})).await;
    let hooks = Hooks::of(&tenant);
    let contacts = ids(&tenant, "contacts").await;
    let reads = async || {
        let requests = tenant.requests().await.into_iter();
        requests
            .filter(|r| {
                r["path"]
                    .as_str()
                    .unwrap()
                    .ends_with("/contacts/batch/read")
            })
            .count()
    };
    let before = reads().await;
    let deliveries = A_SECOND * storm() / EACH as u64;
    let pace = Duration::from_secs(storm()) / u32::try_from(deliveries).unwrap();
    let mut ticks = tokio::time::interval(pace);
    let mut under_way = Vec::new();
    for n in 0..deliveries as usize {
        ticks.tick().await;
        let events: Vec<Value> = (0..EACH)
            .map(|m| {
                let id = contacts[(n * 7 + m * 3) % contacts.len()];
                event(tenant.portal.get(), "contact.propertyChange", id)
            })
            .collect();
        let hooks = hooks.clone();
        under_way.push(tokio::spawn(async move {
            let began = Instant::now();
            (hooks.deliver(&events).await.status, began.elapsed())
        }));
    }
    let mut slowest = Duration::ZERO;
    for one in under_way {
        let (status, took) = one.await.unwrap();
        assert_eq!(status, 204);
        slowest = slowest.max(took);
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    until_read(&tenant, SOON).await;
    let reads = reads().await - before;
    let runs = runs(&tenant).await;
    println!("{deliveries} deliveries, the slowest {slowest:?}; {reads} reads in {runs} runs");
    let most = 5 + 10 * usize::try_from(storm()).unwrap();
    assert!((1..=most).contains(&reads), "{reads} reads");
    assert!((1..=2).contains(&runs), "{runs} runs");
}

/// The runs of the workspace's `WebhookRead`, once Temporal lists one.
async fn runs(tenant: &Tenant) -> usize {
    let program = dev::provision::temporal().unwrap();
    let query = format!("WorkflowId = 'hubspot/{}/webhook-read'", tenant.id());
    let deadline = Instant::now() + SOON;
    loop {
        let output = Command::new(&program)
            .args(["workflow", "list", "--query", &query, "-o", "json"])
            .args(["--address", &tenant.api.addresses().temporal])
            .output()
            .unwrap();
        let listed: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let count = listed.as_array().map_or(0, Vec::len);
        if count > 0 {
            return count;
        }
        assert!(Instant::now() < deadline, "no run is listed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn what_hubspot_does_not_answer_is_asked_again() {
    let tenant = connected(json!({"contacts": 10, "limits": "off"})).await;
    let hooks = Hooks::of(&tenant);
    let contacts = ids(&tenant, "contacts").await;
    // These two are left out of the answers, without a word, and asked for by themselves they fail.
    let left_out: Vec<String> = contacts[..2].iter().map(ToString::to_string).collect();
    let rule = json!({"path": "/contacts/batch/read", "effect": {"leave_out": {"ids": left_out}}});
    tenant.control("POST", "faults", Some(rule)).await;
    for id in &contacts[..2] {
        let effect = json!({"status": {"status": 503}});
        let rule = json!({"path": format!("/contacts/{id}"), "method": "GET", "times": 12, "effect": effect});
        tenant.control("POST", "faults", Some(rule)).await;
    }
    for id in &contacts[..3] {
        let edit = json!({"properties": {"firstname": "Edited"}});
        tenant
            .control("PATCH", &format!("records/contacts/{id}"), Some(edit))
            .await;
    }
    let events: Vec<Value> = contacts[..3]
        .iter()
        .map(|id| event(tenant.portal.get(), "contact.propertyChange", *id))
        .collect();
    assert_eq!(hooks.deliver(&events).await.status, 204);
    until_read(&tenant, Duration::from_secs(120)).await;
    for id in &contacts[..3] {
        let row = stored(&tenant, ObjectType::Contact, *id).await.unwrap();
        assert_eq!(row.properties["firstname"], "Edited", "{id}");
        assert!(!row.archived);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_the_worker_and_restarts_of_the_door_lose_nothing() {
    const CONTACTS: usize = 300;
    let mut stack = OwnStack::start(1, &[]).await;
    let api = Api::new(stack.addresses()).unwrap();
    let size = json!({"contacts": CONTACTS, "limits": "off", "latency_ms": 150});
    let tenant = Tenant::new(&api, size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    let sync = sync_of(&tenant);
    let heard = Heard::follow(&sync, &tenant, end_of(&sync, &tenant, CONTACTS).await);
    Hooks::of(&tenant)
        .subscribe(
            &tenant,
            false,
            json!({"duplicates": 0.2, "reorder": true, "retry_ms": [500], "retries": 100}),
        )
        .await;
    let contacts = ids(&tenant, "contacts").await;
    for (n, id) in contacts.iter().enumerate() {
        let edit = json!({"properties": {"firstname": format!("Edited {n}")}});
        tenant
            .control("PATCH", &format!("records/contacts/{id}"), Some(edit))
            .await;
        if n % 100 == 50 {
            stack.kill_hard("worker-0").unwrap();
            stack.start_worker(0).unwrap();
        }
        if n == 120 {
            stack.stop("web", Duration::from_secs(15)).unwrap();
        }
        if n == 160 {
            stack.start_web().unwrap();
            stack.wait_ready().await.unwrap();
        }
    }
    stack.wait_worker(0).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let want: BTreeSet<i64> = contacts.iter().copied().collect();
    loop {
        let told: BTreeSet<i64> = heard.all().iter().map(|(_, id, _)| *id).collect();
        if told == want {
            break;
        }
        let missing = want.difference(&told).count();
        assert!(Instant::now() < deadline, "{missing} edits were not told");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until_read(&tenant, Duration::from_secs(60)).await;
    let store = store_of(api.addresses()).await;
    assert_mirrored(&tenant, &store).await;
    // Each was edited once, so each was told once, whatever was read how often.
    let mut times: BTreeMap<i64, usize> = BTreeMap::new();
    for (_, id, _) in heard.all() {
        *times.entry(id).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
