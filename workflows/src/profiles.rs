//! `Profiles`: brings links and profiles of a workspace up to date (I5), in small steps, and ends. The
//! store says what is to be followed; `Sweep` starts it when there is something.

use std::time::Duration;

use domain::{PortalId, WorkspaceId};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, WorkflowContext, WorkflowContextView, WorkflowResult,
};
use utoipa::ToSchema;

use crate::{
    activities::ProfilesActivities,
    names::TaskQueue,
    ops::{self, Call},
};

// ---- input -----------------------------------------------------------------------------------

/// Input of `Profiles`, and of its activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfilesInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which portal.
    pub portal: PortalId,
}

// ---- state -----------------------------------------------------------------------------------

/// What was done so far; of a slice, by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfilesProgress {
    /// Profiles that are others now.
    pub changed: u64,
    /// People who were made from contacts.
    pub made: u64,
    /// Whether nothing is left to follow.
    pub done: bool,
}

/// The workflow and its state.
#[workflow]
pub struct Profiles {
    input: ProfilesInput,
    progress: ProfilesProgress,
}

#[workflow_methods]
impl Profiles {
    /// Ready before any query arrives.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: ProfilesInput) -> Self {
        Self {
            input,
            progress: ProfilesProgress::default(),
        }
    }

    // ---- signals and queries -------------------------------------------------------------------

    /// How far it is, since it last continued as new.
    #[query(name = "progress")]
    pub fn progress(&self, _ctx: &WorkflowContextView) -> ProfilesProgress {
        self.progress
    }

    // ---- run -----------------------------------------------------------------------------------

    /// Slice after slice, until nothing is left to follow.
    #[run(name = "Profiles")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<ProfilesProgress> {
        let input = ctx.state(|s| s.input);
        for _ in 0..SLICES_PER_RUN {
            let slice = ops::activity(
                ctx,
                ProfilesActivities::profile_slice,
                input,
                slice_call(input),
            )
            .await?;
            let progress = ctx.state_mut(|s| {
                s.progress.changed += slice.changed;
                s.progress.made += slice.made;
                s.progress.done = slice.done;
                s.progress
            });
            ctx.set_current_details(format!(
                "{} profiles changed, {} people made from contacts",
                progress.changed, progress.made
            ));
            if progress.done {
                return Ok(progress);
            }
        }
        ctx.continue_as_new(input, ContinueAsNewOptions::default())?;
        Ok(ProfilesProgress::default())
    }
}

// ---- activity options ------------------------------------------------------------------------

/// Slices before continue-as-new: of some twenty seconds each.
const SLICES_PER_RUN: u32 = 500;

fn slice_call(input: ProfilesInput) -> Call {
    Call::short("bring links and profiles up to date")
        .queue(TaskQueue::Bulk)
        .urgency(domain::Urgency::Sync, input.portal)
        .start_to_close(Duration::from_secs(120))
        .heartbeat(Duration::from_secs(10))
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_the_workspace_and_its_portal() {
        let input: ProfilesInput = serde_json::from_value(serde_json::json!({
            "workspace": "01890a5d-ac96-774b-bcce-b302099a8057", "portal": 7,
        }))
        .unwrap();
        assert_eq!(input.portal.get(), 7);
    }
}
