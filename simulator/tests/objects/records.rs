//! Single records: paths, defaults, reads, lists, history, the recycle bin.

use serde_json::{Value, json};

use crate::portal::{Portal, id_of, objects};

const TYPES: &[(&str, &str, &str, &str)] = &[
    ("contacts", "contact", "0-1", r#"{"email":"a@example.com"}"#),
    ("companies", "company", "0-2", r#"{"name":"Acme"}"#),
    (
        "deals",
        "deal",
        "0-3",
        r#"{"dealname":"D","dealstage":"qualifiedtobuy"}"#,
    ),
    (
        "tickets",
        "ticket",
        "0-5",
        r#"{"subject":"T","hs_pipeline_stage":"1"}"#,
    ),
    (
        "emails",
        "email",
        "0-49",
        r#"{"hs_timestamp":"1767225600000","hs_email_direction":"EMAIL"}"#,
    ),
    (
        "calls",
        "call",
        "0-48",
        r#"{"hs_timestamp":"1767225600000"}"#,
    ),
    (
        "meetings",
        "meeting",
        "0-47",
        r#"{"hs_timestamp":"1767225600000"}"#,
    ),
    (
        "notes",
        "note",
        "0-46",
        r#"{"hs_timestamp":"1767225600000"}"#,
    ),
    (
        "tasks",
        "task",
        "0-27",
        r#"{"hs_timestamp":"1767225600000"}"#,
    ),
    (
        "communications",
        "communication",
        "0-18",
        r#"{"hs_timestamp":"1767225600000","hs_communication_channel_type":"SMS","hs_communication_logged_from":"CRM"}"#,
    ),
];

#[tokio::test]
async fn every_type_answers_by_each_of_its_names_on_dated_and_classic_paths() {
    let portal = Portal::new(json!({})).await;
    for (plural, singular, type_id, properties) in TYPES {
        let properties: Value = serde_json::from_str(properties).unwrap();
        let id = portal.create(plural, properties).await;
        assert!(id.parse::<u64>().unwrap() > 1 << 31, "{id}");
        for name in [plural, singular, type_id] {
            for base in [
                format!("/crm/objects/2026-09/{name}"),
                format!("/crm/v3/objects/{name}"),
            ] {
                let (status, found) = portal.get(&format!("{base}/{id}")).await;
                assert_eq!(
                    (status, found["id"].as_str()),
                    (200, Some(id.as_str())),
                    "{base}"
                );
                let (status, page) = portal.get(&base).await;
                assert_eq!(status, 200);
                assert_eq!(page["results"].as_array().unwrap().len(), 1, "{base}");
            }
        }
        let (status, updated) = portal
            .patch(
                &format!("{}/{id}", objects(plural)),
                json!({"properties": {}}),
            )
            .await;
        assert_eq!(status, 200, "{updated}");
        let (status, _) = portal.delete(&format!("{}/{id}", objects(plural))).await;
        assert_eq!(status, 204);
        let (status, _) = portal.get(&format!("{}/{id}", objects(plural))).await;
        assert_eq!(status, 404);
    }
    let (status, body) = portal.get(&objects("butterflies")).await;
    assert_eq!(status, 400);
    assert_eq!(
        body["message"],
        "Unable to infer object type from: butterflies"
    );
    assert!(body.get("category").is_none());
}

#[tokio::test]
async fn defaults_come_when_nothing_is_asked_for() {
    let portal = Portal::new(json!({})).await;
    let names = |record: &Value| -> Vec<String> {
        record["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let contact = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let (_, found) = portal
        .get(&format!("{}/{contact}", objects("contacts")))
        .await;
    assert_eq!(
        names(&found),
        [
            "createdate",
            "email",
            "firstname",
            "hs_object_id",
            "lastmodifieddate",
            "lastname"
        ]
    );
    assert_eq!(found["properties"]["firstname"], Value::Null);
    let note = portal
        .create(
            "notes",
            json!({"hs_timestamp": 1_767_225_600_000_i64, "hs_note_body": "x"}),
        )
        .await;
    let (_, found) = portal.get(&format!("{}/{note}", objects("notes"))).await;
    assert_eq!(
        names(&found),
        ["hs_createdate", "hs_lastmodifieddate", "hs_object_id"]
    );
    // Unknown ones are left out, known but empty ones are null.
    let path = format!(
        "{}/{contact}?properties=nonsense,jobtitle",
        objects("contacts")
    );
    let (_, found) = portal.get(&path).await;
    assert!(found["properties"].get("nonsense").is_none());
    assert_eq!(found["properties"]["jobtitle"], Value::Null);
    portal
        .control("PATCH", "", json!({"empty_as_null": false}))
        .await;
    let (_, found) = portal.get(&path).await;
    assert!(found["properties"].get("jobtitle").is_none());
}

#[tokio::test]
async fn all_values_are_strings() {
    let portal = Portal::new(json!({})).await;
    let id = portal
        .create(
            "companies",
            json!({"name": "Acme", "numberofemployees": 12}),
        )
        .await;
    assert_eq!(
        portal.value("companies", &id, "numberofemployees").await,
        "12"
    );
    assert_eq!(
        portal.value("companies", &id, "hs_object_id").await,
        id.as_str()
    );
    portal
        .patch(
            &format!("{}/{id}", objects("companies")),
            json!({"properties": {"numberofemployees": ""}}),
        )
        .await;
    assert_eq!(
        portal.value("companies", &id, "numberofemployees").await,
        Value::Null
    );
}

#[tokio::test]
async fn a_type_needs_its_properties() {
    let portal = Portal::new(json!({})).await;
    for (kind, properties, missing) in [
        (
            "contacts",
            json!({"jobtitle": "x"}),
            json!(["email", "firstname", "lastname"]),
        ),
        ("deals", json!({"dealname": "x"}), json!(["dealstage"])),
        (
            "notes",
            json!({"hs_note_body": "x"}),
            json!(["hs_timestamp"]),
        ),
        (
            "emails",
            json!({"hs_timestamp": "1767225600000"}),
            json!(["hs_email_direction"]),
        ),
        (
            "communications",
            json!({"hs_timestamp": "1767225600000", "hs_communication_channel_type": "SMS"}),
            json!(["hs_communication_logged_from"]),
        ),
    ] {
        let (status, body) = portal
            .post(&objects(kind), json!({"properties": properties}))
            .await;
        assert_eq!(status, 400, "{kind}");
        assert_eq!(body["context"]["properties"], missing, "{kind}");
        assert_eq!(body["category"], "VALIDATION_ERROR");
    }
    portal
        .control("PATCH", "", json!({"contact_needs_identity": false}))
        .await;
    portal.create("contacts", json!({"jobtitle": "x"})).await;
    // The pipeline of a deal is the first one if none is given.
    let deal = portal
        .create("deals", json!({"dealname": "x", "dealstage": "closedwon"}))
        .await;
    assert_eq!(portal.value("deals", &deal, "pipeline").await, "default");
    assert_eq!(
        portal.value("deals", &deal, "hs_is_closed_won").await,
        "true"
    );
}

#[tokio::test]
async fn the_recycle_bin_does_not_touch_last_modified() {
    let portal = Portal::new(json!({})).await;
    let id = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let path = format!("{}/{id}", objects("contacts"));
    let before = portal.get(&path).await.1["updatedAt"].clone();
    portal.delete(&path).await;
    let (_, page) = portal
        .get(&format!("{}?archived=true", objects("contacts")))
        .await;
    let archived = &page["results"][0];
    assert_eq!(archived["archived"], true);
    assert_eq!(archived["updatedAt"], before);
    assert!(archived["archivedAt"].is_string());
    let (status, found) = portal.get(&format!("{path}?archived=true")).await;
    assert_eq!((status, found["archived"].as_bool()), (200, Some(true)));
    let (_, read) = portal
        .post(
            &format!("{}/batch/read?archived=true", objects("contacts")),
            json!({"inputs": [{"id": id}]}),
        )
        .await;
    assert_eq!(read["results"][0]["id"], id.as_str());
    // Its address is free; then it cannot come back.
    let other = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let restore = format!("records/contacts/{id}/restore");
    assert_eq!(portal.control("POST", &restore, json!({})).await.0, 400);
    portal
        .delete(&format!("{}/{other}", objects("contacts")))
        .await;
    assert_eq!(portal.control("POST", &restore, json!({})).await.0, 204);
    assert_eq!(portal.get(&path).await.0, 200);
    // Twice away is not an error.
    assert_eq!(portal.delete(&path).await.0, 204);
    assert_eq!(portal.delete(&path).await.0, 204);
}

#[tokio::test]
async fn deleted_emails_are_gone_for_good() {
    let portal = Portal::new(json!({})).await;
    let properties = json!({"hs_timestamp": "1767225600000", "hs_email_direction": "EMAIL"});
    let id = portal.create("emails", properties.clone()).await;
    portal.delete(&format!("{}/{id}", objects("emails"))).await;
    let archived = format!("{}?archived=true", objects("emails"));
    assert_eq!(portal.get(&archived).await.1["results"], json!([]));
    portal
        .control("PATCH", "", json!({"email_delete_permanent": false}))
        .await;
    let id = portal.create("emails", properties).await;
    portal.delete(&format!("{}/{id}", objects("emails"))).await;
    assert_eq!(
        portal.get(&archived).await.1["results"][0]["id"],
        id.as_str()
    );
}

#[tokio::test]
async fn lists_page_by_the_id_of_the_next_record() {
    let portal = Portal::new(json!({"contacts": 25})).await;
    let path = objects("contacts");
    let (_, first) = portal.get(&path).await;
    assert_eq!(first["results"].as_array().unwrap().len(), 10);
    let after = first["paging"]["next"]["after"].as_str().unwrap();
    let (_, second) = portal.get(&format!("{path}?limit=100&after={after}")).await;
    assert_eq!(second["results"][0]["id"], after);
    assert_eq!(second["results"].as_array().unwrap().len(), 15);
    assert!(second.get("paging").is_none());
    assert_eq!(portal.get(&format!("{path}?limit=101")).await.0, 400);
    assert_eq!(
        portal
            .get(&format!("{path}?associations=butterflies"))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn history_has_the_newest_first() {
    let portal = Portal::new(json!({})).await;
    let (_, planted) = portal
        .control(
            "POST",
            "records/contacts",
            json!({
                "properties": {"email": "a@example.com", "jobtitle": "CEO"},
                "created_at_ms": 1_700_000_000_000_i64,
            }),
        )
        .await;
    let id = id_of(&planted);
    let path = format!("{}/{id}", objects("contacts"));
    portal
        .patch(&path, json!({"properties": {"jobtitle": "CTO"}}))
        .await;
    let (_, one) = portal
        .get(&format!("{path}?propertiesWithHistory=jobtitle,email"))
        .await;
    let versions = one["propertiesWithHistory"]["jobtitle"].as_array().unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!(versions[0]["value"], "CTO");
    assert_eq!(versions[0]["sourceType"], "INTEGRATION");
    assert_eq!(versions[1]["value"], "CEO");
    assert_eq!(versions[1]["timestamp"], "2023-11-14T22:13:20.000Z");
    assert_eq!(
        one["propertiesWithHistory"]["email"][0]["value"],
        "a@example.com"
    );
    let (_, read) = portal
        .post(
            &format!("{}/batch/read", objects("contacts")),
            json!({"inputs": [{"id": id}], "propertiesWithHistory": ["jobtitle"]}),
        )
        .await;
    assert_eq!(
        read["results"][0]["propertiesWithHistory"]["jobtitle"],
        json!(versions)
    );
    let list = format!("{}?propertiesWithHistory=jobtitle", objects("contacts"));
    let (_, page) = portal.get(&list).await;
    assert_eq!(
        page["results"][0]["propertiesWithHistory"]["jobtitle"],
        json!(versions)
    );
    assert_eq!(portal.get(&format!("{list}&limit=51")).await.0, 400);
}

#[tokio::test]
async fn id_property_names_one_record() {
    let portal = Portal::new(json!({})).await;
    let id = portal
        .create("contacts", json!({"email": "Ada@Example.com"}))
        .await;
    let by = |value: &str, name: &str| format!("{}/{value}?idProperty={name}", objects("contacts"));
    assert_eq!(
        portal.get(&by("ada@example.com", "email")).await.1["id"],
        id.as_str()
    );
    assert_eq!(portal.get(&by("nobody@example.com", "email")).await.0, 404);
    assert_eq!(portal.get(&by("Ada", "firstname")).await.0, 400);
    let (status, updated) = portal
        .patch(
            &by("ADA@example.com", "email"),
            json!({"properties": {"city": "Oslo"}}),
        )
        .await;
    assert_eq!((status, updated["id"].as_str()), (200, Some(id.as_str())));
}
