//! Values against definitions.

use serde_json::{Value, json};

use crate::portal::{Portal, codes, objects};

async fn define(portal: &Portal, name: &str, kind: &str, field: &str, options: &[&str]) {
    let options: Vec<Value> = options
        .iter()
        .map(|o| json!({"label": o, "value": o}))
        .collect();
    let (status, body) = portal
        .post(
            "/crm/properties/2026-09/contacts",
            json!({
                "name": name, "label": name, "type": kind, "fieldType": field,
                "groupName": "contactinformation", "options": options,
            }),
        )
        .await;
    assert_eq!(status, 201, "{body}");
}

#[tokio::test]
async fn values_by_type() {
    let portal = Portal::new(json!({"owners": 7})).await;
    define(&portal, "n", "number", "number", &[]).await;
    define(&portal, "day", "date", "date", &[]).await;
    define(&portal, "at", "datetime", "date", &[]).await;
    define(
        &portal,
        "flag",
        "bool",
        "booleancheckbox",
        &["true", "false"],
    )
    .await;
    define(&portal, "one", "enumeration", "select", &["A", "B"]).await;
    define(&portal, "many", "enumeration", "checkbox", &["A", "B", "C"]).await;
    let id = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let path = format!("{}/{id}", objects("contacts"));
    // What is written, and what is read back or the code of the refusal.
    let cases: &[(&str, Value, Result<Value, &str>)] = &[
        ("n", json!("12.50"), Ok(json!("12.50"))),
        ("n", json!(7), Ok(json!("7"))),
        ("n", json!("a;b"), Err("INVALID_LONG")),
        ("n", json!("NaN"), Err("INVALID_LONG")),
        ("n", json!(""), Ok(Value::Null)),
        ("day", json!("2026-03-01"), Ok(json!("2026-03-01"))),
        ("day", json!("1767225600000"), Ok(json!("2026-01-01"))),
        ("day", json!("1767225600001"), Ok(json!("2026-01-01"))),
        (
            "day",
            json!("2026-03-01T00:00:00Z"),
            Ok(json!("2026-03-01")),
        ),
        (
            "day",
            json!("2026-03-01T00:00:00+01:00"),
            Ok(json!("2026-02-28")),
        ),
        ("day", json!("yesterday"), Err("INVALID_LONG")),
        (
            "at",
            json!("1767225600001"),
            Ok(json!("2026-01-01T00:00:00.001Z")),
        ),
        (
            "at",
            json!("2026-03-01T01:00:00+01:00"),
            Ok(json!("2026-03-01T00:00:00.000Z")),
        ),
        ("at", json!("soon"), Err("INVALID_LONG")),
        ("flag", json!(true), Ok(json!("true"))),
        ("flag", json!("yes"), Err("INVALID_OPTION")),
        ("one", json!("A"), Ok(json!("A"))),
        ("one", json!("a"), Err("INVALID_OPTION")),
        ("one", json!("A;B"), Err("INVALID_OPTION")),
        ("many", json!("A;B"), Ok(json!("A;B"))),
        ("many", json!(";C"), Ok(json!("A;B;C"))),
        ("many", json!(";A"), Ok(json!("A;B;C"))),
        ("many", json!("B"), Ok(json!("B"))),
        ("many", json!("D"), Err("INVALID_OPTION")),
        ("many", json!(""), Ok(Value::Null)),
        ("many", json!(["A"]), Err("INVALID_STRING")),
        ("hubspot_owner_id", json!("500000"), Ok(json!("500000"))),
        // The id of its user, and of one that was deactivated.
        ("hubspot_owner_id", json!("900000"), Err("INVALID_OWNER_ID")),
        ("hubspot_owner_id", json!("500006"), Err("INVALID_OWNER_ID")),
        ("email", json!("a@b.bad"), Err("INVALID_EMAIL")),
        ("email", json!("a b@example.com"), Err("INVALID_EMAIL")),
        ("email", json!("nobody"), Err("INVALID_EMAIL")),
        (
            "email",
            json!("new@example.co.uk"),
            Ok(json!("new@example.co.uk")),
        ),
        ("createdate", json!("1767225600000"), Err("READ_ONLY_VALUE")),
        ("nonsense", json!("x"), Err("PROPERTY_DOESNT_EXIST")),
        ("firstname", json!(";A"), Ok(json!(";A"))),
    ];
    for (name, written, wanted) in cases {
        let (status, body) = portal
            .patch(&path, json!({"properties": {*name: written}}))
            .await;
        match wanted {
            Ok(value) => {
                assert_eq!(status, 200, "{name} {written}: {body}");
                assert_eq!(
                    &portal.value("contacts", &id, name).await,
                    value,
                    "{name} {written}"
                );
            }
            Err(code) => {
                assert_eq!(status, 400, "{name} {written}: {body}");
                assert_eq!(codes(&body), [*code], "{name} {written}");
                assert_eq!(body["errors"][0]["context"]["propertyName"], json!([name]));
                assert_eq!(body["category"], "VALIDATION_ERROR");
            }
        }
    }
    portal
        .control(
            "PATCH",
            "",
            json!({"archived_owners_assignable": true, "any_email_tld": true}),
        )
        .await;
    let (status, _) = portal
        .patch(
            &path,
            json!({"properties": {"hubspot_owner_id": "500006", "email": "a@b.bad"}}),
        )
        .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn the_message_of_a_refusal() {
    let portal = Portal::new(json!({})).await;
    let (status, body) = portal
        .post(
            &objects("contacts"),
            json!({"properties": {"email": "a@example.com", "x": "1"}}),
        )
        .await;
    assert_eq!(status, 400);
    let list = body["message"]
        .as_str()
        .unwrap()
        .strip_prefix("Property values were not valid: ")
        .unwrap();
    let list: Value = serde_json::from_str(list).unwrap();
    assert_eq!(
        list,
        json!([{"isValid": false, "message": "Property \"x\" does not exist",
                "error": "PROPERTY_DOESNT_EXIST", "name": "x"}])
    );
}

#[tokio::test]
async fn addresses_are_unique_with_the_additional_ones() {
    let portal = Portal::new(json!({})).await;
    let id = portal
        .create(
            "contacts",
            json!({"email": "a@example.com", "hs_additional_emails": "b@example.com"}),
        )
        .await;
    for email in ["A@EXAMPLE.com", "B@example.com"] {
        let (status, body) = portal
            .post(
                &objects("contacts"),
                json!({"properties": {"email": email}}),
            )
            .await;
        assert_eq!(status, 409);
        assert_eq!(body["category"], "CONFLICT");
        assert_eq!(
            body["message"],
            format!("Contact already exists. Existing ID: {id}")
        );
    }
    let other = portal
        .create("contacts", json!({"email": "o@example.com"}))
        .await;
    for update in [
        json!({"email": "b@example.com"}),
        json!({"hs_additional_emails": "x@example.com;A@example.com"}),
    ] {
        let path = format!("{}/{other}", objects("contacts"));
        let (status, body) = portal.patch(&path, json!({"properties": update})).await;
        assert_eq!(status, 409, "{update}");
        assert_eq!(body["context"]["existingId"], json!([id]));
    }
    // An address that was given up is free.
    portal
        .patch(
            &format!("{}/{id}", objects("contacts")),
            json!({"properties": {"email": "c@example.com"}}),
        )
        .await;
    portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
}

#[tokio::test]
async fn the_lifecycle_goes_forward() {
    let portal = Portal::new(json!({"default_lifecyclestage": "lead"})).await;
    let id = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let path = format!("{}/{id}", objects("contacts"));
    let stage = async || portal.value("contacts", &id, "lifecyclestage").await;
    let set = async |value: &str| {
        let body = json!({"properties": {"lifecyclestage": value}});
        portal.patch(&path, body).await.0
    };
    assert_eq!(stage().await, "lead");
    assert_eq!(set("customer").await, 200);
    // Back: success, and nothing changes.
    assert_eq!(set("lead").await, 200);
    assert_eq!(stage().await, "customer");
    assert_eq!(set("").await, 200);
    assert_eq!(set("lead").await, 200);
    assert_eq!(stage().await, "lead");
    portal
        .control("PATCH", "", json!({"lifecycle_backward": "error"}))
        .await;
    assert_eq!(set("subscriber").await, 400);
    portal
        .control("PATCH", "", json!({"lifecycle_backward": "accept"}))
        .await;
    assert_eq!(set("subscriber").await, 200);
    assert_eq!(stage().await, "subscriber");
}

#[tokio::test]
async fn a_stage_belongs_to_its_pipeline() {
    let portal = Portal::new(json!({})).await;
    portal.control("POST", "pipelines/second", json!({})).await;
    let (_, pipelines) = portal.get("/crm/pipelines/2026-09/deals").await;
    assert_eq!(pipelines["results"].as_array().unwrap().len(), 2);
    let (_, stages) = portal
        .get("/crm/pipelines/2026-09/deals/renewals/stages")
        .await;
    assert_eq!(
        stages["results"][2]["metadata"],
        json!({"isClosed": "true", "probability": "1.0"})
    );
    assert_eq!(
        stages["results"][3]["metadata"],
        json!({"isClosed": "true", "probability": "0.0"})
    );
    let deal = |pipeline: &str, stage: &str| json!({"properties": {"dealname": "D", "pipeline": pipeline, "dealstage": stage}});
    for (pipeline, stage, wanted) in [
        ("default", "closedwon", 201),
        ("default", "renewal_won", 400),
        ("renewals", "renewal_won", 201),
        ("nonsense", "closedwon", 400),
    ] {
        let (status, body) = portal.post(&objects("deals"), deal(pipeline, stage)).await;
        assert_eq!(status, wanted, "{pipeline} {stage}: {body}");
    }
}

#[tokio::test]
async fn switches_are_named_when_one_does_not_exist() {
    let portal = Portal::new(json!({})).await;
    let (status, body) = portal
        .control("PATCH", "", json!({"auto_company": true}))
        .await;
    assert_eq!(status, 400);
    let message = body["error"].as_str().unwrap();
    assert!(
        message.contains("auto_company") && message.contains("lifecycle_backward"),
        "{message}"
    );
    let (status, _) = portal
        .control("PATCH", "", json!({"lifecycle_backward": "no"}))
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn admins_require_properties_of_new_records() {
    let portal = Portal::new(json!({"required_properties": {"contacts": ["city"]}})).await;
    let new = |properties: Value| json!({"properties": properties});
    let (status, body) = portal
        .post(&objects("contacts"), new(json!({"email": "a@example.com"})))
        .await;
    assert_eq!(status, 400);
    assert_eq!(codes(&body), ["MISSING_REQUIRED_PROPERTY"]);
    let (status, _) = portal
        .post(
            &objects("contacts"),
            new(json!({"email": "a@example.com", "city": "Oslo"})),
        )
        .await;
    assert_eq!(status, 201);
    portal.create("companies", json!({"name": "Acme"})).await;
}
