//! Tokens: encrypted at rest, refreshed once however many ask (C3).

use chrono::{DateTime, Utc};
use domain::{ConnectionState, Epoch, WorkspaceId};
use secrecy::SecretString;

use crate::{Store, StoreError, connections::state_of};

/// How a connection authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    /// OAuth 2.0; access tokens expire and are refreshed.
    OAuth,
    /// A service key, which does not expire by itself.
    Static,
}

impl AuthKind {
    /// The name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OAuth => "oauth",
            Self::Static => "static",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "oauth" => Ok(Self::OAuth),
            "static" => Ok(Self::Static),
            _ => Err(StoreError::Corrupt("kind of authentication")),
        }
    }
}

/// Tokens as HubSpot gave them.
#[derive(Debug)]
pub struct NewTokens {
    /// The access token.
    pub access: SecretString,
    /// The refresh token; none for service keys.
    pub refresh: Option<SecretString>,
    /// When the access token expires; never for service keys.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Tokens as they are stored.
#[derive(Debug)]
pub struct Tokens {
    /// Goes up with each refresh.
    pub version: i64,
    /// The access token.
    pub access: SecretString,
    /// The refresh token; none for service keys.
    pub refresh: Option<SecretString>,
    /// When the access token expires.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What came of asking for a refresh.
#[derive(Debug)]
pub enum RefreshOutcome<E> {
    /// These are good: somebody refreshed them, this caller or another.
    Fresh(Tokens),
    /// The connection is no longer in this epoch.
    Fenced,
    /// HubSpot did not refresh them; the stored ones are untouched.
    Failed(E),
}

/// After HubSpot gave a rotated refresh token, losing it would mean to connect again.
const STORE_ATTEMPTS: u32 = 5;

impl Store {
    /// The tokens of a connection in this epoch; `None` when it is fenced off or gone.
    ///
    /// # Errors
    /// When the database fails, or no configured key opens the tokens.
    pub async fn tokens(
        &self,
        workspace: WorkspaceId,
        epoch: Epoch,
    ) -> Result<Option<Tokens>, StoreError> {
        let row = sqlx::query!(
            "select t.version, t.access_token, t.refresh_token, t.expires_at
             from connection_token t join connection c using (workspace_id)
             where workspace_id = $1 and c.epoch = $2 and c.state = 'connected'",
            workspace.as_uuid(),
            epoch.get()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            self.open(
                workspace,
                row.version,
                &row.access_token,
                row.refresh_token.as_deref(),
                row.expires_at,
            )
        })
        .transpose()
    }

    /// The refresh token of a connection whose fence is up, to be revoked. `None` when there is
    /// nothing to revoke.
    ///
    /// # Errors
    /// When the database fails, or no configured key opens the token.
    pub async fn token_to_revoke(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<SecretString>, StoreError> {
        let row = sqlx::query!(
            "select t.refresh_token from connection_token t join connection c using (workspace_id)
             where workspace_id = $1 and c.state = 'disconnecting'",
            workspace.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.and_then(|row| row.refresh_token)
            .map(|sealed| self.keys.decrypt(workspace, "refresh", &sealed))
            .transpose()
    }

    /// Refreshes the tokens unless somebody did since `seen_version`. One caller at a time, across
    /// processes: the row is locked while `refresh` runs, and what it brings is stored before
    /// anybody uses it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refresh_tokens<F, Fut, E>(
        &self,
        workspace: WorkspaceId,
        epoch: Epoch,
        seen_version: i64,
        refresh: F,
    ) -> Result<RefreshOutcome<E>, StoreError>
    where
        F: FnOnce(SecretString) -> Fut,
        Fut: Future<Output = Result<NewTokens, E>>,
    {
        let mut tx = self.pool.begin().await?;
        let Some(row) = sqlx::query!(
            "select version, access_token, refresh_token, expires_at
             from connection_token where workspace_id = $1 for update",
            workspace.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?
        else {
            return Ok(RefreshOutcome::Fenced);
        };
        let connection = sqlx::query!(
            "select epoch, state from connection where workspace_id = $1",
            workspace.as_uuid()
        )
        .fetch_one(&mut *tx)
        .await?;
        if connection.epoch != epoch.get()
            || state_of(&connection.state)? != ConnectionState::Connected
        {
            return Ok(RefreshOutcome::Fenced);
        }
        let stored = self.open(
            workspace,
            row.version,
            &row.access_token,
            row.refresh_token.as_deref(),
            row.expires_at,
        )?;
        if stored.version != seen_version {
            return Ok(RefreshOutcome::Fresh(stored));
        }
        let Some(old) = stored.refresh else {
            return Ok(RefreshOutcome::Fresh(stored));
        };
        let new = match refresh(old.clone()).await {
            Ok(new) => new,
            Err(error) => return Ok(RefreshOutcome::Failed(error)),
        };
        let kept = new.refresh.as_ref().unwrap_or(&old);
        let access = self.keys.encrypt(workspace, "access", &new.access)?;
        let refresh = self.keys.encrypt(workspace, "refresh", kept)?;
        let written = async {
            sqlx::query!(
                "update connection_token
                 set version = version + 1, access_token = $2, refresh_token = $3, expires_at = $4
                 where workspace_id = $1 and version = $5",
                workspace.as_uuid(),
                &access,
                &refresh,
                new.expires_at,
                seen_version
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        }
        .await;
        if let Err(error) = written {
            self.store_again(
                workspace,
                seen_version,
                &access,
                &refresh,
                new.expires_at,
                error,
            )
            .await?;
        }
        let kept = kept.clone();
        Ok(RefreshOutcome::Fresh(Tokens {
            version: seen_version + 1,
            access: new.access,
            refresh: Some(kept),
            expires_at: new.expires_at,
        }))
    }

    /// The connection broke between HubSpot's answer and the commit: on a new one, a few times. By
    /// compare-and-set, as the first commit may have gone through after all.
    async fn store_again(
        &self,
        workspace: WorkspaceId,
        seen_version: i64,
        access: &[u8],
        refresh: &[u8],
        expires_at: Option<DateTime<Utc>>,
        first: sqlx::Error,
    ) -> Result<(), StoreError> {
        let mut last = first;
        for _ in 0..STORE_ATTEMPTS {
            let stored = sqlx::query!(
                "update connection_token
                 set version = version + 1, access_token = $2, refresh_token = $3, expires_at = $4
                 where workspace_id = $1 and version = $5",
                workspace.as_uuid(),
                access,
                refresh,
                expires_at,
                seen_version
            )
            .execute(&self.pool)
            .await;
            match stored {
                Ok(_) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    /// Encrypts all tokens under the first key of the ring: for rotating keys. Says how many.
    ///
    /// # Errors
    /// When the database fails, or no configured key opens a token.
    pub async fn reencrypt_tokens(&self) -> Result<u64, StoreError> {
        let rows = sqlx::query!("select workspace_id from connection_token order by 1")
            .fetch_all(&self.pool)
            .await?;
        let mut count = 0;
        for row in rows {
            let workspace = WorkspaceId::new(row.workspace_id);
            let mut tx = self.pool.begin().await?;
            let Some(row) = sqlx::query!(
                "select access_token, refresh_token from connection_token
                 where workspace_id = $1 for update",
                workspace.as_uuid()
            )
            .fetch_optional(&mut *tx)
            .await?
            else {
                continue;
            };
            let access = self.keys.decrypt(workspace, "access", &row.access_token)?;
            let access = self.keys.encrypt(workspace, "access", &access)?;
            let refresh = match row.refresh_token {
                None => None,
                Some(sealed) => {
                    let open = self.keys.decrypt(workspace, "refresh", &sealed)?;
                    Some(self.keys.encrypt(workspace, "refresh", &open)?)
                }
            };
            sqlx::query!(
                "update connection_token set access_token = $2, refresh_token = $3
                 where workspace_id = $1",
                workspace.as_uuid(),
                access,
                refresh
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            count += 1;
        }
        Ok(count)
    }

    fn open(
        &self,
        workspace: WorkspaceId,
        version: i64,
        access: &[u8],
        refresh: Option<&[u8]>,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<Tokens, StoreError> {
        Ok(Tokens {
            version,
            access: self.keys.decrypt(workspace, "access", access)?,
            refresh: refresh
                .map(|sealed| self.keys.decrypt(workspace, "refresh", sealed))
                .transpose()?,
            expires_at,
        })
    }
}
