//! Links that begin to connect, and the `state` of an OAuth consent (C1).
//!
//! A link may be opened many times, by other people of the company too: what uses it up is the
//! consent that comes back. Each opening makes a `state` of its own, single use and bound to the
//! browser.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{AdminId, WorkspaceId};
use uuid::Uuid;

use crate::{Store, StoreError};

/// How long what is over can still be told from what never was.
const REMEMBERED: TimeDelta = TimeDelta::days(1);

/// Whom a consent is for, by the names that the main app gave: what the page shows that asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectNames {
    pub workspace: Option<String>,
    /// The person who asked.
    pub admin: Option<String>,
}

/// A link that begins to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectLink {
    /// 122 random bits; whoever knows them holds the link.
    pub id: Uuid,
    /// What is to be connected.
    pub workspace: WorkspaceId,
    /// The person who began.
    pub admin: AdminId,
    /// What people call the two.
    pub names: ConnectNames,
    /// The end of its life.
    pub expires_at: DateTime<Utc>,
}

/// A consent that begins. Only hashes are stored.
#[derive(Debug)]
pub struct NewOAuthState {
    /// SHA-256 of the nonce within `state`.
    pub nonce_hash: [u8; 32],
    /// The link that was opened.
    pub link: Uuid,
    /// Who connects what.
    pub workspace: WorkspaceId,
    /// The person who began.
    pub admin: AdminId,
    /// SHA-256 of the random value in the browser's cookie.
    pub browser_hash: [u8; 32],
    /// The end of its life.
    pub expires_at: DateTime<Utc>,
}

/// What came back from the consent page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CameBack {
    /// A consent, which uses up the link.
    Approved,
    /// A refusal. The link stays good: somebody with the right to approve may open it next.
    Refused,
}

/// A consent that came back.
#[derive(Debug, PartialEq, Eq)]
pub struct ConsumedState {
    /// The link, if there was one.
    pub link: Option<Uuid>,
    /// The workspace that it was begun for.
    pub workspace: WorkspaceId,
    /// The person who began.
    pub admin: AdminId,
    /// What people call the two.
    pub names: ConnectNames,
    /// To be compared with the cookie.
    pub browser_hash: Vec<u8>,
}

/// Why a link or a `state` is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateRefused {
    /// Never given out, or swept away long after its end.
    Unknown,
    /// Came back before, or another consent of the same link did.
    Used,
    /// Came back too late.
    Expired,
}

impl Store {
    /// Writes down a link, and sweeps away those that ended a day ago.
    pub async fn create_connect_link(
        &self,
        link: &ConnectLink,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from connect_link where expires_at < $1",
            now - REMEMBERED
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "insert into connect_link (id, workspace_id, admin_id, workspace_name, admin_name, expires_at)
             values ($1, $2, $3, $4, $5, $6)",
            link.id,
            link.workspace.as_uuid(),
            link.admin.as_uuid(),
            link.names.workspace,
            link.names.admin,
            link.expires_at
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A link that is still good. Looking uses nothing up.
    ///
    /// # Errors
    /// The outer one when the database fails, the inner one when the link is refused.
    pub async fn connect_link(
        &self,
        id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Result<ConnectLink, StateRefused>, StoreError> {
        let row = sqlx::query!(
            "select workspace_id, admin_id, workspace_name, admin_name, expires_at, used_at
             from connect_link where id = $1",
            id
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(match row {
            None => Err(StateRefused::Unknown),
            Some(row) if row.used_at.is_some() => Err(StateRefused::Used),
            Some(row) if row.expires_at <= now => Err(StateRefused::Expired),
            Some(row) => Ok(ConnectLink {
                id,
                workspace: WorkspaceId::new(row.workspace_id),
                admin: AdminId::new(row.admin_id),
                names: ConnectNames {
                    workspace: row.workspace_name,
                    admin: row.admin_name,
                },
                expires_at: row.expires_at,
            }),
        })
    }

    /// A consent led to nothing, through no fault of the person's: the link is good again.
    pub async fn release_connect_link(&self, id: Uuid) -> Result<(), StoreError> {
        sqlx::query!("update connect_link set used_at = null where id = $1", id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Writes down a consent that begins, and sweeps away those that ended a day ago.
    pub async fn create_oauth_state(
        &self,
        state: &NewOAuthState,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from oauth_state where expires_at < $1",
            now - REMEMBERED
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "insert into oauth_state (nonce_hash, workspace_id, admin_id, browser_hash, expires_at, link_id)
             values ($1, $2, $3, $4, $5, $6)",
            &state.nonce_hash[..],
            state.workspace.as_uuid(),
            state.admin.as_uuid(),
            &state.browser_hash[..],
            state.expires_at,
            state.link
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Uses up a state and, when somebody approved, its link. Of many callers with one nonce, and of
    /// many consents of one link, exactly one succeeds.
    ///
    /// # Errors
    /// The outer one when the database fails, the inner one when the state is refused.
    pub async fn consume_oauth_state(
        &self,
        nonce_hash: [u8; 32],
        came_back: CameBack,
        now: DateTime<Utc>,
    ) -> Result<Result<ConsumedState, StateRefused>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let used = sqlx::query!(
            "update oauth_state set used_at = $2
             where nonce_hash = $1 and used_at is null and expires_at > $2
             returning workspace_id, admin_id, browser_hash, link_id",
            &nonce_hash[..],
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(state) = used else {
            let known = sqlx::query!(
                "select used_at from oauth_state where nonce_hash = $1",
                &nonce_hash[..]
            )
            .fetch_optional(&mut *tx)
            .await?;
            return Ok(Err(match known {
                None => StateRefused::Unknown,
                Some(row) if row.used_at.is_some() => StateRefused::Used,
                Some(_) => StateRefused::Expired,
            }));
        };
        let mut names = ConnectNames::default();
        if let (Some(link), CameBack::Approved) = (state.link_id, came_back) {
            let used = sqlx::query!(
                "update connect_link set used_at = $2 where id = $1 and used_at is null
                 returning workspace_name, admin_name",
                link,
                now
            )
            .fetch_optional(&mut *tx)
            .await?;
            match used {
                Some(row) => {
                    names = ConnectNames {
                        workspace: row.workspace_name,
                        admin: row.admin_name,
                    };
                }
                None => return Ok(Err(StateRefused::Used)),
            }
        }
        tx.commit().await?;
        Ok(Ok(ConsumedState {
            link: state.link_id,
            workspace: WorkspaceId::new(state.workspace_id),
            admin: AdminId::new(state.admin_id),
            names,
            browser_hash: state.browser_hash,
        }))
    }
}
