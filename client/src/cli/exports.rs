//! Requests to export, as they are shown (X1, X10).

use domain::{
    api::{ExportSummary, RequestAnswer, RetryAnswer},
    export::{RequestOutcome, SkipReason},
};

use super::{
    failure::Failure,
    output::{clean, count},
    show::{Answer, Row, print, print_json},
};

impl Row for RequestAnswer {
    const HEAD: &'static str =
        "request\tmade\tkind\tperson\tstate\treason\tHubSpot\tcode\tproperties";

    fn cells(&self) -> Vec<String> {
        let hubspot_id = match self.outcome {
            RequestOutcome::Exported { hubspot_id } => hubspot_id.to_string(),
            _ => String::new(),
        };
        vec![
            self.request.to_string(),
            self.requested_at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            self.kind.to_string(),
            self.person
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            self.outcome.state().to_string(),
            self.outcome.reason().unwrap_or_default().to_owned(),
            hubspot_id,
            self.code
                .as_ref()
                .map(|code| code.as_str().to_owned())
                .unwrap_or_default(),
            clean(&self.properties.join(", ")),
        ]
    }
}

/// A request as a line of the list.
pub(crate) fn show_one(request: &RequestAnswer, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(request);
    }
    print(RequestAnswer::HEAD)?;
    print(&request.cells().join("\t"))
}

impl Answer for RetryAnswer {
    fn text(&self) -> String {
        let more = if self.more {
            "; there are more, run it again"
        } else {
            ""
        };
        format!("{} requests go on again{more}", count(self.retried))
    }
}

impl Answer for ExportSummary {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        lines.push(match self.in_force_since {
            Some(since) => format!("policy {}, in force since {}", self.policy, since.to_rfc3339()),
            None if self.settings_saved => {
                format!("policy {}, not in force: the workspace was never connected", self.policy)
            }
            None => format!(
                "policy {}, not in force: nothing is exported by itself before the settings are saved",
                self.policy
            ),
        });
        let qualifying = self.qualifying;
        lines.push(format!(
            "{}{} qualify and were not exported, {} of them before the policy was in force",
            if qualifying.more { "more than " } else { "" },
            count(qualifying.people),
            count(qualifying.qualified_earlier)
        ));
        lines.push(format!("accepted\t{}", count(self.accepted)));
        for (reason, requests) in &self.waiting {
            lines.push(format!("waiting\t{reason}\t{}", count(*requests)));
        }
        for (reason, requests) in &self.failed {
            let code = reason.code();
            lines.push(format!("failed\t{reason}\t{}\t{code}", count(*requests)));
        }
        for (reason, requests) in &self.skipped {
            let code = SkipReason::code(reason);
            lines.push(format!("skipped\t{reason}\t{}\t{code}", count(*requests)));
        }
        if let Some(oldest) = self.oldest_pending {
            lines.push(format!(
                "oldest that is not in HubSpot\t{}",
                oldest.to_rfc3339()
            ));
        }
        lines.join("\n")
    }
}
