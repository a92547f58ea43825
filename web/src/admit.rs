//! What requests may take: how many at once, how many bytes of bodies at once, and how long a body
//! may take to come.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::{FutureExt as _, Stream, StreamExt as _};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{api::MOST_BYTES, problem::Refusal, state::App};

/// Bounds of requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// At once.
    pub(crate) requests: usize,
    /// Of bodies, at once.
    pub(crate) bytes: usize,
    /// From the head of a request to the end of its body.
    pub(crate) body_within: Duration,
    /// From one piece of a body to the next.
    pub(crate) piece_within: Duration,
}

impl Limits {
    /// With so many requests and bytes.
    pub(crate) const fn new(requests: usize, bytes: usize) -> Self {
        Self {
            requests,
            bytes,
            body_within: Duration::from_secs(60),
            piece_within: Duration::from_secs(15),
        }
    }
}

/// The places there are.
#[derive(Debug)]
pub(crate) struct Places {
    limits: Limits,
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl Places {
    pub(crate) fn new(limits: Limits) -> Self {
        let most = |n: usize| Arc::new(Semaphore::new(n.min(Semaphore::MAX_PERMITS)));
        Self {
            limits,
            requests: most(limits.requests),
            bytes: most(limits.bytes),
        }
    }
}

const FINE: u8 = 0;
const TOO_SLOW: u8 = 1;
const NO_ROOM: u8 = 2;

/// What a request's body takes, from its first byte to the answer.
#[derive(Default)]
struct Taken {
    /// Why the body was not read to its end; what handlers make of that says less.
    trouble: AtomicU8,
    bytes: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Taken {
    fn add(&self, more: OwnedSemaphorePermit) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        match bytes.as_mut() {
            Some(held) => held.merge(more),
            None => *bytes = Some(more),
        }
    }
}

/// Lets a request in, or says that there is no room. One that may change something is detached from
/// its caller's connection: once its body is there it ends, whether the caller waits or hangs up.
pub(crate) async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let Ok(place) = Arc::clone(&app.places.requests).try_acquire_owned() else {
        return Refusal::Busy.into_response();
    };
    let safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let taken = Arc::new(Taken::default());
    let request = metered(request, &app.places, &taken);
    let held = Arc::clone(&taken);
    let answer = async move {
        let answer = next.run(request).await;
        drop((place, held));
        answer
    };
    // A handler that panics has its answer too.
    let answer = if safe {
        AssertUnwindSafe(answer).catch_unwind().await.ok()
    } else {
        app.finish(answer).await.ok()
    };
    let Some(answer) = answer else {
        return Refusal::Defect.into_response();
    };
    match taken.trouble.load(Ordering::Relaxed) {
        TOO_SLOW => Refusal::BodyTooSlow.into_response(),
        NO_ROOM => Refusal::Busy.into_response(),
        _ => answer,
    }
}

fn metered(request: Request, places: &Places, taken: &Arc<Taken>) -> Request {
    if request.body().is_end_stream() {
        return request;
    }
    let (parts, body) = request.into_parts();
    let meter = Meter {
        inner: body.into_data_stream(),
        bytes: Arc::clone(&places.bytes),
        kept: 0,
        deadline: Instant::now() + places.limits.body_within,
        piece_within: places.limits.piece_within,
        taken: Arc::clone(taken),
    };
    Request::from_parts(parts, Body::from_stream(meter.stream()))
}

struct Meter<S> {
    inner: S,
    bytes: Arc<Semaphore>,
    kept: usize,
    deadline: Instant,
    piece_within: Duration,
    taken: Arc<Taken>,
}

/// That a body ends before its end. Callers are told by [`Taken`].
#[derive(Debug, thiserror::Error)]
#[error("the body was cut short")]
struct CutShort;

impl<S> Meter<S>
where
    S: Stream<Item = Result<Bytes, axum::Error>> + Send + Unpin + 'static,
{
    fn stream(self) -> impl Stream<Item = Result<Bytes, CutShort>> + Send + 'static {
        futures::stream::unfold(Some(self), |meter| async move {
            let mut meter = meter?;
            match meter.piece().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(meter))),
                Ok(None) => None,
                Err(why) => {
                    meter.taken.trouble.store(why, Ordering::Relaxed);
                    Some((Err(CutShort), None))
                }
            }
        })
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, u8> {
        let until = self.deadline.min(Instant::now() + self.piece_within);
        let piece = match tokio::time::timeout_at(until, self.inner.next()).await {
            Err(_) => return Err(TOO_SLOW),
            Ok(None) => return Ok(None),
            // The caller is gone.
            Ok(Some(Err(_))) => return Err(FINE),
            Ok(Some(Ok(piece))) => piece,
        };
        // What goes beyond the largest body is thrown away and takes no room.
        let kept = piece.len().min((MOST_BYTES + 1).saturating_sub(self.kept));
        let count = u32::try_from(kept).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.bytes)
            .try_acquire_many_owned(count)
            .map_err(|_| NO_ROOM)?;
        self.kept += kept;
        self.taken.add(permit);
        Ok(Some(piece))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{
        Router,
        routing::{get, post},
    };
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        sync::Notify,
        time::timeout,
    };

    use super::*;
    use crate::{seal::Sealer, serve};

    const SOON: Duration = Duration::from_secs(5);
    const LIMITS: Limits = Limits {
        requests: 3,
        bytes: 10_000,
        body_within: Duration::from_millis(1_000),
        piece_within: Duration::from_millis(300),
    };

    #[derive(Clone, Default)]
    struct Gate {
        begun: Arc<Notify>,
        open: Arc<Notify>,
        done: Arc<Notify>,
    }

    impl Gate {
        async fn pass(&self) {
            self.begun.notify_one();
            self.open.notified().await;
            self.done.notify_one();
        }
    }

    async fn server(gate: Gate) -> SocketAddr {
        let url: url::Url = "http://localhost".parse().unwrap();
        let app = App::new(
            Sealer::new([7; 32]),
            "token".into(),
            url,
            hubspot::ClientConfig::default(),
            None,
            None,
            LIMITS,
            "'none'".to_owned(),
            None,
        );
        let passed = gate.clone();
        let router = Router::new()
            .route("/size", post(async |body: Bytes| body.len().to_string()))
            .route(
                "/gate",
                get(move || async move {
                    gate.pass().await;
                    "through"
                })
                .post(move |body: Bytes| async move {
                    passed.pass().await;
                    body.len().to_string()
                }),
            )
            .layer(axum::middleware::from_fn_with_state(app.clone(), admit))
            .with_state(app);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = serve::Limits::new(100);
        tokio::spawn(serve::serve(
            listener,
            router,
            limits,
            std::future::pending(),
        ));
        address
    }

    fn head(method: &str, path: &str, length: usize) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        )
    }

    async fn send(to: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut all = Vec::new();
        let read = timeout(SOON, stream.read_to_end(&mut all)).await;
        assert!(read.is_ok(), "no answer in time");
        String::from_utf8_lossy(&all).into_owned()
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_not_waited_for() {
        let to = server(Gate::default()).await;
        let mut stands_still = send(to, &head("POST", "/size", 100)).await;
        let refused = answer(&mut stands_still).await;
        assert!(refused.starts_with("HTTP/1.1 408"), "{refused}");
        assert!(refused.contains("HS-4013"), "{refused}");

        // One that goes on and on, each piece in time.
        let mut trickles = send(to, &head("POST", "/size", 1_000)).await;
        let (mut reads, mut writes) = trickles.split();
        let mut all = Vec::new();
        let trickling = async {
            while writes.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = trickling => {}
            read = timeout(SOON, reads.read_to_end(&mut all)) => assert!(read.is_ok(), "it goes on"),
        }
        let mut good = send(to, &(head("POST", "/size", 5) + "abcde")).await;
        assert!(answer(&mut good).await.ends_with('5'));
    }

    #[tokio::test]
    async fn requests_and_bytes_at_once_are_bounded() {
        let gate = Gate::default();
        let to = server(gate.clone()).await;
        let body = "x".repeat(6_000);
        let mut large = send(to, &(head("POST", "/gate", 6_000) + &body)).await;
        timeout(SOON, gate.begun.notified()).await.unwrap();
        // The bytes of the first are held until its answer, not only while they come in.
        let mut second = send(to, &(head("POST", "/size", 6_000) + &body)).await;
        let refused = answer(&mut second).await;
        assert!(
            refused.starts_with("HTTP/1.1 503") && refused.contains("HS-4012"),
            "{refused}"
        );
        assert!(refused.contains("retry-after"), "{refused}");

        let mut more = Vec::new();
        for _ in 0..2 {
            more.push(send(to, &head("GET", "/gate", 0)).await);
            timeout(SOON, gate.begun.notified()).await.unwrap();
        }
        let mut fourth = send(to, &(head("POST", "/size", 1) + "x")).await;
        let refused = answer(&mut fourth).await;
        assert!(
            refused.starts_with("HTTP/1.1 503") && refused.contains("HS-4012"),
            "{refused}"
        );
        for _ in 0..3 {
            gate.open.notify_one();
            timeout(SOON, gate.done.notified()).await.unwrap();
        }
        assert!(answer(&mut large).await.ends_with("6000"));
        for one in &mut more {
            assert!(answer(one).await.ends_with("through"));
        }
        let mut again = send(to, &(head("POST", "/size", 6_000) + &body)).await;
        assert!(answer(&mut again).await.ends_with("6000"));
    }

    #[tokio::test]
    async fn what_was_begun_ends_though_its_caller_hangs_up() {
        let gate = Gate::default();
        let to = server(gate.clone()).await;
        let caller = send(to, &(head("POST", "/gate", 1) + "x")).await;
        timeout(SOON, gate.begun.notified()).await.unwrap();
        drop(caller);
        // The server sees that the connection is gone.
        tokio::time::sleep(Duration::from_millis(300)).await;
        gate.open.notify_one();
        timeout(SOON, gate.done.notified())
            .await
            .expect("it was dropped with the connection");

        // A read is not worth going on with.
        let caller = send(to, &head("GET", "/gate", 0)).await;
        timeout(SOON, gate.begun.notified()).await.unwrap();
        drop(caller);
        tokio::time::sleep(Duration::from_millis(300)).await;
        gate.open.notify_one();
        let done = timeout(Duration::from_millis(300), gate.done.notified()).await;
        assert!(done.is_err());
    }
}
