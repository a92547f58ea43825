//! `BulkExport`: many people, by the policy, in batches (E1). Where it stands is a row of the store, and so
//! is a confirmation and a cancellation; a signal only wakes. It ends where it has to wait: for somebody to
//! confirm, for the next day, for the connection. Whoever confirms starts it again, or `Sweep` does. Where many
//! people of a workspace are due, one without a row exports them as well.

use std::time::Duration;

use domain::{Urgency, export::BulkState};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::{
    activities::{BulkActivities, BulkInput, BulkReport, BulkTurn},
    names::TaskQueue,
    ops::{self, Call},
};

// ---- state -----------------------------------------------------------------------------------

/// The workflow and its state.
#[workflow]
pub struct BulkExport {
    input: BulkInput,
    /// Whether somebody woke it since its last look began.
    pending: bool,
    last: BulkReport,
}

#[workflow_methods]
impl BulkExport {
    /// Ready before any signal arrives.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: BulkInput) -> Self {
        Self {
            input,
            pending: false,
            last: BulkReport::gone(),
        }
    }

    // ---- signals and queries -------------------------------------------------------------------

    /// Somebody confirmed or cancelled: look into the store.
    #[signal(name = "wake")]
    pub fn wake(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.pending = true;
    }

    /// How far it is, as the last slice left it.
    #[query(name = "progress")]
    pub fn progress(&self, _ctx: &WorkflowContextView) -> BulkReport {
        self.last
    }

    // ---- run -----------------------------------------------------------------------------------

    /// Slice after slice, until nothing is left to do for now.
    #[run(name = "BulkExport")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<BulkReport> {
        let input = ctx.state(|s| s.input);
        for _ in 0..SLICES_PER_RUN {
            ctx.state_mut(|s| s.pending = false);
            let slice =
                ops::activity(ctx, BulkActivities::bulk_slice, input, slice_call(input)).await?;
            ctx.state_mut(|s| s.last = slice);
            ctx.set_current_details(details(input, &slice));
            // No await between this look and the end: what wakes it later starts a new run.
            if slice.turn == BulkTurn::Stop && !ctx.state(|s| s.pending) {
                return Ok(slice);
            }
        }
        ctx.continue_as_new(input, ContinueAsNewOptions::default())?;
        Ok(BulkReport::gone())
    }
}

fn details(input: BulkInput, slice: &BulkReport) -> String {
    if input.bulk.is_none() {
        return format!("{} people who were due taken in hand", slice.begun);
    }
    match slice.state {
        BulkState::Previewing => format!("{} people looked at", slice.people),
        BulkState::WaitingForConfirmation => {
            format!("{} people; waits for somebody to confirm", slice.people)
        }
        BulkState::Running | BulkState::Cancelling | BulkState::Cancelled | BulkState::Done => {
            format!(
                "{}: {} of {} people begun with; {} exported, {} left out, {} failed",
                slice.state, slice.begun, slice.people, slice.exported, slice.skipped, slice.failed
            )
        }
    }
}

// ---- activity options ------------------------------------------------------------------------

/// Slices before continue-as-new: of some thirty seconds each.
const SLICES_PER_RUN: u32 = 300;

fn slice_call(input: BulkInput) -> Call {
    Call::short("export people in bulk")
        .queue(TaskQueue::Bulk)
        .urgency(Urgency::Sync, input.portal)
        .start_to_close(Duration::from_secs(5 * 60))
        .heartbeat(Duration::from_secs(10))
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_say_how_far_it_is() {
        let slice = BulkReport {
            state: BulkState::Running,
            people: 1_000,
            begun: 300,
            exported: 200,
            skipped: 90,
            ..BulkReport::gone()
        };
        let input = input(serde_json::json!("01890a5d-ac96-774b-bcce-b302099a8058"));
        assert_eq!(
            details(input, &slice),
            "running: 300 of 1000 people begun with; 200 exported, 90 left out, 0 failed"
        );
        let due = BulkInput {
            bulk: None,
            ..input
        };
        assert_eq!(
            details(due, &slice),
            "300 people who were due taken in hand"
        );
    }

    fn input(bulk: serde_json::Value) -> BulkInput {
        serde_json::from_value(serde_json::json!({
            "workspace": "01890a5d-ac96-774b-bcce-b302099a8057",
            "portal": 7,
            "bulk": bulk,
        }))
        .unwrap()
    }

    #[test]
    fn workspace_portal_and_run_are_all_that_it_needs_to_know() {
        let of_a_run = input(serde_json::json!("01890a5d-ac96-774b-bcce-b302099a8058"));
        assert!(of_a_run.bulk.is_some());
        assert_eq!(of_a_run.portal.get(), 7);
        assert_eq!(input(serde_json::Value::Null).bulk, None);
    }
}
