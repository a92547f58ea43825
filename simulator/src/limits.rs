//! Rate limits, counted as HubSpot counts them (`hubspot-api.md` §4).

use std::collections::{HashMap, VecDeque};

use serde_json::json;

use crate::{
    answer::{Answer, CORRELATION},
    model::Limits,
};

/// Counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bucket {
    General,
    Search,
    Associations,
    /// Token endpoint, consent page: not counted.
    Free,
}

impl Bucket {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Search => "search",
            Self::Associations => "associations",
            Self::Free => "free",
        }
    }
}

/// Windows per app and bucket.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    windows: HashMap<(String, Bucket), VecDeque<i64>>,
    /// The most requests that any ten seconds of the general bucket held.
    pub(crate) peak: u32,
}

/// What a request was told about its window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    /// `X-HubSpot-RateLimit-Max`, `-Remaining`; none for search.
    pub(crate) headers: Option<(u32, u32)>,
}

impl Windows {
    /// Counts a request in, or refuses it.
    pub(crate) fn count(
        &mut self,
        limits: Option<Limits>,
        app: &str,
        portal: u64,
        bucket: Bucket,
        now: i64,
    ) -> Result<Counted, Answer> {
        let (limit, length, policy, message) = match (limits, bucket) {
            (_, Bucket::Free) => return Ok(Counted::default()),
            (None, _) => (u32::MAX, 10_000, "", ""),
            (Some(l), Bucket::General) => (
                l.ten_secondly,
                10_000,
                "TEN_SECONDLY_ROLLING",
                "You have reached your ten_secondly_rolling limit.",
            ),
            (Some(l), Bucket::Search) => (
                l.search_secondly,
                1_000,
                "SECONDLY",
                "You have reached your secondly limit.",
            ),
            (Some(l), Bucket::Associations) => (
                l.associations_ten_secondly,
                10_000,
                "TEN_SECONDLY_ROLLING",
                "You have reached your ten_secondly_rolling limit.",
            ),
        };
        let window = self.windows.entry((app.to_owned(), bucket)).or_default();
        while window.front().is_some_and(|at| *at <= now - length) {
            window.pop_front();
        }
        let used = window.len() as u32;
        if used >= limit {
            return Err(Answer::json(
                429,
                &json!({
                    "status": "error", "message": message, "errorType": "RATE_LIMIT",
                    "correlationId": CORRELATION, "policyName": policy,
                    "groupName": format!("publicapi:private-apps-api-calls:{portal}"),
                }),
            ));
        }
        window.push_back(now);
        if bucket == Bucket::General {
            self.peak = self.peak.max(used + 1);
        }
        Ok(Counted {
            headers: (limits.is_some() && bucket == Bucket::General)
                .then(|| (limit, limit - used - 1)),
        })
    }
}
