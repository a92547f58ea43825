//! `Purge`: removes everything of a disconnected workspace, in small steps (C7). The row in the store
//! is the truth; `Sweep` starts a purge that lost its start.

use std::time::Duration;

use domain::WorkspaceId;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, WorkflowContext, WorkflowContextView, WorkflowResult,
};
use utoipa::ToSchema;

use crate::{
    activities::{PurgeActivities, WorkspaceInput},
    names::TaskQueue,
    ops::{self, Call},
};

// ---- input -----------------------------------------------------------------------------------

/// Input of `Purge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeInput {
    pub workspace: WorkspaceId,
    /// Carried over continue-as-new.
    #[serde(default)]
    pub removed: u64,
}

// ---- state -----------------------------------------------------------------------------------

/// How far a purge is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurgeProgress {
    /// Rows that are gone.
    pub removed: u64,
    /// Whether nothing is left.
    pub done: bool,
}

/// The workflow and its state.
#[workflow]
pub struct Purge {
    workspace: WorkspaceId,
    progress: PurgeProgress,
}

#[workflow_methods]
impl Purge {
    /// Ready before any query arrives.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: PurgeInput) -> Self {
        Self {
            workspace: input.workspace,
            progress: PurgeProgress {
                removed: input.removed,
                done: false,
            },
        }
    }

    // ---- signals and queries -------------------------------------------------------------------

    /// How far it is.
    #[query(name = "progress")]
    pub fn progress(&self, _ctx: &WorkflowContextView) -> PurgeProgress {
        self.progress
    }

    // ---- run -----------------------------------------------------------------------------------

    /// Slice after slice, until nothing is left.
    #[run(name = "Purge")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<PurgeProgress> {
        let workspace = ctx.state(|s| s.workspace);
        for _ in 0..SLICES_PER_RUN {
            let input = WorkspaceInput { workspace };
            let slice =
                ops::activity(ctx, PurgeActivities::purge_slice, input, slice_call()).await?;
            let progress = ctx.state_mut(|s| {
                s.progress.removed += slice.removed;
                s.progress.done = slice.done;
                s.progress
            });
            ctx.set_current_details(format!("{} rows removed", progress.removed));
            if progress.done {
                return Ok(progress);
            }
        }
        let removed = ctx.state(|s| s.progress.removed);
        ctx.continue_as_new(
            PurgeInput { workspace, removed },
            ContinueAsNewOptions::default(),
        )?;
        Ok(PurgeProgress::default())
    }
}

// ---- activity options ------------------------------------------------------------------------

/// Slices before continue-as-new: of some twenty seconds each.
const SLICES_PER_RUN: u32 = 500;

fn slice_call() -> Call {
    Call::short("remove what there is of a workspace")
        .queue(TaskQueue::Bulk)
        .unhurried()
        .start_to_close(Duration::from_secs(120))
        .heartbeat(Duration::from_secs(10))
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_all_that_a_purge_needs_to_know() {
        let input: PurgeInput = serde_json::from_value(serde_json::json!({
            "workspace": "01890a5d-ac96-774b-bcce-b302099a8057",
        }))
        .unwrap();
        assert_eq!(input.removed, 0);
    }
}
