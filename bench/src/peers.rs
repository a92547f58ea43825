//! `bench peers`: the connectors of others and ours read the same portal, and the same rows go into the
//! same tables by `COPY`, which is as fast as the database takes them.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use dev::{
    demo::{self, Api, Consent},
    stack::{Stack, StackOptions},
};
use tokio::process::Command;
use uuid::Uuid;

use crate::backfill::{self, Limits};

/// Connectors of `tests/conformance`, and the script that runs each.
const PEERS: [(&str, &str); 3] = [
    ("singer (tap-hubspot)", "read_singer.py"),
    ("airbyte (source-hubspot)", "read_airbyte.py"),
    ("dlt", "read_dlt.py"),
];

/// The tables that records are stored in, in the order in which they can be filled.
const TABLES: [&str; 3] = [
    "hubspot_object",
    "hubspot_object_key",
    "hubspot_association",
];

/// What is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Contacts of the portal; a fifth as many companies, a sixth as many deals.
    pub(crate) contacts: u64,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "peers: {} contacts, no limits, no latency",
            self.contacts
        )
    }
}

/// Seconds of each.
#[derive(Debug)]
pub(crate) struct Times {
    ours: Duration,
    peers: Vec<(&'static str, Duration)>,
    copy: Duration,
    rows: u64,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = self.ours.as_secs_f64().max(0.001);
        writeln!(f, "| who reads | seconds | times ours |")?;
        writeln!(f, "|---|---:|---:|")?;
        writeln!(f, "| ours | {ours:.1} | 1.0 |")?;
        for (name, took) in &self.peers {
            let seconds = took.as_secs_f64();
            writeln!(f, "| {name} | {seconds:.1} | {:.1} |", seconds / ours)?;
        }
        let copy = self.copy.as_secs_f64().max(0.001);
        writeln!(
            f,
            "| `COPY` of the same {} rows | {copy:.2} | {:.2} |",
            self.rows,
            copy / ours
        )?;
        write!(f, "ours takes {:.1} times as long as `COPY`", ours / copy)
    }
}

/// Runs it on a stack of its own.
pub(crate) async fn run(plan: Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Times> {
    let mut options = StackOptions::new(dir, binaries);
    options.env = vec![("HUBSPOT_BUDGET".to_owned(), "off".to_owned())];
    let stack = Stack::start(options).await?;
    let api = Api::new(stack.addresses())?;
    let whole = backfill::Plan {
        limits: Limits::Off,
        contacts: plan.contacts,
        companies: plan.contacts / 5,
        deals: plan.contacts / 6,
        latency_ms: 0,
        faults: backfill::Faults::None,
    };
    backfill::make_portal(&api, &whole).await?;
    let ours = read(&api, &stack, &whole).await?;
    let (copy, rows) = copy(&stack).await?;
    let mut peers = Vec::new();
    for (name, script) in PEERS {
        let of_portal = Script {
            file: script,
            portal: demo::PORTAL,
            records: plan.contacts,
            env: Vec::new(),
        };
        let took = of_portal
            .run(&stack.addresses().simulator)
            .await
            .context(script)?;
        println!("{name}: {:.1} s", took.as_secs_f64());
        peers.push((name, took));
    }
    Ok(Times {
        ours,
        peers,
        copy,
        rows,
    })
}

async fn read(api: &Api, stack: &Stack, plan: &backfill::Plan) -> anyhow::Result<Duration> {
    let workspace = Uuid::new_v4().to_string();
    let reply = api
        .connect(&workspace, demo::PORTAL, Consent::Approve)
        .await?;
    ensure!(
        reply.status == 200,
        "the workspace was not connected: {} {}",
        reply.status,
        reply.text
    );
    let worker = stack.pid("worker-0")?;
    let (status, _) = backfill::watch(api, &workspace, plan, worker).await?;
    ensure!(
        backfill::done(&status) == plan.contacts + plan.companies + plan.deals,
        "not everything was read: {status}"
    );
    backfill::took(&status)
}

/// A script of `tests/conformance` that tells how long it took.
pub(crate) struct Script {
    pub(crate) file: &'static str,
    pub(crate) portal: u64,
    /// How many records it is to tell of.
    pub(crate) records: u64,
    pub(crate) env: Vec<(&'static str, String)>,
}

impl Script {
    /// Runs it against its portal, and tells how long that took: without its installation and its start.
    pub(crate) async fn run(self, simulator: &str) -> anyhow::Result<Duration> {
        let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance");
        let done = Command::new("python3")
            .arg(scripts.join(self.file))
            .env("HUBSPOT_SIMULATOR_URL", simulator)
            .env("CONFORMANCE_PORTAL", self.portal.to_string())
            .env(
                "CONFORMANCE_CACHE",
                dev::provision::cache().join("conformance"),
            )
            .envs(self.env)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("python3 cannot be run")?;
        let said = String::from_utf8_lossy(&done.stdout);
        ensure!(
            done.status.success(),
            "it ended with {}: {said} {}",
            done.status,
            String::from_utf8_lossy(&done.stderr)
        );
        let (seconds, records) = measured(&said).context("it does not say how long it took")?;
        ensure!(
            records == self.records,
            "it was {records} of {} contacts",
            self.records
        );
        Ok(Duration::from_secs_f64(seconds))
    }
}

/// `MEASURED seconds contacts`
fn measured(said: &str) -> Option<(f64, u64)> {
    let line = said.lines().find_map(|l| l.strip_prefix("MEASURED "))?;
    let (seconds, records) = line.split_once(' ')?;
    Some((seconds.parse().ok()?, records.parse().ok()?))
}

/// Takes what was stored out of the tables and puts it back by `COPY`, from files of the database's own
/// machine: how long putting it back takes, and how many rows it is.
async fn copy(stack: &Stack) -> anyhow::Result<(Duration, u64)> {
    let (database, connection) =
        tokio_postgres::connect(&stack.addresses().database_url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let folder: String = database
        .query_one("select current_setting('data_directory')", &[])
        .await?
        .get(0);
    let mut copies = Vec::new();
    for table in TABLES {
        let columns: String = database
            .query_one(
                "select string_agg(quote_ident(column_name), ', ' order by ordinal_position)
                 from information_schema.columns
                 where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'",
                &[&table],
            )
            .await?
            .get(0);
        let file = format!("{folder}/bench_peers_{table}");
        database
            .execute(
                &format!("copy (select {columns} from {table}) to '{file}' (format binary)"),
                &[],
            )
            .await
            .context("the database's own role has to be allowed to write files")?;
        copies.push(format!(
            "copy {table} ({columns}) from '{file}' (format binary)"
        ));
    }
    database
        .batch_execute(&format!(
            "truncate {} cascade; checkpoint",
            TABLES.join(", ")
        ))
        .await?;
    let began = Instant::now();
    let mut rows = 0;
    for copy in &copies {
        rows += database.execute(copy, &[]).await?;
    }
    ensure!(rows > 0, "nothing was stored");
    Ok((began.elapsed(), rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_measured_is_found() {
        assert_eq!(
            measured("- reads\nMEASURED 12.250 25000\nOK\n"),
            Some((12.25, 25_000))
        );
        assert_eq!(measured("OK\n"), None);
        assert_eq!(measured("MEASURED soon 1\n"), None);
    }

    #[test]
    fn the_table_has_ratios() {
        let times = Times {
            ours: Duration::from_secs(2),
            peers: vec![("dlt", Duration::from_secs(80))],
            copy: Duration::from_secs(1),
            rows: 7,
        };
        let text = times.to_string();
        assert!(text.contains("| dlt | 80.0 | 40.0 |"), "{text}");
        assert!(
            text.ends_with("ours takes 2.0 times as long as `COPY`"),
            "{text}"
        );
    }
}
