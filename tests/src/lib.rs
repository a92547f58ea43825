#![doc = include_str!("../README.md")]

pub mod browser;
pub mod command_line;
pub mod data;
pub mod door;
pub mod hooks;
pub mod periodic;
pub mod planted;
pub mod profiles;
pub mod proxy;
pub mod retire;
pub mod script;
pub mod wrong_settings;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

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

/// Compares the mirror of a tenant with the simulator, record by record and property by property,
/// and the associations; what lies in the recycle bin is no part of either. Returns how many
/// records were compared.
///
/// # Panics
/// Where they differ.
pub async fn assert_mirrored(tenant: &Tenant, store: &Store) -> u64 {
    use domain::ObjectType;
    let mut compared = 0;
    for object_type in ObjectType::MIRRORED {
        let plural = object_type.plural();
        let mut theirs = std::collections::BTreeMap::new();
        let mut their_links = std::collections::BTreeSet::new();
        let mut after = String::from("0");
        loop {
            let path = format!("records/{plural}?after={after}&limit=5000");
            let page = tenant.control("GET", &path, None).await;
            for record in page["results"].as_array().into_iter().flatten() {
                // In the recycle bin.
                if record["archived"] == true {
                    continue;
                }
                let id: i64 = record["id"]
                    .as_str()
                    .expect("an id")
                    .parse()
                    .expect("a number");
                for (to, block) in record["associations"].as_object().into_iter().flatten() {
                    for link in block["results"].as_array().into_iter().flatten() {
                        their_links.insert((
                            id,
                            to.clone(),
                            link["id"].as_str().expect("an id").to_owned(),
                            link["type"].as_str().expect("a type").to_owned(),
                        ));
                    }
                }
                theirs.insert(id, record.clone());
            }
            match page["next"].as_str() {
                Some(next) => after = next.to_owned(),
                None => break,
            }
        }
        let mut ours = std::collections::BTreeMap::new();
        let mut last = None;
        loop {
            let page = store
                .objects_after(tenant.workspace, tenant.portal, object_type, last, 5_000)
                .await
                .expect("a page of the mirror");
            let Some(end) = page.last() else { break };
            last = Some(end.id);
            // What HubSpot no longer shows stays as a tombstone.
            for row in page.into_iter().filter(|row| !row.archived) {
                assert!(ours.insert(row.id.get(), row.properties).is_none(), "twice");
            }
        }
        assert_eq!(
            ours.keys().collect::<Vec<_>>(),
            theirs.keys().collect::<Vec<_>>(),
            "the ids of {plural} differ"
        );
        for (id, properties) in &ours {
            for (name, value) in properties.as_object().into_iter().flatten() {
                assert_eq!(
                    value, &theirs[id]["properties"][name],
                    "{plural} {id}: {name} differs"
                );
            }
            // What the source has and we ask for must not be missing either.
            for name in domain::backfill::needed_properties(object_type) {
                if theirs[id]["properties"].get(*name).is_some() {
                    assert!(
                        properties.get(*name).is_some(),
                        "{plural} {id} lacks {name}"
                    );
                }
            }
            compared += 1;
        }
        let wanted = domain::backfill::associations_read_with(object_type);
        let mut our_links = std::collections::BTreeSet::new();
        for link in store
            .associations_from(tenant.workspace, tenant.portal, object_type)
            .await
            .expect("associations")
        {
            let to = link.to_type.plural();
            for label in link.labels {
                our_links.insert((link.from.get(), to.to_owned(), link.to.to_string(), label));
            }
        }
        their_links.retain(|(_, to, ..)| wanted.iter().any(|t| to == t.plural()));
        assert_eq!(
            our_links, their_links,
            "the associations of {plural} differ"
        );
    }
    compared
}
