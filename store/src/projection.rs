//! Keeping links and profiles up to date (I5): follows the mirror, the people and the companies by their
//! change numbers, and goes through everything when what all profiles depend on changed.
//!
//! Each batch is one transaction with the place where it ends, and under the workspace's lock, so that
//! nobody who was erased comes back. Of two that work at once the one that comes second stops.

use domain::{
    ObjectType, PortalId, WorkspaceId,
    app::RecordKind,
    profiles::{Basis, object_type_of},
};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use crate::{
    ChangePosition, Store, StoreError, Swept, connections::portal_of, erasure, links::Of,
    mirror::type_number, profiles, relink::relink,
};

/// Records of one batch.
const BATCH: u32 = 500;

/// A workspace whose links and profiles have something to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectionDue {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which portal.
    pub portal: PortalId,
}

/// What one batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProjectedSlice {
    /// Profiles that are others now.
    pub changed: u64,
    /// People who were made from contacts.
    pub made: u64,
    /// Whether nothing is left to follow.
    pub done: bool,
}

/// Where the projection of a portal stands.
struct Position {
    version: i64,
    mirror: ChangePosition,
    people: (i64, String),
    companies: (i64, String),
    basis: Option<Vec<u8>>,
    basis_mark: Option<String>,
    rebuild: Option<i16>,
    rebuild_after: String,
}

/// What the next batch works on.
struct Work {
    here: (RecordKind, Vec<String>),
    contacts: Vec<i64>,
    companies: Vec<i64>,
}

/// The last part of going through everything: contacts that nobody is.
const UNLINKED: i16 = 3;

impl Store {
    /// Workspaces whose links and profiles are behind, in pages by workspace: of those that have a
    /// connection and whose contacts were read once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn projections_due(
        &self,
        after: Option<WorkspaceId>,
        limit: u32,
    ) -> Result<Vec<Swept<Option<ProjectionDue>>>, StoreError> {
        let rows = sqlx::query!(
            "select c.workspace_id, c.portal_id,
               (p.workspace_id is null or p.rebuild is not null
                 or p.basis_mark is distinct from profile_mark(c.workspace_id, c.portal_id)
                 or exists (select 1 from hubspot_object o
                   where o.workspace_id = c.workspace_id
                     and uuid_hash(o.workspace_id) = uuid_hash(c.workspace_id)
                     and o.portal_id + 0 = c.portal_id
                     and (o.changed, o.object_type + 0, o.object_id + 0)
                       > (p.mirror_number, p.mirror_type::int, p.mirror_id)
                     and o.changed < mirror_settled())
                 or exists (select 1 from app_person a
                   where a.workspace_id = c.workspace_id
                     and uuid_hash(a.workspace_id) = uuid_hash(c.workspace_id)
                     and (a.changed, a.person_id) > (p.people_number, p.people_id)
                     and a.changed < mirror_settled())
                 or exists (select 1 from app_company a
                   where a.workspace_id = c.workspace_id
                     and uuid_hash(a.workspace_id) = uuid_hash(c.workspace_id)
                     and (a.changed, a.company_id) > (p.companies_number, p.companies_id)
                     and a.changed < mirror_settled())) as \"due!\"
             from connection c
             left join profile_projection p
               on p.workspace_id = c.workspace_id and p.portal_id = c.portal_id
             where ($1::uuid is null or c.workspace_id > $1)
               and contacts_were_read(c.workspace_id, c.portal_id)
               and not exists (select 1 from workspace_purge g where g.workspace_id = c.workspace_id)
             order by c.workspace_id limit $2",
            after.map(|w| w.as_uuid()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let workspace = WorkspaceId::new(row.workspace_id);
                let due = portal_of(row.portal_id)
                    .map(|portal| row.due.then_some(ProjectionDue { workspace, portal }));
                Swept {
                    workspace,
                    row: due,
                }
            })
            .collect())
    }

    /// What links and profiles of a workspace depend on, with the cheap mark of the moment before.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for settings that cannot be read; else when the database fails.
    pub async fn projection_basis(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<(Basis, String), StoreError> {
        let mark = sqlx::query_scalar!(
            "select profile_mark($1, $2) as \"mark!\"",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((self.profile_basis(workspace).await?, mark))
    }

    /// One batch: links, people made from contacts, and which profiles are others now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a workspace that is being purged; else when the database fails.
    /// Nothing of the batch is written then.
    pub async fn project_profiles(
        &self,
        due: ProjectionDue,
        basis: &Basis,
        mark: &str,
    ) -> Result<ProjectedSlice, StoreError> {
        let ProjectionDue { workspace, portal } = due;
        let mut at = self.position(due).await?;
        let hash = short_hash(&basis.mark());
        let mut moved = false;
        if at.basis.as_deref() != Some(&hash) {
            // Whoever begins goes through everything anyway.
            if at.basis.is_some() {
                at.rebuild = Some(type_number(ObjectType::Contact));
                at.rebuild_after = String::new();
            }
            at.basis = Some(hash);
            moved = true;
        }
        if at.basis_mark.as_deref() != Some(mark) {
            at.basis_mark = Some(mark.to_owned());
            moved = true;
        }
        let work = self.next_work(due, &mut at).await?;
        if work.is_none() && !moved {
            return Ok(ProjectedSlice {
                done: true,
                ..ProjectedSlice::default()
            });
        }
        let mut tx = self.pages.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        erasure::must_exist(&mut tx, workspace).await?;
        if !advance(&mut tx, due, &at).await? {
            // Somebody else is at work; what it did is read at the next batch.
            return Ok(ProjectedSlice::default());
        }
        let mut slice = ProjectedSlice::default();
        if let Some(work) = work {
            for record in RecordKind::ALL {
                let of = Of {
                    workspace,
                    portal,
                    record,
                };
                let here: &[String] = if work.here.0 == record {
                    &work.here.1
                } else {
                    &[]
                };
                let there = match record {
                    RecordKind::Person => &work.contacts,
                    RecordKind::Company => &work.companies,
                };
                if here.is_empty() && there.is_empty() {
                    continue;
                }
                let make = basis.settings.import.enabled;
                let relinked = relink(&mut tx, &self.identities, of, here, there, make).await?;
                slice.made += relinked.made;
                let ids: Vec<String> = relinked.touched.into_iter().collect();
                slice.changed += note_profiles(&mut tx, of, basis, &ids).await?;
                slice.changed += note_gone(&mut tx, of, &relinked.adopted).await?;
            }
        }
        tx.commit().await?;
        Ok(slice)
    }

    async fn position(&self, due: ProjectionDue) -> Result<Position, StoreError> {
        let row = sqlx::query!(
            "insert into profile_projection as p (workspace_id, portal_id)
             select $1, $2 where exists (select 1 from workspace where id = $1)
             on conflict (workspace_id, portal_id) do update set version = p.version
             returning version, mirror_number, mirror_type, mirror_id, people_number, people_id,
               companies_number, companies_id, basis, basis_mark, rebuild, rebuild_after",
            due.workspace.as_uuid(),
            due.portal.get()
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(StoreError::NotFound("workspace"))?;
        Ok(Position {
            version: row.version,
            mirror: ChangePosition {
                number: row.mirror_number,
                object_type: row.mirror_type,
                object_id: row.mirror_id,
            },
            people: (row.people_number, row.people_id),
            companies: (row.companies_number, row.companies_id),
            basis: row.basis,
            basis_mark: row.basis_mark,
            rebuild: row.rebuild,
            rebuild_after: row.rebuild_after,
        })
    }

    /// What comes next, with the place behind it: what changed in the app, then in HubSpot, then the
    /// rest, where all is gone through.
    async fn next_work(
        &self,
        due: ProjectionDue,
        at: &mut Position,
    ) -> Result<Option<Work>, StoreError> {
        let mut work = Work {
            here: (RecordKind::Person, Vec::new()),
            contacts: Vec::new(),
            companies: Vec::new(),
        };
        let people = sqlx::query!(
            "select changed, person_id from app_person
             where workspace_id = $1 and uuid_hash(workspace_id) = uuid_hash($1)
               and (changed, person_id) > ($2, $3) and changed < mirror_settled()
             order by changed, person_id limit $4",
            due.workspace.as_uuid(),
            at.people.0,
            at.people.1,
            i64::from(BATCH)
        )
        .fetch_all(&self.pool)
        .await?;
        if let Some(last) = people.last() {
            at.people = (last.changed, last.person_id.clone());
            work.here.1 = people.into_iter().map(|row| row.person_id).collect();
            return Ok(Some(work));
        }
        let companies = sqlx::query!(
            "select changed, company_id from app_company
             where workspace_id = $1 and uuid_hash(workspace_id) = uuid_hash($1)
               and (changed, company_id) > ($2, $3) and changed < mirror_settled()
             order by changed, company_id limit $4",
            due.workspace.as_uuid(),
            at.companies.0,
            at.companies.1,
            i64::from(BATCH)
        )
        .fetch_all(&self.pool)
        .await?;
        if let Some(last) = companies.last() {
            at.companies = (last.changed, last.company_id.clone());
            let ids = companies.into_iter().map(|row| row.company_id).collect();
            work.here = (RecordKind::Company, ids);
            return Ok(Some(work));
        }
        let changes = self
            .changes_after(due.workspace, due.portal, at.mirror, BATCH)
            .await?;
        if let Some(last) = changes.last() {
            at.mirror = last.position;
            for change in changes {
                match change.object_type {
                    ObjectType::Contact => work.contacts.push(change.id.get()),
                    ObjectType::Company => work.companies.push(change.id.get()),
                    _ => {}
                }
            }
            return Ok(Some(work));
        }
        self.next_of_rebuild(due, at, work).await
    }

    async fn next_of_rebuild(
        &self,
        due: ProjectionDue,
        at: &mut Position,
        mut work: Work,
    ) -> Result<Option<Work>, StoreError> {
        while let Some(part) = at.rebuild {
            let ids: Vec<String> = match part {
                1 => {
                    sqlx::query_scalar!(
                        "select person_id from app_person where workspace_id = $1 and person_id > $2
                         order by person_id limit $3",
                        due.workspace.as_uuid(),
                        at.rebuild_after,
                        i64::from(BATCH)
                    )
                    .fetch_all(&self.pool)
                    .await?
                }
                2 => {
                    sqlx::query_scalar!(
                    "select company_id from app_company where workspace_id = $1 and company_id > $2
                         order by company_id limit $3",
                    due.workspace.as_uuid(),
                    at.rebuild_after,
                    i64::from(BATCH)
                )
                    .fetch_all(&self.pool)
                    .await?
                }
                _ => {
                    let after: i64 = at.rebuild_after.parse().unwrap_or(-1);
                    work.contacts = sqlx::query_scalar!(
                        "select o.object_id from hubspot_object o
                         where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = $3
                           and o.object_id > $4 and not o.archived
                           and not exists (select 1 from record_link l
                             where l.workspace_id = $1 and uuid_hash(l.workspace_id) = uuid_hash($1)
                               and l.portal_id + 0 = $2 and l.object_type + 0 = ($3 + 0)
                               and l.object_id + 0 = o.object_id + 0 and l.adopted_by is null offset 0)
                         order by o.object_id limit $5",
                        due.workspace.as_uuid(),
                        due.portal.get(),
                        type_number(ObjectType::Contact),
                        after,
                        i64::from(BATCH)
                    )
                    .fetch_all(&self.pool)
                    .await?;
                    work.contacts.iter().map(ToString::to_string).collect()
                }
            };
            if let Some(last) = ids.last() {
                at.rebuild_after = last.clone();
                match part {
                    1 => work.here = (RecordKind::Person, ids),
                    2 => work.here = (RecordKind::Company, ids),
                    _ => {}
                }
                return Ok(Some(work));
            }
            at.rebuild = (part < UNLINKED).then_some(part + 1);
            at.rebuild_after = String::new();
            if at.rebuild.is_none() {
                // To be written down, though there is nothing to do.
                return Ok(Some(work));
            }
        }
        Ok(None)
    }
}

/// Moves on, unless somebody else did.
async fn advance(
    tx: &mut PgConnection,
    due: ProjectionDue,
    to: &Position,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update profile_projection set version = version + 1,
           mirror_number = $4, mirror_type = $5, mirror_id = $6, people_number = $7, people_id = $8,
           companies_number = $9, companies_id = $10, basis = $11, basis_mark = $12,
           rebuild = $13, rebuild_after = $14
         where workspace_id = $1 and portal_id = $2 and version = $3",
        due.workspace.as_uuid(),
        due.portal.get(),
        to.version,
        to.mirror.number,
        to.mirror.object_type,
        to.mirror.object_id,
        to.people.0,
        to.people.1,
        to.companies.0,
        to.companies.1,
        to.basis,
        to.basis_mark,
        to.rebuild,
        to.rebuild_after
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn short_hash(text: &str) -> Vec<u8> {
    let mut hash = Sha256::digest(text).to_vec();
    hash.truncate(16);
    hash
}

/// Notes which of these profiles are others than they were last seen as. Says how many.
async fn note_profiles(
    tx: &mut PgConnection,
    of: Of,
    basis: &Basis,
    ids: &[String],
) -> Result<u64, StoreError> {
    let owners = basis.owner_map();
    let portal = Some(of.portal);
    let found = profiles::read(tx, of.workspace, portal, of.record, basis, &owners, ids).await?;
    let (mut known, mut hashes) = (Vec::new(), Vec::new());
    for (id, profile) in found {
        let Ok(profile) = profile else { continue };
        let text = serde_json::to_string(&profile).map_err(|_| StoreError::Corrupt("profile"))?;
        known.push(id);
        hashes.push(short_hash(&text));
    }
    if known.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query!(
        "insert into profile as p (workspace_id, portal_id, object_type, app_id, hash, changed)
         select $1, $2, $3, id, hash, (select mirror_change())
         from unnest($4::text[], $5::bytea[]) as t (id, hash)
         on conflict (workspace_id, portal_id, object_type, app_id) do update set
           hash = excluded.hash, gone = false, changed = excluded.changed
         where p.hash <> excluded.hash or p.gone",
        of.workspace.as_uuid(),
        of.portal.get(),
        type_number(object_type_of(of.record)),
        &known,
        &hashes
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

async fn note_gone(tx: &mut PgConnection, of: Of, ids: &[String]) -> Result<u64, StoreError> {
    if ids.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query!(
        "update profile set gone = true, changed = (select mirror_change())
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and app_id = any($4)
           and not gone",
        of.workspace.as_uuid(),
        of.portal.get(),
        of.number(),
        ids
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}
