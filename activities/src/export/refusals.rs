//! What becomes of a write that was not answered with success.

use domain::{
    ObjectType,
    export::{Change, FailReason, SkipReason, WaitReason, contact::Skip, journal::EntryId},
    portal::PropertyDefinition,
};
use hubspot::{ErrorClass, FieldCode, FieldProblem};
use store::DefinitionRead;

use super::{run::Exporting, stop::Stop, wire};

/// Definitions that one export reads again, at most.
const REREAD: usize = 5;

impl Exporting<'_> {
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
            // Somebody was faster, or it went: what is there now is read.
            hubspot::Error::Conflict { .. } | hubspot::Error::NotFound => Ok(()),
            hubspot::Error::PortalRule { problems, .. } => {
                let properties = wire::names_of(&problems);
                if new {
                    return Err(Stop::Skips(Skip {
                        reason: SkipReason::PortalRule,
                        properties,
                    }));
                }
                self.reject(of, &properties, sent)
            }
            hubspot::Error::Invalid { ref problems, .. } => {
                let properties = wire::names_of(problems);
                if new && properties.iter().any(|p| p == "email") {
                    return Err(Stop::Skips(SkipReason::EmailRefused.into()));
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
                .map(|p| (of, p.clone())),
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
