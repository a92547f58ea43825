//! Search: an index that lags behind, five requests a second, 10,000 results a query.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::{
    budget::Bucket,
    client::{API_VERSION, Client},
    error::Error,
    ids::{ObjectType, RecordId},
    objects::{CrmObject, page_of},
    page::Page,
};

/// Most results of a page.
pub const PAGE: u32 = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    filter_groups: Vec<FilterGroup<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sorts: Vec<Sort<'a>>,
    properties: &'a [String],
    limit: u32,
}

#[derive(Serialize)]
struct FilterGroup<'a> {
    filters: Vec<Filter<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Filter<'a> {
    property_name: &'a str,
    operator: &'a str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sort<'a> {
    property_name: &'a str,
    direction: &'a str,
}

/// The search endpoints.
#[derive(Debug)]
pub struct Search<'a>(&'a Client);

impl Client {
    /// The search endpoints.
    pub const fn search(&self) -> Search<'_> {
        Search(self)
    }
}

impl Search<'_> {
    /// How many records of a type the index knows, modified at `since` or later if given.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn count(
        &self,
        object_type: ObjectType,
        since: Option<DateTime<Utc>>,
    ) -> Result<Page<CrmObject>, Error> {
        let filters = since.map(|s| modified_since(object_type, s)).into_iter();
        self.run(object_type, filters.collect(), &[], 1, false)
            .await
    }

    /// Records modified at `since` or later, in the order of their ids, those after `after`. By id,
    /// because a bulk edit puts more than 10,000 records on one millisecond, which no other order
    /// gets past (`hubspot-api.md` §6).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn modified_since(
        &self,
        object_type: ObjectType,
        since: DateTime<Utc>,
        after: Option<RecordId>,
        properties: &[String],
    ) -> Result<Page<CrmObject>, Error> {
        let mut filters = vec![modified_since(object_type, since)];
        if let Some(after) = after {
            filters.push(Filter {
                property_name: "hs_object_id",
                operator: "GT",
                value: after.to_string(),
            });
        }
        self.run(object_type, filters, properties, PAGE, true).await
    }

    async fn run(
        &self,
        object_type: ObjectType,
        filters: Vec<Filter<'_>>,
        properties: &[String],
        limit: u32,
        sorted: bool,
    ) -> Result<Page<CrmObject>, Error> {
        let body = Body {
            filter_groups: if filters.is_empty() {
                Vec::new()
            } else {
                vec![FilterGroup { filters }]
            },
            sorts: if sorted {
                vec![Sort {
                    property_name: "hs_object_id",
                    direction: "ASCENDING",
                }]
            } else {
                Vec::new()
            },
            properties,
            limit,
        };
        let path = format!("/crm/objects/{API_VERSION}/{}/search", object_type.path());
        let answer = self.0.post(&path, &body, Bucket::Search, false).await?;
        page_of(&answer, "search")
    }
}

fn modified_since(object_type: ObjectType, since: DateTime<Utc>) -> Filter<'static> {
    Filter {
        property_name: object_type.last_modified(),
        operator: "GTE",
        value: since.to_rfc3339_opts(SecondsFormat::Millis, true),
    }
}
