//! A database for each test (feature `testing`).

use std::str::FromStr as _;

use domain::WorkspaceId;
use secrecy::SecretString;
use sqlx::{Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::{Pools, Store, StoreConfig};

/// Keys for tests.
pub const TEST_KEYS: &str = "test:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Key of erasures for tests.
pub const TEST_ERASURE_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// A migrated database of its own.
#[derive(Debug)]
pub struct TestDatabase {
    /// The store on it.
    pub store: Store,
    pub url: String,
}

/// A store on a database, with keys for tests.
///
/// # Panics
/// When it does not answer.
pub async fn store_of(url: &str) -> Store {
    Store::connect(StoreConfig {
        url: SecretString::from(url),
        pools: Pools::of(12),
        encryption_keys: SecretString::from(TEST_KEYS),
        erasure_key: SecretString::from(TEST_ERASURE_KEY),
    })
    .await
    .expect("the database answers")
}

impl TestDatabase {
    /// Makes a database on the server of `DATABASE_URL`. It is left behind, as the server of a test
    /// run is thrown away with all of them.
    ///
    /// # Panics
    /// When `DATABASE_URL` is not set or the server does not do it: a test must not pass unrun.
    pub async fn create() -> Self {
        let admin = std::env::var("DATABASE_URL")
            .expect("DATABASE_URL is not set: run the tests with `cargo dev test`");
        let name = format!("test_{}", Uuid::new_v4().simple());
        let options = PgConnectOptions::from_str(&admin).expect("DATABASE_URL is an address");
        let mut connection = PgConnection::connect_with(&options)
            .await
            .expect("the server of DATABASE_URL answers");
        connection
            .execute(sqlx::AssertSqlSafe(format!("create database {name}")))
            .await
            .expect("a database can be created");
        let (server, _) = admin
            .rsplit_once('/')
            .expect("DATABASE_URL names a database");
        let url = format!("{server}/{name}");
        let store = store_of(&url).await;
        store.migrate().await.expect("migrations run");
        Self { store, url }
    }
}

impl Store {
    /// A number of changes: what was committed before is below it.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn change_mark(&self) -> i64 {
        sqlx::query_scalar!("select mirror_change() as \"n!\"")
            .fetch_one(&self.pool)
            .await
            .expect("the database answers")
    }

    /// Whether nothing below a number of changes can appear any more, so that whoever follows changes sees
    /// all of it.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn is_settled(&self, mark: i64) -> bool {
        sqlx::query_scalar!("select mirror_settled() > $1 as \"is!\"", mark)
            .fetch_one(&self.pool)
            .await
            .expect("the database answers")
    }

    /// How many new contacts of a workspace are still to be looked at once more.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn rechecks_left(&self, workspace: WorkspaceId) -> i64 {
        sqlx::query_scalar!(
            "select count(*) as \"n!\" from export_recheck where workspace_id = $1",
            workspace.as_uuid()
        )
        .fetch_one(&self.pool)
        .await
        .expect("the database answers")
    }
}
