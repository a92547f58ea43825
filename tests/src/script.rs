//! Scripts that run others' software: each installs what it needs into an environment of its own.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, sync::Mutex};

use crate::shared;

/// Installing needs the network and one script at a time keeps two cores free for the other tests.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// With the installation, on a slow machine.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// A script below `tests`, told where the shared stack is.
#[derive(Debug)]
pub struct Script {
    name: &'static str,
    command: Command,
}

impl Script {
    /// For Python.
    pub fn python(name: &'static str) -> Self {
        Self::new("python3", name)
    }

    /// For Node.
    pub fn node(name: &'static str) -> Self {
        Self::new("node", name)
    }

    fn new(interpreter: &str, name: &'static str) -> Self {
        let addresses = shared().addresses().clone();
        let mut command = Command::new(interpreter);
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
            .env("HUBSPOT_SIMULATOR_URL", addresses.simulator)
            .env("HUBSPOT_SYNC_URL", addresses.web)
            .env("HUBSPOT_SYNC_TOKEN", addresses.api_token)
            .env("TEMPORAL_ADDRESS", addresses.temporal)
            .env("CONFORMANCE_CACHE", cache())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self { name, command }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// One more variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end: what it said, whose last line is `OK`.
    ///
    /// # Panics
    /// When it cannot be run, takes too long, or fails.
    pub async fn passes(mut self) -> String {
        let name = self.name;
        let _turn = ONE_AT_A_TIME.lock().await;
        let child = self.command.spawn().unwrap_or_else(|error| {
            panic!(
                "{name} cannot be run ({error}); install what it runs on, for example: \
                 apt-get install python3 python3-venv nodejs npm"
            )
        });
        let output = tokio::time::timeout(LIMIT, child.wait_with_output())
            .await
            .unwrap_or_else(|_| panic!("{name} took longer than {LIMIT:?}"))
            .expect("the output of a child");
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = complained.lines().rev().take(40).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        assert!(
            output.status.success() && said.lines().last() == Some("OK"),
            "{name} ended with {}\n{said}\n{}",
            output.status,
            tail.join("\n")
        );
        said.into_owned()
    }
}

/// Where environments are kept from one run to the next.
fn cache() -> PathBuf {
    dev::provision::cache().join("conformance")
}
