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
/// What people call the workspace and the admin.
pub const WORKSPACE_NAME: &str = "Demo workspace";
/// See [`WORKSPACE_NAME`].
pub const ADMIN_NAME: &str = "Demo admin";

/// Longer than a call may wait for changes, and than ten thousand people take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

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
    pub status: u16,
    pub text: String,
    /// What the browser is to keep, as it sends it back.
    pub cookie: Option<String>,
    /// Where the browser is sent.
    pub location: Option<String>,
}

/// How our own page is answered that asks once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// These two belong together.
    Connect,
    /// They do not.
    Refuse,
}

impl Confirm {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Refuse => "refuse",
        }
    }
}

impl Reply {
    async fn of(answer: reqwest::Response) -> anyhow::Result<Self> {
        let header = |name: &str| -> Option<String> {
            let value = answer.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let cookie = header("set-cookie")
            .and_then(|c| c.split(';').next().map(str::to_owned))
            .filter(|c| !c.is_empty());
        let location = header("location");
        Ok(Self {
            status: answer.status().as_u16(),
            cookie,
            location,
            text: answer.text().await?,
        })
    }

    /// The body as JSON.
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
    pub async fn call(
        &self,
        workspace: &str,
        what: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Reply> {
        let method = if body.is_some() { "POST" } else { "GET" };
        self.ask(method, workspace, &format!("hubspot/{what}"), body)
            .await
    }

    /// A call to `/api/v1/workspaces/{workspace}/{path}`.
    ///
    /// # Errors
    /// When the front door does not answer; a refusal is a reply.
    pub async fn ask(
        &self,
        method: &str,
        workspace: &str,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Reply> {
        let url = format!(
            "{}/api/v1/workspaces/{workspace}/{path}",
            self.addresses.web
        );
        let mut request = self.client.request(method.parse()?, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request
            .bearer_auth(&self.addresses.api_token)
            .timeout(PATIENCE)
            .send()
            .await?;
        Reply::of(answer).await
    }

    /// The status of a workspace.
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

    /// Begins to connect: the link that may be sent on.
    pub async fn link(&self, workspace: &str, request: Value) -> anyhow::Result<String> {
        let reply = self.call(workspace, "connect", Some(request)).await?;
        ensure!(
            reply.status == 200,
            "connect: {} {}",
            reply.status,
            reply.text
        );
        Ok(reply.json()?["url"]
            .as_str()
            .context("no address")?
            .to_owned())
    }

    /// Opens an address like a browser with these cookies would, and follows nothing.
    pub async fn open(&self, url: &str, cookie: &str) -> anyhow::Result<Reply> {
        let answer = self.client.get(url).header("cookie", cookie).send().await?;
        Reply::of(answer).await
    }

    /// Begins to connect: the address of the consent page, and the cookie of the browser.
    pub async fn begin(&self, workspace: &str) -> anyhow::Result<(String, String)> {
        let request = json!({
            "admin": ADMIN, "workspace_name": WORKSPACE_NAME, "admin_name": ADMIN_NAME,
        });
        let started = self.open(&self.link(workspace, request).await?, "").await?;
        Ok((
            started.location.context("no consent page")?,
            started.cookie.context("no cookie")?,
        ))
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
    pub async fn come_back(&self, to: &str, cookie: &str) -> anyhow::Result<Reply> {
        self.open(to, cookie).await
    }

    /// The page that asks once more, after the browser came back.
    ///
    /// # Errors
    /// When the browser was not sent there.
    pub async fn question(&self, back: &Reply) -> anyhow::Result<Question> {
        let to = back.location.as_deref().context("not sent on")?;
        let to = reqwest::Url::parse(&self.addresses.web)?.join(to)?;
        let cookie = back.cookie.clone().context("no session")?;
        let page = self.open(to.as_str(), &cookie).await?;
        let csrf = page
            .text
            .split_once("name=\"csrf\" value=\"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(csrf, _)| csrf.to_owned());
        Ok(Question {
            at: to.into(),
            cookie,
            csrf,
            page,
        })
    }

    /// Answers our page, and sees the page that comes of it.
    pub async fn confirm(&self, question: &Question, answer: Confirm) -> anyhow::Result<Reply> {
        let form = [
            ("csrf", question.csrf.as_deref().unwrap_or_default()),
            ("decision", answer.as_str()),
        ];
        let sent = self
            .client
            .post(&question.at)
            .header("cookie", &question.cookie)
            .form(&form)
            .send()
            .await?;
        let reply = Reply::of(sent).await?;
        if reply.location.is_none() {
            return Ok(reply);
        }
        self.open(&question.at, &question.cookie).await
    }

    /// Connects a workspace through the consent page and the page that asks once more, from begin to
    /// end.
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
        let back = self.come_back(&back, &cookie).await?;
        if back.location.is_none() {
            return Ok(back);
        }
        let question = self.question(&back).await?;
        self.confirm(&question, Confirm::Connect).await
    }
}

/// Our page that asks once more.
#[derive(Debug, Clone)]
pub struct Question {
    pub at: String,
    /// The session of the browser.
    pub cookie: String,
    /// What its form brings along; none when the page asks nothing.
    pub csrf: Option<String>,
    pub page: Reply,
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
