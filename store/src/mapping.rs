//! Mapped properties: which are asked for, and the reading of records that lack some of them (I5).

use chrono::{DateTime, Utc};
use domain::{
    ObjectType, SyncRunId, SyncType, WorkspaceId,
    backfill::mapped_properties,
    portal::{PortalFacts, Properties},
    settings::Settings,
};

use crate::{Store, StoreError, runs};

/// The types whose properties can be mapped.
const MAPPED: [(SyncType, ObjectType); 2] = [
    (SyncType::Contacts, ObjectType::Contact),
    (SyncType::Companies, ObjectType::Company),
];

const fn definitions(facts: &PortalFacts, object_type: ObjectType) -> Option<&Properties> {
    match object_type {
        ObjectType::Contact => facts.contact_properties.as_ref(),
        ObjectType::Company => facts.company_properties.as_ref(),
        _ => None,
    }
}

impl Store {
    /// The properties that records of a type are read with beside those that are always needed: those
    /// that the settings in force name. Settings that cannot be read name none: reading goes on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mapped_to_read(
        &self,
        workspace: WorkspaceId,
        object_type: ObjectType,
    ) -> Result<Vec<String>, StoreError> {
        if !MAPPED.iter().any(|(_, mapped)| *mapped == object_type) {
            return Ok(Vec::new());
        }
        let facts = self.portal_facts(workspace).await?;
        let settings = match self.settings(workspace).await? {
            None => Settings::defaults(&facts),
            Some(row) => match domain::settings::read(row.document) {
                Ok(settings) => settings,
                Err(_) => {
                    tracing::error!(code = "HS-2217", %workspace, "stored settings cannot be read");
                    return Ok(Vec::new());
                }
            },
        };
        Ok(mapped_properties(
            object_type,
            &settings,
            definitions(&facts, object_type),
        ))
    }

    /// For each type, the properties that settings name beside those that are always needed.
    pub(crate) async fn mapped_of(
        &self,
        workspace: WorkspaceId,
        settings: &Settings,
    ) -> Result<Vec<(SyncType, Vec<String>)>, StoreError> {
        let facts = self.portal_facts(workspace).await?;
        Ok(MAPPED
            .iter()
            .map(|(sync_type, object_type)| {
                let known = definitions(&facts, *object_type);
                let wanted = mapped_properties(*object_type, settings, known);
                (*sync_type, wanted)
            })
            .collect())
    }

    /// Connected workspaces whose records were read by a program that did not note which properties it
    /// asked for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mapping_to_check(&self, limit: u32) -> Result<Vec<WorkspaceId>, StoreError> {
        let rows = sqlx::query_scalar!(
            "select distinct l.workspace_id from last_read l
             join connection c on c.workspace_id = l.workspace_id and c.portal_id = l.portal_id
               and c.state = 'connected'
             where l.properties is null and l.sync_type in ('contacts', 'companies')
             limit $1",
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(WorkspaceId::new).collect())
    }

    /// Reads such records again, once, if properties are mapped that they lack. Says whether a run was
    /// made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn check_mapping(
        &self,
        workspace: WorkspaceId,
        run: SyncRunId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut wanted = Vec::new();
        for (sync_type, object_type) in MAPPED {
            wanted.push((
                sync_type,
                self.mapped_to_read(workspace, object_type).await?,
            ));
        }
        let mut tx = self.pool.begin().await?;
        let made = runs::queue_mapping(&mut tx, workspace, &wanted, run, now).await?;
        sqlx::query!(
            "update last_read set properties = '{}' where workspace_id = $1 and properties is null",
            workspace.as_uuid()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(made)
    }
}
