//! Lists (segments) and their members. Read only.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    budget::Bucket,
    client::{API_VERSION, Client, paged},
    error::Error,
    ids::{ListId, RecordId},
    page::{Cursor, Envelope, Page, Paging, read_record},
};

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
}

/// A member of a list.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Which record.
    pub record_id: RecordId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SearchBody {
    query: &'static str,
    count: u32,
    offset: u64,
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
        let offset = after.map_or(Ok(0), |c| {
            c.as_str().parse().map_err(|_| Error::UnexpectedResponse {
                context: "cursor of lists",
            })
        })?;
        let body = SearchBody {
            query: "",
            count,
            offset,
        };
        let answer = self
            .0
            .post(
                &format!("/crm/lists/{API_VERSION}/search"),
                &body,
                Bucket::General,
                false,
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
            sent_at: answer.sent_at,
            served_at: answer.served_at,
        })
    }

    /// A page of the members of a list, 250 at most.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a list that is gone.
    pub async fn members(
        &self,
        list: ListId,
        after: Option<&Cursor>,
    ) -> Result<Page<Member>, Error> {
        let answer = self
            .0
            .get(
                &format!("/crm/lists/{API_VERSION}/{list}/memberships"),
                &paged(250, after),
            )
            .await?;
        let envelope: Envelope<'_> =
            serde_json::from_slice(&answer.body).map_err(|_| Error::UnexpectedResponse {
                context: "list members",
            })?;
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
}
