//! The same questions for the simulator.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use url::Url;

use super::Target;

/// A simulator of our own. It ends when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    /// Where it listens.
    pub url: Url,
    _program: Child,
}

impl Simulator {
    /// Starts one out of this folder of programs.
    pub async fn start(binaries: &Path) -> anyhow::Result<Self> {
        let mut program = Command::new(binaries.join("hubspot-simulator"))
            .args(["--listen", "127.0.0.1:0", "--exit-with-parent"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the simulator does not start")?;
        let stdout = program.stdout.take().context("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line())
            .await
            .context("the simulator does not say where it listens")??
            .context("the simulator ended")?;
        let url = line
            .strip_prefix("listening on ")
            .context("the simulator says something else")?;
        Ok(Self {
            url: Url::parse(url)?,
            _program: program,
        })
    }
}

/// A portal of a simulator, made with these settings, and a key for it.
pub async fn target(url: &Url, portal: u64, settings: Value) -> anyhow::Result<Target> {
    let http = crate::http()?;
    let mut body = json!({
        "portal_id": portal, "contacts": 20, "companies": 5, "lists": 2, "owners": 4,
    });
    for (name, value) in settings.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let post = async |path: String, body: Value| -> anyhow::Result<Value> {
        let answer = http.post(url.join(&path)?).json(&body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text).unwrap_or_default())
    };
    post("/_simulator/portals".to_owned(), body).await?;
    let key = post(
        format!("/_simulator/portals/{portal}/service-keys"),
        json!({}),
    )
    .await?;
    let key = key["token"].as_str().context("no key")?;
    Ok(Target {
        api_url: url.clone(),
        key: SecretString::from(key),
        prefix: super::prefix(),
        patience: Duration::from_secs(30),
    })
}
