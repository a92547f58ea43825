//! A person's timeline (E8): each activity becomes one engagement, in the order in which they happened.
//!
//! Exactly once (X1, X2): an entry of the journal is committed before each write. What became of one that
//! was left open is found by our key, where the portal allows a unique property; else among the contact's
//! engagements, by time and words, and at last by search. Only when a create had time to land and nothing
//! was found is it sent again.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType,
    activities::{Engagement, Happened, LogFacts, LogStep, Mapping, engagement, next, recognise},
    dnc::DealStatus,
    export::{
        FailReason, RecordRead, RequestOutcome, WaitReason,
        journal::{Cause, Entry, EntryId, EntryState, Operation, Subject},
    },
};
use hubspot::{
    Client, ErrorClass, InputOutcome,
    associations::{AssociationSpec, Pair, TypedPair},
    engagements,
    objects::{CreateInput, ReadOptions, RecordKey},
};
use store::{
    ActivityDone, LoggedActivity, Opened, PendingActivity, PortalKey, RequestsEnd, WriterHold,
};
use temporalio_sdk::activities::ActivityError;
use uuid::Uuid;

use super::{
    ATTEMPTS, ContactExporting, FIRST_LOOK, LONGEST, SHORT, WRITER_BUSY, ground::Ground,
    run::DOUBT, stop::Stop, wire,
};
use crate::{
    Deps, failure,
    portal_keys::{PortalKeyError, engagement_key},
    revoked,
};

/// Activities that are looked at together.
const MOST: u32 = 100;
/// How long one look writes: well within the activity's time. What is left is due, and started anew.
const WITHIN: Duration = Duration::from_secs(120);
/// Times that one activity is sent without what HubSpot refused of it.
const SENDS: usize = 4;

/// One person's timeline.
struct Timeline<'a> {
    deps: &'a Deps,
    ground: &'a Ground,
    hold: &'a WriterHold,
    done: &'a AtomicU64,
    contact: HubSpotObjectId,
    /// The contact's company; asked for when it is needed first.
    company: Option<Option<HubSpotObjectId>>,
    /// The open deals on both, where they are wanted.
    deals: Option<Vec<HubSpotObjectId>>,
    /// Properties of the activity in hand whose values HubSpot refused: the rest is written.
    rejected: BTreeSet<String>,
}

/// How an activity ends.
struct Ended {
    outcome: RequestOutcome,
    end: RequestsEnd,
}

impl ContactExporting {
    /// Writes what is to be written of the person's activities.
    pub(super) async fn log_held(
        &self,
        ground: &Ground,
        hold: &WriterHold,
        attempt: u32,
        done: &AtomicU64,
    ) -> Result<(), ActivityError> {
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let store = &self.deps.store;
        let (workspace, portal) = (ground.workspace, ground.portal);
        let contact = store
            .exported_contact(workspace, portal, &hold.person)
            .await
            .map_err(of_store)?;
        let Some(contact) = contact.filter(|_| ground.known.settings_saved) else {
            return store
                .park_activities_of(workspace, portal, &hold.person)
                .await
                .map_err(of_store);
        };
        let mut timeline = Timeline {
            deps: &self.deps,
            ground,
            hold,
            done,
            contact,
            company: None,
            deals: None,
            rejected: BTreeSet::new(),
        };
        let began = Instant::now();
        loop {
            let pending = store
                .pending_activities(workspace, portal, &hold.person, MOST)
                .await
                .map_err(of_store)?;
            if pending.is_empty() {
                return Ok(());
            }
            for activity in &pending {
                if began.elapsed() > WITHIN {
                    return Ok(());
                }
                let logged = match timeline.log(activity).await {
                    Ok(ended) => Ok(ended),
                    Err(stop) => self.not_logged(ground, activity, stop, attempt).await?,
                };
                match logged {
                    Ok(ended) => store
                        .turn_activity(workspace, portal, activity, ended.outcome, &ended.end)
                        .await
                        .map_err(of_store)?,
                    // Whatever it is, it is the same for those that follow.
                    Err(Halt) => return Ok(()),
                }
            }
        }
    }

    /// What becomes of an activity that could not be written, and whether the others are gone on with.
    async fn not_logged(
        &self,
        ground: &Ground,
        activity: &PendingActivity,
        stop: Stop,
        attempt: u32,
    ) -> Result<Result<Ended, Halt>, ActivityError> {
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let park = async |reason, wait, code| {
            self.deps
                .store
                .park_activity(
                    ground.workspace,
                    ground.portal,
                    activity,
                    reason,
                    wait,
                    code,
                )
                .await
                .map_err(of_store)
        };
        let failed = |reason: FailReason, code, properties| {
            Ok(Ok(Ended {
                outcome: RequestOutcome::Failed { reason },
                end: RequestsEnd {
                    error_code: Some(code),
                    properties,
                },
            }))
        };
        let name = stop.name();
        tracing::debug!(workspace = %ground.workspace, stop = name, "an activity was not written");
        match stop {
            Stop::Store(error) => Err(failure::of_store(&error)),
            Stop::Lost | Stop::Redefined => Err(failure::busy(WRITER_BUSY)),
            Stop::Fenced => {
                park(WaitReason::NotConnected, None, None).await?;
                Ok(Err(Halt))
            }
            Stop::Waits(reason, wait) => {
                park(reason, Some(wait), None).await?;
                // The next attempt waits for it, so that they stay in their order.
                if wait <= SHORT && attempt < ATTEMPTS {
                    return Err(failure::waits(reason.as_str(), wait));
                }
                Ok(Err(Halt))
            }
            Stop::Skips(skip) => Ok(Ok(Ended {
                outcome: RequestOutcome::Skipped {
                    reason: skip.reason,
                },
                end: RequestsEnd {
                    error_code: Some(skip.reason.code()),
                    properties: skip.properties,
                },
            })),
            Stop::Fails(reason, properties) => failed(reason, reason.code(), properties),
            Stop::HubSpot(error) => {
                let code = failure::code_of(&error);
                match error.class() {
                    ErrorClass::AuthRevoked => {
                        park(WaitReason::NeedsReconnect, None, Some(code)).await?;
                        revoked::tell(&self.deps, ground.workspace, ground.epoch).await?;
                        Ok(Err(Halt))
                    }
                    ErrorClass::ScopeMissing | ErrorClass::Forbidden => {
                        failed(FailReason::ScopeMissing, code, Vec::new())
                    }
                    ErrorClass::Conflict => failed(FailReason::Conflict, code, Vec::new()),
                    ErrorClass::NotFound => failed(FailReason::RecordGone, code, Vec::new()),
                    ErrorClass::Invalid | ErrorClass::PortalRule | ErrorClass::PagingStuck => {
                        failed(FailReason::Invalid, code, Vec::new())
                    }
                    ErrorClass::OutcomeUnknown => {
                        park(WaitReason::OutcomeUnknown, Some(FIRST_LOOK), Some(code)).await?;
                        Err(failure::waits("outcome_unknown", FIRST_LOOK))
                    }
                    ErrorClass::Transient
                    | ErrorClass::RateLimited
                    | ErrorClass::Refused
                    | ErrorClass::Misconfigured => {
                        let asked = error.retry_after();
                        if attempt < ATTEMPTS && asked.is_none_or(|wait| wait <= SHORT) {
                            return Err(failure::of_hubspot(&error));
                        }
                        let wait = SHORT * 2u32.saturating_pow(activity.attempts.min(10));
                        let wait = asked.unwrap_or(wait).max(SHORT).min(LONGEST);
                        park(WaitReason::TriedAgainLater, Some(wait), Some(code)).await?;
                        Ok(Err(Halt))
                    }
                }
            }
        }
    }
}

/// Nothing more is written now.
struct Halt;

impl Timeline<'_> {
    fn tick(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.deps.pulse.progress();
    }

    fn client(&self) -> &Client {
        &self.ground.client
    }

    async fn now(&self) -> Result<DateTime<Utc>, Stop> {
        Ok(self.deps.store.clock().await?)
    }

    /// Brings HubSpot up to what the app says of an activity.
    async fn log(&mut self, pending: &PendingActivity) -> Result<Ended, Stop> {
        self.rejected.clear();
        let mut logged = pending.logged;
        if let Some(found) = self.take_over(pending).await? {
            logged = found;
        }
        let Some(activity) = &pending.activity else {
            return Err(Stop::Fails(FailReason::Defect, Vec::new()));
        };
        let settings = &self.ground.known.settings.activities;
        loop {
            let facts = LogFacts {
                settings_saved: self.ground.known.settings_saved,
                exported: true,
                logs: activity.kind.is_none_or(|kind| settings.logs(kind)),
                archive_deleted: settings.archive_deleted,
                version: activity.version,
                deleted: activity.happened.is_none(),
                logged: logged.map(|l| (l.record, l.version, l.associated)),
            };
            match (next(&facts), &activity.happened) {
                (LogStep::Wait(reason), _) => return Err(Stop::Waits(reason, LONGEST)),
                (LogStep::Skip(reason), _) => return Err(Stop::Skips(reason.into())),
                (LogStep::Done(record), _) => {
                    let properties: Vec<String> = self.rejected.iter().cloned().collect();
                    return Ok(Ended {
                        outcome: RequestOutcome::Exported { hubspot_id: record },
                        end: RequestsEnd {
                            error_code: (!properties.is_empty()).then_some("HS-3005"),
                            properties,
                        },
                    });
                }
                (LogStep::Verify(record), _) => {
                    if let Some(known) = &mut logged {
                        self.associate(known.object_type, record).await?;
                        self.deps
                            .store
                            .activity_associated(
                                self.ground.workspace,
                                self.ground.portal,
                                &pending.id,
                            )
                            .await?;
                        known.associated = true;
                    }
                }
                (LogStep::Archive(record), _) => {
                    if let Some(known) = logged.take() {
                        self.archive(pending, known.object_type, record).await?;
                    }
                }
                (LogStep::Create, Some(happened)) => {
                    let made = self.create(pending, activity.version, happened).await?;
                    logged = Some(made);
                }
                (LogStep::Update(record), Some(happened)) => {
                    let made = self
                        .update(pending, activity.version, happened, record)
                        .await?;
                    logged = Some(made);
                }
                (LogStep::Create | LogStep::Update(_), None) => {
                    return Err(Stop::Fails(FailReason::Defect, Vec::new()));
                }
            }
        }
    }

    fn mapped(&self, happened: &Happened) -> Engagement {
        let settings = &self.ground.known.settings;
        let owner = self
            .ground
            .owners()
            .owner_for_member(happened.member.as_ref());
        engagement(
            happened,
            &Mapping {
                activities: &settings.activities,
                rows: &settings.activity_properties,
                properties: None,
                owner: owner.owner(),
            },
        )
    }

    /// The unique property of ours, where the portal allows one on this type.
    async fn key(&self, object_type: ObjectType) -> Result<Option<String>, Stop> {
        let now = self.now().await?;
        engagement_key(
            &self.deps.store,
            self.client(),
            self.ground.portal,
            object_type,
            now,
        )
        .await
        .map_err(|error| match error {
            PortalKeyError::HubSpot(error) => error.into(),
            PortalKeyError::Store(error) => error.into(),
        })
    }

    /// What stands in the unique property: no other activity of the portal has it.
    fn key_value(&self, pending: &PendingActivity) -> String {
        format!("{}/{}", self.ground.workspace, pending.id)
    }

    // ---- writing -------------------------------------------------------------------------------

    async fn open(
        &self,
        pending: &PendingActivity,
        operation: Operation,
        written: Vec<domain::export::journal::Written>,
    ) -> Result<EntryId, Stop> {
        let entry = Entry {
            id: EntryId::new(Uuid::now_v7()),
            subject: Subject::Activity(pending.id.clone()),
            cause: Cause::Request(domain::export::RequestKind::Activity),
            operation,
            written,
            opened_at: self.now().await?,
            state: EntryState::Open { sent_at: None },
        };
        let opened = self
            .deps
            .store
            .open_entry(
                self.hold,
                self.ground.portal,
                self.ground.epoch,
                &entry,
                None,
            )
            .await?;
        self.tick();
        match opened {
            Opened::Open => Ok(entry.id),
            Opened::Fenced => Err(Stop::Fenced),
            Opened::Lost => Err(Stop::Lost),
        }
    }

    async fn close(
        &self,
        pending: &PendingActivity,
        entry: EntryId,
        logged: LoggedActivity,
    ) -> Result<bool, Stop> {
        let done = ActivityDone {
            workspace: self.ground.workspace,
            portal: self.ground.portal,
            person: self.hold.person.clone(),
            activity: pending.id.clone(),
            entry,
            logged,
        };
        Ok(self.deps.store.close_activity(&done).await?)
    }

    /// Makes the engagement, with its associations.
    async fn create(
        &mut self,
        pending: &PendingActivity,
        version: domain::app::RecordVersion,
        happened: &Happened,
    ) -> Result<LoggedActivity, Stop> {
        let mut made = self.mapped(happened);
        let object_type = made.object_type;
        let mut key = self.key(object_type).await?;
        let mut looked = false;
        for _ in 0..SENDS {
            let to = self.associated_with(object_type).await?;
            let entry = self
                .open(
                    pending,
                    Operation::Create(object_type),
                    recognise::written(&made),
                )
                .await?;
            let values = made.properties.iter();
            let mut input =
                CreateInput::new(values.map(|(name, value)| (name.as_str(), value.as_str())));
            if let Some(key) = &key {
                input = input.with(key, self.key_value(pending));
            }
            for (record, spec) in &to {
                input = input.associated(wire::record_id(*record), vec![*spec]);
            }
            let answer = self
                .client()
                .objects()
                .create(wire::object_type(object_type), &input)
                .await;
            let error = match answer {
                Ok(object) => {
                    let logged = LoggedActivity {
                        object_type,
                        record: wire::object_id(object.id)?,
                        version,
                        associated: false,
                    };
                    if !self.close(pending, entry, logged).await? {
                        // Somebody took it for theirs, who now makes another.
                        return Err(Stop::Waits(WaitReason::OutcomeUnknown, DOUBT));
                    }
                    return Ok(logged);
                }
                Err(error) => error,
            };
            match error {
                hubspot::Error::Conflict { .. } if key.is_some() => {
                    // It was made already.
                    let known = self.by_key(object_type, pending).await?;
                    let Some(record) = known else {
                        self.refuse(entry, &error).await?;
                        return Err(error.into());
                    };
                    let logged = LoggedActivity {
                        object_type,
                        record,
                        version: OLDEST,
                        associated: false,
                    };
                    self.close(pending, entry, logged).await?;
                    return Ok(logged);
                }
                error => {
                    let names = self.not_written(entry, error.clone()).await?;
                    if let Some(gone) = key.take_if(|key| names.contains(key)) {
                        // Somebody took our property away.
                        tracing::warn!(portal = %self.ground.portal, %object_type, property = gone, "a unique property is gone");
                        self.deps
                            .store
                            .write_portal_key(
                                self.ground.portal,
                                object_type,
                                &PortalKey::Refused,
                                self.now().await?,
                            )
                            .await?;
                        continue;
                    }
                    // The contact or the company may be gone, or another by now.
                    if !self.reject(&mut made, names) {
                        if looked || !self.look_at_contact().await? {
                            return Err(error.into());
                        }
                        looked = true;
                    }
                }
            }
        }
        let rejected = self.rejected.iter().cloned().collect();
        Err(Stop::Fails(FailReason::Invalid, rejected))
    }

    /// Leaves out what HubSpot refuses; whether that is anything of what was sent. Without its time there is
    /// no engagement.
    fn reject(&mut self, made: &mut Engagement, names: Vec<String>) -> bool {
        let before = made.properties.len();
        for name in names {
            if name != engagements::TIMESTAMP && made.properties.remove(&name).is_some() {
                self.rejected.insert(name);
            }
        }
        made.properties.len() < before
    }

    /// Writes an engagement anew: all but whose it is, which a rep may have changed.
    async fn update(
        &mut self,
        pending: &PendingActivity,
        version: domain::app::RecordVersion,
        happened: &Happened,
        record: HubSpotObjectId,
    ) -> Result<LoggedActivity, Stop> {
        let mut made = self.mapped(happened);
        let object_type = made.object_type;
        made.properties.remove(engagements::OWNER);
        for _ in 0..SENDS {
            let operation = Operation::Update(object_type, record);
            let entry = self
                .open(pending, operation, recognise::written(&made))
                .await?;
            let answer = self
                .client()
                .objects()
                .update(
                    wire::object_type(object_type),
                    wire::record_id(record),
                    &made.properties,
                )
                .await;
            match answer {
                Ok(_) => {
                    let logged = LoggedActivity {
                        object_type,
                        record,
                        version,
                        associated: true,
                    };
                    self.close(pending, entry, logged).await?;
                    return Ok(logged);
                }
                Err(error) => {
                    let names = self.not_written(entry, error.clone()).await?;
                    if !self.reject(&mut made, names) {
                        return Err(error.into());
                    }
                }
            }
        }
        Err(Stop::Fails(FailReason::Invalid, Vec::new()))
    }

    async fn archive(
        &self,
        pending: &PendingActivity,
        object_type: ObjectType,
        record: HubSpotObjectId,
    ) -> Result<(), Stop> {
        let operation = Operation::Archive(object_type, record);
        let entry = self.open(pending, operation, Vec::new()).await?;
        let archived = self
            .client()
            .objects()
            .archive(wire::object_type(object_type), wire::record_id(record))
            .await;
        match archived {
            Ok(()) | Err(hubspot::Error::NotFound) => {
                self.deps
                    .store
                    .close_archived_activity(
                        self.ground.workspace,
                        self.ground.portal,
                        &pending.id,
                        entry,
                    )
                    .await?;
                Ok(())
            }
            Err(error) => {
                self.not_written(entry, error.clone()).await?;
                Err(error.into())
            }
        }
    }

    /// What becomes of an entry whose write was not answered with success: only of one that may have landed
    /// it stays open. The properties that HubSpot names.
    async fn not_written(
        &self,
        entry: EntryId,
        error: hubspot::Error,
    ) -> Result<Vec<String>, Stop> {
        match error.class() {
            ErrorClass::OutcomeUnknown => Err(Stop::Waits(WaitReason::OutcomeUnknown, FIRST_LOOK)),
            ErrorClass::Transient
            | ErrorClass::RateLimited
            | ErrorClass::AuthRevoked
            | ErrorClass::Refused
            | ErrorClass::Misconfigured => {
                self.deps
                    .store
                    .drop_entry(self.ground.workspace, entry)
                    .await?;
                Err(error.into())
            }
            _ => {
                self.refuse(entry, &error).await?;
                Ok(match &error {
                    hubspot::Error::Invalid { problems, .. }
                    | hubspot::Error::PortalRule { problems, .. } => wire::names_of(problems),
                    _ => Vec::new(),
                })
            }
        }
    }

    async fn refuse(&self, entry: EntryId, error: &hubspot::Error) -> Result<(), Stop> {
        self.deps
            .store
            .refuse_entry(self.ground.workspace, entry, failure::code_of(error))
            .await?;
        Ok(())
    }

    // ---- whom it is on -------------------------------------------------------------------------

    /// Reads the contact by its id, which leads along merges; whether it is another one by now.
    async fn look_at_contact(&mut self) -> Result<bool, Stop> {
        self.tick();
        let read = self
            .client()
            .objects()
            .get(
                hubspot::ObjectType::Contact,
                wire::record_id(self.contact),
                &["email"],
            )
            .await;
        let before = (self.contact, self.company.take());
        match read {
            Ok(object) => self.contact = wire::object_id(object.id)?,
            Err(hubspot::Error::NotFound) => {
                return Err(Stop::Fails(FailReason::RecordGone, Vec::new()));
            }
            Err(error) => return Err(error.into()),
        }
        let company = self.company().await?;
        Ok(before != (self.contact, Some(company)))
    }

    /// The contact's company: the primary one, else the first.
    async fn company(&mut self) -> Result<Option<HubSpotObjectId>, Stop> {
        if let Some(known) = self.company {
            return Ok(known);
        }
        self.tick();
        let all = match wire::all_companies(self.client(), self.contact).await {
            Ok(all) => all,
            Err(Stop::HubSpot(hubspot::Error::NotFound)) => Vec::new(),
            Err(stop) => return Err(stop),
        };
        let first = all.iter().map(|c| c.company).min();
        let company = all.iter().find(|c| c.primary).map(|c| c.company).or(first);
        self.company = Some(company);
        Ok(company)
    }

    /// The open deals on contact and company, as the mirror has them.
    async fn deals(&mut self) -> Result<Vec<HubSpotObjectId>, Stop> {
        if !self.ground.known.settings.activities.associate_open_deals {
            return Ok(Vec::new());
        }
        if let Some(known) = &self.deals {
            return Ok(known.clone());
        }
        let ground = self.ground;
        let companies: Vec<i64> = self.company().await?.iter().map(|id| id.get()).collect();
        let all = self
            .deps
            .store
            .deals_on(
                ground.workspace,
                ground.portal,
                &[self.contact.get()],
                &companies,
            )
            .await?;
        let open: Vec<HubSpotObjectId> = all
            .iter()
            .filter(|deal| deal.status == DealStatus::Open)
            .map(|deal| deal.id)
            .collect();
        self.deals = Some(open.clone());
        Ok(open)
    }

    /// The records that an engagement is associated with, and by which type.
    async fn associated_with(
        &mut self,
        object_type: ObjectType,
    ) -> Result<Vec<(HubSpotObjectId, AssociationSpec)>, Stop> {
        let mut all = vec![(self.contact, hubspot::ObjectType::Contact)];
        if let Some(company) = self.company().await? {
            all.push((company, hubspot::ObjectType::Company));
        }
        for deal in self.deals().await? {
            all.push((deal, hubspot::ObjectType::Deal));
        }
        let from = wire::object_type(object_type);
        Ok(all
            .into_iter()
            .filter_map(|(id, to)| Some((id, engagements::association(from, to)?)))
            .collect())
    }

    /// Looks whether the associations are there, as a portal may ignore those of a create, and adds those
    /// that are missing. With deals nothing is added later: they may be closed by then.
    async fn associate(
        &mut self,
        object_type: ObjectType,
        record: HubSpotObjectId,
    ) -> Result<(), Stop> {
        use hubspot::ObjectType as T;
        self.tick();
        let from = wire::object_type(object_type);
        let read = self
            .client()
            .objects()
            .read(
                from,
                wire::record_id(record),
                &ReadOptions::new().properties([engagements::TIMESTAMP]),
                &[T::Contact, T::Company],
            )
            .await;
        let object = match read {
            Ok(object) => object,
            // Somebody removed it right away.
            Err(hubspot::Error::NotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let is_with = |to: T, id: HubSpotObjectId| {
            object.more_associations.contains(&to)
                || object
                    .associations
                    .iter()
                    .any(|a| a.to_type == to && a.to == wire::record_id(id))
        };
        let company = self.company().await?;
        let wanted = [(T::Contact, Some(self.contact)), (T::Company, company)];
        for (to, id) in wanted {
            let Some(id) = id.filter(|id| !is_with(to, *id)) else {
                continue;
            };
            let Some(spec) = engagements::association(from, to) else {
                continue;
            };
            self.tick();
            let pair = Pair {
                from: wire::record_id(record),
                to: wire::record_id(id),
            };
            let types = vec![spec];
            let mut written = self
                .client()
                .associations()
                .batch_create(from, to, &[TypedPair { pair, types }])
                .await;
            match (written.outcomes.pop(), written.stopped) {
                (Some(InputOutcome::Done(_)), _) => {}
                // Answered with success, and not a word about it: that is no refusal.
                (Some(InputOutcome::Refused(hubspot::Error::NotInAnswer)), _) => {
                    return Err(Stop::Waits(WaitReason::TriedAgainLater, FIRST_LOOK));
                }
                // The company may be gone by now; the contact has it all the same.
                (Some(InputOutcome::Refused(_)), _) if to == T::Company => {}
                (Some(InputOutcome::Refused(error)), _) | (_, Some(error)) => {
                    return Err(error.into());
                }
                // Twice is once.
                _ => return Err(Stop::Waits(WaitReason::TriedAgainLater, FIRST_LOOK)),
            }
        }
        Ok(())
    }

    // ---- taking over ---------------------------------------------------------------------------

    /// Finds out what became of writes about an activity that somebody began. What the portal has of it,
    /// where that is another answer now.
    async fn take_over(
        &mut self,
        pending: &PendingActivity,
    ) -> Result<Option<Option<LoggedActivity>>, Stop> {
        let (workspace, portal) = (self.ground.workspace, self.ground.portal);
        let open = self
            .deps
            .store
            .open_activity_entries(workspace, portal, &self.hold.person)
            .await?;
        let mut answer = None;
        for (_, entry) in open.iter().filter(|(id, _)| *id == pending.id) {
            let EntryState::Open {
                sent_at: Some(sent_at),
            } = entry.state
            else {
                self.deps.store.drop_entry(workspace, entry.id).await?;
                continue;
            };
            let settled = sent_at + self.deps.exports.settle;
            let now = self.now().await?;
            let had_its_time = now >= settled;
            let found = match entry.operation {
                Operation::Create(object_type) => {
                    let record = self.made(pending, object_type, entry, had_its_time).await?;
                    record.map(|record| LoggedActivity {
                        object_type,
                        record,
                        version: self.version_of(pending, entry),
                        associated: false,
                    })
                }
                Operation::Update(object_type, record) => {
                    let read = self.read_engagement(object_type, record, entry).await?;
                    read.filter(|read| recognise::is_same(&entry.written, read))
                        .map(|_| LoggedActivity {
                            object_type,
                            record,
                            version: self.version_of(pending, entry),
                            associated: true,
                        })
                }
                // Archived twice is archived.
                _ => {
                    self.deps.store.drop_entry(workspace, entry.id).await?;
                    continue;
                }
            };
            match found {
                Some(logged) => {
                    if !self.close(pending, entry.id, logged).await? {
                        // Another activity took it in between: the next look finds what is left.
                        return Err(Stop::Waits(WaitReason::OutcomeUnknown, DOUBT));
                    }
                    answer = Some(Some(logged));
                }
                None if had_its_time => {
                    self.deps.store.drop_entry(workspace, entry.id).await?;
                }
                None => {
                    let left = (settled - now).to_std().unwrap_or_default();
                    // Most of what is late lands soon.
                    let look = (now - sent_at).to_std().unwrap_or_default().max(FIRST_LOOK);
                    return Err(Stop::Waits(WaitReason::OutcomeUnknown, left.min(look)));
                }
            }
        }
        Ok(answer)
    }

    /// Which version an entry wrote: the newest, or it is not known which; then the newest is written over it.
    fn version_of(&self, pending: &PendingActivity, entry: &Entry) -> domain::app::RecordVersion {
        let newest = pending.activity.as_ref().and_then(|activity| {
            let mut made = self.mapped(activity.happened.as_ref()?);
            if matches!(entry.operation, Operation::Update(..)) {
                made.properties.remove(engagements::OWNER);
            }
            (recognise::written(&made) == entry.written).then_some(activity.version)
        });
        newest.unwrap_or(OLDEST)
    }

    /// The engagement that a create made, if it did.
    async fn made(
        &mut self,
        pending: &PendingActivity,
        object_type: ObjectType,
        entry: &Entry,
        had_its_time: bool,
    ) -> Result<Option<HubSpotObjectId>, Stop> {
        if self.key(object_type).await?.is_some() {
            let known = self.by_key(object_type, pending).await?;
            if known.is_some() {
                return Ok(known);
            }
        }
        self.look_at_contact().await?;
        let of_contact = self.engagements_of_contact(object_type).await?;
        let found = self.ours(object_type, entry, of_contact).await?;
        if found.is_some() || !had_its_time {
            return Ok(found);
        }
        // A portal may have ignored the associations. What the index does not have says nothing.
        let by_time = self.engagements_at(object_type, entry).await?;
        self.ours(object_type, entry, by_time).await
    }

    async fn by_key(
        &self,
        object_type: ObjectType,
        pending: &PendingActivity,
    ) -> Result<Option<HubSpotObjectId>, Stop> {
        let Some(key) = self.key(object_type).await? else {
            return Ok(None);
        };
        self.tick();
        let key = RecordKey::unique(key, self.key_value(pending));
        let options = ReadOptions::new().properties([engagements::TIMESTAMP]);
        let found = self
            .client()
            .objects()
            .find(wire::object_type(object_type), &key, &options)
            .await?;
        found.map(|object| wire::object_id(object.id)).transpose()
    }

    /// All engagements of a type on the contact, to the end of the pages; the newest first.
    async fn engagements_of_contact(
        &self,
        object_type: ObjectType,
    ) -> Result<Vec<HubSpotObjectId>, Stop> {
        self.tick();
        let mut all = self
            .client()
            .engagements()
            .of_contact(
                wire::record_id(self.contact),
                wire::object_type(object_type),
            )
            .await?
            .into_iter()
            .map(wire::object_id)
            .collect::<Result<Vec<_>, Stop>>()?;
        all.sort_unstable_by(|a, b| b.cmp(a));
        Ok(all)
    }

    /// Engagements that the index has of the entry's time.
    async fn engagements_at(
        &self,
        object_type: ObjectType,
        entry: &Entry,
    ) -> Result<Vec<HubSpotObjectId>, Stop> {
        let at = entry
            .written
            .iter()
            .find(|w| w.property == engagements::TIMESTAMP)
            .and_then(|w| w.new.as_ref())
            .and_then(|at| at.as_str().parse::<DateTime<Utc>>().ok());
        let Some(at) = at else {
            return Ok(Vec::new());
        };
        self.tick();
        let found = self
            .client()
            .engagements()
            .at(wire::object_type(object_type), at)
            .await;
        match found {
            Ok(all) => all.into_iter().map(wire::object_id).collect(),
            // It decides nothing anyhow.
            Err(hubspot::Error::Unanswered | hubspot::Error::Invalid { .. }) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Which of these the entry made: one that says the same and is no other activity's.
    async fn ours(
        &self,
        object_type: ObjectType,
        entry: &Entry,
        candidates: Vec<HubSpotObjectId>,
    ) -> Result<Option<HubSpotObjectId>, Stop> {
        let taken = self
            .deps
            .store
            .taken_engagements(self.ground.portal, object_type, &candidates)
            .await?;
        let free: Vec<_> = candidates
            .into_iter()
            .filter(|id| !taken.contains(id))
            .map(wire::record_id)
            .collect();
        let asked = recognise::asked(&entry.written);
        for some in free.chunks(LOOKED_AT) {
            self.tick();
            let read = self
                .client()
                .objects()
                .batch_read(
                    wire::object_type(object_type),
                    some,
                    &ReadOptions::new().properties(&asked),
                )
                .await?;
            if !read.unanswered.is_empty() {
                return Err(Stop::Waits(WaitReason::OutcomeUnknown, DOUBT));
            }
            let reads = read
                .found
                .iter()
                .filter_map(|found| found.as_ref().ok())
                .filter(|object| !object.archived)
                .map(|object| {
                    let id = wire::object_id(object.id)?;
                    Ok(wire::record_read(id, &asked, object))
                })
                .collect::<Result<Vec<RecordRead>, Stop>>()?;
            let made = recognise::made(&entry.written, &reads, &BTreeSet::new());
            if made.is_some() {
                return Ok(made);
            }
        }
        Ok(None)
    }

    async fn read_engagement(
        &self,
        object_type: ObjectType,
        record: HubSpotObjectId,
        entry: &Entry,
    ) -> Result<Option<RecordRead>, Stop> {
        self.tick();
        let asked = recognise::asked(&entry.written);
        let options = ReadOptions::new().properties(&asked);
        let key = RecordKey::Id(wire::record_id(record));
        let found = self
            .client()
            .objects()
            .find(wire::object_type(object_type), &key, &options)
            .await?;
        found
            .map(|object| {
                let id = wire::object_id(object.id)?;
                Ok(wire::record_read(id, &asked, &object))
            })
            .transpose()
    }
}

/// Engagements that are read at once.
const LOOKED_AT: usize = 100;

/// The version of what was found and not written by this look: the newest is written over it.
const OLDEST: domain::app::RecordVersion = domain::app::RecordVersion::MIN;
