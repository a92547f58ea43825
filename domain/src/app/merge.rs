//! How versioned partial updates come together: the newest version of each slot wins.
//!
//! A record has one version for each *slot* (`email`, `status`, `fields.job_title`, …). An update
//! sets the slots that it mentions, where its version is newer than theirs. So updates may arrive
//! in any order and any number of times, and the end is the same as in order; a version for the
//! whole record could not promise that, as an older update may mention what a newer one does not.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FieldKey, FieldValue, Patch, RecordVersion};

/// A part of a record that has its own version: `email`, `status`, `fields.job_title`, ….
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Slot(Cow<'static, str>);

impl Slot {
    /// A slot beside `fields`.
    pub const fn named(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// A slot under `fields`.
    pub fn field(key: &str) -> Self {
        Self(Cow::Owned(format!("fields.{key}")))
    }

    /// A place within an item, such as `content.email.to[3].email`. It must hold no value.
    pub const fn place(path: String) -> Self {
        Self(Cow::Owned(path))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The versions of a record's slots, small: a slot that holds a value and stands here has that
/// version; one that holds a value and does not stand here has the record's version; one that is
/// empty and stands here was cleared at that version; one that is empty and does not stand here was
/// never mentioned. Stored beside the record as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotVersions(BTreeMap<Slot, RecordVersion>);

impl SlotVersions {
    /// Whether every slot that holds a value has the record's version, and none was cleared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The version of a slot that holds a value.
    pub(super) fn of_value(&self, slot: &Slot, record: RecordVersion) -> RecordVersion {
        self.0.get(slot).copied().unwrap_or(record)
    }

    fn get(&self, slot: &Slot, holds_value: bool, record: RecordVersion) -> Option<RecordVersion> {
        self.0
            .get(slot)
            .copied()
            .or_else(|| holds_value.then_some(record))
    }
}

/// What came of one versioned update.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum UpsertOutcome {
    /// The record is new.
    Created,
    /// At least one slot has another value now.
    Updated,
    /// Nothing has another value; what was sent is what is stored.
    Unchanged,
    /// Everything that was sent is older than what is stored.
    Stale,
    /// Not applied at all: see the problem beside it.
    Refused,
    /// Not applied: the person was erased (C7), and stays so.
    Erased,
}

crate::named::named!(UpsertOutcome, "outcome");

/// The same version was sent before with another value for this slot (HS-2207). Which of them is
/// right cannot be known, and last-wins would make the end depend on the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{slot} was sent before with version {version} and another value; send it with a higher version"
)]
pub struct VersionConflict {
    /// Which slot.
    pub slot: Slot,
    /// Which version.
    pub version: RecordVersion,
}

/// A record after an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged<R> {
    /// The record as it is to be stored.
    pub record: R,
    /// What came of the update: `created`, `updated`, `unchanged` or `stale`.
    pub outcome: UpsertOutcome,
    /// The slots that have another value than before.
    pub changed: Vec<Slot>,
    /// Whether there is anything to write: also when only versions moved on, for otherwise an older
    /// update that comes late would win over what was confirmed by a newer one.
    pub write: bool,
}

/// A record that is made of slots.
pub trait Versioned: Sized {
    /// A partial update of it.
    type Upsert;

    /// Applies an update to what is stored.
    ///
    /// # Errors
    /// [`VersionConflict`]; nothing of the update is applied then.
    fn apply(
        existing: Option<&Self>,
        upsert: &Self::Upsert,
    ) -> Result<Merged<Self>, VersionConflict>;
}

/// Merges one record, slot by slot.
#[derive(Debug)]
pub(super) struct Merger<'a> {
    stored: Option<(RecordVersion, &'a SlotVersions)>,
    incoming: RecordVersion,
    /// The versions of all slots that were ever mentioned, and whether each holds a value.
    seen: Vec<(Slot, RecordVersion, bool)>,
    changed: Vec<Slot>,
    conflict: Option<VersionConflict>,
    older_only: bool,
    moved: bool,
}

impl<'a> Merger<'a> {
    pub(super) const fn new(
        stored: Option<(RecordVersion, &'a SlotVersions)>,
        incoming: RecordVersion,
    ) -> Self {
        Self {
            stored,
            incoming,
            seen: Vec::new(),
            changed: Vec::new(),
            conflict: None,
            older_only: true,
            moved: false,
        }
    }

    /// The value that the slot has from now on.
    pub(super) fn slot<T: PartialEq + Clone>(
        &mut self,
        slot: Slot,
        stored: Option<&T>,
        patch: Patch<&T>,
    ) -> Option<T> {
        let stored_version = self
            .stored
            .and_then(|(record, slots)| slots.get(&slot, stored.is_some(), record));
        let (value, version) = match patch {
            Patch::Keep => (stored, stored_version),
            _ => {
                let incoming = patch.value().copied();
                match stored_version {
                    Some(version) if self.incoming < version => (stored, stored_version),
                    Some(version) if self.incoming == version => {
                        self.older_only = false;
                        if stored != incoming && self.conflict.is_none() {
                            self.conflict = Some(VersionConflict {
                                slot: slot.clone(),
                                version,
                            });
                        }
                        (stored, stored_version)
                    }
                    _ => {
                        self.older_only = false;
                        self.moved = true;
                        if stored != incoming {
                            self.changed.push(slot.clone());
                        }
                        (incoming, Some(self.incoming))
                    }
                }
            }
        };
        if let Some(version) = version {
            self.seen.push((slot, version, value.is_some()));
        }
        value.cloned()
    }

    /// The values under `fields` from now on. `None` in the update clears.
    pub(super) fn fields(
        &mut self,
        stored: Option<&BTreeMap<FieldKey, FieldValue>>,
        patch: &BTreeMap<FieldKey, Option<FieldValue>>,
    ) -> BTreeMap<FieldKey, FieldValue> {
        let cleared = self
            .stored
            .into_iter()
            .flat_map(|(_, slots)| slots.0.keys())
            .filter_map(|slot| slot.as_str().strip_prefix("fields."))
            .filter_map(|key| FieldKey::parse(key).ok());
        let keys: BTreeSet<FieldKey> = stored
            .into_iter()
            .flat_map(|fields| fields.keys())
            .chain(patch.keys())
            .cloned()
            .chain(cleared)
            .collect();
        let mut fields = BTreeMap::new();
        for key in keys {
            let patch = match patch.get(&key) {
                None => Patch::Keep,
                Some(value) => Patch::from_option(value.as_ref()),
            };
            let stored = stored.and_then(|fields| fields.get(&key));
            if let Some(value) = self.slot(Slot::field(key.as_str()), stored, patch) {
                fields.insert(key, value);
            }
        }
        fields
    }

    /// Ends the merge: `build` makes the record of its version and its slots' versions.
    pub(super) fn finish<R>(
        self,
        build: impl FnOnce(RecordVersion, SlotVersions) -> R,
    ) -> Result<Merged<R>, VersionConflict> {
        if let Some(conflict) = self.conflict {
            return Err(conflict);
        }
        let stored_version = self.stored.map(|(version, _)| version);
        let version = stored_version.map_or(self.incoming, |v| v.max(self.incoming));
        let slots = SlotVersions(
            self.seen
                .into_iter()
                .filter(|(_, v, holds_value)| !holds_value || *v != version)
                .map(|(slot, v, _)| (slot, v))
                .collect(),
        );
        let outcome = match stored_version {
            None => UpsertOutcome::Created,
            Some(_) if !self.changed.is_empty() => UpsertOutcome::Updated,
            Some(stored) if self.incoming < stored && self.older_only => UpsertOutcome::Stale,
            Some(_) => UpsertOutcome::Unchanged,
        };
        Ok(Merged {
            record: build(version, slots),
            outcome,
            changed: self.changed,
            write: stored_version != Some(version) || self.moved,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::*, *};

    /// What an upsert says, small enough to draw at random.
    #[derive(Debug, Clone)]
    struct Said {
        version: u64,
        email: Option<Option<u8>>,
        status: Option<Option<LeadStatus>>,
        replied: Option<Option<u8>>,
        title: Option<Option<u8>>,
        city: Option<Option<u8>>,
    }

    impl Said {
        fn upsert(&self) -> PersonUpsert {
            let mut input = PersonInput::new("p-1", self.version);
            let patch = |said: Option<Option<String>>| said.map_or(Patch::Keep, Patch::from_option);
            input.email = patch(self.email.map(|v| v.map(|n| format!("a{n}@b.example"))));
            input.status = patch(self.status.map(|v| v.map(|s| s.to_string())));
            input.replied_at = self.replied.map_or(Patch::Keep, |v| {
                Patch::from_option(v.map(|n| {
                    chrono::DateTime::from_timestamp(1_800_000_000 + i64::from(n), 0).unwrap()
                }))
            });
            for (key, said) in [("job_title", self.title), ("city", self.city)] {
                if let Some(value) = said {
                    let value = value.map(|n| FieldValue::Text(format!("v{n}")));
                    input.fields.insert(key.to_owned(), value);
                }
            }
            input.check(&Fields::new([])).unwrap()
        }
    }

    fn said(version: u64) -> impl Strategy<Value = Said> {
        let value = || proptest::option::of(proptest::option::of(0u8..3));
        (
            value(),
            proptest::option::of(proptest::option::of(proptest::sample::select(
                LeadStatus::ALL.to_vec(),
            ))),
            value(),
            value(),
            value(),
        )
            .prop_map(move |(email, status, replied, title, city)| Said {
                version,
                email,
                status,
                replied,
                title,
                city,
            })
    }

    /// A history in order, and the same in another order with repetitions.
    fn histories() -> impl Strategy<Value = (Vec<Said>, Vec<Said>)> {
        (1usize..8)
            .prop_flat_map(|n| (0..n as u64).map(said).collect::<Vec<_>>())
            .prop_flat_map(|history| {
                let n = history.len();
                (
                    Just(history.clone()),
                    Just(history).prop_shuffle(),
                    proptest::collection::vec(0..n, 0..6),
                )
            })
            .prop_map(|(history, mut shuffled, again)| {
                for at in again {
                    shuffled.push(shuffled[at].clone());
                }
                (history, shuffled)
            })
    }

    fn run(history: &[Said]) -> Person {
        let mut person: Option<Person> = None;
        for said in history {
            let merged = Person::apply(person.as_ref(), &said.upsert()).unwrap();
            let stays = person.as_ref() == Some(&merged.record);
            assert_eq!(merged.write, !stays, "what is not written would be lost");
            if merged.outcome == UpsertOutcome::Stale || merged.outcome == UpsertOutcome::Unchanged
            {
                assert!(merged.changed.is_empty());
            }
            person = Some(merged.record);
        }
        person.unwrap()
    }

    /// What the history amounts to, said without the rule under test: of each slot the last word.
    fn last_words(history: &[Said]) -> serde_json::Value {
        let last = |said: fn(&Said) -> Option<Option<String>>| {
            history.iter().rev().find_map(said).flatten()
        };
        let mut fields = serde_json::Map::new();
        if let Some(v) = last(|s| s.title.map(|v| v.map(|n| format!("v{n}")))) {
            fields.insert("job_title".to_owned(), v.into());
        }
        if let Some(v) = last(|s| s.city.map(|v| v.map(|n| format!("v{n}")))) {
            fields.insert("city".to_owned(), v.into());
        }
        serde_json::json!({
            "version": history.len() - 1,
            "email": last(|s| s.email.map(|v| v.map(|n| format!("a{n}@b.example")))),
            "status": last(|s| s.status.map(|v| v.map(|s| s.to_string()))),
            "fields": fields,
        })
    }

    proptest! {
        #[test]
        fn any_interleaving_ends_as_in_order((history, shuffled) in histories()) {
            let in_order = run(&history);
            let json = |p: &Person| serde_json::to_value(p).unwrap();
            prop_assert_eq!(json(&run(&shuffled)), json(&in_order));
            prop_assert_eq!(&run(&shuffled).slots, &in_order.slots);
            let want = last_words(&history);
            for key in ["version", "email", "status", "fields"] {
                prop_assert_eq!(&json(&in_order)[key], &want[key], "{}", key);
            }
        }

        #[test]
        fn versions_are_stored_and_read_back((history, _) in histories()) {
            let person = run(&history);
            let json = serde_json::to_string(&person.slots).unwrap();
            prop_assert_eq!(serde_json::from_str::<SlotVersions>(&json).unwrap(), person.slots);
        }

        #[test]
        fn the_same_again_writes_nothing((history, _) in histories()) {
            let person = run(&history);
            for said in &history {
                let merged = Person::apply(Some(&person), &said.upsert()).unwrap();
                prop_assert!(!merged.write);
                prop_assert_eq!(merged.record.slots, person.slots.clone());
            }
        }
    }

    fn titled(version: u64, title: Option<&str>) -> PersonUpsert {
        let mut input = PersonInput::new("p-1", version);
        input.fields.insert(
            "job_title".to_owned(),
            title.map(|t| FieldValue::Text(t.to_owned())),
        );
        input.check(&Fields::new([])).unwrap()
    }

    #[test]
    fn outcomes() {
        let stored = Person::apply(None, &titled(5, Some("a"))).unwrap();
        assert_eq!(stored.outcome, UpsertOutcome::Created);
        let stored = stored.record;
        for (version, title, outcome, write) in [
            (5, Some("a"), UpsertOutcome::Unchanged, false),
            (6, Some("a"), UpsertOutcome::Unchanged, true),
            (6, Some("b"), UpsertOutcome::Updated, true),
            (6, None, UpsertOutcome::Updated, true),
            (4, Some("b"), UpsertOutcome::Stale, false),
            (4, Some("a"), UpsertOutcome::Stale, false),
        ] {
            let merged = Person::apply(Some(&stored), &titled(version, title)).unwrap();
            assert_eq!(
                (merged.outcome, merged.write),
                (outcome, write),
                "{version} {title:?}"
            );
        }
    }

    #[test]
    fn the_same_version_with_another_value_is_refused_and_names_the_slot() {
        let stored = Person::apply(None, &titled(5, Some("a"))).unwrap().record;
        for other in [Some("b"), None] {
            let conflict = Person::apply(Some(&stored), &titled(5, other)).unwrap_err();
            assert_eq!(conflict.slot.as_str(), "fields.job_title");
            let problem = ItemProblem::from(conflict);
            assert_eq!(problem.code, ItemCode::VersionConflict);
        }
    }

    #[test]
    fn an_update_may_come_in_pieces() {
        let stored = Person::apply(None, &titled(5, Some("a"))).unwrap().record;
        let mut piece = PersonInput::new("p-1", 5);
        piece.status = Patch::Set("replied".to_owned());
        let piece = piece.check(&Fields::new([])).unwrap();
        let merged = Person::apply(Some(&stored), &piece).unwrap();
        assert_eq!(merged.outcome, UpsertOutcome::Updated);
        assert_eq!(merged.changed, [Slot::named("status")]);
        assert!(merged.record.slots.is_empty());
    }
}
