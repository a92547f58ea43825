//! A person's timeline (E8): each activity becomes one engagement, in the order in which they happened.
//!
//! Exactly once (X1, X2): an entry of the journal is committed before each write. What became of one that
//! was left open is found by our key, where the portal allows a unique property; else among the contact's
//! engagements, by time and words, and at last by search. Only when a create had time to land and nothing
//! was found is it sent again.

mod takeover;
mod whom;
mod write;

pub(super) use write::entry;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType,
    activities::{Activity, Engagement, Happened, LogFacts, LogStep, Mapping, engagement, next},
    app::RecordVersion,
    export::{FailReason, RequestOutcome, SkipReason, WaitReason},
};
use hubspot::{Client, ErrorClass};
use store::{ActivityTurn, LoggedActivity, PendingActivity, RequestsEnd, WriterHold};
use temporalio_sdk::activities::ActivityError;

use super::{
    ATTEMPTS, ContactExporting, FIRST_LOOK, LONGEST, SHORT, WRITER_BUSY, ground::Ground, newer,
    stop::Stop, wait_after, wire,
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
/// The version of what was found and not written by this look: the newest is written over it.
const OLDEST: RecordVersion = RecordVersion::MIN;

/// One person's timeline.
pub(super) struct Timeline<'a> {
    deps: &'a Deps,
    ground: &'a Ground,
    pub(super) hold: &'a WriterHold,
    done: &'a AtomicU64,
    pub(super) contact: HubSpotObjectId,
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
        let began = Instant::now();
        let mut newest: Option<Ground> = None;
        loop {
            let on = newest.as_ref().unwrap_or(ground);
            let timeline = Timeline::new(&self.deps, on, hold, done, contact);
            match self.log_on(timeline, attempt, began).await? {
                None => return Ok(()),
                Some(newer) => newest = Some(newer),
            }
        }
    }

    /// Logs what is pending until nothing is, or its time is over. The newer ground that what is pending by
    /// now stands on, if any.
    async fn log_on(
        &self,
        mut timeline: Timeline<'_>,
        attempt: u32,
        began: Instant,
    ) -> Result<Option<Ground>, ActivityError> {
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let store = &self.deps.store;
        let (ground, hold) = (timeline.ground, timeline.hold);
        let (workspace, portal) = (ground.workspace, ground.portal);
        loop {
            let pending = store
                .pending_activities(workspace, portal, &hold.person, MOST)
                .await
                .map_err(of_store)?;
            if pending.is_empty() {
                return Ok(None);
            }
            if let Some(newer) = newer(ground, &self.deps).await? {
                return Ok(Some(newer));
            }
            for activity in &pending {
                if began.elapsed() > WITHIN {
                    return Ok(None);
                }
                let logged = match timeline.log(activity).await {
                    Ok(ended) => Ok(ended),
                    Err(stop) => self.not_logged(ground, activity, stop, attempt).await?,
                };
                match logged {
                    Ok(ended) => {
                        let turn = ActivityTurn::of(activity, ended.outcome, ended.end);
                        store
                            .turn_activities(workspace, portal, &[turn])
                            .await
                            .map_err(of_store)?;
                    }
                    // Whatever it is, it is the same for those that follow.
                    Err(Halt) => return Ok(None),
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
            Stop::HubSpot(hubspot::Error::PortalRule { problems, .. }) => Ok(Ok(Ended {
                outcome: RequestOutcome::Skipped {
                    reason: SkipReason::PortalRule,
                },
                end: RequestsEnd {
                    error_code: Some(SkipReason::PortalRule.code()),
                    properties: wire::names_of(&problems),
                },
            })),
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
                        let wait = asked.unwrap_or_else(|| wait_after(SHORT, activity.attempts));
                        let wait = wait.clamp(SHORT, LONGEST);
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

/// What is next about an activity by what the portal is known to have of it, once the person is exported.
pub(super) fn step(
    ground: &Ground,
    activity: &Activity,
    logged: Option<LoggedActivity>,
) -> LogStep {
    let settings = &ground.known.settings.activities;
    next(&LogFacts {
        settings_saved: ground.known.settings_saved,
        exported: true,
        logs: activity.kind.is_none_or(|kind| settings.logs(kind)),
        archive_deleted: settings.archive_deleted,
        version: activity.version,
        deleted: activity.happened.is_none(),
        logged: logged.map(|l| (l.record, l.version, l.associated)),
    })
}

impl<'a> Timeline<'a> {
    pub(super) const fn new(
        deps: &'a Deps,
        ground: &'a Ground,
        hold: &'a WriterHold,
        done: &'a AtomicU64,
        contact: HubSpotObjectId,
    ) -> Self {
        Self {
            deps,
            ground,
            hold,
            done,
            contact,
            company: None,
            deals: None,
            rejected: BTreeSet::new(),
        }
    }

    /// Of a contact whose company is known.
    pub(super) const fn knows_company(&mut self, company: Option<HubSpotObjectId>) {
        self.company = Some(company);
    }
}

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
        loop {
            match (step(self.ground, activity, logged), &activity.happened) {
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
                            .activities_associated(
                                self.ground.workspace,
                                self.ground.portal,
                                std::slice::from_ref(&pending.id),
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

    pub(super) fn mapped(&self, happened: &Happened) -> Engagement {
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
    pub(super) async fn key(&self, object_type: ObjectType) -> Result<Option<String>, Stop> {
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
    pub(super) fn key_value(&self, pending: &PendingActivity) -> String {
        format!("{}/{}", self.ground.workspace, pending.id)
    }
}
