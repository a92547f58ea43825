//! Values against their definitions, with HubSpot's refusals (`hubspot-api.md` §5, §7, §9).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    answer::{error_body, iso},
    model::{Api, Data, Kind, Property, addresses},
    portal_rules,
    rules::Backward,
    tlds,
};

/// A refusal: status and body.
pub(crate) type Refusal = (u16, Value);

/// Values that passed, normalised.
pub(crate) type Checked = Vec<(String, String)>;

/// What is wrong with one value.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    name: String,
    code: &'static str,
    message: String,
}

impl Problem {
    pub(crate) fn new(name: &str, code: &'static str, message: String) -> Self {
        Self {
            name: name.to_owned(),
            code,
            message,
        }
    }
}

/// The refusal of values.
pub(crate) fn refusal(problems: &[Problem]) -> Refusal {
    let list: Vec<Value> = problems
        .iter()
        .map(|p| json!({"isValid": false, "message": p.message, "error": p.code, "name": p.name}))
        .collect();
    let mut body = error_body(
        "VALIDATION_ERROR",
        &format!("Property values were not valid: {}", Value::Array(list)),
    );
    body["errors"] = problems
        .iter()
        .map(|p| json!({"message": p.message, "code": p.code, "context": {"propertyName": [p.name]}}))
        .collect();
    (400, body)
}

/// A scalar as text; nothing for arrays and objects.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Checks values; `me` is the record that they are for, if there is one.
pub(crate) fn check(
    data: &Data,
    kind: Kind,
    me: Option<u64>,
    properties: &BTreeMap<String, Value>,
) -> Result<Checked, Vec<Problem>> {
    let lenient =
        me.is_some() && kind.is_engagement() && data.settings.rules.lenient_engagement_updates;
    let mut checked = Vec::with_capacity(properties.len());
    let mut problems = Vec::new();
    for (name, value) in properties {
        let Some(definition) = data.properties[kind as usize].get(name) else {
            if !lenient {
                problems.push(Problem::new(
                    name,
                    "PROPERTY_DOESNT_EXIST",
                    format!("Property \"{name}\" does not exist"),
                ));
            }
            continue;
        };
        if definition.read_only {
            if !lenient {
                let what = if definition.calculated {
                    format!("\"{name}\" is a calculated property; its value cannot be set.")
                } else {
                    format!("\"{name}\" is a read only property; its value cannot be set.")
                };
                problems.push(Problem::new(name, "READ_ONLY_VALUE", what));
            }
            continue;
        }
        let Some(text) = text_of(value) else {
            problems.push(Problem::new(
                name,
                "INVALID_STRING",
                format!("{value} was not a valid string."),
            ));
            continue;
        };
        if text.is_empty() {
            checked.push((name.clone(), text));
            continue;
        }
        match value_of(data, kind, definition, &text) {
            Ok(value) => checked.push((name.clone(), value)),
            Err((code, message)) => problems.push(Problem::new(name, code, message)),
        }
    }
    if let Some(id) = me {
        lifecycle(data, kind, id, &mut checked, &mut problems);
    }
    stage_in_pipeline(data, kind, me, &checked, &mut problems);
    if problems.is_empty() {
        Ok(checked)
    } else {
        Err(problems)
    }
}

type Wrong = (&'static str, String);

fn value_of(data: &Data, kind: Kind, definition: &Property, text: &str) -> Result<String, Wrong> {
    // Spaces are taken in text only, also those that do not break.
    if definition.kind != "string" && text.trim() != text {
        return Err(match definition.kind.as_str() {
            "number" | "datetime" => ("INVALID_LONG", format!("{text} was not a valid long.")),
            "date" => ("INVALID_DATE", format!("{text} was not a valid date.")),
            "phone_number" => (
                "INVALID_PHONE_NUMBER",
                format!("{text} was not a valid phone number."),
            ),
            _ => (
                "INVALID_OPTION",
                format!("{text} was not one of the allowed options: []"),
            ),
        });
    }
    special(data, kind, &definition.name, text)?;
    match definition.kind.as_str() {
        "number" => number(text),
        "datetime" => Ok(iso(datetime(text)?)),
        "date" => match date(text) {
            Err(refused) => normalised(data.api, text).ok_or(refused),
            day => day,
        },
        "bool" => match text.to_ascii_lowercase().as_str() {
            flag @ ("true" | "false") => Ok(flag.to_owned()),
            _ => Err((
                "INVALID_OPTION",
                format!("{text} was not one of the allowed options: [true, false]"),
            )),
        },
        "enumeration" if !definition.external_options => option(definition, text),
        _ if text.chars().count() > 65_536 => Err((
            "INVALID_LENGTH",
            format!(
                "{} is longer than the maximum of 65536 characters.",
                definition.name
            ),
        )),
        _ => Ok(text.to_owned()),
    }
}

/// Digits with one point at most; powers of ten are not taken.
fn number(text: &str) -> Result<String, Wrong> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let good = match unsigned.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(unsigned),
    };
    if good {
        Ok(text.to_owned())
    } else {
        Err(("INVALID_LONG", format!("{text} was not a valid long.")))
    }
}

/// ISO 8601 or milliseconds.
fn datetime(text: &str) -> Result<i64, Wrong> {
    if let Ok(ms) = text.parse::<i64>() {
        return Ok(ms);
    }
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_millis());
    }
    chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .and_then(|day| day.and_hms_opt(0, 0, 0))
        .map(|time| time.and_utc().timestamp_millis())
        .ok_or_else(|| ("INVALID_LONG", format!("{text} was not a valid long.")))
}

/// A day as paths of 2026-09 make it of what older ones refuse: a time within it, in milliseconds,
/// seconds or ISO 8601.
fn normalised(api: Api, text: &str) -> Option<String> {
    if api < Api::Validating {
        return None;
    }
    let ms = match text.parse::<i64>() {
        // In milliseconds this would be before March 1973.
        Ok(seconds) if seconds.abs() < 100_000_000_000 => seconds * 1_000,
        Ok(ms) => ms,
        Err(_) => datetime(text).ok()?,
    };
    let day = ms - ms.rem_euclid(86_400_000);
    Some(iso(day)[..10].to_owned())
}

/// What the answer to a write says of values that it normalised.
pub(crate) fn warnings(
    data: &Data,
    kind: Kind,
    properties: &BTreeMap<String, Value>,
) -> Vec<Value> {
    properties
        .iter()
        .filter(|(name, _)| {
            data.properties[kind as usize]
                .get(*name)
                .is_some_and(|p| p.kind == "date" && !p.read_only)
        })
        .filter_map(|(name, value)| {
            let raw = text_of(value).filter(|v| !v.is_empty())?;
            date(&raw).err()?;
            let normal = normalised(data.api, &raw)?;
            Some(json!({
                "category": "PROPERTY_VALUE_NORMALIZED",
                "message": format!("The value of {name} was normalized"),
                "context": {
                    "propertyName": [name], "rawValue": [raw], "normalizedValue": [normal],
                },
            }))
        })
        .collect()
}

/// A day: `YYYY-MM-DD`, or milliseconds at midnight UTC.
fn date(text: &str) -> Result<String, Wrong> {
    if text.parse::<i64>().is_err() && text.len() > 10 {
        return Err(("INVALID_DATE", format!("{text} was not a valid date.")));
    }
    let ms = datetime(text)?;
    let into = ms.rem_euclid(86_400_000);
    if into != 0 {
        let (seconds, rest) = (into / 1_000, into % 1_000);
        return Err((
            "INVALID_DATE",
            format!(
                "{text} is at {}:{}:{}.{rest} UTC, not midnight!",
                seconds / 3_600,
                seconds / 60 % 60,
                seconds % 60
            ),
        ));
    }
    Ok(iso(ms)[..10].to_owned())
}

fn option(definition: &Property, text: &str) -> Result<String, Wrong> {
    let known = |value: &str| definition.options.iter().any(|o| o.value == value);
    let good = if definition.is_multiple() {
        text.trim_start_matches(';').split(';').all(known)
    } else {
        known(text)
    };
    if good {
        return Ok(text.to_owned());
    }
    let allowed: Vec<String> = definition
        .options
        .iter()
        .map(|o| format!("label: {:?} value: {:?}", o.label, o.value))
        .collect();
    Err((
        "INVALID_OPTION",
        format!(
            "{text} was not one of the allowed options: [{}]",
            allowed.join(", ")
        ),
    ))
}

/// Rules of single properties.
fn special(data: &Data, kind: Kind, name: &str, text: &str) -> Result<(), Wrong> {
    match (kind, name) {
        (Kind::Contact, "email") => email(data, text),
        (Kind::Contact, "hs_additional_emails") => {
            addresses(text).try_for_each(|address| email(data, &address))
        }
        (_, "hubspot_owner_id") => {
            let owner = text.parse().ok().and_then(|id: u64| data.owners.get(&id));
            match owner {
                Some(owner) if !owner.archived => Ok(()),
                Some(_) if data.settings.rules.archived_owners_assignable => Ok(()),
                Some(_) => Err(("INVALID_OWNER_ID", format!("Owner {text} is not active"))),
                None => Err(("INVALID_OWNER_ID", format!("Owner {text} does not exist"))),
            }
        }
        (Kind::Call, "hs_call_recording_url") if !text.starts_with("https://") => Err((
            "INVALID_URL",
            format!("{text} is not a valid URL: only https is supported"),
        )),
        (Kind::Communication, "hs_communication_logged_from") if text != "CRM" => Err((
            "INVALID_OPTION",
            format!("{text} was not one of the allowed options: [label: \"CRM\" value: \"CRM\"]"),
        )),
        (Kind::Email, "hs_email_headers")
            if !serde_json::from_str::<Value>(text).is_ok_and(|v| v.is_object()) =>
        {
            Err(("INVALID_JSON", format!("{name} is not a valid JSON object")))
        }
        _ => Ok(()),
    }
}

fn email(data: &Data, text: &str) -> Result<(), Wrong> {
    let rules = &data.settings.rules;
    let good = text.split_once('@').is_some_and(|(local, domain)| {
        let plain = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        !local.is_empty()
            && local.chars().all(plain)
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && domain.rsplit_once('.').is_some_and(|(name, top)| {
                !name.is_empty()
                    && domain.split('.').all(|label| {
                        !label.is_empty()
                            && !label.starts_with('-')
                            && !label.ends_with('-')
                            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
                    })
                    && (rules.any_email_tld || tlds::known(&top.to_lowercase()))
            })
    });
    if !good {
        return Err(("INVALID_EMAIL", format!("Email address {text} is invalid")));
    }
    if rules.blocklist_refuses && data.blocked_emails.contains(&text.to_ascii_lowercase()) {
        return Err((
            "INVALID_EMAIL",
            format!("Email address {text} is GDPR blacklisted"),
        ));
    }
    Ok(())
}

/// `lifecyclestage` only goes forward; cleared, it may be set to anything.
fn lifecycle(data: &Data, kind: Kind, id: u64, checked: &mut Checked, problems: &mut Vec<Problem>) {
    let Some(place) = checked.iter().position(|(n, _)| n == "lifecyclestage") else {
        return;
    };
    let rank = |value: &str| {
        data.properties[kind as usize]
            .get("lifecyclestage")?
            .options
            .iter()
            .position(|o| o.value == value)
    };
    let old = data
        .record(kind, id)
        .and_then(|r| data.stored(r, "lifecyclestage"))
        .and_then(rank);
    let (Some(old), Some(new)) = (old, rank(&checked[place].1)) else {
        return;
    };
    if new >= old {
        return;
    }
    match data.settings.rules.lifecycle_backward {
        Backward::Accept => {}
        Backward::Silent => {
            checked.remove(place);
        }
        Backward::Error => problems.push(Problem::new(
            "lifecyclestage",
            "INVALID_LIFECYCLE_STAGE",
            format!(
                "{} is before the current lifecycle stage of the record",
                checked[place].1
            ),
        )),
    }
}

/// A stage belongs to the pipeline that the record is in, or will be.
fn stage_in_pipeline(
    data: &Data,
    kind: Kind,
    me: Option<u64>,
    checked: &Checked,
    problems: &mut Vec<Problem>,
) {
    let (pipeline_name, stage_name) = match kind {
        Kind::Deal => ("pipeline", "dealstage"),
        Kind::Ticket => ("hs_pipeline", "hs_pipeline_stage"),
        _ => return,
    };
    let given = |name: &str| {
        checked
            .iter()
            .find(|(n, v)| n == name && !v.is_empty())
            .map(|(_, v)| v.as_str())
    };
    let stored = |name: &str| data.stored(data.record(kind, me?)?, name);
    let pipelines = &data.pipelines[kind as usize];
    let wanted = given(pipeline_name)
        .or_else(|| stored(pipeline_name))
        .or_else(|| pipelines.first().map(|p| p.id.as_str()));
    let Some(pipeline) = pipelines.iter().find(|p| Some(p.id.as_str()) == wanted) else {
        if let Some(bad) = given(pipeline_name) {
            let ids: Vec<&str> = pipelines.iter().map(|p| p.id.as_str()).collect();
            problems.push(Problem::new(
                pipeline_name,
                "INVALID_OPTION",
                format!("{bad} was not one of the allowed options: {ids:?}"),
            ));
        }
        return;
    };
    if let Some(stage) = given(stage_name)
        && !pipeline.stages.iter().any(|s| s.id == stage)
    {
        let ids: Vec<&str> = pipeline.stages.iter().map(|s| s.id.as_str()).collect();
        problems.push(Problem::new(
            stage_name,
            "INVALID_OPTION",
            format!("{stage} was not one of the allowed options: {ids:?}"),
        ));
    }
}

/// What a create must bring, and what it gets without.
pub(crate) fn complete(data: &Data, kind: Kind, checked: &mut Checked) -> Result<(), Refusal> {
    let has =
        |checked: &Checked, name: &str| checked.iter().any(|(n, v)| n == name && !v.is_empty());
    let rules = &data.settings.rules;
    let first = data.pipelines[kind as usize].first().map(|p| p.id.clone());
    match kind {
        Kind::Deal if !has(checked, "pipeline") => {
            checked.extend(first.map(|id| ("pipeline".to_owned(), id)));
        }
        Kind::Ticket if !has(checked, "hs_pipeline") => {
            checked.extend(first.map(|id| ("hs_pipeline".to_owned(), id)));
        }
        Kind::Meeting if !has(checked, "hs_timestamp") => {
            let start = checked
                .iter()
                .find(|(n, v)| n == "hs_meeting_start_time" && !v.is_empty())
                .map(|(_, v)| v.clone());
            checked.extend(start.map(|at| ("hs_timestamp".to_owned(), at)));
        }
        Kind::Contact => {
            for (name, default) in [
                ("lifecyclestage", &rules.default_lifecyclestage),
                ("hs_marketable_status", &rules.default_marketable_status),
            ] {
                if !default.is_empty() && !has(checked, name) {
                    checked.push((name.to_owned(), default.clone()));
                }
            }
        }
        _ => {}
    }
    let required: &[&str] = match kind {
        Kind::Contact | Kind::Company => &[],
        Kind::Deal => &["dealname", "dealstage"],
        Kind::Ticket => &["subject", "hs_pipeline_stage"],
        Kind::Email => &["hs_timestamp", "hs_email_direction"],
        Kind::Communication => &[
            "hs_timestamp",
            "hs_communication_channel_type",
            "hs_communication_logged_from",
        ],
        _ => &["hs_timestamp"],
    };
    let one_of: &[&str] = match kind {
        Kind::Contact if rules.contact_needs_identity => &["email", "firstname", "lastname"],
        Kind::Company if rules.company_needs_identity => &["name", "domain"],
        _ => &[],
    };
    let mut missing: Vec<&str> = required
        .iter()
        .copied()
        .filter(|n| !has(checked, n))
        .collect();
    if !one_of.is_empty() && !one_of.iter().any(|n| has(checked, n)) {
        missing = one_of.to_vec();
    }
    let admins = portal_rules::lacking(data, kind, None, checked);
    if !admins.is_empty() {
        return Err(refusal(&admins));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut body = error_body(
        "VALIDATION_ERROR",
        &format!(
            "Error creating {}. Some required properties were not set.",
            kind.singular().to_uppercase()
        ),
    );
    body["context"] = json!({"properties": missing});
    Err((400, body))
}

/// E-mails and values of unique properties belong to one record.
pub(crate) fn taken(
    data: &Data,
    kind: Kind,
    me: Option<u64>,
    values: &Checked,
) -> Result<(), Refusal> {
    for (name, value) in values.iter().filter(|(_, v)| !v.is_empty()) {
        if kind == Kind::Contact && (name == "email" || name == "hs_additional_emails") {
            for address in addresses(value) {
                if let Some(other) = data.emails.get(&address)
                    && Some(*other) != me
                {
                    return Err(conflict(*other));
                }
            }
        } else if let Some(id) = data.name_ids.get(name)
            && let Some(known) = data.unique.get(&(kind, *id))
            && let Some(other) = known.get(value.as_str())
            && Some(*other) != me
        {
            let message = format!(
                "Cannot set {name} to {value}: {other} already has that value, which has to be unique"
            );
            return Err(refusal(&[Problem::new(
                name,
                "CONFLICTING_UNIQUE_VALUE",
                message,
            )]));
        }
    }
    Ok(())
}

/// 409, with the contact that is there.
pub(crate) fn conflict(existing: u64) -> Refusal {
    let mut body = error_body(
        "CONFLICT",
        &format!("Contact already exists. Existing ID: {existing}"),
    );
    body["context"] = json!({"existingId": [existing.to_string()]});
    (409, body)
}

/// What the headers of an e-mail say about people: properties that only HubSpot sets.
pub(crate) fn from_headers(headers: &str) -> Vec<(&'static str, String)> {
    let headers: Value = serde_json::from_str(headers).unwrap_or_default();
    let mut filled = Vec::new();
    let people = |field: &str| -> Vec<Value> {
        match &headers[field] {
            Value::Array(people) => people.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        }
    };
    let mut fill = |field: &str, part: &str, name: &'static str| {
        let found: Vec<String> = people(field)
            .iter()
            .filter_map(|p| p[part].as_str())
            .map(str::to_owned)
            .collect();
        filled.push((name, found.join(";")));
    };
    fill("from", "email", "hs_email_from_email");
    fill("from", "firstName", "hs_email_from_firstname");
    fill("from", "lastName", "hs_email_from_lastname");
    fill("to", "email", "hs_email_to_email");
    fill("to", "firstName", "hs_email_to_firstname");
    fill("to", "lastName", "hs_email_to_lastname");
    fill("cc", "email", "hs_email_cc_email");
    fill("bcc", "email", "hs_email_bcc_email");
    fill("sender", "email", "hs_email_sender_email");
    filled
}
