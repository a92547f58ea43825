//! What a portal's admins ask of writes: required properties, and those that others make required.
//! HubSpot enforces them on paths of 2026-09 and later only.

use serde_json::{Value, json};

use crate::{
    answer::Answer,
    model::{Api, Data, Kind},
    validate::{Checked, Problem},
};

/// What a write lacks by these rules; `me` is the record that it changes, none for a new one.
pub(crate) fn lacking(data: &Data, kind: Kind, me: Option<u64>, checked: &Checked) -> Vec<Problem> {
    if data.api < Api::Validating {
        return Vec::new();
    }
    let rules = &data.settings.rules;
    let given = |name: &str| {
        checked
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    };
    let record = me.and_then(|id| data.record(kind, id));
    let value = |name: &str| {
        given(name)
            .or_else(|| data.stored(record?, name))
            .filter(|v| !v.is_empty())
    };
    // An update is asked only about what it touches.
    let touched = |name: &str| me.is_none() || given(name).is_some();
    let mut problems: Vec<Problem> = rules
        .required_properties
        .get(kind.plural())
        .into_iter()
        .flatten()
        .filter(|name| touched(name) && value(name).is_none())
        .map(|name| {
            Problem::new(
                name,
                "MISSING_REQUIRED_PROPERTY",
                format!("A value for {name} must be provided"),
            )
        })
        .collect();
    for rule in rules
        .conditional_properties
        .get(kind.plural())
        .into_iter()
        .flatten()
    {
        let holds = value(&rule.property)
            .is_some_and(|v| rule.values.is_empty() || rule.values.iter().any(|w| w == v));
        if !holds {
            continue;
        }
        for name in &rule.required {
            if value(name).is_none() && (touched(name) || touched(&rule.property)) {
                problems.push(Problem::new(
                    name,
                    "MISSING_CONDITIONAL_REQUIRED_PROPERTY",
                    format!(
                        "{name} is required because of a conditional property rule based on [{}]",
                        rule.property
                    ),
                ));
            }
        }
    }
    problems
}

/// `/crm/property-validations/{version}/{type}[/{property}]`
pub(crate) fn read(data: &Data, kind: Kind, rest: &[&str]) -> Answer {
    let rules = &data.settings.rules;
    let mut all: Vec<(String, Value)> = Vec::new();
    let mut add = |name: &str, rule: Value| match all.iter_mut().find(|(n, _)| n == name) {
        Some((_, Value::Array(rules))) => rules.push(rule),
        _ => all.push((name.to_owned(), json!([rule]))),
    };
    for name in rules
        .required_properties
        .get(kind.plural())
        .into_iter()
        .flatten()
    {
        add(name, json!({"ruleType": "REQUIRED", "ruleArguments": []}));
    }
    for rule in rules
        .conditional_properties
        .get(kind.plural())
        .into_iter()
        .flatten()
    {
        for name in &rule.required {
            let mut arguments = vec![rule.property.clone()];
            arguments.extend(rule.values.iter().cloned());
            add(
                name,
                json!({"ruleType": "CONDITIONAL_REQUIRED", "ruleArguments": arguments}),
            );
        }
    }
    match rest {
        [] => {
            let results: Vec<Value> = all
                .into_iter()
                .map(
                    |(name, rules)| json!({"propertyName": name, "propertyValidationRules": rules}),
                )
                .collect();
            Answer::json(200, &json!({"results": results}))
        }
        [name] if data.properties[kind as usize].contains_key(*name) => {
            let rules = all
                .into_iter()
                .find(|(n, _)| n == name)
                .map_or(json!([]), |(_, rules)| rules);
            Answer::json(200, &json!({"results": rules}))
        }
        _ => Answer::not_found(),
    }
}
