//! What it costs to export a campaign, without activities and with three of each person.

use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::{
    backfill::Limits,
    history, process,
    report::Report,
    requests,
    world::{BY_HAND, Workspace, World},
};

/// Of each person.
pub(super) const ACTIVITIES: u64 = 3;
/// So many people are at each company, spread over the whole campaign.
const PER_COMPANY: u64 = 10;
/// Items of one call.
const A_CALL: u64 = 500;
/// Contacts that the portal has besides.
const OTHERS: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(4 * 60 * 60);
/// Companies of new contacts are looked at once more soon, so that it is part of what is counted.
const RECHECK: (&str, &str) = ("EXPORT_RECHECK_SECONDS", "5");

/// Exports a campaign without activities, and one with them.
pub(super) async fn run(
    people: u64,
    limits: Limits,
    latency_ms: u64,
    binaries: &Path,
    dir: &Path,
) -> anyhow::Result<Report> {
    println!(
        "bulk: {people} people of {} companies, {ACTIVITIES} activities each; limits {}, {latency_ms} ms an answer",
        people / PER_COMPANY,
        limits.as_str()
    );
    let world = world(limits, binaries, dir).await?;
    let mut report = Report::default();
    for (n, activities) in [0, ACTIVITIES].into_iter().enumerate() {
        let portal = 1_000_001 + n as u64;
        let workspace = world.connect(portal, portal_of(limits, latency_ms)).await?;
        workspace.until_read().await?;
        let campaign = Campaign { people, activities };
        let figures = campaign.export(&world, &workspace).await?;
        figures.tell(&mut report);
    }
    Ok(report)
}

/// A set of one worker.
pub(super) async fn world(limits: Limits, binaries: &Path, dir: &Path) -> anyhow::Result<World> {
    let mut options = World::options(binaries, dir);
    options.workers = 1;
    let mut env = vec![BY_HAND, RECHECK];
    if limits == Limits::Off {
        env.push(("HUBSPOT_BUDGET", "off"));
    }
    World::start(options, &env).await
}

/// A portal that has hardly anything.
pub(super) fn portal_of(limits: Limits, latency_ms: u64) -> Value {
    json!({
        "contacts": OTHERS, "companies": 2, "deals": 0, "lists": 0, "owners": 2,
        "limits": limits.as_str(), "latency_ms": latency_ms,
    })
}

pub(super) struct Campaign {
    pub(super) people: u64,
    /// Of each person.
    pub(super) activities: u64,
}

/// What one campaign has cost.
pub(super) struct Figures {
    pub(super) people: u64,
    activities: u64,
    pub(super) seconds: f64,
    /// Requests until all was written.
    pub(super) requests: u64,
    /// Those of them that count against the ten-second limit.
    general: u64,
    /// Looks at the companies of new contacts afterwards.
    pub(super) rechecks: u64,
    pub(super) too_many: u64,
    events: u64,
    /// Exports of people's own that were started.
    alone: u64,
    idle: u64,
    peak: u64,
}

impl fmt::Display for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.activities {
            0 => f.write_str("without activities"),
            n => write!(f, "with {n} activities each"),
        }
    }
}

impl Campaign {
    fn person(&self, n: u64) -> Value {
        let firms = (self.people / PER_COMPANY).max(1);
        json!({
            "id": format!("p{n:07}"), "version": 1, "email": format!("p{n}@bulk-{}.com", n % firms),
            "contacted_at": "2026-01-02T00:00:00Z",
            "fields": {"first_name": format!("First{n}"), "last_name": format!("Last{n}"),
                "job_title": "Head", "city": format!("City {n}"), "campaign": "bulk"},
        })
    }

    fn activities_of(&self, n: u64) -> Vec<Value> {
        let text = format!("Hello First{n}, this is what we do. ").repeat(20);
        let contents = [
            json!({"email": {"direction": "outgoing", "subject": "Hello", "text": text}}),
            json!({"linkedin_message": {"direction": "outgoing", "text": text}}),
            json!({"call": {"direction": "outgoing", "title": "Call"}}),
        ];
        let some = usize::try_from(self.activities).unwrap_or(usize::MAX);
        contents
            .into_iter()
            .take(some)
            .enumerate()
            .map(|(step, content)| {
                json!({
                    "id": format!("p{n:07}-{step}"), "version": 1, "person": format!("p{n:07}"),
                    "at": format!("2026-01-{:02}T08:30:00Z", step + 3), "content": content,
                })
            })
            .collect()
    }

    async fn put(&self, workspace: &Workspace) -> anyhow::Result<()> {
        let mut from = 0;
        while from < self.people {
            let to = self.people.min(from + A_CALL);
            let people: Vec<Value> = (from..to).map(|n| self.person(n)).collect();
            let body = json!({"items": people});
            workspace.ask("POST", "people", Some(body)).await?;
            let all: Vec<Value> = (from..to).flat_map(|n| self.activities_of(n)).collect();
            for some in all.chunks(A_CALL as usize) {
                let body = json!({"items": some});
                workspace.ask("POST", "activities", Some(body)).await?;
            }
            from = to;
        }
        Ok(())
    }

    /// Tells the app of everybody, and has the export be confirmed by whoever likes. Says where.
    pub(super) async fn ready(
        &self,
        world: &World,
        workspace: &Workspace,
    ) -> anyhow::Result<String> {
        let stored = workspace.ask("GET", "settings", None).await?;
        let mut settings = stored["settings"].clone();
        settings["export"]["policy"] = json!("all_contacted");
        let body = json!({"expected_revision": stored["revision"], "settings": settings});
        workspace.ask("PUT", "settings", Some(body)).await?;
        self.put(workspace).await?;
        world.until_nothing_is_due().await?;
        let body =
            json!({"whom": {"select": "campaign", "campaign": "bulk"}, "include_earlier": true});
        let begun = workspace.ask("POST", "bulk-runs", Some(body)).await?;
        let bulk = begun["bulk"].as_str().context("no bulk export")?;
        let path = format!("bulk-runs/{bulk}");
        self.until(workspace, &path, "waiting_for_confirmation")
            .await?;
        Ok(path)
    }

    pub(super) async fn export(
        &self,
        world: &World,
        workspace: &Workspace,
    ) -> anyhow::Result<Figures> {
        let path = self.ready(world, workspace).await?;
        let bulk = path.rsplit('/').next().unwrap_or_default();
        let worker = world.stack.pid("worker-0")?;
        let idle = process::resident_memory(worker)?;
        let seq = last_seq(workspace).await?;
        let began = Instant::now();
        workspace
            .ask("POST", &format!("{path}/confirm"), None)
            .await?;
        let over = self.until(workspace, &path, "done").await?;
        ensure!(
            over["counts"]["exported"].as_u64() == Some(self.people),
            "not all were exported: {over}"
        );
        let database = world.database().await?;
        let left = format!(
            "select count(*) from app_activity where workspace_id = '{}' and state <> 'exported'",
            workspace.id()
        );
        until_none(&database, &left).await?;
        let seconds = began.elapsed().as_secs_f64();
        let peak = process::peak_memory(worker)?;
        let (requests, general) = requests_since(workspace, seq).await?;
        let left = format!(
            "select count(*) from export_recheck where workspace_id = '{}'",
            workspace.id()
        );
        until_none(&database, &left).await?;
        let (with_rechecks, _) = requests_since(workspace, seq).await?;
        self.check(workspace).await?;
        let workflow = format!("hubspot/{}/bulk/{bulk}", workspace.id());
        let temporal = &world.api.addresses().temporal;
        let query = format!(
            "WorkflowType = 'ContactExport' AND HubSpotWorkspace = '{}'",
            workspace.id()
        );
        let alone = world
            .temporal(&["workflow", "count", "--query", &query])
            .await?;
        let alone = match &alone["count"] {
            Value::String(text) => text.parse().unwrap_or(0),
            number => number.as_u64().unwrap_or(0),
        };
        Ok(Figures {
            people: self.people,
            activities: self.activities,
            seconds,
            requests,
            general,
            rechecks: with_rechecks - requests,
            too_many: requests::of(&world.api, workspace.portal()).await?.too_many,
            events: history::events(world.temporal_program(), temporal, &workflow).await?,
            alone,
            idle,
            peak,
        })
    }

    async fn until(&self, workspace: &Workspace, path: &str, state: &str) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = workspace.ask("GET", path, None).await?;
            let waits = now["counts"]["waiting"].as_object();
            let settled = waits.is_none_or(|w| w.values().all(|n| n == 0));
            if now["state"] == state && (now["counts"]["going_on"] == 0 && settled) {
                return Ok(now);
            }
            ensure!(Instant::now() < deadline, "it is not {state}: {now}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Each person is one contact, each domain one company, each activity one engagement.
    async fn check(&self, workspace: &Workspace) -> anyhow::Result<()> {
        let portal = workspace.portal_now().await?;
        let live = |name: &str| portal["objects"][name]["live"].as_u64().unwrap_or(0);
        let firms = (self.people / PER_COMPANY).max(1);
        let engagements: u64 = ["emails", "communications", "calls"]
            .into_iter()
            .map(live)
            .sum();
        for (name, is, wanted) in [
            ("contacts", live("contacts"), self.people + OTHERS),
            ("companies", live("companies"), firms + 2),
            ("engagements", engagements, self.people * self.activities),
        ] {
            ensure!(is == wanted, "HubSpot has {is} {name}, not {wanted}");
        }
        Ok(())
    }
}

async fn until_none(database: &tokio_postgres::Client, count: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left: i64 = database.query_one(count, &[]).await?.get(0);
        if left == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{left} are left: {count}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn last_seq(workspace: &Workspace) -> anyhow::Result<u64> {
    let log = workspace.control("GET", "requests", None).await?;
    let all = log["requests"].as_array().context("no requests")?;
    Ok(all.last().and_then(|r| r["seq"].as_u64()).unwrap_or(0))
}

/// All requests about records since one, and those that count against the ten-second limit.
async fn requests_since(workspace: &Workspace, seq: u64) -> anyhow::Result<(u64, u64)> {
    let path = format!("requests?since_seq={seq}");
    let log = workspace.control("GET", &path, None).await?;
    let all = log["requests"].as_array().context("no requests")?;
    let ours = all.iter().filter(|r| {
        let path = r["path"].as_str().unwrap_or_default();
        path.starts_with("/crm/") && r["seq"].as_u64() > Some(seq)
    });
    let (mut total, mut general) = (0, 0);
    for request in ours {
        total += 1;
        general += u64::from(request["bucket"] == "general");
    }
    Ok((total, general))
}

impl Figures {
    #[allow(clippy::cast_precision_loss, reason = "far from 2^52")]
    fn tell(&self, report: &mut Report) {
        let campaign = Campaign {
            people: self.people,
            activities: self.activities,
        };
        let people = self.people as f64;
        let aim = if self.activities == 0 { "0.03" } else { "0.06" };
        report.line(
            &format!("{campaign}: seconds"),
            format!("{:.1}", self.seconds),
        );
        report.line(
            "  people/s",
            format!("{:.0}", people / self.seconds.max(0.001)),
        );
        report.line(
            "  requests a person",
            format!(
                "{:.4} (aim {aim}), {:.4} with the looks at companies afterwards",
                self.requests as f64 / people,
                (self.requests + self.rechecks) as f64 / people
            ),
        );
        let share = requests::share(self.general, self.seconds).unwrap_or(0.0);
        report.line(
            "  share of the allowance",
            format!("{:.0} % ({} requests)", 100.0 * share, self.general),
        );
        report.line("  429s", self.too_many);
        report.line(
            "  events of history for 1,000 people",
            format!("{:.1} (aim 20)", 1_000.0 * self.events as f64 / people),
        );
        report.line("  people with an export of their own", self.alone);
        report.line(
            "  worker's memory, MB",
            format!(
                "{:.0} before, {:.0} at most",
                self.idle as f64 / 1e6,
                self.peak as f64 / 1e6
            ),
        );
    }
}
