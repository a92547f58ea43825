//! Owners and team members: who stands for whom (E6).
//!
//! - An owner's member: the row made by hand, else the active member of the same e-mail. A row with
//!   no member says nobody, whatever the e-mails say.
//! - A deactivated owner is mapped by hand only: somebody may have taken over their records.
//! - A member's owner for writing: of the active owners that are mapped to the member the one of the
//!   same e-mail, else the chosen one, else the one with the lowest id; else the fallback owner.
//! - Nothing is mapped to a member who is not active.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    HubSpotOwnerId,
    app::{Member, MemberId},
    portal::PortalOwner,
    settings::{OwnerSettings, UnmappedOwner},
};

/// How an owner came to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappedBy {
    /// By the same e-mail.
    Email,
    /// By hand.
    Hand,
}

/// Who gets the imported records of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberForOwner<'a> {
    /// The member who stands for the owner.
    Mapped(&'a MemberId, MappedBy),
    /// Nobody stands for the owner: the member of the fallback owner, or the chosen one.
    Routed(&'a MemberId),
    /// Nobody at all.
    Nobody,
}

impl<'a> MemberForOwner<'a> {
    /// The member, however they came to it.
    pub const fn member(&self) -> Option<&'a MemberId> {
        match self {
            Self::Mapped(member, _) | Self::Routed(member) => Some(*member),
            Self::Nobody => None,
        }
    }
}

/// Which owner an export gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by", content = "owner")]
pub enum OwnerForMember {
    /// The owner of the same e-mail.
    Email(HubSpotOwnerId),
    /// The owner that was chosen among the member's.
    Chosen(HubSpotOwnerId),
    /// The member's owner with the lowest id, as none was chosen.
    Lowest(HubSpotOwnerId),
    /// The fallback owner, as the member has none.
    Fallback(HubSpotOwnerId),
    /// None: the record is written without an owner.
    None,
}

impl OwnerForMember {
    /// The owner, however it was found.
    pub const fn owner(&self) -> Option<HubSpotOwnerId> {
        match self {
            Self::Email(owner)
            | Self::Chosen(owner)
            | Self::Lowest(owner)
            | Self::Fallback(owner) => Some(*owner),
            Self::None => None,
        }
    }
}

/// Owners, members and settings put together: made once, asked often.
#[derive(Debug)]
pub struct OwnerMap<'a> {
    settings: &'a OwnerSettings,
    owners: BTreeMap<HubSpotOwnerId, &'a PortalOwner>,
    mapped: BTreeMap<HubSpotOwnerId, (&'a MemberId, MappedBy)>,
    of_member: BTreeMap<&'a MemberId, Vec<HubSpotOwnerId>>,
    active: BTreeMap<&'a MemberId, &'a Member>,
}

impl<'a> OwnerMap<'a> {
    /// Puts them together. Rows of owners or members that are not known are left out.
    pub fn new(
        settings: &'a OwnerSettings,
        owners: &'a [PortalOwner],
        members: &'a [Member],
    ) -> Self {
        let active: BTreeMap<_, _> = members
            .iter()
            .filter(|m| m.is_active())
            .map(|m| (&m.id, m))
            .collect();
        // Two members of one e-mail: the lower id, so that every run says the same.
        let mut by_email: BTreeMap<&str, &MemberId> = BTreeMap::new();
        for (id, member) in active.iter().rev() {
            if let Some(email) = &member.email {
                by_email.insert(email.as_str(), id);
            }
        }
        let mut by_hand: BTreeMap<HubSpotOwnerId, Option<&MemberId>> = BTreeMap::new();
        for row in &settings.rows {
            by_hand.entry(row.owner).or_insert(row.member.as_ref());
        }
        let owners: BTreeMap<_, _> = owners.iter().map(|o| (o.id, o)).collect();
        let mut mapped = BTreeMap::new();
        let mut of_member: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, owner) in &owners {
            let found = match by_hand.get(id) {
                Some(member) => member
                    .and_then(|m| active.get_key_value(m))
                    .map(|(member, _)| (*member, MappedBy::Hand)),
                None if settings.automatic && !owner.archived => owner
                    .email
                    .as_ref()
                    .and_then(|email| by_email.get(email.as_str()))
                    .map(|member| (*member, MappedBy::Email)),
                None => None,
            };
            if let Some((member, by)) = found {
                mapped.insert(*id, (member, by));
                of_member.entry(member).or_default().push(*id);
            }
        }
        Self {
            settings,
            owners,
            mapped,
            of_member,
            active,
        }
    }

    /// Who stands for an owner, before any routing.
    pub fn mapped(&self, owner: HubSpotOwnerId) -> Option<(&'a MemberId, MappedBy)> {
        self.mapped.get(&owner).copied()
    }

    /// Who gets the imported records of an owner. A record without an owner belongs to nobody.
    pub fn member_for_owner(&self, owner: HubSpotOwnerId) -> MemberForOwner<'a> {
        if let Some((member, by)) = self.mapped(owner) {
            return MemberForOwner::Mapped(member, by);
        }
        let routed = match &self.settings.unmapped {
            UnmappedOwner::Member { member } => {
                self.active.get_key_value(member).map(|(id, _)| *id)
            }
            UnmappedOwner::Fallback => self
                .settings
                .fallback_owner
                .and_then(|fallback| self.mapped(fallback))
                .map(|(member, _)| member),
        };
        routed.map_or(MemberForOwner::Nobody, MemberForOwner::Routed)
    }

    /// Which owner the exports of a member get; of nobody in particular: the fallback owner.
    pub fn owner_for_member(&self, member: Option<&MemberId>) -> OwnerForMember {
        let own = member
            .and_then(|id| self.active.get(id))
            .and_then(|member| {
                let candidates: Vec<HubSpotOwnerId> = self
                    .of_member
                    .get(&member.id)
                    .into_iter()
                    .flatten()
                    .copied()
                    .filter(|owner| self.may_write(*owner))
                    .collect();
                let same_email = |owner: &HubSpotOwnerId| {
                    member.email.is_some()
                        && self
                            .owners
                            .get(owner)
                            .is_some_and(|o| o.email == member.email)
                };
                let chosen = |owner: &HubSpotOwnerId| {
                    self.settings
                        .writing
                        .iter()
                        .find(|w| w.member == member.id)
                        .is_some_and(|w| w.owner == *owner)
                };
                candidates
                    .iter()
                    .copied()
                    .find(same_email)
                    .map(OwnerForMember::Email)
                    .or_else(|| {
                        candidates
                            .iter()
                            .copied()
                            .find(chosen)
                            .map(OwnerForMember::Chosen)
                    })
                    .or_else(|| candidates.first().copied().map(OwnerForMember::Lowest))
            });
        own.or_else(|| {
            self.settings
                .fallback_owner
                .filter(|owner| self.may_write(*owner))
                .map(OwnerForMember::Fallback)
        })
        .unwrap_or(OwnerForMember::None)
    }

    /// HubSpot refuses to assign records to a deactivated owner.
    fn may_write(&self, owner: HubSpotOwnerId) -> bool {
        self.owners.get(&owner).is_some_and(|o| !o.archived)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        app::{Email, RecordVersion},
        settings::{OwnerRow, WritingOwner},
    };

    fn owner(id: i64, email: Option<&str>, archived: bool) -> PortalOwner {
        PortalOwner {
            id: HubSpotOwnerId::new(id).unwrap(),
            email: email.map(|e| Email::parse(e).unwrap()),
            archived,
        }
    }

    fn member(id: &str, email: Option<&str>, active: bool) -> Member {
        Member {
            id: id.parse().unwrap(),
            version: RecordVersion::MIN,
            email: email.map(|e| Email::parse(e).unwrap()),
            name: None,
            active: Some(active),
            slots: Default::default(),
        }
    }

    fn row(id: i64, member: Option<&str>) -> OwnerRow {
        OwnerRow {
            owner: HubSpotOwnerId::new(id).unwrap(),
            member: member.map(|m| m.parse().unwrap()),
        }
    }

    /// Ann and Bob have owners of their e-mail (1 and 2); 3 is Ann's second one, mapped by hand; 4
    /// left; 5 left and was handed to Bob; 6 is nobody's; 7 has Cid's e-mail, who left the app.
    fn portal() -> Vec<PortalOwner> {
        vec![
            owner(1, Some("ann@a.example"), false),
            owner(2, Some("bob@a.example"), false),
            owner(3, Some("ann.old@a.example"), false),
            owner(4, Some("dan@a.example"), true),
            owner(5, Some("eve@a.example"), true),
            owner(6, None, false),
            owner(7, Some("cid@a.example"), false),
        ]
    }

    fn team() -> Vec<Member> {
        vec![
            member("ann", Some("ann@a.example"), true),
            member("bob", Some("bob@a.example"), true),
            member("cid", Some("cid@a.example"), false),
            member("dan", Some("dan@a.example"), true),
            member("zoe", None, true),
        ]
    }

    fn settings() -> OwnerSettings {
        OwnerSettings {
            rows: vec![row(3, Some("ann")), row(5, Some("bob"))],
            ..OwnerSettings::default()
        }
    }

    #[test]
    fn who_gets_the_records_of_an_owner() {
        use MappedBy::{Email, Hand};
        use MemberForOwner::{Mapped, Nobody, Routed};
        let (portal, team) = (portal(), team());
        let [ann, bob, zoe] = ["ann", "bob", "zoe"].map(|m| m.parse::<MemberId>().unwrap());
        let with_fallback = OwnerSettings {
            fallback_owner: Some(HubSpotOwnerId::new(2).unwrap()),
            ..settings()
        };
        let routed = OwnerSettings {
            unmapped: UnmappedOwner::Member {
                member: zoe.clone(),
            },
            ..with_fallback.clone()
        };
        let routed_to_inactive = OwnerSettings {
            unmapped: UnmappedOwner::Member {
                member: "cid".parse().unwrap(),
            },
            ..settings()
        };
        let nobody_by_hand = OwnerSettings {
            rows: vec![row(1, None)],
            ..settings()
        };
        let by_hand_only = OwnerSettings {
            automatic: false,
            ..settings()
        };
        let handed_to_inactive = OwnerSettings {
            rows: vec![row(2, Some("cid"))],
            ..settings()
        };
        for (settings, id, want) in [
            (settings(), 1, Mapped(&ann, Email)),
            (settings(), 3, Mapped(&ann, Hand)),
            (settings(), 4, Nobody),
            (settings(), 5, Mapped(&bob, Hand)),
            (settings(), 6, Nobody),
            (settings(), 7, Nobody),
            (settings(), 99, Nobody),
            (with_fallback.clone(), 4, Routed(&bob)),
            (with_fallback.clone(), 6, Routed(&bob)),
            (with_fallback, 1, Mapped(&ann, Email)),
            (routed.clone(), 6, Routed(&zoe)),
            (routed, 4, Routed(&zoe)),
            (routed_to_inactive, 6, Nobody),
            (nobody_by_hand, 1, Nobody),
            (by_hand_only.clone(), 1, Nobody),
            (by_hand_only, 3, Mapped(&ann, Hand)),
            (handed_to_inactive, 2, Nobody),
        ] {
            let map = OwnerMap::new(&settings, &portal, &team);
            let got = map.member_for_owner(HubSpotOwnerId::new(id).unwrap());
            assert_eq!(got, want, "owner {id} under {settings:?}");
        }
    }

    #[test]
    fn of_two_members_with_one_email_the_lower_id_stands_for_the_owner() {
        let portal = [owner(1, Some("ann@a.example"), false)];
        let mut team = [
            member("b", Some("ann@a.example"), true),
            member("a", Some("ann@a.example"), true),
        ];
        let settings = OwnerSettings::default();
        for _ in 0..2 {
            let map = OwnerMap::new(&settings, &portal, &team);
            let got = map
                .member_for_owner(portal[0].id)
                .member()
                .map(MemberId::as_str);
            assert_eq!(got, Some("a"));
            team.reverse();
        }
    }

    #[test]
    fn which_owner_writes_for_a_member() {
        use OwnerForMember::{Chosen, Email, Fallback, Lowest, None as Nothing};
        let (portal, team) = (portal(), team());
        let id = |n| HubSpotOwnerId::new(n).unwrap();
        let fallback = OwnerSettings {
            fallback_owner: Some(id(2)),
            ..settings()
        };
        let fallback_left = OwnerSettings {
            fallback_owner: Some(id(4)),
            ..settings()
        };
        let zoe_has_two = OwnerSettings {
            rows: vec![row(6, Some("zoe")), row(3, Some("zoe"))],
            ..settings()
        };
        let zoe_chose = OwnerSettings {
            writing: vec![WritingOwner {
                member: "zoe".parse().unwrap(),
                owner: id(6),
            }],
            ..zoe_has_two.clone()
        };
        let ann_chose_in_vain = OwnerSettings {
            writing: vec![WritingOwner {
                member: "ann".parse().unwrap(),
                owner: id(3),
            }],
            ..settings()
        };
        let chose_anothers = OwnerSettings {
            writing: vec![WritingOwner {
                member: "zoe".parse().unwrap(),
                owner: id(1),
            }],
            ..settings()
        };
        let anns_owner_is_bobs = OwnerSettings {
            rows: vec![row(1, Some("bob"))],
            ..settings()
        };
        for (settings, member, want) in [
            (settings(), Some("ann"), Email(id(1))),
            (ann_chose_in_vain, Some("ann"), Email(id(1))),
            (settings(), Some("zoe"), Nothing),
            (settings(), Some("dan"), Nothing),
            (settings(), Some("cid"), Nothing),
            (settings(), None, Nothing),
            (fallback.clone(), Some("zoe"), Fallback(id(2))),
            (fallback.clone(), Some("cid"), Fallback(id(2))),
            (fallback.clone(), Some("nobody-known"), Fallback(id(2))),
            (fallback, None, Fallback(id(2))),
            (fallback_left, Some("zoe"), Nothing),
            (zoe_has_two, Some("zoe"), Lowest(id(3))),
            (zoe_chose, Some("zoe"), Chosen(id(6))),
            (chose_anothers, Some("zoe"), Nothing),
            (anns_owner_is_bobs.clone(), Some("ann"), Nothing),
            (anns_owner_is_bobs, Some("bob"), Email(id(2))),
        ] {
            let map = OwnerMap::new(&settings, &portal, &team);
            let member = member.map(|m| m.parse::<MemberId>().unwrap());
            assert_eq!(
                map.owner_for_member(member.as_ref()),
                want,
                "{member:?} under {settings:?}"
            );
        }
    }

    fn any_settings() -> impl Strategy<Value = OwnerSettings> {
        let names = || proptest::sample::select(vec!["m0", "m1", "m2", "m9"]);
        (
            any::<bool>(),
            proptest::collection::vec((0i64..6, proptest::option::of(names())), 0..5),
            proptest::collection::vec((names(), 0i64..6), 0..3),
            proptest::option::of(0i64..6),
            proptest::option::of(names()),
        )
            .prop_map(
                |(automatic, rows, writing, fallback, routed)| OwnerSettings {
                    automatic,
                    rows: rows.into_iter().map(|(o, m)| row(o, m)).collect(),
                    writing: writing
                        .into_iter()
                        .map(|(m, o)| WritingOwner {
                            member: m.parse().unwrap(),
                            owner: HubSpotOwnerId::new(o).unwrap(),
                        })
                        .collect(),
                    fallback_owner: fallback.map(|o| HubSpotOwnerId::new(o).unwrap()),
                    unmapped: routed.map_or(UnmappedOwner::Fallback, |m| UnmappedOwner::Member {
                        member: m.parse().unwrap(),
                    }),
                    overwrite: false,
                },
            )
    }

    fn any_portal() -> impl Strategy<Value = Vec<PortalOwner>> {
        proptest::collection::vec(
            (
                proptest::option::weighted(0.8, 0u8..2),
                proptest::bool::weighted(0.2),
            ),
            0..5,
        )
        .prop_map(|owners| {
            (0i64..)
                .zip(owners)
                .map(|(id, (email, archived))| {
                    owner(
                        id,
                        email.map(|n| format!("e{n}@a.example")).as_deref(),
                        archived,
                    )
                })
                .collect()
        })
    }

    fn any_team() -> impl Strategy<Value = Vec<Member>> {
        proptest::collection::vec(
            (
                proptest::option::weighted(0.8, 0u8..2),
                proptest::bool::weighted(0.8),
            ),
            0..4,
        )
        .prop_map(|members| {
            members
                .into_iter()
                .enumerate()
                .map(|(n, (email, active))| {
                    let email = email.map(|n| format!("e{n}@a.example"));
                    member(&format!("m{n}"), email.as_deref(), active)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn whoever_is_answered_is_there_and_active(
            settings in any_settings(), portal in any_portal(), team in any_team(),
        ) {
            let map = OwnerMap::new(&settings, &portal, &team);
            for id in 0..7 {
                if let Some(member) = map.member_for_owner(HubSpotOwnerId::new(id).unwrap()).member() {
                    prop_assert!(team.iter().any(|m| m.id == *member && m.is_active()));
                }
            }
            for m in ["m0", "m1", "m2", "m3", "m9"] {
                let id: MemberId = m.parse().unwrap();
                let answer = map.owner_for_member(Some(&id));
                if let Some(owner) = answer.owner() {
                    prop_assert!(portal.iter().any(|o| o.id == owner && !o.archived));
                    if !matches!(answer, OwnerForMember::Fallback(_)) {
                        // What a member writes as comes back to the same member.
                        prop_assert_eq!(map.member_for_owner(owner).member(), Some(&id));
                    }
                }
            }
        }

        #[test]
        fn the_order_of_owners_and_members_does_not_matter(
            settings in any_settings(), portal in any_portal(), team in any_team(),
        ) {
            let (mut portal_back, mut team_back) = (portal.clone(), team.clone());
            portal_back.reverse();
            team_back.reverse();
            let a = OwnerMap::new(&settings, &portal, &team);
            let b = OwnerMap::new(&settings, &portal_back, &team_back);
            for id in 0..6 {
                let id = HubSpotOwnerId::new(id).unwrap();
                prop_assert_eq!(a.member_for_owner(id), b.member_for_owner(id));
            }
            for m in ["m0", "m1", "m2", "m3"] {
                let id: MemberId = m.parse().unwrap();
                prop_assert_eq!(a.owner_for_member(Some(&id)), b.owner_for_member(Some(&id)));
            }
        }
    }
}
