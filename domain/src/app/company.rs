//! Companies of the app's side.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AppCompanyId, FieldKey, FieldValue, Fields, ItemProblem, Merged, RecordKind, RecordVersion,
    SlotVersions, VersionConflict, Versioned,
    merge::Merger,
    person::{check_fields, check_id, check_version},
    value::FieldValueOrNull,
};

/// A company as stored and as answered. Its name and domain are fields.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Company {
    /// The app's id.
    pub id: AppCompanyId,
    /// The highest version that was sent.
    pub version: RecordVersion,
    /// Values by the key of the field.
    pub fields: BTreeMap<FieldKey, FieldValue>,
    /// The versions of slots that have another than the record. Not part of the API.
    #[serde(skip)]
    pub slots: SlotVersions,
}

impl fmt::Debug for Company {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Company")
            .field("id", &self.id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A partial update of a company: a missing field stays as it is, `null` empties it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompanyInput {
    /// The app's id.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    pub id: String,
    /// The version of this update.
    #[schema(value_type = i64, minimum = 0)]
    pub version: u64,
    /// Values by the key of the field; `null` empties the field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, FieldValueOrNull>)]
    pub fields: BTreeMap<String, Option<FieldValue>>,
}

impl fmt::Debug for CompanyInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompanyInput")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl CompanyInput {
    /// Checks each part and brings it into the form that is stored.
    ///
    /// # Errors
    /// The first [`ItemProblem`]; the item is refused as a whole then.
    pub fn check(self, fields: &Fields) -> Result<CompanyUpsert, ItemProblem> {
        Ok(CompanyUpsert {
            id: check_id("id", self.id)?,
            version: check_version(self.version)?,
            fields: check_fields(RecordKind::Company, self.fields, fields)?,
        })
    }
}

/// A partial update of a company, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct CompanyUpsert {
    /// The app's id.
    pub id: AppCompanyId,
    /// The version of this update.
    pub version: RecordVersion,
    /// Values by the key of the field; `None` empties the field.
    pub fields: BTreeMap<FieldKey, Option<FieldValue>>,
}

impl fmt::Debug for CompanyUpsert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompanyUpsert")
            .field("id", &self.id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Versioned for Company {
    type Upsert = CompanyUpsert;

    fn apply(
        existing: Option<&Self>,
        upsert: &CompanyUpsert,
    ) -> Result<Merged<Self>, VersionConflict> {
        let mut merge = Merger::new(existing.map(|c| (c.version, &c.slots)), upsert.version);
        let fields = merge.fields(existing.map(|c| &c.fields), &upsert.fields);
        merge.finish(|version, slots| Self {
            id: upsert.id.clone(),
            version,
            fields,
            slots,
        })
    }
}
