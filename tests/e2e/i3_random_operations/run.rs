//! A portal and a workspace that random things happen to.

use std::collections::{BTreeMap, BTreeSet};

use e2e::{Tenant, door::Door, planted::Planted, profiles::World, random::Random};
use model::{
    dnc::Stands,
    whole::{Whole, Without},
};
use serde_json::Value;
use store::Store;

pub(super) const STAGES: [(&str, Stands, u8); 4] = [
    ("appointmentscheduled", Stands::Open, 0),
    ("contractsent", Stands::Open, 1),
    ("closedwon", Stands::Won, 2),
    ("closedlost", Stands::Lost, 3),
];
/// Fields and the properties that they are mapped to; the last one has options.
pub(super) const MAPPED: [(&str, &str); 4] = [
    ("email", "email"),
    ("first_name", "firstname"),
    ("job_title", "jobtitle"),
    ("city", "model_segment"),
];
pub(super) const OPTIONS: [&str; 3] = ["small", "middle", "large"];
pub(super) const LIFECYCLES: [&str; 3] = ["lead", "opportunity", "customer"];

pub(super) fn days_ago(days: i64) -> String {
    (chrono::Utc::now() - chrono::TimeDelta::days(days)).to_rfc3339()
}

/// A portal and a workspace that random things happen to.
pub(super) struct Run {
    pub(super) p: Planted,
    pub(super) world: World,
    pub(super) store: Store,
    pub(super) random: Random,
    pub(super) whole: Whole,
    /// Records of which something was changed in this round.
    pub(super) touched: BTreeSet<u64>,
    /// Those that nothing random happens to.
    pub(super) kept: BTreeSet<u64>,
    pub(super) kept_people: BTreeSet<String>,
    /// People whose address is another one in this round.
    pub(super) moved: BTreeSet<String>,
    pub(super) versions: BTreeMap<String, u64>,
    /// One for whom a team member stands, as long as it is not archived, and another one.
    pub(super) owners: [i64; 2],
    pub(super) owner_is_archived: bool,
    /// Addresses of who was erased. Whether somebody who has one of them is the same is not known before the
    /// second word: nobody gets one again.
    pub(super) forgotten: BTreeSet<String>,
    /// For what has to be another one each time.
    pub(super) counter: u64,
    /// What was done, how often.
    pub(super) done: BTreeMap<&'static str, usize>,
    /// Rules that were left out without anybody noticing.
    pub(super) unnoticed: Vec<Without>,
}

impl Run {
    pub(super) fn tenant(&self) -> &Tenant {
        &self.p.tenant
    }

    pub(super) fn door(&self) -> &Door {
        &self.world.door
    }

    /// An operation that may be refused.
    pub(super) async fn control(&self, method: &str, path: &str, body: Option<Value>) -> bool {
        let path = format!("portals/{}/{path}", self.tenant().portal);
        self.tenant()
            .api
            .simulator(method, &path, body)
            .await
            .is_ok()
    }

    /// One of some records of which nothing was changed in this round.
    pub(super) fn pick(&mut self, plural: &str, lives: bool) -> Option<u64> {
        let all = match plural {
            "contacts" => &self.whole.contacts,
            "companies" => &self.whole.companies,
            _ => &self.whole.deals,
        };
        let ids: Vec<u64> = all
            .iter()
            .filter(|(id, r)| r.lives == lives && !self.whole.merged.contains_key(id))
            .map(|(id, _)| *id)
            .filter(|id| !self.touched.contains(id) && !self.kept.contains(id))
            .collect();
        self.random.of(&ids).copied()
    }

    /// The same, and nobody else changes it in this round.
    pub(super) fn take(&mut self, plural: &str, lives: bool) -> Option<u64> {
        let id = self.pick(plural, lives)?;
        self.touched.insert(id);
        Some(id)
    }

    /// An address of few, so that several have it.
    pub(super) fn address(&mut self) -> String {
        loop {
            let n = self.random.below(40);
            let domain = ["Ops-one.com", "ops-two.com", "gmail.com", "Ops-more.com"][n % 4];
            let address = format!("P{n}@{domain}");
            if !self.forgotten.contains(&address.to_lowercase()) {
                return address;
            }
        }
    }
}
