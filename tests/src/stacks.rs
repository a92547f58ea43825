//! A stack of a test's own, whose processes it may kill and freeze.

use std::{
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

use dev::stack::{Stack, StackOptions};
use tempfile::TempDir;

use crate::binaries;

/// A running stack with its folder; both end with it.
pub struct OwnStack {
    stack: Stack,
    // After the stack, which writes there to its end.
    _dir: TempDir,
}

impl OwnStack {
    /// Starts one with servers of its own, so many workers, and this environment besides the usual.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(workers: usize, env: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir_in(std::env::temp_dir()).expect("a folder");
        // Postgres runs as another user, who has to get in.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).expect("a folder of ours");
        let mut options = StackOptions::new(dir.path(), binaries());
        options.own_servers = true;
        options.workers = workers;
        options.env = [("SWEEP_SECONDS", "2")]
            .iter()
            .chain(env)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let stack = Stack::start(options).await.expect("a stack");
        Self { stack, _dir: dir }
    }

    /// Sends a signal of the operating system to a process of the stack, such as `-STOP`.
    ///
    /// # Panics
    /// When there is no such process.
    pub fn signal(&self, name: &str, signal: &str) {
        let pid = self.stack.pid(name).expect("a process").to_string();
        let sent = std::process::Command::new("kill")
            .args([signal, &pid])
            .status()
            .expect("kill");
        assert!(sent.success(), "{signal} to {name}");
    }
}

impl Deref for OwnStack {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.stack
    }
}

impl DerefMut for OwnStack {
    fn deref_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }
}

/// Waits for something, so long and no longer.
///
/// # Panics
/// When it does not come.
pub async fn until_within(what: &str, within: Duration, mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !done().await {
        assert!(Instant::now() < deadline, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
