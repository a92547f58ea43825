//! The rate budget that all processes share: which request may leave when, so that no window of
//! HubSpot's ever holds more than its limit (X3, design §4.10).
//!
//! Each (app, portal, bucket) has one line of *slots*. A slot is a moment at which one request may
//! leave; slots are so far apart that any window, seen with the delays of a network, holds fewer than
//! the limit. A lease takes the next few slots. [`Line::lease`] is the rule; the store does the same
//! in one statement, and its tests compare the two.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ids::IdError, urgency::Urgency};

/// A second in the unit of [`SlotTime`].
pub const SECOND: i64 = 1_000_000;

/// Most of a lease is gone this long after it: the slots of a lease lie within it. Together with
/// [`SLOT_GOOD_FOR`] it is below a second, so a lease never outlives a fence by a second (C4).
pub const LEASE_REACHES: i64 = 740_000;

/// How long after its moment a slot may still be used. What is not used by then expires.
pub const SLOT_GOOD_FOR: i64 = 120_000;

/// HubSpot's ten-second window, and how much later than planned a request may arrive: what a slot may
/// be late ([`SLOT_GOOD_FOR`]) and 180 ms for a network whose delay varies.
const TEN_SECONDS: i64 = 10 * SECOND + SLOT_GOOD_FOR + 180_000;

/// Search is counted by the second. Four slots in 1.02 s are 255 ms apart: five of them need more than
/// a second also when the first comes 250 ms late.
const SEARCH_SECOND: i64 = 1_020_000;

/// What a service key is allowed in ten seconds at least (Free and Starter, `hubspot-api.md` §4).
pub const SERVICE_KEY_LIMIT: u32 = 100;
/// What a marketplace app is allowed in ten seconds.
pub const OAUTH_LIMIT: u32 = 110;

/// Below this limit there is no slot out of line: one request would be too large a part.
pub const OUT_OF_LINE_FROM: i64 = 20;
/// Slots out of line are at least this far apart, and one slot of the line besides.
pub const OUT_OF_LINE_EVERY: i64 = SECOND;

/// Who is earlier than this for its turn takes another one: the turns have run away from the line, as
/// after a pause.
pub const EARLY: i64 = 200_000;

/// So much after the first moment at which it may, a process in turn comes again.
pub const SOONEST: i64 = 5_000;

/// What others use is believed for one window.
pub const FOREIGN_IS_GOOD_FOR: i64 = 10 * SECOND;
/// Requests that arrive in another order, or late, look like a few foreign ones.
const FOREIGN_NOISE: u32 = 4;
/// While others use the window too, so many requests are kept free: what they send until we hear of it.
const FOREIGN_ROOM: u32 = 12;

/// A moment by the database's clock, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SlotTime(i64);

impl SlotTime {
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// How long after `earlier`, in microseconds; negative when it is before.
    pub const fn micros_after(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    const fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

/// Which app HubSpot counts: a digest of the OAuth client id, or the kind of a service key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AppKey(String);

impl AppKey {
    /// The app of a service key. HubSpot counts each key apart; taken as one they stay below.
    pub fn service_key() -> Self {
        Self("service-key".to_owned())
    }

    /// The app of this digest.
    ///
    /// # Errors
    /// [`IdError::Malformed`] when it is not of 1 to 64 letters, digits and dashes.
    pub fn new(digest: impl Into<String>) -> Result<Self, IdError> {
        let digest = digest.into();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if digest.is_empty() || digest.len() > 64 || !digest.bytes().all(plain) {
            return Err(IdError::Malformed {
                kind: "AppKey",
                expected: "1 to 64 letters, digits and dashes",
            });
        }
        Ok(Self(digest))
    }

    /// As it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// HubSpot counts these apart (`hubspot-api.md` §4).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum BudgetBucket {
    /// The ten-second window.
    General,
    /// Search, by the second, shared with the customer's other apps.
    Search,
    /// The associations API, ten seconds of its own.
    Associations,
}

crate::named::named!(BudgetBucket, "bucket of the rate budget");

impl BudgetBucket {
    /// How slots lie in this bucket.
    pub const fn spacing(self) -> Spacing {
        match self {
            Self::General | Self::Associations => Spacing {
                window: TEN_SECONDS,
                left_to_others: 0,
                out_of_line: matches!(self, Self::General),
                low_percent: 100,
            },
            // Of the five, one is the customer's other apps', and sync and backfill take three of the
            // four that are ours.
            Self::Search => Spacing {
                window: SEARCH_SECOND,
                left_to_others: 1,
                out_of_line: false,
                low_percent: 133,
            },
        }
    }

    /// The limit as long as HubSpot has not said another.
    pub const fn usual_limit(self, general: u32) -> u32 {
        match self {
            Self::General => general,
            Self::Search => 5,
            Self::Associations => 100,
        }
    }
}

impl Urgency {
    /// How far ahead the next slot may be for a lease to begin. What lies beyond is the reserve of the
    /// classes above: they reach further, so they are always served first.
    pub const fn reach(self) -> Reach {
        match self {
            Self::Interactive => Reach::new(540_000, 740_000, 740_000),
            Self::Activity => Reach::new(440_000, 500_000, 540_000),
            Self::Sync => Reach::new(360_000, 400_000, 440_000),
            Self::Backfill => Reach::new(170_000, 200_000, 340_000),
        }
    }
}

/// How far ahead the next slot may be when a class leases, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Whoever waits for a turn comes when the next slot should be this far ahead.
    pub turn: i64,
    /// For whoever comes by chance.
    pub by_chance: i64,
    /// For whoever comes in turn: the line may be a little ahead of the turns. It takes fewer slots
    /// then, and more when the line lags behind, so the two keep together.
    pub in_turn: i64,
}

impl Reach {
    const fn new(turn: i64, by_chance: i64, in_turn: i64) -> Self {
        Self {
            turn,
            by_chance,
            in_turn,
        }
    }
}

/// Why a line stands still.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum PauseReason {
    /// HubSpot answered 429: somebody else used what we thought was ours.
    RateLimited,
    /// The account's requests of the day are used up.
    DailyLimit,
}

crate::named::named!(PauseReason, "reason of a pause");

/// How slots lie in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spacing {
    /// HubSpot's window and the slack, in microseconds.
    pub window: i64,
    /// Requests of each window that are the customer's other apps'.
    pub left_to_others: u32,
    /// Whether an interactive request may leave at once, out of line.
    pub out_of_line: bool,
    /// How much further apart than others the slots of sync and backfill are.
    pub low_percent: i64,
}

impl Spacing {
    /// How far apart slots are, in microseconds, under this limit while others use `foreign` of it.
    ///
    /// Less than `window / n` apart would let `n + 1` slots into a window; this is just more.
    pub fn between(&self, limit: u32, foreign: u32) -> i64 {
        let limit = i64::from(limit);
        let kept = i64::from(self.out_of_line && limit >= OUT_OF_LINE_FROM);
        let ours = limit - i64::from(self.left_to_others) - kept - i64::from(foreign);
        // Never nothing: HubSpot's answers are the only way to learn that there is more again.
        self.window / ours.max(limit / 20).max(1) + 1
    }
}

/// What a process wants of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseAsk {
    /// For what.
    pub urgency: Urgency,
    /// So many slots; fewer may come.
    pub want: u32,
    /// Whether this is the turn that an earlier lease gave.
    pub in_turn: bool,
    /// How long the process would wait for its next turn, in microseconds.
    pub patience: i64,
    /// An upper bound of the operator's.
    pub upper: Option<u32>,
    /// The limit as long as HubSpot has not said another.
    pub usual: u32,
    /// What HubSpot says the limit is, when it is news.
    pub limit_seen: Option<u32>,
    /// What others use of the window, when it is news; see [`foreign_use`].
    pub foreign: Option<u32>,
}

/// What a process gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaseGrant {
    /// When requests may leave, the earliest first.
    pub slots: Vec<SlotTime>,
    /// When to ask again for what is missing; none when nothing is.
    pub come_back: Option<ComeBack>,
}

/// When to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComeBack {
    /// Not before.
    pub at: SlotTime,
    /// Whether that is a turn, which nobody else got. It is none when it is further away than the
    /// process would wait.
    pub is_turn: bool,
}

/// The line of one bucket: the row of the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// The next slot is not before.
    pub next_at: SlotTime,
    /// The next slot for sync and backfill is not before.
    pub low_next_at: SlotTime,
    /// The next slot out of line is not before.
    pub out_of_line_at: SlotTime,
    /// When the next process that has to wait is asked to come back, by class.
    pub turns: [SlotTime; 4],
    /// What HubSpot said the limit is.
    pub limit_seen: Option<u32>,
    /// What others use of the window.
    pub foreign: u32,
    /// When that was seen.
    pub foreign_at: SlotTime,
}

impl Line {
    /// Takes slots off the line.
    pub fn lease(&mut self, spacing: Spacing, ask: &LeaseAsk, now: SlotTime) -> LeaseGrant {
        if ask.limit_seen.is_some() {
            self.limit_seen = ask.limit_seen;
        }
        if let Some(foreign) = ask.foreign {
            self.foreign = foreign;
            self.foreign_at = now;
        }
        let known = self.limit_seen.unwrap_or(ask.usual);
        let limit = ask.upper.map_or(known, |upper| upper.min(known));
        let foreign_is_fresh = now.micros_after(self.foreign_at) < FOREIGN_IS_GOOD_FOR;
        let apart = spacing.between(limit, if foreign_is_fresh { self.foreign } else { 0 });
        let low = ask.urgency.is_low();
        let step = if low {
            apart * spacing.low_percent / 100
        } else {
            apart
        };
        let reach = ask.urgency.reach();
        let reaches = if ask.in_turn {
            reach.in_turn
        } else {
            reach.by_chance
        };

        let mut slots = Vec::new();
        let ahead = self.next_at.micros_after(now);
        if spacing.out_of_line
            && ask.urgency == Urgency::Interactive
            && ask.want > 0
            && i64::from(limit) >= OUT_OF_LINE_FROM
            && ahead > 0
            && ahead <= SECOND
            && self.out_of_line_at <= now
        {
            slots.push(now);
            self.out_of_line_at = now.plus(OUT_OF_LINE_EVERY + apart);
            // What left early is missing from the line later.
            self.next_at = self.next_at.plus(apart);
        }
        let missing = i64::from(ask.want) - slots.len() as i64;
        let begin = self.next_for(low, now);
        let count = if begin.micros_after(now) <= reaches {
            missing.min((LEASE_REACHES - begin.micros_after(now)) / step + 1)
        } else {
            0
        };
        if count > 0 {
            slots.extend((0..count).map(|n| begin.plus(n * step)));
            self.next_at = begin.plus((count - 1) * step + apart);
            if low {
                self.low_next_at = begin.plus(count * step);
            }
        }
        // Who comes in turn and gets all that waits will be back: the line is busy.
        let again = if low && ask.in_turn && count > 0 {
            i64::from(ask.want)
        } else {
            0
        };
        let missing = missing - count + again;
        let come_back = (missing > 0).then(|| {
            let free = self.next_for(low, now);
            let due = free.plus(-reach.turn).max(now.plus(1));
            // A little early for its turn: it keeps it. It comes as soon as it may, when it gets fewer slots than it would later: so the line does not run away from
            // the turns.
            let soon = free.plus(SOONEST - reach.in_turn).max(now.plus(1));
            if ask.in_turn && count == 0 && soon.micros_after(now) <= EARLY {
                return ComeBack {
                    at: soon,
                    is_turn: true,
                };
            }
            let turn = &mut self.turns[ask.urgency.index()];
            let at = due.max(*turn);
            let is_turn = at.micros_after(now) <= ask.patience;
            if is_turn {
                let block = missing.min((LEASE_REACHES - reach.turn) / step + 1);
                *turn = at.plus(block * step);
            }
            ComeBack { at, is_turn }
        });
        LeaseGrant { slots, come_back }
    }

    fn next_for(&self, low: bool, now: SlotTime) -> SlotTime {
        let next = self.next_at.max(now);
        if low {
            next.max(self.low_next_at)
        } else {
            next
        }
    }
}

/// What others use of a ten-second window, from one answer of HubSpot's: it said how many requests
/// were left, and `ours` of those counted were ours. As long as others are there, some requests are
/// kept free for what they send until we hear of it.
pub fn foreign_use(limit: u32, remaining: u32, ours: u32) -> u32 {
    let used = limit.saturating_sub(remaining);
    let foreign = used.saturating_sub(ours);
    if foreign <= FOREIGN_NOISE {
        return 0;
    }
    let short = FOREIGN_ROOM.saturating_sub(remaining);
    (foreign + (short * 10).min(foreign * 4)).min(limit)
}

/// How many of `slots` lie in the ten seconds that end with `at`, itself included.
pub fn in_window(slots: &[SlotTime], at: SlotTime) -> u32 {
    let counted = slots
        .iter()
        .filter(|s| **s <= at && at.micros_after(**s) < 10 * SECOND)
        .count();
    u32::try_from(counted).unwrap_or(u32::MAX)
}

/// Until when a used-up day pauses the requests, in seconds since 1970: the account's next midnight,
/// looked at again after an hour at the latest, as the reset may come early or the clock may differ.
/// Just after a midnight HubSpot may still be at the old day.
pub fn daily_pause_until(now: i64, utc_offset: i64) -> i64 {
    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;
    let local = now + utc_offset;
    let midnight = (local.div_euclid(DAY) + 1) * DAY - utc_offset;
    (midnight + 5).min(now + HOUR)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: SlotTime = SlotTime(1_700_000_000 * SECOND);

    fn ask(urgency: Urgency, want: u32) -> LeaseAsk {
        LeaseAsk {
            urgency,
            want,
            in_turn: false,
            patience: 60 * SECOND,
            upper: None,
            usual: OAUTH_LIMIT,
            limit_seen: None,
            foreign: None,
        }
    }

    /// The most arrivals in any window of this length.
    fn fullest(arrivals: &mut [i64], window: i64) -> usize {
        arrivals.sort_unstable();
        let mut from = 0;
        let mut most = 0;
        for (to, at) in arrivals.iter().enumerate() {
            while arrivals[from] <= at - window {
                from += 1;
            }
            most = most.max(to + 1 - from);
        }
        most
    }

    fn urgency() -> impl Strategy<Value = Urgency> {
        prop::sample::select(Urgency::ALL.to_vec())
    }

    proptest! {
        /// Any leases by any number of processes, used at once or as late as may be, arriving late or
        /// not: no ten seconds hold more than the limit.
        #[test]
        fn no_window_holds_more_than_the_limit(
            limit in 1_u32..260,
            leases in prop::collection::vec((0_i64..900_000, urgency(), 0_u32..40), 1..400),
            delays in prop::collection::vec(0_i64..300_000, 64),
        ) {
            let mut line = Line::default();
            let mut now = START;
            let mut arrivals = Vec::new();
            for (n, (pause, urgency, want)) in leases.into_iter().enumerate() {
                now = now.plus(pause);
                let ask = LeaseAsk { usual: limit, ..ask(urgency, want) };
                let grant = line.lease(BudgetBucket::General.spacing(), &ask, now);
                prop_assert!(grant.slots.len() <= want as usize);
                for slot in grant.slots {
                    prop_assert!(slot >= now);
                    prop_assert!(slot.micros_after(now) <= LEASE_REACHES);
                    arrivals.push(slot.as_micros() + delays[(n + arrivals.len()) % delays.len()]);
                }
            }
            prop_assert!(fullest(&mut arrivals, 10 * SECOND) <= limit as usize);
        }

        /// The same by the second, for search.
        #[test]
        fn no_second_holds_more_than_five_searches(
            leases in prop::collection::vec((0_i64..400_000, urgency(), 0_u32..9), 1..300),
            delays in prop::collection::vec(0_i64..250_000, 64),
        ) {
            let mut line = Line::default();
            let mut now = START;
            let (mut arrivals, mut low) = (Vec::new(), Vec::new());
            for (n, (pause, urgency, want)) in leases.into_iter().enumerate() {
                now = now.plus(pause);
                let ask = LeaseAsk { usual: 5, ..ask(urgency, want) };
                for slot in line.lease(BudgetBucket::Search.spacing(), &ask, now).slots {
                    arrivals.push(slot.as_micros() + delays[(n + arrivals.len()) % delays.len()]);
                    if urgency.is_low() {
                        low.push(slot.as_micros());
                    }
                }
            }
            prop_assert!(fullest(&mut arrivals, SECOND) <= 5);
            prop_assert!(fullest(&mut low, SECOND) <= 3);
        }

        /// Two processes never get the same moment, and low classes never reach into what is kept for
        /// those above.
        #[test]
        fn slots_are_apart_and_reserves_are_kept(
            leases in prop::collection::vec((0_i64..200_000, urgency(), 1_u32..20), 2..200),
        ) {
            let spacing = BudgetBucket::General.spacing();
            let apart = spacing.between(OAUTH_LIMIT, 0);
            let mut line = Line::default();
            let mut now = START;
            let mut in_line = Vec::new();
            for (pause, urgency, want) in leases {
                now = now.plus(pause);
                let before = line.next_at;
                let grant = line.lease(spacing, &ask(urgency, want), now);
                for slot in &grant.slots {
                    // All but the one that leaves at once, out of line.
                    if *slot > now || before <= now {
                        in_line.push(*slot);
                    }
                }
                if before.micros_after(now) > urgency.reach().by_chance {
                    prop_assert!(grant.slots.iter().all(|s| *s == now));
                    prop_assert!(grant.slots.is_empty() || urgency == Urgency::Interactive);
                }
                if let Some(back) = grant.come_back {
                    prop_assert!(back.at > now);
                }
            }
            for pair in in_line.windows(2) {
                prop_assert!(pair[1].micros_after(pair[0]) >= apart, "{pair:?}");
            }
        }
    }

    /// Processes that want more than there is come back when they are asked to.
    fn saturate(
        processes: usize,
        seconds: i64,
        interactive_every: i64,
    ) -> (usize, usize, Vec<i64>) {
        let spacing = BudgetBucket::General.spacing();
        let mut line = Line::default();
        let mut back = vec![
            ComeBack {
                at: START,
                is_turn: false
            };
            processes
        ];
        let (mut granted, mut statements) = (0, 0);
        let mut waits = Vec::new();
        let mut someone = START;
        let mut asked: Option<SlotTime> = None;
        let mut now = START;
        while now.micros_after(START) < seconds * SECOND {
            for back in &mut back {
                if back.at <= now {
                    statements += 1;
                    let ask = LeaseAsk {
                        in_turn: back.is_turn,
                        ..ask(Urgency::Backfill, 40)
                    };
                    let grant = line.lease(spacing, &ask, now);
                    granted += grant.slots.len();
                    *back = grant.come_back.unwrap();
                }
            }
            if interactive_every > 0 && someone <= now {
                let since = *asked.get_or_insert(someone);
                statements += 1;
                let grant = line.lease(spacing, &ask(Urgency::Interactive, 1), now);
                granted += grant.slots.len();
                match (grant.slots.first(), grant.come_back) {
                    (Some(slot), _) => {
                        waits.push(slot.micros_after(since));
                        asked = None;
                        someone = someone.plus(interactive_every);
                    }
                    (None, Some(back)) => someone = back.at,
                    (None, None) => unreachable!("something is missing"),
                }
            }
            now = now.plus(5_000);
        }
        (granted, statements, waits)
    }

    #[test]
    fn saturated_it_uses_the_allowance_with_few_statements_and_people_do_not_wait() {
        for (processes, every) in [
            (1, 0),
            (4, 0),
            (16, 0),
            (1, 700_000),
            (16, 700_000),
            (16, 1_000_000),
        ] {
            let (granted, statements, mut waits) = saturate(processes, 120, every);
            let share = granted as f64 / (120.0 * 11.0);
            let per_request = statements as f64 / granted as f64;
            assert!(share > 0.955, "{processes}: {share}");
            assert!(per_request < 0.3, "{processes}: {per_request}");
            waits.sort_unstable();
            if let Some(p95) = waits.get(waits.len() * 95 / 100) {
                assert!(*p95 < SECOND, "{processes}: {p95}");
            }
        }
    }

    #[test]
    fn higher_classes_starve_lower_ones() {
        let spacing = BudgetBucket::General.spacing();
        let mut line = Line::default();
        let mut now = START;
        let mut got = [0; 4];
        for _ in 0..20_000 {
            for urgency in [Urgency::Backfill, Urgency::Sync] {
                let grant = line.lease(spacing, &ask(urgency, 40), now);
                got[urgency.index()] += grant.slots.len();
            }
            now = now.plus(5_000);
        }
        assert!(got[3] < 10, "{got:?}");
        assert!(got[2] > 1_000, "{got:?}");
    }

    #[test]
    fn an_idle_line_gives_a_slot_at_once() {
        for urgency in Urgency::ALL {
            let mut line = Line::default();
            let grant = line.lease(BudgetBucket::General.spacing(), &ask(urgency, 1), START);
            assert_eq!(grant.slots, [START]);
            assert_eq!(grant.come_back, None);
        }
    }

    #[test]
    fn the_operators_bound_and_hubspots_limit_both_hold() {
        let spacing = BudgetBucket::General.spacing();
        let apart = |upper, limit_seen| {
            let mut line = Line::default();
            let ask = LeaseAsk {
                upper,
                limit_seen,
                ..ask(Urgency::Backfill, 2)
            };
            let slots = line.lease(spacing, &ask, START).slots;
            slots[1].micros_after(slots[0])
        };
        assert_eq!(apart(None, None), spacing.between(110, 0));
        assert_eq!(apart(None, Some(190)), spacing.between(190, 0));
        assert_eq!(apart(Some(50), Some(190)), spacing.between(50, 0));
        assert_eq!(apart(Some(150), Some(100)), spacing.between(100, 0));
    }

    #[test]
    fn what_others_use_is_left_to_them_for_one_window() {
        let spacing = BudgetBucket::General.spacing();
        let mut line = Line::default();
        let seen = LeaseAsk {
            foreign: Some(55),
            ..ask(Urgency::Backfill, 2)
        };
        let slots = line.lease(spacing, &seen, START).slots;
        assert_eq!(slots[1].micros_after(slots[0]), spacing.between(110, 55));
        let later = START.plus(10 * SECOND);
        let slots = line.lease(spacing, &ask(Urgency::Backfill, 2), later).slots;
        assert_eq!(slots[1].micros_after(slots[0]), spacing.between(110, 0));
    }

    #[test]
    fn foreign_use_is_what_is_not_ours() {
        assert_eq!(foreign_use(110, 5, 105), 0);
        assert_eq!(foreign_use(110, 3, 104), 0, "noise");
        assert_eq!(foreign_use(110, 50, 10), 50);
        assert_eq!(
            foreign_use(110, 2, 103),
            5 + 20,
            "a little: a little slower"
        );
        assert_eq!(foreign_use(110, 10, 80), 20 + 20, "little room: slower");
        assert_eq!(foreign_use(110, 0, 0), 110);
        assert_eq!(foreign_use(110, 200, 0), 0);
    }

    #[test]
    fn a_day_ends_at_the_accounts_midnight_or_is_looked_at_again() {
        let midnight = 1_700_006_400; // 2023-11-15T00:00:00Z
        assert_eq!(daily_pause_until(midnight - 600, 0), midnight + 5);
        assert_eq!(daily_pause_until(midnight - 7_200, 0), midnight - 3_600);
        // Five hours behind UTC the day ends at 05:00.
        let end = midnight + 5 * 3_600;
        assert_eq!(daily_pause_until(end - 60, -5 * 3_600), end + 5);
        assert_eq!(daily_pause_until(end + 1, -5 * 3_600), end + 3_601);
    }

    #[test]
    fn an_app_key_is_plain() {
        assert!(AppKey::new("oauth-0a1b").is_ok());
        for bad in ["", "a b", "ä", &"x".repeat(65)] {
            assert!(AppKey::new(bad).is_err(), "{bad}");
        }
    }
}
