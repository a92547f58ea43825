//! Software that others wrote works against the simulator: see `tests/conformance/README.md`.

use std::{path::Path, process::Stdio, time::Duration};

use e2e::shared;
use tokio::{process::Command, sync::Mutex};

/// Installing needs the network and one script at a time keeps two cores free for the other tests.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// With the installation, on a slow machine.
const LIMIT: Duration = Duration::from_secs(20 * 60);

async fn passes(interpreter: &str, script: &str) {
    let _turn = ONE_AT_A_TIME.lock().await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conformance")
        .join(script);
    let child = Command::new(interpreter)
        .arg(&path)
        .env("HUBSPOT_SIMULATOR_URL", &shared().addresses().simulator)
        .env(
            "CONFORMANCE_CACHE",
            dev::provision::cache().join("conformance"),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{interpreter} cannot be run ({error}); install it, for example: \
                 apt-get install python3 python3-venv nodejs npm"
            )
        });
    let output = tokio::time::timeout(LIMIT, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("{script} took longer than {LIMIT:?}"))
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = complained.lines().rev().take(40).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    assert!(
        output.status.success() && said.lines().last() == Some("OK"),
        "{script} ended with {}\n{said}\n{}",
        output.status,
        tail.join("\n")
    );
}

#[tokio::test]
async fn hubspots_node_sdk_is_satisfied() {
    passes("node", "sdk_node.mjs").await;
}

#[tokio::test]
async fn hubspots_python_sdk_is_satisfied() {
    passes("python3", "sdk_python.py").await;
}

#[tokio::test]
async fn singers_tap_reads_everything_once() {
    passes("python3", "read_singer.py").await;
}

#[tokio::test]
async fn airbytes_source_reads_everything_once() {
    passes("python3", "read_airbyte.py").await;
}
