//! `ExportPreview`: finds out what an export of a person would do, and ends (E9). The answer is a row of
//! the store, for nothing personal goes through Temporal; whoever asked waits for the end.

use std::time::Duration;

use domain::{PreviewId, WorkspaceId};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{WorkflowContext, WorkflowContextView, WorkflowResult};
use utoipa::ToSchema;

use crate::{
    activities::PreviewActivities,
    names::TaskQueue,
    ops::{self, Call},
};

// ---- input -----------------------------------------------------------------------------------

/// Input of `ExportPreview`, and of its activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportPreviewInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which preview: the row says whom it is about.
    pub preview: PreviewId,
    /// As of an export that makes a contact again which was archived in HubSpot.
    #[serde(default)]
    pub anew: bool,
}

// ---- state -----------------------------------------------------------------------------------

/// How a preview ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreviewEnd {
    /// The row has the answer.
    Answered,
    /// Nobody waits for it any more, or the person is not known any more.
    Gone,
    /// The workspace is not connected.
    NotConnected,
    /// HubSpot refuses the tokens until somebody connects again.
    NeedsReconnect,
    /// HubSpot did not answer, or its limits were reached.
    NoAnswer,
    /// HubSpot refuses to read for want of a scope.
    ScopeMissing,
    /// What a later program says.
    #[serde(other)]
    Other,
}

/// The workflow and its state.
#[workflow]
pub struct ExportPreview {
    input: ExportPreviewInput,
}

#[workflow_methods]
impl ExportPreview {
    /// Nothing is known before the activity ends.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: ExportPreviewInput) -> Self {
        Self { input }
    }

    // ---- run -----------------------------------------------------------------------------------

    /// One activity.
    #[run(name = "ExportPreview")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<PreviewEnd> {
        let input = ctx.state(|s| s.input);
        Ok(ops::activity(
            ctx,
            PreviewActivities::preview_export,
            input,
            preview_call(),
        )
        .await?)
    }
}

// ---- activity options ------------------------------------------------------------------------

fn preview_call() -> Call {
    Call::short("find out what an export would do")
        .queue(TaskQueue::Export)
        .start_to_close(Duration::from_secs(15))
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_has_ids_alone() {
        let input: ExportPreviewInput = serde_json::from_value(serde_json::json!({
            "workspace": "01890a5d-ac96-774b-bcce-b302099a8057",
            "preview": "01890a5d-ac96-774b-bcce-b302099a8058",
        }))
        .unwrap();
        assert!(!input.anew);
        let end: PreviewEnd = serde_json::from_value("of_a_later_program".into()).unwrap();
        assert_eq!(end, PreviewEnd::Other);
    }
}
