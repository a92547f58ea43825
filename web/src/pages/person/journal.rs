//! What exports wrote about a person, and bringing a value back (E10).

use axum::{extract::State, response::Redirect};
use domain::{
    ObjectType, RevertId,
    activities::recognise::is_digest,
    api::{JournalEntry, JournalOperation, JournalState},
    entry::PageEvent,
    export::{journal::EntryId, revert::NoRevert},
};
use maud::{Markup, html};
use store::NewRevert;
use uuid::Uuid;

use super::{At, Facts, address, preview::change};
use crate::{
    api::journal,
    pages::{
        guard::{Sent, Visit},
        head::Head,
        parts::{csrf, when},
        refused::Refused,
    },
    problem::Refusal,
    state::App,
};

pub(super) fn written(visit: &Visit, head: &Head, facts: &Facts) -> Markup {
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
                                    (facts.labels.property(entry.record_type, &property.property))
                                    span .sub {
                                        @match record(head, facts, entry) {
                                            Some((link, name)) => { a href=(link) rel="noreferrer" { (name) } }
                                            None => { (record_name(entry.record_type)) }
                                        }
                                        " " (operation_name(entry)) ", " (state_name(entry))
                                    }
                                }
                                td data-l="Change" {
                                    @if of_engagement(entry) && property.new.as_deref().is_some_and(is_digest) {
                                        span .muted { "A text; the journal does not keep it" }
                                    } @else {
                                        (change(property.old.as_deref(), property.new.as_deref()))
                                    }
                                }
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

/// Of others the journal keeps what was written.
const fn of_engagement(entry: &JournalEntry) -> bool {
    !matches!(
        entry.record_type,
        ObjectType::Contact | ObjectType::Company | ObjectType::Deal
    )
}

/// What people call a record of this type.
pub(super) const fn record_name(of: ObjectType) -> &'static str {
    match of {
        ObjectType::Contact => "Contact",
        ObjectType::Company => "Company",
        ObjectType::Deal => "Deal",
        ObjectType::Meeting => "Meeting",
        ObjectType::Call => "Call",
        ObjectType::Email => "E-mail",
        ObjectType::Communication => "Message",
        ObjectType::Note => "Note",
        ObjectType::Task => "Task",
    }
}

/// The record in HubSpot’s own pages; of an engagement the contact on whose timeline it stands.
fn record(head: &Head, facts: &Facts, entry: &JournalEntry) -> Option<(String, &'static str)> {
    let id = entry.hubspot_id?;
    let path = match entry.record_type {
        ObjectType::Contact => format!("/contact/{id}"),
        ObjectType::Company => format!("/company/{id}"),
        ObjectType::Deal => format!("/deal/{id}"),
        _ => {
            let contact = facts.profile.as_ref().ok()?.link.as_ref()?.hubspot_id;
            format!("/contact/{contact}")
        }
    };
    Some((head.in_portal(&path)?, record_name(entry.record_type)))
}

const fn operation_name(entry: &JournalEntry) -> &'static str {
    match entry.operation {
        JournalOperation::Create => "created",
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

pub(super) async fn revert(
    State(app): State<App>,
    visit: Visit,
    At(person): At,
    sent: Sent,
) -> Result<Redirect, Refused> {
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
