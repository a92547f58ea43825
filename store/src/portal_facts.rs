//! What settings are checked against, as the mirror has it.

use std::collections::BTreeMap;

use domain::{
    ObjectType, PortalId, ReadPart, SyncType, WorkspaceId,
    app::Email,
    portal::{
        ListId, PortalFacts, PortalList, PortalOwner, PortalPipeline, Properties,
        PropertyDefinition, by_name,
    },
};

use crate::{Store, StoreError, mirror::type_number};

impl Store {
    /// The facts of the portal that a workspace is or was connected to, with the workspace's team
    /// and fields. What was never read to its end is not there.
    pub async fn portal_facts(&self, workspace: WorkspaceId) -> Result<PortalFacts, StoreError> {
        let mut facts = PortalFacts {
            members: self.all_members(workspace).await?,
            custom_fields: self.custom_fields(workspace).await?,
            ..PortalFacts::default()
        };
        let Some(connection) = self.connection(workspace).await? else {
            return Ok(facts);
        };
        let portal = connection.portal;
        let read: Vec<SyncType> = sqlx::query!(
            "select sync_type from last_read where workspace_id = $1 and portal_id = $2",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .filter_map(|row| row.sync_type.parse().ok())
        .collect();
        if read.contains(&SyncType::Properties) {
            // Definitions that HubSpot refuses are not known, which is something else than none.
            let refused = sqlx::query!(
                "select f.part from sync_refusal f join sync_cursor c on c.id = f.cursor_id
                 where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = 'properties'",
                workspace.as_uuid(),
                portal.get()
            )
            .fetch_all(&self.pool)
            .await?;
            let known = |object_type| {
                let part = ReadPart::DefinitionsOf(object_type).to_string();
                !refused.iter().any(|row| row.part == part)
            };
            if known(ObjectType::Contact) {
                facts.contact_properties = Some(
                    self.property_definitions(workspace, portal, ObjectType::Contact)
                        .await?,
                );
            }
            if known(ObjectType::Company) {
                facts.company_properties = Some(
                    self.property_definitions(workspace, portal, ObjectType::Company)
                        .await?,
                );
            }
        }
        facts.engagement_properties = self.engagement_properties(workspace, portal).await?;
        let mut rules = self.portal_rules(workspace, portal).await?;
        facts.contact_rules = rules.remove(&ObjectType::Contact).unwrap_or_default();
        facts.company_rules = rules.remove(&ObjectType::Company).unwrap_or_default();
        if read.contains(&SyncType::Owners) {
            facts.owners = Some(self.portal_owners(workspace, portal).await?);
        }
        if read.contains(&SyncType::Pipelines) {
            facts.pipelines = Some(self.portal_pipelines(workspace, portal).await?);
        }
        if read.contains(&SyncType::Lists) {
            facts.lists = Some(self.portal_lists(workspace, portal).await?);
        }
        Ok(facts)
    }

    /// The definitions of one type's properties. One that is of no known shape is left out.
    pub async fn property_definitions(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
    ) -> Result<Properties, StoreError> {
        let rows = sqlx::query!(
            "select definition::text as \"definition!\" from hubspot_property
             where workspace_id = $1 and portal_id = $2 and object_type = $3",
            workspace.as_uuid(),
            portal.get(),
            type_number(object_type)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(by_name(rows.iter().filter_map(|row| {
            PropertyDefinition::from_hubspot(&row.definition).ok()
        })))
    }

    /// What people call these properties of one type, as far as the portal has them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn property_labels(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
        names: &[&str],
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let rows = sqlx::query!(
            "select name, definition ->> 'label' as \"label!\" from hubspot_property
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and name = any($4)
               and definition ->> 'label' <> ''",
            workspace.as_uuid(),
            portal.get(),
            type_number(object_type),
            names as &[&str]
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.name, row.label)).collect())
    }

    pub(crate) async fn portal_owners(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<PortalOwner>, StoreError> {
        Ok(self
            .owners(workspace, portal)
            .await?
            .into_iter()
            .map(|owner| PortalOwner {
                id: owner.id,
                email: owner.email.as_deref().and_then(|e| Email::parse(e).ok()),
                archived: owner.archived,
            })
            .collect())
    }

    pub(crate) async fn portal_pipelines(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<PortalPipeline>, StoreError> {
        let rows = sqlx::query!(
            "select definition::text as \"definition!\" from hubspot_pipeline
             where workspace_id = $1 and portal_id = $2 order by pipeline_id",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .iter()
            .filter_map(|row| PortalPipeline::from_hubspot(&row.definition).ok())
            .collect())
    }

    async fn portal_lists(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<PortalList>, StoreError> {
        let rows = sqlx::query!(
            "select list_id, object_type_id from hubspot_list
             where workspace_id = $1 and portal_id = $2 order by list_id",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| PortalList {
                id: ListId::new(row.list_id),
                object_type: ObjectType::from_type_id(&row.object_type_id),
            })
            .collect())
    }
}
