//! The end of an export: who the person is in HubSpot, the links, and the requests.

use domain::{
    HubSpotObjectId, PortalId, WorkspaceId,
    app::{LeadStatus, PersonId, RecordKind},
    export::RequestId,
    linking::LinkOrigin,
};
use sqlx::PgConnection;

use crate::{Store, StoreError, erasure, export_drain::RequestsEnd, links::Of, relink};

/// The end of an export that HubSpot has.
#[derive(Debug)]
pub struct ExportEnd {
    /// Whose.
    pub person: PersonId,
    /// The contact.
    pub contact: HubSpotObjectId,
    /// The status that HubSpot knows of.
    pub status_said: Option<LeadStatus>,
    /// The company to look for again, and in how long.
    pub look_again: Option<(HubSpotObjectId, std::time::Duration)>,
    /// The requests that end by it.
    pub requests: Vec<RequestId>,
    /// What is said besides.
    pub end: RequestsEnd,
}

/// How long whoever exported somebody has for the activities that waited for it, before others look after
/// them.
const LOGS_FOR: f64 = 60.0;

/// A record of the app that is linked.
#[derive(Debug, Clone)]
pub struct LinkWrite {
    /// Of which kind it is.
    pub record: RecordKind,
    /// The app's id.
    pub id: String,
    /// To this record.
    pub to: HubSpotObjectId,
    /// How it was found.
    pub origin: LinkOrigin,
}

impl Store {
    /// Links a record of ours to which nothing had to be written. Of a workspace that is purged nothing is kept.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn write_link(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        link: &LinkWrite,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        if !erasure::stays(&mut tx, workspace).await? {
            return Ok(());
        }
        put_link(&mut tx, workspace, portal, link).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends exports of people whom HubSpot has, in one transaction: who they are there, when to look for their
    /// companies again, and their requests. Activities that waited for them are due soon, whoever is lost before
    /// they are written. Of those who are erased meanwhile nothing is kept, nor of a workspace that is purged.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_exported(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        ends: &[ExportEnd],
    ) -> Result<(), StoreError> {
        if ends.is_empty() {
            return Ok(());
        }
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        if !erasure::stays(&mut tx, workspace).await? {
            return Ok(());
        }
        let people: Vec<&str> = ends.iter().map(|end| end.person.as_str()).collect();
        let contacts: Vec<i64> = ends.iter().map(|end| end.contact.get()).collect();
        let said: Vec<Option<&str>> = ends
            .iter()
            .map(|end| end.status_said.map(|s| s.as_str()))
            .collect();
        sqlx::query!(
            "insert into exported_person as e
               (workspace_id, portal_id, person_id, contact_id, status_said, exported_at, last_exported_at)
             select $1, $2, p.person_id, t.contact, t.said, clock_timestamp(), clock_timestamp()
             from unnest($3::text[], $4::bigint[], $5::text[]) as t (id, contact, said)
             cross join lateral (select person_id from app_person
               where workspace_id = $1 and person_id = t.id limit 1) p
             on conflict (workspace_id, portal_id, person_id) do update set
               contact_id = excluded.contact_id, status_said = excluded.status_said,
               last_exported_at = excluded.last_exported_at",
            workspace.as_uuid(),
            portal.get(),
            &people as &[&str],
            &contacts,
            &said as &[Option<&str>]
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "update app_activity a set due_at = clock_timestamp() + make_interval(secs => $4), portal_id = $2
             from (select a.activity_id from unnest($3::text[]) as t (id)
               cross join lateral (select a.activity_id from app_activity a
                 where a.workspace_id = $1 and a.person_id = t.id and a.state = 'waiting'
                   and a.reason = 'person_not_exported'
                   and coalesce(a.due_at, '-infinity') < clock_timestamp() + make_interval(secs => $4)
                 for update) a
               order by a.activity_id) waits
             where a.workspace_id = $1 and a.activity_id = waits.activity_id",
            workspace.as_uuid(),
            portal.get(),
            &people as &[&str],
            LOGS_FOR
        )
        .execute(&mut *tx)
        .await?;
        let again: Vec<&ExportEnd> = ends.iter().filter(|end| end.look_again.is_some()).collect();
        let people: Vec<&str> = again.iter().map(|end| end.person.as_str()).collect();
        let contacts: Vec<i64> = again.iter().map(|end| end.contact.get()).collect();
        let look = |end: &&ExportEnd| end.look_again;
        let companies: Vec<i64> = again
            .iter()
            .filter_map(look)
            .map(|(c, _)| c.get())
            .collect();
        let waits: Vec<f64> = again
            .iter()
            .filter_map(look)
            .map(|(_, w)| w.as_secs_f64())
            .collect();
        sqlx::query!(
            "insert into export_recheck
               (workspace_id, portal_id, person_id, contact_id, company_id, was_primary, due_at)
             select $1, $2, p.person_id, t.contact, t.company, true,
               clock_timestamp() + make_interval(secs => t.wait)
             from unnest($3::text[], $4::bigint[], $5::bigint[], $6::float8[]) as t (id, contact, company, wait)
             cross join lateral (select person_id from app_person
               where workspace_id = $1 and person_id = t.id limit 1) p
             on conflict (workspace_id, portal_id, contact_id) do nothing",
            workspace.as_uuid(),
            portal.get(),
            &people as &[&str],
            &contacts,
            &companies,
            &waits
        )
        .execute(&mut *tx)
        .await?;
        let mut requests: Vec<uuid::Uuid> = Vec::new();
        let mut of: Vec<i64> = Vec::new();
        let mut codes: Vec<Option<&str>> = Vec::new();
        let mut properties: Vec<Option<String>> = Vec::new();
        for end in ends {
            for request in &end.requests {
                requests.push(request.as_uuid());
                of.push(end.contact.get());
                codes.push(end.end.error_code);
                let names = Some(&end.end.properties).filter(|names| !names.is_empty());
                properties.push(names.map(|names| names.join(",")));
            }
        }
        sqlx::query!(
            "update export_request r set state = 'exported', reason = null, due_at = null, hubspot_id = t.contact,
               error_code = t.code, properties = string_to_array(t.properties, ','), attempts = 0,
               changed_at = clock_timestamp()
             from unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[]) as t (id, contact, code, properties)
             where r.workspace_id = $1 and r.id = t.id and r.state in ('accepted', 'waiting')",
            workspace.as_uuid(),
            &requests,
            &of,
            &codes as &[Option<&str>],
            &properties as &[Option<String>]
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

pub(super) async fn put_link(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portal: PortalId,
    link: &LinkWrite,
) -> Result<(), StoreError> {
    // Of whom was erased meanwhile nothing is kept.
    if link.record == RecordKind::Person {
        let known = sqlx::query_scalar!(
            "select exists (select 1 from app_person where workspace_id = $1 and person_id = $2) as \"known!\"",
            workspace.as_uuid(),
            link.id
        )
        .fetch_one(&mut *tx)
        .await?;
        if !known {
            return Ok(());
        }
    }
    let of = Of {
        workspace,
        portal,
        record: link.record,
    };
    relink::write_links(
        tx,
        of,
        std::slice::from_ref(&link.id),
        &[link.to.get()],
        &[link.origin.as_str().to_owned()],
    )
    .await
}
