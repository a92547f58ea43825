//! A batch of people: their exports in step with each other, so that each request to HubSpot is about a
//! hundred of them. What is decided about each is decided as in an export of its own, by the same plans;
//! whoever needs more than a batch can do goes on by an export of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use domain::{
    HubSpotObjectId, ObjectType,
    app::PersonId,
    export::{
        CompanyDomains, ContactPlan, Decision, FailReason, RequestId, RequestOutcome, SkipReason,
        WaitReason,
        bulk::{Answered, Candidate, Lane, lanes},
        ceiling,
        coalesce::Pending,
        journal::{Cause, Entry, Operation, ReadBack, Taken, take_over},
        steps::Answer,
    },
};
use futures::future::join_all;
use hubspot::{
    ErrorClass, InputOutcome,
    objects::{CrmObject, ReadOptions, RecordKey},
};
use store::{DrainFacts, RequestsEnd, WriterHold};
use tokio::sync::Mutex;

use super::{
    super::{
        end_with,
        ground::Ground,
        pending_together,
        reading::Read,
        run::{Exporting, KEPT, Troubles},
        stop::Stop,
        wire,
    },
    checks::AllUnchecked,
    timelines::Whose,
};
use crate::{Deps, failure};

/// People about whom the store is asked at a time.
pub(super) const AT_ONCE: usize = 8;

/// What all batches of a slice share.
#[derive(Clone, Copy)]
pub(super) struct Batching<'a> {
    pub(super) deps: &'a Deps,
    pub(super) ground: &'a Ground,
    /// Requests to HubSpot, for the heartbeat.
    pub(super) done: &'a AtomicU64,
    /// Whether these people were left for later before: whoever is again goes on by an export of its own.
    pub(super) again: bool,
    /// Whether nobody looks after those who wait but the time at which they are due: those who are due in a
    /// workspace, other than those of a run.
    pub(super) by_time: bool,
    /// Batches that go on beside each other make companies one after the other: most people of a campaign
    /// share them.
    pub(super) companies: &'a Mutex<()>,
    /// Whether the mirror was read to the end, and so knows additional domains.
    pub(super) mirror_is_whole: bool,
    /// Engagements that were made and are to be looked at.
    pub(super) unchecked: &'a AllUnchecked,
}

/// How somebody of a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Goes along.
    Open,
    /// Taken in hand again.
    Later,
    /// Goes on by an export of its own.
    Alone,
    /// Goes on when the day's ceiling lets it.
    Held,
    /// HubSpot has the person, or the requests ended otherwise.
    Ended,
}

/// Somebody of a batch.
pub(super) struct Row {
    pub(super) hold: WriterHold,
    pub(super) facts: DrainFacts,
    pub(super) lead: Pending,
    pub(super) with: Vec<RequestId>,
    /// What somebody began to write and nobody knows the end of.
    open: Vec<Entry>,
    pub(super) read: Read,
    object: Option<CrmObject>,
    pub(super) plan: Option<ContactPlan>,
    made_before: bool,
    pub(super) lane: Option<Lane>,
    pub(super) company: Option<HubSpotObjectId>,
    /// What was not written, of the company or of the contact.
    pub(super) troubles: Troubles,
    /// The contact, once HubSpot has what is to be written.
    pub(super) contact: Option<HubSpotObjectId>,
    /// The company that stands for the contact in HubSpot, where that is known.
    pub(super) stands_for: Option<Option<HubSpotObjectId>>,
    pub(super) fate: Fate,
}

impl Row {
    pub(super) fn goes_along(&self) -> bool {
        self.fate == Fate::Open
    }

    pub(super) fn domains(&self) -> Option<CompanyDomains> {
        let person = self.facts.person.as_ref()?;
        CompanyDomains::of(self.facts.company.as_ref(), person.email.as_ref()).ok()
    }

    /// HubSpot left these properties as they were.
    pub(super) fn kept(&mut self, kept: &[String], ground: &Ground) {
        let status = ground.known.settings.status.as_ref();
        let told = status.is_some_and(|status| kept.contains(&status.property));
        if let Some(plan) = self.plan.as_mut().filter(|_| told) {
            plan.status_said = self.facts.exported.and_then(|e| e.status_said);
        }
        let kept = kept.iter().map(|property| (property.clone(), KEPT));
        self.troubles.extend(kept);
    }

    /// Whether the contact was made by this export, or by one before that did not come to its end.
    pub(super) fn is_new(&self) -> bool {
        let made = self.plan.as_ref().map(|plan| &plan.decision) == Some(&Decision::Create);
        made || self.made_before
    }
}

/// What the store has of somebody.
struct Known {
    hold: WriterHold,
    facts: DrainFacts,
    /// What somebody began to write and nobody knows the end of.
    open: Vec<Entry>,
}

/// What came of a batch.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// People who came to an end.
    pub(super) ended: usize,
    /// Those whose timelines go on by exports of their own.
    pub(super) left: BTreeSet<PersonId>,
    /// People who are taken in hand again.
    pub(super) later: usize,
    /// People who wait for the day's ceiling.
    pub(super) held: usize,
    /// People who go on by exports of their own.
    pub(super) alone: BTreeSet<PersonId>,
    /// What keeps HubSpot from doing anything now.
    pub(super) trouble: Option<hubspot::Error>,
}

/// What HubSpot said of one write of a batch.
pub(super) fn answered<T>(outcome: &InputOutcome<T>) -> Answered {
    match outcome {
        InputOutcome::Done(_) => Answered::Done,
        // Answered with success, and not a word about it: that is no refusal.
        InputOutcome::Refused(hubspot::Error::NotInAnswer) | InputOutcome::OutcomeUnknown => {
            Answered::Unknown
        }
        InputOutcome::Refused(error) => match error.class() {
            ErrorClass::OutcomeUnknown => Answered::Unknown,
            ErrorClass::Transient
            | ErrorClass::RateLimited
            | ErrorClass::AuthRevoked
            | ErrorClass::Refused
            | ErrorClass::Misconfigured => Answered::NotActedOn,
            _ => Answered::Refused,
        },
        InputOutcome::NotSent => Answered::NotActedOn,
    }
}

/// Whether the same may be asked again later.
fn passes(error: &hubspot::Error) -> bool {
    matches!(
        error.class(),
        ErrorClass::Transient
            | ErrorClass::RateLimited
            | ErrorClass::AuthRevoked
            | ErrorClass::Refused
            | ErrorClass::Misconfigured
    )
}

impl Batching<'_> {
    pub(super) fn exporting<'r>(&'r self, row: &'r Row) -> Exporting<'r> {
        let why = Cause::Request(row.lead.kind);
        let (hold, facts, asked) = (&row.hold, &row.facts, row.lead.cause);
        let mut exporting =
            Exporting::new(self.deps, self.ground, hold, facts, asked, why, self.done);
        exporting.company_troubles = row.troubles.clone();
        exporting
    }

    /// A request of this many inputs was sent.
    pub(super) fn tick(&self, inputs: usize) {
        let requests = inputs.div_ceil(domain::export::bulk::BATCH) as u64;
        self.done.fetch_add(requests, Ordering::Relaxed);
        self.deps.pulse.progress();
    }

    /// Exports people.
    pub(super) async fn run(&self, people: &[PersonId]) -> Result<Report, Stop> {
        let (store, workspace) = (&self.deps.store, self.ground.workspace);
        let holds = store.take_writers(workspace, people).await?;
        let mut report = Report::default();
        let done = self.held(&holds, &mut report).await;
        store.give_writers_back(workspace, &holds).await?;
        let fates = done?;
        // What every write of this kind meets is no reason to wait: single exports say why they fail.
        report.trouble = report.trouble.filter(passes);
        let held: BTreeSet<&PersonId> = holds.iter().map(|hold| &hold.person).collect();
        for person in people {
            let fate = if held.contains(person) {
                // Without a request that goes on there is nothing left to do.
                fates.get(person).copied().unwrap_or(Fate::Ended)
            } else {
                Fate::Later
            };
            match fate {
                Fate::Ended => report.ended += 1,
                Fate::Held => report.held += 1,
                Fate::Open | Fate::Later if !self.again => report.later += 1,
                // HubSpot is asked again when it answers again.
                Fate::Open | Fate::Later if report.trouble.is_some() => report.later += 1,
                Fate::Open | Fate::Later | Fate::Alone => {
                    report.alone.insert(person.clone());
                }
            }
        }
        Ok(report)
    }

    async fn held(
        &self,
        holds: &[WriterHold],
        report: &mut Report,
    ) -> Result<BTreeMap<PersonId, Fate>, Stop> {
        let mut fates = BTreeMap::new();
        let known = self.known(holds, &mut fates).await?;
        let newer = self.ground.newer(self.deps).await?;
        let ground = newer.as_ref().unwrap_or(self.ground);
        Batching { ground, ..*self }
            .go_on(known, fates, report)
            .await
    }

    /// Exports people of whom everything is known that the store has.
    async fn go_on(
        &self,
        known: Vec<Known>,
        mut fates: BTreeMap<PersonId, Fate>,
        report: &mut Report,
    ) -> Result<BTreeMap<PersonId, Fate>, Stop> {
        let (mut rows, mut whose) = self.judged(known).await?;
        self.read(&mut rows).await?;
        self.find_out(&mut rows).await?;
        self.plan(&mut rows).await?;
        self.cut(&mut rows).await?;
        if self.by_time {
            self.park_held(&mut rows).await?;
        }
        {
            let _one_after_the_other = self.companies.lock().await;
            self.ensure_companies(&mut rows, report).await?;
        }
        self.write_contacts(&mut rows, report).await?;
        self.associate_contacts(&mut rows, report).await?;
        whose.extend(self.end(&mut rows).await?);
        self.tell(&whose, report).await?;
        fates.extend(rows.into_iter().map(|row| (row.hold.person, row.fate)));
        Ok(fates)
    }

    /// What the store has of people. Those who cannot be read go on by themselves.
    async fn known(
        &self,
        holds: &[WriterHold],
        fates: &mut BTreeMap<PersonId, Fate>,
    ) -> Result<Vec<Known>, Stop> {
        let (store, ground) = (&self.deps.store, self.ground);
        let people: Vec<PersonId> = holds.iter().map(|hold| hold.person.clone()).collect();
        let open = store.open_entries_of(ground.workspace, ground.portal, &people);
        let mut open = open.await?;
        let mut known = Vec::new();
        for some in holds.chunks(AT_ONCE) {
            let facts = some
                .iter()
                .map(|hold| store.drain_facts(ground.workspace, ground.portal, &hold.person));
            for (hold, facts) in some.iter().zip(join_all(facts).await) {
                let entries = open.remove(&hold.person).unwrap_or_else(|| Ok(Vec::new()));
                let (facts, entries) = match (facts, entries) {
                    (Ok(facts), Ok(entries)) => (facts, entries),
                    (Err(error), _) if error.is_transient() => return Err(error.into()),
                    // What cannot be read of one harms no other.
                    _ => {
                        fates.insert(hold.person.clone(), Fate::Alone);
                        continue;
                    }
                };
                known.push(Known {
                    hold: hold.clone(),
                    facts,
                    open: entries,
                });
            }
        }
        Ok(known)
    }

    /// Judges the requests of each by what holds now, all that are pending together: those who are exported,
    /// and those of whom only the timeline may be to be written.
    async fn judged(&self, known: Vec<Known>) -> Result<(Vec<Row>, Vec<Whose>), Stop> {
        let (store, ground) = (&self.deps.store, self.ground);
        let mut rows = Vec::new();
        let mut whose: Vec<Whose> = Vec::new();
        let mut ended: BTreeMap<SkipReason, Vec<RequestId>> = BTreeMap::new();
        let mut waiting: Vec<RequestId> = Vec::new();
        for Known { hold, facts, open } in known {
            let together = pending_together(ground, &facts).unwrap_or_default();
            for (request, reason) in together.ended {
                ended.entry(reason).or_default().push(request);
            }
            waiting.extend(together.waiting);
            let Some(lead) = together.lead else {
                whose.extend(facts.exported.map(|exported| Whose {
                    hold,
                    contact: exported.contact,
                    company: None,
                }));
                continue;
            };
            rows.push(Row {
                open,
                hold,
                facts,
                lead,
                with: together.with,
                read: Read::default(),
                object: None,
                plan: None,
                made_before: false,
                lane: None,
                company: None,
                troubles: Troubles::new(),
                contact: None,
                stands_for: None,
                fate: Fate::Open,
            });
        }
        for (reason, requests) in ended {
            store
                .skip_requests(ground.workspace, &requests, reason)
                .await?;
        }
        if !waiting.is_empty() {
            let reason = WaitReason::PersonNotExported;
            store
                .park_requests(ground.workspace, &waiting, reason, None, None)
                .await?;
        }
        Ok((rows, whose))
    }

    /// Reads the contacts afresh: linked ones by id, the others by address.
    async fn read(&self, rows: &mut [Row]) -> Result<(), Stop> {
        let names = self.ground.contact_properties();
        let options = ReadOptions::new().properties(&names);
        let contact = hubspot::ObjectType::Contact;
        let objects = self.ground.client.objects();
        let linked: Vec<_> = rows
            .iter()
            .filter_map(|row| row.facts.linked.map(|link| wire::record_id(link.record)))
            .collect();
        if !linked.is_empty() {
            self.tick(linked.len());
            let read = objects.batch_read(contact, &linked, &options).await?;
            let found: BTreeMap<_, &CrmObject> = read
                .found
                .iter()
                .filter_map(|one| one.as_ref().ok())
                .map(|object| (object.id, object))
                .collect();
            for row in rows.iter_mut() {
                let Some(id) = row.facts.linked.map(|link| wire::record_id(link.record)) else {
                    continue;
                };
                let now = read.merged.get(&id).copied().unwrap_or(id);
                match found.get(&now) {
                    Some(object) if !object.archived => {
                        row.read.by_link = Answer::Live;
                        row.object = Some((*object).clone());
                    }
                    // Whether it lies in the recycle bin, and who else has the address.
                    Some(_) => row.fate = Fate::Alone,
                    None if read.missing.contains(&id) => row.fate = Fate::Alone,
                    None => row.fate = Fate::Later,
                }
            }
        }
        let mut asked: Vec<&mut Row> = Vec::new();
        let mut keys: Vec<RecordKey> = Vec::new();
        for row in rows.iter_mut().filter(|row| row.facts.linked.is_none()) {
            let email = row.facts.person.as_ref().and_then(|p| p.email.as_ref());
            match email.map(|email| RecordKey::email(email.as_str())) {
                Some(key) => {
                    keys.push(key);
                    asked.push(row);
                }
                None => row.fate = Fate::Alone,
            }
        }
        if !keys.is_empty() {
            self.tick(keys.len());
            let read = objects.read_each(contact, &keys, &options).await;
            if let Some(error) = read.stopped {
                return Err(error.into());
            }
            for (row, outcome) in asked.into_iter().zip(read.outcomes) {
                match outcome {
                    InputOutcome::Done(object) if !object.archived => {
                        row.read.by_email = Answer::Live;
                        row.object = Some(object);
                    }
                    InputOutcome::Done(_) | InputOutcome::Refused(hubspot::Error::NotFound) => {
                        row.read.by_email = Answer::Nobody;
                    }
                    // An address that HubSpot does not look for.
                    InputOutcome::Refused(hubspot::Error::Invalid { .. }) => row.fate = Fate::Alone,
                    InputOutcome::Refused(_)
                    | InputOutcome::OutcomeUnknown
                    | InputOutcome::NotSent => row.fate = Fate::Later,
                }
            }
        }
        for row in rows.iter_mut() {
            if let Some(object) = &row.object {
                let id = wire::object_id(object.id)?;
                row.read.record = Some(wire::record_read(id, &names, object));
            }
        }
        Ok(())
    }

    /// Finds out by the fresh read what became of contacts that somebody began to write. What did not land,
    /// or has yet to, is left to an export of its own.
    async fn find_out(&self, rows: &mut [Row]) -> Result<(), Stop> {
        for row in rows.iter_mut() {
            if !row.goes_along() || row.open.is_empty() {
                continue;
            }
            if !self.landed(row) {
                row.fate = Fate::Alone;
                continue;
            }
            let (Some(record), Some(object)) = (&row.read.record, &row.object) else {
                continue;
            };
            let id = record.id();
            let exporting = self.exporting(row);
            for entry in &row.open {
                let answer = Some((ObjectType::Contact, object));
                exporting.close_done(entry.id, id, answer, None).await?;
            }
            let told = row.open.iter().rev().find_map(Entry::status_told);
            if let (Some(told), Some(exported)) = (told, &mut row.facts.exported) {
                exported.status_said = told;
            }
        }
        Ok(())
    }

    fn landed(&self, row: &Row) -> bool {
        let Some(record) = &row.read.record else {
            return false;
        };
        let definitions = self.ground.definitions(ObjectType::Contact);
        let settle = self.deps.exports.settle;
        row.open.iter().all(|entry| {
            let of_contact = match entry.operation {
                Operation::Create(ObjectType::Contact) => true,
                Operation::Update(ObjectType::Contact, id) => id == record.id(),
                _ => false,
            };
            let back = ReadBack::Record(record);
            of_contact && take_over(entry, back, definitions, settle, row.facts.now) == Taken::Done
        })
    }

    /// Plans each contact, and says who goes along.
    async fn plan(&self, rows: &mut [Row]) -> Result<(), Stop> {
        for some in rows.chunks_mut(AT_ONCE) {
            let plans = join_all(some.iter().map(|row| self.plan_one(row))).await;
            for (row, plan) in some.iter_mut().zip(plans) {
                if let Some((plan, made_before)) = plan? {
                    row.plan = Some(plan);
                    row.made_before = made_before;
                }
            }
        }
        let planned: Vec<&mut Row> = rows
            .iter_mut()
            .filter(|row| row.goes_along() && row.plan.is_some())
            .collect();
        let batch: Vec<Candidate<'_>> = planned
            .iter()
            .filter_map(|row| {
                let person = row.facts.person.as_ref();
                Some(Candidate {
                    plan: row.plan.as_ref()?,
                    address: person.and_then(|p| p.email.as_ref()),
                })
            })
            .collect();
        let lanes = lanes(&batch);
        let mut skipped: BTreeMap<(SkipReason, Vec<String>), Vec<RequestId>> = BTreeMap::new();
        for (row, lane) in planned.into_iter().zip(lanes) {
            match &lane {
                Lane::Alone(_) => row.fate = Fate::Alone,
                Lane::Skip(skip) => {
                    row.fate = Fate::Ended;
                    let of = (skip.reason, skip.properties.clone());
                    skipped.entry(of).or_default().extend(&row.with);
                }
                Lane::Create | Lane::Update(_) => {}
                Lane::Keep(contact) => row.contact = Some(*contact),
            }
            row.lane = Some(lane);
        }
        for ((reason, properties), requests) in skipped {
            let end = RequestsEnd {
                error_code: Some(reason.code()),
                properties,
            };
            let outcome = RequestOutcome::Skipped { reason };
            self.deps
                .store
                .turn_requests(self.ground.workspace, &requests, outcome, &end)
                .await?;
        }
        Ok(())
    }

    async fn plan_one(&self, row: &Row) -> Result<Option<(ContactPlan, bool)>, Stop> {
        let (true, Some(person)) = (row.goes_along(), &row.facts.person) else {
            return Ok(None);
        };
        let linked = row.facts.linked.map(|link| link.record);
        let planned = self.exporting(row).plan(person, linked, &row.read).await?;
        Ok(Some(planned))
    }

    /// Keeps back whom the day's ceiling holds up. A company counts with the first of its people.
    async fn cut(&self, rows: &mut [Row]) -> Result<(), Stop> {
        let ground = self.ground;
        let export = &ground.known.settings.export;
        if export.daily_ceiling.is_none() {
            return Ok(());
        }
        let Some(now) = rows.iter().map(|row| row.facts.now).max() else {
            return Ok(());
        };
        let (store, day) = (&self.deps.store, ground.day(now));
        let written = store
            .written_on(ground.workspace, ground.portal, day)
            .await?;
        let Some(mut room) = ceiling::room(export, written) else {
            return Ok(());
        };
        let mut companies: BTreeSet<String> = BTreeSet::new();
        for row in rows.iter_mut().filter(|row| row.fate == Fate::Open) {
            let writes = row.plan.as_ref().is_some_and(ContactPlan::writes);
            let company = row
                .domains()
                .filter(|_| row.facts.company_linked.is_none_or(|link| !link.live))
                .map(|domains| domains.first().as_str().to_owned())
                .filter(|domain| !companies.contains(domain));
            let records = u32::from(writes) + u32::from(company.is_some());
            if records > room {
                row.fate = Fate::Held;
                continue;
            }
            room -= records;
            companies.extend(company);
        }
        Ok(())
    }

    /// Lets those whom the day's ceiling holds up wait for the next one.
    async fn park_held(&self, rows: &mut [Row]) -> Result<(), Stop> {
        let held = rows.iter_mut().filter(|row| row.fate == Fate::Held);
        let mut requests: Vec<RequestId> = Vec::new();
        for row in held {
            requests.extend(&row.with);
            row.fate = Fate::Ended;
        }
        if requests.is_empty() {
            return Ok(());
        }
        let (store, ground) = (&self.deps.store, self.ground);
        let now = store.clock().await?;
        let wait = ceiling::next_day(now, ground.known.zone) - now;
        let wait = Some(wait.to_std().unwrap_or_default());
        let reason = WaitReason::OverCeiling;
        store
            .park_requests(ground.workspace, &requests, reason, wait, None)
            .await?;
        Ok(())
    }

    /// Ends the requests of those whom HubSpot has; whose timelines are to be written now.
    async fn end(&self, rows: &mut [Row]) -> Result<Vec<Whose>, Stop> {
        let (mut ends, mut whose) = (Vec::new(), Vec::new());
        for row in rows.iter_mut().filter(|row| row.fate == Fate::Open) {
            let (Some(contact), Some(plan)) = (row.contact, &row.plan) else {
                continue;
            };
            let exporting = self.exporting(row);
            exporting.follow_link(plan, contact).await?;
            let look_again = row.company.filter(|_| row.is_new());
            ends.push(store::ExportEnd {
                person: row.hold.person.clone(),
                contact,
                status_said: plan.status_said,
                look_again: look_again.map(|company| (company, self.deps.exports.recheck_after)),
                requests: row.with.clone(),
                end: end_with(exporting.troubles_of(plan)),
            });
            whose.push(Whose {
                hold: row.hold.clone(),
                contact,
                company: row.stands_for,
            });
            row.fate = Fate::Ended;
        }
        let ground = self.ground;
        self.deps
            .store
            .end_exported(ground.workspace, ground.portal, &ends)
            .await?;
        Ok(whose)
    }

    /// Ends the requests of people whom HubSpot refuses altogether, for want of a scope.
    pub(super) async fn fail(
        &self,
        taken: &[(RequestId, PersonId)],
        error: &hubspot::Error,
    ) -> Result<(), Stop> {
        let requests: Vec<RequestId> = taken.iter().map(|(request, _)| *request).collect();
        let end = RequestsEnd {
            error_code: Some(failure::code_of(error)),
            properties: Vec::new(),
        };
        let outcome = RequestOutcome::Failed {
            reason: FailReason::ScopeMissing,
        };
        self.deps
            .store
            .turn_requests(self.ground.workspace, &requests, outcome, &end)
            .await?;
        Ok(())
    }
}
