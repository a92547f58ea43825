//! The rate budget of an app in a portal, one row per bucket, shared by all processes (X3). The rule
//! is `domain::rate_budget`; [`Store::lease_slots`] does the same in one statement.

use std::{str::FromStr as _, time::Duration};

use chrono::{DateTime, Utc};
use domain::{
    AppKey, BudgetBucket, Epoch, PauseReason, PortalId, WorkspaceId,
    rate_budget::{
        ComeBack, EARLY, FOREIGN_IS_GOOD_FOR, LEASE_REACHES, LeaseAsk, LeaseGrant,
        OUT_OF_LINE_EVERY, OUT_OF_LINE_FROM, SOONEST, SlotTime,
    },
};

use crate::{Store, StoreError};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BudgetKey {
    /// Which app HubSpot counts.
    pub app: AppKey,
    pub portal: PortalId,
    /// Which of its limits.
    pub bucket: BudgetBucket,
}

/// A connection, as a request knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EpochOf {
    pub workspace: WorkspaceId,
    /// The epoch in which the work was begun.
    pub epoch: Epoch,
}

/// What a process asks for.
#[derive(Debug, Clone)]
pub struct NewLease<'a> {
    /// Off which line.
    pub key: &'a BudgetKey,
    /// For whom: without one whose epoch still holds, nothing is handed out.
    pub connections: &'a [EpochOf],
    /// How much, and what is news.
    pub ask: LeaseAsk,
    /// Slots of earlier leases that nobody used.
    pub unused: &'a [SlotTime],
}

/// What a process got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The time by the database's clock: slots are to be seen relative to it.
    pub now: SlotTime,
    /// The slots, and when to come back.
    pub grant: LeaseGrant,
    /// Those of the connections whose epoch holds.
    pub open: Vec<EpochOf>,
    /// All slots of the last ten seconds, those of other processes too.
    pub recent: Vec<SlotTime>,
    /// What HubSpot last said the limit is.
    pub limit_seen: Option<u32>,
    /// Why the line stands still, and until when, if it does.
    pub pause: Option<Pause>,
    /// How far the account's clock is from UTC, when known, in seconds.
    pub utc_offset_seconds: Option<i64>,
}

/// That a line stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    pub reason: PauseReason,
    /// Until when.
    pub until: SlotTime,
}

/// A line that stands still, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PausedBudget {
    /// Whether it is that of service keys; otherwise an app's.
    pub of_service_key: bool,
    /// Which limit.
    pub bucket: BudgetBucket,
    pub reason: PauseReason,
    /// Until when.
    pub until: DateTime<Utc>,
}

fn reason_of(text: &str) -> Result<PauseReason, StoreError> {
    PauseReason::from_str(text).map_err(|_| StoreError::Corrupt("pause reason"))
}

fn limit_of(number: Option<i32>) -> Option<u32> {
    number.and_then(|n| u32::try_from(n).ok())
}

fn number(value: Option<u32>) -> Option<i32> {
    value.map(|n| i32::try_from(n).unwrap_or(i32::MAX))
}

fn micros(slots: &[SlotTime]) -> Vec<i64> {
    slots.iter().map(|s| s.as_micros()).collect()
}

impl Store {
    /// Takes slots off a line, makes what is news known to all processes, and looks at the fences, in
    /// one statement that holds the row for no longer than itself.
    pub async fn lease_slots(&self, new: &NewLease<'_>) -> Result<Leased, StoreError> {
        if let Some(leased) = self.try_lease(new).await? {
            return Ok(leased);
        }
        // The first request of an app to a portal ever.
        sqlx::query!(
            "insert into rate_budget (app, portal_id, bucket) values ($1, $2, $3)
             on conflict do nothing",
            new.key.app.as_str(),
            new.key.portal.get(),
            new.key.bucket.as_str()
        )
        .execute(&self.control)
        .await?;
        self.try_lease(new)
            .await?
            .ok_or(StoreError::NotFound("rate budget"))
    }

    async fn try_lease(&self, new: &NewLease<'_>) -> Result<Option<Leased>, StoreError> {
        let LeaseAsk {
            urgency,
            want,
            in_turn,
            patience,
            upper,
            usual,
            limit_seen,
            foreign,
        } = new.ask;
        let spacing = new.key.bucket.spacing();
        let reach = urgency.reach();
        let workspaces: Vec<_> = new
            .connections
            .iter()
            .map(|c| c.workspace.as_uuid())
            .collect();
        let epochs: Vec<_> = new.connections.iter().map(|c| c.epoch.get()).collect();
        // `offset 0` keeps each step of the rule apart: put into one another, its expressions would
        // double with each step, and planning took 30 ms.
        let row = sqlx::query!(
            r#"with held as materialized (
                 select next_at, low_next_at, out_of_line_at, turns, slots, limit_seen, foreign_use,
                   foreign_at, utc_offset_seconds, paused_until, pause_reason
                 from rate_budget where app = $1 and portal_id = $2 and bucket = $3
                 for update
               ),
               fence as materialized (
                 select coalesce(array_agg(asked.n), '{}') as open
                 from unnest($4::uuid[], $5::bigint[]) with ordinality as asked (workspace_id, epoch, n)
                 join connection c on c.workspace_id = asked.workspace_id and c.epoch = asked.epoch
                 where c.state = 'connected' and c.portal_id = $2
               ),
               timed as materialized (
                 select held.*, fence.open,
                   (extract(epoch from clock_timestamp()) * 1000000)::bigint as now,
                   case when cardinality(fence.open) > 0 then $6::bigint else 0 end as want
                 from held, fence
               ),
               lease as materialized (
                 select now, open, utc_offset_seconds, paused_until, pause_reason, known,
                   foreign_now, foreign_now_at, at_once, early.out_of_line, "begin", "count", step,
                   next.at as next, next.low as low_next, missing, back, kept or back - now <= $7 as is_turn,
                   case when missing > 0 and not kept and back - now <= $7
                     then back + least(missing, ($8 - $9) / step + 1) * step
                     else turns[$10::int] end as turn,
                   array(select s from unnest(slots) s where s > now - 11000000 and s <> all($11::bigint[]))
                     || case when at_once then array[now] else '{}' end
                     || array(select "begin" + n * step from generate_series(0, "count" - 1) n) as slots
                 from timed
                 cross join lateral (select
                   coalesce($12::int, limit_seen) as known,
                   least($13::int, coalesce($12, limit_seen, $14::int))::bigint as cap,
                   coalesce($15::int, foreign_use) as foreign_now,
                   case when $15 is null then foreign_at else now end as foreign_now_at offset 0) as told
                 cross join lateral (select
                   $16::bigint / greatest(
                     cap - $17::int - case when $18::bool and cap >= $19 then 1 else 0 end
                       - case when now - foreign_now_at < $20 then foreign_now else 0 end,
                     cap / 20, 1) + 1 as apart offset 0) as pace
                 cross join lateral (select
                   case when $21::bool then apart * $22 / 100 else apart end as step,
                   $18 and $23::bool and want > 0 and cap >= $19 and out_of_line_at <= now
                     and next_at - now between 1 and 1000000 as at_once offset 0) as width
                 cross join lateral (select
                   case when at_once then now + $24::bigint + apart else out_of_line_at end as out_of_line,
                   case when at_once then next_at + apart else next_at end as next_at,
                   case when at_once then want - 1 else want end as wanted offset 0) as early
                 cross join lateral (select
                   greatest(early.next_at, now, case when $21 then low_next_at end) as "begin" offset 0) as start
                 cross join lateral (select
                   case when "begin" - now <= $25::bigint
                     then least(early.wanted, ($8 - ("begin" - now)) / step + 1) else 0 end as "count" offset 0) as size
                 cross join lateral (select
                   case when "count" > 0 then "begin" + ("count" - 1) * step + apart else early.next_at end as at,
                   case when "count" > 0 and $21 then "begin" + "count" * step else low_next_at end as low offset 0) as next
                 cross join lateral (select
                   early.wanted - "count" + case when $21 and $26::bool and "count" > 0 then want else 0 end as missing,
                   greatest(next.at, now, case when $21 then next.low end) as free offset 0) as rest
                 cross join lateral (select
                   greatest(free - $9, now + 1) as due, greatest(free - $27::bigint, now + 1) as soon offset 0) as dues
                 cross join lateral (select
                   $26 and "count" = 0 and soon - now <= $28::bigint as kept offset 0) as turned
                 cross join lateral (select
                   case when kept then soon else greatest(due, turns[$10]) end as back offset 0) as later
               ),
               written as (
                 update rate_budget b set next_at = lease.next, low_next_at = lease.low_next,
                   out_of_line_at = lease.out_of_line, turns[$10] = lease.turn, slots = lease.slots,
                   limit_seen = lease.known, foreign_use = lease.foreign_now,
                   foreign_at = lease.foreign_now_at
                 from lease where b.app = $1 and b.portal_id = $2 and b.bucket = $3
               )
               select now as "now!", open as "open!", at_once as "at_once!", "begin" as "begin!",
                 "count" as "count!", step as "step!", missing as "missing!", back as "back!",
                 is_turn as "is_turn!", slots as "slots!", known, utc_offset_seconds,
                 pause_reason, (extract(epoch from paused_until) * 1000000)::bigint as paused_until
               from lease"#,
            new.key.app.as_str(),
            new.key.portal.get(),
            new.key.bucket.as_str(),
            &workspaces,
            &epochs,
            i64::from(want),
            patience,
            LEASE_REACHES,
            reach.turn,
            urgency.index() as i32 + 1,
            &micros(new.unused),
            number(limit_seen),
            number(upper),
            number(Some(usual)),
            number(foreign),
            spacing.window,
            number(Some(spacing.left_to_others)),
            spacing.out_of_line,
            OUT_OF_LINE_FROM,
            FOREIGN_IS_GOOD_FOR,
            urgency.is_low(),
            spacing.low_percent,
            urgency == domain::Urgency::Interactive,
            OUT_OF_LINE_EVERY,
            if in_turn { reach.in_turn } else { reach.by_chance },
            in_turn,
            reach.in_turn - SOONEST,
            EARLY
        )
        .fetch_optional(&self.control)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let mut slots = Vec::new();
        if row.at_once {
            slots.push(SlotTime::from_micros(row.now));
        }
        slots.extend((0..row.count).map(|n| SlotTime::from_micros(row.begin + n * row.step)));
        let pause = match (row.pause_reason, row.paused_until) {
            (Some(reason), Some(until)) if until > row.now => Some(Pause {
                reason: reason_of(&reason)?,
                until: SlotTime::from_micros(until),
            }),
            _ => None,
        };
        let open = row
            .open
            .iter()
            .filter_map(|n| {
                new.connections
                    .get(usize::try_from(*n).ok()?.checked_sub(1)?)
            })
            .copied()
            .collect();
        Ok(Some(Leased {
            now: SlotTime::from_micros(row.now),
            grant: LeaseGrant {
                slots,
                come_back: (row.missing > 0).then_some(ComeBack {
                    at: SlotTime::from_micros(row.back),
                    is_turn: row.is_turn,
                }),
            },
            open,
            recent: row.slots.into_iter().map(SlotTime::from_micros).collect(),
            limit_seen: limit_of(row.known),
            pause,
            utc_offset_seconds: row.utc_offset_seconds.map(i64::from),
        }))
    }

    /// Stops lines for a time, for all processes. A longer pause that is on stays.
    pub async fn pause_budget(
        &self,
        app: &AppKey,
        portal: PortalId,
        buckets: &[BudgetBucket],
        reason: PauseReason,
        pause: Duration,
    ) -> Result<(), StoreError> {
        let buckets: Vec<String> = buckets.iter().map(|b| b.as_str().to_owned()).collect();
        sqlx::query!(
            "insert into rate_budget as b
               (app, portal_id, bucket, next_at, low_next_at, out_of_line_at, paused_until, pause_reason)
             select $1, $2, bucket, at, at, at, until, $4
             from unnest($3::text[]) as bucket,
               (select clock_timestamp() + $5 * interval '1 microsecond' as until) as u,
               lateral (select (extract(epoch from until) * 1000000)::bigint as at) as m
             on conflict (app, portal_id, bucket) do update set
               next_at = greatest(b.next_at, excluded.next_at),
               low_next_at = greatest(b.low_next_at, excluded.low_next_at),
               out_of_line_at = greatest(b.out_of_line_at, excluded.out_of_line_at),
               pause_reason = case when b.paused_until > excluded.paused_until
                 then b.pause_reason else excluded.pause_reason end,
               paused_until = greatest(b.paused_until, excluded.paused_until)",
            app.as_str(),
            portal.get(),
            &buckets,
            reason.as_str(),
            i64::try_from(pause.as_micros()).unwrap_or(i64::MAX / 4) as f64
        )
        .execute(&self.control)
        .await?;
        Ok(())
    }

    /// Notes how far an account's clock is from UTC: its daily limit ends at its midnight.
    pub async fn note_utc_offset(
        &self,
        app: &AppKey,
        portal: PortalId,
        seconds: i64,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into rate_budget (app, portal_id, bucket, utc_offset_seconds)
             select $1, $2, bucket, $3 from unnest(array['general', 'search', 'associations']) as bucket
             on conflict (app, portal_id, bucket) do update set
               utc_offset_seconds = excluded.utc_offset_seconds",
            app.as_str(),
            portal.get(),
            i32::try_from(seconds).unwrap_or(0)
        )
        .execute(&self.control)
        .await?;
        Ok(())
    }

    /// What of a portal's budget stands still now, and why.
    pub async fn paused_budgets(&self, portal: PortalId) -> Result<Vec<PausedBudget>, StoreError> {
        let rows = sqlx::query!(
            r#"select app, bucket, pause_reason as "reason!", paused_until as "until!"
               from rate_budget where portal_id = $1 and paused_until > clock_timestamp()
               order by bucket, app"#,
            portal.get()
        )
        .fetch_all(&self.control)
        .await?;
        rows.into_iter()
            .map(|row| {
                let bucket = BudgetBucket::ALL
                    .into_iter()
                    .find(|b| b.as_str() == row.bucket)
                    .ok_or(StoreError::Corrupt("bucket"))?;
                Ok(PausedBudget {
                    of_service_key: row.app == AppKey::service_key().as_str(),
                    bucket,
                    reason: reason_of(&row.reason)?,
                    until: row.until,
                })
            })
            .collect()
    }
}
