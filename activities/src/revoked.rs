//! HubSpot refused the tokens for good (C5).

use chrono::Utc;
use domain::{Epoch, WorkspaceId};
use temporalio_sdk::activities::ActivityError;
use workflows::{Connection, names};

use crate::{Deps, failure};

/// Turns the row. Of all who notice, the one that turns it tells the workflow; should that be lost,
/// `Sweep` has nothing to mend, as nothing runs any more.
pub(crate) async fn note(
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
