//! What was found out from public reports (`hubspot-api.md` §15), one by one.

use serde_json::{Value, json};

use crate::portal::{Portal, codes, id_of, objects};

const NBSP: &str = "\u{a0}";

fn new(properties: Value) -> Value {
    json!({"properties": properties})
}

async fn define(portal: &Portal, name: &str, kind: &str, field: &str) {
    let (status, made) = portal
        .post(
            "/crm/properties/2026-09/contacts",
            json!({"name": name, "label": name, "type": kind, "fieldType": field,
                   "groupName": "contactinformation",
                   "options": if kind == "enumeration" { json!([{"label": "A", "value": "A"}]) } else { json!([]) }}),
        )
        .await;
    assert_eq!(status, 201, "{made}");
}

#[tokio::test]
async fn a_merge_keeps_the_primarys_id_where_the_portal_wants_it() {
    for keeps in [false, true] {
        let portal = Portal::new(json!({"merge_keeps_primary_id": keeps})).await;
        let first = portal
            .create("contacts", json!({"email": "a@example.com"}))
            .await;
        let second = portal
            .create(
                "contacts",
                json!({"email": "b@example.com", "city": "Oslo"}),
            )
            .await;
        let company = portal.create("companies", json!({"name": "C"})).await;
        for contact in [&first, &second] {
            let path = format!(
                "/crm/v4/objects/contacts/{contact}/associations/default/companies/{company}"
            );
            assert_eq!(portal.put(&path, Value::Null).await.0, 200);
        }
        let merge = json!({"primaryObjectId": first, "objectIdToMerge": second});
        let (status, merged) = portal
            .post(&format!("{}/merge", objects("contacts")), merge)
            .await;
        assert_eq!(status, 200, "{merged}");
        let id = id_of(&merged);
        assert_eq!(id == first, keeps);
        for old in [&first, &second] {
            let path = format!(
                "{}/{old}?properties=city,hs_additional_emails,hs_merged_object_ids&associations=companies",
                objects("contacts")
            );
            let (status, found) = portal.get(&path).await;
            assert_eq!((status, id_of(&found)), (200, id.clone()));
            let properties = &found["properties"];
            assert_eq!(properties["city"], "Oslo");
            assert_eq!(properties["hs_additional_emails"], "b@example.com");
            let merged = properties["hs_merged_object_ids"].as_str().unwrap();
            let wanted = if keeps {
                second.clone()
            } else {
                format!("{first};{second}")
            };
            assert_eq!(merged, wanted);
            assert_eq!(
                found["associations"]["companies"]["results"][0]["id"],
                json!(company)
            );
        }
        // A third one joins.
        let third = portal
            .create("contacts", json!({"email": "c@example.com"}))
            .await;
        let merge = json!({"primaryObjectId": id, "objectIdToMerge": third});
        let (status, again) = portal
            .post(&format!("{}/merge", objects("contacts")), merge)
            .await;
        assert_eq!(status, 200);
        assert_eq!(id_of(&again) == first, keeps);
    }
}

#[tokio::test]
async fn portal_rules_hold_from_2026_09_on() {
    let portal = Portal::new(json!({
        "required_properties": {"contacts": ["city"]},
        "conditional_properties": {"contacts": [
            {"property": "country", "values": ["DE"], "required": ["zip"]},
        ]},
    }))
    .await;
    let contact = |n: u8| json!({"email": format!("a{n}@example.com")});
    for (n, path) in ["/crm/v3/objects/contacts", "/crm/objects/2026-03/contacts"]
        .into_iter()
        .enumerate()
    {
        assert_eq!(
            portal.post(path, new(contact(n as u8))).await.0,
            201,
            "{path}"
        );
    }
    let (status, body) = portal.post(&objects("contacts"), new(contact(5))).await;
    assert_eq!(
        (status, codes(&body)),
        (400, vec!["MISSING_REQUIRED_PROPERTY".to_owned()])
    );
    assert_eq!(
        body["errors"][0]["message"],
        "A value for city must be provided"
    );
    assert_eq!(
        body["errors"][0]["context"]["propertyName"],
        json!(["city"])
    );
    let (status, body) = portal
        .post(
            &objects("contacts"),
            new(json!({"email": "b@example.com", "city": "Berlin", "country": "DE"})),
        )
        .await;
    assert_eq!(
        (status, codes(&body)),
        (
            400,
            vec!["MISSING_CONDITIONAL_REQUIRED_PROPERTY".to_owned()]
        )
    );
    assert_eq!(
        body["errors"][0]["message"],
        "zip is required because of a conditional property rule based on [country]"
    );
    let id = portal
        .create(
            "contacts",
            json!({"email": "b@example.com", "city": "Oslo", "country": "NO"}),
        )
        .await;
    let path = format!("{}/{id}", objects("contacts"));
    // An update is asked about what it touches.
    assert_eq!(portal.patch(&path, new(json!({"phone": "1"}))).await.0, 200);
    assert_eq!(portal.patch(&path, new(json!({"city": ""}))).await.0, 400);
    assert_eq!(
        portal.patch(&path, new(json!({"country": "DE"}))).await.0,
        400
    );
    let both = json!({"country": "DE", "zip": "10115"});
    assert_eq!(portal.patch(&path, new(both)).await.0, 200);
    let (status, rules) = portal.get("/crm/property-validations/2026-09/0-1").await;
    assert_eq!(status, 200);
    let names: Vec<&str> = rules["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["propertyName"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["city", "zip"]);
    let (status, one) = portal
        .get("/crm/property-validations/2026-09/contacts/zip")
        .await;
    assert_eq!(status, 200);
    assert_eq!(one["results"][0]["ruleArguments"], json!(["country", "DE"]));
}

#[tokio::test]
async fn days_are_normalised_from_2026_09_on() {
    let portal = Portal::new(json!({})).await;
    define(&portal, "day", "date", "date").await;
    let id = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    for (given, day) in [
        ("1767225600001", "2026-01-01"),
        ("1767225600", "2026-01-01"),
        ("2026-03-01T10:20:30Z", "2026-03-01"),
        ("2026-03-01T00:00:00+01:00", "2026-02-28"),
    ] {
        for old in ["/crm/v3/objects/contacts", "/crm/objects/2026-03/contacts"] {
            let (status, body) = portal
                .patch(&format!("{old}/{id}"), new(json!({"day": given})))
                .await;
            assert_eq!(
                (status, codes(&body)),
                (400, vec!["INVALID_DATE".to_owned()]),
                "{old} {given}"
            );
        }
        let (status, body) = portal
            .patch(
                &format!("{}/{id}", objects("contacts")),
                new(json!({"day": given})),
            )
            .await;
        assert_eq!(status, 200, "{given}: {body}");
        assert_eq!(body["properties"]["day"], day);
        let warning = &body["warnings"][0];
        assert_eq!(warning["category"], "PROPERTY_VALUE_NORMALIZED");
        assert_eq!(
            warning["context"],
            json!({"propertyName": ["day"], "rawValue": [given], "normalizedValue": [day]})
        );
    }
    let (_, body) = portal
        .patch(
            &format!("{}/{id}", objects("contacts")),
            new(json!({"day": "2026-05-05"})),
        )
        .await;
    assert!(body.get("warnings").is_none());
    let batch = json!({"inputs": [{"id": id, "properties": {"day": "1767225600001"}}]});
    let update = format!("{}/batch/update", objects("contacts"));
    let (status, body) = portal.post(&update, batch.clone()).await;
    assert_eq!(status, 200);
    assert_eq!(
        body["warnings"][0]["context"]["normalizedValue"],
        json!(["2026-01-01"])
    );
    portal
        .control("PATCH", "", json!({"batch_warnings_at_batch": false}))
        .await;
    let (_, body) = portal.post(&update, batch).await;
    assert!(body.get("warnings").is_none());
    assert_eq!(
        body["results"][0]["warnings"][0]["context"]["rawValue"],
        json!(["1767225600001"])
    );
}

#[tokio::test]
async fn a_search_needs_its_quotes_in_pairs() {
    let portal = Portal::new(json!({})).await;
    let path = format!("{}/search", objects("contacts"));
    let search = |value: &str, operator: &str| {
        let mut filter = json!({"propertyName": "firstname", "operator": operator});
        if operator == "IN" {
            filter["values"] = json!([value]);
        } else {
            filter["value"] = json!(value);
        }
        json!({"filterGroups": [{"filters": [filter]}]})
    };
    for operator in ["EQ", "CONTAINS_TOKEN", "IN"] {
        let (status, body) = portal.post(&path, search("5\" pipe", operator)).await;
        assert_eq!(status, 400, "{operator}");
        let message = body["message"].as_str().unwrap();
        assert!(
            message.contains("has mismatched quotation marks"),
            "{message}"
        );
        assert_eq!(
            portal.post(&path, search("\"5\" pipe", operator)).await.0,
            200
        );
        assert_eq!(portal.post(&path, search("🙂", operator)).await.0, 400);
    }
}

#[tokio::test]
async fn only_text_may_have_spaces_around_it_and_numbers_are_plain() {
    let portal = Portal::new(json!({})).await;
    for (name, kind, field) in [
        ("n", "number", "number"),
        ("day", "date", "date"),
        ("at", "datetime", "date"),
        ("flag", "bool", "booleancheckbox"),
        ("one", "enumeration", "select"),
        ("tel", "phone_number", "phonenumber"),
    ] {
        define(&portal, name, kind, field).await;
    }
    let id = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let path = format!("{}/{id}", objects("contacts"));
    for (name, good) in [
        ("n", "42"),
        ("day", "2026-03-01"),
        ("at", "2026-03-01T00:00:00Z"),
        ("flag", "true"),
        ("one", "A"),
        ("tel", "+49 30 1234"),
        ("hubspot_owner_id", "500000"),
    ] {
        for bad in [
            format!(" {good}"),
            format!("{good} "),
            format!("{good}{NBSP}"),
            format!("\t{good}"),
        ] {
            let (status, body) = portal.patch(&path, new(json!({name: bad}))).await;
            assert_eq!(status, 400, "{name} {bad:?}: {body}");
        }
        let (status, body) = portal.patch(&path, new(json!({name: good}))).await;
        assert_eq!(status, 200, "{name}: {body}");
    }
    assert_eq!(
        portal.patch(&path, new(json!({"city": " Oslo "}))).await.0,
        200
    );
    for bad in [
        "1.42e-14", "1e21", "+5", "0x10", "1.", ".5", "Infinity", "1_000", "1,5", "-",
    ] {
        let (status, body) = portal.patch(&path, new(json!({"n": bad}))).await;
        assert_eq!(
            (status, codes(&body)),
            (400, vec!["INVALID_LONG".to_owned()]),
            "{bad}"
        );
    }
    let (status, _) = portal.patch(&path, new(json!({"n": 1e21}))).await;
    assert_eq!(status, 400, "a number of JSON that is a power of ten");
    for good in ["-7", "0.000000000000014", "12345678901234567890"] {
        assert_eq!(
            portal.patch(&path, new(json!({"n": good}))).await.0,
            200,
            "{good}"
        );
    }
}

#[tokio::test]
async fn engagements_have_properties_of_the_portal_where_hubspot_lets_them() {
    let portal = Portal::new(json!({})).await;
    for (kind, group, wanted) in [
        ("calls", "call", 201),
        ("meetings", "meeting", 201),
        ("tasks", "task", 201),
        ("notes", "note", 400),
        ("emails", "email", 400),
        ("communications", "communication", 400),
    ] {
        for unique in [false, true] {
            let property = json!({"name": format!("key_{unique}"), "label": "Key", "type": "string",
                "fieldType": "text", "groupName": group, "hasUniqueValue": unique});
            let path = format!("/crm/properties/2026-09/{kind}");
            assert_eq!(
                portal.post(&path, property).await.0,
                wanted,
                "{kind} {unique}"
            );
        }
    }
}

#[tokio::test]
async fn emails_show_what_the_scopes_allow() {
    let portal = Portal::new(json!({})).await;
    let email = portal
        .create(
            "emails",
            json!({
                "hs_timestamp": "1767225600000", "hs_email_direction": "EMAIL",
                "hs_email_subject": "Offer", "hs_email_html": "<p>secret</p>",
                "hubspot_owner_id": "500000", "hs_email_status": "SENT",
                "hs_email_headers": json!({"from": {"email": "me@example.com"}, "to": [{"email": "you@example.com"}]}).to_string(),
            }),
        )
        .await;
    let key = |scopes: Value| {
        let portal = &portal;
        async move {
            let (_, key) = portal
                .control("POST", "service-keys", json!({"scopes": scopes}))
                .await;
            portal.with_token(key["token"].as_str().unwrap())
        }
    };
    let contacts_only = key(json!(["crm.objects.contacts.read"])).await;
    let (status, refused) = contacts_only.get("/crm/properties/2026-09/emails").await;
    assert_eq!(status, 403);
    assert_eq!(
        refused["errors"][0]["context"]["requiredGranularScopes"],
        json!(["connected-email-data-access"])
    );
    assert_eq!(
        contacts_only.get("/crm/properties/2026-09/calls").await.0,
        200
    );
    let names = "hs_email_html,hs_email_subject,hs_email_to_email,hubspot_owner_id,hs_email_status";
    let one = format!("{}/{email}?properties={names}", objects("emails"));
    let (_, all) = portal.get(&one).await;
    assert_eq!(all["properties"]["hs_email_html"], "<p>secret</p>");
    assert_eq!(all["properties"]["hs_email_to_email"], "you@example.com");
    let batch =
        json!({"inputs": [{"id": email}], "properties": names.split(',').collect::<Vec<_>>()});
    let search = json!({"properties": names.split(',').collect::<Vec<_>>()});
    let listing = format!("{}?properties={names}", objects("emails"));
    for (switch, wanted) in [("left_out", None), ("null", Some(Value::Null))] {
        portal
            .control("PATCH", "", json!({"email_redaction": switch}))
            .await;
        let reads = [
            contacts_only.get(&one).await.1,
            contacts_only.get(&listing).await.1["results"][0].clone(),
            contacts_only
                .post(&format!("{}/batch/read", objects("emails")), batch.clone())
                .await
                .1["results"][0]
                .clone(),
            contacts_only
                .post(&format!("{}/search", objects("emails")), search.clone())
                .await
                .1["results"][0]
                .clone(),
        ];
        for read in reads {
            let properties = &read["properties"];
            for name in ["hs_email_html", "hs_email_to_email", "hubspot_owner_id"] {
                assert_eq!(
                    properties.get(name),
                    wanted.as_ref(),
                    "{switch} {name} {read}"
                );
            }
            assert_eq!(properties["hs_email_status"], "SENT");
        }
    }
    let sales = key(json!(["crm.objects.contacts.read", "sales-email-read"])).await;
    let (_, seen) = sales.get(&one).await;
    assert_eq!(seen["properties"]["hs_email_html"], "<p>secret</p>");
}

#[tokio::test]
async fn a_company_needs_nothing_and_a_contact_gets_a_status() {
    let portal = Portal::new(json!({
        "default_lifecyclestage": "lead", "default_marketable_status": "false",
    }))
    .await;
    let (status, made) = portal.post(&objects("companies"), new(json!({}))).await;
    assert_eq!(status, 201, "{made}");
    let (_, found) = portal
        .get(&format!("{}/{}", objects("companies"), id_of(&made)))
        .await;
    assert_eq!(found["properties"]["name"], Value::Null);
    portal
        .control("PATCH", "", json!({"company_needs_identity": true}))
        .await;
    assert_eq!(
        portal.post(&objects("companies"), new(json!({}))).await.0,
        400
    );
    let (status, made) = portal
        .post(&objects("contacts"), new(json!({"email": "a@example.com"})))
        .await;
    assert_eq!(status, 201);
    assert_eq!(made["properties"]["lifecyclestage"], "lead");
    assert_eq!(made["properties"]["hs_marketable_status"], "false");
    let (status, made) = portal
        .post(
            &objects("contacts"),
            new(
                json!({"email": "b@example.com", "hs_marketable_status": "true",
                       "hs_legal_basis": "Not applicable"}),
            ),
        )
        .await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["properties"]["hs_marketable_status"], "true");
}

#[tokio::test]
async fn addresses_may_end_in_any_script() {
    let portal = Portal::new(json!({})).await;
    for good in [
        "info@почта.рф",
        "info@example.中国",
        "info@example.XN--P1AI",
    ] {
        portal.create("contacts", json!({"email": good})).await;
    }
    for bad in [
        "info@example.нетакого",
        "\"a b\"@example.com",
        "info@example.bad",
    ] {
        let (status, body) = portal
            .post(&objects("contacts"), new(json!({"email": bad})))
            .await;
        assert_eq!(
            (status, codes(&body)),
            (400, vec!["INVALID_EMAIL".to_owned()]),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn an_erased_address_is_refused_or_comes_back() {
    let portal = Portal::new(json!({})).await;
    let erase = json!({"objectId": "gone@example.com", "idProperty": "email"});
    let path = format!("{}/gdpr-delete", objects("contacts"));
    assert_eq!(portal.post(&path, erase).await.0, 204);
    let contact = new(json!({"email": "gone@example.com"}));
    let (status, body) = portal.post(&objects("contacts"), contact.clone()).await;
    assert_eq!(status, 400);
    assert!(
        body["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("GDPR blacklisted"),
        "{body}"
    );
    portal
        .control("PATCH", "", json!({"blocklist_refuses": false}))
        .await;
    assert_eq!(portal.post(&objects("contacts"), contact).await.0, 201);
}

#[tokio::test]
async fn labels_have_a_limit_that_deleted_ones_count_towards() {
    let portal = Portal::new(json!({"association_label_limit": 2})).await;
    let path = "/crm/associations/2026-09/contacts/companies/labels";
    let label = |n: u8| json!({"label": format!("Label {n}"), "name": format!("label_{n}")});
    let (_, first) = portal.post(path, label(1)).await;
    assert_eq!(portal.post(path, label(2)).await.0, 200);
    let (status, full) = portal.post(path, label(3)).await;
    assert_eq!(status, 437, "{full}");
    let id = first["results"][0]["typeId"].as_u64().unwrap();
    assert_eq!(portal.delete(&format!("{path}/{id}")).await.0, 204);
    assert_eq!(portal.post(path, label(3)).await.0, 437, "for a while");
    portal
        .control("POST", "clock", json!({"advance_ms": 40_001}))
        .await;
    assert_eq!(portal.post(path, label(3)).await.0, 200);
}

#[tokio::test]
async fn inline_associations_have_a_row_for_each_type() {
    let portal = Portal::new(json!({})).await;
    let company = portal.create("companies", json!({"name": "C"})).await;
    let contact = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let path =
        format!("/crm/v4/objects/contacts/{contact}/associations/default/companies/{company}");
    assert_eq!(portal.put(&path, Value::Null).await.0, 200);
    let (_, found) = portal
        .get(&format!(
            "{}/{contact}?associations=companies",
            objects("contacts")
        ))
        .await;
    let rows = found["associations"]["companies"]["results"]
        .as_array()
        .unwrap();
    assert_eq!(
        rows.iter()
            .map(|r| (r["id"].as_str().unwrap(), r["type"].as_str().unwrap()))
            .collect::<Vec<_>>(),
        [
            (company.as_str(), "contact_to_company"),
            (company.as_str(), "contact_to_company_unlabeled")
        ]
    );
}

#[tokio::test]
async fn an_archive_names_a_hundred_records() {
    let portal = Portal::new(json!({"contacts": 101, "companies": 1})).await;
    let (_, page) = portal
        .get(&format!("{}?limit=100", objects("contacts")))
        .await;
    let mut ids: Vec<String> = page["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(id_of)
        .collect();
    let (_, rest) = portal
        .get(&format!(
            "{}?limit=100&after={}",
            objects("contacts"),
            page["paging"]["next"]["after"].as_str().unwrap()
        ))
        .await;
    ids.extend(rest["results"].as_array().unwrap().iter().map(id_of));
    let (_, companies) = portal.get(&objects("companies")).await;
    let company = id_of(&companies["results"][0]);
    let path = "/crm/associations/2026-09/contacts/companies/batch/archive";
    let inputs = |ids: &[String]| {
        let rows: Vec<Value> = ids
            .iter()
            .map(|id| json!({"from": {"id": id}, "to": [{"id": company}]}))
            .collect();
        json!({"inputs": rows})
    };
    assert_eq!(portal.post(path, inputs(&ids)).await.0, 400);
    // The same record twice counts once.
    let mut hundred = ids[..100].to_vec();
    hundred.push(ids[0].clone());
    assert_eq!(portal.post(path, inputs(&hundred)).await.0, 204);
}

#[tokio::test]
async fn types_that_are_kept_elsewhere_have_no_options() {
    let portal = Portal::new(json!({})).await;
    for (kind, name) in [
        ("contacts", "hubspot_owner_id"),
        ("deals", "dealstage"),
        ("deals", "pipeline"),
        ("tickets", "hs_pipeline_stage"),
    ] {
        let (_, definition) = portal
            .get(&format!("/crm/properties/2026-09/{kind}/{name}"))
            .await;
        assert_eq!(
            (&definition["externalOptions"], &definition["options"]),
            (&json!(true), &json!([])),
            "{kind} {name}"
        );
    }
}

#[tokio::test]
async fn refusals_are_in_hubspots_words() {
    let portal = Portal::new(json!({})).await;
    let id = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let path = format!("{}/{id}", objects("contacts"));
    let (_, body) = portal
        .patch(&path, new(json!({"num_associated_deals": "1"})))
        .await;
    assert_eq!(codes(&body), ["READ_ONLY_VALUE"]);
    assert_eq!(
        body["errors"][0]["message"],
        "\"num_associated_deals\" is a calculated property; its value cannot be set."
    );
    let (status, body) = portal.get(&format!("{}/abc", objects("contacts"))).await;
    assert_eq!(status, 404);
    assert_eq!(
        body["message"],
        "Object not found.  objectId are usually numeric."
    );
    let (_, body) = portal.get(&format!("{}/1", objects("contacts"))).await;
    assert_eq!(body["message"], "resource not found");
    // The type that leads from a contact to a meeting, from a meeting.
    let types = json!([{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 199}]);
    let meeting = portal
        .create("meetings", json!({"hs_timestamp": "1767225600000"}))
        .await;
    let row = json!({"inputs": [{"from": {"id": meeting}, "to": {"id": id}, "types": types}]});
    let (status, body) = portal
        .post(
            "/crm/associations/2026-09/meetings/contacts/batch/create",
            row,
        )
        .await;
    assert_eq!(status, 207);
    assert_eq!(
        body["errors"][0]["message"],
        "invalid from object type 0-47 for associations to be created. expected: 0-1"
    );
    let inline = json!({"properties": {"hs_timestamp": "1767225600000"},
        "associations": [{"to": {"id": id}, "types": types}]});
    let (status, body) = portal.post(&objects("meetings"), inline).await;
    assert_eq!(
        (status, body["message"].as_str()),
        (400, Some("One or more associations are invalid"))
    );
}

#[tokio::test]
async fn category_and_type_travel_together() {
    let portal = Portal::new(json!({})).await;
    let company = portal.create("companies", json!({"name": "C"})).await;
    let contact = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let (_, own) = portal
        .post(
            "/crm/associations/2026-09/contacts/companies/labels",
            json!({"label": "Buyer", "name": "buyer"}),
        )
        .await;
    let own = own["results"][0]["typeId"].clone();
    let (status, theirs) = portal
        .control(
            "POST",
            "integrator-labels/contacts/companies",
            json!({"label": "Synced", "name": "synced"}),
        )
        .await;
    assert_eq!(status, 200, "{theirs}");
    assert_eq!(theirs["results"][0]["category"], "INTEGRATOR_DEFINED");
    let theirs = theirs["results"][0]["typeId"].clone();
    let path = "/crm/associations/2026-09/contacts/companies/batch/create";
    let write = |category: Option<&str>, id: &Value| {
        let mut spec = json!({"associationTypeId": id});
        if let Some(category) = category {
            spec["associationCategory"] = json!(category);
        }
        json!({"inputs": [{"from": {"id": contact}, "to": {"id": company}, "types": [spec]}]})
    };
    let plain = json!(279);
    for (category, id, wanted) in [
        (Some("HUBSPOT_DEFINED"), &plain, 201),
        (Some("USER_DEFINED"), &plain, 207),
        (None, &plain, 207),
        (Some("USER_DEFINED"), &own, 201),
        (Some("HUBSPOT_DEFINED"), &own, 207),
        (Some("INTEGRATOR_DEFINED"), &theirs, 201),
        (Some("USER_DEFINED"), &theirs, 207),
        (Some("USER_DEFINED"), &json!(987_654), 207),
    ] {
        let (status, body) = portal.post(path, write(category, id)).await;
        assert_eq!(status, wanted, "{category:?} {id}: {body}");
    }
    portal
        .control("PATCH", "", json!({"unknown_association_types": "ignored"}))
        .await;
    let (status, body) = portal
        .post(path, write(Some("USER_DEFINED"), &json!(987_654)))
        .await;
    assert_eq!((status, &body["results"]), (201, &json!([])));
}

#[tokio::test]
async fn pages_of_associations_by_v3_and_with_encoded_cursors() {
    let portal = Portal::new(json!({"inline_association_page": 1})).await;
    let company = portal.create("companies", json!({"name": "C"})).await;
    for n in 0..3 {
        let contact = portal
            .create("contacts", json!({"email": format!("a{n}@example.com")}))
            .await;
        let path =
            format!("/crm/v4/objects/contacts/{contact}/associations/default/companies/{company}");
        assert_eq!(portal.put(&path, Value::Null).await.0, 200);
    }
    let v4 = "/crm/v4/associations/companies/contacts/batch/read";
    let v3 = "/crm/v3/associations/companies/contacts/batch/read";
    for encoded in [false, true] {
        if encoded {
            portal
                .control("PATCH", "", json!({"association_cursors": "encoded"}))
                .await;
        }
        let ask = |after: Option<&Value>| {
            let mut input = json!({"id": company});
            if let Some(after) = after {
                input["after"] = after.clone();
            }
            json!({"inputs": [input]})
        };
        let (_, first) = portal.post(v4, ask(None)).await;
        let cursor = &first["results"][0]["paging"]["next"]["after"];
        assert_eq!(
            cursor.as_str().unwrap().ends_with("%3D"),
            encoded,
            "{cursor}"
        );
        let (_, second) = portal.post(v4, ask(Some(cursor))).await;
        assert_ne!(second["results"][0]["to"], first["results"][0]["to"]);
        let (_, first) = portal.post(v3, ask(None)).await;
        let (_, again) = portal.post(v3, ask(Some(cursor))).await;
        assert_eq!(again["results"], first["results"], "v3 passes it over");
        // Of one record: as it is, and encoded again.
        let path = format!("/crm/v4/objects/companies/{company}/associations/contacts?limit=1");
        let (_, first) = portal.get(&path).await;
        let cursor = first["paging"]["next"]["after"].as_str().unwrap();
        let (_, second) = portal.get(&format!("{path}&after={cursor}")).await;
        assert_ne!(second["results"], first["results"]);
        if encoded {
            let twice = cursor.replace('%', "%25");
            let (_, again) = portal.get(&format!("{path}&after={twice}")).await;
            assert_eq!(again["results"], first["results"]);
        }
    }
    portal
        .control(
            "PATCH",
            "",
            json!({"v3_associations_ignore_after": false, "association_cursors": "numbers"}),
        )
        .await;
    let (_, first) = portal.post(v3, json!({"inputs": [{"id": company}]})).await;
    let after = &first["results"][0]["paging"]["next"]["after"];
    let (_, second) = portal
        .post(v3, json!({"inputs": [{"id": company, "after": after}]}))
        .await;
    assert_ne!(second["results"], first["results"]);
}

#[tokio::test]
async fn forms_of_answers_on_dated_paths() {
    let portal = Portal::new(json!({})).await;
    let company = portal.create("companies", json!({"name": "C"})).await;
    let contact = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let types = json!([{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]);
    let create =
        json!({"inputs": [{"from": {"id": contact}, "to": {"id": company}, "types": types}]});
    let archive = json!({"inputs": [{"from": {"id": contact}, "to": [{"id": company}]}]});
    let base = "/crm/associations/2026-09/contacts/companies/batch";
    let (status, made) = portal.post(&format!("{base}/create"), create.clone()).await;
    assert_eq!(status, 201);
    assert!(made["results"][0]["toObjectId"].is_u64());
    assert_eq!(
        portal
            .post(&format!("{base}/archive"), archive.clone())
            .await
            .0,
        204
    );
    portal
        .control(
            "PATCH",
            "",
            json!({"association_ids_as_text": true, "dated_archive_status": 200, "dated_create_status": 200}),
        )
        .await;
    let (status, made) = portal.post(&format!("{base}/create"), create.clone()).await;
    assert_eq!(
        (status, &made["results"][0]["toObjectId"]),
        (200, &json!(company))
    );
    let (_, read) = portal
        .post(
            &format!("{base}/read"),
            json!({"inputs": [{"id": contact}]}),
        )
        .await;
    assert_eq!(read["results"][0]["to"][0]["toObjectId"], json!(company));
    assert_eq!(
        portal
            .post(&format!("{base}/archive"), archive.clone())
            .await
            .0,
        200
    );
    // Classic paths stay as they are.
    let base = "/crm/v4/associations/contacts/companies/batch";
    assert_eq!(portal.post(&format!("{base}/create"), create).await.0, 201);
    assert_eq!(
        portal.post(&format!("{base}/archive"), archive).await.0,
        204
    );
    let batch = json!({"inputs": [{"properties": {"email": "z@example.com"}}]});
    let path = format!("{}/batch/create", objects("contacts"));
    assert_eq!(portal.post(&path, batch).await.0, 200);
}

#[tokio::test]
async fn types_without_records_are_there_and_empty() {
    let portal = Portal::new(json!({"contacts": 2, "deals": 2})).await;
    let (_, contacts) = portal.get(&objects("contacts")).await;
    let contact = id_of(&contacts["results"][0]);
    for (name, id) in [
        ("products", "0-7"),
        ("line_items", "0-8"),
        ("quotes", "0-14"),
        ("leads", "0-136"),
        ("goals", "0-74"),
        ("postal_mail", "0-116"),
        ("users", "0-115"),
    ] {
        for name in [name, id] {
            for base in ["/crm/v3/objects", "/crm/objects/2026-09"] {
                let (status, page) = portal
                    .get(&format!(
                        "{base}/{name}?limit=100&properties=x&archived=false"
                    ))
                    .await;
                assert_eq!(
                    (status, page),
                    (200, json!({"results": []})),
                    "{base}/{name}"
                );
            }
            let (status, definitions) = portal.get(&format!("/crm/v3/properties/{name}")).await;
            assert_eq!(status, 200, "{name}");
            assert_eq!(
                definitions["results"].as_array().unwrap().len(),
                3,
                "{name}"
            );
            let (status, found) = portal
                .post(&format!("/crm/v3/objects/{name}/search"), json!({}))
                .await;
            assert_eq!((status, &found["total"]), (200, &json!(0)), "{name}");
            let (status, deals) = portal
                .get(&format!(
                    "{}?associations={name},contacts",
                    objects("deals")
                ))
                .await;
            assert_eq!(status, 200, "{name}");
            assert_eq!(deals["results"].as_array().unwrap().len(), 2);
            let (status, none) = portal
                .post(
                    &format!("/crm/v4/associations/contacts/{name}/batch/read"),
                    json!({"inputs": [{"id": contact}]}),
                )
                .await;
            assert_eq!(status, 207, "{name}");
            assert_eq!(
                none["errors"][0]["subCategory"],
                "crm.associations.NO_ASSOCIATIONS_FOUND"
            );
            let path = format!("/crm/v4/objects/contacts/{contact}/associations/{name}");
            assert_eq!(
                portal.get(&path).await,
                (200, json!({"results": []})),
                "{name}"
            );
            assert_eq!(
                portal.get(&format!("/crm/v3/objects/{name}/1")).await.0,
                404
            );
            assert_eq!(
                portal.get(&format!("/crm/v3/pipelines/{name}")).await,
                (200, json!({"results": []})),
                "{name}"
            );
        }
    }
    assert_eq!(portal.get("/crm/v3/objects/butterflies").await.0, 400);
}

#[tokio::test]
async fn lists_of_v3_carry_links_that_lead_back() {
    let portal = Portal::new(
        json!({"contacts": 3, "owners": 3, "companies": 1, "inline_association_page": 1}),
    )
    .await;
    for path in [
        "/crm/v3/objects/contacts?limit=1&properties=email,city",
        "/crm/v3/owners?limit=1",
    ] {
        let (_, first) = portal.get(path).await;
        let link = first["paging"]["next"]["link"].as_str().unwrap();
        let (status, second) = portal.get(&portal.path_of(link)).await;
        assert_eq!(status, 200, "{link}");
        assert_ne!(second["results"][0]["id"], first["results"][0]["id"]);
        if path.contains("properties") {
            assert!(second["results"][0]["properties"].get("city").is_some());
        }
    }
    let (_, companies) = portal
        .get("/crm/v3/objects/companies?associations=contacts")
        .await;
    let paging = &companies["results"][0]["associations"]["contacts"]["paging"];
    if let Some(link) = paging["next"]["link"].as_str() {
        assert_eq!(portal.get(&portal.path_of(link)).await.0, 200, "{link}");
    }
    let (_, dated) = portal
        .get(&format!("{}?limit=1", objects("contacts")))
        .await;
    assert!(dated["paging"]["next"].get("link").is_none());
    portal
        .control("PATCH", "", json!({"v3_paging_links": false}))
        .await;
    let (_, first) = portal.get("/crm/v3/objects/contacts?limit=1").await;
    assert!(first["paging"]["next"].get("link").is_none());
}

#[tokio::test]
async fn all_lists_and_add_from_by_version() {
    let portal = Portal::new(json!({"contacts": 5, "lists": 1})).await;
    assert_eq!(
        portal.post("/crm/lists/2026-09/all", json!({})).await.0,
        200
    );
    for old in ["/crm/lists/2026-03/all", "/crm/v3/lists/all"] {
        assert_eq!(portal.post(old, json!({})).await.0, 404, "{old}");
    }
    let (_, lists) = portal.post("/crm/v3/lists/search", json!({})).await;
    let source = lists["lists"][0]["listId"].as_str().unwrap().to_owned();
    let (_, made) = portal
        .post(
            "/crm/lists/2026-09",
            json!({"name": "Mine", "objectTypeId": "0-1", "processingType": "MANUAL"}),
        )
        .await;
    let mine = made["list"]["listId"].as_str().unwrap().to_owned();
    let path = format!("/crm/lists/2026-09/{mine}/memberships/add-from/{source}");
    assert_eq!(portal.put(&path, Value::Null).await, (204, Value::Null));
    let size = |id: String| {
        let portal = &portal;
        async move {
            portal
                .get(&format!("/crm/lists/2026-09/{id}/memberships"))
                .await
                .1["total"]
                .clone()
        }
    };
    assert_eq!(size(mine).await, size(source).await);
}
