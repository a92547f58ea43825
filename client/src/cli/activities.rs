//! Activities as they are shown (E8).

use domain::{api::ActivityAnswer, export::RequestOutcome};

use super::show::Row;

impl Row for ActivityAnswer {
    const HEAD: &'static str = "activity\tversion\tkind\tat\tstate\treason\tHubSpot";

    fn cells(&self) -> Vec<String> {
        let engagement = match self.outcome {
            RequestOutcome::Exported { hubspot_id } => Some(hubspot_id),
            _ => self.engagement,
        };
        vec![
            self.id.to_string(),
            self.version.to_string(),
            self.kind.map(|kind| kind.to_string()).unwrap_or_default(),
            match self.at {
                Some(at) => at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
                None => "deleted".to_owned(),
            },
            self.outcome.state().to_string(),
            self.outcome.reason().unwrap_or_default().to_owned(),
            engagement.map(|id| id.to_string()).unwrap_or_default(),
        ]
    }
}
