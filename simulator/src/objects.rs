//! Lists and reads of records, and the way to `write`, `merge` and `search`.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    answer::{Answer, iso, push_string},
    associations::push_inline,
    batches, merge,
    model::{Data, Kind, Record},
    search,
    server::Query,
    validate::text_of,
    write,
};

/// What an answer shows of a record.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shown<'a> {
    pub(crate) properties: &'a [&'a str],
    /// Properties whose former values are shown.
    pub(crate) history: &'a [&'a str],
    pub(crate) associations: &'a [Kind],
    /// Lists do not carry the address of a record's page; all others do.
    pub(crate) url: bool,
    /// Of these properties only those that have a value.
    pub(crate) only_set: bool,
}

impl<'a> Shown<'a> {
    /// As search and batch reads show a record.
    pub(crate) const fn read(properties: &'a [&'a str]) -> Self {
        Self {
            properties,
            history: &[],
            associations: &[],
            url: true,
            only_set: false,
        }
    }

    /// As writes show a record.
    pub(crate) const fn written(properties: &'a [&'a str]) -> Self {
        Self {
            only_set: true,
            ..Self::read(properties)
        }
    }
}

/// Writes a record as HubSpot does.
pub(crate) fn push_record(
    out: &mut String,
    data: &Data,
    kind: Kind,
    id: u64,
    record: &Record,
    shown: &Shown<'_>,
) {
    if let Some(raw) = &record.raw {
        out.push_str(raw);
        return;
    }
    out.push_str(&format!("{{\"id\":\"{id}\",\"properties\":{{"));
    let skip_empty = shown.only_set || !data.settings.rules.empty_as_null;
    let mut first = true;
    for name in shown.properties {
        if !data.properties[kind as usize].contains_key(*name) {
            continue;
        }
        let value = data.value(kind, id, record, name);
        if value.is_none() && skip_empty {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        push_string(out, name);
        out.push(':');
        match value {
            Some(value) => push_string(out, &value),
            None => out.push_str("null"),
        }
    }
    out.push('}');
    if !shown.history.is_empty() {
        push_history(out, data, kind, id, record, shown.history);
    }
    out.push_str(&format!(
        ",\"createdAt\":\"{}\",\"updatedAt\":\"{}\",\"archived\":{}",
        iso(record.created),
        iso(record.updated),
        record.archived_at.is_some()
    ));
    if let Some(at) = record.archived_at {
        out.push_str(&format!(",\"archivedAt\":\"{}\"", iso(at)));
    }
    push_inline(out, data, kind, id, shown.associations);
    if shown.url {
        out.push_str(&format!(
            ",\"url\":\"https://app.hubspot.com/contacts/{}/record/{}/{id}\"",
            data.portal,
            kind.type_id()
        ));
    }
    out.push('}');
}

/// `propertiesWithHistory`: for each property its values, the newest first.
fn push_history(
    out: &mut String,
    data: &Data,
    kind: Kind,
    id: u64,
    record: &Record,
    names: &[&str],
) {
    let by_app = data.stored(record, "hs_object_source") == Some("INTEGRATION");
    let mut all = serde_json::Map::new();
    for name in names {
        if !data.properties[kind as usize].contains_key(*name) {
            continue;
        }
        let changes = data.history.get(&(kind, id));
        let name_id = data.name_ids.get(*name);
        let mut versions: Vec<(i64, String)> = changes
            .into_iter()
            .flatten()
            .filter(|c| Some(&c.name) == name_id)
            .map(|c| (c.at, c.value.to_string()))
            .collect();
        if versions.is_empty() {
            versions.extend(
                data.value(kind, id, record, name)
                    .map(|value| (record.created, value)),
            );
        }
        let versions: Vec<Value> = versions
            .into_iter()
            .rev()
            .map(|(at, value)| {
                let api = by_app || at > record.created;
                serde_json::json!({
                    "value": value, "timestamp": iso(at),
                    "sourceType": if api { "INTEGRATION" } else { "CRM_UI" },
                    "sourceId": "", "updatedByUserId": null,
                })
            })
            .collect();
        all.insert((*name).to_owned(), Value::Array(versions));
    }
    out.push_str(",\"propertiesWithHistory\":");
    out.push_str(&Value::Object(all).to_string());
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

/// The types that `associations` names, or the refusal of one that does not exist.
fn association_types(query: &Query) -> Result<Vec<Kind>, Answer> {
    query
        .list("associations")
        .iter()
        // Types of which there are no records leave nothing.
        .filter(|name| crate::bare::Bare::parse(name).is_none())
        .map(|name| Kind::parse(name).ok_or_else(|| Answer::unknown_type(name)))
        .collect()
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
        ("POST", ["batch", operation]) => batches::batch(data, kind, operation, body, now),
        ("POST", ["merge"]) => merge::merge_call(data, kind, body, now),
        ("POST", ["gdpr-delete"]) => merge::gdpr_delete(data, kind, body, now),
        ("PATCH", [id]) => write::update_one(data, kind, id, query, body, now),
        ("DELETE", [id]) => {
            if let Some(id) = find(data, kind, id, query.get("idProperty")) {
                merge::archive(data, kind, id, now);
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
    let history = query.list("propertiesWithHistory");
    if limit > 50 && !history.is_empty() {
        return Answer::validation(
            "limit must be less than or equal to 50 when propertiesWithHistory is requested",
        );
    }
    let after = match query.get("after") {
        None => 0,
        Some(text) => match text.parse::<u64>() {
            Ok(after) => after,
            Err(_) => return Answer::validation("The cursor is not valid"),
        },
    };
    let archived = query.flag("archived");
    let asked = query.list("properties");
    let properties = wanted(kind, &asked);
    let associations = match association_types(query) {
        Ok(types) => types,
        Err(refused) => return refused,
    };
    let shown = Shown {
        properties: &properties,
        history: &history,
        associations: &associations,
        url: false,
        only_set: false,
    };
    let mut found = data.records[kind as usize]
        .range(after..)
        .filter(|(_, r)| r.archived_at.is_some() == archived);
    let mut out = String::with_capacity(100 * 1_024);
    out.push_str("{\"results\":[");
    for (place, (id, record)) in found.by_ref().take(limit as usize).enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_record(&mut out, data, kind, *id, record, &shown);
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

/// Does a property name at most one record?
pub(crate) fn is_unique(data: &Data, kind: Kind, name: &str) -> bool {
    data.properties[kind as usize]
        .get(name)
        .is_some_and(|p| p.has_unique_value)
}

/// A live record by id or by a unique property. An id that was merged away leads to what it became.
pub(crate) fn find(data: &Data, kind: Kind, text: &str, id_property: Option<&str>) -> Option<u64> {
    match id_property {
        None | Some("hs_object_id") => text.parse().ok().map(|id| data.resolve(kind, id)),
        Some("email") if kind == Kind::Contact => {
            data.emails.get(&text.to_ascii_lowercase()).copied()
        }
        Some(name) => {
            let name = data.name_ids.get(name)?;
            data.unique.get(&(kind, *name))?.get(text).copied()
        }
    }
    .filter(|id| data.is_live(kind, *id))
}

/// 404, in HubSpot's words for what can be no id.
pub(crate) fn no_record(text: &str, id_property: Option<&str>) -> Answer {
    if id_property.is_some() || text.parse::<u64>().is_ok() {
        return Answer::not_found();
    }
    Answer::error(
        404,
        "OBJECT_NOT_FOUND",
        "Object not found.  objectId are usually numeric.",
    )
}

/// Refuses a read by a property that does not name one record.
fn readable(data: &Data, kind: Kind, id_property: Option<&str>) -> Option<Answer> {
    let name = id_property?;
    let good = name == "hs_object_id"
        || (kind == Kind::Contact && name == "email")
        || is_unique(data, kind, name);
    (!good).then(|| {
        Answer::validation(&format!(
            "Property {name} of {} is not unique and cannot be used as idProperty",
            kind.type_id()
        ))
    })
}

/// A record by id, in the recycle bin or not.
fn find_where(
    data: &Data,
    kind: Kind,
    text: &str,
    id_property: Option<&str>,
    archived: bool,
) -> Option<u64> {
    if !archived {
        return find(data, kind, text, id_property);
    }
    let id = text.parse().ok()?;
    data.record(kind, id)
        .filter(|r| r.archived_at.is_some())
        .map(|_| id)
}

fn get(data: &Data, kind: Kind, id: &str, query: &Query) -> Answer {
    let id_property = query.get("idProperty");
    if let Some(refused) = readable(data, kind, id_property) {
        return refused;
    }
    let archived = query.flag("archived");
    let Some(id) = find_where(data, kind, id, id_property, archived) else {
        return no_record(id, id_property);
    };
    let properties = wanted(kind, &query.list("properties"));
    let history = query.list("propertiesWithHistory");
    match association_types(query) {
        Err(refused) => refused,
        Ok(associations) => one(
            data,
            200,
            kind,
            id,
            &Shown {
                history: &history,
                associations: &associations,
                ..Shown::read(&properties)
            },
        ),
    }
}

/// A record with its associations to one type, as the v3 call that makes one answers.
pub(crate) fn with_associations(data: &Data, (kind, id): (Kind, u64), to: Kind) -> Answer {
    let properties = wanted(kind, &[]);
    let shown = Shown {
        associations: &[to],
        ..Shown::read(&properties)
    };
    one(data, 200, kind, id, &shown)
}

/// One record as an answer.
pub(crate) fn one(data: &Data, status: u16, kind: Kind, id: u64, shown: &Shown<'_>) -> Answer {
    let mut out = String::new();
    match data.record(kind, id) {
        Some(record) => {
            push_record(&mut out, data, kind, id, record, shown);
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
    properties_with_history: Vec<String>,
    #[serde(default)]
    id_property: Option<String>,
}

#[derive(Deserialize)]
struct IdInput {
    id: Value,
}

fn batch_read(data: &Data, kind: Kind, query: &Query, body: &[u8], now: i64) -> Answer {
    let Ok(body) = serde_json::from_slice::<ReadBody>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    let most = if body.properties_with_history.is_empty() {
        100
    } else {
        50
    };
    if body.inputs.len() > most {
        return Answer::validation(&format!("The number of inputs exceeds the limit of {most}"));
    }
    let id_property = body.id_property.as_deref();
    if let Some(refused) = readable(data, kind, id_property) {
        return refused;
    }
    let archived = query.flag("archived");
    let asked: Vec<&str> = body.properties.iter().map(String::as_str).collect();
    let properties = wanted(kind, &asked);
    let history: Vec<&str> = body
        .properties_with_history
        .iter()
        .map(String::as_str)
        .collect();
    let shown = Shown {
        history: &history,
        ..Shown::read(&properties)
    };
    let follows = data.settings.rules.batch_read_follows_merges;
    let mut missing = Vec::new();
    let mut done = std::collections::HashSet::new();
    let mut out = String::from("{\"status\":\"COMPLETE\",\"results\":[");
    for input in &body.inputs {
        let text = text_of(&input.id).unwrap_or_default();
        let merged = id_property.is_none()
            && text
                .parse()
                .is_ok_and(|id| data.aliases.contains_key(&(kind, id)));
        let found = find_where(data, kind, &text, id_property, archived)
            .filter(|_| follows || !merged)
            .and_then(|id| Some((id, data.record(kind, id)?)));
        match found {
            // Two names of one record bring it once.
            Some((id, _)) if !done.insert(id) => {}
            Some((id, record)) => {
                if done.len() > 1 {
                    out.push(',');
                }
                push_record(&mut out, data, kind, id, record, &shown);
            }
            None => missing.push(text),
        }
    }
    out.push_str(&format!(
        "],\"startedAt\":\"{0}\",\"completedAt\":\"{0}\"",
        iso(now)
    ));
    let status = if missing.is_empty() {
        200
    } else {
        let error = batches::not_found(kind, &missing);
        out.push_str(&format!(",\"numErrors\":1,\"errors\":[{error}]"));
        207
    };
    out.push('}');
    Answer::text(status, out)
}
