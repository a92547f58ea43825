//! Property definitions.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    client::{API_VERSION, Client},
    error::Error,
    ids::ObjectType,
    page::{Envelope, Page, read_record},
};

/// A property definition.
#[derive(Debug, Clone)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// All of it, as the JSON object that HubSpot sent.
    pub definition: Box<RawValue>,
}

/// The endpoints of property definitions.
#[derive(Debug)]
pub struct Properties<'a>(&'a Client);

impl Client {
    /// The endpoints of property definitions.
    pub const fn properties(&self) -> Properties<'_> {
        Properties(self)
    }
}

impl Properties<'_> {
    /// All definitions of a type; HubSpot gives them in one page.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&self, object_type: ObjectType) -> Result<Page<Property>, Error> {
        let answer = self
            .0
            .get(
                &format!("/crm/properties/{API_VERSION}/{}", object_type.path()),
                &[],
            )
            .await?;
        let envelope: Envelope<'_> =
            serde_json::from_slice(&answer.body).map_err(|_| Error::UnexpectedResponse {
                context: "properties",
            })?;
        #[derive(Deserialize)]
        struct NameOnly {
            name: String,
        }
        Ok(Page {
            results: envelope
                .results
                .iter()
                .enumerate()
                .map(|(place, raw)| {
                    read_record::<NameOnly>(raw, place).map(|named| Property {
                        name: named.name,
                        definition: (*raw).to_owned(),
                    })
                })
                .collect(),
            next: None,
            total: None,
            sent_at: answer.sent_at,
            served_at: answer.served_at,
        })
    }
}
