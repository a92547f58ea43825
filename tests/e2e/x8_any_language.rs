//! X8: a main app in Python, which has no code of ours, does everything by the contract alone. What
//! it says it did is looked up elsewhere: in the store, at HubSpot's side, through our own door.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use domain::{Epoch, ObjectType};
use e2e::{Tenant, assert_mirrored, binaries, door::Door, script::Script, shared, store_of};
use serde_json::{Value, json};

struct App<'a> {
    tenant: &'a Tenant,
    key: String,
    memory: tempfile::TempDir,
}

impl App<'_> {
    async fn does(&self, command: &str) -> String {
        Script::python("main-app/main_app.py")
            .arg(command)
            .env("MAIN_APP_WORKSPACE", self.tenant.id())
            .env("MAIN_APP_MEMORY", self.memory.path().join("app.json"))
            .env("HUBSPOT_SERVICE_KEY", &self.key)
            .passes()
            .await
    }
}

fn run_of(status: &Value) -> (&Value, &Value) {
    (&status["run"]["run"], &status["run"]["state"])
}

#[tokio::test]
async fn a_main_app_in_python_needs_nothing_but_the_contract() {
    let size = json!({
        "contacts": 400, "companies": 60, "deals": 30, "lists": 2, "owners": 5, "limits": "off",
        "auto_companies": false,
    });
    let tenant = Tenant::new(&shared(), size).await;
    let store = store_of(tenant.api.addresses()).await;
    let made = tenant.control("POST", "service-keys", None).await;
    let app = App {
        tenant: &tenant,
        key: made["token"].as_str().unwrap().to_owned(),
        memory: tempfile::tempdir().unwrap(),
    };

    println!("{}", app.does("connect").await);
    let first = tenant.status().await;
    assert_eq!(first["portal"], tenant.portal.get());
    assert_eq!(run_of(&first).1, "finished");
    assert!(assert_mirrored(&tenant, &store).await >= 490);

    println!("{}", app.does("records").await);
    let door = Door::of(&tenant).await;
    for (path, many) in [("/members", 3), ("/companies", 20), ("/people", 250)] {
        let page = door.ok("GET", &format!("{path}?limit=1000"), None).await;
        assert_eq!(page["items"].as_array().unwrap().len(), many, "{path}");
    }
    let person = door.ok("GET", "/people/p0", None).await;
    assert_eq!(
        (&person["status"], &person["version"], &person["company"]),
        (&json!("replied"), &json!(2), &json!("c0"))
    );
    assert_eq!(person["email"], "p0@mail.example.org");

    // Somebody works in HubSpot; what the app signals brings it here.
    let page = store
        .objects_after(
            tenant.workspace,
            tenant.portal,
            ObjectType::Contact,
            None,
            1,
        )
        .await
        .unwrap();
    let changed = dev::http()
        .unwrap()
        .patch(format!(
            "{}/crm/objects/2026-09/contacts/{}",
            tenant.api.addresses().simulator,
            page[0].id
        ))
        .bearer_auth(&app.key)
        .json(&json!({"properties": {"city": "Reykjavík"}}))
        .send()
        .await
        .unwrap();
    assert!(changed.status().is_success());
    println!("{}", app.does("resync").await);
    let last = tenant.status().await;
    assert_ne!(run_of(&last).0, run_of(&first).0);
    assert_eq!(run_of(&last).1, "finished");
    assert_mirrored(&tenant, &store).await;
    let page = store
        .objects_after(
            tenant.workspace,
            tenant.portal,
            ObjectType::Contact,
            None,
            1,
        )
        .await
        .unwrap();
    assert_eq!(page[0].properties["city"], "Reykjavík");
    // Contacts were read whole by the backfill, and companies once more from the first one on.
    assert_eq!(begun(&tenant, "contacts").await, 1);
    assert_eq!(begun(&tenant, "companies").await, 2);

    println!("{}", app.does("disconnect").await);
    let status = tenant.status().await;
    assert_eq!(status["state"], "disconnected");
    for epoch in 0..5 {
        let tokens = store.tokens(tenant.workspace, Epoch::new(epoch)).await;
        assert!(tokens.unwrap().is_none());
    }
    let requests = tenant.requests().await.len();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(tenant.requests().await.len(), requests);
    assert_eq!(run_of(&status), run_of(&last));
}

/// How often a type was read from its first record on.
async fn begun(tenant: &Tenant, plural: &str) -> usize {
    let path = format!("/objects/2026-09/{plural}");
    let requests = tenant.requests().await;
    let lists = requests.iter().filter(|r| {
        r["method"] == "GET"
            && r["path"].as_str().unwrap().ends_with(&path)
            && !r["query"].as_str().unwrap().contains("after=")
    });
    lists.count()
}

/// The files of a folder.
fn files(dir: &Path) -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        (name, serde_json::from_str(&text).unwrap())
    });
    files.collect()
}

#[test]
fn the_worker_writes_the_schemas_of_the_docs() {
    let dir = tempfile::tempdir().unwrap();
    let written = Command::new(binaries().join("hubspot-sync-worker"))
        .arg("schemas")
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(written.success());
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    assert_eq!(files(dir.path()), files(&docs));
}
