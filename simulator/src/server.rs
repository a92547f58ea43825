//! HTTP: from a request to the right resource, through faults, tokens, limits and scopes.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hyper::{HeaderMap, Method, Uri, header};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde_json::json;

use crate::{
    answer::{Answer, Body, error_body},
    associations::{self, Version},
    bare::{Ask, Bare, End},
    control, emails,
    faults::{Asked, Instead, Named, Rule, Struck, When, missing_scopes, strike},
    http::{Closed, Reply, respond, respond_half, respond_slowly},
    legacy::Legacy,
    limits::{Bucket, Caller, Windows},
    lists, look,
    model::{Actor, Api, Data, Kind},
    oauth::{Access, PortalRules, Tokens},
    objects, owners, pipelines, portal_rules, properties,
    webhooks::Hooks,
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

    /// All names with their values, as they stand.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The same without a name.
    pub(crate) fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(n, _)| n != name).cloned().collect())
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// HubSpot does not mind the case: its Python SDK writes `True`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|v| v.eq_ignore_ascii_case("true"))
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
    /// What was answered; 0 when nothing was.
    pub(crate) status: u16,
    /// The size of the body that was answered; 0 for a fault.
    pub(crate) bytes: usize,
    /// The same for equal bodies, and for nothing else; none without a body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_digest: Option<String>,
    pub(crate) bucket: &'static str,
    /// The client id, or the name of the service key.
    pub(crate) app: String,
    /// The rule that struck it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<String>,
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
    /// How far its clock is ahead of the machine's, in milliseconds.
    pub(crate) clock: AtomicI64,
    /// Requests that rules keep back and that take effect later.
    pub(crate) late: AtomicI64,
    pub(crate) hooks: Hooks,
}

impl Portal {
    /// The time in this portal.
    pub(crate) fn now(&self) -> i64 {
        now() + self.clock.load(Ordering::Relaxed)
    }
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

    pub(crate) fn rules(&self, portal: u64) -> Option<PortalRules> {
        let portal = self.portal(portal)?;
        let data = portal.data.read();
        Some(PortalRules {
            ttl_seconds: data.settings.token_ttl_seconds,
            rotate: data.settings.rotate_refresh_tokens,
            old_lives_seconds: data.settings.old_refresh_token_seconds,
            denied_scopes: data.settings.denied_scopes.clone(),
        })
    }

    fn log(&self, portal: &Portal, entry: Logged) {
        let mut log = portal.log.lock();
        log.total += 1;
        *log.by_status.entry(entry.status).or_default() += 1;
        if log.entries.len() == LOG {
            log.entries.pop_front();
        }
        log.entries.push_back(Logged {
            // Under the lock, so that a portal's log is in the order of its numbers.
            seq: self.seq.fetch_add(1, Ordering::Relaxed),
            ..entry
        });
    }
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

impl<'a> Request<'a> {
    fn new(method: &'a str, path: &'a str, query: &'a str, body: &'a [u8]) -> Self {
        Self {
            method,
            path,
            query_text: query,
            query: Query::parse(query),
            segments: path.split('/').filter(|s| !s.is_empty()).collect(),
            body,
        }
    }

    /// What rules of faults look at.
    const fn asked(&self) -> Asked<'_> {
        Asked {
            method: self.method,
            path: self.path,
            query: &self.query,
            body: self.body,
        }
    }

    fn logged(&self, bucket: Bucket, app: &str, status: u16, at_ms: i64) -> Logged {
        Logged {
            seq: 0,
            at_ms,
            method: self.method.to_owned(),
            path: self.path.to_owned(),
            query: self.query_text.to_owned(),
            status,
            bytes: 0,
            body_digest: digest(self.body),
            bucket: bucket.as_str(),
            app: app.to_owned(),
            fault: None,
        }
    }
}

/// Of a body, so that the log can tell that the same was asked again.
fn digest(body: &[u8]) -> Option<String> {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    (!body.is_empty()).then(|| {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    })
}

/// Percent-encoded characters of a path, decoded; what is no UTF-8 then is replaced.
fn decoded(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|s| !s.is_empty())
        .map(|s| {
            percent_encoding::percent_decode_str(s)
                .decode_utf8_lossy()
                .into_owned()
        })
        .collect()
}

/// Any request.
pub(crate) async fn handle(
    simulator: &Simulator,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Reply {
    let mut request = Request::new(
        method.as_str(),
        uri.path(),
        uri.query().unwrap_or_default(),
        body,
    );
    let segments = uri.path().contains('%').then(|| decoded(uri.path()));
    if let Some(segments) = &segments {
        request.segments = segments.iter().map(String::as_str).collect();
    }
    match request.segments.as_slice() {
        [] => Ok(respond(look::overview(simulator))),
        ["contacts", portal, rest @ ..] if portal.parse::<u64>().is_ok() => {
            Ok(respond(look::as_hubspot_has_it(portal, rest)))
        }
        ["_simulator", rest @ ..] => Ok(respond(control::handle(
            simulator,
            request.method,
            rest,
            &request.query,
            body,
        ))),
        ["oauth", ..] => oauth(simulator, &request).await,
        _ => api(simulator, &request, headers).await,
    }
}

/// What a fault makes of an answer that may have been prepared already.
async fn strike_down(struck: &Struck, portal: u64, answer: Option<Answer>) -> Reply {
    tokio::time::sleep(Duration::from_millis(struck.effect.wait())).await;
    match (struck.effect.instead(portal), answer) {
        (Instead::Answer(answer), _) | (Instead::Nothing, Some(answer)) => Ok(respond(answer)),
        (Instead::Half, Some(answer)) => Ok(respond_half(answer)),
        (Instead::Half, None) => Ok(respond_half(Answer::json(200, &json!({"results": []})))),
        (Instead::Nothing | Instead::Closed, _) => Err(Closed),
    }
}

fn status_of(reply: &Reply) -> u16 {
    reply.as_ref().map_or(0, |r| r.status().as_u16())
}

async fn oauth(simulator: &Simulator, request: &Request<'_>) -> Reply {
    let form = Query::parse(std::str::from_utf8(request.body).unwrap_or_default());
    let portal = {
        let tokens = simulator.tokens.lock();
        let of_path = request.segments.last().copied().unwrap_or_default();
        tokens.portal_of(&form, of_path)
    };
    let Some(portal) = portal.and_then(|id| simulator.portal(id)) else {
        return Ok(respond(grant(simulator, request, &form, now())));
    };
    let app = form.get("client_id").unwrap_or_default();
    let answer_now = |simulator: &Simulator| grant(simulator, request, &form, portal.now());
    // The consent page and what says something of a token have it in their address, or are for
    // people: not logged, and without faults.
    if request.method != "POST" || request.segments.get(2) != Some(&"token") {
        return Ok(respond(answer_now(simulator)));
    }
    let (limits, is_token) = {
        let data = portal.data.read();
        (data.settings.limits, request.segments.len() == 3)
    };
    let bucket = if is_token {
        Bucket::Token
    } else {
        Bucket::Free
    };
    let caller = Caller {
        app,
        service_key: false,
    };
    let (at, counted) = {
        let mut windows = portal.windows.lock();
        let at = now();
        let counted = windows.count(limits.as_ref(), caller, portal.id, bucket, at, portal.now());
        (at, counted)
    };
    // In the log both have always been free.
    let mut entry = request.logged(Bucket::Free, app, 0, at);
    if let Err(refused) = counted {
        entry.status = refused.status;
        simulator.log(&portal, entry);
        return Ok(respond(refused));
    }
    let struck = strike(&mut portal.faults.lock(), &request.asked(), true);
    let Some(struck) = struck else {
        let answer = answer_now(simulator);
        entry.status = answer.status;
        simulator.log(&portal, entry);
        return Ok(respond(answer));
    };
    entry.fault = Some(struck.rule.clone());
    let reply = match struck.when {
        // A fault before the effect leaves the refresh token as it is.
        When::Before if struck.effect.is_delay() => {
            tokio::time::sleep(Duration::from_millis(struck.effect.wait())).await;
            Ok(respond(answer_now(simulator)))
        }
        When::Before => strike_down(&struck, portal.id, None).await,
        When::After => {
            let answer = answer_now(simulator);
            strike_down(&struck, portal.id, Some(answer)).await
        }
        When::LaterMs(ms) => {
            let (simulator, later) = (simulator.clone(), portal.clone());
            let (method, path) = (request.method.to_owned(), request.path.to_owned());
            let body = request.body.to_vec();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                let request = Request::new(&method, &path, "", &body);
                let form = Query::parse(std::str::from_utf8(&body).unwrap_or_default());
                grant(&simulator, &request, &form, later.now());
            });
            strike_down(&struck, portal.id, None).await
        }
    };
    entry.status = status_of(&reply);
    simulator.log(&portal, entry);
    reply
}

/// The answer of the OAuth endpoints.
fn grant(simulator: &Simulator, request: &Request<'_>, form: &Query, now: i64) -> Answer {
    let rules = |portal| simulator.rules(portal);
    let names = simulator.names();
    let mut tokens = simulator.tokens.lock();
    match (request.method, request.segments.as_slice()) {
        ("GET", ["oauth", "authorize"]) => tokens.authorize_page(&request.query, &names),
        ("POST", ["oauth", "authorize", "decision"]) => tokens.decide(form, rules, now),
        ("POST", ["oauth", _, "token"]) => tokens.token(form, rules, now).1,
        ("POST", ["oauth", _, "token", "introspect"]) => tokens.introspect(form, now),
        ("POST", ["oauth", _, "token", "revoke"]) => tokens.revoke(form).1,
        ("GET", ["oauth", "v1", "access-tokens", token]) => tokens.describe_access(token, now),
        ("GET", ["oauth", "v1", "refresh-tokens", token]) => tokens.describe_refresh(token),
        ("DELETE", ["oauth", "v1", "refresh-tokens", token]) => {
            tokens.forget(token);
            Answer::empty(204)
        }
        (
            _,
            ["oauth", "authorize"]
            | ["oauth", "authorize", "decision"]
            | ["oauth", _, "token"]
            | ["oauth", _, "token", "introspect" | "revoke"],
        ) => Answer::method_not_allowed(),
        _ => Answer::not_found(),
    }
}

/// Who asks.
fn caller(simulator: &Simulator, headers: &HeaderMap) -> Option<Access> {
    let token = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")?;
    simulator.tokens.lock().access.get(token).cloned()
}

/// The answer to a token that expired.
fn expired(access: &Access, now: i64) -> Option<Answer> {
    let expired = access.expires.filter(|at| *at <= now)?;
    let minutes = (now - expired) / 60_000;
    let mut body = error_body(
        "EXPIRED_AUTHENTICATION",
        &format!("The OAuth token used to make this call expired {minutes} minute(s) ago."),
    );
    body["context"] = json!({"expire time": [crate::answer::iso(expired)]});
    Some(Answer::json(401, &body))
}

/// Where a path leads.
enum Target<'a> {
    Objects(Kind, &'a [&'a str]),
    Associations(Version, Kind, Kind, &'a [&'a str]),
    RecordAssociations(Version, Kind, &'a str, &'a [&'a str]),
    Owners(&'a [&'a str]),
    Properties(Kind, &'a [&'a str]),
    PropertyRules(Kind, &'a [&'a str]),
    Pipelines(Kind, &'a [&'a str]),
    Lists(&'a [&'a str]),
    Account,
    /// The app takes itself away.
    Uninstall,
    Bare(Ask<'a>),
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
        ["appinstalls", _, "external-install"] => return Some(Ok(Target::Uninstall)),
        _ => return None,
    };
    if let Some(asked) = bare(area, rest) {
        return Some(Ok(Target::Bare(asked)));
    }
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
        ("property-validations", [name, rest @ ..]) => {
            kind(name).map(|k| Target::PropertyRules(k, rest))
        }
        ("pipelines", [name, rest @ ..]) => kind(name).map(|k| Target::Pipelines(k, rest)),
        ("lists", rest) => Ok(Target::Lists(rest)),
        _ => return None,
    })
}

/// What is asked of types of which there are no records.
fn bare<'a>(area: &str, rest: &'a [&'a str]) -> Option<Ask<'a>> {
    let of = |name: &str| Kind::parse(name).map_or_else(|| Bare::parse(name), |_| None);
    Some(match (area, rest) {
        ("objects", [name, _, "associations", to]) => {
            of(name).or_else(|| Kind::parse(name).and_then(|_| of(to)))?;
            Ask::OfRecord
        }
        ("objects", [name, rest @ ..]) => Ask::Objects(of(name)?, rest),
        ("associations", [from, to, rest @ ..]) => {
            of(from).or_else(|| of(to))?;
            Ask::Associations(End::parse(from)?, End::parse(to)?, rest)
        }
        ("properties", [name, rest @ ..]) => Ask::Properties(of(name)?, rest),
        ("pipelines", [name]) => {
            of(name)?;
            Ask::Pipelines
        }
        ("schemas", [name]) => Ask::Schema(of(name)?),
        _ => return None,
    })
}

impl Target<'_> {
    fn bucket(&self) -> Bucket {
        match self {
            Self::Objects(_, ["search"]) => Bucket::Search,
            Self::Associations(..) | Self::RecordAssociations(..) => Bucket::Associations,
            Self::Bare(asked) if asked.is_search() => Bucket::Search,
            Self::Bare(asked) if asked.is_about_associations() => Bucket::Associations,
            _ => Bucket::General,
        }
    }

    /// The methods that lead anywhere.
    fn methods(&self) -> &'static [&'static str] {
        const ANY: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];
        match self {
            Self::Objects(_, []) => &["GET", "POST"],
            Self::Objects(_, ["search" | "merge" | "gdpr-delete"] | ["batch", _])
            | Self::Associations(_, _, _, ["batch", ..]) => &["POST"],
            Self::Objects(_, [_]) => &["GET", "PATCH", "DELETE"],
            Self::Owners(_) | Self::Account | Self::PropertyRules(..) => &["GET"],
            Self::Lists(["search" | "all"]) => &["POST"],
            Self::Uninstall => &["DELETE"],
            _ => ANY,
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
            Self::PropertyRules(kind, _) => vec![
                format!("crm.schemas.{}.read", kind.scope()),
                objects(kind, "read"),
            ],
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
            // The simulator has no scopes of the types of which it has no records.
            Self::Account | Self::Uninstall | Self::Bare(_) => Vec::new(),
            Self::Legacy(legacy) => legacy.scopes(),
        }
    }
}

async fn api(simulator: &Simulator, request: &Request<'_>, headers: &HeaderMap) -> Reply {
    let Some(access) = caller(simulator, headers) else {
        return Ok(respond(Named::Unauthenticated.answer(0)));
    };
    let Some(portal) = simulator.portal(access.portal) else {
        return Ok(respond(Answer::not_found()));
    };
    // What leads nowhere is not counted by the limits, and stands in the log.
    let refuse = |answer: Answer| {
        let entry = request.logged(Bucket::Free, &access.app, answer.status, now());
        simulator.log(&portal, entry);
        Ok(respond(answer))
    };
    if let Some(answer) = expired(&access, portal.now()) {
        return refuse(answer);
    }
    let target = match target(request.method, &request.segments) {
        Some(Ok(target)) => target,
        Some(Err(answer)) => return refuse(answer),
        None => return refuse(Answer::not_found()),
    };
    if !target.methods().contains(&request.method) {
        return refuse(Answer::method_not_allowed());
    }
    let (limits, latency) = {
        let data = portal.data.read();
        (data.settings.limits, data.settings.latency_ms)
    };
    let bucket = target.bucket();
    let caller = Caller {
        app: &access.app,
        service_key: access.expires.is_none(),
    };
    let (at, counted) = {
        let mut windows = portal.windows.lock();
        // Under the lock: the order of times is the order of counting.
        let at = now();
        let counted = windows.count(limits.as_ref(), caller, portal.id, bucket, at, portal.now());
        (at, counted)
    };
    let mut entry = request.logged(bucket, &access.app, 0, at);
    let counted = match counted {
        Ok(counted) => counted,
        Err(refused) => {
            entry.status = refused.status;
            simulator.log(&portal, entry);
            return Ok(respond(refused));
        }
    };
    let date = httpdate(portal.now());
    let finish = |mut answer: Answer| {
        answer.headers.extend(counted.headers());
        answer.headers.push(("date", date.clone()));
        answer
    };
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let serve = |request: &Request<'_>| {
        if matches!(target, Target::Uninstall) {
            return uninstall(simulator, &access);
        }
        let answer = serve_target(&portal, &target, request, &access);
        let links = Api::of(&request.segments) == Api::V3
            && request.segments.first() == Some(&"crm")
            && portal.data.read().settings.rules.v3_paging_links;
        match host.filter(|_| links && request.method == "GET") {
            Some(host) => with_links(answer, host, request),
            None => answer,
        }
    };
    let struck = strike(&mut portal.faults.lock(), &request.asked(), false);
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    let Some(struck) = struck else {
        let answer = serve(request);
        entry.status = answer.status;
        entry.bytes = answer.body.len();
        simulator.log(&portal, entry);
        return Ok(respond(finish(answer)));
    };
    entry.fault = Some(struck.rule.clone());
    if let Some(rewrite) = struck.effect.rewrite() {
        let (query, body) = rewrite.request(&request.query, request.body);
        let changed = Request {
            query,
            body: &body,
            segments: request.segments.clone(),
            ..*request
        };
        let answer = serve(&changed);
        let answer = rewrite.answer(&request.asked(), answer);
        entry.status = answer.status;
        simulator.log(&portal, entry);
        return Ok(match rewrite.dribbles() {
            Some(ms) => respond_slowly(finish(answer), ms),
            None => respond(finish(answer)),
        });
    }
    match struck.when {
        When::Before if struck.effect.is_delay() => {
            tokio::time::sleep(Duration::from_millis(struck.effect.wait())).await;
            let answer = serve(request);
            entry.status = answer.status;
            simulator.log(&portal, entry);
            Ok(respond(finish(answer)))
        }
        When::Before => {
            // Whoever waits in vain is in the log before the wait is over.
            entry.status = struck.effect.status(portal.id);
            simulator.log(&portal, entry);
            strike_down(&struck, portal.id, None).await
        }
        When::After => {
            let answer = serve(request);
            entry.status = answer.status;
            simulator.log(&portal, entry);
            strike_down(&struck, portal.id, Some(finish(answer))).await
        }
        When::LaterMs(ms) => {
            apply_later(&portal, request, &access, ms);
            simulator.log(&portal, entry);
            match struck.effect.instead(portal.id) {
                Instead::Nothing => Err(Closed),
                _ => strike_down(&struck, portal.id, None).await,
            }
        }
    }
}

/// `DELETE /appinstalls/{version}/external-install`: the app of the token leaves the portal.
fn uninstall(simulator: &Simulator, access: &Access) -> Answer {
    if access.expires.is_none() {
        return Answer::error(
            403,
            "FORBIDDEN",
            "This call can only be made with an OAuth access token.",
        );
    }
    simulator
        .tokens
        .lock()
        .uninstall_app(access.portal, &access.app);
    Answer::empty(204)
}

/// The same with `link` beside each `after`, as lists of v3 have it; links lead back here.
fn with_links(answer: Answer, host: &str, request: &Request<'_>) -> Answer {
    let Body::Json(text) = &answer.body else {
        return answer;
    };
    if answer.status != 200 || !text.contains("\"paging\"") {
        return answer;
    }
    let Ok(mut body) = serde_json::from_str::<serde_json::Value>(text) else {
        return answer;
    };
    let link = |path: &str, query: &Query, after: &str| {
        let mut pairs: Vec<(&str, &str)> = query.pairs().filter(|(n, _)| *n != "after").collect();
        pairs.push(("after", after));
        let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
        format!("http://{host}{path}?{query}")
    };
    let add = |paging: &mut serde_json::Value, path: &str, query: &Query| {
        let next = &mut paging["next"];
        if let Some(after) = next["after"].as_str().map(str::to_owned) {
            next["link"] = json!(link(path, query, &after));
        }
    };
    if let Some(paging) = body.get_mut("paging") {
        add(paging, request.path, &request.query);
    }
    let single = body.get("associations").is_some();
    let records: Vec<&mut serde_json::Value> = if single {
        vec![&mut body]
    } else {
        body["results"]
            .as_array_mut()
            .into_iter()
            .flatten()
            .collect()
    };
    let list = request.segments.iter().take(4).copied().collect::<Vec<_>>();
    for record in records {
        let Some(id) = record["id"].as_str().map(str::to_owned) else {
            continue;
        };
        for (to, page) in record
            .get_mut("associations")
            .and_then(serde_json::Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            if let Some(paging) = page.get_mut("paging") {
                let path = format!("/{}/{id}/associations/{to}", list.join("/"));
                add(paging, &path, &Query::default());
            }
        }
    }
    Answer {
        body: Body::Json(body.to_string()),
        ..answer
    }
}

/// A time as the `Date` header has it.
fn httpdate(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .unwrap_or_default()
        .format("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

/// The write lands after the client has given up on it.
fn apply_later(portal: &Arc<Portal>, request: &Request<'_>, access: &Access, ms: u64) {
    let portal = portal.clone();
    let access = access.clone();
    let method = request.method.to_owned();
    let path = request.path.to_owned();
    let segments: Vec<String> = request.segments.iter().map(|s| (*s).to_owned()).collect();
    let query = request.query_text.to_owned();
    let body = request.body.to_vec();
    portal.late.fetch_add(1, Ordering::SeqCst);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let mut request = Request::new(&method, &path, &query, &body);
        request.segments = segments.iter().map(String::as_str).collect();
        if let Some(Ok(target)) = target(request.method, &request.segments) {
            serve_target(&portal, &target, &request, &access);
        }
        portal.late.fetch_sub(1, Ordering::SeqCst);
    });
}

fn serve_target(
    portal: &Portal,
    target: &Target<'_>,
    request: &Request<'_>,
    access: &Access,
) -> Answer {
    let mut scopes = target.scopes(request.method);
    if matches!(target, Target::Properties(Kind::Email, _) if request.method == "GET")
        && portal
            .data
            .read()
            .settings
            .rules
            .email_definitions_need_scope
    {
        scopes = vec!["connected-email-data-access".to_owned()];
    }
    if !scopes.is_empty() && !scopes.iter().any(|s| access.scopes.contains(s)) {
        return missing_scopes(&scopes, false);
    }
    let (method, query, body, at) = (request.method, &request.query, request.body, portal.now());
    if portal.data.read().is_due(at) {
        portal.data.write().tick(at);
    }
    // Pages are read by many at once; everything that may write has the data alone.
    let reads =
        method == "GET" || matches!(target, Target::Objects(_, ["search"] | ["batch", "read"]));
    if reads && let Target::Objects(kind, rest) = target {
        let data = portal.data.read();
        let answer = objects::read(&data, method, *kind, rest, query, body, at);
        let redacts = *kind == Kind::Email && !access.may("sales-email-read");
        return if redacts {
            emails::redact(answer, data.settings.rules.email_redaction)
        } else {
            answer
        };
    }
    if method == "GET"
        && let Target::RecordAssociations(version, kind, id, [to]) = target
    {
        return associations::of_record(&portal.data.read(), *version, *kind, id, to, query);
    }
    if let Target::Legacy(legacy) = target {
        return legacy.handle(&portal.data.read(), portal.id, query);
    }
    if let Target::Bare(asked) = target {
        return asked.handle(&portal.data.read(), method, body, at);
    }
    let mut data = portal.data.write();
    data.actor = Actor::App(app_id(&access.app));
    data.api = Api::of(&request.segments);
    match target {
        Target::Legacy(_) | Target::Bare(_) | Target::Uninstall => Answer::not_found(),
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
        Target::PropertyRules(kind, rest) => portal_rules::read(&data, *kind, rest),
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
        clock: AtomicI64::new(0),
        late: AtomicI64::new(0),
        hooks: Hooks::default(),
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
