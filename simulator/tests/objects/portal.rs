//! A portal of a simulator on a socket.

use reqwest::{Client, Method};
use serde_json::{Value, json};

/// One portal, with a token that may do all.
pub(crate) struct Portal {
    http: Client,
    base: String,
    pub(crate) id: u64,
    token: String,
}

/// Status and body.
pub(crate) type Reply = (u16, Value);

impl Portal {
    /// Without limits and without what HubSpot does by itself, unless `settings` say so.
    pub(crate) async fn new(settings: Value) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(simulator::serve(listener, simulator::Simulator::new(1)));
        let http = Client::builder().no_proxy().build().unwrap();
        let mut portal = Self {
            http,
            base,
            id: 0,
            token: String::new(),
        };
        let mut wanted = json!({
            "limits": "off", "auto_companies": false, "property_delay_ms": 0,
            "default_lifecyclestage": "", "default_marketable_status": "",
        });
        for (name, value) in settings.as_object().unwrap() {
            wanted[name] = value.clone();
        }
        let (status, made) = portal
            .send(Method::POST, "/_simulator/portals", Some(wanted))
            .await;
        assert_eq!(status, 201, "{made}");
        portal.id = made["portal_id"].as_u64().unwrap();
        let (status, key) = portal.control("POST", "service-keys", json!({})).await;
        assert_eq!(status, 201, "{key}");
        portal.token = key["token"].as_str().unwrap().to_owned();
        portal
    }

    /// The same portal with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            http: self.http.clone(),
            base: self.base.clone(),
            id: self.id,
            token: token.to_owned(),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
        };
        (status, body)
    }

    /// The path of a link that leads to this simulator.
    pub(crate) fn path_of(&self, link: &str) -> String {
        link.strip_prefix(&self.base)
            .unwrap_or_else(|| panic!("{link} leads away"))
            .to_owned()
    }

    /// A control call about this portal.
    pub(crate) async fn control(&self, method: &str, path: &str, body: Value) -> Reply {
        let path = format!("/_simulator/portals/{}/{path}", self.id);
        let path = path.trim_end_matches('/');
        self.send(method.parse().unwrap(), path, Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }

    /// A new record; its id.
    pub(crate) async fn create(&self, kind: &str, properties: Value) -> String {
        let (status, made) = self
            .post(&objects(kind), json!({"properties": properties}))
            .await;
        assert_eq!(status, 201, "{made}");
        id_of(&made)
    }

    /// A property of a record.
    pub(crate) async fn value(&self, kind: &str, id: &str, name: &str) -> Value {
        let (status, found) = self
            .get(&format!("{}/{id}?properties={name}", objects(kind)))
            .await;
        assert_eq!(status, 200, "{found}");
        found["properties"][name].clone()
    }
}

/// The dated path of a type.
pub(crate) fn objects(kind: &str) -> String {
    format!("/crm/objects/2026-09/{kind}")
}

pub(crate) fn id_of(record: &Value) -> String {
    record["id"].as_str().unwrap().to_owned()
}

/// The codes of the errors of values.
pub(crate) fn codes(body: &Value) -> Vec<String> {
    body["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|e| e["code"].as_str())
        .map(str::to_owned)
        .collect()
}
