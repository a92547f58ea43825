//! Activities of the app's side (E8).

mod log;
mod shown;
mod turn;

pub use log::{
    LoggedActivity, MostActivities, OpenActivityEntries, PendingActivity, SettledActivities,
};
pub use turn::{ActivityDone, ActivityTurn};

use chrono::{DateTime, Utc};
use domain::{
    ConnectionState, HubSpotObjectId, WorkspaceId,
    activities::{Activity, ActivityUpsert},
    app::{ActivityId, PersonId, Slot, SlotVersions},
    export::{RequestOutcome, SkipReason, WaitReason},
};
use sqlx::PgConnection;

use self::shown::{Raw, shown};
use crate::{
    Store, StoreError,
    connections::state_of,
    erasure::Identity,
    records::{Listed, Record, RowToWrite, StoredRow, Upserted, Written},
};

/// When it is looked whether somebody was exported while an activity about them came in, in seconds.
const LOOK_AFTER: f64 = 30.0;

/// An activity and how it stands.
#[derive(Debug, Clone)]
pub struct ActivityRow {
    /// The activity.
    pub activity: Activity,
    /// How it stands.
    pub outcome: RequestOutcome,
    /// Why it was left out, failed, or was not written whole.
    pub error_code: Option<String>,
    /// The engagement that the connected portal has of it.
    pub engagement: Option<HubSpotObjectId>,
    /// When the state last changed.
    pub turned_at: DateTime<Utc>,
}

impl Record for Activity {
    const NAME: &'static str = "activity";

    fn id_of(upsert: &ActivityUpsert) -> &str {
        upsert.id.as_str()
    }

    fn slots(&self) -> &SlotVersions {
        &self.slots
    }

    fn set_slots(&mut self, slots: SlotVersions) {
        self.slots = slots;
    }

    fn identities(upsert: &ActivityUpsert) -> Vec<Identity<'_>> {
        vec![Identity::Person(upsert.person.as_str())]
    }

    fn person_of(upsert: &ActivityUpsert) -> Option<&PersonId> {
        Some(&upsert.person)
    }

    fn keeps(&self, upsert: &ActivityUpsert) -> Option<Slot> {
        Self::keeps(self, upsert)
    }

    async fn load(
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        ids: &[&str],
    ) -> Result<Vec<StoredRow>, sqlx::Error> {
        sqlx::query_as!(
            StoredRow,
            "select activity_id as id, revision, document::text as \"document!\", slots::text as \"slots!\"
             from app_activity where workspace_id = $1 and activity_id = any($2)",
            workspace.as_uuid(),
            ids as &[&str]
        )
        .fetch_all(tx)
        .await
    }

    async fn save(
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        rows: &[RowToWrite<'_, Self>],
        now: DateTime<Utc>,
    ) -> Result<u64, sqlx::Error> {
        let ids: Vec<&str> = rows.iter().map(|r| r.id).collect();
        let expected: Vec<Option<i64>> = rows.iter().map(|r| r.expected).collect();
        let versions: Vec<i64> = rows
            .iter()
            .map(|r| r.record.version.get().cast_signed())
            .collect();
        let documents: Vec<&str> = rows.iter().map(|r| r.document.as_str()).collect();
        let people: Vec<&str> = rows.iter().map(|r| r.record.person.as_str()).collect();
        let kinds: Vec<Option<&str>> = rows
            .iter()
            .map(|r| r.record.kind.as_ref().map(|kind| kind.as_str()))
            .collect();
        let times: Vec<Option<DateTime<Utc>>> = rows
            .iter()
            .map(|r| r.record.happened.as_ref().map(|h| h.at))
            .collect();
        let done = sqlx::query!(
            "insert into app_activity as r
               (workspace_id, activity_id, person_id, kind, version, revision, happened_at, document, slots,
                created_at, changed_at, turned_at)
             select $1, id, person, kind, version, coalesce(expected, 0) + 1, happened, document::json, '{}', $2, $2, $2
             from unnest($3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::timestamptz[])
               as t (id, expected, version, document, person, kind, happened)
             on conflict (workspace_id, activity_id) do update set
               version = excluded.version, revision = excluded.revision, document = excluded.document,
               kind = excluded.kind, happened_at = excluded.happened_at, changed_at = excluded.changed_at
             where r.revision = excluded.revision - 1",
            workspace.as_uuid(),
            now,
            &ids as &[&str],
            &expected as &[Option<i64>],
            &versions,
            &documents as &[&str],
            &people as &[&str],
            &kinds as &[Option<&str>],
            &times as &[Option<DateTime<Utc>>]
        )
        .execute(tx)
        .await?;
        Ok(done.rows_affected())
    }

    /// How the written ones stand: they go on, or wait for the person or for the connection.
    async fn follow(
        _store: &Store,
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        written: &[Written<'_, Self>],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let connection = sqlx::query!(
            "select state, portal_id from connection where workspace_id = $1",
            workspace.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        let portal = connection.as_ref().map(|row| row.portal_id);
        let state = connection.map(|row| state_of(&row.state)).transpose()?;
        let connected = state == Some(ConnectionState::Connected);
        let otherwise = RequestOutcome::to_go_on(state);
        let ids: Vec<&str> = written.iter().map(|w| w.after.id.as_str()).collect();
        let people: Vec<&str> = written.iter().map(|w| w.after.person.as_str()).collect();
        let deleted: Vec<bool> = written.iter().map(|w| w.after.happened.is_none()).collect();
        sqlx::query!(
            "update app_activity a set attempts = 0, error_code = null, properties = null, hubspot_id = null,
               portal_id = $3, turned_at = $2::timestamptz,
               state = case when not $4::bool then 'waiting' when e.exported then 'accepted'
                 when e.deleted then 'skipped' else 'waiting' end,
               reason = case when not $4::bool then $5::text when e.exported then null
                 when e.deleted then $6::text else $7::text end,
               due_at = case when not $4::bool then null when e.exported then $2::timestamptz
                 when e.deleted then null
                 else $2::timestamptz + make_interval(secs => $11::float8) end
             from (select t.id, t.deleted, x.exported
               from unnest($8::text[], $9::text[], $10::bool[]) as t (id, person, deleted)
               cross join lateral (select exists (select 1 from exported_person x
                 where x.workspace_id = $1 and x.portal_id = $3 and x.person_id = t.person) as exported
                 offset 0) x) e
             where a.workspace_id = $1 and a.activity_id = e.id",
            workspace.as_uuid(),
            now,
            portal,
            connected,
            otherwise.reason(),
            SkipReason::ActivityDeleted.as_str(),
            WaitReason::PersonNotExported.as_str(),
            &ids as &[&str],
            &people as &[&str],
            &deleted,
            LOOK_AFTER
        )
        .execute(tx)
        .await?;
        Ok(())
    }
}

impl Store {
    /// Takes in versioned activities, in the order given: the highest version of each stands, and rows that
    /// do not change are not written. Those of erased people stay out.
    ///
    /// # Errors
    /// When the database fails, nothing of the bulk is written then;
    /// [`StoreError::NotFound`] for a workspace that is not known.
    pub async fn upsert_activities(
        &self,
        workspace: WorkspaceId,
        upserts: &[ActivityUpsert],
        now: DateTime<Utc>,
    ) -> Result<Vec<Upserted>, StoreError> {
        self.upsert_records::<Activity>(workspace, upserts, now)
            .await
    }

    /// A person's activities in the order of their ids, each with how it stands.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn activities_after(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
        after: Option<&ActivityId>,
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
             where a.workspace_id = $1 and a.person_id = $2 and a.activity_id > $3
             order by a.activity_id limit $4",
            workspace.as_uuid(),
            person.as_str(),
            after.map_or("", |a| a.as_str()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|raw| shown(workspace, raw)).collect())
    }
}

/// Removes the activities of erased people, and what is known of their engagements.
pub(crate) async fn erase(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    people: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from app_activity where workspace_id = $1 and person_id = any($2)",
        workspace.as_uuid(),
        people
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from logged_activity where workspace_id = $1 and person_id = any($2)",
        workspace.as_uuid(),
        people
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Which of these people are not there. The caller holds the workspace's lock.
pub(crate) async fn unknown_people(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    people: &[&str],
) -> Result<std::collections::BTreeSet<String>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "select e.id as \"id!\" from unnest($2::text[]) as e (id)
         where not exists (select 1 from app_person p
           where p.workspace_id = $1 and p.person_id = e.id offset 0)",
        workspace.as_uuid(),
        people as &[&str]
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().collect())
}
