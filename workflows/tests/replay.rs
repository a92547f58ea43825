//! Every history that was ever recorded replays against the workflows as they are now: what a
//! deploy would do to the workflows that run. How histories are recorded is said in the README.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::DateTime;
use prost::Message as _;
use serde_json::Value;
use temporalio_client::WorkflowHistory;
use temporalio_common::protos::temporal::api::{
    enums::v1::EventType,
    history::v1::{History, history_event::Attributes},
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflow_replayer::{
    WorkflowReplayError, WorkflowReplayFailure, WorkflowReplayer, WorkflowReplayerOptions,
};
use temporalio_workflow::{TimerOptions, WorkflowContext, WorkflowResult};
use workflows::{
    Backfill, BulkExport, Connection, ContactExport, ExportPreview, ExportRecheck, OwnProperties,
    PeriodicSync, Profiles, Purge, Reconcile, Sweep, Verdicts, WebhookRead,
    backfill::{BackfillEnd, BackfillInput},
};

// ---- the histories ---------------------------------------------------------------------------

/// How a recorded run of a workflow ended, as far as it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Running,
    Completed,
    ContinuedAsNew,
    Cancelled,
    Failed,
}

/// One file.
struct Recorded {
    path: PathBuf,
    history: History,
}

impl Recorded {
    fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    /// The workflow type, as the first event tells it.
    fn workflow(&self) -> &str {
        let first = self
            .history
            .events
            .first()
            .and_then(|e| e.attributes.as_ref());
        match first {
            Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
                &started.workflow_type.as_ref().unwrap().name
            }
            _ => panic!("{} does not begin at the start of a workflow", self.name()),
        }
    }

    fn has(&self, event: EventType) -> bool {
        self.history.events.iter().any(|e| e.event_type() == event)
    }

    fn ending(&self) -> Ending {
        match self.history.events.last().unwrap().event_type() {
            EventType::WorkflowExecutionCompleted => Ending::Completed,
            EventType::WorkflowExecutionContinuedAsNew => Ending::ContinuedAsNew,
            EventType::WorkflowExecutionCanceled => Ending::Cancelled,
            EventType::WorkflowExecutionFailed
            | EventType::WorkflowExecutionTimedOut
            | EventType::WorkflowExecutionTerminated => Ending::Failed,
            _ => Ending::Running,
        }
    }

    fn replayable(&self) -> WorkflowHistory {
        self.history.clone().into()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories")
}

fn recorded() -> Vec<Recorded> {
    let mut all: Vec<Recorded> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "pb"))
        .map(|path| {
            let history = History::decode(fs::read(&path).unwrap().as_slice())
                .unwrap_or_else(|e| panic!("{} is no history: {e}", path.display()));
            Recorded { path, history }
        })
        .collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

// ---- replay ----------------------------------------------------------------------------------

fn current_workflows() -> WorkflowReplayer {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<Connection>()
        .unwrap()
        .register_workflow::<Backfill>()
        .unwrap()
        .register_workflow::<BulkExport>()
        .unwrap()
        .register_workflow::<Sweep>()
        .unwrap()
        .register_workflow::<Profiles>()
        .unwrap()
        .register_workflow::<Purge>()
        .unwrap()
        .register_workflow::<WebhookRead>()
        .unwrap()
        .register_workflow::<Verdicts>()
        .unwrap()
        .register_workflow::<ContactExport>()
        .unwrap()
        .register_workflow::<ExportPreview>()
        .unwrap()
        .register_workflow::<ExportRecheck>()
        .unwrap()
        .register_workflow::<OwnProperties>()
        .unwrap()
        .register_workflow::<Reconcile>()
        .unwrap()
        .register_workflow::<PeriodicSync>()
        .unwrap()
        .build();
    WorkflowReplayer::new(options).unwrap()
}

#[tokio::test]
async fn every_recorded_history_replays() {
    let all = recorded();
    assert!(!all.is_empty(), "no history in {}", folder().display());
    let replayer = current_workflows();
    let mut broken = BTreeMap::new();
    for one in &all {
        if let Err(error) = replayer.replay_workflow(one.replayable()).await {
            broken.insert(one.name(), error.to_string());
        }
    }
    assert!(
        broken.is_empty(),
        "{} of {} histories do not replay. Workflows that run would stop; keep the old order behind `ctx.patched(…)`: {broken:#?}",
        broken.len(),
        all.len()
    );
}

/// `Backfill` as it was not recorded: it waits before it reads. A check that cannot fail proves
/// nothing.
#[workflow]
#[derive(Default)]
struct PausesFirst;

#[workflow_methods]
impl PausesFirst {
    #[run(name = "Backfill")]
    async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: BackfillInput,
    ) -> WorkflowResult<BackfillEnd> {
        ctx.timer(TimerOptions::builder(Duration::from_secs(1)).build())
            .await;
        Ok(BackfillEnd {
            run: input.run,
            finished: true,
        })
    }
}

#[tokio::test]
async fn a_changed_workflow_does_not_replay() {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<PausesFirst>()
        .unwrap()
        .build();
    let replayer = WorkflowReplayer::new(options).unwrap();
    let backfills: Vec<Recorded> = recorded()
        .into_iter()
        .filter(|one| one.workflow() == "Backfill")
        .collect();
    assert!(!backfills.is_empty());
    for one in backfills {
        let refused = replayer.replay_workflow(one.replayable()).await;
        assert!(
            matches!(
                refused,
                Err(WorkflowReplayError::Replay(
                    WorkflowReplayFailure::Nondeterminism { .. }
                ))
            ),
            "{}: {refused:?}",
            one.name()
        );
    }
}

/// The history of one workflow is not that of another, though all are registered.
#[tokio::test]
async fn a_history_of_another_workflow_does_not_replay() {
    let replayer = current_workflows();
    let mut one = recorded()
        .into_iter()
        .find(|one| one.workflow() == "Sweep")
        .unwrap();
    let first = one.history.events[0].attributes.as_mut().unwrap();
    let Attributes::WorkflowExecutionStartedEventAttributes(started) = first else {
        panic!("{} does not begin at the start of a workflow", one.name());
    };
    started.workflow_type.as_mut().unwrap().name = "Connection".to_owned();
    let refused = replayer.replay_workflow(one.replayable()).await;
    assert!(
        matches!(refused, Err(WorkflowReplayError::Replay(_))),
        "{refused:?}"
    );
}

// ---- what the folder has to hold -------------------------------------------------------------

#[test]
fn the_folder_holds_every_kind() {
    let all = recorded();
    let endings: BTreeSet<(&str, Ending)> = all
        .iter()
        .map(|one| (one.workflow(), one.ending()))
        .collect();
    for wanted in [
        ("Backfill", Ending::Completed),
        ("Backfill", Ending::ContinuedAsNew),
        ("Backfill", Ending::Cancelled),
        ("Connection", Ending::Running),
        ("Connection", Ending::Completed),
        ("Connection", Ending::ContinuedAsNew),
        ("Sweep", Ending::Running),
        ("Purge", Ending::Completed),
        ("PeriodicSync", Ending::Completed),
        ("Reconcile", Ending::Completed),
        ("WebhookRead", Ending::Completed),
        ("Profiles", Ending::Completed),
        ("Verdicts", Ending::Completed),
        ("ContactExport", Ending::Completed),
        ("ExportPreview", Ending::Completed),
        ("ExportRecheck", Ending::Completed),
        ("BulkExport", Ending::Running),
        ("OwnProperties", Ending::Completed),
    ] {
        assert!(endings.contains(&wanted), "none of {wanted:?}: {endings:?}");
    }
    for (workflow, event) in [
        ("Backfill", EventType::WorkflowExecutionCancelRequested),
        ("Connection", EventType::WorkflowExecutionSignaled),
        // What is behind `ctx.patched`.
        ("Connection", EventType::MarkerRecorded),
        (
            "Connection",
            EventType::RequestCancelExternalWorkflowExecutionInitiated,
        ),
        (
            "Connection",
            EventType::StartChildWorkflowExecutionInitiated,
        ),
    ] {
        assert!(
            all.iter()
                .any(|one| one.workflow() == workflow && one.has(event)),
            "no history of {workflow} with {event:?}"
        );
    }
}

/// `<Workflow>-<kind>-v<n>.pb`: the name says what the file holds.
#[test]
fn names_tell_the_workflow() {
    for one in recorded() {
        let parts: Option<(&str, &str)> = one
            .name()
            .strip_suffix(".pb")
            .and_then(|name| name.rsplit_once("-v"));
        let (kind, version) = parts.unwrap_or_else(|| panic!("{} has no -v<n>.pb", one.name()));
        assert!(version.parse::<u32>().is_ok(), "{}", one.name());
        let (workflow, kind) = kind.split_once('-').unwrap();
        assert_eq!(workflow, one.workflow(), "{}", one.name());
        assert!(!kind.is_empty(), "{}", one.name());
    }
}

/// X5: ids, cursors and counts only. An e-mail address, a name or a text of a person has a word that
/// none of this allows.
#[test]
fn no_personal_data_is_in_a_history() {
    for one in recorded() {
        let mut strings = Vec::new();
        strings_of_payloads(&serde_json::to_value(&one.history).unwrap(), &mut strings);
        assert!(!strings.is_empty(), "{}", one.name());
        for text in strings {
            for word in text.split_whitespace() {
                assert!(is_harmless(word), "{} holds {text:?}", one.name());
            }
        }
    }
}

/// Small ones replay fast and are easily reviewed.
#[test]
fn histories_are_small() {
    for one in recorded() {
        let bytes = fs::metadata(&one.path).unwrap().len();
        assert!(bytes < 100_000, "{} has {bytes} bytes", one.name());
    }
}

/// Every string within every payload: inputs, results, signals, search attributes, summaries.
fn strings_of_payloads(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("metadata")
                && let Some(data) = fields.get("data")
            {
                let data = BASE64_STANDARD.decode(data.as_str().unwrap()).unwrap();
                if !data.is_empty() {
                    strings_of(&serde_json::from_slice(&data).unwrap(), found);
                }
            }
            fields.values().for_each(|v| strings_of_payloads(v, found));
        }
        Value::Array(all) => all.iter().for_each(|v| strings_of_payloads(v, found)),
        _ => {}
    }
}

fn strings_of(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::String(text) => found.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|v| strings_of(v, found)),
        Value::Object(fields) => {
            found.extend(fields.keys().cloned());
            fields.values().for_each(|v| strings_of(v, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// An id, a number, a time, a lower-case word of ours, the product's name, or a path of these: an id of
/// a workflow.
fn is_harmless(word: &str) -> bool {
    word.split('/').all(is_harmless_part)
}

fn is_harmless_part(word: &str) -> bool {
    let is_id = word.len() == 36 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let is_number = word.chars().all(|c| c.is_ascii_digit());
    let is_word = word
        .strip_suffix(',')
        .unwrap_or(word)
        .chars()
        .all(|c| c.is_ascii_lowercase() || "_-".contains(c));
    // When a schedule started it.
    let is_time = word.ends_with('Z') && DateTime::parse_from_rfc3339(word).is_ok();
    // A paragraph of `docs/errors.md`.
    let is_code = word
        .strip_prefix("HS-")
        .is_some_and(|n| n.len() == 4 && n.chars().all(|c| c.is_ascii_digit()));
    is_id || is_number || is_time || is_word || is_code || word == "HubSpot"
}

#[test]
fn what_is_harmless_is_told_from_what_is_not() {
    for word in [
        "0d3f0000-0000-4000-8000-000000000001",
        "1000001",
        "catch_up",
        "epoch-memo",
        "run,",
        "HubSpot",
        "HS-3021",
        "2026-11-29T09:42:11Z",
        "hubspot/0d3f0000-0000-4000-8000-000000000001/periodic-sync",
    ] {
        assert!(is_harmless(word), "{word}");
    }
    for word in [
        "ada@example.com",
        "Ada",
        "+4930123456",
        "pat-eu1-0d3f0000",
        "HS-302",
        "https://example.com",
    ] {
        assert!(!is_harmless(word), "{word}");
    }
}
