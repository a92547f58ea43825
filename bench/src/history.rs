//! Events of a workflow's history, by Temporal's command line.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use tokio::process::Command;

#[derive(Deserialize)]
struct History {
    events: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_type: String,
    #[serde(default)]
    workflow_execution_started_event_attributes: Started,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Started {
    continued_execution_run_id: String,
}

impl History {
    fn has_ended(&self) -> bool {
        self.events
            .last()
            .is_some_and(|e| e.event_type == "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED")
    }

    /// The run before this one, if that one continued as new.
    fn before(&self) -> Option<&str> {
        let first = self.events.first()?;
        let run = &first
            .workflow_execution_started_event_attributes
            .continued_execution_run_id;
        (!run.is_empty()).then_some(run)
    }
}

/// Counts the events of a workflow that ends, over all runs that it continued from.
pub(crate) async fn events(program: &Path, address: &str, workflow: &str) -> anyhow::Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut history = loop {
        let history = show(program, address, workflow, None).await?;
        if history.has_ended() {
            break history;
        }
        ensure!(Instant::now() < deadline, "the backfill does not complete");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let mut count = history.events.len() as u64;
    while let Some(run) = history.before() {
        history = show(program, address, workflow, Some(run)).await?;
        count += history.events.len() as u64;
    }
    Ok(count)
}

async fn show(
    program: &Path,
    address: &str,
    workflow: &str,
    run: Option<&str>,
) -> anyhow::Result<History> {
    let mut command = Command::new(program);
    command.args(["workflow", "show", "--output", "json"]);
    command.args(["--address", address, "--workflow-id", workflow]);
    if let Some(run) = run {
        command.args(["--run-id", run]);
    }
    let shown = command.output().await?;
    ensure!(
        shown.status.success(),
        "temporal workflow show: {}",
        String::from_utf8_lossy(&shown.stderr)
    );
    serde_json::from_slice(&shown.stdout).context("temporal workflow show: unknown output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_knows_its_end_and_what_it_continued() {
        let text = r#"{"events": [
            {"eventId": "1", "eventType": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED",
             "workflowExecutionStartedEventAttributes": {"continuedExecutionRunId": "r1"}},
            {"eventId": "2", "eventType": "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED"}]}"#;
        let history: History = serde_json::from_str(text).unwrap();
        assert!(history.has_ended());
        assert_eq!(history.before(), Some("r1"));
    }

    #[test]
    fn a_first_run_has_none_before() {
        let text = r#"{"events": [{"eventType": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED",
            "workflowExecutionStartedEventAttributes": {"attempt": 1}}]}"#;
        let history: History = serde_json::from_str(text).unwrap();
        assert!(!history.has_ended());
        assert_eq!(history.before(), None);
    }
}
