//! Reconciliation (I3): what is asked of HubSpot because nothing else tells of it, and when.
//!
//! Archiving, merging, erasing and changes of associations move no last-modified. So all records that
//! are known are asked for one after the other, slowly, and the recycle bins are listed.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    backfill::associations_read_with, ids::ObjectType, outcome::Purpose, settings::ImportSettings,
};

/// Records that are asked for in one request.
pub const BATCH: u64 = 100;
/// Between two looks at what is due.
pub const LOOK_AGAIN: TimeDelta = TimeDelta::minutes(10);
/// The recycle bins are listed so often while all records are walked through once.
const LISTINGS_A_WALK: i32 = 7;
/// The shortest time between two listings.
const SHORTEST: TimeDelta = TimeDelta::hours(1);

/// One of the ways in which the mirror is compared with HubSpot.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
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
pub enum PassKind {
    /// Records of which another one's change tells that something of them changed as well.
    Reread,
    /// The recycle bin, as it is listed.
    Archived,
    /// All records that are known, in the order of their ids.
    Walk,
}

crate::named::named!(PassKind, "pass");

impl PassKind {
    /// The cursor that it moves.
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::Reread => Purpose::Reread,
            Self::Archived => Purpose::Archived,
            Self::Walk => Purpose::Walk,
        }
    }
}

/// How often a workspace's portal is compared with its mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    walk: TimeDelta,
}

impl Cadence {
    /// As the settings say.
    pub fn of(settings: &ImportSettings) -> Self {
        let hours = settings.reconcile_hours.clamp(
            *ImportSettings::RECONCILE.start(),
            *ImportSettings::RECONCILE.end(),
        );
        Self {
            walk: TimeDelta::hours(i64::from(hours)),
        }
    }

    /// The time from one beginning of a pass to the next.
    pub fn every(self, kind: PassKind) -> TimeDelta {
        match kind {
            PassKind::Reread => TimeDelta::zero(),
            PassKind::Archived => (self.walk / LISTINGS_A_WALK).max(SHORTEST),
            PassKind::Walk => self.walk,
        }
    }
}

/// A pass as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// Records that it has passed.
    pub done: u64,
    /// Records that it had to pass when it began.
    pub total: u64,
    /// Whether it came to its end, or HubSpot refused it.
    pub ended: bool,
    /// Whether something of it was not answered, or refused.
    pub incomplete: bool,
    /// The requests that it took so far.
    pub spent: Cost,
}

/// What is known of a type of records before it is decided what is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeState {
    /// Which type.
    pub object_type: ObjectType,
    /// When its last whole reading began, if it came to its end: that one has seen all records.
    pub read_whole_at: Option<DateTime<Utc>>,
    /// Whether any reading of it ever came to its end. Before that there is nothing to compare.
    pub ever_read: bool,
    /// Whether records wait to be read again.
    pub rereads: bool,
    /// The passes, newest of each kind.
    pub passes: Vec<(PassKind, Pass)>,
}

impl TypeState {
    fn pass(&self, kind: PassKind) -> Option<Pass> {
        self.passes
            .iter()
            .find(|(known, _)| *known == kind)
            .map(|(_, pass)| *pass)
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// A new pass; how much of it is due is decided when it has begun.
    Begin,
    /// The pass under way, until it has passed so many records; none: to its end.
    GoOn {
        /// Records passed since the pass began.
        upto: Option<u64>,
    },
    /// Nothing before this moment.
    Later(DateTime<Utc>),
}

/// When a pass of a type is due. `asked_at` is when somebody asked for everything at once.
pub fn due(
    kind: PassKind,
    state: &TypeState,
    cadence: Cadence,
    asked_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Due {
    let every = cadence.every(kind);
    let never = Due::Later(now + cadence.every(PassKind::Archived));
    if !state.ever_read {
        return never;
    }
    let pass = state.pass(kind);
    if kind == PassKind::Reread {
        return match pass {
            Some(pass) if !pass.ended => Due::GoOn { upto: None },
            // What was not answered is asked for again, but not at once.
            Some(pass) if state.rereads && pass.incomplete && now - pass.began_at < LOOK_AGAIN => {
                Due::Later(pass.began_at + LOOK_AGAIN)
            }
            _ if state.rereads => Due::Begin,
            _ => never,
        };
    }
    let asked = asked_at.filter(|asked| pass.is_none_or(|pass| pass.began_at < *asked));
    if asked.is_some() {
        return Due::Begin;
    }
    match pass {
        Some(pass) if !pass.ended => {
            if kind == PassKind::Archived || asked_at.is_some() {
                return Due::GoOn { upto: None };
            }
            let upto = share(pass.total, now - pass.began_at, every);
            if upto >= pass.total {
                Due::GoOn { upto: None }
            } else if upto.saturating_sub(pass.done) >= BATCH {
                Due::GoOn { upto: Some(upto) }
            } else {
                Due::Later(pass.began_at + reached(pass.done + BATCH, pass.total, every))
            }
        }
        pass => {
            let last = pass.map(|pass| pass.began_at).max(state.read_whole_at);
            match last {
                Some(last) if now < last + every => Due::Later(last + every),
                _ => Due::Begin,
            }
        }
    }
}

/// Of so many records those that are due when so much of the time is over.
fn share(total: u64, elapsed: TimeDelta, every: TimeDelta) -> u64 {
    let all = u128::try_from(every.num_seconds()).unwrap_or(1).max(1);
    let elapsed = u128::try_from(elapsed.num_seconds()).unwrap_or(0);
    u64::try_from(u128::from(total) * elapsed / all).unwrap_or(u64::MAX)
}

/// How long after the beginning so many records are due.
fn reached(records: u64, total: u64, every: TimeDelta) -> TimeDelta {
    let all = u128::try_from(every.num_seconds()).unwrap_or(1);
    let after = u128::from(records.min(total)) * all / u128::from(total.max(1));
    TimeDelta::seconds(i64::try_from(after).unwrap_or(i64::MAX / 1_000) + 1).min(every)
}

/// What a portal needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This pass of this type.
    Read {
        /// Which kind.
        kind: PassKind,
        /// Of which type.
        object_type: ObjectType,
        /// Whether it is a new one.
        begin: bool,
        /// Until it has passed so many records; none: to its end.
        upto: Option<u64>,
    },
    /// Nothing before this moment.
    Wait(DateTime<Utc>),
}

/// What a portal needs next. What another change told of comes first, then the recycle bins.
pub fn next(
    types: &[TypeState],
    cadence: Cadence,
    asked_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Next {
    let mut wait = now + cadence.every(PassKind::Archived);
    for kind in PassKind::ALL {
        for state in types {
            let (begin, upto) = match due(kind, state, cadence, asked_at, now) {
                Due::Begin => (true, None),
                Due::GoOn { upto } => (false, upto),
                Due::Later(at) => {
                    wait = wait.min(at);
                    continue;
                }
            };
            return Next::Read {
                kind,
                object_type: state.object_type,
                begin,
                upto,
            };
        }
    }
    Next::Wait(wait.max(now + LOOK_AGAIN))
}

/// Requests that something costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Cost {
    /// Of the allowance of ten seconds.
    pub general: u64,
    /// Of the allowance for associations.
    pub associations: u64,
}

impl Cost {
    /// The cost of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            general: self.general + other.general,
            associations: self.associations + other.associations,
        }
    }
}

/// What it costs to compare so many records of a type once, and to list so many in its recycle bin
/// as often as that is due meanwhile, as long as nothing differs.
pub fn cost_of_a_walk(object_type: ObjectType, known: u64, archived: u64) -> Cost {
    let batches = known.div_ceil(BATCH);
    let listings = archived.div_ceil(BATCH).max(1) * u64::from(LISTINGS_A_WALK.unsigned_abs());
    Cost {
        general: batches + listings,
        associations: batches * associations_read_with(object_type).len() as u64,
    }
}

/// What the setting costs, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReconcileCost {
    /// The hours in which every record is compared once, by the settings.
    pub every_hours: u32,
    /// Requests that this takes, by what is known now and as long as nothing differs.
    pub expected: Cost,
    /// Requests that the newest passes took so far: of the walk under way, or the last one, and of the
    /// newest listings of the recycle bins.
    pub measured: Cost,
    /// Records that the newest walks have compared so far.
    pub compared: u64,
    /// Records that they had to compare when they began.
    pub known: u64,
}

/// What the setting costs and what was measured. `known` are records of a type, for those of which no pass
/// has begun.
pub fn measured(
    types: &[TypeState],
    every_hours: u32,
    known: impl Fn(ObjectType) -> u64,
) -> ReconcileCost {
    let passes = || types.iter().flat_map(|state| &state.passes);
    let walks = || passes().filter(|(kind, _)| *kind == PassKind::Walk);
    ReconcileCost {
        every_hours,
        expected: types.iter().fold(Cost::default(), |sum, state| {
            let walk = state.pass(PassKind::Walk).map(|pass| pass.total);
            let archived = state.pass(PassKind::Archived).map_or(0, |pass| pass.total);
            let all = walk.unwrap_or_else(|| known(state.object_type));
            sum.and(cost_of_a_walk(state.object_type, all, archived))
        }),
        measured: passes().fold(Cost::default(), |sum, (_, pass)| sum.and(pass.spent)),
        compared: walks().map(|(_, pass)| pass.done).sum(),
        known: walks().map(|(_, pass)| pass.total).sum(),
    }
}

/// What a walk through all types costs, by what was known when the passes under way began.
pub fn cost(types: &[TypeState]) -> Cost {
    types.iter().fold(Cost::default(), |sum, state| {
        let total = |kind| state.pass(kind).map_or(0, |pass| pass.total);
        sum.and(cost_of_a_walk(
            state.object_type,
            total(PassKind::Walk),
            total(PassKind::Archived),
        ))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    const HOUR: i64 = 3_600;

    fn weekly() -> Cadence {
        Cadence::of(&ImportSettings::default())
    }

    fn state(passes: Vec<(PassKind, Pass)>) -> TypeState {
        TypeState {
            object_type: ObjectType::Contact,
            read_whole_at: None,
            ever_read: true,
            rereads: false,
            passes,
        }
    }

    fn pass(began: i64, done: u64, total: u64, ended: bool) -> Pass {
        Pass {
            began_at: at(began),
            done,
            total,
            ended,
            incomplete: false,
            spent: Cost::default(),
        }
    }

    #[test]
    fn a_walk_is_spread_over_its_time() {
        let week = 7 * 24 * HOUR;
        for (done, elapsed, due_now) in [
            (0, 0, Due::Later(at(week / 100 + 1))),
            (0, week / 100 + 1, Due::GoOn { upto: Some(100) }),
            (100, week / 100 + 1, Due::Later(at(2 * week / 100 + 1))),
            (100, week / 2, Due::GoOn { upto: Some(5_000) }),
            (5_000, week, Due::GoOn { upto: None }),
        ] {
            let state = state(vec![(PassKind::Walk, pass(0, done, 10_000, false))]);
            assert_eq!(
                due(PassKind::Walk, &state, weekly(), None, at(elapsed)),
                due_now,
                "{done} after {elapsed} s"
            );
        }
    }

    #[test]
    fn a_pass_begins_when_the_last_one_or_a_whole_reading_is_so_long_ago() {
        let day = 24 * HOUR;
        for (kind, read_whole, last, now, due_now) in [
            (
                PassKind::Archived,
                Some(0),
                None,
                day - 1,
                Due::Later(at(day)),
            ),
            (PassKind::Archived, Some(0), None, day, Due::Begin),
            (PassKind::Archived, None, None, 0, Due::Begin),
            (
                PassKind::Archived,
                Some(0),
                Some(day),
                2 * day - 1,
                Due::Later(at(2 * day)),
            ),
            (PassKind::Archived, Some(0), Some(day), 2 * day, Due::Begin),
            (
                PassKind::Walk,
                Some(0),
                None,
                7 * day - 1,
                Due::Later(at(7 * day)),
            ),
            (
                PassKind::Walk,
                Some(day),
                Some(0),
                7 * day,
                Due::Later(at(8 * day)),
            ),
        ] {
            let mut state = state(
                last.map(|l| (kind, pass(l, 5, 5, true)))
                    .into_iter()
                    .collect(),
            );
            state.read_whole_at = read_whole.map(at);
            assert_eq!(
                due(kind, &state, weekly(), None, at(now)),
                due_now,
                "{kind} at {now}"
            );
        }
    }

    #[test]
    fn what_was_never_read_is_not_compared_and_what_was_asked_for_is_due_at_once() {
        let mut fresh = state(Vec::new());
        fresh.ever_read = false;
        fresh.rereads = true;
        assert!(matches!(
            next(&[fresh], weekly(), Some(at(0)), at(0)),
            Next::Wait(_)
        ));

        let asked = Some(at(10));
        let of = |p: Pass| {
            due(
                PassKind::Walk,
                &state(vec![(PassKind::Walk, p)]),
                weekly(),
                asked,
                at(20),
            )
        };
        assert_eq!(of(pass(0, 50, 500, false)), Due::Begin);
        assert_eq!(of(pass(11, 50, 500, false)), Due::GoOn { upto: None });
        assert!(matches!(of(pass(11, 50, 500, true)), Due::Later(_)));
    }

    #[test]
    fn what_another_change_told_of_comes_first() {
        let mut both = state(Vec::new());
        both.rereads = true;
        let read = |kind| Next::Read {
            kind,
            object_type: ObjectType::Contact,
            begin: true,
            upto: None,
        };
        assert_eq!(
            next(&[both.clone()], weekly(), None, at(0)),
            read(PassKind::Reread)
        );
        // What was not answered is not asked for again at once.
        both.passes.push((PassKind::Reread, pass(0, 0, 1, true)));
        assert_eq!(
            next(&[both.clone()], weekly(), None, at(0)),
            read(PassKind::Reread)
        );
        both.passes[0].1.incomplete = true;
        assert_eq!(
            next(&[both], weekly(), None, at(0)),
            read(PassKind::Archived)
        );
    }

    #[test]
    fn a_walk_costs_a_request_for_each_hundred_and_one_for_each_kind_of_associations() {
        for (object_type, known, archived, general, associations) in [
            (
                ObjectType::Contact,
                1_000_000,
                20_000,
                10_000 + 1_400,
                10_000,
            ),
            (ObjectType::Company, 2_050, 0, 21 + 7, 0),
            (ObjectType::Deal, 100, 0, 1 + 7, 2),
            (ObjectType::Deal, 0, 0, 7, 0),
        ] {
            assert_eq!(
                cost_of_a_walk(object_type, known, archived),
                Cost {
                    general,
                    associations
                }
            );
        }
    }

    #[test]
    fn what_was_measured_stands_beside_what_is_expected() {
        let cost = |general, associations| Cost {
            general,
            associations,
        };
        let spent = |began, done, total, spent| Pass {
            spent,
            ..pass(began, done, total, false)
        };
        let types = [
            state(vec![
                (PassKind::Walk, spent(0, 300, 1_000, cost(3, 4))),
                (PassKind::Archived, spent(0, 5, 200, cost(2, 0))),
            ]),
            TypeState {
                object_type: ObjectType::Deal,
                ..state(Vec::new())
            },
        ];
        let found = measured(&types, 168, |_| 250);
        assert_eq!(
            found,
            ReconcileCost {
                every_hours: 168,
                expected: cost(10 + 2 * 7 + 3 + 7, 10 + 2 * 3),
                measured: cost(5, 4),
                compared: 300,
                known: 1_000,
            }
        );
        assert_eq!(measured(&[], 1, |_| 0).expected, Cost::default());
    }

    proptest! {
        /// Whoever looks whenever it is said that something is due has passed everything when the time
        /// is over, and never more than is due and a batch.
        #[test]
        fn a_walk_ends_in_time(total in 1u64..3_000_000, hours in 1u32..=720) {
            let settings = ImportSettings { reconcile_hours: hours, ..ImportSettings::default() };
            let cadence = Cadence::of(&settings);
            let every = cadence.every(PassKind::Walk);
            let (mut now, mut done, mut looks) = (at(0), 0, 0);
            loop {
                let state = state(vec![(PassKind::Walk, pass(0, done, total, false))]);
                match due(PassKind::Walk, &state, cadence, None, now) {
                    Due::GoOn { upto: Some(upto) } => {
                        prop_assert!(upto > done && upto < total);
                        done = upto;
                    }
                    Due::GoOn { upto: None } => break,
                    Due::Later(at) => {
                        prop_assert!(at > now, "time goes on");
                        now = at.max(now + LOOK_AGAIN);
                    }
                    Due::Begin => return Err(TestCaseError::fail("it has begun")),
                }
                looks += 1;
                prop_assert!(looks < 20_000);
            }
            prop_assert!(now - at(0) <= every + LOOK_AGAIN);
        }
    }
}
