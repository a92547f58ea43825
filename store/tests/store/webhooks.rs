//! What webhooks tell: one row for each record, removed by the read that came after the last telling.

use std::time::Duration;

use domain::{HubSpotObjectId, ObjectType, PortalId, SyncType, WorkspaceId};
use store::{
    Batch, Connected, DueRecord, DueWorkspace, FoundBy, RecordRows, Rows, ToldCommitted,
    ToldReader, ToldRecord,
};
use uuid::Uuid;

use crate::support::{World, at, bounded, connect, portal, record, row, run_id};

/// Due at once.
const NOW: Duration = Duration::ZERO;

fn told(portal: PortalId, object_type: ObjectType, id: i64) -> ToldRecord {
    ToldRecord {
        portal,
        object_type,
        id: record(id),
        privacy: false,
    }
}

fn reader(world: &World, connected: &Connected) -> ToldReader {
    ToldReader {
        workspace: world.workspace,
        portal: world.portal,
        epoch: connected.epoch,
        object_type: ObjectType::Contact,
        sync_type: SyncType::Contacts,
    }
}

fn batch(ids: &[HubSpotObjectId], read: i64) -> Batch {
    let rows = ids
        .iter()
        .map(|id| row(id.get(), read, "{}"))
        .collect::<Vec<_>>();
    let records = RecordRows {
        found_by: FoundBy::Direct,
        rows,
        ..RecordRows::none(ObjectType::Contact)
    };
    Batch::new(at(read), Rows::Records(records), Vec::new())
}

async fn due(world: &World) -> Vec<DueRecord> {
    let due = world.store.due_told(world.workspace, world.portal, 100);
    due.await.unwrap().map(|(_, due)| due).unwrap_or_default()
}

#[tokio::test]
async fn a_record_is_one_row_for_each_workspace_of_its_portal() {
    bounded(async {
        let (world, _) = World::connected().await;
        let other = WorkspaceId::new(Uuid::from_u128(2));
        let gone = WorkspaceId::new(Uuid::from_u128(3));
        for (workspace, run) in [(other, 11), (gone, 12)] {
            world
                .store
                .ensure_workspace(workspace, at(0))
                .await
                .unwrap();
            connect(&world.store, workspace, world.portal, run_id(run), at(0))
                .await
                .unwrap();
        }
        world.store.raise_fence(gone, at(0)).await.unwrap();
        let events = [
            told(world.portal, ObjectType::Contact, 1),
            told(world.portal, ObjectType::Contact, 1),
            told(world.portal, ObjectType::Deal, 1),
            told(portal(99), ObjectType::Contact, 1),
            told(portal(98), ObjectType::Contact, 1),
        ];
        let stored = world.store.note_told(&events, NOW).await.unwrap();
        assert_eq!((stored.records, stored.unknown), (4, 2));
        let mut wake = stored.wake;
        wake.sort_unstable();
        assert_eq!(
            wake,
            [(world.workspace, world.portal), (other, world.portal)]
        );
        // Told again before anybody has begun: no more rows, and nobody else is woken.
        let again = world.store.note_told(&events, NOW).await.unwrap();
        assert_eq!((again.records, again.wake), (4, Vec::new()));
        assert_eq!(world.count("select count(*) from webhook_record").await, 4);
        world.store.begin_told(other, world.portal).await.unwrap();
        let woken = world.store.note_told(&events, NOW).await.unwrap().wake;
        assert_eq!(woken, [(other, world.portal)]);
        // The type of the one that waits longest, and it alone.
        let (object_type, rows) = world
            .store
            .due_told(world.workspace, world.portal, 100)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((object_type, rows.len()), (ObjectType::Contact, 1));
    })
    .await;
}

#[tokio::test]
async fn what_was_told_during_a_read_stays() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let reader = reader(&world, &connected);
        let events = [1, 2, 3].map(|id| told(world.portal, ObjectType::Contact, id));
        world.store.note_told(&events, NOW).await.unwrap();
        let taken = due(&world).await;
        assert_eq!(taken.len(), 3);
        world.store.note_told(&events[1..2], NOW).await.unwrap();
        // Of 3 nothing was answered.
        let answered: Vec<DueRecord> = taken
            .iter()
            .filter(|d| d.id != record(3))
            .copied()
            .collect();
        let ids: Vec<_> = answered.iter().map(|d| d.id).collect();
        let done = world
            .store
            .commit_told(&reader, batch(&ids, 1), &answered, &[], at(1))
            .await
            .unwrap();
        assert_eq!(done, ToldCommitted::Done);
        let left: Vec<i64> = due(&world).await.iter().map(|d| d.id.get()).collect();
        assert_eq!(left, [2, 3]);
        let stored = world
            .store
            .objects_after(world.workspace, world.portal, ObjectType::Contact, None, 10)
            .await
            .unwrap();
        assert_eq!(stored.len(), 2);
        // What is put off is not due; one that was told again meanwhile is.
        let taken = due(&world).await;
        world.store.note_told(&events[2..], NOW).await.unwrap();
        let wait = Duration::from_secs(60);
        let open: Vec<_> = taken.iter().map(|d| (*d, wait)).collect();
        world.store.put_off_told(&reader, &open).await.unwrap();
        let left: Vec<i64> = due(&world).await.iter().map(|d| d.id.get()).collect();
        assert_eq!(left, [3]);
        world
            .store
            .forget_told(&reader, &due(&world).await)
            .await
            .unwrap();
        assert_eq!(due(&world).await, []);
        assert_eq!(
            world
                .count("select attempts::bigint from webhook_record")
                .await,
            1
        );
    })
    .await;
}

#[tokio::test]
async fn a_read_of_an_older_epoch_changes_nothing() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let reader = reader(&world, &connected);
        let event = told(world.portal, ObjectType::Contact, 1);
        world.store.note_told(&[event], NOW).await.unwrap();
        let taken = due(&world).await;
        world.disconnect(at(1)).await;
        let refused = world
            .store
            .commit_told(&reader, batch(&[record(1)], 1), &taken, &[], at(1))
            .await
            .unwrap();
        assert_eq!(refused, ToldCommitted::Fenced);
        assert_eq!(world.count("select count(*) from hubspot_object").await, 0);
        assert_eq!(world.count("select count(*) from webhook_record").await, 1);
        // Nobody is connected: what is told now is nobody's.
        let stored = world.store.note_told(&[event], NOW).await.unwrap();
        assert_eq!((stored.records, stored.unknown), (0, 1));
        // Another portal: what waited of the one before goes.
        world
            .try_connect(portal(5), run_id(9), at(2))
            .await
            .unwrap();
        world
            .store
            .begin_told(world.workspace, portal(5))
            .await
            .unwrap();
        assert_eq!(world.count("select count(*) from webhook_record").await, 0);
    })
    .await;
}

/// Whoever stores a row while a reader begins either wakes somebody, or is seen by that reader.
#[tokio::test]
async fn a_wake_up_is_not_spared_while_the_reader_begins() {
    bounded(async {
        let (world, _) = World::connected().await;
        let first = told(world.portal, ObjectType::Contact, 1);
        assert_eq!(world.store.note_told(&[first], NOW).await.unwrap().wake.len(), 1);
        // A delivery that is being stored: it has seen that somebody is awake.
        let mut storing = world.raw.begin().await.unwrap();
        sqlx::query("select 1 from webhook_wake for share")
            .execute(&mut *storing)
            .await
            .unwrap();
        let (store, workspace, of) = (world.store.clone(), world.workspace, world.portal);
        let begins = tokio::spawn(async move {
            store.begin_told(workspace, of).await.unwrap();
            store.due_told(workspace, of, 10).await.unwrap()
        });
        world.until_blocked(1).await;
        sqlx::query(
            "insert into webhook_record (workspace_id, portal_id, object_type, object_id) values ($1, $2, 1, 2)",
        )
        .bind(world.workspace.as_uuid())
        .bind(world.portal.get())
        .execute(&mut *storing)
        .await
        .unwrap();
        storing.commit().await.unwrap();
        let (_, seen) = begins.await.unwrap().unwrap();
        assert_eq!(seen.len(), 2, "the reader has to wait for it");
    })
    .await;
}

#[tokio::test]
async fn more_is_gathered_before_a_record_is_due() {
    bounded(async {
        let (world, _) = World::connected().await;
        let next = || world.store.next_told_in(world.workspace, world.portal);
        assert_eq!(next().await.unwrap(), None);
        let event = told(world.portal, ObjectType::Contact, 1);
        let minute = Duration::from_secs(60);
        world.store.note_told(&[event], minute).await.unwrap();
        assert_eq!(due(&world).await, []);
        let first = next().await.unwrap().unwrap();
        assert!(first > minute / 2 && first <= minute, "{first:?}");
        // What is told again and again is not put off for ever.
        world.store.note_told(&[event], minute * 10).await.unwrap();
        assert!(next().await.unwrap().unwrap() <= first);
    })
    .await;
}

async fn overdue(
    world: &World,
    after: Option<WorkspaceId>,
    overdue_for: Duration,
) -> Vec<DueWorkspace> {
    let due = world.store.told_to_sweep(after, overdue_for, 10).await;
    due.unwrap()
        .into_iter()
        .map(|due| due.row.unwrap())
        .collect()
}

#[tokio::test]
async fn what_waits_is_found_and_counted() {
    bounded(async {
        let (world, _) = World::connected().await;
        let now = Duration::ZERO;
        assert_eq!(overdue(&world, None, now).await, []);
        assert_eq!(world.store.told_waiting().await.unwrap(), (0, now));
        let events = [1, 2].map(|id| told(world.portal, ObjectType::Contact, id));
        world.store.note_told(&events, NOW).await.unwrap();
        let due = DueWorkspace {
            workspace: world.workspace,
            portal: world.portal,
        };
        assert_eq!(overdue(&world, None, now).await, [due]);
        assert_eq!(overdue(&world, Some(world.workspace), now).await, []);
        let young = Duration::from_secs(60);
        assert_eq!(overdue(&world, None, young).await, []);
        assert_eq!(world.store.told_waiting().await.unwrap().0, 2);
        let next = world.store.next_told_in(world.workspace, world.portal);
        assert_eq!(next.await.unwrap(), Some(now));
        world.disconnect(at(1)).await;
        assert_eq!(overdue(&world, None, now).await, []);
        assert_eq!(
            world.store.forget_all_told(world.workspace).await.unwrap(),
            2
        );
    })
    .await;
}

#[tokio::test]
async fn a_privacy_deletion_is_remembered_and_forgets_at_once() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let reader = reader(&world, &connected);
        let events = [1, 2].map(|id| told(world.portal, ObjectType::Contact, id));
        world.store.note_told(&events, NOW).await.unwrap();
        let both = due(&world).await;
        let ids = [record(1), record(2)];
        world
            .store
            .commit_told(&reader, batch(&ids, 1), &both, &[], at(1))
            .await
            .unwrap();

        // Told with and without it in one delivery, and without it later.
        let private = ToldRecord {
            privacy: true,
            ..events[0]
        };
        world
            .store
            .note_told(&[events[0], private, events[1]], NOW)
            .await
            .unwrap();
        world.store.note_told(&events, NOW).await.unwrap();
        let both = due(&world).await;
        let flags: Vec<(i64, bool)> = both.iter().map(|d| (d.id.get(), d.privacy)).collect();
        assert_eq!(flags, [(1, true), (2, false)]);

        // Nobody forgets what was read later than the answer.
        let nothing = |read| {
            let none = Rows::Records(RecordRows::none(ObjectType::Contact));
            Batch::new(at(read), none, Vec::new())
        };
        let gone = "select count(*) from hubspot_object where gone_at is not null";
        world
            .store
            .commit_told(&reader, nothing(0), &[], &[record(1)], at(1))
            .await
            .unwrap();
        assert_eq!(world.count(gone).await, 0);
        world
            .store
            .commit_told(&reader, nothing(5), &both, &[record(1), record(9)], at(5))
            .await
            .unwrap();
        assert_eq!(world.count(gone).await, 1);
        assert_eq!(
            world
                .count(
                    "select count(*) from hubspot_object where object_id = 1 and properties = '{}'"
                )
                .await,
            1
        );
        assert_eq!(world.count("select count(*) from webhook_record").await, 0);
        // What is still on its way stays out.
        world
            .store
            .commit_told(&reader, batch(&[record(1)], 9), &[], &[], at(9))
            .await
            .unwrap();
        assert_eq!(world.count(gone).await, 1);
    })
    .await;
}
