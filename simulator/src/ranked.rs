//! A sorted set that knows the rank of its keys: what the search index counts and pages by.

use std::ops::Bound;

/// Keys in a piece, before it is split.
const FULL: usize = 2_048;

/// Sorted keys in pieces.
#[derive(Debug, Clone)]
pub(crate) struct Ranked<K> {
    pieces: Vec<Vec<K>>,
    len: usize,
}

impl<K> Default for Ranked<K> {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            len: 0,
        }
    }
}

impl<K: Ord + Copy> Ranked<K> {
    /// How many keys there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The piece where a key is or would be.
    fn piece(&self, key: &K) -> usize {
        self.pieces
            .partition_point(|p| p.last().is_some_and(|last| last < key))
    }

    /// Puts a key in; one that is there stays once.
    pub(crate) fn insert(&mut self, key: K) {
        let mut place = self.piece(&key);
        if place == self.pieces.len() {
            match self.pieces.last() {
                Some(last) if last.len() < FULL => place -= 1,
                // What comes in order fills its pieces to the brim.
                _ => self.pieces.push(Vec::new()),
            }
        }
        let piece = &mut self.pieces[place];
        let Err(at) = piece.binary_search(&key) else {
            return;
        };
        piece.insert(at, key);
        self.len += 1;
        if piece.len() > FULL {
            let rest = piece.split_off(FULL / 2);
            self.pieces.insert(place + 1, rest);
        }
    }

    /// Takes a key away.
    pub(crate) fn remove(&mut self, key: &K) {
        let place = self.piece(key);
        let Some(piece) = self.pieces.get_mut(place) else {
            return;
        };
        if let Ok(at) = piece.binary_search(key) {
            piece.remove(at);
            self.len -= 1;
            if piece.is_empty() {
                self.pieces.remove(place);
            }
        }
    }

    /// How many keys are less than this one.
    pub(crate) fn rank(&self, key: &K) -> usize {
        let place = self.piece(key);
        let before: usize = self.pieces[..place].iter().map(Vec::len).sum();
        before
            + self
                .pieces
                .get(place)
                .map_or(0, |p| p.partition_point(|k| k < key))
    }

    /// The ranks that bounds enclose: the first one and the one behind the last.
    pub(crate) fn span(&self, from: Bound<K>, to: Bound<K>) -> (usize, usize) {
        let behind = |key: &K| {
            let rank = self.rank(key);
            rank + usize::from(self.at(rank) == Some(*key))
        };
        let first = match from {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.rank(&key),
            Bound::Excluded(key) => behind(&key),
        };
        let end = match to {
            Bound::Unbounded => self.len,
            Bound::Included(key) => behind(&key),
            Bound::Excluded(key) => self.rank(&key),
        };
        (first, end.max(first))
    }

    /// The key of a rank.
    pub(crate) fn at(&self, rank: usize) -> Option<K> {
        self.runs(rank, rank + 1)
            .next()
            .and_then(|run| run.first().copied())
    }

    /// The keys of these ranks in order, as runs that lie together.
    pub(crate) fn runs(&self, first: usize, end: usize) -> impl DoubleEndedIterator<Item = &[K]> {
        let mut before = 0;
        let mut runs = Vec::new();
        for piece in &self.pieces {
            let (from, to) = (before, before + piece.len());
            if to > first && from < end {
                runs.push(&piece[first.saturating_sub(from)..(end - from).min(piece.len())]);
            }
            if to >= end {
                break;
            }
            before = to;
        }
        runs.into_iter()
    }

    /// The keys of these ranks in order.
    pub(crate) fn keys(&self, first: usize, end: usize) -> impl DoubleEndedIterator<Item = K> {
        self.runs(first, end).flat_map(|run| run.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn many_keys_in_order_and_backwards() {
        for backwards in [false, true] {
            let mut ranked = Ranked::default();
            for n in 0..10_000_u64 {
                ranked.insert(if backwards { 9_999 - n } else { n });
            }
            assert_eq!(ranked.len(), 10_000);
            assert_eq!(ranked.rank(&7_000), 7_000);
            assert_eq!(ranked.at(9_999), Some(9_999));
            assert_eq!(ranked.at(10_000), None);
            let back: Vec<u64> = ranked.keys(2_040, 2_060).rev().collect();
            assert_eq!(back, (2_040..2_060).rev().collect::<Vec<_>>());
        }
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_set(
            steps in prop::collection::vec((any::<bool>(), 0_u16..6_000), 0..8_000),
            from in 0_u16..6_000,
            to in 0_u16..6_000,
        ) {
            let mut ranked = Ranked::default();
            let mut set = BTreeSet::new();
            for (there, key) in steps {
                if there {
                    ranked.insert(key);
                    set.insert(key);
                } else {
                    ranked.remove(&key);
                    set.remove(&key);
                }
            }
            prop_assert_eq!(ranked.len(), set.len());
            prop_assert_eq!(ranked.rank(&from), set.range(..from).count());
            let bounds = (Bound::Excluded(from), Bound::Included(to));
            let (first, end) = ranked.span(bounds.0, bounds.1);
            let expected: Vec<u16> = if from < to {
                set.range((bounds.0, bounds.1)).copied().collect()
            } else {
                Vec::new()
            };
            prop_assert_eq!(ranked.keys(first, end).collect::<Vec<_>>(), expected);
        }
    }
}
