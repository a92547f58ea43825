//! What a run reads and with which reader (I1).

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ids::{HubSpotObjectId, ObjectType, SyncType},
    portal::{ListId, Properties},
    settings::Settings,
};

/// How long one slice reads before it hands back to its workflow, if others wait for its place.
pub const SLICE: Duration = Duration::from_secs(30);

/// The longest that one slice reads, whoever waits.
pub const SLICE_MAX: Duration = Duration::from_secs(75);

/// Whether a slice that began so long ago hands back. Between two slices nothing is asked for, for
/// some tenths of a second; so while nobody waits for its place, a slice goes on for two and a half
/// times as long.
pub fn slice_is_over(elapsed: Duration, slice: Duration, others_may_wait: bool) -> bool {
    let goes_on = slice.saturating_mul(5) / 2;
    let most = if others_may_wait { slice } else { goes_on };
    elapsed >= most.min(SLICE_MAX)
}

/// Why a run exists.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum RunKind {
    /// Made by connecting.
    Initial,
    /// Asked for (X7).
    Resync,
    /// Reads the members of lists that were given a use (I6).
    Members,
    /// Reads records again for properties that were newly mapped (I5).
    Mapping,
}

crate::named::named!(RunKind, "kind of a run");

impl RunKind {
    /// As a person calls it.
    pub const fn noun(&self) -> &'static str {
        match self {
            Self::Initial => "backfill",
            Self::Resync => "resync",
            Self::Members => "reading of list members",
            Self::Mapping => "reading for mapped properties",
        }
    }
}

/// The lists whose members are read: those that the settings give a use (I6). A portal may have
/// thousands of lists with a hundred thousand members each; of the others name and size are enough.
pub fn lists_with_use(settings: &Settings) -> BTreeSet<ListId> {
    settings
        .lists
        .iter()
        .map(|followed| followed.list)
        .collect()
}

/// Which reader brings the records of one object type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "reader")]
pub enum ReadPlan {
    /// The list endpoint, all records in the order of their ids.
    List,
    /// The search endpoint: records modified at `since` or later, in the order of their ids, so
    /// that ties on one timestamp and the cap of 10,000 results are harmless (design §4.8).
    ModifiedSince {
        /// The lower bound, by HubSpot's clock.
        since: DateTime<Utc>,
    },
}

impl ReadPlan {
    /// The reader for a lower bound.
    pub const fn from_bound(since: Option<DateTime<Utc>>) -> Self {
        match since {
            None => Self::List,
            Some(since) => Self::ModifiedSince { since },
        }
    }
}

/// Which associations come in with each record: each pair is read from one side only.
pub const fn associations_read_with(object_type: ObjectType) -> &'static [ObjectType] {
    match object_type {
        ObjectType::Contact => &[ObjectType::Company],
        ObjectType::Company => &[],
        ObjectType::Deal => &[ObjectType::Contact, ObjectType::Company],
        ObjectType::Email
        | ObjectType::Call
        | ObjectType::Meeting
        | ObjectType::Note
        | ObjectType::Task
        | ObjectType::Communication => &[ObjectType::Contact],
    }
}

/// The properties without which the mirror cannot do its work, whatever the settings say.
/// Mapped properties are added to these (design §4.13).
pub const fn needed_properties(object_type: ObjectType) -> &'static [&'static str] {
    match object_type {
        ObjectType::Contact => &[
            "email",
            "hs_additional_emails",
            "firstname",
            "lastname",
            "jobtitle",
            "phone",
            "company",
            "website",
            "city",
            "country",
            "lifecyclestage",
            "hs_lead_status",
            "hubspot_owner_id",
            "hs_email_optout",
            "notes_last_contacted",
            "notes_last_updated",
            "notes_next_activity_date",
            "engagements_last_meeting_booked",
            "hs_sales_email_last_replied",
            "hs_merged_object_ids",
            "createdate",
            "lastmodifieddate",
        ],
        ObjectType::Company => &[
            "name",
            "domain",
            "hs_additional_domains",
            "website",
            "industry",
            "numberofemployees",
            "annualrevenue",
            "city",
            "state",
            "country",
            "lifecyclestage",
            "hubspot_owner_id",
            "notes_last_contacted",
            "notes_last_updated",
            "notes_next_activity_date",
            "engagements_last_meeting_booked",
            "hs_merged_object_ids",
            "createdate",
            "hs_lastmodifieddate",
        ],
        ObjectType::Deal => &[
            "dealname",
            "amount",
            "dealstage",
            "pipeline",
            "closedate",
            "hubspot_owner_id",
            "hs_is_closed",
            "hs_is_closed_won",
            "hs_merged_object_ids",
            "createdate",
            "hs_lastmodifieddate",
        ],
        ObjectType::Email
        | ObjectType::Call
        | ObjectType::Meeting
        | ObjectType::Note
        | ObjectType::Task
        | ObjectType::Communication => &[
            "hs_timestamp",
            "hubspot_owner_id",
            "hs_createdate",
            "hs_lastmodifieddate",
        ],
    }
}

/// The properties that are read beside [`needed_properties`]: those that the settings name, as far as
/// the portal has them. One that it does not have would fail searches; the settings show it as a
/// problem. Without definitions (HubSpot refused them, say) all are tried.
pub fn mapped_properties(
    object_type: ObjectType,
    settings: &Settings,
    definitions: Option<&Properties>,
) -> Vec<String> {
    settings
        .mapped_properties(object_type)
        .into_iter()
        .filter(|name| !needed_properties(object_type).contains(name))
        .filter(|name| {
            definitions.is_none_or(|all| all.get(*name).is_some_and(|one| !one.archived))
        })
        .map(str::to_owned)
        .collect()
}

/// Of the properties that the answer to a write brought, those that are read as well. HubSpot answers with
/// more (values that it computes), which no reading would ever renew. What is no object is left as it is.
pub fn only_read(properties: String, object_type: ObjectType, settings: &Settings) -> String {
    use serde_json::value::RawValue;
    let Ok(mut all) =
        serde_json::from_str::<std::collections::BTreeMap<String, &RawValue>>(&properties)
    else {
        return properties;
    };
    let mapped = settings.mapped_properties(object_type);
    let needed = needed_properties(object_type);
    all.retain(|name, _| mapped.contains(name.as_str()) || needed.contains(&name.as_str()));
    serde_json::to_string(&all).unwrap_or_default()
}

/// Properties as they came, with null for those that were asked for and did not come: so what was
/// emptied is told from what was not asked for. What is no object is left as it is.
pub fn with_absent(properties: String, asked: &[String]) -> String {
    let Ok(known) = serde_json::from_str::<std::collections::BTreeMap<&str, serde::de::IgnoredAny>>(
        &properties,
    ) else {
        return properties;
    };
    // A name that stands there twice is no object to whoever reads it strictly.
    let mut once = BTreeSet::new();
    let absent: Vec<&String> = asked
        .iter()
        .filter(|name| !known.contains_key(name.as_str()) && once.insert(*name))
        .collect();
    let Some(open) = properties.rfind('}').filter(|_| !absent.is_empty()) else {
        return properties;
    };
    let mut whole = properties[..open].trim_end().to_owned();
    for (n, name) in absent.into_iter().enumerate() {
        if n > 0 || !known.is_empty() {
            whole.push(',');
        }
        whole.push_str(&serde_json::Value::from(name.as_str()).to_string());
        whole.push_str(":null");
    }
    whole.push('}');
    whole
}

/// The types that a run reads at the same time, stage after stage: definitions come first, because
/// records are understood with them; list memberships last, because they point at records.
pub fn stages(types: &[SyncType]) -> Vec<Vec<SyncType>> {
    const STAGES: [&[SyncType]; 2] = [
        &[SyncType::Owners, SyncType::Properties, SyncType::Pipelines],
        &[
            SyncType::Contacts,
            SyncType::Companies,
            SyncType::Deals,
            SyncType::Lists,
            SyncType::Engagements,
        ],
    ];
    STAGES
        .iter()
        .map(|stage| {
            stage
                .iter()
                .copied()
                .filter(|t| types.contains(t))
                .collect::<Vec<_>>()
        })
        .filter(|stage| !stage.is_empty())
        .collect()
}

/// The place after which a keyset reader goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct AfterObject(pub HubSpotObjectId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_goes_on_while_nobody_waits() {
        let seconds = Duration::from_secs;
        for (elapsed, slice, others_may_wait, over) in [
            (29, 30, true, false),
            (30, 30, true, true),
            (30, 30, false, false),
            (74, 30, false, false),
            (75, 30, false, true),
            (12, 5, false, false),
            (13, 5, false, true),
            (74, 60, false, false),
            (75, 60, false, true),
        ] {
            assert_eq!(
                slice_is_over(seconds(elapsed), seconds(slice), others_may_wait),
                over,
                "{elapsed} s of {slice}, others may wait: {others_may_wait}"
            );
        }
    }

    #[test]
    fn mapped_properties_are_read_as_far_as_the_portal_has_them() {
        use crate::{portal::PropertyDefinition, settings::MappingRow};
        let row = |field: &str, property: &str| MappingRow {
            app_field: field.parse().unwrap(),
            property: property.to_owned(),
            import_priority: Default::default(),
            export: Default::default(),
            options: Default::default(),
        };
        let settings = Settings {
            contacts: vec![
                row("job_title", "jobtitle"),
                row("city", "favourite_colour"),
                row("country", "gone"),
                row("phone", "archived_one"),
            ],
            ..Settings::empty()
        };
        let definition = |name: &str, archived: bool| {
            let json = serde_json::json!({"name": name, "type": "string", "archived": archived});
            PropertyDefinition::from_hubspot(&json.to_string()).unwrap()
        };
        let definitions = crate::portal::by_name([
            definition("favourite_colour", false),
            definition("archived_one", true),
        ]);
        let read = |definitions| mapped_properties(ObjectType::Contact, &settings, definitions);
        assert_eq!(read(Some(&definitions)), ["favourite_colour"]);
        assert_eq!(read(None), ["archived_one", "favourite_colour", "gone"]);
        assert!(mapped_properties(ObjectType::Deal, &settings, None).is_empty());
    }

    #[test]
    fn what_was_asked_for_and_did_not_come_is_null() {
        let asked = ["a", "b\"", "a", "b\""].map(str::to_owned);
        for (came, whole) in [
            (r#"{"a":"1"}"#, r#"{"a":"1","b\"":null}"#),
            (r#"{ }"#, r#"{"a":null,"b\"":null}"#),
            (r#"{"a":null,"b\"":"}"}"#, r#"{"a":null,"b\"":"}"}"#),
            ("[1]", "[1]"),
        ] {
            let got = with_absent(came.to_owned(), &asked);
            assert_eq!(got.replace("{ ", "{"), whole);
        }
    }

    #[test]
    fn of_a_write_s_answer_stays_what_is_read() {
        let mut settings = Settings::empty();
        settings.contacts = serde_json::from_value(serde_json::json!([{
            "app_field": "city", "property": "city", "import_priority": "crm", "export": "overwrite",
        }]))
        .unwrap();
        let only = |came: &str| only_read(came.to_owned(), ObjectType::Contact, &settings);
        assert_eq!(
            only(r#"{"city":"Ulm","hs_full_name_or_email":"A","email":null,"zip":"1"}"#),
            r#"{"city":"Ulm","email":null}"#
        );
        assert_eq!(only("[1]"), "[1]");
    }

    #[test]
    fn every_type_is_read_in_exactly_one_stage() {
        let mut all: Vec<_> = stages(&SyncType::ALL).concat();
        all.sort();
        let mut want = SyncType::ALL.to_vec();
        want.sort();
        assert_eq!(all, want);
        assert_eq!(stages(&[]), Vec::<Vec<SyncType>>::new());
        assert_eq!(stages(&[SyncType::Deals]), [[SyncType::Deals]]);
    }

    #[test]
    fn each_pair_of_types_is_associated_from_one_side() {
        let mut pairs = std::collections::BTreeSet::new();
        for from in ObjectType::MIRRORED {
            for to in associations_read_with(from) {
                let pair = (from.min(*to), from.max(*to));
                assert!(pairs.insert(pair), "{from} and {to} are read twice");
            }
        }
        assert_eq!(pairs.len(), 3);
    }

    #[test]
    fn last_modified_is_always_read() {
        for t in ObjectType::ALL {
            let name = if t == ObjectType::Contact {
                "lastmodifieddate"
            } else {
                "hs_lastmodifieddate"
            };
            assert!(needed_properties(t).contains(&name));
        }
    }
}
