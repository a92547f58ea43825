//! One person's export: carries out the steps of `domain::export::steps`, and adds what each brought to
//! what is known. It decides nothing itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType,
    app::{LeadStatus, Person},
    export::{
        Change, CompanyDomains, ContactPlan, Decision, ExportStep, FailReason, LeftOut, SkipReason,
        journal::{Cause, Entry},
        policy::{ExportCause, Qualified},
        steps::{self, CompanyProgress, End, Known},
    },
};
use store::{DrainFacts, WriterHold};

use super::{ground::Ground, reading::Read, stop::Stop};
use crate::Deps;

/// Plans of one export, at most: each after HubSpot contradicted the one before.
const PLANS: usize = 5;

/// How long what HubSpot's answers leave in doubt is left alone.
pub(super) const DOUBT: Duration = Duration::from_secs(30);

/// One person's export.
pub(super) struct Exporting<'a> {
    pub(super) deps: &'a Deps,
    pub(super) ground: &'a Ground,
    pub(super) hold: &'a WriterHold,
    pub(super) facts: &'a DrainFacts,
    /// What it is judged by.
    pub(super) asked: ExportCause,
    /// What the journal says of it.
    pub(super) why: Cause,
    /// Requests to HubSpot, for the heartbeat.
    pub(super) done: &'a AtomicU64,
    pub(super) said: Said,
    /// Rows of the company that cannot be written as they are, with the paragraph about each.
    pub(super) company_troubles: Troubles,
}

/// What HubSpot said in the course of one export, whatever plan it was about.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Properties whose values HubSpot refused, with the paragraph about each: the rest is written.
    pub(super) rejected: BTreeMap<(ObjectType, String), &'static str>,
    /// What a write that was taken over told of the status: HubSpot has it since what is stored was read.
    pub(super) told: Option<Option<LeadStatus>>,
    /// Times that a new contact was refused for one that is there.
    pub(super) conflicts: u32,
    /// The contact that HubSpot named then.
    pub(super) existing: Option<HubSpotObjectId>,
    /// Properties that HubSpot left as they were though it answered with success.
    pub(super) kept: BTreeSet<String>,
    /// Companies that HubSpot does not know any more, whatever the mirror has.
    pub(super) gone: BTreeSet<HubSpotObjectId>,
    /// Properties whose definitions were read again.
    pub(super) reread: BTreeSet<(ObjectType, String)>,
    /// Whether contacts are made without their company, because HubSpot refused the two together.
    pub(super) apart: bool,
}

impl Said {
    /// What was refused, of all types or of one.
    pub(super) fn troubles(&self, of: Option<ObjectType>) -> Troubles {
        self.rejected
            .iter()
            .filter(|((at, _), _)| of.is_none_or(|of| of == *at))
            .map(|((_, property), code)| (property.clone(), *code))
            .collect()
    }
}

/// Properties that were not written, with the paragraph about each.
pub(super) type Troubles = BTreeMap<String, &'static str>;

pub(super) fn troubles(left_out: &[LeftOut]) -> Troubles {
    left_out
        .iter()
        .filter_map(|left| Some((left.property.clone(), left.trouble()?)))
        .collect()
}

/// What came of an export.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) contact: HubSpotObjectId,
    pub(super) status_said: Option<LeadStatus>,
    /// The company to look for again in a minute, and whether it was made the primary one.
    pub(super) look_again: Option<HubSpotObjectId>,
    /// What was not written though the rest was.
    pub(super) troubles: Troubles,
}

/// What a stage is called that HubSpot left as it was.
pub(super) const KEPT: &str = "HS-2425";
/// What a value is called that HubSpot refused.
pub(super) const REFUSED: &str = "HS-3005";

impl<'a> Exporting<'a> {
    pub(super) fn new(
        deps: &'a Deps,
        ground: &'a Ground,
        hold: &'a WriterHold,
        facts: &'a DrainFacts,
        asked: ExportCause,
        why: Cause,
        done: &'a AtomicU64,
    ) -> Self {
        Self {
            deps,
            ground,
            hold,
            facts,
            asked,
            why,
            done,
            said: Said::default(),
            company_troubles: Troubles::new(),
        }
    }

    pub(super) fn person(&self) -> Result<&'a Person, Stop> {
        self.facts
            .person
            .as_ref()
            .ok_or_else(|| Stop::Skips(SkipReason::UnknownPerson.into()))
    }

    pub(super) fn tick(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.deps.pulse.progress();
    }

    /// Carries the export out.
    pub(super) async fn run(&mut self, open: Vec<Entry>) -> Result<Exported, Stop> {
        for entry in open {
            self.take_over(&entry).await?;
        }
        for _ in 0..PLANS {
            if let Some(exported) = self.once().await? {
                return Ok(exported);
            }
        }
        // Whatever it is, it changes as fast as it is read.
        Err(Stop::Waits(
            domain::export::WaitReason::TriedAgainLater,
            DOUBT,
        ))
    }

    /// From the fresh read to the end; none where HubSpot contradicted the plan, and another is to be made.
    async fn once(&mut self) -> Result<Option<Exported>, Stop> {
        let person = self.person()?;
        let linked = self.facts.linked.map(|link| link.record);
        let mut read = Read::default();
        let mut plan: Option<ContactPlan> = None;
        let mut made_before = false;
        let mut held_until: Option<DateTime<Utc>> = None;
        let mut company = CompanyProgress::None;
        let mut written: Option<HubSpotObjectId> = None;
        let (mut emptied, mut associated) = (false, false);
        loop {
            let step = steps::next(&Known {
                open_entry: None,
                qualified: Some(Qualified::Yes),
                linked,
                by_link: read.by_link,
                by_email: read.by_email,
                plan: plan.as_ref(),
                held_until,
                company,
                emptied,
                written,
                made_before,
                companies: read.companies.as_deref(),
                associated,
            });
            match step {
                ExportStep::Read(by) => self.read(person, by, &mut read).await?,
                ExportStep::Plan => {
                    let made;
                    (made, made_before) = self.plan(person, linked, &read).await?;
                    held_until = self.held_until(&made).await?;
                    let skipped = matches!(made.decision, Decision::Skip(_));
                    company = if !skipped && self.domains(person).is_some() {
                        CompanyProgress::ToEnsure
                    } else {
                        CompanyProgress::None
                    };
                    plan = Some(made);
                }
                ExportStep::EnsureCompany => {
                    company = match self.ensure_company(person).await? {
                        Some(id) => CompanyProgress::Ensured(id),
                        None => CompanyProgress::None,
                    };
                }
                ExportStep::Empty(properties) => {
                    let made = self.planned(&plan)?;
                    let Some(contact) = made.contact() else {
                        return Err(Stop::Fails(FailReason::Defect, Vec::new()));
                    };
                    let changes = made.changes.iter();
                    let emptied_first: Vec<Change> = changes
                        .filter(|change| properties.contains(&change.property))
                        .cloned()
                        .collect();
                    if !self.empty(contact, &emptied_first).await? {
                        return Ok(None);
                    }
                    emptied = true;
                }
                ExportStep::WriteContact { company } => {
                    let made = self.planned(&plan)?;
                    match self.write_contact(made, company).await {
                        Ok(Some(contact)) => written = Some(contact),
                        Ok(None) => return Ok(None),
                        Err(stop @ (Stop::Fails(..) | Stop::Skips(_))) if emptied => {
                            self.bring_back(made).await?;
                            return Err(stop);
                        }
                        Err(stop) => return Err(stop),
                    }
                }
                ExportStep::ReadCompanies(contact) => {
                    read.companies = Some(self.companies_of(contact).await?);
                }
                ExportStep::Associate {
                    contact,
                    company,
                    kind,
                } => {
                    if !self.associate(contact, company, kind, self.why).await? {
                        // The mirror had a company that is not there any more.
                        return Ok(None);
                    }
                    associated = true;
                }
                ExportStep::Done(End::Skipped(skip)) => return Err(Stop::Skips(skip)),
                ExportStep::Done(End::Waits { reason, due }) => {
                    let wait = due.map_or(DOUBT, |due| {
                        (due - self.facts.now).to_std().unwrap_or_default()
                    });
                    return Err(Stop::Waits(reason, wait));
                }
                ExportStep::Done(End::Exported {
                    contact,
                    look_again,
                }) => {
                    let made = self.planned(&plan)?;
                    self.follow_link(made, contact).await?;
                    let ensured = match company {
                        CompanyProgress::Ensured(company) => Some(company),
                        _ => None,
                    };
                    return Ok(Some(Exported {
                        contact,
                        status_said: self.status_said(made),
                        look_again: ensured.filter(|_| look_again),
                        troubles: self.troubles_of(made),
                    }));
                }
                ExportStep::TakeOver(_) | ExportStep::Qualify => {
                    return Err(Stop::Fails(FailReason::Defect, Vec::new()));
                }
            }
        }
    }

    /// The status that HubSpot knows of once the plan was carried out.
    fn status_said(&self, plan: &ContactPlan) -> Option<LeadStatus> {
        let property = self.ground.known.settings.status.as_ref();
        if property.is_some_and(|status| self.said.kept.contains(&status.property)) {
            return self.status_told();
        }
        plan.status_said
    }

    /// The status that HubSpot was told last.
    pub(super) fn status_told(&self) -> Option<LeadStatus> {
        let stored = self.facts.exported.and_then(|e| e.status_said);
        self.said.told.unwrap_or(stored)
    }

    /// The plan of the contact by a fresh read, for whoever only looks.
    pub(super) async fn planned_contact(&self, person: &Person) -> Result<ContactPlan, Stop> {
        let linked = self.facts.linked.map(|link| link.record);
        let mut read = Read::default();
        loop {
            match steps::reading(linked, read.by_link, read.by_email) {
                steps::Reading::Ask(by) => self.read(person, by, &mut read).await?,
                steps::Reading::Doubtful => return Err(hubspot::Error::Unanswered.into()),
                _ => return Ok(self.plan(person, linked, &read).await?.0),
            }
        }
    }

    /// What was not written though the rest was.
    pub(super) fn troubles_of(&self, plan: &ContactPlan) -> Troubles {
        let mut all = self.company_troubles.clone();
        all.extend(troubles(&plan.left_out));
        all.extend(self.said.troubles(None));
        let kept = self.said.kept.iter();
        all.extend(kept.map(|property| (property.clone(), KEPT)));
        all
    }

    fn planned<'p>(&self, plan: &'p Option<ContactPlan>) -> Result<&'p ContactPlan, Stop> {
        plan.as_ref()
            .ok_or(Stop::Fails(FailReason::Defect, Vec::new()))
    }

    /// The domains of the person's company, where something names one.
    pub(super) fn domains(&self, person: &Person) -> Option<CompanyDomains> {
        CompanyDomains::of(self.facts.company.as_ref(), person.email.as_ref()).ok()
    }
}
