//! The feed of changes as the app reads it: several sources in one order, and a cursor that survives
//! restarts. Why nothing is skipped is said in docs/decisions/0032.
//!
//! A source gives rows with a change number, beyond a place and below the number under which all is
//! settled. A further source is a variant of [`Source`], a function that gives its rows, and a look in
//! [`Store::has_changes`].

use std::time::Duration;

use domain::{
    PortalId, WorkspaceId,
    api::{ChangeItem, PageCursor},
};

use crate::{Store, StoreError};

mod place;
mod sources;

use place::{Place, Source};
use sources::{Asked, Row};

/// A page of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// What changed, in order.
    pub items: Vec<ChangeItem>,
    /// Where to go on.
    pub next: PageCursor,
    /// Whether more is there already.
    pub more: bool,
    /// All numbers below were looked at: what comes has this number or a greater one. For
    /// [`Store::has_changes`].
    pub seen: i64,
}

/// Why a cursor is no longer good. Whoever has it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedRefused {
    /// It is none of ours.
    Malformed,
    /// It counts the changes of another database, or of a state of this one that was lost.
    OtherDatabase,
    /// The workspace is connected to another portal now.
    OtherPortal,
    /// What was removed since then is known no more.
    TooOld,
}

/// A reader that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// Of which portal.
    pub portal: PortalId,
    /// [`FeedPage::seen`]
    pub seen: i64,
}

impl Store {
    /// A page of what changed beyond a cursor: from the beginning without one, and then everything
    /// that is there. Each thing stands in the feed once, at its latest change. Nothing that commits
    /// later is ever skipped.
    ///
    /// # Errors
    /// The outer one when the database fails, the inner one when the cursor is no longer good.
    pub async fn feed_after(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        after: Option<&PageCursor>,
        limit: u32,
    ) -> Result<Result<FeedPage, FeedRefused>, StoreError> {
        // Before any source is asked: what lies below is settled for all of them.
        let settled = sqlx::query!(
            "select mirror_settled() as \"below!\", o.cluster,
               (select h.number from change_horizon h
                where h.workspace_id = $1 and h.portal_id = $2) as horizon
             from mirror_origin o",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_one(&self.pool)
        .await?;
        let below = settled.below;
        let mut place = match after {
            None => Place {
                cluster: settled.cluster,
                portal: portal.get(),
                since: below,
                number: 0,
                source: 0,
                key: String::new(),
            },
            Some(cursor) => match Place::parse(cursor) {
                Some(place) => place,
                None => return Ok(Err(FeedRefused::Malformed)),
            },
        };
        // What was given out lies below every later number, as long as this is the same database.
        if place.cluster != settled.cluster || place.number >= below {
            return Ok(Err(FeedRefused::OtherDatabase));
        }
        if place.portal != portal.get() {
            return Ok(Err(FeedRefused::OtherPortal));
        }
        if settled.horizon.is_some_and(|pruned| place.missed(pruned)) {
            return Ok(Err(FeedRefused::TooOld));
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut rows: Vec<(Source, Row)> = Vec::new();
        for source in Source::ALL {
            let asked = Asked {
                workspace,
                portal,
                beyond: place.beyond(source),
                below,
                limit: i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
            };
            let found = match source {
                Source::Records => self.changed_records(&asked).await,
                Source::Lists => self.changed_lists(&asked).await,
                Source::Tombstones => self.what_is_gone(&asked).await,
                Source::Profiles => self.changed_profiles(&asked).await,
                Source::Verdicts => self.changed_verdicts(&asked).await,
                Source::Members => self.changed_members(&asked).await,
                Source::Types => self.changed_types(&asked).await,
            };
            rows.extend(found?.into_iter().map(|row| (source, row)));
        }
        // Rows of one source and number stay in the source's own order.
        rows.sort_by_key(|(source, row)| (row.number, *source));
        let more = rows.len() > limit;
        rows.truncate(limit);
        if let Some((source, last)) = rows.last() {
            place.number = last.number;
            place.source = *source as u8;
            place.key.clone_from(&last.key);
        }
        if !rows.is_empty() || after.is_none() {
            self.make_durable().await?;
        }
        let mut items: Vec<ChangeItem> = rows.into_iter().map(|(_, row)| row.item).collect();
        self.say_uses(workspace, &mut items).await?;
        Ok(Ok(FeedPage {
            next: place.cursor()?,
            items,
            more,
            seen: below,
        }))
    }

    /// Pages are committed without waiting for the disk, and their numbers are transaction ids: after a
    /// crash of Postgres the number of a page that was lost may be given again, to another change. A
    /// cursor that had passed it would skip that one. So all that is given out is on disk first.
    async fn make_durable(&self) -> Result<(), StoreError> {
        sqlx::query!("select pg_logical_emit_message(false, 'hubspot-sync', '', true)::text as at")
            .fetch_one(&self.pool)
            .await?;
        Ok(())
    }

    /// Of readers that wait, those for whom something is there by now, by their places in the slice.
    /// One statement for all of them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_changes(&self, waiting: &[Followed]) -> Result<Vec<usize>, StoreError> {
        let workspaces: Vec<uuid::Uuid> = waiting.iter().map(|f| f.workspace.as_uuid()).collect();
        let portals: Vec<i64> = waiting.iter().map(|f| f.portal.get()).collect();
        let seen: Vec<i64> = waiting.iter().map(|f| f.seen).collect();
        // Sub-selects with a limit: each goes by its index, for one workspace.
        let rows = sqlx::query_scalar!(
            "select t.place as \"place!\"
             from unnest($1::uuid[], $2::bigint[], $3::bigint[]) with ordinality as t (w, p, seen, place)
             cross join (select mirror_settled() as below) s
             where (select o.changed from hubspot_object o
                 where o.workspace_id = t.w and uuid_hash(o.workspace_id) = uuid_hash(t.w)
                   and o.portal_id + 0 = t.p and o.changed >= t.seen and o.changed < s.below
                 order by o.changed limit 1) is not null
               or (select l.changed from hubspot_list l
                 where l.workspace_id = t.w and l.portal_id = t.p
                   and l.changed >= t.seen and l.changed < s.below limit 1) is not null
               or (select g.changed from change_tombstone g
                 where g.workspace_id = t.w and g.portal_id = t.p
                   and g.changed >= t.seen and g.changed < s.below limit 1) is not null
               or (select p.changed from profile p
                 where p.workspace_id = t.w and uuid_hash(p.workspace_id) = uuid_hash(t.w)
                   and p.portal_id + 0 = t.p and p.changed >= t.seen and p.changed < s.below
                 order by p.changed limit 1) is not null
               or (select v.changed from dnc_verdict v
                 where v.workspace_id = t.w and uuid_hash(v.workspace_id) = uuid_hash(t.w)
                   and v.portal_id + 0 = t.p and v.changed >= t.seen and v.changed < s.below
                 order by v.changed limit 1) is not null
               or (select m.changed from hubspot_list_member m
                 where m.workspace_id = t.w and uuid_hash(m.workspace_id) = uuid_hash(t.w)
                   and m.portal_id - 0 = t.p and m.changed >= t.seen and m.changed < s.below
                 order by m.changed limit 1) is not null
               or (select a.changed from type_alarm a
                 where a.workspace_id = t.w and a.portal_id = t.p
                   and a.changed >= t.seen and a.changed < s.below limit 1) is not null",
            &workspaces,
            &portals,
            &seen
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|place| usize::try_from(place - 1).ok())
            .collect())
    }

    /// Removes tombstones that are older than this, `limit` at most, and remembers that they were
    /// there: a reader that has not come so far is told so. Says how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_tombstones(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let pruned = sqlx::query_scalar!(
            "with gone as (
               delete from change_tombstone where ctid = any(array(
                 select ctid from change_tombstone
                 where removed_at < now() - make_interval(secs => $1) order by removed_at limit $2))
               returning workspace_id, portal_id, changed),
             noted as (
               insert into change_horizon as h (workspace_id, portal_id, number)
               select workspace_id, portal_id, max(changed) from gone
               group by workspace_id, portal_id order by workspace_id, portal_id
               on conflict (workspace_id, portal_id) do update set
                 number = greatest(h.number, excluded.number))
             select count(*) as \"n!\" from gone",
            older_than.as_secs_f64(),
            i64::from(limit)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(crate::cursors::count(pruned))
    }
}
