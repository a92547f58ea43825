//! A running set with connected workspaces, and what people do in their portals.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use dev::{
    demo::{Api, Consent},
    feed::{Feed, Item},
    provision,
    stack::{Stack, StackOptions},
};
use domain::WorkspaceId;
use serde_json::{Value, json};
use store::{Store, testing::store_of};
use tokio::{sync::mpsc, task::JoinHandle};
use uuid::Uuid;

/// A portal of a million takes a quarter of an hour at HubSpot's limits.
const PATIENCE: Duration = Duration::from_secs(3 * 60 * 60);
/// Whatever is to come without a long wait.
const SOON: Duration = Duration::from_secs(10 * 60);

/// No periodic sync but those that the bench starts.
pub(crate) const BY_HAND: (&str, &str) = ("SYNC_SECONDS", "86400");

/// A running set.
pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) api: Api,
    pub(crate) store: Store,
    temporal: PathBuf,
}

impl World {
    pub(crate) async fn start(
        mut options: StackOptions,
        env: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let quiet = ("RUST_LOG", "warn");
        let all = env.iter().chain(std::iter::once(&quiet));
        options.env = all
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let stack = Stack::start(options).await?;
        let addresses = stack.addresses();
        Ok(Self {
            api: Api::new(addresses.clone())?,
            store: store_of(&addresses.database_url).await,
            temporal: provision::temporal()?,
            stack,
        })
    }

    pub(crate) fn options(binaries: &Path, dir: &Path) -> StackOptions {
        StackOptions::new(dir, binaries)
    }

    /// The database, as its administrator.
    pub(crate) async fn database(&self) -> anyhow::Result<tokio_postgres::Client> {
        let url = self.api.addresses().database_url.clone();
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A workspace with a portal of this size, connected; its first reading has begun.
    pub(crate) async fn connect(&self, portal: u64, mut size: Value) -> anyhow::Result<Workspace> {
        size["portal_id"] = json!(portal);
        size["auto_companies"] = json!(false);
        self.api.simulator("POST", "portals", Some(size)).await?;
        let id = Uuid::new_v4();
        let reply = self
            .api
            .connect(&id.to_string(), portal, Consent::Approve)
            .await?;
        ensure!(
            reply.status == 200,
            "a workspace was not connected: {} {}",
            reply.status,
            reply.text
        );
        Ok(Workspace {
            api: self.api.clone(),
            temporal: self.temporal.clone(),
            id,
            portal,
        })
    }

    /// Waits until profiles and verdicts of all workspaces are those of what is stored.
    pub(crate) async fn until_nothing_is_due(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let profiles = self.store.projections_due(None, 10_000).await?;
            let no_profiles = profiles.iter().all(|one| matches!(one.row, Ok(None)));
            if no_profiles && self.store.verdicts_due(None, 1).await?.is_empty() {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "profiles and verdicts do not come to an end"
            );
            // The look goes through every workspace: asked too often, it would be part of the load.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Temporal's command line.
    pub(crate) fn temporal_program(&self) -> &Path {
        &self.temporal
    }

    /// What Temporal's command line answers, as JSON.
    pub(crate) async fn temporal(&self, args: &[&str]) -> anyhow::Result<Value> {
        temporal(&self.temporal, &self.api, args).await
    }
}

async fn temporal(program: &Path, api: &Api, args: &[&str]) -> anyhow::Result<Value> {
    let done = tokio::process::Command::new(program)
        .args(args)
        .args(["--output", "json", "--address", &api.addresses().temporal])
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(
        done.status.success(),
        "temporal {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&done.stderr)
    );
    serde_json::from_slice(&done.stdout).context("temporal: unknown output")
}

/// A connected workspace.
#[derive(Clone)]
pub(crate) struct Workspace {
    api: Api,
    temporal: PathBuf,
    id: Uuid,
    portal: u64,
}

/// A periodic sync that came to its end.
pub(crate) struct Synced {
    pub(crate) took: Duration,
}

impl Workspace {
    pub(crate) const fn portal(&self) -> u64 {
        self.portal
    }

    pub(crate) fn id(&self) -> WorkspaceId {
        WorkspaceId::new(self.id)
    }

    /// A control of the portal.
    pub(crate) async fn control(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let path = format!("portals/{}/{path}", self.portal);
        self.api.simulator(method, &path, body).await
    }

    /// What the simulator says of the portal.
    pub(crate) async fn portal_now(&self) -> anyhow::Result<Value> {
        let path = format!("portals/{}", self.portal);
        self.api.simulator("GET", &path, None).await
    }

    /// A call to the front door that is to succeed.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let reply = self
            .api
            .ask(method, &self.id.to_string(), path, body)
            .await?;
        ensure!(
            (200..300).contains(&reply.status),
            "{method} {path}: {} {}",
            reply.status,
            reply.text
        );
        reply.json()
    }

    pub(crate) async fn is_read(&self) -> anyhow::Result<bool> {
        let status = self.api.status(&self.id.to_string()).await?;
        match status["phase"].as_str() {
            Some("syncing") => Ok(true),
            Some("connected" | "backfilling") => Ok(false),
            other => anyhow::bail!("a workspace is {}", other.unwrap_or("in no phase")),
        }
    }

    /// Records that the first reading has read so far.
    pub(crate) async fn done(&self) -> anyhow::Result<u64> {
        Ok(crate::backfill::done(
            &self.api.status(&self.id.to_string()).await?,
        ))
    }

    /// Waits for the end of the first reading.
    pub(crate) async fn until_read(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_read().await? {
            ensure!(Instant::now() < deadline, "a portal was not read");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Ids of the first contacts.
    pub(crate) async fn contacts(&self, most: u64) -> anyhow::Result<Vec<String>> {
        let path = format!("records/contacts?limit={most}");
        let page = self.control("GET", &path, None).await?;
        let results = page["results"].as_array().into_iter().flatten();
        Ok(results
            .filter_map(|record| record["id"].as_str().map(str::to_owned))
            .collect())
    }

    /// Somebody edits a contact.
    pub(crate) async fn edit(&self, contact: &str) -> anyhow::Result<()> {
        let body = json!({"properties": {"jobtitle": format!("Edited {}", Uuid::new_v4())}});
        let path = format!("records/contacts/{contact}");
        self.control("PATCH", &path, Some(body)).await?;
        Ok(())
    }

    /// From now on the portal tells the front door what happens, as HubSpot would.
    pub(crate) async fn subscribe(&self) -> anyhow::Result<()> {
        let to = format!("{}/webhooks/hubspot", self.api.addresses().web);
        let body = json!({"target_url": to, "generic": true});
        self.control("POST", "webhooks", Some(body)).await?;
        Ok(())
    }

    /// One periodic sync, as the schedule starts it.
    pub(crate) async fn sync(&self) -> anyhow::Result<Synced> {
        let input = json!({"workspace": self.id, "portal": self.portal}).to_string();
        let id = format!("hubspot/{}/periodic-sync-{}", self.id, Uuid::new_v4());
        let began = Instant::now();
        let ended = temporal(
            &self.temporal,
            &self.api,
            &[
                "workflow",
                "execute",
                "--type",
                "PeriodicSync",
                "--task-queue",
                "hubspot",
                "--workflow-id",
                &id,
                "--input",
                &input,
            ],
        )
        .await?;
        let took = began.elapsed();
        ensure!(
            ended["result"]["end"] == "finished",
            "a periodic sync ended otherwise: {ended}"
        );
        Ok(Synced { took })
    }

    /// Follows the feed from its end on.
    pub(crate) async fn follow(&self) -> anyhow::Result<Follower> {
        let mut feed = Feed::of(&self.api, &self.id.to_string());
        feed.to_the_end().await?;
        let (tell, heard) = mpsc::unbounded_channel();
        let following = tokio::spawn(async move {
            loop {
                let items = feed.next().await?;
                let now = Instant::now();
                for item in items {
                    if tell.send((now, item)).is_err() {
                        return Ok(());
                    }
                }
            }
        });
        Ok(Follower { heard, following })
    }
}

/// Somebody who follows a workspace's feed.
pub(crate) struct Follower {
    heard: mpsc::UnboundedReceiver<(Instant, Item)>,
    following: JoinHandle<anyhow::Result<()>>,
}

impl Follower {
    /// Waits until the feed tells of a contact: when it did.
    pub(crate) async fn hears_of(&mut self, contact: &str) -> anyhow::Result<Instant> {
        loop {
            let (at, item) = self.next().await?;
            if item.kind == "contact" && item.id == contact {
                return Ok(at);
            }
        }
    }

    /// Waits until the feed has told of each of these contacts: when it first did.
    pub(crate) async fn hear_of_all(
        &mut self,
        contacts: &[String],
    ) -> anyhow::Result<HashMap<String, Instant>> {
        let mut heard = HashMap::new();
        while heard.len() < contacts.len() {
            let (at, item) = self.next().await?;
            if item.kind == "contact" && contacts.contains(&item.id) {
                heard.entry(item.id).or_insert(at);
            }
        }
        Ok(heard)
    }

    async fn next(&mut self) -> anyhow::Result<(Instant, Item)> {
        let heard = tokio::time::timeout(SOON, self.heard.recv());
        match heard.await.context("the feed does not tell of an edit")? {
            Some(heard) => Ok(heard),
            None => {
                (&mut self.following).await??;
                anyhow::bail!("nobody follows the feed")
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.following.abort();
    }
}
