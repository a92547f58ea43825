//! Recent engagements of other reps (I10): kind, time, owner and title, with the contacts that they are
//! with; their texts where the workspace reads them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, HubSpotOwnerId, ObjectType, PortalId, ReadPart, SyncType, WorkspaceId,
    app::PersonId,
    touches::{Covered, TouchPlace},
};
use sqlx::PgConnection;

use crate::{
    Store, StoreError,
    mirror::{object_id, type_number, type_of_number},
    steps::Step,
};

/// An engagement as it was read. `Debug` shows neither its title nor its text (X5).
#[derive(Clone, PartialEq, Eq)]
pub struct TouchRow {
    /// Which one, of its page's kind.
    pub id: HubSpotObjectId,
    /// When it took place, or is to.
    pub at: DateTime<Utc>,
    /// When it was last modified, by HubSpot's clock.
    pub modified_at: DateTime<Utc>,
    /// Whose it is.
    pub owner: Option<HubSpotOwnerId>,
    /// Its title.
    pub title: Option<String>,
    /// Its text; none where it was not asked for.
    pub body: Option<String>,
    /// Whether HubSpot keeps back what it says.
    pub redacted: bool,
    /// The contacts that it was said to be with. Those that were known before stay.
    pub contacts: BTreeSet<HubSpotObjectId>,
}

impl std::fmt::Debug for TouchRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TouchRow")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A page of engagements of one kind.
#[derive(Debug, Clone)]
pub struct TouchRows {
    /// Which kind.
    pub kind: ObjectType,
    /// Whether the texts were asked for.
    pub bodies: bool,
    /// What is kept. One with no contact is, if it is known already.
    pub rows: Vec<TouchRow>,
    /// Engagements that are to be forgotten: they took place before the window, or are ours.
    pub forgotten: Vec<HubSpotObjectId>,
    /// Engagements that lie in the recycle bin.
    pub archived: Vec<HubSpotObjectId>,
    /// Engagements that HubSpot named as unknown, alive and in the recycle bin.
    pub missing: Vec<HubSpotObjectId>,
    /// So many days of the kind were read to the end, unless HubSpot refused a part of it or left it
    /// unanswered.
    pub covered: Option<u32>,
    /// How far those that are known were asked for.
    pub walked: Option<Walked>,
}

impl TouchRows {
    /// Nothing of a kind.
    pub const fn none(kind: ObjectType) -> Self {
        Self {
            kind,
            bodies: false,
            rows: Vec::new(),
            forgotten: Vec::new(),
            archived: Vec::new(),
            missing: Vec::new(),
            covered: None,
            walked: None,
        }
    }
}

/// How far those of a kind that are known were asked for, in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walked {
    /// So far; the next reading goes on.
    To(HubSpotObjectId),
    /// All of them.
    ToTheEnd,
}

/// An engagement that HubSpot has, before it is known whether it is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundTouch {
    /// Which one.
    pub id: HubSpotObjectId,
    /// When it was last modified, by HubSpot's clock.
    pub modified_at: DateTime<Utc>,
    /// Whether its owner is told.
    pub owner: bool,
    /// Whether its title is told.
    pub title: bool,
    /// Whether its text is told.
    pub body: bool,
    /// Whether HubSpot keeps back what it says.
    pub redacted: bool,
}

/// An engagement with a person.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonTouch {
    /// Which one, and when.
    pub place: TouchPlace,
    /// Whose it is.
    pub owner: Option<HubSpotOwnerId>,
    /// Its title.
    pub title: Option<String>,
    /// Its text, where that was read.
    pub body: Option<String>,
    /// Whether HubSpot keeps back what it says.
    pub redacted: bool,
    /// The person's contacts that it is with.
    pub contacts: BTreeSet<HubSpotObjectId>,
}

impl std::fmt::Debug for PersonTouch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PersonTouch")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

fn numbers(ids: &[HubSpotObjectId]) -> Vec<i64> {
    ids.iter().map(|id| id.get()).collect()
}

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

impl Store {
    /// What of a kind of engagements was read whole; none where it is to be read so.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touches_covered(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        kind: ObjectType,
    ) -> Result<Option<Covered>, StoreError> {
        let row = sqlx::query!(
            "select days, bodies from touch_coverage
             where workspace_id = $1 and portal_id = $2 and object_type = $3",
            workspace.as_uuid(),
            portal.get(),
            type_number(kind)
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.and_then(|row| {
            Some(Covered {
                days: u32::try_from(row.days).ok()?,
                texts: row.bodies,
            })
        }))
    }

    /// The kinds that were read whole, each with the last id that was asked for, where those that are known
    /// are being asked for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touch_walks(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<BTreeMap<ObjectType, Option<HubSpotObjectId>>, StoreError> {
        let rows = sqlx::query!(
            "select object_type, walked_to from touch_coverage where workspace_id = $1 and portal_id = $2",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok((
                    type_of_number(row.object_type)?,
                    row.walked_to.map(object_id).transpose()?,
                ))
            })
            .collect()
    }

    /// Engagements of a kind that are known, in the order of their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touches_after(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        kind: ObjectType,
        after: Option<HubSpotObjectId>,
        limit: u32,
    ) -> Result<Vec<HubSpotObjectId>, StoreError> {
        let rows = sqlx::query_scalar!(
            "select object_id from hubspot_touch
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id > $4
             order by object_id limit $5",
            workspace.as_uuid(),
            portal.get(),
            type_number(kind),
            after.map_or(-1, |a| a.get()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(object_id).collect()
    }

    /// HubSpot refuses a kind of engagements: what changes meanwhile is not known, so it is read whole when
    /// HubSpot gives it again. What is stored of it stays.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn uncover_touches(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        kind: ObjectType,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from touch_coverage
             where workspace_id = $1 and portal_id = $2 and object_type = $3",
            workspace.as_uuid(),
            portal.get(),
            type_number(kind)
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Of engagements that HubSpot has, those that are not stored as new as that, or of which it tells what
    /// it did not tell before. `bodies`: the texts are wanted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unread_touches(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        kind: ObjectType,
        found: &[FoundTouch],
        bodies: bool,
    ) -> Result<BTreeSet<HubSpotObjectId>, StoreError> {
        let (ids, modified): (Vec<i64>, Vec<DateTime<Utc>>) =
            found.iter().map(|f| (f.id.get(), f.modified_at)).unzip();
        let owners: Vec<bool> = found.iter().map(|f| f.owner).collect();
        let titles: Vec<bool> = found.iter().map(|f| f.title).collect();
        let texts: Vec<bool> = found.iter().map(|f| f.body).collect();
        let redacted: Vec<bool> = found.iter().map(|f| f.redacted).collect();
        let rows = sqlx::query_scalar!(
            "select e.id as \"id!\"
             from unnest($4::bigint[], $5::timestamptz[], $6::boolean[], $7::boolean[], $8::boolean[], $9::boolean[])
               as e (id, modified, owner, title, body, redacted)
             where not exists (select 1 from hubspot_touch t
               where t.workspace_id = $1 and t.portal_id = $2 and t.object_type = $3 and t.object_id = e.id
                 and t.modified_at >= e.modified and not t.archived and t.missing_at is null
                 and (t.with_body or not $10) and (t.owner_id is not null or not e.owner)
                 and (t.title is not null or not e.title) and (t.body is not null or not e.body)
                 and (e.redacted or not t.redacted) offset 0)",
            workspace.as_uuid(),
            portal.get(),
            type_number(kind),
            &ids,
            &modified,
            &owners,
            &titles,
            &texts,
            &redacted,
            bodies
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(object_id).collect()
    }

    /// The engagements of others with a person that took place within so many days, or are to; newest
    /// first, those after `after`. What we logged ourselves is not among them, whenever it was read.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touches_of_person(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        person: &PersonId,
        email: Option<&str>,
        days: u32,
        after: Option<TouchPlace>,
    ) -> Result<Vec<PersonTouch>, StoreError> {
        let (contacts, _) = self
            .at_hand(workspace, portal, person.as_str(), email)
            .await?;
        // What was with a contact that was merged away is with the one that lives.
        let rows = sqlx::query!(
            "select e.id as \"contact!\", t.object_type as \"kind!\", t.object_id as \"id!\",
               t.happened_at as \"at!\", t.owner_id, t.title, t.body, t.redacted as \"redacted!\"
             from unnest($3::bigint[]) as e (id)
             cross join lateral (select e.id union select a.object_id from hubspot_alias a
               where a.workspace_id = $1 and a.portal_id = $2 and a.object_type = 1 and a.living_id = e.id offset 0)
               as c (id)
             cross join lateral (select k.object_type, k.object_id from hubspot_touch_contact k
               where k.workspace_id = $1 and k.portal_id = $2 and k.contact_id = c.id offset 0) k
             cross join lateral (select t.* from hubspot_touch t
               where t.workspace_id = $1 and t.portal_id = $2 and t.object_type = k.object_type
                 and t.object_id = k.object_id and not t.archived
                 and t.happened_at >= clock_timestamp() - make_interval(days => $4) limit 1) t
             where not exists (select 1 from logged_activity l
               where l.portal_id = $2 and l.object_type = t.object_type and l.record_id = t.object_id offset 0)",
            workspace.as_uuid(),
            portal.get(),
            &contacts,
            i32::try_from(days).unwrap_or(i32::MAX)
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found: BTreeMap<TouchPlace, PersonTouch> = BTreeMap::new();
        for row in rows {
            let place = TouchPlace {
                at: row.at,
                kind: type_of_number(row.kind)?,
                id: object_id(row.id)?,
            };
            if after.is_some_and(|after| place <= after) {
                continue;
            }
            found
                .entry(place)
                .or_insert_with(|| PersonTouch {
                    place,
                    owner: row.owner_id.and_then(|id| HubSpotOwnerId::new(id).ok()),
                    title: row.title,
                    body: row.body,
                    redacted: row.redacted,
                    contacts: BTreeSet::new(),
                })
                .contacts
                .insert(object_id(row.contact)?);
        }
        Ok(found.into_values().collect())
    }

    /// Workspaces of which engagements were ever begun to be read, and not removed since.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn workspaces_with_touches(&self) -> Result<Vec<WorkspaceId>, StoreError> {
        let rows = sqlx::query_scalar!(
            "select distinct workspace_id from sync_cursor where sync_type = $1",
            SyncType::Engagements.as_str()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(WorkspaceId::new).collect())
    }

    /// Removes engagements of a workspace that took place before so many days, `limit` at most. Says how
    /// many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_touches(
        &self,
        workspace: WorkspaceId,
        days: u32,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let gone = sqlx::query_scalar!(
            "with gone as (
               delete from hubspot_touch t
               using (select portal_id, object_type, object_id from hubspot_touch
                 where workspace_id = $1 and happened_at < clock_timestamp() - make_interval(days => $2)
                 order by happened_at limit $3) as n
               where t.workspace_id = $1 and t.portal_id = n.portal_id and t.object_type = n.object_type
                 and t.object_id = n.object_id
               returning t.portal_id, t.object_type, t.object_id),
             ties as (
               delete from hubspot_touch_contact c using gone g
               where c.workspace_id = $1 and c.portal_id = g.portal_id and c.object_type = g.object_type
                 and c.object_id = g.object_id)
             select count(*) as \"n!\" from gone",
            workspace.as_uuid(),
            i32::try_from(days).unwrap_or(i32::MAX),
            i64::from(limit)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(gone).unwrap_or(0))
    }

    /// Removes what is stored of engagements of a workspace that does not read them any more, `limit` at
    /// most, and at last what was known of the reading: switched on again, it begins anew. Says how many
    /// went.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_touches(
        &self,
        workspace: WorkspaceId,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let id = workspace.as_uuid();
        let gone = sqlx::query_scalar!(
            "with gone as (
               delete from hubspot_touch t
               using (select portal_id, object_type, object_id from hubspot_touch
                 where workspace_id = $1 limit $2) as n
               where t.workspace_id = $1 and t.portal_id = n.portal_id and t.object_type = n.object_type
                 and t.object_id = n.object_id
               returning t.portal_id, t.object_type, t.object_id),
             ties as (
               delete from hubspot_touch_contact c using gone g
               where c.workspace_id = $1 and c.portal_id = g.portal_id and c.object_type = g.object_type
                 and c.object_id = g.object_id)
             select count(*) as \"n!\" from gone",
            id,
            i64::from(limit)
        )
        .fetch_one(&self.pool)
        .await?;
        if gone > 0 {
            return Ok(u64::try_from(gone).unwrap_or(0));
        }
        let of = SyncType::Engagements.as_str();
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "delete from sync_cursor where workspace_id = $1 and sync_type = $2",
            id,
            of
        )
        .execute(&mut *tx)
        .await?;
        // A page that was under way is either here by now, or finds no cursor to move.
        sqlx::query!("delete from hubspot_touch where workspace_id = $1", id)
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "delete from hubspot_touch_contact where workspace_id = $1",
            id
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from sync_freshness where workspace_id = $1 and sync_type = $2",
            id,
            of
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from sync_trouble where workspace_id = $1 and sync_type = $2",
            id,
            of
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from quarantine where workspace_id = $1 and sync_type = $2",
            id,
            of
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("delete from touch_coverage where workspace_id = $1", id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(0)
    }

    /// Removes the texts of a workspace that does not read them any more, so many at most. At last nothing
    /// counts as read with its text: switched on again, all are read. Says how many went.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_touch_texts(
        &self,
        workspace: WorkspaceId,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let id = workspace.as_uuid();
        let gone = sqlx::query!(
            "update hubspot_touch t set body = null, with_body = false
             from (select portal_id, object_type, object_id from hubspot_touch
               where workspace_id = $1 and with_body limit $2) as n
             where t.workspace_id = $1 and t.portal_id = n.portal_id and t.object_type = n.object_type
               and t.object_id = n.object_id",
            id,
            i64::from(limit)
        )
        .execute(&self.pool)
        .await?
        .rows_affected();
        if gone == 0 {
            sqlx::query!(
                "update touch_coverage set bodies = false where workspace_id = $1 and bodies",
                id
            )
            .execute(&self.pool)
            .await?;
        }
        Ok(gone)
    }
}
