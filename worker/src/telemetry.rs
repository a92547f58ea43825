//! Temporal's metrics.

use std::{net::SocketAddr, sync::Arc};

use temporalio_common::telemetry::{
    PrometheusExporterOptions, TelemetryOptions,
    metrics::{CoreMeter, TemporalMeter},
    start_prometheus_metric_exporter, telemetry_init,
};
use temporalio_sdk::{Runtime, runtime::RuntimeOptions};

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
