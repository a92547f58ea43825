//! Mapped properties: readers that ask for different ones, and records that lack some.

use domain::{
    ObjectType, ResyncMode, RunKind, SyncType,
    settings::{MappingRow, Settings, SettingsRevision},
};
use serde_json::{Value, json};
use store::RunState;

use crate::support::{
    Commit as _, Page, Reader, World, at, bounded, committed, resync, row, run_id,
};

async fn commit(world: &World, reader: Reader, version: i64, modified: i64, properties: Value) {
    let page = Page {
        rows: vec![row(1, modified, &properties.to_string())],
        ..world.page(reader, version)
    };
    let outcome = world.store.commit_page(page, at(0)).await.unwrap();
    assert_eq!(outcome, committed(version + 1));
}

/// The properties of the record, and the number of its last change.
async fn stored(world: &World) -> (Value, i64) {
    let (workspace, portal, contact) = (world.workspace, world.portal, ObjectType::Contact);
    let rows = world
        .store
        .objects_after(workspace, portal, contact, None, 10)
        .await
        .unwrap();
    let changed = world.count("select changed from hubspot_object").await;
    (rows[0].properties.clone(), changed)
}

#[tokio::test]
async fn what_a_reader_does_not_ask_for_stays_and_is_no_change() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        commit(&world, reader, 0, 5, json!({"a": "1"})).await;
        let (_, first) = stored(&world).await;

        // Not modified, and read with one more: stored, and a change.
        commit(&world, reader, 1, 5, json!({"a": "1", "b": "2", "c": null})).await;
        let (properties, second) = stored(&world).await;
        assert_eq!(properties, json!({"a": "1", "b": "2", "c": null}));
        assert_ne!(second, first);

        // Read with fewer, and with one more that has no value: nothing is written.
        let written = "select count(*) from hubspot_object where xmin::text::bigint > $1";
        let before: i64 = world
            .count("select max(xmin::text::bigint) from hubspot_object")
            .await;
        commit(&world, reader, 2, 5, json!({"a": "1"})).await;
        commit(&world, reader, 3, 5, json!({"a": "1", "d": null})).await;
        let more: i64 = sqlx::query_scalar(written)
            .bind(before)
            .fetch_one(&world.raw)
            .await
            .unwrap();
        assert_eq!(more, 0, "a row was written");
        assert_eq!(stored(&world).await, (properties, second));

        // Modified, read with fewer: what was not asked for stays.
        commit(&world, reader, 4, 6, json!({"a": "3"})).await;
        let (properties, third) = stored(&world).await;
        assert_eq!(properties, json!({"a": "3", "b": "2", "c": null}));
        assert_ne!(third, second);

        // It was emptied with the same modification, which only this reader sees.
        commit(&world, reader, 5, 6, json!({"a": "3", "b": null})).await;
        let (properties, fourth) = stored(&world).await;
        assert_eq!(properties["b"], Value::Null);
        assert_ne!(fourth, third);
        commit(&world, reader, 6, 6, json!({"a": "3", "b": null})).await;
        assert_eq!(stored(&world).await, (properties, fourth));
    })
    .await;
}

fn mapped(properties: &[&str]) -> Settings {
    let fields = ["city", "state", "country"];
    Settings {
        contacts: properties
            .iter()
            .zip(fields)
            .map(|(property, field)| MappingRow {
                app_field: field.parse().unwrap(),
                property: (*property).to_owned(),
                import_priority: Default::default(),
                export: Default::default(),
                options: Default::default(),
            })
            .collect(),
        ..Settings::empty()
    }
}

async fn save(world: &World, revision: u64, properties: &[&str], run: u128) {
    world
        .store
        .save_settings(
            world.workspace,
            SettingsRevision::new(revision),
            &mapped(properties),
            run_id(run + 1_000),
            run_id(run),
            at(3),
        )
        .await
        .unwrap();
}

async fn made(world: &World, run: u128) -> bool {
    world.store.run(run_id(run)).await.unwrap().is_some()
}

#[tokio::test]
async fn a_property_that_is_newly_mapped_is_read_once() {
    bounded(async {
        let (world, _) = World::connected().await;
        save(&world, 0, &["zip"], 20).await;
        assert!(!made(&world, 20).await, "what was never read will be");
        let reader = world.reader(SyncType::Contacts, at(10)).await;
        let cursor = world
            .store
            .cursor(&world.key(reader))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(cursor.properties, ["zip"]);

        // While they are read without it, another is mapped.
        save(&world, 1, &["zip", "fax"], 21).await;
        assert!(made(&world, 21).await);
        save(&world, 2, &["zip", "fax", "state"], 22).await;
        assert!(!made(&world, 22).await, "the one that waits reads them all");
        world.read_to_the_end(reader, at(11)).await;
        let plan = world
            .store
            .claim_run(world.workspace, at(12))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(plan.run.run, run_id(21));
        assert_eq!(
            (plan.run.kind, plan.run.mode),
            (RunKind::Mapping, ResyncMode::FromScratch)
        );
        assert_eq!(plan.run.types, [SyncType::Contacts]);
        let again = Reader {
            run: run_id(21),
            ..reader
        };
        world.begin(again, domain::ReadPlan::List, at(12)).await;
        let cursor = world
            .store
            .cursor(&world.key(again))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(cursor.properties, ["fax", "state", "zip"]);
        world.read_to_the_end(again, at(13)).await;
        assert_eq!(
            world.store.run(run_id(21)).await.unwrap().unwrap().state,
            RunState::Finished
        );

        // Read with them all: fewer, the same, or those that are always read, need nothing.
        for (revision, properties) in [
            (3, &["zip"][..]),
            (4, &["zip", "state"]),
            (5, &["jobtitle"]),
        ] {
            save(&world, revision, properties, 30 + u128::from(revision)).await;
            assert!(
                !made(&world, 30 + u128::from(revision)).await,
                "{properties:?}"
            );
        }

        // A catch-up that did not ask for one may have brought records without it.
        world
            .resync(
                &resync(&[SyncType::Contacts], ResyncMode::CatchUp),
                40,
                at(14),
            )
            .await;
        world
            .store
            .claim_run(world.workspace, at(15))
            .await
            .unwrap()
            .unwrap();
        let third = Reader {
            run: run_id(40),
            ..reader
        };
        let since = domain::ReadPlan::ModifiedSince { since: at(12) };
        world.begin(third, since, at(15)).await;
        world.read_to_the_end(third, at(16)).await;
        save(&world, 6, &["zip"], 41).await;
        assert!(made(&world, 41).await);
    })
    .await;
}

#[tokio::test]
async fn what_an_older_program_read_is_looked_at_once() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(10)).await;
        world.read_to_the_end(reader, at(11)).await;
        save(&world, 0, &["jobtitle"], 20).await;
        sqlx::query("update last_read set properties = null")
            .execute(&world.raw)
            .await
            .unwrap();
        let store = &world.store;
        let unknown = async || store.mapping_to_check(10).await.unwrap();
        assert_eq!(unknown().await, [world.workspace]);
        assert!(
            !store
                .check_mapping(world.workspace, run_id(21), at(12))
                .await
                .unwrap()
        );
        assert!(unknown().await.is_empty());

        save(&world, 1, &["jobtitle", "zip"], 22).await;
        sqlx::query("delete from sync_run where id = $1")
            .bind(run_id(22).as_uuid())
            .execute(&world.raw)
            .await
            .unwrap();
        sqlx::query("update last_read set properties = null")
            .execute(&world.raw)
            .await
            .unwrap();
        assert!(
            store
                .check_mapping(world.workspace, run_id(23), at(13))
                .await
                .unwrap()
        );
        assert!(
            unknown().await.is_empty(),
            "once is enough, however it ends"
        );
    })
    .await;
}
