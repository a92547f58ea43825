//! The periodic sync: its readings and how fresh the types are.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    HubSpotObjectId, ReadOutcome, ReadPlan, SyncType,
    settings::{Settings, SettingsRevision},
};
use store::{CursorKey, CursorRow, Freshness, NewPeriodic, PageOutcome, PeriodicType, Step};

use crate::support::{Commit as _, Page, Reader, World, at, committed, run_id};

const HOUR: Duration = Duration::from_secs(3_600);

impl World {
    /// Reads a type to its end by the initial run, which began at that moment by HubSpot's clock.
    async fn hand_over(&self, sync_type: SyncType, began: DateTime<Utc>) -> Reader {
        let reader = self.reader(sync_type, began).await;
        let page = Page {
            finished: true,
            position: None,
            ..self.page(reader, 0)
        };
        assert_eq!(
            self.store.commit_page(page, at(60)).await.unwrap(),
            committed(1)
        );
        reader
    }

    async fn known(&self, sync_type: SyncType) -> Option<PeriodicType> {
        let all = self.store.periodic_types(self.workspace, self.portal, HOUR);
        all.await
            .unwrap()
            .into_iter()
            .find(|t| t.sync_type == sync_type)
    }

    async fn fresh(&self, sync_type: SyncType) -> Freshness {
        let all = self.store.freshness(self.workspace, self.portal).await;
        let mut all = all.unwrap().into_iter();
        all.find(|f| f.sync_type == sync_type).unwrap()
    }

    fn periodic(&self, sync_type: SyncType) -> CursorKey {
        CursorKey::periodic(self.workspace, self.portal, sync_type)
    }

    async fn begin_periodic(&self, sync_type: SyncType, since: i64) -> CursorRow {
        let new = NewPeriodic {
            key: self.periodic(sync_type),
            plan: ReadPlan::ModifiedSince { since: at(since) },
            read_began_at: at(20),
            slow: false,
        };
        self.store.begin_periodic(&new).await.unwrap().unwrap()
    }

    /// A page of the periodic sync without records.
    async fn turn(
        &self,
        reader: Reader,
        version: i64,
        newest: Option<i64>,
        unanswered: &[i64],
    ) -> PageOutcome {
        let (step, mut batch) = self.page(reader, version).split();
        let key = self.periodic(reader.sync_type);
        let step = Step {
            run: None,
            purpose: key.purpose,
            newest: newest.map(at),
            // The reading begins with its first page.
            served_at: Some(at(100)),
            ..step
        };
        let ids = unanswered
            .iter()
            .map(|id| HubSpotObjectId::new(*id).unwrap());
        batch.unanswered = ids.collect();
        self.store.commit(&step, batch, at(70)).await.unwrap()
    }
}

#[tokio::test]
async fn a_type_is_handed_over_when_a_run_has_read_it() {
    let (world, _) = World::connected().await;
    assert_eq!(world.known(SyncType::Contacts).await, None);
    let reader = world.reader(SyncType::Contacts, at(20)).await;
    assert_eq!(world.known(SyncType::Contacts).await, None);
    let page = Page {
        finished: true,
        ..world.page(reader, 0)
    };
    world.store.commit_page(page, at(60)).await.unwrap();
    let known = world.known(SyncType::Contacts).await.unwrap();
    assert_eq!(known.fresh_to, at(20));
    assert!(!known.sweep_due && !known.busy, "{known:?}");
    // What the run has yet to read is its own; of what it never read nothing is known.
    assert_eq!(world.known(SyncType::Deals).await, None);
}

#[tokio::test]
async fn a_run_that_reads_a_type_again_keeps_it_to_itself() {
    let (world, _) = World::connected().await;
    let reader = world.hand_over(SyncType::Contacts, at(20)).await;
    world.store.finish_run(reader.run, at(61)).await.unwrap();
    let request = crate::support::resync(&[SyncType::Contacts], domain::ResyncMode::FromScratch);
    world
        .store
        .request_resync(world.workspace, &request, run_id(2), at(70))
        .await
        .unwrap();
    assert!(!world.known(SyncType::Contacts).await.unwrap().busy);
    let again = world.reader(SyncType::Contacts, at(80)).await;
    assert!(world.known(SyncType::Contacts).await.unwrap().busy);
    let page = Page {
        finished: true,
        ..world.page(again, 0)
    };
    world.store.commit_page(page, at(90)).await.unwrap();
    let known = world.known(SyncType::Contacts).await.unwrap();
    assert_eq!((known.busy, known.fresh_to), (false, at(80)));
}

#[tokio::test]
async fn a_reading_goes_on_where_it_was_and_is_fresh_at_its_end() {
    let (world, _) = World::connected().await;
    let reader = world.hand_over(SyncType::Contacts, at(20)).await;
    let begun = world.begin_periodic(SyncType::Contacts, 10).await;
    assert_eq!(begun.outcome, ReadOutcome::Reading);
    assert_eq!(
        world.turn(reader, begun.version, Some(95), &[]).await,
        committed(begun.version + 1)
    );
    // Interrupted: whoever begins now goes on, from the same bound.
    let again = world.begin_periodic(SyncType::Contacts, 90).await;
    assert_eq!(again.plan, ReadPlan::ModifiedSince { since: at(10) });
    assert_eq!(again.version, begun.version + 1);
    assert_eq!(world.fresh(SyncType::Contacts).await.fresh_to, at(20));

    let key = world.periodic(SyncType::Contacts);
    world.store.finish_type(&key).await.unwrap();
    let known = world.known(SyncType::Contacts).await.unwrap();
    assert_eq!((known.fresh_to, known.seen_to), (at(100), Some(at(95))));
    let last = world
        .store
        .last_read_began(world.workspace, world.portal, SyncType::Contacts);
    assert_eq!(last.await.unwrap(), Some(at(100)));
    assert_eq!(
        world.fresh(SyncType::Contacts).await.outcome,
        Some(ReadOutcome::Finished)
    );

    // A late page of that reading finds nothing to hold on to, and the version never goes back.
    let next = world.begin_periodic(SyncType::Contacts, 90).await;
    assert!(next.version > again.version);
    assert_eq!(
        world.turn(reader, again.version, None, &[]).await,
        PageOutcome::LostCursor
    );
}

#[tokio::test]
async fn what_was_not_answered_stays_noted_and_keeps_nothing_else_from_being_fresh() {
    let (world, _) = World::connected().await;
    let reader = world.hand_over(SyncType::Contacts, at(20)).await;
    let key = world.periodic(SyncType::Contacts);
    let begun = world.begin_periodic(SyncType::Contacts, 10).await;
    world.turn(reader, begun.version, None, &[7]).await;
    world.store.finish_type(&key).await.unwrap();
    let fresh = world.fresh(SyncType::Contacts).await;
    assert_eq!(fresh.outcome, Some(ReadOutcome::Incomplete));
    assert_eq!((fresh.fresh_to, fresh.unanswered), (at(100), 1));
    // The next reading asks again.
    world.begin_periodic(SyncType::Contacts, 90).await;
    let open = world.store.unanswered(&key, None, 10).await.unwrap();
    assert_eq!(open, [HubSpotObjectId::new(7).unwrap()]);

    // What an index counted and did not give is another matter: the same window is read again.
    world.store.note_unanswered(&key, 3).await.unwrap();
    world.store.finish_type(&key).await.unwrap();
    assert_eq!(world.fresh(SyncType::Contacts).await.fresh_to, at(100));
}

#[tokio::test]
async fn the_long_window_is_due_an_hour_after_the_last() {
    let (world, _) = World::connected().await;
    world.hand_over(SyncType::Contacts, at(20)).await;
    assert!(!world.known(SyncType::Contacts).await.unwrap().sweep_due);
    sqlx::query("update sync_freshness set swept_at = swept_at - interval '61 minutes'")
        .execute(&world.raw)
        .await
        .unwrap();
    assert!(world.known(SyncType::Contacts).await.unwrap().sweep_due);
    let key = world.periodic(SyncType::Contacts);
    world.begin_periodic(SyncType::Contacts, 10).await;
    world.store.finish_type(&key).await.unwrap();
    assert!(world.known(SyncType::Contacts).await.unwrap().sweep_due);
    let slow = NewPeriodic {
        key,
        plan: ReadPlan::ModifiedSince { since: at(0) },
        read_began_at: at(200),
        slow: true,
    };
    assert!(
        world
            .store
            .begin_periodic(&slow)
            .await
            .unwrap()
            .unwrap()
            .slow
    );
    world.store.finish_type(&key).await.unwrap();
    assert!(!world.known(SyncType::Contacts).await.unwrap().sweep_due);
}

#[tokio::test]
async fn ages_are_alarms_after_three_intervals() {
    let (world, _) = World::connected().await;
    world.hand_over(SyncType::Contacts, at(20)).await;
    let every = [(SyncType::Contacts, Duration::from_secs(600))];
    world
        .store
        .note_intervals(world.workspace, world.portal, &every)
        .await
        .unwrap();
    let fresh = world.fresh(SyncType::Contacts).await;
    assert_eq!(fresh.every, Some(Duration::from_secs(600)));
    assert!(fresh.age < TimeDelta::minutes(1), "{fresh:?}");
    let stale = async || {
        let watched = world.store.watched().await.unwrap().freshness;
        watched.first().map(|(of, stale, _)| (*of, *stale))
    };
    assert_eq!(stale().await, Some((SyncType::Contacts, 0)));
    sqlx::query("update sync_freshness set read_at = read_at - interval '31 minutes'")
        .execute(&world.raw)
        .await
        .unwrap();
    assert_eq!(stale().await, Some((SyncType::Contacts, 1)));
    // What is not imported is not late.
    world
        .store
        .note_intervals(world.workspace, world.portal, &[])
        .await
        .unwrap();
    assert_eq!(stale().await, None);
    assert_eq!(world.fresh(SyncType::Contacts).await.every, None);
}

#[tokio::test]
async fn an_import_that_is_turned_on_again_reads_what_was_never_read() {
    let (world, _) = World::connected().await;
    let reader = world.hand_over(SyncType::Contacts, at(20)).await;
    world.store.finish_run(reader.run, at(61)).await.unwrap();
    let import = |enabled| {
        let mut settings = Settings::empty();
        settings.import.enabled = enabled;
        settings
    };
    let save = async |revision: u64, enabled, run| {
        let expected = SettingsRevision::new(revision);
        world
            .store
            .save_settings(
                world.workspace,
                expected,
                &import(enabled),
                run,
                run_id(90 + u128::from(revision)),
                at(70),
            )
            .await
            .unwrap();
    };
    save(0, false, run_id(2)).await;
    assert_eq!(world.store.run(run_id(2)).await.unwrap(), None);
    save(1, true, run_id(3)).await;
    let run = world.store.run(run_id(3)).await.unwrap().unwrap();
    assert_eq!(
        run.types,
        [SyncType::Companies, SyncType::Deals, SyncType::Lists]
    );
    // It waits: once more is no second one.
    save(2, false, run_id(4)).await;
    save(3, true, run_id(5)).await;
    assert_eq!(world.store.run(run_id(5)).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_not_answered_is_due_again_before_the_schedule_and_ever_later() {
    let (world, _) = World::connected().await;
    let reader = world.hand_over(SyncType::Contacts, at(20)).await;
    let key = world.periodic(SyncType::Contacts);
    let waits = |times| (times < 3).then_some(Duration::ZERO);
    let note = || {
        let types = &[SyncType::Contacts, SyncType::Deals];
        world
            .store
            .note_again(world.workspace, world.portal, types, waits)
    };
    let due = async || {
        let due = world.store.again_to_sweep(None, 10).await.unwrap();
        let mut due = due.into_iter();
        due.next().map(|due| due.row.unwrap())
    };
    let wanted = store::DueAgain {
        portal: world.portal,
        types: vec![SyncType::Contacts],
    };
    let begun = world.begin_periodic(SyncType::Contacts, 10).await;
    // Nothing is noted of a reading under way.
    assert!(note().await.unwrap().is_empty());
    world.turn(reader, begun.version, None, &[7]).await;
    world.store.finish_type(&key).await.unwrap();
    for times in 1..=3 {
        let again = note().await.unwrap();
        assert_eq!(again.is_empty(), times == 3, "{times}");
        assert_eq!(due().await, (times < 3).then(|| wanted.clone()), "{times}");
    }
    // It is asked; answered, it is over, and counts from one again.
    world.begin_periodic(SyncType::Contacts, 90).await;
    assert_eq!(due().await, None);
    let seven = HubSpotObjectId::new(7).unwrap();
    sqlx::query("delete from sync_unanswered where object_id = $1")
        .bind(seven.get())
        .execute(&world.raw)
        .await
        .unwrap();
    world.store.finish_type(&key).await.unwrap();
    assert!(note().await.unwrap().is_empty());
    world.begin_periodic(SyncType::Contacts, 90).await;
    world.store.note_unanswered(&key, 1).await.unwrap();
    world.store.finish_type(&key).await.unwrap();
    assert_eq!(note().await.unwrap(), [SyncType::Contacts]);
    assert_eq!(due().await, Some(wanted.clone()));
    assert!(
        world
            .store
            .again_to_sweep(Some(world.workspace), 10)
            .await
            .unwrap()
            .is_empty()
    );
    world
        .store
        .asks_again(world.workspace, &wanted)
        .await
        .unwrap();
    assert_eq!(due().await, None);
}

#[tokio::test]
async fn a_long_window_that_finds_none_of_the_known_records_is_told() {
    let (world, _) = World::connected().await;
    let reader = world.reader(SyncType::Contacts, at(20)).await;
    let rows = (1..=12).map(|id| crate::support::row(id, 30, "{}"));
    let mut rows: Vec<_> = rows.collect();
    // Archived, before the window, and too new for an index.
    rows[0].archived = true;
    rows[1].modified_at = at(-900);
    rows[2].modified_at = at(3_550);
    let page = Page {
        rows,
        finished: true,
        position: None,
        ..world.page(reader, 0)
    };
    world.store.commit_page(page, at(60)).await.unwrap();
    let key = world.periodic(SyncType::Contacts);
    let sight = async |slow, newest: Option<i64>| {
        let new = NewPeriodic {
            key,
            plan: ReadPlan::ModifiedSince { since: at(0) },
            read_began_at: at(3_600),
            slow,
        };
        let begun = world.store.begin_periodic(&new).await.unwrap().unwrap();
        world.turn(reader, begun.version, newest, &[]).await;
        let sight = world.store.sight(&key).await.unwrap();
        world.store.finish_type(&key).await.unwrap();
        (sight.saw, sight.known)
    };
    assert_eq!(sight(true, None).await, (false, 9));
    assert_eq!(sight(false, None).await, (false, 0));
    assert_eq!(sight(true, Some(30)).await, (true, 0));

    let (store, workspace, portal) = (&world.store, world.workspace, world.portal);
    let none = || store.none_found(workspace, portal);
    let changes = || world.count("select coalesce(max(changed), 0)::bigint from type_alarm");
    store
        .note_some_found(workspace, portal, SyncType::Contacts)
        .await
        .unwrap();
    assert_eq!(changes().await, 0, "nothing was told");
    store
        .note_none_found(workspace, portal, SyncType::Contacts, 9)
        .await
        .unwrap();
    let first = changes().await;
    assert!(first > 0);
    store
        .note_none_found(workspace, portal, SyncType::Contacts, 9)
        .await
        .unwrap();
    assert_eq!(changes().await, first, "it is told once");
    assert_eq!(none().await.unwrap()[0].known, 9);
    let watched = store.watched().await.unwrap().none_found;
    assert_eq!(watched, [(SyncType::Contacts, 1)]);
    store
        .note_some_found(workspace, portal, SyncType::Contacts)
        .await
        .unwrap();
    assert!(changes().await > first);
    assert!(none().await.unwrap().is_empty());
    assert!(store.watched().await.unwrap().none_found.is_empty());
}
