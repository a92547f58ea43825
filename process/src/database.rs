//! Postgres: its flags, and a store that is opened however long that takes.

use std::time::Duration;

use secrecy::SecretString;
use store::{Pools, Store, StoreConfig, StoreError};

use crate::{
    Backoff,
    config::{self, ConfigError},
};

const DATABASE: &str = "postgres://sync:secret@localhost:5432/hubspot_sync";
const KEYS: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Flags and variables of all programs that open the database.
#[derive(Clone, clap::Args)]
pub struct DatabaseArgs {
    /// Postgres, e.g. postgres://user:password@host:5432/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Most connections to Postgres from this process
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS")]
    database_max_connections: Option<String>,
    /// Those of them that are kept for short statements of control; without it, a quarter
    #[arg(long, env = "DATABASE_CONTROL_CONNECTIONS")]
    database_control_connections: Option<String>,
    /// Seconds that somebody waits for a connection, also while Postgres is away
    #[arg(long, env = "DATABASE_ACQUIRE_SECONDS")]
    database_acquire_seconds: Option<String>,
    /// Keys that encrypt tokens at rest: `<key id>:<base64 of 32 bytes>`, the first encrypts, older
    /// ones behind a comma only decrypt
    #[arg(long, env = "TOKEN_ENCRYPTION_KEYS", hide_env_values = true)]
    token_encryption_keys: Option<String>,
    /// Key of the hashes that stay of erased people: base64 of 32 bytes, the same for ever
    #[arg(long, env = "ERASURE_KEY", hide_env_values = true)]
    erasure_key: Option<String>,
}

/// What a program takes where nothing is said.
#[derive(Debug, Clone, Copy)]
pub struct DatabaseDefaults {
    /// Most connections.
    pub max_connections: u32,
    /// How long somebody waits for one.
    pub acquire: Duration,
}

/// How to open the store.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    url: SecretString,
    pools: Pools,
    encryption_keys: SecretString,
    erasure_key: SecretString,
}

impl DatabaseArgs {
    /// Checked.
    ///
    /// # Errors
    /// Names the variable.
    pub fn check(self, defaults: DatabaseDefaults) -> Result<DatabaseConfig, ConfigError> {
        self.checked(defaults, false)
    }

    /// The same for a program that migrates and does nothing else: no keys are needed.
    ///
    /// # Errors
    /// Names the variable.
    pub fn check_for_migration(
        self,
        defaults: DatabaseDefaults,
    ) -> Result<DatabaseConfig, ConfigError> {
        self.checked(defaults, true)
    }

    fn checked(
        self,
        defaults: DatabaseDefaults,
        migration: bool,
    ) -> Result<DatabaseConfig, ConfigError> {
        let url = config::required(self.database_url, "DATABASE_URL", DATABASE)?;
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            let problem = "is not a postgres:// address";
            return Err(ConfigError::new("DATABASE_URL", problem, DATABASE));
        }
        let given = |value: Option<String>| value.filter(|v| !v.is_empty());
        let total = given(self.database_max_connections)
            .map(|text| config::count(&text, "DATABASE_MAX_CONNECTIONS", 3..=1_000, "20"))
            .transpose()?
            .unwrap_or(defaults.max_connections);
        let acquire = given(self.database_acquire_seconds)
            .map(|text| config::seconds(&text, "DATABASE_ACQUIRE_SECONDS", 1..=60, "2"))
            .transpose()?
            .unwrap_or(defaults.acquire);
        let mut pools = Pools::of(total).with_acquire(acquire);
        if let Some(text) = given(self.database_control_connections) {
            let most = total.saturating_sub(2).max(1);
            let control = config::count(&text, "DATABASE_CONTROL_CONNECTIONS", 1..=most, "5")?;
            pools = pools.with_control(control);
        }
        let key = |value: Option<String>, variable, example: &'static str| {
            let value = value.or_else(|| migration.then(|| example.to_owned()));
            config::required(value, variable, example).map(SecretString::from)
        };
        Ok(DatabaseConfig {
            url: url.into(),
            pools,
            encryption_keys: key(self.token_encryption_keys, "TOKEN_ENCRYPTION_KEYS", KEYS)?,
            erasure_key: key(self.erasure_key, "ERASURE_KEY", KEY)?,
        })
    }
}

/// Opens the store and brings its schema up to date, however long that takes.
///
/// # Errors
/// When no amount of waiting mends the configuration.
pub async fn open(config: &DatabaseConfig) -> Result<Store, StoreError> {
    let mut backoff = Backoff::default();
    loop {
        let opened = async {
            let store = Store::connect(StoreConfig {
                url: config.url.clone(),
                pools: config.pools,
                encryption_keys: config.encryption_keys.clone(),
                erasure_key: config.erasure_key.clone(),
            })
            .await?;
            store.migrate().await?;
            Ok::<_, StoreError>(store)
        };
        match opened.await {
            Ok(store) => return Ok(store),
            Err(error) if is_misconfigured(&error) => return Err(error),
            Err(error) => tracing::warn!(
                code = error.code(),
                address = %store::address_of(&config.url),
                error = %error,
                "Postgres (DATABASE_URL) is not to be had yet; trying again"
            ),
        }
        backoff.wait().await;
    }
}

/// Whether the configuration is at fault: exit code 2.
pub const fn is_misconfigured(error: &StoreError) -> bool {
    matches!(error, StoreError::Keys(_) | StoreError::Address)
}
