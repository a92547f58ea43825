//! What the front door counts, and where it tells: `/metrics` at an address of its own, if one is
//! configured. Numbers only.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use tokio::net::TcpListener;

use crate::state::App;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted since the process began.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) webhook_events: Counter,
    pub(crate) webhook_events_unreadable: Counter,
    pub(crate) webhook_records: Counter,
    pub(crate) webhook_portals_unknown: Counter,
    pub(crate) webhooks_refused: Counter,
}

impl Tally {
    fn text(&self, following: usize) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        let mut put = |name: &str, kind: &str, help: &str, value: u64| {
            // Writing to a String does not fail.
            let _ = writeln!(
                out,
                "# HELP hubspot_sync_{name} {help}\n# TYPE hubspot_sync_{name} {kind}\nhubspot_sync_{name} {value}"
            );
        };
        for (name, help, counter) in [
            (
                "webhook_events_total",
                "Events that HubSpot delivered",
                &self.webhook_events,
            ),
            (
                "webhook_events_unreadable_total",
                "Of them, those that cannot be read",
                &self.webhook_events_unreadable,
            ),
            (
                "webhook_rows_total",
                "Rows that deliveries wrote, one for each record and workspace",
                &self.webhook_records,
            ),
            (
                "webhook_portals_unknown_total",
                "Portals in deliveries that no connected workspace has",
                &self.webhook_portals_unknown,
            ),
            (
                "webhooks_refused_total",
                "Deliveries with a wrong signature, too old, or not readable",
                &self.webhooks_refused,
            ),
        ] {
            put(name, "counter", help, counter.get());
        }
        put(
            "changes_followers",
            "gauge",
            "Calls that wait for changes",
            following as u64,
        );
        out
    }
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, app: App) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .with_state(app);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(error = %error, "metrics are no longer served");
    }
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        app.tally.text(app.followers.count()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_told_with_its_kind() {
        let tally = Tally::default();
        tally.webhook_events.add(3);
        let text = tally.text(2);
        assert!(
            text.contains("\nhubspot_sync_webhook_events_total 3\n"),
            "{text}"
        );
        assert!(
            text.contains("# TYPE hubspot_sync_changes_followers gauge"),
            "{text}"
        );
        assert!(
            text.ends_with("hubspot_sync_changes_followers 2\n"),
            "{text}"
        );
    }
}
