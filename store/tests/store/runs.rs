//! Runs: asked for, claimed, finished.

use domain::{
    ErrorCode, ReadOutcome, ReadPart, ReadPlan, ResyncMode, ResyncOutcome, ResyncRequest, RunKind,
    SyncType,
};
use store::{PortalStatus, RequestedResync, RunState, StoreError, TypeStatus};

use crate::support::{Commit as _, Reader, World, at, bounded, committed, resync, run_id};

fn made(outcome: ResyncOutcome, id: u128, types: &[SyncType]) -> RequestedResync {
    RequestedResync {
        outcome,
        run: Some(run_id(id)),
        types: types.to_vec(),
    }
}

const fn nothing(outcome: ResyncOutcome) -> RequestedResync {
    RequestedResync {
        outcome,
        run: None,
        types: Vec::new(),
    }
}

fn code(text: &str) -> ErrorCode {
    text.parse().unwrap()
}

fn of(status: &PortalStatus, sync_type: SyncType) -> &TypeStatus {
    status
        .types
        .iter()
        .find(|t| t.progress.object_type == sync_type)
        .unwrap()
}

const ALL: &[SyncType] = &SyncType::OF_RUNS;

/// Connected, and the initial run has read contacts from second 1 to second 2.
async fn read_once() -> World {
    let (world, _) = World::connected().await;
    let reader = world.reader(SyncType::Contacts, at(1)).await;
    world.read_to_the_end(reader, at(2)).await;
    world
}

#[tokio::test]
async fn a_resync_starts_when_nothing_runs() {
    bounded(async {
        let world = read_once().await;
        let since = ResyncMode::Since { since: at(-5) };
        let request = resync(&[SyncType::Deals, SyncType::Contacts], since);
        assert_eq!(
            world.resync(&request, 2, at(3)).await,
            made(
                ResyncOutcome::Started,
                2,
                &[SyncType::Contacts, SyncType::Deals]
            )
        );
        let run = world.store.run(run_id(2)).await.unwrap().unwrap();
        assert_eq!((run.kind, run.mode), (RunKind::Resync, since));
        assert_eq!(run.types, [SyncType::Contacts, SyncType::Deals]);
        assert_eq!((run.state, run.requested_at), (RunState::Queued, at(3)));
    })
    .await;
}

#[tokio::test]
async fn a_resync_that_a_run_covers_makes_none_and_another_is_queued_behind_it() {
    bounded(async {
        let (world, _) = World::connected().await;
        let plan = world.store.claim_run(world.workspace, at(1)).await.unwrap();
        assert!(plan.is_some());
        assert_eq!(
            world.resync(&ResyncRequest::all(), 2, at(2)).await,
            nothing(ResyncOutcome::AlreadyRunning)
        );
        let scratch = resync(&[], ResyncMode::FromScratch);
        assert_eq!(
            world.resync(&scratch, 3, at(3)).await,
            made(ResyncOutcome::Queued, 3, ALL)
        );
        // The queued one has not begun and covers it.
        assert_eq!(
            world.resync(&scratch, 4, at(4)).await,
            nothing(ResyncOutcome::AlreadyRunning)
        );
        assert_eq!(world.count("select count(*) from sync_run").await, 2);
    })
    .await;
}

#[tokio::test]
async fn one_id_makes_one_run_and_gets_one_answer() {
    bounded(async {
        let (world, _) = World::connected().await;
        world.store.claim_run(world.workspace, at(1)).await.unwrap();
        let scratch = resync(&[], ResyncMode::FromScratch);
        for now in [2, 3] {
            assert_eq!(
                world.resync(&scratch, 3, at(now)).await,
                made(ResyncOutcome::Queued, 3, ALL)
            );
        }
        world.store.finish_run(run_id(1), at(4)).await.unwrap();
        let run = world.reader(SyncType::Contacts, at(5)).await;
        assert_eq!(run.run, run_id(3));
        for now in [6, 7] {
            assert_eq!(
                world.resync(&scratch, 3, at(now)).await,
                made(ResyncOutcome::Started, 3, ALL)
            );
        }
        assert_eq!(world.count("select count(*) from sync_run").await, 2);
        let run = world.store.run(run_id(3)).await.unwrap().unwrap();
        assert_eq!(run.requested_at, at(2));
    })
    .await;
}

#[tokio::test]
async fn twenty_concurrent_requests_make_one_run() {
    bounded(async {
        let world = read_once().await;
        let all = std::sync::Arc::new(tokio::sync::Barrier::new(20));
        let callers: Vec<_> = (2..22)
            .map(|id| {
                let (store, workspace) = (world.store.clone(), world.workspace);
                let all = std::sync::Arc::clone(&all);
                tokio::spawn(async move {
                    all.wait().await;
                    store
                        .request_resync(workspace, &ResyncRequest::all(), run_id(id), at(3))
                        .await
                        .unwrap()
                        .outcome
                })
            })
            .collect();
        let mut started = 0;
        for caller in callers {
            match caller.await.unwrap() {
                ResyncOutcome::Started => started += 1,
                other => assert_eq!(other, ResyncOutcome::AlreadyRunning),
            }
        }
        assert_eq!(started, 1);
    })
    .await;
}

#[tokio::test]
async fn a_workspace_that_is_not_connected_is_told_so() {
    bounded(async {
        let world = read_once().await;
        world
            .store
            .raise_fence(world.workspace, at(3))
            .await
            .unwrap();
        for _ in 0..2 {
            assert_eq!(
                world.resync(&ResyncRequest::all(), 2, at(4)).await,
                nothing(ResyncOutcome::NotConnected)
            );
            world
                .store
                .erase_tokens(world.workspace, at(5))
                .await
                .unwrap();
        }
        assert_eq!(world.store.run(run_id(2)).await.unwrap(), None);
        let never = domain::WorkspaceId::new(uuid::Uuid::from_u128(99));
        let error = world
            .store
            .request_resync(never, &ResyncRequest::all(), run_id(2), at(4))
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::NotFound("connection")));
    })
    .await;
}

#[tokio::test]
async fn claiming_is_idempotent_and_takes_the_oldest_first() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let contacts = resync(&[SyncType::Contacts], ResyncMode::FromScratch);
        let deals = resync(&[SyncType::Deals], ResyncMode::FromScratch);
        world.store.claim_run(world.workspace, at(1)).await.unwrap();
        // Asked for later, but with the smaller id.
        assert_eq!(
            world.resync(&deals, 9, at(2)).await.outcome,
            ResyncOutcome::Queued
        );
        assert_eq!(
            world.resync(&contacts, 8, at(3)).await.outcome,
            ResyncOutcome::Queued
        );
        for id in [1, 9, 8] {
            for now in [10, 20] {
                let plan = world
                    .store
                    .claim_run(world.workspace, at(i64::try_from(id).unwrap() * 100 + now))
                    .await
                    .unwrap()
                    .unwrap();
                assert_eq!(plan.run.run, run_id(id));
                assert_eq!(plan.run.state, RunState::Running);
                assert_eq!(plan.epoch, connected.epoch);
                let begun = if id == 1 {
                    at(1)
                } else {
                    at(i64::try_from(id).unwrap() * 100 + 10)
                };
                assert_eq!(plan.run.begun_at, Some(begun));
            }
            world.store.finish_run(run_id(id), at(5000)).await.unwrap();
        }
        assert_eq!(
            world
                .store
                .claim_run(world.workspace, at(6000))
                .await
                .unwrap(),
            None
        );
    })
    .await;
}

async fn last_read(world: &World, sync_type: SyncType) -> Option<chrono::DateTime<chrono::Utc>> {
    world
        .store
        .last_read_began(world.workspace, world.portal, sync_type)
        .await
        .unwrap()
}

#[tokio::test]
async fn finishing_remembers_when_the_reads_had_begun() {
    bounded(async {
        let (world, _) = World::connected().await;
        let store = &world.store;
        let contacts = world.reader(SyncType::Contacts, at(10)).await;
        let unfinished = Reader {
            sync_type: SyncType::Companies,
            ..contacts
        };
        world.begin(unfinished, ReadPlan::List, at(11)).await;
        let deals = Reader {
            sync_type: SyncType::Deals,
            ..contacts
        };
        let scopes = ["crm.objects.deals.read".to_owned()];
        store
            .skip_type(&world.key(deals), &code("HS-3004"), &scopes)
            .await
            .unwrap();
        assert!(
            !store
                .any_run_finished(world.workspace, world.portal)
                .await
                .unwrap()
        );
        world.read_to_the_end(contacts, at(20)).await;
        // Idempotent.
        store.finish_run(contacts.run, at(30)).await.unwrap();
        assert!(
            store
                .any_run_finished(world.workspace, world.portal)
                .await
                .unwrap()
        );
        let run = store.run(contacts.run).await.unwrap().unwrap();
        assert_eq!(
            (run.state, run.finished_at),
            (RunState::Finished, Some(at(20)))
        );
        assert_eq!(last_read(&world, SyncType::Contacts).await, Some(at(10)));
        assert_eq!(last_read(&world, SyncType::Companies).await, None);
        assert_eq!(last_read(&world, SyncType::Deals).await, None);
        let shown = store
            .run_to_show(world.workspace, world.portal)
            .await
            .unwrap();
        assert_eq!(shown, Some(run));
        let status = world.status().await;
        let mut ends: Vec<_> = status
            .types
            .iter()
            .map(|s| (s.progress.object_type, s.progress.finished, s.outcome))
            .collect();
        ends.sort();
        assert_eq!(
            ends,
            [
                (SyncType::Contacts, true, ReadOutcome::Finished),
                (SyncType::Companies, false, ReadOutcome::Reading),
                (SyncType::Deals, true, ReadOutcome::Skipped)
            ]
        );
        let refusals = &of(&status, SyncType::Deals).refusals;
        assert_eq!(
            (refusals[0].part, refusals[0].scopes.as_slice()),
            (ReadPart::Whole, &scopes[..])
        );
    })
    .await;
}

#[tokio::test]
async fn a_run_that_was_interrupted_is_not_finished() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(1)).await;
        world
            .store
            .raise_fence(world.workspace, at(2))
            .await
            .unwrap();
        world.store.finish_run(reader.run, at(3)).await.unwrap();
        let run = world.store.run(reader.run).await.unwrap().unwrap();
        assert_eq!((run.state, run.finished_at), (RunState::Paused, None));
    })
    .await;
}

/// Reads contacts since `since`, from second `began` on, as run `id`.
async fn read_since(world: &World, id: u128, since: i64, began: i64) {
    let mode = ResyncMode::Since { since: at(since) };
    let request = resync(&[SyncType::Contacts], mode);
    assert_eq!(
        world.resync(&request, id, at(began)).await.outcome,
        ResyncOutcome::Started
    );
    let plan = world
        .store
        .claim_run(world.workspace, at(began))
        .await
        .unwrap()
        .unwrap();
    let reader = Reader {
        run: plan.run.run,
        epoch: plan.epoch,
        sync_type: SyncType::Contacts,
    };
    let plan = ReadPlan::ModifiedSince { since: at(since) };
    world.begin(reader, plan, at(began)).await;
    let page = crate::support::Page {
        finished: true,
        ..world.page(reader, 0)
    };
    let outcome = world.store.commit_page(page, at(began)).await.unwrap();
    assert_eq!(outcome, committed(1));
    world
        .store
        .finish_run(reader.run, at(began + 1))
        .await
        .unwrap();
}

/// The next catch-up starts at the last read; what lies before the bound of this one would be lost.
#[tokio::test]
async fn a_read_that_leaves_a_gap_behind_the_last_one_does_not_count_as_the_last() {
    bounded(async {
        let world = read_once().await;
        read_since(&world, 2, 500, 1000).await;
        assert_eq!(last_read(&world, SyncType::Contacts).await, Some(at(1)));
        read_since(&world, 3, 1, 2000).await;
        assert_eq!(last_read(&world, SyncType::Contacts).await, Some(at(2000)));
    })
    .await;
}
