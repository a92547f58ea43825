//! `OwnProperties`: makes our group of properties in a workspace's portal, and ends (E5). Whoever asked
//! waits for the end.

use std::time::Duration;

use domain::own_properties::OwnOutcome;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{WorkflowContext, WorkflowContextView, WorkflowResult};
use utoipa::ToSchema;

use crate::{
    activities::{OwnPropertiesActivities, WorkspaceInput},
    names::TaskQueue,
    ops::{self, Call},
};

// ---- state -----------------------------------------------------------------------------------

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnPropertiesHow {
    /// Each property was looked after.
    Done,
    /// The workspace is not connected.
    NotConnected,
    /// HubSpot refuses the tokens until somebody connects again.
    NeedsReconnect,
    /// HubSpot did not answer, or its limits were reached.
    NoAnswer,
    /// The scope to make properties was not granted.
    ScopeMissing,
    /// What a later program says.
    #[serde(other)]
    Other,
}

/// What came of one property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnPropertyMade {
    /// Its name.
    pub property: String,
    /// What came of it.
    pub outcome: OwnOutcome,
    /// Where it is not to be had: the paragraph of `docs/errors.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnPropertiesEnd {
    /// How it ended.
    pub how: OwnPropertiesHow,
    /// The properties; none where it was not done.
    #[serde(default)]
    pub properties: Vec<OwnPropertyMade>,
}

impl From<OwnPropertiesHow> for OwnPropertiesEnd {
    fn from(how: OwnPropertiesHow) -> Self {
        Self {
            how,
            properties: Vec::new(),
        }
    }
}

/// The workflow and its state.
#[workflow]
pub struct OwnProperties {
    input: WorkspaceInput,
}

#[workflow_methods]
impl OwnProperties {
    /// Nothing is known before the activity ends.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: WorkspaceInput) -> Self {
        Self { input }
    }

    // ---- run -----------------------------------------------------------------------------------

    /// One activity.
    #[run(name = "OwnProperties")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<OwnPropertiesEnd> {
        let input = ctx.state(|s| s.input.clone());
        Ok(ops::activity(
            ctx,
            OwnPropertiesActivities::make_own_properties,
            input,
            making_call(),
        )
        .await?)
    }
}

// ---- activity options ------------------------------------------------------------------------

fn making_call() -> Call {
    Call::short("make our group of properties")
        .queue(TaskQueue::Export)
        .start_to_close(Duration::from_secs(25))
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_of_a_later_program_is_read() {
        let end: OwnPropertiesEnd =
            serde_json::from_value(serde_json::json!({"how": "of_a_later_program"})).unwrap();
        assert_eq!(end, OwnPropertiesHow::Other.into());
    }
}
