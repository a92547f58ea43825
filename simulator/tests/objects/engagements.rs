//! Emails, calls, meetings, notes, tasks, communications.

use serde_json::{Value, json};

use crate::portal::{Portal, codes, objects};

const AT: &str = "1767225600000";

#[tokio::test]
async fn headers_of_an_email_fill_what_only_hubspot_sets() {
    let portal = Portal::new(json!({})).await;
    let headers = json!({
        "from": {"email": "a@example.com", "firstName": "Ada", "lastName": "A"},
        "to": [{"email": "b@example.com", "firstName": "Bo"}, {"email": "c@example.com"}],
        "cc": [{"email": "d@example.com"}], "bcc": [],
    });
    let properties = json!({
        "hs_timestamp": AT, "hs_email_direction": "EMAIL", "hs_email_status": "SENT",
        "hs_email_subject": "Hello", "hs_email_html": "<p>Hello <b>you</b></p>",
        "hs_email_headers": headers.to_string(),
    });
    let id = portal.create("emails", properties).await;
    for (name, value) in [
        ("hs_email_from_email", json!("a@example.com")),
        ("hs_email_from_firstname", json!("Ada")),
        ("hs_email_to_email", json!("b@example.com;c@example.com")),
        ("hs_email_cc_email", json!("d@example.com")),
        ("hs_email_bcc_email", Value::Null),
        ("hs_body_preview", json!("Hello you")),
        ("hs_timestamp", json!("2026-01-01T00:00:00.000Z")),
    ] {
        assert_eq!(portal.value("emails", &id, name).await, value, "{name}");
    }
    let path = format!("{}/{id}", objects("emails"));
    for (name, value, code) in [
        ("hs_email_to_email", "x@example.com", "READ_ONLY_VALUE"),
        ("hs_email_headers", "no json", "INVALID_JSON"),
        ("hs_email_direction", "OUT", "INVALID_OPTION"),
        ("nonsense", "x", "PROPERTY_DOESNT_EXIST"),
    ] {
        let body = json!({"properties": {name: value}});
        let (status, body) = portal.patch(&path, body).await;
        assert_eq!(status, 400, "{name}");
        assert_eq!(codes(&body), [code]);
    }
    // HubSpot's guides on engagements say that such are ignored on update.
    portal
        .control("PATCH", "", json!({"lenient_engagement_updates": true}))
        .await;
    let body =
        json!({"properties": {"nonsense": "x", "hs_email_to_email": "x", "hs_email_subject": "S"}});
    assert_eq!(portal.patch(&path, body.clone()).await.0, 200);
    assert_eq!(portal.value("emails", &id, "hs_email_subject").await, "S");
    assert_eq!(
        portal.value("emails", &id, "hs_email_to_email").await,
        "b@example.com;c@example.com"
    );
    assert_eq!(
        portal.post(&objects("emails"), body).await.0,
        400,
        "not on create"
    );
}

#[tokio::test]
async fn values_of_each_type() {
    let portal = Portal::new(json!({})).await;
    let cases: &[(&str, Value, u16)] = &[
        (
            "calls",
            json!({"hs_call_recording_url": "https://example.com/a.mp3"}),
            201,
        ),
        (
            "calls",
            json!({"hs_call_recording_url": "http://example.com/a.mp3"}),
            400,
        ),
        (
            "calls",
            json!({"hs_call_status": "COMPLETED", "hs_call_direction": "INBOUND",
            "hs_call_duration": "60000", "hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7"}),
            201,
        ),
        ("calls", json!({"hs_call_disposition": "Connected"}), 400),
        ("calls", json!({"hs_call_duration": "a minute"}), 400),
        ("notes", json!({"hs_note_body": "x".repeat(65_536)}), 201),
        ("notes", json!({"hs_note_body": "x".repeat(65_537)}), 400),
        (
            "tasks",
            json!({"hs_task_status": "WAITING", "hs_task_priority": "HIGH", "hs_task_type": "TODO"}),
            201,
        ),
        ("tasks", json!({"hs_task_status": "DONE"}), 400),
        ("meetings", json!({"hs_meeting_outcome": "CANCELED"}), 201),
        ("meetings", json!({"hs_meeting_outcome": "CANCELLED"}), 201),
        ("meetings", json!({"hs_meeting_outcome": "LATE"}), 400),
        (
            "communications",
            json!({"hs_communication_channel_type": "LINKEDIN_MESSAGE",
            "hs_communication_logged_from": "CRM", "hs_communication_body": "hi"}),
            201,
        ),
        (
            "communications",
            json!({"hs_communication_channel_type": "SMS",
            "hs_communication_logged_from": "PHONE"}),
            400,
        ),
        (
            "communications",
            json!({"hs_communication_channel_type": "FAX",
            "hs_communication_logged_from": "CRM"}),
            400,
        ),
    ];
    for (kind, properties, wanted) in cases {
        let mut properties = properties.clone();
        properties["hs_timestamp"] = json!(AT);
        let (status, body) = portal
            .post(&objects(kind), json!({"properties": properties}))
            .await;
        assert_eq!(status, *wanted, "{kind}: {}", body["message"]);
    }
}

#[tokio::test]
async fn a_meeting_is_at_its_start() {
    let portal = Portal::new(json!({})).await;
    let id = portal
        .create(
            "meetings",
            json!({"hs_meeting_start_time": "2026-02-03T04:05:06Z"}),
        )
        .await;
    assert_eq!(
        portal.value("meetings", &id, "hs_timestamp").await,
        "2026-02-03T04:05:06.000Z"
    );
    let (status, _) = portal
        .post(
            &objects("meetings"),
            json!({"properties": {"hs_meeting_title": "x"}}),
        )
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn what_an_app_makes_says_so() {
    let portal = Portal::new(json!({"contacts": 1})).await;
    let id = portal.create("notes", json!({"hs_timestamp": AT})).await;
    assert_eq!(
        portal.value("notes", &id, "hs_object_source").await,
        "INTEGRATION"
    );
    let app = portal.value("notes", &id, "hs_object_source_id").await;
    assert!(app.as_str().unwrap().parse::<u64>().is_ok(), "{app}");
    let other = portal.create("notes", json!({"hs_timestamp": AT})).await;
    assert_eq!(
        portal.value("notes", &other, "hs_object_source_id").await,
        app
    );
}

#[tokio::test]
async fn keys_of_engagements_three_ways() {
    let portal = Portal::new(json!({"engagement_custom_properties": true})).await;
    let property = |name: &str| {
        json!({"name": name, "label": "Key", "type": "string", "fieldType": "text",
               "groupName": "note", "hasUniqueValue": true})
    };
    let path = "/crm/properties/2026-09/notes";
    let (status, made) = portal.post(path, property("key")).await;
    assert_eq!(
        (status, made["hasUniqueValue"].as_bool()),
        (201, Some(true))
    );
    let row = json!({"inputs": [{"id": "k1", "idProperty": "key",
        "properties": {"hs_timestamp": AT, "hs_note_body": "x"}}]});
    let upsert = format!("{}/batch/upsert", objects("notes"));
    let (status, first) = portal.post(&upsert, row.clone()).await;
    assert_eq!((status, &first["results"][0]["new"]), (200, &json!(true)));
    let (_, again) = portal.post(&upsert, row).await;
    assert_eq!(again["results"][0]["new"], false);
    assert_eq!(again["results"][0]["id"], first["results"][0]["id"]);
    let (status, body) = portal
        .post(
            &objects("notes"),
            json!({"properties": {"hs_timestamp": AT, "key": "k1"}}),
        )
        .await;
    assert_eq!(
        (status, codes(&body)),
        (400, vec!["CONFLICTING_UNIQUE_VALUE".to_owned()])
    );

    portal
        .control("PATCH", "", json!({"engagement_unique_keys": "ignored"}))
        .await;
    let (status, made) = portal.post(path, property("key2")).await;
    assert_eq!(
        (status, made["hasUniqueValue"].as_bool()),
        (201, Some(false))
    );
    portal
        .control("PATCH", "", json!({"engagement_unique_keys": "refused"}))
        .await;
    assert_eq!(portal.post(path, property("key3")).await.0, 400);
}
