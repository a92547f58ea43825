//! `Verdicts`: keeps the verdicts on a workspace's people with what is stored (I8). `Sweep` starts it
//! when there is something newer; it ends when nothing is.

use std::time::Duration;

use domain::{PortalId, Urgency, WorkspaceId};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, WorkflowContext, WorkflowContextView, WorkflowResult,
};
use utoipa::ToSchema;

use crate::{
    activities::{VerdictActivities, WorkspaceInput},
    names::TaskQueue,
    ops::{self, Call},
};

// ---- input -----------------------------------------------------------------------------------

/// Input of `Verdicts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictsInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Its portal.
    pub portal: PortalId,
    /// Carried over continue-as-new.
    #[serde(default)]
    pub progress: VerdictsProgress,
}

// ---- state -----------------------------------------------------------------------------------

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerdictsProgress {
    /// People that were judged.
    pub judged: u64,
    /// Verdicts that are new or changed.
    pub written: u64,
    /// Whether nothing is left.
    pub done: bool,
}

/// The workflow and its state.
#[workflow]
pub struct Verdicts {
    workspace: WorkspaceId,
    portal: PortalId,
    progress: VerdictsProgress,
}

#[workflow_methods]
impl Verdicts {
    /// Ready before any query arrives.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: VerdictsInput) -> Self {
        Self {
            workspace: input.workspace,
            portal: input.portal,
            progress: input.progress,
        }
    }

    // ---- signals and queries -------------------------------------------------------------------

    /// How far it is.
    #[query(name = "progress")]
    pub fn progress(&self, _ctx: &WorkflowContextView) -> VerdictsProgress {
        self.progress
    }

    // ---- run -----------------------------------------------------------------------------------

    /// Slice after slice, until nothing is newer.
    #[run(name = "Verdicts")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<VerdictsProgress> {
        let (workspace, portal) = ctx.state(|s| (s.workspace, s.portal));
        for _ in 0..SLICES_PER_RUN {
            let input = WorkspaceInput { workspace };
            let call = slice_call(portal);
            let slice = ops::activity(ctx, VerdictActivities::judge_slice, input, call).await?;
            let progress = ctx.state_mut(|s| {
                s.progress.judged += slice.judged;
                s.progress.written += slice.written;
                s.progress.done = slice.done;
                s.progress
            });
            ctx.set_current_details(format!(
                "{} people judged, {} verdicts new or changed",
                progress.judged, progress.written
            ));
            if progress.done {
                return Ok(progress);
            }
        }
        let progress = ctx.state(|s| s.progress);
        ctx.continue_as_new(
            VerdictsInput {
                workspace,
                portal,
                progress,
            },
            ContinueAsNewOptions::default(),
        )?;
        Ok(progress)
    }
}

// ---- activity options ------------------------------------------------------------------------

/// Slices before continue-as-new: of some twenty seconds each.
const SLICES_PER_RUN: u32 = 500;

fn slice_call(portal: PortalId) -> Call {
    Call::short("judge whom the changes concern")
        .queue(TaskQueue::Bulk)
        .urgency(Urgency::Sync, portal)
        .start_to_close(Duration::from_secs(180))
        .heartbeat(Duration::from_secs(10))
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspace_and_portal_are_all_that_it_needs_to_know() {
        let input: VerdictsInput = serde_json::from_value(serde_json::json!({
            "workspace": "01890a5d-ac96-774b-bcce-b302099a8057", "portal": 1_000_001,
        }))
        .unwrap();
        assert_eq!(input.progress, VerdictsProgress::default());
    }
}
