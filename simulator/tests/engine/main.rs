//! The engine of the simulator over sockets: limits, faults, webhooks, search, bad input, pages.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod faults;
mod limits;
mod pages;
mod rewrites;
mod search;
mod webhooks;

use std::{net::SocketAddr, sync::Once, time::Duration};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use simulator::Simulator;

/// A simulator of its own with one portal.
struct Sim {
    address: SocketAddr,
    client: reqwest::Client,
    portal: u64,
    token: String,
}

/// An answer that was read to its end.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|e| panic!("{} {e}: {}", self.status, self.text))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

const CONTACTS: &str = "/crm/objects/2026-09/contacts";

impl Sim {
    /// With a portal of these settings and a token of the app that is there from the start.
    async fn new(settings: Value) -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(simulator::serve(listener, Simulator::new(1)));
        let mut sim = Self {
            address,
            client: reqwest::Client::builder()
                .timeout(Duration::from_secs(60))
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            portal: 0,
            token: String::new(),
        };
        let made = sim.control_at("POST", "portals", settings).await;
        assert_eq!(made.status, 201, "{}", made.text);
        sim.portal = made.json()["portal_id"].as_u64().unwrap();
        sim.token = sim.control("POST", "tokens", json!({})).await.json()["access_token"]
            .as_str()
            .unwrap()
            .to_owned();
        sim
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn read(request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
        let answer = request.send().await?;
        Ok(Reply {
            status: answer.status(),
            headers: answer.headers().clone(),
            text: answer.text().await?,
        })
    }

    /// A control call of the portal.
    async fn control(&self, method: &str, path: &str, body: Value) -> Reply {
        let slash = if path.is_empty() { "" } else { "/" };
        self.control_at(
            method,
            &format!("portals/{}{slash}{path}", self.portal),
            body,
        )
        .await
    }

    async fn control_at(&self, method: &str, path: &str, body: Value) -> Reply {
        let method: Method = method.parse().unwrap();
        let request = self
            .client
            .request(method, self.url(&format!("/_simulator/{path}")));
        Self::read(request.json(&body)).await.unwrap()
    }

    /// A call of HubSpot's API that may fail on the way.
    async fn try_call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Reply> {
        let mut request = self
            .client
            .request(method.parse().unwrap(), self.url(path))
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::read(request).await
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.try_call(method, path, &self.token, body)
            .await
            .unwrap()
    }

    async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.call("POST", path, Some(body)).await
    }

    /// Makes a contact and tells its id.
    async fn contact(&self, properties: Value) -> String {
        let made = self.post(CONTACTS, json!({"properties": properties})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["id"].as_str().unwrap().to_owned()
    }

    async fn search(&self, body: Value) -> Reply {
        self.post(&format!("{CONTACTS}/search"), body).await
    }
}

/// Waits until something holds.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
