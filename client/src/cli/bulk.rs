//! Bulk exports: begun, looked at, confirmed, cancelled (E1).

use std::{path::PathBuf, time::Duration};

use domain::{
    BulkId, WorkspaceId,
    api::{BulkAnswer, BulkStart, BulkWhom},
    app::PersonId,
    export::BulkState,
};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    args::Service,
    failure::Failure,
    output::count,
    show::{Answer, print_json_line, show},
};

/// How often a run is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BulkWork {
    /// Begins one, and waits until it is known who would be taken.
    Start { whom: BulkOf, include_earlier: bool },
    /// Shows one.
    Show { bulk: BulkId, watch: bool },
    /// Confirms one.
    Confirm { bulk: BulkId, watch: bool },
    /// Cancels one.
    Cancel { bulk: BulkId },
}

/// Whom one is about.
#[derive(PartialEq, Eq)]
pub(crate) enum BulkOf {
    People(Vec<PersonId>),
    File(PathBuf),
    Campaign(String),
    QualifiedEarlier,
    Exported,
}

impl std::fmt::Debug for BulkOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkOf").finish_non_exhaustive()
    }
}

/// Does what is asked for.
pub(crate) async fn run(
    service: &Service,
    workspace: WorkspaceId,
    work: BulkWork,
    json: bool,
) -> Result<(), Failure> {
    let failed = |error| Failure::of(service, error);
    let sync = &service.client;
    match work {
        BulkWork::Start {
            whom,
            include_earlier,
        } => {
            let start = BulkStart {
                whom: whom_of(whom)?,
                include_earlier,
            };
            let begun = sync.start_bulk_export(workspace, &start, None).await;
            let bulk = begun.map_err(failed)?.bulk;
            let known = |answer: &BulkAnswer| answer.state != BulkState::Previewing;
            let answer = watch(service, workspace, bulk, json, known).await?;
            show(&answer, json)
        }
        BulkWork::Show { bulk, watch: false } => {
            let answer = sync.get_bulk_export(workspace, bulk).await;
            show(&answer.map_err(failed)?, json)
        }
        BulkWork::Show { bulk, watch: true } => {
            let answer = watch(service, workspace, bulk, json, is_over).await?;
            show(&answer, json)
        }
        BulkWork::Confirm { bulk, watch: stays } => {
            let confirmed = sync.confirm_bulk_export(workspace, bulk).await;
            let mut answer = confirmed.map_err(failed)?;
            if stays {
                answer = watch(service, workspace, bulk, json, is_over).await?;
            }
            show(&answer, json)
        }
        BulkWork::Cancel { bulk } => {
            let answer = sync.cancel_bulk_export(workspace, bulk).await;
            show(&answer.map_err(failed)?, json)
        }
    }
}

fn whom_of(whom: BulkOf) -> Result<BulkWhom, Failure> {
    Ok(match whom {
        BulkOf::People(people) => BulkWhom::People { people },
        BulkOf::Campaign(campaign) => BulkWhom::Campaign { campaign },
        BulkOf::QualifiedEarlier => BulkWhom::QualifiedEarlier,
        BulkOf::Exported => BulkWhom::Exported,
        BulkOf::File(path) => {
            let text = std::fs::read_to_string(&path).map_err(Failure::Input)?;
            let mut people = Vec::new();
            for (n, line) in text.lines().enumerate() {
                let id = line.trim();
                if id.is_empty() {
                    continue;
                }
                let person: PersonId = id.parse().map_err(|_| {
                    Failure::NotDone(format!("line {} of the file is no id of the app's", n + 1))
                })?;
                people.push(person);
            }
            BulkWhom::People { people }
        }
    })
}

/// Whether nothing more is to come: it is over, and nobody of it goes on.
fn is_over(answer: &BulkAnswer) -> bool {
    match answer.state {
        BulkState::Done | BulkState::Cancelled => answer.counts.going_on == 0,
        BulkState::WaitingForConfirmation => true,
        // Nobody sits there until tomorrow.
        BulkState::Running => answer.waits_until.is_some(),
        BulkState::Previewing | BulkState::Cancelling => false,
    }
}

/// Looks at a run until it is as wanted. In JSON a line each time that something is new; a bar elsewhere.
async fn watch(
    service: &Service,
    workspace: WorkspaceId,
    bulk: BulkId,
    json: bool,
    enough: impl Fn(&BulkAnswer) -> bool,
) -> Result<BulkAnswer, Failure> {
    let bar = if json {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(0)
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let mut last: Option<BulkAnswer> = None;
    loop {
        let answer = service.client.get_bulk_export(workspace, bulk).await;
        let answer = answer.map_err(|error| Failure::of(service, error))?;
        bar.set_length(answer.people);
        bar.set_position(match answer.state {
            BulkState::Previewing => 0,
            _ => answer.counts.ended(),
        });
        bar.set_message(line(&answer));
        if enough(&answer) {
            bar.finish_and_clear();
            return Ok(answer);
        }
        if json && last.as_ref() != Some(&answer) {
            print_json_line(&answer)?;
        }
        last = Some(answer);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How far it is, in a line.
fn line(answer: &BulkAnswer) -> String {
    let counts = &answer.counts;
    let mut text = answer.state.to_string();
    if answer.state == BulkState::Previewing {
        return text;
    }
    text.push_str(&format!(
        ": {} exported, {} left out, {} failed, {} wait",
        count(counts.exported),
        count(counts.skipped.values().sum()),
        count(counts.failed.values().sum()),
        count(counts.waiting.values().sum()),
    ));
    if let Some(seconds) = answer.seconds_left {
        text.push_str(&format!(", {seconds} s left"));
    }
    text
}

impl Answer for BulkAnswer {
    fn text(&self) -> String {
        let mut lines = vec![
            format!("bulk export {}", self.bulk),
            format!("{} people; {}", count(self.people), line(self)),
        ];
        if let Some(until) = self.waits_until {
            lines.push(format!("goes on at {}", until.to_rfc3339()));
        }
        match self.state {
            BulkState::Previewing | BulkState::WaitingForConfirmation => {
                lines.push(format!("to create\t{}", count(self.preview.create)));
                lines.push(format!("to update\t{}", count(self.preview.update)));
                for (reason, people) in &self.preview.skipped {
                    let code = reason.code();
                    lines.push(format!("left out\t{reason}\t{}\t{code}", count(*people)));
                }
                for one in &self.sample {
                    lines.push(format!("\n{}", one.person));
                    lines.push(one.preview.text());
                }
            }
            BulkState::Running | BulkState::Cancelling | BulkState::Cancelled | BulkState::Done => {
                for (reason, people) in &self.counts.waiting {
                    lines.push(format!("waiting\t{reason}\t{}", count(*people)));
                }
                for (reason, people) in &self.counts.skipped {
                    let code = reason.code();
                    lines.push(format!("skipped\t{reason}\t{}\t{code}", count(*people)));
                }
                for (reason, people) in &self.counts.failed {
                    let code = reason.code();
                    lines.push(format!("failed\t{reason}\t{}\t{code}", count(*people)));
                }
                lines.push(format!("not begun\t{}", count(self.counts.not_begun)));
            }
        }
        lines.join("\n")
    }

    fn note(&self) -> Option<String> {
        (self.state == BulkState::WaitingForConfirmation).then(|| {
            format!(
                "nothing is written yet; `hubspot-sync exports bulk confirm {}` begins",
                self.bulk
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(state: &str) -> BulkAnswer {
        serde_json::from_value(serde_json::json!({
            "bulk": "01890a5d-ac96-774b-bcce-b302099a8057", "state": state, "include_earlier": false,
            "people": 12, "requested_at": "2026-03-01T00:00:00Z", "confirmed_at": null, "ended_at": null,
            "waits_until": null, "preview": {"create": 9, "update": 1, "skipped": {"no_email": 2}},
            "counts": {"begun": 3, "exported": 2, "skipped": {"no_email": 1}, "failed": {}, "waiting": {},
                "going_on": 0, "not_begun": 9},
            "seconds_left": null,
        }))
        .unwrap()
    }

    #[test]
    fn before_it_is_confirmed_it_says_who_would_be_taken_and_how_to_go_on() {
        let waits = answer("waiting_for_confirmation");
        let text = waits.text();
        assert!(
            text.contains("to create\t9") && text.contains("no_email\t2\tHS-2401"),
            "{text}"
        );
        assert!(waits.note().unwrap().contains("confirm 01890a5d"));
        assert!(is_over(&waits) && !is_over(&answer("previewing")));
    }

    #[test]
    fn afterwards_it_says_what_became_of_them() {
        let over = answer("cancelled");
        let text = over.text();
        assert!(text.contains("cancelled: 2 exported, 1 left out"), "{text}");
        assert!(text.contains("not begun\t9"), "{text}");
        assert!(is_over(&over) && !is_over(&answer("running")));
        assert_eq!(over.note(), None);
    }
}
