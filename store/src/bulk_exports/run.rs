//! A run that goes on: whom it begins with, what is left to it, and its end.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    BulkId, PortalId, WorkspaceId,
    app::PersonId,
    export::{BulkState, RequestId, RequestOutcome},
};

use super::{BulkRow, UNREADABLE, set_state};
use crate::{NewExports, Store, StoreError, connections::portal_of, erasure};

/// People who are begun with.
#[derive(Debug, Clone, Default)]
pub struct TakenPeople {
    /// Those whose requests go on.
    pub going_on: Vec<(RequestId, PersonId)>,
    /// How many were taken, those who ended at once among them.
    pub taken: u64,
}

/// A run that is to be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueBulk {
    /// In which workspace.
    pub workspace: WorkspaceId,
    /// Of which portal.
    pub portal: PortalId,
    /// Which.
    pub bulk: BulkId,
}

impl Store {
    /// Begins with the next people: each has a request from now on. `None` where nobody is begun with any
    /// more. `ids` are those of the requests, as many as people at most.
    ///
    /// # Errors
    /// When the database fails; nobody was begun with then.
    pub async fn take_bulk_people(
        &self,
        row: &BulkRow,
        ids: &[RequestId],
        now: DateTime<Utc>,
    ) -> Result<Option<TakenPeople>, StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, row.workspace).await?;
        let running = sqlx::query_scalar!(
            "select state = 'running' as \"running!\" from bulk_export where workspace_id = $1 and id = $2 for update",
            row.workspace.as_uuid(),
            row.bulk.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        if running != Some(true) {
            return Ok(None);
        }
        let people = sqlx::query_scalar!(
            "delete from bulk_export_person where bulk_id = $1 and person_id = any(array(
               select person_id from bulk_export_person where bulk_id = $1
               order by left_out, person_id limit $2))
             returning person_id",
            row.bulk.as_uuid(),
            i64::try_from(ids.len()).unwrap_or(i64::MAX)
        )
        .fetch_all(&mut *tx)
        .await?;
        let people: Vec<(RequestId, PersonId)> = ids
            .iter()
            .zip(people)
            .map(|(id, person)| Ok((*id, person.parse().map_err(|_| UNREADABLE)?)))
            .collect::<Result<_, StoreError>>()?;
        let taken = people.len() as u64;
        if taken == 0 {
            return Ok(Some(TakenPeople::default()));
        }
        let new = NewExports {
            workspace: row.workspace,
            kind: row.whom.kind(),
            people: &people,
            include_earlier: row.include_earlier,
            anew: false,
            bulk: Some(row.bulk),
        };
        let requests = self.request_in(&mut tx, &new, now).await?;
        sqlx::query!(
            "update bulk_export set begun = begun + $2 where id = $1",
            row.bulk.as_uuid(),
            taken.cast_signed()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Some(TakenPeople {
            going_on: requests
                .into_iter()
                .filter(|row| row.outcome == RequestOutcome::Accepted)
                .filter_map(|row| Some((row.request, row.person?)))
                .collect(),
            taken,
        }))
    }

    /// Requests of a run that go on, and that the run itself looks after, in their order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bulk_rest(
        &self,
        bulk: BulkId,
        after: Option<RequestId>,
        limit: u32,
    ) -> Result<Vec<(RequestId, PersonId)>, StoreError> {
        let rows = sqlx::query!(
            "select id, person_id as \"person!\" from export_request
             where bulk_id = $1 and bulk_id is not null and state = 'accepted' and due_at is null
               and person_id is not null and ($2::uuid is null or id > $2)
             order by id limit $3",
            bulk.as_uuid(),
            after.map(|id| id.as_uuid()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let person = row.person.parse().map_err(|_| UNREADABLE)?;
                Ok((RequestId::new(row.id), person))
            })
            .collect()
    }

    /// Leaves requests of a run to exports of their own.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hand_over_requests(
        &self,
        workspace: WorkspaceId,
        requests: &[RequestId],
    ) -> Result<(), StoreError> {
        let ids: Vec<uuid::Uuid> = requests.iter().map(RequestId::as_uuid).collect();
        sqlx::query!(
            "update export_request set due_at = clock_timestamp()
             where workspace_id = $1 and id = any($2) and state = 'accepted' and due_at is null",
            workspace.as_uuid(),
            &ids
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Ends a run that has nobody left to begin with, or that was cancelled, where none of its requests is
    /// left to it. Says whether it is over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_bulk(&self, row: &BulkRow, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        let state = sqlx::query_scalar!(
            "select state from bulk_export where workspace_id = $1 and id = $2 for update",
            row.workspace.as_uuid(),
            row.bulk.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        let left = sqlx::query!(
            "select exists (select 1 from bulk_export_person where bulk_id = $1) as \"people!\",
               exists (select 1 from export_request
                 where bulk_id = $1 and bulk_id is not null and state = 'accepted' and due_at is null) as \"requests!\"",
            row.bulk.as_uuid()
        )
        .fetch_one(&mut *tx)
        .await?;
        let end = match state.as_deref() {
            Some("running") if !left.people && !left.requests => BulkState::Done,
            Some("cancelling") if !left.requests => BulkState::Cancelled,
            Some("cancelled" | "done") | None => return Ok(true),
            _ => return Ok(false),
        };
        set_state(&mut tx, row.workspace, row.bulk, end, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// When a run is gone on with that cannot go on now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_off_bulk(
        &self,
        workspace: WorkspaceId,
        bulk: BulkId,
        until: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update bulk_export set due_at = $3
             where workspace_id = $1 and id = $2 and state in ('previewing', 'running', 'cancelling')",
            workspace.as_uuid(),
            bulk.as_uuid(),
            until
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Runs that are due and that nobody may be looking after, the longest due first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due_bulks(
        &self,
        overdue: Duration,
        limit: u32,
    ) -> Result<Vec<DueBulk>, StoreError> {
        let rows = sqlx::query!(
            "select b.id, b.workspace_id, b.portal_id from bulk_export b
             cross join lateral (select 1 as one from connection c
               where c.workspace_id = b.workspace_id and c.portal_id = b.portal_id and c.state = 'connected'
               limit 1) c
             where b.due_at < clock_timestamp() - make_interval(secs => $1)
             order by b.due_at limit $2",
            overdue.as_secs_f64(),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(DueBulk {
                    workspace: WorkspaceId::new(row.workspace_id),
                    portal: portal_of(row.portal_id)?,
                    bulk: BulkId::new(row.id),
                })
            })
            .collect()
    }
}
