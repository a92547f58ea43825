//! People: look somebody up. The search is sent as a form and answered directly, as neither an e-mail nor a
//! name may stand in an address (X5).

use std::collections::BTreeMap;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use domain::{
    api::RetryReason,
    app::{EmailPlace, FieldValue, NameStart, Person, PersonId},
    export::RequestOutcome,
};
use maud::{Markup, html};
use store::Asked;

use crate::{
    api::dnc,
    pages::{
        frame::{SettingsPage, Width},
        guard::{Sent, Visit},
        head::Head,
        parts::{Tone, csrf, empty, heading, icon, pill, when},
        reasons,
        refused::Refused,
        routes,
    },
    state::App,
};

/// How many people are shown.
const SHOWN: u32 = 25;

pub(crate) fn router() -> Router<App> {
    Router::new().route(routes::PEOPLE, get(show).post(search))
}

/// What people call a person: the name, else the address, else the app's id.
pub(crate) fn name_of(person: &Person) -> String {
    let part = |key: &str| match person.fields.get(key) {
        Some(FieldValue::Text(text)) => text.trim(),
        _ => "",
    };
    let name = format!("{} {}", part("first_name"), part("last_name"));
    match (name.trim(), &person.email) {
        ("", Some(email)) => email.as_str().to_owned(),
        ("", None) => person.id.to_string(),
        (name, _) => name.to_owned(),
    }
}

/// What became of a request, as a pill with a sentence.
pub(crate) fn outcome(outcome: &RequestOutcome) -> Markup {
    let words = |reason: RetryReason| html! { span .sub { (reasons::of(reason).title) } };
    match *outcome {
        RequestOutcome::Accepted => pill(Tone::Info, icon::SYNC, "On its way"),
        RequestOutcome::Exported { .. } => pill(Tone::Ok, icon::CHECK, "Exported"),
        RequestOutcome::Waiting { reason, .. } => html! {
            (pill(Tone::Info, icon::CLOCK, "Waits")) (words(RetryReason::Waiting(reason)))
        },
        RequestOutcome::Skipped { reason } => html! {
            (pill(Tone::Plain, icon::STOP, "Left out")) (words(RetryReason::Skipped(reason)))
        },
        RequestOutcome::Failed { reason } => html! {
            (pill(Tone::Error, icon::CROSS, "Failed")) (words(RetryReason::Failed(reason)))
        },
    }
}

async fn show(State(app): State<App>, visit: Visit) -> Result<Response, Refused> {
    let head = Head::of(&app, visit.workspace()).await?;
    Ok(page(&visit, &head, "", &Markup::default()).into_response())
}

fn page<'a>(visit: &'a Visit, head: &'a Head, asked: &str, found: &Markup) -> SettingsPage<'a> {
    let content = html! {
        (heading("People", "Why is somebody not in HubSpot, or not written to? Search, and open the person."))
        form .row method="post" action=(routes::PEOPLE) role="search" {
            (csrf(visit))
            label .sr for="q" { "Name, e-mail, domain, or the app’s id" }
            input .input type="search" #q name="q" value=(asked) placeholder="Name, e-mail, domain, or the app’s id" autocomplete="off";
            button .btn { "Search" }
        }
        div role="status" .stack { (found) }
    };
    SettingsPage {
        width: Width::Wide,
        ..SettingsPage::new(visit, head, routes::PEOPLE, "People", content)
    }
}

async fn search(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Response, Refused> {
    let asked = sent.text("q").trim();
    let head = Head::of(&app, visit.workspace()).await?;
    let found = if asked.is_empty() {
        html! { p .hint { "Write a name such as Ann Lee or how it begins, an e-mail such as ann.lee@example.com, a domain such as example.com, or the app’s id of the person." } }
    } else {
        table(
            &app,
            &visit,
            &head,
            &look_up_or_named(&app, &visit, asked).await?,
        )
        .await?
    };
    Ok(page(&visit, &head, asked, &found).into_response())
}

/// People by id, by address, or by domain.
pub(crate) async fn look_up(
    app: &App,
    visit: &Visit,
    asked: &str,
) -> Result<Vec<PersonId>, Refused> {
    let store = &app.parts()?.store;
    let mut found = match EmailPlace::parse(asked) {
        Some(place) => {
            store
                .people_at(visit.workspace(), &place, SHOWN + 1)
                .await?
        }
        None => Vec::new(),
    };
    if let Ok(id) = asked.parse::<PersonId>()
        && !found.contains(&id)
        && store.person(visit.workspace(), &id).await?.is_some()
    {
        found.insert(0, id);
    }
    Ok(found)
}

/// The same, or by name.
async fn look_up_or_named(app: &App, visit: &Visit, asked: &str) -> Result<Vec<PersonId>, Refused> {
    let mut found = look_up(app, visit, asked).await?;
    if let Some(name) = NameStart::parse(asked) {
        let store = &app.parts()?.store;
        let named = store
            .people_named(visit.workspace(), &name, SHOWN + 1)
            .await?;
        let fresh = named.into_iter().filter(|id| !found.contains(id));
        let fresh: Vec<PersonId> = fresh.collect();
        found.extend(fresh);
    }
    Ok(found)
}

async fn table(
    app: &App,
    visit: &Visit,
    head: &Head,
    found: &[PersonId],
) -> Result<Markup, Refused> {
    if found.is_empty() {
        return Ok(empty(
            None,
            "Nobody was found. The app has no person with this name, e-mail, domain or id. Whose name only HubSpot has is found by e-mail.",
            None,
        ));
    }
    let store = &app.parts()?.store;
    let shown = &found[..found.len().min(SHOWN as usize)];
    let people: BTreeMap<PersonId, Person> = store.people_among(visit.workspace(), shown).await?;
    let asked: Vec<Asked> = shown.iter().cloned().map(Asked::Person).collect();
    // Without a connection there are no verdicts.
    let verdicts = match dnc::basis(store, visit.workspace()).await {
        Ok(basis) => Some(store.check_dnc(visit.workspace(), &basis, &asked).await?),
        Err(_) => None,
    };
    let mut rows = Vec::new();
    for (n, id) in shown.iter().enumerate() {
        let Some(person) = people.get(id) else {
            continue;
        };
        let requests = store.latest_requests(visit.workspace(), id, 1).await?;
        let last = requests.into_iter().find_map(Result::ok);
        let allowed = verdicts.as_ref().and_then(|v| v.get(n)).map(|v| v.allowed);
        rows.push(html! {
            tr {
                th scope="row" {
                    a href={ (routes::PEOPLE) "/" (id) } { bdi { (name_of(person)) } }
                    @if let Some(email) = &person.email { span .sub { bdi { (email.as_str()) } } }
                }
                td data-l="In HubSpot" {
                    @match &last {
                        Some(request) => { (outcome(&request.outcome)) }
                        None => { span .muted { "Never asked for" } }
                    }
                }
                td data-l="May we contact?" { (may(allowed)) }
                td data-l="Last request" {
                    @match &last {
                        Some(request) => { (when(request.changed_at, head.now)) }
                        None => { span .muted { "never" } }
                    }
                }
            }
        });
    }
    Ok(html! {
        table .table {
            caption .sr { "People found" }
            thead { tr {
                th scope="col" { "Person" }
                th scope="col" { "In HubSpot" }
                th scope="col" { "May we contact?" }
                th scope="col" { "Last request" }
            } }
            tbody { @for row in rows { (row) } }
        }
        @if found.len() > shown.len() { p .hint { "The first " (SHOWN) " are shown. Write more of the name, or an e-mail." } }
    })
}

/// A verdict in a word.
pub(crate) fn may(allowed: Option<bool>) -> Markup {
    match allowed {
        Some(true) => pill(Tone::Ok, icon::CHECK, "Yes"),
        Some(false) => pill(Tone::Error, icon::STOP, "No"),
        None => html! { span .muted { "Not known without a connection" } },
    }
}
