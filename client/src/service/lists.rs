//! HubSpot's lists, who is on them (I6), and deals as context (I7).

use domain::{
    WorkspaceId,
    api::{DealAnswer, ListAnswer, ListMemberAnswer, Page, PageCursor, PageLimit},
    app::{AppCompanyId, PersonId},
    portal::ListId,
};
use futures::Stream;

use super::{Error, HubSpotSync, paging};

impl HubSpotSync {
    /// A page of the portal's lists, in the order of their ids.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_lists(
        &self,
        workspace: WorkspaceId,
        after: Option<&PageCursor>,
        limit: PageLimit,
    ) -> Result<Page<ListAnswer>, Error> {
        self.get(workspace, &["lists"])
            .page(after, limit)
            .answer()
            .await
    }

    /// All lists of the portal, page by page as they are taken. The stream ends with the first error.
    pub fn all_lists(
        &self,
        workspace: WorkspaceId,
    ) -> impl Stream<Item = Result<ListAnswer, Error>> + Send + use<> {
        let sync = self.clone();
        paging::all(move |after, limit| {
            let sync = sync.clone();
            async move { sync.list_lists(workspace, after.as_ref(), limit).await }
        })
    }

    /// A page of the members of a list that has a use, in the order of their ids.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where the portal never had the list.
    pub async fn list_members_of(
        &self,
        workspace: WorkspaceId,
        list: ListId,
        after: Option<&PageCursor>,
        limit: PageLimit,
    ) -> Result<Page<ListMemberAnswer>, Error> {
        self.get(workspace, &["lists", &list.to_string(), "members"])
            .page(after, limit)
            .answer()
            .await
    }

    /// All members of a list, page by page as they are taken. The stream ends with the first error.
    pub fn all_members_of(
        &self,
        workspace: WorkspaceId,
        list: ListId,
    ) -> impl Stream<Item = Result<ListMemberAnswer, Error>> + Send + use<> {
        let sync = self.clone();
        paging::all(move |after, limit| {
            let sync = sync.clone();
            async move {
                sync.list_members_of(workspace, list, after.as_ref(), limit)
                    .await
            }
        })
    }

    /// All deals of a person: on their contacts, and on the companies that they are at.
    pub fn all_deals_of_person(
        &self,
        workspace: WorkspaceId,
        person: PersonId,
    ) -> impl Stream<Item = Result<DealAnswer, Error>> + Send + use<> {
        let sync = self.clone();
        paging::all(move |after, limit| {
            let (sync, person) = (sync.clone(), person.clone());
            async move {
                sync.get(workspace, &["people", person.as_str(), "deals"])
                    .page(after.as_ref(), limit)
                    .answer()
                    .await
            }
        })
    }

    /// All deals of a company.
    pub fn all_deals_of_company(
        &self,
        workspace: WorkspaceId,
        company: AppCompanyId,
    ) -> impl Stream<Item = Result<DealAnswer, Error>> + Send + use<> {
        let sync = self.clone();
        paging::all(move |after, limit| {
            let (sync, company) = (sync.clone(), company.clone());
            async move {
                sync.get(workspace, &["companies", company.as_str(), "deals"])
                    .page(after.as_ref(), limit)
                    .answer()
                    .await
            }
        })
    }
}
