//! Whole profiles (I5): what they depend on, and how one is put together.

use serde_json::{Map, Value, json};

use crate::{
    HubSpotObjectId, HubSpotOwnerId, ObjectType, PortalId,
    api::{ProfileAnswer, ProfileField, ProfileLink, ProfileOwner},
    app::{FieldValue, Fields, Member, RecordKind},
    linking::LinkOrigin,
    owners::{MemberForOwner, OwnerMap},
    portal::{PortalFacts, PortalOwner, Properties},
    profile::profile,
    settings::{MappingRow, Settings},
};

/// What all profiles of a workspace depend on, beside the values themselves.
#[derive(Debug, Clone)]
pub struct Basis {
    /// The settings in force.
    pub settings: Settings,
    fields: Fields,
    contacts: Properties,
    companies: Properties,
    owners: Vec<PortalOwner>,
    members: Vec<Member>,
}

impl Basis {
    /// Of what is known of a portal, and the settings that were saved; without any, the defaults are
    /// in force.
    pub fn new(facts: PortalFacts, saved: Option<Settings>) -> Self {
        Self {
            settings: saved.unwrap_or_else(|| Settings::defaults(&facts)),
            fields: Fields::new(&facts.custom_fields),
            contacts: facts.contact_properties.unwrap_or_default(),
            companies: facts.company_properties.unwrap_or_default(),
            owners: facts.owners.unwrap_or_default(),
            members: facts.members,
        }
    }

    /// Owners and team, put together.
    pub fn owner_map(&self) -> OwnerMap<'_> {
        OwnerMap::new(&self.settings.owners, &self.owners, &self.members)
    }

    const fn tab(&self, record: RecordKind) -> (&Vec<MappingRow>, &Properties) {
        match record {
            RecordKind::Person => (&self.settings.contacts, &self.contacts),
            RecordKind::Company => (&self.settings.companies, &self.companies),
        }
    }

    /// A text that differs as soon as any profile may: of mapped properties the definitions, of
    /// settings what profiles and the making of people depend on.
    pub fn mark(&self) -> String {
        let definitions = |record| {
            let (rows, definitions) = self.tab(record);
            rows.iter()
                .filter_map(|row| definitions.get(&row.property))
                .map(|definition| json!(definition))
                .collect::<Vec<Value>>()
        };
        let fields: Vec<Value> = [RecordKind::Person, RecordKind::Company]
            .into_iter()
            .flat_map(|record| {
                self.fields.keys(record).filter_map(move |key| {
                    let info = self.fields.get(record, key.as_str())?;
                    Some(json!([record, key, info.field_type]))
                })
            })
            .collect();
        let owners: Vec<Value> = self
            .owners
            .iter()
            .map(|o| json!([o.id, o.email, o.archived]))
            .collect();
        let members: Vec<Value> = self
            .members
            .iter()
            .map(|m| json!([m.id, m.email, m.is_active()]))
            .collect();
        json!([
            self.settings.contacts,
            self.settings.companies,
            self.settings.owners,
            self.settings.import.enabled,
            definitions(RecordKind::Person),
            definitions(RecordKind::Company),
            fields,
            owners,
            members
        ])
        .to_string()
    }
}

/// What a record of ours is in HubSpot.
#[derive(Debug, Clone)]
pub struct Counterpart<'a> {
    /// In which portal.
    pub portal: PortalId,
    /// The record.
    pub record: HubSpotObjectId,
    /// How the link came to be.
    pub origin: LinkOrigin,
    /// Its properties; none of a record that is archived, or not in the mirror.
    pub properties: Option<&'a Map<String, Value>>,
    /// Others that are linked to it, by id.
    pub shared_with: Vec<String>,
    /// Whether its values are this one's.
    pub owns_values: bool,
}

/// Puts a profile together. `app` gives the app's value of a field.
pub fn assemble(
    basis: &Basis,
    owners: &OwnerMap<'_>,
    record: RecordKind,
    id: &str,
    app: impl Fn(&str) -> Option<FieldValue>,
    counterpart: Option<Counterpart<'_>>,
    conflicts: Vec<HubSpotObjectId>,
) -> ProfileAnswer {
    let properties = counterpart.as_ref().and_then(|c| c.properties);
    let text = |name: &str| {
        properties
            .and_then(|all| all.get(name))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let owned = counterpart.as_ref().is_some_and(|c| c.owns_values);
    let (rows, definitions) = basis.tab(record);
    let fields = profile(record, &basis.fields, rows, definitions, app, |name| {
        text(name).filter(|_| owned)
    })
    .into_iter()
    .map(|(key, of)| {
        let value = of.winning().cloned();
        (key, ProfileField { value, of })
    })
    .collect();
    let hubspot_owner = text("hubspot_owner_id")
        .and_then(|id| id.parse::<HubSpotOwnerId>().ok())
        .map(|owner| {
            let stands = owners.member_for_owner(owner);
            ProfileOwner {
                owner,
                member: stands.member().cloned(),
                routed: matches!(stands, MemberForOwner::Routed(_)),
            }
        });
    ProfileAnswer {
        record,
        id: id.to_owned(),
        link: counterpart.map(|c| ProfileLink {
            portal: c.portal,
            hubspot_id: c.record,
            origin: c.origin,
            archived: c.properties.is_none(),
            shared_with: c.shared_with,
            owns_values: c.owns_values,
        }),
        conflicts,
        hubspot_owner,
        fields,
    }
}

/// What a kind of record of ours is in HubSpot.
pub const fn object_type_of(record: RecordKind) -> ObjectType {
    match record {
        RecordKind::Person => ObjectType::Contact,
        RecordKind::Company => ObjectType::Company,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::RecordVersion,
        portal::{PropertyDefinition, by_name},
        settings::{ExportBehavior, ImportPriority},
    };

    fn email(text: &str) -> crate::app::Email {
        crate::app::Email::parse(text).unwrap()
    }

    fn basis(priority: ImportPriority) -> Basis {
        let definition = |name: &str| {
            PropertyDefinition::from_hubspot(
                &json!({"name": name, "type": "string", "fieldType": "text"}).to_string(),
            )
            .unwrap()
        };
        let facts = PortalFacts {
            contact_properties: Some(by_name([definition("jobtitle"), definition("city")])),
            owners: Some(vec![PortalOwner {
                id: HubSpotOwnerId::new(5).unwrap(),
                email: Some(email("ann@a.example")),
                archived: false,
            }]),
            members: vec![Member {
                id: "ann".parse().unwrap(),
                version: RecordVersion::MIN,
                email: Some(email("ann@a.example")),
                name: None,
                active: Some(true),
                slots: Default::default(),
            }],
            ..PortalFacts::default()
        };
        let row = |field: &str, property: &str| MappingRow {
            app_field: field.parse().unwrap(),
            property: property.to_owned(),
            import_priority: priority,
            export: ExportBehavior::FillIfEmpty,
            options: Default::default(),
        };
        let settings = Settings {
            contacts: vec![row("job_title", "jobtitle"), row("city", "city")],
            ..Settings::empty()
        };
        Basis::new(facts, Some(settings))
    }

    fn put_together(basis: &Basis, owns_values: bool, archived: bool) -> ProfileAnswer {
        let properties = json!({"jobtitle": "Boss", "city": null, "hubspot_owner_id": "5"});
        let app = |key: &str| match key {
            "job_title" => Some(FieldValue::Text("Head".to_owned())),
            _ => None,
        };
        let counterpart = Counterpart {
            portal: PortalId::new(1).unwrap(),
            record: HubSpotObjectId::new(7).unwrap(),
            origin: LinkOrigin::Primary,
            properties: properties.as_object().filter(|_| !archived),
            shared_with: Vec::new(),
            owns_values,
        };
        let owners = basis.owner_map();
        let person = RecordKind::Person;
        assemble(
            basis,
            &owners,
            person,
            "p1",
            app,
            Some(counterpart),
            Vec::new(),
        )
    }

    #[test]
    fn the_values_of_a_shared_contact_are_its_owners() {
        let crm = basis(ImportPriority::Crm);
        let value = |profile: &ProfileAnswer| json!(profile.fields["job_title"].value);
        assert_eq!(value(&put_together(&crm, true, false)), "Boss");
        assert_eq!(value(&put_together(&crm, false, false)), "Head");
        assert_eq!(value(&put_together(&crm, true, true)), "Head");
        let artisan = basis(ImportPriority::Artisan);
        let profile = put_together(&artisan, true, false);
        assert_eq!(value(&profile), "Head");
        assert_eq!(profile.fields["city"].value, None);
        let owner = profile.hubspot_owner.unwrap();
        assert_eq!(owner.member.unwrap().as_str(), "ann");
        assert!(!owner.routed);
    }

    #[test]
    fn what_profiles_depend_on_tells_in_the_mark() {
        let crm = basis(ImportPriority::Crm).mark();
        assert_eq!(crm, basis(ImportPriority::Crm).mark());
        assert_ne!(crm, basis(ImportPriority::Artisan).mark());
        let mut other = basis(ImportPriority::Crm);
        other.settings.retention.journal_days += 1;
        assert_eq!(crm, other.mark(), "retention is nothing to profiles");
        other.settings.import.enabled = !other.settings.import.enabled;
        assert_ne!(crm, other.mark());
        let mut other = basis(ImportPriority::Crm);
        other.members.clear();
        assert_ne!(crm, other.mark());
        let mut other = basis(ImportPriority::Crm);
        other.contacts.remove("city");
        assert_ne!(crm, other.mark());
    }
}
