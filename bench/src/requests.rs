//! What the simulator counted: the worker is judged by the other side's log.

use std::collections::BTreeMap;

use anyhow::Context as _;
use dev::demo::Api;
use serde::Deserialize;

/// Requests per second that HubSpot allows an app in a portal, in the long run.
const ALLOWED_PER_SECOND: f64 = 11.0;
/// Searches per second that are ours: of five, one is kept for people and one for the customer's
/// other apps (decision 9).
const SEARCHES_PER_SECOND: f64 = 3.0;

/// A page of search is larger than this; one that only counts brings one record at most.
const COUNT_BYTES: u64 = 10_000;

/// The request log of a portal, counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Requests {
    /// All of them.
    pub(crate) total: u64,
    /// Those that count against the ten-second limit.
    pub(crate) general: u64,
    /// Those answered with 429.
    pub(crate) too_many: u64,
    /// The most that any ten seconds of the general bucket held.
    pub(crate) peak_ten_seconds: u64,
    /// The time in which pages of all three types were asked for.
    pub(crate) together: Together,
    /// The time until the last record was read.
    pub(crate) reading: Reading,
    /// Within that, the pauses between two requests that count.
    pub(crate) pauses: Pauses,
}

/// Pauses that are longer than twice what lies between two requests at the limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Pauses {
    /// How many.
    pub(crate) number: u64,
    /// How long in all, in seconds.
    pub(crate) seconds: f64,
}

/// Milliseconds.
const PAUSE: i64 = 190;

/// From the first page of records to the last one that brought any: what search has read is listed
/// again after that, ids only.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Reading {
    /// Requests of the general bucket in it.
    pub(crate) general: u64,
    /// Searches in it, those that count included.
    pub(crate) search: u64,
    /// How long it was, in seconds.
    pub(crate) seconds: f64,
}

/// From the first page of any type to the last page of the type that ended first.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Together {
    /// Requests of the general bucket in it.
    pub(crate) general: u64,
    /// How long it was, in seconds.
    pub(crate) seconds: f64,
}

/// Which part of what HubSpot allows was used.
#[allow(
    clippy::cast_precision_loss,
    reason = "requests of a run are far from 2^52"
)]
pub(crate) fn share(general: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| general as f64 / (ALLOWED_PER_SECOND * seconds))
}

/// Which part of our share of search was used.
#[allow(
    clippy::cast_precision_loss,
    reason = "requests of a run are far from 2^52"
)]
pub(crate) fn share_of_search(searches: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| searches as f64 / (SEARCHES_PER_SECOND * seconds))
}

#[derive(Deserialize)]
struct Counters {
    total: u64,
    by_status: BTreeMap<String, u64>,
    peak_ten_seconds: u64,
}

#[derive(Deserialize)]
struct Log {
    requests: Vec<Logged>,
}

#[derive(Deserialize)]
struct Logged {
    at_ms: i64,
    method: String,
    path: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    bytes: u64,
    bucket: String,
}

impl Logged {
    fn is_page_of(&self, name: &str) -> bool {
        self.method == "GET"
            && self.path.contains("/objects/")
            && self.path.rsplit('/').next() == Some(name)
    }

    /// A page that brings records, by list or by search; not one of ids only, nor a count.
    fn brings_records(&self) -> bool {
        let listed = ["contacts", "companies", "deals"]
            .iter()
            .any(|name| self.is_page_of(name));
        let ids_only = self
            .query
            .split('&')
            .any(|part| part == "properties=hs_object_id");
        (listed && !ids_only) || (self.bucket == "search" && self.bytes > COUNT_BYTES)
    }
}

/// Asks the simulator. The limit of its log, 200,000 requests, is 20 million records.
pub(crate) async fn of(api: &Api, portal: u64) -> anyhow::Result<Requests> {
    let ask = |what: &str| {
        let path = format!("portals/{portal}/{what}");
        async move { api.simulator("GET", &path, None).await }
    };
    let counters: Counters =
        serde_json::from_value(ask("counters").await?).context("counters of the simulator")?;
    let log: Log =
        serde_json::from_value(ask("requests").await?).context("request log of the simulator")?;
    Ok(count(&counters, &log.requests))
}

fn count(counters: &Counters, log: &[Logged]) -> Requests {
    let is_general = |r: &&Logged| r.bucket == "general";
    Requests {
        total: counters.total,
        general: log.iter().filter(is_general).count() as u64,
        too_many: counters.by_status.get("429").copied().unwrap_or(0),
        peak_ten_seconds: counters.peak_ten_seconds,
        together: together(log).map_or_else(Together::default, |(from, to)| Together {
            general: log
                .iter()
                .filter(is_general)
                .filter(|r| (from..=to).contains(&r.at_ms))
                .count() as u64,
            seconds: std::time::Duration::from_millis((to - from).unsigned_abs()).as_secs_f64(),
        }),
        reading: reading(log),
        pauses: pauses(log),
    }
}

fn pauses(log: &[Logged]) -> Pauses {
    let pages = || log.iter().filter(|r| r.brings_records()).map(|r| r.at_ms);
    let (Some(from), Some(to)) = (pages().min(), pages().max()) else {
        return Pauses::default();
    };
    let mut at: Vec<i64> = log
        .iter()
        .filter(|r| r.bucket == "general" && (from..=to).contains(&r.at_ms))
        .map(|r| r.at_ms)
        .collect();
    at.sort_unstable();
    let long: Vec<u64> = at
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .filter(|gap| *gap > PAUSE)
        .map(i64::unsigned_abs)
        .collect();
    Pauses {
        number: long.len() as u64,
        seconds: std::time::Duration::from_millis(long.iter().sum()).as_secs_f64(),
    }
}

fn reading(log: &[Logged]) -> Reading {
    let pages = || log.iter().filter(|r| r.brings_records()).map(|r| r.at_ms);
    let (Some(from), Some(to)) = (pages().min(), pages().max()) else {
        return Reading::default();
    };
    let count = |bucket: &str| {
        let within = |r: &&Logged| r.bucket == bucket && (from..=to).contains(&r.at_ms);
        log.iter().filter(within).count() as u64
    };
    Reading {
        general: count("general"),
        search: count("search"),
        seconds: std::time::Duration::from_millis((to - from).unsigned_abs()).as_secs_f64(),
    }
}

fn together(log: &[Logged]) -> Option<(i64, i64)> {
    let mut from = i64::MAX;
    let mut to = i64::MAX;
    for name in ["contacts", "companies", "deals"] {
        let pages = || log.iter().filter(|r| r.is_page_of(name)).map(|r| r.at_ms);
        from = from.min(pages().min()?);
        to = to.min(pages().max()?);
    }
    (from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(at_ms: i64, name: &str) -> Logged {
        Logged {
            at_ms,
            method: "GET".to_owned(),
            path: format!("/crm/v3/objects/{name}"),
            query: "limit=100&properties=email%2Cphone".to_owned(),
            bytes: 100_000,
            bucket: "general".to_owned(),
        }
    }

    fn counted(log: &[Logged]) -> Requests {
        let counters = Counters {
            total: 9,
            by_status: BTreeMap::from([("200".to_owned(), 6), ("429".to_owned(), 3)]),
            peak_ten_seconds: 5,
        };
        count(&counters, log)
    }

    #[test]
    fn the_time_together_ends_with_the_first_type_that_ends() {
        let mut log = vec![
            page(1_000, "contacts"),
            page(1_500, "companies"),
            page(2_000, "deals"),
            page(3_000, "companies"),
            page(9_000, "contacts"),
            page(4_000, "deals"),
        ];
        log.push(Logged {
            bucket: "search".to_owned(),
            ..page(2_500, "search")
        });
        let requests = counted(&log);
        assert_eq!((requests.general, requests.too_many), (6, 3));
        assert_eq!(
            requests.together,
            Together {
                general: 4,
                seconds: 2.0
            }
        );
    }

    #[test]
    fn records_are_read_until_only_ids_are_listed() {
        let search = |at_ms| Logged {
            bucket: "search".to_owned(),
            ..page(at_ms, "search")
        };
        let again = |at_ms| Logged {
            query: "limit=100&properties=hs_object_id".to_owned(),
            ..page(at_ms, "contacts")
        };
        let counting = |at_ms| Logged {
            bytes: 900,
            ..search(at_ms)
        };
        let log = [
            page(1_000, "contacts"),
            search(1_500),
            again(2_000),
            search(3_000),
            counting(8_000),
            again(9_000),
        ];
        assert_eq!(
            counted(&log).reading,
            Reading {
                general: 2,
                search: 2,
                seconds: 2.0
            }
        );
        assert_eq!(counted(&[]).reading, Reading::default());
        assert_eq!(
            counted(&log).pauses,
            Pauses {
                number: 1,
                seconds: 1.0
            }
        );
    }

    #[test]
    fn a_portal_without_deals_has_no_time_together() {
        let log = [page(1, "contacts"), page(2, "companies")];
        assert_eq!(counted(&log).together, Together::default());
    }

    #[test]
    fn eleven_a_second_is_all() {
        assert_eq!(share(110, 10.0), Some(1.0));
        assert_eq!(share(1, 0.0), None);
        assert_eq!(share_of_search(30, 10.0), Some(1.0));
    }
}
