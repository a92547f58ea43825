//! Log lines.

use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::ConfigError;

/// What is logged when RUST_LOG says nothing.
const DEFAULT_FILTER: &str = "info,temporalio_sdk_core=warn,temporalio_client=warn,hyper=warn";

/// The flag and variable of all programs.
#[derive(clap::Args)]
pub struct LogArgs {
    /// Log lines as `text` or `json`; which ones, says RUST_LOG (default `info`)
    #[arg(long, env = "LOG_FORMAT", default_value = "text")]
    log_format: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl LogArgs {
    /// Checked.
    ///
    /// # Errors
    /// When it is neither.
    pub fn check(&self) -> Result<LogFormat, ConfigError> {
        match self.log_format.as_str() {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(ConfigError::new(
                "LOG_FORMAT",
                "is neither text nor json",
                "json",
            )),
        }
    }
}

/// Installs the process's one subscriber; the SDK's own console logger knows only one thread.
pub fn install(format: LogFormat) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match format {
        LogFormat::Text => registry
            .with(tracing_subscriber::fmt::layer().with_ansi(false))
            .try_init(),
        LogFormat::Json => registry
            .with(tracing_subscriber::fmt::layer().json())
            .try_init(),
    };
    if installed.is_err() {
        tracing::debug!("a subscriber is installed already");
    }
}
