//! The journal of exports, and reverts (E10).

use axum::{Json, body::Bytes, extract::State, http::StatusCode};
use domain::{
    RevertId, WorkspaceId,
    api::{JournalEntry, Page, RevertAnswer, RevertRequest},
    app::PersonId,
    export::journal::EntryId,
};
use store::{JournalRow, NewRevert, RefusedRevert, RevertRow};

use crate::{
    api::{
        extract::{Asked, Ids, In, body_of},
        idempotency::CallIds,
        now,
        records::{PageQuery, page},
    },
    problem::Refusal,
    state::App,
};

pub(crate) fn shown(row: JournalRow) -> JournalEntry {
    let code = row.error_code.and_then(|code| code.parse().ok());
    JournalEntry::new(&row.entry, row.person, row.sent_at, code)
}

fn revert_shown(row: RevertRow) -> RevertAnswer {
    RevertAnswer {
        revert: row.id,
        person: row.person,
        entry: row.entry,
        property: row.property,
        state: row.state,
        code: row.code.and_then(|code| code.parse().ok()),
        asked_at: row.asked_at,
        changed_at: row.changed_at,
    }
}

/// Lists what exports of a person wrote
///
/// Newest first: the writes about the person, and those about companies in the person's exports.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/people/{person}/journal", tag = "exports",
    operation_id = "listPersonJournal",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("person" = PersonId, Path, description = "The app's id of the person"),
        PageQuery,
    ),
    responses((status = 200, description = "A page, newest first", body = Page<JournalEntry>))
)]
pub(crate) async fn list_person_journal(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<JournalEntry>>, Refusal> {
    let person: PersonId = ids.get("person")?;
    let after: Option<EntryId> = query.after()?;
    let store = &app.parts()?.store;
    let rows = store
        .journal_of_person(workspace, &person, after, query.limit.get() + 1)
        .await?;
    if rows.is_empty() && store.person(workspace, &person).await?.is_none() {
        return Err(Refusal::UnknownRecord("person"));
    }
    let items = rows.into_iter().map(|row| row.map(shown)).collect();
    Ok(Json(page(items, query.limit, |e: &JournalEntry| {
        e.entry.to_string()
    })))
}

/// One entry of the journal
#[utoipa::path(
    get, path = "/workspaces/{workspace}/journal/{entry}", tag = "exports", operation_id = "getJournalEntry",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("entry" = EntryId, Path, description = "The entry"),
    ),
    responses((status = 200, description = "The entry", body = JournalEntry))
)]
pub(crate) async fn get_journal_entry(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<JournalEntry>, Refusal> {
    let entry: EntryId = ids.get("entry")?;
    let found = app.parts()?.store.journal_entry(workspace, entry).await?;
    found
        .map(|row| Json(shown(row)))
        .ok_or(Refusal::UnknownRecord("journal entry"))
}

/// Reverts an overwrite
///
/// Brings the old value back by a write of its own, which the journal has too, unless HubSpot has
/// another value by then. Asked again before it is carried out, it answers with the same revert.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/journal/{entry}/revert", tag = "exports",
    operation_id = "revertJournalEntry",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("entry" = EntryId, Path, description = "The entry"),
    ),
    request_body = RevertRequest,
    responses((status = 202, description = "The revert is a row; nothing is lost from here on", body = RevertAnswer))
)]
pub(crate) async fn revert_journal_entry(
    State(app): State<App>,
    In(workspace): In,
    path: Ids,
    ids: CallIds,
    body: Bytes,
) -> Result<(StatusCode, Json<RevertAnswer>), Refusal> {
    let entry: EntryId = path.get("entry")?;
    let asked: RevertRequest = body_of(&body)?;
    let new = NewRevert {
        id: RevertId::new(ids.nth(0)),
        workspace,
        entry,
        property: &asked.property,
    };
    let revert = ask_revert(&app, &new).await?;
    Ok((StatusCode::ACCEPTED, Json(revert)))
}

/// Asks to revert an overwrite.
pub(crate) async fn ask_revert(app: &App, new: &NewRevert<'_>) -> Result<RevertAnswer, Refusal> {
    let parts = app.parts()?;
    let row = parts
        .store
        .ask_revert(new, now())
        .await?
        .map_err(|refused| match refused {
            RefusedRevert::UnknownEntry => Refusal::UnknownRecord("journal entry"),
            RefusedRevert::Not(why) => Refusal::NoRevert(why),
        })?;
    parts.wake_export(new.workspace, &row.person).await;
    Ok(revert_shown(row))
}

/// One revert with its outcome
#[utoipa::path(
    get, path = "/workspaces/{workspace}/reverts/{revert}", tag = "exports", operation_id = "getRevert",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("revert" = RevertId, Path, description = "The revert"),
    ),
    responses((status = 200, description = "The revert", body = RevertAnswer))
)]
pub(crate) async fn get_revert(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<RevertAnswer>, Refusal> {
    let revert: RevertId = ids.get("revert")?;
    let found = app.parts()?.store.export_revert(workspace, revert).await?;
    found
        .map(|row| Json(revert_shown(row)))
        .ok_or(Refusal::UnknownRecord("revert"))
}
