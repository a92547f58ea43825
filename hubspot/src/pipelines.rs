//! Pipelines and their stages.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    client::{API_VERSION, Client},
    error::Error,
    ids::ObjectType,
    page::{Envelope, Page, read_record},
};

/// A pipeline with its stages.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Its id: a number or a word such as `default`.
    pub id: String,
    /// All of it, as the JSON object that HubSpot sent.
    pub definition: Box<RawValue>,
}

/// The endpoints of pipelines.
#[derive(Debug)]
pub struct Pipelines<'a>(&'a Client);

impl Client {
    /// The endpoints of pipelines.
    pub const fn pipelines(&self) -> Pipelines<'_> {
        Pipelines(self)
    }
}

impl Pipelines<'_> {
    /// All pipelines of a type.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&self, object_type: ObjectType) -> Result<Page<Pipeline>, Error> {
        let answer = self
            .0
            .get(
                &format!("/crm/pipelines/{API_VERSION}/{}", object_type.path()),
                &[],
            )
            .await?;
        let envelope: Envelope<'_> =
            serde_json::from_slice(&answer.body).map_err(|_| Error::UnexpectedResponse {
                context: "pipelines",
            })?;
        #[derive(Deserialize)]
        struct IdOnly {
            id: String,
        }
        Ok(Page {
            results: envelope
                .results
                .iter()
                .enumerate()
                .map(|(place, raw)| {
                    read_record::<IdOnly>(raw, place).map(|named| Pipeline {
                        id: named.id,
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
