//! Webhooks (`hubspot-api.md` §12).

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    HeaderMap, Request, Response, body::Bytes, body::Incoming, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{CONTACTS, Sim, until};

/// A request that came in.
#[derive(Debug, Clone)]
struct Got {
    headers: BTreeMap<String, String>,
    body: String,
}

impl Got {
    fn events(&self) -> Vec<Value> {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An app that listens, and answers the statuses it is told, then 204.
#[derive(Clone)]
struct App {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

fn texts(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

impl App {
    async fn new(statuses: &[u16], slow: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = Self {
            address: listener.local_addr().unwrap(),
            got: Arc::default(),
        };
        let statuses = Arc::new(Mutex::new(statuses.to_vec()));
        let got = app.got.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (got, statuses) = (got.clone(), statuses.clone());
                tokio::spawn(async move {
                    let service = service_fn(|request: Request<Incoming>| {
                        let (got, statuses) = (got.clone(), statuses.clone());
                        async move {
                            let headers = texts(request.headers());
                            let body = request.into_body().collect().await?.to_bytes();
                            let body = String::from_utf8(body.to_vec()).unwrap();
                            got.lock().push(Got { headers, body });
                            let status = {
                                let mut statuses = statuses.lock();
                                if statuses.is_empty() {
                                    204
                                } else {
                                    statuses.remove(0)
                                }
                            };
                            if status == 0 {
                                tokio::time::sleep(slow).await;
                            }
                            let status = if status == 0 { 200 } else { status };
                            Ok::<_, hyper::Error>(
                                Response::builder()
                                    .status(status)
                                    .body(Empty::<Bytes>::new())
                                    .unwrap(),
                            )
                        }
                    });
                    drop(
                        http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        app
    }

    fn url(&self) -> String {
        format!("http://{}/hooks%2Fhubspot?a=b", self.address)
    }

    fn requests(&self) -> Vec<Got> {
        self.got.lock().clone()
    }

    fn events(&self) -> Vec<Value> {
        self.requests().iter().flat_map(Got::events).collect()
    }

    async fn wait(&self, events: usize) -> Vec<Value> {
        until("events come", || async { self.events().len() >= events }).await;
        self.events()
    }
}

async fn subscribe(sim: &Sim, app: &App, mut more: Value) -> u64 {
    more["target_url"] = json!(app.url());
    let made = sim.control("POST", "webhooks", more).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()["id"].as_u64().unwrap()
}

async fn quiet() -> Sim {
    let sim = Sim::new(json!({"limits": "off", "auto_companies": false})).await;
    let changed = sim
        .control(
            "PATCH",
            "webhooks",
            json!({"delay_ms": 10, "retry_ms": [30]}),
        )
        .await;
    assert_eq!(changed.status, 204, "{}", changed.text);
    sim
}

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|e| e["subscriptionType"] == name)
        .collect()
}

#[tokio::test]
async fn events_are_signed_and_shaped() {
    let sim = quiet().await;
    let app = App::new(&[], Duration::ZERO).await;
    let id = subscribe(
        &sim,
        &app,
        json!({"public_url": "https://app.example.com/hooks%2Fhubspot?a=b"}),
    )
    .await;
    let contact = sim
        .contact(json!({"email": "ada@example.com", "city": "Oslo"}))
        .await;
    let change = json!({"properties": {"city": "Bergen"}});
    sim.call("PATCH", &format!("{CONTACTS}/{contact}"), Some(change))
        .await;
    sim.call("DELETE", &format!("{CONTACTS}/{contact}"), None)
        .await;
    until("the deletion is told", || async {
        !of(&app.events(), "contact.deletion").is_empty()
    })
    .await;
    let events = app.events();
    let created = of(&events, "contact.creation");
    assert_eq!(created.len(), 1);
    let created = created[0];
    assert_eq!(created["objectId"].to_string(), contact);
    assert_eq!(created["changeFlag"], "NEW");
    assert_eq!(created["portalId"], sim.portal);
    assert_eq!(created["attemptNumber"], 0);
    assert_eq!(created["changeSource"], "INTEGRATION");
    assert_eq!(created["sourceId"], created["appId"].to_string());
    assert!(created["subscriptionId"].as_u64() >= Some(id));
    assert!(created["occurredAt"].is_i64() || created["occurredAt"].is_u64());
    assert!(created.get("objectTypeId").is_none());
    let city: Vec<_> = of(&events, "contact.propertyChange")
        .into_iter()
        .filter(|e| e["propertyName"] == "city")
        .map(|e| e["propertyValue"].clone())
        .collect();
    assert_eq!(city, ["Oslo", "Bergen"]);

    let got = app.requests().remove(0);
    let timestamp = &got.headers["x-hubspot-request-timestamp"];
    let mut mac = Hmac::<Sha256>::new_from_slice(b"simulator-client-secret").unwrap();
    mac.update(b"POSThttps://app.example.com/hooks/hubspot?a=b");
    mac.update(got.body.as_bytes());
    mac.update(timestamp.as_bytes());
    assert_eq!(
        got.headers["x-hubspot-signature-v3"],
        BASE64_STANDARD.encode(mac.finalize().into_bytes())
    );
    let v1 = Sha256::digest(format!("simulator-client-secret{}", got.body));
    let v1: String = v1.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(got.headers["x-hubspot-signature"], v1);
    assert_eq!(got.headers["x-hubspot-signature-version"], "v1");
    assert_eq!(got.headers["content-type"], "application/json");
}

#[tokio::test]
async fn associations_are_told_from_both_sides_and_merges_and_erasing() {
    let sim = quiet().await;
    let app = App::new(&[], Duration::ZERO).await;
    subscribe(
        &sim,
        &app,
        json!({"events": ["*.associationChange", "*.merge", "*.deletion", "*.privacyDeletion"]}),
    )
    .await;
    let one = sim.contact(json!({"email": "ada@example.com"})).await;
    let two = sim.contact(json!({"email": "bob@example.com"})).await;
    let company = sim
        .post(
            "/crm/objects/2026-09/companies",
            json!({"properties": {"name": "X"}}),
        )
        .await;
    let company = company.json()["id"].as_str().unwrap().to_owned();
    let body = json!({"inputs": [{"from": {"id": one}, "to": {"id": company}, "types": [
        {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]}]});
    let path = "/crm/associations/2026-09/contacts/companies/batch/create";
    assert!(sim.post(path, body).await.status.is_success());
    let events = app.wait(4).await;
    let pairs: HashSet<(String, bool)> = events
        .iter()
        .map(|e| {
            assert_eq!(e["associationRemoved"], false);
            (
                e["associationType"].as_str().unwrap().to_owned(),
                e["isPrimaryAssociation"] == true,
            )
        })
        .collect();
    for kind in ["CONTACT_TO_COMPANY", "COMPANY_TO_CONTACT"] {
        assert!(pairs.contains(&(kind.to_owned(), true)), "{pairs:?}");
        assert!(pairs.contains(&(kind.to_owned(), false)), "{pairs:?}");
    }
    let merge = json!({"primaryObjectId": one, "objectIdToMerge": two});
    let merged = sim.post(&format!("{CONTACTS}/merge"), merge).await;
    assert!(merged.status.is_success(), "{}", merged.text);
    until("the merge is told", || async {
        !of(&app.events(), "contact.merge").is_empty()
    })
    .await;
    let events = app.events();
    let event = of(&events, "contact.merge")[0];
    assert_eq!(event["primaryObjectId"].to_string(), one);
    assert_eq!(event["mergedObjectIds"][0].to_string(), two);
    assert_eq!(
        event["newObjectId"].to_string(),
        merged.json()["id"].as_str().unwrap()
    );
    let erase = json!({"objectId": merged.json()["id"]});
    sim.post(&format!("{CONTACTS}/gdpr-delete"), erase).await;
    until("the erasing is told", || async {
        let events = app.events();
        !of(&events, "contact.privacyDeletion").is_empty()
            && !of(&events, "contact.deletion").is_empty()
    })
    .await;
}

#[tokio::test]
async fn failures_are_repeated_up_to_ten_times() {
    let sim = quiet().await;
    let app = App::new(&[500, 404, 302, 0], Duration::from_millis(400)).await;
    sim.control("PATCH", "webhooks", json!({"timeout_ms": 200}))
        .await;
    subscribe(&sim, &app, json!({"events": ["contact.creation"]})).await;
    sim.contact(json!({"email": "ada@example.com"})).await;
    until("it is taken", || async { app.requests().len() == 5 }).await;
    let attempts: Vec<_> = app
        .events()
        .iter()
        .map(|e| e["attemptNumber"].clone())
        .collect();
    assert_eq!(attempts, [0, 1, 2, 3, 4]);
    let all = || async {
        sim.control("GET", "webhooks/deliveries", Value::Null)
            .await
            .json()["deliveries"]
            .clone()
    };
    until("all is written down", || async {
        all().await.as_array().unwrap().len() == 5
    })
    .await;
    let statuses: Vec<_> = all()
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["status"].clone())
        .collect();
    assert_eq!(statuses, [500, 404, 302, 0, 204]);

    let never = App::new(&[503; 50], Duration::ZERO).await;
    subscribe(&sim, &never, json!({"events": ["contact.creation"]})).await;
    sim.contact(json!({"email": "bob@example.com"})).await;
    until("eleven attempts", || async { never.requests().len() == 11 }).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(never.requests().len(), 11);
}

#[tokio::test]
async fn batches_duplicates_and_order() {
    let sim = quiet().await;
    let app = App::new(&[], Duration::ZERO).await;
    let settings =
        json!({"delay_ms": 300, "duplicates": 0.5, "reorder": true, "sensitive": ["city"]});
    assert_eq!(sim.control("PATCH", "webhooks", settings).await.status, 204);
    subscribe(&sim, &app, json!({})).await;
    let inputs: Vec<_> = (0..100)
        .map(|n| json!({"properties": {"email": format!("c{n}@example.com"), "city": "x"}}))
        .collect();
    sim.post(
        &format!("{CONTACTS}/batch/create"),
        json!({"inputs": inputs}),
    )
    .await;
    let unique = |events: &[Value]| -> HashSet<(String, String)> {
        events
            .iter()
            .map(|e| {
                (
                    e["objectId"].to_string(),
                    format!("{}{}", e["subscriptionType"], e["propertyName"]),
                )
            })
            .collect()
    };
    until("all is told", || async {
        of(&app.events(), "contact.creation").len() >= 101
    })
    .await;
    until("every contact", || async {
        let events = app.events();
        let created = of(&events, "contact.creation");
        created
            .iter()
            .map(|e| e["objectId"].to_string())
            .collect::<HashSet<_>>()
            .len()
            == 100
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let events = app.events();
    assert!(app.requests().iter().all(|r| r.events().len() < 100));
    assert!(events.len() > unique(&events).len(), "some come twice");
    let ids: Vec<u64> = of(&events, "contact.creation")
        .iter()
        .map(|e| e["objectId"].as_u64().unwrap())
        .collect();
    assert!(!ids.is_sorted(), "not in their order");
    let city = events.iter().find(|e| e["propertyName"] == "city").unwrap();
    assert_eq!(
        (&city["propertyValue"], &city["isSensitive"]),
        (&json!("REDACTED"), &json!(true))
    );
}

#[tokio::test]
async fn generic_events_know_every_type() {
    let sim = quiet().await;
    let app = App::new(&[], Duration::ZERO).await;
    subscribe(
        &sim,
        &app,
        json!({"generic": true, "events": ["object.creation"], "object_type_ids": ["0-46"]}),
    )
    .await;
    sim.contact(json!({"email": "ada@example.com"})).await;
    let note = json!({"properties": {"hs_timestamp": "2026-01-01T00:00:00Z", "hs_note_body": "x"}});
    let made = sim.post("/crm/objects/2026-09/notes", note).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let events = app.wait(1).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["subscriptionType"], "object.creation");
    assert_eq!(events[0]["objectTypeId"], "0-46");
}

#[tokio::test]
async fn a_subscription_ends_and_wrong_ones_never_begin() {
    let sim = quiet().await;
    let app = App::new(&[], Duration::ZERO).await;
    let id = subscribe(&sim, &app, json!({"events": ["contact.creation"]})).await;
    sim.contact(json!({"email": "ada@example.com"})).await;
    app.wait(1).await;
    sim.control("DELETE", &format!("webhooks/{id}"), Value::Null)
        .await;
    sim.contact(json!({"email": "bob@example.com"})).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(app.events().len(), 1);
    for bad in [
        json!({"target_url": "http://example.com/"}),
        json!({"target_url": app.url(), "events": ["contact.explosion"]}),
        json!({"target_url": app.url(), "colour": "red"}),
    ] {
        let answer = sim.control("POST", "webhooks", bad).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    let answer = sim
        .control("PATCH", "webhooks", json!({"batch": 100}))
        .await;
    assert_eq!(answer.status, 400);
    let answer = sim
        .control("PATCH", "webhooks", json!({"colour": "red"}))
        .await;
    assert!(answer.text.contains("retry_ms"), "{}", answer.text);
}
