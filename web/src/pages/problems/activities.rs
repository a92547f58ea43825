//! Activities that are not on HubSpot’s timeline, by the reason (E8, X1).

use std::collections::BTreeMap;

use domain::{
    api::RetryReason,
    app::{Person, PersonId},
};
use maud::{Markup, html};
use store::{ActivityRow, Listed, ReasonCount};

use crate::{
    pages::{
        activities::kind_name,
        guard::Visit,
        head::Head,
        parts::{action, count, csrf, fold, when},
        people::name_of,
        reasons,
        refused::Refused,
        routes,
    },
    state::App,
};

/// What the address calls them.
pub(super) const OF: &str = "activities";

/// A reason with the newest of its activities.
pub(super) struct Group {
    pub(super) count: ReasonCount,
    pub(super) rows: Vec<Listed<ActivityRow>>,
}

/// All reasons that activities have now, or one.
pub(super) async fn groups(
    app: &App,
    visit: &Visit,
    wanted: &[RetryReason],
    limit: u32,
) -> Result<Vec<Group>, Refused> {
    let (store, workspace) = (&app.parts()?.store, visit.workspace());
    let mut groups = Vec::new();
    for count in store.count_activity_reasons(workspace, wanted).await? {
        let rows = store
            .activities_with(workspace, count.reason, limit)
            .await?;
        groups.push(Group { count, rows });
    }
    Ok(groups)
}

/// About whom they are.
pub(super) fn people(groups: &[Group]) -> impl Iterator<Item = &PersonId> {
    let rows = groups.iter().flat_map(|group| &group.rows).flatten();
    rows.map(|row| &row.activity.person)
}

pub(super) fn shown(
    visit: &Visit,
    head: &Head,
    group: &Group,
    people: &BTreeMap<PersonId, Person>,
    open: bool,
) -> Markup {
    let reason = group.count.reason;
    let words = reasons::of(reason);
    let can_retry = visit.may_change() && reasons::can_be_retried(reason);
    let id = format!("{OF}-{}", reason.as_str());
    let total = count(group.count.requests, group.count.more);
    let table = html! {
        table .table {
            caption .sr { "Activities" }
            thead { tr {
                th scope="col" { "Person" }
                th scope="col" { "Activity" }
                th scope="col" { "Since" }
                th scope="col" { span .sr { "Actions" } }
            } }
            tbody { @for row in &group.rows { (activity(can_retry, visit, head, row, people)) } }
        }
        @if (group.rows.len() as u64) < group.count.requests {
            p .hint {
                @if open { "The newest " (group.rows.len()) " of " (total) " are shown." }
                @else { a href={ (routes::PROBLEMS) "?of=" (OF) "&reason=" (reason.as_str()) } { "Show all " (total) } }
            }
        }
    };
    html! {
        section .card id=(id) aria-labelledby={ (id) "-title" } {
            div .row {
                div {
                    h2 id={ (id) "-title" } { "Activities: " (words.title) " " span .count { (total) } }
                    p .hint { (words.way_out) }
                }
                @if can_retry {
                    div .row .end {
                        (action(visit, routes::PROBLEMS_RETRY_ALL, "small", html! { @if group.count.requests == 1 { "Retry" } @else { "Retry all " (total) } }, &[("of", OF), ("reason", reason.as_str())]))
                    }
                }
            }
            div { (fold(open || group.count.requests <= super::OPEN, "Activities", &table)) }
        }
    }
}

fn activity(
    can_retry: bool,
    visit: &Visit,
    head: &Head,
    row: &Listed<ActivityRow>,
    people: &BTreeMap<PersonId, Person>,
) -> Markup {
    let Ok(row) = row else {
        return html! { tr { th scope="row" { "An activity that cannot be read" } td { code { "HS-2217" } } td {} td {} } };
    };
    let person = &row.activity.person;
    let name = people
        .get(person)
        .map_or_else(|| person.to_string(), name_of);
    let kind = row
        .activity
        .kind
        .map_or("Activity", |kind| kind_name(kind).0);
    html! {
        tr {
            th scope="row" { a href={ (routes::PEOPLE) "/" (person) } { bdi { (name) } } }
            td data-l="Activity" {
                (kind)
                span .sub {
                    code { (row.activity.id) }
                    @if let Some(code) = &row.error_code { " · " code { (code) } }
                }
            }
            td data-l="Since" { (when(row.turned_at, head.now)) }
            td .act {
                @if can_retry {
                    form method="post" action=(routes::PROBLEMS_RETRY) {
                        (csrf(visit))
                        input type="hidden" name="activity" value=(row.activity.id);
                        button .btn .small aria-label={ "Retry: " (kind) ", " (name) } { "Retry" }
                    }
                }
            }
        }
    }
}
