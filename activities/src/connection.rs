//! The activities of `Connection`. What each promises is said at its declaration.

use std::sync::Arc;

use chrono::Utc;
use store::StoreError;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::activities::{
    AdoptResync, AdoptedResync, ClaimedRun, EraseReport, FenceReport, ScheduleState, Turn,
    WorkspaceInput, declared,
};

use crate::{Deps, failure, schedules};

/// The activities of `Connection`.
pub struct Connecting {
    deps: Arc<Deps>,
}

impl Connecting {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn turn(&self, input: &WorkspaceInput) -> Result<Turn, ActivityError> {
        let store = &self.deps.store;
        let (run, connection) = loop {
            let run = store
                .claim_run(input.workspace, Utc::now())
                .await
                .map_err(|e| failure::of_store(&e))?;
            let connection = store
                .connection(input.workspace)
                .await
                .map_err(|e| failure::of_store(&e))?
                .ok_or_else(|| failure::defect("the workspace has no connection"))?;
            // Work carries the epoch of its claim. If a fence or a connect came between the two
            // looks, the claim is of another connection, and is made again.
            if run
                .as_ref()
                .is_none_or(|plan| plan.epoch == connection.epoch)
            {
                break (run, connection);
            }
        };
        let ever_finished = store
            .any_run_finished(input.workspace, connection.portal)
            .await
            .map_err(|e| failure::of_store(&e))?;
        Ok(Turn {
            state: connection.state,
            portal: connection.portal,
            epoch: connection.epoch,
            run: run.map(|plan| ClaimedRun {
                run: plan.run.run,
                kind: plan.run.kind,
                types: plan.run.types,
            }),
            ever_finished,
        })
    }
}

#[activities]
impl Connecting {
    #[activity(definition = declared::TakeTurn)]
    pub async fn take_turn(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: WorkspaceInput,
    ) -> Result<Turn, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        self.turn(&input).await
    }

    #[activity(definition = declared::AdoptResync)]
    pub async fn adopt_resync(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: AdoptResync,
    ) -> Result<AdoptedResync, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let requested = self
            .deps
            .store
            .request_resync(input.workspace, &input.request, input.run, Utc::now())
            .await;
        match requested {
            Ok(requested) => Ok(requested.outcome.into()),
            Err(StoreError::NotFound(_)) => Ok(AdoptedResync::NotConnected),
            // What the store cannot hold is refused at the HTTP API and by `ResyncRequest`; a signal
            // of another version may bring it all the same, and must not be tried for ever in front
            // of everything else.
            Err(error) if error.is_bad_value() => {
                tracing::warn!(
                    code = error.code(),
                    workspace = %input.workspace,
                    "a resync that the store cannot hold was dropped"
                );
                Ok(AdoptedResync::Refused)
            }
            Err(error) => Err(failure::of_store(&error)),
        }
    }

    #[activity(definition = declared::RaiseFence)]
    pub async fn raise_fence(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: WorkspaceInput,
    ) -> Result<FenceReport, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let raised = self
            .deps
            .store
            .raise_fence(input.workspace, Utc::now())
            .await
            .map_err(|e| failure::of_store(&e))?
            .ok_or_else(|| failure::defect("the workspace has no connection"))?;
        Ok(FenceReport {
            epoch: raised.epoch,
        })
    }

    #[activity(definition = declared::EraseConnection)]
    pub async fn erase_connection(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: WorkspaceInput,
    ) -> Result<EraseReport, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let revoked = match self.deps.portals.revoke(input.workspace).await {
            Ok(revoked) => revoked,
            // A token that no key opens cannot be revoked, and is erased all the more.
            Err(StoreError::Corrupt(_) | StoreError::KeyMissing(_)) => false,
            Err(error) => return Err(failure::of_store(&error)),
        };
        self.deps
            .store
            .erase_tokens(input.workspace, Utc::now())
            .await
            .map_err(|e| failure::of_store(&e))?;
        tracing::info!(workspace = %input.workspace, revoked, "disconnected: tokens erased");
        Ok(EraseReport { revoked })
    }

    #[activity(definition = declared::KeepSchedule)]
    pub async fn keep_schedule(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: WorkspaceInput,
    ) -> Result<ScheduleState, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        // What is to be done next must not wait for this: `Sweep` looks again.
        let kept = schedules::keep(&self.deps, input.workspace).await;
        Ok(kept.unwrap_or_else(|error| {
            tracing::warn!(workspace = %input.workspace, error = %error, "a schedule was not kept");
            ScheduleState::NotKept
        }))
    }
}
