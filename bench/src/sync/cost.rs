//! What something costs: requests by the simulator's own log, rows by Postgres' own count.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use serde::Deserialize;
use tokio_postgres::Client;

use crate::world::Workspace;

/// Tables that mirror HubSpot.
const MIRROR: [&str; 8] = [
    "hubspot_object",
    "hubspot_object_key",
    "hubspot_association",
    "hubspot_owner",
    "hubspot_property",
    "hubspot_pipeline",
    "hubspot_list",
    "hubspot_list_member",
];

/// A backend tells of its writes when it has been idle for so long, at the latest.
const TOLD: Duration = Duration::from_secs(11);

#[derive(Deserialize)]
struct Log {
    requests: Vec<Logged>,
}

#[derive(Deserialize)]
struct Logged {
    seq: u64,
    method: String,
    path: String,
}

/// Requests to HubSpot by what was asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Requests(BTreeMap<String, u64>);

impl Requests {
    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those whose name has this part.
    pub(super) fn of(&self, part: &str) -> u64 {
        let some = self.0.iter().filter(|(name, _)| name.contains(part));
        some.map(|(_, number)| number).sum()
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, number)| (name.as_str(), *number))
    }

    fn count(log: impl IntoIterator<Item = Logged>) -> Self {
        let mut all = BTreeMap::new();
        for one in log {
            if !one.path.contains("/oauth/") {
                *all.entry(name_of(&one)).or_default() += 1;
            }
        }
        Self(all)
    }
}

/// The path without versions and ids.
fn name_of(one: &Logged) -> String {
    let parts: Vec<&str> = one
        .path
        .split('/')
        .filter(|part| !part.is_empty() && *part != "crm")
        .filter(|part| !part.starts_with(|c: char| c.is_ascii_digit()))
        .filter(|part| !matches!(*part, "v1" | "v2" | "v3" | "v4"))
        .collect();
    format!("{} {}", one.method, parts.join("/"))
}

/// Where a portal's log ends.
pub(super) async fn log_end(workspace: &Workspace) -> anyhow::Result<u64> {
    let log = log_since(workspace, 0).await?;
    Ok(log.last().map_or(0, |one| one.seq))
}

/// The requests after a place in the log.
pub(super) async fn requests_since(workspace: &Workspace, end: u64) -> anyhow::Result<Requests> {
    Ok(Requests::count(log_since(workspace, end + 1).await?))
}

async fn log_since(workspace: &Workspace, seq: u64) -> anyhow::Result<Vec<Logged>> {
    let path = format!("requests?since_seq={seq}");
    let log = workspace.control("GET", &path, None).await?;
    let log: Log = serde_json::from_value(log).context("request log of the simulator")?;
    Ok(log.requests)
}

/// The number of changes of the mirror now.
pub(super) async fn change(database: &Client) -> anyhow::Result<i64> {
    Ok(database
        .query_one("select mirror_change()", &[])
        .await?
        .get(0))
}

/// Records that were news since a number of changes. What a run says that came counts definitions as well,
/// which it reads whole.
pub(super) async fn news_since(database: &Client, change: i64) -> anyhow::Result<u64> {
    let row = database
        .query_one(
            "select count(*) from hubspot_object where changed >= $1",
            &[&change],
        )
        .await?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// Rows written until now, by table; partitions count for the table they are of.
#[derive(Debug, Clone)]
pub(super) struct Rows(BTreeMap<String, i64>);

impl Rows {
    /// Waits until all sessions have told what they wrote.
    pub(super) async fn now(database: &Client) -> anyhow::Result<Self> {
        tokio::time::sleep(TOLD).await;
        let rows = database
            .query(
                "select coalesce(parent.relname, s.relname)::text,
                   sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint
                 from pg_stat_user_tables s
                 left join pg_inherits i on i.inhrelid = s.relid
                 left join pg_class parent on parent.oid = i.inhparent
                 group by 1",
                &[],
            )
            .await?;
        Ok(Self(
            rows.iter().map(|row| (row.get(0), row.get(1))).collect(),
        ))
    }

    /// Rows of the mirror that were written since.
    pub(super) fn mirror_since(&self, before: &Self) -> i64 {
        let since = self.since(before);
        MIRROR.iter().filter_map(|table| since.get(*table)).sum()
    }

    /// Rows of other tables that were written since, the most first.
    pub(super) fn others_since(&self, before: &Self) -> Vec<(String, i64)> {
        let mut others: Vec<(String, i64)> = self
            .since(before)
            .into_iter()
            .filter(|(table, rows)| *rows > 0 && !MIRROR.contains(&table.as_str()))
            .collect();
        others.sort_by_key(|(_, rows)| -rows);
        others
    }

    fn since(&self, before: &Self) -> BTreeMap<String, i64> {
        let written = self.0.iter().map(|(table, rows)| {
            let then = before.0.get(table).copied().unwrap_or(0);
            (table.clone(), rows - then)
        });
        written.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_was_asked() {
        let log = [
            ("POST", "/crm/v3/objects/contacts/search"),
            ("POST", "/crm/objects/2026-09/contacts/search"),
            ("GET", "/crm/v3/properties/contacts"),
            ("GET", "/crm/v3/lists/12/memberships"),
            ("POST", "/oauth/v1/token"),
        ];
        let requests = Requests::count(log.into_iter().map(|(method, path)| Logged {
            seq: 1,
            method: method.to_owned(),
            path: path.to_owned(),
        }));
        assert_eq!(requests.of("contacts/search"), 2);
        assert_eq!(requests.total(), 4);
        let names: Vec<(&str, u64)> = requests.lines().collect();
        assert!(names.contains(&("GET lists/memberships", 1)), "{names:?}");
    }

    #[test]
    fn rows_of_the_mirror_are_apart_from_others() {
        let rows = |object, cursor| {
            Rows(BTreeMap::from([
                ("hubspot_object".to_owned(), object),
                ("sync_cursor".to_owned(), cursor),
            ]))
        };
        let (before, after) = (rows(7, 1), rows(9, 4));
        assert_eq!(after.mirror_since(&before), 2);
        assert_eq!(after.others_since(&before), [("sync_cursor".to_owned(), 3)]);
    }
}
