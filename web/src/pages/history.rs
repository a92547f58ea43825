//! History: who changed which setting when, and what else was done on the pages.

use std::collections::BTreeMap;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use domain::{
    dnc::RecordRef,
    entry::PageEvent,
    portal::ListId,
    settings::{ChangeKind, Settings, SettingsChange, SettingsRevision, changes, read},
};
use maud::{Markup, html};
use serde::Deserialize;
use store::PageEventRow;

use crate::{
    pages::{
        basic_sync::{creation_name, policy_name},
        bulk,
        frame::SettingsPage,
        guard::{Address, Visit},
        head::Head,
        parts::{empty, heading, icon, section, when},
        refused::Refused,
        routes,
    },
    state::App,
};

/// How many events are shown.
const SHOWN: u32 = 100;
/// Before it was saved, nothing is exported.
const FIRST: SettingsRevision = SettingsRevision::new(1);
/// How many bulk exports.
const BULKS: u32 = 10;
/// Where the followed lists stand in the settings.
const LISTS: &str = "/lists/";
/// The longest value that is shown of a change.
const LONGEST: usize = 120;

pub(crate) fn router() -> Router<App> {
    Router::new().route(routes::HISTORY, get(show))
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    /// A revision, to see what it changed.
    #[serde(default)]
    version: String,
}

async fn show(
    State(app): State<App>,
    visit: Visit,
    Address(asked): Address<Asked>,
) -> Result<Response, Refused> {
    let head = Head::of(&app, visit.workspace()).await?;
    let store = &app.parts()?.store;
    let events = store.page_events(visit.workspace(), SHOWN).await?;
    let bulks = store.latest_bulks(visit.workspace(), BULKS).await?;
    let change = match asked.version.parse().map(SettingsRevision::new) {
        Ok(version) if version > SettingsRevision::NONE => {
            Some(difference(&app, &visit, version).await?)
        }
        _ => None,
    };
    let now = store.settings(visit.workspace()).await?;
    let content = html! {
        (heading("History", "What was done on these pages, newest first. What the app did through the API is in force all the same; its settings are versions without a name."))
        @if let Some(change) = &change { (change) }
        @if events.is_empty() {
            (empty(None, "Nothing was done on these pages yet.", Some(html! { a .btn href=(routes::BASIC_SYNC) { "Look at the settings" } })))
        } @else {
            (section("events", "What was done", "", &table(&head, &events)))
        }
        @if !bulks.is_empty() { (section("bulks", "Bulk exports", "", &bulk::table(&head, &bulks))) }
        @if let Some(row) = now {
            p .hint { "Version " (row.revision) " of the settings is in force, saved " (when(row.saved_at, head.now)) ". "
                a href={ (routes::HISTORY) "?version=" (row.revision) } { "What it changed" } }
        }
    };
    Ok(SettingsPage::new(&visit, &head, routes::HISTORY, "History", content).into_response())
}

const fn event_name(event: PageEvent) -> &'static str {
    match event {
        PageEvent::WentToConnect => "Went to HubSpot to connect",
        PageEvent::Connected => "Connected",
        PageEvent::ConsentRefused => "Did not connect: consent was refused",
        PageEvent::Disconnected => "Disconnected",
        PageEvent::SyncedNow => "Had changes read at once",
        PageEvent::Resynced => "Had records read again",
        PageEvent::SavedSettings => "Saved settings",
        PageEvent::Retried => "Retried problems",
        PageEvent::Exported => "Exported a person by hand",
        PageEvent::Reverted => "Reverted a value in HubSpot",
        PageEvent::AskedBulk => "Looked whom a bulk export would take",
        PageEvent::ConfirmedBulk => "Confirmed a bulk export",
        PageEvent::StoppedBulk => "Stopped a bulk export",
        PageEvent::Previewed => "Looked what an export of a person would do",
        PageEvent::MadeOwnProperties => "Had properties of our own made",
        PageEvent::PutSetUpAway => "Put the list of steps away",
    }
}

fn table(head: &Head, events: &[PageEventRow]) -> Markup {
    html! {
        table .table {
            caption .sr { "Events" }
            thead { tr { th scope="col" { "What" } th scope="col" { "Who" } th scope="col" { "When" } } }
            tbody { @for event in events {
                tr {
                    th scope="row" {
                        (event_name(event.event))
                        @if event.revision == Some(FIRST) { ": the first save, which switches exports on" }
                        @if let Some(revision) = event.revision {
                            span .sub { a href={ (routes::HISTORY) "?version=" (revision) } { "Version " (revision) } }
                        }
                    }
                    td data-l="Who" {
                        @match &event.user_name { Some(name) => { bdi { (name) } } None => { code { (event.user) } } }
                    }
                    td data-l="When" { (when(event.at, head.now)) }
                }
            } }
        }
    }
}

/// A place of the settings, as its page calls it.
fn place_text(path: &str) -> String {
    const NAMES: &[(&str, &str)] = &[
        ("/export/policy", "Who is exported"),
        ("/export/contacts", "New contacts"),
        ("/export/companies", "New companies"),
        ("/export/daily_ceiling", "Daily ceiling"),
        ("/import/enabled", "Import"),
        ("/import/interval_minutes", "Import, every so many minutes"),
        ("/contact_source", "Contact source"),
        ("/contacts", "Mapping of contacts"),
        ("/companies", "Mapping of companies"),
        ("/activity_properties", "Mapping of activities"),
        ("/activities", "Activities"),
        ("/lists", "Lists"),
        ("/owners", "Owners"),
        ("/status", "Statuses"),
        ("/dnc", "Do not contact"),
    ];
    let words = |rest: &str| {
        let parts = rest
            .split('/')
            .filter(|p| !p.is_empty() && p.parse::<u32>().is_err());
        parts.map(|p| p.replace('_', " ")).collect::<Vec<_>>()
    };
    let of = |(start, name): &(&str, &'static str)| {
        let rest = path.strip_prefix(start)?;
        (rest.is_empty() || rest.starts_with('/')).then_some((*name, rest))
    };
    match NAMES.iter().find_map(of) {
        Some((name, rest)) => {
            let mut all = vec![name.to_owned()];
            all.extend(words(rest));
            all.join(", ")
        }
        None => words(path).join(", "),
    }
}

/// A value in words. What is a row is told by its parts.
fn value_text(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(on) => if *on { "on" } else { "off" }.to_owned(),
        Value::String(text) => match (text.parse(), text.parse()) {
            (Ok(policy), _) => policy_name(policy).to_owned(),
            (_, Ok(creation)) => creation_name(creation).to_owned(),
            _ => text.clone(),
        },
        Value::Array(all) if all.is_empty() => "none".to_owned(),
        Value::Array(all) => all.iter().map(value_text).collect::<Vec<_>>().join("; "),
        Value::Object(parts) => {
            let parts = parts.iter().filter(|(_, value)| !value.is_null());
            let told = parts.map(|(key, value)| {
                let value = match value {
                    // What is chosen from few is a word; a text is somebody's own.
                    Value::String(text) if key != "value" && key != "property" => {
                        text.replace('_', " ")
                    }
                    other => value_text(other),
                };
                format!("{} {value}", key.replace('_', " "))
            });
            told.collect::<Vec<_>>().join(", ")
        }
        Value::Number(number) => number.to_string(),
    }
}

/// The list that a change is about.
fn list_of(change: &SettingsChange) -> Option<RecordRef> {
    let row = change.row.as_ref();
    let row = row.filter(|_| change.path.as_str().starts_with(LISTS))?;
    Some(RecordRef::List(ListId::new(row.parse().ok()?)))
}

/// The names of the lists that changes are about. One that the portal never had is not among them.
async fn list_names(
    app: &App,
    visit: &Visit,
    told: &[SettingsChange],
) -> Result<BTreeMap<RecordRef, String>, Refused> {
    let store = &app.parts()?.store;
    let Some(connection) = store.connection(visit.workspace()).await? else {
        return Ok(BTreeMap::new());
    };
    let lists: Vec<RecordRef> = told.iter().filter_map(list_of).collect();
    Ok(store
        .record_names(visit.workspace(), connection.portal, &lists)
        .await?)
}

/// What a version changed, seen from the one before it.
async fn difference(
    app: &App,
    visit: &Visit,
    version: SettingsRevision,
) -> Result<Markup, Refused> {
    let (store, workspace) = (&app.parts()?.store, visit.workspace());
    let row = store
        .settings_at(workspace, version)
        .await?
        .ok_or(Refused::NotFound)?;
    let before = SettingsRevision::new(version.get() - 1);
    let old = match store.settings_at(workspace, before).await? {
        Some(row) => read(row.document).ok(),
        None => Some(Settings::defaults(&store.portal_facts(workspace).await?)),
    };
    let new = read(row.document).ok();
    let (Some(old), Some(new)) = (old, new) else {
        return Ok(html! { p { "One of the two versions cannot be read: " code { "HS-2217" } } });
    };
    let json = |s: &Settings| serde_json::to_value(s).unwrap_or_default();
    let (old_json, new_json) = (json(&old), json(&new));
    let told = changes(&old, &new);
    let names = list_names(app, visit, &told).await?;
    let shown = |value: Option<&serde_json::Value>| {
        let text = value.map_or_else(|| "nothing".to_owned(), value_text);
        match text.char_indices().nth(LONGEST) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    };
    let content = html! {
        div .card {
            @if told.is_empty() { div { p { "Nothing: it was saved as it was." } } }
            @for change in &told {
                @let place = change.path.as_str();
                div {
                    b { (place_text(place)) }
                    @if let Some(name) = list_of(change).and_then(|list| names.get(&list)) { " " bdi { (name) } }
                    @else if let Some(row) = &change.row { " " code { (row) } }
                    " "
                    span .change {
                        @if change.change == ChangeKind::Changed && change.row.is_none() {
                            span .sr { "from " } del { bdi { (shown(old_json.pointer(place))) } } (icon::draw(icon::ARROW))
                        }
                        @if change.change == ChangeKind::Removed { del { bdi { (shown(old_json.pointer(place))) } } }
                        @else { span .sr { "to " } ins { bdi { (shown(new_json.pointer(place))) } } }
                    }
                }
            }
        }
    };
    Ok(section(
        "difference",
        &format!("What version {version} changed"),
        "",
        &content,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_in_the_words_of_the_pages() {
        for (path, want) in [
            ("/export/policy", "Who is exported"),
            ("/lists/0", "Lists"),
            (
                "/dnc/lost_deal/within_days",
                "Do not contact, lost deal, within days",
            ),
            ("/contacts/3", "Mapping of contacts"),
            ("/contact_source/value", "Contact source, value"),
            ("/new_one", "new one"),
        ] {
            assert_eq!(place_text(path), want);
        }
        for (value, want) in [
            (serde_json::json!("replied"), "Only people who replied"),
            (serde_json::json!("update_only"), "Update only"),
            (serde_json::json!(true), "on"),
            (serde_json::json!(null), "nothing"),
            (serde_json::json!([]), "none"),
            (
                serde_json::json!({"list": 10, "use": "suppression"}),
                "list 10, use suppression",
            ),
        ] {
            assert_eq!(value_text(&value), want);
        }
    }
}
