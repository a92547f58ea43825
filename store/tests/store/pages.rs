//! Pages: newer wins, and the cursor goes with them.

use std::{collections::BTreeMap, sync::Arc};

use domain::{ObjectType, SyncType, WorkspaceId};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use store::{AssociationRow, PageOutcome, QuarantineRow};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::support::{
    Commit as _, Page, World, at, bounded, committed, connect, record, row, run_id,
};

/// When a version of a record was modified, and when the page that brought it was read.
type Version = (i64, i64);

#[test]
fn any_order_and_repetition_of_pages_ends_in_the_newest_state() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(bounded(World::new()));
    let cases = std::cell::Cell::new(100_u128);
    // Pages of (record, modified), each read at some moment; few values, so that they collide.
    let pages = vec((0..6_i64, vec((1..5_i64, 0..6_i64), 1..7)), 1..9);
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&pages, |pages| {
            cases.set(cases.get() + 1);
            let (expected, stored) = runtime.block_on(bounded(commit_all(
                &world,
                WorkspaceId::new(Uuid::from_u128(cases.get())),
                pages,
            )));
            prop_assert_eq!(stored, expected);
            Ok(())
        })
        .unwrap();
}

async fn commit_all(
    world: &World,
    workspace: WorkspaceId,
    pages: Vec<(i64, Vec<(i64, i64)>)>,
) -> (BTreeMap<i64, Version>, BTreeMap<i64, Version>) {
    world
        .store
        .ensure_workspace(workspace, at(0))
        .await
        .unwrap();
    let run = run_id(workspace.as_uuid().as_u128());
    connect(&world.store, workspace, world.portal, run, at(0))
        .await
        .unwrap();
    let world = World {
        store: world.store.clone(),
        url: world.url.clone(),
        raw: world.raw.clone(),
        workspace,
        portal: world.portal,
    };
    let reader = world.reader(SyncType::Contacts, at(0)).await;
    let mut expected: BTreeMap<i64, Version> = BTreeMap::new();
    for (version, (read, records)) in (0..).zip(pages) {
        for &(id, modified) in &records {
            let newest = expected.entry(id).or_insert((modified, read));
            *newest = (*newest).max((modified, read));
        }
        let page = Page {
            read_at: at(read),
            rows: records
                .into_iter()
                .map(|(id, modified)| {
                    row(id, modified, &format!("{{\"v\": [{modified}, {read}]}}"))
                })
                .collect(),
            ..world.page(reader, version)
        };
        let outcome = world.store.commit_page(page, at(0)).await.unwrap();
        assert_eq!(outcome, committed(version + 1));
    }
    let stored = world
        .store
        .objects_after(workspace, world.portal, ObjectType::Contact, None, 100)
        .await
        .unwrap()
        .into_iter()
        .map(|object| {
            let version: Version = serde_json::from_value(object.properties["v"].clone()).unwrap();
            assert_eq!(object.modified_at, at(version.0));
            (object.id.get(), version)
        })
        .collect();
    (expected, stored)
}

#[tokio::test]
async fn a_record_in_the_recycle_bin_comes_back_only_by_something_newer() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Deals, at(0)).await;
        let mut gone = row(1, 20, "{}");
        gone.archived = true;
        for (version, rows, archived) in [
            (0, vec![row(1, 10, "{}")], false),
            (1, vec![gone], true),
            (2, vec![row(1, 19, "{}")], true),
            (3, vec![row(1, 21, "{}")], false),
        ] {
            let page = Page {
                rows,
                ..world.page(reader, version)
            };
            world.store.commit_page(page, at(0)).await.unwrap();
            let stored = world
                .store
                .objects_after(world.workspace, world.portal, ObjectType::Deal, None, 10)
                .await
                .unwrap();
            assert_eq!(stored[0].archived, archived, "after page {version}");
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_writers_with_one_version_exactly_one_commits() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        for version in 0..10 {
            let both = Arc::new(Barrier::new(2));
            let writers: Vec<_> = [1, 2]
                .into_iter()
                .map(|writer| {
                    let id = version * 10 + writer;
                    let page = Page {
                        position: Some(format!("writer-{writer}")),
                        rows: vec![row(id, 1, "{}")],
                        associated_types: vec![ObjectType::Company],
                        associations: vec![AssociationRow {
                            from: record(id),
                            to_type: ObjectType::Company,
                            to: record(id),
                            labels: vec![],
                        }],
                        quarantine: vec![QuarantineRow {
                            key: id.to_string(),
                            reason: domain::QuarantineReason::Malformed,
                            raw: vec![],
                        }],
                        ..world.page(reader, version)
                    };
                    let (store, both) = (world.store.clone(), Arc::clone(&both));
                    tokio::spawn(async move {
                        both.wait().await;
                        (id, writer, store.commit_page(page, at(1)).await.unwrap())
                    })
                })
                .collect();
            let mut won = Vec::new();
            let mut lost = Vec::new();
            for writer in writers {
                match writer.await.unwrap() {
                    (id, writer, PageOutcome::Committed { version: next, .. }) => {
                        assert_eq!(next, version + 1);
                        won.push((id, writer));
                    }
                    (id, _, PageOutcome::LostCursor) => lost.push(id),
                    (_, _, PageOutcome::Fenced | PageOutcome::Shrunk { .. }) => {
                        panic!("nobody raised the fence, and records shrink no listing")
                    }
                }
            }
            assert_eq!((won.len(), lost.len()), (1, 1));
            let (id, writer) = won[0];
            let after = Some(record(version * 10));
            let objects = world
                .store
                .objects_after(
                    world.workspace,
                    world.portal,
                    ObjectType::Contact,
                    after,
                    10,
                )
                .await
                .unwrap();
            assert_eq!(objects.iter().map(|o| o.id.get()).collect::<Vec<_>>(), [id]);
            let cursor = world
                .store
                .cursor(&world.key(reader))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(cursor.position, Some(format!("writer-{writer}")));
            let pages = u64::try_from(version + 1).unwrap();
            assert_eq!((cursor.done, cursor.quarantined), (pages, pages));
        }
        assert_eq!(
            world
                .count("select count(*) from hubspot_association")
                .await,
            10
        );
        assert_eq!(world.count("select count(*) from quarantine").await, 10);
    })
    .await;
}

#[tokio::test]
async fn a_finished_reader_takes_no_more_pages() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let last = Page {
            finished: true,
            position: None,
            ..world.page(reader, 0)
        };
        assert_eq!(
            world.store.commit_page(last, at(1)).await.unwrap(),
            committed(1)
        );
        let more = Page {
            rows: vec![row(1, 1, "{}")],
            ..world.page(reader, 1)
        };
        assert_eq!(
            world.store.commit_page(more, at(2)).await.unwrap(),
            PageOutcome::LostCursor
        );
        assert_eq!(world.count("select count(*) from hubspot_object").await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_newest_of_one_id_in_a_page_is_stored() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Companies, at(0)).await;
        let page = Page {
            rows: vec![row(5, 2, r#""newest""#), row(5, 1, r#""older""#)],
            ..world.page(reader, 0)
        };
        assert_eq!(
            world.store.commit_page(page, at(1)).await.unwrap(),
            committed(1)
        );
        let stored = world
            .store
            .objects_after(world.workspace, world.portal, ObjectType::Company, None, 10)
            .await
            .unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].properties, serde_json::json!("newest"));
    })
    .await;
}

#[tokio::test]
async fn beginning_a_reader_again_says_how_it_stands() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let page = Page {
            rows: vec![row(1, 1, "{}")],
            ..world.page(reader, 0)
        };
        world.store.commit_page(page, at(1)).await.unwrap();
        world
            .begin(
                reader,
                domain::ReadPlan::ModifiedSince { since: at(5) },
                at(5),
            )
            .await;
        let cursor = world
            .store
            .cursor(&world.key(reader))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(cursor.plan, domain::ReadPlan::List);
        assert_eq!((cursor.version, cursor.done), (1, 1));
        assert_eq!(cursor.position.as_deref(), Some("after-0"));
    })
    .await;
}
