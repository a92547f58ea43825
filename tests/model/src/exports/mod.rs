//! What exports make of a portal, computed naively from `product.md` and the notes on HubSpot's API
//! alone (E1–E7, X1). One thing after the other: of what happens at the same time only what does not
//! concern the same contact or company is asked about.

pub(crate) mod domains;
mod judge;
mod values;
mod write;

use std::collections::{BTreeMap, BTreeSet};

pub use values::{Holds, Said};

/// A rule, to be left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ExportRule {
    Policy,
    QualifiedEarlier,
    ConfirmedBulk,
    ManualWhateverThePolicy,
    KeptUpToDate,
    OnlyMappedFields,
    StatusWaits,
    NewestStatus,
    NoEmail,
    EmailRefused,
    ContactsUpdateOnly,
    CompaniesUpdateOnly,
    PortalRequires,
    ArchivedStaysAway,
    MadeAnewByHand,
    AdditionalEmails,
    AdditionalEmailIsNotWritten,
    OneOwnsTheValues,
    FillIfEmpty,
    Overwrite,
    CreateOnly,
    Append,
    DoNotExport,
    NothingIsCleared,
    TableOfOptions,
    Labels,
    BadValues,
    Alike,
    StageForward,
    StageBackIfSaid,
    StatusOnce,
    StatusAgainByHand,
    OwnerOfMember,
    FallbackOwner,
    OwnerStays,
    OwnerOverwritten,
    ContactSource,
    FixedValues,
    WebsiteFirst,
    RegisteredDomain,
    FreeMailIsNobodys,
    AdditionalDomains,
    PrimaryDomainFirst,
    LowestCompany,
    MadeOnce,
    ArchivedCompanyStaysAway,
    LinkedCompany,
    CompanyTab,
    CompanyOwnsTheValues,
    PrimaryCompany,
    PrimaryOnlyWhereNone,
    Fights,
}

impl ExportRule {
    /// All of them.
    pub const ALL: [Self; 52] = [
        Self::Policy,
        Self::QualifiedEarlier,
        Self::ConfirmedBulk,
        Self::ManualWhateverThePolicy,
        Self::KeptUpToDate,
        Self::OnlyMappedFields,
        Self::StatusWaits,
        Self::NewestStatus,
        Self::NoEmail,
        Self::EmailRefused,
        Self::ContactsUpdateOnly,
        Self::CompaniesUpdateOnly,
        Self::PortalRequires,
        Self::ArchivedStaysAway,
        Self::MadeAnewByHand,
        Self::AdditionalEmails,
        Self::AdditionalEmailIsNotWritten,
        Self::OneOwnsTheValues,
        Self::FillIfEmpty,
        Self::Overwrite,
        Self::CreateOnly,
        Self::Append,
        Self::DoNotExport,
        Self::NothingIsCleared,
        Self::TableOfOptions,
        Self::Labels,
        Self::BadValues,
        Self::Alike,
        Self::StageForward,
        Self::StageBackIfSaid,
        Self::StatusOnce,
        Self::StatusAgainByHand,
        Self::OwnerOfMember,
        Self::FallbackOwner,
        Self::OwnerStays,
        Self::OwnerOverwritten,
        Self::ContactSource,
        Self::FixedValues,
        Self::WebsiteFirst,
        Self::RegisteredDomain,
        Self::FreeMailIsNobodys,
        Self::AdditionalDomains,
        Self::PrimaryDomainFirst,
        Self::LowestCompany,
        Self::MadeOnce,
        Self::ArchivedCompanyStaysAway,
        Self::LinkedCompany,
        Self::CompanyTab,
        Self::CompanyOwnsTheValues,
        Self::PrimaryCompany,
        Self::PrimaryOnlyWhereNone,
        Self::Fights,
    ];
}

/// A record of HubSpot's: one that is there, or one that an export makes, by its address or domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Id {
    Known(u64),
    New(String),
}

/// A contact or a company.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Not in the recycle bin.
    pub lives: bool,
    /// Values by property, those that are not empty.
    pub values: BTreeMap<String, String>,
    /// Of a contact: its companies, and whether as the primary one.
    pub at: BTreeMap<Id, bool>,
}

/// Somebody in the app.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Person {
    pub id: String,
    pub email: Option<String>,
    pub fields: BTreeMap<&'static str, Said>,
    pub status: Option<&'static str>,
    pub owner: Option<&'static str>,
    pub company: Option<String>,
    /// Milliseconds since 1970, as the next two.
    pub contacted: Option<i64>,
    pub replied: Option<i64>,
    pub positively: Option<i64>,
}

/// A company in the app.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Company {
    pub id: String,
    pub fields: BTreeMap<&'static str, Said>,
}

/// What an export does with a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Behavior {
    FillIfEmpty,
    Overwrite,
    CreateOnly,
    Append,
    DoNotExport,
}

/// A row of the mapping.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Row {
    pub field: &'static str,
    pub property: &'static str,
    pub behavior: Behavior,
    /// Which option a value becomes.
    pub table: &'static [(&'static str, &'static str)],
}

/// A fixed value.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Fixed {
    pub property: &'static str,
    pub value: &'static str,
    pub behavior: Behavior,
}

/// Statuses and what a property gets for them.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Statuses {
    pub property: &'static str,
    pub rows: Vec<(&'static str, &'static str)>,
    pub backward: bool,
}

/// Whom the workspace exports by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Policy {
    Contacted,
    Replied,
    RepliedPositively,
}

impl Policy {
    /// When somebody came to qualify, who was contacted, replied, and replied positively then: a reply is
    /// a contact, too, and a positive reply a reply.
    pub(crate) fn qualified(self, facts: [Option<i64>; 3]) -> Option<i64> {
        facts[self as usize..].iter().flatten().min().copied()
    }
}

/// The settings of the workspace.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Settings {
    pub policy: Policy,
    /// Since when the policy is this one, as facts of people.
    pub since: i64,
    pub make_contacts: bool,
    pub make_companies: bool,
    pub contacts: Vec<Row>,
    pub companies: Vec<Row>,
    pub source: Option<Fixed>,
    pub contact_values: Vec<Fixed>,
    pub company_values: Vec<Fixed>,
    pub status: Option<Statuses>,
    pub fallback: Option<u64>,
    pub overwrite_owner: bool,
}

/// Something happens in the app.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Op {
    /// The app says what somebody is.
    Person(Person),
    /// The same of a company.
    Company(Company),
    /// One lead is exported by hand.
    Export { person: String, anew: bool },
    /// People are exported by the policy.
    Bulk { people: Vec<String>, earlier: bool },
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Outcome {
    Exported,
    Skipped(&'static str),
    /// Until the person is exported.
    Waits,
}

/// What became of the requests about each person, by their kind.
pub type Outcomes = BTreeMap<(String, &'static str), Outcome>;

/// Which contact somebody is.
#[derive(Debug, Clone, PartialEq)]
struct Link {
    to: Id,
    /// By one of the contact's additional addresses.
    additional: bool,
}

/// Whose values were written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Person(String),
    Company(String),
    CompanyOf(String),
}

/// A portal and a workspace that exports to it.
#[derive(Debug, Clone)]
pub struct Exports {
    /// The settings; none before an admin saved them.
    pub settings: Option<Settings>,
    /// What the properties of contacts hold, those that anything is said about.
    pub contact_properties: BTreeMap<&'static str, Holds>,
    /// The same of companies.
    pub company_properties: BTreeMap<&'static str, Holds>,
    /// Lifecycle stages in their order.
    pub stages: &'static [(&'static str, &'static str)],
    /// Properties that the portal requires of new contacts.
    pub required: Vec<&'static str>,
    /// Ends of addresses that HubSpot does not take.
    pub refused: &'static str,
    /// The owner for each team member that has one.
    pub owners: BTreeMap<&'static str, u64>,
    /// The app's people.
    pub people: BTreeMap<String, Person>,
    /// The app's companies.
    pub companies: BTreeMap<String, Company>,
    /// HubSpot's contacts.
    pub contacts: BTreeMap<Id, Record>,
    /// HubSpot's companies.
    pub records: BTreeMap<Id, Record>,
    /// What was merged away, and into what.
    pub merged: BTreeMap<u64, u64>,
    /// Contacts that were written, since it was last emptied.
    pub written: BTreeSet<Id>,
    links: BTreeMap<String, Link>,
    company_links: BTreeMap<String, Id>,
    exported: BTreeSet<String>,
    told: BTreeMap<String, &'static str>,
    waiting: BTreeSet<String>,
    /// What was last written, and how often in a row.
    said: BTreeMap<(Whose, &'static str), (String, usize)>,
    /// Companies that exports made, by domain.
    made: BTreeMap<String, Id>,
}

impl Exports {
    /// A workspace that has not exported anything.
    pub fn new(
        contact_properties: BTreeMap<&'static str, Holds>,
        company_properties: BTreeMap<&'static str, Holds>,
        stages: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            settings: None,
            contact_properties,
            company_properties,
            stages,
            required: Vec::new(),
            refused: "",
            owners: BTreeMap::new(),
            people: BTreeMap::new(),
            companies: BTreeMap::new(),
            contacts: BTreeMap::new(),
            records: BTreeMap::new(),
            merged: BTreeMap::new(),
            written: BTreeSet::new(),
            links: BTreeMap::new(),
            company_links: BTreeMap::new(),
            exported: BTreeSet::new(),
            told: BTreeMap::new(),
            waiting: BTreeSet::new(),
            said: BTreeMap::new(),
            made: BTreeMap::new(),
        }
    }

    /// The portal was read, and links have followed: an address that a live contact has is that
    /// contact, unless somebody is another live one.
    pub fn arrive(
        &mut self,
        contacts: BTreeMap<Id, Record>,
        records: BTreeMap<Id, Record>,
        ids: &BTreeMap<String, u64>,
    ) {
        // What was made has an id by now.
        let known = |id: &Id| match id {
            Id::New(key) => ids.get(key).map_or_else(|| id.clone(), |n| Id::Known(*n)),
            Id::Known(_) => id.clone(),
        };
        for link in self.links.values_mut() {
            link.to = known(&link.to);
        }
        for id in self
            .company_links
            .values_mut()
            .chain(self.made.values_mut())
        {
            *id = known(id);
        }
        self.contacts = contacts;
        self.records = records;
        for (person, of) in self.people.clone() {
            let lives = self
                .linked(&person)
                .is_some_and(|id| self.contacts[&id].lives);
            if let (false, Some(email)) = (lives, &of.email)
                && let Some((to, additional)) = self.by_address(email, None)
            {
                self.links.insert(person, Link { to, additional });
            }
        }
        for (company, of) in self.companies.clone() {
            let lives = self
                .company_links
                .get(&company)
                .is_some_and(|id| self.records.get(id).is_some_and(|r| r.lives));
            let given = self.domain_fields(&of).map(domains::plain);
            // A record without additional domains has an empty text there.
            let given: Vec<String> = given.filter(|domain| !domain.is_empty()).collect();
            if !lives && let Some(to) = self.by_domains(&given, None) {
                self.company_links.insert(company, to);
            }
        }
    }

    /// The contact that somebody is linked to.
    pub fn linked(&self, person: &str) -> Option<Id> {
        let link = self.links.get(person)?;
        let mut id = link.to.clone();
        while let Id::Known(n) = &id
            && let Some(into) = self.merged.get(n)
        {
            id = Id::Known(*into);
        }
        self.contacts.contains_key(&id).then_some(id)
    }

    /// Whether somebody was exported.
    pub fn is_exported(&self, person: &str) -> bool {
        self.exported.contains(person)
    }

    /// The company of HubSpot's that one of the app's is linked to.
    pub fn linked_company(&self, company: &str) -> Option<&Id> {
        self.company_links.get(company)
    }

    /// Who is linked to a contact.
    pub fn holders(&self, contact: &Id) -> Vec<&str> {
        let all = self.links.keys().map(String::as_str);
        all.filter(|person| self.linked(person).as_ref() == Some(contact))
            .collect()
    }

    /// What an export of somebody may be about: two that have one of these in common are not to happen
    /// at the same time.
    pub fn concerns(&self, op: &Op) -> BTreeSet<String> {
        match op {
            Op::Person(after) => {
                let mut all = self.concerns_person(after);
                all.extend(
                    self.people
                        .get(&after.id)
                        .into_iter()
                        .flat_map(|p| self.concerns_person(p)),
                );
                all
            }
            Op::Company(after) => {
                let people = self.people.values();
                let at = people.filter(|p| p.company.as_ref() == Some(&after.id));
                let mut all: BTreeSet<String> = at.flat_map(|p| self.concerns_person(p)).collect();
                all.extend(self.concerns_company(Some(after), ""));
                all
            }
            Op::Export { person, .. } => self.concerns_person(&self.people[person]),
            Op::Bulk { people, .. } => people
                .iter()
                .flat_map(|p| self.concerns_person(&self.people[p]))
                .collect(),
        }
    }

    fn concerns_person(&self, person: &Person) -> BTreeSet<String> {
        let email = person.email.clone().unwrap_or_default();
        let mut all = BTreeSet::from([format!("person {}", person.id), format!("address {email}")]);
        let contact = self.linked(&person.id);
        let contact = contact.or_else(|| self.by_address(&email, None).map(|(id, _)| id));
        all.extend(contact.map(|id| format!("contact {id:?}")));
        all.extend(person.company.iter().map(|id| format!("company {id}")));
        let company = person.company.as_ref().and_then(|c| self.companies.get(c));
        all.extend(self.concerns_company(company, &email));
        all
    }

    fn concerns_company(&self, company: Option<&Company>, email: &str) -> BTreeSet<String> {
        let mut all: BTreeSet<String> = company
            .map(|of| format!("company {}", of.id))
            .into_iter()
            .collect();
        let versions = company.map(|c| (c, self.companies.get(&c.id)));
        let both = versions.into_iter().flat_map(|(c, old)| [Some(c), old]);
        for of in both.chain([None]) {
            let fields: Vec<Option<&str>> = of
                .map(|of| self.domain_fields(of).map(Some).collect())
                .unwrap_or_default();
            let domains = domains::all(&fields, email, None);
            let found = of.and_then(|of| self.company_links.get(&of.id).cloned());
            let found = found.or_else(|| self.by_domains(&domains, None));
            all.extend(found.map(|id| format!("record {id:?}")));
            all.extend(domains.into_iter().map(|d| format!("domain {d}")));
        }
        all
    }

    fn domain_fields<'c>(&self, company: &'c Company) -> impl Iterator<Item = &'c str> + use<'c> {
        ["domain", "website"]
            .into_iter()
            .filter_map(|field| match company.fields.get(field) {
                Some(Said::Text(text)) => Some(text.as_str()),
                _ => None,
            })
    }

    /// The live contact that has an address, and whether as an additional one.
    fn by_address(&self, email: &str, without: Option<ExportRule>) -> Option<(Id, bool)> {
        let is = |text: &str| text.trim().eq_ignore_ascii_case(email);
        let live = || self.contacts.iter().filter(|(_, c)| c.lives);
        let has = |c: &Record, property: &str| {
            let all = c.values.get(property).map_or("", String::as_str);
            all.split(';').any(is)
        };
        let primary = live().find(|(_, c)| has(c, "email"));
        let additional = || {
            live()
                .find(|(_, c)| has(c, "hs_additional_emails"))
                .filter(|_| without != Some(ExportRule::AdditionalEmails))
        };
        match primary {
            Some((id, _)) => Some((id.clone(), false)),
            None => additional().map(|(id, _)| (id.clone(), true)),
        }
    }

    /// The live company that has one of these domains: its own before additional ones, then the lowest.
    fn by_domains(&self, domains: &[String], without: Option<ExportRule>) -> Option<Id> {
        let has = |record: &Record, property: &str| {
            let all = record.values.get(property).map_or("", String::as_str);
            all.split(';')
                .any(|text| domains.contains(&domains::plain(text)))
        };
        let live: Vec<(&Id, &Record)> = self.records.iter().filter(|(_, r)| r.lives).collect();
        let of = |property: &'static str| -> Vec<&Id> {
            let all = live.iter().filter(|(_, r)| has(r, property));
            all.map(|(id, _)| *id).collect()
        };
        let primary = of("domain");
        let additional = if without == Some(ExportRule::AdditionalDomains) {
            Vec::new()
        } else {
            of("hs_additional_domains")
        };
        let best = if without == Some(ExportRule::PrimaryDomainFirst) {
            let mut all: Vec<&Id> = primary.into_iter().chain(additional).collect();
            all.sort();
            all
        } else if primary.is_empty() {
            additional
        } else {
            primary
        };
        let chosen = if without == Some(ExportRule::LowestCompany) {
            best.last()
        } else {
            best.first()
        };
        chosen.map(|id| (*id).clone())
    }
}
