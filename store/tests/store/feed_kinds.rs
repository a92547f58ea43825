//! What the feed tells of beside records and lists: people and companies of the app, verdicts, members of
//! lists, and what records were merged into. Each source in the one order, at the cost of a page.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use domain::{
    PortalId, SyncType, WorkspaceId,
    api::{ChangeItem, ChangeKind, ChangeWhat, PageCursor},
    app::Email,
    settings::ListUse,
};
use serde_json::json;
use sqlx::PgConnection;
use store::{EraseTarget, FeedRefused, Followed, MembershipPage, ProjectionDue, Rows};

use crate::{
    feed::{asked, item, list, member},
    support::{Page, World, at, bounded, record},
    verdicts::Portal,
};

fn of_the_app(kind: ChangeKind, id: &str, change: ChangeWhat) -> ChangeItem {
    ChangeItem::new(kind, id.to_owned(), change)
}

fn merged(kind: ChangeKind, id: &str, into: &str) -> ChangeItem {
    ChangeItem {
        into: Some(into.to_owned()),
        ..of_the_app(kind, id, ChangeWhat::Merged)
    }
}

/// Everything beyond a cursor, in pages of a size.
async fn beyond(
    world: &World,
    after: Option<&PageCursor>,
    limit: u32,
) -> (Vec<ChangeItem>, PageCursor) {
    let mut items = Vec::new();
    let mut after = after.cloned();
    loop {
        let page = asked(world, after.as_ref(), limit).await.unwrap();
        items.extend(page.items);
        if !page.more {
            return (items, page.next);
        }
        after = Some(page.next);
    }
}

/// Links, profiles and verdicts follow what is settled by now.
async fn follow(p: &Portal) {
    let store = &p.world.store;
    let due = ProjectionDue {
        workspace: p.world.workspace,
        portal: p.world.portal,
    };
    let (basis, mark) = store
        .projection_basis(due.workspace, due.portal)
        .await
        .unwrap();
    while !store
        .project_profiles(due, &basis, &mark)
        .await
        .unwrap()
        .done
    {}
    p.settle().await;
}

/// Follows until all of these are told beyond the cursor: whatever else the server does may hold them up.
/// Says where a reader is then.
async fn told(p: &Portal, after: Option<&PageCursor>, want: &[ChangeItem]) -> PageCursor {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut seen = BTreeSet::new();
    let mut after = after.cloned();
    loop {
        follow(p).await;
        let (items, next) = beyond(&p.world, after.as_ref(), 3).await;
        seen.extend(items);
        after = Some(next.clone());
        if want.iter().all(|item| seen.contains(item)) {
            return next;
        }
        assert!(Instant::now() < deadline, "{want:#?} of {seen:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A whole reading of the members of list 9.
async fn read_members(p: &mut Portal, ids: &[i64]) {
    let members = Rows::Members(MembershipPage {
        list: record(9),
        members: ids.iter().map(|id| record(*id)).collect(),
    });
    p.commit(SyncType::Lists, |page| page.of(members).ends())
        .await;
}

#[tokio::test]
async fn each_kind_is_told_when_it_comes_about_and_when_it_goes() {
    use ChangeKind::{Contact, List, Person, Verdict};
    use ChangeWhat::{Added, Changed, Erased, Removed};
    bounded(async {
        let mut p = Portal::new().await;
        p.contact(1, 0, json!({"email": "a@x.example"}), &[]).await;
        p.contact(2, 0, json!({"email": "b@x.example"}), &[]).await;
        p.finish().await;
        p.people(&[("lead.1", "a@x.example")]).await;
        let imported = "hubspot.4711.2";
        let first = [
            item(Contact, 1, Changed),
            item(Contact, 2, Changed),
            of_the_app(Person, "lead.1", Changed),
            of_the_app(Person, imported, Changed),
            of_the_app(Verdict, "lead.1", Changed),
            of_the_app(Verdict, imported, Changed),
        ];
        let after = told(&p, None, &first).await;
        let (all, _) = beyond(&p.world, None, 1).await;
        let once: BTreeSet<_> = all.iter().cloned().collect();
        assert_eq!((once, all.len()), (BTreeSet::from(first), 6));

        // Two become one, in HubSpot and here.
        p.again().await;
        let living = json!({"email": "a@x.example", "hs_merged_object_ids": "2"});
        p.contact(1, 10, living, &[]).await;
        let merges = [
            item(Contact, 1, Changed),
            merged(Contact, "2", "1"),
            merged(Person, imported, "lead.1"),
        ];
        let after = told(&p, Some(&after), &merges).await;
        let (all, _) = beyond(&p.world, None, 100).await;
        assert!(
            !all.contains(&of_the_app(Verdict, imported, Changed)),
            "a verdict on nobody: {all:?}"
        );

        // On a list, which then keeps people out, and off it again.
        p.commit(SyncType::Lists, |page| {
            page.of(Rows::Lists(vec![list(9, "Follow")]))
        })
        .await;
        read_members(&mut p, &[1, 3]).await;
        p.finish().await;
        let no_use = [
            item(List, 9, Changed),
            member(1, Added, None),
            member(3, Added, None),
        ];
        let after = told(&p, Some(&after), &no_use).await;
        p.suppress(9, 0).await;
        let kept_out = [
            item(List, 9, Changed),
            of_the_app(Verdict, "lead.1", Changed),
        ];
        let after = told(&p, Some(&after), &kept_out).await;
        p.again().await;
        read_members(&mut p, &[3]).await;
        p.finish().await;
        let left = [
            item(List, 9, Changed),
            member(1, Removed, Some(ListUse::Suppression)),
            of_the_app(Verdict, "lead.1", Changed),
        ];
        let after = told(&p, Some(&after), &left).await;

        let target = EraseTarget {
            person: None,
            email: Some(Email::parse("a@x.example").unwrap()),
        };
        p.world
            .store
            .erase_person(p.world.workspace, &target, at(9))
            .await
            .unwrap();
        let erased = [
            item(Contact, 1, Erased),
            item(Contact, 2, Erased),
            of_the_app(Person, "lead.1", Erased),
            of_the_app(Person, imported, Erased),
        ];
        let end = told(&p, Some(&after), &erased).await;
        // Nothing else is left of them, and whoever begins hears no more than that.
        let (all, _) = beyond(&p.world, None, 1).await;
        let all: BTreeSet<_> = all.into_iter().collect();
        let stays = [
            item(List, 9, Changed),
            member(3, Added, Some(ListUse::Suppression)),
        ];
        assert_eq!(all, erased.into_iter().chain(stays).collect());

        // Whoever comes after the tombstones has to begin anew.
        let pruned = p.world.store.prune_tombstones(Duration::ZERO, 100).await;
        assert_eq!(pruned.unwrap(), 4);
        assert_eq!(
            asked(&p.world, Some(&after), 10).await.err(),
            Some(FeedRefused::TooOld)
        );
        assert!(asked(&p.world, Some(&end), 10).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_contact_that_hubspot_forgot_is_to_be_forgotten() {
    bounded(async {
        let mut p = Portal::new().await;
        p.contact(1, 0, json!({"email": "a@x.example"}), &[]).await;
        p.finish().await;
        let imported = of_the_app(ChangeKind::Person, "hubspot.4711.1", ChangeWhat::Changed);
        let mut after = told(&p, None, &[imported]).await;
        for want in [
            vec![item(ChangeKind::Contact, 1, ChangeWhat::Archived)],
            vec![
                item(ChangeKind::Contact, 1, ChangeWhat::Erased),
                of_the_app(ChangeKind::Person, "hubspot.4711.1", ChangeWhat::Erased),
            ],
        ] {
            p.again().await;
            p.commit(SyncType::Contacts, |page| Page {
                missing: BTreeSet::from([record(1)]),
                ..page
            })
            .await;
            after = told(&p, Some(&after), &want).await;
        }
    })
    .await;
}

/// A row of each of the sources that have tables of their own, all about one number.
async fn insert(tx: &mut PgConnection, workspace: WorkspaceId, portal: PortalId, id: i64) {
    for sql in [
        "insert into hubspot_object (workspace_id, portal_id, object_type, object_id, properties, modified_at, read_at)
         values ($1, $2, 1, $3, '{}', now(), now())",
        "insert into profile (workspace_id, portal_id, object_type, app_id, hash)
         values ($1, $2, 1 + $3 % 2, $3::text, '')",
        "insert into dnc_verdict (workspace_id, portal_id, person_id, allowed, reasons, stale)
         values ($1, $2, $3::text, true, '[]', false)",
        "insert into hubspot_list_member (workspace_id, portal_id, list_id, object_id)
         values ($1, $2, $3 % 3, $3)",
    ] {
        sqlx::query(sql)
            .bind(workspace.as_uuid())
            .bind(portal.get())
            .bind(id)
            .execute(&mut *tx)
            .await
            .unwrap();
    }
}

/// Writers that begin and end in whatever order, while one follows in small pages: each thing is told,
/// and never twice for one change.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_follower_gets_each_change_once_whoever_commits_when() {
    const WRITERS: i64 = 6;
    const EACH: i64 = 12;
    const SOURCES: usize = 4;
    bounded(async {
        let (world, _) = World::connected().await;
        let world = std::sync::Arc::new(world);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let world = std::sync::Arc::clone(&world);
                tokio::spawn(async move {
                    for n in 0..EACH {
                        let mut tx = world.raw.begin().await.unwrap();
                        let id = 1 + writer * EACH + n;
                        insert(&mut tx, world.workspace, world.portal, id).await;
                        let millis = u64::try_from((writer * 7 + n * 13) % 23).unwrap();
                        tokio::time::sleep(Duration::from_millis(millis)).await;
                        tx.commit().await.unwrap();
                    }
                })
            })
            .collect();
        let many = usize::try_from(WRITERS * EACH).unwrap() * SOURCES;
        let mut after: Option<PageCursor> = None;
        let mut seen: Vec<ChangeItem> = Vec::new();
        // One by one is the hardest: each page ends within a number and within a source.
        for limit in [1, 7].into_iter().cycle() {
            let over = writers.iter().all(tokio::task::JoinHandle::is_finished);
            let page = asked(&world, after.as_ref(), limit).await.unwrap();
            if over && seen.len() >= many && page.items.is_empty() {
                break;
            }
            seen.extend(page.items);
            after = Some(page.next);
        }
        let once: BTreeSet<ChangeItem> = seen.iter().cloned().collect();
        assert_eq!((once.len(), seen.len()), (many, many));
    })
    .await;
}

/// Rows of the tables behind the sources that statements have looked at.
async fn looked_at(world: &World) -> i64 {
    world
        .count(
            "select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint
             from pg_stat_user_tables where relname ~ '^(hubspot_object|profile|dnc_verdict|hubspot_list_member)(_[0-9]+)?$'",
        )
        .await
}

/// However large the tables are, and though nobody has gathered statistics, a page costs a page, and a
/// look for whoever waits costs next to nothing.
#[tokio::test]
async fn a_page_costs_a_page_however_much_there_is() {
    const ROWS: i64 = 30_000;
    const PAGES: i64 = 40;
    bounded(async {
        let (world, _) = World::connected().await;
        let (workspace, portal) = (world.workspace, world.portal);
        for sql in [
            "insert into hubspot_object (workspace_id, portal_id, object_type, object_id, properties, modified_at, read_at)
             select $1, $2, 1, n, '{}', now(), now() from generate_series(1, $3) as n",
            "insert into profile (workspace_id, portal_id, object_type, app_id, hash, gone)
             select $1, $2, 1, 'p' || n, '', n % 2 = 0 from generate_series(1, $3) as n",
            "insert into dnc_verdict (workspace_id, portal_id, person_id, allowed, reasons, stale)
             select $1, $2, 'p' || n, true, '[]', false from generate_series(1, $3) as n",
            "insert into hubspot_list_member (workspace_id, portal_id, list_id, object_id)
             select $1, $2, 9, n from generate_series(1, $3) as n",
        ] {
            sqlx::query(sql)
                .bind(workspace.as_uuid())
                .bind(portal.get())
                .bind(ROWS)
                .execute(&world.raw)
                .await
                .unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        while asked(&world, None, 1).await.unwrap().items.is_empty() {
            assert!(Instant::now() < deadline, "nothing is settled");
        }
        let before = looked_at(&world).await;
        let mut after = None;
        for n in 0..PAGES {
            let page = asked(&world, after.as_ref(), 500).await.unwrap();
            assert_eq!(page.items.len(), 500, "{n}");
            let waiting = Followed {
                workspace,
                portal,
                seen: page.seen,
            };
            world.store.has_changes(&[waiting]).await.unwrap();
            after = Some(page.next);
        }
        // Counts come with a delay: until the rows that were given are among them.
        loop {
            let looked = looked_at(&world).await - before;
            if looked >= PAGES * 500 {
                let most = PAGES * 4 * 600;
                assert!(looked <= most, "{looked} rows for {PAGES} pages");
                break;
            }
            assert!(Instant::now() < deadline, "only {looked} rows are counted");
            asked(&world, after.as_ref(), 1).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}
