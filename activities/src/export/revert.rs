//! Reverts of overwrites (E10): one by one, each by a fresh read of its record.

use chrono::{TimeDelta, Utc};
use domain::{
    ObjectType,
    export::{
        WaitReason,
        journal::{Cause, Entry, EntryId, Operation},
        revert::{NoRevert, Revert, revert},
    },
};
use hubspot::objects::{ReadOptions, RecordKey};
use store::{RevertEnd, RevertRow};
use uuid::Uuid;

use super::{run::Exporting, stop::Stop, wire};

/// When a revert that could not be carried out is looked at again.
const AGAIN: TimeDelta = TimeDelta::seconds(60);

impl Exporting<'_> {
    /// Carries out all reverts that are pending about the person. Says how many ended.
    pub(super) async fn reverts(&mut self) -> Result<u32, Stop> {
        let (store, workspace) = (self.deps.store.clone(), self.ground.workspace);
        let mut ended = 0;
        for row in store.pending_reverts(workspace, &self.hold.person).await? {
            match self.revert_after_others(&row).await {
                Ok(end) => {
                    store
                        .finish_revert(workspace, row.id, end, Utc::now())
                        .await?;
                    ended += 1;
                }
                Err(
                    stop @ (Stop::Store(_)
                    | Stop::Lost
                    | Stop::Waits(WaitReason::OutcomeUnknown, _)),
                ) => return Err(stop),
                Err(stop) if stop.passes_soon() => return Err(stop),
                Err(stop) => {
                    tracing::info!(stop = stop.name(), "a revert is put off");
                    let again = self.facts.now + AGAIN;
                    store.put_off_revert(workspace, row.id, again).await?;
                }
            }
        }
        Ok(ended)
    }

    /// What somebody left open about the person comes first, an attempt at this revert too.
    async fn revert_after_others(&mut self, row: &RevertRow) -> Result<RevertEnd, Stop> {
        let (workspace, portal) = (self.ground.workspace, self.ground.portal);
        let store = self.deps.store.clone();
        for entry in store
            .open_entries(workspace, portal, &self.hold.person)
            .await?
        {
            self.take_over(&entry).await?;
        }
        self.revert(row).await
    }

    async fn revert(&mut self, row: &RevertRow) -> Result<RevertEnd, Stop> {
        let refused = |why: NoRevert| Ok(RevertEnd::Refused(why.code()));
        let store = &self.deps.store;
        let workspace = self.ground.workspace;
        let Some(found) = store.journal_entry(workspace, row.entry).await? else {
            return refused(NoRevert::NotDone);
        };
        if found.portal != self.ground.portal {
            return refused(NoRevert::NotRead);
        }
        let entry = found.entry;
        let (of, record) = match record_of(&entry) {
            Ok(of) => of,
            Err(why) => return refused(why),
        };
        let names = vec![row.property.clone()];
        let (kind, id) = (wire::object_type(of), wire::record_id(record));
        let options = ReadOptions::new().properties(&names);
        self.tick();
        let objects = self.ground.client.objects();
        let Some(object) = objects.find(kind, &RecordKey::Id(id), &options).await? else {
            return refused(NoRevert::NotRead);
        };
        let read = wire::record_read(wire::object_id(object.id)?, &names, &object);
        let emptied = self.emptied_for(&entry, &row.property).await?;
        let definitions = self.ground.properties(of);
        let made = match revert(&entry, &row.property, &read, definitions, emptied) {
            Ok(made) => made,
            // An attempt before this one did it, and nobody heard of it.
            Err(NoRevert::BackAlready) if self.has_reverted(&entry, &row.property).await? => {
                return Ok(RevertEnd::Done);
            }
            Err(why) => return refused(why),
        };
        let values = |text: &str| [(row.property.clone(), text.to_owned())].into();
        if made.write.empties_first() {
            let emptying = made.emptying(EntryId::new(Uuid::now_v7()), &entry, self.facts.now);
            self.commit(&emptying, None).await?;
            self.tick();
            match objects.update(kind, id, &values("")).await {
                Ok(answer) => {
                    self.close_done(emptying.id, record, Some((of, &answer)), None)
                        .await?;
                }
                Err(error) => return self.not_reverted(emptying.id, of, error).await,
            }
        }
        let committed = made.entry(EntryId::new(Uuid::now_v7()), &entry, self.facts.now);
        self.commit(&committed, None).await?;
        self.tick();
        match objects
            .update(kind, id, &values(made.write.sent().as_str()))
            .await
        {
            Ok(answer) => {
                self.close_done(committed.id, record, Some((of, &answer)), None)
                    .await?;
                Ok(RevertEnd::Done)
            }
            Err(error) => {
                let end = self.not_reverted(committed.id, of, error).await?;
                if emptied || made.write.empties_first() {
                    self.put_back(&made, &entry).await?;
                }
                Ok(end)
            }
        }
    }

    /// The property was emptied, and HubSpot does not take the old value: it gets back what it had before.
    async fn put_back(&mut self, made: &Revert, reverted: &Entry) -> Result<(), Stop> {
        let back = made.putting_back(EntryId::new(Uuid::now_v7()), reverted, self.facts.now);
        let Operation::Update(of, record) = back.operation else {
            return Ok(());
        };
        self.commit(&back, None).await?;
        self.tick();
        let values = [(made.property.clone(), made.now.as_str().to_owned())];
        let (kind, id) = (wire::object_type(of), wire::record_id(record));
        let objects = self.ground.client.objects();
        match objects.update(kind, id, &values.into()).await {
            Ok(answer) => {
                self.close_done(back.id, record, Some((of, &answer)), None)
                    .await
            }
            Err(error) => self.not_written(back.id, error, of, &[], false).await,
        }
    }

    /// Whether the last write for the revert of this entry emptied the property.
    async fn emptied_for(&self, entry: &Entry, property: &str) -> Result<bool, Stop> {
        let about = self.entries(&entry.subject).await?;
        let last = about.iter().rfind(|e| {
            e.is_done()
                && e.cause == Cause::Revert(entry.id)
                && e.written.iter().any(|w| w.property == property)
        });
        Ok(last.is_some_and(|e| matches!(e.operation, Operation::Empty(..))))
    }

    /// What becomes of a revert whose write was not answered with success.
    async fn not_reverted(
        &mut self,
        entry: EntryId,
        of: ObjectType,
        error: hubspot::Error,
    ) -> Result<RevertEnd, Stop> {
        let code = crate::failure::code_of(&error);
        let refusal = matches!(
            error,
            hubspot::Error::Invalid { .. }
                | hubspot::Error::PortalRule { .. }
                | hubspot::Error::NotFound
                | hubspot::Error::Conflict { .. }
                | hubspot::Error::ScopeMissing { .. }
                | hubspot::Error::Forbidden { .. }
        );
        if refusal {
            let (store, workspace) = (&self.deps.store, self.ground.workspace);
            store.refuse_entry(workspace, entry, code).await?;
            return Ok(RevertEnd::Refused(code));
        }
        self.not_written(entry, error, of, &[], false).await?;
        Err(Stop::Waits(WaitReason::TriedAgainLater, super::FIRST_LOOK))
    }

    /// Whether the journal says that a property of an entry was reverted.
    async fn has_reverted(&self, entry: &Entry, property: &str) -> Result<bool, Stop> {
        let about = self.entries(&entry.subject).await?;
        Ok(about.iter().any(|later| {
            later.is_done()
                && later.cause == Cause::Revert(entry.id)
                && !matches!(later.operation, Operation::Empty(..))
                && later.written.iter().any(|w| w.property == property)
        }))
    }
}

fn record_of(entry: &Entry) -> Result<(ObjectType, domain::HubSpotObjectId), NoRevert> {
    use domain::export::journal::EntryState;
    let EntryState::Done { record, .. } = entry.state else {
        return Err(NoRevert::NotDone);
    };
    match entry.operation {
        Operation::Create(of) | Operation::Update(of, _) => Ok((of, record)),
        Operation::Empty(..) | Operation::Associate { .. } | Operation::Archive(..) => {
            Err(NoRevert::NotWritten)
        }
    }
}
