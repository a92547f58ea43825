//! E2: contacts that two people share, that are merged while an export of them is under way or
//! before anything tells of it, and that somebody archived.

use e2e::{
    door::Door,
    exports::{all_ended, ask, export, live, writes},
    journals::journal,
    mirrored::ties_of,
    planted::{Planted, change_settings, number},
    profiles::until,
    shared, store_of,
};
use serde_json::{Value, json};

async fn overwriting(door: &Door, properties: &[&str]) {
    change_settings(door, |settings| {
        for row in settings["contacts"].as_array_mut().unwrap() {
            if properties.contains(&row["property"].as_str().unwrap()) {
                row["export"] = json!("overwrite");
            }
        }
    })
    .await;
}

async fn linked_to(door: &Door, person: &str) -> Value {
    let path = format!("/people/{person}/profile");
    door.ok("GET", &path, None).await["link"].clone()
}

async fn none_open(door: &Door, person: &str) {
    for entry in journal(door, &[person.to_owned()]).await {
        assert_ne!(entry["state"], "open", "{entry}");
    }
}

#[tokio::test]
async fn of_two_people_on_one_contact_one_writes_its_values() {
    let p = Planted::new().await;
    let there = json!({
        "email": "one@shared-e2.com", "hs_additional_emails": "two@shared-e2.com", "jobtitle": "Theirs",
    });
    let contact = p.record("contacts", there, &[]).await;
    let door = p.connect().await;
    overwriting(&door, &["jobtitle"]).await;
    change_settings(&door, |settings| {
        settings["contact_values"] = json!([{"property": "salutation", "value": "Dr."}]);
    })
    .await;
    // The one of the additional address comes first, and has the lower id.
    door.people(json!([
        {"id": "a-two", "version": 1, "email": "two@shared-e2.com",
            "fields": {"job_title": "Of two", "city": "Ulm"}},
        {"id": "b-one", "version": 1, "email": "one@shared-e2.com",
            "fields": {"job_title": "Of one"}},
    ]))
    .await;
    until("both are linked", async || {
        let (a, b) = (
            linked_to(&door, "a-two").await,
            linked_to(&door, "b-one").await,
        );
        a["hubspot_id"] == contact && b["hubspot_id"] == contact
    })
    .await;
    for _ in 0..2 {
        for person in ["a-two", "b-one"] {
            let done = export(&door, person).await;
            assert_eq!(done["state"], "exported", "{done}");
            assert_eq!(done["hubspot_id"].as_i64(), Some(contact));
        }
        let contacts = live(&p, "contacts").await;
        assert_eq!(contacts.len(), 1);
        let has = &contacts[0]["properties"];
        assert_eq!(has["jobtitle"], "Of one");
        assert_eq!(has["email"], "one@shared-e2.com");
        // A value of the one who does not own them fills no gap either; a fixed value is nobody's own.
        assert!(has["city"].is_null(), "{has}");
        assert_eq!(has["salutation"], "Dr.");
    }
    let link = linked_to(&door, "a-two").await;
    assert_eq!(link["owns_values"], false, "{link}");
    assert_eq!(link["shared_with"], json!(["b-one"]));
    // They do not overwrite each other for ever.
    let before = writes(&p).await;
    for person in ["a-two", "b-one", "a-two", "b-one"] {
        export(&door, person).await;
    }
    assert_eq!(writes(&p).await, before);
}

/// Merges the person's contact into another one between the read and the write of an export.
async fn merged_under_way(keeps: bool) {
    let settings = json!({"merge_keeps_primary_id": keeps});
    let p = Planted::on(&shared(), settings).await;
    let there = json!({"email": "lead@merged-e2.com", "jobtitle": "Theirs"});
    let linked = p.record("contacts", there, &[]).await;
    let there = json!({"email": "other@merged-e2.com", "jobtitle": "Of the other"});
    let other = p.record("contacts", there, &[]).await;
    let door = p.connect().await;
    overwriting(&door, &["jobtitle"]).await;
    let lead = |version: u64, title: &str| json!([{"id": "lead", "version": version, "email": "lead@merged-e2.com", "fields": {"job_title": title}}]);
    door.people(lead(1, "Ours")).await;
    let done = export(&door, "lead").await;
    assert_eq!(done["hubspot_id"].as_i64(), Some(linked), "{done}");

    let slow = json!({
        "method": "PATCH", "path": format!("/contacts/{linked}$"), "times": 1,
        "effect": {"delay": {"ms": 3_000}},
    });
    p.tenant.control("POST", "faults", Some(slow)).await;
    door.people(lead(2, "Newer")).await;
    let request = ask(&door, "lead").await;
    until("the write is on its way", async || {
        let rules = p.tenant.control("GET", "faults", None).await;
        rules["faults"][0]["struck"] == 1
    })
    .await;
    let merge = json!({"type": "contacts", "primary": other, "other": linked});
    let left = p.tenant.control("POST", "merges", Some(merge)).await;
    let left = number(&left["id"]);
    assert_eq!(left == other, keeps);
    let end = all_ended(&door, &[request]).await.remove(0);
    assert_eq!(end["outcome"]["state"], "exported", "{end}");
    assert_eq!(end["outcome"]["hubspot_id"].as_i64(), Some(left), "{end}");
    let contacts = live(&p, "contacts").await;
    assert_eq!(contacts.len(), 1);
    assert_eq!(contacts[0]["properties"]["jobtitle"], "Newer");
    none_open(&door, "lead").await;

    // The link follows, and nothing is left to write.
    let before = writes(&p).await;
    let done = export(&door, "lead").await;
    assert_eq!(done["hubspot_id"].as_i64(), Some(left), "{done}");
    assert_eq!(writes(&p).await, before);
    assert_eq!(
        linked_to(&door, "lead").await["hubspot_id"].as_i64(),
        Some(left)
    );
}

#[tokio::test]
async fn a_contact_merged_under_way_is_written_where_it_went() {
    futures::future::join(merged_under_way(true), merged_under_way(false)).await;
}

/// Two people with a company each are exported; then somebody merges the contacts and the companies.
async fn merged_afterwards(keeps: bool) {
    let settings = json!({"merge_keeps_primary_id": keeps});
    let p = Planted::on(&shared(), settings).await;
    let door = p.connect().await;
    overwriting(&door, &["jobtitle"]).await;
    change_settings(&door, |settings| {
        settings["status"] = json!({"property": "hs_lead_status", "rows": [
            {"status": "contacted", "value": "OPEN"}, {"status": "interested", "value": "IN_PROGRESS"}]});
        for row in settings["companies"].as_array_mut().unwrap() {
            if row["property"] == "city" {
                row["export"] = json!("overwrite");
            }
        }
    })
    .await;
    // The one whose address stays the primary one has the higher id.
    let (stays, goes) = ("b-stays", "a-goes");
    let firm = |person: &str, version: u64, city: &str| {
        let domain = format!("{person}-ends-e2.com");
        json!({"id": format!("firm-{person}"), "version": version,
            "fields": {"name": person, "domain": domain, "city": city}})
    };
    let lead = |person: &str, version: u64, title: &str, status: &str| {
        json!([{"id": person, "version": version, "email": format!("{person}@{person}-ends-e2.com"),
            "company": format!("firm-{person}"), "status": status, "fields": {"job_title": title}}])
    };
    let mut made: [Vec<i64>; 2] = Default::default();
    for person in [stays, goes] {
        door.companies(vec![firm(person, 1, person)]).await;
        door.people(lead(person, 1, person, "contacted")).await;
        let done = export(&door, person).await;
        assert_eq!(done["state"], "exported", "{done}");
        for (of, plural) in made.iter_mut().zip(["contacts", "companies"]) {
            let all = live(&p, plural).await;
            let ids = all.iter().map(|record| number(&record["id"]));
            let new = ids.filter(|id| !of.contains(id)).collect::<Vec<_>>();
            assert_eq!(new.len(), 1);
            of.extend(new);
        }
    }
    for (of, plural) in made.iter().zip(["contacts", "companies"]) {
        let merge = json!({"type": plural, "primary": of[0], "other": of[1]});
        let left = p.tenant.control("POST", "merges", Some(merge)).await;
        assert_eq!(number(&left["id"]) == of[0], keeps);
    }
    // Before anything else tells of the merge.
    let items = json!({"items": [firm(goes, 2, "Elsewhere")]});
    door.ok("POST", "/companies", Some(items)).await;
    door.people(lead(goes, 2, "Of the other", "interested"))
        .await;
    for _ in 0..2 {
        let done = export(&door, goes).await;
        assert_eq!(done["state"], "exported", "{done}");
    }
    let (contacts, companies) = (live(&p, "contacts").await, live(&p, "companies").await);
    assert_eq!((contacts.len(), companies.len()), (1, 1));
    let has = &contacts[0]["properties"];
    assert_eq!(has["email"], format!("{stays}@{stays}-ends-e2.com"));
    assert_eq!(has["jobtitle"], stays);
    assert_eq!(has["hs_lead_status"], "OPEN");
    assert_eq!(companies[0]["properties"]["city"], stays);
    // Whose they are goes on writing them.
    let items = json!({"items": [firm(stays, 2, "Here")]});
    door.ok("POST", "/companies", Some(items)).await;
    door.people(lead(stays, 2, "Newer", "interested")).await;
    let done = export(&door, stays).await;
    assert_eq!(done["state"], "exported", "{done}");
    let (contacts, companies) = (live(&p, "contacts").await, live(&p, "companies").await);
    let has = &contacts[0]["properties"];
    assert_eq!(has["jobtitle"], "Newer");
    assert_eq!(has["hs_lead_status"], "IN_PROGRESS");
    assert_eq!(companies[0]["properties"]["city"], "Here");
}

#[tokio::test]
async fn who_was_merged_away_does_not_write_what_is_the_others_now() {
    futures::future::join(merged_afterwards(true), merged_afterwards(false)).await;
}

/// A new contact is merged into one of another company before its company is looked at once more.
async fn merged_soon_after_the_create(keeps: bool) {
    let p = Planted::on(&shared(), json!({"merge_keeps_primary_id": keeps})).await;
    let theirs = json!({"name": "Theirs", "domain": "theirs-soon-e2.com"});
    let theirs = p.record("companies", theirs, &[]).await;
    let there = json!({"email": "rep@theirs-soon-e2.com"});
    let primary = p.record("contacts", there, &[("companies", theirs)]).await;
    let door = p.connect().await;
    door.people(json!([{"id": "lead", "version": 1, "email": "lead@ours-soon-e2.com"}]))
        .await;
    let done = export(&door, "lead").await;
    assert_eq!(done["state"], "exported", "{done}");
    let made = number(&done["hubspot_id"]);
    let merge = json!({"type": "contacts", "primary": primary, "other": made});
    p.tenant.control("POST", "merges", Some(merge)).await;
    let companies = async || {
        let contacts = live(&p, "contacts").await;
        assert_eq!(contacts.len(), 1);
        ties_of(&contacts[0])
    };
    let (chosen, before) = (companies().await, writes(&p).await);
    assert!(chosen.contains(&(
        "companies".to_owned(),
        theirs.to_string(),
        "contact_to_company".to_owned()
    )));
    let store = store_of(p.tenant.api.addresses()).await;
    until("it was looked at once more", async || {
        store.rechecks_left(p.tenant.workspace).await == 0
    })
    .await;
    assert_eq!(companies().await, chosen);
    assert_eq!(writes(&p).await, before);
    none_open(&door, "lead").await;
}

#[tokio::test]
async fn a_merge_soon_after_the_create_keeps_the_company_that_somebody_chose() {
    let both = [true, false].map(merged_soon_after_the_create);
    futures::future::join_all(both).await;
}

#[tokio::test]
async fn an_archived_contact_is_made_anew_by_hand_alone() {
    let p = Planted::new().await;
    let there = json!({"email": "gone@archived-e2.com"});
    let archived = p.record("contacts", there, &[]).await;
    let door = p.connect().await;
    let fields = json!({"first_name": "Gone"});
    door.people(
        json!([{"id": "gone", "version": 1, "email": "gone@archived-e2.com", "fields": fields}]),
    )
    .await;
    let done = export(&door, "gone").await;
    assert_eq!(done["hubspot_id"].as_i64(), Some(archived), "{done}");
    let path = format!("records/contacts/{archived}");
    p.tenant.control("DELETE", &path, None).await;
    let done = export(&door, "gone").await;
    assert_eq!(done["reason"], "contact_archived", "{done}");
    assert!(live(&p, "contacts").await.is_empty());

    let anew = json!({"person": "gone", "anew": true});
    let asked = door.ok("POST", "/exports", Some(anew)).await;
    let request = asked["requests"][0]["request"].as_str().unwrap().to_owned();
    let end = all_ended(&door, &[request]).await.remove(0);
    assert_eq!(end["outcome"]["state"], "exported", "{end}");
    let contacts = live(&p, "contacts").await;
    assert_eq!(contacts.len(), 1);
    assert_eq!(contacts[0]["properties"]["firstname"], "Gone");
    let made = number(&contacts[0]["id"]);
    assert_ne!(made, archived);
    assert_eq!(end["outcome"]["hubspot_id"].as_i64(), Some(made));
    // From now on it is the one.
    let before = writes(&p).await;
    let done = export(&door, "gone").await;
    assert_eq!(done["hubspot_id"].as_i64(), Some(made), "{done}");
    assert_eq!(writes(&p).await, before);
    assert_eq!(
        linked_to(&door, "gone").await["hubspot_id"].as_i64(),
        Some(made)
    );
    none_open(&door, "gone").await;
}
