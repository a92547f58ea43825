//! Lists and who is on them.

use domain::{ResyncRequest, SyncType};
use store::{ListRow, Listing, MembershipPage, PageOutcome, Rows};

use crate::support::{Commit as _, Page, Reader, World, at, bounded, committed, record, run_id};

fn list(id: i64, name: &str, status: &str) -> ListRow {
    ListRow {
        id: record(id),
        name: name.to_owned(),
        object_type_id: "0-1".to_owned(),
        processing_type: "DYNAMIC".to_owned(),
        processing_status: status.to_owned(),
        size: None,
    }
}

/// A page of members, read so many seconds after the beginning.
fn page(world: &World, reader: Reader, version: i64, of: i64, members: &[i64]) -> Page {
    Page {
        read_at: at(100 * i64::from(u32::from(reader.run != run_id(1))) + version + 1),
        ..world.page(reader, version)
    }
    .of(Rows::Members(MembershipPage {
        list: record(of),
        members: members.iter().map(|m| record(*m)).collect(),
    }))
}

async fn read_members(
    world: &World,
    reader: Reader,
    version: i64,
    of: i64,
    members: &[i64],
    last: bool,
) {
    let page = page(world, reader, version, of, members);
    let page = if last { page.ends() } else { page };
    let outcome = world.store.commit_page(page, at(1)).await.unwrap();
    assert_eq!(outcome, committed(version + 1));
}

async fn members(world: &World, of: i64) -> Vec<i64> {
    world
        .store
        .list_members(world.workspace, world.portal, record(of))
        .await
        .unwrap()
        .iter()
        .map(|m| m.get())
        .collect()
}

#[tokio::test]
async fn members_that_the_last_full_read_did_not_see_are_removed() {
    bounded(async {
        let (world, _) = World::connected().await;
        let first = world.reader(SyncType::Lists, at(0)).await;
        read_members(&world, first, 0, 1, &[10, 11, 11], false).await;
        read_members(&world, first, 1, 1, &[12], true).await;
        read_members(&world, first, 2, 2, &[10, 11], true).await;
        assert_eq!(members(&world, 1).await, [10, 11, 12]);
        world.store.finish_run(first.run, at(2)).await.unwrap();

        world.resync(&ResyncRequest::all(), 2, at(3)).await;
        let second = world.reader(SyncType::Lists, at(4)).await;
        read_members(&world, second, 0, 1, &[11], false).await;
        // There may be more to come.
        assert_eq!(members(&world, 1).await, [10, 11, 12]);
        read_members(&world, second, 1, 1, &[13], true).await;
        assert_eq!(members(&world, 1).await, [11, 13]);
        assert_eq!(members(&world, 2).await, [10, 11]);
    })
    .await;
}

#[tokio::test]
async fn a_list_that_comes_empty_is_read_again_before_its_members_go() {
    bounded(async {
        let (world, _) = World::connected().await;
        let store = &world.store;
        let first = world.reader(SyncType::Lists, at(0)).await;
        read_members(&world, first, 0, 1, &[10, 11, 12, 13], true).await;
        read_members(&world, first, 1, 2, &[10, 11, 12, 13], true).await;
        store.finish_run(first.run, at(2)).await.unwrap();
        world.resync(&ResyncRequest::all(), 2, at(3)).await;
        let second = world.reader(SyncType::Lists, at(4)).await;

        // Empty, though nobody said so: nothing is removed, and the cursor stays.
        let shrunk = |known, brought, said| PageOutcome::Shrunk {
            known,
            brought,
            said,
        };
        let empty = page(&world, second, 0, 1, &[]).ends();
        let outcome = store.commit_page(empty.clone(), at(5)).await.unwrap();
        assert_eq!(outcome, shrunk(4, 0, None));
        assert_eq!(members(&world, 1).await, [10, 11, 12, 13]);
        // Far fewer, likewise. What the second reading brings counts together with the first.
        let outcome = store
            .commit_page(page(&world, second, 0, 1, &[10]).ends(), at(5))
            .await
            .unwrap();
        assert_eq!(outcome, shrunk(4, 1, None));
        let again = Page {
            listing: Listing::EndsAgain { said: None },
            ..page(&world, second, 0, 1, &[11])
        };
        assert_eq!(store.commit_page(again, at(5)).await.unwrap(), committed(1));
        assert_eq!(members(&world, 1).await, [11]);

        // HubSpot's own size of the list contradicts: however often it comes empty, nobody goes.
        let sized = ListRow {
            size: Some(4),
            ..list(2, "Do not contact", "COMPLETE")
        };
        let definitions = Page {
            read_at: at(150),
            ..world.page(second, 1)
        };
        store
            .commit_page(definitions.of(Rows::Lists(vec![sized])), at(5))
            .await
            .unwrap();
        for listing in [
            Listing::Ends { said: None },
            Listing::EndsAgain { said: None },
        ] {
            let empty = Page {
                listing,
                ..page(&world, second, 2, 2, &[])
            };
            let outcome = store.commit_page(empty, at(5)).await.unwrap();
            assert_eq!(outcome, shrunk(4, 0, Some(4)));
        }
        assert_eq!(members(&world, 2).await, [10, 11, 12, 13]);
    })
    .await;
}

#[tokio::test]
async fn a_list_that_a_whole_listing_did_not_bring_is_gone_and_its_members_stay() {
    bounded(async {
        let (world, _) = World::connected().await;
        let store = &world.store;
        let first = world.reader(SyncType::Lists, at(0)).await;
        let three =
            ["a", "b", "c"].map(|name| list(i64::from(name.as_bytes()[0]), name, "COMPLETE"));
        let page_of = |reader, version, lists: &[ListRow]| {
            world.page(reader, version).of(Rows::Lists(lists.to_vec()))
        };
        store
            .commit_page(page_of(first, 0, &three).ends(), at(1))
            .await
            .unwrap();
        read_members(&world, first, 1, 99, &[10], true).await;
        store.finish_run(first.run, at(2)).await.unwrap();
        world.resync(&ResyncRequest::all(), 2, at(10)).await;
        let second = world.reader(SyncType::Lists, at(10)).await;
        let later = |page: Page| Page {
            read_at: at(11),
            ..page
        };
        let outcome = store
            .commit_page(later(page_of(second, 0, &[])).ends(), at(11))
            .await
            .unwrap();
        assert_eq!(
            outcome,
            PageOutcome::Shrunk {
                known: 3,
                brought: 0,
                said: None
            }
        );
        let outcome = store
            .commit_page(later(page_of(second, 0, &three[..2])).ends(), at(11))
            .await
            .unwrap();
        assert_eq!(outcome, committed(1));
        let known = store.lists(world.workspace, world.portal).await.unwrap();
        assert_eq!(known, three[..2]);
        assert_eq!(members(&world, 99).await, [10]);
    })
    .await;
}

#[tokio::test]
async fn members_are_read_list_by_list_unless_hubspot_still_computes_them() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Lists, at(0)).await;
        let lists = [
            list(1, "Leads", "COMPLETE"),
            list(2, "Growing", "PROCESSING"),
            list(3, "Partners", "PAUSED"),
        ];
        let outcome = world
            .store
            .commit_page(world.page(reader, 0).of(Rows::Lists(lists.to_vec())), at(1))
            .await
            .unwrap();
        assert_eq!(outcome, committed(1));
        assert_eq!(
            world
                .store
                .lists(world.workspace, world.portal)
                .await
                .unwrap(),
            lists
        );
        let mut after = None;
        let mut order = Vec::new();
        while let Some(next) = world
            .store
            .next_list(world.workspace, world.portal, reader.run, after)
            .await
            .unwrap()
        {
            order.push(next.get());
            after = Some(next);
        }
        assert_eq!(order, [1, 3]);
        let cursor = world
            .store
            .cursor(&world.key(reader))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(cursor.done, 3);
    })
    .await;
}

#[tokio::test]
async fn a_list_that_this_run_has_not_seen_is_not_read() {
    bounded(async {
        let (world, _) = World::connected().await;
        let first = world.reader(SyncType::Lists, at(0)).await;
        let both = [list(1, "Leads", "COMPLETE"), list(2, "Gone", "COMPLETE")];
        world
            .store
            .commit_page(world.page(first, 0).of(Rows::Lists(both.to_vec())), at(1))
            .await
            .unwrap();
        world.store.finish_run(first.run, at(2)).await.unwrap();
        world.resync(&ResyncRequest::all(), 2, at(100)).await;
        let second = world.reader(SyncType::Lists, at(100)).await;
        let page = Page {
            read_at: at(101),
            ..world.page(second, 0)
        };
        let renamed = list(1, "Hot leads", "COMPLETE");
        world
            .store
            .commit_page(page.of(Rows::Lists(vec![renamed.clone()])), at(101))
            .await
            .unwrap();
        let (workspace, portal) = (world.workspace, world.portal);
        let next = world
            .store
            .next_list(workspace, portal, second.run, None)
            .await
            .unwrap();
        assert_eq!(next, Some(record(1)));
        let beyond = world
            .store
            .next_list(workspace, portal, second.run, next)
            .await
            .unwrap();
        assert_eq!(beyond, None);
        let lists = world.store.lists(workspace, portal).await.unwrap();
        assert_eq!(lists[0], renamed);
    })
    .await;
}

#[tokio::test]
async fn who_came_and_left_is_counted_for_the_day_and_the_first_reading_is_no_change() {
    bounded(async {
        let (world, _) = World::connected().await;
        let store = &world.store;
        let both = [list(1, "Leads", "COMPLETE"), list(2, "Still", "COMPLETE")];
        let reader = world.reader(SyncType::Lists, at(0)).await;
        let definitions = world.page(reader, 0).of(Rows::Lists(both.to_vec()));
        store.commit_page(definitions, at(1)).await.unwrap();
        let last = async || {
            let lists = store.lists_after(world.workspace, world.portal, None, 10);
            let lists = lists.await.unwrap();
            let of = |n: usize| lists[n].last_change.map(|c| (c.joined, c.left));
            (of(0), of(1))
        };
        read_members(&world, reader, 1, 1, &[10, 11], false).await;
        read_members(&world, reader, 2, 1, &[12], true).await;
        read_members(&world, reader, 3, 2, &[10], true).await;
        assert_eq!(last().await, (None, None));
        store.finish_run(reader.run, at(2)).await.unwrap();

        for (run, began, members, change) in [
            (2, 200, vec![11, 12, 13, 14], (2, 1)),
            // The same again is no change, and later ones of the day come on top.
            (3, 300, vec![11, 12, 13, 14], (2, 1)),
            (4, 400, vec![10, 11, 12, 13], (3, 2)),
        ] {
            world.resync(&ResyncRequest::all(), run, at(began)).await;
            let reader = world.reader(SyncType::Lists, at(began)).await;
            read_members(&world, reader, 0, 1, &members, true).await;
            read_members(&world, reader, 1, 2, &[10], true).await;
            assert_eq!(last().await, (Some(change), None), "{run}");
            store.finish_run(reader.run, at(began + 2)).await.unwrap();
        }

        // Another day counts anew.
        sqlx::query(
            "update hubspot_list set members_changed_at = members_changed_at - interval '1 day'",
        )
        .execute(&world.raw)
        .await
        .unwrap();
        world.resync(&ResyncRequest::all(), 5, at(500)).await;
        let reader = world.reader(SyncType::Lists, at(500)).await;
        read_members(&world, reader, 0, 1, &[10, 11, 12], true).await;
        assert_eq!(last().await, (Some((0, 1)), None));
    })
    .await;
}
