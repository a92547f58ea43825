//! X1, E2, E3, E4, E7, E10: answers to exports that HubSpot seldom gives, and may give: a request comes to its
//! end, nothing is made twice, and the journal tells what HubSpot has.

use e2e::{
    door::Door,
    exports::{export, live},
    journals::{State, assert_true, journal, state},
    mirrored,
    planted::{Planted, change_settings, number},
    profiles::until,
    shared,
    verdicts::{kept, verdict},
};
use serde_json::{Value, json};

use crate::e1_bulk::{export_in_bulk, people as whom, take_all_contacted};

/// A rule of the simulator's that gives this answer instead of the right one.
fn instead(method: &str, path: &str, part: &str, status: u16, body: &Value) -> Value {
    json!({
        "id": part, "method": method, "path": path, "body": part,
        "effect": {"status": {"status": status, "body": body.to_string()}},
    })
}

async fn strike(p: &Planted, rule: Value) {
    p.tenant.control("POST", "faults", Some(rule)).await;
}

/// Adds rows of a tab, in place of those of the same property or field.
async fn with_rows(door: &Door, tab: &str, rows: &[(&str, &str, &str)]) {
    change_settings(door, |settings| {
        let tab = settings[tab].as_array_mut().unwrap();
        for (field, property, behavior) in rows {
            tab.retain(|row| row["property"] != *property && row["app_field"] != *field);
            tab.push(json!({
                "app_field": field, "property": property, "import_priority": "crm", "export": behavior,
            }));
        }
    })
    .await;
}

async fn unique_property(p: &Planted, plural: &str, group: &str) {
    let body = json!({
        "name": "crm_ref", "label": "CRM ref", "type": "string", "fieldType": "text",
        "groupName": group, "hasUniqueValue": true,
    });
    p.hubspot(
        "POST",
        &format!("/crm/properties/2026-09/{plural}"),
        Some(body),
    )
    .await;
}

fn lead(id: &str, email: &str, fields: Value) -> Value {
    json!([{"id": id, "version": 1, "email": email, "fields": fields}])
}

async fn only_contact(p: &Planted) -> Value {
    let mut all = live(p, "contacts").await;
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)["properties"].take()
}

/// A batch read by an additional address does not bring the contact, and a create is refused for it.
#[tokio::test]
async fn a_contact_that_only_a_conflict_leads_to_is_adopted() {
    let p = Planted::new().await;
    let door = p.connect().await;
    let there =
        json!({"email": "one@conflict-e2.com", "hs_additional_emails": "two@conflict-e2.com"});
    let contact = p.record("contacts", there, &[]).await;
    let unknown = json!({
        "status": "COMPLETE", "results": [], "numErrors": 1,
        "errors": [{"status": "error", "category": "OBJECT_NOT_FOUND",
            "message": "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid.",
            "context": {"ids": ["two@conflict-e2.com"]}}],
    });
    strike(
        &p,
        instead(
            "POST",
            "/contacts/batch/read$",
            "two@conflict-e2.com",
            207,
            &unknown,
        ),
    )
    .await;
    door.people(lead(
        "two",
        "two@conflict-e2.com",
        json!({"first_name": "Two"}),
    ))
    .await;
    let done = export(&door, "two").await;
    assert_eq!(done["state"], "exported", "{done}");
    assert_eq!(done["hubspot_id"].as_i64(), Some(contact), "{done}");
    let has = only_contact(&p).await;
    assert_eq!(has["email"], "one@conflict-e2.com");
    assert_eq!(has["firstname"], "Two");
}

/// HubSpot says that a contact is there, and nothing leads to it.
#[tokio::test]
async fn a_conflict_with_a_contact_that_is_not_to_be_found_ends_the_request() {
    let p = Planted::new().await;
    let door = p.connect().await;
    let taken = json!({
        "status": "error", "category": "CONFLICT", "message": "Contact already exists",
        "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf",
    });
    strike(
        &p,
        instead("POST", "/contacts$", "ghost@conflict-e2.com", 409, &taken),
    )
    .await;
    door.people(lead("ghost", "ghost@conflict-e2.com", json!({})))
        .await;
    let done = export(&door, "ghost").await;
    assert_eq!(done["state"], "failed", "{done}");
    assert_eq!(done["reason"], "conflict", "{done}");
}

/// A row writes a unique property of the portal's, and its value is another record's.
#[tokio::test]
async fn a_unique_value_of_another_record_is_left_out_and_the_rest_is_written() {
    let p = Planted::on(&shared(), json!({"property_delay_ms": 0})).await;
    unique_property(&p, "contacts", "contactinformation").await;
    unique_property(&p, "companies", "companyinformation").await;
    let taken = json!({"properties": {"email": "other@unique-e4.com", "crm_ref": "A-1"}});
    p.hubspot("POST", "/crm/objects/2026-09/contacts", Some(taken))
        .await;
    p.record("contacts", json!({"email": "old@unique-e4.com"}), &[])
        .await;
    let taken = json!({
        "properties": {"domain": "other-unique-e4.com", "name": "Other", "crm_ref": "A-1"},
    });
    p.hubspot("POST", "/crm/objects/2026-09/companies", Some(taken))
        .await;
    let door = p.connect().await;
    with_rows(&door, "contacts", &[("job_title", "crm_ref", "overwrite")]).await;
    with_rows(&door, "companies", &[("city", "crm_ref", "overwrite")]).await;
    let fields = json!({"name": "New", "website": "https://new-unique-e4.com", "city": "A-1", "industry": "x"});
    door.companies(vec![json!({"id": "new", "version": 1, "fields": fields})])
        .await;
    let person = |id: &str, company: Option<&str>| {
        json!({"id": id, "version": 1, "email": format!("{id}@unique-e4.com"), "company": company,
            "fields": {"first_name": "Ours", "job_title": "A-1"}})
    };
    door.people(json!([person("new", Some("new")), person("old", None)]))
        .await;
    for id in ["new", "old"] {
        let request = e2e::exports::ask(&door, id).await;
        let end = e2e::exports::all_ended(&door, &[request]).await.remove(0);
        assert_eq!(end["outcome"]["state"], "exported", "{id}: {end}");
        assert_eq!(end["properties"], json!(["crm_ref"]), "{id}: {end}");
        assert_eq!(end["code"], "HS-3007", "{id}: {end}");
    }
    let contacts = live(&p, "contacts").await;
    for id in ["new", "old"] {
        let email = format!("{id}@unique-e4.com");
        let all: Vec<_> = contacts
            .iter()
            .filter(|c| c["properties"]["email"] == email.as_str())
            .collect();
        assert_eq!(all.len(), 1, "{id}");
        assert_eq!(all[0]["properties"]["firstname"], "Ours", "{id}");
        assert!(all[0]["properties"]["crm_ref"].is_null(), "{id}");
    }
    let companies = live(&p, "companies").await;
    let made: Vec<_> = companies
        .iter()
        .filter(|c| c["properties"]["domain"] == "new-unique-e4.com")
        .collect();
    assert_eq!(made.len(), 1);
    assert!(made[0]["properties"]["crm_ref"].is_null());
}

/// The person has another address by now, which is another contact's; the mirror does not know it.
#[tokio::test]
async fn an_address_of_another_contact_is_left_out_and_the_rest_is_written() {
    let p = Planted::new().await;
    let linked = p
        .record("contacts", json!({"email": "old@moved-e2.com"}), &[])
        .await;
    let door = p.connect().await;
    with_rows(
        &door,
        "contacts",
        &[
            ("email", "email", "overwrite"),
            ("job_title", "jobtitle", "overwrite"),
        ],
    )
    .await;
    door.people(lead(
        "lead",
        "old@moved-e2.com",
        json!({"job_title": "One"}),
    ))
    .await;
    let done = export(&door, "lead").await;
    assert_eq!(done["hubspot_id"].as_i64(), Some(linked), "{done}");
    p.record("contacts", json!({"email": "new@moved-e2.com"}), &[])
        .await;
    let mut moved = lead("lead", "new@moved-e2.com", json!({"job_title": "Two"}));
    moved[0]["version"] = json!(2);
    door.people(moved).await;
    let request = e2e::exports::ask(&door, "lead").await;
    let end = e2e::exports::all_ended(&door, &[request]).await.remove(0);
    assert_eq!(end["outcome"]["state"], "exported", "{end}");
    assert_eq!(end["properties"], json!(["email"]), "{end}");
    let contacts = live(&p, "contacts").await;
    assert_eq!(contacts.len(), 2);
    let ours = contacts
        .iter()
        .find(|c| number(&c["id"]) == linked)
        .unwrap();
    assert_eq!(ours["properties"]["email"], "old@moved-e2.com");
    assert_eq!(ours["properties"]["jobtitle"], "Two");
}

/// The company of a contact that is there was archived, and the mirror still has it.
#[tokio::test]
async fn contacts_that_are_there_get_another_company_where_theirs_is_gone() {
    let p = Planted::new().await;
    let there = json!({"name": "Gone", "domain": "gone-x1.com"});
    let company = p.record("companies", there, &[]).await;
    let ids: Vec<String> = (0..4).map(|n| format!("p{n}")).collect();
    for id in &ids {
        p.record(
            "contacts",
            json!({"email": format!("{id}@gone-x1.com")}),
            &[],
        )
        .await;
    }
    let door = p.connect().await;
    p.tenant
        .control("DELETE", &format!("records/companies/{company}"), None)
        .await;
    take_all_contacted(&door).await;
    let people: Vec<Value> = ids
        .iter()
        .map(|id| {
            json!({"id": id, "version": 1, "email": format!("{id}@gone-x1.com"),
                "contacted_at": "2026-01-02T00:00:00Z"})
        })
        .collect();
    door.people(json!(people)).await;
    let done = export(&door, &ids[0]).await;
    assert_eq!(done["state"], "exported", "{done}");
    let end = export_in_bulk(&door, whom(&ids[1..])).await;
    assert_eq!(end["counts"]["exported"], ids.len() - 1, "{end}");
    let companies = live(&p, "companies").await;
    assert_eq!(companies.len(), 1, "{companies:#?}");
    for contact in live(&p, "contacts").await {
        let ties = mirrored::ties_of(&contact);
        let with = ties
            .iter()
            .any(|(_, id, _)| json!(id) == companies[0]["id"]);
        assert!(with, "{contact}");
    }
}

/// HubSpot's answer about a company cannot be read: that is not *gone*.
#[tokio::test]
async fn a_company_whose_answer_cannot_be_read_is_not_made_again() {
    let p = Planted::new().await;
    let there = json!({"name": "Theirs", "domain": "odd-x1.com"});
    let company = p.record("companies", there, &[]).await;
    let door = p.connect().await;
    with_rows(&door, "companies", &[("city", "city", "overwrite")]).await;
    let fields = json!({"name": "Ours", "website": "https://odd-x1.com", "city": "Ulm"});
    door.companies(vec![json!({"id": "odd", "version": 1, "fields": fields})])
        .await;
    door.people(
        json!([{"id": "lead", "version": 1, "email": "lead@odd-x1.com", "company": "odd"}]),
    )
    .await;
    let odd = json!({"status": "COMPLETE", "results": [
        {"id": company.to_string(), "properties": null, "createdAt": null, "updatedAt": null}]});
    let mut rule = instead(
        "POST",
        "/companies/batch/read$",
        &company.to_string(),
        200,
        &odd,
    );
    rule["times"] = json!(1);
    strike(&p, rule).await;
    let request = e2e::exports::ask(&door, "lead").await;
    let end = e2e::exports::all_ended(&door, &[request]).await.remove(0);
    assert_eq!(end["outcome"]["state"], "exported", "{end}");
    let companies = live(&p, "companies").await;
    assert_eq!(companies.len(), 1, "{companies:#?}");
    assert_eq!(number(&companies[0]["id"]), company);
    assert_eq!(companies[0]["properties"]["city"], "Ulm");
}

/// A rule of the portal's that is newer than what was read of it asks for another value.
#[tokio::test]
async fn what_makes_the_portal_ask_for_more_is_left_out_of_an_update() {
    let p = Planted::new().await;
    let there = json!({"domain": "rules-e4.com", "name": "Rules"});
    p.record("companies", there, &[]).await;
    p.record("contacts", json!({"email": "lead@rules-e4.com"}), &[])
        .await;
    let door = p.connect().await;
    with_rows(&door, "contacts", &[("job_title", "jobtitle", "overwrite")]).await;
    with_rows(&door, "companies", &[("city", "city", "overwrite")]).await;
    let rules = json!({"conditional_properties": {
        "contacts": [{"property": "jobtitle", "required": ["fax"]}],
        "companies": [{"property": "city", "required": ["about_us"]}]}});
    p.tenant.control("PATCH", "", Some(rules)).await;
    let fields = json!({"name": "Rules", "website": "https://rules-e4.com", "city": "Ulm"});
    door.companies(vec![json!({"id": "rules", "version": 1, "fields": fields})])
        .await;
    door.people(
        json!([{"id": "lead", "version": 1, "email": "lead@rules-e4.com", "company": "rules",
        "fields": {"first_name": "Ours", "job_title": "Buyer"}}]),
    )
    .await;
    let request = e2e::exports::ask(&door, "lead").await;
    let end = e2e::exports::all_ended(&door, &[request]).await.remove(0);
    assert_eq!(end["outcome"]["state"], "exported", "{end}");
    assert_eq!(end["code"], "HS-3015", "{end}");
    let has = only_contact(&p).await;
    assert_eq!(has["firstname"], "Ours");
    assert!(has["jobtitle"].is_null(), "{has}");
}

/// A stage goes back: it is emptied, and then HubSpot does not take the new one.
#[tokio::test]
async fn a_stage_that_was_emptied_comes_back_where_the_new_one_is_refused() {
    let p = Planted::new().await;
    let there = json!({"email": "lead@emptied-e7.com", "lifecyclestage": "customer"});
    let contact = p.record("contacts", there, &[]).await;
    let first: State = state(&p).await;
    let door = p.connect().await;
    change_settings(&door, |settings| {
        settings["status"] = json!({"property": "lifecyclestage", "allow_backward": true,
            "rows": [{"status": "contacted", "value": "lead"}]});
    })
    .await;
    let refused = json!({
        "status": "error", "category": "VALIDATION_ERROR",
        "message": "Property values were not valid",
        "errors": [{"message": "A value for `fax` must be provided", "code": "MISSING_REQUIRED_PROPERTY",
            "context": {"propertyName": ["fax"]}}],
    });
    let path = format!("/contacts/{contact}$");
    strike(&p, instead("PATCH", &path, "\"lead\"", 400, &refused)).await;
    door.people(
        json!([{"id": "lead", "version": 1, "email": "lead@emptied-e7.com",
        "status": "contacted", "fields": {"first_name": "Ours"}}]),
    )
    .await;
    let request = e2e::exports::ask(&door, "lead").await;
    e2e::exports::all_ended(&door, &[request]).await;
    let has = only_contact(&p).await;
    assert_eq!(has["lifecyclestage"], "customer", "{has}");
    assert_true(&p, &door, &["lead".to_owned()], &first).await;
}

#[tokio::test]
async fn whoever_was_erased_in_hubspot_is_skipped_as_such() {
    let p = Planted::new().await;
    let there = json!({"email": "gone@erased-c7.com"});
    p.record("contacts", there, &[]).await;
    let erase = json!({"objectId": "gone@erased-c7.com", "idProperty": "email"});
    p.hubspot(
        "POST",
        "/crm/objects/2026-09/contacts/gdpr-delete",
        Some(erase),
    )
    .await;
    let door = p.connect().await;
    door.people(lead("gone", "gone@erased-c7.com", json!({})))
        .await;
    let done = export(&door, "gone").await;
    assert_eq!(done["state"], "skipped", "{done}");
    assert_eq!(done["reason"], "erased_in_hubspot", "{done}");
    let no = verdict(&door, "gone").await;
    assert_eq!(no["allowed"], false, "{no}");
    assert_eq!(no["reasons"], json!([{"rule": "erased"}]));
    kept(&p, &door, "gone").await;
    let body = json!({"emails": ["Gone@Erased-C7.com", "other@erased-c7.com"]});
    let asked = door.ok("POST", "/dnc", Some(body)).await;
    assert_eq!(asked["emails"][0]["allowed"], false, "{asked}");
    assert_eq!(asked["emails"][1]["allowed"], true, "{asked}");
    // The person has another address: that one was not refused.
    let body = json!([{"id": "gone", "version": 2, "email": "back@erased-c7.com"}]);
    door.people(body).await;
    let yes = verdict(&door, "gone").await;
    assert_eq!(yes["allowed"], true, "{yes}");
    kept(&p, &door, "gone").await;
}

/// The write of a contact took effect, nobody heard of it, and the contact was merged into another one.
#[tokio::test]
async fn a_write_is_found_where_its_contact_was_merged_to() {
    let settings = json!({"batch_read_follows_merges": false});
    let p = Planted::on(&shared(), settings).await;
    let there = json!({"email": "lead@merged-x1.com"});
    let linked = p.record("contacts", there, &[]).await;
    let other = p
        .record("contacts", json!({"email": "other@merged-x1.com"}), &[])
        .await;
    let door = p.connect().await;
    door.people(lead(
        "lead",
        "lead@merged-x1.com",
        json!({"first_name": "Ours"}),
    ))
    .await;
    let dropped = json!({
        "method": "PATCH", "path": format!("/contacts/{linked}$"), "times": 1,
        "when": "after", "effect": {"hang": {"ms": 1_000}},
    });
    strike(&p, dropped).await;
    let request = e2e::exports::ask(&door, "lead").await;
    until("the write took effect", async || {
        live(&p, "contacts")
            .await
            .iter()
            .any(|c| c["properties"]["firstname"] == "Ours")
    })
    .await;
    let merge = json!({"type": "contacts", "primary": other, "other": linked});
    let left = p.tenant.control("POST", "merges", Some(merge)).await;
    let left = number(&left["id"]);
    let end = e2e::exports::all_ended(&door, &[request]).await.remove(0);
    assert_eq!(end["outcome"]["state"], "exported", "{end}");
    assert_eq!(end["outcome"]["hubspot_id"].as_i64(), Some(left), "{end}");
    let done = journal(&door, &["lead".to_owned()]).await;
    let wrote = done.iter().any(|entry| {
        entry["state"] == "done" && entry["properties"].to_string().contains("firstname")
    });
    assert!(wrote, "{done:#?}");
}

/// Somebody in HubSpot moves the stage on between read and write: HubSpot says yes, and changes nothing.
#[tokio::test]
async fn a_stage_that_hubspot_keeps_silently_is_not_said_to_be_written() {
    let p = Planted::new().await;
    let there = json!({"email": "lead@silent-e7.com", "lifecyclestage": "subscriber"});
    let contact = p.record("contacts", there, &[]).await;
    let door = p.connect().await;
    change_settings(&door, |settings| {
        settings["status"] = json!({"property": "lifecyclestage",
            "rows": [{"status": "contacted", "value": "lead"}]});
    })
    .await;
    let slow = json!({
        "method": "PATCH", "path": format!("/contacts/{contact}$"), "times": 1,
        "effect": {"delay": {"ms": 2_000}},
    });
    strike(&p, slow).await;
    door.people(
        json!([{"id": "lead", "version": 1, "email": "lead@silent-e7.com",
        "status": "contacted", "fields": {"first_name": "Ours"}}]),
    )
    .await;
    let request = e2e::exports::ask(&door, "lead").await;
    until("the write is on its way", async || {
        let rules = p.tenant.control("GET", "faults", None).await;
        rules["faults"][0]["struck"] == 1
    })
    .await;
    p.set("contacts", contact, json!({"lifecyclestage": "customer"}))
        .await;
    let end = e2e::exports::all_ended(&door, &[request]).await.remove(0);
    assert_eq!(end["outcome"]["state"], "exported", "{end}");
    assert_eq!(end["code"], "HS-2425", "{end}");
    let has = only_contact(&p).await;
    assert_eq!(
        (&has["lifecyclestage"], &has["firstname"]),
        (&json!("customer"), &json!("Ours"))
    );
    for entry in journal(&door, &["lead".to_owned()]).await {
        let told = entry["properties"].to_string();
        assert!(!told.contains("lifecyclestage"), "{entry}");
    }
}

/// A gateway's page is no answer about an address.
#[tokio::test]
async fn a_page_in_place_of_a_lookup_skips_nobody() {
    let p = Planted::new().await;
    let door = p.connect().await;
    let page = json!({
        "id": "page", "method": "POST", "path": "/contacts/batch/read$", "body": "lead@page-x1.com",
        "times": 1, "effect": {"status": {"status": 400, "html": true}},
    });
    strike(&p, page).await;
    door.people(lead("lead", "lead@page-x1.com", json!({})))
        .await;
    let done = export(&door, "lead").await;
    assert_eq!(done["state"], "exported", "{done}");
}

/// The create did not take effect, and a rep made the contact by hand meanwhile.
#[tokio::test]
async fn what_a_rep_made_meanwhile_is_not_said_to_be_ours() {
    let p = Planted::new().await;
    let door = p.connect().await;
    let lost = json!({
        "method": "POST", "path": "/contacts$", "times": 1, "effect": {"hang": {"ms": 1_500}},
    });
    strike(&p, lost).await;
    door.people(lead(
        "lead",
        "lead@theirs-x1.com",
        json!({"first_name": "Ours"}),
    ))
    .await;
    let request = e2e::exports::ask(&door, "lead").await;
    until("the create is on its way", async || {
        let rules = p.tenant.control("GET", "faults", None).await;
        rules["faults"][0]["struck"] == 1
    })
    .await;
    let by_hand = json!({
        "email": "lead@theirs-x1.com", "lastname": "Theirs", "hs_object_source": "CRM_UI",
    });
    let contact = p.record("contacts", by_hand, &[]).await;
    let end = e2e::exports::all_ended(&door, &[request]).await.remove(0);
    assert_eq!(end["outcome"]["state"], "exported", "{end}");
    assert_eq!(
        end["outcome"]["hubspot_id"].as_i64(),
        Some(contact),
        "{end}"
    );
    let has = only_contact(&p).await;
    assert_eq!(
        (&has["firstname"], &has["lastname"]),
        (&json!("Ours"), &json!("Theirs"))
    );
    for entry in journal(&door, &["lead".to_owned()]).await {
        let made = entry["operation"] == "create" && entry["record_type"] == "contact";
        assert!(!made || entry["state"] != "done", "{entry}");
    }
}
