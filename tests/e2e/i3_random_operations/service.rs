//! What the service says, beside what was recomputed.

use std::collections::{BTreeMap, BTreeSet};

use e2e::{planted::number, profiles::until};
use model::{
    dnc::Found,
    profiles::Profile,
    whole::{Counting, Whole, Without},
};
use serde_json::{Value, json};
use store::VerdictPass;

use super::{
    app::now,
    run::{MAPPED, Run},
};

/// What the service says.
struct Observed {
    people: BTreeSet<String>,
    profiles: BTreeMap<String, Profile>,
    owners: BTreeSet<String>,
    tables: BTreeMap<u64, BTreeMap<u64, Counting>>,
    verdicts: BTreeMap<String, Vec<Found>>,
    emails: BTreeMap<String, Vec<Found>>,
}

/// Where the two differ.
fn compare(
    observed: &Observed,
    whole: &Whole,
    before: &Whole,
    still: bool,
    without: Without,
) -> Vec<String> {
    fn differ<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
        what: &str,
        is: &BTreeMap<K, V>,
        should: &BTreeMap<K, V>,
        found: &mut Vec<String>,
    ) {
        let keys: BTreeSet<&K> = is.keys().chain(should.keys()).collect();
        for key in keys {
            let (is, should) = (is.get(key), should.get(key));
            if is != should {
                found.push(format!("{what} {key:?} is {is:?}, should be {should:?}"));
            }
        }
    }
    let mut found = whole.wrong_links(before, still, without);
    if observed.people != whole.everybody() {
        let everybody = whole.everybody();
        let differing: Vec<&String> = observed.people.symmetric_difference(&everybody).collect();
        found.push(format!("people differ: {differing:?}"));
    }
    found.extend(whole.wrong_owners(&observed.owners));
    let profiles = whole.profiles(&observed.owners, without);
    differ("profile", &observed.profiles, &profiles, &mut found);
    differ("list", &observed.tables, &whole.tables(without), &mut found);
    differ(
        "verdict",
        &observed.verdicts,
        &whole.verdicts(without),
        &mut found,
    );
    let emails = observed.emails.keys().map(|email| {
        let why = whole.why_not(None, Some(&email.to_lowercase()), without);
        (email.clone(), why)
    });
    differ("address", &observed.emails, &emails.collect(), &mut found);
    found
}

fn found(verdict: &Value) -> Vec<Found> {
    const RULES: [&str; 8] = [
        "suppression_list",
        "open_deal",
        "customer",
        "lost_deal",
        "opted_out",
        "in_hubspot",
        "unmapped_owner",
        "recent_touch",
    ];
    const KINDS: [&str; 4] = ["contact", "company", "deal", "list"];
    let reasons = verdict["reasons"].as_array().into_iter().flatten();
    let name = |names: &[&'static str], value: &Value| -> &'static str {
        let known = names.iter().find(|n| *value == **n);
        known.unwrap_or_else(|| panic!("{verdict:#}"))
    };
    let mut all: Vec<Found> = reasons
        .map(|reason| {
            let record = &reason["record"];
            let kind = name(&KINDS, &record["type"]);
            (name(&RULES, &reason["rule"]), kind, number(&record["id"]))
        })
        .collect();
    all.sort_unstable();
    assert_eq!(verdict["allowed"], all.is_empty(), "{verdict:#}");
    all
}

fn as_modelled(profile: &Value) -> Profile {
    let list = |list: &Value| -> Vec<Value> { list.as_array().cloned().unwrap_or_default() };
    let mut values = BTreeMap::new();
    for (field, _) in MAPPED {
        let of = &profile["fields"][field];
        if let Some(text) = of["value"].as_str() {
            values.insert(
                field.to_owned(),
                (text.to_owned(), of["source"] == "hubspot"),
            );
        }
    }
    Profile {
        contact: profile["link"]["hubspot_id"].as_u64(),
        conflicts: list(&profile["conflicts"])
            .iter()
            .filter_map(Value::as_u64)
            .collect(),
        shared_with: list(&profile["link"]["shared_with"])
            .iter()
            .filter_map(|id| id.as_str().map(str::to_owned))
            .collect(),
        values,
    }
}

impl Run {
    pub(super) async fn table(&self, list: u64) -> BTreeMap<u64, Counting> {
        let path = format!("/lists/{list}/members?limit=1000");
        let page = self.door().ok("GET", &path, None).await;
        assert_eq!(page["next"], Value::Null);
        let id = |v: &Value| number(v).cast_unsigned();
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| {
                let contacts = item["contacts"].as_array().unwrap().iter().map(id);
                let people = item["people"].as_array().unwrap().iter();
                let people = people.map(|p| p.as_str().unwrap().to_owned());
                (id(&item["member"]), (contacts.collect(), people.collect()))
            })
            .collect()
    }

    /// Links and profiles follow, and verdicts, without waiting for who does it by itself.
    async fn follow(&self) {
        let workspace = self.tenant().workspace;
        self.world.all_is_seen().await;
        until("links and verdicts follow", async || {
            if !self.world.follow().await {
                return false;
            }
            // Who was linked just now is judged by it.
            self.world.all_is_seen().await;
            let mut pass = VerdictPass::default();
            while !self
                .store
                .verdict_step(workspace, &mut pass)
                .await
                .unwrap()
                .done
            {}
            let due = self.store.verdicts_due(None, 10_000).await.unwrap();
            !due.iter().any(|swept| swept.workspace == workspace)
        })
        .await;
    }

    async fn observe(&mut self) -> Observed {
        let people = self.world.people().await;
        let (mut profiles, mut owners) = (BTreeMap::new(), BTreeSet::new());
        let mut links = BTreeMap::new();
        for chunk in people.chunks(100) {
            let body = json!({"people": chunk});
            let bulk = self.door().ok("POST", "/profiles", Some(body)).await;
            for profile in bulk["items"].as_array().unwrap() {
                let id = profile["id"].as_str().unwrap().to_owned();
                let link = &profile["link"];
                if let Some(contact) = link["hubspot_id"].as_u64() {
                    links.insert(id.clone(), contact);
                }
                if link["owns_values"] == true {
                    owners.insert(id.clone());
                }
                profiles.insert(id, as_modelled(profile));
            }
        }
        self.whole.links = links;
        let mut tables = BTreeMap::new();
        for list in self.whole.lists.keys() {
            tables.insert(*list, self.table(*list).await);
        }
        let emails: Vec<String> = (0..12).map(|_| self.address()).collect();
        let body = json!({"people": people, "emails": emails});
        let answer = self.door().ok("POST", "/dnc", Some(body)).await;
        assert_eq!(answer["stale"], json!([]));
        let mut verdicts = BTreeMap::new();
        for (person, verdict) in people.iter().zip(answer["people"].as_array().unwrap()) {
            let id = person.parse().unwrap();
            let kept = self
                .store
                .kept_verdict(self.tenant().workspace, self.tenant().portal, &id)
                .await
                .unwrap();
            let kept =
                kept.map(|kept| found(&json!({"allowed": kept.allowed, "reasons": kept.reasons})));
            let verdict = found(verdict);
            assert_eq!(kept.as_ref(), Some(&verdict), "kept of {person}");
            verdicts.insert(person.clone(), verdict);
        }
        let by_email = answer["emails"].as_array().unwrap().iter().map(found);
        Observed {
            people: people.into_iter().collect(),
            profiles,
            owners,
            tables,
            verdicts,
            emails: emails.into_iter().zip(by_email).collect(),
        }
    }

    /// Compares all, with all rules and with each one left out. `still`: only the app changed anything.
    pub(super) async fn check(&mut self, before: &Whole, still: bool) {
        self.follow().await;
        let observed = self.observe().await;
        self.whole.rules.now = now();
        let differences = compare(&observed, &self.whole, before, still, Without::Nothing);
        assert!(
            differences.is_empty(),
            "{:?}\n{differences:#?}\n{:#?}",
            self.whole.rules,
            self.done
        );
        self.unnoticed
            .retain(|rule| compare(&observed, &self.whole, before, still, *rule).is_empty());
    }
}
