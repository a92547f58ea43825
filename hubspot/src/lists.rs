//! Lists (segments) and their members. Read only.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    budget::Bucket,
    client::{API_VERSION, Client, Kind, paged},
    error::Error,
    ids::{ListId, ObjectType, RecordId},
    page::{Cursor, Page, page_of, read_record},
};

/// Most lists of a page.
pub const PAGE: u32 = 500;
/// Most members of a page.
pub const MEMBERS: u32 = 250;

/// A list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List {
    /// Which.
    pub list_id: ListId,
    /// Its name.
    pub name: String,
    /// `0-1` for contacts, `0-2` for companies.
    pub object_type_id: String,
    /// `MANUAL`, `DYNAMIC` or `SNAPSHOT`.
    pub processing_type: String,
    /// `COMPLETE`, `PAUSED`, or `PROCESSING`: its members are not to be trusted then.
    pub processing_status: String,
    /// When its filters or its name changed; not its members.
    #[serde(default, deserialize_with = "crate::time::optional")]
    pub updated_at: Option<DateTime<Utc>>,
    /// What HubSpot adds, such as its size.
    #[serde(default)]
    additional_properties: BTreeMap<String, serde_json::Value>,
}

impl List {
    /// How many members it has, where HubSpot says so.
    pub fn size(&self) -> Option<u64> {
        let size = self.additional_properties.get("hs_list_size")?;
        size.as_u64().or_else(|| size.as_str()?.parse().ok())
    }
}

/// How a list gets its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProcessingType {
    /// By hand.
    Manual,
    /// By filters, again and again.
    Dynamic,
    /// By filters, once.
    Snapshot,
}

/// A member of a list.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Which record.
    pub record_id: RecordId,
    /// When it joined.
    #[serde(default, deserialize_with = "crate::time::optional")]
    pub membership_timestamp: Option<DateTime<Utc>>,
}

/// The place of a record in a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// Which list.
    pub list_id: ListId,
    /// When the record joined.
    #[serde(default, deserialize_with = "crate::time::optional")]
    pub first_added_timestamp: Option<DateTime<Utc>>,
    /// When it joined for the last time.
    #[serde(default, deserialize_with = "crate::time::optional")]
    pub last_added_timestamp: Option<DateTime<Utc>>,
}

/// Which lists to look for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Part of the name; empty for any.
    pub name: String,
    /// Of these kinds; empty for all.
    pub processing_types: Vec<ProcessingType>,
    /// Of records of this type.
    pub object_type: Option<ObjectType>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SearchBody<'a> {
    query: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    processing_types: &'a [ProcessingType],
    #[serde(skip_serializing_if = "Option::is_none")]
    object_type_id: Option<&'static str>,
    count: u32,
    offset: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AllBody<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    processing_types: &'a [ProcessingType],
    #[serde(skip_serializing_if = "Option::is_none")]
    object_type_id: Option<&'static str>,
    limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchAnswer<'a> {
    #[serde(borrow)]
    lists: Vec<&'a RawValue>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    total: Option<u64>,
}

/// The endpoints of lists.
#[derive(Debug)]
pub struct Lists<'a>(&'a Client);

impl Client {
    /// The endpoints of lists.
    pub const fn lists(&self) -> Lists<'_> {
        Lists(self)
    }
}

impl Lists<'_> {
    /// A page of all lists.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn search(&self, after: Option<&Cursor>, count: u32) -> Result<Page<List>, Error> {
        self.find(&ListQuery::default(), after, count).await
    }

    /// A page of the lists that are looked for, 500 at most.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn find(
        &self,
        query: &ListQuery,
        after: Option<&Cursor>,
        count: u32,
    ) -> Result<Page<List>, Error> {
        let offset = after.map_or(Ok(0), |c| {
            c.as_str().parse().map_err(|_| Error::UnexpectedResponse {
                context: "cursor of lists",
            })
        })?;
        let body = SearchBody {
            query: &query.name,
            processing_types: &query.processing_types,
            object_type_id: query.object_type.map(ObjectType::type_id),
            count,
            offset,
        };
        let answer = self
            .0
            .post(
                &format!("/crm/lists/{API_VERSION}/search"),
                &body,
                Bucket::General,
                Kind::Page,
            )
            .await?;
        let found: SearchAnswer<'_> = serde_json::from_slice(&answer.body)
            .map_err(|_| Error::UnexpectedResponse { context: "lists" })?;
        Ok(Page {
            results: found
                .lists
                .iter()
                .enumerate()
                .map(|(place, raw)| read_record(raw, place))
                .collect(),
            next: found
                .has_more
                .then(|| Cursor::new(found.offset.to_string())),
            total: found.total,
            offset,
            sent_at: answer.sent_at,
            served_at: answer.served_at,
        })
    }

    /// A page of the members of a list, `limit` at most ([`MEMBERS`]).
    ///
    /// # Errors
    /// [`Error::NotFound`] for a list that is gone.
    pub async fn members(
        &self,
        list: ListId,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Member>, Error> {
        self.members_of(list, "", after, limit).await
    }

    /// A page of the members of a list in the order in which they joined, the first one first,
    /// `limit` at most ([`MEMBERS`]). Who left is not told.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a list that is gone.
    pub async fn members_in_join_order(
        &self,
        list: ListId,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Member>, Error> {
        self.members_of(list, "/join-order", after, limit).await
    }

    async fn members_of(
        &self,
        list: ListId,
        order: &str,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Member>, Error> {
        let path = format!("/crm/lists/{API_VERSION}/{list}/memberships{order}");
        let answer = self.0.get(&path, &paged(limit, after), Kind::Page).await?;
        page_of(&answer, "list members")
    }

    /// A page of all lists in the order of their ids. [`Error::Invalid`] when the filters changed
    /// since the cursor was given.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn all(
        &self,
        query: &ListQuery,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<List>, Error> {
        let body = AllBody {
            processing_types: &query.processing_types,
            object_type_id: query.object_type.map(ObjectType::type_id),
            limit,
            after: after.map(Cursor::as_str),
        };
        let path = format!("/crm/lists/{API_VERSION}/all");
        let answer = self
            .0
            .post(&path, &body, Bucket::General, Kind::Page)
            .await?;
        page_of(&answer, "all lists")
    }

    /// One list.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a list that is gone.
    pub async fn get(&self, list: ListId) -> Result<List, Error> {
        #[derive(Deserialize)]
        struct Body {
            list: List,
        }
        let answer = self
            .0
            .get(&format!("/crm/lists/{API_VERSION}/{list}"), &[], Kind::Read)
            .await?;
        serde_json::from_slice::<Body>(&answer.body)
            .map(|body| body.list)
            .or_else(|_| serde_json::from_slice(&answer.body))
            .map_err(|_| Error::UnexpectedResponse { context: "list" })
    }

    /// The lists that a record is in.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn of_record(
        &self,
        object_type: ObjectType,
        record: RecordId,
    ) -> Result<Page<Membership>, Error> {
        let path = format!(
            "/crm/lists/{API_VERSION}/records/{}/{record}/memberships",
            object_type.type_id()
        );
        let answer = self.0.get(&path, &[], Kind::Page).await?;
        page_of(&answer, "lists of a record")
    }
}
