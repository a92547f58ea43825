//! Search (`hubspot-api.md` §6).

use std::collections::BTreeSet;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::{CONTACTS, Sim, until};

fn filter(property: &str, operator: &str, value: Value) -> Value {
    json!({"propertyName": property, "operator": operator, "value": value})
}

fn only(filters: Value) -> Value {
    json!({"filterGroups": [{"filters": filters}]})
}

/// The e-mails that a search finds, without their domain.
async fn found(sim: &Sim, body: Value) -> Vec<String> {
    let mut body = body;
    body["properties"] = json!(["email"]);
    body["limit"] = json!(100);
    let answer = sim.search(body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(answer["total"], results.len());
    results
        .iter()
        .map(|r| r["properties"]["email"].as_str().unwrap_or_default())
        .map(|email| email.split('@').next().unwrap_or_default().to_owned())
        .collect()
}

async fn off() -> Sim {
    Sim::new(json!({"limits": "off"})).await
}

#[tokio::test]
async fn every_operator() {
    let sim = off().await;
    for (name, city, stage) in [
        ("ada", "Zürich", "lead"),
        ("bob", "New York", "customer"),
        ("cid", "", "lead"),
    ] {
        let mut properties =
            json!({"email": format!("{name}@example.com"), "lifecyclestage": stage});
        if !city.is_empty() {
            properties["city"] = json!(city);
        }
        sim.contact(properties).await;
    }
    let all = found(&sim, json!({})).await;
    assert_eq!(all, ["ada", "bob", "cid"], "the oldest first");
    for (filters, expected) in [
        // Strings: without regard to case.
        (json!([filter("city", "EQ", json!("ZÜRICH"))]), vec!["ada"]),
        (
            json!([filter("city", "NEQ", json!("zürich"))]),
            vec!["bob", "cid"],
        ),
        (json!([filter("city", "LT", json!("o"))]), vec!["bob"]),
        (
            json!([filter("city", "LTE", json!("new york"))]),
            vec!["bob"],
        ),
        (
            json!([filter("city", "GT", json!("new york"))]),
            vec!["ada"],
        ),
        (
            json!([filter("city", "GTE", json!("new york"))]),
            vec!["ada", "bob"],
        ),
        (
            json!([{"propertyName": "city", "operator": "BETWEEN", "value": "a", "highValue": "o"}]),
            vec!["bob"],
        ),
        // IN and NOT_IN want lower case.
        (
            json!([{"propertyName": "city", "operator": "IN", "values": ["new york"]}]),
            vec!["bob"],
        ),
        (
            json!([{"propertyName": "city", "operator": "IN", "values": ["New York"]}]),
            vec![],
        ),
        (
            json!([{"propertyName": "city", "operator": "NOT_IN", "values": ["new york"]}]),
            vec!["ada", "cid"],
        ),
        (
            json!([{"propertyName": "city", "operator": "NOT_IN", "values": ["New York"]}]),
            vec!["ada", "bob", "cid"],
        ),
        (
            json!([{"propertyName": "city", "operator": "HAS_PROPERTY"}]),
            vec!["ada", "bob"],
        ),
        (
            json!([{"propertyName": "city", "operator": "NOT_HAS_PROPERTY"}]),
            vec!["cid"],
        ),
        (
            json!([filter("city", "CONTAINS_TOKEN", json!("york"))]),
            vec!["bob"],
        ),
        (
            json!([filter("city", "CONTAINS_TOKEN", json!("yor"))]),
            vec![],
        ),
        (
            json!([filter("city", "CONTAINS_TOKEN", json!("yor*"))]),
            vec!["bob"],
        ),
        (
            json!([filter("email", "CONTAINS_TOKEN", json!("*@example.com"))]),
            vec!["ada", "bob", "cid"],
        ),
        (
            json!([filter("city", "NOT_CONTAINS_TOKEN", json!("york"))]),
            vec!["ada", "cid"],
        ),
        // Enumerations: case matters.
        (
            json!([filter("lifecyclestage", "EQ", json!("lead"))]),
            vec!["ada", "cid"],
        ),
        (
            json!([filter("lifecyclestage", "EQ", json!("Lead"))]),
            vec![],
        ),
        (
            json!([{"propertyName": "lifecyclestage", "operator": "IN", "values": ["customer", "other"]}]),
            vec!["bob"],
        ),
        (
            json!([
                filter("lifecyclestage", "EQ", json!("lead")),
                filter("city", "EQ", json!("zürich"))
            ]),
            vec!["ada"],
        ),
        (
            json!([filter("email", "EQ", json!("BOB@example.com"))]),
            vec!["bob"],
        ),
    ] {
        assert_eq!(
            found(&sim, only(filters.clone())).await,
            expected,
            "{filters}"
        );
    }
    let either = json!({"filterGroups": [
        {"filters": [filter("city", "EQ", json!("zürich"))]},
        {"filters": [filter("lifecyclestage", "EQ", json!("lead"))]},
    ]});
    assert_eq!(found(&sim, either).await, ["ada", "cid"]);
    let plain = json!({"filters": [filter("city", "EQ", json!("zürich"))]});
    assert_eq!(found(&sim, plain).await, ["ada"]);
    sim.control("PATCH", "", json!({"search_negations_find_empty": false}))
        .await;
    assert_eq!(
        found(&sim, only(json!([filter("city", "NEQ", json!("x"))]))).await,
        ["ada", "bob"]
    );
}

#[tokio::test]
async fn queries_sorts_and_text() {
    let sim = off().await;
    for (name, first, city) in [
        ("ada", "Ada", "Oslo"),
        ("bob", "Bob", ""),
        ("cid", "cid", "bergen"),
    ] {
        let mut properties = json!({"email": format!("{name}@example.com"), "firstname": first});
        if !city.is_empty() {
            properties["city"] = json!(city);
        }
        sim.contact(properties).await;
    }
    assert_eq!(found(&sim, json!({"query": "BO"})).await, ["bob"]);
    assert_eq!(found(&sim, json!({"query": "ada example"})).await, ["ada"]);
    assert_eq!(
        found(&sim, json!({"query": "oslo"})).await,
        [""; 0],
        "not searched by default"
    );
    let sorted = |name: &str, direction: &str| json!({"sorts": [{"propertyName": name, "direction": direction}]});
    assert_eq!(
        found(&sim, sorted("firstname", "DESCENDING")).await,
        ["cid", "bob", "ada"]
    );
    assert_eq!(
        found(&sim, sorted("city", "ASCENDING")).await,
        ["cid", "ada", "bob"]
    );
    assert_eq!(
        found(&sim, sorted("city", "DESCENDING")).await,
        ["ada", "cid", "bob"]
    );
    // As generated clients write it.
    let text = json!({"sorts": [json!({"propertyName": "firstname", "direction": "DESCENDING"}).to_string()]});
    assert_eq!(found(&sim, text).await, ["cid", "bob", "ada"]);
    assert_eq!(
        found(&sim, json!({"sorts": ["firstname"]})).await,
        ["ada", "bob", "cid"]
    );
}

#[tokio::test]
async fn archived_records_are_never_found() {
    let sim = off().await;
    let id = sim.contact(json!({"email": "ada@example.com"})).await;
    assert_eq!(found(&sim, json!({})).await, ["ada"]);
    sim.call("DELETE", &format!("{CONTACTS}/{id}"), None).await;
    assert_eq!(found(&sim, json!({})).await, [""; 0]);
    assert_eq!(
        found(&sim, only(json!([filter("hs_object_id", "EQ", json!(id))]))).await,
        [""; 0]
    );
}

#[tokio::test]
async fn filters_have_limits() {
    let sim = off().await;
    let one = || filter("city", "EQ", json!("x"));
    let groups = |sizes: &[usize]| {
        let groups: Vec<_> = sizes
            .iter()
            .map(|n| json!({"filters": (0..*n).map(|_| one()).collect::<Vec<_>>()}))
            .collect();
        json!({"filterGroups": groups})
    };
    for (body, expected) in [
        (groups(&[6, 6, 6]), 200),
        (groups(&[6, 6, 6, 1]), 400),
        (groups(&[7]), 400),
        (groups(&[1, 1, 1, 1, 1]), 200),
        (groups(&[1, 1, 1, 1, 1, 1]), 400),
        (json!({"query": "x".repeat(3_001)}), 400),
        (json!({"limit": 200}), 200),
        (json!({"limit": 201}), 400),
        (json!({"limit": -1}), 400),
        (json!({"after": "9900", "limit": 100}), 200),
        (json!({"after": "9901", "limit": 100}), 400),
        (json!({"after": 18_446_744_073_709_551_615_u64}), 400),
        (json!({"after": "x"}), 400),
        (
            json!({"sorts": [{"propertyName": "city"}, {"propertyName": "email"}]}),
            400,
        ),
        (json!({"sorts": [{"propertyName": "no_such"}]}), 400),
        (only(json!([filter("no_such", "EQ", json!("x"))])), 400),
        (only(json!([filter("city", "LIKE", json!("x"))])), 400),
        (
            only(json!([{"propertyName": "city", "operator": "EQ"}])),
            400,
        ),
        (
            only(json!([{"propertyName": "city", "operator": "IN", "value": "x"}])),
            400,
        ),
        (
            only(json!([{"propertyName": "city", "operator": "BETWEEN", "value": "x"}])),
            400,
        ),
        (
            only(json!([filter("lastmodifieddate", "GT", json!("soon"))])),
            400,
        ),
        (
            only(json!([filter("associations.contract", "EQ", json!("1"))])),
            400,
        ),
    ] {
        let answer = sim.search(body.clone()).await;
        assert_eq!(answer.status, expected, "{body} {}", answer.text);
        if expected == 400 {
            assert_eq!(answer.json()["category"], "VALIDATION_ERROR");
        }
    }
    sim.control("PATCH", "", json!({"search_filter_groups": 6}))
        .await;
    assert_eq!(sim.search(groups(&[1, 1, 1, 1, 1, 1])).await.status, 200);
}

#[tokio::test]
async fn what_activities_are_not_filtered_by() {
    let sim = off().await;
    for (kind, property, expected) in [
        ("emails", "hs_email_html", 400),
        ("emails", "hs_body_preview", 400),
        ("emails", "hs_email_subject", 200),
        ("notes", "hs_note_body", 200),
    ] {
        let body = only(json!([filter(property, "EQ", json!("x"))]));
        let answer = sim
            .post(&format!("/crm/objects/2026-09/{kind}/search"), body)
            .await;
        assert_eq!(answer.status, expected, "{kind} {property} {}", answer.text);
    }
    let body = only(json!([filter("hs_lastmodifieddate", "GT", json!("0"))]));
    for kind in [
        "companies",
        "deals",
        "emails",
        "calls",
        "meetings",
        "notes",
        "tasks",
        "communications",
    ] {
        let path = format!("/crm/objects/2026-09/{kind}/search");
        assert_eq!(sim.post(&path, body.clone()).await.status, 200, "{kind}");
    }
}

#[tokio::test]
async fn associations_are_filtered_by() {
    let sim = Sim::new(json!({"contacts": 60, "companies": 3, "limits": "off"})).await;
    let companies = sim
        .get("/crm/objects/2026-09/companies?associations=contacts&limit=3")
        .await
        .json();
    for company in companies["results"].as_array().unwrap() {
        let expected: BTreeSet<&str> = company["associations"]["contacts"]["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["id"].as_str().unwrap())
            .collect();
        assert!(!expected.is_empty());
        let mut body = only(json!([filter(
            "associations.company",
            "EQ",
            company["id"].clone()
        )]));
        body["limit"] = json!(100);
        let answer = sim.search(body).await.json();
        let results = answer["results"].as_array().unwrap();
        let found: BTreeSet<&str> = results.iter().map(|r| r["id"].as_str().unwrap()).collect();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn ten_thousand_and_not_one_more() {
    let sim = Sim::new(json!({"contacts": 10_500, "limits": "off"})).await;
    let page = |after: u32| sim.search(json!({"limit": 100, "after": after.to_string()}));
    let last = page(9_900).await.json();
    assert_eq!(last["total"], 10_500);
    assert_eq!(last["results"].as_array().unwrap().len(), 100);
    assert_eq!(last["paging"]["next"]["after"], "10000");
    assert_eq!(page(10_000).await.status, 400);
}

#[tokio::test]
async fn a_late_index_shows_what_was() {
    let sim = Sim::new(json!({"limits": "off", "search_lag_ms": 0})).await;
    let id = sim
        .contact(json!({"email": "ada@example.com", "city": "oslo"}))
        .await;
    let in_city = |city: &str| only(json!([filter("city", "EQ", json!(city))]));
    sim.control(
        "PATCH",
        "",
        json!({"search_lag_ms": {"min": 600, "max": 900}}),
    )
    .await;
    let change = json!({"properties": {"city": "bergen"}});
    sim.call("PATCH", &format!("{CONTACTS}/{id}"), Some(change))
        .await;
    assert_eq!(found(&sim, in_city("oslo")).await, ["ada"]);
    assert_eq!(found(&sim, in_city("bergen")).await, [""; 0]);
    let fresh = sim.contact(json!({"email": "bob@example.com"})).await;
    assert_eq!(found(&sim, json!({})).await, ["ada"]);
    // A read knows at once.
    assert_eq!(sim.get(&format!("{CONTACTS}/{fresh}")).await.status, 200);
    // The clock of the portal moves the index too.
    sim.control("POST", "clock", json!({"advance_ms": 900}))
        .await;
    assert_eq!(found(&sim, in_city("bergen")).await, ["ada"]);
    assert_eq!(found(&sim, json!({})).await, ["ada", "bob"]);
}

#[tokio::test]
async fn a_fresh_record_flaps() {
    let sim =
        Sim::new(json!({"limits": "off", "search_lag_ms": 900_000, "search_flapping": true})).await;
    sim.contact(json!({"email": "ada@example.com"})).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(found(&sim, json!({})).await.len());
        sim.control("POST", "clock", json!({"advance_ms": 310_000}))
            .await;
    }
    assert_eq!(seen, [0, 1, 0, 1]);
}

#[tokio::test]
async fn a_lag_ends_by_itself() {
    let sim = Sim::new(json!({"limits": "off", "search_lag_ms": 200})).await;
    sim.contact(json!({"email": "ada@example.com"})).await;
    assert_eq!(found(&sim, json!({})).await, [""; 0]);
    until("the index knows", || async {
        found(&sim, json!({})).await == ["ada"]
    })
    .await;
}

/// A record as the list shows it.
#[derive(Debug, Clone)]
struct Seen {
    id: i64,
    created: i64,
    updated: i64,
    city: String,
}

fn ms(text: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text.as_str().unwrap())
        .unwrap()
        .timestamp_millis()
}

/// Filters and sorts over a portal against a plain reading of the rules.
#[test]
fn the_index_finds_what_a_scan_finds() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sim = runtime.block_on(Sim::new(json!({"contacts": 400, "limits": "off"})));
    let mut all: Vec<Seen> = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("{CONTACTS}?limit=100&properties=city{after}");
        let page = runtime.block_on(sim.get(&path)).json();
        all.extend(page["results"].as_array().unwrap().iter().map(|r| Seen {
            id: r["id"].as_str().unwrap().parse().unwrap(),
            created: ms(&r["createdAt"]),
            updated: ms(&r["updatedAt"]),
            city: r["properties"]["city"].as_str().unwrap().to_lowercase(),
        }));
        match page["paging"]["next"]["after"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(all.len(), 400);
    let names = ["hs_object_id", "createdate", "lastmodifieddate"];
    let operators = ["EQ", "NEQ", "LT", "LTE", "GT", "GTE"];
    let one = (0..4_usize, 0..6_usize, 0..400_usize, -1_i64..2);
    let groups = prop::collection::vec(prop::collection::vec(one, 0..4), 0..4);
    let strategy = (
        groups,
        0..3_usize,
        any::<bool>(),
        0..300_usize,
        1..200_usize,
    );
    let mut runner = TestRunner::new(Config {
        cases: if std::env::var("SOAK").as_deref() == Ok("full") {
            10_000
        } else {
            300
        },
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&strategy, |(groups, by, descending, after, limit)| {
            let place = |seen: &Seen, axis: usize| [seen.id, seen.created, seen.updated][axis];
            let holds = |seen: &Seen, (what, operator, of, off): &(usize, usize, usize, i64)| {
                let order = if *what == 3 {
                    seen.city.cmp(&all[*of].city)
                } else {
                    place(seen, *what).cmp(&(place(&all[*of], *what) + off))
                };
                match operators[*operator] {
                    "EQ" => order.is_eq(),
                    "NEQ" => order.is_ne(),
                    "LT" => order.is_lt(),
                    "LTE" => order.is_le(),
                    "GT" => order.is_gt(),
                    _ => order.is_ge(),
                }
            };
            let mut expected: Vec<&Seen> = all
                .iter()
                .filter(|s| {
                    groups.is_empty() || groups.iter().any(|g| g.iter().all(|f| holds(s, f)))
                })
                .collect();
            expected.sort_by_key(|s| {
                let key = place(s, by);
                (if descending { -key } else { key }, s.id)
            });
            let filters: Vec<Value> = groups
                .iter()
                .map(|g| {
                    let filters: Vec<Value> = g
                        .iter()
                        .map(|(what, operator, of, off)| {
                            if *what == 3 {
                                filter("city", operators[*operator], json!(all[*of].city))
                            } else {
                                let value = place(&all[*of], *what) + off;
                                filter(names[*what], operators[*operator], json!(value.to_string()))
                            }
                        })
                        .collect();
                    json!({"filters": filters})
                })
                .collect();
            let direction = if descending {
                "DESCENDING"
            } else {
                "ASCENDING"
            };
            let answer = runtime.block_on(sim.search(json!({
                "filterGroups": filters, "limit": limit, "after": after.to_string(),
                "sorts": [{"propertyName": names[by], "direction": direction}],
            })));
            prop_assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
            let answer = answer.json();
            let results = answer["results"].as_array().unwrap();
            let ids: Vec<i64> = results
                .iter()
                .map(|r| r["id"].as_str().unwrap().parse().unwrap())
                .collect();
            let page: Vec<i64> = expected
                .iter()
                .skip(after)
                .take(limit)
                .map(|s| s.id)
                .collect();
            prop_assert_eq!(&answer["total"], expected.len());
            prop_assert_eq!(ids, page);
            Ok(())
        })
        .unwrap();
}
