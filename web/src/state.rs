//! What all handlers share.

use std::sync::{Arc, OnceLock};

use domain::{ConnectionPhase, PortalId, Urgency, WorkspaceId};
use hubspot::{ClientConfig, oauth::OAuth};
use secrecy::SecretString;
use store::Store;
use temporalio_client::{Client, WorkflowIdConflictPolicy, WorkflowStartOptions};
use tokio::task::JoinHandle;
use url::Url;
use workflows::{
    Connection, Purge,
    connection::{Carried, ConnectionInput},
    names::{self, TaskQueue},
    purge::PurgeInput,
};

use crate::{
    admit::{Limits, Places},
    counts::Counts,
    problem::Refusal,
    seal::Sealer,
    tasks::Tasks,
};

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) sealer: Sealer,
    pub(crate) api_token: SecretString,
    pub(crate) public_url: Url,
    pub(crate) hubspot: ClientConfig,
    pub(crate) oauth: Option<OAuth>,
    pub(crate) counts: Counts,
    pub(crate) places: Places,
    /// Who may show pages in a frame, as `frame-ancestors` wants it.
    pub(crate) frame_ancestors: String,
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
    pub(crate) fn new(
        sealer: Sealer,
        api_token: SecretString,
        public_url: Url,
        hubspot: ClientConfig,
        oauth: Option<OAuth>,
        limits: Limits,
        frame_ancestors: String,
    ) -> Self {
        Self(Arc::new(Inner {
            sealer,
            api_token,
            public_url,
            hubspot,
            oauth,
            counts: Counts::default(),
            places: Places::new(limits),
            frame_ancestors,
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

    pub(crate) fn redirect_uri(&self) -> Url {
        let mut url = self.public_url.clone();
        url.set_path("/oauth/hubspot/callback");
        url
    }
}

/// What a workflow is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    SettingsChanged,
    Disconnect,
}

impl Parts {
    /// Wakes the workspace's `Connection`, which is started if it does not run. The row is written
    /// already: should this fail, `Sweep` finds it, so it is no failure of the call.
    pub(crate) async fn wake(&self, workspace: WorkspaceId, portal: PortalId, wake: Wake) {
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
        let woken = match wake {
            Wake::SettingsChanged => self
                .temporal
                .signal_with_start_workflow(
                    Connection::run,
                    input,
                    Connection::settings_changed,
                    (),
                    options,
                )
                .await
                .map(drop),
            Wake::Disconnect => self
                .temporal
                .signal_with_start_workflow(
                    Connection::run,
                    input,
                    Connection::disconnect,
                    (),
                    options,
                )
                .await
                .map(drop),
        };
        if woken.is_err() {
            tracing::warn!(workspace = %workspace, wake = ?wake, "the signal did not get through; Sweep will see the row");
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
}
