//! Rate limits, counted as HubSpot counts them (`hubspot-api.md` §4).

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::{Answer, CORRELATION};

const TEN_SECONDS: i64 = 10_000;
const SECOND: i64 = 1_000;
const DAY: i64 = 86_400_000;
/// The account's time zone is five hours behind UTC.
const MIDNIGHT: i64 = 5 * 3_600_000;
/// Width of what a share over a span is counted in, in milliseconds.
const BIN: i64 = 100;

/// Limits of a portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Requests of one app in ten seconds.
    pub(crate) ten_secondly: u32,
    /// The same for a service key; as `ten_secondly` if missing.
    pub(crate) service_key_ten_secondly: Option<u32>,
    /// Searches of the whole account in a second.
    pub(crate) search_secondly: u32,
    /// Requests of one app to the associations API in ten seconds.
    pub(crate) associations_ten_secondly: u32,
    /// Requests of all service keys of the account in a day.
    pub(crate) daily: u64,
    /// Requests of the whole account to the associations API in a day.
    pub(crate) associations_daily: u64,
    /// Requests of one app to the token endpoint in ten seconds; without limit if missing [U].
    pub(crate) token_ten_secondly: Option<u32>,
    /// `Retry-After` on a 429 [U].
    pub(crate) retry_after: bool,
    /// Rate-limit headers on answers of the associations API [U].
    pub(crate) association_headers: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ten_secondly: 110,
            service_key_ten_secondly: None,
            search_secondly: 5,
            associations_ten_secondly: 100,
            daily: 625_000,
            associations_daily: 500_000,
            token_ten_secondly: None,
            retry_after: false,
            association_headers: false,
        }
    }
}

/// The fields of limits, for whoever writes one wrongly.
pub(crate) const FIELDS: &str = "\"hubspot\", \"off\" or {ten_secondly, service_key_ten_secondly, search_secondly, associations_ten_secondly, daily, associations_daily, token_ten_secondly, retry_after, association_headers}";

/// Counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Bucket {
    General,
    Search,
    Associations,
    Token,
    /// Consent page, introspection, revocation: not counted.
    Free,
}

impl Bucket {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Search => "search",
            Self::Associations => "associations",
            Self::Token => "token",
            Self::Free => "free",
        }
    }

    const fn length(self) -> i64 {
        match self {
            Self::Search => SECOND,
            _ => TEN_SECONDS,
        }
    }

    fn limit(self, limits: &Limits, service_key: bool) -> u32 {
        match self {
            Self::General if service_key => limits
                .service_key_ten_secondly
                .unwrap_or(limits.ten_secondly),
            Self::General => limits.ten_secondly,
            Self::Search => limits.search_secondly,
            Self::Associations => limits.associations_ten_secondly,
            Self::Token => limits.token_ten_secondly.unwrap_or(u32::MAX),
            Self::Free => u32::MAX,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) app: &'a str,
    pub(crate) service_key: bool,
}

/// Requests that were let through, no older than the window is long.
#[derive(Debug, Default)]
struct Window(VecDeque<i64>);

impl Window {
    fn used(&mut self, length: i64, now: i64) -> u32 {
        while self.0.front().is_some_and(|at| *at <= now - length) {
            self.0.pop_front();
        }
        self.0.len() as u32
    }
}

/// Requests of a day.
#[derive(Debug, Default)]
struct Day {
    used: u64,
    resets_at: i64,
}

impl Day {
    fn turn(&mut self, now: i64) {
        if now >= self.resets_at {
            self.used = 0;
            self.resets_at = next_midnight(now);
        }
    }
}

fn next_midnight(now: i64) -> i64 {
    (now - MIDNIGHT).div_euclid(DAY) * DAY + DAY + MIDNIGHT
}

/// What became of the requests of one app to one bucket.
#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    refused: u64,
    /// The most that any window held.
    peak: u32,
    /// Accepted, by tenths of a second.
    bins: BTreeMap<i64, u32>,
    service_key: bool,
}

/// Windows of a portal.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    windows: HashMap<(String, Bucket), Window>,
    tallies: BTreeMap<String, BTreeMap<Bucket, Tally>>,
    day: Day,
    associations_day: Day,
    last: i64,
    /// The most requests that any ten seconds of one app's general bucket held.
    pub(crate) peak: u32,
}

/// What a request was told about its windows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    /// `X-HubSpot-RateLimit-Max`, `-Remaining`; none for search.
    pub(crate) ten_secondly: Option<(u32, u32)>,
    /// `X-HubSpot-RateLimit-Daily`, `-Daily-Remaining`; only service keys.
    pub(crate) daily: Option<(u64, u64)>,
}

impl Counted {
    /// The headers of an answer.
    pub(crate) fn headers(self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        if let Some((max, remaining)) = self.ten_secondly {
            all.push(("x-hubspot-ratelimit-max", max.to_string()));
            all.push(("x-hubspot-ratelimit-remaining", remaining.to_string()));
            all.push((
                "x-hubspot-ratelimit-interval-milliseconds",
                TEN_SECONDS.to_string(),
            ));
        }
        if let Some((max, remaining)) = self.daily {
            all.push(("x-hubspot-ratelimit-daily", max.to_string()));
            all.push(("x-hubspot-ratelimit-daily-remaining", remaining.to_string()));
            if let Some((max, remaining)) = self.ten_secondly {
                // Deprecated, and still there.
                all.push(("x-hubspot-ratelimit-secondly", (max / 10).to_string()));
                all.push((
                    "x-hubspot-ratelimit-secondly-remaining",
                    remaining.min(max / 10).to_string(),
                ));
            }
        }
        all
    }
}

/// The body of a 429.
pub(crate) fn refusal(policy: &str, portal: u64, service_key: bool) -> Value {
    let message = match policy {
        "TEN_SECONDLY_ROLLING" => "You have reached your ten_secondly_rolling limit.",
        "SECONDLY" => "You have reached your secondly limit.",
        _ => "You have reached your daily limit.",
    };
    let group = if service_key {
        "private-apps-api-calls"
    } else {
        "oauth-apps-api-calls"
    };
    json!({
        "status": "error", "message": message, "errorType": "RATE_LIMIT",
        "correlationId": CORRELATION, "policyName": policy,
        "groupName": format!("publicapi:{group}:{portal}"),
    })
}

impl Windows {
    /// Counts a request in, or refuses it. `now` is the time of the machine, `portal_now` that of the
    /// portal, by which its days turn. A refused request uses nothing up.
    ///
    /// # Errors
    /// The answer of a refused request.
    pub(crate) fn count(
        &mut self,
        limits: Option<&Limits>,
        caller: Caller<'_>,
        portal: u64,
        bucket: Bucket,
        now: i64,
        portal_now: i64,
    ) -> Result<Counted, Answer> {
        if bucket == Bucket::Free {
            return Ok(Counted::default());
        }
        // A clock that steps back must not let a window through twice.
        let now = now.max(self.last);
        self.last = now;
        self.day.turn(portal_now);
        self.associations_day.turn(portal_now);
        let limit = limits.map_or(u32::MAX, |l| bucket.limit(l, caller.service_key));
        // Searches are counted for the account, whichever app asks.
        let owner = if bucket == Bucket::Search {
            ""
        } else {
            caller.app
        };
        let window = self.windows.entry((owner.to_owned(), bucket)).or_default();
        let used = window.used(bucket.length(), now);
        let tally = self
            .tallies
            .entry(caller.app.to_owned())
            .or_default()
            .entry(bucket)
            .or_default();
        tally.service_key = caller.service_key;
        let day = match bucket {
            Bucket::Associations => Some((
                &mut self.associations_day,
                limits.map(|l| l.associations_daily),
            )),
            Bucket::General | Bucket::Search if caller.service_key => {
                Some((&mut self.day, limits.map(|l| l.daily)))
            }
            _ => None,
        };
        let spent = day
            .as_ref()
            .is_some_and(|(day, limit)| limit.is_some_and(|l| day.used >= l));
        if used >= limit || spent {
            tally.refused += 1;
            let (policy, wait) = if spent {
                let resets = day.as_ref().map_or(portal_now, |(day, _)| day.resets_at);
                ("DAILY", resets - portal_now)
            } else {
                let wait = window.0.front().map_or(0, |at| at + bucket.length() - now);
                let policy = if bucket == Bucket::Search {
                    "SECONDLY"
                } else {
                    "TEN_SECONDLY_ROLLING"
                };
                (policy, wait)
            };
            let mut answer = Answer::json(429, &refusal(policy, portal, caller.service_key));
            let told = told(
                limits,
                caller,
                bucket,
                limit.saturating_sub(used),
                limit,
                day,
            );
            answer.headers.extend(told.headers());
            if limits.is_some_and(|l| l.retry_after) {
                let seconds = (wait + SECOND - 1) / SECOND;
                answer
                    .headers
                    .push(("retry-after", seconds.max(1).to_string()));
            }
            return Err(answer);
        }
        window.0.push_back(now);
        let mut day = day;
        if let Some((day, _)) = &mut day {
            day.used += 1;
        }
        tally.accepted += 1;
        *tally.bins.entry(now.div_euclid(BIN)).or_default() += 1;
        tally.peak = tally.peak.max(used + 1);
        if bucket == Bucket::General {
            self.peak = self.peak.max(used + 1);
        }
        Ok(told(limits, caller, bucket, limit - used - 1, limit, day))
    }

    /// The daily count of service keys: how many are used up, and when the day turns.
    pub(crate) fn set_day(&mut self, used: Option<u64>, resets_at: Option<i64>, portal_now: i64) {
        self.day.turn(portal_now);
        if let Some(used) = used {
            self.day.used = used;
        }
        if let Some(at) = resets_at {
            self.day.resets_at = at;
        }
    }

    /// What is known of the day.
    pub(crate) fn day(&mut self, portal_now: i64) -> Value {
        self.day.turn(portal_now);
        json!({"used": self.day.used, "resets_at_ms": self.day.resets_at})
    }

    /// Counts begin anew; the windows stay as they are.
    pub(crate) fn forget(&mut self) {
        self.tallies.clear();
        self.peak = 0;
    }

    /// Per app and bucket: accepted, refused, the fullest window; within a span the share of the
    /// allowance that was used. The edges of the span are rounded to tenths of a second.
    pub(crate) fn usage(&self, limits: Option<&Limits>, span: Option<(i64, i64)>) -> Value {
        let mut apps = json!({});
        for (app, buckets) in &self.tallies {
            let mut of_app = json!({});
            for (bucket, tally) in buckets {
                let peak = match bucket {
                    Bucket::Search => "peak_second",
                    _ => "peak_ten_seconds",
                };
                let mut of_bucket = json!({
                    "accepted": tally.accepted, "refused": tally.refused, peak: tally.peak,
                });
                let limit = limits.map(|l| bucket.limit(l, tally.service_key));
                if let Some(limit) = limit.filter(|l| *l < u32::MAX) {
                    of_bucket["limit"] = json!(limit);
                }
                if let Some((from, to)) = span {
                    let (first, end) = (from.div_euclid(BIN), to.div_euclid(BIN));
                    let within: u64 = if first < end {
                        tally
                            .bins
                            .range(first..end)
                            .map(|(_, n)| u64::from(*n))
                            .sum()
                    } else {
                        0
                    };
                    of_bucket["accepted_in_span"] = json!(within);
                    if let Some(limit) = limit.filter(|l| *l < u32::MAX && first < end) {
                        let windows = ((end - first) * BIN) as f64 / bucket.length() as f64;
                        let allowance = f64::from(limit) * windows;
                        of_bucket["allowance_in_span"] = json!(allowance);
                        of_bucket["share"] = json!(within as f64 / allowance);
                    }
                }
                of_app[bucket.as_str()] = of_bucket;
            }
            apps[app.as_str()] = of_app;
        }
        apps
    }
}

/// What the headers say.
fn told(
    limits: Option<&Limits>,
    caller: Caller<'_>,
    bucket: Bucket,
    remaining: u32,
    limit: u32,
    day: Option<(&mut Day, Option<u64>)>,
) -> Counted {
    let Some(limits) = limits else {
        return Counted::default();
    };
    match bucket {
        Bucket::General => Counted {
            ten_secondly: Some((limit, remaining)),
            daily: day
                .filter(|_| caller.service_key)
                .map(|(day, _)| (limits.daily, limits.daily.saturating_sub(day.used))),
        },
        Bucket::Associations if limits.association_headers => Counted {
            ten_secondly: Some((limit, remaining)),
            daily: None,
        },
        _ => Counted::default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const APP: Caller<'_> = Caller {
        app: "a",
        service_key: false,
    };
    const KEY: Caller<'_> = Caller {
        app: "k",
        service_key: true,
    };

    fn count(windows: &mut Windows, caller: Caller<'_>, bucket: Bucket, now: i64) -> u16 {
        match windows.count(Some(&Limits::default()), caller, 1, bucket, now, now) {
            Ok(_) => 200,
            Err(answer) => answer.status,
        }
    }

    #[test]
    fn each_app_has_ten_seconds_of_its_own_and_all_share_search() {
        let mut windows = Windows::default();
        for _ in 0..110 {
            assert_eq!(count(&mut windows, APP, Bucket::General, 5), 200);
        }
        assert_eq!(count(&mut windows, APP, Bucket::General, 10_004), 429);
        assert_eq!(count(&mut windows, KEY, Bucket::General, 10_004), 200);
        assert_eq!(count(&mut windows, APP, Bucket::General, 10_005), 200);
        for n in 0..5 {
            let caller = if n % 2 == 0 { APP } else { KEY };
            assert_eq!(count(&mut windows, caller, Bucket::Search, 20_000), 200);
        }
        assert_eq!(count(&mut windows, APP, Bucket::Search, 20_999), 429);
        assert_eq!(count(&mut windows, APP, Bucket::Search, 21_000), 200);
    }

    #[test]
    fn the_day_of_service_keys_turns_at_midnight_of_the_account() {
        let mut windows = Windows::default();
        let noon = 1_767_268_800_000; // 2026-01-01T12:00:00Z
        windows.set_day(Some(624_999), None, noon);
        assert_eq!(count(&mut windows, KEY, Bucket::General, noon), 200);
        assert_eq!(count(&mut windows, KEY, Bucket::General, noon), 429);
        assert_eq!(count(&mut windows, KEY, Bucket::Search, noon), 429);
        assert_eq!(count(&mut windows, APP, Bucket::General, noon), 200);
        let midnight = noon + 17 * 3_600_000;
        assert_eq!(count(&mut windows, KEY, Bucket::General, midnight - 1), 429);
        assert_eq!(count(&mut windows, KEY, Bucket::General, midnight), 200);
    }

    #[test]
    fn shares_are_of_a_span() {
        let mut windows = Windows::default();
        for n in 0..110 {
            count(&mut windows, APP, Bucket::General, 1_000_000 + n * 90);
        }
        let usage = windows.usage(Some(&Limits::default()), Some((1_000_000, 1_020_000)));
        assert_eq!(usage["a"]["general"]["accepted_in_span"], 110);
        assert_eq!(usage["a"]["general"]["share"], 0.5);
        assert_eq!(usage["a"]["general"]["peak_ten_seconds"], 110);
    }

    proptest! {
        /// Whatever comes when, no ten seconds hold more than the limit, and nobody is refused who
        /// could have been let in.
        #[test]
        fn windows_are_exact(steps in prop::collection::vec(0_i64..400, 1..600)) {
            let mut windows = Windows::default();
            let mut accepted: Vec<i64> = Vec::new();
            let mut now = 0;
            for step in steps {
                now += step;
                let within = accepted.iter().filter(|at| **at > now - 10_000).count();
                let status = count(&mut windows, APP, Bucket::General, now);
                prop_assert_eq!(status == 200, within < 110);
                if status == 200 {
                    accepted.push(now);
                }
            }
        }
    }
}
