//! What follows the store: webhooks to be read, properties newly mapped, profiles and verdicts.

use std::{collections::BTreeMap, time::Duration};

use chrono::Utc;
use domain::{PortalId, SyncRunId, WorkspaceId, export::bulk::go_in_bulk};
use store::{DueAgain, DueWorkspace, ProjectionDue, StoreError, Swept};
use uuid::Uuid;

use super::{Did, PAGE, Sweeping, Tally, Unmended};
use crate::{export, periodic, profiles, verdicts, webhooks};

/// Exports that are started at once by one sweep.
const EXPORTS: u32 = 2_000;
/// A request that is due for longer than this has lost its wake-up.
const EXPORT_OVERDUE: Duration = Duration::from_secs(2);

/// A record that webhooks told of and that is due for longer than this has lost its reader.
const TOLD_OVERDUE: Duration = Duration::from_secs(10);

impl Sweeping {
    /// A reader is woken by whoever stores what a webhook told; here by what waits all the same.
    pub(super) async fn start_webhook_reads(&self, tally: &Tally) -> Result<(), Unmended> {
        tally
            .pages(
                |after| self.deps.store.told_to_sweep(after, TOLD_OVERDUE, PAGE),
                async |Swept { workspace, row }| (workspace, self.start_webhook_read(row).await),
            )
            .await
    }

    async fn start_webhook_read(
        &self,
        due: Result<DueWorkspace, StoreError>,
    ) -> Result<Did, Unmended> {
        webhooks::start(&self.deps, due?)
            .await
            .map(|done| Did::StartedWebhookRead.so(done))
            .map_err(|_| Unmended::Temporal("WebhookRead could not be started"))
    }

    /// What a periodic sync was not answered whole is asked again before the schedule does.
    pub(super) async fn start_again(&self, tally: &Tally) -> Result<(), Unmended> {
        tally
            .pages(
                |after| self.deps.store.again_to_sweep(after, PAGE),
                async |Swept { workspace, row }| {
                    (workspace, self.start_asking(workspace, row).await)
                },
            )
            .await
    }

    async fn start_asking(
        &self,
        workspace: WorkspaceId,
        due: Result<DueAgain, StoreError>,
    ) -> Result<Did, Unmended> {
        let due = due?;
        let started = periodic::start_again(&self.deps, workspace, &due)
            .await
            .map_err(|_| Unmended::Temporal("PeriodicSync could not be started"))?;
        if started {
            self.deps.store.asks_again(workspace, &due).await?;
        }
        Ok(Did::AskedAgain.so(started))
    }

    /// Of readings of which it is not known what they asked for, what is mapped may lack.
    pub(super) async fn read_mapped(&self, tally: &Tally) -> Result<(), Unmended> {
        let unknown = self.deps.store.mapping_to_check(PAGE).await?;
        tally
            .each(unknown, async |workspace| {
                (workspace, self.check_mapping(workspace).await)
            })
            .await;
        Ok(())
    }

    async fn check_mapping(&self, workspace: WorkspaceId) -> Result<Did, Unmended> {
        let run = SyncRunId::new(Uuid::now_v7());
        let queued = self
            .deps
            .store
            .check_mapping(workspace, run, Utc::now())
            .await?;
        if queued {
            self.wake(workspace).await?;
        }
        Ok(Did::WokeConnection.so(queued))
    }

    /// Links and profiles that are behind are brought up to date.
    pub(super) async fn follow_profiles(&self, tally: &Tally) -> Result<(), Unmended> {
        tally
            .pages(
                |after| self.deps.store.projections_due(after, PAGE),
                async |Swept { workspace, row }| (workspace, self.start_profiles(row).await),
            )
            .await
    }

    async fn start_profiles(
        &self,
        due: Result<Option<ProjectionDue>, StoreError>,
    ) -> Result<Did, Unmended> {
        let Some(due) = due? else {
            return Ok(Did::Nothing);
        };
        profiles::start(&self.deps, due)
            .await
            .map(|done| Did::StartedProfiles.so(done))
            .map_err(|_| Unmended::Temporal("profiles could not be started"))
    }

    /// Starts to judge where there is something newer to judge by.
    pub(super) async fn start_verdicts(&self, tally: &Tally) -> Result<(), Unmended> {
        tally
            .pages(
                |after| self.deps.store.verdicts_due(after, PAGE),
                async |Swept { workspace, row }| {
                    (workspace, self.start_judging(workspace, row).await)
                },
            )
            .await
    }

    async fn start_judging(
        &self,
        workspace: WorkspaceId,
        portal: Result<PortalId, StoreError>,
    ) -> Result<Did, Unmended> {
        verdicts::start(&self.deps, workspace, portal?)
            .await
            .map(|done| Did::StartedVerdicts.so(done))
            .map_err(|_| Unmended::Temporal("verdicts could not be started"))
    }

    /// A person's export is woken by whoever asks for it; here by what is due all the same: what waited,
    /// what is due again, and whom a bulk export is about. Where many of a workspace are due they go in bulk.
    pub(super) async fn start_exports(&self, tally: &Tally) -> Result<(), Unmended> {
        let store = &self.deps.store;
        // Those of a connection that is there again, and of one that is not there any more.
        while !store.requeue_exports(EXPORTS, Utc::now()).await?.done {}
        while !store.settle_activities(EXPORTS, Utc::now()).await?.done {}
        let mut in_bulk: BTreeMap<WorkspaceId, PortalId> = BTreeMap::new();
        let due = loop {
            let but_of: Vec<WorkspaceId> = in_bulk.keys().copied().collect();
            let due = store.due_exports(EXPORT_OVERDUE, EXPORTS, &but_of).await?;
            let many = go_in_bulk(due.iter().map(|due| (due.workspace, due.portal)));
            let before = in_bulk.len();
            in_bulk.extend(many);
            if in_bulk.len() == before {
                break due;
            }
        };
        tally
            .each(in_bulk, async |(workspace, portal)| {
                let started = export::start_due(&self.deps, workspace, portal)
                    .await
                    .map(|done| Did::StartedBulkExport.so(done))
                    .map_err(|_| Unmended::Temporal("BulkExport could not be started"));
                (workspace, started)
            })
            .await;
        tally
            .each(due, async |due| {
                let started = export::start(&self.deps, &due)
                    .await
                    .map(|done| Did::StartedExport.so(done))
                    .map_err(|_| Unmended::Temporal("ContactExport could not be started"));
                (due.workspace, started)
            })
            .await;
        Ok(())
    }

    /// A bulk export is started by whoever asks for it, confirms or cancels; here by what is due all the
    /// same: after a wait, a reconnect, or a start that was lost.
    pub(super) async fn start_bulk_exports(&self, tally: &Tally) -> Result<(), Unmended> {
        let due = self.deps.store.due_bulks(EXPORT_OVERDUE, PAGE).await?;
        tally
            .each(due, async |due| {
                let started = export::start_bulk(&self.deps, due)
                    .await
                    .map(|done| Did::StartedBulkExport.so(done))
                    .map_err(|_| Unmended::Temporal("BulkExport could not be started"));
                (due.workspace, started)
            })
            .await;
        Ok(())
    }

    /// Companies of new contacts are looked at once more.
    pub(super) async fn start_rechecks(&self, tally: &Tally) -> Result<(), Unmended> {
        tally
            .pages(
                |after| self.deps.store.rechecks_due(after, PAGE),
                async |Swept { workspace, row }| {
                    (workspace, self.start_recheck(workspace, row).await)
                },
            )
            .await
    }

    async fn start_recheck(
        &self,
        workspace: WorkspaceId,
        portal: Result<PortalId, StoreError>,
    ) -> Result<Did, Unmended> {
        export::start_recheck(&self.deps, workspace, portal?)
            .await
            .map(|done| Did::StartedRecheck.so(done))
            .map_err(|_| Unmended::Temporal("ExportRecheck could not be started"))
    }
}
