//! Recent engagements of other reps as they are shown (I10).

use domain::api::TouchAnswer;

use super::show::Row;

impl Row for TouchAnswer {
    const HEAD: &'static str = "engagement\tkind\tat\towner\tmember\ttitle";

    fn cells(&self) -> Vec<String> {
        vec![
            self.engagement.to_string(),
            self.kind.to_string(),
            self.at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            self.owner
                .map(|owner| owner.to_string())
                .unwrap_or_default(),
            self.member
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            self.title.clone().unwrap_or_default(),
        ]
    }
}
