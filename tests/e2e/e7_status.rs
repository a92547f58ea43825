//! E6, E7: owner and status of exported people, and what a changed value of the app brings.

use e2e::{
    exports::{entries, export, live},
    planted::{Planted, change_settings, number},
    profiles::until,
};
use serde_json::{Value, json};

fn lead(version: u64, more: Value) -> Value {
    let mut person = json!({"id": "lead", "version": version, "email": "lead@status-e7.com"});
    for (key, value) in more.as_object().unwrap() {
        person[key] = value.clone();
    }
    json!([person])
}

async fn value(p: &Planted, property: &str) -> Value {
    live(p, "contacts").await[0]["properties"][property].clone()
}

#[tokio::test]
async fn status_owner_and_changed_values_reach_hubspot_by_themselves() {
    let p = Planted::new().await;
    let owner = async |email: &str| {
        let made = p
            .tenant
            .control("POST", "owners", Some(json!({"email": email})))
            .await;
        number(&made["id"])
    };
    let (rep, fallback) = (
        owner("rep@status-e7.com").await,
        owner("fallback@status-e7.com").await,
    );
    let door = p.connect().await;
    let members = json!({"items": [
        {"id": "rep", "version": 1, "email": "rep@status-e7.com"},
        {"id": "new", "version": 1, "email": "nobody@status-e7.com"}]});
    door.ok("POST", "/members", Some(members)).await;
    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!("all_contacted");
        settings["owners"]["fallback_owner"] = json!(fallback);
        settings["status"] = json!({"property": "lifecyclestage", "rows": [
            {"status": "contacted", "value": "lead"},
            {"status": "interested", "value": "opportunity"},
            {"status": "not_interested", "value": "subscriber"}]});
        for row in settings["contacts"].as_array_mut().unwrap() {
            if row["property"] == "jobtitle" {
                row["export"] = json!("overwrite");
            }
        }
    })
    .await;
    let now = chrono::Utc::now();
    let first = json!({"contacted_at": now, "status": "contacted", "owner": "rep",
        "fields": {"job_title": "Buyer"}});
    door.people(lead(1, first)).await;
    until("the person is exported", async || {
        live(&p, "contacts").await.len() == 1
    })
    .await;
    assert_eq!(value(&p, "hubspot_owner_id").await, rep.to_string());
    assert_eq!(value(&p, "lifecyclestage").await, "lead");
    assert_eq!(value(&p, "jobtitle").await, "Buyer");
    door.people(lead(
        2,
        json!({"status": "interested", "fields": {"job_title": "Head"}}),
    ))
    .await;
    until("the new values arrive", async || {
        value(&p, "lifecyclestage").await == "opportunity" && value(&p, "jobtitle").await == "Head"
    })
    .await;
    // Stages only move forward, and an owner stays.
    door.people(lead(
        3,
        json!({"status": "not_interested", "owner": "new", "fields": {"job_title": "Chief"}}),
    ))
    .await;
    until("the change arrives", async || {
        value(&p, "jobtitle").await == "Chief"
    })
    .await;
    assert_eq!(value(&p, "lifecyclestage").await, "opportunity");
    assert_eq!(value(&p, "hubspot_owner_id").await, rep.to_string());
    // Whoever has no owner in HubSpot stands behind the fallback owner.
    let other =
        json!([{"id": "other", "version": 1, "email": "other@status-e7.com", "owner": "new"}]);
    door.people(other).await;
    let done = export(&door, "other").await;
    assert_eq!(done["state"], "exported", "{done}");
    let contacts = live(&p, "contacts").await;
    let other = contacts
        .iter()
        .find(|c| c["properties"]["email"] == "other@status-e7.com")
        .unwrap();
    assert_eq!(
        other["properties"]["hubspot_owner_id"],
        fallback.to_string()
    );
}

#[tokio::test]
async fn a_stage_that_goes_back_is_emptied_first_and_the_journal_tells_both_writes() {
    let p = Planted::new().await;
    let there = json!({"email": "lead@status-e7.com", "lifecyclestage": "customer"});
    p.record("contacts", there, &[]).await;
    let door = p.connect().await;
    change_settings(&door, |settings| {
        settings["status"] = json!({"property": "lifecyclestage", "allow_backward": true,
            "rows": [{"status": "contacted", "value": "lead"}]});
    })
    .await;
    door.people(lead(1, json!({"status": "contacted"}))).await;
    let done = export(&door, "lead").await;
    assert_eq!(done["state"], "exported", "{done}");
    assert_eq!(value(&p, "lifecyclestage").await, "lead");
    // What was done to the stage, oldest first.
    let stages = async || {
        let mut all = Vec::new();
        for entry in entries(&door, "lead", "done").await {
            for written in entry["properties"].as_array().unwrap() {
                if written["property"] == "lifecyclestage" {
                    let text = |name: &str| written[name].as_str().unwrap_or("-").to_owned();
                    let operation = entry["operation"].as_str().unwrap();
                    let line = format!("{operation}: {} to {}", text("old"), text("new"));
                    all.insert(0, (line, entry["entry"].as_str().unwrap().to_owned()));
                }
            }
        }
        all
    };
    let lines = async || {
        let all = stages().await;
        all.into_iter().map(|(line, _)| line).collect::<Vec<_>>()
    };
    let mut wanted = vec!["empty: customer to -", "update: customer to lead"];
    assert_eq!(lines().await, wanted);
    // Forward needs no emptying, back does; both are reverts of what stands there.
    for (stage, then) in [
        ("customer", vec!["update: lead to customer"]),
        (
            "lead",
            vec!["empty: customer to -", "update: customer to lead"],
        ),
    ] {
        let (_, last) = stages().await.pop().unwrap();
        let body = json!({"property": "lifecyclestage"});
        let path = format!("/journal/{last}/revert");
        let asked = door.ok("POST", &path, Some(body)).await;
        let revert = format!("/reverts/{}", asked["revert"].as_str().unwrap());
        until("the revert ends", async || {
            door.ok("GET", &revert, None).await["state"] != "accepted"
        })
        .await;
        assert_eq!(door.ok("GET", &revert, None).await["state"], "done");
        assert_eq!(value(&p, "lifecyclestage").await, stage);
        wanted.extend(then);
        assert_eq!(lines().await, wanted);
    }
}

/// A status that HubSpot took without an answer, and that is taken back before anybody looks: what stands there
/// is not what was told before it.
#[tokio::test]
async fn a_status_that_is_taken_back_at_once_is_told_again() {
    let p = Planted::new().await;
    let door = p.connect().await;
    change_settings(&door, |settings| {
        settings["status"] = json!({"property": "hs_lead_status", "rows": [
            {"status": "contacted", "value": "OPEN"}, {"status": "replied", "value": "CONNECTED"}]});
    })
    .await;
    door.people(lead(1, json!({"status": "replied"}))).await;
    let done = export(&door, "lead").await;
    assert_eq!(done["state"], "exported", "{done}");
    assert_eq!(value(&p, "hs_lead_status").await, "CONNECTED");
    let lost = json!({"method": "PATCH", "path": "/objects/2026-09/contacts", "times": 1,
        "when": "after", "effect": "drop"});
    p.tenant.control("POST", "faults", Some(lost)).await;
    door.people(lead(2, json!({"status": "contacted"}))).await;
    until("HubSpot took the first", async || {
        value(&p, "hs_lead_status").await == "OPEN"
    })
    .await;
    door.people(lead(3, json!({"status": "replied"}))).await;
    until("every request has ended", async || {
        let open = door.ok("GET", "/exports/summary", None).await;
        let waiting = open["waiting"].as_object().unwrap();
        open["accepted"] == 0 && waiting.values().all(|n| *n == 0)
    })
    .await;
    assert_eq!(value(&p, "hs_lead_status").await, "CONNECTED");
}
