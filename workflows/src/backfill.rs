//! `Backfill`: reads the object types of one run, in parallel, each a chain of slices.

use std::time::Duration;

use domain::{
    ConnectionPhase, Epoch, PortalId, Progress, RunKind, SyncRunId, SyncType, Urgency, WorkspaceId,
    backfill::stages,
};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, ContinueAsNewOptions, SignalWorkflowOptions, WorkflowContext,
    WorkflowContextView, WorkflowResult, WorkflowTermination, join_all,
};
use utoipa::ToSchema;

use crate::{
    activities::{BackfillActivities, FinishRun, SliceEnd, SliceInput},
    connection::{Connection, Lenient},
    names::{self, TaskQueue},
    ops::{self, Call, Scope},
};

// ---- input -----------------------------------------------------------------------------------

/// Input of `Backfill`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackfillInput {
    pub workspace: WorkspaceId,
    pub portal: PortalId,
    /// The epoch in which the run was claimed.
    pub epoch: Epoch,
    pub run: SyncRunId,
    /// Why it exists.
    pub kind: RunKind,
    /// What it reads.
    pub types: Vec<SyncType>,
    /// What a run hands to the run that continues it.
    #[serde(default)]
    pub progress: Vec<Progress>,
}

/// How a backfill ended: its result, and what it signals to `Connection`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BackfillEnd {
    /// Which run.
    pub run: SyncRunId,
    /// Whether everything was read; otherwise the run stays in the store, to be resumed.
    pub finished: bool,
}

// ---- state -----------------------------------------------------------------------------------

/// The workflow and its state.
#[workflow]
pub struct Backfill {
    input: BackfillInput,
    fenced: bool,
}

#[workflow_methods]
impl Backfill {
    /// Ready before any query arrives.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: BackfillInput) -> Self {
        let mut input = input;
        if input.progress.is_empty() {
            input.progress = input.types.iter().copied().map(Progress::none).collect();
        }
        Self {
            input,
            fenced: false,
        }
    }

    // ---- signals and queries -------------------------------------------------------------------

    /// How far each object type was at the end of its last slice.
    #[query(name = "progress")]
    pub fn progress(&self, _ctx: &WorkflowContextView) -> Vec<Progress> {
        self.input.progress.clone()
    }

    // ---- run -----------------------------------------------------------------------------------

    /// Stage after stage; within a stage all types at once.
    #[run(name = "Backfill")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<BackfillEnd> {
        ctx.upsert_search_attributes([
            names::PHASE.value_set(ConnectionPhase::Backfilling.as_str().to_owned())
        ]);
        show(ctx);
        let read = read_all(ctx).await;
        if let Ok(Read::ContinueAsNew) = read {
            let next = ctx.state(|s| s.input.clone());
            ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
        }
        let end = ctx.state(|s| BackfillEnd {
            run: s.input.run,
            finished: matches!(read, Ok(Read::Everything)),
        });
        report(ctx, &end).await;
        match read {
            Ok(_) => Ok(end),
            Err(error) => Err(WorkflowTermination::from(error)),
        }
    }
}

/// How far one run of the workflow came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Everything,
    Fenced,
    ContinueAsNew,
}

async fn read_all(ctx: &WorkflowContext<Backfill>) -> Result<Read, ActivityExecutionError> {
    let unread = ctx.state(|s| {
        s.input
            .progress
            .iter()
            .filter(|p| !p.finished)
            .map(|p| p.object_type)
            .collect::<Vec<_>>()
    });
    // A type that fails for good stops no other one; the run is not finished then.
    let mut failed = None;
    for stage in stages(&unread) {
        for chain in join_all(stage.into_iter().map(|t| read_type(ctx, t))).await {
            match chain {
                Ok(()) => {}
                Err(cancelled @ ActivityExecutionError::Cancelled(_)) => return Err(cancelled),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if ctx.state(|s| s.fenced) {
            return Ok(Read::Fenced);
        }
        if ctx.continue_as_new_suggested() {
            return Ok(Read::ContinueAsNew);
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let (workspace, run) = ctx.state(|s| (s.input.workspace, s.input.run));
    ops::activity(
        ctx,
        BackfillActivities::finish_run,
        FinishRun { workspace, run },
        Call::short("mark the run as finished"),
    )
    .await?;
    Ok(Read::Everything)
}

/// Slices of one object type until it is read, fenced off, or the history is long enough.
async fn read_type(
    ctx: &WorkflowContext<Backfill>,
    sync_type: SyncType,
) -> Result<(), ActivityExecutionError> {
    let input = ctx.state(|s| SliceInput {
        workspace: s.input.workspace,
        portal: s.input.portal,
        epoch: s.input.epoch,
        run: s.input.run,
        sync_type,
    });
    loop {
        let report = ops::activity(
            ctx,
            BackfillActivities::read_slice,
            input.clone(),
            slice_call(&input),
        )
        .await?;
        ctx.state_mut(|s| {
            s.fenced |= report.end == SliceEnd::Fenced;
            if let Some(known) = s
                .input
                .progress
                .iter_mut()
                .find(|p| p.object_type == sync_type)
            {
                *known = report.progress;
            }
        });
        show(ctx);
        match report.end {
            SliceEnd::Finished | SliceEnd::Fenced => return Ok(()),
            SliceEnd::ScopeMissing | SliceEnd::Refused | SliceEnd::Off => {
                ctx.state_mut(|s| {
                    if let Some(p) = s
                        .input
                        .progress
                        .iter_mut()
                        .find(|p| p.object_type == sync_type)
                    {
                        p.finished = true;
                    }
                });
                return Ok(());
            }
            SliceEnd::More | SliceEnd::Other
                if ctx.state(|s| s.fenced) || ctx.continue_as_new_suggested() =>
            {
                return Ok(());
            }
            SliceEnd::More | SliceEnd::Other => {}
        }
    }
}

/// Wakes `Connection`, also when cancelled. If nobody is there to hear it, `Sweep` will see.
async fn report(ctx: &WorkflowContext<Backfill>, end: &BackfillEnd) {
    let workspace = ctx.state(|s| s.input.workspace);
    let scope = Scope::detached();
    let connection = ctx.external_workflow(names::connection_id(workspace), None);
    let options = SignalWorkflowOptions::builder()
        .cancellation_token(scope.token())
        .summary("the backfill ended".to_owned())
        .build();
    let _nobody_there = connection
        .signal(
            Connection::backfill_finished,
            Lenient::from(end.clone()),
            options,
        )
        .await;
}

/// A table of the progress for Temporal UI.
fn show(ctx: &WorkflowContext<Backfill>) {
    ctx.set_current_details(ctx.state(|s| details(&s.input)));
}

fn details(input: &BackfillInput) -> String {
    use std::fmt::Write as _;
    let mut text = format!(
        "{} of portal `{}` for workspace `{}`\n\n| type | done | total | quarantined | |\n|---|---|---|---|---|\n",
        input.kind.noun(),
        input.portal,
        input.workspace
    );
    for p in &input.progress {
        let total = p.total.map_or_else(|| "?".to_owned(), |t| t.to_string());
        let end = if p.finished { "finished" } else { "reading" };
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {total} | {} | {end} |",
            p.object_type, p.done, p.quarantined
        );
    }
    text
}

// ---- activity options ------------------------------------------------------------------------

fn slice_call(input: &SliceInput) -> Call {
    Call::short(format!("read {}", input.sync_type))
        .queue(TaskQueue::Bulk)
        .start_to_close(domain::SLICE_MAX + Duration::from_secs(20 * 60))
        .heartbeat(Duration::from_secs(10))
        .urgency(Urgency::Backfill, input.portal)
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_show_each_type() {
        let input: BackfillInput = serde_json::from_value(serde_json::json!({
            "workspace": "01890a5d-ac96-774b-bcce-b302099a8057",
            "portal": 1_000_001,
            "epoch": 1,
            "run": "01890a5d-ac96-774b-bcce-b302099a8058",
            "kind": "initial",
            "types": ["contacts"],
            "progress": [{"object_type": "contacts", "done": 100, "total": 250, "quarantined": 1, "finished": false}],
        }))
        .unwrap();
        assert!(details(&input).contains("| contacts | 100 | 250 | 1 | reading |"));
    }
}
