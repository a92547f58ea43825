//! A portal beside what it has to be.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, TimelineRule, Timelines};

/// An engagement of the portal that is not in the recycle bin.
#[derive(Debug, Clone, Default)]
pub struct SeenEngagement {
    /// The plural of its type.
    pub plural: String,
    /// `hs_timestamp`, in milliseconds since 1970.
    pub at: Option<i64>,
    /// Its owner.
    pub owner: Option<u64>,
    /// Addresses of the contacts that it is associated with.
    pub contacts: Vec<String>,
    /// Domains of the companies.
    pub companies: Vec<String>,
    /// Values by property, times in milliseconds since 1970; those that are not empty.
    pub values: BTreeMap<String, String>,
}

/// A contact of the portal that is not in the recycle bin.
#[derive(Debug, Clone, Default)]
pub struct SeenContact {
    /// Its address.
    pub email: String,
    /// Its other addresses.
    pub more: BTreeSet<String>,
    /// What the status is written to.
    pub status: Option<String>,
    /// The domains of its companies, and whether as the primary one.
    pub companies: Vec<(String, bool)>,
}

/// What a portal has.
#[derive(Debug, Clone, Default)]
pub struct Portal {
    /// All contacts.
    pub contacts: Vec<SeenContact>,
    /// The domains of all companies.
    pub companies: Vec<String>,
    /// All engagements.
    pub engagements: Vec<SeenEngagement>,
}

impl Timelines {
    /// Where a portal is not as it has to be; what each status becomes is given.
    pub fn differences(
        &self,
        portal: &Portal,
        status: impl Fn(&'static str) -> &'static str,
    ) -> Vec<String> {
        let mut found = Vec::new();
        self.contacts_differ(portal, status, &mut found);
        self.companies_differ(portal, &mut found);
        self.engagements_differ(portal, &mut found);
        found
    }

    /// A portal that is as it has to be; what each status becomes is given.
    pub fn as_portal(&self, status: impl Fn(&'static str) -> &'static str) -> Portal {
        let mut portal = Portal::default();
        let mut contacts: BTreeMap<String, SeenContact> = BTreeMap::new();
        let mut companies = BTreeSet::new();
        for email in self.addresses() {
            companies.extend(self.company_of(&email));
            let contact = self.contact(&email);
            let seen = contacts.entry(contact.clone()).or_default();
            seen.companies = self
                .company_of(&contact)
                .map(|of| (of, true))
                .into_iter()
                .collect();
            seen.status = self
                .statuses
                .get(&contact)
                .map(|told| status(told).to_owned());
            seen.email.clone_from(&contact);
            seen.more
                .extend(Some(email).filter(|email| *email != contact));
        }
        portal.contacts.extend(contacts.into_values());
        portal.companies.extend(companies);
        for entry in self.activities.values().flat_map(|told| &told.entries) {
            portal
                .engagements
                .push(entry.seen_on(self.contact(&entry.contact)));
        }
        portal
    }

    /// Addresses of people who were exported.
    fn addresses(&self) -> BTreeSet<String> {
        let all = self.exported.iter();
        all.map(|id| self.people[id].email.clone().unwrap_or_default())
            .collect()
    }

    fn contacts_differ(
        &self,
        portal: &Portal,
        status: impl Fn(&'static str) -> &'static str,
        found: &mut Vec<String>,
    ) {
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for email in self.addresses() {
            let contact = self.contact(&email);
            let more = wanted.entry(contact.clone()).or_default();
            more.extend(Some(email).filter(|email| *email != contact));
        }
        for contact in &portal.contacts {
            let email = &contact.email;
            let Some(more) = wanted.remove(email) else {
                found.push(format!("{email} is a contact too many"));
                continue;
            };
            if more != contact.more {
                found.push(format!(
                    "{email} has {:?}, should have {more:?}",
                    contact.more
                ));
            }
            let told = self.statuses.get(email).copied().map(&status);
            if told != contact.status.as_deref() {
                let is = &contact.status;
                found.push(format!(
                    "{email} has the status {is:?}, should have {told:?}"
                ));
            }
            let at: Vec<(String, bool)> = self
                .company_of(email)
                .map(|of| (of, true))
                .into_iter()
                .collect();
            if at != contact.companies {
                found.push(format!(
                    "{email} is at {:?}, should be at {at:?}",
                    contact.companies
                ));
            }
        }
        found.extend(
            wanted
                .into_keys()
                .map(|email| format!("{email} is no contact")),
        );
    }

    fn companies_differ(&self, portal: &Portal, found: &mut Vec<String>) {
        let addresses = self.addresses();
        let mut wanted: BTreeSet<String> = addresses
            .iter()
            .filter_map(|email| self.company_of(email))
            .collect();
        for domain in &portal.companies {
            if !wanted.remove(domain) {
                found.push(format!("{domain} is a company too many"));
            }
        }
        found.extend(
            wanted
                .into_iter()
                .map(|domain| format!("{domain} is no company")),
        );
    }

    fn engagements_differ(&self, portal: &Portal, found: &mut Vec<String>) {
        let mut entries: Vec<&Entry> = self
            .activities
            .values()
            .flat_map(|told| &told.entries)
            .collect();
        if self.left_out(TimelineRule::TwinsStayTwo) {
            entries.sort();
            entries.dedup();
        }
        let contacts = |entry: &Entry| -> Vec<String> {
            let on = !self.left_out(TimelineRule::OnTheContact);
            on.then(|| self.contact(&entry.contact))
                .into_iter()
                .collect()
        };
        let mut wanted: BTreeMap<(&str, i64, Vec<String>), Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            let place = (entry.plural, entry.at, contacts(entry));
            wanted.entry(place).or_default().push(entry);
        }
        let mut odd = Vec::new();
        for seen in &portal.engagements {
            let place = (
                seen.plural.as_str(),
                seen.at.unwrap_or(-1),
                seen.contacts.clone(),
            );
            let of = wanted.get_mut(&place);
            let fits = of
                .as_ref()
                .and_then(|of| of.iter().position(|e| self.fits(e, seen)));
            match (of, fits) {
                (Some(of), Some(at)) => {
                    of.swap_remove(at);
                }
                _ => odd.push(seen),
            }
        }
        let mut missing: Vec<&Entry> = wanted.into_values().flatten().collect();
        for seen in odd {
            match missing.iter().position(|entry| entry.resembles(seen)) {
                Some(at) => {
                    let entry = missing.swap_remove(at);
                    let other = entry.differs(seen).unwrap_or_else(|| {
                        format!("on {:?}, should be on {:?}", seen.contacts, contacts(entry))
                    });
                    found.push(format!("one of {}: {other}", seen.plural));
                }
                None => found.push(format!("one too many: {seen:?}")),
            }
        }
        found.extend(
            missing
                .into_iter()
                .map(|entry| format!("missing: {entry:?}")),
        );
    }

    fn fits(&self, entry: &Entry, seen: &SeenEngagement) -> bool {
        if self.left_out(TimelineRule::OnTheCompany) {
            let mut nowhere = entry.clone();
            nowhere.company = None;
            return nowhere.differs(seen).is_none();
        }
        entry.differs(seen).is_none()
    }
}
