//! The app's companies.

use domain::{
    WorkspaceId,
    api::{CompanyUpserts, IdempotencyKey, Page, PageCursor, PageLimit, UpsertAnswer},
    app::{AppCompanyId, Company},
};
use futures::Stream;

use super::{Error, HubSpotSync, paging};

impl HubSpotSync {
    /// Creates and updates up to 1,000 companies, each with an outcome of its own.
    ///
    /// # Errors
    /// See [`Error`]. An item that is refused is no error of the call: see its outcome.
    pub async fn upsert_companies(
        &self,
        workspace: WorkspaceId,
        upserts: &CompanyUpserts,
        key: Option<&IdempotencyKey>,
    ) -> Result<UpsertAnswer, Error> {
        self.post(workspace, &["companies"])
            .body(upserts)
            .key(key)
            .large()
            .answer()
            .await
    }

    /// One company.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id.
    pub async fn get_company(
        &self,
        workspace: WorkspaceId,
        company: &AppCompanyId,
    ) -> Result<Company, Error> {
        self.get(workspace, &["companies", company.as_str()])
            .answer()
            .await
    }

    /// A page of companies, in the order of their ids.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_companies(
        &self,
        workspace: WorkspaceId,
        after: Option<&PageCursor>,
        limit: PageLimit,
    ) -> Result<Page<Company>, Error> {
        self.get(workspace, &["companies"])
            .page(after, limit)
            .answer()
            .await
    }

    /// All companies, page by page as they are taken. The stream ends with the first error.
    pub fn all_companies(
        &self,
        workspace: WorkspaceId,
    ) -> impl Stream<Item = Result<Company, Error>> + Send + use<> {
        let sync = self.clone();
        paging::all(move |after, limit| {
            let sync = sync.clone();
            async move { sync.list_companies(workspace, after.as_ref(), limit).await }
        })
    }
}
