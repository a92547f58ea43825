//! An activity: sent whole with each version, so that an edit replaces it and a deletion empties it.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content::{self, ActivityContent};
use crate::{
    app::{
        ActivityId, ItemCode, ItemProblem, MemberId, Merged, PersonId, RecordVersion, Slot,
        SlotVersions, UpsertOutcome, VersionConflict, Versioned,
        person::{check_id, check_version},
    },
    settings::ActivityKind,
};

/// How far ahead of ours the clocks of senders may be.
const AHEAD: TimeDelta = TimeDelta::days(1);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// When. Of a meeting when it was booked, of a task when it was made.
    pub at: DateTime<Utc>,
    /// The team member who acted.
    pub member: Option<MemberId>,
    /// The campaign that it belongs to.
    pub campaign: Option<String>,
    /// What it holds.
    pub content: ActivityContent,
}

/// An activity as it is stored: with its newest version, whole.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// The app's id.
    pub id: ActivityId,
    /// The version that was sent last.
    pub version: RecordVersion,
    /// About whom.
    pub person: PersonId,
    /// Which kind; none of one that was deleted before anybody said what it was.
    pub kind: Option<ActivityKind>,
    /// What happened; none where the app deleted it.
    pub happened: Option<Happened>,
    /// Always empty: the version is that of all parts.
    #[serde(skip)]
    pub slots: SlotVersions,
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activity")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// An activity as it stands in JSON: whole, or deleted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivityInput {
    /// The app's id.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    pub id: String,
    /// The version of this state of it. An older one never replaces a newer one.
    #[schema(value_type = i64, minimum = 0)]
    pub version: u64,
    /// The app's id of the person that it is about. An activity keeps its person.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    pub person: String,
    /// Whether the app deleted it. Nothing else is given then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// When it happened: of a meeting when it was booked, of a task when it was made. Needed, unless it
    /// was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// The app's id of the team member who acted; HubSpot shows the owner who stands for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MemberId>)]
    pub member: Option<String>,
    /// The campaign that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// What it holds, under the name of its kind. Needed, unless it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ActivityContent>,
}

impl fmt::Debug for ActivityInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivityInput")
            .field("version", &self.version)
            .field("deleted", &self.deleted)
            .finish_non_exhaustive()
    }
}

impl ActivityInput {
    /// Checks each part and brings it into the form that is stored.
    ///
    /// What happened lies in the past: only clocks differ. Of meetings and tasks that holds for when they
    /// were made, not for when they are.
    ///
    /// # Errors
    /// The first [`ItemProblem`]; the item is refused as a whole then.
    pub fn check(self, now: DateTime<Utc>) -> Result<ActivityUpsert, ItemProblem> {
        let id = check_id("id", self.id)?;
        let version = check_version(self.version)?;
        let person = check_id("person", self.person)?;
        let not_whole =
            |slot, what| ItemProblem::new(ItemCode::ActivityNotWhole, Slot::named(slot), what);
        if self.deleted {
            let given = [
                ("content", self.content.is_some()),
                ("at", self.at.is_some()),
                ("member", self.member.is_some()),
                ("campaign", self.campaign.is_some()),
            ];
            return match given.iter().find(|(_, given)| *given) {
                Some((slot, _)) => Err(not_whole(slot, "leave it out beside `deleted`")),
                None => Ok(ActivityUpsert {
                    id,
                    version,
                    person,
                    happened: None,
                }),
            };
        }
        let at = self
            .at
            .ok_or_else(|| not_whole("at", "say when it happened, or `deleted: true`"))?;
        let content = self
            .content
            .ok_or_else(|| not_whole("content", "say what it holds, or `deleted: true`"))?;
        let at = content::time(at, || Slot::named("at"))?;
        if at > now + AHEAD {
            return Err(ItemProblem::new(
                ItemCode::ValueDoesNotFit,
                Slot::named("at"),
                "it lies in the future; send it once it happened, and give the time of a meeting as `start`, that of a task as `due`",
            ));
        }
        let member = self.member.map(|id| check_id("member", id)).transpose()?;
        let campaign = self
            .campaign
            .map(|name| name.replace(char::is_control, " "));
        Ok(ActivityUpsert {
            id,
            version,
            person,
            happened: Some(Happened {
                at,
                member,
                campaign: campaign
                    .map(|name| name.chars().take(MOST_OF_CAMPAIGN).collect::<String>())
                    .filter(|name| !name.trim().is_empty()),
                content: content.check()?,
            }),
        })
    }
}

/// Of a campaign's name no more is kept.
const MOST_OF_CAMPAIGN: usize = 500;

/// An activity that was sent, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct ActivityUpsert {
    /// The app's id.
    pub id: ActivityId,
    /// The version of this state of it.
    pub version: RecordVersion,
    /// About whom.
    pub person: PersonId,
    /// What happened; none: it was deleted.
    pub happened: Option<Happened>,
}

impl fmt::Debug for ActivityUpsert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivityUpsert")
            .field("id", &self.id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl ActivityUpsert {
    fn kind(&self) -> Option<ActivityKind> {
        self.happened.as_ref().map(|h| h.content.kind())
    }
}

impl Activity {
    /// What of an activity an update cannot change, and tries to.
    pub fn keeps(&self, upsert: &ActivityUpsert) -> Option<Slot> {
        let other = |slot, differs: bool| differs.then(|| Slot::named(slot));
        other("person", self.person != upsert.person).or_else(|| {
            let kinds = self.kind.zip(upsert.kind());
            other("content", kinds.is_some_and(|(was, is)| was != is))
        })
    }
}

impl Versioned for Activity {
    type Upsert = ActivityUpsert;

    /// The highest version replaces what there is.
    fn apply(
        existing: Option<&Self>,
        upsert: &ActivityUpsert,
    ) -> Result<Merged<Self>, VersionConflict> {
        let record = Self {
            id: upsert.id.clone(),
            version: upsert.version,
            person: upsert.person.clone(),
            kind: upsert.kind().or_else(|| existing.and_then(|e| e.kind)),
            happened: upsert.happened.clone(),
            slots: SlotVersions::default(),
        };
        let kept = |existing: &Self, outcome| Merged {
            record: existing.clone(),
            outcome,
            changed: Vec::new(),
            write: false,
        };
        let changed = vec![Slot::named("content")];
        let Some(existing) = existing else {
            return Ok(Merged {
                record,
                outcome: UpsertOutcome::Created,
                changed,
                write: true,
            });
        };
        if upsert.version < existing.version {
            let mut stale = kept(existing, UpsertOutcome::Stale);
            // A deletion that came first did not say what it is.
            if existing.kind.is_none() && upsert.kind().is_some() {
                stale.record.kind = upsert.kind();
                stale.write = true;
            }
            return Ok(stale);
        }
        let same = existing.happened == upsert.happened;
        if upsert.version == existing.version {
            return if same {
                Ok(kept(existing, UpsertOutcome::Unchanged))
            } else {
                Err(VersionConflict {
                    slot: Slot::named("content"),
                    version: existing.version,
                })
            };
        }
        Ok(Merged {
            record,
            outcome: if same {
                UpsertOutcome::Unchanged
            } else {
                UpsertOutcome::Updated
            },
            changed: if same { Vec::new() } else { changed },
            write: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }

    fn check(over: &Value) -> Result<ActivityUpsert, ItemProblem> {
        let mut item = json!({
            "id": "a1", "version": 1, "person": "p1", "at": "2026-11-01T08:00:00.1234Z",
            "content": {"note": {"text": "hello"}},
        });
        for (name, value) in over.as_object().unwrap() {
            if value.is_null() {
                item.as_object_mut().unwrap().remove(name);
            } else {
                item[name] = value.clone();
            }
        }
        serde_json::from_value::<ActivityInput>(item)
            .unwrap()
            .check(now())
    }

    #[test]
    fn what_is_refused_names_its_place_and_not_its_value() {
        use ItemCode as C;
        let many: Vec<Value> = (0..2_001)
            .map(|n| json!({"email": format!("a{n}@b.example")}))
            .collect();
        for (over, code, place) in [
            (json!({"id": "a b"}), C::IdNotValid, "id"),
            (json!({"person": "jane@x.example"}), C::IdNotValid, "person"),
            (json!({"member": "jane@x.example"}), C::IdNotValid, "member"),
            (json!({"at": null}), C::ActivityNotWhole, "at"),
            (json!({"content": null}), C::ActivityNotWhole, "content"),
            (json!({"deleted": true}), C::ActivityNotWhole, "content"),
            (
                json!({"deleted": true, "content": null}),
                C::ActivityNotWhole,
                "at",
            ),
            (
                json!({"at": "1969-12-31T23:59:59Z"}),
                C::ValueDoesNotFit,
                "at",
            ),
            (
                json!({"at": "2026-11-30T12:00:01Z"}),
                C::ValueDoesNotFit,
                "at",
            ),
            (
                json!({"content": {"note": {"text": " \n "}}}),
                C::ValueDoesNotFit,
                "content.note.text",
            ),
            (
                json!({"content": {"note": {}}}),
                C::ValueDoesNotFit,
                "content.note.text",
            ),
            (
                json!({"content": {"task": {"title": " "}}}),
                C::ValueDoesNotFit,
                "content.task.title",
            ),
            (
                json!({"content": {"meeting": {"title": "x", "start": "1960-01-01T00:00:00Z"}}}),
                C::ValueDoesNotFit,
                "content.meeting.start",
            ),
            (
                json!({"content": {"meeting": {"title": "x", "start": "2027-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}}}),
                C::ValueDoesNotFit,
                "content.meeting.end",
            ),
            (
                json!({"content": {"call": {"direction": "incoming", "recording_url": "http://x.example/secret"}}}),
                C::ValueDoesNotFit,
                "content.call.recording_url",
            ),
            (
                json!({"content": {"call": {"direction": "incoming", "recording_url": "https://x.example/\"><script>"}}}),
                C::ValueDoesNotFit,
                "content.call.recording_url",
            ),
            (
                json!({"content": {"email": {"direction": "outgoing", "to": [{"email": "a@b.example"}, {"email": "secret"}]}}}),
                C::EmailNotValid,
                "content.email.to[1].email",
            ),
            (
                json!({"content": {"email": {"direction": "outgoing", "cc": many}}}),
                C::ValueDoesNotFit,
                "content.email.cc",
            ),
            (
                json!({"content": {"email": {"direction": "outgoing", "html": "x".repeat(ActivityContent::MAX_BYTES + 1)}}}),
                C::ActivityTooLarge,
                "content.email",
            ),
        ] {
            let problem = check(&over).unwrap_err();
            assert_eq!((problem.code, problem.field.as_str()), (code, place));
            assert!(
                !problem.to_string().contains("secret") && !problem.to_string().contains("jane")
            );
        }
    }

    #[test]
    fn what_is_taken() {
        let two_mb = "<b>x</b>".repeat(256 * 1024);
        let many: Vec<Value> = (0..1_000)
            .map(|n| json!({"email": format!("A{n}@b.example")}))
            .collect();
        for content in [
            json!({"email": {"direction": "incoming"}}),
            json!({"email": {"direction": "outgoing", "html": two_mb, "to": many}}),
            json!({"linkedin_message": {"direction": "outgoing", "text": ""}}),
            json!({"linkedin_connection_request": {}}),
            json!({"call": {"direction": "outgoing", "recording_url": "HTTPS://r.example/1"}}),
            json!({"meeting": {"title": "x", "start": "2030-01-01T00:00:00Z"}}),
            json!({"task": {"title": "x", "due": "2030-01-01T00:00:00Z"}}),
            json!({"note": {"text": "שלום 👋🏽\u{0}"}}),
        ] {
            let upsert = check(&json!({"content": content})).unwrap();
            let happened = upsert.happened.unwrap();
            assert_eq!(happened.at.timestamp_subsec_nanos(), 123_000_000);
            let json = serde_json::to_string(&happened).unwrap();
            assert!(!json.contains("\\u0000"));
            let back: Happened = serde_json::from_str(&json).unwrap();
            assert_eq!(back, happened);
            if let ActivityContent::Email(email) = &happened.content
                && let Some(first) = email.to.first()
            {
                assert_eq!(first.email, "a0@b.example");
            }
        }
    }

    fn upsert(version: u64, text: Option<&str>) -> ActivityUpsert {
        let over = match text {
            Some(text) => json!({"version": version, "content": {"note": {"text": text}}}),
            None => json!({"version": version, "deleted": true, "at": null, "content": null}),
        };
        check(&over).unwrap()
    }

    #[test]
    fn the_highest_version_stands() {
        let first = Activity::apply(None, &upsert(5, Some("a"))).unwrap();
        assert_eq!(first.outcome, UpsertOutcome::Created);
        let of = |version, text| Activity::apply(Some(&first.record), &upsert(version, text));
        for (version, text, want, write) in [
            (4, Some("b"), UpsertOutcome::Stale, false),
            (4, None, UpsertOutcome::Stale, false),
            (5, Some("a"), UpsertOutcome::Unchanged, false),
            (6, Some("a"), UpsertOutcome::Unchanged, true),
            (6, Some("b"), UpsertOutcome::Updated, true),
            (6, None, UpsertOutcome::Updated, true),
        ] {
            let merged = of(version, text).unwrap();
            assert_eq!(
                (merged.outcome, merged.write),
                (want, write),
                "{version} {text:?}"
            );
        }
        assert!(of(5, Some("b")).is_err());
        let deleted = of(6, None).unwrap().record;
        assert_eq!(
            (deleted.kind, deleted.happened.is_none()),
            (Some(ActivityKind::Note), true)
        );
    }

    #[test]
    fn person_and_kind_stay() {
        let first = Activity::apply(None, &upsert(5, Some("a"))).unwrap().record;
        let keeps = |over| {
            first
                .keeps(&check(&over).unwrap())
                .map(|slot| slot.to_string())
        };
        assert_eq!(keeps(json!({"version": 6})), None);
        assert_eq!(keeps(json!({"person": "p2"})).as_deref(), Some("person"));
        let task = json!({"content": {"task": {"title": "x"}}});
        assert_eq!(keeps(task).as_deref(), Some("content"));
    }

    proptest! {
        /// In whatever order versions come, and however often, the end is the same.
        #[test]
        fn order_does_not_matter(mut order in proptest::collection::vec(1u64..6, 1..12)) {
            let of = |version: u64| upsert(version, (!version.is_multiple_of(3)).then_some(["a", "b"][(version % 2) as usize]));
            let run = |all: &[u64]| {
                let mut record: Option<Activity> = None;
                for version in all {
                    record = Some(Activity::apply(record.as_ref(), &of(*version)).unwrap().record);
                }
                record.unwrap()
            };
            let any = run(&order);
            order.sort_unstable();
            prop_assert_eq!(any, run(&order));
        }
    }
}
