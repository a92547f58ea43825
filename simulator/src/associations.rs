//! Associations: what connects two records, and how it comes and goes.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, iso},
    events::Event,
    model::{Data, Kind, Links},
};
pub(crate) use crate::{
    association_calls::{Version, change, create_label, handle, of_record},
    association_types::{
        category, inline_name, inverse, is_primary, known_type, labelled, pair, target, type_ids,
        types_of, wrong_from,
    },
};

/// A record, by its type and id.
type End = (Kind, u64);

/// The types by which two records are associated, seen from the first.
pub(crate) fn types_between(data: &Data, from: End, to: End) -> Option<Vec<u32>> {
    data.links
        .get(&from)?
        .get(&to)
        .map(|types| types.iter().copied().collect())
}

/// The record of a type that is the primary one of another.
pub(crate) fn primary_of(data: &Data, from: End, to: Kind) -> Option<u64> {
    data.links
        .get(&from)?
        .range((to, 0)..=(to, u64::MAX))
        .find(|((k, id), types)| types.iter().any(|t| is_primary(*t)) && data.is_live(*k, *id))
        .map(|((_, id), _)| *id)
}

/// The companies that are marked as the primary one, in the recycle bin or not: one at most.
fn primaries(data: &Data, owner: End) -> Vec<u64> {
    data.links
        .get(&owner)
        .into_iter()
        .flat_map(|links| links.range((Kind::Company, 0)..=(Kind::Company, u64::MAX)))
        .filter(|(_, types)| types.iter().any(|t| is_primary(*t)))
        .map(|((_, id), _)| *id)
        .collect()
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
pub(crate) fn take(data: &mut Data, from: End, to: End, there: u32, back: u32, now: i64) {
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
        let first = data.settings.rules.first_company_is_primary
            && primary_of(data, owner, Kind::Company).is_none();
        if first && !wanted.contains(&(there, back)) {
            wanted.push((there, back));
        }
        if wanted.contains(&(there, back)) {
            for old in primaries(data, owner) {
                let old = (Kind::Company, old);
                if old == company {
                    continue;
                }
                if to.0 == Kind::Company {
                    take(data, owner, old, there, back, now);
                } else {
                    take(data, owner, old, back, there, now);
                }
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
    for old in [first, second].into_iter().filter(|old| *old != new) {
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
                    && primaries(data, (kind, new)).iter().any(|p| *p != to.1);
                if !excess {
                    add(data, (kind, new), to, type_id, back, now);
                }
            }
        }
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
