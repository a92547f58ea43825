//! Who would be taken by a run, before somebody confirms it.

use std::collections::BTreeSet;

use domain::{
    BulkId, WorkspaceId,
    api::{BulkPreview, BulkSample, BulkWhom},
    app::{Person, PersonId, RecordKind},
};

use super::{BulkRow, UNREADABLE, json_of};
use crate::{
    Store, StoreError, erasure,
    links::{self, Of, Ours},
};

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

impl Store {
    /// The next people of whom it is to be found out whether they would be taken: those that the call
    /// named, those who were exported, else all of the app's. Fewer than `limit`: they are the last ones.
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
        let ids: Vec<String> = match row.whom {
            BulkWhom::People { .. } => {
                sqlx::query_scalar!(
                    "select person_id from bulk_export_person where bulk_id = $1 and person_id > $2
                 order by person_id limit $3",
                    row.bulk.as_uuid(),
                    after,
                    i64::from(limit)
                )
                .fetch_all(&mut *connection)
                .await?
            }
            BulkWhom::Exported => {
                sqlx::query_scalar!(
                    "select person_id from exported_person
                 where workspace_id = $1 and portal_id = $2 and person_id > $3
                 order by person_id limit $4",
                    row.workspace.as_uuid(),
                    row.portal.get(),
                    after,
                    i64::from(limit)
                )
                .fetch_all(&mut *connection)
                .await?
            }
            BulkWhom::Campaign { .. } | BulkWhom::QualifiedEarlier => {
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
            }
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

    /// Whether somebody's field “Campaign” says this.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_campaign(
        &self,
        workspace: WorkspaceId,
        campaign: &str,
    ) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            "select exists (select 1 from app_person
               where workspace_id = $1 and document -> 'fields' ->> 'campaign' = $2) as \"known!\"",
            workspace.as_uuid(),
            campaign
        )
        .fetch_one(&self.pool)
        .await?)
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
}
