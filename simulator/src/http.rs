//! HTTP/1.1: connections, bodies up to a limit, and answers or the lack of them.
//!
//! Whatever comes in is answered in HubSpot's shape or closed; it never ends the process.

use std::{io, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use http_body_util::{
    BodyExt as _, Full, LengthLimitError, Limited, StreamBody, combinators::UnsyncBoxBody,
};
use hyper::{
    Request, Response,
    body::{Body as _, Bytes, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::{
    answer::{Answer, Body},
    server::{Simulator, handle},
};

/// The longest address that is read. HubSpot's limit was seen at about this.
const ADDRESS: usize = 16 * 1_024;
/// The longest body that is read.
const LONGEST_BODY: usize = 32 * 1_024 * 1_024;

/// The body of an answer.
pub(crate) type HttpBody = UnsyncBoxBody<Bytes, io::Error>;

/// An answer, or none.
pub(crate) type Reply = Result<Response<HttpBody>, Closed>;

/// The connection is closed without an answer.
#[derive(Debug)]
pub(crate) struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed without an answer")
    }
}

impl std::error::Error for Closed {}

/// How connections are treated.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// A connection that takes longer than this to send the head of a request is closed, and so is
    /// one that has been idle for as long.
    pub header_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // Longer than clients keep connections that they do not use.
            header_timeout: Duration::from_secs(120),
        }
    }
}

/// Serves until the process ends.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, simulator: Simulator) -> io::Result<()> {
    serve_with(listener, simulator, Options::default()).await
}

/// The same with options.
///
/// # Errors
/// When the listener fails.
pub async fn serve_with(
    listener: TcpListener,
    simulator: Simulator,
    options: Options,
) -> io::Result<()> {
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout);
    let server = Arc::new(server);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No file descriptor is free: those who have one go on.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // Only slower without it.
        drop(stream.set_nodelay(true));
        let (server, simulator) = (server.clone(), simulator.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&simulator, request));
            // A broken connection is the client's own affair.
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(simulator: &Simulator, request: Request<Incoming>) -> Reply {
    let (parts, body) = request.into_parts();
    let address = parts.uri.path_and_query().map_or(0, |p| p.as_str().len());
    if address > ADDRESS {
        return Ok(respond(Answer::error(
            414,
            "URI_TOO_LONG",
            &format!("The address is longer than {ADDRESS} bytes"),
        )));
    }
    let too_large = || {
        Ok(respond(Answer::error(
            413,
            "PAYLOAD_TOO_LARGE",
            &format!("The body is longer than {LONGEST_BODY} bytes"),
        )))
    };
    if body.size_hint().lower() > LONGEST_BODY as u64 {
        return too_large();
    }
    let body = match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return too_large(),
        Err(_) => return Err(Closed),
    };
    let handled = handle(simulator, &parts.method, &parts.uri, &parts.headers, &body);
    AssertUnwindSafe(handled)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            Ok(respond(Answer::error(
                500,
                "INTERNAL_ERROR",
                "internal error",
            )))
        })
}

fn build(answer: Answer, body: impl FnOnce(Bytes) -> HttpBody) -> Response<HttpBody> {
    let (content_type, bytes) = match answer.body {
        Body::Empty => (None, Bytes::new()),
        Body::Json(text) => (Some("application/json;charset=utf-8"), Bytes::from(text)),
        Body::Html(text) => (Some("text/html;charset=utf-8"), Bytes::from(text)),
    };
    let mut response = Response::new(body(bytes));
    *response.status_mut() = answer.status.try_into().unwrap_or_default();
    let headers = response.headers_mut();
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    for (name, value) in answer.headers {
        // A value that no header can hold is left out.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// An answer as HTTP.
pub(crate) fn respond(answer: Answer) -> Response<HttpBody> {
    build(answer, |bytes| {
        Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync()
    })
}

/// An answer that breaks off in its middle.
pub(crate) fn respond_half(answer: Answer) -> Response<HttpBody> {
    build(answer, |bytes| {
        let half = bytes.slice(..bytes.len() / 2);
        let pieces = [
            Ok(Frame::data(half)),
            Err(io::Error::other("cut by a fault rule")),
        ];
        StreamBody::new(futures::stream::iter(pieces)).boxed_unsync()
    })
}

/// An answer whose head comes at once and whose body takes this long: a piece every tenth of a second.
pub(crate) fn respond_slowly(answer: Answer, ms: u64) -> Response<HttpBody> {
    const PAUSE: Duration = Duration::from_millis(100);
    build(answer, |bytes| {
        let pieces = (ms / 100).max(1) as usize;
        let size = bytes.len().div_ceil(pieces).max(1);
        let last = tokio::time::Instant::now() + Duration::from_millis(ms);
        let stream = futures::stream::unfold(bytes, move |mut rest| async move {
            if rest.is_empty() {
                return None;
            }
            let piece = rest.split_to(size.min(rest.len()));
            if rest.is_empty() {
                tokio::time::sleep_until(last).await;
            } else {
                tokio::time::sleep(PAUSE).await;
            }
            Some((Ok(Frame::data(piece)), rest))
        });
        StreamBody::new(stream).boxed_unsync()
    })
}
