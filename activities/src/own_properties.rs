//! The activity of `OwnProperties`. What it promises is said at its declaration.

use std::{sync::Arc, time::Duration};

use domain::{
    ConnectionState, ObjectType, Urgency,
    own_properties::{GROUP, GROUP_LABEL, OWN_PROPERTIES, OwnOutcome, OwnProperty},
    portal::PropertyDefinition,
};
use hubspot::{
    Client, ErrorClass,
    properties::{NewProperty, Property, PropertyGroup, PropertyOption},
};
use store::{ConnectionRow, DefinitionRead, StoreError};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::{
    activities::{WorkspaceInput, declared},
    own_properties::{OwnPropertiesEnd, OwnPropertiesHow, OwnPropertyMade},
};

use crate::{Deps, convert::request_class, failure, revoked, slices::MAX_BUDGET_WAIT};

/// Making properties of contacts asks for this scope.
const SCOPE: &str = "crm.schemas.contacts.write";
/// What a property is called whose name somebody else has.
const TAKEN: &str = "HS-3021";
/// A new property is to be seen within a second or so.
const LOOKS: u32 = 6;
const BETWEEN: Duration = Duration::from_millis(500);
const CONTACT: hubspot::ObjectType = hubspot::ObjectType::Contact;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    HubSpot(#[from] hubspot::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The activity of `OwnProperties`.
pub struct OwnPropertiesMaking {
    deps: Arc<Deps>,
}

impl OwnPropertiesMaking {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn make(&self, input: &WorkspaceInput) -> Result<OwnPropertiesEnd, ActivityError> {
        let of_store = |e: StoreError| failure::of_store(&e);
        let store = &self.deps.store;
        let connection = store.connection(input.workspace).await.map_err(of_store)?;
        let Some(connection) = connection else {
            return Ok(OwnPropertiesHow::NotConnected.into());
        };
        match connection.state {
            ConnectionState::Connected => {}
            ConnectionState::NeedsReconnect => return Ok(OwnPropertiesHow::NeedsReconnect.into()),
            ConnectionState::Disconnecting | ConnectionState::Disconnected => {
                return Ok(OwnPropertiesHow::NotConnected.into());
            }
        }
        let granted = &connection.scopes;
        if !granted.is_empty() && !granted.iter().any(|scope| scope == SCOPE) {
            return Ok(OwnPropertiesHow::ScopeMissing.into());
        }
        match self.all(input, &connection).await {
            Ok(properties) => Ok(OwnPropertiesEnd {
                how: OwnPropertiesHow::Done,
                properties,
            }),
            Err(Trouble::Store(error)) => Err(failure::of_store(&error)),
            Err(Trouble::HubSpot(hubspot::Error::Fenced)) => {
                Ok(OwnPropertiesHow::NotConnected.into())
            }
            Err(Trouble::HubSpot(error)) => match error.class() {
                ErrorClass::AuthRevoked => {
                    revoked::tell(&self.deps, input.workspace, connection.epoch).await?;
                    Ok(OwnPropertiesHow::NeedsReconnect.into())
                }
                ErrorClass::ScopeMissing | ErrorClass::Forbidden => {
                    Ok(OwnPropertiesHow::ScopeMissing.into())
                }
                _ => Ok(OwnPropertiesHow::NoAnswer.into()),
            },
        }
    }

    async fn all(
        &self,
        input: &WorkspaceInput,
        connection: &ConnectionRow,
    ) -> Result<Vec<OwnPropertyMade>, Trouble> {
        let store = &self.deps.store;
        let client = self
            .deps
            .portals
            .client(input.workspace, connection.portal, connection.epoch)
            .with_class(request_class(Urgency::Interactive))
            .with_max_wait(MAX_BUDGET_WAIT);
        let read_at = store.clock().await?;
        let listed = client.properties().list(CONTACT).await?.results;
        let there: Vec<Property> = listed.into_iter().filter_map(Result::ok).collect();
        let find = |own: &OwnProperty| there.iter().find(|property| property.name == own.name);
        if OWN_PROPERTIES.iter().any(|own| find(own).is_none()) {
            ensure_group(&client).await?;
        }
        let mut made = Vec::new();
        for own in OWN_PROPERTIES {
            let (found, outcome, read_at) = match find(own) {
                Some(property) => (Some(property.clone()), OwnOutcome::There, read_at),
                None => match create(&client, own).await? {
                    Ok(outcome) => {
                        let read_at = store.clock().await?;
                        (seen(&client, own).await?, outcome, read_at)
                    }
                    Err(code) => {
                        made.push(OwnPropertyMade {
                            property: own.name.to_owned(),
                            outcome: OwnOutcome::Refused,
                            code: Some(code.to_owned()),
                        });
                        continue;
                    }
                },
            };
            // What is not to be seen yet comes with the next reading of all definitions.
            let is_ours = found.as_ref().is_none_or(|property| is(own, property));
            if let Some(property) = found.filter(|_| is_ours) {
                store
                    .write_definition(&DefinitionRead {
                        workspace: input.workspace,
                        portal: connection.portal,
                        epoch: connection.epoch,
                        object_type: ObjectType::Contact,
                        name: own.name,
                        definition: Some(property.definition.get()),
                        read_at,
                    })
                    .await?;
            }
            made.push(OwnPropertyMade {
                property: own.name.to_owned(),
                outcome: if is_ours { outcome } else { OwnOutcome::Taken },
                code: (!is_ours).then(|| TAKEN.to_owned()),
            });
        }
        Ok(made)
    }
}

fn is(own: &OwnProperty, property: &Property) -> bool {
    PropertyDefinition::from_hubspot(property.definition.get()).is_ok_and(|there| own.is(&there))
}

/// Makes the group unless it is there.
async fn ensure_group(client: &Client) -> Result<(), hubspot::Error> {
    let group = PropertyGroup {
        name: GROUP.to_owned(),
        label: GROUP_LABEL.to_owned(),
        display_order: -1,
    };
    match client.properties().create_group(CONTACT, &group).await {
        // Of one that may have been made the properties tell: none is made without its group.
        Ok(_) | Err(hubspot::Error::Conflict { .. } | hubspot::Error::OutcomeUnknown) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a property. One that somebody made meanwhile is taken as it is. The inner error is the paragraph
/// that says why HubSpot did not make it.
async fn create(
    client: &Client,
    own: &OwnProperty,
) -> Result<Result<OwnOutcome, &'static str>, hubspot::Error> {
    let new = NewProperty {
        kind: own.property_type.as_str().to_owned(),
        field_type: own.field_type.to_owned(),
        description: own.description.to_owned(),
        options: own
            .options
            .iter()
            .zip(0..)
            .map(|((value, label), display_order)| PropertyOption {
                label: (*label).to_owned(),
                value: (*value).to_owned(),
                hidden: false,
                display_order,
            })
            .collect(),
        ..NewProperty::text(own.name, own.label, GROUP)
    };
    match client.properties().create(CONTACT, &new).await {
        Ok(_) | Err(hubspot::Error::OutcomeUnknown) => Ok(Ok(OwnOutcome::Made)),
        Err(hubspot::Error::Conflict { .. }) => Ok(Ok(OwnOutcome::There)),
        Err(error) if error.class() == ErrorClass::Invalid => Ok(Err(failure::code_of(&error))),
        Err(error) => Err(error),
    }
}

/// A property as it is to be seen after it was made; none while it is not.
async fn seen(client: &Client, own: &OwnProperty) -> Result<Option<Property>, hubspot::Error> {
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(BETWEEN).await;
        }
        match client.properties().read(CONTACT, own.name).await {
            Ok(property) => return Ok(Some(property)),
            Err(hubspot::Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[activities]
impl OwnPropertiesMaking {
    #[activity(definition = declared::MakeOwnProperties)]
    pub async fn make_own_properties(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: WorkspaceInput,
    ) -> Result<OwnPropertiesEnd, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        self.make(&input).await
    }
}
