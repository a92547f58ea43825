//! Owners, property definitions and pipelines: small, and always read whole.

use chrono::{DateTime, Utc};
use domain::{Epoch, HubSpotOwnerId, ObjectType, PortalId, WorkspaceId};

use sqlx::PgConnection;

use crate::{
    Store, StoreError,
    batches::{Listing, ListingEnd, QuarantineRow},
    cursors::count,
    mirror::type_number,
    steps::{Step, began_at},
};

/// An owner that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerRow {
    /// The owner's `id`.
    pub id: HubSpotOwnerId,
    /// The user behind it; none for queues and for those who left.
    pub user_id: Option<i64>,
    /// May be missing.
    pub email: Option<String>,
    /// May be blank.
    pub first_name: Option<String>,
    /// May be blank.
    pub last_name: Option<String>,
    /// Whether the user was deactivated.
    pub archived: bool,
}

/// A property definition that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyRow {
    pub object_type: ObjectType,
    pub name: String,
    /// The definition, as the JSON object that HubSpot sent.
    pub definition: String,
}

/// A pipeline that was read, with its stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineRow {
    pub id: String,
    /// The definition, as the JSON object that HubSpot sent.
    pub definition: String,
}

/// Writes a page of owners. Those that a whole listing did not bring, deactivated or not, are gone.
pub(crate) async fn write_owners(
    tx: &mut PgConnection,
    step: &Step,
    owners: &[OwnerRow],
    listing: Listing,
    read_at: DateTime<Utc>,
) -> Result<ListingEnd, sqlx::Error> {
    let ids: Vec<i64> = owners.iter().map(|o| o.id.get()).collect();
    let users: Vec<Option<i64>> = owners.iter().map(|o| o.user_id).collect();
    let emails: Vec<Option<&str>> = owners.iter().map(|o| o.email.as_deref()).collect();
    let firsts: Vec<Option<&str>> = owners.iter().map(|o| o.first_name.as_deref()).collect();
    let lasts: Vec<Option<&str>> = owners.iter().map(|o| o.last_name.as_deref()).collect();
    let archived: Vec<bool> = owners.iter().map(|o| o.archived).collect();
    sqlx::query!(
        "insert into hubspot_owner
           (workspace_id, portal_id, owner_id, user_id, email, first_name, last_name, archived, read_at)
         select distinct on (id) $1, $2::bigint, id, user_id, email, first_name, last_name, archived, $3::timestamptz
         from unnest($4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::boolean[])
           as t (id, user_id, email, first_name, last_name, archived)
         order by id, archived
         on conflict (workspace_id, portal_id, owner_id) do update set
           user_id = excluded.user_id, email = excluded.email, first_name = excluded.first_name,
           last_name = excluded.last_name, archived = excluded.archived, read_at = excluded.read_at
         where excluded.read_at >= hubspot_owner.read_at
           and (not $10 or (hubspot_owner.user_id, hubspot_owner.email, hubspot_owner.first_name,
               hubspot_owner.last_name, hubspot_owner.archived)
             is distinct from (excluded.user_id, excluded.email, excluded.first_name,
               excluded.last_name, excluded.archived))",
        step.workspace.as_uuid(),
        step.portal.get(),
        read_at,
        &ids,
        &users as &[Option<i64>],
        &emails as &[Option<&str>],
        &firsts as &[Option<&str>],
        &lasts as &[Option<&str>],
        &archived,
        listing == Listing::InPassing
    )
    .execute(&mut *tx)
    .await?;
    if listing == Listing::InPassing {
        return Ok(ListingEnd::Nothing);
    }
    sqlx::query!(
        "update hubspot_owner set seen_at = now()
         where workspace_id = $1 and portal_id = $2 and owner_id = any($3)",
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
        "delete from hubspot_owner o
         where workspace_id = $1 and portal_id = $2 and seen_at < $3
           and not exists (select 1 from quarantine q
             where q.workspace_id = $1 and q.portal_id = $2 and q.sync_type = $4
               and q.record_key = o.owner_id::text)",
        step.workspace.as_uuid(),
        step.portal.get(),
        began,
        step.sync_type.as_str()
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    let kept = sqlx::query_scalar!(
        "select count(*) as \"n!\" from hubspot_owner where workspace_id = $1 and portal_id = $2",
        step.workspace.as_uuid(),
        step.portal.get()
    )
    .fetch_one(tx)
    .await?;
    Ok(listing.end(count(kept), lost, None))
}

/// Writes the property definitions of one type. What is not among them is gone.
pub(crate) async fn write_properties(
    tx: &mut PgConnection,
    step: &Step,
    object_type: ObjectType,
    properties: &[PropertyRow],
    quarantine: &[QuarantineRow],
    listing: Listing,
    read_at: DateTime<Utc>,
) -> Result<ListingEnd, sqlx::Error> {
    // What is in quarantine is there all the same.
    let kept: Vec<&str> = quarantine.iter().map(|row| row.key.as_str()).collect();
    let names: Vec<&str> = properties.iter().map(|p| p.name.as_str()).collect();
    let definitions: Vec<&str> = properties.iter().map(|p| p.definition.as_str()).collect();
    let lost = if matches!(listing, Listing::Open | Listing::InPassing) {
        0
    } else {
        sqlx::query!(
            "delete from hubspot_property
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and name <> all($4)
               and $5 || ' ' || name <> all($6) and read_at <= $7",
            step.workspace.as_uuid(),
            step.portal.get(),
            type_number(object_type),
            &names as &[&str],
            object_type.as_str(),
            &kept as &[&str],
            read_at
        )
        .execute(&mut *tx)
        .await?
        .rows_affected()
    };
    sqlx::query!(
        "insert into hubspot_property (workspace_id, portal_id, object_type, name, definition, read_at)
         select distinct on (name) $1, $2::bigint, $3::smallint, name, definition::jsonb, $4::timestamptz
         from unnest($5::text[], $6::text[]) as t (name, definition)
         on conflict (workspace_id, portal_id, object_type, name) do update set
           definition = excluded.definition, read_at = excluded.read_at
         where hubspot_property.read_at <= excluded.read_at
           and hubspot_property.definition is distinct from excluded.definition",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(object_type),
        read_at,
        &names as &[&str],
        &definitions as &[&str]
    )
    .execute(&mut *tx)
    .await?;
    Ok(listing.end((names.len() + kept.len()) as u64, lost, None))
}

/// Writes all pipelines. What is not among them is gone.
pub(crate) async fn write_pipelines(
    tx: &mut PgConnection,
    step: &Step,
    pipelines: &[PipelineRow],
    quarantine: &[QuarantineRow],
    listing: Listing,
    read_at: DateTime<Utc>,
) -> Result<ListingEnd, sqlx::Error> {
    // What is in quarantine is there all the same.
    let kept: Vec<&str> = quarantine.iter().map(|row| row.key.as_str()).collect();
    let ids: Vec<&str> = pipelines.iter().map(|p| p.id.as_str()).collect();
    let definitions: Vec<&str> = pipelines.iter().map(|p| p.definition.as_str()).collect();
    let lost = if listing == Listing::Open {
        0
    } else {
        sqlx::query!(
            "delete from hubspot_pipeline
             where workspace_id = $1 and portal_id = $2 and pipeline_id <> all($3)
               and pipeline_id <> all($4) and read_at <= $5",
            step.workspace.as_uuid(),
            step.portal.get(),
            &ids as &[&str],
            &kept as &[&str],
            read_at
        )
        .execute(&mut *tx)
        .await?
        .rows_affected()
    };
    sqlx::query!(
        "insert into hubspot_pipeline (workspace_id, portal_id, pipeline_id, definition, read_at)
         select distinct on (id) $1, $2::bigint, id, definition::jsonb, $3::timestamptz
         from unnest($4::text[], $5::text[]) as t (id, definition)
         on conflict (workspace_id, portal_id, pipeline_id) do update set
           definition = excluded.definition, read_at = excluded.read_at
         where hubspot_pipeline.read_at <= excluded.read_at
           and hubspot_pipeline.definition is distinct from excluded.definition",
        step.workspace.as_uuid(),
        step.portal.get(),
        read_at,
        &ids as &[&str],
        &definitions as &[&str]
    )
    .execute(&mut *tx)
    .await?;
    Ok(listing.end((ids.len() + kept.len()) as u64, lost, None))
}

/// A definition that was read by itself.
#[derive(Debug, Clone, Copy)]
pub struct DefinitionRead<'a> {
    /// For which workspace.
    pub workspace: WorkspaceId,
    /// Of which portal.
    pub portal: PortalId,
    /// In which epoch.
    pub epoch: Epoch,
    /// Of which type.
    pub object_type: ObjectType,
    /// Of which property.
    pub name: &'a str,
    /// The definition, as the JSON object that HubSpot sent; none: HubSpot refused a value because there is
    /// no such property, and said so again when it was asked for it.
    pub definition: Option<&'a str>,
    /// A moment before it was asked for, by the database's clock.
    pub read_at: DateTime<Utc>,
}

impl Store {
    /// The time, by the database's clock.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn clock(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(sqlx::query_scalar!("select clock_timestamp() as \"now!\"")
            .fetch_one(&self.pool)
            .await?)
    }

    /// Keeps a definition that was read by itself. What is there of a later reading stays, and nothing is
    /// kept of a connection that is no longer in its epoch.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn write_definition(&self, read: &DefinitionRead<'_>) -> Result<(), StoreError> {
        let Some(definition) = read.definition else {
            sqlx::query!(
                "delete from hubspot_property p using (
                   select c.workspace_id, c.portal_id from connection c
                   where c.workspace_id = $1 and c.portal_id = $2 and c.epoch = $3 and c.state = 'connected'
                   for share) c
                 where p.workspace_id = c.workspace_id and p.portal_id = c.portal_id
                   and p.object_type = $4 and p.name = $5 and p.read_at <= $6",
                read.workspace.as_uuid(),
                read.portal.get(),
                read.epoch.get(),
                type_number(read.object_type),
                read.name,
                read.read_at
            )
            .execute(&self.pool)
            .await?;
            return Ok(());
        };
        sqlx::query!(
            "insert into hubspot_property (workspace_id, portal_id, object_type, name, definition, read_at)
             select c.workspace_id, c.portal_id, $4::smallint, $5::text, $6::text::jsonb, $7::timestamptz
             from connection c
             where c.workspace_id = $1 and c.portal_id = $2 and c.epoch = $3 and c.state = 'connected'
             for share
             on conflict (workspace_id, portal_id, object_type, name) do update set
               definition = excluded.definition, read_at = excluded.read_at
             where hubspot_property.read_at <= excluded.read_at
               and hubspot_property.definition is distinct from excluded.definition",
            read.workspace.as_uuid(),
            read.portal.get(),
            read.epoch.get(),
            type_number(read.object_type),
            read.name,
            definition,
            read.read_at
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The owners of a portal, by id.
    pub async fn owners(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<OwnerRow>, StoreError> {
        let rows = sqlx::query!(
            "select owner_id, user_id, email, first_name, last_name, archived from hubspot_owner
             where workspace_id = $1 and portal_id = $2 order by owner_id",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(OwnerRow {
                    id: HubSpotOwnerId::new(row.owner_id)
                        .map_err(|_| StoreError::Corrupt("owner id"))?,
                    user_id: row.user_id,
                    email: row.email,
                    first_name: row.first_name,
                    last_name: row.last_name,
                    archived: row.archived,
                })
            })
            .collect()
    }
}
