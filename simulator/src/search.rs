//! Search: filters, sorts, the cap, the lag of the index.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    answer::Answer,
    model::{Data, Kind, Record},
    objects::{push_record, wanted},
};

const CAP: usize = 10_000;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Search {
    filter_groups: Vec<Group>,
    sorts: Vec<Value>,
    properties: Vec<String>,
    limit: Option<usize>,
    after: Option<Value>,
    query: Option<String>,
}

#[derive(Deserialize)]
struct Group {
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    property_name: String,
    operator: String,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    high_value: Option<Value>,
    #[serde(default)]
    values: Vec<Value>,
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Times compare as times, however they are written; numbers as numbers; the rest as lower case.
#[derive(PartialEq, PartialOrd)]
enum Comparable {
    Number(f64),
    Text(String),
}

fn comparable(text: &str) -> Comparable {
    if let Ok(number) = text.parse::<f64>() {
        return Comparable::Number(number);
    }
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Comparable::Number(time.timestamp_millis() as f64);
    }
    Comparable::Text(text.to_lowercase())
}

impl Filter {
    fn holds(&self, data: &Data, kind: Kind, id: u64, record: &Record) -> bool {
        let actual = data.value(kind, id, record, &self.property_name);
        let wanted = self.value.as_ref().map(text).unwrap_or_default();
        let compare = |ordering: fn(&Comparable, &Comparable) -> bool| {
            actual
                .as_deref()
                .is_some_and(|a| ordering(&comparable(a), &comparable(&wanted)))
        };
        let is_in = || {
            actual.as_deref().is_some_and(|a| {
                // Values of IN on strings have to be lower case to match.
                self.values.iter().any(|v| text(v) == a.to_lowercase())
            })
        };
        match self.operator.as_str() {
            "EQ" => compare(|a, b| a == b),
            "NEQ" => !compare(|a, b| a == b),
            "LT" => compare(|a, b| a < b),
            "LTE" => compare(|a, b| a <= b),
            "GT" => compare(|a, b| a > b),
            "GTE" => compare(|a, b| a >= b),
            "BETWEEN" => {
                let high = self.high_value.as_ref().map(text).unwrap_or_default();
                compare(|a, b| a >= b)
                    && actual
                        .as_deref()
                        .is_some_and(|a| comparable(a) <= comparable(&high))
            }
            "IN" => is_in(),
            "NOT_IN" => !is_in(),
            "HAS_PROPERTY" => actual.is_some(),
            "NOT_HAS_PROPERTY" => actual.is_none(),
            "CONTAINS_TOKEN" => actual.as_deref().is_some_and(|a| {
                a.to_lowercase()
                    .contains(wanted.to_lowercase().trim_matches('*'))
            }),
            _ => false,
        }
    }
}

const OPERATORS: [&str; 13] = [
    "EQ",
    "NEQ",
    "LT",
    "LTE",
    "GT",
    "GTE",
    "BETWEEN",
    "IN",
    "NOT_IN",
    "HAS_PROPERTY",
    "NOT_HAS_PROPERTY",
    "CONTAINS_TOKEN",
    "NOT_CONTAINS_TOKEN",
];

/// `POST …/{type}/search`
pub(crate) fn search(data: &Data, kind: Kind, body: &[u8], now: i64) -> Answer {
    if body.len() > 3_000 {
        return Answer::validation("The request body is longer than 3000 characters");
    }
    let Ok(search) = serde_json::from_slice::<Search>(body) else {
        return Answer::validation("Invalid input JSON");
    };
    let filters = search.filter_groups.iter().flat_map(|g| &g.filters);
    if search.filter_groups.len() > 5
        || search.filter_groups.iter().any(|g| g.filters.len() > 6)
        || filters.clone().count() > 18
    {
        return Answer::validation("Too many filters");
    }
    for filter in filters {
        if !OPERATORS.contains(&filter.operator.as_str()) {
            return Answer::validation("Invalid operator");
        }
        if !data.properties[kind as usize].contains_key(&filter.property_name) {
            return Answer::validation(&format!(
                "There was a problem with the request: property {} does not exist",
                filter.property_name
            ));
        }
    }
    if search.sorts.len() > 1 {
        return Answer::validation("Only one sort is allowed");
    }
    let limit = search.limit.unwrap_or(10);
    if limit > 200 {
        return Answer::validation("limit must be less than or equal to 200");
    }
    let after: usize = search
        .after
        .as_ref()
        .map_or(0, |a| text(a).parse().unwrap_or(0));
    if after + limit > CAP {
        return Answer::validation("The total number of results is capped at 10000");
    }
    let query = search.query.as_deref().map(str::to_lowercase);
    let mut found: Vec<(u64, &Record)> = data.records[kind as usize]
        .iter()
        .filter(|(_, r)| r.archived_at.is_none() && r.raw.is_none() && r.indexed <= now)
        .filter(|(id, r)| {
            search.filter_groups.is_empty()
                || search
                    .filter_groups
                    .iter()
                    .any(|g| g.filters.iter().all(|f| f.holds(data, kind, **id, r)))
        })
        .filter(|(_, r)| {
            query
                .as_deref()
                .is_none_or(|q| r.values.iter().any(|(_, v)| v.to_lowercase().contains(q)))
        })
        .map(|(id, r)| (*id, r))
        .collect();
    let total = found.len();
    if let Some(sort) = search.sorts.first() {
        let name = sort["propertyName"].as_str().unwrap_or("createdate");
        if name != "hs_object_id" {
            found.sort_by(|a, b| {
                let value = |(id, r): &(u64, &Record)| {
                    comparable(&data.value(kind, *id, r, name).unwrap_or_default())
                };
                value(a)
                    .partial_cmp(&value(b))
                    .unwrap_or(std::cmp::Ordering::Equal)
            });
        }
        if sort["direction"].as_str() == Some("DESCENDING") {
            found.reverse();
        }
    }
    let asked: Vec<&str> = search.properties.iter().map(String::as_str).collect();
    let properties = wanted(kind, &asked);
    let mut out = format!("{{\"total\":{total},\"results\":[");
    for (place, (id, record)) in found.iter().skip(after).take(limit).enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_record(&mut out, data, kind, *id, record, &properties, &[]);
    }
    out.push(']');
    if after + limit < total {
        out.push_str(&format!(
            ",\"paging\":{{\"next\":{{\"after\":\"{}\"}}}}",
            after + limit
        ));
    }
    out.push('}');
    Answer::text(200, out)
}
