//! People, companies and members in bulk, one, and page by page; statuses and outreach facts.

use axum::{Json, extract::State};
use domain::{
    WorkspaceId,
    api::{
        CompanyUpserts, MemberUpserts, OutreachInput, OutreachUpserts, Page, PageCursor, PageLimit,
        PersonUpserts, StatusInput, StatusUpserts, UnreadableItem, UpsertAnswer,
    },
    app::{
        AppCompanyId, Company, CompanyInput, Fields, ItemCode, ItemProblem, Member, MemberId,
        MemberInput, Person, PersonId, PersonInput, PersonUpsert, Slot, UpsertOutcome,
    },
};
use serde::{Deserialize, Serialize};
use store::{Listed, RefusedUpsert, StoreError, Upserted};
use utoipa::IntoParams;

use crate::{
    api::{
        exports::WOKEN,
        extract::{Asked, Bulk, Ids, In},
        now,
    },
    problem::Refusal,
    state::App,
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The `next` of the page before.
    #[serde(default)]
    #[param(value_type = Option<PageCursor>)]
    pub(crate) after: Option<PageCursor>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<PageLimit>)]
    pub(crate) limit: PageLimit,
}

impl PageQuery {
    /// The id after which the page begins. A cursor is the last id of the page before.
    pub(crate) fn after<T: std::str::FromStr<Err = domain::IdError>>(
        &self,
    ) -> Result<Option<T>, Refusal> {
        self.after
            .as_ref()
            .map(|cursor| {
                cursor.as_str().parse().map_err(|_| {
                    Refusal::Malformed(
                        "query: after: not a cursor of this listing; give the `next` of the page before"
                            .to_owned(),
                    )
                })
            })
            .transpose()
    }
}

/// The most that the items of a page may have together, written as JSON. A page has one row at
/// least.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A page, from one row more than it has. It ends early where its items are large. A row that cannot
/// be read is named; the others are there.
pub(crate) fn page<T: Serialize + utoipa::ToSchema>(
    mut rows: Vec<Listed<T>>,
    limit: PageLimit,
    id_of: impl Fn(&T) -> String,
) -> Page<T> {
    let found = rows.len();
    let mut bytes = 0_usize;
    let fit = rows
        .iter()
        .take(limit.get() as usize)
        .take_while(|row| {
            let size = row
                .as_ref()
                .ok()
                .and_then(|item| serde_json::to_vec(item).ok());
            bytes = bytes.saturating_add(size.map_or(0, |json| json.len()));
            bytes <= PAGE_BYTES
        })
        .count();
    rows.truncate(fit.max(1));
    let more = found > rows.len();
    let id = |row: &Listed<T>| row.as_ref().map_or_else(|odd| odd.id.clone(), &id_of);
    let next = rows
        .last()
        .filter(|_| more)
        .and_then(|last| PageCursor::try_from(id(last)).ok());
    let mut page = Page {
        items: Vec::with_capacity(rows.len()),
        unreadable: Vec::new(),
        next,
    };
    for row in rows {
        match row {
            Ok(item) => page.items.push(item),
            Err(odd) => page.unreadable.push(UnreadableItem {
                id: odd.id,
                code: ItemCode::StoredNotReadable,
            }),
        }
    }
    page
}

/// What became of one item before the store was asked.
pub(crate) type Checked<U> = Result<U, ItemProblem>;

/// Puts together what came of the items that were refused here and of those that the store took.
pub(crate) fn answer<U>(checked: &[Checked<U>], stored: Vec<Upserted>) -> UpsertAnswer {
    let mut stored = stored.into_iter();
    UpsertAnswer::new(checked.iter().map(|item| match item {
        Err(problem) => (UpsertOutcome::Refused, Some(problem.clone())),
        Ok(_) => match stored.next() {
            Some(Ok(UpsertOutcome::Erased)) => (
                UpsertOutcome::Erased,
                Some(ItemProblem::new(
                    ItemCode::Erased,
                    Slot::named("id"),
                    "this person was erased and stays out",
                )),
            ),
            Some(Ok(outcome)) => (outcome, None),
            Some(Err(RefusedUpsert::Conflict(conflict))) => {
                (UpsertOutcome::Refused, Some(conflict.into()))
            }
            Some(Err(RefusedUpsert::Unreadable)) => (
                UpsertOutcome::Refused,
                Some(ItemProblem::new(
                    ItemCode::StoredNotReadable,
                    Slot::named("id"),
                    "what is stored of this record cannot be read; who runs the service has to mend it",
                )),
            ),
            Some(Err(RefusedUpsert::UnknownPerson)) => (
                UpsertOutcome::Refused,
                Some(ItemProblem::new(
                    ItemCode::UnknownPerson,
                    Slot::named("person"),
                    "the app never sent a person of this id; send the person first",
                )),
            ),
            Some(Err(RefusedUpsert::Keeps(slot))) => (
                UpsertOutcome::Refused,
                Some(ItemProblem::new(
                    ItemCode::ActivityKeeps,
                    slot,
                    "an activity keeps its person and its kind; delete it, and send the other one under an id of its own",
                )),
            ),
            None => (UpsertOutcome::Unchanged, None),
        },
    }))
}

pub(crate) fn good<U: Clone>(checked: &[Checked<U>]) -> Vec<U> {
    checked
        .iter()
        .filter_map(|c| c.as_ref().ok().cloned())
        .collect()
}

/// A workspace may be purged while a call goes on.
pub(crate) fn refusal(error: StoreError) -> Refusal {
    match error {
        StoreError::NotFound(_) => Refusal::UnknownWorkspace,
        other => other.into(),
    }
}

async fn people<I: Into<PersonInput>>(
    app: &App,
    workspace: WorkspaceId,
    items: Vec<Checked<I>>,
) -> Result<Json<UpsertAnswer>, Refusal> {
    let store = &app.parts()?.store;
    let fields = Fields::new(&store.custom_fields(workspace).await?);
    let checked: Vec<Checked<PersonUpsert>> = items
        .into_iter()
        .map(|item| item.and_then(|input| input.into().check(&fields)))
        .collect();
    let upserts = good(&checked);
    let stored = store
        .upsert_people(workspace, &upserts, now())
        .await
        .map_err(refusal)?;
    // The moment a person comes to qualify, they are exported (E1); many are left to `Sweep`.
    if upserts.len() <= WOKEN {
        let people: Vec<PersonId> = upserts.iter().map(|u| u.id.clone()).collect();
        app.parts()?.wake_exports(workspace, &people).await;
    }
    Ok(Json(answer(&checked, stored)))
}

/// Upserts people
///
/// Up to 1,000 at once, each with an outcome of its own. Partial: a missing field stays, `null`
/// empties it. An older version never overwrites a newer one, in whatever order they come.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/people", tag = "people", operation_id = "upsertPeople",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = PersonUpserts,
    responses((status = 200, description = "An outcome for each item", body = UpsertAnswer))
)]
pub(crate) async fn upsert_people(
    State(app): State<App>,
    In(workspace): In,
    items: Bulk<PersonInput>,
) -> Result<Json<UpsertAnswer>, Refusal> {
    people(&app, workspace, items.0).await
}

/// Sets lead statuses
#[utoipa::path(
    post, path = "/workspaces/{workspace}/statuses", tag = "people", operation_id = "setStatuses",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = StatusUpserts,
    responses((status = 200, description = "An outcome for each item", body = UpsertAnswer))
)]
pub(crate) async fn set_statuses(
    State(app): State<App>,
    In(workspace): In,
    items: Bulk<StatusInput>,
) -> Result<Json<UpsertAnswer>, Refusal> {
    people(&app, workspace, items.0).await
}

/// Sets outreach facts
#[utoipa::path(
    post, path = "/workspaces/{workspace}/outreach", tag = "people", operation_id = "setOutreach",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = OutreachUpserts,
    responses((status = 200, description = "An outcome for each item", body = UpsertAnswer))
)]
pub(crate) async fn set_outreach(
    State(app): State<App>,
    In(workspace): In,
    items: Bulk<OutreachInput>,
) -> Result<Json<UpsertAnswer>, Refusal> {
    people(&app, workspace, items.0).await
}

/// Which people, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PeopleQuery {
    /// The `next` of the page before.
    #[serde(default)]
    #[param(value_type = Option<PageCursor>)]
    after: Option<PageCursor>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<PageLimit>)]
    limit: PageLimit,
    /// Those who were made from HubSpot contacts, and of whom the app has said nothing, instead of the
    /// app's own.
    #[serde(default)]
    imported: bool,
}

/// Lists people
#[utoipa::path(
    get, path = "/workspaces/{workspace}/people", tag = "people", operation_id = "listPeople",
    params(("workspace" = WorkspaceId, Path, description = "The workspace"), PeopleQuery),
    responses((status = 200, description = "A page, in the order of ids", body = Page<Person>))
)]
pub(crate) async fn list_people(
    State(app): State<App>,
    In(workspace): In,
    Asked(query): Asked<PeopleQuery>,
) -> Result<Json<Page<Person>>, Refusal> {
    let PeopleQuery {
        after,
        limit,
        imported,
    } = query;
    let query = PageQuery { after, limit };
    let after: Option<PersonId> = query.after()?;
    let store = &app.parts()?.store;
    let most = limit.get() + 1;
    let items = if imported {
        let items = store.imported_people_after(workspace, after.as_ref(), most);
        items.await?
    } else {
        store.people_after(workspace, after.as_ref(), most).await?
    };
    Ok(Json(page(items, query.limit, |p| p.id.to_string())))
}

/// One person
#[utoipa::path(
    get, path = "/workspaces/{workspace}/people/{person}", tag = "people", operation_id = "getPerson",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("person" = PersonId, Path, description = "The app's id of the person"),
    ),
    responses((status = 200, description = "The person", body = Person))
)]
pub(crate) async fn get_person(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<Person>, Refusal> {
    let person: PersonId = ids.get("person")?;
    let found = app.parts()?.store.person(workspace, &person).await?;
    found.map(Json).ok_or(Refusal::UnknownRecord("person"))
}

/// Upserts companies
#[utoipa::path(
    post, path = "/workspaces/{workspace}/companies", tag = "companies", operation_id = "upsertCompanies",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = CompanyUpserts,
    responses((status = 200, description = "An outcome for each item", body = UpsertAnswer))
)]
pub(crate) async fn upsert_companies(
    State(app): State<App>,
    In(workspace): In,
    items: Bulk<CompanyInput>,
) -> Result<Json<UpsertAnswer>, Refusal> {
    let store = &app.parts()?.store;
    let fields = Fields::new(&store.custom_fields(workspace).await?);
    let checked: Vec<Checked<_>> = items
        .0
        .into_iter()
        .map(|item| item.and_then(|input| input.check(&fields)))
        .collect();
    let stored = store
        .upsert_companies(workspace, &good(&checked), now())
        .await
        .map_err(refusal)?;
    Ok(Json(answer(&checked, stored)))
}

/// Lists companies
#[utoipa::path(
    get, path = "/workspaces/{workspace}/companies", tag = "companies", operation_id = "listCompanies",
    params(("workspace" = WorkspaceId, Path, description = "The workspace"), PageQuery),
    responses((status = 200, description = "A page, in the order of ids", body = Page<Company>))
)]
pub(crate) async fn list_companies(
    State(app): State<App>,
    In(workspace): In,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<Company>>, Refusal> {
    let after: Option<AppCompanyId> = query.after()?;
    let store = &app.parts()?.store;
    let items = store
        .companies_after(workspace, after.as_ref(), query.limit.get() + 1)
        .await?;
    Ok(Json(page(items, query.limit, |c| c.id.to_string())))
}

/// One company
#[utoipa::path(
    get, path = "/workspaces/{workspace}/companies/{company}", tag = "companies", operation_id = "getCompany",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("company" = AppCompanyId, Path, description = "The app's id of the company"),
    ),
    responses((status = 200, description = "The company", body = Company))
)]
pub(crate) async fn get_company(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<Company>, Refusal> {
    let company: AppCompanyId = ids.get("company")?;
    let found = app.parts()?.store.company(workspace, &company).await?;
    found.map(Json).ok_or(Refusal::UnknownRecord("company"))
}

/// Upserts team members
#[utoipa::path(
    post, path = "/workspaces/{workspace}/members", tag = "members", operation_id = "upsertMembers",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = MemberUpserts,
    responses((status = 200, description = "An outcome for each item", body = UpsertAnswer))
)]
pub(crate) async fn upsert_members(
    State(app): State<App>,
    In(workspace): In,
    items: Bulk<MemberInput>,
) -> Result<Json<UpsertAnswer>, Refusal> {
    let checked: Vec<Checked<_>> = items
        .0
        .into_iter()
        .map(|item| item.and_then(MemberInput::check))
        .collect();
    let stored = app
        .parts()?
        .store
        .upsert_members(workspace, &good(&checked), now())
        .await
        .map_err(refusal)?;
    Ok(Json(answer(&checked, stored)))
}

/// Lists team members
#[utoipa::path(
    get, path = "/workspaces/{workspace}/members", tag = "members", operation_id = "listMembers",
    params(("workspace" = WorkspaceId, Path, description = "The workspace"), PageQuery),
    responses((status = 200, description = "A page, in the order of ids", body = Page<Member>))
)]
pub(crate) async fn list_members(
    State(app): State<App>,
    In(workspace): In,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<Member>>, Refusal> {
    let after: Option<MemberId> = query.after()?;
    let store = &app.parts()?.store;
    let items = store
        .members_after(workspace, after.as_ref(), query.limit.get() + 1)
        .await?;
    Ok(Json(page(items, query.limit, |m| m.id.to_string())))
}

/// One team member
#[utoipa::path(
    get, path = "/workspaces/{workspace}/members/{member}", tag = "members", operation_id = "getMember",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("member" = MemberId, Path, description = "The app's id of the member"),
    ),
    responses((status = 200, description = "The team member", body = Member))
)]
pub(crate) async fn get_member(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<Member>, Refusal> {
    let member: MemberId = ids.get("member")?;
    let found = app.parts()?.store.member(workspace, &member).await?;
    found.map(Json).ok_or(Refusal::UnknownRecord("team member"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded_in_items_and_in_bytes() {
        let ids = |items: &[String]| -> Page<String> {
            let rows = items.iter().cloned().map(Ok).collect();
            page(rows, PageLimit::LARGEST, |t: &String| t[..4].to_owned())
        };
        let sized = |n: usize, bytes: usize| -> Vec<String> {
            (0..n)
                .map(|i| format!("{i:04}{}", "x".repeat(bytes)))
                .collect()
        };
        let small = ids(&sized(1_001, 10));
        assert_eq!(small.items.len(), 1_000);
        assert_eq!(small.next.unwrap().as_str(), "0999");
        let last = ids(&sized(1_000, 10));
        assert_eq!((last.items.len(), last.next), (1_000, None));
        let large = ids(&sized(1_001, 64 * 1024));
        assert_eq!(large.items.len(), 63);
        assert_eq!(large.next.unwrap().as_str(), "0062");
        // However large it is, one gets through, or the listing would never end.
        let huge = ids(&sized(2, 5 * 1024 * 1024));
        assert_eq!(huge.items.len(), 1);
        assert_eq!(huge.next.unwrap().as_str(), "0000");
        let none = ids(&[]);
        assert!(none.items.is_empty() && none.next.is_none());
    }
}
