//! Who is which contact, and which values win (I5, E2), computed naively from `product.md` alone: all
//! of a portal and all of a workspace at once.

use std::collections::{BTreeMap, BTreeSet};

/// A contact in HubSpot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// Its id.
    pub id: u64,
    /// Its address, as somebody typed it.
    pub email: Option<String>,
    /// Its additional addresses.
    pub additional: Vec<String>,
    /// Values by property.
    pub values: BTreeMap<String, String>,
}

/// A person whom the app knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// The app's id.
    pub id: String,
    /// The address.
    pub email: Option<String>,
    /// Values by field.
    pub values: BTreeMap<String, String>,
}

/// A row of the mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The app's field.
    pub field: String,
    /// HubSpot's property.
    pub property: String,
    /// Whether HubSpot's value wins where both have one.
    pub crm: bool,
}

/// What a profile has to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The contact.
    pub contact: Option<u64>,
    /// Other contacts that claim to be the person.
    pub conflicts: BTreeSet<u64>,
    /// Others who are the same contact.
    pub shared_with: BTreeSet<String>,
    /// The winning value of each field, and whether it is HubSpot's.
    pub values: BTreeMap<String, (String, bool)>,
}

/// A rule that may be wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum BrokenProfile {
    AdditionalAddressesDoNotCount,
    AddressesMindCase,
    HubSpotAlwaysWins,
    TheAppAlwaysWins,
    MissingValuesWin,
    AdditionalGoesBeforePrimary,
    ConflictsAreNotShown,
    EverybodyOwnsTheValues,
    NobodyIsMade,
    ClaimedContactsStayNobody,
}

impl BrokenProfile {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::AdditionalAddressesDoNotCount,
        Self::AddressesMindCase,
        Self::HubSpotAlwaysWins,
        Self::TheAppAlwaysWins,
        Self::MissingValuesWin,
        Self::AdditionalGoesBeforePrimary,
        Self::ConflictsAreNotShown,
        Self::EverybodyOwnsTheValues,
        Self::NobodyIsMade,
        Self::ClaimedContactsStayNobody,
    ];
}

/// All profiles of a workspace, by id: of the app's people, and of those who are made of contacts that
/// are nobody.
pub fn profiles(
    portal: u64,
    contacts: &[Contact],
    people: &[Person],
    rows: &[Mapped],
    broken: Option<BrokenProfile>,
) -> BTreeMap<String, Profile> {
    use BrokenProfile as B;
    let is = |rule| broken == Some(rule);
    let plain = |text: &str| {
        if is(B::AddressesMindCase) {
            text.trim().to_owned()
        } else {
            text.trim().to_lowercase()
        }
    };
    let primary = |c: &Contact| c.email.as_deref().map(plain);
    let has = |c: &Contact, email: &str| {
        primary(c).as_deref() == Some(email)
            || (!is(B::AdditionalAddressesDoNotCount)
                && c.additional.iter().any(|a| plain(a) == email))
    };
    // The app keeps addresses in lower case.
    let address = |p: &Person| p.email.as_ref().map(|e| e.trim().to_lowercase());

    let mut contact_of: BTreeMap<String, u64> = BTreeMap::new();
    let mut conflicts_of: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for person in people {
        let Some(email) = address(person) else {
            continue;
        };
        let mut claiming: Vec<&Contact> = contacts.iter().filter(|c| has(c, &email)).collect();
        claiming.sort_by_key(|c| {
            let is_primary = primary(c).as_deref() == Some(email.as_str());
            let first = is_primary != is(B::AdditionalGoesBeforePrimary);
            (!first, c.id)
        });
        let mut claiming = claiming.into_iter();
        if let Some(first) = claiming.next() {
            contact_of.insert(person.id.clone(), first.id);
        }
        if !is(B::ConflictsAreNotShown) {
            let others = claiming.map(|c| c.id).collect();
            conflicts_of.insert(person.id.clone(), others);
        }
    }

    let mut all: Vec<Person> = people.to_vec();
    for contact in contacts {
        let is_claimed = || people.iter().filter_map(address).any(|e| has(contact, &e));
        let is_somebody = contact_of.values().any(|id| *id == contact.id)
            || (is(B::ClaimedContactsStayNobody) && is_claimed());
        if !is_somebody && !is(B::NobodyIsMade) {
            let id = format!("hubspot.{portal}.{}", contact.id);
            contact_of.insert(id.clone(), contact.id);
            if let Some(email) = primary(contact)
                && !is(B::ConflictsAreNotShown)
            {
                let others = contacts.iter().filter(|c| has(c, &email));
                let others = others.map(|c| c.id).filter(|other| *other != contact.id);
                conflicts_of.insert(id.clone(), others.collect());
            }
            all.push(Person {
                id,
                ..Person::default()
            });
        }
    }

    let mut found = BTreeMap::new();
    for person in &all {
        let contact = contact_of
            .get(&person.id)
            .and_then(|id| contacts.iter().find(|c| c.id == *id));
        let holders: Vec<&Person> = all
            .iter()
            .filter(|other| contact_of.get(&other.id) == contact.map(|c| &c.id))
            .filter(|_| contact.is_some())
            .collect();
        let owner = holders
            .iter()
            .min_by_key(|p| (address(p) != contact.and_then(primary), p.id.clone()))
            .map(|p| p.id.clone());
        let owns = is(B::EverybodyOwnsTheValues) || owner.as_ref() == Some(&person.id);
        let mut values = BTreeMap::new();
        for row in rows {
            let app = match row.field.as_str() {
                "email" => address(person),
                field => person.values.get(field).cloned(),
            };
            let theirs = contact
                .filter(|_| owns)
                .and_then(|c| match row.property.as_str() {
                    "email" => c.email.as_ref().map(|e| e.trim().to_lowercase()),
                    property => c.values.get(property).cloned(),
                });
            let crm = (row.crm || is(B::HubSpotAlwaysWins)) && !is(B::TheAppAlwaysWins);
            let winning = match (app, theirs) {
                (Some(_), Some(theirs)) if crm => Some((theirs, true)),
                (None, Some(_)) if is(B::MissingValuesWin) && !crm => None,
                (None, Some(theirs)) => Some((theirs, true)),
                (Some(app), _) => Some((app, false)),
                (None, None) => None,
            };
            if let Some(winning) = winning {
                values.insert(row.field.clone(), winning);
            }
        }
        let shared_with = holders
            .iter()
            .map(|p| p.id.clone())
            .filter(|id| *id != person.id)
            .collect();
        found.insert(
            person.id.clone(),
            Profile {
                contact: contact.map(|c| c.id),
                conflicts: conflicts_of.remove(&person.id).unwrap_or_default(),
                shared_with,
                values,
            },
        );
    }
    found
}
