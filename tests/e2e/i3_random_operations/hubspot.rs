//! What happens in HubSpot. Of each record one thing a round: what the mirror has seen at the end of a
//! round is then known, whenever the syncs came.

use e2e::planted::number;
use model::whole::{Listing, Record};
use serde_json::{Value, json};

use super::run::{LIFECYCLES, OPTIONS, Run, STAGES, days_ago};

/// What was done; nothing, where there was nothing to do it to.
type Done = Option<&'static str>;

const PLURALS: [&str; 3] = ["contacts", "companies", "deals"];

impl Run {
    /// Something happens.
    pub(super) async fn in_hubspot(&mut self) {
        let done = match self.random.below(26) {
            0..=2 => self.create_contact().await,
            3..=7 => self.edit_contact().await,
            8 | 9 => self.change_address().await,
            10 => self.archive().await,
            11 | 12 => self.restore().await,
            13 => self.merge().await,
            14 => self.erase().await,
            15 => self.create_company().await,
            16 => self.edit_company().await,
            17 | 18 => self.create_deal().await,
            19 => self.move_deal().await,
            20..=22 => self.tie().await,
            23 | 24 => self.list().await,
            _ if self.random.flip() => self.archive_owner().await,
            _ => self.rename_options().await,
        };
        if let Some(name) = done {
            *self.done.entry(name).or_default() += 1;
        }
    }

    /// A value that a property of contacts may have.
    fn trait_of_contact(&mut self) -> (&'static str, String) {
        let n = self.random.below(50);
        match self.random.below(8) {
            0 => ("hs_email_optout", n.is_multiple_of(2).to_string()),
            1 => ("lifecyclestage", LIFECYCLES[n % 3].to_owned()),
            2 => ("hubspot_owner_id", self.owners[n % 2].to_string()),
            3 => ("notes_last_contacted", days_ago([2, 30][n % 2])),
            4 => ("model_segment", OPTIONS[n % 3].to_owned()),
            5 if n < 10 => ("jobtitle", String::new()),
            5 => ("jobtitle", format!("Title {n}")),
            _ => ("firstname", format!("Name {n}")),
        }
    }

    async fn create_contact(&mut self) -> Done {
        let company = self.pick("companies", true);
        // Some have an address that nobody else has: they may be erased.
        let email = if self.random.below(4) == 0 {
            self.counter += 1;
            format!("Alone{}@alone-ops.com", self.counter)
        } else {
            self.address()
        };
        let (property, value) = self.trait_of_contact();
        let tied = company.map(|c| ("companies", c.cast_signed()));
        let tied: Vec<(&str, i64)> = tied.into_iter().collect();
        let mut properties = json!({"email": email});
        properties[property] = json!(value);
        let id = self.p.record("contacts", properties, &tied).await;
        self.touched.insert(id.cast_unsigned());
        // Whoever is tied to is not to be archived a moment later.
        self.touched.extend(company);
        Some("create contact")
    }

    async fn edit_contact(&mut self) -> Done {
        let id = self.take("contacts", true)?;
        let (property, value) = self.trait_of_contact();
        let properties = json!({property: value});
        self.p.set("contacts", id.cast_signed(), properties).await;
        Some("edit contact")
    }

    async fn change_address(&mut self) -> Done {
        let id = self.take("contacts", true)?;
        let (property, value) = if self.random.flip() {
            ("email", self.address())
        } else {
            let both = format!("{};{}", self.address(), self.address());
            ("hs_additional_emails", both)
        };
        let properties = json!({property: value});
        self.p.set("contacts", id.cast_signed(), properties).await;
        Some("change address")
    }

    async fn archive(&mut self) -> Done {
        let plural = PLURALS[self.random.below(3)];
        let id = self.take(plural, true)?;
        let path = format!("records/{plural}/{id}");
        assert!(self.control("DELETE", &path, None).await);
        Some("archive")
    }

    async fn restore(&mut self) -> Done {
        let plural = PLURALS[self.random.below(3)];
        let id = self.take(plural, false)?;
        let path = format!("records/{plural}/{id}/restore");
        // Refused where its address is another's by now.
        let restored = self.control("POST", &path, None).await;
        restored.then_some("restore")
    }

    async fn merge(&mut self) -> Done {
        let plural = PLURALS[self.random.below(2)];
        let (primary, other) = (self.take(plural, true)?, self.take(plural, true)?);
        let body = json!({"type": plural, "primary": primary, "other": other});
        let path = format!("portals/{}/merges", self.tenant().portal);
        let merged = self.tenant().api.simulator("POST", &path, Some(body)).await;
        let id = number(&merged.ok()?["id"]).cast_unsigned();
        self.touched.insert(id);
        for old in [primary, other] {
            if old != id {
                self.whole.merged.insert(old, id);
            }
        }
        Some("merge")
    }

    /// Somebody is forgotten, whose address nobody else has: one that others have, too, stays theirs.
    async fn erase(&mut self) -> Done {
        let id = self.take("contacts", true)?;
        let has = |of: &Record, address: &str| {
            ["email", "hs_additional_emails"].iter().any(|name| {
                let all = of.values.get(*name).map_or("", String::as_str);
                all.split(';')
                    .any(|a| a.trim().eq_ignore_ascii_case(address))
            })
        };
        let whole = &self.whole;
        let values = &whole.contacts[&id].values;
        let email = values.get("email")?.to_lowercase();
        let mut others = whole.contacts.iter().filter(|(other, _)| **other != id);
        let shared = others.any(|(_, c)| has(c, &email))
            || values.contains_key("hs_additional_emails")
            || whole.merged.values().any(|m| *m == id)
            || whole
                .former
                .iter()
                .any(|(had, of)| *had == email || *of == id);
        if shared {
            return None;
        }
        self.forgotten.insert(email);
        let path = format!("records/contacts/{id}/erase");
        assert!(self.control("POST", &path, None).await);
        Some("erase")
    }

    async fn create_company(&mut self) -> Done {
        self.counter += 1;
        let domains = ["ops-one.com", "OPS-two.com", "gmail.com"];
        let n = self.random.below(3);
        let name = format!("Company {}", self.counter);
        let mut properties = json!({"name": name, "domain": domains[n]});
        if self.random.flip() {
            properties["hs_additional_domains"] = json!("ops-more.com");
        }
        let id = self.p.record("companies", properties, &[]).await;
        self.touched.insert(id.cast_unsigned());
        Some("create company")
    }

    async fn edit_company(&mut self) -> Done {
        let id = self.take("companies", true)?;
        let n = self.random.below(6);
        let (property, value) = match self.random.below(4) {
            0 => ("domain", "ops-moved.com".to_owned()),
            1 => ("lifecyclestage", LIFECYCLES[n % 3].to_owned()),
            2 => ("hubspot_owner_id", self.owners[n % 2].to_string()),
            _ => ("notes_last_contacted", days_ago(2)),
        };
        let properties = json!({property: value});
        self.p.set("companies", id.cast_signed(), properties).await;
        Some("edit company")
    }

    async fn create_deal(&mut self) -> Done {
        let mut tied: Vec<(&str, i64)> = Vec::new();
        for plural in ["contacts", "companies"] {
            if let (Some(id), true) = (self.pick(plural, true), self.random.flip()) {
                tied.push((plural, id.cast_signed()));
                self.touched.insert(id);
            }
        }
        let stage = STAGES[self.random.below(4)].0;
        let close = days_ago([5, 300][self.random.below(2)]);
        let properties = json!({
            "dealname": "Deal", "pipeline": "default", "dealstage": stage, "closedate": close,
        });
        let id = self.p.record("deals", properties, &tied).await;
        self.touched.insert(id.cast_unsigned());
        Some("create deal")
    }

    async fn move_deal(&mut self) -> Done {
        let id = self.take("deals", true)?;
        let properties = json!({"dealstage": STAGES[self.random.below(4)].0});
        self.p.set("deals", id.cast_signed(), properties).await;
        Some("move deal")
    }

    /// An association comes or goes, which moves no last-modified.
    async fn tie(&mut self) -> Done {
        let (from, to, type_id) = [
            ("contacts", "companies", 279),
            ("deals", "contacts", 3),
            ("deals", "companies", 341),
        ][self.random.below(3)];
        let (one, two) = (self.take(from, true)?, self.take(to, true)?);
        let ties = match (from, to) {
            ("contacts", _) => &self.whole.at,
            (_, "contacts") => &self.whole.on_contacts,
            _ => &self.whole.on_companies,
        };
        let base = format!("/crm/associations/2026-09/{from}/{to}/batch");
        // One that is there goes, so that both come about.
        let goes = ties.iter().find(|(a, b)| *a == one || *b == two).copied();
        let (path, input, done) = match goes.filter(|_| self.random.flip()) {
            Some((a, b)) => {
                self.touched.extend([a, b]);
                let to = json!([{"id": b.to_string()}]);
                let input = json!({"from": {"id": a.to_string()}, "to": to});
                (format!("{base}/archive"), input, "dissociate")
            }
            None => {
                let plain = json!({
                    "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id,
                });
                let input = json!({
                    "from": {"id": one.to_string()}, "to": {"id": two.to_string()}, "types": [plain],
                });
                (format!("{base}/create"), input, "associate")
            }
        };
        let inputs = json!({"inputs": [input]});
        self.p.hubspot("POST", &path, Some(inputs)).await;
        Some(done)
    }

    /// Somebody comes onto a list, or goes.
    async fn list(&mut self) -> Done {
        let lists = self.whole.lists.iter().map(|(id, l)| (*id, l.clone()));
        let lists: Vec<(u64, Listing)> = lists.collect();
        let (list, known) = self.random.of(&lists)?;
        let plural = PLURALS[usize::from(known.of_companies)];
        let id = self.take(plural, true)?;
        let is_on_it = known.members.contains(&id);
        let verb = if is_on_it { "remove" } else { "add" };
        let path = format!("/crm/v3/lists/{list}/memberships/{verb}");
        let members = json!([id.to_string()]);
        self.p.hubspot("PUT", &path, Some(members)).await;
        Some("list")
    }

    async fn archive_owner(&mut self) -> Done {
        self.owner_is_archived = !self.owner_is_archived;
        let body = json!({"archived": self.owner_is_archived});
        let path = format!("owners/{}", self.owners[0]);
        assert!(self.control("PATCH", &path, Some(body)).await);
        Some("owner")
    }

    async fn rename_options(&mut self) -> Done {
        self.counter += 1;
        let label = |option: &str| format!("{option} no. {}", self.counter);
        let options: Vec<Value> = OPTIONS
            .iter()
            .map(|o| json!({"value": o, "label": label(o)}))
            .collect();
        let path = "/crm/properties/2026-09/contacts/model_segment";
        let body = json!({"options": options});
        self.p.hubspot("PATCH", path, Some(body)).await;
        Some("rename options")
    }
}
