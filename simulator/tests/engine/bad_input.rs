//! Whatever comes in, HubSpot's shape or a closed connection goes out, and the next is served.

use std::time::Duration;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{CONTACTS, Reply, Sim};

async fn raw(sim: &Sim, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(sim.address).await.unwrap();
    // The other side may close before everything is sent.
    drop(stream.write_all(bytes).await);
    drop(stream.shutdown().await);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    drop(
        tokio::time::timeout(Duration::from_secs(10), read)
            .await
            .unwrap(),
    );
    answer
}

fn assert_error(answer: &Reply, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["status"], "error", "{body}");
    assert!(
        body["message"].is_string() && body["correlationId"].is_string(),
        "{body}"
    );
}

#[tokio::test]
async fn bodies_that_are_no_json() {
    let sim = Sim::new(json!({"contacts": 1, "limits": "off"})).await;
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 6] = [
        b"{",
        b"{\"properties\": \xff\xfe}",
        b"null",
        b"[1,2]",
        deep.as_bytes(),
        b"\0\0\0",
    ];
    let list = sim.get(&format!("{CONTACTS}?limit=1")).await.json();
    let one = format!("{CONTACTS}/{}", list["results"][0]["id"].as_str().unwrap());
    for body in bodies {
        for (method, path) in [
            ("POST", CONTACTS.to_owned()),
            ("PATCH", one.clone()),
            ("POST", format!("{CONTACTS}/search")),
            ("POST", format!("{CONTACTS}/batch/create")),
            ("POST", format!("{CONTACTS}/batch/read")),
            (
                "POST",
                "/crm/associations/2026-09/contacts/companies/batch/read".to_owned(),
            ),
            ("POST", "/crm/lists/2026-09/search".to_owned()),
            ("POST", "/crm/properties/2026-09/contacts".to_owned()),
        ] {
            let request = sim
                .client
                .request(method.parse::<Method>().unwrap(), sim.url(&path))
                .bearer_auth(&sim.token)
                .header("content-type", "application/json")
                .body(body.to_vec());
            let answer = Sim::read(request).await.unwrap();
            assert!(answer.status.as_u16() < 500, "{path} {}", answer.text);
            if answer.status.as_u16() >= 400 {
                assert_error(&answer, 400);
            }
        }
    }
}

#[tokio::test]
async fn methods_addresses_and_sizes() {
    let sim = Sim::new(json!({"limits": "off"})).await;
    assert_error(&sim.call("PUT", CONTACTS, None).await, 405);
    assert_error(
        &sim.call("GET", &format!("{CONTACTS}/search"), None).await,
        405,
    );
    assert_error(&sim.call("DELETE", "/crm/owners/2026-09", None).await, 405);
    let long = format!("{CONTACTS}?properties={}", "x".repeat(17_000));
    assert_error(&sim.get(&long).await, 414);
    let large = vec![b' '; 33 * 1_024 * 1_024];
    let request = sim.client.post(sim.url(CONTACTS)).bearer_auth(&sim.token);
    // It is refused by its length; what is sent nevertheless may meet a closed connection.
    if let Ok(answer) = Sim::read(request.body(large)).await {
        assert_error(&answer, 413);
    }
    let head =
        format!("POST {CONTACTS} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
    let answer = String::from_utf8(raw(&sim, head.as_bytes()).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"correlationId\""), "{answer}");
    for path in [
        format!("{CONTACTS}/%ff%fe"),
        format!("{CONTACTS}/%"),
        format!("{CONTACTS}/99999999999999999999999"),
        format!("{CONTACTS}?limit=-1&after=%00"),
        "/crm/objects/2026-09/butterflies".to_owned(),
        "/crm/objects//////".to_owned(),
        "/nothing/here".to_owned(),
    ] {
        let answer = sim.get(&path).await;
        assert!(answer.status.as_u16() < 500, "{path} {}", answer.text);
    }
    // An address in a path is as good as one that is not encoded.
    sim.contact(json!({"email": "ada@example.com"})).await;
    let answer = sim
        .get(&format!("{CONTACTS}/ada%40example.com?idProperty=email"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_and_slow_ones() {
    // Both ends of each are in this process.
    assert!(rlimit::increase_nofile_limit(8_192).unwrap() >= 7_000);
    let sim = Sim::new(json!({"contacts": 3})).await;
    let mut idle = Vec::new();
    for n in 0..3_000 {
        let mut stream = TcpStream::connect(sim.address).await.unwrap();
        if n % 3 == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
        }
        idle.push(stream);
    }
    for _ in 0..20 {
        let request = sim.client.get(sim.url(CONTACTS)).bearer_auth(&sim.token);
        let answer = Sim::read(request.timeout(Duration::from_secs(5)))
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
    }
    // One of those who were slow goes on, and is served.
    let mut slow = idle.swap_remove(0);
    slow.write_all(b"st: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn whoever_never_ends_the_head_is_closed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = simulator::Options {
        header_timeout: Duration::from_millis(200),
    };
    tokio::spawn(simulator::serve_with(
        listener,
        simulator::Simulator::new(1),
        options,
    ));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .unwrap()
        .unwrap();
}

/// Bytes that are random, or a request that is nearly right.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let request = (
        prop_oneof![Just("GET"), Just("POST"), Just("PATCH"), Just("DELETE"), Just("BREW")],
        prop_oneof![
            Just("/crm/objects/2026-09/contacts".to_owned()),
            Just("/crm/objects/2026-09/contacts/search".to_owned()),
            Just("/crm/objects/2026-09/contacts/batch/upsert".to_owned()),
            Just("/oauth/2026-09/token".to_owned()),
            Just("/_simulator/portals".to_owned()),
            "/crm/[a-z0-9/%?&=.-]{0,60}",
        ],
        prop::collection::vec(any::<u8>(), 0..200),
    )
        .prop_map(|(method, path, body)| {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            [head.as_bytes(), &body].concat()
        });
    prop_oneof![prop::collection::vec(any::<u8>(), 0..400), request]
}

/// JSON of any shape under names that are known.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("hs_object_id")),
        Just(json!("email")),
        Just(json!("EQ")),
        Just(json!("BETWEEN")),
    ];
    let names = prop_oneof![
        Just("filterGroups"),
        Just("filters"),
        Just("propertyName"),
        Just("operator"),
        Just("value"),
        Just("highValue"),
        Just("values"),
        Just("sorts"),
        Just("after"),
        Just("limit"),
        Just("inputs"),
        Just("id"),
        Just("idProperty"),
        Just("properties"),
        Just("associations"),
        Just("to"),
        Just("from"),
        Just("types"),
        Just("query"),
        Just("associationTypeId"),
        Just("email"),
        Just("count"),
        Just("offset"),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6).prop_map(|map| {
                map.into_iter()
                    .map(|(k, v)| (k.to_owned(), v))
                    .collect::<Value>()
            }),
        ]
    })
}

fn cases() -> u32 {
    match std::env::var("SOAK").as_deref() {
        Ok("full") => 20_000,
        _ => 300,
    }
}

#[test]
fn random_bytes_never_end_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sim = runtime.block_on(Sim::new(json!({"contacts": 5, "limits": "off"})));
    let mut runner = TestRunner::new(Config {
        cases: cases(),
        failure_persistence: None,
        ..Config::default()
    });
    let token = sim.token.clone();
    runner
        .run(&bytes(), |bytes| {
            let text = String::from_utf8_lossy(&bytes).contains("TOKEN");
            let bytes = if text {
                let at = bytes.windows(5).position(|w| w == b"TOKEN").unwrap_or(0);
                [&bytes[..at], token.as_bytes(), &bytes[at + 5..]].concat()
            } else {
                bytes
            };
            let answer = runtime.block_on(raw(&sim, &bytes));
            prop_assert!(!answer.starts_with(b"HTTP/1.1 500"));
            let health = runtime.block_on(sim.control_at("GET", "health", Value::Null));
            prop_assert_eq!(health.status, 200);
            Ok(())
        })
        .unwrap();
}

#[test]
fn random_json_is_never_an_internal_error() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sim = runtime.block_on(Sim::new(
        json!({"contacts": 5, "companies": 2, "limits": "off"}),
    ));
    let paths = [
        format!("{CONTACTS}/search"),
        CONTACTS.to_owned(),
        format!("{CONTACTS}/batch/create"),
        format!("{CONTACTS}/batch/read"),
        format!("{CONTACTS}/batch/update"),
        format!("{CONTACTS}/batch/upsert"),
        format!("{CONTACTS}/batch/archive"),
        "/crm/associations/2026-09/contacts/companies/batch/read".to_owned(),
        "/crm/associations/2026-09/contacts/companies/batch/create".to_owned(),
        "/crm/lists/2026-09/search".to_owned(),
        "/crm/lists/2026-09/all".to_owned(),
        "/crm/properties/2026-09/contacts".to_owned(),
    ];
    let mut runner = TestRunner::new(Config {
        cases: cases(),
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(
            &(prop::sample::select(paths.to_vec()), values()),
            |(path, body)| {
                let answer = runtime.block_on(sim.post(&path, body));
                prop_assert!(answer.status.as_u16() < 500, "{} {}", path, answer.text);
                if answer.status.as_u16() >= 400 {
                    prop_assert_eq!(&answer.json()["status"], "error");
                }
                Ok(())
            },
        )
        .unwrap();
}
