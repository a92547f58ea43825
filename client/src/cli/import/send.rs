//! Sends batches: a few at once, again where that may help.

use std::{collections::VecDeque, io, time::Duration};

use client::{Error, HubSpotSync};
use domain::{
    WorkspaceId,
    activities::ActivityInput,
    api::{ActivityUpserts, IdempotencyKey, MemberUpserts, PersonUpserts, UpsertAnswer},
    app::{MemberInput, PersonInput},
    people_file::RowProblem,
};
use tokio::task::{JoinError, JoinHandle};
use uuid::Uuid;

use super::{
    batch::{Batches, Importable, Rows},
    report::Report,
};
use crate::cli::{args::Service, failure::Failure};

/// Batches that are under way at once. Their order does not matter: no two have the same id.
const IN_FLIGHT: usize = 3;

/// How long to wait before each further attempt; a minute and a half in all. That is longer than a
/// restart of the service, and than a call that died is held to be under way (HS-4007).
pub(super) const PATIENCE: &[Duration] = &[
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
    Duration::from_secs(15),
    Duration::from_secs(15),
    Duration::from_secs(15),
    Duration::from_secs(15),
];

/// Records that one call takes many of.
pub(super) trait Sendable: Importable + Sized {
    /// The body of the call.
    type Upserts: Send + Sync + 'static;

    fn upserts(items: Vec<Self>) -> Self::Upserts;

    fn call(
        sync: &HubSpotSync,
        workspace: WorkspaceId,
        upserts: &Self::Upserts,
        key: &IdempotencyKey,
    ) -> impl Future<Output = Result<UpsertAnswer, Error>> + Send;
}

impl Sendable for PersonInput {
    type Upserts = PersonUpserts;

    fn upserts(items: Vec<Self>) -> PersonUpserts {
        PersonUpserts { items }
    }

    async fn call(
        sync: &HubSpotSync,
        workspace: WorkspaceId,
        upserts: &PersonUpserts,
        key: &IdempotencyKey,
    ) -> Result<UpsertAnswer, Error> {
        sync.upsert_people(workspace, upserts, Some(key)).await
    }
}

impl Sendable for MemberInput {
    type Upserts = MemberUpserts;

    fn upserts(items: Vec<Self>) -> MemberUpserts {
        MemberUpserts { items }
    }

    async fn call(
        sync: &HubSpotSync,
        workspace: WorkspaceId,
        upserts: &MemberUpserts,
        key: &IdempotencyKey,
    ) -> Result<UpsertAnswer, Error> {
        sync.upsert_members(workspace, upserts, Some(key)).await
    }
}

impl Sendable for ActivityInput {
    type Upserts = ActivityUpserts;

    fn upserts(items: Vec<Self>) -> ActivityUpserts {
        ActivityUpserts { items }
    }

    async fn call(
        sync: &HubSpotSync,
        workspace: WorkspaceId,
        upserts: &ActivityUpserts,
        key: &IdempotencyKey,
    ) -> Result<UpsertAnswer, Error> {
        sync.upsert_activities(workspace, upserts, Some(key)).await
    }
}

/// A batch under way.
struct Sent {
    problems: Vec<RowProblem>,
    lines: Vec<u64>,
    answer: JoinHandle<Result<UpsertAnswer, Error>>,
}

/// Sends all batches of a file. When one cannot be sent, nothing more is read; what is under way is
/// waited for, so that it is known what went in.
pub(super) async fn all<R>(
    service: &Service,
    workspace: WorkspaceId,
    rows: R,
    report: &mut Report,
    patience: &'static [Duration],
) -> Result<(), Failure>
where
    R: Rows,
    R::Item: Sendable,
{
    // A key belongs to a batch of this run: a rerun is to do the work anew, since the answer of an
    // earlier day need not be that of today.
    let run = Uuid::new_v4();
    let mut batches = Some(Batches::new(rows));
    let mut under_way = VecDeque::new();
    let mut number = 0;
    let mut failed = None;
    loop {
        while under_way.len() < IN_FLIGHT
            && failed.is_none()
            && let Some(mut unread) = batches.take()
        {
            // Reading a file blocks; calls go on meanwhile.
            let read = tokio::task::spawn_blocking(move || (unread.next(), unread)).await;
            let batch = match read {
                Ok((Ok(Some(batch)), rest)) => {
                    batches = Some(rest);
                    batch
                }
                Ok((Ok(None), _)) => break,
                Ok((Err(error), _)) => {
                    failed = Some(Failure::Input(error));
                    break;
                }
                Err(error) => {
                    failed = Some(broken(error));
                    break;
                }
            };
            number += 1;
            let key = key(run, number)?;
            let sync = service.client.clone();
            let items = batch.items;
            let answer = tokio::spawn(async move {
                if items.is_empty() {
                    return Ok(UpsertAnswer::new([]));
                }
                let upserts = R::Item::upserts(items);
                with_patience(patience, || R::Item::call(&sync, workspace, &upserts, &key)).await
            });
            under_way.push_back(Sent {
                problems: batch.problems,
                lines: batch.lines,
                answer,
            });
        }
        // The oldest first: refused rows are told in the order of the file.
        let Some(sent) = under_way.pop_front() else {
            break;
        };
        match sent.answer.await {
            Ok(Ok(answer)) if answer.items.len() == sent.lines.len() => {
                report.add(sent.problems, &sent.lines, answer)?;
            }
            Ok(Ok(_)) => {
                failed.get_or_insert(Failure::NotDone(
                    "the service answered for another number of rows than were sent".to_owned(),
                ));
            }
            Ok(Err(error)) => {
                failed.get_or_insert(Failure::of(service, error));
            }
            Err(error) => {
                failed.get_or_insert(broken(error));
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn broken(error: JoinError) -> Failure {
    Failure::Input(io::Error::other(error))
}

fn key(run: Uuid, number: u64) -> Result<IdempotencyKey, Failure> {
    IdempotencyKey::try_from(format!("import/{run}/{number}"))
        .map_err(|error| Failure::NotDone(error.to_string()))
}

/// Calls until there is an answer for good, or patience is at its end.
async fn with_patience<A, Q: Future<Output = Result<A, Error>>>(
    patience: &[Duration],
    call: impl Fn() -> Q,
) -> Result<A, Error> {
    for wait in patience {
        match call().await {
            Err(error) if error.is_temporary() => tokio::time::sleep(*wait).await,
            answered => return answered,
        }
    }
    call().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const SHORT: &[Duration] = &[Duration::ZERO; 3];

    fn problem(status: u16, code: &str) -> Error {
        Error::Problem {
            code: code.to_owned(),
            title: String::new(),
            detail: String::new(),
            status,
        }
    }

    /// What comes of calls that fail like this until the last one, and how many there were.
    async fn calls(fail: usize, status: u16, code: &str) -> (Result<(), Error>, usize) {
        let calls = Cell::new(0);
        let call = async || {
            calls.set(calls.get() + 1);
            if calls.get() <= fail {
                Err(problem(status, code))
            } else {
                Ok(())
            }
        };
        let answered = with_patience(SHORT, call).await;
        (answered, calls.get())
    }

    #[tokio::test]
    async fn patience_ends_and_what_is_refused_needs_none() {
        for (fail, status, code, is_done, expected) in [
            (0, 503, "HS-5001", true, 1),
            (3, 503, "HS-5001", true, 4),
            (3, 409, "HS-4007", true, 4),
            (9, 503, "HS-5001", false, 4),
            (9, 401, "HS-4002", false, 1),
        ] {
            let (answered, calls) = calls(fail, status, code).await;
            assert_eq!((answered.is_ok(), calls), (is_done, expected), "{code}");
        }
    }

    #[test]
    fn patience_outlives_a_call_that_died() {
        let whole: Duration = PATIENCE.iter().sum();
        assert!(whole > Duration::from_secs(60) && whole < Duration::from_secs(120));
    }
}
