//! `HubSpotSync` over a socket.

use std::{error::Error as _, time::Duration};

use client::{Cause, Error, HubSpotSync, Unexpected};
use domain::{
    ConnectionPhase, ConnectionState, ResyncMode, ResyncOutcome, ResyncRequest, SyncType,
    api::{ConnectAnswer, ConnectRequest, DisconnectAnswer, ResyncAnswer},
};
use serde_json::json;

use crate::server::{Answer, Server, TOKEN, WORKSPACE, status, workspace};

fn client(url: &str) -> HubSpotSync {
    HubSpotSync::builder(url.parse().unwrap())
        .bearer_token(TOKEN.into())
        .build()
        .unwrap()
}

async fn refused(answer: Answer) -> Error {
    let server = Server::start([answer]).await;
    client(&server.url).status(workspace()).await.unwrap_err()
}

#[tokio::test]
async fn each_call_goes_to_its_address_with_its_body_and_the_token() {
    let authorize = ConnectAnswer::Authorize {
        url: "https://app.example.com/consent".to_owned(),
    };
    let resync = ResyncAnswer {
        outcome: ResyncOutcome::Queued,
        run: Some("01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap()),
        types: Vec::new(),
        message: "it follows".to_owned(),
    };
    let disconnect = DisconnectAnswer {
        state: ConnectionState::Disconnecting,
        message: "going".to_owned(),
    };
    let current = status(ConnectionPhase::Backfilling, 100, false);
    let server = Server::start([
        Answer::json(&authorize),
        Answer::json(&current),
        Answer::json(&resync),
        Answer::json(&disconnect),
    ])
    .await;
    let sync = client(&server.url);

    let request = ConnectRequest {
        admin: WORKSPACE.parse().unwrap(),
        access_token: Some("key".to_owned()),
    };
    assert_eq!(
        sync.connect(workspace(), &request).await.unwrap(),
        authorize
    );
    assert_eq!(sync.status(workspace()).await.unwrap(), current);
    let request = ResyncRequest {
        types: vec![SyncType::Contacts],
        mode: ResyncMode::Since {
            since: "2026-09-01T00:00:00Z".parse().unwrap(),
        },
    };
    assert_eq!(sync.resync(workspace(), &request).await.unwrap(), resync);
    assert_eq!(sync.disconnect(workspace()).await.unwrap(), disconnect);

    let seen = server.seen();
    let expected = [
        (
            "POST",
            "connect",
            Some(json!({"admin": WORKSPACE, "access_token": "key"})),
        ),
        ("GET", "status", None),
        (
            "POST",
            "resync",
            Some(json!({
                "types": ["contacts"],
                "mode": {"mode": "since", "since": "2026-09-01T00:00:00Z"},
            })),
        ),
        ("POST", "disconnect", None),
    ];
    assert_eq!(seen.len(), expected.len());
    for (seen, (method, verb, body)) in seen.iter().zip(expected) {
        assert_eq!(seen.method, method);
        assert_eq!(
            seen.path,
            format!("/api/v1/workspaces/{WORKSPACE}/hubspot/{verb}")
        );
        assert_eq!(seen.authorization, Some(format!("Bearer {TOKEN}")));
        assert_eq!(seen.body, body);
    }
}

#[tokio::test]
async fn without_a_token_no_such_header_is_sent() {
    let server = Server::start([Answer::json(&status(ConnectionPhase::Syncing, 1, true))]).await;
    let sync = HubSpotSync::builder(server.url.parse().unwrap())
        .build()
        .unwrap();
    sync.status(workspace()).await.unwrap();
    assert_eq!(server.seen()[0].authorization, None);
}

#[tokio::test]
async fn a_problem_is_told_with_code_and_text() {
    let error = refused(Answer::problem(409, "HS-1003", "connect first")).await;
    let Error::Problem {
        code,
        title,
        detail,
        status,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(
        (code.as_str(), title.as_str(), detail.as_str(), *status),
        ("HS-1003", "Not connected", "connect first", 409)
    );
    assert!(!error.is_temporary());
    assert!(
        refused(Answer::problem(503, "HS-9001", "later"))
            .await
            .is_temporary()
    );
}

#[tokio::test]
async fn what_is_not_our_service_is_recognised() {
    let elsewhere = Server::start([Answer::json(&status(ConnectionPhase::Syncing, 1, true))]).await;
    let huge = format!("\"{}\"", "x".repeat(2 * 1024 * 1024));
    let table = [
        (
            Answer::raw(200, "text/html", "<html>"),
            200,
            Unexpected::Body,
        ),
        (
            Answer::json(&json!({"workspace": 1})),
            200,
            Unexpected::Body,
        ),
        (
            Answer::raw(200, "application/json", &huge),
            200,
            Unexpected::TooLarge,
        ),
        (
            Answer::raw(502, "text/html", "bad gateway"),
            502,
            Unexpected::NoProblem,
        ),
        (
            Answer::raw(404, "application/json", "{}"),
            404,
            Unexpected::NoProblem,
        ),
        (
            Answer::raw(400, "application/problem+json", "{"),
            400,
            Unexpected::NoProblem,
        ),
        (
            Answer::redirect(elsewhere.url.clone()),
            307,
            Unexpected::Redirect,
        ),
    ];
    for (answer, expected_status, expected_reason) in table {
        let error = refused(answer).await;
        let Error::UnexpectedAnswer { status, reason } = error else {
            panic!("{error:?}");
        };
        assert_eq!((status, reason), (expected_status, expected_reason));
    }
    assert!(elsewhere.seen().is_empty(), "the token went elsewhere");
}

#[tokio::test]
async fn nobody_there_is_told_without_the_address() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let sync = client(&format!("http://{address}/hidden-path"));
    let error = sync.status(workspace()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unreachable {
                cause: Cause::Refused,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.is_temporary());
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    assert!(!text.contains("hidden-path"), "{text}");
    assert!(!text.contains(WORKSPACE), "{text}");
    assert!(!text.contains(TOKEN), "{text}");
}

#[tokio::test]
async fn an_answer_that_stays_away_or_breaks_off_is_told_apart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sync = HubSpotSync::builder(url.parse().unwrap())
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let error = sync.disconnect(workspace()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unreachable {
                cause: Cause::TimedOut,
                ..
            }
        ),
        "{error:?}"
    );
    drop(listener);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _read = tokio::io::AsyncReadExt::read(&mut socket, &mut request).await;
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
        tokio::io::AsyncWriteExt::write_all(&mut socket, cut)
            .await
            .unwrap();
    });
    let error = client(&url).status(workspace()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unreachable {
                cause: Cause::Broken,
                ..
            }
        ),
        "{error:?}"
    );
}
