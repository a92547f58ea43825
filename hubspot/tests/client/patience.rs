//! How long the client waits, and how often it asks again.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use hubspot::{
    AccessToken, AccessTokenSource, Cursor, Error, ErrorClass, KeyDoubt, ObjectType, RecordId,
    RequestClass, StaticToken, Timeouts, TokenError, objects::ListRequest,
};
use serde_json::json;

use crate::script::{Say, Script};

fn key() -> Arc<dyn AccessTokenSource> {
    Arc::new(StaticToken::new("a-key".to_owned().into()))
}

/// Short ones, in the proportions of the usual ones.
fn timeouts() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(2),
        idle: Duration::from_secs(5),
        read: Duration::from_millis(300),
        page: Duration::from_millis(600),
        batch: Duration::from_millis(1_800),
        write: Duration::from_millis(600),
        token: Duration::from_millis(300),
    }
}

/// Associations take longer than a read may: the call lives, and is not repeated.
#[tokio::test]
async fn a_slow_answer_about_associations_is_awaited() {
    let script = Script::new(|_, _| {
        let answer = json!({"results": [{"from": {"id": "1"}, "to": []}]});
        Say::json(200, answer).after(Duration::from_millis(1_000))
    })
    .await;
    let client = script.with_timeouts(timeouts(), key());
    let read = client
        .associations()
        .batch_read(
            ObjectType::Contact,
            ObjectType::Company,
            &[RecordId::new(1)],
        )
        .await
        .unwrap();
    assert_eq!(read.answered.len(), 1);
    assert_eq!(script.seen().len(), 1);
    // A read of one record has not so much time; it is tried twice, and not by who waits for it.
    let background = client.clone().with_class(RequestClass::Backfill);
    for (client, tries) in [(&client, 1), (&background, 2)] {
        let before = script.seen().len();
        let error = client
            .objects()
            .get(ObjectType::Contact, RecordId::new(1), &[])
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Transient { status: None, .. }));
        assert_eq!(script.seen().len() - before, tries);
    }
}

/// The second attempt has twice the time.
#[tokio::test]
async fn a_page_that_took_too_long_gets_more_time() {
    let script = Script::new(|_, _| {
        Say::json(200, json!({"results": []})).after(Duration::from_millis(900))
    })
    .await;
    let client = script
        .with_timeouts(timeouts(), key())
        .with_class(RequestClass::Backfill);
    let page = client
        .objects()
        .list(&ListRequest::new(ObjectType::Contact))
        .await
        .unwrap();
    assert!(page.results.is_empty());
    assert_eq!(script.seen().len(), 2);
}

#[tokio::test]
async fn retry_after_is_honoured_when_it_is_short() {
    let script = Script::new(|_, n| match n {
        0 => Say::json(503, json!({})).with("retry-after", 2),
        1 => Say::json(200, json!({"results": []})),
        _ => Say::json(503, json!({})).with("retry-after", 60),
    })
    .await;
    let began = Instant::now();
    let request = ListRequest::new(ObjectType::Contact);
    script.client.objects().list(&request).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(2));
    let error = script.client.objects().list(&request).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(script.seen().len(), 3);
}

/// A key whose first refusals are hiccups.
#[derive(Default)]
struct Doubted {
    doubt: KeyDoubt,
    refusals: Mutex<Vec<TokenError>>,
}

#[async_trait]
impl AccessTokenSource for Doubted {
    async fn access_token(&self) -> Result<AccessToken, TokenError> {
        Ok(AccessToken {
            secret: "a-key".to_owned().into(),
            version: 0,
        })
    }

    async fn expired(&self, _token: &AccessToken) -> Result<(), TokenError> {
        let refused = self.doubt.refused(Instant::now());
        self.refusals.lock().unwrap().push(refused);
        Err(refused)
    }

    fn accepted(&self, _token: &AccessToken) {
        self.doubt.accepted();
    }
}

#[tokio::test]
async fn one_401_of_a_service_key_is_a_hiccup() {
    let refused = json!({"category": "INVALID_AUTHENTICATION"});
    let script = Script::new(move |_, n| match n {
        0 => Say::json(401, refused.clone()),
        1 => Say::json(200, json!({"results": []})),
        _ => Say::json(401, refused.clone()),
    })
    .await;
    let key = Arc::new(Doubted::default());
    let client = script
        .with_timeouts(Timeouts::default(), key.clone())
        .with_class(RequestClass::Backfill);
    let request = ListRequest::new(ObjectType::Contact);
    client.objects().list(&request).await.unwrap();
    assert_eq!(key.refusals.lock().unwrap().len(), 1);
    // Refused again and again: handed up as trouble that passes, to be asked again later.
    let error = client.objects().list(&request).await.unwrap_err();
    assert!(matches!(error, Error::TokenDoubted { .. }), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Transient);
    assert!(error.retry_after().is_some());
    assert!(
        key.refusals
            .lock()
            .unwrap()
            .iter()
            .all(|r| matches!(r, TokenError::Doubted { .. })),
        "a minute has not passed"
    );
}

#[tokio::test]
async fn a_cursor_goes_back_as_it_came() {
    let script = Script::new(|_, _| Say::json(200, json!({"results": []}))).await;
    script
        .client
        .owners()
        .list(false, Some(&Cursor::new("MC0yLTc1MDI%3D")), 50)
        .await
        .unwrap();
    assert_eq!(
        script.seen()[0].query,
        "limit=50&after=MC0yLTc1MDI%3D&archived=false"
    );
}
