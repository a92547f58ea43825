//! Connections: state, epoch, fence (C1, C4, C5).

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use domain::{AdminId, ConnectionState, Epoch, PortalId, SyncRunId, SyncType, WorkspaceId};

use crate::{
    Store, StoreError, runs,
    tokens::{AuthKind, NewTokens, seconds},
};

/// A connection that was just approved.
#[derive(Debug)]
pub struct NewConnection {
    pub workspace: WorkspaceId,
    /// The portal that the tokens belong to.
    pub portal: PortalId,
    /// OAuth, or a service key.
    pub auth_kind: AuthKind,
    pub tokens: NewTokens,
    /// What was really granted; empty when HubSpot does not tell (service keys).
    pub scopes: Vec<String>,
    /// Who connected.
    pub admin: AdminId,
    /// The id of the initial run, if one has to be made.
    pub run: SyncRunId,
}

/// A connection that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connected {
    /// From now on.
    pub epoch: Epoch,
    /// The run that reads the portal: a new one, or the one that a disconnect interrupted.
    pub run: SyncRunId,
}

/// Why a connection was not stored. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedConnect {
    /// Connected already, to this portal.
    AlreadyConnected(PortalId),
    /// A disconnect has not ended yet.
    Disconnecting,
}

/// What the fence did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FenceRaised {
    /// The epoch from now on.
    pub epoch: Epoch,
    pub portal: PortalId,
    /// The state from now on.
    pub state: ConnectionState,
    /// Whether this call raised it; otherwise it was up.
    pub raised_now: bool,
}

/// A connection as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRow {
    pub workspace: WorkspaceId,
    pub portal: PortalId,
    pub state: ConnectionState,
    pub epoch: Epoch,
    /// OAuth, or a service key.
    pub auth_kind: AuthKind,
    /// What was granted.
    pub scopes: Vec<String>,
    /// Since when.
    pub connected_at: DateTime<Utc>,
}

/// What a process has to know before a request may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FenceState {
    pub epoch: Epoch,
    pub state: ConnectionState,
    /// When that was so, by the database's clock.
    pub now: DateTime<Utc>,
}

pub(crate) fn state_of(text: &str) -> Result<ConnectionState, StoreError> {
    ConnectionState::from_str(text).map_err(|_| StoreError::Corrupt("connection state"))
}

pub(crate) fn portal_of(id: i64) -> Result<PortalId, StoreError> {
    PortalId::new(id).map_err(|_| StoreError::Corrupt("portal id"))
}

impl Store {
    /// Stores an approved connection, with a new epoch, and makes sure that a run waits to read the
    /// portal: the one that a disconnect interrupted, else a new one (C4: goes on without duplicates).
    ///
    /// # Errors
    /// The outer one when the database fails, the inner one when nothing was changed.
    pub async fn connect_workspace(
        &self,
        new: &NewConnection,
        now: DateTime<Utc>,
    ) -> Result<Result<Connected, RefusedConnect>, StoreError> {
        let mut tx = self.control.begin().await?;
        let connected = self.connect_in(&mut tx, new, now).await?;
        if connected.is_ok() {
            tx.commit().await?;
        }
        Ok(connected)
    }

    /// The same within a transaction. A refusal has written nothing.
    pub(crate) async fn connect_in(
        &self,
        tx: &mut sqlx::PgTransaction<'_>,
        new: &NewConnection,
        now: DateTime<Utc>,
    ) -> Result<Result<Connected, RefusedConnect>, StoreError> {
        let workspace = new.workspace.as_uuid();
        let access = self
            .keys
            .encrypt(new.workspace, "access", &new.tokens.access)?;
        let refresh = new
            .tokens
            .refresh
            .as_ref()
            .map(|token| self.keys.encrypt(new.workspace, "refresh", token))
            .transpose()?;
        // The workspace's row serialises concurrent connects, also before there is a connection. Not
        // `for update`: a resync, which holds the connection, refers to this row with its run.
        sqlx::query!(
            "select 1 as one from workspace
             where id = $1 and not exists (select 1 from workspace_purge where workspace_id = $1)
             for no key update",
            workspace
        )
        .fetch_optional(&mut **tx)
        .await?
        .ok_or(StoreError::NotFound("workspace"))?;
        let current = sqlx::query!(
            "select portal_id, state from connection where workspace_id = $1 for update",
            workspace
        )
        .fetch_optional(&mut **tx)
        .await?;
        if let Some(row) = current {
            match state_of(&row.state)? {
                ConnectionState::Connected => {
                    return Ok(Err(RefusedConnect::AlreadyConnected(portal_of(
                        row.portal_id,
                    )?)));
                }
                ConnectionState::Disconnecting => return Ok(Err(RefusedConnect::Disconnecting)),
                ConnectionState::NeedsReconnect | ConnectionState::Disconnected => {}
            }
        }
        let epoch = sqlx::query!(
            "insert into connection
               (workspace_id, portal_id, state, epoch, auth_kind, scopes, connected_by, connected_at, changed_at)
             values ($1, $2, 'connected', 1, $3, $4, $5, $6, $6)
             on conflict (workspace_id) do update set
               portal_id = excluded.portal_id, state = 'connected', epoch = connection.epoch + 1,
               auth_kind = excluded.auth_kind, scopes = excluded.scopes,
               connected_by = excluded.connected_by, connected_at = excluded.connected_at,
               changed_at = excluded.changed_at
             returning epoch",
            workspace,
            new.portal.get(),
            new.auth_kind.as_str(),
            &new.scopes,
            new.admin.as_uuid(),
            now
        )
        .fetch_one(&mut **tx)
        .await?
        .epoch;
        sqlx::query!(
            "insert into connected_portal (workspace_id, portal_id, first_at) values ($1, $2, $3)
             on conflict do nothing",
            workspace,
            new.portal.get(),
            now
        )
        .execute(&mut **tx)
        .await?;
        sqlx::query!(
            "insert into connection_token
               (workspace_id, version, access_token, refresh_token, issued_at, expires_at)
             values ($1, 1, $2, $3, now(), now() + make_interval(secs => $4))
             on conflict (workspace_id) do update set
               version = connection_token.version + 1, access_token = excluded.access_token,
               refresh_token = excluded.refresh_token, issued_at = excluded.issued_at,
               expires_at = excluded.expires_at, refreshing_until = null, doubtful_since = null,
               retry_at = null, failures = 0, refused_since = null, refusals = 0",
            workspace,
            access,
            refresh,
            new.tokens.lifetime.map(seconds)
        )
        .execute(&mut **tx)
        .await?;
        sqlx::query!(
            "update sync_run set state = 'cancelled', finished_at = $3
             where workspace_id = $1 and portal_id <> $2 and state in ('queued', 'running', 'paused')",
            workspace,
            new.portal.get(),
            now
        )
        .execute(&mut **tx)
        .await?;
        let unfinished = sqlx::query!(
            "select id from sync_run
             where workspace_id = $1 and portal_id = $2 and state in ('queued', 'running', 'paused')
               and kind <> 'members'
             order by requested_at limit 1",
            workspace,
            new.portal.get()
        )
        .fetch_optional(&mut **tx)
        .await?;
        let run = match unfinished {
            Some(row) => SyncRunId::new(row.id),
            None => {
                let types: Vec<String> = SyncType::OF_RUNS
                    .iter()
                    .map(|t| t.as_str().to_owned())
                    .collect();
                sqlx::query!(
                    "insert into sync_run (id, workspace_id, portal_id, kind, mode, types, state, requested_at)
                     values ($1, $2, $3, 'initial', 'catch_up', $4, 'queued', $5)",
                    new.run.as_uuid(),
                    workspace,
                    new.portal.get(),
                    &types,
                    now
                )
                .execute(&mut **tx)
                .await?;
                new.run
            }
        };
        runs::read_what_was_granted(tx, new.workspace, new.portal, &new.scopes, new.run, now)
            .await?;
        Ok(Ok(Connected {
            epoch: Epoch::new(epoch),
            run,
        }))
    }

    /// The connection of a workspace, if it ever had one.
    pub async fn connection(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<ConnectionRow>, StoreError> {
        let row = sqlx::query!(
            "select portal_id, state, epoch, auth_kind, scopes, connected_at
             from connection where workspace_id = $1",
            workspace.as_uuid()
        )
        .fetch_optional(&self.control)
        .await?;
        row.map(|row| {
            Ok(ConnectionRow {
                workspace,
                portal: portal_of(row.portal_id)?,
                state: state_of(&row.state)?,
                epoch: Epoch::new(row.epoch),
                auth_kind: AuthKind::parse(&row.auth_kind)?,
                scopes: row.scopes,
                connected_at: row.connected_at,
            })
        })
        .transpose()
    }

    /// Epoch and state, by one cheap statement: what the fence of every process asks.
    pub async fn fence_state(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<FenceState>, StoreError> {
        let row = sqlx::query!(
            "select epoch, state, clock_timestamp() as \"now!\" from connection where workspace_id = $1",
            workspace.as_uuid()
        )
        .fetch_optional(&self.control)
        .await?;
        row.map(|row| {
            Ok(FenceState {
                epoch: Epoch::new(row.epoch),
                state: state_of(&row.state)?,
                now: row.now,
            })
        })
        .transpose()
    }

    /// Raises the fence: what begins after its commit in an older epoch is refused (C4). It waits for
    /// nobody, so a page whose commit had begun may still land; newer wins and the cursor keep that
    /// harmless. Runs that have not ended wait for a reconnect. `None` for a workspace without
    /// connection.
    pub async fn raise_fence(
        &self,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<Option<FenceRaised>, StoreError> {
        let mut tx = self.control.begin().await?;
        let raised = sqlx::query!(
            "update connection set state = 'disconnecting', epoch = epoch + 1, changed_at = $2
             where workspace_id = $1 and state in ('connected', 'needs_reconnect')
             returning epoch, portal_id",
            workspace.as_uuid(),
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = raised {
            sqlx::query!(
                "update sync_run set state = 'paused' where workspace_id = $1 and state = 'running'",
                workspace.as_uuid()
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            return Ok(Some(FenceRaised {
                epoch: Epoch::new(row.epoch),
                portal: portal_of(row.portal_id)?,
                state: ConnectionState::Disconnecting,
                raised_now: true,
            }));
        }
        let row = sqlx::query!(
            "select epoch, portal_id, state from connection where workspace_id = $1",
            workspace.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        row.map(|row| {
            Ok(FenceRaised {
                epoch: Epoch::new(row.epoch),
                portal: portal_of(row.portal_id)?,
                state: state_of(&row.state)?,
                raised_now: false,
            })
        })
        .transpose()
    }

    /// Erases the tokens of a connection whose fence is up. Idempotent.
    pub async fn erase_tokens(
        &self,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.control.begin().await?;
        let ended = sqlx::query!(
            "update connection set state = 'disconnected', changed_at = $2
             where workspace_id = $1 and state in ('disconnecting', 'disconnected')
             returning 1 as one",
            workspace.as_uuid(),
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        if ended.is_some() {
            sqlx::query!(
                "delete from connection_token where workspace_id = $1",
                workspace.as_uuid()
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// HubSpot refused the tokens of this epoch for good (C5). `true` for the one caller whose
    /// statement turned the row; only that one tells the workflow.
    pub async fn mark_needs_reconnect(
        &self,
        workspace: WorkspaceId,
        epoch: Epoch,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.control.begin().await?;
        let turned = sqlx::query!(
            "update connection set state = 'needs_reconnect', epoch = epoch + 1, changed_at = $3
             where workspace_id = $1 and epoch = $2 and state = 'connected'
             returning 1 as one",
            workspace.as_uuid(),
            epoch.get(),
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        if turned.is_some() {
            sqlx::query!(
                "update sync_run set state = 'paused' where workspace_id = $1 and state = 'running'",
                workspace.as_uuid()
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(turned.is_some())
    }
}
