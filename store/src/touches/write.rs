//! What pages of engagements change, and what goes with erased contacts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, ObjectType, ReadPart, WorkspaceId};
use sqlx::PgConnection;

use crate::{mirror::type_number, steps::Step};

use super::{TouchRow, TouchRows, Walked, numbers};

/// Writes a page. The newer state stays, whoever brought it. An e-mail of which HubSpot tells no owner or
/// subject keeps those that it had: they may be redacted (`hubspot-api.md` §15.8).
pub(crate) async fn write(
    tx: &mut PgConnection,
    step: &Step,
    page: &TouchRows,
    read_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let (workspace, portal) = (step.workspace.as_uuid(), step.portal.get());
    let kind = type_number(page.kind);
    forget(tx, step, page.kind, &page.forgotten).await?;
    turn(tx, step, page, read_at).await?;
    let mut rows: BTreeMap<HubSpotObjectId, &TouchRow> = BTreeMap::new();
    for row in &page.rows {
        rows.insert(row.id, row);
    }
    let ids: Vec<i64> = rows.keys().map(|id| id.get()).collect();
    let at: Vec<DateTime<Utc>> = rows.values().map(|r| r.at).collect();
    let modified: Vec<DateTime<Utc>> = rows.values().map(|r| r.modified_at).collect();
    let owners: Vec<Option<i64>> = rows.values().map(|r| r.owner.map(|o| o.get())).collect();
    let titles: Vec<Option<String>> = rows.values().map(|r| r.title.clone()).collect();
    let tied: Vec<bool> = rows.values().map(|r| !r.contacts.is_empty()).collect();
    let bodies: Vec<Option<String>> = rows.values().map(|r| r.body.clone()).collect();
    let redacted: Vec<bool> = rows.values().map(|r| r.redacted).collect();
    if !ids.is_empty() {
        sqlx::query!(
            "insert into hubspot_touch as t
               (workspace_id, portal_id, object_type, object_id, happened_at, modified_at, read_at, owner_id, title,
                body, with_body, redacted)
             select $1, $2, $3, n.id, n.at, n.modified, $4, n.owner, n.title,
               case when $13 then n.body end, $13, n.redacted
             from unnest($5::bigint[], $6::timestamptz[], $7::timestamptz[], $8::bigint[], $9::text[], $10::boolean[],
                 $11::text[], $12::boolean[])
               as n (id, at, modified, owner, title, tied, body, redacted)
             where n.tied or exists (select 1 from hubspot_touch o
               where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = $3 and o.object_id = n.id offset 0)
             on conflict (workspace_id, portal_id, object_type, object_id) do update set
               happened_at = excluded.happened_at, modified_at = excluded.modified_at, read_at = excluded.read_at,
               owner_id = case when $3 = 49 then coalesce(excluded.owner_id, t.owner_id) else excluded.owner_id end,
               title = case when $3 = 49 then coalesce(excluded.title, t.title) else excluded.title end,
               body = case when $3 = 49 and $13 then coalesce(excluded.body, t.body) else excluded.body end,
               with_body = excluded.with_body, redacted = excluded.redacted, archived = false, missing_at = null
             where excluded.modified_at > t.modified_at
               or (excluded.modified_at = t.modified_at and excluded.read_at >= t.read_at)",
            workspace,
            portal,
            kind,
            read_at,
            &ids,
            &at,
            &modified,
            &owners as &[Option<i64>],
            &titles as &[Option<String>],
            &tied,
            &bodies as &[Option<String>],
            &redacted,
            page.bodies
        )
        .execute(&mut *tx)
        .await?;
        let (touches, contacts): (Vec<i64>, Vec<i64>) = rows
            .values()
            .flat_map(|row| row.contacts.iter().map(|c| (row.id.get(), c.get())))
            .unzip();
        sqlx::query!(
            "insert into hubspot_touch_contact (workspace_id, portal_id, contact_id, object_type, object_id)
             select $1, $2, n.contact, $3, n.id from unnest($4::bigint[], $5::bigint[]) as n (id, contact)
             on conflict do nothing",
            workspace,
            portal,
            kind,
            &touches,
            &contacts
        )
        .execute(&mut *tx)
        .await?;
        tell(tx, step, &contacts).await?;
    }
    if let Some(days) = page.covered {
        sqlx::query!(
            "insert into touch_coverage (workspace_id, portal_id, object_type, days, bodies)
             select $1, $2, $3, $4, $8
             where not exists (select 1 from sync_refusal f join sync_cursor c on c.id = f.cursor_id
               where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $5 and c.purpose = $6
                 and f.part = $7)
               and not exists (select 1 from sync_cursor c
                 where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $5 and c.purpose = $6
                   and c.unanswered > 0)
             on conflict (workspace_id, portal_id, object_type) do update set
               days = excluded.days, bodies = excluded.bodies",
            workspace,
            portal,
            kind,
            i32::try_from(days).unwrap_or(i32::MAX),
            step.sync_type.as_str(),
            step.purpose.as_str(),
            ReadPart::RecordsOf(page.kind).to_string(),
            page.bodies
        )
        .execute(&mut *tx)
        .await?;
    }
    if let Some(walked) = page.walked {
        let to = match walked {
            Walked::To(id) => Some(id.get()),
            Walked::ToTheEnd => None,
        };
        sqlx::query!(
            "update touch_coverage set walked_to = $4
             where workspace_id = $1 and portal_id = $2 and object_type = $3",
            workspace,
            portal,
            kind,
            to
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// What lies in the recycle bin is not shown; the row stays, as it may be fetched out of there. What is named
/// as unknown for a second time goes. An answer to an older request changes nothing.
async fn turn(
    tx: &mut PgConnection,
    step: &Step,
    page: &TouchRows,
    read_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let (workspace, portal) = (step.workspace.as_uuid(), step.portal.get());
    let kind = type_number(page.kind);
    let mut turned = Vec::new();
    if !page.archived.is_empty() {
        let archived = numbers(&page.archived);
        turned = sqlx::query_scalar!(
            "update hubspot_touch set archived = true, missing_at = null, read_at = $5
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)
               and read_at <= $5 and (not archived or missing_at is not null)
             returning object_id",
            workspace,
            portal,
            kind,
            &archived,
            read_at
        )
        .fetch_all(&mut *tx)
        .await?;
    }
    if !page.missing.is_empty() {
        let missing = numbers(&page.missing);
        let gone = sqlx::query_scalar!(
            "select object_id from hubspot_touch
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)
               and missing_at < $5 and read_at <= $5",
            workspace,
            portal,
            kind,
            &missing,
            read_at
        )
        .fetch_all(&mut *tx)
        .await?;
        sqlx::query!(
            "update hubspot_touch set missing_at = $5
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)
               and missing_at is null and read_at <= $5",
            workspace,
            portal,
            kind,
            &missing,
            read_at
        )
        .execute(&mut *tx)
        .await?;
        let contacts = contacts_of(tx, step, kind, &gone).await?;
        remove(tx, step, kind, &gone).await?;
        tell(tx, step, &contacts).await?;
    }
    let contacts = contacts_of(tx, step, kind, &turned).await?;
    tell(tx, step, &contacts).await
}

async fn contacts_of(
    tx: &mut PgConnection,
    step: &Step,
    kind: i16,
    ids: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        "select distinct contact_id from hubspot_touch_contact
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)",
        step.workspace.as_uuid(),
        step.portal.get(),
        kind,
        ids
    )
    .fetch_all(tx)
    .await
}

async fn forget(
    tx: &mut PgConnection,
    step: &Step,
    kind: ObjectType,
    ids: &[HubSpotObjectId],
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    remove(tx, step, type_number(kind), &numbers(ids)).await
}

async fn remove(
    tx: &mut PgConnection,
    step: &Step,
    kind: i16,
    ids: &[i64],
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let (workspace, portal) = (step.workspace.as_uuid(), step.portal.get());
    sqlx::query!(
        "delete from hubspot_touch
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)",
        workspace,
        portal,
        kind,
        ids
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from hubspot_touch_contact
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)",
        workspace,
        portal,
        kind,
        ids
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The people whom these contacts are have changed, for whoever follows the feed.
async fn tell(tx: &mut PgConnection, step: &Step, contacts: &[i64]) -> Result<(), sqlx::Error> {
    if contacts.is_empty() {
        return Ok(());
    }
    let people = sqlx::query_scalar!(
        "select distinct l.app_id as \"app_id!\" from unnest($3::bigint[]) as e (id)
         cross join lateral (select l.app_id from record_link l
           where l.workspace_id = $1 and uuid_hash(l.workspace_id) = uuid_hash($1)
             and l.portal_id + 0 = $2 and l.object_type + 0 = $4::int and l.object_id + 0 = e.id
             and l.adopted_by is null offset 0) l",
        step.workspace.as_uuid(),
        step.portal.get(),
        contacts,
        i32::from(type_number(ObjectType::Contact))
    )
    .fetch_all(&mut *tx)
    .await?;
    if people.is_empty() {
        return Ok(());
    }
    // In one order, so that two pages wait for each other and no more.
    sqlx::query!(
        "with told as (
           select app_id from profile
           where workspace_id = $1 and portal_id = $2 and object_type = $3 and app_id = any($4) and not gone
           order by app_id for update)
         update profile p set changed = (select mirror_change()) from told
         where p.workspace_id = $1 and p.portal_id = $2 and p.object_type = $3 and p.app_id = told.app_id",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(ObjectType::Contact),
        &people
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes the engagements that these contacts took part in, with their titles, which may name them.
pub(crate) async fn erase(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portals: &[i64],
    contacts: &[i64],
) -> Result<(), sqlx::Error> {
    let found = sqlx::query!(
        "select distinct portal_id, object_type, object_id from hubspot_touch_contact
         where workspace_id = $1 and portal_id = any($2) and contact_id = any($3)",
        workspace.as_uuid(),
        portals,
        contacts
    )
    .fetch_all(&mut *tx)
    .await?;
    if found.is_empty() {
        return Ok(());
    }
    let (mut of_portals, mut kinds, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for touch in found {
        of_portals.push(touch.portal_id);
        kinds.push(touch.object_type);
        ids.push(touch.object_id);
    }
    sqlx::query!(
        "delete from hubspot_touch t using unnest($2::bigint[], $3::smallint[], $4::bigint[]) as n (portal, kind, id)
         where t.workspace_id = $1 and t.portal_id = n.portal and t.object_type = n.kind and t.object_id = n.id",
        workspace.as_uuid(),
        &of_portals,
        &kinds,
        &ids
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from hubspot_touch_contact t using unnest($2::bigint[], $3::smallint[], $4::bigint[]) as n (portal, kind, id)
         where t.workspace_id = $1 and t.portal_id = n.portal and t.object_type = n.kind and t.object_id = n.id",
        workspace.as_uuid(),
        &of_portals,
        &kinds,
        &ids
    )
    .execute(tx)
    .await?;
    Ok(())
}
