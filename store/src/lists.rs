//! Lists and their memberships (I6).

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, PortalId, SyncRunId, WorkspaceId};

use crate::{
    CommitPage, PageOutcome, Store, StoreError,
    definitions::committed,
    mirror::{move_cursor, put_in_quarantine},
};

/// A list that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRow {
    /// Its id.
    pub id: HubSpotObjectId,
    /// Its name.
    pub name: String,
    /// `0-1` for contacts, `0-2` for companies.
    pub object_type_id: String,
    /// `MANUAL`, `DYNAMIC` or `SNAPSHOT`.
    pub processing_type: String,
    /// `COMPLETE`, `PAUSED` or `PROCESSING`.
    pub processing_status: String,
}

/// A page of the members of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipPage {
    /// Which list.
    pub list: HubSpotObjectId,
    /// The members.
    pub members: Vec<HubSpotObjectId>,
    /// Whether this is the last page: members that this run did not see are removed then.
    pub last: bool,
}

impl Store {
    /// Commits a page of list definitions with its cursor.
    ///
    /// # Errors
    /// When the database fails; nothing is written then.
    pub async fn commit_lists(
        &self,
        page: &CommitPage,
        lists: &[ListRow],
        now: DateTime<Utc>,
    ) -> Result<PageOutcome, StoreError> {
        let mut tx = self.pool.begin().await?;
        if let Some(refused) = move_cursor(&mut tx, page, lists.len() as u64).await? {
            return Ok(refused);
        }
        let ids: Vec<i64> = lists.iter().map(|l| l.id.get()).collect();
        let names: Vec<&str> = lists.iter().map(|l| l.name.as_str()).collect();
        let types: Vec<&str> = lists.iter().map(|l| l.object_type_id.as_str()).collect();
        let processing: Vec<&str> = lists.iter().map(|l| l.processing_type.as_str()).collect();
        let status: Vec<&str> = lists.iter().map(|l| l.processing_status.as_str()).collect();
        sqlx::query!(
            "insert into hubspot_list
               (workspace_id, portal_id, list_id, name, object_type_id, processing_type, processing_status, read_at)
             select distinct on (id) $1, $2::bigint, id, name, object_type_id, processing_type, processing_status, $3::timestamptz
             from unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[])
               as t (id, name, object_type_id, processing_type, processing_status)
             on conflict (workspace_id, portal_id, list_id) do update set
               name = excluded.name, object_type_id = excluded.object_type_id,
               processing_type = excluded.processing_type,
               processing_status = excluded.processing_status, read_at = excluded.read_at",
            page.workspace.as_uuid(),
            page.portal.get(),
            page.read_at,
            &ids,
            &names as &[&str],
            &types as &[&str],
            &processing as &[&str],
            &status as &[&str]
        )
        .execute(&mut *tx)
        .await?;
        put_in_quarantine(
            &mut tx,
            page.workspace,
            page.portal,
            page.sync_type,
            &page.quarantine,
            now,
        )
        .await?;
        tx.commit().await?;
        Ok(committed(page))
    }

    /// Commits a page of members with the cursor.
    ///
    /// # Errors
    /// When the database fails; nothing is written then.
    pub async fn commit_members(
        &self,
        page: &CommitPage,
        membership: &MembershipPage,
        now: DateTime<Utc>,
    ) -> Result<PageOutcome, StoreError> {
        let mut tx = self.pages.begin().await?;
        if let Some(refused) = move_cursor(&mut tx, page, 0).await? {
            return Ok(refused);
        }
        let members: Vec<i64> = membership.members.iter().map(|m| m.get()).collect();
        sqlx::query!(
            "insert into hubspot_list_member (workspace_id, portal_id, list_id, object_id, run_id)
             select distinct $1::uuid, $2::bigint, $3::bigint, id, $4::uuid from unnest($5::bigint[]) as t (id)
             on conflict (workspace_id, portal_id, list_id, object_id) do update set run_id = excluded.run_id",
            page.workspace.as_uuid(),
            page.portal.get(),
            membership.list.get(),
            page.run.as_uuid(),
            &members
        )
        .execute(&mut *tx)
        .await?;
        if membership.last {
            sqlx::query!(
                "delete from hubspot_list_member
                 where workspace_id = $1 and portal_id = $2 and list_id = $3 and run_id <> $4",
                page.workspace.as_uuid(),
                page.portal.get(),
                membership.list.get(),
                page.run.as_uuid()
            )
            .execute(&mut *tx)
            .await?;
        }
        put_in_quarantine(
            &mut tx,
            page.workspace,
            page.portal,
            page.sync_type,
            &page.quarantine,
            now,
        )
        .await?;
        tx.commit().await?;
        Ok(committed(page))
    }

    /// The list with the smallest id beyond `after`: the next one whose members are to be read. Only
    /// lists that this run has seen, and only those whose membership HubSpot has finished to compute.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_list(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        run: SyncRunId,
        after: Option<HubSpotObjectId>,
    ) -> Result<Option<HubSpotObjectId>, StoreError> {
        let row = sqlx::query!(
            "select list_id from hubspot_list l
             where workspace_id = $1 and portal_id = $2 and list_id > $3 and processing_status <> 'PROCESSING'
               and read_at >= (select begun_at from sync_run where id = $4)
             order by list_id limit 1",
            workspace.as_uuid(),
            portal.get(),
            after.map_or(-1, |a| a.get()),
            run.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| HubSpotObjectId::new(row.list_id).map_err(|_| StoreError::Corrupt("list id")))
            .transpose()
    }

    /// All lists, by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lists(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<ListRow>, StoreError> {
        let rows = sqlx::query!(
            "select list_id, name, object_type_id, processing_type, processing_status
             from hubspot_list where workspace_id = $1 and portal_id = $2 order by list_id",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ListRow {
                    id: HubSpotObjectId::new(row.list_id)
                        .map_err(|_| StoreError::Corrupt("list id"))?,
                    name: row.name,
                    object_type_id: row.object_type_id,
                    processing_type: row.processing_type,
                    processing_status: row.processing_status,
                })
            })
            .collect()
    }

    /// The members of one list, by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list_members(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        list: HubSpotObjectId,
    ) -> Result<Vec<HubSpotObjectId>, StoreError> {
        let rows = sqlx::query!(
            "select object_id from hubspot_list_member
             where workspace_id = $1 and portal_id = $2 and list_id = $3 order by object_id",
            workspace.as_uuid(),
            portal.get(),
            list.get()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                HubSpotObjectId::new(row.object_id).map_err(|_| StoreError::Corrupt("record id"))
            })
            .collect()
    }
}
