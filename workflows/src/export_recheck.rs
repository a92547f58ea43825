//! `ExportRecheck`: looks once more at the companies of contacts that exports made (E3): HubSpot's own
//! automation comes a little later, and may have put another company in the place of ours. `Sweep` starts
//! it when some are due; it ends when none are.

use std::time::Duration;

use domain::{PortalId, Urgency, WorkspaceId};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{WorkflowContext, WorkflowContextView, WorkflowResult};
use utoipa::ToSchema;

use crate::{
    activities::{RecheckActivities, WorkspaceInput},
    names::TaskQueue,
    ops::{self, Call},
};

// ---- input -----------------------------------------------------------------------------------

/// Input of `ExportRecheck`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRecheckInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Its portal.
    pub portal: PortalId,
}

// ---- state -----------------------------------------------------------------------------------

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecheckReport {
    /// Contacts whose companies are as they were made.
    pub unchanged: u32,
    /// Contacts that were associated with our company again.
    pub restored: u32,
    /// Contacts that are looked at again later.
    pub put_off: u32,
}

/// The workflow and its state.
#[workflow]
pub struct ExportRecheck {
    input: ExportRecheckInput,
}

#[workflow_methods]
impl ExportRecheck {
    /// Nothing is known before the activity ends.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: ExportRecheckInput) -> Self {
        Self { input }
    }

    // ---- run -----------------------------------------------------------------------------------

    /// One activity.
    #[run(name = "ExportRecheck")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<RecheckReport> {
        let (workspace, portal) = ctx.state(|s| (s.input.workspace, s.input.portal));
        let input = WorkspaceInput { workspace };
        let call = recheck_call(portal);
        Ok(ops::activity(ctx, RecheckActivities::recheck_companies, input, call).await?)
    }
}

// ---- activity options ------------------------------------------------------------------------

/// Nobody waits for it, and it belongs to what somebody waited for.
fn recheck_call(portal: PortalId) -> Call {
    Call::short("look at the companies of new contacts again")
        .queue(TaskQueue::Export)
        .start_to_close(Duration::from_secs(5 * 60))
        .heartbeat(Duration::from_secs(10))
        .urgency(Urgency::Activity, portal)
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspace_and_portal_are_all_that_it_needs_to_know() {
        let input: ExportRecheckInput = serde_json::from_value(serde_json::json!({
            "workspace": "01890a5d-ac96-774b-bcce-b302099a8057",
            "portal": 1_000_001,
        }))
        .unwrap();
        assert_eq!(input.portal.get(), 1_000_001);
    }
}
