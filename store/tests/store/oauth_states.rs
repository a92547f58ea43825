//! Consents are used once.

use std::sync::Arc;

use domain::AdminId;
use store::{ConsumedState, NewOAuthState, StateRefused};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::support::{World, at, bounded};

const NONCE: [u8; 32] = [7; 32];

async fn consent(world: &World, nonce_hash: [u8; 32], began: i64) {
    let state = NewOAuthState {
        nonce_hash,
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
                    store.consume_oauth_state(NONCE, at(1)).await.unwrap()
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
        let late = world.store.consume_oauth_state(NONCE, at(600)).await;
        assert_eq!(late.unwrap(), Err(StateRefused::Expired));
        let in_time = world.store.consume_oauth_state([8; 32], at(599)).await;
        assert!(in_time.unwrap().is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_state_that_was_never_given_out_is_unknown() {
    bounded(async {
        let world = World::new().await;
        let unknown = world.store.consume_oauth_state(NONCE, at(1)).await;
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
        let swept = world.store.consume_oauth_state(NONCE, at(1)).await;
        assert_eq!(swept.unwrap(), Err(StateRefused::Unknown));
    })
    .await;
}
