//! What people call the fields and properties on the page of a person (I5, E10).

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ObjectType, PortalId,
    api::{JournalEntry, ProfileAnswer},
    app::{FieldKey, PERSON_FIELDS, RecordKind},
};
use maud::{Markup, html};

use crate::{
    pages::{guard::Visit, refused::Refused},
    state::App,
};

/// Labels of the workspace's own fields, and of the portal's properties.
#[derive(Default)]
pub(super) struct Labels {
    fields: BTreeMap<FieldKey, String>,
    properties: BTreeMap<(ObjectType, String), String>,
}

impl Labels {
    /// Those of what the profile and the journal speak of.
    pub(super) async fn of(
        app: &App,
        visit: &Visit,
        portal: Option<PortalId>,
        profile: Option<&ProfileAnswer>,
        journal: &[JournalEntry],
    ) -> Result<Self, Refused> {
        let (store, workspace) = (&app.parts()?.store, visit.workspace());
        let own = store.custom_fields(workspace).await?.into_iter();
        let own = own.filter(|field| field.record == RecordKind::Person);
        let mut labels = Self {
            fields: own.map(|field| (field.key, field.label)).collect(),
            properties: BTreeMap::new(),
        };
        let mut names: BTreeMap<ObjectType, BTreeSet<&str>> = BTreeMap::new();
        let mapped = profile.into_iter().flat_map(|p| p.fields.values());
        let mapped = mapped.filter_map(|field| field.of.property.as_deref());
        names.entry(ObjectType::Contact).or_default().extend(mapped);
        for entry in journal {
            let written = entry.properties.iter().map(|p| p.property.as_str());
            names.entry(entry.record_type).or_default().extend(written);
        }
        let Some(portal) = portal else {
            return Ok(labels);
        };
        for object_type in [ObjectType::Contact, ObjectType::Company] {
            let of_type = names.remove(&object_type).unwrap_or_default();
            let of_type: Vec<&str> = of_type.into_iter().collect();
            let found = store.property_labels(workspace, portal, object_type, &of_type);
            let found = found.await?.into_iter();
            let found = found.map(|(name, label)| ((object_type, name), label));
            labels.properties.extend(found);
        }
        Ok(labels)
    }

    /// A field of the app, with its key where it has a name besides.
    pub(super) fn field(&self, key: &FieldKey) -> Markup {
        let known = PERSON_FIELDS.iter().find(|known| known.key == key.as_str());
        let known = known.map(|known| known.label);
        named(
            known.or(self.fields.get(key).map(String::as_str)),
            key.as_str(),
        )
    }

    /// A property of HubSpot's, likewise.
    pub(super) fn property(&self, of: ObjectType, name: &str) -> Markup {
        let label = self.properties.get(&(of, name.to_owned()));
        named(label.map(String::as_str), name)
    }
}

fn named(label: Option<&str>, name: &str) -> Markup {
    html! {
        @match label {
            Some(label) => { bdi { (label) } span .sub { code { (name) } } }
            None => { code { (name) } }
        }
    }
}
