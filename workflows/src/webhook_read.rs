//! `WebhookRead`: reads the records of a workspace that webhooks told of, until none is due (I9). The
//! rows in the store are the truth; a signal only wakes. `Sweep` starts what lost its wake-up.

use std::time::Duration;

use domain::{PortalId, Urgency, WorkspaceId};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::{
    activities::{ToldEnd, ToldInput, WebhookActivities},
    names::TaskQueue,
    ops::{self, Call},
};

// ---- input -----------------------------------------------------------------------------------

/// Input of `WebhookRead`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookReadInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which portal it was connected to when something was told.
    pub portal: PortalId,
    /// Carried over continue-as-new.
    #[serde(default)]
    pub read: u64,
}

// ---- state -----------------------------------------------------------------------------------

/// The workflow and its state.
#[workflow]
pub struct WebhookRead {
    input: WebhookReadInput,
    /// Whether somebody woke it since its last slice began.
    pending: bool,
}

#[workflow_methods]
impl WebhookRead {
    /// Ready before any signal arrives.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: WebhookReadInput) -> Self {
        Self {
            input,
            pending: false,
        }
    }

    // ---- signals and queries -------------------------------------------------------------------

    /// Something was told: look into the store.
    #[signal(name = "wake")]
    pub fn wake(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.pending = true;
    }

    // ---- run -----------------------------------------------------------------------------------

    /// Slice after slice until nothing is due, and nobody woke it meanwhile. Says how many records
    /// were read.
    #[run(name = "WebhookRead")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<u64> {
        for _ in 0..SLICES_PER_RUN {
            ctx.state_mut(|s| s.pending = false);
            let input = ctx.state(|s| ToldInput {
                workspace: s.input.workspace,
                portal: s.input.portal,
            });
            let slice = ops::activity(
                ctx,
                WebhookActivities::read_told,
                input.clone(),
                slice_call(&input),
            )
            .await?;
            let read = ctx.state_mut(|s| {
                s.input.read += slice.read;
                s.input.read
            });
            ctx.set_current_details(format!("{read} records read, {} put off", slice.put_off));
            // No await between this look and the end: what wakes it later starts a new run.
            let goes_on = slice.end == ToldEnd::More || ctx.state(|s| s.pending);
            if !goes_on {
                return Ok(read);
            }
        }
        let next = ctx.state(|s| s.input.clone());
        ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
        Ok(0)
    }
}

// ---- activity options ------------------------------------------------------------------------

/// Slices before continue-as-new.
const SLICES_PER_RUN: u32 = 200;

/// Changes that people make in HubSpot are kept in step with as those that the schedule finds.
fn slice_call(input: &ToldInput) -> Call {
    Call::short("read what webhooks told of")
        .queue(TaskQueue::Sync)
        .start_to_close(Duration::from_secs(5 * 60))
        .heartbeat(Duration::from_secs(10))
        .urgency(Urgency::Sync, input.portal)
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspace_and_portal_are_all_that_it_needs_to_know() {
        let input: WebhookReadInput = serde_json::from_value(serde_json::json!({
            "workspace": "01890a5d-ac96-774b-bcce-b302099a8057",
            "portal": 1_000_001,
        }))
        .unwrap();
        assert_eq!(input.read, 0);
    }
}
