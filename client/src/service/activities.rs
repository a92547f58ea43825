//! Activities, and how they stand in HubSpot (E8).

use domain::{
    WorkspaceId,
    api::{
        ActivityAnswer, ActivityUpserts, IdempotencyKey, Page, PageCursor, PageLimit, UpsertAnswer,
    },
    app::PersonId,
};
use futures::Stream;

use super::{Error, HubSpotSync, paging};

impl HubSpotSync {
    /// Sends up to 1,000 activities, each with an outcome of its own.
    ///
    /// # Errors
    /// See [`Error`]. An item that is refused is no error of the call: see its outcome.
    pub async fn upsert_activities(
        &self,
        workspace: WorkspaceId,
        upserts: &ActivityUpserts,
        key: Option<&IdempotencyKey>,
    ) -> Result<UpsertAnswer, Error> {
        self.post(workspace, &["activities"])
            .body(upserts)
            .key(key)
            .large()
            .answer()
            .await
    }

    /// A page of a person's activities with how each stands, in the order of their ids.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where the person is not known.
    pub async fn list_person_activities(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
        after: Option<&PageCursor>,
        limit: PageLimit,
    ) -> Result<Page<ActivityAnswer>, Error> {
        self.get(workspace, &["people", person.as_str(), "activities"])
            .page(after, limit)
            .answer()
            .await
    }

    /// All of them, page by page as they are taken. The stream ends with the first error.
    pub fn all_person_activities(
        &self,
        workspace: WorkspaceId,
        person: PersonId,
    ) -> impl Stream<Item = Result<ActivityAnswer, Error>> + Send + use<> {
        let sync = self.clone();
        paging::all(move |after, limit| {
            let (sync, person) = (sync.clone(), person.clone());
            async move {
                sync.list_person_activities(workspace, &person, after.as_ref(), limit)
                    .await
            }
        })
    }
}
