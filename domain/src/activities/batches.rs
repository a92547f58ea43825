//! Which writes of several timelines go in one request (E8): HubSpot's batch endpoints take one type each.

use std::collections::BTreeMap;

/// Writes that go in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<K> {
    /// Of which kind they all are.
    pub kind: K,
    /// Each by whose timeline it is, and its place in that.
    pub writes: Vec<(usize, usize)>,
}

/// Puts writes of several timelines into requests of one kind and at most `most` each. Those of one timeline
/// stay in their order. As people of a campaign are written to in the same steps, what comes next is that of
/// which most is to be had.
pub fn batches<K: Copy + Ord>(timelines: &[Vec<K>], most: usize) -> Vec<Batch<K>> {
    let most = most.max(1);
    let mut done: Vec<usize> = vec![0; timelines.len()];
    let mut all = Vec::new();
    loop {
        let next = |of: usize, from: usize| timelines[of].get(from).copied();
        let mut had: BTreeMap<K, usize> = BTreeMap::new();
        for (of, from) in done.iter().enumerate() {
            if let Some(kind) = next(of, *from) {
                let run = timelines[of][*from..].iter().take_while(|k| **k == kind);
                *had.entry(kind).or_default() += run.count();
            }
        }
        // The first of those of which there is as much: the order of kinds decides.
        let Some(kind) = had
            .iter()
            .rev()
            .max_by_key(|(_, n)| **n)
            .map(|(kind, _)| *kind)
        else {
            return all;
        };
        let mut writes = Vec::new();
        for (of, from) in done.iter_mut().enumerate() {
            while writes.len() < most && next(of, *from) == Some(kind) {
                writes.push((of, *from));
                *from += 1;
            }
        }
        all.push(Batch { kind, writes });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_in_the_same_steps_share_their_requests() {
        let steps = vec![vec!['e', 'm', 'c']; 150];
        let all = batches(&steps, 100);
        let sizes: Vec<(char, usize)> = all.iter().map(|b| (b.kind, b.writes.len())).collect();
        assert_eq!(
            sizes,
            [
                ('e', 100),
                ('m', 100),
                ('c', 100),
                ('e', 50),
                ('m', 50),
                ('c', 50)
            ]
        );
    }

    #[test]
    fn what_one_has_many_of_goes_in_one_request() {
        let all = batches(&[vec![1, 1, 1, 2], vec![], vec![1, 2]], 100);
        let want = [
            Batch {
                kind: 1,
                writes: vec![(0, 0), (0, 1), (0, 2), (2, 0)],
            },
            Batch {
                kind: 2,
                writes: vec![(0, 3), (2, 1)],
            },
        ];
        assert_eq!(all, want);
        assert_eq!(batches::<u8>(&[], 100), []);
    }

    proptest! {
        #[test]
        fn each_write_is_in_one_request_and_a_timeline_in_its_order(
            timelines in prop::collection::vec(prop::collection::vec(0..4u8, 0..8), 0..30),
            most in 1..12usize,
        ) {
            let mut next = vec![0; timelines.len()];
            for batch in batches(&timelines, most) {
                prop_assert!(!batch.writes.is_empty() && batch.writes.len() <= most);
                for (of, place) in batch.writes {
                    prop_assert_eq!(timelines[of][place], batch.kind);
                    prop_assert_eq!(place, next[of]);
                    next[of] += 1;
                }
            }
            let all: Vec<usize> = timelines.iter().map(Vec::len).collect();
            prop_assert_eq!(next, all);
        }
    }
}
