//! Types of which readings find none of the records that are known (X10). Nothing is concluded from that
//! but that somebody should look.

use chrono::{DateTime, Utc};
use domain::{PortalId, SyncType, WorkspaceId, periodic::Sight};

use crate::{
    CursorKey, Store, StoreError,
    cursors::{count, signed, type_of},
};

/// A type of which none of the known records is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoneFound {
    /// Which type.
    pub sync_type: SyncType,
    /// How many are known that a reading should have found.
    pub known: u64,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Of the newest rows of a portal so many are looked at: what was modified lately was written lately.
const LOOKED_AT: i64 = 20_000;

impl Store {
    /// What a reading of the periodic sync that came to the end of its pages saw, and how many records the
    /// mirror holds that it should have seen: alive, modified within its window, and long enough before it
    /// began that an index is no excuse.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sight(&self, key: &CursorKey) -> Result<Sight, StoreError> {
        let Some(object_type) = key.sync_type.object_type() else {
            return Ok(Sight::default());
        };
        let row = sqlx::query!(
            "select c.seen_to is not null as \"saw!\", c.slow, c.since, c.read_began_at from sync_cursor c
             where c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = $3 and c.purpose = $4
               and c.part = $5 and c.run_id is not distinct from $6",
            key.workspace.as_uuid(),
            key.portal.get(),
            key.sync_type.as_str(),
            key.purpose.as_str(),
            key.part(),
            key.run_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            return Ok(Sight::default());
        };
        let known = match row.since {
            Some(since) if !row.saw && row.slow => {
                sqlx::query_scalar!(
                    "select count(*) as \"n!\" from (
                       select o.object_type, o.archived, o.modified_at from hubspot_object o
                       where o.workspace_id = $1 and uuid_hash(o.workspace_id) = uuid_hash($1)
                         and o.portal_id + 0 = $2
                       order by o.changed desc limit $6) o
                     where o.object_type = $3 and not o.archived and o.modified_at >= $4
                       and o.modified_at < $5",
                    key.workspace.as_uuid(),
                    key.portal.get(),
                    crate::mirror::type_number(object_type),
                    since,
                    row.read_began_at - domain::resync::INDEX_LAG_OVERLAP,
                    LOOKED_AT
                )
                .fetch_one(&self.pool)
                .await?
            }
            _ => 0,
        };
        Ok(Sight {
            saw: row.saw,
            slow: row.slow,
            known: count(known),
        })
    }

    /// None of so many known records of a type is found. Told anew only where nothing was told before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_none_found(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        sync_type: SyncType,
        known: u64,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into type_alarm as a (workspace_id, portal_id, sync_type, known, since)
             values ($1, $2, $3, $4, clock_timestamp())
             on conflict (workspace_id, portal_id, sync_type) do update set
               known = excluded.known, since = excluded.since, changed = excluded.changed
             where a.known is null",
            workspace.as_uuid(),
            portal.get(),
            sync_type.as_str(),
            signed(known)
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Some records of a type were found. Where nothing was told nothing is written.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_some_found(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        sync_type: SyncType,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update type_alarm set known = null, changed = (select mirror_change())
             where workspace_id = $1 and portal_id = $2 and sync_type = $3 and known is not null",
            workspace.as_uuid(),
            portal.get(),
            sync_type.as_str()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The types of a portal of which none of the known records is found.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn none_found(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<NoneFound>, StoreError> {
        let rows = sqlx::query!(
            "select sync_type, known as \"known!\", since from type_alarm
             where workspace_id = $1 and portal_id = $2 and known is not null order by sync_type",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(NoneFound {
                    sync_type: type_of(&row.sync_type)?,
                    known: count(row.known),
                    since: row.since,
                })
            })
            .collect()
    }

    /// In how many workspaces none of the known records of a type is found, by type.
    pub(crate) async fn none_found_of_all(&self) -> Result<Vec<(SyncType, u64)>, StoreError> {
        let rows = sqlx::query!(
            "select a.sync_type, count(*) as \"n!\" from type_alarm a join connection c
               on c.workspace_id = a.workspace_id and c.portal_id = a.portal_id
              and c.state in ('connected', 'needs_reconnect')
             where a.known is not null group by a.sync_type"
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| Ok((type_of(&row.sync_type)?, count(row.n))))
            .collect()
    }
}
