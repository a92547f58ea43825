//! Trouble on the way, against the simulator.

use std::time::Duration;

use hubspot::{
    Error, ObjectType, RatePolicy, RecordId,
    objects::{CreateInput, ReadOptions},
};
use serde_json::{Value, json};

use crate::support::Portal;

fn answer(status: u16, body: &Value) -> Value {
    json!({"status": {"status": status, "body": body.to_string()}})
}

fn page(status: u16) -> Value {
    json!({"status": {"status": status, "html": true}})
}

async fn write_with(portal: &Portal, effect: Value, when: &str) -> Result<(), Error> {
    portal
        .fault(json!({"method": "POST", "path": "/contacts", "times": 1, "when": when, "effect": effect}))
        .await;
    let input = CreateInput::new([("firstname", "A")]);
    portal
        .client
        .objects()
        .create(ObjectType::Contact, &input)
        .await
        .map(drop)
}

/// Reads a record that does not exist; the first `times` requests meet with this.
async fn read_with(portal: &Portal, effect: Value, times: u32) -> Result<(), Error> {
    portal
        .fault(json!({"method": "GET", "path": "/contacts", "times": times, "effect": effect}))
        .await;
    let read = portal
        .client
        .objects()
        .get(ObjectType::Contact, RecordId::new(1), &[])
        .await
        .map(drop);
    portal.control("DELETE", "faults", None).await;
    read
}

#[tokio::test]
async fn a_write_that_may_have_been_done_is_never_called_failed() {
    let portal = Portal::new(json!({})).await;
    let mut there = 0;
    for effect in [
        json!("drop"),
        json!({"hang": {"ms": 5_000}}),
        page(502),
        page(524),
        answer(500, &json!({"status": "error"})),
        answer(408, &json!({})),
        // A success that cannot be read.
        json!({"status": {"status": 200, "html": true}}),
    ] {
        for when in ["before", "after"] {
            let error = write_with(&portal, effect.clone(), when).await.unwrap_err();
            assert_eq!(error, Error::OutcomeUnknown, "{effect} {when}");
            there += usize::from(when == "after");
            assert_eq!(portal.records("contacts").await.len(), there, "{effect}");
        }
    }
}

#[tokio::test]
async fn a_write_that_was_not_done_is_known_not_to_be() {
    let portal = Portal::new(json!({})).await;
    for status in [423, 477] {
        let error = write_with(&portal, answer(status, &json!({})), "before")
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Transient { status: Some(s), .. } if s == status),
            "{error:?}"
        );
    }
    // Nobody listens: nothing was sent.
    let nowhere = crate::support::client(&"http://127.0.0.1:9".parse().unwrap(), "a-key");
    let error = nowhere
        .objects()
        .create(ObjectType::Contact, &CreateInput::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Transient { status: None, .. }),
        "{error:?}"
    );
    assert_eq!(portal.records("contacts").await.len(), 0);
}

#[tokio::test]
async fn only_hubspot_can_say_that_there_is_no_such_record() {
    let portal = Portal::new(json!({})).await;
    assert_eq!(
        read_with(
            &portal,
            answer(404, &json!({"message": "resource not found"})),
            1
        )
        .await,
        Err(Error::NotFound)
    );
    for effect in [page(404), page(403), page(200), json!("drop"), page(521)] {
        let error = read_with(&portal, effect.clone(), 4).await.unwrap_err();
        assert_eq!(error.class(), hubspot::ErrorClass::Transient, "{effect}");
    }
    let error = read_with(&portal, page(414), 1).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { status: 414, .. }));
}

#[tokio::test]
async fn reads_are_asked_again() {
    let portal = Portal::new(json!({})).await;
    for effect in [
        page(200),
        page(404),
        page(502),
        answer(500, &json!({"status": "error"})),
        answer(423, &json!({})),
        answer(477, &json!({})),
        json!("drop"),
        json!("cut"),
        json!({"status": {"status": 503, "retry_after": 1}}),
    ] {
        let seen = portal.requests("/contacts").await;
        assert_eq!(
            read_with(&portal, effect.clone(), 3).await,
            Err(Error::NotFound),
            "{effect}: at last HubSpot answers"
        );
        assert_eq!(portal.requests("/contacts").await, seen + 4, "{effect}");
    }
    // Who is asked to come back tomorrow does not wait here.
    let began = std::time::Instant::now();
    let migrating = json!({"answer": {"name": "migration", "retry_after": 86_400}});
    let error = read_with(&portal, migrating, 1).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(86_400)));
    assert!(began.elapsed() < Duration::from_secs(5));
    // A write is never sent again.
    let seen = portal.requests("/contacts").await;
    let error = write_with(&portal, page(502), "before").await.unwrap_err();
    assert_eq!(error, Error::OutcomeUnknown);
    assert_eq!(portal.requests("/contacts").await, seen + 1);
}

#[tokio::test]
async fn limits_are_told_apart() {
    let portal = Portal::new(json!({})).await;
    let limited = |policy: &str| {
        answer(
            429,
            &json!({"status": "error", "errorType": "RATE_LIMIT", "policyName": policy}),
        )
    };
    // Within seconds it is over: asked again.
    let error = read_with(&portal, limited("TEN_SECONDLY_ROLLING"), 1)
        .await
        .unwrap_err();
    assert_eq!(
        error,
        Error::NotFound,
        "repeated, and there is no such record"
    );
    assert_eq!(portal.requests("/contacts").await, 2);
    // By midnight it is over: not asked again.
    let error = read_with(&portal, limited("DAILY"), 1).await.unwrap_err();
    assert!(matches!(
        error,
        Error::RateLimited {
            policy: RatePolicy::Daily,
            ..
        }
    ));
    assert_eq!(portal.requests("/contacts").await, 3);
}

#[tokio::test]
async fn a_deadline_is_kept() {
    let portal = Portal::new(json!({})).await;
    portal
        .fault(json!({"path": "/batch/read", "times": 1, "effect": {"hang": {"ms": 30_000}}}))
        .await;
    let began = std::time::Instant::now();
    let error = portal
        .client
        .contacts()
        .by_email("a@example.com", &ReadOptions::new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Transient { status: None, .. }));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn no_email_is_in_a_url() {
    let portal = Portal::new(json!({})).await;
    let input = CreateInput::new([("email", "secret.person@example.com")]);
    let objects = portal.client.objects();
    let made = objects.create(ObjectType::Contact, &input).await.unwrap();
    let contacts = portal.client.contacts();
    let found = contacts
        .by_email("Secret.Person@example.com", &ReadOptions::new())
        .await
        .unwrap();
    assert_eq!(found.unwrap().id, made.id);
    contacts
        .gdpr_delete_by_email("secret.person@example.com")
        .await
        .unwrap();
    let log = portal.control("GET", "requests", None).await.to_string();
    assert!(
        log.contains("gdpr-delete") && !log.contains("ecret"),
        "{log}"
    );
    let gone = contacts
        .by_email("secret.person@example.com", &ReadOptions::new())
        .await
        .unwrap();
    assert!(gone.is_none());
    let error = objects
        .get(ObjectType::Contact, made.id, &[])
        .await
        .unwrap_err();
    assert_eq!(error, Error::NotFound);
}
