//! The periodic sync (I2): its readings, which belong to no run, and how fresh each type is (X10).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    PortalId, Purpose, ReadOutcome, ReadPlan, SyncType, WorkspaceId, periodic::KnownMembers,
    portal::ListId,
};

use crate::{
    CursorKey, CursorRow, Refusal, Store, StoreError, Swept,
    connections::portal_of,
    cursors::{count, outcome_of, refusal_of, type_of},
};

/// A reading of the periodic sync that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewPeriodic {
    /// Which cursor: [`Purpose::Periodic`], or members without a run.
    pub key: CursorKey,
    /// Of records the lower bound; none for what is read whole.
    pub plan: ReadPlan,
    /// When it began at the earliest, by HubSpot's clock. Its first page tells when it did.
    pub read_began_at: DateTime<Utc>,
    /// Whether it is one over the long window.
    pub slow: bool,
}

/// A type that was handed over to the periodic sync, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodicType {
    /// Which type.
    pub sync_type: SyncType,
    /// When the newest reading that came to its end had begun, by HubSpot's clock.
    pub fresh_to: DateTime<Utc>,
    /// The newest last-modified that was seen, by HubSpot's clock.
    pub seen_to: Option<DateTime<Utc>>,
    /// Whether the long window is due.
    pub sweep_due: bool,
    /// Whether a run under way has yet to read this type to its end.
    pub busy: bool,
}

/// Types that are to be asked for again before the schedule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueAgain {
    /// Which portal.
    pub portal: PortalId,
    /// Which types.
    pub types: Vec<SyncType>,
}

/// How fresh a type is, for a status.
#[derive(Debug, Clone, PartialEq)]
pub struct Freshness {
    /// Which type.
    pub sync_type: SyncType,
    /// When the newest reading that came to its end had begun, by HubSpot's clock.
    pub fresh_to: DateTime<Utc>,
    /// How long ago that was.
    pub age: TimeDelta,
    /// How often it is read; none while it is not imported.
    pub every: Option<Duration>,
    /// How the newest reading of the periodic sync stands; none before the first.
    pub outcome: Option<ReadOutcome>,
    /// How long ago that reading last moved.
    pub moved: Option<TimeDelta>,
    /// Records of which the answers did not speak.
    pub unanswered: u64,
    /// What HubSpot refused of it.
    pub refusals: Vec<Refusal>,
}

/// A list with a use, for whoever reads its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedMembers {
    /// Which list.
    pub list: ListId,
    /// Whether HubSpot is computing it: its members are not to be trusted then.
    pub processing: bool,
    /// What is known of its members.
    pub known: KnownMembers,
    /// The place of the last page of its members in the order in which they joined; none where that is not
    /// known.
    pub tail: Option<String>,
    /// Whether the periodic sync is in the middle of them.
    pub reading: bool,
}

fn interval(seconds: f64) -> TimeDelta {
    TimeDelta::milliseconds((seconds * 1_000.0) as i64)
}

impl Store {
    /// Begins a reading of the periodic sync, unless one is under way: that goes on. `None` while a run
    /// reads the same. What was not answered before stays noted, to be asked for again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_periodic(&self, new: &NewPeriodic) -> Result<Option<CursorRow>, StoreError> {
        let since = match new.plan {
            ReadPlan::List => None,
            ReadPlan::ModifiedSince { since } => Some(since),
        };
        let key = &new.key;
        let properties = match key.sync_type.object_type() {
            Some(object_type) => self.mapped_to_read(key.workspace, object_type).await?,
            None => Vec::new(),
        };
        // The version goes on: a late page of the reading before finds nothing to hold on to.
        sqlx::query!(
            "with begun as (
               insert into sync_cursor as c
                 (workspace_id, portal_id, sync_type, purpose, part, since, began_at, read_began_at, slow, properties)
               values ($1, $2, $3, $4, $5, $6, clock_timestamp(), $7, $8, $9)
               on conflict (workspace_id, portal_id, sync_type, purpose, part) do update set
                 run_id = null, since = excluded.since, position = null, version = c.version + 1,
                 done = 0, quarantined = 0, unanswered = 0, total = null, outcome = 'reading',
                 began_at = excluded.began_at, read_began_at = excluded.read_began_at,
                 last_commit_at = null, last_id = null, slow = excluded.slow, seen_to = null, again_at = null,
                 properties = excluded.properties
               where (c.run_id is null and c.outcome <> 'reading')
                 or (c.run_id is not null and not exists (select 1 from sync_run r
                   where r.id = c.run_id and r.state in ('queued', 'running', 'paused')))
               returning c.id),
             again as (
               update sync_unanswered set asked = false where asked and cursor_id = (select id from begun))
             delete from sync_refusal where cursor_id = (select id from begun)",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            since,
            new.read_began_at,
            new.slow,
            &properties
        )
        .execute(&self.pool)
        .await?;
        self.cursor(key).await
    }

    /// The types of a portal that were read once, each as the next reading needs to know it. The long
    /// window is due `sweep_every` after its last reading began.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn periodic_types(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        sweep_every: Duration,
    ) -> Result<Vec<PeriodicType>, StoreError> {
        let rows = sqlx::query!(
            "select f.sync_type, f.fresh_to, f.seen_to,
               f.swept_at < clock_timestamp() - make_interval(secs => $3) as \"sweep_due!\",
               exists (select 1 from sync_run r
                 where r.workspace_id = $1 and r.portal_id = $2 and r.state = 'running'
                   and r.kind <> 'members' and f.sync_type = any(r.types)
                   and not exists (select 1 from sync_cursor c
                     where c.run_id = r.id and c.sync_type = f.sync_type and c.purpose = 'run'
                       and c.outcome <> 'reading')) as \"busy!\"
             from sync_freshness f where f.workspace_id = $1 and f.portal_id = $2",
            workspace.as_uuid(),
            portal.get(),
            sweep_every.as_secs_f64()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(PeriodicType {
                    sync_type: type_of(&row.sync_type)?,
                    fresh_to: row.fresh_to,
                    seen_to: row.seen_to,
                    sweep_due: row.sweep_due,
                    busy: row.busy,
                })
            })
            .collect()
    }

    /// Notes how the types of which a reading ended here stand: one that was not answered whole is asked again
    /// after what `wait` says of the number of times, and what was answered is not. Says which are to be asked
    /// again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_again(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        ended: &[SyncType],
        wait: impl Fn(u32) -> Option<Duration>,
    ) -> Result<Vec<SyncType>, StoreError> {
        let types: Vec<&str> = ended.iter().map(SyncType::as_str).collect();
        let rows = sqlx::query!(
            "update sync_cursor set again_at = null,
               again_times = case when outcome = 'incomplete' then again_times + 1 else 0 end
             where workspace_id = $1 and portal_id = $2 and purpose = 'periodic' and sync_type = any($3)
               and outcome <> 'reading' and (outcome = 'incomplete' or again_times > 0 or again_at is not null)
             returning id, sync_type, again_times, outcome = 'incomplete' as \"open!\"",
            workspace.as_uuid(),
            portal.get(),
            &types as &[&str]
        )
        .fetch_all(&self.pool)
        .await?;
        let mut again = Vec::new();
        for row in rows.into_iter().filter(|row| row.open) {
            let times = u32::try_from(row.again_times).unwrap_or(u32::MAX);
            let Some(wait) = wait(times) else {
                continue;
            };
            sqlx::query!(
                "update sync_cursor set again_at = clock_timestamp() + make_interval(secs => $2)
                 where id = $1 and outcome = 'incomplete'",
                row.id,
                wait.as_secs_f64()
            )
            .execute(&self.pool)
            .await?;
            again.push(type_of(&row.sync_type)?);
        }
        Ok(again)
    }

    /// Connected workspaces with types that are to be asked for again now, because a periodic reading of
    /// them was not answered whole; in pages by workspace.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn again_to_sweep(
        &self,
        after: Option<WorkspaceId>,
        limit: u32,
    ) -> Result<Vec<Swept<DueAgain>>, StoreError> {
        let rows = sqlx::query!(
            "select c.workspace_id, c.portal_id, array_agg(s.sync_type order by s.sync_type) as \"types!\"
             from sync_cursor s join connection c
               on c.workspace_id = s.workspace_id and c.portal_id = s.portal_id and c.state = 'connected'
             where s.again_at <= clock_timestamp() and s.purpose = 'periodic'
               and ($1::uuid is null or c.workspace_id > $1)
             group by c.workspace_id, c.portal_id order by c.workspace_id limit $2",
            after.map(|w| w.as_uuid()),
            i64::from(limit)
        )
        .fetch_all(&self.control)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let due = || {
                    Ok(DueAgain {
                        portal: portal_of(row.portal_id)?,
                        types: row
                            .types
                            .iter()
                            .map(|t| type_of(t))
                            .collect::<Result<_, StoreError>>()?,
                    })
                };
                Swept {
                    workspace: WorkspaceId::new(row.workspace_id),
                    row: due(),
                }
            })
            .collect())
    }

    /// Somebody asks again for these types now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn asks_again(
        &self,
        workspace: WorkspaceId,
        due: &DueAgain,
    ) -> Result<(), StoreError> {
        let types: Vec<&str> = due.types.iter().map(SyncType::as_str).collect();
        sqlx::query!(
            "update sync_cursor set again_at = null
             where workspace_id = $1 and portal_id = $2 and purpose = 'periodic' and sync_type = any($3)",
            workspace.as_uuid(),
            due.portal.get(),
            &types as &[&str]
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Writes down how often each type is read; what is not named is not imported. Of what is written
    /// already nothing is written.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_intervals(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        every: &[(SyncType, Duration)],
    ) -> Result<(), StoreError> {
        let types: Vec<&str> = every.iter().map(|(t, _)| t.as_str()).collect();
        let seconds: Vec<i32> = every
            .iter()
            .map(|(_, every)| i32::try_from(every.as_secs()).unwrap_or(i32::MAX).max(1))
            .collect();
        sqlx::query!(
            "update sync_freshness f set every_seconds = w.seconds
             from sync_freshness g left join unnest($3::text[], $4::integer[]) as w (sync_type, seconds)
               on w.sync_type = g.sync_type
             where g.workspace_id = $1 and g.portal_id = $2
               and f.workspace_id = g.workspace_id and f.portal_id = g.portal_id
               and f.sync_type = g.sync_type and f.every_seconds is distinct from w.seconds",
            workspace.as_uuid(),
            portal.get(),
            &types as &[&str],
            &seconds
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// How fresh the types of a portal are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn freshness(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<Freshness>, StoreError> {
        let rows = sqlx::query!(
            "select f.sync_type, f.fresh_to, f.every_seconds,
               extract(epoch from clock_timestamp() - f.read_at)::float8 as \"age!\",
               c.outcome as \"outcome?\", c.unanswered as \"unanswered?\",
               extract(epoch from clock_timestamp()
                 - greatest(c.began_at, c.last_commit_at))::float8 as \"moved?\",
               (select count(*) from sync_unanswered u where u.cursor_id = c.id) as \"noted!\"
             from sync_freshness f left join sync_cursor c
               on c.workspace_id = f.workspace_id and c.portal_id = f.portal_id
              and c.sync_type = f.sync_type and c.purpose = 'periodic'
             where f.workspace_id = $1 and f.portal_id = $2",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        let mut refused = sqlx::query!(
            "select c.sync_type, f.part, f.code, f.scopes, f.field
             from sync_refusal f join sync_cursor c on c.id = f.cursor_id
             where c.workspace_id = $1 and c.portal_id = $2 and c.purpose = 'periodic'
             order by f.part",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|row| {
            let sync_type = type_of(&row.sync_type)?;
            Ok((
                sync_type,
                refusal_of(&row.part, &row.code, row.scopes, row.field)?,
            ))
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
        rows.into_iter()
            .map(|row| {
                let sync_type = type_of(&row.sync_type)?;
                let of_type = refused.extract_if(.., |(of, _)| *of == sync_type);
                Ok(Freshness {
                    sync_type,
                    fresh_to: row.fresh_to,
                    age: interval(row.age),
                    every: row
                        .every_seconds
                        .and_then(|s| u64::try_from(s).ok())
                        .map(Duration::from_secs),
                    outcome: row.outcome.as_deref().map(outcome_of).transpose()?,
                    moved: row.moved.map(interval),
                    unanswered: count(row.unanswered.unwrap_or(0)) + count(row.noted),
                    refusals: of_type.map(|(_, refusal)| refusal).collect(),
                })
            })
            .collect()
    }

    /// Of each type that is kept up to date anywhere: in how many workspaces it is stale, and the
    /// greatest age.
    pub(crate) async fn freshness_of_all(
        &self,
    ) -> Result<Vec<(SyncType, u64, TimeDelta)>, StoreError> {
        let rows = sqlx::query!(
            "select f.sync_type,
               count(*) filter (where f.read_at + make_interval(secs => f.every_seconds::float8 * $1)
                 < clock_timestamp()) as \"stale!\",
               extract(epoch from clock_timestamp() - min(f.read_at))::float8 as \"age!\"
             from sync_freshness f join connection c
               on c.workspace_id = f.workspace_id and c.portal_id = f.portal_id
              and c.state in ('connected', 'needs_reconnect')
             where f.every_seconds is not null group by f.sync_type",
            f64::from(domain::periodic::STALE_AFTER_INTERVALS)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok((
                    type_of(&row.sync_type)?,
                    count(row.stale),
                    interval(row.age),
                ))
            })
            .collect()
    }

    /// The lists with a use that HubSpot still has, with what is known of their members.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for settings that cannot be read; else when the database fails.
    pub async fn followed_members(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<FollowedMembers>, StoreError> {
        let used: Vec<i64> = self
            .lists_with_use(workspace)
            .await?
            .iter()
            .map(ListId::get)
            .collect();
        if used.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query!(
            "select l.list_id, l.processing_status = 'PROCESSING' as \"processing!\", l.size, l.members_size, l.tail,
               extract(epoch from clock_timestamp() - l.members_read_at)::float8 as age,
               exists (select 1 from sync_cursor c where c.workspace_id = $1 and c.portal_id = $2
                 and c.sync_type = 'lists' and c.purpose = 'members' and c.part = l.list_id
                 and c.run_id is null and c.outcome = 'reading') as \"reading!\"
             from hubspot_list l
             where l.workspace_id = $1 and l.portal_id = $2 and l.gone_at is null and l.list_id = any($3)
             order by l.list_id",
            workspace.as_uuid(),
            portal.get(),
            &used
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| FollowedMembers {
                list: ListId::new(row.list_id),
                processing: row.processing,
                known: KnownMembers {
                    size: row.size.map(count),
                    size_then: row.members_size.map(count),
                    age: row.age.map(interval),
                    tail: row.tail.is_some(),
                },
                tail: row.tail,
                reading: row.reading,
            })
            .collect())
    }

    /// The owners that are stored as active.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn active_owner_ids(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar!(
            "select owner_id from hubspot_owner
             where workspace_id = $1 and portal_id = $2 and not archived",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// The lists that are stored as there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list_ids(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar!(
            "select list_id from hubspot_list
             where workspace_id = $1 and portal_id = $2 and gone_at is null",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Forgets that a run began to read a type, which is not imported any more (I4): turned on again, it
    /// is read anew.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_reading(&self, key: &CursorKey) -> Result<(), StoreError> {
        debug_assert_eq!(key.purpose, Purpose::Run);
        sqlx::query!(
            "delete from sync_cursor
             where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = 'run'
               and run_id is not distinct from $4 and outcome = 'reading'",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.run_uuid()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
