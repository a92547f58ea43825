//! The one door to activities, timers, children and signals.
//!
//! SDK 1.1.1 keeps a workflow's context alive for ever when a pending future is dropped un-awaited
//! (the losing arm of a `select!`, an abandoned child, a cache eviction). Each operation here owns a
//! child token and cancels it when dropped, which removes the leak and orphaned timers on the server.

use std::time::Duration;

use domain::{PortalId, Urgency};
use temporalio_common::ActivityDefinition;
use temporalio_common::data_converters::TemporalDeserializable;
use temporalio_workflow::{
    ActivityExecutionError, ActivityOptions, RetryPolicy, TimerOptions, TimerResult,
    WaitConditionOptions, WorkflowCancellationToken, WorkflowContext, select,
};

use crate::names::{TaskQueue, priority};

/// A cancellation scope that ends with the operation it was made for.
#[derive(Debug)]
pub struct Scope(WorkflowCancellationToken);

impl Scope {
    /// Ends when the workflow is cancelled, or when dropped.
    pub fn inherited<W>(ctx: &WorkflowContext<W>) -> Self {
        Self(ctx.cancellation_token().child_token())
    }

    /// Goes on when the workflow is cancelled: for clean-up. Ends when dropped.
    pub fn detached() -> Self {
        Self(WorkflowCancellationToken::new())
    }

    /// The token to hand to an operation.
    pub fn token(&self) -> WorkflowCancellationToken {
        self.0.clone()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// How an activity is called.
#[derive(Debug, Clone)]
pub struct Call {
    queue: TaskQueue,
    start_to_close: Duration,
    heartbeat: Option<Duration>,
    summary: String,
    urgency: Urgency,
    portal: Option<PortalId>,
    detached: bool,
}

impl Call {
    /// A short activity on the main queue, 10 s long at most.
    pub fn short(summary: impl Into<String>) -> Self {
        Self {
            queue: TaskQueue::Main,
            start_to_close: Duration::from_secs(10),
            heartbeat: None,
            summary: summary.into(),
            urgency: Urgency::Interactive,
            portal: None,
            detached: false,
        }
    }

    /// Another task queue.
    #[must_use]
    pub fn queue(mut self, queue: TaskQueue) -> Self {
        self.queue = queue;
        self
    }

    /// Another limit for one attempt.
    #[must_use]
    pub fn start_to_close(mut self, limit: Duration) -> Self {
        self.start_to_close = limit;
        self
    }

    /// Declares an attempt dead after this long without a heartbeat.
    #[must_use]
    pub fn heartbeat(mut self, limit: Duration) -> Self {
        self.heartbeat = Some(limit);
        self
    }

    /// Priority and fairness.
    #[must_use]
    pub fn urgency(mut self, urgency: Urgency, portal: PortalId) -> Self {
        self.urgency = urgency;
        self.portal = Some(portal);
        self
    }

    /// The least urgent, and of no portal.
    #[must_use]
    pub fn unhurried(mut self) -> Self {
        self.urgency = Urgency::Backfill;
        self
    }

    /// Goes on although the workflow is cancelled.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.detached = true;
        self
    }

    fn options(&self, token: WorkflowCancellationToken) -> ActivityOptions {
        // The classes that no retry mends are answers of the activities, not failures; so every
        // failure is worth another attempt, ever more slowly.
        let retry = RetryPolicy::builder()
            .initial_interval(Duration::from_millis(500))
            .backoff_coefficient(2.0)
            .maximum_interval(Duration::from_secs(60))
            .non_retryable_error_types([FAILURE_DEFECT])
            .build();
        let builder = ActivityOptions::with_start_to_close_timeout(self.start_to_close)
            .task_queue(self.queue.name().to_owned())
            .maybe_heartbeat_timeout(self.heartbeat)
            .retry_policy(retry)
            .summary(self.summary.clone())
            .priority(priority(self.urgency, self.portal))
            .cancellation_token(token);
        builder.build()
    }
}

/// The failure type of what no retry mends: a defect, or a store that holds the impossible.
pub const FAILURE_DEFECT: &str = "defect";

/// Runs an activity to its end.
///
/// # Errors
/// When the workflow was cancelled meanwhile, or the activity failed for good.
pub async fn activity<W, AD>(
    ctx: &WorkflowContext<W>,
    activity: AD,
    input: impl Into<AD::Input>,
    call: Call,
) -> Result<AD::Output, ActivityExecutionError>
where
    AD: ActivityDefinition,
    AD::Output: TemporalDeserializable,
{
    let scope = if call.detached {
        Scope::detached()
    } else {
        Scope::inherited(ctx)
    };
    ctx.execute_activity(activity, input, call.options(scope.token()))
        .await
}

/// Waits this long. `false` when the workflow was cancelled meanwhile.
pub async fn pause<W>(ctx: &WorkflowContext<W>, duration: Duration, summary: &str) -> bool {
    let scope = Scope::inherited(ctx);
    let options = TimerOptions::builder(duration)
        .summary(summary.to_owned())
        .cancellation_token(scope.token())
        .build();
    matches!(ctx.timer(options).await, TimerResult::Fired)
}

/// Why [`wait_until`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The condition holds.
    Met,
    /// The time was over first.
    TimedOut,
    /// The workflow was cancelled first.
    Cancelled,
}

/// Waits for a condition on the workflow's state, for at most `limit` if one is given.
///
/// A detached wait goes on although the workflow is cancelled.
pub async fn wait_until<W>(
    ctx: &WorkflowContext<W>,
    condition: impl FnMut(&W) -> bool,
    limit: Option<Duration>,
    summary: &str,
    scope: Scope,
) -> Waited {
    let mut met = Box::pin(
        ctx.wait_condition_with_options(
            condition,
            WaitConditionOptions::builder()
                .cancellation_token(scope.token())
                .build(),
        ),
    );
    let Some(limit) = limit else {
        return match met.await {
            Ok(()) => Waited::Met,
            Err(_) => Waited::Cancelled,
        };
    };
    let mut timer = ctx.timer(
        TimerOptions::builder(limit)
            .summary(summary.to_owned())
            .cancellation_token(scope.token())
            .build(),
    );
    select! {
        met = met => match met {
            Ok(()) => Waited::Met,
            Err(_) => Waited::Cancelled,
        },
        fired = timer => match fired {
            TimerResult::Fired => Waited::TimedOut,
            TimerResult::Cancelled => Waited::Cancelled,
        },
    }
}
