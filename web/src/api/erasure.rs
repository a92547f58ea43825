//! Erasing people, purging workspaces (C7).

use axum::{Json, body::Bytes, extract::State, http::StatusCode};
use domain::{
    WorkspaceId,
    api::{EraseAnswer, EraseRequest, ErasedCounts, PurgeAnswer},
    app::Email,
};
use store::{EraseTarget, RefusedPurge};

use crate::{
    api::{
        extract::{In, Installation, body_of},
        now,
    },
    problem::Refusal,
    state::App,
};

/// Erases a person
///
/// Removes their values everywhere and keeps a keyed hash only, so that neither the app nor HubSpot
/// brings them in again. By the app's id, by e-mail address, or both.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/erasures", tag = "erasure", operation_id = "erasePerson",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = EraseRequest,
    responses((status = 200, description = "What was removed", body = EraseAnswer))
)]
pub(crate) async fn erase_person(
    State(app): State<App>,
    In(workspace): In,
    body: Bytes,
) -> Result<Json<EraseAnswer>, Refusal> {
    let asked: EraseRequest = body_of(&body)?;
    if asked.person.is_none() && asked.email.is_none() {
        return Err(Refusal::Malformed(
            "give person, email, or both: whom to erase".to_owned(),
        ));
    }
    let email = asked
        .email
        .map(|text| Email::parse(&text).map_err(|e| Refusal::Malformed(format!("email: {e}"))))
        .transpose()?;
    let target = EraseTarget {
        person: asked.person,
        email,
    };
    let erased = app
        .parts()?
        .store
        .erase_person(workspace, &target, now())
        .await?;
    let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let removed = ErasedCounts {
        people: count(erased.people),
        contacts: count(erased.contacts),
        quarantined: count(erased.quarantined),
        requests: count(erased.exports_ended),
    };
    let message = if removed == ErasedCounts::default() {
        "Nothing was known of this person; from now on nothing comes in."
    } else {
        "The person's values are removed; nothing of them comes in again."
    };
    Ok(Json(EraseAnswer {
        removed,
        message: message.to_owned(),
    }))
}

/// Purges a disconnected workspace
///
/// Removes everything of it: people, settings, tokens, what was imported, and the hashes of erased
/// people. From now on nothing comes in; the rows go in the background. Asked again, it says how far
/// that is; when it is over, the workspace is not known any more (HS-1001). Only with API_TOKEN.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/purge", tag = "erasure", operation_id = "purgeWorkspace",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    responses((status = 202, description = "How far it is", body = PurgeAnswer))
)]
pub(crate) async fn purge_workspace(
    State(app): State<App>,
    _: Installation,
    In(workspace): In,
) -> Result<(StatusCode, Json<PurgeAnswer>), Refusal> {
    let parts = app.parts()?;
    match parts.store.request_purge(workspace, now()).await? {
        None => Err(Refusal::UnknownWorkspace),
        Some(Err(RefusedPurge::StillConnected)) => Err(Refusal::StillConnected),
        Some(Ok(status)) => {
            parts.start_purge(workspace).await;
            Ok((
                StatusCode::ACCEPTED,
                Json(PurgeAnswer {
                    removed: status.removed,
                    message: "The workspace is being purged. Ask again: once nothing is left, it is not known any more.".to_owned(),
                }),
            ))
        }
    }
}
