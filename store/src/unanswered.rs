//! What HubSpot's answers did not speak of, until it is asked again at the end of its type.

use domain::HubSpotObjectId;
use sqlx::PgConnection;

use crate::{CursorKey, Store, StoreError, batches::Batch, steps::Step};

/// Notes what a batch was not told, and takes out what it was.
pub(crate) async fn write_unanswered(
    tx: &mut PgConnection,
    step: &Step,
    batch: &Batch,
) -> Result<(), sqlx::Error> {
    if batch.unanswered.is_empty() && batch.settled.is_empty() {
        return Ok(());
    }
    let key = step.cursor();
    let numbers = |ids: &[HubSpotObjectId]| ids.iter().map(|id| id.get()).collect::<Vec<i64>>();
    sqlx::query!(
        "insert into sync_unanswered (cursor_id, object_id)
         select c.id, t.id from sync_cursor c, unnest($7::bigint[]) as t (id)
         where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
           and c.part = $5 and c.run_id is not distinct from $6
         on conflict do nothing",
        key.workspace.as_uuid(),
        key.portal.get(),
        key.sync_type.as_str(),
        key.purpose.as_str(),
        key.part(),
        key.run_uuid(),
        &numbers(&batch.unanswered)
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from sync_unanswered u using sync_cursor c
         where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
           and c.part = $5 and c.run_id is not distinct from $6
           and u.cursor_id = c.id and u.object_id = any($7)",
        key.workspace.as_uuid(),
        key.portal.get(),
        key.sync_type.as_str(),
        key.purpose.as_str(),
        key.part(),
        key.run_uuid(),
        &numbers(&batch.settled)
    )
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// Records of a reading that have to be asked for again, in the order of their ids.
    pub async fn unanswered(
        &self,
        key: &CursorKey,
        after: Option<HubSpotObjectId>,
        limit: u32,
    ) -> Result<Vec<HubSpotObjectId>, StoreError> {
        let rows = sqlx::query!(
            "select u.object_id from sync_unanswered u join sync_cursor c on c.id = u.cursor_id
             where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
               and c.part = $5 and c.run_id is not distinct from $6 and u.object_id > $7
             order by u.object_id limit $8",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid(),
            after.map_or(-1, |id| id.get()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                HubSpotObjectId::new(row.object_id).map_err(|_| StoreError::Corrupt("record id"))
            })
            .collect()
    }

    /// Counts what was asked again in vain, so that the type ends incomplete. Counted once.
    pub async fn give_up_unanswered(&self, key: &CursorKey) -> Result<(), StoreError> {
        sqlx::query!(
            "with open as (
               delete from sync_unanswered u using sync_cursor c
               where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
                 and c.part = $5 and c.run_id is not distinct from $6 and u.cursor_id = c.id
               returning u.cursor_id)
             update sync_cursor c set unanswered = c.unanswered + o.n
             from (select cursor_id, count(*) as n from open group by cursor_id) o
             where c.id = o.cursor_id",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
