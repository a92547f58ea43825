//! What becomes of activities (E8): entries of the journal that are closed, engagements that are noted, and how
//! each activity stands.

use std::{collections::BTreeSet, time::Duration};

use domain::{
    PortalId, WorkspaceId,
    app::{ActivityId, PersonId},
    export::{RequestOutcome, WaitReason, journal::EntryId},
};
use sqlx::PgConnection;

use super::{LoggedActivity, PendingActivity};
use crate::{Store, StoreError, erasure, export_drain::RequestsEnd, mirror::type_number};

/// What is written down when a write of an activity is done.
#[derive(Debug, Clone)]
pub struct ActivityDone {
    /// Whose.
    pub workspace: WorkspaceId,
    /// In which portal.
    pub portal: PortalId,
    /// About whom.
    pub person: PersonId,
    /// Which activity.
    pub activity: ActivityId,
    /// The entry that is closed by it.
    pub entry: EntryId,
    /// The engagement; its version is that which was written.
    pub logged: LoggedActivity,
}

/// How an activity stands from now on.
#[derive(Debug, Clone)]
pub struct ActivityTurn {
    /// Which activity.
    pub activity: ActivityId,
    /// The write of its row that this is about.
    pub revision: i64,
    /// How it stands.
    pub outcome: RequestOutcome,
    /// What is said besides.
    pub end: RequestsEnd,
}

impl ActivityTurn {
    /// The end of an activity that was pending.
    pub fn of(activity: &PendingActivity, outcome: RequestOutcome, end: RequestsEnd) -> Self {
        Self {
            activity: activity.id.clone(),
            revision: activity.revision,
            outcome,
            end,
        }
    }
}

impl Store {
    /// How activities stand from now on. One that was sent again meanwhile stays as it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn turn_activities(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        turns: &[ActivityTurn],
    ) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        turn(&mut connection, workspace, portal, turns).await
    }

    /// Lets an activity wait: until a time, or until what it waits for happens. An attempt is counted where
    /// trouble has a code; looks for what may have landed come soon after each other, and make no wait longer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn park_activity(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        activity: &PendingActivity,
        reason: WaitReason,
        wait: Option<Duration>,
        error_code: Option<&'static str>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update app_activity set state = 'waiting', reason = $4, error_code = $5, portal_id = $7,
               attempts = attempts + case when $4 = 'tried_again_later' and $5::text is not null then 1 else 0 end,
               turned_at = clock_timestamp(),
               due_at = clock_timestamp() + make_interval(secs => $6::float8)
             where workspace_id = $1 and activity_id = $2 and revision = $3",
            workspace.as_uuid(),
            activity.id.as_str(),
            activity.revision,
            reason.as_str(),
            error_code,
            wait.map(|w| w.as_secs_f64()),
            portal.get()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Closes the entry of a write that is done, and notes the engagement, in one transaction. `false`: the
    /// engagement is another activity's by now, and nothing was changed.
    ///
    /// # Errors
    /// When the database fails; the entry stays open then.
    pub async fn close_activity(&self, done: &ActivityDone) -> Result<bool, StoreError> {
        let closed = self.close_activities(std::slice::from_ref(done)).await?;
        Ok(closed.first().copied().unwrap_or_default())
    }

    /// The same of several activities of a workspace, in one transaction where that goes; in their order.
    ///
    /// # Errors
    /// When the database fails; entries that are not closed stay open then.
    pub async fn close_activities(&self, done: &[ActivityDone]) -> Result<Vec<bool>, StoreError> {
        if let Some(closed) = self.try_close_activities(done).await? {
            return Ok(closed);
        }
        // One of the engagements was noted in between, or is that of two of them.
        let mut closed = Vec::new();
        for one in done {
            let one = self.try_close_activities(std::slice::from_ref(one)).await?;
            closed.push(one.is_some_and(|one| one == [true]));
        }
        Ok(closed)
    }

    /// None where an engagement turned out to be another activity's: nothing was changed.
    async fn try_close_activities(
        &self,
        done: &[ActivityDone],
    ) -> Result<Option<Vec<bool>>, StoreError> {
        let Some(first) = done.first() else {
            return Ok(Some(Vec::new()));
        };
        let (workspace, portal) = (first.workspace.as_uuid(), first.portal.get());
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, first.workspace).await?;
        let entries: Vec<uuid::Uuid> = done.iter().map(|one| one.entry.as_uuid()).collect();
        let activities: Vec<&str> = done.iter().map(|one| one.activity.as_str()).collect();
        let types: Vec<i16> = done
            .iter()
            .map(|one| type_number(one.logged.object_type))
            .collect();
        let records: Vec<i64> = done.iter().map(|one| one.logged.record.get()).collect();
        let others: BTreeSet<uuid::Uuid> = sqlx::query_scalar!(
            "select t.entry as \"entry!\"
             from unnest($3::uuid[], $4::text[], $5::smallint[], $6::bigint[]) as t (entry, activity, of, record)
             where exists (select 1 from logged_activity l
               where l.portal_id = $2 and l.object_type = t.of and l.record_id = t.record
                 and (l.workspace_id, l.activity_id) is distinct from ($1, t.activity) offset 0)",
            workspace,
            portal,
            &entries,
            &activities as &[&str],
            &types,
            &records
        )
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .collect();
        let free: Vec<&ActivityDone> = done
            .iter()
            .filter(|one| !others.contains(&one.entry.as_uuid()))
            .collect();
        let entries: Vec<uuid::Uuid> = free.iter().map(|one| one.entry.as_uuid()).collect();
        let activities: Vec<&str> = free.iter().map(|one| one.activity.as_str()).collect();
        let types: Vec<i16> = free
            .iter()
            .map(|one| type_number(one.logged.object_type))
            .collect();
        let records: Vec<i64> = free.iter().map(|one| one.logged.record.get()).collect();
        let versions: Vec<i64> = free
            .iter()
            .map(|one| one.logged.version.get().cast_signed())
            .collect();
        let associated: Vec<bool> = free.iter().map(|one| one.logged.associated).collect();
        sqlx::query!(
            "update export_journal j set state = 'done', object_id = t.record, closed_at = clock_timestamp()
             from unnest($2::uuid[], $3::bigint[]) as t (id, record)
             where j.workspace_id = $1 and j.entry_id = t.id and j.state = 'open'",
            workspace,
            &entries,
            &records
        )
        .execute(&mut *tx)
        .await?;
        // Of whom was erased meanwhile nothing is kept.
        let noted = sqlx::query!(
            "insert into logged_activity as l
               (workspace_id, portal_id, activity_id, person_id, object_type, record_id, version, associated, logged_at)
             select $1, $2, a.activity_id, a.person_id, t.of, t.record, t.version, t.associated, clock_timestamp()
             from unnest($3::text[], $4::smallint[], $5::bigint[], $6::bigint[], $7::bool[])
               as t (activity, of, record, version, associated)
             cross join lateral (select a.activity_id, a.person_id from app_activity a
               where a.workspace_id = $1 and a.activity_id = t.activity limit 1) a
             on conflict (workspace_id, portal_id, activity_id) do update set
               object_type = excluded.object_type, record_id = excluded.record_id,
               version = excluded.version, associated = excluded.associated, logged_at = excluded.logged_at",
            workspace,
            portal,
            &activities as &[&str],
            &types,
            &records,
            &versions,
            &associated
        )
        .execute(&mut *tx)
        .await;
        match noted {
            Ok(_) => {
                tx.commit().await?;
                let closed = |one: &ActivityDone| !others.contains(&one.entry.as_uuid());
                Ok(Some(done.iter().map(closed).collect()))
            }
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes that the associations of engagements are there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn activities_associated(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        activities: &[ActivityId],
    ) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        associated(&mut connection, workspace, portal, activities).await
    }

    /// Ends activities whose engagements have their associations, in one transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_associated_activities(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        ends: &[ActivityTurn],
    ) -> Result<(), StoreError> {
        if ends.is_empty() {
            return Ok(());
        }
        let activities: Vec<ActivityId> = ends.iter().map(|end| end.activity.clone()).collect();
        let mut tx = self.pool.begin().await?;
        associated(&mut tx, workspace, portal, &activities).await?;
        turn(&mut tx, workspace, portal, ends).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Forgets the engagement of an activity: it was archived. Closes the entry in the same transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn close_archived_activity(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        activity: &ActivityId,
        entry: EntryId,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "update export_journal set state = 'done', closed_at = clock_timestamp()
             where workspace_id = $1 and entry_id = $2 and state = 'open'",
            workspace.as_uuid(),
            entry.as_uuid()
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from logged_activity where workspace_id = $1 and portal_id = $2 and activity_id = $3",
            workspace.as_uuid(),
            portal.get(),
            activity.as_str()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn turn(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portal: PortalId,
    turns: &[ActivityTurn],
) -> Result<(), StoreError> {
    if turns.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = turns.iter().map(|turn| turn.activity.as_str()).collect();
    let revisions: Vec<i64> = turns.iter().map(|turn| turn.revision).collect();
    let states: Vec<&str> = turns
        .iter()
        .map(|turn| turn.outcome.state().as_str())
        .collect();
    let reasons: Vec<Option<&str>> = turns.iter().map(|turn| turn.outcome.reason()).collect();
    let codes: Vec<Option<&str>> = turns.iter().map(|turn| turn.end.error_code).collect();
    let properties: Vec<Option<String>> = turns
        .iter()
        .map(|turn| Some(&turn.end.properties).filter(|p| !p.is_empty()))
        .map(|names| names.map(|names| names.join(",")))
        .collect();
    let records: Vec<Option<i64>> = turns
        .iter()
        .map(|turn| match turn.outcome {
            RequestOutcome::Exported { hubspot_id } => Some(hubspot_id.get()),
            _ => None,
        })
        .collect();
    sqlx::query!(
        "update app_activity a set state = t.state, reason = t.reason, error_code = t.code,
           properties = string_to_array(t.properties, ','), hubspot_id = t.record, portal_id = $2, due_at = null,
           attempts = 0, turned_at = clock_timestamp()
         from unnest($3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[])
           as t (id, revision, state, reason, code, properties, record)
         where a.workspace_id = $1 and a.activity_id = t.id and a.revision = t.revision",
        workspace.as_uuid(),
        portal.get(),
        &ids as &[&str],
        &revisions,
        &states as &[&str],
        &reasons as &[Option<&str>],
        &codes as &[Option<&str>],
        &properties as &[Option<String>],
        &records as &[Option<i64>]
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn associated(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portal: PortalId,
    activities: &[ActivityId],
) -> Result<(), StoreError> {
    let ids: Vec<&str> = activities.iter().map(ActivityId::as_str).collect();
    sqlx::query!(
        "update logged_activity l set associated = true
         from unnest($3::text[]) as t (id)
         where l.workspace_id = $1 and l.portal_id = $2 and l.activity_id = t.id",
        workspace.as_uuid(),
        portal.get(),
        &ids as &[&str]
    )
    .execute(tx)
    .await?;
    Ok(())
}
