//! Metrics of ours. Labels are types and codes, never ids of people, never text of records.

use domain::{QuarantineReason, SyncType};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// What is counted.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    records: IntCounterVec,
    quarantined: IntCounterVec,
    slices: IntCounterVec,
    commit_seconds: HistogramVec,
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
        let commit_seconds = HistogramVec::new(
            HistogramOpts::new(
                "page_commit_seconds",
                "Seconds from a page in memory to its commit",
            )
            .buckets(vec![0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0]),
            &["object_type"],
        )?;
        registry.register(Box::new(records.clone()))?;
        registry.register(Box::new(quarantined.clone()))?;
        registry.register(Box::new(slices.clone()))?;
        registry.register(Box::new(commit_seconds.clone()))?;
        Ok(Self {
            registry,
            records,
            quarantined,
            slices,
            commit_seconds,
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
}
