//! Addresses that HubSpot takes no more, as it erased whoever had them (C7): nobody writes to them.

use std::collections::BTreeSet;

use domain::{PortalId, WorkspaceId, app::PersonId};

use super::facts::Subject;
use crate::{
    Store, StoreError,
    erasure::{self, Identity},
    keys::email_key,
};

impl Store {
    /// Notes that a portal refused an address, as it erased whoever had it; a keyed hash is all that is kept.
    /// Whoever has the address is judged anew.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_refused_address(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        person: &PersonId,
        email: &str,
    ) -> Result<(), StoreError> {
        let Some(email) = email_key(email) else {
            return Ok(());
        };
        let hash = self
            .identities
            .hash(workspace, &Identity::Refused(portal, &email));
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        if !erasure::stays(&mut tx, workspace).await? {
            return Ok(());
        }
        sqlx::query!(
            "insert into erased_identity (workspace_id, identity_hash, erased_at)
             values ($1, $2, clock_timestamp()) on conflict do nothing",
            workspace.as_uuid(),
            hash
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "update app_person set changed = (select mirror_change()) where workspace_id = $1 and person_id = $2",
            workspace.as_uuid(),
            person.as_str()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Which of these have an address that the portal refused.
    pub(super) async fn refused_among(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        subjects: &[Subject],
    ) -> Result<Vec<bool>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        if !erasure::anybody_erased(&mut connection, workspace).await? {
            return Ok(vec![false; subjects.len()]);
        }
        let hashes: Vec<Option<Vec<u8>>> = subjects
            .iter()
            .map(|subject| {
                let identity = Identity::Refused(portal, subject.email()?);
                Some(self.identities.hash(workspace, &identity))
            })
            .collect();
        let all: Vec<Vec<u8>> = hashes.iter().flatten().cloned().collect();
        let refused: BTreeSet<Vec<u8>> =
            erasure::erased_among(&mut connection, workspace, &all).await?;
        Ok(hashes
            .iter()
            .map(|hash| hash.as_ref().is_some_and(|hash| refused.contains(hash)))
            .collect())
    }
}
