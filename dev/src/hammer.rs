//! Processes that hammer one portal through one budget: for the bench of X3 and its tests.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use crate::stack::{Addresses, DEV_KEY};

/// What one process saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HammerReport {
    /// Requests that HubSpot answered well.
    pub requests: u64,
    /// Those that failed with 429 in the end.
    pub too_many: u64,
    /// Those that the fence held.
    pub fenced: u64,
    /// Those that the used-up day held.
    pub daily: u64,
    /// Those that failed otherwise.
    pub failed: u64,
    /// Statements to the database for the budget.
    pub statements: u64,
    /// Requests that the budget let go.
    pub let_go: u64,
    /// Slots that went unused.
    pub unused: u64,
    /// How long each interactive call took, in milliseconds.
    pub interactive_ms: Vec<u64>,
}

impl HammerReport {
    /// All of them as one.
    pub fn sum(reports: &[Self]) -> Self {
        let mut all = Self::default();
        for report in reports {
            all.requests += report.requests;
            all.too_many += report.too_many;
            all.fenced += report.fenced;
            all.daily += report.daily;
            all.failed += report.failed;
            all.statements += report.statements;
            all.let_go += report.let_go;
            all.unused += report.unused;
            all.interactive_ms.extend(&report.interactive_ms);
        }
        all
    }

    /// What 95 of 100 interactive calls took at most, in milliseconds.
    pub fn interactive_p95(&self) -> Option<u64> {
        let mut waits = self.interactive_ms.clone();
        waits.sort_unstable();
        waits.get(waits.len() * 95 / 100).copied()
    }
}

/// Who hammers what.
#[derive(Debug, Clone)]
pub struct Hammer {
    /// The program `budget-hammer`.
    pub program: PathBuf,
    /// Postgres and the simulator.
    pub addresses: Addresses,
    /// The workspace that is connected.
    pub workspace: String,
    pub portal: i64,
    /// The epoch of its connection.
    pub epoch: i64,
    /// The OAuth app; none for a service key.
    pub client_id: Option<String>,
    pub token: String,
    /// Backfill requests at the same time, in each process.
    pub readers: usize,
    /// Milliseconds between two interactive calls of a process, on average.
    pub interactive_ms: Option<u64>,
}

/// Processes at work.
#[derive(Debug)]
pub struct Hammering {
    children: Vec<Child>,
    /// When they begin, in milliseconds since 1970.
    pub from_ms: i64,
    /// When they end.
    pub to_ms: i64,
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

impl Hammer {
    /// Starts that many processes; they begin together.
    pub fn start(&self, processes: usize, lasting: Duration) -> anyhow::Result<Hammering> {
        // Until all are up and connected.
        let from_ms = now_ms() + 1_500 + 150 * i64::try_from(processes)?;
        let to_ms = from_ms + i64::try_from(lasting.as_millis())?;
        let children = (0..processes)
            .map(|_| {
                let mut command = Command::new(&self.program);
                command
                    .args(["--workspace", &self.workspace])
                    .args(["--portal", &self.portal.to_string()])
                    .args(["--epoch", &self.epoch.to_string()])
                    .args(["--readers", &self.readers.to_string()])
                    .args(["--from-ms", &from_ms.to_string()])
                    .args(["--to-ms", &to_ms.to_string()])
                    .env("DATABASE_URL", &self.addresses.database_url)
                    .env("TOKEN_ENCRYPTION_KEYS", format!("dev:{DEV_KEY}"))
                    .env("ERASURE_KEY", DEV_KEY)
                    .env("HUBSPOT_API_URL", &self.addresses.simulator)
                    .env("HAMMER_TOKEN", &self.token)
                    .env_remove("HUBSPOT_CLIENT_ID")
                    .stdout(Stdio::piped())
                    .kill_on_drop(true);
                if let Some(id) = &self.client_id {
                    command.env("HUBSPOT_CLIENT_ID", id);
                }
                if let Some(every) = self.interactive_ms {
                    command.args(["--interactive-ms", &every.to_string()]);
                }
                command
                    .spawn()
                    .with_context(|| format!("{} cannot be started", self.program.display()))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Hammering {
            children,
            from_ms,
            to_ms,
        })
    }
}

impl Hammering {
    /// Waits for their end.
    pub async fn reports(self) -> anyhow::Result<Vec<HammerReport>> {
        let mut reports = Vec::new();
        for child in self.children {
            let output = child.wait_with_output().await?;
            ensure!(output.status.success(), "budget-hammer failed");
            reports.push(serde_json::from_slice(&output.stdout).context("no report")?);
        }
        Ok(reports)
    }
}
