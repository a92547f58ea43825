//! E-mails as an app sees them that may not read what is in them.

use serde_json::Value;

use crate::{
    answer::{Answer, Body},
    rules::Redaction,
};

/// What is kept from an app without `sales-email-read`: the body, who it is from and to, the owner.
const REDACTED: [&str; 16] = [
    "hs_body_preview",
    "hs_email_bcc_email",
    "hs_email_cc_email",
    "hs_email_from_email",
    "hs_email_from_firstname",
    "hs_email_from_lastname",
    "hs_email_headers",
    "hs_email_html",
    "hs_email_sender_email",
    "hs_email_subject",
    "hs_email_text",
    "hs_email_to_email",
    "hs_email_to_firstname",
    "hs_email_to_lastname",
    "hubspot_owner_id",
    "hs_all_owner_ids",
];

/// Takes out of an answer to a read what the app may not see.
pub(crate) fn redact(answer: Answer, how: Redaction) -> Answer {
    let Body::Json(text) = &answer.body else {
        return answer;
    };
    if how == Redaction::Off || answer.status >= 300 {
        return answer;
    }
    let Ok(mut body) = serde_json::from_str::<Value>(text) else {
        return answer;
    };
    match body.get_mut("results").and_then(Value::as_array_mut) {
        Some(all) => all.iter_mut().for_each(|record| one(record, how)),
        None => one(&mut body, how),
    }
    Answer {
        body: Body::Json(body.to_string()),
        ..answer
    }
}

fn one(record: &mut Value, how: Redaction) {
    for part in ["properties", "propertiesWithHistory"] {
        let Some(values) = record.get_mut(part).and_then(Value::as_object_mut) else {
            continue;
        };
        for name in REDACTED {
            match how {
                Redaction::Null if part == "properties" => {
                    if let Some(value) = values.get_mut(name) {
                        *value = Value::Null;
                    }
                }
                _ => {
                    values.remove(name);
                }
            }
        }
    }
}
