//! What becomes of a consent that waits (C1), whoever decides: the person on the page, the main app,
//! or time.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use domain::{
    AdminId, ConsentId, SyncRunId, WorkspaceId,
    entry::{PageEvent, PageRole},
};
use hubspot::oauth::OAuthError;
use store::{Confirmed, ConnectNames, ConsentRow, PageVisitor, PortalName, StoreError};
use uuid::Uuid;

use crate::state::{App, Parts};

/// How often what nobody confirmed in time is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// How many are given back at one look.
const AT_ONCE: u32 = 50;
/// Longer than this HubSpot is not asked to take a token back; it is erased then all the same.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::hours(24);

/// Connects. Again, it says that it was done.
pub(crate) async fn confirm(
    app: &App,
    workspace: WorkspaceId,
    consent: ConsentId,
) -> Result<Confirmed, StoreError> {
    let parts = parts(app)?;
    let run = SyncRunId::new(Uuid::now_v7());
    let confirmed = parts
        .store
        .confirm_consent(workspace, consent, run, Utc::now())
        .await?;
    match confirmed {
        Confirmed::Now(portal) => {
            tracing::info!(workspace = %workspace, portal = %portal, "connected");
            note_name(parts, workspace, consent).await;
            if let Ok(Some(row)) = parts.store.consent(workspace, consent, Utc::now()).await {
                note(parts, &row, PageEvent::Connected).await;
            }
            parts.wake(workspace, portal).await;
        }
        Confirmed::NotConnected(_) => give_back(app).await,
        Confirmed::Before(_) | Confirmed::Refused | Confirmed::Expired => {}
    }
    Ok(confirmed)
}

/// Tells the history what became of a consent.
async fn note(parts: &Parts, row: &ConsentRow, event: PageEvent) {
    note_of(parts, row.workspace, row.admin, &row.names, event).await;
}

/// Tells the history what became of what somebody began. What is done is done, even where the note is lost.
pub(crate) async fn note_of(
    parts: &Parts,
    workspace: WorkspaceId,
    admin: AdminId,
    names: &ConnectNames,
    event: PageEvent,
) {
    let visitor = PageVisitor {
        workspace,
        user: admin,
        role: PageRole::Admin,
        user_name: names.admin.clone(),
        workspace_name: names.workspace.clone(),
    };
    let noted = parts
        .store
        .note_page_event(&visitor, event, None, Utc::now());
    if let Err(error) = noted.await {
        tracing::warn!(code = error.code(), "what was done is not in the history");
    }
}

/// Keeps what HubSpot calls the portal, for the pages. Without it they show the number.
async fn note_name(parts: &Parts, workspace: WorkspaceId, consent: ConsentId) {
    let noted = async {
        let Some(row) = parts.store.consent(workspace, consent, Utc::now()).await? else {
            return Ok(());
        };
        let name = PortalName {
            hub_domain: row.hub_domain,
            ui_domain: row.ui_domain,
        };
        parts
            .store
            .note_portal_name(workspace, row.portal, &name)
            .await
    };
    if let Err(error) = noted.await {
        tracing::warn!(code = error.code(), "the portal's name was not kept");
    }
}

/// Does not connect, and gives the access back to HubSpot. What was decided stays.
pub(crate) async fn refuse(
    app: &App,
    workspace: WorkspaceId,
    consent: ConsentId,
) -> Result<ConsentRow, StoreError> {
    let parts = parts(app)?;
    let row = parts
        .store
        .refuse_consent(workspace, consent, Utc::now())
        .await?;
    note(parts, &row, PageEvent::ConsentRefused).await;
    give_back(app).await;
    Ok(row)
}

fn parts(app: &App) -> Result<&Parts, StoreError> {
    app.parts().map_err(|_| StoreError::NotFound("store"))
}

/// Revokes and erases the tokens of consents that ended. What HubSpot does not take now is tried
/// again at the next look.
async fn give_back(app: &App) {
    if let Err(error) = try_give_back(app).await {
        tracing::warn!(code = error.code(), error = %error, "consents could not be ended");
    }
}

async fn try_give_back(app: &App) -> Result<(), StoreError> {
    let (Some(oauth), store) = (&app.oauth, &parts(app)?.store) else {
        return Ok(());
    };
    let now = Utc::now();
    for ended in store.ended_consents(now, AT_ONCE).await? {
        let revoked = match &ended.revoke {
            Some(token) => oauth.revoke(token).await,
            None => Ok(()),
        };
        match revoked {
            Err(OAuthError::Transient { .. } | OAuthError::Misconfigured(_))
                if now - ended.since < GIVE_UP_AFTER =>
            {
                tracing::warn!(workspace = %ended.workspace, "a consent could not be given back yet");
            }
            _ => {
                store.erase_consent(ended.id).await?;
                tracing::info!(workspace = %ended.workspace, "a consent ended without a connection; its tokens are gone");
            }
        }
    }
    Ok(())
}

/// Looks for consents that nobody confirmed in time, for as long as the process lives.
pub(crate) async fn end_in_time(app: App) {
    loop {
        give_back(&app).await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
