//! The filters of lists: a tree of branches over properties, lists and associations.

use serde_json::Value;

use crate::model::{Data, Kind, Record};

const BRANCHES: [&str; 5] = ["OR", "AND", "NOT_ALL", "NOT_ANY", "ASSOCIATION"];
const OPERATORS: [&str; 22] = [
    "IS_EQUAL_TO",
    "IS_NOT_EQUAL_TO",
    "CONTAINS",
    "DOES_NOT_CONTAIN",
    "STARTS_WITH",
    "ENDS_WITH",
    "IS_ANY_OF",
    "IS_NONE_OF",
    "IS_EXACTLY",
    "CONTAINS_ALL",
    "DOES_NOT_CONTAIN_ALL",
    "IS_GREATER_THAN",
    "IS_GREATER_THAN_OR_EQUAL_TO",
    "IS_LESS_THAN",
    "IS_LESS_THAN_OR_EQUAL_TO",
    "IS_BETWEEN",
    "IS_NOT_BETWEEN",
    "IS_KNOWN",
    "IS_UNKNOWN",
    "IS_AFTER",
    "IS_BEFORE",
    "IS_BLANK",
];

fn parts<'a>(branch: &'a Value, name: &str) -> &'a [Value] {
    branch[name].as_array().map_or(&[], Vec::as_slice)
}

/// What is wrong with a tree, if anything.
pub(crate) fn fault(data: &Data, kind: Kind, root: &Value) -> Option<String> {
    if root["filterBranchType"] != "OR" {
        return Some("The root filter branch has to be of type OR".to_owned());
    }
    if parts(root, "filterBranches")
        .iter()
        .any(|b| b["filterBranchType"] != "AND")
        || parts(root, "filterBranches").is_empty()
        || !parts(root, "filters").is_empty()
    {
        return Some(
            "The root filter branch has to have AND branches, and no filters of its own".to_owned(),
        );
    }
    fault_of_branch(data, kind, root)
}

fn fault_of_branch(data: &Data, kind: Kind, branch: &Value) -> Option<String> {
    let branch_type = branch["filterBranchType"].as_str().unwrap_or_default();
    if !BRANCHES.contains(&branch_type) {
        return Some(format!(
            "Filter branches of type {branch_type:?} are not supported; there are {BRANCHES:?}"
        ));
    }
    let kind = if branch_type == "ASSOCIATION" {
        match branch["objectTypeId"].as_str().and_then(Kind::parse) {
            Some(kind) => kind,
            None => return Some("An ASSOCIATION branch needs an objectTypeId".to_owned()),
        }
    } else {
        kind
    };
    for filter in parts(branch, "filters") {
        match filter["filterType"].as_str() {
            Some("PROPERTY") => {
                let name = filter["property"].as_str().unwrap_or_default();
                if !data.properties[kind as usize].contains_key(name) {
                    return Some(format!("Property {name:?} does not exist"));
                }
                let operator = filter["operation"]["operator"].as_str().unwrap_or_default();
                if !OPERATORS.contains(&operator) {
                    return Some(format!(
                        "Operator {operator:?} is not supported; there are {OPERATORS:?}"
                    ));
                }
            }
            Some("IN_LIST") => {}
            other => {
                return Some(format!(
                    "Filters of type {other:?} are not supported; there are PROPERTY and IN_LIST"
                ));
            }
        }
    }
    parts(branch, "filterBranches")
        .iter()
        .find_map(|b| fault_of_branch(data, kind, b))
}

/// Does a record belong to the list?
pub(crate) fn holds(data: &Data, kind: Kind, id: u64, record: &Record, branch: &Value) -> bool {
    let branch_type = branch["filterBranchType"].as_str().unwrap_or_default();
    if branch_type == "ASSOCIATION" {
        return associated(data, (kind, id), branch);
    }
    let all = || {
        parts(branch, "filters")
            .iter()
            .map(|f| filter(data, kind, id, record, f))
            .chain(
                parts(branch, "filterBranches")
                    .iter()
                    .map(|b| holds(data, kind, id, record, b)),
            )
            .collect::<Vec<bool>>()
    };
    match branch_type {
        "AND" => all().iter().all(|h| *h),
        "NOT_ALL" => !all().iter().all(|h| *h),
        "NOT_ANY" => !all().iter().any(|h| *h),
        _ => all().iter().any(|h| *h),
    }
}

/// Some record that this one is associated with passes all filters of the branch.
fn associated(data: &Data, me: (Kind, u64), branch: &Value) -> bool {
    let Some(to) = branch["objectTypeId"].as_str().and_then(Kind::parse) else {
        return false;
    };
    let wanted = branch["associationTypeId"].as_u64();
    let Some(links) = data.links.get(&me) else {
        return false;
    };
    links
        .range((to, 0)..=(to, u64::MAX))
        .filter(|(_, types)| wanted.is_none_or(|w| types.iter().any(|t| u64::from(*t) == w)))
        .any(|((_, other), _)| {
            data.record(to, *other)
                .filter(|r| r.archived_at.is_none())
                .is_some_and(|record| {
                    parts(branch, "filters")
                        .iter()
                        .all(|f| filter(data, to, *other, record, f))
                        && parts(branch, "filterBranches")
                            .iter()
                            .all(|b| holds(data, to, *other, record, b))
                })
        })
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Numbers and times as numbers.
fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().or_else(|| {
        chrono::DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|t| t.timestamp_millis() as f64)
            .or_else(|| {
                chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d")
                    .ok()
                    .and_then(|day| day.and_hms_opt(0, 0, 0))
                    .map(|t| t.and_utc().timestamp_millis() as f64)
            })
    })
}

fn filter(data: &Data, kind: Kind, id: u64, record: &Record, filter: &Value) -> bool {
    if filter["filterType"] == "IN_LIST" {
        let list: u64 = text(&filter["listId"]).parse().unwrap_or(0);
        let is_in = data
            .lists
            .get(&list)
            .is_some_and(|l| l.members.contains_key(&id));
        return is_in != (filter["operator"] == "NOT_IN_LIST");
    }
    let operation = &filter["operation"];
    let operator = operation["operator"].as_str().unwrap_or_default();
    let name = filter["property"].as_str().unwrap_or_default();
    let actual = data
        .value(kind, id, record, name)
        .filter(|value| !value.is_empty());
    match operator {
        "IS_KNOWN" => return actual.is_some(),
        "IS_UNKNOWN" | "IS_BLANK" => return actual.is_none(),
        _ => {}
    }
    let Some(actual) = actual else {
        return operation["includeObjectsWithNoValueSet"].as_bool() == Some(true);
    };
    let mut wanted: Vec<String> = match &operation["values"] {
        Value::Array(values) => values.iter().map(text).collect(),
        _ => Vec::new(),
    };
    for field in ["value", "timestamp"] {
        if !operation[field].is_null() {
            wanted.push(text(&operation[field]));
        }
    }
    if operation["timePoint"].is_object() {
        wanted.push(day_of(&operation["timePoint"]));
    }
    let low_actual = actual.to_lowercase();
    let any = |test: &dyn Fn(&str) -> bool| wanted.iter().any(|w| test(&w.to_lowercase()));
    let compared = |test: fn(f64, f64) -> bool| {
        let (Some(a), Some(b)) = (number(&actual), wanted.first().and_then(|w| number(w))) else {
            return false;
        };
        test(a, b)
    };
    let parts: Vec<&str> = low_actual.split(';').collect();
    let between = || {
        let bound = |name: &str| number(&text(&operation[name]));
        match (number(&actual), bound("lowerBound"), bound("upperBound")) {
            (Some(a), Some(low), Some(high)) => low <= a && a <= high,
            _ => false,
        }
    };
    let equal = || match (number(&actual), wanted.first().and_then(|w| number(w))) {
        (Some(a), Some(b)) if operation["operationType"] == "NUMBER" => a == b,
        _ => any(&|w| w == low_actual),
    };
    match operator {
        "IS_EQUAL_TO" => equal(),
        "IS_NOT_EQUAL_TO" => !equal(),
        "CONTAINS" => any(&|w| low_actual.contains(w)),
        "DOES_NOT_CONTAIN" => !any(&|w| low_actual.contains(w)),
        "STARTS_WITH" => any(&|w| low_actual.starts_with(w)),
        "ENDS_WITH" => any(&|w| low_actual.ends_with(w)),
        "IS_ANY_OF" => any(&|w| parts.contains(&w)),
        "IS_NONE_OF" => !any(&|w| parts.contains(&w)),
        "IS_EXACTLY" => wanted.len() == parts.len() && any(&|w| parts.contains(&w)),
        "CONTAINS_ALL" => wanted
            .iter()
            .all(|w| parts.contains(&w.to_lowercase().as_str())),
        "DOES_NOT_CONTAIN_ALL" => !wanted
            .iter()
            .all(|w| parts.contains(&w.to_lowercase().as_str())),
        "IS_GREATER_THAN" | "IS_AFTER" => compared(|a, b| a > b),
        "IS_GREATER_THAN_OR_EQUAL_TO" => compared(|a, b| a >= b),
        "IS_LESS_THAN" | "IS_BEFORE" => compared(|a, b| a < b),
        "IS_LESS_THAN_OR_EQUAL_TO" => compared(|a, b| a <= b),
        "IS_BETWEEN" => between(),
        "IS_NOT_BETWEEN" => !between(),
        _ => false,
    }
}

/// `{timeType: "DATE", year, month, day}`
fn day_of(point: &Value) -> String {
    let field = |name: &str| point[name].as_u64().unwrap_or(1);
    format!(
        "{:04}-{:02}-{:02}",
        field("year"),
        field("month"),
        field("day")
    )
}
