//! Lists and their memberships (I6).

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, PortalId, SyncRunId, WorkspaceId};
use sqlx::PgConnection;

use crate::{Store, StoreError, steps::Step};

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

/// Writes a page of list definitions.
pub(crate) async fn write_lists(
    tx: &mut PgConnection,
    step: &Step,
    lists: &[ListRow],
    read_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
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
        step.workspace.as_uuid(),
        step.portal.get(),
        read_at,
        &ids,
        &names as &[&str],
        &types as &[&str],
        &processing as &[&str],
        &status as &[&str]
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Writes a page of the members of a list.
pub(crate) async fn write_members(
    tx: &mut PgConnection,
    step: &Step,
    membership: &MembershipPage,
) -> Result<(), sqlx::Error> {
    let members: Vec<i64> = membership.members.iter().map(|m| m.get()).collect();
    sqlx::query!(
        "insert into hubspot_list_member (workspace_id, portal_id, list_id, object_id, run_id)
         select distinct $1::uuid, $2::bigint, $3::bigint, id, $4::uuid from unnest($5::bigint[]) as t (id)
         on conflict (workspace_id, portal_id, list_id, object_id) do update set run_id = excluded.run_id",
        step.workspace.as_uuid(),
        step.portal.get(),
        membership.list.get(),
        step.run.as_uuid(),
        &members
    )
    .execute(&mut *tx)
    .await?;
    if membership.last {
        sqlx::query!(
            "delete from hubspot_list_member
             where workspace_id = $1 and portal_id = $2 and list_id = $3 and run_id <> $4",
            step.workspace.as_uuid(),
            step.portal.get(),
            membership.list.get(),
            step.run.as_uuid()
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

impl Store {
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
