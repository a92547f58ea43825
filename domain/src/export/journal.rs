//! The journal (E10): each write to HubSpot is an entry that is committed before the write and closed
//! after it. The entry is the intent: a retry that finds the new values closes it as done, and a
//! write of unknown outcome is not sent again before it had time to land (X2).

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Change, HubSpotValue, RequestKind, Rule,
    lifecycle::LIFECYCLE,
    record::{Known, RecordRead},
    sameness::Definitions,
};
use crate::{
    HubSpotObjectId, IdError, ObjectType,
    activities::recognise::{BY_AN_APP, SOURCE},
    app::{ActivityId, AppCompanyId, LeadStatus, PersonId},
};

/// An entry of the journal.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct EntryId(Uuid);

impl EntryId {
    /// Wraps a UUID; version 7, so that entries sort by time.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for EntryId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|_| IdError::Malformed {
                kind: "journal entry",
                expected: "a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057",
            })
    }
}

/// Why something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A request.
    Request(RequestKind),
    /// The company was needed by a person's export.
    Company,
    /// HubSpot's own automation had replaced what was written.
    Repair,
    /// Somebody reverted an entry.
    Revert(EntryId),
}

/// Whom or what of the app's a write is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A person.
    Person(PersonId),
    /// A company of the app.
    Company(AppCompanyId),
    /// A company that only a person's address names, in the export of this person.
    CompanyOf(PersonId),
    /// An activity (E8).
    Activity(ActivityId),
}

/// What was done to one property.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The property's name.
    pub property: String,
    /// The rule that wanted it; none of a revert.
    pub rule: Option<Rule>,
    /// What HubSpot had; none where it had nothing, or where retention took it.
    pub old: Option<HubSpotValue>,
    /// What stands there afterwards; none where it was emptied, or where retention took it.
    pub new: Option<HubSpotValue>,
    /// Whether the old value was replaced: what a revert can bring back. Not of a property that was only
    /// emptied: the write that follows replaces it.
    pub overwrote: bool,
    /// What was sent, where HubSpot made something else of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<HubSpotValue>,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written")
            .field("property", &self.property)
            .field("rule", &self.rule)
            .field("overwrote", &self.overwrote)
            .finish_non_exhaustive()
    }
}

impl From<&Change> for Written {
    fn from(change: &Change) -> Self {
        Self {
            property: change.property.clone(),
            rule: Some(change.rule.clone()),
            overwrote: change.old.is_some(),
            old: change.old.clone(),
            new: Some(change.write.result().clone()),
            sent: None,
        }
    }
}

/// What HubSpot's answer shows of what was written, where it is something else.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Landed {
    /// All that was written, as it stands there now; none where it is as it was sent.
    pub written: Option<Vec<Written>>,
    /// Properties that HubSpot left as they were: a stage that was moved on meanwhile.
    pub kept: Vec<String>,
}

/// Compares what was sent with HubSpot's answer to it. What the answer does not show is as it was sent.
pub fn landed(changes: &[Change], answer: &RecordRead, definitions: Definitions<'_>) -> Landed {
    let mut landed = Landed::default();
    let mut all = Vec::new();
    let mut other = false;
    for change in changes {
        let mut written = Written::from(change);
        let wanted = change.write.result().as_str();
        let shown = answer
            .value(&change.property)
            .filter(|shown| !definitions.same(&change.property, shown, wanted))
            .and_then(HubSpotValue::stored);
        if let Some(shown) = shown {
            other = true;
            if change.property == LIFECYCLE {
                landed.kept.push(change.property.clone());
                continue;
            }
            written.sent = written.new.replace(shown);
        }
        all.push(written);
    }
    landed.written = other.then_some(all);
    landed
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A new record.
    Create(ObjectType),
    /// Values of a record.
    Update(ObjectType, HubSpotObjectId),
    /// Properties of a record are emptied, right before another entry writes them: HubSpot moves
    /// lifecycle stages only forward otherwise.
    Empty(ObjectType, HubSpotObjectId),
    /// A contact and its company.
    Associate {
        /// The contact.
        contact: HubSpotObjectId,
        /// The company.
        company: HubSpotObjectId,
        /// Whether as the contact's primary company.
        primary: bool,
    },
    /// Into the recycle bin: what the app deleted (E8).
    Archive(ObjectType, HubSpotObjectId),
}

/// How an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryState {
    /// Committed, and not known to be done: it was not sent yet, or nobody knows what became of it.
    Open {
        /// When it was last sent; none: never.
        sent_at: Option<DateTime<Utc>>,
    },
    /// HubSpot has it.
    Done {
        /// The record; of a new one the id that HubSpot gave.
        record: HubSpotObjectId,
        /// When that was known.
        at: DateTime<Utc>,
    },
    /// HubSpot refused it; nothing was written.
    Refused {
        /// When.
        at: DateTime<Utc>,
    },
    /// It was given up before it was sent: the plan was another one by then.
    Dropped {
        /// When.
        at: DateTime<Utc>,
    },
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which one.
    pub id: EntryId,
    /// About whom.
    pub subject: Subject,
    /// Why.
    pub cause: Cause,
    /// What is sent.
    pub operation: Operation,
    /// Its properties; none of an association.
    pub written: Vec<Written>,
    /// When it was committed.
    pub opened_at: DateTime<Utc>,
    /// How it stands.
    pub state: EntryState,
}

/// Why an entry cannot turn like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal's entry is closed already")]
pub struct Closed;

impl Entry {
    /// What HubSpot was told of a status by this write once it is done; the inner one is none where the
    /// property was only emptied, the outer one where it is not about a status.
    pub fn status_told(&self) -> Option<Option<LeadStatus>> {
        let empties = matches!(self.operation, Operation::Empty(..));
        self.written.iter().find_map(|written| match written.rule {
            Some(Rule::Status(status)) => Some((!empties).then_some(status)),
            _ => None,
        })
    }

    /// The entry to commit before a write is sent.
    pub fn open(
        id: EntryId,
        subject: Subject,
        cause: Cause,
        operation: Operation,
        changes: &[Change],
        now: DateTime<Utc>,
    ) -> Self {
        let empties = matches!(operation, Operation::Empty(..));
        Self {
            id,
            subject,
            cause,
            operation,
            written: changes
                .iter()
                .map(|change| Written {
                    new: (!empties).then(|| change.write.result().clone()),
                    overwrote: !empties && change.old.is_some(),
                    ..Written::from(change)
                })
                .collect(),
            opened_at: now,
            state: EntryState::Open { sent_at: None },
        }
    }

    /// Turns an open entry; a closed one stays for ever.
    ///
    /// # Errors
    /// [`Closed`].
    pub const fn turn(&mut self, state: EntryState) -> Result<(), Closed> {
        match self.state {
            EntryState::Open { .. } => {
                self.state = state;
                Ok(())
            }
            _ => Err(Closed),
        }
    }

    /// Whether HubSpot has what the entry says.
    pub const fn is_done(&self) -> bool {
        matches!(self.state, EntryState::Done { .. })
    }

    /// The properties that it writes.
    pub fn properties(&self) -> Vec<String> {
        self.written.iter().map(|w| w.property.clone()).collect()
    }
}

/// Whether a contact was made, by the entries about its person.
pub fn made_contact(entries: &[Entry]) -> bool {
    let mut done = entries.iter().filter(|entry| entry.is_done());
    done.any(|entry| entry.operation == Operation::Create(ObjectType::Contact))
}

/// What a read-back of an open entry's record brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBack<'a> {
    /// The record: of a create the one that was found by the address, the domain or our key.
    Record(&'a RecordRead),
    /// HubSpot said that there is none.
    Nothing,
    /// The answer says neither.
    Doubtful,
    /// Of an association: whether it is there, primary where it was to be.
    Associated(bool),
}

/// What becomes of an open entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It landed.
    Done,
    /// It may still land: looked at again at this time.
    Wait(DateTime<Utc>),
    /// It was never sent, or had its time and did not land: the entry ends as dropped, and a new plan
    /// is made.
    PlanAgain,
    /// The answer says nothing: read back again.
    ReadAgain,
}

/// Takes over an open entry, whoever left it. A write that may have been sent is not sent again before
/// `settle` has passed since, and then only after a read-back that found nothing of it.
pub fn take_over(
    entry: &Entry,
    back: ReadBack<'_>,
    definitions: Definitions<'_>,
    settle: TimeDelta,
    now: DateTime<Utc>,
) -> Taken {
    let EntryState::Open { sent_at } = entry.state else {
        return Taken::Done;
    };
    let Some(sent_at) = sent_at else {
        return Taken::PlanAgain;
    };
    let landed = match (back, &entry.operation) {
        (ReadBack::Doubtful, _) => return Taken::ReadAgain,
        (ReadBack::Nothing, _) => false,
        (ReadBack::Associated(there), _) => there,
        // What was found by its key is the record, whatever its values are by now; but a contact that
        // somebody made by hand meanwhile.
        (ReadBack::Record(read), Operation::Create(ObjectType::Contact)) => {
            read.value(SOURCE).is_none_or(|source| source == BY_AN_APP)
        }
        (ReadBack::Record(_), Operation::Create(_)) => true,
        (ReadBack::Record(read), Operation::Empty(..)) => entry
            .written
            .iter()
            .all(|written| read.known(&written.property) == Known::Empty),
        (ReadBack::Record(read), _) => entry.written.iter().all(|written| {
            written.new.as_ref().is_some_and(|new| {
                read.value(&written.property)
                    .is_some_and(|now| definitions.same(&written.property, now, new.as_str()))
            })
        }),
    };
    let settled = sent_at + settle;
    if landed {
        Taken::Done
    } else if now < settled {
        Taken::Wait(settled)
    } else {
        Taken::PlanAgain
    }
}
