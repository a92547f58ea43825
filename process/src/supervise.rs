//! Tasks that have to run as long as the process: watched, and started again.

use std::{any::Any, panic::AssertUnwindSafe};

use futures::FutureExt as _;

use crate::Backoff;

/// How a supervised task ended.
#[derive(Debug, thiserror::Error)]
pub enum TaskEnd {
    /// It came to an end without being asked to.
    #[error("it ended")]
    Ended,
    /// It failed.
    #[error("{0:#}")]
    Failed(anyhow::Error),
    /// It panicked: a defect.
    #[error("it panicked: {0}")]
    Panicked(String),
}

/// Runs a task once, and says how it ended; a panic is caught.
///
/// # Errors
/// Always, unless it ended with `Ok`.
pub async fn once(task: impl Future<Output = anyhow::Result<()>>) -> Result<(), TaskEnd> {
    match AssertUnwindSafe(task).catch_unwind().await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(TaskEnd::Failed(error)),
        Err(panic) => Err(TaskEnd::Panicked(text_of(panic.as_ref()))),
    }
}

/// Runs a task again and again, ever more slowly while it does not stay, until `stopped` says so.
/// `ended` hears of each end before the next start: that is where the health learns of it.
pub async fn keep_running<F>(
    name: &'static str,
    mut task: impl FnMut() -> F,
    mut ended: impl FnMut(),
    stopped: impl Fn() -> bool,
) where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut backoff = Backoff::default();
    while !stopped() {
        let end = once(task()).await;
        ended();
        if stopped() {
            return;
        }
        let end = end.err().unwrap_or(TaskEnd::Ended);
        tracing::error!(code = "HS-5009", task = name, end = %end, "a task ended; starting it again");
        backoff.wait().await;
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a text".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_fails_or_ends_is_started_again_and_the_health_hears_of_it() {
        let (starts, ends) = (AtomicU32::new(0), AtomicU32::new(0));
        keep_running(
            "test",
            || async {
                match starts.fetch_add(1, Ordering::SeqCst) {
                    0 => panic!("a defect"),
                    1 => anyhow::bail!("not now"),
                    _ => Ok(()),
                }
            },
            || {
                ends.fetch_add(1, Ordering::SeqCst);
            },
            || starts.load(Ordering::SeqCst) == 4,
        )
        .await;
        assert_eq!(ends.load(Ordering::SeqCst), 4);
        let panicked = once(async { panic!("number {}", 7) }).await.unwrap_err();
        assert_eq!(panicked.to_string(), "it panicked: number 7");
    }
}
