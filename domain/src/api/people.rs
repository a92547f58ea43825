//! People, companies, team members and fields in bulk; erasure.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{
    CompanyInput, CustomField, FieldInfo, FieldKey, FieldSource, FieldType, Fields, ItemProblem,
    LeadStatus, MemberInput, Patch, PersonId, PersonInput, RecordKind, UpsertOutcome,
};

/// The most items of one call.
pub const MAX_ITEMS: usize = 1_000;

/// Upserts people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonUpserts {
    /// The updates; they apply in this order.
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<PersonInput>,
}

/// Upserts companies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompanyUpserts {
    /// The updates; they apply in this order.
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<CompanyInput>,
}

/// Upserts team members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberUpserts {
    /// The updates; they apply in this order.
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<MemberInput>,
}

/// A person's lead status, from a part of the app that knows nothing else of the person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusInput {
    /// The app's id of the person.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    pub id: String,
    /// The version of this update, on the scale of all updates of the person.
    #[schema(value_type = i64, minimum = 0)]
    pub version: u64,
    /// Where they stand; null empties it.
    #[schema(value_type = Option<LeadStatus>)]
    pub status: Option<String>,
}

impl std::fmt::Debug for StatusInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusInput")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl From<StatusInput> for PersonInput {
    fn from(input: StatusInput) -> Self {
        Self {
            status: Patch::from_option(input.status),
            ..Self::new(input.id, input.version)
        }
    }
}

/// Sets lead statuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusUpserts {
    /// The updates; they apply in this order.
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<StatusInput>,
}

/// What was done about a person and what came back (E1), from a part of the app that knows nothing
/// else of the person. A missing fact stays as it is, `null` takes it back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutreachInput {
    /// The app's id of the person.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    pub id: String,
    /// The version of this update, on the scale of all updates of the person.
    #[schema(value_type = i64, minimum = 0)]
    pub version: u64,
    /// When they were first written to or called.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub contacted_at: Patch<DateTime<Utc>>,
    /// When they first answered.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub replied_at: Patch<DateTime<Utc>>,
    /// When they first answered positively.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub replied_positively_at: Patch<DateTime<Utc>>,
}

impl std::fmt::Debug for OutreachInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutreachInput")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl From<OutreachInput> for PersonInput {
    fn from(input: OutreachInput) -> Self {
        Self {
            contacted_at: input.contacted_at,
            replied_at: input.replied_at,
            replied_positively_at: input.replied_positively_at,
            ..Self::new(input.id, input.version)
        }
    }
}

/// Sets outreach facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutreachUpserts {
    /// The updates; they apply in this order.
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<OutreachInput>,
}

/// Creates custom fields, or changes their labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomFieldUpserts {
    /// The fields.
    #[schema(min_items = 1, max_items = 400)]
    pub items: Vec<CustomField>,
}

/// What came of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemOutcome {
    /// Its place in the call, from 0.
    pub index: u32,
    /// What came of it.
    pub outcome: UpsertOutcome,
    /// What is wrong, beside `refused` and `erased`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ItemProblem>,
}

/// How many items had which outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct UpsertCounts {
    /// New records.
    pub created: u32,
    /// Records with another value now.
    pub updated: u32,
    /// Records that were like this before.
    pub unchanged: u32,
    /// Items that were older than what is stored.
    pub stale: u32,
    /// Items with a problem.
    pub refused: u32,
    /// Items about erased people.
    pub erased: u32,
}

impl UpsertCounts {
    /// Counts one more.
    pub const fn add(&mut self, outcome: UpsertOutcome) {
        let count = match outcome {
            UpsertOutcome::Created => &mut self.created,
            UpsertOutcome::Updated => &mut self.updated,
            UpsertOutcome::Unchanged => &mut self.unchanged,
            UpsertOutcome::Stale => &mut self.stale,
            UpsertOutcome::Refused => &mut self.refused,
            UpsertOutcome::Erased => &mut self.erased,
        };
        *count += 1;
    }
}

/// The answer to every bulk upsert (status 200, also when items were refused).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpsertAnswer {
    /// How many had which outcome.
    pub counts: UpsertCounts,
    /// One for each item, in the order of the call.
    pub items: Vec<ItemOutcome>,
}

impl UpsertAnswer {
    /// The answer for outcomes in the order of the call.
    pub fn new(outcomes: impl IntoIterator<Item = (UpsertOutcome, Option<ItemProblem>)>) -> Self {
        let mut counts = UpsertCounts::default();
        let items = (0u32..)
            .zip(outcomes)
            .map(|(index, (outcome, problem))| {
                counts.add(outcome);
                ItemOutcome {
                    index,
                    outcome,
                    problem,
                }
            })
            .collect();
        Self { counts, items }
    }
}

/// A field that people or companies have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldAnswer {
    /// Whose field it is.
    pub record: RecordKind,
    /// Its key.
    pub key: FieldKey,
    /// What a person reads.
    pub label: String,
    /// What it holds.
    pub field_type: FieldType,
    /// Whether it is given under `fields` or beside it.
    pub source: FieldSource,
}

/// A lead status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusAnswerRow {
    /// Its key.
    pub status: LeadStatus,
    /// What a person reads.
    pub label: String,
    /// Whether it is one of the six that are always shown.
    pub basic: bool,
}

/// The catalogue with the workspace's own fields, and the lead statuses (E7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldsAnswer {
    /// All fields.
    pub fields: Vec<FieldAnswer>,
    /// All lead statuses.
    pub statuses: Vec<StatusAnswerRow>,
}

impl FieldsAnswer {
    /// The answer for a workspace's own fields.
    pub fn new(custom: &[CustomField]) -> Self {
        use crate::app::{COMPANY_FIELDS, CatalogueField, PERSON_FIELDS};
        let catalogue = |record, fields: &'static [CatalogueField]| {
            fields.iter().map(move |f| FieldAnswer {
                record,
                key: FieldKey::of_catalogue(f.key),
                label: f.label.to_owned(),
                field_type: f.field_type,
                source: f.source,
            })
        };
        Self {
            fields: catalogue(RecordKind::Person, PERSON_FIELDS)
                .chain(catalogue(RecordKind::Company, COMPANY_FIELDS))
                .chain(custom.iter().map(|f| FieldAnswer {
                    record: f.record,
                    key: f.key.clone(),
                    label: f.label.clone(),
                    field_type: f.field_type,
                    source: FieldSource::Fields,
                }))
                .collect(),
            statuses: LeadStatus::ALL
                .into_iter()
                .map(|status| StatusAnswerRow {
                    status,
                    label: status.label().to_owned(),
                    basic: status.is_basic(),
                })
                .collect(),
        }
    }

    /// The fields, as rows of files are checked against them.
    pub fn known(&self) -> Fields {
        Fields::of(self.fields.iter().map(|f| {
            let info = FieldInfo {
                field_type: f.field_type,
                source: f.source,
            };
            (f.record, f.key.clone(), info)
        }))
    }
}

/// Erases one person (C7): by the app's id, by an e-mail, or by both.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseRequest {
    /// The app's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// An address; it goes in the body, never in an address of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Email, max_length = 254)]
    pub email: Option<String>,
}

impl std::fmt::Debug for EraseRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EraseRequest")
            .field("person", &self.person)
            .finish_non_exhaustive()
    }
}

/// What an erase call removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ErasedCounts {
    /// People of the app's side.
    pub people: u32,
    /// Contacts of the mirror.
    pub contacts: u32,
    /// Records of the quarantine.
    pub quarantined: u32,
    /// Requests and journal rows whose values were removed.
    pub requests: u32,
}

/// The answer to an erase call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EraseAnswer {
    /// What was removed. All zero: nothing was known of the person; the keyed hash is kept all the
    /// same.
    pub removed: ErasedCounts,
    /// The same in a sentence.
    pub message: String,
}

/// The answer to a purge of a disconnected workspace (C7): how far it is. When it is over, the
/// workspace is not known any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurgeAnswer {
    /// Rows that are removed so far, of all tables.
    pub removed: u64,
    /// The same in a sentence.
    pub message: String,
}
