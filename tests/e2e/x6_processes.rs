//! X6: the processes and what they stand on: Temporal with TLS, Postgres away.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use dev::{
    guard::{Guarded, Program},
    stack::{DEV_API_TOKEN, DEV_KEY, Ports},
};
use e2e::{
    Tenant, binaries,
    proxy::{Certificates, Proxy},
    shared,
};
use serde_json::json;

/// A program with its usual environment, beside those of the stack.
fn program(name: &str, binary: &str, env: Vec<(String, String)>) -> Program {
    let addresses = shared().addresses().clone();
    let mut all: Vec<(String, String)> = [
        ("DATABASE_URL", addresses.database_url.as_str()),
        ("TEMPORAL_ADDRESS", addresses.temporal.as_str()),
        ("TOKEN_ENCRYPTION_KEYS", &format!("dev:{DEV_KEY}")),
        ("ERASURE_KEY", DEV_KEY),
        ("HUBSPOT_API_URL", &addresses.simulator),
        ("HUBSPOT_APP_URL", &addresses.simulator),
        ("WEB_SIGNING_KEY", DEV_KEY),
        ("API_TOKEN", DEV_API_TOKEN),
        ("PUBLIC_URL", "http://localhost:1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    // Later ones count.
    all.extend(env);
    Program {
        name: name.to_owned(),
        program: binaries().join(binary),
        args: Vec::new(),
        env: all,
        uid: None,
    }
}

fn variable(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

async fn get(url: &str) -> Option<(u16, String)> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(15))
        .build()
        .unwrap();
    let answer = client
        .get(url)
        .bearer_auth(DEV_API_TOKEN)
        .send()
        .await
        .ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.text().await.ok()?))
}

async fn until_ready(url: &str, log: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some((200, _)) = get(&format!("{url}/healthz/ready")).await {
            return;
        }
        let text = || fs::read_to_string(log).unwrap_or_default();
        assert!(Instant::now() < deadline, "not ready: {}", text());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// With Postgres away the front door says so within two seconds, and comes back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_front_door_says_soon_that_postgres_is_away() {
    let tenant = Tenant::new(&shared(), json!({"contacts": 1})).await;
    let addresses = tenant.api.addresses();
    let (_, place) = addresses.database_url.rsplit_once('@').unwrap();
    let (server, _) = place.split_once('/').unwrap();
    let proxy = Proxy::to(server).await;
    let database = addresses
        .database_url
        .replace(server, &proxy.addr.to_string());
    let web = format!("127.0.0.1:{}", Ports::free().unwrap().web);
    let logs = tempfile::tempdir().unwrap();
    let env = vec![
        variable("DATABASE_URL", database),
        variable("WEB_LISTEN_ADDR", web.clone()),
    ];
    let program = program("web-cut", "hubspot-sync-web", env);
    let _running = Guarded::start(&program, logs.path()).unwrap();
    let url = format!("http://{web}");
    until_ready(&url, &logs.path().join("web-cut.log")).await;

    proxy.cut(true).await;
    for path in [
        "/healthz/ready".to_owned(),
        format!("/api/v1/workspaces/{}/hubspot/status", tenant.id()),
    ] {
        let began = Instant::now();
        let (status, text) = get(&format!("{url}{path}")).await.unwrap();
        let took = began.elapsed();
        assert_eq!(status, 503, "{path}: {text}");
        assert!(took < Duration::from_millis(2_800), "{path}: {took:?}");
        if path.starts_with("/api") {
            assert!(text.contains("HS-5001"), "{text}");
        }
    }
    proxy.cut(false).await;
    until_ready(&url, &logs.path().join("web-cut.log")).await;
}

/// Temporal behind TLS that asks for a client certificate: worker and command line reach it as
/// configured, and not without.
#[tokio::test(flavor = "multi_thread")]
async fn worker_and_command_line_reach_temporal_by_tls_with_a_client_certificate() {
    let certificates = Certificates::new("temporal.test");
    let proxy = Proxy::with_tls(&shared().addresses().temporal, &certificates).await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let tls = vec![
        variable("TEMPORAL_ADDRESS", proxy.addr.to_string()),
        variable("TEMPORAL_NAMESPACE", "default"),
        variable("TEMPORAL_TLS_SERVER_NAME", "temporal.test"),
        variable(
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
            file("ca.pem", &certificates.ca),
        ),
        variable(
            "TEMPORAL_TLS_CLIENT_CERT_PATH",
            file("client.pem", &certificates.client),
        ),
        variable(
            "TEMPORAL_TLS_CLIENT_KEY_PATH",
            file("client.key", &certificates.client_key),
        ),
    ];
    let health = format!("127.0.0.1:{}", Ports::free().unwrap().worker);
    let mut env = tls.clone();
    env.push(variable("WORKER_HTTP_ADDR", health.clone()));
    let worker = program("worker-tls", "hubspot-sync-worker", env);
    let _running = Guarded::start(&worker, dir.path()).unwrap();
    until_ready(
        &format!("http://{health}"),
        &dir.path().join("worker-tls.log"),
    )
    .await;
    assert!(proxy.taken() >= 3, "one connection of its own, one a queue");

    let size = json!({"contacts": 20, "limits": "off"});
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    let status = async |env: &[(String, String)]| {
        tokio::process::Command::new(binaries().join("hubspot-sync"))
            .args(["status", "--via-temporal", "--json"])
            .env_clear()
            .env("HUBSPOT_SYNC_WORKSPACE", tenant.id())
            .envs(env.iter().cloned())
            .output()
            .await
            .unwrap()
    };
    let good = status(&tls).await;
    let text = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(
        good.status.success() && text.contains(&tenant.id()),
        "{good:?}"
    );

    // Without the certificate, without the authority, without TLS: refused, and said so.
    let without = |names: &[&str]| -> Vec<(String, String)> {
        let kept = tls
            .iter()
            .filter(|(name, _)| !names.contains(&name.as_str()));
        kept.cloned().collect()
    };
    let client = [
        "TEMPORAL_TLS_CLIENT_CERT_PATH",
        "TEMPORAL_TLS_CLIENT_KEY_PATH",
    ];
    for bad in [
        without(&client),
        without(&["TEMPORAL_TLS_SERVER_CA_CERT_PATH"]),
        vec![variable("TEMPORAL_ADDRESS", proxy.addr.to_string())],
    ] {
        let refused = status(&bad).await;
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(text.contains("TEMPORAL_ADDRESS"), "{text}");
    }
    // A profile says the same in a file.
    let path = |name: &str| dir.path().join(name).display().to_string();
    let profile = file(
        "temporal.toml",
        &format!(
            "[profile.tls]\naddress = \"{}\"\n[profile.tls.tls]\nserver_name = \"temporal.test\"\n\
             server_ca_cert_path = \"{}\"\nclient_cert_path = \"{}\"\nclient_key_path = \"{}\"\n",
            proxy.addr,
            path("ca.pem"),
            path("client.pem"),
            path("client.key"),
        ),
    );
    let by_profile = status(&[
        variable("TEMPORAL_CONFIG_FILE", profile),
        variable("TEMPORAL_PROFILE", "tls"),
    ])
    .await;
    assert!(by_profile.status.success(), "{by_profile:?}");
}
