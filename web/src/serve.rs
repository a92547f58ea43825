//! Connections: how many, for how long, and how they end. What a single caller can hold up is
//! bounded here; what requests may take is bounded by [`crate::admit`].

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, extract::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
};

use crate::tasks::{Tasks, UnderWay};

/// Bounds of connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// At once. Of more, those that idle longest are closed.
    pub(crate) connections: usize,
    /// From the moment that a request may begin to the end of its head; so an idle connection lives
    /// no longer either.
    pub(crate) head_within: Duration,
    /// An answer that nobody takes is given up after this.
    pub(crate) taken_within: Duration,
    /// What requests under way get to end when the process is asked to stop.
    pub(crate) stop_within: Duration,
}

impl Limits {
    /// With so many connections.
    pub(crate) const fn new(connections: usize) -> Self {
        Self {
            connections,
            head_within: Duration::from_secs(30),
            taken_within: Duration::from_secs(60),
            stop_within: Duration::from_secs(20),
        }
    }
}

/// Once so much of a request's head is there and it does not end, it is refused; HubSpot's and
/// browsers' have a few kilobytes.
const HEAD_BYTES: usize = 64 * 1024;
/// And so many lines.
const HEADERS: usize = 100;
/// After the machine refused another connection.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(200);

struct Known {
    task: AbortHandle,
    /// Its requests.
    requests: Tasks,
}

/// The connections there are, oldest first.
#[derive(Default)]
struct Connections(Mutex<BTreeMap<u64, Known>>);

impl Connections {
    /// Whether there is a place. Where there is none, the oldest connection without a request under
    /// way makes one.
    fn make_place(&self, most: usize) -> bool {
        let mut all = self.locked();
        if all.len() < most {
            return true;
        }
        let idle = all
            .iter()
            .find(|(_, known)| known.requests.count() == 0)
            .map(|(id, _)| *id);
        match idle.and_then(|id| all.remove(&id)) {
            Some(known) => {
                known.task.abort();
                true
            }
            None => false,
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<u64, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until told to stop; then requests under way get their time, and idle connections end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let service = TowerToHyperService::new(router);
    let connections = Arc::new(Connections::default());
    let (stopping, stops) = watch::channel(false);
    let open = Tasks::default();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    let mut stop = std::pin::pin!(stop);
    let mut next_id = 0_u64;
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(error = %error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        if !connections.make_place(limits.connections) {
            // All are at work: whoever comes now is told so by the closed connection.
            drop(stream);
            continue;
        }
        prepare(&stream, limits.taken_within);
        let requests = Tasks::default();
        let (service, counted) = (service.clone(), requests.clone());
        let connection = builder.serve_connection(
            TokioIo::new(stream),
            hyper::service::service_fn(move |request: Request<Incoming>| {
                let request_under_way = counted.begin();
                let answer = service.call(request);
                async move {
                    let answer: Result<Response, Infallible> = answer.await;
                    drop(request_under_way);
                    answer
                }
            }),
        );
        let id = next_id;
        next_id += 1;
        let connection = until_it_ends(
            connection,
            stops.clone(),
            open.begin(),
            (id, Arc::clone(&connections)),
        );
        // In the list before it runs, or it would stay there.
        let mut all = connections.locked();
        let task = tokio::spawn(connection).abort_handle();
        all.insert(id, Known { task, requests });
    }
    drop(listener);
    stopping.send_replace(true);
    if tokio::time::timeout(limits.stop_within, open.ended())
        .await
        .is_err()
    {
        tracing::warn!("requests were still under way at the deadline");
    }
}

type Connection<S> = http1::Connection<TokioIo<TcpStream>, S>;

async fn until_it_ends<S, F>(
    connection: Connection<S>,
    mut stops: watch::Receiver<bool>,
    _open: UnderWay,
    (id, connections): (u64, Arc<Connections>),
) where
    S: hyper::service::Service<
            Request<Incoming>,
            Response = Response,
            Error = Infallible,
            Future = F,
        >,
    F: Future<Output = Result<Response, Infallible>>,
{
    let mut connection = std::pin::pin!(connection);
    let stopping = async move { stops.wait_for(|stops| *stops).await.map(drop) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopping => {
            // A request under way is answered, an idle connection ends.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // A caller that is slow or goes away is no fault of ours.
        tracing::debug!(error = %error, "a connection broke");
    }
    connections.locked().remove(&id);
}

/// Answers leave at once, and one that nobody takes does not wait for ever.
fn prepare(stream: &TcpStream, taken_within: Duration) {
    let set = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let set = set.and(socket2::SockRef::from(stream).set_tcp_user_timeout(Some(taken_within)));
    #[cfg(not(target_os = "linux"))]
    let _only_on_linux = taken_within;
    if let Err(error) = set {
        tracing::debug!(error = %error, "an option of a connection was not set");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::SocketAddr,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use axum::{body::Bytes, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::{Notify, oneshot},
        task::JoinHandle,
        time::{Instant, timeout},
    };

    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const LIMITS: Limits = Limits {
        connections: 40,
        head_within: Duration::from_millis(400),
        taken_within: Duration::from_millis(500),
        stop_within: Duration::from_millis(500),
    };

    struct Server {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        task: JoinHandle<()>,
    }

    async fn server(router: Router, limits: Limits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, router, limits, async move {
            stopped.await.ok();
        }));
        Server {
            address,
            stop,
            task,
        }
    }

    fn hello() -> Router {
        Router::new().route("/", get(async || "hello"))
    }

    impl Server {
        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }

        /// Sends it on a connection of its own; what comes back until the end.
        async fn asks(&self, request: &[u8]) -> String {
            let mut stream = self.connect().await;
            // Who is refused early may not get to send all.
            let _sent = stream.write_all(request).await;
            read_to_end(&mut stream).await
        }
    }

    async fn read_to_end(stream: &mut TcpStream) -> String {
        let mut all = Vec::new();
        // A connection that is reset has ended too.
        let read = timeout(SOON, stream.read_to_end(&mut all)).await;
        assert!(read.is_ok(), "the connection was not closed");
        String::from_utf8_lossy(&all).into_owned()
    }

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_head_that_trickles_in_is_not_waited_for() {
        let server = server(hello(), LIMITS).await;
        let mut slow = server.connect().await;
        let began = Instant::now();
        // A byte now and then, as the attack does.
        for byte in GET.iter().cycle() {
            if slow.write_all(&[*byte]).await.is_err() || began.elapsed() > SOON {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(began.elapsed() < SOON, "it may go on for ever");
        assert!(server.asks(GET).await.contains("hello"));
    }

    #[tokio::test]
    async fn an_idle_connection_ends() {
        let server = server(hello(), LIMITS).await;
        let mut silent = server.connect().await;
        assert_eq!(read_to_end(&mut silent).await, "");
        // Also after it was of use.
        let mut used = server.connect().await;
        used.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        assert!(read_to_end(&mut used).await.contains("hello"));
    }

    #[tokio::test]
    async fn many_idle_connections_keep_nobody_out() {
        let patient = Limits {
            head_within: Duration::from_secs(60),
            ..LIMITS
        };
        let server = server(hello(), patient).await;
        let mut idle = Vec::new();
        for _ in 0..5 * LIMITS.connections {
            idle.push(server.connect().await);
        }
        for _ in 0..10 {
            assert!(server.asks(GET).await.contains("hello"));
        }
        // The oldest had to go, the newest are still there.
        assert_eq!(read_to_end(&mut idle[0]).await, "");
        let last = idle.last_mut().unwrap();
        last.write_all(GET).await.unwrap();
        assert!(read_to_end(last).await.contains("hello"));
    }

    #[tokio::test]
    async fn a_huge_head_is_refused() {
        let server = server(hello(), LIMITS).await;
        let huge = format!(
            "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
            "a".repeat(1_000_000)
        );
        let answer = server.asks(huge.as_bytes()).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer}"
        );
        let many: String = (0..200).map(|n| format!("x{n}: 1\r\n")).collect();
        let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n");
        let answer = server.asks(many.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_answer_that_nobody_takes_is_given_up() {
        struct Alive(Arc<AtomicUsize>);
        impl Drop for Alive {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let alive = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&alive);
        let endless = move || {
            let count = Arc::clone(&count);
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                let alive = Alive(count);
                let piece = Bytes::from(vec![0_u8; 64 * 1024]);
                let pieces = futures::stream::repeat_with(move || {
                    let _alive = &alive;
                    Ok::<_, Infallible>(piece.clone())
                });
                axum::body::Body::from_stream(pieces)
            }
        };
        let server = server(Router::new().route("/", get(endless)), LIMITS).await;
        let mut deaf = server.connect().await;
        deaf.write_all(GET).await.unwrap();
        let began = Instant::now();
        let seen = |n| alive.load(Ordering::SeqCst) == n;
        while !seen(1) && began.elapsed() < SOON {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while !seen(0) && began.elapsed() < 4 * SOON {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(seen(0), "it waits for ever");
    }

    #[tokio::test]
    async fn shutting_down_waits_for_requests_but_not_for_ever() {
        let gate = Arc::new(Notify::new());
        let wait = Arc::clone(&gate);
        let router = hello().route(
            "/slow",
            get(move || async move {
                wait.notified().await;
                "done"
            }),
        );
        let request = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
        let patient = Limits {
            stop_within: SOON,
            ..LIMITS
        };
        let good = server(router.clone(), patient).await;
        let mut stream = good.connect().await;
        stream.write_all(request).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        good.stop.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(TcpStream::connect(good.address).await.is_err());
        gate.notify_waiters();
        assert!(read_to_end(&mut stream).await.contains("done"));
        timeout(SOON, good.task).await.unwrap().unwrap();

        let stuck = server(router, LIMITS).await;
        let mut stream = stuck.connect().await;
        stream.write_all(request).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        stuck.stop.send(()).unwrap();
        timeout(SOON, stuck.task).await.unwrap().unwrap();
    }
}
