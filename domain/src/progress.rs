//! Progress of reading one object type, its rate and the time left (I1).

use chrono::{DateTime, TimeDelta, Utc};
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

/// What is under way and has not moved for this long makes no progress. Longer than one answer of
/// HubSpot's may take, with its repetitions.
pub const NO_PROGRESS_AFTER: TimeDelta = TimeDelta::minutes(10);

/// For how many minutes what is under way has not moved; none while that is no reason to look. Both
/// moments by one clock.
pub fn no_progress_minutes(moved_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<u64> {
    let still = now - moved_at;
    (still >= NO_PROGRESS_AFTER).then(|| u64::try_from(still.num_minutes()).unwrap_or(0))
}

/// Records to expect, as shown: more may come than were counted at the start, as people go on working.
pub const fn total_as_shown(done: u64, total: Option<u64>) -> Option<u64> {
    match total {
        Some(total) if total < done => Some(done),
        other => other,
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
    use chrono::TimeZone as _;
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

    #[test]
    fn what_does_not_move_is_told_after_a_while() {
        for (seconds, minutes) in [
            (-5, None),
            (0, None),
            (599, None),
            (600, Some(10)),
            (3_659, Some(60)),
        ] {
            let now = began() + TimeDelta::seconds(seconds);
            assert_eq!(no_progress_minutes(began(), now), minutes, "{seconds} s");
        }
    }

    proptest! {
        #[test]
        fn done_is_never_beyond_the_total_that_is_shown(done: u64, total: Option<u64>) {
            let shown = total_as_shown(done, total);
            prop_assert_eq!(shown.is_some(), total.is_some());
            prop_assert!(shown.is_none_or(|shown| shown >= done && Some(shown) >= total));
        }

        #[test]
        fn never_a_nan_nor_a_negative_rate(done in 0u64..u64::MAX / 2, total in proptest::option::of(any::<u64>()), ms in -10_000i64..10_000_000) {
            let progress = Progress { done, total, ..Progress::none(SyncType::Deals) };
            let rate = Rate::of(&progress, Some(began()), began() + TimeDelta::milliseconds(ms));
            prop_assert!(rate.per_second.is_finite() && rate.per_second >= 0.0);
            if ms <= 0 { prop_assert_eq!(rate.per_second, 0.0); }
        }
    }
}
