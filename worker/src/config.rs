//! Configuration from environment and flags. Wrong or missing: one message, exit code 2.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use activities::{ExportConfig, PeriodicConfig, RateLimits};
use chrono::TimeDelta;
use clap::{Parser, Subcommand};
use domain::Sharing;
use process::{
    config::{ConfigError, HubSpotArgs, HubSpotConfig, count, number, on_or_off, seconds},
    database::{DatabaseArgs, DatabaseConfig, DatabaseDefaults},
    logging::{LogArgs, LogFormat},
    temporal::{TemporalArgs, TemporalConfig},
};

/// Twenty connections; a page waits for one rather than fail.
const DATABASE: DatabaseDefaults = DatabaseDefaults {
    max_connections: 20,
    acquire: Duration::from_secs(10),
};

/// The worker of the HubSpot sync.
#[derive(Parser)]
#[command(name = "hubspot-sync-worker", version, about, long_about = None)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    temporal: TemporalArgs,
    #[command(flatten)]
    hubspot: HubSpotArgs,
    #[command(flatten)]
    log: LogArgs,
    /// Most requests per ten seconds in one portal, by all workers together; without it, what HubSpot
    /// allows
    #[arg(long, env = "HUBSPOT_REQUESTS_PER_10S")]
    hubspot_requests_per_10s: Option<String>,
    /// `on`, or `off` for measuring against a simulator without limits
    #[arg(long, env = "HUBSPOT_BUDGET", default_value = "on")]
    hubspot_budget: String,
    /// Where health and metrics are served
    #[arg(long, env = "WORKER_HTTP_ADDR", default_value = "127.0.0.1:9464")]
    worker_http_addr: String,
    /// Backfill slices that run at the same time in this process
    #[arg(long, env = "BULK_SLOTS", default_value = "16")]
    bulk_slots: String,
    /// Slices of periodic syncs that run at the same time in this process
    #[arg(long, env = "SYNC_SLOTS", default_value = "16")]
    sync_slots: String,
    /// Seconds between two periodic syncs of every workspace, whatever its settings say: for tests and
    /// demos
    #[arg(long, env = "SYNC_SECONDS")]
    sync_seconds: Option<String>,
    /// Seconds between two readings of a type over the long window of a day
    #[arg(long, env = "SYNC_SWEEP_SECONDS", default_value = "3600")]
    sync_sweep_seconds: String,
    /// Seconds that a write of unknown outcome may take to land, before it may be sent again
    #[arg(long, env = "EXPORT_SETTLE_SECONDS", default_value = "90")]
    export_settle_seconds: String,
    /// Seconds after which the companies of a new contact are looked at once more
    #[arg(long, env = "EXPORT_RECHECK_SECONDS", default_value = "60")]
    export_recheck_seconds: String,
    /// Exports of single people that run at the same time in this process
    #[arg(long, env = "EXPORT_SLOTS", default_value = "50")]
    export_slots: String,
    /// Seconds between two sweeps for lost workflows and signals
    #[arg(long, env = "SWEEP_SECONDS", default_value = "30")]
    sweep_seconds: String,
    /// Seconds that a slice reads before it hands back, if others may wait; else up to 75
    #[arg(long, env = "SLICE_SECONDS", default_value = "30")]
    slice_seconds: String,
    /// Object types with at least so many records are read by several readers at once
    #[arg(long, env = "BACKFILL_SPLIT_FROM", default_value = "10000")]
    backfill_split_from: String,
    /// Readers of the list endpoint that share a big object type
    #[arg(long, env = "BACKFILL_LIST_READERS", default_value = "6")]
    backfill_list_readers: String,
    /// `on`, or `off` to leave search out of reading big object types; without a budget it is left
    /// out, as it only helps where requests are limited
    #[arg(long, env = "BACKFILL_SEARCH", default_value = "on")]
    backfill_search: String,
    /// Seconds that a graceful shutdown may take
    #[arg(long, env = "SHUTDOWN_SECONDS", default_value = "25")]
    shutdown_seconds: String,
    /// Resident memory in MiB past which the worker recycles itself
    #[arg(long, env = "RECYCLE_MEMORY_MB", default_value = "1024")]
    recycle_memory_mb: String,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the JSON Schemas of what crosses Temporal, for main apps in any language, and ends
    Schemas {
        /// The folder
        dir: PathBuf,
    },
    /// Encrypts all stored tokens under the first of TOKEN_ENCRYPTION_KEYS, while all goes on, and ends
    RotateKeys,
}

/// The configuration, checked.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) database: DatabaseConfig,
    pub(crate) temporal: TemporalConfig,
    pub(crate) hubspot: HubSpotConfig,
    pub(crate) rate_limits: RateLimits,
    pub(crate) http_addr: SocketAddr,
    pub(crate) bulk_slots: usize,
    pub(crate) sweep_every: Duration,
    pub(crate) slice: Duration,
    pub(crate) sharing: Sharing,
    pub(crate) sync_slots: usize,
    pub(crate) periodic: PeriodicConfig,
    pub(crate) exports: ExportConfig,
    pub(crate) export_slots: usize,
    pub(crate) shutdown: Duration,
    pub(crate) recycle_bytes: u64,
    pub(crate) log: LogFormat,
}

impl Args {
    /// The folder that JSON Schemas are asked for in.
    pub(crate) fn wants_schemas(&self) -> Option<PathBuf> {
        match &self.command {
            Some(Command::Schemas { dir }) => Some(dir.clone()),
            _ => None,
        }
    }

    /// The database whose tokens are to move to the first key, where that is asked for.
    pub(crate) fn wants_rotation(&self) -> Option<Result<DatabaseConfig, ConfigError>> {
        matches!(self.command, Some(Command::RotateKeys))
            .then(|| self.database.clone().check(DATABASE))
    }

    pub(crate) fn check(self) -> Result<Config, ConfigError> {
        let requests_per_10s = self
            .hubspot_requests_per_10s
            .filter(|text| !text.is_empty())
            .map(|text| count(&text, "HUBSPOT_REQUESTS_PER_10S", 1..=100_000, "110"))
            .transpose()?;
        let rate_limits = if on_or_off(&self.hubspot_budget, "HUBSPOT_BUDGET")? {
            RateLimits::Shared { requests_per_10s }
        } else {
            RateLimits::Off
        };
        let backfill_search = on_or_off(&self.backfill_search, "BACKFILL_SEARCH")?;
        Ok(Config {
            database: self.database.check(DATABASE)?,
            temporal: self.temporal.check()?,
            hubspot: self.hubspot.check()?,
            rate_limits,
            http_addr: self.worker_http_addr.parse().map_err(|_| {
                ConfigError::new("WORKER_HTTP_ADDR", "is no address:port", "127.0.0.1:9464")
            })?,
            bulk_slots: count(&self.bulk_slots, "BULK_SLOTS", 1..=1_000, "16")? as usize,
            sync_slots: count(&self.sync_slots, "SYNC_SLOTS", 1..=1_000, "16")? as usize,
            exports: ExportConfig {
                settle: TimeDelta::from_std(seconds(
                    &self.export_settle_seconds,
                    "EXPORT_SETTLE_SECONDS",
                    1..=3_600,
                    "90",
                )?)
                .unwrap_or(TimeDelta::seconds(90)),
                recheck_after: seconds(
                    &self.export_recheck_seconds,
                    "EXPORT_RECHECK_SECONDS",
                    1..=3_600,
                    "60",
                )?,
            },
            export_slots: count(&self.export_slots, "EXPORT_SLOTS", 1..=1_000, "50")? as usize,
            periodic: PeriodicConfig {
                interval: self
                    .sync_seconds
                    .filter(|text| !text.is_empty())
                    .map(|text| seconds(&text, "SYNC_SECONDS", 1..=86_400, "600"))
                    .transpose()?,
                sweep_every: seconds(
                    &self.sync_sweep_seconds,
                    "SYNC_SWEEP_SECONDS",
                    1..=86_400,
                    "3600",
                )?,
            },
            sweep_every: seconds(&self.sweep_seconds, "SWEEP_SECONDS", 1..=3_600, "30")?,
            sharing: Sharing {
                split_from: number(
                    &self.backfill_split_from,
                    "BACKFILL_SPLIT_FROM",
                    1..=u64::MAX,
                    "10000",
                )?,
                list_readers: count(
                    &self.backfill_list_readers,
                    "BACKFILL_LIST_READERS",
                    1..=64,
                    "6",
                )?,
                search: backfill_search && rate_limits != RateLimits::Off,
            },
            slice: seconds(&self.slice_seconds, "SLICE_SECONDS", 1..=60, "30")?,
            shutdown: seconds(&self.shutdown_seconds, "SHUTDOWN_SECONDS", 1..=600, "25")?,
            recycle_bytes: number(
                &self.recycle_memory_mb,
                "RECYCLE_MEMORY_MB",
                64..=1_000_000,
                "1024",
            )? * 1024
                * 1024,
            log: self.log.check()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(extra: &[&str]) -> Args {
        let mut all = vec![
            "hubspot-sync-worker",
            "--database-url=postgres://localhost/x",
            "--temporal-address=localhost:7233",
            "--token-encryption-keys=k1:AAAA",
            "--erasure-key=AAAA",
        ];
        all.extend(extra);
        Args::parse_from(all)
    }

    #[test]
    fn defaults_do() {
        let config = args(&[]).check().unwrap();
        assert_eq!(config.temporal.address(), "http://localhost:7233");
        assert_eq!(config.sharing, Sharing::default());
        assert_eq!(config.periodic, PeriodicConfig::default());
        assert_eq!(
            config.rate_limits,
            RateLimits::Shared {
                requests_per_10s: None
            }
        );
        let config = args(&["--hubspot-requests-per-10s=55"]).check().unwrap();
        assert_eq!(
            config.rate_limits,
            RateLimits::Shared {
                requests_per_10s: Some(55)
            }
        );
        let config = args(&["--hubspot-budget=off"]).check().unwrap();
        assert_eq!(config.rate_limits, RateLimits::Off);
        let unlimited = args(&["--hubspot-budget=off"]).check().unwrap();
        assert!(!unlimited.sharing.search);
    }

    #[test]
    fn a_wrong_value_names_its_variable_and_an_example_but_not_the_value() {
        let table = [
            ("--database-url=mysql://sekret", "DATABASE_URL"),
            ("--database-url=", "DATABASE_URL"),
            ("--temporal-address=:::", "TEMPORAL_ADDRESS"),
            ("--hubspot-api-url=ftp://sekret", "HUBSPOT_API_URL"),
            ("--worker-http-addr=sekret", "WORKER_HTTP_ADDR"),
            ("--slice-seconds=0", "SLICE_SECONDS"),
            ("--sweep-seconds=sekret", "SWEEP_SECONDS"),
            ("--sync-seconds=0", "SYNC_SECONDS"),
            ("--sync-slots=sekret", "SYNC_SLOTS"),
            ("--sync-sweep-seconds=sekret", "SYNC_SWEEP_SECONDS"),
            ("--hubspot-budget=sekret", "HUBSPOT_BUDGET"),
            ("--hubspot-requests-per-10s=0", "HUBSPOT_REQUESTS_PER_10S"),
            ("--hubspot-client-id=x", "HUBSPOT_CLIENT_SECRET"),
            ("--backfill-split-from=0", "BACKFILL_SPLIT_FROM"),
            ("--backfill-list-readers=sekret", "BACKFILL_LIST_READERS"),
            ("--backfill-search=sekret", "BACKFILL_SEARCH"),
            ("--log-format=xml", "LOG_FORMAT"),
            ("--erasure-key=", "ERASURE_KEY"),
            ("--database-max-connections=2", "DATABASE_MAX_CONNECTIONS"),
            (
                "--database-control-connections=19",
                "DATABASE_CONTROL_CONNECTIONS",
            ),
            (
                "--database-acquire-seconds=sekret",
                "DATABASE_ACQUIRE_SECONDS",
            ),
        ];
        for (flag, variable) in table {
            let mut all = vec!["hubspot-sync-worker"];
            let defaults = [
                "--database-url=postgres://localhost/x",
                "--temporal-address=localhost:7233",
                "--token-encryption-keys=k1:AAAA",
                "--erasure-key=AAAA",
            ];
            let name = flag.split('=').next().unwrap();
            all.extend(defaults.iter().filter(|d| !d.starts_with(name)));
            all.push(flag);
            let error = Args::parse_from(all).check().err();
            let message = error.unwrap_or_else(|| panic!("{flag} passes")).to_string();
            assert!(message.contains(variable), "{message}");
            assert!(message.contains("for example"), "{message}");
            assert!(!message.contains("sekret"), "{message}");
        }
    }

    #[test]
    fn no_secret_is_in_its_debug_form() {
        let config = args(&["--hubspot-client-id=x", "--hubspot-client-secret=sekret"]).check();
        let text = format!("{:?}", config.unwrap());
        assert!(!text.contains("sekret") && !text.contains("AAAA"), "{text}");
    }
}
