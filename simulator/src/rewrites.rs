//! Right answers made wrong on their way: pages that are empty, end nowhere or come slowly, batches
//! that leave inputs out or fail them one by one.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Body},
    faults::Asked,
    server::Query,
    validate::text_of,
};

/// What is made of a right answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rewrite<'a> {
    /// The body takes this many milliseconds.
    Dribble(u64),
    /// No results, no next page; the total stays or is 0.
    Empty { total: bool },
    /// Some results are missing.
    LeaveOut {
        every: Option<usize>,
        ids: &'a [String],
    },
    /// Some inputs fail one by one.
    ErrorPerInput {
        category: &'a str,
        every: usize,
        unnamed: bool,
    },
    /// `after` is passed over.
    IgnoreAfter,
    /// The cursor of the answer is that of the request.
    SameCursor,
    /// The first page with a new cursor each time.
    FreshCursor,
}

/// Fields that hold the results of an answer.
const RESULTS: [&str; 4] = ["results", "lists", "companies", "deals"];

/// How much a request asks for, if it says so.
pub(crate) fn asked_for(query: &Query, body: &[u8]) -> Option<u64> {
    let number = |value: &Value| text_of(value)?.parse().ok();
    query.number("limit").or_else(|| {
        let body: Value = serde_json::from_slice(body).ok()?;
        ["limit", "count"]
            .iter()
            .find_map(|name| body.get(name).and_then(number))
            .or_else(|| Some(body.get("inputs")?.as_array()?.len() as u64))
    })
}

/// What an input or a result is known by.
fn identity(item: &Value) -> Option<String> {
    ["id", "from", "recordId", "listId", "name"]
        .iter()
        .find_map(|name| item.get(name))
        .and_then(|found| text_of(found.get("id").unwrap_or(found)))
}

fn inputs(body: &[u8]) -> Vec<Value> {
    serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|mut body| match body.get_mut("inputs").map(Value::take) {
            Some(Value::Array(inputs)) => Some(inputs),
            _ => None,
        })
        .unwrap_or_default()
}

impl Rewrite<'_> {
    /// How long the body takes, if that is what it does.
    pub(crate) const fn dribbles(&self) -> Option<u64> {
        match self {
            Self::Dribble(ms) => Some(*ms),
            _ => None,
        }
    }

    /// The request as it is served: its query and its body.
    pub(crate) fn request(&self, query: &Query, body: &[u8]) -> (Query, Vec<u8>) {
        let parsed = || serde_json::from_slice::<Value>(body).ok();
        match self {
            Self::IgnoreAfter | Self::FreshCursor => {
                let changed = parsed().map(|mut body| {
                    if let Some(object) = body.as_object_mut() {
                        object.remove("after");
                        object.remove("offset");
                    }
                    for input in body
                        .get_mut("inputs")
                        .and_then(Value::as_array_mut)
                        .into_iter()
                        .flatten()
                    {
                        if let Some(object) = input.as_object_mut() {
                            object.remove("after");
                        }
                    }
                    body.to_string().into_bytes()
                });
                let query = query.without("after").without("offset");
                (query, changed.unwrap_or_else(|| body.to_vec()))
            }
            Self::ErrorPerInput { every, .. } => {
                let changed = parsed().map(|mut body| {
                    if let Some(inputs) = body.get_mut("inputs").and_then(Value::as_array_mut) {
                        let mut place = 0;
                        inputs.retain(|_| {
                            place += 1;
                            place % every != 0
                        });
                    }
                    body.to_string().into_bytes()
                });
                (query.without(""), changed.unwrap_or_else(|| body.to_vec()))
            }
            _ => (query.without(""), body.to_vec()),
        }
    }

    /// The answer as it goes out. What is no success stays as it is.
    pub(crate) fn answer(&self, asked: &Asked<'_>, answer: Answer) -> Answer {
        let Body::Json(text) = &answer.body else {
            return answer;
        };
        if !(200..300).contains(&answer.status) {
            return answer;
        }
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return answer;
        };
        let mut status = answer.status;
        match self {
            Self::Dribble(_) | Self::IgnoreAfter => return answer,
            Self::Empty { total } => {
                empty(&mut value, *total);
                status = 200;
            }
            Self::LeaveOut { every, ids } => leave_out(&mut value, *every, ids),
            Self::ErrorPerInput {
                category,
                every,
                unnamed,
            } => {
                let of_associations = asked.path.contains("/associations/");
                let errors: Vec<Value> = inputs(asked.body)
                    .iter()
                    .skip(every - 1)
                    .step_by(*every)
                    .map(|input| error_of(category, input, of_associations, *unnamed))
                    .collect();
                if !errors.is_empty() {
                    add_errors(&mut value, errors);
                    status = 207;
                }
            }
            Self::SameCursor => same_cursor(&mut value, asked.query, asked.body),
            Self::FreshCursor => fresh_cursor(&mut value),
        }
        Answer {
            status,
            body: Body::Json(value.to_string()),
            headers: answer.headers,
        }
    }
}

fn empty(value: &mut Value, total: bool) {
    if let Some(all) = value.as_array_mut() {
        all.clear();
    }
    let Some(object) = value.as_object_mut() else {
        return;
    };
    for name in RESULTS {
        if object.get(name).is_some_and(Value::is_array) {
            object.insert(name.to_owned(), json!([]));
        }
    }
    for name in ["paging", "errors", "numErrors"] {
        object.remove(name);
    }
    for name in ["hasMore", "has-more"] {
        if let Some(more) = object.get_mut(name) {
            *more = json!(false);
        }
    }
    if let Some(count) = object.get_mut("total").filter(|_| !total) {
        *count = json!(0);
    }
}

fn leave_out(value: &mut Value, every: Option<usize>, ids: &[String]) {
    for name in RESULTS {
        if let Some(all) = value.get_mut(name).and_then(Value::as_array_mut) {
            let mut place = 0;
            all.retain(|item| {
                place += 1;
                let chosen = every.is_some_and(|n| place % n == 0)
                    || identity(item).is_some_and(|id| ids.contains(&id));
                !chosen
            });
        }
    }
}

/// As HubSpot names an input: by the ids of a batch of records, the first record of associations, the
/// trace id of what has no id yet.
fn error_of(category: &str, input: &Value, of_associations: bool, unnamed: bool) -> Value {
    let message = match category {
        "RATE_LIMITS" => "You have reached your secondly limit.",
        "INTERNAL_ERROR" => "internal error",
        other => other,
    };
    let mut error = json!({"status": "error", "category": category, "message": message});
    if unnamed {
        return error;
    }
    if let Some(trace) = input.get("objectWriteTraceId") {
        error["context"] = json!({"objectWriteTraceId": [trace]});
    } else if let Some(id) = identity(input) {
        let field = if of_associations {
            "fromObjectId"
        } else {
            "ids"
        };
        error["context"] = json!({field: [id]});
    }
    error
}

fn add_errors(value: &mut Value, errors: Vec<Value>) {
    let mut all = match value.get_mut("errors").map(Value::take) {
        Some(Value::Array(all)) => all,
        _ => Vec::new(),
    };
    all.extend(errors);
    value["numErrors"] = json!(all.len());
    value["errors"] = Value::Array(all);
}

/// The cursor that a request came with, wherever it stands.
fn asked_with(query: &Query, body: &Value) -> Option<String> {
    query
        .get("after")
        .or_else(|| query.get("offset"))
        .map(str::to_owned)
        .or_else(|| body.get("after").and_then(text_of))
        .filter(|cursor| !cursor.is_empty())
}

fn same_cursor(value: &mut Value, query: &Query, body: &[u8]) {
    let sent: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(after) = asked_with(query, &sent) {
        value["paging"] = json!({"next": {"after": after}});
    }
    // Lists by `search` have an offset.
    if let Some(more) = value.get_mut("hasMore") {
        *more = json!(true);
        value["offset"] = sent.get("offset").cloned().unwrap_or(json!(0));
    }
    // Associations page for each input.
    for input in inputs(body) {
        let (Some(id), Some(after)) = (identity(&input), input.get("after").and_then(text_of))
        else {
            continue;
        };
        for result in value["results"].as_array_mut().into_iter().flatten() {
            if identity(result).as_ref() == Some(&id) {
                result["paging"] = json!({"next": {"after": after}});
            }
        }
    }
}

fn fresh_cursor(value: &mut Value) {
    static CURSORS: AtomicU64 = AtomicU64::new(1_000_000_000);
    let next = || json!({"next": {"after": CURSORS.fetch_add(1, Ordering::Relaxed).to_string()}});
    if let Some(more) = value.get_mut("hasMore") {
        *more = json!(true);
        value["offset"] = json!(CURSORS.fetch_add(1, Ordering::Relaxed));
        return;
    }
    let mut of_inputs = false;
    for result in value["results"].as_array_mut().into_iter().flatten() {
        if result.get("from").is_some() {
            of_inputs = true;
            result["paging"] = next();
        }
    }
    if !of_inputs {
        value["paging"] = next();
    }
}
