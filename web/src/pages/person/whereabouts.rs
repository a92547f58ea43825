//! The first line about a person: in HubSpot or not, and why (E1, E9).

use domain::{
    api::RetryReason,
    export::{RequestKind, RequestOutcome, SkipReason, Standing, Whereabouts, whereabouts},
};
use maud::{Markup, html};
use store::ExportRow;

use super::Facts;
use crate::pages::{basic_sync::policy_name, reasons};

/// Whether a request is to bring the person themselves to HubSpot.
const fn exports(row: &ExportRow) -> bool {
    matches!(
        row.kind,
        RequestKind::Policy | RequestKind::Manual | RequestKind::Bulk
    )
}

pub(super) fn said(facts: &Facts) -> Markup {
    let (person, standing) = (&facts.person, &facts.standing);
    let of_person = || {
        facts
            .requests
            .iter()
            .filter(|row| row.kind != RequestKind::Activity)
    };
    let policy = standing.settings.export.policy;
    let linked = facts.profile.as_ref().is_ok_and(|p| p.link.is_some());
    let stands = whereabouts(
        &Standing {
            settings_saved: standing.settings_saved,
            policy,
            in_force_since: standing
                .in_force_since
                .unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC),
            outreach: &person.outreach,
            has_email: person.email.is_some(),
            erased: false,
            exported: of_person().any(|row| matches!(row.outcome, RequestOutcome::Exported { .. })),
        },
        of_person().any(|row| row.outcome == RequestOutcome::Accepted),
        linked,
    );
    let last = of_person().find(|row| exports(row)).map(|row| &row.outcome);
    html! {
        @match (stands, last) {
            (Whereabouts::Exported, _) => { "Exported by the app." }
            (Whereabouts::OnItsWay, _) => { "On its way to HubSpot." }
            (Whereabouts::FoundThere, _) => { "In HubSpot, never exported by the app." }
            (_, Some(RequestOutcome::Failed { reason })) => {
                "Not exported: " (reasons::of(RetryReason::Failed(*reason)).title) "."
            }
            (_, Some(RequestOutcome::Waiting { reason, .. })) => {
                "Not exported yet. " (reasons::of(RetryReason::Waiting(*reason)).title) "."
            }
            (Whereabouts::LeftOut(reason), _) => { "Not exported: " (why_not(reason, policy_name(policy))) "." }
            (Whereabouts::Ready, Some(RequestOutcome::Skipped { reason })) => {
                "Not exported: " (reasons::of(RetryReason::Skipped(*reason)).title) "."
            }
            (Whereabouts::Ready, _) => { "Not exported yet: ready to export." }
        }
    }
}

fn why_not(reason: SkipReason, policy: &str) -> String {
    let lacks = match reason {
        SkipReason::NotContacted => "was not contacted",
        SkipReason::NotReplied => "has not replied",
        SkipReason::NotRepliedPositively => "has not replied positively",
        SkipReason::NoEmail => return "has no e-mail".to_owned(),
        SkipReason::SettingsNotSaved => return "the export settings were not saved yet".to_owned(),
        SkipReason::QualifiedEarlier => {
            return "qualified before the policy was in force; Export now or a bulk export does it"
                .to_owned();
        }
        other => return reasons::of(RetryReason::Skipped(other)).title.to_owned(),
    };
    format!("{lacks}; policy is {policy}")
}
