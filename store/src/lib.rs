#![doc = include_str!("../README.md")]

mod batches;
mod changes;
mod companies;
mod connections;
mod consents;
mod crypto;
mod cursors;
mod custom_fields;
mod definitions;
mod erasure;
mod error;
mod exports;
mod idempotency;
mod keys;
mod lists;
mod members;
mod mirror;
mod oauth_states;
mod people;
mod portal_facts;
mod purge;
mod ranges;
mod rate_budget;
mod records;
mod retention;
mod runs;
mod service_tokens;
mod settings;
mod steps;
#[cfg(feature = "testing")]
pub mod testing;
mod tokens;
mod unanswered;
mod workspaces;

pub use batches::{Batch, FoundBy, Listing, QuarantineRow, RecordRows, Rows};
pub use changes::{ChangePosition, ChangedRecord};
pub use connections::{
    Connected, ConnectionRow, FenceRaised, FenceState, NewConnection, RefusedConnect,
};
pub use consents::{Confirmed, ConsentRow, ConsentState, EndedConsent, NewConsent};
pub use crypto::{KeyRing, KeyRingError};
pub use cursors::{CursorKey, CursorRow, NewCursor, PortalStatus, Refusal, Trouble, TypeStatus};
pub use definitions::{OwnerRow, PipelineRow, PropertyRow};
pub use erasure::{EraseTarget, Erased};
pub use error::StoreError;
pub use exports::{ExportFilter, ExportRow, NewExports};
pub use idempotency::{CallBegun, KeptAnswer, KeyedCall};
pub use lists::{ListRow, MembershipPage};
pub use mirror::{AssociationRow, MirrorRow, MirrorStats, StoredObject};
pub use oauth_states::{
    CameBack, ConnectLink, ConnectNames, ConsumedState, NewOAuthState, StateRefused,
};
pub use purge::{PurgeStatus, PurgeStep, RefusedPurge};
pub use ranges::{RangeRow, RangeStep};
pub use rate_budget::{BudgetKey, EpochOf, Leased, NewLease, Pause, PausedBudget};
pub use records::{Listed, RefusedUpsert, UnreadableRow, Upserted};
pub use runs::{RequestedResync, RunPlan, RunRow, RunState, SweepRow};
pub use service_tokens::{NewServiceToken, ServiceTokenRow};
pub use settings::{SettingsRow, SettingsSaved};
pub use steps::{PageOutcome, Step};
pub use tokens::{AuthKind, NewTokens, RefreshOutcome, Tokens};

use std::{str::FromStr as _, time::Duration};

use erasure::IdentityKey;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// How to reach the database, and with which keys tokens are encrypted.
#[derive(Debug)]
pub struct StoreConfig {
    /// `postgres://…`
    pub url: SecretString,
    /// Most connections of this process.
    pub max_connections: u32,
    /// `<key id>:<base64 of 32 bytes>`, the first encrypts, older ones behind a comma only decrypt.
    pub encryption_keys: SecretString,
    /// Base64 of 32 bytes: the key of the hashes that stay of erased people. The same for ever.
    pub erasure_key: SecretString,
}

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
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
        let half = (config.max_connections / 2).max(1);
        let pool = pool_options(half).connect_with(options.clone()).await?;
        let pages =
            pool_options(half).connect_lazy_with(options.options([("synchronous_commit", "off")]));
        Ok(Self {
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
        sqlx::migrate!()
            .run(&self.pool)
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
            .fetch_one(&self.pool)
            .await?;
        Ok(())
    }
}

fn pool_options(max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(Duration::from_secs(10))
}

/// Host and port of a database address: fit for a log, as the user and the password are not.
pub fn address_of(url: &SecretString) -> String {
    match PgConnectOptions::from_str(url.expose_secret()) {
        Ok(options) => format!("{}:{}", options.get_host(), options.get_port()),
        Err(_) => "an address that is none".to_owned(),
    }
}
