//! Who is exported (E1).

use chrono::{DateTime, Utc};

use super::SkipReason;
use crate::{app::Outreach, settings::ExportPolicy};

/// Whether a person qualifies under a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qualification {
    /// Since this time.
    Since(DateTime<Utc>),
    /// Not, or not yet: what the policy waits for.
    No(SkipReason),
}

/// Whether a person qualifies under a policy, by the facts alone.
///
/// A reply counts as a contact, and a positive reply as a reply, even where the app did not say so
/// separately; the earliest of the facts that satisfy the policy is when the person came to qualify.
pub fn qualify(policy: ExportPolicy, facts: &Outreach) -> Qualification {
    let (satisfying, missing): (&[Option<DateTime<Utc>>], _) = match policy {
        ExportPolicy::AllContacted => (
            &[
                facts.contacted_at,
                facts.replied_at,
                facts.replied_positively_at,
            ],
            SkipReason::NotContacted,
        ),
        ExportPolicy::Replied => (
            &[facts.replied_at, facts.replied_positively_at],
            SkipReason::NotReplied,
        ),
        ExportPolicy::RepliedPositively => (
            &[facts.replied_positively_at],
            SkipReason::NotRepliedPositively,
        ),
    };
    satisfying
        .iter()
        .flatten()
        .min()
        .map_or(Qualification::No(missing), |at| Qualification::Since(*at))
}

/// What the policy does about a person by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Automatic {
    /// Exports.
    Export,
    /// Counts and shows; only a confirmed bulk export takes them.
    QualifiedEarlier,
    /// Nothing: what the policy waits for.
    No(SkipReason),
}

/// What the policy does about a person by itself.
///
/// `in_force_since` is when the policy was last changed or the portal first connected, whichever is
/// later: both act from then on (E1). Whoever qualified before that is not exported by itself. A
/// later fact does not make them new either: they qualified when they first did.
pub fn automatic(
    policy: ExportPolicy,
    in_force_since: DateTime<Utc>,
    facts: &Outreach,
) -> Automatic {
    match qualify(policy, facts) {
        Qualification::No(reason) => Automatic::No(reason),
        Qualification::Since(at) if at < in_force_since => Automatic::QualifiedEarlier,
        Qualification::Since(_) => Automatic::Export,
    }
}

/// Why a person is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportCause {
    /// Their facts changed.
    Automatic,
    /// Somebody asked for this one lead.
    Manual,
    /// A bulk export that an admin asked for.
    Bulk {
        /// Whether the admin confirmed that people who qualified earlier are taken too.
        include_earlier: bool,
    },
}

impl ExportCause {
    /// Whether the person is exported, or why not.
    ///
    /// # Errors
    /// The reason to say.
    pub fn decide(
        self,
        policy: ExportPolicy,
        in_force_since: DateTime<Utc>,
        facts: &Outreach,
        has_email: bool,
    ) -> Result<(), SkipReason> {
        if !has_email {
            return Err(SkipReason::NoEmail);
        }
        match (self, automatic(policy, in_force_since, facts)) {
            (Self::Manual, _) | (_, Automatic::Export) => Ok(()),
            (
                Self::Bulk {
                    include_earlier: true,
                },
                Automatic::QualifiedEarlier,
            ) => Ok(()),
            (_, Automatic::QualifiedEarlier) => Err(SkipReason::QualifiedEarlier),
            (_, Automatic::No(reason)) => Err(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use proptest::prelude::*;

    use super::*;

    fn at(secs: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(secs, 0).unwrap()
    }

    fn facts(contacted: Option<i64>, replied: Option<i64>, positively: Option<i64>) -> Outreach {
        Outreach {
            contacted_at: contacted.map(at),
            replied_at: replied.map(at),
            replied_positively_at: positively.map(at),
        }
    }

    #[test]
    fn who_qualifies_and_since_when() {
        use ExportPolicy as P;
        use Qualification::{No, Since};
        use SkipReason as R;
        for (facts, all, replied, positively) in [
            (
                facts(None, None, None),
                No(R::NotContacted),
                No(R::NotReplied),
                No(R::NotRepliedPositively),
            ),
            (
                facts(Some(1), None, None),
                Since(at(1)),
                No(R::NotReplied),
                No(R::NotRepliedPositively),
            ),
            (
                facts(Some(1), Some(2), None),
                Since(at(1)),
                Since(at(2)),
                No(R::NotRepliedPositively),
            ),
            (
                facts(Some(1), Some(2), Some(3)),
                Since(at(1)),
                Since(at(2)),
                Since(at(3)),
            ),
            (
                facts(None, None, Some(3)),
                Since(at(3)),
                Since(at(3)),
                Since(at(3)),
            ),
        ] {
            assert_eq!(qualify(P::AllContacted, &facts), all);
            assert_eq!(qualify(P::Replied, &facts), replied);
            assert_eq!(qualify(P::RepliedPositively, &facts), positively);
        }
    }

    #[test]
    fn decisions() {
        use ExportCause::{Automatic, Bulk, Manual};
        use SkipReason as R;
        let bulk = Bulk {
            include_earlier: false,
        };
        let confirmed = Bulk {
            include_earlier: true,
        };
        let (new, old) = (facts(None, Some(20), None), facts(None, Some(5), None));
        let none = facts(Some(20), None, None);
        for (cause, facts, has_email, want) in [
            (Automatic, new, true, Ok(())),
            (Automatic, old, true, Err(R::QualifiedEarlier)),
            (Automatic, none, true, Err(R::NotReplied)),
            (Automatic, new, false, Err(R::NoEmail)),
            (Manual, new, true, Ok(())),
            (Manual, old, true, Ok(())),
            (Manual, none, true, Ok(())),
            (Manual, new, false, Err(R::NoEmail)),
            (bulk, new, true, Ok(())),
            (bulk, old, true, Err(R::QualifiedEarlier)),
            (bulk, none, true, Err(R::NotReplied)),
            (confirmed, old, true, Ok(())),
            (confirmed, none, true, Err(R::NotReplied)),
            (confirmed, old, false, Err(R::NoEmail)),
        ] {
            assert_eq!(
                cause.decide(ExportPolicy::Replied, at(10), &facts, has_email),
                want,
                "{cause:?} {facts:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_narrower_policy_exports_no_one_more(
            contacted in proptest::option::of(0i64..9),
            replied in proptest::option::of(0i64..9),
            positively in proptest::option::of(0i64..9),
        ) {
            let facts = facts(contacted, replied, positively);
            let qualifies = |policy| matches!(qualify(policy, &facts), Qualification::Since(_));
            if qualifies(ExportPolicy::RepliedPositively) { prop_assert!(qualifies(ExportPolicy::Replied)); }
            if qualifies(ExportPolicy::Replied) { prop_assert!(qualifies(ExportPolicy::AllContacted)); }
        }
    }
}
