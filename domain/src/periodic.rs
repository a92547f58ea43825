//! What a periodic sync reads, from which moment on, and when a type counts as stale (I2, I4, X10).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    WorkspaceId,
    ids::{ObjectType, SyncType},
    resync::INDEX_LAG_OVERLAP,
    settings::{ActivityContext, ImportSettings},
};

/// How often a type is read over the long window: what the index showed later than
/// [`INDEX_LAG_OVERLAP`] allows for is found then, and what is too dear for every run is read then.
pub const SLOW_SWEEP_EVERY: TimeDelta = TimeDelta::hours(1);

/// How far the long window reaches back. Rows that did not change cost no write, so what it costs is a
/// request for each two hundred records that changed within a day.
pub const SLOW_SWEEP_WINDOW: TimeDelta = TimeDelta::hours(24);

/// How far at most a window reaches back to the last change that was seen, where that lies before the
/// start of the last reading: an index that stands still shows nothing meanwhile. Bounded, as otherwise
/// a quiet portal would read its last import again and again.
pub const STALL_REACH: TimeDelta = TimeDelta::minutes(15);

/// So many intervals without a reading that came to its end are an alarm.
pub const STALE_AFTER_INTERVALS: u32 = 3;

/// Property definitions are read whole with the slow sweep only; in between one type's a run.
const DEFINITIONS_EVERY: Duration = Duration::from_secs(60 * 60);

/// Members of a list whose size did not move are read again after this long.
const MEMBERS_EVERY: TimeDelta = TimeDelta::hours(6);

/// Members of a list beyond [`BIG_LIST`] are read at most so often.
const BIG_LIST_EVERY: TimeDelta = TimeDelta::hours(1);

/// How long a reading waits of which something was not answered the first time; each time twice as long.
const AGAIN_FIRST: Duration = Duration::from_secs(15);

/// A list whose members take more than forty requests.
const BIG_LIST: u64 = 10_000;

/// The lower bound of the next reading, by HubSpot's clock.
///
/// `began` is when the last reading that came to its end had begun, `seen` the newest last-modified
/// that it saw, `slow` whether the long window is due.
pub fn read_from(began: DateTime<Utc>, seen: Option<DateTime<Utc>>, slow: bool) -> DateTime<Utc> {
    let seen = seen.unwrap_or(began).max(began - STALL_REACH);
    let usual = began.min(seen) - INDEX_LAG_OVERLAP;
    if slow {
        usual.min(began - SLOW_SWEEP_WINDOW)
    } else {
        usual
    }
}

/// What a run of the periodic sync reads, in this order. With the toggle off (I4) what exports need;
/// engagements where the workspace reads them (I10).
pub fn types(import: &ImportSettings, context: &ActivityContext) -> Vec<SyncType> {
    SyncType::ALL
        .into_iter()
        .filter(|t| import.enabled || !is_import(*t))
        .filter(|t| *t != SyncType::Engagements || context.engagements)
        .collect()
}

/// Whether the toggle "Import your HubSpot data" is about this type (I4).
pub const fn is_import(sync_type: SyncType) -> bool {
    match sync_type {
        SyncType::Owners | SyncType::Properties | SyncType::Pipelines => false,
        SyncType::Contacts
        | SyncType::Companies
        | SyncType::Deals
        | SyncType::Lists
        | SyncType::Engagements => true,
    }
}

/// The time between two runs.
pub const fn interval(import: &ImportSettings) -> Duration {
    Duration::from_secs(import.interval_minutes as u64 * 60)
}

/// How often a type is read to its end, where a run comes every `interval`.
pub fn every(sync_type: SyncType, interval: Duration) -> Duration {
    match sync_type {
        SyncType::Properties => interval.max(DEFINITIONS_EVERY),
        _ => interval,
    }
}

/// How long a reading waits of which something was not answered for the n-th time (from 1 on) before it is
/// asked again; none where the next run of the schedule is as soon.
pub fn again_after(times: u32, interval: Duration) -> Option<Duration> {
    let wait = AGAIN_FIRST.saturating_mul(1 << times.saturating_sub(1).min(16));
    (wait < interval).then_some(wait)
}

/// So many known records have to be missing, all of them, before it is an alarm: a few may have been archived
/// since.
pub const NONE_OF: u64 = 10;

/// What a reading saw of the records that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sight {
    /// Whether it saw any record.
    pub saw: bool,
    /// Whether it was one over the long window.
    pub slow: bool,
    /// How many records it should have seen; counted where it saw none.
    pub known: u64,
}

/// What follows from what a reading saw. Never that anything is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Some: all is well.
    Some,
    /// None of so many: somebody should look, and the reading does not count.
    NoneOf(u64),
    /// Nothing can be said.
    Unknown,
}

/// What follows from what a reading saw. A reading over the usual window often has nothing to see.
pub const fn seen(sight: &Sight) -> Seen {
    if sight.saw {
        Seen::Some
    } else if sight.slow && sight.known >= NONE_OF {
        Seen::NoneOf(sight.known)
    } else {
        Seen::Unknown
    }
}

/// When within an interval a workspace's runs begin: spread by a hash of its id, which is the same on
/// every machine and for ever (FNV-1a).
pub fn phase(workspace: WorkspaceId, interval: Duration) -> Duration {
    let hash = workspace
        .as_uuid()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    Duration::from_secs(hash % interval.as_secs().max(1))
}

/// Whose property definitions a run reads that is not a slow sweep: one type after the other.
pub const fn definitions_turn(reading: u64) -> ObjectType {
    ObjectType::MIRRORED[(reading % ObjectType::MIRRORED.len() as u64) as usize]
}

/// What is known of the members of a list that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownMembers {
    /// Members, by HubSpot's count now.
    pub size: Option<u64>,
    /// The same when they were read.
    pub size_then: Option<u64>,
    /// How long ago they were read whole; none: never.
    pub age: Option<TimeDelta>,
    /// Whether it is known where those begin who join now.
    pub tail: bool,
}

/// What of the members of a list is to be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembersDue {
    /// Nothing.
    Nothing,
    /// Those who joined since: who left shows with the next whole reading.
    Tail,
    /// All of them.
    Whole,
}

/// Whether a list is so long that its members are read in the order in which they joined.
pub fn is_huge(size: Option<u64>) -> bool {
    size.unwrap_or(0) > BIG_LIST
}

/// What of the members of a list is to be read now.
pub fn members_due(known: &KnownMembers) -> MembersDue {
    let Some(age) = known.age else {
        return MembersDue::Whole;
    };
    let moved = known.size != known.size_then;
    let huge = is_huge(known.size);
    let whole = match (moved, huge) {
        (true, false) => true,
        (true, true) => age >= BIG_LIST_EVERY,
        (false, _) => age >= MEMBERS_EVERY,
    };
    if whole {
        MembersDue::Whole
    } else if moved && known.tail {
        MembersDue::Tail
    } else {
        MembersDue::Nothing
    }
}

/// Whether a type counts as stale whose last reading that came to its end began so long ago.
pub fn is_stale(age: TimeDelta, every: Duration) -> bool {
    age.to_std().unwrap_or_default() > every * STALE_AFTER_INTERVALS
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn at(secs: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(1_800_000_000 + secs, 0).unwrap()
    }

    #[test]
    fn the_window_begins_before_the_last_reading_did() {
        for (seen, slow, from) in [
            (None, false, -120),
            (Some(30), false, -120),
            (Some(-60), false, -180),
            (Some(-100_000), false, -900 - 120),
            (None, true, -86_400),
            (Some(-100_000), true, -86_400),
        ] {
            assert_eq!(
                read_from(at(0), seen.map(at), slow),
                at(from),
                "{seen:?} {slow}"
            );
        }
    }

    #[test]
    fn the_toggle_leaves_what_exports_need() {
        let off = ImportSettings {
            enabled: false,
            ..ImportSettings::default()
        };
        let without = ActivityContext::default();
        let with = ActivityContext {
            engagements: true,
            ..without.clone()
        };
        for context in [&without, &with] {
            assert_eq!(
                types(&off, context),
                [SyncType::Owners, SyncType::Properties, SyncType::Pipelines]
            );
        }
        let on = ImportSettings::default();
        assert_eq!(types(&on, &without), SyncType::OF_RUNS);
        assert_eq!(types(&on, &with), SyncType::ALL);
    }

    #[test]
    fn definitions_are_stale_later() {
        let ten = Duration::from_secs(600);
        for (sync_type, minutes, stale) in [
            (SyncType::Contacts, 30, false),
            (SyncType::Contacts, 31, true),
            (SyncType::Properties, 31, false),
            (SyncType::Properties, 181, true),
        ] {
            let is = is_stale(TimeDelta::minutes(minutes), every(sync_type, ten));
            assert_eq!(is, stale, "{sync_type} {minutes}");
        }
        // A clock that was set back is no alarm.
        assert!(!is_stale(TimeDelta::minutes(-5), ten));
    }

    #[test]
    fn members_are_read_when_the_size_moved_and_now_and_then() {
        let known = |size, size_then, hours: Option<i64>, tail| KnownMembers {
            size: Some(size),
            size_then: Some(size_then),
            age: hours.map(TimeDelta::hours),
            tail,
        };
        use MembersDue::{Nothing, Tail, Whole};
        for (of, due) in [
            (known(5, 5, None, false), Whole),
            (known(5, 5, Some(0), false), Nothing),
            (known(5, 4, Some(0), true), Whole),
            (known(5, 5, Some(6), false), Whole),
            (known(20_000, 19_999, Some(0), false), Nothing),
            (known(20_000, 19_999, Some(0), true), Tail),
            (known(20_000, 20_000, Some(0), true), Nothing),
            (known(20_000, 19_999, Some(1), true), Whole),
            (known(20_000, 20_000, Some(6), true), Whole),
            (known(20_000, 19_999, None, true), Whole),
        ] {
            assert_eq!(members_due(&of), due, "{of:?}");
        }
        assert!(!is_huge(None) && !is_huge(Some(10_000)) && is_huge(Some(10_001)));
    }

    #[test]
    fn none_of_many_is_an_alarm_and_none_of_a_few_is_not() {
        for (saw, slow, known, wanted) in [
            (true, true, 0, Seen::Some),
            (true, false, 50, Seen::Some),
            (false, true, 9, Seen::Unknown),
            (false, true, 10, Seen::NoneOf(10)),
            (false, false, 10, Seen::Unknown),
            (false, true, 0, Seen::Unknown),
        ] {
            assert_eq!(
                seen(&Sight { saw, slow, known }),
                wanted,
                "{saw} {slow} {known}"
            );
        }
    }

    #[test]
    fn workspaces_spread() {
        let interval = Duration::from_secs(600);
        let mut minutes = [0_u32; 10];
        for n in 0..10_000_u128 {
            let phase = phase(WorkspaceId::new(Uuid::from_u128(n)), interval);
            assert!(phase < interval);
            minutes[(phase.as_secs() / 60) as usize] += 1;
        }
        assert!(
            minutes.iter().all(|n| (800..1_200).contains(n)),
            "{minutes:?}"
        );
    }

    #[test]
    fn a_phase_is_the_same_for_ever() {
        let workspace =
            WorkspaceId::new(Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057));
        assert_eq!(
            phase(workspace, Duration::from_secs(600)),
            phase(workspace, Duration::from_secs(600))
        );
        assert_eq!(phase(workspace, Duration::ZERO), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn nothing_between_two_readings_is_left_out(began in 0i64..100_000, seen in proptest::option::of(-100_000i64..200_000), slow: bool) {
            let from = read_from(at(began), seen.map(at), slow);
            prop_assert!(from <= at(began) - INDEX_LAG_OVERLAP);
            prop_assert!(from >= at(began) - SLOW_SWEEP_WINDOW);
            if slow { prop_assert_eq!(from, at(began) - SLOW_SWEEP_WINDOW); }
        }

        #[test]
        fn every_type_has_its_turn(reading: u64) {
            let turns: std::collections::BTreeSet<_> = (0..3)
                .map(|n| definitions_turn(reading.wrapping_add(2 * n)))
                .collect();
            // The wrap of the counter, once in an eternity, may repeat one.
            prop_assert!(turns.len() == 3 || reading > u64::MAX - 6);
        }
    }
}
