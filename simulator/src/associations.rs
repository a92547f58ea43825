//! Associations: types, batch reads with paging, inline.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, CORRELATION, iso},
    model::{Data, Kind},
};

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

/// The type of record that an association type of HubSpot's leads to.
pub(crate) fn target(from: Kind, type_id: u32) -> Option<Kind> {
    Kind::ALL.into_iter().find(|to| {
        pair(from, *to).is_some_and(|(plain, prime)| plain == type_id || prime == Some(type_id))
    })
}

/// The name of a type in inline associations.
pub(crate) fn inline_name(from: Kind, to: Kind, type_id: u32) -> String {
    let pair = format!("{}_to_{}", from.singular(), to.singular());
    match type_id {
        279 | 280 | 341 | 342 | 339 | 340 => format!("{pair}_unlabeled"),
        _ => pair,
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
            .filter(|((k, other), _)| is_live(data, *k, *other))
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
                    inline_name(kind, *to, *type_id)
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

fn is_live(data: &Data, kind: Kind, id: u64) -> bool {
    data.records[kind as usize]
        .get(&id)
        .is_some_and(|r| r.archived_at.is_none())
}

#[derive(Deserialize)]
struct Inputs<T> {
    #[serde(default = "Vec::new")]
    inputs: Vec<T>,
}

#[derive(Deserialize)]
struct ReadInput {
    id: String,
    #[serde(default)]
    after: Option<String>,
}

#[derive(Deserialize)]
struct WriteInput {
    from: End,
    to: End,
    #[serde(default)]
    types: Vec<WriteType>,
}

#[derive(Deserialize)]
struct End {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WriteType {
    association_type_id: u32,
}

/// `POST …/{from}/{to}/batch/{operation}`
pub(crate) fn batch(
    data: &mut Data,
    from: Kind,
    to: Kind,
    operation: &str,
    body: &[u8],
    now: i64,
) -> Answer {
    match operation {
        "read" => batch_read(data, from, to, body, now),
        "create" | "archive" => batch_write(data, from, to, operation == "create", body, now),
        _ => Answer::not_found(),
    }
}

fn batch_read(data: &Data, from: Kind, to: Kind, body: &[u8], now: i64) -> Answer {
    let Ok(inputs) = serde_json::from_slice::<Inputs<ReadInput>>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    if inputs.inputs.len() > 1_000 {
        return Answer::validation("The number of inputs exceeds the limit of 1000");
    }
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for input in inputs.inputs {
        let id: u64 = input.id.parse().unwrap_or(0);
        let after: u64 = input.after.and_then(|a| a.parse().ok()).unwrap_or(0);
        let found: Vec<_> = data
            .links
            .get(&(from, id))
            .into_iter()
            .flat_map(|l| l.range((to, after)..=(to, u64::MAX)))
            .filter(|((k, other), _)| is_live(data, *k, *other))
            .collect();
        if found.is_empty() {
            errors.push(json!({
                "status": "error", "category": "OBJECT_NOT_FOUND",
                "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
                "message": format!("No {} is associated with {} {id}.", to.singular(), from.singular()),
                "context": {"fromObjectId": [id.to_string()]},
            }));
            continue;
        }
        let page = data.settings.inline_association_page;
        let mut result = json!({
            "from": {"id": id.to_string()},
            "to": found.iter().take(page).map(|((_, other), types)| json!({
                "toObjectId": other,
                "associationTypes": types.iter().map(|t| json!({
                    "category": "HUBSPOT_DEFINED", "typeId": t,
                    "label": matches!(t, 1 | 2 | 5 | 6).then_some("Primary"),
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        });
        if let Some(((_, next), _)) = found.get(page) {
            result["paging"] = json!({"next": {"after": next.to_string()}});
        }
        results.push(result);
    }
    envelope(results, errors, now)
}

fn batch_write(
    data: &mut Data,
    from: Kind,
    to: Kind,
    create: bool,
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
        let (a, b) = (
            input.from.id.parse().unwrap_or(0),
            input.to.id.parse().unwrap_or(0),
        );
        if !is_live(data, from, a) || !is_live(data, to, b) {
            errors.push(json!({
                "status": "error", "category": "VALIDATION_ERROR",
                "subCategory": "crm.associations.INVALID_IDENTIFIER",
                "message": "One or both of the given ids are not valid",
                "context": {"fromObjectId": [input.from.id], "toObjectId": [input.to.id]},
            }));
            continue;
        }
        if create {
            let primary = input
                .types
                .iter()
                .any(|t| matches!(t.association_type_id, 1 | 2 | 5 | 6));
            data.link((from, a), (to, b), primary);
        } else {
            if let Some(links) = data.links.get_mut(&(from, a)) {
                links.remove(&(to, b));
            }
            if let Some(links) = data.links.get_mut(&(to, b)) {
                links.remove(&(from, a));
            }
        }
        results.push(json!({"from": {"id": input.from.id}, "to": {"id": input.to.id}}));
    }
    if !create && errors.is_empty() {
        return Answer::empty(204);
    }
    envelope(results, errors, now)
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
        body["correlationId"] = json!(CORRELATION);
    }
    Answer::json(status, &body)
}
