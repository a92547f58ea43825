//! The feed of changes, for a main app that follows it (X8, X10).

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use e2e::{Tenant, command_line::CommandLine, door::Door, shared};
use serde_json::{Value, json};

async fn connected(size: Value) -> (Tenant, Door) {
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    let door = Door::of(&tenant).await;
    (tenant, door)
}

/// Reads until nothing more is there, which is so much at least: the items, and the cursor for what
/// comes.
async fn everything(door: &Door, limit: u32, at_least: usize) -> (Vec<Value>, String) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut items = Vec::new();
    let mut after = String::new();
    loop {
        let page = door
            .ok("GET", &format!("/changes?limit={limit}{after}"), None)
            .await;
        let some = page["items"].as_array().unwrap();
        items.extend(some.iter().cloned());
        let next = page["next"].as_str().unwrap().to_owned();
        // What is committed may be held up for a moment by what else the server does.
        if some.is_empty() && items.len() >= at_least {
            return (items, next);
        }
        assert!(Instant::now() < deadline, "{} of {at_least}", items.len());
        after = format!("&after={next}");
    }
}

async fn database(tenant: &Tenant) -> tokio_postgres::Client {
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

/// What a row is of.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// A deal comes into the mirror, as if a page had brought it.
    Deal,
    Person,
    Verdict,
    Member,
}

impl Of {
    const ALL: [Self; 4] = [Self::Deal, Self::Person, Self::Verdict, Self::Member];

    /// A row of it, in the transaction of whoever inserts.
    fn insert(self, tenant: &Tenant, id: i64) -> String {
        let (columns, values) = match self {
            Self::Deal => (
                "hubspot_object (workspace_id, portal_id, object_type, object_id, properties, modified_at, read_at)",
                format!("3, {id}, '{{}}', now(), now()"),
            ),
            Self::Person => (
                "profile (workspace_id, portal_id, object_type, app_id, hash)",
                format!("1, '{id}', ''"),
            ),
            Self::Verdict => (
                "dnc_verdict (workspace_id, portal_id, person_id, allowed, reasons, stale)",
                format!("'{id}', true, '[]', false"),
            ),
            Self::Member => (
                "hubspot_list_member (workspace_id, portal_id, list_id, object_id)",
                format!("9, {id}"),
            ),
        };
        let (workspace, portal) = (tenant.id(), tenant.portal);
        format!("insert into {columns} values ('{workspace}', {portal}, {values});")
    }

    /// What is told of it.
    fn item(self, id: i64) -> Value {
        let id = id.to_string();
        match self {
            Self::Deal => json!({"kind": "deal", "id": id, "change": "changed"}),
            Self::Person => json!({"kind": "person", "id": id, "change": "changed"}),
            Self::Verdict => json!({"kind": "verdict", "id": id, "change": "changed"}),
            Self::Member => {
                json!({"kind": "list_member", "id": id, "change": "added", "list": 9})
            }
        }
    }
}

async fn write(database: &tokio_postgres::Client, tenant: &Tenant, of: Of, id: i64) {
    database
        .batch_execute(&of.insert(tenant, id))
        .await
        .unwrap();
}

/// Those of records and lists: what the app has of them, and verdicts, follow when they are due.
fn of_hubspot(items: &[Value]) -> Vec<Value> {
    let kinds = ["contact", "company", "deal", "list"];
    let is_one = |item: &&Value| kinds.iter().any(|kind| item["kind"] == *kind);
    items.iter().filter(is_one).cloned().collect()
}

#[tokio::test]
async fn whoever_begins_gets_everything_once_in_pages_of_any_size() {
    let size = json!({"contacts": 60, "companies": 20, "deals": 15, "lists": 3, "limits": "off"});
    let (tenant, door) = connected(size).await;
    let (all, end) = everything(&door, 1_000, 98).await;
    let (small, _) = everything(&door, 7, 98).await;
    let all = of_hubspot(&all);
    assert_eq!(of_hubspot(&small), all);
    let count = |kind: &str| all.iter().filter(|item| item["kind"] == kind).count();
    assert_eq!(
        (
            count("contact"),
            count("company"),
            count("deal"),
            count("list")
        ),
        (60, 20, 15, 3)
    );
    let mut once = all.clone();
    once.sort_by_key(ToString::to_string);
    once.dedup();
    assert_eq!(once.len(), all.len());
    assert!(all.iter().all(|item| item["change"] == "changed"));
    let mut keys: Vec<&String> = all[0].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["change", "id", "kind"], "ids only");

    // The same by the command line.
    let line = CommandLine::new(&tenant, &door);
    let printed = line.run(&["changes"]).await;
    assert_eq!(printed.code, 0, "{}", printed.err);
    let lines = printed.out.lines().filter(|line| {
        ["contact\t", "company\t", "deal\t", "list\t"]
            .iter()
            .any(|kind| line.starts_with(kind))
    });
    assert_eq!(lines.count(), all.len());
    let (_, cursor) = printed.err.trim_end().split_once("--after ").unwrap();
    let nothing = line.run(&["changes", "--after", cursor, "--json"]).await;
    let items = |ended: &Value| of_hubspot(ended["items"].as_array().unwrap());
    assert_eq!(items(&nothing.json()), [Value::Null; 0]);
    let database = database(&tenant).await;
    write(&database, &tenant, Of::Deal, 7).await;
    let mut after = end;
    loop {
        let path = format!("/changes?wait=20&after={after}");
        let page = door.ok("GET", &path, None).await;
        let new = items(&page);
        if !new.is_empty() {
            assert_eq!(new, [Of::Deal.item(7)]);
            break;
        }
        assert_ne!(page["items"], json!([]), "it is not told");
        after = page["next"].as_str().unwrap().to_owned();
    }
    let more = line.run(&["changes", "--after", cursor, "--json"]).await;
    assert_eq!(items(&more.json()), [Of::Deal.item(7)]);
    let odd = line.run(&["changes", "--after", "a b"]).await;
    assert_eq!(odd.code, 2, "{}", odd.err);
}

#[tokio::test]
async fn cursors_that_cannot_be_gone_on_from_are_refused_with_a_code() {
    let (tenant, door) = connected(json!({"contacts": 3, "limits": "off"})).await;
    let (_, end) = everything(&door, 100, 3).await;
    let asked = async |cursor: &str| {
        let answer = door
            .call("GET", &format!("/changes?after={cursor}"), None)
            .await;
        (answer.status, answer.code().to_owned())
    };
    let over = (410, "HS-4021".to_owned());
    assert_eq!(asked(&end).await, (200, String::new()));
    for made_up in ["x", "MQ", "p-1"] {
        assert_eq!(
            asked(made_up).await,
            (422, "HS-4001".to_owned()),
            "{made_up}"
        );
    }
    // A database that this one was restored from.
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(&end).unwrap()).unwrap();
    let mut parts: Vec<&str> = text.split(' ').collect();
    parts[1] = "12345";
    let elsewhere = URL_SAFE_NO_PAD.encode(parts.join(" "));
    assert_eq!(asked(&elsewhere).await, over);
    // Something was erased since, so long ago that nobody tells any more.
    let database = database(&tenant).await;
    let sql = format!(
        "insert into change_horizon (workspace_id, portal_id, number)
         select '{}', {}, mirror_settled()",
        tenant.id(),
        tenant.portal
    );
    database.batch_execute(&sql).await.unwrap();
    assert_eq!(asked(&end).await, over);
    // Whoever begins anew begins behind it.
    let behind = "select mirror_settled() > max(number) from change_horizon";
    let deadline = Instant::now() + Duration::from_secs(30);
    while !database
        .query_one(behind, &[])
        .await
        .unwrap()
        .get::<_, bool>(0)
    {
        assert!(Instant::now() < deadline, "a transaction goes on for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (_, anew) = everything(&door, 1, 3).await;
    assert_eq!(asked(&anew).await, (200, String::new()));

    // Another portal.
    tenant
        .api
        .call(&tenant.id(), "disconnect", Some(json!({})))
        .await
        .unwrap();
    tenant
        .wait_for_phase("disconnected", Duration::from_secs(30))
        .await;
    assert_eq!(asked(&anew).await, (200, String::new()));
    let other = Tenant::new(&shared(), json!({"contacts": 2, "limits": "off"})).await;
    let moved = Tenant {
        portal: other.portal,
        ..tenant.clone()
    };
    moved.connect().await;
    assert_eq!(asked(&anew).await, over);

    let (stranger, wait) = (Tenant::new(&shared(), json!({})).await, "/changes?wait=26");
    let unconnected = Door::of(&stranger).await;
    let refused = unconnected.call("GET", "/changes", None).await;
    assert_eq!((refused.status, refused.code()), (409, "HS-1003"));
    assert_eq!(door.call("GET", wait, None).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_hears_within_a_second_and_not_everybody_may_wait() {
    // Without contacts nobody is made of them meanwhile, and nobody is judged.
    let size = json!({"contacts": 0, "companies": 0, "deals": 3, "lists": 0, "limits": "off"});
    let (tenant, door) = connected(size).await;
    let database = database(&tenant).await;
    let (_, mut end) = everything(&door, 100, 3).await;
    let mut took = Vec::new();
    for (n, of) in (0..).zip(Of::ALL.into_iter().cycle().take(8)) {
        let waits = {
            let (door, path) = (door.clone(), format!("/changes?wait=20&after={end}"));
            tokio::spawn(async move { (door.ok("GET", &path, None).await, Instant::now()) })
        };
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(!waits.is_finished(), "nothing changed");
        write(&database, &tenant, of, 1_000 + n).await;
        let written = Instant::now();
        let (page, heard) = waits.await.unwrap();
        assert_eq!(page["items"], json!([of.item(1_000 + n)]));
        took.push(heard.duration_since(written));
        end = page["next"].as_str().unwrap().to_owned();
    }
    took.sort();
    println!("from a commit to whoever waits: {took:?}");
    // Other transactions of the server, which other tests hold open, may delay some.
    assert!(took[3] < Duration::from_secs(1), "{took:?}");

    // A wait that is over is answered with nothing, and the same place.
    let began = Instant::now();
    let page = door
        .ok("GET", &format!("/changes?wait=1&after={end}"), None)
        .await;
    assert_eq!(
        (&page["items"], page["next"].as_str()),
        (&json!([]), Some(&*end))
    );
    assert!(began.elapsed() >= Duration::from_secs(1));

    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let (door, path) = (door.clone(), format!("/changes?wait=25&after={end}"));
            tokio::spawn(async move {
                // Whoever asks below may have taken a place first.
                loop {
                    let answer = door.call("GET", &path, None).await;
                    if answer.status != 429 {
                        assert_eq!(answer.status, 200, "{}", answer.body);
                        return answer.body;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            })
        })
        .collect();
    let path = format!("/changes?wait=1&after={end}");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let one_more = door.call("GET", &path, None).await;
        if one_more.status == 429 {
            assert_eq!(one_more.code(), "HS-4022");
            break;
        }
        assert!(Instant::now() < deadline, "nobody is refused");
        // Who was refused meanwhile, as this call had the last place, gets it now.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // Who does not wait is answered; and one change wakes all.
    assert_eq!(
        door.call("GET", &format!("/changes?after={end}"), None)
            .await
            .status,
        200
    );
    write(&database, &tenant, Of::Deal, 2_000).await;
    for one in waiting {
        let page = tokio::time::timeout(Duration::from_secs(15), one).await;
        assert_eq!(page.unwrap().unwrap()["items"][0]["id"], "2000");
    }
}

/// A transaction that began first commits last, and the reader dies between two of its pages.
#[tokio::test]
async fn what_commits_late_is_told_in_its_place_and_a_reader_goes_on_after_a_restart() {
    let size = json!({"contacts": 0, "companies": 0, "deals": 3, "lists": 0, "limits": "off"});
    let (tenant, door) = connected(size).await;
    let (_, end) = everything(&door, 100, 3).await;
    let slow = database(&tenant).await;
    let fast = database(&tenant).await;
    let of_all = |id: i64| -> String { Of::ALL.map(|of| of.insert(&tenant, id)).concat() };
    slow.batch_execute(&format!("begin; {}", of_all(1)))
        .await
        .unwrap();
    fast.batch_execute(&format!("begin; {} commit", of_all(2)))
        .await
        .unwrap();
    // What is there already waits for what is older.
    let path = format!("/changes?wait=1&after={end}");
    let page = door.ok("GET", &path, None).await;
    assert_eq!(
        (&page["items"], page["next"].as_str()),
        (&json!([]), Some(&*end))
    );
    slow.batch_execute("commit").await.unwrap();

    let line = CommandLine::new(&tenant, &door);
    let deadline = Instant::now() + Duration::from_secs(30);
    let (mut seen, mut after) = (Vec::new(), end.clone());
    while seen.len() < 8 {
        // Whoever reads is always somebody new, who knows no more than the cursor.
        let reader = Door::of(&tenant).await;
        let path = format!("/changes?wait=5&limit=1&after={after}");
        let page = reader.ok("GET", &path, None).await;
        seen.extend(page["items"].as_array().unwrap().iter().cloned());
        after = page["next"].as_str().unwrap().to_owned();
        assert!(Instant::now() < deadline, "{seen:#?}");
    }
    let want: Vec<Value> = [1, 2]
        .into_iter()
        .flat_map(|id| Of::ALL.map(|of| of.item(id)))
        .collect();
    assert_eq!(seen, want);
    let printed = line.run(&["changes", "--after", &end]).await;
    assert_eq!(
        printed.out.lines().collect::<Vec<_>>(),
        [
            "deal\t1\tchanged",
            "person\t1\tchanged",
            "verdict\t1\tchanged",
            "list_member\t1\tadded\tlist 9",
            "deal\t2\tchanged",
            "person\t2\tchanged",
            "verdict\t2\tchanged",
            "list_member\t2\tadded\tlist 9",
        ],
        "{}",
        printed.err
    );
}
