//! `Sweep`: one for the installation. Finds what lost its workflow or its signal.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::{
    activities::{SweepActivities, SweepReport},
    ops::{self, Call},
};

// ---- input -----------------------------------------------------------------------------------

/// Input of `Sweep`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepInput {
    /// Seconds between two sweeps.
    #[serde(default = "default_every_seconds")]
    pub every_seconds: u64,
}

impl Default for SweepInput {
    fn default() -> Self {
        Self {
            every_seconds: default_every_seconds(),
        }
    }
}

const fn default_every_seconds() -> u64 {
    30
}

// ---- state -----------------------------------------------------------------------------------

/// The workflow and its state.
#[workflow]
pub struct Sweep {
    input: SweepInput,
    last: SweepReport,
}

#[workflow_methods]
impl Sweep {
    /// Ready before any query arrives.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: SweepInput) -> Self {
        Self {
            input,
            last: SweepReport::default(),
        }
    }

    // ---- signals and queries -------------------------------------------------------------------

    /// What the last sweep found.
    #[query(name = "last")]
    pub fn last(&self, _ctx: &WorkflowContextView) -> SweepReport {
        self.last
    }

    // ---- run -----------------------------------------------------------------------------------

    /// Sweep after sweep, for ever.
    #[run(name = "Sweep")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let input = ctx.state(|s| s.input.clone());
        let every = Duration::from_secs(input.every_seconds.max(1));
        for _ in 0..SWEEPS_PER_RUN {
            let report = ops::activity(ctx, SweepActivities::sweep_once, (), sweep_call()).await?;
            ctx.state_mut(|s| s.last = report);
            ctx.set_current_details(format!(
                "last sweep: {} connections and {} backfills started, {} connections woken, {} schedules mended, {} failed",
                report.connections_started,
                report.backfills_started,
                report.connections_woken,
                report.schedules_mended,
                report.failed
            ));
            if !ops::pause(ctx, every, "until the next sweep").await {
                return Ok(());
            }
        }
        ctx.continue_as_new(input, ContinueAsNewOptions::default())?;
        Ok(())
    }
}

// ---- activity options ------------------------------------------------------------------------

/// Sweeps before continue-as-new; a sweep is about eleven history events.
const SWEEPS_PER_RUN: u32 = 200;

fn sweep_call() -> Call {
    Call::short("look for what lost its workflow or its signal")
        .start_to_close(Duration::from_secs(10 * 60))
        .heartbeat(Duration::from_secs(30))
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_has_a_default() {
        assert_eq!(
            serde_json::from_str::<SweepInput>("{}").unwrap(),
            SweepInput::default()
        );
    }
}
