//! `bench budget`: processes that hammer one portal through the shared rate budget.

use std::{fmt, path::Path, time::Duration};

use anyhow::Context as _;
use chrono::Utc;
use dev::{
    demo::{self, Api},
    hammer::{Hammer, HammerReport},
    stack::{Addresses, DEV_KEY, Stack, StackOptions},
};
use domain::{AdminId, PortalId, SyncRunId, WorkspaceId};
use serde_json::{Value, json};
use store::{AuthKind, NewConnection, NewTokens, Store, StoreConfig};
use uuid::Uuid;

const APP: &str = "simulator-client-id";

/// What a run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Processes on the portal.
    pub(crate) processes: u16,
    /// Backfill requests that are under way or wait at the same time, in all of them.
    pub(crate) readers: u16,
    /// Milliseconds between two interactive calls of all of them, on average.
    pub(crate) interactive_ms: u64,
    /// How long the simulator takes for an answer, in milliseconds.
    pub(crate) latency_ms: u64,
    /// How long.
    pub(crate) seconds: u64,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "budget: {} processes, {} readers in all, an interactive call every {} ms, latency {} ms, {} s",
            self.processes, self.readers, self.interactive_ms, self.latency_ms, self.seconds
        )
    }
}

/// The figures of a run.
#[derive(Debug)]
pub(crate) struct Figures {
    latency_ms: u64,
    /// The simulator's count of the general bucket.
    accepted: u64,
    refused: u64,
    peak: u64,
    share: f64,
    seen: HammerReport,
}

impl fmt::Display for Figures {
    #[allow(clippy::cast_precision_loss, reason = "far from 2^52")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = &self.seen;
        let mut line = |name: &str, value: String| writeln!(f, "  {name:38} {value}");
        line("requests", self.accepted.to_string())?;
        line(
            "share of the rate allowance",
            format!("{:.1} %", self.share * 100.0),
        )?;
        line("429s", self.refused.to_string())?;
        line("peak ten seconds, requests", self.peak.to_string())?;
        line(
            "p95 of an interactive call, ms",
            format!(
                "{} ({} of them are HubSpot's; {} calls)",
                seen.interactive_p95()
                    .map_or_else(|| "-".to_owned(), |p| p.to_string()),
                self.latency_ms,
                seen.interactive_ms.len()
            ),
        )?;
        line(
            "database statements per request",
            format!(
                "{:.3} ({} for {})",
                seen.statements as f64 / seen.let_go.max(1) as f64,
                seen.statements,
                seen.let_go
            ),
        )?;
        line("slots that went unused", seen.unused.to_string())?;
        line("requests that failed otherwise", seen.failed.to_string())
    }
}

/// Runs it, on a database and a simulator of its own.
pub(crate) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Figures> {
    let mut options = StackOptions::new(dir, binaries);
    options.own_servers = true;
    let mut stack = Stack::postgres_only(options).await?;
    stack.start_simulator().await?;
    let addresses = stack.addresses();
    let api = Api::new(addresses.clone())?;
    let portal = demo::PORTAL;
    let size = json!({
        "portal_id": portal, "limits": "hubspot", "latency_ms": plan.latency_ms,
        "contacts": 50, "companies": 0, "deals": 0, "lists": 0, "owners": 1,
    });
    api.simulator("POST", "portals", Some(size)).await?;
    let token = api
        .simulator(
            "POST",
            &format!("portals/{portal}/tokens"),
            Some(json!({"client_id": APP})),
        )
        .await?;
    let token = token["access_token"].as_str().context("no access token")?;
    let workspace = WorkspaceId::new(Uuid::new_v4());
    let hammer = Hammer {
        program: binaries.join("budget-hammer"),
        workspace: workspace.to_string(),
        portal: i64::try_from(portal)?,
        epoch: connect(&addresses, workspace, i64::try_from(portal)?).await?,
        addresses,
        client_id: Some(APP.to_owned()),
        token: token.to_owned(),
        readers: usize::from(plan.readers / plan.processes).max(1),
        interactive_ms: Some(plan.interactive_ms * u64::from(plan.processes)),
    };
    let hammering = hammer.start(
        usize::from(plan.processes),
        Duration::from_secs(plan.seconds),
    )?;
    let (from, to) = (hammering.from_ms, hammering.to_ms);
    let seen = HammerReport::sum(&hammering.reports().await?);
    let usage = api
        .simulator(
            "GET",
            &format!("portals/{portal}/usage?from_ms={from}&to_ms={to}"),
            None,
        )
        .await?;
    let general = &usage["apps"][APP]["general"];
    let count = |name: &str| -> anyhow::Result<u64> {
        let value: &Value = &general[name];
        value
            .as_u64()
            .with_context(|| format!("no {name} in {usage}"))
    };
    Ok(Figures {
        latency_ms: plan.latency_ms,
        accepted: count("accepted")?,
        refused: count("refused")?,
        peak: count("peak_ten_seconds")?,
        share: general["share"].as_f64().context("no share")?,
        seen,
    })
}

/// A connection of a workspace to the portal; its epoch.
async fn connect(
    addresses: &Addresses,
    workspace: WorkspaceId,
    portal: i64,
) -> anyhow::Result<i64> {
    let store = Store::connect(StoreConfig {
        url: addresses.database_url.clone().into(),
        pools: store::Pools::of(3),
        encryption_keys: format!("dev:{DEV_KEY}").into(),
        erasure_key: DEV_KEY.to_owned().into(),
    })
    .await?;
    store.migrate().await?;
    let now = Utc::now();
    store.ensure_workspace(workspace, now).await?;
    let new = NewConnection {
        workspace,
        portal: PortalId::new(portal)?,
        auth_kind: AuthKind::OAuth,
        tokens: NewTokens {
            access: String::new().into(),
            refresh: None,
            lifetime: None,
        },
        scopes: Vec::new(),
        admin: AdminId::new(Uuid::new_v4()),
        run: SyncRunId::new(Uuid::now_v7()),
    };
    let connected = store
        .connect_workspace(&new, now)
        .await?
        .map_err(|refused| anyhow::anyhow!("not connected: {refused:?}"))?;
    Ok(connected.epoch.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shares_and_ratios() {
        let figures = Figures {
            latency_ms: 50,
            accepted: 1_000,
            refused: 2,
            peak: 108,
            share: 0.961,
            seen: HammerReport {
                statements: 250,
                let_go: 1_000,
                interactive_ms: (1..=100).collect(),
                ..HammerReport::default()
            },
        };
        let text = figures.to_string();
        for part in ["96.1 %", "0.250 (250 for 1000)", "96 (50 of them", "108"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
