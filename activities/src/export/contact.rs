//! Writing a person's contact, and associating it with its company.

use std::collections::BTreeMap;

use domain::{
    HubSpotObjectId, ObjectType,
    app::RecordKind,
    export::{
        Change, ContactPlan, Decision, LinkChange,
        association::{AssociationKind, WITH_CREATE},
        journal::{Cause, Operation, Subject},
    },
    linking::LinkOrigin,
};
use hubspot::{associations::AssociationSpec, objects::CreateInput};
use store::{Associated, CloseEntry, LinkWrite};

use super::{run::Exporting, stop::Stop, wire};

impl Exporting<'_> {
    /// Empties properties that cannot be set otherwise. `false` where another plan is to be made.
    pub(super) async fn empty(
        &mut self,
        contact: HubSpotObjectId,
        changes: &[Change],
    ) -> Result<bool, Stop> {
        let subject = Subject::Person(self.hold.person.clone());
        let of = ObjectType::Contact;
        let operation = Operation::Empty(of, contact);
        let entry = self
            .open(subject, self.why, operation, changes, None)
            .await?;
        self.tick();
        let values: BTreeMap<String, String> = changes
            .iter()
            .map(|change| (change.property.clone(), String::new()))
            .collect();
        let objects = self.ground.client.objects();
        match objects
            .update(wire::object_type(of), wire::record_id(contact), &values)
            .await
        {
            Ok(object) => {
                self.close_done(entry, contact, Some((of, &object)), None)
                    .await?;
                Ok(true)
            }
            Err(error) => {
                self.not_written(entry, error, of, changes, false).await?;
                Ok(false)
            }
        }
    }

    /// Writes the contact; none where another plan is to be made.
    pub(super) async fn write_contact(
        &mut self,
        plan: &ContactPlan,
        company: Option<HubSpotObjectId>,
    ) -> Result<Option<HubSpotObjectId>, Stop> {
        let subject = Subject::Person(self.person()?.id.clone());
        let contact = hubspot::ObjectType::Contact;
        let new = plan.contact().is_none();
        let company = company.filter(|_| new && !self.said.apart);
        let operation = plan
            .contact()
            .map_or(Operation::Create(ObjectType::Contact), |id| {
                Operation::Update(ObjectType::Contact, id)
            });
        let entry = self
            .open(subject, self.why, operation, &plan.changes, None)
            .await?;
        self.tick();
        let values = wire::sent(&plan.changes);
        let objects = self.ground.client.objects();
        let answer = match plan.contact() {
            Some(id) => objects.update(contact, wire::record_id(id), &values).await,
            None => {
                let mut input = CreateInput::new(values);
                if let Some(company) = company {
                    let types: Vec<AssociationSpec> = WITH_CREATE
                        .iter()
                        .map(|kind| AssociationSpec::hubspot(kind.type_id().into()))
                        .collect();
                    input = input.associated(wire::record_id(company), types);
                }
                objects.create(contact, &input).await
            }
        };
        match answer {
            Ok(object) => {
                let id = wire::object_id(object.id)?;
                let link = self.link_to(plan, id)?;
                let of = ObjectType::Contact;
                let landed = self.landed(of, &plan.changes, &object)?;
                let associated = company.map(|company| Associated {
                    contact: id,
                    company,
                    primary: WITH_CREATE.contains(&AssociationKind::Primary),
                });
                let close = if new {
                    self.closing_made(entry, id, of, &object, link)?
                } else {
                    self.closing(entry, id, Some((of, &object)), link)?
                };
                let close = CloseEntry {
                    associated,
                    written: landed.written,
                    ..close
                };
                self.deps.store.close_entry_done(close).await?;
                self.said.kept.extend(landed.kept);
                Ok(Some(id))
            }
            Err(error) => {
                let unnamed = names_nothing(&error, &plan.changes);
                let refused = self
                    .not_written(entry, error, ObjectType::Contact, &plan.changes, new)
                    .await;
                if let Some(company) = company.filter(|_| unnamed)
                    && self.without(company).await?
                {
                    return Ok(None);
                }
                refused?;
                Ok(None)
            }
        }
    }

    /// What was emptied to be set gets back what it had, as HubSpot does not take the new value: an export
    /// clears nothing.
    pub(super) async fn bring_back(&mut self, plan: &ContactPlan) -> Result<(), Stop> {
        let Some(contact) = plan.contact() else {
            return Ok(());
        };
        let emptied = plan.changes.iter().filter(|c| c.write.empties_first());
        let changes: Vec<Change> = emptied.filter_map(Change::brought_back).collect();
        let (subject, of) = (
            Subject::Person(self.hold.person.clone()),
            ObjectType::Contact,
        );
        let operation = Operation::Update(of, contact);
        let entry = self
            .open(subject, self.why, operation, &changes, None)
            .await?;
        self.tick();
        let objects = self.ground.client.objects();
        let record = wire::record_id(contact);
        match objects
            .update(wire::object_type(of), record, &wire::sent(&changes))
            .await
        {
            Ok(object) => {
                self.close_done(entry, contact, Some((of, &object)), None)
                    .await
            }
            Err(error) => self.not_written(entry, error, of, &changes, false).await,
        }
    }

    /// HubSpot refused a contact together with its company, and named no value. Where the company is gone,
    /// another one is found or made; where it is there, the contact is made alone and associated afterwards.
    /// `false` where that was tried already.
    async fn without(&mut self, company: HubSpotObjectId) -> Result<bool, Stop> {
        let (_, fresh) = self.fresh(&[company]).await?;
        if fresh.iter().any(|record| record.id() == company) {
            return Ok(!std::mem::replace(&mut self.said.apart, true));
        }
        self.company_went(company).await?;
        Ok(true)
    }

    /// The mirror had a company that is not there any more.
    async fn company_went(&mut self, company: HubSpotObjectId) -> Result<(), Stop> {
        self.said.gone.insert(company);
        let (store, portal) = (&self.deps.store, self.ground.portal);
        store.doubt_company(portal, company).await?;
        Ok(())
    }

    pub(super) fn link_to(
        &self,
        plan: &ContactPlan,
        contact: HubSpotObjectId,
    ) -> Result<Option<LinkWrite>, Stop> {
        let person = self.person()?;
        let origin = match plan.link {
            LinkChange::Make(_, origin) | LinkChange::Follow { origin, .. } => origin,
            LinkChange::Keep if plan.decision == Decision::Create => LinkOrigin::Primary,
            LinkChange::Keep => return Ok(None),
        };
        Ok(Some(LinkWrite {
            record: RecordKind::Person,
            id: person.id.as_str().to_owned(),
            to: contact,
            origin,
        }))
    }

    /// The link of a contact to which nothing had to be written.
    pub(super) async fn follow_link(
        &self,
        plan: &ContactPlan,
        contact: HubSpotObjectId,
    ) -> Result<(), Stop> {
        if plan.writes() {
            return Ok(());
        }
        if let Some(link) = self.link_to(plan, contact)? {
            let ground = self.ground;
            self.deps
                .store
                .write_link(ground.workspace, ground.portal, &link)
                .await?;
        }
        Ok(())
    }

    /// Associates a contact with its company. `false` where one of the two is not there.
    pub(super) async fn associate(
        &mut self,
        contact: HubSpotObjectId,
        company: HubSpotObjectId,
        kind: AssociationKind,
        cause: Cause,
    ) -> Result<bool, Stop> {
        let subject = Subject::Person(self.hold.person.clone());
        let operation = Operation::Associate {
            contact,
            company,
            primary: kind == AssociationKind::Primary,
        };
        let entry = self.open(subject, cause, operation, &[], None).await?;
        self.tick();
        match wire::associate(&self.ground.client, contact, company, kind).await? {
            Ok(()) => {
                let primary = kind == AssociationKind::Primary;
                let made = Associated {
                    contact,
                    company,
                    primary,
                };
                self.close_associated(entry, made).await?;
                Ok(true)
            }
            Err(error) => {
                // HubSpot calls an id that is gone not valid, or not found, and does not say which.
                let unnamed = names_nothing(&error, &[]);
                let refused = self
                    .not_written(entry, error, ObjectType::Contact, &[], false)
                    .await;
                if unnamed {
                    let (_, fresh) = self.fresh(&[company]).await?;
                    if !fresh.iter().any(|record| record.id() == company) {
                        self.company_went(company).await?;
                        return Ok(false);
                    }
                }
                refused?;
                Ok(false)
            }
        }
    }
}

/// Whether HubSpot refused a write without naming anything of what was sent.
fn names_nothing(error: &hubspot::Error, sent: &[Change]) -> bool {
    match error {
        hubspot::Error::NotFound => true,
        hubspot::Error::Invalid { problems, .. } => {
            let named = wire::names_of(problems);
            !sent.iter().any(|change| named.contains(&change.property))
        }
        _ => false,
    }
}
