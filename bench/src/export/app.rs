//! The app's side: people, and their exports.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::world::Workspace;

/// An export that takes longer is stuck.
const SOON: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// People of one call.
const BULK: u64 = 1_000;

/// People by number; ten are at each company.
pub(super) struct People {
    /// What sets them apart from others of the portal.
    pub(super) name: &'static str,
    pub(super) per_company: u64,
}

impl People {
    pub(super) fn id(&self, n: u64) -> String {
        format!("{}-{n:07}", self.name)
    }

    fn domain(&self, n: u64) -> String {
        format!("{}-{}.com", self.name, n / self.per_company)
    }

    pub(super) fn email(&self, n: u64) -> String {
        format!("p{n}@{}", self.domain(n))
    }

    fn person(&self, n: u64, version: u64) -> Value {
        json!({"id": self.id(n), "version": version, "email": self.email(n), "fields": {
            "first_name": format!("First{n}"), "last_name": format!("Last{n}"),
            "job_title": format!("Head {version}"), "city": format!("City {version}")}})
    }

    /// Tells the app of them.
    pub(super) async fn put(
        &self,
        workspace: &Workspace,
        numbers: std::ops::Range<u64>,
        version: u64,
    ) -> anyhow::Result<()> {
        let mut from = numbers.start;
        while from < numbers.end {
            let to = numbers.end.min(from + BULK);
            let items: Vec<Value> = (from..to).map(|n| self.person(n, version)).collect();
            let body = json!({"items": items});
            workspace.ask("POST", "people", Some(body)).await?;
            from = to;
        }
        Ok(())
    }
}

/// Asks for an export. Says the request's id.
pub(super) async fn ask(workspace: &Workspace, person: &str) -> anyhow::Result<String> {
    let body = json!({"person": person});
    let asked = workspace.ask("POST", "exports", Some(body)).await?;
    let id = asked["requests"][0]["request"].as_str();
    Ok(id.context("no request")?.to_owned())
}

/// Waits until HubSpot has the person.
pub(super) async fn exported(workspace: &Workspace, request: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + SOON;
    let path = format!("exports/{request}");
    loop {
        let now = workspace.ask("GET", &path, None).await?;
        match now["outcome"]["state"].as_str() {
            Some("exported") => return Ok(()),
            Some("accepted" | "waiting") => {
                ensure!(Instant::now() < deadline, "an export does not end: {now}");
            }
            _ => anyhow::bail!("an export ended otherwise: {now}"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Exports one person, and waits for the end.
pub(super) async fn export(workspace: &Workspace, person: &str) -> anyhow::Result<()> {
    let request = ask(workspace, person).await?;
    exported(workspace, &request).await
}

/// A request of HubSpot's log.
pub(super) struct Logged {
    pub(super) seq: u64,
    /// By the machine's clock, in milliseconds.
    pub(super) at_ms: u64,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) status: u64,
}

impl Logged {
    /// Whether it makes or changes a contact.
    pub(super) fn writes_a_contact(&self) -> bool {
        let record = self.path.contains("/contacts") && self.path.starts_with("/crm/objects/");
        let reads = self.path.ends_with("/batch/read") || self.path.ends_with("/search");
        record && !reads && self.method != "GET"
    }
}

/// What the portal was asked for after a request of its log.
pub(super) async fn log_since(workspace: &Workspace, seq: u64) -> anyhow::Result<Vec<Logged>> {
    let log = workspace
        .control("GET", &format!("requests?since_seq={seq}"), None)
        .await?;
    let all = log["requests"].as_array().context("no requests")?;
    Ok(all
        .iter()
        .map(|r| Logged {
            seq: r["seq"].as_u64().unwrap_or(0),
            at_ms: r["at_ms"].as_u64().unwrap_or(0),
            method: r["method"].as_str().unwrap_or_default().to_owned(),
            path: r["path"].as_str().unwrap_or_default().to_owned(),
            status: r["status"].as_u64().unwrap_or(0),
        })
        .filter(|r| r.seq > seq)
        .collect())
}

/// The last request of the log, where one of the last ones was known.
pub(super) async fn last_seq(workspace: &Workspace, known: u64) -> anyhow::Result<u64> {
    let log = log_since(workspace, known).await?;
    Ok(log.last().map_or(known, |r| r.seq))
}

/// Waits until nothing about a person is to be exported any more.
pub(super) async fn settled(workspace: &Workspace, person: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + SOON;
    let path = format!("exports?limit=1000&person={person}");
    loop {
        let all = workspace.ask("GET", &path, None).await?;
        let goes_on = |r: &Value| {
            let state = r["outcome"]["state"].as_str();
            matches!(state, Some("accepted" | "waiting"))
        };
        if !all["items"].as_array().into_iter().flatten().any(goes_on) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "exports do not end: {all}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
