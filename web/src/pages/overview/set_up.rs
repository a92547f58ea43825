//! What is left to do until everything runs, as a list of steps; nothing once it does, or once an admin
//! put it away.

use axum::{extract::State, response::Redirect};
use domain::{
    entry::PageEvent,
    owners::OwnerMap,
    settings::{ListUse, SettingsCode, SettingsProblem},
};
use maud::{Markup, html};

use crate::{
    pages::{
        guard::Visit,
        head::{Head, Standing},
        parts::{action, counted, section, step},
        refused::Refused,
        routes,
        settings_form::Known,
    },
    state::App,
};

/// Statuses that are no advanced ones.
const STATUSES: usize = 6;

/// How far a workspace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Steps {
    read: bool,
    /// The settings were saved once.
    saved: bool,
    /// What is wrong with rows of the mapping.
    mapping_problems: usize,
    /// Active owners, and those of them whom somebody stands for.
    owners: usize,
    matched: usize,
    /// Statuses that have a value.
    statuses: usize,
    suppression: bool,
    /// Somebody had an export previewed, or exported a person.
    tried: bool,
}

impl Steps {
    const fn done(&self) -> [bool; 8] {
        [
            true,
            self.read,
            self.saved,
            self.read && self.mapping_problems == 0,
            self.read && self.matched == self.owners,
            self.statuses > 0,
            self.suppression,
            self.tried,
        ]
    }
}

fn is_of_mapping(problem: &SettingsProblem) -> bool {
    let tabs = ["/contacts", "/companies", "/activity_properties"];
    let within = tabs
        .iter()
        .any(|tab| problem.path.as_str().starts_with(tab));
    // What could not be checked yet is nobody's to mend.
    within && problem.code != SettingsCode::NotChecked
}

async fn steps(app: &App, visit: &Visit, head: &Head) -> Result<Option<Steps>, Refused> {
    let store = &app.parts()?.store;
    let did = store.page_events_among(visit.workspace()).await?;
    if did.contains(&PageEvent::PutSetUpAway) {
        return Ok(None);
    }
    let saved = store
        .export_standing(visit.workspace())
        .await?
        .settings_saved;
    let known = Known::of(app, visit).await?;
    let all = known.facts.owners.clone().unwrap_or_default();
    let map = OwnerMap::new(&known.settings.owners, &all, &known.facts.members);
    let active: Vec<_> = all.iter().filter(|owner| !owner.archived).collect();
    let lists = &known.settings.lists;
    Ok(Some(Steps {
        read: !matches!(head.standing, Standing::Importing(_)),
        saved,
        mapping_problems: known.problems.iter().filter(|p| is_of_mapping(p)).count(),
        owners: active.len(),
        matched: active.iter().filter(|o| map.mapped(o.id).is_some()).count(),
        statuses: known.settings.status.as_ref().map_or(0, |s| {
            let given = s.rows.iter().map(|row| row.status);
            given.collect::<std::collections::BTreeSet<_>>().len()
        }),
        suppression: lists.iter().any(|l| l.list_use == ListUse::Suppression),
        tried: did.contains(&PageEvent::Previewed) || did.contains(&PageEvent::Exported),
    }))
}

/// The pages of the steps, in their order, and what they are called where one comes from another page.
const NEXT: [Option<(&str, &str)>; 8] = [
    None,
    None,
    Some((routes::BASIC_SYNC, "choose who is exported")),
    Some((routes::MAPPING_CONTACTS, "check the property mapping")),
    Some((routes::OWNERS, "match owners")),
    Some((routes::STATUSES, "map statuses")),
    Some((routes::LISTS, "pick suppression lists")),
    Some((routes::PEOPLE, "try one lead")),
];

/// Where to go on after a step; none where nothing is left to do.
pub(in crate::pages) async fn next(
    app: &App,
    visit: &Visit,
    head: &Head,
) -> Result<Option<(&'static str, &'static str)>, Refused> {
    let steps = steps(app, visit, head).await?;
    let left = steps.map(|steps| steps.done());
    let next = left.and_then(|done| done.iter().position(|done| !done));
    Ok(next.and_then(|n| NEXT[n]))
}

/// The list, as long as something of it is to be done.
pub(super) async fn shown(app: &App, visit: &Visit, head: &Head) -> Result<Markup, Refused> {
    let Some(steps) = steps(app, visit, head).await? else {
        return Ok(Markup::default());
    };
    let done = steps.done();
    let Some(next) = done.iter().position(|done| !done) else {
        return Ok(Markup::default());
    };
    let plain = |text: &str| html! { (text) };
    let texts: [(Markup, Option<(&str, &str)>); 8] = [
        (plain("Connect HubSpot"), None),
        (plain("First import"), None),
        (
            html! { "Choose who is exported" @if !steps.saved { span .muted { " · nothing is exported before" } } },
            Some((routes::BASIC_SYNC, "Choose")),
        ),
        (
            html! {
                "Check the property mapping"
                @if steps.mapping_problems > 0 {
                    span .muted { " · " (counted(steps.mapping_problems as u64, "problem", "problems")) }
                }
            },
            Some((routes::MAPPING_CONTACTS, "Check")),
        ),
        (
            html! {
                "Match owners"
                @if steps.read { span .muted { " · " (steps.matched) " of " (steps.owners) } }
            },
            Some((routes::OWNERS, "Match")),
        ),
        (
            html! {
                "Map statuses"
                @if steps.statuses == 0 { span .muted { " · 0 of " (STATUSES) } }
            },
            Some((routes::STATUSES, "Map")),
        ),
        (
            plain("Pick suppression lists"),
            Some((routes::LISTS, "Pick")),
        ),
        (
            plain("Try one lead: preview an export"),
            Some((routes::PEOPLE, "Try")),
        ),
    ];
    let away = if visit.may_change() {
        action(
            visit,
            routes::SET_UP_AWAY,
            "quiet",
            "Put this list away",
            &[],
        )
    } else {
        Markup::default()
    };
    let list = html! {
        div .card { ol .steps {
            @for (n, (text, door)) in texts.into_iter().enumerate() {
                @let is_next = n == next;
                @let text = match door {
                    Some((path, _)) if !is_next => html! { a href=(path) { (text) } },
                    _ if is_next => html! { b { (text) } },
                    _ => text,
                };
                @let button = door.filter(|(path, _)| is_next && (visit.may_change() || *path == routes::PEOPLE)).map(|(path, label)| html! { a .btn .small href=(path) { (label) } });
                (step(done[n], text, button))
            }
        } }
        (away)
    };
    let title = format!("Set up: {} of 8", done.iter().filter(|done| **done).count());
    Ok(section("setup", &title, "", &list))
}

pub(super) async fn put_away(State(app): State<App>, visit: Visit) -> Result<Redirect, Refused> {
    visit.note(&app, PageEvent::PutSetUpAway, None).await;
    Ok(Redirect::to(routes::OVERVIEW))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_done_by_what_it_asks_for() {
        let fresh = Steps {
            read: false,
            saved: false,
            mapping_problems: 0,
            owners: 0,
            matched: 0,
            statuses: 0,
            suppression: false,
            tried: false,
        };
        // Before the import is through nobody knows of problems or owners.
        assert_eq!(fresh.done().iter().filter(|d| **d).count(), 1);
        let read = Steps {
            read: true,
            owners: 2,
            matched: 1,
            mapping_problems: 1,
            ..fresh
        };
        assert_eq!(
            read.done(),
            [true, true, false, false, false, false, false, false]
        );
        let all = Steps {
            saved: true,
            mapping_problems: 0,
            matched: 2,
            statuses: 1,
            suppression: true,
            tried: true,
            ..read
        };
        assert_eq!(all.done(), [true; 8]);
    }
}
