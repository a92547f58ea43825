//! What HubSpot gets of an activity (E8): its type, its time and its properties.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    ActivityContent, CallOutcome, Direction, Happened, MeetingOutcome, Party, TaskPriority,
    TaskStatus, html,
};
use crate::{
    HubSpotOwnerId, ObjectType,
    app::value::datetime_text,
    portal::Properties,
    settings::{ACTIVITY_FIELDS, ActivityKind, ActivityRow, ActivitySettings},
};

/// The most characters of a title or another single line.
const LINE: usize = 1_000;
/// The most characters of a telephone number.
const NUMBER: usize = 100;
/// What `hs_email_headers` may have: a property's length, with room for the escapes of JSON.
const HEADERS: usize = 60_000;
/// The attendees of a meeting that its text names.
const NAMED: usize = 50;
/// How long a meeting takes of which nobody said it.
const MEETING: TimeDelta = TimeDelta::minutes(30);

/// When something happened; HubSpot asks it of every engagement.
pub const TIMESTAMP: &str = "hs_timestamp";
/// Whose it is.
pub const OWNER: &str = "hubspot_owner_id";

/// What stands where an e-mail or a message has no words.
const NO_TEXT: &str = "(no text)";
const NO_SUBJECT: &str = "(no subject)";

/// By what an activity is mapped.
#[derive(Debug, Clone, Copy)]
pub struct Mapping<'a> {
    /// The settings of activities.
    pub activities: &'a ActivitySettings,
    /// The tab Activity of the property mapping. A kind without a row goes to HubSpot's own properties;
    /// of one with rows the rows say all.
    pub rows: &'a [ActivityRow],
    /// The properties that the portal has for this type; none where they are not known: the rows are
    /// trusted then, and HubSpot says which it does not take.
    pub properties: Option<&'a Properties>,
    /// The owner of the member who acted, else the fallback owner.
    pub owner: Option<HubSpotOwnerId>,
}

/// What HubSpot gets of an activity. `Debug` does not show its values (X5).
#[derive(Clone, PartialEq, Eq)]
pub struct Engagement {
    /// As what.
    pub object_type: ObjectType,
    /// When: of a meeting when it begins, of a task when it is due.
    pub at: DateTime<Utc>,
    /// All its properties, the time among them.
    pub properties: BTreeMap<String, String>,
    /// Properties that were cut.
    pub cut: Vec<String>,
    /// Properties of rows that the portal does not have, or that cannot be set.
    pub left_out: Vec<String>,
}

impl fmt::Debug for Engagement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engagement")
            .field("object_type", &self.object_type)
            .field("properties", &self.properties.len())
            .finish_non_exhaustive()
    }
}

/// Puts together what HubSpot gets.
struct Making<'a> {
    mapping: &'a Mapping<'a>,
    kind: ActivityKind,
    made: Engagement,
}

/// What HubSpot gets of an activity. It never fails: what is too long is cut with a mark, and what is
/// dangerous is taken out.
pub fn engagement(happened: &Happened, mapping: &Mapping<'_>) -> Engagement {
    let kind = happened.content.kind();
    let at = match &happened.content {
        ActivityContent::Meeting(meeting) => meeting.start,
        ActivityContent::Task(task) => task.due.unwrap_or(happened.at),
        _ => happened.at,
    };
    let mut making = Making {
        mapping,
        kind,
        made: Engagement {
            object_type: kind.engagement(),
            at,
            properties: BTreeMap::new(),
            cut: Vec::new(),
            left_out: Vec::new(),
        },
    };
    making.fixed(TIMESTAMP, datetime_text(at));
    if let Some(owner) = mapping.owner {
        making.fixed(OWNER, owner.to_string());
    }
    making.content(&happened.content);
    if let Some(campaign) = &happened.campaign {
        making.field("campaign", html::line(campaign, LINE));
    }
    making.made
}

impl Making<'_> {
    fn content(&mut self, content: &ActivityContent) {
        match content {
            ActivityContent::Email(email) => {
                self.fixed("hs_email_status", "SENT");
                self.fixed(
                    "hs_email_direction",
                    match email.direction {
                        Direction::Outgoing => "EMAIL",
                        Direction::Incoming => "INCOMING_EMAIL",
                    },
                );
                self.title("subject", email.subject.as_deref().unwrap_or(NO_SUBJECT));
                let more = self.headers(email.from.as_ref(), &email.to, &email.cc);
                let mut body = body_of(email.html.as_deref(), email.text.as_deref());
                let mut text = match (&email.text, &email.html) {
                    (Some(text), _) => text.clone(),
                    (None, Some(html)) => html::words(html),
                    (None, None) => NO_TEXT.to_owned(),
                };
                if more > 0 {
                    let said = format!("… and {more} more recipients");
                    body = format!("<p>{}</p>{body}", html::escaped(&said));
                    text = format!("{said}\n\n{text}");
                }
                if self.field("body", html::fitted(body, html::MOST))
                    && !self.made.properties.contains_key("hs_email_text")
                {
                    self.put("hs_email_text", html::shortened(&text, html::MOST));
                }
                if let Some(step) = email.step {
                    self.field("step", (step.to_string(), false));
                }
            }
            ActivityContent::LinkedinMessage(message) => {
                self.communication();
                let said = match message.direction {
                    Direction::Outgoing => "LinkedIn message sent",
                    Direction::Incoming => "LinkedIn message received",
                };
                self.body("body", said, &body_of(None, Some(&message.text)));
            }
            ActivityContent::LinkedinConnectionRequest(request) => {
                self.communication();
                let said = if request.accepted {
                    "LinkedIn connection request accepted"
                } else {
                    "LinkedIn connection request sent"
                };
                let note = request.note.as_deref().map(html::of_text);
                self.body("body", said, &note.unwrap_or_default());
            }
            ActivityContent::Call(call) => {
                self.fixed(
                    "hs_call_direction",
                    match call.direction {
                        Direction::Outgoing => "OUTBOUND",
                        Direction::Incoming => "INBOUND",
                    },
                );
                let (status, disposition) = call.outcome.map_or(("COMPLETED", None), ended);
                self.fixed("hs_call_status", status);
                if let Some(disposition) = disposition {
                    self.fixed("hs_call_disposition", disposition);
                }
                self.title("title", call.title.as_deref().unwrap_or("Call"));
                let mut body = call.notes.as_deref().map(html::of_text).unwrap_or_default();
                if let Some(summary) = &call.summary {
                    body += &format!("<p><b>Summary</b></p>{}", html::of_text(summary));
                }
                if let Some(url) = &call.recording_url {
                    // First, so that it is never what is cut: HubSpot's own player may not play it.
                    body = format!("{}{body}", link("Recording", url));
                    self.field("recording_url", (url.clone(), false));
                }
                if !body.is_empty() {
                    let body = html::sanitised(&body);
                    self.field("notes", html::fitted(body, html::MOST));
                }
                if let Some(duration) = call.duration_ms {
                    self.field("duration_ms", (duration.to_string(), false));
                }
                for (field, number) in [
                    ("from_number", &call.from_number),
                    ("to_number", &call.to_number),
                ] {
                    if let Some(number) = number {
                        self.field(field, html::line(number, NUMBER));
                    }
                }
            }
            ActivityContent::Meeting(meeting) => {
                self.title("title", &meeting.title);
                if let Some(outcome) = meeting.outcome {
                    self.fixed("hs_meeting_outcome", stands(outcome));
                }
                let end = meeting.end.unwrap_or(meeting.start + MEETING);
                self.field("starts_at", (datetime_text(meeting.start), false));
                self.field("ends_at", (datetime_text(end), false));
                let mut body = String::new();
                if let Some(text) = &meeting.description {
                    body += &html::of_text(text);
                }
                body += &attendees(&meeting.attendees);
                if !body.is_empty() {
                    self.field("description", html::fitted(body, html::MOST));
                }
                if let Some(location) = &meeting.location {
                    self.field("location", html::line(location, LINE));
                }
                if let Some(url) = &meeting.url {
                    self.field("url", (url.clone(), false));
                }
            }
            ActivityContent::Note(note) => {
                let body = body_of(note.html.as_deref(), note.text.as_deref());
                self.body("body", "", &body);
            }
            ActivityContent::Task(task) => {
                self.fixed("hs_task_type", "TODO");
                self.fixed(
                    "hs_task_status",
                    progress(task.status.unwrap_or(TaskStatus::NotStarted)),
                );
                if let Some(priority) = task.priority {
                    self.fixed("hs_task_priority", urgency(priority));
                }
                self.title("title", &task.title);
                if let Some(notes) = &task.notes {
                    self.field("notes", html::fitted(html::of_text(notes), html::MOST));
                }
            }
        }
    }

    fn communication(&mut self) {
        self.fixed("hs_communication_channel_type", "LINKEDIN_MESSAGE");
        self.fixed("hs_communication_logged_from", "CRM");
    }

    /// A property that every engagement of this kind has.
    fn fixed(&mut self, property: &str, value: impl Into<String>) {
        self.made
            .properties
            .insert(property.to_owned(), value.into());
    }

    fn put(&mut self, property: &str, (value, cut): (String, bool)) {
        if cut {
            self.made.cut.push(property.to_owned());
        }
        self.made.properties.insert(property.to_owned(), value);
    }

    /// A title with the label in front.
    fn title(&mut self, field: &str, title: &str) {
        let label = self.mapping.activities.label(self.kind);
        let whole = format!("{label} {title}");
        self.field(field, html::line(&whole, LINE));
    }

    /// A body of a kind that has no title, with the label and what it is in front.
    fn body(&mut self, field: &str, said: &str, body: &str) {
        let label = self.mapping.activities.label(self.kind);
        let head = [label, said].map(html::escaped).join(" ");
        let body = match head.trim() {
            "" if body.is_empty() => format!("<p>{NO_TEXT}</p>"),
            "" => body.to_owned(),
            head => format!("<p>{head}</p>{body}"),
        };
        self.field(field, html::fitted(body, html::MOST));
    }

    /// A field of the tab Activity; whether it is written.
    fn field(&mut self, field: &str, value: (String, bool)) -> bool {
        let Some(property) = self.property_of(field) else {
            return false;
        };
        if value.0.trim().is_empty() {
            return false;
        }
        if let Some(known) = self.mapping.properties
            && known
                .get(&property)
                .is_none_or(|p| crate::export::convert::writable(p).is_err())
        {
            self.made.left_out.push(property);
            return false;
        }
        self.put(&property, value);
        true
    }

    /// Where a field goes, if anywhere.
    fn property_of(&self, field: &str) -> Option<String> {
        let mut rows = self
            .mapping
            .rows
            .iter()
            .filter(|row| row.kind == self.kind)
            .peekable();
        if rows.peek().is_some() {
            return rows
                .find(|row| row.app_field.as_str() == field && row.export)
                .map(|row| row.property.clone());
        }
        ACTIVITY_FIELDS
            .iter()
            .find(|f| f.kind == self.kind && f.key == field)?
            .standard_property
            .map(str::to_owned)
    }

    /// Writes who took part in an e-mail; how many of them did not fit.
    fn headers(&mut self, from: Option<&Party>, to: &[Party], cc: &[Party]) -> usize {
        let mut room = HEADERS;
        let mut left = 0;
        let mut fits = |party: &Party| {
            let json = headed(party);
            let size = html::length(&json.to_string()) + 1;
            if size > room {
                left += 1;
                return None;
            }
            room -= size;
            Some(json)
        };
        let from = from.and_then(&mut fits);
        let to: Vec<_> = to.iter().filter_map(&mut fits).collect();
        let cc: Vec<_> = cc.iter().filter_map(&mut fits).collect();
        let mut headers = serde_json::json!({"to": to, "cc": cc, "bcc": []});
        if let Some(from) = from {
            headers["from"] = from;
        }
        self.fixed("hs_email_headers", headers.to_string());
        left
    }
}

/// A party as `hs_email_headers` has it.
fn headed(party: &Party) -> serde_json::Value {
    let mut json = serde_json::json!({"email": party.email});
    if let Some(name) = &party.name {
        let (name, _) = html::line(name, NUMBER);
        match name.split_once(' ') {
            Some((first, last)) => {
                json["firstName"] = first.into();
                json["lastName"] = last.into();
            }
            None => json["firstName"] = name.into(),
        }
    }
    json
}

/// A body as sanitised HTML, whichever form it came in.
fn body_of(given: Option<&str>, text: Option<&str>) -> String {
    let body = match (given, text) {
        (Some(given), _) => html::sanitised(given),
        (None, Some(text)) => html::of_text(text),
        (None, None) => String::new(),
    };
    if html::words(&body).is_empty() {
        return format!("<p>{NO_TEXT}</p>");
    }
    body
}

fn link(said: &str, url: &str) -> String {
    let url = html::escaped(url);
    format!("<p>{said}: <a href=\"{url}\">{url}</a></p>")
}

/// Who takes part in a meeting, as a text: HubSpot has no property for people who are no users of it.
fn attendees(all: &[Party]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut names: Vec<String> = all
        .iter()
        .take(NAMED)
        .map(|party| match &party.name {
            Some(name) => html::escaped(&format!("{name} <{}>", party.email)),
            None => html::escaped(&party.email),
        })
        .collect();
    if all.len() > NAMED {
        names.push(format!("… and {} more", all.len() - NAMED));
    }
    format!("<p>Attendees: {}</p>", names.join(", "))
}

/// Status and disposition of a call; the dispositions are those that every portal has.
const fn ended(outcome: CallOutcome) -> (&'static str, Option<&'static str>) {
    match outcome {
        CallOutcome::Connected => ("COMPLETED", Some("f240bbac-87c9-4f6e-bf70-924b57d47db7")),
        CallOutcome::LeftMessage => ("COMPLETED", Some("a4c4c377-d246-4b32-a13b-75a56a4cd0ff")),
        CallOutcome::Voicemail => ("COMPLETED", Some("b2cf5968-551e-4856-9783-52b3da59a7d0")),
        CallOutcome::NoAnswer => ("NO_ANSWER", Some("73a0d17f-1163-4015-bdd5-ec830791da20")),
        CallOutcome::Busy => ("BUSY", Some("9d9162e7-6cf3-4944-bf63-4dff82258764")),
        CallOutcome::WrongNumber => ("COMPLETED", Some("17b47fee-58de-441e-a44c-c6300d46f273")),
        CallOutcome::Failed => ("FAILED", None),
        CallOutcome::Canceled => ("CANCELED", None),
    }
}

/// HubSpot's papers spell the last one in two ways; where a portal does not take it, it is left out.
const fn stands(outcome: MeetingOutcome) -> &'static str {
    match outcome {
        MeetingOutcome::Scheduled => "SCHEDULED",
        MeetingOutcome::Completed => "COMPLETED",
        MeetingOutcome::Rescheduled => "RESCHEDULED",
        MeetingOutcome::NoShow => "NO_SHOW",
        MeetingOutcome::Canceled => "CANCELED",
    }
}

const fn progress(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::NotStarted => "NOT_STARTED",
        TaskStatus::InProgress => "IN_PROGRESS",
        TaskStatus::Waiting => "WAITING",
        TaskStatus::Deferred => "DEFERRED",
        TaskStatus::Completed => "COMPLETED",
    }
}

const fn urgency(priority: TaskPriority) -> &'static str {
    match priority {
        TaskPriority::Low => "LOW",
        TaskPriority::Medium => "MEDIUM",
        TaskPriority::High => "HIGH",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::settings::ActivitySetting;

    fn happened(content: Value) -> Happened {
        let content: ActivityContent = serde_json::from_value(content).unwrap();
        Happened {
            at: "2026-11-01T08:00:00.123Z".parse().unwrap(),
            member: None,
            campaign: Some("Autumn".to_owned()),
            content: content.check().unwrap(),
        }
    }

    fn made_with(content: Value, rows: &[ActivityRow], settings: &ActivitySettings) -> Engagement {
        engagement(
            &happened(content),
            &Mapping {
                activities: settings,
                rows,
                properties: None,
                owner: "77".parse().ok(),
            },
        )
    }

    fn made(content: Value) -> Engagement {
        made_with(content, &[], &ActivitySettings::default())
    }

    #[test]
    fn each_kind_with_everything() {
        let cases = [
            (
                json!({"email": {"direction": "outgoing", "subject": " Hello\n you ", "html": "<p>Hi <script>x</script>Ann</p>",
                    "from": {"email": "m@x.example", "name": "Mara van Dam"}, "to": [{"email": "a@x.example"}],
                    "cc": [{"email": "c@x.example", "name": "Cy"}], "thread": "t1", "step": 2}}),
                json!({"hs_email_direction": "EMAIL", "hs_email_status": "SENT",
                    "hs_email_subject": "[Artisan] Hello you", "hs_email_html": "<p>Hi Ann</p>", "hs_email_text": "Hi Ann",
                    "hs_email_headers": r#"{"bcc":[],"cc":[{"email":"c@x.example","firstName":"Cy"}],"from":{"email":"m@x.example","firstName":"Mara","lastName":"van Dam"},"to":[{"email":"a@x.example"}]}"#}),
            ),
            (
                json!({"email": {"direction": "incoming"}}),
                json!({"hs_email_direction": "INCOMING_EMAIL", "hs_email_status": "SENT",
                    "hs_email_subject": "[Artisan] (no subject)", "hs_email_html": "<p>(no text)</p>", "hs_email_text": "(no text)",
                    "hs_email_headers": r#"{"bcc":[],"cc":[],"to":[]}"#}),
            ),
            (
                json!({"linkedin_message": {"direction": "incoming", "text": "שלום <b> 👋🏽"}}),
                json!({"hs_communication_channel_type": "LINKEDIN_MESSAGE", "hs_communication_logged_from": "CRM",
                    "hs_communication_body": "<p>[Artisan] LinkedIn message received</p><p>שלום &lt;b&gt; 👋🏽</p>"}),
            ),
            (
                json!({"linkedin_message": {"direction": "outgoing", "text": " "}}),
                json!({"hs_communication_channel_type": "LINKEDIN_MESSAGE", "hs_communication_logged_from": "CRM",
                    "hs_communication_body": "<p>[Artisan] LinkedIn message sent</p><p>(no text)</p>"}),
            ),
            (
                json!({"linkedin_connection_request": {"note": "Hi", "accepted": true}}),
                json!({"hs_communication_channel_type": "LINKEDIN_MESSAGE", "hs_communication_logged_from": "CRM",
                    "hs_communication_body": "<p>[Artisan] LinkedIn connection request accepted</p><p>Hi</p>"}),
            ),
            (
                json!({"linkedin_connection_request": {}}),
                json!({"hs_communication_channel_type": "LINKEDIN_MESSAGE", "hs_communication_logged_from": "CRM",
                    "hs_communication_body": "<p>[Artisan] LinkedIn connection request sent</p>"}),
            ),
            (
                json!({"call": {"direction": "outgoing", "title": "Intro", "from_number": "+49 1", "to_number": "+49 2",
                    "duration_ms": 61000, "outcome": "voicemail", "recording_url": "https://r.example/1?a=1&b=2",
                    "notes": "n", "summary": "s"}}),
                json!({"hs_call_direction": "OUTBOUND", "hs_call_status": "COMPLETED",
                    "hs_call_disposition": "b2cf5968-551e-4856-9783-52b3da59a7d0", "hs_call_title": "[Artisan] Intro",
                    "hs_call_from_number": "+49 1", "hs_call_to_number": "+49 2", "hs_call_duration": "61000",
                    "hs_call_recording_url": "https://r.example/1?a=1&b=2",
                    "hs_call_body": "<p>Recording: <a href=\"https://r.example/1?a=1&amp;b=2\" rel=\"noopener noreferrer\">https://r.example/1?a=1&amp;b=2</a></p><p>n</p><p><b>Summary</b></p><p>s</p>"}),
            ),
            (
                json!({"call": {"direction": "incoming"}}),
                json!({"hs_call_direction": "INBOUND", "hs_call_status": "COMPLETED", "hs_call_title": "[Artisan] Call"}),
            ),
            (
                json!({"meeting": {"title": "Demo", "start": "2027-01-01T10:00:00Z", "outcome": "canceled", "location": "Ulm",
                    "url": "https://m.example/1", "description": "d", "attendees": [{"email": "a@x.example", "name": "Ann"}]}}),
                json!({"hs_timestamp": "2027-01-01T10:00:00.000Z", "hs_meeting_title": "[Artisan] Demo",
                    "hs_meeting_start_time": "2027-01-01T10:00:00.000Z", "hs_meeting_end_time": "2027-01-01T10:30:00.000Z",
                    "hs_meeting_outcome": "CANCELED", "hs_meeting_location": "Ulm", "hs_meeting_external_url": "https://m.example/1",
                    "hs_meeting_body": "<p>d</p><p>Attendees: Ann &lt;a@x.example&gt;</p>"}),
            ),
            (
                json!({"note": {"html": "<h1>x</h1><img src=\"https://t.example/1\">"}}),
                json!({"hs_note_body": "<p>[Artisan]</p><h1>x</h1>"}),
            ),
            (
                json!({"task": {"title": "Ring", "due": "2027-02-01T10:00:00Z", "status": "waiting", "priority": "high", "notes": "n"}}),
                json!({"hs_timestamp": "2027-02-01T10:00:00.000Z", "hs_task_subject": "[Artisan] Ring", "hs_task_body": "<p>n</p>",
                    "hs_task_status": "WAITING", "hs_task_priority": "HIGH", "hs_task_type": "TODO"}),
            ),
            (
                json!({"task": {"title": "Ring"}}),
                json!({"hs_task_subject": "[Artisan] Ring", "hs_task_status": "NOT_STARTED", "hs_task_type": "TODO"}),
            ),
        ];
        for (content, mut want) in cases {
            if want["hs_timestamp"].is_null() {
                want["hs_timestamp"] = json!("2026-11-01T08:00:00.123Z");
            }
            want["hubspot_owner_id"] = json!("77");
            let made = made(content.clone());
            assert_eq!(json!(made.properties), want, "{content}");
            assert!(made.cut.is_empty() && made.left_out.is_empty());
            assert!(!format!("{made:?}").contains("Artisan"));
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_never_fails() {
        let two_mb = "<p>word <b>word</b></p><script>x</script>".repeat(50_000);
        let made = made(
            json!({"email": {"direction": "outgoing", "html": two_mb, "subject": "s".repeat(5_000)}}),
        );
        assert_eq!(
            made.cut,
            ["hs_email_subject", "hs_email_html", "hs_email_text"]
        );
        for property in &made.cut {
            let value = &made.properties[property];
            assert!(
                html::length(value) <= html::MOST && value.contains(html::MARK),
                "{property}"
            );
        }
        assert!(!made.properties["hs_email_html"].contains("script"));
    }

    #[test]
    fn a_thousand_recipients_are_named_as_far_as_they_fit() {
        let to: Vec<Value> = (0..1_000)
            .map(|n| json!({"email": format!("{}{n}@a-long-domain.example", "x".repeat(40)), "name": "Some Body"}))
            .collect();
        let made = made(json!({"email": {"direction": "outgoing", "to": to, "text": "hi"}}));
        let headers = &made.properties["hs_email_headers"];
        assert!(html::length(headers) <= html::MOST);
        let headers: Value = serde_json::from_str(headers).unwrap();
        let named = headers["to"].as_array().unwrap().len();
        let text = &made.properties["hs_email_text"];
        assert_eq!(
            *text,
            format!("… and {} more recipients\n\nhi", 1_000 - named)
        );
        assert!(named > 300);
    }

    fn row(kind: &str, field: &str, property: &str, export: bool) -> ActivityRow {
        serde_json::from_value(
            json!({"kind": kind, "app_field": field, "property": property, "export": export}),
        )
        .unwrap()
    }

    #[test]
    fn rows_say_where_fields_go() {
        let content = json!({"call": {"direction": "outgoing", "title": "Intro", "notes": "n"}});
        let rows = [
            row("call", "title", "hs_call_title", true),
            row("call", "notes", "hs_call_body", false),
            row("call", "campaign", "our_campaign", true),
            row("note", "body", "hs_note_body", false),
        ];
        let settings = ActivitySettings::default();
        let made = made_with(content.clone(), &rows, &settings);
        assert_eq!(made.properties["our_campaign"], "Autumn");
        assert!(!made.properties.contains_key("hs_call_body"));
        // What the portal does not have is left out, and said.
        let known = Properties::new();
        let made = engagement(
            &happened(content),
            &Mapping {
                activities: &settings,
                rows: &rows,
                properties: Some(&known),
                owner: None,
            },
        );
        assert_eq!(made.left_out, ["hs_call_title", "our_campaign"]);
        assert!(!made.properties.contains_key("our_campaign"));
        let email = json!({"email": {"direction": "outgoing", "html": "<b>x</b>"}});
        let rows = [row("email", "subject", "hs_email_text", true)];
        let made = made_with(email, &rows, &settings);
        assert_eq!(made.properties["hs_email_text"], "[Artisan] (no subject)");
        assert!(!made.properties.contains_key("hs_email_html"));
    }

    #[test]
    fn labels_of_all_of_one_kind_and_none() {
        let mut settings = ActivitySettings {
            label: "  ".to_owned(),
            ..ActivitySettings::default()
        };
        let note = || json!({"note": {"text": "x"}});
        assert_eq!(
            made_with(note(), &[], &settings).properties["hs_note_body"],
            "<p>x</p>"
        );
        let own = ActivitySetting {
            log: true,
            label: Some("<Ava>".to_owned()),
        };
        settings.kinds.insert(ActivityKind::Note, own);
        assert_eq!(
            made_with(note(), &[], &settings).properties["hs_note_body"],
            "<p>&lt;Ava&gt;</p><p>x</p>"
        );
        let task = json!({"task": {"title": "x"}});
        assert_eq!(
            made_with(task, &[], &settings).properties["hs_task_subject"],
            "x"
        );
    }
}
