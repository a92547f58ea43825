//! The demo: a portal in the simulator, connected through the consent page like a person would.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::{http, stack::Addresses};

/// The demo workspace.
pub const WORKSPACE: &str = "0d3f0000-0000-4000-8000-000000000001";
/// The demo portal.
pub const PORTAL: u64 = 1_000_001;
/// Whoever connects it.
pub const ADMIN: &str = "0d3f0000-0000-4000-8000-00000000000a";

/// Talks to front door and simulator.
#[derive(Debug, Clone)]
pub struct Api {
    client: reqwest::Client,
    addresses: Addresses,
}

/// How HubSpot's consent page is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Connect.
    Approve,
    /// Cancel.
    Refuse,
    /// Approve without the right to install apps.
    NoPermission,
}

impl Consent {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Refuse => "refuse",
            Self::NoPermission => "no_permission",
        }
    }
}

/// A page or an answer: status and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.text).with_context(|| format!("no JSON: {}", self.status))
    }
}

impl Api {
    /// For a running stack.
    ///
    /// # Errors
    /// When there is no HTTP client to be had.
    pub fn new(addresses: Addresses) -> anyhow::Result<Self> {
        Ok(Self {
            client: http()?,
            addresses,
        })
    }

    /// Where everything is.
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// A call to `/api/v1/workspaces/{workspace}/hubspot/{what}`.
    ///
    /// # Errors
    /// When the front door does not answer.
    pub async fn call(
        &self,
        workspace: &str,
        what: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Reply> {
        let url = format!(
            "{}/api/v1/workspaces/{workspace}/hubspot/{what}",
            self.addresses.web
        );
        let request = match body {
            Some(body) => self.client.post(url).json(&body),
            None => self.client.get(url),
        };
        let answer = request
            .bearer_auth(&self.addresses.api_token)
            .send()
            .await?;
        Ok(Reply {
            status: answer.status().as_u16(),
            text: answer.text().await?,
        })
    }

    /// The status of a workspace.
    ///
    /// # Errors
    /// When there is none.
    pub async fn status(&self, workspace: &str) -> anyhow::Result<Value> {
        let reply = self.call(workspace, "status", None).await?;
        ensure!(
            reply.status == 200,
            "status: {} {}",
            reply.status,
            reply.text
        );
        reply.json()
    }

    /// A control call to the simulator.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn simulator(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let url = format!("{}/_simulator/{path}", self.addresses.simulator);
        let mut request = self.client.request(method.parse()?, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(
            status.is_success(),
            "simulator: {method} {path}: {status} {text}"
        );
        if text.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Begins to connect: the address of the consent page, and the cookie of the browser.
    ///
    /// # Errors
    /// When the front door refuses.
    pub async fn begin(&self, workspace: &str) -> anyhow::Result<(String, String)> {
        let reply = self
            .call(workspace, "connect", Some(json!({"admin": ADMIN})))
            .await?;
        ensure!(
            reply.status == 200,
            "connect: {} {}",
            reply.status,
            reply.text
        );
        let url = reply.json()?["url"]
            .as_str()
            .context("no address")?
            .to_owned();
        let started = self.client.get(url).send().await?;
        let header = |name: &str| -> anyhow::Result<String> {
            Ok(started
                .headers()
                .get(name)
                .with_context(|| format!("no {name}"))?
                .to_str()?
                .to_owned())
        };
        let cookie = header("set-cookie")?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok((header("location")?, cookie))
    }

    /// Answers the consent page; the address that the browser is sent back to.
    ///
    /// # Errors
    /// When the simulator does not send it back.
    pub async fn decide(
        &self,
        consent_page: &str,
        portal: u64,
        consent: Consent,
    ) -> anyhow::Result<String> {
        let page = self.client.get(consent_page).send().await?;
        ensure!(
            page.status().is_success(),
            "no consent page: {}",
            page.status()
        );
        let url = reqwest::Url::parse(consent_page)?;
        let mut form: Vec<(String, String)> = url
            .query_pairs()
            .map(|(n, v)| (n.into_owned(), v.into_owned()))
            .collect();
        form.push(("portal_id".to_owned(), portal.to_string()));
        form.push(("decision".to_owned(), consent.as_str().to_owned()));
        let mut to = url.clone();
        to.set_path("/oauth/authorize/decision");
        to.set_query(None);
        let decided = self.client.post(to).form(&form).send().await?;
        Ok(decided
            .headers()
            .get("location")
            .context("not sent back")?
            .to_str()?
            .to_owned())
    }

    /// Comes back from HubSpot with the cookie of the browser.
    ///
    /// # Errors
    /// When the front door does not answer.
    pub async fn come_back(&self, to: &str, cookie: &str) -> anyhow::Result<Reply> {
        let answer = self.client.get(to).header("cookie", cookie).send().await?;
        Ok(Reply {
            status: answer.status().as_u16(),
            text: answer.text().await?,
        })
    }

    /// Connects a workspace through the consent page, from begin to end.
    ///
    /// # Errors
    /// When a step fails; a refusal is a reply.
    pub async fn connect(
        &self,
        workspace: &str,
        portal: u64,
        consent: Consent,
    ) -> anyhow::Result<Reply> {
        let (page, cookie) = self.begin(workspace).await?;
        let back = self.decide(&page, portal, consent).await?;
        self.come_back(&back, &cookie).await
    }
}

/// Compares what is stored with what the simulator holds, type by type: name, ours, theirs.
pub fn compare(status: &Value, portal: &Value) -> Vec<(String, u64, u64)> {
    let stored = |name: &str| {
        status["objects"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|o| o["object_type"] == name)
            .and_then(|o| o["stored"].as_u64())
            .unwrap_or(0)
    };
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut all: Vec<(String, u64, u64)> = ["contacts", "companies", "deals"]
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                stored(name),
                number(&portal["objects"][name]["live"]),
            )
        })
        .collect();
    all.extend(
        ["owners", "properties", "pipelines", "lists"]
            .iter()
            .map(|name| ((*name).to_owned(), stored(name), number(&portal[*name]))),
    );
    all
}
