//! Paths of the first two generations that connectors of others still read by: companies v2, deals
//! v1, property definitions v1 and v2, schemas of custom objects.

use std::ops::Bound;

use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    bare::Bare,
    model::{Data, Kind, Property, Record},
    schemas,
    server::Query,
};

/// Where an old path leads. All of it only reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Legacy<'a> {
    /// `/companies/v2/companies/paged`, `/deals/v1/deal/paged`
    Page(Kind),
    /// `/companies/v2/companies/{id}`, `/deals/v1/deal/{id}`
    One(Kind, &'a str),
    /// `/companies/v2/properties`, `/properties/{v1|v2}/{type}/properties`
    Properties(Kind),
    /// The same of a type that HubSpot has and the simulator holds no records of
    DefinitionsOnly,
    /// `/crm/v3/schemas`
    Schemas,
    /// `/crm/v3/schemas/{type}`, `/crm-object-schemas/{version}/schemas/{type}`
    Schema(Kind),
}

impl<'a> Legacy<'a> {
    pub(crate) fn parse(method: &str, segments: &[&'a str]) -> Option<Self> {
        Some(match (method, segments) {
            ("GET", ["companies", "v2", "companies", "paged"]) => Self::Page(Kind::Company),
            ("GET", ["companies", "v2", "companies", id]) => Self::One(Kind::Company, id),
            ("GET", ["companies", "v2", "properties"]) => Self::Properties(Kind::Company),
            ("GET", ["deals", "v1", "deal", "paged"]) => Self::Page(Kind::Deal),
            ("GET", ["deals", "v1", "deal", id]) => Self::One(Kind::Deal, id),
            ("GET", ["properties", "v1" | "v2", name, "properties"]) => match Kind::parse(name) {
                Some(kind) => Self::Properties(kind),
                None if Bare::parse(name).is_some() => Self::DefinitionsOnly,
                None => return None,
            },
            ("GET", ["crm", "v3", "schemas"]) => Self::Schemas,
            (
                "GET",
                ["crm", "v3", "schemas", name] | ["crm-object-schemas", _, "schemas", name],
            ) => Self::Schema(Kind::parse(name)?),
            _ => return None,
        })
    }

    /// Any one of these scopes will do.
    pub(crate) fn scopes(self) -> Vec<String> {
        match self {
            Self::Page(kind) | Self::One(kind, _) => {
                vec![format!("crm.objects.{}.read", kind.scope())]
            }
            Self::Properties(kind) | Self::Schema(kind) => vec![
                format!("crm.schemas.{}.read", kind.scope()),
                format!("crm.objects.{}.read", kind.scope()),
            ],
            Self::DefinitionsOnly => Vec::new(),
            Self::Schemas => vec!["crm.schemas.custom.read".to_owned()],
        }
    }

    pub(crate) fn handle(self, data: &Data, portal: u64, query: &Query) -> Answer {
        match self {
            Self::Page(kind) => page(data, portal, kind, query),
            Self::One(kind, id) => one(data, portal, kind, id),
            Self::DefinitionsOnly => Answer::json(
                200,
                &["hs_object_id", "hs_createdate", "hs_lastmodifieddate"]
                    .iter()
                    .filter_map(|name| data.properties[Kind::Note as usize].get(*name))
                    .map(|p| definition(Kind::Note, p))
                    .collect(),
            ),
            Self::Properties(kind) => {
                let all: Vec<_> = data.properties[kind as usize]
                    .values()
                    .map(|p| definition(kind, p))
                    .collect();
                Answer::json(200, &Value::Array(all))
            }
            Self::Schemas => Answer::json(200, &json!({"results": []})),
            Self::Schema(kind) => schemas::read(data, kind),
        }
    }
}

/// The largest page of both listings.
const LARGEST_PAGE: u64 = 250;

fn page(data: &Data, portal: u64, kind: Kind, query: &Query) -> Answer {
    let limit = query.number("limit").unwrap_or(100).clamp(1, LARGEST_PAGE) as usize;
    let from = query.number("offset").unwrap_or(0);
    let every = query.flag("includeAllProperties");
    let asked = query.list("properties");
    let names: Vec<&str> = if every { names_of(data, kind) } else { asked };
    let mut live = data.records[kind as usize]
        .range(from..)
        .filter(|(_, r)| r.archived_at.is_none() && r.raw.is_none());
    let rows: Vec<Value> = live
        .by_ref()
        .take(limit)
        .map(|(id, record)| shape(data, portal, kind, *id, record, &names))
        .collect();
    let next = live.next().map(|(id, _)| *id);
    let offset = next.unwrap_or(0);
    Answer::json(
        200,
        &if kind == Kind::Company {
            json!({"companies": rows, "has-more": next.is_some(), "offset": offset})
        } else {
            json!({"deals": rows, "hasMore": next.is_some(), "offset": offset})
        },
    )
}

fn one(data: &Data, portal: u64, kind: Kind, id: &str) -> Answer {
    let found = id.parse::<u64>().ok().and_then(|id| {
        let record = data.records[kind as usize].get(&id)?;
        (record.archived_at.is_none() && record.raw.is_none()).then_some((id, record))
    });
    match found {
        Some((id, record)) => {
            let names = names_of(data, kind);
            Answer::json(200, &shape(data, portal, kind, id, record, &names))
        }
        None => Answer::not_found(),
    }
}

fn names_of(data: &Data, kind: Kind) -> Vec<&str> {
    data.properties[kind as usize]
        .keys()
        .map(String::as_str)
        .collect()
}

/// Each value with its time and source; what is empty is left out.
fn shape(data: &Data, portal: u64, kind: Kind, id: u64, record: &Record, names: &[&str]) -> Value {
    let mut properties = Map::new();
    for name in names {
        let Some(value) = data.value(kind, id, record, name) else {
            continue;
        };
        let at = match *name {
            "createdate" | "hs_object_id" => record.created,
            _ => record.updated,
        };
        // Times are milliseconds in these generations.
        let value = data.properties[kind as usize]
            .get(*name)
            .filter(|p| p.kind == "datetime")
            .and_then(|_| chrono::DateTime::parse_from_rfc3339(&value).ok())
            .map_or(value, |t| t.timestamp_millis().to_string());
        let version = json!({
            "name": name, "value": value, "timestamp": at, "source": "CRM_UI",
            "sourceId": null, "sourceVid": [], "requestId": null,
        });
        properties.insert(
            (*name).to_owned(),
            json!({
                "value": value, "timestamp": at, "source": "CRM_UI", "sourceId": null,
                "versions": [version],
            }),
        );
    }
    let mut record = json!({
        "portalId": portal, "isDeleted": false, "properties": properties, "stateChanges": [],
    });
    if kind == Kind::Company {
        record["companyId"] = json!(id);
        record["additionalDomains"] = json!([]);
        record["mergeAudits"] = json!([]);
    } else {
        record["dealId"] = json!(id);
        record["imports"] = json!([]);
        record["associations"] = json!({
            "associatedVids": linked(data, (kind, id), Kind::Contact),
            "associatedCompanyIds": linked(data, (kind, id), Kind::Company),
            "associatedDealIds": [],
        });
    }
    record
}

fn linked(data: &Data, from: (Kind, u64), to: Kind) -> Vec<u64> {
    let all = (Bound::Included((to, 0)), Bound::Included((to, u64::MAX)));
    data.links
        .get(&from)
        .into_iter()
        .flat_map(|l| l.range(all))
        .map(|((_, id), _)| *id)
        .filter(|id| {
            data.records[to as usize]
                .get(id)
                .is_some_and(|r| r.archived_at.is_none())
        })
        .collect()
}

fn definition(kind: Kind, property: &Property) -> Value {
    json!({
        "name": property.name, "label": property.label, "description": "",
        "groupName": property.group_name, "type": property.kind,
        "fieldType": property.field_type, "objectType": kind.singular().to_uppercase(),
        "options": property.options.iter().enumerate().map(|(place, option)| json!({
            "label": option.label, "value": option.value, "displayOrder": place,
            "hidden": false, "readOnly": false, "description": "", "doubleData": 0.0,
        })).collect::<Vec<_>>(),
        "readOnlyValue": property.read_only, "readOnlyDefinition": true,
        "mutableDefinitionNotDeletable": true, "hidden": false, "calculated": false,
        "externalOptions": false, "deleted": false, "formField": true, "displayOrder": -1,
        "displayMode": "current_value", "favorited": false, "favoritedOrder": -1,
        "hasUniqueValue": property.has_unique_value,
    })
}
