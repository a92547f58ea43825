//! Logs and metrics.

use std::{net::SocketAddr, sync::Arc};

use temporalio_common::telemetry::{
    PrometheusExporterOptions, TelemetryOptions,
    metrics::{CoreMeter, TemporalMeter},
    start_prometheus_metric_exporter, telemetry_init,
};
use temporalio_sdk::{Runtime, runtime::RuntimeOptions};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::LogFormat;

/// What is logged when RUST_LOG says nothing.
const DEFAULT_FILTER: &str = "info,temporalio_sdk_core=warn,temporalio_client=warn,hyper=warn";

/// Installs the process's one subscriber; the SDK's own console logger knows only one thread.
pub(crate) fn install_logging(format: LogFormat) {
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

/// Temporal's runtime, where its metrics are served, and the meter for its connection.
pub(crate) struct Telemetry {
    pub(crate) runtime: Runtime,
    pub(crate) metrics_addr: SocketAddr,
    pub(crate) meter: Option<TemporalMeter>,
}

/// Starts the SDK's exporter on a free loopback port; `/metrics` fetches from there.
pub(crate) fn start() -> anyhow::Result<Telemetry> {
    let exporter = start_prometheus_metric_exporter(
        PrometheusExporterOptions::builder()
            .socket_addr(SocketAddr::from(([127, 0, 0, 1], 0)))
            .build(),
    )?;
    let meter: Arc<dyn CoreMeter> = exporter.meter.clone();
    let options = RuntimeOptions::builder()
        .telemetry_options(TelemetryOptions::builder().metrics(meter.clone()).build())
        .build()
        .map_err(anyhow::Error::msg)?;
    let runtime = Runtime::from_current_tokio(options)?;
    // Metrics of requests need a meter on the connection, and the runtime does not show its own.
    let meter = telemetry_init(TelemetryOptions::builder().metrics(meter).build())?
        .get_temporal_metric_meter();
    Ok(Telemetry {
        runtime,
        metrics_addr: exporter.bound_addr,
        meter,
    })
}
