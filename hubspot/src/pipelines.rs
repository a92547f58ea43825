//! Pipelines and their stages.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    client::{API_VERSION, Client, Kind},
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

impl Pipeline {
    /// What is known of it.
    ///
    /// # Errors
    /// When it is not of the documented shape.
    pub fn details(&self) -> Result<PipelineDetails, Error> {
        serde_json::from_str(self.definition.get()).map_err(|_| Error::UnexpectedResponse {
            context: "pipeline",
        })
    }
}

/// A pipeline with its stages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineDetails {
    /// Its id.
    pub id: String,
    /// Its name.
    pub label: String,
    /// Its place among the pipelines.
    #[serde(default)]
    pub display_order: i64,
    /// Its stages, in no promised order.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// Whether it is gone.
    #[serde(default)]
    pub archived: bool,
}

/// A stage of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Its id; unique within the portal for deals.
    pub id: String,
    /// Its name.
    pub label: String,
    /// Its place in the pipeline.
    #[serde(default)]
    pub display_order: i64,
    /// What HubSpot knows of it: `isClosed`, `probability`.
    #[serde(default)]
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// Whether it is gone.
    #[serde(default)]
    pub archived: bool,
}

impl Stage {
    fn metadata_text(&self, name: &str) -> Option<String> {
        match self.metadata.get(name)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Bool(flag) => Some(flag.to_string()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Whether deals in it are closed, won or lost.
    pub fn is_closed(&self) -> bool {
        self.metadata_text("isClosed").as_deref() == Some("true") || self.is_won() || self.is_lost()
    }

    /// Whether deals in it are won: probability 1.
    pub fn is_won(&self) -> bool {
        self.probability().is_some_and(|p| p >= 1.0)
    }

    /// Whether deals in it are lost: probability 0 and closed.
    pub fn is_lost(&self) -> bool {
        self.probability().is_some_and(|p| p <= 0.0)
            && self.metadata_text("isClosed").as_deref() == Some("true")
    }

    /// How likely deals in it are to be won, 0 to 1.
    pub fn probability(&self) -> Option<f64> {
        self.metadata_text("probability")?.parse().ok()
    }
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
                Kind::Page,
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
            offset: 0,
            sent_at: answer.sent_at,
            served_at: answer.served_at,
        })
    }
}
