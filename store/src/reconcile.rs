//! When a portal is compared with its mirror, and how far that is (I3).

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    HubSpotObjectId, ObjectType, PortalId, Purpose, SyncType, WorkspaceId,
    reconcile::{Cost, Pass, PassKind, TypeState},
};

use crate::{
    CursorKey, CursorRow, Store, StoreError,
    cursors::{count, signed},
    mirror::{object_id, type_number},
    sweeps::Swept,
};

/// What is to be known before it is decided what is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileState {
    /// The moment, by this database's clock.
    pub now: DateTime<Utc>,
    /// When somebody asked for everything at once.
    pub asked_at: Option<DateTime<Utc>>,
    /// The types of records.
    pub types: Vec<TypeState>,
}

/// A record that waits to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reread {
    /// Which record.
    pub id: HubSpotObjectId,
    /// What has to be handed back when it was read.
    pub noted: i64,
}

const fn type_of_records(object_type: ObjectType) -> SyncType {
    match object_type {
        ObjectType::Contact => SyncType::Contacts,
        ObjectType::Company => SyncType::Companies,
        _ => SyncType::Deals,
    }
}

impl CursorKey {
    /// The cursor of a pass of a reconciliation.
    pub const fn of_pass(
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
        kind: PassKind,
    ) -> Self {
        Self {
            workspace,
            portal,
            sync_type: type_of_records(object_type),
            purpose: kind.purpose(),
            run: None,
        }
    }
}

impl Store {
    /// Connected portals that are to be compared with their mirrors, in pages by workspace.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reconciles_due(
        &self,
        after: Option<WorkspaceId>,
        limit: u32,
    ) -> Result<Vec<Swept<PortalId>>, StoreError> {
        let rows = sqlx::query!(
            "select p.workspace_id, p.portal_id from reconcile_plan p
             join connection c on c.workspace_id = p.workspace_id and c.portal_id = p.portal_id
               and c.state = 'connected'
             where p.due_at <= now() and ($1::uuid is null or p.workspace_id > $1)
             order by p.workspace_id limit $2",
            after.map(|w| w.as_uuid()),
            i64::from(limit)
        )
        .fetch_all(&self.control)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Swept::with_portal(row.workspace_id, row.portal_id))
            .collect())
    }

    /// Says when a portal is due next: so long from now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn plan_reconcile(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        due_in: TimeDelta,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into reconcile_plan (workspace_id, portal_id, due_at)
             values ($1, $2, clock_timestamp() + make_interval(secs => $3))
             on conflict (workspace_id, portal_id) do update set due_at = excluded.due_at",
            workspace.as_uuid(),
            portal.get(),
            due_in.as_seconds_f64()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Asks for everything of a portal at once, unless that was asked for and is under way.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ask_reconcile(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into reconcile_plan as p (workspace_id, portal_id, due_at, asked_at)
             values ($1, $2, clock_timestamp(), clock_timestamp())
             on conflict (workspace_id, portal_id) do update set
               due_at = excluded.due_at, asked_at = coalesce(p.asked_at, excluded.asked_at)",
            workspace.as_uuid(),
            portal.get()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What was asked for was done. A later wish stays.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn answer_reconcile(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        asked_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update reconcile_plan set asked_at = null
             where workspace_id = $1 and portal_id = $2 and asked_at <= $3",
            workspace.as_uuid(),
            portal.get(),
            asked_at
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What is to be known before it is decided what is due.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reconcile_state(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<ReconcileState, StoreError> {
        let plan = sqlx::query!(
            "select clock_timestamp() as \"now!\",
               (select asked_at from reconcile_plan where workspace_id = $1 and portal_id = $2) as asked_at",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_one(&self.pool)
        .await?;
        let cursors = sqlx::query!(
            "select sync_type, purpose, began_at, done, total, since, outcome, requests, association_requests
             from sync_cursor
             where workspace_id = $1 and portal_id = $2
               and purpose in ('run', 'reread', 'archived', 'walk')",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        let rereads: Vec<i16> = sqlx::query_scalar!(
            "select distinct object_type from hubspot_reread where workspace_id = $1 and portal_id = $2",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        let ever: Vec<String> = sqlx::query_scalar!(
            "select sync_type from last_read where workspace_id = $1 and portal_id = $2",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        let types = ObjectType::MIRRORED
            .into_iter()
            .map(|object_type| {
                let name = type_of_records(object_type).as_str();
                let of_type = || cursors.iter().filter(move |c| c.sync_type == name);
                let passes = PassKind::ALL
                    .into_iter()
                    .filter_map(|kind| {
                        let cursor = of_type().find(|c| c.purpose == kind.purpose().as_str())?;
                        let pass = Pass {
                            began_at: cursor.began_at,
                            done: count(cursor.done),
                            total: cursor.total.map_or(0, count),
                            ended: cursor.outcome != "reading",
                            incomplete: cursor.outcome != "finished",
                            spent: Cost {
                                general: count(cursor.requests),
                                associations: count(cursor.association_requests),
                            },
                        };
                        Some((kind, pass))
                    })
                    .collect();
                TypeState {
                    object_type,
                    read_whole_at: of_type()
                        .find(|c| {
                            c.purpose == "run" && c.since.is_none() && c.outcome == "finished"
                        })
                        .map(|c| c.began_at),
                    ever_read: ever.iter().any(|t| t == name),
                    rereads: rereads.contains(&type_number(object_type)),
                    passes,
                }
            })
            .collect();
        Ok(ReconcileState {
            now: plan.now,
            asked_at: plan.asked_at,
            types,
        })
    }

    /// Begins a pass anew.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_pass(&self, key: &CursorKey) -> Result<CursorRow, StoreError> {
        let total = match key.sync_type.object_type() {
            Some(object_type) => {
                let (known, archived) = self
                    .known_records(key.workspace, key.portal, object_type)
                    .await?;
                if key.purpose == Purpose::Archived {
                    archived
                } else {
                    known
                }
            }
            None => 0,
        };
        let mut tx = self.pool.begin().await?;
        let before = sqlx::query_scalar!(
            "delete from sync_cursor
             where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = $4 and part = $5
             returning page_size",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part()
        )
        .fetch_optional(&mut *tx)
        .await?;
        sqlx::query!(
            "insert into sync_cursor
               (workspace_id, portal_id, sync_type, purpose, part, total, began_at, read_began_at, page_size)
             values ($1, $2, $3, $4, $5, $6, clock_timestamp(), clock_timestamp(), $7)",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            signed(total),
            before.flatten()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.cursor(key)
            .await?
            .ok_or(StoreError::NotFound("cursor"))
    }

    /// Counts requests that a pass took.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_requests(&self, key: &CursorKey, spent: Cost) -> Result<(), StoreError> {
        sqlx::query!(
            "update sync_cursor set requests = requests + $6, association_requests = association_requests + $7
             where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = $4 and part = $5",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            signed(spent.general),
            signed(spent.associations)
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Records of a type that are asked for in a walk, and how many of them lie in the recycle bin.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn known_records(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
    ) -> Result<(u64, u64), StoreError> {
        let row = sqlx::query!(
            "select count(*) as \"known!\", count(*) filter (where archived) as \"archived!\"
             from hubspot_object
             where workspace_id = $1 and portal_id = $2 and object_type = $3
               and merged_into is null and gone_at is null",
            workspace.as_uuid(),
            portal.get(),
            type_number(object_type)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((count(row.known), count(row.archived)))
    }

    /// Records that HubSpot may still have something to say of, in the order of their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn known_after(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
        after: Option<HubSpotObjectId>,
        limit: u32,
    ) -> Result<Vec<HubSpotObjectId>, StoreError> {
        let rows = sqlx::query_scalar!(
            "select object_id from hubspot_object
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id > $4
               and merged_into is null and gone_at is null
             order by object_id limit $5",
            workspace.as_uuid(),
            portal.get(),
            type_number(object_type),
            after.map_or(-1, |a| a.get()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(object_id).collect()
    }

    /// Of these records, those that the mirror holds as alive.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn alive_among(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
        ids: &[HubSpotObjectId],
    ) -> Result<Vec<HubSpotObjectId>, StoreError> {
        let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
        let rows = sqlx::query_scalar!(
            "select object_id from hubspot_object
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)
               and not archived",
            workspace.as_uuid(),
            portal.get(),
            type_number(object_type),
            &ids
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(object_id).collect()
    }

    /// Records that wait to be read again, in the order of their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rereads_after(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
        after: Option<HubSpotObjectId>,
        limit: u32,
    ) -> Result<Vec<Reread>, StoreError> {
        let rows = sqlx::query!(
            "select object_id, noted from hubspot_reread
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id > $4
             order by object_id limit $5",
            workspace.as_uuid(),
            portal.get(),
            type_number(object_type),
            after.map_or(-1, |a| a.get()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Reread {
                    id: object_id(row.object_id)?,
                    noted: row.noted,
                })
            })
            .collect()
    }
}
