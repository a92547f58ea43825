//! The life of the process: connect, poll, watch, shut down.

use std::{sync::Arc, thread, time::Duration};

use activities::{Activities, ActivitiesConfig, Metrics, Pulse};
use anyhow::Context as _;
use process::{database, shutdown, supervise, temporal::TemporalConfig};
use store::Store;
use temporalio_client::{
    Client, WorkflowIdConflictPolicy, WorkflowStartOptions, errors::WorkflowStartError,
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
    Backfill, BulkExport, Connection as ConnectionWorkflow, ContactExport, ExportPreview,
    ExportRecheck, OwnProperties, PeriodicSync, Profiles, Purge, Reconcile, Sweep, Verdicts,
    WebhookRead,
    names::{SWEEP_ID, TaskQueue},
    sweep::SweepInput,
};

use crate::{
    config::Config,
    health::{self, Health},
    memory, telemetry,
};

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Somebody asked for it.
    Shutdown,
    /// Memory went past its limit; start afresh.
    Recycle,
}

const PROGRAM: &str = "hubspot-sync-worker";
/// Beyond the deadline of a shutdown: what a refresh under way may still take.
const REFRESHES_END_WITHIN: Duration = Duration::from_secs(25);
/// A part that does not answer so soon counts as away.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
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
            TaskQueue::Sync.name(),
            TaskQueue::Export.name(),
        ],
    );
    let listener = TcpListener::bind(config.http_addr)
        .await
        .with_context(|| format!("cannot listen on WORKER_HTTP_ADDR {}", config.http_addr))?;
    tracing::info!(addr = %config.http_addr, "health and metrics are served");
    tokio::spawn(health::serve(listener, health.clone()));

    let (stop, stopped) = watch::channel(None::<Ended>);
    let asked = stop.clone();
    tokio::spawn(async move {
        shutdown::asked_to_stop().await;
        asked.send_replace(Some(Ended::Shutdown));
    });

    let telemetry = telemetry::start()?;
    health.set_temporal_metrics(telemetry.metrics_addr);
    let Some(store) = until_stopped(&stopped, database::open(&config.database)).await else {
        return Ok(ended(&stopped));
    };
    let store = store?;
    health.set(POSTGRES, true);
    let connecting = config
        .temporal
        .connect_until_there(PROGRAM, telemetry.meter.clone());
    let Some(client) = until_stopped(&stopped, connecting).await else {
        return Ok(ended(&stopped));
    };
    health.set(TEMPORAL, true);

    let activities = Activities::new(
        ActivitiesConfig {
            hubspot_api_url: config.hubspot.api_url.clone(),
            hubspot_app_url: config.hubspot.app_url.clone(),
            app: config
                .hubspot
                .app
                .as_ref()
                .map(|app| activities::AppCredentials {
                    client_id: app.client_id.clone(),
                    client_secret: app.client_secret.clone(),
                }),
            rate_limits: config.rate_limits,
            slice: config.slice,
            slots: config.bulk_slots,
            sharing: config.sharing,
            periodic: config.periodic,
            exports: config.exports,
        },
        store.clone(),
        client.clone(),
        metrics,
        pulse,
    )?;

    let every = config.sweep_every;
    let sweeps = client.clone();
    supervised("keep-sweep-running", &stopped, move || {
        keep_sweep_running(sweeps.clone(), every)
    });
    let probed = health.clone();
    supervised("probe", &stopped, move || {
        probe(store.clone(), client.clone(), probed.clone())
    });
    let limit = config.recycle_bytes;
    let recycle = stop.clone();
    supervised("watch-memory", &stopped, move || {
        watch_memory(limit, recycle.clone())
    });

    let runtime = Arc::new(telemetry.runtime);
    let (done, mut all_done) = mpsc::channel::<()>(1);
    for queue in TaskQueue::ALL {
        let supervised = Supervised {
            queue,
            runtime: runtime.clone(),
            meter: telemetry.meter.clone(),
            temporal: config.temporal.clone(),
            activities: activities.clone(),
            slots: match queue {
                TaskQueue::Main => queue.slots().activities,
                TaskQueue::Bulk => config.bulk_slots,
                TaskQueue::Sync => config.sync_slots,
                TaskQueue::Export => config.export_slots,
            },
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
    if shutdown::within(config.shutdown, all_done.recv())
        .await
        .is_none()
    {
        tracing::warn!("activities did not end in time; their uncommitted pages are read again");
    }
    // Beyond the deadline, for this only: a refresh token that HubSpot has replaced by now would be
    // lost, and the workspace would have to connect again.
    if !activities.settle(REFRESHES_END_WITHIN).await {
        tracing::error!(code = "HS-5008", "a token refresh did not end in time");
    }
    Ok(ended)
}

/// A task that runs as long as the process does.
fn supervised<F>(
    name: &'static str,
    stopped: &watch::Receiver<Option<Ended>>,
    task: impl FnMut() -> F + Send + 'static,
) where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let stopped = stopped.clone();
    tokio::spawn(async move {
        let over = || stopped.borrow().is_some();
        supervise::keep_running(name, task, || {}, over).await;
    });
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

async fn watch_memory(limit: u64, stop: watch::Sender<Option<Ended>>) -> anyhow::Result<()> {
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
            // Nothing is left to watch; the process ends.
            std::future::pending::<()>().await;
        }
    }
}

/// `Sweep` is one for the installation; every worker makes sure that it is there.
async fn keep_sweep_running(client: Client, every: Duration) -> anyhow::Result<()> {
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
async fn probe(store: Store, client: Client, health: Health) -> anyhow::Result<()> {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        let answered = tokio::time::timeout(ANSWERS_WITHIN, store.ping()).await;
        let is_there = matches!(answered, Ok(Ok(())));
        health.set(POSTGRES, is_there);
        if is_there {
            health.watch(&store).await;
        }
        let sweep = client.get_workflow_handle::<Sweep>(SWEEP_ID);
        let described = sweep.describe(Default::default());
        let answered = tokio::time::timeout(ANSWERS_WITHIN, described).await;
        health.set(TEMPORAL, matches!(answered, Ok(Ok(_))));
    }
}

/// One worker on its thread, started again when it fails.
struct Supervised {
    queue: TaskQueue,
    runtime: Arc<temporalio_sdk::Runtime>,
    meter: Option<temporalio_common::telemetry::metrics::TemporalMeter>,
    temporal: TemporalConfig,
    activities: Activities,
    /// Activities at the same time.
    slots: usize,
    grace: Duration,
    health: Health,
    stopped: watch::Receiver<Option<Ended>>,
}

impl Supervised {
    /// Until the process is to end. A panic of the worker is caught: its queue is down, the health
    /// says so, and it is started again.
    async fn run(self) {
        let name = self.queue.name();
        let down = || self.health.set(name, false);
        let stopped = || self.stopped.borrow().is_some();
        supervise::keep_running(name, || self.run_once(), down, stopped).await;
    }

    async fn run_once(&self) -> anyhow::Result<()> {
        // One connection per worker: the SDK refuses to poll a queue twice on one connection.
        let client = self.temporal.connect(PROGRAM, self.meter.clone()).await?;
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
        slots.activities = self.slots;
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
        Ok(match self.queue {
            TaskQueue::Bulk => options
                .register_activities(self.activities.backfill())
                .register_activities(self.activities.bulk_exports())
                .register_activities(self.activities.profiles())
                .register_activities(self.activities.purge())
                .register_activities(self.activities.reconcile())
                .register_activities(self.activities.verdicts())
                .build(),
            TaskQueue::Sync => options
                .register_activities(self.activities.webhooks())
                .register_activities(self.activities.periodic())
                .build(),
            TaskQueue::Export => options
                .register_activities(self.activities.contact_export())
                .register_activities(self.activities.previews())
                .register_activities(self.activities.own_properties())
                .register_activities(self.activities.rechecks())
                .build(),
            TaskQueue::Main => options
                .register_workflow::<ConnectionWorkflow>()?
                .register_workflow::<ContactExport>()?
                .register_workflow::<Backfill>()?
                .register_workflow::<BulkExport>()?
                .register_workflow::<ExportPreview>()?
                .register_workflow::<ExportRecheck>()?
                .register_workflow::<OwnProperties>()?
                .register_workflow::<Profiles>()?
                .register_workflow::<PeriodicSync>()?
                .register_workflow::<Purge>()?
                .register_workflow::<Reconcile>()?
                .register_workflow::<Sweep>()?
                .register_workflow::<WebhookRead>()?
                .register_workflow::<Verdicts>()?
                .register_activities(self.activities.connection())
                .register_activities(self.activities.backfill())
                .register_activities(self.activities.reconcile())
                .register_activities(self.activities.sweep())
                .build(),
        })
    }
}
