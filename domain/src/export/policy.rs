//! Who is exported (E1).

use chrono::{DateTime, Utc};

use super::{RequestKind, SkipReason};
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
    Manual {
        /// Whether they said that a contact which was archived in HubSpot is to be made anew.
        anew: bool,
    },
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
            (Self::Manual { .. }, _) | (_, Automatic::Export) => Ok(()),
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

/// What a request is judged by, each time before it goes on: a person who waited is judged anew by
/// what holds then.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// Whether an admin has saved the settings once.
    pub settings_saved: bool,
    /// The policy in force.
    pub policy: ExportPolicy,
    /// When the policy was last changed or the portal first connected, whichever is later.
    pub in_force_since: DateTime<Utc>,
    /// The facts about the person.
    pub outreach: &'a Outreach,
    /// Whether the person has an e-mail address.
    pub has_email: bool,
    /// Whether the person was erased.
    pub erased: bool,
    /// Whether the person was exported before.
    pub exported: bool,
}

/// Whether a request goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qualified {
    /// It does.
    Yes,
    /// It ends with this reason.
    No(SkipReason),
    /// It waits until the person is exported, or until anything may be (E8).
    Waits,
}

/// Whether a request about a person goes on (E1).
///
/// - Nothing goes on by itself before an admin saved the settings; what somebody asked for does.
/// - Whoever was exported is kept up to date with changed values and statuses, whatever the policy
///   has become since.
/// - Changes about somebody who was not exported go on if the policy takes the person by itself; a
///   status or an activity waits for the export otherwise.
pub fn requalify(kind: RequestKind, cause: ExportCause, standing: &Standing<'_>) -> Qualified {
    use RequestKind as K;
    if standing.erased {
        return Qualified::No(SkipReason::Erased);
    }
    let by_itself = matches!(kind, K::Policy | K::FieldChange | K::Status | K::Activity);
    if by_itself && !standing.settings_saved {
        return match kind {
            // These happened, and are told as soon as they may be.
            K::Status | K::Activity => Qualified::Waits,
            _ => Qualified::No(SkipReason::SettingsNotSaved),
        };
    }
    if standing.exported && matches!(kind, K::FieldChange | K::Status | K::Activity) {
        return if standing.has_email {
            Qualified::Yes
        } else {
            Qualified::No(SkipReason::NoEmail)
        };
    }
    let decided = cause.decide(
        standing.policy,
        standing.in_force_since,
        standing.outreach,
        standing.has_email,
    );
    match (kind, decided) {
        // An activity exports nobody: it waits for the request that does.
        (K::Activity, _) => Qualified::Waits,
        (_, Ok(())) => Qualified::Yes,
        (_, Err(SkipReason::NoEmail)) => Qualified::No(SkipReason::NoEmail),
        (K::Status, Err(_)) => Qualified::Waits,
        (_, Err(reason)) => Qualified::No(reason),
    }
}

/// Where a person is, seen from exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// Exports brought them to HubSpot.
    Exported,
    /// An export is about to.
    OnItsWay,
    /// HubSpot has them, and no export brought them there.
    FoundThere,
    /// The policy does not take them, for this reason.
    LeftOut(SkipReason),
    /// The policy takes them; that was not done yet.
    Ready,
}

/// Where a person is. `on_its_way`: an export of theirs goes on; `linked`: a contact is known to be theirs.
pub fn whereabouts(standing: &Standing<'_>, on_its_way: bool, linked: bool) -> Whereabouts {
    if standing.exported {
        return Whereabouts::Exported;
    }
    if on_its_way {
        return Whereabouts::OnItsWay;
    }
    if linked {
        return Whereabouts::FoundThere;
    }
    match requalify(RequestKind::Policy, ExportCause::Automatic, standing) {
        Qualified::No(reason) => Whereabouts::LeftOut(reason),
        Qualified::Yes | Qualified::Waits => Whereabouts::Ready,
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
    fn where_somebody_is_is_told_by_what_happened_first() {
        let outreach = facts(Some(5), None, None);
        let standing = Standing {
            settings_saved: true,
            policy: ExportPolicy::Replied,
            in_force_since: at(1),
            outreach: &outreach,
            has_email: true,
            erased: false,
            exported: false,
        };
        let left = whereabouts(&standing, false, false);
        assert_eq!(left, Whereabouts::LeftOut(SkipReason::NotReplied));
        assert_eq!(whereabouts(&standing, false, true), Whereabouts::FoundThere);
        assert_eq!(whereabouts(&standing, true, true), Whereabouts::OnItsWay);
        let exported = Standing {
            exported: true,
            ..standing
        };
        assert_eq!(whereabouts(&exported, true, true), Whereabouts::Exported);
        let ready = Standing {
            policy: ExportPolicy::AllContacted,
            ..standing
        };
        assert_eq!(whereabouts(&ready, false, false), Whereabouts::Ready);
        let unsaved = Standing {
            settings_saved: false,
            ..ready
        };
        let left = whereabouts(&unsaved, false, false);
        assert_eq!(left, Whereabouts::LeftOut(SkipReason::SettingsNotSaved));
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
        use ExportCause::{Automatic, Bulk};
        const MANUAL: ExportCause = ExportCause::Manual { anew: false };
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
            (MANUAL, new, true, Ok(())),
            (MANUAL, old, true, Ok(())),
            (MANUAL, none, true, Ok(())),
            (MANUAL, new, false, Err(R::NoEmail)),
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

    /// Every kind of request, policy, facts, settings saved or not, exported before or not.
    #[test]
    fn the_table_of_policies() {
        use ExportPolicy as P;
        use Qualified::{No, Waits, Yes};
        use RequestKind as K;
        use SkipReason as R;
        let standings = |policy, outreach: Outreach, saved, exported| {
            let standing = Standing {
                settings_saved: saved,
                policy,
                in_force_since: at(10),
                outreach: &outreach,
                has_email: true,
                erased: false,
                exported,
            };
            let bulk = |include_earlier| ExportCause::Bulk { include_earlier };
            [
                requalify(K::Policy, ExportCause::Automatic, &standing),
                requalify(K::FieldChange, ExportCause::Automatic, &standing),
                requalify(K::Status, ExportCause::Automatic, &standing),
                requalify(K::Activity, ExportCause::Automatic, &standing),
                requalify(K::Manual, ExportCause::Manual { anew: false }, &standing),
                requalify(K::Bulk, bulk(false), &standing),
                requalify(K::Bulk, bulk(true), &standing),
            ]
        };
        let (never, contacted) = (facts(None, None, None), facts(Some(20), None, None));
        let (replied, earlier) = (
            facts(Some(20), Some(30), None),
            facts(Some(1), Some(2), None),
        );
        let positive = facts(Some(20), Some(30), Some(40));
        let early = R::QualifiedEarlier;
        for (policy, outreach, want) in [
            (P::AllContacted, never, Err(R::NotContacted)),
            (P::AllContacted, contacted, Ok(())),
            (P::AllContacted, replied, Ok(())),
            (P::AllContacted, positive, Ok(())),
            (P::AllContacted, earlier, Err(early)),
            (P::Replied, never, Err(R::NotReplied)),
            (P::Replied, contacted, Err(R::NotReplied)),
            (P::Replied, replied, Ok(())),
            (P::Replied, positive, Ok(())),
            (P::Replied, earlier, Err(early)),
            (P::RepliedPositively, never, Err(R::NotRepliedPositively)),
            (
                P::RepliedPositively,
                contacted,
                Err(R::NotRepliedPositively),
            ),
            (P::RepliedPositively, replied, Err(R::NotRepliedPositively)),
            (P::RepliedPositively, positive, Ok(())),
            (P::RepliedPositively, earlier, Err(R::NotRepliedPositively)),
        ] {
            let bulk = want.map_or_else(No, |()| Yes);
            let confirmed = if want == Err(early) { Yes } else { bulk };
            let status = if want.is_ok() { Yes } else { Waits };
            let new = [bulk, bulk, status, Waits, Yes, bulk, confirmed];
            assert_eq!(
                standings(policy, outreach, true, false),
                new,
                "{policy} {outreach:?}"
            );
            let known = [bulk, Yes, Yes, Yes, Yes, bulk, confirmed];
            assert_eq!(
                standings(policy, outreach, true, true),
                known,
                "{policy} {outreach:?}"
            );
            for exported in [false, true] {
                let not = No(R::SettingsNotSaved);
                let unsaved = [not, not, Waits, Waits, Yes, bulk, confirmed];
                assert_eq!(
                    standings(policy, outreach, false, exported),
                    unsaved,
                    "{policy}"
                );
            }
        }
    }

    #[test]
    fn whoever_has_no_address_or_was_erased_is_not_exported_whatever_asks() {
        let outreach = facts(Some(20), Some(30), Some(40));
        for kind in RequestKind::ALL {
            for exported in [false, true] {
                let mut standing = Standing {
                    settings_saved: true,
                    policy: ExportPolicy::AllContacted,
                    in_force_since: at(10),
                    outreach: &outreach,
                    has_email: false,
                    erased: false,
                    exported,
                };
                let cause = match kind {
                    RequestKind::Manual => ExportCause::Manual { anew: true },
                    RequestKind::Bulk => ExportCause::Bulk {
                        include_earlier: true,
                    },
                    _ => ExportCause::Automatic,
                };
                let without = requalify(kind, cause, &standing);
                let waits = kind == RequestKind::Activity && !exported;
                let want = if waits {
                    Qualified::Waits
                } else {
                    Qualified::No(SkipReason::NoEmail)
                };
                assert_eq!(without, want, "{kind}");
                standing.erased = true;
                assert_eq!(
                    requalify(kind, cause, &standing),
                    Qualified::No(SkipReason::Erased)
                );
            }
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
