//! Creating, updating, upserting, archiving, singly and in batches (`hubspot-api.md` §5).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, error_body},
    associations::{self, envelope},
    events::{Event, Work},
    merge,
    model::{Actor, Change, Data, Kind, Record, addresses},
    objects::{Shown, find, is_unique, one, push_record, wanted},
    rules::EmailUpsert,
    server::Query,
    validate::{self, Checked, Problem, Refusal, check, refusal, taken, text_of},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    id_property: Option<String>,
    #[serde(default)]
    properties: BTreeMap<String, Value>,
    #[serde(default)]
    object_write_trace_id: Option<String>,
    #[serde(default)]
    associations: Option<Vec<InlineAssociation>>,
}

impl Input {
    fn id(&self) -> Option<String> {
        self.id
            .as_ref()
            .and_then(text_of)
            .filter(|id| !id.is_empty())
    }
}

#[derive(Deserialize)]
struct InlineAssociation {
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
    association_type_id: u32,
}

#[derive(Deserialize)]
struct Inputs {
    #[serde(default)]
    inputs: Vec<Input>,
}

/// What a row is going to do, checked.
struct Plan {
    /// None: a new record.
    id: Option<u64>,
    values: Checked,
    links: Vec<((Kind, u64), Vec<u32>)>,
}

/// Why a row cannot be done.
enum Failure {
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
    fn refusal(&self) -> Refusal {
        match self {
            Self::Values(problems) => refusal(problems),
            Self::Other(refusal) => refusal.clone(),
        }
    }
}

fn plan_create(
    data: &Data,
    kind: Kind,
    properties: &BTreeMap<String, Value>,
    inline: &[InlineAssociation],
) -> Result<Plan, Failure> {
    let mut values = check(data, kind, None, properties)?;
    validate::complete(data, kind, &mut values)?;
    taken(data, kind, None, &values)?;
    let ignored = kind == Kind::Contact && data.settings.rules.ignore_inline_associations;
    let mut links = Vec::new();
    for association in inline.iter().filter(|_| !ignored) {
        let to: Option<u64> = text_of(&association.to.id).and_then(|t| t.parse().ok());
        let types: Vec<u32> = association
            .types
            .iter()
            .map(|t| t.association_type_id)
            .collect();
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
            let body = error_body(
                "VALIDATION_ERROR",
                &format!(
                    "The association to {} with the types {types:?} is not valid",
                    association.to.id
                ),
            );
            return Err(Failure::Other((400, body)));
        };
        links.push((target, types));
    }
    Ok(Plan {
        id: None,
        values,
        links,
    })
}

fn plan_update(
    data: &Data,
    kind: Kind,
    id: u64,
    properties: &BTreeMap<String, Value>,
) -> Result<Plan, Failure> {
    let values = check(data, kind, Some(id), properties)?;
    taken(data, kind, Some(id), &values)?;
    Ok(Plan {
        id: Some(id),
        values,
        links: Vec::new(),
    })
}

/// Does it. The record's id, and whether it is new.
fn carry_out(data: &mut Data, kind: Kind, plan: Plan, now: i64) -> (u64, bool) {
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
            one(data, 201, kind, id, &Shown::written(&shown))
        }
        Err(failure) => {
            let (status, body) = failure.refusal();
            Answer::json(status, &body)
        }
    }
}

/// The properties that the answer to a write carries: those written, and what HubSpot sets by itself.
fn echo<'a>(kind: Kind, input: &'a Input, new: bool) -> Vec<&'a str> {
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
        return Answer::not_found();
    };
    match plan_update(data, kind, id, &input.properties) {
        Ok(plan) => {
            carry_out(data, kind, plan, now);
            one(
                data,
                200,
                kind,
                id,
                &Shown::written(&echo(kind, &input, false)),
            )
        }
        Err(failure) => {
            let (status, body) = failure.refusal();
            Answer::json(status, &body)
        }
    }
}

/// Refuses an `idProperty` that does not name one record. E-mail counts where `email` is set.
fn not_unique(data: &Data, kind: Kind, id_property: Option<&str>, email: bool) -> Option<Answer> {
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

/// `POST …/{type}/batch/{operation}`
pub(crate) fn batch(data: &mut Data, kind: Kind, operation: &str, body: &[u8], now: i64) -> Answer {
    let Ok(Inputs { inputs }) = serde_json::from_slice::<Inputs>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    if inputs.len() > 100 {
        return Answer::validation("The number of inputs exceeds the limit of 100");
    }
    match operation {
        "archive" => {
            for id in inputs.iter().filter_map(Input::id) {
                if let Some(id) = find(data, kind, &id, None) {
                    merge::archive(data, kind, id, now);
                }
            }
            Answer::empty(204)
        }
        "create" | "update" | "upsert" => write_batch(data, kind, operation, &inputs, now),
        _ => Answer::not_found(),
    }
}

fn write_batch(data: &mut Data, kind: Kind, operation: &str, inputs: &[Input], now: i64) -> Answer {
    let rules = &data.settings.rules;
    let by_email = kind == Kind::Contact
        && operation == "upsert"
        && inputs
            .iter()
            .any(|i| i.id_property.as_deref() == Some("email"));
    if operation != "create" {
        let email_ok = operation == "upsert" && rules.email_upsert != EmailUpsert::Refused;
        let refused = inputs
            .iter()
            .find_map(|i| not_unique(data, kind, i.id_property.as_deref(), email_ok));
        if let Some(refused) = refused {
            return refused;
        }
        if let Some(refused) = duplicates(inputs) {
            return refused;
        }
    }
    let traces: Vec<&String> = inputs
        .iter()
        .filter_map(|i| i.object_write_trace_id.as_ref())
        .collect();
    let distinct: BTreeSet<_> = traces.iter().collect();
    let partial = traces.len() == inputs.len()
        && distinct.len() == inputs.len()
        && !(by_email && rules.email_upsert == EmailUpsert::AllOrNothing);
    let mut rows = Rows::default();
    if partial {
        for input in inputs {
            match plan(data, kind, operation, input, &mut rows) {
                Ok(Some(plan)) => {
                    let (id, new) = carry_out(data, kind, plan, now);
                    rows.done(data, kind, operation, input, id, new);
                }
                Ok(None) => {}
                Err(failure) => rows.failed(input, failure.refusal().1),
            }
        }
    } else {
        // One bad row fails the whole batch: all are checked before any is written.
        let mut plans = Vec::new();
        let mut problems = Vec::new();
        let mut other = None;
        for input in inputs {
            let planned = plan(data, kind, operation, input, &mut rows)
                .and_then(|plan| rows.claim(data, kind, plan));
            match planned {
                Ok(Some(plan)) => plans.push((input, plan)),
                Ok(None) => {}
                Err(Failure::Values(more)) => problems.extend(more),
                Err(Failure::Other(refusal)) => {
                    other.get_or_insert(refusal);
                }
            }
        }
        if !problems.is_empty() {
            let (status, body) = refusal(&problems);
            return Answer::json(status, &body);
        }
        if let Some((status, mut body)) = other {
            if status == 409 && !data.settings.rules.batch_conflict_names_id {
                body = error_body("CONFLICT", "Contact already exists");
            }
            return Answer::json(status, &body);
        }
        for (input, plan) in plans {
            let (id, new) = carry_out(data, kind, plan, now);
            rows.done(data, kind, operation, input, id, new);
        }
    }
    rows.answer(kind, operation, inputs.len(), now)
}

/// Refuses a batch that names a record twice.
fn duplicates(inputs: &[Input]) -> Option<Answer> {
    let mut seen = HashSet::new();
    let mut twice = Vec::new();
    for input in inputs {
        let Some(id) = input.id() else { continue };
        let key = if input.id_property.as_deref() == Some("email") {
            id.to_ascii_lowercase()
        } else {
            id.clone()
        };
        if !seen.insert(key) && !twice.contains(&id) {
            twice.push(id);
        }
    }
    if twice.is_empty() {
        return None;
    }
    let mut body = error_body(
        "VALIDATION_ERROR",
        &format!(
            "Duplicate IDs found in batch input: [{}]. IDs must be unique",
            twice.join(", ")
        ),
    );
    body["context"] = json!({"ids": twice});
    Some(Answer::json(400, &body))
}

/// What a row is going to do; nothing for one that names no record, which is then noted.
fn plan(
    data: &Data,
    kind: Kind,
    operation: &str,
    input: &Input,
    rows: &mut Rows,
) -> Result<Option<Plan>, Failure> {
    if operation == "create" {
        let inline = input.associations.as_deref().unwrap_or_default();
        return plan_create(data, kind, &input.properties, inline).map(Some);
    }
    let Some(id) = input.id() else {
        return Err(Failure::Other((
            400,
            error_body(
                "VALIDATION_ERROR",
                "Some required fields were not set: [id]",
            ),
        )));
    };
    let by = input.id_property.as_deref();
    if by.is_none()
        && id
            .parse()
            .is_ok_and(|id| data.aliases.contains_key(&(kind, id)))
    {
        // HubSpot's batches know nothing of ids that were merged away, and do not say so.
        return Ok(None);
    }
    match (find(data, kind, &id, by), by) {
        (Some(found), _) => plan_update(data, kind, found, &input.properties).map(Some),
        (None, Some(name)) if operation == "upsert" => {
            // An upsert of what is not there writes its key too.
            let mut properties = input.properties.clone();
            properties.entry(name.to_owned()).or_insert(json!(id));
            plan_create(data, kind, &properties, &[]).map(Some)
        }
        (None, _) => {
            rows.missing.push(id);
            Ok(None)
        }
    }
}

/// Results, errors, and what earlier rows of the same batch take.
#[derive(Default)]
struct Rows {
    results: Vec<Value>,
    errors: Vec<Value>,
    missing: Vec<String>,
    claimed: HashSet<(String, String)>,
}

impl Rows {
    /// Two rows of a batch cannot have the same address or unique value.
    fn claim(
        &mut self,
        data: &Data,
        kind: Kind,
        plan: Option<Plan>,
    ) -> Result<Option<Plan>, Failure> {
        for (name, value) in plan.iter().flat_map(|p| &p.values) {
            let keys: Vec<String> = match (kind, name.as_str()) {
                (Kind::Contact, "email" | "hs_additional_emails") => addresses(value).collect(),
                _ if !value.is_empty() && is_unique(data, kind, name) => vec![value.clone()],
                _ => continue,
            };
            for key in keys {
                if !self.claimed.insert((name.clone(), key)) {
                    return Err(Failure::Other((
                        409,
                        error_body("CONFLICT", "Contact already exists"),
                    )));
                }
            }
        }
        Ok(plan)
    }

    fn done(
        &mut self,
        data: &Data,
        kind: Kind,
        operation: &str,
        input: &Input,
        id: u64,
        new: bool,
    ) {
        let mut out = String::new();
        if let Some(record) = data.record(kind, id) {
            let names = echo(kind, input, new);
            push_record(&mut out, data, kind, id, record, &Shown::written(&names));
        }
        let mut value: Value = serde_json::from_str(&out).unwrap_or_default();
        if operation == "upsert" {
            value["new"] = json!(new);
        }
        if let Some(trace) = &input.object_write_trace_id
            && data.settings.rules.trace_ids_in_results
        {
            value["objectWriteTraceId"] = json!(trace);
        }
        self.results.push(value);
    }

    fn failed(&mut self, input: &Input, mut body: Value) {
        if let Some(trace) = &input.object_write_trace_id {
            body["context"]["objectWriteTraceId"] = json!([trace]);
        }
        if let Some(object) = body.as_object_mut() {
            object.remove("correlationId");
        }
        self.errors.push(body);
    }

    fn answer(mut self, kind: Kind, operation: &str, inputs: usize, now: i64) -> Answer {
        if !self.missing.is_empty() {
            self.errors.push(not_found(kind, &self.missing));
        }
        let mut answer = envelope(self.results, self.errors, now);
        if operation == "create" && answer.status == 200 && inputs > 0 {
            answer.status = 201;
        }
        answer
    }
}

/// What a batch says of ids that name no record.
pub(crate) fn not_found(kind: Kind, ids: &[String]) -> Value {
    json!({
        "status": "error", "category": "OBJECT_NOT_FOUND",
        "message": format!("Could not get some {} objects, they may be deleted or not exist. Check that ids are valid.", kind.singular().to_uppercase()),
        "context": {"ids": ids},
    })
}
