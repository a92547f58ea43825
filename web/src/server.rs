//! The process: connect, serve, shut down.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hubspot::{
    ClientConfig,
    oauth::{OAuth, OAuthApp},
};
use process::{database, shutdown};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;

use crate::{
    admit, api,
    config::{Config, MigrationConfig},
    consents, followers, pages,
    problem::Refusal,
    seal::Sealer,
    serve,
    state::App,
    tally, webhooks,
};

const PROGRAM: &str = "hubspot-sync-web";

/// Brings the database up to date.
pub(crate) async fn migrate(config: MigrationConfig) -> anyhow::Result<()> {
    database::open(&config.database).await?;
    tracing::info!("the database is up to date");
    Ok(())
}

/// Serves until asked to stop.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let hubspot = ClientConfig {
        api_url: config.hubspot.api_url.clone(),
        app_url: config.hubspot.app_url.clone(),
        ..ClientConfig::default()
    };
    let webhook_secret = config
        .hubspot
        .app
        .as_ref()
        .map(|app| app.client_secret.clone());
    let oauth = config
        .hubspot
        .app
        .clone()
        .map(|app| {
            OAuth::new(
                hubspot.clone(),
                OAuthApp {
                    client_id: app.client_id,
                    client_secret: app.client_secret,
                },
            )
        })
        .transpose()?;
    let app = App::new(
        Sealer::new(*config.signing_key.expose_secret()),
        config.api_token.clone(),
        config.public_url.clone(),
        hubspot,
        oauth,
        webhook_secret,
        config.requests,
        config.frame_ancestors.clone(),
        config.entry_keys,
    );
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on WEB_LISTEN_ADDR {}", config.listen))?;
    tracing::info!(addr = %config.listen, "serving");
    if let Some(addr) = config.metrics {
        let listener = TcpListener::bind(addr)
            .await
            .with_context(|| format!("cannot listen on WEB_METRICS_ADDR {addr}"))?;
        tokio::spawn(tally::serve(listener, app.clone()));
    }
    let limits = config.connections;
    let stopping = app.clone();
    let stop = async move {
        asked_to_stop().await;
        stopping.stop();
    };
    let serving = serve::serve(listener, router(app.clone()), limits, stop);
    let mut serving = std::pin::pin!(serving);
    let connecting = async {
        let store = database::open(&config.database).await?;
        let temporal = config.temporal.connect_until_there(PROGRAM, None).await;
        app.ready(store, temporal);
        tracing::info!("ready");
        tokio::spawn(consents::end_in_time(app.clone()));
        tokio::spawn(followers::wake(app.clone()));
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
    shutdown::asked_to_stop().await;
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
                .route(
                    webhooks::PATH,
                    post(webhooks::take).fallback(async || Refusal::MethodNotAllowed),
                )
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
