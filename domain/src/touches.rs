//! Recent engagements of other reps (I10): which are read, from which moment on, and what is kept of
//! them.

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    HubSpotObjectId, HubSpotOwnerId, IdError, ObjectType, app::value::parse_datetime,
    settings::ActivityContext,
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

/// The kind that is read after this one.
pub fn after(kind: ObjectType) -> Option<ObjectType> {
    let at = KINDS.iter().position(|k| *k == kind)?;
    KINDS.get(at + 1).copied()
}

/// The property that holds the title. Notes and messages have none; their texts are not read.
pub const fn title_property(kind: ObjectType) -> Option<&'static str> {
    match kind {
        ObjectType::Email => Some("hs_email_subject"),
        ObjectType::Call => Some("hs_call_title"),
        ObjectType::Meeting => Some("hs_meeting_title"),
        ObjectType::Task => Some("hs_task_subject"),
        _ => None,
    }
}

/// What is asked for of an engagement. `key` is the property with our unique key, where the portal has it.
pub fn properties(kind: ObjectType, key: Option<&str>) -> Vec<String> {
    [Some(TIMESTAMP), Some(OWNER), title_property(kind), key]
        .into_iter()
        .flatten()
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

/// Which engagements of a kind are asked for. Its whole window is read at first, and again when it became
/// longer than what was `covered`; then what was modified since `since`.
///
/// A window of what was *modified* would miss a meeting that somebody made long ago and that took place
/// yesterday.
pub fn reach(
    covered: Option<u32>,
    context: &ActivityContext,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Reach {
    match covered {
        Some(days) if days >= context.days => Reach::Changed(since),
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
        ours: key.and_then(value).is_some(),
    })
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
    fn no_text_is_asked_for() {
        for kind in KINDS {
            for name in properties(kind, Some("our_key")) {
                let text = name.contains("body") || name.contains("html") || name.contains("text");
                assert!(!text, "{kind} {name}");
            }
        }
    }

    #[test]
    fn the_window_is_read_whole_until_it_is_covered() {
        let context = ActivityContext {
            days: 30,
            ..ActivityContext::default()
        };
        let (now, since) = (at("2026-11-30T00:00:00Z"), at("2026-11-29T23:50:00Z"));
        let whole = Reach::Whole(at("2026-10-31T00:00:00Z"));
        for (covered, wanted) in [
            (None, whole),
            (Some(29), whole),
            (Some(30), Reach::Changed(since)),
            (Some(90), Reach::Changed(since)),
        ] {
            assert_eq!(reach(covered, &context, since, now), wanted, "{covered:?}");
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
