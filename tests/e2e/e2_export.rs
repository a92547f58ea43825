//! E2, E3, E4, E6, E7: what a manual export of a person makes in HubSpot.

use e2e::{
    door::Door,
    mirrored,
    planted::{Planted, change_settings, number},
    profiles::until,
};
use serde_json::{Value, json};

/// Asks for an export, and waits for its end.
async fn export(door: &Door, person: &str, more: Value) -> Value {
    let mut body = json!({"person": person});
    if let (Some(all), Some(more)) = (body.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    let asked = door.ok("POST", "/exports", Some(body)).await;
    ended(door, asked["requests"][0]["request"].as_str().unwrap()).await
}

/// Waits until a request has ended.
async fn ended(door: &Door, request: &str) -> Value {
    let path = format!("/exports/{request}");
    until("the request ends", async || {
        let now = door.ok("GET", &path, None).await;
        matches!(
            now["outcome"]["state"].as_str(),
            Some("exported" | "skipped" | "failed")
        )
    })
    .await;
    door.ok("GET", &path, None).await["outcome"].clone()
}

async fn records(p: &Planted, plural: &str) -> Vec<Value> {
    mirrored::records_of(&p.tenant, plural)
        .await
        .into_iter()
        .filter(|record| record["archived"] != true)
        .collect()
}

/// Requests that HubSpot was asked since a moment, without those that only tell of tokens.
async fn writes(p: &Planted) -> usize {
    let all = p.tenant.requests().await;
    all.iter()
        .filter(|r| {
            let path = r["path"].as_str().unwrap_or_default();
            let read = path.ends_with("/search") || path.ends_with("/batch/read");
            r["method"] != "GET" && path.starts_with("/crm/") && !read
        })
        .count()
}

#[tokio::test]
async fn a_person_becomes_a_contact_at_one_company_and_again_nothing_is_written() {
    let p = Planted::new().await;
    let door = p.connect().await;
    let company = json!({"items": [{"id": "acme", "version": 1, "fields": {
        "name": "Acme", "website": "https://www.Example-e2.co.uk:443/path?utm=1#x"}}]});
    door.ok("POST", "/companies", Some(company)).await;
    door.people(json!([
        {"id": "lead", "version": 1, "email": "Lead@Example-e2.co.uk", "company": "acme",
         "fields": {"first_name": "Lea", "job_title": "Head of Sales"}},
        {"id": "second", "version": 1, "email": "second@example-e2.co.uk", "company": "acme"},
    ]))
    .await;
    let done = export(&door, "lead", json!({})).await;
    assert_eq!(done["state"], "exported", "{done}");
    let contacts = records(&p, "contacts").await;
    let companies = records(&p, "companies").await;
    assert_eq!((contacts.len(), companies.len()), (1, 1));
    assert_eq!(contacts[0]["properties"]["email"], "lead@example-e2.co.uk");
    assert_eq!(contacts[0]["properties"]["firstname"], "Lea");
    assert_eq!(
        number(&contacts[0]["id"]),
        done["hubspot_id"].as_i64().unwrap()
    );
    assert_eq!(companies[0]["properties"]["domain"], "example-e2.co.uk");
    let at: Vec<(String, String)> = mirrored::ties_of(&contacts[0])
        .into_iter()
        .map(|(_, to, label)| (to, label))
        .collect();
    assert!(
        at.iter()
            .any(|(to, label)| *to == companies[0]["id"].as_str().unwrap()
                && label == "contact_to_company"),
        "{at:?}"
    );
    let before = writes(&p).await;
    let done = export(&door, "lead", json!({})).await;
    assert_eq!(done["state"], "exported", "{done}");
    assert_eq!(writes(&p).await, before, "nothing changed");
    let done = export(&door, "second", json!({})).await;
    assert_eq!(done["state"], "exported", "{done}");
    assert_eq!(records(&p, "companies").await.len(), 1);
    assert_eq!(records(&p, "contacts").await.len(), 2);
}

#[tokio::test]
async fn a_contact_that_is_there_is_adopted_and_only_its_gaps_are_filled() {
    let p = Planted::new().await;
    let there = json!({"email": "Known@adopt-e2.com", "firstname": "Theirs"});
    let known = p.record("contacts", there, &[]).await;
    let door = p.connect().await;
    door.people(
        json!([{"id": "known", "version": 1, "email": "known@adopt-e2.com",
        "fields": {"first_name": "Ours", "job_title": "Buyer"}}]),
    )
    .await;
    let done = export(&door, "known", json!({})).await;
    assert_eq!(done["state"], "exported", "{done}");
    assert_eq!(done["hubspot_id"].as_i64().unwrap(), known);
    let contacts = records(&p, "contacts").await;
    assert_eq!(contacts.len(), 1);
    assert_eq!(contacts[0]["properties"]["firstname"], "Theirs");
    assert_eq!(contacts[0]["properties"]["jobtitle"], "Buyer");
    // Overwritten where an admin says so, and only that.
    change_settings(&door, |settings| {
        for row in settings["contacts"].as_array_mut().unwrap() {
            if row["property"] == "firstname" {
                row["export"] = json!("overwrite");
            }
        }
    })
    .await;
    let done = export(&door, "known", json!({})).await;
    assert_eq!(done["state"], "exported", "{done}");
    let contacts = records(&p, "contacts").await;
    assert_eq!(contacts[0]["properties"]["firstname"], "Ours");
}

#[tokio::test]
async fn who_cannot_be_exported_is_left_out_with_the_reason() {
    let p = Planted::new().await;
    let gone = p
        .record("contacts", json!({"email": "gone@skip-e2.com"}), &[])
        .await;
    let door = p.connect().await;
    door.people(json!([
        {"id": "nobody", "version": 1},
        {"id": "gone", "version": 1, "email": "gone@skip-e2.com"},
    ]))
    .await;
    let done = export(&door, "nobody", json!({})).await;
    assert_eq!(
        (&done["state"], &done["reason"]),
        (&json!("skipped"), &json!("no_email"))
    );
    // Linked by an export, and archived in HubSpot afterwards: nobody makes another by itself.
    let done = export(&door, "gone", json!({})).await;
    assert_eq!(done["state"], "exported", "{done}");
    let path = format!("records/contacts/{gone}");
    p.tenant.control("DELETE", &path, None).await;
    let done = export(&door, "gone", json!({})).await;
    assert_eq!(
        (&done["state"], &done["reason"]),
        (&json!("skipped"), &json!("contact_archived")),
        "{done}"
    );
    assert!(records(&p, "contacts").await.is_empty());
}
