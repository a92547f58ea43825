//! What all handlers share.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use domain::{ConnectionPhase, PortalId, Urgency, WorkspaceId, app::PersonId};
use hubspot::{ClientConfig, oauth::OAuth};
use secrecy::SecretString;
use store::{BulkRow, Store};
use temporalio_client::{Client, WorkflowIdConflictPolicy, WorkflowStartOptions};
use tokio::{sync::watch, task::JoinHandle};
use url::Url;
use workflows::{
    BulkExport, Connection, ContactExport, ExportPreview, OwnProperties, Purge, WebhookRead,
    activities::{BulkInput, ExportReport, WorkspaceInput},
    connection::{Carried, ConnectionInput},
    contact_export::ContactExportInput,
    export_preview::{ExportPreviewInput, PreviewEnd},
    names::{self, TaskQueue},
    own_properties::OwnPropertiesEnd,
    purge::PurgeInput,
    webhook_read::WebhookReadInput,
};

use crate::{
    admit::{Limits, Places},
    counts::Counts,
    followers::Followers,
    pages::{entry::EntryKeys, live::Streams},
    problem::Refusal,
    seal::Sealer,
    tally::Tally,
    tasks::Tasks,
};

/// How long whoever asks for a preview waits for it.
const PREVIEW_WITHIN: Duration = Duration::from_secs(20);

/// How long whoever has properties made waits for them: each is looked for until it is to be seen.
const PROPERTIES_WITHIN: Duration = Duration::from_secs(25);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) sealer: Sealer,
    pub(crate) api_token: SecretString,
    pub(crate) public_url: Url,
    pub(crate) hubspot: ClientConfig,
    pub(crate) oauth: Option<OAuth>,
    /// What HubSpot signs webhooks with: the app's client secret.
    pub(crate) webhook_secret: Option<SecretString>,
    pub(crate) followers: Followers,
    pub(crate) streams: Streams,
    pub(crate) tally: Tally,
    stopping: watch::Sender<bool>,
    pub(crate) counts: Counts,
    pub(crate) places: Places,
    /// Who may show pages in a frame, as `frame-ancestors` wants it.
    pub(crate) frame_ancestors: String,
    /// What the main app signs its tokens with; none: the settings pages cannot be opened.
    pub(crate) entry_keys: Option<EntryKeys>,
    /// What goes on though its caller may be gone.
    pub(crate) tasks: Tasks,
    parts: OnceLock<Parts>,
}

/// What is there only once Postgres and Temporal answered.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) temporal: Client,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    #[allow(
        clippy::too_many_arguments,
        reason = "one place calls it, with what was configured"
    )]
    pub(crate) fn new(
        sealer: Sealer,
        api_token: SecretString,
        public_url: Url,
        hubspot: ClientConfig,
        oauth: Option<OAuth>,
        webhook_secret: Option<SecretString>,
        limits: Limits,
        frame_ancestors: String,
        entry_keys: Option<EntryKeys>,
    ) -> Self {
        Self(Arc::new(Inner {
            sealer,
            api_token,
            public_url,
            hubspot,
            oauth,
            webhook_secret,
            // The other half of the requests is for those who do not wait.
            followers: Followers::new((limits.requests / 2).max(1)),
            streams: Streams::default(),
            tally: Tally::default(),
            stopping: watch::Sender::new(false),
            counts: Counts::default(),
            places: Places::new(limits),
            frame_ancestors,
            entry_keys,
            tasks: Tasks::default(),
            parts: OnceLock::new(),
        }))
    }

    /// Runs to its end, whether the caller waits or hangs up; shutting down waits for it too.
    pub(crate) fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn(work)
    }

    /// Postgres and Temporal are there.
    pub(crate) fn ready(&self, store: Store, temporal: Client) {
        // Set once, by the one task that connects.
        let _first = self.0.parts.set(Parts { store, temporal });
    }

    pub(crate) fn parts(&self) -> Result<&Parts, Refusal> {
        self.0.parts.get().ok_or(Refusal::NotReady)
    }

    /// The process is to end: whoever waits is answered.
    pub(crate) fn stop(&self) {
        self.0.stopping.send_replace(true);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.0.stopping.borrow()
    }

    /// Until the process is to end.
    pub(crate) async fn stopping(&self) {
        let mut stops = self.0.stopping.subscribe();
        // The sender is here, so there is always something to wait for.
        let _stops = stops.wait_for(|stops| *stops).await;
    }

    pub(crate) fn redirect_uri(&self) -> Url {
        let mut url = self.public_url.clone();
        url.set_path("/oauth/hubspot/callback");
        url
    }
}

impl Parts {
    /// Wakes the workspace's `Connection`, which is started if it does not run. The row is written
    /// already: should this fail, `Sweep` finds it, so it is no failure of the call.
    pub(crate) async fn wake(&self, workspace: WorkspaceId, portal: PortalId) {
        let options =
            WorkflowStartOptions::new(TaskQueue::Main.name(), names::connection_id(workspace))
                .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
                .search_attributes(names::search_attributes(
                    workspace,
                    portal,
                    ConnectionPhase::Connected,
                ))
                .static_summary(format!("HubSpot portal {portal}"))
                .priority(names::priority(Urgency::Interactive, Some(portal)))
                .build();
        let input = ConnectionInput {
            workspace,
            portal,
            carried: Carried::default(),
        };
        // Never the signal `disconnect`, which is a command: the row has it already, and one that comes
        // late would take down who connected again meanwhile.
        let woken = self
            .temporal
            .signal_with_start_workflow(
                Connection::run,
                input,
                Connection::settings_changed,
                (),
                options,
            )
            .await;
        if woken.is_err() {
            tracing::warn!(workspace = %workspace, "the signal did not get through; Sweep will see the row");
        }
    }

    /// Wakes the workspace's `WebhookRead`, which is started if it does not run. The rows are written
    /// already: should this fail, `Sweep` finds them.
    pub(crate) async fn wake_webhook_read(&self, workspace: WorkspaceId, portal: PortalId) {
        let id = names::webhook_read_id(workspace);
        let options = WorkflowStartOptions::new(TaskQueue::Main.name(), id)
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .search_attributes(names::search_attributes(
                workspace,
                portal,
                ConnectionPhase::Syncing,
            ))
            .static_summary(format!("webhooks of portal {portal}"))
            .priority(names::priority(Urgency::Sync, Some(portal)))
            .build();
        let input = WebhookReadInput {
            workspace,
            portal,
            read: 0,
        };
        let woken = self
            .temporal
            .signal_with_start_workflow(WebhookRead::run, input, WebhookRead::wake, (), options)
            .await;
        if woken.is_err() {
            tracing::warn!(workspace = %workspace, "nobody was woken to read what a webhook told; Sweep will see the rows");
        }
    }

    /// Starts the workspace's `Purge`, unless it runs. The row is written already: should this fail,
    /// `Sweep` finds it.
    pub(crate) async fn start_purge(&self, workspace: WorkspaceId) {
        let options = WorkflowStartOptions::new(TaskQueue::Main.name(), names::purge_id(workspace))
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .static_summary("purge of a workspace")
            .priority(names::priority(Urgency::Backfill, None))
            .build();
        let input = PurgeInput {
            workspace,
            removed: 0,
        };
        if self
            .temporal
            .start_workflow(Purge::run, input, options)
            .await
            .is_err()
        {
            tracing::warn!(workspace = %workspace, "the purge was not started; Sweep will see the row");
        }
    }

    /// Wakes whoever writes about a person, who is started if nobody does. The rows are written already:
    /// should this fail, `Sweep` finds them.
    pub(crate) async fn wake_export(&self, workspace: WorkspaceId, person: &PersonId) {
        let id = names::contact_export_id(workspace, person);
        let options = WorkflowStartOptions::new(TaskQueue::Main.name(), id)
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .static_summary("export of a person")
            .priority(names::priority(Urgency::Interactive, None))
            .build();
        let input = ContactExportInput {
            workspace,
            person: person.clone(),
            portal: None,
            report: ExportReport::default(),
        };
        let woken = self
            .temporal
            .signal_with_start_workflow(ContactExport::run, input, ContactExport::wake, (), options)
            .await;
        if woken.is_err() {
            tracing::warn!(workspace = %workspace, "nobody was woken to export; Sweep will see the rows");
        }
    }

    /// Wakes the exports of those of these people about whom something is to be exported now.
    pub(crate) async fn wake_exports(&self, workspace: WorkspaceId, people: &[PersonId]) {
        match self.store.exports_to_wake(workspace, people).await {
            Ok(due) => {
                let woken = due.iter().map(|person| self.wake_export(workspace, person));
                futures::future::join_all(woken).await;
            }
            // What was written is written; `Sweep` sees the rows.
            Err(error) => {
                tracing::warn!(code = error.code(), workspace = %workspace, "nobody was woken to export");
            }
        }
    }

    /// Wakes whoever goes on with a bulk export, who is started if nobody does. The row is written already:
    /// should this fail, `Sweep` finds it.
    pub(crate) async fn wake_bulk(&self, row: &BulkRow) {
        let id = names::bulk_export_id(row.workspace, row.bulk);
        let options = WorkflowStartOptions::new(TaskQueue::Main.name(), id)
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .search_attributes(names::of_portal(row.workspace, row.portal))
            .static_summary(format!("bulk export to portal {}", row.portal))
            .priority(names::priority(Urgency::Sync, Some(row.portal)))
            .build();
        let input = BulkInput {
            workspace: row.workspace,
            portal: row.portal,
            bulk: Some(row.bulk),
        };
        let woken = self
            .temporal
            .signal_with_start_workflow(BulkExport::run, input, BulkExport::wake, (), options)
            .await;
        if woken.is_err() {
            tracing::warn!(workspace = %row.workspace, "nobody was woken for a bulk export; Sweep will see the row");
        }
    }

    /// Has a preview made, and waits for it. None when it did not end in time.
    pub(crate) async fn preview(
        &self,
        input: ExportPreviewInput,
        portal: PortalId,
    ) -> Option<PreviewEnd> {
        let id = names::export_preview_id(input.workspace, input.preview);
        let options = WorkflowStartOptions::new(TaskQueue::Main.name(), id)
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .execution_timeout(PREVIEW_WITHIN)
            .search_attributes(names::of_portal(input.workspace, portal))
            .static_summary("preview of an export")
            .priority(names::priority(Urgency::Interactive, Some(portal)))
            .build();
        let ended = async {
            let handle = self
                .temporal
                .start_workflow(ExportPreview::run, input, options)
                .await
                .ok()?;
            handle.get_result(Default::default()).await.ok()
        };
        tokio::time::timeout(PREVIEW_WITHIN, ended).await.ok()?
    }

    /// Has our properties made, and waits for it. None when it did not end in time.
    pub(crate) async fn own_properties(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Option<OwnPropertiesEnd> {
        let id = names::own_properties_id(workspace);
        let options = WorkflowStartOptions::new(TaskQueue::Main.name(), id)
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .execution_timeout(PROPERTIES_WITHIN)
            .search_attributes(names::of_portal(workspace, portal))
            .static_summary("our group of properties")
            .priority(names::priority(Urgency::Interactive, Some(portal)))
            .build();
        let input = WorkspaceInput { workspace };
        let ended = async {
            let handle = self
                .temporal
                .start_workflow(OwnProperties::run, input, options)
                .await
                .ok()?;
            handle.get_result(Default::default()).await.ok()
        };
        tokio::time::timeout(PROPERTIES_WITHIN, ended).await.ok()?
    }
}
