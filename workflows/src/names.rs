//! Names on the Temporal server: ids, task queues, search attributes, failure types. They are part
//! of the contract with other languages and with histories that were recorded; none is ever changed.

use domain::{ConnectionPhase, PortalId, WorkspaceId};
use temporalio_common::{
    Priority,
    search_attributes::{SearchAttributeKey, SearchAttributes},
};

/// Workflow tasks and short activities.
pub const QUEUE_MAIN: &str = "hubspot";
/// Backfill slices, with slots of their own so that they cannot fill those of interactive work.
pub const QUEUE_BULK: &str = "hubspot-bulk";

/// Which workspace a workflow works for.
pub const WORKSPACE: SearchAttributeKey<String> = SearchAttributeKey::keyword("HubSpotWorkspace");
/// Which portal it talks to.
pub const PORTAL: SearchAttributeKey<String> = SearchAttributeKey::keyword("HubSpotPortal");
/// What it is doing: the values of [`ConnectionPhase`].
pub const PHASE: SearchAttributeKey<String> = SearchAttributeKey::keyword("SyncPhase");

/// The id of a workspace's `Connection`.
pub fn connection_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/connection")
}

/// The id of a workspace's `Backfill`.
pub fn backfill_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/backfill")
}

/// The id of the installation's one `Sweep`.
pub const SWEEP_ID: &str = "hubspot/sweep";

/// The search attributes that a workflow of a workspace is started with.
pub fn search_attributes(
    workspace: WorkspaceId,
    portal: PortalId,
    phase: ConnectionPhase,
) -> SearchAttributes {
    SearchAttributes::new([
        WORKSPACE.value_set(workspace.to_string()),
        PORTAL.value_set(portal.to_string()),
        PHASE.value_set(phase.as_str().to_owned()),
    ])
}

/// What an activity is done for. Lower numbers go first; the budget applies the same order (X3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Somebody waits for it.
    Interactive,
    /// Keeps records in step.
    Periodic,
    /// Reads a portal for the first time, or again.
    Backfill,
}

impl Lane {
    /// Temporal's priority and fairness: a portal is one fairness key, so that a workspace with
    /// millions of records does not delay another's (X4).
    pub fn priority(self, portal: Option<PortalId>) -> Priority {
        let key = match self {
            Self::Interactive => 1,
            Self::Periodic => 3,
            Self::Backfill => 5,
        };
        let builder = Priority::builder().priority_key(key);
        match portal {
            Some(portal) => builder.fairness_key(portal.to_string()).build(),
            None => builder.build(),
        }
    }
}
