//! Requests to export: a row first, and what came of it.

use axum::{Json, body::Bytes, extract::State, http::StatusCode};
use chrono::TimeDelta;
use domain::{
    WorkspaceId,
    api::{
        BulkExport, ExportAnswer, ExportSummary, MAX_ITEMS, ManualExport, Page, PageCursor,
        PageLimit, QualifyingCounts, RequestAnswer, ResumeRow, RetryAnswer, RetryExports,
        RetryReason,
    },
    app::PersonId,
    export::{RequestId, RequestKind, RequestOutcome, RequestState, bulk::ONE_BY_ONE},
};
use futures::future::join_all;
use serde::Deserialize;
use store::{ExportFilter, ExportRow, NewExports, NewResume, RefusedResume};
use utoipa::IntoParams;

use crate::{
    api::{
        extract::{Asked, Ids, In, body_of},
        idempotency::CallIds,
        now,
        records::{PageQuery, page, refusal},
    },
    problem::Refusal,
    state::App,
};

/// How far back the summary counts requests that were left out.
pub(crate) const SKIPPED_FOR: TimeDelta = TimeDelta::days(30);

pub(crate) fn shown(row: ExportRow) -> RequestAnswer {
    RequestAnswer {
        request: row.request,
        kind: row.kind,
        person: row.person,
        requested_at: row.requested_at,
        changed_at: row.changed_at,
        outcome: row.outcome,
        code: row.code.and_then(|code| code.parse().ok()),
        properties: row.properties,
    }
}

/// People who are woken for at once; more are left to `Sweep`, for one call must not fill all slots.
pub(crate) const WOKEN: usize = ONE_BY_ONE;

/// What people are to be exported for.
#[derive(Debug, Clone, Copy)]
struct Asking {
    kind: RequestKind,
    include_earlier: bool,
    anew: bool,
}

async fn request(
    app: &App,
    workspace: WorkspaceId,
    asking: Asking,
    people: Vec<PersonId>,
    ids: CallIds,
) -> Result<ExportAnswer, Refusal> {
    let people: Vec<(RequestId, PersonId)> = people
        .into_iter()
        .enumerate()
        .map(|(n, person)| (RequestId::new(ids.nth(n)), person))
        .collect();
    let new = NewExports {
        workspace,
        kind: asking.kind,
        people: &people,
        include_earlier: asking.include_earlier,
        anew: asking.anew,
        bulk: None,
    };
    let parts = app.parts()?;
    let rows = parts.store.request_exports(&new, now()).await?;
    let accepted = rows
        .iter()
        .filter(|row| row.outcome == RequestOutcome::Accepted)
        .filter_map(|row| row.person.as_ref());
    let accepted: Vec<&PersonId> = accepted.collect();
    // Many are left to `Sweep`, which has them exported in bulk.
    if accepted.len() <= WOKEN {
        let woken = accepted
            .iter()
            .map(|person| parts.wake_export(workspace, person));
        join_all(woken).await;
    }
    let requests = rows.into_iter().map(shown).collect();
    Ok(ExportAnswer { requests })
}

/// Asks to export one person, whatever the policy says
#[utoipa::path(
    post, path = "/workspaces/{workspace}/exports", tag = "exports", operation_id = "exportPerson",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = ManualExport,
    responses((status = 202, description = "The request is a row; nothing is lost from here on", body = ExportAnswer))
)]
pub(crate) async fn export_person(
    State(app): State<App>,
    In(workspace): In,
    ids: CallIds,
    body: Bytes,
) -> Result<(StatusCode, Json<ExportAnswer>), Refusal> {
    let asked: ManualExport = body_of(&body)?;
    let answer = by_hand(&app, workspace, asked, ids).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Asks to export one person.
pub(crate) async fn by_hand(
    app: &App,
    workspace: WorkspaceId,
    asked: ManualExport,
    ids: CallIds,
) -> Result<ExportAnswer, Refusal> {
    let known = app.parts()?.store.person(workspace, &asked.person).await?;
    if known.is_none() {
        return Err(Refusal::UnknownRecord("person"));
    }
    request(
        app,
        workspace,
        Asking {
            kind: RequestKind::Manual,
            include_earlier: false,
            anew: asked.anew,
        },
        vec![asked.person],
        ids,
    )
    .await
}

/// Asks to export many people, by the policy
#[utoipa::path(
    post, path = "/workspaces/{workspace}/bulk-exports", tag = "exports", operation_id = "exportInBulk",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = BulkExport,
    responses((status = 202, description = "A row for each person; people who are not known are skipped at once", body = ExportAnswer))
)]
pub(crate) async fn export_in_bulk(
    State(app): State<App>,
    In(workspace): In,
    ids: CallIds,
    body: Bytes,
) -> Result<(StatusCode, Json<ExportAnswer>), Refusal> {
    let asked: BulkExport = body_of(&body)?;
    let once: std::collections::BTreeSet<&PersonId> = asked.people.iter().collect();
    if asked.people.is_empty() || once.len() != asked.people.len() {
        return Err(Refusal::Malformed(
            "people: name at least one person, and each once".to_owned(),
        ));
    }
    if asked.people.len() > MAX_ITEMS {
        return Err(Refusal::TooMany("people"));
    }
    let asking = Asking {
        kind: RequestKind::Bulk,
        include_earlier: asked.include_earlier,
        anew: false,
    };
    let answer = request(&app, workspace, asking, asked.people, ids).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// The `next` of the page before.
    #[serde(default)]
    #[param(value_type = Option<PageCursor>)]
    after: Option<PageCursor>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<PageLimit>)]
    limit: PageLimit,
    /// About this person only.
    #[serde(default)]
    #[param(value_type = Option<PersonId>)]
    person: Option<PersonId>,
    /// In this state only.
    #[serde(default)]
    #[param(value_type = Option<RequestState>)]
    state: Option<RequestState>,
}

/// Lists requests with their outcome
#[utoipa::path(
    get, path = "/workspaces/{workspace}/exports", tag = "exports", operation_id = "listExports",
    params(("workspace" = WorkspaceId, Path, description = "The workspace"), ExportQuery),
    responses((status = 200, description = "A page, oldest first", body = Page<RequestAnswer>))
)]
pub(crate) async fn list_exports(
    State(app): State<App>,
    In(workspace): In,
    Asked(query): Asked<ExportQuery>,
) -> Result<Json<Page<RequestAnswer>>, Refusal> {
    let paging = PageQuery {
        after: query.after,
        limit: query.limit,
    };
    let after: Option<RequestId> = paging.after()?;
    let filter = ExportFilter {
        person: query.person,
        state: query.state,
    };
    let rows = app
        .parts()?
        .store
        .export_requests_after(workspace, &filter, after, paging.limit.get() + 1)
        .await?;
    let items = rows.into_iter().map(|row| row.map(shown)).collect();
    Ok(Json(page(items, paging.limit, |r: &RequestAnswer| {
        r.request.to_string()
    })))
}

/// One request with its outcome
#[utoipa::path(
    get, path = "/workspaces/{workspace}/exports/{request}", tag = "exports", operation_id = "getExport",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("request" = RequestId, Path, description = "The request"),
    ),
    responses((status = 200, description = "The request", body = RequestAnswer))
)]
pub(crate) async fn get_export(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<RequestAnswer>, Refusal> {
    let request: RequestId = ids.get("request")?;
    let found = app
        .parts()?
        .store
        .export_request(workspace, request)
        .await?;
    found
        .map(|row| Json(shown(row)))
        .ok_or(Refusal::UnknownRecord("request"))
}

/// How exports stand: who qualifies, what waits, failed or was left out, and since when
#[utoipa::path(
    get, path = "/workspaces/{workspace}/exports/summary", tag = "exports", operation_id = "summarizeExports",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    responses((status = 200, description = "Numbers", body = ExportSummary))
)]
pub(crate) async fn summarize_exports(
    State(app): State<App>,
    In(workspace): In,
) -> Result<Json<ExportSummary>, Refusal> {
    summary_of(&app, workspace).await.map(Json)
}

/// How exports stand.
pub(crate) async fn summary_of(
    app: &App,
    workspace: WorkspaceId,
) -> Result<ExportSummary, Refusal> {
    let store = &app.parts()?.store;
    let standing = store.export_standing(workspace).await?;
    let numbers = store
        .export_numbers(workspace, &standing, SKIPPED_FOR, now())
        .await?;
    Ok(ExportSummary {
        settings_saved: standing.settings_saved,
        policy: standing.settings.export.policy,
        in_force_since: standing.in_force_since.filter(|_| standing.settings_saved),
        qualifying: QualifyingCounts {
            people: numbers.qualifying.people,
            qualified_earlier: numbers.qualifying.earlier,
            more: numbers.qualifying.more,
        },
        accepted: numbers.accepted,
        waiting: numbers.waiting,
        failed: numbers.failed,
        skipped: numbers.skipped,
        oldest_pending: numbers.oldest,
    })
}

/// Lets a request that failed, was left out or waits go on now
///
/// One that goes on already or was exported stays as it is, and so does one about somebody who was
/// erased.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/exports/{request}/retry", tag = "exports", operation_id = "retryExport",
    params(
        ("workspace" = WorkspaceId, Path, description = "The workspace"),
        ("request" = RequestId, Path, description = "The request"),
    ),
    responses((status = 200, description = "The request as it stands now", body = RequestAnswer))
)]
pub(crate) async fn retry_export(
    State(app): State<App>,
    In(workspace): In,
    ids: Ids,
) -> Result<Json<RequestAnswer>, Refusal> {
    retry_one(&app, workspace, ids.get("request")?)
        .await
        .map(Json)
}

/// Lets a request go on.
pub(crate) async fn retry_one(
    app: &App,
    workspace: WorkspaceId,
    request: RequestId,
) -> Result<RequestAnswer, Refusal> {
    let parts = app.parts()?;
    let row = parts
        .store
        .retry_export(workspace, request, now())
        .await
        .map_err(refusal)?
        .ok_or(Refusal::UnknownRecord("request"))?;
    if let Some(person) = &row.person
        && row.outcome == RequestOutcome::Accepted
    {
        parts.wake_export(workspace, person).await;
    }
    Ok(shown(row))
}

/// Lets a row go on that is paused
///
/// Another system set our value back three times, or somebody reverted it. What was written before
/// counts no more, and the person is exported. Where nothing holds the row up, HS-2428.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/exports/resume", tag = "exports", operation_id = "resumeRow",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = ResumeRow,
    responses((status = 202, description = "The request is a row; nothing is lost from here on", body = RequestAnswer))
)]
pub(crate) async fn resume_row(
    State(app): State<App>,
    In(workspace): In,
    ids: CallIds,
    body: Bytes,
) -> Result<(StatusCode, Json<RequestAnswer>), Refusal> {
    let asked: ResumeRow = body_of(&body)?;
    let new = NewResume {
        request: RequestId::new(ids.nth(0)),
        workspace,
        person: &asked.person,
        record: asked.record,
        property: &asked.property,
    };
    let parts = app.parts()?;
    let row = parts
        .store
        .resume_row(&new, now())
        .await
        .map_err(refusal)?
        .map_err(|refused| match refused {
            RefusedResume::UnknownPerson => Refusal::UnknownRecord("person"),
            RefusedResume::NothingHeld => Refusal::NothingHeld,
        })?;
    if row.outcome == RequestOutcome::Accepted {
        parts.wake_export(workspace, &asked.person).await;
    }
    Ok((StatusCode::ACCEPTED, Json(shown(row))))
}

/// Lets all requests that failed, or those with one reason, go on now
///
/// A thousand in a call; `more` tells whether another one is needed.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/exports/retry", tag = "exports", operation_id = "retryExports",
    params(("workspace" = WorkspaceId, Path, description = "The workspace")),
    request_body = RetryExports,
    responses((status = 200, description = "How many go on", body = RetryAnswer))
)]
pub(crate) async fn retry_exports(
    State(app): State<App>,
    In(workspace): In,
    body: Bytes,
) -> Result<Json<RetryAnswer>, Refusal> {
    let asked: RetryExports = body_of(&body)?;
    retry_all(&app, workspace, asked.reason).await.map(Json)
}

/// Lets requests with this reason go on, or all that failed.
pub(crate) async fn retry_all(
    app: &App,
    workspace: WorkspaceId,
    reason: Option<RetryReason>,
) -> Result<RetryAnswer, Refusal> {
    let limit = u32::try_from(MAX_ITEMS).unwrap_or(u32::MAX);
    let retried = app
        .parts()?
        .store
        .retry_exports(workspace, reason, limit, now())
        .await
        .map_err(refusal)?;
    Ok(RetryAnswer {
        retried: retried.requests,
        more: retried.more,
    })
}
