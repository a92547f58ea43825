//! The activities of `Backfill`. What each promises is said at its declaration.
#![allow(
    missing_docs,
    reason = "the macros make constants without the documentation of the functions"
)]

mod definitions;
mod lists;
mod ranges;
mod reader;
mod records;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::Utc;
use domain::{
    ReadOutcome, ReadPlan, SyncType, Urgency, backfill::slice_is_over, resync::read_from,
};
use hubspot::{Client, search::SearchRequest};
use store::{CommitPage, CursorKey, CursorRow, NewCursor, PageOutcome, RangeStep};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::{
    Connection,
    activities::{FinishRun, SliceEnd, SliceInput, SliceReport, declared},
    names,
};

use self::reader::{Fetched, Payload, Reader};
use crate::{Deps, convert::request_class, failure};

/// A slice that would wait longer than this for the budget gives its slot to others.
const MAX_BUDGET_WAIT: Duration = Duration::from_secs(5);
/// Well within the heartbeat timeout of ten seconds.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);

/// The activities of `Backfill`.
pub struct Backfilling {
    deps: Arc<Deps>,
}

/// Why a slice stops without its report.
enum Stop {
    HubSpot(hubspot::Error),
    Store(store::StoreError),
    Defect(&'static str),
}

impl From<hubspot::Error> for Stop {
    fn from(error: hubspot::Error) -> Self {
        Self::HubSpot(error)
    }
}

impl From<store::StoreError> for Stop {
    fn from(error: store::StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a page moves: the cursor of its type, or a range of it.
struct Place {
    version: i64,
    range: Option<RangeStep>,
}

/// One attempt at one slice.
struct Slice<'a> {
    deps: &'a Deps,
    ctx: &'a ActivityContext,
    input: &'a SliceInput,
    client: Client,
    began: Instant,
    done: &'a AtomicU64,
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
        let slice = Slice {
            deps: &self.deps,
            ctx,
            input,
            client: self
                .deps
                .portals
                .client(input.workspace, input.portal, input.epoch)
                .with_class(request_class(Urgency::Backfill))
                .with_max_wait(MAX_BUDGET_WAIT),
            began: Instant::now(),
            done,
        };
        let end = match slice.read().await {
            Ok(end) => end,
            Err(Stop::HubSpot(hubspot::Error::Fenced)) => SliceEnd::Fenced,
            Err(Stop::HubSpot(hubspot::Error::AuthRevoked)) => {
                self.revoked(input).await?;
                SliceEnd::Fenced
            }
            Err(Stop::HubSpot(hubspot::Error::ScopeMissing { scopes })) => {
                let code = failure::SCOPE_MISSING
                    .parse()
                    .map_err(|_| failure::defect("a code of ours is none"))?;
                self.deps
                    .store
                    .skip_type(&slice.key(), &code, &scopes)
                    .await
                    .map_err(|e| failure::of_store(&e))?;
                SliceEnd::ScopeMissing
            }
            Err(Stop::HubSpot(error)) => return Err(failure::of_hubspot(&error)),
            Err(Stop::Store(error)) => return Err(failure::of_store(&error)),
            Err(Stop::Defect(what)) => return Err(failure::defect(what)),
        };
        let progress = self
            .deps
            .store
            .cursor(&slice.key())
            .await
            .map_err(|e| failure::of_store(&e))?
            .map_or_else(
                || domain::Progress::none(input.sync_type),
                |cursor| cursor.progress(input.sync_type),
            );
        Ok(SliceReport { progress, end })
    }

    /// HubSpot refused the tokens for good (C5). Of all who notice, the one that turns the row tells
    /// the workflow; should that be lost, `Sweep` has nothing to mend, as nothing runs any more.
    async fn revoked(&self, input: &SliceInput) -> Result<(), ActivityError> {
        let turned = self
            .deps
            .store
            .mark_needs_reconnect(input.workspace, input.epoch, Utc::now())
            .await
            .map_err(|e| failure::of_store(&e))?;
        if turned {
            tracing::warn!(workspace = %input.workspace, "HubSpot revoked the connection");
            let signalled = self
                .deps
                .temporal
                .get_workflow_handle::<Connection>(names::connection_id(input.workspace))
                .signal(Connection::auth_revoked, (), Default::default())
                .await;
            if signalled.is_err() {
                tracing::warn!(workspace = %input.workspace, "nobody heard of the revocation");
            }
        }
        Ok(())
    }
}

impl Slice<'_> {
    /// The cursor that it moves.
    const fn key(&self) -> CursorKey {
        let input = self.input;
        CursorKey::of_run(input.workspace, input.portal, input.run, input.sync_type)
    }

    async fn read(&self) -> Result<SliceEnd, Stop> {
        let mut cursor = self.begin().await?;
        self.done.store(cursor.done, Ordering::Relaxed);
        match cursor.outcome {
            ReadOutcome::Reading => {}
            ReadOutcome::Skipped => return Ok(SliceEnd::ScopeMissing),
            ReadOutcome::Finished | ReadOutcome::Incomplete | ReadOutcome::Refused => {
                return Ok(SliceEnd::Finished);
            }
        }
        if self.input.sync_type.object_type().is_some() && cursor.plan == ReadPlan::List {
            return ranges::read(self, &cursor).await;
        }
        let reader = Reader::new(self.input.sync_type, cursor.plan);
        let mut next: Option<Fetched> = None;
        loop {
            let fetched = match next.take() {
                Some(fetched) => fetched,
                None => reader.fetch(self, cursor.position.as_deref()).await?,
            };
            let last = fetched.finished || self.is_over();
            let position = fetched.position.clone();
            let finished = fetched.finished;
            // The next page is fetched while this one is committed; not at the end of a slice, as
            // nobody would commit it.
            let prefetch = async {
                if last || !reader.may_prefetch() {
                    return Ok(None);
                }
                reader.fetch(self, position.as_deref()).await.map(Some)
            };
            let place = Place {
                version: cursor.version,
                range: None,
            };
            let (committed, prefetched) = tokio::join!(self.commit(place, fetched), prefetch);
            match committed? {
                PageOutcome::Committed { version, .. } => cursor.version = version,
                PageOutcome::Fenced => return Ok(SliceEnd::Fenced),
                // Another attempt is at work, from the place that is in the store.
                PageOutcome::LostCursor => return Ok(SliceEnd::More),
            }
            cursor.position = position;
            if finished {
                return Ok(SliceEnd::Finished);
            }
            if last {
                return Ok(SliceEnd::More);
            }
            next = prefetched?;
        }
    }

    /// Whether the slice's time is over, or somebody wants it to end.
    fn is_over(&self) -> bool {
        // While this process has places left, no slice waits for this one.
        let others_may_wait = self.deps.pulse.in_flight() >= self.deps.slots;
        self.ctx.is_cancelled()
            || slice_is_over(self.began.elapsed(), self.deps.slice, others_may_wait)
    }

    /// The cursor; made, with reader and total, if this is the first slice of its type.
    async fn begin(&self) -> Result<CursorRow, Stop> {
        let store = &self.deps.store;
        let SliceInput { run, sync_type, .. } = *self.input;
        if let Some(cursor) = store.cursor(&self.key()).await? {
            return Ok(cursor);
        }
        let row = store
            .run(run)
            .await?
            .ok_or(Stop::Defect("the run is not in the store"))?;
        let last_read = store
            .last_read_began(self.input.workspace, self.input.portal, sync_type)
            .await?;
        let since = read_from(row.mode, sync_type, last_read);
        let (total, last_id, served_at) = match sync_type.object_type() {
            Some(object_type) => {
                let search = self.client.search();
                let object_type = records::object_type(object_type);
                let page = match since {
                    Some(_) => search.count(object_type, since).await?,
                    None => {
                        let last = SearchRequest::new(object_type)
                            .sort_descending("hs_object_id")
                            .limit(1);
                        search.run(&last).await?
                    }
                };
                let last = page.results.iter().flatten().next();
                let last_id = last.and_then(|object| reader::object_id(object.id.get()));
                (page.total, last_id, page.served_at)
            }
            None => (None, None, None),
        };
        let new = NewCursor {
            key: self.key(),
            plan: ReadPlan::from_bound(since),
            total,
            last_id,
            read_began_at: served_at.unwrap_or_else(Utc::now),
        };
        Ok(store.begin_cursor(&new).await?)
    }

    async fn commit(&self, place: Place, fetched: Fetched) -> Result<PageOutcome, Stop> {
        let began = Instant::now();
        let records = fetched.payload.len();
        let quarantined: Vec<_> = fetched.quarantine.iter().map(|q| q.reason).collect();
        let mut page = CommitPage {
            workspace: self.input.workspace,
            portal: self.input.portal,
            epoch: self.input.epoch,
            run: self.input.run,
            sync_type: self.input.sync_type,
            range: place.range,
            expected_version: place.version,
            position: fetched.position,
            finished: fetched.finished,
            read_at: fetched.sent_at,
            rows: Vec::new(),
            associated_types: Vec::new(),
            associations: Vec::new(),
            quarantine: fetched.quarantine,
        };
        let store = &self.deps.store;
        let now = Utc::now();
        let outcome = match fetched.payload {
            Payload::Records(records) => {
                page.rows = records.rows;
                page.associated_types = records.associated_types;
                page.associations = records.associations;
                store.commit_page(page, now).await?
            }
            Payload::Owners(owners) => store.commit_owners(&page, &owners, now).await?,
            Payload::Properties(object_type, properties) => {
                store
                    .commit_properties(&page, object_type, &properties, now)
                    .await?
            }
            Payload::Pipelines(pipelines) => store.commit_pipelines(&page, &pipelines, now).await?,
            Payload::Lists(lists) => store.commit_lists(&page, &lists, now).await?,
            Payload::Members(members) => store.commit_members(&page, &members, now).await?,
            Payload::Nothing => store.commit_lists(&page, &[], now).await?,
        };
        if let PageOutcome::Committed { .. } = outcome {
            let sync_type = self.input.sync_type;
            self.deps.pulse.progress();
            self.deps
                .metrics
                .page(sync_type, records, began.elapsed().as_secs_f64());
            for reason in quarantined {
                self.deps.metrics.quarantined(sync_type, reason);
            }
            self.done.fetch_add(records, Ordering::Relaxed);
        }
        Ok(outcome)
    }
}

const fn end_name(end: SliceEnd) -> &'static str {
    match end {
        SliceEnd::More => "more",
        SliceEnd::Finished => "finished",
        SliceEnd::Fenced => "fenced",
        SliceEnd::ScopeMissing => "scope_missing",
    }
}

/// Tells Temporal that the attempt lives, whatever it waits for.
async fn heartbeat(ctx: &ActivityContext, done: &AtomicU64) {
    let mut every = tokio::time::interval(HEARTBEAT_EVERY);
    loop {
        every.tick().await;
        if let Err(error) = ctx.record_heartbeat(done.load(Ordering::Relaxed)).await {
            tracing::warn!(error = %error, "a heartbeat could not be recorded");
        }
    }
}

#[activities]
impl Backfilling {
    /// See the declaration.
    #[activity(definition = declared::ReadSlice)]
    pub async fn read_slice(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: SliceInput,
    ) -> Result<SliceReport, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let done = AtomicU64::new(0);
        let report = tokio::select! {
            report = self.slice(&ctx, &input, &done) => report?,
            () = heartbeat(&ctx, &done) => return Err(failure::defect("the heartbeat ended")),
        };
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

    /// See the declaration.
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
