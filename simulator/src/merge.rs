//! Archiving, restoring, erasing, merging.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    answer::Answer,
    associations,
    events::Event,
    model::{Data, Kind, Record, addresses},
    objects::{Shown, find, one, wanted},
    validate::{Checked, taken, text_of},
};

/// A record can take part in this many merges.
const MERGES: usize = 250;

/// Into the recycle bin. HubSpot does not touch last-modified here.
pub(crate) fn archive(data: &mut Data, kind: Kind, id: u64, now: i64) {
    if !data.is_live(kind, id) {
        return;
    }
    data.delist(kind, id);
    if kind == Kind::Email && data.settings.rules.email_delete_permanent {
        forget(data, kind, id, now);
    } else if let Some(mut record) = data.records[kind as usize].get_mut(&id) {
        record.archived_at = Some(now);
    }
    data.emit(|| Event::Archived { kind, id, at: now });
}

/// Out of the recycle bin, as a person can for 90 days. False: it is not in there, or an address or
/// unique value of it belongs to another by now.
pub(crate) fn restore(data: &mut Data, kind: Kind, id: u64, now: i64) -> bool {
    let Some(record) = data.record(kind, id).filter(|r| r.archived_at.is_some()) else {
        return false;
    };
    let values: Checked = record
        .values
        .iter()
        .map(|(name, value)| (data.names[usize::from(name)].clone(), value.to_owned()))
        .collect();
    if taken(data, kind, None, &values).is_err() {
        return false;
    }
    if let Some(mut record) = data.records[kind as usize].get_mut(&id) {
        record.archived_at = None;
    }
    data.enlist(kind, id);
    data.touch(kind, id, now);
    data.emit(|| Event::Restored { kind, id, at: now });
    true
}

/// Nothing of it stays.
fn forget(data: &mut Data, kind: Kind, id: u64, now: i64) {
    data.delist(kind, id);
    associations::disconnect_all(data, (kind, id), now);
    data.records[kind as usize].remove(&id);
    data.history.remove(&(kind, id));
    for list in data.lists.values_mut().filter(|l| l.kind == kind) {
        list.members.remove(&id);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Erase {
    object_id: Value,
    #[serde(default)]
    id_property: Option<String>,
}

/// `POST …/contacts/gdpr-delete`
pub(crate) fn gdpr_delete(data: &mut Data, kind: Kind, body: &[u8], now: i64) -> Answer {
    if kind != Kind::Contact {
        return Answer::not_found();
    }
    let Ok(input) = serde_json::from_slice::<Erase>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    let text = text_of(&input.object_id).unwrap_or_default();
    let by_email = input.id_property.as_deref() == Some("email");
    match find_any(data, kind, &text, input.id_property.as_deref()) {
        Some(id) => erase(data, kind, id, now),
        None if by_email => {
            data.blocked_emails.insert(text.to_ascii_lowercase());
        }
        None => return Answer::not_found(),
    }
    Answer::empty(204)
}

/// Archived ones are erased as well.
fn find_any(data: &Data, kind: Kind, text: &str, by: Option<&str>) -> Option<u64> {
    find(data, kind, text, by).or_else(|| {
        let id = text.parse().ok().filter(|_| by.is_none())?;
        data.record(kind, id).map(|_| id)
    })
}

/// Erases a record for good; its addresses cannot come back.
pub(crate) fn erase(data: &mut Data, kind: Kind, id: u64, now: i64) {
    if kind == Kind::Contact
        && let Some(record) = data.record(kind, id)
    {
        let emails: Vec<String> = ["email", "hs_additional_emails"]
            .iter()
            .filter_map(|name| data.stored(record, name))
            .flat_map(addresses)
            .collect();
        data.blocked_emails.extend(emails);
    }
    forget(data, kind, id, now);
    data.emit(|| Event::Archived { kind, id, at: now });
    data.emit(|| Event::Erased { kind, id, at: now });
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Merge {
    primary_object_id: Value,
    object_id_to_merge: Value,
}

/// `POST …/{type}/merge`
pub(crate) fn merge_call(data: &mut Data, kind: Kind, body: &[u8], now: i64) -> Answer {
    if kind.is_engagement() {
        return Answer::not_found();
    }
    let Ok(input) = serde_json::from_slice::<Merge>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    let id = |value: &Value| {
        let text = text_of(value).unwrap_or_default();
        find(data, kind, &text, None)
    };
    let (Some(primary), Some(other)) =
        (id(&input.primary_object_id), id(&input.object_id_to_merge))
    else {
        return Answer::not_found();
    };
    match merge(data, kind, primary, other, now) {
        Ok(new) => {
            let names = wanted(kind, &[]);
            one(data, 200, kind, new, &Shown::written(&names))
        }
        Err(answer) => answer,
    }
}

/// Merges into a new record with a new id, or into the primary where the portal keeps its id; the old
/// ids lead to it from now on.
pub(crate) fn merge(
    data: &mut Data,
    kind: Kind,
    primary: u64,
    other: u64,
    now: i64,
) -> Result<u64, Answer> {
    if primary == other {
        return Err(Answer::validation("A record cannot be merged with itself"));
    }
    let keeps = data.settings.rules.merge_keeps_primary_id;
    // Each merge leaves two ids behind, or one.
    let left = if keeps { 1 } else { 2 };
    let before: usize = [primary, other]
        .iter()
        .filter_map(|id| data.merged.get(&(kind, *id)))
        .map(|ids| ids.len() / left)
        .sum();
    if before + 1 > MERGES {
        return Err(Answer::error(
            414,
            "VALIDATION_ERROR",
            "A record cannot be part of more than 250 merges",
        ));
    }
    data.delist(kind, primary);
    data.delist(kind, other);
    let new = if keeps { primary } else { data.take_id() };
    let (Some(first), Some(second)) = (
        data.records[kind as usize].remove(&primary),
        data.records[kind as usize].remove(&other),
    ) else {
        return Err(Answer::not_found());
    };
    let mut record = Record {
        values: first.values,
        ..Record::new(first.created.min(second.created), now)
    };
    if let Some(history) = data.history.remove(&(kind, primary)) {
        data.history.insert((kind, new), history);
    }
    let mut moved = 0;
    let (email, more) = (data.name_id("email"), data.name_id("hs_additional_emails"));
    let mut extra: Vec<String> = Vec::new();
    for (name, value) in second.values.iter() {
        if kind == Kind::Contact && (name == email || name == more) {
            extra.extend(addresses(value));
        } else if record.values.get(name).is_none() {
            record.values.set(name, Some(value));
            moved += 1;
        }
    }
    if kind == Kind::Contact && !extra.is_empty() {
        add_addresses(&mut record, email, more, extra);
        moved += 1;
    }
    data.records[kind as usize].insert(new, record);
    data.enlist(kind, new);
    data.touch(kind, new, now);
    associations::move_all(data, kind, primary, other, new, now);
    let mut ids = Vec::new();
    for old in [primary, other] {
        ids.extend(data.merged.remove(&(kind, old)).unwrap_or_default());
        if old != new {
            ids.push((old, now));
        }
    }
    for (old, _) in &ids {
        data.aliases.insert((kind, *old), new);
    }
    data.merged.insert((kind, new), ids);
    for list in data.lists.values_mut().filter(|l| l.kind == kind) {
        let times: Vec<i64> = [primary, other]
            .iter()
            .filter_map(|id| list.members.remove(id))
            .collect();
        if let Some(first) = times.into_iter().min() {
            list.members.insert(new, first);
        }
    }
    data.emit(|| Event::Merged {
        kind,
        primary,
        merged: other,
        new,
        moved,
        at: now,
    });
    Ok(new)
}

/// The e-mail of the other becomes an additional one; the primary's own stays, if it has one.
fn add_addresses(record: &mut Record, email: u16, more: u16, mut extra: Vec<String>) {
    if record.values.get(email).is_none() {
        let first = extra.remove(0);
        record.values.set(email, Some(&first));
    }
    let mut all: Vec<String> = addresses(record.values.get(more).unwrap_or_default()).collect();
    for address in extra {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    let joined = all.join(";");
    record
        .values
        .set(more, Some(joined.as_str()).filter(|v| !v.is_empty()));
}
