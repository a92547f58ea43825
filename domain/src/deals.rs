//! Deals as context on people and companies (I7): stage, amount, owner and pipeline, with the labels
//! that the portal gives them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The labels of a pipeline and of its stages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PipelineLabels {
    /// The pipeline's id: the value of `pipeline`.
    pub id: String,
    /// What a person reads.
    pub label: Option<String>,
    /// What a person reads, by the stage's id.
    pub stages: BTreeMap<String, String>,
}

impl PipelineLabels {
    /// Reads the labels from the JSON that HubSpot sent; none where it is of no known shape.
    pub fn from_hubspot(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire {
            id: String,
            label: Option<String>,
            #[serde(default)]
            stages: Vec<WireStage>,
        }
        #[derive(Deserialize)]
        struct WireStage {
            id: String,
            label: Option<String>,
        }
        let wire: Wire = serde_json::from_str(json).ok()?;
        Some(Self {
            id: wire.id,
            label: wire.label,
            stages: wire
                .stages
                .into_iter()
                .filter_map(|stage| Some((stage.id, stage.label?)))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_as_hubspot_sends_them() {
        let json = r#"{"id":"default","label":"Sales","stages":[{"id":"new","label":"New"},{"id":"bare"}]}"#;
        let labels = PipelineLabels::from_hubspot(json).unwrap();
        assert_eq!(labels.label.as_deref(), Some("Sales"));
        assert_eq!(labels.stages.len(), 1);
        assert_eq!(labels.stages["new"], "New");
        assert_eq!(PipelineLabels::from_hubspot("[]"), None);
    }
}
