//! Where our types and HubSpot's client meet: one place for each pair.

use domain::{BudgetBucket, Urgency};
use hubspot::{Bucket, RequestClass};

/// The class in which the client waits for its budget.
pub(crate) const fn request_class(urgency: Urgency) -> RequestClass {
    match urgency {
        Urgency::Interactive => RequestClass::Interactive,
        Urgency::Activity => RequestClass::Activity,
        Urgency::Sync => RequestClass::Sync,
        Urgency::Backfill => RequestClass::Backfill,
    }
}

/// What a request of the client is for.
pub(crate) const fn urgency_of(class: RequestClass) -> Urgency {
    match class {
        RequestClass::Interactive => Urgency::Interactive,
        RequestClass::Activity => Urgency::Activity,
        RequestClass::Sync => Urgency::Sync,
        RequestClass::Backfill => Urgency::Backfill,
    }
}

/// The line of the budget that a request of the client stands in.
pub(crate) const fn bucket_of(bucket: Bucket) -> BudgetBucket {
    match bucket {
        Bucket::General => BudgetBucket::General,
        Bucket::Search => BudgetBucket::Search,
        Bucket::Associations => BudgetBucket::Associations,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_the_client_and_ours_are_one_idea() {
        for urgency in Urgency::ALL {
            assert_eq!(urgency_of(request_class(urgency)), urgency);
        }
        let classes = Urgency::ALL.map(request_class);
        assert!(classes.is_sorted(), "the more urgent goes first in both");
    }
}
