//! What an activity is on the timeline: its type, time, owner, properties and words (E8, §9 of the notes).

use std::collections::BTreeMap;

use super::{Happened, Kind, SeenEngagement, Settings, TimelineRule as R, Timelines};

/// What stands before the text, within it, nowhere in it, and at its end: of a property with HTML.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Body {
    property: &'static str,
    begins: String,
    holds: Vec<String>,
    lacks: Vec<&'static str>,
    ends: String,
}

/// An engagement as it has to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The plural of its type.
    pub plural: &'static str,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Whose it is.
    pub owner: Option<u64>,
    /// The address that the person had.
    pub(super) contact: String,
    /// The domain of the company.
    pub(super) company: Option<String>,
    values: BTreeMap<&'static str, String>,
    body: Option<Body>,
}

/// The properties that are looked at, with what is not there.
const fn looked_at(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Email => &[
            "hs_email_direction",
            "hs_email_subject",
            "hs_email_from_email",
            "hs_email_to_email",
        ],
        Kind::Message | Kind::Request => &[
            "hs_communication_channel_type",
            "hs_communication_logged_from",
        ],
        Kind::Call => &[
            "hs_call_title",
            "hs_call_direction",
            "hs_call_duration",
            "hs_call_recording_url",
            "hs_call_disposition",
        ],
        Kind::Meeting => &[
            "hs_meeting_title",
            "hs_meeting_start_time",
            "hs_meeting_end_time",
            "hs_meeting_location",
        ],
        Kind::Note => &[],
        Kind::Task => &["hs_task_subject", "hs_task_status", "hs_task_priority"],
    }
}

const CONNECTED: &str = "f240bbac-87c9-4f6e-bf70-924b57d47db7";
const NO_ANSWER: &str = "73a0d17f-1163-4015-bdd5-ec830791da20";

impl Timelines {
    pub(super) fn entry_of(&self, person: &str, told: &Happened, settings: &Settings) -> Entry {
        let email = self.people[person].email.clone().unwrap_or_default();
        let member = told.member.and_then(|member| self.owners.get(member));
        let member = member.filter(|_| !self.left_out(R::OwnerOfMember));
        let fallback = settings.fallback.as_ref();
        let fallback = fallback.filter(|_| !self.left_out(R::FallbackOwner));
        let own = settings.labels.get(&told.kind);
        let own = own.filter(|_| !self.left_out(R::LabelOfAKind));
        let label = own.copied().unwrap_or(settings.label);
        let label = if self.left_out(R::Label) { "" } else { label };
        let kind = match told.kind {
            Kind::Request if self.left_out(R::RequestsAreMessages) => Kind::Note,
            kind => kind,
        };
        let mut entry = Entry {
            plural: match kind {
                Kind::Email => "emails",
                Kind::Message | Kind::Request => "communications",
                Kind::Call => "calls",
                Kind::Meeting => "meetings",
                Kind::Note => "notes",
                Kind::Task => "tasks",
            },
            at: self.time_of(told),
            owner: member.or(fallback).copied(),
            company: self.company_of(&email),
            contact: email,
            values: BTreeMap::new(),
            body: None,
        };
        entry.fill(told, label, self.without);
        entry
    }

    fn time_of(&self, told: &Happened) -> i64 {
        match (told.kind, told.due) {
            (Kind::Meeting, _) if !self.left_out(R::MeetingsWhenTheyBegin) => told.span[0],
            (Kind::Task, Some(due)) if !self.left_out(R::TasksWhenTheyAreDue) => due,
            // When it came in, say.
            _ if self.left_out(R::OwnTime) => 0,
            _ => told.at,
        }
    }
}

impl Entry {
    fn fill(&mut self, told: &Happened, label: &str, without: Option<R>) {
        let incoming = told.incoming != (without == Some(R::Direction));
        let title = words(&format!("{label} {}", told.title));
        let mut put = |property, value: &str| self.values.insert(property, value.to_owned());
        let mut body = Body {
            property: "",
            begins: words(label),
            holds: Vec::new(),
            lacks: Vec::new(),
            ends: words(&told.text),
        };
        match told.kind {
            Kind::Email => {
                let direction = if incoming { "INCOMING_EMAIL" } else { "EMAIL" };
                put("hs_email_direction", direction);
                put("hs_email_subject", &title);
                put("hs_email_from_email", &told.parties[0]);
                put("hs_email_to_email", &told.parties[1]);
                body.property = "hs_email_html";
                // The label stands in the subject.
                body.begins.clone_from(&body.ends);
            }
            Kind::Message | Kind::Request => {
                put("hs_communication_channel_type", "LINKEDIN_MESSAGE");
                put("hs_communication_logged_from", "CRM");
                body.property = "hs_communication_body";
                let accepted = told.accepted != (without == Some(R::Accepted));
                match (told.kind, accepted) {
                    (Kind::Request, true) => body.holds.push("accepted".to_owned()),
                    (Kind::Request, false) => body.lacks.push("accepted"),
                    _ => {}
                }
            }
            Kind::Call => {
                put("hs_call_title", &title);
                put(
                    "hs_call_direction",
                    if incoming { "INBOUND" } else { "OUTBOUND" },
                );
                if let Some(duration) = told.duration {
                    put("hs_call_duration", &duration.to_string());
                }
                if let Some(answered) = told.answered {
                    let disposition = if answered { CONNECTED } else { NO_ANSWER };
                    put("hs_call_disposition", disposition);
                }
                body.property = "hs_call_body";
                body.begins.clear();
                if let Some(recording) = &told.recording {
                    put("hs_call_recording_url", recording);
                    match without {
                        Some(R::RecordingInTheText) => body.lacks.push("https://"),
                        _ => body.holds.push(recording.clone()),
                    }
                }
            }
            Kind::Meeting => {
                put("hs_meeting_title", &title);
                put("hs_meeting_start_time", &told.span[0].to_string());
                put("hs_meeting_end_time", &told.span[1].to_string());
                if let Some(place) = &told.place {
                    put("hs_meeting_location", place);
                }
                body.property = "hs_meeting_body";
                body.begins.clone_from(&body.ends);
            }
            Kind::Note => body.property = "hs_note_body",
            Kind::Task => {
                put("hs_task_subject", &title);
                put(
                    "hs_task_status",
                    if told.done {
                        "COMPLETED"
                    } else {
                        "NOT_STARTED"
                    },
                );
                put("hs_task_priority", if told.urgent { "HIGH" } else { "LOW" });
                body.property = "hs_task_body";
                body.begins.clone_from(&body.ends);
            }
        }
        if let Some(hidden) = told.hidden {
            match without {
                Some(R::NothingHidden) => body.holds.push(hidden.to_owned()),
                _ => body.lacks.push(hidden),
            }
        }
        self.body = Some(body);
    }

    /// In what an engagement is another one, if it is.
    pub(super) fn differs(&self, seen: &SeenEngagement) -> Option<String> {
        let differs = |what: &str, is: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
            Some(format!("{what} is {is:?}, should be {wanted:?}"))
        };
        if self.plural != seen.plural {
            return differs("type", &seen.plural, &self.plural);
        }
        if Some(self.at) != seen.at {
            return differs("time", &seen.at, &Some(self.at));
        }
        if self.owner != seen.owner {
            return differs("owner", &seen.owner, &self.owner);
        }
        let companies: Vec<&String> = self.company.iter().collect();
        if companies != seen.companies.iter().collect::<Vec<_>>() {
            return differs("company", &seen.companies, &self.company);
        }
        let kinds = Kind::ALL.into_iter();
        for property in kinds.flat_map(looked_at) {
            let (is, wanted) = (seen.values.get(*property), self.values.get(property));
            if is != wanted {
                return differs(property, &is, &wanted);
            }
        }
        self.body.as_ref().and_then(|body| body.differs(seen))
    }

    /// An engagement that is so, on a contact.
    pub(super) fn seen_on(&self, contact: String) -> SeenEngagement {
        let values = self
            .values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let mut seen = SeenEngagement {
            plural: self.plural.to_owned(),
            at: Some(self.at),
            owner: self.owner,
            contacts: vec![contact],
            companies: self.company.iter().cloned().collect(),
            values: values.collect(),
        };
        if let Some(body) = &self.body {
            seen.values.insert(body.property.to_owned(), body.html());
        }
        seen
    }

    /// By what somebody finds the engagement that was meant.
    pub(super) fn resembles(&self, seen: &SeenEngagement) -> bool {
        let Some(body) = &self.body else {
            return false;
        };
        let of = seen.values.get(body.property);
        of.is_some_and(|html| words(&plain(html)).ends_with(&body.ends))
    }
}

impl Body {
    fn html(&self) -> String {
        let begins = (self.begins != self.ends).then_some(&self.begins);
        let parts = begins.into_iter().chain(&self.holds).chain([&self.ends]);
        let escaped = |text: &String| text.replace('&', "&amp;").replace('<', "&lt;");
        parts
            .map(|text| format!("<p>{}</p>", escaped(text)))
            .collect()
    }

    fn differs(&self, seen: &SeenEngagement) -> Option<String> {
        let nothing = String::new();
        let html = seen.values.get(self.property).unwrap_or(&nothing);
        let is = words(&plain(html));
        // Labels are in brackets here; without one nothing of the kind stands there.
        let labelled = is.starts_with(['[', '<']);
        let fits = is.starts_with(&self.begins)
            && !(labelled && self.begins.is_empty())
            && is.ends_with(&self.ends)
            && self.holds.iter().all(|text| is.contains(text))
            && !self.lacks.iter().any(|text| html.contains(text));
        (!fits).then(|| format!("{} is {html:?}, should be as {self:?}", self.property))
    }
}

/// Words with one space between them.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What HTML says, tags left out.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut within = false;
    for c in html.chars() {
        match c {
            '<' => within = true,
            '>' if within => {
                within = false;
                text.push(' ');
            }
            c if !within => text.push(c),
            _ => {}
        }
    }
    for (name, meant) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ] {
        text = text.replace(name, meant);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two that say the same, one with a label and one without, neither is the other.
    #[test]
    fn a_text_has_the_label_that_it_should_have_or_none() {
        let wanted = |label: &str| Body {
            property: "hs_note_body",
            begins: label.to_owned(),
            holds: Vec::new(),
            lacks: Vec::new(),
            ends: "Hello".to_owned(),
        };
        let is = |html: &str| SeenEngagement {
            plural: "notes".to_owned(),
            at: None,
            owner: None,
            contacts: Vec::new(),
            companies: Vec::new(),
            values: BTreeMap::from([("hs_note_body".to_owned(), html.to_owned())]),
        };
        for (label, html, fits) in [
            ("", "Hello", true),
            ("", "<p>Request sent</p>Hello", true),
            ("", "<p>[Artisan]</p>Hello", false),
            ("", "<p>&lt;Ours&gt;</p>Hello", false),
            ("[Artisan]", "<p>[Artisan]</p>Hello", true),
            ("[Artisan]", "Hello", false),
            ("[Artisan]", "<p>[Ava]</p>Hello", false),
        ] {
            let differs = wanted(label).differs(&is(html));
            assert_eq!(differs.is_none(), fits, "{label} {html}: {differs:?}");
        }
    }
}
