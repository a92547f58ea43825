//! The mirror of HubSpot's records, and the one way in: a page together with its cursor.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{
    Epoch, HubSpotObjectId, ObjectType, PortalId, QuarantineReason, SyncRunId, SyncType,
    WorkspaceId,
};
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{
    CursorKey, Store, StoreError,
    cursors::{count, reached_the_end, signed},
    erasure,
    error::is_data_error,
    ranges::{RangeStep, move_range},
};

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

/// A record that cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineRow {
    /// Its id as text, or whatever tells it from others.
    pub key: String,
    /// Why.
    pub reason: QuarantineReason,
    /// What came over the wire.
    pub raw: Vec<u8>,
}

/// A page of records, with what it takes to commit it.
#[derive(Debug)]
pub struct CommitPage {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which portal.
    pub portal: PortalId,
    /// The epoch in which the run was claimed.
    pub epoch: Epoch,
    /// Which run.
    pub run: SyncRunId,
    /// What is read.
    pub sync_type: SyncType,
    /// The range that the page is of; none where the type has one cursor.
    pub range: Option<RangeStep>,
    /// The version of the cursor, or of the range, that the page was read with.
    pub expected_version: i64,
    /// The place after this page.
    pub position: Option<String>,
    /// Whether this was the last page.
    pub finished: bool,
    /// When the request that brought the page was sent.
    pub read_at: DateTime<Utc>,
    /// The records, if records are read.
    pub rows: Vec<MirrorRow>,
    /// The association types that came whole with the records: what is not among `associations` is
    /// gone.
    pub associated_types: Vec<ObjectType>,
    /// The associations.
    pub associations: Vec<AssociationRow>,
    /// Records that cannot be stored.
    pub quarantine: Vec<QuarantineRow>,
}

impl CommitPage {
    /// Which cursor it moves.
    pub const fn cursor(&self) -> CursorKey {
        CursorKey::of_run(self.workspace, self.portal, self.run, self.sync_type)
    }
}

/// What came of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageOutcome {
    /// It is stored.
    Committed {
        /// The cursor's version from now on.
        version: i64,
        /// Records that Postgres refused and that were quarantined.
        refused: u64,
    },
    /// Somebody else moved the cursor; nothing was written.
    LostCursor,
    /// The connection is no longer in this epoch; nothing was written.
    Fenced,
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

/// Moves the cursor if it stands where the page was read from and the connection is in its epoch. The
/// last page of a type ends it, and moves its catch-up point.
pub(crate) async fn move_cursor(
    tx: &mut Transaction<'static, Postgres>,
    page: &CommitPage,
    read: u64,
) -> Result<Option<PageOutcome>, sqlx::Error> {
    let moved = match &page.range {
        Some(step) => move_range(tx, page, step, read).await?,
        None => move_whole(tx, page, read).await?,
    };
    if moved {
        return Ok(None);
    }
    let here = sqlx::query!(
        "select 1 as one from connection
         where workspace_id = $1 and epoch = $2 and portal_id = $3 and state = 'connected'",
        page.workspace.as_uuid(),
        page.epoch.get(),
        page.portal.get()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(Some(if here.is_some() {
        PageOutcome::LostCursor
    } else {
        PageOutcome::Fenced
    }))
}

async fn move_whole(
    tx: &mut Transaction<'static, Postgres>,
    page: &CommitPage,
    read: u64,
) -> Result<bool, sqlx::Error> {
    let key = page.cursor();
    let moved = sqlx::query!(
        "update sync_cursor set version = version + 1, position = $7,
            done = done + $8, quarantined = quarantined + $9, last_commit_at = clock_timestamp()
         where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = $4 and part = $5
           and run_id is not distinct from $6 and version = $10 and outcome = 'reading'
           and exists (select 1 from connection
             where workspace_id = $1 and epoch = $11 and portal_id = $2 and state = 'connected')
         returning version",
        key.workspace.as_uuid(),
        key.portal.get(),
        key.sync_type.as_str(),
        key.purpose.as_str(),
        key.part(),
        key.run_uuid(),
        page.position,
        signed(read),
        signed(page.quarantine.len() as u64),
        page.expected_version,
        page.epoch.get()
    )
    .fetch_optional(&mut **tx)
    .await?;
    if moved.is_some() && page.finished {
        reached_the_end(tx, &key).await?;
    }
    Ok(moved.is_some())
}

impl Store {
    /// Commits a page and its cursor in one transaction. Records apply only when newer (design
    /// §4.1). What Postgres refuses goes into quarantine, the rest goes in. Contacts of people who
    /// were erased stay out (C7).
    ///
    /// # Errors
    /// When the database fails; nothing is written then.
    pub async fn commit_page(
        &self,
        mut page: CommitPage,
        now: DateTime<Utc>,
    ) -> Result<PageOutcome, StoreError> {
        let object_type = page
            .sync_type
            .object_type()
            .ok_or(StoreError::NotFound("record type of the page"))?;
        let read = page.rows.len() as u64;
        // One statement must not touch a row twice; the newest of equals wins here as below.
        let mut rows: BTreeMap<HubSpotObjectId, MirrorRow> = BTreeMap::new();
        for row in std::mem::take(&mut page.rows) {
            match rows.get(&row.id) {
                Some(known) if known.modified_at > row.modified_at => {}
                _ => {
                    rows.insert(row.id, row);
                }
            }
        }
        page.rows = rows.into_values().collect();
        match self.try_commit(&mut page, object_type, read, now).await {
            Err(error) if is_data_error(&error) => {
                let refused = self.quarantine_refused(&mut page).await?;
                match self
                    .try_commit(&mut page, object_type, read - refused, now)
                    .await?
                {
                    PageOutcome::Committed { version, .. } => {
                        Ok(PageOutcome::Committed { version, refused })
                    }
                    other => Ok(other),
                }
            }
            other => Ok(other?),
        }
    }

    async fn try_commit(
        &self,
        page: &mut CommitPage,
        object_type: ObjectType,
        read: u64,
        now: DateTime<Utc>,
    ) -> Result<PageOutcome, sqlx::Error> {
        let mut tx = self.pages.begin().await?;
        if object_type == ObjectType::Contact {
            erasure::hold_shared(&mut tx, page.workspace).await?;
        }
        if let Some(refused) = move_cursor(&mut tx, page, read).await? {
            return Ok(refused);
        }
        if object_type == ObjectType::Contact {
            erasure::take_out_erased(&mut tx, &self.identities, page).await?;
        }
        upsert_objects(&mut tx, page, object_type).await?;
        replace_associations(&mut tx, page, object_type).await?;
        put_in_quarantine(
            &mut tx,
            page.workspace,
            page.portal,
            page.sync_type,
            &page.quarantine,
            now,
        )
        .await?;
        tx.commit().await?;
        Ok(PageOutcome::Committed {
            version: page.expected_version + 1,
            refused: 0,
        })
    }

    /// Moves the records that Postgres does not take out of the page.
    async fn quarantine_refused(&self, page: &mut CommitPage) -> Result<u64, StoreError> {
        let mut refused = 0;
        for row in std::mem::take(&mut page.rows) {
            let nul = domain::quarantine::holds_nul(&row.properties)
                || page
                    .associations
                    .iter()
                    .any(|a| a.from == row.id && a.labels.iter().any(|l| l.contains('\0')));
            if !nul && self.is_jsonb(&row.properties).await? {
                page.rows.push(row);
                continue;
            }
            refused += 1;
            page.associations.retain(|a| a.from != row.id);
            page.quarantine.push(QuarantineRow {
                key: row.id.to_string(),
                reason: if nul {
                    QuarantineReason::NulCharacter
                } else {
                    QuarantineReason::Malformed
                },
                raw: row.properties.into_bytes(),
            });
        }
        Ok(refused)
    }

    /// Asked of one text at a time, as some (nested too deep) are answered with an error.
    async fn is_jsonb(&self, text: &str) -> Result<bool, StoreError> {
        let asked = sqlx::query!("select pg_input_is_valid($1, 'jsonb') as \"valid!\"", text)
            .fetch_one(&self.pool)
            .await;
        match asked {
            Ok(row) => Ok(row.valid),
            Err(error) if is_data_error(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

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

    /// What waits in quarantine.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn quarantined(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        sync_type: SyncType,
    ) -> Result<Vec<QuarantineRow>, StoreError> {
        let rows = sqlx::query!(
            "select record_key, reason, raw from quarantine
             where workspace_id = $1 and portal_id = $2 and sync_type = $3 order by record_key",
            workspace.as_uuid(),
            portal.get(),
            sync_type.as_str()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(QuarantineRow {
                    key: row.record_key,
                    reason: row
                        .reason
                        .parse()
                        .map_err(|_| StoreError::Corrupt("reason in quarantine"))?,
                    raw: row.raw,
                })
            })
            .collect()
    }
}

async fn upsert_objects(
    tx: &mut PgConnection,
    page: &CommitPage,
    object_type: ObjectType,
) -> Result<(), sqlx::Error> {
    if page.rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = page.rows.iter().map(|r| r.id.get()).collect();
    let properties: Vec<&str> = page.rows.iter().map(|r| r.properties.as_str()).collect();
    let created: Vec<Option<DateTime<Utc>>> = page.rows.iter().map(|r| r.created_at).collect();
    let modified: Vec<DateTime<Utc>> = page.rows.iter().map(|r| r.modified_at).collect();
    let archived: Vec<bool> = page.rows.iter().map(|r| r.archived).collect();
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
        page.workspace.as_uuid(),
        page.portal.get(),
        type_number(object_type),
        page.read_at,
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
    page: &CommitPage,
    from_type: ObjectType,
) -> Result<(), sqlx::Error> {
    if page.associated_types.is_empty() || page.rows.is_empty() {
        return Ok(());
    }
    let read: Vec<i64> = page.rows.iter().map(|r| r.id.get()).collect();
    let read_types: Vec<i16> = page
        .associated_types
        .iter()
        .map(|t| type_number(*t))
        .collect();
    let from: Vec<i64> = page.associations.iter().map(|a| a.from.get()).collect();
    let to_type: Vec<i16> = page
        .associations
        .iter()
        .map(|a| type_number(a.to_type))
        .collect();
    let to: Vec<i64> = page.associations.iter().map(|a| a.to.get()).collect();
    // Arrays of arrays have to be rectangular in Postgres; labels hold no such separator.
    let labels: Vec<String> = page
        .associations
        .iter()
        .map(|a| a.labels.join("\n"))
        .collect();
    sqlx::query!(
        "delete from hubspot_association a
         where workspace_id = $1 and portal_id = $2 and from_type = $3
           and from_id = any($4) and to_type = any($5) and read_at <= $6
           and not exists (select 1 from unnest($7::bigint[], $8::smallint[], $9::bigint[]) as n (f, tt, t)
             where n.f = a.from_id and n.tt = a.to_type and n.t = a.to_id)",
        page.workspace.as_uuid(),
        page.portal.get(),
        type_number(from_type),
        &read,
        &read_types,
        page.read_at,
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
        page.workspace.as_uuid(),
        page.portal.get(),
        type_number(from_type),
        page.read_at,
        &from,
        &to_type,
        &to,
        &labels
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(crate) async fn put_in_quarantine(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portal: PortalId,
    sync_type: SyncType,
    rows: &[QuarantineRow],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    // Few ever, and of any size: one statement each. A key may come twice in a page.
    for row in rows {
        sqlx::query!(
            "insert into quarantine (workspace_id, portal_id, sync_type, record_key, reason, raw, first_seen, last_seen)
             values ($1, $2, $3, $4, $5, $6, $7, $7)
             on conflict (workspace_id, portal_id, sync_type, record_key) do update
             set reason = excluded.reason, raw = excluded.raw, last_seen = excluded.last_seen",
            workspace.as_uuid(),
            portal.get(),
            sync_type.as_str(),
            row.key,
            row.reason.as_str(),
            row.raw,
            now
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
