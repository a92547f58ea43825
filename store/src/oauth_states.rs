//! The `state` of an OAuth consent: single use, bound to workspace, admin and browser (C1).

use chrono::{DateTime, Utc};
use domain::{AdminId, WorkspaceId};

use crate::{Store, StoreError};

/// A consent that begins. Only hashes are stored.
#[derive(Debug)]
pub struct NewOAuthState {
    /// SHA-256 of the nonce within `state`.
    pub nonce_hash: [u8; 32],
    /// Who connects what.
    pub workspace: WorkspaceId,
    /// The person who began.
    pub admin: AdminId,
    /// SHA-256 of the random value in the browser's cookie.
    pub browser_hash: [u8; 32],
    /// The end of its life.
    pub expires_at: DateTime<Utc>,
}

/// A consent that came back.
#[derive(Debug, PartialEq, Eq)]
pub struct ConsumedState {
    /// The workspace that it was begun for.
    pub workspace: WorkspaceId,
    /// The person who began.
    pub admin: AdminId,
    /// To be compared with the cookie.
    pub browser_hash: Vec<u8>,
}

/// Why a `state` is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateRefused {
    /// Never given out, or swept away long after its end.
    Unknown,
    /// Came back before.
    Used,
    /// Came back too late.
    Expired,
}

impl Store {
    /// Writes down a consent that begins, and sweeps away those that ended a day ago.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_oauth_state(
        &self,
        state: &NewOAuthState,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from oauth_state where expires_at < $1",
            now - chrono::TimeDelta::days(1)
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "insert into oauth_state (nonce_hash, workspace_id, admin_id, browser_hash, expires_at)
             values ($1, $2, $3, $4, $5)",
            &state.nonce_hash[..],
            state.workspace.as_uuid(),
            state.admin.as_uuid(),
            &state.browser_hash[..],
            state.expires_at
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Uses up a consent. Of many callers with one nonce exactly one succeeds.
    ///
    /// # Errors
    /// The outer one when the database fails, the inner one when the state is refused.
    pub async fn consume_oauth_state(
        &self,
        nonce_hash: [u8; 32],
        now: DateTime<Utc>,
    ) -> Result<Result<ConsumedState, StateRefused>, StoreError> {
        let used = sqlx::query!(
            "update oauth_state set used_at = $2
             where nonce_hash = $1 and used_at is null and expires_at > $2
             returning workspace_id, admin_id, browser_hash",
            &nonce_hash[..],
            now
        )
        .fetch_optional(&self.pool)
        .await?;
        if let Some(row) = used {
            return Ok(Ok(ConsumedState {
                workspace: WorkspaceId::new(row.workspace_id),
                admin: AdminId::new(row.admin_id),
                browser_hash: row.browser_hash,
            }));
        }
        let known = sqlx::query!(
            "select used_at from oauth_state where nonce_hash = $1",
            &nonce_hash[..]
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(Err(match known {
            None => StateRefused::Unknown,
            Some(row) if row.used_at.is_some() => StateRefused::Used,
            Some(_) => StateRefused::Expired,
        }))
    }
}
