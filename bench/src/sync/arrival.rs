//! How long it takes from an edit in HubSpot to whoever follows the feed of changes.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use super::Plan;
use crate::{
    report::Report,
    times::Times,
    world::{BY_HAND, World},
};

/// How HubSpot is heard of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Webhook,
    Schedule,
}

/// Runs it once for each way.
pub(super) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Report> {
    println!(
        "sync, arrival: 2,000 contacts, HubSpot's limits, 100 ms an answer, {} edits by each way, a \
         schedule of {} s",
        plan.edits, plan.schedule_seconds
    );
    let mut report = Report::default();
    let times = times(Way::Webhook, plan, binaries, &dir.join("webhook")).await?;
    report.line("by webhook, seconds", times.seconds());
    let times = self::times(Way::Schedule, plan, binaries, &dir.join("schedule")).await?;
    let name = format!("by a schedule of {} s, seconds", plan.schedule_seconds);
    report.line(&name, times.seconds());
    Ok(report)
}

async fn times(way: Way, plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Times> {
    let every = plan.schedule_seconds.to_string();
    let schedule = match way {
        Way::Webhook => BY_HAND,
        Way::Schedule => ("SYNC_SECONDS", every.as_str()),
    };
    let world = World::start(World::options(binaries, dir), &[schedule]).await?;
    let workspace = world
        .connect(
            1_000_001,
            json!({
                "contacts": 2_000, "companies": 200, "deals": 100, "owners": 20, "limits": "hubspot",
                "latency_ms": 100,
            }),
        )
        .await?;
    workspace.until_read().await?;
    world.until_nothing_is_due().await?;
    if way == Way::Webhook {
        workspace.subscribe().await?;
    }
    let mut follower = workspace.follow().await?;
    let contacts = workspace.contacts(plan.edits).await?;
    let editing = {
        let (workspace, contacts) = (workspace.clone(), contacts.clone());
        tokio::spawn(async move {
            let mut edited = Vec::new();
            for contact in contacts {
                edited.push((contact.clone(), Instant::now()));
                workspace.edit(&contact).await?;
                // At any moment of an interval, and none waits for the one before.
                let pause = Duration::from_millis(rand::random_range(300..1_500));
                tokio::time::sleep(pause).await;
            }
            anyhow::Ok(edited)
        })
    };
    let mut heard = follower.hear_of_all(&contacts).await?;
    let edited = editing.await??;
    Ok(Times::of(
        edited
            .into_iter()
            .filter_map(|(contact, at)| Some(heard.remove(&contact)? - at))
            .collect(),
    ))
}
