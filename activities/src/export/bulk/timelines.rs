//! The timelines of a batch (E8): what is to be written of the activities of its people, in few requests. Each
//! is mapped, written down before it is sent, and recognised as in a person's own export; what a batch
//! cannot settle about one is left to that, and holds up no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use domain::{
    HubSpotObjectId, ObjectType,
    activities::{Batch, Engagement, LogStep, batches, recognise},
    app::{ActivityId, PersonId, RecordVersion},
    export::{
        RequestOutcome, WaitReason, association,
        bulk::{After, BATCH, after},
        journal::{Entry, EntryState, Operation},
    },
};
use hubspot::{
    BatchOutcome, ErrorClass, InputOutcome,
    objects::{CreateInput, CrmObject, RecordKey, UpdateInput},
};
use store::{
    ActivityDone, ActivityTurn, LoggedActivity, MostActivities, NewEntry, OpenActivityEntries,
    Opened, PendingActivity, RequestsEnd, WriterHold,
};

use super::{
    super::{
        FIRST_LOOK,
        ground::Ground,
        run::DOUBT,
        stop::Stop,
        timeline::{Timeline, entry, step},
        wire,
    },
    batch::{Batching, Report, answered},
    checks::Unchecked,
};

/// Activities of one person that are taken at a time.
const OF_EACH: u32 = 25;
/// What the app said of all that are taken at a time, in bytes.
const BYTES: i64 = 8 * 1024 * 1024;
/// Times that a request is sent of which HubSpot certainly did nothing.
const SENDS: u32 = 4;
/// The longest wait between two of them.
const PAUSE: Duration = Duration::from_secs(12);

/// Somebody of a batch whom HubSpot has.
pub(super) struct Whose {
    pub(super) hold: WriterHold,
    pub(super) contact: HubSpotObjectId,
    pub(super) company: KnownCompany,
}

/// A contact's company, where that is known.
pub(super) type KnownCompany = Option<Option<HubSpotObjectId>>;

/// How far the timelines of a batch are.
struct Told {
    /// Activities that were taken in hand, whatever came of it.
    taken: Vec<ActivityId>,
    /// Of each.
    companies: Vec<KnownCompany>,
}

/// An activity that is to be written.
struct Write {
    of: usize,
    pending: PendingActivity,
    version: RecordVersion,
    made: Engagement,
    /// The engagement that is there already.
    edits: Option<HubSpotObjectId>,
}

/// Writes of one kind go in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    object_type: ObjectType,
    edits: bool,
}

impl Write {
    fn kind(&self) -> Kind {
        Kind {
            object_type: self.made.object_type,
            edits: self.edits.is_some(),
        }
    }

    fn operation(&self) -> Operation {
        let of = self.made.object_type;
        match self.edits {
            Some(record) => Operation::Update(of, record),
            None => Operation::Create(of),
        }
    }
}

/// An activity about which it is not known what became of a write.
pub(super) struct Doubt {
    pub(super) of: usize,
    pub(super) pending: PendingActivity,
    pub(super) entry: Entry,
}

/// The timelines of a batch, and what is found out about them.
pub(super) struct Telling<'r> {
    pub(super) timelines: Vec<Timeline<'r>>,
    companies: Vec<KnownCompany>,
    /// What is to be written, of each.
    writes: Vec<Vec<Write>>,
    ends: Vec<ActivityTurn>,
    unknown: Vec<Doubt>,
    /// Those whose timelines go on by exports of their own.
    left: BTreeSet<PersonId>,
}

impl Telling<'_> {
    fn leave(&mut self, of: usize) {
        if let Some(timeline) = self.timelines.get(of) {
            self.left.insert(timeline.hold.person.clone());
        }
    }
}

impl Batching<'_> {
    /// Writes what is to be written of the activities of people whom HubSpot has.
    pub(super) async fn tell(&self, whose: &[Whose], report: &mut Report) -> Result<(), Stop> {
        let mut told = Told {
            taken: Vec::new(),
            companies: whose.iter().map(|one| one.company).collect(),
        };
        let mut newest: Option<Ground> = None;
        loop {
            let ground = newest.as_ref().unwrap_or(self.ground);
            let batching = Batching { ground, ..*self };
            match batching.tell_by(whose, &mut told, report).await? {
                Some(newer) => newest = Some(newer),
                None => return Ok(()),
            }
        }
    }

    /// The same until nothing is left, or what is left goes by a newer ground: that one.
    async fn tell_by(
        &self,
        whose: &[Whose],
        told: &mut Told,
        report: &mut Report,
    ) -> Result<Option<Ground>, Stop> {
        let (store, ground) = (&self.deps.store, self.ground);
        let (workspace, portal) = (ground.workspace, ground.portal);
        if whose.is_empty() || !ground.known.settings_saved {
            return Ok(None);
        }
        let people: Vec<PersonId> = whose.iter().map(|one| one.hold.person.clone()).collect();
        let mut telling = self.telling(whose, &told.companies);
        let mut newer = None;
        let mut open: Option<BTreeMap<PersonId, OpenActivityEntries>> = None;
        while report.trouble.is_none() {
            let most = MostActivities {
                of_each: OF_EACH,
                bytes: BYTES,
                but: &told.taken,
            };
            let mut pending = store
                .pending_activities_of(workspace, portal, &people, &most)
                .await?;
            if pending.is_empty() {
                break;
            }
            newer = ground.newer(self.deps).await?;
            if newer.is_some() {
                break;
            }
            if open.is_none() {
                let entries = store.open_activity_entries_of(workspace, portal, &people);
                open = Some(entries.await?);
                self.read_companies(&mut telling, &people, &pending).await?;
            }
            let mut doubts = Vec::new();
            for (of, person) in people.iter().enumerate() {
                let entries = open.as_ref().and_then(|open| open.get(person));
                for pending in pending.remove(person).unwrap_or_default() {
                    told.taken.push(pending.id.clone());
                    let Ok(entries) = entries.map_or(Ok(&[][..]), |all| all.as_deref()) else {
                        telling.leave(of);
                        continue;
                    };
                    let mut its = entries.iter().filter(|(id, _)| *id == pending.id);
                    match (its.next(), its.next()) {
                        (None, _) => self.place(&mut telling, of, pending),
                        (Some((_, entry)), None) => {
                            let entry = entry.clone();
                            doubts.push(Doubt { of, pending, entry });
                        }
                        (Some(_), Some(_)) => telling.leave(of),
                    }
                }
            }
            self.settle(&mut telling, doubts).await?;
            self.write(&mut telling, report).await?;
            let ends = std::mem::take(&mut telling.ends);
            store.turn_activities(workspace, portal, &ends).await?;
        }
        let unknown = std::mem::take(&mut telling.unknown);
        if !unknown.is_empty() {
            // Most of what is late lands soon.
            tokio::time::sleep(FIRST_LOOK).await;
            self.settle(&mut telling, unknown).await?;
            // What is found is not written anew at once where the app says something newer by now.
            let unsent: Vec<usize> = telling
                .writes
                .iter()
                .enumerate()
                .filter(|(_, writes)| !writes.is_empty())
                .map(|(of, _)| of)
                .collect();
            for of in unsent {
                telling.leave(of);
            }
            let ends = std::mem::take(&mut telling.ends);
            store.turn_activities(workspace, portal, &ends).await?;
        }
        report.left.extend(telling.left);
        told.companies = telling.companies;
        Ok(newer)
    }

    fn telling<'r>(&'r self, whose: &'r [Whose], companies: &[KnownCompany]) -> Telling<'r> {
        let timelines = whose.iter().zip(companies).map(|(one, company)| {
            let mut timeline =
                Timeline::new(self.deps, self.ground, &one.hold, self.done, one.contact);
            if let Some(company) = *company {
                timeline.knows_company(company);
            }
            timeline
        });
        Telling {
            timelines: timelines.collect(),
            companies: companies.to_vec(),
            writes: whose.iter().map(|_| Vec::new()).collect(),
            ends: Vec::new(),
            unknown: Vec::new(),
            left: BTreeSet::new(),
        }
    }

    /// Reads which companies stand for the contacts of those who have something to be written, where that is
    /// not known yet.
    async fn read_companies(
        &self,
        telling: &mut Telling<'_>,
        people: &[PersonId],
        pending: &BTreeMap<PersonId, Vec<PendingActivity>>,
    ) -> Result<(), Stop> {
        let wanted: Vec<usize> = people
            .iter()
            .enumerate()
            .filter(|(of, person)| {
                let known = telling.companies.get(*of).copied().flatten();
                known.is_none() && pending.contains_key(*person)
            })
            .map(|(of, _)| of)
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let contact = |of: &usize| Some(wire::record_id(telling.timelines.get(*of)?.contact));
        let ids: Vec<_> = wanted.iter().filter_map(contact).collect();
        let (from, to) = (hubspot::ObjectType::Contact, hubspot::ObjectType::Company);
        self.tick(1);
        let read = self.ground.client.associations();
        let read = match read.batch_read(from, to, &ids).await {
            Ok(read) => read,
            // Of whom nothing is known goes on by an export of their own.
            Err(error) if error.class() == ErrorClass::Invalid => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for (of, id) in wanted.into_iter().zip(ids) {
            let Some(found) = read.answered.get(&id) else {
                continue;
            };
            let companies = wire::contact_companies(found)?;
            let company = association::primary(&companies);
            if let (Some(timeline), Some(known)) =
                (telling.timelines.get_mut(of), telling.companies.get_mut(of))
            {
                timeline.knows_company(company);
                *known = Some(company);
            }
        }
        Ok(())
    }

    /// Puts an activity where it goes on, by what the portal is known to have of it.
    fn place(&self, telling: &mut Telling<'_>, of: usize, pending: PendingActivity) {
        let logged = pending.logged;
        let (Some(activity), Some(timeline), Some(Some(company))) = (
            &pending.activity,
            telling.timelines.get(of),
            telling.companies.get(of),
        ) else {
            return telling.leave(of);
        };
        let exported = |hubspot_id| {
            let outcome = RequestOutcome::Exported { hubspot_id };
            ActivityTurn::of(&pending, outcome, RequestsEnd::default())
        };
        match (step(self.ground, activity, logged), &activity.happened) {
            (LogStep::Skip(reason), _) => {
                let end = RequestsEnd {
                    error_code: Some(reason.code()),
                    properties: Vec::new(),
                };
                let outcome = RequestOutcome::Skipped { reason };
                telling.ends.push(ActivityTurn::of(&pending, outcome, end));
            }
            (LogStep::Done(record), _) => telling.ends.push(exported(record)),
            (LogStep::Verify(record), Some(_))
                if logged.is_some_and(|logged| logged.version >= activity.version) =>
            {
                let object_type = logged.map_or(ObjectType::Note, |logged| logged.object_type);
                self.unchecked.add(Unchecked {
                    person: timeline.hold.person.clone(),
                    turn: exported(record),
                    object_type,
                    record,
                    contact: timeline.contact,
                    company: *company,
                });
            }
            (LogStep::Create, Some(happened)) => {
                let (version, made) = (activity.version, timeline.mapped(happened));
                let write = Write {
                    of,
                    pending,
                    version,
                    made,
                    edits: None,
                };
                telling.writes[of].push(write);
            }
            (LogStep::Update(record), Some(happened)) => {
                let (version, made) = (activity.version, timeline.edited(happened));
                let write = Write {
                    of,
                    pending,
                    version,
                    made,
                    edits: Some(record),
                };
                telling.writes[of].push(write);
            }
            _ => telling.leave(of),
        }
    }

    /// Finds out what became of writes that somebody began. What landed goes on; what did not, or has yet to,
    /// is left to exports of their own.
    async fn settle(&self, telling: &mut Telling<'_>, doubts: Vec<Doubt>) -> Result<(), Stop> {
        if doubts.is_empty() {
            return Ok(());
        }
        let found = self.find_out_logged(&telling.timelines, &doubts).await?;
        let mut closing: Vec<(Doubt, ActivityDone)> = Vec::new();
        for (doubt, found) in doubts.into_iter().zip(found) {
            let done = found.and_then(|logged| {
                let timeline = telling.timelines.get(doubt.of)?;
                Some(timeline.done_with(&doubt.pending, doubt.entry.id, logged))
            });
            match done {
                Some(done) => closing.push((doubt, done)),
                None => self.leave_in_doubt(telling, doubt, FIRST_LOOK).await?,
            }
        }
        let done: Vec<ActivityDone> = closing.iter().map(|(_, done)| done.clone()).collect();
        let closed = self.deps.store.close_activities(&done).await?;
        for ((doubt, done), closed) in closing.into_iter().zip(closed) {
            if closed {
                let pending = PendingActivity {
                    logged: Some(done.logged),
                    ..doubt.pending
                };
                self.place(telling, doubt.of, pending);
            } else {
                self.leave_in_doubt(telling, doubt, DOUBT).await?;
            }
        }
        Ok(())
    }

    /// The entry stays open, and the person's own export looks at it again.
    async fn leave_in_doubt(
        &self,
        telling: &mut Telling<'_>,
        doubt: Doubt,
        wait: Duration,
    ) -> Result<(), Stop> {
        let ground = self.ground;
        let reason = WaitReason::OutcomeUnknown;
        let (workspace, portal) = (ground.workspace, ground.portal);
        let store = &self.deps.store;
        store
            .park_activity(workspace, portal, &doubt.pending, reason, Some(wait), None)
            .await?;
        telling.leave(doubt.of);
        Ok(())
    }

    /// Writes what is to be written.
    async fn write(&self, telling: &mut Telling<'_>, report: &mut Report) -> Result<(), Stop> {
        let mut writes: Vec<Vec<Option<Write>>> = telling
            .writes
            .iter_mut()
            .map(|writes| std::mem::take(writes).into_iter().map(Some).collect())
            .collect();
        let kinds: Vec<Vec<Kind>> = writes
            .iter()
            .map(|of| of.iter().flatten().map(Write::kind).collect())
            .collect();
        for Batch { kind, writes: some } in batches(&kinds, BATCH) {
            let some: Vec<Write> = some
                .into_iter()
                .filter_map(|(of, place)| writes.get_mut(of)?.get_mut(place)?.take())
                .collect();
            if report.trouble.is_some() {
                for write in some {
                    telling.leave(write.of);
                }
                continue;
            }
            self.send(telling, kind, some, report).await?;
        }
        Ok(())
    }

    /// Sends writes of one kind; those on which HubSpot certainly did not act some times more.
    async fn send(
        &self,
        telling: &mut Telling<'_>,
        kind: Kind,
        mut writes: Vec<Write>,
        report: &mut Report,
    ) -> Result<(), Stop> {
        for sends in 1.. {
            let (again, stopped) = self.send_once(telling, kind, writes).await?;
            if again.is_empty() {
                return Ok(());
            }
            let passes = stopped.as_ref().is_none_or(|error| {
                let class = error.class();
                matches!(class, ErrorClass::Transient | ErrorClass::RateLimited)
            });
            let wait = stopped.as_ref().and_then(hubspot::Error::retry_after);
            let wait = wait.unwrap_or(FIRST_LOOK);
            if sends == SENDS || !passes || wait > PAUSE {
                for write in again {
                    telling.leave(write.of);
                }
                self.note(stopped, report);
                return Ok(());
            }
            tokio::time::sleep(wait).await;
            writes = again;
        }
        Ok(())
    }

    /// Sends writes of one kind once. Those on which HubSpot certainly did not act, and why.
    async fn send_once(
        &self,
        telling: &mut Telling<'_>,
        kind: Kind,
        writes: Vec<Write>,
    ) -> Result<(Vec<Write>, Option<hubspot::Error>), Stop> {
        let now = self.deps.store.clock().await?;
        let entries: Vec<Entry> = writes
            .iter()
            .map(|write| {
                let written = recognise::written(&write.made);
                entry(&write.pending, write.operation(), written, now)
            })
            .collect();
        let new: Vec<NewEntry<'_>> = writes
            .iter()
            .zip(&entries)
            .filter_map(|(write, entry)| {
                Some(NewEntry {
                    hold: telling.timelines.get(write.of)?.hold,
                    entry,
                    guard: None,
                })
            })
            .collect();
        let opened = self.open_all(&new).await?;
        let mut sent: Vec<(Write, Entry)> = Vec::new();
        for ((write, entry), opened) in writes.into_iter().zip(entries).zip(opened) {
            if opened == Opened::Open {
                sent.push((write, entry));
            } else {
                telling.leave(write.of);
            }
        }
        if sent.is_empty() {
            return Ok((Vec::new(), None));
        }
        let answer = if kind.edits {
            self.send_edits(kind.object_type, &sent).await
        } else {
            self.send_creates(telling, kind.object_type, &sent).await?
        };
        let (mut again, mut closing) = (Vec::new(), Vec::new());
        for ((write, entry), outcome) in sent.into_iter().zip(answer.outcomes) {
            if let InputOutcome::Done(object) = &outcome {
                let logged = LoggedActivity {
                    object_type: kind.object_type,
                    record: wire::object_id(object.id)?,
                    version: write.version,
                    associated: kind.edits,
                };
                closing.push((write, entry, logged));
                continue;
            }
            let what = after(answered(&outcome));
            self.not_done(entry.id, &outcome).await?;
            match what {
                After::DropAndAgain => again.push(write),
                After::ReadBack => {
                    let Write { of, pending, .. } = write;
                    let sent_at = Some(now);
                    let entry = Entry {
                        state: EntryState::Open { sent_at },
                        ..entry
                    };
                    telling.unknown.push(Doubt { of, pending, entry });
                }
                // Its own export says why, or finds that it was made already.
                After::RefuseAndAlone | After::Close => telling.leave(write.of),
            }
        }
        self.close(telling, closing).await?;
        Ok((again, answer.stopped))
    }

    async fn send_creates(
        &self,
        telling: &mut Telling<'_>,
        object_type: ObjectType,
        sent: &[(Write, Entry)],
    ) -> Result<BatchOutcome<CrmObject>, Stop> {
        let mut key = None;
        if let Some(timeline) = telling.timelines.first() {
            key = timeline.key(object_type).await?;
        }
        let mut inputs: Vec<CreateInput> = Vec::new();
        for (write, _) in sent {
            if let Some(timeline) = telling.timelines.get_mut(write.of) {
                let to = timeline.associated_with(object_type).await?;
                let key = key.as_deref();
                inputs.push(timeline.create_input(&write.pending, &write.made, key, &to));
            }
        }
        self.tick(inputs.len());
        let objects = self.ground.client.objects();
        let of = wire::object_type(object_type);
        Ok(objects.batch_create(of, &inputs).await)
    }

    async fn send_edits(
        &self,
        object_type: ObjectType,
        sent: &[(Write, Entry)],
    ) -> BatchOutcome<CrmObject> {
        let inputs: Vec<UpdateInput> = sent
            .iter()
            .filter_map(|(write, _)| {
                Some(UpdateInput {
                    key: RecordKey::Id(wire::record_id(write.edits?)),
                    properties: write.made.properties.clone(),
                })
            })
            .collect();
        self.tick(inputs.len());
        let objects = self.ground.client.objects();
        let of = wire::object_type(object_type);
        objects.batch_update(of, &inputs).await
    }

    /// Closes what is done, and lets each go on.
    async fn close(
        &self,
        telling: &mut Telling<'_>,
        closing: Vec<(Write, Entry, LoggedActivity)>,
    ) -> Result<(), Stop> {
        let done: Vec<ActivityDone> = closing
            .iter()
            .filter_map(|(write, entry, logged)| {
                let timeline = telling.timelines.get(write.of)?;
                Some(timeline.done_with(&write.pending, entry.id, *logged))
            })
            .collect();
        let closed = self.deps.store.close_activities(&done).await?;
        for ((write, entry, logged), closed) in closing.into_iter().zip(closed) {
            let Write { of, pending, .. } = write;
            if closed {
                let logged = Some(logged);
                self.place(telling, of, PendingActivity { logged, ..pending });
            } else {
                // Somebody took it for theirs, who now makes another.
                let doubt = Doubt { of, pending, entry };
                self.leave_in_doubt(telling, doubt, DOUBT).await?;
            }
        }
        Ok(())
    }
}

impl Doubt {
    /// The type that is looked through for what was made, and the record that was edited instead.
    pub(super) fn about(&self) -> Option<(ObjectType, Option<HubSpotObjectId>)> {
        let EntryState::Open { sent_at: Some(_) } = self.entry.state else {
            return None;
        };
        match self.entry.operation {
            Operation::Create(of) => Some((of, None)),
            Operation::Update(of, record) => Some((of, Some(record))),
            _ => None,
        }
    }
}
