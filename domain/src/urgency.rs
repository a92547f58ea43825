//! How urgent a piece of work is: one idea, from which Temporal's priority, the class in the rate
//! budget and the label in metrics follow (X3, design §3).

/// What work is for; earlier ones go first, everywhere.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Urgency {
    /// Somebody waits for it.
    Interactive,
    /// Logs an activity or a status.
    Activity,
    /// Keeps records in step.
    Sync,
    /// Reads a portal for the first time, or again.
    Backfill,
}

crate::named::named!(Urgency, "urgency");

impl Urgency {
    /// Its place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Temporal's priority key: 1 goes first, 5 last. Four is free for what may come between. Part
    /// of histories that were recorded.
    pub const fn priority_key(self) -> u32 {
        match self {
            Self::Interactive => 1,
            Self::Activity => 2,
            Self::Sync => 3,
            Self::Backfill => 5,
        }
    }

    /// Whether search gives it three slots of four only.
    pub const fn is_low(self) -> bool {
        matches!(self, Self::Sync | Self::Backfill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporal_and_the_budget_have_one_order() {
        assert!(Urgency::ALL.is_sorted());
        assert!(Urgency::ALL.is_sorted_by_key(|u| u.priority_key()));
        for (place, urgency) in Urgency::ALL.into_iter().enumerate() {
            assert_eq!(urgency.index(), place);
            assert!(
                (1..=5).contains(&urgency.priority_key()),
                "Temporal knows five"
            );
        }
        // Whoever is more urgent reaches further for slots of the budget.
        let reach = |u: &Urgency| std::cmp::Reverse(u.reach().by_chance);
        assert!(Urgency::ALL.is_sorted_by_key(reach));
    }
}
