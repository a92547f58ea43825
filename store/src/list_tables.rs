//! Lists as tables that the app reads (I6): all of them by name, and who is on one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, ObjectType, PortalId, WorkspaceId, portal::ListId};

use crate::{Store, StoreError, cursors::count, mirror::object_id};

/// A list as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListDetails {
    /// Its id.
    pub list: ListId,
    /// Its name.
    pub name: String,
    /// What it is a list of; none for types that are not mirrored.
    pub object_type: Option<ObjectType>,
    /// `MANUAL`, `DYNAMIC` or `SNAPSHOT`.
    pub processing_type: String,
    /// Whether HubSpot was computing it when it was last seen.
    pub processing: bool,
    /// Members, as HubSpot counts them.
    pub size: Option<u64>,
    /// When a whole reading of its members last began.
    pub members_read_at: Option<DateTime<Utc>>,
    /// How its members changed last; none before they were read, or where nobody came or left since.
    pub last_change: Option<MembersChange>,
    /// Since when HubSpot has it no more.
    pub gone_at: Option<DateTime<Utc>>,
}

/// Who came and left on the last day, in UTC, on which any member of a list did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembersChange {
    /// When the last of these was noticed.
    pub at: DateTime<Utc>,
    /// Members who came.
    pub joined: u64,
    /// Members who left.
    pub left: u64,
}

/// A member of a list, with whoever counts by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMember {
    /// The record that is on the list.
    pub id: HubSpotObjectId,
    /// The contacts that count: itself, or those of the company.
    pub contacts: Vec<HubSpotObjectId>,
    /// The app's people who are linked to one of these, or have an address of one.
    pub people: Vec<String>,
}

impl Store {
    /// The lists of a portal by id, also those that HubSpot has no more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lists_after(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        after: Option<HubSpotObjectId>,
        limit: u32,
    ) -> Result<Vec<ListDetails>, StoreError> {
        let rows = sqlx::query!(
            "select list_id, name, object_type_id, processing_type, processing_status, size, members_read_at, gone_at,
               members_changed_at, members_joined, members_left
             from hubspot_list where workspace_id = $1 and portal_id = $2 and list_id > $3
             order by list_id limit $4",
            workspace.as_uuid(),
            portal.get(),
            after.map_or(-1, |a| a.get()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| ListDetails {
                list: ListId::new(row.list_id),
                name: row.name,
                object_type: ObjectType::from_type_id(&row.object_type_id),
                processing_type: row.processing_type,
                processing: row.processing_status == "PROCESSING",
                size: row.size.map(count),
                members_read_at: row.members_read_at,
                last_change: row.members_changed_at.map(|at| MembersChange {
                    at,
                    joined: count(row.members_joined.unwrap_or(0)),
                    left: count(row.members_left.unwrap_or(0)),
                }),
                gone_at: row.gone_at,
            })
            .collect())
    }

    /// One list; none where the portal never had it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list_details(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        list: HubSpotObjectId,
    ) -> Result<Option<ListDetails>, StoreError> {
        let before = HubSpotObjectId::new(list.get().saturating_sub(1)).ok();
        let after = before.filter(|before| *before != list);
        let found = self.lists_after(workspace, portal, after, 1).await?;
        Ok(found.into_iter().find(|l| l.list.get() == list.get()))
    }

    /// The members of a list in the order of their ids, with the contacts and people who count by them:
    /// of a list of companies their contacts do, but those in the recycle bin.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn listed_after(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        list: &ListDetails,
        after: Option<HubSpotObjectId>,
        limit: u32,
    ) -> Result<Vec<ListedMember>, StoreError> {
        let members: Vec<i64> = sqlx::query_scalar!(
            "select object_id from hubspot_list_member
             where workspace_id = $1 and portal_id = $2 and list_id = $3 and object_id > $4 and not removed
             order by object_id limit $5",
            workspace.as_uuid(),
            portal.get(),
            list.list.get(),
            after.map_or(-1, |a| a.get()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        let mut contacts: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        match list.object_type {
            Some(ObjectType::Contact) => {
                contacts.extend(members.iter().map(|id| (*id, vec![*id])));
            }
            Some(ObjectType::Company) => {
                let rows = sqlx::query!(
                    "select e.id as \"company!\", a.from_id as \"contact!\" from unnest($3::bigint[]) as e (id)
                     cross join lateral (select a.from_id from hubspot_association a
                       where a.workspace_id = $1 and uuid_hash(a.workspace_id) = uuid_hash($1)
                         and a.portal_id + 0 = $2 and a.to_type + 0 = 2 and a.to_id + 0 = e.id
                         and a.from_type = 1 and not a.removed offset 0) a
                     where exists (select 1 from hubspot_object o
                       where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = 1
                         and o.object_id = a.from_id and not o.archived offset 0)
                     order by 1, 2",
                    workspace.as_uuid(),
                    portal.get(),
                    &members
                )
                .fetch_all(&self.pool)
                .await?;
                for row in rows {
                    contacts.entry(row.company).or_default().push(row.contact);
                }
            }
            _ => {}
        }
        let all: Vec<i64> = contacts.values().flatten().copied().collect();
        let rows = sqlx::query!(
            "select e.id as \"contact!\", p.person_id as \"person!\" from unnest($3::bigint[]) as e (id)
             cross join lateral (
               (select p.person_id from (select k.key from hubspot_object_key k
                  where k.workspace_id = $1 and k.portal_id = $2 and k.object_type = 1 and k.object_id = e.id
                  offset 0) k
                cross join lateral (select p.person_id from app_person p
                  where p.workspace_id = $1 and p.email = k.key collate \"default\" offset 0) p)
               union
               (select l.app_id from record_link l
                where l.workspace_id = $1 and uuid_hash(l.workspace_id) = uuid_hash($1) and l.portal_id + 0 = $2
                  and l.object_type + 0 = 1 and l.object_id + 0 = e.id and l.adopted_by is null offset 0)
             ) p
             order by 1, 2",
            workspace.as_uuid(),
            portal.get(),
            &all
        )
        .fetch_all(&self.pool)
        .await?;
        let mut people: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for row in rows {
            people.entry(row.contact).or_default().push(row.person);
        }
        members
            .into_iter()
            .map(|member| {
                let own = contacts.remove(&member).unwrap_or_default();
                let mut who: Vec<String> = own
                    .iter()
                    .filter_map(|contact| people.get(contact))
                    .flatten()
                    .cloned()
                    .collect();
                who.sort_unstable();
                who.dedup();
                Ok(ListedMember {
                    id: object_id(member)?,
                    contacts: own.into_iter().map(object_id).collect::<Result<_, _>>()?,
                    people: who,
                })
            })
            .collect()
    }
}
