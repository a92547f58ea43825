//! The activities of `Backfill`. What each promises is said at its declaration.

mod ends;
mod ranges;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use chrono::Utc;
use domain::{
    PageSize, ReadOutcome, ReadPart, ReadPlan, RunKind, SyncType, Urgency, backfill::slice_is_over,
    resync::read_from,
};
use hubspot::search::SearchRequest;
use store::{CursorKey, CursorRow, NewCursor};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::activities::{FinishRun, SliceEnd, SliceInput, SliceReport, declared};

use crate::{
    Deps,
    convert::request_class,
    failure,
    read::{
        Job, Source, Stop,
        driver::{self, Alone, Read, Reader},
        is_refusal, object_id, object_type, refusal_of,
    },
    revoked, schedules,
    slices::{MAX_BUDGET_WAIT, alive},
};

/// The activities of `Backfill`.
pub struct Backfilling {
    deps: Arc<Deps>,
}

impl Backfilling {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn slice(
        &self,
        ctx: &ActivityContext,
        input: &SliceInput,
        done: &AtomicU64,
    ) -> Result<SliceReport, ActivityError> {
        let began = Instant::now();
        let over = || {
            // While this process has places left, no slice waits for this one.
            let others_may_wait = self.deps.pulse.in_flight() >= self.deps.slots;
            ctx.is_cancelled() || slice_is_over(began.elapsed(), self.deps.slice, others_may_wait)
        };
        let moved = AtomicBool::new(false);
        let job = Job {
            deps: &self.deps,
            client: self
                .deps
                .portals
                .client(input.workspace, input.portal, input.epoch)
                .with_class(request_class(Urgency::Backfill))
                .with_max_wait(MAX_BUDGET_WAIT),
            key: CursorKey::of_run(input.workspace, input.portal, input.run, input.sync_type),
            epoch: input.epoch,
            over: &over,
            done,
            moved: &moved,
            size: Mutex::new(PageSize::new(None)),
            mapped: Mutex::new(Vec::new()),
        };
        let read = read(&job).await;
        let end = self.end(&job, input, read).await?;
        let progress = self
            .deps
            .store
            .cursor(&job.key)
            .await
            .map_err(|e| failure::of_store(&e))?
            .map_or_else(
                || domain::Progress::none(input.sync_type),
                |cursor| cursor.progress(input.sync_type),
            );
        let progress = domain::Progress {
            finished: progress.finished || end.is_of_the_type(),
            ..progress
        };
        Ok(SliceReport { progress, end })
    }

    /// How a slice ends. One that made progress ends well, whatever stopped it: the next one starts anew
    /// with a fresh back-off. Only attempts without any progress are failures, and are repeated ever
    /// more slowly. What no attempt mends ends the type, with a reason that is shown.
    async fn end(
        &self,
        job: &Job<'_>,
        input: &SliceInput,
        read: Result<SliceEnd, Stop>,
    ) -> Result<SliceEnd, ActivityError> {
        let error = match read {
            Ok(end) => return Ok(end),
            Err(Stop::Fenced) => return Ok(SliceEnd::Fenced),
            Err(Stop::Lost) => return Ok(SliceEnd::More),
            Err(Stop::HubSpot(hubspot::Error::AuthRevoked)) => {
                revoked::tell(&self.deps, input.workspace, input.epoch).await?;
                return Ok(SliceEnd::Fenced);
            }
            Err(Stop::HubSpot(error)) => error,
            Err(Stop::Store(error)) => return Err(failure::of_store(&error)),
            Err(Stop::Defect(what)) => {
                tracing::error!(object_type = %input.sync_type, what, "a type cannot be read");
                return self.refused(job, failure::DEFECT).await;
            }
            Err(Stop::NotById) => return self.refused(job, failure::DEFECT).await,
        };
        if is_refusal(&error) {
            let refusal = refusal_of(ReadPart::Whole, &error).map_err(ended_badly)?;
            let store = &self.deps.store;
            let scope = matches!(error, hubspot::Error::ScopeMissing { .. });
            let noted = if scope {
                store
                    .skip_type(&job.key, &refusal.code, &refusal.scopes)
                    .await
            } else {
                store.refuse_type(&job.key, &refusal).await
            };
            noted.map_err(|e| failure::of_store(&e))?;
            tracing::warn!(
                object_type = %input.sync_type, code = refusal.code.as_str(), "HubSpot refuses a type"
            );
            return Ok(if scope {
                SliceEnd::ScopeMissing
            } else {
                SliceEnd::Refused
            });
        }
        // Waiting for the budget is shown as a pause, and is no trouble.
        if error.class() != hubspot::ErrorClass::RateLimited {
            job.note_trouble(&error).await.map_err(ended_badly)?;
        }
        if job.moved.load(Ordering::Relaxed) {
            tracing::info!(
                object_type = %input.sync_type, error = %error, "a slice hands back what it did"
            );
            return Ok(SliceEnd::More);
        }
        Err(failure::of_hubspot(&error))
    }

    async fn refused(&self, job: &Job<'_>, code: &'static str) -> Result<SliceEnd, ActivityError> {
        let refusal = store::Refusal {
            part: ReadPart::Whole,
            code: code
                .parse()
                .map_err(|_| failure::defect("a code of ours is none"))?,
            scopes: Vec::new(),
            field: None,
        };
        self.deps
            .store
            .refuse_type(&job.key, &refusal)
            .await
            .map_err(|e| failure::of_store(&e))?;
        Ok(SliceEnd::Refused)
    }
}

/// What stops a slice while it ends.
pub(crate) fn ended_badly(stop: Stop) -> ActivityError {
    match stop {
        Stop::Store(error) => failure::of_store(&error),
        Stop::HubSpot(error) => failure::of_hubspot(&error),
        _ => failure::defect("a slice did not end"),
    }
}

/// Reads one type, by the sources that its cursor asks for.
async fn read(job: &Job<'_>) -> Result<SliceEnd, Stop> {
    let store = &job.deps.store;
    let run = store
        .run(job.key.run.ok_or(Stop::Defect("a slice without a run"))?)
        .await?
        .ok_or(Stop::Defect("the run is not in the store"))?;
    if domain::periodic::is_import(job.sync_type()) {
        let import = schedules::import_settings(job.deps, job.key.workspace).await?;
        if !import.enabled {
            store.forget_reading(&job.key).await?;
            return Ok(SliceEnd::Off);
        }
    }
    if run.kind == RunKind::Members {
        return ends::members(job).await;
    }
    let cursor = begin(job, run.mode).await?;
    job.done.store(cursor.done, Ordering::Relaxed);
    job.remember(cursor.page_size);
    job.ask_for(&cursor.properties);
    match cursor.outcome {
        ReadOutcome::Reading => {}
        ReadOutcome::Skipped => return Ok(SliceEnd::ScopeMissing),
        ReadOutcome::Refused => return Ok(SliceEnd::Refused),
        // The members of lists are read after these.
        ReadOutcome::Finished | ReadOutcome::Incomplete if job.sync_type() == SyncType::Lists => {
            return ends::members(job).await;
        }
        ReadOutcome::Finished | ReadOutcome::Incomplete => return Ok(SliceEnd::Finished),
    }
    let finished = match (job.sync_type().object_type(), cursor.plan) {
        (Some(object_type), ReadPlan::List) => ranges::read(job, object_type, &cursor).await?,
        (_, plan) => {
            let source = Source::of_type(job.sync_type(), plan);
            let reader = Reader::of_cursor(&cursor);
            let read = driver::drive(job, source, reader, &Alone(job)).await?;
            matches!(read, Read::ToTheEnd(_))
        }
    };
    if !finished {
        return Ok(SliceEnd::More);
    }
    match job.sync_type().object_type() {
        Some(object_type) => ends::records(job, object_type).await,
        None if job.sync_type() == SyncType::Lists => ends::members(job).await,
        None => Ok(SliceEnd::Finished),
    }
}

/// The cursor; made, with reader and total, if this is the first slice of its type.
async fn begin(job: &Job<'_>, mode: domain::ResyncMode) -> Result<CursorRow, Stop> {
    let store = &job.deps.store;
    let CursorKey {
        workspace,
        portal,
        sync_type,
        ..
    } = job.key;
    if let Some(cursor) = store.cursor(&job.key).await? {
        return Ok(cursor);
    }
    if sync_type == SyncType::Pipelines {
        note_time_zone(job).await?;
    }
    let last_read = store.last_read_began(workspace, portal, sync_type).await?;
    let since = read_from(mode, sync_type, last_read);
    let (total, last_id, served_at) = match sync_type.object_type() {
        Some(read) => {
            let search = job.client.search();
            let page = match since {
                Some(_) => search.count(object_type(read), since).await?,
                None => {
                    let last = SearchRequest::new(object_type(read))
                        .sort_descending("hs_object_id")
                        .limit(1);
                    search.run(&last).await?
                }
            };
            let last = page.results.iter().flatten().next();
            let last_id = last.and_then(|object| object_id(object.id.get()));
            (page.total, last_id, page.served_at)
        }
        None => (None, None, None),
    };
    let new = NewCursor {
        key: job.key,
        plan: ReadPlan::from_bound(since),
        total,
        last_id,
        read_began_at: served_at.unwrap_or_else(Utc::now),
    };
    Ok(store.begin_cursor(&new).await?)
}

const fn end_name(end: SliceEnd) -> &'static str {
    match end {
        SliceEnd::More => "more",
        SliceEnd::Finished => "finished",
        SliceEnd::Fenced => "fenced",
        SliceEnd::ScopeMissing => "scope_missing",
        SliceEnd::Refused => "refused",
        SliceEnd::Off => "off",
        SliceEnd::Other => "other",
    }
}

#[activities]
impl Backfilling {
    #[activity(definition = declared::ReadSlice)]
    pub async fn read_slice(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: SliceInput,
    ) -> Result<SliceReport, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let done = AtomicU64::new(0);
        let report = alive(&ctx, &done, self.slice(&ctx, &input, &done)).await?;
        let sync_type: SyncType = input.sync_type;
        self.deps.metrics.slice(sync_type, end_name(report.end));
        tracing::info!(
            workspace = %input.workspace,
            run = %input.run,
            object_type = %sync_type,
            done = report.progress.done,
            end = end_name(report.end),
            "slice"
        );
        Ok(report)
    }

    #[activity(definition = declared::FinishRun)]
    pub async fn finish_run(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: FinishRun,
    ) -> Result<(), ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        self.deps
            .store
            .finish_run(input.run, Utc::now())
            .await
            .map_err(|e| failure::of_store(&e))
    }
}

/// Once a day the portal is asked for its time zone, by which the rules count days (I8). Whatever comes
/// of that, the reading goes on: without a zone a day more counts.
async fn note_time_zone(job: &Job<'_>) -> Result<(), Stop> {
    let store = &job.deps.store;
    let CursorKey {
        workspace, portal, ..
    } = job.key;
    if !store.wants_time_zone(workspace, portal).await? {
        return Ok(());
    }
    match job.client.account().details().await {
        Ok(details) => {
            let zone = details.time_zone.as_deref();
            store.note_time_zone(workspace, portal, zone).await?;
        }
        Err(error) => {
            tracing::warn!(error = %error, "the portal did not tell its time zone");
        }
    }
    Ok(())
}
