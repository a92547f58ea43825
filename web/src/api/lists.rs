//! HubSpot's lists, and who is on them (I6).

use axum::{Json, extract::State};
use domain::{
    HubSpotObjectId, ObjectType, WorkspaceId,
    api::{ListAnswer, ListMemberAnswer, ListOf, Page},
    settings::{ListUse, read},
};
use store::{ListDetails, Store};

use crate::{
    api::{
        extract::{Asked, Ids, In},
        records::{PageQuery, page},
    },
    problem::Refusal,
    state::App,
};

/// What the settings use lists for. Settings that cannot be read (HS-2217) use none; lists are shown
/// all the same.
async fn uses(store: &Store, workspace: WorkspaceId) -> Result<Vec<(i64, ListUse)>, Refusal> {
    let Some(row) = store.settings(workspace).await? else {
        return Ok(Vec::new());
    };
    let lists = read(row.document).map(|settings| settings.lists);
    Ok(lists
        .unwrap_or_default()
        .iter()
        .map(|followed| (followed.list.get(), followed.list_use))
        .collect())
}

fn answer(list: ListDetails, uses: &[(i64, ListUse)]) -> ListAnswer {
    ListAnswer {
        list_use: uses
            .iter()
            .find(|(used, _)| *used == list.list.get())
            .map(|(_, list_use)| *list_use),
        list: list.list,
        name: list.name,
        of: match list.object_type {
            Some(ObjectType::Contact) => ListOf::Contacts,
            Some(ObjectType::Company) => ListOf::Companies,
            _ => ListOf::Other,
        },
        processing_type: list.processing_type,
        processing: list.processing,
        size: list.size,
        members_read_at: list.members_read_at,
        gone_at: list.gone_at,
    }
}

/// Lists the portal's lists
///
/// As the mirror has them, also those that HubSpot has no more; empty before they were read.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/lists", tag = "lists", operation_id = "listLists",
    params(("workspace" = WorkspaceId, Path, description = "The workspace"), PageQuery),
    responses((status = 200, description = "A page, in the order of ids", body = Page<ListAnswer>))
)]
pub(crate) async fn list_lists(
    State(app): State<App>,
    In(workspace): In,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<ListAnswer>>, Refusal> {
    let after: Option<HubSpotObjectId> = query.after()?;
    let store = &app.parts()?.store;
    let rows = match store.connection(workspace).await? {
        Some(connection) => {
            store
                .lists_after(workspace, connection.portal, after, query.limit.get() + 1)
                .await?
        }
        None => Vec::new(),
    };
    let uses = uses(store, workspace).await?;
    let items = rows.into_iter().map(|row| Ok(answer(row, &uses))).collect();
    Ok(Json(page(items, query.limit, |l: &ListAnswer| {
        l.list.to_string()
    })))
}

/// Who is on a list
///
/// The members of a list that is followed, in the order of their ids, with the contacts and people who
/// count by them; of a list of companies their contacts do. Of a list without a use members are not
/// read.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/lists/{list}/members", tag = "lists", operation_id = "listListMembers",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("list" = HubSpotObjectId, Path, description = "The list's id"),
        PageQuery,
    ),
    responses((status = 200, description = "A page, in the order of ids", body = Page<ListMemberAnswer>))
)]
pub(crate) async fn list_list_members(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<ListMemberAnswer>>, Refusal> {
    let list: HubSpotObjectId = ids.get("list")?;
    let after: Option<HubSpotObjectId> = query.after()?;
    let store = &app.parts()?.store;
    let connection = store.connection(workspace).await?;
    let portal = connection.ok_or(Refusal::UnknownRecord("list"))?.portal;
    let details = store
        .list_details(workspace, portal, list)
        .await?
        .ok_or(Refusal::UnknownRecord("list"))?;
    let rows = store
        .listed_after(workspace, portal, &details, after, query.limit.get() + 1)
        .await?;
    let items = rows
        .into_iter()
        .map(|row| {
            Ok(ListMemberAnswer {
                member: row.id,
                contacts: row.contacts,
                // An id that is stored is one.
                people: row.people.iter().filter_map(|p| p.parse().ok()).collect(),
            })
        })
        .collect();
    Ok(Json(page(items, query.limit, |m: &ListMemberAnswer| {
        m.member.to_string()
    })))
}
