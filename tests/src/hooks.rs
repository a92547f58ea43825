//! Webhooks: those that the simulator sends, and those that a test makes up.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::Utc;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{Tenant, door::Answer};

/// Whose secret signs.
pub const SECRET: &str = "simulator-client-secret";

/// The address to which HubSpot delivers.
#[derive(Debug, Clone)]
pub struct Hooks {
    client: reqwest::Client,
    url: String,
}

/// An event about one record, as HubSpot tells it.
pub fn event(portal: i64, kind: &str, id: i64) -> Value {
    json!({
        "eventId": id, "subscriptionId": 7, "portalId": portal, "appId": 1,
        "occurredAt": Utc::now().timestamp_millis(), "subscriptionType": kind,
        "attemptNumber": 0, "objectId": id, "changeSource": "CRM_UI",
    })
}

impl Hooks {
    /// Of the front door of a tenant.
    ///
    /// # Panics
    /// When there is no HTTP client.
    pub fn of(tenant: &Tenant) -> Self {
        Self {
            client: dev::http().expect("an HTTP client"),
            url: format!("{}/webhooks/hubspot", tenant.api.addresses().web),
        }
    }

    /// From now on the simulator tells the front door what happens in the portal; `delivery` says how.
    /// Generic events are those of our app's configuration (`object.…`), the others older ones
    /// (`contact.…`).
    pub async fn subscribe(&self, tenant: &Tenant, generic: bool, delivery: Value) {
        tenant.control("PATCH", "webhooks", Some(delivery)).await;
        let subscription = json!({"target_url": self.url, "generic": generic});
        tenant.control("POST", "webhooks", Some(subscription)).await;
    }

    /// Delivers events, signed now.
    pub async fn deliver(&self, events: &[Value]) -> Answer {
        let body = Value::from(events.to_vec()).to_string();
        self.send(body, Utc::now().timestamp_millis(), SECRET).await
    }

    /// Delivers a body, signed at a time (in milliseconds) with a secret.
    pub async fn send(&self, body: String, at: i64, secret: &str) -> Answer {
        let at = at.to_string();
        let signature = self.signature(&body, &at, secret);
        self.request(
            body,
            &[
                ("X-HubSpot-Request-Timestamp", &at),
                ("X-HubSpot-Signature-v3", &signature),
            ],
        )
        .await
    }

    /// Signature v3: method, address, body and time.
    ///
    /// # Panics
    /// Never: a key may have any length.
    pub fn signature(&self, body: &str, at: &str, secret: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
        for part in ["POST", &self.url, body, at] {
            mac.update(part.as_bytes());
        }
        STANDARD.encode(mac.finalize().into_bytes())
    }

    /// Any POST.
    ///
    /// # Panics
    /// When the front door does not answer.
    pub async fn request(&self, body: String, headers: &[(&str, &str)]) -> Answer {
        let mut request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("the front door answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            replayed: false,
        }
    }
}
