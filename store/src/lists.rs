//! Lists and their memberships (I6).

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, PortalId, SyncRunId, WorkspaceId};
use sqlx::PgConnection;

use crate::{
    CursorKey, Store, StoreError,
    batches::{Listing, ListingEnd},
    cursors::{count, signed},
    steps::{Step, began_at},
};

/// A list that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRow {
    pub id: HubSpotObjectId,
    pub name: String,
    /// `0-1` for contacts, `0-2` for companies.
    pub object_type_id: String,
    /// `MANUAL`, `DYNAMIC` or `SNAPSHOT`.
    pub processing_type: String,
    /// `COMPLETE`, `PAUSED` or `PROCESSING`.
    pub processing_status: String,
    /// Members, as HubSpot counts them (`hs_list_size`).
    pub size: Option<u64>,
}

/// A page of the members of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipPage {
    pub list: HubSpotObjectId,
    pub members: Vec<HubSpotObjectId>,
}

/// Writes a page of list definitions. A list that a whole listing did not bring is marked as gone;
/// its members stay, as somebody may be kept out because of them.
pub(crate) async fn write_lists(
    tx: &mut PgConnection,
    step: &Step,
    lists: &[ListRow],
    listing: Listing,
    read_at: DateTime<Utc>,
) -> Result<ListingEnd, sqlx::Error> {
    let ids: Vec<i64> = lists.iter().map(|l| l.id.get()).collect();
    let names: Vec<&str> = lists.iter().map(|l| l.name.as_str()).collect();
    let types: Vec<&str> = lists.iter().map(|l| l.object_type_id.as_str()).collect();
    let processing: Vec<&str> = lists.iter().map(|l| l.processing_type.as_str()).collect();
    let status: Vec<&str> = lists.iter().map(|l| l.processing_status.as_str()).collect();
    let sizes: Vec<Option<i64>> = lists.iter().map(|l| l.size.map(signed)).collect();
    sqlx::query!(
        "insert into hubspot_list as l
           (workspace_id, portal_id, list_id, name, object_type_id, processing_type, processing_status, read_at, size)
         select distinct on (id) $1, $2::bigint, id, name, object_type_id, processing_type, processing_status, $3::timestamptz, size
         from unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[])
           as t (id, name, object_type_id, processing_type, processing_status, size)
         on conflict (workspace_id, portal_id, list_id) do update set
           name = excluded.name, object_type_id = excluded.object_type_id,
           processing_type = excluded.processing_type,
           processing_status = excluded.processing_status, read_at = excluded.read_at,
           size = excluded.size, gone_at = null,
           changed = case when (l.name, l.object_type_id, l.processing_type, l.size)
             is distinct from (excluded.name, excluded.object_type_id, excluded.processing_type, excluded.size)
             or l.gone_at is not null then mirror_change() else l.changed end
         where excluded.read_at >= l.read_at
           and (not $10 or l.gone_at is not null
             or (l.name, l.object_type_id, l.processing_type, l.processing_status, l.size)
               is distinct from (excluded.name, excluded.object_type_id, excluded.processing_type,
                 excluded.processing_status, excluded.size))",
        step.workspace.as_uuid(),
        step.portal.get(),
        read_at,
        &ids,
        &names as &[&str],
        &types as &[&str],
        &processing as &[&str],
        &status as &[&str],
        &sizes as &[Option<i64>],
        listing == Listing::InPassing
    )
    .execute(&mut *tx)
    .await?;
    if listing == Listing::InPassing {
        return Ok(ListingEnd::Nothing);
    }
    sqlx::query!(
        "update hubspot_list set seen_at = now()
         where workspace_id = $1 and portal_id = $2 and list_id = any($3)",
        step.workspace.as_uuid(),
        step.portal.get(),
        &ids
    )
    .execute(&mut *tx)
    .await?;
    if listing == Listing::Open {
        return Ok(ListingEnd::Nothing);
    }
    let began = began_at(tx, step).await?;
    let lost = sqlx::query!(
        "update hubspot_list l set gone_at = $4, changed = mirror_change()
         where workspace_id = $1 and portal_id = $2 and seen_at < $3 and gone_at is null
           and not exists (select 1 from quarantine q
             where q.workspace_id = $1 and q.portal_id = $2 and q.sync_type = $5
               and q.record_key = l.list_id::text)",
        step.workspace.as_uuid(),
        step.portal.get(),
        began,
        read_at,
        step.sync_type.as_str()
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    let kept = sqlx::query_scalar!(
        "select count(*) as \"n!\" from hubspot_list
         where workspace_id = $1 and portal_id = $2 and gone_at is null",
        step.workspace.as_uuid(),
        step.portal.get()
    )
    .fetch_one(tx)
    .await?;
    Ok(listing.end(count(kept), lost, None))
}

/// Writes a page of the members of a list. Those that a whole reading did not bring are gone, and stay
/// as tombstones, for whoever follows adds and removals.
pub(crate) async fn write_members(
    tx: &mut PgConnection,
    step: &Step,
    membership: &MembershipPage,
    listing: Listing,
) -> Result<ListingEnd, sqlx::Error> {
    let members: Vec<i64> = membership.members.iter().map(|m| m.get()).collect();
    let joined = sqlx::query_scalar!(
        "with seen as (
           insert into hubspot_list_member as m (workspace_id, portal_id, list_id, object_id, run_id, changed)
           select distinct $1::uuid, $2::bigint, $3::bigint, id, $4::uuid, (select mirror_change()) from unnest($5::bigint[]) as t (id)
           on conflict (workspace_id, portal_id, list_id, object_id) do update set
             run_id = excluded.run_id, seen_at = excluded.seen_at, removed = false,
             changed = case when m.removed then excluded.changed else m.changed end
           returning old.object_id is null or old.removed as new)
         select count(*) filter (where new) as \"n!\" from seen",
        step.workspace.as_uuid(),
        step.portal.get(),
        membership.list.get(),
        step.run.map(|run| run.as_uuid()),
        &members
    )
    .fetch_one(&mut *tx)
    .await?;
    if joined > 0 {
        members_changed(tx, step, membership.list, count(joined), 0).await?;
    }
    if listing == Listing::Open {
        return Ok(ListingEnd::Nothing);
    }
    let began = began_at(tx, step).await?;
    let lost = sqlx::query!(
        "update hubspot_list_member set removed = true, changed = (select mirror_change())
         where workspace_id = $1 and portal_id = $2 and list_id = $3 and seen_at < $4 and not removed",
        step.workspace.as_uuid(),
        step.portal.get(),
        membership.list.get(),
        began
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if lost > 0 {
        members_changed(tx, step, membership.list, 0, lost).await?;
    }
    let kept = sqlx::query_scalar!(
        "select count(*) as \"n!\" from hubspot_list_member
         where workspace_id = $1 and portal_id = $2 and list_id = $3 and not removed",
        step.workspace.as_uuid(),
        step.portal.get(),
        membership.list.get()
    )
    .fetch_one(&mut *tx)
    .await?;
    let list = sqlx::query!(
        "update hubspot_list set members_read_at = $4, members_size = size
         where workspace_id = $1 and portal_id = $2 and list_id = $3 returning size",
        step.workspace.as_uuid(),
        step.portal.get(),
        membership.list.get(),
        began
    )
    .fetch_optional(tx)
    .await?;
    let size = list.and_then(|l| l.size).map(count);
    Ok(listing.end(count(kept), lost, size))
}

/// Keeps where those begin who join a list from now on.
pub(crate) async fn keep_tail(
    tx: &mut PgConnection,
    step: &Step,
    list: HubSpotObjectId,
    tail: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hubspot_list set tail = $4
         where workspace_id = $1 and portal_id = $2 and list_id = $3 and tail is distinct from $4",
        step.workspace.as_uuid(),
        step.portal.get(),
        list.get(),
        tail
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A list whose members changed has changed, for whoever reads changes: one number for the list, so
/// that a member costs nothing. Who came and left is counted for the day, unless the list is read for the
/// first time.
async fn members_changed(
    tx: &mut PgConnection,
    step: &Step,
    list: HubSpotObjectId,
    joined: u64,
    left: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hubspot_list set changed = mirror_change(),
           members_changed_at = case when members_read_at is not null then now() end,
           members_joined = $4 + case when members_changed_at >= date_trunc('day', now(), 'UTC') then members_joined else 0 end,
           members_left = $5 + case when members_changed_at >= date_trunc('day', now(), 'UTC') then members_left else 0 end
         where workspace_id = $1 and portal_id = $2 and list_id = $3",
        step.workspace.as_uuid(),
        step.portal.get(),
        list.get(),
        signed(joined),
        signed(left)
    )
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// Forgets where those begin who join a list: HubSpot does not know the place any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_tail(&self, key: &CursorKey) -> Result<(), StoreError> {
        sqlx::query!(
            "update hubspot_list set tail = null where workspace_id = $1 and portal_id = $2 and list_id = $3",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.part()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The list with the smallest id beyond `after`: the next one whose members are to be read. Only
    /// lists that this run has seen, and only those whose membership HubSpot has finished to compute.
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

    /// All lists that HubSpot still has, by id.
    pub async fn lists(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<ListRow>, StoreError> {
        let rows = sqlx::query!(
            "select list_id, name, object_type_id, processing_type, processing_status, size
             from hubspot_list where workspace_id = $1 and portal_id = $2 and gone_at is null order by list_id",
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
                    size: row.size.map(count),
                })
            })
            .collect()
    }

    /// The members of one list, by id.
    pub async fn list_members(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        list: HubSpotObjectId,
    ) -> Result<Vec<HubSpotObjectId>, StoreError> {
        let rows = sqlx::query!(
            "select object_id from hubspot_list_member
             where workspace_id = $1 and portal_id = $2 and list_id = $3 and not removed order by object_id",
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
