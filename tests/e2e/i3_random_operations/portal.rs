//! Looks at the portal, and waits until it has arrived.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use e2e::{
    mirrored::{self, Everything},
    periodic::sync,
    planted::number,
};
use model::whole::Record;
use serde_json::{Value, json};

use super::run::Run;
use crate::i3_support::reconcile;

fn pairs(value: &Value) -> BTreeMap<String, String> {
    let all = value.as_object().into_iter().flatten();
    all.filter_map(|(name, value)| {
        let text = value.as_str().filter(|text| !text.is_empty())?;
        // Moments as the model counts them.
        let text = match name.as_str() {
            "closedate" | "notes_last_contacted" => {
                let at = chrono::DateTime::parse_from_rfc3339(text).ok()?;
                (at.timestamp() / 60).to_string()
            }
            _ => text.to_owned(),
        };
        Some((name.clone(), text))
    })
    .collect()
}

fn record(of: &Value) -> (u64, Record) {
    let id = of["id"].as_str().unwrap().parse().unwrap();
    let lives = of["archived"] != true;
    let values = pairs(&of["properties"]);
    (id, Record { lives, values })
}

impl Run {
    async fn members(&self, list: u64) -> BTreeSet<u64> {
        let mut all = BTreeSet::new();
        let mut after = String::new();
        loop {
            let path = format!("/crm/v3/lists/{list}/memberships?limit=250{after}");
            let page = self.p.hubspot("GET", &path, None).await;
            let members = page["results"].as_array().unwrap().iter();
            all.extend(members.map(|m| number(&m["recordId"]).cast_unsigned()));
            match page["paging"]["next"]["after"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return all,
            }
        }
    }

    /// Looks at the portal, as its users see it.
    pub(super) async fn look(&mut self) -> Everything {
        let read = async |plural: &str| mirrored::records_of(&self.p.tenant, plural).await;
        let (contacts, companies, deals) = (
            read("contacts").await,
            read("companies").await,
            read("deals").await,
        );
        let whole = &mut self.whole;
        let before = std::mem::take(&mut whole.contacts);
        whole.contacts = contacts.iter().map(record).collect();
        whole.companies = companies.iter().map(record).collect();
        whole.deals = deals.iter().map(record).collect();
        let addresses = |of: &Record| -> BTreeSet<String> {
            ["email", "hs_additional_emails"]
                .iter()
                .filter_map(|name| of.values.get(*name))
                .flat_map(|all| all.split(';'))
                .map(|a| a.trim().to_lowercase())
                .filter(|a| !a.is_empty())
                .collect()
        };
        for (id, old) in before {
            match (whole.contacts.get(&id), whole.merged.get(&id)) {
                (Some(new), _) => {
                    let kept = addresses(new);
                    let gone = addresses(&old).into_iter().filter(|a| !kept.contains(a));
                    whole.former.extend(gone.map(|a| (a, id)));
                }
                (None, Some(into)) => {
                    let had: Vec<String> = whole
                        .former
                        .iter()
                        .filter(|(_, of)| *of == id)
                        .map(|(a, _)| a.clone())
                        .chain(addresses(&old))
                        .collect();
                    whole.former.extend(had.into_iter().map(|a| (a, *into)));
                    whole.contacts.insert(
                        id,
                        Record {
                            lives: false,
                            ..old
                        },
                    );
                }
                // Erased.
                (None, None) => {}
            }
        }
        let ties = |from: &[Value], plural: &str| -> BTreeSet<(u64, u64)> {
            from.iter()
                .filter(|r| r["archived"] != true)
                .flat_map(|r| {
                    let id: u64 = r["id"].as_str().unwrap().parse().unwrap();
                    mirrored::ties_of(r)
                        .into_iter()
                        .filter(|(to, ..)| to == plural)
                        .map(move |(_, to, _)| (id, to.parse().unwrap()))
                })
                .collect()
        };
        whole.at = ties(&contacts, "companies");
        whole.on_contacts = ties(&deals, "contacts");
        whole.on_companies = ties(&deals, "companies");
        whole.mapped_owners = [self.owners[0].cast_unsigned()].into();
        if self.owner_is_archived {
            whole.mapped_owners.clear();
        }
        let lists: Vec<u64> = self.whole.lists.keys().copied().collect();
        for list in lists {
            let members = self.members(list).await;
            self.whole.lists.get_mut(&list).unwrap().members = members;
        }
        let path = "/crm/properties/2026-09/contacts/model_segment";
        let definition = self.p.hubspot("GET", path, None).await;
        self.whole.labels = definition["options"]
            .as_array()
            .unwrap()
            .iter()
            .map(|o| {
                let text = |name: &str| o[name].as_str().unwrap().to_owned();
                (("model_segment".to_owned(), text("value")), text("label"))
            })
            .collect();
        mirrored::portal(&self.p.tenant).await
    }

    /// Syncs until the mirror is the portal.
    pub(super) async fn arrive(&mut self, erased: bool) -> Everything {
        let portal = self.look().await;
        let deadline = Instant::now() + Duration::from_secs(120);
        let mut told = Vec::new();
        let mut syncs = 0;
        while Instant::now() < deadline {
            sync(self.tenant()).await;
            syncs += 1;
            let mirror = mirrored::mirror(self.tenant(), &self.store).await;
            told = mirrored::differences(&mirror, &portal);
            for (list, known) in &self.whole.lists {
                let tables = self.table(*list).await;
                let is: BTreeSet<u64> = tables.keys().copied().collect();
                if is != known.members {
                    told.push(format!(
                        "list {list} has {is:?}, and not {:?}",
                        known.members
                    ));
                }
            }
            // Definitions are read of one type after the other.
            let labels = self.labels_of_the_mirror().await;
            if labels != self.whole.labels {
                told.push(format!("options are {labels:?}"));
            }
            if told.is_empty() {
                return portal;
            }
            if syncs == 1 {
                // Forgotten at the second word.
                for _ in 0..=usize::from(erased) {
                    reconcile(self.tenant()).await;
                }
            }
            // Whose size is the same is read again after hours.
            if syncs == 4 {
                let lists = json!({"types": ["lists"], "mode": {"mode": "from_scratch"}});
                self.p.resync(lists).await;
            }
        }
        panic!("never arrives: {told:#?}");
    }

    async fn labels_of_the_mirror(&self) -> BTreeMap<(String, String), String> {
        let (workspace, portal) = (self.tenant().workspace, self.tenant().portal);
        let contacts = domain::ObjectType::Contact;
        let known = self
            .store
            .property_definitions(workspace, portal, contacts)
            .await
            .unwrap();
        let options = known["model_segment"].options.iter();
        options
            .map(|o| {
                (
                    ("model_segment".to_owned(), o.value.clone()),
                    o.label.clone(),
                )
            })
            .collect()
    }
}
