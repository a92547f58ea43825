//! Writes of single records.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{CrmObject, Objects, one, path};
use crate::{
    associations::AssociationSpec,
    budget::Bucket,
    client::{Call, Kind},
    error::{Error, RequestProblem},
    ids::{ObjectType, RecordId},
};

/// A record to create.
#[derive(Clone, Default, Serialize)]
pub struct CreateInput {
    /// Names to values.
    pub properties: BTreeMap<String, String>,
    /// Made together with the record. Verify them afterwards: on contacts they were seen to be
    /// ignored (`hubspot-api.md` §5).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub associations: Vec<NewAssociation>,
}

impl CreateInput {
    /// A record with these properties.
    pub fn new<N: Into<String>, V: Into<String>>(
        properties: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self {
            properties: properties
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            associations: Vec::new(),
        }
    }

    /// Associated with this record too.
    #[must_use]
    pub fn associated(mut self, to: RecordId, types: impl Into<Vec<AssociationSpec>>) -> Self {
        self.associations.push(NewAssociation {
            to: ToRecord { id: to },
            types: types.into(),
        });
        self
    }
}

/// Values are personal data: they are not shown.
impl std::fmt::Debug for CreateInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateInput")
            .field("properties", &self.properties.keys())
            .field("associations", &self.associations)
            .finish()
    }
}

/// An association that is made with its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewAssociation {
    to: ToRecord,
    types: Vec<AssociationSpec>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ToRecord {
    id: RecordId,
}

/// Two records to merge. HubSpot makes a new one of both, with a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MergeInput {
    /// Its latest values win.
    pub primary_object_id: RecordId,
    /// The other one.
    pub object_id_to_merge: RecordId,
}

impl Objects<'_> {
    /// Creates a record.
    ///
    /// # Errors
    /// [`Error::Conflict`] for an e-mail or a unique value that is taken, [`Error::OutcomeUnknown`]
    /// when it may have happened.
    pub async fn create(
        &self,
        object_type: ObjectType,
        input: &CreateInput,
    ) -> Result<CrmObject, Error> {
        let answer = self
            .0
            .post(&path(object_type, ""), input, Bucket::General, Kind::Write)
            .await?;
        written(one(&answer, "created record"))
    }

    /// Updates a record. Also by an id that was merged away.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::OutcomeUnknown`] when it may have happened.
    pub async fn update(
        &self,
        object_type: ObjectType,
        id: RecordId,
        properties: &BTreeMap<String, String>,
    ) -> Result<CrmObject, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            properties: &'a BTreeMap<String, String>,
        }
        let answer = self
            .0
            .send(&Call {
                method: reqwest::Method::PATCH,
                path: &path(object_type, &format!("/{id}")),
                query: &[],
                body: Some(&Body { properties }),
                bucket: Bucket::General,
                kind: Kind::Write,
            })
            .await?;
        written(one(&answer, "updated record"))
    }

    /// Moves a record to the recycle bin. One that is there already, or was never there, is no
    /// error of HubSpot's.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when it may have happened.
    pub async fn archive(&self, object_type: ObjectType, id: RecordId) -> Result<(), Error> {
        self.0
            .delete(&path(object_type, &format!("/{id}")), Bucket::General)
            .await
    }

    /// Merges two records into a new one, with a new id; both old ids lead to it on single reads and
    /// writes. Not for engagements.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when it may have happened.
    pub async fn merge(
        &self,
        object_type: ObjectType,
        input: MergeInput,
    ) -> Result<CrmObject, Error> {
        if object_type.is_engagement() {
            return Err(RequestProblem::ObjectType {
                object_type: object_type.path(),
            }
            .into());
        }
        let answer = self
            .0
            .post(
                &path(object_type, "/merge"),
                &input,
                Bucket::General,
                Kind::Write,
            )
            .await?;
        written(one(&answer, "merged record"))
    }
}

/// A write that was answered with success happened, though its answer cannot be read.
fn written(read: Result<CrmObject, Error>) -> Result<CrmObject, Error> {
    read.map_err(|_| Error::OutcomeUnknown)
}
