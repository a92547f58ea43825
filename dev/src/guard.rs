//! Guards: no process outlives whoever started it.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// The environment variable that names the guard's program for those that are not `dev` themselves.
pub const GUARD_PROGRAM: &str = "HUBSPOT_SYNC_DEV_BIN";

/// A process under guard.
#[derive(Debug)]
pub struct Guarded {
    guard: Child,
    pid_file: PathBuf,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Program {
    /// For logs and messages.
    pub name: String,
    pub program: PathBuf,
    pub args: Vec<String>,
    /// Its environment, besides ours.
    pub env: Vec<(String, String)>,
    /// Another user to run as; only root may say so.
    pub uid: Option<u32>,
}

/// This program's path. A rebuild under our feet leaves ` (deleted)` behind the name, and the new
/// program at its place.
///
/// # Errors
/// When the system does not say.
pub fn this_program() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe().context("this program has no path")?;
    let text = path.to_string_lossy();
    Ok(match text.strip_suffix(" (deleted)") {
        Some(path) => path.into(),
        None => path,
    })
}

fn guard_program() -> anyhow::Result<PathBuf> {
    match std::env::var_os(GUARD_PROGRAM) {
        Some(path) => Ok(path.into()),
        None => this_program(),
    }
}

impl Guarded {
    /// Starts a program; its output goes to `<logs>/<name>.log`.
    pub fn start(program: &Program, logs: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(logs)?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(logs.join(format!("{}.log", program.name)))?;
        let pid_file = logs.join(format!("{}.pid", program.name));
        if pid_file.exists() {
            fs::remove_file(&pid_file)?;
        }
        let mut command = Command::new(guard_program()?);
        command
            .arg("guard")
            .arg("--pid-file")
            .arg(&pid_file)
            .args(program.uid.map(|uid| format!("--uid={uid}")))
            .arg("--")
            .arg(&program.program)
            .args(&program.args)
            .envs(program.env.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C at the terminal is for whoever started us; the pipe does the rest.
            .process_group(0);
        let guard = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.name))?;
        Ok(Self { guard, pid_file })
    }

    /// The process id of the program itself.
    ///
    /// # Errors
    /// When it does not show up within ten seconds.
    pub fn pid(&self) -> anyhow::Result<i32> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Ok(text) = fs::read_to_string(&self.pid_file)
                && let Ok(pid) = text.trim().parse()
            {
                return Ok(pid);
            }
            anyhow::ensure!(Instant::now() < deadline, "the program did not start");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// `kill -9` to the program, without warning.
    pub fn kill_hard(&mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.pid()?), Signal::SIGKILL)?;
        self.guard.wait()?;
        Ok(())
    }

    /// Asks the program to end, and waits for it at most this long before it is killed.
    pub fn stop(&mut self, within: Duration) -> anyhow::Result<()> {
        self.stop_by(Signal::SIGTERM, within)
    }

    /// The same for Postgres, which waits for its clients to leave when it is asked by `SIGTERM`.
    pub fn interrupt(&mut self, within: Duration) -> anyhow::Result<()> {
        self.stop_by(Signal::SIGINT, within)
    }

    fn stop_by(&mut self, signal: Signal, within: Duration) -> anyhow::Result<()> {
        if self.guard.try_wait()?.is_some() {
            return Ok(());
        }
        // Gone already is as good.
        let _gone = kill(Pid::from_raw(self.pid()?), signal);
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if self.guard.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        drop(self.guard.stdin.take());
        self.guard.wait()?;
        Ok(())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.guard.try_wait()?.is_none())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // The guard kills and goes; nothing can be done about a failure here.
        let _ended = self.guard.wait();
    }
}

/// The guard itself: runs the program in a process group of its own until it ends or standard input
/// closes.
pub fn run(pid_file: &Path, uid: Option<u32>, command: &[String]) -> anyhow::Result<ExitCode> {
    let (program, args) = command.split_first().context("nothing to run")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).process_group(0);
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    fs::write(pid_file, pid.to_string())?;
    thread::spawn(move || {
        let mut buffer = [0; 16];
        let mut stdin = std::io::stdin();
        while stdin.read(&mut buffer).is_ok_and(|n| n > 0) {}
        // A Postgres that is killed hard leaves shared memory behind; give it a moment.
        let _gone = kill(pid, Signal::SIGINT);
        thread::sleep(Duration::from_millis(700));
        let _gone = killpg(pid, Signal::SIGKILL);
    });
    let status = child.wait()?;
    // Whatever the program left behind in its group goes with it.
    let _gone = killpg(pid, Signal::SIGKILL);
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
