//! Verdicts kept per person: after a change only those are judged again that it may concern; after a
//! change of what all stand on, everybody.

use domain::{ObjectType, PortalId, WorkspaceId, app::PersonId, dnc::Verdict};
use sqlx::PgConnection;

use super::{
    Companies,
    affected::{ChangedRecords, affected_people},
    basis::DncBasis,
    facts::Subject,
};
use crate::{ChangePosition, Store, StoreError, Swept, erasure, mirror::type_number};

/// As the type of record links, people's.
const CONTACT: i16 = type_number(ObjectType::Contact);

/// People that are judged at once.
const PEOPLE: usize = 5_000;
/// Changed records, people and members that one step takes.
const RECORDS: u32 = 1_000;
const CHANGED_PEOPLE: i64 = 5_000;
const CHANGED_MEMBERS: i64 = 5_000;
const CHANGED_LINKS: i64 = 5_000;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerdictStep {
    /// People that were judged.
    pub judged: u64,
    /// Verdicts that were written, as they are new or changed.
    pub written: u64,
    /// Whether there is nothing left to do.
    pub done: bool,
}

/// What a slice of steps keeps in memory.
#[derive(Debug, Default)]
pub struct VerdictPass {
    companies: Companies,
    basis: String,
}

/// Where the projection is.
struct At {
    version: i64,
    basis: String,
    pass_basis: Option<String>,
    pass_after: Option<String>,
    record: ChangePosition,
    member: (i64, i64, i64),
    person: (i64, String),
    link: (i64, i16, String),
}

/// Where a step leaves it.
enum Move<'a> {
    /// Where it was: more people are judged before the changes are done with.
    Nowhere,
    /// Everybody up to a person, or to the end, was judged by a basis. A pass that begins says which
    /// changes it sees.
    Pass {
        basis: &'a str,
        after: Option<&'a str>,
        settled: Option<i64>,
    },
    /// Changes up to here were followed.
    Changes {
        record: ChangePosition,
        member: (i64, i64, i64),
        person: (i64, &'a str),
        link: (i64, i16, &'a str),
    },
}

impl Store {
    /// Goes one step on with the verdicts of a workspace: a part of a pass over everybody, or the people
    /// whom the next changes concern. To be repeated until there is nothing left to do.
    ///
    /// # Errors
    /// When the database fails; the step is done again then, to the same end.
    pub async fn verdict_step(
        &self,
        workspace: WorkspaceId,
        pass: &mut VerdictPass,
    ) -> Result<VerdictStep, StoreError> {
        // Before the basis: what changes between them shows as another mark.
        let marks = self.dnc_marks(workspace).await?;
        let Some(basis) = self.dnc_basis(workspace).await? else {
            return Ok(VerdictStep {
                done: true,
                ..VerdictStep::default()
            });
        };
        let print = basis.fingerprint()?;
        if pass.basis != print {
            pass.companies = Companies::default();
            pass.basis.clone_from(&print);
        }
        let at = self.projection(workspace, basis.portal).await?;
        if at.basis != print {
            return self.pass_step(workspace, &basis, &print, &at, pass).await;
        }
        // Facts move while changes are followed: nothing found before may be used again.
        pass.companies = Companies::default();
        self.changes_step(workspace, &basis, &marks, &at, pass)
            .await
    }

    async fn pass_step(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        print: &str,
        at: &At,
        pass: &mut VerdictPass,
    ) -> Result<VerdictStep, StoreError> {
        let begun = at.pass_basis.as_deref() == Some(print);
        let after = at.pass_after.as_deref().filter(|_| begun).unwrap_or("");
        let settled = if begun {
            None
        } else {
            // What changes from here on is followed when the pass is over.
            let row = sqlx::query_scalar!("select mirror_settled() - 1 as \"n!\"")
                .fetch_one(&self.pool)
                .await?;
            Some(row)
        };
        let people = sqlx::query!(
            "select person_id, email from app_person
             where workspace_id = $1 and person_id > $2 order by person_id limit $3",
            workspace.as_uuid(),
            after,
            PEOPLE as i64
        )
        .fetch_all(&self.pages)
        .await?;
        let is_last = people.len() < PEOPLE;
        let last = people
            .last()
            .map_or("", |p| p.person_id.as_str())
            .to_owned();
        let people: Vec<(String, Option<String>)> =
            people.into_iter().map(|p| (p.person_id, p.email)).collect();
        let to = Move::Pass {
            basis: print,
            after: (!is_last).then_some(last.as_str()),
            settled,
        };
        self.judge_and_keep(workspace, basis, &people, at, &to, pass)
            .await
    }

    async fn changes_step(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        marks: &str,
        at: &At,
        pass: &mut VerdictPass,
    ) -> Result<VerdictStep, StoreError> {
        let portal = basis.portal;
        let records = self
            .changes_after(workspace, portal, at.record, RECORDS)
            .await?;
        let members = sqlx::query!(
            "select m.changed, m.list_id, m.object_id, l.object_type_id as \"type_id?\"
             from hubspot_list_member m left join hubspot_list l
               on l.workspace_id = m.workspace_id and l.portal_id = m.portal_id and l.list_id = m.list_id
             where m.workspace_id = $1 and uuid_hash(m.workspace_id) = uuid_hash($1) and m.portal_id - 0 = $2
               and (m.changed, m.list_id + 0, m.object_id + 0) > ($3, $4, $5) and m.changed < mirror_settled()
             order by m.changed, m.list_id + 0, m.object_id + 0 limit $6",
            workspace.as_uuid(),
            portal.get(),
            at.member.0,
            at.member.1,
            at.member.2,
            CHANGED_MEMBERS
        )
        .fetch_all(&self.pool)
        .await?;
        let people = sqlx::query!(
            "select person_id, changed from app_person
             where workspace_id = $1 and uuid_hash(workspace_id) = uuid_hash($1)
               and (changed, person_id) > ($2, $3) and changed < mirror_settled()
             order by changed, person_id limit $4",
            workspace.as_uuid(),
            at.person.0,
            at.person.1,
            CHANGED_PEOPLE
        )
        .fetch_all(&self.pool)
        .await?;
        // Who is linked to another contact is another one to HubSpot.
        let links = sqlx::query!(
            "select app_id, object_type, changed from record_link
             where workspace_id = $1 and uuid_hash(workspace_id) = uuid_hash($1) and portal_id + 0 = $2
               and (changed, object_type + 0, app_id) > ($3, $4::int, $5) and changed < mirror_settled()
             order by changed, object_type + 0, app_id limit $6",
            workspace.as_uuid(),
            portal.get(),
            at.link.0,
            i32::from(at.link.1),
            at.link.2,
            CHANGED_LINKS
        )
        .fetch_all(&self.pool)
        .await?;
        if records.is_empty() && members.is_empty() && people.is_empty() && links.is_empty() {
            self.rest(workspace, basis, marks, at).await?;
            return Ok(VerdictStep {
                done: true,
                ..VerdictStep::default()
            });
        }
        let mut changed = ChangedRecords::default();
        for record in &records {
            changed.add(record.object_type, record.id.get());
        }
        let suppressing = basis.suppression_lists();
        for member in &members {
            let object_type = member.type_id.as_deref().and_then(ObjectType::from_type_id);
            if let Some(object_type) = object_type
                && suppressing.contains(&member.list_id)
            {
                changed.add(object_type, member.object_id);
            }
        }
        let mut affected = affected_people(&self.pages, workspace, portal.get(), &changed).await?;
        affected.extend(people.iter().map(|p| p.person_id.clone()));
        let person_links = links.iter().filter(|l| l.object_type == CONTACT);
        affected.extend(person_links.map(|l| l.app_id.clone()));
        let to = Move::Changes {
            record: records.last().map_or(at.record, |r| r.position),
            member: members
                .last()
                .map_or(at.member, |m| (m.changed, m.list_id, m.object_id)),
            person: people
                .last()
                .map_or((at.person.0, at.person.1.as_str()), |p| {
                    (p.changed, p.person_id.as_str())
                }),
            link: links
                .last()
                .map_or((at.link.0, at.link.1, at.link.2.as_str()), |l| {
                    (l.changed, l.object_type, l.app_id.as_str())
                }),
        };
        let affected: Vec<String> = affected.into_iter().collect();
        let mut step = VerdictStep::default();
        // Where the changes lead is noted with the last of those whom they concern.
        let mut chunks = affected.chunks(PEOPLE).peekable();
        if chunks.peek().is_none() {
            self.keep(workspace, basis, &[], at, &to).await?;
        }
        while let Some(chunk) = chunks.next() {
            let known = self.with_emails(workspace, chunk).await?;
            let is_last = chunks.peek().is_none();
            let to = if is_last { &to } else { &Move::Nowhere };
            let done = self
                .judge_and_keep(workspace, basis, &known, at, to, pass)
                .await?;
            step.judged += done.judged;
            step.written += done.written;
        }
        Ok(step)
    }

    async fn with_emails(
        &self,
        workspace: WorkspaceId,
        people: &[String],
    ) -> Result<Vec<(String, Option<String>)>, StoreError> {
        let rows = sqlx::query!(
            "select person_id, email from app_person
             where workspace_id = $1 and person_id = any($2) order by person_id",
            workspace.as_uuid(),
            people
        )
        .fetch_all(&self.pages)
        .await?;
        Ok(rows.into_iter().map(|r| (r.person_id, r.email)).collect())
    }

    async fn judge_and_keep(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        people: &[(String, Option<String>)],
        at: &At,
        to: &Move<'_>,
        pass: &mut VerdictPass,
    ) -> Result<VerdictStep, StoreError> {
        let subjects: Vec<Subject> = people
            .iter()
            .map(|(id, email)| Subject::of_person(id, email.as_deref()))
            .collect();
        let ids: Vec<&str> = people.iter().map(|(id, _)| id.as_str()).collect();
        let last = if basis.stale.is_empty() {
            Default::default()
        } else {
            self.last_verdicts(workspace, basis.portal, &ids).await?
        };
        let lasts: Vec<Option<&Verdict>> = ids.iter().map(|id| last.get(*id)).collect();
        let verdicts = self
            .judge(workspace, basis, &subjects, &lasts, &mut pass.companies)
            .await?;
        let judged: Vec<(&str, Verdict)> = ids.into_iter().zip(verdicts).collect();
        let written = self.keep(workspace, basis, &judged, at, to).await?;
        Ok(VerdictStep {
            judged: judged.len() as u64,
            written,
            done: false,
        })
    }

    /// Writes verdicts that are new or changed, and where the projection is then, in one transaction.
    /// Where another one went on meanwhile, nothing is written.
    async fn keep(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        judged: &[(&str, Verdict)],
        at: &At,
        to: &Move<'_>,
    ) -> Result<u64, StoreError> {
        let people: Vec<&str> = judged.iter().map(|(person, _)| *person).collect();
        let allowed: Vec<bool> = judged.iter().map(|(_, v)| v.allowed).collect();
        let stale: Vec<bool> = judged.iter().map(|(_, v)| v.stale).collect();
        let reasons: Vec<String> = judged
            .iter()
            .map(|(_, v)| serde_json::to_string(&v.reasons))
            .collect::<Result<_, _>>()
            .map_err(|_| StoreError::Corrupt("verdict"))?;
        let mut tx = self.pages.begin().await?;
        // An erasure that came between takes its verdict with it.
        erasure::hold_shared(&mut tx, workspace).await?;
        if !move_on(&mut tx, workspace, basis, at, to).await? {
            return Ok(0);
        }
        let written = sqlx::query!(
            "insert into dnc_verdict as v (workspace_id, portal_id, person_id, allowed, reasons, stale, judged_at, changed)
             select $1, $2::bigint, t.person, t.allowed, t.reasons::jsonb, t.stale, now(), (select mirror_change())
             from unnest($3::text[], $4::boolean[], $5::text[], $6::boolean[]) as t (person, allowed, reasons, stale)
             cross join lateral (select from app_person p
               where p.workspace_id = $1 and p.person_id = t.person limit 1) p
             left join lateral (select o.* from dnc_verdict o
               where o.workspace_id = $1 and o.portal_id = $2 and o.person_id = t.person limit 1) o on true
             where o.person_id is null
               or (o.allowed, o.reasons, o.stale) is distinct from (t.allowed, t.reasons::jsonb, t.stale)
             on conflict (workspace_id, portal_id, person_id) do update set
               allowed = excluded.allowed, reasons = excluded.reasons, stale = excluded.stale,
               judged_at = excluded.judged_at, changed = excluded.changed",
            workspace.as_uuid(),
            basis.portal.get(),
            &people as &[&str],
            &allowed,
            &reasons,
            &stale
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        tx.commit().await?;
        Ok(written)
    }

    /// Where the projection is; made, where there is none.
    async fn projection(&self, workspace: WorkspaceId, portal: PortalId) -> Result<At, StoreError> {
        sqlx::query!(
            "insert into dnc_projection (workspace_id, portal_id)
             select $1, $2 where exists (select 1 from workspace where id = $1)
             on conflict do nothing",
            workspace.as_uuid(),
            portal.get()
        )
        .execute(&self.pool)
        .await?;
        let row = sqlx::query!(
            "select version, basis, pass_basis, pass_after, record_number, record_type, record_id,
               member_number, member_list, member_id, person_number, person_id,
               link_number, link_type, link_id
             from dnc_projection where workspace_id = $1 and portal_id = $2",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(StoreError::NotFound("workspace"))?;
        Ok(At {
            version: row.version,
            basis: row.basis,
            pass_basis: row.pass_basis,
            pass_after: row.pass_after,
            record: ChangePosition {
                number: row.record_number,
                object_type: row.record_type,
                object_id: row.record_id,
            },
            member: (row.member_number, row.member_list, row.member_id),
            person: (row.person_number, row.person_id),
            link: (row.link_number, row.link_type, row.link_id),
        })
    }

    /// Nothing is left to do, as things were when these marks were read.
    async fn rest(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        marks: &str,
        at: &At,
    ) -> Result<(), StoreError> {
        let stale =
            serde_json::to_string(&basis.stale).map_err(|_| StoreError::Corrupt("verdict"))?;
        sqlx::query!(
            "update dnc_projection set marks = $4, due_at = $5, stale = $6::text::jsonb
             where workspace_id = $1 and portal_id = $2 and version = $3",
            workspace.as_uuid(),
            basis.portal.get(),
            at.version,
            marks,
            basis.calendar.day_ends(),
            stale
        )
        .execute(&self.pool)
        .await?;
        self.put_counts_together(workspace, basis.portal).await
    }

    async fn dnc_marks(&self, workspace: WorkspaceId) -> Result<String, StoreError> {
        let marks = sqlx::query_scalar!(
            "select dnc_marks(workspace_id, portal_id) as \"marks!\" from connection where workspace_id = $1",
            workspace.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(marks.unwrap_or_default())
    }

    /// Workspaces whose verdicts may not be those of what is stored now, by id, with their portals.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn verdicts_due(
        &self,
        after: Option<WorkspaceId>,
        limit: u32,
    ) -> Result<Vec<Swept<PortalId>>, StoreError> {
        let rows = sqlx::query!(
            "select c.workspace_id, c.portal_id from connection c
             left join dnc_projection p on p.workspace_id = c.workspace_id and p.portal_id = c.portal_id
             where ($1::uuid is null or c.workspace_id > $1)
               and not exists (select 1 from workspace_purge w where w.workspace_id = c.workspace_id)
               and exists (select 1 from app_person a where a.workspace_id = c.workspace_id offset 0)
               and (p.workspace_id is null or p.due_at is null or p.due_at <= now()
                 or p.marks <> dnc_marks(c.workspace_id, c.portal_id)
                 or exists (select 1 from app_person a where a.workspace_id = c.workspace_id
                   and uuid_hash(a.workspace_id) = uuid_hash(c.workspace_id)
                   and (a.changed, a.person_id) > (p.person_number, p.person_id) and a.changed < mirror_settled())
                 or exists (select 1 from hubspot_object o where o.workspace_id = c.workspace_id
                   and uuid_hash(o.workspace_id) = uuid_hash(c.workspace_id) and o.portal_id + 0 = c.portal_id
                   and (o.changed, o.object_type + 0, o.object_id + 0) > (p.record_number, p.record_type::int, p.record_id)
                   and o.changed < mirror_settled())
                 or exists (select 1 from hubspot_list_member m where m.workspace_id = c.workspace_id
                   and uuid_hash(m.workspace_id) = uuid_hash(c.workspace_id) and m.portal_id - 0 = c.portal_id
                   and (m.changed, m.list_id + 0, m.object_id + 0) > (p.member_number, p.member_list, p.member_id)
                   and m.changed < mirror_settled())
                 or exists (select 1 from record_link l where l.workspace_id = c.workspace_id
                   and uuid_hash(l.workspace_id) = uuid_hash(c.workspace_id) and l.portal_id + 0 = c.portal_id
                   and (l.changed, l.object_type + 0, l.app_id) > (p.link_number, p.link_type::int, p.link_id)
                   and l.changed < mirror_settled()))
             order by c.workspace_id limit $2",
            after.map(|a| a.as_uuid()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Swept::with_portal(row.workspace_id, row.portal_id))
            .collect())
    }

    /// The verdict that is kept on a person, for whoever compares.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn kept_verdict(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        person: &PersonId,
    ) -> Result<Option<Verdict>, StoreError> {
        Ok(self
            .last_verdicts(workspace, portal, &[person.as_str()])
            .await?
            .remove(person.as_str()))
    }
}

/// Moves the projection, unless another one did so since it was looked at.
async fn move_on(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    basis: &DncBasis,
    at: &At,
    to: &Move<'_>,
) -> Result<bool, StoreError> {
    let moved = match to {
        Move::Nowhere => return Ok(true),
        Move::Pass {
            basis: print,
            after,
            settled,
        } => {
            let stale =
                serde_json::to_string(&basis.stale).map_err(|_| StoreError::Corrupt("verdict"))?;
            if let Some(settled) = settled {
                sqlx::query!(
                    "update dnc_projection set
                       record_number = $4::bigint, record_type = 32767, record_id = 9223372036854775807,
                       member_number = $4::bigint, member_list = 9223372036854775807, member_id = 9223372036854775807,
                       person_number = $4::bigint + 1, person_id = '',
                       link_number = $4::bigint + 1, link_type = 0, link_id = ''
                     where workspace_id = $1 and portal_id = $2 and version = $3",
                    workspace.as_uuid(),
                    basis.portal.get(),
                    at.version,
                    settled
                )
                .execute(&mut *tx)
                .await?;
            }
            sqlx::query!(
                "update dnc_projection set version = version + 1,
                   basis = case when $5::text is null then $4 else basis end,
                   pass_basis = case when $5::text is null then null else $4 end,
                   pass_after = $5::text, stale = $6::text::jsonb
                 where workspace_id = $1 and portal_id = $2 and version = $3",
                workspace.as_uuid(),
                basis.portal.get(),
                at.version,
                *print,
                *after as Option<&str>,
                stale
            )
            .execute(tx)
            .await?
        }
        Move::Changes {
            record,
            member,
            person,
            link,
        } => {
            sqlx::query!(
                "update dnc_projection set version = version + 1,
                   record_number = $4, record_type = $5, record_id = $6,
                   member_number = $7, member_list = $8, member_id = $9,
                   person_number = $10, person_id = $11,
                   link_number = $12, link_type = $13, link_id = $14
                 where workspace_id = $1 and portal_id = $2 and version = $3",
                workspace.as_uuid(),
                basis.portal.get(),
                at.version,
                record.number,
                record.object_type,
                record.object_id,
                member.0,
                member.1,
                member.2,
                person.0,
                person.1,
                link.0,
                link.1,
                link.2
            )
            .execute(tx)
            .await?
        }
    };
    Ok(moved.rows_affected() == 1)
}
