//! Activities of the app's side, and what a timeline is written from (E8).

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    Epoch, HubSpotObjectId, ObjectType,
    activities::{ActivityInput, ActivityUpsert},
    app::{CustomField, Fields, PersonInput, RecordVersion, UpsertOutcome},
    export::{
        RequestKind, RequestOutcome, WaitReason,
        journal::{Cause, Entry, EntryId, EntryState, Operation, Subject},
    },
};
use serde_json::{Value, json};
use store::{
    ActivityDone, ActivityTurn, ExportEnd, LoggedActivity, MostActivities, Opened, PendingActivity,
    RefusedUpsert, RequestsEnd, Upserted,
};
use uuid::Uuid;

use crate::support::{World, at, bounded};

fn now() -> DateTime<Utc> {
    Utc::now()
}

fn note(id: &str, version: u64, over: &Value) -> ActivityUpsert {
    let mut item = json!({
        "id": id, "version": version, "person": "p1", "at": "2026-01-01T08:00:00Z",
        "content": {"note": {"text": format!("{id} {version}")}},
    });
    for (name, value) in over.as_object().unwrap() {
        if value.is_null() {
            item.as_object_mut().unwrap().remove(name);
        } else {
            item[name] = value.clone();
        }
    }
    serde_json::from_value::<ActivityInput>(item)
        .unwrap()
        .check("2026-11-29T12:00:00Z".parse().unwrap())
        .unwrap()
}

fn deleted(id: &str, version: u64) -> ActivityUpsert {
    note(
        id,
        version,
        &json!({"deleted": true, "at": null, "content": null}),
    )
}

async fn people(world: &World, ids: &[&str]) {
    let upserts: Vec<_> = ids
        .iter()
        .map(|id| {
            serde_json::from_value::<PersonInput>(json!({"id": id, "version": 1}))
                .unwrap()
                .check(&Fields::new(std::iter::empty::<&CustomField>()))
                .unwrap()
        })
        .collect();
    world
        .store
        .upsert_people(world.workspace, &upserts, at(1))
        .await
        .unwrap();
}

async fn upsert(world: &World, all: &[ActivityUpsert]) -> Vec<Upserted> {
    world
        .store
        .upsert_activities(world.workspace, all, now())
        .await
        .unwrap()
}

async fn states(world: &World) -> Vec<(String, RequestOutcome)> {
    let rows = world
        .store
        .activities_after(world.workspace, &"p1".parse().unwrap(), None, 100)
        .await
        .unwrap();
    rows.into_iter()
        .map(|row| {
            let row = row.unwrap();
            let outcome = match row.outcome {
                RequestOutcome::Waiting { reason, .. } => {
                    RequestOutcome::Waiting { reason, due: None }
                }
                other => other,
            };
            (row.activity.id.to_string(), outcome)
        })
        .collect()
}

const WAITS: RequestOutcome = RequestOutcome::Waiting {
    reason: WaitReason::PersonNotExported,
    due: None,
};

async fn exported(world: &World, person: &str) {
    sqlx::query(
        "insert into exported_person (workspace_id, portal_id, person_id, contact_id, exported_at, last_exported_at)
         values ($1, $2, $3, 77, now(), now())",
    )
    .bind(world.workspace.as_uuid())
    .bind(world.portal.get())
    .bind(person)
    .execute(&world.raw)
    .await
    .unwrap();
}

async fn pending(world: &World) -> Vec<PendingActivity> {
    world
        .store
        .pending_activities(world.workspace, world.portal, &"p1".parse().unwrap(), 100)
        .await
        .unwrap()
}

#[tokio::test]
async fn versions_people_and_kinds() {
    bounded(async {
        let (world, _) = World::connected().await;
        people(&world, &["p1", "p2"]).await;
        use UpsertOutcome as O;
        for (item, want) in [
            (note("a", 2, &json!({})), Ok(O::Created)),
            (note("a", 2, &json!({})), Ok(O::Unchanged)),
            (note("a", 1, &json!({})), Ok(O::Stale)),
            (note("a", 3, &json!({})), Ok(O::Updated)),
            (note("b", 1, &json!({"person": "p2"})), Ok(O::Created)),
            (deleted("a", 4), Ok(O::Updated)),
            (note("a", 3, &json!({})), Ok(O::Stale)),
            (deleted("never", 9), Ok(O::Created)),
            (note("never", 8, &json!({})), Ok(O::Stale)),
            (note("c", 1, &json!({"person": "nobody"})), Err("nobody")),
            (note("a", 5, &json!({"person": "p2"})), Err("person stays")),
            (
                note(
                    "b",
                    5,
                    &json!({"person": "p2", "content": {"task": {"title": "x"}}}),
                ),
                Err("content stays"),
            ),
            (
                note(
                    "b",
                    1,
                    &json!({"person": "p2", "content": {"note": {"text": "other"}}}),
                ),
                Err("before"),
            ),
        ] {
            let what = format!("{item:?}");
            let done = upsert(&world, &[item]).await.remove(0);
            match (done, want) {
                (Ok(done), Ok(want)) => assert_eq!(done, want, "{what}"),
                (Err(refused), Err(want)) => {
                    assert!(refused.to_string().contains(want), "{what}: {refused}");
                    assert_ne!(refused, RefusedUpsert::Unreadable);
                }
                other => panic!("{what}: {other:?}"),
            }
        }
        let both = upsert(
            &world,
            &[note("d", 1, &json!({})), note("d", 2, &json!({}))],
        )
        .await;
        assert_eq!(both, [Ok(O::Created), Ok(O::Updated)]);
    })
    .await;
}

#[tokio::test]
async fn they_wait_for_the_person_and_follow() {
    bounded(async {
        let (world, _) = World::connected().await;
        people(&world, &["p1"]).await;
        upsert(&world, &[note("a", 1, &json!({})), deleted("b", 1)]).await;
        let gone = RequestOutcome::Skipped {
            reason: domain::export::SkipReason::ActivityDeleted,
        };
        assert_eq!(
            states(&world).await,
            [("a".to_owned(), WAITS), ("b".to_owned(), gone)]
        );
        // Nobody was exported: nothing is due any more.
        let later = now() + TimeDelta::minutes(5);
        let settled = world.store.settle_activities(10, later).await.unwrap();
        assert!(settled.done && settled.go_on == 0);
        assert!(
            world
                .store
                .due_exports(std::time::Duration::ZERO, 10, &[])
                .await
                .unwrap()
                .is_empty()
        );
        // One came in while the person was exported: it is found.
        upsert(&world, &[note("c", 1, &json!({}))]).await;
        exported(&world, "p1").await;
        let settled = world.store.settle_activities(10, later).await.unwrap();
        assert_eq!(settled.go_on, 1);
        assert_eq!(states(&world).await[2].1, RequestOutcome::Accepted);
        // The export of the person finds the others.
        let ids: Vec<String> = pending(&world)
            .await
            .iter()
            .map(|p| p.id.to_string())
            .collect();
        assert_eq!(ids, ["a", "c"]);
        upsert(
            &world,
            &[note("d", 1, &json!({"at": "2025-01-01T00:00:00Z"}))],
        )
        .await;
        assert_eq!(pending(&world).await[0].id.as_str(), "d", "in their order");
        let due = world
            .store
            .due_exports(std::time::Duration::ZERO, 10, &[])
            .await
            .unwrap();
        assert_eq!(due.len(), 1);
        let wake = ["p1".parse().unwrap()];
        let woken = world
            .store
            .exports_to_wake(world.workspace, &wake)
            .await
            .unwrap();
        assert_eq!(woken, wake);
    })
    .await;
}

async fn open(world: &World, epoch: Epoch, activity: &str) -> Entry {
    let (entry, opened) = try_open(world, epoch, activity).await;
    assert_eq!(opened, Opened::Open);
    entry
}

async fn try_open(world: &World, epoch: Epoch, activity: &str) -> (Entry, Opened) {
    let hold = world
        .store
        .take_writer(world.workspace, &"p1".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let entry = Entry {
        id: EntryId::new(Uuid::now_v7()),
        subject: Subject::Activity(activity.parse().unwrap()),
        cause: Cause::Request(RequestKind::Activity),
        operation: Operation::Create(ObjectType::Note),
        written: Vec::new(),
        opened_at: now(),
        state: EntryState::Open { sent_at: None },
    };
    let opened = world
        .store
        .open_entry(&hold, world.portal, epoch, &entry, None)
        .await
        .unwrap();
    world.store.give_writer_back(&hold).await.unwrap();
    (entry, opened)
}

/// An activity of the first person's was written as a note.
fn done(world: &World, activity: &str, entry: &Entry, record: i64, version: u64) -> ActivityDone {
    ActivityDone {
        workspace: world.workspace,
        portal: world.portal,
        person: "p1".parse().unwrap(),
        activity: activity.parse().unwrap(),
        entry: entry.id,
        logged: LoggedActivity {
            object_type: ObjectType::Note,
            record: HubSpotObjectId::new(record).unwrap(),
            version: RecordVersion::new(version).unwrap(),
            associated: false,
        },
    }
}

/// Whoever has the person now may have read what the portal has before somebody else noted it.
#[tokio::test]
async fn what_was_made_or_may_have_been_is_not_made_again() {
    bounded(async {
        let (world, connected) = World::connected().await;
        people(&world, &["p1"]).await;
        exported(&world, "p1").await;
        upsert(
            &world,
            &[note("a", 1, &json!({})), note("b", 1, &json!({}))],
        )
        .await;
        let before = pending(&world).await;
        assert!(before.iter().all(|activity| activity.logged.is_none()));
        let first = open(&world, connected.epoch, "a").await;
        let (_, opened) = try_open(&world, connected.epoch, "a").await;
        assert_eq!(opened, Opened::Changed, "the first may have landed");
        let done = done(&world, "a", &first, 5, 1);
        assert!(world.store.close_activity(&done).await.unwrap());
        let (_, opened) = try_open(&world, connected.epoch, "a").await;
        assert_eq!(opened, Opened::Changed, "it is there");
        // Another one is made, and one that did not land is made anew.
        let other = open(&world, connected.epoch, "b").await;
        world
            .store
            .drop_entry(world.workspace, other.id)
            .await
            .unwrap();
        open(&world, connected.epoch, "b").await;
    })
    .await;
}

#[tokio::test]
async fn an_engagement_is_of_one_activity_alone() {
    bounded(async {
        let (world, connected) = World::connected().await;
        people(&world, &["p1"]).await;
        exported(&world, "p1").await;
        upsert(
            &world,
            &[note("a", 3, &json!({})), note("b", 1, &json!({}))],
        )
        .await;
        let person = "p1".parse().unwrap();
        let record = HubSpotObjectId::new(5).unwrap();
        let done =
            |activity: &str, entry: &Entry, version| done(&world, activity, entry, 5, version);
        let (a, b) = (
            open(&world, connected.epoch, "a").await,
            open(&world, connected.epoch, "b").await,
        );
        assert!(
            world
                .store
                .open_entries(world.workspace, world.portal, &person)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(world.store.close_activity(&done("a", &a, 3)).await.unwrap());
        assert!(!world.store.close_activity(&done("b", &b, 1)).await.unwrap());
        let left = world
            .store
            .open_activity_entries(world.workspace, world.portal, &person)
            .await
            .unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].0.as_str(), "b");
        let taken = world
            .store
            .taken_engagements(world.portal, ObjectType::Note, &[record])
            .await
            .unwrap();
        assert_eq!(taken.len(), 1);
        let first = &pending(&world).await[0];
        assert_eq!(first.logged.unwrap().version.get(), 3);
        let outcome = RequestOutcome::Exported { hubspot_id: record };
        // One that was sent again meanwhile is not turned.
        upsert(&world, &[note("a", 4, &json!({}))]).await;
        let end = RequestsEnd::default();
        let turn = |activity| [ActivityTurn::of(activity, outcome, end.clone())];
        world
            .store
            .turn_activities(world.workspace, world.portal, &turn(first))
            .await
            .unwrap();
        assert_eq!(states(&world).await[0].1, RequestOutcome::Accepted);
        let first = &pending(&world).await[0];
        world
            .store
            .turn_activities(world.workspace, world.portal, &turn(first))
            .await
            .unwrap();
        assert_eq!(states(&world).await[0].1, outcome);
        assert_eq!(pending(&world).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn many_are_closed_together_and_no_engagement_is_that_of_two() {
    bounded(async {
        let (world, connected) = World::connected().await;
        people(&world, &["p1", "p2"]).await;
        exported(&world, "p1").await;
        let ids = ["a", "b", "c", "d"];
        let all: Vec<_> = ids.iter().map(|id| note(id, 1, &json!({}))).collect();
        upsert(&world, &all).await;
        upsert(&world, &[note("other", 1, &json!({"person": "p2"}))]).await;
        let mut entries = Vec::new();
        for id in ids {
            entries.push(open(&world, connected.epoch, id).await);
        }
        let done = |place: usize, record| done(&world, ids[place], &entries[place], record, 1);
        let store = &world.store;
        assert!(store.close_activities(&[]).await.unwrap().is_empty());
        assert!(store.close_activity(&done(0, 5)).await.unwrap());
        // The first is told again, the second is that of the first, the last two are one.
        let told = [done(0, 5), done(1, 5), done(2, 6), done(3, 6)];
        let closed = store.close_activities(&told).await.unwrap();
        assert_eq!(closed, [true, false, true, false]);
        let people = ["p2", "p1"].map(|id| id.parse().unwrap());
        let open = store.open_activity_entries_of(world.workspace, world.portal, &people);
        let open = open.await.unwrap();
        let left: Vec<&str> = open[&people[1]]
            .as_ref()
            .unwrap()
            .iter()
            .map(|(id, _)| id.as_str())
            .collect();
        assert_eq!((open.len(), left), (1, vec!["b", "d"]));

        let most = |of_each, bytes, but| MostActivities {
            of_each,
            bytes,
            but,
        };
        let some = async |most: MostActivities<'_>| -> Vec<String> {
            let pending = store
                .pending_activities_of(world.workspace, world.portal, &people, &most)
                .await
                .unwrap();
            let each = people.iter().filter_map(|person| pending.get(person));
            each.flatten().map(|one| one.id.to_string()).collect()
        };
        assert_eq!(some(most(2, 1_000_000, &[])).await, ["other", "a", "b"]);
        assert_eq!(some(most(9, 1, &[])).await, ["other"]);
        let but = ["other", "a", "c"].map(|id| id.parse().unwrap());
        assert_eq!(some(most(9, 1_000_000, &but)).await, ["b", "d"]);
        let pending = store
            .pending_activities(world.workspace, world.portal, &people[1], 9)
            .await
            .unwrap();
        let logged: Vec<Option<i64>> = pending
            .iter()
            .map(|one| one.logged.map(|logged| logged.record.get()))
            .collect();
        assert_eq!(logged, [Some(5), None, Some(6), None]);

        let hubspot_id = HubSpotObjectId::new(5).unwrap();
        let outcome = RequestOutcome::Exported { hubspot_id };
        let ends = [ActivityTurn::of(
            &pending[0],
            outcome,
            RequestsEnd::default(),
        )];
        store
            .end_associated_activities(world.workspace, world.portal, &ends)
            .await
            .unwrap();
        assert_eq!(states(&world).await[0].1, outcome);
        let associated = world
            .count("select count(*) from logged_activity where associated")
            .await;
        assert_eq!(associated, 1);
    })
    .await;
}

/// Whoever exports somebody and is lost leaves what waited for that due.
#[tokio::test]
async fn they_are_due_soon_after_the_export_that_they_waited_for() {
    bounded(async {
        let (world, _) = World::connected().await;
        people(&world, &["p1"]).await;
        upsert(&world, &[note("a", 1, &json!({}))]).await;
        let later = now() + TimeDelta::minutes(5);
        world.store.settle_activities(10, later).await.unwrap();
        let end = ExportEnd {
            person: "p1".parse().unwrap(),
            contact: HubSpotObjectId::new(77).unwrap(),
            status_said: None,
            look_again: None,
            requests: Vec::new(),
            end: RequestsEnd::default(),
        };
        world
            .store
            .end_exported(world.workspace, world.portal, &[end])
            .await
            .unwrap();
        let settled = world.store.settle_activities(10, now()).await.unwrap();
        assert_eq!(settled.go_on, 0, "whoever exported has a minute for it");
        let settled = world.store.settle_activities(10, later).await.unwrap();
        assert_eq!(settled.go_on, 1);
    })
    .await;
}

/// Whoever takes what waited for its time finds it ready, although it is due again only in a while.
#[tokio::test]
async fn what_waited_is_ready_for_whoever_takes_it() {
    bounded(async {
        let (world, _) = World::connected().await;
        people(&world, &["p1"]).await;
        exported(&world, "p1").await;
        upsert(&world, &[note("a", 1, &json!({}))]).await;
        let activity = pending(&world).await.remove(0);
        let (store, workspace) = (&world.store, world.workspace);
        // Looks for what may have landed are no attempts.
        for (reason, code) in [
            (WaitReason::OutcomeUnknown, Some("HS-3008")),
            (WaitReason::TriedAgainLater, None),
        ] {
            let wait = Some(std::time::Duration::ZERO);
            let looked =
                store.park_activity(workspace, world.portal, &activity, reason, wait, code);
            looked.await.unwrap();
        }
        let parked = store.park_activity(
            workspace,
            world.portal,
            &activity,
            WaitReason::TriedAgainLater,
            Some(std::time::Duration::ZERO),
            Some("HS-3002"),
        );
        parked.await.unwrap();
        let minute = std::time::Duration::from_secs(60);
        let taken = store.take_due(workspace, 9, minute).await.unwrap();
        assert_eq!(taken.len(), 1);
        let ready = pending(&world).await;
        assert_eq!(ready.len(), 1);
        assert_eq!(
            ready[0].attempts, 1,
            "how often it was tried is not forgotten"
        );
    })
    .await;
}

#[tokio::test]
async fn erased_people_take_theirs_along() {
    bounded(async {
        let (world, connected) = World::connected().await;
        people(&world, &["p1"]).await;
        exported(&world, "p1").await;
        upsert(&world, &[note("a", 1, &json!({}))]).await;
        let entry = open(&world, connected.epoch, "a").await;
        let target = store::EraseTarget {
            person: Some("p1".parse().unwrap()),
            email: None,
        };
        world
            .store
            .erase_person(world.workspace, &target, now())
            .await
            .unwrap();
        assert!(states(&world).await.is_empty());
        let left: i64 =
            sqlx::query_scalar("select count(*) from export_journal where entry_id = $1")
                .bind(entry.id.as_uuid())
                .fetch_one(&world.raw)
                .await
                .unwrap();
        assert_eq!(left, 0);
        let again = upsert(&world, &[note("a", 2, &json!({}))]).await;
        assert_eq!(again, [Ok(UpsertOutcome::Erased)]);
    })
    .await;
}
