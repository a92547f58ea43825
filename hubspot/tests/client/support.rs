//! A simulator within the test, and a portal in it.

use std::{sync::Arc, time::Duration};

use hubspot::{Client, ClientConfig, StaticToken, Timeouts, Unlimited, oauth::OAuthApp};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

/// A portal in a simulator of its own.
pub(crate) struct Portal {
    url: Url,
    http: reqwest::Client,
    pub(crate) client: Client,
}

/// A configuration for this address.
pub(crate) fn config(url: &Url) -> ClientConfig {
    ClientConfig {
        api_url: url.clone(),
        app_url: url.clone(),
        timeouts: Timeouts::all(Duration::from_secs(2)),
        ..ClientConfig::default()
    }
}

/// A client with this key.
pub(crate) fn client(url: &Url, key: &str) -> Client {
    let token = StaticToken::new(SecretString::from(key));
    Client::new(config(url), Arc::new(token), Arc::new(Unlimited)).unwrap()
}

impl Portal {
    /// With these settings of the simulator; without limits and search lag unless they say so.
    pub(crate) async fn new(settings: Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(simulator::serve(listener, simulator::Simulator::new(1)));
        let mut body = json!({"portal_id": 1, "limits": "off"});
        for (name, value) in settings.as_object().unwrap() {
            body[name] = value.clone();
        }
        let mut portal = Self {
            client: client(&url, ""),
            http: reqwest::Client::new(),
            url,
        };
        portal.call("POST", "portals", Some(body)).await;
        let key = portal
            .control("POST", "service-keys", Some(json!({})))
            .await;
        portal.client = client(&portal.url, key["token"].as_str().unwrap());
        portal
    }

    /// Where the simulator is.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// The simulator's own app.
    pub(crate) fn app() -> OAuthApp {
        OAuthApp {
            client_id: "simulator-client-id".to_owned(),
            client_secret: "simulator-client-secret".to_owned().into(),
        }
    }

    /// A control call about the portal.
    pub(crate) async fn control(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        self.call(method, &format!("portals/1/{path}"), body).await
    }

    /// A fault rule.
    pub(crate) async fn fault(&self, rule: Value) {
        self.control("POST", "faults", Some(rule)).await;
    }

    /// All records of a type as the simulator has them.
    pub(crate) async fn records(&self, kind: &str) -> Vec<Value> {
        let page = self
            .control("GET", &format!("records/{kind}?limit=10000"), None)
            .await;
        page["results"].as_array().unwrap().clone()
    }

    /// How many requests to paths with this part the simulator saw.
    pub(crate) async fn requests(&self, path: &str) -> usize {
        let log = self.control("GET", "requests", None).await;
        log["requests"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|r| r["path"].as_str().unwrap().contains(path))
            .count()
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(
            method.parse().unwrap(),
            format!("{}_simulator/{path}", self.url),
        );
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }
}
