//! Unique properties of ours: what a portal said when it was asked for one (X2).

use chrono::{DateTime, Utc};
use domain::{ObjectType, PortalId};

use crate::{Store, StoreError, mirror::type_number};

/// What a portal said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortalKey {
    /// The property of this name is there and unique.
    Available(String),
    /// There is none to be had.
    Refused,
}

/// What a portal said, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalKeyRow {
    /// What it said.
    pub key: PortalKey,
    /// When it was asked.
    pub asked_at: DateTime<Utc>,
}

impl Store {
    /// What a portal last said of a unique property on a type; `None` when it was not asked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn portal_key(
        &self,
        portal: PortalId,
        object_type: ObjectType,
    ) -> Result<Option<PortalKeyRow>, StoreError> {
        let row = sqlx::query!(
            "select property, asked_at from portal_key where portal_id = $1 and object_type = $2",
            portal.get(),
            type_number(object_type)
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| PortalKeyRow {
            key: row
                .property
                .map_or(PortalKey::Refused, PortalKey::Available),
            asked_at: row.asked_at,
        }))
    }

    /// Keeps what a portal said. What it said earlier than what is kept changes nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn write_portal_key(
        &self,
        portal: PortalId,
        object_type: ObjectType,
        key: &PortalKey,
        asked_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let property = match key {
            PortalKey::Available(name) => Some(name.as_str()),
            PortalKey::Refused => None,
        };
        sqlx::query!(
            "insert into portal_key (portal_id, object_type, property, asked_at) values ($1, $2, $3, $4)
             on conflict (portal_id, object_type) do update set
               property = excluded.property, asked_at = excluded.asked_at
             where portal_key.asked_at <= excluded.asked_at",
            portal.get(),
            type_number(object_type),
            property,
            asked_at
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
