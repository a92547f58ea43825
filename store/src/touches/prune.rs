//! Engagements that go: those that are old, all of them, or their texts.

use domain::{SyncType, WorkspaceId};

use crate::{Store, StoreError};

impl Store {
    /// Workspaces of which engagements were ever begun to be read, and not removed since.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn workspaces_with_touches(&self) -> Result<Vec<WorkspaceId>, StoreError> {
        let rows = sqlx::query_scalar!(
            "select distinct workspace_id from sync_cursor where sync_type = $1",
            SyncType::Engagements.as_str()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(WorkspaceId::new).collect())
    }

    /// Removes engagements of a workspace that took place before so many days, `limit` at most. Says how
    /// many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_touches(
        &self,
        workspace: WorkspaceId,
        days: u32,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let gone = sqlx::query_scalar!(
            "with gone as (
               delete from hubspot_touch t
               using (select portal_id, object_type, object_id from hubspot_touch
                 where workspace_id = $1 and happened_at < clock_timestamp() - make_interval(days => $2)
                 order by happened_at limit $3) as n
               where t.workspace_id = $1 and t.portal_id = n.portal_id and t.object_type = n.object_type
                 and t.object_id = n.object_id
               returning t.portal_id, t.object_type, t.object_id),
             ties as (
               delete from hubspot_touch_contact c using gone g
               where c.workspace_id = $1 and c.portal_id = g.portal_id and c.object_type = g.object_type
                 and c.object_id = g.object_id)
             select count(*) as \"n!\" from gone",
            workspace.as_uuid(),
            i32::try_from(days).unwrap_or(i32::MAX),
            i64::from(limit)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(gone).unwrap_or(0))
    }

    /// Removes what is stored of engagements of a workspace that does not read them any more, `limit` at
    /// most, and at last what was known of the reading: switched on again, it begins anew. Says how many
    /// went.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_touches(
        &self,
        workspace: WorkspaceId,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let id = workspace.as_uuid();
        let gone = sqlx::query_scalar!(
            "with gone as (
               delete from hubspot_touch t
               using (select portal_id, object_type, object_id from hubspot_touch
                 where workspace_id = $1 limit $2) as n
               where t.workspace_id = $1 and t.portal_id = n.portal_id and t.object_type = n.object_type
                 and t.object_id = n.object_id
               returning t.portal_id, t.object_type, t.object_id),
             ties as (
               delete from hubspot_touch_contact c using gone g
               where c.workspace_id = $1 and c.portal_id = g.portal_id and c.object_type = g.object_type
                 and c.object_id = g.object_id)
             select count(*) as \"n!\" from gone",
            id,
            i64::from(limit)
        )
        .fetch_one(&self.pool)
        .await?;
        if gone > 0 {
            return Ok(u64::try_from(gone).unwrap_or(0));
        }
        let of = SyncType::Engagements.as_str();
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "delete from sync_cursor where workspace_id = $1 and sync_type = $2",
            id,
            of
        )
        .execute(&mut *tx)
        .await?;
        // A page that was under way is either here by now, or finds no cursor to move.
        sqlx::query!("delete from hubspot_touch where workspace_id = $1", id)
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "delete from hubspot_touch_contact where workspace_id = $1",
            id
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from sync_freshness where workspace_id = $1 and sync_type = $2",
            id,
            of
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from sync_trouble where workspace_id = $1 and sync_type = $2",
            id,
            of
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from quarantine where workspace_id = $1 and sync_type = $2",
            id,
            of
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("delete from touch_coverage where workspace_id = $1", id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(0)
    }

    /// Removes the texts of a workspace that does not read them any more, so many at most. At last nothing
    /// counts as read with its text: switched on again, all are read. Says how many went.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_touch_texts(
        &self,
        workspace: WorkspaceId,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let id = workspace.as_uuid();
        let gone = sqlx::query!(
            "update hubspot_touch t set body = null, with_body = false
             from (select portal_id, object_type, object_id from hubspot_touch
               where workspace_id = $1 and with_body limit $2) as n
             where t.workspace_id = $1 and t.portal_id = n.portal_id and t.object_type = n.object_type
               and t.object_id = n.object_id",
            id,
            i64::from(limit)
        )
        .execute(&self.pool)
        .await?
        .rows_affected();
        if gone == 0 {
            sqlx::query!(
                "update touch_coverage set bodies = false where workspace_id = $1 and bodies",
                id
            )
            .execute(&self.pool)
            .await?;
        }
        Ok(gone)
    }
}
