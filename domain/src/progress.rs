//! Progress of reading one object type, its rate and the time left (I1).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::SyncType;

/// How far the reading of one object type is. Counts only, fit for payloads and logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// What is read.
    pub object_type: SyncType,
    /// Records committed by this run.
    pub done: u64,
    /// Records to expect, when HubSpot said so beforehand. More may come.
    pub total: Option<u64>,
    /// Records that could not be stored, with a reason each.
    pub quarantined: u64,
    /// Whether the reader reached the end.
    pub finished: bool,
}

impl Progress {
    /// Nothing read yet.
    pub const fn none(object_type: SyncType) -> Self {
        Self {
            object_type,
            done: 0,
            total: None,
            quarantined: 0,
            finished: false,
        }
    }
}

/// Speed since a run began to read a type.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rate {
    /// Records per second; 0 while nothing can be said.
    pub per_second: f64,
    /// Seconds until the end at this speed, when a total is known and the end not reached.
    pub eta_seconds: Option<u64>,
}

impl Rate {
    /// The average from `began` to `until`: the present, or the time of the last commit once the
    /// type is finished.
    pub fn of(progress: &Progress, began: Option<DateTime<Utc>>, until: DateTime<Utc>) -> Self {
        let seconds = began.map_or(0.0, |began| {
            (until - began).num_milliseconds().max(0) as f64 / 1000.0
        });
        let per_second = if seconds > 0.0 {
            progress.done as f64 / seconds
        } else {
            0.0
        };
        let eta_seconds = match progress.total {
            Some(total) if !progress.finished && per_second > 0.0 => {
                let left = total.saturating_sub(progress.done) as f64;
                Some((left / per_second).ceil() as u64)
            }
            _ => None,
        };
        Self {
            per_second,
            eta_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone as _};
    use proptest::prelude::*;

    use super::*;

    fn began() -> DateTime<Utc> {
        Utc.timestamp_opt(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn rate_and_time_left() {
        let mut progress = Progress::none(SyncType::Contacts);
        progress.done = 500;
        progress.total = Some(2_000);
        let rate = Rate::of(&progress, Some(began()), began() + TimeDelta::seconds(5));
        assert_eq!(rate.per_second, 100.0);
        assert_eq!(rate.eta_seconds, Some(15));

        progress.finished = true;
        let rate = Rate::of(&progress, Some(began()), began() + TimeDelta::seconds(5));
        assert_eq!(rate.eta_seconds, None);
    }

    proptest! {
        #[test]
        fn never_a_nan_nor_a_negative_rate(done in 0u64..u64::MAX / 2, total in proptest::option::of(any::<u64>()), ms in -10_000i64..10_000_000) {
            let progress = Progress { done, total, ..Progress::none(SyncType::Deals) };
            let rate = Rate::of(&progress, Some(began()), began() + TimeDelta::milliseconds(ms));
            prop_assert!(rate.per_second.is_finite() && rate.per_second >= 0.0);
            if ms <= 0 { prop_assert_eq!(rate.per_second, 0.0); }
        }
    }
}
