//! `bench intake`: puts people in through `/api/v1`.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use dev::stack::{Addresses, Stack, StackOptions};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{process, times::Times};

/// People of one bulk call: the most that a call takes.
const BULK: u64 = 1_000;

/// What is put in, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// People.
    pub(crate) people: u64,
    /// Bulk calls under way at once.
    pub(crate) callers: u64,
    /// Calls with one person each, one after the other.
    pub(crate) singles: u64,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "intake: {} people, {BULK} in a call, {} calls at once, {} single upserts",
            self.people, self.callers, self.singles
        )
    }
}

/// One pass over all people.
#[derive(Debug)]
struct Pass {
    took: Duration,
    cpu: Vec<(&'static str, f64)>,
}

/// The figures of a run.
#[derive(Debug)]
pub(crate) struct Figures {
    people: u64,
    body_bytes: u64,
    new: Pass,
    unchanged: Pass,
    rows_written_by_unchanged: u64,
    updated: Pass,
    single: Times,
    web_peak: u64,
}

#[allow(clippy::cast_precision_loss, reason = "far from 2^52")]
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: String| writeln!(f, "  {name:34} {value}");
        let pass = |pass: &Pass| {
            let cpu: Vec<String> = pass
                .cpu
                .iter()
                .map(|(n, s)| format!("{n} {s:.1}"))
                .collect();
            format!(
                "{:.0} in {:.1} s; processor seconds: {}",
                self.people as f64 / pass.took.as_secs_f64().max(0.001),
                pass.took.as_secs_f64(),
                cpu.join(", ")
            )
        };
        line("bytes of a person in a body", self.body_bytes.to_string())?;
        line("people/s, all new", pass(&self.new))?;
        line("people/s, nothing changed", pass(&self.unchanged))?;
        line(
            "rows written by that",
            self.rows_written_by_unchanged.to_string(),
        )?;
        line("people/s, all changed", pass(&self.updated))?;
        line("single upsert, ms", self.single.to_string())?;
        line(
            "front door's peak memory, MB",
            format!("{:.0}", self.web_peak as f64 / 1e6),
        )
    }
}

/// Runs it on a stack of its own.
pub(crate) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Figures> {
    ensure!(plan.people >= BULK, "--people has to be {BULK} at least");
    let mut options = StackOptions::new(dir, binaries);
    options.workers = 0;
    options.env = vec![("RUST_LOG".to_owned(), "warn".to_owned())];
    let stack = Stack::start(options).await?;
    let addresses = stack.addresses();
    let door = Arc::new(Door::open(&addresses).await?);
    let parts = [
        ("front door", stack.pid("web")?),
        ("postgres", stack.pid("postgres")?),
    ];
    let database = connect(&addresses).await?;

    let new = pass(&door, plan, 1, "created", &parts).await?;
    let before = places(&database, door.workspace).await?;
    ensure!(
        before.0 == plan.people.cast_signed(),
        "{} people are stored",
        before.0
    );
    let unchanged = pass(&door, plan, 1, "unchanged", &parts).await?;
    let after = places(&database, door.workspace).await?;
    let updated = pass(&door, plan, 2, "updated", &parts).await?;

    let mut times = Vec::new();
    for n in 0..plan.singles {
        let body = format!(r#"{{"items":[{}]}}"#, person(n * 7 % plan.people, 3 + n));
        let began = Instant::now();
        let counts = door.put(body).await?;
        times.push(began.elapsed());
        ensure!(counts["updated"] == 1, "a single upsert: {counts}");
    }
    Ok(Figures {
        people: plan.people,
        body_bytes: person(plan.people / 2, 1).len() as u64,
        new,
        unchanged,
        rows_written_by_unchanged: if before == after {
            0
        } else {
            changed_rows(&before, &after)
        },
        updated,
        single: Times::of(times),
        web_peak: process::peak_memory(stack.pid("web")?)?,
    })
}

/// A person as the app sends them, of about the usual size.
fn person(n: u64, version: u64) -> String {
    format!(
        r#"{{"id":"person-{n:08}","version":{version},"email":"first{n}.last{n}@company{}.example.com","company":"company-{}","owner":"member-{}","status":"contacted","contacted_at":"2026-11-0{}T08:30:00Z","fields":{{"first_name":"First{n}","last_name":"Last{n}","job_title":"Head of Example {version}","company_name":"Company {}","phone":"+49 30 {n:08}","city":"Berlin","country":"Germany","linkedin_url":"https://www.linkedin.com/in/first{n}-last{n}","lead_score":{},"tags":["outbound","q4"]}}}}"#,
        n % 50_000,
        n % 50_000,
        n % 20,
        1 + n % 9,
        n % 50_000,
        n % 100
    )
}

/// The front door, with a token of one workspace.
struct Door {
    client: reqwest::Client,
    url: String,
    token: String,
    workspace: Uuid,
}

impl Door {
    async fn open(addresses: &Addresses) -> anyhow::Result<Self> {
        let client = dev::http()?;
        let workspace = Uuid::new_v4();
        let base = format!("{}/api/v1/workspaces/{workspace}", addresses.web);
        let made: Value = serde_json::from_str(
            &client
                .post(format!("{base}/tokens"))
                .bearer_auth(&addresses.api_token)
                .json(&json!({"name": "bench"}))
                .send()
                .await?
                .text()
                .await?,
        )?;
        Ok(Self {
            client,
            url: format!("{base}/people"),
            token: made["token"].as_str().context("no token")?.to_owned(),
            workspace,
        })
    }

    /// Puts people in. Says how many had which outcome.
    async fn put(&self, body: String) -> anyhow::Result<Value> {
        let answer = self
            .client
            .post(&self.url)
            .bearer_auth(&self.token)
            .body(body)
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{status}: {text}");
        let mut answer: Value = serde_json::from_str(&text)?;
        Ok(answer["counts"].take())
    }
}

/// Puts everybody in, and insists on the outcome.
async fn pass(
    door: &Arc<Door>,
    plan: &Plan,
    version: u64,
    outcome: &'static str,
    parts: &[(&'static str, i32)],
) -> anyhow::Result<Pass> {
    let cpu = |parts: &[(&'static str, i32)]| -> anyhow::Result<Vec<f64>> {
        parts
            .iter()
            .map(|(_, pid)| process::cpu_seconds(*pid))
            .collect()
    };
    let before = cpu(parts)?;
    let own_before = process::cpu_seconds(std::process::id().cast_signed())?;
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let callers: Vec<_> = (0..plan.callers)
        .map(|_| {
            let (door, next, people) = (Arc::clone(door), Arc::clone(&next), plan.people);
            tokio::spawn(async move {
                loop {
                    let first = next.fetch_add(BULK, Ordering::Relaxed);
                    if first >= people {
                        return Ok::<_, anyhow::Error>(());
                    }
                    let end = (first + BULK).min(people);
                    let mut body = String::with_capacity(640 * 1024);
                    body.push_str(r#"{"items":["#);
                    for n in first..end {
                        if n > first {
                            body.push(',');
                        }
                        body.push_str(&person(n, version));
                    }
                    body.push_str("]}");
                    let counts = door.put(body).await?;
                    ensure!(
                        counts[outcome] == end - first,
                        "not all {outcome}: {counts}"
                    );
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    let took = began.elapsed();
    let mut used: Vec<(&'static str, f64)> = parts
        .iter()
        .zip(cpu(parts)?)
        .zip(before)
        .map(|(((name, _), after), before)| (*name, after - before))
        .collect();
    let own = process::cpu_seconds(std::process::id().cast_signed())?;
    used.push(("bench", own - own_before));
    Ok(Pass { took, cpu: used })
}

async fn connect(addresses: &Addresses) -> anyhow::Result<tokio_postgres::Client> {
    let (client, connection) =
        tokio_postgres::connect(&addresses.database_url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// How many rows there are, and a digest of where each lies and which transaction wrote it: any
/// written row changes it.
async fn places(
    database: &tokio_postgres::Client,
    workspace: Uuid,
) -> anyhow::Result<(i64, i64, String)> {
    let row = database
        .query_one(
            "select count(*), coalesce(sum(revision), 0)::bigint,
               coalesce(md5(string_agg(ctid::text || xmin::text, ',' order by person_id)), '')
             from app_person where workspace_id = $1::text::uuid",
            &[&workspace.to_string()],
        )
        .await?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

/// Each write of a row counts its revision up.
fn changed_rows(before: &(i64, i64, String), after: &(i64, i64, String)) -> u64 {
    (after.1 - before.1).unsigned_abs().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_json() {
        let person: Value = serde_json::from_str(&person(12_345, 2)).unwrap();
        assert_eq!(person["version"], 2);
    }
}
