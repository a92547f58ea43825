//! Purging a workspace (C7): in small transactions, so that nobody waits for it, and with a row of its
//! own, so that it goes on whoever hangs up.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use domain::WorkspaceId;
use sqlx::PgConnection;

use crate::{Store, StoreError, cursors::count, erasure::hold_alone};

/// Rows that one look into a table finds; they go in batches.
const PICKED: i64 = 20_000;
/// Rows of the first transaction of a step: of its table nothing is known yet.
const FIRST: usize = 200;
/// However slow the database is.
const SMALLEST: usize = 50;
/// A transaction that takes longer makes the next ones smaller: rows are locked for that long.
const AIM: Duration = Duration::from_millis(25);

/// Why a purge was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedPurge {
    /// It has to be disconnected first.
    StillConnected,
}

/// A purge that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeStatus {
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// Rows that are gone.
    pub removed: u64,
}

/// What a step of a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PurgeStep {
    /// Rows that it removed.
    pub removed: u64,
    /// The longest of its transactions, for which rows were locked.
    pub longest: Duration,
    /// How many tables were found empty before the one that it came upon.
    pub emptied: u32,
    /// Whether nothing is left of the workspace.
    pub done: bool,
}

impl PurgeStep {
    /// Rows of a transaction, at most, where the database is fast.
    pub const LARGEST: u32 = 2_000;
}

/// The rows of the next transaction after one of `rows` that took this long.
fn next_rows(rows: usize, took: Duration) -> usize {
    if took > AIM {
        (rows / 2).max(SMALLEST)
    } else {
        rows + rows / 4 + 1
    }
}

impl Store {
    /// Begins the purge of a workspace that is disconnected or never was connected; from then on
    /// nothing comes in. Asked again, it says how far the purge is. `None` when the workspace is not
    /// known.
    ///
    /// # Errors
    /// The outer one when the database fails, the inner one when nothing was changed.
    pub async fn request_purge(
        &self,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<Option<Result<PurgeStatus, RefusedPurge>>, StoreError> {
        let mut tx = self.pool.begin().await?;
        hold_alone(&mut tx, workspace).await?;
        let id = workspace.as_uuid();
        let known = sqlx::query!(
            "select 1 as one from workspace where id = $1 for update",
            id
        )
        .fetch_optional(&mut *tx)
        .await?;
        if known.is_none() {
            return Ok(None);
        }
        if !may_go(&mut tx, workspace).await? {
            return Ok(Some(Err(RefusedPurge::StillConnected)));
        }
        let row = sqlx::query!(
            "insert into workspace_purge as p (workspace_id, requested_at, changed_at) values ($1, $2, $2)
             on conflict (workspace_id) do update set changed_at = p.changed_at
             returning requested_at, removed",
            id,
            now
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Some(Ok(PurgeStatus {
            requested_at: row.requested_at,
            removed: count(row.removed),
        })))
    }

    /// How far a purge is; `None` when there is none, or when it is over.
    pub async fn purge_status(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<PurgeStatus>, StoreError> {
        let row = sqlx::query!(
            "select requested_at, removed from workspace_purge where workspace_id = $1",
            workspace.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| PurgeStatus {
            requested_at: row.requested_at,
            removed: count(row.removed),
        }))
    }

    /// Workspaces that are being purged, by id.
    pub async fn purges_after(
        &self,
        after: Option<WorkspaceId>,
        limit: u32,
    ) -> Result<Vec<WorkspaceId>, StoreError> {
        let rows = sqlx::query!(
            "select workspace_id from workspace_purge
             where $1::uuid is null or workspace_id > $1 order by workspace_id limit $2",
            after.map(|a| a.as_uuid()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|r| WorkspaceId::new(r.workspace_id))
            .collect())
    }

    /// Goes on with a purge: removes some thousand rows of one table, in transactions of at most `largest`,
    /// and of fewer where they take long; or, when hardly anything is left, the rest and the workspace
    /// itself. To be repeated until it is done. `None` when there is no purge, so also when it was done
    /// before. The tables that the step before found empty ([`PurgeStep::emptied`]) are looked at again only
    /// when all others are: what was removed from them lies about for a while, and slows each look.
    ///
    /// # Errors
    /// When the database fails; what was removed until then stays removed.
    pub async fn purge_step(
        &self,
        workspace: WorkspaceId,
        largest: u32,
        emptied: u32,
        now: DateTime<Utc>,
    ) -> Result<Option<PurgeStep>, StoreError> {
        if self.purge_status(workspace).await?.is_none() {
            return Ok(None);
        }
        let id = workspace.as_uuid();
        let largest = usize::try_from(largest.max(1)).unwrap_or(usize::MAX);
        let mut look = self.pages.begin().await?;
        pass_dead_rows(&mut look).await?;
        let mut table = 0;
        // All rows of a workspace are in one partition, whose row addresses are unique.
        macro_rules! in_batches {
            ($($pick:literal => $delete:literal),+ $(,)?) => {$(
                table += 1;
                let picked = if table > emptied {
                    sqlx::query_scalar!($pick, id, PICKED)
                        .fetch_all(&mut *look)
                        .await?
                } else {
                    Vec::new()
                };
                if !picked.is_empty() {
                    look.rollback().await?;
                    let mut step = PurgeStep {
                        emptied: table - 1,
                        ..PurgeStep::default()
                    };
                    let mut left = picked.as_slice();
                    let mut rows = FIRST.min(largest);
                    while !left.is_empty() {
                        let some;
                        (some, left) = left.split_at(rows.min(left.len()));
                        let mut tx = self.pages.begin().await?;
                        let began = Instant::now();
                        let gone = sqlx::query!($delete, id, some)
                            .execute(&mut *tx)
                            .await?
                            .rows_affected();
                        count_removed(&mut tx, workspace, gone, now).await?;
                        tx.commit().await?;
                        let took = began.elapsed();
                        rows = next_rows(rows, took).min(largest);
                        step.longest = step.longest.max(took);
                        step.removed += gone;
                    }
                    return Ok(Some(step));
                }
            )+};
        }
        in_batches!(
            "select ctid::text as \"ctid!\" from hubspot_object where workspace_id = $1 limit $2" =>
                "delete from hubspot_object where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from hubspot_object_key where workspace_id = $1 limit $2" =>
                "delete from hubspot_object_key where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from hubspot_association where workspace_id = $1 limit $2" =>
                "delete from hubspot_association where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from hubspot_list_member where workspace_id = $1 limit $2" =>
                "delete from hubspot_list_member where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from hubspot_touch where workspace_id = $1 limit $2" =>
                "delete from hubspot_touch where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from hubspot_touch_contact where workspace_id = $1 limit $2" =>
                "delete from hubspot_touch_contact where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from hubspot_alias where workspace_id = $1 limit $2" =>
                "delete from hubspot_alias where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from hubspot_reread where workspace_id = $1 limit $2" =>
                "delete from hubspot_reread where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from hubspot_former_key where workspace_id = $1 limit $2" =>
                "delete from hubspot_former_key where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from dnc_verdict where workspace_id = $1 limit $2" =>
                "delete from dnc_verdict where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from app_person where workspace_id = $1 limit $2" =>
                "delete from app_person where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from app_activity where workspace_id = $1 limit $2" =>
                "delete from app_activity where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from logged_activity where workspace_id = $1 limit $2" =>
                "delete from logged_activity where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from record_link where workspace_id = $1 limit $2" =>
                "delete from record_link where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from profile where workspace_id = $1 limit $2" =>
                "delete from profile where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from app_company_key where workspace_id = $1 limit $2" =>
                "delete from app_company_key where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from app_company where workspace_id = $1 limit $2" =>
                "delete from app_company where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from app_member where workspace_id = $1 limit $2" =>
                "delete from app_member where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from export_request where workspace_id = $1 limit $2" =>
                "delete from export_request where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from bulk_export_person where workspace_id = $1 limit $2" =>
                "delete from bulk_export_person where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from export_journal where workspace_id = $1 limit $2" =>
                "delete from export_journal where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from exported_person where workspace_id = $1 limit $2" =>
                "delete from exported_person where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from person_writer where workspace_id = $1 limit $2" =>
                "delete from person_writer where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from export_revert where workspace_id = $1 limit $2" =>
                "delete from export_revert where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from idempotency_key where workspace_id = $1 limit $2" =>
                "delete from idempotency_key where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from webhook_record where workspace_id = $1 limit $2" =>
                "delete from webhook_record where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from quarantine where workspace_id = $1 limit $2" =>
                "delete from quarantine where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from hubspot_property where workspace_id = $1 limit $2" =>
                "delete from hubspot_property where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from hubspot_list where workspace_id = $1 limit $2" =>
                "delete from hubspot_list where workspace_id = $1 and ctid = any($2::text[]::tid[])",
            "select ctid::text as \"ctid!\" from erased_identity where workspace_id = $1 limit $2" =>
                "delete from erased_identity where workspace_id = $1 and ctid = any($2::text[]::tid[])",
        );
        look.rollback().await?;
        if emptied > 0 {
            return Ok(Some(PurgeStep::default()));
        }
        self.purge_rest(workspace).await.map(Some)
    }

    /// What is small, and the workspace itself. All other tables were found empty a moment ago, and nothing
    /// comes in any more since the purge was asked for; another look would take half of this transaction's time.
    async fn purge_rest(&self, workspace: WorkspaceId) -> Result<PurgeStep, StoreError> {
        let id = workspace.as_uuid();
        let mut tx = self.pool.begin().await?;
        let began = Instant::now();
        hold_alone(&mut tx, workspace).await?;
        sqlx::query!(
            "select 1 as one from workspace where id = $1 for update",
            id
        )
        .fetch_optional(&mut *tx)
        .await?;
        if !may_go(&mut tx, workspace).await? {
            return Err(StoreError::Corrupt("purge of a connected workspace"));
        }
        let mut removed = 0;
        macro_rules! empty {
            ($($sql:literal),+ $(,)?) => {
                $(removed += sqlx::query!($sql, id).execute(&mut *tx).await?.rows_affected();)+
            };
        }
        // Which company a domain is belongs to the portal, and stays.
        sqlx::query!(
            "update company_claim set entry_workspace = null, entry_id = null where entry_workspace = $1",
            id
        )
        .execute(&mut *tx)
        .await?;
        // What refers to others comes before them. A test compares this and the batches with the tables there are.
        empty!(
            "delete from profile_projection where workspace_id = $1",
            "delete from custom_field where workspace_id = $1",
            "delete from settings_version where workspace_id = $1",
            "delete from service_token where workspace_id = $1",
            "delete from bulk_export where workspace_id = $1",
            "delete from export_resumed where workspace_id = $1",
            "delete from export_recheck where workspace_id = $1",
            "delete from export_preview where workspace_id = $1",
            "delete from export_day where workspace_id = $1",
            "delete from engagement_property where workspace_id = $1",
            "delete from touch_coverage where workspace_id = $1",
            "delete from type_alarm where workspace_id = $1",
            "delete from reconcile_plan where workspace_id = $1",
            "delete from hubspot_owner where workspace_id = $1",
            "delete from hubspot_pipeline where workspace_id = $1",
            "delete from portal_rule where workspace_id = $1",
            "delete from change_tombstone where workspace_id = $1",
            "delete from change_horizon where workspace_id = $1",
            "delete from webhook_wake where workspace_id = $1",
            "delete from hubspot_portal where workspace_id = $1",
            "delete from dnc_rule_count where workspace_id = $1",
            "delete from dnc_projection where workspace_id = $1",
            "delete from last_read where workspace_id = $1",
            "delete from sync_freshness where workspace_id = $1",
            "delete from sync_trouble where workspace_id = $1",
            "delete from sync_cursor where workspace_id = $1",
            "delete from sync_run where workspace_id = $1",
            "delete from oauth_state where workspace_id = $1",
            "delete from connect_link where workspace_id = $1",
            "delete from pending_consent where workspace_id = $1",
            "delete from page_session where workspace_id = $1",
            "delete from page_event where workspace_id = $1",
            "delete from portal_name where workspace_id = $1",
            "delete from connection_token where workspace_id = $1",
            "delete from connection where workspace_id = $1",
            "delete from connected_portal where workspace_id = $1",
            "delete from workspace_purge where workspace_id = $1",
            "delete from workspace where id = $1",
        );
        tx.commit().await?;
        Ok(PurgeStep {
            removed,
            longest: began.elapsed(),
            emptied: 0,
            done: true,
        })
    }
}

/// What was removed lies about as dead rows for a while. Index scans mark the entries of those as they pass,
/// so that the next one passes quickly; a scan of the table itself would look at each row again (0.2 s in a
/// million), as it is planned for a table of which nearly all is one workspace's.
async fn pass_dead_rows(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    for setting in [
        "set local enable_seqscan = off",
        "set local enable_bitmapscan = off",
    ] {
        sqlx::query(setting).execute(&mut *tx).await?;
    }
    Ok(())
}

/// Whether the workspace is disconnected, or never was connected. Its connection holds still.
async fn may_go(tx: &mut PgConnection, workspace: WorkspaceId) -> Result<bool, sqlx::Error> {
    let connection = sqlx::query!(
        "select state from connection where workspace_id = $1 for update",
        workspace.as_uuid()
    )
    .fetch_optional(tx)
    .await?;
    Ok(connection.is_none_or(|c| c.state == "disconnected"))
}

async fn count_removed(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    removed: u64,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update workspace_purge set removed = removed + $2, changed_at = $3 where workspace_id = $1",
        workspace.as_uuid(),
        removed.cast_signed(),
        now
    )
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_made_smaller_down_to_a_least_size() {
        let (slow, fast) = (AIM + Duration::from_millis(1), AIM);
        assert_eq!(next_rows(2_000, slow), 1_000);
        assert_eq!(next_rows(SMALLEST, slow), SMALLEST);
        assert_eq!(next_rows(FIRST, fast), 251);
        assert!((1..100).all(|rows| next_rows(rows, fast) > rows));
    }
}
