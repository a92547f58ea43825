//! What happens when HubSpot refused the tokens of a connection for good (C5).

use chrono::Utc;
use domain::{Epoch, WorkspaceId};
use temporalio_sdk::activities::ActivityError;
use workflows::{Connection, names};

use crate::{Deps, failure};

/// Of all who notice, the one that turns the row tells the workflow; should that be lost, `Sweep`
/// tells it.
pub(crate) async fn tell(
    deps: &Deps,
    workspace: WorkspaceId,
    epoch: Epoch,
) -> Result<(), ActivityError> {
    let turned = deps
        .store
        .mark_needs_reconnect(workspace, epoch, Utc::now())
        .await
        .map_err(|e| failure::of_store(&e))?;
    if turned {
        tracing::warn!(workspace = %workspace, "HubSpot revoked the connection");
        let signalled = deps
            .temporal
            .get_workflow_handle::<Connection>(names::connection_id(workspace))
            .signal(Connection::auth_revoked, (), Default::default())
            .await;
        if signalled.is_err() {
            tracing::warn!(workspace = %workspace, "nobody heard of the revocation");
        }
    }
    Ok(())
}
