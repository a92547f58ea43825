//! The properties of a portal's engagements, as they were last read (E4, E8).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{
    Epoch, ObjectType, PortalId, WorkspaceId,
    portal::{Properties, PropertyDefinition, by_name},
};

use crate::{
    Store, StoreError,
    mirror::{type_number, type_of_number},
};

impl Store {
    /// The properties of a portal's engagements by type. A type that is not there was never read, so that
    /// nothing is known of its properties. A definition of no known shape is left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn engagement_properties(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<BTreeMap<ObjectType, Properties>, StoreError> {
        let rows = sqlx::query!(
            "select e.object_type, d.value::text as \"definition!\"
             from engagement_property e cross join lateral jsonb_array_elements(e.definitions) d
             where e.workspace_id = $1 and e.portal_id = $2",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        let mut by_type: BTreeMap<ObjectType, Vec<PropertyDefinition>> = BTreeMap::new();
        for row in rows {
            let of_type = by_type.entry(type_of_number(row.object_type)?).or_default();
            of_type.extend(PropertyDefinition::from_hubspot(&row.definition));
        }
        Ok(by_type
            .into_iter()
            .map(|(object_type, all)| (object_type, by_name(all)))
            .collect())
    }

    /// Keeps all definitions of a type as they were read, each a JSON object. An older reading changes
    /// nothing, and neither does one of a connection that is no longer in its epoch. Says whether they are
    /// kept.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn write_engagement_properties(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        epoch: Epoch,
        object_type: ObjectType,
        definitions: &[&str],
        read_at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let written = sqlx::query!(
            "insert into engagement_property (workspace_id, portal_id, object_type, definitions, read_at)
             select c.workspace_id, c.portal_id, $4::smallint, $5::text::jsonb, $6::timestamptz from connection c
             where c.workspace_id = $1 and c.portal_id = $2 and c.epoch = $3 and c.state = 'connected'
             for share
             on conflict (workspace_id, portal_id, object_type) do update set
               definitions = excluded.definitions, read_at = excluded.read_at
             where engagement_property.read_at <= excluded.read_at",
            workspace.as_uuid(),
            portal.get(),
            epoch.get(),
            type_number(object_type),
            format!("[{}]", definitions.join(",")),
            read_at
        )
        .execute(&self.pool)
        .await?
        .rows_affected();
        Ok(written > 0)
    }
}
