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

/// Bodies that are nearly right: known fields, ids that exist and odd values.
fn shaped(ids: Vec<String>) -> impl Strategy<Value = Value> {
    let id = prop_oneof![
        4 => prop::sample::select(ids),
        1 => "[0-9]{1,25}",
        1 => ".{0,8}",
    ]
    .boxed();
    let name = prop::sample::select(vec![
        "email",
        "firstname",
        "lifecyclestage",
        "hubspot_owner_id",
        "hs_additional_emails",
        "createdate",
        "domain",
        "name",
        "hs_timestamp",
        "hs_note_body",
        "numberofemployees",
        "hs_object_id",
        "no_such",
        "amount",
        "dealstage",
        "closedate",
        "hs_email_headers",
    ])
    .boxed();
    let text = prop_oneof![
        ".{0,20}",
        "[;a-z@.]{0,20}",
        Just("99999999999999999999".to_owned()),
        Just("-9223372036854775808".to_owned()),
        Just("2026-13-45".to_owned()),
        Just("+262000-01-01T00:00:00Z".to_owned()),
        Just("lead".to_owned()),
        Just("ada@example.com".to_owned()),
    ]
    .boxed();
    let properties = prop::collection::btree_map(name.clone(), text.clone(), 0..4).boxed();
    let association = (id.clone(), any::<u32>()).prop_map(|(id, kind)| {
        json!({"to": {"id": id}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind % 300}]})
    });
    let input = (
        id.clone(),
        properties.clone(),
        prop::option::of(name.clone()),
        prop::option::of(text.clone()),
        prop::collection::vec(association, 0..2),
    )
        .prop_map(|(id, properties, id_property, trace, associations)| {
            json!({"id": id, "idProperty": id_property, "properties": properties,
                "objectWriteTraceId": trace, "associations": associations})
        });
    let link = (id.clone(), id.clone(), any::<u16>()).prop_map(|(from, to, kind)| {
        json!({"from": {"id": from}, "to": {"id": to}, "id": from, "after": to,
            "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind % 300}]})
    });
    let operator = prop::sample::select(vec![
        "EQ",
        "NEQ",
        "LT",
        "LTE",
        "GT",
        "GTE",
        "BETWEEN",
        "IN",
        "NOT_IN",
        "HAS_PROPERTY",
        "NOT_HAS_PROPERTY",
        "CONTAINS_TOKEN",
        "NOT_CONTAINS_TOKEN",
    ]);
    let filter = (name.clone(), operator, text.clone(), text.clone()).prop_map(|(name, operator, value, high)| {
        json!({"propertyName": name, "operator": operator, "value": value, "highValue": high, "values": [high]})
    });
    prop_oneof![
        (properties, id.clone()).prop_map(|(p, id)| json!({"properties": p, "id": id})),
        prop::collection::vec(input, 0..4).prop_map(|inputs| json!({"inputs": inputs})),
        prop::collection::vec(link, 0..4).prop_map(|inputs| json!({"inputs": inputs})),
        (prop::collection::vec(filter, 0..4), name.clone(), any::<u16>()).prop_map(|(filters, sort, after)| {
            json!({"filterGroups": [{"filters": filters}], "sorts": [{"propertyName": sort}], "after": after.to_string()})
        }),
        (id.clone(), id.clone()).prop_map(|(a, b)| json!({"primaryObjectId": a, "objectIdToMerge": b, "objectId": b})),
        (text.clone(), text, name).prop_map(|(a, b, name)| {
            json!({"name": name, "label": a, "type": "string", "fieldType": "text", "groupName": "contactinformation",
                "objectTypeId": "0-1", "processingType": "MANUAL", "query": b, "hasUniqueValue": true})
        }),
        prop::collection::vec(id, 0..4).prop_map(Value::from),
    ]
}

#[test]
fn random_json_is_never_an_internal_error() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sim = runtime.block_on(Sim::new(
        json!({"contacts": 8, "companies": 3, "deals": 2, "lists": 4, "limits": "off"}),
    ));
    let mut ids: Vec<String> = Vec::new();
    for kind in ["contacts", "companies", "deals"] {
        let page = runtime
            .block_on(sim.get(&format!("/crm/objects/2026-09/{kind}")))
            .json();
        let results = page["results"].as_array().unwrap();
        ids.extend(results.iter().map(|r| r["id"].as_str().unwrap().to_owned()));
    }
    let mut paths: Vec<(&str, String)> = Vec::new();
    for kind in ["contacts", "companies", "deals", "notes", "emails"] {
        let base = format!("/crm/objects/2026-09/{kind}");
        for end in [
            "",
            "/search",
            "/merge",
            "/gdpr-delete",
            "/batch/create",
            "/batch/read",
            "/batch/update",
            "/batch/upsert",
            "/batch/archive",
        ] {
            paths.push(("POST", format!("{base}{end}")));
        }
        paths.push(("POST", format!("/crm/properties/2026-09/{kind}")));
        paths.push(("PATCH", format!("{base}/{}", ids[0])));
        paths.push((
            "GET",
            format!("{base}/{}?properties=email&associations=companies", ids[1]),
        ));
        paths.push((
            "GET",
            format!(
                "{base}?limit=100&after={}&propertiesWithHistory=email",
                ids[1]
            ),
        ));
    }
    for end in [
        "read",
        "create",
        "archive",
        "associate/default",
        "labels/archive",
    ] {
        paths.push((
            "POST",
            format!("/crm/associations/2026-09/contacts/companies/batch/{end}"),
        ));
    }
    paths.push((
        "PUT",
        format!(
            "/crm/v4/objects/contacts/{}/associations/companies/{}",
            ids[0], ids[8]
        ),
    ));
    paths.push((
        "POST",
        "/crm/associations/2026-09/contacts/companies/labels".to_owned(),
    ));
    for end in ["", "/search", "/all"] {
        paths.push(("POST", format!("/crm/lists/2026-09{end}")));
    }
    for end in ["add", "remove", "add-and-remove"] {
        paths.push(("PUT", format!("/crm/lists/2026-09/10/memberships/{end}")));
    }
    let mut runner = TestRunner::new(Config {
        cases: 3 * cases(),
        failure_persistence: None,
        ..Config::default()
    });
    let bodies = prop_oneof![3 => shaped(ids).boxed(), 1 => values().boxed()];
    runner
        .run(
            &(prop::sample::select(paths), bodies),
            |((method, path), body)| {
                let answer = runtime.block_on(sim.call(method, &path, Some(body)));
                prop_assert!(answer.status.as_u16() < 500, "{} {}", path, answer.text);
                if answer.status.as_u16() >= 400 {
                    prop_assert_eq!(&answer.json()["status"], "error");
                }
                Ok(())
            },
        )
        .unwrap();
}
