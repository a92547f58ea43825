//! Contacts, companies, deals: lists, reads, and the way to `write` and `search`.

use serde::Deserialize;
use serde_json::json;

use crate::{
    answer::{Answer, iso, push_string},
    associations::push_inline,
    model::{Data, Kind, Record},
    search,
    server::Query,
    write,
};

/// Writes a record as HubSpot does.
pub(crate) fn push_record(
    out: &mut String,
    data: &Data,
    kind: Kind,
    id: u64,
    record: &Record,
    properties: &[&str],
    associations: &[Kind],
) {
    if let Some(raw) = &record.raw {
        out.push_str(raw);
        return;
    }
    out.push_str(&format!("{{\"id\":\"{id}\",\"properties\":{{"));
    let mut first = true;
    for name in properties {
        let known = data.properties[kind as usize].contains_key(*name);
        if !known {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        push_string(out, name);
        out.push(':');
        match data.value(kind, id, record, name) {
            Some(value) => push_string(out, &value),
            None => out.push_str("null"),
        }
    }
    out.push_str(&format!(
        "}},\"createdAt\":\"{}\",\"updatedAt\":\"{}\",\"archived\":{}",
        iso(record.created),
        iso(record.updated),
        record.archived_at.is_some()
    ));
    if let Some(at) = record.archived_at {
        out.push_str(&format!(",\"archivedAt\":\"{}\"", iso(at)));
    }
    push_inline(out, data, kind, id, associations);
    out.push('}');
}

/// Names asked for, with the defaults that always come.
pub(crate) fn wanted<'a>(kind: Kind, asked: &[&'a str]) -> Vec<&'a str> {
    let mut all: Vec<&'a str> = if asked.is_empty() {
        kind.default_properties().to_vec()
    } else {
        let mut all = asked.to_vec();
        for always in [kind.created(), "hs_object_id", kind.last_modified()] {
            if !all.contains(&always) {
                all.push(always);
            }
        }
        all
    };
    all.sort_unstable();
    all.dedup();
    all
}

/// What only reads.
pub(crate) fn read(
    data: &Data,
    method: &str,
    kind: Kind,
    rest: &[&str],
    query: &Query,
    body: &[u8],
    now: i64,
) -> Answer {
    match (method, rest) {
        ("GET", []) => list(data, kind, query),
        ("POST", ["search"]) => search::search(data, kind, body, now),
        ("POST", ["batch", "read"]) => batch_read(data, kind, query, body, now),
        ("GET", [id]) => get(data, kind, id, query),
        _ => Answer::not_found(),
    }
}

/// `/crm/objects/{version}/{type}/…`, what may write.
pub(crate) fn handle(
    data: &mut Data,
    method: &str,
    kind: Kind,
    rest: &[&str],
    query: &Query,
    body: &[u8],
    now: i64,
) -> Answer {
    match (method, rest) {
        ("POST", []) => write::create_one(data, kind, body, now),
        ("POST", ["batch", operation]) => write::batch(data, kind, operation, body, now),
        ("PATCH", [id]) => write::update_one(data, kind, id, query, body, now),
        ("DELETE", [id]) => {
            if let Some(id) = find(data, kind, id, query.get("idProperty")) {
                write::archive(data, kind, id, now);
            }
            Answer::empty(204)
        }
        _ => Answer::not_found(),
    }
}

fn list(data: &Data, kind: Kind, query: &Query) -> Answer {
    let limit = query.number("limit").unwrap_or(10);
    if limit > 100 {
        return Answer::validation("limit must be less than or equal to 100");
    }
    let after = match query.get("after") {
        None => 0,
        Some(text) => match text.parse::<u64>() {
            Ok(after) => after,
            Err(_) => return Answer::validation("The cursor is not valid"),
        },
    };
    let archived = query.get("archived") == Some("true");
    let asked = query.list("properties");
    let properties = wanted(kind, &asked);
    let associations: Vec<Kind> = query
        .list("associations")
        .iter()
        .filter_map(|n| Kind::parse(n))
        .collect();
    let mut found = data.records[kind as usize]
        .range(after..)
        .filter(|(_, r)| r.archived_at.is_some() == archived);
    let mut out = String::with_capacity(100 * 1_024);
    out.push_str("{\"results\":[");
    for (place, (id, record)) in found.by_ref().take(limit as usize).enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_record(
            &mut out,
            data,
            kind,
            *id,
            record,
            &properties,
            &associations,
        );
    }
    out.push(']');
    if let Some((next, _)) = found.next() {
        out.push_str(&format!(
            ",\"paging\":{{\"next\":{{\"after\":\"{next}\"}}}}"
        ));
    }
    out.push('}');
    Answer::text(200, out)
}

/// A live record by id or by a unique property.
pub(crate) fn find(data: &Data, kind: Kind, text: &str, id_property: Option<&str>) -> Option<u64> {
    let live = |id: &u64| {
        data.records[kind as usize]
            .get(id)
            .is_some_and(|r| r.archived_at.is_none())
    };
    match id_property {
        None | Some("hs_object_id") => text.parse().ok().filter(live),
        Some("email") if kind == Kind::Contact => data
            .emails
            .get(&text.to_ascii_lowercase())
            .copied()
            .filter(live),
        Some(name) => data.records[kind as usize]
            .iter()
            .find(|(id, r)| live(id) && data.stored(r, name) == Some(text))
            .map(|(id, _)| *id),
    }
}

fn get(data: &Data, kind: Kind, id: &str, query: &Query) -> Answer {
    let Some(id) = find(data, kind, id, query.get("idProperty")) else {
        return Answer::not_found();
    };
    let asked = query.list("properties");
    let associations: Vec<Kind> = query
        .list("associations")
        .iter()
        .filter_map(|n| Kind::parse(n))
        .collect();
    one(data, 200, kind, id, &wanted(kind, &asked), &associations)
}

/// One record as an answer.
pub(crate) fn one(
    data: &Data,
    status: u16,
    kind: Kind,
    id: u64,
    properties: &[&str],
    associations: &[Kind],
) -> Answer {
    let mut out = String::new();
    match data.records[kind as usize].get(&id) {
        Some(record) => {
            push_record(&mut out, data, kind, id, record, properties, associations);
            Answer::text(status, out)
        }
        None => Answer::not_found(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadBody {
    #[serde(default)]
    inputs: Vec<IdInput>,
    #[serde(default)]
    properties: Vec<String>,
    #[serde(default)]
    id_property: Option<String>,
}

#[derive(Deserialize)]
struct IdInput {
    id: String,
}

fn batch_read(data: &Data, kind: Kind, query: &Query, body: &[u8], now: i64) -> Answer {
    let Ok(body) = serde_json::from_slice::<ReadBody>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    if body.inputs.len() > 100 {
        return Answer::validation("The number of inputs exceeds the limit of 100");
    }
    let archived = query.get("archived") == Some("true");
    let asked: Vec<&str> = body.properties.iter().map(String::as_str).collect();
    let properties = wanted(kind, &asked);
    let mut missing = Vec::new();
    let mut out = String::from("{\"status\":\"COMPLETE\",\"results\":[");
    let mut first = true;
    for input in &body.inputs {
        let id = if archived {
            input.id.parse().ok()
        } else {
            find(data, kind, &input.id, body.id_property.as_deref())
        };
        let record = id.and_then(|id| Some((id, data.records[kind as usize].get(&id)?)));
        match record.filter(|(_, r)| r.archived_at.is_some() == archived) {
            Some((id, record)) => {
                if !first {
                    out.push(',');
                }
                first = false;
                push_record(&mut out, data, kind, id, record, &properties, &[]);
            }
            None => missing.push(input.id.clone()),
        }
    }
    out.push_str(&format!(
        "],\"startedAt\":\"{0}\",\"completedAt\":\"{0}\"",
        iso(now)
    ));
    let status = if missing.is_empty() {
        200
    } else {
        let errors = json!([{
            "status": "error", "category": "OBJECT_NOT_FOUND",
            "message": format!("Could not get some {} objects, they may be deleted or not exist. Check that ids are valid.", kind.singular().to_uppercase()),
            "context": {"ids": missing},
        }]);
        out.push_str(&format!(",\"numErrors\":1,\"errors\":{errors}"));
        207
    };
    out.push('}');
    Answer::text(status, out)
}
