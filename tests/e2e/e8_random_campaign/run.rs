//! A portal and a workspace in which a campaign takes place.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::DateTime;
use dev::demo::Api;
use e2e::{
    activities::{listed, logged, push},
    door::Door,
    exports::{entries, live, writes},
    mirrored::ties_of,
    planted::{Planted, change_settings, number},
    stacks::until_within,
    store_of,
};
use futures::{StreamExt as _, stream};
use model::timeline::{Op, Portal, SeenContact, SeenEngagement, TimelineRule, Timelines};
use serde_json::{Value, json};

use super::{
    plan::{Phase, Plan, Size, Then, lead_status},
    say,
};
use crate::{e1_bulk, x1_activities::landed};

/// Activities or people that are sent in one call.
const AT_ONCE: usize = 20;
/// People who are looked at beside each other.
const LOOKS: usize = 4;
const ENGAGEMENTS: [&str; 6] = [
    "emails",
    "communications",
    "calls",
    "meetings",
    "notes",
    "tasks",
];
/// Properties that hold a time.
const TIMES: [&str; 3] = [
    "hs_timestamp",
    "hs_meeting_start_time",
    "hs_meeting_end_time",
];

pub(super) struct World {
    p: Planted,
    door: Door,
    plan: Plan,
    seed: u64,
    fallback: u64,
    patience: Duration,
    versions: BTreeMap<String, u64>,
}

impl World {
    /// A portal with owners, and a workspace with their team.
    pub(super) async fn new(api: &Api, settings: Value, seed: u64, size: Size) -> Self {
        let p = Planted::on(api, settings).await;
        let mut owners = [0; 3];
        for (n, owner) in owners.iter_mut().enumerate() {
            let body = json!({"email": format!("m{}@team-ex.com", n + 1)});
            let made = p.tenant.control("POST", "owners", Some(body)).await;
            *owner = number(&made["id"]).cast_unsigned();
        }
        let door = p.connect().await;
        // Nobody in HubSpot has the address of the third one.
        let members = json!({"items": [
            {"id": "m1", "version": 1, "email": "m1@team-ex.com"},
            {"id": "m2", "version": 1, "email": "m2@team-ex.com"},
            {"id": "m3", "version": 1, "email": "somebody@team-ex.com"},
        ]});
        door.ok("POST", "/members", Some(members)).await;
        let now = || chrono::Utc::now().timestamp_millis();
        let slow = Duration::from_millis(100) * u32::try_from(size.activities).unwrap();
        Self {
            p,
            door,
            plan: Plan::new(seed, size, owners, now),
            seed,
            fallback: owners[2],
            patience: Duration::from_secs(180) + slow,
            versions: BTreeMap::new(),
        }
    }

    pub(super) fn next(&mut self) -> Option<Phase> {
        self.plan.next(self.fallback)
    }

    /// What breaks on the way, until it is quiet.
    pub(super) async fn strike(&self, nth: u64) {
        let answer = |name: &str| json!({"answer": {"name": name}});
        let (all, records) = ("/crm/", "/crm/objects/2026-09/");
        let rules = [
            (None, all, 0.02, json!("after"), answer("bad_gateway")),
            (None, all, 0.02, json!("before"), answer("unavailable")),
            (None, all, 0.01, json!("after"), json!("cut")),
            (Some("POST"), records, 0.05, json!("after"), json!("drop")),
            (Some("POST"), records, 0.03, json!("before"), json!("drop")),
            (
                Some("POST"),
                records,
                0.03,
                json!({"later_ms": 1_500}),
                json!("drop"),
            ),
            (Some("PATCH"), records, 0.10, json!("after"), json!("drop")),
            (
                Some("PATCH"),
                records,
                0.05,
                json!({"later_ms": 1_500}),
                json!("drop"),
            ),
            (Some("DELETE"), records, 0.20, json!("after"), json!("drop")),
        ];
        for (n, (method, path, probability, when, effect)) in rules.into_iter().enumerate() {
            let seed = self.seed.wrapping_add(100 * nth + n as u64);
            let rule = json!({
                "method": method, "path": path, "when": when, "effect": effect,
                "probability": probability, "seed": seed,
            });
            self.p.tenant.control("POST", "faults", Some(rule)).await;
        }
    }

    /// Lets all this happen, in the order given.
    pub(super) async fn carry_out(&mut self, ops: &[Op]) {
        let mut rest = ops;
        while let Some(first) = rest.first() {
            let alike = |op: &Op| match first {
                Op::Person(_) => matches!(op, Op::Person(_)),
                Op::Activity(_) => matches!(op, Op::Activity(_)),
                _ => false,
            };
            let some = rest.iter().take(AT_ONCE).take_while(|op| alike(op)).count();
            let (now, later) = rest.split_at(some.max(1));
            rest = later;
            self.call(now).await;
        }
    }

    async fn call(&mut self, ops: &[Op]) {
        let mut people = Vec::new();
        let mut activities = Vec::new();
        for op in ops {
            match op {
                Op::Person(person) => {
                    let version = self.versions.entry(person.id.clone()).or_default();
                    *version += 1;
                    people.push(say::person(person, *version));
                }
                Op::Activity(sent) => activities.push(say::activity(sent)),
                Op::Save(settings) => {
                    let into = |document: &mut Value| say::into_document(settings, document);
                    change_settings(&self.door, into).await;
                }
                Op::Export(person) => {
                    let body = json!({"person": person});
                    self.door.ok("POST", "/exports", Some(body)).await;
                }
                Op::Bulk { people, .. } => {
                    e1_bulk::export_in_bulk(&self.door, e1_bulk::people(people)).await;
                }
                Op::TakenOver { activity, owner } => self.take_over(activity, *owner).await,
                Op::Merged { primary, other } => self.merge(primary, other).await,
            }
        }
        if !people.is_empty() {
            let known = ["created", "updated", "unchanged"];
            for outcome in self.door.people(json!(people)).await {
                assert!(known.contains(&outcome.as_str()), "{outcome}");
            }
        }
        if !activities.is_empty() {
            for answer in push(&self.door, &activities).await {
                assert_ne!(answer["outcome"], "refused", "{answer}");
            }
        }
    }

    async fn take_over(&self, activity: &str, owner: u64) {
        let newest = &self.plan.model.activities[activity].newest;
        let engagement = logged(&self.door, &newest.person, activity).await;
        let engagement = engagement.unwrap_or_else(|| panic!("{activity} is not there"));
        let of = listed(&self.door, &newest.person).await;
        let of = of.iter().find(|a| a["id"] == activity).unwrap();
        let plural = match of["kind"].as_str().unwrap() {
            "linkedin_message" | "linkedin_connection_request" => "communications".to_owned(),
            kind => format!("{kind}s"),
        };
        let properties = json!({"hubspot_owner_id": owner.to_string()});
        self.p.set(&plural, engagement, properties).await;
    }

    async fn merge(&self, primary: &str, other: &str) {
        let contacts = live(&self.p, "contacts").await;
        let id = |person: &str| {
            let email = self.plan.model.people[person].email.clone();
            let is = |c: &&Value| c["properties"]["email"].as_str() == email.as_deref();
            number(&contacts.iter().find(is).expect("a contact")["id"])
        };
        let body = json!({"type": "contacts", "primary": id(primary), "other": id(other)});
        self.p.tenant.control("POST", "merges", Some(body)).await;
    }

    /// Waits until it may go on; where it is quiet, the portal is as it has to be.
    pub(super) async fn wait_for(&self, then: Then) {
        match then {
            Then::Goes => {}
            Then::ExportsEnd => self.exports_end().await,
            Then::Quiet => {
                self.exports_end().await;
                self.activities_end().await;
                self.rechecks_end().await;
                self.p.tenant.control("DELETE", "faults", None).await;
                landed(&self.p).await;
                let portal = self.portal().await;
                let found = self.plan.model.differences(&portal, lead_status);
                if !found.is_empty() {
                    panic!("{found:#?} {:#?}", self.told_of(&found).await);
                }
            }
        }
    }

    /// The journals of those whose addresses these name, and of whoever shares a contact with them.
    async fn told_of(&self, found: &[String]) -> Vec<Value> {
        let named = |id: &String| {
            let email = self.plan.model.people[id].email.as_ref();
            email.is_some_and(|email| found.iter().any(|line| line.contains(email)))
        };
        let mut who: BTreeSet<&String> = self
            .plan
            .model
            .people
            .keys()
            .filter(|id| named(id))
            .collect();
        for op in &self.plan.done {
            if let Op::Merged { primary, other } = op
                && (who.contains(primary) || who.contains(other))
            {
                who.extend([primary, other]);
            }
        }
        self.journals(who).await
    }

    async fn journals(&self, people: impl IntoIterator<Item = &String>) -> Vec<Value> {
        let mut told = Vec::new();
        for id in people {
            let path = format!("/people/{id}/journal?limit=1000");
            told.push(self.door.ok("GET", &path, None).await);
        }
        told
    }

    async fn exports_end(&self) {
        until_within("exports have ended", self.patience, async || {
            let summary = self.door.ok("GET", "/exports/summary", None).await;
            let failed = summary["failed"].as_object().unwrap();
            assert!(failed.values().all(|n| *n == 0), "{summary}");
            let waiting = summary["waiting"].as_object().unwrap();
            let mut waiting = waiting.iter();
            summary["accepted"] == 0
                && waiting.all(|(reason, n)| reason == "person_not_exported" || *n == 0)
        })
        .await;
    }

    async fn rechecks_end(&self) {
        let store = store_of(self.p.tenant.api.addresses()).await;
        until_within(
            "new contacts were looked at again",
            self.patience,
            async || store.rechecks_left(self.p.tenant.workspace).await == 0,
        )
        .await;
    }

    async fn activities_end(&self) {
        let mut of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (id, told) in &self.plan.model.activities {
            of.entry(&told.newest.person).or_default().insert(id);
        }
        stream::iter(&of)
            .for_each_concurrent(LOOKS, |(person, ids)| self.ended(person, ids))
            .await;
    }

    async fn ended(&self, person: &str, ids: &BTreeSet<&str>) {
        let deadline = tokio::time::Instant::now() + self.patience;
        loop {
            let all = listed(&self.door, person).await;
            let failed = all.iter().find(|a| a["outcome"]["state"] == "failed");
            assert!(failed.is_none(), "{failed:#?}");
            assert_eq!(all.len(), ids.len(), "{person}: {all:#?}");
            let other = all.iter().find(|shown| {
                let told = &self.plan.model.activities[shown["id"].as_str().unwrap()];
                !say::is_as(shown, &told.newest, told.stands)
            });
            let Some(other) = other else {
                // No engagement is that of two.
                let there: Vec<_> = all.iter().filter(|a| !a["engagement"].is_null()).collect();
                let named = |a: &&Value| {
                    let kind = a["kind"].as_str().unwrap_or_default();
                    (
                        kind.replace("connection_request", "message"),
                        a["engagement"].to_string(),
                    )
                };
                let each: BTreeSet<_> = there.iter().map(named).collect();
                assert_eq!(each.len(), there.len(), "{person}: {all:#?}");
                return;
            };
            let told = &self.plan.model.activities[other["id"].as_str().unwrap()];
            assert!(
                tokio::time::Instant::now() < deadline,
                "{person}: {other}, should be {:?}: {:?}",
                told.stands,
                told.newest
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn portal(&self) -> Portal {
        let text = |record: &Value, name: &str| {
            let value = record["properties"][name].as_str();
            value.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let mut portal = Portal::default();
        let mut domains: BTreeMap<String, String> = BTreeMap::new();
        for company in live(&self.p, "companies").await {
            let domain = text(&company, "domain").unwrap_or_default();
            portal.companies.push(domain.clone());
            domains.insert(company["id"].as_str().unwrap().to_owned(), domain);
        }
        let domain = |id: &str| domains.get(id).cloned().unwrap_or_default();
        let mut addresses: BTreeMap<String, String> = BTreeMap::new();
        for contact in live(&self.p, "contacts").await {
            let email = text(&contact, "email").unwrap_or_default();
            addresses.insert(contact["id"].as_str().unwrap().to_owned(), email.clone());
            let more = text(&contact, "hs_additional_emails").unwrap_or_default();
            let mut at: BTreeMap<String, bool> = BTreeMap::new();
            for (to, id, label) in ties_of(&contact) {
                if to == "companies" {
                    *at.entry(domain(&id)).or_default() |= label == "contact_to_company";
                }
            }
            portal.contacts.push(SeenContact {
                email,
                more: more
                    .split(';')
                    .filter(|m| !m.is_empty())
                    .map(str::to_owned)
                    .collect(),
                status: text(&contact, "hs_lead_status"),
                companies: at.into_iter().collect(),
            });
        }
        for plural in ENGAGEMENTS {
            for record in live(&self.p, plural).await {
                let mut seen = SeenEngagement {
                    plural: plural.to_owned(),
                    owner: text(&record, "hubspot_owner_id").and_then(|id| id.parse().ok()),
                    ..SeenEngagement::default()
                };
                for (to, id, _) in ties_of(&record) {
                    match to.as_str() {
                        "contacts" => {
                            let of = addresses.get(&id).cloned();
                            seen.contacts.push(of.unwrap_or_default());
                        }
                        "companies" => seen.companies.push(domain(&id)),
                        other => panic!("{record} is on one of {other}"),
                    }
                }
                for name in record["properties"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|p| p.0)
                {
                    let Some(mut value) = text(&record, name) else {
                        continue;
                    };
                    if TIMES.contains(&name.as_str()) {
                        let at = DateTime::parse_from_rfc3339(&value).expect("a time");
                        value = at.timestamp_millis().to_string();
                    }
                    seen.values.insert(name.clone(), value);
                }
                seen.at = seen
                    .values
                    .get("hs_timestamp")
                    .and_then(|at| at.parse().ok());
                portal.engagements.push(seen);
            }
        }
        portal
    }

    /// Nothing is open, and nothing is left to write. The portal, and which rules could be left out without
    /// that it would be another one.
    pub(super) async fn assert_over(&self) -> (Portal, Vec<TimelineRule>) {
        for person in self.plan.model.people.keys() {
            let open = entries(&self.door, person, "open").await;
            assert!(open.is_empty(), "{person}: {open:#?}");
        }
        let (before, began) = (writes(&self.p).await, chrono::Utc::now());
        let people = self.plan.model.people.keys();
        let exported = people.filter(|id| self.plan.model.is_exported(id));
        let exported: Vec<String> = exported.cloned().collect();
        e1_bulk::export_in_bulk(&self.door, e1_bulk::people(&exported)).await;
        if writes(&self.p).await != before {
            let mut written = self.journals(self.plan.model.people.keys()).await;
            for journal in &mut written {
                let late = |entry: &Value| {
                    let at = entry["opened_at"].as_str().unwrap_or_default();
                    at.parse()
                        .is_ok_and(|at: DateTime<chrono::Utc>| at >= began)
                };
                let items = journal["items"].as_array_mut().unwrap();
                items.retain(late);
            }
            written.retain(|journal| journal["items"] != json!([]));
            panic!("nothing is left to write: {written:#?}");
        }
        let portal = self.portal().await;
        let found = self.plan.model.differences(&portal, lead_status);
        assert!(found.is_empty(), "{found:#?}");
        let unnoticed = |rule: &TimelineRule| {
            let owners = self.plan.model.owners.clone();
            let broken = Timelines::new(owners, Some(*rule)).after(&self.plan.done);
            broken.differences(&portal, lead_status).is_empty()
        };
        let unnoticed = TimelineRule::ALL.into_iter().filter(unnoticed).collect();
        (portal, unnoticed)
    }
}
