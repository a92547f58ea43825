//! A service that gives the answers it was told to and remembers what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use domain::{
    ConnectionPhase, ConnectionState, RunKind, SyncType, TypeOutcome, WorkspaceId,
    api::{ObjectStatus, RunStatus, StatusAnswer},
};
use serde::Serialize;
use serde_json::{Value, json};

pub(crate) const WORKSPACE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
pub(crate) const TOKEN: &str = "sekret-token";

pub(crate) fn workspace() -> WorkspaceId {
    WORKSPACE.parse().unwrap()
}

/// One request as it came in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) body: Option<Value>,
}

/// One answer to give.
#[derive(Clone)]
pub(crate) struct Answer {
    status: u16,
    content_type: &'static str,
    location: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(body: &impl Serialize) -> Self {
        Self::raw(
            200,
            "application/json",
            &serde_json::to_string(body).unwrap(),
        )
    }

    pub(crate) fn raw(status: u16, content_type: &'static str, body: &str) -> Self {
        Self {
            status,
            content_type,
            location: None,
            body: body.as_bytes().to_vec(),
        }
    }

    pub(crate) fn redirect(to: String) -> Self {
        Self {
            location: Some(to),
            ..Self::raw(307, "text/plain", "")
        }
    }

    pub(crate) fn problem(status: u16, code: &str, detail: &str) -> Self {
        let body = json!({
            "type": "https://example.com/errors#x",
            "title": "Not connected",
            "status": status,
            "detail": detail,
            "code": code,
        });
        Self::raw(
            status,
            "application/problem+json; charset=utf-8",
            &body.to_string(),
        )
    }
}

#[derive(Clone, Default)]
struct Shared {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The running service; it ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) url: String,
    shared: Shared,
}

impl Server {
    /// Gives these answers one after the other, the last one again and again.
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let shared = Shared::default();
        shared.answers.lock().unwrap().extend(answers);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.seen.lock().unwrap().push(Seen {
        method: method.to_string(),
        path: uri.to_string(),
        authorization: headers
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().unwrap().to_owned()),
        key: headers
            .get("idempotency-key")
            .map(|value| value.to_str().unwrap().to_owned()),
        body: (!body.is_empty()).then(|| serde_json::from_slice(&body).unwrap()),
    });
    let answer = {
        let mut answers = shared.answers.lock().unwrap();
        let next = answers.front().cloned().expect("at least one answer");
        if answers.len() > 1 {
            answers.pop_front();
        }
        next
    };
    let mut response = (
        StatusCode::from_u16(answer.status).unwrap(),
        [(header::CONTENT_TYPE, answer.content_type)],
        answer.body,
    )
        .into_response();
    if let Some(to) = answer.location {
        response
            .headers_mut()
            .insert(header::LOCATION, to.parse().unwrap());
    }
    response
}

pub(crate) fn status(phase: ConnectionPhase, contacts: u64, finished: bool) -> StatusAnswer {
    StatusAnswer {
        workspace: workspace(),
        portal: Some("1000001".parse().unwrap()),
        state: Some(ConnectionState::Connected),
        phase,
        missing_scopes: Vec::new(),
        pauses: Vec::new(),
        no_progress_minutes: None,
        import_enabled: true,
        reconcile: None,
        run: Some(RunStatus {
            run: "01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap(),
            kind: RunKind::Initial,
            state: if finished { "finished" } else { "running" }.to_owned(),
            requested_at: "2026-09-01T00:00:00Z".parse().unwrap(),
            finished_at: None,
        }),
        objects: vec![ObjectStatus {
            object_type: SyncType::Contacts,
            done: contacts,
            total: Some(2_000),
            rate_per_second: 500.0,
            eta_seconds: (!finished).then_some(2),
            finished,
            outcome: if finished {
                TypeOutcome::Finished
            } else {
                TypeOutcome::Reading
            },
            refusals: Vec::new(),
            unanswered: 0,
            trouble: None,
            no_progress_minutes: None,
            none_found: None,
            freshness: None,
            quarantined: 0,
            stored: contacts,
        }],
    }
}
