//! Recent engagements of other reps (I10): which are read, from which moment on, and what is kept of
//! them.

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    HubSpotObjectId, HubSpotOwnerId, IdError, ObjectType, activities::html,
    app::value::parse_datetime, settings::ActivityContext,
};

/// The kinds, in the order in which they are read: those first after which writing would be worst.
pub const KINDS: [ObjectType; 6] = [
    ObjectType::Meeting,
    ObjectType::Call,
    ObjectType::Email,
    ObjectType::Communication,
    ObjectType::Note,
    ObjectType::Task,
];

/// When it took place, or is to.
const TIMESTAMP: &str = "hs_timestamp";
/// Whose it is.
const OWNER: &str = "hubspot_owner_id";
/// The longest title that is kept, in characters.
const TITLE: usize = 500;

/// What asks for those that are known is done after so many requests of a kind in one reading; the next
/// reading goes on (`docs/decisions/0051`).
pub const WALK_REQUESTS: u32 = 10;
/// What HubSpot may not tell of e-mails without it.
pub const EMAIL_SCOPE: &str = "sales-email-read";

/// The kind that is read after this one.
pub fn after(kind: ObjectType) -> Option<ObjectType> {
    let at = KINDS.iter().position(|k| *k == kind)?;
    KINDS.get(at + 1).copied()
}

/// The property that holds the title. Notes and messages have none.
pub const fn title_property(kind: ObjectType) -> Option<&'static str> {
    match kind {
        ObjectType::Email => Some("hs_email_subject"),
        ObjectType::Call => Some("hs_call_title"),
        ObjectType::Meeting => Some("hs_meeting_title"),
        ObjectType::Task => Some("hs_task_subject"),
        _ => None,
    }
}

/// The properties that hold the text: the first that has one counts.
pub const fn text_properties(kind: ObjectType) -> &'static [&'static str] {
    match kind {
        ObjectType::Email => &["hs_email_text", "hs_email_html"],
        ObjectType::Call => &["hs_call_body"],
        ObjectType::Meeting => &["hs_meeting_body"],
        ObjectType::Note => &["hs_note_body"],
        ObjectType::Task => &["hs_task_body"],
        ObjectType::Communication => &["hs_communication_body"],
        _ => &[],
    }
}

/// What is asked for of an engagement. `key` is the property with our unique key, where the portal has it;
/// `texts` whether the workspace reads them.
pub fn properties(kind: ObjectType, key: Option<&str>, texts: bool) -> Vec<String> {
    let texts = if texts { text_properties(kind) } else { &[] };
    [Some(TIMESTAMP), Some(OWNER), title_property(kind), key]
        .into_iter()
        .flatten()
        .chain(texts.iter().copied())
        .map(str::to_owned)
        .collect()
}

/// The moment before which nothing is kept: so many days ago.
pub fn window(context: &ActivityContext, now: DateTime<Utc>) -> DateTime<Utc> {
    now - TimeDelta::days(i64::from(context.days))
}

/// Which engagements of a kind a reading asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// All that took place since then, or are to, by HubSpot's clock.
    Whole(DateTime<Utc>),
    /// What was modified since then, by HubSpot's clock.
    Changed(DateTime<Utc>),
}

/// What of a kind was read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// So many days.
    pub days: u32,
    /// Whether with the texts.
    pub texts: bool,
}

/// Which engagements of a kind are asked for. Its whole window is read at first, and again when it became
/// longer than what was `covered`, or when the texts are wanted too; then what was modified since `since`.
///
/// A window of what was *modified* would miss a meeting that somebody made long ago and that took place
/// yesterday.
pub fn reach(
    covered: Option<Covered>,
    context: &ActivityContext,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Reach {
    match covered {
        Some(covered) if covered.days >= context.days && (covered.texts || !context.bodies) => {
            Reach::Changed(since)
        }
        _ => Reach::Whole(window(context, now)),
    }
}

/// What an engagement says.
#[derive(Clone, PartialEq, Eq)]
pub struct Said {
    /// When it took place, or is to: of a task when it is due.
    pub at: DateTime<Utc>,
    /// Whose it is.
    pub owner: Option<HubSpotOwnerId>,
    /// Its title, cut where it is long.
    pub title: Option<String>,
    /// The words of its text, cut where they are many; none where they were not asked for.
    pub text: Option<String>,
    /// Whether it holds our unique key: we wrote it.
    pub ours: bool,
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Said")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// Reads an engagement's properties; `None` where it has no time that can be read.
pub fn said(kind: ObjectType, properties: &str, key: Option<&str>) -> Option<Said> {
    let all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(properties).ok()?;
    let value = |name: &str| {
        all.get(name)
            .and_then(serde_json::Value::as_str)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    };
    let at = value(TIMESTAMP)?;
    let at = match at.parse::<i64>() {
        Ok(millis) => DateTime::from_timestamp_millis(millis)?,
        Err(_) => parse_datetime(at)?,
    };
    Some(Said {
        at,
        owner: value(OWNER).and_then(|owner| owner.parse().ok()),
        title: title_property(kind).and_then(value).map(|title| {
            let shown = title.chars().filter(|c| !c.is_control());
            shown.take(TITLE).collect()
        }),
        text: text_properties(kind)
            .iter()
            .find_map(|name| Some((*name, value(name)?)))
            .map(|(name, text)| words(name, text))
            .filter(|text| !text.is_empty()),
        ours: key.and_then(value).is_some(),
    })
}

/// The words of a text. All but an e-mail's plain one are HTML.
fn words(property: &str, text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .collect();
    let words = if property == "hs_email_text" {
        text
    } else {
        html::words(&text)
    };
    html::shortened(words.trim(), html::MOST).0
}

/// The place of an engagement among a person's, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TouchPlace {
    /// When it took place.
    pub at: DateTime<Utc>,
    /// Its kind.
    pub kind: ObjectType,
    /// Which one.
    pub id: HubSpotObjectId,
}

impl TouchPlace {
    fn key(&self) -> (std::cmp::Reverse<i64>, i16, HubSpotObjectId) {
        let at = std::cmp::Reverse(self.at.timestamp_micros());
        (at, self.kind.number(), self.id)
    }
}

impl PartialOrd for TouchPlace {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TouchPlace {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl fmt::Display for TouchPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.timestamp_micros();
        write!(f, "{at}_{}_{}", self.kind.number(), self.id)
    }
}

impl FromStr for TouchPlace {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        const MALFORMED: IdError = IdError::Malformed {
            kind: "cursor",
            expected: "the `next` of the page before",
        };
        let mut parts = text.split('_');
        let mut part = || parts.next().ok_or(MALFORMED);
        let (at, kind, id) = (part()?, part()?, part()?);
        let micros: i64 = at.parse().map_err(|_| MALFORMED)?;
        let number: i16 = kind.parse().map_err(|_| MALFORMED)?;
        Ok(Self {
            at: DateTime::from_timestamp_micros(micros).ok_or(MALFORMED)?,
            kind: ObjectType::from_number(number).ok_or(MALFORMED)?,
            id: id.parse().map_err(|_| MALFORMED)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn every_engagement_is_read_once() {
        let mut kinds = vec![KINDS[0]];
        while let Some(next) = after(kinds[kinds.len() - 1]) {
            kinds.push(next);
        }
        kinds.sort();
        let mut all: Vec<_> = ObjectType::ALL
            .into_iter()
            .filter(|t| t.is_engagement())
            .collect();
        all.sort();
        assert_eq!(kinds, all);
    }

    #[test]
    fn texts_are_asked_for_where_they_are_wanted() {
        for kind in KINDS {
            let is_text = |name: &String| ["body", "html", "text"].iter().any(|t| name.contains(t));
            let without = properties(kind, Some("our_key"), false);
            assert!(!without.iter().any(is_text), "{kind}: {without:?}");
            let with = properties(kind, Some("our_key"), true);
            assert!(with.iter().any(is_text), "{kind}: {with:?}");
        }
    }

    #[test]
    fn a_text_is_its_words() {
        let of = |kind, properties: serde_json::Value| {
            let mut all = properties;
            all["hs_timestamp"] = json!("1796000000000");
            said(kind, &all.to_string(), None).unwrap().text
        };
        let note = of(
            ObjectType::Note,
            json!({"hs_note_body": "<p>One &amp; two</p><script>no()</script><p>three\u{0}</p>"}),
        );
        assert_eq!(note.as_deref(), Some("One & two three"));
        let mail = json!({"hs_email_text": " a < b\r\nc ", "hs_email_html": "<p>other</p>"});
        assert_eq!(of(ObjectType::Email, mail).as_deref(), Some("a < b\nc"));
        let html = json!({"hs_email_text": null, "hs_email_html": "<p>other</p>"});
        assert_eq!(of(ObjectType::Email, html).as_deref(), Some("other"));
        for none in [
            json!({}),
            json!({"hs_note_body": null}),
            json!({"hs_note_body": "<p> </p>"}),
        ] {
            assert_eq!(of(ObjectType::Note, none), None);
        }
        let long = json!({"hs_note_body": "x".repeat(70_000)});
        let long = of(ObjectType::Note, long).unwrap();
        assert_eq!(
            (long.len() <= html::MOST + 2, long.ends_with(html::MARK)),
            (true, true)
        );
    }

    #[test]
    fn the_window_is_read_whole_until_it_is_covered() {
        let context = ActivityContext {
            days: 30,
            ..ActivityContext::default()
        };
        let (now, since) = (at("2026-11-30T00:00:00Z"), at("2026-11-29T23:50:00Z"));
        let whole = Reach::Whole(at("2026-10-31T00:00:00Z"));
        let with_texts = ActivityContext {
            bodies: true,
            ..context.clone()
        };
        let changed = Reach::Changed(since);
        let of = |days, texts| Some(Covered { days, texts });
        for (covered, without, with) in [
            (None, whole, whole),
            (of(29, true), whole, whole),
            (of(30, false), changed, whole),
            (of(30, true), changed, changed),
            (of(90, false), changed, whole),
            (of(90, true), changed, changed),
        ] {
            assert_eq!(reach(covered, &context, since, now), without, "{covered:?}");
            assert_eq!(reach(covered, &with_texts, since, now), with, "{covered:?}");
        }
    }

    #[test]
    fn what_an_engagement_says() {
        let read = |kind, properties: serde_json::Value| {
            said(kind, &properties.to_string(), Some("our_key"))
        };
        let met = json!({
            "hs_timestamp": "1795996800000", "hubspot_owner_id": "7", "hs_meeting_title": " Demo\u{0}\n ",
            "our_key": null, "hs_meeting_body": "secret",
        });
        let said = read(ObjectType::Meeting, met).unwrap();
        assert_eq!(said.at, at("2026-11-30T00:00:00Z"));
        assert_eq!(said.owner, "7".parse().ok());
        assert_eq!(said.title.as_deref(), Some("Demo"));
        assert!(!said.ours);
        assert!(!format!("{said:?}").contains("Demo"));

        let bare = json!({"hs_timestamp": "2026-11-30T00:00:00Z", "hubspot_owner_id": "",
            "hs_note_body": "secret", "our_key": "k"});
        let said = read(ObjectType::Note, bare).unwrap();
        assert_eq!((said.owner, said.title, said.ours), (None, None, true));

        let long =
            json!({"hs_timestamp": "2026-11-30T00:00:00Z", "hs_call_title": "é".repeat(900)});
        let title = read(ObjectType::Call, long).unwrap().title.unwrap();
        assert_eq!(title.chars().count(), TITLE);

        for broken in [json!({}), json!({"hs_timestamp": "soon"}), json!([1])] {
            assert_eq!(read(ObjectType::Call, broken), None);
        }
    }

    proptest! {
        #[test]
        fn places_read_back_and_go_from_new_to_old(
            a in 0i64..4_000_000_000_000_000, b in 0i64..4_000_000_000_000_000, kind in 0usize..6, id in 0i64..,
        ) {
            let place = |micros| TouchPlace {
                at: DateTime::from_timestamp_micros(micros).unwrap(),
                kind: KINDS[kind],
                id: HubSpotObjectId::new(id).unwrap(),
            };
            let (a, b) = (place(a), place(b));
            prop_assert_eq!(a.to_string().parse::<TouchPlace>().unwrap(), a);
            prop_assert_eq!(a.cmp(&b), b.at.cmp(&a.at));
        }
    }
}
