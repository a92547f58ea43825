//! Consents are used once.

use std::sync::Arc;

use domain::AdminId;
use store::{CameBack, ConnectLink, ConnectNames, ConsumedState, NewOAuthState, StateRefused};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::support::{World, at, bounded};

const NONCE: [u8; 32] = [7; 32];

fn names() -> ConnectNames {
    ConnectNames {
        workspace: Some("Brightwater Sales".to_owned()),
        admin: None,
    }
}

async fn link(world: &World, id: Uuid, began: i64) {
    let link = ConnectLink {
        id,
        workspace: world.workspace,
        admin: AdminId::new(Uuid::from_u128(7)),
        names: names(),
        expires_at: at(began + 600),
    };
    world
        .store
        .create_connect_link(&link, at(began))
        .await
        .unwrap();
}

/// Each with a link of its own.
async fn consent(world: &World, nonce_hash: [u8; 32], began: i64) {
    let id = Uuid::from_u128(u128::from(nonce_hash[0]));
    link(world, id, began).await;
    opened(world, id, nonce_hash, began).await;
}

async fn opened(world: &World, link: Uuid, nonce_hash: [u8; 32], began: i64) {
    let state = NewOAuthState {
        nonce_hash,
        link,
        workspace: world.workspace,
        admin: AdminId::new(Uuid::from_u128(7)),
        browser_hash: [9; 32],
        expires_at: at(began + 600),
    };
    world
        .store
        .create_oauth_state(&state, at(began))
        .await
        .unwrap();
}

#[tokio::test]
async fn of_twenty_concurrent_callers_one_succeeds() {
    bounded(async {
        let world = World::new().await;
        consent(&world, NONCE, 0).await;
        let all = Arc::new(Barrier::new(20));
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let (store, all) = (world.store.clone(), Arc::clone(&all));
                tokio::spawn(async move {
                    all.wait().await;
                    store
                        .consume_oauth_state(NONCE, CameBack::Approved, at(1))
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut good = Vec::new();
        for caller in callers {
            match caller.await.unwrap() {
                Ok(state) => good.push(state),
                Err(refused) => assert_eq!(refused, StateRefused::Used),
            }
        }
        let expected = ConsumedState {
            link: Some(Uuid::from_u128(7)),
            names: names(),
            workspace: world.workspace,
            admin: AdminId::new(Uuid::from_u128(7)),
            browser_hash: vec![9; 32],
        };
        assert_eq!(good, [expected]);
    })
    .await;
}

#[tokio::test]
async fn a_consent_ends_at_its_moment() {
    bounded(async {
        let world = World::new().await;
        consent(&world, NONCE, 0).await;
        consent(&world, [8; 32], 0).await;
        let late = world
            .store
            .consume_oauth_state(NONCE, CameBack::Approved, at(600))
            .await;
        assert_eq!(late.unwrap(), Err(StateRefused::Expired));
        let in_time = world
            .store
            .consume_oauth_state([8; 32], CameBack::Approved, at(599))
            .await;
        assert!(in_time.unwrap().is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_state_that_was_never_given_out_is_unknown() {
    bounded(async {
        let world = World::new().await;
        let unknown = world
            .store
            .consume_oauth_state(NONCE, CameBack::Approved, at(1))
            .await;
        assert_eq!(unknown.unwrap(), Err(StateRefused::Unknown));
    })
    .await;
}

#[tokio::test]
async fn what_ended_a_day_ago_is_swept_away() {
    bounded(async {
        let world = World::new().await;
        consent(&world, NONCE, 0).await;
        consent(&world, [8; 32], 600 + 86_400).await;
        assert_eq!(world.count("select count(*) from oauth_state").await, 2);
        consent(&world, [9; 32], 601 + 86_400).await;
        assert_eq!(world.count("select count(*) from oauth_state").await, 2);
        let swept = world
            .store
            .consume_oauth_state(NONCE, CameBack::Approved, at(1))
            .await;
        assert_eq!(swept.unwrap(), Err(StateRefused::Unknown));
    })
    .await;
}

#[tokio::test]
async fn a_link_is_used_up_by_the_first_consent_and_by_nothing_else() {
    bounded(async {
        let world = World::new().await;
        let store = &world.store;
        let id = Uuid::from_u128(1);
        link(&world, id, 0).await;
        // Opened by a preview and by three people, of whom one refuses.
        for nonce in 1..=4 {
            assert!(store.connect_link(id, at(1)).await.unwrap().is_ok());
            opened(&world, id, [nonce; 32], 0).await;
        }
        let refused = store.consume_oauth_state([1; 32], CameBack::Refused, at(2));
        assert!(refused.await.unwrap().is_ok());
        assert!(store.connect_link(id, at(2)).await.unwrap().is_ok());

        let both = tokio::join!(
            store.consume_oauth_state([2; 32], CameBack::Approved, at(3)),
            store.consume_oauth_state([3; 32], CameBack::Approved, at(3))
        );
        let both = [both.0.unwrap(), both.1.unwrap()];
        assert_eq!(both.iter().filter(|r| r.is_ok()).count(), 1, "{both:?}");
        assert!(both.contains(&Err(StateRefused::Used)), "{both:?}");
        assert_eq!(
            store.connect_link(id, at(4)).await.unwrap(),
            Err(StateRefused::Used)
        );

        // HubSpot did not answer: the link is good again, until its end.
        store.release_connect_link(id).await.unwrap();
        assert!(store.connect_link(id, at(599)).await.unwrap().is_ok());
        assert_eq!(
            store.connect_link(id, at(600)).await.unwrap(),
            Err(StateRefused::Expired)
        );
        let other = store.connect_link(Uuid::from_u128(2), at(1)).await.unwrap();
        assert_eq!(other, Err(StateRefused::Unknown));
    })
    .await;
}
