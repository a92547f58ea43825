//! Owners: users who own records. Read only.

use serde::Deserialize;

use crate::{
    client::{API_VERSION, Client, paged},
    error::Error,
    ids::OwnerId,
    page::{Cursor, Envelope, Page, Paging, read_record},
};

/// An owner.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The id to assign records by.
    pub id: OwnerId,
    /// The user; none for archived owners and queues.
    #[serde(default)]
    pub user_id: Option<u64>,
    /// May be missing.
    #[serde(default)]
    pub email: Option<String>,
    /// May be blank.
    #[serde(default)]
    pub first_name: Option<String>,
    /// May be blank.
    #[serde(default)]
    pub last_name: Option<String>,
    /// Whether the user was deactivated.
    #[serde(default)]
    pub archived: bool,
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owner")
            .field("id", &self.id)
            .field("archived", &self.archived)
            .finish_non_exhaustive()
    }
}

/// The endpoints of owners.
#[derive(Debug)]
pub struct Owners<'a>(&'a Client);

impl Client {
    /// The endpoints of owners.
    pub const fn owners(&self) -> Owners<'_> {
        Owners(self)
    }
}

impl Owners<'_> {
    /// A page of owners, active or archived. Believe each owner's own `archived`: the filter was
    /// seen to fail (`hubspot-api.md` §10).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&self, archived: bool, after: Option<&Cursor>) -> Result<Page<Owner>, Error> {
        let mut query = paged(100, after);
        query.push(("archived", archived.to_string()));
        let answer = self
            .0
            .get(&format!("/crm/owners/{API_VERSION}"), &query)
            .await?;
        let envelope: Envelope<'_> = serde_json::from_slice(&answer.body)
            .map_err(|_| Error::UnexpectedResponse { context: "owners" })?;
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
