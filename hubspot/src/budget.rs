//! The rate budget: how fast requests may leave, and in which order.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::{sync::Notify, time::Instant};

/// HubSpot counts these apart (`hubspot-api.md` §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// The ten-second window.
    General,
    /// Search, by the second, shared with the customer's other apps.
    Search,
    /// The associations API.
    Associations,
}

/// What a request is for; earlier ones go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestClass {
    /// Somebody waits for it.
    Interactive,
    /// Logs an activity or a status.
    Activity,
    /// Keeps records in step.
    Sync,
    /// Reads a portal for the first time, or again.
    Backfill,
}

impl RequestClass {
    const COUNT: usize = 4;

    const fn index(self) -> usize {
        match self {
            Self::Interactive => 0,
            Self::Activity => 1,
            Self::Sync => 2,
            Self::Backfill => 3,
        }
    }
}

/// A request that wants to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetRequest {
    /// Counted where.
    pub bucket: Bucket,
    /// For what.
    pub class: RequestClass,
    /// Longest wait.
    pub max_wait: Duration,
}

/// Why a request may not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BudgetRefused {
    /// The connection is fenced off: never.
    #[error("fenced off")]
    Fenced,
    /// Not within the caller's wait.
    #[error("the budget is used up for at least {at_least:?}")]
    WouldWait {
        /// At least this long.
        at_least: Duration,
    },
    /// The account's requests of the day are used up.
    #[error("the account's requests of the day are used up")]
    DailyLimit {
        /// At least this long.
        at_least: Duration,
    },
    /// Whether it may leave could not be found out.
    #[error("the budget could not be asked")]
    Unavailable,
}

/// That a request may leave now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permit {
    /// How many requests of ours, this one included, were let go in the ten seconds that end now, by
    /// all who share the budget; none where nobody knows.
    pub ours_in_window: Option<u32>,
    /// The moment, by a clock that all who read and write the same store share: what is read with
    /// this permit is not older. None where nobody knows it; then the client's own clock counts.
    pub at: Option<DateTime<Utc>>,
}

/// What an answer tells about the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResponseObservation {
    /// The status; 429 means that somebody used what we thought was ours.
    pub status: u16,
    /// `X-HubSpot-RateLimit-Max`; search answers carry none of these.
    pub limit: Option<u64>,
    /// `X-HubSpot-RateLimit-Remaining`
    pub remaining: Option<u64>,
    /// `X-HubSpot-RateLimit-Interval-Milliseconds`
    pub interval: Option<Duration>,
    /// `Retry-After`
    pub retry_after: Option<Duration>,
    /// `X-HubSpot-RateLimit-Daily-Remaining`; not for OAuth.
    pub daily_remaining: Option<u64>,
    /// Whether a 429 is about the account's day.
    pub daily: bool,
}

/// Decides when requests to one portal leave.
#[async_trait]
pub trait RateBudget: Send + Sync {
    /// Waits until this request may leave.
    async fn acquire(&self, request: &BudgetRequest) -> Result<Permit, BudgetRefused>;

    /// Learns from the answer to a request that left with this permit.
    fn observe(&self, request: &BudgetRequest, permit: Permit, observation: &ResponseObservation);
}

/// Counts the requests of a client and its clones, those that are repeated too.
#[derive(Debug, Default)]
pub struct RequestTally {
    associations: AtomicU64,
    others: AtomicU64,
}

impl RequestTally {
    pub(crate) fn count(&self, bucket: Bucket) {
        let counter = match bucket {
            Bucket::Associations => &self.associations,
            Bucket::General | Bucket::Search => &self.others,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests of the associations API.
    pub fn associations(&self) -> u64 {
        self.associations.load(Ordering::Relaxed)
    }

    /// All other requests.
    pub fn others(&self) -> u64 {
        self.others.load(Ordering::Relaxed)
    }
}

/// No limit: for measuring, and for servers without limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

#[async_trait]
impl RateBudget for Unlimited {
    async fn acquire(&self, _request: &BudgetRequest) -> Result<Permit, BudgetRefused> {
        Ok(Permit::default())
    }

    fn observe(
        &self,
        _request: &BudgetRequest,
        _permit: Permit,
        _observation: &ResponseObservation,
    ) {
    }
}

/// A back-off after a 429 that does not say for how long.
const BACK_OFF: Duration = Duration::from_secs(10);
const SEARCH_BACK_OFF: Duration = Duration::from_secs(1);
/// A used-up day ends at the account's midnight, which this budget does not know.
const DAILY_BACK_OFF: Duration = Duration::from_secs(15 * 60);
/// Requests that left evenly may arrive a little bunched; the window is taken as this much longer.
const WINDOW: f64 = 10.25;

#[derive(Debug)]
struct Tokens {
    /// Most that can leave at once.
    burst: f64,
    /// Per second.
    refill: f64,
    available: f64,
    at: Instant,
    paused_until: Option<Instant>,
    waiting: [u32; RequestClass::COUNT],
}

impl Tokens {
    fn new(burst: f64, refill: f64, now: Instant) -> Self {
        Self {
            burst,
            refill,
            available: burst,
            at: now,
            paused_until: None,
            waiting: [0; RequestClass::COUNT],
        }
    }

    /// Takes a token, or says how long to wait at least.
    fn take(&mut self, class: RequestClass, now: Instant) -> Result<(), Duration> {
        if let Some(until) = self.paused_until {
            if until > now {
                return Err(until - now);
            }
            self.paused_until = None;
            self.available = 0.0;
            self.at = until;
        }
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.available = (self.available + elapsed * self.refill).min(self.burst);
        self.at = now;
        let ahead: u32 = self.waiting[..class.index()].iter().sum();
        let needed = 1.0 + f64::from(ahead);
        if ahead == 0 && self.available >= 1.0 {
            self.available -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64(
            ((needed - self.available).max(0.05)) / self.refill,
        ))
    }
}

/// The budget of one portal within one process.
#[derive(Debug)]
pub struct InProcessBudget {
    general: Mutex<Tokens>,
    search: Mutex<Tokens>,
    search_interactive: Mutex<Tokens>,
    associations: Mutex<Tokens>,
    changed: Notify,
}

impl InProcessBudget {
    /// A budget of `per_ten_seconds` requests. Burst and refill together never exceed it in any ten
    /// seconds. Search has three a second for reading and one for people; the fifth is left to the
    /// customer's other apps.
    pub fn new(per_ten_seconds: u32) -> Self {
        let now = Instant::now();
        let window = |limit: f64| {
            let burst = (limit / 20.0).max(1.0);
            Mutex::new(Tokens::new(
                burst,
                ((limit - burst) / WINDOW).max(0.05),
                now,
            ))
        };
        Self {
            general: window(f64::from(per_ten_seconds)),
            search: Mutex::new(Tokens::new(1.0, 2.0, now)),
            search_interactive: Mutex::new(Tokens::new(1.0, 1.0, now)),
            associations: window(100.0),
            changed: Notify::new(),
        }
    }

    fn bucket(&self, request: &BudgetRequest) -> &Mutex<Tokens> {
        match (request.bucket, request.class) {
            (Bucket::General, _) => &self.general,
            (Bucket::Search, RequestClass::Interactive) => &self.search_interactive,
            (Bucket::Search, _) => &self.search,
            (Bucket::Associations, _) => &self.associations,
        }
    }
}

/// Counts a waiter in, also when its future is dropped.
struct Waiting<'a> {
    bucket: &'a Mutex<Tokens>,
    class: RequestClass,
    changed: &'a Notify,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(self.bucket).waiting[self.class.index()] -= 1;
        self.changed.notify_waiters();
    }
}

fn lock(tokens: &Mutex<Tokens>) -> std::sync::MutexGuard<'_, Tokens> {
    tokens.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl RateBudget for InProcessBudget {
    async fn acquire(&self, request: &BudgetRequest) -> Result<Permit, BudgetRefused> {
        let bucket = self.bucket(request);
        let deadline = Instant::now() + request.max_wait;
        if lock(bucket).take(request.class, Instant::now()).is_ok() {
            return Ok(Permit::default());
        }
        lock(bucket).waiting[request.class.index()] += 1;
        let _waiting = Waiting {
            bucket,
            class: request.class,
            changed: &self.changed,
        };
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            let Err(wait) = lock(bucket).take(request.class, now) else {
                return Ok(Permit::default());
            };
            if now + wait > deadline {
                return Err(BudgetRefused::WouldWait { at_least: wait });
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed => {}
            }
        }
    }

    fn observe(&self, request: &BudgetRequest, _permit: Permit, observation: &ResponseObservation) {
        let now = Instant::now();
        let mut tokens = lock(self.bucket(request));
        if observation.status == 429 {
            let usual = match (observation.daily, request.bucket) {
                (true, _) => DAILY_BACK_OFF,
                (_, Bucket::Search) => SEARCH_BACK_OFF,
                _ => BACK_OFF,
            };
            let until = now + observation.retry_after.unwrap_or(usual);
            tokens.paused_until = Some(tokens.paused_until.map_or(until, |p| p.max(until)));
            return;
        }
        // Somebody else uses this allowance too: what is left is all there is.
        if let Some(remaining) = observation.remaining
            && (remaining as f64) < tokens.available
        {
            tokens.available = remaining as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const REQUEST: BudgetRequest = BudgetRequest {
        bucket: Bucket::General,
        class: RequestClass::Backfill,
        max_wait: Duration::from_secs(600),
    };

    #[tokio::test(start_paused = true)]
    async fn no_ten_seconds_hold_more_than_the_limit() {
        let budget = Arc::new(InProcessBudget::new(110));
        let left = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (budget, left) = (budget.clone(), left.clone());
                tokio::spawn(async move {
                    for _ in 0..60 {
                        budget.acquire(&REQUEST).await.unwrap();
                        left.lock().unwrap().push(Instant::now());
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let mut left = left.lock().unwrap().clone();
        left.sort();
        for (i, at) in left.iter().enumerate() {
            let in_window = left[i..]
                .iter()
                .take_while(|t| **t < *at + Duration::from_secs(10))
                .count();
            assert!(in_window <= 110, "{in_window} in ten seconds");
        }
        let took = (left[left.len() - 1] - left[0]).as_secs_f64();
        let share = 480.0 / took / 11.0;
        assert!(share > 0.9, "only {share} of the allowance was used");
    }

    #[tokio::test(start_paused = true)]
    async fn people_go_first() {
        let budget = Arc::new(InProcessBudget::new(20));
        while lock(&budget.general)
            .take(RequestClass::Backfill, Instant::now())
            .is_ok()
        {}
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for class in [
            RequestClass::Backfill,
            RequestClass::Backfill,
            RequestClass::Sync,
            RequestClass::Interactive,
        ] {
            let (budget, order) = (budget.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                budget
                    .acquire(&BudgetRequest { class, ..REQUEST })
                    .await
                    .unwrap();
                order.lock().unwrap().push(class);
            }));
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        let order = order.lock().unwrap().clone();
        assert_eq!(order[..2], [RequestClass::Interactive, RequestClass::Sync]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_foreign_429_pauses_and_a_short_wait_is_refused() {
        let budget = InProcessBudget::new(110);
        budget.observe(
            &REQUEST,
            Permit::default(),
            &ResponseObservation {
                status: 429,
                ..ResponseObservation::default()
            },
        );
        let hurried = BudgetRequest {
            max_wait: Duration::from_secs(5),
            ..REQUEST
        };
        let refused = budget.acquire(&hurried).await.unwrap_err();
        assert!(matches!(refused, BudgetRefused::WouldWait { .. }));
        let before = Instant::now();
        budget.acquire(&REQUEST).await.unwrap();
        assert!(before.elapsed() >= BACK_OFF);
    }
}
