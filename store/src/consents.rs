//! Consents that came back from HubSpot and wait to be confirmed (C1). Until then their tokens serve
//! nothing: they lie here, encrypted, for ten minutes at most.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{AdminId, ConsentId, PortalId, SyncRunId, WorkspaceId};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    Store, StoreError,
    connections::{NewConnection, RefusedConnect, portal_of},
    oauth_states::ConnectNames,
    tokens::{AuthKind, NewTokens, seconds},
};

/// How long what was decided can still be told to who asks again.
const REMEMBERED: TimeDelta = TimeDelta::days(1);
/// What the tokens are bound to while they wait: a row that is moved by hand does not open.
const PENDING_ACCESS: &str = "pending access";
const PENDING_REFRESH: &str = "pending refresh";

/// A consent that came back.
#[derive(Debug)]
pub struct NewConsent {
    pub id: ConsentId,
    /// What is to be connected.
    pub workspace: WorkspaceId,
    /// To this portal.
    pub portal: PortalId,
    /// The portal's own domain, where HubSpot names it.
    pub hub_domain: Option<String>,
    /// Where its pages are, such as `app-eu1.hubspot.com`.
    pub ui_domain: Option<String>,
    /// The person who began.
    pub admin: AdminId,
    /// What people call workspace and person.
    pub names: ConnectNames,
    /// What was granted.
    pub scopes: Vec<String>,
    pub tokens: NewTokens,
    /// From then on it cannot be confirmed.
    pub expires_at: DateTime<Utc>,
}

/// How far a consent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentState {
    /// Waits to be confirmed.
    Waiting,
    /// Became a connection.
    Confirmed,
    /// Somebody said no.
    Refused,
    /// Nobody said yes in time.
    Expired,
}

/// A consent as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentRow {
    pub id: ConsentId,
    /// What is to be connected.
    pub workspace: WorkspaceId,
    /// To this portal.
    pub portal: PortalId,
    /// The portal's own domain, where HubSpot names it.
    pub hub_domain: Option<String>,
    /// Where its pages are.
    pub ui_domain: Option<String>,
    /// The person who began.
    pub admin: AdminId,
    /// What people call workspace and person.
    pub names: ConnectNames,
    /// What was granted.
    pub scopes: Vec<String>,
    /// How far it is.
    pub state: ConsentState,
    /// When it came back.
    pub created_at: DateTime<Utc>,
    /// Until when it can be confirmed.
    pub expires_at: DateTime<Utc>,
}

/// What came of confirming. Saying it twice is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// This call connected the workspace.
    Now(PortalId),
    /// An earlier one did.
    Before(PortalId),
    /// Refused before; nothing was changed.
    Refused,
    /// Too late; nothing was changed.
    Expired,
    /// The workspace cannot be connected; the consent has ended as refused.
    NotConnected(RefusedConnect),
}

/// A consent that ended without becoming a connection, and whose tokens are still there.
#[derive(Debug)]
pub struct EndedConsent {
    pub id: ConsentId,
    /// Of this workspace.
    pub workspace: WorkspaceId,
    /// The refresh token to be revoked. None when a connection of the same portal uses the same one,
    /// which HubSpot may have given again: revoking would take that connection down.
    pub revoke: Option<SecretString>,
    /// When it ended.
    pub since: DateTime<Utc>,
}

struct Raw {
    id: uuid::Uuid,
    workspace_id: uuid::Uuid,
    portal_id: i64,
    hub_domain: Option<String>,
    ui_domain: Option<String>,
    admin_id: uuid::Uuid,
    workspace_name: Option<String>,
    admin_name: Option<String>,
    scopes: Vec<String>,
    outcome: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

fn state_of(
    outcome: Option<&str>,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<ConsentState, StoreError> {
    Ok(match outcome {
        None if expires_at > now => ConsentState::Waiting,
        None | Some("expired") => ConsentState::Expired,
        Some("confirmed") => ConsentState::Confirmed,
        Some("refused") => ConsentState::Refused,
        Some(_) => return Err(StoreError::Corrupt("outcome of a consent")),
    })
}

impl Raw {
    fn row(self, now: DateTime<Utc>) -> Result<ConsentRow, StoreError> {
        Ok(ConsentRow {
            id: ConsentId::new(self.id),
            workspace: WorkspaceId::new(self.workspace_id),
            portal: portal_of(self.portal_id)?,
            hub_domain: self.hub_domain,
            ui_domain: self.ui_domain,
            admin: AdminId::new(self.admin_id),
            names: ConnectNames {
                workspace: self.workspace_name,
                admin: self.admin_name,
            },
            scopes: self.scopes,
            state: state_of(self.outcome.as_deref(), self.expires_at, now)?,
            created_at: self.created_at,
            expires_at: self.expires_at,
        })
    }
}

impl Store {
    /// Keeps a consent until it is decided, and sweeps away those that ended a day ago.
    pub async fn hold_consent(
        &self,
        new: &NewConsent,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let access = self
            .keys
            .encrypt(new.workspace, PENDING_ACCESS, &new.tokens.access)?;
        let refresh = new
            .tokens
            .refresh
            .as_ref()
            .map(|token| self.keys.encrypt(new.workspace, PENDING_REFRESH, token))
            .transpose()?;
        sqlx::query!(
            "delete from pending_consent
             where expires_at < $1 and access_token is null and refresh_token is null",
            now - REMEMBERED
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "insert into pending_consent
               (id, workspace_id, portal_id, hub_domain, ui_domain, admin_id, workspace_name, admin_name, scopes,
                access_token, refresh_token, token_expires_at, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
                now() + make_interval(secs => $12), $13, $14)",
            new.id.as_uuid(),
            new.workspace.as_uuid(),
            new.portal.get(),
            new.hub_domain,
            new.ui_domain,
            new.admin.as_uuid(),
            new.names.workspace,
            new.names.admin,
            &new.scopes,
            access,
            refresh,
            new.tokens.lifetime.map(seconds),
            now,
            new.expires_at
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// One consent of a workspace.
    pub async fn consent(
        &self,
        workspace: WorkspaceId,
        id: ConsentId,
        now: DateTime<Utc>,
    ) -> Result<Option<ConsentRow>, StoreError> {
        let raw = sqlx::query_as!(
            Raw,
            "select id, workspace_id, portal_id, hub_domain, ui_domain, admin_id, workspace_name, admin_name,
               scopes, outcome, created_at, expires_at
             from pending_consent where workspace_id = $1 and id = $2",
            workspace.as_uuid(),
            id.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        raw.map(|raw| raw.row(now)).transpose()
    }

    /// The consents of a workspace that wait to be confirmed, oldest first.
    pub async fn waiting_consents(
        &self,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<Vec<ConsentRow>, StoreError> {
        let raw = sqlx::query_as!(
            Raw,
            "select id, workspace_id, portal_id, hub_domain, ui_domain, admin_id, workspace_name, admin_name,
               scopes, outcome, created_at, expires_at
             from pending_consent
             where workspace_id = $1 and outcome is null and expires_at > $2
             order by created_at, id limit 100",
            workspace.as_uuid(),
            now
        )
        .fetch_all(&self.pool)
        .await?;
        raw.into_iter().map(|raw| raw.row(now)).collect()
    }

    /// Makes the connection of a consent, in one transaction with the note that it was confirmed: of
    /// many who confirm at once one connects, and the rest are told so.
    ///
    /// # Errors
    /// When the database fails, or no configured key opens the tokens; [`StoreError::NotFound`] for a
    /// consent that this workspace does not have.
    pub async fn confirm_consent(
        &self,
        workspace: WorkspaceId,
        id: ConsentId,
        run: SyncRunId,
        now: DateTime<Utc>,
    ) -> Result<Confirmed, StoreError> {
        let mut tx = self.pool.begin().await?;
        // The order in which everybody takes locks: the workspace first.
        sqlx::query!(
            "select 1 as one from workspace where id = $1 for no key update",
            workspace.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(StoreError::NotFound("workspace"))?;
        let row = sqlx::query!(
            "select portal_id, admin_id, scopes, access_token, refresh_token, expires_at, outcome,
               (extract(epoch from token_expires_at - now()) * 1000)::bigint as left_ms
             from pending_consent where workspace_id = $1 and id = $2 for update",
            workspace.as_uuid(),
            id.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(StoreError::NotFound("consent"))?;
        let portal = portal_of(row.portal_id)?;
        match state_of(row.outcome.as_deref(), row.expires_at, now)? {
            ConsentState::Waiting => {}
            ConsentState::Confirmed => return Ok(Confirmed::Before(portal)),
            ConsentState::Refused => return Ok(Confirmed::Refused),
            ConsentState::Expired => return Ok(Confirmed::Expired),
        }
        let access = row.access_token.ok_or(StoreError::Corrupt("token"))?;
        let new = NewConnection {
            workspace,
            portal,
            auth_kind: AuthKind::OAuth,
            tokens: NewTokens {
                access: self.keys.decrypt(workspace, PENDING_ACCESS, &access)?,
                refresh: row
                    .refresh_token
                    .map(|sealed| self.keys.decrypt(workspace, PENDING_REFRESH, &sealed))
                    .transpose()?,
                lifetime: row.left_ms.map(TimeDelta::milliseconds),
            },
            scopes: row.scopes,
            admin: AdminId::new(row.admin_id),
            run,
        };
        let connected = self.connect_in(&mut tx, &new, now).await?;
        match connected {
            Ok(_) => {
                sqlx::query!(
                    "update pending_consent
                     set outcome = 'confirmed', decided_at = $2, access_token = null, refresh_token = null
                     where id = $1",
                    id.as_uuid(),
                    now
                )
                .execute(&mut *tx)
                .await?;
                tx.commit().await?;
                Ok(Confirmed::Now(portal))
            }
            Err(refused) => {
                sqlx::query!(
                    "update pending_consent
                     set outcome = 'refused', decided_at = $2, access_token = null where id = $1",
                    id.as_uuid(),
                    now
                )
                .execute(&mut *tx)
                .await?;
                tx.commit().await?;
                Ok(Confirmed::NotConnected(refused))
            }
        }
    }

    /// Ends a consent that waits; one that was decided stays as it was. Says how it stands then.
    /// The access token is erased at once, the refresh token once it was revoked
    /// ([`Self::ended_consents`]).
    ///
    /// # Errors
    /// When the database fails; [`StoreError::NotFound`] for a consent that this workspace does not
    /// have.
    pub async fn refuse_consent(
        &self,
        workspace: WorkspaceId,
        id: ConsentId,
        now: DateTime<Utc>,
    ) -> Result<ConsentRow, StoreError> {
        sqlx::query!(
            "update pending_consent
             set outcome = 'refused', decided_at = $3, access_token = null
             where workspace_id = $1 and id = $2 and outcome is null and expires_at > $3",
            workspace.as_uuid(),
            id.as_uuid(),
            now
        )
        .execute(&self.pool)
        .await?;
        self.consent(workspace, id, now)
            .await?
            .ok_or(StoreError::NotFound("consent"))
    }

    /// Consents that were refused or not confirmed in time, and whose refresh tokens are to be
    /// revoked and then erased with [`Self::erase_consent`], `limit` at most, oldest first.
    pub async fn ended_consents(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<EndedConsent>, StoreError> {
        sqlx::query!(
            "update pending_consent
             set outcome = 'expired', decided_at = expires_at, access_token = null
             where outcome is null and expires_at <= $1",
            now
        )
        .execute(&self.pool)
        .await?;
        let rows = sqlx::query!(
            r#"select id, workspace_id, portal_id, refresh_token, coalesce(decided_at, expires_at) as "since!"
             from pending_consent
             where outcome in ('refused', 'expired')
               and (access_token is not null or refresh_token is not null)
             order by expires_at limit $1"#,
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        let mut ended = Vec::with_capacity(rows.len());
        for row in rows {
            let workspace = WorkspaceId::new(row.workspace_id);
            // What no key opens cannot be revoked, and is erased all the more.
            let token = row
                .refresh_token
                .and_then(|sealed| self.keys.decrypt(workspace, PENDING_REFRESH, &sealed).ok());
            let revoke = match token {
                Some(token) if !self.is_in_use(row.portal_id, &token, now).await? => Some(token),
                _ => None,
            };
            ended.push(EndedConsent {
                id: ConsentId::new(row.id),
                workspace,
                revoke,
                since: row.since,
            });
        }
        Ok(ended)
    }

    /// Whether a connection of this portal, or a consent that waits, has this refresh token.
    async fn is_in_use(
        &self,
        portal: i64,
        token: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let rows = sqlx::query!(
            r#"select workspace_id as "workspace_id!", refresh_token as "refresh_token!", false as "waits!"
             from connection_token join connection using (workspace_id)
             where portal_id = $1 and refresh_token is not null
             union all
             select workspace_id, refresh_token, true from pending_consent
             where portal_id = $1 and refresh_token is not null and outcome is null and expires_at > $2"#,
            portal,
            now
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().any(|row| {
            let workspace = WorkspaceId::new(row.workspace_id);
            let field = if row.waits {
                PENDING_REFRESH
            } else {
                "refresh"
            };
            self.keys
                .decrypt(workspace, field, &row.refresh_token)
                .is_ok_and(|known| known.expose_secret() == token.expose_secret())
        }))
    }

    /// Erases the tokens of a consent that ended.
    pub async fn erase_consent(&self, id: ConsentId) -> Result<(), StoreError> {
        sqlx::query!(
            "update pending_consent set access_token = null, refresh_token = null
             where id = $1 and outcome in ('refused', 'expired')",
            id.as_uuid()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
