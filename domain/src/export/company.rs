//! The plan of a company (E3): which one HubSpot has, what is written to it, or what a new one gets.

use std::collections::BTreeSet;

use super::{
    Change, HubSpotValue, LeftOut, Rule, Why,
    contact::{Decision, LinkChange, Workspace, put_owner},
    domains::{CompanyDomains, registered},
    history::History,
    lifecycle::LIFECYCLE,
    record::{MERGED_IDS, RecordRead},
    sheet::{Filled, KeyProperty, Sheet, Wanted},
};
use crate::{
    HubSpotObjectId,
    app::{Company, FieldValue, RecordKind},
    linking::{self, Claim, Link, LinkOrigin},
    owners::OwnerForMember,
    settings::{ExportBehavior, RecordCreation},
};

/// What identifies a company.
pub(super) const KEY: KeyProperty = KeyProperty {
    primary: "domain",
    additional: "hs_additional_domains",
    field: None,
    form: |text| {
        registered(text)
            .map(|domain| domain.as_str().to_owned())
            .map_err(Why::NoDomain)
    },
};

/// The property that holds a company's name.
const NAME: &str = "name";

/// Properties that a read of a company asks for, beside those that the settings speak of.
pub const COMPANY_NEEDS: &[&str] = &[
    "name",
    "domain",
    "hs_additional_domains",
    "hubspot_owner_id",
    MERGED_IDS,
    LIFECYCLE,
];

/// What a plan of a company is made from.
#[derive(Debug, Clone, Copy)]
pub struct CompanyFacts<'a> {
    /// The company as the app has it; none where only the person's address names it.
    pub company: Option<&'a Company>,
    /// Its domains.
    pub domains: &'a CompanyDomains,
    /// What the app's company is linked to.
    pub linked: Option<Link>,
    /// The live companies that were found: by the link, by mirror and search. What search says is
    /// looked at again, so that none is taken for what it is not.
    pub hits: &'a [RecordRead],
    /// Whether the app's company owns the values of the record; true of the only one.
    pub owns_values: bool,
    /// Whether the export was asked for by hand and says that archived records are made anew.
    pub anew: bool,
    /// The owner for the acting member.
    pub owner: OwnerForMember,
    /// What was written before.
    pub history: &'a History,
}

/// Why a contact is exported without a company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCompany {
    /// HubSpot has none, and the workspace makes none (E1).
    UpdateOnly,
    /// The linked company was archived in HubSpot, and no other has a domain of it.
    Archived,
    /// The portal requires properties of new companies that this one has no value for.
    PortalRule(Vec<String>),
}

impl NoCompany {
    /// The paragraph in `docs/errors.md`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UpdateOnly => "HS-2432",
            Self::Archived => "HS-2433",
            Self::PortalRule(_) => "HS-3015",
        }
    }

    /// The name in the API and in metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::UpdateOnly => "update_only",
            Self::Archived => "company_archived",
            Self::PortalRule(_) => "portal_rule",
        }
    }
}

/// The plan of a company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanyPlan {
    /// What is done; a company is never a reason to end the request.
    pub decision: Result<Decision, NoCompany>,
    /// What becomes of the link of the app's company.
    pub link: LinkChange,
    /// The properties that are written.
    pub changes: Vec<Change>,
    /// The properties that rules are about and that are not written.
    pub left_out: Vec<LeftOut>,
    /// Other live companies of these domains, by id: shown, never written.
    pub others: Vec<HubSpotObjectId>,
    /// Whether HubSpot has to be asked for the company first: the plan was made from the mirror, which
    /// may say that nothing is to be written, and nothing more.
    pub read_first: bool,
}

impl CompanyPlan {
    /// The company; none of one that is still to be made, or where there is to be none.
    pub const fn company(&self) -> Option<HubSpotObjectId> {
        match &self.decision {
            Ok(Decision::Adopt(id) | Decision::Update(id) | Decision::Nothing(id)) => Some(*id),
            _ => None,
        }
    }

    /// Whether HubSpot is written to.
    pub const fn writes(&self) -> bool {
        matches!(self.decision, Ok(Decision::Create)) || !self.changes.is_empty()
    }

    /// The same without properties that HubSpot refused: their values, or of a new company that it lacks
    /// them. One that would be without its domain, or against a rule of the portal, is not made.
    #[must_use]
    pub fn without_refused(mut self, refused: &BTreeSet<&str>) -> Self {
        if self.decision == Ok(Decision::Create) {
            let sent = |name: &str| self.changes.iter().any(|c| c.property == name);
            let needed = refused.iter().filter(|n| **n == KEY.primary || !sent(n));
            let needed: Vec<String> = needed.map(|name| (*name).to_owned()).collect();
            if !needed.is_empty() {
                self.decision = Err(NoCompany::PortalRule(needed));
                self.changes.clear();
                return self;
            }
        }
        self.changes
            .retain(|c| !refused.contains(c.property.as_str()));
        if let Ok(Decision::Update(id)) = self.decision
            && self.changes.is_empty()
        {
            self.decision = Ok(Decision::Nothing(id));
        }
        self
    }
}

/// Which of the companies that were found is the one: the linked one while it lives, then one whose
/// primary domain is ours, then one that has it among its additional ones, then the lowest id.
pub fn choose(
    domains: &CompanyDomains,
    linked: Option<Link>,
    hits: &[RecordRead],
) -> linking::Linked {
    let claims: Vec<Claim> = hits
        .iter()
        .filter_map(|hit| {
            let primary = hit.value(KEY.primary).is_some_and(|d| domains.names(d));
            let additional = || hit.each(KEY.additional).any(|d| domains.names(d));
            (primary || additional()).then(|| Claim {
                record: hit.id(),
                primary,
            })
        })
        .collect();
    linking::decide(linked, &claims)
}

/// Plans a company.
pub fn plan(workspace: &Workspace<'_>, facts: &CompanyFacts<'_>) -> CompanyPlan {
    let chosen = choose(facts.domains, facts.linked, facts.hits);
    let read = chosen
        .link
        .and_then(|(record, _)| facts.hits.iter().find(|hit| hit.id() == record));
    let without = |why: NoCompany, left_out: Vec<LeftOut>| CompanyPlan {
        decision: Err(why),
        link: LinkChange::Keep,
        changes: Vec::new(),
        left_out,
        others: chosen.conflicts.clone(),
        read_first: false,
    };
    if read.is_none() {
        // A link to a live company that was not read says nothing but that it has to be.
        if let Some(link) = facts.linked.filter(|link| link.live) {
            return CompanyPlan {
                decision: Ok(Decision::Nothing(link.record)),
                link: LinkChange::Keep,
                changes: Vec::new(),
                left_out: Vec::new(),
                others: chosen.conflicts,
                read_first: true,
            };
        }
        if facts.linked.is_some() && !facts.anew {
            return without(NoCompany::Archived, Vec::new());
        }
        if workspace.settings.export.companies == RecordCreation::UpdateOnly {
            return without(NoCompany::UpdateOnly, Vec::new());
        }
    }
    let key_taken = !chosen.conflicts.is_empty();
    let mut sheet = Sheet::new(workspace.companies, KEY, read, facts.history, key_taken);
    if read.is_none() {
        sheet.put(made_with(
            KEY.primary,
            Rule::Key,
            facts.domains.first().as_str(),
        ));
    }
    let overwrite = workspace.settings.owners.overwrite && facts.owns_values;
    put_owner(&mut sheet, facts.owner, overwrite);
    let shared = !facts.owns_values && read.is_some();
    let value = |key: &str| facts.company.and_then(|c| c.fields.get(key).cloned());
    sheet.rows(
        &workspace.settings.companies,
        |key| workspace.fields.get(RecordKind::Company, key),
        value,
        shared,
    );
    let fixed = workspace.settings.company_values.iter();
    sheet.stamps(fixed.map(|s| (s, Rule::Fixed)));
    if read.is_none() && !sheet.writes(NAME) {
        let name = match value(NAME) {
            Some(FieldValue::Text(name)) => name,
            _ => facts.domains.first().as_str().to_owned(),
        };
        sheet.put(made_with(NAME, Rule::Name, name.trim()));
    }
    let Filled {
        changes,
        left_out,
        lacking,
    } = sheet.finish();
    if !lacking.is_empty() {
        return without(NoCompany::PortalRule(lacking), left_out);
    }
    let (decision, link) = match (read, chosen.link) {
        (Some(read), Some((record, origin))) => {
            about(record, origin, read, facts, changes.is_empty())
        }
        _ => (Decision::Create, LinkChange::Keep),
    };
    CompanyPlan {
        read_first: read.is_some_and(|r| !r.is_fresh()) && !changes.is_empty(),
        decision: Ok(decision),
        link,
        changes,
        left_out,
        others: chosen.conflicts,
    }
}

fn about(
    record: HubSpotObjectId,
    origin: LinkOrigin,
    read: &RecordRead,
    facts: &CompanyFacts<'_>,
    unchanged: bool,
) -> (Decision, LinkChange) {
    debug_assert_eq!(read.id(), record);
    let kept = if unchanged {
        Decision::Nothing(record)
    } else {
        Decision::Update(record)
    };
    match (facts.company, facts.linked) {
        // Without a company of the app there is nothing to link.
        (None, _) => (kept, LinkChange::Keep),
        (Some(_), None) => (Decision::Adopt(record), LinkChange::Make(record, origin)),
        (Some(_), Some(link)) if link.record == record => (kept, LinkChange::Keep),
        (Some(_), Some(link)) => (
            kept,
            LinkChange::Follow {
                from: link.record,
                to: record,
                origin,
            },
        ),
    }
}

/// A property that a new company has in any case.
fn made_with<'a>(property: &'a str, rule: Rule, text: &str) -> Wanted<'a> {
    Wanted {
        property,
        rule,
        behavior: ExportBehavior::CreateOnly,
        value: HubSpotValue::stored(text).ok_or(Why::NoAppValue),
        may_go_back: false,
    }
}
