//! The shared budget against a real Postgres: several of them, as in several processes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use activities::{BudgetConfig, Metrics, SharedBudgets};
use chrono::{DateTime, Utc};
use domain::{
    AdminId, AppKey, BudgetBucket, Epoch, PauseReason, PortalId, SyncRunId, Urgency, WorkspaceId,
    rate_budget::LeaseAsk,
};
use hubspot::{
    Bucket, BudgetRefused, BudgetRequest, Permit, RateBudget, RequestClass, ResponseObservation,
};
use store::{
    AuthKind, BudgetKey, NewConnection, NewLease, NewTokens, Store, testing::TestDatabase,
};
use uuid::Uuid;

const APP: &str = "an-app";

struct Fleet {
    database: TestDatabase,
    portal: PortalId,
}

/// A workspace on the fleet's portal.
#[derive(Clone, Copy)]
struct Member {
    workspace: WorkspaceId,
    epoch: Epoch,
}

impl Fleet {
    async fn new() -> Self {
        Self {
            database: TestDatabase::create().await,
            portal: PortalId::new(4711).unwrap(),
        }
    }

    fn store(&self) -> &Store {
        &self.database.store
    }

    async fn connect(&self) -> Member {
        let workspace = WorkspaceId::new(Uuid::new_v4());
        let now = Utc::now();
        self.store().ensure_workspace(workspace, now).await.unwrap();
        let new = NewConnection {
            workspace,
            portal: self.portal,
            auth_kind: AuthKind::OAuth,
            tokens: NewTokens {
                access: String::new().into(),
                refresh: None,
                lifetime: None,
            },
            scopes: Vec::new(),
            admin: AdminId::new(Uuid::new_v4()),
            run: SyncRunId::new(Uuid::now_v7()),
        };
        let connected = self.store().connect_workspace(&new, now).await.unwrap();
        Member {
            workspace,
            epoch: connected.unwrap().epoch,
        }
    }

    /// What the database's clock says; a lease of nothing tells it.
    async fn database_time(&self) -> DateTime<Utc> {
        let key = BudgetKey {
            app: AppKey::service_key(),
            portal: PortalId::new(1).unwrap(),
            bucket: BudgetBucket::General,
        };
        let ask = LeaseAsk {
            urgency: Urgency::Interactive,
            want: 0,
            in_turn: false,
            patience: 0,
            upper: None,
            usual: 10,
            limit_seen: None,
            foreign: None,
        };
        let lease = NewLease {
            key: &key,
            connections: &[],
            ask,
            unused: &[],
        };
        let now = self.store().lease_slots(&lease).await.unwrap().now;
        DateTime::from_timestamp_micros(now.as_micros()).unwrap()
    }

    /// What one process knows.
    fn process(&self, requests_per_10s: Option<u32>) -> SharedBudgets {
        let config = BudgetConfig {
            client_id: Some(APP.to_owned()),
            requests_per_10s,
        };
        SharedBudgets::new(self.store().clone(), &config, Metrics::new().unwrap())
    }

    fn of(&self, process: &SharedBudgets, member: Member) -> Arc<dyn RateBudget> {
        process.of(member.workspace, self.portal, member.epoch)
    }
}

const fn request(class: RequestClass, seconds: u64) -> BudgetRequest {
    BudgetRequest {
        bucket: Bucket::General,
        class,
        max_wait: Duration::from_secs(seconds),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_of_many_processes_stay_below_the_limit() {
    const LIMIT: u32 = 40;
    let fleet = Fleet::new().await;
    let members = [fleet.connect().await, fleet.connect().await];
    let end = Instant::now() + Duration::from_secs(13);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let process = fleet.process(Some(LIMIT));
        for n in 0..12 {
            let budget = fleet.of(&process, members[n % 2]);
            let class = [RequestClass::Backfill, RequestClass::Sync][n % 2];
            tasks.spawn(async move {
                let mut left = Vec::new();
                while Instant::now() < end {
                    match budget.acquire(&request(class, 3)).await {
                        Ok(_) => left.push(Instant::now()),
                        Err(BudgetRefused::WouldWait { at_least }) => {
                            assert!(at_least > Duration::ZERO);
                            tokio::time::sleep(at_least.min(Duration::from_secs(1))).await;
                        }
                        Err(refused) => panic!("{refused}"),
                    }
                }
                left
            });
        }
    }
    let mut left: Vec<Instant> = tasks.join_all().await.concat();
    left.sort_unstable();
    for (n, at) in left.iter().enumerate() {
        let within = left[n..]
            .iter()
            .take_while(|t| **t < *at + Duration::from_secs(10))
            .count();
        assert!(within <= LIMIT as usize, "{within} in ten seconds");
    }
    assert!(left.len() > 25, "{}", left.len());
}

/// Two processes may believe what they like of the time: what they read bears the database's.
#[tokio::test]
async fn a_permit_brings_the_time_of_the_database() {
    let fleet = Fleet::new().await;
    let member = fleet.connect().await;
    let mut last = None;
    for _ in 0..2 {
        let budget = fleet.of(&fleet.process(None), member);
        for _ in 0..3 {
            let before = fleet.database_time().await;
            let permit = budget
                .acquire(&request(RequestClass::Interactive, 10))
                .await
                .unwrap();
            let after = fleet.database_time().await;
            let at = permit.at.unwrap();
            // The lease may have been asked for an earlier request; what passed since then counts.
            assert!(at <= after, "{at} is later than {after}");
            assert!(
                at >= before - chrono::TimeDelta::seconds(1),
                "{at}, {before}"
            );
            assert!(last.is_none_or(|last| last <= at), "{last:?}, then {at}");
            last = Some(at);
        }
    }
}

#[tokio::test]
async fn people_go_before_a_backfill_that_waits() {
    let fleet = Fleet::new().await;
    let member = fleet.connect().await;
    let process = fleet.process(None);
    let backfill = fleet.of(&process, member);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let backfill = backfill.clone();
        waiting.spawn(async move {
            backfill
                .acquire(&request(RequestClass::Backfill, 60))
                .await
                .unwrap();
        });
    }
    for _ in 0..8 {
        waiting.join_next().await.unwrap().unwrap();
    }
    // Another process: its call waits for no backfill but those whose slots were handed out.
    let other = fleet.process(None);
    let people = fleet.of(&other, member);
    let began = Instant::now();
    people
        .acquire(&request(RequestClass::Interactive, 30))
        .await
        .unwrap();
    let waited = began.elapsed();
    let left = waiting.len();
    assert!(left > 20, "{left} still wait");
    assert!(waited < Duration::from_secs(2), "{waited:?}");
}

#[tokio::test]
async fn a_fence_refuses_those_who_wait_and_leaves_the_other_workspace_alone() {
    let fleet = Fleet::new().await;
    let (gone, stays) = (fleet.connect().await, fleet.connect().await);
    let process = fleet.process(Some(30));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let budget = fleet.of(&process, gone);
        waiting.spawn(async move { budget.acquire(&request(RequestClass::Sync, 60)).await });
    }
    waiting.join_next().await.unwrap().unwrap().unwrap();
    fleet
        .store()
        .raise_fence(gone.workspace, Utc::now())
        .await
        .unwrap();
    let raised = Instant::now();
    while let Some(done) = waiting.join_next().await {
        match done.unwrap() {
            Ok(_) => assert!(raised.elapsed() < Duration::from_secs(1)),
            Err(refused) => assert_eq!(refused, BudgetRefused::Fenced),
        }
    }
    let budget = fleet.of(&process, stays);
    budget
        .acquire(&request(RequestClass::Sync, 30))
        .await
        .unwrap();
    let old = fleet.of(&process, gone);
    let refused = old.acquire(&request(RequestClass::Interactive, 30)).await;
    assert_eq!(refused, Err(BudgetRefused::Fenced));
}

#[tokio::test]
async fn a_429_in_one_process_holds_the_others() {
    let fleet = Fleet::new().await;
    let member = fleet.connect().await;
    let [one, other] = [fleet.process(None), fleet.process(None)];
    let (one, other) = (fleet.of(&one, member), fleet.of(&other, member));
    let request = request(RequestClass::Interactive, 5);
    let permit = one.acquire(&request).await.unwrap();
    let refused = ResponseObservation {
        status: 429,
        retry_after: Some(Duration::from_secs(20)),
        ..ResponseObservation::default()
    };
    one.observe(&request, permit, &refused);
    wait_for_pause(&fleet, PauseReason::RateLimited).await;
    for budget in [&one, &other] {
        let refused = budget.acquire(&request).await.unwrap_err();
        let BudgetRefused::WouldWait { at_least } = refused else {
            panic!("{refused}");
        };
        assert!(at_least > Duration::from_secs(10), "{at_least:?}");
    }
    // Search has a limit of its own.
    let search = BudgetRequest {
        bucket: Bucket::Search,
        ..request
    };
    other.acquire(&search).await.unwrap();
}

#[tokio::test]
async fn a_used_up_day_holds_everything_with_its_reason() {
    let fleet = Fleet::new().await;
    let member = fleet.connect().await;
    let [one, other] = [fleet.process(None), fleet.process(None)];
    let (one, other) = (fleet.of(&one, member), fleet.of(&other, member));
    let request = request(RequestClass::Backfill, 5);
    one.acquire(&request).await.unwrap();
    let last = ResponseObservation {
        status: 200,
        daily_remaining: Some(0),
        ..ResponseObservation::default()
    };
    one.observe(&request, Permit::default(), &last);
    wait_for_pause(&fleet, PauseReason::DailyLimit).await;
    for bucket in [Bucket::General, Bucket::Search, Bucket::Associations] {
        let request = BudgetRequest { bucket, ..request };
        let refused = other.acquire(&request).await.unwrap_err();
        assert!(
            matches!(refused, BudgetRefused::DailyLimit { at_least } if at_least > Duration::ZERO),
            "{refused}"
        );
    }
}

async fn wait_for_pause(fleet: &Fleet, reason: PauseReason) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let paused = fleet.store().paused_budgets(fleet.portal).await.unwrap();
        if paused.iter().any(|p| p.reason == reason) {
            return;
        }
        assert!(Instant::now() < deadline, "nothing is paused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_limit_that_hubspot_tells_is_taken_by_all() {
    let fleet = Fleet::new().await;
    let member = fleet.connect().await;
    let [one, other] = [fleet.process(None), fleet.process(None)];
    let (one, other) = (fleet.of(&one, member), fleet.of(&other, member));
    let request = request(RequestClass::Backfill, 60);
    let permit = one.acquire(&request).await.unwrap();
    assert_eq!(permit.ours_in_window, Some(1));
    // Five in ten seconds instead of 110.
    let told = ResponseObservation {
        status: 200,
        limit: Some(5),
        remaining: Some(4),
        interval: Some(Duration::from_secs(10)),
        ..ResponseObservation::default()
    };
    one.observe(&request, permit, &told);
    one.acquire(&request).await.unwrap();
    other.acquire(&request).await.unwrap();
    let began = Instant::now();
    other.acquire(&request).await.unwrap();
    assert!(
        began.elapsed() > Duration::from_millis(1_500),
        "{:?}",
        began.elapsed()
    );
}
