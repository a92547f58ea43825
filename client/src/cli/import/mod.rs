//! Files of people, of team members and of activities: read row by row, sent in batches.
//!
//! What rows mean is `domain::people_file`; here they are split, sent and told.

mod batch;
mod csv_rows;
mod lines;
mod report;
mod send;

use std::{
    fs::File,
    io::BufReader,
    time::{SystemTime, UNIX_EPOCH},
};

use chrono::Utc;
use domain::WorkspaceId;

use super::{
    args::{FileFormat, Import, Service},
    failure::Failure,
    output::count,
};
pub(crate) use report::Totals;

use batch::{PeopleCsv, Rows, activity_json_lines, member_json_lines, people_json_lines};
use report::Report;
use send::{PATIENCE, Sendable};

/// How much of a file is read at once.
const READ_BYTES: usize = 64 * 1024;

pub(crate) async fn people(
    service: &Service,
    workspace: WorkspaceId,
    import: &Import,
) -> Result<Totals, Failure> {
    let (input, version) = open(import)?;
    let fields = service
        .client
        .list_fields(workspace)
        .await
        .map_err(|error| Failure::of(service, error))?
        .known();
    match import.format {
        FileFormat::Csv => {
            let rows = PeopleCsv::open(input, fields, version)
                .map_err(Failure::Input)?
                .map_err(Failure::Header)?;
            send(service, workspace, import, rows).await
        }
        FileFormat::Jsonl => {
            let rows = people_json_lines(input, fields, version);
            send(service, workspace, import, rows).await
        }
    }
}

pub(crate) async fn members(
    service: &Service,
    workspace: WorkspaceId,
    import: &Import,
) -> Result<Totals, Failure> {
    let (input, version) = open(import)?;
    send(
        service,
        workspace,
        import,
        member_json_lines(input, version),
    )
    .await
}

pub(crate) async fn activities(
    service: &Service,
    workspace: WorkspaceId,
    import: &Import,
) -> Result<Totals, Failure> {
    let (input, version) = open(import)?;
    let rows = activity_json_lines(input, version, Utc::now());
    send(service, workspace, import, rows).await
}

/// The file, and the version of rows that have none: when it was last changed, so that a file that is
/// sent again says nothing new.
fn open(import: &Import) -> Result<(BufReader<File>, u64), Failure> {
    let file = File::open(&import.file).map_err(Failure::Input)?;
    let version = match import.row_version {
        Some(version) => version,
        None => {
            let changed = file
                .metadata()
                .and_then(|data| data.modified())
                .map_err(Failure::Input)?;
            milliseconds(changed)
        }
    };
    Ok((BufReader::with_capacity(READ_BYTES, file), version))
}

fn milliseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

async fn send<R>(
    service: &Service,
    workspace: WorkspaceId,
    import: &Import,
    rows: R,
) -> Result<Totals, Failure>
where
    R: Rows,
    R::Item: Sendable,
{
    let mut report = Report::open(import.rejects.as_deref(), import.json)?;
    let sent = send::all(service, workspace, rows, &mut report, PATIENCE).await;
    report.flush()?;
    let totals = report.totals();
    match sent {
        Ok(()) => Ok(totals),
        Err(failure) => Err(Failure::Stopped {
            failure: Box::new(failure),
            are_in: count(totals.are_in()),
        }),
    }
}
