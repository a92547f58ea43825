//! A workspace, a portal, and what HubSpot makes of a write; written by itself, sharing no code with
//! what it tests.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::{
    Change, ContactFacts, ContactPlan, Decision, ExportCause, Found, History, LeftOut, PortalSide,
    RecordRead, Workspace, Write, contact,
    portal_rules::{RequiredProperty, RequiredWhen},
};
use crate::{
    HubSpotObjectId, HubSpotOwnerId,
    app::{
        Company, CustomField, Email, FieldType, FieldValue, Fields, LeadStatus, Outreach, Person,
        RecordKind, RecordVersion, SlotVersions,
    },
    owners::OwnerForMember,
    portal::{External, Properties, PropertyDefinition, by_name},
    settings::{self, Settings},
};

pub(super) fn id(n: i64) -> HubSpotObjectId {
    HubSpotObjectId::new(n).unwrap()
}

pub(super) fn owner(n: i64) -> OwnerForMember {
    OwnerForMember::Email(HubSpotOwnerId::new(n).unwrap())
}

fn definitions(text: &str) -> Properties {
    by_name(text.split_whitespace().map(|line| {
        let parts: Vec<&str> = line.split('|').collect();
        let options: Vec<Value> = parts[3]
            .split(',')
            .filter(|o| !o.is_empty())
            .map(|o| json!({"value": o, "label": o.to_uppercase()}))
            .collect();
        PropertyDefinition::from_hubspot(
            &json!({
                "name": parts[0], "type": parts[1], "fieldType": parts[2], "options": options,
                "archived": parts[4] == "archived", "calculated": parts[4] == "calculated",
                "modificationMetadata": {"readOnlyValue": parts[4] == "readonly"},
            })
            .to_string(),
        )
        .unwrap()
    }))
}

/// What a workspace and its portal are.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) fields: Fields,
    pub(super) contacts: Properties,
    pub(super) companies: Properties,
    pub(super) required: Vec<RequiredProperty>,
    pub(super) required_of_companies: Vec<RequiredProperty>,
}

impl World {
    pub(super) fn new(document: Value) -> Self {
        let mut document = document;
        document["schema_version"] = json!(2);
        let custom = |key: &str, field_type| CustomField {
            record: RecordKind::Person,
            key: key.parse().unwrap(),
            label: key.to_owned(),
            field_type,
        };
        let custom = [
            custom("custom.since", FieldType::Date),
            custom("custom.at", FieldType::Datetime),
        ];
        Self {
            settings: settings::read(document).unwrap(),
            fields: Fields::new(&custom),
            contacts: definitions(
                "email|string|text|| hs_additional_emails|string|text||readonly firstname|string|text||
                 lastname|string|text|| jobtitle|string|text|| city|string|text|| phone|phone_number|phonenumber||
                 score|number|number|| interests|enumeration|checkbox|a,b,c| since|date|date||
                 at|datetime|date|| verified|bool|booleancheckbox|| rating|enumeration|select|1,2|
                 hs_lead_status|enumeration|radio|NEW,OPEN,CONNECTED|
                 lifecyclestage|enumeration|radio|subscriber,lead,opportunity,customer|
                 lead_source|enumeration|select|Artisan,Web| fixed|string|text||
                 readonly|string|text||readonly computed|number|number||calculated gone|string|text||archived
                 hubspot_owner_id|enumeration|select|1,2,3|",
            ),
            companies: definitions(
                "name|string|text|| domain|string|text|| hs_additional_domains|string|text||readonly
                 city|string|text|| industry|enumeration|select|TECH,FOOD| numberofemployees|number|number||
                 type|enumeration|select|PROSPECT,PARTNER| hubspot_owner_id|enumeration|select|1,2,3|",
            ),
            required: Vec::new(),
            required_of_companies: Vec::new(),
        }
    }

    pub(super) fn workspace(&self) -> Workspace<'_> {
        Workspace {
            settings: &self.settings,
            fields: &self.fields,
            contacts: PortalSide {
                definitions: &self.contacts,
                external: External::default(),
                required: &self.required,
            },
            companies: PortalSide {
                definitions: &self.companies,
                external: External::default(),
                required: &self.required_of_companies,
            },
        }
    }
}

pub(super) fn required(property: &str, when: Option<(&str, &[&str])>) -> RequiredProperty {
    RequiredProperty {
        property: property.to_owned(),
        when: when.map(|(property, values)| RequiredWhen {
            property: property.to_owned(),
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        }),
    }
}

pub(super) fn values<K: std::str::FromStr + Ord>(fields: Value) -> BTreeMap<K, FieldValue>
where
    K::Err: std::fmt::Debug,
{
    let Value::Object(fields) = fields else {
        unreachable!()
    };
    fields
        .into_iter()
        .map(|(key, value)| (key.parse().unwrap(), serde_json::from_value(value).unwrap()))
        .collect()
}

pub(super) fn person(email: Option<&str>, status: Option<LeadStatus>, fields: Value) -> Person {
    Person {
        id: "p1".parse().unwrap(),
        version: RecordVersion::MIN,
        email: email.map(|e| Email::parse(e).unwrap()),
        company: None,
        owner: None,
        status,
        outreach: Outreach::default(),
        fields: values(fields),
        slots: SlotVersions::default(),
    }
}

pub(super) fn company(fields: Value) -> Company {
    Company {
        id: "c1".parse().unwrap(),
        version: RecordVersion::MIN,
        fields: values(fields),
        slots: SlotVersions::default(),
    }
}

/// A record as HubSpot has it: what is written is normalised, what cannot be written fails the test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stored(pub(super) BTreeMap<String, String>);

impl Stored {
    pub(super) fn of(values: &[(&str, &str)]) -> Self {
        Self(
            values
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    pub(super) fn read(&self, id: HubSpotObjectId, definitions: &Properties) -> RecordRead {
        let answer: Map<String, Value> = definitions
            .keys()
            .map(|name| (name.clone(), json!(self.0.get(name))))
            .collect();
        RecordRead::fresh(id, [], &answer)
    }

    pub(super) fn apply(&mut self, changes: &[Change], definitions: &Properties) {
        for change in changes {
            let definition = &definitions[&change.property];
            assert!(
                !(definition.read_only || definition.calculated || definition.archived),
                "{} cannot be written",
                change.property
            );
            let sent = change.write.sent().as_str();
            assert!(!sent.trim().is_empty(), "nothing is cleared");
            assert!(sent.chars().count() <= 65_536);
            let before = self.0.get(&change.property).cloned().unwrap_or_default();
            if let Write::Reset(_) = change.write {
                self.0.remove(&change.property);
            } else if change.property == "lifecyclestage" && !before.is_empty() {
                let place = |v: &str| definition.options.iter().position(|o| o.value == v);
                // HubSpot says yes and does nothing.
                if place(sent) < place(&before) {
                    continue;
                }
            }
            let after = match (definition.name.as_str(), definition.field_type.as_str()) {
                ("email" | "domain", _) => sent.to_lowercase(),
                (_, "checkbox") => {
                    let both = match sent.strip_prefix(';') {
                        Some(added) => format!("{added};{before}"),
                        None => sent.to_owned(),
                    };
                    let mut each: Vec<&str> = both.split(';').filter(|o| !o.is_empty()).collect();
                    each.reverse();
                    each.join(";")
                }
                (_, "number") if !sent.contains('.') => format!("{sent}.00"),
                (_, "text") => sent.trim().to_owned(),
                _ if definition.name == "since" => {
                    let day = chrono::NaiveDate::parse_from_str(sent, "%Y-%m-%d").unwrap();
                    day.and_time(chrono::NaiveTime::MIN)
                        .and_utc()
                        .timestamp_millis()
                        .to_string()
                }
                _ if definition.name == "at" => sent.replace(".000Z", "Z"),
                _ => sent.to_owned(),
            };
            self.0.insert(change.property.clone(), after);
        }
    }
}

/// The facts of an ordinary export; each test changes what it is about.
pub(super) fn facts<'a>(
    person: &'a Person,
    found: Found<'a>,
    history: &'a History,
) -> ContactFacts<'a> {
    ContactFacts {
        cause: ExportCause::Automatic,
        person,
        linked: match found {
            Found::Live(read) => Some(read.id()),
            Found::Archived(id) | Found::Gone(id) => Some(id),
            Found::Nobody => None,
        },
        found,
        key_taken: false,
        owns_values: true,
        owner: OwnerForMember::None,
        status_said: None,
        history,
    }
}

/// What a plan says in a line each: `property: old → new` and `property: why`.
pub(super) fn told(changes: &[Change], left_out: &[LeftOut]) -> Vec<String> {
    let written = changes.iter().map(|c| {
        let old = c.old.as_ref().map_or("-", |o| o.as_str());
        let first = if c.write.empties_first() {
            " (emptied first)"
        } else {
            ""
        };
        format!("{}: {old} → {}{first}", c.property, c.write.sent().as_str())
    });
    let kept = left_out
        .iter()
        .map(|l| format!("{}: {}", l.property, l.why.as_str()));
    written.chain(kept).collect()
}

/// A plan for a contact that HubSpot has with these values, linked.
pub(super) fn planned(world: &World, person: &Person, stored: &[(&str, &str)]) -> ContactPlan {
    let read = Stored::of(stored).read(id(7), &world.contacts);
    let history = History::default();
    contact::plan(
        &world.workspace(),
        &facts(person, Found::Live(&read), &history),
    )
}

pub(super) fn skipped(plan: &ContactPlan) -> Option<&'static str> {
    match &plan.decision {
        Decision::Skip(skip) => Some(skip.reason.as_str()),
        _ => None,
    }
}
