//! Team members, and HubSpot's owners for whom they stand (E6).

use domain::{
    WorkspaceId,
    api::{IdempotencyKey, MemberUpserts, OwnerAnswer, Page, PageCursor, PageLimit, UpsertAnswer},
    app::{Member, MemberId},
};
use futures::Stream;

use super::{Error, HubSpotSync, paging};

impl HubSpotSync {
    /// Creates and updates up to 1,000 team members, each with an outcome of its own.
    ///
    /// # Errors
    /// See [`Error`]. An item that is refused is no error of the call: see its outcome.
    pub async fn upsert_members(
        &self,
        workspace: WorkspaceId,
        upserts: &MemberUpserts,
        key: Option<&IdempotencyKey>,
    ) -> Result<UpsertAnswer, Error> {
        self.post(workspace, &["members"])
            .body(upserts)
            .key(key)
            .large()
            .answer()
            .await
    }

    /// One team member.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4009 where there is none of this id.
    pub async fn get_member(
        &self,
        workspace: WorkspaceId,
        member: &MemberId,
    ) -> Result<Member, Error> {
        self.get(workspace, &["members", member.as_str()])
            .answer()
            .await
    }

    /// A page of team members, in the order of their ids.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_members(
        &self,
        workspace: WorkspaceId,
        after: Option<&PageCursor>,
        limit: PageLimit,
    ) -> Result<Page<Member>, Error> {
        self.get(workspace, &["members"])
            .page(after, limit)
            .answer()
            .await
    }

    /// All team members, page by page as they are taken. The stream ends with the first error.
    pub fn all_members(
        &self,
        workspace: WorkspaceId,
    ) -> impl Stream<Item = Result<Member, Error>> + Send + use<> {
        let sync = self.clone();
        paging::all(move |after, limit| {
            let sync = sync.clone();
            async move { sync.list_members(workspace, after.as_ref(), limit).await }
        })
    }

    /// A page of the portal's owners, in the order of their ids.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_owners(
        &self,
        workspace: WorkspaceId,
        after: Option<&PageCursor>,
        limit: PageLimit,
    ) -> Result<Page<OwnerAnswer>, Error> {
        self.get(workspace, &["owners"])
            .page(after, limit)
            .answer()
            .await
    }

    /// All of the portal's owners, page by page as they are taken. The stream ends with the first error.
    pub fn all_owners(
        &self,
        workspace: WorkspaceId,
    ) -> impl Stream<Item = Result<OwnerAnswer, Error>> + Send + use<> {
        let sync = self.clone();
        paging::all(move |after, limit| {
            let sync = sync.clone();
            async move { sync.list_owners(workspace, after.as_ref(), limit).await }
        })
    }
}
