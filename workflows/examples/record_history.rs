//! Writes the history of a workflow to a file, as protobuf, for `tests/replay.rs`:
//!
//! ```text
//! cargo run -p workflows --example record_history -- ADDRESS WORKFLOW_ID OUT.pb [RUN_ID]
//! ```
//!
//! `ADDRESS` is `host:port` or a URL, `TEMPORAL_NAMESPACE` the namespace (`default`). Without
//! `RUN_ID` it is the newest run.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks to whoever typed it"
)]

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail, ensure};
use prost::Message as _;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, UntypedWorkflow, WorkflowExecutionInfo,
    WorkflowFetchHistoryOptions, WorkflowHandle,
};
use temporalio_common::protos::temporal::api::{
    enums::v1::EventType,
    history::v1::{History, HistoryEvent},
};
use url::Url;

const USAGE: &str =
    "usage: cargo run -p workflows --example record_history -- ADDRESS WORKFLOW_ID OUT.pb [RUN_ID]";

/// What was asked for.
struct Wanted {
    address: Url,
    namespace: String,
    workflow: String,
    run: Option<String>,
    out: PathBuf,
}

impl Wanted {
    fn from_args(mut args: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let address = args.next().context("ADDRESS is missing")?;
        let workflow = args.next().context("WORKFLOW_ID is missing")?;
        let out = PathBuf::from(args.next().context("OUT.pb is missing")?);
        let run = args.next();
        if let Some(more) = args.next() {
            bail!("{more:?} is one word too many");
        }
        ensure!(
            out.extension().is_some_and(|e| e == "pb"),
            "OUT.pb is {}: its name must end in .pb, or the replay test does not see it",
            out.display()
        );
        let url = if address.contains("://") {
            address.clone()
        } else {
            format!("http://{address}")
        };
        Ok(Self {
            address: url.parse().with_context(|| {
                format!("ADDRESS is {address:?}: it must be host:port or a URL")
            })?,
            namespace: std::env::var("TEMPORAL_NAMESPACE").unwrap_or_else(|_| "default".to_owned()),
            workflow,
            run,
            out,
        })
    }
}

async fn fetch(wanted: &Wanted) -> anyhow::Result<Vec<HistoryEvent>> {
    let options = ConnectionOptions::new(wanted.address.clone())
        .identity("record-history")
        .connect_timeout(Duration::from_secs(10))
        .build();
    let connection = Connection::connect(options)
        .await
        .with_context(|| format!("Temporal (ADDRESS {}) does not answer", wanted.address))?;
    let client = Client::new(
        connection,
        ClientOptions::new(wanted.namespace.clone()).build(),
    )?;
    let info = WorkflowExecutionInfo::builder()
        .namespace(wanted.namespace.clone())
        .workflow_id(wanted.workflow.clone())
        .maybe_run_id(wanted.run.clone())
        .build();
    WorkflowHandle::<Client, UntypedWorkflow>::new(client, info)
        .fetch_history(WorkflowFetchHistoryOptions::default())
        .into_events()
        .await
        .with_context(|| {
            format!(
                "no history of WORKFLOW_ID {:?} in namespace {:?}",
                wanted.workflow, wanted.namespace
            )
        })
}

/// A history that ends in the middle of a workflow task was caught while the worker answered;
/// whether it is wrong shows a moment later.
fn ensure_settled(events: &[HistoryEvent]) -> anyhow::Result<()> {
    let last = events.last().context("the history is empty")?;
    ensure!(
        !matches!(
            last.event_type(),
            EventType::WorkflowTaskScheduled | EventType::WorkflowTaskStarted
        ),
        "a workflow task is under way; try again in a moment"
    );
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match record().await {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("record_history: {error:#}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

async fn record() -> anyhow::Result<String> {
    let wanted = Wanted::from_args(std::env::args().skip(1))?;
    ensure!(
        !wanted.out.exists(),
        "OUT.pb {} is there already; recorded histories are never overwritten, take the next version",
        wanted.out.display()
    );
    let events = fetch(&wanted).await?;
    ensure_settled(&events)?;
    let count = events.len();
    let bytes = History { events }.encode_to_vec();
    std::fs::write(&wanted.out, &bytes)
        .with_context(|| format!("OUT.pb {} cannot be written", wanted.out.display()))?;
    Ok(format!(
        "{}: {count} events, {} bytes",
        wanted.out.display(),
        bytes.len()
    ))
}
