//! The feed of changes: which records of the mirror changed, in an order in which nothing that commits
//! later is ever skipped (see docs/decisions on change numbers).

use domain::{HubSpotObjectId, ObjectType, PortalId, WorkspaceId};

use crate::{
    Store, StoreError,
    mirror::{object_id, type_of_number},
};

/// How far a reader of changes is. What it has seen lies at or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ChangePosition {
    pub(crate) number: i64,
    pub(crate) object_type: i16,
    pub(crate) object_id: i64,
}

/// A record that changed: properties, archived or not, or associations from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedRecord {
    pub object_type: ObjectType,
    pub id: HubSpotObjectId,
    /// Where it lies in the feed: the place to go on from after it.
    pub position: ChangePosition,
}

impl Store {
    /// Records that changed after a position, in the order of the feed; a record that changed again
    /// has moved to its later place. What other transactions are still writing comes once all before
    /// it is settled.
    pub async fn changes_after(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        after: ChangePosition,
        limit: u32,
    ) -> Result<Vec<ChangedRecord>, StoreError> {
        let rows = sqlx::query!(
            "select changed, object_type, object_id from hubspot_object
             where workspace_id = $1
               and uuid_hash(workspace_id) = uuid_hash($1) and portal_id + 0 = $2
               and (changed, object_type + 0, object_id + 0) > ($3, $4::int, $5)
               and changed < mirror_settled()
             order by changed, object_type + 0, object_id + 0 limit $6",
            workspace.as_uuid(),
            portal.get(),
            after.number,
            i32::from(after.object_type),
            after.object_id,
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ChangedRecord {
                    object_type: type_of_number(row.object_type)?,
                    id: object_id(row.object_id)?,
                    position: ChangePosition {
                        number: row.changed,
                        object_type: row.object_type,
                        object_id: row.object_id,
                    },
                })
            })
            .collect()
    }

    /// Transaction ids, of which change numbers are made, start low again in another cluster, such as
    /// one into which a dump was restored. Numbers from here on lie beyond all that are stored.
    pub(crate) async fn adopt_cluster(&self) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update mirror_origin set cluster = c.system_identifier,
               origin = greatest(origin, (select coalesce(max(changed), 0) from hubspot_object),
                 (select coalesce(max(changed), 0) from quarantine),
                 (select coalesce(max(changed), 0) from app_person),
                 (select coalesce(max(changed), 0) from hubspot_list),
                 (select coalesce(max(changed), 0) from hubspot_list_member),
                 (select coalesce(max(changed), 0) from change_tombstone),
                 (select coalesce(max(changed), 0) from dnc_verdict),
                 (select coalesce(max(changed), 0) from app_company),
                 (select coalesce(max(changed), 0) from record_link),
                 (select coalesce(max(changed), 0) from profile)) + 1
             from pg_control_system() c where cluster <> c.system_identifier"
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
