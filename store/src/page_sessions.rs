//! Sessions of the settings pages, and what was done on them.

use chrono::{DateTime, Utc};
use domain::{
    AdminId, WorkspaceId,
    entry::{PageEvent, PageRole},
    settings::SettingsRevision,
};
use uuid::Uuid;

use crate::{
    Store, StoreError,
    cursors::{count, signed},
};

/// Who looks at the pages of which workspace.
#[derive(Clone, PartialEq, Eq)]
pub struct PageVisitor {
    pub workspace: WorkspaceId,
    pub user: AdminId,
    pub role: PageRole,
    /// What people call the person.
    pub user_name: Option<String>,
    /// What people call the workspace.
    pub workspace_name: Option<String>,
}

impl std::fmt::Debug for PageVisitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageVisitor")
            .field("workspace", &self.workspace)
            .field("user", &self.user)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// A session that begins.
#[derive(Debug)]
pub struct NewPageSession {
    /// 122 random bits.
    pub id: Uuid,
    /// SHA-256 of what names the token that it begins with.
    pub token_hash: [u8; 32],
    pub visitor: PageVisitor,
    /// The end of its life; not before the token's own end.
    pub expires_at: DateTime<Utc>,
}

/// Something that somebody did.
#[derive(Clone, PartialEq, Eq)]
pub struct PageEventRow {
    pub at: DateTime<Utc>,
    pub user: AdminId,
    /// What people call them.
    pub user_name: Option<String>,
    pub event: PageEvent,
    /// Of settings that were saved: which they are.
    pub revision: Option<SettingsRevision>,
}

impl std::fmt::Debug for PageEventRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageEventRow")
            .field("at", &self.at)
            .field("user", &self.user)
            .field("event", &self.event)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// What people call a portal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortalName {
    /// Its own domain, such as `example.com`.
    pub hub_domain: Option<String>,
    /// Where its pages are, such as `app-eu1.hubspot.com`.
    pub ui_domain: Option<String>,
}

/// A portal as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalShown {
    pub name: PortalName,
    /// When it was connected last.
    pub connected_at: DateTime<Utc>,
    /// When the connection last changed its state.
    pub changed_at: DateTime<Utc>,
}

impl Store {
    /// Begins a session, and sweeps away those that ended. `false`: the token began one before, and
    /// nothing was written.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_page_session(
        &self,
        new: &NewPageSession,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        sqlx::query!("delete from page_session where expires_at < $1", now)
            .execute(&self.pool)
            .await?;
        let visitor = &new.visitor;
        let written = sqlx::query!(
            "insert into page_session
               (id, token_hash, workspace_id, admin_id, role, user_name, workspace_name, began_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             on conflict (token_hash) do nothing",
            new.id,
            &new.token_hash[..],
            visitor.workspace.as_uuid(),
            visitor.user.as_uuid(),
            visitor.role.as_str(),
            visitor.user_name,
            visitor.workspace_name,
            now,
            new.expires_at
        )
        .execute(&self.pool)
        .await?;
        Ok(written.rows_affected() == 1)
    }

    /// Who has this session; none once it ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn page_visitor(
        &self,
        session: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Option<PageVisitor>, StoreError> {
        let row = sqlx::query!(
            "select workspace_id, admin_id, role, user_name, workspace_name
             from page_session where id = $1 and expires_at > $2",
            session,
            now
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(PageVisitor {
                workspace: WorkspaceId::new(row.workspace_id),
                user: AdminId::new(row.admin_id),
                role: row
                    .role
                    .parse()
                    .map_err(|_| StoreError::Corrupt("role of a session"))?,
                user_name: row.user_name,
                workspace_name: row.workspace_name,
            })
        })
        .transpose()
    }

    /// Notes what somebody did.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_page_event(
        &self,
        visitor: &PageVisitor,
        event: PageEvent,
        revision: Option<SettingsRevision>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into page_event (workspace_id, id, at, admin_id, user_name, kind, revision)
             values ($1, $2, $3, $4, $5, $6, $7)",
            visitor.workspace.as_uuid(),
            Uuid::now_v7(),
            now,
            visitor.user.as_uuid(),
            visitor.user_name,
            event.as_str(),
            revision.map(|r| signed(r.get()))
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What was done last, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn page_events(
        &self,
        workspace: WorkspaceId,
        limit: u32,
    ) -> Result<Vec<PageEventRow>, StoreError> {
        let rows = sqlx::query!(
            "select at, admin_id, user_name, kind, revision from page_event
             where workspace_id = $1 order by id desc limit $2",
            workspace.as_uuid(),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(PageEventRow {
                    at: row.at,
                    user: AdminId::new(row.admin_id),
                    user_name: row.user_name,
                    event: row
                        .kind
                        .parse()
                        .map_err(|_| StoreError::Corrupt("kind of an event"))?,
                    revision: row.revision.map(|r| SettingsRevision::new(count(r))),
                })
            })
            .collect()
    }

    /// What kinds of things were ever done; one that is not known (any more) is left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn page_events_among(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Vec<PageEvent>, StoreError> {
        let kinds: Vec<&str> = PageEvent::ALL.iter().map(PageEvent::as_str).collect();
        let done = sqlx::query_scalar!(
            "select k.kind as \"kind!\" from unnest($2::text[]) as k (kind)
             where exists (select 1 from page_event e where e.workspace_id = $1 and e.kind = k.kind offset 0)",
            workspace.as_uuid(),
            &kinds as &[&str]
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(done.iter().filter_map(|kind| kind.parse().ok()).collect())
    }

    /// What people call whoever saved this revision on the pages; none where the API did, or no name
    /// is known.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn who_saved(
        &self,
        workspace: WorkspaceId,
        revision: SettingsRevision,
    ) -> Result<Option<String>, StoreError> {
        let name = sqlx::query_scalar!(
            "select user_name from page_event where workspace_id = $1 and revision = $2 limit 1",
            workspace.as_uuid(),
            signed(revision.get())
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(name.flatten())
    }

    /// Notes what people call a portal, as far as HubSpot said so: what it did not say stays.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_portal_name(
        &self,
        workspace: WorkspaceId,
        portal: domain::PortalId,
        name: &PortalName,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into portal_name as n (workspace_id, portal_id, hub_domain, ui_domain)
             select id, $2, $3, $4 from workspace where id = $1
             on conflict (workspace_id, portal_id) do update
             set hub_domain = coalesce(excluded.hub_domain, n.hub_domain),
                 ui_domain = coalesce(excluded.ui_domain, n.ui_domain)",
            workspace.as_uuid(),
            portal.get(),
            name.hub_domain,
            name.ui_domain
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The portal of a workspace's connection, as people know it; none where it never had one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn portal_shown(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<PortalShown>, StoreError> {
        let row = sqlx::query!(
            "select c.connected_at, c.changed_at, n.hub_domain as \"hub_domain?\", n.ui_domain as \"ui_domain?\"
             from connection c left join portal_name n
               on n.workspace_id = c.workspace_id and n.portal_id = c.portal_id
             where c.workspace_id = $1",
            workspace.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| PortalShown {
            name: PortalName {
                hub_domain: row.hub_domain,
                ui_domain: row.ui_domain,
            },
            connected_at: row.connected_at,
            changed_at: row.changed_at,
        }))
    }
}
