//! Recent engagements of other reps with a person (I10).

use axum::{Json, extract::State};
use domain::{
    WorkspaceId,
    api::{Page, TouchAnswer},
    app::{Person, PersonId},
    owners::OwnerMap,
    settings::{Settings, read},
    touches::TouchPlace,
};

use crate::{
    api::{
        extract::{Asked, Ids, In},
        records::{PageQuery, page},
    },
    problem::Refusal,
    state::App,
};

/// The recent engagements of other reps with a person
///
/// Meetings, calls, e-mails, messages, notes and tasks with the person's contacts that took place within
/// the days that the settings say, or are to; with their texts where the workspace reads these. What the app
/// logged itself is not among them. Empty where the workspace does not read engagements.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/people/{person}/touches", tag = "people", operation_id = "listPersonTouches",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("person" = PersonId, Path, description = "The app's id of the person"),
        PageQuery,
    ),
    responses((status = 200, description = "A page, newest first", body = Page<TouchAnswer>))
)]
pub(crate) async fn list_person_touches(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<TouchAnswer>>, Refusal> {
    let id: PersonId = ids.get("person")?;
    let after: Option<TouchPlace> = query.after()?;
    let person = app.parts()?.store.person(workspace, &id).await?;
    let person = person.ok_or(Refusal::UnknownRecord("person"))?;
    let found = of_person(&app, workspace, &person, after, query.limit.get() + 1).await?;
    let items = found.unwrap_or_default().into_iter().map(Ok).collect();
    Ok(Json(page(items, query.limit, |t: &TouchAnswer| {
        let place = TouchPlace {
            at: t.at,
            kind: t.kind,
            id: t.engagement,
        };
        place.to_string()
    })))
}

/// The newest ones behind a place, so many at most; none where the workspace does not read engagements. With
/// their texts only as long as it reads these.
pub(crate) async fn of_person(
    app: &App,
    workspace: WorkspaceId,
    person: &Person,
    after: Option<TouchPlace>,
    limit: u32,
) -> Result<Option<Vec<TouchAnswer>>, Refusal> {
    let store = &app.parts()?.store;
    let settings = match store.settings(workspace).await? {
        // Settings that cannot be read (HS-2217) switch nothing on.
        Some(row) => read(row.document).unwrap_or_else(|_| Settings::empty()),
        None => Settings::empty(),
    };
    let context = &settings.activity_context;
    if !context.engagements {
        return Ok(None);
    }
    let Some(connection) = store.connection(workspace).await? else {
        return Ok(None);
    };
    let email = person.email.as_ref().map(|e| e.as_str());
    let found = store
        .touches_of_person(
            workspace,
            connection.portal,
            &person.id,
            email,
            context.days,
            after,
        )
        .await?;
    let facts = store.portal_facts(workspace).await?;
    let owners = facts.owners.unwrap_or_default();
    let map = OwnerMap::new(&settings.owners, &owners, &facts.members);
    let answers = found.into_iter().take(limit as usize).map(|touch| {
        let member = touch
            .owner
            .and_then(|owner| map.member_for_owner(owner).member().cloned());
        TouchAnswer {
            engagement: touch.place.id,
            kind: touch.place.kind,
            at: touch.place.at,
            owner: touch.owner,
            member,
            title: touch.title,
            body: touch.body.filter(|_| context.bodies),
            redacted: touch.redacted,
            contacts: touch.contacts.into_iter().collect(),
        }
    });
    Ok(Some(answers.collect()))
}
