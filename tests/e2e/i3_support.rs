//! What the tests of reconciliation have in common: somebody who works in HubSpot, and the two ways in
//! which what they did arrives.

use std::time::{Duration, Instant};

use domain::{HubSpotObjectId, ObjectType};
use e2e::{Tenant, shared, store_of};
use serde_json::{Value, json};
use store::{Fate, Store};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// How what happened in HubSpot gets into the mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    FromScratch,
    Reconcile,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::FromScratch, Self::Reconcile];

    pub(crate) async fn bring(self, tenant: &Tenant) {
        match self {
            Self::FromScratch => resync(tenant, json!({"mode": {"mode": "from_scratch"}})).await,
            Self::Reconcile => drop(reconcile(tenant).await),
        }
    }
}

/// A workspace whose portal was read once.
pub(crate) async fn world(mut size: Value) -> (Tenant, Store) {
    size["limits"] = json!("off");
    size["auto_companies"] = json!(false);
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant.wait_for_phase("syncing", 2 * MINUTE).await;
    let store = store_of(tenant.api.addresses()).await;
    (tenant, store)
}

/// Asks for a resync, and waits for the end of its run.
pub(crate) async fn resync(tenant: &Tenant, body: Value) {
    let run = begin_resync(tenant, body).await;
    wait_for_run(tenant, &run).await;
}

pub(crate) async fn begin_resync(tenant: &Tenant, body: Value) -> Value {
    let reply = tenant
        .api
        .call(&tenant.id(), "resync", Some(body))
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    let answer: Value = reply.json().unwrap();
    assert_eq!(answer["outcome"], "started", "{answer}");
    answer["run"].clone()
}

pub(crate) async fn wait_for_run(tenant: &Tenant, run: &Value) {
    let deadline = Instant::now() + 2 * MINUTE;
    loop {
        let status = tenant.status().await;
        let ended = ["finished", "finished_with_refusals"]
            .iter()
            .any(|state| status["run"]["state"] == *state);
        if status["run"]["run"] == *run && ended {
            return;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Starts a `Reconcile` of everything, as an operator does, and waits for its end. What it says.
pub(crate) async fn reconcile(tenant: &Tenant) -> Value {
    let input = json!({"workspace": tenant.workspace, "everything": true});
    let id = format!("hubspot/{}/reconcile", tenant.workspace);
    let program = dev::provision::temporal().unwrap();
    let output = tokio::process::Command::new(program)
        .args(["workflow", "execute", "--type", "Reconcile", "-o", "json"])
        .args(["--task-queue", "hubspot", "--workflow-id", &id])
        .args(["--input", &input.to_string()])
        .args(["--address", &tenant.api.addresses().temporal])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(3 * MINUTE, output)
        .await
        .expect("it ends in time")
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(said["result"]["done"], true, "{said:#}");
    said["result"].clone()
}

pub(crate) async fn ids(tenant: &Tenant, store: &Store, of: ObjectType) -> Vec<HubSpotObjectId> {
    store
        .objects_after(tenant.workspace, tenant.portal, of, None, 1_000)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.id)
        .collect()
}

pub(crate) async fn fate(
    tenant: &Tenant,
    store: &Store,
    of: ObjectType,
    id: HubSpotObjectId,
) -> Option<Fate> {
    store
        .fate(tenant.workspace, tenant.portal, of, id)
        .await
        .unwrap()
}

pub(crate) async fn archive(tenant: &Tenant, plural: &str, id: HubSpotObjectId) {
    tenant
        .control("DELETE", &format!("records/{plural}/{id}"), None)
        .await;
}

pub(crate) async fn merge(
    tenant: &Tenant,
    of: &str,
    primary: HubSpotObjectId,
    other: HubSpotObjectId,
) -> HubSpotObjectId {
    let body = json!({"type": of, "primary": primary.get(), "other": other.get()});
    let merged = tenant.control("POST", "merges", Some(body)).await;
    let text = match &merged["id"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.parse().unwrap()
}

/// Somebody who works in HubSpot, by its API.
pub(crate) struct Somebody {
    client: reqwest::Client,
    root: String,
    key: String,
}

impl Somebody {
    pub(crate) async fn of(tenant: &Tenant) -> Self {
        let made = tenant.control("POST", "service-keys", None).await;
        Self {
            client: dev::http().unwrap(),
            root: tenant.api.addresses().simulator.clone(),
            key: made["token"].as_str().unwrap().to_owned(),
        }
    }

    pub(crate) async fn call(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let request = self
            .client
            .request(method, format!("{}{path}", self.root))
            .bearer_auth(&self.key);
        let request = if body.is_null() {
            request
        } else {
            request.json(&body)
        };
        let reply = request.send().await.unwrap();
        let status = reply.status();
        let text = reply.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.call(reqwest::Method::POST, path, body).await
    }
}
