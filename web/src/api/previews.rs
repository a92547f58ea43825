//! What an export would do (E9).

use axum::{Json, body::Bytes, extract::State};
use domain::{
    ConnectionState, PreviewId, WorkspaceId,
    api::{ExportPreview, PreviewRequest},
};
use workflows::export_preview::{ExportPreviewInput, PreviewEnd};

use crate::{
    api::{
        extract::{In, body_of},
        now,
    },
    problem::Refusal,
    state::App,
};

/// Shows what an export would do
///
/// Match or create, each property with its old and new value and the rule behind it, the company, the
/// owner. Reads the records in HubSpot afresh and writes nothing. Answers are not kept for an
/// `Idempotency-Key`: a preview holds for its moment.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/exports/preview", tag = "exports", operation_id = "previewExport",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = PreviewRequest,
    responses((status = 200, description = "What an export would do now", body = ExportPreview))
)]
pub(crate) async fn preview_export(
    State(app): State<App>,
    In(workspace): In,
    body: Bytes,
) -> Result<Json<ExportPreview>, Refusal> {
    let asked: PreviewRequest = body_of(&body)?;
    preview(&app, workspace, &asked).await.map(Json)
}

/// Has a preview made.
pub(crate) async fn preview(
    app: &App,
    workspace: WorkspaceId,
    asked: &PreviewRequest,
) -> Result<ExportPreview, Refusal> {
    let parts = app.parts()?;
    let preview = PreviewId::new(uuid::Uuid::now_v7());
    let known = parts
        .store
        .ask_preview(workspace, preview, &asked.person, now())
        .await?;
    if !known {
        return Err(Refusal::UnknownRecord("person"));
    }
    let made = made(app, workspace, preview, asked.anew).await;
    // Fetched or not, the row goes.
    let answer = parts.store.take_preview(workspace, preview).await?;
    made?;
    answer.ok_or(Refusal::UnknownRecord("person"))
}

async fn made(
    app: &App,
    workspace: WorkspaceId,
    preview: PreviewId,
    anew: bool,
) -> Result<(), Refusal> {
    let parts = app.parts()?;
    let connection = parts.store.connection(workspace).await?;
    let Some(connection) = connection else {
        return Err(Refusal::NotConnected);
    };
    match connection.state {
        ConnectionState::Connected => {}
        ConnectionState::NeedsReconnect => return Err(Refusal::NeedsReconnect),
        ConnectionState::Disconnecting | ConnectionState::Disconnected => {
            return Err(Refusal::NotConnected);
        }
    }
    let input = ExportPreviewInput {
        workspace,
        preview,
        anew,
    };
    match parts.preview(input, connection.portal).await {
        Some(PreviewEnd::Answered) => Ok(()),
        Some(PreviewEnd::Gone) => Err(Refusal::UnknownRecord("person")),
        Some(PreviewEnd::NotConnected) => Err(Refusal::NotConnected),
        Some(PreviewEnd::NeedsReconnect) => Err(Refusal::NeedsReconnect),
        Some(PreviewEnd::ScopeMissing) => Err(Refusal::ScopeMissing),
        Some(PreviewEnd::NoAnswer | PreviewEnd::Other) | None => Err(Refusal::HubSpotUnavailable),
    }
}
