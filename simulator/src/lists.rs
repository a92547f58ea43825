//! Lists and memberships.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, iso},
    model::{Data, List},
    server::Query,
};

fn shape(list: &List) -> Value {
    json!({
        "listId": list.id.to_string(), "listVersion": 1, "name": list.name,
        "objectTypeId": list.kind.type_id(), "processingType": list.processing_type,
        "processingStatus": list.processing_status,
        "createdAt": iso(1_700_000_000_000), "updatedAt": iso(1_700_000_000_000),
        "filtersUpdatedAt": iso(1_700_000_000_000),
        "additionalProperties": {"hs_list_size": list.members.len().to_string()},
    })
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Search {
    query: String,
    processing_types: Vec<String>,
    object_type_id: Option<String>,
    count: Option<usize>,
    offset: usize,
    limit: Option<usize>,
    after: Option<String>,
}

impl Search {
    fn takes(&self, list: &List) -> bool {
        list.name
            .to_ascii_lowercase()
            .contains(&self.query.to_ascii_lowercase())
            && (self.processing_types.is_empty()
                || self
                    .processing_types
                    .iter()
                    .any(|t| t == list.processing_type))
            && self
                .object_type_id
                .as_deref()
                .is_none_or(|t| t == list.kind.type_id())
    }
}

/// `/crm/lists/{version}/…`
pub(crate) fn handle(
    data: &mut Data,
    method: &str,
    rest: &[&str],
    query: &Query,
    body: &[u8],
    now: i64,
) -> Answer {
    match (method, rest) {
        ("POST", ["search"]) => search(data, body),
        ("POST", ["all"]) => all(data, body),
        ("GET", [id]) => id
            .parse()
            .ok()
            .and_then(|id: u64| data.lists.get(&id))
            .map_or_else(Answer::not_found, |l| {
                Answer::json(200, &json!({"list": shape(l)}))
            }),
        ("GET", [id, "memberships"]) => members(data, id, query, false),
        ("GET", [id, "memberships", "join-order"]) => members(data, id, query, true),
        ("PUT", [id, "memberships", change @ ("add" | "remove")]) => {
            edit(data, id, change, body, now)
        }
        _ => Answer::not_found(),
    }
}

fn search(data: &Data, body: &[u8]) -> Answer {
    let Ok(search) = serde_json::from_slice::<Search>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    let count = search.count.unwrap_or(20).min(500);
    let found: Vec<_> = data.lists.values().filter(|l| search.takes(l)).collect();
    let page: Vec<_> = found
        .iter()
        .skip(search.offset)
        .take(count)
        .map(|l| shape(l))
        .collect();
    let offset = search.offset + page.len();
    Answer::json(
        200,
        &json!({"lists": page, "hasMore": offset < found.len(), "offset": offset, "total": found.len()}),
    )
}

fn all(data: &Data, body: &[u8]) -> Answer {
    let Ok(search) = serde_json::from_slice::<Search>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    let after: u64 = match search.after.as_deref().map(str::parse) {
        None => 0,
        Some(Ok(after)) => after,
        Some(Err(_)) => return Answer::error(400, "INVALID_CURSOR", "The cursor is not valid"),
    };
    let mut found = data
        .lists
        .range(after..)
        .map(|(_, l)| l)
        .filter(|l| search.takes(l));
    let page: Vec<_> = found
        .by_ref()
        .take(search.limit.unwrap_or(20).min(500))
        .map(shape)
        .collect();
    let mut answer = json!({"results": page});
    if let Some(next) = found.next() {
        answer["paging"] = json!({"next": {"after": next.id.to_string()}});
    }
    Answer::json(200, &answer)
}

fn members(data: &Data, id: &str, query: &Query, by_time: bool) -> Answer {
    let Some(list) = id.parse().ok().and_then(|id: u64| data.lists.get(&id)) else {
        return Answer::not_found();
    };
    let limit = query.number("limit").unwrap_or(100);
    if limit > 250 {
        return Answer::validation("limit must not be more than 250");
    }
    let after = query.number("after").unwrap_or(0);
    let mut all: Vec<(u64, i64)> = list.members.iter().map(|(id, at)| (*id, *at)).collect();
    if by_time {
        all.sort_by_key(|(id, at)| (*at, *id));
    }
    // In the order of ids the cursor is the next id; in the order of time it is a place.
    let start = if by_time {
        after as usize
    } else {
        all.partition_point(|(id, _)| *id < after)
    };
    let page: Vec<_> = all.iter().skip(start).take(limit as usize).collect();
    let mut answer = json!({
        "total": all.len(),
        "results": page.iter().map(|(id, at)| json!({
            "recordId": id.to_string(), "membershipTimestamp": iso(*at),
        })).collect::<Vec<_>>(),
    });
    let end = start + page.len();
    if let Some((next, _)) = all.get(end) {
        let after = if by_time {
            end.to_string()
        } else {
            next.to_string()
        };
        answer["paging"] = json!({"next": {"after": after}});
    }
    Answer::json(200, &answer)
}

fn edit(data: &mut Data, id: &str, change: &str, body: &[u8], now: i64) -> Answer {
    let Ok(ids) = serde_json::from_slice::<Vec<Value>>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    let Some(list) = id.parse().ok().and_then(|id: u64| data.lists.get_mut(&id)) else {
        return Answer::not_found();
    };
    if list.processing_type == "DYNAMIC" {
        return Answer::validation("Members of a DYNAMIC list cannot be changed");
    }
    let mut done = Vec::new();
    let mut missing = Vec::new();
    for id in ids {
        let text = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let known = text
            .parse::<u64>()
            .ok()
            .filter(|id| data.records[list.kind as usize].contains_key(id));
        match known {
            None => missing.push(text),
            Some(id) if change == "add" => {
                list.members.entry(id).or_insert(now);
                done.push(text);
            }
            Some(id) => {
                list.members.remove(&id);
                done.push(text);
            }
        }
    }
    let (added, removed) = if change == "add" {
        (done, Vec::new())
    } else {
        (Vec::new(), done)
    };
    Answer::json(
        200,
        &json!({"recordsIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing}),
    )
}
