//! What happens at random, in the app and in HubSpot.

use std::collections::{BTreeMap, BTreeSet};

use e2e::planted::number;
use model::exports::{Behavior, Company, Id, Op, Person, Policy, Said, Settings};
use serde_json::{Value, json};

use super::{
    run::Run,
    showcase::now,
    words::{self, STAGES, stages, text},
};

const PLACES: usize = 5;
const STATUSES: [&str; 4] = ["contacted", "replied", "interested", "unsubscribed"];
const MEMBERS: [&str; 3] = ["m1", "m2", "m3"];

/// A domain of few, as people write it, and the field that takes it so.
fn site(n: usize, way: usize) -> (&'static str, Said) {
    let ways = [
        ("domain", "rnd-{}-ex.com"),
        ("website", "https://www.Rnd-{}-ex.com/x?y"),
        ("domain", "RND-{}-EX.com."),
        ("domain", "//rnd-{}-ex.com:80"),
    ];
    let (field, way) = ways[way % ways.len()];
    (field, text(&way.replace("{}", &n.to_string())))
}

impl Run {
    fn value(&mut self) -> (&'static str, Said) {
        let n = self.random.below(6);
        match self.random.below(11) {
            0 | 1 => ("first_name", text(&format!("First {n}"))),
            2 => ("last_name", text(&format!("Last {n}"))),
            3 => ("job_title", text(&format!("Title {n}"))),
            4 => ("city", text(&format!("City {n}"))),
            5 => ("phone", text(&format!("+49 30 {n}"))),
            6 => {
                let numbers = [0.5, 1200.0, 12.5, 3.0, -1.0, 0.0];
                ("lead_score", Said::Number(numbers[n]))
            }
            7 if n.is_multiple_of(2) => ("custom.since", text(&format!("2026-0{}-01", n + 1))),
            7 => (
                "custom.seen",
                text(&format!("2026-0{}-01T08:30:00Z", n + 1)),
            ),
            8 => ("email_verified", Said::YesNo(n.is_multiple_of(2))),
            9 => {
                let levels = [
                    "small",
                    "Small fry",
                    "BIG FISH",
                    "the boss",
                    "Nonsense",
                    "exec",
                ];
                ("seniority", text(levels[n]))
            }
            _ => {
                let tags: [&[&str]; 6] = [
                    &["red"],
                    &["Blue"],
                    &["red", "green"],
                    &["blue", "red"],
                    &["Nonsense"],
                    &["green"],
                ];
                (
                    "tags",
                    Said::List(tags[n].iter().map(|t| (*t).to_owned()).collect()),
                )
            }
        }
    }

    fn fact(&mut self, person: &mut Person) {
        let place = match self.random.below(3) {
            0 => &mut person.contacted,
            1 => &mut person.replied,
            _ => &mut person.positively,
        };
        if place.is_none() {
            *place = Some(now());
        }
    }

    fn new_person(&mut self) -> Person {
        self.counter += 1;
        let id = format!("random-{}", self.counter);
        let place = self.random.below(PLACES + 1);
        let domain = if place == PLACES {
            "gmail.com".to_owned()
        } else {
            format!("rnd-{place}-ex.com")
        };
        let met = if self.random.flip() {
            self.unmet.pop()
        } else {
            None
        };
        let email = met.unwrap_or_else(|| format!("{id}@{domain}"));
        let at = self.random.below(PLACES);
        let company = format!("random-{at}");
        let mut person = Person {
            id,
            email: (self.random.below(12) > 0).then_some(email),
            company: (self.random.flip() && self.model.companies.contains_key(&company))
                .then_some(company),
            owner: self.random.flip().then(|| MEMBERS[self.random.below(3)]),
            status: self.random.flip().then(|| STATUSES[self.random.below(4)]),
            ..Person::default()
        };
        if self.random.below(8) > 0 {
            person.fields.insert("language", text("en"));
        }
        for _ in 0..self.random.below(6) {
            let (field, value) = self.value();
            person.fields.insert(field, value);
        }
        if self.random.below(4) > 0 {
            self.fact(&mut person);
        }
        person
    }

    fn changed(&mut self, id: &str) -> Person {
        let mut person = self.model.people[id].clone();
        match self.random.below(8) {
            0 => person.status = Some(STATUSES[self.random.below(4)]),
            1 => person.owner = Some(MEMBERS[self.random.below(3)]),
            2 => self.fact(&mut person),
            3 => {
                let company = format!("random-{}", self.random.below(PLACES));
                if self.model.companies.contains_key(&company) {
                    person.company = Some(company);
                }
            }
            4 if self.is_alone(id) => {
                self.counter += 1;
                let place = self.random.below(PLACES);
                person.email = Some(format!("moved{}@rnd-{place}-ex.com", self.counter));
            }
            5 => {
                let field = self.value().0;
                person.fields.remove(field);
            }
            _ => {
                for _ in 0..=self.random.below(2) {
                    let (field, value) = self.value();
                    person.fields.insert(field, value);
                }
            }
        }
        person
    }

    /// Whether nobody else is the same contact, and no contact has been merged into it.
    fn is_alone(&self, id: &str) -> bool {
        self.model.linked(id).is_none_or(|contact| {
            self.model.holders(&contact).len() == 1
                && !self
                    .model
                    .merged
                    .values()
                    .any(|into| Id::Known(*into) == contact)
        })
    }

    /// A company as the app says it next, where it does not matter who of its people is exported for it.
    fn company(&mut self) -> Option<Company> {
        let at = self.random.below(PLACES);
        let id = format!("random-{at}");
        let people = self.model.people.values();
        let people: Vec<&Person> = people
            .filter(|p| p.company.as_ref() == Some(&id) && self.model.is_exported(&p.id))
            .collect();
        let one = people.iter().all(|p| {
            let contact = self.model.linked(&p.id);
            p.owner == people[0].owner
                && p.email.is_some()
                && contact.is_some_and(|contact| self.model.contacts[&contact].lives)
        });
        if !one {
            return None;
        }
        let known = self.model.companies.get(&id).cloned();
        let way = self.random.below(4);
        let mut company = known.unwrap_or_else(|| Company {
            id,
            fields: BTreeMap::from([site(at, way)]),
        });
        let n = self.random.below(5);
        let (field, value) = match self.random.below(5) {
            0 => ("name", text(&format!("Company {n}"))),
            1 => ("industry", text(&format!("Industry {n}"))),
            2 => ("employees", Said::Number([1.0, 10.0, 12.0, 2.5, 0.0][n])),
            3 => ("city", text(&format!("City {n}"))),
            _ => ("description", text(&format!("Description {n}"))),
        };
        company.fields.insert(field, value);
        Some(company)
    }

    fn random_op(&mut self) -> Option<Op> {
        let people: Vec<String> = self
            .model
            .people
            .keys()
            .filter(|id| id.starts_with("random"))
            .cloned()
            .collect();
        Some(match self.random.below(12) {
            0..=3 => Op::Person(self.new_person()),
            4..=7 => {
                let id = self.random.of(&people)?.clone();
                Op::Person(self.changed(&id))
            }
            8 => Op::Company(self.company()?),
            9 | 10 => Op::Export {
                person: self.random.of(&people)?.clone(),
                anew: self.random.below(3) == 0,
            },
            _ => Op::Bulk {
                people: vec![self.random.of(&people)?.clone()],
                earlier: self.random.flip(),
            },
        })
    }

    /// Operations that do not concern each other, beside some that are given.
    pub(super) fn beside(&mut self, mut ops: Vec<Op>, more: usize) -> Vec<Op> {
        let mut concerned: BTreeSet<String> =
            ops.iter().flat_map(|op| self.model.concerns(op)).collect();
        for _ in 0..more {
            let Some(op) = self.random_op() else {
                continue;
            };
            let concerns = self.model.concerns(&op);
            if concerned.is_disjoint(&concerns) {
                concerned.extend(concerns);
                ops.push(op);
            }
        }
        ops
    }

    // ---- in HubSpot ----------------------------------------------------------------------------

    fn contact_of_somebody(&mut self) -> Option<(String, u64)> {
        let people: Vec<String> = self
            .model
            .people
            .keys()
            .filter(|id| id.starts_with("random") && self.is_alone(id))
            .cloned()
            .collect();
        let person = self.random.of(&people)?.clone();
        match self.model.linked(&person)? {
            Id::Known(id) if self.model.contacts[&Id::Known(id)].lives => Some((person, id)),
            _ => None,
        }
    }

    /// Something happens in HubSpot, of each contact one thing.
    pub(super) async fn in_hubspot(&mut self, touched: &mut BTreeSet<u64>) {
        let done = match self.random.below(10) {
            0 | 1 => self.plant_contact().await,
            2 => self.plant_company().await,
            3 => self.archive(touched).await,
            4 => self.merge(touched).await,
            5 => self.edit_company().await,
            _ => self.edit_contact(touched).await,
        };
        if let Some(name) = done {
            *self.done.entry(name).or_default() += 1;
        }
    }

    /// Of an address that somebody in the app may have later.
    async fn plant_contact(&mut self) -> Option<&'static str> {
        let place = self.random.below(PLACES);
        self.counter += 1;
        let n = self.counter;
        let email = format!("Met{n}@Rnd-{place}-ex.com");
        self.unmet.push(email.to_lowercase());
        let properties = if self.random.flip() {
            json!({"email": email, "firstname": "Theirs"})
        } else {
            json!({"email": format!("main{n}@rnd-{place}-ex.com"), "hs_additional_emails": email})
        };
        self.p.record("contacts", properties, &[]).await;
        Some("plant contact")
    }

    async fn plant_company(&mut self) -> Option<&'static str> {
        let place = self.random.below(PLACES);
        let mut properties = json!({"name": "Theirs", "domain": format!("rnd-{place}-ex.com")});
        if self.random.flip() {
            self.counter += 1;
            properties["domain"] = json!(format!("own-{}-ex.com", self.counter));
            properties["hs_additional_domains"] = json!(format!("rnd-{place}-ex.com"));
        }
        self.p.record("companies", properties, &[]).await;
        Some("plant company")
    }

    async fn archive(&mut self, touched: &mut BTreeSet<u64>) -> Option<&'static str> {
        let (_, id) = self.contact_of_somebody()?;
        if !touched.insert(id) {
            return None;
        }
        let path = format!("records/contacts/{id}");
        self.p.tenant.control("DELETE", &path, None).await;
        Some("archive")
    }

    async fn merge(&mut self, touched: &mut BTreeSet<u64>) -> Option<&'static str> {
        let (one, primary) = self.contact_of_somebody()?;
        let (two, other) = self.contact_of_somebody()?;
        let has = |person: &str, id: u64| {
            let email = self.model.people[person].email.clone().unwrap_or_default();
            let values = &self.model.contacts[&Id::Known(id)].values;
            values
                .get("email")
                .is_some_and(|is| is.eq_ignore_ascii_case(&email))
        };
        let fits = primary != other && has(&one, primary) && has(&two, other);
        if !fits || touched.contains(&primary) || touched.contains(&other) {
            return None;
        }
        let body = json!({"type": "contacts", "primary": primary, "other": other});
        let merged = self.p.tenant.control("POST", "merges", Some(body)).await;
        let id = number(&merged["id"]).cast_unsigned();
        touched.extend([primary, other, id]);
        for old in [primary, other] {
            if old != id {
                self.model.merged.insert(old, id);
            }
        }
        Some("merge")
    }

    async fn edit_contact(&mut self, touched: &mut BTreeSet<u64>) -> Option<&'static str> {
        let (_, id) = self.contact_of_somebody()?;
        if !touched.insert(id) {
            return None;
        }
        let n = self.random.below(4);
        let of = |all: &[&'static str]| all[n];
        let properties: Value = match self.random.below(9) {
            0 => json!({"firstname": of(&["", "Theirs", " First 1 ", "First 2"])}),
            1 => json!({"lastname": of(&["", "Theirs", "Last 1", "Last 2"])}),
            2 => json!({"model_score": of(&["", "12.50", "3", "7"])}),
            3 => json!({"model_tags": of(&["", "red", "green;red", "blue"])}),
            4 => json!({"model_level": of(&["", "small", "big", "exec"])}),
            5 => json!({"lifecyclestage": STAGES[n + 1].0}),
            6 => json!({"hs_lead_status": of(&["", "NEW", "OPEN", "CONNECTED"])}),
            7 => json!({"hubspot_owner_id": ""}),
            _ => json!({"model_fixed": of(&["", "silver", "gold", "bronze"])}),
        };
        self.p.set("contacts", id.cast_signed(), properties).await;
        Some("edit contact")
    }

    async fn edit_company(&mut self) -> Option<&'static str> {
        let ids: Vec<u64> = (0..PLACES)
            .filter_map(
                |n| match self.model.linked_company(&format!("random-{n}"))? {
                    Id::Known(id) if self.model.records[&Id::Known(*id)].lives => Some(*id),
                    _ => None,
                },
            )
            .collect();
        let id = *self.random.of(&ids)?;
        let n = self.random.below(3);
        let of = |all: &[&'static str]| all[n];
        let properties = match self.random.below(3) {
            0 => json!({"industry": of(&["", "Theirs", "Industry 1"])}),
            1 => json!({"numberofemployees": of(&["", "12.0", "99"])}),
            _ => json!({"name": of(&["Theirs", "Company 1", "Company 2"])}),
        };
        self.p.set("companies", id.cast_signed(), properties).await;
        Some("edit company")
    }

    // ---- settings ------------------------------------------------------------------------------

    pub(super) fn random_settings(&mut self, fallback: u64) -> Settings {
        use Behavior::{Append, CreateOnly, DoNotExport, FillIfEmpty, Overwrite};
        let mut settings = words::settings(fallback);
        let random = &mut self.random;
        settings.policy = [
            Policy::Contacted,
            Policy::Replied,
            Policy::RepliedPositively,
        ][random.below(3)];
        settings.make_contacts = random.below(4) > 0;
        settings.make_companies = random.below(4) > 0;
        settings.overwrite_owner = random.flip();
        settings.fallback = random.flip().then_some(fallback);
        let behaviors = [FillIfEmpty, Overwrite, CreateOnly, DoNotExport];
        let rows = settings.contacts.iter_mut().chain(&mut settings.companies);
        for row in rows {
            row.behavior = match row.field {
                // What the portal requires, and what records are known by.
                "language" | "domain" => row.behavior,
                "email" => behaviors[random.below(2)],
                "tags" if random.flip() => Append,
                _ => behaviors[random.below(4)],
            };
        }
        let stamp = [FillIfEmpty, Overwrite, CreateOnly];
        let fixed = settings
            .contact_values
            .iter_mut()
            .chain(&mut settings.company_values);
        for fixed in fixed.chain(&mut settings.source) {
            fixed.behavior = stamp[random.below(3)];
        }
        settings.status = match random.below(4) {
            0 => None,
            1 => settings.status,
            n => Some(stages(n == 2)),
        };
        settings
    }
}
