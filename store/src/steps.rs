//! Steps: what a page moves. Cursor and fence are looked at in the transaction that writes the page.

use chrono::{DateTime, Utc};
use domain::{Epoch, PortalId, Purpose, SyncRunId, SyncType, WorkspaceId};
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{
    CursorKey,
    cursors::{reached_the_end, signed},
    ranges::{RangeStep, move_range},
};

/// The step that a page is for a reader: from the place that it was read from to the place after it,
/// if the connection is still in its epoch and nobody else moved the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub workspace: WorkspaceId,
    pub portal: PortalId,
    /// The epoch in which the run was claimed.
    pub epoch: Epoch,
    /// Which run; none for what is read without one.
    pub run: Option<SyncRunId>,
    /// What is read.
    pub sync_type: SyncType,
    /// What for.
    pub purpose: Purpose,
    /// The range that the page is of; none where the type has one cursor.
    pub range: Option<RangeStep>,
    /// The version of the cursor, or of the range, that the page was read with.
    pub expected_version: i64,
    /// The place after this page.
    pub position: Option<String>,
    /// Whether this was the last page.
    pub finished: bool,
    /// The newest last-modified of the page, by HubSpot's clock.
    pub newest: Option<DateTime<Utc>>,
    /// When the page was answered, by HubSpot's clock: a reading of the periodic sync began with the
    /// answer to its first page.
    pub served_at: Option<DateTime<Utc>>,
}

impl Step {
    /// Which cursor it moves.
    pub const fn cursor(&self) -> CursorKey {
        CursorKey {
            workspace: self.workspace,
            portal: self.portal,
            sync_type: self.sync_type,
            purpose: self.purpose,
            run: self.run,
        }
    }

    pub(crate) const fn committed(&self, refused: u64) -> PageOutcome {
        PageOutcome::Committed {
            version: self.expected_version + 1,
            refused,
        }
    }
}

/// What came of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageOutcome {
    /// It is stored.
    Committed {
        /// The cursor's version from now on.
        version: i64,
        /// Rows that Postgres refused and that were quarantined.
        refused: u64,
    },
    /// A listing ended with nothing, or with far less than what is stored or than HubSpot counts;
    /// nothing was written. It is to be read a second time.
    Shrunk {
        /// Rows that are stored or came.
        known: u64,
        /// Rows that the listing brought.
        brought: u64,
        /// Rows by HubSpot's own count.
        said: Option<u64>,
    },
    /// Somebody else moved the cursor; nothing was written.
    LostCursor,
    /// The connection is no longer in this epoch; nothing was written.
    Fenced,
}

/// What a step adds to the counts of its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) done: u64,
    pub(crate) quarantined: u64,
}

/// Moves the reader if it stands where the page was read from and the connection is in its epoch;
/// else says why not. The last page of a type ends it, and moves its catch-up point.
pub(crate) async fn take_step(
    tx: &mut Transaction<'static, Postgres>,
    step: &Step,
    counted: Counted,
) -> Result<Option<PageOutcome>, sqlx::Error> {
    let moved = match &step.range {
        Some(range) => move_range(tx, step, range, counted).await?,
        None => move_cursor(tx, step, counted).await?,
    };
    if moved {
        return Ok(None);
    }
    let here = sqlx::query!(
        "select 1 as one from connection
         where workspace_id = $1 and epoch = $2 and portal_id = $3 and state = 'connected'",
        step.workspace.as_uuid(),
        step.epoch.get(),
        step.portal.get()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(Some(if here.is_some() {
        PageOutcome::LostCursor
    } else {
        PageOutcome::Fenced
    }))
}

async fn move_cursor(
    tx: &mut Transaction<'static, Postgres>,
    step: &Step,
    counted: Counted,
) -> Result<bool, sqlx::Error> {
    let key = step.cursor();
    let moved = sqlx::query!(
        "update sync_cursor set version = version + 1, position = $7,
            done = done + $8, quarantined = quarantined + $9, last_commit_at = clock_timestamp(),
            seen_to = greatest(seen_to, $12),
            read_began_at = case when purpose = 'periodic' and last_commit_at is null
              then greatest(read_began_at, $13) else read_began_at end
         where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = $4 and part = $5
           and run_id is not distinct from $6 and version = $10 and outcome = 'reading'
           and exists (select 1 from connection
             where workspace_id = $1 and epoch = $11 and portal_id = $2 and state = 'connected')
         returning version",
        key.workspace.as_uuid(),
        key.portal.get(),
        key.sync_type.as_str(),
        key.purpose.as_str(),
        key.part(),
        key.run_uuid(),
        step.position,
        signed(counted.done),
        signed(counted.quarantined),
        step.expected_version,
        step.epoch.get(),
        step.newest,
        step.served_at
    )
    .fetch_optional(&mut **tx)
    .await?;
    if moved.is_some() && step.finished {
        reached_the_end(tx, &key).await?;
    }
    Ok(moved.is_some())
}

/// When the reading began that the step belongs to: what was seen by it is not older.
pub(crate) async fn began_at(
    tx: &mut PgConnection,
    step: &Step,
) -> Result<DateTime<Utc>, sqlx::Error> {
    let key = step.cursor();
    let row = sqlx::query!(
        "select began_at from sync_cursor
         where workspace_id = $1 and portal_id = $2 and sync_type = $3 and purpose = $4 and part = $5",
        key.workspace.as_uuid(),
        key.portal.get(),
        key.sync_type.as_str(),
        key.purpose.as_str(),
        key.part()
    )
    .fetch_one(tx)
    .await?;
    Ok(row.began_at)
}
