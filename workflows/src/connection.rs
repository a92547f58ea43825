//! `Connection`: one per workspace, a small state machine that follows the store.

use std::time::Duration;

use domain::{
    ConnectionPhase, ConnectionState, Epoch, PortalId, ResyncRequest, SyncRunId, WorkspaceId,
};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ChildWorkflowCancellationType, ChildWorkflowOptions, ContinueAsNewOptions, MemoValue,
    ParentClosePolicy, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};
use utoipa::ToSchema;

use crate::{
    activities::{
        AdoptResync, AdoptedResync, ClaimedRun, ConnectionActivities, Turn, WorkspaceInput,
    },
    backfill::{Backfill, BackfillEnd, BackfillInput},
    names,
    ops::{self, Call, Scope, Waited},
};

// ---- input -----------------------------------------------------------------------------------

/// Input of `Connection`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionInput {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which portal, as it was known at the start.
    pub portal: PortalId,
    /// What a run hands to the run that continues it. Nobody else has anything to say in it.
    #[serde(default)]
    #[schema(ignore)]
    pub carried: Carried,
}

/// What continue-as-new carries on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The backfill that was started and has not reported back.
    pub backfill: Option<SyncRunId>,
    /// Whether `disconnect` was signalled and not yet acted upon.
    pub disconnect: bool,
    /// Resync requests that were signalled and not yet written to the store.
    pub resync: Vec<ResyncRequest>,
}

/// A signal's input that anybody may send. What is not understood must not stop the workflow: an
/// input that does not decode fails the workflow task, which is tried again for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lenient<T> {
    /// As documented.
    Understood(T),
    /// Anything else.
    NotUnderstood,
}

impl<T> From<T> for Lenient<T> {
    fn from(value: T) -> Self {
        Self::Understood(value)
    }
}

impl<T: Serialize> Serialize for Lenient<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Understood(value) => value.serialize(serializer),
            Self::NotUnderstood => serializer.serialize_none(),
        }
    }
}

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(serde_json::from_value(value).map_or(Self::NotUnderstood, Self::Understood))
    }
}

// ---- state -----------------------------------------------------------------------------------

/// The answer of the query `status`, and the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionStatus {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which portal.
    pub portal: PortalId,
    /// Where the workflow stands.
    pub phase: ConnectionPhase,
    /// The epoch of the last turn; none before the first.
    pub epoch: Option<Epoch>,
    /// The run that is read now.
    pub run: Option<SyncRunId>,
    /// Signals that were ignored because their input was not as documented (`docs/contract.md`).
    #[serde(default)]
    pub signals_not_understood: u32,
}

/// The workflow and its state.
#[workflow]
pub struct Connection {
    status: ConnectionStatus,
    carried: Carried,
    woken: bool,
    /// A backfill ended before its end: the next one is not started in the same breath.
    cool_down: bool,
    /// How often in a row that happened.
    unfinished: u32,
    /// Signals whose input was not as documented; they are shown and have no effect.
    not_understood: u32,
}

#[workflow_methods]
impl Connection {
    /// Ready before any signal arrives, so that signal-with-start loses nothing.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: ConnectionInput) -> Self {
        Self {
            status: ConnectionStatus {
                workspace: input.workspace,
                portal: input.portal,
                phase: ConnectionPhase::Connected,
                epoch: None,
                run: input.carried.backfill,
                signals_not_understood: 0,
            },
            carried: input.carried,
            woken: false,
            cool_down: false,
            unfinished: 0,
            not_understood: 0,
        }
    }

    // ---- signals and queries -------------------------------------------------------------------

    /// Takes the connection down (C4). The fence goes up first if nobody raised it yet.
    #[signal(name = "disconnect")]
    pub fn disconnect(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.carried.disconnect = true;
        self.woken = true;
    }

    /// Asks for a resync by Temporal alone (X7, X8). Those who use the HTTP API have a row already
    /// and send `settings_changed`.
    #[signal(name = "resync")]
    pub fn resync(
        &mut self,
        _ctx: &mut SyncWorkflowContext<Self>,
        request: Lenient<ResyncRequest>,
    ) {
        match request {
            Lenient::Understood(request) => {
                self.carried.resync.push(request);
                self.woken = true;
            }
            Lenient::NotUnderstood => self.not_understood += 1,
        }
    }

    /// Something in the store changed: a new run waits, somebody connected again.
    #[signal(name = "settings_changed")]
    pub fn settings_changed(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.woken = true;
    }

    /// HubSpot refused the tokens for good (C5). Sent once, by whoever turned the row.
    #[signal(name = "auth_revoked")]
    pub fn auth_revoked(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.woken = true;
    }

    /// The backfill ended, in whatever way.
    #[signal(name = "backfill_finished")]
    pub fn backfill_finished(
        &mut self,
        _ctx: &mut SyncWorkflowContext<Self>,
        end: Lenient<BackfillEnd>,
    ) {
        let Lenient::Understood(end) = end else {
            self.not_understood += 1;
            return;
        };
        if self.carried.backfill == Some(end.run) {
            self.carried.backfill = None;
        }
        self.cool_down = !end.finished;
        self.unfinished = if end.finished {
            0
        } else {
            self.unfinished.saturating_add(1)
        };
        self.woken = true;
    }

    /// Where the connection stands.
    #[query(name = "status")]
    pub fn status(&self, _ctx: &WorkflowContextView) -> ConnectionStatus {
        ConnectionStatus {
            signals_not_understood: self.not_understood,
            ..self.status.clone()
        }
    }

    // ---- run -----------------------------------------------------------------------------------

    /// Turn after turn: read the store, do what it says, wait to be woken.
    #[run(name = "Connection")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<ConnectionStatus> {
        let workspace = ctx.state(|s| s.status.workspace);
        for _ in 0..TURNS_PER_RUN {
            ctx.state_mut(|s| s.woken = false);
            adopt_signals(ctx, workspace).await?;

            let turn = ops::activity(
                ctx,
                ConnectionActivities::take_turn,
                WorkspaceInput { workspace },
                Call::short("read the connection, claim the next run"),
            )
            .await?;
            let settled = follow(ctx, &turn).await?;
            if ctx.patched(PATCH_SCHEDULE) {
                ops::activity(
                    ctx,
                    ConnectionActivities::keep_schedule,
                    WorkspaceInput { workspace },
                    Call::short("keep the schedule of the periodic sync"),
                )
                .await?;
            }
            if turn.state == ConnectionState::Disconnected || settled == Settled::Over {
                drain(ctx).await;
                // Somebody may have connected again while the clean-up ran.
                if !ctx.state(|s| s.woken) {
                    return Ok(ctx.state(|s| s.status.clone()));
                }
                continue;
            }
            let limit = (settled == Settled::LookAgain)
                .then(|| look_again_after(ctx.state(|s| s.unfinished)));
            let waited = ops::wait_until(
                ctx,
                |s: &Self| s.woken,
                limit,
                "the last backfill is still ending",
                Scope::inherited(ctx),
            )
            .await;
            if waited == Waited::Cancelled {
                // Cancelling the workflow is no disconnect: the connection stays, and `Sweep`
                // starts the workflow again.
                return Ok(ctx.state(|s| s.status.clone()));
            }
            if ctx.continue_as_new_suggested() {
                break;
            }
        }
        drain(ctx).await;
        let next = ctx.state(|s| ConnectionInput {
            workspace: s.status.workspace,
            portal: s.status.portal,
            carried: s.carried.clone(),
        });
        ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
        Ok(ctx.state(|s| s.status.clone()))
    }
}

/// Whether a turn left anything to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// A signal will come.
    Waiting,
    /// An older backfill holds the id; look again soon.
    LookAgain,
    /// The connection is gone.
    Over,
}

/// Signals become rows before anything else happens.
async fn adopt_signals(
    ctx: &WorkflowContext<Connection>,
    workspace: WorkspaceId,
) -> WorkflowResult<()> {
    if ctx.state_mut(|s| std::mem::take(&mut s.carried.disconnect)) {
        ops::activity(
            ctx,
            ConnectionActivities::raise_fence,
            WorkspaceInput { workspace },
            Call::short("raise the fence"),
        )
        .await?;
    }
    for request in ctx.state_mut(|s| std::mem::take(&mut s.carried.resync)) {
        let Ok(run) = ctx.uuid4().parse() else {
            continue;
        };
        let adopted = ops::activity(
            ctx,
            ConnectionActivities::adopt_resync,
            AdoptResync {
                workspace,
                run,
                request,
            },
            Call::short("write down the resync"),
        )
        .await?;
        if adopted == AdoptedResync::Refused {
            ctx.state_mut(|s| s.not_understood += 1);
        }
    }
    Ok(())
}

/// Does what the store says.
async fn follow(ctx: &WorkflowContext<Connection>, turn: &Turn) -> WorkflowResult<Settled> {
    let known = ctx.state_mut(|s| {
        s.status.portal = turn.portal;
        s.status.epoch.replace(turn.epoch)
    });
    // What `Sweep` compares with the store.
    if ctx.patched(PATCH_EPOCH_MEMO) && known != Some(turn.epoch) {
        let epoch = MemoValue::new(turn.epoch.get());
        ctx.upsert_memo([(names::EPOCH_MEMO, Some(epoch))])?;
    }
    match turn.state {
        ConnectionState::Connected => match &turn.run {
            Some(run) => {
                show(ctx, ConnectionPhase::Backfilling, Some(run.run));
                start_backfill(ctx, turn, run).await
            }
            None => {
                show(
                    ctx,
                    ConnectionPhase::of(turn.state, false, turn.ever_finished),
                    None,
                );
                Ok(Settled::Waiting)
            }
        },
        ConnectionState::NeedsReconnect => {
            show(ctx, ConnectionPhase::NeedsReconnect, None);
            Ok(Settled::Waiting)
        }
        ConnectionState::Disconnecting => {
            take_down(ctx).await?;
            Ok(Settled::Over)
        }
        ConnectionState::Disconnected => {
            show(ctx, ConnectionPhase::Disconnected, None);
            Ok(Settled::Over)
        }
    }
}

/// Starts the backfill of a run unless it was started already. It outlives this run of the
/// workflow (parent-close policy Abandon) and reports back by signal.
async fn start_backfill(
    ctx: &WorkflowContext<Connection>,
    turn: &Turn,
    run: &ClaimedRun,
) -> WorkflowResult<Settled> {
    if ctx.state(|s| s.carried.backfill) == Some(run.run) {
        return Ok(Settled::Waiting);
    }
    if ctx.state_mut(|s| std::mem::take(&mut s.cool_down)) {
        return Ok(Settled::LookAgain);
    }
    let workspace = ctx.state(|s| s.status.workspace);
    let scope = Scope::inherited(ctx);
    let options = ChildWorkflowOptions::builder()
        .workflow_id(names::backfill_id(workspace))
        .parent_close_policy(ParentClosePolicy::Abandon)
        // The scope ends with this function, the backfill does not.
        .cancel_type(ChildWorkflowCancellationType::Abandon)
        .search_attributes(names::search_attributes(
            workspace,
            turn.portal,
            ConnectionPhase::Backfilling,
        ))
        .static_summary(format!("{} of portal {}", run.kind.noun(), turn.portal))
        .priority(names::priority(
            domain::Urgency::Backfill,
            Some(turn.portal),
        ))
        .cancellation_token(scope.token())
        .build();
    let input = BackfillInput {
        workspace,
        portal: turn.portal,
        epoch: turn.epoch,
        run: run.run,
        kind: run.kind,
        types: run.types.clone(),
        progress: Vec::new(),
    };
    let started = ctx
        .start_child_workflow(Backfill::run, input, options)
        .await;
    match started {
        Ok(_) => {
            ctx.state_mut(|s| s.carried.backfill = Some(run.run));
            Ok(Settled::Waiting)
        }
        // The id is taken: by this very run (`Sweep` was faster), or by one that is just ending.
        Err(_) => Ok(Settled::LookAgain),
    }
}

/// The fence is up: ends what runs, revokes, erases.
async fn take_down(ctx: &WorkflowContext<Connection>) -> WorkflowResult<()> {
    show(ctx, ConnectionPhase::Disconnecting, None);
    let workspace = ctx.state(|s| s.status.workspace);
    if ctx.state(|s| s.carried.backfill.is_some()) {
        let backfill = ctx.external_workflow(names::backfill_id(workspace), None);
        // Not running any more is as good as cancelled.
        let gone = backfill
            .cancel(Some("disconnect".to_owned()))
            .await
            .is_err();
        if !gone {
            ops::wait_until(
                ctx,
                |s: &Connection| s.carried.backfill.is_none(),
                Some(BACKFILL_ENDS_WITHIN),
                "the backfill ends at its page",
                Scope::inherited(ctx),
            )
            .await;
        }
        ctx.state_mut(|s| s.carried.backfill = None);
    }
    // Whoever wakes from here on may have connected again: that is looked at before the end.
    let keeps_wakes = ctx.patched(PATCH_KEEP_WAKES);
    if keeps_wakes {
        ctx.state_mut(|s| s.woken = false);
    }
    ops::activity(
        ctx,
        ConnectionActivities::erase_connection,
        WorkspaceInput { workspace },
        Call::short("revoke and erase the tokens").start_to_close(Duration::from_secs(15)),
    )
    .await?;
    if !keeps_wakes {
        ctx.state_mut(|s| s.woken = false);
    }
    show(ctx, ConnectionPhase::Disconnected, None);
    Ok(())
}

/// Tells the story to whoever looks: query, search attribute, details.
fn show(ctx: &WorkflowContext<Connection>, phase: ConnectionPhase, run: Option<SyncRunId>) {
    let changed = ctx.state_mut(|s| {
        let changed = s.status.phase != phase || s.status.run != run;
        s.status.phase = phase;
        s.status.run = run;
        changed
    });
    if changed || ctx.history_length() <= FIRST_TASK {
        ctx.upsert_search_attributes([names::PHASE.value_set(phase.as_str().to_owned())]);
    }
    let (workspace, portal) = ctx.state(|s| (s.status.workspace, s.status.portal));
    ctx.set_current_details(format!(
        "**{phase}** · workspace `{workspace}` · portal `{portal}`"
    ));
}

/// Handlers are all synchronous; this holds should one become asynchronous.
async fn drain(ctx: &WorkflowContext<Connection>) {
    let all = ctx.clone();
    ops::wait_until(
        ctx,
        move |_| all.all_handlers_finished(),
        None,
        "handlers finish",
        Scope::detached(),
    )
    .await;
}

// ---- activity options ------------------------------------------------------------------------

/// Turns before continue-as-new. A turn is about fourteen history events.
const TURNS_PER_RUN: u32 = 200;
/// How soon to look again when an older backfill still holds the id, or the last one ended before its
/// end: ever later, for what failed for good fails again.
fn look_again_after(unfinished: u32) -> Duration {
    Duration::from_secs(2 << unfinished.saturating_sub(1).min(9))
}
/// How long a fenced backfill may take to end before the tokens are erased all the same.
const BACKFILL_ENDS_WITHIN: Duration = Duration::from_secs(5);
/// History events before the first command can have been given.
const FIRST_TASK: u32 = 5;
/// Histories from before do not tell their epoch.
const PATCH_EPOCH_MEMO: &str = "epoch-memo";
/// Histories from before have no schedule; `Sweep` makes it.
const PATCH_SCHEDULE: &str = "periodic-sync-schedule";
/// Histories from before forget wakes that come while tokens are erased.
const PATCH_KEEP_WAKES: &str = "keep-wakes";

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backfill_that_fails_again_is_started_ever_later() {
        assert_eq!(look_again_after(0), Duration::from_secs(2));
        assert_eq!(look_again_after(1), Duration::from_secs(2));
        assert_eq!(look_again_after(3), Duration::from_secs(8));
        assert_eq!(look_again_after(u32::MAX), Duration::from_secs(1_024));
    }

    #[test]
    fn a_signal_that_is_not_understood_decodes_all_the_same() {
        let read = |text| serde_json::from_str::<Lenient<ResyncRequest>>(text).unwrap();
        assert_eq!(read("{}"), Lenient::Understood(ResyncRequest::all()));
        for odd in [
            "null",
            "7",
            r#"{"types":"contacts"}"#,
            r#"{"mode":"from_scratch"}"#,
            // Postgres has no such time: it would be asked to keep it for ever.
            r#"{"mode":{"mode":"since","since":"-5000-01-01T00:00:00Z"}}"#,
            r#"{"mode":{"mode":"since","since":"+262142-12-31T23:59:59Z"}}"#,
            r#"{"mode":{"mode":"since","since":"yesterday"}}"#,
        ] {
            assert_eq!(read(odd), Lenient::NotUnderstood, "{odd}");
        }
    }

    #[test]
    fn input_of_other_languages_needs_only_ids() {
        let input: ConnectionInput = serde_json::from_str(
            r#"{"workspace":"01890a5d-ac96-774b-bcce-b302099a8057","portal":1000001}"#,
        )
        .unwrap();
        assert_eq!(input.carried, Carried::default());
    }
}
