//! Fields of a workspace's own.

use chrono::{DateTime, Utc};
use domain::{
    WorkspaceId,
    app::{CustomField, CustomFieldError},
};
use sqlx::PgConnection;

use crate::{Store, StoreError, UnreadableRow, erasure};

impl Store {
    /// The fields of a workspace's own, by kind of record and key.
    pub async fn custom_fields(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Vec<CustomField>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        fields(&mut connection, workspace).await
    }

    /// Makes fields, or gives them another label, one by one: what is refused does not hold up the
    /// rest. The answers are in the order of the fields; `true` for one that was made.
    ///
    /// # Errors
    /// When the database fails, nothing is changed then; [`StoreError::NotFound`] for a workspace
    /// that is not known.
    pub async fn put_custom_fields(
        &self,
        workspace: WorkspaceId,
        wanted: &[CustomField],
        now: DateTime<Utc>,
    ) -> Result<Vec<Result<bool, CustomFieldError>>, StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_alone(&mut tx, workspace).await?;
        erasure::must_exist(&mut tx, workspace).await?;
        let mut existing = fields(&mut tx, workspace).await?;
        let mut done = Vec::with_capacity(wanted.len());
        for field in wanted {
            if let Err(error) = field.check(&existing) {
                done.push(Err(error));
                continue;
            }
            let definition =
                serde_json::to_value(field).map_err(|_| StoreError::Corrupt("custom field"))?;
            sqlx::query!(
                "insert into custom_field (workspace_id, record_kind, field_key, definition, changed_at)
                 values ($1, $2, $3, $4, $5)
                 on conflict (workspace_id, record_kind, field_key) do update set
                   definition = excluded.definition, changed_at = excluded.changed_at
                 where custom_field.definition <> excluded.definition",
                workspace.as_uuid(),
                field.record.as_str(),
                field.key.as_str(),
                definition,
                now
            )
            .execute(&mut *tx)
            .await?;
            let before = existing.len();
            existing.retain(|f| (f.record, &f.key) != (field.record, &field.key));
            done.push(Ok(existing.len() == before));
            existing.push(field.clone());
        }
        tx.commit().await?;
        Ok(done)
    }
}

async fn fields(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
) -> Result<Vec<CustomField>, StoreError> {
    let rows = sqlx::query!(
        "select field_key, definition from custom_field where workspace_id = $1 order by record_kind, field_key",
        workspace.as_uuid()
    )
    .fetch_all(connection)
    .await?;
    // One that cannot be read is a field that is not there: values for it are refused by its key.
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            serde_json::from_value(row.definition)
                .map_err(|_| UnreadableRow::found(workspace, "custom field", row.field_key))
                .ok()
        })
        .collect())
}
