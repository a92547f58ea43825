//! Activities as people look at them: the last ones of a person, and those that are not in HubSpot, by
//! the reason; and those of them that go on again (E8, X1).

use chrono::{DateTime, Utc};
use domain::{
    WorkspaceId,
    activities::Activity,
    api::RetryReason,
    app::{ActivityId, PersonId},
    export::{RequestOutcome, RequestState},
};

use super::ActivityRow;
use crate::{
    Store, StoreError, UnreadableRow, erasure,
    export_reasons::{COUNTED, ReasonCount},
    mirror::object_id,
    records::{Listed, Record as _, listed},
};

/// A row of the table with its engagement, as it comes.
pub(super) struct Raw {
    pub(super) activity_id: String,
    pub(super) document: String,
    pub(super) slots: String,
    pub(super) state: String,
    pub(super) reason: Option<String>,
    pub(super) error_code: Option<String>,
    pub(super) hubspot_id: Option<i64>,
    pub(super) due_at: Option<DateTime<Utc>>,
    pub(super) turned_at: DateTime<Utc>,
    pub(super) record_id: Option<i64>,
}

/// One that cannot be read harms only itself.
pub(super) fn shown(workspace: WorkspaceId, raw: Raw) -> Listed<ActivityRow> {
    let unreadable = || UnreadableRow::found(workspace, Activity::NAME, raw.activity_id.clone());
    let activity = listed(workspace, &raw.activity_id, &raw.document, &raw.slots)?;
    let state: RequestState = raw.state.parse().map_err(|_| unreadable())?;
    let id = |id: Option<i64>| id.map(object_id).transpose();
    let outcome = RequestOutcome::from_parts(
        state,
        raw.reason.as_deref(),
        raw.due_at,
        id(raw.hubspot_id).map_err(|_| unreadable())?,
    )
    .map_err(|_| unreadable())?;
    Ok(ActivityRow {
        activity,
        outcome,
        engagement: id(raw.record_id).map_err(|_| unreadable())?,
        error_code: raw.error_code,
        turned_at: raw.turned_at,
    })
}

impl Store {
    /// A person's last activities, newest first, each with how it stands. What the app deleted comes last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn latest_activities(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
        limit: u32,
    ) -> Result<Vec<Listed<ActivityRow>>, StoreError> {
        let rows = sqlx::query_as!(
            Raw,
            "select a.activity_id, a.document::text as \"document!\", a.slots::text as \"slots!\", a.state, a.reason,
               a.error_code, a.hubspot_id, a.due_at, a.turned_at,
               (select l.record_id from logged_activity l where l.workspace_id = $1
                  and l.portal_id = (select c.portal_id from connection c where c.workspace_id = $1)
                  and l.activity_id = a.activity_id) as record_id
             from app_activity a
             where a.workspace_id = $1 and a.person_id = $2
             order by a.happened_at desc nulls last, a.activity_id limit $3",
            workspace.as_uuid(),
            person.as_str(),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|raw| shown(workspace, raw)).collect())
    }

    /// The activities that have this reason, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn activities_with(
        &self,
        workspace: WorkspaceId,
        reason: RetryReason,
        limit: u32,
    ) -> Result<Vec<Listed<ActivityRow>>, StoreError> {
        let rows = sqlx::query_as!(
            Raw,
            "select a.activity_id, a.document::text as \"document!\", a.slots::text as \"slots!\", a.state, a.reason,
               a.error_code, a.hubspot_id, a.due_at, a.turned_at, null::bigint as record_id
             from app_activity a
             where a.workspace_id = $1 and a.state = $2 and a.reason = $3 and a.state <> 'exported'
             order by a.turned_at desc limit $4",
            workspace.as_uuid(),
            reason.state().as_str(),
            reason.as_str(),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|raw| shown(workspace, raw)).collect())
    }

    /// How many activities have each of these reasons now, in the order asked; those that none has are
    /// left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_activity_reasons(
        &self,
        workspace: WorkspaceId,
        reasons: &[RetryReason],
    ) -> Result<Vec<ReasonCount>, StoreError> {
        let states: Vec<&str> = reasons.iter().map(|r| r.state().as_str()).collect();
        let names: Vec<&str> = reasons.iter().map(RetryReason::as_str).collect();
        let rows = sqlx::query!(
            "select w.place as \"place!\", n.activities as \"activities!\"
             from unnest($2::text[], $3::text[]) with ordinality as w (state, reason, place)
             cross join lateral (select count(*) as activities from (
               select 1 from app_activity a
               where a.workspace_id = $1 and a.state = w.state and a.reason = w.reason
                 and a.state <> 'exported' limit $4) few offset 0) n
             where n.activities > 0 order by w.place",
            workspace.as_uuid(),
            &states as &[&str],
            &names as &[&str],
            COUNTED + 1
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| ReasonCount::of(reasons, row.place, row.activities))
            .collect())
    }

    /// Lets an activity go on now that failed or is to be tried again later, as if it was new, and says about
    /// whom it is. None: there is no such one, or it goes on already, or waits for something else.
    ///
    /// # Errors
    /// When the database fails; [`StoreError::NotFound`] for a workspace that is not known.
    pub async fn retry_activity(
        &self,
        workspace: WorkspaceId,
        activity: &ActivityId,
        now: DateTime<Utc>,
    ) -> Result<Option<PersonId>, StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        erasure::must_exist(&mut tx, workspace).await?;
        // Without a connection it waits for one as it is.
        let person = sqlx::query_scalar!(
            "update app_activity a set state = 'waiting', reason = 'person_not_exported', due_at = $3, attempts = 0,
               error_code = null, properties = null, turned_at = $3, portal_id = c.portal_id
             from connection c
             where c.workspace_id = $1 and c.state = 'connected'
               and a.workspace_id = $1 and a.activity_id = $2
               and (a.state = 'failed' or a.state = 'waiting' and a.reason = 'tried_again_later')
             returning a.person_id",
            workspace.as_uuid(),
            activity.as_str(),
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        person
            .map(|id| {
                id.parse()
                    .map_err(|_| StoreError::Corrupt("id of a person"))
            })
            .transpose()
    }

    /// The same for `limit` activities with this reason at most. Says how many go on.
    ///
    /// # Errors
    /// When the database fails; [`StoreError::NotFound`] for a workspace that is not known.
    pub async fn retry_activities(
        &self,
        workspace: WorkspaceId,
        reason: RetryReason,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        erasure::must_exist(&mut tx, workspace).await?;
        let picked = sqlx::query_scalar!(
            "select a.activity_id from app_activity a
             where a.workspace_id = $1 and a.state = $2 and a.reason = $3 and a.state <> 'exported'
               and (a.state = 'failed' or a.state = 'waiting' and a.reason = 'tried_again_later')
             limit $4 for update skip locked",
            workspace.as_uuid(),
            reason.state().as_str(),
            reason.as_str(),
            i64::from(limit)
        )
        .fetch_all(&mut *tx)
        .await?;
        let done = sqlx::query!(
            "update app_activity a set state = 'waiting', reason = 'person_not_exported', due_at = $3, attempts = 0,
               error_code = null, properties = null, turned_at = $3, portal_id = c.portal_id
             from unnest($2::text[]) as e (id), connection c
             where c.workspace_id = $1 and c.state = 'connected'
               and a.workspace_id = $1 and a.activity_id = e.id",
            workspace.as_uuid(),
            &picked,
            now
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }
}
