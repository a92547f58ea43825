//! Runs: rows first, then signals. What is to be read is known here, whatever happens to Temporal.

use std::{collections::BTreeSet, str::FromStr as _};

use chrono::{DateTime, Utc};
use domain::{
    Epoch, PortalId, ResyncMode, ResyncOutcome, ResyncRequest, RunKind, SyncRunId, SyncType,
    WorkspaceId,
    portal::ListId,
    resync::{UnfinishedRun, decide},
};
use sqlx::PgConnection;

use crate::{
    Store, StoreError,
    connections::{portal_of, state_of},
};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum RunState {
    /// Waits for its turn.
    Queued,
    /// Is being read.
    Running,
    /// Interrupted by a disconnect or a revocation; goes on after reconnecting.
    Paused,
    /// Read to the end.
    Finished,
    /// Given up, because the workspace connected another portal.
    Cancelled,
}

impl RunState {
    /// The name in the store and in the API.
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        text.parse()
            .map_err(|_| StoreError::Corrupt("state of a run"))
    }
}

/// A run as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    pub run: SyncRunId,
    pub workspace: WorkspaceId,
    pub portal: PortalId,
    /// Why it exists.
    pub kind: RunKind,
    /// How much it reads of each type.
    pub mode: ResyncMode,
    /// What it reads.
    pub types: Vec<SyncType>,
    /// Of [`RunKind::Members`]: the lists whose members it reads.
    pub lists: Vec<ListId>,
    /// Where it stands.
    pub state: RunState,
    /// Whether something of it was refused, skipped or not answered; known when it finished.
    pub refusals: bool,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it began.
    pub begun_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A run that was claimed: it may be read now, in this epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlan {
    pub run: RunRow,
    /// The epoch of the connection.
    pub epoch: Epoch,
}

/// What came of a resync request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedResync {
    /// The decision (`domain::resync`).
    pub outcome: ResyncOutcome,
    /// The run that was made, if one was.
    pub run: Option<SyncRunId>,
    /// What that run reads.
    pub types: Vec<SyncType>,
}

#[derive(Debug)]
struct RawRun {
    id: uuid::Uuid,
    workspace_id: uuid::Uuid,
    portal_id: i64,
    kind: String,
    mode: String,
    since: Option<DateTime<Utc>>,
    types: Vec<String>,
    lists: Option<Vec<i64>>,
    state: String,
    refusals: bool,
    requested_at: DateTime<Utc>,
    begun_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<RawRun> for RunRow {
    type Error = StoreError;

    fn try_from(raw: RawRun) -> Result<Self, StoreError> {
        let mode = match (raw.mode.as_str(), raw.since) {
            ("catch_up", _) => ResyncMode::CatchUp,
            ("since", Some(since)) => ResyncMode::Since { since },
            ("from_scratch", _) => ResyncMode::FromScratch,
            _ => return Err(StoreError::Corrupt("mode of a run")),
        };
        let types = raw
            .types
            .iter()
            .map(|t| SyncType::from_str(t))
            .collect::<Result<_, _>>()
            .map_err(|_| StoreError::Corrupt("types of a run"))?;
        Ok(Self {
            run: SyncRunId::new(raw.id),
            workspace: WorkspaceId::new(raw.workspace_id),
            portal: portal_of(raw.portal_id)?,
            kind: raw
                .kind
                .parse()
                .map_err(|_| StoreError::Corrupt("kind of a run"))?,
            mode,
            types,
            lists: raw
                .lists
                .unwrap_or_default()
                .into_iter()
                .map(ListId::new)
                .collect(),
            state: RunState::parse(&raw.state)?,
            refusals: raw.refusals,
            requested_at: raw.requested_at,
            begun_at: raw.begun_at,
            finished_at: raw.finished_at,
        })
    }
}

const fn mode_columns(mode: ResyncMode) -> (&'static str, Option<DateTime<Utc>>) {
    match mode {
        ResyncMode::CatchUp => ("catch_up", None),
        ResyncMode::Since { since } => ("since", Some(since)),
        ResyncMode::FromScratch => ("from_scratch", None),
    }
}

struct NewRun<'a> {
    id: SyncRunId,
    workspace: WorkspaceId,
    portal: i64,
    kind: RunKind,
    mode: ResyncMode,
    types: &'a [SyncType],
    lists: Option<Vec<i64>>,
}

async fn insert_run(
    tx: &mut PgConnection,
    new: &NewRun<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (mode, since) = mode_columns(new.mode);
    let types: Vec<String> = new.types.iter().map(|t| t.as_str().to_owned()).collect();
    sqlx::query!(
        "insert into sync_run
           (id, workspace_id, portal_id, kind, mode, since, types, lists, state, requested_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9)
         on conflict (id) do nothing",
        new.id.as_uuid(),
        new.workspace.as_uuid(),
        new.portal,
        new.kind.as_str(),
        mode,
        since,
        &types,
        new.lists.as_deref(),
        now
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn begun_types(tx: &mut PgConnection, run: SyncRunId) -> Result<Vec<SyncType>, StoreError> {
    sqlx::query!(
        "select sync_type from sync_cursor where run_id = $1 and purpose = 'run'",
        run.as_uuid()
    )
    .fetch_all(tx)
    .await?
    .iter()
    .map(|row| {
        SyncType::from_str(&row.sync_type).map_err(|_| StoreError::Corrupt("type of a cursor"))
    })
    .collect()
}

/// Queues a run that reads the members of lists that were given a use, if the workspace has a portal.
/// A run that has yet to read the lists reads them too. Says whether one was made.
pub(crate) async fn queue_members(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    lists: &BTreeSet<ListId>,
    id: SyncRunId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    if lists.is_empty() {
        return Ok(false);
    }
    let Some(connection) = sqlx::query!(
        "select portal_id from connection
         where workspace_id = $1 and state in ('connected', 'needs_reconnect') for update",
        workspace.as_uuid()
    )
    .fetch_optional(&mut *tx)
    .await?
    else {
        return Ok(false);
    };
    let will_be_read = sqlx::query!(
        "select exists (select 1 from sync_run r
           where workspace_id = $1 and portal_id = $2 and state in ('queued', 'running', 'paused')
             and kind <> 'members' and 'lists' = any(types)
             and not exists (select 1 from sync_cursor c
               where c.run_id = r.id and c.sync_type = 'lists' and c.purpose = 'run')) as \"any!\"",
        workspace.as_uuid(),
        connection.portal_id
    )
    .fetch_one(&mut *tx)
    .await?
    .any;
    if will_be_read {
        return Ok(false);
    }
    let new = NewRun {
        id,
        workspace,
        portal: connection.portal_id,
        kind: RunKind::Members,
        mode: ResyncMode::FromScratch,
        types: &[SyncType::Lists],
        lists: Some(lists.iter().map(ListId::get).collect()),
    };
    insert_run(tx, &new, now).await?;
    Ok(true)
}

/// Queues a run that reads records again which lack properties that are mapped now, if the workspace
/// has a portal: of types that were read whole without them, unless that is done anyway. Says whether
/// one was made.
pub(crate) async fn queue_mapping(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    wanted: &[(SyncType, Vec<String>)],
    id: SyncRunId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let Some(connection) = sqlx::query!(
        "select portal_id from connection
         where workspace_id = $1 and state in ('connected', 'needs_reconnect') for update",
        workspace.as_uuid()
    )
    .fetch_optional(&mut *tx)
    .await?
    else {
        return Ok(false);
    };
    let mut types = Vec::new();
    for (sync_type, wanted) in wanted {
        let known = sqlx::query!(
            "with was as (
               select properties from last_read
               where workspace_id = $1 and portal_id = $2 and sync_type = $3),
             cursor as (
               select c.outcome, c.properties, c.run_id from sync_cursor c
               where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = 'run'
                 and since is null)
             select
               exists (select 1 from was) or exists (select 1 from cursor
                 where outcome in ('finished', 'incomplete')) as \"was_read!\",
               coalesce((select properties from was),
                 (select properties from cursor where outcome <> 'reading'), '{}') as \"had!\",
               (select coalesce(properties, '{}') from cursor where outcome = 'reading') as being_read,
               exists (select 1 from sync_run r
                 where workspace_id = $1 and portal_id = $2 and state in ('queued', 'running', 'paused')
                   and kind <> 'members' and $3 = any(types)
                   and (mode = 'from_scratch' or not exists (select 1 from was))
                   and not exists (select 1 from sync_cursor c
                     where c.run_id = r.id and c.sync_type = $3 and c.purpose = 'run')) as \"will_be_read!\"",
            workspace.as_uuid(),
            connection.portal_id,
            sync_type.as_str()
        )
        .fetch_one(&mut *tx)
        .await?;
        let lacking = |had: &[String]| wanted.iter().any(|name| !had.contains(name));
        let again = match &known.being_read {
            Some(being_read) => lacking(being_read),
            None => known.was_read && lacking(&known.had),
        };
        if again && !known.will_be_read {
            types.push(*sync_type);
        }
    }
    if types.is_empty() {
        return Ok(false);
    }
    let new = NewRun {
        id,
        workspace,
        portal: connection.portal_id,
        kind: RunKind::Mapping,
        mode: ResyncMode::FromScratch,
        types: &types,
        lists: None,
    };
    insert_run(tx, &new, now).await?;
    Ok(true)
}

/// Queues a run for what is imported again and was never read to its end (I4). The rest is handed over to
/// the periodic sync, which catches up. Says whether one was made.
pub(crate) async fn queue_import(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    id: SyncRunId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let Some(connection) = sqlx::query!(
        "select portal_id from connection
         where workspace_id = $1 and state in ('connected', 'needs_reconnect') for update",
        workspace.as_uuid()
    )
    .fetch_optional(&mut *tx)
    .await?
    else {
        return Ok(false);
    };
    let imported: Vec<&str> = SyncType::OF_RUNS
        .iter()
        .filter(|t| domain::periodic::is_import(**t))
        .map(|t| t.as_str())
        .collect();
    // A run that waits, or that has yet to begin a type, finds the toggle on.
    let rows = sqlx::query!(
        "select t as \"t!\" from unnest($3::text[]) as t
         where not exists (select 1 from sync_freshness f
             where f.workspace_id = $1 and f.portal_id = $2 and f.sync_type = t)
           and not exists (select 1 from sync_run r
             where r.workspace_id = $1 and r.portal_id = $2 and r.kind <> 'members'
               and r.state in ('queued', 'paused') and t = any(r.types))",
        workspace.as_uuid(),
        connection.portal_id,
        &imported as &[&str]
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut types = Vec::new();
    for row in rows {
        types
            .push(SyncType::from_str(&row.t).map_err(|_| StoreError::Corrupt("type of a cursor"))?);
    }
    types.sort();
    if types.is_empty() {
        return Ok(false);
    }
    let new = NewRun {
        id,
        workspace,
        portal: connection.portal_id,
        kind: RunKind::Resync,
        mode: ResyncMode::CatchUp,
        types: &types,
        lists: None,
    };
    insert_run(tx, &new, now).await?;
    Ok(true)
}

/// At a connect: what was left out for want of a scope that is granted now is read (C2). The run that
/// is under way reads it where it is among its types; for the rest a run is queued. Where HubSpot does
/// not tell the scopes (service keys, `granted` is empty) it is tried.
pub(crate) async fn read_what_was_granted(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portal: PortalId,
    granted: &[String],
    id: SyncRunId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let left_out = sqlx::query!(
        "with left_out as (
           delete from sync_cursor c where workspace_id = $1 and portal_id = $2
             and (outcome = 'skipped' or exists (select 1 from sync_refusal f
                 where f.cursor_id = c.id and f.scopes <> '{}'))
             and not exists (select 1 from sync_refusal f
               where f.cursor_id = c.id and f.scopes <> '{}' and $3::text[] <> '{}'
                 and not f.scopes && $3)
           returning id, sync_type, purpose),
         -- Of what was read without its associations all is read, not only what changes.
         anew as (
           delete from last_read l where workspace_id = $1 and portal_id = $2
             and exists (select 1 from left_out o join sync_refusal f on f.cursor_id = o.id
               where o.sync_type = l.sync_type and f.part like 'associations%'))
         select distinct sync_type as \"sync_type!\" from left_out",
        workspace.as_uuid(),
        portal.get(),
        granted
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut types = Vec::new();
    for row in left_out {
        types.push(
            SyncType::from_str(&row.sync_type)
                .map_err(|_| StoreError::Corrupt("type of a cursor"))?,
        );
    }
    let covered = sqlx::query!(
        "select coalesce(array_agg(t), '{}') as \"types!\" from sync_run r, unnest(r.types) as t
         where workspace_id = $1 and portal_id = $2 and state in ('queued', 'running', 'paused')
           and kind <> 'members'",
        workspace.as_uuid(),
        portal.get()
    )
    .fetch_one(&mut *tx)
    .await?
    .types;
    types.retain(|t| !covered.iter().any(|c| c == t.as_str()));
    types.sort();
    if types.is_empty() {
        return Ok(());
    }
    let new = NewRun {
        id,
        workspace,
        portal: portal.get(),
        kind: RunKind::Resync,
        mode: ResyncMode::CatchUp,
        types: &types,
        lists: None,
    };
    insert_run(tx, &new, now).await
}

impl Store {
    /// Writes a resync request down if the rule says so. Asking twice with one id makes one run. What
    /// a run under way has begun to read is not covered by it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a workspace that never connected; else when the database fails.
    pub async fn request_resync(
        &self,
        workspace: WorkspaceId,
        request: &ResyncRequest,
        new_id: SyncRunId,
        now: DateTime<Utc>,
    ) -> Result<RequestedResync, StoreError> {
        let mut tx = self.pool.begin().await?;
        let connection = sqlx::query!(
            "select portal_id, state from connection where workspace_id = $1 for update",
            workspace.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(StoreError::NotFound("connection"))?;
        let unfinished = sqlx::query_as!(
            RawRun,
            "select id, workspace_id, portal_id, kind, mode, since, types, lists, state, refusals, requested_at, begun_at, finished_at
             from sync_run where workspace_id = $1 and portal_id = $2 and state in ('queued', 'running', 'paused')",
            workspace.as_uuid(),
            connection.portal_id
        )
        .fetch_all(&mut *tx)
        .await?;
        let unfinished = unfinished
            .into_iter()
            .map(RunRow::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(run) = unfinished.iter().find(|run| run.run == new_id) {
            let outcome = if unfinished.len() == 1 {
                ResyncOutcome::Started
            } else {
                ResyncOutcome::Queued
            };
            return Ok(RequestedResync {
                outcome,
                run: Some(new_id),
                types: run.types.clone(),
            });
        }
        let mut known = Vec::with_capacity(unfinished.len());
        for run in unfinished {
            known.push(UnfinishedRun {
                begun: begun_types(&mut tx, run.run).await?,
                // Some lists' members are not the lists.
                types: if run.kind == RunKind::Members {
                    Vec::new()
                } else {
                    run.types
                },
                mode: run.mode,
            });
        }
        let decision = decide(request, state_of(&connection.state)?, &known);
        let run = match decision.outcome {
            ResyncOutcome::Started | ResyncOutcome::Queued => {
                let new = NewRun {
                    id: new_id,
                    workspace,
                    portal: connection.portal_id,
                    kind: RunKind::Resync,
                    mode: request.mode,
                    types: &decision.types,
                    lists: None,
                };
                insert_run(&mut tx, &new, now).await?;
                Some(new_id)
            }
            ResyncOutcome::AlreadyRunning | ResyncOutcome::NotConnected => None,
        };
        tx.commit().await?;
        Ok(RequestedResync {
            outcome: decision.outcome,
            run,
            types: decision.types,
        })
    }

    /// The run to read now: the one that runs, else the oldest that waits, which is thereby marked
    /// as running. `None` when nothing waits or the connection is not connected.
    pub async fn claim_run(
        &self,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<Option<RunPlan>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let Some(connection) = sqlx::query!(
            "select portal_id, epoch from connection
             where workspace_id = $1 and state = 'connected' for update",
            workspace.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?
        else {
            return Ok(None);
        };
        let claimed = sqlx::query_as!(
            RawRun,
            "update sync_run set state = 'running', begun_at = coalesce(begun_at, $3)
             where id = (
               select id from sync_run
               where workspace_id = $1 and portal_id = $2 and state in ('queued', 'running', 'paused')
               order by state = 'running' desc, requested_at limit 1)
             returning id, workspace_id, portal_id, kind, mode, since, types, lists, state, refusals, requested_at, begun_at, finished_at",
            workspace.as_uuid(),
            connection.portal_id,
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        claimed
            .map(|raw| {
                Ok(RunPlan {
                    run: raw.try_into()?,
                    epoch: Epoch::new(connection.epoch),
                })
            })
            .transpose()
    }

    /// One run.
    pub async fn run(&self, run: SyncRunId) -> Result<Option<RunRow>, StoreError> {
        sqlx::query_as!(
            RawRun,
            "select id, workspace_id, portal_id, kind, mode, since, types, lists, state, refusals, requested_at, begun_at, finished_at
             from sync_run where id = $1",
            run.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?
        .map(RunRow::try_from)
        .transpose()
    }

    /// The run to show: the one under way, else the newest. One that reads the members of some lists
    /// is shown only while it is under way.
    pub async fn run_to_show(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Option<RunRow>, StoreError> {
        sqlx::query_as!(
            RawRun,
            "select id, workspace_id, portal_id, kind, mode, since, types, lists, state, refusals, requested_at, begun_at, finished_at
             from sync_run where workspace_id = $1 and portal_id = $2
               and (kind <> 'members' or state in ('running', 'paused'))
             order by state in ('running', 'paused') desc, requested_at desc limit 1",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_optional(&self.pool)
        .await?
        .map(RunRow::try_from)
        .transpose()
    }

    /// Whether any run of this workspace and portal ever finished.
    pub async fn any_run_finished(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query!(
            "select exists(select 1 from sync_run
               where workspace_id = $1 and portal_id = $2 and state = 'finished' and kind <> 'members') as \"any!\"",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.any)
    }

    /// Marks a run as finished, and whether something of it was refused, skipped or not answered. What
    /// it read of each type counted when that type ended. Idempotent. A run that is paused or cancelled
    /// stays so.
    pub async fn finish_run(&self, run: SyncRunId, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!(
            "with ended as (
               update sync_run r set state = 'finished', finished_at = $2,
                 refusals = exists (select 1 from sync_cursor c where c.run_id = r.id
                   and (c.outcome <> 'finished'
                     or exists (select 1 from sync_refusal f where f.cursor_id = c.id)))
               where id = $1 and state = 'running'
               returning workspace_id, portal_id)
             insert into reconcile_plan (workspace_id, portal_id, due_at)
             select workspace_id, portal_id, now() + interval '1 hour' from ended
             on conflict do nothing",
            run.as_uuid(),
            now
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
