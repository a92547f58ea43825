//! A portal and a workspace as a whole: who is which contact, what the profiles, lists and verdicts
//! are, computed naively from `product.md` alone (I3, I5, I6, I8). Everything looks at everything.
//!
//! Links have a history: one goes by record id, so what it is depends on what was once. So links are
//! taken as they were found, and [`Whole::wrong_links`] says which of them cannot be, given those of a
//! moment before.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    dnc::{self, Deal, Found, Rules, Stands},
    profiles::{Mapped, Person, Profile},
};

/// A contact, company or deal of the portal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Not in the recycle bin, and not merged away.
    pub lives: bool,
    /// Values by property, those that are not empty.
    pub values: BTreeMap<String, String>,
}

/// A list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Of companies, whose contacts count; else of contacts.
    pub of_companies: bool,
    /// Whether it keeps people out; else it is an audience.
    pub suppresses: bool,
    /// The records on it.
    pub members: BTreeSet<u64>,
}

/// A portal and a workspace.
#[derive(Debug, Clone)]
pub struct Whole {
    /// The portal's id.
    pub portal: u64,
    /// All contacts that there ever were, as they last were; but those who were erased.
    pub contacts: BTreeMap<u64, Record>,
    /// All companies.
    pub companies: BTreeMap<u64, Record>,
    /// All deals.
    pub deals: BTreeMap<u64, Record>,
    /// Contacts at companies.
    pub at: BTreeSet<(u64, u64)>,
    /// Deals on contacts.
    pub on_contacts: BTreeSet<(u64, u64)>,
    /// Deals on companies.
    pub on_companies: BTreeSet<(u64, u64)>,
    /// Ids that were merged away, and what they became.
    pub merged: BTreeMap<u64, u64>,
    /// Addresses that contacts had, in lower case.
    pub former: BTreeSet<(String, u64)>,
    /// Lists with a use.
    pub lists: BTreeMap<u64, Listing>,
    /// The app's own people.
    pub people: BTreeMap<String, Person>,
    /// Which contact a person is, as it was found.
    pub links: BTreeMap<String, u64>,
    /// Options of properties: property and value to what a person reads.
    pub labels: BTreeMap<(String, String), String>,
    /// The mapping.
    pub rows: Vec<Mapped>,
    /// The rules about whom to contact.
    pub rules: Rules,
    /// Stages of deals: how a deal in it stands, and its place.
    pub stages: BTreeMap<String, (Stands, (u8, u8))>,
    /// Owners for whom a team member stands.
    pub mapped_owners: BTreeSet<u64>,
}

/// A rule to be left out on purpose; those of [`dnc::DncPart`] come besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Without {
    Nothing,
    Dnc(dnc::DncPart),
    // Who belongs to whom.
    LinksInVerdicts,
    LinksOnLists,
    AdditionalAddresses,
    FormerAddresses,
    CaseDoesNotMatter,
    TheRecycleBin,
    CompaniesOfContacts,
    CompaniesOfDomains,
    AdditionalDomains,
    FreeMail,
    ContactsGoBeforeDomains,
    // Links.
    LinksGoByRecord,
    MergesAreFollowed,
    LinksGoByAddress,
    PrimaryGoesFirst,
    EveryContactIsSomebody,
    MadePeopleGiveWay,
    // Profiles.
    CrmMayWin,
    ArtisanMayWin,
    OneValueWins,
    OneOwnsTheValues,
    ConflictsAreShown,
    OptionsAreRead,
    // Lists.
    ListsOfCompanies,
}

impl Without {
    /// All of them that leave something out.
    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Self::LinksInVerdicts,
            Self::LinksOnLists,
            Self::AdditionalAddresses,
            Self::FormerAddresses,
            Self::CaseDoesNotMatter,
            Self::TheRecycleBin,
            Self::CompaniesOfContacts,
            Self::CompaniesOfDomains,
            Self::AdditionalDomains,
            Self::FreeMail,
            Self::ContactsGoBeforeDomains,
            Self::LinksGoByRecord,
            Self::MergesAreFollowed,
            Self::LinksGoByAddress,
            Self::PrimaryGoesFirst,
            Self::EveryContactIsSomebody,
            Self::MadePeopleGiveWay,
            Self::CrmMayWin,
            Self::ArtisanMayWin,
            Self::OneValueWins,
            Self::OneOwnsTheValues,
            Self::ConflictsAreShown,
            Self::OptionsAreRead,
            Self::ListsOfCompanies,
        ];
        all.extend(
            dnc::DncPart::ALL
                .into_iter()
                // Where midnight is, is looked at with days near it.
                .filter(|part| *part != dnc::DncPart::PortalTimeZone)
                .map(Self::Dnc),
        );
        all
    }
}

/// Of a member of a list the contacts and the people who count by it.
pub type Counting = (BTreeSet<u64>, BTreeSet<String>);

fn plain(text: &str, without: Without) -> String {
    if without == Without::CaseDoesNotMatter {
        text.trim().to_owned()
    } else {
        text.trim().to_lowercase()
    }
}

fn parts(text: Option<&String>) -> impl Iterator<Item = &str> {
    let all = text.map_or("", String::as_str).split(';');
    all.map(str::trim).filter(|part| !part.is_empty())
}

/// Minutes since some midnight, as the test writes moments.
fn minutes(text: Option<&String>) -> Option<i64> {
    text.and_then(|text| text.parse().ok())
}

impl Whole {
    fn value(record: &Record, name: &str) -> Option<String> {
        record.values.get(name).cloned()
    }

    /// The id of who is made of a contact.
    pub fn made_of(&self, contact: u64) -> String {
        format!("hubspot.{}.{contact}", self.portal)
    }

    fn contact_of_made(&self, person: &str) -> Option<u64> {
        let of = person.strip_prefix(&format!("hubspot.{}.", self.portal))?;
        of.parse().ok()
    }

    fn addresses(&self, contact: u64, without: Without) -> BTreeSet<String> {
        let Some(record) = self.contacts.get(&contact) else {
            return BTreeSet::new();
        };
        let mut all: BTreeSet<String> = parts(record.values.get("email"))
            .map(|a| plain(a, without))
            .collect();
        if without != Without::AdditionalAddresses {
            let more = parts(record.values.get("hs_additional_emails"));
            all.extend(more.map(|a| plain(a, without)));
        }
        all
    }

    fn primary(&self, contact: u64) -> Option<String> {
        let record = self.contacts.get(&contact)?;
        record.values.get("email").map(|e| e.trim().to_lowercase())
    }

    /// The address of a person, the app's or that of the contact that they were made of.
    pub fn address(&self, person: &str) -> Option<String> {
        match self.people.get(person) {
            Some(person) => person.email.as_ref().map(|e| e.trim().to_lowercase()),
            None => self.contact_of_made(person).and_then(|c| self.primary(c)),
        }
    }

    fn lives(&self, contact: u64) -> bool {
        self.contacts.get(&contact).is_some_and(|c| c.lives)
    }

    fn claimants(&self, person: &str, without: Without) -> BTreeSet<u64> {
        let Some(address) = self.address(person) else {
            return BTreeSet::new();
        };
        let all = self.contacts.keys().copied();
        all.filter(|c| self.lives(*c) && self.addresses(*c, without).contains(&address))
            .collect()
    }

    fn became(&self, contact: u64, without: Without) -> u64 {
        let mut id = contact;
        while let Some(next) = self.merged.get(&id)
            && *next != id
            && without != Without::MergesAreFollowed
        {
            id = *next;
        }
        id
    }

    /// What is wrong with the links, given those of a moment before. `still`: nothing changed in the
    /// portal since then, so that there is but one answer.
    pub fn wrong_links(&self, before: &Self, still: bool, without: Without) -> Vec<String> {
        use Without as W;
        let mut wrong = Vec::new();
        let own = self.people.keys();
        for person in own.chain(self.links.keys().filter(|p| !self.people.contains_key(*p))) {
            let link = self.links.get(person).copied();
            let prior = before.links.get(person).map(|c| self.became(*c, without));
            let claimants = self.claimants(person, without);
            let is_made = !self.people.contains_key(person);
            let prior = prior.filter(|_| without != W::LinksGoByRecord);
            // Who was made is linked from the beginning.
            let prior = prior.or_else(|| {
                let of = self.contact_of_made(person).filter(|_| is_made)?;
                Some(self.became(of, without))
            });
            let allowed: BTreeSet<Option<u64>> = match prior {
                Some(prior) if self.lives(prior) => [Some(prior)].into(),
                Some(prior) if claimants.is_empty() || without == W::LinksGoByAddress => {
                    [Some(prior)].into()
                }
                None if claimants.is_empty() || without == W::LinksGoByAddress => [None].into(),
                _ if still && !is_made => {
                    let address = self.address(person);
                    let best = claimants.iter().copied().min_by_key(|c| {
                        let first = self.primary(*c) == address;
                        (first == (without == W::PrimaryGoesFirst), *c)
                    });
                    [best].into()
                }
                // Which one came first is not known.
                _ => claimants.iter().copied().map(Some).collect(),
            };
            if !allowed.contains(&link) {
                wrong.push(format!("{person} is {link:?}, and not one of {allowed:?}"));
            }
        }
        for contact in self.contacts.keys().filter(|c| self.lives(**c)) {
            let holders: Vec<&String> = self
                .links
                .iter()
                .filter(|(_, c)| *c == contact)
                .map(|(person, _)| person)
                .collect();
            // Left out, nobody is made of anybody.
            let made = holders.iter().any(|p| !self.people.contains_key(*p));
            let is_nobody = holders.is_empty() || (without == W::EveryContactIsSomebody && made);
            if is_nobody {
                wrong.push(format!("nobody is contact {contact}"));
            }
            let own = holders.iter().any(|p| self.people.contains_key(*p));
            // Left out, who was made stays beside them.
            if own && made != (without == W::MadePeopleGiveWay) {
                wrong.push(format!("contact {contact} is {holders:?}"));
            }
        }
        wrong
    }

    // ---- verdicts ----

    fn free_mail(domain: &str) -> bool {
        ["gmail.com", "yahoo.com", "outlook.com"].contains(&domain)
    }

    fn deal(&self, id: u64) -> Option<Deal> {
        let record = self.deals.get(&id).filter(|d| d.lives)?;
        let (stands, place) = self.stages.get(record.values.get("dealstage")?)?;
        Some(Deal {
            id: id.cast_signed(),
            stands: *stands,
            place: Some(*place),
            closed: minutes(record.values.get("closedate")),
        })
    }

    fn deals_of(&self, ties: &BTreeSet<(u64, u64)>, id: u64) -> Vec<Deal> {
        ties.iter()
            .filter(|(_, to)| *to == id)
            .filter_map(|(deal, _)| self.deal(*deal))
            .collect()
    }

    fn suppressed_by(&self, of_companies: bool, id: u64) -> Vec<i64> {
        self.lists
            .iter()
            .filter(|(_, l)| l.suppresses && l.of_companies == of_companies)
            .filter(|(_, l)| l.members.contains(&id))
            .map(|(list, _)| list.cast_signed())
            .collect()
    }

    fn lifecycle(record: &Record) -> Option<&'static str> {
        match record.values.get("lifecyclestage")?.as_str() {
            "customer" => Some("customer"),
            "opportunity" => Some("opportunity"),
            "lead" => Some("lead"),
            _ => Some("another"),
        }
    }

    fn owner(record: &Record) -> Option<i64> {
        record.values.get("hubspot_owner_id")?.parse().ok()
    }

    fn contact(&self, id: u64) -> Option<dnc::Contact> {
        let record = self.contacts.get(&id)?;
        Some(dnc::Contact {
            id: id.cast_signed(),
            in_the_bin: !record.lives,
            lifecycle: Self::lifecycle(record),
            opted_out: record.values.get("hs_email_optout").map(String::as_str) == Some("true"),
            owner: Self::owner(record),
            touched: minutes(record.values.get("notes_last_contacted")),
            deals: self.deals_of(&self.on_contacts, id),
            lists: self.suppressed_by(false, id),
        })
    }

    fn company(&self, id: u64) -> Option<dnc::Company> {
        let record = self.companies.get(&id).filter(|c| c.lives)?;
        let at = self.at.iter().filter(|(_, company)| *company == id);
        Some(dnc::Company {
            id: id.cast_signed(),
            lifecycle: Self::lifecycle(record),
            owner: Self::owner(record),
            touched: minutes(record.values.get("notes_last_contacted")),
            deals: self.deals_of(&self.on_companies, id),
            lists: self.suppressed_by(true, id),
            people: at
                .filter(|(contact, _)| self.lives(*contact))
                .filter_map(|(contact, _)| self.contact(*contact))
                .collect(),
        })
    }

    fn domains(&self, company: u64, without: Without) -> BTreeSet<String> {
        let Some(record) = self.companies.get(&company) else {
            return BTreeSet::new();
        };
        let mut all: BTreeSet<String> = parts(record.values.get("domain"))
            .map(str::to_lowercase)
            .collect();
        if without != Without::AdditionalDomains {
            let more = parts(record.values.get("hs_additional_domains"));
            all.extend(more.map(str::to_lowercase));
        }
        all
    }

    /// Why somebody may not be contacted; of a person, or of whoever has an address.
    pub fn why_not(
        &self,
        person: Option<&str>,
        address: Option<&str>,
        without: Without,
    ) -> Vec<Found> {
        use Without as W;
        let mut who: BTreeSet<u64> = BTreeSet::new();
        if let Some(address) = address {
            let all = self.contacts.keys().copied();
            who.extend(all.filter(|c| self.addresses(*c, without).contains(address)));
            if without != W::FormerAddresses {
                let had = self.former.iter().filter(|(had, _)| had == address);
                who.extend(had.map(|(_, contact)| *contact));
            }
        }
        if without != W::LinksInVerdicts {
            let is_asked = |p: &String| match person {
                Some(person) => p == person,
                None => address.is_some() && self.address(p).as_deref() == address,
            };
            who.extend(
                self.links
                    .iter()
                    .filter(|(p, _)| is_asked(p))
                    .map(|(_, c)| *c),
            );
        }
        let mut contacts: Vec<dnc::Contact> = who.iter().filter_map(|c| self.contact(*c)).collect();
        if without == W::TheRecycleBin {
            contacts.retain(|c| !c.in_the_bin);
        }
        let mut companies: BTreeSet<u64> = BTreeSet::new();
        if without != W::CompaniesOfContacts {
            let at = self.at.iter();
            companies.extend(
                at.filter(|(contact, _)| who.contains(contact) && self.lives(*contact))
                    .map(|(_, company)| *company),
            );
        }
        let is_contact = contacts.iter().any(|c| !c.in_the_bin);
        let domain = address
            .and_then(|a| a.split_once('@'))
            .map(|(_, domain)| domain);
        if let Some(domain) = domain
            && (!is_contact || without == W::ContactsGoBeforeDomains)
            && without != W::CompaniesOfDomains
            && (!Self::free_mail(domain) || without == W::FreeMail)
        {
            let all = self.companies.keys().copied();
            companies.extend(all.filter(|c| self.domains(*c, without).contains(domain)));
        }
        let companies: Vec<dnc::Company> =
            companies.iter().filter_map(|c| self.company(*c)).collect();
        let part = match without {
            W::Dnc(part) => Some(part),
            _ => None,
        };
        let mut rules = self.rules.clone();
        rules.mapped = self.mapped_owners.iter().map(|o| o.cast_signed()).collect();
        rules.why_not(&contacts, &companies, part)
    }

    /// Everybody whom the app shows.
    pub fn everybody(&self) -> BTreeSet<String> {
        self.people
            .keys()
            .chain(self.links.keys())
            .cloned()
            .collect()
    }

    /// The verdict on everybody.
    pub fn verdicts(&self, without: Without) -> BTreeMap<String, Vec<Found>> {
        let everybody = self.everybody().into_iter();
        everybody
            .map(|person| {
                let address = self.address(&person);
                let why = self.why_not(Some(&person), address.as_deref(), without);
                (person, why)
            })
            .collect()
    }

    // ---- lists ----

    /// Audiences and suppression lists: who counts by each member.
    pub fn tables(&self, without: Without) -> BTreeMap<u64, BTreeMap<u64, Counting>> {
        let counting = |list: &Listing, member: u64| {
            let contacts: BTreeSet<u64> = if !list.of_companies {
                [member].into()
            } else if without == Without::ListsOfCompanies {
                BTreeSet::new()
            } else {
                let at = self.at.iter().filter(|(_, company)| *company == member);
                at.map(|(contact, _)| *contact).collect()
            };
            let everybody = self.everybody().into_iter();
            let people = everybody
                .filter(|person| {
                    let address = self.address(person);
                    contacts.iter().any(|c| {
                        let has = |a: &String| self.addresses(*c, without).contains(a);
                        address.as_ref().is_some_and(has)
                            || (without != Without::LinksOnLists
                                && self.links.get(person) == Some(c))
                    })
                })
                .collect();
            (contacts, people)
        };
        self.lists
            .iter()
            .map(|(id, list)| {
                let members = list.members.iter();
                (*id, members.map(|m| (*m, counting(list, *m))).collect())
            })
            .collect()
    }

    // ---- profiles ----

    /// The profile of everybody. Who owns the values of a contact that nobody has the primary address
    /// of, is not said: `owners` are the people who were found to.
    pub fn profiles(
        &self,
        owners: &BTreeSet<String>,
        without: Without,
    ) -> BTreeMap<String, Profile> {
        use Without as W;
        let everybody = self.everybody().into_iter();
        everybody
            .map(|person| {
                let link = self.links.get(&person).copied();
                let holders: BTreeSet<String> = self
                    .links
                    .iter()
                    .filter(|(_, c)| Some(**c) == link)
                    .map(|(p, _)| p.clone())
                    .collect();
                let owns = owners.contains(&person) || without == W::OneOwnsTheValues;
                let theirs = link
                    .and_then(|c| self.contacts.get(&c))
                    .filter(|c| c.lives && owns);
                let own = self.people.get(&person);
                let mut values = BTreeMap::new();
                for row in &self.rows {
                    let app = match row.field.as_str() {
                        "email" => own.and(self.address(&person)),
                        field => own.and_then(|p| p.values.get(field).cloned()),
                    };
                    let theirs = theirs.and_then(|c| Self::value(c, &row.property)).map(|v| {
                        let label = self.labels.get(&(row.property.clone(), v.clone()));
                        match label.filter(|_| without != W::OptionsAreRead) {
                            Some(label) => label.clone(),
                            None if row.property == "email" => v.to_lowercase(),
                            None => v,
                        }
                    });
                    let crm = (row.crm && without != W::CrmMayWin) || without == W::ArtisanMayWin;
                    let winning = match (app, theirs) {
                        (Some(_), Some(theirs)) if crm => Some((theirs, true)),
                        (None, Some(_)) if !crm && without == W::OneValueWins => None,
                        (None, Some(theirs)) => Some((theirs, true)),
                        (Some(app), _) => Some((app, false)),
                        (None, None) => None,
                    };
                    if let Some(winning) = winning {
                        values.insert(row.field.clone(), winning);
                    }
                }
                let mut conflicts = self.claimants(&person, W::Nothing);
                conflicts.retain(|c| link.is_some_and(|link| link != *c));
                if without == W::ConflictsAreShown {
                    conflicts.clear();
                }
                let profile = Profile {
                    contact: link,
                    conflicts,
                    shared_with: holders.into_iter().filter(|p| *p != person).collect(),
                    values,
                };
                (person, profile)
            })
            .collect()
    }

    /// What is wrong with who owns the values: one of those who are a contact, and whoever has its
    /// primary address.
    pub fn wrong_owners(&self, owners: &BTreeSet<String>) -> Vec<String> {
        let contacts: BTreeSet<u64> = self.links.values().copied().collect();
        let mut wrong = Vec::new();
        for contact in contacts {
            let of = self.links.iter().filter(|(_, c)| **c == contact);
            let holders: Vec<&String> = of.map(|(person, _)| person).collect();
            let primary = self.primary(contact);
            let first: Vec<&&String> = holders
                .iter()
                .filter(|p| primary.is_some() && self.address(p) == primary)
                .collect();
            let owning: Vec<&&String> = holders.iter().filter(|p| owners.contains(**p)).collect();
            let is_right = match (owning.as_slice(), first.is_empty()) {
                ([one], false) => first.contains(one),
                ([_], true) => true,
                _ => false,
            };
            if !is_right {
                wrong.push(format!(
                    "{owning:?} own the values of {contact}, of {holders:?}"
                ));
            }
        }
        wrong
    }
}
