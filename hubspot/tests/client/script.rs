//! A server that answers as a test says: for answers that the simulator does not give.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use hubspot::{AccessTokenSource, Client, Timeouts, Unlimited};
use serde_json::Value;
use url::Url;

use crate::support::config;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

impl Seen {
    /// The ids of a batch's inputs.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.body["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|input| input["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// What to answer.
pub(crate) struct Say {
    status: u16,
    body: String,
    headers: Vec<(&'static str, String)>,
    after: std::time::Duration,
}

impl Say {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::text(status, body.to_string())
    }

    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
            headers: Vec::new(),
            after: std::time::Duration::ZERO,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(crate) fn after(mut self, wait: std::time::Duration) -> Self {
        self.after = wait;
        self
    }
}

type Answers = dyn Fn(&Seen, usize) -> Say + Send + Sync;

type Shared = (Arc<Mutex<Vec<Seen>>>, Arc<Answers>);

/// The server, and what it saw.
pub(crate) struct Script {
    pub(crate) client: Client,
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Script {
    /// Answers with what `answers` says of a request and its number, from 0 on.
    pub(crate) async fn new(answers: impl Fn(&Seen, usize) -> Say + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let answers: Arc<Answers> = Arc::new(answers);
        let router = Router::new()
            .fallback(answer)
            .with_state((seen.clone(), answers));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            client: crate::support::client(&url, "a-key"),
            url,
            seen,
        }
    }

    /// A client with these time-outs.
    pub(crate) fn with_timeouts(
        &self,
        timeouts: Timeouts,
        auth: Arc<dyn AccessTokenSource>,
    ) -> Client {
        let config = hubspot::ClientConfig {
            timeouts,
            ..config(&self.url)
        };
        Client::new(config, auth, Arc::new(Unlimited)).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(
    State((seen, answers)): State<Shared>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    let request = Seen {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let say = answers(&request, number);
    tokio::time::sleep(say.after).await;
    let mut response = (StatusCode::from_u16(say.status).unwrap(), say.body).into_response();
    for (name, value) in say.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
