//! Whoever is due in a workspace, for the bulk export that takes them (decision 0050).

use std::time::Duration;

use domain::{WorkspaceId, app::PersonId};

use crate::{Store, StoreError};

/// Activities that are looked at for each person who is asked for: one person may have many.
const ACTIVITIES: i64 = 20;

impl Store {
    /// Takes people with requests or activities that are due. They are due again in a while, should whoever
    /// took them be lost, and nobody else takes them before. What waited for its time waits no more: else
    /// it would be put off by being taken, and nobody would ever find it ready.
    ///
    /// # Errors
    /// When the database fails; nobody is taken then.
    pub async fn take_due(
        &self,
        workspace: WorkspaceId,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<PersonId>, StoreError> {
        let mut tx = self.pool.begin().await?;
        // Who takes some finds them due no more once the one before has committed.
        sqlx::query!(
            "select pg_advisory_xact_lock(hashtextextended(format('take due %s', $1::text), 0))",
            workspace.to_string()
        )
        .execute(&mut *tx)
        .await?;
        let people: Vec<String> = sqlx::query_scalar!(
            "select person_id as \"person!\" from (
               (select person_id, due_at from export_request
                where workspace_id = $1 and due_at is not null and due_at <= clock_timestamp()
                  and person_id is not null
                order by requested_at limit $2)
               union all
               (select person_id, due_at from app_activity
                where workspace_id = $1 and due_at is not null and due_at <= clock_timestamp()
                  and reason is distinct from 'person_not_exported'
                limit $3)) each
             group by person_id order by min(due_at), person_id limit $2",
            workspace.as_uuid(),
            i64::from(limit),
            i64::from(limit) * ACTIVITIES
        )
        .fetch_all(&mut *tx)
        .await?;
        if people.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query!(
            "update export_request r set due_at = clock_timestamp() + make_interval(secs => $3),
               state = 'accepted', reason = null, changed_at = clock_timestamp()
             from (select r.id from unnest($2::text[]) as t (id)
               cross join lateral (select r.id from export_request r
                 where r.workspace_id = $1 and r.person_id = t.id and r.state in ('accepted', 'waiting')
                   and r.due_at <= clock_timestamp() for update) r
               order by r.id) due
             where r.id = due.id",
            workspace.as_uuid(),
            &people,
            lease.as_secs_f64()
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "update app_activity a set due_at = clock_timestamp() + make_interval(secs => $3),
               state = 'accepted', reason = null, turned_at = clock_timestamp()
             from (select a.activity_id from unnest($2::text[]) as t (id)
               cross join lateral (select a.activity_id from app_activity a
                 where a.workspace_id = $1 and a.person_id = t.id and a.due_at <= clock_timestamp()
                   and a.reason is distinct from 'person_not_exported'
                 for update) a
               order by a.activity_id) due
             where a.workspace_id = $1 and a.activity_id = due.activity_id",
            workspace.as_uuid(),
            &people,
            lease.as_secs_f64()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        // One that cannot be read is left to its own export.
        Ok(people
            .into_iter()
            .filter_map(|id| id.parse().ok())
            .collect())
    }
}
