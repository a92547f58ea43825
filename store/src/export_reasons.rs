//! Requests by the reason for which they are not in HubSpot: counted up to a bound, for people (E9).

use chrono::{DateTime, Utc};
use domain::{WorkspaceId, api::RetryReason};

use crate::{Store, StoreError, cursors::count};

/// The most requests of one reason that are counted.
pub(crate) const COUNTED: i64 = 10_000;

/// How many requests, or activities, have a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasonCount {
    pub reason: RetryReason,
    /// How many; at most ten thousand are counted.
    pub requests: u64,
    /// Whether there are more than were counted.
    pub more: bool,
}

impl ReasonCount {
    /// Of a row: the place of the reason among those asked for, from one on, and how many there are.
    pub(crate) fn of(reasons: &[RetryReason], place: i64, counted: i64) -> Option<Self> {
        let place = usize::try_from(place).ok()?.checked_sub(1)?;
        Some(Self {
            reason: *reasons.get(place)?,
            requests: count(counted.min(COUNTED)),
            more: counted > COUNTED,
        })
    }
}

impl Store {
    /// How many requests have each of these reasons now, in the order asked; those that none has are
    /// left out. `since`: only those count that have it since then.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_reasons(
        &self,
        workspace: WorkspaceId,
        reasons: &[RetryReason],
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<ReasonCount>, StoreError> {
        let states: Vec<&str> = reasons.iter().map(|r| r.state().as_str()).collect();
        let names: Vec<&str> = reasons.iter().map(RetryReason::as_str).collect();
        let rows = sqlx::query!(
            "select w.place as \"place!\", n.requests as \"requests!\"
             from unnest($2::text[], $3::text[]) with ordinality as w (state, reason, place)
             cross join lateral (select count(*) as requests from (
               select 1 from export_request r
               where r.workspace_id = $1 and r.state = w.state and r.reason = w.reason
                 and r.state <> 'exported' and ($5::timestamptz is null or r.changed_at >= $5) limit $4) few offset 0) n
             where n.requests > 0 order by w.place",
            workspace.as_uuid(),
            &states as &[&str],
            &names as &[&str],
            COUNTED + 1,
            since
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| ReasonCount::of(reasons, row.place, row.requests))
            .collect())
    }
}
