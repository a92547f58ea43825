//! Owners, property definitions and pipelines: small, and always read whole.

use chrono::{DateTime, Utc};
use domain::{HubSpotOwnerId, ObjectType, PortalId, WorkspaceId};

use crate::{
    CommitPage, PageOutcome, Store, StoreError,
    mirror::{move_cursor, put_in_quarantine, type_number},
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
    /// Of which type.
    pub object_type: ObjectType,
    /// Its name.
    pub name: String,
    /// The definition, as the JSON object that HubSpot sent.
    pub definition: String,
}

/// A pipeline that was read, with its stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineRow {
    /// Its id.
    pub id: String,
    /// The definition, as the JSON object that HubSpot sent.
    pub definition: String,
}

impl Store {
    /// Commits a page of owners with its cursor.
    ///
    /// # Errors
    /// When the database fails; nothing is written then.
    pub async fn commit_owners(
        &self,
        page: &CommitPage,
        owners: &[OwnerRow],
        now: DateTime<Utc>,
    ) -> Result<PageOutcome, StoreError> {
        let mut tx = self.pool.begin().await?;
        if let Some(refused) = move_cursor(&mut tx, page, owners.len() as u64).await? {
            return Ok(refused);
        }
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
             where excluded.read_at >= hubspot_owner.read_at",
            page.workspace.as_uuid(),
            page.portal.get(),
            page.read_at,
            &ids,
            &users as &[Option<i64>],
            &emails as &[Option<&str>],
            &firsts as &[Option<&str>],
            &lasts as &[Option<&str>],
            &archived
        )
        .execute(&mut *tx)
        .await?;
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
        Ok(committed(page))
    }

    /// Commits the property definitions of one type with the cursor. What is not among them is gone.
    ///
    /// # Errors
    /// When the database fails; nothing is written then.
    pub async fn commit_properties(
        &self,
        page: &CommitPage,
        object_type: ObjectType,
        properties: &[PropertyRow],
        now: DateTime<Utc>,
    ) -> Result<PageOutcome, StoreError> {
        let mut tx = self.pool.begin().await?;
        if let Some(refused) = move_cursor(&mut tx, page, properties.len() as u64).await? {
            return Ok(refused);
        }
        let names: Vec<&str> = properties.iter().map(|p| p.name.as_str()).collect();
        let definitions: Vec<&str> = properties.iter().map(|p| p.definition.as_str()).collect();
        sqlx::query!(
            "delete from hubspot_property
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and name <> all($4)",
            page.workspace.as_uuid(),
            page.portal.get(),
            type_number(object_type),
            &names as &[&str]
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "insert into hubspot_property (workspace_id, portal_id, object_type, name, definition, read_at)
             select distinct on (name) $1, $2::bigint, $3::smallint, name, definition::jsonb, $4::timestamptz
             from unnest($5::text[], $6::text[]) as t (name, definition)
             on conflict (workspace_id, portal_id, object_type, name) do update set
               definition = excluded.definition, read_at = excluded.read_at",
            page.workspace.as_uuid(),
            page.portal.get(),
            type_number(object_type),
            page.read_at,
            &names as &[&str],
            &definitions as &[&str]
        )
        .execute(&mut *tx)
        .await?;
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
        Ok(committed(page))
    }

    /// Commits all pipelines with the cursor. What is not among them is gone.
    ///
    /// # Errors
    /// When the database fails; nothing is written then.
    pub async fn commit_pipelines(
        &self,
        page: &CommitPage,
        pipelines: &[PipelineRow],
        now: DateTime<Utc>,
    ) -> Result<PageOutcome, StoreError> {
        let mut tx = self.pool.begin().await?;
        if let Some(refused) = move_cursor(&mut tx, page, pipelines.len() as u64).await? {
            return Ok(refused);
        }
        let ids: Vec<&str> = pipelines.iter().map(|p| p.id.as_str()).collect();
        let definitions: Vec<&str> = pipelines.iter().map(|p| p.definition.as_str()).collect();
        sqlx::query!(
            "delete from hubspot_pipeline
             where workspace_id = $1 and portal_id = $2 and pipeline_id <> all($3)",
            page.workspace.as_uuid(),
            page.portal.get(),
            &ids as &[&str]
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "insert into hubspot_pipeline (workspace_id, portal_id, pipeline_id, definition, read_at)
             select distinct on (id) $1, $2::bigint, id, definition::jsonb, $3::timestamptz
             from unnest($4::text[], $5::text[]) as t (id, definition)
             on conflict (workspace_id, portal_id, pipeline_id) do update set
               definition = excluded.definition, read_at = excluded.read_at",
            page.workspace.as_uuid(),
            page.portal.get(),
            page.read_at,
            &ids as &[&str],
            &definitions as &[&str]
        )
        .execute(&mut *tx)
        .await?;
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
        Ok(committed(page))
    }

    /// The owners of a portal, by id.
    ///
    /// # Errors
    /// When the database fails.
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

pub(crate) const fn committed(page: &CommitPage) -> PageOutcome {
    PageOutcome::Committed {
        version: page.expected_version + 1,
        refused: 0,
    }
}
