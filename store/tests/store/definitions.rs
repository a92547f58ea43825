//! Owners, property definitions and pipelines are read whole.

use domain::{HubSpotOwnerId, ObjectType, SyncType};
use store::{OwnerRow, PageOutcome, PipelineRow, PropertyRow, Rows};

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
                        .of(Rows::Properties(object_type, rows)),
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
                    world.page(pipelines, version).of(Rows::Pipelines(rows)),
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
