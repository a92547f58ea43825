//! Tokens are refreshed once however many ask, and lie encrypted.

use std::sync::Arc;

use chrono::TimeDelta;
use domain::{Epoch, tokens::REFRESH_LEASE};
use secrecy::SecretString;
use store::{
    LeaseOutcome, RefreshLease, Refreshed, Rotated, Store, StoreConfig, StoreError, StoredRefresh,
    testing::TEST_KEYS,
};
use tokio::sync::Barrier;

use crate::support::{World, at, bounded, run_id, text};

const NEW_KEY: &str = "new:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

async fn with_keys(world: &World, keys: &str) -> Store {
    Store::connect(StoreConfig {
        url: SecretString::from(world.url.clone()),
        pools: store::Pools::of(3),
        encryption_keys: SecretString::from(keys),
        erasure_key: SecretString::from(store::testing::TEST_ERASURE_KEY),
    })
    .await
    .unwrap()
}

fn leased(outcome: LeaseOutcome) -> RefreshLease {
    match outcome {
        LeaseOutcome::Leased(lease) => lease,
        other => panic!("not leased: {other:?}"),
    }
}

fn stored(outcome: StoredRefresh) -> store::Tokens {
    match outcome {
        StoredRefresh::Stored(tokens) => tokens,
        other => panic!("not stored: {other:?}"),
    }
}

fn refreshed(access: &str, refresh: Option<&str>) -> Refreshed {
    Refreshed {
        access: SecretString::from(access),
        refresh: refresh.map(SecretString::from),
        lifetime: TimeDelta::seconds(1_800),
        age: TimeDelta::seconds(2),
    }
}

impl World {
    async fn lease(&self, epoch: Epoch, seen: i64) -> LeaseOutcome {
        let outcome = self.store.lease_refresh(self.workspace, epoch, seen).await;
        outcome.unwrap()
    }

    async fn now_stored(&self, epoch: Epoch) -> store::Tokens {
        let tokens = self.store.tokens(self.workspace, epoch).await;
        tokens.unwrap().unwrap()
    }

    /// Lets time pass for the row.
    async fn later(&self, seconds: f64) {
        sqlx::query(
            "update connection_token set
               refreshing_until = refreshing_until - make_interval(secs => $1),
               doubtful_since = doubtful_since - make_interval(secs => $1),
               retry_at = retry_at - make_interval(secs => $1),
               refused_since = refused_since - make_interval(secs => $1)",
        )
        .bind(seconds)
        .execute(&self.raw)
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn of_twenty_callers_one_refreshes_and_all_get_the_new_token() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let all = Arc::new(Barrier::new(20));
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let (store, workspace) = (world.store.clone(), world.workspace);
                let all = Arc::clone(&all);
                tokio::spawn(async move {
                    all.wait().await;
                    store.lease_refresh(workspace, connected.epoch, 1).await
                })
            })
            .collect();
        let mut leases = Vec::new();
        for caller in callers {
            match caller.await.unwrap().unwrap() {
                LeaseOutcome::Leased(lease) => leases.push(lease),
                LeaseOutcome::Busy(left) => {
                    assert!(left > TimeDelta::seconds(30) && left <= REFRESH_LEASE);
                }
                other => panic!("{other:?}"),
            }
        }
        let [lease] = leases.as_slice() else {
            panic!("{} leases", leases.len());
        };
        assert_eq!(text(&lease.refresh), "refresh-1");
        assert_eq!((lease.doubtful_for, lease.failures), (None, 0));
        // Nothing is locked while HubSpot answers, and no connection is held.
        assert_eq!(
            world
                .count(
                    "select count(*) from pg_stat_activity
                     where datname = current_database() and state like 'idle in transaction%'"
                )
                .await,
            0
        );
        let new = refreshed("access-2", Some("refresh-2"));
        let tokens = stored(world.store.store_refreshed(lease, &new).await.unwrap());
        assert_eq!(tokens.version, 2);
        match world.lease(connected.epoch, 1).await {
            LeaseOutcome::Newer(tokens) => {
                assert_eq!(tokens.version, 2);
                assert_eq!(text(&tokens.access), "access-2");
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_rotated_refresh_token_is_stored_and_used_next() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let epoch = connected.epoch;
        let first = leased(world.lease(epoch, 1).await);
        let new = refreshed("access-2", Some("refresh-2"));
        world.store.store_refreshed(&first, &new).await.unwrap();
        // Stored again, as after an answer that was lost: nothing changes.
        let again = stored(world.store.store_refreshed(&first, &new).await.unwrap());
        assert_eq!(again.version, 2);

        // HubSpot may keep the refresh token and not repeat it.
        let second = leased(world.lease(epoch, 2).await);
        assert_eq!(text(&second.refresh), "refresh-2");
        let new = refreshed("access-3", None);
        world.store.store_refreshed(&second, &new).await.unwrap();
        let tokens = world.now_stored(epoch).await;
        assert_eq!(tokens.version, 3);
        assert_eq!(text(&tokens.access), "access-3");
        assert_eq!(tokens.refresh.as_ref().map(text).unwrap(), "refresh-2");
        let life = tokens.life.unwrap();
        assert_eq!(life.whole, Some(TimeDelta::seconds(1_800)));
        assert!(life.left > TimeDelta::seconds(1_700) && life.left <= TimeDelta::seconds(1_798));
        assert_eq!(tokens.not_before, None);
    })
    .await;
}

#[tokio::test]
async fn a_failed_refresh_leaves_the_tokens_and_the_next_one_waits() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let epoch = connected.epoch;
        let lease = leased(world.lease(epoch, 1).await);
        let wait = TimeDelta::seconds(30);
        assert!(world.store.postpone_refresh(&lease, wait).await.unwrap());
        match world.lease(epoch, 1).await {
            LeaseOutcome::NotBefore(left) => assert!(left <= wait && left > TimeDelta::zero()),
            other => panic!("{other:?}"),
        }
        let tokens = world.now_stored(epoch).await;
        assert_eq!(
            (tokens.version, text(&tokens.access).as_str()),
            (1, "access-1")
        );
        world.later(31.0).await;
        let next = leased(world.lease(epoch, 1).await);
        // It was given back: nothing is in doubt.
        assert_eq!((next.failures, next.doubtful_for), (1, None));
        // The first one has nothing to say any more.
        assert!(!world.store.postpone_refresh(&lease, wait).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_lease_without_a_result_is_taken_over_and_its_late_token_still_stored() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let epoch = connected.epoch;
        let frozen = leased(world.lease(epoch, 1).await);
        world.later(59.0).await;
        assert!(matches!(world.lease(epoch, 1).await, LeaseOutcome::Busy(_)));
        world.later(2.0).await;
        let taken = leased(world.lease(epoch, 1).await);
        assert_eq!(taken.doubtful_for, Some(TimeDelta::zero()));
        // HubSpot refused it, as the frozen process has its successor: asked again later.
        let wait = TimeDelta::seconds(15);
        assert!(world.store.postpone_refresh(&taken, wait).await.unwrap());
        world.later(16.0).await;
        let again = leased(world.lease(epoch, 1).await);
        assert!(again.doubtful_for.unwrap() >= TimeDelta::seconds(16));

        let new = refreshed("access-2", Some("refresh-2"));
        let tokens = stored(world.store.store_refreshed(&frozen, &new).await.unwrap());
        assert_eq!(tokens.version, 2);
        // What the other one would bring now comes too late.
        let late = world
            .store
            .store_refreshed(&again, &refreshed("x", None))
            .await;
        assert!(matches!(late.unwrap(), StoredRefresh::Superseded));
        assert!(!world.store.postpone_refresh(&again, wait).await.unwrap());
        let next = leased(world.lease(epoch, 2).await);
        assert_eq!(
            (text(&next.refresh).as_str(), next.doubtful_for),
            ("refresh-2", None)
        );
    })
    .await;
}

#[tokio::test]
async fn tokens_of_an_earlier_connection_do_not_overwrite_those_of_a_later_one() {
    bounded(async {
        let (world, old) = World::connected().await;
        let lease = leased(world.lease(old.epoch, 1).await);
        world.disconnect(at(1)).await;
        let new = refreshed("access-2", Some("refresh-2"));
        let gone = world.store.store_refreshed(&lease, &new).await.unwrap();
        assert!(matches!(gone, StoredRefresh::Erased));
        // The row is new, and so is its first version.
        let connected = world.try_connect(world.portal, run_id(2), at(2)).await;
        let late = world.store.store_refreshed(&lease, &new).await.unwrap();
        assert!(matches!(late, StoredRefresh::Superseded));
        let tokens = world.now_stored(connected.unwrap().epoch).await;
        assert_eq!(
            (tokens.version, text(&tokens.access).as_str()),
            (1, "access-1")
        );
    })
    .await;
}

#[tokio::test]
async fn refusals_of_a_key_at_the_same_moment_count_once_and_an_accepted_one_ends_them() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let (store, workspace, epoch) = (&world.store, world.workspace, connected.epoch);
        let refuse = || async { store.note_key_refused(workspace, epoch, 1).await.unwrap() };
        for _ in 0..5 {
            assert_eq!(refuse().await.unwrap().asked, 1);
        }
        assert!(world.now_stored(epoch).await.not_before.is_some());
        for n in 2..=4 {
            world.later(20.5).await;
            assert_eq!(refuse().await.unwrap().asked, n);
        }
        assert!(refuse().await.unwrap().since >= TimeDelta::seconds(60));
        assert!(world.now_stored(epoch).await.refused);
        store.note_key_accepted(workspace, 1).await.unwrap();
        let tokens = world.now_stored(epoch).await;
        assert_eq!((tokens.refused, tokens.not_before), (false, None));
        assert_eq!(refuse().await.unwrap().asked, 1);
        // Another key, or another epoch: nothing to count.
        assert_eq!(
            store.note_key_refused(workspace, epoch, 2).await.unwrap(),
            None
        );
        let old = epoch.next();
        assert_eq!(
            store.note_key_refused(workspace, old, 1).await.unwrap(),
            None
        );
    })
    .await;
}

#[tokio::test]
async fn a_statement_that_waits_for_a_lock_gives_up_as_for_an_absent_database() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let mut tx = world.raw.begin().await.unwrap();
        sqlx::query("select 1 from connection_token for update")
            .execute(&mut *tx)
            .await
            .unwrap();
        let began = std::time::Instant::now();
        let waited = world
            .store
            .lease_refresh(world.workspace, connected.epoch, 1);
        let error = waited.await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert!(began.elapsed() < std::time::Duration::from_secs(4));
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
        let old = TEST_KEYS.split(':').next().unwrap().to_owned();
        assert!(matches!(unreadable, StoreError::KeyMissing(id) if id == old));
        let locked = Rotated {
            locked: [(old, 1)].into(),
            ..Rotated::default()
        };
        assert_eq!(only_new.rotate_tokens().await.unwrap(), locked);

        let both = with_keys(&world, &format!("{NEW_KEY},{TEST_KEYS}")).await;
        let moved = Rotated {
            moved: 1,
            ..Rotated::default()
        };
        assert_eq!(both.rotate_tokens().await.unwrap(), moved);
        let current = Rotated {
            current: 1,
            ..Rotated::default()
        };
        assert_eq!(both.rotate_tokens().await.unwrap(), current);

        let stored = only_new.tokens(workspace, epoch).await.unwrap().unwrap();
        assert_eq!(stored.version, 1);
        assert_eq!(text(&stored.access), "access-1");
        assert_eq!(stored.refresh.as_ref().map(text).unwrap(), "refresh-1");
        // The older key is needed no more, and opens nothing.
        let closed = world.store.tokens(workspace, epoch).await.unwrap_err();
        assert!(matches!(closed, StoreError::KeyMissing(_)));
    })
    .await;
}
