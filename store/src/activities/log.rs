//! What a person's timeline is written from, and what becomes of it (E8).

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType, PortalId, WorkspaceId,
    activities::Activity,
    app::{ActivityId, PersonId, RecordVersion},
    export::{
        RequestOutcome, WaitReason,
        journal::{Entry, EntryId, Subject},
    },
};

use crate::{
    Store, StoreError, erasure,
    export_drain::RequestsEnd,
    journal::{EntryRow, JournalRow},
    mirror::{object_id, type_number, type_of_number},
    records::record_of,
};

/// An activity that is to be written.
#[derive(Debug)]
pub struct PendingActivity {
    /// The activity; none of one that cannot be read.
    pub activity: Option<Activity>,
    /// Which one.
    pub id: ActivityId,
    /// Counts the writes of its row.
    pub revision: i64,
    /// Attempts since it last got somewhere.
    pub attempts: u32,
    /// The engagement that the portal has of it.
    pub logged: Option<LoggedActivity>,
}

/// An engagement that is an activity's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedActivity {
    /// Of which type it is.
    pub object_type: ObjectType,
    /// Which one.
    pub record: HubSpotObjectId,
    /// The app's version that was written.
    pub version: RecordVersion,
    /// Whether its associations are known to be there.
    pub associated: bool,
}

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

impl Store {
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

    /// Activities about a person that are to be written now, in the order in which they happened. Of a
    /// portal that has none of them yet, all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pending_activities(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        person: &PersonId,
        limit: u32,
    ) -> Result<Vec<PendingActivity>, StoreError> {
        let rows = sqlx::query!(
            "select a.activity_id, a.revision, a.document::text as \"document!\", a.slots::text as \"slots!\", a.attempts,
               l.object_type as \"object_type?\", l.record_id as \"record_id?\", l.version as \"logged_version?\",
               l.associated as \"associated?\"
             from app_activity a
             left join logged_activity l on l.workspace_id = $1 and l.portal_id = $2
               and l.activity_id = a.activity_id
             where a.workspace_id = $1 and a.person_id = $3
               and (a.portal_id is distinct from $2 or a.state = 'accepted'
                 or a.state = 'waiting' and (a.due_at <= clock_timestamp()
                   or a.reason in ('not_connected', 'needs_reconnect', 'person_not_exported')))
             order by a.happened_at nulls first, a.activity_id limit $4",
            workspace.as_uuid(),
            portal.get(),
            person.as_str(),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let logged = match (row.object_type, row.record_id, row.logged_version) {
                    (Some(of), Some(record), Some(version)) => Some(LoggedActivity {
                        object_type: type_of_number(of)?,
                        record: object_id(record)?,
                        version: version_of(version)?,
                        associated: row.associated.unwrap_or_default(),
                    }),
                    _ => None,
                };
                Ok(PendingActivity {
                    activity: record_of(&row.document, &row.slots).ok(),
                    id: row
                        .activity_id
                        .parse()
                        .map_err(|_| StoreError::Corrupt("activity"))?,
                    revision: row.revision,
                    attempts: u32::try_from(row.attempts).unwrap_or(0),
                    logged,
                })
            })
            .collect()
    }

    /// The contact that a person was exported as; none of whom the portal does not have from us.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn exported_contact(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        person: &PersonId,
    ) -> Result<Option<HubSpotObjectId>, StoreError> {
        let contact = sqlx::query_scalar!(
            "select contact_id from exported_person
             where workspace_id = $1 and portal_id = $2 and person_id = $3",
            workspace.as_uuid(),
            portal.get(),
            person.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        contact.map(object_id).transpose()
    }

    /// Lets all activities about somebody whom the portal does not have wait for that (E8).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn park_activities_of(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        person: &PersonId,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update app_activity set state = 'waiting', reason = 'person_not_exported', error_code = null,
               portal_id = $2, due_at = null, turned_at = clock_timestamp()
             where workspace_id = $1 and person_id = $3
               and (state = 'accepted' or state = 'waiting' and reason <> 'person_not_exported')",
            workspace.as_uuid(),
            portal.get(),
            person.as_str()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// How an activity stands from now on. One that was sent again meanwhile stays as it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn turn_activity(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        activity: &PendingActivity,
        outcome: RequestOutcome,
        end: &RequestsEnd,
    ) -> Result<(), StoreError> {
        let hubspot_id = match outcome {
            RequestOutcome::Exported { hubspot_id } => Some(hubspot_id.get()),
            _ => None,
        };
        let properties = Some(end.properties.clone()).filter(|p| !p.is_empty());
        sqlx::query!(
            "update app_activity set state = $4, reason = $5, error_code = $6, properties = $7, hubspot_id = $8,
               portal_id = $9, due_at = null, attempts = 0, turned_at = clock_timestamp()
             where workspace_id = $1 and activity_id = $2 and revision = $3",
            workspace.as_uuid(),
            activity.id.as_str(),
            activity.revision,
            outcome.state().as_str(),
            outcome.reason(),
            end.error_code,
            properties.as_deref(),
            hubspot_id,
            portal.get()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lets an activity wait: until a time, with one more attempt counted, or until what it waits for
    /// happens.
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
               attempts = attempts + 1, turned_at = clock_timestamp(),
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
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, done.workspace).await?;
        let others = sqlx::query_scalar!(
            "select exists (select 1 from logged_activity
               where portal_id = $1 and object_type = $2 and record_id = $3
                 and (workspace_id, activity_id) is distinct from ($4, $5)) as \"others!\"",
            done.portal.get(),
            type_number(done.logged.object_type),
            done.logged.record.get(),
            done.workspace.as_uuid(),
            done.activity.as_str()
        )
        .fetch_one(&mut *tx)
        .await?;
        if others {
            return Ok(false);
        }
        sqlx::query!(
            "update export_journal set state = 'done', object_id = $3, closed_at = clock_timestamp()
             where workspace_id = $1 and entry_id = $2 and state = 'open'",
            done.workspace.as_uuid(),
            done.entry.as_uuid(),
            done.logged.record.get()
        )
        .execute(&mut *tx)
        .await?;
        // Of whom was erased meanwhile nothing is kept.
        let noted = sqlx::query!(
            "insert into logged_activity as l
               (workspace_id, portal_id, activity_id, person_id, object_type, record_id, version, associated, logged_at)
             select $1, $2, activity_id, person_id, $4, $5, $6, $7, clock_timestamp()
             from app_activity where workspace_id = $1 and activity_id = $3
             on conflict (workspace_id, portal_id, activity_id) do update set
               object_type = excluded.object_type, record_id = excluded.record_id,
               version = excluded.version, associated = excluded.associated, logged_at = excluded.logged_at",
            done.workspace.as_uuid(),
            done.portal.get(),
            done.activity.as_str(),
            type_number(done.logged.object_type),
            done.logged.record.get(),
            done.logged.version.get().cast_signed(),
            done.logged.associated
        )
        .execute(&mut *tx)
        .await;
        match noted {
            Ok(_) => {
                tx.commit().await?;
                Ok(true)
            }
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes that the associations of an engagement are there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn activity_associated(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        activity: &ActivityId,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update logged_activity set associated = true
             where workspace_id = $1 and portal_id = $2 and activity_id = $3",
            workspace.as_uuid(),
            portal.get(),
            activity.as_str()
        )
        .execute(&self.pool)
        .await?;
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

    /// Which of these engagements are activities' already, of any workspace of the portal.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn taken_engagements(
        &self,
        portal: PortalId,
        object_type: ObjectType,
        records: &[HubSpotObjectId],
    ) -> Result<BTreeSet<HubSpotObjectId>, StoreError> {
        let ids: Vec<i64> = records.iter().map(|id| id.get()).collect();
        let rows = sqlx::query_scalar!(
            "select e.id as \"id!\" from unnest($3::bigint[]) as e (id)
             where exists (select 1 from logged_activity l
               where l.portal_id = $1 and l.object_type = $2 and l.record_id = e.id offset 0)",
            portal.get(),
            type_number(object_type),
            &ids
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(object_id).collect()
    }

    /// Entries about a person's activities that somebody left open, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for one that cannot be read: nothing is written before it can.
    pub async fn open_activity_entries(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        person: &PersonId,
    ) -> Result<Vec<(ActivityId, Entry)>, StoreError> {
        let rows = sqlx::query_as!(
            EntryRow,
            "select entry_id, portal_id, person_id, subject_kind, subject_id, cause::text as \"cause!\",
               operation::text as \"operation!\", object_id, written::text as \"written!\", state, error_code,
               opened_at, sent_at, closed_at
             from export_journal where workspace_id = $1 and person_id = $2 and portal_id = $3 and state = 'open'
               and subject_kind = 'activity'
             order by entry_id",
            workspace.as_uuid(),
            person.as_str(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let entry = JournalRow::try_from(row)?.entry;
                match &entry.subject {
                    Subject::Activity(id) => Ok((id.clone(), entry)),
                    _ => Err(StoreError::Unreadable("journal entry")),
                }
            })
            .collect()
    }
}

fn version_of(version: i64) -> Result<RecordVersion, StoreError> {
    u64::try_from(version)
        .ok()
        .and_then(|version| RecordVersion::new(version).ok())
        .ok_or(StoreError::Corrupt("version of an activity"))
}

/// How many activities one look puts right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SettledActivities {
    /// Those that go on.
    pub go_on: u64,
    /// Whether nothing is left to put right.
    pub done: bool,
}

impl Store {
    /// Puts activities right, `limit` of each kind at most: those that waited for a connection, those that go on without one, and those
    /// about people who were exported while they came in.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle_activities(
        &self,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<SettledActivities, StoreError> {
        let back = sqlx::query!(
            "with picked as (
               select r.workspace_id, r.activity_id, c.portal_id from connection c
               cross join unnest(array['not_connected', 'needs_reconnect']) as w (reason)
               cross join lateral (
                 select r.workspace_id, r.activity_id from app_activity r
                 where r.workspace_id = c.workspace_id and r.state = 'waiting' and r.reason = w.reason
                   and r.due_at is null
                 limit $1 for update skip locked) r
               where c.state = 'connected' limit $1)
             update app_activity r set reason = 'person_not_exported', due_at = $2, turned_at = $2,
               portal_id = picked.portal_id
             from picked where r.workspace_id = picked.workspace_id and r.activity_id = picked.activity_id",
            i64::from(limit),
            now
        )
        .execute(&self.pool)
        .await?
        .rows_affected();
        let away = sqlx::query!(
            "with picked as (
               select r.workspace_id, r.activity_id, c.state from connection c
               cross join lateral (
                 select r.workspace_id, r.activity_id from app_activity r
                 where r.workspace_id = c.workspace_id and r.due_at is not null
                 limit $1 for update skip locked) r
               where c.state <> 'connected' limit $1)
             update app_activity r set state = 'waiting', due_at = null, turned_at = $2,
               reason = case when picked.state = 'needs_reconnect' then 'needs_reconnect' else 'not_connected' end
             from picked where r.workspace_id = picked.workspace_id and r.activity_id = picked.activity_id",
            i64::from(limit),
            now
        )
        .execute(&self.pool)
        .await?
        .rows_affected();
        // Whoever is exported is gone on with; of the others nothing is due any more.
        let settled = sqlx::query!(
            "with picked as (
               select a.workspace_id, a.activity_id,
                 exists (select 1 from exported_person x where x.workspace_id = a.workspace_id
                   and x.portal_id = a.portal_id and x.person_id = a.person_id offset 0) as exported
               from (select workspace_id, activity_id, portal_id, person_id from app_activity
                 where due_at <= $2 and state = 'waiting' and reason = 'person_not_exported'
                 order by due_at limit $1 for update skip locked) a)
             update app_activity r set turned_at = $2,
               state = case when picked.exported then 'accepted' else 'waiting' end,
               reason = case when picked.exported then null else 'person_not_exported' end,
               due_at = case when picked.exported then $2::timestamptz end
             from picked where r.workspace_id = picked.workspace_id and r.activity_id = picked.activity_id
             returning picked.exported as \"exported!\"",
            i64::from(limit),
            now
        )
        .fetch_all(&self.pool)
        .await?;
        let go_on = settled.iter().filter(|row| row.exported).count() as u64;
        let all = settled.len() as u64;
        Ok(SettledActivities {
            go_on,
            done: [back, away, all].iter().all(|n| *n < u64::from(limit)),
        })
    }
}
