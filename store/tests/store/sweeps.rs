//! What the sweep sees: everything that is due, in pages, each row by itself.

use chrono::TimeDelta;
use domain::{ConnectionState, WorkspaceId};
use store::{RunState, Store, StoreError, SweptConnection, SweptRun};
use uuid::Uuid;

use crate::support::{World, at, bounded, connect, portal, run_id};

const NO_GRACE: TimeDelta = TimeDelta::zero();

fn workspace(n: u128) -> WorkspaceId {
    WorkspaceId::new(Uuid::from_u128(n))
}

/// Pages of two: all rows, in order.
async fn connections(store: &Store) -> Vec<(WorkspaceId, Result<SweptConnection, StoreError>)> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store
            .connections_to_sweep(after, NO_GRACE, 2)
            .await
            .unwrap();
        let Some(last) = page.last() else {
            return all;
        };
        after = Some(last.workspace);
        all.extend(page.into_iter().map(|swept| (swept.workspace, swept.row)));
    }
}

async fn runs(store: &Store, grace: TimeDelta) -> Vec<SweptRun> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store.runs_to_sweep(after, grace, 2).await.unwrap();
        let Some(last) = page.last() else {
            return all;
        };
        after = Some(last.workspace);
        all.extend(page.into_iter().map(|swept| swept.row.unwrap()));
    }
}

#[tokio::test]
async fn every_connection_that_is_not_over_is_seen_also_behind_a_row_that_cannot_be_read() {
    bounded(async {
        let world = World::new().await;
        let store = &world.store;
        for n in 1..=7 {
            store.ensure_workspace(workspace(n), at(0)).await.unwrap();
            let number = i64::try_from(n).unwrap();
            connect(store, workspace(n), portal(number), run_id(n), at(0))
                .await
                .unwrap();
        }
        store.raise_fence(workspace(2), at(1)).await.unwrap();
        let epoch = store
            .fence_state(workspace(3))
            .await
            .unwrap()
            .unwrap()
            .epoch;
        store
            .mark_needs_reconnect(workspace(3), epoch, at(1))
            .await
            .unwrap();
        store.raise_fence(workspace(4), at(1)).await.unwrap();
        store.erase_tokens(workspace(4), at(1)).await.unwrap();
        // No portal has this number.
        sqlx::query("update connection set portal_id = -1 where workspace_id = $1")
            .bind(workspace(5).as_uuid())
            .execute(&world.raw)
            .await
            .unwrap();

        let seen = connections(store).await;
        let of = |n: u128| {
            seen.iter()
                .find(|(w, _)| *w == workspace(n))
                .map(|(_, row)| row)
        };
        assert_eq!(seen.len(), 6);
        assert!(of(4).is_none(), "disconnected");
        assert!(of(5).unwrap().is_err());
        for (n, state) in [
            (1, ConnectionState::Connected),
            (2, ConnectionState::Disconnecting),
            (3, ConnectionState::NeedsReconnect),
            (7, ConnectionState::Connected),
        ] {
            let row = of(n).unwrap().as_ref().unwrap();
            assert_eq!((row.state, row.settled), (state, true), "{n}");
        }
        let young = store
            .connections_to_sweep(None, TimeDelta::days(36_500), 1)
            .await
            .unwrap();
        assert!(!young[0].row.as_ref().unwrap().settled);

        let due = runs(store, NO_GRACE).await;
        let workspaces: Vec<_> = due.iter().map(|run| run.workspace).collect();
        assert_eq!(workspaces, [1, 6, 7].map(workspace));
        assert!(due.iter().all(|run| run.state == RunState::Queued));
    })
    .await;
}

#[tokio::test]
async fn a_run_that_just_began_and_one_that_was_just_asked_for_are_left_alone() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let grace = TimeDelta::seconds(10);
        let due = || runs(&world.store, grace);
        let [queued] = due().await[..] else {
            panic!("the run waits for long")
        };
        assert_eq!(
            (queued.run, queued.state),
            (connected.run, RunState::Queued)
        );
        let now = chrono::Utc::now();
        world.store.claim_run(world.workspace, now).await.unwrap();
        assert_eq!(due().await, []);
        sqlx::query("update sync_run set begun_at = now() - interval '11 seconds'")
            .execute(&world.raw)
            .await
            .unwrap();
        let [running] = due().await[..] else {
            panic!("the run began long ago")
        };
        assert_eq!(
            (running.state, running.epoch),
            (RunState::Running, connected.epoch)
        );
        world.store.raise_fence(world.workspace, now).await.unwrap();
        assert_eq!(due().await, []);
    })
    .await;
}

#[tokio::test]
async fn old_runs_are_pruned_but_never_the_newest() {
    bounded(async {
        let (world, _) = World::connected().await;
        sqlx::query(
            "insert into sync_run (id, workspace_id, portal_id, kind, mode, types, state,
                                   requested_at, begun_at, finished_at)
             select gen_random_uuid(), $1, 4711, 'resync', 'catch_up', '{}', 'finished', t, t, t
             from (select now() - make_interval(days => n, hours => -1) as t from generate_series(1, 200) n)",
        )
        .bind(world.workspace.as_uuid())
        .execute(&world.raw)
        .await
        .unwrap();
        let prune = |days, keep, limit| {
            let store = world.store.clone();
            async move { store.prune_runs(TimeDelta::days(days), keep, limit).await.unwrap() }
        };
        // 110 are older than 90 days, of which none is among the newest 20.
        assert_eq!(prune(90, 20, 100).await, 100);
        assert_eq!(prune(90, 20, 100).await, 10);
        assert_eq!(prune(90, 20, 100).await, 0);
        assert_eq!(prune(0, 20, 1_000).await, 70);
        let left = world
            .count("select count(*) from sync_run where state = 'finished'")
            .await;
        assert_eq!(left, 20);
        let ever = world.store.any_run_finished(world.workspace, world.portal);
        assert!(ever.await.unwrap());
    })
    .await;
}
