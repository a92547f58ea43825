//! The feed of changes, for a main app that follows it.

use std::time::Duration;

use axum::{Json, extract::State};
use domain::{
    WorkspaceId,
    api::{ChangePage, PageCursor, PageLimit, WaitSeconds},
};
use serde::Deserialize;
use store::{FeedRefused, Followed};
use tokio::time::Instant;
use utoipa::IntoParams;

use crate::{
    api::extract::{Asked, In},
    problem::{CursorOver, Refusal},
    state::App,
};

/// From where on, and how long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangesQuery {
    /// The `next` of the page before; everything that is there without it.
    #[serde(default)]
    #[param(value_type = Option<PageCursor>)]
    after: Option<PageCursor>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<PageLimit>)]
    limit: PageLimit,
    /// For how many seconds to wait where nothing has changed yet.
    #[serde(default)]
    #[param(value_type = Option<WaitSeconds>)]
    wait: WaitSeconds,
}

/// What changed since
///
/// In order, each thing once, at its latest change. Keep `next` and ask with it again: nothing is
/// skipped, whatever commits late and whoever restarts. With `wait` the call is answered as soon as
/// something changed.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/changes", tag = "changes", operation_id = "listChanges",
    params(("workspace" = WorkspaceId, Path, description = "The workspace"), ChangesQuery),
    responses(
        (status = 200, description = "A page; empty when nothing changed within the wait", body = ChangePage),
        (status = 410, description = "The cursor is no longer good: begin anew without one (HS-4021)", content_type = "application/problem+json", body = domain::api::Problem),
        (status = 429, description = "Too many wait for this workspace already (HS-4022)", content_type = "application/problem+json", body = domain::api::Problem),
    )
)]
pub(crate) async fn list_changes(
    State(app): State<App>,
    In(workspace): In,
    Asked(query): Asked<ChangesQuery>,
) -> Result<Json<ChangePage>, Refusal> {
    let store = &app.parts()?.store;
    let deadline = Instant::now() + Duration::from_secs(u64::from(query.wait.get()));
    loop {
        let connection = store.connection(workspace).await?;
        let portal = connection.ok_or(Refusal::NotConnected)?.portal;
        let after = query.after.as_ref();
        let page = store
            .feed_after(workspace, portal, after, query.limit.get())
            .await?
            .map_err(over)?;
        let seen = page.seen;
        let page = ChangePage {
            items: page.items,
            next: page.next,
            more: page.more,
        };
        if !page.items.is_empty() || Instant::now() >= deadline || app.is_stopping() {
            return Ok(Json(page));
        }
        let place = app.followers.join(Followed {
            workspace,
            portal,
            seen,
        })?;
        tokio::select! {
            () = place.woken() => {}
            () = tokio::time::sleep_until(deadline) => return Ok(Json(page)),
            () = app.stopping() => return Ok(Json(page)),
        }
    }
}

fn over(refused: FeedRefused) -> Refusal {
    match refused {
        FeedRefused::Malformed => Refusal::Malformed(
            "query: after: not a cursor of this feed; give the `next` of the page before"
                .to_owned(),
        ),
        FeedRefused::OtherDatabase => Refusal::CursorOver(CursorOver::OtherDatabase),
        FeedRefused::OtherPortal => Refusal::CursorOver(CursorOver::OtherPortal),
        FeedRefused::TooOld => Refusal::CursorOver(CursorOver::TooOld),
    }
}
