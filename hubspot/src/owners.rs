//! Owners: users who own records. Read only.

use serde::Deserialize;

use crate::{
    client::{API_VERSION, Client, Kind, paged},
    error::Error,
    ids::OwnerId,
    page::{Cursor, Page, page_of},
};

/// Most owners of a page (`hubspot-api.md` §15.18).
pub const PAGE: u32 = 500;

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
    /// The user, also of archived owners.
    #[serde(default)]
    pub user_id_including_inactive: Option<u64>,
    /// `PERSON` or `QUEUE`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// The teams that the user is in.
    #[serde(default)]
    pub teams: Vec<Team>,
}

/// A team of an owner.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Team {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Whether it is the owner's main one.
    #[serde(default)]
    pub primary: bool,
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
    /// A page of owners, active or archived, `limit` at most ([`PAGE`]). Believe each owner's own `archived`: the filter was
    /// seen to fail (`hubspot-api.md` §10).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(
        &self,
        archived: bool,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Owner>, Error> {
        let mut query = paged(limit, after);
        query.push(("archived", archived.to_string()));
        let answer = self
            .0
            .get(&format!("/crm/owners/{API_VERSION}"), &query, Kind::Page)
            .await?;
        page_of(&answer, "owners")
    }

    /// One owner, active or archived.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown one.
    pub async fn get(&self, id: OwnerId, archived: bool) -> Result<Owner, Error> {
        let query = [("archived", archived.to_string())];
        let answer = self
            .0
            .get(
                &format!("/crm/owners/{API_VERSION}/{id}"),
                &query,
                Kind::Read,
            )
            .await?;
        serde_json::from_slice(&answer.body)
            .map_err(|_| Error::UnexpectedResponse { context: "owner" })
    }
}
