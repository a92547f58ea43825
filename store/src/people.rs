//! People of the app's side.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{
    WorkspaceId,
    app::{EmailPlace, NameStart, Person, PersonId, PersonUpsert, SlotVersions},
};
use sqlx::PgConnection;

use crate::{
    Store, StoreError,
    erasure::Identity,
    intake,
    records::{Listed, Record, RowToWrite, StoredRow, Upserted, Written, listed, record_of},
};

impl Record for Person {
    const NAME: &'static str = "person";

    fn id_of(upsert: &PersonUpsert) -> &str {
        upsert.id.as_str()
    }

    fn slots(&self) -> &SlotVersions {
        &self.slots
    }

    fn set_slots(&mut self, slots: SlotVersions) {
        self.slots = slots;
    }

    fn identities(upsert: &PersonUpsert) -> Vec<Identity<'_>> {
        let mut all = vec![Identity::Person(upsert.id.as_str())];
        all.extend(upsert.email.value().map(|e| Identity::Email(e.as_str())));
        all
    }

    async fn load(
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        ids: &[&str],
    ) -> Result<Vec<StoredRow>, sqlx::Error> {
        sqlx::query_as!(
            StoredRow,
            "select person_id as id, revision, document::text as \"document!\", slots::text as \"slots!\"
             from app_person where workspace_id = $1 and person_id = any($2)",
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
        let slots: Vec<&str> = rows.iter().map(|r| r.slots.as_str()).collect();
        let emails: Vec<Option<&str>> = rows
            .iter()
            .map(|r| r.record.email.as_ref().map(|e| e.as_str()))
            .collect();
        let companies: Vec<Option<&str>> = rows
            .iter()
            .map(|r| r.record.company.as_ref().map(|c| c.as_str()))
            .collect();
        let owners: Vec<Option<&str>> = rows
            .iter()
            .map(|r| r.record.owner.as_ref().map(|o| o.as_str()))
            .collect();
        let statuses: Vec<Option<&str>> = rows
            .iter()
            .map(|r| r.record.status.map(|s| s.as_str()))
            .collect();
        let done = sqlx::query!(
            "insert into app_person as r
               (workspace_id, person_id, version, revision, document, slots, created_at, changed_at, changed, email, company_id, member_id, lead_status)
             select $1, id, version, coalesce(expected, 0) + 1, document::json, slots::json, $2, $2, (select mirror_change()), email, company_id, member_id, lead_status
             from unnest($3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[])
               as t (id, expected, version, document, slots, email, company_id, member_id, lead_status)
             on conflict (workspace_id, person_id) do update set
               version = excluded.version, revision = excluded.revision, document = excluded.document,
               slots = excluded.slots, changed_at = excluded.changed_at, changed = excluded.changed,
               email = excluded.email, company_id = excluded.company_id,
               member_id = excluded.member_id, lead_status = excluded.lead_status
             where r.revision = excluded.revision - 1",
            workspace.as_uuid(),
            now,
            &ids as &[&str],
            &expected as &[Option<i64>],
            &versions,
            &documents as &[&str],
            &slots as &[&str],
            &emails as &[Option<&str>],
            &companies as &[Option<&str>],
            &owners as &[Option<&str>],
            &statuses as &[Option<&str>]
        )
        .execute(tx)
        .await?;
        Ok(done.rows_affected())
    }

    async fn follow(
        store: &Store,
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        written: &[Written<'_, Self>],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        intake::people_changed(store, tx, workspace, written, now).await
    }
}

impl Store {
    /// Applies versioned updates of people, in the order given: newer versions win, and rows that do
    /// not change are not written. Erased people stay out. Requests that follow by the rules of export are
    /// made in the same transaction (E1, E7).
    ///
    /// # Errors
    /// When the database fails, nothing of the bulk is written then;
    /// [`StoreError::NotFound`] for a workspace that is not known.
    pub async fn upsert_people(
        &self,
        workspace: WorkspaceId,
        upserts: &[PersonUpsert],
        now: DateTime<Utc>,
    ) -> Result<Vec<Upserted>, StoreError> {
        self.upsert_records::<Person>(workspace, upserts, now).await
    }

    /// One person.
    pub async fn person(
        &self,
        workspace: WorkspaceId,
        id: &PersonId,
    ) -> Result<Option<Person>, StoreError> {
        let row = sqlx::query!(
            "select document::text as \"document!\", slots::text as \"slots!\" from app_person
             where workspace_id = $1 and person_id = $2",
            workspace.as_uuid(),
            id.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| record_of(&row.document, &row.slots))
            .transpose()
    }

    /// Those of these people whom the app has, by id; what cannot be read is left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn people_among(
        &self,
        workspace: WorkspaceId,
        ids: &[PersonId],
    ) -> Result<BTreeMap<PersonId, Person>, StoreError> {
        let names: Vec<&str> = ids.iter().map(PersonId::as_str).collect();
        let rows = sqlx::query!(
            "select p.person_id as \"person_id!\", p.document::text as \"document!\", p.slots::text as \"slots!\"
             from unnest($2::text[]) as w (person_id)
             cross join lateral (
               select person_id, document, slots from app_person a
               where a.workspace_id = $1 and a.person_id = w.person_id limit 1) p",
            workspace.as_uuid(),
            &names as &[&str]
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let person = listed(workspace, &row.person_id, &row.document, &row.slots);
                Some((row.person_id.parse().ok()?, person.ok()?))
            })
            .collect())
    }

    /// Ids of people of the app with this address, or at this domain, in the order of their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn people_at(
        &self,
        workspace: WorkspaceId,
        place: &EmailPlace,
        limit: u32,
    ) -> Result<Vec<PersonId>, StoreError> {
        let ids = match place {
            EmailPlace::Address(email) => {
                sqlx::query_scalar!(
                    "select person_id from app_person where workspace_id = $1 and email = $2
                     order by person_id limit $3",
                    workspace.as_uuid(),
                    email.as_str(),
                    i64::from(limit)
                )
                .fetch_all(&self.pool)
                .await?
            }
            EmailPlace::Domain(domain) => {
                sqlx::query_scalar!(
                    "select person_id from app_person
                     where workspace_id = $1 and email is not null and split_part(email, '@', 2) = $2
                     limit $3",
                    workspace.as_uuid(),
                    domain,
                    i64::from(limit)
                )
                .fetch_all(&self.pool)
                .await?
            }
        };
        ids.into_iter()
            .map(|id| id.parse().map_err(|_| StoreError::Unreadable("person")))
            .collect()
    }

    /// Ids of people of the app whose name begins so, first name first or last name first, in the order of
    /// their names.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn people_named(
        &self,
        workspace: WorkspaceId,
        name: &NameStart,
        limit: u32,
    ) -> Result<Vec<PersonId>, StoreError> {
        let rows = sqlx::query!(
            "with asked as materialized (
               select lower($2::text collate \"pg_c_utf8\") collate \"C\" as low,
                 (lower($2::text collate \"pg_c_utf8\") || chr(1114111)) collate \"C\" as high)
             (select p.person_id as \"person_id!\" from asked cross join lateral (
                select person_id from app_person a where a.workspace_id = $1
                  and person_name(document -> 'fields' ->> 'first_name', document -> 'fields' ->> 'last_name') collate \"C\" >= asked.low
                  and person_name(document -> 'fields' ->> 'first_name', document -> 'fields' ->> 'last_name') collate \"C\" < asked.high
                order by person_name(document -> 'fields' ->> 'first_name', document -> 'fields' ->> 'last_name') collate \"C\", person_id
                limit $3) p)
             union all
             (select p.person_id from asked cross join lateral (
                select person_id from app_person a where a.workspace_id = $1
                  and person_name(document -> 'fields' ->> 'last_name', document -> 'fields' ->> 'first_name') collate \"C\" >= asked.low
                  and person_name(document -> 'fields' ->> 'last_name', document -> 'fields' ->> 'first_name') collate \"C\" < asked.high
                order by person_name(document -> 'fields' ->> 'last_name', document -> 'fields' ->> 'first_name') collate \"C\", person_id
                limit $3) p)",
            workspace.as_uuid(),
            name.as_str(),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found: Vec<PersonId> = Vec::new();
        for row in rows {
            let id = row.person_id.parse();
            let id = id.map_err(|_| StoreError::Unreadable("person"))?;
            if !found.contains(&id) {
                found.push(id);
            }
        }
        found.truncate(limit as usize);
        Ok(found)
    }

    /// The app's people in the order of their ids: without those who were made from contacts, and of
    /// whom the app has said nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn people_after(
        &self,
        workspace: WorkspaceId,
        after: Option<&PersonId>,
        limit: u32,
    ) -> Result<Vec<Listed<Person>>, StoreError> {
        let rows = sqlx::query!(
            "select person_id, document::text as \"document!\", slots::text as \"slots!\" from app_person
             where workspace_id = $1 and person_id > $2
               and not (version = 0 and starts_with(person_id, 'hubspot.'))
             order by person_id limit $3",
            workspace.as_uuid(),
            after.map_or("", |a| a.as_str()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| listed(workspace, &row.person_id, &row.document, &row.slots))
            .collect())
    }

    /// People who were made from contacts, and of whom the app has said nothing, in the order of their
    /// ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn imported_people_after(
        &self,
        workspace: WorkspaceId,
        after: Option<&PersonId>,
        limit: u32,
    ) -> Result<Vec<Listed<Person>>, StoreError> {
        let rows = sqlx::query!(
            "select person_id, document::text as \"document!\", slots::text as \"slots!\" from app_person
             where workspace_id = $1 and person_id > $2 and person_id >= 'hubspot.'
               and person_id < 'hubspot/' and version = 0
             order by person_id limit $3",
            workspace.as_uuid(),
            after.map_or("", |a| a.as_str()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| listed(workspace, &row.person_id, &row.document, &row.slots))
            .collect())
    }
}
