//! Webhooks as HubSpot sends them (`hubspot-api.md` §12): signed, in batches, repeated until they
//! are taken, in any order, and sometimes twice. Only to loopback.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Uri, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::{
    associations::is_primary,
    events::Event,
    model::{Actor, Kind},
    oauth::Tokens,
    rng::Rng,
    server::{Portal, app_id, now},
};

/// Events in one request: fewer than a hundred.
const MOST: usize = 99;
/// Requests that are under way at once.
const AT_ONCE: usize = 10;
/// Deliveries that are remembered.
const REMEMBERED: usize = 10_000;
/// What events there are.
const ACTIONS: [&str; 7] = [
    "creation",
    "propertyChange",
    "deletion",
    "restore",
    "privacyDeletion",
    "merge",
    "associationChange",
];
/// What has events of its own name.
const CLASSIC: [Kind; 4] = [Kind::Contact, Kind::Company, Kind::Deal, Kind::Ticket];

/// Who is told, of what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscription {
    /// Given if missing.
    #[serde(default)]
    pub(crate) id: u64,
    /// Where requests go: `http` on loopback.
    target_url: String,
    /// What is signed, if the app is known by another address.
    #[serde(default)]
    public_url: Option<String>,
    /// The app; its secret signs.
    #[serde(default = "first_app")]
    client_id: String,
    /// `contact.creation`, `deal.*`, `*.propertyChange`, `*`; `object.…` if generic.
    #[serde(default = "everything")]
    events: Vec<String>,
    /// Of `propertyChange` only these; all if empty.
    #[serde(default)]
    properties: Vec<String>,
    /// `object.*` events with `objectTypeId`, of every type.
    #[serde(default)]
    generic: bool,
    /// Type ids that generic events are about; all if empty.
    #[serde(default)]
    object_type_ids: Vec<String>,
}

fn first_app() -> String {
    "simulator-client-id".to_owned()
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

impl Subscription {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, and what there is.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        const FIELDS: &str =
            "id, target_url, public_url, client_id, events, properties, generic, object_type_ids";
        let new: Self = serde_json::from_slice(body)
            .map_err(|e| format!("{e}; a subscription has {FIELDS}"))?;
        let uri: Uri = new
            .target_url
            .parse()
            .map_err(|_| "target_url is not an address".to_owned())?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let loopback = host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback());
        if uri.scheme_str() != Some("http") || !loopback {
            return Err("target_url has to be http on loopback".to_owned());
        }
        let mut known: Vec<String> = Vec::new();
        let subjects: Vec<&str> = if new.generic {
            vec!["object"]
        } else {
            CLASSIC.iter().map(|k| k.singular()).collect()
        };
        for subject in subjects {
            known.extend(ACTIONS.iter().map(|action| format!("{subject}.{action}")));
        }
        for pattern in &new.events {
            if !known.iter().any(|name| fits(pattern, name)) {
                return Err(format!(
                    "no such event: {pattern}; there are {}, and * for anything",
                    known.join(", ")
                ));
            }
        }
        Ok(new)
    }

    fn wants(&self, name: &str) -> bool {
        self.events.iter().any(|pattern| fits(pattern, name))
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let (Some((a, b)), Some((c, d))) = (pattern.split_once('.'), name.split_once('.')) else {
        return false;
    };
    (a == "*" || a == c) && (b == "*" || b == d)
}

/// Which of the two older signatures stands in `X-HubSpot-Signature`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OldSignature {
    V1,
    V2,
}

/// How events are delivered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Delivery {
    /// How long events are gathered, in milliseconds.
    delay_ms: u64,
    /// Events in a request.
    batch: usize,
    /// How long an answer may take, in milliseconds.
    timeout_ms: u64,
    /// Times after a first attempt.
    retries: u32,
    /// Milliseconds before each of them; the last one goes on.
    retry_ms: Vec<u64>,
    /// Which part of the events comes twice, from 0 to 1.
    duplicates: f64,
    /// Events and requests come in any order.
    reorder: bool,
    /// Of duplicates and order.
    seed: u64,
    /// Properties whose values are not told.
    sensitive: Vec<String>,
    old_signature: OldSignature,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            delay_ms: 50,
            batch: MOST,
            timeout_ms: 5_000,
            retries: 10,
            // All ten within a day.
            retry_ms: vec![60_000, 300_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000],
            duplicates: 0.0,
            reorder: false,
            seed: 1,
            sensitive: Vec::new(),
            old_signature: OldSignature::V1,
        }
    }
}

/// An attempt to deliver.
#[derive(Debug, Clone, Serialize)]
struct Attempt {
    at_ms: i64,
    subscription: u64,
    attempt: u32,
    events: usize,
    /// 0: no answer.
    status: u16,
}

/// The webhooks of a portal.
#[derive(Debug, Default)]
pub(crate) struct Hooks(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    subscriptions: Vec<Subscription>,
    delivery: Delivery,
    attempts: VecDeque<Attempt>,
    made: u64,
    running: bool,
}

impl Hooks {
    /// All there is to know.
    pub(crate) fn describe(&self) -> Value {
        let inner = self.0.lock();
        json!({"subscriptions": inner.subscriptions, "delivery": inner.delivery})
    }

    /// Attempts, the oldest first.
    pub(crate) fn attempts(&self) -> Value {
        json!({"deliveries": self.0.lock().attempts})
    }

    /// Changes how events are delivered; what is not named stays.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn change(&self, body: &[u8]) -> Result<(), String> {
        let changes: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        let changes = changes.as_object().ok_or("the body has to be an object")?;
        let mut inner = self.0.lock();
        let mut all = serde_json::to_value(&inner.delivery).map_err(|e| e.to_string())?;
        for (name, value) in changes {
            all[name.as_str()] = value.clone();
        }
        let new: Delivery = serde_json::from_value(all).map_err(|e| e.to_string())?;
        if !(1..=MOST).contains(&new.batch) {
            return Err(format!("batch is a number from 1 to {MOST}"));
        }
        if !(0.0..=1.0).contains(&new.duplicates) || new.retry_ms.is_empty() {
            return Err(
                "duplicates is a number from 0 to 1, retry_ms a list of milliseconds".to_owned(),
            );
        }
        inner.delivery = new;
        Ok(())
    }

    /// Ends a subscription, or all of them.
    pub(crate) fn end(&self, id: Option<u64>) {
        self.0
            .lock()
            .subscriptions
            .retain(|s| id.is_some_and(|id| s.id != id));
    }

    fn remember(&self, attempt: Attempt) {
        let mut inner = self.0.lock();
        if inner.attempts.len() == REMEMBERED {
            inner.attempts.pop_front();
        }
        inner.attempts.push_back(attempt);
    }

    fn is_subscribed(&self, id: u64) -> bool {
        self.0.lock().subscriptions.iter().any(|s| s.id == id)
    }
}

/// Begins a subscription; from now on the portal listens to its records.
pub(crate) fn subscribe(
    portal: &Arc<Portal>,
    tokens: &Arc<Mutex<Tokens>>,
    mut new: Subscription,
) -> Value {
    let mut inner = portal.hooks.0.lock();
    if new.id == 0 {
        inner.made += 1;
        new.id = inner.made * 1_000;
    }
    let id = new.id;
    inner.subscriptions.push(new);
    let start = !std::mem::replace(&mut inner.running, true);
    drop(inner);
    portal.data.write().listening = true;
    if start {
        tokio::spawn(run(Arc::downgrade(portal), tokens.clone()));
    }
    json!({"id": id})
}

/// Gathers events and sends them, as long as somebody wants them.
async fn run(portal: Weak<Portal>, tokens: Arc<Mutex<Tokens>>) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let mut rng: Option<Rng> = None;
    loop {
        let Some(delay) = portal.upgrade().map(|p| p.hooks.0.lock().delivery.delay_ms) else {
            return;
        };
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let Some(portal) = portal.upgrade() else {
            return;
        };
        let (subscriptions, delivery) = {
            let mut inner = portal.hooks.0.lock();
            if inner.subscriptions.is_empty() {
                inner.running = false;
                let mut data = portal.data.write();
                data.listening = false;
                data.events.clear();
                return;
            }
            (inner.subscriptions.clone(), inner.delivery.clone())
        };
        let now = portal.now();
        let idle = {
            let data = portal.data.read();
            data.events.is_empty() && !data.is_due(now)
        };
        if idle {
            continue;
        }
        let events = {
            let mut data = portal.data.write();
            data.tick(now);
            std::mem::take(&mut data.events)
        };
        let rng = rng.get_or_insert_with(|| Rng::new(delivery.seed));
        for subscription in subscriptions {
            let bodies = events
                .iter()
                .filter_map(|(actor, event)| {
                    payload(&subscription, &delivery, portal.id, *actor, event, rng)
                })
                .collect();
            for batch in batches(bodies, &delivery, rng) {
                let sending = Sending {
                    portal: Arc::downgrade(&portal),
                    tokens: tokens.clone(),
                    client: client.clone(),
                    at_once: at_once.clone(),
                    subscription: subscription.clone(),
                    delivery: delivery.clone(),
                };
                tokio::spawn(sending.send(batch));
            }
        }
    }
}

/// Requests out of events, with duplicates and in another order if that is asked for.
fn batches(mut events: Vec<Value>, delivery: &Delivery, rng: &mut Rng) -> Vec<Vec<Value>> {
    let chance = |rng: &mut Rng| (rng.next() >> 11) as f64 / (1_u64 << 53) as f64;
    let twice: Vec<Value> = events
        .iter()
        .filter(|_| chance(rng) < delivery.duplicates)
        .cloned()
        .collect();
    events.extend(twice);
    if delivery.reorder {
        for place in (1..events.len()).rev() {
            events.swap(place, rng.below(place as u64 + 1) as usize);
        }
    }
    events
        .chunks(delivery.batch)
        .map(<[Value]>::to_vec)
        .collect()
}

/// An event as it is sent; `None` if the subscription does not want it.
fn payload(
    subscription: &Subscription,
    delivery: &Delivery,
    portal: u64,
    actor: Actor,
    event: &Event,
    rng: &mut Rng,
) -> Option<Value> {
    let (kind, at, action, mut body) = match event {
        Event::Created { kind, id, at } => (
            *kind,
            *at,
            "creation",
            json!({"objectId": id, "changeFlag": "NEW"}),
        ),
        Event::Changed {
            kind,
            id,
            name,
            value,
            at,
        } => {
            let listed = &subscription.properties;
            if !listed.is_empty() && !listed.contains(name) {
                return None;
            }
            let sensitive = delivery.sensitive.contains(name);
            let value = if sensitive { "REDACTED" } else { value };
            (
                *kind,
                *at,
                "propertyChange",
                json!({"objectId": id, "propertyName": name, "propertyValue": value, "isSensitive": sensitive}),
            )
        }
        Event::Archived { kind, id, at } => (*kind, *at, "deletion", json!({"objectId": id})),
        Event::Restored { kind, id, at } => (*kind, *at, "restore", json!({"objectId": id})),
        Event::Erased { kind, id, at } => (*kind, *at, "privacyDeletion", json!({"objectId": id})),
        Event::Merged {
            kind,
            primary,
            merged,
            new,
            moved,
            at,
        } => (
            *kind,
            *at,
            "merge",
            json!({
                "objectId": new, "primaryObjectId": primary, "mergedObjectIds": [merged],
                "newObjectId": new, "numberOfPropertiesMoved": moved,
            }),
        ),
        Event::Associated {
            from,
            to,
            type_id,
            removed,
            at,
        } => {
            let name = |kind: Kind| kind.singular().to_uppercase();
            let mut body = json!({
                "associationType": format!("{}_TO_{}", name(from.0), name(to.0)),
                "associationTypeId": type_id, "fromObjectId": from.1, "toObjectId": to.1,
                "associationRemoved": removed, "isPrimaryAssociation": is_primary(*type_id),
            });
            if subscription.generic {
                body["fromObjectTypeId"] = json!(from.0.type_id());
                body["toObjectTypeId"] = json!(to.0.type_id());
            }
            (from.0, *at, "associationChange", body)
        }
    };
    let name = if subscription.generic {
        let wanted = &subscription.object_type_ids;
        if !wanted.is_empty() && !wanted.iter().any(|id| id == kind.type_id()) {
            return None;
        }
        body["objectTypeId"] = json!(kind.type_id());
        format!("object.{action}")
    } else if CLASSIC.contains(&kind) {
        format!("{}.{action}", kind.singular())
    } else {
        return None;
    };
    if !subscription.wants(&name) {
        return None;
    }
    let place = ACTIONS.iter().position(|a| *a == action).unwrap_or(0);
    let (source, source_id) = match actor {
        Actor::App(id) => ("INTEGRATION", id.to_string()),
        Actor::HubSpot => ("CRM_UI", "userId:1".to_owned()),
    };
    // Said not to be unique, and it is not.
    body["eventId"] = json!(rng.below(4_000_000_000));
    body["subscriptionId"] = json!(subscription.id + place as u64);
    body["portalId"] = json!(portal);
    body["appId"] = json!(app_id(&subscription.client_id));
    body["occurredAt"] = json!(at);
    body["subscriptionType"] = json!(name);
    body["attemptNumber"] = json!(0);
    body["changeSource"] = json!(source);
    body["sourceId"] = json!(source_id);
    Some(body)
}

/// One request, until it is taken.
struct Sending {
    portal: Weak<Portal>,
    tokens: Arc<Mutex<Tokens>>,
    client: Client<HttpConnector, Full<Bytes>>,
    at_once: Arc<Semaphore>,
    subscription: Subscription,
    delivery: Delivery,
}

impl Sending {
    async fn send(self, mut events: Vec<Value>) {
        for attempt in 0..=self.delivery.retries {
            if attempt > 0 {
                let spacing = &self.delivery.retry_ms;
                let place = (attempt as usize - 1).min(spacing.len().saturating_sub(1));
                let ms = spacing.get(place).copied().unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            for event in &mut events {
                event["attemptNumber"] = json!(attempt);
            }
            let Some(portal) = self.portal.upgrade() else {
                return;
            };
            if !portal.hooks.is_subscribed(self.subscription.id) {
                return;
            }
            let at_ms = now();
            let Ok(_place) = self.at_once.acquire().await else {
                return;
            };
            let status = self.attempt(&events).await.unwrap_or(0);
            portal.hooks.remember(Attempt {
                at_ms,
                subscription: self.subscription.id,
                attempt,
                events: events.len(),
                status,
            });
            if (200..300).contains(&status) {
                return;
            }
        }
    }

    /// The status of the answer, if there was one in time.
    async fn attempt(&self, events: &[Value]) -> Option<u16> {
        let body = Value::from(events.to_vec()).to_string();
        let secret = {
            let tokens = self.tokens.lock();
            tokens
                .apps
                .get(&self.subscription.client_id)?
                .secret
                .clone()
        };
        let target = &self.subscription.target_url;
        let known_as = self.subscription.public_url.as_ref().unwrap_or(target);
        let timestamp = now().to_string();
        let (version, old) = match self.delivery.old_signature {
            OldSignature::V1 => ("v1", hex(&[&secret, &body])),
            OldSignature::V2 => ("v2", hex(&[&secret, "POST", known_as, &body])),
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri(target)
            .header("content-type", "application/json")
            .header(
                "user-agent",
                "HubSpot Connect 2.0 (http://dev.hubspot.com/) - WebHooks",
            )
            .header("x-hubspot-signature-version", version)
            .header("x-hubspot-signature", old)
            .header("x-hubspot-request-timestamp", &timestamp)
            .header(
                "x-hubspot-signature-v3",
                signature(&secret, "POST", known_as, &body, &timestamp),
            )
            .body(Full::new(Bytes::from(body)))
            .ok()?;
        let answer = async {
            let answer = self.client.request(request).await.ok()?;
            let status = answer.status().as_u16();
            // Read to its end, so that the connection can be used again.
            answer.into_body().collect().await.ok()?;
            Some(status)
        };
        tokio::time::timeout(Duration::from_millis(self.delivery.timeout_ms), answer)
            .await
            .ok()
            .flatten()
    }
}

fn hex(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// What is decoded in an address before it is signed.
const DECODED: [(&str, &str); 12] = [
    ("%3A", ":"),
    ("%2F", "/"),
    ("%3F", "?"),
    ("%40", "@"),
    ("%21", "!"),
    ("%24", "$"),
    ("%27", "'"),
    ("%28", "("),
    ("%29", ")"),
    ("%2A", "*"),
    ("%2C", ","),
    ("%3B", ";"),
];

/// `X-HubSpot-Signature-v3`
fn signature(secret: &str, method: &str, uri: &str, body: &str, timestamp: &str) -> String {
    let mut uri = uri.to_owned();
    for (encoded, plain) in DECODED {
        uri = uri.replace(encoded, plain);
        uri = uri.replace(&encoded.to_lowercase(), plain);
    }
    // A key may have any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    for part in [method, &uri, body, timestamp] {
        mac.update(part.as_bytes());
    }
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_told() {
        for (url, good) in [
            ("http://127.0.0.1:1/x", true),
            ("http://localhost/x", true),
            ("http://[::1]:80/", true),
            ("http://127.9.9.9/", true),
            ("https://127.0.0.1/", false),
            ("http://10.0.0.1/", false),
            ("http://localhost.example.com/", false),
            ("http://127.0.0.1.example.com/", false),
            ("nothing", false),
        ] {
            let body = json!({"target_url": url}).to_string();
            assert_eq!(Subscription::parse(body.as_bytes()).is_ok(), good, "{url}");
        }
    }

    #[test]
    fn events_are_chosen_by_patterns() {
        for (pattern, name, expected) in [
            ("*", "contact.creation", true),
            ("contact.*", "contact.creation", true),
            ("*.merge", "deal.merge", true),
            ("deal.merge", "deal.creation", false),
            ("deal", "deal.creation", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        let body = json!({"target_url": "http://127.0.0.1/", "events": ["lead.creation"]});
        let error = Subscription::parse(body.to_string().as_bytes()).unwrap_err();
        assert!(error.contains("contact.propertyChange"), "{error}");
    }

    #[test]
    fn the_signature_is_over_the_decoded_address() {
        let sign = |uri| signature("secret", "POST", uri, "[]", "1");
        assert_eq!(sign("https://a/b%40c%2Fd"), sign("https://a/b@c/d"));
        assert_ne!(sign("https://a/b%20c"), sign("https://a/b c"));
    }
}
