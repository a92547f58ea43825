//! `cargo dev …`: see the README.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks to whoever typed it"
)]

mod edits;
mod exports;
mod show;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Parser, Subcommand};
use dev::{
    demo::{self, Api},
    guard::{self, GUARD_PROGRAM},
    provision::{self, say},
    stack::{Stack, StackOptions},
};
use serde_json::json;

#[derive(Parser)]
#[command(
    name = "cargo dev",
    about = "Everything for developing, on a fresh machine"
)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Starts everything with a demo portal, and stays until Ctrl-C
    Up(Up),
    /// Starts everything and runs every test; further words go to `cargo test`
    Test {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Starts Postgres only, and stays until Ctrl-C
    Postgres,
    /// Renews the offline cache of the store's queries
    SqlxPrepare {
        /// Only says whether it is up to date
        #[arg(long)]
        check: bool,
    },
    /// Runs a benchmark against a release build
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Asks HubSpot whether it is as assumed, and prints each fact; makes records and removes them
    Conformance {
        /// `real` asks HubSpot itself, with a service key of an account for tests in
        /// HUBSPOT_ACCESS_TOKEN
        #[arg(long, value_parser = ["simulator", "real"], default_value = "simulator")]
        hubspot: String,
    },
    /// Runs a program that must not outlive whoever started it
    #[command(hide = true)]
    Guard {
        #[arg(long)]
        pid_file: PathBuf,
        #[arg(long)]
        uid: Option<u32>,
        #[arg(last = true)]
        command: Vec<String>,
    },
}

#[derive(Args)]
struct Up {
    /// Leave after the demo, with a summary
    #[arg(long)]
    exit: bool,
    /// Throw away the data of the last time
    #[arg(long)]
    fresh: bool,
    /// Load this folder as the portal (companies.csv, crm-sales/)
    #[arg(long)]
    portal: Option<PathBuf>,
    /// `real` works on HubSpot itself, with HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET
    #[arg(long, value_parser = ["simulator", "real"], default_value = "simulator")]
    hubspot: String,
    /// Contacts of the demo portal
    #[arg(long, default_value_t = 20_000)]
    contacts: u64,
    /// Companies of the demo portal
    #[arg(long, default_value_t = 4_000)]
    companies: u64,
    /// Deals of the demo portal
    #[arg(long, default_value_t = 3_000)]
    deals: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Task::Guard {
            pid_file,
            uid,
            command,
        } => guard::run(&pid_file, uid, &command),
        Task::Up(up) => run_up(&up).await,
        Task::Test { args } => run_tests(&args).await,
        Task::Postgres => run_postgres().await,
        Task::SqlxPrepare { check } => sqlx_prepare(check).await,
        Task::Bench { args } => bench(&args).await,
        Task::Conformance { hubspot } => conformance(hubspot == "real").await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dev: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> anyhow::Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the crate has no workspace")?
        .to_path_buf())
}

/// Without what `cargo run` told this program of its own package: build scripts that look at it (ring's
/// does) would run again at each change between `cargo dev` and plain `cargo`, and with them everything
/// that depends on them.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if let Some(name) = name.to_str()
            && (name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Builds the programs and says where they are.
fn build(release: bool) -> anyhow::Result<PathBuf> {
    let mut command = cargo();
    command
        .current_dir(root()?)
        .args(["build", "--workspace", "--bins"]);
    if release {
        command.arg("--release");
    }
    ensure!(command.status()?.success(), "the programs do not build");
    let this = guard::this_program()?;
    let profile = this.parent().context("no folder of binaries")?;
    Ok(if release {
        profile
            .parent()
            .context("no target folder")?
            .join("release")
    } else {
        profile.to_path_buf()
    })
}

/// The first free folder of `.dev`, `.dev/2`, …, locked for us as long as the file is held.
fn claim(fresh: bool) -> anyhow::Result<(PathBuf, File)> {
    let base = root()?.join(".dev");
    for n in 1..10 {
        let dir = if n == 1 {
            base.join("up")
        } else {
            base.join(format!("up-{n}"))
        };
        std::fs::create_dir_all(&dir)?;
        let lock = File::create(base.join(format!("lock-{n}")))?;
        if lock.try_lock().is_err() {
            say(&format!(
                "another `cargo dev up` uses {}; taking the next",
                dir.display()
            ));
            continue;
        }
        if fresh {
            std::fs::remove_dir_all(&dir)?;
            std::fs::create_dir_all(&dir)?;
        }
        return Ok((dir, lock));
    }
    bail!("nine `cargo dev up` run already")
}

async fn run_up(up: &Up) -> anyhow::Result<ExitCode> {
    let real = up.hubspot == "real";
    if real {
        for name in ["HUBSPOT_CLIENT_ID", "HUBSPOT_CLIENT_SECRET"] {
            ensure!(
                std::env::var_os(name).is_some(),
                "{name} is not set; --hubspot real needs the client id and secret of your app, for example {name}=…"
            );
        }
    }
    let binaries = build(false)?;
    let (dir, _lock) = claim(up.fresh)?;
    let mut options = StackOptions::new(dir, binaries);
    options.real_hubspot = real;
    if !real {
        options
            .env
            .push(("SYNC_SECONDS".to_owned(), "5".to_owned()));
    }
    let stack = Stack::start(options).await?;
    let api = Api::new(stack.addresses())?;
    let addresses = stack.addresses();
    println!("Temporal UI   {}", addresses.temporal_ui);
    println!("front door    {}", addresses.web);
    if !real {
        println!("simulator     {}", addresses.simulator);
    }
    println!("logs          {}", addresses.logs.display());
    let mut equal = true;
    if real {
        let reply = api
            .call(
                demo::WORKSPACE,
                "connect",
                Some(json!({"admin": demo::ADMIN})),
            )
            .await?;
        println!(
            "connect here  {}",
            reply.json()?["url"]
                .as_str()
                .unwrap_or("(connected already)")
        );
    } else {
        equal = show::demo(&api, up).await?;
    }
    show::what_to_try(&addresses, real)?;
    if up.exit {
        drop(stack);
        return Ok(if equal {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    println!("Ctrl-C ends everything.");
    tokio::signal::ctrl_c().await?;
    Ok(ExitCode::SUCCESS)
}

const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// How many tests run beside each other: what was asked for, else two for each core, as most of them wait.
/// All share one stack, which bears no crowd.
fn test_threads() -> std::ffi::OsString {
    std::env::var_os(TEST_THREADS).unwrap_or_else(|| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        cores.max((2 * cores).min(8)).to_string().into()
    })
}

async fn run_tests(args: &[String]) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let chromium = provision::chromium()?;
    provision::python()?;
    let path = provision::path_with(&provision::node()?)?;
    provision::temporal()?;
    let binaries = build(false)?;
    let built = cargo()
        .current_dir(root()?)
        .args(["test", "--workspace", "--no-run"])
        .status()?;
    ensure!(built.success(), "the tests do not build");
    say(&format!("built in {:.0} s", began.elapsed().as_secs_f64()));
    if !root()?.join("../shared/data").is_dir() {
        say("shared/data is not beside the checkout: tests on data from outside add no cases");
    }
    let dir = root()?
        .join(".dev")
        .join(format!("test-{}", std::process::id()));
    let mut options = StackOptions::new(&dir, &binaries);
    options.env = vec![
        ("SWEEP_SECONDS".to_owned(), "2".to_owned()),
        ("EXPORT_SETTLE_SECONDS".to_owned(), "8".to_owned()),
        ("EXPORT_RECHECK_SECONDS".to_owned(), "3".to_owned()),
        // Periodic syncs come when a test asks for them, not in the middle of another's count.
        ("SYNC_SECONDS".to_owned(), "86400".to_owned()),
        (
            "RUST_LOG".to_owned(),
            "info,temporalio_sdk_core=warn".to_owned(),
        ),
    ];
    let stack = Stack::start(options).await?;
    let addresses = stack.addresses();
    let status = cargo()
        .current_dir(root()?)
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(args)
        .env("DATABASE_URL", &addresses.database_url)
        .env("TEMPORAL_ADDRESS", &addresses.temporal)
        .env("HUBSPOT_SIMULATOR_URL", &addresses.simulator)
        .env("HUBSPOT_SYNC_URL", &addresses.web)
        .env("HUBSPOT_SYNC_TOKEN", &addresses.api_token)
        .env("HUBSPOT_SYNC_STACK", serde_json::to_string(&addresses)?)
        .env("HUBSPOT_SYNC_BINARIES", &binaries)
        .env("HUBSPOT_SYNC_CHROMIUM", chromium)
        .env("PATH", path)
        .env(TEST_THREADS, test_threads())
        .env(GUARD_PROGRAM, guard::this_program()?)
        .status()?;
    drop(stack);
    say(&format!("all took {:.0} s", began.elapsed().as_secs_f64()));
    if status.success() {
        std::fs::remove_dir_all(&dir)?;
        Ok(ExitCode::SUCCESS)
    } else {
        say(&format!("logs are in {}", dir.join("logs").display()));
        Ok(ExitCode::FAILURE)
    }
}

/// Fails when something that the code relies upon is otherwise.
async fn conformance(real: bool) -> anyhow::Result<ExitCode> {
    use dev::conformance::{self, Target, simulator};
    let report = if real {
        let key = std::env::var("HUBSPOT_ACCESS_TOKEN").ok().filter(|k| !k.is_empty()).context(
            "HUBSPOT_ACCESS_TOKEN is not set; --hubspot real needs a service key of an account for tests, with the scopes of contacts, companies, lists, owners and contact schemas, for example HUBSPOT_ACCESS_TOKEN=pat-na1-…",
        )?;
        conformance::run(Target {
            api_url: "https://api.hubapi.com".parse()?,
            key: key.into(),
            prefix: conformance::prefix(),
            patience: Duration::from_secs(180),
        })
        .await?
    } else {
        let simulator = simulator::Simulator::start(&build(false)?).await?;
        let target = simulator::target(&simulator.url, 1, json!({})).await?;
        conformance::run(target).await?
    };
    print!("{report}");
    Ok(if report.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn run_postgres() -> anyhow::Result<ExitCode> {
    let dir = root()?.join(".dev").join("postgres-only");
    let stack = Stack::postgres_only(StackOptions::new(dir, "")).await?;
    println!("{}", stack.addresses().database_url);
    tokio::signal::ctrl_c().await?;
    Ok(ExitCode::SUCCESS)
}

/// sqlx's macros write what they learn of each query to `SQLX_OFFLINE_DIR` when they are online:
/// that is the whole of what its command line does, without having to build it.
async fn sqlx_prepare(check: bool) -> anyhow::Result<ExitCode> {
    let root = root()?;
    let dir = root
        .join(".dev")
        .join(format!("sqlx-{}", std::process::id()));
    let stack = Stack::postgres_only(StackOptions::new(&dir, "")).await?;
    let url = stack.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let mut migrations: Vec<PathBuf> = std::fs::read_dir(root.join("store/migrations"))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    migrations.sort();
    client
        .batch_execute("drop schema public cascade; create schema public")
        .await?;
    for migration in migrations {
        client
            .batch_execute(&std::fs::read_to_string(&migration)?)
            .await
            .with_context(|| format!("{} does not run", migration.display()))?;
    }
    let cache = root.join(".sqlx");
    let fresh = dir.join("cache");
    std::fs::create_dir_all(&fresh)?;
    let touched = root.join("store/src/lib.rs");
    File::options()
        .append(true)
        .open(&touched)?
        .set_modified(std::time::SystemTime::now())?;
    let checked = cargo()
        .current_dir(&root)
        .args(["check", "--package", "store", "--all-targets"])
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &fresh)
        .env("DATABASE_URL", &url)
        .status()?;
    ensure!(
        checked.success(),
        "the store does not compile against its own migrations"
    );
    drop(stack);
    let names = |dir: &Path| -> anyhow::Result<std::collections::BTreeSet<std::ffi::OsString>> {
        Ok(std::fs::read_dir(dir)?
            .map(|e| e.map(|e| e.file_name()))
            .collect::<Result<_, _>>()?)
    };
    let new = names(&fresh)?;
    ensure!(!new.is_empty(), "sqlx wrote no cache");
    if check {
        let same = cache.exists() && names(&cache)? == new;
        ensure!(
            same,
            "the offline cache is out of date; run: cargo dev sqlx-prepare"
        );
    } else {
        if cache.exists() {
            std::fs::remove_dir_all(&cache)?;
        }
        std::fs::create_dir_all(&cache)?;
        for name in &new {
            std::fs::copy(fresh.join(name), cache.join(name))?;
        }
        println!("{} queries in {}", new.len(), cache.display());
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(ExitCode::SUCCESS)
}

async fn bench(args: &[String]) -> anyhow::Result<ExitCode> {
    let binaries = build(true)?;
    let dir = root()?
        .join(".dev")
        .join(format!("bench-{}", std::process::id()));
    let status = Command::new(binaries.join("bench"))
        .args(args)
        .env("HUBSPOT_SYNC_BINARIES", &binaries)
        .env("HUBSPOT_SYNC_BENCH_DIR", &dir)
        .env(GUARD_PROGRAM, guard::this_program()?)
        .status()?;
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
