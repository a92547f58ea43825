//! Whom a rule stops, page by page (I8): the numbers of the rules lead here.

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use domain::{app::PersonId, dnc::DncRule};
use maud::{Markup, html};
use serde::Deserialize;
use store::{StoppedPerson, StoppedPlace};

use crate::{
    pages::{
        dnc::rule_name,
        frame::{SettingsPage, Width},
        guard::{Address, Visit},
        head::Head,
        parts::{empty, when, wide_heading},
        people::name_of,
        refused::Refused,
        routes,
    },
    state::App,
};

/// People on a page.
const SHOWN: u32 = 50;

pub(crate) fn router() -> Router<App> {
    Router::new().route(routes::DNC_STOPPED, get(show))
}

/// The page of a rule.
pub(crate) fn address(rule: DncRule) -> String {
    routes::DNC_STOPPED.replace("{rule}", rule.as_str())
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    /// The place of the last one who was shown.
    #[serde(default)]
    after: String,
}

fn place_text(place: &StoppedPlace) -> String {
    format!("{}.{}", place.bits, place.person)
}

/// The reverse; what is none begins at the beginning.
fn place_of(text: &str) -> Option<StoppedPlace> {
    let (bits, person) = text.split_once('.')?;
    Some(StoppedPlace {
        bits: bits.parse().ok().filter(|bits| *bits >= 0)?,
        person: person.parse::<PersonId>().ok()?,
    })
}

async fn show(
    State(app): State<App>,
    visit: Visit,
    Path(rule): Path<String>,
    Address(asked): Address<Asked>,
) -> Result<Response, Refused> {
    let rule: DncRule = rule.parse().map_err(|_| Refused::NotFound)?;
    let head = Head::of(&app, visit.workspace()).await?;
    let after = place_of(&asked.after);
    let (store, workspace) = (&app.parts()?.store, visit.workspace());
    let mut found = match head.status.portal {
        Some(portal) => {
            let page = SHOWN + 1;
            store
                .people_stopped_by(workspace, portal, rule, after.as_ref(), page)
                .await?
        }
        None => Vec::new(),
    };
    let more = found.len() > SHOWN as usize;
    found.truncate(SHOWN as usize);
    let next = found.last().filter(|_| more).map(|last| &last.place);
    let title = format!("Stopped: {}", rule_name(rule));
    let content = html! {
        p { a href=(routes::DNC) { "Do not contact" } }
        (wide_heading(&title, "As the verdicts stand now. Each person’s page names the records behind it.", &html! {}))
        @if found.is_empty() {
            (empty(None, if after.is_some() { "Nobody else is stopped by this rule." } else { "Nobody is stopped by this rule." }, None))
        } @else { (table(&app, &visit, &head, rule, &found).await?) }
        div .row .small {
            @if after.is_some() { a href=(address(rule)) { "From the beginning" } }
            @if let Some(next) = next { span .end { a href={ (address(rule)) "?after=" (place_text(next)) } { "Next " (SHOWN) } } }
        }
    };
    Ok(SettingsPage {
        width: Width::Wide,
        ..SettingsPage::new(&visit, &head, routes::DNC, &title, content)
    }
    .into_response())
}

async fn table(
    app: &App,
    visit: &Visit,
    head: &Head,
    rule: DncRule,
    found: &[StoppedPerson],
) -> Result<Markup, Refused> {
    let ids: Vec<PersonId> = found.iter().map(|s| s.place.person.clone()).collect();
    let store = &app.parts()?.store;
    let people = store.people_among(visit.workspace(), &ids).await?;
    Ok(html! {
        table .table {
            caption .sr { "People whom the rule stops" }
            thead { tr { th scope="col" { "Person" } th scope="col" { "Stopped by these rules too" } th scope="col" { "Judged" } } }
            tbody { @for stopped in found {
                @let id = &stopped.place.person;
                @let others = stopped.rules.iter().filter(|r| **r != rule).map(|r| rule_name(*r));
                @let others = others.collect::<Vec<_>>().join(", ");
                tr {
                    th scope="row" {
                        @match people.get(id) {
                            Some(person) => {
                                a href={ (routes::PEOPLE) "/" (id) } { bdi { (name_of(person)) } }
                                @if let Some(email) = &person.email { span .sub { bdi { (email.as_str()) } } }
                            }
                            None => { (id) span .sub { "Not in the app any more" } }
                        }
                    }
                    td data-l="Stopped by these rules too" { @if others.is_empty() { span .muted { "None" } } @else { (others) } }
                    td data-l="Judged" { (when(stopped.judged_at, head.now)) }
                }
            } }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_back() {
        for text in ["4.ann", "1024.hubspot.4711.12"] {
            assert_eq!(
                place_of(text).map(|p| place_text(&p)).as_deref(),
                Some(text)
            );
        }
        for odd in [
            "",
            "ann",
            "-4.ann",
            "4.",
            "x.ann",
            "99999999999.ann",
            "4.a b",
        ] {
            assert_eq!(place_of(odd), None, "{odd}");
        }
    }
}
