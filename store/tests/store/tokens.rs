//! Tokens are refreshed once however many ask, and lie encrypted.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use secrecy::SecretString;
use store::{NewTokens, RefreshOutcome, Store, StoreConfig, StoreError, testing::TEST_KEYS};
use tokio::sync::watch;

use crate::support::{World, at, bounded, text, tokens};

const NEW_KEY: &str = "new:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

async fn with_keys(world: &World, keys: &str) -> Store {
    Store::connect(StoreConfig {
        url: SecretString::from(world.url.clone()),
        max_connections: 2,
        encryption_keys: SecretString::from(keys),
        erasure_key: SecretString::from(store::testing::TEST_ERASURE_KEY),
    })
    .await
    .unwrap()
}

fn fresh<E: std::fmt::Debug>(outcome: RefreshOutcome<E>) -> store::Tokens {
    match outcome {
        RefreshOutcome::Fresh(tokens) => tokens,
        other => panic!("not refreshed: {other:?}"),
    }
}

#[tokio::test]
async fn twenty_callers_refresh_once_and_all_get_the_new_token() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let runs = Arc::new(AtomicU32::new(0));
        let (release, released) = watch::channel(false);
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let (store, workspace) = (world.store.clone(), world.workspace);
                let (runs, mut released) = (Arc::clone(&runs), released.clone());
                tokio::spawn(async move {
                    let outcome = store
                        .refresh_tokens(workspace, connected.epoch, 1, |old| async move {
                            let run = runs.fetch_add(1, Ordering::SeqCst) + 2;
                            assert_eq!(text(&old), "refresh-1");
                            released.wait_for(|go| *go).await.unwrap();
                            Ok::<_, &str>(tokens(
                                &format!("access-{run}"),
                                &format!("refresh-{run}"),
                            ))
                        })
                        .await
                        .unwrap();
                    fresh(outcome)
                })
            })
            .collect();
        // As many as the pool has connections wait for the one that refreshes.
        world.until_blocked(5).await;
        release.send(true).unwrap();
        for caller in callers {
            let tokens = caller.await.unwrap();
            assert_eq!(tokens.version, 2);
            assert_eq!(text(&tokens.access), "access-2");
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    })
    .await;
}

#[tokio::test]
async fn a_rotated_refresh_token_is_stored_and_used_next() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let refresh = |seen, expected: &'static str, new: NewTokens| {
            let (store, workspace) = (world.store.clone(), world.workspace);
            async move {
                let outcome = store
                    .refresh_tokens(workspace, connected.epoch, seen, |old| async move {
                        assert_eq!(text(&old), expected);
                        Ok::<_, &str>(new)
                    })
                    .await
                    .unwrap();
                fresh(outcome)
            }
        };
        refresh(1, "refresh-1", tokens("access-2", "refresh-2")).await;
        // HubSpot may keep the refresh token and not repeat it.
        let unrotated = NewTokens {
            refresh: None,
            ..tokens("access-3", "")
        };
        let third = refresh(2, "refresh-2", unrotated).await;
        assert_eq!(third.version, 3);
        assert_eq!(third.refresh.as_ref().map(text).unwrap(), "refresh-2");
        let stored = world
            .store
            .tokens(world.workspace, connected.epoch)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.version, 3);
        assert_eq!(text(&stored.access), "access-3");
        assert_eq!(stored.refresh.as_ref().map(text).unwrap(), "refresh-2");
        assert_eq!(stored.expires_at, Some(at(1800)));
    })
    .await;
}

#[tokio::test]
async fn a_failed_refresh_leaves_the_tokens_and_the_next_one_may_try() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let failed = world
            .store
            .refresh_tokens(world.workspace, connected.epoch, 1, |_| async {
                Err("HubSpot is down")
            })
            .await
            .unwrap();
        assert!(matches!(failed, RefreshOutcome::Failed("HubSpot is down")));
        let stored = world
            .store
            .tokens(world.workspace, connected.epoch)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.version, 1);
        assert_eq!(text(&stored.access), "access-1");
        assert_eq!(stored.refresh.as_ref().map(text).unwrap(), "refresh-1");
        let next = world
            .store
            .refresh_tokens(world.workspace, connected.epoch, 1, |_| async {
                Ok::<_, &str>(tokens("access-2", "refresh-2"))
            })
            .await
            .unwrap();
        assert_eq!(fresh(next).version, 2);
    })
    .await;
}

#[tokio::test]
async fn no_token_lies_in_the_table_as_text() {
    bounded(async {
        let (world, _) = World::connected().await;
        let readable = world
            .count(
                "select count(*) from connection_token
                 where position('access-1'::bytea in access_token) > 0
                    or position('refresh-1'::bytea in refresh_token) > 0",
            )
            .await;
        assert_eq!(readable, 0);
        let sealed = world
            .count("select count(*) from connection_token where refresh_token is not null")
            .await;
        assert_eq!(sealed, 1);
    })
    .await;
}

#[tokio::test]
async fn keys_rotate() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let (workspace, epoch) = (world.workspace, connected.epoch);
        let only_new = with_keys(&world, NEW_KEY).await;
        let unreadable = only_new.tokens(workspace, epoch).await.unwrap_err();
        assert!(matches!(unreadable, StoreError::Corrupt("token")));

        let both = with_keys(&world, &format!("{NEW_KEY},{TEST_KEYS}")).await;
        assert_eq!(both.reencrypt_tokens().await.unwrap(), 1);

        let stored = only_new.tokens(workspace, epoch).await.unwrap().unwrap();
        assert_eq!(stored.version, 1);
        assert_eq!(text(&stored.access), "access-1");
        assert_eq!(stored.refresh.as_ref().map(text).unwrap(), "refresh-1");
        // The older key is needed no more, and opens nothing.
        let closed = world.store.tokens(workspace, epoch).await.unwrap_err();
        assert!(matches!(closed, StoreError::Corrupt("token")));
    })
    .await;
}
