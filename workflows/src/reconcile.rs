//! `Reconcile`: compares a mirror with its portal, as far as that is due (I3). The store decides what
//! is due; `Sweep` starts it then, and it ends when nothing is left to do for now.

use std::time::Duration;

use domain::{WorkspaceId, reconcile::Cost};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, WorkflowContext, WorkflowContextView, WorkflowResult,
};
use utoipa::ToSchema;

use crate::{
    activities::{ReconcileActivities, ReconcileEnd, WorkspaceInput},
    names::TaskQueue,
    ops::{self, Call},
};

// ---- input -----------------------------------------------------------------------------------

/// Input of `Reconcile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReconcileInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Whether everything is to be compared now, and not spread over the time that the settings say.
    #[serde(default)]
    pub everything: bool,
}

// ---- state -----------------------------------------------------------------------------------

/// How far a reconciliation is: what it answers to the query, and its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReconcileProgress {
    /// Records that HubSpot spoke of since this run of the workflow began.
    pub read: u64,
    /// Seconds until something is due again; 0 before it is known.
    pub due_in_seconds: u64,
    /// Requests that it costs to compare all records once, as long as nothing differs.
    pub cost: Cost,
    /// The hours over which they are spread.
    pub every_hours: u32,
    /// Whether all that was due is done.
    pub done: bool,
}

/// The workflow and its state.
#[workflow]
pub struct Reconcile {
    input: ReconcileInput,
    progress: ReconcileProgress,
}

#[workflow_methods]
impl Reconcile {
    /// Ready before any query arrives.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: ReconcileInput) -> Self {
        Self {
            input,
            progress: ReconcileProgress::default(),
        }
    }

    // ---- signals and queries -------------------------------------------------------------------

    /// How far it is.
    #[query(name = "progress")]
    pub fn progress(&self, _ctx: &WorkflowContextView) -> ReconcileProgress {
        self.progress
    }

    // ---- run -----------------------------------------------------------------------------------

    /// Slice after slice, until nothing is due.
    #[run(name = "Reconcile")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<ReconcileProgress> {
        let ReconcileInput {
            workspace,
            everything,
        } = ctx.state(|s| s.input.clone());
        let of = || WorkspaceInput { workspace };
        if everything {
            let call = Call::short("note that everything is to be compared");
            ops::activity(ctx, ReconcileActivities::ask_reconcile, of(), call).await?;
        }
        for _ in 0..SLICES_PER_RUN {
            let slice =
                ops::activity(ctx, ReconcileActivities::reconcile_once, of(), slice_call()).await?;
            let progress = ctx.state_mut(|s| {
                s.progress = ReconcileProgress {
                    read: s.progress.read + slice.read,
                    due_in_seconds: slice.due_in_seconds,
                    cost: slice.cost,
                    every_hours: slice.every_hours,
                    done: slice.end == ReconcileEnd::Done,
                };
                s.progress
            });
            ctx.set_current_details(details(&progress));
            match slice.end {
                ReconcileEnd::More | ReconcileEnd::Other => {}
                ReconcileEnd::Done | ReconcileEnd::Fenced => return Ok(progress),
            }
        }
        // What was asked for is in the store.
        let next = ReconcileInput {
            workspace,
            everything: false,
        };
        ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
        Ok(ReconcileProgress::default())
    }
}

fn details(progress: &ReconcileProgress) -> String {
    let ReconcileProgress {
        read,
        due_in_seconds,
        cost,
        every_hours,
        done,
    } = progress;
    if *done {
        format!(
            "{read} records compared; again in {due_in_seconds} s. All records cost {} requests and {} \
             of associations, spread over {every_hours} h",
            cost.general, cost.associations
        )
    } else {
        format!("{read} records compared")
    }
}

// ---- activity options ------------------------------------------------------------------------

/// Slices before continue-as-new; a slice is about six history events.
const SLICES_PER_RUN: u32 = 500;

fn slice_call() -> Call {
    Call::short("compare what is due")
        .queue(TaskQueue::Bulk)
        .unhurried()
        .start_to_close(domain::SLICE_MAX + Duration::from_secs(20 * 60))
        .heartbeat(Duration::from_secs(10))
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_all_that_it_needs_to_know() {
        let input: ReconcileInput = serde_json::from_value(serde_json::json!({
            "workspace": "01890a5d-ac96-774b-bcce-b302099a8057",
        }))
        .unwrap();
        assert!(!input.everything);
    }

    #[test]
    fn details_tell_the_cost() {
        let progress = ReconcileProgress {
            read: 7,
            due_in_seconds: 600,
            cost: Cost {
                general: 28,
                associations: 3,
            },
            every_hours: 168,
            done: true,
        };
        let text = details(&progress);
        assert!(text.contains("28 requests and 3 of associations, spread over 168 h"));
    }
}
