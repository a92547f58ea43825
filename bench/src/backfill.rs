//! `bench backfill`: reads a portal of the simulator into a new workspace.

use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use dev::{
    demo::{self, Api, Consent},
    provision,
    stack::{Stack, StackOptions},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    figures::{Cpu, Figures, Memory},
    history, process, requests,
};

/// More text in each contact, in bytes: it makes the properties of a contact, as stored, about 1 kB.
const PADDING: u64 = 670;
/// A run without limits takes minutes at most; at HubSpot's, a million records take a quarter hour.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);

/// Whether HubSpot's rate limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Limits {
    /// As HubSpot has them.
    Hubspot,
    /// None in the simulator, and no budget in the worker.
    Off,
}

impl Limits {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hubspot => "hubspot",
            Self::Off => "off",
        }
    }
}

/// What goes wrong at HubSpot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Faults {
    /// Nothing.
    None,
    /// Two of a hundred requests, at random: a 502.
    TwoPercent,
    /// Each 25th request: a 502 with a page of HTML.
    Each25th,
}

impl Faults {
    pub(crate) const ALL: [Self; 3] = [Self::None, Self::TwoPercent, Self::Each25th];

    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "no faults",
            Self::TwoPercent => "2 % of the requests fail",
            Self::Each25th => "every 25th request is a 502",
        }
    }

    fn rule(self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::TwoPercent => Some(json!({
                "probability": 0.02, "seed": 1, "effect": {"answer": {"name": "bad_gateway"}},
            })),
            Self::Each25th => Some(json!({
                "every": 25, "effect": {"status": {"status": 502, "html": true}},
            })),
        }
    }
}

/// What a run reads, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// HubSpot's limits.
    pub(crate) limits: Limits,
    /// Contacts of the portal.
    pub(crate) contacts: u64,
    /// Companies of the portal.
    pub(crate) companies: u64,
    /// Deals of the portal.
    pub(crate) deals: u64,
    /// How long the simulator takes for an answer, in milliseconds.
    pub(crate) latency_ms: u64,
    /// What goes wrong.
    pub(crate) faults: Faults,
}

impl Plan {
    /// What is run where nothing else is said.
    pub(crate) const fn usual(limits: Limits) -> Self {
        match limits {
            Limits::Hubspot => Self {
                limits,
                contacts: 6_000,
                companies: 2_000,
                deals: 2_000,
                latency_ms: 200,
                faults: Faults::None,
            },
            Limits::Off => Self {
                limits,
                contacts: 100_000,
                companies: 20_000,
                deals: 20_000,
                latency_ms: 0,
                faults: Faults::None,
            },
        }
    }

    const fn records(&self) -> u64 {
        self.contacts + self.companies + self.deals
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "backfill: limits {}, latency {} ms, {} contacts, {} companies, {} deals, {}",
            self.limits.as_str(),
            self.latency_ms,
            self.contacts,
            self.companies,
            self.deals,
            self.faults.as_str()
        )
    }
}

/// Runs it on a stack of its own.
pub(crate) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Figures> {
    ensure!(
        plan.records() > 0,
        "nothing to read: one of --contacts, --companies and --deals has to be above 0"
    );
    let mut options = StackOptions::new(dir, binaries);
    if plan.limits == Limits::Off {
        options.env = vec![("HUBSPOT_BUDGET".to_owned(), "off".to_owned())];
    }
    let stack = Stack::start(options).await?;
    let api = Api::new(stack.addresses())?;
    let portal = make_portal(&api, plan).await?;
    let record_bytes = record_bytes(&api, plan).await?;
    if let Some(rule) = plan.faults.rule() {
        let path = format!("portals/{}/faults", demo::PORTAL);
        api.simulator("POST", &path, Some(rule)).await?;
    }

    let worker = stack.pid("worker-0")?;
    let parts = Parts::of(&stack)?;
    let idle = process::peak_memory(worker)?;
    let cpu_before = parts.cpu()?;
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
    let (status, half) = watch(&api, &workspace, plan, worker).await?;
    let cpu = parts.since(&cpu_before)?;
    let memory = Memory {
        idle,
        half,
        peak: process::peak_memory(worker)?,
    };

    for (name, ours, theirs) in demo::compare(&status, &portal) {
        ensure!(ours == theirs, "{name}: {ours} stored, {theirs} in HubSpot");
    }
    let workflow = format!("hubspot/{workspace}/backfill");
    Ok(Figures {
        limits: plan.limits,
        records: plan.records(),
        took: took(&status)?,
        record_bytes,
        requests: requests::of(&api, demo::PORTAL).await?,
        memory,
        events: history::events(
            &provision::temporal()?,
            &api.addresses().temporal,
            &workflow,
        )
        .await?,
        cpu,
    })
}

/// A portal of this size in the simulator: what the simulator says of it.
pub(crate) async fn make_portal(api: &Api, plan: &Plan) -> anyhow::Result<Value> {
    let size = json!({
        "portal_id": demo::PORTAL, "limits": plan.limits.as_str(), "latency_ms": plan.latency_ms,
        "contacts": plan.contacts, "companies": plan.companies, "deals": plan.deals,
        "lists": 0, "owners": 20, "padding": PADDING,
    });
    api.simulator("POST", "portals", Some(size)).await
}

/// Over the first hundred of each type, weighed by how many there are. This is the simulator's own
/// listing, with associations; the properties alone, which are what is stored, are less.
async fn record_bytes(api: &Api, plan: &Plan) -> anyhow::Result<u64> {
    const SOME: u64 = 100;
    let mut sum = 0;
    for (name, records) in [
        ("contacts", plan.contacts),
        ("companies", plan.companies),
        ("deals", plan.deals),
    ] {
        let path = format!("portals/{}/records/{name}?limit={SOME}", demo::PORTAL);
        let page = api.simulator("GET", &path, None).await?;
        let bytes = serde_json::to_vec(&page)?.len() as u64;
        sum += bytes * records / records.clamp(1, SOME);
    }
    Ok(sum / plan.records())
}

/// Waits until everything is read: the last status, and the worker's peak memory at half.
pub(crate) async fn watch(
    api: &Api,
    workspace: &str,
    plan: &Plan,
    worker: i32,
) -> anyhow::Result<(Value, u64)> {
    let deadline = Instant::now() + PATIENCE;
    let mut half = None;
    loop {
        let status = api.status(workspace).await?;
        let memory = process::peak_memory(worker).context("the worker ended")?;
        if half.is_none() && done(&status) * 2 >= plan.records() {
            half = Some(memory);
        }
        match status["phase"].as_str() {
            Some("syncing") => return Ok((status, half.unwrap_or(memory))),
            Some("connected" | "backfilling") => {}
            other => bail!("the workspace is {}", other.unwrap_or("in no phase")),
        }
        ensure!(
            Instant::now() < deadline,
            "not everything was read in two hours"
        );
        // The status counts rows: asked too often, it would be part of what is measured.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Records that a status tells as read.
pub(crate) fn done(status: &Value) -> u64 {
    ["contacts", "companies", "deals"]
        .iter()
        .filter_map(|name| {
            let all = status["objects"].as_array()?;
            all.iter().find(|o| o["object_type"] == *name)?["done"].as_u64()
        })
        .sum()
}

/// From the request of the run to its end.
pub(crate) fn took(status: &Value) -> anyhow::Result<Duration> {
    let at = |name: &str| -> anyhow::Result<DateTime<Utc>> {
        let text = status["run"][name]
            .as_str()
            .with_context(|| format!("the run has no {name}"))?;
        text.parse().with_context(|| format!("{name} is no time"))
    };
    (at("finished_at")? - at("requested_at")?)
        .to_std()
        .context("the run ended before it was asked for")
}

/// Process ids of the parts; what somebody else runs is not there.
pub(crate) struct Parts {
    all: Vec<(&'static str, i32)>,
}

/// Processor seconds at a moment: of each part, and of the whole machine.
pub(crate) struct CpuTimes {
    parts: Vec<Cpu>,
    machine: f64,
}

impl Parts {
    pub(crate) fn of(stack: &Stack) -> anyhow::Result<Self> {
        let mut all = vec![
            ("worker", stack.pid("worker-0")?),
            ("simulator", stack.pid("simulator")?),
            ("front door", stack.pid("web")?),
        ];
        for name in ["postgres", "temporal"] {
            if let Ok(pid) = stack.pid(name) {
                all.push((name, pid));
            }
        }
        Ok(Self { all })
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<CpuTimes> {
        let parts = self
            .all
            .iter()
            .map(|&(name, pid)| {
                let seconds = process::cpu_seconds(pid)?;
                Ok(Cpu { name, seconds })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(CpuTimes {
            parts,
            machine: process::machine_seconds()?,
        })
    }

    pub(crate) fn since(&self, before: &CpuTimes) -> anyhow::Result<Vec<Cpu>> {
        let now = self.cpu()?;
        let mut parts = now.parts;
        for (part, then) in parts.iter_mut().zip(&before.parts) {
            part.seconds -= then.seconds;
        }
        let ours: f64 = parts.iter().map(|p| p.seconds).sum();
        parts.push(Cpu {
            name: "everything else on the machine",
            seconds: (now.machine - before.machine - ours).max(0.0),
        });
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_are_counted_as_done() {
        let status = json!({"objects": [
            {"object_type": "contacts", "done": 7}, {"object_type": "deals", "done": 5},
            {"object_type": "owners", "done": 100},
        ]});
        assert_eq!(done(&status), 12);
        assert_eq!(done(&json!({})), 0);
    }

    #[test]
    fn a_run_takes_from_request_to_end() {
        let status = json!({"run": {
            "requested_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:02.5Z",
        }});
        assert_eq!(took(&status).unwrap(), Duration::from_millis(2_500));
        let unfinished =
            json!({"run": {"requested_at": "2026-01-01T00:00:00Z", "finished_at": null}});
        let error = took(&unfinished).unwrap_err().to_string();
        assert!(error.contains("finished_at"), "{error}");
    }
}
