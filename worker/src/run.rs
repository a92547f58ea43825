//! The life of the process: connect, poll, watch, shut down.

use std::{sync::Arc, thread, time::Duration};

use activities::{Activities, ActivitiesConfig, Metrics, Pulse};
use anyhow::Context as _;
use store::{Store, StoreConfig};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, WorkflowIdConflictPolicy,
    WorkflowStartOptions, errors::WorkflowStartError,
};
use temporalio_sdk::{
    Worker, WorkerOptions,
    runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use workflows::{
    Backfill, Connection as ConnectionWorkflow, Purge, Sweep,
    names::{SWEEP_ID, TaskQueue},
    sweep::SweepInput,
};

use crate::{
    config::Config,
    health::{self, Health},
    memory,
    telemetry::{self, Telemetry},
};

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Somebody asked for it.
    Shutdown,
    /// Memory went past its limit; start afresh.
    Recycle,
}

const POSTGRES: &str = "postgres";
const TEMPORAL: &str = "temporal";
/// More than the live workflows of a busy installation: an eviction costs memory (design §3).
const CACHED_WORKFLOWS: usize = 5_000;

/// Runs until asked to stop.
pub(crate) async fn run(config: Config) -> anyhow::Result<Ended> {
    let pulse = Arc::new(Pulse::default());
    let metrics = Metrics::new()?;
    let health = Health::new(
        pulse.clone(),
        metrics.clone(),
        &[
            POSTGRES,
            TEMPORAL,
            TaskQueue::Main.name(),
            TaskQueue::Bulk.name(),
        ],
    );
    let listener = TcpListener::bind(config.http_addr)
        .await
        .with_context(|| format!("cannot listen on WORKER_HTTP_ADDR {}", config.http_addr))?;
    tracing::info!(addr = %config.http_addr, "health and metrics are served");
    tokio::spawn(health::serve(listener, health.clone()));

    let (stop, stopped) = watch::channel(None::<Ended>);
    tokio::spawn(watch_signals(stop.clone()));

    let telemetry = telemetry::start()?;
    health.set_temporal_metrics(telemetry.metrics_addr);
    let Some(store) = until_stopped(&stopped, open_store(&config)).await else {
        return Ok(ended(&stopped));
    };
    let store = store?;
    health.set(POSTGRES, true);
    let Some(client) = until_stopped(&stopped, connect(&config, &telemetry)).await else {
        return Ok(ended(&stopped));
    };
    health.set(TEMPORAL, true);

    let activities = Activities::new(
        ActivitiesConfig {
            hubspot_api_url: config.hubspot_api_url.clone(),
            hubspot_app_url: config.hubspot_app_url.clone(),
            app: config.app.as_ref().map(|app| activities::AppCredentials {
                client_id: app.client_id.clone(),
                client_secret: app.client_secret.clone(),
            }),
            rate_limits: config.rate_limits,
            slice: config.slice,
            slots: config.bulk_slots,
            sharing: config.sharing,
        },
        store.clone(),
        client.clone(),
        metrics,
        pulse,
    )?;

    tokio::spawn(keep_sweep_running(client.clone(), config.sweep_every));
    tokio::spawn(probe(store, client, health.clone()));
    tokio::spawn(watch_memory(config.recycle_bytes, stop.clone()));

    let runtime = Arc::new(telemetry.runtime);
    let (done, mut all_done) = mpsc::channel::<()>(1);
    for queue in TaskQueue::ALL {
        let supervised = Supervised {
            queue,
            runtime: runtime.clone(),
            meter: telemetry.meter.clone(),
            address: config.temporal_address.clone(),
            namespace: config.temporal_namespace.clone(),
            activities: activities.clone(),
            bulk_slots: config.bulk_slots,
            grace: config.shutdown / 2,
            health: health.clone(),
            stopped: stopped.clone(),
        };
        let handle = tokio::runtime::Handle::current();
        let done = done.clone();
        // `Worker::run` is one non-Send future: each worker gets a thread of its own.
        thread::Builder::new()
            .name(format!("worker-{}", queue.name()))
            .spawn(move || {
                handle.block_on(supervised.run());
                drop(done);
            })
            .context("cannot start a thread")?;
    }
    drop(done);

    let mut wait = stopped.clone();
    wait.wait_for(Option::is_some)
        .await
        .context("nobody is left to stop the worker")?;
    let ended = ended(&stopped);
    tracing::info!(reason = ?ended, "shutting down");
    if tokio::time::timeout(config.shutdown, all_done.recv())
        .await
        .is_err()
    {
        tracing::warn!("activities did not end in time; their uncommitted pages are read again");
    }
    Ok(ended)
}

fn ended(stopped: &watch::Receiver<Option<Ended>>) -> Ended {
    stopped.borrow().unwrap_or(Ended::Shutdown)
}

async fn until_stopped<T>(
    stopped: &watch::Receiver<Option<Ended>>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut stopped = stopped.clone();
    tokio::select! {
        done = work => Some(done),
        _ = stopped.wait_for(Option::is_some) => None,
    }
}

async fn watch_signals(stop: watch::Sender<Option<Ended>>) {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(error = %error, "SIGTERM cannot be watched; Ctrl-C still works");
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
        }
    }
    stop.send_replace(Some(Ended::Shutdown));
}

async fn watch_memory(limit: u64, stop: watch::Sender<Option<Ended>>) {
    let mut every = tokio::time::interval(Duration::from_secs(10));
    loop {
        every.tick().await;
        let Some(resident) = memory::resident_bytes() else {
            continue;
        };
        if resident > limit {
            tracing::info!(resident, limit, "memory is past its limit: recycling");
            stop.send_if_modified(|ended| {
                let first = ended.is_none();
                ended.get_or_insert(Ended::Recycle);
                first
            });
            return;
        }
    }
}

/// Waits longer and longer, from half a second to fifteen.
struct Backoff(Duration);

impl Backoff {
    const fn new() -> Self {
        Self(Duration::from_millis(500))
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(15));
    }
}

async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let mut backoff = Backoff::new();
    loop {
        let opened = async {
            let store = Store::connect(StoreConfig {
                url: config.database_url.clone(),
                max_connections: config.database_max_connections,
                encryption_keys: config.token_encryption_keys.clone(),
                erasure_key: config.erasure_key.clone(),
            })
            .await?;
            store.migrate().await?;
            Ok::<_, store::StoreError>(store)
        };
        match opened.await {
            Ok(store) => return Ok(store),
            // No amount of waiting mends the configuration.
            Err(error @ (store::StoreError::Keys(_) | store::StoreError::Address)) => {
                return Err(error.into());
            }
            Err(error) => {
                tracing::warn!(
                    address = %store::address_of(&config.database_url),
                    error = %error,
                    "Postgres (DATABASE_URL) is not to be had yet; trying again"
                );
            }
        }
        backoff.wait().await;
    }
}

async fn connect(config: &Config, telemetry: &Telemetry) -> Client {
    let mut backoff = Backoff::new();
    loop {
        let connected = connect_once(
            &config.temporal_address,
            &config.temporal_namespace,
            telemetry.meter.clone(),
        );
        match connected.await {
            Ok(client) => return client,
            Err(error) => {
                tracing::warn!(
                    address = %config.temporal_address,
                    error = %error,
                    "Temporal (TEMPORAL_ADDRESS) is not to be had yet; trying again"
                );
            }
        }
        backoff.wait().await;
    }
}

async fn connect_once(
    address: &url::Url,
    namespace: &str,
    meter: Option<temporalio_common::telemetry::metrics::TemporalMeter>,
) -> anyhow::Result<Client> {
    let mut options = ConnectionOptions::new(address.clone())
        .identity(format!("hubspot-sync-worker@{}", std::process::id()))
        .connect_timeout(Duration::from_secs(10))
        .build();
    options.metrics_meter = meter;
    let connection = Connection::connect(options).await?;
    Ok(Client::new(
        connection,
        ClientOptions::new(namespace.to_owned()).build(),
    )?)
}

/// `Sweep` is one for the installation; every worker makes sure that it is there.
async fn keep_sweep_running(client: Client, every: Duration) {
    let mut check = tokio::time::interval(Duration::from_secs(60));
    loop {
        check.tick().await;
        let options = WorkflowStartOptions::new(TaskQueue::Main.name(), SWEEP_ID)
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .static_summary("finds what lost its workflow or its signal")
            .build();
        let input = SweepInput {
            every_seconds: every.as_secs(),
        };
        match client.start_workflow(Sweep::run, input, options).await {
            Ok(_) | Err(WorkflowStartError::AlreadyStarted { .. }) => {}
            Err(error) => tracing::warn!(error = %error, "Sweep could not be started"),
        }
    }
}

/// Asks Postgres and Temporal now and then whether they are still there.
async fn probe(store: Store, client: Client, health: Health) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        let is_there = store.ping().await.is_ok();
        health.set(POSTGRES, is_there);
        if is_there {
            health.watch(&store).await;
        }
        let sweep = client.get_workflow_handle::<Sweep>(SWEEP_ID);
        let described = sweep.describe(Default::default());
        let answered = tokio::time::timeout(Duration::from_secs(5), described).await;
        health.set(TEMPORAL, matches!(answered, Ok(Ok(_))));
    }
}

/// One worker on its thread, started again when it fails.
struct Supervised {
    queue: TaskQueue,
    runtime: Arc<temporalio_sdk::Runtime>,
    meter: Option<temporalio_common::telemetry::metrics::TemporalMeter>,
    address: url::Url,
    namespace: String,
    activities: Activities,
    bulk_slots: usize,
    grace: Duration,
    health: Health,
    stopped: watch::Receiver<Option<Ended>>,
}

impl Supervised {
    async fn run(self) {
        let mut backoff = Backoff::new();
        while self.stopped.borrow().is_none() {
            match self.run_once().await {
                Ok(()) => {}
                Err(error) => {
                    tracing::error!(queue = self.queue.name(), error = %error, "the worker stopped; starting it again");
                }
            }
            self.health.set(self.queue.name(), false);
            if self.stopped.borrow().is_none() {
                backoff.wait().await;
            }
        }
    }

    async fn run_once(&self) -> anyhow::Result<()> {
        // One connection per worker: the SDK refuses to poll a queue twice on one connection.
        let client = connect_once(&self.address, &self.namespace, self.meter.clone()).await?;
        let mut worker = Worker::new(&self.runtime, client, self.options()?)?;
        let shutdown = worker.shutdown_handle();
        let mut stopped = self.stopped.clone();
        let stopper = tokio::spawn(async move {
            if stopped.wait_for(Option::is_some).await.is_ok() {
                shutdown();
            }
        });
        self.health.set(self.queue.name(), true);
        tracing::info!(queue = self.queue.name(), "polling");
        let ran = worker.run().await;
        stopper.abort();
        Ok(ran?)
    }

    fn options(&self) -> anyhow::Result<WorkerOptions> {
        let mut slots = self.queue.slots();
        if self.queue == TaskQueue::Bulk {
            slots.activities = self.bulk_slots;
        }
        let tuner = TunerHolder::builder()
            .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(slots.workflow_tasks))
            .activity_task_slot_supplier(FixedSizeSlotSupplier::new(slots.activities))
            .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(slots.local_activities))
            .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(1))
            .build();
        let options = WorkerOptions::new(self.queue.name())
            .max_cached_workflows(CACHED_WORKFLOWS)
            .tuner(tuner)
            .graceful_shutdown_period(self.grace);
        Ok(if self.queue == TaskQueue::Bulk {
            options
                .register_activities(self.activities.backfill())
                .register_activities(self.activities.purge())
                .build()
        } else {
            options
                .register_workflow::<ConnectionWorkflow>()?
                .register_workflow::<Backfill>()?
                .register_workflow::<Purge>()?
                .register_workflow::<Sweep>()?
                .register_activities(self.activities.connection())
                .register_activities(self.activities.backfill())
                .register_activities(self.activities.sweep())
                .build()
        })
    }
}
