//! What became of a write that somebody began (design §4.2, §4.3): read back before anything is written
//! again.

use std::time::Duration;

use domain::{
    HubSpotObjectId, ObjectType, WorkspaceId,
    export::{
        RecordRead, WaitReason,
        journal::{Entry, EntryState, Operation, ReadBack, Taken, take_over},
    },
};
use hubspot::objects::{CrmObject, ReadOptions, RecordKey};
use store::Associated;

use super::{
    run::{DOUBT, Exporting},
    stop::Stop,
    wire,
};

/// What a read-back brought.
enum Back {
    Record(RecordRead, Box<CrmObject>, ObjectType),
    Nothing,
    Doubtful,
    Associated(HubSpotObjectId, bool),
}

impl Exporting<'_> {
    /// Finds out what became of an entry of this workspace, and closes it; waits where nobody can know yet.
    pub(super) async fn take_over(&mut self, entry: &Entry) -> Result<(), Stop> {
        self.take_over_of(self.ground.workspace, entry).await
    }

    /// The same, of an entry of any workspace of the portal.
    pub(super) async fn take_over_of(
        &mut self,
        workspace: WorkspaceId,
        entry: &Entry,
    ) -> Result<(), Stop> {
        let EntryState::Open { sent_at } = entry.state else {
            return Ok(());
        };
        let back = if sent_at.is_some() {
            self.read_back(entry).await?
        } else {
            Back::Nothing
        };
        let object_type = match &entry.operation {
            Operation::Create(of)
            | Operation::Update(of, _)
            | Operation::Empty(of, _)
            | Operation::Archive(of, _) => *of,
            Operation::Associate { .. } => ObjectType::Contact,
        };
        let said = match &back {
            Back::Record(record, ..) => ReadBack::Record(record),
            Back::Nothing => ReadBack::Nothing,
            Back::Doubtful => ReadBack::Doubtful,
            Back::Associated(_, there) => ReadBack::Associated(*there),
        };
        let definitions = self.ground.definitions(object_type);
        let settle = self.deps.exports.settle;
        match take_over(entry, said, definitions, settle, self.facts.now) {
            Taken::Done => {
                match &back {
                    Back::Record(record, object, of) => {
                        self.close_taken(workspace, entry, record.id(), Some((*of, object)))
                            .await?;
                    }
                    Back::Associated(contact, _) => {
                        self.close_taken(workspace, entry, *contact, None).await?;
                    }
                    Back::Nothing | Back::Doubtful => {}
                }
                self.said.told = entry.status_told().or(self.said.told);
                Ok(())
            }
            Taken::Wait(until) => {
                let left = (until - self.facts.now).to_std().unwrap_or_default();
                // Most of what is late lands soon.
                let since = sent_at.map_or(Duration::ZERO, |at| {
                    (self.facts.now - at).to_std().unwrap_or_default()
                });
                let look = since.max(Duration::from_secs(2));
                Err(Stop::Waits(WaitReason::OutcomeUnknown, left.min(look)))
            }
            Taken::PlanAgain => {
                self.deps.store.drop_entry(workspace, entry.id).await?;
                Ok(())
            }
            Taken::ReadAgain => Err(Stop::Waits(WaitReason::OutcomeUnknown, DOUBT)),
        }
    }

    async fn close_taken(
        &self,
        workspace: WorkspaceId,
        entry: &Entry,
        record: HubSpotObjectId,
        answer: Option<(ObjectType, &CrmObject)>,
    ) -> Result<(), Stop> {
        if workspace == self.ground.workspace {
            if let Operation::Associate {
                contact,
                company,
                primary,
            } = entry.operation
            {
                let made = Associated {
                    contact,
                    company,
                    primary,
                };
                return self.close_associated(entry.id, made).await;
            }
            return self.close_done(entry.id, record, answer, None).await;
        }
        // Of another workspace of the portal: its mirror is its own.
        self.deps
            .store
            .close_foreign_entry(workspace, entry.id, record)
            .await?;
        Ok(())
    }

    async fn read_back(&mut self, entry: &Entry) -> Result<Back, Stop> {
        self.tick();
        let value = |name: &str| {
            let written = entry.written.iter().find(|w| w.property == name)?;
            written.new.as_ref().map(|new| new.as_str().to_owned())
        };
        let found = match &entry.operation {
            Operation::Create(ObjectType::Company) => {
                let Some(domain) = value("domain") else {
                    return Ok(Back::Doubtful);
                };
                match self.made_company(&domain).await {
                    Ok(made) => Ok(made),
                    Err(Stop::HubSpot(error)) => Err(error),
                    Err(stop) => return Err(stop),
                }
            }
            Operation::Create(_) => {
                let Some(email) = value("email") else {
                    return Ok(Back::Doubtful);
                };
                let names = self.ground.contact_properties();
                let options = ReadOptions::new().properties(&names);
                let contacts = self.ground.client.contacts();
                contacts
                    .by_email(&email, &options)
                    .await
                    .map(|found| found.map(|object| (object, names, ObjectType::Contact)))
            }
            Operation::Update(of, id) | Operation::Empty(of, id) => {
                let names = entry.properties();
                let record = wire::record_id(*id);
                let kind = wire::object_type(*of);
                let key = RecordKey::Id(record);
                let options = ReadOptions::new().properties(&names);
                let objects = self.ground.client.objects();
                objects
                    .find(kind, &key, &options)
                    .await
                    .map(|found| found.map(|object| (object, names, *of)))
            }
            Operation::Associate {
                contact,
                company,
                primary,
            } => {
                let all = match self.companies_of(*contact).await {
                    Ok(all) => all,
                    Err(Stop::HubSpot(hubspot::Error::NotFound)) => Vec::new(),
                    Err(stop) => return Err(stop),
                };
                let there = all
                    .iter()
                    .any(|c| c.company == *company && (c.primary || !primary));
                return Ok(Back::Associated(*contact, there));
            }
            // Of activities alone, which are taken over for themselves.
            Operation::Archive(..) => return Ok(Back::Doubtful),
        };
        match found {
            Ok(Some((object, names, of))) => {
                let id = wire::object_id(object.id)?;
                let record = wire::record_read(id, &names, &object);
                Ok(Back::Record(record, Box::new(object), of))
            }
            Ok(None) => Ok(Back::Nothing),
            Err(hubspot::Error::Unanswered | hubspot::Error::UnexpectedResponse { .. }) => {
                Ok(Back::Doubtful)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The company that was made with this domain, if one was: the least id of those that have it.
    async fn made_company(
        &self,
        domain: &str,
    ) -> Result<Option<(CrmObject, Vec<String>, ObjectType)>, Stop> {
        let names = self.ground.company_properties();
        if let Some(key) = self.company_key().await? {
            let options = ReadOptions::new().properties(&names);
            let key = RecordKey::unique(key, domain);
            let objects = self.ground.client.objects();
            let company = hubspot::ObjectType::Company;
            match objects.find(company, &key, &options).await {
                Ok(Some(object)) => return Ok(Some((object, names, ObjectType::Company))),
                // Where there is no such property any more, the domain says it.
                Ok(None) | Err(hubspot::Error::Invalid { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut found = self
            .ground
            .client
            .companies()
            .by_domains(&[domain.to_owned()], &names)
            .await?;
        found.retain(|object| {
            let is = object.property("domain").unwrap_or_default();
            !object.archived && domain::company_domain::normalised(&is).as_deref() == Some(domain)
        });
        found.sort_by_key(|object| object.id);
        let first = (!found.is_empty()).then(|| found.swap_remove(0));
        Ok(first.map(|object| (object, names, ObjectType::Company)))
    }
}
