//! Recent engagements of other reps (I10).

use domain::{
    WorkspaceId,
    api::{Page, PageCursor, PageLimit, TouchAnswer},
    app::PersonId,
};
use futures::Stream;

use super::{Error, HubSpotSync, paging};

impl HubSpotSync {
    /// A page of the recent engagements of other reps with a person, newest first. Empty where the
    /// workspace does not read them.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where the person is not known.
    pub async fn list_person_touches(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
        after: Option<&PageCursor>,
        limit: PageLimit,
    ) -> Result<Page<TouchAnswer>, Error> {
        self.get(workspace, &["people", person.as_str(), "touches"])
            .page(after, limit)
            .answer()
            .await
    }

    /// All of them, page by page as they are taken. The stream ends with the first error.
    pub fn all_person_touches(
        &self,
        workspace: WorkspaceId,
        person: PersonId,
    ) -> impl Stream<Item = Result<TouchAnswer, Error>> + Send + use<> {
        let sync = self.clone();
        paging::all(move |after, limit| {
            let (sync, person) = (sync.clone(), person.clone());
            async move {
                sync.list_person_touches(workspace, &person, after.as_ref(), limit)
                    .await
            }
        })
    }
}
