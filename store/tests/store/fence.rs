//! The fence: whatever carries an older epoch is refused.

use chrono::TimeDelta;
use domain::{ConnectionState, ObjectType, SyncType};
use secrecy::SecretString;
use store::{
    LeaseOutcome, ListRow, MembershipPage, OwnerRow, PageOutcome, PipelineRow, PropertyRow,
    Refreshed, Rows, RunState, StoredRefresh,
};

use crate::support::{Commit as _, Page, World, at, bounded, record, row, run_id, text};

#[tokio::test]
async fn nothing_of_an_older_epoch_is_written() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let raised = world
            .store
            .raise_fence(world.workspace, at(1))
            .await
            .unwrap()
            .unwrap();
        assert!(raised.raised_now && raised.epoch > connected.epoch);
        assert_eq!(raised.state, ConnectionState::Disconnecting);
        let again = world
            .store
            .raise_fence(world.workspace, at(2))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((again.raised_now, again.epoch), (false, raised.epoch));

        let store = &world.store;
        let page = Page {
            rows: vec![row(1, 1, "{}")],
            ..world.page(reader, 0)
        };
        let outcomes = [
            store.commit_page(page, at(2)).await.unwrap(),
            store
                .commit_page(
                    world.page(reader, 0).of(Rows::Owners(vec![OwnerRow {
                        id: domain::HubSpotOwnerId::new(1).unwrap(),
                        user_id: None,
                        email: None,
                        first_name: None,
                        last_name: None,
                        archived: false,
                    }])),
                    at(2),
                )
                .await
                .unwrap(),
            store
                .commit_page(
                    world.page(reader, 0).of(Rows::Properties(
                        ObjectType::Contact,
                        vec![PropertyRow {
                            object_type: ObjectType::Contact,
                            name: "phone".to_owned(),
                            definition: "{}".to_owned(),
                        }],
                    )),
                    at(2),
                )
                .await
                .unwrap(),
            store
                .commit_page(
                    world.page(reader, 0).of(Rows::Pipelines(vec![PipelineRow {
                        id: "default".to_owned(),
                        definition: "{}".to_owned(),
                    }])),
                    at(2),
                )
                .await
                .unwrap(),
            store
                .commit_page(
                    world.page(reader, 0).of(Rows::Lists(vec![ListRow {
                        id: record(1),
                        name: "Leads".to_owned(),
                        object_type_id: "0-1".to_owned(),
                        processing_type: "MANUAL".to_owned(),
                        processing_status: "COMPLETE".to_owned(),
                        size: None,
                    }])),
                    at(2),
                )
                .await
                .unwrap(),
            store
                .commit_page(
                    world.page(reader, 0).of(Rows::Members(MembershipPage {
                        list: record(1),
                        members: vec![record(1)],
                    })),
                    at(2),
                )
                .await
                .unwrap(),
        ];
        assert_eq!(outcomes, [PageOutcome::Fenced; 6]);
        for empty in [
            "select count(*) from hubspot_object",
            "select count(*) from hubspot_owner",
            "select count(*) from hubspot_property",
            "select count(*) from hubspot_pipeline",
            "select count(*) from hubspot_list",
            "select count(*) from hubspot_list_member",
        ] {
            assert_eq!(world.count(empty).await, 0, "{empty}");
        }
        let cursor = store.cursor(&world.key(reader)).await.unwrap().unwrap();
        assert_eq!((cursor.version, cursor.position), (0, None));
        let run = store.run(reader.run).await.unwrap().unwrap();
        assert_eq!(run.state, RunState::Paused);
        assert_eq!(store.claim_run(world.workspace, at(3)).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_epoch_from_before_a_reconnect_is_refused_too() {
    bounded(async {
        let (world, _) = World::connected().await;
        let old = world.reader(SyncType::Contacts, at(0)).await;
        world.disconnect(at(1)).await;
        world
            .try_connect(world.portal, run_id(2), at(2))
            .await
            .unwrap();
        let page = Page {
            rows: vec![row(1, 1, "{}")],
            ..world.page(old, 0)
        };
        assert_eq!(
            world.store.commit_page(page, at(3)).await.unwrap(),
            PageOutcome::Fenced
        );
        assert_eq!(world.count("select count(*) from hubspot_object").await, 0);
        assert!(
            world
                .store
                .tokens(world.workspace, old.epoch)
                .await
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn a_workspace_without_connection_has_no_fence() {
    bounded(async {
        let world = World::new().await;
        assert_eq!(
            world
                .store
                .raise_fence(world.workspace, at(1))
                .await
                .unwrap(),
            None
        );
        assert_eq!(
            world.store.fence_state(world.workspace).await.unwrap(),
            None
        );
    })
    .await;
}

#[tokio::test]
async fn a_refresh_in_flight_holds_up_neither_fence_nor_erasing_and_brings_nothing_back() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let (store, workspace) = (&world.store, world.workspace);
        let leased = store.lease_refresh(workspace, connected.epoch, 1).await;
        let LeaseOutcome::Leased(lease) = leased.unwrap() else {
            panic!("not leased");
        };
        let raised = store.raise_fence(workspace, at(1)).await.unwrap().unwrap();
        assert!(raised.raised_now);
        // Behind the fence the newest refresh token is kept, as it is the one to revoke.
        let new = Refreshed {
            access: SecretString::from("access-2"),
            refresh: Some(SecretString::from("refresh-2")),
            lifetime: TimeDelta::seconds(1_800),
            age: TimeDelta::zero(),
        };
        store.store_refreshed(&lease, &new).await.unwrap();
        let to_revoke = store.token_to_revoke(workspace).await.unwrap();
        assert_eq!(to_revoke.as_ref().map(text).as_deref(), Some("refresh-2"));
        store.erase_tokens(workspace, at(2)).await.unwrap();
        let late = store.store_refreshed(&lease, &new).await.unwrap();
        assert!(matches!(late, StoredRefresh::Erased));
        for epoch in [connected.epoch, raised.epoch] {
            let tokens = store.tokens(workspace, epoch).await.unwrap();
            assert!(tokens.is_none());
        }
        assert_eq!(
            world.count("select count(*) from connection_token").await,
            0
        );
    })
    .await;
}

#[tokio::test]
async fn tokens_behind_the_fence_are_for_revoking_only() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let store = &world.store;
        let to_revoke = || async {
            store
                .token_to_revoke(world.workspace)
                .await
                .unwrap()
                .map(|t| text(&t))
        };
        assert_eq!(to_revoke().await, None);
        let raised = store
            .raise_fence(world.workspace, at(1))
            .await
            .unwrap()
            .unwrap();
        for epoch in [connected.epoch, raised.epoch] {
            assert!(
                store
                    .tokens(world.workspace, epoch)
                    .await
                    .unwrap()
                    .is_none()
            );
            let outcome = store.lease_refresh(world.workspace, epoch, 1).await;
            assert!(matches!(outcome.unwrap(), LeaseOutcome::Fenced));
        }
        assert_eq!(to_revoke().await.as_deref(), Some("refresh-1"));
        store.erase_tokens(world.workspace, at(2)).await.unwrap();
        assert_eq!(to_revoke().await, None);
    })
    .await;
}

#[tokio::test]
async fn erasing_is_idempotent_and_leaves_no_token() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let store = &world.store;
        // The fence is not up: nothing is erased.
        store.erase_tokens(world.workspace, at(1)).await.unwrap();
        assert!(
            store
                .tokens(world.workspace, connected.epoch)
                .await
                .unwrap()
                .is_some()
        );
        store.raise_fence(world.workspace, at(2)).await.unwrap();
        for now in [3, 4] {
            store.erase_tokens(world.workspace, at(now)).await.unwrap();
            assert_eq!(
                world.count("select count(*) from connection_token").await,
                0
            );
            let state = store.fence_state(world.workspace).await.unwrap().unwrap();
            assert_eq!(state.state, ConnectionState::Disconnected);
        }
    })
    .await;
}

#[tokio::test]
async fn refused_tokens_turn_the_connection_for_exactly_one_caller() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let all = std::sync::Arc::new(tokio::sync::Barrier::new(20));
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let (store, workspace) = (world.store.clone(), world.workspace);
                let all = std::sync::Arc::clone(&all);
                tokio::spawn(async move {
                    all.wait().await;
                    store
                        .mark_needs_reconnect(workspace, connected.epoch, at(1))
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut turned = 0;
        for caller in callers {
            turned += u32::from(caller.await.unwrap());
        }
        assert_eq!(turned, 1);
        let fence = world
            .store
            .fence_state(world.workspace)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(fence.state, ConnectionState::NeedsReconnect);
        assert_eq!(fence.epoch, connected.epoch.next());
        let run = world.store.run(reader.run).await.unwrap().unwrap();
        assert_eq!(run.state, RunState::Paused);
        let outcome = world
            .store
            .commit_page(world.page(reader, 0), at(2))
            .await
            .unwrap();
        assert_eq!(outcome, PageOutcome::Fenced);
    })
    .await;
}

#[tokio::test]
async fn a_late_refusal_of_older_tokens_does_not_touch_a_new_connection() {
    bounded(async {
        let (world, old) = World::connected().await;
        world.disconnect(at(1)).await;
        let new = world
            .try_connect(world.portal, run_id(2), at(2))
            .await
            .unwrap();
        let turned = world
            .store
            .mark_needs_reconnect(world.workspace, old.epoch, at(3))
            .await
            .unwrap();
        assert!(!turned);
        let fence = world
            .store
            .fence_state(world.workspace)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (fence.state, fence.epoch),
            (ConnectionState::Connected, new.epoch)
        );
    })
    .await;
}
