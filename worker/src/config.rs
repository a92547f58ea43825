//! Configuration from environment and flags. Wrong or missing: one message, exit code 2.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use activities::RateLimits;
use clap::{Parser, Subcommand};
use domain::Sharing;
use secrecy::SecretString;
use url::Url;

/// Why the configuration cannot be used. The value is not repeated: it may be a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    variable: &'static str,
    problem: String,
    example: &'static str,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "configuration: {} {}; for example {}={}",
            self.variable, self.problem, self.variable, self.example
        )
    }
}

impl std::error::Error for ConfigError {}

/// The worker of the HubSpot sync.
#[derive(Parser)]
#[command(name = "hubspot-sync-worker", version, about, long_about = None)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Postgres, e.g. postgres://user:password@host:5432/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Most connections to Postgres from this process
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value = "20")]
    database_max_connections: String,
    /// Temporal's frontend as host:port, e.g. localhost:7233
    #[arg(long, env = "TEMPORAL_ADDRESS")]
    temporal_address: Option<String>,
    /// Temporal namespace
    #[arg(long, env = "TEMPORAL_NAMESPACE", default_value = "default")]
    temporal_namespace: String,
    /// Where HubSpot's API is
    #[arg(
        long,
        env = "HUBSPOT_API_URL",
        default_value = "https://api.hubapi.com"
    )]
    hubspot_api_url: String,
    /// Where HubSpot's app is (consent page)
    #[arg(
        long,
        env = "HUBSPOT_APP_URL",
        default_value = "https://app.hubspot.com"
    )]
    hubspot_app_url: String,
    /// Client id of the HubSpot app; not needed where only service keys are used
    #[arg(long, env = "HUBSPOT_CLIENT_ID")]
    hubspot_client_id: Option<String>,
    /// Client secret of the HubSpot app
    #[arg(long, env = "HUBSPOT_CLIENT_SECRET", hide_env_values = true)]
    hubspot_client_secret: Option<String>,
    /// Most requests per ten seconds in one portal, by all workers together; without it, what HubSpot
    /// allows
    #[arg(long, env = "HUBSPOT_REQUESTS_PER_10S")]
    hubspot_requests_per_10s: Option<String>,
    /// `on`, or `off` for measuring against a simulator without limits
    #[arg(long, env = "HUBSPOT_BUDGET", default_value = "on")]
    hubspot_budget: String,
    /// Keys that encrypt tokens at rest: `<key id>:<base64 of 32 bytes>`, the first encrypts, older
    /// ones behind a comma only decrypt
    #[arg(long, env = "TOKEN_ENCRYPTION_KEYS", hide_env_values = true)]
    token_encryption_keys: Option<String>,
    /// Key of the hashes that stay of erased people: base64 of 32 bytes, the same for ever
    #[arg(long, env = "ERASURE_KEY", hide_env_values = true)]
    erasure_key: Option<String>,
    /// Where health and metrics are served
    #[arg(long, env = "WORKER_HTTP_ADDR", default_value = "127.0.0.1:9464")]
    worker_http_addr: String,
    /// Backfill slices that run at the same time in this process
    #[arg(long, env = "BULK_SLOTS", default_value = "16")]
    bulk_slots: String,
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
    /// Log lines as `text` or `json`; which ones, says RUST_LOG (default `info`)
    #[arg(long, env = "LOG_FORMAT", default_value = "text")]
    log_format: String,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the JSON Schemas of what crosses Temporal, for main apps in any language, and ends
    Schemas {
        /// The folder
        dir: PathBuf,
    },
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// The configuration, checked.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) database_url: SecretString,
    pub(crate) database_max_connections: u32,
    pub(crate) temporal_address: Url,
    pub(crate) temporal_namespace: String,
    pub(crate) hubspot_api_url: Url,
    pub(crate) hubspot_app_url: Url,
    pub(crate) app: Option<AppCredentials>,
    pub(crate) rate_limits: RateLimits,
    pub(crate) token_encryption_keys: SecretString,
    pub(crate) erasure_key: SecretString,
    pub(crate) http_addr: SocketAddr,
    pub(crate) bulk_slots: usize,
    pub(crate) sweep_every: Duration,
    pub(crate) slice: Duration,
    pub(crate) sharing: Sharing,
    pub(crate) shutdown: Duration,
    pub(crate) recycle_bytes: u64,
    pub(crate) log_format: LogFormat,
}

/// The HubSpot app.
#[derive(Debug)]
pub(crate) struct AppCredentials {
    pub(crate) client_id: String,
    pub(crate) client_secret: SecretString,
}

impl Args {
    /// The folder that JSON Schemas are asked for in.
    pub(crate) fn wants_schemas(&self) -> Option<PathBuf> {
        self.command
            .as_ref()
            .map(|Command::Schemas { dir }| dir.clone())
    }

    pub(crate) fn check(self) -> Result<Config, ConfigError> {
        const DATABASE: &str = "postgres://sync:secret@localhost:5432/hubspot_sync";
        const KEYS: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        const ERASURE_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let app = match (self.hubspot_client_id, self.hubspot_client_secret) {
            (Some(client_id), Some(secret)) => Some(AppCredentials {
                client_id,
                client_secret: secret.into(),
            }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(missing("HUBSPOT_CLIENT_SECRET", "the app's client secret"));
            }
            (None, Some(_)) => return Err(missing("HUBSPOT_CLIENT_ID", "the app's client id")),
        };
        let database_url = required(self.database_url, "DATABASE_URL", DATABASE)?;
        if !database_url.starts_with("postgres://") && !database_url.starts_with("postgresql://") {
            return Err(wrong(
                "DATABASE_URL",
                "is not a postgres:// address",
                DATABASE,
            ));
        }
        let requests_per_10s = self
            .hubspot_requests_per_10s
            .filter(|text| !text.is_empty())
            .map(|text| number(&text, "HUBSPOT_REQUESTS_PER_10S", 1..=100_000, "110"))
            .transpose()?
            .map(|n| n as u32);
        let rate_limits = match self.hubspot_budget.as_str() {
            "on" => RateLimits::Shared { requests_per_10s },
            "off" => RateLimits::Off,
            _ => return Err(wrong("HUBSPOT_BUDGET", "is neither on nor off", "on")),
        };
        let backfill_search = match self.backfill_search.as_str() {
            "on" => true,
            "off" => false,
            _ => return Err(wrong("BACKFILL_SEARCH", "is neither on nor off", "on")),
        };
        let temporal = required(self.temporal_address, "TEMPORAL_ADDRESS", "localhost:7233")?;
        Ok(Config {
            database_url: database_url.into(),
            database_max_connections: number(
                &self.database_max_connections,
                "DATABASE_MAX_CONNECTIONS",
                2..=1_000,
                "20",
            )? as u32,
            temporal_address: temporal_url(&temporal)?,
            temporal_namespace: self.temporal_namespace,
            hubspot_api_url: http_url(
                &self.hubspot_api_url,
                "HUBSPOT_API_URL",
                "https://api.hubapi.com",
            )?,
            hubspot_app_url: http_url(
                &self.hubspot_app_url,
                "HUBSPOT_APP_URL",
                "https://app.hubspot.com",
            )?,
            app,
            rate_limits,
            token_encryption_keys: required(
                self.token_encryption_keys,
                "TOKEN_ENCRYPTION_KEYS",
                KEYS,
            )?
            .into(),
            erasure_key: required(self.erasure_key, "ERASURE_KEY", ERASURE_KEY)?.into(),
            http_addr: self
                .worker_http_addr
                .parse()
                .map_err(|_| wrong("WORKER_HTTP_ADDR", "is no address:port", "127.0.0.1:9464"))?,
            bulk_slots: number(&self.bulk_slots, "BULK_SLOTS", 1..=1_000, "16")? as usize,
            sweep_every: Duration::from_secs(number(
                &self.sweep_seconds,
                "SWEEP_SECONDS",
                1..=3_600,
                "30",
            )?),
            sharing: Sharing {
                split_from: number(
                    &self.backfill_split_from,
                    "BACKFILL_SPLIT_FROM",
                    1..=u64::MAX,
                    "10000",
                )?,
                list_readers: number(
                    &self.backfill_list_readers,
                    "BACKFILL_LIST_READERS",
                    1..=64,
                    "6",
                )? as u32,
                search: backfill_search && rate_limits != RateLimits::Off,
            },
            slice: Duration::from_secs(number(&self.slice_seconds, "SLICE_SECONDS", 1..=60, "30")?),
            shutdown: Duration::from_secs(number(
                &self.shutdown_seconds,
                "SHUTDOWN_SECONDS",
                1..=600,
                "25",
            )?),
            recycle_bytes: number(
                &self.recycle_memory_mb,
                "RECYCLE_MEMORY_MB",
                64..=1_000_000,
                "1024",
            )? * 1024
                * 1024,
            log_format: match self.log_format.as_str() {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return Err(wrong("LOG_FORMAT", "is neither text nor json", "json")),
            },
        })
    }
}

fn missing(variable: &'static str, example: &'static str) -> ConfigError {
    wrong(variable, "is not set", example)
}

fn wrong(variable: &'static str, problem: &str, example: &'static str) -> ConfigError {
    ConfigError {
        variable,
        problem: problem.to_owned(),
        example,
    }
}

fn required(
    value: Option<String>,
    variable: &'static str,
    example: &'static str,
) -> Result<String, ConfigError> {
    value
        .filter(|v| !v.is_empty())
        .ok_or_else(|| missing(variable, example))
}

fn number(
    text: &str,
    variable: &'static str,
    range: std::ops::RangeInclusive<u64>,
    example: &'static str,
) -> Result<u64, ConfigError> {
    text.parse()
        .ok()
        .filter(|n| range.contains(n))
        .ok_or_else(|| ConfigError {
            variable,
            problem: format!(
                "is not a whole number from {} to {}",
                range.start(),
                range.end()
            ),
            example,
        })
}

fn http_url(text: &str, variable: &'static str, example: &'static str) -> Result<Url, ConfigError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| wrong(variable, "is not an http(s) address", example))
}

fn temporal_url(text: &str) -> Result<Url, ConfigError> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    Url::parse(&with_scheme)
        .ok()
        .filter(|url| url.has_host() && url.port_or_known_default().is_some())
        .ok_or_else(|| wrong("TEMPORAL_ADDRESS", "is not host:port", "localhost:7233"))
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
        assert_eq!(config.temporal_address.as_str(), "http://localhost:7233/");
        assert_eq!(config.sharing, Sharing::default());
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
            ("--hubspot-budget=sekret", "HUBSPOT_BUDGET"),
            ("--hubspot-requests-per-10s=0", "HUBSPOT_REQUESTS_PER_10S"),
            ("--hubspot-client-id=x", "HUBSPOT_CLIENT_SECRET"),
            ("--backfill-split-from=0", "BACKFILL_SPLIT_FROM"),
            ("--backfill-list-readers=sekret", "BACKFILL_LIST_READERS"),
            ("--backfill-search=sekret", "BACKFILL_SEARCH"),
            ("--log-format=xml", "LOG_FORMAT"),
            ("--erasure-key=", "ERASURE_KEY"),
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
            let message = Args::parse_from(all).check().unwrap_err().to_string();
            assert!(message.contains(variable), "{message}");
            assert!(message.contains("for example"), "{message}");
            assert!(!message.contains("sekret"), "{message}");
        }
    }
}
