//! `ContactExport`: all writes about one person, in order (E1, E2, design §3). Requests are rows in the
//! store; a signal only wakes. It never waits for a time, a policy or a reconnect: such requests stay in
//! the store with a reason. `Sweep` starts what lost its wake-up.

use std::time::Duration;

use domain::{PortalId, Urgency, WorkspaceId, app::PersonId};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};
use utoipa::ToSchema;

use crate::{
    activities::{ExportActivities, ExportInput, ExportReport},
    names::TaskQueue,
    ops::{self, Call},
};

// ---- input -----------------------------------------------------------------------------------

/// Input of `ContactExport`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactExportInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// About whom.
    pub person: PersonId,
    /// The portal, by which turns are taken; of the workspace alone without.
    #[serde(default)]
    pub portal: Option<PortalId>,
    /// Carried over continue-as-new.
    #[serde(default)]
    pub report: ExportReport,
}

// ---- state -----------------------------------------------------------------------------------

/// The workflow and its state.
#[workflow]
pub struct ContactExport {
    input: ContactExportInput,
    /// Whether somebody woke it since its last look began.
    pending: bool,
}

#[workflow_methods]
impl ContactExport {
    /// Ready before any signal arrives.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: ContactExportInput) -> Self {
        Self {
            input,
            pending: false,
        }
    }

    // ---- signals and queries -------------------------------------------------------------------

    /// There is a new request: look into the store.
    #[signal(name = "wake")]
    pub fn wake(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.pending = true;
    }

    // ---- run -----------------------------------------------------------------------------------

    /// Looks into the store until nobody woke it meanwhile. Says what became of the requests.
    #[run(name = "ContactExport")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<ExportReport> {
        for _ in 0..LOOKS_PER_RUN {
            ctx.state_mut(|s| s.pending = false);
            let (input, portal) = ctx.state(|s| {
                let input = ExportInput {
                    workspace: s.input.workspace,
                    person: s.input.person.clone(),
                };
                (input, s.input.portal)
            });
            let looked =
                ops::activity(ctx, ExportActivities::export_contact, input, call(portal)).await?;
            let report = ctx.state_mut(|s| {
                s.input.report.exported += looked.exported;
                s.input.report.skipped += looked.skipped;
                s.input.report.waiting = looked.waiting;
                s.input.report.failed += looked.failed;
                s.input.report
            });
            // No await between this look and the end: what wakes it later starts a new run.
            if !ctx.state(|s| s.pending) {
                return Ok(report);
            }
        }
        let next = ctx.state(|s| s.input.clone());
        ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
        Ok(ExportReport::default())
    }
}

// ---- activity options ------------------------------------------------------------------------

/// Looks before continue-as-new.
const LOOKS_PER_RUN: u32 = 100;

/// Somebody waits for it.
fn call(portal: Option<PortalId>) -> Call {
    let call = Call::short("export a person")
        .queue(TaskQueue::Export)
        .start_to_close(Duration::from_secs(5 * 60))
        .heartbeat(Duration::from_secs(10));
    match portal {
        Some(portal) => call.urgency(Urgency::Interactive, portal),
        None => call,
    }
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspace_and_person_are_all_that_it_needs_to_know() {
        let input: ContactExportInput = serde_json::from_value(serde_json::json!({
            "workspace": "01890a5d-ac96-774b-bcce-b302099a8057",
            "person": "lead_1",
        }))
        .unwrap();
        assert_eq!(input.report, ExportReport::default());
        assert_eq!(input.portal, None);
    }
}
