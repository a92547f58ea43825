//! The feed of changes as the app reads it: several sources in one order, and a cursor that survives
//! restarts. Why nothing is skipped is said in docs/decisions/0032.
//!
//! A source gives rows with a change number, beyond a place and below the number under which all is
//! settled. A further source is a variant of [`Source`], a function that gives its rows, and a look in
//! [`Store::has_changes`].

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    ObjectType, PortalId, WorkspaceId,
    api::{ChangeItem, ChangeKind, ChangeWhat, PageCursor},
};

use crate::{
    Store, StoreError,
    mirror::{object_id, type_of_number},
};

/// Where rows of the feed come from, in the order in which they come at one number. The numbers are
/// part of cursors: none is ever changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// Records of the mirror.
    Records = 1,
    /// Lists.
    Lists = 2,
    /// What is gone from the mirror.
    Tombstones = 3,
}

impl Source {
    const ALL: [Self; 3] = [Self::Records, Self::Lists, Self::Tombstones];

    /// Whether a row of this source can have this key.
    fn can_have(self, key: &str) -> bool {
        match self {
            Self::Records | Self::Tombstones => numbers::<2>(Some(key))
                .is_ok_and(|[object_type, _]| i16::try_from(object_type).is_ok()),
            Self::Lists => numbers::<1>(Some(key)).is_ok(),
        }
    }
}

/// A row of a source.
struct Row {
    number: i64,
    /// Where it lies among the rows of its number, in the source's own form.
    key: String,
    item: ChangeItem,
}

/// Where a source goes on: beyond `key` at `number`; from the first row of that number on without.
#[derive(Debug, PartialEq, Eq)]
struct Beyond<'a> {
    number: i64,
    key: Option<&'a str>,
}

/// What a source is asked for.
struct Asked<'a> {
    workspace: WorkspaceId,
    portal: PortalId,
    beyond: Beyond<'a>,
    below: i64,
    limit: i64,
}

/// How far a reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Whose numbers these are.
    cluster: i64,
    portal: i64,
    /// The number under which all was settled when the reader began with nothing: what was gone by
    /// then is nothing to it.
    since: i64,
    number: i64,
    /// Of the last row that was given; 0 before any.
    source: u8,
    key: String,
}

/// The version of the cursor's form.
const FORM: &str = "1";

impl Place {
    fn cursor(&self) -> Result<PageCursor, StoreError> {
        let Self {
            cluster,
            portal,
            since,
            number,
            source,
            key,
        } = self;
        let text = format!("{FORM} {cluster} {portal} {since} {number} {source} {key}");
        PageCursor::try_from(URL_SAFE_NO_PAD.encode(text))
            .map_err(|_| StoreError::Corrupt("place in the feed"))
    }

    fn parse(cursor: &PageCursor) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor.as_str()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mut parts = text.splitn(7, ' ');
        if parts.next()? != FORM {
            return None;
        }
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (cluster, portal, since, at) = (number()?, number()?, number()?, number()?);
        let source = u8::try_from(number()?).ok()?;
        let key = parts.next()?.to_owned();
        let good = match Source::ALL.into_iter().find(|s| *s as u8 == source) {
            Some(known) => known.can_have(&key),
            None => source == 0 && key.is_empty(),
        };
        good.then_some(Self {
            cluster,
            portal,
            since,
            number: at,
            source,
            key,
        })
    }

    /// Whether its reader was never given a tombstone of this number: what was there before it began is
    /// nothing to it.
    fn missed(&self, tombstone: i64) -> bool {
        let given = (self.number, self.source) >= (tombstone, Source::Tombstones as u8);
        tombstone >= self.since && !given
    }

    fn beyond(&self, source: Source) -> Beyond<'_> {
        match (source as u8).cmp(&self.source) {
            std::cmp::Ordering::Less => Beyond {
                number: self.number.saturating_add(1),
                key: None,
            },
            std::cmp::Ordering::Equal => Beyond {
                number: self.number,
                key: Some(&self.key),
            },
            std::cmp::Ordering::Greater => Beyond {
                number: self.number,
                key: None,
            },
        }
    }
}

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

/// What a source's key consists of.
fn numbers<const N: usize>(key: Option<&str>) -> Result<[i64; N], StoreError> {
    let Some(key) = key else {
        return Ok([-1; N]);
    };
    let parts: Result<Vec<i64>, _> = key.split('.').map(str::parse).collect();
    parts
        .ok()
        .and_then(|parts| parts.try_into().ok())
        .ok_or(StoreError::Corrupt("place in the feed"))
}

const fn kind_of(object_type: ObjectType) -> Option<ChangeKind> {
    match object_type {
        ObjectType::Contact => Some(ChangeKind::Contact),
        ObjectType::Company => Some(ChangeKind::Company),
        ObjectType::Deal => Some(ChangeKind::Deal),
        _ => None,
    }
}

fn record_row(
    number: i64,
    object_type: i16,
    id: i64,
    what: ChangeWhat,
) -> Result<Option<Row>, StoreError> {
    let id = object_id(id)?;
    Ok(kind_of(type_of_number(object_type)?).map(|kind| Row {
        number,
        key: format!("{object_type}.{id}"),
        item: ChangeItem {
            kind,
            id: id.to_string(),
            change: what,
        },
    }))
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
                Source::Tombstones => self.removed_records(&asked).await,
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
        Ok(Ok(FeedPage {
            next: place.cursor()?,
            items: rows.into_iter().map(|(_, row)| row.item).collect(),
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

    async fn changed_records(&self, asked: &Asked<'_>) -> Result<Vec<Row>, StoreError> {
        let [object_type, object_id] = numbers(asked.beyond.key)?;
        let rows = sqlx::query!(
            "select changed, object_type, object_id, archived from hubspot_object
             where workspace_id = $1
               and uuid_hash(workspace_id) = uuid_hash($1) and portal_id + 0 = $2
               and (changed, object_type + 0, object_id + 0) > ($3, $4::int, $5)
               and changed < $6
             order by changed, object_type + 0, object_id + 0 limit $7",
            asked.workspace.as_uuid(),
            asked.portal.get(),
            asked.beyond.number,
            i32::try_from(object_type).unwrap_or(i32::MAX),
            object_id,
            asked.below,
            asked.limit
        )
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter().filter_map(|row| {
            let what = if row.archived {
                ChangeWhat::Archived
            } else {
                ChangeWhat::Changed
            };
            record_row(row.changed, row.object_type, row.object_id, what).transpose()
        });
        rows.collect()
    }

    async fn changed_lists(&self, asked: &Asked<'_>) -> Result<Vec<Row>, StoreError> {
        let [list] = numbers(asked.beyond.key)?;
        let rows = sqlx::query!(
            "select changed, list_id, gone_at is not null as \"gone!\" from hubspot_list
             where workspace_id = $1 and portal_id = $2
               and (changed, list_id) > ($3, $4) and changed < $5
             order by changed, list_id limit $6",
            asked.workspace.as_uuid(),
            asked.portal.get(),
            asked.beyond.number,
            list,
            asked.below,
            asked.limit
        )
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter().map(|row| Row {
            number: row.changed,
            key: row.list_id.to_string(),
            item: ChangeItem {
                kind: ChangeKind::List,
                id: row.list_id.to_string(),
                change: if row.gone {
                    ChangeWhat::Gone
                } else {
                    ChangeWhat::Changed
                },
            },
        });
        Ok(rows.collect())
    }

    async fn removed_records(&self, asked: &Asked<'_>) -> Result<Vec<Row>, StoreError> {
        let [object_type, object_id] = numbers(asked.beyond.key)?;
        let rows = sqlx::query!(
            "select changed, object_type, object_id from change_tombstone
             where workspace_id = $1 and portal_id = $2
               and (changed, object_type, object_id) > ($3, $4::int, $5) and changed < $6
             order by changed, object_type, object_id limit $7",
            asked.workspace.as_uuid(),
            asked.portal.get(),
            asked.beyond.number,
            i32::try_from(object_type).unwrap_or(i32::MAX),
            object_id,
            asked.below,
            asked.limit
        )
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter().filter_map(|row| {
            record_row(
                row.changed,
                row.object_type,
                row.object_id,
                ChangeWhat::Erased,
            )
            .transpose()
        });
        rows.collect()
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
                   and g.changed >= t.seen and g.changed < s.below limit 1) is not null",
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: i64, source: u8, key: &str) -> Place {
        Place {
            cluster: -7,
            portal: 4711,
            since: 12,
            number,
            source,
            key: key.to_owned(),
        }
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        for at in [
            place(0, 0, ""),
            place(i64::MAX, 3, "1.5"),
            place(9, 2, "77"),
        ] {
            assert_eq!(Place::parse(&at.cursor().unwrap()), Some(at));
        }
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        let of = |text: &str| PageCursor::try_from(URL_SAFE_NO_PAD.encode(text)).unwrap();
        for bad in [
            of("2 1 2 3 4 5 k"),
            of("1 1 2 3 4 5"),
            of("1 1 2 3 x 5 k"),
            of("1 1 2 3 4 300 1"),
            of("1 1 2 3 4 9 1.1"),
            of("1 1 2 3 4 1 70000.1"),
            of("1 1 2 3 4 2 x"),
            of("1 1 2 3 4 0 1"),
            PageCursor::try_from("p-1".to_owned()).unwrap(),
        ] {
            assert_eq!(Place::parse(&bad), None, "{}", bad.as_str());
        }
    }

    #[test]
    fn each_source_goes_on_from_the_row_that_was_given_last() {
        let at = place(50, Source::Lists as u8, "8");
        let beyond = |number, key| Beyond { number, key };
        // Its rows of that number were all given before.
        assert_eq!(at.beyond(Source::Records), beyond(51, None));
        assert_eq!(at.beyond(Source::Lists), beyond(50, Some("8")));
        // And of these none was.
        assert_eq!(at.beyond(Source::Tombstones), beyond(50, None));
        let begins = place(0, 0, "");
        for source in Source::ALL {
            assert_eq!(begins.beyond(source), beyond(0, None));
        }
    }

    #[test]
    fn a_reader_has_missed_what_it_was_not_given_since_it_began() {
        // It began when all below 12 was settled.
        for (number, source, tombstone, missed) in [
            (0, 0, 11, false),
            (0, 0, 12, true),
            (50, 1, 49, false),
            (50, 1, 50, true),
            (50, 3, 50, false),
            (50, 3, 51, true),
        ] {
            let at = place(number, source, "1.1");
            assert_eq!(
                at.missed(tombstone),
                missed,
                "{number} {source} {tombstone}"
            );
        }
    }

    #[test]
    fn a_key_has_as_many_numbers_as_its_source() {
        assert_eq!(numbers::<2>(Some("1.5")).unwrap(), [1, 5]);
        assert_eq!(numbers::<2>(None).unwrap(), [-1, -1]);
        for bad in ["", "1", "1.2.3", "1.x"] {
            assert!(numbers::<2>(Some(bad)).is_err(), "{bad}");
        }
    }
}
