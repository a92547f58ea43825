//! Moves stored tokens to the first key of the ring, while everything goes on (C3).

use std::collections::BTreeMap;

use domain::WorkspaceId;
use uuid::Uuid;

use crate::{Store, StoreError};

/// Workspaces that are looked at in one statement.
const PAGE: i64 = 500;

/// What became of stored tokens when they were to move to the first key.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Connections whose tokens moved to it.
    pub moved: u64,
    /// Those whose tokens were under it already.
    pub current: u64,
    /// Those whose tokens are under keys that are not configured, by the key's id. They stay as they are.
    pub locked: BTreeMap<String, u64>,
    /// Those whose tokens cannot be read though their key is configured. They stay as they are.
    pub damaged: u64,
}

/// How a connection's tokens came under the first key.
enum Came {
    Now,
    Before,
    Gone,
}

impl Store {
    /// Encrypts tokens under the first key of the ring, connection by connection, so that it can be done
    /// again after it was broken off. What cannot be opened stops nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rotate_tokens(&self) -> Result<Rotated, StoreError> {
        let mut rotated = Rotated::default();
        let mut after = Uuid::nil();
        loop {
            let page = sqlx::query_scalar!(
                "select workspace_id from connection_token where workspace_id > $1
                 order by workspace_id limit $2",
                after,
                PAGE
            )
            .fetch_all(&self.control)
            .await?;
            let Some(last) = page.last() else {
                return Ok(rotated);
            };
            after = *last;
            for workspace in page {
                match self.rotate_token(WorkspaceId::new(workspace)).await {
                    Ok(Came::Now) => rotated.moved += 1,
                    Ok(Came::Before) => rotated.current += 1,
                    Ok(Came::Gone) => {}
                    Err(StoreError::KeyMissing(id)) => *rotated.locked.entry(id).or_default() += 1,
                    Err(StoreError::Corrupt(_)) => rotated.damaged += 1,
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn rotate_token(&self, workspace: WorkspaceId) -> Result<Came, StoreError> {
        let mut tx = self.control.begin().await?;
        // A refresh that is under way commits before or after.
        let Some(row) = sqlx::query!(
            "select access_token, refresh_token from connection_token
             where workspace_id = $1 for update",
            workspace.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?
        else {
            return Ok(Came::Gone);
        };
        let moved = |field, sealed: &[u8]| {
            if self.keys.is_current(sealed) {
                return Ok(sealed.to_vec());
            }
            let open = self.keys.decrypt(workspace, field, sealed)?;
            self.keys.encrypt(workspace, field, &open)
        };
        let access = moved("access", &row.access_token)?;
        let refresh = row
            .refresh_token
            .as_deref()
            .map(|sealed| moved("refresh", sealed))
            .transpose()?;
        if access == row.access_token && refresh == row.refresh_token {
            return Ok(Came::Before);
        }
        sqlx::query!(
            "update connection_token set access_token = $2, refresh_token = $3
             where workspace_id = $1",
            workspace.as_uuid(),
            access,
            refresh
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Came::Now)
    }
}
