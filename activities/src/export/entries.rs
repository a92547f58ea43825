//! Entries of the journal: committed before each write, closed after it.

use domain::{
    HubSpotObjectId, ObjectType,
    backfill::{needed_properties, only_read, with_absent},
    export::{
        Change,
        journal::{Cause, Entry, EntryId, Landed, Operation, Subject, landed},
    },
};
use hubspot::objects::CrmObject;
use store::{Associated, CloseEntry, Guard, LinkWrite, MirrorRow, Opened};
use uuid::Uuid;

use super::{run::Exporting, stop::Stop, wire};

impl Exporting<'_> {
    /// Commits an entry before its write.
    pub(super) async fn open(
        &self,
        subject: Subject,
        cause: Cause,
        operation: Operation,
        changes: &[Change],
        guard: Option<Guard<'_>>,
    ) -> Result<EntryId, Stop> {
        let id = EntryId::new(Uuid::now_v7());
        let entry = Entry::open(id, subject, cause, operation, changes, self.facts.now);
        self.commit(&entry, guard).await?;
        Ok(id)
    }

    /// The same of an entry that is made already.
    pub(super) async fn commit(&self, entry: &Entry, guard: Option<Guard<'_>>) -> Result<(), Stop> {
        match self.try_commit(entry, guard).await? {
            Opened::Open => Ok(()),
            Opened::Fenced => Err(Stop::Fenced),
            Opened::Lost | Opened::Busy | Opened::Changed => Err(Stop::Lost),
        }
    }

    /// The same, and whoever asks sees to what it says.
    pub(super) async fn try_commit(
        &self,
        entry: &Entry,
        guard: Option<Guard<'_>>,
    ) -> Result<Opened, Stop> {
        let (portal, epoch) = (self.ground.portal, self.ground.epoch);
        let store = &self.deps.store;
        Ok(store
            .open_entry(self.hold, portal, epoch, entry, guard)
            .await?)
    }

    /// Closes an entry as done, with what HubSpot answered.
    pub(super) async fn close_done(
        &self,
        id: EntryId,
        record: HubSpotObjectId,
        answer: Option<(ObjectType, &CrmObject)>,
        link: Option<LinkWrite>,
    ) -> Result<(), Stop> {
        let close = self.closing(id, record, answer, link)?;
        Ok(self.deps.store.close_entry_done(close).await?)
    }

    /// The same of a contact that was associated with a company.
    pub(super) async fn close_associated(&self, id: EntryId, made: Associated) -> Result<(), Stop> {
        let close = self.closing_associated(id, made)?;
        Ok(self.deps.store.close_entry_done(close).await?)
    }

    /// An entry that is done, with what HubSpot answered.
    pub(super) fn closing(
        &self,
        id: EntryId,
        record: HubSpotObjectId,
        answer: Option<(ObjectType, &CrmObject)>,
        link: Option<LinkWrite>,
    ) -> Result<CloseEntry, Stop> {
        let ground = self.ground;
        let mirror = answer
            .map(|(of, object)| Ok::<_, Stop>((of, self.mirrored(of, object)?)))
            .transpose()?;
        Ok(CloseEntry {
            workspace: ground.workspace,
            portal: ground.portal,
            epoch: ground.epoch,
            entry: id,
            record,
            mirror,
            associated: None,
            read_at: self.facts.now,
            link,
            day: ground.day(self.facts.now),
            written: None,
        })
    }

    /// What HubSpot made of what was written, by its answer.
    pub(super) fn landed(
        &self,
        of: ObjectType,
        changes: &[Change],
        answer: &CrmObject,
    ) -> Result<Landed, Stop> {
        let shown = wire::record_read(wire::object_id(answer.id)?, &[], answer);
        Ok(landed(changes, &shown, self.ground.definitions(of)))
    }

    /// The same of an association.
    pub(super) fn closing_associated(
        &self,
        id: EntryId,
        made: Associated,
    ) -> Result<CloseEntry, Stop> {
        Ok(CloseEntry {
            associated: Some(made),
            ..self.closing(id, made.contact, None, None)?
        })
    }

    /// The same of a record that was made: what its answer leaves out has no value.
    pub(super) fn closing_made(
        &self,
        id: EntryId,
        record: HubSpotObjectId,
        of: ObjectType,
        answer: &CrmObject,
        link: Option<LinkWrite>,
    ) -> Result<CloseEntry, Stop> {
        let mapped = self.ground.known.settings.mapped_properties(of);
        let read = needed_properties(of).iter().copied().chain(mapped);
        let asked: Vec<String> = read.map(str::to_owned).collect();
        let mut row = self.mirrored(of, answer)?;
        row.properties = with_absent(row.properties, &asked);
        Ok(CloseEntry {
            mirror: Some((of, row)),
            ..self.closing(id, record, None, link)?
        })
    }

    fn mirrored(&self, of: ObjectType, answer: &CrmObject) -> Result<MirrorRow, Stop> {
        let mut row = wire::mirror_row(answer)?;
        row.properties = only_read(row.properties, of, &self.ground.known.settings);
        Ok(row)
    }
}
