//! What people's timelines are written from (E8).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType, PortalId, WorkspaceId,
    activities::Activity,
    app::{ActivityId, PersonId, RecordVersion},
    export::journal::{Entry, Subject},
};

use crate::{
    Store, StoreError,
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

/// How many activities are asked for at once.
#[derive(Debug, Clone, Copy)]
pub struct MostActivities<'a> {
    /// Of each person.
    pub of_each: u32,
    /// Of all of them, in bytes of what the app said. The first one comes in any case.
    pub bytes: i64,
    /// Those that are left out.
    pub but: &'a [ActivityId],
}

/// What somebody left open about a person's activities, oldest first.
pub type OpenActivityEntries = Result<Vec<(ActivityId, Entry)>, StoreError>;

impl Store {
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
        let most = MostActivities {
            of_each: limit,
            bytes: i64::MAX,
            but: &[],
        };
        let mut pending = self
            .pending_activities_of(workspace, portal, std::slice::from_ref(person), &most)
            .await?;
        Ok(pending.remove(person).unwrap_or_default())
    }

    /// The same about several people, as many as are asked for. Of nobody is one in it that comes after one
    /// that is not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pending_activities_of(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        people: &[PersonId],
        most: &MostActivities<'_>,
    ) -> Result<BTreeMap<PersonId, Vec<PendingActivity>>, StoreError> {
        let ids: Vec<&str> = people.iter().map(PersonId::as_str).collect();
        let but: Vec<&str> = most.but.iter().map(ActivityId::as_str).collect();
        let rows = sqlx::query!(
            "select a.person_id as \"person!\", a.activity_id as \"activity!\", a.revision as \"revision!\",
               a.document as \"document!\", a.slots as \"slots!\", a.attempts as \"attempts!\",
               l.object_type as \"object_type?\", l.record_id as \"record_id?\", l.version as \"logged_version?\",
               l.associated as \"associated?\"
             from (
               select a.*, t.place,
                 row_number() over (order by t.place, a.nth) as overall,
                 sum(octet_length(a.document)) over (order by t.place, a.nth rows unbounded preceding) as bytes
               from unnest($3::text[]) with ordinality as t (id, place)
               cross join lateral (
                 select a.person_id, a.activity_id, a.revision, a.document::text as document, a.slots::text as slots,
                   a.attempts, row_number() over (order by a.happened_at nulls first, a.activity_id) as nth
                 from app_activity a
                 where a.workspace_id = $1 and a.person_id = t.id
                   and (a.portal_id is distinct from $2 or a.state = 'accepted'
                     or a.state = 'waiting' and (a.due_at <= clock_timestamp()
                       or a.reason in ('not_connected', 'needs_reconnect', 'person_not_exported')))
                   and a.activity_id <> all($5::text[])
                 order by a.happened_at nulls first, a.activity_id limit $4) a) a
             left join lateral (select l.object_type, l.record_id, l.version, l.associated from logged_activity l
               where l.workspace_id = $1 and l.portal_id = $2 and l.activity_id = a.activity_id
               limit 1) l on true
             where a.overall = 1 or a.bytes <= $6
             order by a.place, a.nth",
            workspace.as_uuid(),
            portal.get(),
            &ids as &[&str],
            i64::from(most.of_each),
            &but as &[&str],
            most.bytes
        )
        .fetch_all(&self.pool)
        .await?;
        let mut pending: BTreeMap<PersonId, Vec<PendingActivity>> = BTreeMap::new();
        for row in rows {
            let person = row.person.parse();
            let person: PersonId = person.map_err(|_| StoreError::Corrupt("person"))?;
            let logged = match (row.object_type, row.record_id, row.logged_version) {
                (Some(of), Some(record), Some(version)) => Some(LoggedActivity {
                    object_type: type_of_number(of)?,
                    record: object_id(record)?,
                    version: version_of(version)?,
                    associated: row.associated.unwrap_or_default(),
                }),
                _ => None,
            };
            let id = row.activity.parse();
            pending.entry(person).or_default().push(PendingActivity {
                activity: record_of(&row.document, &row.slots).ok(),
                id: id.map_err(|_| StoreError::Corrupt("activity"))?,
                revision: row.revision,
                attempts: u32::try_from(row.attempts).unwrap_or(0),
                logged,
            });
        }
        Ok(pending)
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
        let mut open = self
            .open_activity_entries_of(workspace, portal, std::slice::from_ref(person))
            .await?;
        open.remove(person).unwrap_or(Ok(Vec::new()))
    }

    /// The same of several people, each by itself.
    ///
    /// # Errors
    /// When the database fails. What cannot be read of one says so in that one's place.
    pub async fn open_activity_entries_of(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        people: &[PersonId],
    ) -> Result<BTreeMap<PersonId, OpenActivityEntries>, StoreError> {
        let ids: Vec<&str> = people.iter().map(PersonId::as_str).collect();
        let rows = sqlx::query_as!(
            EntryRow,
            "select j.entry_id as \"entry_id!\", j.portal_id as \"portal_id!\", j.person_id as \"person_id!\",
               j.subject_kind as \"subject_kind!\", j.subject_id as \"subject_id!\", j.cause::text as \"cause!\",
               j.operation::text as \"operation!\", j.object_id, j.written::text as \"written!\",
               j.state as \"state!\", j.error_code, j.opened_at as \"opened_at!\", j.sent_at, j.closed_at
             from unnest($2::text[]) as t (id)
             cross join lateral (select * from export_journal j
               where j.workspace_id = $1 and j.person_id = t.id and j.state = 'open'
                 and j.portal_id = $3 and j.subject_kind = 'activity' offset 0) j
             order by j.entry_id",
            workspace.as_uuid(),
            &ids as &[&str],
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        let mut open: BTreeMap<PersonId, OpenActivityEntries> = BTreeMap::new();
        for row in rows {
            let person = row.person_id.parse();
            let person: PersonId = person.map_err(|_| StoreError::Corrupt("person"))?;
            let entry = JournalRow::try_from(row).and_then(|row| match &row.entry.subject {
                Subject::Activity(id) => Ok((id.clone(), row.entry)),
                _ => Err(StoreError::Unreadable("journal entry")),
            });
            let of = open.entry(person).or_insert_with(|| Ok(Vec::new()));
            match (entry, &mut *of) {
                (Ok(entry), Ok(entries)) => entries.push(entry),
                (Err(error), Ok(_)) => *of = Err(error),
                (_, Err(_)) => {}
            }
        }
        Ok(open)
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
