//! Facts about many people in a few statements: their contacts, companies, deals and lists.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    HubSpotOwnerId, PortalId, WorkspaceId, company_domain,
    dnc::{CompanyFacts, ContactFacts, Day, DealFacts, DealStatus, DncRule, ListFacts, Touches},
    portal::ListId,
    settings::{DncRules, RuleScope},
};
use futures::try_join;

use super::basis::DncBasis;
use crate::{Store, StoreError, keys::email_key, mirror::object_id};

/// Somebody to be judged.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Subject {
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
    /// Somebody with this address; with none nothing is found.
    pub(crate) fn of_email(email: Option<&str>) -> Self {
        let email = email.and_then(email_key);
        let domain = email
            .as_deref()
            .and_then(|email| email.rsplit_once('@'))
            .and_then(|(_, domain)| company_domain::normalised(domain))
            .filter(|domain| !company_domain::is_free_mail(domain));
        Self { email, domain }
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

/// Which traits of colleagues a rule may ask for.
struct Wide {
    lists: bool,
    deals: bool,
    customer: bool,
    opted_out: bool,
    owner: bool,
    touch: bool,
}

impl Wide {
    fn of(rules: &DncRules) -> Self {
        let wide = |rule: DncRule, scope| rule.in_force(rules) && scope == RuleScope::Company;
        let scopes = &rules.scopes;
        let lists = scopes.suppression_list == RuleScope::Company;
        let customer = wide(DncRule::Customer, scopes.customer);
        let deals = customer
            || wide(DncRule::OpenDeal, scopes.open_deal)
            || wide(DncRule::LostDeal, scopes.lost_deal);
        let opted_out = wide(DncRule::OptedOut, scopes.opted_out);
        let owner = wide(DncRule::UnmappedOwner, scopes.unmapped_owner);
        let touch = wide(DncRule::RecentTouch, scopes.recent_touch);
        Self {
            lists,
            deals,
            customer,
            opted_out,
            owner,
            touch,
        }
    }
}

/// Values of a record, as far as the rules ask.
struct Traits {
    lifecycle: Option<String>,
    owner: Option<String>,
    contacted: Option<String>,
    meeting: Option<String>,
    next: Option<String>,
}

impl Traits {
    fn owner(&self) -> Option<HubSpotOwnerId> {
        self.owner
            .as_deref()
            .and_then(|owner| owner.trim().parse().ok())
    }

    fn touches(&self) -> Touches {
        let day = |value: &Option<String>| value.as_deref().and_then(Day::read);
        Touches {
            contacted: day(&self.contacted),
            meeting: day(&self.meeting),
            next: day(&self.next),
        }
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

fn is_true(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
}

/// A deal with the record that ties it to somebody.
struct TiedDeal {
    anchor: i64,
    contact: i64,
    facts: DealFacts,
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

    /// The contacts of an address, and the companies that they are at, or those of its domain.
    pub(crate) async fn at_hand(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        email: Option<&str>,
    ) -> Result<(Vec<i64>, Vec<i64>), StoreError> {
        let subject = [Subject::of_email(email)];
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

    /// The contacts that have a subject's address, as primary or additional one, now or formerly. The
    /// one place that says who is whom.
    async fn contacts_of(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        subjects: &[Subject],
    ) -> Result<Vec<BTreeSet<i64>>, StoreError> {
        let keys: Vec<&str> = subjects
            .iter()
            .map(|s| s.email.as_deref().unwrap_or(""))
            .collect();
        let rows = sqlx::query!(
            "select e.n as \"n!\", k.object_id as \"id!\"
             from unnest($3::text[]) with ordinality as e (key, n)
             cross join lateral (
               (select k.object_id from hubspot_object_key k
                where k.workspace_id = $1 and uuid_hash(k.workspace_id) = uuid_hash($1)
                  and lower(k.key) = e.key and k.portal_id = $2 and k.object_type = 1 offset 0)
               union all
               (select f.object_id from hubspot_former_key f
                where f.workspace_id = $1 and f.portal_id = $2 and f.object_type = 1 and f.key = e.key offset 0)
             ) k
             where e.key <> ''",
            workspace.as_uuid(),
            portal.get(),
            &keys as &[&str]
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
                 and lower(k.key) = e.key and k.portal_id = $2 and k.object_type = 2 offset 0) k",
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
    async fn deals_of(
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
    async fn listed(
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
               and l.list_id = m.list_id and l.object_type_id = $5)",
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

    /// What is known of companies, with their contacts on whom a rule can find anything. Companies in the
    /// recycle bin are none.
    pub(crate) async fn gather_companies(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        ids: &[i64],
    ) -> Result<Vec<CompanyFacts>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let wide = Wide::of(&basis.settings.dnc);
        let lists = basis.suppression_lists();
        let (mut companies, mut deals, mut listed, colleagues, tied, on_lists) = try_join!(
            self.company_rows(workspace, basis.portal, ids),
            self.deals_of(workspace, basis, 2, ids),
            self.listed(workspace, basis, "0-2", ids, &lists),
            self.colleagues(workspace, basis.portal, ids, &wide),
            self.deals_of_colleagues(workspace, basis, ids, &wide),
            self.colleagues_on_lists(workspace, basis, ids, &lists, &wide),
        )?;
        let mut of_company: BTreeMap<i64, BTreeMap<i64, ContactFacts>> = BTreeMap::new();
        for (company, facts) in colleagues {
            let id = facts.id.get();
            of_company.entry(company).or_default().insert(id, facts);
        }
        let colleague = |of_company: &mut BTreeMap<i64, BTreeMap<i64, ContactFacts>>,
                         company: i64,
                         contact: i64|
         -> Result<(), StoreError> {
            let known = of_company.entry(company).or_default();
            if let std::collections::btree_map::Entry::Vacant(entry) = known.entry(contact) {
                entry.insert(ContactFacts::new(object_id(contact)?));
            }
            Ok(())
        };
        for deal in tied {
            colleague(&mut of_company, deal.anchor, deal.contact)?;
            if let Some(facts) = of_company
                .get_mut(&deal.anchor)
                .and_then(|known| known.get_mut(&deal.contact))
            {
                facts.deals.push(deal.facts);
            }
        }
        for (company, contact, list) in on_lists {
            colleague(&mut of_company, company, contact)?;
            if let Some(facts) = of_company
                .get_mut(&company)
                .and_then(|known| known.get_mut(&contact))
            {
                facts.lists.push(list);
            }
        }
        for (id, company) in &mut companies {
            company.deals = deals.remove(id).unwrap_or_default();
            company.lists = listed.remove(id).unwrap_or_default();
            company.contacts = of_company
                .remove(id)
                .unwrap_or_default()
                .into_values()
                .collect();
        }
        Ok(companies.into_values().collect())
    }

    async fn company_rows(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        ids: &[i64],
    ) -> Result<BTreeMap<i64, CompanyFacts>, StoreError> {
        let rows = sqlx::query!(
            "select o.object_id as \"object_id!\", o.properties->>'lifecyclestage' as lifecycle,
               o.properties->>'hubspot_owner_id' as owner,
               o.properties->>'notes_last_contacted' as contacted,
               o.properties->>'engagements_last_meeting_booked' as meeting,
               o.properties->>'notes_next_activity_date' as next
             from unnest($3::bigint[]) as e (id)
             cross join lateral (select o.* from hubspot_object o
               where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = 2 and o.object_id = e.id
                 and not o.archived limit 1) o",
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
                let facts = CompanyFacts {
                    owner: traits.owner(),
                    touches: traits.touches(),
                    lifecycle: traits.lifecycle,
                    ..CompanyFacts::new(object_id(row.object_id)?)
                };
                Ok((row.object_id, facts))
            })
            .collect()
    }

    /// Contacts of companies of which a rule for whole companies may find something on themselves.
    async fn colleagues(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        ids: &[i64],
        wide: &Wide,
    ) -> Result<Vec<(i64, ContactFacts)>, StoreError> {
        if !(wide.customer || wide.opted_out || wide.owner || wide.touch) {
            return Ok(Vec::new());
        }
        let rows = sqlx::query!(
            "select e.id as \"company!\", o.object_id as \"contact!\",
               o.properties->>'lifecyclestage' as lifecycle,
               o.properties->>'hubspot_owner_id' as owner, o.properties->>'hs_email_optout' as opted_out,
               o.properties->>'notes_last_contacted' as contacted,
               o.properties->>'engagements_last_meeting_booked' as meeting,
               o.properties->>'notes_next_activity_date' as next
             from unnest($3::bigint[]) as e (id)
             cross join lateral (select a.from_id from hubspot_association a
               where a.workspace_id = $1 and uuid_hash(a.workspace_id) = uuid_hash($1)
                 and a.portal_id + 0 = $2 and a.to_type + 0 = 2 and a.to_id + 0 = e.id
                 and a.from_type = 1 and not a.removed offset 0) a
             cross join lateral (select o.* from hubspot_object o
               where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = 1
                 and o.object_id = a.from_id and not o.archived limit 1) o
             where ($4 and o.properties->>'lifecyclestage' = 'customer')
               or ($5 and lower(btrim(o.properties->>'hs_email_optout')) = 'true')
               or ($6 and o.properties->>'hubspot_owner_id' <> '')
               or ($7 and coalesce(o.properties->>'notes_last_contacted', '')
                 || coalesce(o.properties->>'engagements_last_meeting_booked', '')
                 || coalesce(o.properties->>'notes_next_activity_date', '') <> '')",
            workspace.as_uuid(),
            portal.get(),
            ids,
            wide.customer,
            wide.opted_out,
            wide.owner,
            wide.touch
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
                    opted_out: is_true(row.opted_out.as_deref()),
                    owner: traits.owner(),
                    touches: traits.touches(),
                    lifecycle: traits.lifecycle,
                    ..ContactFacts::new(object_id(row.contact)?)
                };
                Ok((row.company, facts))
            })
            .collect()
    }

    async fn deals_of_colleagues(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        ids: &[i64],
        wide: &Wide,
    ) -> Result<Vec<TiedDeal>, StoreError> {
        if !wide.deals {
            return Ok(Vec::new());
        }
        let rows = sqlx::query!(
            "select e.id as \"company!\", c.from_id as \"contact!\", o.object_id as \"deal!\",
               o.properties->>'pipeline' as pipeline, o.properties->>'dealstage' as stage,
               o.properties->>'closedate' as close, o.properties->>'hs_is_closed' as closed,
               o.properties->>'hs_is_closed_won' as won
             from unnest($3::bigint[]) as e (id)
             cross join lateral (select a.from_id from hubspot_association a
               where a.workspace_id = $1 and uuid_hash(a.workspace_id) = uuid_hash($1)
                 and a.portal_id + 0 = $2 and a.to_type + 0 = 2 and a.to_id + 0 = e.id
                 and a.from_type = 1 and not a.removed offset 0) c
             cross join lateral (select a.from_id from hubspot_association a
               where a.workspace_id = $1 and uuid_hash(a.workspace_id) = uuid_hash($1)
                 and a.portal_id + 0 = $2 and a.to_type + 0 = 1 and a.to_id + 0 = c.from_id
                 and a.from_type = 3 and not a.removed offset 0) d
             cross join lateral (select o.* from hubspot_object o
               where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = 3
                 and o.object_id = d.from_id and not o.archived limit 1) o
             where exists (select 1 from hubspot_object p
               where p.workspace_id = $1 and p.portal_id = $2 and p.object_type = 1
                 and p.object_id = c.from_id and not p.archived)",
            workspace.as_uuid(),
            basis.portal.get(),
            ids
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(TiedDeal {
                    anchor: row.company,
                    contact: row.contact,
                    facts: deal_facts(
                        basis,
                        row.deal,
                        row.pipeline,
                        row.stage,
                        row.close,
                        row.closed,
                        row.won,
                    )?,
                })
            })
            .collect()
    }

    async fn colleagues_on_lists(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        ids: &[i64],
        lists: &[i64],
        wide: &Wide,
    ) -> Result<Vec<(i64, i64, ListFacts)>, StoreError> {
        if !wide.lists || lists.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query!(
            "select e.id as \"company!\", c.from_id as \"contact!\", m.list_id as \"list!\"
             from unnest($3::bigint[]) as e (id)
             cross join lateral (select a.from_id from hubspot_association a
               where a.workspace_id = $1 and uuid_hash(a.workspace_id) = uuid_hash($1)
                 and a.portal_id + 0 = $2 and a.to_type + 0 = 2 and a.to_id + 0 = e.id
                 and a.from_type = 1 and not a.removed offset 0) c
             cross join lateral (select m.list_id from hubspot_list_member m
               where m.workspace_id = $1 and uuid_hash(m.workspace_id) = uuid_hash($1)
                 and m.portal_id + 0 = $2 and m.object_id + 0 = c.from_id and m.list_id = any($4)
                 and not m.removed offset 0) m
             where exists (select 1 from hubspot_list l where l.workspace_id = $1 and l.portal_id = $2
                 and l.list_id = m.list_id and l.object_type_id = '0-1')
               and exists (select 1 from hubspot_object p
                 where p.workspace_id = $1 and p.portal_id = $2 and p.object_type = 1
                   and p.object_id = c.from_id and not p.archived)",
            workspace.as_uuid(),
            basis.portal.get(),
            ids,
            lists
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let list = ListId::new(row.list);
                let gone = basis.is_gone(list);
                (row.company, row.contact, ListFacts { list, gone })
            })
            .collect())
    }
}

fn deal_facts(
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
