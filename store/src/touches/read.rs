//! What of engagements was read, what is known, and those of a person.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, HubSpotOwnerId, ObjectType, PortalId, WorkspaceId,
    app::PersonId,
    touches::{Covered, TouchPlace},
};

use crate::{
    Store, StoreError,
    mirror::{object_id, type_number, type_of_number},
};

use super::{FoundTouch, PersonTouch};

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
}
