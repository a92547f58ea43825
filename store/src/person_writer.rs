//! Who writes about a person now (design §4.6). It keeps order; that nothing is made twice is kept by
//! keys and by the journal, also where a hold expires.

use std::time::Duration;

use domain::{WorkspaceId, app::PersonId};

use crate::{Store, StoreError};

/// How long a hold lasts that is not renewed.
pub const WRITER_HOLD: Duration = Duration::from_secs(15);

/// That one writes about a person, until somebody else does.
#[derive(Debug, Clone)]
pub struct WriterHold {
    /// In which workspace.
    pub workspace: WorkspaceId,
    /// About whom.
    pub person: PersonId,
    pub(crate) generation: i64,
}

impl WriterHold {
    /// For who only looks: nothing can be written with it.
    pub const fn nobody(workspace: WorkspaceId, person: PersonId) -> Self {
        Self {
            workspace,
            person,
            generation: 0,
        }
    }
}

impl Store {
    /// Takes the right to write about a person; none while somebody else has it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_writer(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
    ) -> Result<Option<WriterHold>, StoreError> {
        let generation = sqlx::query_scalar!(
            "insert into person_writer as w (workspace_id, person_id, generation, held_until)
             values ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
             on conflict (workspace_id, person_id) do update set
               generation = w.generation + 1, held_until = excluded.held_until
             where w.held_until < clock_timestamp()
             returning generation",
            workspace.as_uuid(),
            person.as_str(),
            WRITER_HOLD.as_secs_f64()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(generation.map(|generation| WriterHold {
            workspace,
            person: person.clone(),
            generation,
        }))
    }

    /// Takes the right to write about each of these people about whom nobody else writes now, in one
    /// statement.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_writers(
        &self,
        workspace: WorkspaceId,
        people: &[PersonId],
    ) -> Result<Vec<WriterHold>, StoreError> {
        let ids: Vec<&str> = people.iter().map(PersonId::as_str).collect();
        // In one order, so that two who take some of the same people do not wait crosswise.
        let rows = sqlx::query!(
            "insert into person_writer as w (workspace_id, person_id, generation, held_until)
             select $1, t.id, 1, clock_timestamp() + make_interval(secs => $3)
             from (select distinct id from unnest($2::text[]) as u (id)) t order by t.id
             on conflict (workspace_id, person_id) do update set
               generation = w.generation + 1, held_until = excluded.held_until
             where w.held_until < clock_timestamp()
             returning person_id, generation",
            workspace.as_uuid(),
            &ids as &[&str],
            WRITER_HOLD.as_secs_f64()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let person = row.person_id.parse();
                Ok(WriterHold {
                    workspace,
                    person: person.map_err(|_| StoreError::Corrupt("person"))?,
                    generation: row.generation,
                })
            })
            .collect()
    }

    /// Gives holds back, in one statement.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn give_writers_back(
        &self,
        workspace: WorkspaceId,
        holds: &[WriterHold],
    ) -> Result<(), StoreError> {
        let people: Vec<&str> = holds.iter().map(|hold| hold.person.as_str()).collect();
        let generations: Vec<i64> = holds.iter().map(|hold| hold.generation).collect();
        sqlx::query!(
            "update person_writer w set held_until = '-infinity'
             from (select p.person_id from unnest($2::text[], $3::bigint[]) as t (id, generation)
               cross join lateral (select p.person_id from person_writer p
                 where p.workspace_id = $1 and p.person_id = t.id and p.generation = t.generation
                 for update) p
               order by p.person_id) held
             where w.workspace_id = $1 and w.person_id = held.person_id",
            workspace.as_uuid(),
            &people as &[&str],
            &generations
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Renews a hold. `false` where somebody else writes by now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew_writer(&self, hold: &WriterHold) -> Result<bool, StoreError> {
        let renewed = sqlx::query!(
            "update person_writer set held_until = clock_timestamp() + make_interval(secs => $4)
             where workspace_id = $1 and person_id = $2 and generation = $3",
            hold.workspace.as_uuid(),
            hold.person.as_str(),
            hold.generation,
            WRITER_HOLD.as_secs_f64()
        )
        .execute(&self.pool)
        .await?;
        Ok(renewed.rows_affected() > 0)
    }

    /// Gives a hold back.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn give_writer_back(&self, hold: &WriterHold) -> Result<(), StoreError> {
        sqlx::query!(
            "update person_writer set held_until = '-infinity'
             where workspace_id = $1 and person_id = $2 and generation = $3",
            hold.workspace.as_uuid(),
            hold.person.as_str(),
            hold.generation
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
