//! What a periodic sync costs: when nothing changed, when one contact of a hundred did, and after a
//! bulk edit that gave all its contacts one timestamp.

use std::path::Path;

use anyhow::ensure;
use serde_json::json;

use super::{
    Plan,
    cost::{self, Rows},
};
use crate::{
    report::Report,
    world::{BY_HAND, Workspace, World},
};

/// Runs in which nothing changes.
const QUIET: u64 = 5;
/// Searches a second that are ours at HubSpot's limits.
const SEARCHES_PER_SECOND: u64 = 3;

/// Runs it without limits, so that the figures are ours and not HubSpot's.
pub(super) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Report> {
    let contacts = plan.contacts;
    println!("sync, changes: {contacts} contacts, no limits, no latency, nothing else going on");
    let env = [
        BY_HAND,
        ("HUBSPOT_BUDGET", "off"),
        // Profiles and verdicts follow by `Sweep`, and are not what is measured here.
        ("SWEEP_SECONDS", "3600"),
    ];
    let world = World::start(World::options(binaries, dir), &env).await?;
    let database = world.database().await?;
    let workspace = world
        .connect(
            1_000_001,
            json!({
                "contacts": contacts, "companies": contacts / 10, "deals": contacts / 20, "lists": 5,
                "owners": 20, "limits": "off",
            }),
        )
        .await?;
    workspace.until_read().await?;
    // The first window reaches back to the beginning of the backfill.
    workspace.sync().await?;

    let mut report = Report::default();
    let (end, rows) = (
        cost::log_end(&workspace).await?,
        Rows::now(&database).await?,
    );
    let change = cost::change(&database).await?;
    for _ in 0..QUIET {
        workspace.sync().await?;
    }
    let news = cost::news_since(&database, change).await?;
    ensure!(news == 0, "{news} records are news");
    let after = Rows::now(&database).await?;
    let requests = cost::requests_since(&workspace, end).await?;
    report.line("nothing changed: runs", QUIET);
    report.line("requests of all runs", requests.total());
    for (name, number) in requests.lines() {
        report.line(&format!("  {name}"), number);
    }
    report.line("rows of the mirror written", after.mirror_since(&rows));
    let others: Vec<String> = after
        .others_since(&rows)
        .into_iter()
        .map(|(table, rows)| format!("{table} {rows}"))
        .collect();
    report.line("rows of other tables written", others.join(", "));

    let some = bulk(
        &workspace,
        json!({"jobtitle": "One of a hundred"}),
        100,
        None,
    )
    .await?;
    measure(&mut report, "1 % changed", &workspace, &database, some).await?;
    let many = bulk(&workspace, json!({"city": "Akureyri"}), 1, Some(plan.bulk)).await?;
    measure(&mut report, "one timestamp", &workspace, &database, many).await?;
    Ok(report)
}

/// A bulk edit in HubSpot: how many contacts it changed.
async fn bulk(
    workspace: &Workspace,
    properties: serde_json::Value,
    every: u64,
    most: Option<u64>,
) -> anyhow::Result<u64> {
    let body = json!({"properties": properties, "every": every, "most": most});
    let edited = workspace
        .control("PATCH", "records/contacts", Some(body))
        .await?;
    Ok(edited["edited"].as_u64().unwrap_or(0))
}

/// One run that brings so many contacts, and the next one, for which they are no news.
async fn measure(
    report: &mut Report,
    what: &str,
    workspace: &Workspace,
    database: &tokio_postgres::Client,
    edited: u64,
) -> anyhow::Result<()> {
    let end = cost::log_end(workspace).await?;
    let change = cost::change(database).await?;
    let synced = workspace.sync().await?;
    let requests = cost::requests_since(workspace, end).await?;
    let came = cost::news_since(database, change).await?;
    ensure!(
        came == edited,
        "{edited} contacts were edited, and {came} came"
    );
    let searches = requests.of("search");
    report.line(&format!("{what}: contacts"), edited);
    report.line("seconds", format!("{:.2}", synced.took.as_secs_f64()));
    report.line("records/s", per_second(edited, synced.took.as_secs_f64()));
    report.line("requests", requests.total());
    for (name, number) in requests.lines() {
        report.line(&format!("  {name}"), number);
    }
    report.line(
        "seconds that HubSpot's limits allow for these searches",
        searches.div_ceil(SEARCHES_PER_SECOND),
    );
    let before = Rows::now(database).await?;
    let change = cost::change(database).await?;
    workspace.sync().await?;
    let after = Rows::now(database).await?;
    let twice = cost::news_since(database, change).await?;
    ensure!(twice == 0, "{twice} came twice");
    report.line(
        "rows of the mirror written by the next run",
        after.mirror_since(&before),
    );
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "far from 2^52")]
fn per_second(records: u64, seconds: f64) -> String {
    format!("{:.0}", records as f64 / seconds.max(0.001))
}
