//! Exports of one person (E1), previews (E9), the journal and reverts (E10).

use std::time::{Duration, Instant};

use domain::{
    WorkspaceId,
    api::{
        ExportPreview, JournalCause, JournalEntry, JournalOperation, JournalState, ManualExport,
        PreviewAction, RecordPreview, RequestAnswer, RevertAnswer, WhyPreview,
    },
    export::{RequestOutcome, RequestState, RevertState},
};

use super::{
    args::Service,
    failure::Failure,
    output::clean,
    show::{Answer, Row, show},
};

/// How long `--wait` stays.
const WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Asks to export a person, and waits for the end if asked for.
pub(crate) async fn person(
    service: &Service,
    workspace: WorkspaceId,
    asked: &ManualExport,
    wait: bool,
    json: bool,
) -> Result<(), Failure> {
    let failed = |error| Failure::of(service, error);
    let answer = service
        .client
        .export_person(workspace, asked, None)
        .await
        .map_err(failed)?;
    let Some(mut request) = answer.requests.into_iter().next() else {
        return Err(Failure::NotDone("the answer has no request".to_owned()));
    };
    let began = Instant::now();
    while wait && !request.outcome.state().is_final() && began.elapsed() < WITHIN {
        tokio::time::sleep(LOOK_EVERY).await;
        request = service
            .client
            .get_export(workspace, request.request)
            .await
            .map_err(failed)?;
    }
    show(&request, json)?;
    match request.outcome.state() {
        RequestState::Skipped => Err(Failure::NotDone("the person was left out".to_owned())),
        RequestState::Failed => Err(Failure::NotDone("the export failed".to_owned())),
        RequestState::Accepted | RequestState::Waiting if wait => Err(Failure::NotDone(
            "the export has not ended yet; it goes on without this command".to_owned(),
        )),
        _ => Ok(()),
    }
}

impl Answer for RequestAnswer {
    fn text(&self) -> String {
        let state = self.outcome.state();
        let outcome = match &self.outcome {
            RequestOutcome::Accepted => state.to_string(),
            RequestOutcome::Exported { hubspot_id } => format!("{state}: {hubspot_id}"),
            RequestOutcome::Waiting { reason, due } => match due {
                Some(due) => format!("{state}: {reason}, again at {due}"),
                None => format!("{state}: {reason}"),
            },
            RequestOutcome::Skipped { reason } => {
                format!("{state}: {reason} ({})", reason.code())
            }
            RequestOutcome::Failed { reason } => format!("{state}: {reason} ({})", reason.code()),
        };
        let mut text = format!("request {}\n{outcome}", self.request);
        if !self.properties.is_empty() {
            let code = self
                .code
                .as_ref()
                .map(|code| format!(" ({})", code.as_str()));
            let names = clean(&self.properties.join(", "));
            text.push_str(&format!(
                "\nproperties{}: {names}",
                code.unwrap_or_default()
            ));
        }
        text
    }
}

impl Answer for ExportPreview {
    fn text(&self) -> String {
        let mut lines = record_lines("contact", &self.contact);
        if self.may_become_marketing_contact {
            lines.push("may become a marketing contact, by the portal's own setting".to_owned());
        }
        if let Some(company) = &self.company {
            lines.extend(record_lines("company", company));
        }
        if let Some(why) = &self.no_company {
            lines.push(format!("no company: {}", why_text(why)));
        }
        lines.join("\n")
    }
}

fn record_lines(of: &str, record: &RecordPreview) -> Vec<String> {
    let action = match record.action {
        PreviewAction::Create => "create",
        PreviewAction::Adopt => "link and update",
        PreviewAction::Update => "update",
        PreviewAction::Nothing => "nothing to write",
        PreviewAction::Skip => "left out",
    };
    let mut first = format!("{of}: {action}");
    if let Some(id) = record.hubspot_id {
        first.push_str(&format!(" {id}"));
    }
    if let Some(why) = &record.reason {
        first.push_str(&format!(": {}", why_text(why)));
    }
    let changes = record.changes.iter().map(|change| {
        format!(
            "  {}: {} -> {}",
            clean(&change.property),
            shown_value(change.old.as_deref()),
            shown_value(Some(&change.new))
        )
    });
    let left = record.left_out.iter().map(|left| {
        format!(
            "  {}: not written, {}",
            clean(&left.property),
            why_text(&left.why)
        )
    });
    let others = record
        .others
        .iter()
        .map(|other| format!("  HubSpot has {other} of the same domain, too"));
    std::iter::once(first)
        .chain(changes)
        .chain(left)
        .chain(others)
        .collect()
}

fn why_text(why: &WhyPreview) -> String {
    let mut text = clean(&why.reason);
    if let Some(code) = &why.code {
        text.push_str(&format!(" ({})", code.as_str()));
    }
    if !why.properties.is_empty() {
        text.push_str(&format!(": {}", clean(&why.properties.join(", "))));
    }
    text
}

fn shown_value(value: Option<&str>) -> String {
    value.map_or_else(|| "-".to_owned(), clean)
}

impl Row for JournalEntry {
    const HEAD: &'static str = "entry\tat\tstate\twhy\twhat\trecord\tproperties";

    fn cells(&self) -> Vec<String> {
        let state = match self.state {
            JournalState::Open => "open",
            JournalState::Done => "done",
            JournalState::Refused => "refused",
            JournalState::Dropped => "dropped",
        };
        let why = match &self.cause {
            JournalCause::Request { kind } => kind.to_string(),
            JournalCause::Company => "company".to_owned(),
            JournalCause::Repair => "repair".to_owned(),
            JournalCause::Revert { entry } => format!("revert of {entry}"),
        };
        let what = match self.operation {
            JournalOperation::Create => "create",
            JournalOperation::Update => "update",
            JournalOperation::Empty => "empty",
            JournalOperation::Associate => "associate",
            JournalOperation::Archive => "archive",
        };
        let record = match (self.hubspot_id, self.company) {
            (Some(contact), Some(company)) => format!("{contact} with {company}"),
            (Some(id), None) => format!("{} {id}", self.record_type),
            (None, _) => self.record_type.to_string(),
        };
        let properties: Vec<String> = self
            .properties
            .iter()
            .map(|p| {
                format!(
                    "{}: {} -> {}",
                    p.property,
                    p.old.as_deref().unwrap_or("-"),
                    p.new.as_deref().unwrap_or("-")
                )
            })
            .collect();
        vec![
            self.entry.to_string(),
            self.opened_at
                .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            state.to_owned(),
            why,
            what.to_owned(),
            record,
            properties.join("; "),
        ]
    }
}

impl Answer for RevertAnswer {
    fn text(&self) -> String {
        let state = match (self.state, &self.code) {
            (RevertState::Accepted, _) => "accepted: it is written when it is its turn".to_owned(),
            (RevertState::Done, _) => "done".to_owned(),
            (RevertState::Refused, Some(code)) => format!("refused ({})", code.as_str()),
            (RevertState::Refused, None) => "refused".to_owned(),
        };
        format!("revert {}\n{state}", self.revert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_says_what_each_property_becomes_and_why_one_is_left() {
        let preview: ExportPreview = serde_json::from_value(serde_json::json!({
            "contact": {
                "action": "update", "hubspot_id": 7,
                "changes": [{"property": "jobtitle", "old": "Head", "new": "Boss\u{7}",
                    "rule": {"by": "fixed"}, "behavior": "overwrite"}],
                "left_out": [{"property": "city", "rule": {"by": "fixed"}, "reason": "unchanged"}],
                "others": [],
            },
            "company": null,
            "no_company": {"reason": "free_mail", "code": "HS-2431"},
            "may_become_marketing_contact": false,
        }))
        .unwrap();
        let text = preview.text();
        for part in [
            "contact: update 7",
            "  jobtitle: Head -> Boss",
            "  city: not written, unchanged",
            "no company: free_mail (HS-2431)",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\u{7}'));
    }

    #[test]
    fn an_entry_is_a_line() {
        let entry: JournalEntry = serde_json::from_value(serde_json::json!({
            "entry": "01890a5d-ac96-774b-bcce-b302099a8057", "person": "p1",
            "about": {"kind": "person", "id": "p1"}, "cause": {"why": "request", "kind": "manual"},
            "operation": "update", "record_type": "contact", "hubspot_id": 7,
            "properties": [{"property": "jobtitle", "rule": null, "old": "Head", "new": "Boss",
                "can_revert": true}],
            "state": "done", "opened_at": "2026-01-05T08:00:00Z", "sent_at": null,
            "closed_at": "2026-01-05T08:00:01Z",
        }))
        .unwrap();
        let cells = entry.cells();
        assert_eq!(cells.len(), JournalEntry::HEAD.split('\t').count());
        assert_eq!(cells[2..4], ["done", "manual"]);
        assert_eq!(cells[6], "jobtitle: Head -> Boss");
    }
}
