//! What becomes of a write that was not answered with success.

use domain::{
    ObjectType,
    export::{Change, FailReason, SkipReason, WaitReason, contact::Skip, journal::EntryId},
    portal::PropertyDefinition,
};
use hubspot::{ErrorClass, FieldCode, FieldProblem, RecordId};
use store::DefinitionRead;

use super::{
    run::{Exporting, REFUSED},
    stop::Stop,
    wire,
};
use crate::portal_keys::COMPANY_KEY;

/// Definitions that one export reads again, at most.
const REREAD: usize = 5;
/// Times that a contact is made in vain for one that is there, at most: each looks for it anew.
const CONFLICTS: u32 = 3;
/// What a value is called that the portal's rules do not let through.
pub(super) const PORTAL_RULE: &str = "HS-3015";
/// What a value is called that is another record's.
const TAKEN: &str = "HS-3007";

impl Exporting<'_> {
    /// HubSpot erased whoever had the person's address: they must not be written to either (I8).
    async fn note_erased(&self) -> Result<(), Stop> {
        let person = self.person()?;
        let Some(email) = &person.email else {
            return Ok(());
        };
        let (workspace, portal) = (self.ground.workspace, self.ground.portal);
        self.deps
            .store
            .note_refused_address(workspace, portal, &person.id, email.as_str())
            .await?;
        Ok(())
    }

    /// What becomes of an entry whose write was not answered with success, and whether another plan is
    /// made. Only of a write that may have landed the entry stays open.
    pub(super) async fn not_written(
        &mut self,
        id: EntryId,
        error: hubspot::Error,
        of: ObjectType,
        sent: &[Change],
        new: bool,
    ) -> Result<(), Stop> {
        let store = &self.deps.store;
        let workspace = self.ground.workspace;
        match error.class() {
            ErrorClass::OutcomeUnknown => {
                store.sent_until_now(workspace, id).await?;
                return Err(Stop::Waits(WaitReason::OutcomeUnknown, super::FIRST_LOOK));
            }
            ErrorClass::Transient
            | ErrorClass::RateLimited
            | ErrorClass::AuthRevoked
            | ErrorClass::Refused
            | ErrorClass::Misconfigured => {
                store.drop_entry(workspace, id).await?;
                return Err(error.into());
            }
            _ => {
                store
                    .refuse_entry(workspace, id, crate::failure::code_of(&error))
                    .await?;
            }
        }
        match error {
            hubspot::Error::Conflict { existing, property } => {
                self.conflicting(of, existing, property, sent, new)
            }
            // It went: what is there now is read.
            hubspot::Error::NotFound => Ok(()),
            hubspot::Error::PortalRule {
                problems,
                because_of,
                ..
            } => {
                let properties = wire::names_of(&problems);
                if new {
                    return Err(Stop::Skips(Skip {
                        reason: SkipReason::PortalRule,
                        properties,
                    }));
                }
                self.leave_to_the_portal(of, properties, because_of, sent);
                Ok(())
            }
            hubspot::Error::Invalid { ref problems, .. } => {
                let properties = wire::names_of(problems);
                if new && let Some(reason) = of_the_address(problems) {
                    if reason == SkipReason::ErasedInHubspot {
                        self.note_erased().await?;
                    }
                    return Err(Stop::Skips(reason.into()));
                }
                if self.redefined(of, problems, sent).await? {
                    return Err(Stop::Redefined);
                }
                self.reject(of, &properties, sent)
            }
            hubspot::Error::ScopeMissing { .. } | hubspot::Error::Forbidden { .. } => {
                Err(Stop::Fails(FailReason::ScopeMissing, Vec::new()))
            }
            error => Err(error.into()),
        }
    }

    /// A value is another record's: of a row it is left out. A new contact is refused for one that is there:
    /// that one is looked for again, by the id that HubSpot names too.
    fn conflicting(
        &mut self,
        of: ObjectType,
        existing: Option<RecordId>,
        property: Option<String>,
        sent: &[Change],
        new: bool,
    ) -> Result<(), Stop> {
        let is_sent = |name: &str| sent.iter().any(|c| c.property == name);
        let contact = of == ObjectType::Contact;
        let property = property.or_else(|| contact.then(|| "email".to_owned()));
        let own = if contact {
            if new { "email" } else { "" }
        } else {
            COMPANY_KEY
        };
        match property {
            Some(name) if name != own && is_sent(&name) => {
                self.said.rejected.insert((of, name), TAKEN);
                Ok(())
            }
            property => {
                self.said.conflicts += 1;
                if self.said.conflicts >= CONFLICTS {
                    let named = property.into_iter().collect();
                    return Err(Stop::Fails(FailReason::Conflict, named));
                }
                if contact {
                    self.said.existing = existing.map(wire::object_id).transpose()?;
                }
                Ok(())
            }
        }
    }

    /// Leaves out of an update what makes the portal ask for values that the record lacks; where HubSpot does
    /// not say what that is, all of it.
    fn leave_to_the_portal(
        &mut self,
        of: ObjectType,
        asked: Vec<String>,
        because_of: Vec<String>,
        sent: &[Change],
    ) {
        let is_sent = |name: &&String| sent.iter().any(|c| c.property == **name);
        let named = because_of.iter().chain(&asked).filter(is_sent).cloned();
        let mut left_out: Vec<String> = named.collect();
        if left_out.is_empty() {
            left_out = sent.iter().map(|c| c.property.clone()).collect();
        }
        let names = left_out.into_iter().chain(asked);
        let rejected = &mut self.said.rejected;
        rejected.extend(names.map(|name| ((of, name), PORTAL_RULE)));
    }

    /// Leaves out what HubSpot refuses. A refusal that names nothing of what was sent ends the request.
    fn reject(
        &mut self,
        of: ObjectType,
        properties: &[String],
        sent: &[Change],
    ) -> Result<(), Stop> {
        let rejected = &mut self.said.rejected;
        let before = rejected.len();
        rejected.extend(
            properties
                .iter()
                .filter(|p| sent.iter().any(|c| c.property == **p))
                .map(|p| ((of, p.clone()), REFUSED)),
        );
        if rejected.len() == before {
            return Err(Stop::Fails(FailReason::Invalid, properties.to_vec()));
        }
        Ok(())
    }

    /// Reads the definitions of properties whose values HubSpot refuses again, each once, and keeps them (E4).
    /// Says whether one is another one by now: the values are converted again then.
    async fn redefined(
        &mut self,
        of: ObjectType,
        problems: &[FieldProblem],
        sent: &[Change],
    ) -> Result<bool, Stop> {
        let mut changed = false;
        for problem in problems {
            let written = |name: &&str| sent.iter().any(|change| change.property == **name);
            let Some(name) = problem.property.as_deref().filter(written) else {
                continue;
            };
            if self.said.reread.len() >= REREAD || !self.said.reread.insert((of, name.to_owned())) {
                continue;
            }
            let read_at = self.deps.store.clock().await?;
            self.tick();
            let properties = self.ground.client.properties();
            let known = self.ground.properties(of).get(name);
            let answer = properties.read(wire::object_type(of), name).await;
            let read = match answer {
                Ok(property) => match PropertyDefinition::from_hubspot(property.definition.get()) {
                    Ok(read) if known != Some(&read) => Some(property),
                    _ => continue,
                },
                // Refused for want of it, and named as not there: two answers that say the same.
                Err(hubspot::Error::NotFound)
                    if problem.code == FieldCode::PropertyDoesntExist && known.is_some() =>
                {
                    None
                }
                Err(error) => match error.class() {
                    ErrorClass::ScopeMissing
                    | ErrorClass::Forbidden
                    | ErrorClass::Invalid
                    | ErrorClass::NotFound => continue,
                    _ => return Err(error.into()),
                },
            };
            let ground = self.ground;
            self.deps
                .store
                .write_definition(&DefinitionRead {
                    workspace: ground.workspace,
                    portal: ground.portal,
                    epoch: ground.epoch,
                    object_type: of,
                    name,
                    definition: read.as_ref().map(|property| property.definition.get()),
                    read_at,
                })
                .await?;
            changed = true;
        }
        Ok(changed)
    }
}

/// Why nobody is made with this address, if HubSpot does not take it.
pub(super) fn of_the_address(problems: &[FieldProblem]) -> Option<SkipReason> {
    let mut of_email = problems
        .iter()
        .filter(|p| p.property.as_deref() == Some("email"))
        .peekable();
    of_email.peek()?;
    Some(if of_email.any(|p| p.code == FieldCode::ErasedAddress) {
        SkipReason::ErasedInHubspot
    } else {
        SkipReason::EmailRefused
    })
}
