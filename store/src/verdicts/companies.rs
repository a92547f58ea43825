//! Facts about companies: their deals and lists, and colleagues on whom a rule for whole companies can
//! find anything.

use std::collections::{BTreeMap, btree_map::Entry};

use domain::{
    PortalId, WorkspaceId,
    dnc::{CompanyFacts, ContactFacts, DealFacts, DncRule, ListFacts},
    portal::ListId,
    settings::{DncRules, RuleScope},
};
use futures::try_join;

use super::{
    basis::DncBasis,
    facts::{Traits, deal_facts, filled, is_true},
};
use crate::{Store, StoreError, mirror::object_id};

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

/// A deal with the record that ties it to somebody.
struct TiedDeal {
    anchor: i64,
    contact: i64,
    facts: DealFacts,
}

/// By company and contact.
type Colleagues = BTreeMap<i64, BTreeMap<i64, ContactFacts>>;

/// A contact of a company, of whom nothing else may be known so far.
fn colleague(
    people: &mut Colleagues,
    company: i64,
    contact: i64,
) -> Result<&mut ContactFacts, StoreError> {
    Ok(match people.entry(company).or_default().entry(contact) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(ContactFacts::new(object_id(contact)?)),
    })
}

impl Store {
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
        let mut people = Colleagues::new();
        for (company, facts) in colleagues {
            let id = facts.id.get();
            people.entry(company).or_default().insert(id, facts);
        }
        for deal in tied {
            let known = colleague(&mut people, deal.anchor, deal.contact)?;
            known.deals.push(deal.facts);
        }
        for (company, contact, list) in on_lists {
            let known = colleague(&mut people, company, contact)?;
            known.lists.push(list);
        }
        for (id, company) in &mut companies {
            company.deals = deals.remove(id).unwrap_or_default();
            company.lists = listed.remove(id).unwrap_or_default();
            company.contacts = people
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
                 and p.object_id = c.from_id and not p.archived offset 0)",
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
                 and l.list_id = m.list_id and l.object_type_id = '0-1' offset 0)
               and exists (select 1 from hubspot_object p
                 where p.workspace_id = $1 and p.portal_id = $2 and p.object_type = 1
                   and p.object_id = c.from_id and not p.archived offset 0)",
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
