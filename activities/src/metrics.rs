//! Metrics of ours. Labels are types and codes, never ids of people, never text of records.

use domain::{BudgetBucket, ErrorCode, PauseReason, QuarantineReason, SyncType, Urgency};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// What is counted.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    records: IntCounterVec,
    quarantined: IntCounterVec,
    slices: IntCounterVec,
    troubles: IntCounterVec,
    in_trouble: IntGaugeVec,
    without_progress: IntGaugeVec,
    told: IntCounterVec,
    told_waiting: IntGauge,
    told_oldest_seconds: IntGauge,
    stale: IntGaugeVec,
    none_found: IntGaugeVec,
    oldest_seconds: IntGaugeVec,
    commit_seconds: HistogramVec,
    budget_wait_seconds: HistogramVec,
    budget_statements: IntCounter,
    budget_unused: IntCounter,
    budget_pauses: IntCounterVec,
    too_many: IntCounterVec,
}

impl Metrics {
    /// All metrics, in a registry of their own.
    ///
    /// # Errors
    /// When two metrics have one name: a defect.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("hubspot_sync".to_owned()), None)?;
        let records = IntCounterVec::new(
            Opts::new("records_committed_total", "Records committed to the mirror"),
            &["object_type"],
        )?;
        let quarantined = IntCounterVec::new(
            Opts::new("records_quarantined_total", "Records put in quarantine"),
            &["object_type", "reason"],
        )?;
        let slices = IntCounterVec::new(
            Opts::new("slices_total", "Slices by how they ended"),
            &["object_type", "end"],
        )?;
        let troubles = IntCounterVec::new(
            Opts::new(
                "troubles_total",
                "Times that something went wrong with a type and was to be tried again",
            ),
            &["object_type", "code"],
        )?;
        let in_trouble = IntGaugeVec::new(
            Opts::new(
                "types_in_trouble",
                "Types of workspaces, over all workers, with which something goes wrong now",
            ),
            &["object_type", "code"],
        )?;
        let without_progress = IntGaugeVec::new(
            Opts::new(
                "types_without_progress",
                "Types of workspaces, over all workers, that are read and have not moved for ten minutes",
            ),
            &["object_type"],
        )?;
        let told = IntCounterVec::new(
            Opts::new(
                "webhook_records_total",
                "Records that webhooks told of, by what became of them",
            ),
            &["object_type", "end"],
        )?;
        let told_waiting = IntGauge::new(
            "webhook_records_waiting",
            "Records over all workspaces that webhooks told of and that wait to be read",
        )?;
        let told_oldest_seconds = IntGauge::new(
            "webhook_oldest_wait_seconds",
            "Seconds that the oldest of them has waited",
        )?;
        registry.register(Box::new(told.clone()))?;
        registry.register(Box::new(told_waiting.clone()))?;
        registry.register(Box::new(told_oldest_seconds.clone()))?;
        let stale = IntGaugeVec::new(
            Opts::new(
                "types_stale",
                "Types of workspaces, over all workers, that were not brought up to date for three intervals",
            ),
            &["object_type"],
        )?;
        let oldest_seconds = IntGaugeVec::new(
            Opts::new(
                "freshness_oldest_seconds",
                "Age of the type of a workspace, over all workers, that was brought up to date the longest ago",
            ),
            &["object_type"],
        )?;
        let none_found = IntGaugeVec::new(
            Opts::new(
                "types_finding_nothing",
                "Types of workspaces, over all workers, whose readings find none of the records that are known",
            ),
            &["object_type"],
        )?;
        registry.register(Box::new(none_found.clone()))?;
        registry.register(Box::new(stale.clone()))?;
        registry.register(Box::new(oldest_seconds.clone()))?;
        registry.register(Box::new(troubles.clone()))?;
        registry.register(Box::new(in_trouble.clone()))?;
        registry.register(Box::new(without_progress.clone()))?;
        let commit_seconds = HistogramVec::new(
            HistogramOpts::new(
                "page_commit_seconds",
                "Seconds from a page in memory to its commit",
            )
            .buckets(vec![0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0]),
            &["object_type"],
        )?;
        let budget_wait_seconds = HistogramVec::new(
            HistogramOpts::new(
                "budget_wait_seconds",
                "Seconds that a request waited for the rate budget",
            )
            .buckets(vec![0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0]),
            &["class"],
        )?;
        let budget_statements = IntCounter::new(
            "budget_statements_total",
            "Statements to the database for the rate budget",
        )?;
        let budget_unused = IntCounter::new(
            "budget_slots_unused_total",
            "Slots of the rate budget that nobody used in time",
        )?;
        let budget_pauses = IntCounterVec::new(
            Opts::new(
                "budget_pauses_total",
                "Pauses of the rate budget that this process began",
            ),
            &["bucket", "reason"],
        )?;
        let too_many = IntCounterVec::new(
            Opts::new("rate_limited_total", "Answers of HubSpot with 429"),
            &["bucket"],
        )?;
        registry.register(Box::new(budget_wait_seconds.clone()))?;
        registry.register(Box::new(budget_statements.clone()))?;
        registry.register(Box::new(budget_unused.clone()))?;
        registry.register(Box::new(budget_pauses.clone()))?;
        registry.register(Box::new(too_many.clone()))?;
        registry.register(Box::new(records.clone()))?;
        registry.register(Box::new(quarantined.clone()))?;
        registry.register(Box::new(slices.clone()))?;
        registry.register(Box::new(commit_seconds.clone()))?;
        Ok(Self {
            registry,
            records,
            quarantined,
            slices,
            troubles,
            in_trouble,
            without_progress,
            told,
            told_waiting,
            told_oldest_seconds,
            stale,
            none_found,
            oldest_seconds,
            commit_seconds,
            budget_wait_seconds,
            budget_statements,
            budget_unused,
            budget_pauses,
            too_many,
        })
    }

    /// The registry, for whoever serves it.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A page was committed.
    pub fn page(&self, sync_type: SyncType, records: u64, seconds: f64) {
        self.records
            .with_label_values(&[sync_type.as_str()])
            .inc_by(records);
        self.commit_seconds
            .with_label_values(&[sync_type.as_str()])
            .observe(seconds);
    }

    /// A record was quarantined.
    pub fn quarantined(&self, sync_type: SyncType, reason: QuarantineReason) {
        self.quarantined
            .with_label_values(&[sync_type.as_str(), reason.as_str()])
            .inc();
    }

    /// A slice ended.
    pub fn slice(&self, sync_type: SyncType, end: &str) {
        self.slices
            .with_label_values(&[sync_type.as_str(), end])
            .inc();
    }

    /// Something went wrong with a type, and is tried again.
    pub fn trouble(&self, sync_type: SyncType, code: &ErrorCode) {
        self.troubles
            .with_label_values(&[sync_type.as_str(), code.as_str()])
            .inc();
    }

    /// Records that webhooks told of came to an end.
    pub(crate) fn told(&self, sync_type: SyncType, end: &str, records: u64) {
        if records > 0 {
            self.told
                .with_label_values(&[sync_type.as_str(), end])
                .inc_by(records);
        }
    }

    /// Asks the store how all workspaces do. Every worker says the same: alert on the greatest.
    ///
    /// # Errors
    /// When the database fails; the gauges stay as they were.
    pub async fn watch(&self, store: &store::Store) -> Result<(), store::StoreError> {
        let watched = store.watched().await?;
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.without_progress.reset();
        for sync_type in SyncType::ALL {
            // Zero is said too, so that an alert sees that it is over.
            self.without_progress
                .with_label_values(&[sync_type.as_str()])
                .set(0);
        }
        for (sync_type, n) in watched.without_progress {
            self.without_progress
                .with_label_values(&[sync_type.as_str()])
                .set(number(n));
        }
        let (waiting, oldest) = store.told_waiting().await?;
        self.told_waiting.set(number(waiting));
        self.told_oldest_seconds.set(number(oldest.as_secs()));
        for sync_type in SyncType::ALL {
            let (stale, oldest) = watched
                .freshness
                .iter()
                .find(|(of, _, _)| *of == sync_type)
                .map_or((0, 0), |(_, stale, age)| {
                    (number(*stale), age.num_seconds())
                });
            let label = [sync_type.as_str()];
            self.stale.with_label_values(&label).set(stale);
            let none = watched.none_found.iter().find(|(of, _)| *of == sync_type);
            self.none_found
                .with_label_values(&label)
                .set(none.map_or(0, |(_, n)| number(*n)));
            self.oldest_seconds.with_label_values(&label).set(oldest);
        }
        self.in_trouble.reset();
        for (sync_type, code, n) in watched.in_trouble {
            self.in_trouble
                .with_label_values(&[sync_type.as_str(), code.as_str()])
                .set(number(n));
        }
        Ok(())
    }

    /// A request was let go after this wait.
    pub(crate) fn budget_wait(&self, urgency: Urgency, seconds: f64) {
        self.budget_wait_seconds
            .with_label_values(&[urgency.as_str()])
            .observe(seconds);
    }

    /// The store was asked for the rate budget.
    pub(crate) fn budget_statement(&self) {
        self.budget_statements.inc();
    }

    /// So many slots went unused.
    pub(crate) fn budget_unused(&self, slots: u64) {
        self.budget_unused.inc_by(slots);
    }

    /// This process found out that everybody has to pause.
    pub(crate) fn budget_pause(&self, bucket: BudgetBucket, reason: PauseReason) {
        self.budget_pauses
            .with_label_values(&[bucket.as_str(), reason.as_str()])
            .inc();
    }

    /// HubSpot answered 429.
    pub(crate) fn budget_429(&self, bucket: BudgetBucket) {
        self.too_many.with_label_values(&[bucket.as_str()]).inc();
    }
}
