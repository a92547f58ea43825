//! What is assumed of HubSpot, asked of HubSpot (`cargo dev conformance`).
//!
//! Each fact is one that `docs/hubspot-behaviour.md` relies upon or leaves open. The checks make
//! their own records, with a prefix of their own, and take them away again. They go through the
//! public client; only what the client refuses to send is sent without it.

mod checks;
mod observer;
pub mod simulator;
mod table;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use hubspot::{Client, ClientConfig, ObjectType, RecordId, StaticToken};
use observer::Observer;
use secrecy::{ExposeSecret as _, SecretString};
pub use table::{Fact, Kind, Report};
use url::Url;

/// Where to ask, and with which key.
#[derive(Debug, Clone)]
pub struct Target {
    /// The API.
    pub api_url: Url,
    /// A service key of an account for tests.
    pub key: SecretString,
    /// Starts the names of all that is made.
    pub prefix: String,
    /// How long search may lag behind.
    pub patience: Duration,
}

/// A prefix that nobody else uses.
pub fn prefix() -> String {
    format!("conformance_{}", chrono::Utc::now().timestamp_micros())
}

/// A run under way.
struct Run {
    client: Client,
    observer: Arc<Observer>,
    target: Target,
    http: reqwest::Client,
    facts: Vec<Fact>,
    made: Vec<(ObjectType, RecordId)>,
    properties: Vec<(ObjectType, String)>,
}

/// Asks everything.
///
/// # Errors
/// When the account cannot be reached, or the key is not good. What a single check finds, trouble
/// too, is in the report.
pub async fn run(target: Target) -> anyhow::Result<Report> {
    let config = ClientConfig {
        api_url: target.api_url.clone(),
        app_url: target.api_url.clone(),
        ..ClientConfig::default()
    };
    let observer = Arc::new(Observer::default());
    let token = Arc::new(StaticToken::new(target.key.clone()));
    let client = Client::new(config, token, observer.clone())?;
    client
        .account()
        .details()
        .await
        .context("the account does not answer: is the key good?")?;
    let mut run = Run {
        client,
        observer,
        target,
        http: crate::http()?,
        facts: Vec::new(),
        made: Vec::new(),
        properties: Vec::new(),
    };
    checks::all(&mut run).await;
    let left = run.clean_up().await;
    Ok(Report {
        facts: run.facts,
        left,
    })
}

impl Run {
    /// Keeps what was seen of a fact. An error of the check is something seen too.
    fn tell(
        &mut self,
        kind: Kind,
        fact: &'static str,
        expected: &'static str,
        seen: anyhow::Result<String>,
    ) {
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => format!("the check failed: {error:#}"),
        };
        self.facts.push(Fact {
            kind,
            fact,
            expected,
            seen,
        });
    }

    /// A name that only this run uses.
    fn name(&self, what: &str) -> String {
        format!("{}_{what}", self.target.prefix)
    }

    fn email(&self, who: &str) -> String {
        format!("{}.{who}@example.com", self.target.prefix)
    }

    /// Sends what the client would not send, or looks at what it does not show: status and body.
    async fn raw(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> anyhow::Result<(u16, serde_json::Value)> {
        let mut request = self
            .http
            .request(method, self.target.api_url.join(path)?)
            .bearer_auth(self.target.key.expose_secret());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await.unwrap_or_default()))
    }

    /// Archives what was made. Returns what is left.
    async fn clean_up(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        for (object_type, id) in std::mem::take(&mut self.made) {
            let gone = self.client.objects().archive(object_type, id).await;
            if gone.is_err_and(|e| e != hubspot::Error::NotFound) {
                left.push(format!("{} {id}", object_type.path()));
            }
        }
        for (object_type, name) in std::mem::take(&mut self.properties) {
            let gone = self.client.properties().archive(object_type, &name).await;
            if gone.is_err_and(|e| e != hubspot::Error::NotFound) {
                left.push(format!("property {name} of {}", object_type.path()));
            }
        }
        left
    }
}
