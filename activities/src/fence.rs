//! The fence where there is no shared budget, whose leases look at the fence themselves: no request
//! leaves that is older than the connection's epoch (C4).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{Epoch, WorkspaceId};
use hubspot::{BudgetRefused, BudgetRequest, Permit, RateBudget, ResponseObservation};
use store::Store;

/// How long a look at the connection is good. A request leaves at most this long after a fence went
/// up, which keeps the promise of one second with room for the request's own way.
const LOOK_IS_GOOD_FOR: Duration = Duration::from_millis(400);

/// A rate budget that also asks whether the connection is still in its epoch.
pub(crate) struct Fenced {
    budget: Arc<dyn RateBudget>,
    gate: Arc<Gate>,
}

/// Remembers for a moment that the connection was open.
pub(crate) struct Gate {
    store: Store,
    workspace: WorkspaceId,
    epoch: Epoch,
    /// When that was, by our own clock and by the database's.
    open_at: Mutex<Option<(Instant, DateTime<Utc>)>>,
}

impl Gate {
    pub(crate) fn new(store: Store, workspace: WorkspaceId, epoch: Epoch) -> Arc<Self> {
        Arc::new(Self {
            store,
            workspace,
            epoch,
            open_at: Mutex::new(None),
        })
    }

    /// The moment by the database's clock, if the connection is open.
    async fn check(&self) -> Result<DateTime<Utc>, BudgetRefused> {
        let looked = Instant::now();
        let open_at = *self.open_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, now)) = open_at {
            let since = looked.duration_since(at);
            if since < LOOK_IS_GOOD_FOR {
                return Ok(now + since);
            }
        }
        // A store that does not answer keeps the request back: nobody could say whether it may go.
        let state = self
            .store
            .fence_state(self.workspace)
            .await
            .map_err(|_| BudgetRefused::Unavailable)?;
        let open = state.filter(|s| s.epoch == self.epoch && s.state.may_call_hubspot());
        let Some(open) = open else {
            return Err(BudgetRefused::Fenced);
        };
        // Good from before the question, not from the answer.
        *self.open_at.lock().unwrap_or_else(PoisonError::into_inner) = Some((looked, open.now));
        Ok(open.now)
    }
}

impl Fenced {
    pub(crate) fn new(budget: Arc<dyn RateBudget>, gate: Arc<Gate>) -> Self {
        Self { budget, gate }
    }
}

#[async_trait]
impl RateBudget for Fenced {
    async fn acquire(&self, request: &BudgetRequest) -> Result<Permit, BudgetRefused> {
        let permit = self.budget.acquire(request).await?;
        // After the wait, which may have been long.
        let now = self.gate.check().await?;
        Ok(Permit {
            at: Some(now),
            ..permit
        })
    }

    fn observe(&self, request: &BudgetRequest, permit: Permit, observation: &ResponseObservation) {
        self.budget.observe(request, permit, observation);
    }
}
