//! The catalogue of fields and statuses, and fields of the workspace's own.

use domain::{
    WorkspaceId,
    api::{CustomFieldUpserts, FieldsAnswer, IdempotencyKey, UpsertAnswer},
};

use super::{Error, HubSpotSync};

impl HubSpotSync {
    /// All fields and lead statuses.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_fields(&self, workspace: WorkspaceId) -> Result<FieldsAnswer, Error> {
        self.get(workspace, &["fields"]).answer().await
    }

    /// Makes custom fields, or changes their labels.
    ///
    /// # Errors
    /// See [`Error`]. An item that is refused is no error of the call: see its outcome.
    pub async fn upsert_custom_fields(
        &self,
        workspace: WorkspaceId,
        upserts: &CustomFieldUpserts,
        key: Option<&IdempotencyKey>,
    ) -> Result<UpsertAnswer, Error> {
        self.post(workspace, &["custom-fields"])
            .body(upserts)
            .key(key)
            .large()
            .answer()
            .await
    }
}
