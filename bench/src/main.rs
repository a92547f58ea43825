#![doc = include_str!("../README.md")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks to whoever typed it"
)]

mod backfill;
mod budget;
mod bulk;
mod erase;
mod export;
mod figures;
mod history;
mod intake;
mod pages;
mod peers;
mod process;
mod report;
mod requests;
mod sync;
mod times;
mod world;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::backfill::{Faults, Limits, Plan};

#[derive(Parser)]
#[command(
    name = "bench",
    about = "Benchmarks; run them by `cargo dev bench NAME`"
)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Reads a portal into a new workspace; without options once with HubSpot's limits, once without
    Backfill(BackfillArgs),
    /// Exports a campaign in bulk, without activities and with three of each person
    Bulk(bulk::Plan),
    /// Lets 1, 4 and 16 processes hammer one portal through the shared rate budget
    Budget(BudgetArgs),
    /// Erases one of many people, purges them all, and watches what others notice
    Erase(EraseArgs),
    /// Exports people: requests of each case, how soon one is written, how many a worker gets done
    Export(export::Plan),
    /// Lets the connectors of others and ours read the same portal, and `COPY` the same rows
    Peers(PeersArgs),
    /// Puts people in through `/api/v1`: all new, nothing changed, all changed, one at a time
    Intake(IntakeArgs),
    /// Asks for each settings page of a workspace with many people, properties and problems
    Pages(pages::Plan),
    /// Stays in step with HubSpot: what that costs, and how soon a change is here
    Sync(sync::Plan),
}

#[derive(Args, Clone, Copy)]
struct BudgetArgs {
    /// Processes; 1, 4 and 16 one after the other if missing
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    processes: Option<u16>,
    /// Backfill requests that are under way or wait at the same time, in all processes
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    readers: u16,
    /// Milliseconds between two interactive calls, on average
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    interactive_ms: u64,
    /// How long HubSpot takes for an answer, in milliseconds
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(..=MOST_LATENCY))]
    latency_ms: u64,
    /// How long each run takes
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=3_600))]
    seconds: u64,
}

impl BudgetArgs {
    fn plans(self) -> Vec<budget::Plan> {
        let all = [1, 4, 16];
        let one = self.processes.map(|n| [n]);
        one.as_ref()
            .map_or(all.as_slice(), |one| one.as_slice())
            .iter()
            .map(|&processes| budget::Plan {
                processes,
                readers: self.readers,
                interactive_ms: self.interactive_ms,
                latency_ms: self.latency_ms,
                seconds: self.seconds,
            })
            .collect()
    }
}

#[derive(Args, Clone, Copy)]
struct EraseArgs {
    /// People of the workspace in which somebody is erased
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    people: u64,
    /// Erasures, one after the other
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=140))]
    erasures: u64,
    /// How long the other workspace is looked at alone
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

#[derive(Args, Clone, Copy)]
struct IntakeArgs {
    /// People
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    people: u64,
    /// Bulk calls under way at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    callers: u64,
    /// Calls with one person each, one after the other
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    singles: u64,
}

#[derive(Args, Clone, Copy)]
struct PeersArgs {
    /// Contacts of the portal
    #[arg(long, default_value_t = 25_000, value_parser = clap::value_parser!(u64).range(100..=MOST))]
    contacts: u64,
}

/// The simulator gives each portal ten million ids.
const MOST: u64 = 3_000_000;
/// Half of what the worker waits for an answer.
const MOST_LATENCY: u64 = 5_000;

#[derive(Args, Clone, Copy)]
struct BackfillArgs {
    /// Contacts of the portal
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=MOST))]
    contacts: Option<u64>,
    /// Companies of the portal
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=MOST))]
    companies: Option<u64>,
    /// Deals of the portal
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=MOST))]
    deals: Option<u64>,
    /// HubSpot's rate limits, or none; the worker's rate budget goes with them
    #[arg(long)]
    limits: Option<Limits>,
    /// How long HubSpot takes for an answer, in milliseconds
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=MOST_LATENCY))]
    latency_ms: Option<u64>,
    /// The same portal three times: without faults, with 2 % of all requests failing at random, and
    /// with every 25th answered by a 502; and the ratio of the speeds
    #[arg(long)]
    faults: bool,
}

impl BackfillArgs {
    /// One run per kind of limits, or the one that was asked for; with faults each of them three times.
    fn plans(self) -> Vec<Plan> {
        let Self {
            contacts,
            companies,
            deals,
            limits,
            latency_ms,
            faults,
        } = self;
        let plan = |limits: Limits| {
            let usual = Plan::usual(limits);
            Plan {
                limits,
                contacts: contacts.unwrap_or(usual.contacts),
                companies: companies.unwrap_or(usual.companies),
                deals: deals.unwrap_or(usual.deals),
                latency_ms: latency_ms.unwrap_or(usual.latency_ms),
                faults: Faults::None,
            }
        };
        let none = [contacts, companies, deals, latency_ms]
            .iter()
            .all(Option::is_none);
        let plans = match limits {
            None if none => vec![plan(Limits::Hubspot), plan(Limits::Off)],
            asked => vec![plan(asked.unwrap_or(Limits::Hubspot))],
        };
        if !faults {
            return plans;
        }
        plans
            .into_iter()
            .flat_map(|plan| Faults::ALL.map(|faults| Plan { faults, ..plan }))
            .collect()
    }
}

/// Where `cargo dev` says that things are.
struct Places {
    binaries: PathBuf,
    dir: PathBuf,
}

impl Places {
    fn from_env() -> anyhow::Result<Self> {
        let path = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .with_context(|| format!("{name} is not set; run this by: cargo dev bench …"))
        };
        Ok(Self {
            binaries: path("HUBSPOT_SYNC_BINARIES")?,
            dir: path("HUBSPOT_SYNC_BENCH_DIR")?,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().bench {
        Bench::Backfill(args) => run(args).await,
        Bench::Budget(args) => run_budget(args).await,
        Bench::Bulk(plan) => run_bulk(&plan).await,
        Bench::Erase(args) => run_erase(args).await,
        Bench::Export(plan) => run_export(&plan).await,
        Bench::Intake(args) => run_intake(args).await,
        Bench::Pages(plan) => run_pages(&plan).await,
        Bench::Peers(args) => run_peers(args).await,
        Bench::Sync(plan) => run_sync(&plan).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: BackfillArgs) -> anyhow::Result<()> {
    let places = Places::from_env()?;
    let mut sound = None;
    for (n, plan) in args.plans().into_iter().enumerate() {
        // Each run has its own database, so that the first does not slow the second.
        let dir = places.dir.join(format!("backfill-{n}"));
        println!("{plan}");
        let figures = backfill::run(&plan, &places.binaries, &dir).await?;
        println!("{figures}");
        match (plan.faults, sound) {
            (Faults::None, _) => sound = Some(figures.took),
            (_, Some(sound)) => println!(
                "{:.0} % of the speed without faults\n",
                100.0 * sound.as_secs_f64() / figures.took.as_secs_f64()
            ),
            (_, None) => {}
        }
        remove(&dir)?;
    }
    Ok(())
}

async fn run_budget(args: BudgetArgs) -> anyhow::Result<()> {
    let places = Places::from_env()?;
    for (n, plan) in args.plans().into_iter().enumerate() {
        let dir = places.dir.join(format!("budget-{n}"));
        println!("{plan}");
        let figures = budget::run(&plan, &places.binaries, &dir).await?;
        println!("{figures}");
        remove(&dir)?;
    }
    Ok(())
}

async fn run_bulk(plan: &bulk::Plan) -> anyhow::Result<()> {
    let places = Places::from_env()?;
    bulk::run(plan, &places.binaries, &places.dir.join("bulk")).await
}

async fn run_erase(args: EraseArgs) -> anyhow::Result<()> {
    let places = Places::from_env()?;
    let plan = erase::Plan {
        people: args.people,
        erasures: args.erasures,
        seconds: args.seconds,
    };
    let dir = places.dir.join("erase");
    println!("{plan}");
    println!("{}", erase::run(&plan, &places.binaries, &dir).await?);
    remove(&dir)
}

async fn run_intake(args: IntakeArgs) -> anyhow::Result<()> {
    let places = Places::from_env()?;
    let plan = intake::Plan {
        people: args.people,
        callers: args.callers,
        singles: args.singles,
    };
    let dir = places.dir.join("intake");
    println!("{plan}");
    println!("{}", intake::run(&plan, &places.binaries, &dir).await?);
    remove(&dir)
}

async fn run_peers(args: PeersArgs) -> anyhow::Result<()> {
    let places = Places::from_env()?;
    let plan = peers::Plan {
        contacts: args.contacts,
    };
    let dir = places.dir.join("peers");
    println!("{plan}");
    println!("{}", peers::run(plan, &places.binaries, &dir).await?);
    remove(&dir)
}

async fn run_sync(plan: &sync::Plan) -> anyhow::Result<()> {
    let places = Places::from_env()?;
    sync::run(plan, &places.binaries, &places.dir.join("sync")).await
}

async fn run_export(plan: &export::Plan) -> anyhow::Result<()> {
    let places = Places::from_env()?;
    export::run(plan, &places.binaries, &places.dir.join("export")).await
}

async fn run_pages(plan: &pages::Plan) -> anyhow::Result<()> {
    let places = Places::from_env()?;
    let dir = places.dir.join("pages");
    println!("{plan}");
    println!("{}", pages::run(plan, &places.binaries, &dir).await?);
    remove(&dir)
}

fn remove(dir: &Path) -> anyhow::Result<()> {
    std::fs::remove_dir_all(dir).with_context(|| format!("{} stays", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans(args: &[&str]) -> Vec<Plan> {
        let Bench::Backfill(args) = Cli::parse_from(["bench", "backfill"].iter().chain(args)).bench
        else {
            panic!("not the backfill");
        };
        args.plans()
    }

    #[test]
    fn the_budget_is_measured_with_one_few_and_many_processes() {
        let processes = |args: &[&str]| -> Vec<u16> {
            let all = ["bench", "budget"].iter().chain(args);
            match Cli::parse_from(all).bench {
                Bench::Budget(args) => args.plans().iter().map(|p| p.processes).collect(),
                _ => Vec::new(),
            }
        };
        assert_eq!(processes(&[]), [1, 4, 16]);
        assert_eq!(processes(&["--processes=2"]), [2]);
    }

    #[test]
    fn with_faults_each_run_comes_without_them_first() {
        let faults: Vec<Faults> = plans(&["--faults", "--limits=off"])
            .iter()
            .map(|p| p.faults)
            .collect();
        assert_eq!(faults, Faults::ALL);
    }

    #[test]
    fn without_options_there_are_both_runs() {
        assert_eq!(
            plans(&[]),
            [Plan::usual(Limits::Hubspot), Plan::usual(Limits::Off)]
        );
    }

    #[test]
    fn an_option_asks_for_one_run() {
        assert_eq!(plans(&["--limits=off"]), [Plan::usual(Limits::Off)]);
        let small = plans(&["--contacts=5", "--latency-ms=0"]);
        assert_eq!(
            small,
            [Plan {
                contacts: 5,
                latency_ms: 0,
                ..Plan::usual(Limits::Hubspot)
            }]
        );
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_name() {
        for wrong in ["--contacts=3000001", "--latency-ms=5001", "--limits=some"] {
            let refused = Cli::try_parse_from(["bench", "backfill", wrong]);
            let text = refused.err().map(|e| e.to_string()).unwrap_or_default();
            let name = wrong.split('=').next().unwrap();
            assert!(text.contains(name), "{text}");
        }
    }
}
