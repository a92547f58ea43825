//! `/healthz/live`, `/healthz/ready` and `/metrics`.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use activities::{Metrics, Pulse};
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use prometheus::Encoder as _;
use tokio::net::TcpListener;

/// Work in flight that has not moved for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(300);

/// What health knows.
#[derive(Clone)]
pub(crate) struct Health {
    parts: Arc<Mutex<BTreeMap<&'static str, bool>>>,
    pulse: Arc<Pulse>,
    metrics: Metrics,
    temporal_metrics: Arc<Mutex<Option<SocketAddr>>>,
}

impl Health {
    pub(crate) fn new(pulse: Arc<Pulse>, metrics: Metrics, parts: &[&'static str]) -> Self {
        Self {
            parts: Arc::new(Mutex::new(parts.iter().map(|p| (*p, false)).collect())),
            pulse,
            metrics,
            temporal_metrics: Arc::default(),
        }
    }

    /// A part came up or went down.
    pub(crate) fn set(&self, part: &'static str, up: bool) {
        self.parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(part, up);
    }

    /// Brings the metrics that are counts over all workspaces up to date.
    pub(crate) async fn watch(&self, store: &store::Store) {
        if let Err(error) = self.metrics.watch(store).await {
            tracing::warn!(code = error.code(), error = %error, "the gauges stay as they were");
        }
    }

    /// Where Temporal's own metrics are.
    pub(crate) fn set_temporal_metrics(&self, addr: SocketAddr) {
        *self
            .temporal_metrics
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(addr);
    }

    fn stuck(&self) -> bool {
        self.pulse.stuck_for().is_some_and(|d| d > STUCK_AFTER)
    }

    fn down(&self) -> Vec<&'static str> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut down: Vec<_> = parts
            .iter()
            .filter(|(_, up)| !**up)
            .map(|(p, _)| *p)
            .collect();
        if self.stuck() {
            down.push("progress");
        }
        down
    }
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, health: Health) {
    let router = Router::new()
        .route("/healthz/live", get(live))
        .route("/healthz/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(error = %error, "health and metrics are no longer served");
    }
}

async fn live(State(health): State<Health>) -> impl IntoResponse {
    if health.stuck() {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "work in flight has not moved for 5 minutes\n",
        )
    } else {
        (StatusCode::OK, "live\n")
    }
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let down = health.down();
    if down.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {}\n", down.join(", ")),
        )
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    let mut body = Vec::new();
    let encoded =
        prometheus::TextEncoder::new().encode(&health.metrics.registry().gather(), &mut body);
    if let Err(error) = encoded {
        return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    }
    let addr = *health
        .temporal_metrics
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(addr) = addr {
        match fetch(addr).await {
            Ok(text) => body.extend_from_slice(text.as_bytes()),
            Err(error) => tracing::warn!(error = %error, "Temporal's metrics are missing"),
        }
    }
    (StatusCode::OK, String::from_utf8_lossy(&body).into_owned())
}

/// The SDK's exporter serves plain HTTP/1 on loopback.
async fn fetch(addr: SocketAddr) -> anyhow::Result<String> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(2))
        .no_proxy()
        .build()?;
    Ok(client
        .get(format!("http://{addr}/metrics"))
        .send()
        .await?
        .error_for_status()?
        .text()
        .await?)
}
