//! What is taken out of the journal and of what else is kept of exports: of an erased person, of a
//! contact that HubSpot no longer knows, and of what is older than the workspace keeps it (C7).

use chrono::{DateTime, Utc};
use domain::{ObjectType, WorkspaceId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::row::ERASED;
use crate::{Store, StoreError, mirror::type_number};

/// Removes what is kept of exports of people who are erased. Entries about companies stay, for other
/// people's exports stand on them, with a keyed hash for the person in whose export they were made; those
/// about a company that only the person's address named lose their values.
pub(crate) async fn remove_people_exported(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portals: &[i64],
    people: &[String],
    hashes: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from export_journal
         where workspace_id = $1 and person_id = any($2) and subject_kind in ('person', 'activity')",
        workspace.as_uuid(),
        people
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update export_journal j set person_id = $4::text || encode(t.hash, 'hex'),
           subject_id = case subject_kind when 'company_of' then encode(t.hash, 'hex') else subject_id end,
           written = case when subject_kind <> 'company_of' then written
             when jsonb_typeof(written) <> 'array' then '[]'
             else (select coalesce(jsonb_agg((w - 'sent') || '{\"old\": null, \"new\": null}' order by n), '[]')
               from jsonb_array_elements(written) with ordinality as e (w, n)) end
         from unnest($2::text[], $3::bytea[]) as t (person, hash)
         where j.workspace_id = $1 and j.person_id = t.person",
        workspace.as_uuid(),
        people,
        hashes,
        ERASED.to_string()
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from exported_person
         where workspace_id = $1 and portal_id = any($2) and person_id = any($3)",
        workspace.as_uuid(),
        portals,
        people
    )
    .execute(&mut *tx)
    .await?;
    macro_rules! remove {
        ($($sql:literal),+ $(,)?) => {
            $(sqlx::query!($sql, workspace.as_uuid(), people).execute(&mut *tx).await?;)+
        };
    }
    // Whoever writes about one of them now has lost it.
    remove!(
        "delete from person_writer where workspace_id = $1 and person_id = any($2)",
        "delete from export_recheck where workspace_id = $1 and person_id = any($2)",
        "delete from export_preview where workspace_id = $1 and person_id = any($2)",
        "with gone as (
           delete from bulk_export_person where workspace_id = $1 and person_id = any($2) returning bulk_id)
         update bulk_export b set people = b.people - g.n
         from (select bulk_id, count(*) as n from gone group by bulk_id) g where b.id = g.bulk_id",
        "update bulk_export set sample = null, sample_people = null
         where workspace_id = $1 and sample_people && $2::text[]",
        "delete from export_revert where workspace_id = $1 and person_id = any($2)",
        "delete from export_resumed
         where workspace_id = $1 and subject_kind in ('person', 'company_of') and subject_id = any($2)",
    );
    Ok(())
}

/// Takes the values of contacts out of the journal, and what else is kept of their exports. Names of
/// properties stay. Entries without a record are found by whoever is linked to the contacts.
pub(crate) async fn forget_contacts_written(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portals: &[i64],
    contacts: &[i64],
) -> Result<(), sqlx::Error> {
    let contact = type_number(ObjectType::Contact);
    let people = sqlx::query_scalar!(
        "select l.app_id from record_link l
         where l.workspace_id = $1 and uuid_hash(l.workspace_id) = uuid_hash($1)
           and l.portal_id + 0 = any($2) and l.object_type + 0 = $3::int and l.object_id + 0 = any($4)",
        workspace.as_uuid(),
        portals,
        i32::from(contact),
        contacts
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!(
        "update export_journal set
           written = case when jsonb_typeof(written) <> 'array' then '[]'
             else (select coalesce(jsonb_agg((w - 'sent') || '{\"old\": null, \"new\": null}' order by n), '[]')
               from jsonb_array_elements(written) with ordinality as e (w, n)) end
         where workspace_id = $1 and portal_id = any($2)
           and (object_type = $3 and object_id = any($4)
             or subject_kind = 'person' and subject_id = any($5)
             or subject_kind = 'activity' and person_id = any($5))",
        workspace.as_uuid(),
        portals,
        contact,
        contacts,
        &people
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from exported_person
         where workspace_id = $1 and portal_id = any($2) and person_id = any($3) and contact_id = any($4)",
        workspace.as_uuid(),
        portals,
        &people,
        contacts
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from export_recheck
         where workspace_id = $1 and portal_id = any($2) and contact_id = any($3)",
        workspace.as_uuid(),
        portals,
        contacts
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from export_preview where workspace_id = $1 and person_id = any($2)",
        workspace.as_uuid(),
        &people
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update bulk_export set sample = null, sample_people = null
         where workspace_id = $1 and sample_people && $2::text[]",
        workspace.as_uuid(),
        &people
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The first id that an entry of this moment may have: they are in order of time.
fn first_id(at: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
    let mut bytes = *uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10])
        .into_uuid()
        .as_bytes();
    // Without version and variant, so that none of the same millisecond is before it.
    bytes[6] = 0;
    bytes[8] = 0;
    Uuid::from_bytes(bytes)
}

impl Store {
    /// Workspaces that have a journal: few, found by skipping from one to the next.
    pub async fn workspaces_with_journal(&self) -> Result<Vec<WorkspaceId>, StoreError> {
        let rows = sqlx::query_scalar!(
            "with recursive w (id) as (
               (select workspace_id from export_journal order by workspace_id limit 1)
               union all
               select (select j.workspace_id from export_journal j
                 where j.workspace_id > w.id order by j.workspace_id limit 1)
               from w where w.id is not null
             )
             select id as \"id!\" from w where id is not null"
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(WorkspaceId::new).collect())
    }

    /// Takes the values out of entries that were opened before a moment, `limit` at most, and leaves the
    /// names; those from before `from` were looked at earlier. An open entry keeps its values. Says how
    /// many lost some.
    pub async fn forget_written(
        &self,
        workspace: WorkspaceId,
        from: Option<DateTime<Utc>>,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "update export_journal j set
               written = case when jsonb_typeof(written) <> 'array' then '[]'
                 else (select coalesce(jsonb_agg((w - 'sent') || '{\"old\": null, \"new\": null}' order by n), '[]')
                   from jsonb_array_elements(written) with ordinality as e (w, n)) end
             where j.workspace_id = $1 and j.entry_id = any(array(
               select o.entry_id from export_journal o
               where o.workspace_id = $1 and ($2::uuid is null or o.entry_id >= $2) and o.entry_id < $3
                 and o.state <> 'open'
                 and jsonb_path_exists(o.written, '$[*] ? (@.old != null || @.new != null)')
               order by o.entry_id limit $4))",
            workspace.as_uuid(),
            from.map(first_id),
            first_id(before),
            i64::from(limit)
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_moment_are_between_its_bounds() {
        let at = |millis: i64| DateTime::from_timestamp_millis(1_800_000_000_000 + millis).unwrap();
        for random in [[0; 10], [255; 10]] {
            let of =
                uuid::Builder::from_unix_timestamp_millis(1_800_000_000_000, &random).into_uuid();
            assert!(first_id(at(0)) <= of && of < first_id(at(1)));
        }
    }
}
