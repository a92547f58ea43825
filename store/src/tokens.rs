//! Tokens: encrypted at rest, refreshed once however many ask (C3).

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    Epoch, WorkspaceId,
    tokens::{KEY_ASK_EVERY, REFRESH_LEASE},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{Store, StoreError};

/// How a connection authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum AuthKind {
    /// OAuth 2.0; access tokens expire and are refreshed.
    OAuth,
    /// A service key, which does not expire by itself.
    Static,
}

impl AuthKind {
    /// The name in the store.
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        text.parse()
            .map_err(|_| StoreError::Corrupt("kind of authentication"))
    }
}

/// Tokens as HubSpot gave them.
#[derive(Debug)]
pub struct NewTokens {
    pub access: SecretString,
    /// The refresh token; none for service keys.
    pub refresh: Option<SecretString>,
    /// How long the access token is good from now on; service keys do not expire.
    pub lifetime: Option<TimeDelta>,
}

/// Tokens as they are stored.
#[derive(Debug)]
pub struct Tokens {
    /// Goes up with each refresh.
    pub version: i64,
    pub access: SecretString,
    /// The refresh token; none for service keys.
    pub refresh: Option<SecretString>,
    /// How long the access token is good; none for service keys.
    pub life: Option<TokenLife>,
    /// Nobody asks HubSpot, with a service key, or its token endpoint before this has passed.
    pub not_before: Option<TimeDelta>,
    /// Whether HubSpot refused this service key when it was last asked.
    pub refused: bool,
}

/// How long an access token is good, by the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLife {
    /// What is left of it; negative once it is over.
    pub left: TimeDelta,
    /// All of it; none for tokens that an older version of the program stored.
    pub whole: Option<TimeDelta>,
}

/// The right to refresh a token, for [`REFRESH_LEASE`]. Nothing is locked meanwhile.
#[derive(Debug)]
pub struct RefreshLease {
    workspace: WorkspaceId,
    epoch: Epoch,
    version: i64,
    /// Tells this lease from a later one.
    until: DateTime<Utc>,
    /// What HubSpot is asked with.
    pub refresh: SecretString,
    /// How long ago a lease of this version was found to have ended without a result.
    pub doubtful_for: Option<TimeDelta>,
    /// How often in a row HubSpot did not refresh this version.
    pub failures: u32,
}

/// What came of asking for a lease.
#[derive(Debug)]
pub enum LeaseOutcome {
    /// The caller refreshes.
    Leased(RefreshLease),
    /// Somebody refreshed them already.
    Newer(Tokens),
    /// The connection is no longer in this epoch.
    Fenced,
    /// Another process refreshes them, for this long at most.
    Busy(TimeDelta),
    /// HubSpot's token endpoint is left alone for this long.
    NotBefore(TimeDelta),
    /// A service key, which cannot be renewed.
    NotRenewable,
}

/// What HubSpot gave for a refresh token.
#[derive(Debug)]
pub struct Refreshed {
    pub access: SecretString,
    /// The refresh token, where HubSpot gave another.
    pub refresh: Option<SecretString>,
    /// How long the access token was good when it was given.
    pub lifetime: TimeDelta,
    /// How long ago that was.
    pub age: TimeDelta,
}

/// What became of refreshed tokens.
#[derive(Debug)]
pub enum StoredRefresh {
    /// They are in the store.
    Stored(Tokens),
    /// Others are there, of a later refresh or connect; these were dropped.
    Superseded,
    /// The connection's tokens were erased meanwhile: these are to be revoked.
    Erased,
}

/// A service key that HubSpot refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedKey {
    /// How often in a row, asks of the same moment counted once.
    pub asked: u32,
    /// How long ago for the first time.
    pub since: TimeDelta,
}

#[derive(Debug)]
struct RawTokens {
    version: i64,
    access_token: Vec<u8>,
    refresh_token: Option<Vec<u8>>,
    left_ms: Option<i64>,
    whole_ms: Option<i64>,
    wait_ms: Option<i64>,
    refusals: i32,
}

pub(crate) fn seconds(span: TimeDelta) -> f64 {
    span.as_seconds_f64()
}

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
        sqlx::query_as!(
            RawTokens,
            "select t.version, t.access_token, t.refresh_token,
                    (extract(epoch from t.expires_at - now()) * 1000)::bigint as left_ms,
                    (extract(epoch from t.expires_at - t.issued_at) * 1000)::bigint as whole_ms,
                    (extract(epoch from t.retry_at - now()) * 1000)::bigint as wait_ms,
                    t.refusals
             from connection_token t join connection c using (workspace_id)
             where workspace_id = $1 and c.epoch = $2 and c.state = 'connected'",
            workspace.as_uuid(),
            epoch.get()
        )
        .fetch_optional(&self.control)
        .await?
        .map(|raw| self.open(workspace, raw))
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
        .fetch_optional(&self.control)
        .await?;
        row.and_then(|row| row.refresh_token)
            .map(|sealed| self.keys.decrypt(workspace, "refresh", &sealed))
            .transpose()
    }

    /// Asks for the right to refresh the tokens that the caller saw in `seen_version`: of all
    /// processes one gets it. It ends by itself, so that a process that dies holds up nobody.
    ///
    /// # Errors
    /// When the database fails, or no configured key opens the tokens.
    pub async fn lease_refresh(
        &self,
        workspace: WorkspaceId,
        epoch: Epoch,
        seen_version: i64,
    ) -> Result<LeaseOutcome, StoreError> {
        let leased = sqlx::query!(
            "update connection_token t
             set refreshing_until = now() + make_interval(secs => $4),
                 doubtful_since = case when t.refreshing_until is null then t.doubtful_since
                                       else coalesce(t.doubtful_since, now()) end
             from connection c
             where t.workspace_id = $1 and c.workspace_id = $1 and c.epoch = $2
               and c.state = 'connected' and t.version = $3 and t.refresh_token is not null
               and (t.refreshing_until is null or t.refreshing_until <= now())
               and (t.retry_at is null or t.retry_at <= now())
             returning t.refresh_token as \"refresh_token!\", t.refreshing_until as \"until!\",
                       (extract(epoch from now() - t.doubtful_since) * 1000)::bigint as doubtful_ms,
                       t.failures",
            workspace.as_uuid(),
            epoch.get(),
            seen_version,
            seconds(REFRESH_LEASE)
        )
        .fetch_optional(&self.control)
        .await?;
        if let Some(row) = leased {
            return Ok(LeaseOutcome::Leased(RefreshLease {
                workspace,
                epoch,
                version: seen_version,
                until: row.until,
                refresh: self
                    .keys
                    .decrypt(workspace, "refresh", &row.refresh_token)?,
                doubtful_for: row.doubtful_ms.map(TimeDelta::milliseconds),
                failures: u32::try_from(row.failures).unwrap_or(0),
            }));
        }
        let Some(tokens) = self.tokens(workspace, epoch).await? else {
            return Ok(LeaseOutcome::Fenced);
        };
        if tokens.version != seen_version {
            return Ok(LeaseOutcome::Newer(tokens));
        }
        if tokens.refresh.is_none() {
            return Ok(LeaseOutcome::NotRenewable);
        }
        if let Some(wait) = tokens.not_before {
            return Ok(LeaseOutcome::NotBefore(wait));
        }
        let busy = sqlx::query!(
            "select (extract(epoch from refreshing_until - now()) * 1000)::bigint as left_ms
             from connection_token where workspace_id = $1",
            workspace.as_uuid()
        )
        .fetch_optional(&self.control)
        .await?
        .and_then(|row| row.left_ms)
        .unwrap_or(0);
        Ok(LeaseOutcome::Busy(TimeDelta::milliseconds(busy.max(0))))
    }

    /// Stores what HubSpot gave, by compare-and-set on the version that was leased: also when the
    /// lease is over meanwhile, as long as nobody else stored anything; and behind the fence, as it
    /// is the newest refresh token that a disconnect has to revoke.
    ///
    /// # Errors
    /// When the database fails; then it is to be tried again, as a rotated refresh token that is not
    /// stored is lost.
    pub async fn store_refreshed(
        &self,
        lease: &RefreshLease,
        new: &Refreshed,
    ) -> Result<StoredRefresh, StoreError> {
        let workspace = lease.workspace;
        let kept = new.refresh.as_ref().unwrap_or(&lease.refresh);
        let access = self.keys.encrypt(workspace, "access", &new.access)?;
        let refresh = self.keys.encrypt(workspace, "refresh", kept)?;
        let stored = sqlx::query!(
            "update connection_token t
             set version = t.version + 1, access_token = $3, refresh_token = $4,
                 issued_at = now() - make_interval(secs => $5),
                 expires_at = now() - make_interval(secs => $5) + make_interval(secs => $6),
                 refreshing_until = null, doubtful_since = null, retry_at = null, failures = 0,
                 refused_since = null, refusals = 0
             from connection c
             where t.workspace_id = $1 and c.workspace_id = $1 and t.version = $2
               and (c.epoch = $7
                 or c.epoch = $7 + 1 and c.state in ('disconnecting', 'needs_reconnect'))
             returning t.version, (extract(epoch from t.expires_at - now()) * 1000)::bigint as \"left_ms!\"",
            workspace.as_uuid(),
            lease.version,
            &access,
            &refresh,
            seconds(new.age),
            seconds(new.lifetime),
            lease.epoch.get()
        )
        .fetch_optional(&self.control)
        .await?;
        if let Some(row) = stored {
            return Ok(StoredRefresh::Stored(Tokens {
                version: row.version,
                access: new.access.clone(),
                refresh: Some(kept.clone()),
                life: Some(TokenLife {
                    left: TimeDelta::milliseconds(row.left_ms),
                    whole: Some(new.lifetime),
                }),
                not_before: None,
                refused: false,
            }));
        }
        let left = sqlx::query!(
            "select version from connection_token where workspace_id = $1",
            workspace.as_uuid()
        )
        .fetch_optional(&self.control)
        .await?;
        Ok(match left.map(|row| row.version) {
            None => StoredRefresh::Erased,
            // An earlier attempt got through although its answer was lost.
            Some(version) if version == lease.version + 1 => {
                match self.stored_as(workspace, version, &new.access).await? {
                    Some(tokens) => StoredRefresh::Stored(tokens),
                    None => StoredRefresh::Superseded,
                }
            }
            Some(_) => StoredRefresh::Superseded,
        })
    }

    /// The tokens of this version, if the access token is this one.
    async fn stored_as(
        &self,
        workspace: WorkspaceId,
        version: i64,
        access: &SecretString,
    ) -> Result<Option<Tokens>, StoreError> {
        let tokens = sqlx::query_as!(
            RawTokens,
            "select version, access_token, refresh_token,
                    (extract(epoch from expires_at - now()) * 1000)::bigint as left_ms,
                    (extract(epoch from expires_at - issued_at) * 1000)::bigint as whole_ms,
                    (extract(epoch from retry_at - now()) * 1000)::bigint as wait_ms,
                    refusals
             from connection_token where workspace_id = $1 and version = $2",
            workspace.as_uuid(),
            version
        )
        .fetch_optional(&self.control)
        .await?
        .map(|raw| self.open(workspace, raw))
        .transpose()?;
        Ok(tokens.filter(|t| t.access.expose_secret() == access.expose_secret()))
    }

    /// Gives a lease back without new tokens; nobody asks HubSpot again before `wait` has passed.
    /// `false` when the lease was not this caller's any more: what HubSpot said then says nothing of
    /// what is stored now.
    pub async fn postpone_refresh(
        &self,
        lease: &RefreshLease,
        wait: TimeDelta,
    ) -> Result<bool, StoreError> {
        let postponed = sqlx::query!(
            "update connection_token
             set refreshing_until = null, retry_at = now() + make_interval(secs => $4),
                 failures = failures + 1
             where workspace_id = $1 and version = $2 and refreshing_until = $3",
            lease.workspace.as_uuid(),
            lease.version,
            lease.until,
            seconds(wait)
        )
        .execute(&self.control)
        .await?;
        Ok(postponed.rows_affected() == 1)
    }

    /// Notes that HubSpot refused a service key. Many requests that are refused at the same time
    /// count as one. `None` when the connection is not in this epoch, or has another key by now.
    pub async fn note_key_refused(
        &self,
        workspace: WorkspaceId,
        epoch: Epoch,
        version: i64,
    ) -> Result<Option<RefusedKey>, StoreError> {
        let row = sqlx::query!(
            "update connection_token t
             set refused_since = coalesce(t.refused_since, now()),
                 refusals = t.refusals + (t.retry_at is null or t.retry_at <= now())::int,
                 retry_at = case when t.retry_at > now() then t.retry_at
                                 else now() + make_interval(secs => $4) end
             from connection c
             where t.workspace_id = $1 and c.workspace_id = $1 and c.epoch = $2
               and c.state = 'connected' and t.version = $3
             returning t.refusals,
                       (extract(epoch from now() - t.refused_since) * 1000)::bigint as \"since_ms!\"",
            workspace.as_uuid(),
            epoch.get(),
            version,
            seconds(KEY_ASK_EVERY)
        )
        .fetch_optional(&self.control)
        .await?;
        Ok(row.map(|row| RefusedKey {
            asked: u32::try_from(row.refusals).unwrap_or(0),
            since: TimeDelta::milliseconds(row.since_ms),
        }))
    }

    /// Notes that HubSpot took a service key that it had refused: the counting starts over.
    pub async fn note_key_accepted(
        &self,
        workspace: WorkspaceId,
        version: i64,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update connection_token set refused_since = null, refusals = 0, retry_at = null
             where workspace_id = $1 and version = $2 and refusals > 0",
            workspace.as_uuid(),
            version
        )
        .execute(&self.control)
        .await?;
        Ok(())
    }

    fn open(&self, workspace: WorkspaceId, raw: RawTokens) -> Result<Tokens, StoreError> {
        Ok(Tokens {
            version: raw.version,
            access: self.keys.decrypt(workspace, "access", &raw.access_token)?,
            refresh: raw
                .refresh_token
                .map(|sealed| self.keys.decrypt(workspace, "refresh", &sealed))
                .transpose()?,
            life: raw.left_ms.map(|left| TokenLife {
                left: TimeDelta::milliseconds(left),
                whole: raw.whole_ms.map(TimeDelta::milliseconds),
            }),
            not_before: raw
                .wait_ms
                .filter(|wait| *wait > 0)
                .map(TimeDelta::milliseconds),
            refused: raw.refusals > 0,
        })
    }
}
