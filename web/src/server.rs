//! The process: connect, serve, shut down.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use hubspot::{
    ClientConfig,
    oauth::{OAuth, OAuthApp},
};
use store::{Store, StoreConfig, StoreError};
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions};
use tokio::net::TcpListener;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    admit, api, config::Config, consents, pages, problem::Refusal, seal::Sealer, serve, state::App,
};

/// What is logged when RUST_LOG says nothing.
const DEFAULT_FILTER: &str = "info,temporalio_client=warn,hyper=warn";

pub(crate) fn install_logging(json: bool) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    let installed = if json {
        registry
            .with(tracing_subscriber::fmt::layer().json())
            .try_init()
    } else {
        registry
            .with(tracing_subscriber::fmt::layer().with_ansi(false))
            .try_init()
    };
    if installed.is_err() {
        tracing::debug!("a subscriber is installed already");
    }
}

/// Waits longer and longer, from half a second to fifteen.
struct Backoff(Duration);

impl Backoff {
    const fn new() -> Self {
        Self(Duration::from_millis(500))
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(15));
    }
}

async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let mut backoff = Backoff::new();
    loop {
        let opened = async {
            let store = Store::connect(StoreConfig {
                url: config.database_url.clone(),
                max_connections: 10,
                encryption_keys: config.token_encryption_keys.clone(),
                erasure_key: config.erasure_key.clone(),
            })
            .await?;
            store.migrate().await?;
            Ok::<_, StoreError>(store)
        };
        match opened.await {
            Ok(store) => return Ok(store),
            Err(error @ (StoreError::Keys(_) | StoreError::Address)) => return Err(error.into()),
            Err(error) => tracing::warn!(
                address = %store::address_of(&config.database_url),
                error = %error,
                "Postgres (DATABASE_URL) is not to be had yet; trying again"
            ),
        }
        backoff.wait().await;
    }
}

async fn connect_temporal(config: &Config) -> Client {
    let mut backoff = Backoff::new();
    loop {
        let options = ConnectionOptions::new(config.temporal_address.clone())
            .identity(format!("hubspot-sync-web@{}", std::process::id()))
            .connect_timeout(Duration::from_secs(10))
            .build();
        let connected = async {
            let connection = Connection::connect(options).await?;
            let options = ClientOptions::new(config.temporal_namespace.clone()).build();
            Ok::<_, anyhow::Error>(Client::new(connection, options)?)
        };
        match connected.await {
            Ok(client) => return client,
            Err(error) => tracing::warn!(
                address = %config.temporal_address,
                error = %error,
                "Temporal (TEMPORAL_ADDRESS) is not to be had yet; trying again"
            ),
        }
        backoff.wait().await;
    }
}

/// Brings the database up to date.
pub(crate) async fn migrate(config: &Config) -> anyhow::Result<()> {
    open_store(config).await?;
    tracing::info!("the database is up to date");
    Ok(())
}

/// Serves until asked to stop.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let hubspot = ClientConfig {
        api_url: config.hubspot_api_url.clone(),
        app_url: config.hubspot_app_url.clone(),
        ..ClientConfig::default()
    };
    let oauth = config
        .app
        .clone()
        .map(|(client_id, client_secret)| {
            OAuth::new(
                hubspot.clone(),
                OAuthApp {
                    client_id,
                    client_secret,
                },
            )
        })
        .transpose()?;
    let app = App::new(
        Sealer::new(config.signing_key),
        config.api_token.clone(),
        config.public_url.clone(),
        hubspot,
        oauth,
        config.requests,
        config.frame_ancestors.clone(),
    );
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on WEB_LISTEN_ADDR {}", config.listen))?;
    tracing::info!(addr = %config.listen, "serving");
    let limits = config.connections;
    let serving = serve::serve(listener, router(app.clone()), limits, asked_to_stop());
    let mut serving = std::pin::pin!(serving);
    let connecting = async {
        let store = open_store(&config).await?;
        let temporal = connect_temporal(&config).await;
        app.ready(store, temporal);
        tracing::info!("ready");
        tokio::spawn(consents::end_in_time(app.clone()));
        Ok::<_, anyhow::Error>(())
    };
    tokio::select! {
        () = &mut serving => return Ok(()),
        ready = connecting => ready?,
    }
    serving.await;
    // What goes on though its caller is gone.
    if tokio::time::timeout(limits.stop_within, app.tasks.ended())
        .await
        .is_err()
    {
        tracing::warn!("calls were still under way at the deadline");
    }
    Ok(())
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            // Without Ctrl-C either there is nothing to wait for.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
    tracing::info!("shutting down");
}

/// Whoever asks wants to know soon; a database that takes longer does not serve anybody either.
const READY_WITHIN: Duration = Duration::from_secs(1);

fn router(app: App) -> Router {
    Router::new()
        .route("/healthz/live", get(async || "live\n"))
        .route("/healthz/ready", get(ready))
        .merge(
            Router::new()
                .nest("/api/v1", api::router(app.clone()))
                .merge(pages::router(app.clone()))
                .layer(axum::middleware::from_fn_with_state(
                    app.clone(),
                    admit::admit,
                )),
        )
        .fallback(async || Refusal::NotFound)
        .layer(DefaultBodyLimit::max(api::USUAL_BYTES))
        .layer(axum::middleware::from_fn(log))
        .with_state(app)
}

async fn ready(State(app): State<App>) -> Response {
    match app.parts() {
        Ok(parts)
            if tokio::time::timeout(READY_WITHIN, parts.store.ping())
                .await
                .is_ok_and(|pinged| pinged.is_ok()) =>
        {
            "ready\n".into_response()
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}

/// One line a request: the template of its path, never its query, which may hold codes.
async fn log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "(unknown)".to_owned(), |p| p.as_str().to_owned());
    let response = next.run(request).await;
    // A body over the limit is refused by the extractor, in plain text.
    let plain = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind != "application/problem+json");
    let response = if response.status() == StatusCode::PAYLOAD_TOO_LARGE && plain {
        Refusal::TooLarge(api::USUAL_BYTES).into_response()
    } else {
        response
    };
    tracing::info!(
        method = %method,
        path,
        status = response.status().as_u16(),
        ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "request"
    );
    response
}
