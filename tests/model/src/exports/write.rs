//! What an export of one person writes (E2–E7).

use std::collections::BTreeMap;

use super::{
    Behavior, Company, ExportRule, Exports, Fixed, Holds, Id, Link, Outcome, Person, Record, Row,
    Said, Settings, Whose, domains, judge::Asks, values::parts,
};

/// A rule that wants a value.
struct Wants<'a> {
    property: &'static str,
    behavior: Behavior,
    value: String,
    backward: bool,
    whose: &'a Whose,
}

type Changes = BTreeMap<&'static str, String>;

/// What becomes of the status.
enum Told {
    AsBefore,
    Now(&'static str),
}

impl Exports {
    /// Exports somebody.
    pub(super) fn export(&mut self, id: &str, asks: Asks, without: Option<ExportRule>) -> Outcome {
        let person = self.people[id].clone();
        let email = person.email.clone().unwrap_or_default();
        // Whoever exports by hand before the settings are saved does so with none of them.
        let Some(settings) = self.settings.clone() else {
            return Outcome::Skipped("settings_not_saved");
        };
        let by_hand = matches!(asks, Asks::Manual { .. });
        let anew =
            asks == Asks::Manual { anew: true } && without != Some(ExportRule::MadeAnewByHand);
        let linked = self.linked(id);
        let live = linked.clone().filter(|id| self.contacts[id].lives);
        let found = match live {
            Some(contact) => Some((contact, self.links[id].additional)),
            None => self.by_address(&email, without),
        };
        if found.is_none() {
            let removed = linked.is_some() && without != Some(ExportRule::ArchivedStaysAway);
            if removed && !anew {
                return Outcome::Skipped("contact_archived");
            }
            if !settings.make_contacts && without != Some(ExportRule::ContactsUpdateOnly) {
                return Outcome::Skipped("update_only");
            }
        }
        let record = found.as_ref().map(|(id, _)| self.contacts[id].clone());
        let owns = match &found {
            Some((contact, _)) => self.owns(id, contact, without),
            None => true,
        };
        let (changes, told) =
            self.changes_of_contact(&settings, &person, record.as_ref(), owns, by_hand, without);
        if record.is_none() {
            let lacks = self.required.iter().any(|p| !changes.contains_key(p));
            if lacks && without != Some(ExportRule::PortalRequires) {
                return Outcome::Skipped("portal_rule");
            }
            if email.ends_with(self.refused) && without != Some(ExportRule::EmailRefused) {
                return Outcome::Skipped("email_refused");
            }
        }
        let company = self.company_for(&settings, &person, anew, without);
        let contact = match found {
            Some((contact, additional)) => {
                self.links.insert(
                    id.to_owned(),
                    Link {
                        to: contact.clone(),
                        additional,
                    },
                );
                contact
            }
            None => {
                let contact = Id::New(email.clone());
                let mut made = Record {
                    lives: true,
                    ..Record::default()
                };
                made.values.insert("email".to_owned(), email.clone());
                // HubSpot gives one to whoever has none.
                made.values
                    .insert("lifecyclestage".to_owned(), "lead".to_owned());
                self.contacts.insert(contact.clone(), made);
                self.links.insert(
                    id.to_owned(),
                    Link {
                        to: contact.clone(),
                        additional: false,
                    },
                );
                contact
            }
        };
        if !changes.is_empty() {
            self.written.insert(contact.clone());
        }
        let whose = Whose::Person(id.to_owned());
        let holds = self.contact_properties.clone();
        for (property, value) in &changes {
            self.wrote(&whose, property, value, holds.get(property));
        }
        let written = self.contacts.get_mut(&contact).expect("it is there");
        for (property, value) in changes {
            written.values.insert(property.to_owned(), value);
        }
        if let Some(company) = company {
            let primary = written.at.values().any(|primary| *primary);
            let takes = !primary || without == Some(ExportRule::PrimaryOnlyWhereNone);
            if takes && !written.at.get(&company).is_some_and(|primary| *primary) {
                for other in written.at.values_mut() {
                    *other = false;
                }
                let primary = without != Some(ExportRule::PrimaryCompany);
                written.at.insert(company, primary);
            } else {
                written.at.entry(company).or_insert(false);
            }
        }
        if let Told::Now(status) = told {
            self.told.insert(id.to_owned(), status);
        }
        self.exported.insert(id.to_owned());
        Outcome::Exported
    }

    /// Who has the contact's own address owns its values.
    fn owns(&self, id: &str, contact: &Id, without: Option<ExportRule>) -> bool {
        if without == Some(ExportRule::OneOwnsTheValues) {
            return true;
        }
        let primary = self.contacts[contact].values.get("email").cloned();
        let mut holders = self.holders(contact);
        if !holders.contains(&id) {
            holders.push(id);
        }
        let owner = holders.into_iter().min_by_key(|holder| {
            let email = self.people[*holder].email.clone();
            let is = email.is_some_and(|email| {
                primary
                    .as_ref()
                    .is_some_and(|p| p.eq_ignore_ascii_case(&email))
            });
            let additional = self.links.get(*holder).is_none_or(|link| link.additional);
            (!is, additional, (*holder).to_owned())
        });
        owner == Some(id)
    }

    fn wrote(&mut self, whose: &Whose, property: &'static str, value: &str, holds: Option<&Holds>) {
        let said = self.said.entry((whose.clone(), property)).or_default();
        let again = holds.is_some_and(|holds| holds.alike(&said.0, value, None));
        said.1 = if again { said.1 + 1 } else { 1 };
        value.clone_into(&mut said.0);
    }

    fn changes_of_contact(
        &self,
        settings: &Settings,
        person: &Person,
        record: Option<&Record>,
        owns: bool,
        by_hand: bool,
        without: Option<ExportRule>,
    ) -> (Changes, Told) {
        let whose = Whose::Person(person.id.clone());
        let holds = &self.contact_properties;
        let shared = !owns && record.is_some();
        let mut changes = Changes::new();
        let mut put = |wants: Wants<'_>| -> bool {
            match self.decide(holds[wants.property], &wants, record, without) {
                Some(value) => changes.insert(wants.property, value).is_none(),
                None => false,
            }
        };
        let mut told = Told::AsBefore;
        if let (Some(statuses), Some(status)) = (&settings.status, person.status)
            && let Some((_, value)) = statuses.rows.iter().find(|(s, _)| *s == status)
        {
            let again = by_hand && without != Some(ExportRule::StatusAgainByHand);
            let known = self.told.get(&person.id) == Some(&status)
                && without != Some(ExportRule::StatusOnce);
            if !shared && (!known || again || record.is_none()) {
                let has = record.and_then(|r| r.values.get(statuses.property));
                let kept = has.is_some_and(|has| {
                    has == value
                        || self.is_back(statuses.property, has, value) && !statuses.backward
                });
                let wrote = put(Wants {
                    property: statuses.property,
                    behavior: Behavior::Overwrite,
                    value: (*value).to_owned(),
                    backward: statuses.backward && without != Some(ExportRule::StageBackIfSaid),
                    whose: &whose,
                });
                if wrote || kept {
                    told = Told::Now(status);
                }
            }
        }
        if let Some(owner) = self.owner(settings, person, without) {
            put(Wants {
                property: "hubspot_owner_id",
                behavior: owner_behavior(settings, owns, without),
                value: owner,
                backward: false,
                whose: &whose,
            });
        }
        if !shared {
            for (row, value) in self.values(&settings.contacts, holds, &person.fields, without) {
                put(Wants {
                    property: row.property,
                    behavior: row.behavior,
                    value,
                    backward: false,
                    whose: &whose,
                });
            }
            // The address is a field of its own.
            let row = settings.contacts.iter().find(|row| row.field == "email");
            if let (Some(row), Some(email), Some(record)) = (row, &person.email, record) {
                let of = |record: &Record, property: &str| {
                    let all = record.values.get(property).map_or("", String::as_str);
                    all.split(';').any(|a| a.trim().eq_ignore_ascii_case(email))
                };
                let additional = of(record, "hs_additional_emails")
                    && without != Some(ExportRule::AdditionalEmailIsNotWritten);
                let taken = self.contacts.values().any(|other| {
                    other.lives
                        && other != record
                        && (of(other, "email") || of(other, "hs_additional_emails"))
                });
                if !additional && !taken {
                    put(Wants {
                        property: "email",
                        behavior: row.behavior,
                        value: email.clone(),
                        backward: false,
                        whose: &whose,
                    });
                }
            }
        }
        let source = settings.source.iter();
        let source = source.filter(|_| without != Some(ExportRule::ContactSource));
        let fixed = fixed_values(&settings.contact_values, without);
        for fixed in source.chain(fixed) {
            put(stamp(fixed, &whose));
        }
        if record.is_none() {
            changes.insert("email", person.email.clone().unwrap_or_default());
        }
        (changes, told)
    }

    /// The rows that have a value.
    fn values<'r>(
        &self,
        rows: &'r [Row],
        holds: &BTreeMap<&'static str, Holds>,
        fields: &BTreeMap<&'static str, Said>,
        without: Option<ExportRule>,
    ) -> Vec<(&'r Row, String)> {
        let mut all = Vec::new();
        for row in rows {
            let holds = holds[row.property];
            match fields.get(row.field) {
                Some(said) => {
                    let given = holds.given(said, row.table, without);
                    all.extend(given.map(|value| (row, value)));
                }
                None if without == Some(ExportRule::NothingIsCleared) => {
                    all.push((row, String::new()));
                }
                None => {}
            }
        }
        all
    }

    /// The owner whom an export of a person gives, by the settings of now.
    ///
    /// # Panics
    /// Where there is no such person.
    #[must_use]
    pub fn owner_of(&self, person: &str) -> Option<String> {
        self.owner(self.settings.as_ref()?, &self.people[person], None)
    }

    fn owner(
        &self,
        settings: &Settings,
        person: &Person,
        without: Option<ExportRule>,
    ) -> Option<String> {
        let member = person.owner.and_then(|member| self.owners.get(member));
        let member = member.filter(|_| without != Some(ExportRule::OwnerOfMember));
        let fallback = settings.fallback.as_ref();
        let fallback = fallback.filter(|_| without != Some(ExportRule::FallbackOwner));
        member.or(fallback).map(ToString::to_string)
    }

    fn is_back(&self, property: &str, has: &str, wanted: &str) -> bool {
        let place = |stage: &str| self.stages.iter().position(|(value, _)| *value == stage);
        property == "lifecyclestage" && place(wanted) < place(has)
    }

    /// The value that stands there afterwards, if one is written.
    fn decide(
        &self,
        holds: Holds,
        wants: &Wants<'_>,
        record: Option<&Record>,
        without: Option<ExportRule>,
    ) -> Option<String> {
        let value = &wants.value;
        let left_out = |rule| without == Some(rule);
        if wants.behavior == Behavior::DoNotExport && !left_out(ExportRule::DoNotExport) {
            return None;
        }
        let Some(record) = record else {
            return Some(value.clone()).filter(|value| !value.is_empty());
        };
        let has = record.values.get(wants.property);
        if has.is_some_and(|has| holds.alike(has, value, without)) {
            return None;
        }
        let mut after = value.clone();
        match (wants.behavior, has) {
            (Behavior::CreateOnly, _) if !left_out(ExportRule::CreateOnly) => return None,
            (Behavior::FillIfEmpty, Some(_)) if !left_out(ExportRule::FillIfEmpty) => return None,
            (Behavior::Overwrite, Some(_)) if left_out(ExportRule::Overwrite) => return None,
            (Behavior::Append, Some(has)) if !left_out(ExportRule::Append) => {
                let there = parts(has);
                if parts(value).iter().all(|part| there.contains(part)) {
                    return None;
                }
                after = parts(&format!("{has};{value}")).join(";");
            }
            _ => {}
        }
        let back = has.is_some_and(|has| self.is_back(wants.property, has, value));
        if back && !wants.backward && !left_out(ExportRule::StageForward) {
            return None;
        }
        // What comes back changed for the third time is left alone.
        let said = self.said.get(&(wants.whose.clone(), wants.property));
        let fights =
            said.is_some_and(|(said, times)| *times >= 3 && holds.alike(said, &after, None));
        if fights && !left_out(ExportRule::Fights) {
            return None;
        }
        Some(after)
    }

    // ---- companies -----------------------------------------------------------------------------

    /// The person's company: found, or made once for all who need it.
    fn company_for(
        &mut self,
        settings: &Settings,
        person: &Person,
        anew: bool,
        without: Option<ExportRule>,
    ) -> Option<Id> {
        let ours = person
            .company
            .as_ref()
            .and_then(|id| self.companies.get(id))
            .cloned();
        let fields: Vec<Option<&str>> = ours
            .as_ref()
            .map(|of| self.domain_fields(of).map(Some).collect())
            .unwrap_or_default();
        let email = person.email.clone().unwrap_or_default();
        let domains = domains::all(&fields, &email, without);
        let first = domains.first()?.clone();
        let linked = ours
            .as_ref()
            .and_then(|of| self.company_links.get(&of.id))
            .cloned();
        let lives = |id: &Id| self.records.get(id).is_some_and(|record| record.lives);
        let by_link = linked.clone().filter(lives);
        let by_link = by_link.filter(|_| without != Some(ExportRule::LinkedCompany));
        let mut found = by_link.or_else(|| self.by_domains(&domains, without));
        if found.is_none() {
            let away = linked.is_some() && without != Some(ExportRule::ArchivedCompanyStaysAway);
            if away && !anew {
                return None;
            }
            if !settings.make_companies && without != Some(ExportRule::CompaniesUpdateOnly) {
                return None;
            }
            if without != Some(ExportRule::MadeOnce) {
                let made = domains.iter().filter_map(|domain| self.made.get(domain));
                found = made.filter(|id| lives(id)).min().cloned();
            }
        }
        let record = found.as_ref().map(|id| self.records[id].clone());
        let owns = match (&found, &ours) {
            (Some(id), Some(ours)) => self.owns_company(ours, id, without),
            _ => true,
        };
        let whose = ours.as_ref().map_or_else(
            || Whose::CompanyOf(person.id.clone()),
            |of| Whose::Company(of.id.clone()),
        );
        let owner = self.owner(settings, person, without);
        let changes = self.changes_of_company(
            settings,
            (ours.as_ref(), &whose),
            (record.as_ref(), owns),
            owner,
            without,
        );
        let id = found.unwrap_or_else(|| {
            let id = Id::New(first.clone());
            let mut made = Record {
                lives: true,
                ..Record::default()
            };
            made.values.insert("domain".to_owned(), first.clone());
            let name = match ours.as_ref().and_then(|of| of.fields.get("name")) {
                Some(Said::Text(name)) => name.clone(),
                _ => first.clone(),
            };
            made.values.insert("name".to_owned(), name);
            self.records.insert(id.clone(), made);
            for domain in &domains {
                self.made.insert(domain.clone(), id.clone());
            }
            id
        });
        let holds = self.company_properties.clone();
        for (property, value) in &changes {
            self.wrote(&whose, property, value, holds.get(property));
        }
        let written = self.records.get_mut(&id).expect("it is there");
        for (property, value) in changes {
            written.values.insert(property.to_owned(), value);
        }
        if let Some(ours) = ours {
            self.company_links.insert(ours.id, id.clone());
        }
        Some(id)
    }

    /// Of several companies of the app that are one in HubSpot, the one that has its domain.
    fn owns_company(&self, ours: &Company, record: &Id, without: Option<ExportRule>) -> bool {
        if without == Some(ExportRule::CompanyOwnsTheValues) {
            return true;
        }
        let domain = self.records[record].values.get("domain");
        let domain = domain.map(|text| domains::plain(text));
        let linked = self.company_links.iter().filter(|(_, to)| *to == record);
        let mut holders: Vec<&str> = linked.map(|(id, _)| id.as_str()).collect();
        if !holders.contains(&ours.id.as_str()) {
            holders.push(&ours.id);
        }
        let owner = holders.into_iter().min_by_key(|holder| {
            let mut given = self.domain_fields(&self.companies[*holder]);
            let is = given.any(|text| Some(domains::plain(text)) == domain);
            (!is, (*holder).to_owned())
        });
        owner == Some(ours.id.as_str())
    }

    fn changes_of_company(
        &self,
        settings: &Settings,
        (ours, whose): (Option<&Company>, &Whose),
        (record, owns): (Option<&Record>, bool),
        owner: Option<String>,
        without: Option<ExportRule>,
    ) -> Changes {
        let holds = &self.company_properties;
        let mut changes = Changes::new();
        let mut put = |wants: Wants<'_>| {
            let value = self.decide(holds[wants.property], &wants, record, without);
            changes.extend(value.map(|value| (wants.property, value)));
        };
        if let Some(owner) = owner {
            put(Wants {
                property: "hubspot_owner_id",
                behavior: owner_behavior(settings, owns, without),
                value: owner,
                backward: false,
                whose,
            });
        }
        let shared = !owns && record.is_some();
        if let (Some(ours), false) = (ours, shared || without == Some(ExportRule::CompanyTab)) {
            for (row, value) in self.values(&settings.companies, holds, &ours.fields, without) {
                // A company keeps the domain by which it was found.
                if row.property == "domain" {
                    continue;
                }
                put(Wants {
                    property: row.property,
                    behavior: row.behavior,
                    value,
                    backward: false,
                    whose,
                });
            }
        }
        for fixed in fixed_values(&settings.company_values, without) {
            put(stamp(fixed, whose));
        }
        changes
    }
}

fn owner_behavior(settings: &Settings, owns: bool, without: Option<ExportRule>) -> Behavior {
    let overwrites =
        settings.overwrite_owner && owns && without != Some(ExportRule::OwnerOverwritten)
            || without == Some(ExportRule::OwnerStays);
    if overwrites {
        Behavior::Overwrite
    } else {
        Behavior::FillIfEmpty
    }
}

fn fixed_values(all: &[Fixed], without: Option<ExportRule>) -> impl Iterator<Item = &Fixed> {
    all.iter()
        .filter(move |_| without != Some(ExportRule::FixedValues))
}

fn stamp<'a>(fixed: &Fixed, whose: &'a Whose) -> Wants<'a> {
    Wants {
        property: fixed.property,
        behavior: fixed.behavior,
        value: fixed.value.to_owned(),
        backward: false,
        whose,
    }
}
