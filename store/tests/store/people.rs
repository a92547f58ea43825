//! Versioned upserts of the app's records.

use domain::app::{
    Company, CompanyInput, CustomField, Fields, Member, MemberInput, NameStart, Patch, Person,
    PersonInput, PersonUpsert, UpsertOutcome, Versioned as _,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use store::{RefusedUpsert, UnreadableRow};

use crate::support::{World, at, bounded};

fn person(json: serde_json::Value) -> PersonUpsert {
    serde_json::from_value::<PersonInput>(json)
        .unwrap()
        .check(&Fields::new(std::iter::empty::<&CustomField>()))
        .unwrap()
}

fn anna(version: u64) -> PersonUpsert {
    person(serde_json::json!({
        "id": "p1", "version": version, "email": "Anna@Example.com", "status": "contacted",
        "fields": {"first_name": "Anna", "lead_score": 1e16, "tags": ["b", "a"]},
    }))
}

async fn upsert(world: &World, all: &[PersonUpsert]) -> Vec<UpsertOutcome> {
    world
        .store
        .upsert_people(world.workspace, all, at(5))
        .await
        .unwrap()
        .into_iter()
        .map(|r| r.unwrap())
        .collect()
}

/// Where each row lies, and which transaction wrote it: changes with every write.
async fn places(world: &World) -> Vec<(String, String)> {
    sqlx::query_as("select ctid::text, xmin::text from app_person order by person_id")
        .fetch_all(&world.raw)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_stored_comes_back_and_the_same_again_writes_nothing() {
    bounded(async {
        let world = World::new().await;
        assert_eq!(upsert(&world, &[anna(3)]).await, [UpsertOutcome::Created]);
        let stored = world
            .store
            .person(world.workspace, &"p1".parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored, Person::apply(None, &anna(3)).unwrap().record);
        let before = places(&world).await;
        assert_eq!(
            upsert(&world, &[anna(3), anna(3)]).await,
            [UpsertOutcome::Unchanged; 2]
        );
        assert_eq!(upsert(&world, &[anna(2)]).await, [UpsertOutcome::Stale]);
        assert_eq!(places(&world).await, before);
        assert_eq!(upsert(&world, &[anna(4)]).await, [UpsertOutcome::Unchanged]);
        assert_ne!(places(&world).await, before, "the version moved on");
    })
    .await;
}

#[tokio::test]
async fn one_version_with_two_values_is_refused_and_the_others_go_in() {
    bounded(async {
        let world = World::new().await;
        upsert(&world, &[anna(3)]).await;
        let mut other = anna(3);
        other.status = Patch::Clear;
        let mut second = anna(1);
        second.id = "p2".parse().unwrap();
        let outcomes = world
            .store
            .upsert_people(world.workspace, &[other, second], at(6))
            .await
            .unwrap();
        let RefusedUpsert::Conflict(conflict) = outcomes[0].as_ref().unwrap_err() else {
            panic!("{outcomes:?}");
        };
        assert_eq!(conflict.slot.as_str(), "status");
        assert_eq!(outcomes[1], Ok(UpsertOutcome::Created));
    })
    .await;
}

#[tokio::test]
async fn an_unknown_workspace_takes_nothing() {
    bounded(async {
        let world = World::new().await;
        let unknown = domain::WorkspaceId::new(uuid::Uuid::from_u128(99));
        let refused = world.store.upsert_people(unknown, &[anna(1)], at(0)).await;
        assert!(matches!(refused, Err(store::StoreError::NotFound(_))));
        assert_eq!(world.count("select count(*) from app_person").await, 0);
    })
    .await;
}

#[tokio::test]
async fn companies_and_members_come_back_in_pages() {
    bounded(async {
        let world = World::new().await;
        let fields = Fields::new(std::iter::empty::<&CustomField>());
        let companies: Vec<_> = (0..5)
            .map(|n| {
                serde_json::from_value::<CompanyInput>(serde_json::json!({
                    "id": format!("c{n}"), "version": 1, "fields": {"name": format!("Company {n}")},
                }))
                .unwrap()
                .check(&fields)
                .unwrap()
            })
            .collect();
        let done = world
            .store
            .upsert_companies(world.workspace, &companies, at(1))
            .await
            .unwrap();
        assert_eq!(done, vec![Ok(UpsertOutcome::Created); 5]);
        let mut seen: Vec<Company> = Vec::new();
        loop {
            let page = world
                .store
                .companies_after(world.workspace, seen.last().map(|c| &c.id), 2)
                .await
                .unwrap();
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(Result::unwrap));
        }
        let ids: Vec<&str> = seen.iter().map(|c| c.id.as_str()).collect();
        assert_eq!(ids, ["c0", "c1", "c2", "c3", "c4"]);

        let member = serde_json::from_value::<MemberInput>(serde_json::json!({
            "id": "m1", "version": 1, "email": "rep@example.com", "name": "Rep", "active": false,
        }))
        .unwrap()
        .check()
        .unwrap();
        world
            .store
            .upsert_members(world.workspace, std::slice::from_ref(&member), at(1))
            .await
            .unwrap();
        assert_eq!(
            world.store.all_members(world.workspace).await.unwrap(),
            [Member::apply(None, &member).unwrap().record]
        );
    })
    .await;
}

/// A row as an older version, or a hand, may have left it.
#[tokio::test]
async fn a_row_that_cannot_be_read_harms_only_itself() {
    bounded(async {
        let world = World::new().await;
        let of = |id: &str, version: u64| {
            person(serde_json::json!({"id": id, "version": version, "email": format!("{id}@b.example")}))
        };
        upsert(&world, &[of("p1", 1), of("p2", 1), of("p3", 1)]).await;
        sqlx::query("update app_person set document = '{\"id\": \"p2\", \"version\": 1, \"email\": \"i\u{307}@b.example\"}' where person_id = 'p2'")
            .execute(&world.raw)
            .await
            .unwrap();
        let before = places(&world).await;
        let listed = world.store.people_after(world.workspace, None, 10).await.unwrap();
        let ids: Vec<_> = listed
            .iter()
            .map(|row| row.as_ref().map(|p| p.id.as_str()))
            .collect();
        let odd = UnreadableRow {
            kind: "person",
            id: "p2".to_owned(),
        };
        assert_eq!(ids, [Ok("p1"), Err(&odd), Ok("p3")]);
        let alone = world.store.person(world.workspace, &"p2".parse().unwrap()).await;
        assert_eq!(alone.unwrap_err().code(), "HS-2217");
        let outcomes = world
            .store
            .upsert_people(world.workspace, &[of("p1", 2), of("p2", 2), of("p3", 2)], at(6))
            .await
            .unwrap();
        assert_eq!(
            outcomes,
            [
                Ok(UpsertOutcome::Unchanged),
                Err(RefusedUpsert::Unreadable),
                Ok(UpsertOutcome::Unchanged)
            ]
        );
        // It stays as it is.
        assert_eq!(places(&world).await[1], before[1]);
    })
    .await;
}

/// Two writers of the same people at once: each person ends as if one had come after the other.
#[tokio::test]
async fn writers_of_the_same_people_at_once_lose_nothing() {
    bounded(async {
        let world = World::new().await;
        let writers: Vec<_> = (0..8u64)
            .map(|writer| {
                let (store, workspace) = (world.store.clone(), world.workspace);
                tokio::spawn(async move {
                    // Each writer has a field of its own: none may be lost.
                    let key = ["city", "state", "country", "phone", "headline", "language", "time_zone", "campaign"][writer as usize];
                    let all: Vec<_> = (0..50)
                        .map(|n| {
                            person(serde_json::json!({
                                "id": format!("p{n}"), "version": 1 + writer, "fields": {key: "set"},
                            }))
                        })
                        .collect();
                    store.upsert_people(workspace, &all, at(1)).await.unwrap()
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let people = world
            .store
            .people_after(world.workspace, None, 100)
            .await
            .unwrap();
        assert_eq!(people.len(), 50);
        assert!(people.iter().all(|p| p.as_ref().unwrap().fields.len() == 8));
    })
    .await;
}

fn any_update() -> impl Strategy<Value = PersonUpsert> {
    (
        0..3u8,
        0..6u64,
        0..3u8,
        prop::option::of(0..3u8),
        prop::option::of(0..3u8),
    )
        .prop_map(|(id, version, kind, email, title)| {
            // The value follows from the version: one version never says two things.
            let mut json = serde_json::json!({"id": format!("p{id}"), "version": version});
            if email.is_some() {
                json["email"] = match version % 3 {
                    0 => serde_json::Value::Null,
                    _ => format!("p{id}.{version}@example.com").into(),
                };
            }
            if title.is_some() {
                json["fields"] = serde_json::json!({"job_title": format!("v{version}")});
            }
            if kind == 0 {
                json["contacted_at"] = format!("2026-01-0{}T00:00:00Z", version + 1).into();
            }
            person(json)
        })
}

/// How many random cases: `SOAK=full` asks for the big run.
fn cases() -> u32 {
    if std::env::var("SOAK").is_ok_and(|s| s == "full") {
        500
    } else {
        24
    }
}

#[test]
fn any_interleaving_ends_as_in_order() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new());
    let mut runner = TestRunner::new(Config {
        cases: cases(),
        failure_persistence: None,
        ..Config::default()
    });
    let strategy = prop::collection::vec(any_update(), 1..30).prop_flat_map(|all| {
        let shuffled = Just(all.clone()).prop_shuffle();
        (Just(all), shuffled, 1..8usize)
    });
    let n = std::cell::Cell::new(0u128);
    runner
        .run(&strategy, |(mut ordered, shuffled, bulk)| {
            ordered.sort_by_key(|u| (u.id.clone(), u.version));
            n.set(n.get() + 2);
            let ends = [(ordered, 1), (shuffled, bulk)]
                .into_iter()
                .enumerate()
                .map(|(k, (updates, bulk))| {
                    let workspace =
                        domain::WorkspaceId::new(uuid::Uuid::from_u128(1000 + n.get() + k as u128));
                    runtime.block_on(async {
                        world
                            .store
                            .ensure_workspace(workspace, at(0))
                            .await
                            .unwrap();
                        for part in updates.chunks(bulk) {
                            let done = world
                                .store
                                .upsert_people(workspace, part, at(1))
                                .await
                                .unwrap();
                            assert!(done.iter().all(Result::is_ok));
                        }
                        let end = world.store.people_after(workspace, None, 10).await.unwrap();
                        end.into_iter().collect::<Result<Vec<Person>, _>>().unwrap()
                    })
                })
                .collect::<Vec<_>>();
            let visible = |end: &[Person]| serde_json::to_value(end).unwrap();
            prop_assert_eq!(visible(&ends[0]), visible(&ends[1]));
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn people_are_found_by_the_beginning_of_their_name() {
    bounded(async {
        let world = World::new().await;
        let all: Vec<PersonUpsert> = [
            ("p1", "Ann", "Lee"),
            ("p2", "Anna Maria", "Leeds"),
            ("p3", " Lee ", "Ann"),
            ("p4", "ÉMILE", "Ångström"),
            ("p5", "Bob", "%"),
            ("p6", &"Long".repeat(1_000), "Name"),
        ]
        .iter()
        .map(|(id, first, last)| {
            person(serde_json::json!({
                "id": id, "version": 1, "fields": {"first_name": first, "last_name": last},
            }))
        })
        .chain([person(serde_json::json!({"id": "p8", "version": 1}))])
        .collect();
        upsert(&world, &all).await;
        let found = async |asked: &str, limit| {
            let name = NameStart::parse(asked).unwrap();
            let found = world.store.people_named(world.workspace, &name, limit);
            let found = found.await.unwrap();
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (asked, want) in [
            ("ann lee", vec!["p1", "p3"]),
            ("LEE", vec!["p3", "p1", "p2"]),
            ("Anna", vec!["p2"]),
            ("leeds, anna", vec!["p2"]),
            ("émile å", vec!["p4"]),
            ("ångström", vec!["p4"]),
            ("bob %", vec!["p5"]),
            ("%%aa", vec![]),
            ("longlong", vec!["p6"]),
            ("nobody", vec![]),
        ] {
            assert_eq!(found(asked, 10).await, want, "{asked}");
        }
        assert_eq!(found("lee", 2).await, ["p3", "p1"]);
        let other = domain::WorkspaceId::new(uuid::Uuid::from_u128(2));
        let name = NameStart::parse("ann").unwrap();
        let none = world.store.people_named(other, &name, 10).await.unwrap();
        assert!(none.is_empty());
    })
    .await;
}
