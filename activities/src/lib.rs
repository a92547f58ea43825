#![doc = include_str!("../README.md")]

mod backfill;
mod budget;
mod connection;
mod convert;
mod export;
mod failure;
mod fence;
mod metrics;
mod own_properties;
mod periodic;
mod portal;
mod portal_keys;
mod profiles;
mod pulse;
mod purge;
mod read;
mod reconcile;
mod revoked;
mod schedules;
mod slices;
mod sweep;
mod tokens;
mod verdicts;
mod webhooks;

pub use backfill::Backfilling;
pub use budget::{BudgetConfig, BudgetCounts, SharedBudgets};
pub use connection::Connecting;
pub use export::{BulkExporting, ContactExporting, ExportConfig, Previewing, Rechecking};
pub use metrics::Metrics;
pub use own_properties::OwnPropertiesMaking;
pub use periodic::{PeriodicConfig, Syncing};
pub use portal_keys::{COMPANY_KEY, PortalKeyError, company_key};
pub use profiles::Profiling;
pub use pulse::Pulse;
pub use purge::Purging;
pub use reconcile::Reconciling;
pub use sweep::Sweeping;
pub use verdicts::Judging;
pub use webhooks::WebhookReading;

use std::{sync::Arc, time::Duration};

use domain::Sharing;
use hubspot::{ClientConfig, oauth::OAuthApp};
use secrecy::SecretString;
use store::Store;
use temporalio_client::Client;
use url::Url;

/// The HubSpot app.
#[derive(Debug, Clone)]
pub struct AppCredentials {
    /// Its client id.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: SecretString,
}

/// How much of HubSpot's limits is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimits {
    /// Requests leave as they come: only for a server without limits.
    Off,
    /// All processes on this database stay within the limits together.
    Shared {
        /// Most requests in ten seconds and portal; none for what HubSpot allows.
        requests_per_10s: Option<u32>,
    },
}

/// What activities need to know.
#[derive(Debug, Clone)]
pub struct ActivitiesConfig {
    /// HubSpot's API.
    pub hubspot_api_url: Url,
    /// HubSpot's app.
    pub hubspot_app_url: Url,
    /// The app; none where only service keys are used.
    pub app: Option<AppCredentials>,
    /// How much of HubSpot's limits is used.
    pub rate_limits: RateLimits,
    /// How long a slice reads, if others wait for its place.
    pub slice: Duration,
    /// How many slices run in this process at the same time.
    pub slots: usize,
    /// How many readers share a big object type.
    pub sharing: Sharing,
    /// How the periodic sync goes.
    pub periodic: PeriodicConfig,
    /// How exports go.
    pub exports: ExportConfig,
}

/// What activities share. Cheap to clone.
#[derive(Clone)]
pub struct Activities {
    deps: Arc<Deps>,
}

pub(crate) struct Deps {
    pub(crate) store: Store,
    pub(crate) temporal: Client,
    pub(crate) portals: portal::Portals,
    pub(crate) metrics: Metrics,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) slice: Duration,
    pub(crate) slots: u64,
    pub(crate) sharing: Sharing,
    pub(crate) periodic: PeriodicConfig,
    pub(crate) exports: ExportConfig,
    pub(crate) grounds: export::Grounds,
}

impl Activities {
    /// Puts them together.
    ///
    /// # Errors
    /// When TLS is not to be had on this machine.
    pub fn new(
        config: ActivitiesConfig,
        store: Store,
        temporal: Client,
        metrics: Metrics,
        pulse: Arc<Pulse>,
    ) -> Result<Self, hubspot::Error> {
        let client = ClientConfig {
            api_url: config.hubspot_api_url,
            app_url: config.hubspot_app_url,
            ..ClientConfig::default()
        };
        let app = config.app.map(|app| OAuthApp {
            client_id: app.client_id,
            client_secret: app.client_secret,
        });
        let budgets = match config.rate_limits {
            RateLimits::Off => None,
            RateLimits::Shared { requests_per_10s } => {
                let config = BudgetConfig {
                    client_id: app.as_ref().map(|app| app.client_id.clone()),
                    requests_per_10s,
                };
                Some(SharedBudgets::new(store.clone(), &config, metrics.clone()))
            }
        };
        let portals = portal::Portals::new(store.clone(), client, app, budgets)?;
        Ok(Self {
            deps: Arc::new(Deps {
                store,
                temporal,
                portals,
                metrics,
                pulse,
                slice: config.slice,
                slots: config.slots as u64,
                sharing: config.sharing,
                periodic: config.periodic,
                exports: config.exports,
                grounds: export::Grounds::default(),
            }),
        })
    }

    /// Waits for the token refreshes under way, which outlive the activities that asked for them: a
    /// refresh token that HubSpot has replaced must not be lost. `false` when some are not over in
    /// time.
    pub async fn settle(&self, within: Duration) -> bool {
        self.deps.portals.settle(within).await
    }

    /// The activities of `Connection`.
    pub fn connection(&self) -> Connecting {
        Connecting::new(self.deps.clone())
    }

    /// The activities of `Backfill`.
    pub fn backfill(&self) -> Backfilling {
        Backfilling::new(self.deps.clone())
    }

    /// The activity of `Profiles`.
    pub fn profiles(&self) -> Profiling {
        Profiling::new(self.deps.clone())
    }

    /// The activity of `PeriodicSync`.
    pub fn periodic(&self) -> Syncing {
        Syncing::new(self.deps.clone())
    }

    /// The activity of `Purge`.
    pub fn purge(&self) -> Purging {
        Purging::new(self.deps.clone())
    }

    /// The activities of `Reconcile`.
    pub fn reconcile(&self) -> Reconciling {
        Reconciling::new(self.deps.clone())
    }

    /// The activity of `WebhookRead`.
    pub fn webhooks(&self) -> WebhookReading {
        WebhookReading::new(self.deps.clone())
    }

    /// The activity of `ContactExport`.
    pub fn contact_export(&self) -> ContactExporting {
        ContactExporting::new(self.deps.clone())
    }

    /// The activity of `BulkExport`.
    pub fn bulk_exports(&self) -> BulkExporting {
        BulkExporting::new(self.deps.clone())
    }

    /// The activity of `ExportPreview`.
    pub fn previews(&self) -> Previewing {
        Previewing::new(self.deps.clone())
    }

    /// The activity of `OwnProperties`.
    pub fn own_properties(&self) -> OwnPropertiesMaking {
        OwnPropertiesMaking::new(self.deps.clone())
    }

    /// The activity of `ExportRecheck`.
    pub fn rechecks(&self) -> Rechecking {
        Rechecking::new(self.deps.clone())
    }

    /// The activity of `Verdicts`.
    pub fn verdicts(&self) -> Judging {
        Judging::new(self.deps.clone())
    }

    /// The activities of `Sweep`.
    pub fn sweep(&self) -> Sweeping {
        Sweeping::new(self.deps.clone())
    }
}
