//! Creating, updating, archiving, with HubSpot's validation.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, CORRELATION, error_body},
    associations::{envelope, target},
    model::{Data, Kind, Record},
    objects::{find, one, push_record, wanted},
    server::Query,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    id_property: Option<String>,
    #[serde(default)]
    properties: BTreeMap<String, Value>,
    #[serde(default)]
    object_write_trace_id: Option<String>,
    #[serde(default)]
    associations: Vec<InlineAssociation>,
}

#[derive(Deserialize)]
struct InlineAssociation {
    to: To,
    types: Vec<AssociationType>,
}

#[derive(Deserialize)]
struct To {
    id: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssociationType {
    association_type_id: u32,
}

#[derive(Deserialize)]
struct Inputs {
    #[serde(default)]
    inputs: Vec<Input>,
}

/// A refusal: status and body.
type Refusal = (u16, Value);

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn invalid(name: &str, code: &str, message: &str) -> Refusal {
    let list = json!([{"isValid": false, "message": message, "error": code, "name": name, "localizedErrorMessage": message}]);
    let mut body = error_body(
        "VALIDATION_ERROR",
        &format!("Property values were not valid: {list}"),
    );
    body["errors"] =
        json!([{"message": message, "code": code, "context": {"propertyName": [name]}}]);
    (400, body)
}

/// Checks values against their definitions.
fn check(
    data: &Data,
    kind: Kind,
    properties: &BTreeMap<String, Value>,
) -> Result<Vec<(String, String)>, Refusal> {
    let mut checked = Vec::with_capacity(properties.len());
    for (name, value) in properties {
        let Some(definition) = data.properties[kind as usize].get(name) else {
            return Err(invalid(
                name,
                "PROPERTY_DOESNT_EXIST",
                &format!("Property \"{name}\" does not exist"),
            ));
        };
        if definition.read_only {
            return Err(invalid(
                name,
                "READ_ONLY_VALUE",
                &format!("\"{name}\" is a read only property; its value cannot be set."),
            ));
        }
        let Some(text) = text_of(value) else {
            return Err(invalid(name, "INVALID_STRING", "the value is no scalar"));
        };
        if !text.is_empty() {
            if definition.kind == "number" && text.parse::<f64>().is_err() {
                return Err(invalid(
                    name,
                    "INVALID_LONG",
                    &format!("{text} was not a valid long."),
                ));
            }
            if !definition.options.is_empty() {
                let bad = text
                    .trim_start_matches(';')
                    .split(';')
                    .any(|v| !definition.options.iter().any(|o| o.value == v));
                if bad {
                    let options: Vec<_> = definition.options.iter().map(|o| &o.value).collect();
                    return Err(invalid(
                        name,
                        "INVALID_OPTION",
                        &format!("{text} was not one of the allowed options: {options:?}"),
                    ));
                }
            }
            if name == "email" && !looks_like_email(&text) {
                return Err(invalid(
                    name,
                    "INVALID_EMAIL",
                    &format!("Email address {text} is invalid"),
                ));
            }
        }
        checked.push((name.clone(), text));
    }
    Ok(checked)
}

fn looks_like_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain
                .rsplit_once('.')
                .is_some_and(|(name, top)| !name.is_empty() && top.len() >= 2 && top != "bad")
    })
}

/// E-mails and values of unique properties belong to one record.
fn taken(
    data: &Data,
    kind: Kind,
    me: Option<u64>,
    values: &[(String, String)],
) -> Result<(), Refusal> {
    for (name, value) in values {
        if value.is_empty() {
            continue;
        }
        if kind == Kind::Contact && name == "email" {
            if let Some(other) = data.emails.get(&value.to_ascii_lowercase())
                && Some(*other) != me
            {
                let mut body = error_body(
                    "CONFLICT",
                    &format!("Contact already exists. Existing ID: {other}"),
                );
                body["context"] = json!({"existingId": [other.to_string()]});
                return Err((409, body));
            }
        } else if data.properties[kind as usize]
            .get(name)
            .is_some_and(|p| p.has_unique_value)
            && find(data, kind, value, Some(name)).is_some_and(|id| Some(id) != me)
        {
            return Err(invalid(
                name,
                "CONFLICTING_UNIQUE_VALUE",
                &format!("{value} is already in use"),
            ));
        }
    }
    Ok(())
}

fn apply(data: &mut Data, kind: Kind, id: u64, values: Vec<(String, String)>, now: i64) {
    let values: Vec<(u16, String, String)> = values
        .into_iter()
        .map(|(name, value)| (data.name_id(&name), name, value))
        .collect();
    let Some(mut record) = data.records[kind as usize].get_mut(&id) else {
        return;
    };
    for (name_id, name, value) in values {
        let old = record.values.get(name_id).map(str::to_owned);
        let new = match value.strip_prefix(';') {
            // A leading semicolon appends to a multi-checkbox.
            Some(more) => match &old {
                Some(old) => format!("{old};{more}"),
                None => more.to_owned(),
            },
            None => value,
        };
        if old.as_deref().unwrap_or_default() == new {
            continue;
        }
        if kind == Kind::Contact && name == "email" {
            if let Some(gone) = &old {
                data.emails.remove(&gone.to_ascii_lowercase());
            }
            if !new.is_empty() {
                data.emails.insert(new.to_ascii_lowercase(), id);
            }
        }
        record
            .values
            .set(name_id, Some(new.as_str()).filter(|v| !v.is_empty()));
        record.updated = now;
    }
}

fn create(data: &mut Data, kind: Kind, input: &Input, now: i64) -> Result<u64, Refusal> {
    let values = check(data, kind, &input.properties)?;
    let one_of: &[&str] = match kind {
        Kind::Contact => &["email", "firstname", "lastname"],
        Kind::Company => &["name", "domain"],
        Kind::Deal => &["dealname"],
        Kind::Ticket => &["subject"],
        _ => &["hs_timestamp"],
    };
    if !one_of
        .iter()
        .any(|n| values.iter().any(|(name, v)| name == n && !v.is_empty()))
    {
        return Err((
            400,
            error_body(
                "VALIDATION_ERROR",
                &format!("One of {one_of:?} is required"),
            ),
        ));
    }
    taken(data, kind, None, &values)?;
    let id = data.take_id();
    data.records[kind as usize].insert(id, Record::new(now, now));
    apply(data, kind, id, values, now);
    for association in &input.associations {
        let to: Option<u64> = text_of(&association.to.id).and_then(|t| t.parse().ok());
        let (Some(to), Some(kind_to)) = (
            to,
            association
                .types
                .first()
                .and_then(|t| target(kind, t.association_type_id)),
        ) else {
            return Err((
                400,
                error_body("VALIDATION_ERROR", "One of the associations is not valid"),
            ));
        };
        let primary = association
            .types
            .iter()
            .any(|t| matches!(t.association_type_id, 1 | 2 | 5 | 6));
        data.link((kind, id), (kind_to, to), primary);
    }
    Ok(id)
}

fn update(
    data: &mut Data,
    kind: Kind,
    id: u64,
    properties: &BTreeMap<String, Value>,
    now: i64,
) -> Result<(), Refusal> {
    let values = check(data, kind, properties)?;
    taken(data, kind, Some(id), &values)?;
    apply(data, kind, id, values, now);
    Ok(())
}

pub(crate) fn archive(data: &mut Data, kind: Kind, id: u64, now: i64) {
    if let Some(mut record) = data.records[kind as usize].get_mut(&id) {
        // HubSpot does not touch last-modified here.
        record.archived_at.get_or_insert(now);
    }
    if kind == Kind::Contact {
        data.emails.retain(|_, owner| *owner != id);
    }
}

/// `POST …/{type}`
pub(crate) fn create_one(data: &mut Data, kind: Kind, body: &[u8], now: i64) -> Answer {
    let Ok(input) = serde_json::from_slice::<Input>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    match create(data, kind, &input, now) {
        Ok(id) => one(data, 201, kind, id, &shown(kind, &input), &[]),
        Err((status, body)) => Answer::json(status, &body),
    }
}

fn shown<'a>(kind: Kind, input: &'a Input) -> Vec<&'a str> {
    let names: Vec<&'a str> = input.properties.keys().map(String::as_str).collect();
    wanted(kind, &names)
}

/// `PATCH …/{type}/{id}`
pub(crate) fn update_one(
    data: &mut Data,
    kind: Kind,
    id: &str,
    query: &Query,
    body: &[u8],
    now: i64,
) -> Answer {
    let Ok(input) = serde_json::from_slice::<Input>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    let Some(id) = find(data, kind, id, query.get("idProperty")) else {
        return Answer::not_found();
    };
    match update(data, kind, id, &input.properties, now) {
        Ok(()) => one(data, 200, kind, id, &shown(kind, &input), &[]),
        Err((status, body)) => Answer::json(status, &body),
    }
}

/// `POST …/{type}/batch/{operation}`
pub(crate) fn batch(data: &mut Data, kind: Kind, operation: &str, body: &[u8], now: i64) -> Answer {
    let Ok(Inputs { inputs }) = serde_json::from_slice::<Inputs>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    if inputs.len() > 100 {
        return Answer::validation("The number of inputs exceeds the limit of 100");
    }
    if operation == "archive" {
        for input in &inputs {
            if let Some(id) = input.id.as_deref().and_then(|id| id.parse().ok()) {
                archive(data, kind, id, now);
            }
        }
        return Answer::empty(204);
    }
    let ids: Vec<&String> = inputs.iter().filter_map(|i| i.id.as_ref()).collect();
    let unique: BTreeSet<_> = ids.iter().collect();
    if unique.len() < ids.len() {
        let mut body = error_body(
            "VALIDATION_ERROR",
            &format!("Duplicate IDs found in batch input: {ids:?}. IDs must be unique"),
        );
        body["context"] = json!({"ids": ids});
        return Answer::json(400, &body);
    }
    let traced = inputs.iter().all(|i| i.object_write_trace_id.is_some());
    let mut results: Vec<Value> = Vec::new();
    let mut errors: Vec<Value> = Vec::new();
    // Without trace ids one bad row fails the whole batch: all are checked before any is written.
    if !traced {
        for input in &inputs {
            let me = known(data, kind, operation, input);
            let checked =
                check(data, kind, &input.properties).and_then(|v| taken(data, kind, me, &v));
            if let Err((status, body)) = checked {
                return Answer::json(status, &body);
            }
        }
    }
    let mut missing = Vec::new();
    for input in &inputs {
        let me = known(data, kind, operation, input);
        let written = match (operation, me) {
            ("create", _) => create(data, kind, input, now).map(|id| (id, true)),
            ("update", Some(id)) => {
                update(data, kind, id, &input.properties, now).map(|()| (id, false))
            }
            ("upsert", Some(id)) => {
                update(data, kind, id, &input.properties, now).map(|()| (id, false))
            }
            ("upsert", None) => create(data, kind, &with_key(input), now).map(|id| (id, true)),
            ("update", None) => {
                missing.push(input.id.clone().unwrap_or_default());
                continue;
            }
            _ => return Answer::not_found(),
        };
        match written {
            Ok((id, new)) => {
                let mut out = String::new();
                if let Some(record) = data.records[kind as usize].get(&id) {
                    push_record(&mut out, data, kind, id, record, &shown(kind, input), &[]);
                }
                let mut value: Value = serde_json::from_str(&out).unwrap_or_default();
                if operation == "upsert" {
                    value["new"] = json!(new);
                }
                if let Some(trace) = &input.object_write_trace_id {
                    value["objectWriteTraceId"] = json!(trace);
                }
                results.push(value);
            }
            Err((_, mut body)) => {
                if let Some(trace) = &input.object_write_trace_id {
                    body["context"]["objectWriteTraceId"] = json!([trace]);
                }
                if let Some(object) = body.as_object_mut() {
                    object.remove("correlationId");
                }
                errors.push(body);
            }
        }
    }
    if !missing.is_empty() {
        errors.push(json!({
            "status": "error", "category": "OBJECT_NOT_FOUND", "correlationId": CORRELATION,
            "message": format!("Could not get some {} objects, they may be deleted or not exist. Check that ids are valid.", kind.singular().to_uppercase()),
            "context": {"ids": missing},
        }));
    }
    let mut answer = envelope(results, errors, now);
    if operation == "create" && answer.status == 200 && !inputs.is_empty() {
        answer.status = 201;
    }
    answer
}

fn known(data: &Data, kind: Kind, operation: &str, input: &Input) -> Option<u64> {
    if operation == "create" {
        return None;
    }
    find(
        data,
        kind,
        input.id.as_deref()?,
        input.id_property.as_deref(),
    )
}

/// An upsert of what is not there writes its key too.
fn with_key(input: &Input) -> Input {
    let mut properties = input.properties.clone();
    if let (Some(name), Some(value)) = (&input.id_property, &input.id) {
        properties.insert(name.clone(), json!(value));
    }
    Input {
        id: None,
        id_property: None,
        properties,
        object_write_trace_id: None,
        associations: Vec::new(),
    }
}
