//! An entry as a row, both ways. The only place that knows how the columns hold it.

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType, PortalId, WorkspaceId,
    app::PersonId,
    export::journal::{Entry, EntryId, EntryState, Operation, Subject, Written},
};

use crate::{
    Listed, StoreError, UnreadableRow,
    mirror::{object_id, type_number},
};

/// An entry with what the table says beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// The portal that it was written to.
    pub portal: PortalId,
    /// In whose export it was written; nobody any more after an erasure.
    pub person: Option<PersonId>,
    /// What was written and why.
    pub entry: Entry,
    /// When it was last sent, however it stands now.
    pub sent_at: Option<DateTime<Utc>>,
    /// Why HubSpot refused it: the paragraph of `docs/errors.md`.
    pub error_code: Option<String>,
}

/// A row of `export_journal`, as it comes. The JSON columns are read as text.
#[derive(Debug, Clone)]
pub(crate) struct EntryRow {
    pub(crate) entry_id: uuid::Uuid,
    pub(crate) portal_id: i64,
    pub(crate) person_id: String,
    pub(crate) subject_kind: String,
    pub(crate) subject_id: String,
    pub(crate) cause: String,
    pub(crate) operation: String,
    pub(crate) object_id: Option<i64>,
    pub(crate) written: String,
    pub(crate) state: String,
    pub(crate) error_code: Option<String>,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) sent_at: Option<DateTime<Utc>>,
    pub(crate) closed_at: Option<DateTime<Utc>>,
}

/// What an entry is in columns. `sent_at` is that of an open entry: whoever closes one leaves the
/// column as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryColumns<'e> {
    pub(crate) entry_id: uuid::Uuid,
    pub(crate) subject_kind: &'static str,
    pub(crate) subject_id: &'e str,
    pub(crate) cause: String,
    pub(crate) operation: String,
    pub(crate) object_type: i16,
    pub(crate) object_id: Option<i64>,
    pub(crate) written: String,
    pub(crate) state: &'static str,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) sent_at: Option<DateTime<Utc>>,
    pub(crate) closed_at: Option<DateTime<Utc>>,
}

/// The name and the id of a subject.
pub(crate) fn subject_columns(subject: &Subject) -> (&'static str, &str) {
    match subject {
        Subject::Person(person) => ("person", person.as_str()),
        Subject::Company(company) => ("company", company.as_str()),
        Subject::CompanyOf(person) => ("company_of", person.as_str()),
        Subject::Activity(activity) => ("activity", activity.as_str()),
    }
}

/// The record that an operation writes, as far as it is known before it is done.
const fn record_of(operation: &Operation) -> (ObjectType, Option<HubSpotObjectId>) {
    match operation {
        Operation::Create(object_type) => (*object_type, None),
        Operation::Update(object_type, record)
        | Operation::Empty(object_type, record)
        | Operation::Archive(object_type, record) => (*object_type, Some(*record)),
        Operation::Associate { contact, .. } => (ObjectType::Contact, Some(*contact)),
    }
}

/// The columns of an entry.
///
/// # Errors
/// [`StoreError::Corrupt`] when it is no JSON, which none is.
pub(crate) fn columns(entry: &Entry) -> Result<EntryColumns<'_>, StoreError> {
    let (subject_kind, subject_id) = subject_columns(&entry.subject);
    let (object_type, known) = record_of(&entry.operation);
    let (state, object_id, sent_at, closed_at) = match entry.state {
        EntryState::Open { sent_at } => ("open", known, sent_at, None),
        EntryState::Done { record, at } => ("done", Some(record), None, Some(at)),
        EntryState::Refused { at } => ("refused", known, None, Some(at)),
        EntryState::Dropped { at } => ("dropped", known, None, Some(at)),
    };
    Ok(EntryColumns {
        entry_id: entry.id.as_uuid(),
        subject_kind,
        subject_id,
        cause: json_of(&entry.cause)?,
        operation: json_of(&entry.operation)?,
        object_type: type_number(object_type),
        object_id: object_id.map(|id| id.get()),
        written: json_of(&entry.written)?,
        state,
        opened_at: entry.opened_at,
        sent_at,
        closed_at,
    })
}

pub(super) fn json_of(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt("journal entry"))
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| UNREADABLE)
}

/// What stands before the keyed hash that takes the place of an erased person's id. No id has it.
pub(crate) const ERASED: char = '#';

/// What an entry is called that cannot be read.
pub(crate) const NAME: &str = "journal entry";
const UNREADABLE: StoreError = StoreError::Unreadable(NAME);

impl TryFrom<EntryRow> for JournalRow {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Self, StoreError> {
        let subject = match row.subject_kind.as_str() {
            "person" => Subject::Person(row.subject_id.parse().map_err(|_| UNREADABLE)?),
            "company" => Subject::Company(row.subject_id.parse().map_err(|_| UNREADABLE)?),
            "activity" => Subject::Activity(row.subject_id.parse().map_err(|_| UNREADABLE)?),
            "company_of" => Subject::CompanyOf(row.subject_id.parse().map_err(|_| UNREADABLE)?),
            _ => return Err(UNREADABLE),
        };
        let closed = || row.closed_at.ok_or(UNREADABLE);
        let state = match row.state.as_str() {
            "open" => EntryState::Open {
                sent_at: row.sent_at,
            },
            "done" => EntryState::Done {
                record: row
                    .object_id
                    .ok_or(UNREADABLE)
                    .and_then(|id| object_id(id).map_err(|_| UNREADABLE))?,
                at: closed()?,
            },
            "refused" => EntryState::Refused { at: closed()? },
            "dropped" => EntryState::Dropped { at: closed()? },
            _ => return Err(UNREADABLE),
        };
        Ok(Self {
            portal: PortalId::new(row.portal_id).map_err(|_| UNREADABLE)?,
            person: if row.person_id.starts_with(ERASED) {
                None
            } else {
                Some(row.person_id.parse().map_err(|_| UNREADABLE)?)
            },
            sent_at: row.sent_at,
            error_code: row.error_code,
            entry: Entry {
                id: EntryId::new(row.entry_id),
                subject,
                cause: json(&row.cause)?,
                operation: json(&row.operation)?,
                written: json::<Vec<Written>>(&row.written)?,
                opened_at: row.opened_at,
                state,
            },
        })
    }
}

impl EntryRow {
    /// As part of a listing: one that cannot be read harms only itself.
    pub(crate) fn listed(self, workspace: WorkspaceId) -> Listed<JournalRow> {
        let id = self.entry_id;
        JournalRow::try_from(self).map_err(|_| UnreadableRow::found(workspace, NAME, id))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use domain::{
        app::LeadStatus,
        export::{HubSpotValue, RequestKind, Rule, journal::Cause},
        owners::OwnerForMember,
    };
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 123_000).unwrap() + TimeDelta::seconds(seconds)
    }

    fn id(n: i64) -> HubSpotObjectId {
        HubSpotObjectId::new(n).unwrap()
    }

    fn written(rule: Option<Rule>, old: Option<&str>, new: Option<&str>) -> Written {
        Written {
            property: "jobtitle".to_owned(),
            rule,
            old: old.and_then(HubSpotValue::stored),
            new: new.and_then(HubSpotValue::stored),
            overwrote: true,
            sent: None,
        }
    }

    /// As the database would give it back.
    fn stored(entry: &Entry) -> EntryRow {
        let columns = columns(entry).unwrap();
        EntryRow {
            entry_id: columns.entry_id,
            portal_id: 7,
            person_id: "lead_01".to_owned(),
            subject_kind: columns.subject_kind.to_owned(),
            subject_id: columns.subject_id.to_owned(),
            cause: columns.cause,
            operation: columns.operation,
            object_id: columns.object_id,
            written: columns.written,
            state: columns.state.to_owned(),
            error_code: None,
            opened_at: columns.opened_at,
            sent_at: columns.sent_at,
            closed_at: columns.closed_at,
        }
    }

    fn subjects() -> Vec<Subject> {
        vec![
            Subject::Person("lead_01".parse().unwrap()),
            Subject::Company("acme".parse().unwrap()),
            Subject::CompanyOf("lead_01".parse().unwrap()),
            Subject::Activity("mail_01".parse().unwrap()),
        ]
    }

    fn causes() -> Vec<Cause> {
        let requests = RequestKind::ALL.iter().map(|kind| Cause::Request(*kind));
        let others = [
            Cause::Company,
            Cause::Repair,
            Cause::Revert(EntryId::new(Uuid::from_u128(3))),
        ];
        requests.chain(others).collect()
    }

    fn operations() -> Vec<Operation> {
        vec![
            Operation::Create(ObjectType::Contact),
            Operation::Create(ObjectType::Company),
            Operation::Update(ObjectType::Contact, id(874_716_779_721)),
            Operation::Update(ObjectType::Company, id(5)),
            Operation::Empty(ObjectType::Contact, id(5)),
            Operation::Associate {
                contact: id(5),
                company: id(6),
                primary: true,
            },
            Operation::Archive(ObjectType::Email, id(7)),
        ]
    }

    fn states() -> Vec<EntryState> {
        vec![
            EntryState::Open { sent_at: None },
            EntryState::Open {
                sent_at: Some(at(1)),
            },
            EntryState::Done {
                record: id(874_716_779_721),
                at: at(2),
            },
            EntryState::Refused { at: at(2) },
            EntryState::Dropped { at: at(2) },
        ]
    }

    fn values() -> Vec<Vec<Written>> {
        let rules = [
            Rule::Key,
            Rule::Name,
            Rule::Row("title".parse().unwrap()),
            Rule::Status(LeadStatus::Replied),
            Rule::Owner(OwnerForMember::None),
            Rule::Source,
            Rule::Fixed,
        ];
        let ruled = rules.map(|rule| written(Some(rule), Some(" old\n"), Some("new \"’")));
        vec![
            Vec::new(),
            ruled.into(),
            vec![written(None, None, Some("new"))],
            // What retention or an erasure left.
            vec![written(Some(Rule::Fixed), None, None)],
        ]
    }

    #[test]
    fn every_entry_reads_back_from_its_columns() {
        let mut entries = 0;
        for subject in subjects() {
            for cause in causes() {
                for operation in operations() {
                    for (state, written) in states()
                        .into_iter()
                        .flat_map(|state| values().into_iter().map(move |w| (state, w)))
                    {
                        let entry = Entry {
                            id: EntryId::new(Uuid::from_u128(9)),
                            subject: subject.clone(),
                            cause,
                            operation: operation.clone(),
                            written,
                            opened_at: at(0),
                            state,
                        };
                        let read = JournalRow::try_from(stored(&entry)).unwrap();
                        assert_eq!(read.entry, entry);
                        assert_eq!(read.portal.get(), 7);
                        entries += 1;
                    }
                }
            }
        }
        assert_eq!(entries, 4 * 9 * 7 * 5 * 4);
    }

    #[test]
    fn names_of_columns_are_those_of_the_table() {
        let table = include_str!("../../migrations/0019_exports.sql");
        let (_, states) = table
            .split_once("state text not null check (state in (")
            .unwrap();
        let known: Vec<&str> = states[..states.find(')').unwrap()]
            .split(", ")
            .map(|s| s.trim_matches('\''))
            .collect();
        for state in states_by_name() {
            assert!(known.contains(&state), "{state}");
        }
    }

    fn states_by_name() -> Vec<&'static str> {
        states()
            .into_iter()
            .map(|state| {
                let entry = Entry {
                    id: EntryId::new(Uuid::from_u128(9)),
                    subject: subjects().remove(0),
                    cause: Cause::Company,
                    operation: operations().remove(0),
                    written: Vec::new(),
                    opened_at: at(0),
                    state,
                };
                columns(&entry).unwrap().state
            })
            .collect()
    }

    #[test]
    fn what_taken_values_leave_is_names_without_values() {
        let taken = r#"[{"property": "jobtitle", "rule": {"rule": "fixed"}, "old": null, "new": null, "overwrote": true},
            {"property": "city", "rule": {"rule": "fixed"}, "overwrote": false}]"#;
        let entry = Entry {
            id: EntryId::new(Uuid::from_u128(9)),
            subject: subjects().remove(0),
            cause: Cause::Company,
            operation: operations().remove(2),
            written: Vec::new(),
            opened_at: at(0),
            state: states().remove(2),
        };
        let row = EntryRow {
            written: taken.to_owned(),
            ..stored(&entry)
        };
        let read = JournalRow::try_from(row).unwrap().entry;
        assert_eq!(read.written.len(), 2);
        assert!(
            read.written
                .iter()
                .all(|w| w.old.is_none() && w.new.is_none())
        );
        assert!(read.written[0].overwrote);
    }

    #[test]
    fn a_hash_stands_for_nobody() {
        let entry = Entry {
            id: EntryId::new(Uuid::from_u128(9)),
            subject: subjects().remove(1),
            cause: Cause::Company,
            operation: operations().remove(1),
            written: Vec::new(),
            opened_at: at(0),
            state: states().remove(0),
        };
        let of = |person: &str| {
            let row = EntryRow {
                person_id: person.to_owned(),
                ..stored(&entry)
            };
            JournalRow::try_from(row).map(|read| read.person)
        };
        assert_eq!(of("#00ff").unwrap(), None);
        assert_eq!(of("lead_01").unwrap(), "lead_01".parse().ok());
        assert!(of("").is_err());
        assert!("#00ff".parse::<PersonId>().is_err());
    }

    #[test]
    fn what_does_not_belong_together_is_unreadable() {
        let entry = Entry {
            id: EntryId::new(Uuid::from_u128(9)),
            subject: subjects().remove(0),
            cause: Cause::Company,
            operation: operations().remove(0),
            written: Vec::new(),
            opened_at: at(0),
            state: states().remove(2),
        };
        type Break = fn(&mut EntryRow);
        let breaks: [Break; 8] = [
            |row| row.subject_kind = "deal".to_owned(),
            |row| row.subject_id = String::new(),
            |row| row.state = "lost".to_owned(),
            |row| row.object_id = None,
            |row| row.closed_at = None,
            |row| row.written = "{}".to_owned(),
            |row| row.cause = "\"whim\"".to_owned(),
            |row| row.operation = "{\"delete\": \"contact\"}".to_owned(),
        ];
        for (n, broken) in breaks.into_iter().enumerate() {
            let mut row = stored(&entry);
            broken(&mut row);
            assert!(
                matches!(JournalRow::try_from(row), Err(StoreError::Unreadable(_))),
                "{n}"
            );
        }
    }
}
