//! HTTP: from a request to the right resource, through faults, tokens, limits and scopes.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body as HttpBody, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, Response, Uri, header},
};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    answer::{Answer, Body, error_body},
    associations::{self, Version},
    control,
    faults::{Effect, Rule, When, strike},
    legacy::Legacy,
    limits::{Bucket, Counted, Windows},
    lists,
    model::{Actor, Data, Kind},
    oauth::{Access, PortalRules, Tokens},
    objects, owners, page, pipelines, properties,
};

/// Entries of the request log that are kept per portal.
const LOG: usize = 200_000;

/// The query or a form, decoded.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self(serde_urlencoded::from_str(text).unwrap_or_default())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// All values of a name, each of which may hold several behind commas.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(n, _)| n == name)
            .flat_map(|(_, v)| v.split(','))
            .filter(|v| !v.is_empty())
            .collect()
    }
}

/// A request that came in. Never a token, never a body.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Logged {
    pub(crate) seq: u64,
    pub(crate) at_ms: i64,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) status: u16,
    pub(crate) bucket: &'static str,
}

/// Counters and the log of one portal.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) entries: VecDeque<Logged>,
    pub(crate) by_status: BTreeMap<u16, u64>,
    pub(crate) total: u64,
}

/// One account.
#[derive(Debug)]
pub(crate) struct Portal {
    pub(crate) id: u64,
    pub(crate) data: RwLock<Data>,
    pub(crate) windows: Mutex<Windows>,
    pub(crate) log: Mutex<Log>,
    pub(crate) faults: Mutex<Vec<Rule>>,
}

/// The whole simulator. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Simulator {
    pub(crate) portals: Arc<RwLock<BTreeMap<u64, Arc<Portal>>>>,
    pub(crate) tokens: Arc<Mutex<Tokens>>,
    pub(crate) seq: Arc<std::sync::atomic::AtomicU64>,
    pub(crate) seed: u64,
}

impl Simulator {
    /// Without any portal.
    pub fn new(seed: u64) -> Self {
        Self {
            portals: Arc::default(),
            tokens: Arc::new(Mutex::new(Tokens::new(seed))),
            seq: Arc::default(),
            seed,
        }
    }

    pub(crate) fn portal(&self, id: u64) -> Option<Arc<Portal>> {
        self.portals.read().get(&id).cloned()
    }

    pub(crate) fn names(&self) -> Vec<(u64, String)> {
        self.portals
            .read()
            .values()
            .map(|p| (p.id, p.data.read().settings.name.clone()))
            .collect()
    }

    fn rules(&self, portal: u64) -> Option<PortalRules> {
        let portal = self.portal(portal)?;
        let data = portal.data.read();
        Some(PortalRules {
            ttl_seconds: data.settings.token_ttl_seconds,
            rotate: data.settings.rotate_refresh_tokens,
            denied_scopes: data.settings.denied_scopes.clone(),
        })
    }

    fn log(&self, portal: &Portal, request: &Request<'_>, bucket: Bucket, status: u16, at_ms: i64) {
        let seq = self.seq.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut log = portal.log.lock();
        log.total += 1;
        *log.by_status.entry(status).or_default() += 1;
        if log.entries.len() == LOG {
            log.entries.pop_front();
        }
        log.entries.push_back(Logged {
            seq,
            at_ms,
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            query: request.query_text.to_owned(),
            status,
            bucket: bucket.as_str(),
        });
    }
}

/// Serves until the process ends.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, simulator: Simulator) -> std::io::Result<()> {
    let router = Router::new()
        .fallback(handle)
        .layer(DefaultBodyLimit::max(64 * 1024 * 1024))
        .with_state(simulator);
    axum::serve(listener, router).await
}

pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}

/// A request, taken apart.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    query_text: &'a str,
    query: Query,
    segments: Vec<&'a str>,
    body: &'a [u8],
}

async fn handle(
    State(simulator): State<Simulator>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<HttpBody> {
    let path = uri.path();
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let request = Request {
        method: method.as_str(),
        path,
        query_text: uri.query().unwrap_or_default(),
        query: Query::parse(uri.query().unwrap_or_default()),
        segments,
        body: &body,
    };
    match request.segments.as_slice() {
        [] => respond(
            Answer::html(200, page::overview(&simulator.names())),
            Counted::default(),
        ),
        ["_simulator", rest @ ..] => respond(
            control::handle(&simulator, request.method, rest, &request.query, &body),
            Counted::default(),
        ),
        ["oauth", ..] => oauth(&simulator, &request).await,
        _ => api(&simulator, &request, &headers).await,
    }
}

fn respond(answer: Answer, counted: Counted) -> Response<HttpBody> {
    let mut builder = Response::builder().status(answer.status);
    if let Some(location) = answer.location {
        builder = builder.header(header::LOCATION, location);
    }
    if let Some((max, remaining)) = counted.headers {
        builder = builder
            .header("X-HubSpot-RateLimit-Max", max)
            .header("X-HubSpot-RateLimit-Remaining", remaining)
            .header("X-HubSpot-RateLimit-Interval-Milliseconds", 10_000);
    }
    let built = match answer.body {
        Body::Empty => builder.body(HttpBody::empty()),
        Body::Json(json) => builder
            .header(header::CONTENT_TYPE, "application/json;charset=utf-8")
            .body(HttpBody::from(json)),
        Body::Html(html) => builder
            .header(header::CONTENT_TYPE, "text/html;charset=utf-8")
            .body(HttpBody::from(html)),
    };
    built.unwrap_or_default()
}

/// An answer that breaks off.
fn broken() -> Response<HttpBody> {
    let stream = futures::stream::once(async {
        Err::<Bytes, _>(std::io::Error::other("dropped by a fault rule"))
    });
    Response::new(HttpBody::from_stream(stream))
}

async fn oauth(simulator: &Simulator, request: &Request<'_>) -> Response<HttpBody> {
    let form = Query::parse(std::str::from_utf8(request.body).unwrap_or_default());
    let now = now();
    let rules = |portal| simulator.rules(portal);
    let (portal, answer) = match (request.method, request.segments.as_slice()) {
        ("GET", ["oauth", "authorize"]) => {
            let names = simulator.names();
            (
                None,
                simulator
                    .tokens
                    .lock()
                    .authorize_page(&request.query, &names),
            )
        }
        ("POST", ["oauth", "authorize", "decision"]) => {
            (None, simulator.tokens.lock().decide(&form, rules, now))
        }
        ("POST", ["oauth", _, "token"]) => {
            // A fault before the effect must leave the refresh token as it is.
            if let Some(faulty) = token_fault(simulator, request).await {
                return faulty;
            }
            simulator.tokens.lock().token(&form, rules, now)
        }
        ("POST", ["oauth", _, "token", "introspect"]) => {
            (None, simulator.tokens.lock().introspect(&form, now))
        }
        ("POST", ["oauth", _, "token", "revoke"]) => simulator.tokens.lock().revoke(&form),
        ("GET", ["oauth", "v1", "access-tokens", token]) => {
            // The token is in the path, which therefore is not logged.
            let answer = simulator.tokens.lock().describe_access(token, now);
            return respond(answer, Counted::default());
        }
        ("GET", ["oauth", "v1", "refresh-tokens", token]) => {
            let answer = simulator.tokens.lock().describe_refresh(token);
            return respond(answer, Counted::default());
        }
        ("DELETE", ["oauth", "v1", "refresh-tokens", token]) => {
            simulator.tokens.lock().forget(token);
            return respond(Answer::empty(204), Counted::default());
        }
        _ => (None, Answer::not_found()),
    };
    if let Some(portal) = portal.and_then(|p| simulator.portal(p)) {
        simulator.log(&portal, request, Bucket::Free, answer.status, now);
    }
    respond(answer, Counted::default())
}

/// Faults on the token endpoint are those of any portal whose rules name it, since the portal is not
/// known before the token is looked at.
async fn token_fault(simulator: &Simulator, request: &Request<'_>) -> Option<Response<HttpBody>> {
    let portals: Vec<_> = simulator.portals.read().values().cloned().collect();
    for portal in portals {
        let struck = {
            let mut rules = portal.faults.lock();
            let named = rules
                .iter()
                .any(|r| r.path.as_deref().is_some_and(|p| p.contains("oauth")));
            if named {
                strike(&mut rules, request.method, request.path)
            } else {
                None
            }
        };
        if let Some((_, effect)) = struck {
            return apply_effect(effect).await;
        }
    }
    None
}

/// What the client sees of a fault; `None` when the right answer still comes.
async fn apply_effect(effect: Effect) -> Option<Response<HttpBody>> {
    match effect {
        Effect::Delay { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            None
        }
        Effect::Hang { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Some(broken())
        }
        Effect::Drop => Some(broken()),
        Effect::Status { status, body, html } => {
            let text = body.unwrap_or_else(|| {
                if html {
                    "<html><body>Service unavailable</body></html>".to_owned()
                } else {
                    error_body("INTERNAL_ERROR", "internal error").to_string()
                }
            });
            Some(respond(
                if html {
                    Answer::html(status, text)
                } else {
                    Answer::text(status, text)
                },
                Counted::default(),
            ))
        }
    }
}

fn authenticate(simulator: &Simulator, headers: &HeaderMap, now: i64) -> Result<Access, Answer> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "));
    let unknown = || {
        Answer::error(
            401,
            "INVALID_AUTHENTICATION",
            "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
        )
    };
    let access = token
        .and_then(|t| simulator.tokens.lock().access.get(t).cloned())
        .ok_or_else(unknown)?;
    if let Some(expired) = access.expires.filter(|at| *at <= now) {
        let minutes = (now - expired) / 60_000;
        let mut body = error_body(
            "EXPIRED_AUTHENTICATION",
            &format!("The OAuth token used to make this call expired {minutes} minute(s) ago."),
        );
        body["context"] = json!({"expire time": [crate::answer::iso(expired)]});
        return Err(Answer::json(401, &body));
    }
    Ok(access)
}

/// Where a path leads.
enum Target<'a> {
    Objects(Kind, &'a [&'a str]),
    Associations(Version, Kind, Kind, &'a [&'a str]),
    RecordAssociations(Version, Kind, &'a str, &'a [&'a str]),
    Owners(&'a [&'a str]),
    Properties(Kind, &'a [&'a str]),
    Pipelines(Kind, &'a [&'a str]),
    Lists(&'a [&'a str]),
    Account,
    Legacy(Legacy<'a>),
}

/// Dated paths (`/crm/objects/2026-09/…`) and classic ones (`/crm/v3/objects/…`).
fn target<'a>(method: &str, segments: &'a [&'a str]) -> Option<Result<Target<'a>, Answer>> {
    if let Some(legacy) = Legacy::parse(method, segments) {
        return Some(Ok(Target::Legacy(legacy)));
    }
    let (version, area, rest) = match segments {
        ["crm", "v3", area, rest @ ..] => (Version::V3, *area, rest),
        ["crm", "v4", area, rest @ ..] => (Version::V4, *area, rest),
        ["crm", area, _version, rest @ ..] => (Version::V4, *area, rest),
        ["account-info", _, "details"] => return Some(Ok(Target::Account)),
        _ => return None,
    };
    let kind = |name: &str| Kind::parse(name).ok_or_else(|| Answer::unknown_type(name));
    Some(match (area, rest) {
        ("objects", [name, id, "associations", rest @ ..]) => {
            kind(name).map(|k| Target::RecordAssociations(version, k, id, rest))
        }
        ("objects", [name, rest @ ..]) => kind(name).map(|k| Target::Objects(k, rest)),
        ("associations", [from, to, rest @ ..]) => {
            kind(from).and_then(|f| Ok(Target::Associations(version, f, kind(to)?, rest)))
        }
        ("owners", rest) => Ok(Target::Owners(rest)),
        ("properties", [name, rest @ ..]) => kind(name).map(|k| Target::Properties(k, rest)),
        ("pipelines", [name, rest @ ..]) => kind(name).map(|k| Target::Pipelines(k, rest)),
        ("lists", rest) => Ok(Target::Lists(rest)),
        _ => return None,
    })
}

impl Target<'_> {
    fn bucket(&self) -> Bucket {
        match self {
            Self::Objects(_, ["search"]) => Bucket::Search,
            Self::Associations(..)
            | Self::RecordAssociations(..)
            | Self::Legacy(Legacy::NoAssociations(..)) => Bucket::Associations,
            _ => Bucket::General,
        }
    }

    /// Any one of these scopes will do.
    fn scopes(&self, method: &str) -> Vec<String> {
        let objects = |kind: &Kind, right: &str| format!("crm.objects.{}.{right}", kind.scope());
        match self {
            Self::Objects(kind, rest) => {
                let reads = method == "GET" || matches!(rest, ["search"] | ["batch", "read"]);
                vec![objects(kind, if reads { "read" } else { "write" })]
            }
            Self::Associations(_, from, _, rest) => {
                let reads = method == "GET" || matches!(rest, ["batch", "read"]);
                vec![objects(from, if reads { "read" } else { "write" })]
            }
            Self::RecordAssociations(_, kind, ..) => {
                vec![objects(
                    kind,
                    if method == "GET" { "read" } else { "write" },
                )]
            }
            Self::Owners(_) => vec!["crm.objects.owners.read".to_owned()],
            Self::Properties(kind, rest)
                if method == "GET" || matches!(rest, ["batch", "read"]) =>
            {
                vec![
                    format!("crm.schemas.{}.read", kind.scope()),
                    objects(kind, "read"),
                ]
            }
            Self::Properties(kind, _) => vec![format!("crm.schemas.{}.write", kind.scope())],
            Self::Pipelines(kind, _) => vec![
                objects(kind, "read"),
                format!("crm.schemas.{}.read", kind.scope()),
            ],
            Self::Lists(rest)
                if matches!(method, "PUT" | "DELETE") || (method == "POST" && rest.is_empty()) =>
            {
                vec!["crm.lists.write".to_owned()]
            }
            Self::Lists(_) => vec!["crm.lists.read".to_owned()],
            Self::Account => Vec::new(),
            Self::Legacy(legacy) => legacy.scopes(),
        }
    }
}

async fn api(
    simulator: &Simulator,
    request: &Request<'_>,
    headers: &HeaderMap,
) -> Response<HttpBody> {
    let at = now();
    let access = match authenticate(simulator, headers, at) {
        Ok(access) => access,
        Err(answer) => return respond(answer, Counted::default()),
    };
    let Some(portal) = simulator.portal(access.portal) else {
        return respond(Answer::not_found(), Counted::default());
    };
    let target = match target(request.method, &request.segments) {
        Some(Ok(target)) => target,
        Some(Err(answer)) => return respond(answer, Counted::default()),
        None => return respond(Answer::not_found(), Counted::default()),
    };
    let (limits, latency) = {
        let data = portal.data.read();
        (data.settings.limits, data.settings.latency_ms)
    };
    let bucket = target.bucket();
    let counted = portal
        .windows
        .lock()
        .count(limits, &access.app, portal.id, bucket, at);
    let counted = match counted {
        Ok(counted) => counted,
        Err(refused) => {
            simulator.log(&portal, request, bucket, refused.status, at);
            return respond(refused, Counted::default());
        }
    };
    let struck = strike(&mut portal.faults.lock(), request.method, request.path);
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    if let Some((When::Before, effect)) = &struck
        && let Some(faulty) = apply_effect(effect.clone()).await
    {
        simulator.log(&portal, request, bucket, faulty.status().as_u16(), at);
        return faulty;
    }
    if let Some((When::LaterMs(ms), effect)) = struck {
        apply_later(&portal, request, &access, ms);
        simulator.log(&portal, request, bucket, 0, at);
        return apply_effect(effect).await.unwrap_or_else(broken);
    }
    let answer = serve_target(&portal, &target, request, &access);
    simulator.log(&portal, request, bucket, answer.status, at);
    if let Some((When::After, effect)) = struck
        && let Some(faulty) = apply_effect(effect).await
    {
        return faulty;
    }
    respond(answer, counted)
}

/// The write lands after the client has given up on it.
fn apply_later(portal: &Arc<Portal>, request: &Request<'_>, access: &Access, ms: u64) {
    let portal = portal.clone();
    let access = access.clone();
    let method = request.method.to_owned();
    let path = request.path.to_owned();
    let query = request.query_text.to_owned();
    let body = request.body.to_vec();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let request = Request {
            method: &method,
            path: &path,
            query_text: &query,
            query: Query::parse(&query),
            segments: path.split('/').filter(|s| !s.is_empty()).collect(),
            body: &body,
        };
        if let Some(Ok(target)) = target(request.method, &request.segments) {
            serve_target(&portal, &target, &request, &access);
        }
    });
}

fn serve_target(
    portal: &Portal,
    target: &Target<'_>,
    request: &Request<'_>,
    access: &Access,
) -> Answer {
    let scopes = target.scopes(request.method);
    if !scopes.is_empty() && !scopes.iter().any(|s| access.scopes.contains(s)) {
        let mut body = error_body(
            "MISSING_SCOPES",
            "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.",
        );
        body["errors"] = json!([{
            "message": "One or more of the following scopes are required.",
            "context": {"requiredGranularScopes": scopes},
        }]);
        return Answer::json(403, &body);
    }
    let (method, query, body, at) = (request.method, &request.query, request.body, now());
    if portal.data.read().is_due(at) {
        portal.data.write().tick(at);
    }
    // Pages are read by many at once; everything that may write has the data alone.
    let reads =
        method == "GET" || matches!(target, Target::Objects(_, ["search"] | ["batch", "read"]));
    if reads && let Target::Objects(kind, rest) = target {
        return objects::read(&portal.data.read(), method, *kind, rest, query, body, at);
    }
    if method == "GET"
        && let Target::RecordAssociations(version, kind, id, [to]) = target
    {
        return associations::of_record(&portal.data.read(), *version, *kind, id, to, query);
    }
    if let Target::Legacy(legacy) = target {
        return legacy.handle(&portal.data.read(), portal.id, query, body);
    }
    let mut data = portal.data.write();
    data.actor = Actor::App(app_id(&access.app));
    match target {
        Target::Legacy(_) => Answer::not_found(),
        Target::Objects(kind, rest) => {
            objects::handle(&mut data, method, *kind, rest, query, body, at)
        }
        Target::Associations(version, from, to, rest) => {
            associations::handle(&mut data, method, *version, (*from, *to), rest, body, at)
        }
        Target::RecordAssociations(version, kind, id, rest) => {
            associations::change(&mut data, *version, method, (*kind, id), rest, body, at)
        }
        Target::Owners(rest) => owners::handle(&data, method, rest, query),
        Target::Properties(kind, rest) => {
            properties::handle(&mut data, method, *kind, rest, query, body, at)
        }
        Target::Pipelines(kind, rest) => pipelines::handle(&data, method, *kind, rest),
        Target::Lists(rest) => lists::handle(&mut data, method, rest, query, body, at),
        Target::Account => Answer::json(
            200,
            &json!({
                "portalId": portal.id, "accountType": "STANDARD", "timeZone": "US/Eastern",
                "companyCurrency": "USD", "additionalCurrencies": [], "utcOffset": "-05:00",
                "utcOffsetMilliseconds": -18_000_000, "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "na1",
            }),
        ),
    }
}

/// The number that HubSpot knows an app by: what records say they were made by.
pub(crate) fn app_id(client_id: &str) -> u64 {
    // FNV-1a
    let hash = client_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    1_000_000 + hash % 90_000_000
}

/// A new portal under this id.
pub(crate) fn portal_of(id: u64, data: Data) -> Arc<Portal> {
    Arc::new(Portal {
        id,
        data: RwLock::new(data),
        windows: Mutex::default(),
        log: Mutex::default(),
        faults: Mutex::default(),
    })
}

/// How often each path and status was asked for; ids in paths stand as `*`.
pub(crate) fn by_path(log: &Log) -> HashMap<String, u64> {
    let mut counts = HashMap::new();
    for entry in &log.entries {
        let path: Vec<&str> = entry
            .path
            .split('/')
            .map(|s| if s.parse::<u64>().is_ok() { "*" } else { s })
            .collect();
        *counts
            .entry(format!(
                "{} {} {}",
                entry.method,
                path.join("/"),
                entry.status
            ))
            .or_default() += 1;
    }
    counts
}
