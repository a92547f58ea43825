//! Activities in bulk, and how those of a person stand (E8).

use axum::{Json, extract::State};
use domain::{
    WorkspaceId,
    activities::{ActivityInput, ActivityUpsert},
    api::{ActivityAnswer, ActivityUpserts, Page, UpsertAnswer},
    app::{ActivityId, PersonId},
};
use store::ActivityRow;

use crate::{
    api::{
        exports::WOKEN,
        extract::{Asked, Bulk, Ids, In},
        now,
        records::{Checked, PageQuery, answer, good, page, refusal},
    },
    problem::Refusal,
    state::App,
};

/// Takes in activities
///
/// Up to 1,000 at once, each with an outcome of its own. Each is whole: an edit has a higher version and
/// replaces what there was, a deletion says `deleted`. An older version never replaces a newer one, in
/// whatever order they come.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/activities", tag = "activities", operation_id = "upsertActivities",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = ActivityUpserts,
    responses((status = 200, description = "An outcome for each item", body = UpsertAnswer))
)]
pub(crate) async fn upsert_activities(
    State(app): State<App>,
    In(workspace): In,
    items: Bulk<ActivityInput>,
) -> Result<Json<UpsertAnswer>, Refusal> {
    let now = now();
    let checked: Vec<Checked<ActivityUpsert>> = items
        .0
        .into_iter()
        .map(|item| item.and_then(|input| input.check(now)))
        .collect();
    let upserts = good(&checked);
    let stored = app
        .parts()?
        .store
        .upsert_activities(workspace, &upserts, now)
        .await
        .map_err(refusal)?;
    // They are logged when they happen (E8); many are left to `Sweep`.
    if upserts.len() <= WOKEN {
        let mut people: Vec<PersonId> = upserts.iter().map(|u| u.person.clone()).collect();
        people.sort_unstable();
        people.dedup();
        app.parts()?.wake_exports(workspace, &people).await;
    }
    Ok(Json(answer(&checked, stored)))
}

fn shown(row: &ActivityRow) -> ActivityAnswer {
    let code = row.error_code.as_ref().and_then(|code| code.parse().ok());
    ActivityAnswer::new(
        &row.activity,
        row.outcome,
        code,
        row.engagement,
        row.turned_at,
    )
}

/// Lists a person's activities
///
/// How each stands in HubSpot. What they say is not repeated.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/people/{person}/activities", tag = "activities",
    operation_id = "listPersonActivities",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("person" = PersonId, Path, description = "The app's id of the person"),
        PageQuery,
    ),
    responses((status = 200, description = "A page, in the order of ids", body = Page<ActivityAnswer>))
)]
pub(crate) async fn list_person_activities(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<ActivityAnswer>>, Refusal> {
    let person: PersonId = ids.get("person")?;
    let after: Option<ActivityId> = query.after()?;
    let store = &app.parts()?.store;
    let rows = store
        .activities_after(workspace, &person, after.as_ref(), query.limit.get() + 1)
        .await?;
    if rows.is_empty() && store.person(workspace, &person).await?.is_none() {
        return Err(Refusal::UnknownRecord("person"));
    }
    let items = rows
        .into_iter()
        .map(|row| row.map(|row| shown(&row)))
        .collect();
    Ok(Json(page(items, query.limit, |a: &ActivityAnswer| {
        a.id.to_string()
    })))
}
