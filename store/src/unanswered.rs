//! What HubSpot's answers did not speak of, until it is asked again at the end of its type.

use domain::HubSpotObjectId;
use sqlx::PgConnection;

use crate::{CursorKey, Store, StoreError, batches::Batch, mirror::type_number, steps::Step};

/// The ids between which a page of a whole listing, which goes by id, has brought all that there are.
/// What the mirror holds there besides is asked for by itself at the end of the type: a listing that
/// did not bring a record proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// From this id on; none from the beginning.
    pub from: Option<HubSpotObjectId>,
    /// Up to and without this id; none without an end.
    pub below: Option<HubSpotObjectId>,
    /// What the page brought.
    pub brought: Vec<HubSpotObjectId>,
}

/// Notes what the mirror holds within the span of a page, and the page did not bring.
pub(crate) async fn write_unseen(
    tx: &mut PgConnection,
    step: &Step,
    batch: &Batch,
) -> Result<(), sqlx::Error> {
    let (Some(span), Some(object_type)) = (&batch.span, step.sync_type.object_type()) else {
        return Ok(());
    };
    let key = step.cursor();
    let brought: Vec<i64> = span.brought.iter().map(|id| id.get()).collect();
    sqlx::query!(
        "insert into sync_unanswered (cursor_id, object_id)
         select c.id, o.object_id from sync_cursor c, hubspot_object o
         where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
           and c.part = $5 and c.run_id is not distinct from $6
           and o.workspace_id = $1 and o.portal_id = $2 and o.object_type = $7
           and o.object_id >= $8 and o.object_id < $9 and o.object_id <> all($10)
           and o.merged_into is null and o.gone_at is null
         on conflict do nothing",
        key.workspace.as_uuid(),
        key.portal.get(),
        key.sync_type.as_str(),
        key.purpose.as_str(),
        key.part(),
        key.run_uuid(),
        type_number(object_type),
        span.from.map_or(0, |id| id.get()),
        span.below.map_or(i64::MAX, |id| id.get()),
        &brought
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes out what waited to be read again and was read, unless it was noted again meanwhile.
pub(crate) async fn settle_rereads(
    tx: &mut PgConnection,
    step: &Step,
    batch: &Batch,
) -> Result<(), sqlx::Error> {
    let Some(object_type) = step
        .sync_type
        .object_type()
        .filter(|_| !batch.reread.is_empty())
    else {
        return Ok(());
    };
    let (ids, noted): (Vec<i64>, Vec<i64>) =
        batch.reread.iter().map(|r| (r.id.get(), r.noted)).unzip();
    sqlx::query!(
        "delete from hubspot_reread r using unnest($4::bigint[], $5::bigint[]) as n (id, noted)
         where r.workspace_id = $1 and r.portal_id = $2 and r.object_type = $3
           and r.object_id = n.id and r.noted = n.noted",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(object_type),
        &ids,
        &noted
    )
    .execute(tx)
    .await?;
    Ok(())
}

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
    /// Notes that records were asked for again, in vain.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn asked_in_vain(
        &self,
        key: &CursorKey,
        ids: &[HubSpotObjectId],
    ) -> Result<(), StoreError> {
        let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
        sqlx::query!(
            "update sync_unanswered u set asked = true from sync_cursor c
             where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
               and c.part = $5 and c.run_id is not distinct from $6
               and u.cursor_id = c.id and u.object_id = any($7)",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid(),
            &ids
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Records of a reading that have to be asked for again and were not yet, in the order of their
    /// ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unanswered(
        &self,
        key: &CursorKey,
        after: Option<HubSpotObjectId>,
        limit: u32,
    ) -> Result<Vec<HubSpotObjectId>, StoreError> {
        let rows = sqlx::query!(
            "select u.object_id from sync_unanswered u join sync_cursor c on c.id = u.cursor_id
             where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
               and c.part = $5 and c.run_id is not distinct from $6 and u.object_id > $7 and not u.asked
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
