//! Recent engagements of other reps (I10): kind, time, owner and title, with the contacts that they are
//! with. Never a text.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, HubSpotOwnerId, ObjectType, PortalId, ReadPart, SyncType, WorkspaceId,
    app::PersonId, touches::TouchPlace,
};
use sqlx::PgConnection;

use crate::{
    Store, StoreError,
    mirror::{object_id, type_number, type_of_number},
    steps::Step,
};

/// An engagement as it was read. `Debug` does not show its title (X5).
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
    /// What is kept. One with no contact is, if it is known already.
    pub rows: Vec<TouchRow>,
    /// Engagements that are to be forgotten: they took place before the window, or are ours.
    pub forgotten: Vec<HubSpotObjectId>,
    /// So many days of the kind were read to the end, unless HubSpot refused a part of it or left it
    /// unanswered.
    pub covered: Option<u32>,
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
    if !ids.is_empty() {
        sqlx::query!(
            "insert into hubspot_touch as t
               (workspace_id, portal_id, object_type, object_id, happened_at, modified_at, read_at, owner_id, title)
             select $1, $2, $3, n.id, n.at, n.modified, $4, n.owner, n.title
             from unnest($5::bigint[], $6::timestamptz[], $7::timestamptz[], $8::bigint[], $9::text[], $10::boolean[])
               as n (id, at, modified, owner, title, tied)
             where n.tied or exists (select 1 from hubspot_touch o
               where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = $3 and o.object_id = n.id offset 0)
             on conflict (workspace_id, portal_id, object_type, object_id) do update set
               happened_at = excluded.happened_at, modified_at = excluded.modified_at, read_at = excluded.read_at,
               owner_id = case when $3 = 49 then coalesce(excluded.owner_id, t.owner_id) else excluded.owner_id end,
               title = case when $3 = 49 then coalesce(excluded.title, t.title) else excluded.title end
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
            &tied
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
            "insert into touch_coverage (workspace_id, portal_id, object_type, days)
             select $1, $2, $3, $4
             where not exists (select 1 from sync_refusal f join sync_cursor c on c.id = f.cursor_id
               where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $5 and c.purpose = $6
                 and f.part = $7)
               and not exists (select 1 from sync_cursor c
                 where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $5 and c.purpose = $6
                   and c.unanswered > 0)
             on conflict (workspace_id, portal_id, object_type) do update set days = excluded.days",
            workspace,
            portal,
            kind,
            i32::try_from(days).unwrap_or(i32::MAX),
            step.sync_type.as_str(),
            step.purpose.as_str(),
            ReadPart::RecordsOf(page.kind).to_string()
        )
        .execute(tx)
        .await?;
    }
    Ok(())
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
    let (workspace, portal) = (step.workspace.as_uuid(), step.portal.get());
    let (kind, ids) = (type_number(kind), numbers(ids));
    sqlx::query!(
        "delete from hubspot_touch
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)",
        workspace,
        portal,
        kind,
        &ids
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from hubspot_touch_contact
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)",
        workspace,
        portal,
        kind,
        &ids
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
    /// So many days of a kind of engagements were read whole; none where it is to be read so.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touches_covered(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        kind: ObjectType,
    ) -> Result<Option<u32>, StoreError> {
        let days = sqlx::query_scalar!(
            "select days from touch_coverage
             where workspace_id = $1 and portal_id = $2 and object_type = $3",
            workspace.as_uuid(),
            portal.get(),
            type_number(kind)
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(days.and_then(|days| u32::try_from(days).ok()))
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

    /// Of engagements that HubSpot has, those that are not stored as new as that.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unread_touches(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        kind: ObjectType,
        found: &[(HubSpotObjectId, DateTime<Utc>)],
    ) -> Result<BTreeSet<HubSpotObjectId>, StoreError> {
        let (ids, modified): (Vec<i64>, Vec<DateTime<Utc>>) =
            found.iter().map(|(id, at)| (id.get(), *at)).unzip();
        let rows = sqlx::query_scalar!(
            "select e.id as \"id!\" from unnest($4::bigint[], $5::timestamptz[]) as e (id, modified)
             where not exists (select 1 from hubspot_touch t
               where t.workspace_id = $1 and t.portal_id = $2 and t.object_type = $3 and t.object_id = e.id
                 and t.modified_at >= e.modified offset 0)",
            workspace.as_uuid(),
            portal.get(),
            type_number(kind),
            &ids,
            &modified
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
               t.happened_at as \"at!\", t.owner_id, t.title
             from unnest($3::bigint[]) as e (id)
             cross join lateral (select e.id union select a.object_id from hubspot_alias a
               where a.workspace_id = $1 and a.portal_id = $2 and a.object_type = 1 and a.living_id = e.id offset 0)
               as c (id)
             cross join lateral (select k.object_type, k.object_id from hubspot_touch_contact k
               where k.workspace_id = $1 and k.portal_id = $2 and k.contact_id = c.id offset 0) k
             cross join lateral (select t.* from hubspot_touch t
               where t.workspace_id = $1 and t.portal_id = $2 and t.object_type = k.object_type
                 and t.object_id = k.object_id
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
}
