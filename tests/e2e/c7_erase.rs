//! C7: erasing a person, and purging a workspace.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use e2e::{Tenant, door::Door, exports::ended, object, shared};
use serde_json::{Value, json};

/// Values that nobody else in the whole installation has.
struct Zelda {
    email: String,
    second_email: String,
    last_name: String,
    phone: String,
}

impl Zelda {
    fn new() -> Self {
        let mark = uuid::Uuid::new_v4().simple().to_string();
        Self {
            email: format!("zelda.{mark}@zelda-erase.com"),
            second_email: format!("z.{mark}@zelda-erase.com"),
            last_name: format!("Zappa{mark}"),
            phone: format!("+49 30 {}", &mark[..12]),
        }
    }

    fn needles(&self) -> [&str; 4] {
        [
            &self.email,
            &self.second_email,
            &self.last_name,
            &self.phone,
        ]
    }
}

/// Every column of every table, as text, that holds one of the needles.
async fn in_database(tenant: &Tenant, needles: &[&str]) -> Vec<String> {
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let columns = client
        .query(
            "select table_name::text, column_name::text, data_type::text from information_schema.columns
             where table_schema = 'public' and data_type in ('text', 'json', 'jsonb', 'bytea', 'ARRAY')",
            &[],
        )
        .await
        .unwrap();
    assert!(columns.len() > 30);
    let mut found = Vec::new();
    for column in columns {
        let (table, name, kind): (String, String, String) =
            (column.get(0), column.get(1), column.get(2));
        let text = if kind == "bytea" {
            format!("encode(\"{name}\", 'escape')")
        } else {
            format!("\"{name}\"::text")
        };
        let sql = format!(
            "select count(*) from \"{table}\" where lower({text}) like any(select '%' || lower(n) || '%' from unnest($1::text[]) as t (n))"
        );
        let n: i64 = client.query_one(&sql, &[&needles]).await.unwrap().get(0);
        if n > 0 {
            found.push(format!("{table}.{name}"));
        }
    }
    found
}

/// All text of a history, payloads decoded.
fn texts(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push_str(text);
            out.push('\n');
            if let Ok(bytes) = STANDARD.decode(text) {
                out.push_str(&String::from_utf8_lossy(&bytes));
                out.push('\n');
            }
        }
        Value::Array(all) => all.iter().for_each(|v| texts(v, out)),
        Value::Object(all) => all.values().for_each(|v| texts(v, out)),
        _ => {}
    }
}

fn histories(tenant: &Tenant) -> String {
    let program = dev::provision::temporal().unwrap();
    let mut all = String::new();
    for what in ["connection", "backfill"] {
        let id = format!("hubspot/{}/{what}", tenant.workspace);
        let output = std::process::Command::new(&program)
            .args(["workflow", "show", "--workflow-id", &id, "-o", "json"])
            .args(["--address", &tenant.api.addresses().temporal])
            .output()
            .unwrap();
        let shown: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("no history of {id}: {e}"));
        texts(&shown, &mut all);
    }
    all
}

fn logs(tenant: &Tenant) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(&tenant.api.addresses().logs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // The simulator stands for HubSpot: what it knows is not ours.
        if name.ends_with(".log") && name != "simulator.log" {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
    all
}

/// A contact in HubSpot.
async fn contact_in_hubspot(tenant: &Tenant, zelda: &Zelda) {
    let key = tenant.control("POST", "service-keys", None).await;
    let made = dev::http()
        .unwrap()
        .post(format!(
            "{}/crm/v3/objects/contacts",
            tenant.api.addresses().simulator
        ))
        .bearer_auth(key["token"].as_str().unwrap())
        .json(&json!({"properties": {
            "email": zelda.email, "lastname": zelda.last_name, "phone": zelda.phone,
        }}))
        .send()
        .await
        .unwrap();
    let status = made.status();
    assert!(
        status.is_success(),
        "{status}: {}",
        made.text().await.unwrap()
    );
}

#[tokio::test]
async fn an_erased_person_leaves_no_value_behind_and_stays_out() {
    let zelda = Zelda::new();
    let tenant = Tenant::new(
        &shared(),
        json!({"contacts": 30, "companies": 5, "limits": "off"}),
    )
    .await;
    contact_in_hubspot(&tenant, &zelda).await;
    let door = Door::of(&tenant).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    let person = |id: &str, email: &str| {
        json!([{"id": id, "version": 1, "email": email,
            "fields": {"last_name": zelda.last_name, "phone": zelda.phone}}])
    };
    assert_eq!(door.people(person("p1", &zelda.email)).await, ["created"]);
    door.people(json!([{"id": "p2", "version": 1, "email": "someone@else.example"}]))
        .await;
    let asked = door
        .keyed(
            "POST",
            "/exports",
            Some(json!({"person": "p1"})),
            Some("export-p1"),
        )
        .await;
    // HubSpot has them by then, and the journal tells what it was given.
    let request = asked.body["requests"][0]["request"].as_str().unwrap();
    assert_eq!(ended(&door, request).await["state"], "exported");
    // The scan sees what is there.
    let before = in_database(&tenant, &zelda.needles()).await;
    assert!(
        before.contains(&"app_person.document".to_owned())
            && before.contains(&"hubspot_object.properties".to_owned()),
        "{before:?}"
    );

    let erased = door
        .ok(
            "POST",
            "/erasures",
            Some(json!({"email": zelda.email.to_uppercase()})),
        )
        .await;
    assert_eq!(
        (
            &erased["removed"]["people"],
            &erased["removed"]["contacts"],
            &erased["removed"]["requests"]
        ),
        (&json!(1), &json!(1), &json!(0)),
        "{erased}"
    );
    let gone = async |when: &str| {
        let found = in_database(&tenant, &zelda.needles()).await;
        assert!(found.is_empty(), "{when}: {found:?}");
    };
    gone("right after").await;
    assert_eq!(door.call("GET", "/people/p1", None).await.status, 404);
    assert_eq!(door.call("GET", "/people/p2", None).await.status, 200);
    let exports = door.ok("GET", "/exports?person=p1", None).await;
    assert_eq!(
        exports["items"][0]["outcome"],
        json!({"state": "skipped", "reason": "erased"})
    );

    // The app does not bring them in again, whether by id or by address.
    assert_eq!(
        door.people(person("p1", "new@else.example")).await,
        ["erased"]
    );
    assert_eq!(door.people(person("p9", &zelda.email)).await, ["erased"]);
    // Nor does HubSpot, though the contact is still there.
    let answer = door
        .ok(
            "POST",
            "/hubspot/resync",
            Some(json!({"mode": {"mode": "from_scratch"}})),
        )
        .await;
    assert_eq!(answer["outcome"], "started");
    let run = answer["run"].clone();
    let deadline = std::time::Instant::now() + Duration::from_secs(90);
    let status = loop {
        let status = tenant.status().await;
        if status["run"]["run"] == run && status["run"]["state"] == "finished" {
            break status;
        }
        assert!(std::time::Instant::now() < deadline, "{status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(object(&status, "contacts")["stored"], 30);
    gone("after a resync from scratch").await;
    let everywhere = [histories(&tenant), logs(&tenant)];
    assert!(everywhere[0].contains(&tenant.id()) && everywhere[1].contains("request"));
    for text in &everywhere {
        for needle in zelda.needles() {
            assert!(!text.contains(needle));
        }
    }
}

#[tokio::test]
async fn a_purge_needs_a_disconnect_and_leaves_nothing() {
    let zelda = Zelda::new();
    let tenant = Tenant::new(&shared(), json!({"contacts": 20, "limits": "off"})).await;
    contact_in_hubspot(&tenant, &zelda).await;
    let door = Door::of(&tenant).await;
    let installation = Door::of_installation(&tenant);
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    door.people(json!([{"id": "p1", "version": 1, "email": zelda.second_email}]))
        .await;
    let refused = installation.call("POST", "/purge", None).await;
    assert_eq!((refused.status, refused.code()), (409, "HS-4011"));
    door.ok("POST", "/hubspot/disconnect", Some(json!({})))
        .await;
    tenant
        .wait_for_phase("disconnected", Duration::from_secs(30))
        .await;
    assert!(!in_database(&tenant, &zelda.needles()).await.is_empty());
    let purging = installation.call("POST", "/purge", None).await;
    assert_eq!(purging.status, 202, "{}", purging.body);
    // From now on nothing comes in, however far the purge is.
    let late = door
        .call(
            "POST",
            "/people",
            Some(json!({"items": [{"id": "p2", "version": 1}]})),
        )
        .await;
    assert!(late.status == 404 || late.status == 401, "{}", late.status);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let asked = installation.call("POST", "/purge", None).await;
        if asked.status == 404 {
            assert_eq!(asked.code(), "HS-1001");
            break;
        }
        assert_eq!(asked.status, 202, "{}", asked.body);
        assert!(std::time::Instant::now() < deadline, "{}", asked.body);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let found = in_database(&tenant, &[&zelda.email, &zelda.second_email]).await;
    assert!(found.is_empty(), "{found:?}");
    // Its tokens open nothing, and it is not known any more.
    assert_eq!(door.call("GET", "/people", None).await.code(), "HS-4002");
    assert_eq!(
        installation.call("GET", "/people", None).await.code(),
        "HS-1001"
    );
}
