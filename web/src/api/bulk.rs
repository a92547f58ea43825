//! Bulk exports (E1): who would be taken, the confirmation, how far it is.

use axum::{
    Json,
    body::Bytes,
    extract::{Request, State},
    http::StatusCode,
};
use domain::{
    BulkId, ConnectionState, WorkspaceId,
    api::{BulkAnswer, BulkStart, BulkWhom, MAX_BULK},
    export::{BulkState, bulk::time_left},
};
use store::{BulkRow, NewBulk, Store};

use crate::{
    api::{
        extract::{Ids, In, body_of, read_whole},
        idempotency::CallIds,
        now,
        records::refusal,
    },
    problem::Refusal,
    state::App,
};

/// A bulk export with what became of its people so far.
pub(crate) async fn shown(store: &Store, row: BulkRow) -> Result<BulkAnswer, Refusal> {
    let counts = store.bulk_counts(&row).await?;
    let left = counts.not_begun + counts.going_on;
    let seconds_left = match row.state {
        BulkState::Running => row
            .confirmed_at
            .and_then(|since| time_left(counts.ended(), left, row.now - since))
            .and_then(|left| u64::try_from(left.num_seconds()).ok()),
        BulkState::Previewing
        | BulkState::WaitingForConfirmation
        | BulkState::Cancelling
        | BulkState::Cancelled
        | BulkState::Done => None,
    };
    Ok(BulkAnswer {
        bulk: row.bulk,
        state: row.state,
        include_earlier: row.include_earlier,
        people: row.people,
        requested_at: row.requested_at,
        confirmed_at: row.confirmed_at,
        ended_at: row.ended_at,
        waits_until: row.due_at.filter(|due| *due > row.now),
        preview: row.preview,
        sample: row.sample,
        counts,
        seconds_left,
    })
}

/// Begins a bulk export: finds out who would be taken
///
/// Nothing is written before it is confirmed. Once its state is `waiting_for_confirmation`, `preview` counts
/// who would be taken and who left out, and `sample` shows some in full.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/bulk-runs", tag = "exports", operation_id = "startBulkExport",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = BulkStart,
    responses((status = 202, description = "It is a row; nothing is lost from here on", body = BulkAnswer))
)]
pub(crate) async fn start_bulk_export(
    State(app): State<App>,
    In(workspace): In,
    ids: CallIds,
    request: Request,
) -> Result<(StatusCode, Json<BulkAnswer>), Refusal> {
    // As many ids may be more than the body of another call has.
    let body = Bytes::from(read_whole(request.into_body()).await?);
    let asked: BulkStart = body_of(&body)?;
    let row = begin(&app, workspace, &asked, ids).await?;
    let answer = shown(&app.parts()?.store, row).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Begins a bulk export.
pub(crate) async fn begin(
    app: &App,
    workspace: WorkspaceId,
    asked: &BulkStart,
    ids: CallIds,
) -> Result<BulkRow, Refusal> {
    match &asked.whom {
        BulkWhom::People { people } if people.is_empty() => {
            let what = "whom.people: name at least one person";
            return Err(Refusal::Malformed(what.to_owned()));
        }
        BulkWhom::People { people } if people.len() > MAX_BULK => {
            return Err(Refusal::Malformed(format!(
                "whom.people: at most {MAX_BULK} in one call; export the rest in another bulk export"
            )));
        }
        BulkWhom::Campaign { campaign } if campaign.trim().is_empty() => {
            let what = "whom.campaign: say which, as the field campaign of people says it";
            return Err(Refusal::Malformed(what.to_owned()));
        }
        BulkWhom::People { .. }
        | BulkWhom::Campaign { .. }
        | BulkWhom::QualifiedEarlier
        | BulkWhom::Exported => {}
    }
    let parts = app.parts()?;
    let connection = parts.store.connection(workspace).await?;
    let portal = match connection {
        Some(c) if c.state == ConnectionState::Connected => c.portal,
        Some(c) if c.state == ConnectionState::NeedsReconnect => {
            return Err(Refusal::NeedsReconnect);
        }
        _ => return Err(Refusal::NotConnected),
    };
    let new = NewBulk {
        bulk: BulkId::new(ids.nth(0)),
        workspace,
        portal,
        include_earlier: asked.include_earlier || asked.whom == BulkWhom::QualifiedEarlier,
        whom: &asked.whom,
    };
    let row = parts.store.begin_bulk(&new, now()).await.map_err(refusal)?;
    parts.wake_bulk(&row).await;
    Ok(row)
}

/// How a bulk export stands
#[utoipa::path(
    get, path = "/workspaces/{workspace}/bulk-runs/{bulk}", tag = "exports", operation_id = "getBulkExport",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("bulk" = BulkId, Path, description = "The bulk export"),
    ),
    responses((status = 200, description = "The bulk export", body = BulkAnswer))
)]
pub(crate) async fn get_bulk_export(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<BulkAnswer>, Refusal> {
    let bulk: BulkId = ids.get("bulk")?;
    let store = &app.parts()?.store;
    let row = store.bulk(workspace, bulk).await?;
    let row = row.ok_or(Refusal::UnknownRecord("bulk export"))?;
    Ok(Json(shown(store, row).await?))
}

/// Confirms a bulk export: people are exported from now on
///
/// Confirmed before, it stays as it is. Before it is known who would be taken, or when it is over, HS-2451.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/bulk-runs/{bulk}/confirm", tag = "exports", operation_id = "confirmBulkExport",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("bulk" = BulkId, Path, description = "The bulk export"),
    ),
    responses((status = 200, description = "The bulk export as it stands now", body = BulkAnswer))
)]
pub(crate) async fn confirm_bulk_export(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<BulkAnswer>, Refusal> {
    let row = confirm(&app, workspace, ids.get("bulk")?).await?;
    Ok(Json(shown(&app.parts()?.store, row).await?))
}

/// Confirms a bulk export.
pub(crate) async fn confirm(
    app: &App,
    workspace: WorkspaceId,
    bulk: BulkId,
) -> Result<BulkRow, Refusal> {
    let parts = app.parts()?;
    let row = parts.store.confirm_bulk(workspace, bulk, now()).await?;
    let row = row.ok_or(Refusal::UnknownRecord("bulk export"))?;
    if row.state != BulkState::Running {
        return Err(Refusal::NotToConfirm(row.state));
    }
    parts.wake_bulk(&row).await;
    Ok(row)
}

/// Cancels a bulk export: nobody is begun with any more
///
/// What was begun comes to its end. One that is over stays as it is.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/bulk-runs/{bulk}/cancel", tag = "exports", operation_id = "cancelBulkExport",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("bulk" = BulkId, Path, description = "The bulk export"),
    ),
    responses((status = 200, description = "The bulk export as it stands now", body = BulkAnswer))
)]
pub(crate) async fn cancel_bulk_export(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<BulkAnswer>, Refusal> {
    let row = cancel(&app, workspace, ids.get("bulk")?).await?;
    Ok(Json(shown(&app.parts()?.store, row).await?))
}

/// Cancels a bulk export.
pub(crate) async fn cancel(
    app: &App,
    workspace: WorkspaceId,
    bulk: BulkId,
) -> Result<BulkRow, Refusal> {
    let parts = app.parts()?;
    let row = parts.store.cancel_bulk(workspace, bulk, now()).await?;
    let row = row.ok_or(Refusal::UnknownRecord("bulk export"))?;
    if !row.state.is_final() {
        parts.wake_bulk(&row).await;
    }
    Ok(row)
}
