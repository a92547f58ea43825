//! A running set: Postgres, Temporal, simulator, front door, workers.

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher as _, RandomState},
    net::{SocketAddr, TcpListener},
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    guard::{Guarded, Program},
    http, provision,
};

/// Keys of development stacks. They guard nothing but demo data.
pub const DEV_KEY: &str = "ZGV2ZWxvcG1lbnQtb25seS1rZXktMzItYnl0ZXMtISE=";
/// The bearer token of development stacks.
pub const DEV_API_TOKEN: &str = "development-only-token";

/// Which user Postgres runs as when we are root: `nobody`.
const POSTGRES_UID: u32 = 65_534;

/// Ports of a stack, kept with its data so that a restart finds the same.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Ports {
    pub postgres: u16,
    /// Temporal's frontend.
    pub temporal: u16,
    /// Temporal's UI.
    pub temporal_ui: u16,
    pub simulator: u16,
    pub web: u16,
    /// Health and metrics of the first worker; the next workers take free ones.
    pub worker: u16,
}

/// Below the ports that systems give to outgoing connections: one of those would take a port between
/// the moment it is found free and the moment its server starts.
const PORTS: Range<u16> = 12_000..32_000;

/// One port after the other, from a place of this process's own.
fn next_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
        let [one, two, ..] = RandomState::new().hash_one(()).to_le_bytes();
        AtomicU16::new(u16::from_le_bytes([one, two]))
    });
    let count = PORTS.end - PORTS.start;
    PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % count
}

impl Ports {
    /// Free ones.
    ///
    /// # Errors
    /// When the machine has none.
    pub fn free() -> anyhow::Result<Self> {
        // All are held until all are known, so that none comes twice.
        let mut held = Vec::new();
        for _ in 0..PORTS.len() {
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", next_port())) {
                held.push(listener);
            }
            if held.len() == 6 {
                break;
            }
        }
        ensure!(held.len() == 6, "no free ports in {PORTS:?}");
        let port = |n: usize| -> anyhow::Result<u16> { Ok(held[n].local_addr()?.port()) };
        Ok(Self {
            postgres: port(0)?,
            temporal: port(1)?,
            temporal_ui: port(2)?,
            simulator: port(3)?,
            web: port(4)?,
            worker: port(5)?,
        })
    }
}

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Data and logs.
    pub dir: PathBuf,
    /// Where the programs are.
    pub binaries: PathBuf,
    /// Environment of worker and front door, besides the usual.
    pub env: Vec<(String, String)>,
    /// `https://…` addresses of HubSpot itself instead of the simulator.
    pub real_hubspot: bool,
    /// Workers.
    pub workers: usize,
    /// Servers of its own, whatever `DATABASE_URL` and `TEMPORAL_ADDRESS` say: for tests that kill
    /// them.
    pub own_servers: bool,
    /// Settings of an own Postgres besides the usual, as `name=value`.
    pub postgres: Vec<String>,
    /// Where an own Temporal shows its metrics, if anywhere in particular.
    pub temporal_metrics: Option<u16>,
}

impl StackOptions {
    /// Everything once, in this folder.
    pub fn new(dir: impl Into<PathBuf>, binaries: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            binaries: binaries.into(),
            env: Vec::new(),
            real_hubspot: false,
            workers: 1,
            own_servers: false,
            postgres: Vec::new(),
            temporal_metrics: None,
        }
    }
}

/// Addresses of a running stack: what tests and people need.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Addresses {
    /// Postgres, as its administrator.
    pub database_url: String,
    /// host:port
    pub temporal: String,
    /// The UI.
    pub temporal_ui: String,
    pub simulator: String,
    pub web: String,
    /// Health and metrics of the workers.
    pub workers: Vec<String>,
    /// Bearer token for `/api/v1`.
    pub api_token: String,
    /// Where logs are.
    pub logs: PathBuf,
}

/// A running set. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Stack {
    options: StackOptions,
    ports: Ports,
    worker_ports: Vec<u16>,
    running: BTreeMap<String, Guarded>,
    database_url: String,
    temporal: String,
}

/// Where Postgres keeps its data: in the stack's folder, unless its user cannot get there because a
/// folder above is closed to others.
fn postgres_data(dir: &Path) -> PathBuf {
    use std::{
        hash::{DefaultHasher, Hash as _, Hasher as _},
        os::unix::fs::PermissionsExt as _,
    };
    let inside = dir.join("postgres");
    let open = |path: &Path| fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o001 != 0);
    let absolute = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf());
    if !provision::is_root() || absolute.ancestors().all(open) {
        return inside;
    }
    let mut hasher = DefaultHasher::new();
    absolute.hash(&mut hasher);
    provision::cache().join(format!("data-{:016x}", hasher.finish()))
}

fn own(path: &Path) -> anyhow::Result<()> {
    if provision::is_root() {
        std::os::unix::fs::chown(path, Some(POSTGRES_UID), Some(POSTGRES_UID))?;
    }
    Ok(())
}

impl Stack {
    /// Starts Postgres only.
    pub async fn postgres_only(options: StackOptions) -> anyhow::Result<Self> {
        let mut stack = Self::prepare(options)?;
        stack.start_postgres().await?;
        Ok(stack)
    }

    /// Starts everything.
    ///
    /// # Errors
    /// Says what did not come up, with the last lines of its log.
    pub async fn start(options: StackOptions) -> anyhow::Result<Self> {
        let mut stack = Self::prepare(options)?;
        stack.start_postgres().await?;
        stack.start_temporal().await?;
        if !stack.options.real_hubspot {
            stack.start_simulator().await?;
        }
        stack.start_web()?;
        for n in 0..stack.options.workers {
            stack.start_worker(n)?;
        }
        stack.wait_ready().await?;
        Ok(stack)
    }

    fn prepare(options: StackOptions) -> anyhow::Result<Self> {
        fs::create_dir_all(&options.dir)?;
        let ports_file = options.dir.join("ports.json");
        let kept = fs::read(&ports_file)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Ports>(&bytes).ok());
        let ports = match kept {
            Some(ports) => ports,
            None => {
                let ports = Ports::free()?;
                fs::write(&ports_file, serde_json::to_vec(&ports)?)?;
                ports
            }
        };
        let mut worker_ports = vec![ports.worker];
        while worker_ports.len() < options.workers {
            worker_ports.push(Ports::free()?.worker);
        }
        Ok(Self {
            database_url: format!(
                "postgres://postgres@127.0.0.1:{}/hubspot_sync",
                ports.postgres
            ),
            temporal: format!("127.0.0.1:{}", ports.temporal),
            options,
            ports,
            worker_ports,
            running: BTreeMap::new(),
        })
    }

    /// A server that runs already.
    fn given(&self, variable: &str) -> Option<String> {
        if self.options.own_servers {
            return None;
        }
        std::env::var(variable).ok()
    }

    /// Where everything is.
    pub fn addresses(&self) -> Addresses {
        let http = |port: u16| format!("http://127.0.0.1:{port}");
        Addresses {
            database_url: self.database_url.clone(),
            temporal: self.temporal.clone(),
            temporal_ui: http(self.ports.temporal_ui),
            simulator: http(self.ports.simulator),
            web: http(self.ports.web),
            workers: self.worker_ports.iter().copied().map(http).collect(),
            api_token: DEV_API_TOKEN.to_owned(),
            logs: self.logs(),
        }
    }

    fn logs(&self) -> PathBuf {
        self.options.dir.join("logs")
    }

    fn launch(&mut self, program: &Program) -> anyhow::Result<()> {
        let started = Guarded::start(program, &self.logs())?;
        self.running.insert(program.name.clone(), started);
        Ok(())
    }

    /// Starts Postgres, or takes the one of `DATABASE_URL`.
    pub async fn start_postgres(&mut self) -> anyhow::Result<()> {
        if let Some(url) = self.given("DATABASE_URL") {
            self.database_url = url;
            return Ok(());
        }
        let bin = provision::postgres().await?;
        let data = postgres_data(&self.options.dir);
        let uid = provision::is_root().then_some(POSTGRES_UID);
        if !data.join("PG_VERSION").exists() {
            fs::create_dir_all(&data)?;
            own(&data)?;
            let mut initdb = Program {
                name: "initdb".to_owned(),
                program: bin.join("initdb"),
                args: [
                    "-U",
                    "postgres",
                    "-A",
                    "trust",
                    "-E",
                    "UTF8",
                    "--no-sync",
                    "-D",
                ]
                .map(str::to_owned)
                .to_vec(),
                env: vec![("LC_ALL".to_owned(), "C".to_owned())],
                uid,
            };
            initdb.args.push(data.display().to_string());
            let mut running = Guarded::start(&initdb, &self.logs())?;
            let deadline = Instant::now() + Duration::from_secs(60);
            while running.is_running()? {
                ensure!(
                    Instant::now() < deadline,
                    "initdb did not end{}",
                    self.tail("initdb")
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            ensure!(
                data.join("PG_VERSION").exists(),
                "initdb failed{}",
                self.tail("initdb")
            );
        }
        // Left behind by a crash, it only keeps the next start from happening.
        let stale = data.join("postmaster.pid");
        if stale.exists()
            && std::net::TcpStream::connect(("127.0.0.1", self.ports.postgres)).is_err()
        {
            fs::remove_file(stale)?;
        }
        let setting = |text: &str| ["-c".to_owned(), text.to_owned()];
        let mut args = vec!["-D".to_owned(), data.display().to_string()];
        args.extend(["-p".to_owned(), self.ports.postgres.to_string()]);
        args.extend(setting("listen_addresses=127.0.0.1"));
        args.extend(setting("unix_socket_directories="));
        args.extend(setting("max_connections=300"));
        args.extend(setting("shared_buffers=256MB"));
        // The details of errors repeat values of rows.
        args.extend(setting("log_error_verbosity=terse"));
        for own in &self.options.postgres {
            args.extend(setting(own));
        }
        self.launch(&Program {
            name: "postgres".to_owned(),
            program: bin.join("postgres"),
            args,
            env: vec![("LC_ALL".to_owned(), "C".to_owned())],
            uid,
        })?;
        self.wait_postgres().await
    }

    async fn wait_postgres(&mut self) -> anyhow::Result<()> {
        let admin = format!(
            "host=127.0.0.1 port={} user=postgres dbname=postgres",
            self.ports.postgres
        );
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok((client, connection)) =
                tokio_postgres::connect(&admin, tokio_postgres::NoTls).await
            {
                tokio::spawn(connection);
                let exists = client
                    .query(
                        "select 1 from pg_database where datname = 'hubspot_sync'",
                        &[],
                    )
                    .await?;
                if exists.is_empty() {
                    client.batch_execute("create database hubspot_sync").await?;
                }
                return Ok(());
            }
            self.still_running("postgres", deadline)?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts Temporal's dev server, or takes the one of `TEMPORAL_ADDRESS`.
    pub async fn start_temporal(&mut self) -> anyhow::Result<()> {
        if let Some(address) = self.given("TEMPORAL_ADDRESS") {
            self.temporal = address;
            return Ok(());
        }
        let program = provision::temporal()?;
        let mut args: Vec<String> = [
            "server",
            "start-dev",
            "--ip",
            "127.0.0.1",
            "--log-level",
            "warn",
            "--search-attribute",
            "HubSpotWorkspace=Keyword",
            "--search-attribute",
            "HubSpotPortal=Keyword",
            "--search-attribute",
            "SyncPhase=Keyword",
            // From the first day: switched on later they strand the backlog (docs/operations.md).
            "--dynamic-config-value",
            "matching.useNewMatcher=true",
            "--dynamic-config-value",
            "matching.enableFairness=true",
            // A commit does not wait for the disk, which halves what a workflow costs. A killed server loses
            // nothing by it; a machine without power may.
            "--sqlite-pragma",
            "journal_mode=WAL",
            "--sqlite-pragma",
            "synchronous=NORMAL",
        ]
        .map(str::to_owned)
        .to_vec();
        args.extend(["--port".to_owned(), self.ports.temporal.to_string()]);
        args.extend(["--ui-port".to_owned(), self.ports.temporal_ui.to_string()]);
        if let Some(port) = self.options.temporal_metrics {
            args.extend(["--metrics-port".to_owned(), port.to_string()]);
        }
        args.extend([
            "--db-filename".to_owned(),
            self.options.dir.join("temporal.db").display().to_string(),
        ]);
        self.launch(&Program {
            name: "temporal".to_owned(),
            program: program.clone(),
            args,
            env: Vec::new(),
            uid: None,
        })?;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let health = tokio::process::Command::new(&program)
                .args(["operator", "cluster", "health", "--address", &self.temporal])
                .output()
                .await?;
            if health.status.success() {
                return Ok(());
            }
            self.still_running("temporal", deadline)?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Starts the simulator.
    pub async fn start_simulator(&mut self) -> anyhow::Result<()> {
        let listen = SocketAddr::from(([127, 0, 0, 1], self.ports.simulator));
        self.launch(&Program {
            name: "simulator".to_owned(),
            program: self.options.binaries.join("hubspot-simulator"),
            args: vec!["--listen".to_owned(), listen.to_string()],
            env: Vec::new(),
            uid: None,
        })?;
        let url = format!("http://{listen}/_simulator/health");
        self.wait_http("simulator", &url).await
    }

    fn usual_env(&self) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> = [
            ("DATABASE_URL", self.database_url.clone()),
            ("TEMPORAL_ADDRESS", self.temporal.clone()),
            ("TOKEN_ENCRYPTION_KEYS", format!("dev:{DEV_KEY}")),
            ("ERASURE_KEY", DEV_KEY.to_owned()),
        ]
        .into_iter()
        .map(|(n, v)| (n.to_owned(), v))
        .collect();
        if !self.options.real_hubspot {
            let simulator = format!("http://127.0.0.1:{}", self.ports.simulator);
            for (name, value) in [
                ("HUBSPOT_API_URL", simulator.as_str()),
                ("HUBSPOT_APP_URL", simulator.as_str()),
                ("HUBSPOT_CLIENT_ID", "simulator-client-id"),
                ("HUBSPOT_CLIENT_SECRET", "simulator-client-secret"),
            ] {
                env.push((name.to_owned(), value.to_owned()));
            }
        }
        env.extend(self.options.env.iter().cloned());
        env
    }

    /// Starts the front door.
    pub fn start_web(&mut self) -> anyhow::Result<()> {
        let listen = format!("127.0.0.1:{}", self.ports.web);
        let mut env = self.usual_env();
        env.extend([
            ("PUBLIC_URL".to_owned(), format!("http://{listen}")),
            ("WEB_LISTEN_ADDR".to_owned(), listen),
            ("WEB_SIGNING_KEY".to_owned(), DEV_KEY.to_owned()),
            ("WEB_ENTRY_KEYS".to_owned(), DEV_KEY.to_owned()),
            ("API_TOKEN".to_owned(), DEV_API_TOKEN.to_owned()),
        ]);
        self.launch(&Program {
            name: "web".to_owned(),
            program: self.options.binaries.join("hubspot-sync-web"),
            args: Vec::new(),
            env,
            uid: None,
        })
    }

    /// Starts the n-th worker.
    pub fn start_worker(&mut self, n: usize) -> anyhow::Result<()> {
        let port = *self.worker_ports.get(n).context("no such worker")?;
        let mut env = self.usual_env();
        env.push(("WORKER_HTTP_ADDR".to_owned(), format!("127.0.0.1:{port}")));
        self.launch(&Program {
            name: format!("worker-{n}"),
            program: self.options.binaries.join("hubspot-sync-worker"),
            args: Vec::new(),
            env,
            uid: None,
        })
    }

    /// Waits until front door and workers are ready.
    ///
    /// # Errors
    /// Says what did not come up, with the last lines of its log.
    pub async fn wait_ready(&mut self) -> anyhow::Result<()> {
        let web = format!("http://127.0.0.1:{}/healthz/ready", self.ports.web);
        self.wait_http("web", &web).await?;
        for n in 0..self.options.workers {
            self.wait_worker(n).await?;
        }
        Ok(())
    }

    /// Waits until the n-th worker is ready.
    pub async fn wait_worker(&mut self, n: usize) -> anyhow::Result<()> {
        let url = format!("http://127.0.0.1:{}/healthz/ready", self.worker_ports[n]);
        self.wait_http(&format!("worker-{n}"), &url).await
    }

    async fn wait_http(&mut self, name: &str, url: &str) -> anyhow::Result<()> {
        let client = http()?;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(answer) = client.get(url).send().await
                && answer.status().is_success()
            {
                return Ok(());
            }
            self.still_running(name, deadline)?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn still_running(&mut self, name: &str, deadline: Instant) -> anyhow::Result<()> {
        let running = match self.running.get_mut(name) {
            Some(process) => process.is_running()?,
            None => false,
        };
        if !running || Instant::now() > deadline {
            let how = if running {
                "did not get ready"
            } else {
                "ended"
            };
            bail!("{name} {how}{}", self.tail(name));
        }
        Ok(())
    }

    /// The last lines of a log, for a message.
    fn tail(&self, name: &str) -> String {
        let path = self.logs().join(format!("{name}.log"));
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(40).collect();
        let lines: Vec<&str> = lines.into_iter().rev().collect();
        format!("; the end of {}:\n{}", path.display(), lines.join("\n"))
    }

    /// `kill -9` to a process of the stack.
    pub fn kill_hard(&mut self, name: &str) -> anyhow::Result<()> {
        self.running
            .remove(name)
            .with_context(|| format!("{name} does not run"))?
            .kill_hard()
    }

    /// Asks a process of the stack to end.
    pub fn stop(&mut self, name: &str, within: Duration) -> anyhow::Result<()> {
        let mut running = self
            .running
            .remove(name)
            .with_context(|| format!("{name} does not run"))?;
        if name == "postgres" {
            running.interrupt(within)
        } else {
            running.stop(within)
        }
    }

    /// The process id of a process of the stack.
    pub fn pid(&self, name: &str) -> anyhow::Result<i32> {
        self.running
            .get(name)
            .with_context(|| format!("{name} does not run"))?
            .pid()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Those who use others go first.
        for name in self.running.keys().cloned().collect::<Vec<_>>() {
            if name.starts_with("worker") || name == "web" {
                self.running.remove(&name);
            }
        }
        self.running.clear();
    }
}
