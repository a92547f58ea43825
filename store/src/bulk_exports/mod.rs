//! Bulk exports (E1): the run, whom it is still to begin with, and its requests. What became of them is
//! counted by the database with each request that turns (migration 0025).

mod listed;
mod preview;
mod run;

pub use preview::{BulkPerson, BulkPlanned};
pub use run::{DueBulk, TakenPeople};

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{
    BulkId, PortalId, WorkspaceId,
    api::{BulkCounts, BulkPreview, BulkSample, BulkWhom},
    app::PersonId,
    export::{BulkState, RequestState},
};
use sqlx::PgConnection;

use crate::{Store, StoreError, connections::portal_of, cursors::count, erasure};

/// A bulk export that was just asked for.
#[derive(Debug)]
pub struct NewBulk<'a> {
    /// Its id.
    pub bulk: BulkId,
    /// In which workspace.
    pub workspace: WorkspaceId,
    /// The portal that the workspace is connected to.
    pub portal: PortalId,
    /// Whom it is about.
    pub whom: &'a BulkWhom,
    /// Whether people who qualified before the policy was in force are taken too.
    pub include_earlier: bool,
}

/// A bulk export as it stands.
#[derive(Debug, Clone)]
pub struct BulkRow {
    /// Which.
    pub bulk: BulkId,
    /// In which workspace.
    pub workspace: WorkspaceId,
    /// Of which portal.
    pub portal: PortalId,
    /// Where it stands.
    pub state: BulkState,
    /// Whom it is about; people that the call named are rows, and not here.
    pub whom: BulkWhom,
    /// Whether people who qualified before the policy was in force are taken too.
    pub include_earlier: bool,
    /// People whom it is about, as far as that is found out.
    pub people: u64,
    /// People who were begun with.
    pub begun: u64,
    /// Up to whom it was found out who would be taken.
    pub planned_to: Option<PersonId>,
    /// Who would be taken.
    pub preview: BulkPreview,
    /// Some of them, in full.
    pub sample: Vec<BulkSample>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it was confirmed.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it is gone on with.
    pub due_at: Option<DateTime<Utc>>,
    /// Now, by the database's clock.
    pub now: DateTime<Utc>,
}

/// A row of the table, as it comes.
struct Raw {
    id: uuid::Uuid,
    workspace_id: uuid::Uuid,
    portal_id: i64,
    state: String,
    whom: String,
    include_earlier: bool,
    people: i64,
    begun: i64,
    planned_to: Option<String>,
    preview: String,
    sample: Option<String>,
    requested_at: DateTime<Utc>,
    confirmed_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
}

const UNREADABLE: StoreError = StoreError::Unreadable("bulk export");

impl TryFrom<Raw> for BulkRow {
    type Error = StoreError;

    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        let sample = raw.sample.as_deref().map(serde_json::from_str);
        Ok(Self {
            bulk: BulkId::new(raw.id),
            workspace: WorkspaceId::new(raw.workspace_id),
            portal: portal_of(raw.portal_id)?,
            state: raw.state.parse().map_err(|_| UNREADABLE)?,
            whom: serde_json::from_str(&raw.whom).map_err(|_| UNREADABLE)?,
            include_earlier: raw.include_earlier,
            people: count(raw.people),
            begun: count(raw.begun),
            planned_to: raw
                .planned_to
                .map(|id| id.parse())
                .transpose()
                .map_err(|_| UNREADABLE)?,
            preview: serde_json::from_str(&raw.preview).map_err(|_| UNREADABLE)?,
            // A sample of an older program is none.
            sample: sample.and_then(Result::ok).unwrap_or_default(),
            requested_at: raw.requested_at,
            confirmed_at: raw.confirmed_at,
            ended_at: raw.ended_at,
            due_at: raw.due_at,
            now: raw.now,
        })
    }
}

fn json_of(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt("bulk export"))
}

impl Store {
    /// Writes a bulk export down, with the people that the call named. One of this id that is there
    /// already stays as it is.
    ///
    /// # Errors
    /// When the database fails, nothing is written then; [`StoreError::NotFound`] for a workspace that is
    /// not known.
    pub async fn begin_bulk(
        &self,
        new: &NewBulk<'_>,
        now: DateTime<Utc>,
    ) -> Result<BulkRow, StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, new.workspace).await?;
        erasure::must_exist(&mut tx, new.workspace).await?;
        let (whom, people) = match new.whom {
            BulkWhom::People { people } => {
                let once: BTreeSet<&str> = people.iter().map(PersonId::as_str).collect();
                let whom = BulkWhom::People { people: Vec::new() };
                (whom, once.into_iter().collect::<Vec<&str>>())
            }
            other => (other.clone(), Vec::new()),
        };
        let new_one = sqlx::query!(
            "insert into bulk_export
               (id, workspace_id, portal_id, state, whom, include_earlier, people, requested_at, due_at)
             values ($1, $2, $3, 'previewing', $4::text::jsonb, $5, $6, $7, $7)
             on conflict (id) do nothing",
            new.bulk.as_uuid(),
            new.workspace.as_uuid(),
            new.portal.get(),
            json_of(&whom)?,
            new.include_earlier,
            i64::try_from(people.len()).unwrap_or(i64::MAX),
            now
        )
        .execute(&mut *tx)
        .await?
        .rows_affected()
            > 0;
        if new_one && !people.is_empty() {
            sqlx::query!(
                "insert into bulk_export_person (bulk_id, workspace_id, person_id)
                 select $1, $2, t.id from unnest($3::text[]) as t (id)",
                new.bulk.as_uuid(),
                new.workspace.as_uuid(),
                &people as &[&str]
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        self.bulk(new.workspace, new.bulk)
            .await?
            .ok_or(StoreError::Corrupt("bulk export"))
    }

    /// One bulk export.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bulk(
        &self,
        workspace: WorkspaceId,
        bulk: BulkId,
    ) -> Result<Option<BulkRow>, StoreError> {
        sqlx::query_as!(
            Raw,
            "select id, workspace_id, portal_id, state, whom::text as \"whom!\", include_earlier, people, begun,
               planned_to, preview::text as \"preview!\", sample::text as sample, requested_at, confirmed_at,
               ended_at, due_at, clock_timestamp() as \"now!\"
             from bulk_export where workspace_id = $1 and id = $2",
            workspace.as_uuid(),
            bulk.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?
        .map(BulkRow::try_from)
        .transpose()
    }

    /// What became of the people of a bulk export so far.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bulk_counts(&self, row: &BulkRow) -> Result<BulkCounts, StoreError> {
        let rows = sqlx::query!(
            "select state, reason, requests from bulk_export_count where bulk_id = $1 and requests > 0",
            row.bulk.as_uuid()
        )
        .fetch_all(&self.pool)
        .await?;
        let mut counts = BulkCounts {
            begun: row.begun,
            not_begun: row.people.saturating_sub(row.begun),
            ..BulkCounts::default()
        };
        for row in rows {
            let requests = count(row.requests);
            let state: RequestState = row.state.parse().map_err(|_| UNREADABLE)?;
            match state {
                RequestState::Accepted => counts.going_on += requests,
                RequestState::Exported => counts.exported += requests,
                RequestState::Waiting => {
                    let reason = row.reason.parse().map_err(|_| UNREADABLE)?;
                    counts.waiting.insert(reason, requests);
                }
                RequestState::Skipped => {
                    let reason = row.reason.parse().map_err(|_| UNREADABLE)?;
                    counts.skipped.insert(reason, requests);
                }
                RequestState::Failed => {
                    let reason = row.reason.parse().map_err(|_| UNREADABLE)?;
                    counts.failed.insert(reason, requests);
                }
            }
        }
        Ok(counts)
    }

    /// Confirms a bulk export: it is gone on with from now on. Says how it stands then; `None` where there
    /// is none of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn confirm_bulk(
        &self,
        workspace: WorkspaceId,
        bulk: BulkId,
        now: DateTime<Utc>,
    ) -> Result<Option<BulkRow>, StoreError> {
        self.turn_bulk(workspace, bulk, now, |state| state.confirmed())
            .await
    }

    /// Cancels a bulk export: nobody is begun with any more. Says how it stands then; `None` where there
    /// is none of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cancel_bulk(
        &self,
        workspace: WorkspaceId,
        bulk: BulkId,
        now: DateTime<Utc>,
    ) -> Result<Option<BulkRow>, StoreError> {
        self.turn_bulk(workspace, bulk, now, |state| Some(state.cancelled()))
            .await
    }

    async fn turn_bulk(
        &self,
        workspace: WorkspaceId,
        bulk: BulkId,
        now: DateTime<Utc>,
        to: impl FnOnce(BulkState) -> Option<BulkState>,
    ) -> Result<Option<BulkRow>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let state = sqlx::query_scalar!(
            "select state from bulk_export where workspace_id = $1 and id = $2 for update",
            workspace.as_uuid(),
            bulk.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(state) = state else {
            return Ok(None);
        };
        let from: BulkState = state.parse().map_err(|_| UNREADABLE)?;
        if let Some(to) = to(from).filter(|to| *to != from) {
            set_state(&mut tx, workspace, bulk, to, now).await?;
        }
        tx.commit().await?;
        self.bulk(workspace, bulk).await
    }
}

/// Turns a run that is held. What is personal of it goes once nobody looks at it any more, and so do those
/// whom it is not to begin with.
async fn set_state(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    bulk: BulkId,
    to: BulkState,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update bulk_export set state = $3, sample = null, sample_people = null,
           confirmed_at = case when $3 = 'running' then $4 else confirmed_at end,
           ended_at = case when $5 then $4 end,
           due_at = case when $5 then null else $4 end
         where workspace_id = $1 and id = $2",
        workspace.as_uuid(),
        bulk.as_uuid(),
        to.as_str(),
        now,
        to.is_final()
    )
    .execute(&mut *tx)
    .await?;
    if to.is_final() {
        sqlx::query!(
            "delete from bulk_export_person where bulk_id = $1",
            bulk.as_uuid()
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
