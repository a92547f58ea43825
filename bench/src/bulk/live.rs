//! From the call that tells of an activity to its engagement in HubSpot, at HubSpot's limits, while a campaign
//! is exported beside it.

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{
    Plan,
    campaign::{ACTIVITIES, Campaign, portal_of, world},
};
use crate::{backfill::Limits, report::Report, times::Times, world::Workspace};

const LIVE: u64 = 1_000_001;
const OTHER: u64 = 1_000_002;
/// Who has activities, by turns.
const PEOPLE: u64 = 20;
const SOON: Duration = Duration::from_secs(120);

pub(super) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Report> {
    println!(
        "bulk, live logging: HubSpot's limits, {} ms an answer; {} notes one after the other, idle and beside \
         the bulk export of {} people with {ACTIVITIES} activities each",
        plan.latency_ms, plan.samples, plan.beside
    );
    let world = world(Limits::Hubspot, binaries, dir).await?;
    let size = || portal_of(Limits::Hubspot, plan.latency_ms);
    let live = world.connect(LIVE, size()).await?;
    let other = world.connect(OTHER, size()).await?;
    for workspace in [&live, &other] {
        workspace.until_read().await?;
    }
    let campaign = Campaign {
        people: plan.beside,
        activities: ACTIVITIES,
    };
    let of_other = campaign.ready(&world, &other).await?;
    let of_live = campaign.ready(&world, &live).await?;
    let mut notes = Notes {
        workspace: &live,
        told: 0,
        seq: 0,
    };
    notes.people().await?;
    for _ in 0..PEOPLE {
        notes.note().await?;
    }

    let mut report = Report::default();
    let mut idle = Vec::new();
    for _ in 0..plan.samples {
        idle.push(notes.note().await?);
    }
    let idle = Times::of(idle);
    report.line("call to engagement, idle, seconds", idle.seconds());
    for (name, workspace, path) in [
        ("beside another's bulk export", &other, &of_other),
        ("beside its own bulk export", &live, &of_live),
    ] {
        workspace
            .ask("POST", &format!("{path}/confirm"), None)
            .await?;
        while begun(workspace, path).await? == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut beside = Vec::new();
        for _ in 0..plan.samples {
            let took = notes.note().await?;
            if workspace.ask("GET", path, None).await?["state"] == "done" {
                break;
            }
            beside.push(took);
        }
        ensure!(
            beside.len() >= 2,
            "--beside is too small: the bulk export is over"
        );
        let times = Times::of(beside);
        report.line(&format!("{name}, seconds"), times.seconds());
        report.line(
            "  p95, of idle",
            format!("{:.2} (aim 1.2)", times.p95() / idle.p95()),
        );
        let deadline = Instant::now() + Duration::from_secs(60 * 60);
        while workspace.ask("GET", path, None).await?["state"] != "done" {
            ensure!(Instant::now() < deadline, "the bulk export does not end");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    for workspace in [&live, &other] {
        let counted = crate::requests::of(&world.api, workspace.portal()).await?;
        report.line(
            &format!("429s, portal {}", workspace.portal()),
            counted.too_many,
        );
    }
    Ok(report)
}

async fn begun(workspace: &Workspace, path: &str) -> anyhow::Result<u64> {
    let now = workspace.ask("GET", path, None).await?;
    Ok(now["counts"]["begun"].as_u64().unwrap_or(0))
}

/// Notes about people whom HubSpot has.
struct Notes<'a> {
    workspace: &'a Workspace,
    told: u64,
    /// The last request of HubSpot's log.
    seq: u64,
}

impl Notes<'_> {
    async fn people(&self) -> anyhow::Result<()> {
        let person = |n: u64| {
            json!({
                "id": format!("live{n}"), "version": 1, "email": format!("p{n}@live-{n}.com"),
                "contacted_at": "2026-01-02T00:00:00Z", "fields": {"first_name": format!("First{n}")},
            })
        };
        let items: Vec<Value> = (0..PEOPLE).map(person).collect();
        let body = json!({"items": items});
        self.workspace.ask("POST", "people", Some(body)).await?;
        let deadline = Instant::now() + SOON;
        for n in 0..PEOPLE {
            let body = json!({"person": format!("live{n}")});
            let asked = self.workspace.ask("POST", "exports", Some(body)).await?;
            let request = asked["requests"][0]["request"]
                .as_str()
                .context("no request")?;
            let path = format!("exports/{request}");
            while self.workspace.ask("GET", &path, None).await?["outcome"]["state"] != "exported" {
                ensure!(Instant::now() < deadline, "a person is not exported");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Tells of one, and waits until HubSpot has it and the app knows so. How long HubSpot took to get it.
    async fn note(&mut self) -> anyhow::Result<Duration> {
        self.seq = self.log().await?.0;
        let (n, person) = (self.told, format!("live{}", self.told % PEOPLE));
        self.told += 1;
        let item = json!({
            "id": format!("note{n}"), "version": 1, "person": person,
            "at": "2026-01-05T08:30:00Z", "content": {"note": {"text": format!("Note {n}")}},
        });
        let began = now_ms()?;
        let body = json!({"items": [item]});
        self.workspace.ask("POST", "activities", Some(body)).await?;
        let deadline = Instant::now() + SOON;
        let path = format!("people/{person}/activities?limit=1000");
        loop {
            let all = self.workspace.ask("GET", &path, None).await?;
            let mut items = all["items"].as_array().context("no activities")?.iter();
            let this = items.find(|item| item["id"] == format!("note{n}"));
            if this.is_some_and(|item| item["outcome"]["state"] == "exported") {
                break;
            }
            ensure!(Instant::now() < deadline, "a note is not logged: {all}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let written = self.log().await?.1.context("HubSpot was not written to")?;
        Ok(Duration::from_millis(written.saturating_sub(began)))
    }

    /// The last request, and when HubSpot got a note since the last one that is known.
    async fn log(&self) -> anyhow::Result<(u64, Option<u64>)> {
        let path = format!("requests?since_seq={}", self.seq);
        let log = self.workspace.control("GET", &path, None).await?;
        let all = log["requests"].as_array().context("no requests")?;
        let seq = |r: &Value| r["seq"].as_u64().unwrap_or(0);
        let last = all.iter().map(seq).max().unwrap_or(0).max(self.seq);
        let is_note = |r: &&Value| {
            let path = r["path"].as_str().unwrap_or_default();
            r["method"] == "POST" && path.ends_with("/notes") && seq(r) > self.seq
        };
        let written = all.iter().find(is_note).and_then(|r| r["at_ms"].as_u64());
        Ok((last, written))
    }
}

fn now_ms() -> anyhow::Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(now.as_millis())?)
}
