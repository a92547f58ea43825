//! E2, E3, E4, E6, E7: what a manual export of a person makes in HubSpot.

use domain::{ObjectType, app::RecordKind};
use e2e::{
    exports::{entries, export, live, primary_domains, writes},
    mirrored,
    planted::{Planted, change_settings, number},
    previews::KEY,
    profiles::until,
};
use serde_json::json;

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
    let done = export(&door, "lead").await;
    assert_eq!(done["state"], "exported", "{done}");
    let contacts = live(&p, "contacts").await;
    let companies = live(&p, "companies").await;
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
    // The mirror knows it before anything is read again.
    let store = store::testing::store_of(&p.tenant.api.addresses().database_url).await;
    let mirrored = store
        .associations_from(p.tenant.workspace, p.tenant.portal, ObjectType::Contact)
        .await
        .unwrap();
    for (kind, key) in [
        (RecordKind::Person, "lead@example-e2.co.uk"),
        (RecordKind::Company, "example-e2.co.uk"),
    ] {
        let keys = [key.to_owned()];
        let found = store
            .mirrored_by_keys(p.tenant.workspace, p.tenant.portal, kind, &keys)
            .await
            .unwrap();
        assert_eq!(found.len(), 1, "{key}");
    }
    let ids = (number(&contacts[0]["id"]), number(&companies[0]["id"]));
    assert_eq!(mirrored.len(), 1, "{mirrored:?}");
    assert_eq!((mirrored[0].from.get(), mirrored[0].to.get()), ids);
    assert!(mirrored[0].labels.iter().any(|l| l == "contact_to_company"));
    let before = writes(&p).await;
    let done = export(&door, "lead").await;
    assert_eq!(done["state"], "exported", "{done}");
    assert_eq!(writes(&p).await, before, "nothing changed");
    let done = export(&door, "second").await;
    assert_eq!(done["state"], "exported", "{done}");
    assert_eq!(live(&p, "companies").await.len(), 1);
    assert_eq!(live(&p, "contacts").await.len(), 2);
}

#[tokio::test]
async fn an_odd_address_makes_a_company_only_once_hubspot_took_it() {
    let p = Planted::new().await;
    let door = p.connect().await;
    let company = |id: &str| json!({"id": id, "version": 1, "fields": {"name": id, "website": format!("{id}-odd-e2.com")}});
    let companies = json!({"items": [company("refused"), company("taken")]});
    door.ok("POST", "/companies", Some(companies)).await;
    door.people(json!([
        {"id": "refused", "version": 1, "email": "lead@odd-e2.bad", "company": "refused"},
        {"id": "bare", "version": 1, "email": "bare@odd-e2.bad"},
        {"id": "taken", "version": 1, "email": "jörg@taken-odd-e2.com", "company": "taken"},
    ]))
    .await;
    for person in ["refused", "bare"] {
        let done = export(&door, person).await;
        assert_eq!(done["reason"], "email_refused", "{done}");
    }
    assert!(live(&p, "contacts").await.is_empty());
    assert!(live(&p, "companies").await.is_empty());
    let done = export(&door, "taken").await;
    assert_eq!(done["state"], "exported", "{done}");
    let primary = primary_domains(&p).await;
    let of = primary["jörg@taken-odd-e2.com"].as_deref();
    assert_eq!(of, Some("taken-odd-e2.com"));
    let before = writes(&p).await;
    let done = export(&door, "taken").await;
    assert_eq!(done["state"], "exported", "{done}");
    assert_eq!(writes(&p).await, before, "nothing changed");
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
    let done = export(&door, "known").await;
    assert_eq!(done["state"], "exported", "{done}");
    assert_eq!(done["hubspot_id"].as_i64().unwrap(), known);
    let contacts = live(&p, "contacts").await;
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
    let done = export(&door, "known").await;
    assert_eq!(done["state"], "exported", "{done}");
    let contacts = live(&p, "contacts").await;
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
    let done = export(&door, "nobody").await;
    assert_eq!(
        (&done["state"], &done["reason"]),
        (&json!("skipped"), &json!("no_email"))
    );
    // Linked by an export, and archived in HubSpot afterwards: nobody makes another by itself.
    let done = export(&door, "gone").await;
    assert_eq!(done["state"], "exported", "{done}");
    let path = format!("records/contacts/{gone}");
    p.tenant.control("DELETE", &path, None).await;
    let done = export(&door, "gone").await;
    assert_eq!(
        (&done["state"], &done["reason"]),
        (&json!("skipped"), &json!("contact_archived")),
        "{done}"
    );
    assert!(live(&p, "contacts").await.is_empty());
}

#[tokio::test]
async fn a_preview_is_what_the_export_writes_then_and_a_revert_brings_the_old_value_back() {
    let p = Planted::new().await;
    let there = json!({"email": "shown@preview-e2.com", "firstname": "Theirs"});
    let known = p.record("contacts", there, &[]).await;
    let door = p.connect().await;
    change_settings(&door, |settings| {
        for row in settings["contacts"].as_array_mut().unwrap() {
            if row["property"] == "firstname" {
                row["export"] = json!("overwrite");
            }
        }
    })
    .await;
    door.people(
        json!([{"id": "shown", "version": 1, "email": "shown@preview-e2.com",
        "fields": {"first_name": "Ours", "job_title": "Buyer"}}]),
    )
    .await;
    let before = writes(&p).await;
    let ask = json!({"person": "shown"});
    let preview = door.ok("POST", "/exports/preview", Some(ask)).await;
    assert_eq!(writes(&p).await, before, "a preview writes nothing");
    // Whoever keeps links up to date may have been there before.
    let action = preview["contact"]["action"].as_str().unwrap();
    assert!(["adopt", "update"].contains(&action), "{preview}");
    assert_eq!(preview["contact"]["hubspot_id"].as_i64(), Some(known));
    assert_eq!(preview["company"]["action"], "create");
    let done = export(&door, "shown").await;
    // Now that the portal is known to take it, our key is shown as well.
    door.people(json!([{"id": "next", "version": 1, "email": "next@another-e2.com"}]))
        .await;
    let ask = json!({"person": "next"});
    let next = door.ok("POST", "/exports/preview", Some(ask)).await;
    let changes = next["company"]["changes"].as_array().unwrap();
    let key = changes.iter().find(|change| change["property"] == KEY);
    assert_eq!(key.expect("our key")["new"], "another-e2.com", "{next}");
    assert_eq!(done["state"], "exported", "{done}");
    let contact = live(&p, "contacts").await.remove(0);
    let changes = preview["contact"]["changes"].as_array().unwrap();
    assert!(changes.len() >= 2, "{preview}");
    for change in changes {
        let property = change["property"].as_str().unwrap();
        assert_eq!(contact["properties"][property], change["new"], "{change}");
    }
    let written = entries(&door, "shown", "done").await;
    assert!(entries(&door, "shown", "open").await.is_empty());
    let update = written
        .iter()
        .find(|e| e.to_string().contains("firstname"))
        .expect("the overwrite is in the journal");
    let path = format!("/journal/{}/revert", update["entry"].as_str().unwrap());
    let body = json!({"property": "firstname"});
    let asked = door.ok("POST", &path, Some(body.clone())).await;
    let revert = format!("/reverts/{}", asked["revert"].as_str().unwrap());
    until("the revert ends", async || {
        door.ok("GET", &revert, None).await["state"] != "accepted"
    })
    .await;
    let end = door.ok("GET", &revert, None).await;
    assert_eq!(end["state"], "done", "{end}");
    let contact = live(&p, "contacts").await.remove(0);
    assert_eq!(contact["properties"]["firstname"], "Theirs");
    // What was reverted is not written again before the app has another value.
    let before = writes(&p).await;
    let done = export(&door, "shown").await;
    assert_eq!(done["state"], "exported", "{done}");
    assert_eq!(writes(&p).await, before);
    // What was only filled is not reverted: that would clear it. Nor is what somebody changed since.
    let filled = json!({"property": "jobtitle"});
    let refused = door.call("POST", &path, Some(filled)).await;
    assert_eq!(refused.code(), "HS-2441", "{}", refused.body);
    p.set("contacts", known, json!({"firstname": "Changed"}))
        .await;
    let asked = door.ok("POST", &path, Some(body)).await;
    let revert = format!("/reverts/{}", asked["revert"].as_str().unwrap());
    until("the second revert ends", async || {
        door.ok("GET", &revert, None).await["state"] != "accepted"
    })
    .await;
    let end = door.ok("GET", &revert, None).await;
    let refused = (&json!("refused"), &json!("HS-2444"));
    assert_eq!((&end["state"], &end["code"]), refused, "{end}");
    let contact = live(&p, "contacts").await.remove(0);
    assert_eq!(contact["properties"]["firstname"], "Changed");
}
