//! Ranges: readers of one type, each with a place of its own.

use domain::{
    HubSpotObjectId, IdRange, ObjectType, RangeNo, RangeReader, ReadOutcome, SyncType,
    ranges::SplitAt,
};
use store::{FoundBy, PageOutcome, RangeRow, RangeStep};

use crate::support::{Commit as _, Page, Reader, World, at, bounded, committed, record, row};

fn ids(after: Option<i64>, upto: Option<i64>) -> IdRange {
    IdRange::new(after.map(record), upto.map(record)).unwrap()
}

fn split_at(id: i64) -> SplitAt {
    SplitAt {
        at: record(id),
        lower: 4,
        upper: 6,
    }
}

/// A page of one range, with records of these ids.
fn page(world: &World, reader: Reader, range: &RangeRow, records: &[i64]) -> Page {
    Page {
        range: Some(RangeStep {
            no: range.no,
            seen: records.len() as u64,
            next_reader: None,
        }),
        rows: records.iter().map(|id| row(*id, 1, "{}")).collect(),
        position: records.last().map(ToString::to_string),
        ..world.page(reader, range.version)
    }
}

async fn ranges(world: &World, reader: Reader) -> Vec<RangeRow> {
    world.store.ranges(&world.key(reader)).await.unwrap()
}

#[tokio::test]
async fn a_type_begins_with_one_open_range_where_its_cursor_stands() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        // A page of a program that knew no ranges.
        let old = Page {
            rows: vec![row(1, 1, "{}")],
            ..world.page(reader, 0)
        };
        assert_eq!(
            world.store.commit_page(old, at(1)).await.unwrap(),
            committed(1)
        );
        for _ in 0..2 {
            let all = world.store.begin_ranges(&world.key(reader)).await.unwrap();
            assert_eq!(all.len(), 1);
            assert_eq!((all[0].no, all[0].ids), (RangeNo::FIRST, IdRange::WHOLE));
            assert_eq!(all[0].reader, RangeReader::List);
            assert_eq!(all[0].position.as_deref(), Some("after-0"));
        }
    })
    .await;
}

#[tokio::test]
async fn readers_of_two_ranges_do_not_disturb_each_other_and_their_sum_shows() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let first = world
            .store
            .begin_ranges(&world.key(reader))
            .await
            .unwrap()
            .remove(0);
        let (lower, upper) = world
            .store
            .split_range(&world.key(reader), &first, split_at(10), RangeReader::List)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(lower.ids, ids(None, Some(10)));
        assert_eq!(upper.ids, ids(Some(10), None));
        assert_eq!((lower.left(), upper.left()), (Some(4), Some(6)));

        let below = page(&world, reader, &lower, &[1, 2]);
        let above = page(&world, reader, &upper, &[11, 12, 13]);
        let (below, above) = tokio::join!(
            world.store.commit_page(below, at(1)),
            world.store.commit_page(above, at(2))
        );
        assert_eq!(
            (below.unwrap(), above.unwrap()),
            (committed(2), committed(1))
        );
        let cursor = world
            .store
            .cursor(&world.key(reader))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((cursor.done, cursor.outcome), (5, ReadOutcome::Reading));
        let status = world.status().await;
        assert_eq!(status.types[0].progress.done, 5);
        let last_commit_at = status.types[0].last_commit_at.unwrap();
        assert!(status.types[0].began_at <= last_commit_at && last_commit_at <= status.now);

        // The page of an attempt that is late changes nothing.
        let late = page(&world, reader, &upper, &[99]);
        assert_eq!(
            world.store.commit_page(late, at(3)).await.unwrap(),
            PageOutcome::LostCursor
        );
        let now = ranges(&world, reader).await;
        assert_eq!(now[1].position.as_deref(), Some("13"));
        assert_eq!((now[1].seen, now[1].left()), (3, Some(3)));

        // The type is read when all of its ranges are.
        let finish = |range: &RangeRow| Page {
            finished: true,
            position: None,
            ..page(&world, reader, range, &[])
        };
        world
            .store
            .commit_page(finish(&now[0]), at(4))
            .await
            .unwrap();
        let key = world.key(reader);
        assert!(!world.store.finish_ranges(&key).await.unwrap());
        world
            .store
            .commit_page(finish(&now[1]), at(4))
            .await
            .unwrap();
        assert!(world.store.finish_ranges(&key).await.unwrap());
        assert!(world.status().await.types[0].progress.finished);
    })
    .await;
}

#[tokio::test]
async fn a_split_needs_the_range_as_it_is_and_something_on_both_sides() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Deals, at(0)).await;
        let first = world
            .store
            .begin_ranges(&world.key(reader))
            .await
            .unwrap()
            .remove(0);
        let split = |range: RangeRow, id: i64| {
            let (store, key) = (world.store.clone(), world.key(reader));
            async move {
                store
                    .split_range(&key, &range, split_at(id), RangeReader::List)
                    .await
                    .unwrap()
            }
        };
        let (lower, upper) = split(first.clone(), 100).await.unwrap();
        // As it was before.
        assert_eq!(split(first, 50).await, None);
        // Outside of its ids.
        assert_eq!(split(lower.clone(), 100).await, None);
        assert_eq!(split(upper.clone(), 100).await, None);
        let (lowest, middle) = split(lower, 50).await.unwrap();
        assert_eq!(lowest.ids, ids(None, Some(50)));
        assert_eq!(middle.ids, ids(Some(50), Some(100)));
        let numbers: Vec<_> = ranges(&world, reader)
            .await
            .iter()
            .map(|r| r.no.get())
            .collect();
        assert_eq!(numbers, [0, 1, 2]);
    })
    .await;
}

#[tokio::test]
async fn what_search_has_read_is_listed_again_from_its_beginning() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let first = world
            .store
            .begin_ranges(&world.key(reader))
            .await
            .unwrap()
            .remove(0);
        let searched = world
            .store
            .turn_range(&world.key(reader), &first, RangeReader::Search)
            .await
            .unwrap()
            .unwrap();
        // A range that was begun stays with its reader.
        let stale = world
            .store
            .turn_range(&world.key(reader), &first, RangeReader::List)
            .await
            .unwrap();
        assert_eq!(stale, None);
        let last = Page {
            finished: true,
            position: None,
            range: Some(RangeStep {
                no: searched.no,
                seen: 2,
                next_reader: searched.reader.next(),
            }),
            ..page(&world, reader, &searched, &[1, 3])
        };
        world.store.commit_page(last, at(1)).await.unwrap();
        let now = ranges(&world, reader).await.remove(0);
        assert_eq!(now.reader, RangeReader::Relist);
        assert_eq!((now.position, now.finished), (None, false));
        assert_eq!((now.seen, now.expected), (0, Some(2)));
    })
    .await;
}

#[tokio::test]
async fn unread_is_what_is_missing_older_or_of_an_earlier_run() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        // Read at second 1, as version 0 of the cursor is; modified at the second given. What search
        // brings of a range is marked as read, though it is stored as it is.
        let old = Page {
            rows: vec![row(1, 10, "{}"), row(2, 10, "{}"), row(3, 10, "{}")],
            ..world.page(reader, 0)
        };
        world.store.commit_page(old, at(1)).await.unwrap();
        world.store.begin_ranges(&world.key(reader)).await.unwrap();
        let again = Page {
            rows: vec![row(1, 10, "{}"), row(2, 10, "{}")],
            read_at: at(60),
            found_by: FoundBy::Search,
            range: Some(RangeStep {
                no: RangeNo::new(0),
                seen: 2,
                next_reader: None,
            }),
            ..world.page(reader, 0)
        };
        world.store.commit_page(again, at(60)).await.unwrap();
        let listed: Vec<(HubSpotObjectId, _)> = [(1, 10), (2, 11), (3, 10), (4, 10)]
            .into_iter()
            .map(|(id, modified)| (record(id), at(modified)))
            .collect();
        let unread = world
            .store
            .unread(
                world.workspace,
                world.portal,
                ObjectType::Contact,
                &listed,
                at(50),
            )
            .await
            .unwrap();
        // 2 was modified since, 3 was read by an earlier run only, 4 is not there.
        assert_eq!(unread, [record(2), record(3), record(4)]);
    })
    .await;
}

#[tokio::test]
async fn whoever_walks_alone_begins_again_with_all_ids() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Companies, at(0)).await;
        let first = world
            .store
            .begin_ranges(&world.key(reader))
            .await
            .unwrap()
            .remove(0);
        world
            .store
            .split_range(&world.key(reader), &first, split_at(10), RangeReader::List)
            .await
            .unwrap()
            .unwrap();
        world.store.read_alone(&world.key(reader)).await.unwrap();
        let cursor = world
            .store
            .cursor(&world.key(reader))
            .await
            .unwrap()
            .unwrap();
        assert!(cursor.alone);
        let all = world.store.begin_ranges(&world.key(reader)).await.unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].ids, &all[0].position), (IdRange::WHOLE, &None));
    })
    .await;
}
