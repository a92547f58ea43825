//! What happens in the app: its people, and the settings.

use std::collections::BTreeMap;

use e2e::{planted::change_settings, profiles::row};
use model::{
    dnc::{Rule, Rules},
    profiles::{Mapped, Person},
};
use serde_json::{Value, json};

use super::run::{MAPPED, Run, STAGES};

pub(super) fn now() -> i64 {
    chrono::Utc::now().timestamp() / 60
}

impl Run {
    pub(super) async fn upsert(&mut self, person: Person) {
        let version = self.versions.entry(person.id.clone()).or_insert(0);
        *version += 1;
        let item = json!([{
            "id": person.id, "version": *version, "email": person.email, "fields": person.values,
        }]);
        let outcome = self.world.door.people(item).await;
        assert!(
            ["created", "updated", "unchanged"].contains(&outcome[0].as_str()),
            "{outcome:?}"
        );
        self.whole.people.insert(person.id.clone(), person);
    }

    /// Something happens in the app.
    pub(super) async fn in_the_app(&mut self) {
        let people: Vec<String> = self
            .whole
            .people
            .keys()
            .filter(|p| !self.kept_people.contains(*p))
            .cloned()
            .collect();
        let name = match self.random.below(8) {
            0..=2 => {
                self.counter += 1;
                let id = format!("own-{}", self.counter);
                self.moved.insert(id.clone());
                let email = Some(self.address());
                let values = BTreeMap::from([("first_name".to_owned(), format!("App {id}"))]);
                self.upsert(Person { id, email, values }).await;
                "new person"
            }
            3 | 4 => {
                let Some(id) = self.random.of(&people).cloned() else {
                    return;
                };
                let mut person = self.whole.people[&id].clone();
                // Once a round, so that it does not matter how soon links follow.
                if !self.moved.insert(id) {
                    return;
                }
                person.email = Some(self.address());
                self.upsert(person).await;
                "person moves"
            }
            _ => {
                let Some(id) = self.random.of(&people).cloned() else {
                    return;
                };
                let mut person = self.whole.people[&id].clone();
                let n = self.random.below(50);
                let field = ["first_name", "job_title", "city"][n % 3];
                person.values.insert(field.to_owned(), format!("App {n}"));
                self.upsert(person).await;
                "edit person"
            }
        };
        *self.done.entry(name).or_default() += 1;
    }

    pub(super) fn random_rules(&mut self) -> Rules {
        let mut rule = || Rule {
            on: self.random.below(4) > 0,
            company: self.random.flip(),
        };
        let (open_deal, customer, lost_deal) = (rule(), rule(), rule());
        let (opted_out, in_hubspot, unmapped_owner, recent_touch) =
            (rule(), rule(), rule(), rule());
        Rules {
            suppression: Rule {
                on: true,
                company: rule().company,
            },
            open_deal,
            chosen: self.random.flip().then_some((0, 0)),
            customer,
            lost_deal,
            lost_days: 30,
            opted_out,
            in_hubspot: Rule {
                on: in_hubspot.on && opted_out.on,
                ..in_hubspot
            },
            stages: self.random.flip().then_some("lead"),
            unmapped_owner,
            mapped: Vec::new(),
            recent_touch,
            touch_days: 10,
            now: now(),
            offset: 0,
        }
    }

    /// All rules for the person alone, or for whole companies.
    pub(super) fn all_rules(company: bool, filtered: bool) -> Rules {
        let rule = Rule { on: true, company };
        Rules {
            suppression: rule,
            open_deal: rule,
            chosen: filtered.then_some((0, 0)),
            customer: rule,
            lost_deal: rule,
            lost_days: 30,
            opted_out: rule,
            in_hubspot: rule,
            stages: filtered.then_some("lead"),
            unmapped_owner: rule,
            mapped: Vec::new(),
            recent_touch: rule,
            touch_days: 10,
            now: now(),
            offset: 0,
        }
    }

    /// Saves settings with these rules and priorities.
    pub(super) async fn save(&mut self, rules: Rules, crm: [bool; 4]) {
        let lists: Vec<Value> = self
            .whole
            .lists
            .iter()
            .map(|(id, l)| {
                let purpose = if l.suppresses {
                    "suppression"
                } else {
                    "audience"
                };
                json!({"list": id, "use": purpose})
            })
            .collect();
        self.whole.rows = MAPPED
            .iter()
            .zip(crm)
            .map(|((field, property), crm)| Mapped {
                field: (*field).to_owned(),
                property: (*property).to_owned(),
                crm,
            })
            .collect();
        let rows: Vec<Value> = self
            .whole
            .rows
            .iter()
            .map(|r| row(&r.field, &r.property, if r.crm { "crm" } else { "artisan" }))
            .collect();
        let scope = |rule: Rule| if rule.company { "company" } else { "person" };
        change_settings(self.door(), |settings| {
            settings["contacts"] = json!(rows);
            settings["lists"] = json!(lists);
            let dnc = &mut settings["dnc"];
            let chosen: Vec<Value> = rules
                .chosen
                .map(|(_, stage)| {
                    json!({"pipeline": "default", "stages": [STAGES[usize::from(stage)].0]})
                })
                .into_iter()
                .collect();
            dnc["open_deal"] = json!({"enabled": rules.open_deal.on, "pipelines": chosen});
            dnc["customer"] = json!({"enabled": rules.customer.on});
            dnc["lost_deal"] =
                json!({"enabled": rules.lost_deal.on, "within_days": rules.lost_days});
            dnc["opted_out"] = json!(rules.opted_out.on);
            let stages: Vec<&str> = rules.stages.into_iter().collect();
            dnc["in_hubspot"] = json!({"enabled": rules.in_hubspot.on, "lifecycle_stages": stages});
            dnc["unmapped_owner"] = json!(rules.unmapped_owner.on);
            dnc["recent_touch"] =
                json!({"enabled": rules.recent_touch.on, "within_days": rules.touch_days});
            dnc["scopes"] = json!({
                "suppression_list": scope(rules.suppression), "open_deal": scope(rules.open_deal),
                "customer": scope(rules.customer), "lost_deal": scope(rules.lost_deal),
                "opted_out": scope(rules.opted_out), "in_hubspot": scope(rules.in_hubspot),
                "unmapped_owner": scope(rules.unmapped_owner),
                "recent_touch": scope(rules.recent_touch),
            });
        })
        .await;
        self.whole.rules = rules;
    }
}
