//! What happens, as the API and the settings have it.

use chrono::DateTime;
use model::{
    exports::Policy,
    timeline::{Happened, Kind, Person, Sent, Settings, Stands},
};
use serde_json::{Value, json};

use super::plan::{STATUSES, lead_status};

fn time(millis: i64) -> Value {
    json!(DateTime::from_timestamp_millis(millis).unwrap())
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Email => "email",
        Kind::Message => "linkedin_message",
        Kind::Request => "linkedin_connection_request",
        Kind::Call => "call",
        Kind::Meeting => "meeting",
        Kind::Note => "note",
        Kind::Task => "task",
    }
}

fn html(text: &str, hidden: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<style>{hidden}</style><div>{text}</div><script>{hidden}()</script>\
         <img src=\"https://t.example/{hidden}.gif\">"
    )
}

fn content(of: &Happened) -> Value {
    let direction = if of.incoming { "incoming" } else { "outgoing" };
    let mut parts = match of.kind {
        Kind::Email => json!({
            "direction": direction, "subject": of.title, "from": {"email": of.parties[0]},
            "to": [{"email": of.parties[1]}],
        }),
        Kind::Message => json!({"direction": direction, "text": of.text}),
        Kind::Request => json!({"note": of.text, "accepted": of.accepted}),
        Kind::Call => json!({
            "direction": direction, "title": of.title, "notes": of.text, "recording_url": of.recording,
            "duration_ms": of.duration,
            "outcome": of.answered.map(|answered| if answered { "connected" } else { "no_answer" }),
        }),
        Kind::Meeting => json!({
            "title": of.title, "description": of.text, "start": time(of.span[0]), "end": time(of.span[1]),
            "location": of.place,
        }),
        Kind::Note => json!({}),
        Kind::Task => json!({
            "title": of.title, "notes": of.text, "due": of.due.map(time),
            "status": if of.done { "completed" } else { "not_started" },
            "priority": if of.urgent { "high" } else { "low" },
        }),
    };
    if matches!(of.kind, Kind::Email | Kind::Note) {
        match of.hidden {
            Some(hidden) => parts["html"] = json!(html(&of.text, hidden)),
            None => parts["text"] = json!(of.text),
        }
    }
    let mut content = json!({});
    content[kind(of.kind)] = parts;
    content
}

pub(super) fn activity(of: &Sent) -> Value {
    let mut item = json!({"id": of.id, "version": of.version, "person": of.person});
    match &of.happened {
        Some(happened) => {
            item["at"] = time(happened.at);
            item["member"] = json!(happened.member);
            item["content"] = content(happened);
        }
        None => item["deleted"] = json!(true),
    }
    item
}

pub(super) fn person(of: &Person, version: u64) -> Value {
    json!({
        "id": of.id, "version": version, "email": of.email, "status": of.status,
        "contacted_at": of.contacted.map(time), "replied_at": of.replied.map(time),
        "replied_positively_at": of.positively.map(time),
    })
}

pub(super) fn into_document(settings: &Settings, document: &mut Value) {
    document["export"]["policy"] = json!(match settings.policy {
        Policy::Contacted => "all_contacted",
        Policy::Replied => "replied",
        Policy::RepliedPositively => "replied_positively",
    });
    let mut kinds = json!({});
    for of in Kind::ALL {
        kinds[kind(of)] = json!({
            "log": !settings.off.contains(&of), "label": settings.labels.get(&of),
        });
    }
    document["activities"]["label"] = json!(settings.label);
    document["activities"]["kinds"] = kinds;
    document["activities"]["archive_deleted"] = json!(settings.archive);
    document["owners"]["fallback_owner"] = json!(settings.fallback);
    let rows: Vec<Value> = STATUSES
        .iter()
        .map(|status| json!({"status": status, "value": lead_status(status)}))
        .collect();
    document["status"] =
        json!({"property": "hs_lead_status", "rows": rows, "allow_backward": false});
}

/// Whether an activity is shown as it stands.
pub(super) fn is_as(shown: &Value, newest: &Sent, stands: Stands) -> bool {
    let (state, reason) = match stands {
        Stands::WaitsForThePerson => ("waiting", Some("person_not_exported")),
        Stands::Logged => ("exported", None),
        Stands::Off => ("skipped", Some("activity_off")),
        Stands::Deleted => ("skipped", Some("activity_deleted")),
    };
    let outcome = &shown["outcome"];
    shown["version"] == newest.version
        && outcome["state"] == state
        && reason.is_none_or(|reason| outcome["reason"] == reason)
}
