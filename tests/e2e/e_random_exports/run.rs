//! A portal and a workspace, and what is known of both.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use e2e::{
    door::Door,
    journals::journal,
    mirrored,
    periodic::sync,
    planted::{Planted, change_settings, number},
    previews::Previewed,
    profiles::{World, until},
    random::Random,
};
use model::exports::{
    Company, ExportRule, Exports, Id, Op, Outcome, Outcomes, Person, Record, Settings,
};
use serde_json::{Value, json};
use store::Store;

use super::words;
use crate::i3_support::reconcile;

/// How long the requests of a wave may take, whatever strikes.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) type Records = BTreeMap<Id, Record>;

/// What a wave came to.
pub(super) struct Observed {
    pub(super) outcomes: Outcomes,
    pub(super) contacts: Records,
    pub(super) companies: Records,
    /// Contacts that were there before, and that HubSpot was asked to change.
    pub(super) patched: BTreeSet<Id>,
}

pub(super) struct Run {
    pub(super) p: Planted,
    pub(super) world: World,
    pub(super) store: Store,
    pub(super) random: Random,
    pub(super) model: Exports,
    versions: BTreeMap<String, u64>,
    /// Requests that have ended.
    ended: BTreeSet<String>,
    /// The last request that HubSpot saw.
    seq: u64,
    /// Rules that were left out without anybody noticing.
    pub(super) unnoticed: Vec<ExportRule>,
    /// For what has to be another one each time.
    pub(super) counter: u64,
    /// Addresses of contacts that nobody in the app has yet.
    pub(super) unmet: Vec<String>,
    /// What was done, how often.
    pub(super) done: BTreeMap<&'static str, usize>,
}

fn record(of: &Value, plural: &str) -> (Id, Record) {
    let id = Id::Known(number(&of["id"]).cast_unsigned());
    let values = of["properties"].as_object().into_iter().flatten();
    let values = values.filter_map(|(name, value)| {
        let text = value.as_str().filter(|text| !text.is_empty())?;
        Some((name.clone(), text.to_owned()))
    });
    let mut record = Record {
        lives: of["archived"] != true,
        values: values.collect(),
        at: BTreeMap::new(),
    };
    if plural == "contacts" {
        for (to, id, label) in mirrored::ties_of(of) {
            if to == "companies" {
                let company = Id::Known(id.parse().unwrap());
                let primary = record.at.entry(company).or_insert(false);
                *primary |= label == "contact_to_company";
            }
        }
    }
    (id, record)
}

impl Run {
    pub(super) fn new(
        p: Planted,
        door: Door,
        store: Store,
        random: Random,
        model: Exports,
    ) -> Self {
        let world = World {
            tenant: p.tenant.clone(),
            door,
            store: store.clone(),
        };
        Self {
            p,
            world,
            store,
            random,
            model,
            versions: BTreeMap::new(),
            ended: BTreeSet::new(),
            seq: 0,
            unnoticed: ExportRule::ALL.to_vec(),
            counter: 0,
            unmet: Vec::new(),
            done: BTreeMap::new(),
        }
    }

    pub(super) fn door(&self) -> &Door {
        &self.world.door
    }

    async fn read(&self, plural: &str) -> Records {
        let all = mirrored::records_of(&self.p.tenant, plural).await;
        all.iter().map(|of| record(of, plural)).collect()
    }

    /// Lets what was done in HubSpot arrive, and links follow.
    pub(super) async fn arrive(&mut self) {
        let portal = mirrored::portal(&self.p.tenant).await;
        let deadline = Instant::now() + PATIENCE;
        let mut syncs = 0;
        loop {
            sync(&self.p.tenant).await;
            syncs += 1;
            let mirror = mirrored::mirror(&self.p.tenant, &self.store).await;
            let told = mirrored::differences(&mirror, &portal);
            if told.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "never arrives: {told:#?}");
            if syncs > 1 {
                reconcile(&self.p.tenant).await;
            }
        }
        let (contacts, companies) = (self.read("contacts").await, self.read("companies").await);
        self.follow(contacts, companies, &BTreeMap::new()).await;
    }

    async fn follow(&mut self, contacts: Records, companies: Records, ids: &BTreeMap<String, u64>) {
        self.world.all_is_seen().await;
        until("links follow", async || self.world.follow().await).await;
        self.model.arrive(contacts, companies, ids);
        self.model.written.clear();
    }

    /// Who everybody is, beside what it should be.
    pub(super) async fn check_links(&self) {
        let people: Vec<&String> = self.model.people.keys().collect();
        for chunk in people.chunks(100) {
            let body = json!({"people": chunk});
            let bulk = self.door().ok("POST", "/profiles", Some(body)).await;
            for profile in bulk["items"].as_array().unwrap() {
                let person = profile["id"].as_str().unwrap();
                let link = Some(&profile["link"]).filter(|link| link["archived"] != true);
                let is = link.and_then(|link| link["hubspot_id"].as_u64());
                let is = is.map(Id::Known);
                let wanted = self.model.linked(person);
                let wanted = wanted.filter(|id| self.model.contacts[id].lives);
                assert_eq!(is, wanted, "{person} is another contact: {profile}");
            }
        }
    }

    /// Saves settings.
    pub(super) async fn save(&mut self, mut settings: Settings) {
        let known = self.model.settings.as_ref();
        settings.since = match known.filter(|known| known.policy == settings.policy) {
            Some(known) => known.since,
            None => chrono::Utc::now().timestamp_millis(),
        };
        let random = &mut self.random;
        let door = self.world.door.clone();
        change_settings(&door, |document| {
            words::into_document(&settings, document, || random.flip());
        })
        .await;
        self.model.settings = Some(settings);
    }

    fn version(&mut self, id: &str) -> u64 {
        let version = self.versions.entry(id.to_owned()).or_insert(0);
        *version += 1;
        *version
    }

    async fn say(&mut self, person: &Person) {
        let version = self.version(&person.id);
        let at = |millis: Option<i64>| {
            millis.map(|millis| chrono::DateTime::from_timestamp_millis(millis).unwrap())
        };
        let mut fields: BTreeMap<&str, Value> = person
            .fields
            .iter()
            .map(|(field, value)| (*field, words::said(value)))
            .collect();
        // What is not said stays as it was.
        let before = self.model.people.get(&person.id);
        for field in before.into_iter().flat_map(|before| before.fields.keys()) {
            fields.entry(field).or_insert(Value::Null);
        }
        let item = json!([{
            "id": person.id, "version": version, "email": person.email, "company": person.company,
            "owner": person.owner, "status": person.status, "contacted_at": at(person.contacted),
            "replied_at": at(person.replied), "replied_positively_at": at(person.positively),
            "fields": fields,
        }]);
        let outcome = self.door().people(item).await;
        assert!(
            ["created", "updated", "unchanged"].contains(&outcome[0].as_str()),
            "{outcome:?}"
        );
    }

    async fn say_company(&mut self, company: &Company) {
        let version = self.version(&format!("company {}", company.id));
        let fields: BTreeMap<&str, Value> = company
            .fields
            .iter()
            .map(|(field, value)| (*field, words::said(value)))
            .collect();
        let item = json!({"items": [{"id": company.id, "version": version, "fields": fields}]});
        let answer = self.door().ok("POST", "/companies", Some(item)).await;
        assert_ne!(answer["items"][0]["outcome"], "refused", "{answer}");
    }

    async fn carry_out(&mut self, op: &Op) {
        let name = match op {
            Op::Person(person) => {
                self.say(person).await;
                "person"
            }
            Op::Company(company) => {
                self.say_company(company).await;
                "company"
            }
            Op::Export { person, anew } => {
                let body = json!({"person": person, "anew": anew});
                self.door().ok("POST", "/exports", Some(body)).await;
                "export"
            }
            Op::Bulk { people, earlier } => {
                let body = json!({"people": people, "include_earlier": earlier});
                self.door().ok("POST", "/bulk-exports", Some(body)).await;
                "bulk"
            }
        };
        *self.done.entry(name).or_default() += 1;
    }

    /// All requests.
    async fn requests(&self) -> Vec<Value> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/exports?limit=1000{after}");
            let page = self.door().ok("GET", &path, None).await;
            all.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return all,
            }
        }
    }

    /// Waits until every request has ended, or waits for its person; what came of those that had not.
    async fn outcomes(&mut self) -> Outcomes {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = self.requests().await;
            let goes_on: Vec<&Value> = all
                .iter()
                .map(|request| &request["outcome"])
                .filter(|outcome| match outcome["state"].as_str() {
                    Some("waiting") => outcome["reason"] != "person_not_exported",
                    Some("accepted") => true,
                    _ => false,
                })
                .collect();
            if goes_on.is_empty() {
                return self.look_through(&all);
            }
            assert!(Instant::now() < deadline, "still {goes_on:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn look_through(&mut self, all: &[Value]) -> Outcomes {
        let mut outcomes = Outcomes::new();
        for request in all {
            let id = request["request"].as_str().unwrap();
            if self.ended.contains(id) {
                continue;
            }
            let text =
                |value: &Value| -> &'static str { known(value.as_str().unwrap_or_default()) };
            let outcome = &request["outcome"];
            let mut kind = text(&request["kind"]);
            let what = match text(&outcome["state"]) {
                "exported" => Outcome::Exported,
                "skipped" => Outcome::Skipped(text(&outcome["reason"])),
                "waiting" => Outcome::Waits,
                _ => panic!("{request}"),
            };
            if what != Outcome::Waits {
                self.ended.insert(id.to_owned());
            }
            if what == Outcome::Skipped("superseded") {
                kind = "superseded";
            }
            let person = request["person"].as_str().unwrap().to_owned();
            let twice = outcomes.insert((person, kind), what);
            assert!(twice.is_none() || twice == Some(what), "{request}");
        }
        outcomes
    }

    async fn patched(&mut self) -> BTreeSet<Id> {
        let path = format!("requests?since_seq={}", self.seq + 1);
        let log = self.p.tenant.control("GET", &path, None).await;
        let mut all = BTreeSet::new();
        for request in log["requests"].as_array().into_iter().flatten() {
            self.seq = self.seq.max(request["seq"].as_u64().unwrap_or(0));
            let path = request["path"].as_str().unwrap_or_default();
            let contact = path.strip_prefix("/crm/objects/2026-09/contacts/");
            if request["method"] == "PATCH" {
                all.extend(contact.and_then(|id| id.parse().ok()).map(Id::Known));
            }
        }
        all
    }

    /// Exports everybody by hand, one by one: what is written is what the preview showed. Once more, and
    /// nothing is, but the owner of a company whose people have several, where owners are overwritten: the one
    /// who was exported last gives it theirs.
    pub(super) async fn as_previewed(&mut self) {
        let people: Vec<String> = self.model.people.keys().cloned().collect();
        let mut values = 0;
        for is_again in [false, true] {
            for person in &people {
                let previewed = Previewed::of(self.door(), person).await;
                let op = Op::Export {
                    person: person.clone(),
                    anew: false,
                };
                let before = self.model.clone();
                self.wave(std::slice::from_ref(&op)).await;
                let written = previewed.was_kept(self.door(), None).await;
                if is_again {
                    let passed_on = owners_passed_on(&before, &self.model, person);
                    assert_eq!(
                        written, passed_on,
                        "{person} was written again: {previewed:#?}"
                    );
                }
                values += written;
            }
        }
        assert!(values > 0, "nothing was to be shown");
        self.done.insert("value as previewed", values);
    }

    /// Those who were to be exported by hand, and whose contacts were written, with their journals, for whoever
    /// looks for the cause of a difference.
    async fn told_of(&self, ops: &[Op], patched: &BTreeSet<Id>) -> Vec<String> {
        let asked = ops.iter().filter_map(|op| match op {
            Op::Export { person, .. } => Some(person),
            _ => None,
        });
        let written = self.model.people.keys().filter(|person| {
            let contact = self.model.linked(person);
            contact.is_some_and(|contact| patched.contains(&contact))
        });
        let mut told = Vec::new();
        for person in asked.chain(written).collect::<BTreeSet<_>>() {
            let journal = journal(self.door(), std::slice::from_ref(person)).await;
            let newest = &journal[journal.len().saturating_sub(3)..];
            let contact = self.model.linked(person);
            let known = contact.as_ref().and_then(|id| self.model.contacts.get(id));
            let said = &self.model.people[person];
            told.push(format!("{said:#?} is {contact:?}: {known:#?} {newest:#?}"));
        }
        told
    }

    /// All this happens at once. What comes of it is as the model has it, and with a rule left out not.
    pub(super) async fn wave(&mut self, ops: &[Op]) {
        let before = self.model.clone();
        self.patched().await;
        for op in ops {
            self.carry_out(op).await;
        }
        let observed = Observed {
            outcomes: self.outcomes().await,
            patched: self.patched().await,
            contacts: self.read("contacts").await,
            companies: self.read("companies").await,
        };
        let mut after = before.clone();
        let outcomes = after.wave(ops, None);
        let (found, ids) = differences(&before, &after, &outcomes, &observed);
        if !found.is_empty() {
            panic!(
                "{found:#?}\n{ops:#?}\n{:#?}\n{}\n{:#?}\n{:#?}",
                self.done,
                companies(&before),
                before.settings,
                self.told_of(ops, &observed.patched).await
            );
        }
        unnoticed(&mut self.unnoticed, &before, ops, &observed);
        self.model = after;
        self.follow(observed.contacts, observed.companies, &ids)
            .await;
    }
}

/// How many companies got the owner of whoever was exported, where they had that of somebody else there.
///
/// # Panics
/// Where anything else of a record changed.
fn owners_passed_on(before: &Exports, after: &Exports, person: &str) -> usize {
    assert_eq!(
        before.contacts, after.contacts,
        "{person} was written again"
    );
    assert!(
        before.records.keys().eq(after.records.keys()),
        "{person} made a company again"
    );
    let mut passed_on = 0;
    for (id, was) in &before.records {
        let is = &after.records[id];
        if was == is {
            continue;
        }
        let there = after.people.values().filter(|other| {
            let contact = after.linked(&other.id);
            let contact = contact.and_then(|contact| after.contacts.get(&contact));
            other.id != person && contact.is_some_and(|contact| contact.at.contains_key(id))
        });
        let owners: BTreeSet<String> = there
            .filter_map(|other| after.owner_of(&other.id))
            .collect();
        let held = &was.values["hubspot_owner_id"];
        assert!(owners.contains(held), "{person} changed {was:?} again");
        let owner = after.owner_of(person).expect("an owner for everybody");
        let mut wanted = was.clone();
        wanted.values.insert("hubspot_owner_id".to_owned(), owner);
        let modified = "hs_lastmodifieddate";
        wanted
            .values
            .insert(modified.to_owned(), is.values[modified].clone());
        assert_eq!(&wanted, is, "{person} changed more than an owner again");
        passed_on += 1;
    }
    passed_on
}

/// What a model knows of companies, for whoever looks for the cause of a difference.
fn companies(model: &Exports) -> String {
    let records = model.records.iter().map(|(id, record)| {
        let of = |name: &str| record.values.get(name).cloned().unwrap_or_default();
        let (domain, more) = (of("domain"), of("hs_additional_domains"));
        format!(
            "{id:?} lives {} domain {domain:?} and {more:?}",
            record.lives
        )
    });
    let apps = model.companies.iter().map(|(id, company)| {
        let of = |name: &str| company.fields.get(name);
        let (domain, website) = (of("domain"), of("website"));
        let linked = model.linked_company(id);
        format!("{id} is {linked:?}: {domain:?} {website:?}")
    });
    records.chain(apps).collect::<Vec<_>>().join("\n")
}

/// Words of the API that the model knows as well.
fn known(text: &str) -> &'static str {
    const WORDS: &[&str] = &[
        "exported",
        "skipped",
        "waiting",
        "failed",
        "policy",
        "field_change",
        "status",
        "manual",
        "bulk",
        "no_email",
        "email_refused",
        "not_contacted",
        "not_replied",
        "not_replied_positively",
        "qualified_earlier",
        "superseded",
        "update_only",
        "contact_archived",
        "contact_gone",
        "portal_rule",
        "person_not_exported",
    ];
    let found = WORDS.iter().find(|word| **word == text);
    found.unwrap_or_else(|| panic!("{text} is not expected"))
}

/// Keeps the rules that can be left out without a difference.
pub(super) fn unnoticed(
    rules: &mut Vec<ExportRule>,
    before: &Exports,
    ops: &[Op],
    observed: &Observed,
) {
    rules.retain(|rule| {
        let mut without = before.clone();
        let outcomes = without.wave(ops, Some(*rule));
        differences(before, &without, &outcomes, observed)
            .0
            .is_empty()
    });
}

/// Where the portal is not as the model has it, and the ids of what was made.
pub(super) fn differences(
    before: &Exports,
    model: &Exports,
    outcomes: &Outcomes,
    observed: &Observed,
) -> (Vec<String>, BTreeMap<String, u64>) {
    let mut found = Vec::new();
    let requests: BTreeSet<_> = outcomes.keys().chain(observed.outcomes.keys()).collect();
    for request in requests {
        let (is, should) = (observed.outcomes.get(request), outcomes.get(request));
        if is != should {
            found.push(format!("{request:?} is {is:?}, should be {should:?}"));
        }
    }
    let mut ids = BTreeMap::new();
    let mut made = |key: &str, old: &Records, all: &Records, wanted: &Records| {
        let new = all.iter().filter(|(id, _)| !old.contains_key(*id));
        let mut missing: BTreeSet<&String> = wanted
            .keys()
            .filter_map(|id| match id {
                Id::New(key) => Some(key),
                Id::Known(_) => None,
            })
            .collect();
        for (id, record) in new {
            let key = record.values.get(key).cloned().unwrap_or_default();
            if !missing.remove(&key) {
                found.push(format!("{key} is one too many: {record:?}"));
            } else if let Id::Known(n) = id {
                ids.insert(key, *n);
            }
        }
        found.extend(missing.into_iter().map(|key| format!("{key} was not made")));
    };
    made(
        "email",
        &before.contacts,
        &observed.contacts,
        &model.contacts,
    );
    made(
        "domain",
        &before.records,
        &observed.companies,
        &model.records,
    );
    let known = |id: &Id| match id {
        Id::New(key) => ids.get(key).map(|n| Id::Known(*n)),
        Id::Known(_) => Some(id.clone()),
    };
    for (properties, wanted, all) in [
        (
            &model.contact_properties,
            &model.contacts,
            &observed.contacts,
        ),
        (
            &model.company_properties,
            &model.records,
            &observed.companies,
        ),
    ] {
        for (id, wanted) in wanted {
            let Some(is) = known(id).and_then(|id| all.get(&id)) else {
                continue;
            };
            for (property, holds) in properties {
                let pair = (is.values.get(*property), wanted.values.get(*property));
                let same = match pair {
                    (Some(is), Some(wanted)) => holds.alike(is, wanted, None),
                    (None, None) => true,
                    (None, Some(wanted)) => wanted.is_empty(),
                    (Some(_), None) => false,
                };
                if !same {
                    found.push(format!(
                        "{id:?} {property} is {:?}, should be {:?}",
                        pair.0, pair.1
                    ));
                }
            }
            let at: BTreeMap<Id, bool> = wanted
                .at
                .iter()
                .filter_map(|(company, primary)| Some((known(company)?, *primary)))
                .collect();
            if is.at != at || at.len() != wanted.at.len() {
                found.push(format!(
                    "{id:?} is at {:?}, should be at {:?}",
                    is.at, wanted.at
                ));
            }
        }
    }
    let written = model.written.iter().filter(|id| matches!(id, Id::Known(_)));
    let written: BTreeSet<Id> = written.cloned().collect();
    if written != observed.patched {
        found.push(format!(
            "{:?} were written, should be {written:?}",
            observed.patched
        ));
    }
    (found, ids)
}
