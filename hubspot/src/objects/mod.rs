//! Records of any type: list, get, write, in batches. The endpoints are the same for contacts,
//! companies, deals and engagements; what only one of them has is in [`crate::contacts`] and
//! [`crate::engagements`].

mod batch;
mod envelope;
mod keys;
mod read;
mod single;

use std::{borrow::Cow, collections::BTreeMap};

pub(crate) use batch::{Inputs, write};
pub use batch::{UpdateInput, Updated, UpsertInput, Upserted};
pub use envelope::NormalizedValue;
pub(crate) use envelope::{MultiStatus, reply_of};
pub use keys::RecordKey;
pub use read::{BatchRead, SINGLE_READS};
pub use single::{CreateInput, MergeInput, NewAssociation};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    client::{API_VERSION, Answer, Client, Kind, MAX_QUERY, paged},
    error::Error,
    ids::{ObjectType, RecordId},
    page::{BadRecord, Cursor, Page, Paging, PagingGuard, Times, page_of},
    time,
};

/// Most inputs of a batch call.
pub const BATCH: usize = 100;

/// Most inputs of a batch read with histories ([U]: from HubSpot's guides, not in `hubspot-api.md`;
/// smaller is never refused).
pub(crate) const BATCH_WITH_HISTORY: usize = 50;

/// A record.
#[derive(Clone)]
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
    /// When it was put into the recycle bin.
    pub archived_at: Option<DateTime<Utc>>,
    /// Earlier values of the properties whose history was asked for, the latest first.
    pub history: BTreeMap<String, Vec<HistoricValue>>,
    /// After a write: values that HubSpot took in another form than they were given.
    pub normalized: Vec<NormalizedValue>,
}

/// Values are personal data: they are not shown.
impl std::fmt::Debug for CrmObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CrmObject")
            .field("id", &self.id)
            .field("updated_at", &self.updated_at)
            .field("archived", &self.archived)
            .finish_non_exhaustive()
    }
}

/// A value that a property had from a time on.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoricValue {
    /// The value; empty when it was cleared.
    #[serde(default)]
    pub value: Option<String>,
    /// From then on.
    #[serde(deserialize_with = "time::required")]
    pub timestamp: DateTime<Utc>,
    /// What wrote it, such as `INTEGRATION` or `CRM_UI`.
    #[serde(default)]
    pub source_type: Option<String>,
    /// Which of them, such as an app.
    #[serde(default)]
    pub source_id: Option<String>,
}

impl std::fmt::Debug for HistoricValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HistoricValue")
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

impl CrmObject {
    /// All property values that came with it.
    pub fn values(&self) -> BTreeMap<String, Option<String>> {
        let values: BTreeMap<String, Value> =
            serde_json::from_str(self.properties.get()).unwrap_or_default();
        values
            .into_iter()
            .map(|(name, value)| (name, text_of(value)))
            .collect()
    }

    /// Ids that were merged into this one; empty unless `hs_merged_object_ids` was asked for.
    pub fn merged_ids(&self) -> Vec<RecordId> {
        self.property("hs_merged_object_ids")
            .unwrap_or_default()
            .split(';')
            .filter_map(|id| id.trim().parse().ok())
            .collect()
    }

    /// The value of one property; `None` when it is empty or was not asked for.
    pub fn property(&self, name: &str) -> Option<String> {
        self.values().remove(name)?
    }
}

/// Values are texts; one that is not is what it says, and spoils no other.
fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
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
    id: RecordId,
    #[serde(borrow)]
    properties: &'a RawValue,
    #[serde(default, deserialize_with = "time::optional")]
    created_at: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "time::required")]
    updated_at: DateTime<Utc>,
    #[serde(default)]
    archived: bool,
    #[serde(default, deserialize_with = "time::optional")]
    archived_at: Option<DateTime<Utc>>,
    #[serde(borrow, default)]
    associations: BTreeMap<Cow<'a, str>, RawAssociations<'a>>,
    #[serde(default)]
    properties_with_history: Option<BTreeMap<String, Vec<HistoricValue>>>,
    #[serde(default, deserialize_with = "crate::error::each")]
    warnings: Vec<envelope::Warning>,
}

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
            id: raw.id,
            properties: raw.properties.to_owned(),
            created_at: raw.created_at,
            updated_at: raw.updated_at,
            archived: raw.archived,
            associations,
            more_associations,
            archived_at: raw.archived_at,
            history: raw.properties_with_history.unwrap_or_default(),
            normalized: raw.warnings.iter().flat_map(|w| w.normalized()).collect(),
        })
    }
}

/// What to read of records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    properties: Vec<String>,
    history: Vec<String>,
    archived: bool,
}

impl ReadOptions {
    /// HubSpot's default properties.
    pub fn new() -> Self {
        Self::default()
    }

    /// These properties.
    #[must_use]
    pub fn properties(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.properties = names.into_iter().map(Into::into).collect();
        self
    }

    /// With the earlier values of these properties.
    #[must_use]
    pub fn history(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.history = names.into_iter().map(Into::into).collect();
        self
    }

    /// Out of the recycle bin instead.
    #[must_use]
    pub const fn archived(mut self) -> Self {
        self.archived = true;
        self
    }
}

/// What to list.
#[derive(Debug, Clone)]
pub struct ListRequest {
    object_type: ObjectType,
    properties: Vec<String>,
    history: Vec<String>,
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
            history: Vec::new(),
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

    /// With the earlier values of these properties; at most 50 records a page then.
    #[must_use]
    pub fn history(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.history = names.into_iter().map(Into::into).collect();
        self.limit = self.limit.min(50);
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
        let history = request.history.join(",");
        let too_long = names.len() + history.len() > MAX_QUERY;
        let mut query = paged(request.limit, request.after.as_ref());
        if too_long {
            query.push(("properties", "hs_object_id".to_owned()));
        } else if !names.is_empty() {
            query.push(("properties", names));
        }
        if !too_long && !history.is_empty() {
            query.push(("propertiesWithHistory", history));
        }
        if !request.associations.is_empty() {
            let types: Vec<_> = request.associations.iter().map(|t| t.path()).collect();
            query.push(("associations", types.join(",")));
        }
        if request.archived {
            query.push(("archived", "true".to_owned()));
        }
        let answer = self
            .0
            .get(&path(request.object_type, ""), &query, Kind::Page)
            .await?;
        let mut page = page_of(&answer, "list of records")?;
        if too_long {
            let options = ReadOptions {
                properties: request.properties.clone(),
                history: request.history.clone(),
                archived: request.archived,
            };
            self.complete(&mut page, request.object_type, &options)
                .await?;
        }
        Ok(page)
    }

    /// Reads the properties of a page of ids.
    pub(crate) async fn fill_in(
        &self,
        page: &mut Page<CrmObject>,
        object_type: ObjectType,
        properties: &[String],
    ) -> Result<(), Error> {
        let options = ReadOptions::new().properties(properties);
        self.complete(page, object_type, &options).await
    }

    async fn complete(
        &self,
        page: &mut Page<CrmObject>,
        object_type: ObjectType,
        options: &ReadOptions,
    ) -> Result<(), Error> {
        let ids: Vec<RecordId> = page.results.iter().flatten().map(|o| o.id).collect();
        let mut read = self.batch_read(object_type, &ids, options).await?;
        // Without them it would be another page than HubSpot's.
        if let Some((_, error)) = read.unanswered.pop_first() {
            return Err(error.unwrap_or(Error::Unanswered));
        }
        let mut full: BTreeMap<RecordId, Result<CrmObject, BadRecord>> = read
            .found
            .into_iter()
            .filter_map(|record| {
                let id = match &record {
                    Ok(object) => object.id,
                    Err(bad) => bad.key.parse().ok()?,
                };
                Some((id, record))
            })
            .collect();
        // What is missing now was archived between the two requests.
        page.results = std::mem::take(&mut page.results)
            .into_iter()
            .filter_map(|result| match result {
                Ok(listed) => full.remove(&listed.id).map(|read| {
                    read.map(|read| CrmObject {
                        associations: listed.associations,
                        more_associations: listed.more_associations,
                        ..read
                    })
                }),
                bad => Some(bad),
            })
            .collect();
        Ok(())
    }

    /// One record. An id that was merged away brings the record that it was merged into, whose id is
    /// another one.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown or archived one.
    pub async fn get(
        &self,
        object_type: ObjectType,
        id: RecordId,
        properties: &[&str],
    ) -> Result<CrmObject, Error> {
        let options = ReadOptions::new().properties(properties.iter().copied());
        self.read(object_type, id, &options, &[]).await
    }

    /// One record, with history, associations, or out of the recycle bin.
    ///
    /// # Errors
    /// [`Error::NotFound`] for one that is not where it was looked for.
    pub async fn read(
        &self,
        object_type: ObjectType,
        id: RecordId,
        options: &ReadOptions,
        associations: &[ObjectType],
    ) -> Result<CrmObject, Error> {
        let read = self
            .read_timed(object_type, id, options, associations)
            .await?;
        Ok(read.0)
    }

    async fn read_timed(
        &self,
        object_type: ObjectType,
        id: RecordId,
        options: &ReadOptions,
        associations: &[ObjectType],
    ) -> Result<(CrmObject, Times), Error> {
        let mut query = Vec::new();
        for (name, values) in [
            ("properties", &options.properties),
            ("propertiesWithHistory", &options.history),
        ] {
            if !values.is_empty() {
                query.push((name, values.join(",")));
            }
        }
        if !associations.is_empty() {
            let types: Vec<_> = associations.iter().map(|t| t.path()).collect();
            query.push(("associations", types.join(",")));
        }
        if options.archived {
            query.push(("archived", "true".to_owned()));
        }
        let answer = self
            .0
            .get(&path(object_type, &format!("/{id}")), &query, Kind::Read)
            .await?;
        let mut times = Times::NONE;
        times.add(answer.sent_at, answer.served_at);
        Ok((one(&answer, "record")?, times))
    }

    /// All pages of a listing, one after the other.
    pub fn pages(
        &self,
        request: ListRequest,
    ) -> impl futures::Stream<Item = Result<Page<CrmObject>, Error>> + '_ {
        let guard = PagingGuard::ascending("list of records");
        futures::stream::try_unfold(Some((request, guard)), move |state| async move {
            let Some((request, mut guard)) = state else {
                return Ok(None);
            };
            let page = self.list(&request).await?;
            guard.check(request.after.as_ref(), &page, |object| object.id.get())?;
            let next = page
                .next
                .clone()
                .map(|cursor| (request.after(Some(cursor)), guard));
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
        let page: Page<CrmObject> = page_of(
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

    #[test]
    fn ids_as_numbers_and_values_that_are_no_texts_are_read() {
        let object: CrmObject = serde_json::from_str(
            r#"{"id":874716779721,"properties":{"city":"Ulm","size":7,"fit":true,"fax":null},
                "updatedAt":"2026-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        assert_eq!(object.id, RecordId::new(874_716_779_721));
        assert_eq!(object.property("city").as_deref(), Some("Ulm"));
        assert_eq!(object.property("size").as_deref(), Some("7"));
        let values = object.values();
        assert_eq!(values["fit"].as_deref(), Some("true"));
        assert_eq!(values["fax"], None);
    }
}
