//! What a batch writes about contacts: entries of the journal first, all in one transaction, then the
//! request, then what came of each.

use std::collections::BTreeSet;

use domain::{
    HubSpotObjectId, ObjectType,
    export::{
        association::{self, AssociationKind, Moment, WITH_CREATE},
        bulk::{After, Lane, after},
        journal::{Entry, EntryId, Operation, Subject},
    },
};
use hubspot::{
    BatchOutcome, ErrorClass, InputOutcome,
    associations::{AssociationSpec, Pair, TypedPair},
    objects::{CreateInput, CrmObject, RecordKey, UpdateInput},
};
use store::{Associated, NewEntry, Opened};
use uuid::Uuid;

use super::{
    super::{stop::Stop, wire},
    batch::{Batching, Fate, Report, Row, answered},
};
use crate::failure;

/// A write of a batch.
pub(super) struct Sending<I> {
    /// Whose, by place.
    pub(super) of: usize,
    pub(super) entry: Entry,
    pub(super) input: I,
}

impl Batching<'_> {
    /// Commits entries before their writes are sent. Says how each of them stands.
    pub(super) async fn open_all(&self, entries: &[NewEntry<'_>]) -> Result<Vec<Opened>, Stop> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let ground = self.ground;
        let opened = self
            .deps
            .store
            .open_entries_together(ground.workspace, ground.portal, ground.epoch, entries)
            .await?;
        if opened.contains(&Opened::Fenced) {
            return Err(Stop::Fenced);
        }
        Ok(opened)
    }

    /// Opens the entries of writes about people, and says which of them are sent.
    async fn sent<I>(
        &self,
        rows: &mut [Row],
        sending: Vec<Sending<I>>,
    ) -> Result<Vec<Sending<I>>, Stop> {
        let entries: Vec<NewEntry<'_>> = sending
            .iter()
            .filter_map(|one| {
                let row = rows.get(one.of)?;
                Some(NewEntry {
                    hold: &row.hold,
                    entry: &one.entry,
                    guard: None,
                })
            })
            .collect();
        let opened = self.open_all(&entries).await?;
        let mut sent = Vec::new();
        for (one, opened) in sending.into_iter().zip(opened) {
            match (opened, rows.get_mut(one.of)) {
                (Opened::Open, _) => sent.push(one),
                (_, Some(row)) => row.fate = Fate::Later,
                (_, None) => {}
            }
        }
        Ok(sent)
    }

    /// What became of an entry whose write was not answered with success.
    pub(super) async fn not_done<T>(
        &self,
        entry: EntryId,
        outcome: &InputOutcome<T>,
    ) -> Result<Fate, Stop> {
        let (store, workspace) = (&self.deps.store, self.ground.workspace);
        match after(answered(outcome)) {
            After::Close => Ok(Fate::Open),
            After::ReadBack => {
                store.sent_until_now(workspace, entry).await?;
                Ok(Fate::Later)
            }
            After::DropAndAgain => {
                store.drop_entry(workspace, entry).await?;
                Ok(Fate::Later)
            }
            After::RefuseAndAlone => {
                let code = match outcome {
                    InputOutcome::Refused(error) => failure::code_of(error),
                    _ => failure::DEFECT,
                };
                store.refuse_entry(workspace, entry, code).await?;
                Ok(Fate::Alone)
            }
        }
    }

    /// Notes what keeps HubSpot from doing anything now. A lost answer does not.
    pub(super) fn note(&self, stopped: Option<hubspot::Error>, report: &mut Report) {
        let lasting = stopped.filter(|error| error.class() != ErrorClass::OutcomeUnknown);
        report.trouble = report.trouble.take().or(lasting);
    }

    /// Writes the contacts of those who go along.
    pub(super) async fn write_contacts(
        &self,
        rows: &mut [Row],
        report: &mut Report,
    ) -> Result<(), Stop> {
        let contact = hubspot::ObjectType::Contact;
        let objects = self.ground.client.objects();
        let (mut creates, mut updates) = (Vec::new(), Vec::new());
        for (of, row) in rows.iter().enumerate().filter(|(_, row)| row.goes_along()) {
            let (Some(plan), Some(lane)) = (&row.plan, &row.lane) else {
                continue;
            };
            let properties = wire::sent(&plan.changes);
            match lane {
                Lane::Create => {
                    let mut input = CreateInput::new(properties);
                    if let Some(company) = row.company {
                        let types = WITH_CREATE
                            .iter()
                            .map(|kind| AssociationSpec::hubspot(kind.type_id().into()));
                        input =
                            input.associated(wire::record_id(company), types.collect::<Vec<_>>());
                    }
                    let entry = self.entry_of(row, Operation::Create(ObjectType::Contact));
                    creates.push(Sending { of, entry, input });
                }
                Lane::Update(id) => {
                    let key = RecordKey::Id(wire::record_id(*id));
                    let input = UpdateInput { key, properties };
                    let entry = self.entry_of(row, Operation::Update(ObjectType::Contact, *id));
                    updates.push(Sending { of, entry, input });
                }
                Lane::Keep(_) | Lane::Skip(_) | Lane::Alone(_) => {}
            }
        }
        let creates = self.sent(rows, creates).await?;
        if !creates.is_empty() {
            self.tick(creates.len());
            let inputs: Vec<CreateInput> = creates.iter().map(|one| one.input.clone()).collect();
            let made = objects.batch_create(contact, &inputs).await;
            self.close_contacts(rows, creates, made, report).await?;
        }
        let updates = self.sent(rows, updates).await?;
        if !updates.is_empty() {
            self.tick(updates.len());
            let inputs: Vec<UpdateInput> = updates.iter().map(|one| one.input.clone()).collect();
            let written = objects.batch_update(contact, &inputs).await;
            self.close_contacts(rows, updates, written, report).await?;
        }
        Ok(())
    }

    fn entry_of(&self, row: &Row, operation: Operation) -> Entry {
        let changes = row.plan.as_ref().map_or(&[][..], |plan| &plan.changes[..]);
        Entry::open(
            EntryId::new(Uuid::now_v7()),
            Subject::Person(row.hold.person.clone()),
            domain::export::journal::Cause::Request(row.lead.kind),
            operation,
            changes,
            row.facts.now,
        )
    }

    async fn close_contacts<I>(
        &self,
        rows: &mut [Row],
        sent: Vec<Sending<I>>,
        answer: BatchOutcome<CrmObject>,
        report: &mut Report,
    ) -> Result<(), Stop> {
        self.note(answer.stopped, report);
        let mut close = Vec::new();
        for (one, outcome) in sent.into_iter().zip(answer.outcomes) {
            let Some(row) = rows.get_mut(one.of) else {
                continue;
            };
            let InputOutcome::Done(object) = &outcome else {
                row.fate = self.not_done(one.entry.id, &outcome).await?;
                continue;
            };
            let id = wire::object_id(object.id)?;
            let exporting = self.exporting(row);
            let link = match &row.plan {
                Some(plan) => exporting.link_to(plan, id)?,
                None => None,
            };
            let entry = one.entry.id;
            let changes = row.plan.as_ref().map_or(&[][..], |plan| &plan.changes[..]);
            let landed = exporting.landed(ObjectType::Contact, changes, object)?;
            let closing = if row.lane == Some(Lane::Create) {
                let associated = row.company.map(|company| Associated {
                    contact: id,
                    company,
                    primary: WITH_CREATE.contains(&AssociationKind::Primary),
                });
                store::CloseEntry {
                    associated,
                    ..exporting.closing_made(entry, id, ObjectType::Contact, object, link)?
                }
            } else {
                exporting.closing(entry, id, Some((ObjectType::Contact, object)), link)?
            };
            close.push(store::CloseEntry {
                written: landed.written,
                ..closing
            });
            row.kept(&landed.kept, self.ground);
            row.contact = Some(id);
            if row.lane == Some(Lane::Create) {
                row.stands_for = Some(row.company);
            }
        }
        self.deps.store.close_entries_done(close).await?;
        Ok(())
    }

    /// Associates contacts that were there before with their companies, where that is missing.
    pub(super) async fn associate_contacts(
        &self,
        rows: &mut [Row],
        report: &mut Report,
    ) -> Result<(), Stop> {
        let pairs: Vec<(usize, HubSpotObjectId, HubSpotObjectId)> = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.goes_along() && row.lane != Some(Lane::Create))
            .filter_map(|(of, row)| Some((of, row.contact?, row.company?)))
            .collect();
        if pairs.is_empty() {
            return Ok(());
        }
        let (from, to) = (hubspot::ObjectType::Contact, hubspot::ObjectType::Company);
        let associations = self.ground.client.associations();
        let ids: Vec<_> = pairs.iter().map(|(_, c, _)| wire::record_id(*c)).collect();
        self.tick(1);
        let read = match associations.batch_read(from, to, &ids).await {
            Ok(read) => read,
            Err(hubspot::Error::Fenced) => return Err(Stop::Fenced),
            Err(error) => {
                for (of, ..) in pairs {
                    if let Some(row) = rows.get_mut(of) {
                        row.fate = Fate::Later;
                    }
                }
                self.note(Some(error), report);
                return Ok(());
            }
        };
        let mut missing = Vec::new();
        for (of, contact, company) in pairs {
            let Some(row) = rows.get_mut(of) else {
                continue;
            };
            let Some(found) = read.answered.get(&wire::record_id(contact)) else {
                row.fate = Fate::Later;
                continue;
            };
            let companies = wire::contact_companies(found)?;
            row.stands_for = Some(association::primary(&companies));
            let Some(kind) = association::decide(&companies, company, Moment::Export) else {
                continue;
            };
            let made = Associated {
                contact,
                company,
                primary: kind == AssociationKind::Primary,
            };
            let operation = Operation::Associate {
                contact,
                company,
                primary: made.primary,
            };
            let entry = Entry {
                written: Vec::new(),
                ..self.entry_of(row, operation)
            };
            let pair = Pair {
                from: wire::record_id(contact),
                to: wire::record_id(company),
            };
            let types = vec![AssociationSpec::hubspot(kind.type_id().into())];
            let input = (TypedPair { pair, types }, made);
            missing.push(Sending { of, entry, input });
        }
        let sent = self.sent(rows, missing).await?;
        if sent.is_empty() {
            return Ok(());
        }
        self.tick(1);
        let inputs: Vec<TypedPair> = sent.iter().map(|one| one.input.0.clone()).collect();
        let answer = associations.batch_create(from, to, &inputs).await;
        self.note(answer.stopped, report);
        let mut close = Vec::new();
        let mut gone: BTreeSet<HubSpotObjectId> = BTreeSet::new();
        for (one, outcome) in sent.into_iter().zip(answer.outcomes) {
            let Some(row) = rows.get_mut(one.of) else {
                continue;
            };
            if let InputOutcome::Done(_) = outcome {
                if one.input.1.primary {
                    row.stands_for = Some(Some(one.input.1.company));
                }
                let exporting = self.exporting(row);
                close.push(exporting.closing_associated(one.entry.id, one.input.1)?);
                continue;
            }
            if let InputOutcome::Refused(error) = &outcome
                && error.class() == ErrorClass::NotFound
                && *error != hubspot::Error::NotInAnswer
            {
                gone.insert(one.input.1.company);
            }
            row.fate = self.not_done(one.entry.id, &outcome).await?;
        }
        let store = &self.deps.store;
        store.close_entries_done(close).await?;
        for company in gone {
            // The mirror had a company that is not there any more.
            store.doubt_company(self.ground.portal, company).await?;
        }
        Ok(())
    }
}
