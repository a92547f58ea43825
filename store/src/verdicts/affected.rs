//! Which people a change may concern.

use std::collections::BTreeSet;

use domain::{ObjectType, WorkspaceId};
use sqlx::{PgConnection, PgExecutor};

/// Records that changed, as far as verdicts stand on them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ChangedRecords {
    pub(crate) contacts: BTreeSet<i64>,
    pub(crate) companies: BTreeSet<i64>,
    pub(crate) deals: BTreeSet<i64>,
}

impl ChangedRecords {
    pub(crate) fn add(&mut self, object_type: ObjectType, id: i64) {
        match object_type {
            ObjectType::Contact => self.contacts.insert(id),
            ObjectType::Company => self.companies.insert(id),
            ObjectType::Deal => self.deals.insert(id),
            // Engagements come in as properties of contacts and companies (I10).
            _ => false,
        };
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.contacts.is_empty() && self.companies.is_empty() && self.deals.is_empty()
    }
}

/// The people of the app whose verdict may be another one after these records changed: whoever is
/// linked to a contact at hand, or has an address of it, or is so to one at the same company, or has
/// an e-mail at a company's domain. Associations that are gone count, too.
pub(crate) async fn affected_people(
    executor: impl PgExecutor<'_>,
    workspace: WorkspaceId,
    portal: i64,
    changed: &ChangedRecords,
) -> Result<BTreeSet<String>, sqlx::Error> {
    if changed.is_empty() {
        return Ok(BTreeSet::new());
    }
    let list = |ids: &BTreeSet<i64>| ids.iter().copied().collect::<Vec<i64>>();
    let people = sqlx::query_scalar!(
        "with of_deals as materialized (
           select a.to_type, a.to_id from unnest($3::bigint[]) as d (id)
           cross join lateral (select a.to_type, a.to_id from hubspot_association a
             where a.workspace_id = $1 and a.portal_id = $2 and a.from_type = 3 and a.from_id = d.id
               and a.to_type in (1, 2) offset 0) a),
         own as materialized (
           select id from unnest($4::bigint[]) as t (id)
           union select to_id from of_deals where to_type = 1),
         at as materialized (
           select id from unnest($5::bigint[]) as t (id)
           union select to_id from of_deals where to_type = 2
           union select a.to_id from own cross join lateral (select a.to_id from hubspot_association a
             where a.workspace_id = $1 and a.portal_id = $2 and a.from_type = 1 and a.from_id = own.id
               and a.to_type = 2 offset 0) a),
         contacts as materialized (
           select id from own
           union select a.from_id from at cross join lateral (select a.from_id from hubspot_association a
             where a.workspace_id = $1 and uuid_hash(a.workspace_id) = uuid_hash($1)
               and a.portal_id + 0 = $2 and a.to_type + 0 = 2 and a.to_id + 0 = at.id
               and a.from_type = 1 offset 0) a),
         emails as materialized (
           select k.key from contacts c cross join lateral (select k.key from hubspot_object_key k
             where k.workspace_id = $1 and k.portal_id = $2 and k.object_type = 1 and k.object_id = c.id offset 0) k
           union select k.key from contacts c cross join lateral (select k.key from hubspot_former_key k
             where k.workspace_id = $1 and k.portal_id = $2 and k.object_type = 1 and k.object_id = c.id offset 0) k),
         domains as materialized (
           select k.key from at cross join lateral (select k.key from hubspot_object_key k
             where k.workspace_id = $1 and k.portal_id = $2 and k.object_type = 2 and k.object_id = at.id offset 0) k
           union select k.key from at cross join lateral (select k.key from hubspot_former_key k
             where k.workspace_id = $1 and k.portal_id = $2 and k.object_type = 2 and k.object_id = at.id offset 0) k)
         select p.person_id as \"person!\" from emails e cross join lateral (select p.person_id from app_person p
           where p.workspace_id = $1 and p.email = e.key collate \"default\" offset 0) p
         union
         select l.app_id from contacts c cross join lateral (select l.app_id from record_link l
           where l.workspace_id = $1 and uuid_hash(l.workspace_id) = uuid_hash($1) and l.portal_id + 0 = $2
             and l.object_type + 0 = 1 and l.object_id + 0 = c.id and l.adopted_by is null offset 0) l
         union
         select p.person_id from domains d cross join lateral (select p.person_id from app_person p
           where p.workspace_id = $1 and p.email is not null and split_part(p.email, '@', 2) = d.key collate \"default\" offset 0) p",
        workspace.as_uuid(),
        portal,
        &list(&changed.deals),
        &list(&changed.contacts),
        &list(&changed.companies)
    )
    .fetch_all(executor)
    .await?;
    Ok(people.into_iter().collect())
}

/// Before records are forgotten with what ties them to people: whom it concerns is judged again afterwards,
/// when nothing leads from the one to the other any more.
pub(crate) async fn judge_again(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portals: &[i64],
    contacts: &[i64],
) -> Result<(), sqlx::Error> {
    let forgotten = ChangedRecords {
        contacts: contacts.iter().copied().collect(),
        ..ChangedRecords::default()
    };
    for portal in portals {
        let people = affected_people(&mut *tx, workspace, *portal, &forgotten).await?;
        if people.is_empty() {
            continue;
        }
        let people: Vec<String> = people.into_iter().collect();
        sqlx::query!(
            "update app_person set changed = (select mirror_change())
             where workspace_id = $1 and person_id = any(array(select person_id from app_person
               where workspace_id = $1 and person_id = any($2) order by person_id for no key update))",
            workspace.as_uuid(),
            &people
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
