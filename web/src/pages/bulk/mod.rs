//! Bulk export: whom, and the ones before (E1). Nothing is written before an admin saw whom it takes and
//! confirmed.

mod run;

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use domain::{
    BulkId,
    api::{BulkStart, BulkWhom},
    app::{EmailPlace, PersonId},
    entry::PageEvent,
    export::BulkState,
};
use maud::{Markup, html};
use serde::Deserialize;
use store::BulkRow;

use crate::{
    api::{bulk, idempotency::CallIds},
    pages::{
        frame::SettingsPage,
        guard::{Address, Sent, Visit},
        head::{Head, Standing},
        parts::{
            Choice, Tone, choices, csrf, heading, icon, notice, number, pill, section, switch,
            undone_summary, when,
        },
        refused::Refused,
        routes,
    },
    state::App,
};

const WHOM: &str = "whom";
const CAMPAIGN: &str = "campaign";
/// Everybody who was exported.
pub(crate) const EXPORTED: &str = "exported";
const PEOPLE: &str = "people";
const EARLIER: &str = "earlier";

/// People that can be named on the page; more go by their campaign, or by the API.
const MOST_NAMED: usize = 2_000;
/// Bulk exports that are shown.
const SHOWN: u32 = 20;
/// People of one address.
const OF_ADDRESS: u32 = 100;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route(routes::BULK, get(show).post(begin))
        .route(routes::BULK_RUN, get(run::show))
        .route(routes::BULK_LIVE, get(run::live))
        .route(routes::BULK_CONFIRM, post(run::confirm))
        .route(routes::BULK_STOP, post(run::stop))
}

/// The page of a bulk export.
fn address(bulk: BulkId) -> String {
    format!("{}/{bulk}", routes::BULK)
}

/// The page with a choice made beforehand.
pub(crate) fn page_for(whom: &str) -> String {
    format!("{}?{WHOM}={whom}", routes::BULK)
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    whom: String,
}

async fn show(
    State(app): State<App>,
    visit: Visit,
    Address(asked): Address<Asked>,
) -> Result<Response, Refused> {
    let typed = Typed {
        whom: &asked.whom,
        ..Typed::default()
    };
    page(&app, &visit, &typed, &[]).await
}

/// What somebody chose.
#[derive(Default)]
struct Typed<'a> {
    whom: &'a str,
    campaign: &'a str,
    people: &'a str,
    earlier: bool,
}

async fn page(
    app: &App,
    visit: &Visit,
    typed: &Typed<'_>,
    errors: &[(String, String)],
) -> Result<Response, Refused> {
    let head = Head::of(app, visit.workspace()).await?;
    let store = &app.parts()?.store;
    let standing = store.export_standing(visit.workspace()).await?;
    let qualifying = store.qualifying(visit.workspace(), &standing).await?;
    let before = store.latest_bulks(visit.workspace(), SHOWN).await?;
    let content = html! {
        p { a href=(routes::OVERVIEW) { "Overview" } }
        (heading("Bulk export", "Exports many people at once, by the policy. First you see whom it would take; nothing is written before you confirm."))
        (undone_summary(errors))
        @if !head.standing.is_connected() {
            (notice(Tone::Info, icon::STOP, &html! { p {
                "A bulk export needs a connection. "
                a href=(routes::OVERVIEW) { (connect_words(head.standing)) } "."
            } }, None))
        } @else if visit.may_change() {
            (choose(visit, typed, errors, qualifying.earlier, qualifying.more))
        }
        (section("before", "Bulk exports", "Newest first.", &table(&head, &before)))
    };
    let page = SettingsPage {
        status: if errors.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        },
        ..SettingsPage::new(visit, &head, routes::OVERVIEW, "Bulk export", content)
    };
    Ok(page.into_response())
}

fn choose(
    visit: &Visit,
    typed: &Typed<'_>,
    errors: &[(String, String)],
    earlier: u64,
    more: bool,
) -> Markup {
    let wrong = |name: &str| {
        let found = errors.iter().find(|(field, _)| field == name);
        found.map(|(_, text)| text.as_str())
    };
    let hint = |text: &str| html! { (text) };
    let of = vec![
        Choice {
            value: "qualified_earlier",
            title: "People who qualified earlier",
            hint: html! {
                "Whoever the policy takes, but qualified before it was in force: "
                @if more { "at least " } (number(earlier)) " now"
            },
        },
        Choice {
            value: CAMPAIGN,
            title: "People of a campaign",
            hint: hint("As the app’s field “Campaign” says it"),
        },
        Choice {
            value: EXPORTED,
            title: "Everybody exported before",
            hint: hint(
                "To apply a row, a fixed value or an owner that is new; whatever the policy is by now",
            ),
        },
        Choice {
            value: PEOPLE,
            title: "These people",
            hint: hint("By e-mail, or by the app’s id"),
        },
    ];
    let chosen = if typed.whom.is_empty() {
        "qualified_earlier"
    } else {
        typed.whom
    };
    let at_people = wrong(PEOPLE);
    let at_campaign = wrong(CAMPAIGN);
    html! {
        form method="post" action=(routes::BULK) .stack novalidate {
            (csrf(visit))
            div #whom { (choices(WHOM, "Whom", true, chosen, of)) }
            div .field {
                label for=(CAMPAIGN) { "Campaign" }
                input .input id=(CAMPAIGN) name=(CAMPAIGN) value=(typed.campaign) autocomplete="off"
                    aria-describedby="campaign-error campaign-hint" aria-invalid=[at_campaign.map(|_| "true")];
                @if let Some(error) = at_campaign { p .error-text #campaign-error { (icon::draw(icon::WARN)) span { (error) } } }
                p .hint #campaign-hint { "For “People of a campaign”: its name, letter by letter." }
            }
            div .field {
                label for=(PEOPLE) { "People" }
                textarea .input id=(PEOPLE) name=(PEOPLE) rows="4" spellcheck="false" autocomplete="off"
                    aria-describedby="people-error people-hint" aria-invalid=[at_people.map(|_| "true")] { (typed.people) }
                @if let Some(error) = at_people { p .error-text #people-error { (icon::draw(icon::WARN)) span { (error) } } }
                p .hint #people-hint { "For “These people”: one e-mail or id on each line, " (number(MOST_NAMED as u64)) " at most." }
            }
            div .card { div {
                (switch(EARLIER, typed.earlier, "Also those who qualified before the policy was in force", "Off: they are left out. People who qualified earlier are always of that kind."))
            } }
            div .row { button .btn .primary #preview { "See whom it takes" } }
        }
    }
}

/// The bulk exports of a workspace, each with where it stands.
pub(crate) fn table(head: &Head, rows: &[BulkRow]) -> Markup {
    html! {
        @if rows.is_empty() {
            div .card { div { p .muted { "There was none yet." } } }
        } @else {
            table .table {
                caption .sr { "Bulk exports" }
                thead { tr { th scope="col" { "Whom" } th scope="col" { "State" } th scope="col" .n { "People" } th scope="col" { "Asked for" } } }
                tbody { @for row in rows {
                    tr {
                        th scope="row" { a href=(address(row.bulk)) { (whom_text(&row.whom)) } }
                        td data-l="State" { (state_pill(row.state, row.people)) }
                        td .n data-l="People" { (number(row.people)) }
                        td data-l="Asked for" { (when(row.requested_at, head.now)) }
                    }
                } }
            }
        }
    }
}

/// Whom it is about.
fn whom_text(whom: &BulkWhom) -> Markup {
    match whom {
        BulkWhom::People { .. } => html! { "Named people" },
        BulkWhom::Campaign { campaign } => html! { "Campaign " bdi { (campaign) } },
        BulkWhom::QualifiedEarlier => html! { "People who qualified earlier" },
        BulkWhom::Exported => html! { "Everybody exported before" },
    }
}

fn state_pill(state: BulkState, people: u64) -> Markup {
    match state {
        // There is nothing to confirm.
        BulkState::WaitingForConfirmation if people == 0 => pill(Tone::Plain, icon::STOP, "Nobody"),
        BulkState::Previewing => pill(Tone::Info, icon::SYNC, "Being looked through"),
        BulkState::WaitingForConfirmation => pill(Tone::Warn, icon::CLOCK, "Waits for you"),
        BulkState::Running => pill(Tone::Info, icon::SYNC, "Running"),
        BulkState::Cancelling => pill(Tone::Plain, icon::STOP, "Stopping"),
        BulkState::Cancelled => pill(Tone::Plain, icon::STOP, "Stopped"),
        BulkState::Done => pill(Tone::Ok, icon::CHECK, "Done"),
    }
}

async fn begin(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Response, Refused> {
    let typed = Typed {
        whom: sent.text(WHOM),
        campaign: sent.text(CAMPAIGN),
        people: sent.text(PEOPLE),
        earlier: !sent.text(EARLIER).is_empty(),
    };
    let whom = match whom_of(&app, &visit, &typed).await? {
        Ok(whom) => whom,
        Err((field, text)) => {
            return page(&app, &visit, &typed, &[(field.to_owned(), text)]).await;
        }
    };
    if let Some((field, text)) = nobody(&app, &visit, &whom).await? {
        return page(&app, &visit, &typed, &[(field.to_owned(), text.to_owned())]).await;
    }
    let asked = BulkStart {
        whom,
        include_earlier: typed.earlier,
    };
    let row = bulk::begin(&app, visit.workspace(), &asked, CallIds::fresh()).await?;
    visit.note(&app, PageEvent::AskedBulk, None).await;
    Ok(Redirect::to(&address(row.bulk)).into_response())
}

/// Where a choice means nobody: the field, and what to do.
async fn nobody(
    app: &App,
    visit: &Visit,
    whom: &BulkWhom,
) -> Result<Option<(&'static str, &'static str)>, Refused> {
    let (store, workspace) = (&app.parts()?.store, visit.workspace());
    Ok(match whom {
        BulkWhom::Campaign { campaign } if !store.has_campaign(workspace, campaign).await? => {
            Some((
                CAMPAIGN,
                "The app has nobody in a campaign of this name. Write it letter by letter as the app does.",
            ))
        }
        BulkWhom::QualifiedEarlier => {
            let standing = store.export_standing(workspace).await?;
            let found = store.qualifying(workspace, &standing).await?;
            (found.earlier == 0 && !found.more).then_some((
                WHOM,
                "Nobody qualified earlier and waits for a bulk export.",
            ))
        }
        _ => None,
    })
}

/// What to do first where nothing can be exported.
const fn connect_words(standing: Standing) -> &'static str {
    match standing {
        Standing::Reconnect => "Reconnect HubSpot",
        Standing::Disconnected | Standing::Disconnecting => "Connect again",
        _ => "Connect HubSpot",
    }
}

/// Whom the form names; else the field that is wrong, and what to do.
async fn whom_of(
    app: &App,
    visit: &Visit,
    typed: &Typed<'_>,
) -> Result<Result<BulkWhom, (&'static str, String)>, Refused> {
    Ok(match typed.whom {
        "qualified_earlier" => Ok(BulkWhom::QualifiedEarlier),
        EXPORTED => Ok(BulkWhom::Exported),
        CAMPAIGN => match typed.campaign.trim() {
            "" => Err((CAMPAIGN, "Write the name of the campaign.".to_owned())),
            campaign if campaign.contains('\0') => {
                Err((CAMPAIGN, "Take out the character NUL.".to_owned()))
            }
            campaign => Ok(BulkWhom::Campaign {
                campaign: campaign.to_owned(),
            }),
        },
        PEOPLE => named(app, visit, typed.people)
            .await?
            .map(|people| BulkWhom::People { people })
            .map_err(|text| (PEOPLE, text)),
        _ => Err((WHOM, "Choose whom it is about.".to_owned())),
    })
}

/// Whom a text names, a line each.
async fn named(
    app: &App,
    visit: &Visit,
    text: &str,
) -> Result<Result<Vec<PersonId>, String>, Refused> {
    let (store, workspace) = (&app.parts()?.store, visit.workspace());
    let lines = text.lines().map(str::trim).enumerate();
    let lines: Vec<(usize, &str)> = lines.filter(|(_, line)| !line.is_empty()).collect();
    if lines.is_empty() {
        return Ok(Err(
            "Write an e-mail or an id of the app on each line.".to_owned()
        ));
    }
    if lines.len() > MOST_NAMED {
        return Ok(Err(format!(
            "These are {} lines; {} at most at once. Export the rest in another bulk export.",
            number(lines.len() as u64),
            number(MOST_NAMED as u64)
        )));
    }
    let mut people = Vec::new();
    let mut ids = Vec::new();
    for (n, line) in lines {
        let nobody = format!("Line {}: the app has nobody with this e-mail or id.", n + 1);
        if let Some(place @ EmailPlace::Address(_)) = EmailPlace::parse(line) {
            let found = store.people_at(workspace, &place, OF_ADDRESS).await?;
            if found.is_empty() {
                return Ok(Err(nobody));
            }
            people.extend(found);
        } else if let Ok(id) = line.parse::<PersonId>() {
            ids.push((id, nobody));
        } else {
            return Ok(Err(format!(
                "Line {}: this is neither an e-mail nor an id of the app.",
                n + 1
            )));
        }
    }
    let asked: Vec<PersonId> = ids.iter().map(|(id, _)| id.clone()).collect();
    let known = store.people_among(workspace, &asked).await?;
    for (id, nobody) in ids {
        if !known.contains_key(&id) {
            return Ok(Err(nobody));
        }
        people.push(id);
    }
    Ok(Ok(people))
}
