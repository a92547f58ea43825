//! The rules.

use std::collections::BTreeSet;

use super::{
    Calendar, CompanyFacts, ContactFacts, DealFacts, DealStatus, DncReason, DncRule, RecordRef,
};
use crate::{
    HubSpotOwnerId,
    owners::OwnerMap,
    portal::{ListId, PortalPipeline},
    settings::{DncRules, OpenDealRule, RuleScope},
};

/// HubSpot's value of the lifecycle stage of customers.
const CUSTOMER: &str = "customer";

/// Contacts and deals of colleagues that are named for one rule and company. Beyond it, each is one of
/// a crowd: at a company with a thousand contacts nobody reads a thousand reasons for each of them.
const COLLEAGUES_NAMED: usize = 25;

/// What the rules find, whether or not all that they stand on was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// In the order of the rules, each rule and record once.
    pub reasons: Vec<DncReason>,
}

impl Judgement {
    /// HubSpot erased whoever had the address, and takes it no more.
    pub fn erased(&mut self) {
        self.reasons.push(DncReason::bare(DncRule::Erased));
        self.reasons.sort();
    }
}

/// What is found on a company, and holds for everybody at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings(Vec<DncReason>);

/// The rules of a workspace, at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// The rules.
    pub rules: &'a DncRules,
    /// The pipelines of the portal; none where they were never read.
    pub pipelines: Option<&'a [PortalPipeline]>,
    /// Who stands for which owner.
    pub owners: &'a OwnerMap<'a>,
    /// How days are counted.
    pub calendar: Calendar,
}

impl Judge<'_> {
    /// What is found on a company, for everybody at it: made once for each company.
    pub fn company(&self, company: &CompanyFacts) -> Findings {
        let mut found = Vec::new();
        let itself = RecordRef::Company(company.id);
        for list in &company.lists {
            // Its contacts count, however far the rule reaches (I6).
            found.push(self.listed(list.list, list.gone, itself));
        }
        for deal in &company.deals {
            self.deal(deal, itself, |rule| self.is_wide(rule), &mut found);
        }
        let wide = |rule| self.is_wide(rule);
        if wide(DncRule::Customer) && company.lifecycle.as_deref() == Some(CUSTOMER) {
            found.push(on(DncRule::Customer, itself, company.lifecycle.clone()));
        }
        if wide(DncRule::InHubspot) && self.stage_counts(company.lifecycle.as_deref()) {
            found.push(on(DncRule::InHubspot, itself, company.lifecycle.clone()));
        }
        if wide(DncRule::UnmappedOwner) {
            found.extend(self.owned(company.owner, itself));
        }
        if wide(DncRule::RecentTouch) {
            let days = self.rules.recent_touch.within_days;
            let touch = company.touches.within(&self.calendar, days);
            found.extend(
                touch.map(|day| on(DncRule::RecentTouch, itself, self.calendar.shown(day))),
            );
        }
        let mut of_colleagues = Vec::new();
        for contact in &company.contacts {
            // That a colleague is in HubSpot says no more than that the company is.
            self.contact(
                contact,
                |rule| rule != DncRule::InHubspot && self.is_wide(rule),
                &mut of_colleagues,
            );
        }
        of_colleagues.sort();
        of_colleagues.dedup_by(|a, b| (a.rule, a.record) == (b.rule, b.record));
        let mut named: (Option<DncRule>, usize) = (None, 0);
        for mut reason in of_colleagues {
            if named.0 != Some(reason.rule) {
                named = (Some(reason.rule), 0);
            }
            named.1 += 1;
            if named.1 <= COLLEAGUES_NAMED {
                reason.through = Some(itself);
                found.push(reason);
            }
        }
        Findings(found)
    }

    /// What is found on a person: their contacts, and the companies that they are at. Adding a contact,
    /// a company or a fact of one never takes a reason away.
    pub fn person(&self, contacts: &[&ContactFacts], companies: &[&Findings]) -> Judgement {
        let mut reasons = Vec::new();
        for contact in contacts {
            self.contact(contact, |rule| rule.in_force(self.rules), &mut reasons);
        }
        // What is found on the person's own contact is not told a second time as a colleague's.
        let known: BTreeSet<_> = reasons.iter().map(|r| (r.rule, r.record)).collect();
        let mut of_companies: Vec<DncReason> = companies
            .iter()
            .flat_map(|findings| &findings.0)
            .filter(|r| !known.contains(&(r.rule, r.record)))
            .cloned()
            .collect();
        reasons.append(&mut of_companies);
        reasons.sort();
        reasons.dedup_by(|a, b| (a.rule, a.record) == (b.rule, b.record));
        Judgement { reasons }
    }

    /// What is found on a contact by the rules that are asked for.
    fn contact(
        &self,
        contact: &ContactFacts,
        asked: impl Fn(DncRule) -> bool,
        found: &mut Vec<DncReason>,
    ) {
        let itself = RecordRef::Contact(contact.id);
        if asked(DncRule::SuppressionList) {
            for list in &contact.lists {
                found.push(self.listed(list.list, list.gone, itself));
            }
        }
        if contact.opted_out && asked(DncRule::OptedOut) {
            found.push(on(DncRule::OptedOut, itself, None));
        }
        if contact.archived {
            return;
        }
        for deal in &contact.deals {
            self.deal(deal, itself, &asked, found);
        }
        if asked(DncRule::Customer) && contact.lifecycle.as_deref() == Some(CUSTOMER) {
            found.push(on(DncRule::Customer, itself, contact.lifecycle.clone()));
        }
        if asked(DncRule::InHubspot) && self.stage_counts(contact.lifecycle.as_deref()) {
            found.push(on(DncRule::InHubspot, itself, contact.lifecycle.clone()));
        }
        if asked(DncRule::UnmappedOwner) {
            found.extend(self.owned(contact.owner, itself));
        }
        if asked(DncRule::RecentTouch) {
            let days = self.rules.recent_touch.within_days;
            let touch = contact.touches.within(&self.calendar, days);
            found.extend(
                touch.map(|day| on(DncRule::RecentTouch, itself, self.calendar.shown(day))),
            );
        }
    }

    fn deal(
        &self,
        deal: &DealFacts,
        through: RecordRef,
        asked: impl Fn(DncRule) -> bool,
        found: &mut Vec<DncReason>,
    ) {
        let (rule, counts) = match deal.status {
            DealStatus::Open => (
                DncRule::OpenDeal,
                is_chosen(&self.rules.open_deal, deal, self.pipelines),
            ),
            DealStatus::Won => (DncRule::Customer, true),
            DealStatus::Lost => (
                DncRule::LostDeal,
                self.calendar
                    .within(deal.close, self.rules.lost_deal.within_days),
            ),
        };
        if !counts || !asked(rule) {
            return;
        }
        found.push(DncReason {
            rule,
            record: Some(RecordRef::Deal(deal.id)),
            through: Some(through),
            value: match rule {
                DncRule::LostDeal => self.calendar.shown(deal.close),
                _ => deal.stage.clone(),
            },
        });
    }

    fn listed(&self, list: ListId, gone: bool, through: RecordRef) -> DncReason {
        DncReason {
            rule: DncRule::SuppressionList,
            record: Some(RecordRef::List(list)),
            through: Some(through),
            value: gone.then(|| "gone".to_owned()),
        }
    }

    fn owned(&self, owner: Option<HubSpotOwnerId>, itself: RecordRef) -> Option<DncReason> {
        let owner = owner.filter(|owner| self.owners.mapped(*owner).is_none())?;
        Some(on(DncRule::UnmappedOwner, itself, Some(owner.to_string())))
    }

    fn stage_counts(&self, stage: Option<&str>) -> bool {
        let wanted = &self.rules.in_hubspot.lifecycle_stages;
        wanted.is_empty() || stage.is_some_and(|stage| wanted.iter().any(|w| w == stage))
    }

    /// Whether a rule is in force, and for everybody at the company.
    fn is_wide(&self, rule: DncRule) -> bool {
        rule.in_force(self.rules) && scope_of(self.rules, rule) == RuleScope::Company
    }
}

/// How far a rule reaches.
pub(super) const fn scope_of(rules: &DncRules, rule: DncRule) -> RuleScope {
    let scopes = &rules.scopes;
    match rule {
        DncRule::SuppressionList => scopes.suppression_list,
        DncRule::OpenDeal => scopes.open_deal,
        DncRule::Customer => scopes.customer,
        DncRule::LostDeal => scopes.lost_deal,
        DncRule::OptedOut => scopes.opted_out,
        DncRule::InHubspot => scopes.in_hubspot,
        DncRule::UnmappedOwner => scopes.unmapped_owner,
        DncRule::RecentTouch => scopes.recent_touch,
        DncRule::Erased | DncRule::NotKnown | DncRule::Unknown => RuleScope::Person,
    }
}

/// Whether an open deal lies in a pipeline and stage that were chosen. One whose pipeline or stage the
/// portal does not define any more, or that has none, cannot be said to lie elsewhere.
fn is_chosen(rule: &OpenDealRule, deal: &DealFacts, pipelines: Option<&[PortalPipeline]>) -> bool {
    if rule.pipelines.is_empty() {
        return true;
    }
    let (Some(pipeline), Some(stage)) = (&deal.pipeline, &deal.stage) else {
        return true;
    };
    let defined = pipelines
        .into_iter()
        .flatten()
        .find(|p| p.id == *pipeline)
        .filter(|p| p.stages.iter().any(|s| s.id == *stage));
    let chosen = rule.pipelines.iter().any(|choice| {
        choice.pipeline == *pipeline
            && (choice.stages.is_empty() || choice.stages.iter().any(|s| s == stage))
    });
    chosen || defined.is_none()
}

fn on(rule: DncRule, record: RecordRef, value: Option<String>) -> DncReason {
    DncReason {
        rule,
        record: Some(record),
        through: None,
        value,
    }
}
