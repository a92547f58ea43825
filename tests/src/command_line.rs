//! `hubspot-sync` as a person or a script uses it: the program itself, as a process.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
};

use crate::{Tenant, binaries, door::Door};

/// What came of a run.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The most memory that it had at once, in KiB; none where the system does not say.
    pub peak_kib: Option<u64>,
}

impl Ended {
    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("no JSON: {e}: {self:?}"))
    }
}

/// The program with the address, a workspace and a token in its environment.
#[derive(Debug, Clone)]
pub struct CommandLine {
    url: String,
    workspace: String,
    token: String,
}

impl CommandLine {
    /// With the token of a door, for the workspace of a tenant.
    pub fn new(tenant: &Tenant, door: &Door) -> Self {
        Self {
            url: tenant.api.addresses().web.clone(),
            workspace: tenant.id(),
            token: door.token().to_owned(),
        }
    }

    /// Another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        tokio::process::Command::new(binaries().join("hubspot-sync"))
            .args(arguments)
            .env_clear()
            .env("HUBSPOT_SYNC_URL", &self.url)
            .env("HUBSPOT_SYNC_WORKSPACE", &self.workspace)
            .env("HUBSPOT_SYNC_TOKEN", &self.token)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("hubspot-sync starts")
    }

    /// Starts it, to be read while it runs; it is ended with what is returned.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn follow(&self, arguments: &[&str]) -> Following {
        let mut child = self.spawn(arguments);
        let out = child.stdout.take().expect("standard output");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        tokio::spawn(async move {
            let mut out = BufReader::new(out).lines();
            while let Ok(Some(line)) = out.next_line().await {
                heard.lock().expect("lines").push(line);
            }
        });
        Following {
            lines,
            _child: child,
        }
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started, is killed, or writes what is no text.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        let child = self.spawn(arguments);
        let id = child.id().expect("a process id");
        let mut peak_kib = None;
        let ended = child.wait_with_output();
        tokio::pin!(ended);
        // The mark only grows, so that the last look is nearly the end.
        let output = loop {
            tokio::select! {
                output = &mut ended => break output.expect("hubspot-sync ends"),
                () = tokio::time::sleep(Duration::from_millis(5)) => {
                    peak_kib = peak_kib.max(peak_of(id));
                }
            }
        };
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ended {
            code: output.status.code().expect("an exit code"),
            out: text(output.stdout),
            err: text(output.stderr),
            peak_kib,
        }
    }
}

/// The program while it runs.
#[derive(Debug)]
pub struct Following {
    lines: Arc<Mutex<Vec<String>>>,
    _child: Child,
}

impl Following {
    /// What it printed so far.
    ///
    /// # Panics
    /// When whoever reads it has failed.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("lines").clone()
    }

    /// Waits until it has printed all of these, and forgets everything before.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn until(&self, wanted: &[String], within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            let lines = self.lines();
            if wanted.iter().all(|want| lines.contains(want)) {
                self.lines.lock().expect("lines").drain(..lines.len());
                return;
            }
            assert!(Instant::now() < deadline, "{wanted:#?} of {lines:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn peak_of(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
