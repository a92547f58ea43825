//! Writing an engagement: an entry of the journal is committed before each write.

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType,
    activities::{Engagement, Happened, recognise},
    app::RecordVersion,
    export::{
        FailReason, RequestKind, WaitReason,
        journal::{Cause, Entry, EntryId, EntryState, Operation, Subject, Written},
    },
};
use hubspot::{ErrorClass, associations::AssociationSpec, engagements, objects::CreateInput};
use store::{ActivityDone, LoggedActivity, Opened, PendingActivity, PortalKey};
use uuid::Uuid;

use super::{OLDEST, Timeline};
use crate::{
    export::{FIRST_LOOK, run::DOUBT, stop::Stop, wire},
    failure,
};

/// Times that one activity is sent without what HubSpot refused of it.
const SENDS: usize = 4;

/// An entry of the journal about an activity, to be committed before its write.
pub(in crate::export) fn entry(
    pending: &PendingActivity,
    operation: Operation,
    written: Vec<Written>,
    now: DateTime<Utc>,
) -> Entry {
    Entry {
        id: EntryId::new(Uuid::now_v7()),
        subject: Subject::Activity(pending.id.clone()),
        cause: Cause::Request(RequestKind::Activity),
        operation,
        written,
        opened_at: now,
        state: EntryState::Open { sent_at: None },
    }
}

impl Timeline<'_> {
    async fn open(
        &self,
        pending: &PendingActivity,
        operation: Operation,
        written: Vec<Written>,
    ) -> Result<EntryId, Stop> {
        let entry = entry(pending, operation, written, self.now().await?);
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
            // Planned again by what there is now: somebody else made it, or may have.
            Opened::Lost | Opened::Busy | Opened::Changed => Err(Stop::Lost),
        }
    }

    pub(super) async fn close(
        &self,
        pending: &PendingActivity,
        entry: EntryId,
        logged: LoggedActivity,
    ) -> Result<bool, Stop> {
        let done = self.done_with(pending, entry, logged);
        Ok(self.deps.store.close_activity(&done).await?)
    }

    /// What is written down of a write that is done.
    pub(in crate::export) fn done_with(
        &self,
        pending: &PendingActivity,
        entry: EntryId,
        logged: LoggedActivity,
    ) -> ActivityDone {
        ActivityDone {
            workspace: self.ground.workspace,
            portal: self.ground.portal,
            person: self.hold.person.clone(),
            activity: pending.id.clone(),
            entry,
            logged,
        }
    }

    /// What HubSpot is sent to make an engagement: with our key, where the portal takes one, and with what it
    /// is associated with.
    pub(in crate::export) fn create_input(
        &self,
        pending: &PendingActivity,
        made: &Engagement,
        key: Option<&str>,
        to: &[(HubSpotObjectId, AssociationSpec)],
    ) -> CreateInput {
        let values = made.properties.iter();
        let mut input =
            CreateInput::new(values.map(|(name, value)| (name.as_str(), value.as_str())));
        if let Some(key) = key {
            input = input.with(key, self.key_value(pending));
        }
        for (record, spec) in to {
            input = input.associated(wire::record_id(*record), vec![*spec]);
        }
        input
    }

    /// What an edit writes: all but whose it is, which a rep may have changed.
    pub(in crate::export) fn edited(&self, happened: &Happened) -> Engagement {
        let mut made = self.mapped(happened);
        made.properties.remove(engagements::OWNER);
        made
    }

    /// Makes the engagement, with its associations.
    pub(super) async fn create(
        &mut self,
        pending: &PendingActivity,
        version: RecordVersion,
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
            let input = self.create_input(pending, &made, key.as_deref(), &to);
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
                hubspot::Error::Conflict { ref property, .. }
                    if key.is_some()
                        && property.as_ref().is_none_or(|p| key.as_ref() == Some(p)) =>
                {
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
                    if self.reject(&mut made, names) {
                        continue;
                    }
                    // The contact or the company may be gone, or another by now, and so may a deal.
                    let another = !looked && self.look_at_contact().await?;
                    looked = true;
                    if !another && !self.look_at_deals().await? {
                        return Err(error.into());
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

    /// Writes an engagement anew.
    pub(super) async fn update(
        &mut self,
        pending: &PendingActivity,
        version: RecordVersion,
        happened: &Happened,
        record: HubSpotObjectId,
    ) -> Result<LoggedActivity, Stop> {
        let mut made = self.edited(happened);
        let object_type = made.object_type;
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

    pub(super) async fn archive(
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
            ErrorClass::OutcomeUnknown => {
                self.deps
                    .store
                    .sent_until_now(self.ground.workspace, entry)
                    .await?;
                Err(Stop::Waits(WaitReason::OutcomeUnknown, FIRST_LOOK))
            }
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
                    // Of a row: the value is another engagement's.
                    hubspot::Error::Conflict { property, .. } => property.iter().cloned().collect(),
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
}
