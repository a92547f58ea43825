//! The mirror of HubSpot's records and their associations.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, ObjectType, PortalId, SyncType, WorkspaceId};
use sqlx::PgConnection;

use crate::{Store, StoreError, batches::RecordRows, cursors::count, steps::Step};

/// A record that was read.
#[derive(Debug, Clone)]
pub struct MirrorRow {
    /// Which record.
    pub id: HubSpotObjectId,
    /// Its properties, as the JSON object that HubSpot sent.
    pub properties: String,
    /// When HubSpot created it.
    pub created_at: Option<DateTime<Utc>>,
    /// HubSpot's last-modified.
    pub modified_at: DateTime<Utc>,
    /// Whether it lies in the recycle bin.
    pub archived: bool,
}

/// An association that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationRow {
    /// From this record.
    pub from: HubSpotObjectId,
    /// To a record of this type.
    pub to_type: ObjectType,
    /// To this record.
    pub to: HubSpotObjectId,
    /// HubSpot's names of the association's types, such as `contact_to_company`.
    pub labels: Vec<String>,
}

/// A record of the mirror, for comparing.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredObject {
    /// Which record.
    pub id: HubSpotObjectId,
    /// Its properties.
    pub properties: serde_json::Value,
    /// HubSpot's last-modified.
    pub modified_at: DateTime<Utc>,
    /// Whether it lies in the recycle bin.
    pub archived: bool,
}

/// How many records are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorStats {
    /// Of which type.
    pub sync_type: SyncType,
    /// In the mirror.
    pub stored: u64,
    /// In quarantine.
    pub quarantined: u64,
}

pub(crate) const fn type_number(object_type: ObjectType) -> i16 {
    object_type.number()
}

fn object_id(id: i64) -> Result<HubSpotObjectId, StoreError> {
    HubSpotObjectId::new(id).map_err(|_| StoreError::Corrupt("record id"))
}

impl Store {
    /// Counts per type what is stored and what waits in quarantine.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mirror_stats(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<MirrorStats>, StoreError> {
        let rows = sqlx::query!(
            "with stored (sync_type, n) as (
               select case object_type when 1 then 'contacts' when 2 then 'companies' else 'deals' end, count(*)
               from hubspot_object where workspace_id = $1 and portal_id = $2 group by object_type
               union all select 'owners', count(*) from hubspot_owner where workspace_id = $1 and portal_id = $2
               union all select 'properties', count(*) from hubspot_property where workspace_id = $1 and portal_id = $2
               union all select 'pipelines', count(*) from hubspot_pipeline where workspace_id = $1 and portal_id = $2
               union all select 'lists', count(*) from hubspot_list where workspace_id = $1 and portal_id = $2
             ), bad (sync_type, n) as (
               select sync_type, count(*) from quarantine
               where workspace_id = $1 and portal_id = $2 group by sync_type
             )
             select sync_type as \"sync_type!\", coalesce(stored.n, 0) as \"stored!\", coalesce(bad.n, 0) as \"bad!\"
             from stored full join bad using (sync_type)",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(MirrorStats {
                    sync_type: row
                        .sync_type
                        .parse()
                        .map_err(|_| StoreError::Corrupt("type in quarantine"))?,
                    stored: count(row.stored),
                    quarantined: count(row.bad),
                })
            })
            .collect()
    }

    /// Records in the order of their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn objects_after(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
        after: Option<HubSpotObjectId>,
        limit: u32,
    ) -> Result<Vec<StoredObject>, StoreError> {
        let rows = sqlx::query!(
            "select object_id, properties, modified_at, archived from hubspot_object
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
                Ok(StoredObject {
                    id: object_id(row.object_id)?,
                    properties: row.properties,
                    modified_at: row.modified_at,
                    archived: row.archived,
                })
            })
            .collect()
    }

    /// All associations from records of one type, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn associations_from(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        from_type: ObjectType,
    ) -> Result<Vec<AssociationRow>, StoreError> {
        let rows = sqlx::query!(
            "select from_id, to_type, to_id, labels from hubspot_association
             where workspace_id = $1 and portal_id = $2 and from_type = $3
             order by from_id, to_type, to_id",
            workspace.as_uuid(),
            portal.get(),
            type_number(from_type)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let to_type = ObjectType::from_number(row.to_type)
                    .ok_or(StoreError::Corrupt("type of an association"))?;
                Ok(AssociationRow {
                    from: object_id(row.from_id)?,
                    to_type,
                    to: object_id(row.to_id)?,
                    labels: row.labels,
                })
            })
            .collect()
    }
}

/// Writes records and their associations.
pub(crate) async fn write_records(
    tx: &mut PgConnection,
    step: &Step,
    records: &RecordRows,
    read_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    upsert_objects(tx, step, records, read_at).await?;
    replace_associations(tx, step, records, read_at).await
}

async fn upsert_objects(
    tx: &mut PgConnection,
    step: &Step,
    records: &RecordRows,
    read_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if records.rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = records.rows.iter().map(|r| r.id.get()).collect();
    let properties: Vec<&str> = records.rows.iter().map(|r| r.properties.as_str()).collect();
    let created: Vec<Option<DateTime<Utc>>> = records.rows.iter().map(|r| r.created_at).collect();
    let modified: Vec<DateTime<Utc>> = records.rows.iter().map(|r| r.modified_at).collect();
    let archived: Vec<bool> = records.rows.iter().map(|r| r.archived).collect();
    sqlx::query!(
        "insert into hubspot_object as o
           (workspace_id, portal_id, object_type, object_id, properties, created_at, modified_at, read_at, archived)
         select $1, $2, $3, id, properties::jsonb, created_at, modified_at, $4, archived
         from unnest($5::bigint[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::boolean[])
           as t (id, properties, created_at, modified_at, archived)
         on conflict (workspace_id, portal_id, object_type, object_id) do update set
           properties = excluded.properties, created_at = excluded.created_at,
           modified_at = excluded.modified_at, read_at = excluded.read_at, archived = excluded.archived
         where (excluded.modified_at, excluded.read_at) > (o.modified_at, o.read_at)",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(records.object_type),
        read_at,
        &ids,
        &properties as &[&str],
        &created as &[Option<DateTime<Utc>>],
        &modified,
        &archived
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn replace_associations(
    tx: &mut PgConnection,
    step: &Step,
    records: &RecordRows,
    read_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let stored: BTreeSet<HubSpotObjectId> = records.rows.iter().map(|r| r.id).collect();
    let (answered, answered_types): (Vec<i64>, Vec<i16>) = records
        .answered
        .iter()
        .flat_map(|(to_type, ids)| ids.iter().map(|id| (*id, type_number(*to_type))))
        .filter(|(id, _)| stored.contains(id))
        .map(|(id, to_type)| (id.get(), to_type))
        .unzip();
    if answered.is_empty() {
        return Ok(());
    }
    let from: Vec<i64> = records.associations.iter().map(|a| a.from.get()).collect();
    let to_type: Vec<i16> = records
        .associations
        .iter()
        .map(|a| type_number(a.to_type))
        .collect();
    let to: Vec<i64> = records.associations.iter().map(|a| a.to.get()).collect();
    // Arrays of arrays have to be rectangular in Postgres; labels hold no such separator.
    let labels: Vec<String> = records
        .associations
        .iter()
        .map(|a| a.labels.join("\n"))
        .collect();
    sqlx::query!(
        "delete from hubspot_association a
         where workspace_id = $1 and portal_id = $2 and from_type = $3
           and from_id = any($4) and to_type = any($5) and read_at <= $6
           and exists (select 1 from unnest($4::bigint[], $5::smallint[]) as k (f, tt)
             where k.f = a.from_id and k.tt = a.to_type)
           and not exists (select 1 from unnest($7::bigint[], $8::smallint[], $9::bigint[]) as n (f, tt, t)
             where n.f = a.from_id and n.tt = a.to_type and n.t = a.to_id)",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(records.object_type),
        &answered,
        &answered_types,
        read_at,
        &from,
        &to_type,
        &to
    )
    .execute(&mut *tx)
    .await?;
    if from.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into hubspot_association as a
           (workspace_id, portal_id, from_type, from_id, to_type, to_id, labels, read_at)
         select distinct on (f, tt, t) $1::uuid, $2::bigint, $3::smallint, f, tt, t,
           string_to_array(l, E'\\n'), $4::timestamptz
         from unnest($5::bigint[], $6::smallint[], $7::bigint[], $8::text[]) as n (f, tt, t, l)
         order by f, tt, t
         on conflict (workspace_id, portal_id, from_type, from_id, to_type, to_id) do update set
           labels = excluded.labels, read_at = excluded.read_at
         where excluded.read_at > a.read_at",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(records.object_type),
        read_at,
        &from,
        &to_type,
        &to,
        &labels
    )
    .execute(tx)
    .await?;
    Ok(())
}
