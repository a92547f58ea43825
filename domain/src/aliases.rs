//! Where ids lead that were merged away (I3).
//!
//! HubSpot makes a new record of two that are merged, or keeps the primary one; either way ids are left
//! that lead to the record that lives. That one may be merged again, so aliases are chains.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::HubSpotObjectId;

/// Ids that were merged away, and the record that each was merged into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases(BTreeMap<HubSpotObjectId, HubSpotObjectId>);

impl FromIterator<(HubSpotObjectId, HubSpotObjectId)> for Aliases {
    fn from_iter<I: IntoIterator<Item = (HubSpotObjectId, HubSpotObjectId)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Aliases {
    /// The record that an id leads to: itself, where it was not merged away. `None` where it leads in
    /// a circle: then nothing is known.
    pub fn living(&self, id: HubSpotObjectId) -> Option<HubSpotObjectId> {
        let mut seen = BTreeSet::from([id]);
        let mut at = id;
        while let Some(next) = self.0.get(&at) {
            if !seen.insert(*next) {
                return None;
            }
            at = *next;
        }
        Some(at)
    }

    /// What is to be written when these merges come to be known as well: each id that was merged away
    /// with the record that lives at the end of its chain, also of ids that were known before and now
    /// lead further. What leads in a circle is left as it is.
    pub fn with(
        &self,
        merges: impl IntoIterator<Item = (HubSpotObjectId, HubSpotObjectId)>,
    ) -> Vec<(HubSpotObjectId, HubSpotObjectId)> {
        let mut all = self.clone();
        for (old, into) in merges {
            if old != into {
                all.0.insert(old, into);
            }
        }
        all.0
            .keys()
            .filter_map(|old| {
                let living = all.living(*old)?;
                (self.0.get(old) != Some(&living)).then_some((*old, living))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: i64) -> HubSpotObjectId {
        HubSpotObjectId::new(n).unwrap()
    }

    fn pairs(all: &[(i64, i64)]) -> Vec<(HubSpotObjectId, HubSpotObjectId)> {
        all.iter().map(|(a, b)| (id(*a), id(*b))).collect()
    }

    #[test]
    fn chains_are_followed_to_their_end() {
        for (known, merges, written) in [
            // Into a new record.
            (
                vec![],
                vec![(1, 3), (2, 3)],
                vec![(1, Some(3)), (2, Some(3))],
            ),
            // The primary keeps its id.
            (vec![], vec![(2, 1)], vec![(2, Some(1))]),
            // A → B was known; B goes into C: A leads to C.
            (vec![(1, 2)], vec![(2, 3)], vec![(1, Some(3)), (2, Some(3))]),
            // What came late leads to where it leads today.
            (vec![(2, 3)], vec![(1, 2)], vec![(1, Some(3))]),
            // Known already.
            (vec![(1, 2)], vec![(1, 2)], vec![]),
            // A record is not merged into itself.
            (vec![], vec![(1, 1)], vec![]),
            // A circle says nothing; what lies beside it does.
            (vec![(1, 2)], vec![(2, 1), (4, 5)], vec![(4, Some(5))]),
        ] {
            let known: Aliases = pairs(&known).into_iter().collect();
            let written: Vec<_> = written
                .into_iter()
                .map(|(old, living)| (id(old), id(living.unwrap())))
                .collect();
            assert_eq!(known.with(pairs(&merges)), written, "{merges:?}");
        }
    }

    proptest! {
        #[test]
        fn every_chain_ends(
            known in proptest::collection::vec((0i64..12, 0i64..12), 0..14),
            merges in proptest::collection::vec((0i64..12, 0i64..12), 0..14),
            asked in 0i64..12,
        ) {
            let known: Aliases = pairs(&known).into_iter().collect();
            let written = known.with(pairs(&merges));
            // As they are stored afterwards: no chain has more than one step, but for what was known
            // and is a circle.
            let mut stored = known.clone();
            for (old, living) in &written {
                prop_assert_ne!(old, living);
                stored.0.insert(*old, *living);
            }
            for (_, living) in &written {
                prop_assert!(written.iter().all(|(old, _)| old != living), "{:?}", written);
            }
            // Counted out step by step: either it ends within as many steps as there are ids, or never.
            let mut at = id(asked);
            for _ in 0..=12 {
                at = stored.0.get(&at).copied().unwrap_or(at);
            }
            let ended = !stored.0.contains_key(&at);
            prop_assert_eq!(stored.living(id(asked)), ended.then_some(at));
        }

        #[test]
        fn merges_without_circles_lead_where_they_lead_one_by_one(
            parents in proptest::collection::vec(any::<proptest::sample::Index>(), 1..20),
            order in any::<u64>(),
        ) {
            // Each id is merged into a greater one or lives: no circles. The order in which that
            // becomes known does not matter.
            let n = parents.len();
            let edges: Vec<(i64, i64)> = parents
                .iter()
                .enumerate()
                .filter_map(|(from, to)| {
                    let to = from + to.index(n - from);
                    (to != from).then_some((from as i64, to as i64))
                })
                .collect();
            let mut shuffled = edges.clone();
            shuffled.sort_by_key(|(a, b)| (*a as u64).wrapping_mul(order | 1) ^ (*b as u64));
            let mut stored = Aliases::default();
            for edge in pairs(&shuffled) {
                for (old, living) in stored.with([edge]) {
                    stored.0.insert(old, living);
                }
            }
            for start in 0..n as i64 {
                let mut end = start;
                while let Some((_, to)) = edges.iter().find(|(from, _)| *from == end) {
                    end = *to;
                }
                prop_assert_eq!(stored.living(id(start)), Some(id(end)));
            }
        }
    }
}
