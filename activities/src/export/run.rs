//! One person's export: carries out the steps of `domain::export::steps`, and adds what each brought to
//! what is known. It decides nothing itself.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType,
    app::{Person, RecordKind},
    backfill::{needed_properties, with_absent},
    export::{
        Change, CompanyDomains, ContactCompany, ContactFacts, ContactPlan, Decision, ExportStep,
        FailReason, Found, History, LinkChange, RecordRead, Rule, SkipReason,
        association::{AssociationKind, WITH_CREATE},
        ceiling,
        contact::{self, Skip},
        journal::{self, Cause, Entry, EntryId, Operation, Subject},
        policy::{ExportCause, Qualified},
        steps::{self, Answer, CompanyProgress, End, Known, ReadBy},
    },
    linking::{self, Holder, LinkOrigin},
};
use hubspot::{
    ErrorClass,
    associations::AssociationSpec,
    objects::{CreateInput, CrmObject, ReadOptions, RecordKey},
};
use store::{CloseEntry, DrainFacts, LinkWrite, MirrorRow, Opened, WriterHold};
use uuid::Uuid;

use super::{ground::Ground, stop::Stop, wire};
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
    /// Properties of contacts and companies whose values HubSpot refused: the rest is written.
    pub(super) rejected: BTreeSet<(ObjectType, String)>,
    /// Companies that HubSpot does not know any more, whatever the mirror has.
    pub(super) gone: BTreeSet<HubSpotObjectId>,
}

/// What came of an export.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) contact: HubSpotObjectId,
    pub(super) status_said: Option<domain::app::LeadStatus>,
    /// The company to look for again in a minute, and whether it was made the primary one.
    pub(super) look_again: Option<HubSpotObjectId>,
    /// Properties whose values HubSpot refused.
    pub(super) rejected: Vec<String>,
}

/// What is known of the contact so far.
#[derive(Default)]
struct Read {
    record: Option<RecordRead>,
    by_link: Answer,
    by_email: Answer,
    /// Its companies, where the read brought all of them.
    companies: Option<Vec<ContactCompany>>,
}

impl<'a> Exporting<'a> {
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
        let mut associated = false;
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
                ExportStep::WriteContact { company } => {
                    let made = self.planned(&plan)?;
                    match self.write_contact(made, company).await? {
                        Some(contact) => written = Some(contact),
                        None => return Ok(None),
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
                        status_said: made.status_said,
                        look_again: ensured.filter(|_| look_again),
                        rejected: self.names_rejected(),
                    }));
                }
                ExportStep::TakeOver(_) | ExportStep::Qualify => {
                    return Err(Stop::Fails(FailReason::Defect, Vec::new()));
                }
            }
        }
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

    fn planned<'p>(&self, plan: &'p Option<ContactPlan>) -> Result<&'p ContactPlan, Stop> {
        plan.as_ref()
            .ok_or(Stop::Fails(FailReason::Defect, Vec::new()))
    }

    /// The domains of the person's company, where something names one.
    pub(super) fn domains(&self, person: &Person) -> Option<CompanyDomains> {
        CompanyDomains::of(self.facts.company.as_ref(), person.email.as_ref()).ok()
    }

    // ---- reading -------------------------------------------------------------------------------

    async fn read(&self, person: &Person, by: ReadBy, read: &mut Read) -> Result<(), Stop> {
        self.tick();
        let names = self.ground.contact_properties();
        let (answer, found) = match by {
            ReadBy::Id(id) => self.read_by_id(id, &names).await?,
            ReadBy::Email => self.read_by_email(person, &names).await?,
        };
        if let Some(object) = found {
            let id = wire::object_id(object.id)?;
            read.companies = wire::companies(&object)?.filter(|_| matches!(by, ReadBy::Id(_)));
            read.record = Some(wire::record_read(id, &names, &object));
        }
        match by {
            ReadBy::Id(_) => read.by_link = answer,
            ReadBy::Email => read.by_email = answer,
        }
        Ok(())
    }

    /// The linked contact with its companies in one request, where the names of its properties fit.
    async fn read_by_id(
        &self,
        id: HubSpotObjectId,
        names: &[String],
    ) -> Result<(Answer, Option<CrmObject>), Stop> {
        let record = wire::record_id(id);
        let objects = self.ground.client.objects();
        let options = ReadOptions::new().properties(names);
        let (contact, company) = (hubspot::ObjectType::Contact, hubspot::ObjectType::Company);
        let length: usize = names.iter().map(|name| name.len() + 1).sum();
        let found = if length <= wire::MOST_NAMES {
            objects.read(contact, record, &options, &[company]).await
        } else {
            let key = RecordKey::Id(record);
            match objects.find(contact, &key, &options).await {
                Ok(Some(object)) => Ok(object),
                Ok(None) => Err(hubspot::Error::NotFound),
                Err(error) => Err(error),
            }
        };
        match found {
            Ok(object) if object.archived => Ok((Answer::Archived, None)),
            Ok(object) => Ok((Answer::Live, Some(object))),
            Err(hubspot::Error::NotFound) => {
                self.tick();
                let bin = ReadOptions::new().properties(["email"]).archived();
                match objects.read(contact, record, &bin, &[]).await {
                    Ok(_) => Ok((Answer::Archived, None)),
                    Err(hubspot::Error::NotFound) => Ok((Answer::Nobody, None)),
                    Err(error) => doubtful(error),
                }
            }
            Err(error) => doubtful(error),
        }
    }

    async fn read_by_email(
        &self,
        person: &Person,
        names: &[String],
    ) -> Result<(Answer, Option<CrmObject>), Stop> {
        let Some(email) = &person.email else {
            return Ok((Answer::Nobody, None));
        };
        let options = ReadOptions::new().properties(names);
        let contacts = self.ground.client.contacts();
        match contacts.by_email(email.as_str(), &options).await {
            Ok(Some(object)) if object.archived => Ok((Answer::Nobody, None)),
            Ok(Some(object)) => Ok((Answer::Live, Some(object))),
            Ok(None) => Ok((Answer::Nobody, None)),
            // An address that HubSpot does not look for is one that it does not take.
            Err(hubspot::Error::Invalid { status: 400, .. }) => {
                Err(Stop::Skips(SkipReason::EmailRefused.into()))
            }
            Err(error) => doubtful(error),
        }
    }

    /// All companies of a contact, to the end of the pages.
    pub(super) async fn companies_of(
        &self,
        contact: HubSpotObjectId,
    ) -> Result<Vec<ContactCompany>, Stop> {
        self.tick();
        wire::all_companies(&self.ground.client, contact).await
    }

    // ---- planning ------------------------------------------------------------------------------

    /// The plan, and whether the contact was made by an export that did not come to its end.
    async fn plan(
        &self,
        person: &Person,
        linked: Option<HubSpotObjectId>,
        read: &Read,
    ) -> Result<(ContactPlan, bool), Stop> {
        let subject = Subject::Person(person.id.clone());
        let entries = self.entries(&subject).await?;
        let history = self.history_of(&entries);
        let plan = self.plan_with(person, linked, read, &history).await?;
        let made_before = self.facts.exported.is_none() && journal::made_contact(&entries);
        Ok((self.without_rejected(plan), made_before))
    }

    async fn plan_with(
        &self,
        person: &Person,
        linked: Option<HubSpotObjectId>,
        read: &Read,
        history: &History,
    ) -> Result<ContactPlan, Stop> {
        let found = match (
            &read.record,
            steps::reading(linked, read.by_link, read.by_email),
        ) {
            (Some(record), _) => Found::Live(record),
            (None, steps::Reading::Archived(id)) => Found::Archived(id),
            (None, steps::Reading::Gone(id)) => Found::Gone(id),
            (None, _) => Found::Nobody,
        };
        let owns_values = match &read.record {
            Some(record) => self.owns_contact(person, record).await?,
            None => true,
        };
        let rules = self.ground.rules();
        let facts = ContactFacts {
            cause: self.asked,
            person,
            linked,
            found,
            key_taken: self.key_taken(person, read).await?,
            owns_values,
            owner: self.ground.owners().owner_for_member(person.owner.as_ref()),
            status_said: self.facts.exported.and_then(|e| e.status_said),
            history,
        };
        Ok(contact::plan(&rules, &facts))
    }

    /// What HubSpot refused of this export is not sent again in it.
    fn without_rejected(&self, mut plan: ContactPlan) -> ContactPlan {
        let refused = |change: &Change| self.is_rejected(ObjectType::Contact, &change.property);
        let status = |change: &Change| matches!(change.rule, Rule::Status(_));
        if plan.changes.iter().any(|c| status(c) && refused(c)) {
            plan.status_said = self.facts.exported.and_then(|e| e.status_said);
        }
        plan.changes.retain(|c| !refused(c));
        if let Decision::Update(id) = plan.decision
            && plan.changes.is_empty()
        {
            plan.decision = Decision::Nothing(id);
        }
        plan
    }

    pub(super) fn is_rejected(&self, of: ObjectType, property: &str) -> bool {
        self.rejected.contains(&(of, property.to_owned()))
    }

    fn names_rejected(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.rejected.iter().map(|(_, name)| name).collect();
        names.into_iter().cloned().collect()
    }

    pub(super) async fn history(&self, subject: &Subject) -> Result<History, Stop> {
        Ok(self.history_of(&self.entries(subject).await?))
    }

    fn history_of(&self, entries: &[Entry]) -> History {
        History::of(entries, self.facts.exported.and_then(|e| e.resumed_at))
    }

    /// What was written about somebody before, oldest first.
    pub(super) async fn entries(&self, subject: &Subject) -> Result<Vec<Entry>, Stop> {
        let ground = self.ground;
        Ok(self
            .deps
            .store
            .entries_about(ground.workspace, ground.portal, subject)
            .await?)
    }

    async fn owns_contact(&self, person: &Person, record: &RecordRead) -> Result<bool, Stop> {
        let ground = self.ground;
        let primary = record.value("email").map(str::to_lowercase);
        let mine = person.email.as_ref().map(|e| e.as_str().to_owned());
        let has_primary = |keys: &[String]| primary.as_ref().is_some_and(|p| keys.contains(p));
        let all = self
            .deps
            .store
            .holders_of(
                ground.workspace,
                ground.portal,
                RecordKind::Person,
                record.id(),
            )
            .await?;
        let mut holders: Vec<Holder> = all
            .into_iter()
            // Who was made from a contact gives way to those whom the app has.
            .filter(|h| h.said || h.holder.id == person.id.as_str())
            .map(|h| Holder {
                has_primary: has_primary(&h.keys),
                ..h.holder
            })
            .collect();
        if !holders.iter().any(|h| h.id == person.id.as_str()) {
            let has_primary = mine.as_ref() == primary.as_ref();
            holders.push(Holder {
                id: person.id.as_str().to_owned(),
                origin: if has_primary {
                    LinkOrigin::Primary
                } else {
                    LinkOrigin::Additional
                },
                has_primary,
            });
        }
        Ok(linking::owner(&holders) == Some(person.id.as_str()))
    }

    /// Whether another live contact has the address too, as far as is known.
    async fn key_taken(&self, person: &Person, read: &Read) -> Result<bool, Stop> {
        let (Some(email), Some(record)) = (&person.email, &read.record) else {
            return Ok(false);
        };
        let is = record
            .value("email")
            .is_some_and(|e| e.eq_ignore_ascii_case(email.as_str()));
        if is {
            return Ok(false);
        }
        let ground = self.ground;
        let keys = [email.as_str().to_owned()];
        let all = self
            .deps
            .store
            .mirrored_by_keys(ground.workspace, ground.portal, RecordKind::Person, &keys)
            .await?;
        Ok(all.iter().any(|other| other.id != record.id()))
    }

    async fn held_until(&self, plan: &ContactPlan) -> Result<Option<DateTime<Utc>>, Stop> {
        if self.ground.settings.export.daily_ceiling.is_none() {
            return Ok(None);
        }
        let ground = self.ground;
        let day = self.facts.now.with_timezone(&ground.zone).date_naive();
        let written = self
            .deps
            .store
            .written_on(ground.workspace, ground.portal, day)
            .await?;
        Ok(ceiling::waits_until(
            &ground.settings.export,
            self.asked,
            written,
            u32::from(plan.writes()),
            self.facts.now,
            ground.zone,
        ))
    }

    // ---- writing -------------------------------------------------------------------------------

    /// Commits an entry before its write.
    pub(super) async fn open(
        &self,
        subject: Subject,
        cause: Cause,
        operation: Operation,
        changes: &[Change],
        claim: Option<&store::ClaimHold>,
    ) -> Result<EntryId, Stop> {
        let id = EntryId::new(Uuid::now_v7());
        let entry = Entry::open(id, subject, cause, operation, changes, self.facts.now);
        match self
            .deps
            .store
            .open_entry(
                self.hold,
                self.ground.portal,
                self.ground.epoch,
                &entry,
                claim,
            )
            .await?
        {
            Opened::Open => Ok(id),
            Opened::Fenced => Err(Stop::Fenced),
            Opened::Lost => Err(Stop::Lost),
        }
    }

    /// Closes an entry as done, with what HubSpot answered.
    pub(super) async fn close_done(
        &self,
        id: EntryId,
        record: HubSpotObjectId,
        answer: Option<(ObjectType, &CrmObject)>,
        link: Option<LinkWrite>,
    ) -> Result<(), Stop> {
        let mirror = answer
            .map(|(of, object)| Ok::<_, Stop>((of, wire::mirror_row(object)?)))
            .transpose()?;
        self.close_with(id, record, mirror, link).await
    }

    /// The same of a record that was made: what its answer leaves out has no value.
    pub(super) async fn close_made(
        &self,
        id: EntryId,
        record: HubSpotObjectId,
        of: ObjectType,
        answer: &CrmObject,
        link: Option<LinkWrite>,
    ) -> Result<(), Stop> {
        let mut asked = match of {
            ObjectType::Company => self.ground.company_properties(),
            _ => self.ground.contact_properties(),
        };
        let needed = needed_properties(of).iter().copied();
        asked.extend(needed.map(str::to_owned));
        let mut row = wire::mirror_row(answer)?;
        row.properties = with_absent(row.properties, &asked);
        self.close_with(id, record, Some((of, row)), link).await
    }

    async fn close_with(
        &self,
        id: EntryId,
        record: HubSpotObjectId,
        mirror: Option<(ObjectType, MirrorRow)>,
        link: Option<LinkWrite>,
    ) -> Result<(), Stop> {
        let ground = self.ground;
        let day = self.facts.now.with_timezone(&ground.zone).date_naive();
        self.deps
            .store
            .close_entry_done(CloseEntry {
                workspace: ground.workspace,
                portal: ground.portal,
                epoch: ground.epoch,
                entry: id,
                record,
                mirror,
                read_at: self.facts.now,
                link,
                day,
            })
            .await?;
        Ok(())
    }

    /// What becomes of an entry whose write was not answered with success, and whether another plan is
    /// made. Only of a write that may have landed the entry stays open.
    pub(super) async fn not_written(
        &mut self,
        id: EntryId,
        error: hubspot::Error,
        (of, sent): (ObjectType, &[Change]),
        new: bool,
    ) -> Result<(), Stop> {
        let store = &self.deps.store;
        let workspace = self.ground.workspace;
        match error.class() {
            ErrorClass::OutcomeUnknown => {
                return Err(Stop::Waits(
                    domain::export::WaitReason::OutcomeUnknown,
                    super::FIRST_LOOK,
                ));
            }
            ErrorClass::Transient
            | ErrorClass::RateLimited
            | ErrorClass::AuthRevoked
            | ErrorClass::Refused
            | ErrorClass::Misconfigured => {
                store.drop_entry(workspace, id).await?;
                return Err(error.into());
            }
            _ => {
                store
                    .refuse_entry(workspace, id, crate::failure::code_of(&error))
                    .await?;
            }
        }
        match error {
            // Somebody was faster, or it went: what is there now is read.
            hubspot::Error::Conflict { .. } | hubspot::Error::NotFound => Ok(()),
            hubspot::Error::PortalRule { problems, .. } => {
                let properties = wire::names_of(&problems);
                if new {
                    return Err(Stop::Skips(Skip {
                        reason: SkipReason::PortalRule,
                        properties,
                    }));
                }
                self.reject(of, &properties, sent)
            }
            hubspot::Error::Invalid { ref problems, .. } => {
                let properties = wire::names_of(problems);
                if new && properties.iter().any(|p| p == "email") {
                    return Err(Stop::Skips(SkipReason::EmailRefused.into()));
                }
                self.reject(of, &properties, sent)
            }
            hubspot::Error::ScopeMissing { .. } | hubspot::Error::Forbidden { .. } => {
                Err(Stop::Fails(FailReason::ScopeMissing, Vec::new()))
            }
            error => Err(error.into()),
        }
    }

    /// Leaves out what HubSpot refuses. A refusal that names nothing of what was sent ends the request.
    fn reject(
        &mut self,
        of: ObjectType,
        properties: &[String],
        sent: &[Change],
    ) -> Result<(), Stop> {
        let before = self.rejected.len();
        self.rejected.extend(
            properties
                .iter()
                .filter(|p| sent.iter().any(|c| c.property == **p))
                .map(|p| (of, p.clone())),
        );
        if self.rejected.len() == before {
            return Err(Stop::Fails(FailReason::Invalid, properties.to_vec()));
        }
        Ok(())
    }

    /// Writes the contact; none where another plan is to be made.
    async fn write_contact(
        &mut self,
        plan: &ContactPlan,
        company: Option<HubSpotObjectId>,
    ) -> Result<Option<HubSpotObjectId>, Stop> {
        let subject = Subject::Person(self.person()?.id.clone());
        let contact = hubspot::ObjectType::Contact;
        let new = plan.contact().is_none();
        let operation = plan
            .contact()
            .map_or(Operation::Create(ObjectType::Contact), |id| {
                Operation::Update(ObjectType::Contact, id)
            });
        let entry = self
            .open(subject, self.why, operation, &plan.changes, None)
            .await?;
        self.tick();
        let values = wire::sent(&plan.changes);
        let objects = self.ground.client.objects();
        let answer = match plan.contact() {
            Some(id) => {
                let first = wire::emptied(&plan.changes);
                wire::update(&self.ground.client, contact, id, &first, &values).await
            }
            None => {
                let mut input = CreateInput::new(values);
                if let Some(company) = company {
                    let types: Vec<AssociationSpec> = WITH_CREATE
                        .iter()
                        .map(|kind| AssociationSpec::hubspot(kind.type_id().into()))
                        .collect();
                    input = input.associated(wire::record_id(company), types);
                }
                objects.create(contact, &input).await
            }
        };
        match answer {
            Ok(object) => {
                let id = wire::object_id(object.id)?;
                let link = self.link_to(plan, id)?;
                if new {
                    self.close_made(entry, id, ObjectType::Contact, &object, link)
                        .await?;
                } else {
                    self.close_done(entry, id, Some((ObjectType::Contact, &object)), link)
                        .await?;
                }
                Ok(Some(id))
            }
            Err(error) => {
                let sent = (ObjectType::Contact, plan.changes.as_slice());
                self.not_written(entry, error, sent, new).await?;
                Ok(None)
            }
        }
    }

    fn link_to(
        &self,
        plan: &ContactPlan,
        contact: HubSpotObjectId,
    ) -> Result<Option<LinkWrite>, Stop> {
        let person = self.person()?;
        let origin = match plan.link {
            LinkChange::Make(_, origin) | LinkChange::Follow { origin, .. } => origin,
            LinkChange::Keep if plan.decision == Decision::Create => LinkOrigin::Primary,
            LinkChange::Keep => return Ok(None),
        };
        Ok(Some(LinkWrite {
            record: RecordKind::Person,
            id: person.id.as_str().to_owned(),
            to: contact,
            origin,
        }))
    }

    /// The link of a contact to which nothing had to be written.
    async fn follow_link(&self, plan: &ContactPlan, contact: HubSpotObjectId) -> Result<(), Stop> {
        if plan.writes() {
            return Ok(());
        }
        if let Some(link) = self.link_to(plan, contact)? {
            let ground = self.ground;
            self.deps
                .store
                .write_link(ground.workspace, ground.portal, &link)
                .await?;
        }
        Ok(())
    }

    /// Associates a contact with its company. `false` where one of the two is not there.
    pub(super) async fn associate(
        &mut self,
        contact: HubSpotObjectId,
        company: HubSpotObjectId,
        kind: AssociationKind,
        cause: Cause,
    ) -> Result<bool, Stop> {
        let subject = Subject::Person(self.hold.person.clone());
        let operation = Operation::Associate {
            contact,
            company,
            primary: kind == AssociationKind::Primary,
        };
        let entry = self.open(subject, cause, operation, &[], None).await?;
        self.tick();
        match wire::associate(&self.ground.client, contact, company, kind).await? {
            Ok(()) => {
                self.close_done(entry, contact, None, None).await?;
                Ok(true)
            }
            Err(error) => {
                let gone = error.class() == ErrorClass::NotFound;
                let nothing = (ObjectType::Contact, [].as_slice());
                self.not_written(entry, error, nothing, false).await?;
                if gone {
                    self.gone.insert(company);
                    self.deps
                        .store
                        .doubt_company(self.ground.portal, company)
                        .await?;
                }
                Ok(false)
            }
        }
    }
}

/// HubSpot did not answer the question; that is not *nobody*.
fn doubtful<T>(error: hubspot::Error) -> Result<(Answer, Option<T>), Stop> {
    match error {
        hubspot::Error::Unanswered | hubspot::Error::UnexpectedResponse { .. } => {
            Ok((Answer::Doubtful, None))
        }
        error => Err(error.into()),
    }
}
