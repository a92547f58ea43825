//! What activities that go on in slices have in common: how they tell that they live, and how what runs
//! them is started.

use std::{
    convert::Infallible,
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use temporalio_client::errors::WorkflowStartError;
use temporalio_sdk::activities::ActivityContext;

/// A slice that would wait longer than this for the budget gives its slot to others.
pub(crate) const MAX_BUDGET_WAIT: Duration = Duration::from_secs(5);
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);

/// Works, and tells Temporal meanwhile that the attempt lives, whatever it waits for, and how much is
/// done.
pub(crate) async fn alive<T>(
    ctx: &ActivityContext,
    done: &AtomicU64,
    work: impl Future<Output = T>,
) -> T {
    tokio::select! {
        worked = work => worked,
        never = heartbeat(ctx, done) => match never {},
    }
}

async fn heartbeat(ctx: &ActivityContext, done: &AtomicU64) -> Infallible {
    let mut every = tokio::time::interval(HEARTBEAT_EVERY);
    loop {
        every.tick().await;
        if let Err(error) = ctx.record_heartbeat(done.load(Ordering::Relaxed)).await {
            tracing::warn!(error = %error, "a heartbeat could not be recorded");
        }
    }
}

/// Whether a workflow was started; `false` where one runs under its id already.
pub(crate) fn started<T>(
    outcome: Result<T, WorkflowStartError>,
) -> Result<bool, WorkflowStartError> {
    match outcome {
        Ok(_) => Ok(true),
        Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
