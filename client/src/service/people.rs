//! People, their statuses and outreach facts.

use domain::{
    WorkspaceId,
    api::{
        IdempotencyKey, OutreachUpserts, Page, PageCursor, PageLimit, PersonUpserts, StatusUpserts,
        UpsertAnswer,
    },
    app::{Person, PersonId},
};
use futures::Stream;

use super::{Error, HubSpotSync, paging};

impl HubSpotSync {
    /// Creates and updates up to 1,000 people, each with an outcome of its own.
    ///
    /// # Errors
    /// See [`Error`]. An item that is refused is no error of the call: see its outcome.
    pub async fn upsert_people(
        &self,
        workspace: WorkspaceId,
        upserts: &PersonUpserts,
        key: Option<&IdempotencyKey>,
    ) -> Result<UpsertAnswer, Error> {
        self.post(workspace, &["people"])
            .body(upserts)
            .key(key)
            .large()
            .answer()
            .await
    }

    /// Sets lead statuses of up to 1,000 people (E7).
    ///
    /// # Errors
    /// See [`Error`]. An item that is refused is no error of the call: see its outcome.
    pub async fn set_statuses(
        &self,
        workspace: WorkspaceId,
        upserts: &StatusUpserts,
        key: Option<&IdempotencyKey>,
    ) -> Result<UpsertAnswer, Error> {
        self.post(workspace, &["statuses"])
            .body(upserts)
            .key(key)
            .large()
            .answer()
            .await
    }

    /// Sets what was done about up to 1,000 people and what came back (E1).
    ///
    /// # Errors
    /// See [`Error`]. An item that is refused is no error of the call: see its outcome.
    pub async fn set_outreach(
        &self,
        workspace: WorkspaceId,
        upserts: &OutreachUpserts,
        key: Option<&IdempotencyKey>,
    ) -> Result<UpsertAnswer, Error> {
        self.post(workspace, &["outreach"])
            .body(upserts)
            .key(key)
            .large()
            .answer()
            .await
    }

    /// One person.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id.
    pub async fn get_person(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
    ) -> Result<Person, Error> {
        self.get(workspace, &["people", person.as_str()])
            .answer()
            .await
    }

    /// A page of people, in the order of their ids.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_people(
        &self,
        workspace: WorkspaceId,
        after: Option<&PageCursor>,
        limit: PageLimit,
    ) -> Result<Page<Person>, Error> {
        self.get(workspace, &["people"])
            .page(after, limit)
            .answer()
            .await
    }

    /// A page of the people who were made from HubSpot contacts, and of whom the app has said nothing.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_imported_people(
        &self,
        workspace: WorkspaceId,
        after: Option<&PageCursor>,
        limit: PageLimit,
    ) -> Result<Page<Person>, Error> {
        self.get(workspace, &["people"])
            .query("imported", &true)
            .page(after, limit)
            .answer()
            .await
    }

    /// All people, page by page as they are taken. The stream ends with the first error.
    pub fn all_people(
        &self,
        workspace: WorkspaceId,
    ) -> impl Stream<Item = Result<Person, Error>> + Send + use<> {
        let sync = self.clone();
        paging::all(move |after, limit| {
            let sync = sync.clone();
            async move { sync.list_people(workspace, after.as_ref(), limit).await }
        })
    }
}
