//! Service tokens of workspaces. Only the installation's own token makes, lists and revokes them.

use axum::{Json, body::Bytes, extract::State, http::StatusCode};
use domain::{
    WorkspaceId,
    api::{TokenAnswer, TokenCreate, TokenCreated, TokenId},
};
use secrecy::ExposeSecret as _;
use store::NewServiceToken;
use uuid::Uuid;

use crate::{
    api::{
        auth::token_of,
        extract::{Ids, In, Installation, body_of},
        now,
    },
    problem::Refusal,
    seal::digest,
    state::App,
};

/// Makes a service token
///
/// The token is seen in this answer only. The workspace becomes known by it, if it was not.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/tokens", tag = "workspaces", operation_id = "createToken",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = TokenCreate,
    responses((status = 201, description = "The token", body = TokenCreated))
)]
pub(crate) async fn create_token(
    State(app): State<App>,
    _: Installation,
    ids: Ids,
    body: Bytes,
) -> Result<(StatusCode, Json<TokenCreated>), Refusal> {
    let workspace: WorkspaceId = ids.get("workspace")?;
    let asked: TokenCreate = body_of(&body)?;
    let name = asked.name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.contains('\0') {
        return Err(Refusal::Malformed(
            "name: 1 to 100 characters that say what the token is for".to_owned(),
        ));
    }
    let token = token_of(rand::random());
    let id = TokenId::new(Uuid::now_v7());
    app.parts()?
        .store
        .create_service_token(
            &NewServiceToken {
                id,
                workspace,
                name,
                hash: digest(token.expose_secret()),
            },
            now(),
        )
        .await?;
    tracing::info!(workspace = %workspace, token = %id, "service token made");
    Ok((
        StatusCode::CREATED,
        Json(TokenCreated {
            id,
            token: token.expose_secret().to_owned(),
        }),
    ))
}

/// Lists service tokens
#[utoipa::path(
    get, path = "/workspaces/{workspace}/tokens", tag = "workspaces", operation_id = "listTokens",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    responses((status = 200, description = "All tokens, revoked ones too, oldest first", body = Vec<TokenAnswer>))
)]
pub(crate) async fn list_tokens(
    State(app): State<App>,
    _: Installation,
    In(workspace): In,
) -> Result<Json<Vec<TokenAnswer>>, Refusal> {
    let rows = app.parts()?.store.service_tokens(workspace).await?;
    Ok(Json(
        rows.into_iter()
            .map(|row| TokenAnswer {
                id: row.id,
                name: row.name,
                created_at: row.created_at,
                last_used_at: row.last_used_at,
                revoked_at: row.revoked_at,
            })
            .collect(),
    ))
}

/// Revokes a service token, from the next call on
#[utoipa::path(
    delete, path = "/workspaces/{workspace}/tokens/{token}", tag = "workspaces", operation_id = "revokeToken",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("token" = TokenId, Path, description = "The token's id"),
    ),
    responses((status = 204, description = "It opens nothing any more"))
)]
pub(crate) async fn revoke_token(
    State(app): State<App>,
    _: Installation,
    In(workspace): In,
    ids: Ids,
) -> Result<StatusCode, Refusal> {
    let token: TokenId = ids.get("token")?;
    let known = app
        .parts()?
        .store
        .revoke_service_token(workspace, token, now())
        .await?;
    if !known {
        return Err(Refusal::UnknownRecord("token"));
    }
    tracing::info!(workspace = %workspace, token = %token, "service token revoked");
    Ok(StatusCode::NO_CONTENT)
}
