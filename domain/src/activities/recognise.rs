//! Recognising an engagement of ours where no unique property tells it (X2, design §4.5): by its time and
//! its words.

use std::{collections::BTreeSet, fmt::Write as _};

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use super::{
    engagement::{Engagement, OWNER, TIMESTAMP},
    html,
};
use crate::{
    HubSpotObjectId,
    app::value::parse_datetime,
    export::{HubSpotValue, RecordRead, journal::Written},
};

/// Says by what a value in HubSpot was made: `INTEGRATION` of those of apps.
pub const SOURCE: &str = "hs_object_source";
/// What it says of what an app made.
pub const BY_AN_APP: &str = "INTEGRATION";

/// Properties with words, by which an engagement is recognised.
const WORDS: [&str; 8] = [
    "hs_email_subject",
    "hs_email_html",
    "hs_communication_body",
    "hs_call_title",
    "hs_meeting_title",
    "hs_note_body",
    "hs_task_subject",
    "hs_task_body",
];

/// Values that the journal may show: they say nothing of what was written.
const SHOWN: [&str; 16] = [
    TIMESTAMP,
    OWNER,
    "hs_email_direction",
    "hs_email_status",
    "hs_call_direction",
    "hs_call_status",
    "hs_call_disposition",
    "hs_call_duration",
    "hs_communication_channel_type",
    "hs_communication_logged_from",
    "hs_meeting_start_time",
    "hs_meeting_end_time",
    "hs_meeting_outcome",
    "hs_task_status",
    "hs_task_priority",
    "hs_task_type",
];

/// What a digest begins with.
const DIGEST: &str = "sha256:";

/// Whether what the journal keeps of an engagement stands for a text, which it never keeps itself.
pub fn is_digest(kept: &str) -> bool {
    kept.starts_with(DIGEST)
}

/// The digest of a text's words.
fn digest(text: &str) -> String {
    let hash = Sha256::digest(html::essence(text).as_bytes());
    hash.iter()
        .take(16)
        .fold(DIGEST.to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// What the journal keeps of an engagement: names of properties, the values of those that say nothing of
/// what was written, and digests of all others. Never a text (X5).
pub fn written(engagement: &Engagement) -> Vec<Written> {
    engagement
        .properties
        .iter()
        .map(|(property, value)| {
            let kept = if SHOWN.contains(&property.as_str()) {
                HubSpotValue::stored(value)
            } else {
                HubSpotValue::stored(&digest(value))
            };
            Written {
                property: property.clone(),
                rule: None,
                old: None,
                new: kept,
                overwrote: false,
                sent: None,
            }
        })
        .collect()
}

/// The properties that a read asks for to recognise an engagement of which this was written.
pub fn asked(written: &[Written]) -> Vec<String> {
    let mut names: Vec<String> = written
        .iter()
        .filter(|w| w.property == TIMESTAMP || WORDS.contains(&w.property.as_str()))
        .map(|w| w.property.clone())
        .collect();
    names.push(SOURCE.to_owned());
    names
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    match text.parse::<i64>() {
        Ok(millis) => DateTime::from_timestamp_millis(millis),
        Err(_) => parse_datetime(text),
    }
}

/// Whether an engagement says what was written: the same time and the same words. Without a time that the
/// journal knows nothing is recognised.
pub fn is_same(written: &[Written], read: &RecordRead) -> bool {
    let mut timed = false;
    let all = written.iter().all(|w| {
        let Some(new) = &w.new else {
            return true;
        };
        let value = read.value(&w.property);
        if w.property == TIMESTAMP {
            timed = true;
            let (wanted, found) = (time(new.as_str()), value.and_then(time));
            return wanted.is_some() && wanted == found;
        }
        // HubSpot writes some of the others in its own way.
        if WORDS.contains(&w.property.as_str()) {
            // Without `sales-email-read` the body is left out: what is not told is not another one.
            let untold = w.property == "hs_email_html" && value.is_none();
            return untold || value.is_some_and(|value| digest(value) == new.as_str());
        }
        true
    });
    all && timed
}

/// Whether all that was written is kept, so that nothing else can have been: older entries have nothing but
/// the words.
pub fn is_whole(written: &[Written]) -> bool {
    written.iter().all(|w| w.new.is_some())
}

/// Whether an update was done: everything that it wrote is there. What an edit changes may be nothing by
/// which an engagement is recognised, and of what is not kept nobody can say: then it is written again.
pub fn is_done(written: &[Written], read: &RecordRead) -> bool {
    written.iter().all(|w| {
        let value = read.value(&w.property);
        w.new.as_ref().zip(value).is_some_and(|(new, value)| {
            let new = new.as_str();
            let moment = || time(new).is_some_and(|wanted| time(value) == Some(wanted));
            new == value || new == digest(value) || moment()
        })
    })
}

/// The engagement that a create made, among those of the contact: one of an app's that says the same and is
/// nobody else's. Where two are wanted that say the same, each takes one.
pub fn made<'r>(
    written: &[Written],
    found: impl IntoIterator<Item = &'r RecordRead>,
    taken: &BTreeSet<HubSpotObjectId>,
) -> Option<HubSpotObjectId> {
    found
        .into_iter()
        .filter(|read| !taken.contains(&read.id()))
        .filter(|read| read.value(SOURCE).is_none_or(|source| source == BY_AN_APP))
        .filter(|read| is_same(written, read))
        .map(RecordRead::id)
        .min()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        activities::{ActivityContent, Happened, Mapping, engagement},
        settings::ActivitySettings,
    };

    fn note(text: &str) -> Engagement {
        let happened = Happened {
            at: "2026-11-01T08:00:00.123Z".parse().unwrap(),
            member: None,
            campaign: None,
            content: serde_json::from_value::<ActivityContent>(json!({"note": {"text": text}}))
                .unwrap(),
        };
        let settings = ActivitySettings::default();
        engagement(
            &happened,
            &Mapping {
                activities: &settings,
                rows: &[],
                properties: None,
                owner: "7".parse().ok(),
            },
        )
    }

    fn read(id: i64, over: &Value) -> RecordRead {
        let mut properties = json!({
            "hs_timestamp": "2026-11-01T08:00:00.123Z", "hs_object_source": "INTEGRATION",
            "hs_note_body": "<div>[Artisan]</div> <p>Hello <b>you</b></p>",
        });
        for (name, value) in over.as_object().unwrap() {
            properties[name] = value.clone();
        }
        RecordRead::fresh(
            HubSpotObjectId::new(id).unwrap(),
            [],
            properties.as_object().unwrap(),
        )
    }

    #[test]
    fn the_same_time_and_words_are_ours() {
        let written = written(&note("Hello you"));
        for (over, same) in [
            (json!({}), true),
            (json!({"hs_timestamp": "1793520000123"}), true),
            (json!({"hs_timestamp": "2026-11-01T08:00:00.124Z"}), false),
            (json!({"hs_timestamp": null}), false),
            (json!({"hs_note_body": "<p>[Artisan] Hello</p>"}), false),
            (json!({"hs_note_body": null}), false),
            (json!({"hs_object_source": "CRM_UI"}), false),
            (json!({"hs_object_source": null}), true),
            (json!({"hubspot_owner_id": "8"}), true),
        ] {
            let found = made(&written, [&read(5, &over)], &BTreeSet::new());
            assert_eq!(found.is_some(), same, "{over}");
        }
    }

    #[test]
    fn an_update_is_done_where_everything_is_there() {
        let whole = written(&note("Hello you"));
        let done = json!({"hubspot_owner_id": "7"});
        let without = |name: &str| {
            let mut over = done.clone();
            over[name] = Value::Null;
            over
        };
        assert!(is_whole(&whole) && is_done(&whole, &read(5, &done)));
        for over in [
            json!({"hubspot_owner_id": "8"}),
            without("hubspot_owner_id"),
            without("hs_note_body"),
            without("hs_timestamp"),
        ] {
            assert!(!is_done(&whole, &read(5, &over)), "{over}");
        }
        // Of what is not kept it cannot be told.
        let mut partly = whole;
        partly[0].new = None;
        assert!(!is_whole(&partly) && !is_done(&partly, &read(5, &done)));
    }

    #[test]
    fn two_that_say_the_same_stay_two() {
        let written = written(&note("Hello you"));
        let (a, b) = (read(5, &json!({})), read(6, &json!({})));
        let id = |n| HubSpotObjectId::new(n).unwrap();
        assert_eq!(made(&written, [&b, &a], &BTreeSet::new()), Some(id(5)));
        assert_eq!(
            made(&written, [&b, &a], &BTreeSet::from([id(5)])),
            Some(id(6))
        );
        assert_eq!(
            made(&written, [&a, &b], &BTreeSet::from([id(5), id(6)])),
            None
        );
    }

    #[test]
    fn the_journal_has_no_words() {
        let written = written(&note("Hello secret"));
        let json = serde_json::to_string(&written).unwrap();
        assert!(!json.contains("secret") && !json.contains("Artisan"));
        assert_eq!(
            asked(&written),
            ["hs_note_body", "hs_timestamp", "hs_object_source"]
        );
        // What retention took recognises nothing.
        let mut bare = written;
        for w in &mut bare {
            w.new = None;
        }
        assert!(!is_same(&bare, &read(5, &json!({}))));
    }
}
