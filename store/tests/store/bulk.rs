//! Bulk exports: whom they are begun with, and counts that follow each request.

use domain::{
    BulkId, HubSpotObjectId, WorkspaceId,
    api::{BulkPreview, BulkWhom},
    app::{CustomField, Fields, PersonId, PersonInput, PersonUpsert},
    export::{
        BulkState, RequestId, RequestKind, RequestOutcome, SkipReason, WaitReason,
        journal::{Cause, Entry, EntryId, Operation, Subject},
    },
};
use store::{
    BulkPlanned, BulkRow, EraseTarget, ExportEnd, NewBulk, NewEntry, NewExports, Opened,
    RequestsEnd, StoreError,
};
use uuid::Uuid;

use crate::support::{World, at, bounded, record};

fn person(n: usize) -> PersonId {
    format!("p{n}").parse().unwrap()
}

fn new_ids(n: usize) -> Vec<RequestId> {
    (0..n).map(|_| RequestId::new(Uuid::now_v7())).collect()
}

/// Tells a workspace of so many people.
async fn tell_of(world: &World, n: usize) {
    let fields = Fields::new(std::iter::empty::<&CustomField>());
    let people: Vec<PersonUpsert> = (0..n)
        .map(|n| {
            let json = serde_json::json!({"id": person(n), "version": 1, "email": format!("p{n}@example.com")});
            let input = serde_json::from_value::<PersonInput>(json).unwrap();
            input.check(&fields).unwrap()
        })
        .collect();
    let upserted = world.store.upsert_people(world.workspace, &people, at(0));
    upserted.await.unwrap();
}

/// The same, with an export of each asked for.
async fn asked_for(world: &World, n: usize) -> Vec<RequestId> {
    tell_of(world, n).await;
    let requests = new_ids(n);
    let people: Vec<(RequestId, PersonId)> =
        requests.iter().copied().zip((0..n).map(person)).collect();
    let new = NewExports {
        workspace: world.workspace,
        kind: RequestKind::Manual,
        people: &people,
        include_earlier: false,
        anew: false,
        bulk: None,
    };
    world.store.request_exports(&new, at(1)).await.unwrap();
    requests
}

/// A workspace with five people, and a bulk export of them that waits for somebody to confirm; the last one
/// would be left out.
async fn waiting() -> (World, BulkRow) {
    let (world, _) = World::connected().await;
    tell_of(&world, 5).await;
    let store = &world.store;
    let whom = BulkWhom::People {
        people: (0..5).chain(0..5).map(person).collect(),
    };
    let new = NewBulk {
        bulk: BulkId::new(Uuid::now_v7()),
        workspace: world.workspace,
        portal: world.portal,
        whom: &whom,
        include_earlier: true,
    };
    let row = store.begin_bulk(&new, at(1)).await.unwrap();
    assert_eq!((row.state, row.people), (BulkState::Previewing, 5));
    // The same call again.
    assert_eq!(store.begin_bulk(&new, at(2)).await.unwrap().people, 5);
    let listed = store.bulk_people(&row, 10).await.unwrap();
    assert_eq!(listed.len(), 5);
    assert!(
        listed
            .iter()
            .all(|p| p.person.is_some() && !p.exported && !p.has_contact)
    );
    let preview = BulkPreview {
        create: 4,
        update: 0,
        skipped: [(SkipReason::NotContacted, 1)].into(),
    };
    let people: Vec<(PersonId, bool)> = (0..5).map(|n| (person(n), n == 4)).collect();
    let planned = BulkPlanned {
        to: Some(&person(4)),
        people: &people,
        preview: &preview,
        finished: true,
    };
    assert!(store.bulk_planned(&row, &planned).await.unwrap());
    // Whoever lost it writes nothing.
    assert!(!store.bulk_planned(&row, &planned).await.unwrap());
    let row = store
        .bulk(world.workspace, row.bulk)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.state, BulkState::WaitingForConfirmation);
    assert_eq!(row.preview, preview);
    let first = store.bulk_first(row.bulk, 10).await.unwrap();
    assert_eq!(first, (0..4).map(person).collect::<Vec<_>>());
    (world, row)
}

async fn confirmed() -> (World, BulkRow) {
    let (world, row) = waiting().await;
    let none = world.store.take_bulk_people(&row, &new_ids(2), at(3)).await;
    assert!(none.unwrap().is_none(), "nobody before it is confirmed");
    let row = world
        .store
        .confirm_bulk(world.workspace, row.bulk, at(4))
        .await;
    let row = row.unwrap().unwrap();
    assert_eq!(
        (row.state, row.confirmed_at),
        (BulkState::Running, Some(at(4)))
    );
    (world, row)
}

#[tokio::test]
async fn counts_follow_each_request_whoever_turns_it() {
    bounded(async {
        let (world, row) = confirmed().await;
        let store = &world.store;
        let now = || store.bulk(world.workspace, row.bulk);
        let taken = store.take_bulk_people(&row, &new_ids(2), at(5)).await;
        let taken = taken.unwrap().unwrap();
        let people: Vec<&PersonId> = taken.going_on.iter().map(|(_, p)| p).collect();
        assert_eq!(people, [&person(0), &person(1)]);
        let at_first = store
            .bulk_counts(&now().await.unwrap().unwrap())
            .await
            .unwrap();
        assert_eq!(
            (at_first.begun, at_first.going_on, at_first.not_begun),
            (2, 2, 3)
        );
        // Nobody else is to look after them.
        let due = store
            .due_exports(std::time::Duration::ZERO, 10, &[])
            .await
            .unwrap();
        assert_eq!(due, []);
        assert_eq!(
            store.bulk_rest(row.bulk, None, 10).await.unwrap(),
            taken.going_on
        );

        let (first, second) = (taken.going_on[0].0, taken.going_on[1].0);
        let end = ExportEnd {
            person: person(0),
            contact: record(7),
            status_said: None,
            look_again: Some((record(8), std::time::Duration::from_secs(60))),
            requests: vec![first],
            end: RequestsEnd {
                error_code: Some("HS-3005"),
                properties: vec!["city".to_owned(), "zip".to_owned()],
            },
        };
        store
            .end_exported(world.workspace, world.portal, &[end])
            .await
            .unwrap();
        let ended = store
            .export_request(world.workspace, first)
            .await
            .unwrap()
            .unwrap();
        let hubspot_id: HubSpotObjectId = record(7);
        assert_eq!(ended.outcome, RequestOutcome::Exported { hubspot_id });
        assert_eq!(ended.properties, ["city", "zip"]);
        assert_eq!(world.count("select count(*) from export_recheck").await, 1);
        store
            .skip_requests(world.workspace, &[second], SkipReason::NotContacted)
            .await
            .unwrap();
        let counts = store
            .bulk_counts(&now().await.unwrap().unwrap())
            .await
            .unwrap();
        assert_eq!((counts.exported, counts.going_on), (1, 0));
        assert_eq!(counts.skipped, [(SkipReason::NotContacted, 1)].into());

        // An erased person's request ends, and who was not begun with is no part of it any more.
        for n in [0, 3] {
            let target = EraseTarget {
                person: Some(person(n)),
                email: None,
            };
            store
                .erase_person(world.workspace, &target, at(6))
                .await
                .unwrap();
        }
        let counts = store
            .bulk_counts(&now().await.unwrap().unwrap())
            .await
            .unwrap();
        assert_eq!((counts.exported, counts.not_begun), (0, 2));
        assert_eq!(counts.skipped[&SkipReason::Erased], 1);

        // Those who would be left out come last, and then nobody is left.
        let taken = store.take_bulk_people(&row, &new_ids(9), at(7)).await;
        let taken = taken.unwrap().unwrap();
        assert_eq!(taken.taken, 2);
        assert!(!store.end_bulk(&row, at(8)).await.unwrap());
        let requests: Vec<RequestId> = taken.going_on.iter().map(|(id, _)| *id).collect();
        store
            .hand_over_requests(world.workspace, &requests)
            .await
            .unwrap();
        assert_eq!(store.bulk_rest(row.bulk, None, 10).await.unwrap(), []);
        let due = store
            .due_exports(std::time::Duration::ZERO, 10, &[])
            .await
            .unwrap();
        assert_eq!(due.len(), 2);
        assert!(store.end_bulk(&row, at(9)).await.unwrap());
        let over = now().await.unwrap().unwrap();
        assert_eq!((over.state, over.ended_at), (BulkState::Done, Some(at(9))));
        let counts = store.bulk_counts(&over).await.unwrap();
        assert_eq!((counts.begun, counts.going_on, counts.not_begun), (4, 2, 0));
        assert_eq!(counts.ended() + counts.going_on, counts.begun);
    })
    .await;
}

#[tokio::test]
async fn cancelled_it_begins_with_nobody_any_more() {
    bounded(async {
        let (world, row) = waiting().await;
        let store = &world.store;
        let over = store.cancel_bulk(world.workspace, row.bulk, at(4)).await;
        let over = over.unwrap().unwrap();
        assert_eq!(
            (over.state, over.ended_at),
            (BulkState::Cancelled, Some(at(4)))
        );
        assert_eq!(store.bulk_counts(&over).await.unwrap().not_begun, 5);
        let late = store.confirm_bulk(world.workspace, row.bulk, at(5)).await;
        assert_eq!(late.unwrap().unwrap().state, BulkState::Cancelled);

        let (world, row) = confirmed().await;
        let store = &world.store;
        let taken = store.take_bulk_people(&row, &new_ids(2), at(5)).await;
        let taken = taken.unwrap().unwrap();
        let row = store.cancel_bulk(world.workspace, row.bulk, at(6)).await;
        let row = row.unwrap().unwrap();
        assert_eq!(row.state, BulkState::Cancelling);
        let none = store.take_bulk_people(&row, &new_ids(2), at(7)).await;
        assert!(none.unwrap().is_none());
        assert!(!store.end_bulk(&row, at(8)).await.unwrap());
        let requests: Vec<RequestId> = taken.going_on.iter().map(|(id, _)| *id).collect();
        store
            .skip_requests(world.workspace, &requests, SkipReason::NoEmail)
            .await
            .unwrap();
        assert!(store.end_bulk(&row, at(9)).await.unwrap());
        let over = store
            .bulk(world.workspace, row.bulk)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(over.state, BulkState::Cancelled);
        let counts = store.bulk_counts(&over).await.unwrap();
        assert_eq!((counts.begun, counts.not_begun), (2, 3));
        assert_eq!(
            store
                .bulk(world.workspace, BulkId::new(Uuid::now_v7()))
                .await
                .unwrap()
                .map(|r| r.bulk),
            None
        );
    })
    .await;
}

#[tokio::test]
async fn a_run_is_due_while_its_portal_is_connected() {
    bounded(async {
        let (world, row) = confirmed().await;
        let store = &world.store;
        let due = async || {
            let due = store
                .due_bulks(std::time::Duration::ZERO, 10)
                .await
                .unwrap();
            due.iter().map(|d| d.bulk).collect::<Vec<_>>()
        };
        assert_eq!(due().await, [row.bulk]);
        let tomorrow = store.clock().await.unwrap() + chrono::TimeDelta::days(1);
        store
            .put_off_bulk(world.workspace, row.bulk, tomorrow)
            .await
            .unwrap();
        assert_eq!(due().await, []);
        store
            .put_off_bulk(world.workspace, row.bulk, at(5))
            .await
            .unwrap();
        world.disconnect(at(6)).await;
        assert_eq!(due().await, []);
    })
    .await;
}

#[tokio::test]
async fn a_batch_writes_only_about_people_whom_it_holds() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let store = &world.store;
        tell_of(&world, 3).await;
        let single = store
            .take_writer(world.workspace, &person(1))
            .await
            .unwrap();
        assert!(single.is_some());
        let all: Vec<PersonId> = (0..3).map(person).collect();
        let holds = store.take_writers(world.workspace, &all).await.unwrap();
        let held: Vec<&PersonId> = holds.iter().map(|hold| &hold.person).collect();
        assert_eq!(held, [&person(0), &person(2)]);
        assert!(
            store
                .take_writer(world.workspace, &person(0))
                .await
                .unwrap()
                .is_none()
        );

        let now = store.clock().await.unwrap();
        let entry = |n: usize| {
            Entry::open(
                EntryId::new(Uuid::now_v7()),
                Subject::Person(person(n)),
                Cause::Request(RequestKind::Bulk),
                Operation::Create(domain::ObjectType::Contact),
                &[],
                now,
            )
        };
        let entries = [entry(0), entry(2)];
        let erased = EraseTarget {
            person: Some(person(2)),
            email: None,
        };
        store
            .erase_person(world.workspace, &erased, at(1))
            .await
            .unwrap();
        let new: Vec<NewEntry<'_>> = holds
            .iter()
            .zip(&entries)
            .map(|(hold, entry)| NewEntry {
                hold,
                entry,
                guard: None,
            })
            .collect();
        let opened = store
            .open_entries_together(world.workspace, world.portal, connected.epoch, &new)
            .await;
        assert_eq!(opened.unwrap(), [Opened::Open, Opened::Lost]);
        let open = store
            .open_entries_of(world.workspace, world.portal, &all)
            .await
            .unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!(open[&person(0)].as_ref().unwrap()[0].id, entries[0].id);
        store
            .give_writers_back(world.workspace, &holds)
            .await
            .unwrap();
        assert!(
            store
                .take_writer(world.workspace, &person(0))
                .await
                .unwrap()
                .is_some()
        );
        // Whoever gave it back writes no more.
        let opened = store
            .open_entries_together(world.workspace, world.portal, connected.epoch, &new)
            .await;
        assert_eq!(opened.unwrap(), [Opened::Lost, Opened::Lost]);
        let old = domain::Epoch::new(connected.epoch.get() + 1);
        let fenced = store
            .open_entries_together(world.workspace, world.portal, old, &new)
            .await;
        assert_eq!(fenced.unwrap(), [Opened::Fenced, Opened::Fenced]);
    })
    .await;
}

/// X1: an entry that cannot be read holds up whom it is about, and nobody else of the batch.
#[tokio::test]
async fn an_entry_that_cannot_be_read_harms_only_its_person() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let store = &world.store;
        tell_of(&world, 3).await;
        let all: Vec<PersonId> = (0..3).map(person).collect();
        let holds = store.take_writers(world.workspace, &all).await.unwrap();
        let now = store.clock().await.unwrap();
        let entries = [0, 1].map(|n| {
            Entry::open(
                EntryId::new(Uuid::now_v7()),
                Subject::Person(person(n)),
                Cause::Request(RequestKind::Bulk),
                Operation::Create(domain::ObjectType::Contact),
                &[],
                now,
            )
        });
        let new: Vec<NewEntry<'_>> = holds
            .iter()
            .zip(&entries)
            .map(|(hold, entry)| NewEntry {
                hold,
                entry,
                guard: None,
            })
            .collect();
        let opened = store
            .open_entries_together(world.workspace, world.portal, connected.epoch, &new)
            .await;
        assert_eq!(opened.unwrap(), [Opened::Open, Opened::Open]);
        let spoilt = sqlx::query("update export_journal set operation = '{}' where entry_id = $1")
            .bind(entries[1].id.as_uuid())
            .execute(&world.raw)
            .await;
        assert_eq!(spoilt.unwrap().rows_affected(), 1);
        let open = store
            .open_entries_of(world.workspace, world.portal, &all)
            .await
            .unwrap();
        assert_eq!(open[&person(0)].as_ref().unwrap()[0].id, entries[0].id);
        assert!(matches!(open[&person(1)], Err(StoreError::Unreadable(_))));
        assert!(!open.contains_key(&person(2)));
    })
    .await;
}

/// Two who take get different people; who was taken is due again in a while, and nobody else is.
#[tokio::test]
async fn who_is_due_is_taken_once_and_due_again() {
    bounded(async {
        let (world, _) = World::connected().await;
        asked_for(&world, 3).await;
        let store = &world.store;
        let minute = std::time::Duration::from_secs(60);
        let due = async |but: &[WorkspaceId]| {
            let due = store.due_exports(std::time::Duration::ZERO, 10, but).await;
            due.unwrap().len()
        };
        assert_eq!(due(&[]).await, 3);
        assert_eq!(due(&[world.workspace]).await, 0);
        let (one, other) = tokio::join!(
            store.take_due(world.workspace, 2, minute),
            store.take_due(world.workspace, 2, minute),
        );
        let mut taken = one.unwrap();
        taken.extend(other.unwrap());
        taken.sort_unstable();
        assert_eq!(taken, (0..3).map(person).collect::<Vec<_>>());
        assert_eq!(due(&[]).await, 0);
        let now = std::time::Duration::ZERO;
        assert!(store.take_due(world.workspace, 9, now).await.unwrap().is_empty());
        world
            .count("with later as (update export_request set due_at = due_at - interval '61 seconds' returning 1) select count(*) from later")
            .await;
        assert_eq!(store.take_due(world.workspace, 9, now).await.unwrap().len(), 3);
    })
    .await;
}

/// Whoever takes what waited for its time finds it ready, although it is due again only in a while.
#[tokio::test]
async fn what_waited_is_ready_for_whoever_takes_it() {
    bounded(async {
        let (world, _) = World::connected().await;
        let requests = asked_for(&world, 2).await;
        let store = &world.store;
        let zero = std::time::Duration::ZERO;
        // Looks for what may have landed are no attempts.
        for (reason, code) in [
            (WaitReason::OutcomeUnknown, Some("HS-3008")),
            (WaitReason::TriedAgainLater, None),
        ] {
            let looked = store.park_requests(world.workspace, &requests, reason, Some(zero), code);
            looked.await.unwrap();
        }
        let parked = store.park_requests(
            world.workspace,
            &requests,
            WaitReason::TriedAgainLater,
            Some(zero),
            Some("HS-3002"),
        );
        parked.await.unwrap();
        let minute = std::time::Duration::from_secs(60);
        let taken = store.take_due(world.workspace, 9, minute).await.unwrap();
        assert_eq!(taken, [person(0), person(1)]);
        for person in &taken {
            let facts = store.drain_facts(world.workspace, world.portal, person);
            let pending = facts.await.unwrap().pending;
            assert_eq!(pending.len(), 1);
            assert!(pending[0].ready);
            // How often it was tried is not forgotten.
            assert_eq!(pending[0].attempts, 1);
        }
    })
    .await;
}
