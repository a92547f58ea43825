//! Profiles as they are read: put together of what is stored at that moment (I5).

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    PortalId, WorkspaceId,
    api::ProfileAnswer,
    app::{FieldValue, RecordKind},
    linking,
    owners::OwnerMap,
    profiles::{Basis, Counterpart, assemble},
};
use sqlx::PgConnection;

use crate::{
    Listed, Store, StoreError,
    cursors::count,
    links::{self, LinkRow, Of, Ours, Theirs, claims_of, holder},
    mirror::object_id,
};

/// Profiles that were asked for.
#[derive(Debug)]
pub struct FoundProfiles {
    /// Those that are there, by id.
    pub profiles: Vec<Listed<ProfileAnswer>>,
    /// Ids of which nothing is known.
    pub unknown: Vec<String>,
}

/// A profile that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileChange {
    /// The number of its last change.
    pub number: u64,
    /// Of what kind it is.
    pub record: RecordKind,
    /// The app's id.
    pub id: String,
    /// Whether it gave way to another one's.
    pub gone: bool,
}

impl Store {
    /// What all profiles of a workspace depend on, as it is now.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for settings that cannot be read; else when the database fails.
    pub async fn profile_basis(&self, workspace: WorkspaceId) -> Result<Basis, StoreError> {
        let facts = self.portal_facts(workspace).await?;
        let saved = self
            .settings(workspace)
            .await?
            .map(|row| domain::settings::read(row.document))
            .transpose()
            .map_err(|_| StoreError::Unreadable("settings"))?;
        Ok(Basis::new(facts, saved))
    }

    /// Profiles by id, put together of what is stored now. A workspace that never connected has the
    /// app's values only. Asked for a person who gave way to another one, it is that one's.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for settings that cannot be read; else when the database fails.
    pub async fn profiles(
        &self,
        workspace: WorkspaceId,
        record: RecordKind,
        ids: &[String],
    ) -> Result<FoundProfiles, StoreError> {
        let basis = self.profile_basis(workspace).await?;
        let portal = self.connection(workspace).await?.map(|row| row.portal);
        let mut connection = self.pool.acquire().await?;
        let mut wanted: BTreeSet<String> = ids.iter().cloned().collect();
        if let Some(portal) = portal {
            for (gone, by) in adopters(&mut connection, workspace, portal, ids).await? {
                wanted.remove(&gone);
                wanted.insert(by);
            }
        }
        let wanted: Vec<String> = wanted.into_iter().collect();
        let owners = basis.owner_map();
        let mut found = read(
            &mut connection,
            workspace,
            portal,
            record,
            &basis,
            &owners,
            &wanted,
        )
        .await?;
        let unknown = wanted
            .iter()
            .filter(|id| !found.contains_key(*id))
            .cloned()
            .collect();
        Ok(FoundProfiles {
            profiles: wanted.iter().filter_map(|id| found.remove(id)).collect(),
            unknown,
        })
    }

    /// Somebody, or a company, of the app's to show an example with: of the first ones by id one that is
    /// linked, where there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn example_record(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        record: RecordKind,
    ) -> Result<Option<String>, StoreError> {
        let id = match record {
            RecordKind::Person => {
                sqlx::query_scalar!(
                    "select o.person_id from (
                       select person_id from app_person where workspace_id = $1
                         and not (version = 0 and starts_with(person_id, 'hubspot.'))
                       order by person_id limit 50) o
                     left join lateral (select true as there from record_link l where l.workspace_id = $1
                       and l.portal_id = $2 and l.object_type = 1 and l.app_id = o.person_id limit 1) l on true
                     order by l.there, o.person_id limit 1",
                    workspace.as_uuid(),
                    portal.get()
                )
                .fetch_optional(&self.pool)
                .await?
            }
            RecordKind::Company => {
                sqlx::query_scalar!(
                    "select o.company_id from (
                       select company_id from app_company where workspace_id = $1
                       order by company_id limit 50) o
                     left join lateral (select true as there from record_link l where l.workspace_id = $1
                       and l.portal_id = $2 and l.object_type = 2 and l.app_id = o.company_id limit 1) l on true
                     order by l.there, o.company_id limit 1",
                    workspace.as_uuid(),
                    portal.get()
                )
                .fetch_optional(&self.pool)
                .await?
            }
        };
        Ok(id)
    }

    /// Profiles that changed after a position (number, kind, id), in the order of their changes. What
    /// other transactions are still writing comes once all before it is settled.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn profile_changes_after(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        after: Option<&ProfileChange>,
        limit: u32,
    ) -> Result<Vec<ProfileChange>, StoreError> {
        let number = after.map_or(0, |a| i64::try_from(a.number).unwrap_or(i64::MAX));
        let kind = after.map_or(0, |a| kind_number(a.record));
        let rows = sqlx::query!(
            "select changed, object_type, app_id, gone from profile
             where workspace_id = $1 and uuid_hash(workspace_id) = uuid_hash($1) and portal_id + 0 = $2
               and (changed, object_type + 0, app_id) > ($3, $4::int, $5)
               and changed < mirror_settled()
             order by changed, object_type + 0, app_id limit $6",
            workspace.as_uuid(),
            portal.get(),
            number,
            i32::from(kind),
            after.map_or("", |a| a.id.as_str()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ProfileChange {
                    number: count(row.changed),
                    record: kind_of(row.object_type)?,
                    id: row.app_id,
                    gone: row.gone,
                })
            })
            .collect()
    }
}

const fn kind_number(record: RecordKind) -> i16 {
    domain::profiles::object_type_of(record).number()
}

pub(crate) fn kind_of(number: i16) -> Result<RecordKind, StoreError> {
    RecordKind::ALL
        .into_iter()
        .find(|record| kind_number(*record) == number)
        .ok_or(StoreError::Corrupt("kind of a profile"))
}

/// Of people who gave way to others, these.
async fn adopters(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    portal: PortalId,
    ids: &[String],
) -> Result<Vec<(String, String)>, StoreError> {
    let rows = sqlx::query!(
        "select app_id, adopted_by as \"by!\" from record_link
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and app_id = any($4)
           and adopted_by is not null",
        workspace.as_uuid(),
        portal.get(),
        kind_number(RecordKind::Person),
        ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.app_id, row.by)).collect())
}

/// Puts profiles together. Those that are not there are left out.
pub(crate) async fn read(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    portal: Option<PortalId>,
    record: RecordKind,
    basis: &Basis,
    owners: &OwnerMap<'_>,
    ids: &[String],
) -> Result<BTreeMap<String, Listed<ProfileAnswer>>, StoreError> {
    let portal_or_none = portal.map_or_else(|| PortalId::new(0), Ok);
    let of = Of {
        workspace,
        portal: portal_or_none.map_err(|_| StoreError::Corrupt("portal"))?,
        record,
    };
    let rows = links::ours(connection, of, ids).await?;
    let world = match portal {
        Some(_) => World::read(connection, of, &rows, ids).await?,
        None => World::default(),
    };
    let mut found = BTreeMap::new();
    for (id, row) in rows {
        let profile = match row {
            Ok(ours) => Ok(world.profile(of, basis, owners, &ours)?),
            Err(odd) => Err(odd),
        };
        found.insert(id, profile);
    }
    Ok(found)
}

/// What is on HubSpot's side of some records of ours.
#[derive(Default)]
struct World {
    links: BTreeMap<String, LinkRow>,
    records: BTreeMap<i64, Theirs>,
    /// All that are linked to one of the records, by record.
    holders: BTreeMap<i64, Vec<LinkRow>>,
    /// Those of them, and the ones that were asked for.
    ours: BTreeMap<String, Ours>,
    claimed: BTreeMap<String, BTreeSet<i64>>,
}

impl World {
    async fn read(
        connection: &mut PgConnection,
        of: Of,
        rows: &BTreeMap<String, Listed<Ours>>,
        ids: &[String],
    ) -> Result<Self, StoreError> {
        let links = links::links_of(connection, of, ids).await?;
        let linked: BTreeSet<i64> = links.values().map(|link| link.object_id).collect();
        let linked: Vec<i64> = linked.into_iter().collect();
        let mut holders: BTreeMap<i64, Vec<LinkRow>> = BTreeMap::new();
        for link in links::links_to(connection, of, &linked).await? {
            holders.entry(link.object_id).or_default().push(link);
        }
        let readable =
            |(id, row): (&String, &Listed<Ours>)| Some((id.clone(), row.as_ref().ok()?.clone()));
        let mut ours: BTreeMap<String, Ours> = rows.iter().filter_map(readable).collect();
        let wanted: BTreeSet<String> = ours.values().flat_map(Ours::keys).collect();
        let wanted: Vec<String> = wanted.into_iter().collect();
        let claimed = links::claims(connection, of, &wanted).await?;
        let others: Vec<String> = holders
            .values()
            .filter(|all| all.len() > 1)
            .flatten()
            .filter(|link| !ours.contains_key(&link.app_id))
            .map(|link| link.app_id.clone())
            .collect();
        let more = links::ours(connection, of, &others).await?;
        ours.extend(more.iter().filter_map(readable));
        Ok(Self {
            records: links::theirs(connection, of, &linked).await?,
            links,
            holders,
            ours,
            claimed,
        })
    }

    fn profile(
        &self,
        of: Of,
        basis: &Basis,
        owners: &OwnerMap<'_>,
        ours: &Ours,
    ) -> Result<ProfileAnswer, StoreError> {
        let link = self.links.get(ours.id());
        let counterpart = match link {
            Some(link) => Some(self.counterpart(of, link)?),
            None => None,
        };
        let linked = counterpart.as_ref().map(|c| c.record);
        let mut conflicts: Vec<_> =
            claims_of(ours, &self.claimed, &self.records, of.object_type())?
                .into_iter()
                .map(|claim| claim.record)
                .filter(|record| linked.is_some_and(|linked| linked != *record))
                .collect();
        conflicts.sort_unstable();
        conflicts.dedup();
        let value = |key: &str| -> Option<FieldValue> {
            match ours {
                // The address of a person who was made from a contact is HubSpot's value.
                Ours::Person(person) if key == "email" => {
                    let theirs = linking::is_imported(&person.id) && !person.email_was_given();
                    person.value(key).filter(|_| !theirs)
                }
                Ours::Person(person) => person.value(key),
                Ours::Company(company) => company.fields.get(key).cloned(),
            }
        };
        Ok(assemble(
            basis,
            owners,
            of.record,
            ours.id(),
            value,
            counterpart,
            conflicts,
        ))
    }

    fn counterpart(&self, of: Of, link: &LinkRow) -> Result<Counterpart<'_>, StoreError> {
        let record = self.records.get(&link.object_id);
        let live = record.filter(|record| !record.archived);
        let all = self.holders.get(&link.object_id);
        let all = all.map_or(std::slice::from_ref(link), Vec::as_slice);
        let primary = record.and_then(|record| record.primary_key(of.object_type()));
        let holders: Vec<linking::Holder> = all
            .iter()
            .map(|link| holder(link, self.ours.get(&link.app_id), primary.as_ref()))
            .collect();
        Ok(Counterpart {
            portal: of.portal,
            record: object_id(link.object_id)?,
            origin: link.origin,
            properties: live.and_then(|record| record.properties.as_object()),
            shared_with: all
                .iter()
                .map(|other| other.app_id.clone())
                .filter(|id| *id != link.app_id)
                .collect(),
            owns_values: linking::owner(&holders) == Some(link.app_id.as_str()),
        })
    }
}
