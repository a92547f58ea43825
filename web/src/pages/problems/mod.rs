//! Problems: what could not be done, by reason, each with what to do (E9, X1).

mod activities;

use std::collections::BTreeMap;

use axum::{
    Router,
    extract::State,
    http::header,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use chrono::Utc;
use domain::{
    api::RetryReason,
    app::{ActivityId, Person, PersonId},
    entry::PageEvent,
    export::{RequestId, RequestState},
};
use maud::{Markup, html};
use serde::Deserialize;
use store::{ExportRow, Listed, ReasonCount, SetAside};

use crate::{
    api::exports::{self, SKIPPED_FOR},
    pages::{
        frame::{Done, SettingsPage, Width},
        guard::{Address, Sent, Visit},
        head::{Head, type_name},
        parts::{Tone, action, count, empty, fold, icon, pill, when, wide_heading},
        people::name_of,
        reasons,
        refused::Refused,
        routes,
    },
    problem::Refusal,
    state::App,
};

/// Requests of each reason that are shown at once.
const SHOWN: u32 = 10;
/// Requests of the one reason that was asked for.
const SHOWN_OF_ONE: u32 = 100;
/// Groups up to this size are open by themselves.
const OPEN: u64 = 5;
/// Activities of a reason that go on again at once.
const AT_ONCE: u32 = 1_000;
/// Rows of a download, for each reason.
const DOWNLOADED: u32 = 10_000;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route(routes::PROBLEMS, get(show))
        .route(routes::PROBLEMS_CSV, get(download))
        .route(routes::PROBLEMS_RETRY, post(retry))
        .route(routes::PROBLEMS_RETRY_ALL, post(retry_all))
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    done: String,
    /// One reason with all of its requests.
    #[serde(default)]
    reason: String,
    /// The reason is one of activities.
    #[serde(default)]
    of: String,
    /// All requests of a state, as the overview counts them.
    #[serde(default)]
    state: String,
}

/// What the page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// What somebody may want to do something about.
    Problems,
    One(RetryReason),
    State(RequestState),
}

impl Shows {
    fn of(asked: &Asked) -> Self {
        match (asked.reason.parse(), asked.state.as_str()) {
            (Ok(reason), _) => Self::One(reason),
            (_, "waiting") => Self::State(RequestState::Waiting),
            (_, "failed") => Self::State(RequestState::Failed),
            (_, "left-out") => Self::State(RequestState::Skipped),
            _ => Self::Problems,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::State(RequestState::Waiting) => "Exports that wait",
            Self::State(RequestState::Failed) => "Exports that failed",
            Self::State(RequestState::Skipped) => "Exports that were left out",
            _ => "Problems",
        }
    }

    const fn lead(self) -> &'static str {
        match self {
            Self::State(RequestState::Waiting) => {
                "By the reason. They go on by themselves when they may."
            }
            Self::State(RequestState::Skipped) => "In the last 30 days, by the reason.",
            _ => "What could not be done, by reason. Nothing here is lost.",
        }
    }

    const fn nothing(self) -> &'static str {
        match self {
            Self::State(RequestState::Waiting) => "Nothing waits.",
            Self::State(RequestState::Failed) => "Nothing failed.",
            Self::State(RequestState::Skipped) => "Nobody was left out in the last 30 days.",
            Self::One(_) => "Nobody has this reason now.",
            _ => {
                "Everything that was asked for is in HubSpot, is on its way, or was left out by your own rules."
            }
        }
    }
}

/// Where all requests of a state are listed.
pub(crate) fn of_state(state: &str) -> String {
    format!("{}?state={state}", routes::PROBLEMS)
}

/// A reason with the newest of its requests.
struct Group {
    count: ReasonCount,
    rows: Vec<Listed<ExportRow>>,
}

async fn show(
    State(app): State<App>,
    visit: Visit,
    Address(asked): Address<Asked>,
) -> Result<Response, Refused> {
    let store = &app.parts()?.store;
    let head = Head::of(&app, visit.workspace()).await?;
    let shows = Shows::of(&asked);
    let of_activities = asked.of == activities::OF;
    let (requests, activities) = match shows {
        Shows::Problems => (reasons::to_look_at(), reasons::of_activities()),
        Shows::State(state) => (reasons::of_state(state), Vec::new()),
        Shows::One(one) if of_activities => (Vec::new(), vec![one]),
        Shows::One(one) => (vec![one], Vec::new()),
    };
    let one = matches!(shows, Shows::One(_));
    let limit = if one { SHOWN_OF_ONE } else { SHOWN };
    // As the overview counts them.
    let since = (shows == Shows::State(RequestState::Skipped)).then(|| head.now - SKIPPED_FOR);
    let mut groups = Vec::new();
    for count in store
        .count_reasons(visit.workspace(), &requests, since)
        .await?
    {
        let mut rows = store
            .export_requests_with(visit.workspace(), count.reason, limit)
            .await?;
        // They are the newest ones: the older ones do not count.
        rows.truncate(usize::try_from(count.requests).unwrap_or(usize::MAX));
        groups.push(Group { count, rows });
    }
    let activities = activities::groups(&app, &visit, &activities, limit).await?;
    let people: Vec<PersonId> = groups
        .iter()
        .flat_map(|g| &g.rows)
        .filter_map(|row| row.as_ref().ok()?.person.clone())
        .chain(activities::people(&activities).cloned())
        .collect();
    let people = store.people_among(visit.workspace(), &people).await?;
    let aside = match head.status.portal {
        Some(portal)
            if shows == Shows::Problems
                && head.status.objects.iter().any(|o| o.quarantined > 0) =>
        {
            store.set_aside(visit.workspace(), portal, SHOWN).await?
        }
        _ => Vec::new(),
    };
    let content = html! {
        (wide_heading(html! {
            (shows.title())
            @if shows == Shows::Problems && head.problems.open > 0 {
                " " span .count { (count(head.problems.open, head.problems.more)) }
            }
        }, shows.lead(), &html! {
            @if !groups.is_empty() { a .btn href=(routes::PROBLEMS_CSV) { "Download CSV" } }
        }))
        @if shows != Shows::Problems { p { a href=(routes::PROBLEMS) { "All problems" } } }
        @if groups.is_empty() && activities.is_empty() && aside.is_empty() {
            (empty((shows == Shows::Problems).then(|| pill(Tone::Ok, icon::CHECK, "No problems")), shows.nothing(),
                Some(html! { a .btn href=(routes::PEOPLE) { "Look somebody up" } })))
        }
        div .stack {
            @for group in groups.iter().filter(|g| is_problem(g.count)) { (shown(&visit, &head, group, &people, one)) }
            @for group in activities.iter().filter(|g| is_problem(g.count)) { (activities::shown(&visit, &head, group, &people, one)) }
            @if !aside.is_empty() { (quarantine(&head, &aside)) }
            @if shows == Shows::Problems && (groups.iter().any(|g| !is_problem(g.count)) || activities.iter().any(|g| !is_problem(g.count))) {
                p .muted { "Waits by itself or was left out; not counted as problems:" }
            }
            @for group in groups.iter().filter(|g| !is_problem(g.count)) { (shown(&visit, &head, group, &people, one)) }
            @for group in activities.iter().filter(|g| !is_problem(g.count)) { (activities::shown(&visit, &head, group, &people, one)) }
        }
    };
    let done = match asked.done.as_str() {
        "retried" => Some(Done::Retried),
        "retried-some" => Some(Done::RetriedSome),
        _ => None,
    };
    Ok(SettingsPage {
        width: Width::Wide,
        done,
        ..SettingsPage::new(&visit, &head, routes::PROBLEMS, shows.title(), content)
    }
    .into_response())
}

/// Whether the navigation counts it.
const fn is_problem(count: ReasonCount) -> bool {
    matches!(count.reason, RetryReason::Failed(_))
}

fn shown(
    visit: &Visit,
    head: &Head,
    group: &Group,
    people: &BTreeMap<PersonId, Person>,
    open: bool,
) -> Markup {
    let reason = group.count.reason;
    let words = reasons::of(reason);
    let can_retry = visit.may_change() && reasons::can_be_retried(reason);
    let id = reason.as_str();
    let total = count(group.count.requests, group.count.more);
    let table = html! {
        table .table {
            caption .sr { "People" }
            thead { tr {
                th scope="col" { "Person" }
                th scope="col" { "What it is about" }
                th scope="col" { "Since" }
                th scope="col" { span .sr { "Actions" } }
            } }
            tbody { @for row in &group.rows { (request(can_retry, visit, head, row, people)) } }
        }
        @if (group.rows.len() as u64) < group.count.requests {
            p .hint {
                @if open { "The newest " (group.rows.len()) " of " (total) " are shown; the download has more." }
                @else { a href={ (routes::PROBLEMS) "?reason=" (id) } { "Show all " (total) } }
            }
        }
    };
    html! {
        section .card id=(id) aria-labelledby={ (id) "-title" } {
            div .row {
                div {
                    h2 id={ (id) "-title" } { (words.title) " " span .count { (total) } }
                    p .hint { (words.way_out) }
                }
                @if can_retry {
                    div .row .end {
                        (action(visit, routes::PROBLEMS_RETRY_ALL, "small", html! { @if group.count.requests == 1 { "Retry" } @else { "Retry all " (total) } }, &[("reason", id)]))
                    }
                }
            }
            div { (fold(open || group.count.requests <= OPEN, "People", &table)) }
        }
    }
}

fn request(
    can_retry: bool,
    visit: &Visit,
    head: &Head,
    row: &Listed<ExportRow>,
    people: &BTreeMap<PersonId, Person>,
) -> Markup {
    let Ok(row) = row else {
        return html! { tr { th scope="row" { "A request that cannot be read" } td { code { "HS-2217" } } td {} td {} } };
    };
    let known = row.person.as_ref().and_then(|id| people.get(id));
    let name = match (known, &row.person) {
        (Some(person), _) => name_of(person),
        (None, Some(id)) => id.to_string(),
        (None, None) => "Erased".to_owned(),
    };
    let id = row.request.to_string();
    html! {
        tr {
            th scope="row" {
                @match &row.person {
                    Some(person) => { a href={ (routes::PEOPLE) "/" (person) } { bdi { (name) } } }
                    None => { (name) }
                }
            }
            td data-l="What it is about" {
                (kind_name(row.kind))
                @for property in &row.properties { " · " code { (property) } }
                @if let Some(code) = &row.code { span .sub { code { (code) } } }
            }
            td data-l="Since" { (when(row.changed_at, head.now)) }
            td .act {
                @if can_retry && row.person.is_some() {
                    form method="post" action=(routes::PROBLEMS_RETRY) {
                        (crate::pages::parts::csrf(visit))
                        input type="hidden" name="request" value=(id);
                        button .btn .small aria-label={ "Retry " (name) } { "Retry" }
                    }
                }
            }
        }
    }
}

/// What a request is, as people call it.
pub(crate) const fn kind_name(kind: domain::export::RequestKind) -> &'static str {
    use domain::export::RequestKind as K;
    match kind {
        K::Policy => "Export by the policy",
        K::FieldChange => "Changed fields",
        K::Manual => "Export by hand",
        K::Bulk => "Bulk export",
        K::Status => "Status",
        K::Activity => "Activity",
    }
}

fn quarantine(head: &Head, aside: &[SetAside]) -> Markup {
    let counts = head.status.objects.iter().filter(|o| o.quarantined > 0);
    let total: u64 = counts.clone().map(|o| o.quarantined).sum();
    let table = html! {
        table .table {
            caption .sr { "Records" }
            thead { tr { th scope="col" { "Record" } th scope="col" { "What is wrong" } th scope="col" { "Last read" } } }
            tbody {
                @for record in aside {
                    tr {
                        th scope="row" { (type_name(record.sync_type)) " " bdi { (record.key) } }
                        td data-l="What is wrong" { (reasons::set_aside(record.reason)) }
                        td data-l="Last read" { (when(record.last_seen, head.now)) }
                    }
                }
            }
        }
        @if (aside.len() as u64) < total { p .hint { "The first of each kind are shown." } }
    };
    html! {
        section .card #set-aside aria-labelledby="set-aside-title" {
            div .row { div {
                h2 #set-aside-title { "Set aside on import " span .count { (count(total, false)) } }
                p .hint {
                    "These records of HubSpot’s could not be read: "
                    @for (n, object) in counts.enumerate() { @if n > 0 { ", " } (count(object.quarantined, false)) " " (type_name(object.object_type)) }
                    ". Correct them in HubSpot; the next sync takes them in."
                }
            } }
            div { (fold(false, "Records", &table)) }
        }
    }
}

async fn retry(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Redirect, Refused> {
    if let Ok(activity) = sent.text("activity").parse::<ActivityId>() {
        let parts = app.parts()?;
        let goes_on = parts
            .store
            .retry_activity(visit.workspace(), &activity, Utc::now())
            .await?;
        let person = goes_on.ok_or(Refusal::UnknownRecord("activity"))?;
        parts.wake_export(visit.workspace(), &person).await;
    } else {
        let request: RequestId = sent
            .text("request")
            .parse()
            .map_err(|_| Refusal::UnknownRecord("request"))?;
        exports::retry_one(&app, visit.workspace(), request).await?;
    }
    visit.note(&app, PageEvent::Retried, None).await;
    Ok(Redirect::to(&format!("{}?done=retried", routes::PROBLEMS)))
}

async fn retry_all(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Redirect, Refused> {
    let reason: RetryReason = sent
        .text("reason")
        .parse()
        .map_err(|_| Refusal::UnknownRecord("reason"))?;
    let more = if sent.text("of") == activities::OF {
        let store = &app.parts()?.store;
        // They are found by `Sweep`, as many requests are.
        let retried = store
            .retry_activities(visit.workspace(), reason, AT_ONCE, Utc::now())
            .await?;
        retried >= u64::from(AT_ONCE)
    } else {
        let answer = exports::retry_all(&app, visit.workspace(), Some(reason)).await?;
        answer.more
    };
    visit.note(&app, PageEvent::Retried, None).await;
    let done = if more { "retried-some" } else { "retried" };
    Ok(Redirect::to(&format!("{}?done={done}", routes::PROBLEMS)))
}

/// Ids, reasons and codes: what somebody needs to work through them, and no more.
async fn download(State(app): State<App>, visit: Visit) -> Result<Response, Refused> {
    let store = &app.parts()?.store;
    let mut csv = String::from(
        "request,person,kind,reason,code,properties,requested_at,changed_at,activity\r\n",
    );
    let mut line = |fields: [&str; 9]| {
        let cells: Vec<String> = fields.iter().map(|field| cell(field)).collect();
        csv.push_str(&cells.join(","));
        csv.push_str("\r\n");
    };
    let wanted = reasons::to_look_at();
    for count in store
        .count_reasons(visit.workspace(), &wanted, None)
        .await?
    {
        let rows = store
            .export_requests_with(visit.workspace(), count.reason, DOWNLOADED)
            .await?;
        for row in rows.into_iter().flatten() {
            line([
                &row.request.to_string(),
                row.person.as_ref().map_or("", |p| p.as_str()),
                row.kind.as_str(),
                count.reason.as_str(),
                row.code.as_deref().unwrap_or(reasons::code(count.reason)),
                &row.properties.join(" "),
                &row.requested_at.to_rfc3339(),
                &row.changed_at.to_rfc3339(),
                "",
            ]);
        }
    }
    let wanted = reasons::of_activities();
    for group in activities::groups(&app, &visit, &wanted, DOWNLOADED).await? {
        for row in group.rows.iter().flatten() {
            let reason = group.count.reason;
            line([
                "",
                row.activity.person.as_str(),
                "activity",
                reason.as_str(),
                row.error_code.as_deref().unwrap_or(reasons::code(reason)),
                "",
                "",
                &row.turned_at.to_rfc3339(),
                row.activity.id.as_str(),
            ]);
        }
    }
    let headers = [
        (header::CONTENT_TYPE, "text/csv;charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"hubspot-problems.csv\"",
        ),
    ];
    Ok((headers, csv).into_response())
}

/// A cell that no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_a_cell() {
        for (text, want) in [
            ("p-1", "p-1"),
            ("=1+1", "'=1+1"),
            ("-1", "'-1"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
        ] {
            assert_eq!(cell(text), want);
        }
    }
}
