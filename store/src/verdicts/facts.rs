//! Facts about many people in a few statements: their contacts, companies, deals and lists.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    HubSpotOwnerId, PortalId, WorkspaceId, company_domain,
    dnc::{ContactFacts, Day, DealFacts, DealStatus, ListFacts, Touches},
    portal::ListId,
};
use futures::try_join;

use super::basis::DncBasis;
use crate::{Store, StoreError, keys::email_key, mirror::object_id};

/// Somebody to be judged.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Subject {
    /// The person of the app, if it is one.
    person: Option<String>,
    /// The e-mail address, in the form in which it is compared.
    email: Option<String>,
    /// The domain of it, where that may be a company's.
    domain: Option<String>,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").finish_non_exhaustive()
    }
}

impl Subject {
    /// A person of the app, who is found by the link and by the address.
    pub(crate) fn of_person(person: &str, email: Option<&str>) -> Self {
        Self {
            person: Some(person.to_owned()),
            ..Self::of_email(email)
        }
    }

    /// Whoever has this address; with none nothing is found.
    pub(crate) fn of_email(email: Option<&str>) -> Self {
        let email = email.and_then(email_key);
        let domain = email
            .as_deref()
            .and_then(|email| email.rsplit_once('@'))
            .and_then(|(_, domain)| company_domain::normalised(domain))
            .filter(|domain| !company_domain::is_free_mail(domain));
        Self {
            person: None,
            email,
            domain,
        }
    }

    /// The address, in the form in which it is compared.
    pub(crate) fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }
}

/// Who and what belongs to each subject.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) contacts: BTreeMap<i64, ContactFacts>,
    /// Of each subject its contacts, in the order of the subjects.
    pub(crate) contacts_of: Vec<BTreeSet<i64>>,
    /// Of each subject the companies that it is at; not all of them need to be there any more.
    pub(crate) companies_of: Vec<BTreeSet<i64>>,
}

impl Gathered {
    /// All companies of all subjects.
    pub(crate) fn companies(&self) -> BTreeSet<i64> {
        self.companies_of.iter().flatten().copied().collect()
    }
}

/// Values of a record, as far as the rules ask.
pub(super) struct Traits {
    pub(super) lifecycle: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) contacted: Option<String>,
    pub(super) meeting: Option<String>,
    pub(super) next: Option<String>,
}

impl Traits {
    pub(super) fn owner(&self) -> Option<HubSpotOwnerId> {
        self.owner
            .as_deref()
            .and_then(|owner| owner.trim().parse().ok())
    }

    pub(super) fn touches(&self) -> Touches {
        let day = |value: &Option<String>| value.as_deref().and_then(Day::read);
        Touches {
            contacted: day(&self.contacted),
            meeting: day(&self.meeting),
            next: day(&self.next),
        }
    }
}

pub(super) fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

pub(super) fn is_true(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
}

impl Store {
    /// The contacts of subjects, what is known of them, and the companies that they are at: those of the
    /// contacts, and of who has none outside of the recycle bin those of the e-mail's domain.
    pub(crate) async fn gather_people(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        subjects: &[Subject],
    ) -> Result<Gathered, StoreError> {
        let portal = basis.portal;
        let mut contacts_of = self.contacts_of(workspace, portal, subjects).await?;
        let ids: Vec<i64> = all_of(&contacts_of);
        let lists = basis.suppression_lists();
        let (mut contacts, at, mut deals, listed) = try_join!(
            self.contact_rows(workspace, portal, &ids),
            self.companies_of_contacts(workspace, portal, &ids),
            self.deals_of(workspace, basis, 1, &ids),
            self.listed(workspace, basis, "0-1", &ids, &lists),
        )?;
        for (id, contact) in &mut contacts {
            contact.deals = deals.remove(id).unwrap_or_default();
            contact.lists = listed.get(id).cloned().unwrap_or_default();
        }
        let mut companies_of: Vec<BTreeSet<i64>> = Vec::with_capacity(subjects.len());
        let mut domains: Vec<(usize, &str)> = Vec::new();
        for (n, subject) in subjects.iter().enumerate() {
            let own = &mut contacts_of[n];
            own.retain(|id| contacts.contains_key(id));
            let alive: Vec<i64> = own
                .iter()
                .copied()
                .filter(|id| contacts.get(id).is_some_and(|c| !c.archived))
                .collect();
            if let (true, Some(domain)) = (alive.is_empty(), &subject.domain) {
                domains.push((n, domain));
            }
            companies_of.push(
                alive
                    .iter()
                    .filter_map(|id| at.get(id))
                    .flatten()
                    .copied()
                    .collect(),
            );
        }
        let texts: Vec<&str> = domains.iter().map(|(_, domain)| *domain).collect();
        for (n, company) in self.companies_of_domains(workspace, portal, &texts).await? {
            if let Some(of) = domains.get(n).and_then(|(n, _)| companies_of.get_mut(*n)) {
                of.insert(company);
            }
        }
        Ok(Gathered {
            contacts,
            contacts_of,
            companies_of,
        })
    }

    /// The contacts of a person, and the companies that they are at, or those of the address's domain.
    pub(crate) async fn at_hand(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        person: &str,
        email: Option<&str>,
    ) -> Result<(Vec<i64>, Vec<i64>), StoreError> {
        let subject = [Subject::of_person(person, email)];
        let found = self.contacts_of(workspace, portal, &subject).await?;
        let ids = all_of(&found);
        let alive: Vec<i64> = self
            .contact_rows(workspace, portal, &ids)
            .await?
            .into_values()
            .filter(|contact| !contact.archived)
            .map(|contact| contact.id.get())
            .collect();
        let companies: BTreeSet<i64> = if alive.is_empty() {
            let domains: Vec<&str> = subject[0].domain.as_deref().into_iter().collect();
            let of_domain = self
                .companies_of_domains(workspace, portal, &domains)
                .await?;
            of_domain.into_iter().map(|(_, company)| company).collect()
        } else {
            let at = self
                .companies_of_contacts(workspace, portal, &alive)
                .await?;
            at.into_values().flatten().collect()
        };
        Ok((alive, companies.into_iter().collect()))
    }

    /// The contacts of a subject: the one that a person is linked to, and those that have the address, as
    /// primary or additional one, now or formerly. An address alone is also that of the people of the app
    /// who have it. The one place that says who is whom.
    async fn contacts_of(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        subjects: &[Subject],
    ) -> Result<Vec<BTreeSet<i64>>, StoreError> {
        let keys: Vec<Option<&str>> = subjects.iter().map(|s| s.email.as_deref()).collect();
        let people: Vec<Option<&str>> = subjects.iter().map(|s| s.person.as_deref()).collect();
        let rows = sqlx::query!(
            "select e.n as \"n!\", k.object_id as \"id!\"
             from unnest($3::text[], $4::text[]) with ordinality as e (key, person, n)
             cross join lateral (
               (select k.object_id from hubspot_object_key k
                where k.workspace_id = $1 and uuid_hash(k.workspace_id) = uuid_hash($1)
                  and lower(k.key) = e.key and k.portal_id + 0 = $2 and k.object_type + 0 = 1 offset 0)
               union all
               (select f.object_id from hubspot_former_key f
                where f.workspace_id = $1 and f.portal_id = $2 and f.object_type = 1 and f.key = e.key offset 0)
               union all
               (select l.object_id from record_link l
                where l.workspace_id = $1 and l.portal_id = $2 and l.object_type = 1 and l.app_id = e.person
                  and l.adopted_by is null offset 0)
               union all
               (select l.object_id from (select p.person_id from app_person p
                  where e.person is null and p.workspace_id = $1 and p.email = e.key offset 0) p
                cross join lateral (select l.object_id from record_link l
                  where l.workspace_id = $1 and l.portal_id = $2 and l.object_type = 1 and l.app_id = p.person_id
                    and l.adopted_by is null offset 0) l)
             ) k",
            workspace.as_uuid(),
            portal.get(),
            &keys as &[Option<&str>],
            &people as &[Option<&str>]
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found = vec![BTreeSet::new(); subjects.len()];
        for row in rows {
            if let Some(of) = place(row.n).and_then(|n| found.get_mut(n)) {
                of.insert(row.id);
            }
        }
        Ok(found)
    }

    async fn companies_of_domains(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        domains: &[&str],
    ) -> Result<Vec<(usize, i64)>, StoreError> {
        if domains.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query!(
            "select e.n as \"n!\", k.object_id as \"id!\"
             from unnest($3::text[]) with ordinality as e (key, n)
             cross join lateral (select k.object_id from hubspot_object_key k
               where k.workspace_id = $1 and uuid_hash(k.workspace_id) = uuid_hash($1)
                 and lower(k.key) = e.key and k.portal_id + 0 = $2 and k.object_type + 0 = 2 offset 0) k",
            workspace.as_uuid(),
            portal.get(),
            domains as &[&str]
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| Some((place(row.n)?, row.id)))
            .collect())
    }

    async fn contact_rows(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        ids: &[i64],
    ) -> Result<BTreeMap<i64, ContactFacts>, StoreError> {
        let rows = sqlx::query!(
            "select o.object_id as \"object_id!\", o.archived as \"archived!\", o.properties->>'lifecyclestage' as lifecycle,
               o.properties->>'hubspot_owner_id' as owner, o.properties->>'hs_email_optout' as opted_out,
               o.properties->>'notes_last_contacted' as contacted,
               o.properties->>'engagements_last_meeting_booked' as meeting,
               o.properties->>'notes_next_activity_date' as next
             from unnest($3::bigint[]) as e (id)
             cross join lateral (select o.* from hubspot_object o
               where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = 1 and o.object_id = e.id
               limit 1) o",
            workspace.as_uuid(),
            portal.get(),
            ids
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let traits = Traits {
                    lifecycle: filled(row.lifecycle),
                    owner: row.owner,
                    contacted: row.contacted,
                    meeting: row.meeting,
                    next: row.next,
                };
                let facts = ContactFacts {
                    archived: row.archived,
                    opted_out: is_true(row.opted_out.as_deref()),
                    owner: traits.owner(),
                    touches: traits.touches(),
                    lifecycle: traits.lifecycle,
                    ..ContactFacts::new(object_id(row.object_id)?)
                };
                Ok((row.object_id, facts))
            })
            .collect()
    }

    async fn companies_of_contacts(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        ids: &[i64],
    ) -> Result<BTreeMap<i64, Vec<i64>>, StoreError> {
        let rows = sqlx::query!(
            "select e.id as \"id!\", a.to_id as \"company!\" from unnest($3::bigint[]) as e (id)
             cross join lateral (select a.to_id from hubspot_association a
               where a.workspace_id = $1 and a.portal_id = $2 and a.from_type = 1 and a.from_id = e.id
                 and a.to_type = 2 and not a.removed offset 0) a",
            workspace.as_uuid(),
            portal.get(),
            ids
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for row in rows {
            found.entry(row.id).or_default().push(row.company);
        }
        Ok(found)
    }

    /// Deals outside of the recycle bin that are associated with records of a type.
    pub(super) async fn deals_of(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        to_type: i32,
        ids: &[i64],
    ) -> Result<BTreeMap<i64, Vec<DealFacts>>, StoreError> {
        let rows = sqlx::query!(
            "select e.id as \"id!\", o.object_id as \"deal!\", o.properties->>'pipeline' as pipeline,
               o.properties->>'dealstage' as stage, o.properties->>'closedate' as close,
               o.properties->>'hs_is_closed' as closed, o.properties->>'hs_is_closed_won' as won
             from unnest($3::bigint[]) as e (id)
             cross join lateral (select a.from_id from hubspot_association a
               where a.workspace_id = $1 and uuid_hash(a.workspace_id) = uuid_hash($1)
                 and a.portal_id + 0 = $2 and a.to_type + 0 = $4::int and a.to_id + 0 = e.id
                 and a.from_type = 3 and not a.removed offset 0) a
             cross join lateral (select o.* from hubspot_object o
               where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = 3
                 and o.object_id = a.from_id and not o.archived limit 1) o",
            workspace.as_uuid(),
            basis.portal.get(),
            ids,
            to_type
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found: BTreeMap<i64, Vec<DealFacts>> = BTreeMap::new();
        for row in rows {
            let deal = deal_facts(
                basis,
                row.deal,
                row.pipeline,
                row.stage,
                row.close,
                row.closed,
                row.won,
            )?;
            found.entry(row.id).or_default().push(deal);
        }
        Ok(found)
    }

    /// On which of these lists records of a type are.
    pub(super) async fn listed(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        type_id: &str,
        ids: &[i64],
        lists: &[i64],
    ) -> Result<BTreeMap<i64, Vec<ListFacts>>, StoreError> {
        if lists.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows = sqlx::query!(
            "select e.id as \"id!\", m.list_id as \"list!\" from unnest($3::bigint[]) as e (id)
             cross join lateral (select m.list_id from hubspot_list_member m
               where m.workspace_id = $1 and uuid_hash(m.workspace_id) = uuid_hash($1)
                 and m.portal_id + 0 = $2 and m.object_id + 0 = e.id and m.list_id = any($4)
                 and not m.removed offset 0) m
             where exists (select 1 from hubspot_list l where l.workspace_id = $1 and l.portal_id = $2
               and l.list_id = m.list_id and l.object_type_id = $5 offset 0)",
            workspace.as_uuid(),
            basis.portal.get(),
            ids,
            lists,
            type_id
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found: BTreeMap<i64, Vec<ListFacts>> = BTreeMap::new();
        for row in rows {
            let list = ListId::new(row.list);
            found.entry(row.id).or_default().push(ListFacts {
                list,
                gone: basis.is_gone(list),
            });
        }
        Ok(found)
    }
}

pub(super) fn deal_facts(
    basis: &DncBasis,
    id: i64,
    pipeline: Option<String>,
    stage: Option<String>,
    close: Option<String>,
    closed: Option<String>,
    won: Option<String>,
) -> Result<DealFacts, StoreError> {
    let (pipeline, stage) = (filled(pipeline), filled(stage));
    Ok(DealFacts {
        id: object_id(id)?,
        status: DealStatus::of(
            basis.pipelines.as_deref(),
            pipeline.as_deref(),
            stage.as_deref(),
            is_true(closed.as_deref()),
            is_true(won.as_deref()),
        ),
        pipeline,
        stage,
        close: close.as_deref().and_then(Day::read).unwrap_or(Day::Unknown),
    })
}

fn all_of(sets: &[BTreeSet<i64>]) -> Vec<i64> {
    let all: BTreeSet<i64> = sets.iter().flatten().copied().collect();
    all.into_iter().collect()
}

/// `with ordinality` counts from one.
fn place(ordinality: i64) -> Option<usize> {
    usize::try_from(ordinality - 1).ok()
}
