//! Deals as context on people and companies (I7).

use axum::{Json, extract::State};
use domain::{
    HubSpotObjectId, ObjectType, WorkspaceId,
    api::{DealAnswer, LabelledId, Page},
    app::{AppCompanyId, FieldValue, PersonId},
    deals::PipelineLabels,
    owners::OwnerMap,
    settings::{Settings, read},
};
use store::{DealRow, Store};

use crate::{
    api::{
        extract::{Asked, Ids, In},
        records::{PageQuery, page},
    },
    problem::Refusal,
    state::App,
};

/// Puts a page together: the labels of pipelines, and who stands for the owners.
async fn answer(
    store: &Store,
    workspace: WorkspaceId,
    deals: Vec<DealRow>,
    labels: &[PipelineLabels],
    query: &PageQuery,
) -> Result<Json<Page<DealAnswer>>, Refusal> {
    let after: Option<HubSpotObjectId> = query.after()?;
    let facts = store.portal_facts(workspace).await?;
    let settings = match store.settings(workspace).await? {
        // Settings that cannot be read (HS-2217) map nobody by hand; deals are shown all the same.
        Some(row) => read(row.document).unwrap_or_else(|_| Settings::empty()),
        None => Settings::empty(),
    };
    let owners = facts.owners.unwrap_or_default();
    let map = OwnerMap::new(&settings.owners, &owners, &facts.members);
    let items = deals
        .into_iter()
        .filter(|deal| after.is_none_or(|after| deal.id > after))
        .take(query.limit.get() as usize + 1)
        .map(|deal| {
            let defined = labels
                .iter()
                .find(|l| Some(l.id.as_str()) == deal.pipeline.as_deref());
            Ok(DealAnswer {
                deal: deal.id,
                status: deal.status,
                name: deal.name,
                amount: deal.amount,
                stage: deal.stage.map(|id| LabelledId {
                    label: defined.and_then(|l| l.stages.get(&id).cloned()),
                    id,
                }),
                pipeline: deal.pipeline.map(|id| LabelledId {
                    label: defined.and_then(|l| l.label.clone()),
                    id,
                }),
                close_date: deal.close_date,
                owner: deal.owner,
                member: deal
                    .owner
                    .and_then(|owner| map.member_for_owner(owner).member().cloned()),
                on: deal.on,
            })
        })
        .collect();
    Ok(Json(page(items, query.limit, |d: &DealAnswer| {
        d.deal.to_string()
    })))
}

/// The deals of a person
///
/// Those on the person's contacts and on the companies that these are at; of a person who is no
/// contact, those on the companies of the e-mail's domain.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/people/{person}/deals", tag = "people", operation_id = "listPersonDeals",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("person" = PersonId, Path, description = "The app's id of the person"),
        PageQuery,
    ),
    responses((status = 200, description = "A page, in the order of ids", body = Page<DealAnswer>))
)]
pub(crate) async fn list_person_deals(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<DealAnswer>>, Refusal> {
    let id: PersonId = ids.get("person")?;
    let store = &app.parts()?.store;
    let person = store.person(workspace, &id).await?;
    let person = person.ok_or(Refusal::UnknownRecord("person"))?;
    let Some(connection) = store.connection(workspace).await? else {
        return answer(store, workspace, Vec::new(), &[], &query).await;
    };
    let email = person.email.as_ref().map(|e| e.as_str());
    let deals = store
        .deals_of_person(workspace, connection.portal, &person.id, email)
        .await?;
    let labels = store.pipeline_labels(workspace, connection.portal).await?;
    answer(store, workspace, deals, &labels, &query).await
}

/// The deals of a company
///
/// Those on the companies in HubSpot that have the company's domain, or where it has none its
/// website's.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/companies/{company}/deals", tag = "companies", operation_id = "listCompanyDeals",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("company" = AppCompanyId, Path, description = "The app's id of the company"),
        PageQuery,
    ),
    responses((status = 200, description = "A page, in the order of ids", body = Page<DealAnswer>))
)]
pub(crate) async fn list_company_deals(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<DealAnswer>>, Refusal> {
    let id: AppCompanyId = ids.get("company")?;
    let store = &app.parts()?.store;
    let company = store.company(workspace, &id).await?;
    let company = company.ok_or(Refusal::UnknownRecord("company"))?;
    let Some(connection) = store.connection(workspace).await? else {
        return answer(store, workspace, Vec::new(), &[], &query).await;
    };
    let text = |name: &str| {
        company
            .fields
            .iter()
            .find(|(key, _)| key.as_str() == name)
            .and_then(|(_, value)| match value {
                FieldValue::Text(text) => Some(text.as_str()),
                _ => None,
            })
    };
    let companies: Vec<i64> = match text("domain").or_else(|| text("website")) {
        Some(domain) => store
            .found_by_key(workspace, connection.portal, ObjectType::Company, &[domain])
            .await?
            .iter()
            .map(HubSpotObjectId::get)
            .collect(),
        None => Vec::new(),
    };
    let deals = store
        .deals_on(workspace, connection.portal, &[], &companies)
        .await?;
    let labels = store.pipeline_labels(workspace, connection.portal).await?;
    answer(store, workspace, deals, &labels, &query).await
}
