//! The feed of changes: one order over all sources, and cursors that skip nothing and end in time.

use std::time::Duration;

use domain::{
    ResyncRequest, SyncType,
    api::{ChangeItem, ChangeKind, ChangeWhat, PageCursor},
    app::Email,
    portal::ListId,
    settings::ListUse,
};
use store::{EraseTarget, FeedPage, FeedRefused, Followed, ListRow, MembershipPage, Rows};

use crate::support::{
    Commit as _, Page, Reader, World, at, bounded, committed, portal, record, row, run_id,
};

pub(crate) async fn commit(world: &World, page: Page) {
    let version = page.expected_version;
    let outcome = world.store.commit_page(page, at(0)).await.unwrap();
    assert_eq!(outcome, committed(version + 1));
}

fn contact(id: i64, modified: i64, email: &str) -> store::MirrorRow {
    let properties = serde_json::json!({ "email": email });
    row(id, modified, &properties.to_string())
}

pub(crate) async fn asked(
    world: &World,
    after: Option<&PageCursor>,
    limit: u32,
) -> Result<FeedPage, FeedRefused> {
    world
        .store
        .feed_after(world.workspace, world.portal, after, limit)
        .await
        .unwrap()
}

/// Items, once there are so many: whatever else the server does may hold them up for a moment.
pub(crate) async fn settled(
    world: &World,
    after: Option<&PageCursor>,
    many: usize,
) -> (Vec<ChangeItem>, PageCursor) {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    loop {
        looks.tick().await;
        let page = asked(world, after, 1_000).await.unwrap();
        if page.items.len() >= many {
            assert!(!page.more);
            return (page.items, page.next);
        }
    }
}

pub(crate) fn item(kind: ChangeKind, id: i64, change: ChangeWhat) -> ChangeItem {
    ChangeItem::new(kind, id.to_string(), change)
}

/// A member of list 9.
pub(crate) fn member(id: i64, change: ChangeWhat, list_use: Option<ListUse>) -> ChangeItem {
    ChangeItem {
        list: Some(ListId::new(9)),
        list_use,
        ..item(ChangeKind::ListMember, id, change)
    }
}

pub(crate) fn list(id: i64, name: &str) -> ListRow {
    ListRow {
        id: record(id),
        name: name.to_owned(),
        object_type_id: "0-1".to_owned(),
        processing_type: "DYNAMIC".to_owned(),
        processing_status: "COMPLETE".to_owned(),
        size: None,
    }
}

fn members(world: &World, reader: Reader, version: i64, of: i64, ids: &[i64]) -> Page {
    world
        .page(reader, version)
        .of(Rows::Members(MembershipPage {
            list: record(of),
            members: ids.iter().map(|m| record(*m)).collect(),
        }))
        .ends()
}

#[tokio::test]
async fn records_lists_and_what_was_erased_come_in_one_order_page_by_page() {
    use ChangeKind::{Contact, Deal, List};
    use ChangeWhat::{Archived, Changed, Erased};
    bounded(async {
        let (world, _) = World::connected().await;
        let contacts = world.reader(SyncType::Contacts, at(0)).await;
        let deals = Reader {
            sync_type: SyncType::Deals,
            ..contacts
        };
        let lists = Reader {
            sync_type: SyncType::Lists,
            ..contacts
        };
        for reader in [deals, lists] {
            world.begin(reader, domain::ReadPlan::List, at(0)).await;
        }
        let rows = vec![
            contact(1, 5, "a@mail.example.org"),
            contact(2, 5, "b@mail.example.org"),
        ];
        commit(
            &world,
            Page {
                rows,
                ..world.page(contacts, 0)
            },
        )
        .await;
        let definitions = Rows::Lists(vec![list(9, "Follow")]);
        commit(&world, world.page(lists, 0).of(definitions)).await;
        let mut gone = row(3, 5, "{}");
        gone.archived = true;
        commit(
            &world,
            Page {
                rows: vec![gone],
                ..world.page(deals, 0)
            },
        )
        .await;
        let target = EraseTarget {
            person: None,
            email: Some(Email::parse("a@mail.example.org").unwrap()),
        };
        world
            .store
            .erase_person(world.workspace, &target, at(1))
            .await
            .unwrap();
        let want = [
            item(Contact, 2, Changed),
            item(List, 9, Changed),
            item(Deal, 3, Archived),
            item(Contact, 1, Erased),
        ];
        let (all, end) = settled(&world, None, 4).await;
        assert_eq!(all, want);
        // The same one by one, each cursor going on where the one before ended.
        let mut after = None;
        let mut one_by_one = Vec::new();
        loop {
            let page = asked(&world, after.as_ref(), 1).await.unwrap();
            one_by_one.extend(page.items);
            after = Some(page.next);
            if !page.more {
                break;
            }
        }
        assert_eq!(one_by_one, want);
        let rest = asked(&world, Some(&end), 10).await.unwrap();
        assert_eq!((rest.items, &rest.next), (Vec::new(), &end));
    })
    .await;
}

#[tokio::test]
async fn a_list_changes_with_its_members_and_not_with_being_read() {
    bounded(async {
        let (world, _) = World::connected().await;
        let first = world.reader(SyncType::Lists, at(0)).await;
        let definitions = |reader, version| {
            world
                .page(reader, version)
                .of(Rows::Lists(vec![list(9, "Follow")]))
        };
        commit(&world, definitions(first, 0)).await;
        let (_, end) = settled(&world, None, 1).await;
        commit(&world, members(&world, first, 1, 9, &[1, 2, 3])).await;
        let first_three = [
            item(ChangeKind::List, 9, ChangeWhat::Changed),
            member(1, ChangeWhat::Added, None),
            member(2, ChangeWhat::Added, None),
            member(3, ChangeWhat::Added, None),
        ];
        let (seen, end) = settled(&world, Some(&end), 4).await;
        assert_eq!(seen, first_three);
        // Read again as it is: by nobody's account a change.
        commit(&world, members(&world, first, 2, 9, &[3, 1, 2])).await;
        world.store.finish_run(first.run, at(2)).await.unwrap();
        world.resync(&ResyncRequest::all(), 2, at(3)).await;
        let second = world.reader(SyncType::Lists, at(4)).await;
        assert_eq!(second.run, run_id(2));
        commit(&world, definitions(second, 0)).await;
        commit(&world, members(&world, second, 1, 9, &[1, 2, 3])).await;
        let marker = contact(1, 5, "a@mail.example.org");
        let contacts = Reader {
            sync_type: SyncType::Contacts,
            ..second
        };
        world.begin(contacts, domain::ReadPlan::List, at(4)).await;
        commit(
            &world,
            Page {
                rows: vec![marker],
                ..world.page(contacts, 0)
            },
        )
        .await;
        let (seen, end) = settled(&world, Some(&end), 1).await;
        assert_eq!(seen, [item(ChangeKind::Contact, 1, ChangeWhat::Changed)]);
        // Somebody left.
        world.store.finish_run(second.run, at(5)).await.unwrap();
        world.resync(&ResyncRequest::all(), 3, at(6)).await;
        let third = world.reader(SyncType::Lists, at(7)).await;
        commit(&world, members(&world, third, 0, 9, &[1, 2])).await;
        let (seen, _) = settled(&world, Some(&end), 2).await;
        let left = [
            item(ChangeKind::List, 9, ChangeWhat::Changed),
            member(3, ChangeWhat::Removed, None),
        ];
        assert_eq!(seen, left);
    })
    .await;
}

#[tokio::test]
async fn a_cursor_that_cannot_be_gone_on_from_is_refused() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let page = |version, id| Page {
            rows: vec![contact(id, 5, &format!("c{id}@mail.example.org"))],
            ..world.page(reader, version)
        };
        commit(&world, page(0, 1)).await;
        let (_, before) = settled(&world, None, 1).await;

        let other = world
            .store
            .feed_after(world.workspace, portal(4712), Some(&before), 10)
            .await
            .unwrap();
        assert_eq!(other.err(), Some(FeedRefused::OtherPortal));
        let made_up = PageCursor::try_from("p-1".to_owned()).unwrap();
        assert_eq!(
            asked(&world, Some(&made_up), 10).await.err(),
            Some(FeedRefused::Malformed)
        );

        // What was erased is told for a while; whoever comes later has to begin anew.
        let target = EraseTarget {
            person: None,
            email: Some(Email::parse("c1@mail.example.org").unwrap()),
        };
        world
            .store
            .erase_person(world.workspace, &target, at(1))
            .await
            .unwrap();
        let (told, after) = settled(&world, Some(&before), 1).await;
        assert_eq!(told, [item(ChangeKind::Contact, 1, ChangeWhat::Erased)]);
        let prune = |age| world.store.prune_tombstones(age, 10);
        assert_eq!(prune(Duration::from_secs(3_600)).await.unwrap(), 0);
        assert_eq!(prune(Duration::ZERO).await.unwrap(), 1);
        assert_eq!(
            asked(&world, Some(&before), 10).await.err(),
            Some(FeedRefused::TooOld)
        );
        assert_eq!(asked(&world, Some(&after), 10).await.unwrap().items, []);
        // Whoever begins now never heard of it, wherever the first page ends.
        commit(&world, page(1, 2)).await;
        commit(&world, page(2, 3)).await;
        settled(&world, None, 2).await;
        let first = asked(&world, None, 1).await.unwrap();
        assert_eq!(
            first.items,
            [item(ChangeKind::Contact, 2, ChangeWhat::Changed)]
        );
        let second = asked(&world, Some(&first.next), 1).await.unwrap();
        assert_eq!(
            second.items,
            [item(ChangeKind::Contact, 3, ChangeWhat::Changed)]
        );

        // A dump, restored into another cluster: its numbers are not those of the cursor.
        sqlx::query("update mirror_origin set cluster = cluster + 1")
            .execute(&world.raw)
            .await
            .unwrap();
        assert_eq!(
            asked(&world, Some(&after), 10).await.err(),
            Some(FeedRefused::OtherDatabase)
        );
        // A state of before the cursor, in the same cluster.
        sqlx::query("update mirror_origin set cluster = cluster - 1, origin = origin - 1000000")
            .execute(&world.raw)
            .await
            .unwrap();
        assert_eq!(
            asked(&world, Some(&after), 10).await.err(),
            Some(FeedRefused::OtherDatabase)
        );
    })
    .await;
}

#[tokio::test]
async fn one_look_tells_who_has_something_to_read() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let followed = |seen, portal| Followed {
            workspace: world.workspace,
            portal,
            seen,
        };
        let empty = asked(&world, None, 10).await.unwrap();
        let idle = followed(empty.seen, world.portal);
        let elsewhere = followed(empty.seen, portal(4712));
        assert_eq!(
            world.store.has_changes(&[idle]).await.unwrap(),
            [0_usize; 0]
        );
        // Written and not yet settled: nothing to read.
        let mut open = world.raw.begin().await.unwrap();
        sqlx::query("select pg_current_xact_id()")
            .execute(&mut *open)
            .await
            .unwrap();
        let rows = vec![contact(1, 5, "a@mail.example.org")];
        commit(
            &world,
            Page {
                rows,
                ..world.page(reader, 0)
            },
        )
        .await;
        assert_eq!(
            world.store.has_changes(&[elsewhere, idle]).await.unwrap(),
            [0_usize; 0]
        );
        open.rollback().await.unwrap();
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        loop {
            looks.tick().await;
            let there = world.store.has_changes(&[elsewhere, idle]).await.unwrap();
            if !there.is_empty() {
                assert_eq!(there, [1]);
                break;
            }
        }
        let page = asked(&world, Some(&empty.next), 10).await.unwrap();
        assert_eq!(page.items.len(), 1);
        let now = followed(page.seen, world.portal);
        assert_eq!(world.store.has_changes(&[now]).await.unwrap(), [0_usize; 0]);
    })
    .await;
}
