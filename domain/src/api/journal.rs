//! The journal and its reverts (E10), and how a preview is asked for (E9).

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RulePreview;
use crate::{
    ErrorCode, HubSpotObjectId, ObjectType, RevertId,
    app::{ActivityId, AppCompanyId, PersonId},
    export::{
        RequestKind, RevertState,
        journal::{Cause, Entry, EntryId, EntryState, Operation, Subject, Written},
    },
};

/// Asks what an export of a lead would do (E9). Nothing is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// Whom.
    pub person: PersonId,
    /// As of an export that makes a contact again which was archived in HubSpot.
    #[serde(default)]
    pub anew: bool,
}

/// Reverts one property of an entry (E10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevertRequest {
    /// The property's name, as the entry has it.
    #[schema(min_length = 1)]
    pub property: String,
}

/// A revert and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevertAnswer {
    /// Which revert.
    pub revert: RevertId,
    /// In whose export the entry was written.
    pub person: PersonId,
    /// Which entry is reverted.
    pub entry: EntryId,
    /// Which of its properties.
    pub property: String,
    /// Where it stands.
    pub state: RevertState,
    /// Of a refused one: the paragraph about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// When its state last changed.
    pub changed_at: DateTime<Utc>,
}

/// Why something was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum JournalCause {
    /// A request to export.
    Request {
        /// Of which kind.
        kind: RequestKind,
    },
    /// The company was needed by a person's export.
    Company,
    /// HubSpot's own automation had replaced what was written.
    Repair,
    /// Somebody reverted an entry.
    Revert {
        /// The reverted entry.
        entry: EntryId,
    },
}

/// Whom or what of the app's a write is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum JournalSubject {
    /// A person.
    Person {
        /// The app's id.
        id: PersonId,
    },
    /// A company of the app.
    Company {
        /// The app's id.
        id: AppCompanyId,
    },
    /// A company that only a person's address names.
    CompanyOfAddress,
    /// An activity (E8).
    Activity {
        /// The app's id.
        id: ActivityId,
    },
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JournalOperation {
    /// A record was made.
    Create,
    /// Values of a record were written.
    Update,
    /// Properties of a record were emptied, right before another entry wrote them: HubSpot moves
    /// lifecycle stages only forward otherwise.
    Empty,
    /// A contact and a company were associated.
    Associate,
    /// A record was moved into the recycle bin.
    Archive,
}

/// How an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JournalState {
    /// It is about to be sent, or nobody knows yet what became of it.
    Open,
    /// HubSpot has it.
    Done,
    /// HubSpot refused it; nothing was written.
    Refused,
    /// It was given up before it was sent.
    Dropped,
}

/// What was done to one property. `Debug` does not show its values (X5).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JournalProperty {
    /// The property's name.
    pub property: String,
    /// The rule that wanted it; null of a revert.
    pub rule: Option<RulePreview>,
    /// What HubSpot had, before it was emptied for this write where it was; null where it had nothing,
    /// or where it is no longer kept.
    pub old: Option<String>,
    /// What stands there afterwards; null where it was emptied, or where it is no longer kept.
    pub new: Option<String>,
    /// Whether a value was replaced that is still known, so that a revert can bring it back as long as
    /// HubSpot has what was written.
    pub can_revert: bool,
}

impl fmt::Debug for JournalProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalProperty")
            .field("property", &self.property)
            .field("rule", &self.rule)
            .field("can_revert", &self.can_revert)
            .finish_non_exhaustive()
    }
}

/// A write to HubSpot: committed before it was sent, closed after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JournalEntry {
    /// Which entry.
    pub entry: EntryId,
    /// In whose export it was written; missing once the person was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// Whom or what of the app's it is about.
    pub about: JournalSubject,
    /// Why.
    pub cause: JournalCause,
    /// What was done.
    pub operation: JournalOperation,
    /// The type of the record; of an association the contact's.
    pub record_type: ObjectType,
    /// The record; null of one that was to be made and is not known to be there.
    pub hubspot_id: Option<HubSpotObjectId>,
    /// Of an association: the company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<HubSpotObjectId>,
    /// The properties; none of an association.
    pub properties: Vec<JournalProperty>,
    /// How it stands.
    pub state: JournalState,
    /// Of a refused one: the paragraph about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// When it was committed.
    pub opened_at: DateTime<Utc>,
    /// When it was last sent; null: never.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it was closed; null of an open one.
    pub closed_at: Option<DateTime<Utc>>,
}

impl From<&Cause> for JournalCause {
    fn from(cause: &Cause) -> Self {
        match cause {
            Cause::Request(kind) => Self::Request { kind: *kind },
            Cause::Company => Self::Company,
            Cause::Repair => Self::Repair,
            Cause::Revert(entry) => Self::Revert { entry: *entry },
        }
    }
}

impl From<&Subject> for JournalSubject {
    fn from(subject: &Subject) -> Self {
        match subject {
            Subject::Person(id) => Self::Person { id: id.clone() },
            Subject::Company(id) => Self::Company { id: id.clone() },
            Subject::CompanyOf(_) => Self::CompanyOfAddress,
            Subject::Activity(id) => Self::Activity { id: id.clone() },
        }
    }
}

impl JournalProperty {
    fn new(written: &Written, entry: &Entry) -> Self {
        let text = |value: &Option<crate::export::HubSpotValue>| {
            value.as_ref().map(|value| value.as_str().to_owned())
        };
        Self {
            property: written.property.clone(),
            rule: written.rule.as_ref().map(RulePreview::from),
            old: text(&written.old),
            new: text(&written.new),
            can_revert: crate::export::revert::may_revert(entry, &written.property).is_ok(),
        }
    }
}

impl JournalEntry {
    /// Shows an entry.
    pub fn new(
        entry: &Entry,
        person: Option<PersonId>,
        sent_at: Option<DateTime<Utc>>,
        code: Option<ErrorCode>,
    ) -> Self {
        let (operation, record_type, known, company) = match &entry.operation {
            Operation::Create(object_type) => (JournalOperation::Create, *object_type, None, None),
            Operation::Update(object_type, id) => {
                (JournalOperation::Update, *object_type, Some(*id), None)
            }
            Operation::Empty(object_type, id) => {
                (JournalOperation::Empty, *object_type, Some(*id), None)
            }
            Operation::Archive(object_type, id) => {
                (JournalOperation::Archive, *object_type, Some(*id), None)
            }
            Operation::Associate {
                contact, company, ..
            } => (
                JournalOperation::Associate,
                ObjectType::Contact,
                Some(*contact),
                Some(*company),
            ),
        };
        let (state, hubspot_id, closed_at) = match entry.state {
            EntryState::Open { .. } => (JournalState::Open, known, None),
            EntryState::Done { record, at } => (JournalState::Done, Some(record), Some(at)),
            EntryState::Refused { at } => (JournalState::Refused, known, Some(at)),
            EntryState::Dropped { at } => (JournalState::Dropped, known, Some(at)),
        };
        Self {
            entry: entry.id,
            person,
            about: (&entry.subject).into(),
            cause: (&entry.cause).into(),
            operation,
            record_type,
            hubspot_id,
            company,
            properties: entry
                .written
                .iter()
                .map(|written| JournalProperty::new(written, entry))
                .collect(),
            state,
            code,
            opened_at: entry.opened_at,
            sent_at,
            closed_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::HubSpotValue;

    fn written(property: &str, old: Option<&str>, new: Option<&str>, overwrote: bool) -> Written {
        Written {
            property: property.to_owned(),
            rule: None,
            old: old.and_then(HubSpotValue::stored),
            new: new.and_then(HubSpotValue::stored),
            overwrote,
            sent: None,
        }
    }

    fn entry(state: EntryState) -> Entry {
        Entry {
            id: EntryId::new(uuid::Uuid::from_u128(1)),
            subject: Subject::Person("p1".parse().unwrap()),
            cause: Cause::Request(RequestKind::Manual),
            operation: Operation::Create(ObjectType::Contact),
            written: vec![
                written("jobtitle", Some("Head"), Some("Boss"), true),
                written("city", None, Some("Ulm"), false),
                written("phone", None, None, true),
            ],
            opened_at: DateTime::UNIX_EPOCH,
            state,
        }
    }

    #[test]
    fn what_can_be_reverted_is_shown_of_a_done_overwrite_whose_values_are_kept() {
        let record = HubSpotObjectId::new(7).unwrap();
        let at = DateTime::UNIX_EPOCH;
        let shown = |state| JournalEntry::new(&entry(state), None, None, None);
        let done = shown(EntryState::Done { record, at });
        let can: Vec<bool> = done.properties.iter().map(|p| p.can_revert).collect();
        assert_eq!(can, [true, false, false]);
        assert_eq!(done.hubspot_id, Some(record));
        for state in [
            EntryState::Open { sent_at: None },
            EntryState::Refused { at },
            EntryState::Dropped { at },
        ] {
            let other = shown(state);
            assert!(other.properties.iter().all(|p| !p.can_revert));
            assert_eq!(other.hubspot_id, None);
        }
        assert!(!format!("{done:?}").contains("Boss"));
    }
}
