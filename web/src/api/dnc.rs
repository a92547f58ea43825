//! Whether people may be contacted (I8). Judged at once from what is stored, so that it holds even
//! where the verdicts that are kept are behind.

use axum::{
    Json,
    body::Bytes,
    extract::{Request, State},
};
use domain::{
    WorkspaceId,
    api::{DncAnswer, DncCheck, DncCheckAnswer, MAX_CHECKED},
    app::PersonId,
    dnc::DncRule,
};
use store::{Asked, DncBasis, Store};

use crate::{
    api::extract::{Ids, In, body_of, read_whole},
    problem::Refusal,
    state::App,
};

pub(crate) async fn basis(store: &Store, workspace: WorkspaceId) -> Result<DncBasis, Refusal> {
    store
        .dnc_basis(workspace)
        .await?
        .ok_or(Refusal::NotConnected)
}

/// Whether a person may be contacted, and if not, why
///
/// Judged from what is stored at the moment of the call. Where a read that the rules stand on is
/// missing, the last verdict stands, and who has none is not to be contacted.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/people/{person}/dnc", tag = "people", operation_id = "getVerdict",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("person" = PersonId, Path, description = "The app's id of the person"),
    ),
    responses((status = 200, description = "The verdict", body = DncAnswer))
)]
pub(crate) async fn get_verdict(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<DncAnswer>, Refusal> {
    let person: PersonId = ids.get("person")?;
    let store = &app.parts()?.store;
    let basis = basis(store, workspace).await?;
    let asked = [Asked::Person(person.clone())];
    let verdict = store
        .check_dnc(workspace, &basis, &asked)
        .await?
        .pop()
        .ok_or(Refusal::Defect)?;
    if verdict.reasons.iter().any(|r| r.rule == DncRule::NotKnown) {
        return Err(Refusal::UnknownRecord("person"));
    }
    Ok(Json(DncAnswer {
        person,
        allowed: verdict.allowed,
        reasons: verdict.reasons,
        stale: basis.stale,
        as_of: basis.as_of,
    }))
}

/// Whether many people may be contacted
///
/// A whole campaign at once: people of the app and e-mail addresses, together at most 10,000. Whom the
/// app does not have, and what is no address, is not to be contacted (`not_known`).
#[utoipa::path(
    post, path = "/workspaces/{workspace}/dnc", tag = "people", operation_id = "checkVerdicts",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = DncCheck,
    responses((status = 200, description = "A verdict for each", body = DncCheckAnswer))
)]
pub(crate) async fn check_verdicts(
    State(app): State<App>,
    In(workspace): In,
    request: Request,
) -> Result<Json<DncCheckAnswer>, Refusal> {
    // Ten thousand ids may be more than the body of another call has.
    let body = Bytes::from(read_whole(request.into_body()).await?);
    let check: DncCheck = body_of(&body)?;
    let (people, emails) = (check.people.len(), check.emails.len());
    if people + emails > MAX_CHECKED {
        return Err(Refusal::Malformed(format!(
            "people, emails: at most {MAX_CHECKED} together in one call; send the rest in further calls"
        )));
    }
    let asked: Vec<Asked> = check
        .people
        .into_iter()
        .map(Asked::Person)
        .chain(check.emails.into_iter().map(Asked::Email))
        .collect();
    let store = &app.parts()?.store;
    let basis = basis(store, workspace).await?;
    let verdicts = store.check_dnc(workspace, &basis, &asked).await?;
    Ok(Json(DncCheckAnswer::new(
        verdicts,
        people,
        basis.stale,
        basis.as_of,
    )))
}
