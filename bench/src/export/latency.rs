//! From the call of the app to the write in HubSpot, at HubSpot's limits and 100 ms an answer.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{
    Plan,
    app::{People, ask, exported, last_seq, log_since},
};
use crate::{
    report::Report,
    times::Times,
    world::{BY_HAND, Workspace, World},
};

/// The workspace in step, and the one that is read beside it.
const SMALL: u64 = 1_000_001;
const LARGE: u64 = 1_000_002;

/// How long exports took.
#[derive(Default)]
struct Delays {
    /// Until HubSpot got the write of the contact.
    written: Vec<Duration>,
    /// Until the request had ended.
    ended: Vec<Duration>,
}

pub(super) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Report> {
    println!(
        "export, latency: HubSpot's limits, 100 ms an answer; {} new contacts at new companies, one after \
         the other; a portal of {} contacts is read beside it",
        plan.samples, plan.backfill
    );
    let world = World::start(World::options(binaries, dir), &[BY_HAND]).await?;
    let small = world.connect(SMALL, size(200, 20)).await?;
    small.until_read().await?;
    let samples = plan.samples;
    let people = People {
        name: "small",
        per_company: 1,
    };
    people.put(&small, 0..2 * samples + 1, 1).await?;
    // Whether the portal allows a unique property is asked once.
    let (mut seq, mut own_seq) = (0, 0);
    sample(&small, &people, 2 * samples, &mut seq).await?;
    let mut idle = Delays::default();
    for n in 0..samples {
        idle.add(sample(&small, &people, n, &mut seq).await?);
    }

    let large = world
        .connect(LARGE, size(plan.backfill, plan.backfill / 100))
        .await?;
    let own = People {
        name: "large",
        per_company: 1,
    };
    own.put(&large, 0..samples, 1).await?;
    while large.done().await? == 0 {
        ensure!(
            !large.is_read().await?,
            "--backfill is too small: it is over"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (mut beside, mut same) = (Delays::default(), Delays::default());
    // By turns, so that both see all of the backfill.
    for n in 0..samples {
        let (one, other) = (
            sample(&small, &people, samples + n, &mut seq).await?,
            sample(&large, &own, n, &mut own_seq).await?,
        );
        if large.is_read().await? {
            break;
        }
        beside.add(one);
        same.add(other);
    }
    ensure!(
        !beside.ended.is_empty(),
        "--backfill is too small: no export fits into it"
    );
    let mut report = Report::default();
    report.line(
        "exports of each that fitted into the backfill",
        beside.ended.len(),
    );
    let whole = large.is_read().await?;
    report.line(
        "the backfill was over by then",
        if whole { "yes" } else { "no" },
    );
    let idle = idle.times();
    for (name, times) in [
        ("idle", idle),
        ("another backfills", beside.times()),
        ("the same backfills", same.times()),
    ] {
        report.line(
            &format!("call to written, {name}, seconds"),
            times.written.seconds(),
        );
        report.line(
            &format!("call to ended, {name}, seconds"),
            times.ended.seconds(),
        );
        report.line(
            "p95 of written, of idle",
            format!("{:.2}", times.written.p95() / idle.written.p95()),
        );
    }
    for portal in [SMALL, LARGE] {
        let path = format!("portals/{portal}/counters");
        let counters = world.api.simulator("GET", &path, None).await?;
        let refused = counters["by_status"]["429"].as_u64().unwrap_or(0);
        report.line(&format!("429s, portal {portal}"), refused);
    }
    Ok(report)
}

fn size(contacts: u64, others: u64) -> Value {
    json!({
        "contacts": contacts, "companies": others, "deals": 0, "lists": 0, "owners": 5, "limits": "hubspot",
        "latency_ms": 100,
    })
}

/// What one export took.
struct Delay {
    written: Duration,
    ended: Duration,
}

#[derive(Clone, Copy)]
struct Both {
    written: Times,
    ended: Times,
}

impl Delays {
    fn add(&mut self, one: Delay) {
        self.written.push(one.written);
        self.ended.push(one.ended);
    }

    fn times(self) -> Both {
        Both {
            written: Times::of(self.written),
            ended: Times::of(self.ended),
        }
    }
}

fn now_ms() -> anyhow::Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(now.as_millis())?)
}

async fn sample(
    workspace: &Workspace,
    people: &People,
    n: u64,
    seq: &mut u64,
) -> anyhow::Result<Delay> {
    *seq = last_seq(workspace, *seq).await?;
    let began = now_ms()?;
    let request = ask(workspace, &people.id(n)).await?;
    exported(workspace, &request).await?;
    let ended = now_ms()?;
    let log = log_since(workspace, *seq).await?;
    let written = log.iter().find(|r| r.writes_a_contact() && r.status < 300);
    let written = written.context("HubSpot was not written to")?.at_ms;
    Ok(Delay {
        written: Duration::from_millis(written.saturating_sub(began)),
        ended: Duration::from_millis(ended.saturating_sub(began)),
    })
}
