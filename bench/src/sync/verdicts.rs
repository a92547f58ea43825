//! The verdicts on everybody after a change of a rule, and ten thousand people asked about at once.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Plan;
use crate::{
    process,
    report::Report,
    times::Times,
    world::{BY_HAND, Workspace, World},
};

/// People of one call that puts them in: the most that a call takes.
const BULK: u64 = 1_000;
/// The most that one call asks about.
const ASKED: u64 = 10_000;
/// How often that is asked.
const CALLS: usize = 10;
/// How long the verdicts may take.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

pub(super) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Report> {
    let people = plan.people;
    println!(
        "sync, verdicts: {people} people, half of them contacts of HubSpot, the others at its companies; \
         ten contacts a company, a deal for each twenty"
    );
    let env = [BY_HAND, ("HUBSPOT_BUDGET", "off"), ("SWEEP_SECONDS", "2")];
    let world = World::start(World::options(binaries, dir), &env).await?;
    let contacts = people / 2;
    let workspace = world
        .connect(
            1_000_001,
            json!({
                "contacts": contacts, "companies": contacts / 10, "deals": contacts / 200, "owners": 20,
                "limits": "off",
            }),
        )
        .await?;
    workspace.until_read().await?;
    put_people(&workspace, people - contacts).await?;
    world.until_nothing_is_due().await?;
    let known: i64 = world
        .database()
        .await?
        .query_one("select count(*) from app_person", &[])
        .await?
        .get(0);
    ensure!(
        known.unsigned_abs() == people,
        "{known} people instead of {people}"
    );

    let mut report = Report::default();
    let worker = world.stack.pid("worker-0")?;
    report.line(
        "worker's memory before, MB",
        mb(process::resident_memory(worker)?),
    );
    for (what, enabled) in [("a rule off", false), ("a rule on", true)] {
        let passed = pass(&world, &workspace, worker, enabled).await?;
        ensure!(
            passed.judged >= people,
            "{} of {people} people were judged",
            passed.judged
        );
        report.line(&format!("{what}: people judged"), passed.judged);
        report.line("verdicts written", passed.written);
        report.line("seconds", format!("{:.1}", passed.took.as_secs_f64()));
        report.line(
            "seconds with the wait for the sweep",
            format!("{:.1}", passed.from_save.as_secs_f64()),
        );
        report.line("worker's most memory meanwhile, MB", mb(passed.most_memory));
    }
    report.line(
        "worker's memory after, MB",
        mb(process::resident_memory(worker)?),
    );
    for (what, step) in [("in a row", 1), ("far apart", (contacts / ASKED).max(1))] {
        let times = asked(&workspace, contacts, step).await?;
        let name = format!("{ASKED} asked about at once, {what}, seconds");
        report.line(&name, times.seconds());
    }
    Ok(report)
}

/// The app's people, at companies that HubSpot knows.
async fn put_people(workspace: &Workspace, people: u64) -> anyhow::Result<()> {
    let page = workspace
        .control("GET", "records/companies?limit=10000", None)
        .await?;
    let domains: Vec<&str> = page["results"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|company| company["properties"]["domain"].as_str())
        .collect();
    ensure!(!domains.is_empty(), "no company has a domain");
    let all: Vec<u64> = (0..people).collect();
    for some in all.chunks(usize::try_from(BULK)?) {
        let items: Vec<Value> = some
            .iter()
            .map(|&n| {
                let domain = usize::try_from(n).map_or("", |at| domains[at % domains.len()]);
                json!({"id": person(n), "version": 1, "email": format!("lead{n}@{domain}")})
            })
            .collect();
        let put = workspace
            .ask("POST", "people", Some(json!({"items": items})))
            .await?;
        ensure!(
            put["counts"]["created"] == some.len(),
            "not all people are new: {}",
            put["counts"]
        );
    }
    Ok(())
}

fn person(n: u64) -> String {
    format!("lead-{n:08}")
}

/// All people judged anew.
struct Passed {
    judged: u64,
    written: u64,
    took: Duration,
    from_save: Duration,
    most_memory: u64,
}

async fn pass(
    world: &World,
    workspace: &Workspace,
    worker: i32,
    enabled: bool,
) -> anyhow::Result<Passed> {
    let stored = workspace.ask("GET", "settings", None).await?;
    let mut settings = stored["settings"].clone();
    settings["dnc"]["open_deal"]["enabled"] = json!(enabled);
    let body = json!({"expected_revision": stored["revision"], "settings": settings});
    let saved = Utc::now();
    let began = Instant::now();
    workspace.ask("PUT", "settings", Some(body)).await?;
    let mut most_memory = 0;
    loop {
        most_memory = most_memory.max(process::resident_memory(worker)?);
        let due = world.store.verdicts_due(None, 10).await?;
        if !due.iter().any(|due| due.workspace == workspace.id()) {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "the verdicts do not come");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let workflow = format!("hubspot/{}/verdicts", workspace.id());
    let of = ["--workflow-id", workflow.as_str()];
    let ended = world
        .temporal(&[&["workflow", "result"], &of[..]].concat())
        .await?;
    let described = world
        .temporal(&[&["workflow", "describe"], &of[..]].concat())
        .await?;
    let at = |name: &str| -> anyhow::Result<DateTime<Utc>> {
        let text = described["workflowExecutionInfo"][name]
            .as_str()
            .with_context(|| format!("Verdicts has no {name}"))?;
        Ok(text.parse()?)
    };
    let (start, end) = (at("startTime")?.max(saved), at("closeTime")?);
    let number = |name: &str| ended["result"][name].as_u64().unwrap_or(0);
    Ok(Passed {
        judged: number("judged"),
        written: number("written"),
        took: (end - start).to_std().unwrap_or_default(),
        from_save: (end - saved).to_std().unwrap_or_default(),
        most_memory,
    })
}

/// Half of them the app's people, half of them contacts.
async fn asked(workspace: &Workspace, contacts: u64, step: u64) -> anyhow::Result<Times> {
    let half = (ASKED / 2).min(contacts / step);
    let imported = workspace.contacts(half).await?;
    let portal = workspace.portal();
    let mut people: Vec<String> = (0..half).map(|n| person(n * step)).collect();
    people.extend(
        imported
            .into_iter()
            .map(|contact| format!("hubspot.{portal}.{contact}")),
    );
    let number = people.len();
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let body = json!({"people": people});
        let began = Instant::now();
        let judged = workspace.ask("POST", "dnc", Some(body)).await?;
        times.push(began.elapsed());
        let count = |name: &str| judged["counts"][name].as_u64().unwrap_or(0);
        ensure!(
            count("allowed") + count("not_allowed") == number as u64,
            "not everybody was judged: {}",
            judged["counts"]
        );
    }
    Ok(Times::of(times))
}

#[allow(clippy::cast_precision_loss, reason = "far from 2^52")]
fn mb(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / 1e6)
}
