//! Names on the Temporal server: ids, task queues, search attributes, failure types. They are part
//! of the contract with other languages and with histories that were recorded; none is ever changed.

use domain::{BulkId, ConnectionPhase, PortalId, PreviewId, Urgency, WorkspaceId, app::PersonId};
use temporalio_common::{
    Priority,
    search_attributes::{SearchAttributeKey, SearchAttributes},
};

/// The task queues that a worker polls, each with slots of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskQueue {
    /// Workflow tasks, and short activities of every urgency.
    Main,
    /// What takes long, whose slots therefore cannot be those of interactive work: slices.
    Bulk,
    /// Exports of single people and previews, for which somebody waits.
    Export,
    /// Slices of periodic syncs and reads of what webhooks told of, which must not wait for backfills.
    Sync,
}

/// What one worker does of a queue at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// Workflow tasks.
    pub workflow_tasks: usize,
    /// Activities; [`TaskQueue::Bulk`]'s can be configured.
    pub activities: usize,
    /// Local activities.
    pub local_activities: usize,
}

impl TaskQueue {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Main, Self::Bulk, Self::Export, Self::Sync];

    /// The name on the Temporal server.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "hubspot",
            Self::Bulk => "hubspot-bulk",
            Self::Export => "hubspot-export",
            Self::Sync => "hubspot-sync",
        }
    }

    /// The slots of one worker, as long as nothing else is configured.
    pub const fn slots(self) -> Slots {
        match self {
            Self::Main | Self::Export => Slots {
                workflow_tasks: 50,
                activities: 50,
                local_activities: 10,
            },
            Self::Bulk | Self::Sync => Slots {
                workflow_tasks: 50,
                activities: 16,
                local_activities: 10,
            },
        }
    }
}

/// Which workspace a workflow works for.
pub const WORKSPACE: SearchAttributeKey<String> = SearchAttributeKey::keyword("HubSpotWorkspace");
/// Which portal it talks to.
pub const PORTAL: SearchAttributeKey<String> = SearchAttributeKey::keyword("HubSpotPortal");
/// What it is doing: the values of [`ConnectionPhase`].
pub const PHASE: SearchAttributeKey<String> = SearchAttributeKey::keyword("SyncPhase");

/// The memo of `Connection` that tells the epoch of its last turn.
pub const EPOCH_MEMO: &str = "epoch";

/// The id of a workspace's `Connection`.
pub fn connection_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/connection")
}

/// The workspace of a `Connection`, by its id.
pub fn workspace_of_connection(id: &str) -> Option<WorkspaceId> {
    let workspace = id.strip_prefix("hubspot/")?.strip_suffix("/connection")?;
    workspace.parse().ok()
}

/// The id of a workspace's `Backfill`.
pub fn backfill_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/backfill")
}

/// The id of a workspace's `Profiles`.
pub fn profiles_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/profiles")
}

/// The workflow type of the periodic sync, which a schedule names.
pub const PERIODIC_SYNC: &str = "PeriodicSync";

/// What the ids of a workspace's `PeriodicSync` begin with; Temporal adds the scheduled time.
pub fn periodic_sync_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/periodic-sync")
}

/// The id of the `PeriodicSync` that asks again for what was not answered.
pub fn periodic_again_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/periodic-sync-again")
}

/// The id of the schedule that starts them.
pub fn schedule_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/periodic-sync")
}

/// The workspace of a schedule, by its id.
pub fn workspace_of_schedule(id: &str) -> Option<WorkspaceId> {
    let workspace = id
        .strip_prefix("hubspot/")?
        .strip_suffix("/periodic-sync")?;
    workspace.parse().ok()
}

/// The id of a workspace's `Purge`.
pub fn purge_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/purge")
}

/// The id of a workspace's `Reconcile`.
pub fn reconcile_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/reconcile")
}

/// The id of a workspace's `WebhookRead`.
pub fn webhook_read_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/webhook-read")
}

/// The id of a workspace's `Verdicts`.
pub fn verdicts_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/verdicts")
}

/// The id of a person's `ContactExport`.
pub fn contact_export_id(workspace: WorkspaceId, person: &PersonId) -> String {
    format!("hubspot/{workspace}/contact/{person}")
}

/// The id of an `ExportPreview`.
pub fn export_preview_id(workspace: WorkspaceId, preview: PreviewId) -> String {
    format!("hubspot/{workspace}/preview/{preview}")
}

/// The id of a `BulkExport`.
pub fn bulk_export_id(workspace: WorkspaceId, bulk: BulkId) -> String {
    format!("hubspot/{workspace}/bulk/{bulk}")
}

/// The id of the `BulkExport` that exports whoever is due in a workspace.
pub fn due_in_bulk_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/bulk/due")
}

/// The id of a workspace's `OwnProperties`.
pub fn own_properties_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/own-properties")
}

/// The id of a workspace's `ExportRecheck`.
pub fn export_recheck_id(workspace: WorkspaceId) -> String {
    format!("hubspot/{workspace}/export-recheck")
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

/// The same for one that shows no phase.
pub fn of_portal(workspace: WorkspaceId, portal: PortalId) -> SearchAttributes {
    SearchAttributes::new([
        WORKSPACE.value_set(workspace.to_string()),
        PORTAL.value_set(portal.to_string()),
    ])
}

/// Temporal's priority and fairness for work of an urgency: a portal is one fairness key, so that a
/// workspace with millions of records does not delay another's (X4).
pub fn priority(urgency: Urgency, portal: Option<PortalId>) -> Priority {
    let builder = Priority::builder().priority_key(urgency.priority_key());
    match portal {
        Some(portal) => builder.fairness_key(portal.to_string()).build(),
        None => builder.build(),
    }
}
