//! A person: what both sides say, whether they may be contacted, what an export would do, and what
//! exports wrote (I5, I8, E9, E10).

mod activities;
mod journal;
pub(super) mod labels;
pub(in crate::pages) mod preview;
mod touches;
mod whereabouts;

use axum::{
    Router,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, request::Parts},
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    ObjectType,
    api::{JournalEntry, JournalState, ManualExport, ProfileAnswer, TouchAnswer},
    app::{FieldValue, Person, PersonId, RecordKind},
    dnc::Verdict,
    entry::PageEvent,
    export::{RequestOutcome, WaitReason},
    profile::ValueSource,
};
use labels::Labels;
use maud::{Markup, html};
use store::{ActivityRow, Asked, DncBasis, ExportRow, ExportStanding, Listed};

use crate::{
    api::{
        dnc, exports, idempotency::CallIds, journal as entries, profiles, touches as engagements,
    },
    pages::{
        dnc::{RecordNames, names_behind, reasons_of},
        frame::{AfterDone, SettingsPage, Width},
        guard::{Address, Visit},
        head::Head,
        live::{Following, Shown, follow},
        parts::{Tone, action, icon, notice, pill, section, when, wide_heading},
        people::{may, name_of, outcome},
        problems::kind_name,
        refused::Refused,
        routes,
    },
    problem::Refusal,
    state::App,
};

/// Entries of the journal, and requests, that are shown.
const SHOWN: u32 = 50;
/// How long after a write the page is still followed, in seconds.
const SETTLES: i64 = 10;
/// How long an entry is followed of which nobody knows yet whether HubSpot has it, in seconds.
const OPEN_FOR: i64 = 120;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route(routes::PERSON, get(show))
        .route(routes::PERSON_LIVE, get(live))
        .route(
            routes::PERSON_PREVIEW,
            get(async |At(person): At| Redirect::to(&address(&person, ""))).post(preview::preview),
        )
        .route(routes::PERSON_EXPORT, post(export))
        .route(routes::PERSON_REVERT, post(journal::revert))
}

fn address(person: &PersonId, what: &str) -> String {
    format!("{}/{person}{what}", routes::PEOPLE)
}

/// Whom an address is about. What cannot be an id leads to nobody.
struct At(PersonId);

impl FromRequestParts<App> for At {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let text = Path::<String>::from_request_parts(parts, app).await;
        let id = text.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or(Refused::NotFound)
    }
}

async fn show(
    State(app): State<App>,
    visit: Visit,
    At(person): At,
    Address(after): Address<AfterDone>,
) -> Result<Response, Refused> {
    let shown = shown(app, visit.clone(), person).await?;
    Ok(SettingsPage {
        done: after.done,
        following: shown.following,
        ..page(&visit, &shown.head, shown.content)
    }
    .into_response())
}

async fn live(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    At(person): At,
) -> Result<Response, Refused> {
    let render = move |app, visit| shown(app, visit, person.clone());
    follow(app, visit, headers, render).await
}

async fn shown(app: App, visit: Visit, person: PersonId) -> Result<Shown, Refused> {
    let head = Head::of(&app, visit.workspace()).await?;
    let facts = Facts::of(&app, &visit, &head, &person).await?;
    let following = facts.goes_on(head.now).then(|| Following {
        address: routes::PERSON_LIVE.replace("{person}", person.as_str()),
        said: match facts.is_on_its_way(head.now) {
            true => "On its way to HubSpot".to_owned(),
            false => "In HubSpot".to_owned(),
        },
    });
    Ok(Shown {
        content: content(&visit, &head, &facts, &Markup::default()),
        head,
        following,
    })
}

/// What is known of a person.
struct Facts {
    person: Person,
    profile: Result<ProfileAnswer, Refusal>,
    verdict: Option<(Verdict, DncBasis)>,
    /// What the records behind the verdict are called.
    names: RecordNames,
    requests: Vec<ExportRow>,
    activities: Vec<Listed<ActivityRow>>,
    /// None where the workspace does not read them.
    touches: Option<Vec<TouchAnswer>>,
    journal: Vec<JournalEntry>,
    labels: Labels,
    /// A value is being brought back.
    reverting: bool,
    standing: ExportStanding,
}

impl Facts {
    async fn of(app: &App, visit: &Visit, head: &Head, id: &PersonId) -> Result<Self, Refused> {
        let (store, workspace) = (&app.parts()?.store, visit.workspace());
        let person = store
            .person(workspace, id)
            .await?
            .ok_or(Refused::NotFound)?;
        let profile =
            profiles::one(app, workspace, RecordKind::Person, id.to_string(), "person").await;
        let verdict = match dnc::basis(store, workspace).await {
            Ok(basis) => store
                .check_dnc(workspace, &basis, &[Asked::Person(id.clone())])
                .await?
                .pop()
                .map(|verdict| (verdict, basis)),
            // Without a connection there are none.
            Err(_) => None,
        };
        let names = match &verdict {
            Some((verdict, basis)) => names_behind(app, visit, basis.portal, verdict).await?,
            None => RecordNames::new(),
        };
        let requests = store.latest_requests(workspace, id, SHOWN).await?;
        let activities = store.latest_activities(workspace, id, SHOWN).await?;
        let touches = engagements::of_person(app, workspace, &person, None, SHOWN).await?;
        let journal = store.journal_of_person(workspace, id, None, SHOWN).await?;
        let journal: Vec<JournalEntry> =
            journal.into_iter().flatten().map(entries::shown).collect();
        let portal = head.status.portal;
        let labels = Labels::of(app, visit, portal, profile.as_ref().ok(), &journal).await?;
        let reverting = !store.pending_reverts(workspace, id).await?.is_empty();
        Ok(Self {
            person,
            profile,
            verdict,
            names,
            requests: requests.into_iter().flatten().collect(),
            activities,
            touches,
            journal,
            labels,
            reverting,
            standing: store.export_standing(workspace).await?,
        })
    }

    /// Whether the page is about to be different by itself. What waits for something that may take
    /// days is not followed.
    fn goes_on(&self, now: DateTime<Utc>) -> bool {
        // The profile takes the contact in a moment after it was written.
        let settles = |row: &ExportRow| {
            matches!(row.outcome, RequestOutcome::Exported { .. })
                && now - row.changed_at < TimeDelta::seconds(SETTLES)
        };
        self.is_on_its_way(now) || self.requests.iter().any(settles)
    }

    /// Whether something is still to be written.
    fn is_on_its_way(&self, now: DateTime<Utc>) -> bool {
        let asked = self.requests.iter().any(|row| match row.outcome {
            RequestOutcome::Accepted => true,
            RequestOutcome::Waiting { reason, .. } => matches!(
                reason,
                WaitReason::TriedAgainLater | WaitReason::OutcomeUnknown
            ),
            RequestOutcome::Exported { .. }
            | RequestOutcome::Skipped { .. }
            | RequestOutcome::Failed { .. } => false,
        });
        let open = |entry: &JournalEntry| {
            let lately = now - entry.opened_at < TimeDelta::seconds(OPEN_FOR);
            entry.state == JournalState::Open && lately
        };
        asked || self.reverting || self.journal.iter().any(open)
    }
}

fn page<'a>(visit: &'a Visit, head: &'a Head, content: Markup) -> SettingsPage<'a> {
    SettingsPage {
        width: Width::Wide,
        ..SettingsPage::new(visit, head, routes::PEOPLE, "Person", content)
    }
}

fn content(visit: &Visit, head: &Head, facts: &Facts, preview: &Markup) -> Markup {
    let person = &facts.person;
    let id = &person.id;
    let contact = facts
        .profile
        .as_ref()
        .ok()
        .and_then(|p| p.link.as_ref())
        .and_then(|link| head.in_portal(&format!("/contact/{}", link.hubspot_id)));
    let end = html! {
        div .row {
            (action(visit, &address(id, "/preview"), "", "Preview export", &[]))
            @if visit.may_change() { (action(visit, &address(id, "/export"), "primary", "Export now", &[])) }
        }
    };
    let lead = html! {
        @if let Some(email) = &person.email { bdi { (email.as_str()) } " · " }
        "id " (id)
        @if let Some(link) = &contact { " · " a href=(link) rel="noreferrer" { "In HubSpot" } }
    };
    html! {
        p { a href=(routes::PEOPLE) { "People" } }
        (wide_heading(html! { bdi { (name_of(person)) } }, lead, &end))
        p #whereabouts { (whereabouts::said(facts)) }
        (preview)
        (section("verdict", "May we contact?", "", &verdict(head, facts)))
        (section("requests", "Exports", "What was asked for, newest first.", &requests(head, facts)))
        (section("profile", "Profile", "What the app and HubSpot say, and which of it wins.", &profile(facts)))
        (section("activities", "Activities", "What the app did with this person, newest first, and how it stands on HubSpot’s timeline.", &activities::table(head, facts)))
        @if let Some(touches) = &facts.touches {
            (section("touches", "Recent engagements", "What others did with this person in HubSpot, newest first.", &touches::table(head, touches)))
        }
        (section("journal", "Journal", "What exports wrote to HubSpot, newest first.", &journal::written(visit, head, facts)))
    }
}

fn verdict(head: &Head, facts: &Facts) -> Markup {
    html! {
        div .card { div .stack .tight {
            @match &facts.verdict {
                None => { p { (may(None)) } }
                Some((verdict, basis)) => {
                    div .row {
                        @if verdict.allowed && facts.person.email.is_none() {
                            (pill(Tone::Plain, icon::STOP, "No address to judge"))
                        } @else { (may(Some(verdict.allowed))) }
                        @if verdict.stale { (pill(Tone::Warn, icon::CLOCK, "Stale")) }
                        @if let Some(as_of) = basis.as_of { span .small .muted .end { "as of " (when(as_of, head.now)) } }
                    }
                    (reasons_of(head, verdict, &facts.names))
                }
            }
        } }
    }
}

/// A value as people read it; empty where there is none.
pub(in crate::pages) fn text_of(value: Option<&FieldValue>) -> String {
    match value {
        None => String::new(),
        Some(FieldValue::Text(text)) => text.clone(),
        Some(FieldValue::Number(number)) => number.to_string(),
        Some(FieldValue::Boolean(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        Some(FieldValue::List(texts)) => texts.join(", "),
    }
}

fn profile(facts: &Facts) -> Markup {
    let profile = match &facts.profile {
        Ok(profile) => profile,
        Err(refusal) => {
            let text = html! { p { (refusal.problem().detail) } };
            return notice(Tone::Warn, icon::WARN, &text, None);
        }
    };
    let side = |value: Option<&FieldValue>, wins: bool| {
        let text = text_of(value);
        html! {
            @if text.is_empty() { span .muted { "—" } }
            @else if wins { b { bdi { (text) } } span .sub { "wins" } }
            @else { bdi { (text) } }
        }
    };
    html! {
        @if !profile.conflicts.is_empty() {
            (notice(Tone::Warn, icon::WARN, &html! { p {
                "HubSpot has " (profile.conflicts.len()) " more with an address of this person. Merge them in HubSpot."
            } }, None))
        }
        table .table {
            caption .sr { "Fields" }
            thead { tr {
                th scope="col" { "Field" } th scope="col" { "App" } th scope="col" { "HubSpot" } th scope="col" { "Property" }
            } }
            tbody { @for (key, field) in &profile.fields {
                tr {
                    th scope="row" { (facts.labels.field(key)) }
                    td data-l="App" { (side(field.of.app.as_ref(), field.of.source == Some(ValueSource::App))) }
                    td data-l="HubSpot" {
                        (side(field.of.hubspot.as_ref(), field.of.source == Some(ValueSource::Hubspot)))
                        @if field.of.unreadable { span .sub { "HubSpot’s value does not read as this field’s type" } }
                    }
                    td data-l="Property" {
                        @match &field.of.property { Some(name) => { (facts.labels.property(ObjectType::Contact, name)) } None => { span .muted { "not mapped" } } }
                    }
                }
            } }
        }
    }
}

fn requests(head: &Head, facts: &Facts) -> Markup {
    html! {
        @if facts.requests.is_empty() {
            div .card { div { p .muted { "Nothing was asked for yet." } } }
        } @else {
            table .table {
                caption .sr { "Requests" }
                thead { tr { th scope="col" { "What" } th scope="col" { "Outcome" } th scope="col" { "Asked" } th scope="col" { "Changed" } } }
                tbody { @for row in &facts.requests {
                    tr {
                        th scope="row" { (kind_name(row.kind)) }
                        td data-l="Outcome" {
                            (outcome(&row.outcome))
                            @if let Some(code) = &row.code { span .sub { code { (code) } @for p in &row.properties { " · " code { (p) } } } }
                        }
                        td data-l="Asked" { (when(row.requested_at, head.now)) }
                        td data-l="Changed" { (when(row.changed_at, head.now)) }
                    }
                } }
            }
        }
    }
}

async fn export(State(app): State<App>, visit: Visit, At(person): At) -> Result<Redirect, Refused> {
    let asked = ManualExport {
        person: person.clone(),
        anew: false,
    };
    exports::by_hand(&app, visit.workspace(), asked, CallIds::fresh()).await?;
    visit.note(&app, PageEvent::Exported, None).await;
    Ok(Redirect::to(&address(&person, "?done=exported")))
}
