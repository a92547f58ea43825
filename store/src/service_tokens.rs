//! Service tokens of workspaces: kept as hashes, revocable (X8).

use chrono::{DateTime, TimeDelta, Utc};
use domain::{WorkspaceId, api::TokenId};

use crate::{Store, StoreError};

/// The use of a token is written down once in so long, not at each call.
const USE_NOTED_EVERY: TimeDelta = TimeDelta::minutes(10);

/// A token that was just made. The token itself is never stored.
#[derive(Debug)]
pub struct NewServiceToken<'a> {
    pub id: TokenId,
    /// The only workspace that it opens.
    pub workspace: WorkspaceId,
    /// What people call it.
    pub name: &'a str,
    /// SHA-256 of the token, which has 256 random bits: a salt would add nothing.
    pub hash: [u8; 32],
}

/// A token as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTokenRow {
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// The last use, to about ten minutes.
    pub last_used_at: Option<DateTime<Utc>>,
    /// From when on it opens nothing.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Stores a token, and makes its workspace known.
    pub async fn create_service_token(
        &self,
        new: &NewServiceToken<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "insert into workspace (id, created_at) values ($1, $2) on conflict do nothing",
            new.workspace.as_uuid(),
            now
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "insert into service_token (id, workspace_id, name, token_hash, created_at)
             values ($1, $2, $3, $4, $5)",
            new.id.as_uuid(),
            new.workspace.as_uuid(),
            new.name,
            &new.hash[..],
            now
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The workspace that a token opens; none for a token that is unknown or revoked.
    pub async fn workspace_of_token(
        &self,
        hash: [u8; 32],
        now: DateTime<Utc>,
    ) -> Result<Option<WorkspaceId>, StoreError> {
        let row = sqlx::query!(
            "select id, workspace_id, last_used_at from service_token
             where token_hash = $1 and revoked_at is null",
            &hash[..]
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        if row.last_used_at.is_none_or(|t| t < now - USE_NOTED_EVERY) {
            sqlx::query!(
                "update service_token set last_used_at = $2 where id = $1",
                row.id,
                now
            )
            .execute(&self.pool)
            .await?;
        }
        Ok(Some(WorkspaceId::new(row.workspace_id)))
    }

    /// The tokens of a workspace, revoked ones too, oldest first.
    pub async fn service_tokens(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Vec<ServiceTokenRow>, StoreError> {
        let rows = sqlx::query!(
            "select id, name, created_at, last_used_at, revoked_at from service_token
             where workspace_id = $1 order by created_at, id",
            workspace.as_uuid()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| ServiceTokenRow {
                id: TokenId::new(row.id),
                name: row.name,
                created_at: row.created_at,
                last_used_at: row.last_used_at,
                revoked_at: row.revoked_at,
            })
            .collect())
    }

    /// Revokes a token from the next call on. `false` when the workspace has no such token; a
    /// revoked one stays revoked since then.
    pub async fn revoke_service_token(
        &self,
        workspace: WorkspaceId,
        token: TokenId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query!(
            "update service_token set revoked_at = coalesce(revoked_at, $3)
             where workspace_id = $1 and id = $2 returning 1 as one",
            workspace.as_uuid(),
            token.as_uuid(),
            now
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.is_some())
    }
}
