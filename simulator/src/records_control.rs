//! Controls of one portal's records: what people and HubSpot itself do, without an API for it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    associations,
    control::NO_SUCH_TYPE,
    events::Work,
    merge,
    model::{Actor, Data, Kind, Owner},
    objects::{Shown, one},
    validate::text_of,
    write,
};

type Outcome = Result<Answer, String>;

fn kind(name: &str) -> Result<Kind, String> {
    Kind::parse(name).ok_or_else(|| NO_SUCH_TYPE.to_owned())
}

fn id(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("{text} is not the id of a record"))
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|e| e.to_string())
}

/// `None`: no such control.
pub(crate) fn handle(
    data: &mut Data,
    method: &str,
    rest: &[&str],
    body: &[u8],
    now: i64,
) -> Option<Outcome> {
    data.actor = Actor::HubSpot;
    Some(match (method, rest) {
        ("POST", ["records", kind_name]) => kind(kind_name).and_then(|k| plant(data, k, body, now)),
        ("PATCH", ["records", kind_name]) => {
            kind(kind_name).and_then(|k| set_many(data, k, body, now))
        }
        ("PATCH", ["records", kind_name, text]) => kind(kind_name)
            .and_then(|k| Ok((k, id(text)?)))
            .and_then(|(k, id)| set(data, k, id, body, now)),
        ("DELETE", ["records", kind_name, text]) => kind(kind_name)
            .and_then(|k| Ok((k, id(text)?)))
            .map(|(k, id)| {
                merge::archive(data, k, id, now);
                Answer::empty(204)
            }),
        ("POST", ["records", kind_name, text, "restore"]) => kind(kind_name)
            .and_then(|k| Ok((k, id(text)?)))
            .and_then(|(k, id)| {
                if merge::restore(data, k, id, now) {
                    Ok(Answer::empty(204))
                } else {
                    Err(
                        "the record is not in the recycle bin, or its address is taken by another"
                            .to_owned(),
                    )
                }
            }),
        ("POST", ["records", kind_name, text, "erase"]) => kind(kind_name)
            .and_then(|k| Ok((k, id(text)?)))
            .map(|(k, id)| {
                merge::erase(data, k, id, now);
                Answer::empty(204)
            }),
        ("POST", ["integrator-labels", from, to]) => kind(from)
            .and_then(|from| Ok((from, kind(to)?)))
            .map(|ends| associations::create_label(data, ends, body, true, now)),
        ("POST", ["merges"]) => merges(data, body, now),
        ("POST", ["pipelines", "second"]) => {
            data.pipelines[Kind::Deal as usize].push(crate::pipelines::second());
            Ok(Answer::empty(204))
        }
        ("POST", ["owners"]) => owner(data, None, body),
        ("PATCH", ["owners", text]) => id(text).and_then(|id| owner(data, Some(id), body)),
        ("PATCH", ["lists", text]) => id(text).and_then(|id| list(data, id, body)),
        ("POST", ["settle"]) => {
            // Everything that HubSpot would do later, now.
            let last = data.work.keys().next_back().map_or(now, |(at, _)| *at);
            data.tick(last.max(now));
            Ok(Answer::empty(204))
        }
        ("GET", ["work"]) => {
            let waiting: Vec<Value> = data
                .work
                .iter()
                .map(|((at, _), work)| {
                    let what = match work {
                        Work::CompanyFor(contact) => format!("company for contact {contact}"),
                        Work::Reveal(kind, property) => {
                            format!("{} property {}", kind.singular(), property.name)
                        }
                        Work::Processed(list) => format!("list {list}"),
                    };
                    json!({"at_ms": at, "what": what})
                })
                .collect();
            Ok(Answer::json(
                200,
                &json!({"work": waiting, "rules": data.settings.rules}),
            ))
        }
        _ => return None,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plant {
    #[serde(default)]
    properties: BTreeMap<String, Value>,
    #[serde(default)]
    created_at_ms: Option<i64>,
    #[serde(default)]
    updated_at_ms: Option<i64>,
    /// `{type, id, type_id?}`
    #[serde(default)]
    associations: Vec<PlantedLink>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlantedLink {
    #[serde(rename = "type")]
    kind: String,
    id: u64,
    #[serde(default)]
    type_id: Option<u32>,
}

fn texts(properties: &BTreeMap<String, Value>) -> Result<Vec<(String, String)>, String> {
    properties
        .iter()
        .map(|(name, value)| {
            let text = text_of(value).ok_or_else(|| format!("{name} is not a scalar"))?;
            Ok((name.clone(), text))
        })
        .collect()
}

fn known(data: &Data, kind: Kind, properties: &[(String, String)]) -> Result<(), String> {
    let unknown = properties
        .iter()
        .find(|(name, _)| !data.properties[kind as usize].contains_key(name));
    unknown.map_or(Ok(()), |(name, _)| {
        Err(format!("{} have no property {name}", kind.plural()))
    })
}

/// A record that was there before, with values as they are given: odd and read-only ones too.
fn plant(data: &mut Data, kind: Kind, body: &[u8], now: i64) -> Outcome {
    let plant: Plant = parse(body)?;
    let values = texts(&plant.properties)?;
    known(data, kind, &values)?;
    let links: Vec<(Kind, u64, Option<u32>)> = plant
        .associations
        .iter()
        .map(|l| Ok((self::kind(&l.kind)?, l.id, l.type_id)))
        .collect::<Result<_, String>>()?;
    if let Some((to, other, _)) = links
        .iter()
        .find(|(to, other, _)| !data.is_live(*to, *other))
    {
        return Err(format!("there is no {} {other}", to.singular()));
    }
    let created = plant.created_at_ms.unwrap_or(now);
    let id = data.take_id();
    let pairs: Vec<(&str, String)> = values
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    data.insert(
        kind,
        id,
        &pairs,
        created,
        plant.updated_at_ms.unwrap_or(created),
    );
    for (to, other, type_id) in links {
        let types: Vec<u32> = type_id.into_iter().collect();
        associations::connect(data, (kind, id), (to, other), &types, now);
    }
    Ok(Answer::json(201, &json!({"id": id.to_string()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    properties: BTreeMap<String, Value>,
}

/// Values as a person in HubSpot, or HubSpot itself, sets them: nothing is read-only.
fn set(data: &mut Data, kind: Kind, id: u64, body: &[u8], now: i64) -> Outcome {
    let set: Set = parse(body)?;
    let id = data.resolve(kind, id);
    if !data.is_live(kind, id) {
        return Err(format!("there is no {} {id}", kind.singular()));
    }
    let values = texts(&set.properties)?;
    known(data, kind, &values)?;
    let names: Vec<&str> = set.properties.keys().map(String::as_str).collect();
    write::apply(data, kind, id, values, now);
    Ok(one(data, 200, kind, id, &Shown::read(&names)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMany {
    properties: BTreeMap<String, Value>,
    #[serde(default)]
    every: Option<usize>,
    #[serde(default)]
    most: Option<usize>,
}

/// A bulk edit: many records at one moment.
fn set_many(data: &mut Data, kind: Kind, body: &[u8], now: i64) -> Outcome {
    let set: SetMany = parse(body)?;
    let values = texts(&set.properties)?;
    known(data, kind, &values)?;
    let ids: Vec<u64> = data.records[kind as usize]
        .keys()
        .copied()
        .filter(|id| data.is_live(kind, *id))
        .step_by(set.every.unwrap_or(1).max(1))
        .take(set.most.unwrap_or(usize::MAX))
        .collect();
    for id in &ids {
        write::apply(data, kind, *id, values.clone(), now);
    }
    Ok(Answer::json(200, &json!({"edited": ids.len()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Merging {
    #[serde(rename = "type")]
    kind: String,
    primary: u64,
    other: u64,
}

/// As a person merges two records.
fn merges(data: &mut Data, body: &[u8], now: i64) -> Outcome {
    let merging: Merging = parse(body)?;
    let kind = kind(&merging.kind)?;
    let (primary, other) = (
        data.resolve(kind, merging.primary),
        data.resolve(kind, merging.other),
    );
    if !data.is_live(kind, primary) || !data.is_live(kind, other) {
        return Err("both records have to be there".to_owned());
    }
    match merge::merge(data, kind, primary, other, now) {
        Ok(new) => Ok(Answer::json(201, &json!({"id": new.to_string()}))),
        Err(refused) => Ok(refused),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnerChange {
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    archived: Option<bool>,
}

fn owner(data: &mut Data, id: Option<u64>, body: &[u8]) -> Outcome {
    let change: OwnerChange = parse(body)?;
    let id = match id {
        Some(id) if !data.owners.contains_key(&id) => {
            return Err(format!("there is no owner {id}"));
        }
        Some(id) => id,
        None => {
            let id = data
                .owners
                .keys()
                .next_back()
                .map_or(500_000, |last| last + 1);
            data.owners.insert(
                id,
                Owner {
                    id,
                    user_id: id + 400_000,
                    email: format!("owner{id}@portal.example.com"),
                    first_name: String::new(),
                    last_name: String::new(),
                    archived: false,
                    teams: Vec::new(),
                },
            );
            id
        }
    };
    if let Some(owner) = data.owners.get_mut(&id) {
        owner.email = change.email.unwrap_or_else(|| owner.email.clone());
        owner.first_name = change
            .first_name
            .unwrap_or_else(|| owner.first_name.clone());
        owner.last_name = change.last_name.unwrap_or_else(|| owner.last_name.clone());
        owner.archived = change.archived.unwrap_or(owner.archived);
    }
    Ok(Answer::json(201, &json!({"id": id.to_string()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListChange {
    processing_status: String,
}

fn list(data: &mut Data, id: u64, body: &[u8]) -> Outcome {
    let change: ListChange = parse(body)?;
    let states = ["COMPLETE", "PROCESSING", "PAUSED"];
    if !states.contains(&change.processing_status.as_str()) {
        return Err(format!("processing_status is one of {states:?}"));
    }
    let list = data
        .lists
        .get_mut(&id)
        .ok_or_else(|| format!("there is no list {id}"))?;
    list.processing_status = change.processing_status;
    list.evaluated = None;
    Ok(Answer::empty(204))
}
