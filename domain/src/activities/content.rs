//! What an activity of each kind holds. The same types are sent, stored and mapped: [`ActivityContent::check`]
//! stands between the first two.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::{Email, ItemCode, ItemProblem, Slot},
    settings::ActivityKind,
};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }
    };
}

words! {
    /// Who began it.
    Direction {
        /// The app, for the team.
        Outgoing,
        /// The person: a reply, a call of theirs.
        Incoming,
    }
}

words! {
    /// How a call ended.
    CallOutcome {
        /// Somebody talked.
        Connected,
        /// A message was left with somebody.
        LeftMessage,
        /// A message was left on the machine.
        Voicemail,
        /// Nobody answered.
        NoAnswer,
        /// The line was busy.
        Busy,
        /// Somebody else answered.
        WrongNumber,
        /// The call did not come about.
        Failed,
        /// It was called off before anybody answered.
        Canceled,
    }
}

words! {
    /// How a meeting stands.
    MeetingOutcome {
        /// It will take place.
        Scheduled,
        /// It took place.
        Completed,
        /// It was put off.
        Rescheduled,
        /// The person did not come.
        NoShow,
        /// It was called off.
        Canceled,
    }
}

words! {
    /// How a task stands.
    TaskStatus {
        /// Not begun.
        NotStarted,
        /// Begun.
        InProgress,
        /// Waits for somebody.
        Waiting,
        /// Put off.
        Deferred,
        /// Done.
        Completed,
    }
}

words! {
    /// How urgent a task is.
    TaskPriority {
        /// Not very.
        Low,
        /// As usual.
        Medium,
        /// Very.
        High,
    }
}

/// Somebody who takes part.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// The address.
    #[schema(format = Email, max_length = 254)]
    pub email: String,
    /// What they are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An e-mail that was sent, or a reply.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailContent {
    /// Sent, or received.
    pub direction: Direction,
    /// The subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The body as HTML. Scripts, styles and pixels are taken out before HubSpot gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// The body as plain text; where there is HTML as well, HubSpot gets both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Who wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Party>,
    /// To whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 2000)]
    pub to: Vec<Party>,
    /// Copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 2000)]
    pub cc: Vec<Party>,
    /// Which conversation it belongs to, by the app's or the mail system's own id. Kept; HubSpot gets
    /// nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// Which step of the sequence it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
}

/// A LinkedIn message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkedinMessageContent {
    /// Sent, or received.
    pub direction: Direction,
    /// What it says.
    pub text: String,
}

/// A LinkedIn connection request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionRequestContent {
    /// The note that went with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether the person accepted it by now.
    #[serde(default)]
    pub accepted: bool,
}

/// A call.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallContent {
    /// Who called.
    pub direction: Direction,
    /// What it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The number that called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_number: Option<String>,
    /// The number that was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_number: Option<String>,
    /// How long it was, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CallOutcome>,
    /// Where the recording is: `https` only, as HubSpot takes no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000, pattern = "^[Hh][Tt][Tt][Pp][Ss]://")]
    pub recording_url: Option<String>,
    /// What was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// What was said, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// A meeting that was booked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MeetingContent {
    /// What it is about.
    pub title: String,
    /// When it begins.
    pub start: DateTime<Utc>,
    /// When it ends; half an hour later unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<DateTime<Utc>>,
    /// Who takes part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 2000)]
    pub attendees: Vec<Party>,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<MeetingOutcome>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Where one joins it: `https` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000, pattern = "^[Hh][Tt][Tt][Pp][Ss]://")]
    pub url: Option<String>,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A note. It has a text, or HTML.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteContent {
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The same with formatting; it goes before the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

/// A task.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskContent {
    /// What is to be done.
    pub title: String,
    /// When it is due; the activity's time unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<DateTime<Utc>>,
    /// How it stands; not begun unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TaskStatus>,
    /// How urgent it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<TaskPriority>,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// What an activity holds, by its kind.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActivityContent {
    /// An e-mail that was sent, or a reply.
    Email(EmailContent),
    /// A LinkedIn message.
    LinkedinMessage(LinkedinMessageContent),
    /// A LinkedIn connection request.
    LinkedinConnectionRequest(ConnectionRequestContent),
    /// A call.
    Call(CallContent),
    /// A meeting that was booked.
    Meeting(MeetingContent),
    /// A note.
    Note(NoteContent),
    /// A task.
    Task(TaskContent),
}

impl std::fmt::Debug for ActivityContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ActivityContent")
            .field(&self.kind())
            .finish()
    }
}

impl ActivityContent {
    /// The most parties of one list.
    pub const MAX_PARTIES: usize = 2_000;
    /// The most bytes that the texts of an activity have together: more than any mail that a person
    /// reads, and little enough for a call with several of them.
    pub const MAX_BYTES: usize = 4 * 1024 * 1024;
    /// The most characters of an address of the web.
    pub const MAX_URL: usize = 2_000;

    /// Which kind it is of.
    pub const fn kind(&self) -> ActivityKind {
        match self {
            Self::Email(_) => ActivityKind::Email,
            Self::LinkedinMessage(_) => ActivityKind::LinkedinMessage,
            Self::LinkedinConnectionRequest(_) => ActivityKind::LinkedinConnectionRequest,
            Self::Call(_) => ActivityKind::Call,
            Self::Meeting(_) => ActivityKind::Meeting,
            Self::Note(_) => ActivityKind::Note,
            Self::Task(_) => ActivityKind::Task,
        }
    }

    /// Checks each part and brings it into the form that is stored. Lengths are no problem: what
    /// HubSpot does not take is cut when it is logged.
    ///
    /// # Errors
    /// The first [`ItemProblem`]; the item is refused as a whole then.
    pub fn check(mut self) -> Result<Self, ItemProblem> {
        let kind = self.kind();
        let at = |part: &str| Slot::place(format!("content.{kind}.{part}"));
        let mut bytes = 0;
        match &mut self {
            Self::Email(email) => {
                for part in [
                    &mut email.subject,
                    &mut email.html,
                    &mut email.text,
                    &mut email.thread,
                ] {
                    optional(part, &mut bytes);
                }
                if let Some(from) = &mut email.from {
                    party(from, || at("from"))?;
                }
                parties(&mut email.to, "to", &at)?;
                parties(&mut email.cc, "cc", &at)?;
            }
            Self::LinkedinMessage(message) => {
                needed(&mut message.text, &mut bytes);
            }
            Self::LinkedinConnectionRequest(request) => optional(&mut request.note, &mut bytes),
            Self::Call(call) => {
                for part in [
                    &mut call.title,
                    &mut call.from_number,
                    &mut call.to_number,
                    &mut call.notes,
                    &mut call.summary,
                ] {
                    optional(part, &mut bytes);
                }
                https(&mut call.recording_url, || at("recording_url"))?;
            }
            Self::Meeting(meeting) => {
                needed(&mut meeting.title, &mut bytes);
                for part in [&mut meeting.location, &mut meeting.description] {
                    optional(part, &mut bytes);
                }
                https(&mut meeting.url, || at("url"))?;
                parties(&mut meeting.attendees, "attendees", &at)?;
                meeting.start = time(meeting.start, || at("start"))?;
                meeting.end = meeting.end.map(|end| time(end, || at("end"))).transpose()?;
                if meeting.end.is_some_and(|end| end < meeting.start) {
                    return Err(ItemProblem::new(
                        ItemCode::ValueDoesNotFit,
                        at("end"),
                        "a meeting ends after it begins; leave `end` out where it is not known",
                    ));
                }
                filled(&meeting.title, || at("title"))?;
            }
            Self::Note(note) => {
                optional(&mut note.text, &mut bytes);
                optional(&mut note.html, &mut bytes);
                if note.text.is_none() && note.html.is_none() {
                    return Err(ItemProblem::new(
                        ItemCode::ValueDoesNotFit,
                        at("text"),
                        "a note has a `text` or `html`: without one there is nothing to log",
                    ));
                }
            }
            Self::Task(task) => {
                needed(&mut task.title, &mut bytes);
                optional(&mut task.notes, &mut bytes);
                task.due = task.due.map(|due| time(due, || at("due"))).transpose()?;
                filled(&task.title, || at("title"))?;
            }
        }
        if bytes > Self::MAX_BYTES {
            return Err(ItemProblem::new(
                ItemCode::ActivityTooLarge,
                Slot::place(format!("content.{kind}")),
                format!(
                    "the texts have more than {} bytes together; leave attachments and embedded pictures out",
                    Self::MAX_BYTES
                ),
            ));
        }
        Ok(self)
    }
}

/// Without control characters that nobody reads and that HubSpot does not take.
fn plain(text: String) -> String {
    let odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    if text.contains(odd) {
        text.replace(odd, "")
    } else {
        text
    }
}

/// A text that has to be there, though it may say nothing.
fn needed(text: &mut String, bytes: &mut usize) {
    *text = plain(std::mem::take(text));
    *bytes += text.len();
}

/// A text that says nothing is none.
fn optional(part: &mut Option<String>, bytes: &mut usize) {
    *part = part
        .take()
        .map(plain)
        .filter(|text| !text.trim().is_empty());
    *bytes += part.as_ref().map_or(0, String::len);
}

fn filled(text: &str, at: impl Fn() -> Slot) -> Result<(), ItemProblem> {
    if text.trim().is_empty() {
        return Err(ItemProblem::new(
            ItemCode::ValueDoesNotFit,
            at(),
            "it is empty; say in a few words what it is about",
        ));
    }
    Ok(())
}

fn party(party: &mut Party, at: impl Fn() -> Slot) -> Result<(), ItemProblem> {
    let address = Email::parse(&party.email).map_err(|error| {
        let place = format!("{}.email", at());
        ItemProblem::new(ItemCode::EmailNotValid, Slot::place(place), error)
    })?;
    address.as_str().clone_into(&mut party.email);
    party.name = party
        .name
        .take()
        .map(plain)
        .filter(|name| !name.trim().is_empty());
    Ok(())
}

fn parties(all: &mut [Party], part: &str, at: &impl Fn(&str) -> Slot) -> Result<(), ItemProblem> {
    if all.len() > ActivityContent::MAX_PARTIES {
        return Err(ItemProblem::new(
            ItemCode::ValueDoesNotFit,
            at(part),
            format!("more than {} of them", ActivityContent::MAX_PARTIES),
        ));
    }
    for (n, each) in all.iter_mut().enumerate() {
        party(each, || at(&format!("{part}[{n}]")))?;
    }
    Ok(())
}

fn https(url: &mut Option<String>, at: impl Fn() -> Slot) -> Result<(), ItemProblem> {
    let Some(given) = url.take() else {
        return Ok(());
    };
    let given = given.trim();
    if given.is_empty() {
        return Ok(());
    }
    let rest = given
        .get(..8)
        .filter(|scheme| scheme.eq_ignore_ascii_case("https://"))
        .map(|_| &given[8..]);
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\');
    let fits = rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '['))
        && !given.contains(odd)
        && given.chars().count() <= ActivityContent::MAX_URL;
    if !fits {
        return Err(ItemProblem::new(
            ItemCode::ValueDoesNotFit,
            at(),
            "no address that begins with https:// and has 2000 characters at most; leave it out, the rest is logged all the same",
        ));
    }
    *url = Some(given.to_owned());
    Ok(())
}

/// In whole milliseconds, from 1970 on: HubSpot counts from then.
pub(super) fn time(
    at: DateTime<Utc>,
    slot: impl Fn() -> Slot,
) -> Result<DateTime<Utc>, ItemProblem> {
    use chrono::{Datelike as _, DurationRound as _, TimeDelta};
    at.duration_trunc(TimeDelta::milliseconds(1))
        .ok()
        .filter(|at| (1970..=9999).contains(&at.year()))
        .ok_or_else(|| {
            ItemProblem::new(
                ItemCode::ValueDoesNotFit,
                slot(),
                "a time from 1970 on is expected, such as 2026-09-01T00:00:00Z",
            )
        })
}
