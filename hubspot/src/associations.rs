//! Associations between records.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    budget::Bucket,
    client::{API_VERSION, Client},
    error::Error,
    ids::{ObjectType, RecordId},
    page::Paging,
};

/// Most inputs of a batch read.
pub const BATCH: usize = 1_000;

/// An association from a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// To this record.
    pub to: RecordId,
    /// Type ids with their categories.
    pub types: Vec<AssociationType>,
}

/// The type of an association.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssociationType {
    /// `HUBSPOT_DEFINED` or `USER_DEFINED`.
    pub category: String,
    /// The id, such as 279 for contact to company and 1 for the primary one.
    pub type_id: u32,
    /// The name that the customer gave it.
    #[serde(default)]
    pub label: Option<String>,
}

impl AssociationType {
    /// The name that inline associations give this type, such as `contact_to_company` for the
    /// primary company and `contact_to_company_unlabeled` for any (`hubspot-api.md` §8).
    pub fn inline_name(&self, from: ObjectType, to: ObjectType) -> String {
        let name = |t| match t {
            ObjectType::Contact => "contact",
            ObjectType::Company => "company",
            ObjectType::Deal => "deal",
        };
        let pair = format!("{}_to_{}", name(from), name(to));
        match (self.category.as_str(), self.type_id) {
            ("HUBSPOT_DEFINED", 1..=6) => pair,
            ("HUBSPOT_DEFINED", 279 | 280 | 341 | 342) => format!("{pair}_unlabeled"),
            (_, id) => self.label.clone().unwrap_or_else(|| format!("{pair}_{id}")),
        }
    }
}

#[derive(Serialize)]
struct Input {
    id: RecordId,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

#[derive(Serialize)]
struct Inputs {
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<FromRecord>,
}

#[derive(Deserialize)]
struct FromRecord {
    from: IdOnly,
    to: Vec<To>,
    #[serde(default)]
    paging: Option<Paging>,
}

#[derive(Deserialize)]
struct IdOnly {
    id: RecordId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct To {
    to_object_id: RecordId,
    #[serde(default)]
    association_types: Vec<AssociationType>,
}

/// The endpoints of associations.
#[derive(Debug)]
pub struct Associations<'a>(&'a Client);

impl Client {
    /// The endpoints of associations.
    pub const fn associations(&self) -> Associations<'_> {
        Associations(self)
    }
}

impl Associations<'_> {
    /// All associations of any number of records to records of one type: a thousand inputs a
    /// request, and each record's further pages.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn batch_read(
        &self,
        from: ObjectType,
        to: ObjectType,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, Vec<Association>>, Error> {
        let path = format!(
            "/crm/associations/{API_VERSION}/{}/{}/batch/read",
            from.path(),
            to.path()
        );
        let mut all: BTreeMap<RecordId, Vec<Association>> = BTreeMap::new();
        let mut todo: Vec<(RecordId, Option<String>)> = ids.iter().map(|id| (*id, None)).collect();
        while !todo.is_empty() {
            let rest = todo.split_off(todo.len().min(BATCH));
            let inputs = Inputs {
                inputs: todo
                    .into_iter()
                    .map(|(id, after)| Input { id, after })
                    .collect(),
            };
            todo = rest;
            let answer = self
                .0
                .post(&path, &inputs, Bucket::Associations, false)
                .await?;
            let answer: Answer =
                serde_json::from_slice(&answer.body).map_err(|_| Error::UnexpectedResponse {
                    context: "associations",
                })?;
            for record in answer.results {
                all.entry(record.from.id)
                    .or_default()
                    .extend(record.to.into_iter().map(|to| Association {
                        to: to.to_object_id,
                        types: to.association_types,
                    }));
                if let Some(next) = record.paging.and_then(|p| p.next) {
                    todo.push((record.from.id, Some(next.after)));
                }
            }
        }
        Ok(all)
    }
}
