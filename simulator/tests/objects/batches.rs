//! Batches: trace ids, partial success, whole-batch refusals, keys.

use serde_json::{Value, json};

use crate::portal::{Portal, codes, id_of, objects};

async fn batch(portal: &Portal, kind: &str, operation: &str, inputs: Value) -> (u16, Value) {
    portal
        .post(
            &format!("{}/batch/{operation}", objects(kind)),
            json!({"inputs": inputs}),
        )
        .await
}

fn len(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn one_bad_row_fails_a_batch_without_trace_ids() {
    let portal = Portal::new(json!({})).await;
    let (status, body) = batch(
        &portal,
        "contacts",
        "create",
        json!([
            {"properties": {"email": "a@example.com"}},
            {"properties": {"email": "b@example.com", "nonsense": "x"}},
            {"properties": {"email": "c@example.bad"}},
        ]),
    )
    .await;
    assert_eq!(status, 400);
    assert_eq!(codes(&body), ["PROPERTY_DOESNT_EXIST", "INVALID_EMAIL"]);
    let (_, page) = portal.get(&objects("contacts")).await;
    assert_eq!(page["results"], json!([]), "nothing was written");
    // Trace ids that are not unique, or not in every row, are none.
    for traces in [["0", "0"], ["0", ""]] {
        let mut rows = json!([
            {"properties": {"email": "a@example.com"}, "objectWriteTraceId": traces[0]},
            {"properties": {"nonsense": "x"}},
        ]);
        if !traces[1].is_empty() {
            rows[1]["objectWriteTraceId"] = json!(traces[1]);
        }
        assert_eq!(batch(&portal, "contacts", "create", rows).await.0, 400);
    }
}

#[tokio::test]
async fn with_trace_ids_good_rows_are_written() {
    let portal = Portal::new(json!({})).await;
    let existing = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let (status, body) = batch(
        &portal,
        "contacts",
        "create",
        json!([
            {"objectWriteTraceId": "0", "properties": {"email": "A@Example.com"}},
            {"objectWriteTraceId": "1", "properties": {"email": "b@example.com"}},
            {"objectWriteTraceId": "2", "properties": {"nonsense": "x"}},
            // The same address as a row before it.
            {"objectWriteTraceId": "3", "properties": {"email": "b@example.com"}},
        ]),
    )
    .await;
    assert_eq!(status, 207);
    assert_eq!(body["status"], "COMPLETE");
    assert_eq!(body["numErrors"], 3);
    assert_eq!(len(&body["results"]), 1);
    let made = &body["results"][0];
    assert_eq!(made["objectWriteTraceId"], "1");
    let conflict = &body["errors"][0];
    assert_eq!(conflict["category"], "CONFLICT");
    assert_eq!(conflict["context"]["objectWriteTraceId"], json!(["0"]));
    assert_eq!(conflict["context"]["existingId"], json!([existing]));
    assert_eq!(
        conflict["message"],
        format!("Contact already exists. Existing ID: {existing}")
    );
    assert_eq!(
        body["errors"][1]["context"]["objectWriteTraceId"],
        json!(["2"])
    );
    assert_eq!(
        body["errors"][1]["errors"][0]["code"],
        "PROPERTY_DOESNT_EXIST"
    );
    assert_eq!(
        body["errors"][2]["context"]["existingId"],
        json!([made["id"]])
    );
    portal
        .control("PATCH", "", json!({"trace_ids_in_results": false}))
        .await;
    let (_, body) = batch(
        &portal,
        "contacts",
        "create",
        json!([{"objectWriteTraceId": "9", "properties": {"email": "z@example.com"}}]),
    )
    .await;
    assert!(body["results"][0].get("objectWriteTraceId").is_none());
}

#[tokio::test]
async fn a_conflict_without_trace_ids() {
    let portal = Portal::new(json!({})).await;
    let id = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let rows = json!([{"properties": {"email": "a@example.com"}}]);
    let (status, body) = batch(&portal, "contacts", "create", rows.clone()).await;
    assert_eq!(status, 409);
    assert_eq!(body["message"], "Contact already exists");
    portal
        .control("PATCH", "", json!({"batch_conflict_names_id": true}))
        .await;
    let (_, body) = batch(&portal, "contacts", "create", rows).await;
    assert_eq!(
        body["message"],
        format!("Contact already exists. Existing ID: {id}")
    );
    // Two rows of one batch with the same address.
    let (status, _) = batch(
        &portal,
        "contacts",
        "create",
        json!([
            {"properties": {"email": "n@example.com"}},
            {"properties": {"email": "N@example.com"}},
        ]),
    )
    .await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn missing_ids_and_duplicates() {
    let portal = Portal::new(json!({})).await;
    let id = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    for operation in ["update", "read"] {
        let (status, body) = batch(
            &portal,
            "contacts",
            operation,
            json!([{"id": id, "properties": {"city": "Oslo"}}, {"id": "unknownIdentifier888"}]),
        )
        .await;
        assert_eq!(status, 207, "{operation}");
        assert_eq!(body["errors"][0]["category"], "OBJECT_NOT_FOUND");
        assert_eq!(
            body["errors"][0]["context"]["ids"],
            json!(["unknownIdentifier888"])
        );
        assert_eq!(body["results"][0]["id"], id.as_str());
    }
    let (status, body) = batch(
        &portal,
        "contacts",
        "update",
        json!([{"id": "123456", "properties": {}}, {"id": "123456", "properties": {}}]),
    )
    .await;
    assert_eq!(status, 400);
    assert_eq!(
        body["message"],
        "Duplicate IDs found in batch input: [123456]. IDs must be unique"
    );
    assert_eq!(body["context"]["ids"], json!(["123456"]));
}

#[tokio::test]
async fn malformed_and_too_large() {
    let portal = Portal::new(json!({})).await;
    for operation in ["create", "update", "upsert", "read"] {
        let path = format!("{}/batch/{operation}", objects("contacts"));
        let (status, body) = portal.post(&path, json!({"input": []})).await;
        assert_eq!(status, 200, "{operation}");
        assert_eq!(body["status"], "COMPLETE");
        assert_eq!(body["results"], json!([]));
        let rows: Vec<Value> = (0..101)
            .map(|n| json!({"id": n.to_string(), "properties": {}}))
            .collect();
        assert_eq!(
            batch(&portal, "contacts", operation, json!(rows)).await.0,
            400,
            "{operation}"
        );
    }
    let (status, _) = batch(&portal, "contacts", "archive", json!([{"id": "1"}])).await;
    assert_eq!(status, 204);
}

#[tokio::test]
async fn keys_of_batches() {
    let portal = Portal::new(json!({})).await;
    let (status, _) = portal
        .post(
            "/crm/properties/2026-09/contacts",
            json!({
                "name": "app_id", "label": "App id", "type": "string", "fieldType": "text",
                "groupName": "contactinformation", "hasUniqueValue": true,
            }),
        )
        .await;
    assert_eq!(status, 201);
    let id = portal
        .create("contacts", json!({"email": "a@example.com", "app_id": "7"}))
        .await;
    let row = |key: &str, by: &str| json!([{"id": key, "idProperty": by, "properties": {"city": "Oslo"}}]);
    for (operation, by, key, wanted) in [
        ("update", "email", "a@example.com", 400),
        ("update", "hs_object_id", id.as_str(), 400),
        ("update", "firstname", "Ada", 400),
        ("update", "app_id", "7", 200),
        ("upsert", "email", "a@example.com", 200),
        ("upsert", "hs_object_id", id.as_str(), 400),
        ("upsert", "firstname", "Ada", 400),
        ("upsert", "app_id", "7", 200),
    ] {
        let (status, body) = batch(&portal, "contacts", operation, row(key, by)).await;
        assert_eq!(status, wanted, "{operation} {by}: {body}");
        if wanted == 400 {
            assert_eq!(
                body["message"],
                format!("Unable to perform update/upsert by non-unique 0-1 property {by}")
            );
        } else {
            assert_eq!(body["results"][0]["id"], id.as_str());
        }
    }
    let (_, read) = portal
        .post(
            &format!("{}/batch/read", objects("contacts")),
            json!({"idProperty": "app_id", "inputs": [{"id": "7"}, {"id": "8"}]}),
        )
        .await;
    assert_eq!(read["results"][0]["id"], id.as_str());
    assert_eq!(read["errors"][0]["context"]["ids"], json!(["8"]));
}

#[tokio::test]
async fn upserts_say_what_is_new() {
    let portal = Portal::new(json!({})).await;
    let id = portal
        .create(
            "contacts",
            json!({"email": "a@example.com", "hs_additional_emails": "b@example.com;c@example.com"}),
        )
        .await;
    let company = portal.create("companies", json!({"name": "Acme"})).await;
    let (status, body) = batch(
        &portal,
        "contacts",
        "upsert",
        json!([
            {"id": "C@example.com", "idProperty": "email", "properties": {"city": "Oslo"}},
            {"id": "n@example.com", "idProperty": "email", "properties": {"city": "Lima"},
             "associations": [{"to": {"id": company}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]}]},
        ]),
    )
    .await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["results"][0]["new"], false);
    assert_eq!(body["results"][0]["id"], id.as_str());
    assert_eq!(body["results"][1]["new"], true);
    let new = id_of(&body["results"][1]);
    assert_eq!(
        portal.value("contacts", &new, "email").await,
        "n@example.com"
    );
    // An upsert has no associations.
    let (_, found) = portal
        .get(&format!(
            "{}/{new}?associations=companies",
            objects("contacts")
        ))
        .await;
    assert!(found.get("associations").is_none());
    // The address given as the key may change.
    let (_, body) = batch(
        &portal,
        "contacts",
        "upsert",
        json!([{"id": "n@example.com", "idProperty": "email", "properties": {"email": "m@example.com"}}]),
    )
    .await;
    assert_eq!(body["results"][0]["id"], new.as_str());
    assert_eq!(
        portal.value("contacts", &new, "email").await,
        "m@example.com"
    );
}

#[tokio::test]
async fn upserts_by_email_three_ways() {
    let portal = Portal::new(json!({})).await;
    let rows = || {
        json!([
            {"objectWriteTraceId": "0", "id": "a@example.com", "idProperty": "email", "properties": {}},
            {"objectWriteTraceId": "1", "id": "b@example.bad", "idProperty": "email", "properties": {}},
        ])
    };
    let (status, body) = batch(&portal, "contacts", "upsert", rows()).await;
    assert_eq!(status, 207);
    assert_eq!((len(&body["results"]), len(&body["errors"])), (1, 1));
    for (switch, wanted) in [("all_or_nothing", 400), ("refused", 400), ("partial", 207)] {
        let (status, _) = portal
            .control("PATCH", "", json!({"email_upsert": switch}))
            .await;
        assert_eq!(status, 204);
        assert_eq!(batch(&portal, "contacts", "upsert", rows()).await.0, wanted);
    }
}

#[tokio::test]
async fn archiving_many() {
    let portal = Portal::new(json!({"contacts": 5})).await;
    let (_, page) = portal.get(&objects("contacts")).await;
    let ids: Vec<Value> = page["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| json!({"id": r["id"]}))
        .collect();
    assert_eq!(
        batch(&portal, "contacts", "archive", json!(ids)).await.0,
        204
    );
    assert_eq!(
        portal.get(&objects("contacts")).await.1["results"],
        json!([])
    );
}

#[tokio::test]
async fn inline_associations_of_creates() {
    let portal = Portal::new(json!({})).await;
    let company = portal.create("companies", json!({"name": "Acme"})).await;
    let to = |id: &str| json!([{"to": {"id": id}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]}]);
    let rows =
        |id: &str, email: &str| json!([{"properties": {"email": email}, "associations": to(id)}]);
    let linked = async |contact: &str| {
        let path = format!("{}/{contact}?associations=companies", objects("contacts"));
        portal.get(&path).await.1["associations"]["companies"]["results"].clone()
    };
    let (status, body) = batch(
        &portal,
        "contacts",
        "create",
        rows(&company, "a@example.com"),
    )
    .await;
    assert_eq!(status, 201);
    assert_eq!(
        linked(&id_of(&body["results"][0])).await,
        json!([
            {"id": company, "type": "contact_to_company"},
            {"id": company, "type": "contact_to_company_unlabeled"},
        ])
    );
    // One that leads nowhere fails the create, and leaves no contact behind.
    let (status, _) = batch(&portal, "contacts", "create", rows("1", "b@example.com")).await;
    assert_eq!(status, 400);
    let by_email = format!("{}/b@example.com?idProperty=email", objects("contacts"));
    assert_eq!(portal.get(&by_email).await.0, 404);
    portal
        .control("PATCH", "", json!({"ignore_inline_associations": true}))
        .await;
    let (_, body) = batch(
        &portal,
        "contacts",
        "create",
        rows(&company, "c@example.com"),
    )
    .await;
    assert_eq!(linked(&id_of(&body["results"][0])).await, Value::Null);
}
