//! X3: many processes live within HubSpot's limits as one body.
//!
//! The processes are `budget-hammer`: the budget, the client and the store as the worker has them, on a
//! database of their own. What is asserted is what the simulator counted.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use dev::hammer::{Hammer, HammerReport, now_ms};
use domain::{AdminId, PauseReason, SyncRunId};
use e2e::{Tenant, binaries, door::Door, shared};
use secrecy::SecretString;
use serde_json::{Value, json};
use store::{AuthKind, NewConnection, NewTokens, testing::TestDatabase};
use uuid::Uuid;

const APP: &str = "simulator-client-id";

fn full() -> bool {
    std::env::var("SOAK").is_ok_and(|soak| soak == "full")
}

/// A portal that is connected in a database of its own, and who would hammer it.
struct Arena {
    tenant: Tenant,
    database: TestDatabase,
    hammer: Hammer,
}

impl Arena {
    async fn new(limits: Value, kind: AuthKind) -> Self {
        let size = json!({
            "contacts": 20, "companies": 0, "deals": 0, "lists": 0, "owners": 1,
            "limits": limits, "latency_ms": 100,
        });
        let tenant = Tenant::new(&shared(), size).await;
        let token = match kind {
            AuthKind::OAuth => {
                let token = tenant
                    .control("POST", "tokens", Some(json!({"client_id": APP})))
                    .await;
                token["access_token"].as_str().unwrap().to_owned()
            }
            AuthKind::Static => {
                let key = tenant.control("POST", "service-keys", None).await;
                key["token"].as_str().unwrap().to_owned()
            }
        };
        let database = TestDatabase::create().await;
        let now = Utc::now();
        database
            .store
            .ensure_workspace(tenant.workspace, now)
            .await
            .unwrap();
        let new = NewConnection {
            workspace: tenant.workspace,
            portal: tenant.portal,
            auth_kind: kind,
            tokens: NewTokens {
                access: SecretString::from(""),
                refresh: None,
                lifetime: None,
            },
            scopes: Vec::new(),
            admin: AdminId::new(Uuid::new_v4()),
            run: SyncRunId::new(Uuid::now_v7()),
        };
        let connected = database
            .store
            .connect_workspace(&new, now)
            .await
            .unwrap()
            .unwrap();
        let mut addresses = tenant.api.addresses().clone();
        addresses.database_url = database.url.clone();
        let hammer = Hammer {
            program: binaries().join("budget-hammer"),
            addresses,
            workspace: tenant.id(),
            portal: tenant.portal.get(),
            epoch: connected.epoch.get(),
            client_id: (kind == AuthKind::OAuth).then(|| APP.to_owned()),
            token,
            readers: 8,
            interactive_ms: None,
        };
        Self {
            tenant,
            database,
            hammer,
        }
    }

    /// What the simulator counted in the general bucket of all apps; this portal has one.
    async fn general(&self, from_ms: i64, to_ms: i64) -> Value {
        let path = format!("usage?from_ms={from_ms}&to_ms={to_ms}");
        let usage = self.tenant.control("GET", &path, None).await;
        let apps = usage["apps"].as_object().unwrap();
        assert_eq!(apps.len(), 1, "{usage}");
        apps.values().next().unwrap()["general"].clone()
    }
}

async fn until(ms: i64) {
    let wait = u64::try_from(ms - now_ms()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(wait)).await;
}

#[tokio::test]
async fn many_processes_never_pass_the_limit_and_people_do_not_wait() {
    let arena = Arena::new(json!("hubspot"), AuthKind::OAuth).await;
    let (processes, seconds) = if full() { (16, 60) } else { (4, 15) };
    let hammer = Hammer {
        interactive_ms: Some(1_000 * processes as u64),
        ..arena.hammer.clone()
    };
    let hammering = hammer
        .start(processes, Duration::from_secs(seconds))
        .unwrap();
    let (from, to) = (hammering.from_ms, hammering.to_ms);
    let seen = HammerReport::sum(&hammering.reports().await.unwrap());
    let general = arena.general(from, to).await;
    assert_eq!(general["refused"], 0, "{general} {seen:?}");
    assert!(
        general["peak_ten_seconds"].as_u64() <= Some(110),
        "{general}"
    );
    assert_eq!((seen.too_many, seen.failed), (0, 0), "{seen:?}");
    // How much is used depends on how busy the machine is; `cargo dev bench budget` measures it.
    let share = general["share"].as_f64().unwrap();
    assert!(share > 0.5, "{general} {seen:?}");
    assert!(seen.statements * 2 < seen.let_go, "{seen:?}");
    let p95 = seen.interactive_p95().unwrap();
    assert!(p95 < if full() { 1_100 } else { 2_000 }, "{p95} {seen:?}");
    println!(
        "share {share:.3}, interactive p95 {p95} ms, {} statements for {} requests, {} slots unused",
        seen.statements, seen.let_go, seen.unused
    );
}

#[tokio::test]
async fn foreign_traffic_backs_everybody_off_and_is_forgotten_within_a_window() {
    const ALONE: i64 = 10_000;
    const TOGETHER: i64 = 20_000;
    const AFTER: i64 = 20_000;
    let arena = Arena::new(json!("hubspot"), AuthKind::OAuth).await;
    let lasting = Duration::from_millis((ALONE + TOGETHER + AFTER).unsigned_abs());
    let hammering = arena.hammer.start(2, lasting).unwrap();
    let begin = hammering.from_ms;
    until(begin + ALONE).await;
    // Somebody else with the same app: half of the allowance, whatever the answers.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!(
        "{}/crm/v3/objects/contacts?limit=1",
        arena.tenant.api.addresses().simulator
    );
    let mut foreign = tokio::task::JoinSet::new();
    let mut every = tokio::time::interval(Duration::from_millis(182));
    while now_ms() < begin + ALONE + TOGETHER {
        every.tick().await;
        let request = client.get(&url).bearer_auth(&arena.hammer.token);
        foreign.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    let stopped = now_ms();
    let answers = foreign.join_all().await;
    let their_429s = answers.iter().filter(|s| **s == 429).count() as u64;
    let seen = HammerReport::sum(&hammering.reports().await.unwrap());
    let all = arena.general(begin, begin + ALONE + TOGETHER + AFTER).await;
    let our_429s = all["refused"].as_u64().unwrap() - their_429s;
    println!(
        "429s: {our_429s} ours, {their_429s} of {} theirs; {seen:?}",
        answers.len()
    );
    // No storm: a storm would be hundreds, and go on as long as they are there.
    assert!(our_429s <= 30, "{our_429s} {seen:?}");
    assert!(all["peak_ten_seconds"].as_u64() <= Some(110), "{all}");
    // Together they were within the allowance, and ours was not starved.
    let path_share = |value: &Value| value["share"].as_f64().unwrap();
    let together = arena.general(begin + ALONE + 10_000, stopped).await;
    assert!(path_share(&together) > 0.4, "{together}");
    // A window after they stopped all of it is ours again.
    let after = arena
        .general(stopped + 10_500, begin + ALONE + TOGETHER + AFTER)
        .await;
    assert!(path_share(&after) > 0.5, "{after}");
    println!(
        "share together {:.3}, after {:.3}",
        path_share(&together),
        path_share(&after)
    );
}

#[tokio::test]
async fn a_used_up_day_pauses_with_its_reason() {
    let limits = json!({"daily": 40, "ten_secondly": 100});
    let arena = Arena::new(limits, AuthKind::Static).await;
    let hammering = arena.hammer.start(2, Duration::from_secs(12)).unwrap();
    let (from, to) = (hammering.from_ms, hammering.to_ms);
    let seen = HammerReport::sum(&hammering.reports().await.unwrap());
    let general = arena.general(from, to).await;
    assert_eq!(general["accepted"], 40, "{general} {seen:?}");
    // Those that were under way when it was found out, at most.
    assert!(
        general["refused"].as_u64() <= Some(16),
        "{general} {seen:?}"
    );
    assert_eq!(seen.failed, 0, "{seen:?}");
    assert!(seen.daily > 0, "{seen:?}");
    let paused = arena
        .database
        .store
        .paused_budgets(arena.tenant.portal)
        .await
        .unwrap();
    assert_eq!(paused.len(), 3, "{paused:?}");
    for pause in paused {
        assert_eq!(pause.reason, PauseReason::DailyLimit);
        let left = (pause.until - Utc::now()).num_seconds();
        assert!((1..=3_600).contains(&left), "{left}");
    }
}

#[tokio::test]
async fn the_status_says_that_a_day_is_used_up() {
    let size = json!({
        "contacts": 5_000, "companies": 0, "deals": 0, "lists": 0, "owners": 1,
        "limits": {"daily": 30, "ten_secondly": 100},
    });
    let tenant = Tenant::new(&shared(), size).await;
    let key = tenant.control("POST", "service-keys", None).await;
    let connected = Door::of_installation(&tenant)
        .call(
            "POST",
            "/hubspot/connect",
            Some(json!({"admin": Uuid::new_v4(), "access_token": key["token"]})),
        )
        .await;
    assert_eq!(connected.status, 200, "{}", connected.body);
    let deadline = Instant::now() + Duration::from_secs(90);
    let status = loop {
        let status = tenant.status().await;
        if status["pauses"].as_array().is_some_and(|p| !p.is_empty()) {
            break status;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let pauses = status["pauses"].as_array().unwrap();
    let buckets: Vec<_> = pauses.iter().map(|p| p["bucket"].as_str()).collect();
    let all = ["associations", "general", "search"].map(Some);
    assert_eq!(buckets, all, "{status:#}");
    for pause in pauses {
        assert_eq!(pause["reason"], "daily_limit");
        let until: DateTime<Utc> = pause["until"].as_str().unwrap().parse().unwrap();
        let left = (until - Utc::now()).num_seconds();
        assert!((1..=3_600).contains(&left), "{left}");
    }
    assert_eq!(status["phase"], "backfilling");
}

#[tokio::test]
async fn a_fence_stops_every_process_within_a_second() {
    let arena = Arena::new(json!("hubspot"), AuthKind::OAuth).await;
    let hammering = arena.hammer.start(3, Duration::from_secs(8)).unwrap();
    until(hammering.from_ms + 4_000).await;
    let began = Instant::now();
    arena
        .database
        .store
        .raise_fence(arena.tenant.workspace, Utc::now())
        .await
        .unwrap();
    let raised = now_ms();
    assert!(began.elapsed() < Duration::from_secs(5));
    let seen = HammerReport::sum(&hammering.reports().await.unwrap());
    // Every reader of every process was told.
    assert_eq!(seen.fenced, 24, "{seen:?}");
    let requests = arena.tenant.requests().await;
    assert!(requests.len() > 20, "{}", requests.len());
    let late: Vec<_> = requests
        .iter()
        .filter(|r| r["at_ms"].as_i64().unwrap() > raised + 1_000)
        .collect();
    assert!(late.is_empty(), "{late:?}");
}
