//! `bench erase`: one erasure among many people, a purge of them all, and what others notice of both.
//! Against Postgres alone, as nothing else has a part in it.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use chrono::Utc;
use dev::stack::{Stack, StackOptions};
use domain::{
    WorkspaceId,
    app::{CustomField, Email, Fields, PersonInput, PersonUpsert},
};
use serde_json::json;
use store::{EraseTarget, PurgeStep, Store, testing::store_of};
use uuid::Uuid;

use crate::times::Times;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// People of the workspace; each has a contact with two addresses, an association from a deal, and
    /// a place on a list.
    pub(crate) people: u64,
    /// Erasures, one after the other.
    pub(crate) erasures: u64,
    /// How long the other workspace is looked at without anything else going on.
    pub(crate) seconds: u64,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "erase: {} people, {} erasures, then a purge",
            self.people, self.erasures
        )
    }
}

/// The figures of a run.
#[derive(Debug)]
pub(crate) struct Figures {
    erasures: Times,
    alone: Times,
    beside_erasures: Times,
    same_beside_erasures: Times,
    purged: u64,
    purge_took: Duration,
    longest: Duration,
    beside_purge: Times,
}

#[allow(clippy::cast_precision_loss, reason = "far from 2^52")]
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: String| writeln!(f, "  {name:44} {value}");
        line("one erasure, ms", self.erasures.to_string())?;
        line(
            "another workspace's upsert alone, ms",
            self.alone.to_string(),
        )?;
        line(
            "the same beside erasures, ms",
            self.beside_erasures.to_string(),
        )?;
        let ratio = |times: Times| format!("{:.2}", times.p95() / self.alone.p95());
        line("ratio of p95", ratio(self.beside_erasures))?;
        line(
            "an upsert in the same workspace, ms",
            self.same_beside_erasures.to_string(),
        )?;
        let rate = self.purged as f64 / self.purge_took.as_secs_f64().max(0.001);
        line(
            "purge",
            format!(
                "{} rows in {:.1} s: {rate:.0} rows/s",
                self.purged,
                self.purge_took.as_secs_f64()
            ),
        )?;
        line(
            "longest transaction of the purge, ms",
            format!("{:.1}", self.longest.as_secs_f64() * 1_000.0),
        )?;
        line(
            "another workspace's upsert beside it, ms",
            self.beside_purge.to_string(),
        )?;
        line("ratio of p95", ratio(self.beside_purge))
    }
}

/// Runs it on a Postgres of its own.
pub(crate) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Figures> {
    let stack = Stack::postgres_only(StackOptions::new(dir, binaries)).await?;
    let url = stack.addresses().database_url;
    let store = store_of(&url).await;
    store.migrate().await?;
    let (many, other) = (
        WorkspaceId::new(Uuid::new_v4()),
        WorkspaceId::new(Uuid::new_v4()),
    );
    for workspace in [many, other] {
        store.ensure_workspace(workspace, Utc::now()).await?;
    }
    fill(&url, many, plan.people).await?;

    let alone = beside(
        &store,
        &[other],
        tokio::time::sleep(Duration::from_secs(plan.seconds)),
    )
    .await?
    .1;
    let erasing = async {
        let mut times = Vec::new();
        for n in 0..plan.erasures {
            let target = EraseTarget {
                person: None,
                email: Some(Email::parse(&second_email(n * 7 % plan.people))?),
            };
            let began = Instant::now();
            let erased = store.erase_person(many, &target, Utc::now()).await?;
            times.push(began.elapsed());
            ensure!(
                erased.people == 1 && erased.contacts == 1,
                "an erasure found {erased:?}"
            );
            // One after the other, not all the time: as people ask for it.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(Times::of(times))
    };
    let (erasures, mut times) = beside(&store, &[other, many], erasing).await?;
    let (erasures, same_beside_erasures) = (erasures?, times.pop().context("no times")?);
    let beside_erasures = times.pop().context("no times")?;

    let began = Instant::now();
    ensure!(
        matches!(store.request_purge(many, Utc::now()).await?, Some(Ok(_))),
        "the purge was refused"
    );
    let purging = async {
        let mut all = PurgeStep::default();
        while let Some(step) = store
            .purge_step(many, PurgeStep::LARGEST, all.emptied, Utc::now())
            .await?
        {
            all.removed += step.removed;
            all.longest = all.longest.max(step.longest);
            all.emptied = step.emptied;
            if step.done {
                break;
            }
        }
        anyhow::Ok(all)
    };
    let (purged, mut times) = beside(&store, &[other], purging).await?;
    let purged = purged?;
    Ok(Figures {
        erasures,
        alone: alone.first().copied().context("no times")?,
        beside_erasures,
        same_beside_erasures,
        purged: purged.removed,
        purge_took: began.elapsed(),
        longest: purged.longest,
        beside_purge: times.pop().context("no times")?,
    })
}

fn second_email(n: u64) -> String {
    format!("second{n}@company{}.example.com", n % 50_000)
}

/// People with all that hangs on them, put in by Postgres itself.
async fn fill(url: &str, workspace: WorkspaceId, people: u64) -> anyhow::Result<()> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let workspace = workspace.as_uuid();
    for sql in [
        format!(
            "insert into app_person (workspace_id, person_id, version, revision, email, document, slots, created_at, changed_at)
             select '{workspace}', 'person-' || n, 1, 1, 'first' || n || '@company' || n % 50000 || '.example.com',
               json_build_object('id', 'person-' || n, 'version', 1), '{{}}', now(), now()
             from generate_series(0, {people} - 1) n"
        ),
        format!(
            "insert into hubspot_object (workspace_id, portal_id, object_type, object_id, properties, modified_at, read_at)
             select '{workspace}', 1, 1, n + 1, jsonb_build_object('email', 'first' || n || '@company' || n % 50000 || '.example.com',
               'hs_additional_emails', 'second' || n || '@company' || n % 50000 || '.example.com', 'lastname', repeat('x', 500)), now(), now()
             from generate_series(0, {people} - 1) n"
        ),
        format!(
            "insert into hubspot_object_key (workspace_id, portal_id, object_type, key, object_id)
             select '{workspace}', 1, 1, which || n || '@company' || n % 50000 || '.example.com', n + 1
             from generate_series(0, {people} - 1) n, unnest(array['first', 'second']) which"
        ),
        format!(
            "insert into hubspot_association (workspace_id, portal_id, from_type, from_id, to_type, to_id, labels, read_at)
             select '{workspace}', 1, 3, 5000000000 + n, 1, n + 1, '{{deal_to_contact}}', now()
             from generate_series(0, {people} - 1) n"
        ),
        format!(
            "insert into hubspot_list_member (workspace_id, portal_id, list_id, object_id, run_id)
             select '{workspace}', 1, n % 10, n + 1, '{workspace}' from generate_series(0, {people} - 1) n"
        ),
        "vacuum analyze".to_owned(),
    ] {
        client.batch_execute(&sql).await?;
    }
    Ok(())
}

/// Upserts one person after the other in each of the workspaces while something goes on: what came of
/// it, and the times of each workspace.
async fn beside<T>(
    store: &Store,
    workspaces: &[WorkspaceId],
    work: impl Future<Output = T>,
) -> anyhow::Result<(T, Vec<Times>)> {
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = workspaces
        .iter()
        .map(|workspace| {
            let (store, over, workspace) = (store.clone(), Arc::clone(&over), *workspace);
            tokio::spawn(async move {
                let mut times = Vec::new();
                for n in 0_u64.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let one = [person(n)?];
                    let began = Instant::now();
                    store.upsert_people(workspace, &one, Utc::now()).await?;
                    times.push(began.elapsed());
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                anyhow::Ok(Times::of(times))
            })
        })
        .collect();
    let done = work.await;
    over.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for writer in writers {
        times.push(writer.await??);
    }
    Ok((done, times))
}

fn person(n: u64) -> anyhow::Result<PersonUpsert> {
    let id = n % 500;
    let input: PersonInput = serde_json::from_value(json!({
        "id": format!("beside-{id}"), "version": 1 + n, "email": format!("beside{id}@beside.example.com"),
    }))?;
    input
        .check(&Fields::new(std::iter::empty::<&CustomField>()))
        .map_err(|problem| anyhow::anyhow!("{problem:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_taken() {
        assert!(person(7).is_ok());
    }
}
