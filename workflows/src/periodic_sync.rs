//! `PeriodicSync`: brings a workspace up to date. A Temporal Schedule starts it.

use std::time::Duration;

use domain::{PortalId, SyncType, Urgency, WorkspaceId};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, WorkflowContext, WorkflowContextView, WorkflowResult,
};
use utoipa::ToSchema;

use crate::{
    activities::{PeriodicActivities, SyncEnd, SyncSliceInput},
    names::TaskQueue,
    ops::{self, Call},
};

// ---- input -----------------------------------------------------------------------------------

/// Input of `PeriodicSync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodicSyncInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which portal, as it was known when the schedule was made.
    pub portal: PortalId,
    /// What a run hands to the run that continues it: the types that are yet to be read.
    #[serde(default)]
    pub left: Option<Vec<SyncType>>,
}

// ---- state -----------------------------------------------------------------------------------

/// How a periodic sync stands: the answer of the query `progress`, and the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeriodicSyncStatus {
    /// How the last slice ended.
    pub end: SyncEnd,
    /// What is yet to be read; empty at the beginning, too.
    pub left: Vec<SyncType>,
    /// Rows that came since this run of the workflow began; of records only those that were news.
    pub changed: u64,
}

/// The workflow and its state.
#[workflow]
pub struct PeriodicSync {
    input: PeriodicSyncInput,
    status: PeriodicSyncStatus,
}

#[workflow_methods]
impl PeriodicSync {
    /// Ready before any query arrives.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: PeriodicSyncInput) -> Self {
        let status = PeriodicSyncStatus {
            end: SyncEnd::More,
            left: input.left.clone().unwrap_or_default(),
            changed: 0,
        };
        Self { input, status }
    }

    // ---- signals and queries -------------------------------------------------------------------

    /// How far it is.
    #[query(name = "progress")]
    pub fn progress(&self, _ctx: &WorkflowContextView) -> PeriodicSyncStatus {
        self.status.clone()
    }

    // ---- run -----------------------------------------------------------------------------------

    /// Slice after slice, until every type is read. What stops it is in the store: the next run of the
    /// schedule goes on from there.
    #[run(name = "PeriodicSync")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<PeriodicSyncStatus> {
        read_changes(ctx).await?;
        // Reconciliation that is due has its place here: the records are as new as they can be.
        if ctx.state(|s| s.status.end == SyncEnd::More) {
            let next = ctx.state(|s| PeriodicSyncInput {
                left: Some(s.status.left.clone()),
                ..s.input.clone()
            });
            ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
        }
        Ok(ctx.state(|s| s.status.clone()))
    }
}

/// Reads all types, as far as one run of the workflow goes.
async fn read_changes(ctx: &WorkflowContext<PeriodicSync>) -> WorkflowResult<()> {
    let (workspace, portal) = ctx.state(|s| (s.input.workspace, s.input.portal));
    let mut left = ctx.state(|s| s.input.left.clone());
    for _ in 0..SLICES_PER_RUN {
        let input = SyncSliceInput {
            workspace,
            portal,
            left,
        };
        let report = ops::activity(
            ctx,
            PeriodicActivities::sync_slice,
            input,
            slice_call(portal),
        )
        .await?;
        ctx.state_mut(|s| {
            s.status.end = report.end;
            s.status.left.clone_from(&report.left);
            s.status.changed += report.changed;
        });
        show(ctx);
        if report.end != SyncEnd::More {
            return Ok(());
        }
        left = Some(report.left);
    }
    Ok(())
}

/// What Temporal UI shows.
fn show(ctx: &WorkflowContext<PeriodicSync>) {
    ctx.set_current_details(ctx.state(|s| details(&s.input, &s.status)));
}

fn details(input: &PeriodicSyncInput, status: &PeriodicSyncStatus) -> String {
    let left: Vec<&str> = status.left.iter().map(SyncType::as_str).collect();
    format!(
        "periodic sync of portal `{}` for workspace `{}`: {}, {} rows came{}{}",
        input.portal,
        input.workspace,
        status.end.as_str(),
        status.changed,
        if left.is_empty() {
            ""
        } else {
            ", to be read: "
        },
        left.join(", ")
    )
}

// ---- activity options ------------------------------------------------------------------------

/// Slices before continue-as-new: well within the run timeout of the schedule's action, also where
/// each waits for its place.
const SLICES_PER_RUN: u32 = 40;

fn slice_call(portal: PortalId) -> Call {
    Call::short("read what changed")
        .queue(TaskQueue::Sync)
        .start_to_close(domain::SLICE_MAX + Duration::from_secs(20 * 60))
        .heartbeat(Duration::from_secs(10))
        .urgency(Urgency::Sync, portal)
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_say_what_is_left() {
        let input: PeriodicSyncInput = serde_json::from_value(serde_json::json!({
            "workspace": "01890a5d-ac96-774b-bcce-b302099a8057",
            "portal": 1_000_001,
        }))
        .unwrap();
        assert_eq!(input.left, None);
        let status = PeriodicSyncStatus {
            end: SyncEnd::More,
            left: vec![SyncType::Contacts, SyncType::Deals],
            changed: 7,
        };
        let text = details(&input, &status);
        assert!(
            text.ends_with("more, 7 rows came, to be read: contacts, deals"),
            "{text}"
        );
    }
}
