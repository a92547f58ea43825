//! One process of those that hammer a portal: the real budget in the real store, the real client.
//! It prints what it saw as one line of JSON. Started by `bench budget` and by the tests of X3.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks to whoever typed it"
)]

use std::{
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use activities::{BudgetConfig, Metrics, SharedBudgets};
use clap::Parser;
use dev::hammer::HammerReport;
use domain::{Epoch, PortalId, WorkspaceId};
use hubspot::{
    Client, ClientConfig, Error, ObjectType, RequestClass, StaticToken, objects::ListRequest,
};
use secrecy::SecretString;
use store::{Store, StoreConfig};

#[derive(Parser)]
struct Args {
    #[arg(long, env = "DATABASE_URL")]
    database_url: String,
    #[arg(long, env = "TOKEN_ENCRYPTION_KEYS")]
    keys: String,
    #[arg(long, env = "ERASURE_KEY")]
    erasure_key: String,
    #[arg(long, env = "HUBSPOT_API_URL")]
    api_url: url::Url,
    #[arg(long, env = "HUBSPOT_CLIENT_ID")]
    client_id: Option<String>,
    /// The access token of the connection
    #[arg(long, env = "HAMMER_TOKEN")]
    token: String,
    #[arg(long)]
    workspace: WorkspaceId,
    #[arg(long)]
    portal: PortalId,
    #[arg(long)]
    epoch: i64,
    /// Requests of the class backfill that are under way or wait at the same time
    #[arg(long)]
    readers: usize,
    /// Milliseconds between two interactive calls, on average; none without
    #[arg(long)]
    interactive_ms: Option<u64>,
    /// Where to begin and to end, in milliseconds since 1970
    #[arg(long)]
    from_ms: u64,
    #[arg(long)]
    to_ms: u64,
}

#[derive(Default)]
struct Seen {
    requests: AtomicU64,
    too_many: AtomicU64,
    fenced: AtomicU64,
    daily: AtomicU64,
    failed: AtomicU64,
    waits_ms: Mutex<Vec<u64>>,
}

impl Seen {
    fn count(&self, result: Result<(), Error>) {
        let counter = match result {
            Ok(()) => &self.requests,
            Err(Error::RateLimited { .. }) => &self.too_many,
            Err(Error::Fenced) => &self.fenced,
            Err(Error::DailyLimit { .. }) => &self.daily,
            Err(error) => {
                eprintln!("{error}");
                &self.failed
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("budget-hammer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn since_1970() -> Duration {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
}

async fn one(client: &Client) -> Result<(), Error> {
    let request = ListRequest::new(ObjectType::Contact).properties(["lifecyclestage"]);
    client.objects().list(&request).await.map(drop)
}

async fn run(args: Args) -> anyhow::Result<()> {
    let store = Store::connect(StoreConfig {
        url: args.database_url.into(),
        pools: store::Pools::of(4),
        encryption_keys: args.keys.into(),
        erasure_key: args.erasure_key.into(),
    })
    .await?;
    let config = BudgetConfig {
        client_id: args.client_id,
        requests_per_10s: None,
    };
    let budgets = SharedBudgets::new(store, &config, Metrics::new()?);
    let client = Client::new(
        ClientConfig {
            api_url: args.api_url,
            ..ClientConfig::default()
        },
        Arc::new(StaticToken::new(SecretString::from(args.token))),
        budgets.of(args.workspace, args.portal, Epoch::new(args.epoch)),
    )?;
    let seen = Arc::new(Seen::default());
    let begin = Duration::from_millis(args.from_ms).saturating_sub(since_1970());
    let end = Instant::now() + Duration::from_millis(args.to_ms).saturating_sub(since_1970());
    tokio::time::sleep(begin).await;

    let mut tasks = Vec::new();
    for _ in 0..args.readers {
        let client = client
            .clone()
            .with_class(RequestClass::Backfill)
            .with_max_wait(Duration::from_secs(60));
        let seen = seen.clone();
        tasks.push(tokio::spawn(async move {
            loop {
                let done = one(&client).await;
                let over = matches!(done, Err(Error::Fenced | Error::DailyLimit { .. }));
                let failed = done.is_err();
                seen.count(done);
                if over {
                    break;
                }
                if failed {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }));
    }
    if let Some(every) = args.interactive_ms {
        let client = client
            .with_class(RequestClass::Interactive)
            .with_max_wait(Duration::from_secs(30));
        let seen = seen.clone();
        tasks.push(tokio::spawn(async move {
            loop {
                // Whenever people come: not in step with anything.
                let pause = rand::random_range(0..=every * 2);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let began = Instant::now();
                let done = one(&client).await;
                let waited = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                let ok = done.is_ok();
                seen.count(done);
                if ok {
                    let mut waits = seen.waits_ms.lock().unwrap_or_else(PoisonError::into_inner);
                    waits.push(waited);
                }
            }
        }));
    }
    tokio::time::sleep_until(end.into()).await;
    for task in &tasks {
        task.abort();
    }
    let counts = budgets.counts();
    let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let report = HammerReport {
        requests: get(&seen.requests),
        too_many: get(&seen.too_many),
        fenced: get(&seen.fenced),
        daily: get(&seen.daily),
        failed: get(&seen.failed),
        statements: counts.statements,
        let_go: counts.let_go,
        unused: counts.unused,
        interactive_ms: std::mem::take(
            &mut *seen.waits_ms.lock().unwrap_or_else(PoisonError::into_inner),
        ),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
