//! `/api/v1` as a program of the main app uses it: with a service token of its workspace.

use serde_json::{Value, json};

use crate::{Tenant, retire::Retire};

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body; null when there is none.
    pub body: Value,
    /// Whether it is the answer of an earlier call.
    pub replayed: bool,
}

impl Answer {
    /// The code of a refusal.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// The door with one token.
#[derive(Debug, Clone)]
pub struct Door {
    client: reqwest::Client,
    root: String,
    workspace: String,
    token: String,
    /// A workspace is in use as long as its door is.
    _in_use: Retire,
}

impl Door {
    /// With the token of the whole installation.
    ///
    /// # Panics
    /// When there is no HTTP client.
    pub fn of_installation(tenant: &Tenant) -> Self {
        Self {
            client: dev::http().expect("an HTTP client"),
            root: format!("{}/api/v1", tenant.api.addresses().web),
            workspace: tenant.id(),
            token: tenant.api.addresses().api_token.clone(),
            _in_use: tenant.retire.clone(),
        }
    }

    /// With a new service token of the workspace.
    ///
    /// # Panics
    /// When there is none to be had.
    pub async fn of(tenant: &Tenant) -> Self {
        let installation = Self::of_installation(tenant);
        let made = installation
            .call("POST", "/tokens", Some(json!({"name": "test"})))
            .await;
        assert_eq!(made.status, 201, "{}", made.body);
        let token = made.body["token"].as_str().expect("a token").to_owned();
        Self {
            token,
            ..installation
        }
    }

    /// The same token at another workspace's addresses.
    #[must_use]
    pub fn at(&self, workspace: &str) -> Self {
        Self {
            workspace: workspace.to_owned(),
            ..self.clone()
        }
    }

    /// Another token at the same addresses.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A call below the workspace's address.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.keyed(method, path, body, None).await
    }

    /// A POST with an idempotency key.
    pub async fn keyed(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        key: Option<&str>,
    ) -> Answer {
        let path = format!("/workspaces/{}{path}", self.workspace);
        self.raw(method, &path, body.map(|b| b.to_string()), key)
            .await
    }

    /// Any call below `/api/v1`.
    ///
    /// # Panics
    /// When the front door does not answer, or not with JSON.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        key: Option<&str>,
    ) -> Answer {
        let mut request = self
            .client
            .request(
                method.parse().expect("a method"),
                format!("{}{path}", self.root),
            )
            .bearer_auth(&self.token);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.expect("the front door answers");
        let status = answer.status().as_u16();
        let replayed = answer.headers().contains_key("idempotency-replayed");
        let text = answer.text().await.expect("a body");
        Answer {
            status,
            body: if text.is_empty() {
                Value::Null
            } else {
                serde_json::from_str(&text)
                    .unwrap_or_else(|e| panic!("{method} {path}: {status}, no JSON: {e}"))
            },
            replayed,
        }
    }

    /// A call that has to succeed.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer = self.call(method, path, body).await;
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {} {}",
            answer.status,
            answer.body
        );
        answer.body
    }

    /// Upserts companies that are not known yet.
    ///
    /// # Panics
    /// When the call or one of them is refused.
    pub async fn companies(&self, items: Vec<Value>) {
        let count = items.len();
        let body = json!({"items": items});
        let answer = self.ok("POST", "/companies", Some(body)).await;
        let outcomes = answer["items"].as_array().into_iter().flatten();
        let created = outcomes.filter(|item| item["outcome"] == "created").count();
        assert_eq!(created, count, "{answer}");
    }

    /// Upserts people; the outcomes, in order.
    ///
    /// # Panics
    /// When the call is refused.
    pub async fn people(&self, items: Value) -> Vec<String> {
        let answer = self
            .ok("POST", "/people", Some(json!({"items": items})))
            .await;
        answer["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|i| i["outcome"].as_str().map(str::to_owned))
            .collect()
    }
}
