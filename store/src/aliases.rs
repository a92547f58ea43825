//! Ids that were merged away (I3): where they lead, and what becomes of what is stored under them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, ObjectType, PortalId, WorkspaceId, aliases::Aliases};
use serde::Deserialize;
use sqlx::PgConnection;

use crate::{
    Store, StoreError,
    batches::{FoundBy, RecordRows},
    mirror::{Written, object_id, type_number},
    steps::Step,
};

fn numbers(ids: impl IntoIterator<Item = HubSpotObjectId>) -> Vec<i64> {
    ids.into_iter().map(|id| id.get()).collect()
}

/// The ids that a record has taken in, by its own word.
fn taken_in(properties: &str) -> Vec<HubSpotObjectId> {
    #[derive(Deserialize)]
    struct Merged {
        hs_merged_object_ids: Option<String>,
    }
    serde_json::from_str::<Merged>(properties)
        .ok()
        .and_then(|merged| merged.hs_merged_object_ids)
        .unwrap_or_default()
        .split(';')
        .filter_map(|id| id.trim().parse().ok())
        .collect()
}

/// Takes out of a batch what is known to be merged away: pages that were sent before, and what an index
/// that lags still knows. A record that answers under its own id, and was asked later, lives.
pub(crate) async fn take_out_merged(
    tx: &mut PgConnection,
    step: &Step,
    records: &mut RecordRows,
    read_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if records.rows.is_empty() {
        return Ok(());
    }
    let known = sqlx::query!(
        "select object_id, read_at from hubspot_alias
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(records.object_type),
        &numbers(records.rows.iter().map(|row| row.id))
    )
    .fetch_all(&mut *tx)
    .await?;
    if known.is_empty() {
        return Ok(());
    }
    let direct = records.found_by == FoundBy::Direct;
    let (alive, merged): (Vec<_>, Vec<_>) = known
        .into_iter()
        .partition(|row| direct && read_at > row.read_at);
    if !alive.is_empty() {
        let alive: Vec<i64> = alive.into_iter().map(|row| row.object_id).collect();
        sqlx::query!(
            "delete from hubspot_alias
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)",
            step.workspace.as_uuid(),
            step.portal.get(),
            type_number(records.object_type),
            &alive
        )
        .execute(&mut *tx)
        .await?;
    }
    let merged: BTreeSet<i64> = merged.into_iter().map(|row| row.object_id).collect();
    records.retain(|id| !merged.contains(&id.get()));
    Ok(())
}

/// Notes what records have taken in, by their own word or because they answered for another id, and
/// turns what is stored under those ids into tombstones that point to the living record. Says which.
pub(crate) async fn write(
    tx: &mut PgConnection,
    step: &Step,
    records: &RecordRows,
    written: &[Written],
    read_at: DateTime<Utc>,
) -> Result<Vec<i64>, sqlx::Error> {
    let written: BTreeSet<i64> = written.iter().map(|w| w.id).collect();
    // A record that answers for itself was not merged away, whatever another one says.
    let own: BTreeSet<HubSpotObjectId> = records.rows.iter().map(|row| row.id).collect();
    let merges: BTreeMap<HubSpotObjectId, HubSpotObjectId> = records
        .rows
        .iter()
        .filter(|row| !row.archived && written.contains(&row.id.get()))
        .flat_map(|row| {
            taken_in(&row.properties)
                .into_iter()
                .map(|old| (old, row.id))
        })
        .chain(records.merged.iter().map(|(old, into)| (*old, *into)))
        .filter(|(old, into)| old != into && !own.contains(old))
        .collect();
    if merges.is_empty() {
        return Ok(Vec::new());
    }
    let known = sqlx::query!(
        "select object_id, living_id from hubspot_alias
         where workspace_id = $1 and portal_id = $2 and object_type = $3
           and (object_id = any($4) or living_id = any($5))",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(records.object_type),
        &numbers(merges.iter().flat_map(|(old, into)| [*old, *into])),
        &numbers(merges.keys().copied())
    )
    .fetch_all(&mut *tx)
    .await?;
    let known: Aliases = known
        .into_iter()
        .filter_map(|row| {
            Some((
                HubSpotObjectId::new(row.object_id).ok()?,
                HubSpotObjectId::new(row.living_id).ok()?,
            ))
        })
        .collect();
    let news = known.with(merges);
    if news.is_empty() {
        return Ok(Vec::new());
    }
    let (old, living): (Vec<i64>, Vec<i64>) = news
        .into_iter()
        .map(|(old, living)| (old.get(), living.get()))
        .unzip();
    sqlx::query!(
        "insert into hubspot_alias as a
           (workspace_id, portal_id, object_type, object_id, living_id, read_at)
         select $1, $2, $3, old, living, $4 from unnest($5::bigint[], $6::bigint[]) as n (old, living)
         on conflict (workspace_id, portal_id, object_type, object_id) do update set
           living_id = excluded.living_id, read_at = greatest(a.read_at, excluded.read_at)",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(records.object_type),
        read_at,
        &old,
        &living
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query_scalar!(
        "update hubspot_object o set archived = true, merged_into = n.living, missing_at = null,
           read_at = greatest(o.read_at, $4), changed = (select mirror_change())
         from unnest($5::bigint[], $6::bigint[]) as n (old, living)
         where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = $3 and o.object_id = n.old
           and o.object_id = any($5)
         returning o.object_id",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(records.object_type),
        read_at,
        &old,
        &living
    )
    .fetch_all(tx)
    .await
}

impl Store {
    /// Where ids lead that were merged away: to be asked before records are read or updated in batches,
    /// as HubSpot drops old ids from batch updates without a word. Ids that live are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn living_ids(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
        ids: &[HubSpotObjectId],
    ) -> Result<BTreeMap<HubSpotObjectId, HubSpotObjectId>, StoreError> {
        let rows = sqlx::query!(
            "select object_id, living_id from hubspot_alias
             where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)",
            workspace.as_uuid(),
            portal.get(),
            type_number(object_type),
            &numbers(ids.iter().copied())
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| Ok((object_id(row.object_id)?, object_id(row.living_id)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_were_taken_in_are_read_from_the_records_own_word() {
        let ids = |json| {
            taken_in(json)
                .into_iter()
                .map(|id| id.get())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            ids(r#"{"hs_merged_object_ids":"7; 40000000001;x;"}"#),
            [7, 40_000_000_001]
        );
        assert_eq!(ids(r#"{"hs_merged_object_ids":null}"#), [0; 0]);
        assert_eq!(ids("[]"), [0; 0]);
    }
}
