//! `hubspot-sync` as a process: what it writes where, and how it ends.

use std::process::Output;

use domain::{
    ConnectionPhase, ConnectionState, ResyncOutcome, SyncType,
    api::{ConnectAnswer, DisconnectAnswer, ResyncAnswer, StatusAnswer},
};
use serde_json::json;

use crate::server::{Answer, Server, TOKEN, WORKSPACE, status};

const KEY: &str = "sekret-service-key";

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let ended = Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        for text in [&ended.out, &ended.err] {
            assert!(!text.contains(TOKEN) && !text.contains(KEY), "{text}");
            assert!(
                text.chars()
                    .all(|c| matches!(c, '\n' | '\t') || !c.is_control()),
                "control characters in {text:?}"
            );
        }
        ended
    }
}

fn command(arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_hubspot-sync"));
    command
        .args(arguments)
        .env_clear()
        .env("HUBSPOT_SYNC_TOKEN", TOKEN)
        .env("HUBSPOT_SYNC_WORKSPACE", WORKSPACE)
        .env("SERVICE_KEY", KEY)
        .kill_on_drop(true);
    command
}

pub(crate) async fn run(server: &Server, arguments: &[&str]) -> Ended {
    let mut command = command(arguments);
    command.env("HUBSPOT_SYNC_URL", &server.url);
    command.output().await.unwrap().into()
}

fn disconnected() -> StatusAnswer {
    StatusAnswer {
        state: Some(ConnectionState::Disconnected),
        ..status(ConnectionPhase::Disconnected, 0, false)
    }
}

#[tokio::test]
async fn connect_prints_the_address_and_waits_for_the_consent() {
    let server = Server::start([
        Answer::json(&ConnectAnswer::Authorize {
            url: "https://app.example.com/consent?state=x\u{1b}[2J".to_owned(),
        }),
        Answer::json(&disconnected()),
        Answer::json(&status(ConnectionPhase::Connected, 0, false)),
    ])
    .await;
    let ended = run(&server, &["connect", "--wait"]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(ended.out, "https://app.example.com/consent?state=x [2J\n");
    assert!(ended.err.contains("connected to portal 1000001"));
    let seen = server.seen();
    assert_eq!(
        seen[0].body,
        Some(json!({"admin": "00000000-0000-0000-0000-000000000000"}))
    );
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn connect_by_service_key_takes_it_from_the_environment() {
    let server = Server::start([Answer::json(&json!({
        "outcome": "connected",
        "portal": 1_000_001,
    }))])
    .await;
    let arguments = [
        "connect",
        "--access-token-env",
        "SERVICE_KEY",
        "--admin",
        WORKSPACE,
    ];
    let ended = run(&server, &arguments).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("1000001"));
    assert_eq!(
        server.seen()[0].body,
        Some(json!({"admin": WORKSPACE, "access_token": KEY}))
    );
}

#[tokio::test]
async fn status_is_text_or_json() {
    let answer = status(ConnectionPhase::Syncing, 2_000, true);
    let server = Server::start([Answer::json(&answer)]).await;
    let text = run(&server, &["status"]).await;
    assert_eq!(text.code, 0);
    assert!(text.out.contains("contacts"), "{}", text.out);
    let json = run(&server, &["status", "--json"]).await;
    let read: StatusAnswer = serde_json::from_str(&json.out).unwrap();
    assert_eq!(read, answer);
}

#[tokio::test]
async fn watch_writes_a_line_per_change_and_outlives_a_restart_of_the_service() {
    let server = Server::start([
        Answer::json(&status(ConnectionPhase::Backfilling, 1_000, false)),
        Answer::raw(502, "text/html", "restarting"),
        Answer::json(&status(ConnectionPhase::Backfilling, 1_000, false)),
        Answer::json(&status(ConnectionPhase::Syncing, 2_000, true)),
    ])
    .await;
    let ended = run(&server, &["status", "--watch"]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let lines: Vec<&str> = ended.out.lines().take(4).collect();
    assert_eq!(
        lines,
        [
            "phase: backfilling",
            "contacts: 1,000 of 2,000 (50%), 500/s, 2s left",
            "phase: syncing",
            "contacts: 2,000, done",
        ]
    );
}

#[tokio::test]
async fn watch_of_what_does_not_end_well_ends_with_1() {
    let server = Server::start([Answer::json(&disconnected())]).await;
    let ended = run(&server, &["status", "--watch", "--json"]).await;
    assert_eq!(ended.code, 1);
    assert_eq!(ended.out.lines().count(), 1);
    assert!(ended.err.contains("disconnected"), "{}", ended.err);
    // What was refused is not asked for again.
    let server = Server::start([Answer::problem(404, "HS-1003", "no such workspace")]).await;
    let ended = run(&server, &["status", "--watch"]).await;
    assert_eq!(ended.code, 1);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn resync_says_what_happens() {
    let answer = |outcome, message: &str| {
        Answer::json(&ResyncAnswer {
            outcome,
            run: None,
            types: Vec::new(),
            message: message.to_owned(),
        })
    };
    let server = Server::start([answer(ResyncOutcome::AlreadyRunning, "one runs")]).await;
    let ended = run(&server, &["resync", "--types", "deals", "--from-scratch"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "one runs\n"));
    assert_eq!(
        server.seen()[0].body,
        Some(json!({"types": ["deals"], "mode": {"mode": "from_scratch"}}))
    );
    let server = Server::start([answer(ResyncOutcome::NotConnected, "not connected")]).await;
    let ended = run(&server, &["resync"]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("not connected"));
    assert_eq!(ended.out, "");
}

#[tokio::test]
async fn resync_and_disconnect_are_told_as_json_too() {
    let told = ResyncAnswer {
        outcome: ResyncOutcome::Queued,
        run: Some("01890a5d-ac96-774b-bcce-b302099a8059".parse().unwrap()),
        types: vec![SyncType::Deals],
        message: "it follows".to_owned(),
    };
    let server = Server::start([Answer::json(&told)]).await;
    let ended = run(&server, &["resync", "--types", "deals", "--json"]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(
        serde_json::from_str::<ResyncAnswer>(&ended.out).unwrap(),
        told
    );
    let told = DisconnectAnswer {
        state: ConnectionState::Disconnecting,
        message: "no request leaves from now on".to_owned(),
    };
    let server = Server::start([Answer::json(&told)]).await;
    let ended = run(&server, &["disconnect", "--json"]).await;
    assert_eq!(
        serde_json::from_str::<DisconnectAnswer>(&ended.out).unwrap(),
        told
    );
}

#[tokio::test]
async fn disconnect_repeats_the_answer() {
    let server = Server::start([Answer::json(&DisconnectAnswer {
        state: ConnectionState::Disconnecting,
        message: "no request leaves from now on".to_owned(),
    })])
    .await;
    let ended = run(&server, &["disconnect"]).await;
    assert_eq!(ended.code, 0);
    assert_eq!(ended.out, "no request leaves from now on\n");
}

#[tokio::test]
async fn a_refusal_is_told_with_its_code_on_standard_error() {
    let detail = "connect\r\nfirst \u{1b}[31m";
    let server = Server::start([Answer::problem(409, "HS-1003", detail)]).await;
    let ended = run(&server, &["disconnect"]).await;
    assert_eq!(ended.code, 1);
    assert_eq!(ended.out, "");
    assert!(
        ended.err.contains("refused: HS-1003 Not connected"),
        "{}",
        ended.err
    );
    assert_eq!(ended.err.lines().count(), 1);
}

#[tokio::test]
async fn wrong_configuration_is_one_message_and_2() {
    let missing: Ended = command(&["status"]).output().await.unwrap().into();
    assert_eq!(missing.code, 2);
    assert_eq!(
        missing.err,
        "hubspot-sync: configuration: HUBSPOT_SYNC_URL is not set; for example \
         HUBSPOT_SYNC_URL=https://sync.example.com\n"
    );
    let usage: Ended = command(&["resync", "--types", "people"])
        .output()
        .await
        .unwrap()
        .into();
    assert_eq!(usage.code, 2);
    assert!(usage.err.contains("contacts"), "{}", usage.err);
    let help: Ended = command(&["--help"]).output().await.unwrap().into();
    assert_eq!(help.code, 0);
    assert!(help.out.contains("HUBSPOT_SYNC_TOKEN"));
}

#[tokio::test]
async fn nobody_there_is_told_with_the_variable_that_says_where() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let http: Ended = command(&["status", "--url", &format!("http://{address}")])
        .output()
        .await
        .unwrap()
        .into();
    assert_eq!(http.code, 1);
    assert!(http.err.contains("HUBSPOT_SYNC_URL"), "{}", http.err);
    assert!(http.err.contains("refused"), "{}", http.err);
    let temporal: Ended = command(&["disconnect", "--via-temporal"])
        .env("TEMPORAL_ADDRESS", address.to_string())
        .output()
        .await
        .unwrap()
        .into();
    assert_eq!(temporal.code, 1);
    assert!(
        temporal.err.contains("TEMPORAL_ADDRESS"),
        "{}",
        temporal.err
    );
}
