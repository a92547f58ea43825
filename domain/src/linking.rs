//! Record links: which contact a person is, and which HubSpot company a company of the app is (I5, E2).
//!
//! - A link goes by the ids of the two records, so it outlives a changed address. It moves only when
//!   its record is no longer there (archived) and a live one has a key of ours.
//! - Without a link: the live record that has one of our keys, by its primary key before an additional
//!   one, then the one with the lowest id. Keys are e-mail addresses of people and contacts, domains of
//!   companies.
//! - Further live records with a key of ours are conflicts: shown, never linked.
//! - Several of ours on one record are all linked. One of them owns the values that are mapped: who has
//!   its primary key; else who was linked by it or was made from the record; else the lowest id.
//! - A live contact that nobody is linked to becomes a person: one, ever, as its id follows from the
//!   contact's. It gives way to a person of the app's own who turns out to be that contact.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    HubSpotObjectId, IdError, PortalId,
    app::{Company, FieldValue, PersonId},
    company_domain,
};

/// How a link came to be.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum LinkOrigin {
    /// The record's primary e-mail address or domain was ours.
    Primary,
    /// One of its additional ones was.
    Additional,
    /// The person was made from the contact.
    Imported,
}

crate::named::named!(LinkOrigin, "origin of a link");

/// A link as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// To which record.
    pub record: HubSpotObjectId,
    /// How it came to be.
    pub origin: LinkOrigin,
    /// Whether the record is in the mirror and not archived.
    pub live: bool,
}

/// A live record of HubSpot's that has a key of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Which record.
    pub record: HubSpotObjectId,
    /// Whether the key is its primary one.
    pub primary: bool,
}

/// What a record of ours is linked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// The link; none without one.
    pub link: Option<(HubSpotObjectId, LinkOrigin)>,
    /// Other live records that have a key of ours, by id.
    pub conflicts: Vec<HubSpotObjectId>,
}

/// Decides a link.
pub fn decide(current: Option<Link>, claims: &[Claim]) -> Linked {
    let best = claims
        .iter()
        .min_by_key(|claim| (Reverse(claim.primary), claim.record));
    let link = match (current, best) {
        (Some(current), Some(best)) if !current.live => Some(of_claim(best)),
        (Some(current), _) => Some((current.record, current.origin)),
        (None, best) => best.map(of_claim),
    };
    let mut conflicts: Vec<HubSpotObjectId> = claims
        .iter()
        .map(|claim| claim.record)
        .filter(|record| link.is_none_or(|(linked, _)| linked != *record))
        .collect();
    conflicts.sort_unstable();
    conflicts.dedup();
    Linked { link, conflicts }
}

const fn of_claim(claim: &Claim) -> (HubSpotObjectId, LinkOrigin) {
    let origin = if claim.primary {
        LinkOrigin::Primary
    } else {
        LinkOrigin::Additional
    };
    (claim.record, origin)
}

/// One of ours that is linked to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub id: String,
    /// How the link came to be.
    pub origin: LinkOrigin,
    /// Whether the record's primary key is one of its own, now.
    pub has_primary: bool,
}

/// Which of those that are linked to one record owns the mapped values.
pub fn owner(holders: &[Holder]) -> Option<&str> {
    holders
        .iter()
        .min_by_key(|holder| {
            (
                !holder.has_primary,
                holder.origin == LinkOrigin::Additional,
                &holder.id,
            )
        })
        .map(|holder| holder.id.as_str())
}

/// The id of the person that is made from a contact: always the same, so that a contact becomes one
/// person however often it is looked at.
///
/// # Errors
/// Never, as ids are digits.
pub fn imported_person(portal: PortalId, contact: HubSpotObjectId) -> Result<PersonId, IdError> {
    PersonId::try_from(format!("hubspot.{portal}.{contact}"))
}

/// Whether a person was made from a contact.
pub fn is_imported(person: &PersonId) -> bool {
    person.as_str().starts_with("hubspot.")
}

/// The domains of a company of the app, in the form in which they are compared: what its fields
/// `domain` and `website` name. Domains that anybody can have an address at are nobody's.
pub fn domains_of(company: &Company) -> Vec<String> {
    let mut domains: Vec<String> = ["domain", "website"]
        .iter()
        .filter_map(|field| match company.fields.get(*field) {
            Some(FieldValue::Text(text)) => company_domain::normalised(text),
            _ => None,
        })
        .filter(|domain| !company_domain::is_free_mail(domain))
        .collect();
    domains.dedup();
    domains
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: i64) -> HubSpotObjectId {
        HubSpotObjectId::new(n).unwrap()
    }

    fn claim(n: i64, primary: bool) -> Claim {
        Claim {
            record: id(n),
            primary,
        }
    }

    fn link(n: i64, live: bool) -> Option<Link> {
        Some(Link {
            record: id(n),
            origin: LinkOrigin::Imported,
            live,
        })
    }

    #[test]
    fn what_is_linked_to_what() {
        use LinkOrigin::{Additional, Imported, Primary};
        for (what, current, claims, want, conflicts) in [
            ("nobody has the address", None, vec![], None, vec![]),
            (
                "one has it",
                None,
                vec![claim(7, true)],
                Some((7, Primary)),
                vec![],
            ),
            (
                "one has it among its additional ones",
                None,
                vec![claim(7, false)],
                Some((7, Additional)),
                vec![],
            ),
            (
                "the primary one goes before a lower id",
                None,
                vec![claim(3, false), claim(7, true)],
                Some((7, Primary)),
                vec![3],
            ),
            (
                "two have it alike",
                None,
                vec![claim(9, true), claim(7, true)],
                Some((7, Primary)),
                vec![9],
            ),
            (
                "an address that changed keeps its person",
                link(5, true),
                vec![],
                Some((5, Imported)),
                vec![],
            ),
            (
                "another one that has the address takes nothing",
                link(5, true),
                vec![claim(7, true)],
                Some((5, Imported)),
                vec![7],
            ),
            (
                "an archived contact keeps its person",
                link(5, false),
                vec![],
                Some((5, Imported)),
                vec![],
            ),
            (
                "until a live one has the address",
                link(5, false),
                vec![claim(7, false)],
                Some((7, Additional)),
                vec![],
            ),
        ] {
            let got = decide(current, &claims);
            assert_eq!(got.link.map(|(r, o)| (r.get(), o)), want, "{what}");
            let got: Vec<i64> = got.conflicts.iter().map(|c| c.get()).collect();
            assert_eq!(got, conflicts, "{what}");
        }
    }

    fn holder(id: &str, origin: LinkOrigin, has_primary: bool) -> Holder {
        Holder {
            id: id.to_owned(),
            origin,
            has_primary,
        }
    }

    #[test]
    fn who_owns_the_values_of_a_shared_contact() {
        use LinkOrigin::{Additional, Imported, Primary};
        for (holders, want) in [
            (vec![], None),
            (vec![holder("a", Additional, false)], Some("a")),
            (
                vec![holder("a", Additional, false), holder("b", Primary, true)],
                Some("b"),
            ),
            // The address of the contact is nobody's any more.
            (
                vec![holder("a", Additional, false), holder("b", Primary, false)],
                Some("b"),
            ),
            (
                vec![holder("a", Additional, false), holder("b", Imported, false)],
                Some("b"),
            ),
            (
                vec![holder("b", Primary, true), holder("a", Primary, true)],
                Some("a"),
            ),
        ] {
            assert_eq!(owner(&holders), want, "{holders:?}");
        }
    }

    #[test]
    fn domains_of_mail_services_are_nobodys() {
        let company = |domain: &str, website: &str| Company {
            id: "c1".parse().unwrap(),
            version: crate::app::RecordVersion::MIN,
            fields: [("domain", domain), ("website", website)]
                .into_iter()
                .map(|(key, text)| (key.parse().unwrap(), FieldValue::Text(text.to_owned())))
                .collect(),
            slots: Default::default(),
        };
        assert_eq!(
            domains_of(&company("ACME.example", "https://www.acme.example/x")),
            ["acme.example"]
        );
        assert_eq!(
            domains_of(&company("gmail.com", "https://shop.example")),
            ["shop.example"]
        );
    }

    proptest! {
        /// The order in which records are found decides nothing; deciding again changes nothing; and
        /// every record that has the key is either linked or shown.
        #[test]
        fn a_link_is_decided_once(
            claims in prop::collection::vec((1_i64..6, any::<bool>()), 0..6),
            current in prop::option::of((1_i64..6, any::<bool>())),
        ) {
            let current = current.and_then(|(n, live)| link(n, live));
            let claims: Vec<Claim> = claims.into_iter().map(|(n, p)| claim(n, p)).collect();
            let decided = decide(current, &claims);
            let reversed: Vec<Claim> = claims.iter().rev().copied().collect();
            prop_assert_eq!(&decide(current, &reversed), &decided);
            for claim in &claims {
                let linked = decided.link.is_some_and(|(record, _)| record == claim.record);
                prop_assert!(linked != decided.conflicts.contains(&claim.record));
            }
            if let Some((record, origin)) = decided.link {
                let again = Link { record, origin, live: true };
                prop_assert_eq!(decide(Some(again), &claims).link, decided.link);
            }
            prop_assert_eq!(decided.link.is_some(), current.is_some() || !claims.is_empty());
        }

        #[test]
        fn the_owner_does_not_depend_on_the_order(
            holders in prop::collection::vec(("[a-c]", any::<bool>(), any::<bool>()), 0..5)
        ) {
            let mut holders: Vec<Holder> = holders
                .into_iter()
                .map(|(id, additional, primary)| {
                    let origin = if additional { LinkOrigin::Additional } else { LinkOrigin::Primary };
                    holder(&id, origin, primary)
                })
                .collect();
            let first = owner(&holders).map(str::to_owned);
            holders.reverse();
            prop_assert_eq!(owner(&holders).map(str::to_owned), first);
        }

        #[test]
        fn a_contact_becomes_one_person(portal in 1_i64..i64::MAX, contact in 1_i64..i64::MAX) {
            let portal = PortalId::new(portal).unwrap();
            let made = imported_person(portal, id(contact)).unwrap();
            prop_assert!(is_imported(&made));
            prop_assert_eq!(&imported_person(portal, id(contact)).unwrap(), &made);
            if contact > 1 {
                prop_assert_ne!(imported_person(portal, id(contact - 1)).unwrap(), made);
            }
        }
    }
}
