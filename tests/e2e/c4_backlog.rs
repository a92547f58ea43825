//! C4, C6, E1, E8, X4: what waited for the connection, and what many are asked for at once, goes in bulk by
//! itself: in few requests, each once.

use std::{collections::BTreeMap, time::Duration};

use dev::demo::Api;
use e2e::{
    activities::push,
    door::Door,
    exports::{ask, ended, live, writes},
    planted::{Planted, change_settings},
    stacks::{OwnStack, until_within},
};
use serde_json::{Value, json};

use crate::{
    e1_bulk::{LONG, export_in_bulk, ids, last_request, leads, people, requests_since},
    e8_bulk_activities::{STEPS, assert_logged, logged, push_all, steps},
    x1_activities::landed,
};

/// Whom the policy takes the moment they come in.
async fn taking_all(p: &Planted) -> Door {
    let door = p.connect().await;
    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!("all_contacted");
    })
    .await;
    door
}

/// People who come to qualify now.
fn contacted(world: &str, count: usize, firms: usize) -> Vec<Value> {
    let now = chrono::Utc::now();
    leads(world, count, firms)
        .into_iter()
        .map(|mut lead| {
            lead["contacted_at"] = json!(now);
            lead
        })
        .collect()
}

async fn disconnect(p: &Planted) {
    let tenant = &p.tenant;
    let answer = tenant
        .api
        .call(&tenant.id(), "disconnect", Some(json!({})))
        .await;
    assert_eq!(answer.unwrap().status, 200);
    tenant
        .wait_for_phase("disconnected", Duration::from_secs(60))
        .await;
}

/// Requests that write or look at one record.
fn single(requests: &BTreeMap<String, usize>) -> usize {
    let ends = |path: &str, with: &str| path.ends_with(with);
    requests
        .iter()
        .filter(|(path, _)| {
            let last = path.rsplit('/').next().unwrap_or_default();
            path.starts_with("PATCH")
                || last.parse::<i64>().is_ok()
                || path.starts_with("POST")
                    && !["create", "update", "read", "search", "archive"]
                        .iter()
                        .any(|batch| ends(path, batch))
        })
        .map(|(_, n)| n)
        .sum()
}

#[tokio::test]
async fn what_waited_for_the_connection_goes_in_bulk() {
    let p = Planted::new().await;
    let door = taking_all(&p).await;
    let all = contacted("wait", 300, 30);
    let ids = ids(&all);
    disconnect(&p).await;
    door.people(json!(all)).await;
    push_all(&door, &steps(&ids, &STEPS)).await;
    let (seq, before) = (last_request(&p).await, writes(&p).await);
    p.connect().await;
    assert_logged(&p, &door, &ids, &STEPS).await;
    assert_eq!(live(&p, "contacts").await.len(), 300);
    assert_eq!(live(&p, "companies").await.len(), 30);
    let requests = requests_since(&p, seq).await;
    let written = writes(&p).await - before;
    println!("{written} writes: {requests:#?}");
    assert!(written <= 40, "{written}: {requests:#?}");
    assert!(single(&requests) <= 10, "{requests:#?}");
}

/// Edits of what HubSpot has, new activities of people whom it has, two of whom are one contact by now.
#[tokio::test]
async fn edits_and_merges_during_a_disconnect_go_in_bulk() {
    let p = Planted::new().await;
    let door = taking_all(&p).await;
    let all = leads("edit", 60, 6);
    let ids = ids(&all);
    door.people(json!(all)).await;
    push_all(&door, &steps(&ids, &["note"])).await;
    let over = export_in_bulk(&door, people(&ids)).await;
    assert_eq!(over["counts"]["exported"], 60, "{over:#}");
    assert_logged(&p, &door, &ids, &["note"]).await;
    disconnect(&p).await;
    let contacts = live(&p, "contacts").await;
    let body = json!({"primaryObjectId": contacts[0]["id"], "objectIdToMerge": contacts[1]["id"]});
    p.hubspot("POST", "/crm/v3/objects/contacts/merge", Some(body))
        .await;
    let mut again = Vec::new();
    for mut note in steps(&ids, &["note"]) {
        let person = note["person"].as_str().unwrap().to_owned();
        note["version"] = json!(2);
        note["content"]["note"]["text"] = json!(format!("Again of {person}."));
        let mut task = note.clone();
        task["id"] = json!(format!("{person}-task"));
        task["content"] = json!({"task": {"title": format!("Call {person}.")}});
        again.extend([note, task]);
    }
    push_all(&door, &again).await;
    let seq = last_request(&p).await;
    // The first batch of edits takes effect, and nobody hears of it.
    let rule = json!({"method": "POST", "path": "/notes/batch/update$", "times": 1, "when": "after", "effect": "drop"});
    p.tenant.control("POST", "faults", Some(rule)).await;
    p.connect().await;
    until_within("all is written", LONG, async || {
        logged(&door, &ids).await.len() == 120
    })
    .await;
    for activity in logged(&door, &ids).await {
        assert_eq!(activity["outcome"]["state"], "exported", "{activity:#}");
    }
    let (notes, tasks) = (live(&p, "notes").await, live(&p, "tasks").await);
    assert_eq!((notes.len(), tasks.len()), (60, 60));
    let newest = |record: &&Value| record.to_string().contains("Again of edit-");
    assert_eq!(notes.iter().filter(newest).count(), 60);
    let requests = requests_since(&p, seq).await;
    assert!(single(&requests) <= 30, "{requests:#?}");
    let rules = p.tenant.control("GET", "faults", None).await;
    assert_eq!(rules["faults"][0]["struck"], 1, "{rules}");
}

/// Many who come to qualify at once, beside somebody whom a person exports by hand.
#[tokio::test]
async fn many_at_once_go_in_bulk_and_hold_up_nobody() {
    let p = Planted::new().await;
    let door = taking_all(&p).await;
    let all = contacted("once", 400, 20);
    let ids = ids(&all);
    door.people(json!([{"id": "hand", "version": 1, "email": "hand@by-hand.com"}]))
        .await;
    let seq = last_request(&p).await;
    let slow = json!({"path": "/contacts/batch/create$", "when": "before", "effect": {"delay": {"ms": 2_000}}});
    p.tenant.control("POST", "faults", Some(slow)).await;
    door.people(json!(all)).await;
    let began = std::time::Instant::now();
    let request = ask(&door, "hand").await;
    assert_eq!(ended(&door, &request).await["state"], "exported");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    push(
        &door,
        &[json!({"id": "n", "version": 1, "person": "hand", "at": "2026-01-05T08:30:00Z", "content": {"note": {"text": "T"}}})],
    )
    .await;
    until_within("all are exported", LONG, async || {
        live(&p, "contacts").await.len() == 401
    })
    .await;
    let summary = async || door.ok("GET", "/exports/summary", None).await;
    until_within("nothing is left", LONG, async || {
        let now = summary().await;
        now["accepted"] == 0
            && now["waiting"]
                .as_object()
                .is_none_or(|w| w.values().all(|n| n == 0))
    })
    .await;
    logged(&door, &["hand".to_owned()]).await;
    assert_eq!(live(&p, "companies").await.len(), 21);
    landed(&p).await;
    let requests = requests_since(&p, seq).await;
    println!("{requests:#?}");
    assert!(single(&requests) <= 20, "{requests:#?}");
    assert_eq!(ids.len(), 400);
}

/// As short as in the stack that the others share.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("EXPORT_SETTLE_SECONDS", "8"),
    ("EXPORT_RECHECK_SECONDS", "3"),
];

/// Whoever takes those who are due and is lost keeps nobody from being exported.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_the_backlog_is_written_leaves_each_once() {
    let mut stack = OwnStack::start(1, ENVIRONMENT).await;
    let api = Api::new(stack.addresses()).unwrap();
    let p = Planted::on(&api, json!({"engagement_unique_keys": "refused"})).await;
    let door = taking_all(&p).await;
    let all = contacted("back", 200, 10);
    let ids = ids(&all);
    disconnect(&p).await;
    door.people(json!(all)).await;
    push_all(&door, &steps(&ids, &STEPS)).await;
    for (path, times) in [("/contacts/batch/create$", 1), ("/emails/batch/create$", 1)] {
        let hangs = json!({"path": path, "when": "after", "times": times, "effect": {"hang": {"ms": 60_000}}});
        p.tenant.control("POST", "faults", Some(hangs)).await;
    }
    p.connect().await;
    for rule in 0..2 {
        until_within("a batch is on its way", LONG, async || {
            let rules = p.tenant.control("GET", "faults", None).await;
            rules["faults"][rule]["struck"] == 1
        })
        .await;
        stack.kill_hard("worker-0").unwrap();
        stack.start_worker(0).unwrap();
        stack.wait_worker(0).await.unwrap();
    }
    assert_logged(&p, &door, &ids, &STEPS).await;
    assert_eq!(live(&p, "contacts").await.len(), 200);
    assert_eq!(live(&p, "companies").await.len(), 10);
}
