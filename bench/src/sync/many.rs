//! Many workspaces in which nothing changes, on one worker: what a run of each costs.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, SecondsFormat, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::Plan;
use crate::{
    backfill::Parts,
    report::Report,
    world::{Workspace, World},
};

/// Workspaces that are connected, or asked, at the same time.
const AT_ONCE: usize = 8;
const FIRST_PORTAL: u64 = 1_000_001;
const SECONDS_OF_A_DAY: f64 = 86_400.0;

pub(super) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Report> {
    println!(
        "sync, many: {} workspaces of {} contacts, a run each per {} s, nothing changes, watched for {} \
         of these; HubSpot's limits",
        plan.workspaces, plan.contacts_each, plan.every_seconds, plan.intervals
    );
    let metrics = dev::stack::Ports::free()?.worker;
    let mut options = World::options(binaries, dir);
    options.temporal_metrics = Some(metrics);
    options.postgres = vec!["shared_preload_libraries=pg_stat_statements".to_owned()];
    let every = plan.every_seconds.to_string();
    let world = World::start(options, &[("SYNC_SECONDS", every.as_str())]).await?;
    let database = world.database().await?;
    database
        .batch_execute("create extension if not exists pg_stat_statements")
        .await?;
    let workspaces: Vec<Workspace> = stream::iter(0..plan.workspaces)
        .map(|n| {
            let size = json!({
                "contacts": plan.contacts_each, "companies": plan.contacts_each / 10,
                "deals": plan.contacts_each / 20, "lists": 3, "owners": 10, "limits": "hubspot",
            });
            world.connect(FIRST_PORTAL + n, size)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    for one in &workspaces {
        one.until_read().await?;
    }
    world.until_nothing_is_due().await?;
    println!("all are read");

    let temporal = Temporal {
        client: dev::http()?,
        url: format!("http://127.0.0.1:{metrics}/metrics"),
    };
    let parts = Parts::of(&world.stack)?;
    let from = Utc::now();
    let (cpu, statements, actions) = (
        parts.cpu()?,
        Statements::now(&database).await?,
        temporal.actions().await?,
    );
    let requests = requests(&world, plan.workspaces).await?;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(plan.every_seconds * plan.intervals)).await;
    let seconds = began.elapsed().as_secs_f64();
    let used = parts.since(&cpu)?;
    let statements = Statements::now(&database).await?.since(statements);
    let actions = temporal.actions().await?.since(&actions);
    let requests = self::requests(&world, plan.workspaces).await? - requests;
    let to = Utc::now();

    let runs = ended(&world, "Completed", from, to).await?;
    let failed =
        ended(&world, "Failed", from, to).await? + ended(&world, "TimedOut", from, to).await?;
    ensure!(failed == 0, "{failed} periodic syncs failed");
    ensure!(runs > 0, "no periodic sync ended");
    let mut report = Report::default();
    let per_run = |number: f64| format!("{number:.0} ({:.1} a run)", number / whole(runs));
    report.line("seconds watched", format!("{seconds:.0}"));
    report.line(
        "periodic syncs that ended, and that were due",
        format!("{runs}, {}", plan.workspaces * plan.intervals),
    );
    report.line("requests to HubSpot", per_run(whole(requests)));
    for part in &used {
        report.line(
            &format!("processor seconds, {}", part.name),
            format!(
                "{:.1} ({:.1} % of one processor, {:.1} ms a run)",
                part.seconds,
                100.0 * part.seconds / seconds,
                1_000.0 * part.seconds / whole(runs)
            ),
        );
    }
    report.line("database statements", per_run(statements.calls));
    report.line("database transactions", per_run(statements.transactions));
    report.line(
        "Temporal actions, by the server's own count",
        per_run(actions.total()),
    );
    for (name, number) in &actions.0 {
        report.line(&format!("  {name}"), format!("{number:.0}"));
    }
    report.line(
        "Temporal actions of a workspace and day at this interval",
        format!(
            "{:.0}",
            actions.total() / whole(plan.workspaces) * SECONDS_OF_A_DAY / seconds
        ),
    );
    let worker = world.stack.pid("worker-0")?;
    report.line(
        "worker's memory, MB",
        format!(
            "{:.0}",
            whole(crate::process::resident_memory(worker)?) / 1e6
        ),
    );
    Ok(report)
}

#[allow(clippy::cast_precision_loss, reason = "far from 2^52")]
fn whole(number: u64) -> f64 {
    number as f64
}

/// Requests to HubSpot until now, of all portals.
async fn requests(world: &World, workspaces: u64) -> anyhow::Result<u64> {
    stream::iter(0..workspaces)
        .map(|n| async move {
            let path = format!("portals/{}/counters", FIRST_PORTAL + n);
            let counters = world.api.simulator("GET", &path, None).await?;
            counters["total"].as_u64().context("a total of requests")
        })
        .buffer_unordered(AT_ONCE)
        .try_fold(0, async |sum, one| Ok(sum + one))
        .await
}

/// Periodic syncs that ended so between two moments.
async fn ended(
    world: &World,
    how: &str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> anyhow::Result<u64> {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let query = format!(
        "WorkflowType='PeriodicSync' and ExecutionStatus='{how}' and CloseTime between '{}' and '{}'",
        time(from),
        time(to)
    );
    let counted = world
        .temporal(&["workflow", "count", "--query", &query])
        .await?;
    // No count at all where it is nought.
    let count = &counted["count"];
    let text = count.as_str().and_then(|text| text.parse().ok());
    Ok(text.or_else(|| count.as_u64()).unwrap_or(0))
}

/// What Postgres did.
#[derive(Clone, Copy)]
struct Statements {
    calls: f64,
    transactions: f64,
}

impl Statements {
    async fn now(database: &tokio_postgres::Client) -> anyhow::Result<Self> {
        let row = database
            .query_one(
                "select (select coalesce(sum(calls), 0)::float8 from pg_stat_statements),
                   (select (xact_commit + xact_rollback)::float8 from pg_stat_database
                    where datname = current_database())",
                &[],
            )
            .await?;
        Ok(Self {
            calls: row.get(0),
            transactions: row.get(1),
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            calls: self.calls - before.calls,
            transactions: self.transactions - before.transactions,
        }
    }
}

/// Temporal's own metrics.
struct Temporal {
    client: reqwest::Client,
    url: String,
}

/// Actions, as Temporal Cloud counts what it bills, by kind.
#[derive(Debug, Clone, PartialEq)]
struct Actions(BTreeMap<String, f64>);

impl Temporal {
    async fn actions(&self) -> anyhow::Result<Actions> {
        let text = self.client.get(&self.url).send().await?.text().await?;
        Ok(Actions::of(&text))
    }
}

impl Actions {
    /// Of the counter `action` of Prometheus' text format, without what the server does for itself.
    fn of(metrics: &str) -> Self {
        let mut all = BTreeMap::new();
        for line in metrics.lines() {
            let Some((labels, value)) = line
                .strip_prefix("action{")
                .and_then(|rest| rest.rsplit_once("} "))
            else {
                continue;
            };
            if !labels.contains(r#"namespace="default""#) {
                continue;
            }
            let kind = labels
                .split(r#"action_type=""#)
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .unwrap_or("other");
            if let Ok(value) = value.trim().parse::<f64>() {
                *all.entry(kind.to_owned()).or_default() += value;
            }
        }
        Self(all)
    }

    fn since(&self, before: &Self) -> Self {
        let grown = self.0.iter().map(|(kind, number)| {
            let then = before.0.get(kind).copied().unwrap_or(0.0);
            (kind.clone(), number - then)
        });
        Self(grown.filter(|(_, number)| *number > 0.0).collect())
    }

    fn total(&self) -> f64 {
        self.0.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_those_of_our_namespace_by_kind() {
        let text = r#"
# TYPE action counter
action{action_type="StartWorkflowExecution",namespace="default",service_name="frontend"} 3
action{action_type="StartWorkflowExecution",namespace="default",service_name="history"} 1
action{action_type="command_ScheduleActivityTask",namespace="default"} 7
action{action_type="command_StartTimer",namespace="temporal-system"} 9
actions{namespace="default"} 5
"#;
        let all = Actions::of(text);
        assert_eq!(all.total(), 11.0);
        let before = Actions(BTreeMap::from([("StartWorkflowExecution".to_owned(), 4.0)]));
        let since = all.since(&before);
        assert_eq!(
            since.0,
            BTreeMap::from([("command_ScheduleActivityTask".to_owned(), 7.0)])
        );
    }
}
