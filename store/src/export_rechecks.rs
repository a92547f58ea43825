//! New contacts whose companies are looked at once more (E3).

use std::time::Duration;

use domain::{HubSpotObjectId, PortalId, WorkspaceId, app::PersonId};

use crate::{Store, StoreError, Swept, mirror::object_id};

/// A contact to look at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRecheck {
    /// In whose export it was made.
    pub person: PersonId,
    /// The contact.
    pub contact: HubSpotObjectId,
    /// The company that it was made with.
    pub company: HubSpotObjectId,
    /// Whether as the primary one.
    pub was_primary: bool,
    /// How often it was looked at in vain.
    pub attempts: u32,
    /// Whether somebody left an entry of the journal about the person open.
    pub left_open: bool,
}

impl Store {
    /// Contacts that are due, the longest due first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due_rechecks(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        limit: u32,
    ) -> Result<Vec<DueRecheck>, StoreError> {
        let rows = sqlx::query!(
            "select r.person_id, r.contact_id, r.company_id, r.was_primary, r.attempts,
               exists (select 1 from export_journal j
                 where j.workspace_id = $1 and j.person_id = r.person_id and j.state = 'open'
                 offset 0) as \"left_open!\"
             from (select person_id, contact_id, company_id, was_primary, attempts, due_at from export_recheck
               where workspace_id = $1 and portal_id = $2 and due_at <= clock_timestamp()
               order by due_at limit $3) r
             order by r.due_at",
            workspace.as_uuid(),
            portal.get(),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(DueRecheck {
                    person: row
                        .person_id
                        .parse()
                        .map_err(|_| StoreError::Corrupt("recheck"))?,
                    contact: object_id(row.contact_id)?,
                    company: object_id(row.company_id)?,
                    was_primary: row.was_primary,
                    attempts: u32::try_from(row.attempts).unwrap_or(0),
                    left_open: row.left_open,
                })
            })
            .collect()
    }

    /// Forgets contacts that were looked at.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_rechecks(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        contacts: &[HubSpotObjectId],
    ) -> Result<(), StoreError> {
        let ids: Vec<i64> = contacts.iter().map(|id| id.get()).collect();
        sqlx::query!(
            "delete from export_recheck where workspace_id = $1 and portal_id = $2 and contact_id = any($3)",
            workspace.as_uuid(),
            portal.get(),
            &ids
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Looks at contacts again later.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_off_rechecks(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        contacts: &[HubSpotObjectId],
        wait: Duration,
    ) -> Result<(), StoreError> {
        let ids: Vec<i64> = contacts.iter().map(|id| id.get()).collect();
        sqlx::query!(
            "update export_recheck set attempts = attempts + 1,
               due_at = clock_timestamp() + make_interval(secs => $4)
             where workspace_id = $1 and portal_id = $2 and contact_id = any($3)",
            workspace.as_uuid(),
            portal.get(),
            &ids,
            wait.as_secs_f64()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Connected workspaces with contacts that are due, in the order of their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rechecks_due(
        &self,
        after: Option<WorkspaceId>,
        limit: u32,
    ) -> Result<Vec<Swept<PortalId>>, StoreError> {
        let rows = sqlx::query!(
            "select d.workspace_id as \"workspace_id!\", c.portal_id as \"portal_id!\" from (
               select distinct workspace_id from export_recheck
               where due_at <= clock_timestamp() and ($1::uuid is null or workspace_id > $1)
               order by workspace_id limit $2) d
             cross join lateral (select c.portal_id from connection c
               where c.workspace_id = d.workspace_id and c.state = 'connected' limit 1) c
             order by d.workspace_id",
            after.map(|a| a.as_uuid()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Swept::with_portal(row.workspace_id, row.portal_id))
            .collect())
    }
}
