//! Owners, property definitions and pipelines are read whole.

use domain::{HubSpotOwnerId, ObjectType, SyncType};
use store::{Listing, OwnerRow, PageOutcome, PipelineRow, PropertyRow, Rows};

use crate::support::{Commit as _, Page, World, at, bounded, committed};

fn owner(id: i64, first_name: &str, archived: bool) -> OwnerRow {
    OwnerRow {
        id: HubSpotOwnerId::new(id).unwrap(),
        user_id: Some(id + 1000),
        email: None,
        first_name: Some(first_name.to_owned()),
        last_name: None,
        archived,
    }
}

#[tokio::test]
async fn owners_change_when_read_later_and_the_active_one_wins_within_a_page() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Owners, at(0)).await;
        let store = &world.store;
        let first = [
            owner(1, "gone", true),
            owner(1, "here", false),
            owner(2, "b", false),
        ];
        let outcome = store
            .commit_page(
                world.page(reader, 0).of(Rows::Owners(first.to_vec())),
                at(1),
            )
            .await
            .unwrap();
        assert_eq!(outcome, committed(1));
        let stale = Page {
            read_at: at(-60),
            ..world.page(reader, 1)
        };
        store
            .commit_page(stale.of(Rows::Owners(vec![owner(2, "stale", true)])), at(1))
            .await
            .unwrap();
        store
            .commit_page(
                world
                    .page(reader, 2)
                    .of(Rows::Owners(vec![owner(3, "c", true)])),
                at(1),
            )
            .await
            .unwrap();
        assert_eq!(
            store.owners(world.workspace, world.portal).await.unwrap(),
            [
                owner(1, "here", false),
                owner(2, "b", false),
                owner(3, "c", true)
            ]
        );
        let lost = store
            .commit_page(
                world
                    .page(reader, 2)
                    .of(Rows::Owners(vec![owner(4, "d", false)])),
                at(1),
            )
            .await
            .unwrap();
        assert_eq!(lost, PageOutcome::LostCursor);
        assert_eq!(world.count("select count(*) from hubspot_owner").await, 3);
    })
    .await;
}

#[tokio::test]
async fn definitions_that_are_gone_vanish_from_their_type_only() {
    bounded(async {
        let (world, _) = World::connected().await;
        let properties = world.reader(SyncType::Properties, at(0)).await;
        let store = &world.store;
        let property = |object_type, name: &str, definition: &str| PropertyRow {
            object_type,
            name: name.to_owned(),
            definition: definition.to_owned(),
        };
        for (version, object_type, rows) in [
            (0, ObjectType::Contact, vec!["phone", "email"]),
            (1, ObjectType::Deal, vec!["amount"]),
            (2, ObjectType::Contact, vec!["email", "email"]),
        ] {
            let definition = format!("{version}");
            let rows: Vec<_> = rows
                .into_iter()
                .map(|name| property(object_type, name, &definition))
                .collect();
            let outcome = store
                .commit_page(
                    world
                        .page(properties, version)
                        .of(Rows::Properties(object_type, rows))
                        .ends(),
                    at(1),
                )
                .await
                .unwrap();
            assert_eq!(outcome, committed(version + 1));
        }
        let names: Vec<String> = sqlx::query_scalar(
            "select concat_ws(' ', object_type, name, definition) from hubspot_property order by 1",
        )
        .fetch_all(&world.raw)
        .await
        .unwrap();
        assert_eq!(names, ["1 email 2", "3 amount 1"]);

        let pipelines = crate::support::Reader {
            sync_type: SyncType::Pipelines,
            ..properties
        };
        world.begin(pipelines, domain::ReadPlan::List, at(0)).await;
        let pipeline = |id: &str| PipelineRow {
            id: id.to_owned(),
            definition: "{}".to_owned(),
        };
        for (version, ids) in [(0, vec!["default", "partners"]), (1, vec!["partners"])] {
            let rows: Vec<_> = ids.into_iter().map(pipeline).collect();
            let outcome = store
                .commit_page(
                    world
                        .page(pipelines, version)
                        .of(Rows::Pipelines(rows))
                        .ends(),
                    at(1),
                )
                .await
                .unwrap();
            assert_eq!(outcome, committed(version + 1));
        }
        let ids: Vec<String> = sqlx::query_scalar("select pipeline_id from hubspot_pipeline")
            .fetch_all(&world.raw)
            .await
            .unwrap();
        assert_eq!(ids, ["partners"]);
        let mut stats: Vec<_> = store
            .mirror_stats(world.workspace, world.portal)
            .await
            .unwrap()
            .into_iter()
            .map(|s| (s.sync_type, s.stored, s.quarantined))
            .filter(|(_, stored, _)| *stored > 0)
            .collect();
        stats.sort();
        assert_eq!(
            stats,
            [(SyncType::Properties, 2, 0), (SyncType::Pipelines, 1, 0)]
        );
    })
    .await;
}

#[tokio::test]
async fn a_listing_that_comes_empty_removes_nothing_before_it_was_read_again() {
    bounded(async {
        let (world, _) = World::connected().await;
        let store = &world.store;
        let reader = world.reader(SyncType::Properties, at(0)).await;
        let properties = |names: std::ops::Range<u32>| {
            let rows = names.map(|n| PropertyRow {
                object_type: ObjectType::Contact,
                name: format!("p{n}"),
                definition: "{}".to_owned(),
            });
            Rows::Properties(ObjectType::Contact, rows.collect())
        };
        let count = || world.count("select count(*) from hubspot_property");
        let outcome = store
            .commit_page(world.page(reader, 0).of(properties(0..93)).ends(), at(1))
            .await
            .unwrap();
        assert_eq!(outcome, committed(1));
        for (brought, again) in [(0, 0..0), (40, 0..40)] {
            let outcome = store
                .commit_page(world.page(reader, 1).of(properties(again)).ends(), at(1))
                .await
                .unwrap();
            assert_eq!(
                outcome,
                PageOutcome::Shrunk {
                    known: 93,
                    brought,
                    said: None
                }
            );
            assert_eq!(count().await, 93);
        }
        // A few that are gone are gone at once.
        let outcome = store
            .commit_page(world.page(reader, 1).of(properties(0..90)).ends(), at(1))
            .await
            .unwrap();
        assert_eq!(outcome, committed(2));
        assert_eq!(count().await, 90);
        let again = Page {
            listing: Listing::EndsAgain { said: None },
            ..world.page(reader, 2).of(properties(0..1))
        };
        assert_eq!(store.commit_page(again, at(1)).await.unwrap(), committed(3));
        assert_eq!(count().await, 1);

        let pipelines = crate::support::Reader {
            sync_type: SyncType::Pipelines,
            ..reader
        };
        world.begin(pipelines, domain::ReadPlan::List, at(0)).await;
        let one = PipelineRow {
            id: "default".to_owned(),
            definition: "{}".to_owned(),
        };
        for (version, rows, kept) in [(0, vec![one], true), (1, vec![], false)] {
            let page = world
                .page(pipelines, version)
                .of(Rows::Pipelines(rows))
                .ends();
            let outcome = store.commit_page(page, at(1)).await.unwrap();
            assert_eq!(outcome == committed(version + 1), kept);
        }
        assert_eq!(
            world.count("select count(*) from hubspot_pipeline").await,
            1
        );
    })
    .await;
}

#[tokio::test]
async fn an_owner_whom_a_whole_listing_did_not_bring_is_gone_unless_all_are() {
    bounded(async {
        let (world, _) = World::connected().await;
        let store = &world.store;
        let reader = world.reader(SyncType::Owners, at(0)).await;
        let page = |reader, version, read, owners: &[OwnerRow]| Page {
            read_at: at(read),
            ..world
                .page(reader, version)
                .of(Rows::Owners(owners.to_vec()))
        };
        let all = [
            owner(1, "a", false),
            owner(2, "b", false),
            owner(3, "c", true),
        ];
        store
            .commit_page(page(reader, 0, 1, &all).ends(), at(1))
            .await
            .unwrap();
        store.finish_run(reader.run, at(2)).await.unwrap();
        world.resync(&domain::ResyncRequest::all(), 2, at(10)).await;
        let second = world.reader(SyncType::Owners, at(10)).await;
        let outcome = store
            .commit_page(page(second, 0, 11, &[]).ends(), at(11))
            .await
            .unwrap();
        assert!(
            matches!(outcome, PageOutcome::Shrunk { known: 3, .. }),
            "{outcome:?}"
        );
        // Active ones first, then the others; the end alone tells of who is gone.
        store
            .commit_page(page(second, 0, 12, &all[..1]), at(12))
            .await
            .unwrap();
        assert_eq!(world.count("select count(*) from hubspot_owner").await, 3);
        store
            .commit_page(page(second, 1, 13, &all[2..]).ends(), at(13))
            .await
            .unwrap();
        let left = store.owners(world.workspace, world.portal).await.unwrap();
        assert_eq!(left, [all[0].clone(), all[2].clone()]);
    })
    .await;
}
