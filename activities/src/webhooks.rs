//! The activity of `WebhookRead`. What it promises is said at its declaration.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::Utc;
use domain::{
    ConnectionState, Epoch, HubSpotObjectId, ObjectType, PageSize, Purpose, SyncType, Urgency,
    webhooks::ask_again_after,
};
use store::{Batch, CursorKey, DueRecord, Rows, ToldCommitted, ToldReader};
use temporalio_client::{
    WorkflowIdConflictPolicy, WorkflowStartOptions, errors::WorkflowStartError,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::{
    WebhookRead,
    activities::{ToldEnd, ToldInput, ToldReport, declared},
    names::{self, TaskQueue},
    webhook_read::WebhookReadInput,
};

use crate::{
    Deps,
    convert::request_class,
    failure,
    read::{Job, Stop, direct, in_recycle_bin, is_refusal, verify},
    revoked, schedules,
    slices::{MAX_BUDGET_WAIT, alive, started},
};

/// A slice ends after this long, so that workspaces take turns.
const SLICE: Duration = Duration::from_secs(10);
/// What is due so soon is waited for.
const SOON: Duration = Duration::from_secs(2);
/// And no shorter than this.
const LEAST: Duration = Duration::from_millis(10);
/// Records that are read at once.
const BATCH: u32 = 100;

/// The activity of `WebhookRead`.
pub struct WebhookReading {
    deps: Arc<Deps>,
}

/// What became of records, for metrics.
#[derive(Debug, Clone, Copy)]
enum End {
    Read,
    Archived,
    Missing,
    Erased,
    PutOff,
    GivenUp,
    Refused,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Archived => "archived",
            Self::Missing => "missing",
            Self::Erased => "erased",
            Self::PutOff => "put_off",
            Self::GivenUp => "given_up",
            Self::Refused => "refused",
        }
    }
}

/// Why a slice stops before its time.
enum Halt {
    Stop(Stop),
    Fenced,
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Fenced => Self::Fenced,
            stop => Self::Stop(stop),
        }
    }
}

impl From<store::StoreError> for Halt {
    fn from(error: store::StoreError) -> Self {
        Self::Stop(error.into())
    }
}

impl WebhookReading {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn slice(
        &self,
        ctx: &ActivityContext,
        input: &ToldInput,
        done: &AtomicU64,
    ) -> Result<ToldReport, ActivityError> {
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let store = &self.deps.store;
        let mut report = ToldReport {
            read: 0,
            archived: 0,
            missing: 0,
            put_off: 0,
            end: ToldEnd::Closed,
        };
        let connection = store.connection(input.workspace).await.map_err(of_store)?;
        let Some(connection) = connection
            .filter(|c| c.state == ConnectionState::Connected && c.portal == input.portal)
        else {
            return Ok(report);
        };
        // From here on, whoever is told of something wakes us again.
        store
            .begin_told(input.workspace, input.portal)
            .await
            .map_err(of_store)?;
        let import = schedules::import_settings(&self.deps, input.workspace)
            .await
            .map_err(of_store)?;
        if !import.enabled {
            // Turning the import on catches up with what was told meanwhile (I4).
            let gone = store.forget_all_told(input.workspace).await;
            gone.map_err(of_store)?;
            return Ok(report);
        }
        let began = Instant::now();
        let drained = self
            .drain(ctx, input, connection.epoch, began, &mut report, done)
            .await;
        match drained {
            Ok(true) => report.end = ToldEnd::Drained,
            Ok(false) => report.end = ToldEnd::More,
            Err(Halt::Fenced) => report.end = ToldEnd::Closed,
            Err(Halt::Stop(Stop::HubSpot(hubspot::Error::AuthRevoked))) => {
                revoked::tell(&self.deps, input.workspace, connection.epoch).await?;
                report.end = ToldEnd::Closed;
            }
            Err(Halt::Stop(Stop::HubSpot(error))) => {
                if report.read == 0 {
                    return Err(failure::of_hubspot(&error));
                }
                tracing::info!(error = %error, "a slice of webhooks hands back what it did");
                report.end = ToldEnd::More;
            }
            Err(Halt::Stop(Stop::Store(error))) => return Err(failure::of_store(&error)),
            Err(Halt::Stop(Stop::Defect(what))) => {
                tracing::error!(what, "records of webhooks cannot be read");
                return Err(failure::defect(what));
            }
            Err(Halt::Stop(Stop::Lost | Stop::NotById | Stop::Fenced)) => {
                return Err(failure::defect("records by id have no place"));
            }
        }
        Ok(report)
    }

    /// Batch after batch; whether nothing is due any more.
    async fn drain(
        &self,
        ctx: &ActivityContext,
        input: &ToldInput,
        epoch: Epoch,
        began: Instant,
        report: &mut ToldReport,
        done: &AtomicU64,
    ) -> Result<bool, Halt> {
        let over = || ctx.is_cancelled() || began.elapsed() >= SLICE;
        let moved = AtomicBool::new(false);
        let counted = AtomicU64::new(0);
        loop {
            let due = self
                .deps
                .store
                .due_told(input.workspace, input.portal, BATCH)
                .await?;
            let Some((object_type, due)) = due else {
                let next = self
                    .deps
                    .store
                    .next_told_in(input.workspace, input.portal)
                    .await?;
                // What is put off for longer is found by `Sweep`.
                match next.filter(|wait| *wait <= SOON) {
                    Some(_) if over() => return Ok(false),
                    Some(wait) => tokio::time::sleep(wait.max(LEAST)).await,
                    None => return Ok(true),
                }
                continue;
            };
            let sync_type = SyncType::ALL
                .into_iter()
                .find(|t| t.object_type() == Some(object_type))
                .ok_or(Stop::Defect("a type of record that is not imported"))?;
            let reader = ToldReader {
                workspace: input.workspace,
                portal: input.portal,
                epoch,
                object_type,
                sync_type,
            };
            let mapped = self
                .deps
                .store
                .mapped_to_read(input.workspace, object_type)
                .await?;
            let job = Job {
                deps: &self.deps,
                client: self
                    .deps
                    .portals
                    .client(input.workspace, input.portal, epoch)
                    .with_class(request_class(Urgency::Sync))
                    .with_max_wait(MAX_BUDGET_WAIT),
                key: CursorKey {
                    workspace: input.workspace,
                    portal: input.portal,
                    sync_type,
                    purpose: Purpose::Run,
                    run: None,
                },
                epoch,
                over: &over,
                done: &counted,
                moved: &moved,
                size: Mutex::new(PageSize::new(None)),
                mapped: Mutex::new(mapped),
            };
            self.batch(&job, &reader, object_type, &due, report).await?;
            done.store(report.read, Ordering::Relaxed);
            self.deps.pulse.progress();
            if over() {
                return Ok(false);
            }
        }
    }

    /// Reads one batch of records and commits what came; none of the rows is due afterwards, unless it
    /// was told of again.
    async fn batch(
        &self,
        job: &Job<'_>,
        reader: &ToldReader,
        object_type: ObjectType,
        due: &[DueRecord],
        report: &mut ToldReport,
    ) -> Result<(), Halt> {
        let ids: Vec<HubSpotObjectId> = due.iter().map(|d| d.id).collect();
        let found = match direct(job, object_type, &ids).await {
            Ok(found) => found,
            Err(Stop::HubSpot(error)) if is_refusal(&error) => {
                tracing::warn!(
                    code = failure::code_of(&error), object_type = %reader.sync_type,
                    "HubSpot refuses what webhooks tell of"
                );
                self.deps.store.forget_told(reader, due).await?;
                self.count(reader.sync_type, End::Refused, due.len());
                return Ok(());
            }
            Err(stop) => return Err(stop.into()),
        };
        let missing: BTreeSet<HubSpotObjectId> = found.missing.iter().copied().collect();
        let answered = |settled: &[HubSpotObjectId], but: &BTreeSet<HubSpotObjectId>| {
            let settled: BTreeSet<_> = settled.iter().filter(|id| !but.contains(id)).collect();
            due.iter()
                .filter(|d| settled.contains(&d.id))
                .copied()
                .collect::<Vec<_>>()
        };
        let read = answered(&found.batch.settled, &missing);
        self.commit(reader, found.batch, &read).await?;
        self.count(reader.sync_type, End::Read, read.len());
        report.read += read.len() as u64;
        let mut open: BTreeSet<HubSpotObjectId> = ids.iter().copied().collect();
        for d in &read {
            open.remove(&d.id);
        }
        if !missing.is_empty() {
            let gone: Vec<HubSpotObjectId> = missing.into_iter().collect();
            let bin = in_recycle_bin(job, object_type, &gone).await?;
            let archived = match &bin.batch.rows {
                Rows::Records(records) => records.rows.len(),
                _ => 0,
            };
            // Of these HubSpot said that they were deleted for privacy: they are asked for in every way.
            let private: BTreeSet<HubSpotObjectId> = due
                .iter()
                .filter(|d| d.privacy && bin.missing.contains(&d.id))
                .map(|d| d.id)
                .collect();
            let read = answered(&bin.batch.settled, &private);
            self.commit(reader, bin.batch, &read).await?;
            for d in &read {
                open.remove(&d.id);
            }
            self.count(reader.sync_type, End::Archived, archived);
            self.count(
                reader.sync_type,
                End::Missing,
                read.len().saturating_sub(archived),
            );
            report.read += read.len() as u64;
            report.archived += archived as u64;
            report.missing += read.len().saturating_sub(archived) as u64;
            for d in self.forget_private(job, reader, due, &private).await? {
                open.remove(&d.id);
                report.read += 1;
                report.missing += 1;
            }
        }
        let open: Vec<DueRecord> = due
            .iter()
            .filter(|d| open.contains(&d.id))
            .copied()
            .collect();
        self.put_off(reader, &open, report).await
    }

    /// Contacts that were deleted for privacy, by an event and by all answers when they are asked for, are
    /// forgotten at once (decision 0031). Says which of them were answered.
    async fn forget_private(
        &self,
        job: &Job<'_>,
        reader: &ToldReader,
        due: &[DueRecord],
        private: &BTreeSet<HubSpotObjectId>,
    ) -> Result<Vec<DueRecord>, Halt> {
        if private.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<HubSpotObjectId> = private.iter().copied().collect();
        let mut batch = verify(job, reader.object_type, &ids).await?;
        let erased: Vec<HubSpotObjectId> = match &mut batch.rows {
            Rows::Records(records) => std::mem::take(&mut records.missing).into_iter().collect(),
            _ => Vec::new(),
        };
        let settled: BTreeSet<HubSpotObjectId> = batch.settled.iter().copied().collect();
        let read: Vec<DueRecord> = due
            .iter()
            .filter(|d| settled.contains(&d.id))
            .copied()
            .collect();
        self.commit_all(reader, batch, &read, &erased).await?;
        self.count(reader.sync_type, End::Erased, erased.len());
        Ok(read)
    }

    /// What no answer spoke of is asked for again later, and after a long time no more.
    async fn put_off(
        &self,
        reader: &ToldReader,
        open: &[DueRecord],
        report: &mut ToldReport,
    ) -> Result<(), Halt> {
        let mut again = Vec::new();
        let mut given_up = Vec::new();
        for record in open {
            match ask_again_after(record.attempts) {
                Some(wait) => again.push((*record, wait)),
                None => given_up.push(*record),
            }
        }
        if !again.is_empty() {
            self.deps.store.put_off_told(reader, &again).await?;
            self.count(reader.sync_type, End::PutOff, again.len());
            report.put_off += again.len() as u64;
        }
        if !given_up.is_empty() {
            self.deps.store.forget_told(reader, &given_up).await?;
            self.count(reader.sync_type, End::GivenUp, given_up.len());
        }
        Ok(())
    }

    async fn commit(
        &self,
        reader: &ToldReader,
        batch: Batch,
        answered: &[DueRecord],
    ) -> Result<(), Halt> {
        self.commit_all(reader, batch, answered, &[]).await
    }

    async fn commit_all(
        &self,
        reader: &ToldReader,
        batch: Batch,
        answered: &[DueRecord],
        erased: &[HubSpotObjectId],
    ) -> Result<(), Halt> {
        let store = &self.deps.store;
        match store
            .commit_told(reader, batch, answered, erased, Utc::now())
            .await?
        {
            ToldCommitted::Done => Ok(()),
            ToldCommitted::Fenced => Err(Halt::Fenced),
        }
    }

    fn count(&self, sync_type: SyncType, end: End, records: usize) {
        self.deps
            .metrics
            .told(sync_type, end.as_str(), records as u64);
    }
}

#[activities]
impl WebhookReading {
    #[activity(definition = declared::ReadTold)]
    pub async fn read_told(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ToldInput,
    ) -> Result<ToldReport, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let done = AtomicU64::new(0);
        let report = alive(&ctx, &done, self.slice(&ctx, &input, &done)).await?;
        tracing::info!(
            workspace = %input.workspace,
            read = report.read,
            archived = report.archived,
            missing = report.missing,
            put_off = report.put_off,
            "webhooks read"
        );
        Ok(report)
    }
}

/// Starts a `WebhookRead` that lost its wake-up. `false` where it runs already.
pub(crate) async fn start(
    deps: &Deps,
    due: store::DueWorkspace,
) -> Result<bool, WorkflowStartError> {
    let id = names::webhook_read_id(due.workspace);
    let options = WorkflowStartOptions::new(TaskQueue::Main.name(), id)
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .search_attributes(names::search_attributes(
            due.workspace,
            due.portal,
            domain::ConnectionPhase::Syncing,
        ))
        .static_summary(format!("webhooks of portal {}", due.portal))
        .priority(names::priority(Urgency::Sync, Some(due.portal)))
        .build();
    let input = WebhookReadInput {
        workspace: due.workspace,
        portal: due.portal,
        read: 0,
    };
    started(
        deps.temporal
            .start_workflow(WebhookRead::run, input, options)
            .await,
    )
}
