//! Property definitions and their groups.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, error_body, iso},
    associations::envelope,
    events::Work,
    model::{Data, Group, Kind, Property, PropertyOption},
    rules::EngagementKeys,
    server::Query,
};

/// As many unique properties as an object type may have.
const UNIQUE: usize = 10;

/// The answers a definition appears in differ in a few fields.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// Everywhere but for a batch create.
    Full,
    /// Answers to a batch create: without times.
    Batch,
}

fn option(option: &PropertyOption) -> Value {
    let mut shape = json!({
        "label": option.label, "value": option.value,
        "displayOrder": option.display_order, "hidden": option.hidden,
    });
    if let Some(description) = &option.description {
        shape["description"] = json!(description);
    }
    shape
}

fn definition(property: &Property, shape: Shape) -> Value {
    let mut value = json!({
        "name": property.name, "label": property.label, "type": property.kind,
        "fieldType": property.field_type, "description": property.description,
        "groupName": property.group_name,
        "options": property.options.iter().map(option).collect::<Vec<_>>(),
        "displayOrder": property.display_order, "calculated": property.calculated,
        "externalOptions": property.external_options,
        "hasUniqueValue": property.has_unique_value, "hidden": property.hidden,
        "modificationMetadata": {
            "archivable": true, "readOnlyDefinition": property.hubspot_defined,
            "readOnlyValue": property.read_only,
        },
        "formField": property.form_field, "dataSensitivity": "non_sensitive",
    });
    if property.hubspot_defined {
        value["hubspotDefined"] = json!(true);
    }
    if shape != Shape::Batch {
        value["createdAt"] = json!(iso(property.created));
        value["updatedAt"] = json!(iso(property.updated));
        if !property.hubspot_defined {
            value["archived"] = json!(property.archived_at.is_some());
            value["createdUserId"] = json!("76070032");
            value["updatedUserId"] = json!("76070032");
        }
        if let Some(at) = property.archived_at {
            value["archivedAt"] = json!(iso(at));
        }
    }
    value
}

/// A definition as a request has it; what is missing in an update stays.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    name: Option<String>,
    label: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    field_type: Option<String>,
    group_name: Option<String>,
    description: Option<String>,
    options: Option<Vec<WantedOption>>,
    display_order: Option<i64>,
    has_unique_value: Option<bool>,
    hidden: Option<bool>,
    form_field: Option<bool>,
    external_options: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WantedOption {
    label: String,
    value: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    display_order: Option<i64>,
    #[serde(default)]
    hidden: bool,
}

/// Options without a place come after those that have one.
fn options(wanted: Vec<WantedOption>) -> Vec<PropertyOption> {
    let mut last = wanted
        .iter()
        .filter_map(|o| o.display_order)
        .max()
        .unwrap_or(-1);
    wanted
        .into_iter()
        .map(|o| PropertyOption {
            label: o.label,
            value: o.value,
            description: o.description,
            display_order: o.display_order.unwrap_or_else(|| {
                last += 1;
                last
            }),
            hidden: o.hidden,
        })
        .collect()
}

const TYPES: &[(&str, &[&str])] = &[
    (
        "string",
        &["text", "textarea", "html", "phonenumber", "file"],
    ),
    ("number", &["number", "text", "calculation_equation"]),
    ("date", &["date"]),
    ("datetime", &["date"]),
    (
        "enumeration",
        &["select", "radio", "checkbox", "booleancheckbox"],
    ),
    (
        "bool",
        &["booleancheckbox", "select", "radio", "calculation_equation"],
    ),
    ("phone_number", &["phonenumber"]),
];

type Refused = (u16, Value);

fn refuse(message: &str) -> Refused {
    (400, error_body("VALIDATION_ERROR", message))
}

fn exists(name: &str) -> Refused {
    let mut body = error_body(
        "OBJECT_ALREADY_EXISTS",
        &format!("A property named '{name}' already exists."),
    );
    body["subCategory"] = json!("Properties.PROPERTY_WITH_NAME_EXISTS");
    body["context"] = json!({"name": [name]});
    (409, body)
}

fn missing(name: &str) -> Answer {
    let mut body = error_body(
        "OBJECT_NOT_FOUND",
        &format!("Property named '{name}' does not exist"),
    );
    body["context"] = json!({"name": [name]});
    Answer::json(404, &body)
}

/// Is there, or will be seen soon.
fn is_taken(data: &Data, kind: Kind, name: &str) -> bool {
    data.properties[kind as usize].contains_key(name)
        || data
            .work
            .values()
            .any(|w| matches!(w, Work::Reveal(k, p) if *k == kind && p.name == name))
}

/// Values of unique properties are kept apart, so that finding one does not read all records.
pub(crate) fn reveal(data: &mut Data, kind: Kind, property: Property) {
    if property.has_unique_value {
        let name = data.name_id(&property.name);
        data.unique.entry((kind, name)).or_default();
        let with: Vec<u64> = data.records[kind as usize]
            .iter()
            .filter(|(_, r)| r.archived_at.is_none() && r.values.get(name).is_some())
            .map(|(id, _)| *id)
            .collect();
        for id in with {
            data.enlist(kind, id);
        }
    }
    data.properties[kind as usize].insert(property.name.clone(), property);
}

fn create(data: &mut Data, kind: Kind, new: Wanted, now: i64) -> Result<Property, Refused> {
    let mut absent = Vec::new();
    for (name, there) in [
        ("name", new.name.is_some()),
        ("label", new.label.is_some()),
        ("type", new.kind.is_some()),
        ("fieldType", new.field_type.is_some()),
        ("groupName", new.group_name.is_some()),
    ] {
        if !there {
            absent.push(name);
        }
    }
    let (Some(name), Some(label), Some(value), Some(field), Some(group)) = (
        new.name,
        new.label,
        new.kind,
        new.field_type,
        new.group_name,
    ) else {
        return Err(refuse(&format!(
            "Invalid input JSON: Some required fields were not set: {absent:?}"
        )));
    };
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.len() <= 100;
    if !good {
        return Err(refuse(&format!(
            "Property name '{name}' must start with a letter and contain only lower case letters, digits and underscores"
        )));
    }
    let fields = TYPES.iter().find(|(t, _)| *t == value).map(|(_, f)| *f);
    match fields {
        None => return Err(refuse(&format!("Invalid property type: {value}"))),
        Some(fields) if !fields.contains(&field.as_str()) => {
            return Err(refuse(&format!(
                "The field type {field} does not go with the property type {value}; possible are {fields:?}"
            )));
        }
        Some(_) => {}
    }
    if is_taken(data, kind, &name) {
        return Err(exists(&name));
    }
    if data.groups[kind as usize]
        .get(&group)
        .is_none_or(|g| g.archived)
    {
        return Err(refuse(&format!("Property group '{group}' does not exist")));
    }
    let options = options(new.options.unwrap_or_default());
    let mut values: Vec<&str> = options.iter().map(|o| o.value.as_str()).collect();
    values.sort_unstable();
    if values.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(refuse("Option values must be unique"));
    }
    if matches!(kind, Kind::Email | Kind::Note | Kind::Communication)
        && !data.settings.rules.engagement_custom_properties
    {
        return Err(refuse(&format!(
            "Custom properties are not supported for {}",
            kind.type_id()
        )));
    }
    let mut unique = new.has_unique_value.unwrap_or(false);
    if unique {
        match data.settings.rules.engagement_unique_keys {
            EngagementKeys::Refused if kind.is_engagement() => {
                return Err(refuse(&format!(
                    "hasUniqueValue is not supported for {}",
                    kind.type_id()
                )));
            }
            EngagementKeys::Ignored if kind.is_engagement() => unique = false,
            _ => {}
        }
        if !matches!(value.as_str(), "string" | "number") {
            return Err(refuse(&format!(
                "hasUniqueValue is not supported for properties of type {value}"
            )));
        }
        let others = data.properties[kind as usize]
            .values()
            .filter(|p| p.has_unique_value)
            .count();
        let soon = data
            .work
            .values()
            .filter(|w| matches!(w, Work::Reveal(k, p) if *k == kind && p.has_unique_value))
            .count();
        if others + soon >= UNIQUE {
            return Err(refuse(&format!(
                "{} has {UNIQUE} properties with unique values, which is the limit",
                kind.type_id()
            )));
        }
    }
    // The name of an archived one brings that one back.
    let old = data.archived_properties[kind as usize].remove(&name);
    let property = Property {
        name,
        label,
        kind: value,
        field_type: field,
        group_name: group,
        description: new.description.unwrap_or_default(),
        options,
        display_order: new.display_order.unwrap_or(-1),
        has_unique_value: old.as_ref().map_or(unique, |o| o.has_unique_value),
        hidden: new.hidden.unwrap_or(false),
        form_field: new.form_field.unwrap_or(false),
        calculated: false,
        external_options: new.external_options.unwrap_or(false),
        read_only: false,
        hubspot_defined: false,
        created: old.map_or(now, |o| o.created),
        updated: now,
        archived_at: None,
    };
    let delay = data.settings.rules.property_delay_ms;
    if delay > 0 {
        let later = Box::new(property.clone());
        data.plan(now + delay, Work::Reveal(kind, later));
    } else {
        reveal(data, kind, property.clone());
    }
    Ok(property)
}

fn update(data: &mut Data, kind: Kind, name: &str, new: Wanted, now: i64) -> Answer {
    let groups = &data.groups[kind as usize];
    if let Some(group) = &new.group_name
        && groups.get(group).is_none_or(|g| g.archived)
    {
        return Answer::validation(&format!("Property group '{group}' does not exist"));
    }
    let Some(property) = data.properties[kind as usize].get_mut(name) else {
        return missing(name);
    };
    if new
        .has_unique_value
        .is_some_and(|u| u != property.has_unique_value)
    {
        return Answer::validation("hasUniqueValue cannot be changed after a property was created");
    }
    if property.hubspot_defined
        && (new.kind.as_ref().is_some_and(|k| *k != property.kind)
            || new
                .field_type
                .as_ref()
                .is_some_and(|f| *f != property.field_type)
            || new.label.as_ref().is_some_and(|l| *l != property.label))
    {
        return Answer::validation(&format!(
            "Property '{name}' is defined by HubSpot; only its options can be changed"
        ));
    }
    fn set<T>(place: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *place = value;
        }
    }
    set(&mut property.label, new.label);
    set(&mut property.kind, new.kind);
    set(&mut property.field_type, new.field_type);
    set(&mut property.group_name, new.group_name);
    set(&mut property.description, new.description);
    set(&mut property.display_order, new.display_order);
    set(&mut property.hidden, new.hidden);
    set(&mut property.form_field, new.form_field);
    // The list that is sent replaces the whole list.
    set(&mut property.options, new.options.map(options));
    property.updated = now;
    Answer::json(200, &definition(property, Shape::Full))
}

fn archive(data: &mut Data, kind: Kind, name: &str, now: i64) -> Result<(), Answer> {
    let Some(property) = data.properties[kind as usize].get(name) else {
        return Err(missing(name));
    };
    if property.hubspot_defined {
        return Err(Answer::validation(&format!(
            "Property '{name}' is defined by HubSpot and cannot be archived"
        )));
    }
    if let Some(mut property) = data.properties[kind as usize].remove(name) {
        property.archived_at = Some(now);
        data.archived_properties[kind as usize].insert(name.to_owned(), property);
    }
    Ok(())
}

/// The definitions of these names, as far as they are there.
pub(crate) fn some(data: &Data, kind: Kind, names: &[&str]) -> Vec<Value> {
    names
        .iter()
        .filter_map(|name| data.properties[kind as usize].get(*name))
        .map(|p| definition(p, Shape::Full))
        .collect()
}

/// All definitions of a type.
pub(crate) fn all(data: &Data, kind: Kind) -> Vec<Value> {
    data.properties[kind as usize]
        .values()
        .map(|p| definition(p, Shape::Full))
        .collect()
}

/// What only reads.
pub(crate) fn read(data: &Data, kind: Kind, rest: &[&str], query: &Query) -> Answer {
    let archived = query.flag("archived");
    let all = if archived {
        &data.archived_properties[kind as usize]
    } else {
        &data.properties[kind as usize]
    };
    match rest {
        [] => {
            let all: Vec<_> = all.values().map(|p| definition(p, Shape::Full)).collect();
            Answer::json(200, &json!({"results": all}))
        }
        ["groups"] => {
            let all: Vec<_> = data.groups[kind as usize]
                .iter()
                .filter(|(_, g)| g.archived == archived)
                .map(|(name, g)| group(name, g))
                .collect();
            Answer::json(200, &json!({"results": all}))
        }
        ["groups", name] => data.groups[kind as usize]
            .get(*name)
            .filter(|g| g.archived == archived)
            .map_or_else(Answer::not_found, |g| Answer::json(200, &group(name, g))),
        [name] => all.get(*name).map_or_else(
            || missing(name),
            |p| Answer::json(200, &definition(p, Shape::Full)),
        ),
        _ => Answer::not_found(),
    }
}

#[derive(Deserialize)]
struct Inputs<T> {
    #[serde(default = "Vec::new")]
    inputs: Vec<T>,
    #[serde(default)]
    archived: bool,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

/// `/crm/properties/{version}/{type}/…`, what writes.
pub(crate) fn handle(
    data: &mut Data,
    method: &str,
    kind: Kind,
    rest: &[&str],
    query: &Query,
    body: &[u8],
    now: i64,
) -> Answer {
    let invalid = || Answer::validation("Invalid input JSON");
    match (method, rest) {
        ("GET", _) => read(data, kind, rest, query),
        ("POST", []) => match serde_json::from_slice::<Wanted>(body) {
            Ok(new) => match create(data, kind, new, now) {
                Ok(property) => Answer::json(201, &definition(&property, Shape::Full)),
                Err((status, body)) => Answer::json(status, &body),
            },
            Err(_) => invalid(),
        },
        ("POST", ["batch", "create"]) => match serde_json::from_slice::<Inputs<Wanted>>(body) {
            Ok(inputs) => batch_create(data, kind, inputs.inputs, now),
            Err(_) => invalid(),
        },
        ("POST", ["batch", "read"]) => match serde_json::from_slice::<Inputs<Name>>(body) {
            Ok(inputs) => batch_read(data, kind, &inputs, now),
            Err(_) => invalid(),
        },
        ("POST", ["batch", "archive"]) => match serde_json::from_slice::<Inputs<Name>>(body) {
            Ok(inputs) => {
                for input in inputs.inputs {
                    // Those that are not there are passed over.
                    let _ = archive(data, kind, &input.name, now);
                }
                Answer::empty(204)
            }
            Err(_) => invalid(),
        },
        (_, ["groups", rest @ ..]) => groups(data, method, kind, rest, body),
        ("PATCH", [name]) => match serde_json::from_slice::<Wanted>(body) {
            Ok(new) => update(data, kind, name, new, now),
            Err(_) => invalid(),
        },
        ("DELETE", [name]) => match archive(data, kind, name, now) {
            Ok(()) => Answer::empty(204),
            Err(refused) => refused,
        },
        _ => Answer::not_found(),
    }
}

/// An error of one row, as an envelope carries it.
fn row_error(mut body: Value) -> Value {
    if let Some(object) = body.as_object_mut() {
        object.remove("correlationId");
    }
    body
}

fn batch_create(data: &mut Data, kind: Kind, inputs: Vec<Wanted>, now: i64) -> Answer {
    if inputs.len() > 100 {
        return Answer::validation("The number of inputs exceeds the limit of 100");
    }
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for input in inputs {
        match create(data, kind, input, now) {
            Ok(property) => results.push(definition(&property, Shape::Batch)),
            Err((_, body)) => errors.push(row_error(body)),
        }
    }
    let mut answer = envelope(results, errors, now);
    if answer.status == 200 {
        answer.status = 201;
    }
    answer
}

fn batch_read(data: &Data, kind: Kind, inputs: &Inputs<Name>, now: i64) -> Answer {
    let all = if inputs.archived {
        &data.archived_properties[kind as usize]
    } else {
        &data.properties[kind as usize]
    };
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for Name { name } in &inputs.inputs {
        match all.get(name) {
            Some(property) => results.push(definition(property, Shape::Full)),
            None => errors.push(json!({
                "status": "error", "category": "OBJECT_NOT_FOUND",
                "message": format!("Property named '{name}' does not exist"),
                "context": {"name": [name]},
            })),
        }
    }
    envelope(results, errors, now)
}

fn group(name: &str, group: &Group) -> Value {
    json!({
        "name": name, "label": group.label, "displayOrder": group.display_order,
        "archived": group.archived,
    })
}

fn groups(data: &mut Data, method: &str, kind: Kind, rest: &[&str], body: &[u8]) -> Answer {
    let body: Map<String, Value> = if method == "DELETE" {
        Map::new()
    } else {
        match serde_json::from_slice(body) {
            Ok(body) => body,
            Err(_) => return Answer::validation("Invalid input JSON"),
        }
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let order = body.get("displayOrder").and_then(Value::as_i64);
    let all = &mut data.groups[kind as usize];
    match (method, rest) {
        ("POST", []) => {
            let (Some(name), Some(label)) = (text("name"), text("label")) else {
                return Answer::validation(
                    "Invalid input JSON: Some required fields were not set: [name, label]",
                );
            };
            if all.get(&name).is_some_and(|g| !g.archived) {
                return Answer::error(
                    409,
                    "OBJECT_ALREADY_EXISTS",
                    &format!("A property group named '{name}' already exists."),
                );
            }
            let new = Group {
                label,
                display_order: order.unwrap_or(all.len() as i64),
                archived: false,
            };
            let answer = Answer::json(201, &group(&name, &new));
            all.insert(name, new);
            answer
        }
        ("PATCH", [name]) => {
            let Some(found) = all.get_mut(*name).filter(|g| !g.archived) else {
                return Answer::not_found();
            };
            if let Some(label) = text("label") {
                found.label = label;
            }
            if let Some(order) = order {
                found.display_order = order;
            }
            Answer::json(200, &group(name, found))
        }
        ("DELETE", [name]) => {
            let used = data.properties[kind as usize]
                .values()
                .any(|p| p.group_name == *name);
            if used {
                return Answer::validation(&format!(
                    "Property group '{name}' has properties and cannot be archived"
                ));
            }
            match data.groups[kind as usize].get_mut(*name) {
                Some(found) => {
                    found.archived = true;
                    Answer::empty(204)
                }
                None => Answer::not_found(),
            }
        }
        _ => Answer::not_found(),
    }
}
