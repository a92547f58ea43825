use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

fn id(n: i64) -> HubSpotObjectId {
    HubSpotObjectId::new(n).unwrap()
}

fn range(after: Option<i64>, upto: Option<i64>) -> IdRange {
    IdRange::new(after.map(id), upto.map(id)).unwrap()
}

#[test]
fn a_range_begins_behind_its_bound_and_ends_with_it() {
    let some = range(Some(10), Some(20));
    for (n, within) in [(10, false), (11, true), (20, true), (21, false)] {
        assert_eq!(some.contains(id(n)), within, "{n}");
    }
    assert!(IdRange::WHOLE.contains(id(0)) && IdRange::WHOLE.contains(id(i64::MAX)));
    assert_eq!(IdRange::new(Some(id(5)), Some(id(5))), None);
}

#[test]
fn a_split_leaves_something_on_both_sides() {
    let some = range(Some(10), Some(20));
    assert_eq!(
        some.split(id(15)),
        Some((range(Some(10), Some(15)), range(Some(15), Some(20))))
    );
    assert_eq!(some.split(id(10)), None);
    assert_eq!(some.split(id(20)), None);
    assert_eq!(some.split(id(99)), None);
    let (lower, upper) = IdRange::WHOLE.split(id(7)).unwrap();
    assert_eq!((lower, upper), (range(None, Some(7)), range(Some(7), None)));
}

#[test]
fn where_a_page_ends_its_range() {
    let some = range(Some(10), Some(20));
    let ids = |all: &[i64]| all.iter().copied().map(id).collect::<Vec<_>>();
    for (page, more, finished) in [
        (vec![11, 12], true, false),
        (vec![11, 12], false, true),
        (vec![19, 20], true, true),
        (vec![19, 25], true, true),
        (vec![25, 26], true, true),
        (vec![], true, false),
        (vec![], false, true),
    ] {
        let cut = cut(some, Some(id(10)), &ids(&page), more);
        assert_eq!((cut.by_id, cut.finished), (true, finished), "{page:?}");
    }
}

#[test]
fn a_list_that_does_not_go_by_id_is_noticed() {
    let some = range(Some(10), Some(20));
    // An inclusive place is fine, one before it is not.
    assert!(cut(some, Some(id(10)), &[id(10), id(11)], true).by_id);
    assert!(!cut(some, Some(id(10)), &[id(1), id(2)], true).by_id);
    assert!(!cut(some, None, &[id(12), id(11)], true).by_id);
    assert!(!cut(some, None, &[id(12), id(12)], true).by_id);
}

#[test]
fn small_types_have_one_reader() {
    let sharing = Sharing::default();
    let one = Crew {
        list: 1,
        search: false,
    };
    assert_eq!(sharing.crew(None), one);
    assert_eq!(sharing.crew(Some(SPLIT_FROM - 1)), one);
    assert_eq!(
        sharing.crew(Some(SPLIT_FROM)),
        Crew {
            list: LIST_READERS,
            search: true
        }
    );
    let unlimited = Sharing {
        search: false,
        list_readers: 0,
        ..sharing
    };
    assert_eq!(unlimited.crew(Some(SPLIT_FROM)), one);
}

#[test]
fn the_names_of_readers_are_read_back() {
    for reader in RangeReader::ALL {
        assert_eq!(reader.as_str().parse(), Ok(reader));
    }
    assert!("other".parse::<RangeReader>().is_err());
}

/// Finds a split among real ids; how many counts it took.
fn find(ids: &BTreeSet<i64>) -> (Option<SplitAt>, u32) {
    let last = id(*ids.last().unwrap());
    let mut search = SplitSearch::new(None, last, ids.len() as u64);
    let mut counts = 0;
    loop {
        match search.step() {
            SplitStep::Count(upto) => {
                counts += 1;
                search.counted(ids.range(..=upto.get()).count() as u64);
            }
            SplitStep::Split(at) => return (Some(at), counts),
            SplitStep::GiveUp => return (None, counts),
        }
    }
}

#[test]
fn the_middle_of_common_portals_takes_few_counts() {
    let dense: BTreeSet<i64> = (1_000..11_000).collect();
    // A portal that is new: all ids are large.
    let late: BTreeSet<i64> = (0..10_000).map(|n| 40_000_000_000 + n * 7).collect();
    // An old one: most ids are small, the others are large.
    let old: BTreeSet<i64> = (1..9_000)
        .chain((0..1_000).map(|n| 150_000_000_000 + n * 1_000))
        .collect();
    for (ids, most) in [(dense, 1), (late, 12), (old, 11)] {
        let (split, counts) = find(&ids);
        let split = split.unwrap();
        let lower = ids.range(..=split.at.get()).count() as u64;
        assert_eq!(
            (split.lower, split.upper),
            (lower, 10_000.min(ids.len() as u64) - lower)
        );
        assert!(counts <= most, "{counts} counts");
    }
}

proptest! {
    #[test]
    fn a_split_is_found_within_few_counts_or_not_at_all(ids in proptest::collection::btree_set(1..1_000_000_000_000_i64, 1..200)) {
        let (split, counts) = find(&ids);
        prop_assert!(counts <= SplitSearch::MAX_PROBES);
        if let Some(split) = split {
            prop_assert!(split.lower > 0 && split.upper > 0);
            prop_assert_eq!(split.lower + split.upper, ids.len() as u64);
            prop_assert!(split.at < id(*ids.last().unwrap()));
        }
    }
}

/// What a range of the model has behind it.
#[derive(Debug)]
struct Modelled {
    range: IdRange,
    reader: RangeReader,
    position: Option<HubSpotObjectId>,
    finished: bool,
}

/// What happens next to one of the ranges.
#[derive(Debug, Clone)]
enum Move {
    /// Reads a page of so many records; `true` as search does, where the range was not begun.
    Page(Index, usize, bool),
    /// Splits at an id that is about there.
    Split(Index, i64),
    /// A record is created, with a larger id than all before.
    Created,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (any::<Index>(), 1..7_usize, any::<bool>()).prop_map(|(i, n, s)| Move::Page(i, n, s)),
        2 => (any::<Index>(), 0..100_i64).prop_map(|(i, at)| Move::Split(i, at)),
        1 => Just(Move::Created),
    ];
    vec(one, 0..120)
}

/// A list as HubSpot has it: up to `limit` ids from `place` on, and the next place. With
/// `next_is_last` the place is the last id of a page, else the first of the next.
fn page(
    all: &BTreeSet<i64>,
    place: Option<HubSpotObjectId>,
    limit: usize,
    next_is_last: bool,
) -> (Vec<HubSpotObjectId>, Option<HubSpotObjectId>) {
    let from = place.map_or(0, |p| p.get() + i64::from(next_is_last));
    let ids: Vec<_> = all.range(from..).take(limit).copied().map(id).collect();
    let next = all.range(from..).nth(limit).copied().map(id);
    let next = next.and_then(|n| {
        if next_is_last {
            ids.last().copied()
        } else {
            Some(n)
        }
    });
    (ids, next)
}

struct Model {
    ids: BTreeSet<i64>,
    /// What the index of search knows.
    indexed: BTreeSet<i64>,
    ranges: Vec<Modelled>,
    read: BTreeMap<i64, u32>,
    listed_again: BTreeMap<i64, u32>,
    next_is_last: bool,
}

impl Model {
    fn read_page(&mut self, which: usize, limit: usize, search: bool) {
        let one = &mut self.ranges[which];
        if one.finished {
            return;
        }
        if search && one.reader == RangeReader::List && one.position.is_none() {
            one.reader = RangeReader::Search;
        }
        let asked = one.position.or(one.range.after());
        let (ids, next) = if one.reader == RangeReader::Search {
            // By keyset: beyond the last id, within the range.
            page(&self.indexed, asked, limit, true)
        } else {
            page(&self.ids, asked, limit, self.next_is_last)
        };
        let cut = cut(one.range, asked, &ids, next.is_some());
        assert!(cut.by_id);
        for id in ids.iter().filter(|id| one.range.contains(**id)) {
            let counts = if one.reader == RangeReader::Relist {
                &mut self.listed_again
            } else {
                &mut self.read
            };
            *counts.entry(id.get()).or_default() += 1;
        }
        one.position = next;
        if cut.finished {
            one.position = None;
            match one.reader.next() {
                Some(next) => one.reader = next,
                None => one.finished = true,
            }
        }
    }

    fn split(&mut self, which: usize, at: i64) {
        let one = &mut self.ranges[which];
        // Only beyond what was read, as a reader does at a page border.
        if one.finished || one.position.is_some_and(|p| at <= p.get()) {
            return;
        }
        if let Some((lower, upper)) = one.range.split(id(at)) {
            // The upper part of what search has read half-way is new to it.
            let reader = match one.reader {
                RangeReader::Search => RangeReader::List,
                same => same,
            };
            one.range = lower;
            self.ranges.push(Modelled {
                range: upper,
                reader,
                position: None,
                finished: false,
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any interleaving of pages, splits and new records reads each record once; what search read is
    /// listed again once.
    #[test]
    fn ranges_cover_every_id_exactly_once(
        ids in proptest::collection::btree_set(1..100_i64, 0..60),
        unindexed in any::<u64>(),
        moves in moves(),
        next_is_last in any::<bool>(),
    ) {
        let indexed = ids.iter().copied().filter(|i| unindexed >> (i % 64) & 1 == 0).collect();
        let mut model = Model {
            ids,
            indexed,
            ranges: vec![Modelled {
                range: IdRange::WHOLE,
                reader: RangeReader::List,
                position: None,
                finished: false,
            }],
            read: BTreeMap::new(),
            listed_again: BTreeMap::new(),
            next_is_last,
        };
        let mut created = 1_000;
        for one in moves {
            match one {
                Move::Page(which, limit, search) => {
                    let which = which.index(model.ranges.len());
                    model.read_page(which, limit, search);
                }
                Move::Split(which, at) => {
                    let which = which.index(model.ranges.len());
                    model.split(which, at);
                }
                // Whoever comes after the end of everything is read by the next run.
                Move::Created if model.ranges.iter().all(|r| r.finished || r.range.upto().is_some()) => {}
                Move::Created => {
                    created += 1;
                    model.ids.insert(created);
                }
            }
        }
        while let Some(which) = model.ranges.iter().position(|r| !r.finished) {
            model.read_page(which, 5, false);
        }
        let found: BTreeSet<i64> = model.read.keys().chain(model.listed_again.keys()).copied().collect();
        prop_assert_eq!(&found, &model.ids);
        prop_assert!(model.read.values().all(|n| *n == 1), "{:?}", model.read);
        prop_assert!(model.listed_again.values().all(|n| *n == 1), "{:?}", model.listed_again);
        for id in &model.ids {
            prop_assert!(
                model.ranges.iter().filter(|r| r.range.contains(HubSpotObjectId::new(*id).unwrap())).count() == 1
            );
        }
    }
}
