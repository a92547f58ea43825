//! Contacts, companies, deals: list, get, write, in batches.

use std::{borrow::Cow, collections::BTreeMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    budget::Bucket,
    client::{API_VERSION, Answer, Call, Client, MAX_QUERY, paged},
    error::Error,
    ids::{ObjectType, RecordId},
    page::{BadRecord, Cursor, Envelope, Page, Paging, read_record},
};

/// Most inputs of a batch call.
pub const BATCH: usize = 100;

/// A record.
#[derive(Debug, Clone)]
pub struct CrmObject {
    /// Which.
    pub id: RecordId,
    /// Its properties as the JSON object that HubSpot sent: names to strings or null.
    pub properties: Box<RawValue>,
    /// When it was created.
    pub created_at: Option<DateTime<Utc>>,
    /// HubSpot's last-modified.
    pub updated_at: DateTime<Utc>,
    /// Whether it lies in the recycle bin.
    pub archived: bool,
    /// Associations that came with it.
    pub associations: Vec<InlineAssociation>,
    /// Types of which it has more associations than came with it.
    pub more_associations: Vec<ObjectType>,
}

impl CrmObject {
    /// The value of one property; `None` when it is empty or was not asked for.
    pub fn property(&self, name: &str) -> Option<String> {
        serde_json::from_str::<BTreeMap<String, Option<String>>>(self.properties.get())
            .ok()?
            .remove(name)?
    }
}

/// An association that came with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineAssociation {
    /// To a record of this type.
    pub to_type: ObjectType,
    /// To this record.
    pub to: RecordId,
    /// HubSpot's name of the association's type, such as `contact_to_company`.
    pub name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawObject<'a> {
    id: RawId<'a>,
    #[serde(borrow)]
    properties: &'a RawValue,
    #[serde(default)]
    created_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
    #[serde(default)]
    archived: bool,
    #[serde(borrow, default)]
    associations: BTreeMap<Cow<'a, str>, RawAssociations<'a>>,
}

/// Ids of records are strings; anything else makes the record unreadable, not the page.
#[derive(Deserialize)]
struct RawId<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct RawAssociations<'a> {
    #[serde(borrow)]
    results: Vec<RawAssociation<'a>>,
    #[serde(default)]
    paging: Option<Paging>,
}

#[derive(Deserialize)]
struct RawAssociation<'a> {
    id: RecordId,
    #[serde(rename = "type", borrow)]
    name: Cow<'a, str>,
}

impl<'de> Deserialize<'de> for CrmObject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let raw = RawObject::deserialize(deserializer)?;
        if !raw.properties.get().trim_start().starts_with('{') {
            return Err(D::Error::custom("properties are no object"));
        }
        let mut associations = Vec::new();
        let mut more_associations = Vec::new();
        for (key, block) in raw.associations {
            // HubSpot names them `companies`, in older answers also `COMPANIES`.
            let Some(to_type) = ObjectType::from_path(&key.to_ascii_lowercase()) else {
                continue;
            };
            associations.extend(block.results.into_iter().map(|a| InlineAssociation {
                to_type,
                to: a.id,
                name: a.name.into_owned(),
            }));
            if block.paging.is_some_and(|p| p.next.is_some()) {
                more_associations.push(to_type);
            }
        }
        Ok(Self {
            id: raw.id.0.parse().map_err(D::Error::custom)?,
            properties: raw.properties.to_owned(),
            created_at: raw.created_at,
            updated_at: raw.updated_at,
            archived: raw.archived,
            associations,
            more_associations,
        })
    }
}

/// What to list.
#[derive(Debug, Clone)]
pub struct ListRequest {
    object_type: ObjectType,
    properties: Vec<String>,
    associations: Vec<ObjectType>,
    archived: bool,
    after: Option<Cursor>,
    limit: u32,
}

impl ListRequest {
    /// All records of a type, a hundred a page.
    pub const fn new(object_type: ObjectType) -> Self {
        Self {
            object_type,
            properties: Vec::new(),
            associations: Vec::new(),
            archived: false,
            after: None,
            limit: 100,
        }
    }

    /// These properties; HubSpot's defaults without.
    #[must_use]
    pub fn properties(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.properties = names.into_iter().map(Into::into).collect();
        self
    }

    /// With the ids of associated records of these types.
    #[must_use]
    pub fn associations(mut self, types: impl IntoIterator<Item = ObjectType>) -> Self {
        self.associations = types.into_iter().collect();
        self
    }

    /// Those in the recycle bin instead.
    #[must_use]
    pub const fn archived(mut self) -> Self {
        self.archived = true;
        self
    }

    /// From here on.
    #[must_use]
    pub fn after(mut self, cursor: Option<Cursor>) -> Self {
        self.after = cursor;
        self
    }

    /// Records a page; HubSpot takes 100 at most.
    #[must_use]
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}

/// A record to create.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateInput {
    /// Names to values.
    pub properties: BTreeMap<String, String>,
    /// Tells the result of this input from the others'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_write_trace_id: Option<String>,
}

/// A record to update.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateInput {
    /// Which.
    pub id: RecordId,
    /// Names to values; an empty value clears.
    pub properties: BTreeMap<String, String>,
    /// Tells the result of this input from the others'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_write_trace_id: Option<String>,
}

#[derive(Serialize)]
struct Inputs<'a, T> {
    inputs: &'a [T],
}

#[derive(Serialize)]
struct IdInput {
    id: RecordId,
}

/// Answers to a batch of writes: what succeeded, and how many did not.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// Records as they are now.
    pub results: Vec<CrmObject>,
    /// Errors that HubSpot reported for single inputs.
    pub refused: u64,
}

/// The endpoints of CRM records.
#[derive(Debug)]
pub struct Objects<'a>(&'a Client);

impl Client {
    /// The endpoints of CRM records.
    pub const fn objects(&self) -> Objects<'_> {
        Objects(self)
    }
}

fn path(object_type: ObjectType, rest: &str) -> String {
    format!("/crm/objects/{API_VERSION}/{}{rest}", object_type.path())
}

/// A page out of an answer.
pub(crate) fn page_of(answer: &Answer, context: &'static str) -> Result<Page<CrmObject>, Error> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(&answer.body).map_err(|_| Error::UnexpectedResponse { context })?;
    Ok(Page {
        results: envelope
            .results
            .iter()
            .enumerate()
            .map(|(place, raw)| read_record(raw, place))
            .collect(),
        next: Paging::cursor(envelope.paging),
        total: envelope.total,
        sent_at: answer.sent_at,
        served_at: answer.served_at,
    })
}

fn one(answer: &Answer, context: &'static str) -> Result<CrmObject, Error> {
    serde_json::from_slice(&answer.body).map_err(|_| Error::UnexpectedResponse { context })
}

impl Objects<'_> {
    /// One page of a type, in the order of ids. With more properties than fit into a URL the ids are
    /// listed first, and the properties asked for in the body of a batch read.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&self, request: &ListRequest) -> Result<Page<CrmObject>, Error> {
        let names = request.properties.join(",");
        let too_long = names.len() > MAX_QUERY;
        let mut query = paged(request.limit, request.after.as_ref());
        if too_long {
            query.push(("properties", "hs_object_id".to_owned()));
        } else if !names.is_empty() {
            query.push(("properties", names));
        }
        if !request.associations.is_empty() {
            let types: Vec<_> = request.associations.iter().map(|t| t.path()).collect();
            query.push(("associations", types.join(",")));
        }
        if request.archived {
            query.push(("archived", "true".to_owned()));
        }
        let answer = self.0.get(&path(request.object_type, ""), &query).await?;
        let mut page = page_of(&answer, "list of records")?;
        if too_long {
            self.fill_in(&mut page, request).await?;
        }
        Ok(page)
    }

    async fn fill_in(
        &self,
        page: &mut Page<CrmObject>,
        request: &ListRequest,
    ) -> Result<(), Error> {
        let ids: Vec<RecordId> = page.results.iter().flatten().map(|o| o.id).collect();
        let read = self
            .batch_read(request.object_type, &ids, &request.properties)
            .await?;
        let mut full: BTreeMap<RecordId, CrmObject> =
            read.into_iter().flatten().map(|o| (o.id, o)).collect();
        // What is missing now was archived between the two requests.
        page.results.retain(|r| match r {
            Ok(object) => full.contains_key(&object.id),
            Err(_) => true,
        });
        for object in page.results.iter_mut().flatten() {
            if let Some(mut read) = full.remove(&object.id) {
                read.associations = std::mem::take(&mut object.associations);
                read.more_associations = std::mem::take(&mut object.more_associations);
                *object = read;
            }
        }
        Ok(())
    }

    /// One record.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown or archived one.
    pub async fn get(
        &self,
        object_type: ObjectType,
        id: RecordId,
        properties: &[&str],
    ) -> Result<CrmObject, Error> {
        let query = [("properties", properties.join(","))];
        let answer = self
            .0
            .get(&path(object_type, &format!("/{id}")), &query)
            .await?;
        one(&answer, "record")
    }

    /// Creates a record.
    ///
    /// # Errors
    /// [`Error::Conflict`] for an e-mail that is taken, [`Error::OutcomeUnknown`] when it may have
    /// happened.
    pub async fn create(
        &self,
        object_type: ObjectType,
        input: &CreateInput,
    ) -> Result<CrmObject, Error> {
        let answer = self
            .0
            .post(&path(object_type, ""), input, Bucket::General, true)
            .await?;
        one(&answer, "created record")
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
                write: true,
            })
            .await?;
        one(&answer, "updated record")
    }

    /// Moves a record to the recycle bin.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when it may have happened.
    pub async fn archive(&self, object_type: ObjectType, id: RecordId) -> Result<(), Error> {
        self.0
            .send(&Call::<()> {
                method: reqwest::Method::DELETE,
                path: &path(object_type, &format!("/{id}")),
                query: &[],
                body: None,
                bucket: Bucket::General,
                write: true,
            })
            .await
            .map(drop)
    }

    /// Reads any number of records by id, a hundred a request. Those that do not exist are missing
    /// from the answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn batch_read(
        &self,
        object_type: ObjectType,
        ids: &[RecordId],
        properties: &[String],
    ) -> Result<Vec<Result<CrmObject, BadRecord>>, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            inputs: Vec<IdInput>,
            properties: &'a [String],
        }
        let mut all = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(BATCH) {
            let body = Body {
                inputs: chunk.iter().map(|id| IdInput { id: *id }).collect(),
                properties,
            };
            let answer = self
                .0
                .post(
                    &path(object_type, "/batch/read"),
                    &body,
                    Bucket::General,
                    false,
                )
                .await?;
            all.extend(page_of(&answer, "batch read")?.results);
        }
        Ok(all)
    }

    /// Creates up to a hundred records in one request. Give each input a trace id of its own, or one
    /// bad input refuses them all.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when some may have been created.
    pub async fn batch_create(
        &self,
        object_type: ObjectType,
        inputs: &[CreateInput],
    ) -> Result<BatchOutcome, Error> {
        self.batch_write(object_type, "/batch/create", inputs).await
    }

    /// Updates up to a hundred records in one request. Ids that were merged away are missing from
    /// the answer without an error: compare results with inputs.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when some may have been updated.
    pub async fn batch_update(
        &self,
        object_type: ObjectType,
        inputs: &[UpdateInput],
    ) -> Result<BatchOutcome, Error> {
        self.batch_write(object_type, "/batch/update", inputs).await
    }

    /// Moves up to a hundred records to the recycle bin.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when some may have been archived.
    pub async fn batch_archive(
        &self,
        object_type: ObjectType,
        ids: &[RecordId],
    ) -> Result<(), Error> {
        let inputs: Vec<IdInput> = ids.iter().map(|id| IdInput { id: *id }).collect();
        self.0
            .post(
                &path(object_type, "/batch/archive"),
                &Inputs { inputs: &inputs },
                Bucket::General,
                true,
            )
            .await
            .map(drop)
    }

    async fn batch_write<T: Serialize>(
        &self,
        object_type: ObjectType,
        rest: &str,
        inputs: &[T],
    ) -> Result<BatchOutcome, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Body {
            results: Vec<CrmObject>,
            #[serde(default)]
            num_errors: u64,
        }
        let answer = self
            .0
            .post(
                &path(object_type, rest),
                &Inputs { inputs },
                Bucket::General,
                true,
            )
            .await?;
        // It happened, whatever the answer looks like.
        let body: Body = serde_json::from_slice(&answer.body).map_err(|_| Error::OutcomeUnknown)?;
        Ok(BatchOutcome {
            results: body.results,
            refused: body.num_errors,
        })
    }

    /// All pages of a listing, one after the other.
    pub fn pages(
        &self,
        request: ListRequest,
    ) -> impl futures::Stream<Item = Result<Page<CrmObject>, Error>> + '_ {
        futures::stream::try_unfold(Some(request), move |request| async move {
            let Some(request) = request else {
                return Ok(None);
            };
            let page = self.list(&request).await?;
            let next = page.next.clone().map(|cursor| request.after(Some(cursor)));
            Ok(Some((page, next)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        Answer {
            body: body.as_bytes().to_vec(),
            sent_at: Utc::now(),
            served_at: None,
        }
    }

    #[test]
    fn one_bad_record_does_not_spoil_its_page() {
        let page = page_of(
            &answer(
                r#"{"results":[
                  {"id":"40000000001","properties":{"email":null},"updatedAt":"2026-01-01T00:00:00.123Z",
                   "associations":{"companies":{"results":[{"id":"7","type":"contact_to_company"}],"paging":{"next":{"after":"8"}}}}},
                  {"id":"abc","properties":{},"updatedAt":"2026-01-01T00:00:00Z"},
                  {"id":"5","properties":{},"updatedAt":"yesterday"},
                  {"properties":{}}
                ],"paging":{"next":{"after":"40000000002"}}}"#,
            ),
            "test",
        )
        .unwrap();
        let good = page.results[0].as_ref().unwrap();
        assert_eq!(good.id, RecordId::new(40_000_000_001));
        assert_eq!(good.property("email"), None);
        assert_eq!(good.associations[0].to, RecordId::new(7));
        assert_eq!(good.more_associations, [ObjectType::Company]);
        use crate::page::BadRecordProblem;
        let problems: Vec<_> = page.results[1..]
            .iter()
            .map(|r| {
                let bad = r.as_ref().unwrap_err();
                (bad.key.as_str(), bad.problem)
            })
            .collect();
        assert_eq!(
            problems,
            [
                ("abc", BadRecordProblem::Id),
                ("5", BadRecordProblem::Shape),
                ("record 3 of its page", BadRecordProblem::Id)
            ]
        );
        assert_eq!(page.next.unwrap().as_str(), "40000000002");
    }
}
