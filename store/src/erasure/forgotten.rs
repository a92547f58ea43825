//! Contacts that HubSpot no longer knows, and what is removed of contacts whoever asks for it (C7).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, ObjectType, WorkspaceId};
use sqlx::{PgConnection, Postgres, Transaction};

use super::{BadKey, Found, Identity, IdentityKey};
use crate::{
    activities,
    journal::{forget_contacts_written, remove_people_exported},
    links,
    mirror::type_number,
    steps::Step,
    touches,
    verdicts::judge_again,
};

/// Removes people of the app, with their links, profiles and verdicts. Requests to export them stay, for
/// whoever asks what became of them; the app's id goes. Says how many people there were, and how many
/// requests ended by it.
pub(super) async fn remove_people(
    tx: &mut PgConnection,
    key: &IdentityKey,
    workspace: WorkspaceId,
    portals: &[i64],
    people: &[String],
    now: DateTime<Utc>,
) -> Result<(u64, u64), sqlx::Error> {
    let hashes: Vec<Vec<u8>> = people
        .iter()
        .map(|person| key.hash(workspace, &Identity::Person(person)))
        .collect();
    let removed = sqlx::query!(
        "delete from app_person where workspace_id = $1 and person_id = any($2)",
        workspace.as_uuid(),
        people
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    activities::erase(&mut *tx, workspace, people).await?;
    links::erase(&mut *tx, workspace, portals, people).await?;
    remove_people_exported(&mut *tx, workspace, portals, people, &hashes).await?;
    // Whoever follows the changes was told of them by these rows, and is told that they are gone.
    sqlx::query!(
        "with profiles as (
           delete from profile
           where workspace_id = $1 and portal_id = any($3) and object_type = $4 and app_id = any($2)
           returning portal_id, app_id),
         verdicts as (
           delete from dnc_verdict where workspace_id = $1 and person_id = any($2)
           returning portal_id, person_id)
         insert into change_tombstone (workspace_id, portal_id, object_type, object_id, app_id)
         select $1, portal_id, $4, -nextval('change_tombstone_of_person'), app_id
         from (select portal_id, app_id from profiles
               union select portal_id, person_id from verdicts) gone",
        workspace.as_uuid(),
        people,
        portals,
        type_number(ObjectType::Contact)
    )
    .execute(&mut *tx)
    .await?;
    let ended = sqlx::query_scalar!(
        "update export_request e set person_id = null, person_hash = t.hash,
           state = case when state in ('accepted', 'waiting', 'exported') then 'skipped' else state end,
           reason = case when state in ('accepted', 'waiting', 'exported') then 'erased' else reason end,
           due_at = null, hubspot_id = null,
           changed_at = case when state in ('accepted', 'waiting', 'exported') then $4 else changed_at end
         from unnest($2::text[], $3::bytea[]) as t (person, hash)
         where workspace_id = $1 and person_id = t.person
         returning old.state in ('accepted', 'waiting') as \"ended!\"",
        workspace.as_uuid(),
        people,
        &hashes,
        now
    )
    .fetch_all(tx)
    .await?;
    Ok((
        removed,
        ended.into_iter().filter(|ended| *ended).count() as u64,
    ))
}

/// Removes addresses where they are former ones of contacts.
pub(super) async fn remove_former(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portals: &[i64],
    emails: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from hubspot_former_key
         where workspace_id = $1 and portal_id = any($2) and object_type = $3 and key = any($4)",
        workspace.as_uuid(),
        portals,
        type_number(ObjectType::Contact),
        emails
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes what a contact is and was found by, its associations from both sides, its places on lists, the
/// engagements with it, the ids that were merged into it, and what waits to be read again.
pub(super) async fn remove_ties(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portals: &[i64],
    contacts: &[i64],
) -> Result<(), sqlx::Error> {
    touches::erase(&mut *tx, workspace, portals, contacts).await?;
    let contact = type_number(ObjectType::Contact);
    sqlx::query!(
        "delete from hubspot_object_key
         where workspace_id = $1 and portal_id = any($2) and object_type = $3 and object_id = any($4)",
        workspace.as_uuid(),
        portals,
        contact,
        contacts
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from hubspot_former_key
         where workspace_id = $1 and portal_id = any($2) and object_type = $3 and object_id = any($4)",
        workspace.as_uuid(),
        portals,
        contact,
        contacts
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from webhook_record
         where workspace_id = $1 and portal_id = any($2) and object_type = $3 and object_id = any($4)",
        workspace.as_uuid(),
        portals,
        contact,
        contacts
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from hubspot_association
         where workspace_id = $1 and portal_id = any($2) and from_type = $3 and from_id = any($4)",
        workspace.as_uuid(),
        portals,
        contact,
        contacts
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from hubspot_association
         where workspace_id = $1 and uuid_hash(workspace_id) = uuid_hash($1)
           and portal_id + 0 = any($2) and to_type + 0 = $3::int and to_id + 0 = any($4)",
        workspace.as_uuid(),
        portals,
        i32::from(contact),
        contacts
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from hubspot_list_member m
         where m.workspace_id = $1 and uuid_hash(m.workspace_id) = uuid_hash($1)
           and m.portal_id + 0 = any($2) and m.object_id + 0 = any($3)
           and not exists (select 1 from hubspot_list l
             where l.workspace_id = $1 and l.portal_id = m.portal_id and l.list_id = m.list_id
               and l.object_type_id <> '0-1')",
        workspace.as_uuid(),
        portals,
        contacts
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from hubspot_alias
         where workspace_id = $1 and portal_id = any($2) and object_type = $3
           and (object_id = any($4) or living_id = any($4))",
        workspace.as_uuid(),
        portals,
        contact,
        contacts
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from hubspot_reread
         where workspace_id = $1 and portal_id = any($2) and object_type = $3 and object_id = any($4)",
        workspace.as_uuid(),
        portals,
        contact,
        contacts
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes all values of contacts that HubSpot no longer knows. Their rows stay as tombstones without
/// values, for whoever follows changes, and keyed hashes of their ids keep what is on its way out. No
/// hash of an address is kept: HubSpot does not say whether somebody was erased or the time in the
/// recycle bin was over, and who comes again under a new id is a new contact. People who were made from
/// the contacts, and of whom the app has said nothing, go with them; the app's own stay.
pub(crate) async fn forget_contacts(
    tx: &mut Transaction<'static, Postgres>,
    key: &IdentityKey,
    step: &Step,
    gone: &[HubSpotObjectId],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let (workspace, contact) = (step.workspace, type_number(ObjectType::Contact));
    let portals: &[i64] = &[step.portal.get()];
    let mut found = Found {
        contacts: gone.iter().map(|id| id.get()).collect(),
        ..Found::default()
    };
    let ids: Vec<i64> = found.contacts.iter().copied().collect();
    let merged = sqlx::query_scalar!(
        "select object_id from hubspot_alias
         where workspace_id = $1 and portal_id = any($2) and object_type = $3 and living_id = any($4)",
        workspace.as_uuid(),
        portals,
        contact,
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    found.contacts.extend(merged);
    let ids: Vec<i64> = found.contacts.iter().copied().collect();
    let emails = sqlx::query_scalar!(
        "select key from hubspot_object_key
         where workspace_id = $1 and portal_id = any($2) and object_type = $3 and object_id = any($4)",
        workspace.as_uuid(),
        portals,
        contact,
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    found.emails.extend(emails);
    let hashes: Vec<Vec<u8>> = ids
        .iter()
        .filter_map(|id| HubSpotObjectId::new(*id).ok())
        .map(|id| key.hash(workspace, &Identity::Contact(id)))
        .collect();
    sqlx::query!(
        "insert into erased_identity (workspace_id, identity_hash, erased_at)
         select $1, h, clock_timestamp() from unnest($2::bytea[]) as t (h) on conflict do nothing",
        workspace.as_uuid(),
        &hashes
    )
    .execute(&mut **tx)
    .await?;
    judge_again(tx, workspace, portals, &ids).await?;
    let bad = found.in_quarantine(tx, workspace, i64::MIN).await?;
    remove_bad(tx, workspace, bad).await?;
    forget_contacts_written(tx, workspace, portals, &ids).await?;
    let imported = sqlx::query_scalar!(
        "select l.app_id from record_link l
         cross join lateral (select from app_person p
           where p.workspace_id = $1 and p.person_id = l.app_id and p.version = 0 limit 1) p
         where l.workspace_id = $1 and uuid_hash(l.workspace_id) = uuid_hash($1)
           and l.portal_id + 0 = $2 and l.object_type + 0 = $3::int and l.object_id + 0 = any($4)
           and l.origin = 'imported'",
        workspace.as_uuid(),
        step.portal.get(),
        i32::from(contact),
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    remove_people(tx, key, workspace, portals, &imported, now).await?;
    let emails: Vec<String> = found.emails.iter().cloned().collect();
    remove_former(tx, workspace, portals, &emails).await?;
    // Whoever follows changes of deals sees that a contact of theirs is gone.
    for from in ObjectType::MIRRORED {
        sqlx::query!(
            "update hubspot_object set changed = (select mirror_change())
             where workspace_id = $1 and portal_id = $2 and object_type = $5
               and object_id = any(array(select a.from_id from hubspot_association a
                 where a.workspace_id = $1 and uuid_hash(a.workspace_id) = uuid_hash($1)
                   and a.portal_id + 0 = $2 and a.to_type + 0 = $3::int and a.to_id + 0 = any($4)
                   and a.from_type = $5 and not a.removed))",
            workspace.as_uuid(),
            step.portal.get(),
            i32::from(contact),
            &ids,
            type_number(from)
        )
        .execute(&mut **tx)
        .await?;
    }
    remove_ties(tx, workspace, portals, &ids).await?;
    sqlx::query!(
        "update hubspot_object set properties = '{}', created_at = null, content_hash = null,
           archived = true, gone_at = coalesce(gone_at, clock_timestamp()),
           changed = (select mirror_change())
         where workspace_id = $1 and portal_id = any($2) and object_type = $3 and object_id = any($4)",
        workspace.as_uuid(),
        portals,
        contact,
        &ids
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes rows of the quarantine. Says how many.
pub(super) async fn remove_bad(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    bad: BTreeSet<BadKey>,
) -> Result<u64, sqlx::Error> {
    let (mut of_portals, mut types, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for row in bad {
        of_portals.push(row.portal);
        types.push(row.sync_type);
        keys.push(row.key);
    }
    Ok(sqlx::query!(
        "delete from quarantine q
         using unnest($2::bigint[], $3::text[], $4::text[]) as t (portal, sync_type, key)
         where q.workspace_id = $1 and q.portal_id = t.portal and q.sync_type = t.sync_type
           and q.record_key = t.key",
        workspace.as_uuid(),
        &of_portals,
        &types,
        &keys
    )
    .execute(tx)
    .await?
    .rows_affected())
}
