//! Profiles: what both sides say of people and companies, and which of it wins (I5).

use axum::{Json, body::Bytes, extract::State};
use domain::{
    WorkspaceId,
    api::{MAX_ITEMS, ProfileAnswer, ProfilesAnswer, ProfilesRequest},
    app::{AppCompanyId, PersonId, RecordKind},
};

use crate::{
    api::extract::{Ids, In, body_of},
    problem::Refusal,
    state::App,
};

pub(crate) async fn one(
    app: &App,
    workspace: WorkspaceId,
    record: RecordKind,
    id: String,
    kind: &'static str,
) -> Result<ProfileAnswer, Refusal> {
    let store = &app.parts()?.store;
    let found = store.profiles(workspace, record, &[id]).await?;
    match found.profiles.into_iter().next() {
        Some(Ok(profile)) => Ok(profile),
        Some(Err(odd)) => Err(store::StoreError::Unreadable(odd.kind).into()),
        None => Err(Refusal::UnknownRecord(kind)),
    }
}

/// The profile of a person
///
/// For each field the app's value, HubSpot's, and which of them wins. Put together when it is asked
/// for, of what is stored at that moment.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/people/{person}/profile", tag = "profiles", operation_id = "getPersonProfile",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("person" = PersonId, Path, description = "The app's id of the person"),
    ),
    responses((status = 200, description = "The profile", body = ProfileAnswer))
)]
pub(crate) async fn person_profile(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<ProfileAnswer>, Refusal> {
    let person: PersonId = ids.get("person")?;
    one(&app, workspace, RecordKind::Person, person.into(), "person")
        .await
        .map(Json)
}

/// The profile of a company
#[utoipa::path(
    get, path = "/workspaces/{workspace}/companies/{company}/profile", tag = "profiles", operation_id = "getCompanyProfile",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("company" = AppCompanyId, Path, description = "The app's id of the company"),
    ),
    responses((status = 200, description = "The profile", body = ProfileAnswer))
)]
pub(crate) async fn company_profile(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<ProfileAnswer>, Refusal> {
    let company: AppCompanyId = ids.get("company")?;
    one(
        &app,
        workspace,
        RecordKind::Company,
        company.into(),
        "company",
    )
    .await
    .map(Json)
}

/// Many profiles
///
/// Of up to 1,000 people and companies together. What is not known, or cannot be read, is named.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/profiles", tag = "profiles", operation_id = "getProfiles",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = ProfilesRequest,
    responses((status = 200, description = "The profiles", body = ProfilesAnswer))
)]
pub(crate) async fn many_profiles(
    State(app): State<App>,
    In(workspace): In,
    body: Bytes,
) -> Result<Json<ProfilesAnswer>, Refusal> {
    let asked: ProfilesRequest = body_of(&body)?;
    match asked.people.len() + asked.companies.len() {
        0 => {
            return Err(Refusal::Malformed(
                "give people, companies, or both: whose profiles".to_owned(),
            ));
        }
        n if n > MAX_ITEMS => return Err(Refusal::TooMany("people and companies")),
        _ => {}
    }
    let store = &app.parts()?.store;
    let people: Vec<String> = asked.people.into_iter().map(String::from).collect();
    let companies: Vec<String> = asked.companies.into_iter().map(String::from).collect();
    let mut answer = ProfilesAnswer {
        items: Vec::new(),
        unknown: Vec::new(),
        unreadable: Vec::new(),
    };
    for (record, ids) in [
        (RecordKind::Person, people),
        (RecordKind::Company, companies),
    ] {
        if ids.is_empty() {
            continue;
        }
        let found = store.profiles(workspace, record, &ids).await?;
        answer.unknown.extend(found.unknown);
        for profile in found.profiles {
            match profile {
                Ok(profile) => answer.items.push(profile),
                Err(odd) => answer.unreadable.push(odd.id),
            }
        }
    }
    Ok(Json(answer))
}
