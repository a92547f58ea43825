//! A portal that a test fills by hand, and the calls that HubSpot's users would make.

use std::time::{Duration, Instant};

use dev::demo::Api;
use serde_json::{Value, json};

use crate::{Tenant, door::Door, shared};

/// A portal with nothing in it but what a test plants, and a workspace for it.
#[derive(Debug)]
pub struct Planted {
    /// The workspace.
    pub tenant: Tenant,
    http: reqwest::Client,
    key: String,
}

impl Planted {
    /// An empty portal.
    ///
    /// # Panics
    /// When there is none to be had.
    pub async fn new() -> Self {
        Self::on(&shared(), json!({})).await
    }

    /// An empty portal with these settings, in a stack.
    ///
    /// # Panics
    /// When there is none to be had.
    pub async fn on(api: &Api, settings: Value) -> Self {
        let mut size = json!({
            "contacts": 0, "companies": 0, "deals": 0, "lists": 0, "owners": 1, "limits": "off",
            "auto_companies": false,
        });
        for (name, value) in settings.as_object().into_iter().flatten() {
            size[name] = value.clone();
        }
        let tenant = Tenant::new(api, size).await;
        let key = tenant.control("POST", "service-keys", None).await;
        Self {
            http: dev::http().expect("an HTTP client"),
            key: key["token"].as_str().expect("a key").to_owned(),
            tenant,
        }
    }

    /// Plants a record, tied to others (type and id).
    ///
    /// # Panics
    /// When the simulator refuses.
    pub async fn record(&self, plural: &str, properties: Value, tied: &[(&str, i64)]) -> i64 {
        let associations: Vec<Value> = tied
            .iter()
            .map(|(to, id)| json!({"type": to, "id": id}))
            .collect();
        let body = json!({"properties": properties, "associations": associations});
        let made = self
            .tenant
            .control("POST", &format!("records/{plural}"), Some(body))
            .await;
        number(&made["id"])
    }

    /// Sets properties of a record, as a person in HubSpot does.
    ///
    /// # Panics
    /// When the simulator refuses.
    pub async fn set(&self, plural: &str, id: i64, properties: Value) {
        let path = format!("records/{plural}/{id}");
        let body = json!({"properties": properties});
        self.tenant.control("PATCH", &path, Some(body)).await;
    }

    /// A call of HubSpot's own API.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn hubspot(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let address = format!("{}{path}", self.tenant.api.addresses().simulator);
        let mut request = self
            .http
            .request(method.parse().expect("a method"), address)
            .bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the simulator answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A list by hand of records of a type (`0-1`, `0-2`).
    ///
    /// # Panics
    /// When the simulator refuses.
    pub async fn list(&self, name: &str, type_id: &str, members: &[i64]) -> i64 {
        let body = json!({"name": name, "objectTypeId": type_id, "processingType": "MANUAL"});
        let made = self.hubspot("POST", "/crm/v3/lists", Some(body)).await;
        let id = number(&made["list"]["listId"]);
        self.listed(id, members).await;
        id
    }

    /// Adds members to a list.
    ///
    /// # Panics
    /// When the simulator refuses.
    pub async fn listed(&self, list: i64, members: &[i64]) {
        if !members.is_empty() {
            let members: Vec<String> = members.iter().map(ToString::to_string).collect();
            let path = format!("/crm/v3/lists/{list}/memberships/add");
            self.hubspot("PUT", &path, Some(json!(members))).await;
        }
    }

    /// Connects, and waits until everything was read.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn connect(&self) -> Door {
        self.tenant.connect().await;
        self.tenant
            .wait_for_phase("syncing", Duration::from_secs(120))
            .await;
        Door::of(&self.tenant).await
    }

    /// Reads these types again, and waits for the end.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn resync(&self, body: Value) {
        let reply = self
            .tenant
            .api
            .call(&self.tenant.id(), "resync", Some(body))
            .await
            .expect("an answer");
        assert_eq!(reply.status, 200, "{}", reply.text);
        let answer: Value = reply.json().expect("JSON");
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let status = self.tenant.status().await;
            let state = status["run"]["state"].as_str().unwrap_or_default();
            if state.starts_with("finished")
                && (answer["run"].is_null() || status["run"]["run"] == answer["run"])
            {
                return;
            }
            assert!(Instant::now() < deadline, "{status:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A number, which HubSpot writes as text.
///
/// # Panics
/// When it is none.
pub fn number(value: &Value) -> i64 {
    value
        .as_i64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// Changes the settings in force.
///
/// # Panics
/// When they cannot be saved.
pub async fn change_settings(door: &Door, change: impl FnOnce(&mut Value)) {
    let stored = door.ok("GET", "/settings", None).await;
    let mut settings = stored["settings"].clone();
    change(&mut settings);
    let body = json!({"expected_revision": stored["revision"], "settings": settings});
    door.ok("PUT", "/settings", Some(body)).await;
}

/// Rules and records of an answer about somebody: `open_deal deal 12`.
pub fn reasons(verdict: &Value) -> Vec<String> {
    verdict["reasons"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|reason| {
            let record = &reason["record"];
            let kind = record["type"].as_str().unwrap_or_default();
            let rule = reason["rule"].as_str().unwrap_or_default();
            format!("{rule} {kind} {}", record["id"])
        })
        .collect()
}
