//! May somebody be contacted? Recomputed from the words of the product description alone (I8), as
//! plainly as can be: every rule looks at everything.

/// A rule, to be left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum DncPart {
    SuppressionList,
    SuppressionListOfCompanies,
    OpenDeal,
    ChosenPipelines,
    CustomerByDeal,
    CustomerByStage,
    LostDeal,
    OptedOut,
    InHubSpot,
    LifecycleFilter,
    UnmappedOwner,
    RecentTouch,
    WholeCompany,
    PortalTimeZone,
}

impl DncPart {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::SuppressionList,
        Self::SuppressionListOfCompanies,
        Self::OpenDeal,
        Self::ChosenPipelines,
        Self::CustomerByDeal,
        Self::CustomerByStage,
        Self::LostDeal,
        Self::OptedOut,
        Self::InHubSpot,
        Self::LifecycleFilter,
        Self::UnmappedOwner,
        Self::RecentTouch,
        Self::WholeCompany,
        Self::PortalTimeZone,
    ];
}

/// What a deal is to a person who looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Stands {
    Open,
    Won,
    Lost,
}

/// A deal.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Deal {
    pub id: i64,
    pub stands: Stands,
    /// Of a pipeline and stage that the portal has: which.
    pub place: Option<(u8, u8)>,
    /// Minutes since some midnight in UTC; none where nobody knows.
    pub closed: Option<i64>,
}

/// A contact.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Contact {
    pub id: i64,
    pub in_the_bin: bool,
    pub lifecycle: Option<&'static str>,
    pub opted_out: bool,
    pub owner: Option<i64>,
    /// Minutes, as of deals.
    pub touched: Option<i64>,
    pub deals: Vec<Deal>,
    pub lists: Vec<i64>,
}

/// A company with everybody at it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Company {
    pub id: i64,
    pub lifecycle: Option<&'static str>,
    pub owner: Option<i64>,
    pub touched: Option<i64>,
    pub deals: Vec<Deal>,
    pub lists: Vec<i64>,
    pub people: Vec<Contact>,
}

/// A rule of the workspace: whether it holds, and whether for everybody at the company.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Rule {
    pub on: bool,
    pub company: bool,
}

/// The rules of the workspace.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Rules {
    pub suppression: Rule,
    pub open_deal: Rule,
    /// Pipeline and stage; none: all of them.
    pub chosen: Option<(u8, u8)>,
    pub customer: Rule,
    pub lost_deal: Rule,
    pub lost_days: i64,
    pub opted_out: Rule,
    pub in_hubspot: Rule,
    pub stages: Option<&'static str>,
    pub unmapped_owner: Rule,
    pub mapped: Vec<i64>,
    pub recent_touch: Rule,
    pub touch_days: i64,
    /// Minutes since that midnight.
    pub now: i64,
    /// Of the portal's time zone, in minutes.
    pub offset: i64,
}

/// A rule and the record that it found: the rule's name in the product, and what the record is.
pub type Found = (&'static str, &'static str, i64);

impl Rules {
    fn days_ago(&self, minutes: i64, without: Option<DncPart>) -> i64 {
        let offset = if without == Some(DncPart::PortalTimeZone) {
            0
        } else {
            self.offset
        };
        let day = |at: i64| (at + offset).div_euclid(24 * 60);
        day(self.now) - day(minutes)
    }

    /// Every reason why not, in order, each once. With a rule left out, if one is named.
    pub fn why_not(
        &self,
        contacts: &[Contact],
        companies: &[Company],
        without: Option<DncPart>,
    ) -> Vec<Found> {
        let holds = |part: DncPart| without != Some(part);
        // Whoever is looked at: the person's own contacts, and for a rule of whole companies colleagues.
        let mut looked_at: Vec<(&Contact, bool)> = contacts.iter().map(|c| (c, true)).collect();
        for company in companies {
            looked_at.extend(company.people.iter().map(|c| (c, false)));
        }
        let mut found: Vec<Found> = Vec::new();
        let wide = |rule: Rule| rule.on && rule.company && holds(DncPart::WholeCompany);
        let counts = |rule: Rule, own: bool| rule.on && own || wide(rule);

        for (contact, own) in &looked_at {
            if counts(self.suppression, *own) && holds(DncPart::SuppressionList) {
                found.extend(
                    contact
                        .lists
                        .iter()
                        .map(|l| ("suppression_list", "list", *l)),
                );
            }
            if counts(self.opted_out, *own) && contact.opted_out && holds(DncPart::OptedOut) {
                found.push(("opted_out", "contact", contact.id));
            }
            if contact.in_the_bin {
                continue;
            }
            for deal in &contact.deals {
                self.deal(deal, |rule| counts(rule, *own), without, &mut found);
            }
            if counts(self.customer, *own)
                && contact.lifecycle == Some("customer")
                && holds(DncPart::CustomerByStage)
            {
                found.push(("customer", "contact", contact.id));
            }
            if *own && self.in_hubspot.on && self.stage(contact.lifecycle, without) {
                found.push(("in_hubspot", "contact", contact.id));
            }
            if counts(self.unmapped_owner, *own) && self.stranger(contact.owner, without) {
                found.push(("unmapped_owner", "contact", contact.id));
            }
            if counts(self.recent_touch, *own) && self.recently(contact.touched, without) {
                found.push(("recent_touch", "contact", contact.id));
            }
        }
        for company in companies {
            if holds(DncPart::SuppressionListOfCompanies) {
                found.extend(
                    company
                        .lists
                        .iter()
                        .map(|l| ("suppression_list", "list", *l)),
                );
            }
            for deal in &company.deals {
                self.deal(deal, wide, without, &mut found);
            }
            if wide(self.customer)
                && company.lifecycle == Some("customer")
                && holds(DncPart::CustomerByStage)
            {
                found.push(("customer", "company", company.id));
            }
            if wide(self.in_hubspot) && self.stage(company.lifecycle, without) {
                found.push(("in_hubspot", "company", company.id));
            }
            if wide(self.unmapped_owner) && self.stranger(company.owner, without) {
                found.push(("unmapped_owner", "company", company.id));
            }
            if wide(self.recent_touch) && self.recently(company.touched, without) {
                found.push(("recent_touch", "company", company.id));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn deal(
        &self,
        deal: &Deal,
        counts: impl Fn(Rule) -> bool,
        without: Option<DncPart>,
        found: &mut Vec<Found>,
    ) {
        let holds = |part: DncPart| without != Some(part);
        match deal.stands {
            Stands::Open => {
                let chosen = match (self.chosen, deal.place) {
                    (None, _) | (_, None) => true,
                    (Some(chosen), Some(place)) => chosen == place,
                };
                if counts(self.open_deal)
                    && (chosen || !holds(DncPart::ChosenPipelines))
                    && holds(DncPart::OpenDeal)
                {
                    found.push(("open_deal", "deal", deal.id));
                }
            }
            Stands::Won => {
                if counts(self.customer) && holds(DncPart::CustomerByDeal) {
                    found.push(("customer", "deal", deal.id));
                }
            }
            Stands::Lost => {
                let lately = deal
                    .closed
                    .is_none_or(|at| self.days_ago(at, without) <= self.lost_days);
                if counts(self.lost_deal) && lately && holds(DncPart::LostDeal) {
                    found.push(("lost_deal", "deal", deal.id));
                }
            }
        }
    }

    fn stage(&self, lifecycle: Option<&str>, without: Option<DncPart>) -> bool {
        without != Some(DncPart::InHubSpot)
            && (self.stages.is_none()
                || self.stages == lifecycle
                || without == Some(DncPart::LifecycleFilter))
    }

    fn stranger(&self, owner: Option<i64>, without: Option<DncPart>) -> bool {
        without != Some(DncPart::UnmappedOwner)
            && owner.is_some_and(|owner| !self.mapped.contains(&owner))
    }

    fn recently(&self, touched: Option<i64>, without: Option<DncPart>) -> bool {
        without != Some(DncPart::RecentTouch)
            && touched.is_some_and(|at| self.days_ago(at, without) <= self.touch_days)
    }
}
