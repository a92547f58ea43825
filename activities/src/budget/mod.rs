//! The rate budget of the whole fleet: slots leased from the store, handed to the requests of this
//! process in the order of their classes, behind the fence (X3, C4).
//!
//! [`SharedBudgets`] is one per process, [`lane`] serves one bucket of one portal, [`queue`] knows who
//! is next.

mod lane;
mod queue;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    AppKey, BudgetBucket, Epoch, PauseReason, PortalId, Urgency, WorkspaceId,
    rate_budget::{OAUTH_LIMIT, SERVICE_KEY_LIMIT, daily_pause_until},
};
use hubspot::{BudgetRefused, BudgetRequest, Permit, RateBudget, ResponseObservation};
use sha2::{Digest as _, Sha256};
use store::{AuthKind, BudgetKey, EpochOf, Store};
use tokio::sync::OnceCell;

use self::lane::Lane;
use crate::Metrics;
use crate::convert::{bucket_of, urgency_of};

/// A back-off after a 429 that does not say for how long: a window (`hubspot-api.md` §2).
const BACK_OFF: Duration = Duration::from_secs(10);
const SEARCH_BACK_OFF: Duration = Duration::from_secs(1);

/// How this process shares the budget.
#[derive(Debug, Clone, Default)]
pub struct BudgetConfig {
    /// The OAuth client id; requests of service keys are counted apart.
    pub client_id: Option<String>,
    /// Most requests in ten seconds and portal, whatever HubSpot allows; none for HubSpot's limit.
    pub requests_per_10s: Option<u32>,
}

/// What the budgets of this process did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BudgetCounts {
    /// Statements to the database, those that found nothing included.
    pub statements: u64,
    /// Requests that were let go.
    pub let_go: u64,
    /// Slots that nobody used.
    pub unused: u64,
}

/// The rate budgets of all portals, as this process sees them. Cheap to clone.
#[derive(Clone)]
pub struct SharedBudgets {
    shared: Arc<Shared>,
}

/// How connections authenticate, as far as it was looked up.
type Kinds = HashMap<EpochOf, Arc<OnceCell<AuthKind>>>;

/// What the lanes share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    app: Option<AppKey>,
    upper: Option<u32>,
    lanes: Mutex<HashMap<BudgetKey, Arc<Lane>>>,
    kinds: Mutex<Kinds>,
    statements: AtomicU64,
    let_go: AtomicU64,
    unused: AtomicU64,
}

impl Shared {
    fn lock_kinds(&self) -> MutexGuard<'_, Kinds> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count_statement(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.metrics.budget_statement();
    }

    pub(crate) fn count_let_go(&self, urgency: Urgency, waited: Duration) {
        self.let_go.fetch_add(1, Ordering::Relaxed);
        self.metrics.budget_wait(urgency, waited.as_secs_f64());
    }

    pub(crate) fn count_unused(&self, slots: usize) {
        self.unused.fetch_add(slots as u64, Ordering::Relaxed);
        self.metrics.budget_unused(slots as u64);
    }
}

impl SharedBudgets {
    /// The budgets in this store.
    pub fn new(store: Store, config: &BudgetConfig, metrics: Metrics) -> Self {
        let app = config.client_id.as_deref().map(app_key);
        Self {
            shared: Arc::new(Shared {
                store,
                metrics,
                app,
                upper: config.requests_per_10s,
                lanes: Mutex::default(),
                kinds: Mutex::default(),
                statements: AtomicU64::default(),
                let_go: AtomicU64::default(),
                unused: AtomicU64::default(),
            }),
        }
    }

    /// The budget and the fence of a connection, for requests of this epoch.
    pub fn of(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        epoch: Epoch,
    ) -> Arc<dyn RateBudget> {
        Arc::new(ConnectionBudget {
            shared: self.shared.clone(),
            connection: EpochOf { workspace, epoch },
            portal,
        })
    }

    /// What was done since the start.
    pub fn counts(&self) -> BudgetCounts {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        BudgetCounts {
            statements: get(&self.shared.statements),
            let_go: get(&self.shared.let_go),
            unused: get(&self.shared.unused),
        }
    }
}

/// The key of an OAuth app: a digest, so that tables and logs do not hold the id.
fn app_key(client_id: &str) -> AppKey {
    let digest = Sha256::digest(client_id.as_bytes());
    let hex: String = digest.iter().take(12).map(|b| format!("{b:02x}")).collect();
    AppKey::new(format!("oauth-{hex}")).unwrap_or_else(|_| AppKey::service_key())
}

/// The budget of one connection in one epoch.
struct ConnectionBudget {
    shared: Arc<Shared>,
    connection: EpochOf,
    portal: PortalId,
}

impl ConnectionBudget {
    /// An OAuth app and a service key are counted apart by HubSpot. Which of them it is does not
    /// change within an epoch; however many requests wait, it is looked up once.
    async fn kind(&self) -> Result<AuthKind, BudgetRefused> {
        let cell = {
            let mut kinds = self.shared.lock_kinds();
            if !kinds.contains_key(&self.connection) {
                kinds.retain(|c, _| c.workspace != self.connection.workspace);
            }
            kinds.entry(self.connection).or_default().clone()
        };
        let look = || async {
            self.shared.count_statement();
            let row = self
                .shared
                .store
                .connection(self.connection.workspace)
                .await
                .map_err(|_| BudgetRefused::Unavailable)?;
            row.filter(|row| row.epoch == self.connection.epoch)
                .map(|row| row.auth_kind)
                .ok_or(BudgetRefused::Fenced)
        };
        cell.get_or_try_init(look).await.copied()
    }

    fn lane_of(&self, kind: AuthKind, bucket: BudgetBucket) -> Arc<Lane> {
        let (app, limit) = match (kind, &self.shared.app) {
            (AuthKind::OAuth, Some(app)) => (app.clone(), OAUTH_LIMIT),
            (AuthKind::OAuth, None) | (AuthKind::Static, _) => {
                (AppKey::service_key(), SERVICE_KEY_LIMIT)
            }
        };
        let upper = match bucket {
            BudgetBucket::General => self.shared.upper,
            BudgetBucket::Search | BudgetBucket::Associations => None,
        };
        let key = BudgetKey {
            app,
            portal: self.portal,
            bucket,
        };
        let mut lanes = self
            .shared
            .lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lanes
            .entry(key.clone())
            .or_insert_with(|| {
                Lane::new(self.shared.clone(), key, upper, bucket.usual_limit(limit))
            })
            .clone()
    }

    /// The lane of a request that already left.
    fn known_lane(&self, bucket: BudgetBucket) -> Option<Arc<Lane>> {
        let kinds = self.shared.lock_kinds();
        let kind = kinds.get(&self.connection).and_then(|k| k.get().copied());
        drop(kinds);
        kind.map(|kind| self.lane_of(kind, bucket))
    }
}

#[async_trait]
impl RateBudget for ConnectionBudget {
    async fn acquire(&self, request: &BudgetRequest) -> Result<Permit, BudgetRefused> {
        let kind = self.kind().await?;
        self.lane_of(kind, bucket_of(request.bucket))
            .acquire(self.connection, urgency_of(request.class), request.max_wait)
            .await
    }

    fn observe(&self, request: &BudgetRequest, permit: Permit, observation: &ResponseObservation) {
        let bucket = bucket_of(request.bucket);
        let Some(lane) = self.known_lane(bucket) else {
            return;
        };
        if observation.status == 429 {
            self.shared.metrics.budget_429(bucket);
        }
        let used_up = observation.daily || observation.daily_remaining == Some(0);
        if used_up {
            let now = chrono::Utc::now().timestamp();
            let until = daily_pause_until(now, lane.utc_offset());
            let pause = Duration::from_secs((until - now).unsigned_abs());
            let mut news = false;
            for bucket in BudgetBucket::ALL {
                if let Some(lane) = self.known_lane(bucket) {
                    news |= lane.stand_still(PauseReason::DailyLimit, pause);
                }
            }
            if news {
                lane.tell_pause(&BudgetBucket::ALL, PauseReason::DailyLimit, pause);
            }
        } else if observation.status == 429 {
            let usual = match bucket {
                BudgetBucket::Search => SEARCH_BACK_OFF,
                BudgetBucket::General | BudgetBucket::Associations => BACK_OFF,
            };
            let pause = observation.retry_after.unwrap_or(usual);
            if lane.stand_still(PauseReason::RateLimited, pause) {
                lane.tell_pause(&[bucket], PauseReason::RateLimited, pause);
            }
        } else {
            lane.learn(permit, observation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_an_app_is_a_digest_of_its_id() {
        let key = app_key("an-id");
        assert_eq!(key, app_key("an-id"));
        assert_ne!(key, app_key("another"));
        assert!(key.as_str().starts_with("oauth-") && !key.as_str().contains("an-id"));
        assert_eq!(key.as_str().len(), 30);
    }
}
