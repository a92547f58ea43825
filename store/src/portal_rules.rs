//! What a portal's admins ask of writes, as it was last read (E4).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{
    Epoch, ObjectType, PortalId, WorkspaceId,
    export::{RequiredProperty, RequiredWhen},
};
use serde::{Deserialize, Serialize};

use crate::{
    Store, StoreError,
    mirror::{type_number, type_of_number},
};

/// A rule as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    property: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<KeptWhen>,
}

#[derive(Serialize, Deserialize)]
struct KeptWhen {
    property: String,
    #[serde(default)]
    values: Vec<String>,
}

impl From<&RequiredProperty> for Kept {
    fn from(rule: &RequiredProperty) -> Self {
        Self {
            property: rule.property.clone(),
            when: rule.when.as_ref().map(|when| KeptWhen {
                property: when.property.clone(),
                values: when.values.clone(),
            }),
        }
    }
}

impl From<Kept> for RequiredProperty {
    fn from(kept: Kept) -> Self {
        Self {
            property: kept.property,
            when: kept.when.map(|when| RequiredWhen {
                property: when.property,
                values: when.values,
            }),
        }
    }
}

impl Store {
    /// The rules of a portal by type of record. A type that is not there was never read, so that
    /// nothing is known of its rules.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn portal_rules(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<BTreeMap<ObjectType, Vec<RequiredProperty>>, StoreError> {
        let rows = sqlx::query!(
            "select object_type, rules from portal_rule where workspace_id = $1 and portal_id = $2",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let kept: Vec<Kept> = serde_json::from_value(row.rules)
                    .map_err(|_| StoreError::Corrupt("rules of a portal"))?;
                let rules = kept.into_iter().map(RequiredProperty::from).collect();
                Ok((type_of_number(row.object_type)?, rules))
            })
            .collect()
    }

    /// Keeps all rules of a type as they were read. An older reading changes nothing, and neither does
    /// one of a connection that is no longer in its epoch. Says whether they are kept.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn write_portal_rules(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        epoch: Epoch,
        object_type: ObjectType,
        rules: &[RequiredProperty],
        read_at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let kept: Vec<Kept> = rules.iter().map(Kept::from).collect();
        let kept =
            serde_json::to_value(kept).map_err(|_| StoreError::Corrupt("rules of a portal"))?;
        let written = sqlx::query!(
            "insert into portal_rule (workspace_id, portal_id, object_type, rules, read_at)
             select c.workspace_id, c.portal_id, $4::smallint, $5::jsonb, $6::timestamptz from connection c
             where c.workspace_id = $1 and c.portal_id = $2 and c.epoch = $3 and c.state = 'connected'
             for share
             on conflict (workspace_id, portal_id, object_type) do update set
               rules = excluded.rules, read_at = excluded.read_at
             where portal_rule.read_at <= excluded.read_at",
            workspace.as_uuid(),
            portal.get(),
            epoch.get(),
            type_number(object_type),
            kept,
            read_at
        )
        .execute(&self.pool)
        .await?
        .rows_affected();
        Ok(written > 0)
    }
}
