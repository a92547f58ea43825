//! Associations: types, labels, what connects two records, and the calls about it
//! (`hubspot-api.md` §8).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, iso},
    events::Event,
    model::{Data, Kind, Label, Links},
    server::Query,
    validate::text_of,
};

/// A record, by its type and id.
type End = (Kind, u64);

/// The unlabelled type between two types of records and, where there is one, the primary.
///
/// `hubspot-api.md` §8; those of tickets from HubSpot's guide on association type ids.
pub(crate) const fn pair(from: Kind, to: Kind) -> Option<(u32, Option<u32>)> {
    use Kind::{Call, Communication, Company, Contact, Deal, Email, Meeting, Note, Task, Ticket};
    Some(match (from, to) {
        (Contact, Company) => (279, Some(1)),
        (Company, Contact) => (280, Some(2)),
        (Contact, Deal) => (4, None),
        (Deal, Contact) => (3, None),
        (Deal, Company) => (341, Some(5)),
        (Company, Deal) => (342, Some(6)),
        (Contact, Contact) => (449, None),
        (Company, Company) => (450, None),
        (Deal, Deal) => (451, None),
        (Ticket, Ticket) => (452, None),
        (Contact, Ticket) => (15, None),
        (Ticket, Contact) => (16, None),
        (Ticket, Company) => (339, Some(26)),
        (Company, Ticket) => (340, Some(25)),
        (Deal, Ticket) => (27, None),
        (Ticket, Deal) => (28, None),
        (Call, Contact) => (194, None),
        (Contact, Call) => (193, None),
        (Call, Company) => (182, None),
        (Company, Call) => (181, None),
        (Call, Deal) => (206, None),
        (Deal, Call) => (205, None),
        (Call, Ticket) => (220, None),
        (Ticket, Call) => (219, None),
        (Email, Contact) => (198, None),
        (Contact, Email) => (197, None),
        (Email, Company) => (186, None),
        (Company, Email) => (185, None),
        (Email, Deal) => (210, None),
        (Deal, Email) => (209, None),
        (Email, Ticket) => (224, None),
        (Ticket, Email) => (223, None),
        (Meeting, Contact) => (200, None),
        (Contact, Meeting) => (199, None),
        (Meeting, Company) => (188, None),
        (Company, Meeting) => (187, None),
        (Meeting, Deal) => (212, None),
        (Deal, Meeting) => (211, None),
        (Meeting, Ticket) => (226, None),
        (Ticket, Meeting) => (225, None),
        (Note, Contact) => (202, None),
        (Contact, Note) => (201, None),
        (Note, Company) => (190, None),
        (Company, Note) => (189, None),
        (Note, Deal) => (214, None),
        (Deal, Note) => (213, None),
        (Note, Ticket) => (228, None),
        (Ticket, Note) => (227, None),
        (Task, Contact) => (204, None),
        (Contact, Task) => (203, None),
        (Task, Company) => (192, None),
        (Company, Task) => (191, None),
        (Task, Deal) => (216, None),
        (Deal, Task) => (215, None),
        (Task, Ticket) => (230, None),
        (Ticket, Task) => (229, None),
        (Communication, Contact) => (81, None),
        (Contact, Communication) => (82, None),
        (Communication, Company) => (87, None),
        (Company, Communication) => (88, None),
        (Communication, Deal) => (85, None),
        (Deal, Communication) => (86, None),
        (Communication, Ticket) => (83, None),
        (Ticket, Communication) => (84, None),
        _ => return None,
    })
}

/// Type ids there and back. A primary one is also an unlabelled one.
pub(crate) fn type_ids(from: Kind, to: Kind, primary: bool) -> (Vec<u32>, Vec<u32>) {
    let of = |from, to| {
        pair(from, to).map_or_else(Vec::new, |(plain, prime)| {
            prime
                .filter(|_| primary)
                .into_iter()
                .chain([plain])
                .collect()
        })
    };
    (of(from, to), of(to, from))
}

/// The types of one direction besides the unlabelled: id, the other direction's id, label.
fn labelled(data: &Data, from: Kind, to: Kind) -> Vec<(u32, u32, String)> {
    let mut all = Vec::new();
    if let (Some((_, Some(there))), Some((_, Some(back)))) = (pair(from, to), pair(to, from)) {
        all.push((there, back, "Primary".to_owned()));
    }
    if (from, to) == (Kind::Company, Kind::Company) {
        all.push((13, 14, "Child Company".to_owned()));
        all.push((14, 13, "Parent Company".to_owned()));
    }
    all.extend(
        data.labels
            .iter()
            .filter(|l| l.from == from && l.to == to)
            .map(|l| (l.type_id, l.inverse, l.label.clone())),
    );
    all
}

/// All types of one direction, the unlabelled first.
pub(crate) fn types_of(data: &Data, from: Kind, to: Kind) -> Vec<u32> {
    let Some((plain, _)) = pair(from, to) else {
        return Vec::new();
    };
    let more = labelled(data, from, to).into_iter().map(|(id, _, _)| id);
    std::iter::once(plain).chain(more).collect()
}

/// The type of record that an association type leads to.
pub(crate) fn target(data: &Data, from: Kind, type_id: u32) -> Option<Kind> {
    Kind::ALL.into_iter().find(|to| {
        pair(from, *to).is_some_and(|(plain, _)| {
            plain == type_id
                || labelled(data, from, *to)
                    .iter()
                    .any(|(t, _, _)| *t == type_id)
        })
    })
}

/// The types by which two records are associated, seen from the first.
pub(crate) fn types_between(data: &Data, from: End, to: End) -> Option<Vec<u32>> {
    data.links
        .get(&from)?
        .get(&to)
        .map(|types| types.iter().copied().collect())
}

pub(crate) fn is_primary(type_id: u32) -> bool {
    matches!(type_id, 1 | 2 | 5 | 6 | 25 | 26)
}

/// The record of a type that is the primary one of another.
pub(crate) fn primary_of(data: &Data, from: End, to: Kind) -> Option<u64> {
    data.links
        .get(&from)?
        .range((to, 0)..=(to, u64::MAX))
        .find(|((k, id), types)| types.iter().any(|t| is_primary(*t)) && data.is_live(*k, *id))
        .map(|((_, id), _)| *id)
}

/// Adds one type in both directions.
fn add(data: &mut Data, from: End, to: End, there: u32, back: u32, now: i64) {
    data.changes += 1;
    for (a, b, type_id) in [(from, to, there), (to, from, back)] {
        let new = data
            .links
            .entry(a)
            .or_default()
            .entry(b)
            .or_default()
            .insert(type_id);
        if new {
            data.emit(|| Event::Associated {
                from: a,
                to: b,
                type_id,
                removed: false,
                at: now,
            });
        }
    }
}

/// Takes one type away in both directions; with the last one the association is gone.
fn take(data: &mut Data, from: End, to: End, there: u32, back: u32, now: i64) {
    data.changes += 1;
    for (a, b, type_id) in [(from, to, there), (to, from, back)] {
        let Some(links) = data.links.get_mut(&a) else {
            continue;
        };
        let Some(types) = links.get_mut(&b) else {
            continue;
        };
        let gone = types.remove(&type_id);
        if types.is_empty() {
            links.remove(&b);
        }
        if gone {
            data.emit(|| Event::Associated {
                from: a,
                to: b,
                type_id,
                removed: true,
                at: now,
            });
        }
    }
}

/// Associates two records by types of the first one's side. A labelled one is unlabelled too; a new
/// primary takes the place of the old; the first company of a record is its primary.
pub(crate) fn connect(data: &mut Data, from: End, to: End, types: &[u32], now: i64) {
    let (Some((plain, prime)), Some((plain_back, prime_back))) =
        (pair(from.0, to.0), pair(to.0, from.0))
    else {
        return;
    };
    let mut wanted: Vec<(u32, u32)> = labelled(data, from.0, to.0)
        .into_iter()
        .filter(|(there, _, _)| types.contains(there))
        .map(|(there, back, _)| (there, back))
        .collect();
    if let (Some(there), Some(back)) = (prime, prime_back) {
        // The one that has a primary is a contact, deal or ticket; what it has is a company.
        let (owner, company) = if to.0 == Kind::Company {
            (from, to)
        } else {
            (to, from)
        };
        let present = primary_of(data, owner, Kind::Company);
        let asked = wanted.contains(&(there, back));
        let first = present.is_none() && data.settings.rules.first_company_is_primary;
        if first && !asked {
            wanted.push((there, back));
        }
        if asked && let Some(old) = present.filter(|old| *old != company.1) {
            let old = (Kind::Company, old);
            if to.0 == Kind::Company {
                take(data, owner, old, there, back, now);
            } else {
                take(data, owner, old, back, there, now);
            }
        }
    }
    add(data, from, to, plain, plain_back, now);
    for (there, back) in wanted {
        add(data, from, to, there, back, now);
    }
}

/// Takes an association away, or only some labels of it. Without the unlabelled type nothing stays.
pub(crate) fn disconnect(data: &mut Data, from: End, to: End, types: Option<&[u32]>, now: i64) {
    let plain = pair(from.0, to.0).map(|(plain, _)| plain);
    let all = types.is_none_or(|types| types.iter().any(|t| Some(*t) == plain));
    let there = types_between(data, from, to).unwrap_or_default();
    for type_id in there {
        if all || types.is_some_and(|types| types.contains(&type_id)) {
            let back = inverse(data, from.0, to.0, type_id);
            take(data, from, to, type_id, back, now);
        }
    }
}

/// The type of the other direction.
fn inverse(data: &Data, from: Kind, to: Kind, type_id: u32) -> u32 {
    labelled(data, from, to)
        .into_iter()
        .find(|(there, _, _)| *there == type_id)
        .map(|(_, back, _)| back)
        .or_else(|| pair(to, from).map(|(plain, _)| plain))
        .unwrap_or(type_id)
}

/// All associations of a record.
pub(crate) fn disconnect_all(data: &mut Data, me: End, now: i64) {
    let others: Vec<End> = data
        .links
        .get(&me)
        .map(|links| links.keys().copied().collect())
        .unwrap_or_default();
    for other in others {
        disconnect(data, me, other, None, now);
    }
    data.links.remove(&me);
}

/// After a merge: what either had, the new one has. The primary's primary company stays the primary.
pub(crate) fn move_all(data: &mut Data, kind: Kind, first: u64, second: u64, new: u64, now: i64) {
    for old in [first, second] {
        let links: Links = data.links.get(&(kind, old)).cloned().unwrap_or_default();
        disconnect_all(data, (kind, old), now);
        for (to, types) in links {
            if to.0 == kind && [first, second, new].contains(&to.1) {
                continue;
            }
            for type_id in types {
                let back = inverse(data, kind, to.0, type_id);
                // From a company's side each contact may have it as its primary; a contact has one.
                let excess = is_primary(type_id)
                    && to.0 == Kind::Company
                    && primary_of(data, (kind, new), Kind::Company).is_some_and(|p| p != to.1);
                if !excess {
                    add(data, (kind, new), to, type_id, back, now);
                }
            }
        }
    }
}

/// The name of a type in inline associations and in v3.
pub(crate) fn inline_name(data: &Data, from: Kind, to: Kind, type_id: u32) -> String {
    let word = |kind: Kind| match kind {
        Kind::Meeting => "meeting_event",
        kind => kind.singular(),
    };
    let name = format!("{}_to_{}", word(from), word(to));
    match type_id {
        279 | 280 | 341 | 342 | 339 | 340 | 450 => format!("{name}_unlabeled"),
        13 => "parent_to_child_company".to_owned(),
        14 => "child_to_parent_company".to_owned(),
        _ => data
            .labels
            .iter()
            .find(|l| l.type_id == type_id)
            .map_or(name, |l| l.name.clone()),
    }
}

/// `associations` of a record in the shape of v3 lists.
pub(crate) fn push_inline(out: &mut String, data: &Data, kind: Kind, id: u64, wanted: &[Kind]) {
    let links = data.links.get(&(kind, id));
    let mut first_kind = true;
    for to in wanted {
        let mut entries = links
            .into_iter()
            .flat_map(|l| l.range((*to, 0)..=(*to, u64::MAX)))
            .filter(|((k, other), _)| data.is_live(*k, *other))
            .peekable();
        if entries.peek().is_none() {
            continue;
        }
        if first_kind {
            out.push_str(",\"associations\":{");
        } else {
            out.push(',');
        }
        first_kind = false;
        out.push('"');
        out.push_str(to.plural());
        out.push_str("\":{\"results\":[");
        let page = data.settings.inline_association_page;
        let mut more = None;
        let mut first = true;
        for (place, ((_, other), types)) in entries.enumerate() {
            if place == page {
                more = Some(*other);
                break;
            }
            for type_id in types {
                if !first {
                    out.push(',');
                }
                first = false;
                out.push_str(&format!(
                    "{{\"id\":\"{other}\",\"type\":\"{}\"}}",
                    inline_name(data, kind, *to, *type_id)
                ));
            }
        }
        out.push(']');
        if let Some(after) = more {
            out.push_str(&format!(
                ",\"paging\":{{\"next\":{{\"after\":\"{after}\"}}}}"
            ));
        }
        out.push('}');
    }
    if !first_kind {
        out.push('}');
    }
}

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
    association_type_id: u32,
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
        ("POST", ["labels"]) => create_label(data, from, to, body),
        ("PUT", ["labels"]) => rename_label(data, from, to, body),
        ("DELETE", ["labels", id]) => delete_label(data, id, now),
        _ => Answer::not_found(),
    }
}

fn category(data: &Data, type_id: u32) -> &'static str {
    if data.labels.iter().any(|l| l.type_id == type_id) {
        "USER_DEFINED"
    } else {
        "HUBSPOT_DEFINED"
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

fn create_label(data: &mut Data, from: Kind, to: Kind, body: &[u8]) -> Answer {
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
    let id = data.labels.iter().map(|l| l.type_id).max().unwrap_or(100) + 1;
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
    };
    let mut made = vec![label(from, to, id, back, &new.label)];
    if back != id {
        made.push(label(to, from, back, id, &back_label));
    }
    let results: Vec<Value> = made
        .iter()
        .map(|l| json!({"category": "USER_DEFINED", "typeId": l.type_id, "label": l.label}))
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
                "toObjectId": other,
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
        let after = input
            .after
            .and_then(|a| text_of(&a)?.parse().ok())
            .unwrap_or(0);
        let (found, next) = page(data, version, (from, id), to, after, size);
        if found.is_empty() {
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
            result["paging"] = json!({"next": {"after": next.to_string()}});
        }
        results.push(result);
    }
    envelope(results, errors, now)
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
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for input in inputs.inputs {
        let types: Vec<u32> = input.types.iter().map(|t| t.association_type_id).collect();
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
        Write::Archive | Write::ArchiveLabels if errors.is_empty() => Answer::empty(204),
        _ => {
            let mut answer = envelope(results, errors, now);
            if write == Write::Create && answer.status == 200 {
                answer.status = 201;
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
        let mut all = labelled(data, from.0, to.0);
        all.extend(pair(from.0, to.0).map(|(plain, _)| (plain, 0, String::new())));
        let wanted = named.to_ascii_lowercase();
        let found: Vec<u32> = all
            .into_iter()
            .map(|(id, _, _)| id)
            .filter(|id| wanted == id.to_string() || wanted == inline_name(data, from.0, to.0, *id))
            .collect();
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
        return Err(invalid(&format!(
            "Association type {bad} does not lead from {} to {}",
            from.0.type_id(),
            to.0.type_id()
        )));
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
        .filter(|(id, _, _)| types.contains(id) && category(data, *id) == "USER_DEFINED")
        .map(|(_, _, label)| label)
        .collect();
    json!({
        "fromObjectTypeId": from.0.type_id(), "fromObjectId": from.1,
        "toObjectTypeId": to.0.type_id(), "toObjectId": to.1, "labels": labels,
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
    let after = query.number("after").unwrap_or(0);
    let (results, next) = page(data, version, (kind, id), to, after, limit as usize);
    let mut body = json!({"results": results});
    if let Some(next) = next {
        body["paging"] = json!({"next": {"after": next.to_string()}});
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
        disconnect(data, from, to, None, now);
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
    let types: Vec<u32> = types.iter().map(|t| t.association_type_id).collect();
    if types.is_empty() {
        return Answer::validation("The body has to be an array of association types");
    }
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

/// `{status, results, errors?, startedAt, completedAt}`, 207 when something is among the errors.
pub(crate) fn envelope(results: Vec<Value>, errors: Vec<Value>, now: i64) -> Answer {
    let status = if errors.is_empty() { 200 } else { 207 };
    let mut body = json!({
        "status": "COMPLETE", "results": results,
        "startedAt": iso(now), "completedAt": iso(now),
    });
    if !errors.is_empty() {
        body["numErrors"] = json!(errors.len());
        body["errors"] = Value::Array(errors);
    }
    Answer::json(status, &body)
}
