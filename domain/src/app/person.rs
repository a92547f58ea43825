//! People: whom the app writes to.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AppCompanyId, Email, FieldKey, FieldSource, FieldValue, Fields, ItemCode, ItemProblem,
    LeadStatus, MemberId, Merged, Patch, PersonId, RecordKind, RecordVersion, Slot, SlotVersions,
    ValueError, VersionConflict, Versioned,
    merge::Merger,
    value::{FieldValueOrNull, datetime_text},
};

/// What the app did about a person, and what came back (E1): each fact is the time when it first
/// became true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
pub struct Outreach {
    /// When the person was first written to or called.
    pub contacted_at: Option<DateTime<Utc>>,
    /// When the person first answered.
    pub replied_at: Option<DateTime<Utc>>,
    /// When the person first answered positively.
    pub replied_positively_at: Option<DateTime<Utc>>,
}

/// A person as stored and as answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Person {
    /// The app's id.
    pub id: PersonId,
    /// The highest version that was sent.
    pub version: RecordVersion,
    /// The address, normalised.
    pub email: Option<Email>,
    /// The company they work at; it may become known later than the person.
    pub company: Option<AppCompanyId>,
    /// The team member who is in charge; the same.
    pub owner: Option<MemberId>,
    /// Where they stand.
    pub status: Option<LeadStatus>,
    /// What was done and what came back.
    #[serde(flatten)]
    pub outreach: Outreach,
    /// Values by the key of the field.
    pub fields: BTreeMap<FieldKey, FieldValue>,
    /// The versions of slots that have another than the record. Not part of the API.
    #[serde(skip)]
    pub slots: SlotVersions,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("id", &self.id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Person {
    /// Whether the app gave the address. Of a person who was made from a contact it is the contact's
    /// until then.
    pub fn email_was_given(&self) -> bool {
        let version = self.slots.of_value(&Slot::named("email"), self.version);
        self.email.is_some() && version > RecordVersion::MIN
    }

    /// The value of a catalogue or custom field, whichever part of the person holds it.
    pub fn value(&self, key: &str) -> Option<FieldValue> {
        let time = |at: Option<DateTime<Utc>>| at.map(|at| FieldValue::Text(datetime_text(at)));
        match key {
            "email" => self
                .email
                .as_ref()
                .map(|email| FieldValue::Text(email.as_str().to_owned())),
            "contacted_at" => time(self.outreach.contacted_at),
            "replied_at" => time(self.outreach.replied_at),
            "replied_positively_at" => time(self.outreach.replied_positively_at),
            _ => self.fields.get(key).cloned(),
        }
    }
}

/// A partial update of a person, as it stands in JSON: a missing field stays as it is, `null`
/// empties it. Each part that is mentioned applies where `version` is newer than the version that
/// set it before.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonInput {
    /// The app's id.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    pub id: String,
    /// The version of this update.
    #[schema(value_type = i64, minimum = 0)]
    pub version: u64,
    /// The address.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, format = Email, max_length = 254)]
    pub email: Patch<String>,
    /// The app's id of the company they work at.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<AppCompanyId>)]
    pub company: Patch<String>,
    /// The app's id of the team member who is in charge.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<MemberId>)]
    pub owner: Patch<String>,
    /// Where they stand.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<LeadStatus>)]
    pub status: Patch<String>,
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
    /// Values by the key of the field; `null` empties the field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, FieldValueOrNull>)]
    pub fields: BTreeMap<String, Option<FieldValue>>,
}

impl fmt::Debug for PersonInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonInput")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl PersonInput {
    /// An update that mentions nothing yet.
    pub fn new(id: impl Into<String>, version: u64) -> Self {
        Self {
            id: id.into(),
            version,
            email: Patch::Keep,
            company: Patch::Keep,
            owner: Patch::Keep,
            status: Patch::Keep,
            contacted_at: Patch::Keep,
            replied_at: Patch::Keep,
            replied_positively_at: Patch::Keep,
            fields: BTreeMap::new(),
        }
    }

    /// Checks each part and brings it into the form that is stored.
    ///
    /// # Errors
    /// The first [`ItemProblem`]; the item is refused as a whole then.
    pub fn check(self, fields: &Fields) -> Result<PersonUpsert, ItemProblem> {
        Ok(PersonUpsert {
            id: check_id("id", self.id)?,
            version: check_version(self.version)?,
            email: check_email(self.email)?,
            company: self.company.try_map(|id| check_id("company", id))?,
            owner: self.owner.try_map(|id| check_id("owner", id))?,
            status: self.status.try_map(|name| {
                name.parse().map_err(|e| {
                    ItemProblem::new(ItemCode::UnknownStatus, Slot::named("status"), e)
                })
            })?,
            contacted_at: check_time("contacted_at", self.contacted_at)?,
            replied_at: check_time("replied_at", self.replied_at)?,
            replied_positively_at: check_time("replied_positively_at", self.replied_positively_at)?,
            fields: check_fields(RecordKind::Person, self.fields, fields)?,
        })
    }
}

/// A partial update of a person, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonUpsert {
    /// The app's id.
    pub id: PersonId,
    /// The version of this update.
    pub version: RecordVersion,
    /// The address, normalised.
    pub email: Patch<Email>,
    /// The company they work at.
    pub company: Patch<AppCompanyId>,
    /// The team member who is in charge.
    pub owner: Patch<MemberId>,
    /// Where they stand.
    pub status: Patch<LeadStatus>,
    /// When they were first written to or called, in whole milliseconds.
    pub contacted_at: Patch<DateTime<Utc>>,
    /// When they first answered, in whole milliseconds.
    pub replied_at: Patch<DateTime<Utc>>,
    /// When they first answered positively, in whole milliseconds.
    pub replied_positively_at: Patch<DateTime<Utc>>,
    /// Values by the key of the field; `None` empties the field.
    pub fields: BTreeMap<FieldKey, Option<FieldValue>>,
}

impl fmt::Debug for PersonUpsert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonUpsert")
            .field("id", &self.id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Versioned for Person {
    type Upsert = PersonUpsert;

    fn apply(
        existing: Option<&Self>,
        upsert: &PersonUpsert,
    ) -> Result<Merged<Self>, VersionConflict> {
        let mut merge = Merger::new(existing.map(|p| (p.version, &p.slots)), upsert.version);
        let of =
            |get: fn(&Outreach) -> Option<&DateTime<Utc>>| existing.and_then(|p| get(&p.outreach));
        let email = merge.slot(
            Slot::named("email"),
            existing.and_then(|p| p.email.as_ref()),
            upsert.email.as_ref(),
        );
        let company = merge.slot(
            Slot::named("company"),
            existing.and_then(|p| p.company.as_ref()),
            upsert.company.as_ref(),
        );
        let owner = merge.slot(
            Slot::named("owner"),
            existing.and_then(|p| p.owner.as_ref()),
            upsert.owner.as_ref(),
        );
        let status = merge.slot(
            Slot::named("status"),
            existing.and_then(|p| p.status.as_ref()),
            upsert.status.as_ref(),
        );
        let outreach = Outreach {
            contacted_at: merge.slot(
                Slot::named("contacted_at"),
                of(|o| o.contacted_at.as_ref()),
                upsert.contacted_at.as_ref(),
            ),
            replied_at: merge.slot(
                Slot::named("replied_at"),
                of(|o| o.replied_at.as_ref()),
                upsert.replied_at.as_ref(),
            ),
            replied_positively_at: merge.slot(
                Slot::named("replied_positively_at"),
                of(|o| o.replied_positively_at.as_ref()),
                upsert.replied_positively_at.as_ref(),
            ),
        };
        let fields = merge.fields(existing.map(|p| &p.fields), &upsert.fields);
        merge.finish(|version, slots| Self {
            id: upsert.id.clone(),
            version,
            email,
            company,
            owner,
            status,
            outreach,
            fields,
            slots,
        })
    }
}

pub(crate) fn check_id<T: TryFrom<String, Error = crate::IdError>>(
    slot: &'static str,
    id: String,
) -> Result<T, ItemProblem> {
    T::try_from(id).map_err(|e| ItemProblem::new(ItemCode::IdNotValid, Slot::named(slot), e))
}

pub(crate) fn check_version(version: u64) -> Result<RecordVersion, ItemProblem> {
    RecordVersion::new(version)
        .map_err(|e| ItemProblem::new(ItemCode::VersionNotValid, Slot::named("version"), e))
}

/// An address of white space only is an empty one.
pub(super) fn check_email(email: Patch<String>) -> Result<Patch<Email>, ItemProblem> {
    match email {
        Patch::Set(text) if text.trim().is_empty() => Ok(Patch::Clear),
        other => other.try_map(|text| {
            Email::parse(&text).map_err(|e| ItemProblem::of_email(Slot::named("email"), e))
        }),
    }
}

/// Whole milliseconds: what is stored then compares equal to what is sent again.
fn check_time(
    slot: &'static str,
    at: Patch<DateTime<Utc>>,
) -> Result<Patch<DateTime<Utc>>, ItemProblem> {
    use chrono::Datelike as _;
    at.try_map(|at| {
        at.duration_trunc(TimeDelta::milliseconds(1))
            .ok()
            .filter(|at| (1..=9999).contains(&at.year()))
            .ok_or_else(|| {
                ItemProblem::of_value(
                    Slot::named(slot),
                    ValueError::WrongType(super::FieldType::Datetime),
                )
            })
    })
}

pub(super) fn check_fields(
    record: RecordKind,
    given: BTreeMap<String, Option<FieldValue>>,
    fields: &Fields,
) -> Result<BTreeMap<FieldKey, Option<FieldValue>>, ItemProblem> {
    let mut checked = BTreeMap::new();
    for (key, value) in given {
        let key = FieldKey::parse(&key).map_err(|e| {
            // The key is not repeated: it is of no form that rules out personal data.
            ItemProblem::new(ItemCode::UnknownField, Slot::named("fields"), e)
        })?;
        let slot = Slot::field(key.as_str());
        let Some(info) = fields.get(record, key.as_str()) else {
            return Err(ItemProblem::new(
                ItemCode::UnknownField,
                slot,
                format!(
                    "a {} has no field of this key; GET the fields for those there are, or create it as a custom field first",
                    record.as_str()
                ),
            ));
        };
        if info.source == FieldSource::Record {
            return Err(ItemProblem::new(
                ItemCode::GivenBesideFields,
                slot,
                format!("give it as `{key}` beside `fields`"),
            ));
        }
        let value = match value {
            None => None,
            Some(value) => info
                .field_type
                .accept(value)
                .map_err(|e| ItemProblem::of_value(slot, e))?,
        };
        checked.insert(key, value);
    }
    Ok(checked)
}
