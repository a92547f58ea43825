//! Connecting, and connecting again.

use domain::{ConnectionState, SyncType};
use store::{AuthKind, RefusedConnect, RunState, StoreError};

use crate::support::{Commit as _, Page, World, at, bounded, connect, portal, row, run_id};

#[tokio::test]
async fn a_connection_is_stored_with_its_tokens_and_a_run_of_everything() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let store = &world.store;
        let row = store.connection(world.workspace).await.unwrap().unwrap();
        assert_eq!(row.state, ConnectionState::Connected);
        assert_eq!((row.portal, row.epoch), (world.portal, connected.epoch));
        assert_eq!(row.auth_kind, AuthKind::OAuth);
        assert_eq!(row.scopes, ["crm.objects.contacts.read"]);
        assert_eq!(row.connected_at, at(0));
        let run = store.run(connected.run).await.unwrap().unwrap();
        assert_eq!(run.types, SyncType::OF_RUNS);
        assert_eq!(run.state, RunState::Queued);
    })
    .await;
}

#[tokio::test]
async fn connecting_twice_is_refused_and_changes_nothing() {
    bounded(async {
        let (world, connected) = World::connected().await;
        for other in [world.portal, portal(1)] {
            assert_eq!(
                world.try_connect(other, run_id(2), at(1)).await,
                Err(RefusedConnect::AlreadyConnected(world.portal))
            );
        }
        world
            .store
            .raise_fence(world.workspace, at(2))
            .await
            .unwrap();
        assert_eq!(
            world.try_connect(world.portal, run_id(2), at(3)).await,
            Err(RefusedConnect::Disconnecting)
        );
        assert_eq!(world.store.run(run_id(2)).await.unwrap(), None);
        let fence = world
            .store
            .fence_state(world.workspace)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(fence.epoch, connected.epoch.next());
    })
    .await;
}

#[tokio::test]
async fn of_many_concurrent_connects_one_is_stored() {
    bounded(async {
        let world = World::new().await;
        let all = std::sync::Arc::new(tokio::sync::Barrier::new(8));
        let callers: Vec<_> = (0..8)
            .map(|n| {
                let (store, workspace) = (world.store.clone(), world.workspace);
                let all = std::sync::Arc::clone(&all);
                tokio::spawn(async move {
                    all.wait().await;
                    connect(&store, workspace, portal(n), run_id(1), at(0)).await
                })
            })
            .collect();
        let mut stored = 0;
        for caller in callers {
            stored += u32::from(caller.await.unwrap().is_ok());
        }
        assert_eq!(stored, 1);
        assert_eq!(world.count("select count(*) from sync_run").await, 1);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_workspace_cannot_connect() {
    bounded(async {
        let world = World::new().await;
        let new = store::NewConnection {
            workspace: domain::WorkspaceId::new(uuid::Uuid::from_u128(99)),
            portal: world.portal,
            auth_kind: AuthKind::Static,
            tokens: crate::support::tokens("a", "r"),
            scopes: vec![],
            admin: domain::AdminId::new(uuid::Uuid::from_u128(7)),
            run: run_id(1),
        };
        let error = world
            .store
            .connect_workspace(&new, at(0))
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::NotFound("workspace")));
    })
    .await;
}

#[tokio::test]
async fn a_reconnect_goes_on_with_the_run_that_was_interrupted() {
    bounded(async {
        let (world, first) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(1)).await;
        let page = Page {
            rows: vec![row(1, 1, "{}")],
            ..world.page(reader, 0)
        };
        world.store.commit_page(page, at(2)).await.unwrap();
        world.disconnect(at(3)).await;
        let second = world
            .try_connect(world.portal, run_id(2), at(4))
            .await
            .unwrap();
        assert_eq!(second.run, first.run);
        assert!(second.epoch > first.epoch);
        assert_eq!(world.store.run(run_id(2)).await.unwrap(), None);

        let reader = world.reader(SyncType::Contacts, at(5)).await;
        assert_eq!((reader.run, reader.epoch), (first.run, second.epoch));
        let cursor = world
            .store
            .cursor(&world.key(reader))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((cursor.version, cursor.done), (1, 1));
        assert_eq!(cursor.position.as_deref(), Some("after-0"));
        let run = world.store.run(first.run).await.unwrap().unwrap();
        assert_eq!(run.begun_at, Some(at(1)));
    })
    .await;
}

#[tokio::test]
async fn another_portal_cancels_what_was_interrupted() {
    bounded(async {
        let (world, first) = World::connected().await;
        world.reader(SyncType::Contacts, at(1)).await;
        world.disconnect(at(2)).await;
        let second = world
            .try_connect(portal(1), run_id(2), at(3))
            .await
            .unwrap();
        assert_eq!(second.run, run_id(2));
        let run = world.store.run(first.run).await.unwrap().unwrap();
        assert_eq!(run.state, RunState::Cancelled);
        assert_eq!(run.finished_at, Some(at(3)));
        let plan = world
            .store
            .claim_run(world.workspace, at(4))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (plan.run.run, plan.run.portal, plan.epoch),
            (run_id(2), portal(1), second.epoch)
        );
    })
    .await;
}

#[tokio::test]
async fn a_reconnect_after_a_finished_run_reads_again() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(1)).await;
        world.read_to_the_end(reader, at(2)).await;
        world.disconnect(at(3)).await;
        let second = world
            .try_connect(world.portal, run_id(2), at(4))
            .await
            .unwrap();
        assert_eq!(second.run, run_id(2));
    })
    .await;
}

/// A resync locks the connection and then refers to the workspace; a connect locks the workspace
/// and then the connection. The two must not wait for each other.
#[tokio::test]
async fn a_connect_that_waits_for_a_resync_does_not_hold_it_up() {
    bounded(async {
        let (world, connected) = World::connected().await;
        world
            .store
            .mark_needs_reconnect(world.workspace, connected.epoch, at(1))
            .await
            .unwrap();
        let mut resync = world.raw.begin().await.unwrap();
        sqlx::query("select 1 from connection for update")
            .execute(&mut *resync)
            .await
            .unwrap();
        let reconnect = tokio::spawn({
            let (store, workspace, portal) =
                (world.store.clone(), world.workspace, world.portal);
            async move { connect(&store, workspace, portal, run_id(2), at(2)).await }
        });
        world.until_blocked(1).await;
        sqlx::query(
            "insert into sync_run (id, workspace_id, portal_id, kind, mode, types, state, requested_at)
             select gen_random_uuid(), workspace_id, portal_id, 'resync', 'catch_up', '{owners}', 'queued', now()
             from connection",
        )
        .execute(&mut *resync)
        .await
        .unwrap();
        resync.commit().await.unwrap();
        reconnect.await.unwrap().unwrap();
    })
    .await;
}
