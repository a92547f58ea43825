//! Requests to export: each is a row first (X1).

use chrono::{DateTime, Utc};
use domain::{
    BulkId, HubSpotObjectId, WorkspaceId,
    api::RetryReason,
    app::PersonId,
    export::{RequestId, RequestKind, RequestOutcome, RequestState, SkipReason},
};

use sqlx::PgConnection;

use crate::{Listed, Store, StoreError, UnreadableRow, connections::state_of, erasure};

/// Requests that were just made.
#[derive(Debug)]
pub struct NewExports<'a> {
    pub workspace: WorkspaceId,
    /// Why they exist.
    pub kind: RequestKind,
    /// A request's id and whom it is about.
    pub people: &'a [(RequestId, PersonId)],
    /// Whether people who qualified before the policy was in force are taken too.
    pub include_earlier: bool,
    /// Whether a contact that was archived in HubSpot is made again; of a manual request alone.
    pub anew: bool,
    /// The bulk export that they are part of, which looks after them itself: they have no due time.
    pub bulk: Option<BulkId>,
}

/// A request as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRow {
    pub request: RequestId,
    /// Why it exists.
    pub kind: RequestKind,
    /// About whom; nobody any more after an erasure.
    pub person: Option<PersonId>,
    /// What became of it so far.
    pub outcome: RequestOutcome,
    /// What says more of it: the paragraph of `docs/errors.md`.
    pub code: Option<String>,
    /// The properties that it is about; of an exported one those that were not written.
    pub properties: Vec<String>,
    /// When it was accepted.
    pub requested_at: DateTime<Utc>,
    /// When its state last changed.
    pub changed_at: DateTime<Utc>,
}

/// Which requests to list.
#[derive(Debug, Clone, Default)]
pub struct ExportFilter {
    /// About this person only.
    pub person: Option<PersonId>,
    /// In this state only.
    pub state: Option<RequestState>,
}

/// A row of the table, as it comes.
struct Raw {
    id: uuid::Uuid,
    kind: String,
    person_id: Option<String>,
    state: String,
    reason: Option<String>,
    due_at: Option<DateTime<Utc>>,
    hubspot_id: Option<i64>,
    error_code: Option<String>,
    properties: Option<Vec<String>>,
    requested_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
}

impl TryFrom<Raw> for ExportRow {
    type Error = StoreError;

    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        let corrupt = |_| StoreError::Unreadable("export request");
        let hubspot_id = raw
            .hubspot_id
            .map(HubSpotObjectId::new)
            .transpose()
            .map_err(corrupt)?;
        Ok(Self {
            request: RequestId::new(raw.id),
            kind: raw.kind.parse().map_err(corrupt)?,
            person: raw
                .person_id
                .map(|id| id.parse())
                .transpose()
                .map_err(corrupt)?,
            outcome: RequestOutcome::from_parts(
                raw.state.parse().map_err(corrupt)?,
                raw.reason.as_deref(),
                raw.due_at,
                hubspot_id,
            )
            .map_err(corrupt)?,
            code: raw.error_code,
            properties: raw.properties.unwrap_or_default(),
            requested_at: raw.requested_at,
            changed_at: raw.changed_at,
        })
    }
}

impl Store {
    /// Writes requests down, in one transaction. One about a person who is not known ends at once as
    /// skipped; without a usable connection they wait. One whose id is there already stays as it is:
    /// the same call again has one effect. The rows come back in the order given.
    ///
    /// # Errors
    /// When the database fails, nothing is written then; [`StoreError::NotFound`] for a workspace
    /// that is not known.
    pub async fn request_exports(
        &self,
        new: &NewExports<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<ExportRow>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let rows = self.request_in(&mut tx, new, now).await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// The same, in a transaction.
    pub(crate) async fn request_in(
        &self,
        tx: &mut PgConnection,
        new: &NewExports<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<ExportRow>, StoreError> {
        erasure::hold_shared(tx, new.workspace).await?;
        erasure::must_exist(tx, new.workspace).await?;
        let state = sqlx::query!(
            "select state from connection where workspace_id = $1",
            new.workspace.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?
        .map(|row| state_of(&row.state))
        .transpose()?;
        let usual = RequestOutcome::to_go_on(state);
        let asked: Vec<&str> = new.people.iter().map(|(_, p)| p.as_str()).collect();
        let known: std::collections::BTreeSet<String> = sqlx::query!(
            "select person_id from app_person where workspace_id = $1 and person_id = any($2)",
            new.workspace.as_uuid(),
            &asked as &[&str]
        )
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .map(|row| row.person_id)
        .collect();
        // Of whom was erased, not even the id is written down.
        let hashes: Vec<Vec<u8>> = new
            .people
            .iter()
            .map(|(_, person)| self.person_hash(new.workspace, person))
            .collect();
        let erased = if asked.iter().all(|p| known.contains(*p)) {
            std::collections::BTreeSet::new()
        } else {
            erasure::erased_among(tx, new.workspace, &hashes).await?
        };
        let rows: Vec<ExportRow> = new
            .people
            .iter()
            .zip(&hashes)
            .map(|((request, person), hash)| ExportRow {
                request: *request,
                kind: new.kind,
                person: (!erased.contains(hash)).then(|| person.clone()),
                outcome: if known.contains(person.as_str()) {
                    usual
                } else if erased.contains(hash) {
                    RequestOutcome::Skipped {
                        reason: SkipReason::Erased,
                    }
                } else {
                    RequestOutcome::Skipped {
                        reason: SkipReason::UnknownPerson,
                    }
                },
                code: None,
                properties: Vec::new(),
                requested_at: now,
                changed_at: now,
            })
            .collect();
        let people: Vec<Option<&str>> = asked
            .iter()
            .zip(&hashes)
            .map(|(person, hash)| (!erased.contains(hash)).then_some(*person))
            .collect();
        let hashes: Vec<Option<&[u8]>> = hashes
            .iter()
            .map(|hash| erased.contains(hash).then_some(hash.as_slice()))
            .collect();
        let ids: Vec<uuid::Uuid> = rows.iter().map(|r| r.request.as_uuid()).collect();
        let states: Vec<&str> = rows.iter().map(|r| r.outcome.state().as_str()).collect();
        let reasons: Vec<Option<&str>> = rows.iter().map(|r| r.outcome.reason()).collect();
        let due: Vec<Option<DateTime<Utc>>> = rows
            .iter()
            .map(|r| (r.outcome == RequestOutcome::Accepted && new.bulk.is_none()).then_some(now))
            .collect();
        sqlx::query!(
            "insert into export_request
               (id, workspace_id, person_id, kind, include_earlier, state, reason, due_at, requested_at, changed_at, person_hash, anew, bulk_id)
             select id, $1, person, $2, $3, state, reason, due, $4, $4, hash, $11, $12
             from unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::bytea[])
               as t (id, person, state, reason, due, hash)
             on conflict (id) do nothing",
            new.workspace.as_uuid(),
            new.kind.as_str(),
            new.include_earlier,
            now,
            &ids,
            &people as &[Option<&str>],
            &states as &[&str],
            &reasons as &[Option<&str>],
            &due as &[Option<DateTime<Utc>>],
            &hashes as &[Option<&[u8]>],
            new.anew,
            new.bulk.map(|bulk| bulk.as_uuid())
        )
        .execute(&mut *tx)
        .await?;
        let raw = sqlx::query_as!(
            Raw,
            "select id, kind, person_id, state, reason, due_at, hubspot_id, error_code, properties, requested_at, changed_at
             from export_request where workspace_id = $1 and id = any($2)",
            new.workspace.as_uuid(),
            &ids
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut written = raw
            .into_iter()
            .map(|raw| Ok((raw.id, ExportRow::try_from(raw)?)))
            .collect::<Result<std::collections::HashMap<_, _>, StoreError>>()?;
        ids.iter()
            .map(|id| {
                written
                    .remove(id)
                    .ok_or(StoreError::Corrupt("export request"))
            })
            .collect()
    }

    /// One request.
    pub async fn export_request(
        &self,
        workspace: WorkspaceId,
        request: RequestId,
    ) -> Result<Option<ExportRow>, StoreError> {
        let raw = sqlx::query_as!(
            Raw,
            "select id, kind, person_id, state, reason, due_at, hubspot_id, error_code, properties, requested_at, changed_at
             from export_request where workspace_id = $1 and id = $2",
            workspace.as_uuid(),
            request.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        raw.map(ExportRow::try_from).transpose()
    }

    /// The requests that have this reason, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn export_requests_with(
        &self,
        workspace: WorkspaceId,
        reason: RetryReason,
        limit: u32,
    ) -> Result<Vec<Listed<ExportRow>>, StoreError> {
        let raw = sqlx::query_as!(
            Raw,
            "select id, kind, person_id, state, reason, due_at, hubspot_id, error_code, properties, requested_at, changed_at
             from export_request
             where workspace_id = $1 and state = $2 and reason = $3 and state <> 'exported'
             order by changed_at desc limit $4",
            workspace.as_uuid(),
            reason.state().as_str(),
            reason.as_str(),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(listed(workspace, raw))
    }

    /// The last requests about a person, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn latest_requests(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
        limit: u32,
    ) -> Result<Vec<Listed<ExportRow>>, StoreError> {
        let raw = sqlx::query_as!(
            Raw,
            "select id, kind, person_id, state, reason, due_at, hubspot_id, error_code, properties, requested_at, changed_at
             from export_request where workspace_id = $1 and person_id = $2 order by id desc limit $3",
            workspace.as_uuid(),
            person.as_str(),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(listed(workspace, raw))
    }

    /// Requests in the order in which they were made.
    pub async fn export_requests_after(
        &self,
        workspace: WorkspaceId,
        filter: &ExportFilter,
        after: Option<RequestId>,
        limit: u32,
    ) -> Result<Vec<Listed<ExportRow>>, StoreError> {
        let raw = sqlx::query_as!(
            Raw,
            "select id, kind, person_id, state, reason, due_at, hubspot_id, error_code, properties, requested_at, changed_at
             from export_request
             where workspace_id = $1 and ($2::uuid is null or id > $2)
               and ($3::text is null or person_id = $3 or person_hash = $6) and ($4::text is null or state = $4)
             order by id limit $5",
            workspace.as_uuid(),
            after.map(|a| a.as_uuid()),
            filter.person.as_ref().map(|p| p.as_str()),
            filter.state.map(|s| s.as_str()),
            i64::from(limit),
            filter
                .person
                .as_ref()
                .map(|p| self.person_hash(workspace, p))
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(listed(workspace, raw))
    }
}

fn listed(workspace: WorkspaceId, raw: Vec<Raw>) -> Vec<Listed<ExportRow>> {
    raw.into_iter()
        .map(|raw| {
            let id = raw.id;
            ExportRow::try_from(raw)
                .map_err(|_| UnreadableRow::found(workspace, "export request", id))
        })
        .collect()
}
