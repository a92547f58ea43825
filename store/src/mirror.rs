//! The mirror of HubSpot's records and their associations.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, ObjectType, PortalId, SyncType, WorkspaceId};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{
    Store, StoreError, aliases,
    batches::{FoundBy, RecordRows},
    cursors::count,
    erasure::IdentityKey,
    keys,
    steps::Step,
    tombstones,
};

/// A record that was read.
#[derive(Debug, Clone)]
pub struct MirrorRow {
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
    pub id: HubSpotObjectId,
    pub properties: serde_json::Value,
    /// HubSpot's last-modified.
    pub modified_at: DateTime<Utc>,
    /// Whether it lies in the recycle bin.
    pub archived: bool,
}

/// What became of a record that HubSpot no longer shows under its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It lives.
    Alive,
    /// It lies in the recycle bin.
    Archived,
    /// It was merged into this one.
    Merged(HubSpotObjectId),
    /// HubSpot named it once as one that it does not know; its values are still there.
    Missing,
    /// HubSpot named it so again, in a later reading.
    Gone,
}

/// How many records are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorStats {
    pub sync_type: SyncType,
    /// In the mirror, alive.
    pub stored: u64,
    /// In quarantine.
    pub quarantined: u64,
}

pub(crate) const fn type_number(object_type: ObjectType) -> i16 {
    object_type.number()
}

pub(crate) fn type_of_number(number: i16) -> Result<ObjectType, StoreError> {
    ObjectType::from_number(number).ok_or(StoreError::Corrupt("type of a record"))
}

pub(crate) fn object_id(id: i64) -> Result<HubSpotObjectId, StoreError> {
    HubSpotObjectId::new(id).map_err(|_| StoreError::Corrupt("record id"))
}

impl Store {
    /// Counts per type what is stored and what waits in quarantine.
    pub async fn mirror_stats(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<MirrorStats>, StoreError> {
        let rows = sqlx::query!(
            "with stored (sync_type, n) as (
               select case object_type when 1 then 'contacts' when 2 then 'companies' else 'deals' end, count(*)
               from hubspot_object where workspace_id = $1 and portal_id = $2 and not archived group by object_type
               union all select 'owners', count(*) from hubspot_owner where workspace_id = $1 and portal_id = $2
               union all select 'properties', count(*) from hubspot_property where workspace_id = $1 and portal_id = $2
               union all select 'pipelines', count(*) from hubspot_pipeline where workspace_id = $1 and portal_id = $2
               union all select 'lists', count(*) from hubspot_list where workspace_id = $1 and portal_id = $2 and gone_at is null
               union all select 'engagements', count(*) from hubspot_touch where workspace_id = $1 and portal_id = $2 and not archived
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

    /// What became of a record; `None` for one that the mirror does not know.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn fate(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
        id: HubSpotObjectId,
    ) -> Result<Option<Fate>, StoreError> {
        let row = sqlx::query!(
            "select archived, merged_into, missing_at, gone_at from hubspot_object
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = $4",
            workspace.as_uuid(),
            portal.get(),
            type_number(object_type),
            id.get()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(match (row.merged_into, row.gone_at, row.missing_at) {
                _ if !row.archived => Fate::Alive,
                (Some(into), ..) => Fate::Merged(object_id(into)?),
                (None, Some(_), _) => Fate::Gone,
                (None, None, Some(_)) => Fate::Missing,
                (None, None, None) => Fate::Archived,
            })
        })
        .transpose()
    }

    /// All associations from records of one type that are alive, in order.
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
            "select from_id, to_type, to_id, labels from hubspot_association a
             where workspace_id = $1 and portal_id = $2 and from_type = $3 and not removed
               and not exists (select 1 from hubspot_object o
                 where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = $3
                   and o.object_id = a.from_id and o.archived offset 0)
             order by from_id, to_type, to_id",
            workspace.as_uuid(),
            portal.get(),
            type_number(from_type)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(AssociationRow {
                    from: object_id(row.from_id)?,
                    to_type: type_of_number(row.to_type)?,
                    to: object_id(row.to_id)?,
                    labels: row.labels,
                })
            })
            .collect()
    }
}

/// Writes records and their associations. Only what changes is written: a row that is stored as it
/// was read costs nothing.
///
/// Which properties a reader asks for differs: of a record those that were not asked for stay, and
/// asking for fewer is no change. A hash stands for the whole row, and is none where the row holds
/// more than was read.
pub(crate) async fn write_records(
    tx: &mut Transaction<'static, Postgres>,
    key: &IdentityKey,
    step: &Step,
    records: &mut RecordRows,
    read_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    aliases::take_out_merged(tx, step, records, read_at).await?;
    let written = upsert_objects(tx, step, records, read_at).await?;
    keys::write(tx, step, records, &written).await?;
    let merged = aliases::write(tx, step, records, &written, read_at).await?;
    let missing = tombstones::write_missing(tx, key, step, records, read_at).await?;
    let associated = replace_associations(tx, step, records, read_at).await?;
    touch(tx, step, records.object_type, &associated, &written).await?;
    let turned: Vec<i64> = written
        .iter()
        .filter(|w| w.turned)
        .map(|w| w.id)
        .chain(merged)
        .chain(missing)
        .collect();
    tombstones::note_neighbours(tx, step, records.object_type, &turned).await
}

/// A record that was written.
pub(crate) struct Written {
    pub(crate) id: i64,
    /// Whether it was not there before.
    pub(crate) new: bool,
    /// Whether it was alive and is not, or the other way round.
    pub(crate) turned: bool,
}

async fn upsert_objects(
    tx: &mut PgConnection,
    step: &Step,
    records: &RecordRows,
    read_at: DateTime<Utc>,
) -> Result<Vec<Written>, sqlx::Error> {
    if records.rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = records.rows.iter().map(|r| r.id.get()).collect();
    let properties: Vec<&str> = records.rows.iter().map(|r| r.properties.as_str()).collect();
    let created: Vec<Option<DateTime<Utc>>> = records.rows.iter().map(|r| r.created_at).collect();
    let modified: Vec<DateTime<Utc>> = records.rows.iter().map(|r| r.modified_at).collect();
    let archived: Vec<bool> = records.rows.iter().map(|r| r.archived).collect();
    let hashes: Vec<Vec<u8>> = records
        .rows
        .iter()
        .map(|r| content_hash(&r.properties))
        .collect();
    let direct = records.found_by == FoundBy::Direct;
    // What search brought of a range is listed again later, and has to be known from what it did not.
    let mark = !direct && step.range.is_some();
    let known = any_object(tx, step, records.object_type, &ids).await?;
    // `limit 1` makes the look-up go row by row: whole types are never read for one page. Where a page
    // lands on empty ground, as in a first read, `known` saves the look-ups.
    let rows = sqlx::query!(
        "with fresh as (
           select t.* from unnest($5::bigint[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::boolean[], $10::bytea[])
             as t (id, properties, created_at, modified_at, archived, hash)
           left join lateral (select o.* from hubspot_object o
             where $13 and o.workspace_id = $1 and o.portal_id = $2 and o.object_type = $3 and o.object_id = t.id
             limit 1) o on true
           where o.object_id is null
             or ((t.modified_at, $4::timestamptz) > (o.modified_at, o.read_at)
               and (not o.archived or t.archived or ($11 and $4 > o.read_at))
               and ($12 or (t.modified_at, t.archived) is distinct from (o.modified_at, o.archived)
                 or (t.hash is distinct from o.content_hash
                   and jsonb_strip_nulls(o.properties || t.properties::jsonb)
                     <> jsonb_strip_nulls(o.properties))))
         )
         insert into hubspot_object as o
           (workspace_id, portal_id, object_type, object_id, properties, created_at, modified_at, read_at, archived, content_hash, changed)
         select $1, $2, $3, id, properties::jsonb, created_at, modified_at, $4, archived, hash, (select mirror_change())
         from fresh
         on conflict (workspace_id, portal_id, object_type, object_id) do update set
           properties = o.properties || excluded.properties, created_at = excluded.created_at,
           modified_at = excluded.modified_at, read_at = excluded.read_at, archived = excluded.archived,
           content_hash = case when jsonb_strip_nulls(o.properties || excluded.properties)
             = jsonb_strip_nulls(excluded.properties) then excluded.content_hash end,
           merged_into = null, missing_at = null, gone_at = null,
           changed = case when (o.modified_at, o.archived)
               is distinct from (excluded.modified_at, excluded.archived)
             or (o.content_hash is distinct from excluded.content_hash
               and jsonb_strip_nulls(o.properties || excluded.properties)
                 <> jsonb_strip_nulls(o.properties))
             then excluded.changed else o.changed end
         where (excluded.modified_at, excluded.read_at) > (o.modified_at, o.read_at)
           and (not o.archived or excluded.archived or ($11 and excluded.read_at > o.read_at))
         returning new.object_id as \"id!\", old.object_id is null as \"new!\",
           coalesce(old.archived <> new.archived, false) as \"turned!\",
           old.changed is distinct from new.changed as \"changed!\"",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(records.object_type),
        read_at,
        &ids,
        &properties as &[&str],
        &created as &[Option<DateTime<Utc>>],
        &modified,
        &archived,
        &hashes,
        direct,
        mark,
        known
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .filter(|row| row.changed)
        .map(|row| Written {
            id: row.id,
            new: row.new,
            turned: row.turned,
        })
        .collect())
}

/// Whether any record is stored of those from the least to the greatest of these ids: one look-up for a
/// page. Of a first read there is none.
async fn any_object(
    tx: &mut PgConnection,
    step: &Step,
    object_type: ObjectType,
    ids: &[i64],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        "select exists (select 1 from hubspot_object
           where workspace_id = $1 and portal_id = $2 and object_type = $3
             and object_id between $4 and $5) as \"any!\"",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(object_type),
        ids.iter().min().copied().unwrap_or(0),
        ids.iter().max().copied().unwrap_or(0)
    )
    .fetch_one(tx)
    .await
}

/// The same of associations from these records.
async fn any_association(
    tx: &mut PgConnection,
    step: &Step,
    from_type: ObjectType,
    ids: &[i64],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        "select exists (select 1 from hubspot_association
           where workspace_id = $1 and portal_id = $2 and from_type = $3
             and from_id between $4 and $5) as \"any!\"",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(from_type),
        ids.iter().min().copied().unwrap_or(0),
        ids.iter().max().copied().unwrap_or(0)
    )
    .fetch_one(tx)
    .await
}

/// Tells properties from others, in whatever order they came. What is no object is taken as it is.
fn content_hash(properties: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    match serde_json::from_str::<Parts<'_>>(properties) {
        Ok(Parts(mut all)) => {
            // HubSpot's order mostly is this one already.
            all.sort_by_key(|(name, _)| *name);
            let mut bytes = Vec::with_capacity(properties.len() + all.len() * 16);
            for (place, (name, value)) in all.iter().enumerate() {
                // Of a name that stands twice the last counts, as it does for Postgres.
                if all.get(place + 1).is_some_and(|(next, _)| next == name) {
                    continue;
                }
                for part in [name, value.get()] {
                    bytes.extend((part.len() as u64).to_be_bytes());
                    bytes.extend(part.as_bytes());
                }
            }
            hash.update(bytes);
        }
        Err(_) => hash.update(properties),
    }
    let mut hash = hash.finalize().to_vec();
    hash.truncate(16);
    hash
}

/// The members of an object, as they stand.
struct Parts<'a>(Vec<(&'a str, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Parts<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(of: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> serde::de::Visitor<'de> for Members {
            type Value = Parts<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Parts<'de>, A::Error> {
                let mut all = Vec::with_capacity(64);
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Parts(all))
            }
        }
        of.deserialize_map(Members)
    }
}

/// Replaces what is associated with records of which that was answered. What is gone stays as a
/// tombstone, so that an older read does not bring it back. Says of which records anything changed.
async fn replace_associations(
    tx: &mut PgConnection,
    step: &Step,
    records: &RecordRows,
    read_at: DateTime<Utc>,
) -> Result<Vec<i64>, sqlx::Error> {
    let stored: BTreeSet<HubSpotObjectId> = records.rows.iter().map(|r| r.id).collect();
    let (answered, answered_types): (Vec<i64>, Vec<i16>) = records
        .answered
        .iter()
        .flat_map(|(to_type, ids)| ids.iter().map(|id| (*id, type_number(*to_type))))
        .filter(|(id, _)| stored.contains(id))
        .map(|(id, to_type)| (id.get(), to_type))
        .unzip();
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
    let mut changed = Vec::new();
    if answered.is_empty() && from.is_empty() {
        return Ok(changed);
    }
    let all: Vec<i64> = answered.iter().chain(&from).copied().collect();
    let known = any_association(tx, step, records.object_type, &all).await?;
    if known && !answered.is_empty() {
        let gone = sqlx::query_scalar!(
            "update hubspot_association a set removed = true, read_at = $6
             where workspace_id = $1 and portal_id = $2 and from_type = $3
               and from_id = any($4) and to_type = any($5) and not removed and read_at <= $6
               and exists (select 1 from unnest($4::bigint[], $5::smallint[]) as k (f, tt)
                 where k.f = a.from_id and k.tt = a.to_type)
               and not exists (select 1 from unnest($7::bigint[], $8::smallint[], $9::bigint[]) as n (f, tt, t)
                 where n.f = a.from_id and n.tt = a.to_type and n.t = a.to_id)
             returning from_id",
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
        .fetch_all(&mut *tx)
        .await?;
        changed.extend(gone);
    }
    if from.is_empty() {
        return Ok(changed);
    }
    let written = sqlx::query_scalar!(
        "insert into hubspot_association as a
           (workspace_id, portal_id, from_type, from_id, to_type, to_id, labels, read_at)
         select $1::uuid, $2::bigint, $3::smallint, n.f, n.tt, n.t, string_to_array(n.l, E'\\n'), $4::timestamptz
         from (select distinct on (f, tt, t) f, tt, t, l
             from unnest($5::bigint[], $6::smallint[], $7::bigint[], $8::text[]) as u (f, tt, t, l)
             order by f, tt, t) as n
         left join lateral (select o.* from hubspot_association o
           where $9 and o.workspace_id = $1 and o.portal_id = $2 and o.from_type = $3
             and o.from_id = n.f and o.to_type = n.tt and o.to_id = n.t
           limit 1) o on true
         where o.from_id is null
           or ($4 > o.read_at and (o.removed or o.labels is distinct from string_to_array(n.l, E'\\n')))
         on conflict (workspace_id, portal_id, from_type, from_id, to_type, to_id) do update set
           labels = excluded.labels, read_at = excluded.read_at, removed = false
         where excluded.read_at > a.read_at
         returning from_id",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(records.object_type),
        read_at,
        &from,
        &to_type,
        &to,
        &labels,
        known
    )
    .fetch_all(tx)
    .await?;
    changed.extend(written);
    Ok(changed)
}

/// A company that a write of ours associated a contact with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Associated {
    /// The contact.
    pub contact: HubSpotObjectId,
    /// The company.
    pub company: HubSpotObjectId,
    /// Whether as the contact's primary one.
    pub primary: bool,
}

/// HubSpot's names of the association of a contact with its primary company, and with any.
const PRIMARY: &str = "contact_to_company";
const PLAIN: &str = "contact_to_company_unlabeled";

/// Adds what a write of ours associated, where the mirror has the contact. Types that others gave stay,
/// and there is one primary company. What was read later stays as it is.
pub(crate) async fn add_company(
    tx: &mut PgConnection,
    step: &Step,
    made: Associated,
    read_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let (contact, company) = (
        type_number(ObjectType::Contact),
        type_number(ObjectType::Company),
    );
    let labels: &[&str] = if made.primary {
        sqlx::query!(
            "update hubspot_association set read_at = $6,
               labels = case when labels = array[$7] then array[$8] else array_remove(labels, $7) end
             where workspace_id = $1 and portal_id = $2 and from_type = $3 and from_id = $4 and to_type = $5
               and to_id <> $9 and not removed and $7 = any(labels) and read_at < $6",
            step.workspace.as_uuid(),
            step.portal.get(),
            contact,
            made.contact.get(),
            company,
            read_at,
            PRIMARY,
            PLAIN,
            made.company.get()
        )
        .execute(&mut *tx)
        .await?;
        &[PRIMARY, PLAIN]
    } else {
        &[PLAIN]
    };
    sqlx::query!(
        "insert into hubspot_association as a
           (workspace_id, portal_id, from_type, from_id, to_type, to_id, labels, read_at)
         select o.workspace_id, o.portal_id, o.object_type, o.object_id, $5, $6, $7, $8
         from hubspot_object o
         where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = $3 and o.object_id = $4
         on conflict (workspace_id, portal_id, from_type, from_id, to_type, to_id) do update set
           labels = case when a.removed then excluded.labels
             else array(select distinct l from unnest(a.labels || excluded.labels) as u (l) order by l) end,
           read_at = excluded.read_at, removed = false
         where excluded.read_at > a.read_at",
        step.workspace.as_uuid(),
        step.portal.get(),
        contact,
        made.contact.get(),
        company,
        made.company.get(),
        labels as &[&str],
        read_at
    )
    .execute(&mut *tx)
    .await?;
    touch(tx, step, ObjectType::Contact, &[made.contact.get()], &[]).await
}

/// A record whose associations changed has changed, for whoever reads changes.
async fn touch(
    tx: &mut PgConnection,
    step: &Step,
    object_type: ObjectType,
    associated: &[i64],
    written: &[Written],
) -> Result<(), sqlx::Error> {
    let known: BTreeSet<i64> = written.iter().map(|w| w.id).collect();
    let rest: Vec<i64> = associated
        .iter()
        .copied()
        .filter(|id| !known.contains(id))
        .collect();
    if rest.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update hubspot_object set changed = (select mirror_change())
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(object_type),
        &rest
    )
    .execute(tx)
    .await?;
    Ok(())
}
