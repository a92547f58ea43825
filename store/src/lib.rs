#![doc = include_str!("../README.md")]

mod activities;
mod aliases;
mod batches;
mod bulk_exports;
mod changes;
mod companies;
mod company_claims;
mod connections;
mod consents;
mod crypto;
mod cursors;
mod custom_fields;
mod deals;
mod definitions;
mod engagement_properties;
mod erasure;
mod error;
mod export_drain;
mod export_due;
mod export_previews;
mod export_reasons;
mod export_rechecks;
mod export_resume;
mod export_retry;
mod export_reverts;
mod export_standing;
mod export_summary;
mod exports;
mod feed;
mod idempotency;
mod intake;
mod journal;
mod keys;
mod links;
mod list_tables;
mod lists;
mod mapping;
mod members;
mod mirror;
mod oauth_states;
mod page_sessions;
mod people;
mod periodic;
mod person_writer;
mod portal_facts;
mod portal_keys;
mod portal_rules;
mod profiles;
mod projection;
mod purge;
mod ranges;
mod rate_budget;
mod reconcile;
mod records;
mod relink;
mod retention;
mod runs;
mod service_tokens;
mod settings;
mod steps;
mod sweeps;
#[cfg(feature = "testing")]
pub mod testing;
mod token_rotation;
mod tokens;
mod tombstones;
mod touches;
mod type_alarms;
mod unanswered;
mod verdicts;
mod webhooks;
mod workspaces;

pub use activities::{
    ActivityDone, ActivityRow, ActivityTurn, LoggedActivity, MostActivities, OpenActivityEntries,
    PendingActivity, SettledActivities,
};
pub use batches::{Batch, FoundBy, Listing, QuarantineRow, RecordRows, Rows, SetAside};
pub use bulk_exports::{BulkPerson, BulkPlanned, BulkRow, DueBulk, NewBulk, TakenPeople};
pub use changes::{ChangePosition, ChangedRecord};
pub use company_claims::{ClaimHold, Claimed};
pub use connections::{
    Connected, ConnectionRow, FenceRaised, FenceState, NewConnection, RefusedConnect,
};
pub use consents::{Confirmed, ConsentRow, ConsentState, EndedConsent, NewConsent};
pub use crypto::{KeyRing, KeyRingError};
pub use cursors::{CursorKey, CursorRow, NewCursor, PortalStatus, Refusal, Trouble, TypeStatus};
pub use deals::DealRow;
pub use definitions::{DefinitionRead, OwnerRow, PipelineRow, PropertyRow};
pub use erasure::{EraseTarget, Erased};
pub use error::StoreError;
pub use export_drain::{
    DrainFacts, DueExport, ExportedPerson, MirroredRecord, PendingRow, RecordHolder, RequestsEnd,
};
pub use export_reasons::ReasonCount;
pub use export_rechecks::DueRecheck;
pub use export_resume::{NewResume, RefusedResume};
pub use export_retry::{Requeued, Retried};
pub use export_reverts::{NewRevert, RefusedRevert, RevertEnd, RevertRow};
pub use export_standing::ExportStanding;
pub use export_summary::{ExportNumbers, Qualifying};
pub use exports::{ExportFilter, ExportRow, NewExports};
pub use feed::{FeedPage, FeedRefused, Followed};
pub use idempotency::{CallBegun, KeptAnswer, KeyedCall};
pub use journal::{CloseEntry, ExportEnd, Guard, JournalRow, LinkWrite, NewEntry, Opened};
pub use list_tables::{ListDetails, ListedMember, MembersChange};
pub use lists::{ListRow, MembershipPage};
pub use mirror::{Associated, AssociationRow, Fate, MirrorRow, MirrorStats, StoredObject};
pub use oauth_states::{
    CameBack, ConnectLink, ConnectNames, ConsumedState, NewOAuthState, StateRefused,
};
pub use page_sessions::{NewPageSession, PageEventRow, PageVisitor, PortalName, PortalShown};
pub use periodic::{DueAgain, FollowedMembers, Freshness, NewPeriodic, PeriodicType};
pub use person_writer::{WRITER_HOLD, WriterHold};
pub use portal_keys::{PortalKey, PortalKeyRow};
pub use profiles::{FoundProfiles, ProfileChange};
pub use projection::{ProjectedSlice, ProjectionDue};
pub use purge::{PurgeStatus, PurgeStep, RefusedPurge};
pub use ranges::{RangeRow, RangeStep};
pub use rate_budget::{BudgetKey, EpochOf, Leased, NewLease, Pause, PausedBudget};
pub use reconcile::{ReconcileState, Reread};
pub use records::{Listed, RefusedUpsert, UnreadableRow, Upserted};
pub use runs::{RequestedResync, RunPlan, RunRow, RunState};
pub use service_tokens::{NewServiceToken, ServiceTokenRow};
pub use settings::{SettingsRow, SettingsSaved};
pub use steps::{PageOutcome, Step};
pub use sweeps::{Swept, SweptConnection, SweptRun};
pub use token_rotation::Rotated;
pub use tokens::{
    AuthKind, LeaseOutcome, NewTokens, RefreshLease, Refreshed, RefusedKey, StoredRefresh,
    TokenLife, Tokens,
};
pub use touches::{FoundTouch, PersonTouch, TouchRow, TouchRows, Walked};
pub use type_alarms::NoneFound;
pub use unanswered::Span;
pub use webhooks::{DueRecord, DueWorkspace, Told, ToldCommitted, ToldReader, ToldRecord};

pub use verdicts::{
    Asked, DncBasis, StoppedPeople, StoppedPerson, StoppedPlace, VerdictPass, VerdictStep,
};

use std::{str::FromStr as _, time::Duration};

use erasure::IdentityKey;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// How to reach the database, and with which keys tokens are encrypted.
#[derive(Debug)]
pub struct StoreConfig {
    /// `postgres://…`
    pub url: SecretString,
    /// How many connections, and how long to wait for one.
    pub pools: Pools,
    /// `<key id>:<base64 of 32 bytes>`, the first encrypts, older ones behind a comma only decrypt.
    pub encryption_keys: SecretString,
    /// Base64 of 32 bytes: the key of the hashes that stay of erased people. The same for ever.
    pub erasure_key: SecretString,
}

/// The pools of a process. They are apart, so that pages and long lists of people never keep the
/// fence, a lease or a health check waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pools {
    /// Connections for short statements of control: tokens, fence, budget, health.
    pub control: u32,
    /// Connections for everything else.
    pub general: u32,
    /// Connections for pages.
    pub pages: u32,
    /// How long somebody waits for a connection, also while Postgres is away.
    pub acquire: Duration,
}

impl Pools {
    /// So many connections in all, three at least: a quarter for control, the rest by halves.
    pub const fn of(total: u32) -> Self {
        let control = match total / 4 {
            0 => 1,
            quarter => quarter,
        };
        let rest = total.saturating_sub(control);
        let general = match rest / 2 {
            0 => 1,
            half => half,
        };
        let pages = match rest.saturating_sub(general) {
            0 => 1,
            other => other,
        };
        Self {
            control,
            general,
            pages,
            acquire: Duration::from_secs(10),
        }
    }

    /// The same number in all, with so many of them for control.
    #[must_use]
    pub const fn with_control(mut self, control: u32) -> Self {
        let rest = (self.control + self.general + self.pages).saturating_sub(control);
        self.control = control;
        self.general = if rest / 2 == 0 { 1 } else { rest / 2 };
        self.pages = if rest - rest / 2 == 0 {
            1
        } else {
            rest - rest / 2
        };
        self
    }

    /// The same with another wait for a connection.
    #[must_use]
    pub const fn with_acquire(mut self, acquire: Duration) -> Self {
        self.acquire = acquire;
        self
    }
}

/// What ends a statement that would hold up others: nothing waits for ever, whatever the network or
/// another transaction does.
#[derive(Debug, Clone, Copy)]
struct Limits {
    statement: &'static str,
    lock: &'static str,
    idle_in_transaction: &'static str,
}

const CONTROL: Limits = Limits {
    statement: "5s",
    lock: "2s",
    idle_in_transaction: "10s",
};
const GENERAL: Limits = Limits {
    statement: "30s",
    lock: "10s",
    idle_in_transaction: "30s",
};
const PAGES: Limits = Limits {
    statement: "60s",
    lock: "30s",
    idle_in_transaction: "60s",
};
/// A migration takes as long as it takes, and waits for the process that migrates already.
const MIGRATION: Limits = Limits {
    statement: "0",
    lock: "0",
    idle_in_transaction: "0",
};

impl Limits {
    fn on(self, options: PgConnectOptions) -> PgConnectOptions {
        options.options([
            ("statement_timeout", self.statement),
            ("lock_timeout", self.lock),
            // Short statements with estimates that are far too high: compiling them costs more than they.
            ("jit", "off"),
            // A plan that is kept is one for the few rows that a table had when it was made.
            ("plan_cache_mode", "force_custom_plan"),
            (
                "idle_in_transaction_session_timeout",
                self.idle_in_transaction,
            ),
        ])
    }
}

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    /// For short statements of control.
    control: PgPool,
    /// For everything else.
    pool: PgPool,
    /// Its commits do not wait for the disk: for pages, which carry their cursor. A page that a
    /// crash of Postgres loses is lost together with its cursor, and is read again.
    pages: PgPool,
    keys: KeyRing,
    identities: IdentityKey,
}

impl Store {
    /// Opens the pools. The database has to answer.
    ///
    /// # Errors
    /// [`StoreError::Keys`] for unusable keys, [`StoreError::Address`] for an address that is none,
    /// [`StoreError::Unavailable`] when nobody answers.
    pub async fn connect(config: StoreConfig) -> Result<Self, StoreError> {
        let keys = KeyRing::parse(&config.encryption_keys)?;
        let identities = IdentityKey::parse(&config.erasure_key)?;
        let options = PgConnectOptions::from_str(config.url.expose_secret())
            .map_err(|_| StoreError::Address)?
            .application_name("hubspot-sync");
        let pools = config.pools;
        let control = pool_options(pools.control, pools.acquire)
            .connect_with(CONTROL.on(options.clone()))
            .await?;
        let pool = pool_options(pools.general, pools.acquire)
            .connect_lazy_with(GENERAL.on(options.clone()));
        let pages = pool_options(pools.pages, pools.acquire)
            .connect_lazy_with(PAGES.on(options.options([("synchronous_commit", "off")])));
        Ok(Self {
            control,
            pool,
            pages,
            keys,
            identities,
        })
    }

    /// Brings the schema up to date. Safe to run from many processes at once.
    ///
    /// # Errors
    /// When a migration fails or the database is newer than this program.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let options = self.pool.connect_options().as_ref().clone();
        let mut connection = PgConnection::connect_with(&MIGRATION.on(options)).await?;
        sqlx::migrate!()
            .run(&mut connection)
            .await
            .map_err(StoreError::Migration)?;
        Ok(self.adopt_cluster().await?)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query!("select 1 as one")
            .fetch_one(&self.control)
            .await?;
        Ok(())
    }
}

fn pool_options(max: u32, acquire: Duration) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(acquire)
}

/// Host and port of a database address: fit for a log, as the user and the password are not.
pub fn address_of(url: &SecretString) -> String {
    match PgConnectOptions::from_str(url.expose_secret()) {
        Ok(options) => format!("{}:{}", options.get_host(), options.get_port()),
        Err(_) => "an address that is none".to_owned(),
    }
}
