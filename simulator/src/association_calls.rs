//! The calls about associations: batches, labels, those of one record.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, error_body},
    associations::{
        category, connect, disconnect, envelope, inline_name, known_type, labelled, pair, take,
        target, types_between, types_of, wrong_from,
    },
    batches,
    model::{Data, Kind, Label},
    rules::{Cursors, MissingAssociations},
    server::Query,
    validate::text_of,
};

/// First records that an archive may name.
const MOST_FROM: usize = 100;

/// A record, by its type and id.
type End = (Kind, u64);

#[derive(Deserialize)]
struct Inputs<T> {
    #[serde(default = "Vec::new")]
    inputs: Vec<T>,
}

#[derive(Deserialize)]
struct ReadInput {
    id: Value,
    #[serde(default)]
    after: Option<Value>,
}

#[derive(Deserialize)]
struct WriteInput {
    from: Id,
    to: To,
    #[serde(default)]
    types: Vec<WriteType>,
    /// v3: the name or the id of a type.
    #[serde(default, rename = "type")]
    name: Option<Value>,
}

#[derive(Deserialize)]
struct Id {
    id: Value,
}

/// One record, or several where associations are archived.
#[derive(Deserialize)]
#[serde(untagged)]
enum To {
    Several(Vec<Id>),
    One(Id),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WriteType {
    #[serde(default)]
    association_category: Option<String>,
    association_type_id: u32,
}

/// The types of a request that are to be used.
///
/// # Errors
/// Why one is refused.
fn usable(data: &Data, given: &[WriteType]) -> Result<Vec<u32>, String> {
    let mut types = Vec::new();
    for t in given {
        if known_type(
            data,
            t.association_type_id,
            t.association_category.as_deref(),
        )? {
            types.push(t.association_type_id);
        }
    }
    Ok(types)
}

/// An id in an answer of v4: a number, or text.
fn id_value(data: &Data, id: u64) -> Value {
    if data.settings.rules.association_ids_as_text {
        json!(id.to_string())
    } else {
        json!(id)
    }
}

/// Which generation of the API a path belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Types by name, no labels.
    V3,
    /// v4 and dated paths.
    V4,
}

/// `…/associations/{version}/{from}/{to}/…`
pub(crate) fn handle(
    data: &mut Data,
    method: &str,
    version: Version,
    (from, to): (Kind, Kind),
    rest: &[&str],
    body: &[u8],
    now: i64,
) -> Answer {
    if pair(from, to).is_none() {
        return Answer::validation(&format!(
            "No association types are defined from {} to {}",
            from.type_id(),
            to.type_id()
        ));
    }
    match (method, rest) {
        ("POST", ["batch", "read"]) => batch_read(data, version, from, to, body, now),
        ("POST", ["batch", "create"]) => {
            batch_write(data, version, Write::Create, from, to, body, now)
        }
        ("POST", ["batch", "archive"]) => {
            batch_write(data, version, Write::Archive, from, to, body, now)
        }
        ("POST", ["batch", "associate", "default"]) => {
            batch_write(data, version, Write::Default, from, to, body, now)
        }
        ("POST", ["batch", "labels", "archive"]) => {
            batch_write(data, version, Write::ArchiveLabels, from, to, body, now)
        }
        ("GET", ["types"]) => {
            let mut all = vec![json!({
                "id": pair(from, to).map(|(plain, _)| plain.to_string()),
                "name": inline_name(data, from, to, pair(from, to).map_or(0, |(plain, _)| plain)),
            })];
            all.extend(labelled(data, from, to).iter().map(|(id, _, _)| {
                json!({"id": id.to_string(), "name": inline_name(data, from, to, *id)})
            }));
            Answer::json(200, &json!({"results": all}))
        }
        ("GET", ["labels"]) => {
            let mut all = vec![json!({
                "category": "HUBSPOT_DEFINED",
                "typeId": pair(from, to).map(|(plain, _)| plain), "label": null,
            })];
            all.extend(labelled(data, from, to).iter().map(|(id, _, label)| {
                json!({"category": category(data, *id), "typeId": id, "label": label})
            }));
            Answer::json(200, &json!({"results": all}))
        }
        ("POST", ["labels"]) => create_label(data, (from, to), body, false, now),
        ("PUT", ["labels"]) => rename_label(data, from, to, body),
        ("DELETE", ["labels", id]) => delete_label(data, id, now),
        _ => Answer::not_found(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewLabel {
    label: String,
    name: String,
    #[serde(default)]
    inverse_label: Option<String>,
}

/// Whether two types have as many labels as they may; those deleted a moment ago count.
fn labels_are_full(data: &mut Data, from: Kind, to: Kind, now: i64) -> bool {
    let since = now - data.settings.rules.association_label_delete_ms;
    data.deleted_labels.retain(|(_, _, at)| *at > since);
    let of = |a: Kind, b: Kind| (a, b) == (from, to) || (a, b) == (to, from);
    let names: BTreeSet<&str> = data
        .labels
        .iter()
        .filter(|l| of(l.from, l.to))
        .map(|l| l.name.as_str())
        .collect();
    let deleted = data.deleted_labels.iter().filter(|(a, b, _)| of(*a, *b));
    names.len() + deleted.count() >= data.settings.rules.association_label_limit
}

/// Makes a label, for the portal or for an integrator.
pub(crate) fn create_label(
    data: &mut Data,
    (from, to): (Kind, Kind),
    body: &[u8],
    by_integrator: bool,
    now: i64,
) -> Answer {
    let Ok(new) = serde_json::from_slice::<NewLabel>(body) else {
        return Answer::validation("A label needs \"label\" and \"name\"");
    };
    let exists = data
        .labels
        .iter()
        .any(|l| (l.from, l.to) == (from, to) && (l.name == new.name || l.label == new.label));
    if exists {
        return Answer::error(
            409,
            "OBJECT_ALREADY_EXISTS",
            &format!("An association label {} exists already", new.label),
        );
    }
    if labels_are_full(data, from, to, now) {
        let limit = data.settings.rules.association_label_limit;
        let mut body = error_body(
            "LIMIT_EXCEEDED",
            &format!(
                "The limit of {limit} association labels from {} to {} is reached",
                from.type_id(),
                to.type_id()
            ),
        );
        body["subCategory"] = json!("crm.associations.LIMIT_EXCEEDED");
        return Answer::json(437, &body);
    }
    // Above all of HubSpot's own.
    let id = data.labels.iter().map(|l| l.type_id).max().unwrap_or(1_000) + 1;
    // Without a label of its own the other direction carries the same.
    let back_label = new
        .inverse_label
        .clone()
        .unwrap_or_else(|| new.label.clone());
    let ids = if from == to && new.inverse_label.is_none() {
        vec![id]
    } else {
        vec![id, id + 1]
    };
    let back = *ids.last().unwrap_or(&id);
    let label = |from, to, type_id, inverse, label: &str| Label {
        from,
        to,
        type_id,
        inverse,
        name: new.name.clone(),
        label: label.to_owned(),
        by_integrator,
    };
    let mut made = vec![label(from, to, id, back, &new.label)];
    if back != id {
        made.push(label(to, from, back, id, &back_label));
    }
    let results: Vec<Value> = made
        .iter()
        .map(|l| {
            let category = if l.by_integrator {
                "INTEGRATOR_DEFINED"
            } else {
                "USER_DEFINED"
            };
            json!({"category": category, "typeId": l.type_id, "label": l.label})
        })
        .collect();
    data.labels.extend(made);
    Answer::json(200, &json!({"results": results}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rename {
    association_type_id: u32,
    label: String,
}

fn rename_label(data: &mut Data, from: Kind, to: Kind, body: &[u8]) -> Answer {
    let Ok(new) = serde_json::from_slice::<Rename>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    let found = data
        .labels
        .iter_mut()
        .find(|l| (l.from, l.to) == (from, to) && l.type_id == new.association_type_id);
    match found {
        Some(label) => {
            label.label = new.label;
            Answer::empty(204)
        }
        None => Answer::not_found(),
    }
}

fn delete_label(data: &mut Data, id: &str, now: i64) -> Answer {
    let Some(label) = id
        .parse()
        .ok()
        .and_then(|id: u32| data.labels.iter().find(|l| l.type_id == id).cloned())
    else {
        return Answer::not_found();
    };
    let ends: Vec<(End, End)> = data
        .links
        .iter()
        .filter(|((kind, _), _)| *kind == label.from)
        .flat_map(|(from, links)| {
            links
                .iter()
                .filter(|(_, types)| types.contains(&label.type_id))
                .map(|(to, _)| (*from, *to))
        })
        .collect();
    for (from, to) in ends {
        take(data, from, to, label.type_id, label.inverse, now);
    }
    data.labels
        .retain(|l| l.type_id != label.type_id && l.type_id != label.inverse);
    data.deleted_labels.push((label.from, label.to, now));
    Answer::empty(204)
}

fn linked(
    data: &Data,
    from: End,
    to: Kind,
    after: u64,
) -> impl Iterator<Item = (u64, Vec<u32>)> + '_ {
    data.links
        .get(&from)
        .filter(|_| data.is_live(from.0, from.1))
        .into_iter()
        .flat_map(move |links| links.range((to, after)..=(to, u64::MAX)))
        .filter(|((k, other), _)| data.is_live(*k, *other))
        .map(|((_, other), types)| (*other, types.iter().copied().collect()))
}

/// A page of what a record is associated with, and the cursor of the next one.
fn page(
    data: &Data,
    version: Version,
    from: End,
    to: Kind,
    after: u64,
    limit: usize,
) -> (Vec<Value>, Option<u64>) {
    let mut found = linked(data, from, to, after);
    let mut results = Vec::new();
    for (other, types) in found.by_ref().take(limit) {
        match version {
            Version::V4 => results.push(json!({
                "toObjectId": id_value(data, other),
                "associationTypes": types.iter().map(|t| {
                    let label = labelled(data, from.0, to)
                        .into_iter()
                        .find(|(id, _, _)| id == t)
                        .map(|(_, _, label)| label);
                    json!({"category": category(data, *t), "typeId": t, "label": label})
                }).collect::<Vec<_>>(),
            })),
            Version::V3 => results.extend(types.iter().map(
                |t| json!({"id": other.to_string(), "type": inline_name(data, from.0, to, *t)}),
            )),
        }
    }
    let next = found.next().map(|(id, _)| id);
    (results, next)
}

fn batch_read(
    data: &Data,
    version: Version,
    from: Kind,
    to: Kind,
    body: &[u8],
    now: i64,
) -> Answer {
    let Ok(inputs) = serde_json::from_slice::<Inputs<ReadInput>>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    if inputs.inputs.len() > 1_000 {
        return Answer::validation("The number of inputs exceeds the limit of 1000");
    }
    let size = data.settings.inline_association_page;
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for input in inputs.inputs {
        let text = text_of(&input.id).unwrap_or_default();
        let Ok(id) = text.parse::<u64>() else {
            errors.push(bad_id(&text));
            continue;
        };
        let after = input.after.and_then(|a| text_of(&a)).unwrap_or_default();
        let after = match version {
            Version::V3 if data.settings.rules.v3_associations_ignore_after => 0,
            // Of a body it is taken as it was given, and decoded.
            _ => of_cursor(
                data,
                &percent_encoding::percent_decode_str(&after).decode_utf8_lossy(),
            ),
        };
        let (found, next) = page(data, version, (from, id), to, after, size);
        if found.is_empty() {
            match data.settings.rules.missing_associations {
                MissingAssociations::Errors => {}
                MissingAssociations::LeftOut => continue,
                MissingAssociations::Empty => {
                    results.push(json!({"from": {"id": id.to_string()}, "to": []}));
                    continue;
                }
            }
            errors.push(json!({
                "status": "error", "category": "OBJECT_NOT_FOUND",
                "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
                "message": format!("No {} is associated with {} {id}.", to.singular(), from.singular()),
                "context": {
                    "fromObjectId": [id.to_string()],
                    "fromObjectType": [from.singular()], "toObjectType": [to.singular()],
                },
            }));
            continue;
        }
        let mut result = json!({"from": {"id": id.to_string()}, "to": found});
        if let Some(next) = next {
            result["paging"] = json!({"next": {"after": cursor(data, next)}});
        }
        results.push(result);
    }
    envelope(results, errors, now)
}

/// The cursor of a page that begins with this record.
fn cursor(data: &Data, next: u64) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    match data.settings.rules.association_cursors {
        Cursors::Numbers => next.to_string(),
        Cursors::Encoded => percent_encoding::utf8_percent_encode(
            &STANDARD.encode(format!("0-{next}")),
            percent_encoding::NON_ALPHANUMERIC,
        )
        .to_string(),
    }
}

/// The record that a page begins with. What cannot be read leads to the first page.
fn of_cursor(data: &Data, after: &str) -> u64 {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    match data.settings.rules.association_cursors {
        Cursors::Numbers => after.parse().ok(),
        Cursors::Encoded => STANDARD
            .decode(after)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| text.strip_prefix("0-")?.parse().ok()),
    }
    .unwrap_or(0)
}

fn bad_id(text: &str) -> Value {
    json!({
        "status": "error", "category": "VALIDATION_ERROR",
        "subCategory": "crm.associations.INVALID_IDENTIFIER",
        "message": format!("{text} is not a valid ID"),
        "context": {"id": [text]},
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Write {
    Create,
    Default,
    Archive,
    ArchiveLabels,
}

/// A live record by the id of a request, or what is wrong with it.
fn end(data: &Data, kind: Kind, id: &Value) -> Result<u64, Value> {
    let text = text_of(id).unwrap_or_default();
    text.parse()
        .ok()
        .map(|id| data.resolve(kind, id))
        .filter(|id| data.is_live(kind, *id))
        .ok_or_else(|| bad_id(&text))
}

fn batch_write(
    data: &mut Data,
    version: Version,
    write: Write,
    from: Kind,
    to: Kind,
    body: &[u8],
    now: i64,
) -> Answer {
    let Ok(inputs) = serde_json::from_slice::<Inputs<WriteInput>>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    if inputs.inputs.len() > 2_000 {
        return Answer::validation("The number of inputs exceeds the limit of 2000");
    }
    let from_ids: BTreeSet<String> = inputs
        .inputs
        .iter()
        .filter_map(|i| text_of(&i.from.id))
        .collect();
    if matches!(write, Write::Archive | Write::ArchiveLabels) && from_ids.len() > MOST_FROM {
        return Answer::validation(&format!(
            "The number of distinct from object ids exceeds the limit of {MOST_FROM}"
        ));
    }
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for input in inputs.inputs {
        let types = match usable(data, &input.types) {
            Ok(types) if types.is_empty() && !input.types.is_empty() => continue,
            Ok(types) => types,
            Err(message) => {
                errors.push(invalid(&message));
                continue;
            }
        };
        let targets = match &input.to {
            To::Several(ids) => ids.iter().map(|to| &to.id).collect(),
            To::One(to) => vec![&to.id],
        };
        for target in targets {
            let ends = end(data, from, &input.from.id)
                .and_then(|a| Ok(((from, a), (to, end(data, to, target)?))));
            match ends.and_then(|(a, b)| one_write(data, version, write, a, b, &types, &input, now))
            {
                Ok(made) => results.extend(made),
                Err(error) => errors.push(error),
            }
        }
    }
    match write {
        Write::Archive | Write::ArchiveLabels if errors.is_empty() => batches::archived(data, now),
        _ => {
            let mut answer = envelope(results, errors, now);
            if write == Write::Create && answer.status == 200 {
                answer.status = batches::created(data);
            }
            answer
        }
    }
}

fn invalid(message: &str) -> Value {
    json!({"status": "error", "category": "VALIDATION_ERROR", "message": message})
}

#[expect(
    clippy::too_many_arguments,
    reason = "one row with all that surrounds it"
)]
fn one_write(
    data: &mut Data,
    version: Version,
    write: Write,
    from: End,
    to: End,
    types: &[u32],
    input: &WriteInput,
    now: i64,
) -> Result<Vec<Value>, Value> {
    match write {
        Write::Archive => {
            disconnect(data, from, to, None, now);
            return Ok(Vec::new());
        }
        Write::ArchiveLabels => {
            disconnect(data, from, to, Some(types), now);
            return Ok(Vec::new());
        }
        Write::Create | Write::Default => {}
    }
    allowed(data, from, to, types)?;
    if write == Write::Default {
        connect(data, from, to, &[], now);
        return Ok(default_results(from, to));
    }
    if version == Version::V3 {
        let named = input.name.as_ref().and_then(text_of).unwrap_or_default();
        let found = self::named(data, from.0, to.0, &named);
        if found.is_empty() {
            return Err(invalid(&format!("{named} is not a valid association type")));
        }
        connect(data, from, to, &found, now);
        return Ok(vec![json!({
            "from": {"id": from.1.to_string()}, "to": {"id": to.1.to_string()}, "type": named,
        })]);
    }
    if types.is_empty() {
        return Err(invalid("types must not be empty"));
    }
    connect(data, from, to, types, now);
    Ok(vec![between(data, from, to, types)])
}

/// The types that v3 means by a name or an id.
fn named(data: &Data, from: Kind, to: Kind, name: &str) -> Vec<u32> {
    let name = name.to_ascii_lowercase();
    types_of(data, from, to)
        .into_iter()
        .filter(|id| name == id.to_string() || name == inline_name(data, from, to, *id))
        .collect()
}

/// Refuses what cannot be associated.
fn allowed(data: &Data, from: End, to: End, types: &[u32]) -> Result<(), Value> {
    if from == to {
        return Err(invalid(&format!(
            "Object {} cannot be associated to itself ({})",
            from.1, to.1
        )));
    }
    if let Some(bad) = types
        .iter()
        .find(|t| target(data, from.0, **t) != Some(to.0))
    {
        let message = wrong_from(data, from.0, *bad).unwrap_or_else(|| {
            format!(
                "Association type {bad} does not lead from {} to {}",
                from.0.type_id(),
                to.0.type_id()
            )
        });
        return Err(invalid(&message));
    }
    let limit = data.settings.rules.association_limit;
    for (a, b) in [(from, to), (to, from)] {
        // A company may have any number of contacts; it is the others that are limited.
        if a.0 != Kind::Company
            && types_between(data, a, b).is_none()
            && linked(data, a, b.0, 0).count() as u64 >= limit
        {
            let mut error = invalid(&format!(
                "{} {} has the {limit} associations with {} that it may have",
                a.0.singular(),
                a.1,
                b.0.plural()
            ));
            error["subCategory"] = json!("crm.associations.LIMIT_EXCEEDED");
            return Err(error);
        }
    }
    Ok(())
}

/// `{fromObjectTypeId, fromObjectId, toObjectTypeId, toObjectId, labels}`
fn between(data: &Data, from: End, to: End, types: &[u32]) -> Value {
    let labels: Vec<String> = labelled(data, from.0, to.0)
        .into_iter()
        .filter(|(id, _, _)| types.contains(id) && category(data, *id) != "HUBSPOT_DEFINED")
        .map(|(_, _, label)| label)
        .collect();
    json!({
        "fromObjectTypeId": from.0.type_id(), "fromObjectId": id_value(data, from.1),
        "toObjectTypeId": to.0.type_id(), "toObjectId": id_value(data, to.1), "labels": labels,
    })
}

fn default_results(from: End, to: End) -> Vec<Value> {
    [(from, to), (to, from)]
        .into_iter()
        .map(|(a, b)| {
            json!({
                "from": {"id": a.1.to_string()}, "to": {"id": b.1.to_string()},
                "associationSpec": {
                    "associationCategory": "HUBSPOT_DEFINED",
                    "associationTypeId": pair(a.0, b.0).map(|(plain, _)| plain),
                },
            })
        })
        .collect()
}

/// `…/objects/{type}/{id}/associations/…`: what only reads.
pub(crate) fn of_record(
    data: &Data,
    version: Version,
    kind: Kind,
    id: &str,
    to: &str,
    query: &Query,
) -> Answer {
    let to = match Kind::parse(to) {
        Some(to) => to,
        None => return Answer::unknown_type(to),
    };
    let id = id.parse().ok().map(|id| data.resolve(kind, id));
    let Some(id) = id.filter(|id| data.is_live(kind, *id)) else {
        return Answer::not_found();
    };
    let limit = query.number("limit").unwrap_or(500);
    if limit == 0 || limit > 500 {
        return Answer::validation("limit must be between 1 and 500");
    }
    let after = of_cursor(data, query.get("after").unwrap_or_default());
    let (results, next) = page(data, version, (kind, id), to, after, limit as usize);
    let mut body = json!({"results": results});
    if let Some(next) = next {
        body["paging"] = json!({"next": {"after": cursor(data, next)}});
    }
    Answer::json(200, &body)
}

/// `…/objects/{type}/{id}/associations/…`: what writes.
pub(crate) fn change(
    data: &mut Data,
    version: Version,
    method: &str,
    (kind, id): (Kind, &str),
    rest: &[&str],
    body: &[u8],
    now: i64,
) -> Answer {
    let (default, to_type, to_id, name) = match rest {
        ["default", to_type, to_id] => (true, to_type, to_id, None),
        [to_type, to_id] => (false, to_type, to_id, None),
        [to_type, to_id, name] => (false, to_type, to_id, Some(*name)),
        _ => return Answer::not_found(),
    };
    let Some(to_kind) = Kind::parse(to_type) else {
        return Answer::unknown_type(to_type);
    };
    let ends = end(data, kind, &json!(id))
        .and_then(|a| Ok(((kind, a), (to_kind, end(data, to_kind, &json!(to_id))?))));
    let (from, to) = match ends {
        Ok(ends) => ends,
        Err(_) => return Answer::not_found(),
    };
    if method == "DELETE" {
        let types = name.map(|name| named(data, kind, to_kind, name));
        disconnect(data, from, to, types.as_deref(), now);
        return Answer::empty(204);
    }
    let refused = |error: Value| {
        Answer::validation(
            error["message"]
                .as_str()
                .unwrap_or("not a valid association"),
        )
    };
    if default || (version == Version::V4 && method != "PUT") {
        if let Err(error) = allowed(data, from, to, &[]) {
            return refused(error);
        }
        connect(data, from, to, &[], now);
        return envelope(default_results(from, to), Vec::new(), now);
    }
    if let Some(name) = name {
        let input = WriteInput {
            from: Id { id: json!(id) },
            to: To::One(Id { id: json!(to_id) }),
            types: Vec::new(),
            name: Some(json!(name)),
        };
        let written = one_write(data, Version::V3, Write::Create, from, to, &[], &input, now);
        return match written {
            Ok(_) => crate::objects::with_associations(data, from, to_kind),
            Err(error) => refused(error),
        };
    }
    let Ok(types) = serde_json::from_slice::<Vec<WriteType>>(body) else {
        return Answer::validation("The body has to be an array of association types");
    };
    if types.is_empty() {
        return Answer::validation("The body has to be an array of association types");
    }
    let types = match usable(data, &types) {
        Ok(types) => types,
        Err(message) => return Answer::validation(&message),
    };
    if let Err(error) = allowed(data, from, to, &types) {
        return refused(error);
    }
    // Labels that are there are replaced by these.
    let there = types_between(data, from, to).unwrap_or_default();
    let plain = pair(kind, to_kind).map(|(plain, _)| plain);
    let gone: Vec<u32> = there
        .into_iter()
        .filter(|t| Some(*t) != plain && !types.contains(t))
        .collect();
    if !gone.is_empty() {
        disconnect(data, from, to, Some(&gone), now);
    }
    connect(data, from, to, &types, now);
    Answer::json(201, &between(data, from, to, &types))
}
