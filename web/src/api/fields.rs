//! The catalogue of fields and statuses, and fields of the workspace's own.

use axum::{Json, extract::State};
use domain::{
    WorkspaceId,
    api::{CustomFieldUpserts, FieldsAnswer, UpsertAnswer},
    app::{CustomField, ItemCode, ItemProblem, Slot, UpsertOutcome},
};

use crate::{
    api::{
        extract::{Bulk, In},
        now,
    },
    problem::Refusal,
    state::App,
};

/// All fields and lead statuses
#[utoipa::path(
    get, path = "/workspaces/{workspace}/fields", tag = "fields", operation_id = "listFields",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    responses((status = 200, description = "The catalogue with the workspace's own fields", body = FieldsAnswer))
)]
pub(crate) async fn list_fields(
    State(app): State<App>,
    In(workspace): In,
) -> Result<Json<FieldsAnswer>, Refusal> {
    let custom = app.parts()?.store.custom_fields(workspace).await?;
    Ok(Json(FieldsAnswer::new(&custom)))
}

/// Makes custom fields, or changes their labels
#[utoipa::path(
    post, path = "/workspaces/{workspace}/custom-fields", tag = "fields", operation_id = "upsertCustomFields",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = CustomFieldUpserts,
    responses((status = 200, description = "An outcome for each field", body = UpsertAnswer))
)]
pub(crate) async fn upsert_custom_fields(
    State(app): State<App>,
    In(workspace): In,
    items: Bulk<CustomField>,
) -> Result<Json<UpsertAnswer>, Refusal> {
    let good: Vec<CustomField> = items
        .0
        .iter()
        .filter_map(|i| i.as_ref().ok().cloned())
        .collect();
    let done = app
        .parts()?
        .store
        .put_custom_fields(workspace, &good, now())
        .await?;
    let mut done = done.into_iter();
    let outcomes = items.0.into_iter().map(|item| match item {
        Err(problem) => (UpsertOutcome::Refused, Some(problem)),
        Ok(_) => match done.next() {
            Some(Ok(true)) => (UpsertOutcome::Created, None),
            Some(Ok(false)) | None => (UpsertOutcome::Updated, None),
            Some(Err(error)) => (
                UpsertOutcome::Refused,
                Some(ItemProblem::new(
                    ItemCode::CustomFieldNotValid,
                    Slot::named("key"),
                    error,
                )),
            ),
        },
    });
    Ok(Json(UpsertAnswer::new(outcomes)))
}
