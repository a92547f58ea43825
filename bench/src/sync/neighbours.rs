//! How soon a change of one workspace is here while another one is read for the first time.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::Plan;
use crate::{
    report::Report,
    times::Times,
    world::{BY_HAND, Follower, Workspace, World},
};

/// The workspace that is in step, once by each way of hearing of changes.
struct Small {
    by_sync: (Workspace, Follower),
    by_webhook: (Workspace, Follower),
    contacts: [Vec<String>; 2],
    next: usize,
}

/// How long changes took, by each way.
#[derive(Default)]
struct Delays {
    sync: Vec<Duration>,
    webhook: Vec<Duration>,
}

pub(super) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Report> {
    println!(
        "sync, neighbours: HubSpot's limits, 100 ms an answer; one workspace of 2,000 contacts in step, \
         another with {} is read",
        plan.backfill
    );
    let world = World::start(World::options(binaries, dir), &[BY_HAND]).await?;
    let mut small = Small::connect(&world).await?;
    let mut idle = Delays::default();
    for _ in 0..plan.samples {
        small.sample(&mut idle).await?;
    }

    let large = world
        .connect(1_000_003, size(plan.backfill, plan.backfill / 100))
        .await?;
    while large.done().await? == 0 {
        ensure!(
            !large.is_read().await?,
            "--backfill is too small: it is over"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let began = Instant::now();
    let mut beside = Delays::default();
    loop {
        small.sample(&mut beside).await?;
        if large.is_read().await? {
            break;
        }
    }
    let took = began.elapsed();
    // The last sample reaches beyond the end.
    beside.sync.pop();
    beside.webhook.pop();
    ensure!(
        !beside.sync.is_empty(),
        "--backfill is too small: no change fits into it"
    );
    for portal in [1_000_001, 1_000_002, 1_000_003] {
        let path = format!("portals/{portal}/counters");
        let counters = world.api.simulator("GET", &path, None).await?;
        let refused = counters["by_status"]["429"].as_u64().unwrap_or(0);
        ensure!(refused == 0, "{refused} requests were refused with 429");
    }

    let mut report = Report::default();
    report.line(
        "seconds of the backfill that were watched",
        format!("{:.0}", took.as_secs_f64()),
    );
    for (name, idle, beside) in [
        (
            "edit to feed, by a periodic sync at once",
            idle.sync,
            beside.sync,
        ),
        ("edit to feed, by webhook", idle.webhook, beside.webhook),
    ] {
        let (idle, beside) = (Times::of(idle), Times::of(beside));
        report.line(&format!("{name}, idle, seconds"), idle.seconds());
        report.line(&format!("{name}, beside, seconds"), beside.seconds());
        report.line(
            "ratio of medians",
            format!("{:.2}", beside.median() / idle.median()),
        );
        report.line("ratio of p95", format!("{:.2}", beside.p95() / idle.p95()));
    }
    report.line("429s", 0);
    Ok(report)
}

fn size(contacts: u64, others: u64) -> Value {
    json!({
        "contacts": contacts, "companies": others, "deals": others, "owners": 20, "limits": "hubspot",
        "latency_ms": 100,
    })
}

impl Small {
    async fn connect(world: &World) -> anyhow::Result<Self> {
        let mut both = Vec::new();
        for portal in [1_000_001, 1_000_002] {
            both.push(world.connect(portal, size(2_000, 200)).await?);
        }
        let [by_sync, by_webhook] = <[Workspace; 2]>::try_from(both)
            .ok()
            .context("two workspaces")?;
        for one in [&by_sync, &by_webhook] {
            one.until_read().await?;
        }
        by_sync.sync().await?;
        by_webhook.subscribe().await?;
        world.until_nothing_is_due().await?;
        let contacts = [
            by_sync.contacts(2_000).await?,
            by_webhook.contacts(2_000).await?,
        ];
        Ok(Self {
            by_sync: (by_sync.clone(), by_sync.follow().await?),
            by_webhook: (by_webhook.clone(), by_webhook.follow().await?),
            contacts,
            next: 0,
        })
    }

    /// One edit by each way.
    async fn sample(&mut self, delays: &mut Delays) -> anyhow::Result<()> {
        let n = self.next;
        self.next += 1;
        let contact = |of: usize| -> anyhow::Result<&String> {
            let all = &self.contacts[of];
            all.get(n % all.len().max(1)).context("no contacts")
        };
        let (workspace, follower) = &mut self.by_sync;
        let (edited, one) = (Instant::now(), contact(0)?);
        workspace.edit(one).await?;
        workspace.sync().await?;
        delays.sync.push(follower.hears_of(one).await? - edited);

        let (workspace, follower) = &mut self.by_webhook;
        let (edited, one) = (Instant::now(), contact(1)?);
        workspace.edit(one).await?;
        delays.webhook.push(follower.hears_of(one).await? - edited);
        Ok(())
    }
}
