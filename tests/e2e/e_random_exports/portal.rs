//! HubSpot as somebody changes it by hand: the simulator, or one that is only thought of.

use std::collections::BTreeMap;

use e2e::planted::Planted;
use model::exports::{Exports, Id, Outcomes, Record};
use serde_json::Value;

use super::run::{Observed, Records};

/// What people do in HubSpot.
pub(super) trait HubSpot {
    /// Makes a record, a contact at a company.
    async fn plant(&mut self, plural: &'static str, properties: Value, at: Option<i64>) -> i64;
    /// Sets properties.
    async fn set(&mut self, plural: &'static str, id: i64, properties: Value);
    /// Into the recycle bin.
    async fn archive(&mut self, plural: &'static str, id: i64);
}

impl HubSpot for Planted {
    async fn plant(&mut self, plural: &'static str, properties: Value, at: Option<i64>) -> i64 {
        let at: Vec<_> = at
            .into_iter()
            .map(|company| ("companies", company))
            .collect();
        self.record(plural, properties, &at).await
    }

    async fn set(&mut self, plural: &'static str, id: i64, properties: Value) {
        Self::set(self, plural, id, properties).await;
    }

    async fn archive(&mut self, plural: &'static str, id: i64) {
        let path = format!("records/{plural}/{id}");
        self.tenant.control("DELETE", &path, None).await;
    }
}

/// A portal that is only thought of.
#[derive(Debug, Default)]
pub(super) struct Thought {
    pub(super) contacts: Records,
    pub(super) companies: Records,
    last: u64,
}

impl Thought {
    fn of(&mut self, plural: &str) -> &mut Records {
        if plural == "contacts" {
            &mut self.contacts
        } else {
            &mut self.companies
        }
    }

    fn id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// What is seen where all was done as a model says.
    pub(super) fn observed(&mut self, model: &Exports, outcomes: Outcomes) -> Observed {
        let mut ids: BTreeMap<Id, Id> = BTreeMap::new();
        for id in model.contacts.keys().chain(model.records.keys()) {
            let known = match id {
                Id::New(_) => Id::Known(self.id()),
                known @ Id::Known(_) => known.clone(),
            };
            ids.insert(id.clone(), known);
        }
        let seen = |all: &Records| -> Records {
            let with_ids = all.iter().map(|(id, record)| {
                let mut record: Record = record.clone();
                let at = record.at.into_iter();
                record.at = at
                    .map(|(company, primary)| (ids[&company].clone(), primary))
                    .collect();
                record.values.retain(|_, value| !value.is_empty());
                (ids[id].clone(), record)
            });
            with_ids.collect()
        };
        self.contacts = seen(&model.contacts);
        self.companies = seen(&model.records);
        let written = model.written.iter().filter(|id| matches!(id, Id::Known(_)));
        Observed {
            outcomes,
            patched: written.cloned().collect(),
            contacts: self.contacts.clone(),
            companies: self.companies.clone(),
        }
    }
}

impl HubSpot for Thought {
    async fn plant(&mut self, plural: &'static str, properties: Value, at: Option<i64>) -> i64 {
        let id = self.id();
        let at = at.map(|company| (Id::Known(company.cast_unsigned()), true));
        let made = Record {
            lives: true,
            at: at.into_iter().collect(),
            ..Record::default()
        };
        self.of(plural).insert(Id::Known(id), made);
        HubSpot::set(self, plural, id.cast_signed(), properties).await;
        id.cast_signed()
    }

    async fn set(&mut self, plural: &'static str, id: i64, properties: Value) {
        let record = self.of(plural).get_mut(&Id::Known(id.cast_unsigned()));
        let record = record.expect("a record");
        for (name, value) in properties.as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default().to_owned();
            record.values.insert(name.clone(), text);
        }
        record.values.retain(|_, value| !value.is_empty());
    }

    async fn archive(&mut self, plural: &'static str, id: i64) {
        let record = self.of(plural).get_mut(&Id::Known(id.cast_unsigned()));
        record.expect("a record").lives = false;
    }
}
