//! Rules that make right answers wrong: empty, endless, slow, with inputs left out or failed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{CONTACTS, Reply, Sim};

const LINKS: &str = "/crm/associations/2026-09/contacts/companies/batch/read";

async fn rule(sim: &Sim, rule: Value) {
    let made = sim.control("POST", "faults", rule).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

async fn forget(sim: &Sim) {
    sim.control("DELETE", "faults", Value::Null).await;
}

async fn portal() -> Sim {
    Sim::new(json!({
        "limits": "off", "contacts": 30, "companies": 10, "lists": 3, "owners": 4,
        "auto_companies": false, "inline_association_page": 1,
    }))
    .await
}

/// The path of the members of the first list.
async fn members(sim: &Sim) -> String {
    let lists = sim.post("/crm/lists/2026-09/search", json!({})).await;
    let id = &lists.json()["lists"][0]["listId"];
    format!("/crm/lists/2026-09/{}/memberships", id.as_str().unwrap())
}

fn ids(reply: &Reply) -> Vec<String> {
    reply.json()["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].as_str().unwrap().to_owned())
        .collect()
}

fn inputs(ids: &[String]) -> Value {
    json!({"inputs": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()})
}

#[tokio::test]
async fn batch_reads_leave_inputs_out() {
    let sim = portal().await;
    let all = ids(&sim.get(&format!("{CONTACTS}?limit=10")).await);
    let path = format!("{CONTACTS}/batch/read");
    rule(
        &sim,
        json!({"path": "/contacts/batch/read", "effect": "empty"}),
    )
    .await;
    let answer = sim.post(&path, inputs(&all)).await;
    assert_eq!(answer.status, 200);
    assert!(ids(&answer).is_empty());
    forget(&sim).await;
    rule(
        &sim,
        json!({"path": "batch/read", "effect": {"leave_out": {"every": 3}}}),
    )
    .await;
    let answer = sim.post(&path, inputs(&all)).await;
    assert_eq!((answer.status.as_u16(), ids(&answer).len()), (200, 7));
    assert!(answer.json().get("errors").is_none());
    forget(&sim).await;
    rule(
        &sim,
        json!({"path": "batch/read", "effect": {"leave_out": {"ids": [all[4]]}}}),
    )
    .await;
    let answer = sim.post(&path, inputs(&all)).await;
    assert_eq!(ids(&answer).len(), 9);
    assert!(!ids(&answer).contains(&all[4]));
    // The same of associations.
    let linked = sim.post(LINKS, inputs(&all)).await.json();
    assert!(
        linked["results"]
            .as_array()
            .unwrap()
            .iter()
            .all(|r| r["from"]["id"] != json!(all[4]))
    );
}

#[tokio::test]
async fn batch_reads_fail_by_input() {
    let sim = portal().await;
    let all = ids(&sim.get(&format!("{CONTACTS}?limit=10")).await);
    for (path, field) in [
        (format!("{CONTACTS}/batch/read"), "ids"),
        (LINKS.to_owned(), "fromObjectId"),
    ] {
        forget(&sim).await;
        let without = sim.post(&path, inputs(&all)).await.json();
        rule(
            &sim,
            json!({"effect": {"error_per_input": {"category": "RATE_LIMITS", "every": 2}}}),
        )
        .await;
        let answer = sim.post(&path, inputs(&all)).await;
        assert_eq!(answer.status, 207);
        let body = answer.json();
        let failed: Vec<&Value> = body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|e| e["category"] == "RATE_LIMITS")
            .map(|e| &e["context"][field][0])
            .collect();
        assert_eq!(failed, [&all[1], &all[3], &all[5], &all[7], &all[9]]);
        let done = body["results"].as_array().unwrap().len();
        assert!(done <= 5 && done <= without["results"].as_array().unwrap().len());
        forget(&sim).await;
        rule(
            &sim,
            json!({"effect": {"error_per_input": {"category": "INTERNAL_ERROR", "unnamed": true}}}),
        )
        .await;
        let body = sim.post(&path, inputs(&all)).await.json();
        assert_eq!(body["results"], json!([]));
        assert_eq!(body["numErrors"], 10);
        assert!(body["errors"][0].get("context").is_none());
    }
}

#[tokio::test]
async fn what_has_no_associations_is_named_left_out_or_empty() {
    let sim = portal().await;
    let lonely = sim.contact(json!({"email": "lonely@example.com"})).await;
    let read = inputs(std::slice::from_ref(&lonely));
    let answer = sim.post(LINKS, read.clone()).await;
    assert_eq!(answer.status, 207);
    let error = &answer.json()["errors"][0];
    assert_eq!(
        error["subCategory"],
        "crm.associations.NO_ASSOCIATIONS_FOUND"
    );
    assert_eq!(error["context"]["fromObjectId"], json!([lonely]));
    sim.control("PATCH", "", json!({"missing_associations": "left_out"}))
        .await;
    let answer = sim.post(LINKS, read.clone()).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["results"]),
        (200, &json!([]))
    );
    sim.control("PATCH", "", json!({"missing_associations": "empty"}))
        .await;
    let answer = sim.post(LINKS, read).await;
    assert_eq!(
        answer.json()["results"],
        json!([{"from": {"id": lonely}, "to": []}])
    );
}

#[tokio::test]
async fn whole_listings_answer_nothing_once() {
    let sim = portal().await;
    for (path, field) in [
        (CONTACTS.to_owned(), "results"),
        ("/crm/properties/2026-09/contacts".to_owned(), "results"),
        ("/crm/owners/2026-09".to_owned(), "results"),
        ("/crm/pipelines/2026-09/deals".to_owned(), "results"),
        (members(&sim).await, "results"),
    ] {
        rule(
            &sim,
            json!({"method": "GET", "path": format!("{path}$"), "times": 1, "effect": "empty"}),
        )
        .await;
        let answer = sim.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.json()[field], json!([]), "{path}");
        assert!(answer.json().get("paging").is_none(), "{path}");
        let again = sim.get(&path).await.json();
        assert!(!again[field].as_array().unwrap().is_empty(), "{path}");
    }
    rule(
        &sim,
        json!({"path": "/lists/*search", "times": 1, "effect": "empty"}),
    )
    .await;
    let path = "/crm/lists/2026-09/search";
    let answer = sim.post(path, json!({})).await.json();
    assert_eq!(
        (&answer["lists"], &answer["hasMore"]),
        (&json!([]), &json!(false))
    );
    assert!(sim.post(path, json!({})).await.json()["total"].as_u64() > Some(0));
}

#[tokio::test]
async fn a_search_counts_what_it_does_not_show() {
    let sim = portal().await;
    rule(
        &sim,
        json!({"path": "/contacts/search", "effect": "empty_with_total"}),
    )
    .await;
    let found = sim.search(json!({})).await.json();
    assert_eq!(
        (&found["total"], &found["results"]),
        (&json!(30), &json!([]))
    );
    assert!(found.get("paging").is_none());
}

#[tokio::test]
async fn only_large_pages_fail() {
    let sim = portal().await;
    rule(
        &sim,
        json!({"path": "/contacts", "limit_over": 50, "effect": {"answer": {"name": "internal"}}}),
    )
    .await;
    assert_eq!(sim.get(&format!("{CONTACTS}?limit=100")).await.status, 500);
    assert_eq!(sim.get(&format!("{CONTACTS}?limit=50")).await.status, 200);
    assert_eq!(sim.search(json!({"limit": 51})).await.status, 500);
}

#[tokio::test]
async fn every_nth_request_fails() {
    let sim = portal().await;
    rule(
        &sim,
        json!({"every": 3, "effect": {"status": {"status": 502, "html": true}}}),
    )
    .await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(sim.get(CONTACTS).await.status.as_u16());
    }
    assert_eq!(seen, [200, 200, 502, 200, 200, 502]);
}

/// The cursors of three pages, and whether anything new came after the first.
async fn three_pages(sim: &Sim, path: &str, id: &str) -> (Vec<String>, bool) {
    let mut after = String::new();
    let (mut cursors, mut all) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let page = sim.get(&format!("{path}{after}")).await.json();
        let found: Vec<String> = page["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r[id].to_string())
            .collect();
        all.push(found);
        let cursor = page["paging"]["next"]["after"].as_str().unwrap().to_owned();
        after = format!("&after={cursor}");
        cursors.push(cursor);
    }
    (cursors, all[1] != all[0])
}

#[tokio::test]
async fn pages_lead_nowhere() {
    let sim = portal().await;
    let listing = format!("{CONTACTS}?limit=5");
    let members = format!("{}?limit=1", members(&sim).await);
    for (path, id) in [
        (listing.as_str(), "id"),
        ("/crm/owners/2026-09?limit=1", "id"),
        (members.as_str(), "recordId"),
    ] {
        forget(&sim).await;
        rule(&sim, json!({"query": "after", "effect": "ignore_after"})).await;
        let (cursors, new) = three_pages(&sim, path, id).await;
        assert_eq!((&cursors[1], new), (&cursors[0], false), "{path}");
        forget(&sim).await;
        rule(&sim, json!({"effect": "same_cursor"})).await;
        let (cursors, new) = three_pages(&sim, path, id).await;
        assert_eq!((&cursors[1], new), (&cursors[0], true), "{path}");
        forget(&sim).await;
        rule(&sim, json!({"effect": "fresh_cursor"})).await;
        let (cursors, new) = three_pages(&sim, path, id).await;
        assert!(cursors[1] != cursors[0] && !new, "{path}");
    }
}

#[tokio::test]
async fn association_and_list_pages_lead_nowhere() {
    let sim = portal().await;
    let deal = "/crm/associations/2026-09/companies/contacts/batch/read";
    let companies = sim.get("/crm/objects/2026-09/companies?limit=10").await;
    let mut read = inputs(&ids(&companies));
    let first = sim.post(deal, read.clone()).await.json();
    let more = first["results"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r.get("paging").is_some())
        .unwrap()
        .clone();
    read =
        json!({"inputs": [{"id": more["from"]["id"], "after": more["paging"]["next"]["after"]}]});
    rule(
        &sim,
        json!({"path": "/associations/", "effect": "ignore_after"}),
    )
    .await;
    let again = sim.post(deal, read.clone()).await.json();
    assert_eq!(again["results"][0], more);
    forget(&sim).await;
    rule(
        &sim,
        json!({"path": "/associations/", "effect": "same_cursor"}),
    )
    .await;
    let again = sim.post(deal, read).await.json();
    assert_ne!(again["results"][0]["to"], more["to"]);
    assert_eq!(again["results"][0]["paging"], more["paging"]);
    rule(&sim, json!({"path": "/lists/", "effect": "same_cursor"})).await;
    let lists = sim
        .post(
            "/crm/lists/2026-09/search",
            json!({"count": 1, "offset": 1}),
        )
        .await
        .json();
    assert_eq!(
        (&lists["hasMore"], &lists["offset"]),
        (&json!(true), &json!(1))
    );
}

#[tokio::test]
async fn a_slow_answer_lives() {
    let sim = portal().await;
    rule(
        &sim,
        json!({"times": 1, "effect": {"dribble": {"ms": 1200}}}),
    )
    .await;
    let begin = Instant::now();
    let mut answer = sim
        .client
        .get(sim.url(CONTACTS))
        .bearer_auth(&sim.token)
        .send()
        .await
        .unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "the head is there"
    );
    let (mut pieces, mut body) = (0, Vec::new());
    while let Some(piece) = answer.chunk().await.unwrap() {
        pieces += 1;
        body.extend_from_slice(&piece);
    }
    assert!(begin.elapsed() >= Duration::from_millis(1200));
    assert!(pieces > 5, "{pieces}");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["results"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn single_reads_are_refused_in_both_forms() {
    let sim = portal().await;
    let all = ids(&sim.get(CONTACTS).await);
    for (path, in_context) in [("/associations/", false), ("/properties/*/emails", true)] {
        rule(
            &sim,
            json!({"path": path, "effect": {"answer": {
                "name": "missing_scopes", "scopes": ["crm.objects.deals.read"], "in_context": in_context,
            }}}),
        )
        .await;
    }
    let errors = sim.post(LINKS, inputs(&all)).await;
    assert_eq!(errors.status, 403);
    let scopes = json!(["crm.objects.deals.read"]);
    assert_eq!(
        errors.json()["errors"][0]["context"]["requiredGranularScopes"],
        scopes
    );
    let context = sim.get("/crm/properties/2026-09/emails").await;
    assert_eq!(context.status, 403);
    assert_eq!(context.json()["context"]["requiredGranularScopes"], scopes);
    assert!(context.json().get("errors").is_none());
    assert_eq!(sim.get(CONTACTS).await.status, 200);
    forget(&sim).await;
    rule(
        &sim,
        json!({"path": "/objects/*/deals", "effect": {"status": {
            "status": 403, "category": "BANNED", "message": "This type is not available to you.",
        }}}),
    )
    .await;
    let refused = sim.get("/crm/objects/2026-09/deals").await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json()["category"], "BANNED");
    rule(
        &sim,
        json!({"path": "labels", "effect": {"answer": {"name": "limit_reached"}}}),
    )
    .await;
    let refused = sim
        .get("/crm/associations/2026-09/contacts/companies/labels")
        .await;
    assert_eq!(refused.status, 437);
}
