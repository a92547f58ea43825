//! Bulk exports (E1): the run, whom it is still to begin with, and its requests. What became of them is
//! counted by the database with each request that turns (migration 0025).

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use domain::{
    BulkId, PortalId, WorkspaceId,
    api::{BulkCounts, BulkPreview, BulkSample, BulkWhom},
    app::{Person, PersonId, RecordKind},
    export::{BulkState, RequestId, RequestKind, RequestOutcome, RequestState},
};
use sqlx::PgConnection;

use crate::{
    NewExports, Store, StoreError,
    connections::portal_of,
    cursors::count,
    erasure,
    links::{self, Of, Ours},
};

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

/// Somebody of whom it is to be found out whether they would be taken.
#[derive(Debug)]
pub struct BulkPerson {
    /// Who.
    pub id: PersonId,
    /// What the app knows of them; none of somebody who is not known.
    pub person: Option<Person>,
    /// Whether they were exported before.
    pub exported: bool,
    /// Whether HubSpot is known to have a contact of theirs.
    pub has_contact: bool,
}

/// What was found out about some people.
#[derive(Debug)]
pub struct BulkPlanned<'a> {
    /// Up to whom.
    pub to: Option<&'a PersonId>,
    /// Those whom it is about, and whether each would be left out.
    pub people: &'a [(PersonId, bool)],
    /// Who would be taken, with these.
    pub preview: &'a BulkPreview,
    /// Whether these were the last ones.
    pub finished: bool,
}

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

    /// The next people of whom it is to be found out whether they would be taken: those that the call
    /// named, else all of the app's. Fewer than `limit`: they are the last ones.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bulk_people(
        &self,
        row: &BulkRow,
        limit: u32,
    ) -> Result<Vec<BulkPerson>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let after = row.planned_to.as_ref().map_or("", |id| id.as_str());
        let ids: Vec<String> = if matches!(row.whom, BulkWhom::People { .. }) {
            sqlx::query_scalar!(
                "select person_id from bulk_export_person where bulk_id = $1 and person_id > $2
                 order by person_id limit $3",
                row.bulk.as_uuid(),
                after,
                i64::from(limit)
            )
            .fetch_all(&mut *connection)
            .await?
        } else {
            sqlx::query_scalar!(
                "select person_id from app_person
                 where workspace_id = $1 and person_id > $2
                   and not (version = 0 and starts_with(person_id, 'hubspot.'))
                 order by person_id limit $3",
                row.workspace.as_uuid(),
                after,
                i64::from(limit)
            )
            .fetch_all(&mut *connection)
            .await?
        };
        let of = Of {
            workspace: row.workspace,
            portal: row.portal,
            record: RecordKind::Person,
        };
        let mut known = links::ours(&mut connection, of, &ids).await?;
        let exported: BTreeSet<String> = sqlx::query_scalar!(
            "select person_id from exported_person
             where workspace_id = $1 and portal_id = $2 and person_id = any($3)",
            row.workspace.as_uuid(),
            row.portal.get(),
            &ids
        )
        .fetch_all(&mut *connection)
        .await?
        .into_iter()
        .collect();
        let linked = links::links_of(&mut connection, of, &ids).await?;
        let keys: Vec<String> = known
            .values()
            .filter_map(|one| one.as_ref().ok())
            .flat_map(Ours::keys)
            .collect();
        let claims = links::claims(&mut connection, of, &keys).await?;
        ids.into_iter()
            .map(|id| {
                let person = match known.remove(&id) {
                    Some(Ok(Ours::Person(person))) => Some(person),
                    _ => None,
                };
                let by_address = person
                    .as_ref()
                    .and_then(|p| p.email.as_ref())
                    .is_some_and(|email| claims.contains_key(email.as_str()));
                Ok(BulkPerson {
                    has_contact: by_address || linked.contains_key(&id),
                    exported: exported.contains(&id),
                    person,
                    id: id.parse().map_err(|_| UNREADABLE)?,
                })
            })
            .collect()
    }

    /// Notes what was found out about the next people. `false` where somebody else did meanwhile, or where
    /// nobody wants to know any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bulk_planned(
        &self,
        row: &BulkRow,
        planned: &BulkPlanned<'_>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, row.workspace).await?;
        let named = matches!(row.whom, BulkWhom::People { .. });
        let more = if named { 0 } else { planned.people.len() };
        let moved = sqlx::query!(
            "update bulk_export set planned_to = coalesce($4, planned_to), preview = $5::text::jsonb,
               people = people + $6,
               state = case when $7 then 'waiting_for_confirmation' else state end,
               due_at = case when $7 then null else due_at end
             where workspace_id = $1 and id = $2 and state = 'previewing' and planned_to is not distinct from $3",
            row.workspace.as_uuid(),
            row.bulk.as_uuid(),
            row.planned_to.as_ref().map(|id| id.as_str()),
            planned.to.map(|id| id.as_str()),
            json_of(planned.preview)?,
            i64::try_from(more).unwrap_or(i64::MAX),
            planned.finished
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if moved == 0 {
            return Ok(false);
        }
        let ids: Vec<&str> = planned.people.iter().map(|(id, _)| id.as_str()).collect();
        let left_out: Vec<bool> = planned.people.iter().map(|(_, out)| *out).collect();
        if named {
            sqlx::query!(
                "update bulk_export_person p set left_out = t.left_out
                 from unnest($2::text[], $3::boolean[]) as t (id, left_out)
                 where p.bulk_id = $1 and p.person_id = t.id and p.left_out <> t.left_out",
                row.bulk.as_uuid(),
                &ids as &[&str],
                &left_out
            )
            .execute(&mut *tx)
            .await?;
        } else {
            sqlx::query!(
                "insert into bulk_export_person (bulk_id, workspace_id, person_id, left_out)
                 select $1, $2, t.id, t.left_out from unnest($3::text[], $4::boolean[]) as t (id, left_out)
                 on conflict (bulk_id, person_id) do nothing",
                row.bulk.as_uuid(),
                row.workspace.as_uuid(),
                &ids as &[&str],
                &left_out
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// The first of those who would be taken.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bulk_first(&self, bulk: BulkId, limit: u32) -> Result<Vec<PersonId>, StoreError> {
        let ids = sqlx::query_scalar!(
            "select person_id from bulk_export_person where bulk_id = $1 and not left_out
             order by person_id limit $2",
            bulk.as_uuid(),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(ids.into_iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Keeps what exports of some would do, as long as nobody confirmed. Of whom was erased meanwhile
    /// nothing is kept.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_bulk_sample(
        &self,
        workspace: WorkspaceId,
        bulk: BulkId,
        sample: &[BulkSample],
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        let ids: Vec<&str> = sample.iter().map(|one| one.person.as_str()).collect();
        let known: BTreeSet<String> = sqlx::query_scalar!(
            "select person_id from app_person where workspace_id = $1 and person_id = any($2)",
            workspace.as_uuid(),
            &ids as &[&str]
        )
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .collect();
        let kept: Vec<&BulkSample> = sample
            .iter()
            .filter(|one| known.contains(one.person.as_str()))
            .collect();
        let ids: Vec<&str> = kept.iter().map(|one| one.person.as_str()).collect();
        sqlx::query!(
            "update bulk_export set sample = $3::text::jsonb, sample_people = $4
             where workspace_id = $1 and id = $2 and state in ('previewing', 'waiting_for_confirmation')",
            workspace.as_uuid(),
            bulk.as_uuid(),
            json_of(&kept)?,
            &ids as &[&str]
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
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
            kind: RequestKind::Bulk,
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

    /// Of these people, those who have activities that wait for them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn people_with_waiting_activities(
        &self,
        workspace: WorkspaceId,
        people: &[PersonId],
    ) -> Result<Vec<PersonId>, StoreError> {
        let ids: Vec<&str> = people.iter().map(PersonId::as_str).collect();
        let waited = sqlx::query_scalar!(
            "select e.id as \"id!\" from unnest($2::text[]) as e (id)
             where exists (select 1 from app_activity a
               where a.workspace_id = $1 and a.person_id = e.id and a.state in ('accepted', 'waiting') offset 0)",
            workspace.as_uuid(),
            &ids as &[&str]
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(waited
            .into_iter()
            .filter_map(|id| id.parse().ok())
            .collect())
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
