//! What became of a write about an activity that somebody began.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType,
    activities::recognise,
    app::RecordVersion,
    export::{
        RecordRead, WaitReason,
        journal::{Entry, EntryState, Operation},
    },
};
use hubspot::{
    engagements,
    objects::{ReadOptions, RecordKey},
};
use store::{LoggedActivity, PendingActivity};

use super::{OLDEST, Timeline};
use crate::export::{FIRST_LOOK, run::DOUBT, stop::Stop, wire};

/// Engagements that are read at once.
const LOOKED_AT: usize = 100;

impl Timeline<'_> {
    /// Finds out what became of writes about an activity that somebody began. What the portal has of it,
    /// where that is another answer now.
    pub(super) async fn take_over(
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
                    read.filter(|read| recognise::is_done(&entry.written, read))
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

    /// Which version an entry wrote: the newest, or it is not known which, as not all of it is kept; then the
    /// newest is written over it.
    pub(in crate::export) fn version_of(
        &self,
        pending: &PendingActivity,
        entry: &Entry,
    ) -> RecordVersion {
        let newest = pending.activity.as_ref().and_then(|activity| {
            let happened = activity.happened.as_ref()?;
            let made = match entry.operation {
                Operation::Update(..) => self.edited(happened),
                _ => self.mapped(happened),
            };
            let written = recognise::written(&made);
            (written == entry.written && recognise::is_whole(&written)).then_some(activity.version)
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

    pub(super) async fn by_key(
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
            // The portal does not search by it: there is nothing more to ask.
            Err(hubspot::Error::Invalid { .. }) => Ok(Vec::new()),
            Err(hubspot::Error::Unanswered) => Err(Stop::Waits(WaitReason::OutcomeUnknown, DOUBT)),
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
            // One that cannot be read may be the very one.
            if !read.unanswered.is_empty() || read.found.iter().any(Result::is_err) {
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
        let asked = entry.properties();
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
