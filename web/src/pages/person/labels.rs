//! What people call the fields and properties on the page of a person, and in previews (I5, E9, E10).

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ObjectType, PortalId,
    api::{ExportPreview, JournalEntry, ProfileAnswer, RecordPreview},
    app::{COMPANY_FIELDS, FieldKey, PERSON_FIELDS, RecordKind},
};
use maud::{Markup, html};

use crate::{
    pages::{guard::Visit, refused::Refused},
    state::App,
};

/// Labels of the workspace's own fields, and of the portal's properties.
#[derive(Default)]
pub(in crate::pages) struct Labels {
    fields: BTreeMap<(RecordKind, FieldKey), String>,
    properties: BTreeMap<(ObjectType, String), String>,
}

/// Properties that are spoken of.
type Names<'a> = BTreeMap<ObjectType, BTreeSet<&'a str>>;

impl Labels {
    /// Those of what the profile and the journal speak of.
    pub(super) async fn of(
        app: &App,
        visit: &Visit,
        portal: Option<PortalId>,
        profile: Option<&ProfileAnswer>,
        journal: &[JournalEntry],
    ) -> Result<Self, Refused> {
        let mut names = Names::new();
        let mapped = profile.into_iter().flat_map(|p| p.fields.values());
        let mapped = mapped.filter_map(|field| field.of.property.as_deref());
        names.entry(ObjectType::Contact).or_default().extend(mapped);
        for entry in journal {
            let written = entry.properties.iter().map(|p| p.property.as_str());
            names.entry(entry.record_type).or_default().extend(written);
        }
        Self::named(app, visit, portal, names).await
    }

    /// Those of what previews speak of.
    pub(in crate::pages) async fn of_previews<'a>(
        app: &App,
        visit: &Visit,
        portal: Option<PortalId>,
        previews: impl IntoIterator<Item = &'a ExportPreview>,
    ) -> Result<Self, Refused> {
        let mut names = Names::new();
        let mut add = |object_type, record: &'a RecordPreview| {
            let written = record.changes.iter().map(|c| c.property.as_str());
            let left_out = record.left_out.iter().map(|l| l.property.as_str());
            let of_type = names.entry(object_type).or_default();
            of_type.extend(written.chain(left_out));
        };
        for preview in previews {
            add(ObjectType::Contact, &preview.contact);
            if let Some(company) = &preview.company {
                add(ObjectType::Company, company);
            }
        }
        Self::named(app, visit, portal, names).await
    }

    async fn named(
        app: &App,
        visit: &Visit,
        portal: Option<PortalId>,
        names: Names<'_>,
    ) -> Result<Self, Refused> {
        let (store, workspace) = (&app.parts()?.store, visit.workspace());
        let own = store.custom_fields(workspace).await?.into_iter();
        let mut labels = Self {
            fields: own
                .map(|field| ((field.record, field.key), field.label))
                .collect(),
            properties: BTreeMap::new(),
        };
        let Some(portal) = portal else {
            return Ok(labels);
        };
        for (object_type, of_type) in names {
            let of_type: Vec<&str> = of_type.into_iter().collect();
            let found = store.property_labels(workspace, portal, object_type, &of_type);
            let found = found.await?.into_iter();
            let found = found.map(|(name, label)| ((object_type, name), label));
            labels.properties.extend(found);
        }
        Ok(labels)
    }

    /// A field of people, with its key where it has a name besides.
    pub(super) fn field(&self, key: &FieldKey) -> Markup {
        named(self.field_label(RecordKind::Person, key), key.as_str())
    }

    /// The name of a field of the app, if it has one.
    pub(super) fn field_label(&self, record: RecordKind, key: &FieldKey) -> Option<&str> {
        let known = match record {
            RecordKind::Person => PERSON_FIELDS,
            RecordKind::Company => COMPANY_FIELDS,
        };
        let known = known.iter().find(|known| known.key == key.as_str());
        let own = self.fields.get(&(record, key.clone()));
        known.map(|known| known.label).or(own.map(String::as_str))
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
            Some(label) => { bdi { (label) } " " span .sub { code { (name) } } }
            None => { code { (name) } }
        }
    }
}
