//! Creating, updating, upserting, archiving, singly and in batches (`hubspot-api.md` §5).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    answer::{Answer, error_body},
    associations,
    events::{Event, Work},
    model::{Actor, Change, Data, Kind, Record},
    objects::{Shown, find, is_unique, no_record, one, wanted},
    portal_rules,
    server::Query,
    validate::{self, Checked, Problem, Refusal, check, refusal, taken, text_of},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Input {
    #[serde(default)]
    pub(crate) id: Option<Value>,
    #[serde(default)]
    pub(crate) id_property: Option<String>,
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) object_write_trace_id: Option<String>,
    #[serde(default)]
    pub(crate) associations: Option<Vec<InlineAssociation>>,
}

impl Input {
    pub(crate) fn id(&self) -> Option<String> {
        self.id
            .as_ref()
            .and_then(text_of)
            .filter(|id| !id.is_empty())
    }
}

#[derive(Deserialize)]
pub(crate) struct InlineAssociation {
    to: To,
    types: Vec<AssociationType>,
}

#[derive(Deserialize)]
struct To {
    id: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssociationType {
    #[serde(default)]
    association_category: Option<String>,
    association_type_id: u32,
}

/// What a row is going to do, checked.
pub(crate) struct Plan {
    /// None: a new record.
    pub(crate) id: Option<u64>,
    pub(crate) values: Checked,
    pub(crate) links: Vec<((Kind, u64), Vec<u32>)>,
}

/// Why a row cannot be done.
pub(crate) enum Failure {
    Values(Vec<Problem>),
    Other(Refusal),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Other(refusal)
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Values(problems)
    }
}

impl Failure {
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::Values(problems) => refusal(problems),
            Self::Other(refusal) => refusal.clone(),
        }
    }
}

pub(crate) fn plan_create(
    data: &Data,
    kind: Kind,
    properties: &BTreeMap<String, Value>,
    inline: &[InlineAssociation],
) -> Result<Plan, Failure> {
    let mut values = check(data, kind, None, properties)?;
    validate::complete(data, kind, &mut values)?;
    taken(data, kind, None, &values)?;
    let rules = &data.settings.rules;
    let ignored = kind == Kind::Contact && rules.ignore_inline_associations
        || kind.is_engagement() && rules.ignore_engagement_associations;
    let mut links = Vec::new();
    for association in inline.iter().filter(|_| !ignored) {
        let to: Option<u64> = text_of(&association.to.id).and_then(|t| t.parse().ok());
        let mut types: Vec<u32> = Vec::new();
        for t in &association.types {
            let given = t.association_category.as_deref();
            match associations::known_type(data, t.association_type_id, given) {
                Ok(true) => types.push(t.association_type_id),
                Ok(false) => {}
                Err(message) => return Err(Failure::Other(invalid_inline(&message))),
            }
        }
        if types.is_empty() && !association.types.is_empty() {
            continue;
        }
        let target = types
            .first()
            .and_then(|t| associations::target(data, kind, *t))
            .zip(to)
            .map(|(kind_to, to)| (kind_to, data.resolve(kind_to, to)))
            .filter(|(kind_to, to)| {
                data.is_live(*kind_to, *to)
                    && types
                        .iter()
                        .all(|t| associations::target(data, kind, *t) == Some(*kind_to))
            });
        let Some(target) = target else {
            let wrong = types
                .iter()
                .find_map(|t| associations::wrong_from(data, kind, *t));
            let message = wrong.unwrap_or_else(|| {
                format!(
                    "{} is not a valid ID for the types {types:?}",
                    association.to.id
                )
            });
            return Err(Failure::Other(invalid_inline(&message)));
        };
        links.push((target, types));
    }
    Ok(Plan {
        id: None,
        values,
        links,
    })
}

/// The refusal of a create whose associations are not valid.
fn invalid_inline(message: &str) -> Refusal {
    let mut body = error_body("VALIDATION_ERROR", "One or more associations are invalid");
    body["errors"] = serde_json::json!([{"message": message}]);
    (400, body)
}

pub(crate) fn plan_update(
    data: &Data,
    kind: Kind,
    id: u64,
    properties: &BTreeMap<String, Value>,
) -> Result<Plan, Failure> {
    let values = check(data, kind, Some(id), properties)?;
    let lacking = portal_rules::lacking(data, kind, Some(id), &values);
    if !lacking.is_empty() {
        return Err(lacking.into());
    }
    taken(data, kind, Some(id), &values)?;
    Ok(Plan {
        id: Some(id),
        values,
        links: Vec::new(),
    })
}

/// Does it. The record's id, and whether it is new.
pub(crate) fn carry_out(data: &mut Data, kind: Kind, plan: Plan, now: i64) -> (u64, bool) {
    if let Some(id) = plan.id {
        apply(data, kind, id, plan.values, now);
        return (id, false);
    }
    let id = data.take_id();
    data.records[kind as usize].insert(id, Record::new(now, now));
    data.emit(|| Event::Created { kind, id, at: now });
    let mut values = plan.values;
    if let Actor::App(app) = data.actor {
        values.push(("hs_object_source".to_owned(), "INTEGRATION".to_owned()));
        values.push((
            "hs_object_source_label".to_owned(),
            "INTEGRATION".to_owned(),
        ));
        values.push(("hs_object_source_id".to_owned(), app.to_string()));
    }
    apply(data, kind, id, values, now);
    for (to, types) in plan.links {
        associations::connect(data, (kind, id), to, &types, now);
    }
    if kind == Kind::Contact && data.settings.rules.auto_companies && data.actor != Actor::HubSpot {
        let within = data.settings.rules.auto_company_max_ms;
        let wait = data.rng.below(within + 1) as i64;
        data.plan(now + wait, Work::CompanyFor(id));
    }
    (id, true)
}

/// Sets values that were checked, keeps their history, and tells of them.
pub(crate) fn apply(data: &mut Data, kind: Kind, id: u64, values: Checked, now: i64) {
    let headers = (kind == Kind::Email)
        .then(|| values.iter().find(|(n, _)| n == "hs_email_headers"))
        .flatten()
        .map(|(_, headers)| validate::from_headers(headers))
        .unwrap_or_default();
    let filled = headers.into_iter().map(|(n, v)| (n.to_owned(), v));
    let mut changed = false;
    data.delist(kind, id);
    for (name, value) in values.into_iter().chain(filled) {
        let name_id = data.name_id(&name);
        let appends = data.properties[kind as usize]
            .get(&name)
            .is_some_and(|p| p.kind == "enumeration" && p.field_type == "checkbox");
        let Some(record) = data.record(kind, id) else {
            return;
        };
        let old = record.values.get(name_id).map(str::to_owned);
        let created = record.created;
        let new = match value.strip_prefix(';').filter(|_| appends) {
            // A leading semicolon appends to a multi-checkbox.
            Some(more) => {
                let mut all: Vec<&str> = old.iter().flat_map(|v| v.split(';')).collect();
                for one in more.split(';').filter(|one| !one.is_empty()) {
                    if !all.contains(&one) {
                        all.push(one);
                    }
                }
                all.join(";")
            }
            None => value,
        };
        if old.as_deref().unwrap_or_default() == new {
            continue;
        }
        changed = true;
        // What was set when the record was made needs no history until it changes.
        if now > created {
            history(data, (kind, id), name_id, created, old, (now, &new));
        }
        if let Some(mut record) = data.records[kind as usize].get_mut(&id) {
            let value = Some(new.as_str()).filter(|v| !v.is_empty());
            record.values.set(name_id, value);
        }
        data.emit(|| Event::Changed {
            kind,
            id,
            name,
            value: new,
            at: now,
        });
    }
    data.enlist(kind, id);
    if changed {
        data.touch(kind, id, now);
    }
}

/// Notes a change; the first one notes what was there before, too.
fn history(
    data: &mut Data,
    record: (Kind, u64),
    name: u16,
    created: i64,
    old: Option<String>,
    (at, new): (i64, &str),
) {
    let history = data.history.entry(record).or_default();
    if let Some(value) = old
        && !history.iter().any(|c| c.name == name)
    {
        history.push(Change {
            name,
            at: created,
            value: value.into(),
        });
    }
    history.push(Change {
        name,
        at,
        value: new.into(),
    });
}

/// `POST …/{type}`
pub(crate) fn create_one(data: &mut Data, kind: Kind, body: &[u8], now: i64) -> Answer {
    let Ok(input) = serde_json::from_slice::<Input>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    let inline = input.associations.as_deref().unwrap_or_default();
    match plan_create(data, kind, &input.properties, inline) {
        Ok(plan) => {
            let (id, _) = carry_out(data, kind, plan, now);
            let shown = echo(kind, &input, true);
            let made = one(data, 201, kind, id, &Shown::written(&shown));
            made.with_field(
                "warnings",
                validate::warnings(data, kind, &input.properties),
            )
        }
        Err(failure) => {
            let (status, body) = failure.refusal();
            Answer::json(status, &body)
        }
    }
}

/// The properties that the answer to a write carries: those written, and what HubSpot sets by itself.
pub(crate) fn echo<'a>(kind: Kind, input: &'a Input, new: bool) -> Vec<&'a str> {
    let mut names: Vec<&'a str> = input.properties.keys().map(String::as_str).collect();
    names.extend([
        "hs_object_source",
        "hs_object_source_id",
        "hs_object_source_label",
    ]);
    if kind == Kind::Contact {
        names.extend(["hs_is_unworked", "hs_pipeline", "lifecyclestage"]);
        if new {
            names.extend([
                "hs_all_contact_vids",
                "hs_associated_target_accounts",
                "hs_currently_enrolled_in_prospecting_agent",
                "hs_email_domain",
                "hs_full_name_or_email",
                "hs_is_contact",
                "hs_lifecyclestage_lead_date",
                "hs_marketable_status",
                "hs_membership_has_accessed_private_content",
                "hs_prospecting_agent_actively_enrolled_count",
                "hs_prospecting_agent_total_enrolled_count",
                "hs_registered_member",
                "hs_sequences_actively_enrolled_count",
                "num_notes",
            ]);
        }
    }
    wanted(kind, &names)
}

/// `PATCH …/{type}/{id}`
pub(crate) fn update_one(
    data: &mut Data,
    kind: Kind,
    id: &str,
    query: &Query,
    body: &[u8],
    now: i64,
) -> Answer {
    let Ok(input) = serde_json::from_slice::<Input>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    let id_property = query.get("idProperty");
    if let Some(refused) = not_unique(data, kind, id_property, true) {
        return refused;
    }
    let Some(id) = find(data, kind, id, id_property) else {
        return no_record(id, id_property);
    };
    match plan_update(data, kind, id, &input.properties) {
        Ok(plan) => {
            carry_out(data, kind, plan, now);
            let shown = echo(kind, &input, false);
            let changed = one(data, 200, kind, id, &Shown::written(&shown));
            changed.with_field(
                "warnings",
                validate::warnings(data, kind, &input.properties),
            )
        }
        Err(failure) => {
            let (status, body) = failure.refusal();
            Answer::json(status, &body)
        }
    }
}

/// Refuses an `idProperty` that does not name one record. E-mail counts where `email` is set.
pub(crate) fn not_unique(
    data: &Data,
    kind: Kind,
    id_property: Option<&str>,
    email: bool,
) -> Option<Answer> {
    let name = id_property?;
    let good = if kind == Kind::Contact && name == "email" {
        email
    } else {
        is_unique(data, kind, name)
    };
    (!good).then(|| {
        Answer::validation(&format!(
            "Unable to perform update/upsert by non-unique {} property {name}",
            kind.type_id()
        ))
    })
}
