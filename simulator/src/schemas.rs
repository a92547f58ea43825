//! What a type of records is: `/crm/v3/schemas/{type}`.

use serde_json::{Value, json};

use crate::{
    answer::Answer,
    associations::{inline_name, types_of},
    model::{Data, Kind},
    properties,
};

/// The schema of a type of which there are no records.
pub(crate) fn bare(singular: &str, plural: &str, type_id: &str, properties: &[Value]) -> Answer {
    let name = singular.to_uppercase();
    Answer::json(
        200,
        &json!({
            "labels": {"singular": singular, "plural": plural},
            "requiredProperties": [], "searchableProperties": [],
            "primaryDisplayProperty": "hs_object_id", "secondaryDisplayProperties": [],
            "description": "", "allowsSensitiveProperties": false,
            "archived": false, "restorable": true, "metaType": "HUBSPOT",
            "id": type_id.trim_start_matches("0-"), "fullyQualifiedName": name,
            "createdAt": "1970-01-01T00:00:00Z", "updatedAt": "2025-03-05T18:12:37.434Z",
            "createdByUserId": null, "updatedByUserId": null, "objectTypeId": type_id,
            "properties": properties, "associations": [], "name": name,
        }),
    )
}

/// The schema of a type, with its properties and the types of its associations.
pub(crate) fn read(data: &Data, kind: Kind) -> Answer {
    let name = match kind {
        Kind::Meeting => "MEETING_EVENT".to_owned(),
        kind => kind.singular().to_uppercase(),
    };
    let label = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_uppercase().chain(letters).collect()
        })
    };
    let first = match kind {
        Kind::Contact => "firstname",
        Kind::Company => "name",
        Kind::Deal => "dealname",
        Kind::Ticket => "subject",
        _ => "hs_object_id",
    };
    let associations: Vec<Value> = Kind::ALL
        .into_iter()
        .flat_map(|to| types_of(data, kind, to).into_iter().map(move |t| (to, t)))
        .map(|(to, type_id)| {
            json!({
                "fromObjectTypeId": kind.type_id(), "toObjectTypeId": to.type_id(),
                "name": inline_name(data, kind, to, type_id).to_uppercase(),
                "cardinality": "ONE_TO_MANY", "inverseCardinality": "ONE_TO_MANY",
                "hasUserEnforcedMaxToObjectIds": false, "hasUserEnforcedMaxFromObjectIds": false,
                "maxToObjectIds": data.settings.rules.association_limit,
                "maxFromObjectIds": data.settings.rules.association_limit,
                "id": type_id.to_string(), "createdAt": null, "updatedAt": null,
            })
        })
        .collect();
    Answer::json(
        200,
        &json!({
            "labels": {"singular": label(kind.singular()), "plural": label(kind.plural())},
            "requiredProperties": [], "searchableProperties": [],
            "primaryDisplayProperty": first, "secondaryDisplayProperties": [],
            "description": "", "allowsSensitiveProperties": kind == Kind::Contact,
            "archived": false, "restorable": true, "metaType": "HUBSPOT",
            "id": kind.type_id().trim_start_matches("0-"), "fullyQualifiedName": name,
            "createdAt": "1970-01-01T00:00:00Z", "updatedAt": "2025-03-05T18:12:37.434Z",
            "createdByUserId": null, "updatedByUserId": null, "objectTypeId": kind.type_id(),
            "properties": properties::all(data, kind),
            "associations": associations, "name": name,
        }),
    )
}
