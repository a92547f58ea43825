//! Lists and who is on them.

use domain::{ResyncRequest, SyncType};
use store::{ListRow, MembershipPage, Rows};

use crate::support::{Commit as _, Page, Reader, World, at, bounded, committed, record};

fn list(id: i64, name: &str, status: &str) -> ListRow {
    ListRow {
        id: record(id),
        name: name.to_owned(),
        object_type_id: "0-1".to_owned(),
        processing_type: "DYNAMIC".to_owned(),
        processing_status: status.to_owned(),
    }
}

async fn read_members(
    world: &World,
    reader: Reader,
    version: i64,
    of: i64,
    members: &[i64],
    last: bool,
) {
    let membership = MembershipPage {
        list: record(of),
        members: members.iter().map(|m| record(*m)).collect(),
        last,
    };
    let outcome = world
        .store
        .commit_page(
            world.page(reader, version).of(Rows::Members(membership)),
            at(1),
        )
        .await
        .unwrap();
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
        read_members(&world, second, 2, 2, &[], true).await;
        assert_eq!(members(&world, 2).await, [0_i64; 0]);
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
