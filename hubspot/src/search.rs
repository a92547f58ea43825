//! Search: an index that lags behind, five requests a second, 10,000 results a query.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::{
    budget::Bucket,
    client::{API_VERSION, Client, Kind},
    error::{Error, RequestProblem},
    ids::{ObjectType, RecordId},
    objects::CrmObject,
    page::{Page, PagingGuard, page_of},
};

/// Most results of a page.
pub const PAGE: u32 = 200;
/// Most results of a query, over all its pages.
pub const CAP: u32 = 10_000;
/// Most filter groups.
pub const GROUPS: usize = 5;
/// Most filters of a group.
pub const FILTERS_IN_GROUP: usize = 6;
/// Most filters in all.
pub const FILTERS: usize = 18;
/// Most characters of a body.
pub const BODY: usize = 3_000;

/// A condition on one property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    property_name: String,
    operator: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<String>>,
}

/// A time as search takes it.
fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Filter {
    fn plain(property: impl Into<String>, operator: &'static str) -> Self {
        Self {
            property_name: property.into(),
            operator,
            value: None,
            high_value: None,
            values: None,
        }
    }

    fn valued(
        property: impl Into<String>,
        operator: &'static str,
        value: impl Into<String>,
    ) -> Self {
        Self {
            value: Some(value.into()),
            ..Self::plain(property, operator)
        }
    }

    fn listed(
        property: impl Into<String>,
        operator: &'static str,
        values: impl IntoIterator<Item = impl Into<String>>,
        text: bool,
    ) -> Self {
        let values = values
            .into_iter()
            .map(Into::into)
            .map(|v: String| if text { v.to_lowercase() } else { v })
            .collect();
        Self {
            values: Some(values),
            ..Self::plain(property, operator)
        }
    }

    /// Equal. Case does not matter, except for options of an enumeration.
    pub fn eq(property: impl Into<String>, value: impl Into<String>) -> Self {
        Self::valued(property, "EQ", value)
    }

    /// Not equal.
    pub fn neq(property: impl Into<String>, value: impl Into<String>) -> Self {
        Self::valued(property, "NEQ", value)
    }

    /// Less than.
    pub fn lt(property: impl Into<String>, value: impl Into<String>) -> Self {
        Self::valued(property, "LT", value)
    }

    /// At most.
    pub fn lte(property: impl Into<String>, value: impl Into<String>) -> Self {
        Self::valued(property, "LTE", value)
    }

    /// Greater than.
    pub fn gt(property: impl Into<String>, value: impl Into<String>) -> Self {
        Self::valued(property, "GT", value)
    }

    /// At least.
    pub fn gte(property: impl Into<String>, value: impl Into<String>) -> Self {
        Self::valued(property, "GTE", value)
    }

    /// From `low` to `high`, both included.
    pub fn between(
        property: impl Into<String>,
        low: impl Into<String>,
        high: impl Into<String>,
    ) -> Self {
        Self {
            high_value: Some(high.into()),
            ..Self::valued(property, "BETWEEN", low)
        }
    }

    /// One of these texts. They are sent in lower case, in which alone HubSpot finds them
    /// (`hubspot-api.md` §6).
    pub fn in_texts(
        property: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self::listed(property, "IN", values, true)
    }

    /// None of these texts.
    pub fn not_in_texts(
        property: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self::listed(property, "NOT_IN", values, true)
    }

    /// One of these options of an enumeration, or of these numbers. Sent as they are.
    pub fn in_options(
        property: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self::listed(property, "IN", values, false)
    }

    /// None of these options of an enumeration.
    pub fn not_in_options(
        property: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self::listed(property, "NOT_IN", values, false)
    }

    /// The property has a value.
    pub fn known(property: impl Into<String>) -> Self {
        Self::plain(property, "HAS_PROPERTY")
    }

    /// The property has no value.
    pub fn unknown(property: impl Into<String>) -> Self {
        Self::plain(property, "NOT_HAS_PROPERTY")
    }

    /// One of its words is this one; `*` stands for anything within a word.
    pub fn contains_token(property: impl Into<String>, token: impl Into<String>) -> Self {
        Self::valued(property, "CONTAINS_TOKEN", token)
    }

    /// None of its words is this one.
    pub fn not_contains_token(property: impl Into<String>, token: impl Into<String>) -> Self {
        Self::valued(property, "NOT_CONTAINS_TOKEN", token)
    }

    /// Last modified then or later.
    pub fn modified_since(object_type: ObjectType, since: DateTime<Utc>) -> Self {
        Self::gte(object_type.last_modified(), time(since))
    }

    /// Last modified within this window, both ends included.
    pub fn modified_between(
        object_type: ObjectType,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Self {
        Self::between(object_type.last_modified(), time(from), time(to))
    }

    /// Ids beyond this one.
    pub fn id_after(id: RecordId) -> Self {
        Self::gt("hs_object_id", id.to_string())
    }

    /// Ids up to this one.
    pub fn id_up_to(id: RecordId) -> Self {
        Self::lte("hs_object_id", id.to_string())
    }

    /// Associated with this record.
    pub fn associated_with(object_type: ObjectType, id: RecordId) -> Self {
        Self::eq(
            format!("associations.{}", object_type.singular()),
            id.to_string(),
        )
    }
}

#[derive(Debug, Clone, Serialize)]
struct FilterGroup {
    filters: Vec<Filter>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sort {
    property_name: String,
    direction: &'static str,
}

/// What to search for.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    object_type: ObjectType,
    groups: Vec<FilterGroup>,
    query: Option<String>,
    sort: Option<Sort>,
    properties: Vec<String>,
    limit: u32,
    after: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    filter_groups: &'a [FilterGroup],
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sorts: &'a [Sort],
    properties: &'a [String],
    limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

impl SearchRequest {
    /// All records of a type, 200 a page, the oldest first.
    pub const fn new(object_type: ObjectType) -> Self {
        Self {
            object_type,
            groups: Vec::new(),
            query: None,
            sort: None,
            properties: Vec::new(),
            limit: PAGE,
            after: 0,
        }
    }

    /// Those to which all these filters apply. With several groups it is enough if one applies.
    #[must_use]
    pub fn group(mut self, filters: impl IntoIterator<Item = Filter>) -> Self {
        self.groups.push(FilterGroup {
            filters: filters.into_iter().collect(),
        });
        self
    }

    /// Those with this text in one of HubSpot's default searchable properties.
    #[must_use]
    pub fn query(mut self, text: impl Into<String>) -> Self {
        self.query = Some(text.into());
        self
    }

    /// In this order. HubSpot takes one.
    #[must_use]
    pub fn sort_ascending(mut self, property: impl Into<String>) -> Self {
        self.sort = Some(Sort {
            property_name: property.into(),
            direction: "ASCENDING",
        });
        self
    }

    /// In this order, reversed.
    #[must_use]
    pub fn sort_descending(mut self, property: impl Into<String>) -> Self {
        self.sort = Some(Sort {
            property_name: property.into(),
            direction: "DESCENDING",
        });
        self
    }

    /// With these properties; HubSpot's defaults without.
    #[must_use]
    pub fn properties(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.properties = names.into_iter().map(Into::into).collect();
        self
    }

    /// Results a page, 1 to 200.
    #[must_use]
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// From this result on; the last one that HubSpot gives is the 10,000th.
    #[must_use]
    pub const fn after(mut self, offset: u32) -> Self {
        self.after = offset;
        self
    }

    /// The same in the order of ids, those beyond `after`.
    fn keyset(&self, after: Option<RecordId>) -> Self {
        let mut next = self.clone().sort_ascending("hs_object_id");
        next.after = 0;
        if let Some(id) = after {
            if next.groups.is_empty() {
                next.groups.push(FilterGroup {
                    filters: Vec::new(),
                });
            }
            for group in &mut next.groups {
                group.filters.push(Filter::id_after(id));
            }
        }
        next
    }

    fn body<'a>(&'a self, properties: &'a [String]) -> Body<'a> {
        Body {
            filter_groups: &self.groups,
            query: self.query.as_deref(),
            sorts: self.sort.as_slice(),
            properties,
            limit: self.limit,
            after: (self.after > 0).then(|| self.after.to_string()),
        }
    }

    fn chars(&self, properties: &[String]) -> usize {
        serde_json::to_string(&self.body(properties)).map_or(0, |text| text.chars().count())
    }

    /// Whether HubSpot's documented limits let it through (`hubspot-api.md` §6). Every search checks
    /// it before it is sent.
    ///
    /// # Errors
    /// Which limit it breaks.
    pub fn check(&self) -> Result<(), RequestProblem> {
        if self.groups.len() > GROUPS {
            return Err(RequestProblem::FilterGroups {
                given: self.groups.len(),
                most: GROUPS,
            });
        }
        let most_in_group = self
            .groups
            .iter()
            .map(|g| g.filters.len())
            .max()
            .unwrap_or(0);
        if most_in_group > FILTERS_IN_GROUP {
            return Err(RequestProblem::FiltersInGroup {
                given: most_in_group,
                most: FILTERS_IN_GROUP,
            });
        }
        let all = self.groups.iter().map(|g| g.filters.len()).sum();
        if all > FILTERS {
            return Err(RequestProblem::Filters {
                given: all,
                most: FILTERS,
            });
        }
        if let Some(empty) = self
            .groups
            .iter()
            .flat_map(|g| &g.filters)
            .find(|f| f.values.as_ref().is_some_and(Vec::is_empty))
        {
            return Err(RequestProblem::NoValues {
                property: empty.property_name.clone(),
            });
        }
        if self.limit == 0 || self.limit > PAGE {
            return Err(RequestProblem::PageSize {
                given: self.limit,
                most: PAGE,
            });
        }
        // HubSpot refuses an offset with its page beyond the cap.
        let end = self.after.saturating_add(self.limit);
        if self.after > 0 && end > CAP {
            return Err(RequestProblem::BeyondCap { end, most: CAP });
        }
        let chars = self.chars(&[]);
        if chars > BODY {
            return Err(RequestProblem::TooLong { chars, most: BODY });
        }
        Ok(())
    }
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

/// The last id of a page in the order of ids. Records that are not readable count by their keys.
fn last_id(page: &Page<CrmObject>) -> Option<RecordId> {
    page.results
        .iter()
        .filter_map(|r| match r {
            Ok(object) => Some(object.id),
            Err(bad) => bad.key.parse().ok(),
        })
        .max()
}

impl Search<'_> {
    /// One page. When the properties make the body too long, ids are searched for, and the
    /// properties read by batch.
    ///
    /// # Errors
    /// [`Error::NotSendable`] for what HubSpot would refuse; see [`Error`].
    pub async fn run(&self, request: &SearchRequest) -> Result<Page<CrmObject>, Error> {
        request.check()?;
        let by_id = request.chars(&request.properties) > BODY;
        let body = request.body(if by_id { &[] } else { &request.properties });
        let path = format!(
            "/crm/objects/{API_VERSION}/{}/search",
            request.object_type.path()
        );
        let answer = self
            .0
            .post(&path, &body, Bucket::Search, Kind::Page)
            .await?;
        let mut page = page_of(&answer, "search")?;
        page.offset = u64::from(request.after);
        if by_id {
            self.0
                .objects()
                .fill_in(&mut page, request.object_type, &request.properties)
                .await?;
        }
        Ok(page)
    }

    /// One page in the order of ids, those beyond `after`; the request's own order and offset do not
    /// count. By id, because a bulk edit puts more than 10,000 records on one millisecond, which no
    /// other order gets past (`hubspot-api.md` §6). The next page begins at the last id of this one,
    /// and there is one if [`Page::next`] says so. Uses a filter in each group.
    ///
    /// # Errors
    /// As [`Search::run`].
    pub async fn by_id(
        &self,
        request: &SearchRequest,
        after: Option<RecordId>,
    ) -> Result<Page<CrmObject>, Error> {
        self.run(&request.keyset(after)).await
    }

    /// All pages in the order of ids, beyond the cap of 10,000 too. See [`Search::by_id`].
    pub fn pages(
        &self,
        request: SearchRequest,
        after: Option<RecordId>,
    ) -> impl futures::Stream<Item = Result<Page<CrmObject>, Error>> + '_ {
        let guard = PagingGuard::ascending("search");
        let first = Some((request, after, guard));
        futures::stream::try_unfold(first, move |state| async move {
            let Some((request, after, mut guard)) = state else {
                return Ok(None);
            };
            let page = self.by_id(&request, after).await?;
            // The cursors are offsets and not used.
            let ids = page.results.iter().flatten().map(|object| object.id.get());
            guard.step(None, page.next.as_ref(), ids)?;
            let next = match (&page.next, last_id(&page)) {
                (None, _) => None,
                (Some(_), Some(id)) if Some(id) > after => Some((request, Some(id), guard)),
                // Without an id there is no place to go on from, and to stop would lose the rest.
                (Some(_), Some(_)) => return Err(Error::PagingStuck { context: "search" }),
                (Some(_), None) => {
                    return Err(Error::UnexpectedResponse {
                        context: "search page without a readable id",
                    });
                }
            };
            Ok(Some((page, next)))
        })
    }

    /// How many records of a type the index knows, modified at `since` or later if given
    /// ([`Page::total`]).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn count(
        &self,
        object_type: ObjectType,
        since: Option<DateTime<Utc>>,
    ) -> Result<Page<CrmObject>, Error> {
        let mut request = SearchRequest::new(object_type).limit(1);
        if let Some(since) = since {
            request = request.group([Filter::modified_since(object_type, since)]);
        }
        self.run(&request).await
    }

    /// Records modified at `since` or later, in the order of their ids, those after `after`, `limit`
    /// at most ([`PAGE`]).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn modified_since(
        &self,
        object_type: ObjectType,
        since: DateTime<Utc>,
        after: Option<RecordId>,
        properties: &[String],
        limit: u32,
    ) -> Result<Page<CrmObject>, Error> {
        let request = SearchRequest::new(object_type)
            .group([Filter::modified_since(object_type, since)])
            .properties(properties)
            .limit(limit);
        self.by_id(&request, after).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(request: &SearchRequest) -> serde_json::Value {
        serde_json::to_value(request.body(&request.properties)).unwrap()
    }

    #[test]
    fn the_body_is_as_documented() {
        let request = SearchRequest::new(ObjectType::Contact)
            .group([
                Filter::between("num_notes", "1", "5"),
                Filter::in_texts("email", ["A@Example.com"]),
            ])
            .group([
                Filter::in_options("hs_lead_status", ["OPEN_DEAL"]),
                Filter::unknown("phone"),
                Filter::associated_with(ObjectType::Company, RecordId::new(7)),
            ])
            .query("acme")
            .sort_descending("createdate")
            .properties(["email"])
            .after(200);
        assert_eq!(
            json(&request),
            serde_json::json!({
                "filterGroups": [
                    {"filters": [
                        {"propertyName": "num_notes", "operator": "BETWEEN", "value": "1", "highValue": "5"},
                        {"propertyName": "email", "operator": "IN", "values": ["a@example.com"]},
                    ]},
                    {"filters": [
                        {"propertyName": "hs_lead_status", "operator": "IN", "values": ["OPEN_DEAL"]},
                        {"propertyName": "phone", "operator": "NOT_HAS_PROPERTY"},
                        {"propertyName": "associations.company", "operator": "EQ", "value": "7"},
                    ]},
                ],
                "query": "acme",
                "sorts": [{"propertyName": "createdate", "direction": "DESCENDING"}],
                "properties": ["email"],
                "limit": 200,
                "after": "200",
            })
        );
        request.check().unwrap();
    }

    #[test]
    fn the_next_page_by_id_is_asked_for_in_every_group() {
        let request = SearchRequest::new(ObjectType::Deal)
            .group([Filter::known("amount")])
            .group([Filter::known("closedate")])
            .after(400)
            .keyset(Some(RecordId::new(12)));
        let body = json(&request);
        for group in body["filterGroups"].as_array().unwrap() {
            assert_eq!(
                group["filters"][1],
                serde_json::json!({"propertyName": "hs_object_id", "operator": "GT", "value": "12"})
            );
        }
        assert_eq!(body["sorts"][0]["propertyName"], "hs_object_id");
        assert_eq!(body.get("after"), None);
        let unfiltered = SearchRequest::new(ObjectType::Deal).keyset(Some(RecordId::new(12)));
        assert_eq!(
            json(&unfiltered)["filterGroups"][0]["filters"][0]["value"],
            "12"
        );
    }

    #[test]
    fn what_hubspot_would_refuse_is_not_sent() {
        let base = || SearchRequest::new(ObjectType::Contact);
        let filters = |n: usize| (0..n).map(|_| Filter::known("email")).collect::<Vec<_>>();
        let groups = |n: usize, each: usize| (0..n).fold(base(), |r, _| r.group(filters(each)));
        let table = [
            (groups(5, 3), None),
            (
                groups(6, 1),
                Some(RequestProblem::FilterGroups { given: 6, most: 5 }),
            ),
            (groups(3, 6), None),
            (
                groups(1, 7),
                Some(RequestProblem::FiltersInGroup { given: 7, most: 6 }),
            ),
            (
                groups(4, 5),
                Some(RequestProblem::Filters {
                    given: 20,
                    most: 18,
                }),
            ),
            (
                base().group([Filter::in_texts("email", [""; 0])]),
                Some(RequestProblem::NoValues {
                    property: "email".to_owned(),
                }),
            ),
            (
                base().limit(201),
                Some(RequestProblem::PageSize {
                    given: 201,
                    most: 200,
                }),
            ),
            (base().after(9_800), None),
            (
                base().after(9_801),
                Some(RequestProblem::BeyondCap {
                    end: 10_001,
                    most: 10_000,
                }),
            ),
            // Properties do not count: they are read apart when they are too many.
            (base().properties(vec!["a_rather_long_name"; 500]), None),
        ];
        for (request, want) in table {
            assert_eq!(request.check().err(), want);
        }
        let long = base().query("x".repeat(3_000)).check().unwrap_err();
        assert!(matches!(long, RequestProblem::TooLong { most: 3_000, .. }));
    }
}
