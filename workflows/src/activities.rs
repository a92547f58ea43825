//! Declarations of the activities, and the types that they exchange with workflows: ids, cursors
//! and counts only (X5). `activities/` implements them.
#![allow(
    clippy::unimplemented,
    reason = "`#[activity_definitions]` demands this body, which is never called"
)]

use std::convert::Infallible;

use domain::{
    BulkId, ConnectionState, Epoch, PortalId, Progress, ResyncOutcome, ResyncRequest, RunKind,
    SyncRunId, SyncType, WorkspaceId, app::PersonId, export::BulkState, reconcile::Cost,
};
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;
use utoipa::ToSchema;

use crate::{
    export_preview::{ExportPreviewInput, PreviewEnd},
    export_recheck::RecheckReport,
    own_properties::OwnPropertiesEnd,
    profiles::{ProfilesInput, ProfilesProgress},
    purge::PurgeProgress,
    verdicts::VerdictsProgress,
};

/// A run that is to be read now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedRun {
    pub run: SyncRunId,
    /// Why it exists.
    pub kind: RunKind,
    /// What it reads.
    pub types: Vec<SyncType>,
}

/// What the store says about a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The connection's state.
    pub state: ConnectionState,
    pub portal: PortalId,
    /// The epoch that work started now has to carry.
    pub epoch: Epoch,
    /// The run to read now: the one under way, or the oldest that waits.
    pub run: Option<ClaimedRun>,
    /// Whether any run of this workspace and portal has finished.
    pub ever_finished: bool,
}

/// Input of the activities that need to know the workspace alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceInput {
    pub workspace: WorkspaceId,
}

/// Input of `adopt_resync`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptResync {
    pub workspace: WorkspaceId,
    /// The id that the run gets if one is made; given by the workflow, so that a second attempt
    /// makes no second run.
    pub run: SyncRunId,
    /// What was asked for.
    pub request: ResyncRequest,
}

/// What came of a `resync` signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdoptedResync {
    /// See [`ResyncOutcome::Started`].
    Started,
    /// See [`ResyncOutcome::AlreadyRunning`].
    AlreadyRunning,
    /// See [`ResyncOutcome::Queued`].
    Queued,
    /// See [`ResyncOutcome::NotConnected`].
    NotConnected,
    /// The store cannot hold the request, whatever its input looked like. No attempt mends that.
    Refused,
}

impl From<ResyncOutcome> for AdoptedResync {
    fn from(outcome: ResyncOutcome) -> Self {
        match outcome {
            ResyncOutcome::Started => Self::Started,
            ResyncOutcome::AlreadyRunning => Self::AlreadyRunning,
            ResyncOutcome::Queued => Self::Queued,
            ResyncOutcome::NotConnected => Self::NotConnected,
        }
    }
}

/// What the fence did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceReport {
    /// The epoch from now on.
    pub epoch: Epoch,
}

/// What became of the tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EraseReport {
    /// Whether HubSpot confirmed that the refresh token is revoked. They are erased in any case.
    pub revoked: bool,
}

/// What became of the schedule of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleState {
    /// It starts periodic syncs.
    Running,
    /// It waits for somebody to connect again.
    Paused,
    /// There is none.
    Gone,
    /// Temporal or the store did not do it; `Sweep` looks again.
    NotKept,
}

/// Activities of `Connection`.
#[derive(Debug)]
pub struct ConnectionActivities;

#[activity_definitions]
impl ConnectionActivities {
    /// Reads the connection and claims the run that is to be read now.
    ///
    /// - Idempotency key: the workspace; a run that is claimed already is returned again.
    /// - Timeouts: start-to-close 10 s. Retry class: transient, for ever. Heartbeat: none.
    #[activity(name = "take_turn")]
    pub fn take_turn(input: WorkspaceInput) -> Result<Turn, Infallible> {
        unimplemented!()
    }

    /// Turns a `resync` signal into a row, or says why not.
    ///
    /// - Idempotency key: the run's id. Timeouts: start-to-close 10 s.
    /// - Retry class: transient, for ever. Heartbeat: none.
    #[activity(name = "adopt_resync")]
    pub fn adopt_resync(input: AdoptResync) -> Result<AdoptedResync, Infallible> {
        unimplemented!()
    }

    /// Raises the disconnect fence, if it is not up yet (C4).
    ///
    /// - Idempotency key: the workspace. Timeouts: start-to-close 10 s.
    /// - Retry class: transient, for ever. Heartbeat: none.
    #[activity(name = "raise_fence")]
    pub fn raise_fence(input: WorkspaceInput) -> Result<FenceReport, Infallible> {
        unimplemented!()
    }

    /// Revokes the refresh token and erases all tokens. HubSpot not answering does not keep the
    /// tokens alive here: after a few seconds they are erased all the same.
    ///
    /// - Idempotency key: the workspace and its epoch; revoking a revoked token is harmless.
    /// - Timeouts: start-to-close 15 s. Retry class: transient, for ever. Heartbeat: none.
    #[activity(name = "erase_connection")]
    pub fn erase_connection(input: WorkspaceInput) -> Result<EraseReport, Infallible> {
        unimplemented!()
    }

    /// Makes the schedule of the periodic sync what the store says that it ought to be: there while
    /// connected, paused while HubSpot refuses the tokens, gone after a disconnect (I2).
    ///
    /// - Idempotency key: the workspace; what is as it ought to be is not touched.
    /// - Timeouts: start-to-close 10 s. Retry class: none, what fails is an answer, and `Sweep` looks
    ///   again. Heartbeat: none.
    #[activity(name = "keep_schedule")]
    pub fn keep_schedule(input: WorkspaceInput) -> Result<ScheduleState, Infallible> {
        unimplemented!()
    }
}

/// Input of `read_slice`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceInput {
    pub workspace: WorkspaceId,
    pub portal: PortalId,
    /// The epoch in which the run was claimed; an older one than the connection's is refused.
    pub epoch: Epoch,
    pub run: SyncRunId,
    /// What to read.
    pub sync_type: SyncType,
}

/// Why a slice ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceEnd {
    /// Its time was over, or something stopped it after it had made progress; there is more to read.
    More,
    /// The reader reached the end of this type.
    Finished,
    /// The connection is no longer in this epoch: disconnected, or HubSpot revoked the tokens.
    Fenced,
    /// A scope that this type needs was not granted; the rest goes on (C2).
    ScopeMissing,
    /// HubSpot refuses this type for a reason that is shown; the rest goes on.
    Refused,
    /// The workspace does not import this (I4).
    Off,
    /// What a later program says; taken for `More`.
    #[serde(other)]
    Other,
}

impl SliceEnd {
    /// Whether no more slices of this type follow, as far as the type itself is concerned.
    pub const fn is_of_the_type(self) -> bool {
        matches!(
            self,
            Self::Finished | Self::ScopeMissing | Self::Refused | Self::Off
        )
    }
}

/// What a slice did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceReport {
    /// How far the type is.
    pub progress: Progress,
    /// Why the slice ended.
    pub end: SliceEnd,
}

/// Input of `sync_slice`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSliceInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which portal; if it is another one by now, nothing is read.
    pub portal: PortalId,
    /// What this run has yet to read; none at its beginning: all.
    pub left: Option<Vec<SyncType>>,
}

/// Why a slice of a periodic sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncEnd {
    /// Its time was over, or something stopped it after it had made progress; there is more to read.
    More,
    /// All types that this run reads are read; what was refused is shown.
    Finished,
    /// The connection is no longer in the epoch in which the slice began.
    Fenced,
    /// The workspace is not connected to this portal.
    NotConnected,
    /// What a later program says; taken for the end.
    #[serde(other)]
    Other,
}

impl SyncEnd {
    /// The name in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::More => "more",
            Self::Finished => "finished",
            Self::Fenced => "fenced",
            Self::NotConnected => "not_connected",
            Self::Other => "other",
        }
    }
}

/// What a slice of a periodic sync did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReport {
    /// Why it ended.
    pub end: SyncEnd,
    /// What this run has yet to read.
    pub left: Vec<SyncType>,
    /// Rows that came; of records only those that were news.
    pub changed: u64,
}

impl SyncReport {
    /// Nothing was read, and nothing is to be.
    pub const fn ended(end: SyncEnd) -> Self {
        Self {
            end,
            left: Vec::new(),
            changed: 0,
        }
    }
}

/// Activities of `PeriodicSync`.
#[derive(Debug)]
pub struct PeriodicActivities;

#[activity_definitions]
impl PeriodicActivities {
    /// Reads what changed of all types that the workspace reads and a backfill has handed over, each
    /// from its cursor in the store, for [`domain::SLICE`] at most. What goes wrong with one type stops
    /// no other. A run in which nothing changed is one such slice.
    ///
    /// - Idempotency key: (type, cursor version); an attempt that loses a cursor stops.
    /// - Timeouts: start-to-close 20 min more than a slice lasts, for calls that are slow and alive;
    ///   heartbeat 10 s.
    /// - Retry class: transient and rate limited, for ever, but only attempts without any progress. A
    ///   refusal, a fence and a connection that is gone are answers.
    /// - Heartbeat: rows done, for a person who looks; never the place to resume.
    #[activity(name = "sync_slice")]
    pub fn sync_slice(input: SyncSliceInput) -> Result<SyncReport, Infallible> {
        unimplemented!()
    }
}

/// Input of `finish_run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishRun {
    pub workspace: WorkspaceId,
    pub run: SyncRunId,
}

/// Activities of `Backfill`.
#[derive(Debug)]
pub struct BackfillActivities;

#[activity_definitions]
impl BackfillActivities {
    /// Reads pages of one object type, from the cursor in the store, each page committed with its
    /// cursor in one transaction: for [`domain::SLICE`], and while nobody waits for its place on to
    /// [`domain::SLICE_MAX`].
    ///
    /// - Idempotency key: (run, type, cursor version); an attempt that loses the cursor stops.
    /// - Timeouts: start-to-close 20 min more than a slice lasts, for calls that are slow and alive;
    ///   heartbeat 10 s.
    /// - Retry class: transient and rate limited, for ever, but only attempts that made no progress:
    ///   one that did ends as `More`. Missing scopes, refusals and a fence are answers.
    /// - Heartbeat: records done, for a person who looks; never the place to resume.
    #[activity(name = "read_slice")]
    pub fn read_slice(input: SliceInput) -> Result<SliceReport, Infallible> {
        unimplemented!()
    }

    /// Marks the run as finished.
    ///
    /// - Idempotency key: the run. Timeouts: start-to-close 10 s.
    /// - Retry class: transient, for ever. Heartbeat: none.
    #[activity(name = "finish_run")]
    pub fn finish_run(input: FinishRun) -> Result<(), Infallible> {
        unimplemented!()
    }
}

/// Activities of `ExportPreview`.
#[derive(Debug)]
pub struct PreviewActivities;

#[activity_definitions]
impl PreviewActivities {
    /// Plans the export of the person whom the preview's row names, by a fresh read and without any
    /// write, and puts the plan into the row.
    ///
    /// - Idempotency key: the preview; done again it plans again. Timeouts: start-to-close 15 s.
    /// - Retry class: transient, until nobody waits any more: the workflow has a time-out of its own. A
    ///   connection that cannot be used, a refusal and limits that are reached are answers.
    /// - Heartbeat: none.
    #[activity(name = "preview_export")]
    pub fn preview_export(input: ExportPreviewInput) -> Result<PreviewEnd, Infallible> {
        unimplemented!()
    }
}

/// Activities of `OwnProperties`.
#[derive(Debug)]
pub struct OwnPropertiesActivities;

#[activity_definitions]
impl OwnPropertiesActivities {
    /// Makes our group of properties and each property that is not there, and keeps their definitions. Says
    /// what came of each.
    ///
    /// - Idempotency key: the names: what is there is taken as it is. Timeouts: start-to-close 25 s.
    /// - Retry class: transient, until nobody waits any more: the workflow has a time-out of its own. A
    ///   connection that cannot be used, a refusal and limits that are reached are answers.
    /// - Heartbeat: none.
    #[activity(name = "make_own_properties")]
    pub fn make_own_properties(input: WorkspaceInput) -> Result<OwnPropertiesEnd, Infallible> {
        unimplemented!()
    }
}

/// Activities of `Purge`.
#[derive(Debug)]
pub struct PurgeActivities;

#[activity_definitions]
impl PurgeActivities {
    /// Removes rows of a workspace that is being purged, for some twenty seconds, in transactions of
    /// some thousand rows. Says how many, and whether nothing is left.
    ///
    /// - Idempotency key: the workspace; what is gone is not counted again.
    /// - Timeouts: start-to-close 120 s, heartbeat 10 s. Retry class: transient, for ever.
    /// - Heartbeat: rows removed, for a person who looks.
    #[activity(name = "purge_slice")]
    pub fn purge_slice(input: WorkspaceInput) -> Result<PurgeProgress, Infallible> {
        unimplemented!()
    }
}

/// Why a slice of a reconciliation ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReconcileEnd {
    /// Its time was over, or something stopped it after it had made progress.
    #[default]
    More,
    /// Nothing is due for now.
    Done,
    /// The workspace is not connected, or not any more.
    Fenced,
    /// What a later program says; taken for `More`.
    #[serde(other)]
    Other,
}

/// Input of `read_told`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which portal.
    pub portal: PortalId,
}

/// Why a slice of `read_told` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToldEnd {
    /// Its time was over, or something stopped it after it had made progress; more is due.
    More,
    /// Nothing is due now.
    Drained,
    /// The workspace is not connected to this portal, or does not import: what waited is no longer of
    /// interest, or waits for a reconnect.
    Closed,
    /// What a later program says.
    #[serde(other)]
    Other,
}

/// What a slice of a reconciliation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileSlice {
    /// Why it ended.
    pub end: ReconcileEnd,
    /// Records that HubSpot spoke of.
    pub read: u64,
    /// Of one that is done: seconds until something is due again.
    #[serde(default)]
    pub due_in_seconds: u64,
    /// Of one that is done: requests that it costs to compare all records once.
    #[serde(default)]
    pub cost: Cost,
    /// Of one that is done: the hours over which they are spread.
    #[serde(default)]
    pub every_hours: u32,
}

/// Activities of `Reconcile`.
#[derive(Debug)]
pub struct ReconcileActivities;

#[activity_definitions]
impl ReconcileActivities {
    /// Notes in the store that everything of a workspace's portal is to be compared now.
    ///
    /// - Idempotency key: the workspace; what was asked for and is not done is not asked for again.
    /// - Timeouts: start-to-close 10 s. Retry class: transient, for ever. Heartbeat: none.
    #[activity(name = "ask_reconcile")]
    pub fn ask_reconcile(input: WorkspaceInput) -> Result<(), Infallible> {
        unimplemented!()
    }

    /// Compares what is due of a workspace's mirror with its portal, each page committed with its cursor
    /// in one transaction, for as long as a slice of a backfill lasts; and plans the next time.
    ///
    /// - Idempotency key: (type, pass, cursor version); an attempt that loses the cursor stops.
    /// - Timeouts: start-to-close 20 min more than a slice lasts; heartbeat 10 s.
    /// - Retry class: transient and rate limited, for ever, but only attempts that made no progress.
    ///   Refusals and a fence are answers.
    /// - Heartbeat: records read, for a person who looks; never the place to resume.
    #[activity(name = "reconcile_once")]
    pub fn reconcile_once(input: WorkspaceInput) -> Result<ReconcileSlice, Infallible> {
        unimplemented!()
    }
}

/// What a slice of `read_told` did: counts only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldReport {
    /// Records that HubSpot answered about.
    pub read: u64,
    /// Of them, those that lie in the recycle bin.
    pub archived: u64,
    /// Of them, those that HubSpot does not know at all: left to the reconciliation.
    pub missing: u64,
    /// Records that no answer spoke of, and that are asked for again later.
    pub put_off: u64,
    /// Why it ended.
    pub end: ToldEnd,
}

/// Activities of `WebhookRead`.
#[derive(Debug)]
pub struct WebhookActivities;

#[activity_definitions]
impl WebhookActivities {
    /// Reads records that webhooks told of and that are due, in batches of a hundred, by id; each batch
    /// committed with the removal of its rows in one transaction. What HubSpot names as not there is
    /// asked for in the recycle bin.
    ///
    /// - Idempotency key: each row's sequence; a row that was told of again meanwhile stays.
    /// - Timeouts: start-to-close 5 min, heartbeat 10 s; it ends by itself after some ten seconds.
    /// - Retry class: transient and rate limited, for ever, but only attempts that read nothing.
    ///   Refusals and a fence are answers.
    /// - Heartbeat: records read, for a person who looks.
    #[activity(name = "read_told")]
    pub fn read_told(input: ToldInput) -> Result<ToldReport, Infallible> {
        unimplemented!()
    }
}

/// Activities of `Profiles`.
#[derive(Debug)]
pub struct ProfilesActivities;

#[activity_definitions]
impl ProfilesActivities {
    /// Links records that changed, makes people of contacts that nobody is, and notes which profiles
    /// are others now, for some twenty seconds, in batches of some hundred records. Calls HubSpot not
    /// at all.
    ///
    /// - Idempotency key: the workspace; each batch moves a place in the store by compare-and-set, and
    ///   an attempt that loses it goes on from where the other one is.
    /// - Timeouts: start-to-close 120 s, heartbeat 10 s. Retry class: transient, for ever.
    /// - Heartbeat: profiles changed, for a person who looks.
    #[activity(name = "profile_slice")]
    pub fn profile_slice(input: ProfilesInput) -> Result<ProfilesProgress, Infallible> {
        unimplemented!()
    }
}

/// Activities of `Verdicts`.
#[derive(Debug)]
pub struct VerdictActivities;

#[activity_definitions]
impl VerdictActivities {
    /// Judges people whom changes concern, or everybody after a change of what all verdicts stand on,
    /// for some twenty seconds, from the place that the store keeps. Says how many, and whether nothing
    /// is newer.
    ///
    /// - Idempotency key: (workspace, portal, version of the place); an attempt that loses writes nothing.
    /// - Timeouts: start-to-close 180 s, heartbeat 10 s. Retry class: transient, for ever.
    /// - Heartbeat: people judged, for a person who looks.
    #[activity(name = "judge_slice")]
    pub fn judge_slice(input: WorkspaceInput) -> Result<VerdictsProgress, Infallible> {
        unimplemented!()
    }
}

/// Input of the activity of `ContactExport`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// About whom.
    pub person: PersonId,
}

/// What became of a person's requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportReport {
    /// Requests that ended exported.
    pub exported: u32,
    /// That were left out.
    pub skipped: u32,
    /// That wait.
    pub waiting: u32,
    /// That failed.
    pub failed: u32,
}

/// Activities of `ContactExport`.
#[derive(Debug)]
pub struct ExportActivities;

#[activity_definitions]
impl ExportActivities {
    /// Carries out what is pending about one person: finds out what became of writes that were left open,
    /// reads the contact afresh, plans, makes sure of the company, writes, and ends the requests.
    ///
    /// - Idempotency key: the person; the right to write about them (`person_writer`), entries of the
    ///   journal that are committed before each write, the claim of a company's domains.
    /// - Timeouts: start-to-close 5 min, heartbeat 10 s. Retry class: transient and short waits, a few
    ///   attempts, then the requests are parked with a reason and a time; what HubSpot refuses is an
    ///   answer.
    /// - Heartbeat: requests to HubSpot, for a person who looks.
    #[activity(name = "export_contact")]
    pub fn export_contact(input: ExportInput) -> Result<ExportReport, Infallible> {
        unimplemented!()
    }
}

/// Activities of `ExportRecheck`.
#[derive(Debug)]
pub struct RecheckActivities;

#[activity_definitions]
impl RecheckActivities {
    /// Reads the companies of contacts that are due, a hundred in a request, and restores ours where
    /// HubSpot's own automation replaced it or never let it in.
    ///
    /// - Idempotency key: the contact; nobody else writes about its person meanwhile, and each write has
    ///   its entry in the journal. Done again it finds nothing to do.
    /// - Timeouts: start-to-close 5 min, heartbeat 10 s. Retry class: transient of the store; what HubSpot
    ///   does not answer is put off, ten times at most.
    /// - Heartbeat: requests to HubSpot, for a person who looks.
    #[activity(name = "recheck_companies")]
    pub fn recheck_companies(input: WorkspaceInput) -> Result<RecheckReport, Infallible> {
        unimplemented!()
    }
}

/// Input of `BulkExport`, and of its activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which portal.
    pub portal: PortalId,
    /// Which bulk export; none: whatever is due in the workspace.
    pub bulk: Option<BulkId>,
}

/// Whether a bulk export goes on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkTurn {
    /// There is more to do.
    Again,
    /// Nothing is left to do for now.
    Stop,
}

/// How a bulk export stands after a slice. Counts are those of the whole run; of what is due in a workspace,
/// those of the slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkReport {
    /// Whether it goes on at once.
    pub turn: BulkTurn,
    /// Where it stands.
    pub state: BulkState,
    /// People whom it is about.
    pub people: u64,
    /// People who were begun with.
    pub begun: u64,
    /// Of them, those whom HubSpot has.
    pub exported: u64,
    /// Those who were left out.
    pub skipped: u64,
    /// Those whose export failed.
    pub failed: u64,
}

impl BulkReport {
    /// Of a run that is not there, or not looked at yet.
    pub const fn gone() -> Self {
        Self {
            turn: BulkTurn::Stop,
            state: BulkState::Previewing,
            people: 0,
            begun: 0,
            exported: 0,
            skipped: 0,
            failed: 0,
        }
    }
}

/// Activities of `BulkExport`.
#[derive(Debug)]
pub struct BulkActivities;

#[activity_definitions]
impl BulkActivities {
    /// Goes on with a bulk export where its row says that it is: finds out who would be taken, or exports
    /// people in batches of a hundred, some batches at a time, for some thirty seconds; after a
    /// cancellation, brings to an end what was begun. Without one it exports whoever is due in the workspace.
    ///
    /// - Idempotency key: the run; who is begun with is taken off the list in the transaction that makes the
    ///   request; the right to write about each person, entries of the journal that are committed before
    ///   each batch, the claims of companies' domains. What an attempt left unfinished the next one reads
    ///   back first.
    /// - Timeouts: start-to-close 5 min, heartbeat 10 s. Retry class: transient and rate limited, for ever,
    ///   but only attempts in which nobody came to an end; what takes longer puts the run off.
    /// - Heartbeat: requests to HubSpot, for a person who looks.
    #[activity(name = "bulk_slice")]
    pub fn bulk_slice(input: BulkInput) -> Result<BulkReport, Infallible> {
        unimplemented!()
    }
}

/// What one sweep found and mended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SweepReport {
    /// `Connection` workflows that were missing and were started.
    pub connections_started: u32,
    /// `Backfill` workflows that were missing and were started.
    pub backfills_started: u32,
    /// `Connection` workflows woken for a row whose signal was lost.
    pub connections_woken: u32,
    /// Schedules of periodic syncs that were lost, paused or left over, and were mended.
    #[serde(default)]
    pub schedules_mended: u32,
    /// `Purge` workflows that were missing and were started.
    #[serde(default)]
    pub purges_started: u32,
    /// `ContactExport` workflows that were missing and were started.
    #[serde(default)]
    pub exports_started: u32,
    /// `BulkExport` workflows that were missing and were started.
    #[serde(default)]
    pub bulk_exports_started: u32,
    /// `ExportRecheck` workflows that were missing and were started.
    #[serde(default)]
    pub rechecks_started: u32,
    /// `Reconcile` workflows that were due and were started.
    #[serde(default)]
    pub reconciles_started: u32,
    /// `WebhookRead` workflows that were missing and were started.
    #[serde(default)]
    pub webhook_reads_started: u32,
    /// `PeriodicSync` workflows that were started to ask again for what was not answered.
    #[serde(default)]
    pub asked_again: u32,
    /// `Profiles` workflows that were started, as there was something to follow.
    #[serde(default)]
    pub profiles_started: u32,
    /// `Verdicts` workflows that were started, as there was something newer to judge by.
    #[serde(default)]
    pub verdicts_started: u32,
    /// Rows that could not be read, and workflows that could not be started or woken; the log names
    /// them. They are seen to at the next sweep.
    #[serde(default)]
    pub failed: u32,
}

/// Activities of `Sweep`.
#[derive(Debug)]
pub struct SweepActivities;

#[activity_definitions]
impl SweepActivities {
    /// Finds rows whose workflow or signal is missing, and starts or signals it.
    ///
    /// Compares each connection's state and epoch with what its workflow shows, and each run with its
    /// `Backfill`; each row by itself. What could not be mended is counted, logged, and looked at again
    /// by the next sweep.
    ///
    /// - Idempotency key: workflow ids (starting what runs already is refused by Temporal).
    /// - Timeouts: start-to-close 10 min, heartbeat 30 s. Retry class: none of its own, what fails is
    ///   an answer; an attempt whose worker died is made again.
    /// - Heartbeat: rows looked at.
    #[activity(name = "sweep_once")]
    pub fn sweep_once() -> Result<SweepReport, Infallible> {
        unimplemented!()
    }
}

/// The declarations by name, for `#[activity(definition = …)]`.
pub mod declared {
    pub use super::{
        backfill_activities::{FinishRun, ReadSlice},
        bulk_activities::BulkSlice,
        connection_activities::{AdoptResync, EraseConnection, KeepSchedule, RaiseFence, TakeTurn},
        export_activities::ExportContact,
        own_properties_activities::MakeOwnProperties,
        periodic_activities::SyncSlice,
        preview_activities::PreviewExport,
        profiles_activities::ProfileSlice,
        purge_activities::PurgeSlice,
        recheck_activities::RecheckCompanies,
        reconcile_activities::{AskReconcile, ReconcileOnce},
        sweep_activities::SweepOnce,
        verdict_activities::JudgeSlice,
        webhook_activities::ReadTold,
    };
}
