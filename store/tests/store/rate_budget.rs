//! The rate budget: the statement does what the rule says, whoever asks.

use std::time::Duration;

use domain::{
    AppKey, BudgetBucket, PauseReason, Urgency,
    rate_budget::{LeaseAsk, Line, OAUTH_LIMIT, SECOND, SlotTime, in_window},
};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngSeed, TestRunner},
};
use store::{BudgetKey, EpochOf, Leased, NewLease};

use crate::support::{World, at, bounded, portal};

fn key(world: &World, bucket: BudgetBucket) -> BudgetKey {
    BudgetKey {
        app: AppKey::new("oauth-1").unwrap(),
        portal: world.portal,
        bucket,
    }
}

const fn ask(urgency: Urgency, want: u32) -> LeaseAsk {
    LeaseAsk {
        urgency,
        want,
        in_turn: false,
        patience: 60 * SECOND,
        upper: None,
        usual: OAUTH_LIMIT,
        limit_seen: None,
        foreign: None,
    }
}

async fn lease(world: &World, key: &BudgetKey, of: EpochOf, ask: LeaseAsk) -> Leased {
    let new = NewLease {
        key,
        connections: &[of],
        ask,
        unused: &[],
    };
    world.store.lease_slots(&new).await.unwrap()
}

async fn connected() -> (World, EpochOf) {
    let (world, connected) = World::connected().await;
    let of = EpochOf {
        workspace: world.workspace,
        epoch: connected.epoch,
    };
    (world, of)
}

/// One step: so much time passes, then somebody asks.
fn step() -> impl Strategy<Value = (i64, LeaseAsk)> {
    (
        prop_oneof![3 => 0_i64..300_000, 1 => 0_i64..12 * SECOND],
        (
            prop::sample::select(Urgency::ALL.to_vec()),
            0_u32..30,
            any::<bool>(),
            prop_oneof![Just(0), 0_i64..20 * SECOND],
        ),
        prop::option::weighted(0.2, 1_u32..200),
        prop::option::weighted(0.1, 1_u32..260),
        prop::option::weighted(0.2, 0_u32..120),
    )
        .prop_map(
            |(passes, (urgency, want, in_turn, patience), upper, limit_seen, foreign)| {
                let ask = LeaseAsk {
                    urgency,
                    want,
                    in_turn,
                    patience,
                    upper,
                    usual: OAUTH_LIMIT,
                    limit_seen,
                    foreign,
                };
                (passes, ask)
            },
        )
}

/// Time that passes is a line that lies further back.
async fn pass(world: &World, line: &mut Line, by: i64) {
    sqlx::query(
        "update rate_budget set next_at = next_at - $1, low_next_at = low_next_at - $1,
           out_of_line_at = out_of_line_at - $1, foreign_at = foreign_at - $1,
           turns = array(select t - $1 from unnest(turns) with ordinality as u (t, n) order by n)",
    )
    .bind(by)
    .execute(&world.raw)
    .await
    .unwrap();
    let back = |t: &mut SlotTime| *t = SlotTime::from_micros(t.as_micros() - by);
    back(&mut line.next_at);
    back(&mut line.low_next_at);
    back(&mut line.out_of_line_at);
    back(&mut line.foreign_at);
    line.turns.iter_mut().for_each(back);
}

#[tokio::test]
async fn the_statement_does_what_the_rule_says() {
    bounded(async {
        let steps = match std::env::var("SOAK").as_deref() {
            Ok("full") => 1_000,
            _ => 120,
        };
        let (world, of) = connected().await;
        for (n, bucket) in BudgetBucket::ALL.into_iter().enumerate() {
            let mut runner = TestRunner::new(Config {
                rng_seed: RngSeed::Fixed(n as u64),
                ..Config::default()
            });
            let key = BudgetKey {
                portal: portal(4711),
                ..key(&world, bucket)
            };
            sqlx::query("delete from rate_budget")
                .execute(&world.raw)
                .await
                .unwrap();
            let mut line = Line::default();
            let (mut slots, mut refused) = (0, 0);
            for _ in 0..steps {
                let (passes, ask) = step().new_tree(&mut runner).unwrap().current();
                pass(&world, &mut line, passes).await;
                let leased = lease(&world, &key, of, ask).await;
                let grant = line.lease(bucket.spacing(), &ask, leased.now);
                assert_eq!(leased.grant, grant, "{bucket} {ask:?} {line:?}");
                assert_eq!(leased.limit_seen, line.limit_seen);
                slots += grant.slots.len();
                refused += usize::from(grant.slots.is_empty());
            }
            assert!(slots > 50 && refused > 10, "{bucket}: {slots} {refused}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_older_epoch_gets_nothing() {
    bounded(async {
        let (world, of) = connected().await;
        let key = key(&world, BudgetBucket::General);
        let before = lease(&world, &key, of, ask(Urgency::Backfill, 1)).await;
        assert_eq!((before.grant.slots.len(), before.open), (1, vec![of]));
        world
            .store
            .raise_fence(world.workspace, at(1))
            .await
            .unwrap();
        let after = lease(&world, &key, of, ask(Urgency::Interactive, 3)).await;
        assert_eq!((after.grant.slots.len(), after.open), (0, vec![]));
        assert_eq!(after.grant.come_back, None);
        // Nor does somebody of another portal.
        let elsewhere = BudgetKey {
            portal: portal(1),
            ..key
        };
        let other = lease(&world, &elsewhere, of, ask(Urgency::Interactive, 3)).await;
        assert!(other.grant.slots.is_empty() && other.open.is_empty());
    })
    .await;
}

#[tokio::test]
async fn many_processes_never_get_the_same_slot() {
    bounded(async {
        let (world, of) = connected().await;
        let key = key(&world, BudgetBucket::General);
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let (store, key) = (world.store.clone(), key.clone());
                tokio::spawn(async move {
                    let mut slots = Vec::new();
                    for _ in 0..40 {
                        let new = NewLease {
                            key: &key,
                            connections: &[of],
                            ask: ask(Urgency::Backfill, 3),
                            unused: &[],
                        };
                        slots.extend(store.lease_slots(&new).await.unwrap().grant.slots);
                    }
                    slots
                })
            })
            .collect();
        let mut slots = Vec::new();
        for task in tasks {
            slots.extend(task.await.unwrap());
        }
        slots.sort_unstable();
        assert!(slots.len() > 6, "{}", slots.len());
        let apart = BudgetBucket::General.spacing().between(OAUTH_LIMIT, 0);
        for pair in slots.windows(2) {
            assert!(pair[1].micros_after(pair[0]) >= apart, "{pair:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_pause_holds_everybody_and_says_why() {
    bounded(async {
        let (world, of) = connected().await;
        let key = key(&world, BudgetBucket::General);
        let pause = |reason, seconds| {
            world.store.pause_budget(
                &key.app,
                world.portal,
                &[BudgetBucket::General],
                reason,
                Duration::from_secs(seconds),
            )
        };
        pause(PauseReason::DailyLimit, 3_600).await.unwrap();
        // A shorter one takes nothing away.
        pause(PauseReason::RateLimited, 10).await.unwrap();
        for urgency in Urgency::ALL {
            let leased = lease(&world, &key, of, ask(urgency, 1)).await;
            assert_eq!(leased.grant.slots, []);
            let pause = leased.pause.unwrap();
            assert_eq!(pause.reason, PauseReason::DailyLimit);
            assert!(pause.until.micros_after(leased.now) > 3_590 * SECOND);
            let back = leased.grant.come_back.unwrap();
            let wait = back.at.micros_after(leased.now) / SECOND;
            assert!((3_590..3_600).contains(&wait), "{wait}");
            assert!(!back.is_turn, "further away than anybody would wait");
        }
        let paused = world.store.paused_budgets(world.portal).await.unwrap();
        assert_eq!(paused.len(), 1);
        assert_eq!(paused[0].reason, PauseReason::DailyLimit);
        assert!(
            world
                .store
                .paused_budgets(portal(1))
                .await
                .unwrap()
                .is_empty()
        );
        // The other limits of the portal go on.
        let search = BudgetKey {
            bucket: BudgetBucket::Search,
            ..key
        };
        let leased = lease(&world, &search, of, ask(Urgency::Sync, 1)).await;
        assert_eq!((leased.grant.slots.len(), leased.pause), (1, None));
    })
    .await;
}

#[tokio::test]
async fn what_nobody_used_is_given_back() {
    bounded(async {
        let (world, of) = connected().await;
        let key = key(&world, BudgetBucket::General);
        let first = lease(&world, &key, of, ask(Urgency::Backfill, 3)).await;
        let slots = first.grant.slots;
        assert_eq!(slots.len(), 3);
        assert_eq!(in_window(&first.recent, slots[2]), 3);
        let new = NewLease {
            key: &key,
            connections: &[of],
            ask: ask(Urgency::Backfill, 0),
            unused: &slots[1..],
        };
        let second = world.store.lease_slots(&new).await.unwrap();
        assert_eq!(second.recent, slots[..1]);
    })
    .await;
}

#[tokio::test]
async fn the_accounts_clock_is_noted() {
    bounded(async {
        let (world, of) = connected().await;
        let key = key(&world, BudgetBucket::Search);
        world
            .store
            .note_utc_offset(&key.app, world.portal, -18_000)
            .await
            .unwrap();
        let leased = lease(&world, &key, of, ask(Urgency::Sync, 1)).await;
        assert_eq!(leased.utc_offset_seconds, Some(-18_000));
    })
    .await;
}
