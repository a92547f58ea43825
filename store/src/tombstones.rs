//! Records that HubSpot named as unknown, and what a change of one record tells of others (I3, C7).

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, ObjectType};
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{
    batches::RecordRows,
    erasure::{IdentityKey, forget_contacts},
    mirror::type_number,
    steps::{Step, began_at},
};

/// Marks records that HubSpot named as such that it does not know, neither alive nor in the recycle
/// bin. The first time they become tombstones and keep their values. Named again in a later reading
/// they are gone for good: of contacts, all values are removed, and a keyed hash of the id stays. Says
/// what changed.
pub(crate) async fn write_missing(
    tx: &mut Transaction<'static, Postgres>,
    key: &IdentityKey,
    step: &Step,
    records: &RecordRows,
    read_at: DateTime<Utc>,
) -> Result<Vec<i64>, sqlx::Error> {
    if records.missing.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = records.missing.iter().map(|id| id.get()).collect();
    let began = began_at(tx, step).await?;
    // A later read that brought it knew better.
    let rows = sqlx::query!(
        "update hubspot_object o set archived = true, read_at = $5,
           missing_at = coalesce(o.missing_at, clock_timestamp()),
           gone_at = case when o.missing_at < $6 then clock_timestamp() end,
           changed = (select mirror_change())
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)
           and read_at <= $5 and merged_into is null and gone_at is null
           and (missing_at is null or missing_at < $6)
         returning object_id, new.gone_at is not null as \"gone!\"",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(records.object_type),
        &ids,
        read_at,
        began
    )
    .fetch_all(&mut **tx)
    .await?;
    let gone: Vec<HubSpotObjectId> = rows
        .iter()
        .filter(|row| row.gone)
        .filter_map(|row| HubSpotObjectId::new(row.object_id).ok())
        .collect();
    if records.object_type == ObjectType::Contact && !gone.is_empty() {
        forget_contacts(tx, key, step, &gone, read_at).await?;
    }
    Ok(rows.into_iter().map(|row| row.object_id).collect())
}

/// Forgets contacts of which HubSpot told that they were deleted for privacy, and which it named as unknown
/// in every way when it was asked: the second word needs no later reading then. A later read that brought one
/// knew better.
pub(crate) async fn write_erased(
    tx: &mut Transaction<'static, Postgres>,
    key: &IdentityKey,
    step: &Step,
    erased: &[HubSpotObjectId],
    read_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if erased.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = erased.iter().map(|id| id.get()).collect();
    let gone = sqlx::query_scalar!(
        "update hubspot_object set archived = true, read_at = $5,
           missing_at = coalesce(missing_at, clock_timestamp()), gone_at = clock_timestamp(),
           changed = (select mirror_change())
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)
           and read_at <= $5 and merged_into is null and gone_at is null
         returning object_id",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(ObjectType::Contact),
        &ids,
        read_at
    )
    .fetch_all(&mut **tx)
    .await?;
    if gone.is_empty() {
        return Ok(());
    }
    note_neighbours(tx, step, ObjectType::Contact, &gone).await?;
    let gone: Vec<HubSpotObjectId> = gone
        .into_iter()
        .filter_map(|id| HubSpotObjectId::new(id).ok())
        .collect();
    forget_contacts(tx, key, step, &gone, read_at).await
}

/// Notes the records from which associations lead to these: HubSpot moves or hides their associations
/// without a sign at the records themselves. They are read again soon.
pub(crate) async fn note_neighbours(
    tx: &mut PgConnection,
    step: &Step,
    object_type: ObjectType,
    turned: &[i64],
) -> Result<(), sqlx::Error> {
    if turned.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into hubspot_reread as r (workspace_id, portal_id, object_type, object_id)
         select distinct $1::uuid, $2::bigint, a.from_type, a.from_id from hubspot_association a
         where a.workspace_id = $1 and uuid_hash(a.workspace_id) = uuid_hash($1)
           and a.portal_id + 0 = $2 and a.to_type + 0 = $3::int and a.to_id + 0 = any($4)
         order by a.from_type, a.from_id
         on conflict (workspace_id, portal_id, object_type, object_id) do update set noted = r.noted + 1",
        step.workspace.as_uuid(),
        step.portal.get(),
        i32::from(type_number(object_type)),
        turned
    )
    .execute(tx)
    .await?;
    Ok(())
}
