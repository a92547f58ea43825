//! How many exports one worker does without limits, and whether one among many costs what one among few
//! does.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use futures::future::try_join_all;
use serde_json::json;

use super::{
    Plan,
    app::{People, ask},
};
use crate::{
    process,
    report::Report,
    world::{BY_HAND, Workspace, World},
};

/// Exports that are compared, first and last.
const STRETCH: u64 = 1_000;
const PORTAL: u64 = 1_000_001;
/// How often it is asked what has ended.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Exports of which none ends for so long are stuck.
const STUCK: Duration = Duration::from_secs(180);
const NO_RECHECK: (&str, &str) = ("EXPORT_RECHECK_SECONDS", "3600");
/// Ours would keep HubSpot's limits where HubSpot names none.
const NO_BUDGET: (&str, &str) = ("HUBSPOT_BUDGET", "off");

/// Exports one after the other, and what they cost.
struct Stretch {
    exports: u64,
    seconds: f64,
    /// Processor seconds by program.
    cpu: Vec<(&'static str, f64)>,
}

pub(super) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Report> {
    println!(
        "export, throughput: no limits, no latency, one worker; {} people, ten at a company, {} under way \
         at once; {} contacts besides",
        plan.people, plan.at_once, plan.others
    );
    let world = World::start(
        World::options(binaries, dir),
        &[BY_HAND, NO_RECHECK, NO_BUDGET],
    )
    .await?;
    let size = json!({
        "contacts": plan.others, "companies": 2, "deals": 0, "lists": 0, "owners": 2, "limits": "off",
    });
    let workspace = world.connect(PORTAL, size).await?;
    workspace.until_read().await?;
    let people = Arc::new(People {
        name: "many",
        per_company: 10,
    });
    people.put(&workspace, 0..plan.people, 1).await?;
    world.until_nothing_is_due().await?;
    let stack = &world.stack;
    let parts = [
        ("worker", stack.pid("worker-0")?),
        ("front door", stack.pid("web")?),
        ("postgres", stack.pid("postgres")?),
        ("temporal", stack.pid("temporal")?),
        ("simulator", stack.pid("simulator")?),
    ];
    let stretch = STRETCH.min(plan.people / 2);
    let first = export(plan, &workspace, &people, 0..stretch, &parts).await?;
    let between = stretch..plan.people - stretch;
    let middle = export(plan, &workspace, &people, between, &parts).await?;
    let last = plan.people - stretch..plan.people;
    let last = export(plan, &workspace, &people, last, &parts).await?;
    let path = format!("portals/{PORTAL}");
    let portal = world.api.simulator("GET", &path, None).await?;
    let contacts = &portal["objects"]["contacts"]["live"];
    ensure!(
        contacts.as_u64() == Some(plan.people + plan.others),
        "HubSpot has {contacts} contacts"
    );

    let mut report = Report::default();
    for (name, stretch) in [
        ("the first", &first),
        ("those between", &middle),
        ("the last", &last),
    ] {
        report.line(
            &format!("exports/s, {name} {}", stretch.exports),
            format!("{:.1}", stretch.rate()),
        );
        report.line("processor ms of an export", stretch.costs());
    }
    let worker = |stretch: &Stretch| stretch.cost("worker") + stretch.cost("postgres");
    report.line(
        "worker and Postgres, last of first",
        format!("{:.2}", worker(&last) / worker(&first)),
    );
    report.line(
        "worker's peak memory, MB",
        format!("{:.0}", megabytes(process::peak_memory(parts[0].1)?)),
    );
    Ok(report)
}

#[allow(clippy::cast_precision_loss, reason = "far from 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

impl Stretch {
    #[allow(clippy::cast_precision_loss, reason = "far from 2^52")]
    fn rate(&self) -> f64 {
        self.exports as f64 / self.seconds.max(0.001)
    }

    /// Milliseconds of an export.
    #[allow(clippy::cast_precision_loss, reason = "far from 2^52")]
    fn cost(&self, of: &str) -> f64 {
        let seconds: f64 = self
            .cpu
            .iter()
            .filter(|(name, _)| *name == of)
            .map(|(_, seconds)| seconds)
            .sum();
        1_000.0 * seconds / (self.exports.max(1) as f64)
    }

    fn costs(&self) -> String {
        let each = self.cpu.iter();
        let each: Vec<String> = each
            .map(|(name, _)| format!("{name} {:.1}", self.cost(name)))
            .collect();
        each.join(", ")
    }
}

/// Exports these, so many under way at once. How far they are is asked seldom, in one call for all: looks
/// at each would cost more than the exports.
async fn export(
    plan: &Plan,
    workspace: &Workspace,
    people: &Arc<People>,
    numbers: std::ops::Range<u64>,
    parts: &[(&'static str, i32)],
) -> anyhow::Result<Stretch> {
    let cpu = || -> anyhow::Result<Vec<f64>> {
        parts
            .iter()
            .map(|(_, pid)| process::cpu_seconds(*pid))
            .collect()
    };
    let before = cpu()?;
    let began = Instant::now();
    let mut next = numbers.start;
    let mut progress = (Instant::now(), 0);
    loop {
        let open = open_exports(workspace).await?;
        if open == 0 && next == numbers.end {
            break;
        }
        let ended = (next - numbers.start).saturating_sub(open);
        if ended > progress.1 {
            progress = (Instant::now(), ended);
        }
        ensure!(progress.0.elapsed() < STUCK, "{open} exports do not end");
        let upto = numbers.end.min(next + plan.at_once.saturating_sub(open));
        let asked = (next..upto).map(|n| {
            let (workspace, person) = (workspace.clone(), people.id(n));
            async move { ask(&workspace, &person).await }
        });
        try_join_all(asked).await?;
        next = upto;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let after = cpu()?;
    Ok(Stretch {
        exports: numbers.end - numbers.start,
        seconds,
        cpu: parts
            .iter()
            .zip(before.iter().zip(&after))
            .map(|((name, _), (before, after))| (*name, after - before))
            .collect(),
    })
}

/// Exports that have not ended.
async fn open_exports(workspace: &Workspace) -> anyhow::Result<u64> {
    let summary = workspace.ask("GET", "exports/summary", None).await?;
    let all = |of: &str| -> u64 {
        let each = summary[of].as_object().into_iter().flatten();
        each.filter_map(|(_, n)| n.as_u64()).sum()
    };
    for otherwise in ["failed", "skipped"] {
        ensure!(all(otherwise) == 0, "exports ended otherwise: {summary}");
    }
    Ok(summary["accepted"].as_u64().unwrap_or(0) + all("waiting"))
}
