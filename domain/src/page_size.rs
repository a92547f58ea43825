//! How many records a page is asked for (I1): HubSpot answers some large pages with a 500 or not in
//! time, where a smaller one works (`hubspot-api.md` §15.20).

/// Pages that have to come well before a size is doubled again.
const GROW_AFTER: u32 = 8;
/// The most that this becomes, after growing has failed again and again.
const GROW_AFTER_MOST: u32 = 256;

/// The size of a reader's pages: halved where a page fails, doubled again carefully.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    /// None: as many as HubSpot gives.
    limit: Option<u32>,
    well: u32,
    grow_after: u32,
    grew: bool,
}

impl PageSize {
    /// What was remembered; none: as many as HubSpot gives.
    pub const fn new(remembered: Option<u32>) -> Self {
        Self {
            limit: remembered,
            well: 0,
            grow_after: GROW_AFTER,
            grew: false,
        }
    }

    /// What is to be remembered.
    pub const fn remembered(&self) -> Option<u32> {
        self.limit
    }

    /// How many records to ask an endpoint for that gives `most`.
    pub fn of(&self, most: u32) -> u32 {
        self.limit.map_or(most, |limit| limit.clamp(1, most))
    }

    /// A page of `asked` records failed as often as it was worth trying. Whether a smaller one is to
    /// be tried; what another reader has made smaller meanwhile counts.
    pub fn failed(&mut self, asked: u32) -> bool {
        if self.limit.is_some_and(|limit| limit < asked) {
            return true;
        }
        if asked <= 1 {
            return false;
        }
        // Growing was too early: the next time it takes longer.
        if self.grew {
            self.grow_after = (self.grow_after * 2).min(GROW_AFTER_MOST);
        }
        self.limit = Some(asked / 2);
        self.well = 0;
        self.grew = false;
        true
    }

    /// A page of `asked` records came, from an endpoint that gives `most`. Whether the size has grown.
    pub fn went_well(&mut self, asked: u32, most: u32) -> bool {
        let Some(limit) = self.limit.filter(|limit| *limit == asked) else {
            return false;
        };
        self.well += 1;
        if self.well < self.grow_after {
            return false;
        }
        let grown = limit.saturating_mul(2);
        self.limit = (grown < most).then_some(grown);
        self.well = 0;
        self.grew = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_that_fails_is_halved_and_grows_again_after_pages_that_come() {
        let mut size = PageSize::new(None);
        assert_eq!(size.of(100), 100);
        assert!(size.failed(100));
        assert_eq!((size.of(100), size.remembered()), (50, Some(50)));
        // A second reader, that asked before.
        assert!(size.failed(100));
        assert_eq!(size.of(100), 50);
        for _ in 1..GROW_AFTER {
            assert!(!size.went_well(50, 100));
        }
        assert!(size.went_well(50, 100));
        assert_eq!(size.remembered(), None);
        // It was too early: the next time it takes twice as long.
        assert!(size.failed(100));
        for _ in 1..2 * GROW_AFTER {
            assert!(!size.went_well(50, 100));
        }
        assert!(size.went_well(50, 100));
    }

    #[test]
    fn there_is_a_smallest_page() {
        let mut size = PageSize::new(Some(1));
        assert!(!size.failed(1));
        assert_eq!(size.of(200), 1);
    }

    proptest! {
        #[test]
        fn a_size_is_always_one_that_can_be_asked_for(
            remembered in proptest::option::of(any::<u32>()),
            what in proptest::collection::vec(any::<bool>(), 0..400),
            most in 1u32..=500,
        ) {
            let mut size = PageSize::new(remembered);
            for well in what {
                let asked = size.of(most);
                prop_assert!((1..=most).contains(&asked));
                if well {
                    size.went_well(asked, most);
                } else {
                    size.failed(asked);
                }
            }
        }
    }
}
