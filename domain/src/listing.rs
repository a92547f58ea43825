//! Whole listings: when what a listing did not bring may be taken for gone. Absence is not proof: a
//! listing that shrank much is read a second time first.

/// Whether a listing that brought `brought` of `known` rows is to be read again before anything is
/// removed: it brought nothing, or less than half.
pub const fn shrank(known: u64, brought: u64) -> bool {
    brought < known && (brought == 0 || brought < known - brought)
}

/// Whether a listing is far below what HubSpot's own count of it says: it brought nothing of
/// something, or lacks more than a tenth and three. The count may lag a little.
pub const fn contradicts(said: Option<u64>, brought: u64) -> bool {
    match said {
        Some(said) if brought < said => brought == 0 || said - brought > 3 + said / 10,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_and_less_than_half_are_doubtful() {
        for (known, brought, doubtful) in [
            (0, 0, false),
            (1, 0, true),
            (2, 1, false),
            (3, 1, true),
            (100, 50, false),
            (100, 49, true),
            (100, 100, false),
        ] {
            assert_eq!(shrank(known, brought), doubtful, "{brought} of {known}");
        }
    }

    #[test]
    fn a_listing_far_below_its_own_count_is_doubtful() {
        for (said, brought, doubtful) in [
            (None, 0, false),
            (Some(0), 0, false),
            (Some(1), 0, true),
            (Some(2), 1, false),
            (Some(100), 87, false),
            (Some(100), 86, true),
            (Some(2_600), 0, true),
            (Some(5), 9, false),
        ] {
            assert_eq!(
                contradicts(said, brought),
                doubtful,
                "{brought} of {said:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_listing_that_brought_more_is_never_more_doubtful(known in 0_u64..5_000, brought in 0_u64..5_000) {
            prop_assert!(!shrank(known, brought + 1) || shrank(known, brought) || brought >= known);
            prop_assert!(!contradicts(Some(known), brought + 1) || contradicts(Some(known), brought));
        }
    }
}
