//! Sees the answers that the client sees.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use hubspot::{BudgetRefused, BudgetRequest, Permit, RateBudget, ResponseObservation};

/// A budget that lets everything through and keeps what came back.
#[derive(Debug, Default)]
pub(super) struct Observer(Mutex<Vec<ResponseObservation>>);

impl Observer {
    /// What came back since the last time.
    pub(super) fn take(&self) -> Vec<ResponseObservation> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The statuses since the last time.
    pub(super) fn statuses(&self) -> Vec<u16> {
        self.take().into_iter().map(|o| o.status).collect()
    }
}

#[async_trait]
impl RateBudget for Observer {
    async fn acquire(&self, _request: &BudgetRequest) -> Result<Permit, BudgetRefused> {
        Ok(Permit::default())
    }

    fn observe(
        &self,
        _request: &BudgetRequest,
        _permit: Permit,
        observation: &ResponseObservation,
    ) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(*observation);
    }
}
