//! A person: what both sides say, whether they may be contacted, what an export would do, and what
//! exports wrote (I5, I8, E9, E10).

use axum::{
    Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use domain::{
    RevertId,
    api::{
        ChangePreview, ExportPreview, JournalEntry, JournalOperation, JournalState, ManualExport,
        PreviewAction, PreviewRequest, ProfileAnswer, RecordPreview, RulePreview, WhyPreview,
    },
    app::{FieldValue, Person, PersonId, RecordKind},
    dnc::Verdict,
    entry::PageEvent,
    export::{journal::EntryId, revert::NoRevert},
    profile::ValueSource,
    settings::ExportBehavior,
};
use maud::{Markup, html};
use store::{Asked, DncBasis, ExportFilter, ExportRow, NewRevert};
use uuid::Uuid;

use crate::{
    api::{dnc, exports, idempotency::CallIds, journal, previews, profiles},
    pages::{
        dnc::reasons_of,
        frame::{AfterDone, SettingsPage, Width},
        guard::{Sent, Visit},
        head::Head,
        parts::{Tone, action, csrf, fold, icon, notice, pill, section, when, wide_heading},
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

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route(routes::PERSON, get(show))
        .route(routes::PERSON_PREVIEW, post(preview))
        .route(routes::PERSON_EXPORT, post(export))
        .route(routes::PERSON_REVERT, post(revert))
}

fn address(person: &PersonId, what: &str) -> String {
    format!("{}/{person}{what}", routes::PEOPLE)
}

/// Ids that cannot be one lead to nobody.
fn id_of(text: &str) -> Result<PersonId, Refused> {
    text.parse().map_err(|_| Refused::NotFound)
}

async fn show(
    State(app): State<App>,
    visit: Visit,
    Path(person): Path<String>,
    Query(after): Query<AfterDone>,
) -> Result<Response, Refused> {
    let head = Head::of(&app, visit.workspace()).await?;
    let facts = Facts::of(&app, &visit, &id_of(&person)?).await?;
    let mut page = page(&visit, &head, &facts, &Markup::default());
    page.done = after.done;
    Ok(page.into_response())
}

/// What is known of a person.
struct Facts {
    person: Person,
    profile: Result<ProfileAnswer, Refusal>,
    verdict: Option<(Verdict, DncBasis)>,
    requests: Vec<ExportRow>,
    journal: Vec<JournalEntry>,
}

impl Facts {
    async fn of(app: &App, visit: &Visit, id: &PersonId) -> Result<Self, Refused> {
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
        let filter = ExportFilter {
            person: Some(id.clone()),
            state: None,
        };
        let requests = store
            .export_requests_after(workspace, &filter, None, SHOWN)
            .await?;
        let journal = store.journal_of_person(workspace, id, None, SHOWN).await?;
        Ok(Self {
            person,
            profile,
            verdict,
            requests: requests.into_iter().rev().flatten().collect(),
            journal: journal.into_iter().flatten().map(journal::shown).collect(),
        })
    }
}

fn page<'a>(visit: &'a Visit, head: &'a Head, facts: &Facts, preview: &Markup) -> SettingsPage<'a> {
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
    let content = html! {
        p { a href=(routes::PEOPLE) { "People" } }
        (wide_heading(html! { bdi { (name_of(person)) } }, lead, &end))
        (preview)
        (section("verdict", "May we contact?", "", &verdict(head, facts)))
        (section("profile", "Profile", "What the app and HubSpot say, and which of it wins.", &profile(facts)))
        (section("requests", "Exports", "What was asked for, newest first.", &requests(head, facts)))
        (section("journal", "Journal", "What exports wrote to HubSpot, newest first.", &journal_of(visit, head, facts)))
    };
    SettingsPage {
        width: Width::Wide,
        ..SettingsPage::new(visit, head, routes::PEOPLE, "Person", content)
    }
}

fn verdict(head: &Head, facts: &Facts) -> Markup {
    html! {
        div .card { div .stack .tight {
            @match &facts.verdict {
                None => { p { (may(None)) } }
                Some((verdict, basis)) => {
                    div .row {
                        (may(Some(verdict.allowed)))
                        @if verdict.stale { (pill(Tone::Warn, icon::CLOCK, "Stale")) }
                        @if let Some(as_of) = basis.as_of { span .small .muted .end { "as of " (when(as_of, head.now)) } }
                    }
                    (reasons_of(head, verdict))
                }
            }
        } }
    }
}

fn text_of(value: Option<&FieldValue>) -> String {
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
                    th scope="row" { (key) }
                    td data-l="App" { (side(field.of.app.as_ref(), field.of.source == Some(ValueSource::App))) }
                    td data-l="HubSpot" {
                        (side(field.of.hubspot.as_ref(), field.of.source == Some(ValueSource::Hubspot)))
                        @if field.of.unreadable { span .sub { "HubSpot’s value does not read as this field’s type" } }
                    }
                    td data-l="Property" {
                        @match &field.of.property { Some(name) => { code { (name) } } None => { span .muted { "not mapped" } } }
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

fn change(old: Option<&str>, new: Option<&str>) -> Markup {
    html! {
        span .change {
            @if let Some(old) = old { span .sr { "from " } del { bdi { (old) } } }
            @else { span .muted { "nothing" } }
            (icon::draw(icon::ARROW))
            @if let Some(new) = new { span .sr { "to " } ins { bdi { (new) } } }
            @else { span .muted { "nothing" } }
        }
    }
}

fn journal_of(visit: &Visit, head: &Head, facts: &Facts) -> Markup {
    let written = facts
        .journal
        .iter()
        .any(|entry| !entry.properties.is_empty());
    html! {
        @if !written {
            div .card { div { p .muted { "Nothing was written about this person yet." } } }
        } @else {
            table .table {
                caption .sr { "Entries" }
                thead { tr {
                    th scope="col" { "What" } th scope="col" { "Change" } th scope="col" { "When" } th scope="col" { span .sr { "Actions" } }
                } }
                tbody {
                    @for entry in &facts.journal {
                        @for property in &entry.properties {
                            tr {
                                th scope="row" {
                                    code { (property.property) }
                                    span .sub { (entry.record_type.as_str()) ", " (operation_name(entry)) ", " (state_name(entry)) }
                                }
                                td data-l="Change" { (change(property.old.as_deref(), property.new.as_deref())) }
                                td data-l="When" { (when(entry.opened_at, head.now)) }
                                td .act {
                                    @if property.can_revert && visit.may_change() {
                                        form method="post" action=(address(&facts.person.id, "/revert")) {
                                            (csrf(visit))
                                            input type="hidden" name="entry" value=(entry.entry);
                                            input type="hidden" name="property" value=(property.property);
                                            button .btn .small aria-label={ "Revert " (property.property) } { "Revert" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

const fn operation_name(entry: &JournalEntry) -> &'static str {
    match entry.operation {
        JournalOperation::Create => "made",
        JournalOperation::Update => "written",
        JournalOperation::Empty => "emptied before it was written",
        JournalOperation::Associate => "associated",
        JournalOperation::Archive => "archived",
    }
}

const fn state_name(entry: &JournalEntry) -> &'static str {
    match entry.state {
        JournalState::Open => "not known yet whether HubSpot has it",
        JournalState::Done => "done",
        JournalState::Refused => "refused by HubSpot",
        JournalState::Dropped => "given up before it was sent",
    }
}

/// Answered directly: it holds for its moment, and has values of the person in it.
async fn preview(
    State(app): State<App>,
    visit: Visit,
    Path(person): Path<String>,
) -> Result<Response, Refused> {
    let person = id_of(&person)?;
    let facts = Facts::of(&app, &visit, &person).await?;
    let asked = PreviewRequest {
        person,
        anew: false,
    };
    let made = previews::preview(&app, visit.workspace(), &asked).await;
    let head = Head::of(&app, visit.workspace()).await?;
    let (status, shown) = match &made {
        Ok(made) => (StatusCode::OK, previewed(made)),
        Err(refusal) => {
            let problem = refusal.problem();
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
            let text = html! { p { b { (problem.title) ". " } (problem.detail) " " code { (problem.code) } } };
            (status, notice(Tone::Error, icon::WARN, &text, None))
        }
    };
    let shown = section(
        "preview",
        "What an export would do now",
        "Nothing was written.",
        &shown,
    );
    let mut page = page(&visit, &head, &facts, &shown);
    page.status = status;
    Ok(page.into_response())
}

fn previewed(preview: &ExportPreview) -> Markup {
    html! {
        div .stack {
            (record("Contact", &preview.contact))
            @if let Some(company) = &preview.company { (record("Company", company)) }
            @if let Some(why) = &preview.no_company { p .hint { "No company: " (why_text(why)) } }
            @if preview.may_become_marketing_contact {
                p .hint { "Whether a new contact counts as a marketing contact, for which HubSpot may charge, is decided by a setting of the portal." }
            }
        }
    }
}

fn record(kind: &str, record: &RecordPreview) -> Markup {
    let (tone, path, what) = match record.action {
        PreviewAction::Create => (Tone::Info, icon::CHECK, "would be made"),
        PreviewAction::Adopt => (Tone::Info, icon::CHECK, "is in HubSpot and would be linked"),
        PreviewAction::Update => (Tone::Info, icon::SYNC, "would be written"),
        PreviewAction::Nothing => (Tone::Ok, icon::CHECK, "is as it should be"),
        PreviewAction::Skip => (Tone::Warn, icon::STOP, "would be left out"),
    };
    let left = html! {
        ul .stack .tight {
            @for left in &record.left_out {
                li { code { (left.property) } " (" (rule_name(&left.rule)) "): " (why_text(&left.why)) }
            }
        }
    };
    html! {
        div .card {
            div .row {
                (pill(tone, path, format!("{kind} {what}")))
                @if let Some(why) = &record.reason { span { (why_text(why)) } }
            }
            @if !record.changes.is_empty() { div { (changes(&record.changes)) } }
            @if !record.left_out.is_empty() {
                div { (fold(false, format!("Not written: {}", record.left_out.len()), &left)) }
            }
        }
    }
}

fn changes(changes: &[ChangePreview]) -> Markup {
    html! {
        table .table {
            caption .sr { "What would be written" }
            thead { tr { th scope="col" { "Property" } th scope="col" { "Change" } th scope="col" { "Rule" } } }
            tbody { @for c in changes {
                tr {
                    th scope="row" { code { (c.property) } }
                    td data-l="Change" { (change(c.old.as_deref(), Some(&c.new))) }
                    td data-l="Rule" { (rule_name(&c.rule)) span .sub { (behavior_name(c.behavior)) } }
                }
            } }
        }
    }
}

fn rule_name(rule: &RulePreview) -> String {
    match rule {
        RulePreview::Key => "what identifies the record".to_owned(),
        RulePreview::Name => "the company’s name".to_owned(),
        RulePreview::Row { app_field } => format!("mapping of {app_field}"),
        RulePreview::Status { status } => format!("status {status}"),
        RulePreview::Owner { fallback: true } => "fallback owner".to_owned(),
        RulePreview::Owner { fallback: false } => "owner".to_owned(),
        RulePreview::Source => "contact source".to_owned(),
        RulePreview::Fixed => "fixed value".to_owned(),
    }
}

const fn behavior_name(behavior: ExportBehavior) -> &'static str {
    match behavior {
        ExportBehavior::DoNotExport => "do not export",
        ExportBehavior::FillIfEmpty => "fill if empty",
        ExportBehavior::Overwrite => "overwrite",
        ExportBehavior::CreateOnly => "on create only",
        ExportBehavior::Append => "append",
    }
}

/// The reason's name as words, with what it is about.
fn why_text(why: &WhyPreview) -> Markup {
    html! {
        (why.reason.replace('_', " "))
        @for property in &why.properties { " " code { (property) } }
        @if let Some(code) = &why.code { " " code { (code) } }
    }
}

async fn export(
    State(app): State<App>,
    visit: Visit,
    Path(person): Path<String>,
) -> Result<Redirect, Refused> {
    let person = id_of(&person)?;
    let asked = ManualExport {
        person: person.clone(),
        anew: false,
    };
    exports::by_hand(&app, visit.workspace(), asked, CallIds::fresh()).await?;
    visit.note(&app, PageEvent::Exported, None).await;
    Ok(Redirect::to(&address(&person, "?done=exported")))
}

async fn revert(
    State(app): State<App>,
    visit: Visit,
    Path(person): Path<String>,
    sent: Sent,
) -> Result<Redirect, Refused> {
    let person = id_of(&person)?;
    let entry: EntryId = sent.text("entry").parse().map_err(|_| Refused::NotFound)?;
    let store = &app.parts()?.store;
    let known = store
        .journal_entry(visit.workspace(), entry)
        .await?
        .filter(|row| row.person.as_ref() == Some(&person))
        .ok_or(Refused::NotFound)?;
    let property = sent.text("property");
    let written = journal::shown(known).properties;
    if !written.iter().any(|p| p.property == property) {
        return Err(Refusal::NoRevert(NoRevert::NotWritten).into());
    }
    let new = NewRevert {
        id: RevertId::new(Uuid::now_v7()),
        workspace: visit.workspace(),
        entry,
        property,
    };
    journal::ask_revert(&app, &new).await?;
    visit.note(&app, PageEvent::Reverted, None).await;
    Ok(Redirect::to(&address(&person, "?done=reverted")))
}
