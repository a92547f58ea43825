//! HubSpot's owners, and who stands for them (E6).

use axum::{Json, extract::State};
use domain::{
    WorkspaceId,
    api::{OwnerAnswer, OwnerMapping, Page},
    owners::{MappedBy, OwnerMap},
    settings::{Settings, read},
};

use store::Listed;

use crate::{
    api::{
        extract::{Asked, In},
        records::{PageQuery, page},
    },
    problem::Refusal,
    state::App,
};

/// Lists the portal's owners, and the members who stand for them
///
/// As the mirror has them: empty before they were read.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/owners", tag = "members", operation_id = "listOwners",
    params(("workspace" = WorkspaceId, Path, description = "The workspace"), PageQuery),
    responses((status = 200, description = "A page, in the order of ids", body = Page<OwnerAnswer>))
)]
pub(crate) async fn list_owners(
    State(app): State<App>,
    In(workspace): In,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<OwnerAnswer>>, Refusal> {
    let after: Option<domain::HubSpotOwnerId> = query.after()?;
    let store = &app.parts()?.store;
    let facts = store.portal_facts(workspace).await?;
    let settings = match store.settings(workspace).await? {
        // Settings that cannot be read (HS-2217) map nobody by hand; owners are shown all the same.
        Some(row) => read(row.document).unwrap_or_else(|_| Settings::empty()),
        None => Settings::defaults(&facts),
    };
    let rows = match store.connection(workspace).await? {
        Some(connection) => store.owners(workspace, connection.portal).await?,
        None => Vec::new(),
    };
    let known = facts.owners.unwrap_or_default();
    let map = OwnerMap::new(&settings.owners, &known, &facts.members);
    let writers: Vec<_> = facts
        .members
        .iter()
        .filter(|m| m.is_active())
        .filter_map(|m| Some((map.owner_for_member(Some(&m.id)).owner()?, &m.id)))
        .collect();
    let items: Vec<Listed<OwnerAnswer>> = rows
        .into_iter()
        .filter(|owner| after.is_none_or(|a| owner.id > a))
        .take(query.limit.get() as usize + 1)
        .map(|owner| {
            let name = [owner.first_name.as_deref(), owner.last_name.as_deref()]
                .into_iter()
                .flatten()
                .filter(|part| !part.trim().is_empty())
                .collect::<Vec<_>>()
                .join(" ");
            Ok(OwnerAnswer {
                owner: owner.id,
                email: owner.email,
                name: (!name.is_empty()).then_some(name),
                archived: owner.archived,
                mapping: match map.mapped(owner.id) {
                    Some((_, MappedBy::Email)) => OwnerMapping::Email,
                    Some((_, MappedBy::Hand)) => OwnerMapping::Hand,
                    None => OwnerMapping::None,
                },
                member: map.member_for_owner(owner.id).member().cloned(),
                writes_for: writers
                    .iter()
                    .filter(|(o, _)| *o == owner.id)
                    .map(|(_, member)| (*member).clone())
                    .collect(),
                fallback: settings.owners.fallback_owner == Some(owner.id),
            })
        })
        .collect();
    Ok(Json(page(items, query.limit, |o| o.owner.to_string())))
}
