//! Writes in batches: trace ids, partial success, whole-batch refusals (`hubspot-api.md` §5, §7).

use std::collections::{BTreeSet, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, error_body},
    associations::envelope,
    merge,
    model::{Api, Data, Kind, addresses},
    objects::{Shown, find, is_unique, push_record},
    rules::EmailUpsert,
    validate::{refusal, warnings},
    write::{Failure, Input, Plan, carry_out, echo, not_unique, plan_create, plan_update},
};

#[derive(Deserialize)]
struct Inputs {
    #[serde(default)]
    inputs: Vec<Input>,
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
            archived(data, now)
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
    let created = created(data);
    rows.answer(kind, operation, inputs.len(), created, now)
}

/// The answer to a batch archive.
pub(crate) fn archived(data: &Data, now: i64) -> Answer {
    let status = data.settings.rules.dated_archive_status;
    if data.api >= Api::Dated && status != 204 {
        Answer {
            status,
            ..envelope(Vec::new(), Vec::new(), now)
        }
    } else {
        Answer::empty(204)
    }
}

/// The status of a batch create that made all.
pub(crate) fn created(data: &Data) -> u16 {
    if data.api >= Api::Dated {
        data.settings.rules.dated_create_status
    } else {
        201
    }
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
    warnings: Vec<Value>,
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
        let mut warnings = warnings(data, kind, &input.properties);
        if data.settings.rules.batch_warnings_at_batch {
            if let Some(trace) = &input.object_write_trace_id {
                for warning in &mut warnings {
                    warning["context"]["objectWriteTraceId"] = json!([trace]);
                }
            }
            for warning in &mut warnings {
                warning["context"]["id"] = json!([id.to_string()]);
            }
            self.warnings.append(&mut warnings);
        } else if !warnings.is_empty() {
            value["warnings"] = Value::Array(warnings);
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

    fn answer(
        mut self,
        kind: Kind,
        operation: &str,
        inputs: usize,
        created: u16,
        now: i64,
    ) -> Answer {
        if !self.missing.is_empty() {
            self.errors.push(not_found(kind, &self.missing));
        }
        let mut answer = envelope(self.results, self.errors, now);
        if operation == "create" && answer.status == 200 && inputs > 0 {
            answer.status = created;
        }
        answer.with_field("warnings", self.warnings)
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
