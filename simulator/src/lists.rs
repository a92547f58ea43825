//! Lists and memberships (`hubspot-api.md` §10).

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, error_body, iso},
    events::Work,
    list_filters,
    model::{Api, Data, Kind, List},
    server::Query,
    validate::text_of,
};

fn shape(list: &List, filters: bool) -> Value {
    let mut more = json!({
        "hs_list_size": list.members.len().to_string(), "hs_list_reference_count": "0",
    });
    if let Some(last) = list.members.values().max() {
        more["hs_last_record_added_at"] = json!(last.to_string());
    }
    let mut shape = json!({
        "listId": list.id.to_string(), "listVersion": list.version, "name": list.name,
        "objectTypeId": list.kind.type_id(), "processingType": list.processing_type,
        "processingStatus": list.processing_status,
        "createdAt": iso(list.created), "updatedAt": iso(list.updated),
        "filtersUpdatedAt": iso(list.filters_updated),
        "createdById": "61526375", "updatedById": "61526375",
        "additionalProperties": more,
    });
    if let Some(at) = list.deleted_at {
        shape["deletedAt"] = json!(iso(at));
    }
    if filters && let Some(root) = &list.filters {
        shape["filterBranch"] = root.clone();
    }
    shape
}

/// Brings the members of a DYNAMIC list up to date. While it is PROCESSING, half of them are missing.
fn refresh(data: &mut Data, id: u64) {
    let changes = data.changes;
    let Some(list) = data.lists.get(&id) else {
        return;
    };
    let Some(root) = list
        .filters
        .as_ref()
        .filter(|_| list.processing_type == "DYNAMIC" && list.evaluated != Some(changes))
    else {
        return;
    };
    let members = evaluate(data, list, root);
    if let Some(list) = data.lists.get_mut(&id) {
        list.members = members;
        list.evaluated = Some(changes);
    }
}

fn evaluate(data: &Data, list: &List, root: &Value) -> BTreeMap<u64, i64> {
    let half = list.processing_status == "PROCESSING";
    data.records[list.kind as usize]
        .iter()
        .filter(|(_, r)| r.archived_at.is_none() && r.raw.is_none())
        .filter(|(id, r)| list_filters::holds(data, list.kind, **id, r, root))
        .filter(|(id, _)| !half || *id % 2 == 0)
        .map(|(id, r)| {
            // It joined when it came to match: at its last change, or with the filters.
            let since = list.members.get(id).copied();
            (*id, since.unwrap_or(r.updated.max(list.filters_updated)))
        })
        .collect()
}

fn refresh_all(data: &mut Data) {
    let ids: Vec<u64> = data.lists.keys().copied().collect();
    for id in ids {
        refresh(data, id);
    }
}

#[derive(Deserialize, Default, Hash)]
#[serde(rename_all = "camelCase", default)]
struct Search {
    query: Option<String>,
    processing_types: Option<Vec<String>>,
    object_type_id: Option<String>,
    list_ids: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Page {
    count: Option<usize>,
    offset: Option<usize>,
    limit: Option<usize>,
    after: Option<String>,
}

impl Search {
    fn takes(&self, list: &List) -> bool {
        let query = self.query.as_deref().unwrap_or_default();
        let none = |wanted: &Option<Vec<String>>, value: &str| {
            wanted
                .as_ref()
                .is_none_or(|all| all.is_empty() || all.iter().any(|w| w == value))
        };
        list.deleted_at.is_none()
            && list.name.to_lowercase().contains(&query.to_lowercase())
            && none(&self.processing_types, list.processing_type)
            && none(&self.list_ids, &list.id.to_string())
            && self
                .object_type_id
                .as_deref()
                .is_none_or(|t| Kind::parse(t) == Some(list.kind))
    }
}

fn parse<T: serde::de::DeserializeOwned + Default>(body: &[u8]) -> Result<T, Answer> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|_| Answer::validation("Invalid input JSON"))
}

/// The list of a path, if it is there and not deleted.
fn find(data: &Data, id: &str) -> Result<u64, Answer> {
    id.parse()
        .ok()
        .filter(|id: &u64| data.lists.get(id).is_some_and(|l| l.deleted_at.is_none()))
        .ok_or_else(|| {
            let mut body = error_body(
                "OBJECT_NOT_FOUND",
                &format!("List does not exist with ID {id}."),
            );
            body["subCategory"] = json!("ILS.LIST_NOT_FOUND");
            Answer::json(404, &body)
        })
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
    answer(data, method, rest, query, body, now).unwrap_or_else(|refused| refused)
}

fn answer(
    data: &mut Data,
    method: &str,
    rest: &[&str],
    query: &Query,
    body: &[u8],
    now: i64,
) -> Result<Answer, Answer> {
    Ok(match (method, rest) {
        ("POST", []) => create(data, body, now)?,
        ("GET", []) => {
            refresh_all(data);
            let filters = query.flag("includeFilters");
            let ids = query.list("listIds");
            let found: Vec<_> = data
                .lists
                .values()
                .filter(|l| l.deleted_at.is_none())
                .filter(|l| ids.contains(&l.id.to_string().as_str()))
                .map(|l| shape(l, filters))
                .collect();
            Answer::json(200, &json!({"lists": found}))
        }
        ("POST", ["search"]) => search(data, body)?,
        ("POST", ["all"]) if data.api < Api::Validating => Answer::not_found(),
        ("POST", ["all"]) => all(data, body)?,
        ("GET", ["idmapping"]) => {
            let legacy = query.get("legacyListId").unwrap_or_default();
            let id = find(data, legacy)?;
            Answer::json(
                200,
                &json!({"listId": id.to_string(), "legacyListId": legacy}),
            )
        }
        ("POST", ["idmapping"]) => id_mapping(data, body)?,
        ("GET", ["records", kind, id, "memberships"]) => of_record(data, kind, id)?,
        ("GET", ["object-type-id", kind, "name", name]) => {
            let kind = Kind::parse(kind).ok_or_else(|| Answer::unknown_type(kind))?;
            let id = data
                .lists
                .values()
                .find(|l| l.kind == kind && l.name == *name && l.deleted_at.is_none())
                .map(|l| l.id)
                .ok_or_else(Answer::not_found)?;
            one(data, id, query)
        }
        ("GET", [id]) => {
            let id = find(data, id)?;
            one(data, id, query)
        }
        ("DELETE", [id]) => {
            let id = find(data, id)?;
            if let Some(list) = data.lists.get_mut(&id) {
                list.deleted_at = Some(now);
            }
            Answer::empty(204)
        }
        ("PUT", [id, "restore"]) => {
            let list = id.parse().ok().and_then(|id: u64| data.lists.get_mut(&id));
            list.ok_or_else(Answer::not_found)?.deleted_at = None;
            Answer::empty(204)
        }
        ("PUT", [id, "update-list-name"]) => {
            let id = find(data, id)?;
            let name = query.get("listName").unwrap_or_default().to_owned();
            check_name(data, &name, Some(id))?;
            changed(data, id, now, |list| list.name = name)
        }
        ("PUT", [id, "update-list-filters"]) => {
            let id = find(data, id)?;
            update_filters(data, id, body, now)?
        }
        ("GET", [id, "memberships"]) => members(data, id, query, false)?,
        ("GET", [id, "memberships", "join-order"]) => members(data, id, query, true)?,
        ("DELETE", [id, "memberships"]) => {
            let id = editable(data, id)?;
            if let Some(list) = data.lists.get_mut(&id) {
                list.members.clear();
            }
            Answer::empty(204)
        }
        ("PUT", [id, "memberships", "add-from", source]) => {
            let id = editable(data, id)?;
            let source = find(data, source)?;
            refresh(data, source);
            let members: Vec<Value> = data.lists[&source]
                .members
                .keys()
                .map(|m| json!(m))
                .collect();
            edit(data, id, &members, &[], now);
            Answer::empty(204)
        }
        ("PUT", [id, "memberships", "add"]) => {
            let id = editable(data, id)?;
            edit(data, id, &parse::<Vec<Value>>(body)?, &[], now)
        }
        ("PUT", [id, "memberships", "remove"]) => {
            let id = editable(data, id)?;
            edit(data, id, &[], &parse::<Vec<Value>>(body)?, now)
        }
        ("PUT", [id, "memberships", "add-and-remove"]) => {
            let id = editable(data, id)?;
            let both: Both = parse(body)?;
            edit(
                data,
                id,
                &both.record_ids_to_add,
                &both.record_ids_to_remove,
                now,
            )
        }
        _ => Answer::not_found(),
    })
}

fn one(data: &mut Data, id: u64, query: &Query) -> Answer {
    refresh(data, id);
    let filters = query.flag("includeFilters");
    Answer::json(200, &json!({"list": shape(&data.lists[&id], filters)}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct New {
    name: String,
    object_type_id: String,
    processing_type: String,
    #[serde(default)]
    filter_branch: Option<Value>,
}

fn check_name(data: &Data, name: &str, me: Option<u64>) -> Result<(), Answer> {
    if name.is_empty() {
        return Err(Answer::validation("A list needs a name"));
    }
    let taken = data
        .lists
        .values()
        .any(|l| l.name == name && Some(l.id) != me && l.deleted_at.is_none());
    if !taken {
        return Ok(());
    }
    let mut body = error_body(
        "VALIDATION_ERROR",
        &format!("A list with the name {name} exists already"),
    );
    body["subCategory"] = json!("ILS.DUPLICATE_LIST_NAMES");
    Err(Answer::json(400, &body))
}

fn create(data: &mut Data, body: &[u8], now: i64) -> Result<Answer, Answer> {
    let new: New = serde_json::from_slice(body).map_err(|_| {
        Answer::validation("Invalid input JSON: a list needs name, objectTypeId and processingType")
    })?;
    let kind = Kind::parse(&new.object_type_id)
        .ok_or_else(|| Answer::unknown_type(&new.object_type_id))?;
    let processing_type = ["MANUAL", "DYNAMIC", "SNAPSHOT"]
        .into_iter()
        .find(|t| *t == new.processing_type)
        .ok_or_else(|| Answer::validation("processingType is MANUAL, DYNAMIC or SNAPSHOT"))?;
    check_name(data, &new.name, None)?;
    match (&new.filter_branch, processing_type) {
        (Some(_), "MANUAL") => return Err(Answer::validation("A MANUAL list has no filters")),
        (None, "DYNAMIC") => {
            return Err(Answer::validation("A DYNAMIC list needs a filterBranch"));
        }
        (Some(root), _) => {
            if let Some(fault) = list_filters::fault(data, kind, root) {
                return Err(Answer::validation(&fault));
            }
        }
        (None, _) => {}
    }
    let id = data.lists.keys().next_back().map_or(1, |id| id + 1);
    let mut list = List {
        filters: new.filter_branch,
        created: now,
        updated: now,
        filters_updated: now,
        ..List::new(id, new.name, kind, processing_type)
    };
    if processing_type == "SNAPSHOT"
        && let Some(root) = list.filters.clone()
    {
        // Taken once; from then on it is a list of records.
        list.members = evaluate(data, &list, &root);
    }
    data.lists.insert(id, list);
    process(data, id, now);
    refresh(data, id);
    Ok(Answer::json(
        200,
        &json!({"list": shape(&data.lists[&id], true)}),
    ))
}

/// PROCESSING, if the portal's lists take time.
fn process(data: &mut Data, id: u64, now: i64) {
    let wait = data.settings.rules.list_processing_ms;
    if let Some(list) = data.lists.get_mut(&id)
        && wait > 0
        && list.filters.is_some()
    {
        list.processing_status = "PROCESSING".to_owned();
        list.evaluated = None;
        data.plan(now + wait, Work::Processed(id));
    }
}

/// A list is processed.
pub(crate) fn processed(data: &mut Data, id: u64) {
    if let Some(list) = data.lists.get_mut(&id) {
        list.processing_status = "COMPLETE".to_owned();
        list.evaluated = None;
    }
}

fn changed(data: &mut Data, id: u64, now: i64, change: impl FnOnce(&mut List)) -> Answer {
    if let Some(list) = data.lists.get_mut(&id) {
        change(list);
        list.updated = now;
        list.version += 1;
    }
    refresh(data, id);
    Answer::json(200, &json!({"updatedList": shape(&data.lists[&id], true)}))
}

fn update_filters(data: &mut Data, id: u64, body: &[u8], now: i64) -> Result<Answer, Answer> {
    let body: Value =
        serde_json::from_slice(body).map_err(|_| Answer::validation("Invalid input JSON"))?;
    let list = &data.lists[&id];
    if list.processing_type != "DYNAMIC" {
        return Err(Answer::validation(
            "Only the filters of a DYNAMIC list can be changed",
        ));
    }
    let root = body["filterBranch"].clone();
    if let Some(fault) = list_filters::fault(data, list.kind, &root) {
        return Err(Answer::validation(&fault));
    }
    let answer = changed(data, id, now, |list| {
        list.filters = Some(root);
        list.filters_updated = now;
        list.evaluated = None;
    });
    process(data, id, now);
    Ok(answer)
}

fn search(data: &mut Data, body: &[u8]) -> Result<Answer, Answer> {
    let search: Search = parse(body)?;
    let page: Page = parse(body)?;
    let count = page.count.unwrap_or(20);
    if count > 500 {
        return Err(Answer::validation("count must not be more than 500"));
    }
    refresh_all(data);
    let found: Vec<_> = data.lists.values().filter(|l| search.takes(l)).collect();
    let offset = page.offset.unwrap_or(0);
    let lists: Vec<_> = found
        .iter()
        .skip(offset)
        .take(count)
        .map(|l| shape(l, false))
        .collect();
    let end = offset + lists.len();
    Ok(Answer::json(
        200,
        &json!({"offset": end, "hasMore": end < found.len(), "lists": lists, "total": found.len()}),
    ))
}

/// The cursor belongs to the filters it was made for.
fn all(data: &mut Data, body: &[u8]) -> Result<Answer, Answer> {
    let search: Search = parse(body)?;
    let page: Page = parse(body)?;
    let limit = page.limit.or(page.count).unwrap_or(20);
    if limit > 500 {
        return Err(Answer::validation("limit must not be more than 500"));
    }
    let mut hasher = DefaultHasher::new();
    search.hash(&mut hasher);
    let mark = format!("{:08x}", hasher.finish() as u32);
    let after: u64 = match page.after.as_deref().filter(|a| !a.is_empty()) {
        None => 0,
        Some(cursor) => cursor
            .split_once('-')
            .filter(|(_, m)| *m == mark)
            .and_then(|(id, _)| id.parse().ok())
            .ok_or_else(|| {
                Answer::error(
                    400,
                    "INVALID_CURSOR",
                    "The cursor is not valid, or the filters changed between pages",
                )
            })?,
    };
    refresh_all(data);
    let mut found = data
        .lists
        .range(after..)
        .map(|(_, l)| l)
        .filter(|l| search.takes(l));
    let results: Vec<_> = found
        .by_ref()
        .take(limit)
        .map(|l| shape(l, false))
        .collect();
    let mut answer = json!({"results": results});
    if let Some(next) = found.next() {
        answer["paging"] = json!({"next": {"after": format!("{}-{mark}", next.id)}});
    }
    Ok(Answer::json(200, &answer))
}

fn id_mapping(data: &Data, body: &[u8]) -> Result<Answer, Answer> {
    let ids: Vec<Value> = parse(body)?;
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for id in ids.iter().filter_map(text_of) {
        match find(data, &id) {
            Ok(list) => found.push(json!({"listId": list.to_string(), "legacyListId": id})),
            Err(_) => missing.push(id),
        }
    }
    Ok(Answer::json(
        200,
        &json!({"legacyListIdsToIdsMapping": found, "missingLegacyListIds": missing}),
    ))
}

fn of_record(data: &mut Data, kind: &str, id: &str) -> Result<Answer, Answer> {
    let kind = Kind::parse(kind).ok_or_else(|| Answer::unknown_type(kind))?;
    let id: u64 = id
        .parse()
        .map(|id| data.resolve(kind, id))
        .map_err(|_| Answer::not_found())?;
    if !data.is_live(kind, id) {
        return Err(Answer::not_found());
    }
    refresh_all(data);
    let results: Vec<_> = data
        .lists
        .values()
        .filter(|l| l.kind == kind && l.deleted_at.is_none())
        .filter_map(|l| {
            let at = l.members.get(&id)?;
            Some(json!({
                "listId": l.id.to_string(), "listVersion": l.version, "isPublicList": false,
                "firstAddedTimestamp": iso(*at), "lastAddedTimestamp": iso(*at),
            }))
        })
        .collect();
    Ok(Answer::json(
        200,
        &json!({"total": results.len(), "results": results}),
    ))
}

fn members(data: &mut Data, id: &str, query: &Query, by_time: bool) -> Result<Answer, Answer> {
    let id = find(data, id)?;
    let limit = query.number("limit").unwrap_or(100);
    if limit == 0 || limit > 250 {
        return Err(Answer::validation("limit must be between 1 and 250"));
    }
    refresh(data, id);
    let list = &data.lists[&id];
    // What is in the recycle bin is in no list.
    let mut all: Vec<(i64, u64)> = list
        .members
        .iter()
        .filter(|(id, _)| data.is_live(list.kind, **id))
        .map(|(id, at)| (if by_time { *at } else { 0 }, *id))
        .collect();
    all.sort_unstable();
    // The cursor is the last one that was given, so that what joins and leaves moves nothing.
    let start = match query.get("after").filter(|a| !a.is_empty()) {
        None => 0,
        Some(cursor) => {
            let after = if by_time {
                cursor
                    .split_once('-')
                    .and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)))
            } else {
                cursor.parse().ok().map(|id| (0, id))
            };
            let after =
                after.ok_or_else(|| Answer::validation("The cursor is not valid: after"))?;
            all.partition_point(|place| *place <= after)
        }
    };
    let page: Vec<_> = all.iter().skip(start).take(limit as usize).collect();
    let mut answer = json!({
        "total": all.len(),
        "results": page.iter().map(|(_, id)| json!({
            "recordId": id.to_string(), "membershipTimestamp": iso(list.members[id]),
        })).collect::<Vec<_>>(),
    });
    if start + page.len() < all.len()
        && let Some((at, id)) = page.last()
    {
        let after = if by_time {
            format!("{at}-{id}")
        } else {
            id.to_string()
        };
        answer["paging"] = json!({"next": {"after": after}});
    }
    Ok(Answer::json(200, &answer))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Both {
    record_ids_to_add: Vec<Value>,
    record_ids_to_remove: Vec<Value>,
}

/// A list whose members can be changed by hand.
fn editable(data: &Data, id: &str) -> Result<u64, Answer> {
    let id = find(data, id)?;
    if data.lists[&id].processing_type == "DYNAMIC" {
        return Err(Answer::validation(
            "Members of a DYNAMIC list cannot be changed",
        ));
    }
    Ok(id)
}

fn edit(data: &mut Data, id: u64, add: &[Value], remove: &[Value], now: i64) -> Answer {
    let kind = data.lists[&id].kind;
    let (mut added, mut removed, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let known = |data: &Data, value: &Value| {
        let text = text_of(value).unwrap_or_default();
        let id = text
            .parse()
            .ok()
            .map(|id| data.resolve(kind, id))
            .filter(|id| data.is_live(kind, *id));
        id.ok_or(text)
    };
    for value in add {
        match known(data, value) {
            Ok(record) => {
                if let Some(list) = data.lists.get_mut(&id)
                    && !list.members.contains_key(&record)
                {
                    list.members.insert(record, now);
                    added.push(record.to_string());
                }
            }
            Err(text) => missing.push(text),
        }
    }
    for value in remove {
        match known(data, value) {
            Ok(record) => {
                if let Some(list) = data.lists.get_mut(&id)
                    && list.members.remove(&record).is_some()
                {
                    removed.push(record.to_string());
                }
            }
            Err(text) => missing.push(text),
        }
    }
    if !(added.is_empty() && removed.is_empty())
        && let Some(list) = data.lists.get_mut(&id)
    {
        list.updated = now;
    }
    Answer::json(
        200,
        &json!({"recordsIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing}),
    )
}
