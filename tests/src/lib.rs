#![doc = include_str!("../README.md")]

pub mod activities;
pub mod browser;
pub mod command_line;
pub mod data;
pub mod door;
pub mod exports;
pub mod heard;
pub mod hooks;
pub mod journals;
pub mod mirrored;
pub mod pages;
pub mod periodic;
pub mod planted;
pub mod previews;
pub mod profiles;
pub mod proxy;
pub mod random;
pub mod retire;
pub mod script;
pub mod seen;
pub mod stacks;
pub mod verdicts;
pub mod wrong_settings;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

pub use mirrored::assert_mirrored;

use dev::{
    demo::{Api, Consent},
    stack::{Addresses, DEV_KEY},
};
use domain::{PortalId, WorkspaceId};
use serde_json::{Value, json};
use store::{Pools, Store, StoreConfig};
use uuid::Uuid;

/// The stack that `cargo dev test` started.
///
/// # Panics
/// When there is none: a test must not pass unrun.
pub fn shared() -> Api {
    let stack = std::env::var("HUBSPOT_SYNC_STACK")
        .expect("HUBSPOT_SYNC_STACK is not set: run the tests with `cargo dev test`");
    let addresses: Addresses = serde_json::from_str(&stack).expect("addresses of a stack");
    Api::new(addresses).expect("an HTTP client")
}

/// Where the programs are.
///
/// # Panics
/// When nobody says.
pub fn binaries() -> PathBuf {
    std::env::var_os("HUBSPOT_SYNC_BINARIES")
        .expect("HUBSPOT_SYNC_BINARIES is not set: run the tests with `cargo dev test`")
        .into()
}

/// A workspace with a portal of its own.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The stack.
    pub api: Api,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The portal.
    pub portal: PortalId,
    /// Disconnects the workspace at the end of the test.
    pub retire: retire::Retire,
}

impl Tenant {
    /// Makes a portal as described (sizes and settings of the simulator).
    ///
    /// # Panics
    /// When the simulator refuses.
    pub async fn new(api: &Api, mut portal: Value) -> Self {
        let id = Uuid::new_v4();
        let number = 2_000_000 + i64::from(id.as_fields().0) % 800_000_000;
        portal["portal_id"] = json!(number);
        let path = if portal.get("dir").is_some() {
            "portals/csv"
        } else {
            "portals"
        };
        api.simulator("POST", path, Some(portal))
            .await
            .expect("a portal");
        Self {
            api: api.clone(),
            retire: retire::Retire::at_the_end(api, &id.to_string()),
            workspace: WorkspaceId::new(id),
            portal: PortalId::new(number).expect("a portal id"),
        }
    }

    /// The workspace as text.
    pub fn id(&self) -> String {
        self.workspace.to_string()
    }

    /// Connects through the consent page.
    ///
    /// # Panics
    /// When it does not end on the page that says so.
    pub async fn connect(&self) {
        let reply = self
            .api
            .connect(
                &self.id(),
                self.portal.get().cast_unsigned(),
                Consent::Approve,
            )
            .await
            .expect("the consent page");
        assert_eq!(reply.status, 200, "{}", reply.text);
    }

    /// A control call about the portal.
    ///
    /// # Panics
    /// When the simulator refuses.
    pub async fn control(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let path = if path.is_empty() {
            format!("portals/{}", self.portal)
        } else {
            format!("portals/{}/{path}", self.portal)
        };
        self.api
            .simulator(method, &path, body)
            .await
            .expect("the simulator does it")
    }

    /// The status of the workspace.
    ///
    /// # Panics
    /// When there is none.
    pub async fn status(&self) -> Value {
        self.api.status(&self.id()).await.expect("a status")
    }

    /// Waits until the phase is this one.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn wait_for_phase(&self, phase: &str, within: Duration) -> Value {
        let deadline = Instant::now() + within;
        loop {
            // A front door whose database restarts answers with problems for a while.
            if let Ok(status) = self.api.status(&self.id()).await {
                if status["phase"] == phase {
                    return status;
                }
                assert!(
                    Instant::now() < deadline,
                    "not {phase} within {within:?} but {status:#}"
                );
            }
            assert!(Instant::now() < deadline, "no status within {within:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until that many contacts are committed.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn wait_for_contacts(&self, at_least: u64, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            if let Ok(status) = self.api.status(&self.id()).await
                && object(&status, "contacts")["done"].as_u64() >= Some(at_least)
            {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "fewer than {at_least} contacts within {within:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The requests that the simulator saw.
    pub async fn requests(&self) -> Vec<Value> {
        let log = self.control("GET", "requests", None).await;
        log["requests"].as_array().cloned().unwrap_or_default()
    }
}

/// The store of a stack.
///
/// # Panics
/// When it cannot be opened.
pub async fn store_of(addresses: &Addresses) -> Store {
    Store::connect(StoreConfig {
        url: addresses.database_url.clone().into(),
        pools: Pools::of(4),
        encryption_keys: format!("dev:{DEV_KEY}").into(),
        erasure_key: DEV_KEY.to_owned().into(),
    })
    .await
    .expect("the store")
}

/// What a status says of one type.
pub fn object<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["objects"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|o| o["object_type"] == name)
        .unwrap_or(&Value::Null)
}
