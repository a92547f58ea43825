//! What an export would do (E9), what exports wrote, and taking it back (E10).

use domain::{
    RevertId, WorkspaceId,
    api::{
        ExportPreview, IdempotencyKey, JournalEntry, Page, PageCursor, PageLimit, PreviewRequest,
        RevertAnswer, RevertRequest,
    },
    app::PersonId,
    export::journal::EntryId,
};
use futures::Stream;

use super::{Error, HubSpotSync, paging};

/// A preview reads HubSpot afresh: longer than the service waits for that.
const PREVIEW_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

impl HubSpotSync {
    /// What an export of a person would do now. Nothing is written.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where the person is not known, HS-1003 or HS-3003 without a usable
    /// connection, HS-1009 where HubSpot does not answer in time.
    pub async fn preview_export(
        &self,
        workspace: WorkspaceId,
        preview: &PreviewRequest,
    ) -> Result<ExportPreview, Error> {
        self.post(workspace, &["exports", "preview"])
            .body(preview)
            .within(PREVIEW_WITHIN)
            .answer()
            .await
    }

    /// A page of what exports of a person wrote, newest first.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where the person is not known.
    pub async fn list_person_journal(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
        after: Option<&PageCursor>,
        limit: PageLimit,
    ) -> Result<Page<JournalEntry>, Error> {
        self.get(workspace, &["people", person.as_str(), "journal"])
            .page(after, limit)
            .answer()
            .await
    }

    /// All of it, page by page as it is taken. The stream ends with the first error.
    pub fn all_person_journal(
        &self,
        workspace: WorkspaceId,
        person: PersonId,
    ) -> impl Stream<Item = Result<JournalEntry, Error>> + Send + use<> {
        let sync = self.clone();
        paging::all(move |after, limit| {
            let (sync, person) = (sync.clone(), person.clone());
            async move {
                sync.list_person_journal(workspace, &person, after.as_ref(), limit)
                    .await
            }
        })
    }

    /// One entry of the journal.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id.
    pub async fn get_journal_entry(
        &self,
        workspace: WorkspaceId,
        entry: EntryId,
    ) -> Result<JournalEntry, Error> {
        self.get(workspace, &["journal", &entry.to_string()])
            .answer()
            .await
    }

    /// Asks to bring back what an entry overwrote. From the answer on it is not lost.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is no such entry, HS-2441 to HS-2443 where there is
    /// nothing to bring back.
    pub async fn revert_journal_entry(
        &self,
        workspace: WorkspaceId,
        entry: EntryId,
        revert: &RevertRequest,
        key: Option<&IdempotencyKey>,
    ) -> Result<RevertAnswer, Error> {
        self.post(workspace, &["journal", &entry.to_string(), "revert"])
            .body(revert)
            .key(key)
            .answer()
            .await
    }

    /// One revert with its outcome.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id.
    pub async fn get_revert(
        &self,
        workspace: WorkspaceId,
        revert: RevertId,
    ) -> Result<RevertAnswer, Error> {
        self.get(workspace, &["reverts", &revert.to_string()])
            .answer()
            .await
    }
}
