//! Requests to export, and what became of them (E1, X1).

use domain::{
    WorkspaceId,
    api::{
        BulkExport, ExportAnswer, ExportSummary, IdempotencyKey, ManualExport, Page, PageCursor,
        PageLimit, RequestAnswer, ResumeRow, RetryAnswer, RetryExports,
    },
    app::PersonId,
    export::{RequestId, RequestState},
};
use futures::Stream;

use super::{Error, HubSpotSync, paging};

/// Which requests a listing has; all of them unless something is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExportFilter {
    /// About this person only.
    pub person: Option<PersonId>,
    /// In this state only.
    pub state: Option<RequestState>,
}

impl HubSpotSync {
    /// Asks to export one person, whatever the policy says. From the answer on the request is not
    /// lost.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where the person is not known.
    pub async fn export_person(
        &self,
        workspace: WorkspaceId,
        export: &ManualExport,
        key: Option<&IdempotencyKey>,
    ) -> Result<ExportAnswer, Error> {
        self.post(workspace, &["exports"])
            .body(export)
            .key(key)
            .answer()
            .await
    }

    /// Asks to export up to 1,000 people, by the policy. People who are not known are skipped.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn export_in_bulk(
        &self,
        workspace: WorkspaceId,
        export: &BulkExport,
        key: Option<&IdempotencyKey>,
    ) -> Result<ExportAnswer, Error> {
        self.post(workspace, &["bulk-exports"])
            .body(export)
            .key(key)
            .large()
            .answer()
            .await
    }

    /// A page of requests, oldest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_exports(
        &self,
        workspace: WorkspaceId,
        filter: &ExportFilter,
        after: Option<&PageCursor>,
        limit: PageLimit,
    ) -> Result<Page<RequestAnswer>, Error> {
        let mut call = self.get(workspace, &["exports"]).page(after, limit);
        if let Some(person) = &filter.person {
            call = call.query("person", person);
        }
        if let Some(state) = &filter.state {
            call = call.query("state", state);
        }
        call.answer().await
    }

    /// All requests, page by page as they are taken. The stream ends with the first error.
    pub fn all_exports(
        &self,
        workspace: WorkspaceId,
        filter: ExportFilter,
    ) -> impl Stream<Item = Result<RequestAnswer, Error>> + Send + use<> {
        let sync = self.clone();
        paging::all(move |after, limit| {
            let (sync, filter) = (sync.clone(), filter.clone());
            async move {
                sync.list_exports(workspace, &filter, after.as_ref(), limit)
                    .await
            }
        })
    }

    /// One request with its outcome.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id.
    pub async fn get_export(
        &self,
        workspace: WorkspaceId,
        request: RequestId,
    ) -> Result<RequestAnswer, Error> {
        self.get(workspace, &["exports", &request.to_string()])
            .answer()
            .await
    }

    /// How exports stand: who qualifies, what waits, failed or was left out, and since when.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn summarize_exports(&self, workspace: WorkspaceId) -> Result<ExportSummary, Error> {
        self.get(workspace, &["exports", "summary"]).answer().await
    }

    /// Lets a request that failed, was left out or waits go on now.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id.
    pub async fn retry_export(
        &self,
        workspace: WorkspaceId,
        request: RequestId,
        key: Option<&IdempotencyKey>,
    ) -> Result<RequestAnswer, Error> {
        self.post(workspace, &["exports", &request.to_string(), "retry"])
            .key(key)
            .answer()
            .await
    }

    /// Lets a row go on that is paused, because another system sets our value back or somebody reverted it.
    /// The answer is the request that writes it.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where the person is not known, HS-2428 where nothing holds the row up.
    pub async fn resume_row(
        &self,
        workspace: WorkspaceId,
        row: &ResumeRow,
        key: Option<&IdempotencyKey>,
    ) -> Result<RequestAnswer, Error> {
        self.post(workspace, &["exports", "resume"])
            .body(row)
            .key(key)
            .answer()
            .await
    }

    /// Lets all requests that failed, or those with one reason, go on now: a thousand in a call.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn retry_exports(
        &self,
        workspace: WorkspaceId,
        which: &RetryExports,
        key: Option<&IdempotencyKey>,
    ) -> Result<RetryAnswer, Error> {
        self.post(workspace, &["exports", "retry"])
            .body(which)
            .key(key)
            .answer()
            .await
    }
}
