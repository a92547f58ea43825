//! Ending: when somebody asks for it, and in time.

use std::time::Duration;

/// Comes back when the process is asked to end: SIGTERM or Ctrl-C.
pub async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(error = %error, "SIGTERM cannot be watched; Ctrl-C still works");
            // Without Ctrl-C either there is nothing to wait for.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Waits for what is ending, but not longer than this: `None` when it did not end in time.
pub async fn within<T>(deadline: Duration, ending: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(deadline, ending).await.ok()
}
